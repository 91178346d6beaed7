"""How much moves, and whether it is the camera or what is seen.

Dense optical flow (DIS, Kroeger et al. 2016) between samples; the camera's part is the similarity transform that most
of the flow agrees with (RANSAC), what is left is the motion of things. Everything is in picture widths a second, so
neither resolution nor frame rate matters.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

# Residual flow above this counts as moving: the noise of DIS on a still, compressed picture stays below it (0.1 pixels
# of 128 between samples 0.2 s apart).
MOVING_WIDTHS_PER_S = 0.004
# DIS at its fastest looks at a quarter of the analysis picture's size: half of it is given, and from that the half.
_SHRINK, _FINEST_SCALE = 2, 1
# What DIS can look at at all.
_LEAST_PIXELS = 16
# Every fourth pixel each way is enough for four unknowns.
_GRID = 4
# Flow vectors within this many pixels of the transform agree with it.
_INLIER_PIXELS = 0.5


class Motion(NamedTuple):
    """Motion between two samples.

    Attributes:
        camera: Speed of the camera's part, averaged over the picture, widths a second.
        residual: Mean speed of what the camera does not explain, widths a second.
        moving_share: Share of the picture whose residual is above ``MOVING_WIDTHS_PER_S``.
    """

    camera: float
    residual: float
    moving_share: float


STILL = Motion(0.0, 0.0, 0.0)


class MotionMeter:
    """Measures from each sample to the next."""

    def __init__(self) -> None:
        import cv2

        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._flow.setFinestScale(_FINEST_SCALE)
        self._last: tuple[float, np.ndarray] | None = None

    def feed(self, t_s: float, grey: np.ndarray) -> Motion:
        """Compare with the sample before.

        Args:
            t_s: Presentation time, seconds.
            grey: uint8 (height, width), the same size each time.
        """
        import cv2

        height, width = (max(_LEAST_PIXELS, side // _SHRINK) for side in grey.shape)
        small = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
        before, self._last = self._last, (t_s, small)
        if before is None or before[1].shape != small.shape or t_s <= before[0]:
            return STILL
        return self._compare(before[1], small, t_s - before[0])

    def _compare(self, before: np.ndarray, now: np.ndarray, seconds: float) -> Motion:
        import cv2

        origin = _grid(*now.shape)
        moved = origin + self._flow.calc(before, now, None)[_GRID // 2 :: _GRID, _GRID // 2 :: _GRID].reshape(-1, 1, 2)
        # RANSAC draws at random; the same video must give the same scores
        cv2.setRNGSeed(0)
        transform, _ = cv2.estimateAffinePartial2D(origin, moved, ransacReprojThreshold=_INLIER_PIXELS, maxIters=200)
        explained = origin if transform is None else cv2.transform(origin, transform)
        unit = now.shape[1] * seconds
        speed = _lengths(moved - explained) / unit
        return Motion(
            camera=float(_lengths(explained - origin).mean() / unit),
            residual=float(speed.mean()),
            moving_share=float((speed > MOVING_WIDTHS_PER_S).mean()),
        )


@cache
def _grid(height: int, width: int) -> np.ndarray:
    """Return (points, 1, 2) places in a picture, x and y in pixels, as OpenCV wants them."""
    import numpy as np

    rows, columns = np.mgrid[_GRID // 2 : height : _GRID, _GRID // 2 : width : _GRID]
    places: np.ndarray = np.stack([columns, rows], axis=-1).reshape(-1, 1, 2).astype(np.float32)
    return places


def _lengths(vectors: np.ndarray) -> np.ndarray:
    import cv2

    lengths: np.ndarray = cv2.magnitude(vectors[..., 0], vectors[..., 1])
    return lengths
