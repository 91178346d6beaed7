"""Airflow beside the embedded Postgres: its configuration, its four components, and whether they are well.

Nothing here imports Airflow; it is configured by a file and driven by its command line and its REST API.
"""

from __future__ import annotations

import base64
import configparser
import io
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

from humannet_ops.local import components, postgres
from humannet_ops.local.client import Client, Unreachable
from humannet_ops.local.components import PlatformError
from humannet_ops.settings import REPOSITORY

USER = "admin"
HOST = "127.0.0.1"
# In the order of starting; they are ended in the reverse order.
COMMANDS = {
    "api-server": ["api-server"],
    # Task logs are read from the disk that all components share: no log server, which would listen on every address.
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}
_HEALTHY_WITHIN_S = 180.0


def environment(home: Path) -> dict[str, str]:
    """Return the environment of every Airflow process of this home, and of what its tasks start."""
    return {
        # Shards small enough that a handful of videos keeps every core busy.
        "HUMANNET_SHARD_SECONDS": "30",
        **components.clean_environment(),
        "AIRFLOW_HOME": str(home / "airflow"),
        "HUMANNET_HOME": str(home),
        "PYTHONUNBUFFERED": "1",
    }


def parallelism() -> int:
    """Return how many tasks run at once on this machine."""
    return max(2, min(4, len(os.sched_getaffinity(0))))


def configure(home: Path) -> str:
    """Write ``airflow.cfg`` for this home and return the address of its web UI. Secrets are made once and kept."""
    folder = home / "airflow"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    known = _remembered(folder / "secrets.json")
    port = _free_port(int(known["port"]))
    _write_private(folder / "secrets.json", json.dumps({**known, "port": str(port)}))
    address = f"http://{HOST}:{port}"
    sections = {
        "core": {
            "executor": "LocalExecutor",
            "parallelism": str(parallelism()),
            "dags_folder": str(REPOSITORY / "dags"),
            "plugins_folder": str(REPOSITORY / "plugins"),
            "load_examples": "False",
            "dags_are_paused_at_creation": "True",
            "fernet_key": known["fernet_key"],
            "execution_api_server_url": f"{address}/execution/",
            "auth_manager": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
            "simple_auth_manager_users": f"{USER}:admin",
            "simple_auth_manager_passwords_file": str(folder / "passwords.json"),
        },
        "api": {
            "host": HOST,
            "port": str(port),
            "base_url": address,
            "workers": "1",
            "secret_key": known["secret_key"],
            "expose_config": "False",
        },
        "api_auth": {"jwt_secret": known["jwt_secret"]},
        "database": {
            "sql_alchemy_conn": postgres.url(home, "airflow"),
            "sql_alchemy_conn_async": postgres.url(home, "airflow", driver="asyncpg"),
        },
        "scheduler": {
            # The machine is one person's: answer quickly. A task whose process vanished is noticed in a minute.
            "scheduler_idle_sleep_time": "0.5",
            "task_instance_heartbeat_timeout": "60",
            "orphaned_tasks_check_interval": "60",
            # A queue that is merely long is no failure.
            "task_queued_timeout": "86400",
        },
        # A supervisor that misses its task's end notices at its next heartbeat: by default 5 s lost for many a task.
        "workers": {
            "min_heartbeat_interval": "1",
            "max_failed_heartbeats": "15",
            # the API server is slow to answer its first calls on a busy machine
            "execution_api_timeout": "60",
        },
        "dag_processor": {"refresh_interval": "30", "parsing_processes": "1"},
        "triggerer": {"capacity": "100"},
        "logging": {
            "base_log_folder": str(home / "logs" / "tasks"),
            "dag_processor_child_process_log_directory": str(home / "logs" / "dags"),
            "file_task_handler_new_folder_permissions": "0o700",
            "file_task_handler_new_file_permissions": "0o600",
            "colored_console_log": "False",
        },
    }
    config = configparser.RawConfigParser()
    for section, options in sections.items():
        # Airflow reads the file with interpolation: a percent sign of a URL is written twice.
        config.read_dict({section: {name: value.replace("%", "%%") for name, value in options.items()}})
    _write_private(folder / "passwords.json", json.dumps({USER: known["password"]}) + "\n")
    text = io.StringIO()
    config.write(text)
    _write_private(folder / "airflow.cfg", text.getvalue())
    return address


def login(home: Path) -> tuple[str, str, str]:
    """Return the web UI's address, user and password.

    Raises:
        PlatformError: this home was never started.
    """
    known = _remembered(home / "airflow" / "secrets.json", make=False)
    return f"http://{HOST}:{known['port']}", USER, known["password"]


def client(home: Path) -> Client:
    """Return a client of this home's REST API."""
    return Client(*login(home))


def migrate(home: Path) -> None:
    """Bring Airflow's metadata database up to its code; that costs seconds, so not where it was done already.

    Raises:
        PlatformError: it cannot be done.
    """
    stamp = home / "airflow" / "migrated.json"
    if stamp.exists() and json.loads(stamp.read_text()) == _shape(home):
        return
    path = components.log_path(home, "airflow-db-migrate")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("wb") as log:
        done = subprocess.run(
            [*_airflow(), "db", "migrate"], env=environment(home), stdout=log, stderr=subprocess.STDOUT, cwd=home
        )
    if done.returncode:
        raise PlatformError(f"`airflow db migrate` failed.\n{components.log_tail(home, path.stem)}")
    _write_private(stamp, json.dumps(_shape(home)))


def start(home: Path) -> None:
    """Start the four components. None may be running: what was left by a kill is marked dead first."""
    _bury(home, "%")
    for name in COMMANDS:
        _start(home, name)


def restart_scheduler(home: Path) -> None:
    """Kill the scheduler with its executor and tasks, and start it again; it begins with the tasks that it lost."""
    components.kill_tree(home, "scheduler")
    _bury(home, "SchedulerJob")
    _start(home, "scheduler")


def _bury(home: Path, kind: str) -> None:
    postgres.execute(home, "airflow", REPOSITORY / "sql" / "local" / "dead_jobs.sql", kind=kind)


def _start(home: Path, name: str) -> None:
    components.start(home, name, [*_airflow(), *COMMANDS[name]], environment(home))


def fallen(home: Path) -> list[str]:
    """Return the components that should run and do not."""
    return [name for name in COMMANDS if components.find(home, name) is None]


def wait_until_healthy(home: Path) -> None:
    """Return when every component reports that it is well.

    Raises:
        PlatformError: one ended, or the time is over; the message has its last words.
    """
    api = client(home)
    deadline = time.monotonic() + _HEALTHY_WITHIN_S
    state: dict[str, str] = {}
    while not state or any(value != "healthy" for value in state.values()):
        if ended := fallen(home):
            raise PlatformError(
                f"Airflow's {ended[0]} ended while starting.\n{components.log_tail(home, ended[0], lines=30)}"
            )
        if time.monotonic() > deadline:
            ill = [name for name, value in state.items() if value != "healthy"] or ["api-server"]
            tails = "\n".join(components.log_tail(home, name.replace("_", "-")) for name in ill)
            raise PlatformError(f"Airflow was not well after {_HEALTHY_WITHIN_S:.0f} s ({', '.join(ill)}).\n{tails}")
        time.sleep(0.3)
        try:
            state = api.health()
        except Unreachable:
            state = {}


def _shape(home: Path) -> list[str | None]:
    """Return Airflow's version and the revision that its database is at, None where it has none yet."""
    try:
        revision = postgres.execute(home, "airflow", REPOSITORY / "sql" / "local" / "airflow_revision.sql")
    except PlatformError:
        revision = None
    return [version("apache-airflow-core"), revision]


def _airflow() -> list[str]:
    return [sys.executable, "-m", "airflow"]


def _remembered(path: Path, *, make: bool = True) -> dict[str, str]:
    if path.exists():
        known: dict[str, str] = json.loads(path.read_text())
        return known
    if not make:
        raise PlatformError("The platform was never started here: `make up` starts it.")
    return {
        "fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "secret_key": secrets.token_hex(32),
        "jwt_secret": secrets.token_hex(32),
        "password": secrets.token_urlsafe(12),
        "port": "8080",
    }


def _free_port(wanted: int) -> int:
    """Return the wanted port, or another where somebody else has it. Nothing of ours runs when this is asked."""
    for candidate in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise PlatformError("No free port on the loopback interface.")


def _write_private(path: Path, text: str) -> None:
    """Write a file whole, readable by its owner alone."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with open(new, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as stream:
        stream.write(text)
    new.replace(path)
