"""deduplicate_near: an edited copy of another video is rejected, and its outcome names the survivor.

The survivor of a set of copies is the one with the most pixels; among equals the one seen first. A better copy that
comes later takes the place of an earlier survivor, whose outcome then names it.

Candidates have frames whose hashes are near in Hamming distance (catalog/duplicates.py), and each is confirmed by
comparing the two sequences in time before anything is rejected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from humannet_ops.catalog import duplicates
from humannet_ops.catalog.connection import Connection
from humannet_ops.catalog.recording import StageRun
from humannet_ops.domain.outcome import Reason
from humannet_ops.domain.records import Result, VideoSubject, kept, rejected
from humannet_ops.domain.stage import StageSpec
from humannet_ops.media import fingerprints
from humannet_ops.settings import Settings
from humannet_ops.stages.protocol import Context

# Videos whose candidates are looked up in one statement: few enough that a partition of any size fits in memory.
_AT_ONCE = 200

SPEC = StageSpec(
    "deduplicate_near", "video", revision=1, queue="cpu", needs=("analyse",), reads=("analyse",), whole_partition=True
)


def configuration(config: Settings, models: Any) -> dict[str, Any]:
    """Return what else decides the result."""
    return {"radius_bits": fingerprints.SEARCH_RADIUS_BITS}


class DeduplicateNear:
    """Compares every video of the shard with the whole corpus."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def compare(
        self, subjects: Sequence[VideoSubject], link: Connection, run: StageRun
    ) -> Iterator[tuple[VideoSubject, Result]]:
        """Judge the best copies first, so that each later one meets its survivor."""
        duplicates.lock(link, SPEC.name)
        subject_of = {subject.video_id: subject for subject in subjects}
        survivors: set[str] = set()
        for video_id, candidates in _searched(link, duplicates.in_quality_order(link, run, subject_of)):
            better, worse, scores = self._copies(link, run, video_id, candidates, set(subject_of), survivors)
            subject = subject_of[video_id]
            if better is not None:
                yield subject, rejected(Reason.NEAR_DUPLICATE, scores=scores, detail={"survivor": better})
                continue
            survivors.add(video_id)
            yield subject, kept(scores=scores)
            duplicates.displace(link, run, worse, scores, video_id)

    def _copies(
        self,
        link: Connection,
        run: StageRun,
        video_id: str,
        candidates: list[str],
        shard: set[str],
        survivors: set[str],
    ) -> tuple[str | None, list[str], dict[str, Any]]:
        """Find a better copy that stands, and the standing ones that are worse."""
        mine = duplicates.fingerprints(link, video_id)
        order = duplicates.in_quality_order(link, run, [*candidates, video_id])
        rank = {standing.video_id: place for place, standing in enumerate(order)}
        scores: dict[str, Any] = {"candidates": len(candidates)}
        worse: list[str] = []
        for other in order:
            stands = other.video_id in survivors or (other.already_kept and other.video_id not in shard)
            if other.video_id == video_id or not stands:
                continue
            match = fingerprints.confirm(mine, duplicates.fingerprints(link, other.video_id))
            if not match.is_copy:
                continue
            scores |= {"similarity": match.similarity, "overlap_s": match.overlap_s, "mirrored": match.mirrored}
            if rank[other.video_id] < rank[video_id]:
                return other.video_id, [], scores
            worse.append(other.video_id)
        return None, worse, scores


def _searched(link: Connection, order: Sequence[duplicates.Standing]) -> Iterator[tuple[str, list[str]]]:
    """Return each video with its candidates, in the order given."""
    left = iter(order)
    while group := [standing.video_id for standing in islice(left, _AT_ONCE)]:
        found = duplicates.near_candidates(link, group, fingerprints.SEARCH_RADIUS_BITS)
        yield from ((video_id, found[video_id]) for video_id in group)
