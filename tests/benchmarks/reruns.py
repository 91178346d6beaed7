"""Measure what doing nothing twice is worth: a run over unchanged videos, over one more, and what is not work on video.

    make bench BENCH=reruns
    .venv/bin/python tests/benchmarks/reruns.py --videos 8 --seconds 6     # to try it

Takes videos from discover to cut in a catalog and a store of their own, by the functions that Airflow's tasks call, in
this process; with the defaults the videos are 30 minutes, one shard. CPU seconds are this process's with all its
threads, without Postgres; wall seconds have that too. A stage's share of orchestration is the part of its shards' wall
seconds that no outcome has: opening models, recording outcomes. Airflow's own cost comes on top, and is
told apart: a constant for each task.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import peers
from report import Report
from takedown import catalog

from humannet_ops.catalog import reading
from humannet_ops.settings import settings
from humannet_ops.stages import execution, registry

DAY, LAST = "2026-01-01", "cut"
STAGES = registry.STAGES[: registry.STAGES.index(LAST) + 1]
# One mapped task under Airflow 3.3.2's LocalExecutor, on a two-core machine: 0.4 s of CPU of Airflow's own, and what
# task_start.py measures.
AIRFLOW_TASK_CPU_S = 0.6
SECONDS = "SELECT coalesce(sum(seconds), 0) FROM current_outcomes"


@dataclass(slots=True)
class Drive:
    """What one way through the stages cost.

    Attributes:
        wall_s: All of it.
        cpu_s: The same, of this process and its children.
        shards_wall_s: Of ``run_shard`` alone.
        tasks: What Airflow would have run: a discovery, a plan a stage, a task a shard.
        outcomes: How many subjects ended how.
    """

    wall_s: float = 0.0
    cpu_s: float = 0.0
    shards_wall_s: float = 0.0
    tasks: int = 1
    outcomes: Counter[str] = field(default_factory=Counter)


def drive() -> Drive:
    """Discover, then plan and run every stage up to ``LAST``."""
    done, start, before = Drive(), time.perf_counter(), _cpu_s()
    execution.discover("videos", DAY, execution.person())
    for stage in STAGES:
        shards = execution.plan(stage, DAY, execution.person())
        done.tasks += 1 + len(shards)
        begun = time.perf_counter()
        for shard in shards:
            done.outcomes.update(execution.run_shard(shard["shard_id"], execution.person()))
        done.shards_wall_s += time.perf_counter() - begun
    done.wall_s, done.cpu_s = time.perf_counter() - start, _cpu_s() - before
    return done


def _cpu_s() -> float:
    return sum(os.times()[:4])


def make_videos(number: int, seconds: int, folder: Path) -> list[Path]:
    """Write different real videos, each repeated until it is long enough, of one size and rate."""
    found = peers.origins()
    if number > len(found):
        sys.exit(f"only {len(found)} different videos are here: --videos {number - len(found)} fewer")
    made = []
    for place, origin in enumerate(found[:number]):
        made.append(folder / f"{place:03} {origin.stem}.mp4")
        # numbered anew: the times of an AVI begin again with each round, and it would never be long enough
        scale = ("-vf", "scale=640:360,setsar=1,setpts=N/30/TB", "-r", "30", "-an")
        peers.ffmpeg("-stream_loop", "-1", "-i", str(origin), "-t", str(seconds), *scale, *peers.ENCODER, str(made[-1]))
    return made


def files(store: Path) -> set[tuple[str, int, int]]:
    """Return every object's path, inode and time of change: a file that is written again differs."""
    return {(str(path), (now := path.stat()).st_ino, now.st_mtime_ns) for path in store.rglob("*") if path.is_file()}


def measure(number: int, seconds: int, more: int, folder: Path) -> int:
    """Drive and print; return the exit status."""
    videos, waiting = folder / "videos", folder / "waiting"
    for made in (videos, waiting, sources := folder / "sources"):
        made.mkdir()
    (sources / "videos.yaml").write_text(f"source: videos\nkind: folder\ndescription: Real ones.\npath: {videos}\n")
    os.environ["HUMANNET_SOURCES_DIR"] = str(sources)
    paths = make_videos(number + more, seconds, waiting)
    report = Report("reruns", ["av", "opencv-python-headless", "onnxruntime", "apache-airflow"])
    with catalog():
        store = settings().home / "store"
        for path in paths[:number]:
            path.rename(videos / path.name)
        first = drive()
        spent_s = float(next(reading.ask(SECONDS)[1])[0])
        size = {"videos": number, "seconds": seconds}
        print({name: count for name, count in first.outcomes.items() if count})
        report.add("first run, wall", [first.wall_s], "s", at=size)
        report.add("first run, CPU", [first.cpu_s], "s", at=size)

        before = files(store)
        again = [drive() for _ in range(3)]
        report.add("files written when nothing changed", [len(files(store) ^ before)], "files", at=size, goal=0)
        report.add("outcomes when nothing changed", [sum(run.outcomes.total() for run in again)], "", at=size, goal=0)
        report.add("unchanged / first, wall", [run.wall_s / first.wall_s for run in again], "ratio", at=size, goal=0.01)
        report.add("unchanged / first, CPU", [run.cpu_s / first.cpu_s for run in again], "ratio", at=size, goal=0.01)

        added = []
        for path in paths[number:]:
            path.rename(videos / path.name)
            added.append(drive())
        goal = 1.1 / number
        report.add("one added / first, wall", [run.wall_s / first.wall_s for run in added], "ratio", at=size, goal=goal)
        report.add("one added / first, CPU", [run.cpu_s / first.cpu_s for run in added], "ratio", at=size, goal=goal)

        share = 1 - spent_s / first.shards_wall_s
        report.add("orchestration in shards, of their wall", [share], "ratio", at=size, goal=0.05)
        outside = 1 - first.shards_wall_s / first.wall_s
        report.add("discovery and plans, of all wall", [outside], "ratio", at=size)
        airflow = first.tasks * AIRFLOW_TASK_CPU_S
        report.add(f"Airflow, {first.tasks} tasks, of our CPU", [airflow / first.cpu_s], "share", at=size)
    return report.end()


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=90, help="of each video")
    parser.add_argument("--more", type=int, default=3, help="videos that are added afterwards, one at a time")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="humannet-reruns-") as folder, peers.one_ffmpeg():
        sys.exit(measure(given.videos, given.seconds, given.more, Path(folder)))


if __name__ == "__main__":
    main()
