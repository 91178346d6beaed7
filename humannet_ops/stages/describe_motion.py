"""describe_motion: how much moves in a clip, and what the movement is, in words.

The scores' formulas are in ``humannet_ops.media.pose_scores``. The words come from the signals, and say no more than
those show.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from statistics import median_low
from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.domain.records import Annotation, ClipSubject, Result, kept
from humannet_ops.domain.stage import StageSpec
from humannet_ops.media import body_tracks, hand_tracks, people, pose_scores, poses
from humannet_ops.settings import Settings
from humannet_ops.stages.protocol import Context

if TYPE_CHECKING:
    from humannet_ops.detectors.lock import ModelLock
    from humannet_ops.media.people import People
    from humannet_ops.media.poses import Poses

READ = ("track_people", "pose_body", "pose_hands")
SPEC = StageSpec("describe_motion", "clip", revision=1, queue="cpu", needs=READ, reads=READ)
# Mean speed, m/s, below which a word is right. 1.4 m/s is the usual walking pace (Bohannon 1997).
PACES = ((0.5, "moving a little"), (1.4, "moving"))
FASTEST = "moving strongly"


def configuration(config: Settings, models: ModelLock) -> dict[str, Any]:
    """Return what else decides the result: the formulas' constants."""
    return {**pose_scores.CONSTANTS, "paces": PACES}


class DescribeMotion:
    """Describes the movement in one clip."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def process(self, subject: ClipSubject) -> Result:
        """Measure, and say it in a sentence."""
        seen, around = self._read(subject)
        scores = pose_scores.of_motion(seen) if seen else dict(pose_scores.NO_MOTION)
        about = {"units": {"motion_score": "m/s", "motion_len": "s"}, "camera_motion": "included"}
        said = {"semantic": describe(seen, around, scores), "source": "signals"}
        return kept(
            scores=scores,
            records=(
                Annotation("motion", "signals", {**scores, **about}),
                Annotation("motion_text", "signals", said),
            ),
        )

    def _read(self, subject: ClipSubject) -> tuple[Poses | None, People]:
        def path_of(kind: str) -> Any:
            found = subject.inputs.get(kind)
            return held.enter_context(self.context.store.local(found.uri)) if found else None

        with ExitStack() as held:
            seen = poses.read(path_of(body_tracks.KIND), path_of(hand_tracks.KIND))
            return seen, people.read(path_of(people.KIND))


def describe(seen: Poses | None, around: People, scores: Mapping[str, float]) -> str:
    """Say in a sentence what the signals show, and no more.

    Args:
        seen: The clip's bodies and hands.
        around: Its people and things.
        scores: ``pose_scores.of_motion``.
    """
    body_share = seen.bodies.frame_share if seen else 0.0
    parts = [_people_in_words(body_share, usual_persons(around)), _hands_in_words(seen)]
    if seen is not None:
        parts.append(_motion_in_words(scores))
    return f"Clip of {around.frames / around.fps:.1f} s: {'; '.join(parts)}."


def usual_persons(around: People) -> int:
    """Return how many people the looks that show any usually show; 0 where none does."""
    of_person = (around.label == people.PERSON) & (around.track >= 0)
    _, counts = np.unique(around.frame[of_person], return_counts=True)
    return median_low(counts.tolist()) if len(counts) else 0


def _percent(share: float) -> str:
    return "under 1 %" if 0 < share < 0.01 else f"{share:.0%}".replace("%", " %")


def _people_in_words(share: float, persons: int) -> str:
    found = f"{persons or 'no'} {'person' if persons == 1 else 'people'} detected, "
    return found + (f"a body's pose in {_percent(share)} of frames" if share else "no body's pose")


def _hands_in_words(seen: Poses | None) -> str:
    if seen is None or not seen.hands.frame_share:
        return "no hands"
    left, right = (_percent(seen.hands.side_share(left=left)) for left in (True, False))
    return f"hands in {_percent(seen.hands.frame_share)} of frames (left {left}, right {right})"


def _motion_in_words(scores: Mapping[str, float]) -> str:
    if not scores["motion_measured_share"]:
        return "motion not measured"
    if not scores["motion_share"]:
        return "almost still"
    speed, share = scores["motion_score"], _percent(scores["motion_share"])
    pace = next((word for limit, word in PACES if speed < limit), FASTEST)
    return f"{pace} in {share} of frames, up to {scores['motion_len']:.1f} s at a stretch (mean {speed:.1f} m/s)"
