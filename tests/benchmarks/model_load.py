"""Measure what loading a model costs beside its work, in a fresh process a role, as Airflow runs each task.

    .venv/bin/python tests/benchmarks/model_load.py                      # the default profile, about a minute
    .venv/bin/python tests/benchmarks/model_load.py --profile worker     # ultralytics (`make install-worker`)

Prints, for each role of detect and for body and hand pose: seconds from the start of the process to a model that is
open (its files compared with the lock), of the first batch, and a frame of later batches; then the share that loading
has of a shard of 30 minutes of video. detect looks at 2 frames a second, poses at 30 (of what was kept: here all).

The frames are those of a sample video as detection gets them. The worker profile takes the weights that
HUMANNET_YOLO_WEIGHTS names, or those of ../shared/corpus.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from humannet_ops.detectors.install import install
from humannet_ops.detectors.lock import load_lock
from humannet_ops.settings import REPOSITORY, Settings, settings
from humannet_ops.stages.detect import ROLES

POSES = ("body_pose", "hand_pose")
SHARD_S = 1800
FPS = dict.fromkeys(ROLES, 2.0) | dict.fromkeys(POSES, 30.0)
PACKAGES = ("numpy", "onnxruntime", "mediapipe", "torch", "ultralytics", "openvino")


def frames(count: int) -> list[Any]:
    """The sample video's frames, long side at most 640."""
    from humannet_ops.media.decode import Pass, decode

    video = settings().home / "packages" / "samples" / "Sports2D" / "Demo" / "demo.mp4"
    if not video.exists():
        sys.exit(f"{video} is absent: run `make samples`")
    found: list[Any] = []
    for frame in decode(video, Pass(), sample_fps=30):
        if frame.sample is not None:
            found.append(frame.sample[:, :, ::-1].copy())
        if len(found) == count:
            return found
    return [found[place % len(found)] for place in range(count)]


def measure(role: str, models: Path, batch: int, batches: int, started: float) -> dict[str, Any]:
    """Open one role's model and use it. ``started``: when the process was, on the machine's clock."""
    from humannet_ops.detectors.factory import open_body_pose, open_detector, open_hand_pose

    if role in POSES:
        pose = {"body_pose": open_body_pose, "hand_pose": open_hand_pose}[role](load_lock(models), settings())
        release, run = pose.release, lambda pictures: [pose.estimate(picture) for picture in pictures]
    else:
        detector = open_detector(role, load_lock(models), settings())
        release, run = detector.release, detector.detect
    loaded = time.time()
    pictures = frames(batch * (batches + 1))
    before = time.monotonic()
    run(pictures[:batch])
    first = time.monotonic() - before
    before = time.monotonic()
    for number in range(1, batches + 1):
        run(pictures[number * batch : (number + 1) * batch])
    warm = (time.monotonic() - before) / (batch * batches)
    return {"release": release, "load": loaded - started, "first": first, "warm": warm, "device": device()}


def device() -> str:
    """The GPU's name where torch or onnxruntime uses one, else the CPU's."""
    if "torch" in sys.modules and sys.modules["torch"].cuda.is_available():
        return str(sys.modules["torch"].cuda.get_device_name(0))
    return "CPU"


def processor() -> str:
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return f"{len(names)} x {names[0]}" if names else platform.processor()


def versions() -> str:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(f"{name} {version}" for name, version in found.items())


def models_of(profile: str, folder: Path) -> Path:
    """Install a profile's models, or take those that are there already."""
    config = settings()
    if profile == "worker":
        weights = config.yolo_weights or REPOSITORY.parent / "shared/corpus/weights/yolo11n_int8_openvino_model"
        config = Settings(yolo_weights=weights if Path(weights).exists() else None)
    elif (config.models / "models.lock.json").exists() and load_lock(config.models).profile == profile:
        return config.models
    install(folder, profile, config)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", choices=("default", "worker"), default="default")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--batches", type=int, default=2, help="how many after the first")
    parser.add_argument("--child", nargs=3, metavar=("ROLE", "MODELS", "STARTED"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        role, models, started = arguments.child
        print(json.dumps(measure(role, Path(models), arguments.batch, arguments.batches, float(started))))
        return
    with tempfile.TemporaryDirectory() as folder:
        models = models_of(arguments.profile, Path(folder))
        print(f"{processor()}, Python {platform.python_version()}, {versions()}; {settings().threads} threads,")
        print(
            f"batches of {arguments.batch}, profile {arguments.profile}; shard of {SHARD_S / 60:.0f} minutes of video"
        )
        print(f"{'role':<20}{'model':<38}{'on':<6}{'load s':>8}{'first s':>9}{'ms/frame':>10}{'work s':>9}{'share':>8}")
        loads, works = 0.0, 0.0
        for role in (*ROLES, *POSES):
            command = [sys.executable, __file__, "--batch", str(arguments.batch), "--batches", str(arguments.batches)]
            command += ["--child", role, str(models), str(time.time())]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{role}: {done.stderr}")
            found = json.loads(done.stdout.splitlines()[-1])
            # what the first batch took longer than a warm one is loading too
            load = found["load"] + max(0.0, found["first"] - found["warm"] * arguments.batch)
            work = SHARD_S * FPS[role] * found["warm"]
            if role in ROLES:
                loads, works = loads + load, works + work
            print(
                f"{role:<20}{found['release'][:36]:<38}{found['device'][:5]:<6}{found['load']:>8.2f}{found['first']:>9.2f}"
                f"{found['warm'] * 1000:>10.1f}{work:>9.1f}{load / (load + work):>8.1%}"
            )
        print(
            f"detect, all roles: {loads:.1f} s of loading beside {works:.0f} s of work: {loads / (loads + works):.1%}"
        )
        print("(each role's process pays Python's start and its imports by itself; one task pays them once)")


if __name__ == "__main__":
    main()
