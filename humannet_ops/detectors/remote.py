"""Detectors that are open in the model server: the same work, without loading anything here."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from humannet_ops.detectors import wire
from humannet_ops.detectors.lock import ModelError, ModelLock
from humannet_ops.domain.outcome import DeviceLost

if TYPE_CHECKING:
    from humannet_ops.detectors.protocol import Frame
    from humannet_ops.domain.detection import Detection

logger = logging.getLogger(__name__)
# The server ends itself when a batch takes longer than its own limit (server.HANGS_S), queues included.
ANSWER_S = 600.0
# A batch that so many servers died of is not handed to another one.
MOST_DEATHS = 3
_PAUSE_S = 0.2


class ServerDiedError(Exception):
    """The server answered before and after, and died each time it had this batch."""


class RemoteDetectors:
    """Several roles' detectors in a model server. One request has a batch for all of them."""

    def __init__(self, roles: Sequence[str], lock: ModelLock, path: str, patience_s: float) -> None:
        """Connect, and compare models and code with the server's.

        Raises:
            ModelError: the server has other models, or runs other code.
            DeviceLost: no server answers for ``patience_s``.
        """
        self.releases = tuple(lock.release(role) for role in roles)
        self._roles, self._path, self._patience_s = list(roles), path, patience_s
        self._fingerprint = wire.fingerprint(lock)
        self._memory: wire.FrameMemory | None = None
        self._link = self._connect()

    def detect(self, frames: Sequence[Frame]) -> list[list[list[Detection]]]:
        """Return, role by role, what is found in each frame. A batch that a server's death broke off is repeated.

        Raises:
            DeviceLost: the server is gone for longer than the patience, or is not the one it was.
            ServerDiedError: it died again and again, and of this batch.
            RuntimeError: a model failed; the message is its error.
        """
        if not frames:
            return [[] for _ in self._roles]
        for _ in range(MOST_DEATHS):
            try:
                return self._ask(frames)
            except OSError as error:
                logger.warning("the model server at %s broke off (%s), connecting again", self._path, error)
            except wire.ProtocolError as error:
                raise DeviceLost(f"what listens at {self._path} is no model server: {error}") from error
            self.close()
            try:
                self._link = self._connect()
            except ModelError as error:
                raise DeviceLost(str(error)) from error
        raise ServerDiedError(f"the model server at {self._path} died {MOST_DEATHS} times while it had these frames")

    def close(self) -> None:
        """Let go of the server and of the frames' memory."""
        self._link.close()
        if self._memory is not None:
            self._memory.close()
            self._memory = None

    def _ask(self, frames: Sequence[Frame]) -> list[list[list[Detection]]]:
        size = sum(frame.nbytes for frame in frames)
        descriptor = None
        if self._memory is None or self._memory.size < size:
            if self._memory is not None:
                self._memory.close()
            self._memory = wire.FrameMemory(size)
            descriptor = self._memory.descriptor
        request = {"roles": self._roles, "shapes": self._memory.write(frames)}
        wire.send(self._link, request, descriptor)
        answer = _answer(self._link)
        match answer:
            case {"found": list(found)} if len(found) == len(self._roles):
                return [wire.unpacked(entry, len(frames)) for entry in found]
            case {"error": str(message)}:
                raise RuntimeError(f"the model server: {message}")
            case _:
                raise wire.ProtocolError(f"an answer has {', '.join(answer)}")

    def _connect(self) -> socket.socket:
        deadline = time.monotonic() + self._patience_s
        while True:
            link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            link.settimeout(ANSWER_S)
            try:
                link.connect(self._path)
                wire.send(link, {"fingerprint": self._fingerprint})
                self._compare(_answer(link))
            except OSError as error:
                link.close()
                if time.monotonic() > deadline:
                    raise DeviceLost(
                        f"no model server answers at {self._path} ({error}): start `humannet models serve`, "
                        "or empty HUMANNET_MODEL_SOCKET to load models in each task"
                    ) from error
                time.sleep(_PAUSE_S)
            except wire.ProtocolError as error:
                link.close()
                raise DeviceLost(f"what listens at {self._path} is no model server: {error}") from error
            except BaseException:
                link.close()
                raise
            else:
                return link

    def _compare(self, answer: dict[str, Any]) -> None:
        if answer.get("fingerprint") != self._fingerprint:
            theirs = answer.get("releases")
            raise ModelError(
                f"the model server at {self._path} has other models or other code ({theirs}) than this installation "
                f"({list(self.releases)}). Restart it after `humannet models install` or an upgrade."
            )


def _answer(link: socket.socket) -> dict[str, Any]:
    answer, descriptor = wire.receive(link)
    if descriptor is not None:
        raise wire.ProtocolError("an answer came with a file")
    return answer
