"""How every command prints: tables, CSV, JSON, and errors on one line."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from itertools import islice
from math import isfinite
from typing import Any

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

console = Console()


class Format(StrEnum):
    """How an answer is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn errors that people cause and can cure into one line and exit status 1."""
    from humannet_ops.catalog.connection import CatalogError
    from humannet_ops.detectors.lock import ModelError
    from humannet_ops.domain.outcome import DeviceLost
    from humannet_ops.domain.policy import PolicyError
    from humannet_ops.sources.config import SourceError
    from humannet_ops.storage import StoreError

    try:
        yield
    except (CatalogError, DeviceLost, ModelError, PolicyError, SourceError, StoreError, LookupError) as error:
        message = error.args[0] if error.args else error
        print(f"humannet: {message}", file=sys.stderr)
        raise typer.Exit(1) from error


# A table shows so many rows; csv and json give all.
_MOST_ROWS = 1000
# Cells of up to so many characters are never broken, so that ids and codes can be copied; longer ones get at least the
# other width.
_WHOLE, _BROKEN = 24, 16
_GAP = 3


def print_rows(columns: list[str], rows: Iterable[Iterable[Any]], form: Format) -> None:
    """Print rows as they come; a table is cut after a thousand."""
    if form is Format.CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    elif form is Format.JSON:
        # an array that is written as it is read
        sys.stdout.write("[")
        for number, row in enumerate(rows):
            entry = json.dumps(dict(zip(columns, row, strict=True)), default=str, ensure_ascii=False)
            sys.stdout.write((",\n " if number else "\n ") + entry)
        sys.stdout.write("\n]\n")
    else:
        stream = iter(rows)
        _print_table(columns, [[_text(value) for value in row] for row in islice(stream, _MOST_ROWS)])
        if next(stream, None) is not None:
            console.print(f"(the first {_MOST_ROWS:,} rows; --format csv or json gives all)", style="dim")


def _print_table(columns: list[str], rows: list[list[str]]) -> None:
    """Print a table, or one block a row where the terminal is too narrow for it. Nothing is cut off."""
    widths = [max(cell_len(line) for text in texts for line in text.split("\n")) for texts in zip(columns, *rows)]  # noqa: B905
    # what is no terminal has no width: rows stay in one line each
    room = console.width if console.is_terminal else sum(widths) + _GAP * len(widths)
    whole = [column.endswith("_id") or width <= _WHOLE for column, width in zip(columns, widths, strict=True)]
    needed = [width if kept else _BROKEN for width, kept in zip(widths, whole, strict=True)]
    if rows and sum(needed) + _GAP * (len(columns) - 1) > room:
        _print_blocks(columns, rows)
        return
    table = Table(header_style="bold", show_edge=False, pad_edge=False)
    for column, kept in zip(columns, whole, strict=True):
        table.add_column(column, overflow="fold", no_wrap=kept)
    for row in rows:
        table.add_row(*(Text(text) for text in row))
    (console if console.is_terminal else Console(width=room)).print(table)


def _print_blocks(columns: list[str], rows: list[list[str]]) -> None:
    name_width = max(map(cell_len, columns))
    for number, row in enumerate(rows, start=1):
        console.print(f"── {number} ──", style="dim")
        for column, text in zip(columns, row, strict=True):
            console.print(f"{column:<{name_width}}  {text}", highlight=False, markup=False, soft_wrap=True)


def cell(value: Any) -> str:
    """Return a value as a table shows it, for a console that reads markup."""
    return escape(_text(value))


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, (dict, list)):
        return json.dumps(_rounded(value), default=str, ensure_ascii=False)
    return str(value)


def _number(value: float) -> str:
    """Give four digits, and never an exponent for what is large."""
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:.1f}"


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return float(_number(value)) if isinstance(value, float) and isfinite(value) else value
