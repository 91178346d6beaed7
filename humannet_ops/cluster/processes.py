"""The services as processes: started, looked after as ``restart: unless-stopped`` does, and stopped."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from humannet_ops.cluster import loopback, servers, topology
from humannet_ops.cluster.topology import Service
from humannet_ops.local import components, postgres
from humannet_ops.local.client import Client, Refused, Unreachable
from humannet_ops.local.components import PlatformError

Say = Callable[[str], None]
SUPERVISOR = "supervisor"
# Of the compose file's profiles, those whose services run here: the queue `gpu` has its worker also without a GPU.
PROFILES = frozenset({"gpu"})
_HEALTHY_WITHIN_S = 300.0
_LOOK_S = 2.0
_HUNG_S = 10.0
_ADMIN = "admin"


@dataclass(frozen=True)
class Cluster:
    """The cluster of one folder, as its compose file, secrets and ports describe it."""

    home: Path
    ports: Mapping[str, int]

    @cached_property
    def variables(self) -> Mapping[str, str]:
        """What the compose file's references name."""
        return loopback.variables(self.home, dict(self.ports))

    @cached_property
    def declared(self) -> Mapping[str, Service]:
        """Every service of the compose file."""
        return topology.read(self.variables)

    @cached_property
    def programs(self) -> Mapping[str, Service]:
        """Those that are programs of ours: whatever their profile, and also those that end."""
        return {name: found for name, found in self.declared.items() if is_ours(found)}

    @cached_property
    def services(self) -> Mapping[str, Service]:
        """Those that run for ever as processes of ours, in the order in which compose starts them."""
        return {name: found for name, found in self.declared.items() if runs_here(found) and name != "init"}

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment of a service's process: what compose gives it and nothing of this shell's."""
        own = {key: value for key, value in components.clean_environment().items() if not key.startswith("HUMANNET_")}
        private = self.home / "airflow" / name
        private.mkdir(parents=True, exist_ok=True, mode=0o700)
        return {
            **own,
            "PATH": servers.path_with_programs(),
            "PYTHONUNBUFFERED": "1",
            **self.declared[name].environment,
            # a container has a file system of its own
            "AIRFLOW_HOME": str(private),
        }

    def command(self, name: str) -> list[str]:
        """Return what a service runs, its program found beside this Python."""
        program, *arguments = self.declared[name].command
        if arguments[:2] == ["celery", "worker"]:
            # A container has a name of its own in the network, after which Celery names its worker.
            arguments += ["--celery-hostname", f"{name}@{socket.gethostname()}"]
        return [servers.program(program), *arguments]

    def client(self) -> Client:
        """Return a client of the cluster's Airflow."""
        return Client(self.variables["API_URL"], _ADMIN, self.variables["ADMIN_PASSWORD"])

    def find(self, name: str) -> bool:
        """Say whether a service or server has its process."""
        if name in servers.SERVERS:
            return servers.is_running(self.home, name)
        return components.find(self.home, name) is not None

    def fallen(self) -> list[str]:
        """Return what should run and does not, servers first."""
        return [name for name in (*servers.SERVERS, *self.services) if not self.find(name)]

    def start(self, name: str) -> None:
        """Start one service or server; what a killed one left of itself is ended first, as a container would."""
        if name in servers.SERVERS:
            servers.start(self.home, name, self.ports, self.variables)
            return
        components.kill(components.remains(self.home, name))
        components.start(self.home, name, self.command(name), self.environment(name))


def is_ours(service: Service) -> bool:
    """Say whether a service is a program of ours."""
    return bool(service.command) and service.command[0] in ("airflow", "humannet")


def runs_here(service: Service) -> bool:
    """Say whether a service is a program of ours and not only wanted with a profile that is not used here."""
    return is_ours(service) and (not service.profiles or bool(PROFILES & set(service.profiles)))


def known(home: Path) -> Cluster:
    """Return the cluster that was started in a folder.

    Raises:
        PlatformError: none was.
    """
    return Cluster(home, loopback.known_ports(home))


def start(home: Path, say: Say) -> Cluster:
    """Start everything from whatever was left, and return when it is well. The folder's lock must be held.

    Raises:
        PlatformError: a part does not come up; nothing is left running then.
    """
    stop(home)
    try:
        loopback.make_secrets(home)
        cluster = Cluster(home, loopback.choose_ports(home, say))
        prepare_folders(home)
        postgres.private_folder(Path(cluster.variables["MODEL_SOCKET"]).parent)
        say("Starting both Postgres, Redis and the object store")
        for name in servers.SERVERS:
            cluster.start(name)
        servers.prepare_databases(home, cluster.ports, cluster.variables)
        say("Running `humannet cluster init`")
        _initialise(cluster)
        say(f"Starting {', '.join(cluster.services)}")
        for name in cluster.services:
            cluster.start(name)
        components.start(home, SUPERVISOR, [servers.program("humannet"), "cluster", "supervise"],
                         {**components.clean_environment(), "HUMANNET_HOME": str(home.parent)})  # fmt: skip
        _wait_until_healthy(cluster)
    except BaseException:
        stop(home)
        raise
    return cluster


def stop(home: Path) -> None:
    """End everything. Tasks are killed, not asked: they are run again by the next start, and nothing is lost."""
    components.kill_tree(home, SUPERVISOR)
    kept = {process.pid for name in ("redis", "store") if (process := components.find(home, name))}
    components.kill([process for process in components.marked(home) if process.pid not in kept])
    for name in reversed(servers.SERVERS):
        servers.stop(home, name)
    for name in components.recorded(home):
        components.forget(home, name)


def supervise(cluster: Cluster, say: Say) -> None:
    """Start again what ends, for ever, with Docker's back-off: 0.1 s, doubled each time, at most a minute.

    Ten seconds of running count as well again. A server that hangs is started again too, as a liveness probe would do.
    """
    hung = _Hung(cluster)
    waits: dict[str, float] = {}
    due: dict[str, float] = {}
    started: dict[str, float] = {}
    while True:
        for name in cluster.fallen():
            now = time.monotonic()
            if name not in due:
                lasted = now - started.get(name, float("-inf"))
                waits[name] = 0.1 if lasted > 10 else min(60.0, waits.get(name, 0.05) * 2)
                due[name] = now + waits[name]
            if now < due[name]:
                continue
            del due[name]
            say(f"{name} ended: starting it again")
            started[name] = now
            with suppress(PlatformError):  # told in its log; it has fallen again then
                cluster.start(name)
        for name in hung.look():
            say(f"{name} hangs: starting it again")
            with suppress(PlatformError):
                cluster.start(name)
        time.sleep(0.1)


class _Hung:
    """Looks now and then which servers hang: a while on end, for a recovery that begins looks the same for a moment."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self._seen = cluster, 0.0
        self._since: dict[str, float] = {}

    def look(self) -> list[str]:
        now = time.monotonic()
        if now - self._seen < _LOOK_S:
            return []
        self._seen = now
        for name in servers.SERVERS:
            if servers.is_hung(self._cluster.home, name, self._cluster.ports):
                self._since.setdefault(name, now)
            else:
                self._since.pop(name, None)
        return [name for name, since in self._since.items() if now - since >= _HUNG_S]


def is_up(home: Path) -> bool:
    """Say whether a cluster is being looked after in this folder."""
    return components.find(home, SUPERVISOR) is not None


def prepare_folders(home: Path) -> None:
    """Make what processes expect: the samples where their source looks for them, and an empty scratch folder."""
    packages = home / "packages"
    if not packages.is_symlink():
        packages.symlink_to(home.parent / "packages")
    scratch = home / "scratch"
    scratch.mkdir(exist_ok=True, mode=0o700)
    for left in scratch.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def _initialise(cluster: Cluster) -> None:
    path = components.log_path(cluster.home, "init")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("wb") as log:
        done = subprocess.run(
            cluster.command("init"), env=cluster.environment("init"), stdout=log, stderr=subprocess.STDOUT
        )
    if done.returncode:
        raise PlatformError(f"`humannet cluster init` failed.\n{components.log_tail(cluster.home, 'init', lines=30)}")


def _wait_until_healthy(cluster: Cluster) -> None:
    api = cluster.client()
    deadline = time.monotonic() + _HEALTHY_WITHIN_S
    state: dict[str, str] = {}
    while not state or any(value != "healthy" for value in state.values()):
        if time.monotonic() > deadline:
            ill = [name for name, value in state.items() if value != "healthy"] or ["api-server"]
            tails = "\n".join(components.log_tail(cluster.home, name.replace("_", "-")) for name in ill)
            raise PlatformError(
                f"The cluster was not well after {_HEALTHY_WITHIN_S:.0f} s ({', '.join(ill)}).\n{tails}"
            )
        time.sleep(0.5)
        with suppress(Refused, Unreachable):
            api.pools()  # only our own API server knows our login; another may have taken the port
            state = api.health()
