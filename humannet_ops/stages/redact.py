"""redact: a second file of a clip in which no face (and, if asked for, no text) can be recognised.

Off unless ``HUMANNET_REDACT`` asks for it. The original stays as it is, and the outcome names it. Another detector
looks at what was made: where it still finds a face, a person is asked.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from humannet_ops.detectors.factory import open_detectors
from humannet_ops.domain.outcome import Reason
from humannet_ops.domain.records import Artifact, ClipSubject, Result, kept, skipped
from humannet_ops.domain.screening import Cause, ReviewCause
from humannet_ops.domain.stage import StageSpec
from humannet_ops.media import covers, redaction
from humannet_ops.media.redaction import Cover, Redaction
from humannet_ops.settings import Settings
from humannet_ops.stages.looking import look, spacing
from humannet_ops.stages.protocol import Context

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from humannet_ops.detectors.lock import ModelLock
    from humannet_ops.media.clip_frames import ClipFrames
    from humannet_ops.stages.looking import Seen

FACES, TEXTS, CHECK = ROLES = ("face_boxes", "screen_text", "face_detector")
LABELS = {FACES: "face", TEXTS: "text"}
SPEC = StageSpec("redact", "clip", revision=1, queue="cpu", needs=("screen_content",), reads=("cut",), roles=ROLES)
# Every second frame: a face that 960 pixels find in one of two is hidden in both (infra/decisions/0019). Text stands.
FACE_LOOKS_PER_S, TEXT_LOOKS_PER_S, CHECK_LOOKS_PER_S = 15.0, 3.0, 2.0
# MediaPipe's own bar; below it, it sees faces in blots and walls.
LEFT_AT = 0.5


def configuration(config: Settings, models: ModelLock) -> dict[str, Any]:
    """Return what else decides the result: what is hidden, and how."""
    return {
        "redact": config.redact,
        "looks_per_s": [FACE_LOOKS_PER_S, TEXT_LOOKS_PER_S, CHECK_LOOKS_PER_S],
        "covers": [covers.VERSION, asdict(covers.FACES), asdict(covers.TEXTS)],
        "redaction": [redaction.CRF, redaction.PRESET, redaction.PATCHES],
        "left_at": LEFT_AT,
    }


class Redact:
    """Redacts one clip."""

    def __init__(self, context: Context) -> None:
        self.context = context
        rates = {FACES: FACE_LOOKS_PER_S, TEXTS: TEXT_LOOKS_PER_S, CHECK: CHECK_LOOKS_PER_S}
        self.hides = {"off": (), "faces": (FACES,), "faces_and_text": (FACES, TEXTS)}[context.config.redact]
        opened = (*self.hides, CHECK) if self.hides else ()
        self.looks = {role: (open_detectors((role,), context.models, context.config), rates[role]) for role in opened}
        self.releases = tuple(release for detectors, _ in self.looks.values() for release in detectors.releases)

    def process(self, subject: ClipSubject) -> Result:
        """Find what to hide, hide it, and look whether anything is left."""
        if not self.hides:
            return skipped(Reason.SWITCHED_OFF, "HUMANNET_REDACT is off: set it to faces or faces_and_text")
        config, clip_uri = self.context.config, subject.inputs["clip"].uri
        target = self.context.scratch / "redacted.mp4"
        with self.context.store.local(clip_uri) as path:
            seen, clip = look(path, [self.looks[role] for role in self.hides], config)
            hidden = [
                Cover(LABELS[role], box) for role, found in zip(self.hides, seen, strict=True)
                for box in self._covers(role, found, clip)
            ]  # fmt: skip
            if not hidden:
                return self._result(hidden, None, clip_uri)
            done = redaction.redact(path, target, hidden, threads=config.threads, timeout_s=config.subject_timeout_s)
        ((left,), _) = look(target, [self.looks[CHECK]], config)
        share = sum(any(box.score >= LEFT_AT for box in boxes) for boxes in left.values()) / len(left)
        artifact = self.context.store.put(target, kind=redaction.KIND, suffix=".mp4", media_type="video/mp4")
        return self._result(hidden, done, clip_uri, artifact, share)

    def _covers(self, role: str, found: Seen, clip: ClipFrames) -> NDArray[np.float64]:
        return covers.covers(
            list(found.items()),
            covers.FACES if role == FACES else covers.TEXTS,
            fps=clip.fps,
            looks_per_s=clip.fps / spacing(clip.fps, self.looks[role][1]),
            size=(clip.width, clip.height),
            frames=clip.count,
        )

    def _result(
        self,
        hidden: list[Cover],
        done: Redaction | None,
        original_uri: str,
        artifact: Artifact | None = None,
        left: float = 0.0,
    ) -> Result:
        count = {label: sum(one.label == label for one in hidden) for label in LABELS.values()}
        return kept(
            scores={
                "redacted_faces": count["face"],
                "redacted_texts": count["text"],
                "redacted_share": round(done.covered / done.frames, 4) if done else 0.0,
                "redacted_area": round(done.area, 4) if done else 0.0,
                "face_left_share": round(left, 4),
            },
            detail={"original_uri": original_uri, "hides": self.context.config.redact},
            artifacts=(artifact,) if artifact else (),
            records=(ReviewCause(Cause.FACE_LEFT, left),) if left else (),
            model_releases=self.releases,
        )
