"""The servers that compose brings as containers, as processes: two Postgres, Redis and the object store."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
import redis

from humannet_ops.cluster.loopback import HOST
from humannet_ops.local import components, postgres
from humannet_ops.local.components import PlatformError
from humannet_ops.settings import REPOSITORY

DATABASES = ("metadata", "catalog")
SERVERS = (*DATABASES, "redis", "store")
_READY_WITHIN_S = 60.0


def start(home: Path, name: str, ports: Mapping[str, int], variables: Mapping[str, str]) -> None:
    """Start one server and return when it answers.

    Args:
        home: The cluster's folder.
        name: One of ``SERVERS``.
        ports: Of every server.
        variables: The secrets.

    Raises:
        PlatformError: it does not come up.
    """
    if name in DATABASES:
        postgres.serve(home / name, ports[name])
    elif name == "redis":
        _serve_redis(home, ports[name], variables["REDIS_PASSWORD"])
    else:
        _serve_store(home, ports, variables)


def prepare_databases(home: Path, ports: Mapping[str, int], variables: Mapping[str, str]) -> None:
    """Make the databases and their owners with the files that compose mounts into its two Postgres."""
    for name in DATABASES:
        sql = REPOSITORY / "sql" / "cluster" / f"{name}.sql"
        postgres.execute(home / name, "postgres", sql, port=ports[name], environment=variables)


def stop(home: Path, name: str) -> None:
    """End one server gently."""
    if name in DATABASES:
        postgres.stop(home / name)
    elif process := components.find(home, name):
        # SeaweedFS waits 15 s for its own connections to end; what it acknowledged is on disk, as Redis' is
        components.end([process], patience_s=3)
        components.forget(home, name)


def is_running(home: Path, name: str) -> bool:
    """Say whether a server's process is there."""
    if name in DATABASES:
        return components.find(home / name, postgres.COMPONENT) is not None
    return components.find(home, name) is not None


def is_hung(home: Path, name: str, ports: Mapping[str, int]) -> bool:
    """Say whether a server's process is there and of no use."""
    return name in DATABASES and postgres.is_hung(home / name, ports[name])


def program(name: str) -> str:
    """Return the path of a program that came with the Python packages.

    Raises:
        PlatformError: it is not installed.
    """
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        raise PlatformError(f"{path} is missing: run `make install-cluster`.")
    return str(path)


def _serve_redis(home: Path, port: int, password: str) -> None:
    data = home / "redis"
    data.mkdir(exist_ok=True, mode=0o700)
    config = data / "redis.conf"
    settings = {
        "bind": HOST,
        "port": str(port),
        "dir": str(data),
        "requirepass": password,
        # what is queued outlives the server, as in docker-compose.yml
        "appendonly": "yes",
        # a title would be written over the environment by which its process is found
        "set-proc-title": "no",
    }
    config.touch(mode=0o600)
    config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    components.start(home, "redis", [program("redis-server"), str(config)], components.clean_environment())
    client = redis.Redis(HOST, port, password=password)

    def answers() -> bool:
        try:
            return bool(client.ping())
        except redis.exceptions.RedisError:  # refused, or still loading what it keeps
            return False

    _wait(home, "redis", answers)
    client.close()


def _serve_store(home: Path, ports: Mapping[str, int], variables: Mapping[str, str]) -> None:
    data = home / "store"
    data.mkdir(exist_ok=True, mode=0o700)
    options = {
        "dir": str(data), "ip": HOST, "ip.bind": HOST,
        "filer": "true", "s3": "true", "s3.iam": "false", "s3.port.iceberg": "0", "s3.port.lance": "0",
        # one machine: there is nobody to wait for before it is its own leader
        "master.electionTimeout": "1s", "master.heartbeatInterval": "100ms", "master.telemetry": "false",
        "master.volumeSizeLimitMB": "1024", "volume.max": "0", "volume.preStopSeconds": "0",
        "s3.port": ports["store"], "s3.port.grpc": ports["store_grpc"],
        **{f"{part}.port": ports[part] for part in ("master", "volume", "filer")},
        **{f"{part}.port.grpc": ports[f"{part}_grpc"] for part in ("master", "volume", "filer")},
    }  # fmt: skip
    command = [program("weed"), "-logtostderr", "server", *(f"-{name}={value}" for name, value in options.items())]
    keys = {"AWS_ACCESS_KEY_ID": variables["STORE_ACCESS_KEY"], "AWS_SECRET_ACCESS_KEY": variables["STORE_SECRET_KEY"]}
    environment = {name: value for name, value in components.clean_environment().items() if not name.startswith("AWS_")}
    components.start(home, "store", command, {**environment, **keys})

    def answers() -> bool:
        try:
            return httpx.get(f"http://{HOST}:{ports['store']}/healthz", timeout=5, trust_env=False).is_success
        except httpx.TransportError:
            return False

    _wait(home, "store", answers)


def _wait(home: Path, name: str, answers: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while not answers():
        if components.find(home, name) is None or time.monotonic() > deadline:
            raise PlatformError(f"The {name} server did not come up.\n{components.log_tail(home, name)}")
        time.sleep(0.05)


def path_with_programs() -> str:
    """Return PATH with the programs of this Python in front, where the commands of docker-compose.yml are found."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
