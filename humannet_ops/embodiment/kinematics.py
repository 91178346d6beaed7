"""Inverse kinematics: the joint angles with which a robot comes nearest to its targets, frame after frame.

Differential inverse kinematics (mink, on MuJoCo, solved by DAQP), started from the frame before. Joint limits hold in
every step. A weak pull towards the zero pose decides what the targets leave open: the head, the fingers, the toes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.embodiment.robots import Robot

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Steps until the mean error changes by less than SETTLED_M, at most; the first frame begins far away.
STEPS, FIRST_STEPS, SETTLED_M = 30, 300, 0.00001
STEP_S = 0.1
POSTURE_COST = 0.002
# Levenberg and Marquardt's, which grows with the error: without it steps overshoot and the joints end at their limits
# (measured on a walking man: 22 mm without, 13 mm with it).
LM_DAMPING = 1.0
DAMPING = 1e-4
CONSTANTS = {
    "steps": [STEPS, FIRST_STEPS, SETTLED_M, STEP_S],
    "posture_cost": POSTURE_COST,
    "damping": [DAMPING, LM_DAMPING],
}


@dataclass(frozen=True)
class Motion:
    """A robot's motion over N frames.

    Attributes:
        qpos: N x nq.
        error_m: N x 12, distance of each point from its target, metres.
    """

    qpos: NDArray[np.float64]
    error_m: NDArray[np.float64]


class Follower:
    """Follows targets with one robot."""

    def __init__(self, robot: Robot) -> None:
        import mink

        self.robot = robot
        self._tasks = [
            mink.FrameTask(body, "body", position_cost=1.0, orientation_cost=0.0, lm_damping=LM_DAMPING)
            for body in robot.bodies
        ]
        self._posture = mink.PostureTask(robot.model, cost=POSTURE_COST)
        self._limits = [mink.ConfigurationLimit(robot.model)]

    def follow(self, targets: NDArray[np.float64]) -> Motion:
        """Solve N frames, each from the one before.

        Args:
            targets: N x 12 x 3, metres, z up.
        """
        import mink

        configuration = mink.Configuration(self.robot.model)
        qpos = np.zeros((len(targets), self.robot.model.nq))
        error = np.zeros(targets.shape[:2])
        for number, wanted in enumerate(targets):
            if number == 0:
                configuration.update(self._start(wanted))
                self._posture.set_target_from_configuration(configuration)
            error[number] = self._settle(configuration, wanted, FIRST_STEPS if number == 0 else STEPS)
            qpos[number] = configuration.q
        return Motion(qpos, error)

    def _start(self, wanted: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn and move the zero pose so that hips and shoulders lie best (Kabsch 1976)."""
        import mujoco

        trunk = [number for number, body in enumerate(self.robot.bodies) if number in (0, 1, 6, 7)]
        own, asked = self.robot.rest[trunk], wanted[trunk]
        u, _, vt = np.linalg.svd((own - own.mean(0)).T @ (asked - asked.mean(0)))
        turn = vt.T @ np.diag([1.0, 1.0, np.sign(np.linalg.det(vt.T @ u.T))]) @ u.T
        qpos = np.array(self.robot.model.qpos0)
        qpos[:3] = turn @ (qpos[:3] - own.mean(0)) + asked.mean(0)
        extra, turned = np.zeros(4), np.zeros(4)
        mujoco.mju_mat2Quat(extra, turn.ravel())
        mujoco.mju_mulQuat(turned, extra, qpos[3:7])
        qpos[3:7] = turned
        return qpos

    def _settle(self, configuration: Any, wanted: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
        import mink

        for task, place in zip(self._tasks, wanted, strict=True):
            task.set_target(mink.SE3.from_translation(place))
        last = np.inf
        for _ in range(steps):
            velocity = mink.solve_ik(
                configuration, [*self._tasks, self._posture], STEP_S, "daqp", damping=DAMPING, limits=self._limits
            )
            configuration.integrate_inplace(velocity, STEP_S)
            errors = self._errors(configuration, wanted)
            if abs(last - errors.mean()) < SETTLED_M:
                break
            last = errors.mean()
        return errors

    def _errors(self, configuration: Any, wanted: NDArray[np.float64]) -> NDArray[np.float64]:
        here = np.array([configuration.data.body(body).xpos for body in self.robot.bodies])
        distances: NDArray[np.float64] = np.linalg.norm(here - wanted, axis=1)
        return distances
