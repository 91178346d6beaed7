"""What a detector is to the code that runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from humannet_ops.domain.detection import Detection
from humannet_ops.domain.skeleton import Body, Hand

Frame = NDArray[np.uint8]
"""A picture: height x width x 3, red first."""


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
