"""deduplicate_near: an edited copy of another video is rejected, and its outcome names the survivor.

The survivor of a set of copies is the one with the most pixels; among equals the one seen first. A better copy that
comes later takes the place of an earlier survivor, whose outcome then names it.

Which videos are copies of each other was found by ``find_copies``; to decide takes a few statements for a whole crawl
day, so that crawl days, which must take turns here, hold each other up for moments only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from humannet_ops.catalog import duplicates
from humannet_ops.catalog.connection import Connection
from humannet_ops.catalog.recording import StageRun
from humannet_ops.domain.outcome import Reason
from humannet_ops.domain.records import Copy, Result, VideoSubject, kept, rejected
from humannet_ops.domain.stage import StageSpec
from humannet_ops.settings import Settings
from humannet_ops.stages import registry
from humannet_ops.stages.protocol import Context

SPEC = StageSpec(
    "deduplicate_near",
    "video",
    revision=2,
    queue="cpu",
    needs=("find_copies",),
    reads=("find_copies",),
    whole_partition=True,
)


def configuration(config: Settings, models: Any) -> dict[str, Any]:
    """Return what else decides the result: nothing."""
    return {}


class DeduplicateNear:
    """Decides for a whole crawl day which of its copies stay."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def compare(
        self, subjects: Sequence[VideoSubject], link: Connection, run: StageRun
    ) -> Iterator[tuple[VideoSubject, Result]]:
        """Judge the best copies first, so that each later one meets its survivor."""
        duplicates.lock(link, SPEC.name)
        subject_of = {subject.video_id: subject for subject in subjects}
        copies = duplicates.copies(link, list(subject_of), registry.versions())
        others = {copy.other_id for found in copies.values() for copy in found}
        order = duplicates.in_quality_order(link, run, subject_of.keys() | others)
        rank = {entry.video_id: place for place, entry in enumerate(order)}
        # whom another run kept while this one waited for the lock is not judged again
        stands = {entry.video_id for entry in order if entry.already_kept}
        for video_id in (entry.video_id for entry in order if not entry.already_kept and entry.video_id in subject_of):
            standing = sorted(
                (copy for copy in copies.get(video_id, ()) if copy.other_id in stands),
                key=lambda copy: rank[copy.other_id],
            )
            if standing and rank[standing[0].other_id] < rank[video_id]:
                best = standing[0]
                detail = {"survivor": best.other_id}
                yield subject_of[video_id], rejected(Reason.NEAR_DUPLICATE, scores=_scores(best), detail=detail)
                continue
            stands.add(video_id)
            yield subject_of[video_id], kept()
            for worse in standing:
                stands.remove(worse.other_id)
                duplicates.displace(link, run, worse.other_id, _scores(worse), video_id)


def _scores(copy: Copy) -> dict[str, Any]:
    return {"similarity": copy.similarity, "overlap_s": copy.overlap_s, "mirrored": copy.mirrored}
