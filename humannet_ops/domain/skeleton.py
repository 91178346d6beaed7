"""What a pose is: joints, the bones between them, and what a model says about one body or one hand in one frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

# The 33 joints of BlazePose GHUM, in its order. Left and right are the person's own.
BODY_JOINTS = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index", "left_thumb",
    "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel",
    "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip
# The 21 joints of a hand, in MediaPipe's order.
HAND_JOINTS = (
    "wrist", "thumb_cmc", "thumb_mcp", "thumb_ip", "thumb_tip", "index_mcp", "index_pip", "index_dip", "index_tip",
    "middle_mcp", "middle_pip", "middle_dip", "middle_tip", "ring_mcp", "ring_pip", "ring_dip", "ring_tip",
    "pinky_mcp", "pinky_pip", "pinky_dip", "pinky_tip",
)  # fmt: skip
# Shoulders, elbows, wrists, hips, knees, ankles: what a body does. Face, finger and toe joints follow these.
LIMB_JOINTS = (11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
# And the head by its nose and ears: what moves when a person does.
MOVING_JOINTS = (0, 7, 8, *LIMB_JOINTS)
BODY_BONES = (
    (11, 12), (23, 24), (11, 23), (12, 24),
    (11, 13), (13, 15), (23, 25), (25, 27), (27, 29), (29, 31), (27, 31),
    (12, 14), (14, 16), (24, 26), (26, 28), (28, 30), (30, 32), (28, 32),
)  # fmt: skip
HAND_BONES = (
    (0, 1), (1, 2), (2, 3), (3, 4), (0, 5), (5, 6), (6, 7), (7, 8), (5, 9), (9, 10), (10, 11), (11, 12),
    (9, 13), (13, 14), (14, 15), (15, 16), (13, 17), (0, 17), (17, 18), (18, 19), (19, 20),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Body:
    """One person's body in one frame.

    Attributes:
        px: 33 x 2, pixels of the frame, x to the right, y downwards. Joints out of the frame are extrapolated.
        visibility: 33, 0..1, the model's belief that the joint is in the frame and not hidden.
        world_m: 33 x 3, metres, origin midway between the hips, x to the picture's right, y downwards, z away from
            the camera. The model knows no scale: metres are those of a person of ordinary size.
    """

    px: Array
    visibility: Array
    world_m: Array


@dataclass(frozen=True, slots=True)
class Hand:
    """One hand in one frame.

    Attributes:
        side: ``left`` or ``right``: the hand's own side, as if the picture is not mirrored.
        score: 0..1, the model's certainty about the side; the only confidence it gives.
        px: 21 x 2, as in ``Body``.
        world_m: 21 x 3, metres, origin at the hand's centre, axes as in ``Body``.
    """

    side: str
    score: float
    px: Array
    world_m: Array
