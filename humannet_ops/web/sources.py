"""The sources' pages as values: what each is, when it is crawled next, what it brought, what it waits for."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from humannet_ops.catalog import reading
from humannet_ops.sources import config

MOST_VIDEOS, MOST_CRAWLS, MOST_CHANGES = 200, 60, 60


@dataclass(frozen=True, slots=True)
class SourceCard:
    """A source's file and its rows in the catalog.

    Attributes:
        name: The file's and the DAG's.
        config: What the file says; None where it cannot be used.
        fault: Why not.
        next_run: When its schedule crawls next (unless its DAG is paused).
        found: The row of ``source_yields``; None before its first crawl.
    """

    name: str
    config: config.SourceConfig | None
    fault: str | None
    next_run: datetime.datetime | None
    found: dict[str, Any] | None


def cards(now: datetime.datetime) -> list[SourceCard]:
    """Return every source that has a file or rows, in name order."""
    yields = {row["source"]: row for row in reading.rows("source_yields", source=None)}
    made = [_card(path.stem, now, yields.pop(path.stem, None)) for path in config.files()]
    made += [
        SourceCard(name, None, f"dags/sources/{name}.yaml was removed; what it brought stays.", None, row)
        for name, row in yields.items()
    ]
    return sorted(made, key=lambda card: card.name)


def card(name: str, now: datetime.datetime) -> SourceCard | None:
    """Return one source, None if there is neither a file nor a row of that name."""
    known = {path.stem for path in config.files()}
    found = next(iter(reading.rows("source_yields", source=name)), None)
    return _card(name, now, found) if name in known or found else None


def details(name: str) -> dict[str, Any]:
    """Return a source's latest crawls, videos and changes upstream."""
    return {
        "crawls": reading.rows("source_crawls", source=name, most=MOST_CRAWLS),
        "videos": reading.rows("source_videos", source=name, most=MOST_VIDEOS),
        "changes": reading.rows("source_changes", source=name, most=MOST_CHANGES),
    }


def _card(name: str, now: datetime.datetime, found: dict[str, Any] | None) -> SourceCard:
    from croniter import croniter

    try:
        described = config.load(name)
    except config.SourceError as error:
        return SourceCard(name, None, str(error), None, found)
    return SourceCard(name, described, None, croniter(described.schedule, now).get_next(datetime.datetime), found)
