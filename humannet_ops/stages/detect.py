"""detect: people, hands, faces and restricted content on the frames that analyse sampled; nothing is decoded again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from humannet_ops.detectors.factory import open_detectors
from humannet_ops.domain.records import Result, VideoSubject, kept
from humannet_ops.domain.stage import StageSpec
from humannet_ops.media import detections, sampled_frames
from humannet_ops.settings import Settings
from humannet_ops.stages.analyse import PARQUET
from humannet_ops.stages.protocol import Context

if TYPE_CHECKING:
    from humannet_ops.detectors.lock import ModelLock

SPEC = StageSpec("detect", "video", revision=1, queue="gpu", needs=("deduplicate_near",), reads=("analyse",))
ROLES = ("person_detector", "hand_detector", "face_detector", "restricted_content")


def configuration(config: Settings, models: ModelLock) -> dict[str, Any]:
    """Return what else decides the result: the models."""
    return {role: models.release(role) for role in ROLES}


class Detect:
    """Runs every detector over one video's sampled frames, in batches."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.detectors = open_detectors(ROLES, context.models, context.config)

    def process(self, subject: VideoSubject) -> Result:
        """Write one row a detection to a Parquet file."""
        target = self.context.scratch / "detections.parquet"
        frames = 0
        with (
            self.context.store.local(subject.inputs["sampled_frames"].uri) as path,
            detections.Writer(target) as writer,
        ):
            for batch in sampled_frames.batches(path, self.context.config.batch):
                frames += len(batch)
                for of_role in self.detectors.detect([frame.rgb for frame in batch]):
                    for frame, found in zip(batch, of_role, strict=True):
                        writer.add(frame.t_s, frame.frame, found)
        artifact = self.context.store.put(target, kind="detections", suffix=".parquet", media_type=PARQUET)
        return kept(
            scores={"frames": frames, **writer.counts},
            artifacts=(artifact,),
            model_releases=self.detectors.releases,
        )
