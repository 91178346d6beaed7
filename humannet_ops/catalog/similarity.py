"""Finding clips that look like a clip: the nearest in the space of the frame embedder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from humannet_ops.catalog import conditions, reading
from humannet_ops.catalog.connection import Row

# Candidates that the index gives and whole vectors rank, at least: of the true ten nearest, 998 in 1,000 are among 400
# (infra/decisions/0021). Where few of them are wanted, more are looked at, up to the last number.
CANDIDATES, MOST_CANDIDATES = 400, 25_600
_A_ROW = 20
_COLUMNS = ("clip_id", "video_id", "source", "title", "start_s", "end_s", "similarity", "wanted")


@dataclass(frozen=True, slots=True)
class Similar:
    """The clips that look most like one.

    Attributes:
        clips: The most similar first: ``clip_id``, ``video_id``, ``source``, ``title``, ``start_s``, ``end_s``,
            ``similarity`` (cosine, 1 for the same picture, about 0 for clips that have nothing to do with each other).
        looked_at: How many near clips were looked at to find them.
        exhausted: Whether those were all that there are.
    """

    clips: list[Row]
    looked_at: int
    exhausted: bool


def similar(clip_id: str, most: int, *, elsewhere: bool = False, condition: str | None = None) -> Similar:
    """Find the clips that look most like a clip.

    Args:
        clip_id: A clip with an embedding of the stage version that counts.
        most: Clips to find.
        elsewhere: Only clips of other videos.
        condition: A person's SQL over the columns of ``v_corpus``.

    Raises:
        LookupError: there is no such clip, or it has no embedding.
        CatalogError: the catalog does not answer, or Postgres refused the condition.
    """
    asked = reading.row("embedded", clip_id=clip_id)
    if asked is None:
        raise LookupError(f"the catalog has no clip {clip_id}: the view v_clips lists what there is")
    if not asked["embedded"]:
        raise LookupError(
            f"{clip_id} has no embedding yet: `humannet stage run embed --video {asked['video_id']}` makes it, "
            f"and `humannet lineage {clip_id}` says how far it came"
        )
    candidates = max(CANDIDATES, _A_ROW * most)
    while True:
        near = _near(clip_id, candidates, condition)
        wanted = [row for row in near if row.pop("wanted") and not (elsewhere and row["video_id"] == asked["video_id"])]
        exhausted = len(near) < candidates
        if len(wanted) >= most or exhausted or candidates >= MOST_CANDIDATES:
            return Similar(wanted[:most], len(near), exhausted)
        candidates *= 4


def _near(clip_id: str, candidates: int, condition: str | None) -> list[dict[str, Any]]:
    if condition is None:
        return reading.rows("similar_clips", clip_id=clip_id, candidates=candidates)
    found = conditions.ask("similar_clips_where", condition, clip_id=clip_id, candidates=candidates)
    return [dict(zip(_COLUMNS, row, strict=True)) for row in found]
