"""Taking a clip over without encoding it, where its source already is what cutting would make of it.

That is so if it begins at a key frame and ends before one (or where the video ends), and in between is H.264 of the
wanted size, rate and colour. Encoders put key frames at cuts, so it happens to whole shots. What was copied is decoded
and counted before anybody gets it: where anything is not as it should be, the clip is encoded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from humannet_ops.domain.outcome import SubjectError
from humannet_ops.media.container import open_video, packets_to_frames
from humannet_ops.media.probe import displayed_size
from humannet_ops.media.sound import SoundTrack

if TYPE_CHECKING:
    import numpy as np
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

    _Packet = Packet[VideoStream]

CONTAINER_OPTIONS = {"movflags": "+faststart", "fflags": "+bitexact"}
# A clip may not be many times as large as an encoded one: 0.2 are 5.5 Mb/s for 720 lines at 30 a second, about what
# YouTube asks of uploads of that size.
MAX_BITS_A_PIXEL = 0.2
# Frames whose times differ by less are the same moment: the clock of other containers ticks in ms.
_SAME_MOMENT_S = 1e-3
# Matroska has no decoding times.
_CONTAINER = "mov"
_PROFILES = ("Baseline", "Constrained Baseline", "Main", "High")
# AVCOL_RANGE_JPEG: players expect the limited range
_FULL_RANGE = 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """The clip that is asked for.

    Attributes:
        start_s: Seconds from the first displayed frame.
        frames: How many it has.
        fps: Their constant rate.
        short_side: Pixels that the short side may have.
        samples: Its sound, as ``sound.decoded`` returns it.
        check_time: Raises when the time for it is over.
    """

    start_s: float
    frames: int
    fps: int
    short_side: int
    samples: np.ndarray | None
    check_time: Callable[[], None]

    def size(self, displayed: tuple[int, int]) -> tuple[int, int]:
        """Return width and height for a source that is displayed in such a size.

        Pictures are not enlarged; yuv420p has half the chroma samples each way, so sides are even, rounded to nearest.
        """
        shrink = min(1.0, self.short_side / min(displayed))
        width, height = (max(2, min(round(side * shrink / 2), side // 2) * 2) for side in displayed)
        return width, height


def copy(source: Path, origin_s: float, target: Path, wanted: Wanted) -> tuple[int, int] | None:
    """Write the clip from the source's own packets, if that gives exactly the wanted frames.

    Args:
        source: A local video file.
        origin_s: When its first displayed frame is shown, on the container's clock.
        target: The MP4 to write.
        wanted: What is asked for.

    Returns:
        Width and height of what was written; None where the clip has to be encoded, and then nothing is left.

    Raises:
        SubjectError: timed_out.
    """
    with open_video(source) as (container, stream):
        if not _has_the_form(container, stream, wanted):
            return None
        packets = _packets(container, stream, origin_s + wanted.start_s, wanted)
        if packets is None:
            return None
        _write(target, stream, packets, wanted)
    size = _checked_size(target, wanted)
    if size is None:
        target.unlink()
    return size


def _has_the_form(container: InputContainer, stream: VideoStream, wanted: Wanted) -> bool:
    context = stream.codec_context
    return (
        container.format.name.startswith(_CONTAINER)
        and context.name == "h264"
        and context.pix_fmt == "yuv420p"
        and context.profile in _PROFILES
        and stream.average_rate == wanted.fps
        and (stream.sample_aspect_ratio or 1) == 1
        and wanted.size((context.width, context.height)) == (context.width, context.height)
    )


def _packets(container: InputContainer, stream: VideoStream, start_s: float, wanted: Wanted) -> list[_Packet] | None:
    """Return the clip's packets in decoding order; None unless they are whole groups that show each tick once."""
    import av

    base = stream.time_base
    if base is None:
        return None
    found: list[_Packet] = []
    pixels = stream.codec_context.width * stream.codec_context.height
    bits_left = MAX_BITS_A_PIXEL * pixels * wanted.frames
    try:
        container.seek(int((start_s + _SAME_MOMENT_S) / base), stream=stream, backward=True)
        for packet in container.demux(stream):
            wanted.check_time()
            if packet.pts is None or packet.dts is None:
                # the last one is empty
                if packet.size:
                    return None
                break
            begins = packet.is_keyframe and abs(float(packet.pts * base) - start_s) < _SAME_MOMENT_S
            if not found and not begins:
                if packet.dts * base > start_s:
                    return None
                continue
            if len(found) == wanted.frames and packet.is_keyframe:
                break
            bits_left -= 8 * packet.size
            new_header = packet.has_sidedata("new_extradata")
            if len(found) == wanted.frames or bits_left < 0 or packet.is_corrupt or packet.is_discard or new_header:
                return None
            found.append(packet)
    except av.error.FFmpegError:
        return None
    shown_s = sorted(float(packet.pts * base) for packet in found if packet.pts is not None)
    ticks = (start_s + tick / wanted.fps for tick in range(wanted.frames))
    whole = len(found) == wanted.frames
    same = all(abs(shown - tick) < _SAME_MOMENT_S for shown, tick in zip(shown_s, ticks, strict=False))
    return found if whole and same else None


def _write(target: Path, stream: VideoStream, packets: list[_Packet], wanted: Wanted) -> None:
    import av

    with av.open(str(target), "w", format="mp4", options=CONTAINER_OPTIONS) as output:
        video: Any = output.add_stream_from_template(stream)
        track = None if wanted.samples is None else SoundTrack(output, wanted.samples)
        first = packets[0].pts or 0
        for number, packet in enumerate(packets):
            assert packet.pts is not None
            assert packet.dts is not None
            packet.pts, packet.dts = packet.pts - first, packet.dts - first
            packet.stream = video
            output.mux(packet)
            if track is not None:
                track.add((number + 1) / wanted.fps)
        if track is not None:
            track.finish()


def _checked_size(path: Path, wanted: Wanted) -> tuple[int, int] | None:
    """Decode a copied clip; return its size, None unless it shows the wanted frames whole and as they should be."""
    faults: list[str] = []
    frames, size = 0, (0, 0)
    try:
        with open_video(path) as (container, stream):
            for frame in packets_to_frames(container, stream, faults):
                wanted.check_time()
                size = frame.width, frame.height
                broken = frame.is_corrupt or frame.interlaced_frame
                if broken or frame.rotation or frame.color_range == _FULL_RANGE:
                    return None
                if displayed_size(frame, stream) != size or wanted.size(size) != size:
                    return None
                frames += 1
    except SubjectError:
        wanted.check_time()
        return None
    return size if frames == wanted.frames and not faults else None
