"""What is asked of the catalog, how often, and which metrics its answers become.

All of them are gauges. What is done in the last hour or day is counted anew each time, so that nothing is lost when the
exporter restarts and nothing is counted twice; what the corpus holds may shrink, because a takedown takes from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from humannet_ops.catalog.measuring import measured
from humannet_ops.metrics import machine
from humannet_ops.settings import settings

# The longest that a task may hold a shard: Airflow ends it then (orchestration.factories.SHARD_TIMEOUT).
LONGEST_RUN_S = 12 * 3600.0
# Seconds between two times, and what Postgres may take. Ten minutes are the role reader's own limit as well.
_PACES = {"quick": (15.0, 3.0), "thorough": (60.0, 600.0)}
_DUE_DAYS = 30
_GPU = ("gpu", "device")
_WINDOWS = {"1h": 3600.0, "24h": 86400.0}


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric of an answer: the column with its value, and its labels. A row without it gives none."""

    metric: str
    help: str
    column: str
    labels: tuple[str, ...] = ()
    fixed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """Something that is asked again and again.

    Attributes:
        name: What it is called in the exporter's own metrics.
        lane: Questions of one lane are asked in turn; lanes do not wait for each other.
        ask: Gives the rows; what it raises makes its metrics missing.
        measures: What becomes of the rows.
        every_s: Seconds between two times at least.
        timeout_s: Seconds that an answer may take.
    """

    name: str
    lane: Literal["quick", "thorough", "machine"]
    ask: Callable[[], list[dict[str, Any]]]
    measures: tuple[Measure, ...]
    every_s: float
    timeout_s: float


def _asked(lane: Literal["quick", "thorough"], name: str, *measures: Measure, **parameters: Any) -> Question:
    """Make a question of the query ``metrics_<name>``."""
    every_s, timeout_s = _PACES[lane]
    ask = partial(measured, f"metrics_{name}", timeout_s=timeout_s, **parameters)
    return Question(name, lane, ask, measures, every_s, timeout_s)


def _windowed(window: str, lane: Literal["quick", "thorough"]) -> tuple[Question, ...]:
    """Return what is asked about the last hour and the last day alike."""
    fixed, seconds = {"window": window}, _WINDOWS[window]
    ended = partial(Measure, labels=("stage", "outcome", "reason"), fixed=fixed)
    held = partial(Measure, labels=("stage", "queue", "status"), fixed=fixed)
    made = (
        _asked(
            lane,
            "outcomes",
            ended("humannet_recent_outcomes", "Outcomes recorded in the window (no reason: kept).", "subjects"),
            ended("humannet_recent_stage_seconds", "Seconds of work behind these outcomes.", "work_s"),
            ended("humannet_recent_stage_hours", "Hours of video that these outcomes are about.", "hours"),
            window_s=seconds,
        ),
        _asked(
            lane,
            "hours",
            Measure(
                "humannet_recent_hours",
                "Hours of video that came in (were fetched), or were kept by the last stage, in the window.",
                "hours",
                ("source", "state"),
                fixed,
            ),
            window_s=seconds,
        ),
        _asked(
            lane,
            "worker_time",
            held(
                "humannet_recent_worker_seconds", "Seconds that slots of workers held shards in the window.", "slot_s"
            ),
            held("humannet_recent_stage_runs", "Stage runs that were under way in the window.", "runs"),
            held("humannet_recent_cost", "What these seconds cost, at HUMANNET_WORKER_PRICES.", "cost"),
            window_s=seconds,
            longest_s=LONGEST_RUN_S,
        ),
    )
    return tuple(
        replace(q, name=f"{q.name}_{window}", ask=partial(_priced, q.ask) if q.name == "worker_time" else q.ask)
        for q in made
    )


def _priced(ask: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Add the cost to rows of worker time, where their queue has a price."""
    prices, rows = settings().worker_prices, ask()
    for row in rows:
        if price := prices.get(row["queue"]):
            row["cost"] = row["slot_s"] / 3600 * price
    return rows


def questions() -> tuple[Question, ...]:
    """Return every question."""
    by_queue = ("stage", "queue")
    return (
        _asked(
            "quick",
            "running",
            Measure("humannet_running_stage_runs", "Stage runs under way.", "running", by_queue),
            Measure("humannet_stale_stage_runs", "Stage runs that say they run, and cannot.", "stale", by_queue),
            Measure("humannet_oldest_stage_run_seconds", "Age of the oldest run under way.", "oldest_s", by_queue),
            longest_s=LONGEST_RUN_S,
        ),
        _asked(
            "quick",
            "waiting",
            Measure("humannet_waiting_shards", "Shards planned and begun by no worker.", "shards", by_queue),
            Measure("humannet_oldest_waiting_shard_seconds", "Age of the oldest of them.", "oldest_s", by_queue),
        ),
        _asked(
            "quick",
            "takedowns",
            Measure("humannet_open_takedowns", "Takedowns that are not done yet.", "takedowns"),
            Measure("humannet_takedown_objects", "Objects to be removed.", "queued", fixed={"state": "queued"}),
            Measure("humannet_takedown_objects", "Objects to be removed.", "refused", fixed={"state": "refused"}),
            Measure("humannet_oldest_takedown_object_seconds", "Age of the oldest object to be removed.", "oldest_s"),
        ),
        _asked(
            "quick",
            "task_failures",
            Measure(
                "humannet_recent_task_failures",
                "Tries of Airflow tasks that failed in the last hour; task_id deadline: runs that are too late.",
                "failures",
                ("dag_id", "task_id"),
            ),
            window_s=_WINDOWS["1h"],
        ),
        *_windowed("1h", "quick"),
        _asked(
            "thorough",
            "due",
            Measure(
                "humannet_due_subjects", f"Due, of what {_DUE_DAYS} days' crawls were about.", "subjects", by_queue
            ),
            Measure("humannet_oldest_due_subject_seconds", "For how long the oldest waits.", "oldest_s", by_queue),
            days=_DUE_DAYS,
            max_attempts=settings().max_attempts,
        ),
        _asked(
            "thorough",
            "postponed",
            Measure("humannet_postponed_subjects", "Due, but must wait.", "subjects", ("stage", "cause")),
        ),
        _asked(
            "thorough",
            "funnel",
            Measure(
                "humannet_outcomes",
                "Outcomes of the whole corpus, at the stage versions that count now.",
                "subjects",
                ("stage", "outcome", "reason"),
            ),
        ),
        _asked(
            "thorough",
            "corpus",
            Measure("humannet_videos", "Videos known.", "videos", ("source",)),
            Measure("humannet_hours", "Hours of video, all and kept.", "hours_in", ("source",), {"state": "in"}),
            Measure("humannet_hours", "Hours of video, all and kept.", "hours_kept", ("source",), {"state": "kept"}),
        ),
        *_windowed("24h", "thorough"),
        Question(
            "store",
            "machine",
            machine.store,
            (Measure("humannet_store_up", "Whether the object store answers.", "up"),),
            every_s=15.0,
            timeout_s=60.0,
        ),
        Question(
            "disks",
            "machine",
            machine.disks,
            (
                Measure("humannet_disk_free_bytes", "Bytes free on a disk that is written to.", "free", ("disk",)),
                Measure("humannet_disk_size_bytes", "Bytes of that disk.", "size", ("disk",)),
            ),
            every_s=15.0,
            timeout_s=15.0,
        ),
        Question(
            "gpus",
            "machine",
            machine.gpus,
            (
                Measure("humannet_gpu_busy_ratio", "Share of the last moment in which kernels ran.", "busy", _GPU),
                Measure("humannet_gpu_memory_used_bytes", "Bytes of GPU memory in use.", "used", _GPU),
                Measure("humannet_gpu_memory_size_bytes", "Bytes of GPU memory.", "size", _GPU),
            ),
            every_s=5.0,
            timeout_s=15.0,
        ),
    )
