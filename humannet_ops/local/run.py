"""The main job on the embedded platform: crawl a source and follow every video to its outcome."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator
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
    source = point_at(home, videos)
    with platform.held(home, "make run"), _started(home, progress):
        api = platform.api_of(home)
        chain = follow(api, source, began, progress, _Nurse(home, progress).tend, _SILENT_FOR_S)
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


def point_at(home: Path, videos: Path | None) -> str:
    """Choose the source. A user's folder is reached by a link, so that a running Airflow finds it too."""
    if videos is None:
        return "samples"
    folder = videos.expanduser().resolve()
    if not folder.is_dir():
        raise PlatformError(f"{videos} is not a folder: give VIDEOS= a folder of videos.")
    if not any(path.is_file() for path in folder.rglob("*")):
        raise PlatformError(f"{videos} has no files: give VIDEOS= a folder of videos.")
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = home / ".videos"
    new.unlink(missing_ok=True)
    new.symlink_to(folder)
    new.replace(home / "videos")
    return "videos"


def follow(
    api: Client,
    source: str,
    began: datetime.datetime,
    progress: Progress,
    tend: Callable[[Chain], None],
    patience_s: float,
) -> Chain:
    """Trigger the crawl of today, then what is due from earlier days, and look until all has ended.

    Args:
        api: The platform's Airflow.
        source: What to crawl.
        began: Its day is the crawl day.
        progress: Shown what happens.
        tend: Called before each look; it cares for the platform, or raises.
        patience_s: How long the API may be silent.

    Raises:
        Refused, Unreachable: the API is silent for longer, or refuses.
    """
    today = began.strftime("%Y-%m-%d")
    chain = Chain(api, [_crawl(api, crawl_dag_id(source), today, began)])
    revisited = False
    with progress.live():
        while True:
            through = _look(chain, tend, patience_s)
            progress.show(chain)
            if through and revisited:
                return chain
            if through:
                revisited = True
                if earlier := _due(today):
                    progress.say(f"Revisiting earlier days with work left: {', '.join(earlier)}")
                    chain.add((REVISIT, api.trigger(REVISIT, None, {"partitions": earlier})))
            time.sleep(_LOOK_EVERY_S)


def _look(chain: Chain, tend: Callable[[Chain], None], patience_s: float) -> bool:
    """Look at the chain; bear with an API that is busy."""
    deadline = time.monotonic() + patience_s
    while True:
        tend(chain)
        try:
            return chain.look()
        except (Refused, Unreachable):
            if time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_EVERY_S)


class _Nurse:
    """Does not bear with a component that ended, and heals an executor that stalls."""

    def __init__(self, home: Path, progress: Progress) -> None:
        self.home, self.progress, self.moved = home, progress, time.monotonic()

    def tend(self, chain: Chain) -> None:
        if ended := platform.fallen(self.home):
            raise PlatformError(
                f"{ended[-1]} ended under way; `make run` again goes on from here.\n"
                f"{components.log_tail(self.home, ended[-1])}"
            )
        if not chain.is_stalled():
            self.moved = time.monotonic()
        elif time.monotonic() - self.moved > _STALLED_FOR_S:
            self.progress.say("Tasks are queued and none runs: starting the scheduler again")
            airflow.restart_scheduler(self.home)
            self.moved = time.monotonic()


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
