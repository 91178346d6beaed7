"""CenterNet MobileNetV3, COCO classes, through onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.detectors.batches import Batches
from humannet_ops.detectors.coco import CLASSES
from humannet_ops.detectors.onnx_session import open_session
from humannet_ops.detectors.scaling import scaled
from humannet_ops.domain.detection import Detection, clipped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from humannet_ops.detectors.protocol import Frame

SIDE = 512
STRIDE = 4  # the heat map has a quarter of the input's resolution
# What is given out, a low bar on purpose: the policy file has the threshold that decides.
MIN_SCORE = 0.2
# Peaks are local maxima of 3 x 3, which is meant to make suppression needless; of something as large as the picture
# several remain, whose boxes are nearly the same.
MAX_OVERLAP = 0.6
# The graph's own last steps (the 100 best peaks and their boxes) are for a batch of one; `boxes` does them for any.
OUTPUTS = {"tower_0/mul_1": len(CLASSES), "tower_0/wh": 4}


class CenterNet:
    """Detects the 80 COCO classes."""

    # a batch of one is as fast on a CPU, and holds 30 MB of activations a frame otherwise
    batch = 4

    def __init__(self, release: str, path: Path, *, device: str, threads: int) -> None:
        self.release = release
        self.session = open_session(path, device=device, threads=threads)
        self.batches = Batches(release, device, self.batch, self._batch)

    def detect(self, frames: Sequence[Frame]) -> list[list[Detection]]:
        """Find every COCO object whose peak is at least ``MIN_SCORE``."""
        return self.batches(frames)

    def _batch(self, frames: Sequence[Frame]) -> list[list[Detection]]:
        # Stretched to the square. The model's author letterboxes, which raises all scores, right and wrong alike:
        # at equal false alarms (1.7 % of 116 frames without people) both found 72 % of 190 third-person frames.
        pictures = [scaled(frame, SIDE, SIDE) for frame in frames]
        heat, sizes = self.session.run(list(OUTPUTS), {"images": np.stack(pictures)})
        return [boxes(*one) for one in zip(heat, sizes, strict=True)]


def boxes(heat: NDArray[Any], sizes: NDArray[Any]) -> list[Detection]:
    """Read boxes off the peaks of one picture's heat map, without those that repeat a better one of their class.

    Args:
        heat: Classes x 128 x 128, zero where there is no local maximum.
        sizes: 4 x 128 x 128, pixels of the 512 x 512 input from the peak to the left, top, right and bottom edge.
    """
    import cv2

    labels, rows, columns = np.nonzero(heat >= MIN_SCORE)
    if not len(labels):
        return []
    scores = heat[labels, rows, columns]
    left, top, right, bottom = sizes[:, rows, columns]
    x1, y1 = (columns * STRIDE - left) / SIDE, (rows * STRIDE - top) / SIDE
    x2, y2 = (columns * STRIDE + right) / SIDE, (rows * STRIDE + bottom) / SIDE
    chosen = cv2.dnn.NMSBoxesBatched(
        np.stack([x1, y1, x2 - x1, y2 - y1], axis=1).tolist(), scores.tolist(), labels.tolist(), MIN_SCORE, MAX_OVERLAP
    )
    found = [
        clipped(CLASSES[labels[i]], float(scores[i]), float(x1[i]), float(y1[i]), float(x2[i]), float(y2[i]))
        for i in chosen
    ]
    return [box for box in found if box]
