"""What signals show, in words, and no more than that: the captions of clips that no language model is asked about.

Places are thirds of the picture, as it is seen: ``left`` is the viewer's. The camera's own motion is in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median_low
from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.media import people, pose_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from humannet_ops.media.people import People
    from humannet_ops.media.poses import Poses

# Mean speed, m/s, below which a word is right. 1.4 m/s is the usual walking pace (Bohannon 1997).
PACES = ((pose_scores.MOTION_FLOOR, "almost still"), (0.5, "moving a little"), (1.4, "moving"))
FASTEST = "moving strongly"
UNSEEN = "not measured"
# A part of the sequence is at least so long; what is shorter belongs to the part before.
SHORTEST_S = 0.5
# A box that grows by a quarter is nearer: a step from four metres to three.
NEARER = 1.25
# The beginning and the end of a way are means over so much of it.
ENDS_S = 0.5
CONSTANTS = {"paces": PACES, "shortest_s": SHORTEST_S, "nearer": NEARER, "ends_s": ENDS_S}
_COLUMNS, _ROWS = ("left", "middle", "right"), ("top", "centre", "bottom")
_MOST_THINGS = 5


def motion(seen: Poses | None, around: People, scores: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the movement in a clip.

    Args:
        seen: The clip's bodies and hands.
        around: Its people and things.
        scores: ``pose_scores.of_motion``.

    Returns:
        ``semantic``, a sentence; ``sequence``, a list of ``{start_s, end_s, what}`` without gaps; ``spatial``, where
        people and hands go in the picture, empty where none does.
    """
    return {
        "semantic": _semantic(seen, around, scores),
        "sequence": sequence(pose_scores.frame_speeds(seen), seen.fps) if seen else [],
        "spatial": " ".join(_ways(seen, around)),
    }


def caption(around: People, viewpoint: str | None, told: Mapping[str, Any]) -> dict[str, str]:
    """Describe a clip.

    Args:
        around: Its people and things.
        viewpoint: ``ego``, ``exo`` or None.
        told: What ``motion`` returned.

    Returns:
        ``short``, a sentence, and ``long``, a few.
    """
    persons, things = usual_persons(around), [name for name in around.objects if name != people.PERSON]
    seen_by = {"ego": "First-person view", "exo": "Third-person view"}.get(viewpoint or "", "View")
    parts = [f"{persons} {'person' if persons == 1 else 'people'}"] if persons else []
    parts += things[:_MOST_THINGS]
    short = f"{seen_by} of {_listed(parts)}." if parts else f"{seen_by}; nothing that the detector names."
    also = f"Also seen: {_listed(things[_MOST_THINGS:])}." if len(things) > _MOST_THINGS else ""
    return {"short": short, "long": " ".join(filter(None, (short, told["semantic"], told["spatial"], also)))}


def usual_persons(around: People) -> int:
    """Return how many people the looks that show any usually show; 0 where none does."""
    of_person = (around.label == people.PERSON) & (around.track >= 0)
    _, counts = np.unique(around.frame[of_person], return_counts=True)
    return median_low(counts.tolist()) if len(counts) else 0


def sequence(speeds: NDArray[np.float64], fps: float) -> list[dict[str, Any]]:
    """Divide a clip by how fast its people move.

    Args:
        speeds: Every frame's speed in m/s, NaN where none is known.
        fps: Frames a second.
    """
    words = [UNSEEN if np.isnan(speed) else pace(float(speed)) for speed in _calmed(speeds, fps)]
    parts: list[dict[str, Any]] = []
    for frame, word in enumerate(words):
        if not parts or parts[-1]["what"] != word:
            parts.append({"start": frame, "end": frame, "what": word})
        parts[-1]["end"] = frame + 1
    return [
        {"start_s": round(part["start"] / fps, 2), "end_s": round(part["end"] / fps, 2), "what": part["what"]}
        for part in _merged(parts, round(SHORTEST_S * fps))
    ]


def pace(speed: float) -> str:
    """Return the word for a speed in m/s."""
    return next((word for limit, word in PACES if speed < limit), FASTEST)


def _calmed(speeds: NDArray[np.float64], fps: float) -> NDArray[np.float64]:
    """Return the running median over ``SHORTEST_S``, NaN where most of it is."""
    reach = max(1, round(SHORTEST_S * fps / 2))
    padded = np.pad(speeds, reach, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    known = np.count_nonzero(~np.isnan(windows), axis=1) > reach
    calm = np.full(len(speeds), np.nan)
    if known.any():
        calm[known] = np.nanmedian(windows[known], axis=1)
    return calm


def _merged(parts: list[dict[str, Any]], shortest: int) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    for part in parts:
        brief = part["end"] - part["start"] < shortest
        if kept and (brief or part["what"] == kept[-1]["what"]):
            kept[-1]["end"] = part["end"]
        elif kept and kept[-1]["end"] - kept[-1]["start"] < shortest:
            # only the first part can still be too short
            kept[-1] = {**part, "start": kept[-1]["start"]}
        else:
            kept.append(dict(part))
    return kept


def _semantic(seen: Poses | None, around: People, scores: Mapping[str, Any]) -> str:
    body_share = seen.bodies.frame_share if seen else 0.0
    parts = [_people_in_words(body_share, usual_persons(around)), _hands_in_words(seen)]
    if seen is not None:
        parts.append(_motion_in_words(scores))
    return f"Clip of {around.frames / around.fps:.1f} s: {'; '.join(parts)}."


def _percent(share: float) -> str:
    return "under 1 %" if 0 < share < 0.01 else f"{share:.0%}".replace("%", " %")


def _people_in_words(share: float, persons: int) -> str:
    found = f"{persons or 'no'} {'person' if persons == 1 else 'people'} detected, "
    return found + (f"a body's pose in {_percent(share)} of frames" if share else "no body's pose")


def _hands_in_words(seen: Poses | None) -> str:
    if seen is None or not seen.hands.frame_share:
        return "no hands"
    left, right = (_percent(seen.hands.side_share(left=left)) for left in (True, False))
    return f"hands in {_percent(seen.hands.frame_share)} of frames (left {left}, right {right})"


def _motion_in_words(scores: Mapping[str, Any]) -> str:
    if not scores["motion_measured_share"]:
        return "motion not measured"
    if not scores["motion_share"]:
        return "almost still"
    speed, share = scores["motion_score"], _percent(scores["motion_share"])
    return f"{pace(speed)} in {share} of frames, up to {scores['motion_len']:.1f} s at a stretch (mean {speed:.1f} m/s)"


def _ways(seen: Poses | None, around: People) -> Iterator[str]:
    """Say where the most seen person, and each side's hand, goes in the picture."""
    if around.person_tracks:
        mine = around.track == around.person_tracks[0]
        yield _way_of_person(around.frame[mine], around.box[mine].astype(np.float64), around)
    if seen is None:
        return
    for side, of_side in (("left", seen.hands.left), ("right", ~seen.hands.left)):
        mine = of_side & (seen.hands.track >= 0)
        if mine.any():
            centres = seen.hands.px[mine].mean(axis=1) / (around.width, around.height)
            first, last = _ends(seen.hands.frame[mine], centres, around.fps)
            yield f"A {side} hand {_from_to(_place(first), _place(last))}."


def _way_of_person(frames: NDArray[np.int32], boxes: NDArray[np.float64], around: People) -> str:
    middles = (boxes[:, 0] + boxes[:, 2]) / 2 / around.width
    first, last = _ends(frames, np.stack([middles, boxes[:, 3] - boxes[:, 1]], axis=1), around.fps)
    went = _from_to(f"the {_third(first[0], _COLUMNS)}", f"the {_third(last[0], _COLUMNS)}")
    if last[1] > NEARER * first[1]:
        went += ", and comes nearer"
    elif first[1] > NEARER * last[1]:
        went += ", and goes further away"
    return f"The person seen most {went}."


def _ends(frames: NDArray[np.int32], values: NDArray[Any], fps: float) -> tuple[Any, Any]:
    """Return the means of what was seen first and of what was seen last."""
    reach = ENDS_S * fps
    return values[frames <= frames.min() + reach].mean(axis=0), values[frames >= frames.max() - reach].mean(axis=0)


def _place(at: NDArray[Any]) -> str:
    column, row = _third(at[0], _COLUMNS), _third(at[1], _ROWS)
    if row == "centre":
        return "the centre" if column == "middle" else f"the {column}"
    return f"the {row} {column}" if column != "middle" else f"the {row}"


def _third(share: float, names: tuple[str, str, str]) -> str:
    return names[min(2, max(0, int(3 * share)))]


def _from_to(first: str, last: str) -> str:
    if first != last:
        return f"goes from {first} to {last}"
    return f"stays {'in' if first in ('the middle', 'the centre') else 'at'} {first}"


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""
