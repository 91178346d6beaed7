"""A robot in a pose, drawn for people to look at: its capsules as thick lines, the far ones first. Needs no GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.embodiment.robots import Robot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    Colour = tuple[int, int, int]

# Okabe and Ito's colours, as of the skeletons: the left is orange, the right is blue.
LEFT, RIGHT, MIDDLE = (230, 159, 0), (86, 180, 233), (200, 200, 196)
# Metres from edge to edge of the picture's height.
SPAN_M = 2.4
# Where it is looked at from: turned to the side and from above, degrees.
AZIMUTH_DEG, ELEVATION_DEG = 25.0, 12.0
_SHIFT = 4


def draw(robot: Robot, qpos: NDArray[Any], ground: Picture) -> Picture:
    """Draw a robot into a copy of a picture.

    Args:
        robot: The robot.
        qpos: Its pose, nq entries.
        ground: Height x width x 3, what it is drawn on.
    """
    import cv2
    import mujoco

    data = mujoco.MjData(robot.model)
    data.qpos[:] = qpos
    mujoco.mj_kinematics(robot.model, data)
    picture = ground.copy()
    height, width = picture.shape[:2]
    scale = height / SPAN_M
    turn = _view()
    parts = [(turn @ start, turn @ end, radius, colour) for start, end, radius, colour in _parts(robot, data)]
    for *ends, radius, colour in sorted(parts, key=lambda part: -(part[0][1] + part[1][1])):
        # what is farther away is darker
        near = np.clip(1 - (ends[0][1] + ends[1][1]) / 2 * 0.5, 0.55, 1.15)
        shade = tuple(int(min(255, value * near)) for value in colour)
        flat = [(width / 2 + end[0] * scale, height / 2 - end[2] * scale) for end in ends]
        a, b = (tuple(round(value * (1 << _SHIFT)) for value in point) for point in flat)
        thickness = max(2, round(2 * radius * scale))
        cv2.line(picture, a, b, (20, 20, 20), thickness + 3, cv2.LINE_AA, _SHIFT)
        cv2.line(picture, a, b, shade, thickness, cv2.LINE_AA, _SHIFT)
    return picture


def _view() -> NDArray[np.float64]:
    """Return the turn from the robot's axes (z up, y away) to the picture's (x right, y away, z up)."""
    a, e = np.radians(AZIMUTH_DEG), np.radians(ELEVATION_DEG)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(e), np.sin(e)], [0, -np.sin(e), np.cos(e)]])
    turned: NDArray[np.float64] = about_x @ about_z
    return turned


def _parts(robot: Robot, data: Any) -> list[tuple[Any, Any, float, Colour]]:
    """Return the robot's capsules: ends in metres, radius, colour; of a robot of meshes, lines from body to body."""
    import mujoco

    capsules = []
    for geom in range(robot.model.ngeom):
        if robot.model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_CAPSULE:
            radius, half = robot.model.geom_size[geom][:2]
            along = data.geom_xmat[geom].reshape(3, 3)[:, 2] * half
            middle = np.array(data.geom_xpos[geom])
            capsules.append(
                (middle - along, middle + along, float(radius), _colour(robot, robot.model.geom_bodyid[geom]))
            )
    if capsules:
        return capsules
    return [
        (np.array(data.xpos[robot.model.body_parentid[body]]), np.array(data.xpos[body]), 0.03, _colour(robot, body))
        for body in range(2, robot.model.nbody)
    ]


def _colour(robot: Robot, body: int) -> Colour:
    name = robot.model.body(body).name
    if name.startswith("left") or (name.startswith("l") and not name.startswith("lower")):
        return LEFT
    return RIGHT if name.startswith("r") and name != "root" else MIDDLE
