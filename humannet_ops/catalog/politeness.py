"""What all workers know together about hosts, budgets and disks, so that limits hold for all of them.

A visit is one listing or download in progress. What it holds (its place at hosts, its share of the day's budget, its
disk space) is its own until it ends, or until it was not renewed for ``LEASE_S``: then its worker is dead.
"""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from humannet_ops.catalog.connection import Connection, connect, queries, transaction

LEASE_S = 120.0
AGAIN_S = 2.0
"""When to ask again for a place at a host that has none free, s."""
RESERVED_AGAIN_S = 60.0
"""When to ask again for what others have reserved of a budget, s."""
FIRST_PAUSE_S = 15.0
"""How long a host is left alone after its second failure in a row, s; twice as long after each further one."""
ASKED_PAUSE_S = 60.0
"""The same for a host that asks for less (429) without saying how long."""
LONGEST_PAUSE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Wait:
    """Something is not to be had now: until when, and why."""

    until: datetime.datetime
    now: datetime.datetime
    why: str

    @property
    def seconds(self) -> float:
        """How long that is."""
        return (self.until - self.now).total_seconds()


@dataclass(frozen=True, slots=True)
class Visit:
    """A visit's name and the day (UTC) whose budget it spends."""

    visit_id: str
    source: str
    day: datetime.date

    @property
    def tomorrow(self) -> datetime.datetime:
        """When the next day's budget begins."""
        midnight = datetime.datetime.combine(self.day, datetime.time(), datetime.UTC)
        return midnight + datetime.timedelta(days=1)


class ExpiredError(Exception):
    """A visit was not renewed in time: what it held belongs to others."""


def begin_visit(source: str, worker: str) -> Visit:
    """Open a visit, and clear away those of dead workers."""
    visit_id = "t" + secrets.token_hex(8)
    with connect() as link, transaction(link):
        queries().reap_visits(link)
        row = queries().begin_visit(link, visit_id=visit_id, source=source, worker=worker, lease_s=LEASE_S)
    return Visit(visit_id, source, row["day"])


def renew_visit(visit: Visit, received: int) -> None:
    """Say that a visit goes on and how many bytes it has received.

    Raises:
        ExpiredError: it ran out.
    """
    with connect() as link, transaction(link):
        if not queries().renew_visit(link, visit_id=visit.visit_id, received=received, lease_s=LEASE_S):
            raise ExpiredError(f"the visit {visit.visit_id} was not renewed for {LEASE_S:.0f} s")


def end_visit(visit: Visit, *, items: int, received: int) -> None:
    """Close a visit: what it reserved is free, what it used is spent."""
    with connect() as link, transaction(link):
        queries().end_visit(link, visit_id=visit.visit_id, items=items, received=received)


@contextmanager
def _locked(host: str) -> Iterator[Connection]:
    with connect() as link, transaction(link):
        queries().know_host(link, host=host)
        queries().lock_host(link, host=host)
        yield link


def take_host(visit: Visit, host: str, *, concurrent: int, gap_s: float) -> Wait | None:
    """Take a place at a host and the next moment at which an item may be begun there.

    Args:
        visit: Who asks. If it has its place already, it only takes the moment.
        host: Name, with its port where that is unusual.
        concurrent: Places that the host has for all workers together.
        gap_s: From this moment to the next one, s.

    Returns:
        None if it may go there now, otherwise when to ask again.
    """
    with _locked(host) as link:
        row = queries().wait_for_host(link, host=host, visit_id=visit.visit_id, concurrent=concurrent, again_s=AGAIN_S)
        if row["until"] is not None:
            return Wait(row["until"], row["now"], f"{host}: {row['why']}")
        queries().lease_host(link, host=host, visit_id=visit.visit_id, gap_s=gap_s)
    return None


def leave_hosts(visit: Visit) -> None:
    """Give a visit's places at hosts to others."""
    with connect() as link, transaction(link):
        queries().leave_hosts(link, visit_id=visit.visit_id)


def host_answered(host: str) -> None:
    """Forget a host's failures."""
    with connect() as link, transaction(link):
        queries().host_answered(link, host=host)


def host_failed(host: str, because: str) -> None:
    """Note that a host did not answer as it should; repeated, it is left alone for a while."""
    with _locked(host) as link:
        queries().host_failed(link, host=host, because=because, first_s=FIRST_PAUSE_S, most_s=LONGEST_PAUSE_S)


def close_host(host: str, seconds: float | None, because: str) -> datetime.datetime:
    """Leave a host alone because it asks for that, and return until when.

    Args:
        host: Its name.
        seconds: For how long, where it says so.
        because: What it said.
    """
    with _locked(host) as link:
        row = queries().close_host(
            link, host=host, seconds=seconds, because=because, first_s=ASKED_PAUSE_S, most_s=LONGEST_PAUSE_S
        )
    until: datetime.datetime = row["closed_until"]
    return until


def robots(host: str) -> str | None:
    """Return a host's robots.txt if it was read within a day; empty where it has none."""
    with connect() as link:
        row = queries().robots(link, host=host)
    return str(row["robots"]) if row and row["fresh"] else None


def save_robots(host: str, text: str) -> None:
    """Keep a host's robots.txt for a day."""
    with _locked(host) as link:
        queries().save_robots(link, host=host, robots=text.replace("\0", ""))


def reserve_budget(
    visit: Visit, *, items: int, bytes: int, most_items: int | None, most_bytes: int | None
) -> Wait | None:
    """Reserve a visit's share of its source's budget of the day, in place of what it had reserved.

    Returns:
        None if it is reserved; otherwise it must wait: for the next day, or, where others have reserved what it needs,
        to see what they leave.
    """
    with connect() as link, transaction(link):
        queries().lock_budget(link, source=visit.source)
        used = queries().budget_used(link, source=visit.source, day=visit.day, visit_id=visit.visit_id)
        for unit, wanted, most in (("items", items, most_items), ("bytes", bytes, most_bytes)):
            if most is not None and used[unit] + used["reserved_" + unit] + wanted > most:
                now = datetime.datetime.now(datetime.UTC)
                if used[unit] + wanted > most:
                    return Wait(visit.tomorrow, now, f"{visit.source} has used its {most} {unit} of {visit.day}")
                until = now + datetime.timedelta(seconds=RESERVED_AGAIN_S)
                why = f"what is left of the {most} {unit} of {visit.source} for {visit.day} is promised to others"
                return Wait(until, now, why)
        queries().reserve_budget(link, visit_id=visit.visit_id, items=items, bytes=bytes)
    return None


def reserve_disk(visit: Visit, *, volume: str, free: int, written: int, bytes: int) -> bool:
    """Reserve disk space for a visit, in place of what it had reserved.

    Args:
        visit: Who asks.
        volume: Which disk.
        free: What is free on it, before others write what they have reserved, bytes.
        written: What of ``bytes`` is on the disk already.
        bytes: What the visit needs from its beginning to its end.

    Returns:
        Whether there was enough.
    """
    with connect() as link, transaction(link):
        queries().lock_volume(link, volume=volume)
        others = queries().disk_reserved(link, volume=volume, visit_id=visit.visit_id)
        if free - int(others) < bytes - written:
            return False
        queries().reserve_disk(link, volume=volume, visit_id=visit.visit_id, bytes=bytes)
    return True


def known(source: str, items: Iterable[tuple[str, str | None, str | None]]) -> dict[int, str]:
    """Return which items a source has already, with the crawl day that brought each ('' for what was taken down).

    Args:
        source: Its name.
        items: Address, extractor and the site's own name of each.

    Returns:
        Place in ``items`` -> crawl day.
    """
    columns: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
    for item in items:
        for column, value in zip(columns, item, strict=True):
            column.append(value)
    with connect() as link:
        uris, extractors, ids = columns
        rows = queries().known_entries(link, source=source, uris=uris, extractors=extractors, ids=ids)
        return {row["ordinal"] - 1: row["partition_key"] for row in rows}
