"""A person's condition on clips: SQL over the columns of ``v_corpus``, as ``--where`` takes it."""

from __future__ import annotations

from typing import Any

from psycopg2.extensions import adapt

from humannet_ops.catalog import reading
from humannet_ops.catalog.connection import CatalogError, queries


def ask(name: str, condition: str, **values: str | int) -> list[tuple[Any, ...]]:
    """Run a named query that has a ``:condition``, like ``humannet sql``: read-only, as the role that may only read.

    Args:
        name: Of the query.
        condition: Such as ``viewpoint = 'ego'``.
        values: The query's other parameters.

    Raises:
        CatalogError: the catalog does not answer, or Postgres refused the condition; then with Postgres' own words.
    """
    try:
        if not condition.strip():
            raise CatalogError("it is empty")
        # by itself first, so that what Postgres says of it is about it
        list(reading.ask(_filled("check_condition", condition))[1])
        _, rows = reading.ask(_filled(name, condition, **values))
        return list(rows)
    except CatalogError as error:
        raise CatalogError(
            f"--where cannot be used: {error}\nIt is a condition over the columns of v_corpus (sql/README.md), "
            "such as \"viewpoint = 'ego' and duration_s > 5\"."
        ) from error


def _filled(name: str, condition: str, **values: str | int) -> str:
    """Put a condition into a named query, on lines of its own: a remark in it ends with its line."""
    text: str = getattr(queries(), name).sql
    literals = {key: adapt(value).getquoted().decode() for key, value in values.items()}
    return text % {"condition": f"\n{condition}\n", **literals}
