"""What is said about a clip, by its source and by the stages before, as texts that a sentence model reads.

It is what strangers wrote: it is compared with the taxonomy's words, never followed as an instruction.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from humannet_ops.domain.records import ClipSubject

VERSION = 1
MOST_CHARACTERS = 300
"""Of one text: what follows in a description is mostly about the channel. The model reads 256 tokens."""
MOST_TAGS = 10
_ADDRESS = re.compile(r"https?://\S+|www\.\S+|\S+@\S+")
_SUFFIX = re.compile(r"\.(mp4|mov|avi|mkv|webm|m4v|mpg|mpeg|wmv)$", re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_PUNCTUATION = re.compile(r"[_#|/\\\[\](){}<>*~]+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
# what cameras and editors call files
_NAMES_OF_FILES = frozenset(
    {"img", "dsc", "dscn", "vid", "mov", "mvi", "pxl", "gopr", "dcim", "clip", "video", "movie", "file", "final",
     "export", "copy", "untitled", "edit", "output", "part", "recording", "screen"}
)  # fmt: skip
# what channels write below every video
_ABOUT_THE_CHANNEL = re.compile(
    r"subscribe|follow (me|us)|instagram|patreon|facebook|twitter|tiktok\.com|discord|sponsor|affiliate|copyright|"
    r"business (inquir|enquir)|music( by|:)|hit the bell|like and share|my gear",
    re.IGNORECASE,
)


def said(subject: ClipSubject) -> list[str]:
    """Return what is said about a clip: its title, then what describes it further; nothing twice, nothing empty."""
    found = [text for raw in _raw(subject) if (text := cleaned(raw))]
    return list(dict.fromkeys(found))


def _raw(subject: ClipSubject) -> Iterator[str]:
    published = subject.video.published
    if subject.video.title:
        yield subject.video.title
    yield from captions(published, subject.start_s, subject.end_s)
    description = published.get("description")
    if isinstance(description, str):
        yield summary(description)
    tags = published.get("tags")
    if isinstance(tags, list):
        yield ", ".join(str(tag) for tag in tags[:MOST_TAGS])
    # our own words about signals name no activity; a vision model's do
    for kind, part in (("caption", "long"), ("motion_text", "semantic")):
        value = subject.annotations.get(kind, {})
        if value.get("source") == "endpoint" and isinstance(value.get(part), str):
            yield value[part]


def captions(published: Mapping[str, Any], start_s: float, end_s: float) -> Iterator[str]:
    """Give out the source's own captions of segments that share time with ``[start_s, end_s)``."""
    segments = published.get("segments")
    for segment in segments if isinstance(segments, list) else ():
        if not isinstance(segment, Mapping) or not isinstance(segment.get("caption"), str):
            continue
        begin, end = segment.get("start_s") or 0.0, segment.get("end_s")
        if begin < end_s and (end is None or end > start_s):
            yield segment["caption"]


def summary(description: str) -> str:
    """Return a description's first sentences, without those that are about the channel."""
    sentences = [part.strip() for part in _SENTENCE.split(description) if part.strip()]
    about = [part for part in sentences if not _ABOUT_THE_CHANNEL.search(part) and cleaned(part)]
    return " ".join(about)[:MOST_CHARACTERS]


def cleaned(text: str) -> str:
    """Return a text without addresses, file suffixes and punctuation that joins words; empty if no word is left."""
    text = _SUFFIX.sub("", _ADDRESS.sub(" ", text).strip())
    text = " ".join(_PUNCTUATION.sub(" ", _CAMEL.sub(" ", text)).split())[:MOST_CHARACTERS]
    words = (word.lower() for word in re.findall(r"\w+", text))
    return text if any(len(word) > 1 and word.isalpha() and word not in _NAMES_OF_FILES for word in words) else ""


def pieces(texts: Sequence[str]) -> list[str]:
    """Return what a matcher encodes: the title by itself, and everything together where there is more."""
    if len(texts) < 2:
        return list(texts)
    return [texts[0], ". ".join(texts)]
