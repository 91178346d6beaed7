"""Cutting a clip: frame-accurate, at a constant rate, upright, in square pixels, as H.264 and AAC in MP4.

PyAV, in process: the output's frames are chosen on the same clock that the analysis used (0 is the first displayed
frame), so a clip begins with exactly the frame that its shot begins with, whatever container, edit list or variable
frame rate the source has. The same input gives the same bytes, unless a GPU encodes: clips are stored under their hash.
"""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from humannet_ops.domain.outcome import Reason, SubjectError
from humannet_ops.media import copying, hardware, sound
from humannet_ops.media.container import open_video, packets_to_frames
from humannet_ops.media.decode import next_time
from humannet_ops.media.probe import displayed_size

if TYPE_CHECKING:
    import numpy as np
    from av.container import OutputContainer
    from av.filter import Graph
    from av.video.frame import VideoFrame

# Below this, decoding from the start costs less than a seek that may miss.
_SEEK_FROM_S = 4.0
# A seek goes by decoding time and may land behind the wanted frame (B-frames, open GOPs): then one goes further back.
_SEEK_EARLIER_S = (0.0, 2.0, 12.0, 60.0)
# Frames whose times differ by less are the same moment: the clock of the coarsest container (AVI, FLV) ticks in ms.
_SAME_MOMENT_S = 1e-3
# x264's output depends on its thread count, so that is fixed; shards side by side fill the cores. Its float arithmetic
# differs between processors unless told not to.
_REPRODUCIBLE = "threads=1:lookahead-threads=1:sync-lookahead=0:cpu-independent=1"
# counter-clockwise quarter turns
_TURNS = {0: (), 1: (("transpose", "cclock"),), 2: (("hflip", ""), ("vflip", "")), 3: (("transpose", "clock"),)}


@dataclass(frozen=True, slots=True)
class CutReport:
    """What was written.

    Attributes:
        frames: In the file.
        width: Pixels, even.
        height: The same.
        fps: Constant.
        duration_s: ``frames / fps``.
        has_audio: Whether sound came along.
        held_frames: How many of ``frames`` only repeat the last one because the source ended, or broke off, before.
        encoder: FFmpeg's name of what encoded the pictures; empty where they are the source's own packets.
    """

    frames: int
    width: int
    height: int
    fps: float
    duration_s: float
    has_audio: bool
    held_frames: int = 0
    encoder: str = ""

    @property
    def is_copied(self) -> bool:
        """Whether the pictures are the source's own packets."""
        return not self.encoder


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
    may_copy: bool = True,
    footage: Footage | None = None,
    codecs: hardware.Codecs = "software",
) -> CutReport:
    """Cut ``[start_s, end_s)`` out of a video.

    Args:
        source: A local video file.
        target: The MP4 to write; it is gone again where this raises.
        start_s: Seconds from the first displayed frame.
        end_s: The same.
        fps: Constant output rate. A tick shows the last source frame that began by then.
        short_side: Pixels that the short side may have; smaller pictures are not enlarged.
        crf: x264's quality.
        preset: x264's speed.
        timeout_s: Wall seconds that the cut may take.
        may_copy: Whether packets are taken over where nothing needs encoding (``copying``).
        footage: Of ``source``. Clips that are cut one after the other from it are decoded together; their bytes are
            the same as without.
        codecs: Whether a GPU may encode it, and decode it where no ``footage`` says.

    Returns:
        What was written; ``frames`` is ``round((end_s - start_s) * fps)``.

    Raises:
        SubjectError: unreadable (also where the source shows nothing in that span), truncated, missing, timed_out.
        OSError: the target cannot be written; the disk is full.
    """
    import av

    frames = max(1, round((end_s - start_s) * fps))
    check_time = _time_limit(timeout_s)
    alone = footage is None
    try:
        footage = footage or Footage(source, codecs)
        samples = sound.decoded(source, footage.origin_s + start_s, frames / fps, check_time)
        wanted = copying.Wanted(start_s, frames, fps, short_side, samples, check_time)
        size = copying.copy(source, footage.origin_s, target, wanted) if may_copy and footage.is_timed else None
        if size is None:
            report = _encode(footage, target, wanted, hardware.encoder(codecs, crf) or x264(crf, preset))
        else:
            report = CutReport(frames, *size, float(fps), frames / fps, samples is not None)
        if alone:
            footage.close()
        return report
    except BaseException as error:
        target.unlink(missing_ok=True)
        if footage is not None:
            footage.close()
        if isinstance(error, av.error.FFmpegError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(error.errno, f"{error.strerror}: free some space for", str(target)) from error
        raise


def _encode(footage: Footage, target: Path, wanted: copying.Wanted, encoder: hardware.Encoder) -> CutReport:
    import av

    start_s, frames, fps = wanted.start_s, wanted.frames, wanted.fps
    footage.go_to(start_s, wanted.check_time)
    first = footage.shown_at(start_s)
    if first is None or footage.end_s <= start_s:
        raise SubjectError(
            Reason.UNREADABLE, f"no frame between {start_s:.3f} s and {start_s + frames / fps:.3f} s can be decoded."
        )
    size = wanted.size(first.displayed)
    with av.open(str(target), "w", format="mp4", options=copying.CONTAINER_OPTIONS) as output:
        writer = _Writer(output, size, fps, encoder, wanted.samples)
        for tick in range(frames):
            # the last frame is held to the end
            writer.add(tick, (footage.shown_at(start_s + tick / fps) or first).frame)
        writer.finish()
    held = sum(start_s + tick / fps >= footage.end_s - _SAME_MOMENT_S for tick in range(frames))
    return CutReport(frames, *size, float(fps), frames / fps, wanted.samples is not None, held, encoder.name)


def _time_limit(timeout_s: float) -> Callable[[], None]:
    deadline = time.monotonic() + timeout_s

    def check() -> None:
        if time.monotonic() > deadline:
            raise SubjectError(
                Reason.TIMED_OUT, f"encoding took longer than {timeout_s:.0f} s (HUMANNET_SUBJECT_TIMEOUT_S)."
            )

    return check


@dataclass(frozen=True, slots=True)
class _Picture:
    t_s: float
    frame: VideoFrame
    displayed: tuple[int, int]


class Footage:
    """A video's frames, on the clock of the analysis; decoded once for clips that are cut in order of time.

    Memory holds two frames and what the decoder holds. One thread may use it at a time.
    """

    def __init__(self, source: Path, codecs: hardware.Codecs = "software") -> None:
        """Look at the start of a file.

        Args:
            source: A local video file.
            codecs: Whether a GPU may decode it.

        Raises:
            SubjectError: unreadable, truncated, no_video, missing or permission_denied.
        """
        self.source, self._codecs = source, codecs
        with open_video(source) as (container, stream):
            self._step = float(1 / stream.average_rate) if stream.average_rate else 1 / 25
            first = next(packets_to_frames(container, stream, []), None)
            # AVI knows no presentation times: with B-frames only counting from the start gives the analysis' clock
            counted = container.format.name == "avi" and stream.codec_context.has_b_frames
        origin_s = None if first is None else first.time
        self.is_timed = origin_s is not None and not counted
        self.origin_s = float(origin_s or 0.0)
        # when the last frame that was decoded ends
        self.end_s = 0.0
        self._faults: list[str] = []
        self._check_time: Callable[[], None] = lambda: None
        self._pictures: Generator[_Picture] | None = None
        self._shown: _Picture | None = None
        self._next: _Picture | None = None

    def go_to(self, start_s: float, check_time: Callable[[], None]) -> None:
        """Get ready for what is shown from ``start_s`` on: read on where that is near, else seek."""
        self._check_time = check_time
        # past damage or the end a seek may find what reading on does not: a clip must not depend on the one before
        whole = self._next is not None and not self._faults
        if whole and self._is_near(start_s):
            return
        for earlier_s in _SEEK_EARLIER_S:
            seek_s = start_s - earlier_s
            if not self.is_timed or seek_s < _SEEK_FROM_S:
                break
            self._open(seek_s)
            if self._next is not None and self._next.t_s <= start_s + _SAME_MOMENT_S:
                return
        self._open(None)

    def _is_near(self, start_s: float) -> bool:
        begun = self._shown is not None and self._shown.t_s <= start_s + _SAME_MOMENT_S
        return begun and start_s < self.end_s + _SEEK_FROM_S

    def shown_at(self, t_s: float) -> _Picture | None:
        """Return the last frame that began by then, never earlier than the one returned before; None after the end."""
        while self._next is not None and (self._shown is None or self._next.t_s <= t_s + _SAME_MOMENT_S):
            self._shown, self._next = self._next, self._following()
        return self._shown

    def close(self) -> None:
        """Close the file; the next clip opens it again."""
        if self._pictures is not None:
            self._pictures.close()
        self._pictures = self._shown = self._next = None

    def _open(self, seek_s: float | None) -> None:
        self.close()
        self._faults, self.end_s = [], 0.0
        self._pictures = self._decode(seek_s)
        self._next = self._following()

    def _following(self) -> _Picture | None:
        return None if self._pictures is None else next(self._pictures, None)

    def _decode(self, seek_s: float | None) -> Generator[_Picture]:
        import av

        with open_video(self.source, self._codecs) as (container, stream):
            # threads over frames would lose some around damage, and which depends on their number
            stream.thread_type = "SLICE"
            if seek_s is not None and stream.time_base:
                try:
                    container.seek(int((self.origin_s + seek_s) / stream.time_base), stream=stream, backward=True)
                except av.error.FFmpegError:
                    return
            last = -self._step
            for frame in packets_to_frames(container, stream, self._faults):
                self._check_time()
                last = next_time(frame.time, self.origin_s, last, self._step)
                self.end_s = last + self._step
                yield _Picture(last, frame, displayed_size(frame, stream))


def x264(crf: int, preset: str) -> hardware.Encoder:
    """Return x264 with what makes its bytes reproducible."""
    options = {"crf": str(crf), "preset": preset, "x264-params": reproducible(), "flags": "+bitexact"}
    return hardware.Encoder("libx264", options)


@cache
def reproducible() -> str:
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
        encoder: hardware.Encoder,
        samples: np.ndarray | None,
    ) -> None:
        self._output, self.size, self._fps = output, size, fps
        self._normalise = _Normaliser(size)
        stream: Any = output.add_stream(encoder.name, rate=fps, options=dict(encoder.options))
        self._video = stream
        self._video.width, self._video.height, self._video.pix_fmt = *size, "yuv420p"
        self._sound = None if samples is None else sound.SoundTrack(output, samples)

    def add(self, tick: int, frame: VideoFrame) -> None:
        """Encode one output frame, and the sound until it ends."""
        picture = self._normalise(frame)
        if not tick:
            self._tag_colours(picture)
        picture.pts, picture.time_base = tick, Fraction(1, self._fps)
        self._output.mux(self._video.encode(picture))
        if self._sound is not None:
            self._sound.add((tick + 1) / self._fps)

    def finish(self) -> None:
        """Write what the encoders hold back."""
        self._output.mux(self._video.encode(None))
        if self._sound is not None:
            self._sound.finish()

    def _tag_colours(self, picture: VideoFrame) -> None:
        """Say in the file what the numbers mean; untagged, players guess by the picture's height."""
        context = self._video.codec_context
        context.color_range, context.colorspace = picture.color_range, picture.colorspace
        context.color_primaries, context.color_trc = picture.color_primaries, picture.color_trc


class _Normaliser:
    """Makes frames upright, of one size, in square pixels, 8-bit 4:2:0, in the limited range that players expect."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._graphs: dict[tuple[Any, ...], Graph] = {}
        self._latest: tuple[VideoFrame, VideoFrame] | None = None

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        """Return the output picture; asked again for the same frame, the same picture."""
        from av.video.frame import PictureType

        if self._latest is None or self._latest[0] is not frame:
            graph = self._graph(frame)
            graph.vpush(frame)
            picture = graph.vpull()
            # the decoder's choice of key frames is not the encoder's
            picture.pict_type = PictureType.NONE
            self._latest = frame, picture
        return self._latest[1]

    def _graph(self, frame: VideoFrame) -> Graph:
        """Return the filters for frames like this one: size, format and turn may change within a file."""
        from av.filter import Graph

        turns = round(frame.rotation / 90) % 4
        kind = (frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range, turns)
        if kind not in self._graphs:
            width, height = self._size[::-1] if turns % 2 else self._size
            graph = Graph()
            graph.threads = 1
            # the colour tags go in by hand: Graph.add_buffer forgets them, and then the matrix is converted
            source = (
                f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base=1/1000:"
                f"pixel_aspect=1/1:colorspace={int(frame.colorspace)}:range={int(frame.color_range)}"
            )
            scale = f"{width}:{height}:flags=bicubic+accurate_rnd+full_chroma_int+bitexact:out_range=limited"
            steps = [("buffer", source), ("scale", scale), ("format", "pix_fmts=yuv420p")]
            steps += [*_TURNS[turns], ("setsar", "1"), ("buffersink", "")]
            graph.link_nodes(*(graph.add(name, options or None) for name, options in steps)).configure()
            self._graphs[kind] = graph
        return self._graphs[kind]
