"""What must be hidden in each frame of a clip: boxes that were detected, followed so that nothing shows in between.

A detector misses a face for some frames and finds it again. So boxes are linked (ByteTrack, as ``media.people`` does),
what is the same thing before and after a gap is joined, a gap is bridged in a straight line, and the cover stays for a
while before the first sighting and after the last. Hiding too much is the smaller harm: every doubt covers more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.media import people

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from humannet_ops.domain.detection import Detection

    Boxes = NDArray[np.float64]

VERSION = 1


@dataclass(frozen=True, slots=True)
class Habits:
    """How a kind of thing is covered.

    Attributes:
        starts_at: The score that a detection needs to begin a track.
        margin: The cover's sides, in sides of the box.
        bridged_s: The longest gap between two sightings that is bridged.
        held_s: How long the cover stays before the first sighting and after the last.
        reach: How fast the thing may move while it is not seen, in its own lengths a second.
        growth: By how much of its sides the cover grows for each second to the nearest sighting.
    """

    starts_at: float
    margin: float
    bridged_s: float
    held_s: float
    reach: float
    growth: float


# Margin: deface's own, which hides the ears and the hairline too. Reach: who walks (1.4 m/s, Bohannon 1997) moves by
# seven face lengths (0.2 m) a second. Bridged, held, growth: infra/decisions/0019 has what was measured.
FACES = Habits(starts_at=0.3, margin=1.3, bridged_s=2.0, held_s=0.5, reach=7.0, growth=4.0)
# A line's box holds it with room to spare. It is looked for less often, so it is held for longer than one look takes.
TEXTS = Habits(starts_at=0.5, margin=1.1, bridged_s=2.0, held_s=1.0, reach=2.0, growth=0.2)


@dataclass(frozen=True, slots=True)
class Track:
    """One thing as it was sighted: ``at`` N frames, ascending; ``box`` N x 4 pixels (x1, y1, x2, y2)."""

    at: NDArray[np.int64]
    box: Boxes


def covers(
    found: Sequence[tuple[int, Sequence[Detection]]],
    habits: Habits,
    *,
    fps: float,
    looks_per_s: float,
    size: tuple[int, int],
    frames: int,
) -> Boxes:
    """Return what to hide in each frame.

    Args:
        found: A frame's number and what was detected in it, for every frame that was looked at, in order.
        habits: How it is covered.
        fps: Of the clip.
        looks_per_s: How many frames a second were looked at.
        size: Width and height of the clip, in pixels.
        frames: Frames of the clip.

    Returns:
        Tracks x frames x 4: x1, y1, x2, y2 in pixels, within the picture; NaN where a track needs no cover.
    """
    tracks = joined(tracked(found, habits, looks_per_s, size), habits, fps)
    if not tracks:
        return np.full((0, frames, 4), np.nan)
    width, height = size
    return np.clip(
        np.stack([cover(track, habits, fps, frames) for track in tracks]), 0.0, [width, height, width, height]
    )


def tracked(
    found: Sequence[tuple[int, Sequence[Detection]]], habits: Habits, looks_per_s: float, size: tuple[int, int]
) -> list[Track]:
    """Link detections; one that belongs to no track is a track of its own."""
    width, height = size
    rows = [(number, one) for number, boxes in found for one in boxes]
    frame = np.array([number for number, _ in rows], np.int32)
    score = np.array([one.score for _, one in rows], np.float32)
    box = np.array([[one.x1, one.y1, one.x2, one.y2] for _, one in rows], np.float32).reshape(-1, 4)
    box *= np.array([width, height, width, height], np.float32)
    linked = people.link(
        np.array([number for number, _ in found], np.int32), frame, box, score, looks_per_s,
        starts_at=habits.starts_at, bridged_s=habits.bridged_s,
    )  # fmt: skip
    groups = [np.flatnonzero(linked == track) for track in range(int(linked.max(initial=-1)) + 1)]
    groups += [np.array([row]) for row in np.flatnonzero((linked < 0) & (score >= habits.starts_at))]
    return [Track(frame[group].astype(np.int64), box[group].astype(np.float64)) for group in groups]


def joined(tracks: Sequence[Track], habits: Habits, fps: float) -> list[Track]:
    """Make one track of those that may be the same thing before and after a gap.

    What lies between two different things is then covered as well, for the length of the gap.
    """
    made: list[Track] = []
    for track in sorted(tracks, key=lambda one: int(one.at[0])):
        before = [place for place, one in enumerate(made) if _may_be_same(one, track, habits, fps)]
        if before:
            place = max(before, key=lambda one: int(made[one].at[-1]))
            made[place] = Track(
                np.concatenate([made[place].at, track.at]), np.concatenate([made[place].box, track.box])
            )
        else:
            made.append(track)
    return made


def _may_be_same(one: Track, later: Track, habits: Habits, fps: float) -> bool:
    gap_s = float(later.at[0] - one.at[-1]) / fps
    if not 0 < gap_s <= habits.bridged_s:
        return False
    there, here = one.box[-1], later.box[0]
    length = (_length(there) + _length(here)) / 2
    apart = float(np.hypot(*((there[:2] + there[2:] - here[:2] - here[2:]) / 2)))
    return apart <= length * (1 + habits.reach * gap_s)


def _length(box: Boxes) -> float:
    return float(max(box[2] - box[0], box[3] - box[1]))


def cover(track: Track, habits: Habits, fps: float, frames: int) -> Boxes:
    """Return one track's cover, frames x 4 pixels, NaN where it has none.

    Between sightings the box goes in a straight line. Before the first and after the last the cover holds both the
    place where the thing was seen and the one where it would be if it went on as it did.
    """
    everywhere = np.arange(frames)
    box = np.stack([np.interp(everywhere, track.at, track.box[:, side]) for side in range(4)], axis=1)
    for end, outside in ((0, everywhere < track.at[0]), (-1, everywhere > track.at[-1])):
        moved = box[outside] + np.tile(_speed(track, end, fps), 2) * (everywhere[outside] - track.at[end])[:, None]
        box[outside] = np.concatenate(
            [np.minimum(box[outside, :2], moved[:, :2]), np.maximum(box[outside, 2:], moved[:, 2:])], axis=1
        )
    away_s = np.abs(everywhere[:, None] - track.at[None, :]).min(axis=1) / fps
    scale = habits.margin + habits.growth * away_s
    centre, half = (box[:, :2] + box[:, 2:]) / 2, (box[:, 2:] - box[:, :2]) / 2 * scale[:, None]
    box = np.concatenate([centre - half, centre + half], axis=1)
    held = habits.held_s * fps
    box[(everywhere < track.at[0] - held) | (everywhere > track.at[-1] + held)] = np.nan
    return box


# Over so many seconds at its end a track's speed is measured.
_SPEED_OVER_S = 0.3


def _speed(track: Track, end: int, fps: float) -> Any:
    """Return how the centre moves at a track's end, in pixels a frame, x and y."""
    near = np.abs(track.at - track.at[end]) <= _SPEED_OVER_S * fps
    at, centre = track.at[near], (track.box[near, :2] + track.box[near, 2:]) / 2
    if len(at) < 2:
        return np.zeros(2)
    return np.polyfit(at - at[0], centre, 1)[0]
