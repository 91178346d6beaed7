"""MediaPipe's body pose (BlazePose GHUM, the "full" model) and hand pose, tracked from frame to frame.

The wheel bundles ``pose_landmark_full`` and ``hand_landmark_full`` (complexity 1) only; lite and heavy would be
downloaded. The graphs take frames to be 1/30 s apart, which is how cut makes them. Their own smoothing is switched off:
what is written is smoothed in one place, by documented parameters (``media/smoothing.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.detectors.mediapipe_runtime import mediapipe, quiet
from humannet_ops.domain.skeleton import Body, Hand

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from humannet_ops.detectors.protocol import Frame

COMPLEXITY = 1
# MediaPipe's own default, for finding and for following alike.
MIN_CONFIDENCE = 0.5
MAX_HANDS = 4
# MediaPipe names sides for a mirrored (selfie) picture; ours are not mirrored.
OWN_SIDE = {"Left": "right", "Right": "left"}
_CONFIDENCE = {"min_detection_confidence": MIN_CONFIDENCE, "min_tracking_confidence": MIN_CONFIDENCE}


class _Graph:
    """A graph of MediaPipe's. It is native code that releases the interpreter lock."""

    def __init__(self, release: str, graph: Any) -> None:
        self.release, self._graph = release, graph
        self.start()

    def start(self) -> None:
        """Forget the frames seen so far, so that a result does not depend on what came before.

        A graph loads its models when its first frame comes, and says so: that is let happen here.
        """
        with quiet():
            self._graph.reset()
            self._graph.process(np.zeros((64, 64, 3), np.uint8))

    def close(self) -> None:
        """Release the models."""
        self._graph.close()


class MediapipeBodyPose(_Graph):
    """Follows the most prominent body."""

    def __init__(self, release: str) -> None:
        """Load the models.

        Args:
            release: As outcomes record it.
        """
        with quiet():
            graph = mediapipe().solutions.pose.Pose(model_complexity=COMPLEXITY, smooth_landmarks=False, **_CONFIDENCE)
        super().__init__(release, graph)

    def estimate(self, frame: Frame) -> Body | None:
        """Estimate the body in the next frame, if there is one."""
        answer = self._graph.process(np.ascontiguousarray(frame))
        if not answer.pose_landmarks or not answer.pose_world_landmarks:
            return None
        visibility = np.array([point.visibility for point in answer.pose_landmarks.landmark], np.float32)
        return Body(_pixels(answer.pose_landmarks, frame), visibility, _metres(answer.pose_world_landmarks))


class MediapipeHandPose(_Graph):
    """Follows up to four hands, of anybody."""

    def __init__(self, release: str) -> None:
        """Load the models.

        Args:
            release: As outcomes record it.
        """
        with quiet():
            graph = mediapipe().solutions.hands.Hands(
                model_complexity=COMPLEXITY, max_num_hands=MAX_HANDS, **_CONFIDENCE
            )
        super().__init__(release, graph)

    def estimate(self, frame: Frame) -> tuple[Hand, ...]:
        """Estimate the hands in the next frame."""
        answer = self._graph.process(np.ascontiguousarray(frame))
        found = zip(
            answer.multi_hand_landmarks or (),
            answer.multi_hand_world_landmarks or (),
            answer.multi_handedness or (),
            strict=True,
        )
        return tuple(
            Hand(
                OWN_SIDE[sides.classification[0].label],
                sides.classification[0].score,
                _pixels(flat, frame),
                _metres(deep),
            )
            for flat, deep, sides in found
        )


def _pixels(landmarks: Any, frame: Frame) -> NDArray[np.float32]:
    height, width = frame.shape[:2]
    return np.array([(point.x * width, point.y * height) for point in landmarks.landmark], np.float32)


def _metres(landmarks: Any) -> NDArray[np.float32]:
    return np.array([(point.x, point.y, point.z) for point in landmarks.landmark], np.float32)
