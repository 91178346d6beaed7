"""Hands frames to a model in batches that fit the memory of its device."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from humannet_ops.detectors import device
from humannet_ops.domain.outcome import DeviceLost

if TYPE_CHECKING:
    from humannet_ops.detectors.protocol import Frame

Found = TypeVar("Found")
logger = logging.getLogger(__name__)
# What else is on a GPU comes and goes: after so many batches without trouble a larger one is tried again.
_CALM = 200


class Batches(Generic[Found]):
    """Runs a model over any number of frames; it finds something, if only an empty list, for each.

    Attributes:
        size: Frames a batch holds now.
        halvings: How often it was halved because the device's memory was full.
    """

    def __init__(self, release: str, device: str, size: int, run: Callable[[Sequence[Frame]], list[Found]]) -> None:
        self.size, self.halvings = size, 0
        self._release, self._device, self._most, self._run = release, device, size, run
        self._calm = 0

    def __call__(self, frames: Sequence[Frame]) -> list[Found]:
        """Return what the model finds in each frame.

        Raises:
            MemoryError: even one frame does not fit.
            DeviceLost: the device is gone, or refuses this process.
        """
        found: list[Found] = []
        while len(found) < len(frames):
            try:
                found += self._run(frames[len(found) : len(found) + self.size])
            except Exception as error:
                if device.is_lost(error):
                    raise DeviceLost(f"{self._release}: {self._device} is lost ({_first_line(error)})") from error
                if not device.memory_is_full(error):
                    raise
                self._halve(error)
            else:
                self._grow()
        return found

    def _halve(self, error: Exception) -> None:
        self.halvings, self._calm = self.halvings + 1, 0
        if self.size == 1:
            message = f"{self._release}: one frame does not fit the memory of {self._device}"
            raise MemoryError(message) from error
        self.size //= 2
        logger.warning("%s: %s is out of memory, going on with batches of %d", self._release, self._device, self.size)
        if "torch" in sys.modules:
            sys.modules["torch"].cuda.empty_cache()

    def _grow(self) -> None:
        self._calm += 1
        if self._calm >= _CALM and self.size < self._most:
            self.size, self._calm = min(self._most, self.size * 2), 0


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
