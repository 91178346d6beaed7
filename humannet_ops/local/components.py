"""The long-running programs of the embedded platform: started in sessions of their own, found again, ended whole.

Each carries ``HUMANNET_PLATFORM=<home>`` in its environment, and so do its descendants. That is how orphans of a killed
parent are found, whatever became of process groups and records.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

MARK = "HUMANNET_PLATFORM"
PART = "HUMANNET_COMPONENT"


class PlatformError(Exception):
    """The embedded platform cannot do what was asked; the message names the cause and the cure."""


def run_directory(home: Path) -> Path:
    """Return (and make) the folder of records of what runs."""
    folder = home / "run"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def log_path(home: Path, name: str) -> Path:
    """Return where a component's output goes."""
    return home / "logs" / f"{name}.log"


def log_tail(home: Path, name: str, lines: int = 15) -> str:
    """Return the last lines of a component's output, for an error message."""
    path = log_path(home, name)
    if not path.exists():
        return f"({path} does not exist)"
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 20_000))
        tail = stream.read().decode(errors="replace").splitlines()[-lines:]
    return "\n".join([f"Last lines of {path}:", *(f"  {line}" for line in tail)])


def start(home: Path, name: str, command: Sequence[str], environment: Mapping[str, str]) -> psutil.Process:
    """Start a component in a session of its own and record who it is.

    The output of the run before is kept beside the new one as ``<name>.log.1``.
    """
    path = log_path(home, name)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists():
        path.replace(path.with_suffix(".log.1"))
    with path.open("ab") as log:
        child = subprocess.Popen(
            command,
            # setproctitle must leave the marks readable
            env={**environment, MARK: str(home), PART: name, "SPT_NOENV": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=home,
        )
    process = psutil.Process(child.pid)
    record = {"pid": process.pid, "started": process.create_time(), "command": list(command)}
    (run_directory(home) / f"{name}.json").write_text(json.dumps(record))
    return process


def find(home: Path, name: str) -> psutil.Process | None:
    """Return a component that was started and still runs. A recycled process id is not taken for it."""
    try:
        record = json.loads((home / "run" / f"{name}.json").read_text())
        process = psutil.Process(record["pid"])
        alive = process.create_time() == record["started"] and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, KeyError, psutil.Error):
        return None
    return process if alive else None


def recorded(home: Path) -> list[str]:
    """Return every component that has a record, whether or not it still runs."""
    found = []
    for path in (home / "run").glob("*.json"):
        with suppress(OSError, ValueError):
            if "command" in json.loads(path.read_text()):
                found.append(path.stem)
    return found


def forget(home: Path, name: str) -> None:
    """Remove a component's record."""
    (home / "run" / f"{name}.json").unlink(missing_ok=True)


def marked(home: Path) -> Iterator[psutil.Process]:
    """Find every process that descends from a component of this home, but never the caller or those above it."""
    own = psutil.Process()
    spared = {own.pid, *(parent.pid for parent in own.parents())}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid not in spared and process.environ().get(MARK) == str(home):
                yield process


def end(processes: Sequence[psutil.Process], patience_s: float) -> None:
    """Ask processes to end, and kill those that have not when the patience is over."""
    for process in processes:
        with suppress(psutil.Error):
            process.terminate()
    for process in wait(processes, patience_s):
        with suppress(psutil.Error):
            process.kill()
    wait(processes, 10)


def wait(processes: Sequence[psutil.Process], patience_s: float) -> list[psutil.Process]:
    """Wait until processes have ended; return those that have not when the patience is over.

    One that ended counts as ended also where nobody collects it: the first process of a container often does not.
    """
    deadline = time.monotonic() + patience_s
    while (alive := [process for process in processes if _lives(process)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return alive


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def kill_tree(home: Path, name: str) -> None:
    """Kill a component and all that descends from it, the component first."""
    process = find(home, name)
    if process is None:
        return
    with suppress(psutil.Error):
        kill([process, *process.children(recursive=True)])


def remains(home: Path, name: str) -> list[psutil.Process]:
    """Return what is left of a component, orphans of its killed first process too; a container would end with it."""
    found = []
    for process in marked(home):
        with suppress(psutil.Error):
            if process.environ().get(PART) == name:
                found.append(process)
    return found


def kill(processes: Sequence[psutil.Process]) -> None:
    """Kill processes; returns when they are gone."""
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
    wait(processes, 10)


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what would reconfigure Airflow or Postgres behind our back."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "PG"))}
