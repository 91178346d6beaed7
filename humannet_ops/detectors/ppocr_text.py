"""PP-OCR: where readable text is in a picture, never what it says. Through onnxruntime.

Differentiable binarization (Liao et al. 2020, arXiv 1911.08947) finds lines, with the settings that the package
rapidocr, which carries the networks, has for it. It was made for pages: where there is no text it sees some in faces
and walls. So a line counts where the recogniser beside it is sure of some characters. Which ones is never looked up:
the list of characters is not even loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

INPUT = "x"
SIDE, MULTIPLE = 960, 32  # PaddleOCR's own limit for the long side
TEXT, MIN_SCORE, MIN_SIDE = 0.3, 0.5, 3.0  # of a pixel, of a box (mean of its pixels), pixels
# The network learns text shrunk to its core; a box grows by its area x this / its outline.
GROWTH = 1.6
# Characters that the recogniser must be this sure of, on average. Measured on text-free pictures of ../shared/corpus:
# one character at most, or 0.52; on screens, slides and a printed shirt: 0.7 and more.
MIN_CHARACTERS, MIN_READ = 2, 0.6
# Of a line, in pixels: the recogniser's input. Longer lines are squeezed.
LINE_HEIGHT, LINE_WIDTH = 48, 960
# The largest lines of a picture that are read; the rest of so much text is believed.
MOST_READ = 40


class PpocrText:
    """Detects lines of readable text."""

    batch = 4

    def __init__(self, release: str, finder: Path, reader: Path, *, device: str, threads: int) -> None:
        self.release = release
        self.finder = open_session(finder, device=device, threads=threads)
        self.reader = open_session(reader, device=device, threads=threads)
        self.batches = Batches(release, device, self.batch, self._batch)

    def detect(self, frames: Sequence[Frame]) -> list[list[Detection]]:
        """Find lines of text; a box stands upright around a line, however that is turned."""
        return self.batches(frames)

    def _batch(self, frames: Sequence[Frame]) -> list[list[Detection]]:
        found = []
        for _, alike in groupby(frames, key=lambda frame: frame.shape):
            # blue first, as it was trained
            stacked = np.stack([fitted(frame)[..., ::-1] for frame in alike]).transpose(0, 3, 1, 2)
            (maps,) = self.finder.run(None, {INPUT: normalised(stacked)})
            found += [list(boxes(one[0])) for one in maps]
        return [self._readable(frame, lines) for frame, lines in zip(frames, found, strict=True)]

    def _readable(self, frame: Frame, lines: list[Detection]) -> list[Detection]:
        ordered = sorted(lines, key=lambda line: line.area, reverse=True)
        return [line for line in ordered[:MOST_READ] if self._reads(line_of(frame, line))] + ordered[MOST_READ:]

    def _reads(self, line: Frame) -> bool:
        """Say whether the recogniser is sure of some characters."""
        ((answer,),) = self.reader.run(None, {INPUT: normalised(line[None, ..., ::-1].transpose(0, 3, 1, 2))})
        character, sure = answer.argmax(axis=1), answer.max(axis=1)
        # class 0 is no character; the same one twice in a row is one
        new = (character > 0) & (np.diff(character, prepend=0) != 0)
        return bool(new.sum() >= MIN_CHARACTERS and sure[new].mean() >= MIN_READ)


def normalised(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return pixels as the networks want them, -1..1."""
    return pictures.astype(np.float32) / 127.5 - 1


def line_of(frame: Frame, line: Detection) -> Frame:
    """Cut a line out of a picture, upright where it runs down the picture, at the recogniser's height."""
    height, width = frame.shape[:2]
    x1, y1 = int(line.x1 * width), int(line.y1 * height)
    cut = frame[y1 : max(y1 + 1, round(line.y2 * height)), x1 : max(x1 + 1, round(line.x2 * width))]
    if cut.shape[0] > 1.5 * cut.shape[1]:
        cut = np.ascontiguousarray(np.rot90(cut))
    wide = round(cut.shape[1] * LINE_HEIGHT / cut.shape[0])
    return scaled(cut, min(LINE_WIDTH, max(LINE_HEIGHT, wide)), LINE_HEIGHT)


def fitted(frame: Frame) -> Frame:
    """Scale a picture to the network's size: its long side ``SIDE`` at most, both sides multiples of 32."""
    height, width = frame.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    wide, high = (max(MULTIPLE, round(side * scale / MULTIPLE) * MULTIPLE) for side in (width, height))
    return scaled(frame, wide, high)


def boxes(text: NDArray[Any]) -> Iterator[Detection]:
    """Read the lines off a map of text.

    Args:
        text: Height x width, how likely each pixel belongs to the core of a line.
    """
    import cv2

    height, width = text.shape
    core = cv2.dilate((text > TEXT).astype(np.uint8), np.ones((2, 2), np.uint8))
    outlines, _ = cv2.findContours(core, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    for outline in outlines:
        centre, (across, down), turn = cv2.minAreaRect(outline)
        if min(across, down) < MIN_SIDE:
            continue
        score = _mean_inside(text, cv2.boxPoints((centre, (across, down), turn)))
        if score < MIN_SCORE:
            continue
        grow = across * down * GROWTH / (2 * (across + down))
        corners = cv2.boxPoints((centre, (across + 2 * grow, down + 2 * grow), turn))
        (x1, y1), (x2, y2) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        box = clipped("text", score, x1 / width, y1 / height, x2 / width, y2 / height)
        if box:
            yield box


def _mean_inside(text: NDArray[Any], corners: NDArray[Any]) -> float:
    import cv2

    height, width = text.shape
    x1, y1 = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, (width - 1, height - 1))
    x2, y2 = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, (width - 1, height - 1))
    mask = np.zeros((y2 - y1 + 1, x2 - x1 + 1), np.uint8)
    cv2.fillPoly(mask, [(corners - (x1, y1)).astype(np.int32)], 1)
    return float(cv2.mean(np.ascontiguousarray(text[y1 : y2 + 1, x1 : x2 + 1]), mask)[0])
