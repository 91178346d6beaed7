"""fetch: copy what a source offers into the object store, with checksum and provenance, and see that it is video."""

from __future__ import annotations

import mimetypes
from dataclasses import replace
from typing import Any

from humannet_ops.domain.outcome import Reason, SubjectError
from humannet_ops.domain.records import Result, VideoSubject, kept
from humannet_ops.domain.stage import StageSpec
from humannet_ops.media.container import check_readable
from humannet_ops.media.probe import probe
from humannet_ops.settings import Settings
from humannet_ops.sources import folder
from humannet_ops.stages.protocol import Context

SPEC = StageSpec("fetch", "video", revision=1, queue="crawl")


def configuration(config: Settings, models: Any) -> dict[str, Any]:
    """Return what else decides the result."""
    return {"max_pixels": config.max_pixels}


class Fetch:
    """Fetches one video."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def process(self, subject: VideoSubject) -> Result:
        """Probe first: what is no video is not copied. Then copy while hashing, and see that nobody wrote meanwhile."""
        path = folder.path_of(subject.origin_uri)
        check_readable(path)
        before = folder.signature(path)
        suffix = path.suffix.lower() if path.suffix.isascii() else ""
        video = probe(path, max_pixels=self.context.config.max_pixels)
        artifact = self.context.store.put(
            path, kind="video", suffix=suffix, media_type=mimetypes.guess_type("x" + suffix)[0] or "video/mp4"
        )
        if folder.signature(path) != before:
            raise SubjectError(
                Reason.CHANGED_WHILE_READ, f"{path} was being written while it was read. It is tried again later."
            )
        return kept(
            artifacts=(artifact,),
            records=(replace(video, sha256=artifact.sha256, bytes=artifact.bytes),),
            detail={"fetched_from": subject.origin_uri, "client": "folder"},
        )
