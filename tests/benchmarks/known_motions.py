"""Motions of the CMU humanoid whose every joint angle is known, written as formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from humannet_ops.embodiment.robots import POINTS, Robot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Pose = dict[str, float]
FPS = 30.0
ANKLE_M = 0.08  # of who stands
# Degrees by hinge: arms hang, legs are side by side. z and y are mirrored between left and right, x is not: it bends
# the knee and the elbow, lifts an arm that hangs, and lifts a leg where negative. `yaw` turns the whole person.
STANDING: Pose = {"lhumerusrz": 75, "rhumerusrz": -75, "lfemurrz": -17, "rfemurrz": 17}
STANDING |= {"ltibiarx": 4, "rtibiarx": 4, "lradiusrx": 12, "rradiusrx": 12}


def _swing(t_s: float, per_s: float, phase: float = 0.0) -> float:
    """-1..1."""
    return float(np.sin(2 * np.pi * (per_s * t_s + phase)))


def _rise(t_s: float, per_s: float, phase: float = 0.0) -> float:
    """0..1, 0 at first."""
    return (1 - float(np.cos(2 * np.pi * (per_s * t_s + phase)))) / 2


def _both(**angles: float) -> Pose:
    return {side + hinge: angle for side in "lr" for hinge, angle in angles.items()}


def _walk(t_s: float) -> Pose:
    pose = {"yaw": 12 * _swing(t_s, 0.4)}
    for side, phase in (("l", 0.0), ("r", 0.5)):
        pose[f"{side}femurrx"] = -8 - 24 * _swing(t_s, 0.9, phase)
        pose[f"{side}tibiarx"] = 8 + 45 * max(0.0, _swing(t_s, 0.9, phase + 0.2))
        pose[f"{side}humerusrx"] = 24 * _swing(t_s, 0.9, phase + 0.5)
    return pose | _both(radiusrx=25)


def _wave(t_s: float) -> Pose:
    up = _rise(min(t_s, 0.5), 1.0)
    return {"rhumerusrz": -75 + 95 * up, "rradiusrx": 35 + 30 * _swing(t_s, 1.3), "thoraxrz": 8 * _swing(t_s, 0.5)}


def _squat(t_s: float) -> Pose:
    down = _rise(t_s, 0.5)
    legs = _both(femurrx=-95 * down, tibiarx=4 + 110 * down, footrx=15 * down)
    return legs | _both(humerusrx=80 * down) | {"lowerbackrx": 25 * down}


def _reach(t_s: float) -> Pose:
    up = _rise(t_s, 0.6)
    left = {"lhumerusrx": 88 * up, "lradiusrx": 42 - 30 * up}
    return left | {"rhumerusrx": 40 * up, "rradiusrx": 20 + 60 * up, "thoraxrz": 15 * up, "lowerbackrx": 10 * up}


def _march(t_s: float) -> Pose:
    pose = _both(radiusrx=80)
    for side, phase in (("l", 0.0), ("r", 0.5)):
        up, other = _rise(t_s, 0.8, phase), _rise(t_s, 0.8, phase + 0.5)
        pose |= {f"{side}femurrx": -85 * up, f"{side}tibiarx": 4 + 90 * up, f"{side}humerusrx": -20 + 45 * other}
    return pose


def _punch(t_s: float) -> Pose:
    pose = {"lfemurrx": -15.0, "ltibiarx": 20.0, "thoraxrz": -15 * _swing(t_s, 1.0, 0.75)}
    for side, phase in (("l", 0.0), ("r", 0.5)):
        out = _rise(t_s, 1.0, phase)
        pose |= {f"{side}humerusrx": 20 + 55 * out, f"{side}radiusrx": 110 - 95 * out}
    return pose


def _bend(t_s: float) -> Pose:
    down = _rise(t_s, 0.5)
    limbs = _both(humerusrx=40 * down, femurrx=-30 * down, tibiarx=4 + 25 * down)
    return limbs | {"lowerbackrx": 40 * down, "upperbackrx": 35 * down}


def _star(t_s: float) -> Pose:
    out = _rise(t_s, 0.8)
    arms = {"lhumerusrz": 75 - 120 * out, "rhumerusrz": -75 + 120 * out}
    return arms | {"lfemurrz": -17 + 22 * out, "rfemurrz": 17 - 22 * out, "yaw": 10 * _swing(t_s, 0.3)}


# Hands at work before the chest, as who wears a camera sees them.
AT_WORK: Pose = {"lhumerusrz": 70, "rhumerusrz": -70, "lhumerusry": -15, "rhumerusry": 15}
AT_WORK |= _both(humerusrx=28, radiusrx=62)


def _handle(t_s: float) -> Pose:
    """One hand goes out while the other comes back."""
    pose = dict(AT_WORK)
    for side, phase in (("l", 0.0), ("r", 0.5)):
        pose[f"{side}humerusrx"] += 10 * _swing(t_s, 0.7, phase)
        pose[f"{side}radiusrx"] += 12 * _swing(t_s, 0.5, phase)
    return pose


def _turn(t_s: float) -> Pose:
    """Forearms turn, so that palms, edges and backs of the hands are seen."""
    return AT_WORK | {"lwristry": -50 + 45 * _swing(t_s, 0.6), "rwristry": -50 + 45 * _swing(t_s, 0.6, 0.5)}


def _sweep(t_s: float) -> Pose:
    """Hands go apart and together and bend at the wrist."""
    return AT_WORK | {
        "lhumerusry": -15 + 12 * _swing(t_s, 0.6),
        "rhumerusry": 15 + 12 * _swing(t_s, 0.6, 0.3),
        "lhandrx": 20 * _swing(t_s, 0.9),
        "rhandrx": 20 * _swing(t_s, 0.9, 0.5),
    }


MOTIONS: dict[str, Callable[[float], Pose]] = {
    "walk": _walk,
    "wave": _wave,
    "squat": _squat,
    "reach": _reach,
    "march": _march,
    "punch": _punch,
    "bend": _bend,
    "star": _star,
}
HANDLING: dict[str, Callable[[float], Pose]] = {"handle": _handle, "turn": _turn, "sweep": _sweep}


def poses(robot: Robot, motion: str, frames: int, turned_deg: float = 0.0) -> Array:
    """Return a motion as frames x nq, FPS a second. Joint limits hold, and the lower foot stays on the floor.

    Args:
        robot: The CMU humanoid.
        motion: One of ``MOTIONS`` or ``HANDLING``.
        frames: How many.
        turned_deg: How far the person is turned to its left; 0 faces -y.
    """
    import mujoco

    found = np.zeros((frames, robot.model.nq))
    for number, qpos in enumerate(found):
        angles = STANDING | (MOTIONS | HANDLING)[motion](number / FPS)
        qpos[:] = robot.model.qpos0
        turn, turned = np.zeros(4), np.zeros(4)
        yaw = np.radians(turned_deg + angles.pop("yaw", 0.0))
        mujoco.mju_axisAngle2Quat(turn, np.array([0.0, 0.0, 1.0]), yaw)
        mujoco.mju_mulQuat(turned, turn, qpos[3:7])
        qpos[3:7] = turned
        for hinge, degrees in angles.items():
            qpos[robot.model.joint(hinge).qposadr[0]] = np.radians(degrees)
        qpos[:] = np.clip(qpos, *robot.limits.T)
        qpos[2] -= robot.points(qpos)[ANKLES, 2].min() - ANKLE_M
    return found


ANKLES = [POINTS.index("left_ankle"), POINTS.index("right_ankle")]
