"""Measure detection on a GPU: frames a second, the GPU's utilisation, and hours of video an hour of the GPU takes.

    .venv/bin/python tests/benchmarks/gpu_detect.py --device cuda:0 --weights yolo11n.pt
    .venv/bin/python tests/benchmarks/gpu_detect.py --device cuda:0 --weights random  # finds nothing, as fast
    .venv/bin/python tests/benchmarks/gpu_detect.py --frames 320    # on the CPU, weights of ../shared/corpus

A shard of 30 minutes of video (3,600 frames, as analyse writes them) goes through a fresh process, as an Airflow task
is one: once with the models loaded in it, once handing over to `humannet models serve`, by one worker and by --clients
at once. First the person detector alone, then all roles of detect. Needs the worker extra and `make samples`.
Utilisation is NVML's, ten times a second. Results go into infra/gpu.md, with the device's name.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from model_load import frames as sample_frames
from model_load import processor, versions

from humannet_ops.media import sampled_frames
from humannet_ops.settings import REPOSITORY, settings
from humannet_ops.stages.detect import ROLES

VIDEO_FPS = 2.0  # frames that detect sees of a second of video


def child(roles: list[str], shard: Path) -> None:
    """Do what detect does with a shard; print seconds until ready, and of the work."""
    started = time.monotonic()
    from humannet_ops.detectors.factory import open_detectors
    from humannet_ops.stages import registry

    detectors = open_detectors(roles, registry.models(), settings())
    ready = time.monotonic()
    count = sum(len(detectors.detect([frame.rgb for frame in batch])[0]) for batch in batches(shard))
    print(json.dumps({"ready": ready - started, "work": time.monotonic() - ready, "frames": count}))


def batches(shard: Path) -> Iterator[list[sampled_frames.SampledFrame]]:
    return sampled_frames.batches(shard, settings().batch)


class Utilisation(threading.Thread):
    """What NVML says while something runs: the mean share of time with kernels, and the most memory."""

    def __init__(self, device: str) -> None:
        super().__init__(daemon=True)
        self.busy: list[int] = []
        self.memory, self._ended = 0, threading.Event()
        self._number = int(device.partition(":")[2] or 0) if device.startswith("cuda") else None

    def run(self) -> None:
        if self._number is None:
            return
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(self._number)
        while not self._ended.wait(0.1):
            self.busy.append(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
            self.memory = max(self.memory, pynvml.nvmlDeviceGetMemoryInfo(handle).used)

    def end(self) -> str:
        self._ended.set()
        self.join()
        if not self.busy:
            return "-"
        return f"{sum(self.busy) / len(self.busy):.0f} %, {self.memory / 2**30:.1f} GiB"


def run(roles: tuple[str, ...], shard: Path, clients: int, device: str, socket: str) -> None:
    """Run workers at once, each with the shard, and print a row."""
    environment = os.environ | {"HUMANNET_MODEL_SOCKET": socket}
    watch = Utilisation(device)
    watch.start()
    started = time.monotonic()
    command = [sys.executable, __file__, "--child", ",".join(roles), str(shard)]
    workers = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(clients)]
    answers = [worker.communicate()[0] for worker in workers]
    wall = time.monotonic() - started
    if any(worker.returncode for worker in workers):
        sys.exit("a worker failed")
    found: list[dict[str, Any]] = [json.loads(answer.splitlines()[-1]) for answer in answers]
    done = sum(one["frames"] for one in found)
    said = "all roles" if len(roles) > 1 else roles[0]
    where = f"server, {clients} worker{'s' if clients > 1 else ''}" if socket else "in process"
    print(
        f"{said:<18}{where:<19}{max(one['ready'] for one in found):>8.1f}{max(one['work'] for one in found):>9.1f}"
        f"{wall:>8.1f}{done / wall:>9.1f}{done / VIDEO_FPS / wall:>11.1f}  {watch.end()}",
        flush=True,
    )


@contextmanager
def server(path: str) -> Iterator[None]:
    started = time.monotonic()
    command = [str(Path(sys.executable).with_name("humannet")), "models", "serve", "--socket", path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        if not process.stdout.readline().startswith("Serving"):
            sys.exit("the model server did not start")
        print(f"(the server was ready after {time.monotonic() - started:.1f} s, once)")
        yield
        process.terminate()


def weights_of(named: str, folder: Path) -> Path:
    """The weights to use: named ones, the corpus', or an untrained YOLO11n where none can be had."""
    if named == "random":
        from humannet_ops.detectors.yolo import ultralytics

        target = folder / "yolo11n-untrained.pt"
        ultralytics().YOLO("yolo11n.yaml").save(str(target))
        return target
    path = Path(named) if named else REPOSITORY.parent / "shared/corpus/weights/yolo11n_int8_openvino_model"
    if not path.exists():
        sys.exit(f"{path} is absent: give --weights FILE, or --weights random")
    return path


def write_shard(path: Path, count: int) -> None:
    pictures = sample_frames(min(count, 120))
    with sampled_frames.Writer(path) as writer:
        for number in range(count):
            writer.add(number / VIDEO_FPS, number, pictures[number % len(pictures)])


def name_of(device: str) -> str:
    if not device.startswith("cuda"):
        return f"CPU: {processor()}"
    import torch

    return str(torch.cuda.get_device_name(device))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N")
    parser.add_argument("--weights", default="", help="a .pt file, an exported folder, or random")
    parser.add_argument("--frames", type=int, default=3600)
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--roles", choices=("person", "all", "both"), default="both")
    parser.add_argument("--child", nargs=2, metavar=("ROLES", "SHARD"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child[0].split(","), Path(arguments.child[1]))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ |= {
            "HUMANNET_YOLO_WEIGHTS": str(weights_of(arguments.weights, folder)),
            "HUMANNET_MODELS_DIR": str(folder / "models"),
            "HUMANNET_DEVICE": arguments.device,
        }
        settings.cache_clear()
        from humannet_ops.detectors.install import install

        install(folder / "models", "worker")
        write_shard(folder / "shard.parquet", arguments.frames)
        print(f"{name_of(arguments.device)}; {processor()}; {versions()}")
        print(f"{arguments.frames} frames ({arguments.frames / VIDEO_FPS / 60:.0f} minutes of video) a worker,")
        print(f"batches of {settings().batch}, {Path(os.environ['HUMANNET_YOLO_WEIGHTS']).name}")
        head = f"{'ready s':>8}{'work s':>9}{'wall s':>8}{'frames/s':>9}{'video h/h':>11}"
        print(f"{'roles':<18}{'where':<19}{head}  GPU busy, memory")
        chosen = {"person": [ROLES[:1]], "all": [ROLES], "both": [ROLES[:1], ROLES]}[arguments.roles]
        for roles in chosen:
            run(roles, folder / "shard.parquet", 1, arguments.device, "")
        path = str(folder / "models.sock")
        with server(path):
            for roles in chosen:
                for clients in sorted({1, arguments.clients}):
                    run(roles, folder / "shard.parquet", clients, arguments.device, path)


if __name__ == "__main__":
    main()
