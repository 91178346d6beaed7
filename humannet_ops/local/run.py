"""The main job on the embedded platform: crawl a source and follow every video to its outcome."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from humannet_ops.local import airflow, components, platform, report
from humannet_ops.local.chain import Chain
from humannet_ops.local.client import Client, Refused, Unreachable
from humannet_ops.local.components import PlatformError
from humannet_ops.local.progress import Progress
from humannet_ops.orchestration.legs import REVISIT, crawl_dag_id

_LOOK_EVERY_S = 1.0
_SILENT_FOR_S = 60.0
# LocalExecutor's workers take turns at one lock: a worker that is killed while it waits for work keeps it for ever.
_STALLED_FOR_S = 60.0


def run(home: Path, videos: Path | None, progress: Progress) -> bool:
    """Crawl the samples (or a folder) for today and follow until nothing is due.

    A platform that is up is used and left up; otherwise one is started and stopped again.

    Args:
        home: The platform's folder.
        videos: A folder of videos; None for the samples.
        progress: Shown what happens.

    Returns:
        Whether every DAG run succeeded and the ledger closes.

    Raises:
        PlatformError: the platform does not start, or a part of it ended under way.
    """
    began = datetime.datetime.now(datetime.UTC)
    source = _point_at(home, videos)
    with platform.held(home, "make run"), _started(home, progress):
        api = platform.api_of(home)
        chain = _follow(home, api, source, began, progress)
        report.explain_failures(api, chain, progress.say)
        closed = report.result(home, progress)
    return closed and not chain.failed()


@contextmanager
def _started(home: Path, progress: Progress) -> Iterator[None]:
    if platform.is_up(home):
        progress.say("Using the platform that is up")
        yield
        return
    platform.start(home, "run", progress.say)
    try:
        yield
    finally:
        progress.say("Stopping")
        platform.stop(home)


def _point_at(home: Path, videos: Path | None) -> str:
    """Choose the source. A user's folder is reached by a link, so that a running Airflow finds it too."""
    if videos is None:
        return "samples"
    folder = videos.expanduser().resolve()
    if not folder.is_dir():
        raise PlatformError(f"{videos} is not a folder: give `make run VIDEOS=` a folder of videos.")
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = home / ".videos"
    new.unlink(missing_ok=True)
    new.symlink_to(folder)
    new.replace(home / "videos")
    return "videos"


def _follow(home: Path, api: Client, source: str, began: datetime.datetime, progress: Progress) -> Chain:
    """Trigger the crawl of today, then what is due from earlier days, and look until all has ended."""
    today = began.strftime("%Y-%m-%d")
    chain = Chain(api, [_crawl(api, crawl_dag_id(source), today, began)])
    revisited = False
    moved = time.monotonic()
    with progress.live():
        while True:
            through = _look(home, chain)
            progress.show(chain)
            if not chain.is_stalled():
                moved = time.monotonic()
            elif time.monotonic() - moved > _STALLED_FOR_S:
                progress.say("Tasks are queued and none runs: starting the scheduler again")
                airflow.restart_scheduler(home)
                moved = time.monotonic()
            if through and revisited:
                return chain
            if through:
                revisited = True
                if earlier := _due(today):
                    progress.say(f"Revisiting earlier days with work left: {', '.join(earlier)}")
                    chain.add((REVISIT, api.trigger(REVISIT, None, {"partitions": earlier})))
            time.sleep(_LOOK_EVERY_S)


def _look(home: Path, chain: Chain) -> bool:
    """Look at the chain; bear with an API that is busy, but not with a component that ended."""
    deadline = time.monotonic() + _SILENT_FOR_S
    while True:
        if ended := platform.fallen(home):
            raise PlatformError(
                f"{ended[-1]} ended under way; `make run` again goes on from here.\n"
                f"{components.log_tail(home, ended[-1])}"
            )
        try:
            return chain.look()
        except (Refused, Unreachable):
            if time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_EVERY_S)


def _crawl(api: Client, dag_id: str, today: str, began: datetime.datetime) -> tuple[str, str]:
    """Trigger a crawl, unless its schedule just did: any that began after this run did sees the same files."""
    api.unpause(dag_id)
    for run in api.runs(today, dag_id, ("queued", "running")):
        if datetime.datetime.fromisoformat(run["queued_at"]) >= began:
            return dag_id, run["dag_run_id"]
    return dag_id, api.trigger(dag_id, today)


def _due(today: str) -> list[str]:
    from humannet_ops.stages import execution

    return [key for key in execution.due_partitions() if key != today]
