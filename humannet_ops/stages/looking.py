"""Looking through a clip: one decode pass, each detector on every so many frames of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from humannet_ops.media import clip_frames
from humannet_ops.media.clip_frames import ClipFrames
from humannet_ops.settings import Settings

if TYPE_CHECKING:
    from humannet_ops.detectors.protocol import Detectors, Frame
    from humannet_ops.domain.detection import Detection

Seen = dict[int, list["Detection"]]
"""Frame -> what was found there, in order; an empty list where nothing was."""


def look(path: Path, detectors: Sequence[tuple[Detectors, float]], config: Settings) -> tuple[list[Seen], ClipFrames]:
    """Detect in a clip.

    Args:
        path: The clip.
        detectors: Of one role each, and how many frames a second it looks at.
        config: Gives the batch, the threads and the time.

    Returns:
        What each found, and the clip, read to its end.

    Raises:
        SubjectError: unreadable, timed_out.
    """
    seen: list[Seen] = [{} for _ in detectors]
    waiting: list[list[tuple[int, Frame]]] = [[] for _ in detectors]

    def work_off(place: int) -> None:
        numbers, frames = [at for at, _ in waiting[place]], [frame for _, frame in waiting[place]]
        if frames:
            (found,) = detectors[place][0].detect(frames)
            seen[place].update(zip(numbers, found, strict=True))
        waiting[place] = []

    with clip_frames.open_clip(path, threads=config.threads, timeout_s=config.subject_timeout_s) as clip:
        every = [spacing(clip.fps, looks_per_s) for _, looks_per_s in detectors]
        for number, frame in enumerate(clip):
            for place, step in enumerate(every):
                if number % step == 0:
                    waiting[place].append((number, frame))
                if len(waiting[place]) == config.batch:
                    work_off(place)
        for place in range(len(detectors)):
            work_off(place)
    return seen, clip


def spacing(fps: float, looks_per_s: float) -> int:
    """Return from how many frames one is looked at."""
    return max(1, round(fps / looks_per_s))
