"""Measures each default model and formula of annotation against truth, where there is truth, and prints one table.

    .venv/bin/python tests/benchmarks/annotation.py [people|pose|hands|camera|labels ...]

Each part is a module beside this one with ``measure() -> list[Measure]``. Intervals are 95 %: Wilson's for shares, a
bootstrap over cases for means. It is no test: it takes minutes, and some parts need ../shared/corpus.
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path

from measure import Measure
from rich.console import Console
from rich.table import Table

PARTS = ("people", "pose", "hands", "camera", "labels")


def row(measured: Measure) -> tuple[str, ...]:
    """Return a measure as the table's cells."""
    bounds = "" if measured.low is None else f"{measured.low:.3g} to {measured.high:.3g}"
    return (measured.name, f"{measured.value:.3g}", measured.unit, str(measured.count), bounds, measured.truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="only these parts; all if none is named")
    asked = parser.parse_args()
    sys.path.append(str(Path(__file__).parent.parent))  # what tests and benchmarks share
    table = Table(title="Annotation against truth", title_justify="left")
    for name in ("what", "measured", "unit", "cases", "95 %", "compared with"):
        table.add_column(name, justify="right" if name in ("measured", "cases") else "left")
    for part in asked.parts or PARTS:
        started = time.perf_counter()
        found = import_module(f"annotation_{part}").measure()
        print(f"{part}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
        table.add_section()
        for measured in found:
            table.add_row(*row(measured))
        if not found:
            table.add_row(part, "-", "", "0", "", "not measured: ../shared/corpus is absent")
    Console(width=None if sys.stdout.isatty() else 170).print(table)


if __name__ == "__main__":
    main()
