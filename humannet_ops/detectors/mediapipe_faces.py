"""MediaPipe face detection, the full-range model: faces up to some five metres away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from humannet_ops.detectors.mediapipe_runtime import mediapipe, quiet
from humannet_ops.domain.detection import Detection, clipped

if TYPE_CHECKING:
    from humannet_ops.detectors.protocol import Frame

MIN_SCORE = 0.5  # MediaPipe's own default
FULL_RANGE = 1


class MediapipeFaces:
    """Detects faces."""

    def __init__(self, release: str) -> None:
        self.release = release
        with quiet():
            self.graph = mediapipe().solutions.face_detection.FaceDetection(
                model_selection=FULL_RANGE, min_detection_confidence=MIN_SCORE
            )
            self.graph.process(np.zeros((64, 64, 3), np.uint8))

    def detect(self, frames: Sequence[Frame]) -> list[list[Detection]]:
        """Find faces."""
        return [self._faces(frame) for frame in frames]

    def _faces(self, frame: Frame) -> list[Detection]:
        answer = self.graph.process(np.ascontiguousarray(frame))
        found = []
        for face in answer.detections or ():
            box = face.location_data.relative_bounding_box
            found.append(
                clipped("face", face.score[0], box.xmin, box.ymin, box.xmin + box.width, box.ymin + box.height)
            )
        return [box for box in found if box]
