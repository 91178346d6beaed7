"""Everything that is measured on a video, in the one decode pass."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from humannet_ops.domain.outcome import Reason, SubjectError
from humannet_ops.domain.records import Fingerprint
from humannet_ops.media import sampled_frames, signals
from humannet_ops.media.decode import Pass, decode
from humannet_ops.media.fingerprints import SAMPLE_FPS as FINGERPRINT_FPS
from humannet_ops.media.fingerprints import Fingerprints
from humannet_ops.media.hardware import Codecs
from humannet_ops.media.motion import MotionMeter
from humannet_ops.media.picture import PictureMeter
from humannet_ops.media.shots import Shot, open_shot_detector, shots

# Hands and tools move within a fifth of a second; finer sampling measures sensor noise.
SIGNAL_FPS = 5.0
# People are looked for twice a second: nobody acts for less.
DETECTION_FPS = 2.0


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the pass found.

    Attributes:
        frames: Displayed frames.
        duration_s: From the first frame to the end of the last.
        shots: They cover the video without a gap.
        fingerprints: In time order.
        faults: What FFmpeg complained of; the pass went on, or ended there.
        signals_path: Parquet, see ``signals``.
        sampled_path: Parquet, see ``sampled_frames``.
        times: When each frame begins, seconds.
    """

    frames: int
    duration_s: float
    shots: list[Shot]
    fingerprints: list[Fingerprint]
    faults: list[str]
    signals_path: Path
    sampled_path: Path
    times: Sequence[float]


class _Every:
    """Says for which frames a sampler of a given rate is due, by presentation time."""

    def __init__(self, fps: float) -> None:
        self._fps, self._due = fps, 0.0

    def due(self, t_s: float) -> bool:
        if t_s + 1e-6 < self._due:
            return False
        self._due = (math.floor(t_s * self._fps + 1e-6) + 1) / self._fps
        return True


def analyse(
    path: Path, scratch: Path, *, shot_detector: str, threads: int, timeout_s: float, codecs: Codecs = "software"
) -> Analysis:
    """Decode a video once and measure it.

    Args:
        path: A local video file.
        scratch: Where the Parquet files are written.
        shot_detector: As in ``shots.open_shot_detector``.
        threads: Decoder threads.
        timeout_s: Wall seconds that decoding may take.
        codecs: Whether a GPU may decode it.

    Raises:
        SubjectError: nothing of it can be decoded, or it took too long.
    """
    import cv2

    cv2.setNumThreads(1)
    detector, motion, picture, prints = (
        open_shot_detector(shot_detector), MotionMeter(), PictureMeter(), Fingerprints(),
    )  # fmt: skip
    report, times, rows = Pass(), array("d"), array("f")
    signal_due, print_due = _Every(SIGNAL_FPS), _Every(FINGERPRINT_FPS)
    sampled_path, signals_path = scratch / "sampled_frames.parquet", scratch / "signals.parquet"
    with sampled_frames.Writer(sampled_path) as sampled:
        frames = decode(path, report, sample_fps=DETECTION_FPS, threads=threads, timeout_s=timeout_s, codecs=codecs)
        for frame in frames:
            times.append(frame.t_s)
            detector.feed(frame)
            if (sample := frame.sample) is not None:
                sampled.add(frame.t_s, frame.index, sample)
            if not (for_signal := signal_due.due(frame.t_s)) | (for_print := print_due.due(frame.t_s)):
                continue
            grey = frame.grey
            if for_print:
                prints.feed(frame.t_s, grey)
            if for_signal:
                rows.extend((frame.t_s, *picture.feed(grey), *motion.feed(frame.t_s, grey)))
    if not report.frames:
        raise SubjectError(
            Reason.UNREADABLE, f"not one frame can be decoded ({report.faults[0] if report.faults else 'no packets'})."
        )
    width = len(signals.COLUMNS)
    signals.write(signals_path, [rows[start : start + width] for start in range(0, len(rows), width)])
    return Analysis(
        frames=report.frames,
        duration_s=report.end_s,
        shots=shots(detector.cuts(), times, report.end_s),
        fingerprints=prints.result(),
        faults=report.faults,
        signals_path=signals_path,
        sampled_path=sampled_path,
        times=times,
    )
