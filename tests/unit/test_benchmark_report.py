"""The guard of the benchmarks: a ratio may not grow worse than the recorded one, a time may."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The module, with recorded ratios of its own: a share of 0.5, of 0.8 at 20 videos, and a speed of 4.0."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "report", raising=False)
    import report as module

    monkeypatch.setattr(module, "RECORDED", tmp_path / "recorded.json")
    before = module.Report("guarded")
    before.add("share", [0.4, 0.5, 0.9], "ratio")
    before.add("share", [0.8], "ratio", at={"videos": 20})
    before.add("speed-up", [4.0], "ratio", at_least=True)
    before.add("wall", [10.0], "s")
    module.record(before.document())
    return module


@pytest.mark.parametrize(("grown", "worse"), [(1.2, False), (1.3, True), (0.5, False)])
def test_a_ratio_may_be_a_quarter_worse_than_recorded(report: ModuleType, grown: float, worse: bool) -> None:
    now = report.Report("guarded")
    now.add("share", [0.5 * grown], "ratio")
    assert len(report.compare(now)) == worse


@pytest.mark.parametrize(("shrunk", "worse"), [(1.2, False), (1.3, True), (0.5, False)])
def test_a_ratio_with_a_floor_is_worse_when_it_falls(report: ModuleType, shrunk: float, worse: bool) -> None:
    now = report.Report("guarded")
    now.add("speed-up", [4.0 / shrunk], "ratio", at_least=True)
    assert len(report.compare(now)) == worse


def test_a_ratio_is_compared_with_the_one_of_the_same_size(report: ModuleType) -> None:
    now = report.Report("guarded")
    now.add("share", [0.8], "ratio", at={"videos": 20})
    now.add("share", [9.0], "ratio", at={"videos": 40})
    assert report.compare(now) == []


def test_times_and_other_benchmarks_are_not_compared(report: ModuleType) -> None:
    now, other = report.Report("guarded"), report.Report("other")
    now.add("wall", [1000.0], "s")
    other.add("share", [1000.0], "ratio")
    assert report.compare(now) == []
    assert report.compare(other) == []


def test_only_ratios_are_recorded(report: ModuleType) -> None:
    assert json.loads(report.RECORDED.read_text()) == {
        "guarded": {"share": 0.5, "share videos=20": 0.8, "speed-up": 4.0}
    }


@pytest.mark.parametrize(
    ("values", "goal", "at_least", "met"),
    [
        ([0.1, 0.5, 9.0], 0.5, False, True),
        ([0.1, 0.6, 9.0], 0.5, False, False),
        ([1.0, 2.0, 3.0], 2.0, True, True),
        ([1.0, 1.9, 3.0], 2.0, True, False),
        ([1.0], None, False, None),
    ],
)
def test_the_median_meets_the_goal_or_not(
    report: ModuleType, values: list[float], goal: float | None, at_least: bool, met: bool | None
) -> None:
    assert report.Number("share", tuple(values), "ratio", goal=goal, at_least=at_least).met is met
