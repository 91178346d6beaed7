"""Several copies of one detector that compute at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from humannet_ops.detectors.protocol import Detector, Frame
    from humannet_ops.domain.detection import Detection


class Spread:
    """Deals a batch's frames out to copies of a detector that uses one thread and judges each frame by itself.

    That is MediaPipe, which would otherwise keep a GPU waiting: its hands take 12 ms a frame of one core.
    """

    def __init__(self, copies: Sequence[Detector]) -> None:
        """Take over copies, at least one."""
        self.release = copies[0].release
        self._copies = copies
        self._pool = ThreadPoolExecutor(len(copies), self.release)

    def detect(self, frames: Sequence[Frame]) -> list[list[Detection]]:
        """Return what the copies find, in the order of the frames."""
        number = len(self._copies)
        parts = self._pool.map(lambda place: self._copies[place].detect(frames[place::number]), range(number))
        found: list[list[Detection]] = [[] for _ in frames]
        for place, part in enumerate(parts):
            found[place::number] = part
        return found
