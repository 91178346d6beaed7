"""Recording what a pass of a source saw: set-based, so that a million unchanged entries cost a few joins."""

from __future__ import annotations

import csv
import datetime
import io
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, cast

from psycopg2.extras import Json, execute_values

from humannet_ops.catalog import storable
from humannet_ops.catalog.connection import Connection, Row, connect, queries, transaction
from humannet_ops.settings import settings

logger = logging.getLogger(__name__)


MOST_FAULTS = 1000
"""How many faults of a listing are kept; all are counted."""
_LOGGED_FAULTS = 20
# New videos after which the planner needs new figures.
_MANY = 10_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that a source offers.

    Attributes:
        origin_uri: Its address, which names it within the source.
        signature: Changes whenever the content may have; empty where the source cannot tell.
        canonical_uri: The address without what does not name the item; equal means the same item, in any source.
        extractor: yt-dlp's name of the site, with ``extractor_id`` the site's own name of the item.
        channel_id: Who published it, ``<extractor>:<channel>``.
        uploaded_on: The day of publication, where the source says it.
        duration_s: As the source says; the probe of the fetched file overrides it.
        published: What else the source says: description, tags, segments.
        keyword_id: The keyword that found it, where one did.
    """

    origin_uri: str
    signature: str
    title: str | None = None
    license: str | None = None
    canonical_uri: str | None = None
    extractor: str | None = None
    extractor_id: str | None = None
    channel_id: str | None = None
    uploader: str | None = None
    uploaded_on: datetime.date | None = None
    duration_s: float | None = None
    published: Mapping[str, Any] = field(default_factory=dict)
    keyword_id: str | None = None


@dataclass(frozen=True, slots=True)
class Discovery:
    """How many entries were new, changed in content, known and unchanged, other addresses of known items, or gone.

    ``barred`` entries are covered by a takedown: nothing of them is recorded.
    """

    new: int
    changed: int
    known: int
    aliases: int = 0
    gone: int = 0
    barred: int = 0


@dataclass(kw_only=True)
class Report:
    """What a pass says about itself while it lists. It is read when the entries are through.

    Attributes:
        complete: The entries name everything that the source still offers, so what they miss is gone.
        unchanged: The source offers exactly what it did at the last pass, and no entry was listed.
        remember: What the next pass shall know; written in one transaction with what was found.
        faults: The first rows of the listing that could not be read as they should, with what is wrong, by line.
        fault_count: How many there are.
    """

    complete: bool = False
    unchanged: bool = False
    remember: dict[str, Any] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)
    fault_count: int = 0

    def fault(self, line: int, reason: str) -> None:
        """Note what is wrong with a row of the listing, and what became of it. One fault a line is kept."""
        self.fault_count += 1
        if len(self.faults) < MOST_FAULTS:
            self.faults.setdefault(line, reason)


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass of a source for one crawl day.

    Attributes:
        source: The source's name.
        kind: The kind of source.
        uri: Where it is, for people.
        partition_key: The crawl day.
        terms: A note on the terms under which the source is used.
        watermark: The upload day through which it looks (YYYY-MM-DD), where the source has such days.
        dag_id: The Airflow DAG that asked.
        run_id: Its run.
    """

    source: str
    kind: str
    uri: str
    partition_key: str
    terms: str | None = None
    watermark: str | None = None
    dag_id: str | None = None
    run_id: str | None = None


def record_entries(
    crawl: Pass,
    entries: Iterable[Entry],
    digest: Callable[[str], str | None] | None = None,
    report: Report | None = None,
) -> Discovery:
    """Write everything that a pass found, and the pass itself, in one transaction.

    Every entry that is new or whose content changed becomes a video. One that is known under another address (by the
    site's own name or the canonical address) becomes an alias; edits and disappearances are noted. Entries of one
    origin are one: the first counts, and the segments of all are its segments.

    Nothing is held in memory but one entry: the listing, which may take hours, is spooled to disk before the catalog is
    touched. Where another pass of the source began later and was recorded before, this one's silence about an item
    says nothing, and it leaves no memory.

    Args:
        crawl: The pass.
        entries: Streamed.
        digest: Reads one origin's content and returns its sha256 (None if it cannot be read). Asked only for entries
            with a new signature whose last version was fetched: a touched file with the same bytes is no new version.
        report: What the pass says about itself; filled while the entries are streamed.
    """
    report = report or Report()
    started_at = datetime.datetime.now(datetime.UTC)
    where = {"source": crawl.source, "partition_key": crawl.partition_key}
    with _spooled(entries) as (spool, seen), connect() as link, transaction(link):
        queries().upsert_source(link, source=crawl.source, kind=crawl.kind, uri=crawl.uri)
        queries().lock_source(link, source=crawl.source)
        overtaken = bool(queries().is_overtaken(link, source=crawl.source, started_at=started_at))
        fault_count = report.fault_count
        if report.unchanged:
            last = queries().last_crawl(link, source=crawl.source) or {"seen": 0, "offered": 0, "faults": 0}
            found = Discovery(0, 0, last["offered"])
            seen, fault_count = last["seen"], last["faults"]
        else:
            found = _record_listing(link, crawl, spool, digest, complete=report.complete and not overtaken)
        if not overtaken:
            _record_report(link, crawl, report)
        queries().record_crawl(
            link, **where, started_at=started_at, dag_id=crawl.dag_id, run_id=crawl.run_id, watermark=crawl.watermark,
            seen=seen, new=found.new, changed=found.changed, known=found.known, aliases=found.aliases, gone=found.gone,
            barred=found.barred, offered=found.new + found.changed + found.known, faults=fault_count,
            unchanged=report.unchanged,
        )  # fmt: skip
    return found


def _record_listing(
    link: Connection, crawl: Pass, spool: IO[bytes], digest: Callable[[str], str | None] | None, *, complete: bool
) -> Discovery:
    where = {"source": crawl.source, "partition_key": crawl.partition_key}
    queries().create_entries(link)
    with link.cursor() as cursor:
        cursor.copy_expert(queries().copy_entries.sql, spool, size=1 << 16)
    queries().collect_found(link)
    queries().merge_entries(link)
    barred = int(queries().bar_entries(link, source=crawl.source))
    queries().find_latest(link, source=crawl.source)
    queries().find_unknown(link)
    queries().find_aliases(link)
    queries().settle_signatures(link)
    if digest:
        _keep_versions(link, digest)
    known = int(queries().count_latest(link))
    queries().find_edited(link)
    queries().record_edits(link, partition_key=crawl.partition_key)
    inserted = queries().insert_new_versions(link, **where, terms=crawl.terms)
    if inserted["new"] >= _MANY:
        queries().analyse_videos(link)
    aliases = int(queries().insert_aliases(link, **where))
    gone = int(queries().mark_gone(link, **where)) if complete else 0
    queries().mark_back(link, **where)
    queries().link_keywords(link, **where)
    queries().mark_inserted(link, source=crawl.source)
    return Discovery(inserted["new"], inserted["changed"], known - inserted["changed"], aliases, gone, barred)


def _keep_versions(link: Connection, digest: Callable[[str], str | None]) -> None:
    """Compare the bytes of what was fetched and has a new signature, in batches: a disk that moved changes them all."""
    with link.cursor("changed_entries") as cursor:
        cursor.execute(queries().changed_entries.sql)
        while rows := cast(list[Row], cursor.fetchmany(1000)):
            same = [row["video_id"] for row in rows if row["sha256"] == digest(row["origin_uri"])]
            queries().keep_versions(link, video_ids=same)


def _record_report(link: Connection, crawl: Pass, report: Report) -> None:
    for key, value in report.remember.items():
        queries().remember(link, source=crawl.source, key=key, value=Json(storable.plain(value)))
    if report.unchanged:
        return
    queries().forget_faults(link, source=crawl.source)
    for line, reason in list(report.faults.items())[:_LOGGED_FAULTS]:
        logger.warning("%s, line %d: %s", crawl.source, line, reason)
    if report.fault_count:
        logger.warning("%s: %d faults in its listing (table listing_faults)", crawl.source, report.fault_count)
        rows = [
            (crawl.source, line, storable.text(reason), crawl.partition_key) for line, reason in report.faults.items()
        ]
        with link.cursor() as cursor:
            execute_values(cursor, queries().insert_faults.sql, rows, page_size=1000)


def watermark(source: str) -> str | None:
    """Return the upload day through which a source was looked at, YYYY-MM-DD."""
    with connect() as link:
        found: str | None = queries().watermark(link, source=source)
    return found


def memory(source: str) -> dict[str, Any]:
    """Return what earlier passes of a source left for later ones."""
    with connect() as link:
        return {row["key"]: row["value"] for row in queries().remembered(link, source=source)}


@contextmanager
def _spooled(entries: Iterable[Entry]) -> Iterator[tuple[IO[bytes], int]]:
    """Write the entries to a temporary file as CSV; give it, rewound, and how many there are."""
    folder = settings().home / "scratch"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as spool:
        lines = io.TextIOWrapper(spool, encoding="utf-8", newline="", write_through=False)
        writer = csv.writer(lines)
        seen = 0
        for seen, entry in enumerate(entries, start=1):
            writer.writerow(_row(seen, entry))
        lines.flush()
        lines.detach()
        spool.seek(0)
        yield spool, seen


def _row(ordinal: int, entry: Entry) -> list[object]:
    fields = (
        entry.origin_uri, entry.signature, entry.title, entry.license, entry.canonical_uri, entry.extractor,
        entry.extractor_id, entry.channel_id, entry.uploader,
    )  # fmt: skip
    published = storable.json_text(entry.published) if entry.published else None
    return [
        ordinal, *(storable.text(value) if value else value for value in fields), entry.uploaded_on, entry.duration_s,
        published, entry.keyword_id,
    ]  # fmt: skip
