"""Recording what a pass of a source saw: set-based, so that a million unchanged entries cost one join."""

from __future__ import annotations

import csv
import datetime
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO, cast

from psycopg2.extras import Json

from humannet_ops.catalog.connection import Connection, connect, queries, transaction

_COLUMNS = (
    "origin_uri, signature, title, license, canonical_uri, extractor, extractor_id, channel_id, uploader, uploaded_on,"
    " duration_s, published, keyword_id"
)
_COPY = f"COPY seen ({_COLUMNS}) FROM STDIN WITH (FORMAT csv, FORCE_NOT_NULL (origin_uri, signature))"


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
    """How many entries were new, changed in content, known and unchanged, other addresses of known items, or gone."""

    new: int
    changed: int
    known: int
    aliases: int = 0
    gone: int = 0


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
    digest: Callable[[str], str | None] = lambda _uri: None,
    is_complete: Callable[[], bool] = lambda: False,
    memory: Callable[[], Mapping[str, Any]] = dict,
) -> Discovery:
    """Write everything that a pass found, and the pass itself, in one transaction.

    Every entry that is new or whose content changed becomes a video. One that is known under another address (by the
    site's own name or the canonical address) becomes an alias; edits and disappearances are noted.

    Args:
        crawl: The pass.
        entries: Streamed; an origin that comes twice counts once.
        digest: Reads one origin's content and returns its sha256 (None if it cannot be read). Asked only for entries
            with a new signature whose last version was fetched: a touched file with the same bytes is no new version.
        is_complete: Asked when the entries are through: whether they name everything that the source still offers.
        memory: Asked when the entries are through: what the next pass shall know.
    """
    started_at = datetime.datetime.now(datetime.UTC)
    where = {"source": crawl.source, "partition_key": crawl.partition_key}
    with connect() as link, transaction(link):
        queries().upsert_source(link, source=crawl.source, kind=crawl.kind, uri=crawl.uri)
        queries().lock_source(link, source=crawl.source)
        queries().create_entries(link)
        _copy(link, (_row(entry) for entry in entries))
        queries().distinct_entries(link)
        queries().find_aliases(link, source=crawl.source)
        queries().drop_aliased(link)
        for row in list(queries().changed_entries(link, source=crawl.source)):
            same_bytes = row["sha256"] is not None and row["sha256"] == digest(row["origin_uri"])
            if same_bytes or row["unsigned"] or not row["fetched"]:
                queries().update_signature(link, video_id=row["video_id"], signature=row["signature"])
        known = int(queries().count_known(link, source=crawl.source))
        remaining = int(queries().count_entries(link))
        queries().record_edits(link, **where)
        inserted = int(queries().insert_new_versions(link, **where, terms=crawl.terms))
        aliases = int(queries().insert_aliases(link, **where))
        gone = int(queries().mark_gone(link, **where)) if is_complete() else 0
        queries().mark_back(link, **where)
        new = remaining - known
        found = Discovery(new, inserted - new, known - (inserted - new), aliases, gone)
        queries().record_crawl(
            link, **where, started_at=started_at, dag_id=crawl.dag_id, run_id=crawl.run_id, watermark=crawl.watermark,
            seen=queries().count_seen(link), new=found.new, changed=found.changed, known=found.known, aliases=aliases,
            gone=gone,
        )  # fmt: skip
        for key, value in memory().items():
            queries().remember(link, source=crawl.source, key=key, value=Json(value))
    return found


def watermark(source: str) -> str | None:
    """Return the upload day through which a source was looked at, YYYY-MM-DD."""
    with connect() as link:
        found: str | None = queries().watermark(link, source=source)
    return found


def memory(source: str) -> dict[str, Any]:
    """Return what earlier passes of a source left for later ones."""
    with connect() as link:
        return {row["key"]: row["value"] for row in queries().remembered(link, source=source)}


def _row(entry: Entry) -> list[object]:
    return [
        entry.origin_uri, entry.signature, entry.title, entry.license, entry.canonical_uri, entry.extractor,
        entry.extractor_id, entry.channel_id, entry.uploader, entry.uploaded_on, entry.duration_s,
        _json(entry.published), entry.keyword_id,
    ]  # fmt: skip


def _json(value: Mapping[str, Any]) -> str | None:
    return json.dumps(value, ensure_ascii=False, default=str).replace("\\u0000", "") if value else None


def _copy(link: Connection, rows: Iterable[list[object]]) -> None:
    # spooled to disk past a few megabytes: a million entries are never held in memory
    with tempfile.SpooledTemporaryFile(max_size=8 << 20, mode="w+", encoding="utf-8", newline="") as spool:
        writer = csv.writer(spool)
        for row in rows:
            writer.writerow([_clean(value) for value in row])
        spool.seek(0)
        with link.cursor() as cursor:
            cursor.copy_expert(_COPY, cast(TextIO, spool))


def _clean(value: object) -> object:
    """Drop what Postgres text cannot hold."""
    return value.replace("\0", "") if isinstance(value, str) else value
