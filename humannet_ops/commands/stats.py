"""``humannet stats``: what the corpus counts, and where it leans."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from humannet_ops.commands.output import Format, console, one_line_errors, print_rows

if TYPE_CHECKING:
    from humannet_ops.domain.balance import Balance
    from humannet_ops.domain.statistics import Statistics

_SUMMARY = ("count", "mean", "variance", "std", "p50", "p99")
# Classes of one aspect that a table has; csv and json give all that are counted.
_MOST = 12


def stats(
    where: Annotated[
        str | None,
        typer.Option("--where", metavar="SQL", help="Only kept clips that meet this condition on v_corpus."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write the page with charts and bias sheet there.")
    ] = None,
    bias: Annotated[bool, typer.Option("--bias", help="Print what is over- and under-represented instead.")] = False,
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference",
            metavar="FILE",
            help="YAML of the shares that there should be, `viewpoint: {ego: 0.5, exo: 0.5}`; uniform where none.",
        ),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print the numbers.")] = Format.TABLE,
) -> None:
    """Count the corpus: hours, clips, objects, tasks, scores, labels, shares; and where it leans.

    A condition is SQL over the columns of `v_corpus` (sql/README.md): those of `v_clips`, and a clip's labels (`l1`,
    `l2`, `l3`, `scene_l1`, `scene_l2`, `source_type`, `task_structure`, `interactions`), `language`, `resolution`,
    `kind`, `crawl_day` and more. It is asked read-only.
    """
    from humannet_ops.catalog import statistics
    from humannet_ops.domain.balance import balances, parse_reference

    with one_line_errors():
        wanted = parse_reference(_read(reference)) if reference else None
        found = statistics.count(where)
        sheet = balances(found, wanted)
        if html is not None:
            _write_page(html, found, wanted)
        elif form is not Format.TABLE:
            print_rows(["section", "about", "name", "number"], _flat(found, sheet, bias=bias), form)
        elif bias:
            _print_bias(sheet)
        else:
            _print(found)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise LookupError(f"{path} cannot be read: {error.strerror}. Name a YAML file of shares.") from error


def _write_page(path: Path, found: Statistics, reference: dict[str, dict[str, float]] | None) -> None:
    from humannet_ops.stages.execution import code_revision
    from humannet_ops.web import statistics

    try:
        statistics.write(path, found, code_revision(), reference)
    except OSError as error:
        raise LookupError(f"{path} cannot be written: {error.strerror}. Name another file.") from error
    console.print(_totals(found), highlight=False)
    console.print(f"Page: {path.resolve().as_uri()}", highlight=False, soft_wrap=True)


def _totals(found: Statistics) -> str:
    from humannet_ops.domain.ledger import spoken_hours
    from humannet_ops.web.page import counted

    totals = found.totals
    return ", ".join(
        (
            spoken_hours(totals.hours),
            counted(totals.clips, "clip"),
            counted(totals.videos, "video"),
            counted(totals.objects, "annotated object"),
            counted(totals.task_instances, "task instance"),
        )
    )


def _print(found: Statistics) -> None:
    from humannet_ops.domain.statistics import MEASURES
    from humannet_ops.web.charts.chart import percent

    console.print(_totals(found), highlight=False)
    if not found.totals.clips:
        console.print("No clip is kept" + (" that meets the condition." if found.condition else " yet."))
        return
    names = {node.path: node.name for node in found.at("motion", 1)}
    _table(
        "Scores",
        ("measure", "motion", *_SUMMARY),
        [
            (
                f"{words}{', ' if unit else ''}{unit}",
                names.get(s.value or "", "not labelled") if s.by else "all",
                *(getattr(s, name) for name in _SUMMARY),
            )
            for measure, words, unit in MEASURES
            for s in sorted(
                (s for s in found.summaries if s.measure == measure and s.by in (None, "l1")),
                key=lambda s: (s.by is not None, -s.count),
            )
        ],
    )
    for dimension in ("viewpoint", "source"):
        _table(
            f"By {dimension}",
            (dimension, "clips", "hours", "videos", "share of hours"),
            [
                (s.value, s.clips, s.hours, s.videos, percent(s.hours, found.totals.hours))
                for s in found.of(dimension)[:_MOST]
            ],
        )
    for facet, level, title in (
        ("motion", 2, "Motion, second level"),
        ("scene", 1, "Scene"),
        ("interaction", 1, "Interactions"),
    ):
        nodes = [node for node in found.at(facet, level) if node.clips]
        _table(
            title, ("class", "clips", "hours", "videos"), [(n.path, n.clips, n.hours, n.videos) for n in nodes[:_MOST]]
        )
    _table(
        "Labels",
        ("facet", "judged", "abstained", "share abstained", "mean confidence", "p50 confidence"),
        [
            (f.facet, f.judged, f.abstained, percent(f.abstained, f.judged), f.mean_confidence, f.p50_confidence)
            for f in found.facets
        ],
    )
    if (robot := found.robot()) and robot.judged:
        console.print(
            f"\nRobot-ready: {robot.ready:,} of {robot.judged:,} clips that were judged "
            f"({percent(robot.ready, robot.judged)}), {percent(robot.ready, robot.clips)} of all",
            highlight=False,
        )


def _print_bias(sheet: list[Balance]) -> None:
    from humannet_ops.web.charts.chart import percent, short

    for balance in sheet:
        if not balance.known:
            continue
        mixed = f", as mixed as {short(balance.effective)} of {balance.classes}" if balance.effective else ""
        _table(
            f"{balance.aspect.title} ({balance.reference}{mixed}; unknown of {balance.unknown:,} clips)",
            ("class", "clips", "videos", "share", "95 % interval", "expected", "ratio", "verdict"),
            [
                (
                    w.value,
                    w.clips,
                    w.videos,
                    percent(w.share, 1),
                    f"{percent(w.low, 1)} to {percent(w.high, 1)}",
                    None if w.expected is None else percent(w.expected, 1),
                    w.ratio,
                    w.verdict,
                )
                for w in balance.weights[:_MOST]
            ],
        )
        if balance.aspect.facet and balance.empty:
            console.print(
                f"No clip in {len(balance.empty)} of {balance.classes}: {', '.join(balance.empty)}",
                style="dim",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
    console.print(
        "\nThe interval's sample is the effective number of videos. Labels are made by models; who is in the pictures "
        "is not inferred. The page (--html) says more about what these numbers cannot tell.",
        style="dim",
        highlight=False,
        soft_wrap=True,
    )


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    if rows:
        console.print(f"\n[bold]{title}[/]", highlight=False)
        print_rows(list(columns), rows, Format.TABLE)


def _flat(found: Statistics, sheet: list[Balance], *, bias: bool) -> Iterator[tuple[Any, ...]]:
    """Give every number in a row of its own: its section, what it is about, its name, itself."""
    from dataclasses import asdict

    for balance in sheet:
        key = balance.aspect.key
        for name in ("reference", "classes", "effective", "known", "unknown", "top_share"):
            yield "balance", key, name, getattr(balance, name)
        for weight in balance.weights:
            for name, number in asdict(weight).items():
                if name not in ("value", "name"):
                    yield "balance", f"{key}/{weight.value}", name, number
        for empty in balance.empty:
            yield "balance", f"{key}/{empty}", "clips", 0
    if bias:
        return
    for name, number in asdict(found.totals).items():
        yield "totals", "", name, number
    yield "totals", "", "objects", found.totals.objects
    for section, keys in _KEYS.items():
        for entry in getattr(found, section):
            values = asdict(entry)
            about = "/".join(str(value) for key in keys if (value := values.pop(key)) is not None)
            for name, number in values.items():
                yield section, about, name, number


# What an entry of a section is about.
_KEYS = {
    "summaries": ("measure", "by", "value"),
    "bins": ("measure", "viewpoint", "bin"),
    "dimensions": ("dimension",),
    "shares": ("dimension", "value"),
    "classes": ("facet", "path"),
    "facets": ("facet",),
    "origins": ("facet", "origin"),
    "objects": ("label",),
    "robots": ("by", "value"),
    "coverage": ("stage", "outcome", "reason"),
}
