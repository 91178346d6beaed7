"""Cutting a clip: frame-accurate, at a constant rate, upright, in square pixels, as H.264 and AAC in MP4.

PyAV, in process: the output's frames are chosen on the same clock that the analysis used (0 is the first displayed
frame), so a clip begins with exactly the frame that its shot begins with, whatever container, edit list or variable
frame rate the source has. The same input gives the same bytes: clips are stored under their hash.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from humannet_ops.domain.outcome import Reason, SubjectError
from humannet_ops.media.container import open_video, packets_to_frames
from humannet_ops.media.decode import next_time
from humannet_ops.media.probe import displayed_size

if TYPE_CHECKING:
    import numpy as np
    from av.container import InputContainer, OutputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# Below this, decoding from the start costs less than a seek that may miss.
_SEEK_FROM_S = 4.0
# Frames whose times differ by less are the same moment: the clock of the coarsest container (AVI, FLV) ticks in ms.
_SAME_MOMENT_S = 1e-3
_AUDIO_RATE = 48_000
_AUDIO_FRAME = 1024
# x264's output depends on its thread count, so that is fixed; shards side by side fill the cores.
_REPRODUCIBLE = "threads=1:lookahead-threads=1:sync-lookahead=0"


@dataclass(frozen=True, slots=True)
class CutReport:
    """What was written: frames, size in pixels, frames a second, seconds, and whether sound came along."""

    frames: int
    width: int
    height: int
    fps: float
    duration_s: float
    has_audio: bool


def cut(
    source: Path,
    target: Path,
    start_s: float,
    end_s: float,
    *,
    fps: int = 30,
    short_side: int = 720,
    crf: int = 22,
    preset: str = "veryfast",
    timeout_s: float = math.inf,
) -> CutReport:
    """Encode ``[start_s, end_s)`` of a video.

    Args:
        source: A local video file.
        target: The MP4 to write.
        start_s: Seconds from the first displayed frame.
        end_s: The same.
        fps: Constant output rate. A tick shows the last source frame that began by then.
        short_side: Pixels that the short side may have; smaller pictures are not enlarged.
        crf: x264's quality.
        preset: x264's speed.
        timeout_s: Wall seconds that the cut may take.

    Returns:
        What was written; ``frames`` is ``round((end_s - start_s) * fps)``.

    Raises:
        SubjectError: unreadable, timed_out, or nothing to see in that span.
    """
    import av

    frames = max(1, round((end_s - start_s) * fps))
    deadline = time.monotonic() + timeout_s
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with open_video(source) as (container, stream), av.open(str(target), "w", format="mp4", options=options) as output:
        clock = _Clock(container, stream)
        writer: _Writer | None = None
        for tick, (frame, displayed) in enumerate(_ticks(clock, start_s, fps, frames)):
            if time.monotonic() > deadline:
                raise SubjectError(Reason.TIMED_OUT, f"encoding took longer than {timeout_s:.0f} s.")
            if writer is None:
                sound = _sound(source, clock.origin_s + start_s, frames / fps) if container.streams.audio else None
                writer = _Writer(output, _output_size(displayed, short_side), fps, crf, preset, sound)
            writer.add(tick, frame)
        if writer is None:
            raise SubjectError(Reason.UNREADABLE, f"no frame between {start_s:.3f} s and {end_s:.3f} s can be decoded.")
        writer.finish()
        return CutReport(frames, *writer.size, float(fps), frames / fps, writer.has_audio)


def _output_size(displayed: tuple[int, int], short_side: int) -> tuple[int, int]:
    shrink = min(1.0, short_side / min(displayed))
    # yuv420p has half the chroma samples each way: sides are even
    width, height = (max(2, round(side * shrink / 2) * 2) for side in displayed)
    return width, height


class _Clock:
    """The video's frames from any moment on, timed from its first displayed frame."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container, self._stream = container, stream
        stream.thread_type = "AUTO"
        self._step = float(1 / stream.average_rate) if stream.average_rate else 1 / 25
        first = next(self._decode(), None)
        self._seekable = first is not None and first.time is not None
        self.origin_s = float(first.time) if first is not None and first.time is not None else 0.0
        self._rewind()

    def frames(self, start_s: float) -> Iterator[tuple[float, VideoFrame]]:
        """Yield ``(t_s, frame)`` from the frame that is shown at ``start_s`` (or before it) on."""
        if self._seekable and start_s > _SEEK_FROM_S:
            self._seek(start_s)
            first = next(self._decode(), None)
            if first is not None and first.time is not None and first.time - self.origin_s <= start_s:
                self._seek(start_s)
            else:
                self._rewind()
        last = -self._step
        for frame in self._decode():
            last = next_time(frame.time, self.origin_s, last, self._step)
            yield last, frame

    def size(self, frame: VideoFrame) -> tuple[int, int]:
        """Return the displayed size."""
        return displayed_size(frame, self._stream)

    def _decode(self) -> Iterator[VideoFrame]:
        return packets_to_frames(self._container, self._stream, [])

    def _seek(self, start_s: float) -> None:
        base = self._stream.time_base
        assert base is not None
        self._container.seek(int((self.origin_s + start_s) / base), stream=self._stream, backward=True)

    def _rewind(self) -> None:
        import av

        try:
            self._container.seek(0)
        except av.error.FFmpegError:
            # a file that cannot seek is read on; its first frame is lost to the look at it, which _ticks holds
            self._seekable = False


def _ticks(clock: _Clock, start_s: float, fps: int, frames: int) -> Iterator[tuple[VideoFrame, tuple[int, int]]]:
    """Yield for each output tick the source frame that is shown then; the last one is held to the end."""
    shown, tick = None, 0
    for t_s, frame in clock.frames(start_s):
        while shown is not None and tick < frames and start_s + tick / fps < t_s - _SAME_MOMENT_S:
            yield shown, clock.size(shown)
            tick += 1
        if tick == frames:
            return
        shown = frame
    while shown is not None and tick < frames:
        yield shown, clock.size(shown)
        tick += 1


@cache
def _reproducible() -> str:
    """Return x264 parameters that give the same bytes for the same pictures.

    On a busy machine with AVX-512 x264 was measured to give up to four different files from twenty runs, and one file
    from any number of runs when it kept to AVX2.
    """
    flags = Path("/proc/cpuinfo")
    wide = flags.exists() and " avx512f" in flags.read_text()
    return _REPRODUCIBLE + (":asm=AVX2" if wide else "")


class _Writer:
    """The output file: one H.264 stream, and an AAC stream where there is sound."""

    def __init__(
        self,
        output: OutputContainer,
        size: tuple[int, int],
        fps: int,
        crf: int,
        preset: str,
        sound: np.ndarray | None,
    ) -> None:
        from av.video.reformatter import VideoReformatter

        self._output, self.size, self._sound = output, size, sound
        self._reformatter = VideoReformatter()
        self._time_base = Fraction(1, fps)
        options = {"crf": str(crf), "preset": preset, "x264-params": _reproducible(), "flags": "+bitexact"}
        self._video: Any = output.add_stream("libx264", rate=fps, options=options)
        self._video.width, self._video.height, self._video.pix_fmt = *size, "yuv420p"
        self._audio: Any = None
        if sound is not None:
            self._audio = output.add_stream("aac", rate=_AUDIO_RATE, options={"flags": "+bitexact"})
            self._audio.layout = "stereo"

    @property
    def has_audio(self) -> bool:
        """Whether a sound stream is written."""
        return self._audio is not None

    def add(self, tick: int, frame: VideoFrame) -> None:
        """Encode one output frame."""
        picture = self._upright(frame)
        picture.pts, picture.time_base = tick, self._time_base
        self._output.mux(self._video.encode(picture))

    def finish(self) -> None:
        """Write the sound and what the encoders hold back."""
        self._output.mux(self._video.encode(None))
        if self._audio is not None:
            self._write_sound()

    def _upright(self, frame: VideoFrame) -> VideoFrame:
        import numpy as np
        from av.video.frame import PictureType, VideoFrame
        from av.video.reformatter import ColorRange

        width, height = self.size
        turns = round(frame.rotation / 90) % 4
        if turns % 2:
            width, height = height, width
        # phones and MJPEG write full-range luma; the output is the limited range that players expect
        picture = self._reformatter.reformat(
            frame, width, height, format="yuv420p", interpolation="BICUBIC", dst_color_range=ColorRange.MPEG
        )
        if turns:
            upright = np.ascontiguousarray(np.rot90(picture.to_ndarray(format="rgb24"), turns))
            picture = VideoFrame.from_ndarray(upright.astype(np.uint8, copy=False), format="rgb24")
        # the decoder's choice of key frames is not the encoder's
        picture.pict_type = PictureType.NONE
        return picture

    def _write_sound(self) -> None:
        from av.audio.frame import AudioFrame

        assert self._sound is not None
        for start in range(0, self._sound.shape[1], _AUDIO_FRAME):
            piece = self._sound[:, start : start + _AUDIO_FRAME].copy()
            frame = AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = _AUDIO_RATE, start, Fraction(1, _AUDIO_RATE)
            self._output.mux(self._audio.encode(frame))
        self._output.mux(self._audio.encode(None))


def _sound(source: Path, start_s: float, seconds: float) -> np.ndarray | None:
    """Return the sound of a span as float32 (2, samples) at 48 kHz, silent where there is none.

    Args:
        source: The file.
        start_s: On the container's clock.
        seconds: Length.

    Returns:
        None where no sound can be decoded at all.
    """
    import av
    import numpy as np

    samples = np.zeros((2, round(seconds * _AUDIO_RATE)), np.float32)
    heard = False
    with av.open(str(source), options={"protocol_whitelist": "file"}, metadata_errors="replace") as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=_AUDIO_RATE)
        try:
            if start_s > _SEEK_FROM_S and stream.time_base:
                container.seek(int((start_s - 0.5) / stream.time_base), stream=stream, backward=True)
            for frame in container.decode(stream):
                if frame.time is None or frame.time >= start_s + seconds:
                    break
                for piece in resampler.resample(frame):
                    heard |= _place(samples, piece.to_ndarray(), round((frame.time - start_s) * _AUDIO_RATE))
        except av.error.FFmpegError:
            pass  # damaged sound ends here; the picture is what matters
    return samples if heard else None


def _place(samples: np.ndarray, piece: np.ndarray, start: int) -> bool:
    """Copy what of a piece lies within the samples; say whether anything did."""
    begin, end = max(start, 0), min(start + piece.shape[1], samples.shape[1])
    if begin >= end:
        return False
    samples[:, begin:end] = piece[:, begin - start : end - start]
    return True
