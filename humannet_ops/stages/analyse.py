"""analyse: decode a video once; find its shots, measure every sampled moment, keep frames for detection.

Every second of the video ends in exactly one clip: shots are cut into pieces of fixed length, and what is left over at
the end of a shot is a clip too, which decide then refuses as too short. So nothing is dropped silently.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from humannet_ops.domain.outcome import Reason
from humannet_ops.domain.records import ClipSpan, Result, VideoSubject, kept, rejected
from humannet_ops.domain.stage import StageSpec
from humannet_ops.media import analysis
from humannet_ops.settings import Settings
from humannet_ops.stages.protocol import Context

if TYPE_CHECKING:
    from humannet_ops.media.shots import Shot

SPEC = StageSpec("analyse", "video", revision=3, queue="cpu", needs=("deduplicate_exact",), reads=("fetch",))
PARQUET = "application/vnd.apache.parquet"
# HumanNet cuts clips of fixed granularity inside shots; ten seconds is its middle.
CLIP_SECONDS = 10.0


def configuration(config: Settings, models: Any) -> dict[str, Any]:
    """Return what else decides the result."""
    return {
        "shot_detector": config.shot_detector,
        "clip_seconds": CLIP_SECONDS,
        # a GPU smooths pictures that FFmpeg's decoders are told to leave (decode)
        **({"codecs": config.codecs} if config.codecs != "software" else {}),
    }


class Analyse:
    """Analyses one video in one decode pass."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def process(self, subject: VideoSubject) -> Result:
        """Decode, measure, and propose clips."""
        config, store = self.context.config, self.context.store
        with store.local(subject.inputs["video"].uri) as path:
            found = analysis.analyse(
                path,
                self.context.scratch,
                shot_detector=config.shot_detector,
                threads=config.threads,
                timeout_s=config.subject_timeout_s,
                codecs=config.codecs,
            )
        scores = {
            "frames": found.frames,
            "shots": len(found.shots),
            "decode_faults": len(found.faults),
            "decoded_s": found.duration_s,
        }
        if found.frames < 2:
            return rejected(Reason.NO_VIDEO, scores=scores)
        signals = store.put(found.signals_path, kind="signals", suffix=".parquet", media_type=PARQUET)
        sampled = store.put(found.sampled_path, kind="sampled_frames", suffix=".parquet", media_type=PARQUET)
        return kept(
            scores=scores,
            detail={"shot_detector": config.shot_detector, "faults": found.faults[:5]},
            artifacts=(signals, sampled),
            records=(*spans(found.shots, found.times, found.duration_s), *found.fingerprints),
        )


def spans(shots: Sequence[Shot], times: Sequence[float], end_s: float) -> Iterator[ClipSpan]:
    """Cut shots into pieces of ``CLIP_SECONDS``, the last one being what is left. Pieces begin at frames.

    Args:
        shots: They cover the video.
        times: When each frame begins, seconds.
        end_s: When the last one ends.
    """
    moments = [*times, end_s]
    for number, shot in enumerate(shots):
        # a remainder of a few milliseconds is rounding, not footage
        pieces = max(1, math.ceil((shot.end_s - shot.start_s) / CLIP_SECONDS - 1e-3))
        starts = [
            bisect_left(times, shot.start_s + piece * CLIP_SECONDS - 1e-3, shot.start_frame, shot.end_frame)
            for piece in range(pieces)
        ]
        for start, end in pairwise([*starts, shot.end_frame]):
            if end > start:
                yield ClipSpan(number, start, end, moments[start], moments[end])
