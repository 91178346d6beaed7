"""find_copies: which other videos of the catalog a video is an edited copy of, or they of it.

Candidates have frames whose hashes are near in Hamming distance (catalog/duplicates.py), and each is confirmed by
comparing the two sequences in time. Which of two copies stays is decided by ``deduplicate_near``.

Shards look side by side and wait for nobody. A video is looked up when its own fingerprints are in the catalog, so of
two copies the one that is looked up last meets the other. It writes that down before it is decided about, so whichever
of the two is decided about last knows of both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from humannet_ops.catalog import duplicates
from humannet_ops.catalog.connection import connect, transaction
from humannet_ops.domain.records import Copy, Result, VideoSubject, kept
from humannet_ops.domain.stage import StageSpec
from humannet_ops.media import fingerprints
from humannet_ops.settings import Settings
from humannet_ops.stages import registry
from humannet_ops.stages.protocol import Context

# Videos whose candidates are looked up in one statement: few enough that a shard of any size fits in memory.
_AT_ONCE = 200

SPEC = StageSpec("find_copies", "video", revision=1, queue="cpu", needs=("analyse",), reads=("analyse",))


def configuration(config: Settings, models: Any) -> dict[str, Any]:
    """Return what else decides the result."""
    return {"radius_bits": fingerprints.SEARCH_RADIUS_BITS}


class FindCopies:
    """Compares a video with the whole corpus."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._order: list[str] = []
        self._candidates: dict[str, list[str]] = {}

    @contextmanager
    def ahead(self, subjects: Sequence[VideoSubject]) -> Iterator[None]:
        """Keep one connection for the shard, and what will be asked for."""
        self._order = [subject.video_id for subject in subjects]
        with connect() as self._link:
            yield

    def process(self, subject: VideoSubject) -> Result:
        """Confirm a video's candidates one by one. The first of every ``_AT_ONCE`` videos looks up those of all."""
        if subject.video_id not in self._candidates:
            place = self._order.index(subject.video_id)
            with transaction(self._link):
                self._candidates = duplicates.near_candidates(
                    self._link, self._order[place : place + _AT_ONCE], fingerprints.SEARCH_RADIUS_BITS
                )
        found = []
        with transaction(self._link):
            candidates = duplicates.comparable(self._link, self._candidates[subject.video_id], registry.versions())
            mine = duplicates.fingerprints(self._link, subject.video_id) if candidates else []
            for other_id in candidates:
                match = fingerprints.confirm(mine, duplicates.fingerprints(self._link, other_id))
                if match.is_copy:
                    found.append(Copy(other_id, match.similarity, match.overlap_s, match.mirrored))
        return kept(scores={"candidates": len(candidates), "copies": len(found)}, records=tuple(found))
