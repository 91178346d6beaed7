"""A robot's motion through a clip: one Parquet row for each frame in which the person who is followed has a body.

Columns (version 1; the file's ``humannet`` metadata, a JSON object, has the robot, its joints and the definitions):

- ``frame`` int32, counted from 0 in the clip; ``t_s`` double, seconds on the clip's clock, ``frame / fps``
- ``valid`` bool: the frame counts (``stages/retarget.py`` says when)
- ``error_mm`` float: mean distance of the twelve points from their targets
- ``point_error_mm`` 12 floats: the same point by point
- ``qpos`` floats, as many as the robot has: x, y, z of the root in metres, its quaternion w, x, y, z, then the hinges
  in radians, in the order of the metadata's ``joints``; MuJoCo takes it as it is
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.media import track_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

KIND, VERSION = "robot_motion", 1
DESCRIPTION = {
    "kind": KIND,
    "version": VERSION,
    "units": {"t_s": "s", "error_mm": "mm", "point_error_mm": "mm", "qpos": "m, quaternion wxyz, rad"},
    "frames_of_reference": {
        "t_s": "the clip's clock, 0 at its first frame",
        "qpos": "z up, x to the picture's right, y away from the camera; origin midway between the person's hips, so "
        "the root does not travel; the camera's tilt is not known and tilts the motion",
    },
}


@dataclass(frozen=True)
class RobotMotion:
    """A robot's motion: N frames.

    Attributes:
        frames: Frames of the clip.
        fps: Frames a second.
        robot: The robot's name.
        joints: The name of each entry of qpos.
        points: The name of each of the twelve points.
        track: The person's number in the clip's ``people`` file.
        frame: N.
        valid: N.
        error_mm: N.
        point_error_mm: N x 12.
        qpos: N x nq.
        metadata: What else the file says about itself.
    """

    frames: int
    fps: float
    robot: str
    joints: tuple[str, ...]
    points: tuple[str, ...]
    track: int
    frame: NDArray[np.int32]
    valid: NDArray[np.bool_]
    error_mm: NDArray[np.float32]
    point_error_mm: NDArray[np.float32]
    qpos: NDArray[np.float32]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def coverage(self) -> float:
        """Valid frames / frames of the clip."""
        return float(self.valid.sum() / self.frames) if self.frames else 0.0


_OWN = ("frames", "fps", "robot", "joints", "points", "track")


def write(path: Path, motion: RobotMotion) -> None:
    """Write a robot's motion. Equal motions give equal bytes."""
    columns = {
        "frame": motion.frame,
        "t_s": motion.frame / motion.fps,
        "valid": motion.valid,
        "error_mm": motion.error_mm,
        "point_error_mm": motion.point_error_mm,
        "qpos": motion.qpos,
    }
    own = {name: getattr(motion, name) for name in _OWN}
    track_file.write(path, columns, {**DESCRIPTION, **own, **motion.metadata})


def read(path: Path) -> RobotMotion:
    """Read a robot's motion.

    Raises:
        ValueError: the file is something else.
    """
    table, said = track_file.read(path, KIND, VERSION)
    own = {name: said.pop(name) for name in _OWN}
    own["joints"], own["points"] = tuple(own["joints"]), tuple(own["points"])
    return RobotMotion(
        **own,
        frame=track_file.numbers(table, "frame"),
        valid=track_file.numbers(table, "valid"),
        error_mm=track_file.numbers(table, "error_mm"),
        point_error_mm=track_file.arrays(table, "point_error_mm", len(own["points"])),
        qpos=track_file.arrays(table, "qpos", len(own["joints"])),
        metadata={key: value for key, value in said.items() if key not in DESCRIPTION},
    )
