"""Opens the models that the lock has for roles: in this process, or in the model server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from humannet_ops.detectors.lock import ModelError, ModelLock
from humannet_ops.detectors.own import open_own
from humannet_ops.detectors.protocol import BodyPose, CameraReconstruction, Detector, Detectors, HandPose
from humannet_ops.domain.outcome import DeviceLost
from humannet_ops.settings import Settings

if TYPE_CHECKING:
    from humannet_ops.detectors.protocol import Frame, FrameEmbedder
    from humannet_ops.domain.detection import Detection

DETECTORS = (
    "person_detector",
    "hand_detector",
    "face_detector",
    "restricted_content",
    "face_boxes",
    "screen_text",
)
"""Every role that finds boxes in frames: what the model server keeps open, of those that are installed."""


def open_detectors(roles: Sequence[str], lock: ModelLock | None, config: Settings) -> Detectors:
    """Open several roles' detectors: in the model server that ``HUMANNET_MODEL_SOCKET`` names, or here.

    Raises:
        ModelError: as ``open_detector``, or the server has other models or runs other code.
        DeviceLost: there is no such server.
    """
    if config.model_socket:
        from humannet_ops.detectors.remote import RemoteDetectors

        return RemoteDetectors(roles, _installed(lock), config.model_socket, config.patience_s)
    return _Here([open_detector(role, lock, config) for role in roles], config.device)


class _Here:
    """Detectors of this process."""

    def __init__(self, detectors: Sequence[Detector], device: str) -> None:
        self.releases = tuple(detector.release for detector in detectors)
        self._detectors, self._device = detectors, device

    def detect(self, frames: Sequence[Frame]) -> list[list[list[Detection]]]:
        try:
            return [detector.detect(frames) for detector in self._detectors]
        except DeviceLost as lost:
            from humannet_ops.detectors.device import answers

            # A GPU that works in a fresh process was perhaps broken by these frames: then the attempt counts, lest they
            # break it for ever.
            lost.counts = answers("cuda:0" if self._device == "auto" else self._device)
            raise


def _installed(lock: ModelLock | None) -> ModelLock:
    if lock is None:
        raise ModelError("No models are installed. Run `humannet models install`.")
    return lock


def open_detector(role: str, lock: ModelLock | None, config: Settings) -> Detector:
    """Load a role's model after comparing its files with the lock.

    Args:
        role: One of the roles of ``models.toml`` that find boxes in frames.
        lock: What is installed.
        config: Gives the device and the number of threads.

    Raises:
        ModelError: the model is missing or changed, or the role is not a detector's.
    """
    model = _installed(lock)[role]
    model.verify()
    match model.backend:
        case "centernet":
            from humannet_ops.detectors.centernet import CenterNet

            return CenterNet(model.release, model.path, device=config.device, threads=config.threads)
        case "yolo":
            from humannet_ops.detectors.yolo import Yolo

            return Yolo(model.release, model.path, device=config.device, threads=config.threads, batch=config.batch)
        case "mediapipe_hands":
            from humannet_ops.detectors.mediapipe_hands import MediapipeHands

            return MediapipeHands(model.release)
        case "mediapipe_faces":
            from humannet_ops.detectors.mediapipe_faces import MediapipeFaces

            return MediapipeFaces(model.release)
        case "nudenet_content":
            from humannet_ops.detectors.nudenet_content import NudenetContent

            return NudenetContent(model.release, model.path, device=config.device, threads=config.threads)
        case "centerface":
            from humannet_ops.detectors.centerface import CenterFace

            return CenterFace(model.release, model.path, device=config.device, threads=config.threads)
        case "ppocr_text":
            from humannet_ops.detectors.ppocr_text import PpocrText

            return PpocrText(model.release, *model.paths, device=config.device, threads=config.threads)
        case "python":
            return cast("Detector", open_own(model, config))
        case other:
            raise ModelError(f"The role {role} is filled by {model.release} ({other}), which finds no boxes in frames.")


def open_body_pose(lock: ModelLock | None, config: Settings) -> BodyPose:
    """Load the model of the role ``body_pose``.

    Raises:
        ModelError: it is missing or changed, or estimates no bodies.
    """
    model = _installed(lock)["body_pose"]
    model.verify()
    if model.backend == "mediapipe_pose":
        from humannet_ops.detectors.mediapipe_pose import MediapipeBodyPose

        return MediapipeBodyPose(model.release)
    if model.backend == "python":
        return cast("BodyPose", open_own(model, config))
    raise ModelError(f"The role body_pose is filled by {model.release} ({model.backend}), which estimates no bodies.")


def open_hand_pose(lock: ModelLock | None, config: Settings) -> HandPose:
    """Load the model of the role ``hand_pose``.

    Raises:
        ModelError: it is missing or changed, or estimates no hands.
    """
    model = _installed(lock)["hand_pose"]
    model.verify()
    if model.backend == "mediapipe_hands":
        from humannet_ops.detectors.mediapipe_pose import MediapipeHandPose

        return MediapipeHandPose(model.release)
    if model.backend == "python":
        return cast("HandPose", open_own(model, config))
    raise ModelError(f"The role hand_pose is filled by {model.release} ({model.backend}), which estimates no hands.")


def open_frame_embedder(lock: ModelLock | None, config: Settings) -> FrameEmbedder:
    """Load the model of the role ``frame_embedding``.

    Raises:
        ModelError: it is missing or changed, or embeds no frames.
    """
    model = _installed(lock)["frame_embedding"]
    model.verify()
    match model.backend:
        case "efficientnet_lite":
            from humannet_ops.detectors.efficientnet import EfficientNetLite

            return EfficientNetLite(model.release, model.path, device=config.device, threads=config.threads)
        case "python":
            return cast("FrameEmbedder", open_own(model, config))
        case other:
            raise ModelError(
                f"The role frame_embedding is filled by {model.release} ({other}), which embeds no frames."
            )


def open_camera_reconstruction(lock: ModelLock | None, config: Settings) -> CameraReconstruction:
    """Load what fills the role ``camera_reconstruction``.

    Raises:
        ModelError: it is missing or changed, or reconstructs no cameras.
    """
    model = _installed(lock)["camera_reconstruction"]
    model.verify()
    if model.backend == "pycolmap":
        from humannet_ops.detectors.pycolmap_camera import PycolmapCamera

        return PycolmapCamera(model.release, threads=config.threads)
    if model.backend == "python":
        return cast("CameraReconstruction", open_own(model, config))
    raise ModelError(
        f"The role camera_reconstruction is filled by {model.release} ({model.backend}), which reconstructs no cameras."
    )
