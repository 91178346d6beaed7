"""Videos that a person let pass although the licence policy of their source asks for review."""

from __future__ import annotations

from dataclasses import dataclass

from humannet_ops.catalog.connection import connect, queries, transaction


@dataclass(frozen=True, slots=True)
class Approval:
    """How many videos a person let pass, and how many of them were rejected for it and are due again."""

    approved: int
    due: int


def approve(*, video_id: str | None, source: str | None, approved_by: str, note: str | None) -> Approval:
    """Let one video pass, or all of a source that wait for a person now.

    Raises:
        LookupError: there is no such video.
    """
    with connect() as link, transaction(link):
        row = queries().approve_videos(link, video_id=video_id, source=source, approved_by=approved_by, note=note)
    if video_id is not None and not row["approved"]:
        raise LookupError(f"no video {video_id} in the catalog: `humannet status --videos` lists them")
    return Approval(row["approved"], row["due"])
