"""The corpus page as values, and how it is drawn. Nothing here asks the catalog or opens a file."""

from __future__ import annotations

import datetime
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from humannet_ops.domain.ledger import spoken_hours

TEMPLATES = Path(__file__).resolve().parent / "templates"
# A funnel bar is drawn in a box this wide; what is there but too short to see gets at least MINIMUM.
BAR_WIDTH, MINIMUM = 1000.0, 5.0
NONE = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Ledger:
    """How many went in and what became of them. It closes when nothing is pending."""

    kept: int
    rejected: int
    failed: int
    pending: int

    @property
    def total(self) -> int:
        """What went in."""
        return self.kept + self.rejected + self.failed + self.pending


@dataclass(frozen=True, slots=True)
class Exit:
    """What a stage let go for one reason."""

    outcome: str
    reason: str
    count: int
    hours: float


@dataclass(frozen=True, slots=True)
class FunnelRow:
    """One stage: what it kept and what left. ``unit`` is ``video`` or ``clip``."""

    stage: str
    unit: str
    kept: int
    kept_hours: float
    exits: tuple[Exit, ...] = ()

    @property
    def entered(self) -> int:
        """How many it judged."""
        return self.kept + sum(gone.count for gone in self.exits)

    @property
    def entered_hours(self) -> float:
        """Hours of video that it judged; what could not be read has none."""
        return self.kept_hours + sum(gone.hours for gone in self.exits)


@dataclass(frozen=True, slots=True)
class Picture:
    """An image: its address (``data:`` or relative), or none and the words that stand in its place."""

    address: str | None
    instead: str = "no picture"


@dataclass(frozen=True, slots=True)
class Score:
    """A measure of a clip. Without a unit it is a share, 0..1."""

    label: str
    value: float
    unit: str = ""


@dataclass(frozen=True, slots=True)
class ClipCard:
    """A kept clip. ``media`` is where a browser finds the file, if it can reach it."""

    clip_id: str
    title: str
    source: str
    viewpoint: str | None
    start_s: float
    end_s: float
    license: str | None
    description: str | None
    picture: Picture
    media: str | None
    scores: tuple[Score, ...] = ()

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class RejectedCard:
    """What one video lost for one reason: itself, or ``clips`` of its clips."""

    subject_id: str
    title: str
    source: str
    license: str | None
    stage: str
    reason: str
    meaning: str
    seconds: float
    clips: int | None
    picture: Picture
    decided: str | None = None


@dataclass(frozen=True, slots=True)
class FailedRow:
    """A subject that an error ended."""

    subject_id: str
    title: str
    source: str
    stage: str
    reason: str
    meaning: str
    error: str
    attempts: int
    retryable: bool


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model that had a part in what is shown."""

    release: str
    role: str
    license: str
    origin: str
    sha256: str
    stages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceRow:
    """Where video came from."""

    source: str
    videos: int
    kept: int
    hours: float


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that the page shows. ``more_*`` says how many are not shown."""

    made_at: datetime.datetime
    code_revision: str
    videos: Ledger
    clips: Ledger
    hours_in: float
    hours_kept: float
    sources: tuple[SourceRow, ...] = ()
    viewpoints: Mapping[str, int] = field(default_factory=dict)
    funnel: tuple[FunnelRow, ...] = ()
    kept: tuple[ClipCard, ...] = ()
    rejected: tuple[RejectedCard, ...] = ()
    failed: tuple[FailedRow, ...] = ()
    models: tuple[ModelRow, ...] = ()
    more_kept: int = 0
    more_rejected: int = 0
    more_failed: int = 0
    live: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a drawn bar, in units of ``BAR_WIDTH``."""

    kind: str
    x: float
    width: float
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A drawn stage: its segments, and how wide the flow into the next stage begins and ends."""

    row: FunnelRow
    segments: tuple[Segment, ...]
    flow_from: float
    flow_to: float


def render(page: Page) -> str:
    """Draw the page as one HTML document that needs nothing else (on a live page: but the pictures beside it)."""
    return draw("report.html.j2", page=page, bars=draw_funnel(page.funnel))


def draw(template: str, **values: Any) -> str:
    """Fill in a template of ``templates/``; text from outside is escaped and made fit for a page."""
    return _environment().get_template(template).render(**values)


GOES_ON = ("kept", "skipped")


def draw_funnel(rows: tuple[FunnelRow, ...]) -> list[Bar]:
    """Lay the funnel out: hours of video as width, relative to the stage that saw most."""
    widest = max((row.entered_hours for row in rows), default=0.0)
    drawn = [_segments(row, BAR_WIDTH / widest if widest else 0.0) for row in rows]
    entries = [sum(segment.width for segment in segments) for segments in drawn]
    return [
        Bar(row, segments, sum(s.width for s in segments if s.kind in GOES_ON), entry)
        for row, segments, entry in zip(rows, drawn, [*entries[1:], 0.0], strict=False)
    ]


def _segments(row: FunnelRow, scale: float) -> tuple[Segment, ...]:
    parts = [("kept", row.kept, row.kept_hours, "kept")]
    parts += [(gone.outcome, gone.count, gone.hours, gone.reason) for gone in row.exits]
    present = [part for part in parts if part[1]]
    widths = [max(MINIMUM, hours * scale) for _, _, hours, _ in present]
    # what was widened to be seen must not push the bar out of its box
    fit = min(1.0, BAR_WIDTH / sum(widths)) if widths else 1.0
    ends = accumulate(width * fit for width in widths)
    return tuple(
        Segment(kind, end - width * fit, width * fit, f"{label}: {counted(count, row.unit)}, {spoken_hours(hours)}")
        for (kind, count, hours, label), width, end in zip(present, widths, ends, strict=True)
    )


def counted(number: int, noun: str) -> str:
    """Say a number of things: ``1 clip``, ``1,204 clips``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def plain(text: object) -> str:
    """Make text from outside fit for one line: no line breaks, no control characters, nothing UTF-8 cannot hold."""
    return " ".join(str(_fit(str(text))).split()) or "untitled"


def _fit(value: object) -> object:
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "".join(sign if unicodedata.category(sign) not in ("Cc", "Cs") else _instead(sign) for sign in value)


def _instead(sign: str) -> str:
    return " " if sign.isspace() else "\N{REPLACEMENT CHARACTER}"


def cell(value: object) -> str:
    """Say what a table's cell holds; numbers with three digits, and thousands apart."""
    if value is None:
        return NONE
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return plain(value)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_fit,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {"plain": plain, "counted": counted, "hours": spoken_hours, "cell": cell}
    environment.filters.update(filters)
    return environment
