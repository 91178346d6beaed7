"""Reading the catalog for people: the named questions of ``sql/queries`` and a person's own SQL.

A person, or a page, is told at once that the catalog is down, where a task waits for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import psycopg2.errors
import psycopg2.extensions

from humannet_ops.catalog.connection import CatalogError, Row, connect, queries


def rows(name: str, **parameters: Any) -> list[Row]:
    """Run a named query and return its rows.

    Args:
        name: As in ``sql/queries/reading.sql``.
        parameters: The query's ``:parameters``.
    """
    with connect(patient=False) as link:
        return [dict(row) for row in getattr(queries(), name)(link, **parameters)]


def row(name: str, **parameters: Any) -> Row | None:
    """Run a named query that gives one row or none."""
    with connect(patient=False) as link:
        found = getattr(queries(), name)(link, **parameters)
        return dict(found) if found is not None else None


def ask(statement: str) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
    """Run a person's SQL in a read-only transaction, as a role that may only read, and stream the answer.

    Returns:
        The column names and an iterator over the rows.

    Raises:
        CatalogError: it is not one statement that asks, or Postgres refused it; then the message is Postgres' own.
            Also while iterating.
    """
    stream = _ask(statement)
    return next(stream), stream


def _ask(statement: str) -> Iterator[Any]:
    with connect(patient=False, read_only=True) as link, _refusals():
        link.set_session(readonly=True)
        queries().pose_question(link, statement=statement)
        queries().open_answer(link)
        with link.cursor("answer", cursor_factory=psycopg2.extensions.cursor) as cursor:
            first = cursor.fetchmany(cursor.itersize)
            yield [column.name for column in cursor.description or ()]
            yield from first
            yield from cursor


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except psycopg2.errors.InvalidCursorDefinition as error:
        raise CatalogError(
            "Give exactly one statement that asks (SELECT, WITH, VALUES, TABLE, SHOW, EXPLAIN): "
            "nothing is changed here, and no answer is lost."
        ) from error
    except psycopg2.Error as error:
        # what follows is about the cursor, not about the statement
        raise CatalogError(re.split(r"\n(?:QUERY|CONTEXT):", str(error))[0].strip()) from error


def forget_failures(*, stage: str | None, video_id: str | None, reason: str | None) -> int:
    """Make failed subjects due again with all their attempts; return how many."""
    with connect(patient=False) as link, link:
        return int(queries().forget_failures(link, stage=stage, video_id=video_id, reason=reason))


def artifact_uris() -> Iterator[str]:
    """Stream the address of every artifact that an outcome names."""
    with (
        connect(patient=False) as link,
        link.cursor("artifact_uris", cursor_factory=psycopg2.extensions.cursor) as cursor,
    ):
        cursor.execute(queries().artifact_uris.sql)
        for found in cursor:
            yield found[0]
