"""What a label stage hands over of one facet: its labels, the scores that say how sure it is, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from humannet_ops.domain.records import Label
from humannet_ops.labelling.asking import Answer
from humannet_ops.labelling.inherited import Inherited
from humannet_ops.labelling.matching import Match, Verdict
from humannet_ops.labelling.rules import Found

SIGNALS = "signals"
"""The model release of what no model made."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One facet of one clip.

    Attributes:
        facet: The facet.
        labels: What it is labelled with; none where it abstains.
        confidence: Of the surest label, or of the best class that was not sure enough.
        value: What the annotation says about it.
    """

    facet: str
    labels: tuple[Label, ...]
    confidence: float
    value: Mapping[str, Any] = field(default_factory=dict)

    @property
    def scores(self) -> dict[str, Any]:
        """The facet's scores: users filter on them."""
        return {
            f"label_{self.facet}_abstained": not self.labels,
            f"label_{self.facet}_confidence": round(self.confidence, 4),
        }


def by_matching(facet: str, match: Match | None, verdict: Verdict, release: str) -> Decision:
    """Take what texts were compared with."""
    value: dict[str, Any] = {"origin": "offline", "path": verdict.path, "confidence": verdict.confidence}
    if match is None:
        return Decision(facet, (), 0.0, {**value, "why": "no text"})
    value |= {"levels": dict(verdict.levels), "top": [asdict(candidate) for candidate in match.candidates]}
    if verdict.path is None:
        return Decision(facet, (), verdict.confidence, {**value, "why": "not sure enough"})
    label = Label(facet, verdict.path, verdict.confidence, "offline", release)
    return Decision(facet, (label,), verdict.confidence, value)


def by_answers(facet: str, answers: Sequence[Answer], release: str) -> Decision:
    """Take what a vision model answered."""
    labels = tuple(
        Label(facet, answer.path, answer.confidence, "endpoint", release) for answer in answers if answer.path
    )
    confidence = max((answer.confidence for answer in answers), default=0.0)
    value: dict[str, Any] = {"origin": "endpoint", "answers": [asdict(answer) for answer in answers]}
    return Decision(facet, labels, confidence, value if labels else {**value, "why": "the model cannot tell"})


def by_rules(facet: str, found: Sequence[Found]) -> Decision:
    """Take what rules say."""
    labels = tuple(Label(facet, each.path, each.confidence, "pseudo", SIGNALS) for each in found)
    confidence = max((each.confidence for each in found), default=0.0)
    value: dict[str, Any] = {"origin": "pseudo", "rules": [asdict(each) for each in found]}
    return Decision(facet, labels, confidence, value if labels else {**value, "why": "no rule holds"})


def together(first: Decision, second: Decision) -> Decision:
    """Put two decisions about one facet side by side; each label keeps its origin."""
    value = {**first.value, "labels": _said((*first.labels, *second.labels)), "besides": second.value}
    return Decision(first.facet, (*first.labels, *second.labels), max(first.confidence, second.confidence), value)


def brought(entries: Iterable[Inherited], release: str) -> tuple[list[Label], list[dict[str, Any]]]:
    """Return the labels that a data set brought, and what the annotation says of them: the unmapped ones too."""
    kept = list(entries)
    surest: dict[tuple[str, str], Inherited] = {}
    for entry in kept:
        if entry.path and entry.confidence > surest.get((entry.facet, entry.path), _NONE).confidence:
            surest[entry.facet, entry.path] = entry
    labels = [
        Label(facet, path, entry.confidence, "inherited", SIGNALS if entry.confidence == 1 else release)
        for (facet, path), entry in surest.items()
    ]
    return labels, [asdict(entry) for entry in kept]


_NONE = Inherited("", "", "", None, -1.0)


def _said(labels: Sequence[Label]) -> list[dict[str, Any]]:
    return [{"path": label.path, "confidence": label.confidence, "origin": label.origin} for label in labels]
