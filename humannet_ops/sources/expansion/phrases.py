"""Phrases of texts: runs of words that could be searched for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from humannet_ops.catalog.keywords import Text
from humannet_ops.domain.keyword import MOST_CHARACTERS, normalised, tidied

LONGEST = 4
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_BREAK = re.compile(r"https?://\S+|www\.\S+|[#@]\w+|[^\w\s'\u2019-]+|\d+")
_LISTS = yaml.safe_load(Path(__file__).with_name("words.yaml").read_text())
_LINKING, _WITHIN, _ABOUT_VIDEOS = (frozenset(_LISTS[name]) for name in ("linking", "within", "about_videos"))


def candidates(texts: Sequence[Text], most: int) -> list[str]:
    """Return phrases of texts: tags, and runs of two to four words that stand in two videos, or in a kept one's title.

    Where videos were kept, only their phrases; those of most kept videos come first, then those of most videos.
    """
    kept: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    strong: set[str] = set()
    for text in texts:
        tags = {name for tag in text.tags if (name := _whole(tag))}
        titles = set(_runs(text.title))
        strong |= tags | (titles if text.kept else set())
        for phrase in tags | titles | set(_runs(text.description)):
            seen[phrase] += 1
            kept[phrase] += text.kept
    found = [
        phrase for phrase in kept if (kept[phrase] or not any(kept.values())) and (phrase in strong or seen[phrase] > 1)
    ]
    return sorted(found, key=lambda phrase: (-kept[phrase], -seen[phrase], phrase))[:most]


def _whole(tag: str) -> str | None:
    """Return a tag as a phrase; None if it is not one of a few words."""
    try:
        phrase = normalised(tidied(tag))
    except ValueError:
        return None
    words = phrase.split()
    if len(words) > LONGEST or not set(words) - _ABOUT_VIDEOS - _LINKING or not _WORD.search(phrase):
        return None
    return phrase


def _runs(text: str) -> Iterator[str]:
    """Give out runs of two to four words, none across punctuation, numbers, addresses or words about videos."""
    for part in _BREAK.split(text.casefold()):
        words = _WORD.findall(part)
        for start in range(len(words)):
            for end in range(start + 2, min(start + LONGEST, len(words)) + 1):
                run = words[start:end]
                ends, middle = {run[0], run[-1]}, set(run[1:-1])
                if ends & _LINKING or (middle & _LINKING) - _WITHIN or not _ABOUT_VIDEOS.isdisjoint(run):
                    continue
                if len(phrase := " ".join(run)) <= MOST_CHARACTERS:
                    yield phrase
