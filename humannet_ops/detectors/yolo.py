"""Any YOLO detection weights that ultralytics runs, on CUDA or the CPU. ultralytics is AGPL-3.0.

It needs the worker extra. A folder that ultralytics exported (OpenVINO, ...) works like a ``.pt`` file.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from humannet_ops.detectors.batches import Batches
from humannet_ops.domain.detection import Detection, clipped

if TYPE_CHECKING:
    from humannet_ops.detectors.protocol import Frame

logger = logging.getLogger(__name__)
# What is given out, a low bar on purpose: the policy file has the threshold that decides.
MIN_SCORE = 0.2


def ultralytics(*, online: bool = False) -> Any:
    """Import ultralytics so that it neither installs, downloads nor writes into the user's home.

    Args:
        online: Let it use the network, to fetch weights at install.
    """
    os.environ.setdefault("YOLO_CONFIG_DIR", tempfile.mkdtemp(prefix="humannet-ultralytics-"))
    os.environ.setdefault("YOLO_VERBOSE", "false")
    os.environ["YOLO_AUTOINSTALL"] = "false"
    if not online:
        os.environ["YOLO_OFFLINE"] = "true"
    import ultralytics as imported

    _mend_torchvision()
    return imported


def _mend_torchvision() -> None:
    """Where torchvision was built for another torch, put ultralytics' own suppression in its place.

    ultralytics takes nothing but ``torchvision.ops.nms`` from it for detection, and its TorchNMS gives the same boxes.
    """
    try:
        import torchvision  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: F401
    except (ImportError, RuntimeError) as error:
        from ultralytics.utils.nms import TorchNMS

        logger.info("torchvision does not fit this torch (%s): using ultralytics' own NMS", error)
        stand_in, operators = ModuleType("torchvision"), ModuleType("torchvision.ops")
        operators.nms = TorchNMS.nms  # type: ignore[attr-defined]
        stand_in.ops = operators  # type: ignore[attr-defined]
        sys.modules["torchvision"], sys.modules["torchvision.ops"] = stand_in, operators


class Yolo:
    """Detects what the weights were trained on; ``person`` is a COCO name."""

    def __init__(self, release: str, path: Path, *, device: str, threads: int, batch: int = 32) -> None:
        """Load weights.

        Raises:
            ValueError: a GPU is asked for by name and torch sees none.
        """
        imported = ultralytics()
        import torch

        has_gpu = torch.cuda.is_available()
        if device.startswith("cuda") and not has_gpu:
            raise ValueError(
                f"HUMANNET_DEVICE is {device}, but torch sees no GPU: "
                "install torch's CUDA build and the driver, or set HUMANNET_DEVICE=cpu or auto"
            )
        torch.set_num_threads(threads)
        self.release = release
        self.device = ("cuda:0" if has_gpu else "cpu") if device == "auto" else device
        # 16-bit arithmetic on a GPU; an exported folder has the precision that it was exported with
        self.precision = 16 if self.device.startswith("cuda") and path.is_file() else None
        self.model = imported.YOLO(str(path), task="detect")
        self.batches = Batches(release, self.device, batch, self._batch)

    def detect(self, frames: Sequence[Frame]) -> list[list[Detection]]:
        """Find every object whose score is at least ``MIN_SCORE``; batches shrink until they fit the GPU's memory.

        Raises:
            MemoryError: even one frame does not fit.
            DeviceLost: the GPU is gone.
        """
        return self.batches(frames)

    def _batch(self, frames: Sequence[Frame]) -> list[list[Detection]]:
        import cv2

        # ultralytics takes arrays to be BGR; it letterboxes them itself
        pictures = [cv2.cvtColor(frame, cv2.COLOR_RGB2BGR) for frame in frames]
        answers = self.model.predict(
            pictures, batch=len(pictures), conf=MIN_SCORE, device=self.device, quantize=self.precision, verbose=False
        )
        return [_detections(answer) for answer in answers]


def _detections(answer: Any) -> list[Detection]:
    boxes = answer.boxes
    rows = zip(boxes.cls.tolist(), boxes.conf.tolist(), boxes.xyxyn.tolist(), strict=True)
    found = [clipped(answer.names[int(label)], score, *edges) for label, score, edges in rows]
    return [box for box in found if box]
