"""Channels: paused by what is kept of their videos, pinned or banned by a person."""

from __future__ import annotations

from humannet_ops.catalog.connection import connect, queries, transaction


def pause_poor(source: str, *, after_videos: int, kept_share_below: float) -> dict[str, str]:
    """Pause the channels of a source of whose fetched and decided videos too small a share was kept.

    Pinned channels are never paused, banned ones stay banned; a channel that a person released is judged by the videos
    found since then.

    Returns:
        The paused channels with the reasons, in words.
    """
    with connect() as link, transaction(link):
        rows = queries().pause_poor_channels(
            link, source=source, after_videos=after_videos, kept_share_below=kept_share_below
        )
        return {row["channel_id"]: row["reason"] for row in rows}


def pin(channel_id: str, person: str, note: str | None = None) -> int:
    """Keep a channel whatever it brings; return how many of its rejected candidates became due again.

    Raises:
        LookupError: the catalog has no such channel.
    """
    return _decide(channel_id, "pinned", person, note)


def release(channel_id: str, person: str, note: str | None = None) -> int:
    """Take back what was decided about a channel; return how many of its rejected candidates became due again.

    Raises:
        LookupError: the catalog has no such channel.
    """
    return _decide(channel_id, "active", person, note)


def ban(channel_id: str, person: str, note: str | None = None) -> None:
    """Fetch nothing more of a channel.

    Raises:
        LookupError: the catalog has no such channel.
    """
    _decide(channel_id, "banned", person, note)


def _decide(channel_id: str, status: str, person: str, note: str | None) -> int:
    with connect() as link, transaction(link):
        if not queries().is_channel_known(link, channel_id=channel_id):
            raise LookupError(f"no channel {channel_id!r} in the catalog: `humannet channel list`")
        queries().decide_channel(link, channel_id=channel_id, status=status, reason=note, decided_by=person)
        if status == "banned":
            return 0
        return int(queries().forget_channel_rejections(link, channel_id=channel_id))
