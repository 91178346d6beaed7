"""Counting the corpus, and keeping what was counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg2.extras import Json

from humannet_ops.catalog import conditions, reading
from humannet_ops.catalog.connection import connect, queries, transaction
from humannet_ops.domain import statistics as values
from humannet_ops.domain.statistics import Statistics

if TYPE_CHECKING:
    from humannet_ops.catalog.recording import TaskIdentity


def count(condition: str | None = None) -> Statistics:
    """Count all kept clips, or those of them that meet a condition.

    Args:
        condition: A person's SQL over the columns of ``v_corpus``, such as ``viewpoint = 'ego'``. It is asked like
            ``humannet sql``: in a read-only transaction, as the role that may only read.

    Raises:
        CatalogError: the catalog does not answer, or Postgres refused the condition; then with Postgres' own words.
    """
    if condition is None:
        with connect() as link, transaction(link):
            link.set_session(readonly=True)
            found = queries().corpus_statistics(link, condition=True)
            return values.from_entries((row["section"], row["entry"]) for row in found)
    entries: Any = conditions.ask("corpus_statistics", condition)
    return values.from_entries(entries, condition)


def save(statistics: Statistics, identity: TaskIdentity, code_revision: str, partition_key: str | None) -> None:
    """Keep the numbers of the whole corpus, for the page that shows the latest."""
    with connect() as link, transaction(link):
        queries().save_statistics(
            link,
            begun_at=statistics.totals.counted_at,
            partition_key=partition_key,
            dag_id=identity.dag_id,
            run_id=identity.run_id,
            code_revision=code_revision,
            numbers=Json(values.to_numbers(statistics)),
        )


def latest() -> tuple[Statistics, str] | None:
    """Return what was counted last, and the code that counted it; None before the first time.

    Raises:
        LookupError: it was saved by another version of this code.
    """
    row = reading.row("latest_statistics")
    return (values.from_numbers(row["numbers"]), row["code_revision"]) if row else None


def counts_already(partition_key: str) -> bool:
    """Say whether the corpus was counted after everything that was done about a crawl day had been recorded."""
    with connect() as link:
        return bool(queries().counted_already(link, partition_key=partition_key))
