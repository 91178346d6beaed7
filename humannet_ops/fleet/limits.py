"""What a fleet runs into, and what it costs: one table of limits with their sources, and a file of prices."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from humannet_ops.settings import REPOSITORY

PRICES = REPOSITORY / "infra" / "prices.toml"


@dataclass(frozen=True, slots=True)
class Limit:
    """One number that the arithmetic keeps to; a file's ``[limits]`` or ``--limit`` states another.

    Attributes:
        name: As it is overridden.
        value: In ``unit``.
        unit: Of the value.
        source: Who measured or documented it.
    """

    name: str
    value: float
    unit: str
    source: str


LIMITS = {
    limit.name: limit
    for limit in (
        Limit(
            "scheduler_tasks_per_s", 5.0, "task instances/s",
            "measured: Airflow 3.3.2, one scheduler, LocalExecutor with parallelism 4, 200 mapped no-ops on two shared "
            "cores; 1,000 of them 3.9/s",
        ),
        Limit(
            "task_start_s", 0.6, "s of a slot",
            "0.4 s are Airflow's, measured there; 0.2 s of CPU are ours (tests/benchmarks/task_start.py)",
        ),
        Limit(
            "catalog_outcomes_per_s", 5000.0, "outcomes/s",
            "measured: 5,570 by four writers, on two cores with the catalog of ten million clips "
            "(tests/benchmarks/catalog_scale.py)",
        ),
        Limit(
            "store_puts_per_s", 3500.0, "PUT/s a prefix",
            "Amazon S3, https://repost.aws/knowledge-center/s3-object-key-naming-pattern",
        ),
        Limit("store_gets_per_s", 5500.0, "GET and HEAD/s a prefix", "as above"),
        Limit(
            "store_prefixes", 1.0, "prefixes",
            "the worst case: S3 has not split the bucket yet. Keys begin with a kind and two hex digits of the "
            "content's sha256 (humannet_ops/storage.py), so it may split each kind into 256 even parts",
        ),
        Limit("shards_per_plan", 999.0, "shards", "sql/queries/planning.sql; Airflow maps 1,024 at most"),
        Limit("shard_seconds", 1800.0, "s of video", "HUMANNET_SHARD_SECONDS (humannet_ops/settings.py)"),
        Limit("shard_timeout_s", 43200.0, "s", "SHARD_TIMEOUT (humannet_ops/orchestration/factories.py)"),
        Limit("days_at_once", 4.0, "crawl days", "HUMANNET_DAYS_AT_ONCE (humannet_ops/settings.py)"),
        Limit(
            "utilisation", 0.85, "share",
            "an assumption: what slots can be kept busy with retries, restarts and tails",
        ),
        Limit(
            "gpu_speedup", 10.0, "times",
            "an ASSUMPTION, measured on no GPU: how much faster a GPU slot does what a CPU slot of two threads was "
            "measured with. tests/benchmarks/gpu_detect.py measures it (infra/gpu.md)",
        ),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker of a kind, as it is rented.

    Attributes:
        slots: Tasks that it has at once.
        vcpus: That it has, of which the price is ``vcpu_hour``.
        gpus: That it has; a GPU's price has its own machine in it.
    """

    slots: int
    vcpus: float = 0.0
    gpus: float = 0.0


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices in one currency, with their date and where they are from.

    Attributes:
        currency: Of all prices.
        date: When they were looked up.
        source: Where.
        vcpu_hour: A virtual CPU for an hour.
        gpu_hour: A GPU with its machine for an hour.
        store_gb_month: A GB (10^9 bytes) in the object store for a month.
        put_per_1000: A thousand PUTs.
        get_per_1000: A thousand GETs or HEADs.
        database_gb_month: A GB of the database's disk for a month.
        egress_gb: A GB that leaves.
        workers: By queue.
    """

    currency: str
    date: str
    source: str
    vcpu_hour: float
    gpu_hour: float
    store_gb_month: float
    put_per_1000: float
    get_per_1000: float
    database_gb_month: float
    egress_gb: float
    workers: Mapping[str, Worker]


_PRICES = TypeAdapter(Prices)


def load(path: Path = PRICES, given: Mapping[str, float] | None = None) -> tuple[Prices, dict[str, float]]:
    """Read prices, and the limits with what the file and the caller state otherwise.

    Args:
        path: TOML with ``[prices]``, ``[workers.QUEUE]`` and, where wanted, ``[limits]``.
        given: Limits that go before the file's.

    Raises:
        LookupError: the file cannot be read, lacks something, or a limit is unknown or not above zero.
    """
    try:
        document: dict[str, Any] = tomllib.loads(path.read_text())
        prices = _PRICES.validate_python({**document.get("prices", {}), "workers": document.get("workers", {})})
    except OSError as error:
        raise LookupError(f"{path} cannot be read: {error.strerror}. Copy infra/prices.toml and edit it.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LookupError(f"{path} is no TOML: {error}. Copy infra/prices.toml and edit it.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise LookupError(f"{path}: {where}: {first['msg']}. infra/prices.toml has all that is needed.") from error
    stated = {**document.get("limits", {}), **(given or {})}
    for name, value in stated.items():
        if name not in LIMITS:
            raise LookupError(f"no limit {name!r}; the limits are {', '.join(LIMITS)}")
        if not isinstance(value, (int, float)) or not value > 0:
            raise LookupError(f"the limit {name} must be a number above zero, not {value!r}")
    return prices, {name: float(stated.get(name, limit.value)) for name, limit in LIMITS.items()}
