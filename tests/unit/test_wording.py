"""What signals show, in words: hand-made tracks whose description a person can tell."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from humannet_ops.language import wording
from humannet_ops.media.hand_tracks import HandTracks
from humannet_ops.media.people import People
from humannet_ops.media.poses import together

FPS, WIDTH, HEIGHT = 10.0, 300, 300


def seen_people(*boxes: tuple[int, str, int, tuple[float, float, float, float]], frames: int = 40) -> People:
    at = np.array([box[0] for box in boxes], np.int32)
    return People(
        frames, FPS, WIDTH, HEIGHT, np.arange(0, frames, 2, dtype=np.int32), at,
        np.array([box[1] for box in boxes], dtype=object), np.array([box[2] for box in boxes], np.int32),
        np.ones(len(boxes), np.float32), np.array([box[3] for box in boxes], np.float32).reshape(-1, 4),
    )  # fmt: skip


def hands(left: list[tuple[float, float]], right: list[tuple[float, float]], frames: int = 40) -> HandTracks:
    rows = [(frame, 0, True, at) for frame, at in enumerate(left)]
    rows += [(frame, 1, False, at) for frame, at in enumerate(right)]
    rows.sort(key=lambda row: row[0])
    count = len(rows)
    px = np.array([[at] * 21 for *_, at in rows], np.float32)
    return HandTracks(
        frames=frames, fps=FPS, width=WIDTH, height=HEIGHT,
        frame=np.array([row[0] for row in rows], np.int32), track=np.array([row[1] for row in rows], np.int32),
        left=np.array([row[2] for row in rows]), score=np.ones(count, np.float32), px=px,
        world_m=np.zeros((count, 21, 3), np.float32), person=np.full(count, -1, np.int32),
        object=np.full(count, None, dtype=object), object_gap=np.full(count, np.nan, np.float32),
    )  # fmt: skip


SCORES = {"motion_measured_share": 1.0, "motion_share": 0.5, "motion_score": 0.8, "motion_len": 2.0}


def test_a_sequence_has_no_gaps_and_names_each_pace() -> None:
    speeds = np.r_[np.full(20, 0.02), np.full(20, 0.3), np.full(20, 2.0), np.full(20, np.nan)]
    parts = wording.sequence(speeds, FPS)
    assert [part["what"] for part in parts] == ["almost still", "moving a little", "moving strongly", "not measured"]
    assert [(part["start_s"], part["end_s"]) for part in parts] == [
        pytest.approx(span, abs=0.31) for span in ((0, 2), (2, 4), (4, 6), (6, 8))
    ]
    assert parts[0]["start_s"] == 0
    assert parts[-1]["end_s"] == 8
    assert all(one["end_s"] == other["start_s"] for one, other in itertools.pairwise(parts))


def test_a_flicker_is_no_part_of_the_sequence() -> None:
    speeds = np.full(60, 0.02)
    speeds[[0, 20, 21, 40]] = 3.0
    assert wording.sequence(speeds, FPS) == [{"start_s": 0.0, "end_s": 6.0, "what": "almost still"}]


def test_where_a_person_and_hands_go_is_said() -> None:
    people = seen_people(
        *((frame, "person", 1, (10.0, 100.0, 50.0, 140.0)) for frame in range(0, 20, 2)),
        *((frame, "person", 1, (220.0, 60.0, 290.0, 290.0)) for frame in range(20, 40, 2)),
    )
    found = hands([(40.0, 280.0)] * 20 + [(150.0, 20.0)] * 20, [(150.0, 150.0)] * 40)
    told = wording.motion(together(None, found, 40, FPS, WIDTH, HEIGHT), people, SCORES)
    assert told["spatial"] == (
        "The person seen most goes from the left to the right, and comes nearer. "
        "A left hand goes from the bottom left to the top. A right hand stays in the centre."
    )
    assert told["semantic"].startswith("Clip of 4.0 s: 1 person detected, no body's pose; hands in 100 % of frames")
    assert "moving in 50 % of frames, up to 2.0 s at a stretch" in told["semantic"]


def test_a_clip_without_anybody_is_described_as_that() -> None:
    told = wording.motion(None, seen_people(), SCORES)
    assert told == {
        "semantic": "Clip of 4.0 s: no people detected, no body's pose; no hands.",
        "sequence": [],
        "spatial": "",
    }
    said = wording.caption(seen_people(), None, told)
    assert said["short"] == "View; nothing that the detector names."
    assert said["long"] == f"{said['short']} {told['semantic']}"


def test_a_caption_names_who_and_what_is_seen_from_where() -> None:
    boxes = [(0, "person", 1, (0.0, 0.0, 10.0, 10.0)), (0, "person", 2, (20.0, 0.0, 30.0, 10.0))]
    boxes += [(0, name, 3 + place, (0.0, 0.0, 5.0, 5.0)) for place, name in enumerate(("cup", "knife"))]
    around = seen_people(*boxes)
    told = wording.motion(None, around, SCORES)
    assert wording.caption(around, "ego", told)["short"] == "First-person view of 2 people, cup and knife."
    # what was seen too briefly to be followed is not claimed
    brief = seen_people((0, "person", -1, (0.0, 0.0, 10.0, 10.0)), (0, "cup", -1, (0.0, 0.0, 5.0, 5.0)))
    assert wording.caption(brief, "exo", told)["short"] == "Third-person view; nothing that the detector names."
