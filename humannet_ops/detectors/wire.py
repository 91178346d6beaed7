"""What a worker and the model server say to each other: JSON over a Unix socket, frames in memory that both map.

A message is ``HNM1``, its length (4 bytes, most significant first) and a JSON object. Frames never pass through the
socket: the client writes them once into an anonymous memory file, whose descriptor goes along with the first message
that needs it (SCM_RIGHTS). It has no name, so nothing is left behind by whoever is killed, and it crosses containers
that share nothing but the socket. Nothing that is received is executed, and every size is checked. Linux only.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import mmap
import os
import socket
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.domain.detection import Detection

if TYPE_CHECKING:
    from humannet_ops.detectors.lock import ModelLock
    from humannet_ops.detectors.protocol import Frame

_HEADER = struct.Struct("!4sI")
_MAGIC = b"HNM1"
# 1,024 frames with a hundred boxes each are 10 MB.
MOST_BYTES = 64 * 2**20
MOST_FRAMES = 1024
MOST_MEMORY = 4 * 2**30


class ProtocolError(Exception):
    """The other end says something that is not this protocol."""


def fingerprint(lock: ModelLock) -> str:
    """Return what client and server must agree on: every role's model, and the code that runs them.

    A server of other models, or started from older code, would make results that the catalog takes for this code's.
    """
    models = [(role, model.release, model.sha256) for role, model in sorted(lock.items())]
    content = hashlib.sha256(json.dumps(models).encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        content.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return content.hexdigest()


def send(link: socket.socket, message: dict[str, Any], descriptor: int | None = None) -> None:
    """Send one message, with a file descriptor if there is one.

    Raises:
        OSError: the other end is gone.
    """
    body = json.dumps(message).encode()
    header = _HEADER.pack(_MAGIC, len(body))
    if descriptor is not None:
        sent = socket.send_fds(link, [header], [descriptor])
        header = header[sent:]
    link.sendall(header + body)


def receive(link: socket.socket) -> tuple[dict[str, Any], int | None]:
    """Receive one message and the file descriptor that came along; the caller closes it.

    Raises:
        ConnectionError: the other end is gone.
        ProtocolError: this is no message.
    """
    header, descriptors, _, _ = socket.recv_fds(link, _HEADER.size, 1, socket.MSG_CMSG_CLOEXEC)
    try:
        if not header:
            raise ConnectionResetError("the other end closed the connection")
        magic, length = _HEADER.unpack(header + _exactly(link, _HEADER.size - len(header)))
        if magic != _MAGIC or length > MOST_BYTES:
            raise ProtocolError(f"no message begins with {header[:16]!r}")
        try:
            message = json.loads(_exactly(link, length))
        except ValueError as error:
            raise ProtocolError(f"a message is no JSON: {error}") from error
        if not isinstance(message, dict):
            raise ProtocolError("a message is no JSON object")
    except BaseException:
        for descriptor in descriptors:
            os.close(descriptor)
        raise
    return message, descriptors[0] if descriptors else None


def _exactly(link: socket.socket, count: int) -> bytes:
    content = bytearray()
    while len(content) < count:
        part = link.recv(min(count - len(content), 2**20))
        if not part:
            raise ConnectionResetError("the other end closed the connection")
        content += part
    return bytes(content)


class FrameMemory:
    """Memory that frames are written into, to be read by another process."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.descriptor = os.memfd_create("humannet-frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self.descriptor, size)
            # a file that shrinks under its reader kills the reader
            fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
            self._memory = mmap.mmap(self.descriptor, size)
        except BaseException:
            os.close(self.descriptor)
            raise

    def write(self, frames: Sequence[Frame]) -> list[list[int]]:
        """Copy frames in, one after the other, and return their heights and widths."""
        shapes = [[int(side) for side in frame.shape[:2]] for frame in frames]
        for place, frame in zip(views(self._memory, shapes), frames, strict=True):
            np.copyto(place, frame)
        return shapes

    def close(self) -> None:
        """Give it back; a reader that maps it keeps it."""
        self._memory.close()
        os.close(self.descriptor)


def mapped(descriptor: int) -> mmap.mmap:
    """Map the memory that a client sent, to read it.

    Raises:
        ProtocolError: it is no memory of a client's, or too large.
    """
    try:
        sealed = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK
        size = os.fstat(descriptor).st_size
        if not sealed or not 0 < size <= MOST_MEMORY:
            raise ProtocolError(f"frames must come in sealed memory of at most {MOST_MEMORY} bytes")
        return mmap.mmap(descriptor, size, prot=mmap.PROT_READ)
    except OSError as error:
        raise ProtocolError(f"what came is no memory: {error}") from error


def views(memory: mmap.mmap, shapes: Any) -> list[Frame]:
    """Return the frames that lie in memory one after the other, without copying them.

    Raises:
        ProtocolError: the shapes are none, or reach beyond the memory.
    """
    if not isinstance(shapes, list) or len(shapes) > MOST_FRAMES or not all(map(_is_shape, shapes)):
        raise ProtocolError(f"shapes must be a list of at most {MOST_FRAMES} pairs of height and width")
    found, start = [], 0
    for height, width in shapes:
        count = height * width * 3
        if start + count > len(memory):
            raise ProtocolError("the frames are larger than the memory they came in")
        found.append(np.frombuffer(memory, np.uint8, count, start).reshape(height, width, 3))
        start += count
    return found


def _is_shape(shape: Any) -> bool:
    return (
        isinstance(shape, list)
        and len(shape) == 2
        and all(isinstance(side, int) and not isinstance(side, bool) and 0 < side < 2**16 for side in shape)
    )


def packed(found: Sequence[Sequence[Detection]]) -> list[list[list[Any]]]:
    """Write one role's detections so that JSON takes them; numbers keep every bit."""
    return [[[d.label, d.score, d.x1, d.y1, d.x2, d.y2, d.side] for d in frame] for frame in found]


def unpacked(content: Any, frames: int) -> list[list[Detection]]:
    """Read what ``packed`` wrote.

    Raises:
        ProtocolError: it is something else, or not about so many frames.
    """
    if not isinstance(content, list) or len(content) != frames:
        raise ProtocolError(f"an answer must be about {frames} frames")
    return [[_detection(entry) for entry in _listed(frame)] for frame in content]


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ProtocolError("detections must be lists")
    return value


def _detection(entry: Any) -> Detection:
    match entry:
        case [
            str(label),
            int() | float() as score,
            int() | float() as x1,
            int() | float() as y1,
            int() | float() as x2,
            int() | float() as y2,
            None | "left" | "right" as side,
        ]:
            return Detection(label, float(score), float(x1), float(y1), float(x2), float(y2), side)
        case _:
            raise ProtocolError(f"{str(entry)[:80]} is no detection")
