"""What a clip is like, in numbers: from the detections on its sampled frames and the signals over its time.

The scores are what a policy decides by. Everything here is arithmetic on arrays; the thresholds are the policy's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Columns = Mapping[str, NDArray[Any]]

# Living things and likenesses that a detector of people takes for a person now and then.
LIKE_PEOPLE = frozenset(
    {"bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "teddy bear"}
)
# The same thing under two labels: half of the joint area is shared, as in the Pascal VOC rule for "the same object".
SAME_OBJECT_OVERLAP = 0.5
# A box this near to the frame's edge is cut off there: four pixels of CenterNet's 512, its resolution.
EDGE = 4 / 512


@dataclass(frozen=True, slots=True)
class Span:
    """A clip's place and the picture's size: seconds from the video's first frame, pixels as displayed."""

    start_s: float
    end_s: float
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Sign:
    """The clearest person, hand or face of one frame. ``score`` is 0 and the box empty where there is none."""

    score: float = 0.0
    x1: float = 0.0
    y1: float = 0.0
    x2: float = 0.0
    y2: float = 0.0

    @property
    def area(self) -> float:
        """Share of the frame."""
        return (self.x2 - self.x1) * (self.y2 - self.y1)

    @property
    def edges(self) -> int:
        """How many of the frame's four edges cut it off."""
        return (self.x1 <= EDGE) + (self.y1 <= EDGE) + (self.x2 >= 1 - EDGE) + (self.y2 >= 1 - EDGE)


NOTHING = Sign()


@dataclass(frozen=True, slots=True)
class Sight:
    """What one sampled frame shows of people."""

    person: Sign
    hand: Sign
    face: Sign
    hands: int
    restricted: float


def measure(
    span: Span, found: Columns, frame_times: NDArray[Any], signals: Columns, limits: Mapping[str, float]
) -> dict[str, float]:
    """Compute every score of one clip.

    Args:
        span: The clip.
        found: The video's detections: ``t_s``, ``label``, ``score``, ``x1``, ``y1``, ``x2``, ``y2``, one value a
            detection.
        frame_times: Seconds, of every frame that was looked at, ascending.
        signals: The video's signals, as ``humannet_ops.media.signals`` describes them.
        limits: The policy's ``measure``.

    Returns:
        Scores by name; policy.yaml says what each means. Shares are of the clip's samples, 0 to 1.
    """
    sights = look(span, found, frame_times, limits)
    seen = people(sights, limits)
    return {
        "duration_s": span.end_s - span.start_s,
        "short_side_px": float(min(span.width, span.height)),
        **_picture_scores(span, signals, limits),
        **_people_scores(span, sights, seen, limits),
    }


def look(span: Span, found: Columns, frame_times: NDArray[Any], limits: Mapping[str, float]) -> list[Sight]:
    """Gather a clip's detections frame by frame, in order of time."""
    times = frame_times[(frame_times >= span.start_s) & (frame_times < span.end_s)]
    return [_sight(found, np.flatnonzero(found["t_s"] == t_s), limits) for t_s in times]


def _sight(found: Columns, rows: NDArray[Any], limits: Mapping[str, float]) -> Sight:
    by_label: dict[str, list[Sign]] = {}
    for row in rows:
        box = Sign(*(float(found[name][row]) for name in ("score", "x1", "y1", "x2", "y2")))
        by_label.setdefault(str(found["label"][row]), []).append(box)
    rivals = [box for label in LIKE_PEOPLE for box in by_label.get(label, ())]
    persons = [
        box
        for box in by_label.get("person", ())
        if not any(rival.score > box.score and overlap(rival, box) >= SAME_OBJECT_OVERLAP for rival in rivals)
    ]
    hands, faces = by_label.get("hand", []), by_label.get("face", [])
    return Sight(
        person=_clearest(persons, limits["person_hint"]),
        hand=_clearest(hands, limits["hand"]),
        face=_clearest(faces, limits["face"]),
        hands=sum(hand.score >= limits["hand"] for hand in hands),
        restricted=max(
            (box.score for label, boxes in by_label.items() if label.endswith("_exposed") for box in boxes), default=0.0
        ),
    )


def _clearest(boxes: Sequence[Sign], floor: float) -> Sign:
    return max((box for box in boxes if box.score >= floor), key=lambda box: box.score, default=NOTHING)


def overlap(one: Sign, other: Sign) -> float:
    """Return the intersection of two boxes over their union."""
    width = min(one.x2, other.x2) - max(one.x1, other.x1)
    height = min(one.y2, other.y2) - max(one.y1, other.y1)
    shared = max(0.0, width) * max(0.0, height)
    return shared / (one.area + other.area - shared) if shared else 0.0


def people(sights: Sequence[Sight], limits: Mapping[str, float]) -> list[bool]:
    """Tell in which frames a human is seen.

    No detector is believed for one frame alone: each errs there, and half a second earlier or later most errors are
    gone. So a frame counts if it shows something, a frame beside it does too, and either one of the two is sure of a
    person, or both show the same kind of sign, or one shows two kinds.
    """
    return [
        any(_agree(sights[place], sights[near], limits) for near in (place - 1, place + 1) if 0 <= near < len(sights))
        for place in range(len(sights))
    ]


def _agree(here: Sight, beside: Sight, limits: Mapping[str, float]) -> bool:
    kinds, others = _signs(here, limits), _signs(beside, limits)
    if not (kinds and others):
        return False
    if max(len(kinds), len(others)) > 1 or kinds & others - {"hint"}:
        return True
    return max(here.person.score, beside.person.score) >= limits["person_sure"]


def _signs(sight: Sight, limits: Mapping[str, float]) -> set[str]:
    kinds = {name for name, sign in (("hand", sight.hand), ("face", sight.face)) if sign.score}
    if sight.person.score >= limits["person_sure"] or _is_cut_off(sight.person, limits):
        kinds.add("person")
    elif sight.person.score:
        kinds.add("hint")
    return kinds


def _is_cut_off(person: Sign, limits: Mapping[str, float]) -> bool:
    """Say whether a middling score is explained: arms, legs and backs at the frame's edge get no more.

    Somebody who stands free is either surely a person, or a statue, a drawing, a coat on a hook.
    """
    return person.score >= limits["person_likely"] and person.edges > 0


def _people_scores(
    span: Span, sights: Sequence[Sight], seen: Sequence[bool], limits: Mapping[str, float]
) -> dict[str, float]:
    of_people = [sight for sight, human in zip(sights, seen, strict=True) if human]
    persons = [sight.person for sight in sights if sight.person.score >= limits["person_likely"]]
    pixels = span.width * span.height
    return {
        "human_share": _share(seen),
        "human_size_px": _median([_size(sight) * pixels for sight in of_people]) ** 0.5,
        "person_share": _share([sight.person.score >= limits["person_likely"] for sight in sights]),
        "person_sure_share": _share([sight.person.score >= limits["person_sure"] for sight in sights]),
        "person_area": _median([person.area for person in persons]),
        "person_area_max": max((person.area for person in persons), default=0.0),
        "person_edges": _median([float(person.edges) for person in persons]),
        "hand_share": _share([sight.hands > 0 for sight in sights]),
        "hand_area": _median([sight.hand.area for sight in sights if sight.hand.score]),
        "hand_height": _median([1 - (sight.hand.y1 + sight.hand.y2) / 2 for sight in sights if sight.hand.score]),
        "face_share": _share([sight.face.score > 0 for sight in sights]),
        "face_area": _median([sight.face.area for sight in sights if sight.face.score]),
        "other_share": _share([_is_other(sight, limits) for sight in sights]),
        "wearer_share": _share([_is_wearer(sight, limits) for sight in sights]),
        "restricted_score": _restricted(sights, seen),
    }


def _restricted(sights: Sequence[Sight], seen: Sequence[bool]) -> float:
    """Return the highest restricted score of a clip that somebody is in.

    Where nobody is, pans and fat cartoon rabbits reach 0.69, and the clip is refused as no_person all the same.
    """
    return max((sight.restricted for sight in sights), default=0.0) if any(seen) else 0.0


def _size(sight: Sight) -> float:
    """Return the share of the frame that what is seen of a human covers; of a hand, with as much of its arm."""
    return max(sight.person.area, 2 * sight.hand.area, sight.face.area)


def _is_wearer(sight: Sight, limits: Mapping[str, float]) -> bool:
    """Say whether a frame shows a human as a worn camera does: hands low in it, limbs from its edge, no face."""
    limbs = sight.person.y2 >= 1 - EDGE and sight.person.edges >= 2
    unsure = limits["person_likely"] <= sight.person.score < limits["person_sure"]
    return _shows_own_hands(sight) or (limbs and unsure and not sight.face.score)


def _is_other(sight: Sight, limits: Mapping[str, float]) -> bool:
    """Say whether a frame surely shows a person, other than by the arms that hands belong to."""
    return sight.person.score >= limits["person_sure"] and not _shows_own_hands(sight)


def _shows_own_hands(sight: Sight) -> bool:
    """Say whether a hand lies in the lower half, where one's own hands are, and no face goes with it."""
    return bool(sight.hand.score) and sight.hand.y1 + sight.hand.y2 >= 1 and not sight.face.score


def _picture_scores(span: Span, signals: Columns, limits: Mapping[str, float]) -> dict[str, float]:
    inside = (signals["t_s"] >= span.start_s) & (signals["t_s"] < span.end_s)
    values = {name: column[inside] for name, column in signals.items()}
    # the first sample of a clip is compared with the shot before
    later = {name: column[1:] for name, column in values.items()}
    empty = values["contrast"] < limits["empty_contrast"]
    still = (later["change"] < limits["still_change"]) | empty[1:]
    camera = later["camera"]
    return {
        "static_share": _share(still) if len(still) else _share(empty),
        "dark_share": _share(values["dark_share"] >= limits["dark_pixels"]),
        "blurred_share": _share(values["sharpness"][~empty] < limits["blurred_sharpness"]),
        "sharpness": _median(values["sharpness"]),
        "luma": _median(values["luma"]),
        "camera_speed": _median(camera),
        "camera_speed_p90": _percentile(camera, 90),
        "residual_speed": _median(later["residual"]),
        "moving_share": _median(later["moving_share"]),
        "moving_share_p90": _percentile(later["moving_share"], 90),
        "camera_shake": min(1.0, _percentile(camera, 90) / limits["worn_camera_speed"]),
    }


def _share(flags: Sequence[bool] | NDArray[Any]) -> float:
    return float(np.mean(flags)) if len(flags) else 0.0


def _median(values: Sequence[float] | NDArray[Any]) -> float:
    return float(np.median(values)) if len(values) else 0.0


def _percentile(values: NDArray[Any], percent: float) -> float:
    return float(np.percentile(values, percent)) if len(values) else 0.0
