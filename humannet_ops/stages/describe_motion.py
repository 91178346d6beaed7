"""describe_motion: how much moves in a clip, and what the movement is, in words.

The scores' formulas are in ``humannet_ops.media.pose_scores``. The words (``semantic``: what is done; ``sequence``: its
steps in time; ``spatial``: where it goes) are a vision endpoint's where one is named and answers, else those that the
signals allow (``source``: ``endpoint``, ``signals``).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any

from humannet_ops.domain.records import Annotation, ClipSubject, Result, kept
from humannet_ops.domain.stage import StageSpec
from humannet_ops.language import prompts, sight, wording
from humannet_ops.language.sight import Asking
from humannet_ops.media import body_tracks, hand_tracks, people, pose_scores, poses
from humannet_ops.settings import Settings
from humannet_ops.stages.protocol import Context

if TYPE_CHECKING:
    from humannet_ops.detectors.lock import ModelLock
    from humannet_ops.media.people import People
    from humannet_ops.media.poses import Poses

READ = ("track_people", "pose_body", "pose_hands")
SPEC = StageSpec("describe_motion", "clip", revision=2, queue="cpu", needs=READ, reads=("decide", "cut", *READ))
SIGNALS = "signals"


def configuration(config: Settings, models: ModelLock) -> dict[str, Any]:
    """Return what else decides the result: the formulas' constants, the endpoint's model and prompt."""
    return {**pose_scores.CONSTANTS, **wording.CONSTANTS, **sight.configuration(config, prompts.MOTION_VERSION)}


class DescribeMotion:
    """Describes the movement in one clip."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.asking = Asking("describe_motion", _motion, context.config, context.store)

    def ahead(self, subjects: list[ClipSubject]) -> AbstractContextManager[None]:
        """Ask about many clips at once."""
        return self.asking.of(subjects)

    def process(self, subject: ClipSubject) -> Result:
        """Measure, and say it in words."""
        seen, around = self._read(subject)
        scores = pose_scores.of_motion(seen) if seen else dict(pose_scores.NO_MOTION)
        about = {"units": {"motion_score": "m/s", "motion_len": "s"}, "camera_motion": "included"}
        asked = self.asking(subject)
        if asked.answer:
            said = {**asked.answer, "source": "endpoint"}
        else:
            said = {**wording.motion(seen, around, scores), "source": SIGNALS, **asked.fault}
        return kept(
            scores=scores,
            detail=asked.fault,
            records=(
                Annotation("motion", SIGNALS, {**scores, **about}),
                Annotation("motion_text", asked.release or SIGNALS, said),
            ),
            model_releases=(asked.release,) if asked.release else (),
        )

    def _read(self, subject: ClipSubject) -> tuple[Poses | None, People]:
        def path_of(kind: str) -> Any:
            found = subject.inputs.get(kind)
            return held.enter_context(self.context.store.local(found.uri)) if found else None

        with ExitStack() as held:
            seen = poses.read(path_of(body_tracks.KIND), path_of(hand_tracks.KIND))
            return seen, people.read(path_of(people.KIND))


def _motion(clip: sight.Sight) -> dict[str, Any]:
    subject = clip.subject
    return dict(clip.answer(prompts.motion(subject.duration_s, subject.viewpoint, clip.pictures)))
