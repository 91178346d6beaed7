"""What people decide about clips that they were asked to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from humannet_ops.catalog import storable
from humannet_ops.catalog.connection import connect, queries, transaction

Decision = Literal["passed", "withheld", "reopened"]


def decide(clip_ids: Sequence[str], decision: Decision, *, decided_by: str, note: str | None) -> int:
    """Write down one decision about clips, with the causes that are known now.

    A clip that is withheld is ``rejected`` at once, with the reason ``withheld``; nothing of it is removed
    (`humannet takedown` removes). The latest decision counts, the earlier ones stay.

    Args:
        clip_ids: The clips.
        decision: ``passed``; ``withheld``; or ``reopened``: it waits for a person again.
        decided_by: Who decides.
        note: Why, for whoever looks later.

    Returns:
        How many clips were decided on: each named clip once.

    Raises:
        LookupError: there is no such clip; then nothing is decided.
    """
    named = sorted(set(clip_ids))
    with connect(patient=False) as link:
        known = {row["clip_id"] for row in queries().reviewable_clips(link, clip_ids=named)}
        link.rollback()
        if missing := [clip_id for clip_id in named if clip_id not in known]:
            raise LookupError(f"no clip {missing[0]}: `humannet review list` lists those that wait")
        with transaction(link):
            queries().insert_reviews(
                link, clip_ids=named, decision=decision, decided_by=storable.text(decided_by),
                note=None if note is None else storable.text(note),
            )  # fmt: skip
    return len(named)
