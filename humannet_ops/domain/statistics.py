"""What a corpus counts, as values. Hours are of video; a share is 0..1; None means that nothing could be counted."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

VERSION = 1
"""Of the numbers' form. Numbers that were saved in another form are not read."""
BINS = 40
"""Bars of a histogram, from 0 to P99; see ``sql/queries/statistics.sql``."""
# As they are told, first what is asked for most. Name, words, unit.
MEASURES = (
    ("pose_score", "Pose score", ""),
    ("motion_score", "Motion score", "m/s"),
    ("motion_frames", "Motion frames", "frames"),
    ("duration_s", "Clip length", "s"),
    ("retarget_error_mm", "Retarget error", "mm"),
)
By = Literal["l1", "viewpoint"]


@dataclass(frozen=True, slots=True)
class Totals:
    """How much there is.

    Attributes:
        counted_at: The moment that all numbers are of.
        clips, videos, hours: Kept clips, the videos that they are of, their length.
        persons, things: What the detector followed in them; an object is followed once a clip.
        task_instances: Runs of clips of one video that follow each other within a second with the same motion label.
        screened, waiting: Clips whose content was screened; clips that a person must look at.
    """

    counted_at: datetime.datetime
    clips: int
    hours: float
    videos: int
    persons: int
    things: int
    task_instances: int
    screened: int
    waiting: int

    @property
    def objects(self) -> int:
        """Annotated objects: persons and things."""
        return self.persons + self.things


@dataclass(frozen=True, slots=True)
class Summary:
    """A measure over the clips that have it: all of them, or those of one class (``by`` and ``value``).

    ``variance`` and ``std`` are the population's, divided by n; percentiles lie between the two nearest values.
    """

    measure: str
    by: By | None
    value: str | None
    count: int
    mean: float
    variance: float
    std: float
    p50: float
    p99: float
    minimum: float
    maximum: float


@dataclass(frozen=True, slots=True)
class Bin:
    """Clips of one viewpoint in one bar of a histogram from ``low`` to ``high``; bar ``BINS + 1``: beyond."""

    measure: str
    viewpoint: str | None
    low: float
    high: float
    bin: int
    clips: int


@dataclass(frozen=True, slots=True)
class Dimension:
    """How mixed the corpus is by one dimension.

    Attributes:
        dimension: Such as ``source``.
        classes: Values that occur.
        known: Clips whose value is known.
        effective: exp of the Shannon entropy of the clips' shares: so many equally large classes would be as mixed.
        most_clips: Clips of the largest class.
        top_hours_share: Share of the known hours that the class with most hours has.
    """

    dimension: str
    classes: int
    known: int
    effective: float | None
    most_clips: int | None
    top_hours_share: float | None


@dataclass(frozen=True, slots=True)
class Share:
    """What one value of a dimension has; ``value`` None is what is not known."""

    dimension: str
    value: str | None
    clips: int
    hours: float
    videos: int


@dataclass(frozen=True, slots=True)
class Class:
    """What a class of the taxonomy has, its classes below it included."""

    facet: str
    path: str
    level: int
    name: str
    clips: int
    hours: float
    videos: int


@dataclass(frozen=True, slots=True)
class Surety:
    """How a facet was labelled: clips judged, and those of them that no label was sure enough for."""

    facet: str
    judged: int
    abstained: int
    mean_confidence: float | None
    p50_confidence: float | None


@dataclass(frozen=True, slots=True)
class Origin:
    """Labels of a facet by who said it."""

    facet: str
    origin: str
    labels: int
    clips: int
    mean_confidence: float


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects of one COCO class, and the clips that they are in."""

    label: str
    tracks: int
    clips: int


@dataclass(frozen=True, slots=True)
class Yield:
    """Clips that a robot can follow: all, or those of one class."""

    by: By | None
    value: str | None
    clips: int
    judged: int
    ready: int
    ready_hours: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """What became of the kept clips at one stage of annotation."""

    stage: str
    ordinal: int
    outcome: str
    reason: str | None
    clips: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """Everything that is counted, of all kept clips or of those that meet ``condition``."""

    condition: str | None
    totals: Totals
    summaries: tuple[Summary, ...]
    bins: tuple[Bin, ...]
    dimensions: tuple[Dimension, ...]
    shares: tuple[Share, ...]
    classes: tuple[Class, ...]
    facets: tuple[Surety, ...]
    origins: tuple[Origin, ...]
    objects: tuple[Objects, ...]
    robots: tuple[Yield, ...]
    coverage: tuple[Coverage, ...]

    def summary(self, measure: str, by: By | None = None, value: str | None = None) -> Summary | None:
        """Return one summary; None where no clip has the measure."""
        return next((s for s in self.summaries if (s.measure, s.by, s.value) == (measure, by, value)), None)

    def histogram(self, measure: str) -> dict[str | None, list[int]]:
        """Return the clips of each viewpoint in each of the ``BINS`` bars."""
        bars: dict[str | None, list[int]] = {}
        for entry in self.bins:
            if entry.measure == measure and entry.bin <= BINS:
                bars.setdefault(entry.viewpoint, [0] * BINS)[entry.bin - 1] = entry.clips
        return bars

    def beyond(self, measure: str) -> int:
        """Return how many clips lie above P99, where the histogram is cut off."""
        return sum(entry.clips for entry in self.bins if entry.measure == measure and entry.bin > BINS)

    def dimension(self, name: str) -> Dimension:
        """Return how mixed a dimension is."""
        return next((d for d in self.dimensions if d.dimension == name), Dimension(name, 0, 0, None, None, None))

    def of(self, dimension: str) -> list[Share]:
        """Return a dimension's values that are known, the largest first."""
        found = [share for share in self.shares if share.dimension == dimension and share.value is not None]
        return sorted(found, key=lambda share: (-share.clips, share.value))

    def at(self, facet: str, level: int) -> list[Class]:
        """Return the classes of a level, the largest first."""
        found = [node for node in self.classes if (node.facet, node.level) == (facet, level)]
        return sorted(found, key=lambda node: (-node.clips, node.path))

    def robot(self, by: By | None = None, value: str | None = None) -> Yield | None:
        """Return a yield; None where there is no such clip."""
        return next((y for y in self.robots if (y.by, y.value) == (by, value)), None)


_SECTIONS: dict[str, type[Any]] = {
    "summaries": Summary,
    "bins": Bin,
    "dimensions": Dimension,
    "shares": Share,
    "classes": Class,
    "facets": Surety,
    "origins": Origin,
    "objects": Objects,
    "robots": Yield,
    "coverage": Coverage,
}


def from_entries(entries: Iterable[tuple[str, Mapping[str, Any]]], condition: str | None = None) -> Statistics:
    """Make the values of what ``corpus_statistics`` answers: pairs of a section and one entry of it."""
    found: dict[str, list[Any]] = {name: [] for name in _SECTIONS}
    totals: Mapping[str, Any] = {}
    for section, entry in entries:
        if section == "totals":
            totals = entry
        else:
            found[section].append(_SECTIONS[section](**entry))
    at = totals["counted_at"]
    moment = at if isinstance(at, datetime.datetime) else datetime.datetime.fromisoformat(at)
    return Statistics(
        condition,
        Totals(**{**totals, "counted_at": moment}),
        **{name: tuple(sorted(values, key=_order)) for name, values in found.items()},
    )


def _order(entry: Any) -> list[tuple[bool, str | float]]:
    """Give a fixed order, so that equal numbers are equal values."""
    named = [value for value in (getattr(entry, each.name) for each in fields(entry)) if not isinstance(value, float)]
    return [(value is None, f"{value:012d}" if isinstance(value, int) else str(value)) for value in named]


def to_numbers(statistics: Statistics) -> dict[str, Any]:
    """Return what can be saved as JSON."""
    whole = asdict(statistics)
    whole["totals"]["counted_at"] = statistics.totals.counted_at.isoformat()
    return {"version": VERSION, **whole}


def from_numbers(numbers: Mapping[str, Any]) -> Statistics:
    """Read what ``to_numbers`` gave.

    Raises:
        LookupError: it was saved in another form, by another version of this code.
    """
    if numbers.get("version") != VERSION:
        raise LookupError(
            "What was counted last was saved by another version of this code: trigger the DAG compile_statistics."
        )
    entries = [("totals", numbers["totals"])]
    entries += [(section, entry) for section in _SECTIONS for entry in numbers[section]]
    return from_entries(entries, numbers["condition"])
