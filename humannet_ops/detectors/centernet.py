"""CenterNet MobileNetV3, COCO classes, through onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.detectors.coco import CLASSES
from humannet_ops.detectors.onnx_session import open_session
from humannet_ops.domain.detection import Detection, clipped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from humannet_ops.detectors.protocol import Frame

SIDE = 512
STRIDE = 4  # the heat map has a quarter of the input's resolution
# What is given out, a low bar on purpose: the policy file has the threshold that decides.
MIN_SCORE = 0.2
# The graph's own last steps (the 100 best peaks and their boxes) are for a batch of one; `boxes` does them for any.
OUTPUTS = {"tower_0/mul_1": len(CLASSES), "tower_0/wh": 4}


class CenterNet:
    """Detects the 80 COCO classes."""

    # a batch of one is as fast on a CPU, and holds 30 MB of activations a frame otherwise
    batch = 4

    def __init__(self, release: str, path: Path, *, device: str, threads: int) -> None:
        self.release = release
        self.session = open_session(path, device=device, threads=threads)

    def detect(self, frames: Sequence[Frame]) -> list[list[Detection]]:
        """Find every COCO object whose peak is at least ``MIN_SCORE``."""
        import cv2

        found: list[list[Detection]] = []
        for start in range(0, len(frames), self.batch):
            pictures = [
                cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
                for frame in frames[start : start + self.batch]
            ]
            heat, sizes = self.session.run(list(OUTPUTS), {"images": np.stack(pictures)})
            found += [list(boxes(*one)) for one in zip(heat, sizes, strict=True)]
        return found


def boxes(heat: NDArray[Any], sizes: NDArray[Any]) -> Iterator[Detection]:
    """Read boxes off the peaks of one picture's heat map.

    Args:
        heat: Classes x 128 x 128, zero where there is no local maximum.
        sizes: 4 x 128 x 128, pixels of the 512 x 512 input from the peak to the left, top, right and bottom edge.
    """
    for label, row, column in zip(*np.nonzero(heat >= MIN_SCORE), strict=True):
        left, top, right, bottom = sizes[:, row, column].tolist()
        x, y = float(column * STRIDE), float(row * STRIDE)
        box = clipped(
            CLASSES[label],
            float(heat[label, row, column]),
            (x - left) / SIDE,
            (y - top) / SIDE,
            (x + right) / SIDE,
            (y + bottom) / SIDE,
        )
        if box:
            yield box
