"""``humannet cluster``: the services of docker-compose.yml as processes, and what compose itself runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from humannet_ops.local.cli import plain_errors

app = typer.Typer(
    no_args_is_help=True, help="The services of docker-compose.yml: as processes of this machine, without containers."
)


def _place() -> Path:
    from humannet_ops.cluster import loopback
    from humannet_ops.settings import settings

    return loopback.folder(settings().home.resolve())


@app.command(epilog="Examples: `humannet cluster run` · `humannet cluster run --videos ~/Videos`")
def run(
    videos: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A folder of videos, searched to the bottom.")
    ] = None,
) -> None:
    """Take videos from a folder (by default the samples) all the way through the cluster's queues."""
    from humannet_ops.cluster.run import run as run_all
    from humannet_ops.local.progress import Progress
    from humannet_ops.settings import settings

    with plain_errors():
        if not run_all(settings().home.resolve(), videos, Progress()):
            raise typer.Exit(1)


@app.command(epilog="Example: `humannet cluster up`, then open the printed address")
def up() -> None:
    """Start every service and leave them running, looked after. Prints the web UI's address and login."""
    from humannet_ops.cluster import processes
    from humannet_ops.local import platform
    from humannet_ops.local.progress import Progress

    with plain_errors():
        place, progress = _place(), Progress()
        with platform.held(place, "humannet cluster up"):
            cluster = processes.known(place) if processes.is_up(place) else processes.start(place, progress.say)
        api = cluster.client()
        progress.say(f"Airflow is up at {api.address}  user {api.user}  password {api.password}")
        progress.say("`humannet cluster down` stops it")


@app.command(epilog="Example: `humannet cluster down`")
def down() -> None:
    """Stop everything of the cluster, also what a killed run left."""
    from humannet_ops.cluster import processes
    from humannet_ops.local import platform
    from humannet_ops.local.progress import Progress

    with plain_errors():
        place, progress = _place(), Progress()
        with platform.held(place, "humannet cluster down"):
            processes.stop(place)
        progress.say("Nothing of the cluster runs any more.")


@app.command(epilog="Example: `humannet cluster status`")
def status() -> None:
    """Say which services and servers run."""
    from humannet_ops.cluster import processes, servers

    with plain_errors():
        cluster = processes.known(_place())
        for name in (*servers.SERVERS, *cluster.services):
            print(f"{'up  ' if cluster.find(name) else 'DOWN'}  {name}")
        if cluster.fallen():
            raise typer.Exit(1)


@app.command(
    name="exec",
    # what follows the command is the command's
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="Examples: `humannet cluster exec api-server humannet status` · "
    "`humannet cluster exec scheduler airflow dags list` · `humannet cluster exec init humannet takedown list`",
)
def execute(
    service: Annotated[
        str, typer.Argument(help="As whom: api-server may read everything, init is the catalog's owner.")
    ],
    command: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="What, with its options.")],
) -> None:
    """Run a command as a service of docker-compose.yml sees the world, like `docker compose exec`."""
    from humannet_ops.cluster import processes
    from humannet_ops.local.components import PlatformError

    with plain_errors():
        cluster = processes.known(_place())
        if service not in cluster.programs:
            raise PlatformError(f"There is no service {service}: one of {', '.join(cluster.programs)}.")
        environment = cluster.environment(service)
        program = shutil.which(command[0], path=environment["PATH"])
        if program is None:
            raise PlatformError(f"There is no program {command[0]}.")
    raise typer.Exit(subprocess.run([program, *command[1:]], env=environment).returncode)


@app.command(epilog="Run by the service `init` of docker-compose.yml, before all others.")
def init() -> None:
    """Bring the databases up to this code; make login, pools, the catalog's roles and the bucket."""
    from humannet_ops.cluster.setup import initialise

    with plain_errors():
        initialise(os.environ)


@app.command(hidden=True)
def supervise() -> None:
    """Start again what ends. Started by `up` and `run`."""
    from humannet_ops.cluster import processes

    with plain_errors():
        processes.supervise(processes.known(_place()), lambda text: print(text, file=sys.stderr, flush=True))
