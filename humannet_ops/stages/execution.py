"""Running stages: the same four functions for Airflow tasks and for the command line."""

from __future__ import annotations

import datetime
import errno
import functools
import heapq
import logging
import os
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from structlog.contextvars import bind_contextvars, bound_contextvars, unbind_contextvars

from humannet_ops.catalog import channels, counting, discovery, fetching, migrations, planning, recording, takedowns
from humannet_ops.catalog.connection import CATALOG_ERRORS, Connection, connect, transaction
from humannet_ops.catalog.planning import Work
from humannet_ops.catalog.recording import Ending, StageRun, TaskIdentity, record_task_failure
from humannet_ops.domain.identifiers import new_run_id
from humannet_ops.domain.outcome import DeviceLost, Outcome, Postponed, Reason, SubjectError
from humannet_ops.domain.records import ClipSubject, Result, VideoSubject, failed, rejected, skipped
from humannet_ops.settings import REPOSITORY, settings
from humannet_ops.sources import config as source_config
from humannet_ops.sources import kinds, search_plan
from humannet_ops.sources.protocol import Crawl, Window
from humannet_ops.stages import registry
from humannet_ops.stages.protocol import Context, Resolver, no_credentials
from humannet_ops.storage import ObjectMissing, StoreError, open_store

__all__ = [
    "TaskIdentity", "Turn", "discover", "due_partitions", "due_stages", "plan", "record_task_failure", "register",
    "run_shard", "take_turn",
]  # fmt: skip

logger = logging.getLogger(__name__)
_POSTPONED = "postponed"
# Outcomes written in one transaction, and how long one may wait for others: a killed worker repeats so much.
_MOST_WAITING = 100
_LONGEST_WAIT_S = 1.0


class PlanOutdatedError(Exception):
    """A shard was planned for a stage version that no longer counts."""


def register() -> None:
    """Write this code's stages, reasons and models into the catalog."""
    migrations.register(registry.specs(), registry.versions())
    with connect() as link, transaction(link):
        for role, model in registry.models().items():
            recording.record_model_release(
                link,
                role=role,
                release=model.release,
                sha256=model.sha256,
                license=model.licence,
                origin=model.origin,
            )


def person() -> TaskIdentity:
    """Return who works when no Airflow task does."""
    return TaskIdentity(worker=f"{socket.gethostname()}:{os.getpid()}")


def discover(
    source: str, partition_key: str, identity: TaskIdentity, credentials: Resolver = no_credentials
) -> dict[str, int]:
    """Look through a source and record what is new or changed.

    Args:
        source: A file's name in ``dags/sources``, without ``.yaml``.
        partition_key: The crawl day, YYYY-MM-DD, that new videos belong to.
        identity: Who asks, for the log.
        credentials: Finds what the source's Airflow connection holds.

    Returns:
        How many entries are new, changed, known, other addresses of known ones, gone, and barred by a takedown.
    """
    if takedowns.is_source_taken_down(source):
        logger.warning("%s was taken down: nothing is crawled. Remove dags/sources/%s.yaml.", source, source)
        return asdict(discovery.Discovery(0, 0, 0))
    config = source_config.load(source)
    place = kinds.open_source(config)
    connection = getattr(config, "connection", None)
    _pause_channels(config)
    window = upload_window(partition_key, discovery.watermark(source), getattr(config, "since", None))
    crawl = Crawl(
        partition_key,
        window,
        memory=discovery.memory(source),
        keywords=search_plan.to_search(config, place.address(), partition_key) if place.searches else (),
        credentials=credentials(connection) if connection else None,
    )
    found = discovery.record_entries(
        discovery.Pass(
            source,
            config.kind,
            place.address(),
            partition_key,
            terms=config.terms,
            watermark=settled(partition_key, datetime.datetime.now(datetime.UTC)) if place.dated else None,
            dag_id=identity.dag_id,
            run_id=identity.run_id,
        ),
        place.entries(crawl),
        digest=place.digest,
        report=crawl,
    )
    logger.info("%s, %s: %s (%s)", source, partition_key, found, identity.worker)
    return asdict(found)


def _pause_channels(config: source_config.SourceConfig) -> None:
    """Pause the channels that brought too little up to now, so that nothing more of them is fetched."""
    if isinstance(config, source_config.Network):
        limit = config.channels
        paused = channels.pause_poor(
            config.source, after_videos=limit.after_videos, kept_share_below=limit.kept_share_below
        )
        for channel_id, reason in paused.items():
            logger.info("%s: channel %s is paused: %s", config.source, channel_id, reason)


def upload_window(partition_key: str, watermark: str | None, since: datetime.date | None) -> Window:
    """Return the upload days that a crawl day is about.

    A day that lies before the watermark is a backfill: exactly that day. Any other goes on from where the source was
    looked at last, so that no day falls between two crawls.
    """
    through = datetime.date.fromisoformat(partition_key)
    day = datetime.timedelta(days=1)
    if watermark is None:
        return Window(since - day if since else None, through)
    return Window(min(datetime.date.fromisoformat(watermark), through - day), through)


def settled(partition_key: str, now: datetime.datetime) -> str:
    """Return the last upload day that a pass can have seen whole.

    A day is over everywhere 36 hours after it began in UTC, because a site may date its items by a clock as late as
    UTC-12. What comes later on an open day is found by the next crawl.
    """
    return min(partition_key, (now - datetime.timedelta(hours=36)).date().isoformat())


def plan(
    stage: str,
    partition_key: str,
    identity: TaskIdentity,
    source: str | None = None,
    video_id: str | None = None,
) -> list[dict[str, str]]:
    """Pack what is due at a stage in a partition into shards.

    Returns:
        One ``{"shard_id": ..., "label": ...}`` a shard, at most 1,000: Airflow maps over them.
    """
    register()
    shards = planning.plan_shards(
        registry.spec(stage),
        registry.versions(),
        partition_key,
        shard_seconds=settings().shard_seconds,
        max_attempts=settings().max_attempts,
        source=source,
        video_id=video_id,
        dag_id=identity.dag_id,
        run_id=identity.run_id,
    )
    logger.info("%s, %s: %d shards due", stage, partition_key, len(shards))
    return [{"shard_id": shard.shard_id, "label": shard.label} for shard in shards]


def due_stages(stages: Sequence[str], partition_key: str) -> list[str]:
    """Return those of these stages that a crawl day may have work for; the others need not be planned."""
    register()
    specs = [registry.spec(stage) for stage in stages]
    return planning.due_stages(specs, registry.versions(), partition_key, max_attempts=settings().max_attempts)


class Turn(Enum):
    """What a run does about a crawl day."""

    ITS_OWN = "plan it"
    LATER = "ask again"
    NOT_NEEDED = "leave it to the run that waits already"


def take_turn(dag_id: str, partition_key: str, run_id: str, is_over: Callable[[str], bool]) -> Turn:
    """Let one run of a DAG at a time plan a crawl day: two of them would plan the same work.

    One more may wait, to find what the first one leaves. What a third would find, that one will.

    Args:
        dag_id: The DAG.
        partition_key: The crawl day.
        run_id: The run that asks.
        is_over: Tells whether another run of the DAG will plan nothing more.
    """
    seen = planning.turn(dag_id, partition_key, run_id)
    if seen.run_id == run_id:
        return Turn.ITS_OWN
    if is_over(seen.run_id):
        waits = None if seen.next_run_id == run_id else seen.next_run_id
        mine = planning.change_turn(dag_id, partition_key, seen, planning.Turn(run_id, waits))
        return Turn.ITS_OWN if mine else Turn.LATER
    if seen.next_run_id == run_id:
        return Turn.LATER
    if seen.next_run_id is not None and not is_over(seen.next_run_id):
        return Turn.NOT_NEEDED
    planning.change_turn(dag_id, partition_key, seen, planning.Turn(seen.run_id, run_id))
    return Turn.LATER


def due_partitions() -> list[str]:
    """Return the crawl days that still have work at this code's versions, oldest first."""
    register()
    return planning.due_partitions(settings().max_attempts)


def run_shard(shard_id: str, identity: TaskIdentity, credentials: Resolver = no_credentials) -> dict[str, int]:
    """Run one shard's stage over those of its subjects that have no final outcome yet.

    Returns:
        How many subjects were kept, rejected, failed and postponed. A failed subject does not fail the shard.

    Raises:
        PlanOutdatedError: the stage's version changed since the shard was planned.
        CatalogError: the catalog is gone; what was recorded stands, the rest is done by the next try.
        DeviceLost: the GPU or the model server is gone; likewise.
    """
    with connect() as link:
        shard = planning.get_shard(link, shard_id)
        link.rollback()
        if shard.stage_version != (current := registry.versions()[shard.stage]):
            raise PlanOutdatedError(
                f"shard {shard_id} was planned for {shard.stage} {shard.stage_version}, which is now {current}. "
                "Run the plan task again."
            )
        run = StageRun(new_run_id(), shard)
        recording.start_run(link, run, identity, code_revision())
        # Every log line says so, Airflow's own about a failure as well: what fails keeps them bound.
        spoken = {"shard_id": shard_id, "stage": shard.stage, "stage_run_id": run.stage_run_id}
        bind_contextvars(**spoken)
        try:
            counts = _run(link, run, credentials)
        except BaseException as error:
            # a new connection: the old one may be what broke
            with connect() as other:
                recording.end_run(other, run, f"{type(error).__name__}: {error}")
            raise
        recording.end_run(link, run)
        counting.fold(link)
    unbind_contextvars(*spoken)
    return {name: counts[name] for name in (*Outcome, _POSTPONED)}


def _run(link: Connection, run: StageRun, credentials: Resolver) -> Counter[str]:
    spec = registry.spec(run.shard.stage)
    work = list(planning.open_work(link, run.shard, spec, settings().max_attempts))
    link.rollback()
    counts: Counter[str] = Counter()
    if not work:
        return counts
    with tempfile.TemporaryDirectory(prefix="humannet-", dir=_scratch()) as scratch:
        context = Context(settings(), open_store(), registry.models(), Path(scratch), credentials)
        lacking = registry.lacking(spec.name)
        stage = _Lacking(spec.name, lacking) if lacking else registry.open_stage(spec.name, context)
        if spec.whole_partition:
            counts.update(_compare(link, run, stage, work))
        else:
            with _ahead(stage, work):
                for ended in _work_off(link, run, stage, work):
                    counts[ended] += 1
                    _empty(context.scratch)
    return counts


def _ahead(stage: Any, work: Sequence[Work]) -> AbstractContextManager[None]:
    """Let a stage begin on what it can do for many subjects side by side, before the turn of each."""
    begin = getattr(stage, "ahead", None)
    # A try that was counted and brought no outcome may have ended the process: then one clip at a time, so that the
    # next end is counted for the clip that it was.
    if getattr(stage, "ahead_may_crash", False) and any(item.attempts for item in work):
        begin = None
    ahead: AbstractContextManager[None] = begin([item.subject for item in work]) if begin else nullcontext()
    return ahead


class _Lacking:
    """Stands for a stage that has not the models it needs: nothing is made up in their place."""

    def __init__(self, stage: str, roles: Sequence[str]) -> None:
        self._message = (
            f"{stage} needs a model for {' and '.join(roles)}, and none is installed: name one in "
            "HUMANNET_MODELS_FILE, then `humannet models install`."
        )

    def process(self, _subject: VideoSubject | ClipSubject) -> Result:
        return skipped(Reason.NO_MODEL, self._message)


def _work_off(link: Connection, run: StageRun, stage: Any, work: Sequence[Work]) -> Iterator[str]:
    """Work on each subject in turn; come back to those that had to wait a little when the others are done."""
    patience = datetime.timedelta(seconds=settings().patience_s)
    now = functools.partial(datetime.datetime.now, datetime.UTC)
    queue: list[tuple[datetime.datetime, int]] = [(now(), place) for place in range(len(work))]
    book = _Book(link, run)
    try:
        while queue:
            when, place = heapq.heappop(queue)
            if (wait_s := (when - now()).total_seconds()) > 0:
                book.write()
                time.sleep(wait_s)
            with _spoken_of(work[place]):
                ended = _process(link, run, stage, work[place], book)
            if ended is None:
                continue
            if isinstance(ended, Outcome):
                yield ended
            elif ended.until - now() < patience:
                heapq.heappush(queue, (ended.until, place))
            else:
                yield _POSTPONED
    except (DeviceLost, StoreError):
        # what was done before it stands
        book.write()
        raise
    book.write()


def _spoken_of(item: Work) -> AbstractContextManager[Any]:
    """Name the subject in every log line until it is done."""
    subject = item.subject
    video_id = subject.video_id if isinstance(subject, VideoSubject) else subject.video.video_id
    return bound_contextvars(subject_id=subject.subject_id, video_id=video_id)


def _scratch() -> Path:
    folder = settings().home / "scratch"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _empty(scratch: Path) -> None:
    for path in scratch.iterdir():
        path.unlink()


def _compare(link: Connection, run: StageRun, stage: Any, work: Iterable[Work]) -> Iterator[Outcome]:
    """Judge all subjects together, in one transaction: either all of it is seen or nothing."""
    with transaction(link):
        clock, endings = _Clock(), list[Ending]()
        for subject, result in stage.compare([item.subject for item in work], link, run):
            endings.append(clock.ending(subject, result))
            if len(endings) == _MOST_WAITING:
                recording.record(link, run, endings)
                endings = []
            clock = _Clock()
            yield result.outcome
        recording.record(link, run, endings)


class _Book:
    """Outcomes that wait to be written together: a transaction for each would cost more than many a stage's work.

    Nothing waits for longer than the next subject takes, and a second. What a killed worker had not written is done
    again; a subject that was begun before is written at once, so that one which kills its worker is found out alone.
    """

    def __init__(self, link: Connection, run: StageRun) -> None:
        self._link, self._run = link, run
        self._endings: list[Ending] = []
        self._since = 0.0

    def add(self, ending: Ending, *, at_once: bool) -> None:
        """Keep an outcome, and write all when it is time."""
        if not self._endings:
            self._since = time.monotonic()
        self._endings.append(ending)
        if at_once or len(self._endings) >= _MOST_WAITING or time.monotonic() - self._since >= _LONGEST_WAIT_S:
            self.write()

    def write(self) -> None:
        """Write what waits."""
        if self._endings:
            with transaction(self._link):
                recording.record(self._link, self._run, self._endings)
            self._endings = []


def _process(link: Connection, run: StageRun, stage: Any, item: Work, book: _Book) -> Outcome | Postponed | None:
    clock = _Clock()
    subject_id = item.subject.subject_id
    if item.attempts >= settings().max_attempts:
        message = (
            f"the worker died in {run.shard.stage} on each of {item.attempts} tries. Read its log; `humannet retry`."
        )
        result = failed(Reason.CRASHED, message)
    else:
        if recording.begin_attempt(link, run, subject_id) is None:
            logger.info("%s %s: taken down since it was planned", run.shard.stage, subject_id)
            return None
        try:
            result = _guarded(stage, item.subject)
        except Postponed as wait:
            logger.info("%s %s: waits until %s: %s", run.shard.stage, subject_id, wait.until, wait)
            fetching.postpone(link, run, subject_id, wait)
            return wait
        except (DeviceLost, StoreError, *CATALOG_ERRORS) as lost:
            # It is not the subject that is at fault: the task fails, Airflow repeats it, and no attempt is used up.
            logger.warning("%s %s: begun and given back: %s", run.shard.stage, subject_id, lost)
            if not (isinstance(lost, DeviceLost) and lost.counts):
                recording.give_back_attempt(link, run, subject_id)
            raise
    logger.info("%s %s: %s %s", run.shard.stage, subject_id, result.outcome, result.reason or "")
    book.add(clock.ending(item.subject, result), at_once=item.attempts > 0)
    return result.outcome


def _guarded(stage: Any, subject: VideoSubject | ClipSubject) -> Result:
    """Turn what goes wrong with one subject into its outcome.

    Raises:
        Postponed: it must wait.
        DeviceLost: nothing can be worked on here.
        StoreError: the object store does not answer, or refuses us.
        CatalogError: the catalog does not; or what its driver raises.
    """
    try:
        result: Result = stage.process(subject)
    except SubjectError as error:
        if error.reason.outcome is Outcome.REJECTED:
            return rejected(error.reason, detail={"message": str(error)})
        if error.reason.outcome is Outcome.SKIPPED:
            return skipped(error.reason, str(error))
        return failed(error.reason, str(error))
    except ObjectMissing as error:
        return failed(Reason.OBJECT_MISSING, str(error))
    except (Postponed, DeviceLost, StoreError, *CATALOG_ERRORS):
        raise
    except OSError as error:
        reason = Reason.DISK_FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else Reason.ERROR
        logger.exception("%s", subject.subject_id)
        return failed(reason, f"{type(error).__name__}: {error}")
    except Exception as error:
        logger.exception("%s", subject.subject_id)
        return failed(Reason.ERROR, f"{type(error).__name__}: {error}")
    return result


class _Clock:
    def __init__(self) -> None:
        self.started_at, self._start = datetime.datetime.now(datetime.UTC), time.monotonic()

    def ending(self, subject: VideoSubject | ClipSubject, result: Result) -> Ending:
        video_id = subject.video_id if isinstance(subject, VideoSubject) else subject.video.video_id
        return Ending(subject.subject_id, video_id, result, self.started_at, time.monotonic() - self._start)


@cache
def code_revision() -> str:
    """Return this checkout's git revision, ``+dirty`` where files differ from it; without git the package's version."""
    from humannet_ops import __version__

    try:
        described = subprocess.run(
            ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty=+dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return __version__
    return described.stdout.strip()
