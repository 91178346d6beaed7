"""A clip's hands as the poses of two grippers: one Parquet row for each hand in a frame.

Columns (version 1; the file's ``humannet`` metadata, a JSON object, says the same):

- ``frame`` int32, counted from 0 in the clip; ``t_s`` double, seconds on the clip's clock, ``frame / fps``
- ``track`` int32, the hand's number in the ``hand_tracks`` file; ``side`` ``left`` or ``right``
- ``position_m`` x, y, z of the wrist in the camera's axes: x to the right, y down, z forward, metres
- ``quaternion`` w, x, y, z: the hand's axes in the camera's. x from the wrist to the middle knuckle, z out of the back
  of the hand for a right hand and of the palm for a left one (x, towards the index knuckle, z), y completes them
- ``opening_m`` float: distance of the tips of thumb and index finger
- ``error_mm`` float: how far the hand's joints, so placed, lie from where they are seen, at the hand's distance
- ``valid`` bool: the error is below the threshold of the metadata

The hand model knows a hand's shape in metres of a nominal hand, and where its joints are in the picture: the pose is
what projects the one onto the other (perspective-n-point, OpenCV's SQPnP, Terzakis and Lourakis 2020). The focal length
is the camera trajectory's where there is one, else that of an assumed field of view: then distances scale with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.media import track_file
from humannet_ops.media.hand_tracks import HandTracks

if TYPE_CHECKING:
    from numpy.typing import NDArray

KIND, VERSION = "end_effectors", 1
# Field of view along the picture's longer side, degrees, where no camera was reconstructed: head-worn and phone cameras
# have 60 to 90.
ASSUMED_FOV_DEG = 75.0
WRIST, INDEX_KNUCKLE, MIDDLE_KNUCKLE, THUMB_TIP, INDEX_TIP = 0, 5, 9, 4, 8
DESCRIPTION = {
    "kind": KIND,
    "version": VERSION,
    "units": {"t_s": "s", "position_m": "m", "opening_m": "m", "error_mm": "mm", "quaternion": "w, x, y, z"},
    "frames_of_reference": {
        "t_s": "the clip's clock, 0 at its first frame",
        "position_m": "the wrist in the camera's axes: x to the right, y down, z forward; nominal hand size",
        "quaternion": "hand to camera; x from wrist to middle knuckle, z = x cross (wrist to index knuckle)",
    },
}


@dataclass(frozen=True)
class EndEffectors:
    """The hands of a clip as grippers: H of them, in order of their frames.

    Attributes:
        frames: Frames of the clip.
        fps: Frames a second.
        focal_px: Focal length that was used, pixels of the clip.
        focal_known: Whether it was measured.
        frame: H.
        track: H.
        left: H.
        position_m: H x 3.
        quaternion: H x 4.
        opening_m: H.
        error_mm: H.
        valid: H.
        metadata: What else the file says about itself.
    """

    frames: int
    fps: float
    focal_px: float
    focal_known: bool
    frame: NDArray[np.int32]
    track: NDArray[np.int32]
    left: NDArray[np.bool_]
    position_m: NDArray[np.float32]
    quaternion: NDArray[np.float32]
    opening_m: NDArray[np.float32]
    error_mm: NDArray[np.float32]
    valid: NDArray[np.bool_]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def coverage(self) -> float:
        """Share of the clip's frames that have a valid hand."""
        return len(np.unique(self.frame[self.valid])) / self.frames if self.frames else 0.0


def assumed_focal_px(width: int, height: int) -> float:
    """Return the focal length of ``ASSUMED_FOV_DEG``, pixels."""
    return float(max(width, height) / 2 / np.tan(np.radians(ASSUMED_FOV_DEG / 2)))


def place(
    hands: HandTracks,
    focal_px: float,
    *,
    focal_known: bool,
    most_error_mm: float,
    metadata: Mapping[str, Any] | None = None,
) -> EndEffectors:
    """Place every hand in front of the camera.

    Args:
        hands: The clip's hands.
        focal_px: Focal length in pixels; the principal point is the picture's middle.
        focal_known: Whether it was measured.
        most_error_mm: A hand's error must be below this to be valid.
        metadata: JSON values to keep with the poses.
    """
    count = len(hands.frame)
    position, quaternion = np.full((count, 3), np.nan), np.full((count, 4), np.nan)
    error = np.full(count, np.inf)
    camera = np.array([[focal_px, 0, hands.width / 2], [0, focal_px, hands.height / 2], [0, 0, 1]], float)
    for row in range(count):
        placed = _place(hands.world_m[row].astype(float), hands.px[row].astype(float), camera)
        if placed is not None:
            joints, error[row] = placed
            position[row], quaternion[row] = joints[WRIST], _quaternion(_axes(joints))
    opening = np.linalg.norm(hands.world_m[:, THUMB_TIP] - hands.world_m[:, INDEX_TIP], axis=1)
    seen = np.isfinite(error)
    return EndEffectors(
        frames=hands.frames,
        fps=hands.fps,
        focal_px=round(focal_px, 2),
        focal_known=focal_known,
        frame=hands.frame[seen],
        track=hands.track[seen],
        left=hands.left[seen],
        position_m=track_file.rounded(position[seen], 1 / 4096),
        quaternion=track_file.rounded(quaternion[seen], 1 / 32768),
        opening_m=track_file.rounded(opening[seen], 1 / 4096),
        error_mm=track_file.rounded(error[seen], 1 / 64),
        valid=error[seen] < most_error_mm,
        metadata={"most_error_mm": most_error_mm, **(metadata or {})},
    )


def _place(
    world_m: NDArray[np.float64], px: NDArray[np.float64], camera: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float] | None:
    """Return a hand's joints in the camera's axes, 21 x 3 metres, and their mean error at that distance in mm."""
    import cv2

    found, turn, shift = cv2.solvePnP(world_m, px, camera, None, flags=cv2.SOLVEPNP_SQPNP)
    if not found:
        return None
    turn, shift = cv2.solvePnPRefineLM(world_m, px, camera, None, turn, shift)
    joints = world_m @ cv2.Rodrigues(turn)[0].T + shift.ravel()
    if joints[:, 2].min() <= 0:
        return None
    seen = joints @ camera.T
    off = np.linalg.norm(seen[:, :2] / seen[:, 2:] - px, axis=1)
    return joints, float((off / camera[0, 0] * joints[:, 2]).mean() * 1000)


def _axes(joints: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the hand's axes as columns."""
    x = joints[MIDDLE_KNUCKLE] - joints[WRIST]
    x = x / np.linalg.norm(x)
    z = np.cross(x, joints[INDEX_KNUCKLE] - joints[WRIST])
    z = z / np.linalg.norm(z)
    return np.column_stack([x, np.cross(z, x), z])


def _quaternion(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.spatial.transform import Rotation

    found: NDArray[np.float64] = Rotation.from_matrix(axes).as_quat(canonical=True, scalar_first=True)
    return found


_OWN = ("frames", "fps", "focal_px", "focal_known")


def write(path: Path, effectors: EndEffectors) -> None:
    """Write a clip's grippers. Equal ones give equal bytes."""
    columns = {
        "frame": effectors.frame,
        "t_s": effectors.frame / effectors.fps,
        "track": effectors.track,
        "side": np.where(effectors.left, "left", "right").tolist(),
        "position_m": effectors.position_m,
        "quaternion": effectors.quaternion,
        "opening_m": effectors.opening_m,
        "error_mm": effectors.error_mm,
        "valid": effectors.valid,
    }
    own = {name: getattr(effectors, name) for name in _OWN}
    track_file.write(path, columns, {**DESCRIPTION, **own, **effectors.metadata}, sort=("frame", "side", "track"))


def read(path: Path) -> EndEffectors:
    """Read a clip's grippers.

    Raises:
        ValueError: the file is something else.
    """
    table, said = track_file.read(path, KIND, VERSION)
    own = {name: said.pop(name) for name in _OWN}
    return EndEffectors(
        **own,
        frame=track_file.numbers(table, "frame"),
        track=track_file.numbers(table, "track"),
        left=track_file.numbers(table, "side") == "left",
        position_m=track_file.arrays(table, "position_m", 3),
        quaternion=track_file.arrays(table, "quaternion", 4),
        opening_m=track_file.numbers(table, "opening_m"),
        error_mm=track_file.numbers(table, "error_mm"),
        valid=track_file.numbers(table, "valid"),
        metadata={key: value for key, value in said.items() if key not in DESCRIPTION},
    )
