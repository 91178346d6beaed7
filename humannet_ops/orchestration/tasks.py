"""What Airflow tasks do: find their partition, say who they are, call ``stages.execution``. No SQL, no media, no logic.

The stages are imported when a task runs: a DAG file is parsed again and again and must stay cheap.
"""

from __future__ import annotations

import datetime
import logging
import os
import socket
from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, Connection, Context, get_current_context
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowNotFoundException,
    AirflowRescheduleException,
    AirflowRuntimeError,
    AirflowSkipException,
)
from airflow.sdk.log import mask_secret

from humannet_ops.orchestration.legs import LEGS

if TYPE_CHECKING:
    from humannet_ops.sources.protocol import Credentials
    from humannet_ops.stages.execution import TaskIdentity

Shard = dict[str, str]
_LEGS = {leg.dag_id for leg in LEGS}
# Airflow fails a task that hands over more than 1,024 items; what is cut off here is still due, and planned next time.
MOST_SHARDS = 1000
# Less than a store answers within the task's timeout; the next run goes on.
MOST_OBJECTS = 100_000
# After how long a run asks again whether another is through with its crawl day: at first, and at most. Each look is a
# task, so between them it is a tenth of the time that was waited.
LOOK, LONGEST_LOOK = datetime.timedelta(seconds=10), datetime.timedelta(minutes=5)
# What a missed deadline is called where failed tasks are listed; the alert StuckPartition looks for it.
LATE = "deadline"
logger = logging.getLogger(__name__)


def identity(context: Context) -> TaskIdentity:
    """Return who works, for the lineage."""
    from humannet_ops.stages.execution import TaskIdentity

    task = context["ti"]
    return TaskIdentity(
        dag_id=task.dag_id,
        run_id=task.run_id,
        task_id=task.task_id,
        map_index=task.map_index if task.map_index is not None else -1,
        try_number=task.try_number,
        worker=f"{socket.gethostname()}:{os.getpid()}",
        queue=context["task"].queue,
    )


def partition_of(context: Context) -> str:
    """Return the crawl day that this run is about.

    A crawl that somebody started without one (``airflow dags trigger`` cannot name it) crawls for the day it runs on.

    Raises:
        AirflowFailException: a run that follows others was started without a partition key.
    """
    run = context["dag_run"]
    if run.partition_key:
        return str(run.partition_key)
    if run.dag_id.startswith("crawl_"):
        return str(run.run_after.strftime("%Y-%m-%d"))
    raise AirflowFailException(
        f"{run.dag_id} works on one crawl day and this run names none: trigger it again with a partition key "
        "like 2026-01-31, or trigger the crawl."
    )


def credentials(connection: str) -> Credentials:
    """Return what an Airflow connection holds for a source; Airflow masks it in task logs.

    The login and the password are the connection's own; its extra may have ``cookies`` (the text of a Netscape cookies
    file) and ``proxy`` (a URL).

    Raises:
        AirflowFailException: there is no such connection.
    """
    from humannet_ops.sources.protocol import Credentials

    try:
        found = Connection.get(connection)
    except AirflowNotFoundException as error:
        raise AirflowFailException(
            f"the source names the Airflow connection {connection!r}, which does not exist: "
            f"`airflow connections add {connection} --conn-type generic ...`, or Admin > Connections in the UI"
        ) from error
    extra = found.extra_dejson
    for secret in (extra.get("cookies"), extra.get("proxy")):
        if secret:
            mask_secret(secret)
    return Credentials(extra.get("cookies"), extra.get("proxy"), found.login, found.password)


def discover(source: str) -> dict[str, int]:
    """Look through a source for what is new or changed; come back later where its host or its hours ask for that."""
    from humannet_ops.domain.outcome import Postponed
    from humannet_ops.stages import execution

    context = get_current_context()
    try:
        return execution.discover(source, partition_of(context), identity(context), credentials)
    except Postponed as wait:
        # no failure and no try: the task gives its slot back and is run again then
        logger.info("%s waits until %s: %s", source, wait.until, wait)
        raise AirflowRescheduleException(wait.until) from wait


def refuse(reason: str) -> None:
    """Fail, because this source's file cannot be used."""
    raise AirflowFailException(reason)


def find_due_stages(stages: list[str]) -> list[str]:
    """Return the tasks that plan what the run's crawl day may have work for; Airflow skips the others."""
    from humannet_ops.stages import execution

    context = get_current_context()
    due = execution.due_stages(stages, partition_of(context)) if _await_turn(context) else []
    logger.info("stages with work: %s", ", ".join(due) or "none")
    return [plan_task_id(stage) for stage in due]


def _await_turn(context: Context) -> bool:
    """Say whether a run of a leg may plan its crawl day; come back later while another run of that day does.

    Several crawl days are worked on at once, but each by one run of a DAG.

    Returns:
        False where a run waits for that already: it will find what this one would.
    """
    from humannet_ops.stages import execution

    task, run = context["ti"], context["dag_run"]
    day = partition_of(context)
    turn = execution.take_turn(task.dag_id, day, task.run_id, lambda run_id: _is_over(task, run_id))
    if turn is execution.Turn.LATER:
        now = datetime.datetime.now(datetime.UTC)
        later = now + min(LONGEST_LOOK, LOOK + (now - (run.start_date or now)) / 10)
        logger.info("another run works on %s: this one looks again at %s", day, later)
        raise AirflowRescheduleException(later)
    if turn is execution.Turn.NOT_NEEDED:
        logger.info("one run works on %s and another waits for it: this one is not needed", day)
    return turn is execution.Turn.ITS_OWN


def _is_over(task: Any, run_id: str) -> bool:
    """Say whether another run of a task's DAG has ended, was deleted, or waits to run again.

    One that was cleared may wait for a place among the active runs, which those that wait for it hold. What plans in it
    asks for its turn again.
    """
    try:
        state = task.get_dagrun_state(task.dag_id, run_id)
    except AirflowRuntimeError as error:
        if (error.error.detail or {}).get("status_code") == HTTPStatus.NOT_FOUND:
            return True
        raise
    return bool(state != "running")


def plan_task_id(stage: str) -> str:
    """Return the task that plans a stage."""
    return f"plan_{stage}"


def plan(stage: str, source: str | None = None, partitions: list[str] | None = None) -> list[Shard]:
    """Pack what is due at a stage into shards. Only their ids and labels pass through Airflow.

    Args:
        stage: The stage.
        source: Only this source's videos.
        partitions: These crawl days; by default the run's own.
    """
    from humannet_ops.stages import execution

    context = get_current_context()
    # also where find_due failed, or a person marked or cleared tasks
    if context["ti"].dag_id in _LEGS and not _await_turn(context):
        return []
    days = [partition_of(context)] if partitions is None else partitions
    shards = [shard for day in days for shard in execution.plan(stage, day, identity(context), source=source)]
    return shards[:MOST_SHARDS]


def run_shard(shard: Shard) -> dict[str, int]:
    """Run a stage over one shard."""
    from humannet_ops.stages import execution

    context = get_current_context()
    return execution.run_shard(shard["shard_id"], identity(context), credentials)


def announce(asset: Asset) -> None:
    """Tell who follows that this partition came so far, whatever became of single shards."""
    context = get_current_context()
    context["outlet_events"][asset].add_partitions(partition_of(context))


def find_due() -> list[str]:
    """Return the crawl days that still have work, or those that the run's ``{"partitions": [...]}`` names."""
    from humannet_ops.stages import execution

    named = (get_current_context()["dag_run"].conf or {}).get("partitions")
    due = list(named) if named is not None else execution.due_partitions()
    logger.info("crawl days with work: %s", ", ".join(due) or "none")
    return due


def announce_all(asset: Asset, partitions: list[str]) -> None:
    """Tell who follows about several crawl days at once."""
    if partitions:
        get_current_context()["outlet_events"][asset].add_partitions(partitions)


def remove_objects() -> dict[str, int]:
    """Clear what was taken down and remove its objects. What the store refuses stays in the queue, with its error."""
    from humannet_ops.stages import removal

    done = removal.remove_objects(limit=MOST_OBJECTS)
    logger.info("%s", done)
    return asdict(done)


def compile_statistics() -> dict[str, float]:
    """Count the whole corpus and keep the numbers, unless that was done since this crawl day's work ended."""
    from humannet_ops.catalog import statistics
    from humannet_ops.stages import execution

    context = get_current_context()
    partition = context["dag_run"].partition_key
    if partition and statistics.counts_already(partition):
        raise AirflowSkipException(f"what was done about {partition} is counted already")
    found = statistics.count()
    statistics.save(found, identity(context), execution.code_revision(), partition)
    logger.info("%s", found.totals)
    return {"clips": found.totals.clips, "hours": found.totals.hours}


def record_failure(context: Any) -> None:
    """Record in the catalog that a task's try failed. Airflow calls it; it must not make matters worse."""
    from humannet_ops.stages import execution

    error = context.get("exception") or context.get("reason") or "the task's process ended without a word"
    try:
        execution.record_task_failure(identity(context), f"{type(error).__name__}: {error}")
    except Exception:
        logger.exception("the failure could not be recorded in the catalog")


def record_late_run(hours: float, context: Any) -> None:
    """Record in the log and the catalog that a run has missed its deadline. Airflow calls it on a worker, once a run.

    Args:
        hours: The deadline, counted from when the run was queued.
        context: The run as Airflow's API gives it, not a task's context.
    """
    from humannet_ops.stages import execution
    from humannet_ops.stages.execution import TaskIdentity

    run = context["dag_run"]
    said = f"crawl day {run.get('partition_key') or 'unknown'} is {run['state']} {hours:g} h after it was queued"
    logger.error("%s %s is too late: %s", run["dag_id"], run["dag_run_id"], said)
    who = TaskIdentity(
        worker=f"{socket.gethostname()}:{os.getpid()}",
        dag_id=run["dag_id"],
        run_id=run["dag_run_id"],
        task_id=LATE,
        map_index=-1,
        try_number=0,
    )
    execution.record_task_failure(who, f"LateRun: {said}. The run goes on; infra/runbooks/alerts.md#stuckpartition")
