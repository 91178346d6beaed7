"""MediaPipe Hands: at most four hands a frame, each frame by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from humannet_ops.detectors.mediapipe_runtime import mediapipe, quiet
from humannet_ops.domain.detection import Detection, clipped

if TYPE_CHECKING:
    from humannet_ops.detectors.protocol import Frame

# MediaPipe's own default, for the palm detector. A palm it lets through must also pass the landmark model's presence
# check, so this is the bar of two models.
MIN_PALM_SCORE = 0.5
MAX_HANDS = 4


class MediapipeHands:
    """Detects hands and which side they are. The score is the landmark model's certainty about the side."""

    def __init__(self, release: str) -> None:
        self.release = release
        with quiet():
            self.graph = mediapipe().solutions.hands.Hands(
                static_image_mode=True, max_num_hands=MAX_HANDS, min_detection_confidence=MIN_PALM_SCORE
            )
            self.graph.process(np.zeros((64, 64, 3), np.uint8))

    def detect(self, frames: Sequence[Frame]) -> list[list[Detection]]:
        """Find hands; a box is that of the 21 landmarks."""
        return [self._hands(frame) for frame in frames]

    def _hands(self, frame: Frame) -> list[Detection]:
        answer = self.graph.process(np.ascontiguousarray(frame))
        found = []
        for hand, sides in zip(answer.multi_hand_landmarks or (), answer.multi_handedness or (), strict=True):
            side = sides.classification[0]
            xs, ys = [point.x for point in hand.landmark], [point.y for point in hand.landmark]
            # MediaPipe names sides for a mirrored (selfie) picture; ours are not mirrored
            own = {"Left": "right", "Right": "left"}[side.label]
            found.append(clipped("hand", side.score, min(xs), min(ys), max(xs), max(ys), own))
        return [box for box in found if box]
