"""What a detector is to the code that runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from humannet_ops.domain.detection import Detection
from humannet_ops.domain.skeleton import Body, Hand

Frame = NDArray[np.uint8]
"""A picture: height x width x 3, red first."""
Mask = NDArray[np.bool_]
"""Height x width."""


class Detector(Protocol):
    """A loaded model. It is opened once a shard, or once a model server, and keeps nothing between calls."""

    release: str
    """``name@revision``, as outcomes record it."""

    def detect(self, frames: Sequence[Frame]) -> list[list[Detection]]:
        """Find what the model knows in each frame. Frames may differ in size; any number is welcome."""


class Detectors(Protocol):
    """The detectors of several roles, here or in a model server."""

    releases: tuple[str, ...]
    """The roles' releases, in their order."""

    def detect(self, frames: Sequence[Frame]) -> list[list[list[Detection]]]:
        """Return, role by role, what is found in each frame.

        Raises:
            DeviceLost: the device or the server is gone.
        """


class BodyPose(Protocol):
    """A loaded model that follows one body: ``start``, then the frames of one person, in order."""

    release: str
    """``name@revision``, as outcomes record it."""

    def start(self) -> None:
        """Forget what was seen: another person, or another clip, begins."""

    def estimate(self, frame: Frame) -> Body | None:
        """Estimate the body of the person whom the next frame shows, if there is one; pixels are this frame's."""


class HandPose(Protocol):
    """A loaded model that follows hands: ``start``, then the frames of a clip, in order."""

    release: str
    """``name@revision``, as outcomes record it."""

    def start(self) -> None:
        """Forget what was seen: another clip begins."""

    def estimate(self, frame: Frame) -> tuple[Hand, ...]:
        """Estimate the hands in the next frame, of anybody."""


class FrameEmbedder(Protocol):
    """A loaded model that turns a picture into a vector: pictures that look alike get vectors that point alike."""

    release: str
    """``name@revision``, as outcomes record it."""
    dimensions: int
    """Length of the vectors."""

    def embed(self, frames: Sequence[Frame]) -> NDArray[np.float32]:
        """Return frames x dimensions, each row of length 1.

        The rows are centred: two pictures that have nothing to do with each other have a product of about 0. Each frame
        is looked at by itself; frames may differ in size.
        """


@dataclass(frozen=True)
class Reconstructed:
    """Where a camera was, of K pictures that were handed over, in a frame of reference and a unit of its own.

    Attributes:
        registered: R, the numbers of the pictures that could be placed, ascending.
        position: R x 3, the camera's centre.
        quaternion: R x 4, w, x, y, z: camera to world; the camera's axes are x right, y down, z forward.
        focal_px: Of the pictures.
        reprojection_px: Mean distance of the points from where they were seen.
        points: How many points were triangulated.
        angle_deg: Median over the points of the angle between the two rays that differ most.
        in_metres: Whether the unit is the metre.
    """

    registered: NDArray[np.int32]
    position: NDArray[np.float64]
    quaternion: NDArray[np.float64]
    focal_px: float
    reprojection_px: float
    points: int
    angle_deg: float
    in_metres: bool = False


class CameraReconstruction(Protocol):
    """Finds the path of a camera."""

    release: str
    """``name@revision``, as outcomes record it."""

    def reconstruct(self, pictures: Sequence[Frame], ignored: Sequence[Mask], folder: Path) -> Reconstructed | None:
        """Place as many pictures as can be placed together.

        Args:
            pictures: K of one size, in order of time.
            ignored: K masks of the same size, true where what moves by itself is (people, hands).
            folder: An empty folder to work in.

        Returns:
            None where nothing could be placed.
        """
