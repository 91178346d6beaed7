"""How much moves, and whether it is the camera or what is seen.

Dense optical flow (DIS, Kroeger et al. 2016) between samples; the camera's part is the similarity transform that most
of the flow agrees with (RANSAC), what is left is the motion of things. Everything is in picture widths a second, so
neither resolution nor frame rate matters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

# Residual flow above this counts as moving: the noise of DIS on a still, compressed picture stays below it (0.2 pixels
# of 256 between samples 0.2 s apart).
MOVING_WIDTHS_PER_S = 0.004
# Every eighth pixel each way is enough for four unknowns.
_GRID = 8
# Flow vectors within this many pixels of the transform agree with it.
_INLIER_PIXELS = 1.0


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
        self._last: tuple[float, np.ndarray] | None = None

    def feed(self, t_s: float, grey: np.ndarray) -> Motion:
        """Compare with the sample before.

        Args:
            t_s: Presentation time, seconds.
            grey: uint8 (height, width), the same size each time.
        """
        before, self._last = self._last, (t_s, grey)
        if before is None or before[1].shape != grey.shape or t_s <= before[0]:
            return STILL
        return self._compare(before[1], grey, t_s - before[0])

    def _compare(self, before: np.ndarray, now: np.ndarray, seconds: float) -> Motion:
        import cv2
        import numpy as np

        flow = self._flow.calc(before, now, None)[_GRID // 2 :: _GRID, _GRID // 2 :: _GRID]
        rows, columns = np.mgrid[: flow.shape[0], : flow.shape[1]] * _GRID + _GRID // 2
        origin = np.stack([columns, rows], axis=-1).reshape(-1, 2).astype(np.float32)
        moved = origin + flow.reshape(-1, 2)
        # RANSAC draws at random; the same video must give the same scores
        cv2.setRNGSeed(0)
        transform, _ = cv2.estimateAffinePartial2D(origin, moved, ransacReprojThreshold=_INLIER_PIXELS, maxIters=200)
        camera = np.zeros_like(origin) if transform is None else origin @ transform[:, :2].T + transform[:, 2] - origin
        residual = np.linalg.norm(moved - origin - camera, axis=1)
        unit = now.shape[1] * seconds
        speed = residual / unit
        return Motion(
            camera=float(np.linalg.norm(camera, axis=1).mean() / unit),
            residual=float(speed.mean()),
            moving_share=float((speed > MOVING_WIDTHS_PER_S).mean()),
        )
