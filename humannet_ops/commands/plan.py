"""``humannet plan``: what a number of hours takes by a deadline, and what stands in the way."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from humannet_ops.commands.output import Format, console, one_line_errors, print_rows

if TYPE_CHECKING:
    from humannet_ops.fleet.arithmetic import Plan
    from humannet_ops.fleet.limits import Prices
    from humannet_ops.fleet.rates import Rates
    from humannet_ops.fleet.simulation import Simulated

_UNITS = {"m": 60.0, "h": 3600.0, "d": 86400.0}
# infra/cluster.env and docker-compose.yml, where nobody sets others
_PARALLELISM, _CONNECTIONS = 256, 300
# What to do about a fleet that is late on the clock, by whether the arithmetic thought that it would do.
_CURES = {
    False: "pass the first wall",
    True: "a limit that is nearly full holds tasks up before it is met; pass the first wall, or add workers",
}


def plan(
    hours: Annotated[float, typer.Option(metavar="HOURS", help="Hours of video that come in, as in 1e6.")],
    deadline: Annotated[str, typer.Option(metavar="TIME", help="When all of it must be through: 30d, 12h.")],
    prices: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Your prices and limits; by default the examples of infra/prices.toml."),
    ] = None,
    rates: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Rates of --save-rates; by default the catalog is asked.")
    ] = None,
    save_rates: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the rates that were read there, as JSON.")
    ] = None,
    video_seconds: Annotated[
        float | None, typer.Option(metavar="S", help="Mean length of a video, where it is not as measured.")
    ] = None,
    crawl_days: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Crawl days that the hours come in; by default as many as are needed."),
    ] = None,
    gpu_speedup: Annotated[
        float | None,
        typer.Option(metavar="X", help="How much faster a GPU slot is than what was measured; an assumption."),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Another value of a limit, as in shard_seconds=3600. May be repeated."),
    ] = None,
    simulate: Annotated[bool, typer.Option(help="Let the fleet run on a clock, and compare.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Reckon workers, GPUs, database, store, tasks and money for so many hours of video, and find the first wall.

    The rates are measured: seconds of each stage, rows, objects and bytes of an hour of video in this catalog. The
    limits and their sources are in `humannet_ops/fleet/limits.py`, the prices in `infra/prices.toml` are examples.
    docs/fleet.md says how it is reckoned.
    """
    from humannet_ops.fleet import arithmetic, limits, simulation
    from humannet_ops.fleet import rates as measured

    with one_line_errors():
        if not 0 < hours < math.inf:
            raise LookupError(f"--hours must be above zero, not {hours:g}")
        if video_seconds is not None and not 0 < video_seconds < math.inf:
            raise LookupError(f"--video-seconds must be above zero, not {video_seconds:g}")
        order = arithmetic.Order(hours, _seconds(deadline), crawl_days)
        given = _limits(limit or [])
        if gpu_speedup is not None:
            given["gpu_speedup"] = gpu_speedup
        paid, bounds = limits.load(prices or limits.PRICES, given)
        found = measured.load(rates) if rates else measured.measure(_machine())
        if save_rates:
            measured.save(found, save_rates)
        reckoned = found if video_seconds is None else found.with_videos_of(video_seconds)
        made = arithmetic.plan(reckoned, order, bounds, paid)
        tried = simulation.simulate(made, bounds) if simulate else None
        if as_json:
            _print_json(made, tried, bounds, paid)
        else:
            _print_rates(found, bounds, video_seconds)
            _print(made, tried, paid)


def _seconds(written: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([mhd])", written.strip())
    if not found or not float(found[1]):
        raise LookupError(f"--deadline is a number with m, h or d, as in 30d or 12h, not {written!r}")
    return float(found[1]) * _UNITS[found[2]]


def _limits(written: list[str]) -> dict[str, float]:
    stated = {}
    for entry in written:
        name, _, value = entry.partition("=")
        try:
            stated[name.strip()] = float(value)
        except ValueError:
            raise LookupError(f"--limit is NAME=NUMBER, as in shard_seconds=3600, not {entry!r}") from None
    return stated


def _machine() -> str:
    """Return this machine in words; the catalog may be another's, and whoever saves rates may correct it."""
    import os
    import platform

    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors (where the rates were read)"


def _print_json(made: Plan, tried: Simulated | None, bounds: dict[str, float], paid: Prices) -> None:
    import json
    from dataclasses import asdict

    walls = [{**asdict(wall), "utilisation": wall.utilisation} for wall in made.walls]
    simulated = None if tried is None else {**asdict(tried), "ratio": tried.ratio}
    document = {
        **asdict(made),
        "walls": walls,
        "feasible": made.feasible,
        "first_wall": made.first_wall.name,
        "currency": paid.currency,
        "limits": bounds,
        "simulated": simulated,
    }
    print(json.dumps(document, indent=1))


def _print(made: Plan, tried: Simulated | None, paid: Prices) -> None:
    _table(
        "Stages",
        ("stage", "queue", "seconds an hour of video", "shards a crawl day", "minutes a shard", "slots"),
        [
            (s.stage, s.queue, s.work_s / made.order.hours, f"{s.shards:,}", s.shard_s / 60, s.slots)
            for s in made.stages
        ],
    )
    _table(
        "Workers",
        ("queue", "slots", "workers", "vCPUs", "GPUs"),
        [(p.queue, f"{p.slots:,}", f"{p.workers:,}", f"{p.vcpus:,.0f}", f"{p.gpus:,.0f}") for p in made.pools],
    )
    days, rows = made.order.deadline_s / _UNITS["d"], sum(made.rows.values())
    _table(
        "Everything else",
        ("what", "how much"),
        [
            ("crawl days", f"{made.crawl_days:,}"),
            ("Airflow task instances a day", f"{made.tasks / days:,.0f}"),
            (
                "catalog",
                f"{_bytes(made.database_bytes)}, {rows:,.0f} rows, {rows / made.order.deadline_s:,.0f} a second",
            ),
            ("store", f"{_bytes(made.store_bytes)}, {made.objects:,.0f} objects"),
            ("store requests", f"{made.puts:,.0f} PUT, at most {made.gets:,.0f} GET and HEAD"),
            *((f"money: {name}", f"{cost:,.0f} {paid.currency}") for name, cost in made.costs.items()),
            ("money", f"{sum(made.costs.values()):,.0f} {paid.currency}"),
        ],
    )
    _say(f"Prices: {paid.source}, {paid.date}.", style="dim")
    _table(
        "Walls",
        ("wall", "used", "limit", "unit", "share", "met at hours", "shortest deadline"),
        [
            (
                wall.name,
                wall.used,
                wall.limit,
                wall.unit,
                f"{wall.utilisation:.0%}",
                f"{wall.hours:,.0f}",
                "-" if wall.deadline_s is None else _spoken(wall.deadline_s),
            )
            for wall in made.walls
        ],
    )
    console.print()
    _say(_verdict(made))
    for setting in _settings(made):
        _say(setting)
    if tried is not None:
        _say(_clock(made, tried))


def _print_rates(found: Rates, bounds: dict[str, float], video_seconds: float | None) -> None:
    _say(
        f"Rates: {found.hours * 3600:,.0f} s of video, {found.videos:,.0f} videos of {found.video_s:,.0f} s, "
        f"measured on {found.measured_on}, {found.machine}."
    )
    if video_seconds is not None:
        _say(f"Reckoned with videos of {video_seconds:,.0f} s: as much work an hour, other numbers of rows.")
    _say(
        f"ASSUMPTION: a GPU slot is {bounds['gpu_speedup']:g} times as fast as what was measured (--gpu-speedup).",
        style="yellow",
    )
    if found.hours < 1:
        _say("So little video says the order of things, not more: measure on a catalog of yours.", style="yellow")
    if found.idle:
        _say(f"Reckoned as costing nothing, because all was skipped: {', '.join(found.idle)}.", style="yellow")
    if found.missing:
        _say(f"Not reckoned, because nothing was measured: {', '.join(found.missing)}.", style="yellow")


def _verdict(made: Plan) -> str:
    wall = made.first_wall
    if made.feasible:
        where = f"at {wall.hours:,.0f} hours by this deadline"
        if wall.deadline_s is not None:
            where += f", or with these hours in {_spoken(wall.deadline_s)}"
        return (
            f"No wall is met. The first is {wall.name}, {wall.utilisation:.0%} used: {where}. "
            f"It passes with {wall.passes}."
        )
    over = [other.name for other in made.walls[1:] if other.utilisation > 1]
    behind = f" Behind it: {', '.join(over)}." if over else ""
    return (
        f"This cannot be done so: the first wall is {wall.name}, {wall.utilisation:.0%} of its limit, met at "
        f"{wall.hours:,.0f} hours. It passes with {wall.passes}.{behind}"
    )


def _settings(made: Plan) -> list[str]:
    """Name the settings that would bound the fleet before its slots do."""
    said = []
    if made.slots > _PARALLELISM:
        said.append(
            f"Set PARALLELISM={made.slots} or more (infra/cluster.env: {_PARALLELISM}), and the pools to the slots."
        )
    if made.slots > _CONNECTIONS:
        said.append(
            f"A running task has a connection, the catalog takes {_CONNECTIONS}: PgBouncer before it "
            "(infra/helm/pgbouncer.ini)."
        )
    return said


def _clock(made: Plan, tried: Simulated) -> str:
    scaled = []
    if tried.days < made.crawl_days:
        scaled.append(f"{tried.days} of {made.crawl_days:,} crawl days were followed")
    if tried.group > 1:
        scaled.append(f"up to {tried.group} shards as one")
    how = f" ({', '.join(scaled)})" if scaled else ""
    late = "" if tried.makespan_s <= made.order.deadline_s else f", too late: {_CURES[made.feasible]}"
    return (
        f"On a clock with these limits it takes {_spoken(tried.makespan_s)}{late}. By the arithmetic it is "
        f"{_spoken(tried.expected_s)} at {'most' if made.feasible else 'least'}, ratio {tried.ratio:.2f}{how}."
    )


def _spoken(seconds: float) -> str:
    for unit, size in (("d", _UNITS["d"]), ("h", _UNITS["h"]), ("min", _UNITS["m"])):
        if seconds >= size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.0f} s"


def _bytes(count: float) -> str:
    from rich.filesize import decimal

    return decimal(round(count))


def _say(text: str, **options: Any) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True, **options)


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    console.print(f"\n[bold]{title}[/]", highlight=False)
    print_rows(list(columns), rows, Format.TABLE)
