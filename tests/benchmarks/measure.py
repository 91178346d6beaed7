"""One measured number of the annotation benchmark, with how many cases it rests on and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Z = 1.959963984540054  # 95 %


@dataclass(frozen=True, slots=True)
class Measure:
    """A row of the table.

    Attributes:
        name: What was measured, of which default.
        value: The number.
        unit: Its unit; ``share`` for 0..1.
        count: Cases that it rests on.
        low: Lower end of the 95 % interval; None where there is none.
        high: Upper end.
        truth: What it was compared with.
    """

    name: str
    value: float
    unit: str
    count: int
    low: float | None
    high: float | None
    truth: str


def share(name: str, hits: int, count: int, truth: str) -> Measure:
    """Make a share with its Wilson interval (Wilson 1927)."""
    if not count:
        return Measure(name, math.nan, "share", 0, None, None, truth)
    p = hits / count
    centre, spread = p + Z**2 / (2 * count), Z * math.sqrt(p * (1 - p) / count + Z**2 / (4 * count**2))
    scale = 1 + Z**2 / count
    return Measure(name, p, "share", count, (centre - spread) / scale, (centre + spread) / scale, truth)


def mean(name: str, values: Sequence[float], unit: str, truth: str, *, of: str = "mean") -> Measure:
    """Make a mean (or ``of="median"``) with its bootstrap interval: 2,000 draws, seed 0, percentiles 2.5 and 97.5."""
    kept = np.asarray(values, float)
    if not len(kept):
        return Measure(name, math.nan, unit, 0, None, None, truth)
    average = {"mean": np.mean, "median": np.median}[of]
    draws = average(np.random.default_rng(0).choice(kept, (2000, len(kept))), axis=1)
    low, high = np.percentile(draws, (2.5, 97.5)) if len(kept) > 1 else (None, None)
    return Measure(name, float(average(kept)), unit, len(kept), low, high, truth)
