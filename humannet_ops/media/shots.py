"""Shot boundaries, by the scores of PySceneDetect's detectors on frames that are decoded anyway."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np

    from humannet_ops.media.decode import Frame

# PySceneDetect's default threshold of ContentDetector: mean change of hue, saturation and luma, of 255.
MIN_CONTENT = 27.0
# PySceneDetect's default of AdaptiveDetector: change against the mean change of the two frames on either side.
MIN_RATIO = 3.0
# A cut is the largest change for a while: against the next largest within five frames. It parts cuts (1.6 and more
# on the corpus) from whip pans and shaking hands, where large changes come in rows (1.5 and less).
MIN_DOMINANCE = 1.55
DOMINANCE_FRAMES = 5
# Share of HashDetector's 64 structure bits that change (its default is 0.395). A flash keeps the structure.
MIN_HASH = 0.3
# HashDetector's defaults.
HASH_SIDE, HASH_LOWPASS = 8, 2
# Where nothing moved before and after, the change itself is proof: slides and screen recordings.
STILL_RATIO = 20.0
# A cut changes single pixels by this much of 255 on average (20 and more on the corpus): only around such frames are
# the pictures themselves compared, which costs as much as decoding a small video.
MIN_GLANCE = 12.0
# Two cuts closer than this are one transition: a black frame between two shots, a flash frame.
MIN_SHOT_S = 0.2


@dataclass(frozen=True, slots=True)
class Shot:
    """Frames ``[start_frame, end_frame)`` between two cuts, in seconds from the first frame."""

    start_frame: int
    end_frame: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class _Picture:
    index: int
    bgr: np.ndarray
    hsv: np.ndarray


class ShotDetector(Protocol):
    """Takes every frame once, in order, and then tells where shots begin."""

    def feed(self, frame: Frame) -> None:
        """Look at the next frame."""

    def cuts(self) -> list[int]:
        """Return the frames that begin a new shot, ascending, without the first frame."""


class PySceneDetectShots:
    """ContentDetector's and HashDetector's scores, judged together over the whole video.

    AdaptiveDetector alone finds 92 % and ContentDetector 93 % of cuts, and both cut whip pans; asked together with
    the hash and the neighbourhood they part the two. ``tests/benchmarks/corpus_truth.py`` prints what they reach.
    """

    def __init__(self) -> None:
        # of every frame; 0 where nobody looked closely
        self._changes, self._hashes = array("f"), array("f")
        self._candidates: list[int] = []
        # a candidate's neighbours before it, and the frame that the first of them is compared with
        self._recent: deque[Frame] = deque(maxlen=DOMINANCE_FRAMES + 2)
        self._glance: np.ndarray | None = None
        self._before: _Picture | None = None

    def feed(self, frame: Frame) -> None:
        """Look at the next frame."""
        self._recent.append(frame)
        self._changes.append(0.0)
        self._hashes.append(0.0)
        if self._is_candidate(frame.glance):
            self._candidates.append(frame.index)
        if self._candidates and frame.index - self._candidates[-1] <= DOMINANCE_FRAMES:
            for waiting in self._recent:
                if self._before is None or waiting.index > self._before.index:
                    self._look(waiting)

    def _is_candidate(self, glance: np.ndarray) -> bool:
        import cv2

        before, self._glance = self._glance, glance
        if before is None or before.shape != glance.shape:
            return before is not None
        return cv2.norm(before, glance, cv2.NORM_L1) >= MIN_GLANCE * glance.size

    def _look(self, frame: Frame) -> None:
        import cv2

        bgr = frame.bgr
        before, now = self._before, _Picture(frame.index, bgr, cv2.cvtColor(bgr, cv2.COLOR_BGR2HSV))
        self._before = now
        # after a gap there is nothing to compare with
        if before is None or before.index != now.index - 1 or before.bgr.shape != bgr.shape:
            return
        self._changes[now.index] = change = content_change(before.hsv, now.hsv)
        if change >= MIN_CONTENT:
            self._hashes[now.index] = hash_change(before.bgr, bgr)

    def cuts(self) -> list[int]:
        """Return the frames that begin a new shot, ascending, without the first frame."""
        return [index for index in self._candidates if self._is_cut(index)]

    def _is_cut(self, index: int) -> bool:
        change = self._changes[index]
        if change < MIN_CONTENT:
            return False
        ratio = change / max(_mean(self._around(index, 2)), 1e-5)
        if ratio < MIN_RATIO or change < MIN_DOMINANCE * max(self._around(index, DOMINANCE_FRAMES), default=0.0):
            return False
        return self._hashes[index] >= MIN_HASH or ratio >= STILL_RATIO

    def _around(self, index: int, reach: int) -> list[float]:
        return [*self._changes[max(1, index - reach) : index], *self._changes[index + 1 : index + reach + 1]]


def content_change(before: np.ndarray, now: np.ndarray) -> float:
    """Return ContentDetector's score of two pictures: mean change of hue, saturation and value, 0 to 255.

    Not asked of ContentDetector: it tells its score only with that of the edges, which takes ten times as long.

    Args:
        before: HSV, uint8 (height, width, 3).
        now: The same.
    """
    import cv2

    return cv2.norm(before, now, cv2.NORM_L1) / now.size


def hash_change(before: np.ndarray, now: np.ndarray) -> float:
    """Return the share of bits in which HashDetector's hashes of two pictures differ.

    Args:
        before: BGR, uint8 (height, width, 3).
        now: The same.
    """
    from scenedetect.detectors import HashDetector

    one, other = (HashDetector.hash_frame(picture, HASH_SIDE, HASH_LOWPASS) for picture in (before, now))
    return float((one != other).mean())


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def open_shot_detector(name: str) -> ShotDetector:
    """Return a shot detector by its name in ``HUMANNET_SHOT_DETECTOR``.

    Raises:
        ValueError: there is none of that name.
    """
    if name == "pyscenedetect":
        return PySceneDetectShots()
    if name == "transnetv2":
        from humannet_ops.media.transnet import TransNetShots

        return TransNetShots()
    raise ValueError(f"HUMANNET_SHOT_DETECTOR is {name!r}: give pyscenedetect or transnetv2")


def shots(cuts: Sequence[int], times: Sequence[float], end_s: float) -> list[Shot]:
    """Turn cuts into shots that cover the video without a gap.

    Args:
        cuts: Frames that begin a new shot.
        times: Presentation time of every frame, seconds.
        end_s: When the last frame ends.
    """
    kept: list[int] = []
    for cut in cuts:
        if kept and times[cut] - times[kept[-1]] < MIN_SHOT_S:
            continue
        kept.append(cut)
    edges = [0, *kept, len(times)]
    moments = [*times, end_s]
    return [Shot(start, end, moments[start], moments[end]) for start, end in pairwise(edges) if end > start]
