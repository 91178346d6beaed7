"""A clip's bodies and hands together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from humannet_ops.media import body_tracks, hand_tracks
from humannet_ops.media.body_tracks import BodyTracks
from humannet_ops.media.hand_tracks import HandTracks


@dataclass(frozen=True)
class Poses:
    """Everything that has a pose in one clip; a clip without bodies, or without hands, has tracks without rows."""

    bodies: BodyTracks
    hands: HandTracks

    @property
    def frames(self) -> int:
        """Frames of the clip."""
        return self.bodies.frames

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.bodies.fps

    @property
    def width(self) -> int:
        """Of the clip, in pixels."""
        return self.bodies.width

    @property
    def height(self) -> int:
        """Of the clip, in pixels."""
        return self.bodies.height

    @property
    def duration_s(self) -> float:
        """Length of the clip in seconds."""
        return self.frames / self.fps if self.fps else 0.0


def read(body_file: Path | None, hand_file: Path | None) -> Poses | None:
    """Read what there is of a clip's poses.

    Args:
        body_file: The file of its bodies; None where ``pose_body`` found none.
        hand_file: The file of its hands; None where ``pose_hands`` found none.

    Returns:
        None where there is neither.

    Raises:
        ValueError: a file is something else.
    """
    bodies = body_tracks.read(body_file) if body_file else None
    hands = hand_tracks.read(hand_file) if hand_file else None
    one = bodies or hands
    if one is None:
        return None
    return together(bodies, hands, one.frames, one.fps, one.width, one.height)


def together(
    bodies: BodyTracks | None, hands: HandTracks | None, frames: int, fps: float, width: int, height: int
) -> Poses:
    """Put what there is together; what there is not becomes tracks without rows."""
    size = frames, fps, width, height
    return Poses(bodies or body_tracks.empty(*size), hands or hand_tracks.empty(*size))
