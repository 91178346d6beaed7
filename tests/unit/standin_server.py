"""A model server whose models are stand-ins: the process, the socket, the memory and the queues are the real ones.

    python standin_server.py SOCKET HELD [GPUS]

Its two roles see a frame's mean as a person's score, and its red as a hand's. What a frame's upper left pixel says is
obeyed: RED 1 "the GPU is out of memory above two frames", 2 "CUDA fails", 3 "a bug". While the file HELD is
there, a batch is not answered: HELD.busy_N appears, for GPU N, and the batch waits until HELD is gone.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from humannet_ops.commands.serving import DEVICE_LOST
from humannet_ops.detectors import wire
from humannet_ops.detectors.batches import Batches
from humannet_ops.detectors.lock import InstalledModel, ModelLock
from humannet_ops.detectors.protocol import Detector, Frame
from humannet_ops.detectors.server import ModelServer
from humannet_ops.domain.detection import Detection
from humannet_ops.domain.outcome import DeviceLost

ROLES = ("person_detector", "hand_detector")
ROOM = 2
FULL, BROKEN, BUG = 1, 2, 3


def lock(sha256: str = "0" * 64) -> ModelLock:
    """The stand-ins' lock."""
    models = {role: InstalledModel(role, "standin", "1", sha256, "-", "-", "-", ()) for role in ROLES}
    return ModelLock("default", {}, models)


def expected(frames: Sequence[Frame]) -> list[list[list[Detection]]]:
    """What the stand-ins see."""
    means = [[Detection("person", float(frame.mean()) / 255, 0.1, 0.2, 0.3, 1 / 3)] for frame in frames]
    hands = [[Detection("hand", float(frame[:, :, 0].mean()) / 255, 0, 0, 1, 1, "left")] for frame in frames]
    return [means, hands]


class Standin:
    """One role's model on a GPU."""

    def __init__(self, role: str, gpu: int, on_the_gpu: threading.Lock, held: Path) -> None:
        self.release, self._place, self._held = f"{role}@1", ROLES.index(role), held
        self._gpu, self._on_the_gpu = gpu, on_the_gpu
        self.batches = Batches(self.release, f"cuda:{gpu}", 4, self._run)

    def detect(self, frames: Sequence[Frame]) -> list[list[Detection]]:
        return self.batches(frames)

    def _run(self, frames: Sequence[Frame]) -> list[list[Detection]]:
        if not self._on_the_gpu.acquire(blocking=False):
            raise AssertionError("two batches are on a GPU at once")
        try:
            if self._held.exists():
                self._held.with_suffix(f".busy_{self._gpu}").touch()
                while self._held.exists():
                    time.sleep(0.005)
            order = int(frames[0][0, 0, 0])
            if order == FULL and len(frames) > ROOM:
                raise out_of_memory()
            if order == BROKEN:
                raise RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be")
            if order == BUG:
                raise KeyError("a bug")
            return expected(frames)[self._place]
        finally:
            self._on_the_gpu.release()


def out_of_memory() -> Exception:
    """The error that torch raises, or what it says where there is no torch."""
    try:
        import torch
    except ImportError:
        return RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB.")
    return torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")


def main() -> None:
    held, gpus = Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1
    lanes: dict[str, dict[str, Detector]] = {}
    for gpu in range(gpus):
        on_the_gpu = threading.Lock()
        lanes[f"cuda:{gpu}"] = {role: Standin(role, gpu, on_the_gpu, held) for role in ROLES}
    server = ModelServer(lanes, wire.fingerprint(lock()))
    with server.listening(Path(sys.argv[1])):
        print("ready", flush=True)
        try:
            server.wait()
        except DeviceLost as error:
            print(error, file=sys.stderr, flush=True)
            os._exit(DEVICE_LOST)


if __name__ == "__main__":
    main()
