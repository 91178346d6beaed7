"""The main job on the cluster: crawl a source and follow every video to its outcome, through three queues."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from humannet_ops.cluster import loopback, processes
from humannet_ops.cluster.processes import Cluster
from humannet_ops.local import platform, report
from humannet_ops.local.chain import Chain
from humannet_ops.local.progress import Progress
from humannet_ops.local.run import follow, point_at

# Parts may die and come back meanwhile.
_SILENT_FOR_S = 600.0
# As whom this process asks the catalog and the store: for what is due like the worker that plans, then like who reads.
_PLANNER, _READER = "worker-crawl", "api-server"


def run(home: Path, videos: Path | None, progress: Progress) -> bool:
    """Crawl the samples (or a folder) for today and follow until nothing is due.

    A cluster that is up is used and left up; otherwise one is started and stopped again.

    Args:
        home: HUMANNET_HOME; the cluster keeps everything in its folder ``cluster``.
        videos: A folder of videos; None for the samples.
        progress: Shown what happens.

    Returns:
        Whether every DAG run succeeded and the ledger closes.

    Raises:
        PlatformError: the cluster does not start.
        Refused, Unreachable: its API does not come back.
    """
    began = datetime.datetime.now(datetime.UTC)
    place = loopback.folder(home)
    source = point_at(place, videos)
    with platform.held(place, "make cluster"), _started(place, progress) as cluster:
        use(cluster, _PLANNER)
        chain = follow(cluster.client(), source, began, progress, _tend, _SILENT_FOR_S)
        use(cluster, _READER)
        report.explain_failures(cluster.client(), chain, progress.say)
        closed = report.result(place, progress)
        report.queues(progress)
    return closed and not chain.failed()


def use(cluster: Cluster, service: str) -> None:
    """Let this process see the catalog and the store as one of the services does."""
    from humannet_ops.settings import settings

    for name, value in cluster.environment(service).items():
        if name.startswith(("HUMANNET_", "AWS_")):
            os.environ[name] = value
    settings.cache_clear()


def _tend(_chain: Chain) -> None:
    """Leave it to the supervisor."""


@contextmanager
def _started(place: Path, progress: Progress) -> Iterator[Cluster]:
    if processes.is_up(place):
        progress.say("Using the cluster that is up")
        yield processes.known(place)
        return
    cluster = processes.start(place, progress.say)
    try:
        yield cluster
    finally:
        progress.say("Stopping")
        processes.stop(place)
