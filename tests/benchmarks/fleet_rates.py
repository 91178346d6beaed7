"""What an hour of video costs at each stage: takes videos all the way without Airflow, then reads the rates.

    python tests/benchmarks/fleet_rates.py [--videos FOLDER] [--save FILE.json]

Stages run one after the other in this process, so that no task takes another's processor; the catalog and the store are
made below $HUMANNET_HOME/fleet_rates and left there. The default videos are those of ``make samples``. What it saves is
what ``humannet plan --save-rates`` would: ``humannet plan --rates FILE.json`` reads it.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from report import Report, machine

from humannet_ops.catalog import migrations
from humannet_ops.fleet import rates
from humannet_ops.local import postgres
from humannet_ops.settings import settings
from humannet_ops.stages import execution, registry

DAY = "2026-01-01"


def main() -> int:
    """Make the catalog, go through the stages, print and save the rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=Path, default=settings().home / "packages" / "samples")
    parser.add_argument("--save", type=Path)
    asked = parser.parse_args()
    home = settings().home / "fleet_rates"
    _at_home(home, asked.videos.resolve())
    postgres.start(home)
    try:
        migrations.upgrade()
        execution.register()
        _go()
        return _report(asked.save)
    finally:
        postgres.stop(home)


def _at_home(home: Path, videos: Path) -> None:
    """Point every setting at a home of its own; the models stay where they are."""
    os.environ["HUMANNET_MODELS_DIR"] = str(settings().models)
    os.environ["HUMANNET_HOME"] = str(home)
    os.environ["HUMANNET_SOURCES_DIR"] = str(home / "sources")
    os.environ.pop("HUMANNET_CATALOG_URL", None)
    os.environ.pop("HUMANNET_STORE_URL", None)
    settings.cache_clear()
    (home / "sources").mkdir(parents=True, exist_ok=True)
    (home / "sources" / "measured.yaml").write_text(
        f"source: measured\nkind: folder\ndescription: What rates are measured on.\npath: {videos}\n"
        "include: ['*.mp4', '*.mov', '*.avi', '*.webm', '*.mkv']\n"
    )


def _go() -> None:
    execution.discover("measured", DAY, execution.person())
    for stage in registry.STAGES:
        for shard in execution.plan(stage, DAY, execution.person()):
            counts = execution.run_shard(shard["shard_id"], execution.person())
            print(stage, {name: count for name, count in counts.items() if count}, flush=True)


def _report(save: Path | None) -> int:
    measured = rates.measure(machine())
    report = Report("fleet_rates")
    report.add("video at the head of the funnel", [measured.hours * 3600], "s")
    report.add("mean length of a video", [measured.video_s], "s")
    for rate in measured.stages:
        report.add("work", [rate.work_s], "s/h", at={"stage": rate.stage})
        report.add("overhead", [rate.overhead_s], "s/shard", at={"stage": rate.stage})
    for table in measured.tables:
        report.add("rows", [table.rows], "/h", at={"table": table.table})
        report.add("row with indexes", [table.bytes_per_row], "bytes", at={"table": table.table})
    report.add("stored", [sum(entry.bytes for entry in measured.objects) / 1e9], "GB/h")
    report.add("objects", [sum(entry.objects for entry in measured.objects)], "/h")
    if save:
        rates.save(measured, save)
        print(f"Rates: {save}")
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
