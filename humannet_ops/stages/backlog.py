"""What is still to be done, in words: what is due, what waits, and what takes it up."""

from __future__ import annotations

from contextlib import suppress

from humannet_ops.catalog import reading
from humannet_ops.catalog.connection import Row
from humannet_ops.detectors.lock import ModelError
from humannet_ops.settings import settings
from humannet_ops.stages import registry

TAKEN_UP_BY = "`make run`, or the DAG revisit_partitions (hourly)"


def lines(source: str | None = None, video_id: str | None = None, clip_id: str | None = None) -> list[str]:
    """Say what is due at the versions that count now, what waits and for what; nothing where nothing does.

    Args:
        source: Only this source's.
        video_id: Only this video and its clips.
        clip_id: Only this clip of it.
    """
    said = []
    due = reading.rows("due", source=source, video_id=video_id, clip_id=clip_id, max_attempts=settings().max_attempts)
    if due:
        subjects = ", ".join(_due(row) for row in due)
        said.append(f"Due at the versions that count now: {subjects}. {TAKEN_UP_BY}, takes it up.")
    said += [
        f"{row['subjects']} at {row['stage']} wait for {row['cause']}: "
        f"the first until {row['first_at']:%Y-%m-%d %H:%M} UTC."
        for row in reading.rows("waiting", source=source, video_id=video_id)
    ]
    # without models the versions of this code are unknown; what is in the catalog can be told all the same
    with suppress(ModelError):
        if changed := changed_stages():
            said.append(
                f"This code, its policy or its models give other versions of {', '.join(changed)} than the catalog "
                f"counts: {TAKEN_UP_BY}, does that work again."
            )
    return said


def changed_stages() -> list[str]:
    """Return the stages that have another version in this code, with its policy and models, than the catalog counts.

    Raises:
        ModelError: no models are installed, on which versions depend.
    """
    counted = {row["stage"]: row["version"] for row in reading.rows("stage_versions")}
    return [name for name, version in registry.versions().items() if counted.get(name) != version]


def _due(row: Row) -> str:
    some = f"{row['subjects']} {row['subject']}{'s' * (row['subjects'] != 1)} at {row['stage']}"
    if not row["before"]:
        return some
    before = "" if row["before"] == row["subjects"] else f"{row['before']} of them "
    return f"{some} ({before}before: {row['ended']})"
