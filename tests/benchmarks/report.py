"""What every speed benchmark ends in: a table, a JSON file, a plot, and a comparison with the last recorded run.

Only ratios of one run are compared between runs: they hold on a slower machine, times do not.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from humannet_ops.settings import REPOSITORY, settings

RECORDED = Path(__file__).with_name("recorded.json")
# A ratio that is worse than the recorded one by more than this is a regression: five alternating runs of one ratio on a
# busy two-core machine lay within it.
TOLERANCE = 1.25


@dataclass(frozen=True, slots=True)
class Number:
    """One measured thing.

    Attributes:
        name: What was measured.
        values: One a repetition.
        unit: Of the values; ``ratio`` for what is compared between runs.
        at: What it was measured at, such as ``{"clips": 1000000}``; numbers of one name become a curve.
        goal: What the median must reach; None where there is none.
        at_least: Whether the goal is a floor.
    """

    name: str
    values: tuple[float, ...]
    unit: str
    at: Mapping[str, float | str] = field(default_factory=dict)
    goal: float | None = None
    at_least: bool = False

    @property
    def median(self) -> float:
        """The middle of the repetitions."""
        return median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without a goal."""
        if self.goal is None:
            return None
        return self.median >= self.goal if self.at_least else self.median <= self.goal


@dataclass(slots=True)
class Report:
    """The numbers of one benchmark.

    Attributes:
        name: As its file is called.
        packages: Distributions whose versions the numbers depend on; others can be given as ``versions``.
        versions: Name to version of what is not a distribution of this environment.
        numbers: What was measured up to now.
        folder: Where the files go: of the home at the beginning, for a benchmark may set up homes of its own.
    """

    name: str
    packages: Sequence[str] = ()
    versions: dict[str, str] = field(default_factory=dict)
    numbers: list[Number] = field(default_factory=list)
    folder: Path = field(default_factory=lambda: settings().home / "benchmarks")

    def add(
        self,
        name: str,
        values: Sequence[float],
        unit: str,
        *,
        at: Mapping[str, float | str] | None = None,
        goal: float | None = None,
        at_least: bool = False,
    ) -> Number:
        """Keep a number and print its line at once: a long benchmark shows how far it is."""
        number = Number(name, tuple(float(value) for value in values), unit, dict(at or {}), goal, at_least)
        self.numbers.append(number)
        print(_line(number), flush=True)
        return number

    def end(self, *, axis: str | None = None, logarithmic: bool = False) -> int:
        """Write JSON and the plot, compare with the last recorded run, and say what was missed.

        Args:
            axis: The key of ``at`` that the plot's horizontal axis shows; without it the ratios are bars.
            logarithmic: Whether the vertical axis is.

        Returns:
            1 if a goal is missed or a ratio is worse than recorded, else 0: the exit status.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        result = self.folder / f"{self.name}.json"
        result.write_text(json.dumps(self.document(), indent=1) + "\n")
        picture = self.folder / f"{self.name}.png"
        _plot(self, picture, axis, logarithmic)
        print(f"\n{machine()}")
        print(", ".join(f"{name} {number}" for name, number in self._versions().items()))
        print(f"JSON: {result}\nPlot: {picture}")
        missed = [number for number in self.numbers if number.met is False]
        for number in missed:
            print(f"MISSED: {_line(number)}")
        worse = compare(self)
        for line in worse:
            print(f"WORSE THAN RECORDED: {line}")
        return 1 if missed or worse else 0

    def document(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "benchmark": self.name,
            "date": datetime.date.today().isoformat(),
            "machine": machine(),
            "versions": self._versions(),
            "numbers": [{**asdict(number), "median": number.median, "met": number.met} for number in self.numbers],
        }

    def _versions(self) -> dict[str, str]:
        return {**{name: version(name) for name in self.packages}, "commit": _commit(), **self.versions}


def machine() -> str:
    """Return processor, cores, memory and system in one line."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{model}, {cores} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}"


def compare(report: Report) -> list[str]:
    """Return a line for each ratio that is worse than the recorded one by more than ``TOLERANCE``."""
    recorded = json.loads(RECORDED.read_text()).get(report.name, {}) if RECORDED.exists() else {}
    lines = []
    for number in report.numbers:
        before = recorded.get(key(number))
        if number.unit != "ratio" or before is None:
            continue
        grown = before / number.median if number.at_least else number.median / before
        if grown > TOLERANCE:
            lines.append(f"{key(number)}: {number.median:.3g}, recorded was {before:.3g}")
    return lines


def record(document: Mapping[str, Any]) -> None:
    """Make the ratios of a run the recorded ones: ``python tests/benchmarks/record.py``."""
    recorded = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    numbers = [Number(**{name: entry[name] for name in Number.__slots__}) for entry in document["numbers"]]
    ratios = {key(number): round(number.median, 4) for number in numbers if number.unit == "ratio"}
    recorded[document["benchmark"]] = ratios
    RECORDED.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")


def key(number: Number) -> str:
    """Return a number's name with what it was measured at."""
    where = (f"{name}={value:,}" if isinstance(value, int) else f"{name}={value}" for name, value in number.at.items())
    return " ".join([number.name, *where])


def _line(number: Number) -> str:
    spread = f"{min(number.values):.4g} to {max(number.values):.4g} of {len(number.values)}"
    goal = "" if number.goal is None else f"  goal {'at least' if number.at_least else 'at most'} {number.goal:g}: "
    verdict = {True: "met", False: "MISSED", None: ""}[number.met]
    return f"{key(number):<64} {number.median:>10.4g} {number.unit:<12} {spread}{goal}{verdict}"


def _plot(report: Report, path: Path, axis: str | None, logarithmic: bool) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    if axis is None:
        bars = [number for number in report.numbers if number.unit == "ratio"]
        figure, plot = pyplot.subplots(figsize=(9, 1 + 0.4 * max(1, len(bars))), layout="constrained")
        spread = [[n.median - min(n.values) for n in bars], [max(n.values) - n.median for n in bars]]
        plot.barh([key(n) for n in bars], [n.median for n in bars], xerr=spread, color="#4c78a8")
        for row, number in enumerate(bars):
            if number.goal is not None:
                plot.plot([number.goal, number.goal], [row - 0.4, row + 0.4], color="#e45756", linewidth=2)
        plot.invert_yaxis()
        plot.set_xlabel("ratio; red: the goal")
    else:
        names = list(dict.fromkeys(number.name for number in report.numbers if axis in number.at))
        figure, plot = pyplot.subplots(figsize=(10, 6), layout="constrained")
        for name in names:
            points = sorted((n.at[axis], n.median) for n in report.numbers if n.name == name and axis in n.at)
            unit = next(n.unit for n in report.numbers if n.name == name)
            plot.plot(*zip(*points, strict=True), marker="o", label=f"{name} ({unit})")
        plot.set_xscale("log")
        if logarithmic:
            plot.set_yscale("log")
        plot.set_xlabel(axis)
        plot.grid(alpha=0.3)
        figure.legend(loc="outside right upper", fontsize=7)
    plot.set_title(f"{report.name}, {machine()}", fontsize=8)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _commit() -> str:
    asked = subprocess.run(
        ["git", "-C", REPOSITORY, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []
