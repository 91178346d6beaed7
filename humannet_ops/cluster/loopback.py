"""What ``.env`` and the container network are to compose: secrets made once, and an address for each server here."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import dotenv

from humannet_ops.local import postgres
from humannet_ops.local.components import PlatformError
from humannet_ops.settings import REPOSITORY, settings

HOST = "127.0.0.1"
# SeaweedFS is four servers in one program, each with a port for people and one for the others.
PORTS = ("metadata", "catalog", "redis", "api", "store", "store_grpc", "master", "master_grpc", "volume", "volume_grpc",
         "filer", "filer_grpc", "model_metrics")  # fmt: skip


def folder(home: Path) -> Path:
    """Return where the cluster of a home keeps everything."""
    return home / "cluster"


def variables(home: Path, ports: dict[str, int]) -> dict[str, str]:
    """Return what the compose file's references name, for processes of this machine.

    As with compose, what the shell sets goes before ``.env``. Addresses are this machine's, whatever ``.env`` says; the
    shell may put a proxy before Redis or the store.

    Args:
        home: The cluster's folder.
        ports: A port for each of ``PORTS``.
    """
    return {
        **{name: value or "" for name, value in dotenv.dotenv_values(home / ".env", interpolate=False).items()},
        **os.environ,
        "METADATA_ADDRESS": f"{HOST}:{ports['metadata']}",
        "CATALOG_ADDRESS": f"{HOST}:{ports['catalog']}",
        "REDIS_ADDRESS": os.environ.get("REDIS_ADDRESS") or f"{HOST}:{ports['redis']}",
        "STORE_ENDPOINT": os.environ.get("STORE_ENDPOINT") or f"http://{HOST}:{ports['store']}",
        "API_HOST": HOST,
        "API_PORT": str(ports["api"]),
        "API_URL": f"http://{HOST}:{ports['api']}",
        "PUBLIC_URL": f"http://{HOST}:{ports['api']}",
        "STATSD_ON": "False",
        "STATE": str(home),
        "MODELS": str(settings().models),
        "SCRATCH": str(home / "scratch"),
        "LOGS": str(home / "logs" / "tasks"),
        "REPOSITORY": str(REPOSITORY),
        "MODEL_SOCKET": str(postgres.socket_directory(home) / "models.sock"),  # a short path, as Postgres needs one
        "GPU_DEVICE": "auto",
        "METRICS_HOST": HOST,
        "MODEL_METRICS_PORT": str(ports["model_metrics"]),
        # worker-gpu is always started here: no other worker takes its queue
        "CPU_QUEUES": "cpu",
    }


def make_secrets(home: Path) -> None:
    """Make the cluster's ``.env``, as ``infra/make-env`` makes compose's; what it has is kept.

    Raises:
        PlatformError: that fails.
    """
    command = [sys.executable, str(REPOSITORY / "infra" / "make-env"), "--file", str(home / ".env")]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise PlatformError(f"`{' '.join(command[1:])}` failed: {(done.stderr or done.stdout).strip()}")


def known_ports(home: Path) -> dict[str, int]:
    """Return the ports that the cluster was started with last.

    Raises:
        PlatformError: it never was.
    """
    try:
        ports: dict[str, int] = json.loads((home / "ports.json").read_text())
    except OSError as error:
        raise PlatformError("The cluster was never started here: `humannet cluster up` starts it.") from error
    return ports


def choose_ports(home: Path, say: Callable[[str], None] = lambda _: None) -> dict[str, int]:
    """Return a free port for each server, the ones used last where they still are free. Nothing of ours runs now.

    Args:
        home: The cluster's folder.
        say: Told where the web UI cannot have its port.
    """
    path = home / "ports.json"
    known = json.loads(path.read_text()) if path.exists() else {"api": 8080}
    with ExitStack() as held:
        ports = {name: _free_port(known.get(name, 0), held) for name in PORTS}
    if ports["api"] != known["api"]:
        say(f"Port {known['api']} is taken: the web UI gets {ports['api']}")
    path.write_text(json.dumps(ports))
    return ports


def _free_port(wanted: int, held: ExitStack) -> int:
    for candidate in (wanted, 0):
        probe = held.enter_context(socket.socket())
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, candidate))
        except OSError:
            continue
        return int(probe.getsockname()[1])
    raise PlatformError("No free port on the loopback interface.")
