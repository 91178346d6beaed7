"""Reading the catalog for metrics: one named question at a time, with a limit on what Postgres may take."""

from __future__ import annotations

from typing import Any

import psycopg2
import psycopg2.errors

from humannet_ops.catalog.connection import CatalogError, Row, connect, queries


def measured(name: str, *, timeout_s: float, **parameters: Any) -> list[Row]:
    """Run a named query of ``sql/queries/metrics.sql`` as the role that may only read.

    Args:
        name: The query.
        timeout_s: Seconds after which Postgres gives it up.
        parameters: The query's ``:parameters``.

    Raises:
        CatalogError: no catalog answers, the query took too long, or Postgres refused it.
    """
    with connect(patient=False, read_only=True) as link:
        link.set_session(readonly=True, autocommit=True)
        try:
            queries().limit_statement(link, milliseconds=int(timeout_s * 1000))
            return [dict(row) for row in getattr(queries(), name)(link, **parameters)]
        except (psycopg2.errors.UndefinedColumn, psycopg2.errors.UndefinedTable):
            # the catalog is of another migration: connect() says so
            raise
        except psycopg2.errors.QueryCanceled as error:
            raise CatalogError(
                f"{name} took longer than {timeout_s:g} s: the catalog is slow, or too large for it"
            ) from error
        except psycopg2.Error as error:
            raise CatalogError(f"{name}: {str(error).strip().splitlines()[0]}") from error
