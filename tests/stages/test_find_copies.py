"""Copies are found by whichever of two videos is looked up last, and one of them stays whichever is decided last."""

from __future__ import annotations

import itertools
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from edits import edited

from humannet_ops.catalog import duplicates, reading
from humannet_ops.catalog.connection import connect
from humannet_ops.stages import execution

SMALL, LARGE = "2026-01-01", "2026-01-02"
SURVIVES = {"small.mp4": ("rejected", "near_duplicate"), "large.mp4": ("pending", None)}


def run(stage: str, key: str) -> None:
    for shard in execution.plan(stage, key, execution.person()):
        execution.run_shard(shard["shard_id"], execution.person())


def pairs() -> list[tuple[str, str]]:
    return sorted(reading.ask(
        "select a.title, b.title from copies c join videos a using (video_id) join videos b on b.video_id = other_id"
    )[1])  # fmt: skip


@pytest.fixture
def days(way, corpus: Path):
    """A video and a better copy of it, each of a crawl day of its own, analysed."""
    original = corpus / "exo" / "exo_basketball_426x240.mp4"
    edited(original, way.videos / "small.mp4", "-t", "3", "-vf", "hflip,scale=240:-2")
    way.go(key=SMALL, until="analyse")
    edited(original, way.videos / "large.mp4", "-t", "3", "-vf", "scale=426:-2")
    way.go(key=LARGE, until="analyse")
    return way


@pytest.mark.parametrize("decided", list(itertools.permutations((SMALL, LARGE))))
@pytest.mark.parametrize("found", list(itertools.permutations((SMALL, LARGE))))
def test_the_better_copy_stays_in_any_order(days, found: tuple[str, ...], decided: tuple[str, ...]) -> None:
    for key in found:
        run("find_copies", key)
    # each met the other: both had been analysed before
    assert pairs() == [("large.mp4", "small.mp4"), ("small.mp4", "large.mp4")]
    for key in decided:
        run("deduplicate_near", key)
    assert days.statuses() == SURVIVES
    ((similarity, mirrored, named),) = reading.ask(
        "select (scores ->> 'similarity')::float8, (scores ->> 'mirrored')::boolean, title from outcomes o"
        " join videos v on v.video_id = detail ->> 'survivor' where reason = 'near_duplicate'"
    )[1]
    assert similarity > 0.5
    assert (mirrored, named) == (True, "large.mp4")


@pytest.mark.parametrize("decided", list(itertools.permutations((SMALL, LARGE))))
def test_a_pair_that_one_of_them_met_is_known_to_both(way, corpus: Path, decided: tuple[str, ...]) -> None:
    original = corpus / "exo" / "exo_basketball_426x240.mp4"
    edited(original, way.videos / "small.mp4", "-t", "3", "-vf", "scale=240:-2")
    way.go(key=SMALL, until="find_copies")
    edited(original, way.videos / "large.mp4", "-t", "3", "-vf", "scale=426:-2")
    way.go(key=LARGE, until="find_copies")
    assert pairs() == [("large.mp4", "small.mp4")]
    for key in decided:
        run("deduplicate_near", key)
    assert way.statuses() == SURVIVES


def test_two_short_takes_by_one_camera_are_two_videos(way, sample: Callable[[str], Path]) -> None:
    """Asked from one of the two they look like copies, from the other they do not."""
    for take in (1, 2):
        shutil.copyfile(sample(f"Pose2Sim/Demo_Batch/Trial_{take}/videos/cam02.mp4"), way.videos / f"{take}.mp4")
    way.go(until="deduplicate_near")
    assert pairs() == []
    assert way.statuses() == {"1.mp4": ("pending", None), "2.mp4": ("pending", None)}


def test_two_crawl_days_look_for_copies_while_a_third_decides(days) -> None:
    """Nobody who only looks waits for the lock under which is decided."""
    run("find_copies", SMALL)
    with connect() as link:
        duplicates.lock(link, "deduplicate_near")
        run("find_copies", LARGE)
        link.rollback()
    assert len(pairs()) == 2


def test_whom_another_run_of_the_day_kept_is_displaced_by_a_better_copy(
    way, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run reads its work, waits for the lock, and meanwhile another decides about a part of it."""
    original = corpus / "exo" / "exo_basketball_426x240.mp4"
    edited(original, way.videos / "small.mp4", "-t", "3", "-vf", "scale=240:-2")
    edited(original, way.videos / "large.mp4", "-t", "3", "-vf", "scale=426:-2")
    way.go(key=SMALL, until="find_copies")
    small = {row["title"]: row["video_id"] for row in reading.rows("videos", source=None)}["small.mp4"]
    (part,) = execution.plan("deduplicate_near", SMALL, execution.person(), video_id=small)
    (whole,) = execution.plan("deduplicate_near", SMALL, execution.person())
    lock = duplicates.lock

    def late(link, stage: str) -> None:
        monkeypatch.setattr(duplicates, "lock", lock)
        execution.run_shard(part["shard_id"], execution.person())
        assert way.statuses()["small.mp4"] == ("pending", None)
        lock(link, stage)

    monkeypatch.setattr(duplicates, "lock", late)
    execution.run_shard(whole["shard_id"], execution.person())
    assert way.statuses() == SURVIVES


def test_two_crawl_days_that_decide_at_once_keep_one(days) -> None:
    for key in (SMALL, LARGE):
        run("find_copies", key)
    shards = [
        shard["shard_id"]
        for key in (SMALL, LARGE)
        for shard in execution.plan("deduplicate_near", key, execution.person())
    ]
    together = threading.Barrier(2, timeout=60)

    def decide(shard: str) -> None:
        together.wait()
        execution.run_shard(shard, execution.person())

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(decide, shards))
    assert days.statuses() == SURVIVES
