"""Opens the model that the lock has for a role."""

from __future__ import annotations

from humannet_ops.detectors.lock import ModelError, ModelLock
from humannet_ops.detectors.protocol import Detector
from humannet_ops.settings import Settings


def open_detector(role: str, lock: ModelLock | None, config: Settings) -> Detector:
    """Load a role's model after comparing its files with the lock.

    Args:
        role: One of the roles of ``models.toml`` that find boxes in frames.
        lock: What is installed.
        config: Gives the device and the number of threads.

    Raises:
        ModelError: the model is missing or changed, or the role is not a detector's.
    """
    if lock is None:
        raise ModelError("No models are installed. Run `humannet models install`.")
    model = lock[role]
    model.verify()
    match model.backend:
        case "centernet":
            from humannet_ops.detectors.centernet import CenterNet

            return CenterNet(model.release, model.path, device=config.device, threads=config.threads)
        case "yolo":
            from humannet_ops.detectors.yolo import Yolo

            return Yolo(model.release, model.path, device=config.device, threads=config.threads)
        case "mediapipe_hands":
            from humannet_ops.detectors.mediapipe_hands import MediapipeHands

            return MediapipeHands(model.release)
        case "mediapipe_faces":
            from humannet_ops.detectors.mediapipe_faces import MediapipeFaces

            return MediapipeFaces(model.release)
        case "nudenet_content":
            from humannet_ops.detectors.nudenet_content import NudenetContent

            return NudenetContent(model.release, model.path, device=config.device, threads=config.threads)
        case other:
            raise ModelError(f"The role {role} is filled by {model.release} ({other}), which finds no boxes in frames.")
