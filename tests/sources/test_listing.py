"""Listing with yt-dlp's real extractors into a real catalog, day by day."""

from __future__ import annotations

import datetime
import hashlib
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from site_sources import HERE, IN_A_HURRY
from video_site import Fault, Site

from humannet_ops.catalog.connection import connect
from humannet_ops.domain.outcome import Postponed
from humannet_ops.settings import settings
from humannet_ops.sources import kinds
from humannet_ops.sources.config import SourceError
from humannet_ops.sources.protocol import Crawl, Keyword, Window
from humannet_ops.sources.ytdlp import each_of
from humannet_ops.stages import execution
from humannet_ops.storage import open_store


def day(number: int) -> datetime.date:
    return datetime.date(2026, 1, number)


class Crawling:
    """A source over the site, crawled on days of its calendar."""

    def __init__(self, site: Site, folder: Path, name: str) -> None:
        self.site, self.folder, self.name = site, folder, name

    def source(self, kind: str, **fields: object) -> None:
        content = {
            "source": self.name, "kind": kind, "description": "A loopback site.", "private_addresses": HERE,
            "politeness": IN_A_HURRY, "license": "CC-BY-4.0",
        } | fields  # fmt: skip
        (self.folder / f"{self.name}.yaml").write_text(yaml.safe_dump(content))

    def crawl(self, number: int, *, today: int | None = None) -> dict[str, int]:
        """Crawl for a day; the site is at ``today``, or at that day."""
        self.site.today = day(today or number)
        found = execution.discover(self.name, day(number).isoformat(), execution.person())
        return {key: value for key, value in found.items() if value and key != "known"}

    def fetch(self, number: int) -> dict[str, int]:
        """Run the fetch stage over a day."""
        ends: dict[str, int] = {}
        for shard in execution.plan("fetch", day(number).isoformat(), execution.person(), source=self.name):
            for end, count in execution.run_shard(shard["shard_id"], execution.person()).items():
                if count:
                    ends[end] = ends.get(end, 0) + count
        return ends

    def asked(self, statement: str) -> list[tuple[Any, ...]]:
        with connect() as link, link.cursor() as cursor:
            cursor.execute(statement.replace("$source", f"'{self.name}'"))
            return [tuple(row.values()) for row in cursor.fetchall()]

    def by_day(self) -> dict[str, set[str]]:
        """Return crawl day -> names of the items that it brought."""
        found: dict[str, set[str]] = {}
        for key, uri in self.asked("select partition_key, origin_uri from videos where source = $source"):
            found.setdefault(key[-2:], set()).add(uri.rpartition("/")[2])
        return found


@pytest.fixture
def crawling(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget_settings: Callable[[], None],
    request: pytest.FixtureRequest,
) -> Iterator[Crawling]:  # fmt: skip
    """A source of its own for each test."""
    folder = tmp_path / "sources"
    folder.mkdir()
    monkeypatch.setenv("HUMANNET_SOURCES_DIR", str(folder))
    forget_settings()
    execution.register()
    yield Crawling(site, folder, "s" + request.node.name[5:40].lower())
    forget_settings()


def test_a_channel_day_by_day(crawling: Crawling, clip: Path) -> None:
    site = crawling.site
    crawling.source("ytdlp_channel", url=site.url("/feed/kitchen.rss"), whole_every_days=1)
    site.add("a1", clip, uploaded=day(1))
    site.add("a2", clip, uploaded=day(2), removed=day(4))
    site.add("b3", clip, uploaded=day(3), retitled=(day(5), "Another title"))
    site.add("b4", clip, uploaded=day(4))
    site.add("other", clip, uploaded=day(3), channel="garden")
    assert crawling.crawl(2) == {"new": 2}
    assert crawling.crawl(3) == {"new": 1}
    assert crawling.crawl(4) == {"new": 1, "gone": 1}
    assert crawling.crawl(5) == {}
    assert crawling.crawl(5) == {}
    assert crawling.by_day() == {"02": {"a1", "a2"}, "03": {"b3"}, "04": {"b4"}}
    changes = crawling.asked(
        "select field, after from upstream_changes join videos using (video_id) where source = $source order by 1"
    )
    assert changes == [("offered", "no"), ("title", "Another title")]
    # what the list says of an item was enough
    assert not site.times("^/item/")
    rows = crawling.asked(
        "select title, license, uploaded_on, channel_id, extractor, canonical_uri, published ->> 'description'"
        " from videos where source = $source and origin_uri like '%a1'"
    )
    home = f"generic:{site.url('/feed/kitchen.rss')}"
    assert rows == [("Video a1", "CC-BY-4.0", day(1), home, "generic", site.url("/item/a1"), "About a1.")]


def test_a_new_items_page_says_what_the_list_does_not(crawling: Crawling, clip: Path) -> None:
    site = crawling.site
    crawling.source("ytdlp_channel", url=site.url("/feed/kitchen.rss"), license=None)
    site.add("a1", clip, uploaded=day(1), tags=("pour", "cup"))
    crawling.crawl(1)
    site.add("a2", clip, uploaded=day(2), tags=("wipe",))
    crawling.crawl(2)
    crawling.crawl(3)
    # each page once, however often the channel is crawled
    assert site.paths()["/item/a1"] == site.paths()["/item/a2"] == 1
    rows = crawling.asked("select uploader, published -> 'tags' from videos where source = $source order by origin_uri")
    assert rows == [("kitchen", ["pour", "cup"]), ("kitchen", ["wipe"])]
    assert not crawling.asked("select field from upstream_changes join videos using (video_id) where source = $source")
    # a person's decision is asked for, because nobody states a licence; nothing is downloaded meanwhile
    assert crawling.fetch(1) == {"rejected": 1}
    assert not site.times("^/media/")


def test_a_backfill_takes_the_uploads_of_its_day_only(crawling: Crawling, clip: Path) -> None:
    site = crawling.site
    for number in range(1, 8):
        site.add(f"v{number}", clip, uploaded=day(number))
    crawling.source("ytdlp_channel", url=site.url("/feed/kitchen.rss"), since="2026-01-06")
    assert crawling.crawl(7) == {"new": 2}
    crawling.source("ytdlp_channel", url=site.url("/feed/kitchen.rss"))
    assert crawling.crawl(3, today=7) == {"new": 1}
    assert crawling.crawl(4, today=7) == {"new": 1}
    assert crawling.crawl(3, today=7) == {}
    assert crawling.by_day() == {"07": {"v6", "v7"}, "03": {"v3"}, "04": {"v4"}}
    assert crawling.asked("select max(watermark) from crawls where source = $source") == [("2026-01-07",)]


def test_what_a_site_shows_late_is_not_lost(crawling: Crawling, clip: Path) -> None:
    site = crawling.site
    crawling.source("ytdlp_channel", url=site.url("/feed/kitchen.rss"))
    site.add("early", clip, uploaded=day(2))
    crawling.crawl(3)
    site.add("late", clip, uploaded=day(2))
    site.add("tomorrow", clip, uploaded=day(5))
    assert crawling.crawl(4, today=5) == {"new": 1}
    assert crawling.by_day()["04"] == {"late"}
    assert crawling.crawl(5) == {"new": 1}


def test_a_long_channel_is_not_read_to_its_end_every_day(crawling: Crawling, clip: Path) -> None:
    site = crawling.site
    for number in range(120):
        site.add(f"v{number:03}", clip, uploaded=day(1) - datetime.timedelta(days=number))
    crawling.source("ytdlp_channel", url=site.url("/feed/kitchen.rss?size=10&page={page}"))
    assert crawling.crawl(1) == {"new": 120}
    assert len(site.times("^/feed/")) == 13
    site.add("new", clip, uploaded=day(2))
    site.asked.clear()
    assert crawling.crawl(2) == {"new": 1}
    assert len(site.times("^/feed/")) <= 5
    # a day on which the whole list is read again notices what was removed
    site.items["v119"].removed = day(3)
    assert crawling.crawl(3) == {}
    assert crawling.crawl(8) == {"gone": 1}


def test_a_playlist_has_pages_and_old_items(crawling: Crawling, clip: Path) -> None:
    site = crawling.site
    for number in range(7):
        site.add(f"v{number}", clip, uploaded=datetime.date(2020, 1, 1 + number))
    crawling.source("ytdlp_playlist", url=site.url("/feed/all.rss?size=3&page={page}"))
    assert crawling.crawl(1) == {"new": 7}
    assert len(site.times("^/feed/")) == 4
    site.add("old", clip, uploaded=datetime.date(2019, 1, 1))
    site.items["v3"].removed = day(2)
    assert crawling.crawl(2) == {"new": 1, "gone": 1}
    site.items["v3"].removed = None
    assert crawling.crawl(3) == {}
    assert crawling.asked("select count(*) from videos where source = $source and gone_at is not null") == [(0,)]


def test_a_catalog_of_a_sites_own_kind(crawling: Crawling, clip: Path) -> None:
    """Mediasite runs at many universities under any host: yt-dlp's extractor lists its catalog and names its items."""
    site = crawling.site
    for number in (1, 2):
        site.add(f"lecture{number}", clip, uploaded=day(number))
    crawling.source("ytdlp_playlist", url=site.url("/Mediasite/Catalog/Full/" + "a" * 32), license=None)
    assert crawling.crawl(3) == {"new": 2}
    rows = crawling.asked(
        "select extractor, length(extractor_id), title, uploaded_on, duration_s from videos where source = $source"
        " order by title"
    )
    assert rows == [("mediasite", 34, "Video lecture1", day(1), 2.0), ("mediasite", 34, "Video lecture2", day(2), 2.0)]


def test_addresses_that_are_the_same_item_are_one(crawling: Crawling, clip: Path) -> None:
    site = crawling.site
    site.add("a", clip)
    site.add("b", clip)
    urls = [
        site.url("/item/a"), site.url("/item/a?utm_source=mail#top"), site.url("/redirect?to=" + quote("/item/a")),
        site.url("/item/none"), site.url("/item/b"), site.url("/media/b.mp4"),
    ]  # fmt: skip
    crawling.source("ytdlp_url", urls=urls)
    found = crawling.crawl(31)
    assert found["new"] == 3
    assert crawling.by_day() == {"31": {"a", "b", "b.mp4"}}
    # the file and the page of b are two addresses: their bytes tell that they are one
    assert crawling.fetch(31) == {"kept": 3}
    assert crawling.asked("select count(distinct sha256) from videos where source = $source") == [(1,)]
    assert crawling.crawl(31) == {}


def test_one_address_that_fails_keeps_none_back_and_nothing_is_called_gone(crawling: Crawling, clip: Path) -> None:
    site = crawling.site
    for name in "abc":
        site.add(name, clip)
    crawling.source("ytdlp_url", urls=[site.url(f"/item/{name}") for name in "abc"])
    site.faults["/item/b"] = Fault(status=500)
    assert crawling.crawl(31) == {"new": 2}
    site.faults = {"/item/a": Fault(status=500)}
    assert crawling.crawl(31) == {"new": 1}
    # 404 does say that it is gone
    site.faults = {"/item/a": Fault(status=404)}
    assert crawling.crawl(31) == {"gone": 1}


def searching(crawling: Crawling, number: int, *keywords: Keyword, memory: dict[str, Any] | None = None) -> list[str]:
    config = kinds.config_class("ytdlp_search").model_validate(
        yaml.safe_load((crawling.folder / f"{crawling.name}.yaml").read_text())
    )
    crawling.site.today = day(number)
    crawl = Crawl(day(number).isoformat(), Window(None, day(number)), memory=memory or {}, keywords=keywords)
    found = list(kinds.open_source(config).entries(crawl))
    assert not crawl.complete
    return [f"{entry.keyword_id}:{entry.origin_uri.rpartition('/')[2]}" for entry in found]


def test_a_search_brings_each_keywords_items(crawling: Crawling, clip: Path) -> None:
    site = crawling.site
    for number in range(1, 7):
        site.add(f"p{number}", clip, uploaded=day(number), tags=("pour", "tea"))
        site.add(f"w{number}", clip, uploaded=day(number), tags=("wipe",))
    crawling.source(
        "ytdlp_search", search=site.url("/feed/search.rss?q={query}&size=2&page={page}"), seeds=["pour tea"]
    )
    pour, wipe = Keyword("k1", "pour tea", 3), Keyword("k2", "wipe", 1)
    assert searching(crawling, 6, pour, wipe) == ["k1:p6", "k1:p5", "k1:p4", "k2:w6"]
    assert site.paths()["/feed/search.rss?q=pour+tea&size=2&page=1"] == 1


def test_a_search_goes_on_where_it_was_and_repeats_its_day(crawling: Crawling, clip: Path) -> None:
    site = crawling.site
    for number in range(1, 9):
        site.add(f"p{number}", clip, uploaded=day(number), tags=("pour",))
    crawling.source(
        "ytdlp_search", search=site.url("/feed/search.rss?q={query}"), seeds=["pour"], items_per_crawl=2,
        expansion={"new_per_crawl": 0},
    )  # fmt: skip
    assert crawling.crawl(5) == {"new": 2}
    assert crawling.by_day() == {"05": {"p5", "p4"}}
    # the same day again brings the same
    assert crawling.crawl(5) == {}
    # the next one what is new, and then what is older
    assert crawling.crawl(6) == {"new": 2}
    assert crawling.by_day()["06"] == {"p6", "p3"}
    # a backfill only what was uploaded on its day
    assert crawling.crawl(2, today=6) == {"new": 1}
    assert crawling.by_day()["02"] == {"p2"}
    assert (
        crawling.asked("select count(*) from video_keywords join videos using (video_id) where source = $source")[0][0]
        >= 5
    )


def test_a_list_may_not_lead_inside(crawling: Crawling, clip: Path) -> None:
    site = crawling.site
    with Site("127.0.0.2") as inside:
        inside.add("a", clip)
        crawling.source("ytdlp_channel", url=site.url("/redirect?to=" + quote(inside.url("/feed/all.rss"))))
        with pytest.raises(SourceError, match=r"127\.0\.0\.2, a private address"):
            crawling.crawl(31)
        assert inside.asked == []


def test_a_list_that_cannot_be_had_says_why(crawling: Crawling) -> None:
    crawling.source("ytdlp_channel", url=crawling.site.url("/feed/none"))
    with pytest.raises(SourceError, match=r"source s.*: http://127.*/feed/none: .*404"):
        crawling.crawl(31)
    crawling.site.robots = "User-agent: *\nDisallow: /feed/\n"
    with Site() as strict:
        strict.robots = "User-agent: *\nDisallow: /feed/\n"
        crawling.source("ytdlp_channel", url=strict.url("/feed/all.rss"))
        with pytest.raises(SourceError, match=r"robots\.txt asks"):
            crawling.crawl(31)


def test_a_listing_waits_a_little_and_then_lets_go(
    crawling: Crawling, clip: Path, monkeypatch: pytest.MonkeyPatch, forget_settings: Callable[[], None]
) -> None:
    site = crawling.site
    for number in range(4):
        site.add(f"v{number}", clip)
    pages = site.url("/feed/all.rss?size=1&page={page}")
    crawling.source("ytdlp_playlist", url=pages, politeness={"requests_per_minute": 300})
    assert crawling.crawl(31) == {"new": 4}
    assert len(site.times("^/feed/")) == 5
    # five requests are four gaps; when each arrives depends on how busy this machine is
    assert site.span("^/feed/") >= 0.7
    monkeypatch.setenv("HUMANNET_PATIENCE_S", "1")
    forget_settings()
    assert settings().patience_s == 1
    site.faults["/feed/all.rss"] = Fault(status=429, headers={"Retry-After": "100"}, times=1)
    with pytest.raises(Postponed):
        crawling.crawl(31)
    asked = len(site.asked)
    with pytest.raises(Postponed) as caught:
        crawling.crawl(31)
    assert caught.value.cause == "host"
    assert len(site.asked) == asked


def test_the_whole_way_into_the_store(crawling: Crawling, clip: Path, other_clip: Path) -> None:
    """Good and bad items of one day: each has its outcome, and the store holds whole files only."""
    site = crawling.site
    site.add("good", clip)
    site.add("dropped", other_clip)
    site.faults["/media/dropped.mp4"] = Fault(drop_after=5000, times=2)
    site.add("words", clip)
    site.files["/media/words.mp4"] = ("text/html", b"<html>Only words.")
    site.add("busy", clip)
    site.faults["/media/busy.mp4"] = Fault(status=503, headers={"Retry-After": "1"}, times=1)
    site.add("gone", clip)
    crawling.source("ytdlp_channel", url=site.url("/feed/kitchen.rss"))
    assert crawling.crawl(31) == {"new": 5}
    site.faults["/item/gone"] = Fault(status=410)
    assert crawling.fetch(31) == {"kept": 3, "failed": 2}
    reasons = crawling.asked(
        "select v.title, o.reason from outcomes o join videos v on v.video_id = o.subject_id"
        " where v.source = $source and o.stage = 'fetch' and o.reason is not null order by 1"
    )
    assert [title for title, _ in reasons] == ["Video gone", "Video words"]
    assert reasons[0][1] == "gone"
    assert reasons[1][1] in ("unreadable", "unsupported", "no_video")
    stored = crawling.asked(
        "select sum(bytes), count(distinct sha256) from videos where source = $source and sha256 is not null"
    )
    assert stored == [(2 * clip.stat().st_size + other_clip.stat().st_size, 2)]
    whole = {hashlib.sha256(each.read_bytes()).hexdigest() for each in (clip, other_clip)}
    assert {Path(uri).stem for uri in open_store().objects() if "/video/" in uri} == whole
    assert not list((settings().home / "incoming").iterdir())
    details = crawling.asked(
        "select o.detail from outcomes o join videos v on v.video_id = o.subject_id"
        " where v.source = $source and v.title = 'Video good'"
    )[0][0]
    assert details["client"].startswith("yt-dlp ")
    assert details["fetched_from"] == site.url("/media/good.mp4")


def test_a_list_of_any_length_is_streamed() -> None:
    from yt_dlp.utils import OnDemandPagedList

    def page(number: int) -> Iterator[dict[str, str]]:
        if number < 1000:
            for place in range(100):
                yield {"_type": "url", "url": f"https://example.com/{number}/{place}", "title": "t" * 100}

    tracemalloc.start()
    count = sum(1 for _ in each_of({"entries": OnDemandPagedList(page, 100)}))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 100_000
    assert peak < 2 << 20
