"""Humanoid robots: an MJCF model, and where on it a person's joints are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from humannet_ops.domain.skeleton import BODY_JOINTS, LIMB_JOINTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

FILE = Path(__file__).with_name("robots.yaml")
POINTS = tuple(BODY_JOINTS[joint] for joint in LIMB_JOINTS)
"""The joint set: shoulders, elbows, wrists, hips, knees, ankles, left before right; in this order everywhere."""


class RobotError(Exception):
    """A robot cannot be used; the message says why."""


@dataclass(frozen=True)
class Robot:
    """A loaded robot.

    Attributes:
        name: As in ``robots.yaml``.
        model: MuJoCo's ``MjModel``, with a free joint first.
        bodies: The body of each of ``POINTS``.
    """

    name: str
    model: Any
    bodies: tuple[str, ...]

    @cached_property
    def rest(self) -> NDArray[np.float64]:
        """Where ``POINTS`` are in the zero pose: 12 x 3, metres, z up."""
        return self.points(np.asarray(self.model.qpos0))

    @cached_property
    def joints(self) -> tuple[str, ...]:
        """The name of each entry of qpos: seven of the root (x, y, z, then a quaternion w, x, y, z), then hinges."""
        root = tuple(f"root_{part}" for part in ("x", "y", "z", "qw", "qx", "qy", "qz"))
        return root + tuple(self.model.joint(number).name for number in range(1, self.model.njnt))

    @cached_property
    def limits(self) -> NDArray[np.float64]:
        """Lower and upper limit of each entry of qpos, radians; infinite where there is none."""
        bounds = np.tile([-np.inf, np.inf], (self.model.nq, 1))
        for number in range(self.model.njnt):
            if self.model.jnt_limited[number]:
                bounds[self.model.jnt_qposadr[number]] = self.model.jnt_range[number]
        return bounds

    def points(self, qpos: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where ``POINTS`` are in a pose: 12 x 3, metres, z up."""
        import mujoco

        data = mujoco.MjData(self.model)
        data.qpos[:] = qpos
        mujoco.mj_kinematics(self.model, data)
        return np.array([data.body(body).xpos for body in self.bodies])


def known() -> dict[str, Any]:
    """Return the robots of ``robots.yaml`` by name."""
    robots: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return robots


def load(name: str, mjcf: Path) -> Robot:
    """Load a robot.

    Args:
        name: As in ``robots.yaml``.
        mjcf: Its MJCF file.

    Raises:
        RobotError: the robot is not known, or its file lacks a body or a free root.
    """
    import mujoco

    robots = known()
    if name not in robots:
        raise RobotError(f"there is no robot {name!r}; there are {', '.join(robots)} (HUMANNET_ROBOT)")
    try:
        model = mujoco.MjModel.from_xml_path(str(mjcf))
    except ValueError as error:
        raise RobotError(f"{name}: {mjcf} cannot be loaded ({error})") from error
    bodies = tuple(str(robots[name]["points"][point]) for point in POINTS)
    there = {model.body(number).name for number in range(model.nbody)}
    if missing := sorted(set(bodies) - there):
        raise RobotError(f"{name}: {mjcf.name} has no body {', '.join(missing)}, which robots.yaml names")
    if model.jnt_type[0] != mujoco.mjtJoint.mjJNT_FREE:
        raise RobotError(f"{name}: {mjcf.name} does not begin with a free joint")
    return Robot(name, model, bodies)
