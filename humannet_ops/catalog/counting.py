"""Keeping the funnel's totals: sql/schema.sql says how, tests/catalog/test_counting.py that they are always right."""

from __future__ import annotations

from humannet_ops.catalog.connection import Connection, queries, transaction

# So many marks are folded in one transaction: some hundred milliseconds, and a bound on what a killed one repeats.
_MOST = 5000


def fold(link: Connection) -> int:
    """Count the videos that changed since they were counted, a part at a time.

    Whoever finds another at it leaves it to them. Until it is done, asking for the funnel counts what is left over.

    Returns:
        How many marks were taken.
    """
    folded = 0
    while True:
        with transaction(link):
            taken = int(queries().fold_tallies(link, most=_MOST))
        folded += taken
        if taken < _MOST:
            return folded
