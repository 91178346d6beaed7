"""Fingerprints come back as they were written, and copies are found however many videos are asked about at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from endings import record

from humannet_ops.catalog import duplicates, migrations, planning, recording
from humannet_ops.catalog.connection import Connection, connect, transaction
from humannet_ops.catalog.discovery import Entry, Pass, record_entries
from humannet_ops.domain.identifiers import new_run_id
from humannet_ops.domain.records import Fingerprint, kept
from humannet_ops.domain.stage import StageSpec, stage_versions
from humannet_ops.media.fingerprints import SEARCH_RADIUS_BITS

DAY = "2026-01-01"
SPEC = StageSpec("analyse", "video", 1, "cpu")
MIRROR = 0xAAAAAAAAAAAAAAAA
made = np.random.default_rng(7)


def prints(hashes: list[int]) -> list[Fingerprint]:
    return [Fingerprint(n / 3, bits, bits ^ MIRROR) for n, bits in enumerate(hashes)]


def unrelated(frames: int = 20) -> list[int]:
    return [int(bits) for bits in made.integers(0, 1 << 64, frames, dtype=np.uint64)]


def edited(hashes: list[int], flips: int) -> list[int]:
    return [bits ^ sum(1 << int(bit) for bit in made.choice(64, flips, replace=False)) for bits in hashes]


@pytest.fixture
def videos() -> dict[str, list[Fingerprint]]:
    """Two originals, one longer than what is looked up of it, with copies, among videos that nobody copied."""
    first, second = unrelated(), unrelated(2 * duplicates.MAX_PROBES + 5)
    hashes = {
        "first": first,
        "first, edited": edited(first, SEARCH_RADIUS_BITS - 6),
        "first, mirrored": [bits ^ MIRROR for bits in edited(first, 3)],
        "first, far": edited(first, SEARCH_RADIUS_BITS + 8),
        "second": second,
        "second, cut": edited(second[: len(second) // 2], 4),
        "blank": [],
        **{f"other {n}": unrelated() for n in range(20)},
    }
    return {name: prints(frames) for name, frames in hashes.items()}


@pytest.fixture
def link(home: Path, videos: dict[str, list[Fingerprint]]) -> Iterator[Connection]:
    """A catalog in which these videos are analysed."""
    migrations.register((SPEC,), versions := stage_versions((SPEC,)))
    entries = [Entry(f"file:///{name}", "1", name) for name in videos]
    record_entries(Pass("videos", "folder", "/videos", DAY), iter(entries), lambda _uri: None)
    (shard,) = planning.plan_shards(SPEC, versions, DAY, shard_seconds=1e9, max_attempts=3)
    with connect() as link:
        run = recording.StageRun(new_run_id(), shard)
        recording.start_run(link, run, recording.TaskIdentity("test"), "revision")
        for work in list(planning.open_work(link, shard, SPEC, 3)):
            recording.begin_attempt(link, run, work.subject.video_id)
            with transaction(link):
                record(link, run, work.subject, kept(records=tuple(videos[work.subject.title])))
        yield link


def names(link: Connection) -> dict[str, str]:
    with link.cursor() as cursor:
        cursor.execute("SELECT video_id, title FROM videos")
        return {row["video_id"]: row["title"] for row in cursor}


def test_fingerprints_come_back_as_they_were_written(link: Connection, videos: dict[str, list[Fingerprint]]) -> None:
    assert {title: duplicates.fingerprints(link, video_id) for video_id, title in names(link).items()} == videos


def test_a_whole_partition_has_the_candidates_that_its_videos_have_one_by_one(link: Connection) -> None:
    titles = names(link)
    joined = duplicates.near_candidates(link, list(titles), SEARCH_RADIUS_BITS)
    assert joined == {
        video_id: duplicates.near_candidates(link, [video_id], SEARCH_RADIUS_BITS)[video_id] for video_id in titles
    }
    found = {titles[video_id]: [titles[other] for other in others] for video_id, others in joined.items()}
    assert set(found["first"][:2]) == {"first, edited", "first, mirrored"}
    # chance brings another video near one frame, never before a copy
    assert found["second"][0] == "second, cut"
    assert found["second, cut"][0] == "second"
    assert not {"first", "first, edited", "first, mirrored"} & set(found["first, far"])
    assert found["blank"] == []
