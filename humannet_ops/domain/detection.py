"""What a detector found in one frame."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Detection:
    """One box. Coordinates are fractions of the frame's width and height, clipped to 0..1, y downwards.

    ``label`` is ``person``, ``hand``, ``face``, another COCO class, or a restricted-content class in lower case.
    ``side`` is set for hands: the hand's own side (``left``, ``right``), as if the picture is not mirrored.
    """

    label: str
    score: float
    x1: float
    y1: float
    x2: float
    y2: float
    side: str | None = None

    @property
    def area(self) -> float:
        """Share of the frame that the box covers, 0..1."""
        return max(0.0, self.x2 - self.x1) * max(0.0, self.y2 - self.y1)


def clipped(
    label: str, score: float, x1: float, y1: float, x2: float, y2: float, side: str | None = None
) -> Detection | None:
    """Make a detection whose box is clipped to the frame, or ``None`` if nothing of it is inside."""
    x1, y1, x2, y2 = (min(1.0, max(0.0, value)) for value in (x1, y1, x2, y2))
    return Detection(label, score, x1, y1, x2, y2, side) if x2 > x1 and y2 > y1 else None
