"""Reading the catalog: the named questions of ``sql/queries/reading.sql`` and a person's own SQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg2

from humannet_ops.catalog.connection import CatalogError, Row, connect, queries


def rows(name: str, **parameters: Any) -> list[Row]:
    """Run a named query and return its rows.

    Args:
        name: As in ``sql/queries/reading.sql``.
        parameters: The query's ``:parameters``.
    """
    with connect() as link:
        return [dict(row) for row in getattr(queries(), name)(link, **parameters)]


def row(name: str, **parameters: Any) -> Row | None:
    """Run a named query that gives one row or none."""
    with connect() as link:
        found = getattr(queries(), name)(link, **parameters)
        return dict(found) if found is not None else None


def ask(statement: str) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
    """Run a person's SQL in a read-only transaction, as a role that may only read, and stream the answer.

    Returns:
        The column names and an iterator over the rows.

    Raises:
        CatalogError: it is not one statement, or Postgres refused it; then the message is Postgres' own.
    """
    stream = _ask(_single(statement))
    return next(stream), stream


def _single(statement: str) -> str:
    import sqlparse

    found = [part for part in sqlparse.split(statement) if sqlparse.format(part, strip_comments=True).strip("; \n\t")]
    if len(found) != 1:
        number = "no statement" if not found else f"{len(found)} statements"
        raise CatalogError(f"That is {number}: give exactly one, so that no answer is lost.")
    return str(found[0])


def _ask(statement: str) -> Iterator[Any]:
    with connect(read_only=True) as link:
        link.set_session(readonly=True)
        with link.cursor(cursor_factory=psycopg2.extensions.cursor) as cursor:
            try:
                cursor.execute(statement)
            except psycopg2.Error as error:
                raise CatalogError(str(error).strip()) from error
            yield [column.name for column in cursor.description or ()]
            if cursor.description:
                yield from cursor


def forget_failures(*, stage: str | None, video_id: str | None, reason: str | None) -> int:
    """Make failed subjects due again with all their attempts; return how many."""
    with connect() as link, link:
        return int(queries().forget_failures(link, stage=stage, video_id=video_id, reason=reason))


def artifact_uris() -> Iterator[str]:
    """Stream the address of every artifact that an outcome names."""
    with connect() as link, link.cursor("artifact_uris", cursor_factory=psycopg2.extensions.cursor) as cursor:
        cursor.execute(queries().artifact_uris.sql)
        for found in cursor:
            yield found[0]
