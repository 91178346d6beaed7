"""Which class of a facet a text is about, by sentence embeddings, and how sure that is.

A class (a motion of the second level, a scene) is as near as the mean of its nearest phrases: its own and its leaves'.
What the text leaves open is a matter of the distance to the next class, so a level's confidence is a logistic function
of three numbers: the nearest class's similarity, its margin before the nearest class of another branch, and whether the
text has the class's own word (scenes only: a text that says kitchen is mostly about one, while plant and print mean
many things). The coefficients are in ``calibration.yaml``, which says how they were fitted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from humannet_ops.domain.taxonomy import Node, Taxonomy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from humannet_ops.detectors.sentence import Encoder

VERSION = 1
CLASS_LEVEL = 2
NEAREST = {"motion": 3, "scene": 1}
"""Phrases whose mean is a class's nearness: a motion has dozens of phrases, a scene two or three."""
NAMED = frozenset({"scene"})
"""Facets whose own words tell."""
Features = tuple[float, float, float]
TOP = 5
_FILE = Path(__file__).with_name("calibration.yaml")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A class and how near it is: a cosine, -1 to 1."""

    path: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Match:
    """What a text was compared with.

    Attributes:
        candidates: The nearest classes, the best first.
        leaf: The nearest leaf of the best class, where it has any.
        features: For each level (1, 2, 3) the similarity of the best node there, its margin before the best of
            another branch, and 1 where the text has its own word.
    """

    candidates: tuple[Candidate, ...]
    leaf: Candidate | None
    features: Mapping[int, Features]

    def path(self, level: int) -> str | None:
        """Return the best path that has so many levels; None where the tree ends before."""
        best = self.candidates[0].path
        if level <= CLASS_LEVEL:
            return "/".join(best.split("/")[:level])
        return self.leaf.path if self.leaf else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The label that a match gives: none (``path`` is None) where no level is sure enough.

    Attributes:
        path: The deepest path whose confidence reaches its threshold.
        confidence: The probability that the path is right; where it abstains, that of the first level.
        levels: The confidence of each level.
    """

    path: str | None
    confidence: float
    levels: Mapping[int, float]


@cache
def calibration() -> Mapping[str, Any]:
    """Read the packaged coefficients and thresholds."""
    content: Mapping[str, Any] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return content


class Matcher:
    """Compares texts with the classes of one facet."""

    def __init__(self, encoder: Encoder, tree: Taxonomy, facet: str) -> None:
        self.facet, self.encoder = facet, encoder
        nodes = list(tree.facets[facet].nodes.values())
        phrases = [(node, phrase) for node in nodes for phrase in node.phrases if node.level >= CLASS_LEVEL]
        self._vectors = encoder.encode([phrase for _, phrase in phrases])
        self.classes = [node.path for node in nodes if node.level == CLASS_LEVEL]
        place = {path: at for at, path in enumerate(self.classes)}
        self._class = np.array([place[_class_of(node)] for node, _ in phrases])
        self._path = [node.path for node, _ in phrases]
        classes = [node for node in nodes if node.level == CLASS_LEVEL]
        self._words = {node.path: _spelt(node) for node in classes if facet in NAMED}
        self.implies = {node.path: frozenset(node.implies) for node in classes}

    def match(self, pieces: Sequence[str], penalty: Mapping[str, float] | None = None) -> Match | None:
        """Compare texts that are all about one clip; None where there is none.

        Args:
            pieces: Texts that count alike.
            penalty: What is taken off a class's similarity, because something measured speaks against it.
        """
        if not pieces:
            return None
        similar = self._vectors @ self.encoder.encode(pieces).T
        nearness = np.mean([self._nearness(similar[:, at]) for at in range(len(pieces))], axis=0)
        for path, amount in (penalty or {}).items():
            nearness[self.classes.index(path)] -= amount
        order = np.argsort(-nearness, kind="stable")
        best = self.classes[order[0]]
        leaf, leaf_margin = self._leaf(best, similar.mean(axis=1) - (penalty or {}).get(best, 0.0))
        top = float(nearness[order[0]])
        named = float(best in self._words and bool(self._words[best].search(" ".join(pieces))))
        features: dict[int, Features] = {
            1: (top, top - _best_other(nearness, self.classes, best.split("/")[0]), named),
            2: (top, top - float(nearness[order[1]]), named),
        }
        if leaf:
            features[3] = (leaf.similarity, leaf_margin, 0.0)
        found = tuple(Candidate(self.classes[at], round(float(nearness[at]), 4)) for at in order[:TOP])
        return Match(found, leaf, features)

    def _nearness(self, similar: NDArray[Any]) -> NDArray[np.float64]:
        """Return each class's mean over its nearest phrases."""
        found = np.empty(len(self.classes))
        for at in range(len(self.classes)):
            mine = np.sort(similar[self._class == at])
            found[at] = mine[-NEAREST[self.facet] :].mean()
        return found

    def _leaf(self, path: str, similar: NDArray[Any]) -> tuple[Candidate | None, float]:
        nearest: dict[str, float] = {}
        for at, leaf in enumerate(self._path):
            if leaf.startswith(f"{path}/"):
                nearest[leaf] = max(nearest.get(leaf, -1.0), float(similar[at]))
        if not nearest:
            return None, 0.0
        ranked = sorted(nearest, key=lambda leaf: -nearest[leaf])
        best = nearest[ranked[0]]
        margin = best - nearest[ranked[1]] if len(ranked) > 1 else best
        return Candidate(ranked[0], round(best, 4)), margin


def _class_of(node: Node) -> str:
    return "/".join(node.path.split("/")[:CLASS_LEVEL])


def _spelt(node: Node) -> re.Pattern[str]:
    words = "|".join(re.escape(word) for word in (node.name, *node.synonyms))
    return re.compile(rf"\b({words})(s|es)?\b", re.IGNORECASE)


def _best_other(nearness: NDArray[np.float64], classes: Sequence[str], branch: str) -> float:
    others = [float(value) for value, path in zip(nearness, classes, strict=True) if path.split("/")[0] != branch]
    return max(others, default=0.0)


def judge(match: Match | None, facet: str, content: Mapping[str, Any] | None = None) -> Verdict:
    """Say how sure each level is, and label with the deepest that is sure enough.

    A level is not surer than the one above it: the chain of what must be right only grows.
    """
    if match is None:
        return Verdict(None, 0.0, {})
    of_facet = (content or calibration())["facets"][facet]
    levels: dict[int, float] = {}
    path, confidence = None, 0.0
    for level, features in sorted(match.features.items()):
        if level not in of_facet:
            break
        sure = min(probability(features, of_facet[level]["logistic"]), levels.get(level - 1, 1.0))
        levels[level] = round(sure, 4)
        if sure >= of_facet[level]["threshold"] and (path is not None or level == 1):
            path, confidence = match.path(level), sure
    return Verdict(path, round(confidence if path else levels.get(1, 0.0), 4), levels)


def probability(features: Features, logistic: Sequence[float]) -> float:
    """Return 1 / (1 + exp(-(a + b similarity + c margin + d named)))."""
    intercept, *slopes = logistic
    return 1 / (1 + math.exp(-(intercept + sum(b * x for b, x in zip(slopes, features, strict=True)))))
