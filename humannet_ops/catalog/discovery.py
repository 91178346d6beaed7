"""Recording what a crawl saw: set-based, so that a million unchanged entries cost one join."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TextIO, cast

from humannet_ops.catalog.connection import Connection, connect, queries, transaction
from humannet_ops.domain.identifiers import video_id

_COPY = "COPY {table} FROM STDIN WITH (FORMAT csv)"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that a source offers. ``signature`` changes whenever the content may have."""

    origin_uri: str
    signature: str
    title: str | None = None
    license: str | None = None


@dataclass(frozen=True, slots=True)
class Discovery:
    """How many entries were new, changed in content, or known and unchanged."""

    new: int
    changed: int
    known: int


def record_entries(
    source: str,
    kind: str,
    uri: str,
    partition_key: str,
    entries: Iterable[Entry],
    digest: Callable[[str], str | None],
) -> Discovery:
    """Make a video row for every entry that is new or whose content changed, in one transaction.

    Args:
        source: The source's name.
        kind: The kind of source.
        uri: Where it is, for people.
        partition_key: The crawl day.
        entries: Streamed; an origin may come once.
        digest: Reads one origin's content and returns its sha256 (None if it cannot be read). Asked only for entries
            with a new signature whose last version was fetched: a touched file with the same bytes is no new version.
    """
    with connect() as link, transaction(link):
        queries().upsert_source(link, source=source, kind=kind, uri=uri)
        queries().lock_source(link, source=source)
        queries().create_entries(link)
        _copy(link, "entries", ([e.origin_uri, e.signature, e.title, e.license] for e in entries))
        for row in list(queries().changed_entries(link, source=source)):
            same_bytes = row["sha256"] is not None and row["sha256"] == digest(row["origin_uri"])
            if same_bytes or not row["fetched"]:
                queries().update_signature(link, video_id=row["video_id"], signature=row["signature"])
        known_origins = int(queries().count_known(link, source=source))
        fresh = list(queries().new_versions(link, source=source))
        queries().create_identified(link)
        _copy(
            link,
            "identified",
            ([r["origin_uri"], video_id(source, r["origin_uri"], r["version"]), r["version"]] for r in fresh),
        )
        queries().insert_videos(link, source=source, partition_key=partition_key)
    changed = sum(1 for row in fresh if row["version"] > 1)
    return Discovery(new=len(fresh) - changed, changed=changed, known=known_origins - changed)


def _copy(link: Connection, table: str, rows: Iterable[list[object]]) -> None:
    # spooled to disk past a few megabytes: a million entries are never held in memory
    with tempfile.SpooledTemporaryFile(max_size=8 << 20, mode="w+", encoding="utf-8", newline="") as spool:
        csv.writer(spool).writerows(rows)
        spool.seek(0)
        with link.cursor() as cursor:
            cursor.copy_expert(_COPY.format(table=table), cast(TextIO, spool))
