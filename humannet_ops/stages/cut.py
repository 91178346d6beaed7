"""cut: encode a clip that was kept, frame-accurate and normalised; what was refused is never encoded."""

from __future__ import annotations

from typing import Any

from humannet_ops.domain.records import ClipSubject, Result, kept
from humannet_ops.domain.stage import StageSpec
from humannet_ops.media import encode
from humannet_ops.settings import Settings
from humannet_ops.stages.protocol import Context

# A clip's name says which frames it has, so a new decision only opens or shuts the gate: nothing is encoded again.
SPEC = StageSpec("cut", "clip", revision=1, queue="cpu", needs=("decide",), reads=("fetch",))
FPS, SHORT_SIDE, CRF, PRESET = 30, 720, 22, "veryfast"


def configuration(config: Settings, models: Any) -> dict[str, Any]:
    """Return what else decides the result: the output's format."""
    return {"fps": FPS, "short_side": SHORT_SIDE, "crf": CRF, "preset": PRESET}


class Cut:
    """Encodes one clip."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def process(self, subject: ClipSubject) -> Result:
        """Encode into the scratch folder, then store."""
        target = self.context.scratch / "clip.mp4"
        with self.context.store.local(subject.video.inputs["video"].uri) as source:
            report = encode.cut(
                source,
                target,
                subject.start_s,
                subject.end_s,
                fps=FPS,
                short_side=SHORT_SIDE,
                crf=CRF,
                preset=PRESET,
                timeout_s=self.context.config.subject_timeout_s,
            )
        artifact = self.context.store.put(target, kind="clip", suffix=".mp4", media_type="video/mp4")
        return kept(
            scores={
                "frames": report.frames,
                "width": report.width,
                "height": report.height,
                "fps": report.fps,
                "duration_s": report.duration_s,
                "bytes": artifact.bytes,
            },
            detail={"has_audio": report.has_audio, "held_frames": report.held_frames},
            artifacts=(artifact,),
        )
