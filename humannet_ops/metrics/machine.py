"""What is measured beside the catalog: the store, the disks and the GPUs of the machine that runs the exporter."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from humannet_ops.settings import settings
from humannet_ops.storage import answers

Rows = list[dict[str, Any]]


def store() -> Rows:
    """Say whether the object store answers."""
    return [{"up": float(answers())}]


def disks() -> Rows:
    """Return the free and the whole bytes below HUMANNET_HOME, and of the store where it is a folder elsewhere."""
    config, found, seen = settings(), [], set()
    places = {"home": config.home} | ({} if config.store.startswith("s3://") else {"store": Path(config.store)})
    for name, path in places.items():
        there = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
        if (device := there.stat().st_dev) not in seen:
            seen.add(device)
            usage = shutil.disk_usage(there)
            found.append({"disk": name, "free": usage.free, "size": usage.total})
    return found


def gpus() -> Rows:
    """Return what NVIDIA's library says about each GPU; nothing where it or a GPU is absent.

    ``busy`` is NVML's utilisation: the share of its last sample period (1/6 s to 1 s) in which a kernel ran.
    """
    try:
        import pynvml
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        return [_gpu(pynvml, number) for number in range(pynvml.nvmlDeviceGetCount())]
    finally:
        pynvml.nvmlShutdown()


def _gpu(nvml: Any, number: int) -> dict[str, Any]:
    handle = nvml.nvmlDeviceGetHandleByIndex(number)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    busy = nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
    return {
        "gpu": str(number),
        "device": nvml.nvmlDeviceGetName(handle),
        "busy": busy,
        "used": memory.used,
        "size": memory.total,
    }
