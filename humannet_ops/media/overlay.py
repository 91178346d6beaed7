"""Draws poses on a frame, for people to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from humannet_ops.domain.skeleton import BODY_BONES, BODY_JOINTS, HAND_BONES, LIMB_JOINTS
from humannet_ops.media.poses import Poses

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    Colour = tuple[int, int, int]

# Okabe and Ito's colours, which colour-blind people tell apart: the left is orange, the right is blue.
LEFT, RIGHT, MIDDLE, NOSE = (230, 159, 0), (86, 180, 233), (240, 240, 240), 0
LEFT_HAND, RIGHT_HAND = (213, 94, 0), (0, 158, 115)
OUTLINE = (20, 20, 20)
MIN_VISIBILITY = 0.5
_SHIFT = 4  # cv2 takes coordinates in sixteenths of a pixel


def draw_pose(rgb: Picture, poses: Poses, frame: int) -> Picture:
    """Draw the bodies and hands of one frame.

    Args:
        rgb: The frame, height x width x 3, red first; of any size, tracks are scaled to it.
        poses: The clip's bodies and hands.
        frame: Which of the clip's frames this is.

    Returns:
        A new picture of the same size.
    """
    picture = np.ascontiguousarray(rgb).copy()
    height, width = picture.shape[:2]
    scale = np.array([width / poses.width, height / poses.height])
    thickness = max(1, round(max(width, height) / 320))
    bodies, hands = poses.bodies, poses.hands
    for row in np.flatnonzero(bodies.frame == frame):
        _draw_body(picture, bodies.px[row] * scale, bodies.visibility[row], thickness)
    for row in np.flatnonzero(hands.frame == frame):
        colour = LEFT_HAND if hands.left[row] else RIGHT_HAND
        _draw(picture, hands.px[row] * scale, [(a, b, colour) for a, b in HAND_BONES], max(1, thickness // 2))
    return picture


def best_frame(poses: Poses) -> int:
    """Return the frame that shows most of a pose, for a thumbnail.

    That is the one with the most visible limb joints inside the picture, half of that for a hand's certainty; among
    equals the one nearest to the clip's middle, which is the answer too where there is no pose at all.
    """
    bodies, hands = poses.bodies, poses.hands
    shown = np.zeros(max(1, poses.frames))
    px, visibility = bodies.px[:, LIMB_JOINTS], bodies.visibility[:, LIMB_JOINTS]
    inside = ((px >= 0) & (px < (poses.width, poses.height))).all(axis=2)
    np.add.at(shown, bodies.frame, (visibility * inside).mean(axis=1) if len(px) else 0)
    np.add.at(shown, hands.frame, hands.score / 2)
    distance = np.abs(np.arange(len(shown)) - (len(shown) - 1) / 2) / len(shown)
    # nearly equal is equal: a hundredth more of a joint is no better picture
    return int(np.lexsort((distance, -np.round(shown, 2)))[0])


def draw_bones(
    picture: Picture, px: NDArray[np.floating], bones: Iterable[tuple[int, int]], colour: Colour | None = None
) -> None:
    """Draw bones into a picture, coloured by side where no colour is given (then the joints are a body's)."""
    thickness = max(1, round(max(picture.shape) / 400))
    _draw(picture, px, [(a, b, colour or _colour(a, b)) for a, b in bones], thickness)


def draw_path(picture: Picture, px: NDArray[np.floating], colour: Colour, at: int, here: Colour) -> None:
    """Draw a line through N points, and a dot on one of them."""
    import cv2

    points = np.round(px * (1 << _SHIFT)).astype(np.int32)
    cv2.polylines(picture, [points.reshape(-1, 1, 2)], False, colour, 2, cv2.LINE_AA, _SHIFT)
    cv2.circle(picture, tuple(map(int, points[at])), 6 << _SHIFT, here, -1, cv2.LINE_AA, _SHIFT)


def _draw_body(picture: Picture, px: NDArray[np.floating], visibility: NDArray[np.float32], thickness: int) -> None:
    visible = visibility >= MIN_VISIBILITY
    bones = [(a, b, _colour(a, b)) for a, b in BODY_BONES if visible[a] and visible[b]]
    if visible[[NOSE, 11, 12]].all():
        neck = px[[11, 12]].mean(axis=0)
        px = np.vstack([px, neck])
        bones.append((len(BODY_JOINTS), NOSE, MIDDLE))
    _draw(picture, px, bones, thickness)


def _colour(a: int, b: int) -> Colour:
    sides = {BODY_JOINTS[joint].partition("_")[0] for joint in (a, b)}
    return MIDDLE if len(sides) == 2 else LEFT if "left" in sides else RIGHT


def _draw(picture: Picture, px: NDArray[np.floating], bones: Iterable[tuple[int, int, Colour]], thickness: int) -> None:
    """Draw bones with a dark outline, which keeps them readable on any ground, then their joints."""
    import cv2

    # far outside a picture there is nothing to draw, and cv2 takes 32 bits only
    points = np.clip(np.round(px * (1 << _SHIFT)), -(1 << 24), 1 << 24).astype(int)
    lines = [(tuple(map(int, points[a])), tuple(map(int, points[b])), colour) for a, b, colour in bones]
    for start, end, _ in lines:
        cv2.line(picture, start, end, OUTLINE, thickness + 2, cv2.LINE_AA, _SHIFT)
    for start, end, colour in lines:
        cv2.line(picture, start, end, colour, thickness, cv2.LINE_AA, _SHIFT)
    radius = (thickness + 1) << (_SHIFT - 1)
    for point, colour in {point: colour for start, end, colour in lines for point in (start, end)}.items():
        cv2.circle(picture, point, radius + (1 << _SHIFT), OUTLINE, -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(picture, point, radius + (1 << _SHIFT) // 2, colour, -1, cv2.LINE_AA, _SHIFT)
