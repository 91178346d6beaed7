"""What it is worth that cheap tests come first: the cost of an hour of video in this and in other orders of the stages.

    .venv/bin/python tests/benchmarks/early_exit.py                          # with infra/rates.example.json
    .venv/bin/python tests/benchmarks/early_exit.py --rates rates.json       # of `humannet plan --save-rates`

From measured rates (seconds of each stage an hour of footage that it met, and which share of it went on) the other
orders are reckoned: a stage costs as much an hour wherever it stands, and a test lets the same share through. So equal
footage that a later test would refuse too is counted as refused by the first.
"""

from __future__ import annotations

import argparse
import sys
from itertools import pairwise
from pathlib import Path

from report import Report

from humannet_ops.fleet import rates
from humannet_ops.settings import REPOSITORY

# Annotation meets what curation kept, in every order.
CURATION = ("deduplicate_exact", "analyse", "find_copies", "deduplicate_near", "detect", "decide", "cut")
ORDERS = {
    "as it is": CURATION,
    "near duplicates after detection": (
        "deduplicate_exact", "analyse", "detect", "find_copies", "deduplicate_near", "decide", "cut",
    ),
    "duplicates last": ("analyse", "detect", "decide", "deduplicate_exact", "find_copies", "deduplicate_near", "cut"),
    "encoding first, as the paper does": ("cut", *CURATION[:-1]),
}  # fmt: skip


def main() -> int:
    """Reckon as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=Path, default=REPOSITORY / "infra" / "rates.example.json")
    found = rates.load(parser.parse_args().rates)
    stages = {rate.stage: rate for rate in found.stages}
    names = [rate.stage for rate in found.stages if rate.stage != "fetch"]
    # of an hour of footage: what a stage costs, and what of it goes on
    cost = {name: stages[name].work_s / stages[name].planned_s * 3600 for name in names}
    goes_on = {name: stages[after].planned_s / stages[name].planned_s for name, after in pairwise(names)}
    annotation = [name for name in names if name not in CURATION]
    kept = sum(stages[name].work_s for name in annotation)

    report = Report("early_exit")
    for name in CURATION:
        report.add("cost of an hour that is met", [cost[name]], "s", at={"stage": name})
        report.add("refused", [1 - goes_on[name]], "share", at={"stage": name})
    base = stages[names[0]].planned_s / 3600
    totals = {}
    for order, sequence in ORDERS.items():
        hours, total = base, kept
        for name in sequence:
            total += hours * cost[name]
            hours *= goes_on[name]
        totals[order] = total
    totals["no early exit: every stage meets everything"] = base * sum(cost.values())
    for order, total in totals.items():
        report.add("an hour of video", [total], "s", at={"order": order})
        report.add("to this order", [total / totals["as it is"]], "ratio", at={"order": order})
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
