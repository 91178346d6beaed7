"""A clip beside what was made of it, drawn frame by frame for people to look at: a picture with four panels.

    the clip with boxes, bodies and hands | bodies and hands in metres, from the front and from the side
    the path of the camera, from above    | the robot

A panel that has nothing to show says why.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.domain.skeleton import BODY_BONES, HAND_BONES
from humannet_ops.media import overlay, people

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from humannet_ops.media.end_effectors import EndEffectors
    from humannet_ops.media.people import People
    from humannet_ops.media.poses import Poses

    Picture = NDArray[np.uint8]

WIDTH, HEIGHT, TITLE = 640, 360, 30
GROUND, INK, FAINT = (24, 26, 30), (236, 236, 232), (84, 88, 96)
BOX, THING, PATH, HERE = (240, 228, 66), (204, 121, 167), (86, 180, 233), (230, 159, 0)
# Metres that a body's and a hand's view show from edge to edge.
BODY_SPAN_M, HAND_SPAN_M = 2.2, 0.3


@dataclass(frozen=True)
class Path:
    """Where the camera was: K positions, each in a frame of the clip, x to the right, y down, z forward."""

    frame: NDArray[np.integer]
    position: NDArray[np.floating]
    unit: str


def compose(panels: Sequence[tuple[str, Picture]]) -> Picture:
    """Put four titled panels together, two by two.

    Args:
        panels: A title and a picture each, HEIGHT x WIDTH x 3.

    Returns:
        2 (HEIGHT + TITLE) x 2 WIDTH x 3.
    """
    titled = []
    for title, picture in panels:
        bar = np.full((TITLE, WIDTH, 3), GROUND, np.uint8)
        _write(bar, title, (12, 21), 0.5, INK)
        titled.append(np.vstack([bar, picture]))
    top, bottom = np.hstack(titled[:2]), np.hstack(titled[2:])
    both = np.vstack([top, bottom])
    both[:, WIDTH - 1 : WIDTH + 1] = FAINT
    return both


def clip_panel(rgb: Picture, poses: Poses | None, around: People | None, frame: int) -> Picture:
    """Draw the clip's frame with the followed boxes, bodies and hands."""
    picture = np.ascontiguousarray(rgb).copy()
    if around is not None:
        _boxes(picture, around, frame)
    if poses is not None:
        picture = overlay.draw_pose(picture, poses, frame)
    return fitted(picture)


def _boxes(picture: Picture, around: People, frame: int) -> None:
    import cv2

    scale = picture.shape[1] / around.width
    weight = max(1, round(max(picture.shape) / 500))
    here = around.looked_at[np.argmin(np.abs(around.looked_at - frame))] if len(around.looked_at) else -1
    for row in np.flatnonzero((around.frame == here) & (around.track >= 0)):
        x1, y1, x2, y2 = (int(value * scale) for value in around.box[row])
        of_person = around.label[row] == people.PERSON
        colour = BOX if of_person else THING
        cv2.rectangle(picture, (x1, y1), (x2, y2), colour, weight, cv2.LINE_AA)
        name = f"person {around.track[row]}" if of_person else str(around.label[row])
        _write(picture, name, (x1 + 3 * weight, max(14 * weight, y1 - 4 * weight)), 0.42 * weight, colour, weight)


def metres_panel(poses: Poses | None, frame: int) -> Picture:
    """Draw a frame's bodies and hands in metres, from the front and from the side."""
    picture = blank()
    if poses is None:
        return picture
    bodies, hands = poses.bodies, poses.hands
    rows = np.flatnonzero(bodies.frame == frame)
    half = WIDTH // 2
    for place, (name, axes) in enumerate((("front", (0, 1)), ("from its left", (2, 1)))):
        _write(picture, name, (place * half + 12, HEIGHT - 12), 0.42, FAINT)
        for row in rows:
            flat = bodies.world_m[row][:, axes] * (HEIGHT / BODY_SPAN_M) + (place * half + half / 2, HEIGHT / 2)
            visible = bodies.visibility[row] >= overlay.MIN_VISIBILITY
            overlay.draw_bones(picture, flat, [bone for bone in BODY_BONES if visible[list(bone)].all()])
        for row in np.flatnonzero(hands.frame == frame):
            # the left hand below on the left, the right one on the right
            centre = (place * half + (0.25 if hands.left[row] else 0.75) * half, HEIGHT * (0.8 if len(rows) else 0.5))
            flat = hands.world_m[row][:, axes] * (HEIGHT / 2 / HAND_SPAN_M) + centre
            colour = overlay.LEFT_HAND if hands.left[row] else overlay.RIGHT_HAND
            overlay.draw_bones(picture, flat, HAND_BONES, colour)
    return picture


def camera_panel(path: Path, frame: int) -> Picture:
    """Draw the camera's path from above and from the side, with where it is in this frame."""
    picture = blank()
    spread = np.ptp(path.position, axis=0)
    scale = 0.8 * min(WIDTH / 2, HEIGHT) / max(float(spread.max()), 1e-6)
    centre = path.position.min(axis=0) + spread / 2
    at = int(np.argmin(np.abs(path.frame - frame)))
    for place, (name, axes, up) in enumerate((("from above", (0, 2), -1), ("from its left", (2, 1), 1))):
        flat = (path.position - centre)[:, axes] * scale * (1, up) + (WIDTH * (1 + 2 * place) / 4, HEIGHT / 2)
        overlay.draw_path(picture, flat, PATH, at, HERE)
        _write(picture, name, (place * WIDTH // 2 + 12, HEIGHT - 12), 0.42, FAINT)
    _write(picture, f"unit: {path.unit}", (12, 20), 0.42, FAINT)
    return picture


def grippers_panel(grippers: EndEffectors, frame: int) -> Picture:
    """Draw the way of both wrists in front of the camera, from above and from the side, with where they are now."""
    picture = blank()
    mine = grippers.valid
    reach = max(0.4, float(np.abs(grippers.position_m[mine]).max(initial=0.0)))
    scale = 0.44 * HEIGHT / reach
    for place, (name, axes, up, eye) in enumerate(
        (("from above", (0, 2), -1, HEIGHT - 50), ("from its right", (2, 1), 1, HEIGHT / 2))
    ):
        start = np.array([WIDTH / 4 if place == 0 else WIDTH / 2 + 30, eye])
        overlay.draw_path(picture, np.array([start, start + 0.01]), FAINT, 0, FAINT)
        for left, colour in ((True, overlay.LEFT_HAND), (False, overlay.RIGHT_HAND)):
            rows = np.flatnonzero(mine & (grippers.left == left))
            if len(rows):
                flat = grippers.position_m[rows][:, axes] * scale * (1, up) + start
                at = int(np.argmin(np.abs(grippers.frame[rows] - frame)))
                overlay.draw_path(picture, flat, colour, at, colour)
        _write(picture, name, (place * WIDTH // 2 + 12, HEIGHT - 12), 0.42, FAINT)
    here = np.flatnonzero(mine & (grippers.frame == frame))
    for line, row in enumerate(here[:4]):
        side = "left" if grippers.left[row] else "right"
        x, y, z = grippers.position_m[row]
        said = f"{side}: {x:+.2f} {y:+.2f} {z:+.2f} m, open {grippers.opening_m[row] * 100:.0f} cm"
        _write(picture, said, (12, 20 + 18 * line), 0.42, INK)
    return picture


def said_panel(message: str) -> Picture:
    """Say why there is nothing to see."""
    picture = blank()
    lines = textwrap.wrap(message, 62)[:8]
    for number, line in enumerate(lines):
        _write(picture, line, (28, HEIGHT // 2 - 11 * len(lines) + 22 * number), 0.5, INK)
    return picture


def blank() -> Picture:
    """Return an empty panel."""
    return np.full((HEIGHT, WIDTH, 3), GROUND, np.uint8)


def fitted(picture: Picture) -> Picture:
    """Fit a picture into a panel, whole."""
    import cv2

    height, width = picture.shape[:2]
    scale = min(WIDTH / width, HEIGHT / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    panel = blank()
    x, y = (WIDTH - size[0]) // 2, (HEIGHT - size[1]) // 2
    panel[y : y + size[1], x : x + size[0]] = small
    return panel


def why(outcomes: Mapping[str, Mapping[str, Any]], stage: str) -> str:
    """Say what a stage made of a clip, where that is nothing to draw.

    Args:
        outcomes: Stage -> the outcome's ``outcome``, ``reason`` and ``detail``.
        stage: The stage.
    """
    found = outcomes.get(stage)
    if found is None:
        return f"{stage} has not run on this clip"
    detail = found["detail"] or {}
    return (
        f"{stage}: {found['reason'] or found['outcome']}. {detail.get('message') or detail.get('error') or ''}".strip()
    )


def _write(
    picture: Picture, text: str, at: tuple[int, int], size: float, colour: tuple[int, int, int], weight: int = 1
) -> None:
    import cv2

    # OpenCV's strokes know ASCII alone
    plain = text.encode("ascii", "replace").decode()
    cv2.putText(picture, plain, at, cv2.FONT_HERSHEY_SIMPLEX, size, GROUND, weight + 2, cv2.LINE_AA)
    cv2.putText(picture, plain, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, weight, cv2.LINE_AA)
