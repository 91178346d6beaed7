"""DAGs made from declarations: one for a source, one for a leg of the way, one that revisits partitions."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import (  # type: ignore[attr-defined]  # its stub has no deadlines
    DAG,
    Asset,
    CronPartitionTimetable,
    CronTriggerTimetable,
    DeadlineAlert,
    DeadlineReference,
    PartitionedAssetTimetable,
    SyncCallback,
    TriggerRule,
    WeightRule,
    task,
)

from humannet_ops.orchestration import tasks
from humannet_ops.orchestration.legs import (
    FETCHED,
    LEGS,
    PLANNING_WEIGHT,
    REMOVAL,
    REVISIT,
    REVISIT_WEIGHT,
    STATISTICS,
    crawl_dag_id,
)
from humannet_ops.settings import settings
from humannet_ops.sources.config import SourceConfig
from humannet_ops.stages import registry

KEY_FORMAT = "%Y-%m-%d"
# What a shard may take at most; single subjects have their own, shorter limit (HUMANNET_SUBJECT_TIMEOUT_S).
SHARD_TIMEOUT = timedelta(hours=12)
PLAN_TIMEOUT = timedelta(minutes=30)

DEFAULTS: dict[str, Any] = {
    "owner": "humannet",
    "retries": 3,
    "retry_delay": timedelta(seconds=10),
    "retry_exponential_backoff": 2,
    "max_retry_delay": timedelta(minutes=10),
    "execution_timeout": PLAN_TIMEOUT,
    "weight_rule": WeightRule.ABSOLUTE,
    "on_failure_callback": tasks.record_failure,
    "on_retry_callback": tasks.record_failure,
}


def asset(uri: str) -> Asset:
    """Return the asset of an address; its name is what comes after ``humannet://``."""
    return Asset(name=uri.split("://")[1], uri=uri)


def _deadline(hours: float) -> DeadlineAlert:
    """Return when a run is too late, counted from when it was queued. The run goes on; somebody is told.

    Asset-triggered runs have no logical date, so the queue's clock is the one that all runs have. The callback runs on
    a worker of the queue ``default``; Airflow counts the miss (``deadline_alerts.deadline_missed``) without one.
    """
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(hours=hours),
        callback=SyncCallback(tasks.record_late_run, {"hours": hours}),
        name=f"{hours:g} h after it was queued",
    )


def crawl_dag(source: SourceConfig) -> DAG:
    """Make the DAG that crawls one source: discover, then fetch what is due, then announce the crawl day."""
    with DAG(
        crawl_dag_id(source.source),
        description=source.description,
        doc_md=_crawl_doc(source),
        schedule=CronPartitionTimetable(
            source.schedule,
            timezone="UTC",
            key_format=KEY_FORMAT,
            # A crawl that is unpaused begins with the next tick. (False, the default, means "unless the last one was
            # less than a tenth of the interval ago".)
            run_immediately=timedelta(0),
        ),
        catchup=False,
        # One crawl of a source at a time: a second would find the same files.
        max_active_runs=1,
        deadline=_deadline(settings().crawl_deadline_h),
        default_args={**DEFAULTS, "owner": source.owner},
        tags=["humannet", "crawl", f"source:{source.source}", f"kind:{source.kind}"],
    ) as dag:
        found = task(task_id="discover", queue="crawl", pool="crawl")(tasks.discover)(source.source)
        fetched = _stage("fetch", after=[found], source=source.source)
        _verdict([found, fetched, _announce([fetched], FETCHED)])
    return dag


def broken_dag(name: str, error: Exception) -> DAG:
    """Make the DAG that stands for a source file that cannot be used: it says why, and fails with it if run."""
    faults = "\n".join(f"- {line}" for line in str(error).splitlines())
    with DAG(
        crawl_dag_id(re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)),
        description=f"Cannot be used: {error}"[:500],
        # a fault a line, as `humannet source check` prints them
        doc_md=f"`dags/sources/{name}.yaml` cannot be used:\n\n{faults}\n\nCorrect the file; the DAG follows.",
        schedule=None,
        catchup=False,
        default_args={**DEFAULTS, "retries": 0},
        tags=["humannet", "crawl", "broken"],
    ) as dag:
        task(task_id="discover")(tasks.refuse)(str(error))
    return dag


def leg_dag(dag_id: str, doc: str | None) -> DAG:
    """Make the DAG of a leg, started by the asset it follows and for the same crawl day.

    Args:
        dag_id: As in ``LEGS``.
        doc: The DAG file's docstring; its first line is the description.
    """
    leg = next(leg for leg in LEGS if leg.dag_id == dag_id)
    with DAG(
        dag_id,
        description=_first_line(doc),
        doc_md=doc,
        schedule=PartitionedAssetTimetable(assets=asset(leg.follows)),
        catchup=False,
        # Of a crawl day one run plans and at most one waits for it (`find_due`): two places a day.
        max_active_runs=2 * settings().days_at_once,
        deadline=_deadline(settings().leg_deadline_h),
        # Airflow keeps no asset event for a paused DAG: a leg must be open before the first crawl ends.
        is_paused_upon_creation=False,
        default_args=DEFAULTS,
        tags=["humannet", "way", *leg.stages],
    ) as dag:
        # A task costs seconds whatever it finds. What a crawl day has no work for (all of it where nothing was kept,
        # most where one stage of many was raised) is not even planned. If this one fails, everything is.
        due = task.branch(
            task_id="find_due",
            priority_weight=PLANNING_WEIGHT,
            doc_md="Finds the stages that this crawl day may have work for; the others are skipped.",
        )(tasks.find_due_stages)(list(leg.stages))
        steps: dict[str, Any] = {}
        for stage in leg.stages:
            before = [due, *(steps[need] for need in registry.spec(stage).needs if need in steps)]
            steps[stage] = _stage(stage, after=before, weight=leg.weight)
        _verdict([*steps.values(), _announce(list(steps.values()), leg.announces)])
    return dag


def revisit_dag(doc: str | None) -> DAG:
    """Make the DAG that announces every crawl day with work left, so that the legs follow."""
    with DAG(
        REVISIT,
        description=_first_line(doc),
        doc_md=doc,
        schedule=CronTriggerTimetable("30 * * * *", timezone="UTC"),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args=DEFAULTS,
        tags=["humannet", "way"],
    ) as dag:
        due = task(task_id="find_due")(tasks.find_due)()
        fetched = _stage("fetch", after=[], weight=REVISIT_WEIGHT, partitions=due)
        reached = asset(FETCHED)
        told = task(task_id="announce", trigger_rule=TriggerRule.ALL_DONE, outlets=[reached])(tasks.announce_all)(
            reached, due
        )
        fetched >> told
        _verdict([due, fetched, told])
    return dag


def removal_dag(doc: str | None) -> DAG:
    """Make the DAG that removes what was taken down."""
    with DAG(
        REMOVAL,
        description=_first_line(doc),
        doc_md=doc,
        schedule=CronTriggerTimetable("*/10 * * * *", timezone="UTC"),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args=DEFAULTS,
        tags=["humannet", "takedown"],
    ) as dag:
        task(task_id="remove")(tasks.remove_objects)()
    return dag


def statistics_dag(doc: str | None) -> DAG:
    """Make the DAG that counts the corpus after each crawl day that was annotated."""
    with DAG(
        STATISTICS,
        description=_first_line(doc),
        doc_md=doc,
        schedule=PartitionedAssetTimetable(assets=asset(LEGS[-1].announces)),
        catchup=False,
        max_active_runs=1,
        deadline=_deadline(settings().leg_deadline_h),
        is_paused_upon_creation=False,
        default_args=DEFAULTS,
        tags=["humannet", "statistics"],
    ) as dag:
        # it asks the catalog alone, and may only then write what came out: as the workers' role
        task(task_id="count", queue="cpu", pool="cpu", execution_timeout=SHARD_TIMEOUT)(tasks.compile_statistics)()
    return dag


def _stage(stage: str, *, after: list[Any], weight: int = 1, **options: Any) -> Any:
    """Add a stage: a task that plans its shards and one task a shard, of a weight. Returns the shards' tasks.

    The plan runs whatever became of earlier shards: what is due is asked of the catalog, so a shard that failed holds
    up its own subjects and nobody else's. No shards at all means that the mapped task is skipped.
    """
    queue = registry.spec(stage).queue
    planned = task(
        task_id=tasks.plan_task_id(stage),
        trigger_rule=TriggerRule.ALL_DONE,
        priority_weight=PLANNING_WEIGHT,
        doc_md=f"Finds what is due at `{stage}` in this crawl day and packs it into shards.",
    )(tasks.plan)(stage, **options)
    if after:
        after >> planned
    return task(
        task_id=stage,
        queue=queue,
        pool=queue if queue != "default" else "default_pool",
        priority_weight=weight,
        execution_timeout=SHARD_TIMEOUT,
        map_index_template="{{ task.op_kwargs['shard']['label'] }}",
        doc_md=f"`{stage}`, one task instance a shard; its name is the shard's first video and how many follow.",
    )(tasks.run_shard).expand(shard=planned)


def _announce(last: list[Any], uri: str) -> Any:
    """Add the task that announces the crawl day to whoever follows; it runs whatever became of single shards."""
    reached = asset(uri)
    told = task(
        task_id="announce",
        trigger_rule=TriggerRule.ALL_DONE,
        outlets=[reached],
        doc_md=f"Announces `{uri}` for this crawl day, also when single shards failed: the rest goes on.",
    )(tasks.announce)(reached)
    last >> told
    return told


def _verdict(judged: list[Any]) -> None:
    """Add the last task, which the run's state follows: Airflow looks at the leaves of a DAG alone."""
    verdict = EmptyOperator(
        task_id="verdict",
        trigger_rule=TriggerRule.NONE_FAILED,
        doc_md="Fails the run if any task before failed, after everything else went on.",
    )
    judged >> verdict


def _first_line(doc: str | None) -> str | None:
    return doc.strip().splitlines()[0] if doc else None


def _crawl_doc(source: SourceConfig) -> str:
    return f"""Crawl **{source.source}**: {source.description}

- kind: `{source.kind}`
- licence: {source.license or "as published"}
- declared in `dags/sources/{source.source}.yaml`
- what it brought, its crawls and its rows: [/humannet/sources/{source.source}](/humannet/sources/{source.source})

Each run is about one crawl day (its partition key): it looks for what is new or changed since the last crawl, fetches
it into the store with checksum and provenance, and announces the day, which `analyse_videos` follows. What is known is
not fetched again. A backfill over dates looks at exactly those days again and fetches what is still due for them.
"""
