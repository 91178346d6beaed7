"""Labels that a data set brings along: its own words for a video, mapped to the tree, and those that map to nothing.

They are kept apart from what we find (origin ``inherited``), because nobody here checked them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from humannet_ops.domain.taxonomy import Taxonomy
from humannet_ops.labelling.matching import Matcher, judge
from humannet_ops.labelling.texts import cleaned, pieces

VERSION = 1
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "motion": (
        "activity", "activities", "action", "actions", "action_label", "label", "labels", "class", "class_name", "task",
        "scenario", "scenarios", "verb", "category", "categories", "tags",
    ),
    "scene": ("scene", "scenes", "environment", "location", "place", "setting", "room", "tags"),
}  # fmt: skip
"""Columns of a data set that name a class, by facet."""
LOOSE = frozenset({"tags", "category", "categories", "label", "labels"})
"""Columns that hold anything: only what is the tree's own word counts."""
MOST_VALUES = 30


@dataclass(frozen=True, slots=True)
class Inherited:
    """What a data set says.

    Attributes:
        facet: The facet.
        column: Where it says so.
        value: What it says, as it stands there.
        path: The class that it maps to; None where there is none.
        confidence: 1 where it is the tree's own word, else the calibrated confidence of the match.
    """

    facet: str
    column: str
    value: str
    path: str | None
    confidence: float


def read(published: Mapping[str, Any], span: tuple[float, float], tree: Taxonomy, matcher: Matcher) -> list[Inherited]:
    """Map what a data set says of a video, and of its segments that share time with ``span``, to one facet.

    Args:
        published: The video's columns.
        span: Begin and end of the clip, s.
        tree: The taxonomy.
        matcher: Of the facet.
    """
    found = []
    words = own_words(tree, matcher.facet)
    for column, value in _values(published, span, COLUMNS.get(matcher.facet, ())):
        exact = words.get(normalised(value))
        if exact:
            found.append(Inherited(matcher.facet, column, value, exact, 1.0))
        elif column not in LOOSE:
            text = cleaned(value)
            verdict = judge(matcher.match(pieces([text]) if text else []), matcher.facet)
            found.append(Inherited(matcher.facet, column, value, verdict.path, verdict.confidence))
        else:
            found.append(Inherited(matcher.facet, column, value, None, 0.0))
    return found


def own_words(tree: Taxonomy, facet: str) -> dict[str, str]:
    """Return each of a facet's words with the path that it names; of several the one above all others, or none."""
    found: dict[str, list[str]] = {}
    for node in tree.facets[facet].nodes.values():
        own = {node.name, node.path, node.path.rpartition("/")[2], *node.synonyms}
        for word in {normalised(each) for each in own}:
            found.setdefault(word, []).append(node.path)
    unique = {}
    for word, paths in found.items():
        top = min(paths, key=len)
        if all(path == top or path.startswith(f"{top}/") for path in paths):
            unique[word] = top
    return unique


def normalised(text: str) -> str:
    """Return a label's words, lower case, one space apart."""
    return " ".join(text.lower().replace("_", " ").replace("-", " ").split())


def _values(
    published: Mapping[str, Any], span: tuple[float, float], columns: Sequence[str]
) -> Iterator[tuple[str, str]]:
    rows: list[Mapping[str, Any]] = [published]
    segments = published.get("segments")
    for segment in segments if isinstance(segments, list) else ():
        if isinstance(segment, Mapping):
            begin, end = segment.get("start_s") or 0.0, segment.get("end_s")
            if begin < span[1] and (end is None or end > span[0]):
                rows.append(segment)
    seen: set[tuple[str, str]] = set()
    for row in rows:
        for column in columns:
            for value in _listed(row.get(column)):
                if value.strip() and (column, value) not in seen and len(seen) < MOST_VALUES:
                    seen.add((column, value))
                    yield column, value


def _listed(value: Any) -> list[str]:
    """Return a column's texts: of a text, of a list of texts, or of the JSON text of one."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            value = [part.strip(" '\"") for part in value.strip("[] ").split(",")]
    if isinstance(value, str):
        return [value]
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []
