"""pose_hands: the hands in every frame of a clip, whose they are, and which thing is near them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from humannet_ops.detectors.factory import open_hand_pose
from humannet_ops.domain.outcome import Reason
from humannet_ops.domain.records import Annotation, ClipSubject, Result, kept, skipped
from humannet_ops.domain.stage import StageSpec
from humannet_ops.media import clip_frames, hand_tracks, people, pose_scores
from humannet_ops.media.track_file import PARQUET
from humannet_ops.settings import Settings
from humannet_ops.stages.protocol import Context

if TYPE_CHECKING:
    from pathlib import Path

    from humannet_ops.detectors.lock import ModelLock
    from humannet_ops.media.hand_tracks import HandTracks
    from humannet_ops.media.people import People

ROLE = "hand_pose"
SPEC = StageSpec(
    "pose_hands", "clip", revision=1, queue="gpu", needs=("track_people",), reads=("track_people",), roles=(ROLE,)
)


def configuration(config: Settings, models: ModelLock) -> dict[str, Any]:
    """Return what else decides the result."""
    return {
        "hand_tracks": [hand_tracks.VERSION, hand_tracks.DESCRIPTION["smoothing"]],
        "bridged_s": hand_tracks.BRIDGED_S,
        "seen_within_s": hand_tracks.SEEN_WITHIN_S,
        "near_gap": pose_scores.NEAR_GAP,
    }


class PoseHands:
    """Estimates the hands of one clip."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.model = open_hand_pose(context.models, context.config)

    def process(self, subject: ClipSubject) -> Result:
        """Estimate, follow, store the hands and say how well they are seen."""
        with self.context.store.local(subject.inputs[people.KIND].uri) as path:
            around = people.read(path)
        with self.context.store.local(subject.inputs["clip"].uri) as path:
            hands = self._hands(path, around)
        scores = pose_scores.of_hands(hands)
        if not len(hands.frame):
            return skipped(Reason.NO_HANDS, "the pose model finds no hand in any frame", scores=scores)
        target = self.context.scratch / "hands.parquet"
        hand_tracks.write(target, hands)
        artifact = self.context.store.put(target, kind=hand_tracks.KIND, suffix=".parquet", media_type=PARQUET)
        sides = {f"{side}_share": round(hands.side_share(left=side == "left"), 4) for side in ("left", "right")}
        return kept(
            scores=scores,
            detail={"frames": hands.frames, **sides},
            artifacts=(artifact,),
            records=(Annotation(SPEC.name, self.model.release, {**scores, **sides}, artifact),),
            model_releases=(self.model.release,),
        )

    def _hands(self, path: Path, around: People) -> HandTracks:
        config = self.context.config
        self.model.start()
        seen = []
        with clip_frames.open_clip(path, threads=config.threads, timeout_s=config.subject_timeout_s) as clip:
            for number, frame in enumerate(clip):
                seen += [(number, hand) for hand in self.model.estimate(frame)]
        return hand_tracks.collect(
            seen,
            around,
            frames=clip.count,
            fps=clip.fps,
            width=clip.width,
            height=clip.height,
            metadata={"model_releases": {ROLE: self.model.release}},
        )
