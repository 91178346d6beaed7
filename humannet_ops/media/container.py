"""Opening files that nobody vouches for."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from humannet_ops.domain.outcome import Reason, SubjectError
from humannet_ops.media import hardware

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

# AV_DISPOSITION_ATTACHED_PIC: the cover picture of a song is no moving picture
_ATTACHED_PICTURE = 0x400
# A playlist dressed as a video could name other files and addresses: FFmpeg may only read the one file it is given.
_OPTIONS = {"protocol_whitelist": "file"}
_STILL_FORMATS = ("image2", "_pipe", "apng", "ico")
# What a damaged video starts with, so that it is told apart from what never was one.
_MAGIC = (b"RIFF", b"\x1a\x45\xdf\xa3", b"\x00\x00\x01\xba", b"FLV", b"OggS", b"\x30\x26\xb2\x75", b"G@")


@contextmanager
def open_video(path: Path, codecs: hardware.Codecs = "software") -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file for decoding and give its first real video stream.

    Args:
        path: A local video file.
        codecs: Whether a GPU may decode it.

    Raises:
        SubjectError: unreadable, truncated, no_video, missing or permission_denied, each with the cause in words.
    """
    import av

    check_readable(path)
    try:
        container = av.open(str(path), options=_OPTIONS, metadata_errors="replace", hwaccel=hardware.decoder(codecs))
    except av.error.FFmpegError as error:
        raise _open_error(path, error) from error
    with container:
        yield container, _stream(container, path)


def check_readable(path: Path) -> None:
    """Refuse a file that cannot be opened or is empty.

    Raises:
        SubjectError: missing, permission_denied or unreadable.
    """
    try:
        with path.open("rb") as stream:
            empty = not stream.read(1)
    except PermissionError as error:
        raise SubjectError(Reason.PERMISSION_DENIED, f"{path.name!r}: permission denied. Allow reading it.") from error
    except IsADirectoryError as error:
        raise SubjectError(Reason.PERMISSION_DENIED, f"{path.name!r}: this folder may not be listed.") from error
    except OSError as error:
        loop = error.errno == errno.ELOOP
        cause = "a symbolic link that leads back to itself" if loop else str(error.strerror)
        raise SubjectError(Reason.MISSING, f"{path.name!r}: {cause}.") from error
    if empty:
        raise SubjectError(Reason.UNREADABLE, f"{path.name!r} is empty (0 bytes).")


def _open_error(path: Path, error: Exception) -> SubjectError:
    with path.open("rb") as stream:
        head = stream.read(12)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free") or head.startswith(_MAGIC):
        return SubjectError(
            Reason.TRUNCATED, f"{path.name!r} begins like a video but its index is missing or damaged ({_say(error)})."
        )
    return SubjectError(Reason.UNREADABLE, f"{path.name!r} is not a video that FFmpeg knows ({_say(error)}).")


def _say(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _stream(container: InputContainer, path: Path) -> VideoStream:
    if any(still in container.format.name for still in _STILL_FORMATS):
        raise SubjectError(Reason.NO_VIDEO, f"{path.name!r} is a still image ({container.format.name}).")
    moving = [stream for stream in container.streams.video if not int(stream.disposition) & _ATTACHED_PICTURE]
    if not moving:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "no streams"
        raise SubjectError(Reason.NO_VIDEO, f"{path.name!r} has no video stream ({kinds}).")
    if moving[0].codec_context is None:
        raise SubjectError(Reason.UNREADABLE, f"{path.name!r}: this FFmpeg has no decoder for its video.")
    return moving[0]


def packets_to_frames(container: InputContainer, stream: AudioStream | VideoStream, faults: list[str]) -> Iterator[Any]:
    """Decode packet by packet, going on past damaged ones; each fault is appended to ``faults``."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.FFmpegError as error:
            # a file that breaks off: what came before stays good
            faults.append(_say(error))
            return
        try:
            yield from packet.decode()
        except av.error.FFmpegError as error:
            faults.append(_say(error))
