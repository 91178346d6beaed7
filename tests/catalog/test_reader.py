"""`humannet sql` reads and does nothing else, whatever the statement says."""

from __future__ import annotations

import shlex
from pathlib import Path

import psycopg2.errors
import pytest
from sqlalchemy.engine import make_url

from humannet_ops.catalog import migrations, reading
from humannet_ops.catalog.connection import CatalogError, address, connect, transaction
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


# Each is one statement to a parser that reads SQL otherwise than Postgres does.
DISGUISED = (
    "select 1 as create, 2 as begin; commit; begin read write; delete from videos",
    "select 'a\\'; commit; begin read write; delete from videos; --'",
    "create table t (begin int); delete from videos",
)


@pytest.mark.parametrize(
    "statement",
    ["select 1; select 2", "commit; begin read write; delete from videos", "", "-- nothing", ";", "delete from videos",
     "commit", "set transaction read write", "set statement_timeout = 0", "set role catalog", "reset all",
     "do $$ begin delete from videos; end $$", "do $$ begin commit; delete from videos; end $$",
     "copy videos to program 'cat'", "copy (select 1) to '/tmp/out'", "copy videos from stdin", "call nothing()",
     "create temp table t (a int)", "prepare p as delete from videos", "notify a", "vacuum", "analyze", *DISGUISED],
)  # fmt: skip
def test_anything_but_one_question_is_refused(embedded: None, statement: str) -> None:
    with pytest.raises(CatalogError, match=r"exactly one statement that asks|does not exist"):
        reading.ask(statement)
    assert list(reading.ask("select title from videos")[1]) == [("a",)]


@pytest.mark.parametrize(
    "statement",
    [
        "delete from videos returning 1",
        "with gone as (delete from videos returning 1) select * from gone",
        "explain analyze delete from videos",
        "explain analyze create table t as select 1",
        "select title from videos for update",
        "select lo_create(0)",
        "select nextval('task_failures_failure_id_seq')",
        "select pg_read_file('/etc/passwd')",
        "select pg_ls_dir('/')",
        "select rolpassword from pg_authid",
        "select set_config('role', 'catalog', false)",
        "select set_config('session_authorization', 'postgres', false)",
        "select set_config('transaction_read_only', 'off', false)",
        "select query_to_xml('delete from videos', true, true, '')",
    ],
)
def test_a_question_that_writes_or_leaves_the_database_is_refused(embedded: None, statement: str) -> None:
    with pytest.raises(CatalogError):
        list(reading.ask(statement)[1])
    assert list(reading.ask("select title from videos")[1]) == [("a",)]


def test_it_ends_other_sessions_neither(embedded: None) -> None:
    with connect() as link, link.cursor() as cursor:
        cursor.execute("select pg_backend_pid() as pid")
        pid = cursor.fetchone()["pid"]
        with pytest.raises(CatalogError, match="permission denied"):
            list(reading.ask(f"select pg_terminate_backend({pid})")[1])
        cursor.execute("select 1 as still_there")
        assert cursor.fetchone() == {"still_there": 1}


def test_questions_of_every_kind_are_answered(embedded: None) -> None:
    for statement in ("values (1)", "table videos", "with a as (select 1) table a", "show transaction_read_only",
                      "explain select 1", "(select 1)", "select 'a;b', '%s', ':title'"):  # fmt: skip
        columns, rows = reading.ask(statement)
        assert columns
        assert len(list(rows)) == 1
    columns, rows = reading.ask("select title from videos where false")
    assert (columns, list(rows)) == (["title"], [])
    assert len(list(reading.ask("select generate_series(1, 5000)")[1])) == 5000


def test_a_fault_is_told_as_postgres_tells_it(embedded: None) -> None:
    with pytest.raises(CatalogError) as fault:
        reading.ask("select nope\nfrom videos")
    assert str(fault.value).splitlines() == ['column "nope" does not exist', "LINE 1: select nope", "               ^"]
    rows = reading.ask("select 1 / (n - 4000) from generate_series(1, 5000) n")[1]
    with pytest.raises(CatalogError, match=r"^division by zero$"):
        list(rows)


def test_the_role_may_not_write_even_in_a_transaction_that_may(embedded: None) -> None:
    """The second wall: what would hold if the first, one question in a read-only transaction, did not."""
    with connect(read_only=True) as link, link.cursor() as cursor:
        cursor.execute("select current_setting('statement_timeout') as timeout")
        assert cursor.fetchone()["timeout"] == "10min"
        for attempt in ("delete from videos", "create table t (a int)", "create temp table t (a int)",
                        "select lo_create(0)", "set role catalog"):  # fmt: skip
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(f"commit; begin read write; {attempt}")
            link.rollback()


def test_a_catalog_without_such_a_role_is_not_changed_either(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record_entries(Pass("mine", "folder", "/mine", "2026-01-01"), iter([Entry("file:///a", "1", "a")]))
    for statement in (*DISGUISED, "delete from videos", "explain analyze delete from videos"):
        with pytest.raises(CatalogError):
            list(reading.ask(statement)[1])
    list(reading.ask("explain analyze create table left_over as select 1")[1])
    assert list(reading.ask("select title, to_regclass('left_over') from videos")[1]) == [("a", None)]


def test_an_older_catalog_is_told_to_be_migrated(
    new_database, monkeypatch: pytest.MonkeyPatch, forget_settings
) -> None:
    monkeypatch.setenv("HUMANNET_CATALOG_URL", new_database())
    forget_settings()
    with pytest.raises(CatalogError, match="run `humannet migrate`"):
        reading.rows("videos", source=None)


def test_an_address_is_as_psql_and_a_shell_take_it() -> None:
    url = make_url("postgresql+psycopg2://ann:secret@/cat?host=%2Fa%20folder%2Frun")
    assert shlex.split(address(url)) == ["dbname=cat user=ann host='/a folder/run'"]
