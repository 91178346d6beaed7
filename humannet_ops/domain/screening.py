"""What sends a clip to a person: causes, their limits, and words about children in what a source says.

Nobody's age, sex or identity is judged. ``minors_risk`` comes from words alone: by the proportion of face to body, the
one other sign at hand, a third of the adults measured are six years old (infra/decisions/0019).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_FILE = Path(__file__).with_name("screening.yaml")
# "5 year old", "aged 11", "7-year-olds", "3 yo", "18 months old"
_AGED = re.compile(
    r"\b(?:(?:1[0-7]|[1-9])[ -]?(?:years?|yrs?)[ -]?olds?|(?:1[0-7]|[1-9]) ?y/?o|aged? (?:1[0-7]|[1-9])|"
    r"\d{1,2}[ -]?months?[ -]?olds?)\b"
)


class Cause(StrEnum):
    """Why a person must look at a clip; ``description`` says it in words."""

    description: str

    def __new__(cls, code: str, description: str) -> Cause:
        """Make a member that equals its code and carries what it means."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.description = description
        return member

    RESTRICTED_CONTENT = (
        "restricted_content",
        "A detector saw restricted content, below the score at which decide rejects.",
    )
    MINORS_RISK = "minors_risk", "What its source says speaks of children. Nobody's age was judged."
    READABLE_TEXT = "readable_text", "Much of the picture is text: a document or a screen may be readable."
    CLOSE_FACE = "close_face", "One face is large in the picture for much of the time."
    CROWD = "crowd", "Many faces are seen at once."
    FACE_LEFT = "face_left", "After redaction another detector still finds a face."


@dataclass(frozen=True, slots=True)
class ReviewCause:
    """One cause for a person to look at a clip.

    Attributes:
        cause: What it is.
        score: The measure that reached its limit; 1 where there is none.
        note: What shows it: the words that were found, say.
    """

    cause: Cause
    score: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Screening:
    """The content of ``screening.yaml``."""

    face: float
    text: float
    close: float
    limits: Mapping[str, float]
    minors: Mapping[str, tuple[str, ...]]
    unspaced: tuple[str, ...]


@cache
def screening() -> Screening:
    """Return the limits and words that count."""
    content = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    words = {language: tuple(folded(word) for word in listed) for language, listed in content.pop("minors").items()}
    return Screening(**{**content, "minors": words, "unspaced": tuple(content["unspaced"])})


def folded(text: str) -> str:
    """Return a text in one case and one way of writing accents."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", text).casefold())


def words_about_children(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the words and ages in texts that speak of children, each once, as the list has them."""
    rules = screening()
    found: dict[str, None] = {}
    for text in map(folded, texts):
        spoken = set(re.findall(r"[\w-]+", text)) | set(re.findall(r"\w+", text.replace("_", " ")))
        for language, listed in rules.minors.items():
            for word in listed:
                if word in (text if language in rules.unspaced else spoken):
                    found[word] = None
        found.update(dict.fromkeys(_AGED.findall(text)))
    return tuple(found)


def causes(scores: Mapping[str, Any], words: tuple[str, ...] = ()) -> tuple[ReviewCause, ...]:
    """Return why a person must look at a clip.

    Args:
        scores: ``restricted_score``, ``text_area_max``, ``close_face_share``, ``faces_max``.
        words: As ``words_about_children`` found them.
    """
    measured = {
        Cause.RESTRICTED_CONTENT: scores["restricted_score"],
        Cause.READABLE_TEXT: scores["text_area_max"],
        Cause.CLOSE_FACE: scores["close_face_share"],
        Cause.CROWD: scores["faces_max"],
    }
    limits = screening().limits
    made = [ReviewCause(cause, float(value)) for cause, value in measured.items() if value >= limits[cause]]
    if words:
        made.append(ReviewCause(Cause.MINORS_RISK, 1.0, ", ".join(words)))
    return tuple(sorted(made, key=lambda one: one.cause))
