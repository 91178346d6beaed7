"""A chart of the statistics page: a figure for plotly.js, a sentence that says the same, and its numbers.

Colours are CSS variables of ``templates/statistics.css``; the page's script puts in what they are in light and in dark.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from humannet_ops.domain.ledger import spoken_hours
from humannet_ops.domain.statistics import Share, Statistics
from humannet_ops.web.page import NONE, plain

if TYPE_CHECKING:
    import plotly.graph_objects as go

VIEWPOINTS = (("ego", "first person (ego)", "var(--ego)"), ("exo", "third person (exo)", "var(--exo)"))
UNKNOWN = "unknown"
ORIGINS = (
    ("endpoint", "a vision model", "var(--c4)"),
    ("inherited", "the data set", "var(--ego)"),
    ("offline", "the packaged models", "var(--accent)"),
    ("pseudo", "rules", "var(--away)"),
)
HUES = 10
ROOT = "/"
# Bars that a chart shows; its table has all.
MOST_BARS = 20
Cell = str | int | float | None


SHARE_COLUMNS = ("Value", "Clips", "Hours", "Videos", "Share of clips", "Share of hours")


@dataclass(frozen=True, slots=True)
class Chart:
    """One figure.

    Attributes:
        key: Its id in the page.
        title: What it shows.
        said: The same in words, for whoever does not see it, and for whoever has no time.
        figure: For plotly.js, JSON; None where there is nothing to draw.
        height: Pixels.
        columns, rows: Its numbers.
        legend: What its colours mean, each with its words; empty where its title or its axis says it.
        least: Pixels that it is wide at least; on a narrower screen it is scrolled.
    """

    key: str
    title: str
    said: str
    figure: str | None
    height: int
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    legend: tuple[tuple[str, str], ...] = ()
    least: int = 0


def percent(part: float, whole: float) -> str:
    """Say a share in per cent."""
    if not whole:
        return NONE
    value = 100 * part / whole
    return f"{value:.0f} %" if value >= 9.95 or not value else f"{value:.1f} %" if value >= 0.1 else "< 0.1 %"


def short(value: float) -> str:
    """Say a number with three digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def share_rows(found: Iterable[Share], clips: int, hours: float) -> tuple[tuple[Cell, ...], ...]:
    """Return the table of a dimension's values, under ``SHARE_COLUMNS``."""
    return tuple(
        (
            share.value or UNKNOWN,
            share.clips,
            share.hours,
            share.videos,
            percent(share.clips, clips),
            percent(share.hours, hours),
        )
        for share in found
    )


def left(names: Iterable[str]) -> int:
    """Return the pixels that the longest of an axis's names takes; plotly.js's own measuring moves the axis about."""
    return 22 + round(6.7 * max(map(len, names), default=0))


def shares_layout(drawn: go.Figure, names: Iterable[str]) -> None:
    """Lay out bars that lie, with names beside them."""
    drawn.update_layout(margin={"l": left(names), "r": 8}, bargap=0.3)
    drawn.update_yaxes(showgrid=False, ticksuffix="  ", tickfont={"color": "var(--ink)"}, fixedrange=True)
    drawn.update_xaxes(fixedrange=True)


def bars(
    key: str,
    title: str,
    said: str,
    shown: Sequence[tuple[str, int, float | None]],
    colours: Sequence[str],
    columns: tuple[str, ...],
    rows: tuple[tuple[Cell, ...], ...],
    noun: str = "clips",
) -> Chart:
    """Draw counts as bars that lie, the first on top: ``shown`` are names, counts and hours."""
    import plotly.graph_objects as go

    if not shown:
        return Chart(key, title, said, None, 0, columns, rows)
    drawn = go.Figure(
        go.Bar(
            x=[count for _, count, _ in shown][::-1],
            y=[cut(name) for name, *_ in shown][::-1],
            orientation="h",
            marker={"color": list(colours)[::-1]},
            width=0.66,
            textposition="outside",
            cliponaxis=False,
            text=[f"{count:,}" for _, count, _ in shown][::-1],
            customdata=["" if hours is None else f", {spoken_hours(hours)}" for *_, hours in shown][::-1],
            hovertemplate=f"<b>%{{y}}</b><br>%{{x:,}} {noun}%{{customdata}}<extra></extra>",
        )
    )
    shares_layout(drawn, [cut(name) for name, *_ in shown])
    drawn.update_layout(margin={"t": 4, "b": 4, "r": 52})
    drawn.update_xaxes(visible=False)
    return Chart(key, title, said, to_json(drawn), 24 + 24 * len(shown), columns, rows)


def hues_of(statistics: Statistics, facet: str) -> dict[str, int]:
    """Give each class of a first level its colour: the same whatever is chosen, as long as the taxonomy stays."""
    paths = sorted({node.path for node in statistics.classes if node.facet == facet and node.level == 1})
    return {path: 1 + number % HUES for number, path in enumerate(paths)}


def cut(text: str, most: int = 26) -> str:
    """Return a name as an axis has room for it."""
    return outside(text if len(text) <= most else f"{text[: most - 1]}…")


def outside(text: object) -> str:
    """Make text from outside fit for plotly.js, which reads some HTML in labels."""
    return escape(plain(text), quote=False)


def to_json(drawn: go.Figure) -> str:
    """Return a figure without plotly's own theme, fit to stand in a page."""
    drawn.update_layout(template="none")
    found = drawn.to_plotly_json()
    found["layout"].pop("template", None)
    return json.dumps(found, separators=(",", ":")).replace("<", "\\u003c")
