"""How a camera moves, measured on tracked points before anything is reconstructed: is it worth it?

Points (Shi and Tomasi 1994) are tracked from keyframe to keyframe (Lucas and Kanade 1981), there and back; those that
do not return to within a pixel are lost. What moves by itself (people, hands) is masked.

``camera_speed``, picture diagonals a second
    Median over the steps of the median displacement, times keyframes a second.

``camera_stability``, 0..1
    Median over the steps of the share of points that are not lost: blur, whip pans and flicker lose them. Steps with
    fewer than ``MIN_POINTS`` points to begin with (all is masked, or plain) say nothing; 0 where no step says anything.

``camera_parallax``, 0..1
    Median over stretches of ``BASELINE_S`` of the share of points whose motion no homography explains to within
    ``FIT_PX`` pixels. A camera that turns, however fast, moves all points by one homography, and so does any motion
    before a plane; depth shows only where the rest does not follow (the idea of GRIC, Torr 1998).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    Mask = NDArray[np.bool_]

# Pictures are scaled to this width, so that a pixel means the same whatever the clip.
WIDTH = 640
MAX_POINTS, MIN_POINTS = 600, 30
RETURN_PX, FIT_PX = 1.0, 1.5
BASELINE_S = 0.5


@dataclass(frozen=True, slots=True)
class CameraMotion:
    """What was measured; the module's docstring has the formulas."""

    speed: float
    stability: float
    parallax: float


def measure(pictures: Sequence[Picture], ignored: Sequence[Mask], step_s: float) -> CameraMotion:
    """Measure how the camera moves.

    Args:
        pictures: K keyframes of one size, ``WIDTH`` wide.
        ignored: K masks, true where nothing is to be tracked.
        step_s: Seconds from one keyframe to the next.
    """
    import cv2

    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures]
    diagonal = float(np.hypot(*grey[0].shape)) if grey else 1.0
    reach = max(1, round(BASELINE_S / step_s))
    speeds, kept, unexplained = [], [], []
    for first in range(0, len(grey) - 1, reach):
        points = _points(grey[first], ignored[first])
        origin, alive = points, np.ones(len(points), bool)
        for number in range(first, min(first + reach, len(grey) - 1)):
            before = origin
            origin, found = _follow(grey[number], grey[number + 1], before)
            alive &= found
            if len(found) >= MIN_POINTS:
                kept.append(float(found.mean()))
            if found.any():
                speeds.append(float(np.median(np.linalg.norm((origin - before)[found], axis=1))))
        if alive.sum() >= MIN_POINTS:
            unexplained.append(_unexplained(points[alive], origin[alive]))
    return CameraMotion(
        speed=round(float(np.median(speeds)) / diagonal / step_s, 5) if speeds else 0.0,
        stability=round(float(np.median(kept)), 4) if kept else 0.0,
        parallax=round(float(np.median(unexplained)), 4) if unexplained else 0.0,
    )


def _points(grey: Any, ignored: Mask) -> NDArray[np.float32]:
    import cv2

    mask = np.where(ignored, 0, 255).astype(np.uint8)
    found = cv2.goodFeaturesToTrack(grey, MAX_POINTS, 0.01, 7, mask=mask)
    return np.empty((0, 2), np.float32) if found is None else found.reshape(-1, 2)


def _follow(grey: Any, following: Any, points: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    import cv2

    if not len(points):
        return points, np.zeros(0, bool)
    there, _, _ = cv2.calcOpticalFlowPyrLK(grey, following, points[:, None], None, winSize=(21, 21), maxLevel=4)
    back, _, _ = cv2.calcOpticalFlowPyrLK(following, grey, there, None, winSize=(21, 21), maxLevel=4)
    there, back = there[:, 0], back[:, 0]
    height, width = grey.shape
    inside = ((there >= 0) & (there < (width, height))).all(axis=1)
    return there, inside & (np.linalg.norm(back - points, axis=1) < RETURN_PX)


def _unexplained(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    import cv2

    homography, _ = cv2.findHomography(before, after, cv2.USAC_MAGSAC, FIT_PX, maxIters=2000, confidence=0.999)
    if homography is None:
        return 1.0
    fitted = cv2.perspectiveTransform(before[:, None], homography)[:, 0]
    return float((np.linalg.norm(fitted - after, axis=1) > FIT_PX).mean())
