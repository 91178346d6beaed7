"""The model server: keeps detectors open, and works on the frames that workers hand over, batch by batch.

Each GPU has a copy of the models that compute on it, and a lane, so that one batch is on it at a time; a batch goes to
the lane where the fewest are. MediaPipe's two compute on the CPU: each has a lane of its own, and as many copies as
HUMANNET_THREADS. A lane's queue is bounded: who finds it full waits.
"""

from __future__ import annotations

import fcntl
import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.detectors import wire
from humannet_ops.detectors.lock import ModelError
from humannet_ops.domain.outcome import DeviceLost

if TYPE_CHECKING:
    import mmap

    from humannet_ops.detectors.protocol import Detector, Frame
    from humannet_ops.domain.detection import Detection

logger = logging.getLogger(__name__)
QUEUE = 8
# The slowest batch measured (32 frames of CenterNet on two busy cores) took 9 s.
HANGS_S = 300.0
ON_CPU = ("mediapipe_hands", "mediapipe_faces")


@dataclass(slots=True)
class Tally:
    """What one detector did since the server started."""

    release: str
    batches: int = 0
    frames: int = 0
    busy_s: float = 0.0


@dataclass(slots=True)
class _Job:
    role: str
    frames: Sequence[Frame]
    done: Future[list[list[Detection]]] = field(default_factory=Future)


class _Lane:
    """A thread that runs some roles' detectors, one batch at a time."""

    def __init__(self, server: ModelServer, name: str, detectors: Mapping[str, Detector]) -> None:
        self.name, self.detectors, self.jobs = name, detectors, queue.Queue[_Job](QUEUE)
        self.tallies = {role: Tally(detector.release) for role, detector in detectors.items()}
        self.since: float | None = None
        self._server = server
        threading.Thread(target=self._run, name=f"lane-{name}", daemon=True).start()

    @property
    def load(self) -> int:
        """Batches that wait or are worked on."""
        return self.jobs.qsize() + (self.since is not None)

    def _run(self) -> None:
        # no name here may hold the last job: its frames are memory of a client that may be gone
        while self._do(self.jobs.get()):
            pass

    def _do(self, job: _Job) -> bool:
        """Work on one batch; return whether this lane can go on."""
        started = self.since = time.monotonic()
        try:
            found = self.detectors[job.role].detect(job.frames)
        except DeviceLost as error:
            self._server.end(error)
            return False
        except Exception as error:
            logger.exception("%s", job.role)
            job.done.set_exception(error)
        else:
            tally = self.tallies[job.role]
            tally.batches, tally.frames = tally.batches + 1, tally.frames + len(job.frames)
            tally.busy_s += time.monotonic() - started
            job.done.set_result(found)
        self.since = None
        return True


class ModelServer:
    """Serves opened detectors.

    Attributes:
        lanes: Its lanes, each with its detectors, what they did, and what waits.
    """

    def __init__(self, lanes: Mapping[str, Mapping[str, Detector]], fingerprint: str) -> None:
        """Take over detectors.

        Args:
            lanes: Name of a lane -> role -> the detector that the lane runs. A role may be in several.
            fingerprint: As ``wire.fingerprint`` gave it when the models were opened.
        """
        self._fingerprint = fingerprint
        self._ended = threading.Event()
        self._cause: BaseException | None = None
        self.lanes = [_Lane(self, name, detectors) for name, detectors in lanes.items()]
        self._lanes_of: dict[str, list[_Lane]] = {}
        for lane in self.lanes:
            for role in lane.detectors:
                self._lanes_of.setdefault(role, []).append(lane)
        self._releases = {role: at[0].detectors[role].release for role, at in self._lanes_of.items()}

    def end(self, cause: BaseException | None = None) -> None:
        """Make ``wait`` return; with a cause, raise it there."""
        self._cause = self._cause or cause
        self._ended.set()

    @contextmanager
    def listening(self, path: Path) -> Iterator[None]:
        """Take workers in at a socket.

        Raises:
            ModelError: another server listens there, or nothing can.
        """
        with _listening(path) as listener:
            threading.Thread(target=self._accept, args=(listener,), name="accept", daemon=True).start()
            yield

    def wait(self) -> None:
        """Wait for ``end``.

        Raises:
            DeviceLost: the device is gone, or a batch hangs: this process is of no use any more.
        """
        while not self._ended.wait(1.0):
            for lane in self.lanes:
                if (since := lane.since) is not None and time.monotonic() - since > HANGS_S:
                    raise DeviceLost(f"a batch in the lane {lane.name} takes longer than {HANGS_S:.0f} s")
        if self._cause is not None:
            raise self._cause

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._converse, args=(link,), name="client", daemon=True).start()

    def _converse(self, link: socket.socket) -> None:
        memory: mmap.mmap | None = None
        with link:
            try:
                hello, descriptor = wire.receive(link)
                _close(descriptor)
                wire.send(link, {"fingerprint": self._fingerprint, "releases": self._releases})
                if hello.get("fingerprint") != self._fingerprint:
                    logger.warning("a worker with other models or other code was refused")
                    return
                while True:
                    request, descriptor = wire.receive(link)
                    if descriptor is not None:
                        try:
                            memory = wire.mapped(descriptor)
                        finally:
                            os.close(descriptor)
                    wire.send(link, self._work(request, memory))
            except wire.ProtocolError as error:
                logger.warning("a worker was cut off: %s", error)
            except OSError:
                return  # it has what it wanted, or died

    def _work(self, request: Mapping[str, Any], memory: mmap.mmap | None) -> dict[str, Any]:
        roles = request.get("roles")
        if not isinstance(roles, list) or not roles or not all(role in self._lanes_of for role in map(str, roles)):
            raise wire.ProtocolError(f"there are no roles {roles!r:.80}")
        if memory is None:
            raise wire.ProtocolError("frames were announced and no memory came")
        frames = wire.views(memory, request.get("shapes"))
        jobs = [_Job(role, frames) for role in roles]
        for job in jobs:
            min(self._lanes_of[job.role], key=lambda lane: lane.load).jobs.put(job)
        try:
            return {"found": [wire.packed(job.done.result()) for job in jobs]}
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}


def warm_up(detectors: Iterable[Detector]) -> None:
    """Let each model see a batch of black pictures: the first one allocates, compiles and chooses kernels."""
    for detector in detectors:
        detector.detect([np.zeros((360, 640, 3), np.uint8)] * 32)


@contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    """Listen on a socket that only this user may reach. What a killed server left there is taken away.

    Raises:
        ModelError: another server has it, or the folder cannot be used.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ModelError(f"{path} cannot be used as a socket ({error}): give another --socket") from error
    try:
        try:
            # The kernel's, so it goes with the process. The file stays, lest two processes lock two files of one name.
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ModelError(f"another model server listens at {path}: end it, or give another --socket") from None
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            before = os.umask(0o177)
            try:
                listener.bind(str(path))
            except OSError as error:
                raise ModelError(f"{path} cannot be used as a socket ({error}): give another --socket") from error
            finally:
                os.umask(before)
            listener.listen(64)
            try:
                yield listener
            finally:
                path.unlink(missing_ok=True)
    finally:
        os.close(held)


def _close(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)
