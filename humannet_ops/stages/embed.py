"""embed: what a clip looks like, as a vector: clips that look alike have vectors that point alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from humannet_ops.detectors.factory import open_frame_embedder
from humannet_ops.domain.records import Annotation, ClipSubject, Embedding, Result, kept
from humannet_ops.domain.stage import StageSpec
from humannet_ops.media import clip_frames, frame_embeddings
from humannet_ops.media.track_file import PARQUET
from humannet_ops.settings import Settings
from humannet_ops.stages.protocol import Context

if TYPE_CHECKING:
    from pathlib import Path

    from humannet_ops.detectors.lock import ModelLock
    from humannet_ops.media.frame_embeddings import FrameEmbeddings

ROLE = "frame_embedding"
SPEC = StageSpec("embed", "clip", revision=1, queue="gpu", needs=("cut",), reads=("cut",), roles=(ROLE,))


def configuration(config: Settings, models: ModelLock) -> dict[str, Any]:
    """Return what else decides the result."""
    return {"frame_embeddings": [frame_embeddings.VERSION, frame_embeddings.FRAMES]}


class Embed:
    """Embeds one clip."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.model = open_frame_embedder(context.models, context.config)

    def process(self, subject: ClipSubject) -> Result:
        """Embed evenly spaced frames, store them, and give the clip their mean."""
        with self.context.store.local(subject.inputs["clip"].uri) as path:
            embeddings = self._embeddings(path, subject.duration_s)
        target = self.context.scratch / "embeddings.parquet"
        frame_embeddings.write(target, embeddings)
        artifact = self.context.store.put(target, kind=frame_embeddings.KIND, suffix=".parquet", media_type=PARQUET)
        scores = {"embedding_spread": round(embeddings.spread, 4)}
        said = {"frames": len(embeddings.frame), "dimensions": embeddings.vector.shape[1]}
        return kept(
            scores=scores,
            detail=said,
            artifacts=(artifact,),
            records=(
                Annotation(SPEC.name, self.model.release, {**scores, **said}, artifact),
                Embedding(self.model.release, tuple(embeddings.clip.tolist())),
            ),
            model_releases=(self.model.release,),
        )

    def _embeddings(self, path: Path, duration_s: float) -> FrameEmbeddings:
        config = self.context.config
        with clip_frames.open_clip(path, threads=config.threads, timeout_s=config.subject_timeout_s) as clip:
            wanted = frame_embeddings.evenly_spaced(clip.listed or round(duration_s * clip.fps))
            chosen = list(clip.some(wanted))
        return frame_embeddings.collect(
            [number for number, _ in chosen],
            self.model.embed([frame for _, frame in chosen]),
            frames=clip.count,
            fps=clip.fps,
            metadata={"model_releases": {ROLE: self.model.release}},
        )
