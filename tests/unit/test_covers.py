"""What is hidden stays hidden while the detector misses it: known boxes, with sightings dropped on purpose."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humannet_ops.domain.detection import Detection
from humannet_ops.media.covers import FACES, TEXTS, Track, cover, covers, joined

FPS, FRAMES, SIZE = 30.0, 120, (1280, 720)
Boxes = np.ndarray


def moving(start: tuple[float, float], speed: tuple[float, float], length: float = 40.0) -> Boxes:
    """Boxes of something that moves evenly, frames x 4 pixels; speed in pixels a frame."""
    centre = np.array(start) + np.arange(FRAMES)[:, None] * np.array(speed)
    half = np.array([length * 0.375, length / 2])
    return np.concatenate([centre - half, centre + half], axis=1)


def sighted(*things: Boxes, at: list[int], score: float = 0.8) -> list[tuple[int, list[Detection]]]:
    width, height = SIZE
    scale = np.array([width, height, width, height])
    return [
        (frame, [Detection("face", score, *(thing[frame] / scale).tolist()) for thing in things] if frame in at else [])
        for frame in range(FRAMES)
    ]


def hidden(thing: Boxes, made: np.ndarray) -> np.ndarray:
    """Say for each frame whether one cover holds the whole thing."""
    holds = (made[..., :2] <= thing[:, :2] + 1e-6) & (made[..., 2:] >= thing[:, 2:] - 1e-6)
    return np.asarray(holds.all(axis=-1).any(axis=0))


def faces(found: list[tuple[int, list[Detection]]]) -> np.ndarray:
    return covers(found, FACES, fps=FPS, looks_per_s=FPS, size=SIZE, frames=FRAMES)


@settings(max_examples=25, deadline=None)
@given(
    speed=st.tuples(st.floats(-4, 4), st.floats(-1, 1)),
    gaps=st.lists(st.tuples(st.integers(5, 110), st.integers(1, 55)), max_size=3),
    dropped=st.floats(0, 0.6),
    seed=st.integers(0, 2**16),
)
def test_a_face_that_moves_evenly_is_never_free_between_two_sightings(speed, gaps, dropped, seed) -> None:
    thing = moving((640, 360), speed)
    random = np.random.default_rng(seed)
    at = [frame for frame in range(FRAMES) if random.random() >= dropped]
    at = [frame for frame in at if not any(start <= frame < start + length for start, length in gaps)]
    at = sorted({0, *at, FRAMES - 1})
    short = all(later - earlier <= FACES.bridged_s * FPS for earlier, later in pairwise(at))
    free = ~hidden(thing, faces(sighted(thing, at=at)))
    assert not short or not free.any(), np.flatnonzero(free)


def test_who_turns_away_while_walking_stays_hidden_for_a_while() -> None:
    thing = moving((200, 300), (6.0, 0.0))
    made = faces(sighted(thing, at=list(range(40, 80))))
    seen = hidden(thing, made)
    assert seen[40 - 15 : 80 + 15].all()
    # and not for ever
    assert np.isnan(made[:, :20]).all()
    assert np.isnan(made[:, 100:]).all()


def test_a_face_that_is_lost_and_found_elsewhere_is_hidden_on_the_way() -> None:
    """It turned while it was out of sight, too far for the boxes to overlap: the tracker takes it for another."""
    thing = moving((640, 360), (0.0, 0.0))
    thing[45:80, ::2] += np.linspace(0, 220, 37)[1:-1, None]
    thing[80:] += np.array([220, 0, 220, 0])
    made = faces(sighted(thing, at=[*range(45), *range(80, FRAMES)]))
    assert len(made) == 1
    assert hidden(thing, made).all()


def test_two_faces_side_by_side_are_two_tracks() -> None:
    one, other = moving((400, 300), (1.0, 0.0)), moving((800, 300), (-1.0, 0.0))
    made = faces(sighted(one, other, at=list(range(0, FRAMES, 2))))
    assert len(made) == 2
    assert hidden(one, made).all()
    assert hidden(other, made).all()


def test_one_sighting_is_enough_and_a_doubtful_one_is_none() -> None:
    thing = moving((640, 360), (0.0, 0.0))
    assert hidden(thing, faces(sighted(thing, at=[60])))[45:76].all()
    assert len(faces(sighted(thing, at=[60], score=FACES.starts_at - 0.01))) == 0
    assert faces(sighted(thing, at=[])).shape == (0, FRAMES, 4)


def test_doubtful_sightings_carry_on_what_a_sure_one_began() -> None:
    thing = moving((640, 360), (3.0, 0.0))
    found = sighted(thing, at=list(range(20)))
    doubtful = sighted(thing, at=list(range(20, FRAMES)), score=0.2)
    both = [(frame, boxes + more) for (frame, boxes), (_, more) in zip(found, doubtful, strict=True)]
    assert hidden(thing, faces(both)).all()


def test_things_that_are_too_far_apart_or_too_long_apart_are_not_joined() -> None:
    def track(first: int, last: int, x: float) -> Track:
        return Track(np.array([first, last]), np.array([[x, 0, x + 30, 40]] * 2, float))

    assert len(joined([track(0, 30, 0), track(45, 60, 100)], FACES, FPS)) == 1
    assert len(joined([track(0, 30, 0), track(45, 60, 900)], FACES, FPS)) == 2
    assert len(joined([track(0, 30, 0), track(95, 110, 0)], FACES, FPS)) == 2
    # two at the same time are two
    assert len(joined([track(0, 60, 0), track(45, 80, 10)], FACES, FPS)) == 2


def test_covers_stay_inside_the_picture_and_grow_with_doubt() -> None:
    thing = moving((5, 5), (0.0, 0.0))
    made = faces(sighted(thing, at=[0, 50]))
    assert np.nanmin(made) == 0
    one = cover(Track(np.array([0, 60]), np.array([[600, 300, 640, 340]] * 2, float)), FACES, FPS, FRAMES)
    width = one[:, 2] - one[:, 0]
    assert width[0] == pytest.approx(40 * FACES.margin)
    assert width[30] == pytest.approx(40 * (FACES.margin + FACES.growth))


def test_text_that_is_looked_for_thrice_a_second_is_hidden_from_its_first_frame() -> None:
    thing = moving((640, 360), (0.0, 0.0), length=30)
    look = list(range(0, FRAMES, 10))
    found = [entry for entry in sighted(thing, at=[frame for frame in look if frame >= 37]) if entry[0] in look]
    made = covers(found, TEXTS, fps=FPS, looks_per_s=3.0, size=SIZE, frames=FRAMES)
    assert hidden(thing, made)[31:].all()
