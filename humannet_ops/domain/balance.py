"""The bias sheet: what of a corpus is over- and under-represented, against uniform or a stated reference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from humannet_ops.domain.statistics import Class, Share, Statistics

Z = 1.959964
"""Of the 95 % interval."""
Verdict = Literal["over", "under", "even"]
UNIFORM = "uniform"


@dataclass(frozen=True, slots=True)
class Aspect:
    """Something by which a corpus may lean.

    Attributes:
        key: Its name in a reference, such as ``viewpoint`` or ``motion_l1``.
        title: For people.
        facet: The facet of the taxonomy that it is a level of; None if its classes are what occurs.
        level: The level.
    """

    key: str
    title: str
    facet: str | None = None
    level: int = 1


ASPECTS = (
    Aspect("viewpoint", "Viewpoint"),
    Aspect("motion_l1", "Motion, first level", "motion", 1),
    Aspect("motion_l2", "Motion, second level", "motion", 2),
    Aspect("scene_l1", "Scene, first level", "scene", 1),
    Aspect("scene_l2", "Scene, second level", "scene", 2),
    Aspect("task_structure", "Task structure", "task_structure", 1),
    Aspect("source", "Source"),
    Aspect("source_type", "Source type", "source_type", 1),
    Aspect("language", "Language"),
    Aspect("country", "Country"),
    Aspect("resolution", "Resolution"),
    Aspect("license", "Licence"),
)


@dataclass(frozen=True, slots=True)
class Weight:
    """What one class has of the clips whose class is known.

    Attributes:
        value: The class.
        name: For people.
        clips, hours, videos: Its own.
        share: Of the clips, 0..1.
        low, high: 95 % Wilson interval of the share. Its sample are not clips, which are alike within a video, but the
            effective number of videos.
        expected: The share that the reference gives it; None where the reference says nothing of it.
        ratio: ``share / expected``.
        verdict: ``over`` or ``under`` where the whole interval lies on one side of what is expected.
    """

    value: str
    name: str
    clips: int
    hours: float
    videos: int
    share: float
    low: float
    high: float
    expected: float | None
    ratio: float | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Balance:
    """How a corpus leans in one aspect.

    Attributes:
        aspect: Which.
        reference: ``uniform``, or the name of the stated one.
        weights: The classes, the largest first; at most those that the statistics list.
        classes: How many classes there are: in the taxonomy, else those that occur.
        empty: Names of classes without a clip.
        effective: exp of the Shannon entropy: so many equally large classes would be as mixed.
        known, unknown: Clips with and without a class.
        top_share: Of the known clips, what the largest class has.
    """

    aspect: Aspect
    reference: str
    weights: tuple[Weight, ...]
    classes: int
    empty: tuple[str, ...]
    effective: float | None
    known: int
    unknown: int
    top_share: float | None


def wilson(share: float, count: float) -> tuple[float, float]:
    """Return the 95 % score interval of a share that was seen in ``count`` independent cases (Wilson 1927)."""
    if count <= 0:
        return 0.0, 1.0
    spread = Z * math.sqrt(share * (1 - share) / count + Z * Z / (4 * count * count))
    middle, scale = share + Z * Z / (2 * count), 1 + Z * Z / count
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def effective_number(counts: Sequence[float]) -> float | None:
    """Return exp of the Shannon entropy of the counts' shares (Hill's number of order 1); None if all are 0."""
    total = sum(counts)
    if not total:
        return None
    return math.exp(-sum(count / total * math.log(count / total) for count in counts if count))


def balances(statistics: Statistics, reference: Mapping[str, Mapping[str, float]] | None = None) -> list[Balance]:
    """Return the sheet, an aspect at a time. An aspect of which nothing is known has no weights.

    Args:
        statistics: The corpus's numbers.
        reference: The share that each class should have, by aspect and class; aspects without one are held against
            uniform: every class of the taxonomy, or every value that occurs, equally often.

    Raises:
        LookupError: the reference names an aspect, or a class of the taxonomy, that there is not.
    """
    wanted = reference or {}
    keys = [aspect.key for aspect in ASPECTS]
    if unknown := sorted(set(wanted) - set(keys)):
        raise LookupError(f"the reference has {', '.join(unknown)}; it may have {', '.join(keys)}")
    return [_balance(statistics, aspect, wanted.get(aspect.key)) for aspect in ASPECTS]


def _balance(statistics: Statistics, aspect: Aspect, reference: Mapping[str, float] | None) -> Balance:
    found: Sequence[Class | Share]
    if aspect.facet:
        found = statistics.at(aspect.facet, aspect.level)
        known = sum(node.clips for node in found)
        effective = effective_number([node.clips for node in found])
        classes = len(found)
    else:
        found = statistics.of(aspect.key)
        dimension = statistics.dimension(aspect.key)
        known, effective, classes = dimension.known, dimension.effective, dimension.classes
    expected = _expected(aspect, [_value(each) for each in found], classes, reference)
    videos = statistics.dimension("video").effective or 0.0
    sample = videos * known / statistics.totals.clips if known else 0.0
    weights = [_weight(each, known, sample, expected.get(_value(each))) for each in found if each.clips]
    return Balance(
        aspect,
        "as stated" if reference else UNIFORM,
        tuple(weights),
        classes,
        tuple(_name(each) for each in found if not each.clips),
        effective,
        known,
        statistics.totals.clips - known,
        max((weight.share for weight in weights), default=None),
    )


def _expected(
    aspect: Aspect, values: list[str], classes: int, reference: Mapping[str, float] | None
) -> Mapping[str, float]:
    if reference is None:
        return dict.fromkeys(values, 1 / classes) if classes > 1 else {}
    if aspect.facet and (unknown := sorted(set(reference) - set(values))):
        raise LookupError(
            f"the reference's {aspect.key} has {', '.join(unknown)}, which the taxonomy has not: "
            f"it has {', '.join(sorted(values)[:12])}{' ...' if len(values) > 12 else ''}"
        )
    return reference


def _weight(each: Class | Share, known: int, sample: float, expected: float | None) -> Weight:
    share = each.clips / known
    low, high = wilson(share, sample)
    verdict: Verdict = "even"
    if expected is not None:
        verdict = "over" if low > expected else "under" if high < expected else "even"
    ratio = share / expected if expected else None
    return Weight(
        _value(each), _name(each), each.clips, each.hours, each.videos, share, low, high, expected, ratio, verdict
    )


def _value(each: Class | Share) -> str:
    return each.path if isinstance(each, Class) else str(each.value)


def _name(each: Class | Share) -> str:
    return each.name if isinstance(each, Class) else str(each.value)


def parse_reference(text: str) -> dict[str, dict[str, float]]:
    """Read the shares that a corpus should have: YAML, an aspect's classes and their shares, which add up to 1.

    Raises:
        LookupError: it is not that; the message says where.
    """
    try:
        content: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise LookupError(f"the reference is no YAML: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(shares, dict) and shares for shares in content.values()):
        raise LookupError("the reference is `aspect: {class: share}`, such as `viewpoint: {ego: 0.5, exo: 0.5}`")
    for aspect, shares in content.items():
        for value, share in shares.items():
            if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
                raise LookupError(f"the reference's {aspect}: {value}: {share!r} is no share between 0 and 1")
        if abs(total := sum(shares.values()) - 1) > 0.01:
            raise LookupError(f"the reference's {aspect}: the shares add up to {total + 1:g}, not to 1")
    return {aspect: {str(value): float(share) for value, share in shares.items()} for aspect, shares in content.items()}
