"""The services of docker-compose.yml as processes: what each is given, and what people are told."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from humannet_ops.cli import app
from humannet_ops.cluster import loopback, processes
from humannet_ops.local import components
from humannet_ops.settings import settings
from humannet_ops.sources.config import filled_in


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget_settings) -> Path:
    monkeypatch.setenv("HUMANNET_HOME", str(tmp_path))
    forget_settings()
    yield tmp_path
    monkeypatch.undo()
    forget_settings()


@pytest.fixture
def cluster(home: Path) -> processes.Cluster:
    """A cluster whose secrets and ports are made, of which nothing runs."""
    place = loopback.folder(home)
    place.mkdir()
    loopback.make_secrets(place)
    loopback.choose_ports(place)
    return processes.known(place)


def told(*arguments: str) -> tuple[int, str]:
    answer = CliRunner().invoke(app, ["cluster", *arguments])
    return answer.exit_code, answer.output


def test_before_the_first_start_one_line_says_how(home: Path) -> None:
    assert told("status") == (1, "humannet: The cluster was never started here: `humannet cluster up` starts it.\n")


def test_status_names_what_is_down_and_fails(cluster: processes.Cluster) -> None:
    status, output = told("status")
    assert status == 1
    assert {line.split()[1] for line in output.splitlines() if line.startswith("DOWN")} == {
        "metadata", "catalog", "redis", "store", "api-server", "scheduler", "dag-processor", "triggerer",
        "worker-crawl", "worker-cpu", "worker-gpu", "model-server",
    }  # fmt: skip


def test_a_service_that_is_not_there_is_answered_with_those_that_are(cluster: processes.Cluster) -> None:
    status, output = told("exec", "worker-tpu", "humannet", "status")
    assert status == 1
    assert "There is no service worker-tpu: one of init, api-server, scheduler" in output


def test_a_command_keeps_its_own_options_and_may_be_any_program(
    cluster: processes.Cluster, capfd: pytest.CaptureFixture[str]
) -> None:
    status, _ = told("exec", "api-server", "printenv", "--help")
    assert status == 0
    assert "/printenv [OPTION]" in capfd.readouterr().out
    told("exec", "init", "printenv", "HUMANNET_CATALOG_URL")
    assert capfd.readouterr().out.startswith("postgresql+psycopg2://catalog:")
    assert "There is no program humanet." in told("exec", "init", "humanet")[1]


def test_a_process_gets_what_compose_gives_its_service_and_nothing_of_the_shell(
    cluster: processes.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HUMANNET_POLICY_FILE", "AIRFLOW__CORE__EXECUTOR", "PGPASSWORD"):
        monkeypatch.setenv(name, "of the shell")
    environment = cluster.environment("worker-cpu")
    assert "of the shell" not in environment.values()
    assert environment["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert environment["HUMANNET_HOME"] == str(cluster.home)
    assert "//worker:" in environment["HUMANNET_CATALOG_URL"]
    assert not any("METADATA" in name or cluster.variables["METADATA_PASSWORD"] in value
                   for name, value in environment.items())  # fmt: skip


def test_each_worker_has_a_name_and_takes_its_own_queues(cluster: processes.Cluster) -> None:
    queues, names = {}, set()
    for service in ("worker-crawl", "worker-cpu", "worker-gpu"):
        command = cluster.command(service)
        queues[service] = command[command.index("--queues") + 1]
        names.add(command[command.index("--celery-hostname") + 1])
    assert queues == {"worker-crawl": "crawl,default", "worker-cpu": "cpu", "worker-gpu": "gpu"}
    assert len(names) == 3


def test_ports_are_kept_while_they_are_free(cluster: processes.Cluster) -> None:
    assert loopback.choose_ports(cluster.home) == cluster.ports
    assert len(set(cluster.ports.values())) == len(loopback.PORTS)


def test_what_a_killed_component_left_is_found_by_its_marks(tmp_path: Path) -> None:
    """An orphan runs on where nothing contains it; a container would have ended with its first process."""
    spawn = "import subprocess, sys; subprocess.Popen(['sleep', '600']); print('ready', flush=True); sys.stdin.read()"
    first = components.start(tmp_path, "worker", [sys.executable, "-c", spawn + "; import time; time.sleep(600)"], {})
    other = components.start(tmp_path, "other", ["/bin/sleep", "600"], {})
    log = components.log_path(tmp_path, "worker")
    while "ready" not in log.read_text():
        assert components.find(tmp_path, "worker")
    first.kill()
    components.wait([first], 10)
    (orphan,) = components.remains(tmp_path, "worker")
    components.kill([orphan])
    assert components.remains(tmp_path, "worker") == []
    assert [process.pid for process in components.remains(tmp_path, "other")] == [other.pid]
    components.kill([other])


def test_the_samples_are_where_their_source_looks_and_scratch_is_empty(
    home: Path, cluster: processes.Cluster, monkeypatch: pytest.MonkeyPatch, forget_settings: Callable[[], None]
) -> None:
    (home / "packages" / "samples").mkdir(parents=True)
    left = cluster.home / "scratch" / "pymp-1"
    left.mkdir(parents=True)
    for _ in range(2):
        processes.prepare_folders(cluster.home)
    monkeypatch.setenv("HUMANNET_HOME", cluster.environment("worker-crawl")["HUMANNET_HOME"])
    forget_settings()
    assert Path(filled_in("${HUMANNET_HOME}/packages/samples", "samples")).samefile(home / "packages" / "samples")
    assert "path: ${HUMANNET_HOME}/packages/samples" in (settings().sources_dir / "samples.yaml").read_text()
    assert not left.exists()
