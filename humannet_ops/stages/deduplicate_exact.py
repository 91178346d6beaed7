"""deduplicate_exact: of videos with the same bytes the first stays; decided by sha256 before anything is decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from humannet_ops.catalog import duplicates
from humannet_ops.catalog.connection import Connection
from humannet_ops.catalog.recording import StageRun
from humannet_ops.domain.outcome import Reason
from humannet_ops.domain.records import Result, VideoSubject, kept, rejected
from humannet_ops.domain.stage import StageSpec
from humannet_ops.settings import Settings
from humannet_ops.stages.protocol import Context

SPEC = StageSpec(
    "deduplicate_exact", "video", revision=1, queue="cpu", needs=("fetch",), reads=("fetch",), whole_partition=True
)


def configuration(config: Settings, models: Any) -> dict[str, Any]:
    """Return what else decides the result: nothing."""
    return {}


class DeduplicateExact:
    """Names a survivor for every set of equal files."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def compare(
        self, subjects: Sequence[VideoSubject], link: Connection, run: StageRun
    ) -> Iterator[tuple[VideoSubject, Result]]:
        """Judge all subjects of the shard with one query."""
        duplicates.lock(link, SPEC.name)
        survivors = duplicates.exact_survivors(link, run)
        for subject in subjects:
            survivor = survivors[subject.video_id]
            if survivor == subject.video_id:
                yield subject, kept()
            else:
                yield subject, rejected(Reason.DUPLICATE, detail={"survivor": survivor, "sha256": subject.sha256})
