"""`humannet sql` reads and does nothing else, whatever the statement says."""

from __future__ import annotations

from pathlib import Path

import pytest

from humannet_ops.catalog import migrations, reading
from humannet_ops.catalog.connection import CatalogError, connect, transaction
from humannet_ops.catalog.discovery import Entry, Pass, record_entries


@pytest.fixture
def embedded(postgres_home: Path, monkeypatch: pytest.MonkeyPatch, forget_settings) -> None:
    """The embedded catalog itself, with its roles."""
    monkeypatch.setenv("HUMANNET_HOME", str(postgres_home))
    monkeypatch.delenv("HUMANNET_CATALOG_URL", raising=False)
    forget_settings()
    migrations.upgrade()
    record_entries(Pass("mine", "folder", "/mine", "2026-01-01"), iter([Entry("file:///a", "1", "a")]))


def test_it_reads_tables_and_views_that_came_after_it(embedded: None) -> None:
    with connect() as link, transaction(link), link.cursor() as cursor:
        cursor.execute("create or replace view v_later as select title from videos")
    try:
        assert list(reading.ask("select title from v_later")[1]) == [("a",)]
        assert list(reading.ask("select title from videos;  -- a remark; with a semicolon")[1]) == [("a",)]
    finally:
        with connect() as link, transaction(link), link.cursor() as cursor:
            cursor.execute("drop view v_later")


@pytest.mark.parametrize("statement", ["select 1; select 2", "commit; drop table videos", "", "-- nothing", ";"])
def test_anything_but_one_statement_is_refused(embedded: None, statement: str) -> None:
    with pytest.raises(CatalogError, match="give exactly one"):
        reading.ask(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "delete from videos",
        "with gone as (delete from videos returning 1) select * from gone",
        "select lo_create(0)",
        "copy videos to program 'cat'",
        "copy (select 1) to '/tmp/out'",
        "select pg_read_file('/etc/passwd')",
        "set role catalog",
        "do $$ begin delete from videos; end $$",
        "create temp table t (a int)",
        "select pg_terminate_backend(pid) from pg_stat_activity where usename <> 'reader'",
    ],
)
def test_what_writes_or_leaves_the_database_is_refused(embedded: None, statement: str) -> None:
    with pytest.raises(CatalogError):
        list(reading.ask(statement)[1])


def test_the_role_may_not_write_even_in_a_transaction_that_may(embedded: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second wall: what would hold if the first, one statement in a read-only transaction, did not."""
    monkeypatch.setattr(reading, "_single", lambda statement: statement)
    for attempt in (
        "delete from videos",
        "create table t (a int)",
        "create temp table t (a int)",
        "select lo_create(0)",
    ):
        with pytest.raises(CatalogError, match="permission denied"):
            list(reading.ask(f"commit; begin read write; {attempt}")[1])
