"""Counting the corpus, and keeping what was counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg2.extras import Json

from humannet_ops.catalog import reading
from humannet_ops.catalog.connection import CatalogError, connect, queries, transaction
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
    try:
        if not condition.strip():
            raise CatalogError("it is empty")
        # by itself first, so that what Postgres says of it is about it
        list(reading.ask(_filled("check_condition", condition))[1])
        _, rows = reading.ask(_filled("corpus_statistics", condition))
        entries: Any = list(rows)
    except CatalogError as error:
        raise CatalogError(
            f"--where cannot be used: {error}\nIt is a condition over the columns of v_corpus (sql/README.md), "
            "such as \"viewpoint = 'ego' and duration_s > 5\"."
        ) from error
    return values.from_entries(entries, condition)


def _filled(name: str, condition: str) -> str:
    """Put a condition into a named query, on lines of its own: a remark in it ends with its line."""
    text: str = getattr(queries(), name).sql
    return text % {"condition": f"\n{condition}\n"}


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
