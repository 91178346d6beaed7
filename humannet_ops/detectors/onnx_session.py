"""Opens ONNX models, on the GPU where the runtime has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def open_session(model: Path | bytes, *, device: str, threads: int) -> Any:
    """Open an onnxruntime session.

    Args:
        model: The model file, or its bytes.
        device: ``auto``, ``cpu`` or ``cuda:N``. ``auto`` takes the first GPU if onnxruntime was built for one.
        threads: Threads of one inference on the CPU.

    Raises:
        ValueError: a GPU is asked for by name and this onnxruntime cannot use one.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # threads that spin while they wait for work take the other core from whoever decodes
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    providers: list[Any] = ["CPUExecutionProvider"]
    has_gpu = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device.startswith("cuda") and not has_gpu:
        raise ValueError(
            f"HUMANNET_DEVICE is {device}, but this onnxruntime runs on the CPU only: "
            "install onnxruntime-gpu in its place, or set HUMANNET_DEVICE=cpu or auto"
        )
    if device != "cpu" and has_gpu:
        _, _, number = device.partition(":")
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": int(number or 0)}))
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=providers)
