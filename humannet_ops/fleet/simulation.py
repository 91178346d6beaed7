"""A fleet on a clock: crawl days go through the legs, task by task, and see whether the arithmetic was right.

Modelled as the platform does it: a leg takes so many crawl days at once and the next leg follows; a stage is planned
when those that it needs are through with all their shards of that day; each task instance takes its turn at the
scheduler and a slot of its queue; recording takes its turn at the catalog, and storing at the store. Not modelled:
failures, the politeness of hosts, weights (who asks first is first served), and that planning has its own pool.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from humannet_ops.fleet.arithmetic import TASKS_BESIDE, Plan, StageDemand

if TYPE_CHECKING:
    import simpy

    Steps = Generator[simpy.Event, Any, None]

# Groups of a stage's shards in a day, and crawl days, that are followed one by one; more are scaled. Together they keep
# a million hours within seconds of computing.
GROUPS = 48
DAYS = 48
# Half of the followed days must be more than are on their way at once.
DAYS_PER_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Simulated:
    """What the clock showed.

    Attributes:
        makespan_s: Seconds from the first crawl day's start to the last one's end.
        expected_s: The same by the arithmetic.
        days: Crawl days that were followed; where there are more, the others are added at the pace that the second
            half of these added.
        group: The most shards that were followed as one.
        waited_s: Mean seconds that a task instance waited for the scheduler.
    """

    makespan_s: float
    expected_s: float
    days: int
    group: int
    waited_s: float

    @property
    def ratio(self) -> float:
        """The clock's time over the arithmetic's."""
        return self.makespan_s / self.expected_s


def simulate(plan: Plan, limits: Mapping[str, float], slots: Mapping[str, int] | None = None) -> Simulated:
    """Let a plan's crawl days, all there from the start, go through its fleet.

    Args:
        plan: The fleet and its work.
        limits: Those that the plan was made with, or others.
        slots: Of queues that have others than the plan's.
    """
    pools = {pool.queue: pool.slots for pool in plan.pools} | dict(slots or {})
    days = min(plan.crawl_days, max(DAYS, DAYS_PER_AT_ONCE * int(limits["days_at_once"])))
    fleet = _Fleet.run(plan, limits, pools, days)
    makespan_s = fleet.clock.now
    if more := plan.crawl_days - days:
        # both begin and end with idle slots, so that their difference does not
        half = days // 2
        makespan_s += more * (makespan_s - _Fleet.run(plan, limits, pools, half).clock.now) / (days - half)
    return Simulated(
        makespan_s=makespan_s,
        expected_s=plan.expected_s,
        days=days,
        group=max(math.ceil(stage.shards / GROUPS) for stage in plan.stages),
        waited_s=fleet.waited_s / fleet.scheduled,
    )


@dataclass(slots=True)
class _Server:
    """Serves one after the other, in the order of asking: the scheduler, the catalog, the store."""

    free_at: float = 0.0

    def waits(self, now: float, seconds: float) -> float:
        """Return the seconds from now until something that takes ``seconds`` is served, and be busy with it."""
        self.free_at = max(now, self.free_at) + seconds
        return self.free_at - now


@dataclass(slots=True)
class _Fleet:
    """The clock, everything that tasks take turns at, and what was noted on the way."""

    clock: simpy.Environment
    plan: Plan
    limits: Mapping[str, float]
    pools: dict[str, simpy.Container]
    sizes: Mapping[str, int]
    scheduler: _Server = field(default_factory=_Server)
    catalog: _Server = field(default_factory=_Server)
    store: _Server = field(default_factory=_Server)
    locks: dict[str, simpy.Container] = field(default_factory=dict)
    waited_s: float = 0.0
    scheduled: float = 0.0

    @classmethod
    def run(cls, plan: Plan, limits: Mapping[str, float], sizes: Mapping[str, int], days: int) -> _Fleet:
        """Build it, and let so many crawl days go through all legs."""
        import simpy

        clock = simpy.Environment()
        pools = {queue: simpy.Container(clock, count, init=count) for queue, count in sizes.items()}
        fleet = cls(clock, plan, limits, pools, sizes)
        # what compares subjects with each other does so for one crawl day at a time, holding its slot while it waits
        fleet.locks = {s.stage: simpy.Container(clock, 1, init=1) for s in plan.stages if s.whole_partition}
        arrived = simpy.Store(clock)
        arrived.items.extend(range(days))
        for leg in dict.fromkeys(stage.leg for stage in plan.stages):
            through = simpy.Store(clock)
            for _ in range(max(1, int(limits["days_at_once"]))):
                clock.process(fleet.leg(leg, arrived, through))
            arrived = through
        clock.run()
        return fleet

    def leg(self, leg: str, arrived: simpy.Store, through: simpy.Store) -> Steps:
        """Take one crawl day after the other, for ever: the clock stops when nothing happens any more."""
        stages = [stage for stage in self.plan.stages if stage.leg == leg]
        while True:
            day = yield arrived.get()
            yield self.turn(1)
            running: dict[str, simpy.Event] = {}
            for stage in stages:
                running[stage.stage] = self.clock.process(self.stage(stage, [running[n] for n in stage.needs]))
            yield self.clock.all_of(list(running.values()))
            yield self.turn(TASKS_BESIDE - 1)
            yield through.put(day)

    def stage(self, stage: StageDemand, needs: list[simpy.Event]) -> Steps:
        """Plan when everything before is through, then run all shards."""
        yield self.clock.all_of(needs)
        yield self.turn(1)
        yield self.clock.timeout(self.limits["task_start_s"])
        size = math.ceil(stage.shards / GROUPS)
        groups = [size] * (stage.shards // size)
        if rest := stage.shards % size:
            groups.append(rest)
        yield self.clock.all_of([self.clock.process(self.shards(stage, count)) for count in groups])

    def shards(self, stage: StageDemand, count: int) -> Steps:
        """Run some shards of a stage, side by side as far as they take a small part of the slots, else one by one."""
        yield self.turn(count)
        taken = min(count, max(1, self.sizes[stage.queue] // GROUPS))
        yield self.pools[stage.queue].get(taken)
        if lock := self.locks.get(stage.stage):
            yield lock.get(1)
        # a shard reads, stores and records while it works; it ends when the slowest of these has
        now, share = self.clock.now, count / stage.shards
        yield self.clock.timeout(
            max(
                stage.shard_s * count / taken,
                self.store.waits(now, share * self.request_s(stage)),
                self.catalog.waits(now, share * stage.outcomes / self.limits["catalog_outcomes_per_s"]),
            )
        )
        if lock:
            yield lock.put(1)
        yield self.pools[stage.queue].put(taken)

    def request_s(self, stage: StageDemand) -> float:
        """Return the seconds in which the store takes one day's requests of a stage; PUTs and GETs go side by side."""
        prefixes = self.limits["store_prefixes"]
        return max(
            stage.puts / self.limits["store_puts_per_s"] / prefixes,
            stage.gets / self.limits["store_gets_per_s"] / prefixes,
        )

    def turn(self, tasks: int) -> simpy.Event:
        """Return what happens when the scheduler has sent so many task instances."""
        sent_s = tasks / self.limits["scheduler_tasks_per_s"]
        waited_s = self.scheduler.waits(self.clock.now, sent_s)
        self.waited_s += tasks * (waited_s - sent_s)
        self.scheduled += tasks
        return self.clock.timeout(waited_s)
