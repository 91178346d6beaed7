"""NudeNet's detector for restricted content, through onnxruntime, in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.detectors.batches import Batches
from humannet_ops.detectors.onnx_session import open_session
from humannet_ops.detectors.scaling import scaled
from humannet_ops.domain.detection import Detection, clipped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from humannet_ops.detectors.protocol import Frame

SIDE = 320
MIN_SCORE = 0.25  # nudenet's own
MAX_OVERLAP = 0.45  # nudenet's own, intersection over union
# The model's outputs that count as restricted. It also tells faces, feet and covered parts, and the sex of a face:
# that is a sensitive field which nobody here asked for, so it is never read.
RESTRICTED = {2: "buttocks_exposed", 3: "female_breast_exposed", 4: "female_genitalia_exposed", 6: "anus_exposed",
              14: "male_genitalia_exposed"}  # fmt: skip


class NudenetContent:
    """Detects exposed private parts."""

    batch = 8

    def __init__(self, release: str, path: Path, *, device: str, threads: int) -> None:
        self.release = release
        self.session = open_session(path, device=device, threads=threads)
        self.batches = Batches(release, device, self.batch, self._batch)

    def detect(self, frames: Sequence[Frame]) -> list[list[Detection]]:
        """Find restricted content; the usual answer is an empty list a frame."""
        return self.batches(frames)

    def _batch(self, frames: Sequence[Frame]) -> list[list[Detection]]:
        pairs = [letterboxed(frame) for frame in frames]
        stacked = np.stack([picture for picture, _, _ in pairs]).transpose(0, 3, 1, 2)
        (raw,) = self.session.run(None, {"images": stacked.astype(np.float32) / 255})
        return [list(boxes(one, width, height)) for one, (_, width, height) in zip(raw, pairs, strict=True)]


def letterboxed(frame: Frame) -> tuple[Frame, int, int]:
    """Scale a picture into the upper left corner of a black square.

    Returns:
        The square and the width and height that the picture takes in it.
    """
    height, width = frame.shape[:2]
    scale = SIDE / max(height, width)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    square = np.zeros((SIDE, SIDE, 3), np.uint8)
    square[: inner[1], : inner[0]] = scaled(frame, *inner)
    return square, *inner


def boxes(raw: NDArray[Any], width: int, height: int) -> Iterator[Detection]:
    """Read the restricted boxes of one picture, best first, without those that repeat another.

    Args:
        raw: 22 x candidates: centre x and y, width and height in pixels of the square, then a score a class.
        width: Pixels that the picture takes in the square.
        height: As ``width``.
    """
    import cv2

    for number, label in RESTRICTED.items():
        scores = raw[4 + number]
        chosen = scores >= MIN_SCORE
        x, y, w, h = raw[:4, chosen]
        corners = np.stack([x - w / 2, y - h / 2, w, h], axis=1)
        for index in cv2.dnn.NMSBoxes(corners.tolist(), scores[chosen].tolist(), MIN_SCORE, MAX_OVERLAP):
            left, top, wide, high = corners[index].tolist()
            box = clipped(label, float(scores[chosen][index]),
                          left / width, top / height, (left + wide) / width, (top + high) / height)  # fmt: skip
            if box:
                yield box
