"""Measure whether spending a crawl's items by yield finds more kept hours per fetched hour than round robin.

Simulated. A world has keywords whose worth nobody knows: how many videos a day they match, and what share of these
would be kept. That share drifts as other people upload other things. A search gives the newest matches first, so asking
for more than is new brings what is known; keywords share videos; new keywords turn up on the way, most of them poor.
Both rules get the same items a day in the same world and are compared at the same fetched hours.

    .venv/bin/python tests/benchmarks/keyword_budget.py                    # 20 worlds, 5 s
    .venv/bin/python tests/benchmarks/keyword_budget.py --hours 1000
"""

from __future__ import annotations

import argparse
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from humannet_ops.domain.bandit import DISCOUNT, Arm, shared

ITEMS = 200
Rule = Callable[[int, Sequence[Arm], str], Counter[str]]


@dataclass(frozen=True, slots=True)
class Video:
    """What a search can find: how long it is, and how much of it would be kept."""

    name: str
    hours: float
    kept_hours: float


@dataclass
class World:
    """Keywords and the videos that they match, newest last. The same seed makes the same world, day by day."""

    seed: int
    keywords: int = 40
    new_keyword_days: int = 2
    drift: float = 0.12
    matches: dict[str, list[Video]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.worth: dict[str, float] = {}
        self.rate: dict[str, float] = {}
        self.days = 0
        for _ in range(self.keywords):
            self._appear()
        for _ in range(20):  # what was uploaded before anybody looked
            self._upload()

    def next_day(self) -> None:
        """Let a day pass: uploads, drift, now and then another keyword."""
        self.days += 1
        if self.new_keyword_days and self.days % self.new_keyword_days == 0:
            self._appear()
        for name in self.worth:
            self.worth[name] += self.random.normal(0, self.drift)
        self._upload()

    def search(self, keyword: str, items: int) -> list[Video]:
        """Return the newest matches."""
        return self.matches[keyword][-items:][::-1]

    def _appear(self) -> None:
        name = f"k{len(self.worth):03}"
        # logits: of most keywords a tenth is kept, of a few the most
        self.worth[name] = self.random.normal(-2.2, 1.5)
        self.rate[name] = self.random.lognormal(2.3, 0.8)
        self.matches[name] = []

    def _upload(self) -> None:
        names = list(self.worth)
        for name in names:
            for _ in range(self.random.poisson(self.rate[name])):
                hours = min(self.random.lognormal(-2.6, 0.8), 2.0)
                kept = self.random.random() < 1 / (1 + np.exp(-self.worth[name]))
                video = Video(
                    f"{name}-{self.days}-{len(self.matches[name])}",
                    hours,
                    hours * self.random.uniform(0.4, 1.0) if kept else 0.0,
                )
                self.matches[name].append(video)
                if self.random.random() < 0.2:  # another keyword matches it too
                    self.matches[names[self.random.integers(len(names))]].append(video)


def round_robin(items: int, arms: Sequence[Arm], seed: str) -> Counter[str]:
    """Give every keyword the same."""
    share, rest = divmod(items, len(arms))
    return Counter({arm.keyword_id: share + (at < rest) for at, arm in enumerate(arms)})


def crawl(world: World, rule: Rule, hours: float, items: int = ITEMS) -> tuple[float, float, int]:
    """Crawl day by day until so many hours are fetched; return the hours fetched and kept, and the days it took."""
    counts: dict[str, np.ndarray] = {}
    known: set[str] = set()
    fetched = kept = 0.0
    while fetched < hours:
        world.next_day()
        arms = [Arm(name, *counts.get(name, np.zeros(6)).tolist()) for name in world.matches]
        for entry in counts.values():
            entry *= DISCOUNT
        for name, given in rule(items, arms, f"world-{world.seed} {world.days}").items():
            new = [video for video in world.search(name, given) if video.name not in known]
            known.update(video.name for video in new)
            total, good = sum(v.hours for v in new), sum(v.kept_hours for v in new)
            squares = sum(v.hours**2 for v in new)
            counts.setdefault(name, np.zeros(6))
            counts[name] += (1, given, len(new), total, good, squares)
            fetched, kept = fetched + total, kept + good
    return fetched, kept, world.days


def main() -> None:
    """Compare both rules over several worlds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--hours", type=float, default=300.0)
    arguments = parser.parse_args()
    yields: dict[str, list[float]] = {"round robin": [], "by yield": []}
    days: dict[str, list[int]] = {"round robin": [], "by yield": []}
    rules: dict[str, Rule] = {"round robin": round_robin, "by yield": shared}
    for seed in range(arguments.seeds):
        for name, rule in rules.items():
            fetched, kept, took = crawl(World(seed), rule, arguments.hours)
            yields[name].append(kept / fetched)
            days[name].append(took)
    print(
        f"kept hours per fetched hour when {arguments.hours:g} are fetched; "
        f"{arguments.seeds} worlds, {ITEMS} items a day"
    )
    for name, found in yields.items():
        print(
            f"{name:<12} mean {statistics.mean(found):.3f}  sd {statistics.stdev(found):.3f}  "
            f"min {min(found):.3f}  max {max(found):.3f}  days {statistics.mean(days[name]):.1f}"
        )
    gains = [ours / theirs for ours, theirs in zip(yields["by yield"], yields["round robin"], strict=True)]
    print(f"gain         mean {statistics.mean(gains):.2f}x  min {min(gains):.2f}x  max {max(gains):.2f}x")


if __name__ == "__main__":
    main()
