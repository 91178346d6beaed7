"""The funnel's totals are always the full count's, and a settled day comes back when something of it changes."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from test_planning import DAY, Platform, analysed, discover, fetched, keep, pipeline

from humannet_ops.catalog import counting, planning, reading, recording, takedowns
from humannet_ops.catalog.connection import connect, queries, transaction
from humannet_ops.domain.identifiers import new_run_id
from humannet_ops.domain.outcome import Reason
from humannet_ops.domain.records import failed, kept, rejected

FULL = Path(__file__).with_name("full_funnel.sql").read_text()
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture
def platform(home) -> Platform:
    return Platform(pipeline())


def funnel() -> list[tuple[object, ...]]:
    return list(reading.ask("select * from v_funnel")[1])


def full() -> list[tuple[object, ...]]:
    return list(reading.ask(FULL)[1])


def yields(of: str = "video_yields") -> set[tuple[object, ...]]:
    return set(
        reading.ask(
            f"select video_id, fetched, decided, round(kept_s::numeric, 6), round(cost_s::numeric, 6) from {of}"
        )[1]
    )


def counted_yields() -> set[tuple[object, ...]]:
    return yields("count_yields((select array_agg(video_id) from videos))")


def marks() -> int:
    ((found,),) = reading.ask("select count(*) from tally_marks")[1]
    return int(found)


def fold() -> int:
    with connect() as link:
        return counting.fold(link)


def change(statement: str) -> None:
    with connect() as link, link, link.cursor() as cursor:
        cursor.execute(statement)


def steps(platform: Platform) -> dict[str, Callable[[], object]]:
    """What can change the funnel, each named for what it is."""
    return {
        "fetched": lambda: platform.run(
            "fetch", lambda s: failed(Reason.TIMED_OUT, "slow") if s.title == "d" else fetched(s)
        ),
        "analysed": lambda: platform.run("analyse", analysed((0, 300), (300, 600))),
        "decided": lambda: platform.run(
            "decide", lambda s: kept() if s.start_frame == 0 else rejected(Reason.NO_MOTION)
        ),
        "cut": lambda: platform.run("cut", keep),
        "another reason": lambda: platform.run("fetch", lambda _s: failed(Reason.UNREADABLE, "no video")),
        "forgotten": lambda: reading.forget_failures(stage=None, video_id=None, reason="unreadable"),
        "a clip is retired": lambda: change(
            "update clips set retired_at = now() where clip_id = (select min(clip_id) from clips)"
        ),
        "a video is longer": lambda: change("update videos set duration_s = 31.5 where title = 'a'"),
        "taken down": lambda: takedowns.take_down(
            "video",
            next(iter(reading.ask("select video_id from videos where title = 'b'")[1]))[0],
            reason="asked for",
            requested_by="ann",
        ),
        "a newer version": lambda: Platform(pipeline(analyse_revision=2)).run(
            "analyse", analysed((0, 300), (300, 500))
        ),
    }


@pytest.mark.parametrize("folding", ["never", "after each", "every third"])
def test_the_funnel_is_the_full_count_after_each_step(platform: Platform, folding: str) -> None:
    discover("a", "b", "c", "d")
    seen = []
    for number, (name, step) in enumerate(steps(platform).items()):
        step()
        assert funnel() == full(), name
        assert yields() == counted_yields(), name
        if folding == "after each" or (folding == "every third" and number % 3 == 2):
            assert fold() > 0, f"{name} left no mark"
            assert marks() == 0
            assert funnel() == full(), f"{name}, folded"
            assert yields() == counted_yields() == yields("yields"), f"{name}, folded"
        seen.append(funnel())
    assert len({str(state) for state in seen}) == len(seen), "a step changed nothing: it proves nothing"
    fold()
    before = funnel()
    assert before == full()
    assert fold() == 0
    assert [row["videos"] for row in reading.rows("funnel", source="nothing")] == []
    of_source = reading.rows("funnel", source="videos")
    assert [tuple(row.values()) for row in of_source] == before


def test_a_verdict_stands_until_the_video_is_looked_at_again(platform: Platform) -> None:
    discover("a")
    for stage, work in {"fetch": fetched, "analyse": analysed((0, 300)), "decide": keep, "cut": keep}.items():
        platform.run(stage, work)
    fold()
    ((_, _, decided, kept_s, _),) = yields()
    assert (decided, kept_s) == (True, 10)
    newer = Platform(pipeline(analyse_revision=2))
    # a source is not without verdicts on the day that a version is raised
    assert {(decided, kept_s) for _, _, decided, kept_s, _ in yields()} == {(True, 10)}
    newer.run("analyse", analysed((0, 300)))
    assert {(decided, kept_s) for _, _, decided, kept_s, _ in yields()} == {(False, 0)}


def test_a_fold_in_parts_ends_where_one_in_a_piece_does(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    discover("a", "b", "c", "d")
    for step in steps(platform).values():
        step()
    monkeypatch.setattr(counting, "_MOST", 2)
    assert fold() > 2
    assert marks() == 0
    assert funnel() == full()
    ((negative,),) = reading.ask(
        "select count(*) from funnel_totals where videos < 0 or clips < 0 or microseconds < 0"
    )[1]
    assert negative == 0


def test_whoever_finds_another_folding_leaves_it_to_them(platform: Platform) -> None:
    discover("a")
    platform.run("fetch", fetched)
    assert marks() > 0
    with connect() as other, other.cursor() as cursor:
        cursor.execute("select fold_tallies(1)")
        assert fold() == 0
        assert funnel() == full()
        other.rollback()
    assert fold() > 0


def test_writers_and_folders_at_once_lose_nothing(platform: Platform) -> None:
    names = [f"v{number:03}" for number in range(120)]
    discover(*names)
    shards = platform.plan("fetch", seconds=200)
    assert len(shards) > 8
    done = threading.Event()

    def fold_on() -> int:
        folded = 0
        while not done.is_set():
            folded += fold()
            # one statement: both are of the same moment
            both = set(reading.ask(f"select 'a', f.* from v_funnel f union all select 'b', c.* from ({FULL}) c")[1])
            assert {row[1:] for row in both if row[0] == "a"} == {row[1:] for row in both if row[0] == "b"}
        return folded

    with ThreadPoolExecutor(12) as pool:
        folding = [pool.submit(fold_on) for _ in range(2)]
        try:
            list(pool.map(lambda shard: list(platform.execute(shard, fetched)), shards))
        finally:
            done.set()
        assert sum(task.result() for task in folding) > 0
    fold()
    assert marks() == 0
    assert funnel() == full()
    assert [row[3] for row in funnel()] == [120]


def test_runs_that_share_objects_and_subjects_do_not_block_each_other(platform: Platform) -> None:
    """Two runs of the same shards, each with all outcomes in one transaction: one of the two wins every subject."""
    discover(*[f"v{number:03}" for number in range(60)])
    shards = platform.plan("fetch", seconds=200)
    barrier = threading.Barrier(2 * len(shards))

    def run_whole(shard: planning.Shard) -> int:
        with connect() as link:
            run = recording.StageRun(new_run_id(), shard)
            recording.start_run(link, run, recording.TaskIdentity("test"), "revision")
            items = list(planning.open_work(link, shard, platform.specs["fetch"], 3))
            endings = [
                recording.Ending(i.subject.subject_id, i.subject.subject_id, fetched(i.subject), NOW, 0.1)
                for i in items
            ]
            link.rollback()
            barrier.wait(60)
            with transaction(link):
                return len(recording.record(link, run, endings))

    with ThreadPoolExecutor(2 * len(shards)) as pool:
        written = sum(pool.map(run_whole, [*shards, *reversed(shards)]))
    assert written == 60
    assert [row[3] for row in funnel()] == [60]


def settled() -> list[str]:
    return [row[0] for row in reading.ask("select partition_key from settled_days order by 1")[1]]


def finish(platform: Platform, key: str = DAY) -> None:
    platform.run("fetch", fetched, key)
    platform.run("analyse", analysed((0, 300)), key)
    platform.run("decide", keep, key)
    platform.run("cut", keep, key)


def test_a_day_is_settled_when_nothing_is_under_way_and_not_before(platform: Platform) -> None:
    discover("a")
    discover("b", key="2026-01-02")
    assert planning.due_partitions(3) == [DAY, "2026-01-02"]
    finish(platform)
    assert planning.due_partitions(3) == ["2026-01-02"]
    assert settled() == [DAY]


def test_a_settled_day_is_not_looked_at_again(platform: Platform) -> None:
    discover("a")
    finish(platform)
    assert planning.due_partitions(3) == []
    # what the triggers would have told, kept from them: only looking would find it
    change(
        "alter table outcomes disable trigger outcomes_deleted; delete from outcomes where stage = 'cut';"
        "alter table outcomes enable trigger outcomes_deleted"
    )
    assert planning.due_partitions(3) == []
    change("delete from settled_days")
    assert planning.due_partitions(3) == [DAY]


EVENTS: dict[str, Callable[[], object]] = {
    "a new video": lambda: discover("c"),
    "a retry": lambda: reading.forget_failures(stage="fetch", video_id=None, reason=None),
    "a raised version": lambda: Platform(pipeline(analyse_revision=2)),
    "a takedown lifted": lambda: change("update videos set takedown_id = null"),
    "a clip comes back": lambda: change("update clips set retired_at = null"),
}


@pytest.mark.parametrize("event", EVENTS)
def test_a_settled_day_comes_back_when_something_of_it_changes(platform: Platform, event: str) -> None:
    discover("a", "b", "z")
    for _ in range(3):
        platform.run("fetch", lambda s: failed(Reason.TIMED_OUT, "slow") if s.title == "z" else fetched(s))
    platform.run("analyse", analysed((0, 300), (300, 600)))
    platform.run("decide", keep)
    # what is not cut is taken down or retired
    platform.run("cut", lambda s: kept() if s.start_frame == 0 else failed(Reason.TIMED_OUT, "slow"))
    change(
        "delete from outcomes where outcome = 'failed' and stage = 'cut';"
        "update clips set retired_at = now() where start_frame > 0 and video_id = (select min(video_id) from clips);"
        "insert into takedowns (takedown_id, scope, target, reason, requested_by) values ('t', 'video', 'x', '', '');"
        "update videos set takedown_id = 't' where video_id = (select max(video_id) from clips)"
    )
    assert planning.due_partitions(3) == []
    assert settled() == [DAY]
    EVENTS[event]()
    assert planning.due_partitions(3) == [DAY]
    assert settled() == []


def test_more_tries_bring_a_failed_subject_back(platform: Platform) -> None:
    discover("a")
    for _ in range(3):
        platform.run("fetch", lambda _s: failed(Reason.TIMED_OUT, "slow"))
    assert planning.due_partitions(3) == []
    assert planning.due_partitions(4) == [DAY]


def test_what_changes_while_a_day_is_looked_at_is_not_forgotten(platform: Platform) -> None:
    """A look that began before a change and ends after it may not settle the day for good."""
    discover("a")
    finish(platform)
    with connect() as looking:
        versions = queries().stage_digest(looking, max_attempts=3)
        list(queries().lock_day(looking, partition_key=DAY))
        queries().take_day_marks(looking, partition_key=DAY)
        assert not queries().day_work(looking, partition_key=DAY, max_attempts=3)["pending"]
        discover("b")
        queries().settle_day(looking, partition_key=DAY, versions=versions)
        looking.commit()
    assert settled() == [DAY]
    assert planning.due_partitions(3) == [DAY]
