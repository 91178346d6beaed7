"""Perceptual video fingerprints: 64 bits for each sampled frame, and the comparison of two sequences of them.

A hash holds the signs of the 64 lowest frequencies of a cosine transform, as in pHash (Zauner, "Implementation and
Benchmarking of Perceptual Image Hash Functions", 2010), with two changes: bars are removed first, and the picture is
weighted towards its centre, which a logo or a crop changes least. Mirroring a picture flips the sign of the odd
horizontal frequencies and of nothing else, so the mirrored hash costs nothing.

The thresholds were set with tests/benchmarks/near_duplicates.py: its edits of real videos must be found, and no other
pair may be. Distances below are in bits of 64; two unrelated pictures differ in 32 on average.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from humannet_ops.domain.records import Fingerprint

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]
    Bits = NDArray[np.uint64]

# Samples a second. At 2 a second the middle half of a clip of 1.7 s has one frame; at 4 it has three or four.
SAMPLE_FPS = 4.0
# Frames of a copy lie within this distance of the original's at the same moment. Measured mean over a video: the
# edits asked for 0-14, a crop off the centre 13-23; two unrelated videos' closest frames 15 and more.
SEARCH_RADIUS_BITS = 14

# A picture whose grey levels (0-255) vary by less has no structure to hash: a fade, a blank wall, black.
FLAT_LEVELS = 6.0
# Bars are found over this many samples (64 s): long enough that a dark scene is no bar, few enough to keep in memory.
_BLOCK = 256
# A bar keeps its level in time, and this part of each of its lines is near that: compression leaves 1-3 grey levels,
# and a logo may lie on a bar.
_BAR_LEVELS = 5.0
_BAR_SHARE = 0.75
# Where a bar ends the picture begins with a step, along half of the line and in one frame of ten; a plain backdrop
# (a blue screen, a slide's margin) has none.
_BAR_EDGE_LEVELS = 6.0
# What is left between bars is at least this part of the picture; else it was no bar.
_LEAST_PICTURE = 0.4

# The overlap of two copies: this part of the shorter one, and of the longer one (its middle half is 0.5, less a
# sample at each end). A shorter excerpt is a video of its own: to drop either for the other would lose footage.
_SHARE_OF_SHORTER = 0.6
_SHARE_OF_LONGER = 0.4
# An overlap below this part of the longer one whose inner edges are all cuts is a shot of a compilation, not a trim.
_SHARE_OF_TRIM = 0.7
# Three samples are 0.75 s, about the middle half of the shortest clip.
_LEAST_FRAMES = 3
# Mean distance up to which sequences that change together are copies. Edits asked for: 0-15; other videos, at the
# best of all time offsets: 19 and more.
_COPY_BITS = 17.0
# The same where no bit changes often enough to compare (a slide). Edits asked for: 0-10.
_STILL_COPY_BITS = 10.5
_STILL = 0.01
# Correlation in time of the changing bits, of all but still pictures: by one fixed camera another take is as near as a
# re-encoding is (1-3 bits), but it changes at other times. Copies: 0.31-1; another moment of the same place: -0.2 to
# 0.28. A cropped copy from a fixed camera before which little moves (0.1-0.2) is missed rather than two takes merged.
_TOGETHER = 0.3
# Below this many samples (4 s) chance and trend correlate too: two takes by one camera reach 0.53 at 9-14 bits and
# 0.50 at 6.7-8 bits. So either the correlation is higher or the distance smaller (a 10 % crop of a clip: 5-8).
_FEW_FRAMES = 16
_FEW_TOGETHER = 0.55
_FEW_COPY_BITS = 6.5
# Below this many nothing can be said of time. Trims of the shortest clips: 0-2; two takes by one camera: 6 and more.
_CHANGE_FRAMES = 6
_FEWEST_COPY_BITS = 5.0
# A cut, for the compilation rule: the picture jumps this far between two samples, and twice as far as just before and
# after; in a whip pan every sample jumps.
_JUMP_BITS = 18
# Bounds of the work: query frames tried at every time offset, and offsets then compared frame by frame.
_TRIED_FRAMES = 256
_TRIED_OFFSETS = 12

_FAR = 255  # distance to a moment without a fingerprint


@dataclass(frozen=True, slots=True)
class Match:
    """How two videos compare, at the time offset and in the orientation where they are most alike.

    Attributes:
        is_copy: One is an edited copy of the other.
        similarity: 1 for equal hashes, 0 for what unrelated pictures have.
        mirrored: The query is the mirror image of the candidate.
        overlap_s: Seconds that both show.
        offset_s: Candidate time minus query time.
    """

    is_copy: bool
    similarity: float
    mirrored: bool
    overlap_s: float
    offset_s: float


NO_MATCH = Match(is_copy=False, similarity=0.0, mirrored=False, overlap_s=0.0, offset_s=0.0)


class Fingerprints:
    """Collects frames of one video, in order of time, and hashes ``SAMPLE_FPS`` of them a second."""

    def __init__(self) -> None:
        self._due_s = 0.0
        self._times: list[float] = []
        self._frames: list[np.ndarray] = []
        self._made: list[Fingerprint] = []
        self._bars: list[tuple[float, float, float, float]] = []

    def feed(self, t_s: float, grey: np.ndarray) -> None:
        """Take a frame, or pass over it where none is due.

        Args:
            t_s: Presentation time in seconds.
            grey: (height, width) uint8, upright, square pixels, small: 100 to 300 pixels a side. Not kept by reference.
        """
        # a frame that comes within a tenth of a sample before its time is the one meant
        if t_s < self._due_s - 0.1 / SAMPLE_FPS:
            return
        self._due_s = (math.floor(t_s * SAMPLE_FPS + 0.1) + 1) / SAMPLE_FPS
        if self._frames and (len(self._frames) == _BLOCK or self._frames[0].shape != grey.shape):
            self._hash_block()
        self._times.append(float(t_s))
        self._frames.append(grey.copy())

    def result(self) -> list[Fingerprint]:
        """Return the fingerprints in order of time. Frames without structure have none; so may a whole video."""
        self._hash_block()
        return list(self._made)

    @property
    def bars(self) -> tuple[float, float, float, float]:
        """Parts of the height and width that are bars: top, bottom, left, right; the median over the video."""
        self._hash_block()
        top, bottom, left, right = np.median(self._bars, axis=0).tolist() if self._bars else (0.0,) * 4
        return top, bottom, left, right

    def _hash_block(self) -> None:
        if not self._frames:
            return
        frames = np.stack(self._frames)
        height, width = frames.shape[1:]
        top, bottom, left, right = find_bars(frames)
        self._bars.append((top / height, 1 - bottom / height, left / width, 1 - right / width))
        made = _hash(frames[:, top:bottom, left:right])
        self._made += [
            Fingerprint(t_s, bits, bits ^ _mirror_mask())
            for t_s, bits in zip(self._times, made, strict=True)
            if bits is not None
        ]
        self._times, self._frames = [], []


def find_bars(frames: np.ndarray) -> tuple[int, int, int, int]:
    """Find letterbox and pillarbox bars, of any one colour.

    Args:
        frames: (count, height, width) grey levels of one video.

    Returns:
        top, bottom, left, right: the picture is ``frames[:, top:bottom, left:right]``.
    """
    import cv2

    height, width = frames.shape[1:]
    live = frames[[float(cv2.meanStdDev(frame)[1][0, 0]) >= FLAT_LEVELS for frame in frames]]
    if not len(live):
        return 0, height, 0, width
    live = live[:: max(1, len(live) // 64)].astype(np.float32)
    return *_between_bars(live), *_between_bars(live.transpose(0, 2, 1))


def _between_bars(frames: Floats) -> tuple[int, int]:
    lines = frames.shape[1]
    first, last = _bar(frames), lines - _bar(frames[:, ::-1])
    return (first, last) if last - first >= _LEAST_PICTURE * lines else (0, lines)


def _bar(frames: Floats) -> int:
    """Count the lines of a bar at the start of axis 1."""
    level = np.median(frames[:, 0], axis=1)
    drift = np.percentile(np.abs(level - np.median(level)), 95)
    edge = (np.abs(frames[:, 0] - level[:, None]) <= _BAR_LEVELS).mean(axis=1)
    if drift > _BAR_LEVELS or np.percentile(edge, 5) < _BAR_SHARE:
        return 0  # most pictures have no bars: the other lines need no look
    near = np.abs(frames - level[:, None, None]) <= _BAR_LEVELS
    plain = np.percentile(near.mean(axis=2), 5, axis=0) >= _BAR_SHARE
    lines = int(np.argmin(plain))  # the first that is not plain
    if plain.all() or lines + 1 >= frames.shape[1]:
        return 0
    # the line at the edge may be a blend of bar and picture: look one further
    step = np.median(np.abs(frames[:, lines + 1] - frames[:, lines - 1]), axis=1)
    return lines if float(np.percentile(step, 90)) >= _BAR_EDGE_LEVELS else 0


@cache
def _frequencies() -> tuple[tuple[int, int], ...]:
    """Return the 64 lowest (vertical, horizontal) frequencies but the mean, lowest first."""
    pairs = [(v, h) for v in range(12) for h in range(12) if v + h]
    return tuple(sorted(pairs, key=lambda pair: (pair[0] ** 2 + pair[1] ** 2, pair))[:64])


@cache
def _mirror_mask() -> int:
    return sum(1 << place for place, (_, horizontal) in enumerate(_frequencies()) if horizontal % 2)


def _hash(frames: np.ndarray) -> list[int | None]:
    """Hash (count, height, width) pictures; None for one without structure."""
    vertical, horizontal = np.array(_frequencies()).T
    (rows, row_weight), (columns, column_weight) = (_cosines(side) for side in frames.shape[1:])
    weight = np.outer(row_weight, column_weight)
    places = np.uint64(1) << np.arange(64, dtype=np.uint64)
    made: list[int | None] = []
    for frame in frames:
        picture = frame.astype(np.float32)
        picture -= (picture * weight).sum()
        if (picture**2 * weight).sum() < FLAT_LEVELS**2:
            made.append(None)
            continue
        signs = (rows @ picture @ columns.T)[vertical, horizontal] > 0
        made.append(int(places[signs].sum(dtype=np.uint64)))
    return made


@cache
def _cosines(side: int) -> tuple[Floats, Floats]:
    """Return the (12, side) cosine basis of a side in pixels, weighted by a half sine, and that weight, of sum 1."""
    place = (np.arange(side) + 0.5) / side
    weight = np.sin(np.pi * place)
    basis = np.cos(np.pi * np.arange(12)[:, None] * place) * weight
    return basis.astype(np.float32), (weight / weight.sum()).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Sequence:
    """Hashes on a regular grid of ``SAMPLE_FPS``; ``present`` tells where there is one."""

    start_s: float
    bits: Bits
    present: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.bits)


def _sequence(prints: Sequence[Fingerprint], *, mirrored: bool = False) -> _Sequence:
    times = np.array([entry.t_s for entry in prints])
    bits = np.array([entry.mirrored_bits if mirrored else entry.bits for entry in prints], np.uint64)
    slots = np.round((times - times[0]) * SAMPLE_FPS).astype(np.int64)
    grid = np.arange(slots[-1] + 1)
    right = np.searchsorted(slots, grid).clip(0, len(slots) - 1)
    left = np.maximum(right - 1, 0)
    nearest = np.where(grid - slots[left] < slots[right] - grid, left, right)
    # a video of fewer frames a second than the grid has a hash at every other moment
    return _Sequence(float(times[0]), bits[nearest], np.abs(slots[nearest] - grid) <= 1)


def confirm(query: Sequence[Fingerprint], candidate: Sequence[Fingerprint]) -> Match:
    """Decide whether two videos are edited copies of each other, from their fingerprints in order of time.

    Finds the time offset and the orientation with the least mean distance. Where the pictures change, they must change
    together; where they stand still, they must be more alike. Whichever is asked about the other, they are copies or
    not: both must say so, because of short videos either may by chance. Work grows with the longer one's length only:
    two videos of an hour take about a second.
    """
    match = _compare(query, candidate)
    if match.is_copy and not _compare(candidate, query).is_copy:
        return replace(match, is_copy=False)
    return match


def _compare(query: Sequence[Fingerprint], candidate: Sequence[Fingerprint]) -> Match:
    """Look for the query in the candidate: a moment of the first is held against the two nearest of the second."""
    if len(query) < _LEAST_FRAMES or len(candidate) < _LEAST_FRAMES:
        return NO_MATCH
    theirs = _sequence(candidate)
    best: tuple[float, bool, _Sequence, int] | None = None
    for mirrored in (False, True):
        ours = _sequence(query, mirrored=mirrored)
        shorter, longer = sorted((len(ours), len(theirs)))
        least = max(_SHARE_OF_SHORTER * shorter, _SHARE_OF_LONGER * longer, _LEAST_FRAMES)
        for shift in _likely_shifts(ours, theirs, least):
            distance = _aligned(ours, theirs, shift)[0]
            if len(distance) >= _LEAST_FRAMES and (best is None or distance.mean() < best[0]):
                best = float(distance.mean()), mirrored, ours, shift
    if best is None:
        return NO_MATCH
    mean, mirrored, ours, shift = best
    distance, left, right = _aligned(ours, theirs, shift)
    return Match(
        is_copy=_is_copy(mean, left, right) and not _is_compiled(ours, theirs, shift),
        similarity=round(max(0.0, 1 - mean / 32), 4),
        mirrored=mirrored,
        overlap_s=len(distance) / SAMPLE_FPS,
        offset_s=round(theirs.start_s - ours.start_s + shift / SAMPLE_FPS, 3),
    )


def _likely_shifts(ours: _Sequence, theirs: _Sequence, least: float) -> list[int]:
    """Return the time offsets, in samples of ``theirs`` for our first, with the least mean distance over some frames.

    Every offset with an overlap of ``least`` samples is tried, with at most ``_TRIED_FRAMES`` of ours.
    """
    count = len(theirs)
    total = np.zeros(len(ours) + count - 1)
    tried = np.zeros(len(ours) + count - 1)
    rows = np.flatnonzero(ours.present)
    for row in rows[:: max(1, -(-len(rows) // _TRIED_FRAMES))]:
        window = slice(len(ours) - 1 - row, len(ours) - 1 - row + count)
        total[window] += np.bitwise_count(theirs.bits ^ ours.bits[row]) * theirs.present
        tried[window] += theirs.present
    shifts = np.arange(len(total)) - (len(ours) - 1)
    overlap = np.minimum(len(ours), count - shifts) - np.maximum(0, -shifts)
    mean = np.where((overlap >= least) & (tried > 0), total / np.maximum(tried, 1), np.inf)
    # a frame or two may be alike by chance: prefer what many frames say
    mean[tried < 0.5 * tried.max()] += 2
    order = np.argsort(mean, kind="stable")[:_TRIED_OFFSETS]
    return [int(shifts[place]) for place in order if np.isfinite(mean[place])]


def _aligned(ours: _Sequence, theirs: _Sequence, shift: int) -> tuple[NDArray[np.int64], Bits, Bits]:
    """Return distances, our hashes and their hashes at the moments that both have.

    Samples of a trimmed copy lie between those of its original, so the nearer in looks of two neighbours counts.
    """
    start, end = max(0, -shift), min(len(ours), len(theirs) - shift)
    mine = ours.bits[start:end]
    places = np.arange(start, end) + shift
    pairs = np.stack([places, np.minimum(places + 1, len(theirs) - 1)])
    distances = np.where(theirs.present[pairs], np.bitwise_count(theirs.bits[pairs] ^ mine), _FAR).astype(np.int64)
    nearer = distances.argmin(axis=0)
    column = np.arange(end - start)
    distance = distances[nearer, column]
    both = ours.present[start:end] & (distance < _FAR)
    return distance[both], mine[both], theirs.bits[pairs[nearer, column]][both]


def _is_copy(mean: float, left: Bits, right: Bits) -> bool:
    """Judge aligned hashes of mean distance ``mean``."""
    if mean > _COPY_BITS:
        return False
    if len(left) < _CHANGE_FRAMES:
        return mean <= _FEWEST_COPY_BITS
    one, other = _centred(left), _centred(right)
    change_one, change_other = float((one**2).mean()), float((other**2).mean())
    if min(change_one, change_other) < _STILL:
        return mean <= _STILL_COPY_BITS
    together = float((one * other).mean()) / math.sqrt(change_one * change_other)
    return together >= (_FEW_TOGETHER if len(left) < _FEW_FRAMES and mean > _FEW_COPY_BITS else _TOGETHER)


def _centred(bits: Bits) -> Floats:
    """Return (count, 64) bits as -1 and 1 less each bit's mean over time."""
    octets = bits.astype("<u8").view(np.uint8).reshape(-1, 8)
    signs = np.unpackbits(octets, axis=1).astype(np.float32) * 2 - 1
    centred: Floats = signs - signs.mean(axis=0)
    return centred


def _is_compiled(ours: _Sequence, theirs: _Sequence, shift: int) -> bool:
    """Tell whether the overlap is a shot among others of the longer one: small, and between cuts."""
    start, end = max(0, -shift), min(len(ours), len(theirs) - shift)
    longer, offset = (ours, 0) if len(ours) >= len(theirs) else (theirs, shift)
    if end - start >= _SHARE_OF_TRIM * len(longer):
        return False
    edges = [edge for edge in (start + offset, end + offset) if 1 < edge < len(longer) - 1]
    return bool(edges) and all(_is_cut(longer, edge) for edge in edges)


def _is_cut(video: _Sequence, slot: int) -> bool:
    """Tell whether the picture jumps within a sample of ``slot`` and not beside that."""
    place = int(np.searchsorted(np.flatnonzero(video.present), slot))
    bits = video.bits[video.present]
    jumps = np.bitwise_count(bits[1:] ^ bits[:-1])  # jumps[i] lies between i and i + 1
    for jump in range(max(0, place - 2), min(len(jumps), place + 1)):
        beside = [int(jumps[near]) for near in (jump - 1, jump + 1) if 0 <= near < len(jumps)]
        if jumps[jump] >= max(_JUMP_BITS, 2 * max(beside, default=0)):
            return True
    return False
