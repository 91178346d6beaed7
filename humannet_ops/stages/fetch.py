"""fetch: bring what a source offers into the object store, with checksum and provenance, and see that it is video."""

from __future__ import annotations

import datetime
import json
import mimetypes
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from humannet_ops.catalog import fetching
from humannet_ops.domain.outcome import Reason, SubjectError
from humannet_ops.domain.records import Artifact, Result, VideoSubject, kept, rejected
from humannet_ops.domain.stage import StageSpec
from humannet_ops.media.probe import probe
from humannet_ops.settings import Settings
from humannet_ops.sources import config as source_config
from humannet_ops.sources import kinds
from humannet_ops.sources.protocol import Credentials, Fetched, Source
from humannet_ops.stages.protocol import Context
from humannet_ops.storage import sha256_of

SPEC = StageSpec("fetch", "video", revision=1, queue="crawl")


def configuration(config: Settings, models: Any) -> dict[str, Any]:
    """Return what else decides the result."""
    return {"max_pixels": config.max_pixels}


class Fetch:
    """Fetches one video."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.sources: dict[str, Source[Any]] = {}

    def process(self, subject: VideoSubject) -> Result:
        """Ask whether it may be fetched; probe before copying: what is no video is not stored."""
        source = self._source(subject.source)
        _gate(subject, source)
        folder = self.context.config.home / "incoming" / subject.video_id
        with source.fetch(subject, folder, self._credentials(source)) as fetched:
            if taken_down := _content_taken_down(fetched.path):
                detail = {"sha256": taken_down, "message": "these bytes were taken down under another name"}
                return rejected(Reason.TAKEN_DOWN, detail=detail)
            video = probe(fetched.path, max_pixels=self.context.config.max_pixels)
            artifact = self._store(fetched.path)
        provenance = {
            "fetched_from": fetched.url,
            "client": fetched.client,
            "fetched_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        return kept(
            artifacts=(artifact, *self._metadata(fetched)),
            records=(replace(video, sha256=artifact.sha256, bytes=artifact.bytes),),
            detail=provenance,
        )

    def _source(self, name: str) -> Source[Any]:
        if name not in self.sources:
            self.sources[name] = kinds.open_source(source_config.load(name))
        return self.sources[name]

    def _credentials(self, source: Source[Any]) -> Callable[[], Credentials | None]:
        connection = getattr(source.config, "connection", None)
        return lambda: self.context.credentials(connection) if connection else None

    def _store(self, path: Path) -> Artifact:
        suffix = path.suffix.lower() if path.suffix.isascii() else ""
        media_type = mimetypes.guess_type("x" + suffix)[0] or "video/mp4"
        return self.context.store.put(path, kind="video", suffix=suffix, media_type=media_type)

    def _metadata(self, fetched: Fetched) -> tuple[Artifact, ...]:
        """Keep what the source said, as it said it."""
        if not fetched.metadata:
            return ()
        path = self.context.scratch / "metadata.json"
        path.write_text(_json(fetched.metadata))
        return (self.context.store.put(path, kind="metadata", suffix=".json", media_type="application/json"),)


def _gate(subject: VideoSubject, source: Source[Any]) -> None:
    """See that nothing forbids fetching it, before the network is touched.

    Raises:
        SubjectError: taken_down, channel_rejected, license_denied or license_review.
    """
    if barred := fetching.bar(subject.video_id):
        raise SubjectError(*barred)
    verdict = source.config.license_policy.verdict(subject.license)
    if verdict == "deny":
        raise SubjectError(Reason.LICENSE_DENIED, f"the licence {subject.license or 'is not stated and'} is denied")
    if verdict == "review" and not fetching.is_approved(subject.video_id):
        raise SubjectError(
            Reason.LICENSE_REVIEW,
            f"its licence ({subject.license or 'not stated'}) asks for a person: "
            f"`humannet source approve --video {subject.video_id}`, or allow it in {subject.source}.yaml",
        )


def _content_taken_down(path: Path) -> str | None:
    """Return a file's sha256 if a takedown covers its bytes."""
    if not fetching.is_any_content_taken_down():
        return None
    with path.open("rb") as stream:
        sha256 = sha256_of(stream)[0]
    return sha256 if fetching.is_content_taken_down(sha256) else None


def _json(metadata: Mapping[str, Any]) -> str:
    return json.dumps(metadata, ensure_ascii=False, sort_keys=True, default=str)
