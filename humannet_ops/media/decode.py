"""The one decode pass: every displayed frame once, small for measuring, larger where detection will look.

FFmpeg scales while it converts, so a frame of any size never becomes a full-size array; and a picture is made only
when somebody asks for it, because most frames are only glanced at.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from humannet_ops.domain.outcome import Reason, SubjectError
from humannet_ops.media.container import open_video, packets_to_frames
from humannet_ops.media.hardware import Codecs
from humannet_ops.media.probe import displayed_size

if TYPE_CHECKING:
    import numpy as np
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter

logger = logging.getLogger(__name__)

# Long side of the picture that every analyser sees. PySceneDetect's own downscale aims at 256 pixels too.
ANALYSIS_SIDE = 256
# Long side of the pictures that detectors see: the input sizes of the default models are 192 to 640.
DETECTION_SIDE = 640
# Long side of what tells whether two frames differ at all: 20 microseconds for a frame of any size.
GLANCE_SIDE = 64
# Pictures that no other picture refers to stay without the filter that smooths block edges: an eighth of the decoding
# is saved, nothing adds up from picture to picture, and what is measured is measured on a smaller picture.
_SKIPPED = {"skip_loop_filter": "noref"}
# A header's duration and the last frame's end differ by up to a frame or two in whole files (under 0.1 s in all of the
# corpus); pictures that end earlier than this before what the header promises are lost.
_LOST_S = 0.5


@dataclass(frozen=True, slots=True)
class Frame:
    """One displayed frame. Its pictures are made anew each time that they are asked for.

    It holds a picture of the decoder's: keep only a few.

    Attributes:
        index: Counted from 0 in presentation order.
        t_s: Presentation time in seconds; the first frame is 0.
        is_wanted: Whether a sample is due here.
    """

    index: int
    t_s: float
    is_wanted: bool
    _picture: VideoFrame
    _displayed: tuple[int, int]
    _scale: _Scaler

    @property
    def bgr(self) -> np.ndarray:
        """Upright, square pixels, uint8 (height, width, 3), long side ``ANALYSIS_SIDE`` at most."""
        return self._scale(self._picture, self._displayed, ANALYSIS_SIDE, "bgr24")

    @property
    def grey(self) -> np.ndarray:
        """Brightness of ``bgr``, 0 to 255 whatever range the file uses: uint8 (height, width)."""
        import cv2

        # swscale takes longer to make grey than to make colour
        grey: np.ndarray = cv2.cvtColor(self.bgr, cv2.COLOR_BGR2GRAY)
        return grey

    @property
    def sample(self) -> np.ndarray | None:
        """As ``bgr``, long side ``DETECTION_SIDE`` at most, where one is due; else None."""
        return self._scale(self._picture, self._displayed, DETECTION_SIDE, "bgr24") if self.is_wanted else None

    @property
    def glance(self) -> np.ndarray:
        """As ``bgr``, of single pixels and not averages, long side ``GLANCE_SIDE`` at most."""
        return self._scale(self._picture, self._displayed, GLANCE_SIDE, "bgr24", "POINT")


@dataclass(slots=True)
class Pass:
    """What a decode pass met, complete when its frames are."""

    frames: int = 0
    end_s: float = 0.0
    faults: list[str] = field(default_factory=list)


def decode(
    path: Path,
    report: Pass,
    *,
    sample_fps: float = 2.0,
    threads: int = 2,
    timeout_s: float = math.inf,
    codecs: Codecs = "software",
) -> Iterator[Frame]:
    """Decode a file from its first frame to its last, once.

    Args:
        path: A local video file.
        report: Filled while frames are taken.
        sample_fps: How many samples a second of presentation time are wanted, whatever the frame rate.
        threads: Decoder threads.
        timeout_s: Wall seconds that the pass may take.
        codecs: Whether a GPU may decode it.

    Raises:
        SubjectError: not readable at all, or timed_out. Damage further in ends the pass and is in ``report.faults``,
            and so is an end before the one that the header promises: FFmpeg takes a file cut off between two packets
            for a whole one.
    """
    logger.info("decode pass: %s", path.name)
    started = time.monotonic()
    with open_video(path, codecs) as (container, stream):
        # Frame threads lose the frames before damage, and how many depends on how many threads there are.
        stream.thread_type = "SLICE"
        stream.codec_context.thread_count = threads
        stream.codec_context.options = _SKIPPED
        step = float(1 / stream.average_rate) if stream.average_rate else 1 / 25
        scale = _Scaler()
        origin, t_s, due = None, -step, 0.0
        for picture in packets_to_frames(container, stream, report.faults):
            if time.monotonic() - started > timeout_s:
                raise SubjectError(
                    Reason.TIMED_OUT, f"decoding took longer than {timeout_s:.0f} s (HUMANNET_SUBJECT_TIMEOUT_S)."
                )
            origin = picture.time if origin is None else origin
            t_s = next_time(picture.time, origin, t_s, step)
            if wanted := t_s >= due - step / 2:
                due = (math.floor((t_s + step / 2) * sample_fps) + 1) / sample_fps
            yield Frame(report.frames, t_s, wanted, picture, displayed_size(picture, stream), scale)
            report.frames += 1
            report.end_s = t_s + step
        promised_s = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
        if report.end_s < promised_s - _LOST_S:
            report.faults.append(f"pictures end at {report.end_s:.2f} s, the header promises {promised_s:.2f} s")


def next_time(pts_s: float | None, origin: float | None, last: float, step: float) -> float:
    """Return the presentation time, which always grows: old AVI files have none, damaged ones repeat it."""
    if pts_s is None or origin is None:
        return last + step
    t_s = float(pts_s) - origin
    return t_s if t_s > last else last + step


class _Scaler:
    """Scales to upright, square-pixel arrays. One swscale context for each kind of picture is kept and used again."""

    def __init__(self) -> None:
        self._reformatters: dict[tuple[int, str], VideoReformatter] = {}

    def __call__(
        self, frame: VideoFrame, displayed: tuple[int, int], long_side: int, form: str, method: str = "AREA"
    ) -> np.ndarray:
        import numpy as np
        from av.video.reformatter import VideoReformatter

        shrink = min(1.0, long_side / max(displayed))
        width, height = (max(2, round(side * shrink)) for side in displayed)
        if frame.rotation % 180:
            width, height = height, width
        if (reformatter := self._reformatters.get((long_side, form))) is None:
            reformatter = self._reformatters[long_side, form] = VideoReformatter()
        # waking a second thread costs more than a small picture
        small = reformatter.reformat(frame, width, height, format=form, interpolation=method, threads=1).to_ndarray()
        turns = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(small, turns)) if turns else small
