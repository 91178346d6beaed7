"""What it costs to discover a manifest: the first pass, one over the same file, one with 1 % of its rows changed.

    python tests/benchmarks/discover_manifest.py --rows 100000 1000000

Each pass runs in a process of its own against a catalog of its own in the embedded Postgres, both below a temporary
folder. The manifest is laid out like Koala-36M: a row a segment, one in fifty of an address that came before, far away
in the file. Seconds are what a clock shows, and what both processes computed, which other work on the machine changes
less. Memory is the peak of the process that reads, and of the Postgres process that works for it (without the buffers
that all of them share).
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SOURCE = "koala"
REPEATED_EVERY = 50


def rows(count: int, edited_every: int) -> Iterator[list[str]]:
    """Stream the manifest's rows; with ``edited_every`` one in so many has another caption."""
    for number in range(count):
        video = (number * 7919 + 1) % count if number % REPEATED_EVERY == 0 else number
        edited = " Edited." if edited_every and number % edited_every == 0 else ""
        yield [
            f"{video:011d}_{number}", f"https://www.youtube.com/watch?v={video:011d}",
            f"['0:{number % 60:02d}:00.000', '0:{number % 60:02d}:09.{number % 1000:03d}']",
            f"A person in a kitchen cuts vegetable number {number} on a board, then puts it into a pot.{edited}",
            f"{number % 97 / 97:.4f}", f"{number % 89 / 89:.4f}", f"{number % 83 / 83:.4f}",
        ]  # fmt: skip


def write(path: Path, count: int, edited_every: int = 0) -> None:
    """Write a manifest."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["videoID", "url", "timestamp", "caption", "Clarity score", "Aesthetic score", "Motion score"])
        writer.writerows(rows(count, edited_every))


def crawl(manifest: str, day: str) -> None:
    """Run one pass as the discover task does, and print what it cost as JSON."""
    from humannet_ops.catalog import discovery
    from humannet_ops.catalog.discovery import Pass, record_entries
    from humannet_ops.sources.http_manifest import HttpManifestConfig, HttpManifestSource
    from humannet_ops.sources.protocol import Crawl, Window

    config = HttpManifestConfig.model_validate(
        {"source": SOURCE, "kind": "http_manifest", "description": "d", "manifest": manifest}
    )
    source = HttpManifestSource(config)
    began = time.perf_counter()
    crawl = Crawl(day, Window(None, datetime.date.fromisoformat(day)), memory=discovery.memory(SOURCE))
    found = record_entries(
        Pass(SOURCE, config.kind, source.address(), day), source.entries(crawl), source.digest, crawl
    )
    seconds = time.perf_counter() - began
    usage = resource.getrusage(resource.RUSAGE_SELF)
    said = {"seconds": seconds, "cpu": usage.ru_utime + usage.ru_stime, "peak_mib": usage.ru_maxrss / 1024}
    print(json.dumps({**said, "found": str(found)}))


class Backends(threading.Thread):
    """Samples what the Postgres processes of a home use: the peak of the largest, MiB, and their seconds of CPU."""

    def __init__(self, home: Path) -> None:
        super().__init__()
        self.home, self.peak_mib, self._done = home, 0.0, threading.Event()
        self._before = self._cpu()
        self._last = dict(self._before)

    def run(self) -> None:
        """Sample until stopped; a process that ends keeps the seconds that it had."""
        while not self._done.wait(0.25):
            self._last.update(self._cpu())

    def stop(self) -> float:
        """End, and return the seconds of CPU that were used meanwhile."""
        self._done.set()
        self.join()
        return sum(seconds - self._before.get(pid, 0.0) for pid, seconds in self._last.items())

    def _cpu(self) -> dict[int, float]:
        import psutil

        from humannet_ops.local import postgres

        found = {}
        for process in postgres.servers(self.home):
            try:
                times = process.cpu_times()
                found[process.pid] = times.user + times.system
                self.peak_mib = max(self.peak_mib, process.memory_full_info().uss / (1 << 20))
            except psutil.Error:
                continue
        return found


def measure(home: Path, manifest: Path, day: str) -> dict[str, Any]:
    """Run one pass in a process of its own."""
    backends = Backends(home)
    backends.start()
    try:
        done = subprocess.run(
            [sys.executable, __file__, "--crawl", str(manifest), day], check=True, capture_output=True, text=True
        )
    finally:
        cpu = backends.stop()
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "cpu": found["cpu"] + cpu, "backend_mib": backends.peak_mib}


def benchmark(count: int) -> None:
    """Run the passes over one manifest size and print a table."""
    from humannet_ops.catalog import migrations
    from humannet_ops.catalog.connection import connect, transaction
    from humannet_ops.local import postgres
    from humannet_ops.settings import settings

    with tempfile.TemporaryDirectory(prefix="humannet-bench-") as folder:
        home = Path(folder) / "home"
        os.environ["HUMANNET_HOME"] = str(home)
        settings.cache_clear()
        postgres.start(home)
        try:
            migrations.upgrade()
            manifest = Path(folder) / "manifest.csv"
            write(manifest, count)
            size = manifest.stat().st_size / (1 << 20)
            print(f"\n{count:,} rows, {size:.0f} MiB")
            passes = [("first", None), ("unchanged", None), ("1 % changed", 100), ("all read, none changed", -1)]
            first: dict[str, Any] = {}
            for place, (label, change) in enumerate(passes, start=1):
                if change == 100:
                    write(manifest, count, edited_every=change)
                elif change == -1:
                    with manifest.open("a") as stream:
                        stream.write("\n")
                found = measure(home, manifest, f"2026-01-{place:02d}")
                first = first or found
                shares = [f"{found[name]:7.1f} s {found[name] / first[name]:6.1%}" for name in ("seconds", "cpu")]
                print(
                    f"{label:<23} {shares[0]}, computing {shares[1]}; {found['peak_mib']:4.0f} MiB and "
                    f"{found['backend_mib']:3.0f} MiB in Postgres; load {os.getloadavg()[0]:.1f}; {found['found']}",
                    flush=True,
                )
            with connect() as link, transaction(link), link.cursor() as cursor:
                cursor.execute("SELECT version(), (SELECT count(*) FROM upstream_changes) AS changes")
                row: Any = cursor.fetchone()
            print(f"{row['changes']:,} edits recorded. {row['version'].split(' on ')[0]}.")
        finally:
            postgres.stop(home)


def main() -> None:
    """Run the benchmark, or one pass of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--crawl", nargs=2, metavar=("MANIFEST", "DAY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.crawl:
        crawl(*arguments.crawl)
        return
    os.environ.pop("HUMANNET_CATALOG_URL", None)
    processor = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")), platform.machine(),
    )  # fmt: skip
    print(f"{processor}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; Python {platform.python_version()}")
    for count in arguments.rows:
        benchmark(count)


if __name__ == "__main__":
    main()
