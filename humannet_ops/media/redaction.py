"""Redacting a clip: what is covered becomes a few flat patches, in a new file with the same frames and the same sound.

Each cover keeps ``PATCHES`` means along its shorter side, laid out smoothly: a face becomes 3 x 4 colours, a line of
text one row of blots. What was averaged away is not in the file. The colours stay: of skin, hair, ink and paper.

The pictures are changed as they are stored (YUV 4:2:0), so what is not covered goes through no colour conversion, and
only through the second encoding. The sound is copied packet by packet.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from humannet_ops.domain.outcome import Reason, SubjectError
from humannet_ops.media.container import open_video, packets_to_frames
from humannet_ops.media.encode import reproducible

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.frame import VideoFrame
    from numpy.typing import NDArray

KIND = "redacted_clip"
# Second encodings lose again: finer than cut's 22, so that the picture around the covers stays what it was.
CRF, PRESET = 18, "veryfast"
PATCHES = {"face": 3, "text": 1}
# Smaller than this, a cover has not enough pixels to be blurred: it gets one colour.
_FEWEST = 2


@dataclass(frozen=True, slots=True)
class Cover:
    """One thing's cover.

    Attributes:
        label: ``face`` or ``text``.
        box: frames x 4: x1, y1, x2, y2 in pixels; NaN where it is not there.
    """

    label: str
    box: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Redaction:
    """What was written.

    Attributes:
        frames: In the file, as many as in the original.
        covered: How many of them have a cover.
        area: Mean share of the picture that is covered.
    """

    frames: int
    covered: int
    area: float


def redact(
    source: Path, target: Path, covers: list[Cover], *, threads: int = 2, timeout_s: float = math.inf
) -> Redaction:
    """Write a clip anew with everything that is covered made unrecognisable.

    Args:
        source: A clip as ``encode.cut`` writes them; it is only read.
        target: The MP4 to write; it is gone again where this raises.
        covers: What to hide.
        threads: Decoder threads.
        timeout_s: Wall seconds that this may take.

    Raises:
        SubjectError: unreadable, timed_out.
        OSError: the target cannot be written.
    """
    import av

    faults: list[str] = []
    frames, covered, area = 0, 0, 0.0
    deadline = time.monotonic() + timeout_s
    try:
        with (
            open_video(source) as (container, stream),
            av.open(str(target), "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"}) as out,
        ):
            stream.thread_type, stream.codec_context.thread_count = "AUTO", threads
            writer = _Writer(out, source, stream)
            for number, frame in enumerate(packets_to_frames(container, stream, faults)):
                if time.monotonic() > deadline:
                    raise SubjectError(
                        Reason.TIMED_OUT, f"redaction took longer than {timeout_s:.0f} s (HUMANNET_SUBJECT_TIMEOUT_S)."
                    )
                hidden = [(one.label, one.box[number]) for one in covers if not np.isnan(one.box[number, 0])]
                picture, share = hide(frame, hidden)
                writer.add(number, picture)
                frames, covered, area = frames + 1, covered + bool(hidden), area + share
            writer.finish()
        if faults or not frames or any(len(one.box) != frames for one in covers):
            lengths = sorted({len(one.box) for one in covers})
            cause = faults[0] if faults else f"it has {frames} frames, the covers are for {lengths}"
            raise SubjectError(Reason.UNREADABLE, f"the clip {source.name} cannot be redacted ({cause}).")
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return Redaction(frames, covered, area / frames)


def hide(frame: VideoFrame, hidden: list[tuple[str, NDArray[np.float64]]]) -> tuple[VideoFrame, float]:
    """Return a picture in which boxes are hidden, and the share of it that they take; without boxes, the same picture.

    Args:
        frame: 8-bit YUV 4:2:0.
        hidden: Label and box (x1, y1, x2, y2 in pixels) of each.
    """
    from av.video.frame import VideoFrame as Frame

    if not hidden:
        return frame, 0.0
    height, width = frame.height, frame.width
    stored = cast("NDArray[np.uint8]", frame.to_ndarray(format="yuv420p"))
    half = (2, height // 2, width // 2)
    luma, chroma = stored[:height], stored[height:].reshape(half)
    where = np.zeros((height, width), bool)
    for label, box in hidden:
        # outwards to whole pixels of the coarser planes
        x1, y1 = (max(0, math.floor(value / 2) * 2) for value in box[:2])
        x2, y2 = (min(end, math.ceil(value / 2) * 2) for value, end in zip(box[2:], (width, height), strict=True))
        if x2 <= x1 or y2 <= y1:
            continue
        where[y1:y2, x1:x2] = True
        blot(luma[y1:y2, x1:x2], PATCHES[label])
        for plane in chroma:
            blot(plane[y1 // 2 : y2 // 2, x1 // 2 : x2 // 2], PATCHES[label])
    picture = Frame.from_ndarray(stored, format="yuv420p")
    picture.color_range, picture.colorspace = frame.color_range, frame.colorspace
    picture.color_primaries, picture.color_trc = frame.color_primaries, frame.color_trc
    return picture, float(where.mean())


def blot(plane: NDArray[np.uint8], patches: int) -> None:
    """Replace a part of a plane, in place, by the means of few patches, blended into each other.

    Args:
        plane: height x width.
        patches: How many the shorter side has.
    """
    import cv2

    height, width = plane.shape
    side = max(1.0, min(height, width) / patches)
    cells = (max(1, round(width / side)), max(1, round(height / side)))
    if min(height, width) < _FEWEST:
        plane[:] = round(float(plane.mean()))
        return
    small = cv2.resize(plane, cells, interpolation=cv2.INTER_AREA)
    plane[:] = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


class _Writer:
    """The new file: one H.264 stream with the original's clock, and its sound as it is."""

    def __init__(self, output: OutputContainer, source: Path, video: Any) -> None:
        self._output = output
        self._fps = video.average_rate
        options = {"crf": str(CRF), "preset": PRESET, "x264-params": reproducible(), "flags": "+bitexact"}
        self._video: Any = output.add_stream("libx264", rate=self._fps, options=options)
        codec = video.codec_context
        self._video.width, self._video.height, self._video.pix_fmt = codec.width, codec.height, "yuv420p"
        context = self._video.codec_context
        context.color_range, context.colorspace = codec.color_range, codec.colorspace
        context.color_primaries, context.color_trc = codec.color_primaries, codec.color_trc
        self._sound = _sound(source, output)

    def add(self, number: int, picture: VideoFrame) -> None:
        """Encode one frame, and copy the sound up to it."""
        from av.video.frame import PictureType

        # the first encoder's choice of key frames is not this one's
        picture.pict_type = PictureType.NONE
        picture.pts, picture.time_base = number, 1 / self._fps
        self._output.mux(self._video.encode(picture))
        self._copy_sound(float((number + 1) / self._fps))

    def finish(self) -> None:
        """Write what the encoder holds back, and the rest of the sound."""
        self._output.mux(self._video.encode(None))
        self._copy_sound(math.inf)

    def _copy_sound(self, until_s: float) -> None:
        for end_s, packet in self._sound:
            self._output.mux(packet)
            if end_s >= until_s:
                return


def _sound(source: Path, output: OutputContainer) -> Iterator[tuple[float, Any]]:
    """Declare the sound stream, if there is one, and return its packets with the time at which each ends."""
    with open_video(source) as (container, _):
        if not container.streams.audio:
            return iter(())
        copy = output.add_stream_from_template(container.streams.audio[0])

    def packets() -> Iterator[tuple[float, Any]]:
        with open_video(source) as (container, _):
            for packet in container.demux(container.streams.audio[0]):
                if packet.dts is not None:
                    end_s = float((packet.dts + (packet.duration or 0)) * packet.time_base)
                    packet.stream = copy
                    yield end_s, packet

    return packets()
