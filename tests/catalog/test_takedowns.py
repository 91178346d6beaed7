"""What is taken down is out of sight at once, gone from the store after that, and never comes back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from endings import record

from humannet_ops.catalog import migrations, planning, reading, recording, takedowns
from humannet_ops.catalog.connection import CatalogError, connect, transaction
from humannet_ops.catalog.discovery import Discovery, Entry, Pass, Report, record_entries
from humannet_ops.domain.identifiers import new_run_id
from humannet_ops.domain.outcome import Reason
from humannet_ops.domain.records import (
    Annotation,
    Artifact,
    ClipSpan,
    ClipSubject,
    Copy,
    Fingerprint,
    Result,
    VideoFile,
    VideoSubject,
    failed,
    kept,
    rejected,
)
from humannet_ops.domain.stage import StageSpec, stage_versions
from humannet_ops.settings import REPOSITORY, settings
from humannet_ops.stages.removal import Removal, remove_objects
from humannet_ops.storage import open_store
from humannet_ops.web import report

DAY = "2026-01-01"
STAGES = {
    spec.name: spec
    for spec in (
        StageSpec("fetch", "video", 1, "crawl"),
        StageSpec("analyse", "video", 1, "cpu", ("fetch",), ("fetch",)),
        StageSpec("deduplicate_near", "video", 1, "cpu", ("analyse",), ("analyse",)),
        StageSpec("cut", "clip", 1, "cpu", ("deduplicate_near",), ("fetch",)),
        StageSpec("annotate", "clip", 1, "gpu", ("cut",), ("cut",)),
    )
}
VERSIONS = stage_versions(tuple(STAGES.values()))


class World:
    """Videos that go the whole way, with real objects in a folder store."""

    def __init__(self) -> None:
        migrations.register(tuple(STAGES.values()), VERSIONS)
        self.store = open_store()
        self.contents: dict[str, str] = {}
        self.copies: dict[str, str] = {}
        self.met: dict[str, str] = {}

    def crawl(self, *entries: Entry, source: str = "site", key: str = DAY, complete: bool = False) -> Discovery:
        return record_entries(
            Pass(source, "http_manifest", "u", key), iter(entries), lambda _uri: None, Report(complete=complete)
        )

    def put(self, text: str, kind: str) -> Artifact:
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            return self.store.put(Path(file.name), kind=kind, suffix=".bin", media_type="application/octet-stream")

    def work(self, stage: str, subject: VideoSubject | ClipSubject) -> Result:
        """Do what a stage does: the bytes of a video are ``contents[title]``, else its title."""
        video = subject if isinstance(subject, VideoSubject) else subject.video
        content = self.contents.get(video.title or "", f"{video.title}")
        if stage == "fetch":
            stored, metadata = self.put(content, "video"), self.put(f"metadata of {video.title}", "metadata")
            file = VideoFile(
                stored.sha256, stored.bytes, "mp4", "h264", 20.0, 64, 48, 30.0, False, {"comment": f"by {video.title}"}
            )
            return kept(artifacts=(stored, metadata), records=(file,), detail={"fetched_from": video.origin_uri})
        if stage == "analyse":
            spans = (ClipSpan(0, 0, 300, 0.0, 10.0), ClipSpan(0, 300, 600, 10.0, 20.0))
            return kept(
                artifacts=(self.put("frames of " + content, "frames"),), records=(*spans, Fingerprint(0.0, 5, 6))
            )
        if stage == "deduplicate_near":
            if original := self.copies.get(video.title or ""):
                return rejected(Reason.NEAR_DUPLICATE, detail={"survivor": self.id_of(original)}, scores={"near": 1})
            met = self.met.get(video.title or "")
            return kept(records=(Copy(self.id_of(met), 0.9, 20.0, False),) if met else ())
        assert isinstance(subject, ClipSubject)
        if stage == "cut":
            return kept(artifacts=(self.put(f"{content} from {subject.start_frame}", "clip"),), scores={"person": 0.5})
        # a pose file that is empty is the same for everybody
        poses = Annotation("pose", "pose@1", {"text": f"{video.title} waves"}, self.put("no pose", "pose"))
        return kept(records=(poses,), scores={"pose_score": 0.5}, model_releases=("pose@1",))

    def go(self, *stages: str, key: str = DAY) -> None:
        for stage in stages or STAGES:
            for shard in self.plan(stage, key):
                self.run(shard)

    def plan(self, stage: str, key: str = DAY) -> list[planning.Shard]:
        return planning.plan_shards(STAGES[stage], VERSIONS, key, shard_seconds=1e9, max_attempts=3)

    def run(self, shard: planning.Shard) -> list[str]:
        """Run a shard as the executor does and return the titles of what it worked on."""
        done = []
        with connect() as link:
            run = self.start(link, shard)
            for item in list(planning.open_work(link, shard, STAGES[shard.stage], 3)):
                video = item.subject if isinstance(item.subject, VideoSubject) else item.subject.video
                if recording.begin_attempt(link, run, item.subject.subject_id) is None:
                    continue
                with transaction(link):
                    record(link, run, item.subject, self.work(shard.stage, item.subject))
                done.append(video.title or "")
        return sorted(done)

    @staticmethod
    def start(link: Any, shard: planning.Shard) -> recording.StageRun:
        run = recording.StageRun(new_run_id(), shard)
        recording.start_run(link, run, recording.TaskIdentity("test"), "revision")
        return run

    @staticmethod
    def id_of(title: str) -> str:
        (found,) = ask(f"select video_id from videos where title = '{title}' order by version desc limit 1")
        return str(found)


def item(name: str, signature: str = "1", **fields: Any) -> Entry:
    return Entry(f"https://site.test/{name}", signature, fields.pop("title", name), **fields)


def ask(statement: str) -> list[Any]:
    rows = [row if len(row) > 1 else row[0] for row in reading.ask(statement)[1]]
    return sorted(rows, key=repr)


def run_sql(statement: str) -> None:
    with connect() as link, transaction(link), link.cursor() as cursor:
        cursor.execute(statement)


def take_down(scope: takedowns.Scope, target: str, **options: Any) -> takedowns.Takedown:
    return takedowns.take_down(scope, target, reason="asked for", requested_by="ann", **options)


def titles() -> list[str]:
    return ask("select title from v_videos")


def everything(kind: str, but: tuple[str, ...] = ()) -> str:
    """Return all rows of all views (``v``) or tables (``r``) as one text."""
    relations = ask(
        "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        f"where n.nspname = 'public' and c.relkind = '{kind}' and c.relname not like 'pg_%'"
    )
    assert len(relations) > 5
    return "\n".join(
        f"{name}: {row}" for name in relations if name not in but for row in ask(f"select t::text from {name} t")
    )


def objects() -> list[str]:
    return sorted(open_store().objects())


@pytest.fixture
def world(home: Path) -> World:
    return World()


# --- out of sight


def test_what_is_taken_down_is_in_no_view_and_on_no_page_before_anything_is_removed(world: World) -> None:
    world.crawl(item("stays"), item("goes", uploader="Secret Person", channel_id="site:c"))
    world.go()
    gone = world.id_of("goes")
    clips = ask(f"select clip_id from v_clips where video_id = '{gone}'")
    assert len(clips) == 2
    run_sql("insert into postponements (stage, subject_id, until, cause, message) "
            f"values ('fetch', '{gone}', now() + interval '1 day', 'host', 'wait')")  # fmt: skip
    before = everything("v", ("v_takedowns",))
    assert all(word in before for word in (gone, *clips))

    done = take_down("video", gone)

    assert (done.videos, done.repeated) == (1, False)
    # objects and rows are all there still: being out of sight waits for none of that
    assert len(objects()) == 11
    internal = (
        "current_outcomes", "video_outcomes", "clip_outcomes", "outcomes_of_clips_video", "video_verdicts",
        "video_yields", "v_takedowns",
    )  # fmt: skip
    after = everything("v", internal)
    for word in (gone, *clips, "goes"):
        assert word not in after
    assert world.id_of("stays") in after
    page = settings().home / "page.html"
    assert "stays" in report.write(page).read_text()
    assert "goes" not in page.read_text()
    for name in ("failures", "videos", "report_sources", "source_yields", "waiting"):
        assert "goes" not in repr(reading.rows(name, source=None, video_id=None))
    assert reading.rows("source_yields", source="site")[0]["videos"] == 1
    assert reading.rows("waiting", source=None, video_id=None) == []
    assert reading.rows("subject_inputs", subject_ids=[gone, *clips]) == []


def test_it_is_out_of_plans_and_of_shards_that_were_planned_before(world: World) -> None:
    world.crawl(item("stays"), item("goes"), item("later"))
    world.go("fetch")
    (shard,) = world.plan("analyse")
    take_down("video", world.id_of("goes"))
    assert world.run(shard) == ["later", "stays"]
    (shard,) = world.plan("cut") or world.plan("deduplicate_near")
    take_down("video", world.id_of("later"))
    assert world.run(shard) == ["stays"]
    world.go()
    assert planning.due_partitions(3) == []
    world.crawl(item("failing"), key="2026-01-02")
    (shard,) = world.plan("fetch", "2026-01-02")
    with connect() as link:
        run = world.start(link, shard)
        (work,) = planning.open_work(link, shard, STAGES["fetch"], 3)
        with transaction(link):
            record(link, run, work.subject, failed(Reason.TIMED_OUT, "slow"))
    assert planning.due_partitions(3) == ["2026-01-02"]
    take_down("video", world.id_of("failing"))
    assert planning.due_partitions(3) == []
    assert reading.rows("failures", source=None) == []


# --- gone


def test_nothing_that_describes_it_is_left_but_what_proves_the_takedown(world: World) -> None:
    secret = item(
        "goes", title="Secretwalk", uploader="Secretname", published={"description": "Secretwords"}, license="CC0"
    )
    world.crawl(item("stays"), secret)
    world.go()
    world.crawl(item("goes", title="Secretwalk again", uploader="Secretname"))
    gone = world.id_of("Secretwalk again")
    partial = settings().home / "incoming" / gone
    partial.mkdir(parents=True)
    (partial / "half.mp4").write_text("Secret")
    assert "Secret" in everything("r")
    before = len(objects())
    take_down("video", gone)
    done = remove_objects()
    # its file, metadata, frames and two clips; the pose file is the other video's too
    assert done == Removal(videos=1, removed=5)
    assert len(objects()) == before - 5
    assert "Secret" not in everything("r")
    assert not partial.exists()
    (pose,) = ask("select uri from artifacts where kind = 'pose'")
    assert open_store().contains(pose)
    # the catalog names what the store holds, both ways: `humannet doctor --store` finds nothing
    assert sorted(reading.artifact_uris()) == objects()
    # what stays: that it was there, how far it came, and what bars it
    assert ask(f"select stage, outcome from outcomes where video_id = '{gone}' and subject_id = video_id") == [
        ("analyse", "kept"), ("deduplicate_near", "kept"), ("fetch", "kept"),
    ]  # fmt: skip
    (ledger,) = reading.rows("takedowns")
    assert {name: ledger[name] for name in ("scope", "target", "reason", "requested_by")} == {
        "scope": "video", "target": gone, "reason": "asked for", "requested_by": "ann",
    }  # fmt: skip
    counted = ("videos", "videos_cleared", "clips", "objects", "objects_removed", "objects_failed", "releases_recalled")
    assert [ledger[name] for name in counted] == [1, 1, 2, 5, 5, 0, 0]
    assert ledger["hours"] == pytest.approx(20 / 3600)
    assert remove_objects() == Removal()


def test_an_object_that_two_videos_share_goes_with_the_last_of_them(world: World) -> None:
    world.crawl(item("a"), item("b"))
    world.go()
    (pose,) = ask("select uri from artifacts where kind = 'pose'")
    take_down("video", world.id_of("a"))
    remove_objects()
    assert open_store().contains(pose)
    assert set(titles()) == {"b"}
    take_down("video", world.id_of("b"))
    remove_objects()
    assert objects() == []
    assert ask("select count(*) from artifacts") == [0]


def test_an_object_that_is_recorded_again_while_it_is_queued_stays(world: World) -> None:
    world.crawl(item("a"), item("b"))
    world.go("fetch", "analyse", "deduplicate_near", "cut")
    (shard,) = world.plan("annotate")
    first = world.id_of("a")
    with connect() as link:
        run = world.start(link, shard)
        work = {w.subject.video.title: w.subject for w in planning.open_work(link, shard, STAGES["annotate"], 3)}
        with transaction(link):
            record(link, run, work["a"], world.work("annotate", work["a"]))
        take_down("video", first)
        assert takedowns.clear(link, 10) == [first]
        (pose,) = ask("select uri from object_removals where kind = 'pose'")
        with transaction(link):
            record(link, run, work["b"], world.work("annotate", work["b"]))
    done = remove_objects()
    assert done.needed == 1
    assert open_store().contains(pose)
    assert ask("select count(*) from object_removals where kind = 'pose'") == [0]


def test_work_that_counted_on_an_object_which_was_removed_meanwhile_is_done_again(world: World) -> None:
    world.crawl(item("a"), item("b"))
    world.go("fetch", "analyse", "deduplicate_near", "cut")
    (shard,) = world.plan("annotate")
    with connect() as link:
        run = world.start(link, shard)
        work = {w.subject.video.title: w.subject for w in planning.open_work(link, shard, STAGES["annotate"], 3)}
        with transaction(link):
            record(link, run, work["a"], world.work("annotate", work["a"]))
        take_down("video", world.id_of("a"))
        recording.begin_attempt(link, run, work["b"].subject_id)
        result = world.work("annotate", work["b"])
        remove_objects()
        with pytest.raises(CatalogError, match="the next try stores it again"), transaction(link):
            record(link, run, work["b"], result)
    world.go("annotate")
    assert sorted(reading.artifact_uris()) == objects()
    assert ask("select status from v_clips") == ["kept", "kept"]


def test_what_the_store_refuses_is_in_the_ledger_and_tried_again_later(world: World) -> None:
    world.crawl(item("goes"))
    world.go("fetch")
    take_down("video", world.id_of("goes"))
    (video,) = ask("select uri from artifacts where kind = 'video'")
    path = Path(urlsplit(video).path)
    path.unlink()
    path.mkdir()
    assert remove_objects() == Removal(videos=1, removed=1, failed=1)
    assert ask("select objects, objects_removed, objects_failed from v_takedowns") == [(2, 1, 1)]
    assert "directory" in ask(f"select error from object_removals where uri = '{video}'")[0]
    path.rmdir()
    assert remove_objects() == Removal(), "its turn has not come"
    run_sql("update object_removals set tried_at = tried_at - interval '2 minutes'")
    assert remove_objects() == Removal(removed=1)
    assert ask("select objects, objects_removed, objects_failed from v_takedowns") == [(2, 2, 0)]


def test_many_removers_at_once_remove_each_object_once(world: World) -> None:
    world.crawl(*(item(f"v{number}") for number in range(30)))
    world.go("fetch", "analyse")
    take_down("source", "site")
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _n: remove_objects(), range(4)))
    assert sum(one.removed for one in done) == 90
    assert sum(one.videos for one in done) == 30
    assert ask("select count(*), sum(attempts) from object_removals where removed_at is not null") == [(90, 90)]
    assert objects() == []


# --- what belongs to it


def test_equal_bytes_go_with_it_and_edited_copies_are_left_to_a_person(world: World) -> None:
    world.contents = {"original": "same", "equal": "same"}
    world.copies = {"edited": "original", "sibling": "better", "original": "better"}
    world.crawl(item("better"), item("original"), item("edited"), item("sibling"), item("other"))
    world.crawl(item("equal"), source="elsewhere")
    world.go()
    done = take_down("video", world.id_of("original"))
    assert done.videos == 2
    assert titles() == ["better", "edited", "other", "sibling"]
    assert [row["title"] for row in done.near_duplicates] == ["better", "edited", "sibling"]
    remove_objects()
    # whose copy it was is known after its rows were cleared too
    again = take_down("video", done.ledger["target"])
    assert {row["title"] for row in again.near_duplicates} == {"better", "edited", "sibling"}
    assert again.videos == 0


def test_every_version_and_every_row_of_the_item_goes(world: World) -> None:
    world.contents = {"first": "one", "second": "two"}
    world.crawl(item("a", title="first"), item("b"))
    world.go("fetch")
    world.crawl(item("a", "2", title="second"))
    world.go("fetch")
    # the same item was refused by its licence in another source, which is why it has a row of its own there
    run_sql("update videos set extractor = 'Site', extractor_id = '1' where title = 'second'")
    run_sql("insert into sources values ('third', 'http_manifest', 'u')")
    run_sql(
        "insert into videos (video_id, source, origin_uri, version, signature, title, partition_key, extractor, "
        "extractor_id) values ('v3', 'third', 'https://third.test/1', 1, '', 'third', '2026-01-01', 'Site', '1')"
    )
    assert titles() == ["b", "first", "second", "third"]
    assert take_down("video", world.id_of("first")).videos == 2
    assert titles() == ["b", "third"]
    assert take_down("video", "v3").videos == 1
    assert titles() == ["b"]


def test_a_release_that_holds_clips_of_it_is_recalled_also_when_published_later(world: World) -> None:
    world.crawl(item("goes"), item("stays"))
    world.go()
    gone, stays = world.id_of("goes"), world.id_of("stays")
    run_sql("insert into releases (release) values ('2026.1'), ('2026.2')")
    run_sql(f"insert into release_clips select '2026.1', clip_id from clips where video_id = '{gone}'")
    run_sql(f"insert into release_clips select '2026.2', clip_id from clips where video_id = '{stays}'")
    run_sql(f"update clips set retired_at = now() where video_id = '{gone}' and start_frame = 0")
    assert take_down("video", gone).releases == ("2026.1",)
    run_sql(f"insert into release_clips select '2026.2', clip_id from clips where video_id = '{gone}' limit 1")
    remove_objects()
    assert ask("select release, clips from release_recalls") == [("2026.1", 2), ("2026.2", 1)]
    assert ask("select releases_recalled from v_takedowns") == [2]


# --- never again


def test_no_address_of_a_taken_down_item_is_recorded_again(world: World) -> None:
    known = item("watch?v=1", extractor="Site", extractor_id="1", canonical_uri="https://site.test/1")
    world.crawl(known, item("shared/1", extractor="Site", extractor_id="1"))
    world.go("fetch")
    take_down("video", world.id_of("watch?v=1"))
    remove_objects()
    again = (
        item("watch?v=1", "2", title="Secret", extractor="Site", extractor_id="1"),
        item("shared/1", title="Secret"),
        item("embed/1", title="Secret", extractor="Site", extractor_id="1"),
        item("1?utm=x", title="Secret", canonical_uri="https://site.test/1"),
        item("1", title="Secret"),
    )
    found = world.crawl(*again, item("2", title="other", extractor="Site", extractor_id="2"), complete=True)
    assert found == Discovery(new=1, changed=0, known=0, barred=5)
    found = world.crawl(*again, source="elsewhere", key="2026-01-02")
    assert found == Discovery(new=0, changed=0, known=0, barred=5)
    assert titles() == ["other"]
    assert "Secret" not in everything("r")
    assert ask("select source, barred from crawls") == [("elsewhere", 5), ("site", 5)]
    # nobody says that an item is gone because its entry is left out
    assert ask("select count(*) from upstream_changes") == [0]


def test_a_page_that_several_items_share_bars_none_but_the_one_that_was_meant(world: World) -> None:
    page = "https://site.test/playlist"
    first, second, third = (
        item(f"p#{n}", extractor="Site", extractor_id=str(n), canonical_uri=page, title=str(n)) for n in (1, 2, 3)
    )
    world.crawl(first, second)
    take_down("video", world.id_of("1"))
    assert titles() == ["2"]
    assert world.crawl(first, second, third) == Discovery(new=1, changed=0, known=1, barred=1)
    assert titles() == ["2", "3"]


@pytest.mark.parametrize(("scope", "target"), [("channel", "Site:c"), ("source", "site")])
def test_what_a_channel_or_a_source_publishes_later_does_not_come_back(
    world: World, scope: takedowns.Scope, target: str
) -> None:
    world.crawl(item("a", channel_id="Site:c"), item("b", channel_id="Site:d"))
    run_sql("insert into channels (channel_id, title) values ('Site:c', 'Secret Name'), ('Site:d', 'Other')")
    world.crawl(item("elsewhere", channel_id="Site:d"), source="other")
    world.go()
    take_down(scope, target)
    left = ["elsewhere"] if scope == "source" else ["b", "elsewhere"]
    assert titles() == left
    assert ("Secret Name" in everything("r")) is (scope == "source")
    found = world.crawl(item("a", "2", channel_id="Site:c"), item("new", channel_id="Site:c"))
    assert found == Discovery(0, 0, 0, barred=2)
    # the same item under another source; a new one of the same channel there
    found = world.crawl(item("a", channel_id="Site:c"), item("n", channel_id="Site:c"), source="other")
    assert found == Discovery(1 if scope == "source" else 0, 0, 0, barred=1 if scope == "source" else 2)
    assert titles() == left + (["n"] if scope == "source" else [])


def test_a_pass_that_was_under_way_when_the_takedown_came_brings_nothing_back(world: World) -> None:
    world.crawl(item("a", channel_id="Site:c"))

    def listing() -> Iterator[Entry]:
        yield item("b", channel_id="Site:c")
        take_down("channel", "Site:c")
        yield item("c", channel_id="Site:c")

    assert world.crawl(*listing(), source="other").barred == 2
    # and between its look at the tombstones and its end
    with connect() as link, transaction(link), link.cursor() as cursor:
        cursor.execute("create temp table entries (origin_uri text, canonical_uri text, extractor text, "
                       "extractor_id text, channel_id text) on commit drop")  # fmt: skip
        cursor.execute("insert into entries values ('https://site.test/d', null, null, null, 'Site:c')")
        cursor.execute(
            "insert into videos (video_id, source, origin_uri, version, signature, title, partition_key, "
            "channel_id) values ('vd', 'other', 'https://site.test/d', 1, '', 'd', '2026-01-01', 'Site:c')"
        )
        from humannet_ops.catalog.connection import queries

        assert queries().mark_inserted(link, source="other") == 1
    assert titles() == []
    assert ask("select videos from v_takedowns") == [2]


def test_a_taken_down_source_is_not_even_listed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from humannet_ops.stages import execution

    world.crawl(item("a"), source="nowhere")
    take_down("source", "nowhere")
    # there is no such file: it would be an error to look at it
    assert execution.discover("nowhere", DAY, execution.person())["new"] == 0


def test_what_a_video_was_found_to_be_a_copy_of_is_forgotten_whichever_of_the_two_goes(world: World) -> None:
    world.crawl(*(item(name) for name in "abcd"))
    world.met = {"a": "b", "b": "c", "c": "d"}
    world.go("fetch", "analyse", "deduplicate_near")
    take_down("video", world.id_of("b"))
    remove_objects()
    assert ask("select video_id, other_id from copies") == [(world.id_of("c"), world.id_of("d"))]


def test_a_pair_with_a_video_that_was_cleared_meanwhile_is_not_written(world: World) -> None:
    world.crawl(item("goes"), item("stays"))
    world.go("fetch", "analyse")
    (shard,) = world.plan("deduplicate_near")
    world.met = {"stays": "goes"}
    with connect() as link:
        run = world.start(link, shard)
        work = {w.subject.title: w.subject for w in planning.open_work(link, shard, STAGES["deduplicate_near"], 3)}
        result = world.work("deduplicate_near", work["stays"])
        link.rollback()
        take_down("video", world.id_of("goes"))
        remove_objects()
        with transaction(link):
            assert record(link, run, work["stays"], result)
    assert ask("select * from copies") == []


# --- while stages run


def test_a_stage_that_was_at_work_leaves_neither_objects_nor_outcomes(world: World) -> None:
    world.crawl(item("goes"), item("stays"))
    world.go("fetch", "analyse", "deduplicate_near")
    (shard,) = world.plan("cut")
    gone = world.id_of("goes")
    with connect() as link:
        run = world.start(link, shard)
        work = list(planning.open_work(link, shard, STAGES["cut"], 3))
        results = [(w.subject, world.work("cut", w.subject)) for w in work]
        assert len(objects()) == 10
        take_down("video", gone)
        remove_objects()
        for subject, result in results:
            with transaction(link):
                written = record(link, run, subject, result)
            assert written is (subject.video.title == "stays")
        began = {w.subject.video.title: recording.begin_attempt(link, run, w.subject.subject_id) for w in work}
        assert began == {"goes": None, "stays": 1}
    assert ask(f"select stage from outcomes where video_id = '{gone}'") == ["analyse", "deduplicate_near", "fetch"]
    remove_objects()
    assert sorted(reading.artifact_uris()) == objects()
    assert len(objects()) == 5
    assert ask("select objects, objects_removed from v_takedowns") == [(5, 5)]


def test_a_takedown_does_not_wait_for_a_stage_and_what_the_stage_writes_does_not_outlive_it(world: World) -> None:
    world.crawl(item("goes"))
    world.go("fetch", "analyse")
    (shard,) = world.plan("deduplicate_near")
    gone = world.id_of("goes")
    with connect() as link:
        run = world.start(link, shard)
        (work,) = planning.open_work(link, shard, STAGES["deduplicate_near"], 3)
        link.rollback()
        with transaction(link):
            # a comparison of a whole partition may hold its transaction open for minutes
            stored = world.put("of the stage", "pose")
            assert record(link, run, work.subject, kept(scores={"near": 1}, artifacts=(stored,)))
            take_down("video", gone)
            assert titles() == []
            assert remove_objects() == Removal(), "its rows are being written to"
    done = remove_objects()
    assert (done.videos, done.removed) == (1, 4)
    assert ask("select count(*) from outcomes where scores <> '{}'") == [0]
    assert objects() == []


def test_a_download_of_the_same_bytes_that_ends_after_the_takedown_is_not_recorded(world: World) -> None:
    world.contents = {"original": "same", "other name": "same"}
    world.crawl(item("original"))
    world.go("fetch")
    world.crawl(item("other name"))
    (shard,) = world.plan("fetch")
    with connect() as link:
        run = world.start(link, shard)
        (work,) = planning.open_work(link, shard, STAGES["fetch"], 3)
        result = world.work("fetch", work.subject)
        take_down("video", world.id_of("original"))
        with transaction(link):
            assert not record(link, run, work.subject, result)
    assert titles() == []
    remove_objects()
    assert objects() == []
    assert ask("select videos, objects_removed from v_takedowns") == [(2, 3)]


@pytest.fixture
def folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget_settings: Any) -> Path:
    """A real folder source with one real video."""
    import av
    import numpy as np

    from humannet_ops.stages import execution

    videos, sources = tmp_path / "videos", tmp_path / "sources"
    videos.mkdir()
    sources.mkdir()
    (sources / "videos.yaml").write_text(f"source: videos\nkind: folder\ndescription: Test.\npath: {videos}\n")
    with av.open(str(videos / "a.mp4"), "w") as container:
        stream = container.add_stream("h264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((240, 320, 3), number * 8, np.uint8))))
        container.mux(stream.encode())
    monkeypatch.setenv("HUMANNET_SOURCES_DIR", str(sources))
    forget_settings()
    execution.register()
    return videos


def fetch_folder(key: str) -> dict[str, int]:
    from humannet_ops.stages import execution

    execution.discover("videos", key, execution.person())
    counts: dict[str, int] = {}
    for shard in execution.plan("fetch", key, execution.person()):
        counts = execution.run_shard(shard["shard_id"], execution.person())
    return {name: number for name, number in counts.items() if number}


def test_the_same_bytes_under_another_name_are_never_stored(folder: Path) -> None:
    assert fetch_folder(DAY) == {"kept": 1}
    take_down("video", ask("select video_id from v_videos")[0])
    remove_objects()
    assert objects() == []
    (folder / "b.mp4").write_bytes((folder / "a.mp4").read_bytes())
    assert fetch_folder("2026-01-02") == {"rejected": 1}
    assert objects() == []
    assert ask("select reason, detail ->> 'message' from outcomes where reason is not null") == [
        ("taken_down", "these bytes were taken down under another name")
    ]
    assert titles() == []
    assert ask("select videos from v_takedowns") == [2]
    remove_objects()
    # a touched file with the same bytes is looked at again, and refused again
    os.utime(folder / "b.mp4", (1, 1))
    fetch_folder("2026-01-03")
    assert objects() == []
    assert titles() == []
    remove_objects()
    assert "b.mp4" not in "".join(ask("select coalesce(title, '') from videos"))


# --- again, and after a crash


def test_asking_again_says_so_and_changes_nothing(world: World) -> None:
    world.crawl(item("goes"), item("stays"))
    world.go()
    gone = world.id_of("goes")
    take_down("video", gone)
    remove_objects()
    before = everything("r")
    again = takedowns.take_down("video", gone, reason="another", requested_by="bob")
    assert again.repeated
    assert (again.videos, again.objects) == (0, 0)
    assert remove_objects() == Removal()
    assert everything("r") == before


def test_a_dry_run_tells_all_and_changes_nothing(world: World) -> None:
    world.crawl(item("goes", channel_id="Site:c"), item("stays"))
    world.go()
    before = everything("r")
    would = take_down("channel", "Site:c", dry_run=True)
    assert (would.videos, would.ledger["clips"], would.objects) == (1, 2, 5)
    assert would.bytes == sum(len(Path(urlsplit(uri).path).read_bytes()) for uri in objects() if "goes" in
                              Path(urlsplit(uri).path).read_text())  # fmt: skip
    assert everything("r") == before
    assert len(titles()) == 2
    done = take_down("channel", "Site:c")
    assert (done.videos, done.objects, done.bytes, done.repeated) == (1, 5, would.bytes, False)


DIE = "lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)"
MOMENTS = {
    "before the takedown is committed": f"takedowns.queries().mark_items = {DIE}",
    "before its tombstones are": f"takedowns.queries().seal_takedown = {DIE}",
    "after that": f"takedowns._describe = {DIE}",
    "while rows are cleared": f"takedowns.queries().clear_fingerprints = {DIE}",
    "after they were": f"removal._forget_downloads = {DIE}",
    "after an object was removed and before the ledger says so": f"takedowns.record_removals = {DIE}",
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_moment_and_done_again_it_ends_the_same(world: World, moment: str) -> None:
    world.crawl(item("goes"), item("stays"))
    world.go()
    gone = world.id_of("goes")
    code = (
        "import os, signal; from humannet_ops.catalog import takedowns; from humannet_ops.stages import removal\n"
        f"{MOMENTS[moment]}\n"
        f"takedowns.take_down('video', {gone!r}, reason='asked for', requested_by='ann')\n"
        "removal.remove_objects()"
    )
    ended = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, cwd=REPOSITORY)
    assert ended.returncode == -9, ended.stderr.decode()
    assert len(titles()) == (2 if moment.startswith("before the takedown") else 1)
    if moment.startswith("before the takedown"):
        take_down("video", gone)
    # nobody needs to ask again: the background goes on from wherever it was
    remove_objects()
    assert titles() == ["stays"]
    assert ask("select kind from tombstones") == ["origin", "sha256"]
    assert sorted(reading.artifact_uris()) == objects()
    assert ask("select videos, videos_cleared, objects, objects_removed from v_takedowns") == [(1, 1, 5, 5)]
    assert ask(f"select count(*) from annotations join clips using (clip_id) where video_id = '{gone}'") == [0]


# --- the command


def humannet(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", "from humannet_ops.cli import main; main()", "takedown", *arguments],
        env={**os.environ, "COLUMNS": "160"}, capture_output=True, text=True, cwd=REPOSITORY, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_the_command_shows_asks_does_and_keeps_the_ledger(world: World) -> None:
    world.copies = {"edited": "goes"}
    world.crawl(item("goes", channel_id="Site:c"), item("edited"), item("stays"))
    world.go()
    run_sql("insert into releases (release) values ('2026.1')")
    run_sql("insert into release_clips select '2026.1', clip_id from v_clips where video_id = "
            f"'{world.id_of('goes')}'")  # fmt: skip
    address = "https://site.test/goes"
    status, said = humannet("--video", address, "--reason", "mail of 3 May", "--dry-run")
    assert status == 0, said
    for words in ("1 video, 2 clips, 20 s", "5 objects to remove", "2026.1", "edited", "Nothing was changed"):
        assert words in said
    assert len(titles()) == 3
    status, said = humannet("--video", address, "--reason", "mail of 3 May")
    assert status == 1
    assert "give --yes" in said
    assert len(titles()) == 3
    page = report.write(settings().home / "report.html")
    status, said = humannet("--video", address, "--reason", "mail of 3 May", "--by", "ann", "--yes")
    assert status == 0, said
    assert "5 of 5 objects removed; 1 release recalled" in said
    assert "goes" not in page.read_text()
    assert titles() == ["edited", "stays"]
    status, said = humannet("--video", address, "--reason", "mail of 3 May", "--yes")
    assert status == 0
    assert "taken down before" in said
    assert "by ann; nothing came since" in said
    status, said = humannet("list", "--format", "json")
    (row,) = json.loads(said)
    assert (row["requested_by"], row["videos"], row["objects_removed"]) == ("ann", 1, 5)


def test_the_command_names_the_cause_and_the_cure(world: World) -> None:
    world.crawl(item("a", channel_id="youtube:UCabcdef"))
    assert humannet("list") == (0, "Nothing was taken down.\n")
    for arguments, words in (
        (("--channel", "youtube:UCabcdeg", "--reason", "r"), "the nearest known: youtube:UCabcdef"),
        (("--source", "sit", "--reason", "r"), "the nearest known: site"),
        (("--video", world.id_of("a")[:-1], "--reason", "r"), world.id_of("a")),
        (("--video", "https://nowhere.test/", "--reason", "r"), "`humannet sql` lists them"),
        (("--source", "site"), "say why"),
        (("--source", "site", "--channel", "c", "--reason", "r"), "exactly one of"),
        (("--reason", "r"), "exactly one of"),
    ):
        status, said = humannet(*arguments)
        assert status == 1
        assert words in said
        assert said.startswith("humannet: ")
        assert len(said.splitlines()) == 1
