"""The path of a camera through a clip: one Parquet row a keyframe.

Columns (version 1; the file's ``humannet`` metadata, a JSON object, says the same):

- ``frame`` int32, counted from 0 in the clip; ``t_s`` double, seconds on the clip's clock, ``frame / fps``
- ``registered`` bool: the keyframe was placed; where it was not, position and quaternion are NaN
- ``position`` x, y, z of the camera's centre, in the metadata's ``unit``
- ``quaternion`` w, x, y, z: camera to world

The camera's axes are x right, y down, z forward. The world's are those of the first registered keyframe, and its origin
is there: which way gravity points is not known. Without a known scale the unit is ``median step``: the median distance
between two registered keyframes that follow each other. Between keyframes interpolate positions linearly and
quaternions spherically; across one that is not registered, better not at all.
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

KIND, VERSION = "camera", 1
STEP, METRE = "median step", "m"
DESCRIPTION = {
    "kind": KIND,
    "version": VERSION,
    "units": {"t_s": "s", "position": "as `unit` says", "quaternion": "w, x, y, z", "focal_px": "pixel"},
    "frames_of_reference": {
        "t_s": "the clip's clock, 0 at its first frame",
        "position": "the camera's centre in the axes of the first registered keyframe: x right, y down, z forward",
        "quaternion": "camera to world",
    },
}


@dataclass(frozen=True)
class CameraTrack:
    """The path of a camera: K keyframes.

    Attributes:
        frames: Frames of the clip.
        fps: Frames a second.
        unit: ``m``, or ``median step``.
        focal_px: Focal length in pixels of the clip.
        reprojection_px: Mean reprojection error in pixels of the clip.
        points: How many points it rests on.
        frame: K.
        registered: K.
        position: K x 3.
        quaternion: K x 4.
        metadata: What else the file says about itself.
    """

    frames: int
    fps: float
    unit: str
    focal_px: float
    reprojection_px: float
    points: int
    frame: NDArray[np.int32]
    registered: NDArray[np.bool_]
    position: NDArray[np.float32]
    quaternion: NDArray[np.float32]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def coverage(self) -> float:
        """Registered keyframes / keyframes."""
        return float(self.registered.mean()) if len(self.registered) else 0.0


def relative(
    position: NDArray[np.float64], quaternion: NDArray[np.float64], *, in_metres: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    """Put the origin into the first pose, and the unit where it belongs.

    Args:
        position: R x 3, camera centres.
        quaternion: R x 4, w, x, y, z, camera to world.
        in_metres: Whether the unit is the metre; else the median step becomes the unit.

    Returns:
        The same, relative to the first, and the unit's name.
    """
    from scipy.spatial.transform import Rotation

    turns = Rotation.from_quat(quaternion, scalar_first=True)
    back = turns[0].inv()
    moved = back.apply(position - position[0])
    steps = np.linalg.norm(np.diff(moved, axis=0), axis=1)
    scale = 1.0 if in_metres or not len(steps) else 1.0 / max(float(np.median(steps)), 1e-12)
    turned = (back * turns).as_quat(canonical=True, scalar_first=True)
    return moved * scale, turned, METRE if in_metres else STEP


_OWN = ("frames", "fps", "unit", "focal_px", "reprojection_px", "points")


def write(path: Path, track: CameraTrack) -> None:
    """Write a camera's path."""
    columns = {
        "frame": track.frame,
        "t_s": track.frame / track.fps,
        "registered": track.registered,
        "position": track.position,
        "quaternion": track.quaternion,
    }
    own = {name: getattr(track, name) for name in _OWN}
    track_file.write(path, columns, {**DESCRIPTION, **own, **track.metadata})


def read(path: Path) -> CameraTrack:
    """Read a camera's path.

    Raises:
        ValueError: the file is something else.
    """
    table, said = track_file.read(path, KIND, VERSION)
    own = {name: said.pop(name) for name in _OWN}
    return CameraTrack(
        **own,
        frame=track_file.numbers(table, "frame"),
        registered=track_file.numbers(table, "registered"),
        position=track_file.arrays(table, "position", 3),
        quaternion=track_file.arrays(table, "quaternion", 4),
        metadata={key: value for key, value in said.items() if key not in DESCRIPTION},
    )
