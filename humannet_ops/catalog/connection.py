"""Connections to the catalog, and the named queries that run on them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import aiosql
import psycopg2
import psycopg2.errors
import psycopg2.extensions
from psycopg2.extras import RealDictCursor
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_exponential

from humannet_ops.settings import REPOSITORY, settings

Connection: TypeAlias = psycopg2.extensions.connection
SQL = REPOSITORY / "sql"
Row = dict[str, Any]


class CatalogError(Exception):
    """The catalog cannot be used; the message names the cause and the cure."""


CATALOG_ERRORS = (CatalogError, psycopg2.OperationalError, psycopg2.InterfaceError)
"""What a catalog that is gone, or takes nobody more, raises: no subject is at fault."""


@cache
def queries() -> Any:
    """Return the named queries of ``sql/queries``, one attribute a query."""
    return aiosql.from_path(SQL / "queries", "psycopg2", mandatory_parameters=False)


def catalog_url() -> URL:
    """Return the catalog's address: ``HUMANNET_CATALOG_URL``, or the embedded Postgres."""
    if named := settings().catalog_url:
        return _parsed("HUMANNET_CATALOG_URL", named)
    from humannet_ops.local.postgres import url

    return make_url(url(settings().home, "catalog"))


def reader_url() -> URL:
    """Return the catalog's address for people's questions: a role that may only read, where one is known."""
    if named := settings().catalog_reader_url:
        return _parsed("HUMANNET_CATALOG_READER_URL", named)
    return catalog_url() if settings().catalog_url else catalog_url().set(username="reader")


def _parsed(variable: str, named: str) -> URL:
    try:
        return make_url(named)
    except ArgumentError as error:
        raise CatalogError(f"{variable} is no address like postgresql://user@host/database.") from error


def address(url: URL) -> str:
    """Return an address as psql takes it, quoted for a shell, without its password."""
    parts = _parts(url)
    parts.pop("password", None)
    return shlex.quote(psycopg2.extensions.make_dsn(**parts))


def _parts(url: URL) -> dict[str, Any]:
    return {**url.translate_connect_args(database="dbname", username="user"), **url.query}


@retry(
    retry=retry_if_exception_type(psycopg2.OperationalError),
    stop=stop_after_delay(20),
    wait=wait_exponential(multiplier=0.2, max=3),
    reraise=True,
)
def _connect(url: URL) -> Connection:
    link: Connection = psycopg2.connect(
        **_parts(url), cursor_factory=RealDictCursor, application_name="humannet", connect_timeout=5
    )
    return link


@contextmanager
def connect(*, patient: bool = True, read_only: bool = False) -> Iterator[Connection]:
    """Open a connection for the length of a ``with`` block.

    Args:
        patient: Wait up to 20 s for a database that is restarting; False asks once.
        read_only: As the role that may only read.

    Raises:
        CatalogError: no database answers, it has not the tables that the block asks for, or the role may not do what
            the block does.
    """
    url = reader_url() if read_only else catalog_url()
    try:
        link = _connect(url) if patient else _connect.__wrapped__(url)
    except psycopg2.OperationalError as error:
        said = str(error).strip().splitlines()[0]
        raise CatalogError(
            "The catalog does not answer: start it with `make up`, or set HUMANNET_CATALOG_URL to one that runs. "
            f"(psql {address(url)}: {said})"
        ) from error
    try:
        yield link
    except (psycopg2.errors.UndefinedColumn, psycopg2.errors.UndefinedTable) as error:
        said = str(error).strip().splitlines()[0]
        raise CatalogError(f"The catalog's schema is not this code's: run `humannet migrate`. ({said})") from error
    except (psycopg2.errors.InsufficientPrivilege, psycopg2.errors.ReadOnlySqlTransaction) as error:
        said = str(error).strip().splitlines()[0]
        raise CatalogError(
            f"The role {url.username} may not do this ({said}): sql/README.md lists which role may; "
            "name it in HUMANNET_CATALOG_URL."
        ) from error
    finally:
        link.close()


@contextmanager
def transaction(link: Connection) -> Iterator[Connection]:
    """Commit when the block ends, roll back when it raises."""
    with link:
        yield link


def execute_file(link: Connection, path: Path) -> None:
    """Run a file of SQL statements as it is."""
    with link.cursor() as cursor:
        cursor.execute(path.read_text())
