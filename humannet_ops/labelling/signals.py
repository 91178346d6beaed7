"""What was measured of a clip, as far as labels follow from it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from humannet_ops.domain.records import Scores
    from humannet_ops.media.people import People

VERSION = 1


@dataclass(frozen=True, slots=True)
class Signals:
    """Numbers of one clip. Where nothing was measured they are 0 and ``viewpoint`` is empty.

    Attributes:
        viewpoint: ``ego`` or ``exo``.
        persons: How many people most looks that show any show at once.
        person_share: Looks with a person / looks.
        body_share: Frames with a body's pose / frames.
        hand_share: Frames with a hand / frames.
        contact_share: Frames with a hand at most half its size from a followed thing / frames.
        travel: The furthest that a followed person's box gets from where it began, in body heights; the camera's own
            motion is in it.
        speed: ``motion_score``, m/s.
        duration_s: The clip's length.
    """

    viewpoint: str = ""
    persons: int = 0
    person_share: float = 0.0
    body_share: float = 0.0
    hand_share: float = 0.0
    contact_share: float = 0.0
    travel: float = 0.0
    speed: float = 0.0
    duration_s: float = 0.0


def of_clip(scores: Scores, viewpoint: str | None, duration_s: float, around: People | None) -> Signals:
    """Gather a clip's signals from the scores of earlier stages and from its followed people."""
    return Signals(
        viewpoint=viewpoint or "",
        persons=usual_persons(around) if around else 0,
        person_share=_number(scores, "person_share"),
        body_share=_number(scores, "body_frame_share"),
        hand_share=_number(scores, "hand_frame_share"),
        contact_share=_number(scores, "hand_object_share"),
        travel=furthest(around) if around else 0.0,
        speed=_number(scores, "motion_score"),
        duration_s=duration_s,
    )


def usual_persons(around: People) -> int:
    """Return how many people the looks that show any usually show: the lower median; 0 where none does."""
    counts = [count for count in _at_once(around) if count]
    return int(sorted(counts)[(len(counts) - 1) // 2]) if counts else 0


def _at_once(around: People) -> list[int]:
    of_person = (around.label == "person") & (around.track >= 0)
    return [int(np.count_nonzero(of_person & (around.frame == look))) for look in around.looked_at]


def furthest(around: People) -> float:
    """Return how far the most seen person gets from where the box was first, in median heights of the box."""
    if not around.person_tracks:
        return 0.0
    mine = around.track == around.person_tracks[0]
    box = around.box[mine].astype(np.float64)
    centre, height = (box[:, :2] + box[:, 2:]) / 2, np.median(box[:, 3] - box[:, 1])
    if len(box) < 2 or height <= 0:
        return 0.0
    return float(np.linalg.norm(centre - centre[0], axis=1).max() / height)


def _number(scores: Scores, name: str) -> float:
    value = scores.get(name)
    return float(value) if isinstance(value, (int, float)) else 0.0


def plain(measured: Signals) -> dict[str, Any]:
    """Return them as an annotation keeps them."""
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(measured).items()}
