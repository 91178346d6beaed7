"""Which GPUs there are, and what went wrong on one: its memory is full, or it is gone."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

# What torch, onnxruntime and the CUDA libraries below them say. Only torch has a type for the first, and since 2.8 one
# for the second (AcceleratorError); onnxruntime has words alone.
_FULL = ("out of memory", "failed to allocate memory", "memory_allocation", "status_alloc_failed")
_LOST = ("cuda error", "cuda failure", "cudnn_status", "cudnn failure", "cublas_status", "cublas failure", "cuda_error")
_LOST_OR_NONE = ("no cuda gpus are available", "no cuda-capable device", "driver is insufficient", "nvml")
PROBE_S = 120


def chosen(device: str) -> list[str]:
    """Return the devices that a setting means: every GPU for ``auto`` and ``cuda``, where torch sees any."""
    if device not in ("auto", "cuda") or find_spec("torch") is None:
        return [device]
    import torch

    return [f"cuda:{number}" for number in range(torch.cuda.device_count())] or [device]


def _says(error: BaseException, words: tuple[str, ...]) -> bool:
    library = type(error).__module__.partition(".")[0]
    text = str(error).lower()
    return (isinstance(error, RuntimeError) or library in ("torch", "onnxruntime")) and any(
        word in text for word in words
    )


def memory_is_full(error: BaseException) -> bool:
    """Say whether an error means that the GPU has no room; a smaller batch may fit."""
    torch = sys.modules.get("torch")
    return (torch is not None and isinstance(error, torch.cuda.OutOfMemoryError)) or _says(error, _FULL)


def is_lost(error: BaseException) -> bool:
    """Say whether an error means that this process cannot use its GPU any more (after a CUDA error none can)."""
    return not memory_is_full(error) and _says(error, _LOST + _LOST_OR_NONE)


def answers(device: str) -> bool:
    """Say whether a fresh process can compute on a device.

    If so, the device is there, and what broke the old process may have been its work. Without torch nobody can tell:
    then it is taken to be there.
    """
    if find_spec("torch") is None:
        return True
    code = f"import torch; torch.zeros(1, device={device!r}).add_(1).item()"
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=PROBE_S, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
