"""MediaPipe's body pose (BlazePose GHUM, the "full" model) and hand pose, tracked through a clip.

The wheel bundles ``pose_landmark_full`` and ``hand_landmark_full`` (complexity 1) only; lite and heavy would be
downloaded. One person and two hands a frame. The graphs take frames to be 1/30 s apart, which is how cut makes them.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.detectors.mediapipe_runtime import mediapipe, quiet
from humannet_ops.domain.skeleton import Body, Hand

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]

COMPLEXITY = 1
# MediaPipe's own default, for finding and for following alike.
MIN_CONFIDENCE = 0.5
MAX_HANDS = 2
# MediaPipe names sides for a mirrored (selfie) picture; ours are not mirrored.
OWN_SIDE = {"Left": "right", "Right": "left"}


class MediapipePose:
    """Follows one body and two hands. ``start`` begins a clip; then frames go in, in order."""

    def __init__(self, threads: int = 1) -> None:
        solutions = mediapipe().solutions
        confidence = {"min_detection_confidence": MIN_CONFIDENCE, "min_tracking_confidence": MIN_CONFIDENCE}
        with quiet():
            self._body = solutions.pose.Pose(model_complexity=COMPLEXITY, **confidence)
            self._hands = solutions.hands.Hands(model_complexity=COMPLEXITY, max_num_hands=MAX_HANDS, **confidence)
            self._warm_up()
        # The graphs are native code that releases the interpreter lock: with two threads both models run at once.
        self._pool = ThreadPoolExecutor(1, "body-pose") if threads > 1 else None

    def start(self) -> None:
        """Forget the frames seen so far, so that a clip's result does not depend on the clips before it."""
        with quiet():
            self._body.reset()
            self._hands.reset()
            self._warm_up()

    def _warm_up(self) -> None:
        """Let the models load now: a graph does that when its first frame comes, and says so."""
        for graph in (self._body, self._hands):
            graph.process(np.zeros((64, 64, 3), np.uint8))

    def estimate(self, rgb: Picture, *, with_body: bool = True) -> tuple[Body | None, tuple[Hand, ...]]:
        """Estimate the poses in the clip's next frame.

        Args:
            rgb: The frame, height x width x 3, red first.
            with_body: Whether to look for a body at all.

        Returns:
            The most prominent person's body, if there is one, and up to two hands, of anybody.
        """
        rgb = np.ascontiguousarray(rgb)
        size = rgb.shape[1], rgb.shape[0]
        if with_body and self._pool is not None:
            pending = self._pool.submit(self._body.process, rgb)
            hands = self._hands.process(rgb)
            return _body(pending.result(), size), _hands(hands, size)
        body = _body(self._body.process(rgb), size) if with_body else None
        return body, _hands(self._hands.process(rgb), size)

    def close(self) -> None:
        """Release the models."""
        if self._pool is not None:
            self._pool.shutdown()
        self._body.close()
        self._hands.close()


def _pixels(landmarks: Any, size: tuple[int, int]) -> NDArray[np.float32]:
    return np.array([(point.x * size[0], point.y * size[1]) for point in landmarks.landmark], np.float32)


def _metres(landmarks: Any) -> NDArray[np.float32]:
    return np.array([(point.x, point.y, point.z) for point in landmarks.landmark], np.float32)


def _body(answer: Any, size: tuple[int, int]) -> Body | None:
    if not answer.pose_landmarks or not answer.pose_world_landmarks:
        return None
    visibility = np.array([point.visibility for point in answer.pose_landmarks.landmark], np.float32)
    return Body(_pixels(answer.pose_landmarks, size), visibility, _metres(answer.pose_world_landmarks))


def _hands(answer: Any, size: tuple[int, int]) -> tuple[Hand, ...]:
    found = zip(
        answer.multi_hand_landmarks or (),
        answer.multi_hand_world_landmarks or (),
        answer.multi_handedness or (),
        strict=True,
    )
    return tuple(
        Hand(OWN_SIDE[sides.classification[0].label], sides.classification[0].score, _pixels(flat, size), _metres(deep))
        for flat, deep, sides in found
    )
