"""What a task spends before its work begins, and what of it the process that it is a fork of may do once for all.

    make bench BENCH=task_start
    .venv/bin/python tests/benchmarks/task_start.py --repeat 1     # to try it

A parent imports what the scheduler with LocalExecutor has imported, and either nothing more or, by
``plugins/airflow_local_settings.py``, what our tasks need. Each of its forks does what the cheapest tasks do: it reads
the DAG file and asks an empty catalog which stages have work (``find_due``). What Airflow adds (its supervisor and the
calls to its API server) is the same for both and not in it. CPU seconds are the fork's own, without Postgres.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile

from report import Report
from takedown import catalog

from humannet_ops.settings import REPOSITORY
from humannet_ops.stages import execution

PARENT = """
import json, os, runpy, sys, time

preloaded, forks, dag_file = sys.argv[1] == "preloaded", int(sys.argv[2]), sys.argv[3]
# what Airflow's own settings look at
sys.argv = ["airflow", "scheduler" if preloaded else "db"]
before = time.process_time()
import airflow
from airflow.executors import local_executor
from airflow.jobs import scheduler_job_runner
from airflow.sdk.execution_time import supervisor, task_runner

imported_s = time.process_time() - before
found = []
for _ in range(forks):
    begun = time.perf_counter()
    if (child := os.fork()) == 0:
        dag = runpy.run_path(dag_file)["dag"]
        from humannet_ops.stages import execution

        execution.due_stages([name.removeprefix("plan_") for name in dag.task_ids if "plan_" in name], "2026-01-01")
        os._exit(0)
    _, status, used = os.wait4(child, 0)
    assert status == 0
    found.append((time.perf_counter() - begun, used.ru_utime + used.ru_stime))
print(json.dumps([imported_s, found]))
"""


def forks(kind: str, number: int) -> tuple[float, list[tuple[float, float]]]:
    """Return a parent's CPU seconds of imports, and the wall and CPU seconds of each of its forks."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "AIRFLOW_HOME": folder,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        }
        command = [sys.executable, "-c", PARENT, kind, str(number), str(REPOSITORY / "dags" / "annotate_clips.py")]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    imported_s, found = json.loads(done.stdout.splitlines()[-1])
    return imported_s, found


def main() -> int:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, help="parents of each kind, in turn")
    parser.add_argument("--forks", type=int, default=5, help="forks of each parent")
    options = parser.parse_args()
    report = Report("task_start", ["apache-airflow", "sqlalchemy", "boto3"])
    kinds = ("bare", "preloaded")
    imports: dict[str, list[float]] = {kind: [] for kind in kinds}
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    with catalog():
        execution.register()
        for _ in range(options.repeat):
            for kind in kinds:
                imported_s, some = forks(kind, options.forks)
                imports[kind].append(imported_s)
                found[kind] += some
    for kind in kinds:
        report.add("parent's imports, CPU", imports[kind], "s", at={"parent": kind})
        report.add("fork, wall", [wall for wall, _ in found[kind]], "s", at={"parent": kind})
        report.add("fork, CPU", [cpu for _, cpu in found[kind]], "s", at={"parent": kind})
    for place, name in enumerate(("wall", "CPU")):
        pairs = zip(found["preloaded"], found["bare"], strict=True)
        report.add(f"preloaded / bare, {name}", [ours[place] / bare[place] for ours, bare in pairs], "ratio")
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
