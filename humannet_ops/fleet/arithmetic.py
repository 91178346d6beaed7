"""From rates to a fleet: slots, workers, tasks, rows, objects, money, and the wall that is met first. No I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from humannet_ops.fleet.limits import Prices
from humannet_ops.fleet.rates import CRAWL, Rates, StageRate

HOUR_S = 3600.0
DAY_S = 86400.0
# What a DAG runs beside the shards and the plan of each stage (humannet_ops/orchestration/factories.py): a crawl has
# discover, announce, verdict; a leg find_due, announce, verdict.
TASKS_BESIDE = 3
# compile_statistics after each crawl day
TASKS_A_CRAWL_DAY = 1
# remove_objects every ten minutes; revisit_partitions (find_due, plan, announce, verdict) every hour
TASKS_A_DAY = 144 + 24 * 4
# Fewer crawl days, and slots stand idle while the first and the last of them are alone on their way.
FEWEST_CRAWL_DAYS = 30


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for.

    Attributes:
        hours: Of video at the head of the funnel.
        deadline_s: Seconds until all of it is through.
        crawl_days: Partitions that it comes in; None takes as many as keep shards at ``shard_seconds``, and at least
            ``FEWEST_CRAWL_DAYS``.
    """

    hours: float
    deadline_s: float
    crawl_days: int | None = None


@dataclass(frozen=True, slots=True)
class StageDemand:
    """What one stage asks of the fleet.

    Attributes:
        stage: Its name.
        leg: The DAG that runs it.
        queue: Where it runs.
        needs: Stages of which it waits, within its leg.
        shards: Mapped tasks in one crawl day.
        whole_partition: One shard has all of a crawl day, and works while no other day's does.
        shard_s: Seconds that one of them holds its slot.
        work_s: Seconds of slots altogether.
        slots: Of its queue, so that it is through by the deadline.
        outcomes: One crawl day's.
        puts: One crawl day's.
        gets: One crawl day's, HEADs among them.
    """

    stage: str
    leg: str
    queue: str
    needs: tuple[str, ...]
    shards: int
    whole_partition: bool
    shard_s: float
    work_s: float
    slots: float
    outcomes: float
    puts: float
    gets: float


@dataclass(frozen=True, slots=True)
class Pool:
    """The slots of one queue, the workers that have them and what those cost until the deadline."""

    queue: str
    slots: int
    workers: int
    vcpus: float
    gpus: float
    cost: float


@dataclass(frozen=True, slots=True)
class Wall:
    """A limit, and how much of it is used.

    Attributes:
        name: In words.
        used: In ``unit``.
        limit: In ``unit``.
        unit: Of both.
        hours: Of video at which it is met, by this deadline.
        deadline_s: The shortest deadline for these hours; None where a longer one does not help.
        passes: What takes the wall away.
    """

    name: str
    used: float
    limit: float
    unit: str
    hours: float
    deadline_s: float | None
    passes: str

    @property
    def utilisation(self) -> float:
        """The share of the limit that is used; above 1 it is no plan."""
        return self.used / self.limit


@dataclass(frozen=True, slots=True)
class Plan:
    """The fleet.

    Attributes:
        order: What was asked for.
        crawl_days: Partitions that the hours come in.
        stages: One a stage.
        pools: One a queue.
        tasks: Airflow task instances altogether.
        rows: Of the catalog in the end, by table.
        database_bytes: Of those rows with their indexes.
        objects: In the store in the end.
        store_bytes: Of those.
        puts: Requests altogether.
        gets: Requests altogether, HEADs among them; an upper bound.
        walls: The fullest first.
        costs: Of each part, in the prices' currency.
    """

    order: Order
    crawl_days: int
    stages: tuple[StageDemand, ...]
    pools: tuple[Pool, ...]
    tasks: float
    rows: Mapping[str, float]
    database_bytes: float
    objects: float
    store_bytes: float
    puts: float
    gets: float
    walls: tuple[Wall, ...]
    costs: Mapping[str, float]

    @property
    def first_wall(self) -> Wall:
        """The limit of which most is used."""
        return self.walls[0]

    @property
    def feasible(self) -> bool:
        """Whether no limit is passed."""
        return self.first_wall.utilisation <= 1

    @property
    def slots(self) -> int:
        """Tasks that run at once."""
        return sum(pool.slots for pool in self.pools)

    @property
    def expected_s(self) -> float:
        """Seconds in which all of it is through: until the deadline, or as long as the fullest wall makes it."""
        return max([self.order.deadline_s, *(wall.deadline_s for wall in self.walls if wall.deadline_s is not None)])


def plan(rates: Rates, order: Order, limits: Mapping[str, float], prices: Prices) -> Plan:
    """Reckon the fleet that an order takes.

    Work is proportional to hours. A slot is busy for ``utilisation`` of the time until the deadline, so

        slots = work / (deadline x utilisation)

    of each queue, rounded up. Stages on the GPU queue are taken to be ``gpu_speedup`` times as fast as was measured.

    Raises:
        LookupError: the prices know no worker of a queue that has work.
    """
    days = order.crawl_days or max(
        FEWEST_CRAWL_DAYS,
        math.ceil(order.hours * HOUR_S / (limits["shards_per_plan"] * limits["shard_seconds"])),
    )
    stages = tuple(_demand(rate, rates, order, days, limits) for rate in rates.stages)
    pools = tuple(_pool(queue, stages, order, limits, prices) for queue in dict.fromkeys(s.queue for s in stages))
    tasks = _tasks(stages, days, order.deadline_s)
    rows = _rows(rates, stages, order.hours, days)
    database_bytes = sum(rows[table.table] * table.bytes_per_row for table in rates.tables)
    store_bytes = order.hours * sum(entry.bytes for entry in rates.objects)
    puts, gets = (days * sum(getattr(stage, name) for stage in stages) for name in ("puts", "gets"))
    costs = {f"{pool.queue} workers": pool.cost for pool in pools}
    costs["store, first month"] = store_bytes / 1e9 * prices.store_gb_month
    costs["store requests"] = puts / 1000 * prices.put_per_1000 + gets / 1000 * prices.get_per_1000
    costs["database disk, first month"] = database_bytes / 1e9 * prices.database_gb_month
    return Plan(
        order=order,
        crawl_days=days,
        stages=stages,
        pools=pools,
        tasks=tasks,
        rows=rows,
        database_bytes=database_bytes,
        objects=order.hours * sum(entry.objects for entry in rates.objects),
        store_bytes=store_bytes,
        puts=puts,
        gets=gets,
        walls=_walls(stages, order, days, tasks, limits),
        costs=costs,
    )


def _demand(rate: StageRate, rates: Rates, order: Order, days: int, limits: Mapping[str, float]) -> StageDemand:
    hours = order.hours / days
    planned = rate.planned_s * hours
    shards = 1 if rate.whole_partition else _shards(planned, limits)
    speed = limits["gpu_speedup"] if rate.queue == "gpu" else 1.0
    # models are loaded and lists read at the same pace, whatever computes
    shard_s = rate.work_s * hours / speed / shards + rate.overhead_s + limits["task_start_s"]
    work_s = shard_s * shards * days
    puts = hours * sum(entry.objects for entry in rates.objects if entry.stage == rate.stage)
    return StageDemand(
        stage=rate.stage,
        leg=rate.leg,
        queue=rate.queue,
        needs=tuple(n for n in rate.needs if any(o.stage == n and o.leg == rate.leg for o in rates.stages)),
        shards=shards,
        whole_partition=rate.whole_partition,
        shard_s=shard_s,
        work_s=work_s,
        slots=work_s / (order.deadline_s * limits["utilisation"]),
        outcomes=rate.subjects * hours,
        puts=puts,
        # every object of what it reads, for every subject; and one HEAD before each PUT
        gets=rate.worked * hours * sum(_objects_each(rates, name) for name in rate.reads) + puts,
    )


def _objects_each(rates: Rates, stage: str) -> float:
    """Return the objects that a stage stores of one subject."""
    subjects = sum(rate.subjects for rate in rates.stages if rate.stage == stage)
    return sum(entry.objects for entry in rates.objects if entry.stage == stage) / subjects if subjects else 0.0


def _rows(rates: Rates, stages: tuple[StageDemand, ...], hours: float, days: int) -> dict[str, float]:
    """Return each table's rows. Shards and their runs grow with what is planned, not with what a small catalog had."""
    planned = days * sum(stage.shards for stage in stages)
    return {
        table.table: planned if table.table in ("shards", "stage_runs") else table.rows * hours
        for table in rates.tables
    }


def _shards(planned_s: float, limits: Mapping[str, float]) -> int:
    """Return how many shards planning makes: of ``shard_seconds`` each, or larger ones where there were too many."""
    return max(1, min(int(limits["shards_per_plan"]), math.ceil(planned_s / limits["shard_seconds"])))


def _pool(
    queue: str, stages: tuple[StageDemand, ...], order: Order, limits: Mapping[str, float], prices: Prices
) -> Pool:
    if queue not in prices.workers:
        raise LookupError(f"the prices have no [workers.{queue}], and stages run there: see infra/prices.toml")
    kind = prices.workers[queue]
    work_s = sum(stage.work_s for stage in stages if stage.queue == queue)
    slots = max(1, math.ceil(work_s / (order.deadline_s * limits["utilisation"])))
    workers = math.ceil(slots / kind.slots)
    vcpus, gpus = workers * kind.vcpus, workers * kind.gpus
    cost = (vcpus * prices.vcpu_hour + gpus * prices.gpu_hour) * order.deadline_s / HOUR_S
    return Pool(queue, slots, workers, vcpus, gpus, cost)


def _tasks(stages: tuple[StageDemand, ...], days: int, deadline_s: float) -> float:
    legs = {stage.leg for stage in stages}
    a_day = sum(stage.shards + 1 for stage in stages) + TASKS_BESIDE * len(legs) + TASKS_A_CRAWL_DAY
    return days * a_day + TASKS_A_DAY * deadline_s / DAY_S


def leg_s(stages: tuple[StageDemand, ...], leg: str, limits: Mapping[str, float]) -> float:
    """Return the seconds that one crawl day takes in a leg where no task waits for a slot: its longest chain of stages.

    A stage takes its plan, then what the scheduler takes to send all shards, then the last of them.

    Args:
        stages: All of them, each after those it needs.
        leg: The DAG.
        limits: ``task_start_s`` is what a plan takes.
    """
    ends: dict[str, float] = {}
    for stage in stages:
        if stage.leg == leg:
            before = max((ends[need] for need in stage.needs), default=0.0)
            sent_s = (1 + stage.shards) / limits["scheduler_tasks_per_s"]
            ends[stage.stage] = before + limits["task_start_s"] + sent_s + stage.shard_s
    return max(ends.values(), default=0.0)


def _walls(
    stages: tuple[StageDemand, ...], order: Order, days: int, tasks: float, limits: Mapping[str, float]
) -> tuple[Wall, ...]:
    longest = max(stages, key=lambda stage: stage.shard_s)
    # crawls of several sources run side by side; a leg has all sources
    durations = {s.leg: leg_s(stages, s.leg, limits) for s in stages}
    slowest = max((leg for leg in durations if leg != CRAWL), key=lambda leg: durations[leg], default=CRAWL)
    prefixes = limits["store_prefixes"]
    found = [
        _paced(
            "scheduler", tasks, limits["scheduler_tasks_per_s"], "task instances/s", order,
            "longer shards (HUMANNET_SHARD_SECONDS), or more schedulers",
        ),
        _paced(
            "catalog writes", days * sum(s.outcomes for s in stages), limits["catalog_outcomes_per_s"], "outcomes/s",
            order, "a larger Postgres; outcomes are written a set at a time and partitioned by stage",
        ),
        _paced(
            "store PUTs", days * sum(s.puts for s in stages), limits["store_puts_per_s"] * prefixes, "PUT/s", order,
            "more prefixes: keys begin with a kind and two digits of a sha256, so the store can split them evenly",
        ),
        _paced(
            "store GETs", days * sum(s.gets for s in stages), limits["store_gets_per_s"] * prefixes, "GET/s", order,
            "more prefixes: keys begin with a kind and two digits of a sha256, so the store can split them evenly",
        ),
        _paced(
            f"crawl days in {slowest}", days * durations[slowest], limits["days_at_once"], "crawl days at once", order,
            "more crawl days of a leg at once (HUMANNET_DAYS_AT_ONCE)",
        ),
        *(
            _paced(
                f"{s.stage}, one at a time", days * s.shard_s, 1.0, "at once", order,
                "a faster Postgres: only reading pairs and recording is done under its lock (infra/decisions/0027)",
            )
            for s in stages if s.whole_partition
        ),
        Wall(
            f"the longest task, {longest.stage}", longest.shard_s, limits["shard_timeout_s"], "s",
            order.hours * limits["shard_timeout_s"] / longest.shard_s, None,
            "more, smaller crawl days (--crawl-days): a plan makes at most 999 shards, and what compares subjects with "
            "each other is one",
        ),
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda wall: -wall.utilisation))


def _paced(name: str, total: float, limit: float, unit: str, order: Order, passes: str) -> Wall:
    """Return a wall that a longer deadline takes away: so much in all, at most so much a second."""
    used = total / order.deadline_s
    share = used / limit
    return Wall(name, used, limit, unit, order.hours / share, order.deadline_s * share, passes)
