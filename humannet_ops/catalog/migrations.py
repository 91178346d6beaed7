"""Bringing the catalog's shape and its registries up to this code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import psycopg2.errors
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.pool import NullPool

from humannet_ops.catalog.connection import SQL, CatalogError, address, catalog_url, connect, queries, transaction
from humannet_ops.domain.outcome import Reason
from humannet_ops.domain.stage import StageSpec
from humannet_ops.domain.taxonomy import taxonomy


def upgrade(revision: str = "head") -> None:
    """Run the migrations that this catalog has not seen. Safe to run by several processes at once.

    Raises:
        CatalogError: the role of the catalog's address may not; nothing was changed.
    """
    engine = create_engine(catalog_url(), poolclass=NullPool)
    with _refusals(), engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('humannet migrations'))"))
        config = Config(str(SQL / "migrations" / "alembic.ini"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except ProgrammingError as error:
        if not isinstance(error.orig, psycopg2.errors.InsufficientPrivilege):
            raise
        said = str(error.orig).strip().splitlines()[0]
        where = catalog_url()
        if "create role" in said:
            dba = address(where.set(username="postgres"))
            cure = f"have a superuser run `psql {dba} -f {SQL / 'roles.sql'}`, then `humannet migrate` again"
        else:
            cure = "run it as the owner of the catalog's tables, and see that the extension vector is there"
        raise CatalogError(f"The role {where.username} may not migrate the catalog ({said}): {cure}.") from error


def revisions() -> tuple[str | None, str | None]:
    """Return the revision that the catalog is at and the newest one of this code."""
    from alembic.script import ScriptDirectory

    newest = ScriptDirectory(str(SQL / "migrations")).get_current_head()
    with connect(patient=False) as link:
        at = queries().migration(link) if queries().is_migrated(link) else None
    return at, newest


def register(specs: Sequence[StageSpec], versions: Mapping[str, str]) -> None:
    """Write the reason codes, the taxonomy and the stages with their versions. Writes nothing where nothing changed."""
    with connect() as link, transaction(link):
        for reason in Reason:
            queries().upsert_reason(
                link, reason=reason.value, outcome=reason.outcome.value, description=reason.description
            )
        nodes = list(taxonomy().nodes())
        queries().upsert_taxonomy(
            link,
            version=taxonomy().version,
            facets=[node.facet for node in nodes],
            paths=[node.path for node in nodes],
            levels=[node.level for node in nodes],
            names=[node.name for node in nodes],
            definitions=[node.definition for node in nodes],
        )
        queries().retire_stages(link, stages=[spec.name for spec in specs])
        for ordinal, spec in enumerate(specs, start=1):
            queries().upsert_stage(
                link,
                stage=spec.name,
                ordinal=ordinal,
                subject=spec.subject,
                queue=spec.queue,
                needs=list(spec.needs),
                version=versions[spec.name],
            )
