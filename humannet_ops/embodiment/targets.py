"""What a person's pose asks of a robot: where its joints should be, calibrated bone by bone.

Model and robot differ in size and in proportions. Each bone of the person gets one factor for the whole clip,

    factor = the robot's bone in its zero pose / the median of the person's over the valid frames

and targets are put together from the middle of the hips outwards, each bone as the person holds it, times its factor. A
bone whose estimated length changes from frame to frame therefore misses its mark by as much, and that is in the error.

The root stays where the model has it, between the hips: a body's pose says nothing of the way through the room. Axes
are the robot's, z up: x to the picture's right, y away from the camera, z up in the picture (the direction of gravity
is not known; a tilted camera tilts the motion).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.domain.skeleton import LIMB_JOINTS
from humannet_ops.embodiment.robots import POINTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

_AT = {name: number for number, name in enumerate(POINTS)}
# Parent and child; None is a middle: of the hips, or of the shoulders.
CHAIN = tuple(
    (parent and f"{side}_{parent}", f"{side}_{child}")
    for side in ("left", "right")
    for parent, child in (
        (None, "hip"), ("hip", "knee"), ("knee", "ankle"),
        (None, "shoulder"), ("shoulder", "elbow"), ("elbow", "wrist"),
    )
)  # fmt: skip
SPINE = "spine"


def upright(world_m: NDArray[Any]) -> NDArray[np.float64]:
    """Return ``POINTS`` of bodies in the robot's axes.

    Args:
        world_m: N x 33 x 3, metres, as in ``media/body_tracks.py``.

    Returns:
        N x 12 x 3, metres.
    """
    x, y, z = np.moveaxis(np.asarray(world_m, np.float64)[:, LIMB_JOINTS], -1, 0)
    return np.stack([x, z, -y], axis=-1)


def bones(points: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return each bone as a vector: its child's name -> N x 3; ``spine`` from the hips' middle to the shoulders'.

    Args:
        points: N x 12 x 3.
    """
    hips, shoulders = _middle(points, "hip"), _middle(points, "shoulder")
    found = {SPINE: shoulders - hips}
    for parent, child in CHAIN:
        middle = hips if child.endswith("hip") else shoulders
        found[child] = points[:, _AT[child]] - (points[:, _AT[parent]] if parent else middle)
    return found


def _middle(points: NDArray[np.float64], joint: str) -> NDArray[np.float64]:
    middle: NDArray[np.float64] = (points[:, _AT[f"left_{joint}"]] + points[:, _AT[f"right_{joint}"]]) / 2
    return middle


def factors(points: NDArray[np.float64], rest: NDArray[np.float64]) -> dict[str, float]:
    """Return how much longer each bone of the robot is than the person's.

    Args:
        points: N x 12 x 3, the person's in valid frames.
        rest: 12 x 3, the robot's in its zero pose.
    """
    own, robots = bones(points), bones(rest[None])
    return {
        name: float(np.linalg.norm(robots[name][0]) / max(np.median(np.linalg.norm(own[name], axis=1)), 1e-6))
        for name in own
    }


def targets(points: NDArray[np.float64], factor: dict[str, float]) -> NDArray[np.float64]:
    """Return where the robot's joints should be.

    Args:
        points: N x 12 x 3, the person's.
        factor: As ``factors`` returns them.

    Returns:
        N x 12 x 3, metres, relative to the middle of the hips.
    """
    own = bones(points)
    placed: dict[str | None, NDArray[np.float64]] = {}
    shoulders = own[SPINE] * factor[SPINE]
    for parent, child in CHAIN:
        start = placed[parent] if parent else shoulders if child.endswith("shoulder") else np.zeros_like(shoulders)
        placed[child] = start + own[child] * factor[child]
    return np.stack([placed[name] for name in POINTS], axis=1)
