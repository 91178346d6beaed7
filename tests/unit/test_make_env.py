"""infra/make-env: secrets are made once, kept ever after, and shown to nobody."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
import sys
from pathlib import Path

import dotenv
import pytest

from humannet_ops.settings import REPOSITORY

SCRIPT = REPOSITORY / "infra" / "make-env"


def make(path: Path, *arguments: str, status: int = 0) -> str:
    # -I: nothing of this installation is needed, nor of its environment
    command = [sys.executable, "-I", "-S", str(SCRIPT), "--file", str(path), *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == status, done.stdout
    return done.stdout


def values(path: Path) -> dict[str, str]:
    return {name: value or "" for name, value in dotenv.dotenv_values(path, interpolate=False).items()}


def secrets_of(path: Path) -> dict[str, str]:
    return {name: value for name, value in values(path).items() if name.endswith(("_PASSWORD", "_KEY", "_SECRET"))}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def test_fresh_secrets_are_long_different_and_readable_by_their_owner_alone(path: Path, tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        make(path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    made = secrets_of(path)
    assert len(set(made.values())) == len(made) == 17
    assert all(len(value) >= 40 for value in made.values())
    assert len(base64.urlsafe_b64decode(made["AIRFLOW_FERNET_KEY"])) == 32
    # nothing in them means anything to compose, in an address or to a shell
    assert all(value.isalnum() for name, value in made.items() if name != "AIRFLOW_FERNET_KEY")
    make(tmp_path / "other.env")
    assert not set(made.values()) & set(secrets_of(tmp_path / "other.env").values())
    assert {each.name for each in tmp_path.iterdir()} == {".env", "other.env"}


def test_nothing_secret_is_printed(path: Path) -> None:
    printed = make(path) + make(path)
    assert not [name for name, value in secrets_of(path).items() if value in printed]
    assert "17 secrets made, 0 kept" in printed
    assert "0 secrets made, 17 kept" in printed


def test_a_second_run_changes_nothing(path: Path) -> None:
    make(path, "--gpus", "0")
    before = path.read_bytes()
    make(path)
    make(path, "--gpus", "0")
    assert path.read_bytes() == before
    told = make(path, "--gpus", "4", "--profile", "monitoring", status=2)
    assert "says otherwise of COMPOSE_PROFILES, CPU_QUEUES, GPU_SLOTS, WORKER_TARGET: remove these lines" in told
    assert path.read_bytes() == before


def test_what_is_there_is_kept_and_what_is_missing_or_empty_is_made(path: Path) -> None:
    mine = "# mine\nexport REDIS_PASSWORD='p w'\nSTORE_ENDPOINT=https://s3.example\nADMIN_PASSWORD=\nCPU_SLOTS=7\nBIND="
    path.write_text(mine)
    path.chmod(0o644)
    make(path)
    now = values(path)
    assert (now["REDIS_PASSWORD"], now["STORE_ENDPOINT"], now["CPU_SLOTS"], now["BIND"]) == (
        "p w",
        "https://s3.example",
        "7",
        "",
    )
    assert len(now["ADMIN_PASSWORD"]) == 48
    text = path.read_text()
    assert text.startswith("# mine\nexport REDIS_PASSWORD='p w'\n")
    assert text.count("ADMIN_PASSWORD=") == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_others_can_read_is_closed(path: Path) -> None:
    make(path)
    path.chmod(0o640)
    assert "its owner alone" in make(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def cores() -> int:
    return len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("gpus", "profiles", "queues", "target"), [(0, "", "cpu,gpu", "airflow"), (3, "gpu", "cpu", "worker")]
)
def test_the_queue_gpu_goes_to_whoever_has_the_gpus(
    path: Path, gpus: int, profiles: str, queues: str, target: str
) -> None:
    make(path, "--gpus", str(gpus))
    now = values(path)
    assert (now["COMPOSE_PROFILES"], now["CPU_QUEUES"], now["WORKER_TARGET"]) == (profiles, queues, target)
    slots = int(now["CPU_SLOTS"]) + (0 if gpus else int(now["GPU_SLOTS"]))
    assert int(now["CPU_PROCESSES"]) == slots >= 2
    assert not gpus or now["GPU_SLOTS"] == str(gpus)


def test_what_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    printed = make(tmp_path / "missing" / ".env", status=1)
    assert printed.count("\n") == 1
    assert "cannot write" in printed
    assert "--file" in printed
    assert "cannot write" in make(tmp_path, status=1)


def test_help_shows_examples() -> None:
    done = subprocess.run([str(SCRIPT), "--help"], capture_output=True, text=True, check=True)
    assert "infra/make-env --profile monitoring" in done.stdout
