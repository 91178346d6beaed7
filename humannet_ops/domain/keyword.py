"""What a keyword is: a phrase that a source is searched for."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from humannet_ops.domain.identifiers import keyword_id

MOST_CHARACTERS = 80
MOST_WORDS = 8


@dataclass(frozen=True, slots=True)
class Proposal:
    """A phrase that may become a keyword.

    Attributes:
        phrase: What to search for.
        proposed_by: ``seed``, a strategy of expansion with its model, or a person.
        parent: The ``keyword_id`` that it was proposed from.
    """

    phrase: str
    proposed_by: str
    parent: str | None = None


def tidied(phrase: str) -> str:
    """Return a phrase on one line, with single spaces and without control characters.

    Raises:
        ValueError: it is empty, too long for a search, or an address.
    """
    text = " ".join("".join(" " if unicodedata.category(c)[0] == "C" else c for c in phrase).split())
    if not normalised(text):
        raise ValueError(f"{phrase!r} has no word in it")
    if len(text) > MOST_CHARACTERS or len(text.split()) > MOST_WORDS:
        raise ValueError(f"{text[:40]!r}... is longer than a search ({MOST_CHARACTERS} characters, {MOST_WORDS} words)")
    if "://" in text or "www." in text.lower():
        raise ValueError(f"{text!r} is an address, not a phrase to search for")
    return text


def normalised(phrase: str) -> str:
    """Return what phrases that bring the same have in common: no case, and no punctuation around words.

    >>> normalised("  “Chopping  ONIONS!” ")
    'chopping onions'
    """
    words = unicodedata.normalize("NFKC", phrase).casefold().split()
    return " ".join(stripped for word in words if (stripped := _stripped(word)))


def _stripped(word: str) -> str:
    first = next((at for at, c in enumerate(word) if c.isalnum()), len(word))
    last = next((at for at, c in enumerate(reversed(word)) if c.isalnum()), 0)
    return word[first : len(word) - last]


def identify(source: str, phrase: str) -> str:
    """Return the ``keyword_id`` of a phrase in a source."""
    return keyword_id(source, normalised(phrase))
