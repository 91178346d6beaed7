"""screen_content: what in a clip asks for care: restricted content, faces, readable text, and talk of children.

It rejects nothing: what reaches a limit of ``domain/screening.yaml`` sends the clip to a person (`humannet review`).
The causes go where the role ``reader`` cannot see them; no text is written down, nobody's age or identity is judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from humannet_ops.detectors.factory import open_detectors
from humannet_ops.domain.records import Annotation, ClipSubject, Result, kept
from humannet_ops.domain.screening import causes, screening, words_about_children
from humannet_ops.domain.stage import StageSpec
from humannet_ops.media import detections
from humannet_ops.media import screening as screened
from humannet_ops.media.track_file import PARQUET
from humannet_ops.settings import Settings
from humannet_ops.stages.looking import look
from humannet_ops.stages.protocol import Context

if TYPE_CHECKING:
    from humannet_ops.detectors.lock import ModelLock

FACES, TEXTS = ROLES = ("face_boxes", "screen_text")
SPEC = StageSpec(
    "screen_content", "clip", revision=1, queue="gpu", needs=("cut",), reads=("cut", "detect"), roles=ROLES
)
# Who comes into the picture stays for longer than half a second; what is written there, for longer than one. A look at
# a face takes 0.13 s of two cores, at text 0.2 s, at a page full of it 1 s.
FACE_LOOKS_PER_S, TEXT_LOOKS_PER_S = 2.0, 1.0


def configuration(config: Settings, models: ModelLock) -> dict[str, Any]:
    """Return what else decides the result: how often is looked, limits and words."""
    return {"looks_per_s": [FACE_LOOKS_PER_S, TEXT_LOOKS_PER_S], **asdict(screening())}


class ScreenContent:
    """Screens one clip."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.faces, self.texts = (open_detectors((role,), context.models, context.config) for role in ROLES)
        self.releases = (*self.faces.releases, *self.texts.releases)

    def process(self, subject: ClipSubject) -> Result:
        """Look, measure, and say who must look too."""
        looks = (self.faces, FACE_LOOKS_PER_S), (self.texts, TEXT_LOOKS_PER_S)
        with self.context.store.local(subject.inputs["clip"].uri) as path:
            (faces, texts), clip = look(path, looks, self.context.config)
        scores = screened.scores(faces, texts, self._restricted(subject), screening())
        asked = causes(scores, words_about_children(spoken(subject)))
        target = self.context.scratch / "screening.parquet"
        screened.write(
            target, faces, texts, fps=clip.fps, size=(clip.width, clip.height), frames=clip.count,
            model_releases=dict(zip(ROLES, self.releases, strict=True)),
        )  # fmt: skip
        artifact = self.context.store.put(target, kind=screened.KIND, suffix=".parquet", media_type=PARQUET)
        return kept(
            scores={**scores, "needs_review": bool(asked)},
            detail={"looks": {"faces": len(faces), "text": len(texts)}},
            artifacts=(artifact,),
            records=(Annotation(SPEC.name, self.releases[0], scores, artifact), *asked),
            model_releases=self.releases,
        )

    def _restricted(self, subject: ClipSubject) -> float:
        with self.context.store.local(subject.video.inputs["detections"].uri) as path:
            return screened.restricted_score(detections.read(path), subject.start_s, subject.end_s)


def spoken(subject: ClipSubject) -> Iterator[str]:
    """Give out what a source says about a clip's video: title, description, tags, categories, captions of segments."""
    published = subject.video.published
    yield subject.video.title or ""
    for key in ("description", "tags", "categories"):
        said = published.get(key)
        yield from (str(one) for one in (said if isinstance(said, list) else [said]) if one)
    segments = published.get("segments")
    for segment in segments if isinstance(segments, list) else ():
        if isinstance(segment, dict):
            yield str(segment.get("caption") or "")
