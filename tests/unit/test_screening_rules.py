"""What sends a clip to a person: limits, words about children, restricted content near it."""

from __future__ import annotations

from pathlib import Path

import pytest

from humannet_ops.domain.detection import Detection
from humannet_ops.domain.screening import Cause, causes, screening, words_about_children
from humannet_ops.media import detections
from humannet_ops.media import screening as screened

QUIET = {"restricted_score": 0.0, "text_area_max": 0.0, "close_face_share": 0.0, "faces_max": 1}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Toddler has cereal with a spoon", ("toddler",)),
        ("KIDS_brushing-teeth.mp4", ("kids",)),
        ("my 7-year-old cooks", ("7-year-old",)),
        ("a girl, aged 12", ("girl", "aged 12")),
        ("La niña juega", ("niña",)),
        ("Die Kinder spielen im Garten", ("kinder",)),
        ("小学生が料理する", ("小学生",)),
        ("e\u0301colie\u0300re", ("écolière",)),
    ],
)
def test_words_about_children_are_found_in_many_languages(text: str, found: tuple[str, ...]) -> None:
    assert words_about_children([text]) == found


@pytest.mark.parametrize(
    "text",
    ["A man chops onions", "what kind of saw", "25 years of plumbing", "boyfriend and me", "kidney bean stew",
     "son et lumière", "Prelude in C minor", "babysitter's coffee", "a 100-year-old house", "page 12", ""],
)  # fmt: skip
def test_other_words_are_not(text: str) -> None:
    assert words_about_children([text]) == ()


def test_every_listed_word_is_found_by_itself() -> None:
    for language, words in screening().minors.items():
        for word in words:
            assert word in words_about_children([f"… {word} …"]), (language, word)


def test_a_quiet_clip_needs_nobody() -> None:
    assert causes(QUIET) == ()


@pytest.mark.parametrize(
    ("score", "value", "cause"),
    [
        ("restricted_score", 0.3, Cause.RESTRICTED_CONTENT),
        ("text_area_max", 0.2, Cause.READABLE_TEXT),
        ("close_face_share", 0.6, Cause.CLOSE_FACE),
        ("faces_max", 9, Cause.CROWD),
    ],
)
def test_a_measure_that_reaches_its_limit_is_a_cause(score: str, value: float, cause: Cause) -> None:
    (found,) = causes({**QUIET, score: value})
    assert (found.cause, found.score) == (cause, value)
    limit = screening().limits[cause]
    assert causes({**QUIET, score: limit})
    assert not causes({**QUIET, score: limit * 0.99})


def test_words_are_a_cause_that_says_which() -> None:
    (found,) = causes(QUIET, ("toddler", "aged 12"))
    assert (found.cause, found.note) == (Cause.MINORS_RISK, "toddler, aged 12")


def test_scores_are_shares_of_looks() -> None:
    near, far = Detection("face", 0.9, 0.1, 0.1, 0.5, 0.6), Detection("face", 0.9, 0.8, 0.1, 0.82, 0.14)
    doubtful = Detection("face", 0.3, 0.8, 0.8, 0.9, 0.9)
    line = Detection("text", 0.9, 0.0, 0.0, 1.0, 0.1)
    found = screened.scores(
        {0: [near, far], 15: [near, doubtful], 30: [far], 45: []}, {0: [line, line], 30: []}, 0.12341, screening()
    )
    assert found == {
        "faces_share": 0.75,
        "faces_max": 2,
        "face_area_max": 0.2,
        "close_face_share": 0.5,
        "text_share": 0.5,
        "text_area_max": 0.1,
        "restricted_score": 0.1234,
    }
    assert screened.scores({}, {}, 0.0, screening())["faces_share"] == 0.0


def test_restricted_content_counts_where_the_clip_is(tmp_path: Path) -> None:
    path = tmp_path / "detections.parquet"
    with detections.Writer(path) as writer:
        writer.add(1.0, 30, [Detection("buttocks_exposed", 0.8, 0.1, 0.1, 0.2, 0.2)])
        writer.add(
            4.0, 120, [Detection("female_breast_exposed", 0.5, 0.1, 0.1, 0.2, 0.2), Detection("face", 0.9, 0, 0, 1, 1)]
        )
        writer.add(9.0, 270, [])
    found = detections.read(path)
    assert screened.restricted_score(found, 0.0, 3.0) == pytest.approx(0.8)
    assert screened.restricted_score(found, 2.0, 6.0) == pytest.approx(0.5)
    # a sample just before it may show what goes on in it
    assert screened.restricted_score(found, 4.2, 6.0) == pytest.approx(0.5)
    assert screened.restricted_score(found, 6.0, 12.0) == 0.0
