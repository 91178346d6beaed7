"""How a total is made up, so that nothing is missing from it."""

from __future__ import annotations

from collections.abc import Mapping


def ledger_line(what: str, counts: Mapping[str, int]) -> str:
    """Say it in one line: ``Videos: 3 in = 1 kept + 2 rejected + 0 failed``; what is pending only if anything is.

    Args:
        what: Videos or Clips.
        counts: Under ``videos`` or ``clips`` the total, and a count for each status.
    """
    statuses = [name for name in ("kept", "rejected", "failed", "pending") if counts[name] or name != "pending"]
    return f"{what}: {counts[what.lower()]} in = " + " + ".join(f"{counts[name]} {name}" for name in statuses)


def spoken_hours(hours: float) -> str:
    """Say a length of video in the unit that fits it."""
    seconds = hours * 3600
    if seconds < 119.5:
        return f"{seconds:.0f} s" if seconds >= 9.95 or not seconds else f"{seconds:.1f} s"
    if hours < 2:
        return f"{seconds / 60:.1f} min"
    return f"{hours:,.1f} h"
