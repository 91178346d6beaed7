"""The embedded platform as a whole: started, found, healed and stopped. One lock a home says who does that."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import filelock
import psutil

from humannet_ops.local import airflow, components, postgres
from humannet_ops.local.client import Client
from humannet_ops.local.components import PlatformError
from humannet_ops.orchestration.legs import LEGS, POOLS, REMOVAL, REVISIT, STATISTICS, crawl_dag_id

Say = Callable[[str], None]
Mode = Literal["up", "run"]
_DAGS_WITHIN_S = 120.0


@contextmanager
def held(home: Path, doing: str) -> Iterator[None]:
    """Hold the home's lock: nobody else starts, runs or stops this platform meanwhile.

    Args:
        home: The platform's folder.
        doing: What the holder does, for whoever finds the lock taken.

    Raises:
        PlatformError: somebody holds it.
    """
    folder = components.run_directory(home)
    holder = folder / "holder.json"
    lock = filelock.FileLock(folder / "lock", blocking=False)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise PlatformError(f"{_who(holder)} is using {home}. Wait for it, or stop it with `make down`.") from error
    try:
        me = psutil.Process()
        holder.write_text(json.dumps({"pid": me.pid, "started": me.create_time(), "doing": doing}))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def start(home: Path, mode: Mode, say: Say) -> None:
    """Start everything, from whatever was left. The lock must be held.

    Args:
        home: The platform's folder.
        mode: ``up`` if it shall stay, ``run`` if it ends with the one who called.
        say: Told of each step.

    Raises:
        PlatformError: something does not come up; nothing is left running then.
    """
    stop(home)
    try:
        _record_mode(home, mode)
        say("Starting Postgres")
        postgres.start(home)
        address = airflow.configure(home)
        say("Preparing the databases and the models")
        with ThreadPoolExecutor() as pool:
            migrated = pool.submit(airflow.migrate, home)
            _prepare_catalog(home)
            migrated.result()
        say(f"Starting Airflow at {address}")
        airflow.start(home)
        airflow.wait_until_healthy(home)
        _open_dags(home)
    except BaseException:
        stop(home)
        raise


def stop(home: Path) -> None:
    """End everything of this home, orphans of killed parents too. The lock must be held.

    The scheduler and its tasks are killed, not asked: a task that ends by a signal would count as a failed try, while
    one that vanished with its scheduler is simply run again by the next. What it was at is found undone in the catalog.
    """
    components.kill_tree(home, "scheduler")
    database = {process.pid for process in postgres.servers(home)}  # it ends last, and gently
    components.end([process for process in components.marked(home) if process.pid not in database], patience_s=3)
    for name in airflow.COMMANDS:
        components.forget(home, name)
    postgres.stop(home)
    shutil.rmtree(home / "scratch", ignore_errors=True)
    (home / "run" / "mode").unlink(missing_ok=True)


def is_up(home: Path) -> bool:
    """Say whether a platform that was started to stay runs, whole."""
    mode = home / "run" / "mode"
    return mode.exists() and mode.read_text() == "up" and not airflow.fallen(home) and postgres.is_running(home)


def down(home: Path, say: Say) -> None:
    """Stop the platform; a run in progress is told to end first.

    Raises:
        PlatformError: whoever holds the platform does not let go within a minute.
    """
    holder = _holder(home / "run" / "holder.json")
    if holder is not None:
        say(f"Stopping process {holder.pid}, which uses the platform")
        with contextlib.suppress(psutil.Error):
            holder.send_signal(signal.SIGTERM)
        components.wait([holder], 60)
    with held(home, "make down"):
        stop(home)


def fallen(home: Path) -> list[str]:
    """Return the components that should run and do not."""
    return airflow.fallen(home) + ([] if components.find(home, postgres.COMPONENT) else [postgres.COMPONENT])


def _prepare_catalog(home: Path) -> None:
    os.environ["HUMANNET_HOME"] = str(home)
    from humannet_ops.catalog import migrations
    from humannet_ops.detectors.install import install
    from humannet_ops.settings import settings
    from humannet_ops.stages import execution

    migrations.upgrade()
    install(settings().models)
    execution.register()


def _open_dags(home: Path) -> None:
    """Make the pools, wait until every DAG was read, and unpause the legs.

    Legs must be open before a crawl ends: Airflow does not keep an asset's event for a paused DAG. Crawls are unpaused
    by who wants them to run on their schedule, in the web UI, or by running them.
    """
    from humannet_ops.sources import config

    api = airflow.client(home)
    for name in POOLS.keys() - api.pools().keys():
        slots, description = POOLS[name]
        api.make_pool(name, _devices() if name == "gpu" else slots, description)
    ours = {*(leg.dag_id for leg in LEGS), STATISTICS, REVISIT, REMOVAL}
    wanted = ours | {crawl_dag_id(path.stem) for path in config.files()}
    deadline = time.monotonic() + _DAGS_WITHIN_S
    while missing := wanted - (dags := api.dags()).keys():
        if errors := api.import_errors():
            shown = "\n".join(f"{name}: {reason.strip().splitlines()[-1]}" for name, reason in errors.items())
            raise PlatformError(f"Airflow cannot read these DAG files:\n{shown}")
        if time.monotonic() > deadline:
            tail = components.log_tail(home, "dag-processor")
            raise PlatformError(f"Airflow did not find {', '.join(sorted(missing))} in dags/.\n{tail}")
        time.sleep(0.3)
    for name in (*(leg.dag_id for leg in LEGS), STATISTICS, REVISIT, REMOVAL):
        if dags[name]["is_paused"]:
            api.unpause(name)


def _devices() -> int:
    """Return how many tasks may run models at once: one a GPU; without any, as many as run at all."""
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*"))) or airflow.parallelism()


def _record_mode(home: Path, mode: Mode) -> None:
    (components.run_directory(home) / "mode").write_text(mode)


def _holder(path: Path) -> psutil.Process | None:
    try:
        record = json.loads(path.read_text())
        process = psutil.Process(record["pid"])
        return process if process.create_time() == record["started"] else None
    except (OSError, ValueError, KeyError, psutil.Error):
        return None


def _who(path: Path) -> str:
    try:
        record = json.loads(path.read_text())
        return f"`{record['doing']}` (process {record['pid']})"
    except (OSError, ValueError, KeyError):
        return "Another process"


def api_of(home: Path) -> Client:
    """Return a client of the running platform's Airflow."""
    return airflow.client(home)
