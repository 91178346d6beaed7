"""``humannet local``: the embedded platform from the command line. The Makefile's targets call it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="The embedded platform: Postgres and Airflow on this machine.")


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn what people cause and can cure into a message and exit status 1, and a signal into a clean end."""
    from humannet_ops.catalog.connection import CatalogError
    from humannet_ops.detectors.lock import ModelError
    from humannet_ops.domain.policy import PolicyError
    from humannet_ops.local.client import Refused, Unreachable
    from humannet_ops.local.components import PlatformError
    from humannet_ops.sources.config import SourceError
    from humannet_ops.storage import StoreError

    def end(number: int, _frame: FrameType | None) -> None:
        # once is enough: what follows is the stopping
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    try:
        yield
    except (
        CatalogError, ModelError, PlatformError, PolicyError, Refused, SourceError, StoreError, Unreachable,
    ) as error:  # fmt: skip
        print(f"humannet: {error}", file=sys.stderr)
        raise typer.Exit(1) from error


def _home() -> Path:
    from humannet_ops.settings import settings

    return settings().home.resolve()


@app.command(epilog="Example: `humannet local up`, then open the printed address")
def up() -> None:
    """Start Postgres and Airflow and leave them running. Prints the web UI's address and login."""
    from humannet_ops.local import airflow, platform
    from humannet_ops.local.progress import Progress

    with plain_errors():
        home, progress = _home(), Progress()
        with platform.held(home, "make up"):
            if not platform.is_up(home):
                platform.start(home, "up", progress.say)
        address, user, password = airflow.login(home)
        progress.say(f"Airflow is up at {address}  user {user}  password {password}  (`make down` stops it)")


@app.command(epilog="Example: `humannet local down`")
def down() -> None:
    """Stop everything of this home, also what a killed run left."""
    from humannet_ops.local import platform
    from humannet_ops.local.progress import Progress

    with plain_errors():
        progress = Progress()
        platform.down(_home(), progress.say)
        progress.say("Nothing of the platform runs any more.")


@app.command(epilog="Examples: `humannet local run` · `humannet local run --videos ~/Videos`")
def run(
    videos: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A folder of videos, searched to the bottom.")
    ] = None,
) -> None:
    """Take videos from a folder (by default the samples) all the way, and print what became of them."""
    from humannet_ops.local.progress import Progress
    from humannet_ops.local.run import run as run_all

    with plain_errors():
        if not run_all(_home(), videos, Progress()):
            raise typer.Exit(1)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: `humannet local airflow backfill create --dag-id crawl_samples "
    "--from-date 2026-01-01 --to-date 2026-01-03`",
)
def airflow(context: typer.Context) -> None:
    """Run Airflow's own command line against this home."""
    from humannet_ops.local import postgres
    from humannet_ops.local.airflow import environment
    from humannet_ops.local.components import PlatformError

    with plain_errors():
        home = _home()
        if not postgres.is_running(home):
            raise PlatformError(f"The platform in {home} is down: `make up` starts it.")
    command = [sys.executable, "-m", "airflow", *context.args]
    raise typer.Exit(subprocess.run(command, env=environment(home)).returncode)
