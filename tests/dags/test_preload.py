"""The processes whose forks are tasks have imported what tasks need; the others are spared it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from humannet_ops.settings import REPOSITORY

# In a process of its own, begun as Airflow's command line begins: Airflow imports its local settings once.
BEGIN = """
import json, runpy, sys

sys.argv = ["airflow", *sys.argv[1:]]
import airflow

before = set(sys.modules)
for path in {paths}:
    runpy.run_path(path)
from humannet_ops.stages import execution, registry
for stage in registry.STAGES:
    registry.spec(stage)
from humannet_ops.catalog.connection import queries
print(json.dumps({{"more": sorted(set(sys.modules) - before), "read": queries.cache_info().currsize}}))
"""
DAG_FILES = [str(path) for path in sorted((REPOSITORY / "dags").glob("*.py"))]


def begin(folder: Path, *arguments: str) -> dict[str, list[str] | int]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # nothing that a parent does may need one
        "HUMANNET_CATALOG_URL": "postgresql://nobody@127.0.0.1:1/none",
        "HUMANNET_MODELS_DIR": str(folder / "none"),
    }
    done = subprocess.run(
        [sys.executable, "-c", BEGIN.format(paths=DAG_FILES), *arguments],
        env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str] | int] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    "arguments", [("scheduler", "--skip-serve-logs"), ("celery", "worker", "--queues", "cpu"), ("dag-processor",)]
)
def test_the_fork_of_a_task_imports_nothing_of_ours(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    found = begin(tmp_path, *arguments)
    more = found["more"]
    assert isinstance(more, list)
    # what a source's kind takes is imported with the first source of that kind
    ours = [name for name in more if name.startswith("humannet_ops.")]
    assert [name for name in ours if not name.startswith("humannet_ops.sources.")] == []
    assert {"boto3", "sqlalchemy", "psycopg2", "numpy", "pydantic_settings"}.isdisjoint(more)
    assert found["read"] == 1


def test_who_forks_no_task_does_not_pay_for_it(tmp_path: Path) -> None:
    found = begin(tmp_path, "api-server")
    assert isinstance(found["more"], list)
    assert "humannet_ops.stages.execution" in found["more"]
    assert found["read"] == 0
