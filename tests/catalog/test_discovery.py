"""What a pass of a source leaves in the catalog: each item once, its changes, and nothing of a failed pass."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from endings import record
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from humannet_ops.catalog import discovery, migrations, planning, reading, recording
from humannet_ops.catalog.connection import connect, transaction
from humannet_ops.catalog.discovery import Discovery, Entry, Pass, Report, record_entries
from humannet_ops.domain.identifiers import new_run_id, video_id
from humannet_ops.domain.outcome import Reason, SubjectError
from humannet_ops.domain.records import Artifact, Result, VideoFile, failed, kept, rejected
from humannet_ops.domain.stage import StageSpec, stage_versions

DAY, NEXT, LATER = "2026-01-01", "2026-01-02", "2026-01-03"
FETCH = StageSpec("fetch", "video", 1, "crawl")
pytestmark = pytest.mark.usefixtures("home")


def crawl(
    *entries: Entry, source: str = "site", key: str = DAY, complete: bool = True, watermark: str | None = None,
    digest: Any = None,
) -> Discovery:  # fmt: skip
    return record_entries(
        Pass(source, "http_manifest", "u", key, watermark=watermark), iter(entries), digest, Report(complete=complete)
    )


def item(name: str, signature: str = "", **fields: Any) -> Entry:
    return Entry(f"https://site.test/{name}", signature, fields.pop("title", name), **fields)


def ask(statement: str) -> list[Any]:
    rows = [row if len(row) > 1 else row[0] for row in reading.ask(statement)[1]]
    return sorted(rows, key=repr)


def changes() -> list[Any]:
    return ask("select v.title, c.field, c.before, c.after from upstream_changes c join videos v using (video_id)")


def fetch(result: Result | None = None, key: str = DAY) -> list[str]:
    """Fetch all that is due and return its titles."""
    versions = stage_versions((FETCH,))
    migrations.register((FETCH,), versions)
    done = []
    for shard in planning.plan_shards(FETCH, versions, key, shard_seconds=1e9, max_attempts=3):
        with connect() as link:
            run = recording.StageRun(new_run_id(), shard)
            recording.start_run(link, run, recording.TaskIdentity("test"), "revision")
            for work in list(planning.open_work(link, shard, FETCH, 3)):
                video: Any = work.subject
                file = VideoFile(f"sha-{video.title}", 1, "mp4", "h264", 20.0, 640, 480, 30.0, False)
                stored = Artifact("video", file.sha256, f"file:///store/{video.title}", 1, "video/mp4")
                with transaction(link):
                    record(link, run, video, result or kept(records=(file,), artifacts=(stored,)))
                done.append(video.title)
    return sorted(done)


# --- the same item under several addresses


def test_one_item_under_two_addresses_in_one_pass_is_one_video() -> None:
    found = crawl(
        item("watch?v=1", extractor="Site", extractor_id="1"), item("v/1", extractor="Site", extractor_id="1"),
        item("a", canonical_uri="https://site.test/a"), item("a?utm=x", canonical_uri="https://site.test/a"),
    )  # fmt: skip
    assert found == Discovery(new=2, changed=0, known=0, aliases=2)
    assert ask("select title from videos") == ["a", "watch?v=1"]
    assert ask("select a.origin_uri, v.title from video_aliases a join videos v using (video_id)") == [
        ("https://site.test/a?utm=x", "a"), ("https://site.test/v/1", "watch?v=1"),
    ]  # fmt: skip
    assert ask("select seen from crawls") == [4]


def test_an_item_known_under_another_source_is_not_a_new_video() -> None:
    crawl(item("1", extractor="Site", extractor_id="1"), item("2", canonical_uri="https://c/2"), source="first")
    found = crawl(
        item("x", extractor="Site", extractor_id="1"),
        item("y", canonical_uri="https://c/2"),
        item("z"),
        source="second",
    )
    assert found == Discovery(new=1, changed=0, known=0, aliases=2)
    again = crawl(
        item("x", extractor="Site", extractor_id="1"), item("y", canonical_uri="https://c/2"), item("z"),
        source="second", key=NEXT,
    )  # fmt: skip
    assert again == Discovery(new=0, changed=0, known=1)
    assert ask("select count(*) from videos") == [3]


def test_one_address_with_several_items_of_the_site_is_several_videos() -> None:
    page = {"canonical_uri": "https://site.test/page", "extractor": "Generic"}
    assert crawl(item("page#1", extractor_id="p-1", **page), item("page#2", extractor_id="p-2", **page)).new == 2
    assert crawl(item("page#3", extractor_id="p-3", **page), source="other").new == 1


def test_a_chain_of_names_leads_to_one_video_and_loses_no_address() -> None:
    found = crawl(
        item("x", extractor="S", extractor_id="1", canonical_uri="https://u/1"),
        item("y", extractor="S", extractor_id="1", canonical_uri="https://u/2"),
        item("z", canonical_uri="https://u/2"),
    )
    assert found == Discovery(new=1, changed=0, known=0, aliases=2)
    assert ask("select title from videos") == ["x"]
    assert len(ask("select origin_uri from video_aliases")) == 2


@pytest.mark.parametrize(
    ("reason", "blocks"),
    [(Reason.LICENSE_DENIED, False), (Reason.FORBIDDEN, False), (Reason.GONE, False), (Reason.NO_VIDEO, True)],
)
def test_what_one_source_could_not_fetch_another_may(reason: Reason, blocks: bool) -> None:
    crawl(item("a", canonical_uri="https://c/a"), source="first")
    result = rejected(reason) if reason.outcome.value == "rejected" else failed(reason, "no")
    assert fetch(result) == ["a"]
    assert crawl(item("b", canonical_uri="https://c/a"), source="second").new == (0 if blocks else 1)
    assert crawl(item("b", canonical_uri="https://c/a"), source="second", key=NEXT).new == 0


def test_an_item_that_moved_is_not_gone() -> None:
    crawl(item("old", extractor="S", extractor_id="1"))
    assert crawl(item("new", extractor="S", extractor_id="1"), key=NEXT) == Discovery(0, 0, 0, aliases=1, gone=0)


# --- edits, content, gone and back


def test_edits_are_recorded_once_and_silence_is_no_edit() -> None:
    day = datetime.date(2025, 5, 1)
    crawl(item("a", uploader="Ann", uploaded_on=day, published={"tags": ["x"], "views": 1}))
    crawl(item("a", title="A!", license="CC0", published={"views": 2}), key=NEXT)
    assert changes() == [
        ("A!", "published", '{"tags": ["x"], "views": 1}', '{"tags": ["x"], "views": 2}'), ("A!", "title", "a", "A!"),
    ]  # fmt: skip
    assert ask("select title, license, uploader, uploaded_on, published ->> 'views' from videos") == [
        ("A!", "CC0", "Ann", day, "2")
    ]
    crawl(item("a", title="A!", license="CC0", published={"views": 2}), key=LATER)
    assert len(changes()) == 2


def test_an_item_rejected_for_its_licence_is_judged_anew_when_it_has_another() -> None:
    crawl(item("a", license="ARR"), item("b", license="ARR"))
    fetch(rejected(Reason.LICENSE_DENIED))
    crawl(item("a", license="CC-BY"), item("b", license="ARR"), key=NEXT)
    assert fetch() == ["a"]


def test_changed_content_is_a_new_version_that_leaves_the_old_one_as_it_was() -> None:
    crawl(item("a", "etag-1", license="CC-BY"))
    assert fetch() == ["a"]
    assert crawl(item("a", "etag-2", license="ARR"), key=NEXT) == Discovery(0, 1, 0)
    assert ask("select version, signature, license, partition_key from videos") == [
        (1, "etag-1", "CC-BY", DAY), (2, "etag-2", "ARR", NEXT),
    ]  # fmt: skip
    assert ("a", "content", "etag-1", "etag-2") in changes()
    assert crawl(item("a", "etag-2", license="ARR"), key=LATER) == Discovery(0, 0, 1)


def test_a_new_signature_before_the_fetch_or_of_the_same_bytes_is_no_new_version() -> None:
    crawl(item("a", "1"), item("b", "1"))
    assert crawl(item("a", "2"), item("b", "2")) == Discovery(0, 0, 2)
    assert fetch() == ["a", "b"]
    same = {"https://site.test/a": "sha-a"}
    assert crawl(item("a", "3"), item("b", "3"), digest=lambda uri: same.get(uri)) == Discovery(0, 1, 1)
    assert ask("select title, version, signature from videos") == [("a", 1, "3"), ("b", 1, "2"), ("b", 2, "3")]


def test_an_empty_signature_says_nothing() -> None:
    crawl(item("a"), item("b", "1"))
    fetch()
    assert crawl(item("a", "1"), item("b")) == Discovery(0, 0, 2)
    assert ask("select title, signature from videos") == [("a", "1"), ("b", "1")]
    assert crawl(item("a", "2"), item("b", "1")).changed == 1


def test_gone_and_back() -> None:
    crawl(item("a"), item("b"))
    assert crawl(item("a"), key=NEXT, complete=False).gone == 0
    assert crawl(item("a"), key=NEXT).gone == 1
    assert crawl(item("a"), key=NEXT).gone == 0
    assert ask("select title from videos where gone_at is not null") == ["b"]
    assert fetch(failed(Reason.GONE, "404")) == ["a", "b"]
    crawl(item("a"), item("b"), key=LATER)
    # a: a fetch found it gone, and a list that goes on naming it is no sign of life; b: it is offered again
    assert ask("select title from videos where gone_at is not null") == ["a"]
    assert [row for row in changes() if row[0] == "b"] == [("b", "offered", "no", "yes"), ("b", "offered", "yes", "no")]
    assert fetch() == ["b"]


# --- segments


def test_rows_of_one_address_are_one_video_with_all_segments_wherever_they_stand() -> None:
    def rows(*spans: tuple[str, float]) -> list[Entry]:
        return [item(name, published={"id": name, "segments": [{"start_s": start}]}) for name, start in spans]

    found = crawl(*rows(("a", 0.0), ("b", 1.0), ("a", 5.0), ("a", 2.0), ("a", 5.0)))
    assert found == Discovery(2, 0, 0)
    assert ask("select published from videos where title = 'a'") == [
        {"id": "a", "segments": [{"start_s": 0.0}, {"start_s": 5.0}, {"start_s": 2.0}]}
    ]
    assert crawl(*rows(("a", 0.0), ("b", 1.0), ("a", 5.0), ("a", 2.0)), key=NEXT) == Discovery(0, 0, 2)
    assert changes() == []


# --- the pass itself


def test_the_watermark_never_moves_backwards() -> None:
    crawl(item("a"), key="2026-01-05", watermark="2026-01-05")
    crawl(item("b"), key="2026-01-02", watermark="2026-01-02", complete=False)
    crawl(item("b"), key="2026-01-02", watermark="2026-01-01", complete=False)
    assert discovery.watermark("site") == "2026-01-05"
    assert ask("select partition_key, passes, watermark from crawls") == [
        ("2026-01-02", 2, "2026-01-02"), ("2026-01-05", 1, "2026-01-05"),
    ]  # fmt: skip


def test_a_listing_that_fails_leaves_nothing() -> None:
    report = Report(remember={"etag": "1"})

    def broken() -> Iterator[Entry]:
        yield item("a")
        raise SubjectError(Reason.UNREACHABLE, "the host broke off")

    with pytest.raises(SubjectError, match="broke off"):
        record_entries(Pass("site", "http_manifest", "u", DAY), broken(), report=report)
    assert [ask(f"select count(*) from {table}") for table in ("videos", "crawls", "crawl_memory")] == [[0]] * 3


def test_memory_and_faults_are_written_with_what_was_found() -> None:
    report = Report(complete=True, remember={"etag": 'W/"1"'})
    report.fault(7, "url: empty")
    report.fault(7, "again")
    record_entries(Pass("site", "http_manifest", "u", DAY), [item("a")], report=report)
    assert discovery.memory("site") == {"etag": 'W/"1"'}
    assert ask("select line, reason from listing_faults") == [(7, "url: empty")]
    assert ask("select faults from crawls") == [2]


def test_an_unchanged_source_is_a_crawl_in_which_nothing_is_gone() -> None:
    report = Report(complete=True)
    report.fault(3, "url: empty")
    record_entries(Pass("site", "http_manifest", "u", DAY), [item("a"), item("b")], report=report)
    found = record_entries(
        Pass("site", "http_manifest", "u", NEXT), [], report=Report(complete=True, unchanged=True, remember={"e": 2})
    )
    assert found == Discovery(0, 0, 2)
    assert ask("select partition_key, seen, known, gone, faults, unchanged from crawls") == [
        (DAY, 2, 0, 0, 1, False), (NEXT, 2, 2, 0, 1, True),
    ]  # fmt: skip
    assert ask("select count(*) from videos where gone_at is not null") == [0]
    assert ask("select line from listing_faults") == [3]
    assert discovery.memory("site") == {"e": 2}


def test_two_crawls_of_one_source_at_once_find_each_item_once() -> None:
    entries = [item(str(number), canonical_uri=f"https://c/{number // 2}") for number in range(2000)]
    together = threading.Barrier(2)
    found: list[Discovery] = []

    def run(key: str) -> None:
        def listed() -> Iterator[Entry]:
            together.wait(20)
            yield from entries

        found.append(record_entries(Pass("site", "http_manifest", "u", key), listed(), report=Report(complete=True)))

    threads = [threading.Thread(target=run, args=(key,)) for key in (DAY, NEXT)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(found, key=lambda one: one.new) == [Discovery(0, 0, 1000), Discovery(1000, 0, 0, aliases=1000)]
    assert ask("select count(*), count(distinct origin_uri) from videos") == [(1000, 1000)]


def test_a_pass_that_a_later_one_overtook_says_nothing_about_what_is_gone() -> None:
    """The slow pass lists, then waits; meanwhile a later pass finds a new item and is recorded."""

    def slow() -> Iterator[Entry]:
        yield item("a")
        crawl(item("a"), item("b"), key=NEXT)

    found = record_entries(
        Pass("site", "http_manifest", "u", DAY), slow(), report=Report(complete=True, remember={"etag": "old"})
    )
    assert found == Discovery(0, 0, 1)
    assert ask("select title from videos where gone_at is null") == ["a", "b"]
    assert discovery.memory("site") == {}


def test_provenance_tells_of_each_video_where_it_is_from() -> None:
    day = datetime.date(2025, 5, 1)
    record_entries(
        Pass("site", "ytdlp_url", "u", DAY, terms="research only"),
        [
            item("a", canonical_uri="https://c/a", extractor="Site", extractor_id="1", uploader="Ann",
                 uploaded_on=day, license="CC-BY"),
            item("b"),
        ],
    )  # fmt: skip
    file = VideoFile("sha-a", 7, "mp4", "h264", 20.0, 640, 480, 30.0, False)
    stored = Artifact("video", "sha-a", "file:///store/a", 7, "video/mp4")
    said = Artifact("metadata", "sha-m", "file:///store/m", 1, "application/json")
    detail = {"fetched_at": "2026-01-01T10:00:00+00:00", "fetched_from": "https://cdn/a", "client": "yt-dlp 2026"}
    fetch(kept(records=(file,), artifacts=(stored, said), detail=detail))
    columns, rows = reading.ask("select * from v_provenance where origin_uri like '%/a'")
    (found,) = [dict(zip(columns, row, strict=True)) for row in rows]
    assert found == {
        "video_id": video_id("site", "https://site.test/a", 1), "source": "site", "origin_uri": "https://site.test/a",
        "canonical_uri": "https://c/a", "extractor": "Site", "extractor_id": "1", "uploader": "Ann",
        "uploaded_on": day, "license": "CC-BY", "terms": "research only",
        "fetched_at": datetime.datetime(2026, 1, 1, 10, tzinfo=datetime.UTC), "fetched_from": "https://cdn/a",
        "client": "yt-dlp 2026", "sha256": "sha-a", "bytes": 7, "metadata_uri": "file:///store/m", "gone_at": None,
    }  # fmt: skip
    assert ask("select count(*) from v_provenance") == [2]


# --- odd text

ODD = [
    "https://site.test/ünïcode/日本語?q=🎬",
    "https://site.test/with,comma\"quote'and\nnewline\tand\\backslash",
    "https://site.test/\\u0000/\\N/\\.",
    "",
    " ",
    "https://site.test/e\u0301",
]


def test_ids_are_the_same_in_sql_and_in_python_for_odd_text() -> None:
    source = "ünï_sourcé"
    record_entries(Pass(source, "folder", "u", DAY), [Entry(uri, "1") for uri in ODD])
    assert ask("select origin_uri, video_id from videos") == sorted(
        ((uri, video_id(source, uri, 1)) for uri in ODD), key=repr
    )


@hypothesis(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.text(max_size=20), min_size=1, max_size=20),
    st.dictionaries(st.text(max_size=8), st.text(max_size=8) | st.floats() | st.none(), max_size=4),
)
def test_any_text_is_taken(home: Path, texts: list[str], published: dict[str, Any]) -> None:
    entries = [
        Entry(f"odd:{number}:{text}", text, text, text, published={"text": text, **published})
        for number, text in enumerate(texts)
    ]
    found = record_entries(Pass("odd", "folder", "u", DAY), entries)
    assert found.new + found.known == len({entry.origin_uri.replace("\0", "") for entry in entries})
    assert record_entries(Pass("odd", "folder", "u", DAY), entries).new == 0
    stored = dict(reading.ask("select origin_uri, video_id from videos")[1])
    assert stored == {uri: video_id("odd", uri, 1) for uri in stored}


def test_what_no_text_can_hold_is_taken_too() -> None:
    odd = "nul \0 surrogate \udcff"
    entry = Entry(
        "file:///odd", "1", odd, published={"text": odd, "literal": "\\u0000", "score": float("nan"), "list": [odd]}
    )
    record_entries(Pass("odd", "folder", "u", DAY), [entry])
    clean = "nul  surrogate \\udcff"
    assert ask("select title, published from videos") == [
        (clean, {"text": clean, "literal": "\\u0000", "score": None, "list": [clean]})
    ]
