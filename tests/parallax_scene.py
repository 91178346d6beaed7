"""A scene of textured boards at several depths, seen by a camera whose path is known; rendered plane by plane."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

WIDTH, HEIGHT, FOCAL_PX = 640, 360, 480.0
INTRINSICS = np.array([[FOCAL_PX, 0, WIDTH / 2], [0, FOCAL_PX, HEIGHT / 2], [0, 0, 1]])


@dataclass(frozen=True)
class Board:
    """A rectangle in space: a corner, two edges in metres (x right, y down, z forward) and a texture."""

    corner: np.ndarray
    across: np.ndarray
    down: np.ndarray
    texture: np.ndarray


def texture(seed: int, size: int = 512) -> np.ndarray:
    """Random blobs of several sizes: there is something to track everywhere."""
    random = np.random.default_rng(seed)
    picture = np.zeros((size, size, 3), np.float32)
    for cells in (8, 24, 64, 160):
        noise = random.uniform(0, 255, (cells, cells, 3)).astype(np.float32)
        picture += cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC) / 4
    return np.clip((picture - 127) * 2.2 + 127, 0, 255).astype(np.uint8)


def scene(seed: int = 0) -> list[Board]:
    """A wall, a floor and five boards before them, the farthest first."""
    random = np.random.default_rng(seed)
    boards = [
        Board(np.array([-8.0, -4.5, 7.0]), np.array([16.0, 0, 0]), np.array([0, 9.0, 0]), texture(seed + 1, 1024)),
        Board(np.array([-6.0, 1.4, 7.0]), np.array([12.0, 0, 0]), np.array([0, 0, -5.6]), texture(seed + 2, 1024)),
    ]
    for number, depth in enumerate((5.5, 4.6, 3.8, 3.2, 2.6)):
        x, y = random.uniform(-1.4, 0.9), random.uniform(-1.0, 0.3)
        side = random.uniform(0.5, 0.9)
        turned = np.array([side, 0, random.uniform(-0.2, 0.2)])
        boards.append(Board(np.array([x, y, depth]), turned, np.array([0, side, 0]), texture(seed + 3 + number)))
    return boards


def render(boards: list[Board], position: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Draw the scene.

    Args:
        boards: The farthest first.
        position: The camera's centre in the world, metres.
        turn: Camera to world, 3 x 3.

    Returns:
        HEIGHT x WIDTH x 3, red first.
    """
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for board in boards:
        corners = np.array(
            [
                board.corner,
                board.corner + board.across,
                board.corner + board.across + board.down,
                board.corner + board.down,
            ]
        )
        seen = (corners - position) @ turn
        if seen[:, 2].min() < 0.1:
            continue
        px = (seen / seen[:, 2:]) @ INTRINSICS.T
        size = board.texture.shape[0]
        flat = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32)
        across = cv2.getPerspectiveTransform(flat, px[:, :2].astype(np.float32))
        warped = cv2.warpPerspective(board.texture, across, (WIDTH, HEIGHT), flags=cv2.INTER_AREA)
        inside = cv2.warpPerspective(np.full((size, size), 255, np.uint8), across, (WIDTH, HEIGHT)) > 127
        picture[inside] = warped[inside]
    return picture


def turned(yaw_deg: float, pitch_deg: float = 0.0) -> np.ndarray:
    """Return camera to world of a camera that looks so far to the right, and down."""
    yaw, pitch = np.radians(yaw_deg), np.radians(pitch_deg)
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    return about_y @ about_x.T


def path(kind: str, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Return positions (frames x 3) and turns (frames x 3 x 3) of a camera that walks, pans or stands."""
    t = np.linspace(0, 1, frames)
    if kind == "walk":
        positions = np.column_stack([-0.6 + 1.2 * t, 0.05 * np.sin(6 * t), 0.5 * np.sin(2.2 * t)])
        turns = np.array([turned(-8 * at + 4 * np.sin(5 * at), 2 * np.sin(4 * at)) for at in t])
    elif kind == "pan":
        positions = np.zeros((frames, 3))
        turns = np.array([turned(-12 + 24 * at, 3 * np.sin(5 * at)) for at in t])
    elif kind == "stand":
        positions, turns = np.zeros((frames, 3)), np.tile(np.eye(3), (frames, 1, 1))
    else:
        raise ValueError(f"no path {kind!r}")
    return positions, turns
