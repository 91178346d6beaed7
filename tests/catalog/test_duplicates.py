"""Fingerprints come back as they were written; copies are found as surely as by brute force, however many videos are
asked about at once."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from endings import record

from humannet_ops.catalog import duplicates, migrations, planning, recording
from humannet_ops.catalog.connection import Connection, connect, queries, transaction
from humannet_ops.catalog.discovery import Entry, Pass, record_entries
from humannet_ops.domain.identifiers import new_run_id
from humannet_ops.domain.records import Copy, Fingerprint, kept
from humannet_ops.domain.stage import StageSpec, stage_versions
from humannet_ops.media.fingerprints import SEARCH_RADIUS_BITS

DAY = "2026-01-01"
SPEC = StageSpec("analyse", "video", 1, "cpu")
FIND = StageSpec("find_copies", "video", 1, "cpu", ("analyse",), ("analyse",))
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


def find(link: Connection, spec: StageSpec, versions: Mapping[str, str], found: Mapping[str, Copy]) -> None:
    """Write down what looking up found, a record a video."""
    (shard,) = planning.plan_shards(spec, versions, DAY, shard_seconds=1e9, max_attempts=3)
    run = recording.StageRun(new_run_id(), shard)
    recording.start_run(link, run, recording.TaskIdentity("test"), "revision")
    for work in list(planning.open_work(link, shard, spec, 3)):
        records = (found[work.subject.title],) if work.subject.title in found else ()
        with transaction(link):
            record(link, run, work.subject, kept(records=records))


def test_a_pair_is_read_from_both_ends_at_the_version_that_counts(link: Connection) -> None:
    ids = {title: video_id for video_id, title in names(link).items()}
    one, other, third = ids["first"], ids["first, edited"], ids["second"]
    migrations.register((SPEC, FIND), versions := stage_versions((SPEC, FIND)))
    found = Copy(one, 0.75, 5.0, mirrored=True)
    find(link, FIND, versions, {"first, edited": found})
    assert duplicates.copies(link, [one, other, third], versions) == {
        other: [found],
        one: [Copy(other, 0.75, 5.0, mirrored=True)],
    }
    assert duplicates.copies(link, [one], versions) == {one: [Copy(other, 0.75, 5.0, mirrored=True)]}
    # both met each other: one copy all the same, the more alike
    later = StageSpec("find_copies", "video", 2, "cpu", ("analyse",), ("analyse",))
    migrations.register((SPEC, later), versions := stage_versions((SPEC, later)))
    assert duplicates.copies(link, [one, other], versions) == {}
    find(link, later, versions, {"first": Copy(other, 0.5, 4.0, False), "first, edited": Copy(one, 0.625, 5.0, False)})
    assert duplicates.copies(link, [one], versions) == {one: [Copy(other, 0.625, 5.0, False)]}


def test_only_what_was_analysed_at_the_version_that_counts_is_compared(link: Connection) -> None:
    ids = [video_id for video_id, _ in sorted(names(link).items(), reverse=True)]
    migrations.register((SPEC, FIND), versions := stage_versions((SPEC, FIND)))
    assert duplicates.comparable(link, ids, versions) == ids
    with transaction(link), link.cursor() as cursor:
        cursor.execute("UPDATE outcomes SET stage_version = '0-older' WHERE subject_id = %s", (ids[0],))
        cursor.execute("UPDATE outcomes SET outcome = 'rejected', reason = 'no_video' WHERE subject_id = %s", (ids[1],))
    assert duplicates.comparable(link, ids, versions) == ids[2:]


def test_who_was_looked_up_is_compared_also_while_its_lost_objects_are_made_again(link: Connection) -> None:
    ids = sorted(names(link))
    migrations.register((SPEC, FIND), versions := stage_versions((SPEC, FIND)))
    find(link, FIND, versions, {})
    with transaction(link), link.cursor() as cursor:
        cursor.execute("DELETE FROM outcomes WHERE stage = 'analyse'")
    assert duplicates.comparable(link, ids, versions) == ids


# What is searched among: so many videos of so many frames, as in tests/benchmarks/fingerprint_search.py.
VIDEOS, FRAMES = 500, 40


def packed(bits: np.ndarray) -> np.ndarray:
    """Turn (n, 64) booleans into n hashes."""
    return np.packbits(bits, axis=1).view(">u8").astype(np.uint64)[:, 0]


def corpus(rng: np.random.Generator) -> np.ndarray:
    """Draw (VIDEOS, FRAMES) hashes: bits that most pictures share, shots, and few changes within a shot."""
    bias = 1 / (1 + np.exp(-rng.normal(0, 0.45, 64)))
    picture = packed(rng.random((VIDEOS, 64)) < bias)
    hashes = np.empty((VIDEOS, FRAMES), np.uint64)
    for frame in range(FRAMES):
        share = 0.30 if frame % 10 == 0 else 0.16
        picture = picture ^ packed(rng.random((VIDEOS, 64)) < share * rng.random((VIDEOS, 1)) * 2)
        hashes[:, frame] = picture
    return hashes


def flipped(rng: np.random.Generator, hashes: np.ndarray, flips: np.ndarray) -> np.ndarray:
    return hashes ^ packed(rng.random((len(hashes), 64)).argsort(axis=1) < flips[:, None])


def store(link: Connection, videos: Mapping[str, np.ndarray]) -> None:
    """Write videos that have nothing but fingerprints, all at once as a backfill does."""
    lines = io.StringIO()
    csv.writer(lines).writerows(
        (name, n, n / 4, f"{bits:064b}", f"{bits ^ MIRROR:064b}", True)
        for name, hashes in videos.items()
        for n, bits in enumerate(hashes.tolist())
    )
    lines.seek(0)
    with transaction(link), link.cursor() as cursor:
        cursor.execute("INSERT INTO sources (source, kind, uri) VALUES ('drawn', '', '') ON CONFLICT DO NOTHING")
        cursor.execute(
            "INSERT INTO videos (video_id, source, origin_uri, version, signature, partition_key)"
            " SELECT name, 'drawn', name, 1, '', %s FROM unnest(%s) AS name",
            (DAY, list(videos)),
        )
        cursor.copy_expert(queries().copy_fingerprints.sql, lines)


def within_radius(hashes: np.ndarray, asked: np.ndarray) -> list[set[str]]:
    """Brute force: the videos that have a frame near each of the hashes, in either orientation."""
    found = []
    for bits in asked:
        near = np.minimum(np.bitwise_count(hashes ^ bits), np.bitwise_count(hashes ^ bits ^ np.uint64(MIRROR)))
        found.append({f"v{video:020d}" for video in np.flatnonzero((near <= SEARCH_RADIUS_BITS).any(axis=1))})
    return found


@pytest.mark.parametrize(("bytes_a_key", "width"), [(duplicates.BYTES_A_KEY, 9), (4, 19)])
def test_what_brute_force_finds_is_found(
    home: Path, monkeypatch: pytest.MonkeyPatch, bytes_a_key: int, width: int
) -> None:
    """Frames and copies, at the worst distance; with keys as short as here, and as long as among 20,000,000."""
    migrations.register((SPEC,), stage_versions((SPEC,)))
    monkeypatch.setattr(duplicates, "BYTES_A_KEY", bytes_a_key)
    rng = np.random.default_rng(3)
    hashes = corpus(rng)
    single = flipped(rng, rng.choice(hashes.ravel(), 40), np.full(40, SEARCH_RADIUS_BITS))
    copies, sources = {}, {}
    for n, source in enumerate(rng.choice(VIDEOS, 20, replace=False)):
        frames = hashes[source, : 5 + n]
        spread = rng.normal(rng.uniform(0, SEARCH_RADIUS_BITS), 1.5, len(frames)).round().clip(0, SEARCH_RADIUS_BITS)
        copies[f"copy {n}"] = flipped(rng, frames, spread)
        sources[f"copy {n}"] = f"v{source:020d}"
    with connect() as link:
        store(link, {f"v{n:020d}": video for n, video in enumerate(hashes)})
        store(link, copies | {f"frame {n}": single[n : n + 1] for n in range(len(single))})
        assert abs(duplicates.search_width(queries().turned_bytes(link)) - width) <= 1
        found = duplicates.near_candidates(link, list(copies), SEARCH_RADIUS_BITS)
        assert np.mean([sources[name] in found[name] for name in copies]) >= 0.99
        assert np.mean([sources[name] == found[name][0] for name in copies if found[name]]) >= 0.95
        found = duplicates.near_candidates(link, [f"frame {n}" for n in range(len(single))], SEARCH_RADIUS_BITS)
    true = within_radius(hashes, single)
    met = sum(len(true[n] & set(found[f"frame {n}"])) for n in range(len(single)))
    # a lone frame that is the radius away may be missed where beginnings are long: a copy has others
    assert met / sum(map(len, true)) >= (0.99 if width < 16 else 0.7)


def test_a_picture_that_very_many_share_hides_no_copy(home: Path) -> None:
    migrations.register((SPEC,), stage_versions((SPEC,)))
    rng = np.random.default_rng(4)
    title, original = rng.integers(1 << 64, size=1, dtype=np.uint64), corpus(rng)[0]
    edited = flipped(rng, original, np.full(FRAMES, 8))
    with connect() as link:
        store(link, {f"title {n}": title for n in range(3 * duplicates.ROWS_A_KEY)})
        store(link, {"original": np.append(title, original), "edited": np.append(title, edited)})
        found = duplicates.near_candidates(link, ["edited"], SEARCH_RADIUS_BITS)["edited"]
    assert found[0] == "original"
    assert len(found) == duplicates.MAX_CANDIDATES
