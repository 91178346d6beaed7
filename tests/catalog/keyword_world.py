"""A site that is searched, and a pipeline that decides at once: what the keyword tests drive."""

from __future__ import annotations

import datetime
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from humannet_ops.catalog import migrations
from humannet_ops.catalog.connection import connect
from humannet_ops.catalog.discovery import Discovery, Entry
from humannet_ops.domain.records import VideoSubject
from humannet_ops.domain.stage import StageSpec, stage_versions
from humannet_ops.sources import kinds
from humannet_ops.sources.config import Network
from humannet_ops.sources.protocol import Crawl, Source
from humannet_ops.sources.searching import Searching
from humannet_ops.stages import execution

SPECS = (StageSpec("fetch", "video", 1, "crawl"), StageSpec("decide", "clip", 1, "cpu", ("fetch",), ("fetch",)))
Search = Callable[[str, int], Sequence[Entry]]


class ShelfConfig(Network, Searching):
    """A kind that searches, for tests: what it finds is a function."""

    kind: Literal["shelf"]


class ShelfSource(Source[ShelfConfig]):
    searches: ClassVar[bool] = True
    search: ClassVar[Search]
    asked: ClassVar[list[tuple[str, str, int]]] = []

    def address(self) -> str:
        return "shelf:"

    def entries(self, crawl: Crawl) -> Iterator[Entry]:
        for keyword in crawl.keywords:
            self.asked.append((crawl.partition_key, keyword.phrase, keyword.items))
            for entry in type(self).search(keyword.phrase, keyword.items):
                yield Entry(**{**_fields(entry), "keyword_id": keyword.keyword_id})

    def fetch(self, video: VideoSubject, folder: Path, credentials: Any) -> Any:
        raise NotImplementedError


def _fields(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__slots__}


class Site:
    """The source ``cooking`` of the kind ``shelf``, and what becomes of its videos."""

    def __init__(self, sources: Path, monkeypatch: Any, fields: str = "") -> None:
        module = types.ModuleType("humannet_ops.sources.shelf")
        module.ShelfConfig, module.ShelfSource = ShelfConfig, ShelfSource  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(kinds, "KINDS", (*kinds.KINDS, "shelf"))
        self.file = sources / "cooking.yaml"
        self.write("seeds: [chopping onions, kneading dough]\nitems_per_crawl: 40\n" + fields)
        ShelfSource.asked = []
        migrations.register(SPECS, stage_versions(SPECS))

    def write(self, fields: str) -> None:
        self.file.parent.mkdir(exist_ok=True)
        self.file.write_text(f"source: cooking\nkind: shelf\ndescription: A shelf.\n{fields}")

    def crawl(self, day: str, search: Search) -> Discovery:
        """Crawl the source for a day and return what was found."""
        ShelfSource.search = staticmethod(search)  # type: ignore[assignment]
        found = execution.discover("cooking", day, execution.person())
        return Discovery(**found)

    @staticmethod
    def asked(day: str) -> dict[str, int]:
        """Return what was searched for on a day, in its last crawl, with the items."""
        return {phrase: items for key, phrase, items in ShelfSource.asked if key == day}

    @staticmethod
    def decide(judge: Callable[[str], tuple[float, float] | str | None]) -> None:
        """Give every video that has no outcome its own, as a fetch and a decide stage would leave them.

        ``judge`` maps a title to (hours, kept hours), which become a kept clip and a rejected one; to the reason for
        which it is not fetched; or to None, which leaves it as it is.
        """
        versions = stage_versions(SPECS)
        now = datetime.datetime.now(datetime.UTC)
        with connect() as link, link, link.cursor() as cursor:
            cursor.execute(
                "INSERT INTO shards (shard_id, stage, stage_version, partition_key, label)"
                " VALUES ('s', 'fetch', 'x', 'x', 'x') ON CONFLICT DO NOTHING;"
                "INSERT INTO stage_runs (stage_run_id, shard_id, stage, stage_version, worker, code_revision)"
                " VALUES ('r', 's', 'fetch', 'x', 'x', 'x') ON CONFLICT DO NOTHING;"
                "SELECT video_id, title FROM videos WHERE video_id NOT IN (SELECT subject_id FROM outcomes)"
            )
            for row in cursor.fetchall():
                verdict = judge(row["title"])
                if verdict is None:
                    continue
                video = row["video_id"]
                outcome = (
                    "INSERT INTO outcomes (stage, stage_version, subject_id, video_id, outcome, reason, stage_run_id,"
                    " started_at, seconds) VALUES (%s, %s, %s, %s, %s, %s, 'r', %s, 2.5)"
                )
                if isinstance(verdict, str):
                    cursor.execute(outcome, ("fetch", versions["fetch"], video, video, "rejected", verdict, now))
                    continue
                hours, kept = verdict
                cursor.execute("UPDATE videos SET duration_s = %s WHERE video_id = %s", (hours * 3600, video))
                cursor.execute(outcome, ("fetch", versions["fetch"], video, video, "kept", None, now))
                for name, start, end in (("kept", 0, kept), ("rejected", kept, hours)):
                    if end > start:
                        clip = f"{video}-{name}"
                        cursor.execute(
                            "INSERT INTO clips (clip_id, video_id, shot, start_frame, end_frame, start_s, end_s,"
                            " analyse_version) VALUES (%s, %s, 0, %s, %s, %s, %s, 'x')",
                            (clip, video, int(start * 1e5), int(end * 1e5) + 1, start * 3600, end * 3600),
                        )
                        reason = None if name == "kept" else "no_motion"
                        cursor.execute(outcome, ("decide", versions["decide"], clip, video, name, reason, now))


def shelf_entry(name: str, *, item: str | None = None, channel: str | None = None, **published: Any) -> Entry:
    """Return what a search finds: an address of its own, and the item's id where it is known under several."""
    return Entry(
        f"shelf:{name}",
        "1",
        name,
        extractor="shelf",
        extractor_id=item or name,
        channel_id=channel,
        published=published,
    )
