"""What a file is, told by its container and its first two frames."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from humannet_ops.domain.outcome import Reason, SubjectError
from humannet_ops.domain.records import VideoFile
from humannet_ops.media.container import open_video, packets_to_frames

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


def probe(path: Path, *, max_pixels: int) -> VideoFile:
    """Look at a file without decoding more than its start.

    Args:
        path: A local file.
        max_pixels: Pixels that one frame may have.

    Returns:
        What it is; width and height as displayed, checksum and size left for who stores it.

    Raises:
        SubjectError: unreadable, truncated, no_video, too_large, missing or permission_denied.
    """
    with open_video(path) as (container, stream):
        coded = stream.codec_context.width * stream.codec_context.height
        if coded > max_pixels:
            raise SubjectError(
                Reason.TOO_LARGE,
                f"{path.name!r}: {coded / 1e6:.0f} megapixels, HUMANNET_MAX_PIXELS is {max_pixels / 1e6:.0f}.",
            )
        faults: list[str] = []
        first = list(islice(packets_to_frames(container, stream, faults), 2))
        if not first:
            raise SubjectError(
                Reason.TRUNCATED,
                f"{path.name!r}: no frame can be decoded ({faults[0] if faults else 'the file ends'}).",
            )
        if len(first) < 2:
            raise SubjectError(Reason.NO_VIDEO, f"{path.name!r} holds a single frame.")
        width, height = displayed_size(first[0], stream)
        return VideoFile(
            sha256="",
            bytes=path.stat().st_size,
            container=container.format.name,
            codec=stream.codec_context.name,
            duration_s=_duration(container, stream),
            width=width,
            height=height,
            fps=float(stream.average_rate or stream.guessed_rate or 0),
            has_audio=bool(container.streams.audio),
            probe={
                "coded_width": first[0].width,
                "coded_height": first[0].height,
                "rotation": first[0].rotation,
                "sample_aspect_ratio": str(stream.sample_aspect_ratio or 1),
                "pixel_format": stream.codec_context.pix_fmt,
                "frames_in_header": stream.frames,
                "bit_rate": container.bit_rate,
            },
        )


def displayed_size(frame: VideoFrame, stream: VideoStream) -> tuple[int, int]:
    """Return width and height in square pixels, after rotation."""
    aspect = float(stream.sample_aspect_ratio or 1) or 1.0
    width, height = (frame.width * aspect, frame.height) if aspect >= 1 else (frame.width, frame.height / aspect)
    if frame.rotation % 180:
        width, height = height, width
    return round(width), round(height)


def _duration(container: InputContainer, stream: VideoStream) -> float:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    # the container counts in microseconds
    return (container.duration or 0) / 1e6
