"""The One Euro filter (Casiez, Roussel and Vogel 2012, doi 10.1145/2207676.2208639), over many values at once.

A low-pass filter whose cut-off grows with speed: what is still does not tremble, what moves does not lag. The
parameters of bodies and hands are those that MediaPipe's own graph ``pose_landmark_filtering`` uses.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class OneEuro:
    """The filter's parameters.

    Attributes:
        min_cutoff_hz: Cut-off at rest.
        beta: How much the cut-off grows, Hz per (unit a second).
        derivative_cutoff_hz: Cut-off of the speed itself.
    """

    min_cutoff_hz: float
    beta: float
    derivative_cutoff_hz: float = 1.0

    @property
    def description(self) -> dict[str, Any]:
        """What a file says about how it was smoothed."""
        return {"filter": "one euro", **asdict(self)}


# Pixels are divided by the size of what is followed first, so that a unit is a body's (or a hand's) size.
PICTURE = OneEuro(min_cutoff_hz=0.05, beta=80.0)
METRES = OneEuro(min_cutoff_hz=0.1, beta=40.0)


def smooth(values: NDArray[Any], t_s: NDArray[Any], filtered: OneEuro) -> NDArray[np.float64]:
    """Filter N values of any shape, one after the other in time.

    Args:
        values: N x ...
        t_s: N seconds, ascending.
        filtered: The parameters.

    Returns:
        N x ..., the first as it was.
    """
    smoothed = np.array(values, np.float64)
    speed = np.zeros_like(smoothed[0]) if len(smoothed) else None
    for at in range(1, len(smoothed)):
        step = float(t_s[at] - t_s[at - 1])
        raw = (smoothed[at] - smoothed[at - 1]) / step
        speed = speed + _weight(filtered.derivative_cutoff_hz, step) * (raw - speed)
        cutoff = filtered.min_cutoff_hz + filtered.beta * np.abs(speed)
        smoothed[at] = smoothed[at - 1] + _weight(cutoff, step) * (smoothed[at] - smoothed[at - 1])
    return smoothed


def _weight(cutoff_hz: Any, step_s: float) -> Any:
    """Return how much of a new value a first-order low-pass takes: 1 / (1 + tau / step), tau = 1 / (2 pi cut-off)."""
    return 1.0 / (1.0 + 1.0 / (2.0 * np.pi * cutoff_hz * step_s))


def runs(frames: NDArray[Any], longest_gap: int = 1) -> list[NDArray[np.intp]]:
    """Return the rows of each run of frames without a gap; a filter starts anew after one.

    Args:
        frames: Ascending numbers.
        longest_gap: The largest step between two frames of one run.
    """
    if not len(frames):
        return []
    return np.split(np.arange(len(frames)), np.flatnonzero(np.diff(frames) > longest_gap) + 1)
