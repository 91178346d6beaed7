"""Measure how much memory a large folder takes: discovering and planning 1,000, 10,000 and 100,000 files.

.venv/bin/python tests/benchmarks/folder_memory.py

Each size is one process with a catalog of its own; the number is the largest resident set of that process, Postgres not
counted. The files are all in one folder, which is the worst case: a folder's names are sorted in memory.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from catalog_scale import catalog
from report import Report

GOAL_MIB = 400


def discover(files: int) -> dict[str, float]:
    """Discover and plan so many files; return MiB, seconds and how many subjects were planned."""
    with tempfile.TemporaryDirectory(prefix="humannet-folder-") as folder, catalog(Path(folder)) as home:
        videos, sources = Path(folder) / "videos", Path(folder) / "sources"
        videos.mkdir()
        sources.mkdir()
        for number in range(files):
            (videos / f"take {number:06}.mp4").touch()
        (sources / "many.yaml").write_text(f"source: many\nkind: folder\ndescription: Many.\npath: {videos}\n")
        os.environ["HUMANNET_SOURCES_DIR"] = str(sources)
        began = time.perf_counter()
        child = multiprocessing.get_context("spawn")
        with child.Pool(1) as pool:
            measured = pool.apply(_discover, (str(home),))
        return {**measured, "seconds": time.perf_counter() - began}


def _discover(home: str) -> dict[str, float]:
    from humannet_ops.settings import settings
    from humannet_ops.stages import execution

    assert str(settings().home) == home
    found = execution.discover("many", "2026-01-01", execution.person())
    shards = execution.plan("fetch", "2026-01-01", execution.person())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"mib": peak, "new": found["new"], "shards": len(shards)}


def main() -> int:
    """Measure the three sizes."""
    report = Report("folder_memory", ["psycopg2-binary"])
    for files in (1000, 10_000, 100_000):
        found = discover(files)
        if found["new"] != files:
            raise SystemExit(f"{files} files, {json.dumps(found)}")
        at = {"files": files}
        report.add("largest resident set", [found["mib"]], "MiB", at=at, goal=GOAL_MIB)
        report.add("discovering and planning", [found["seconds"]], "s", at=at)
    peaks = {n.at["files"]: n.median for n in report.numbers if n.unit == "MiB"}
    report.add("memory of 100,000 files to that of 1,000", [peaks[100_000] / peaks[1000]], "ratio", goal=3)
    return report.end(axis="files")


if __name__ == "__main__":
    sys.exit(main())
