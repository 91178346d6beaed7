"""How every command prints: tables, CSV, JSON, and errors on one line."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from itertools import islice
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

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
    from humannet_ops.domain.policy import PolicyError
    from humannet_ops.sources.config import SourceError
    from humannet_ops.storage import StoreError

    try:
        yield
    except (CatalogError, ModelError, PolicyError, SourceError, StoreError, LookupError) as error:
        message = error.args[0] if error.args else error
        print(f"humannet: {message}", file=sys.stderr)
        raise typer.Exit(1) from error


# What people copy: kept in one piece where the terminal is wide enough for it alone.
_WHOLE = ("role", "model", "stage", "source", "channel", "keyword")


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
        table = Table(header_style="bold", show_edge=False, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold", no_wrap=column.endswith("_id") or column in _WHOLE)
        stream = iter(rows)
        for row in islice(stream, 1000):
            table.add_row(*(cell(value) for value in row))
        console.print(table)
        if next(stream, None) is not None:
            console.print("(the first 1,000 rows; --format csv or json gives all)", style="dim")


def cell(value: Any) -> str:
    """Return a value as a table shows it."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (dict, list)):
        return json.dumps(value, default=str)
    return str(value).replace("[", "\\[")
