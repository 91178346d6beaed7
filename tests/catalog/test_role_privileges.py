"""Each role may do its work and is refused what is not; and how the roles come to be and log in."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from keyword_world import Site, shelf_entry
from sqlalchemy.engine import URL
from test_takedowns import World, item
from typer.testing import CliRunner

from humannet_ops.catalog import channels, logins, migrations, politeness, reading, takedowns
from humannet_ops.catalog.connection import CatalogError, connect, transaction
from humannet_ops.cli import app
from humannet_ops.local import postgres
from humannet_ops.settings import REPOSITORY
from humannet_ops.stages.removal import Removal, remove_objects

AsRole = Callable[[str], Any]
DAY = "2026-01-01"


def said(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def ask(statement: str) -> list[Any]:
    return [row if len(row) > 1 else row[0] for row in reading.ask(statement)[1]]


def execute(statement: str) -> None:
    with connect() as link, transaction(link), link.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture
def world(home: Path) -> World:
    return World()


# --- what each may


def test_a_reviewer_decides(site: Site, as_role: AsRole) -> None:
    site.crawl(DAY, lambda phrase, _items: [shelf_entry(f"{phrase} 1", channel="shelf:ann")])
    execute("update channels set status = 'active'")
    video = ask("select video_id from videos where title = 'chopping onions 1'")[0]
    site.decide(lambda title: "license_review" if title.startswith("chopping") else "error")
    execute("update outcomes set outcome = 'failed' where reason = 'error'")
    with as_role("reviewer"):
        assert "1 approved; 1 of them are due again" in said("source", "approve", "--source", "cooking")
        said("source", "approve", "--video", video, "--note", "again")
        assert "1 failure is forgotten" in said("retry")
        assert channels.pin("shelf:ann", "ann") == channels.release("shelf:ann", "ann") == 0
        channels.ban("shelf:ann", "ann", "re-uploads")
        said("keyword", "add", "whittling a spoon", "--source", "cooking")
        said("keyword", "pause", "chopping onions", "--source", "cooking")
        said("keyword", "expand", "--source", "cooking", "--strategy", "taxonomy")
        assert "shelf:ann" in said("channel", "list", "--status", "banned")
        assert "whittling a spoon" in said("keyword", "list")


def test_a_reviewer_takes_down_and_clears_at_once(world: World, as_role: AsRole) -> None:
    world.crawl(item("stays"), item("goes", channel_id="site:c"))
    execute("insert into channels (channel_id, title) values ('site:c', 'A Person')")
    world.go()
    execute("insert into releases values ('r1')")
    execute("insert into release_clips select 'r1', clip_id from clips")
    with as_role("reviewer"):
        takedowns.take_down("channel", "site:c", reason="asked for", requested_by="ann", dry_run=True)
        takedowns.take_down("channel", "site:c", reason="asked for", requested_by="ann")
        assert remove_objects() == Removal(videos=1, removed=5)
    assert ask("select title from v_videos") == ["stays"]
    assert ask("select count(*) from release_recalls") == [1]


def test_the_crawler_ends_a_takedown_whose_process_was_killed(world: World, as_role: AsRole) -> None:
    world.crawl(item("goes", channel_id="site:c"), item("stays"))
    world.go()
    takedowns.take_down("channel", "site:c", reason="asked for", requested_by="ann")
    execute("delete from tombstones; update takedowns set sealed_at = null")
    with as_role("crawler"):
        assert remove_objects() == Removal(videos=1, removed=5)
        # with a listing that is new, edited, gone and back, and one entry that is barred
        found = world.crawl(item("goes"), item("later", license="CC0"), complete=True)
        assert (found.new, found.gone, found.barred) == (1, 1, 1)
        world.crawl(item("later", license="CC BY", title="Later"), item("stays", "2"), complete=True)
    assert ask("select count(*) from tombstones where kind = 'origin'") == [1]


def test_the_crawler_searches_and_pauses_and_shares_what_is_known_of_hosts(site: Site, as_role: AsRole) -> None:
    site.write("seeds: [chopping onions]\nitems_per_crawl: 4\nchannels: {after_videos: 1, kept_share_below: 0.5}\n")
    with as_role("crawler"):
        site.crawl(DAY, lambda phrase, _items: [shelf_entry("a", channel="shelf:ann"), shelf_entry("b", item="a")])
    site.decide(lambda _title: (1.0, 0.0))
    with as_role("crawler"):
        site.crawl("2026-01-02", lambda phrase, _items: [shelf_entry("a", channel="shelf:ann")])
        visit = politeness.begin_visit("cooking", "w")
        politeness.renew_visit(visit, 5)
        assert politeness.take_host(visit, "host.test", concurrent=1, gap_s=0) is None
        politeness.close_host("host.test", 1.0, "asked")
        politeness.host_failed("host.test", "down")
        politeness.host_answered("host.test")
        politeness.save_robots("host.test", "")
        politeness.reserve_budget(visit, items=1, bytes=1, most_items=9, most_bytes=9)
        assert politeness.reserve_disk(visit, volume="v", free=9, written=0, bytes=1)
        politeness.leave_hosts(visit)
        politeness.end_visit(visit, items=1, received=5)
        assert politeness.known("cooking", [("shelf:a", "shelf", "a")]) == {0: DAY}
    assert ask("select status from channels") == ["paused"]
    assert ask("select items, bytes from source_days") == [(1, 5)]


# --- what each may not

ALL = ("crawler", "worker", "reviewer", "reader")
REFUSED = [
    *((role, statement) for role in ALL for statement in (
        "drop table videos", "drop view v_videos", "alter table videos add column a int", "truncate videos",
        "create table t (a int)", "create schema s", "create role r", "alter role catalog password 'x'",
        "select rolpassword from pg_authid", "set role catalog", "set role postgres",
        "select pg_read_file('/etc/passwd')", "copy videos to program 'cat'", "copy videos to '/tmp/out'",
        "select nextval('task_failures_failure_id_seq')", "delete from takedowns", "delete from videos",
        "delete from tombstones", "update takedowns set reason = ''", "delete from stage_runs", "delete from approvals",
        "update outcomes set subject_id = ''", "update artifacts set sha256 = ''", "delete from release_recalls",
    )),
    *((role, statement) for role in ("crawler", "worker", "reader") for statement in (
        "insert into takedowns (takedown_id, scope, target, reason, requested_by) values ('t', 'video', 'v', 'r', 'b')",
        "insert into approvals (video_id, approved_by) values ('v', 'me')",
    )),
    *((role, statement) for role in ("crawler", "reviewer", "reader") for statement in (
        "insert into annotations values ('c', 'k', 's', '1', 'm', '{}', null)", "delete from clips",
        "update annotations set value = '{}'", "insert into fingerprints default values",
        "insert into copies values ('v', 'w', 1, 1, false, 's', '1')", "update clips set retired_at = now()",
    )),
    *(("worker", statement) for statement in (
        "insert into sources (source, kind, uri) values ('s', 'k', 'u')", "delete from outcomes",
        "delete from attempts",
        "update videos set takedown_id = null", "update videos set title = ''", "delete from annotations",
        "insert into tombstones values ('source', 's', 't')", "update stages set version = ''", "delete from artifacts",
        "delete from copies", "select * from sources", "select * from takedowns", "select * from channels",
        "update channels set status = ''",
        "update keywords set status = 'paused'", "insert into shards values ('s', 's', 'v', 'p', 'l')",
        "create temp table t (a int)", "delete from object_removals",
    )),
    *(("reviewer", statement) for statement in (
        "insert into videos (video_id) values ('v')", "update videos set sha256 = ''",
        "insert into outcomes default values",
        "update outcomes set outcome = 'kept'", "update stages set version = ''", "delete from keywords",
    )),
    *(("crawler", statement) for statement in ("update takedowns set sealed_at = null, target = ''",)),
    *(("reader", statement) for statement in (
        "create temp table t (a int)", "select title from videos for key share", "update videos set has_audio = true",
        "insert into task_failures default values",
    )),
]  # fmt: skip


@pytest.fixture
def link_of(postgres_home: Path, migrated: str, as_role: AsRole) -> Iterator[Callable[[str], Any]]:
    """A function that connects a role to the database that was migrated: a copy has not what belongs to a database."""
    opened = []

    def connected(role: str) -> Any:
        host = str(postgres.socket_directory(postgres_home))
        opened.append(psycopg2.connect(dbname=migrated, host=host, user=role))
        return opened[-1]

    yield connected
    for link in opened:
        link.close()


@pytest.mark.parametrize(("role", "statement"), REFUSED)
def test_a_role_is_refused_what_is_not_its_own(link_of: Callable[[str], Any], role: str, statement: str) -> None:
    with link_of(role) as link, link.cursor() as cursor:
        # the wall behind the reader's read-only transactions too
        cursor.execute("set transaction read write")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute(statement)
        link.rollback()


def test_a_reader_is_read_only_and_not_for_ever(link_of: Callable[[str], Any]) -> None:
    with link_of("reader") as link, link.cursor() as cursor:
        cursor.execute("show statement_timeout")
        assert cursor.fetchone() == ("10min",)
        cursor.execute("show default_transaction_read_only")
        assert cursor.fetchone() == ("on",)


def test_tables_of_later_migrations_are_read_by_those_who_read_all(home: Path, as_role: AsRole) -> None:
    execute("create table later (a int); insert into later values (1)")
    for role in ("reader", "reviewer"):
        with as_role(role):
            assert ask("select a from later") == [1]
    for role in ("crawler", "worker"):
        with as_role(role), pytest.raises(CatalogError, match="permission denied for table later"):
            ask("select a from later")


def test_who_may_not_is_told_in_one_line(world: World, as_role: AsRole) -> None:
    world.crawl(item("a"))
    for role in ("worker", "reader"):
        with as_role(role):
            refused = CliRunner().invoke(app, ["takedown", "--source", "site", "--reason", "r", "--yes", "--no-wait"])
        assert refused.exit_code == 1
        (line,) = refused.stderr.splitlines()
        assert line.startswith(f"humannet: The role {role} may not do this (")
    assert ask("select count(*) from takedowns") == [0]


# --- how they come to be


class Server:
    """A Postgres of its own, with a port and without roles."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.home = home
        postgres.serve(home, self.port)

    def execute(self, statement: str, database: str = "postgres") -> list[Any]:
        link = psycopg2.connect(dbname=database, user="postgres", **self.on_socket())
        link.autocommit = True
        with link.cursor() as cursor:
            cursor.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
        link.close()
        return rows

    def on_socket(self) -> dict[str, Any]:
        return {"host": str(postgres.socket_directory(self.home)), "port": self.port}

    def url(self, database: str) -> str:
        where = URL.create("postgresql+psycopg2", "catalog", database=database, query=_text(self.on_socket()))
        return where.render_as_string(hide_password=False)


def _text(values: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "server")
    yield made
    postgres.stop(made.home)


def test_roles_are_made_by_migrations_and_log_in_with_passwords(
    server: Server, monkeypatch: pytest.MonkeyPatch, forget_settings
) -> None:
    server.execute("create role catalog login nocreaterole")
    for name in ("one", "two"):
        server.execute(f"create database {name} owner catalog")
        server.execute("create extension vector", name)
    server.execute("alter system set log_statement = 'all'")
    server.execute("select pg_reload_conf()")
    monkeypatch.setenv("HUMANNET_CATALOG_URL", server.url("one"))
    forget_settings()

    # an owner who may not make roles is told what a superuser has to do, and nothing was changed
    refused = CliRunner().invoke(app, ["migrate"])
    assert refused.exit_code == 1
    (line,) = refused.stderr.splitlines()
    assert "The role catalog may not migrate the catalog (permission denied to create role)" in line
    assert "-f " + str(REPOSITORY / "sql" / "roles.sql") in line
    assert migrations.revisions()[0] is None

    # many databases of a server may be migrated at once
    server.execute("alter role catalog createrole")
    for _ in range(3):
        _make_roles_at_once(server)
    migrations.upgrade()
    made = {row[0]: row[1] for row in server.execute("select rolname, rolcanlogin from pg_roles where oid > 16383")}
    assert made == {"catalog": True, **dict.fromkeys(ALL, False)}

    passwords = {role: f"{role}'s \\ secret" for role in ALL}
    logins.set_passwords(passwords)
    for role, password in passwords.items():
        assert _logs_in(server, role, password)
        assert not _logs_in(server, role, "another")
    verifiers = server.execute("select rolpassword from pg_authid where rolname in ('crawler', 'reader')")
    assert all(row[0].startswith("SCRAM-SHA-256$") for row in verifiers)
    log = (server.home / "logs" / "postgres.log").read_text()
    assert "SCRAM-SHA-256$" in log
    assert "secret" not in log

    # rotated: the old ones are worth nothing, the other roles' stay
    logins.set_passwords({"worker": "new"})
    assert _logs_in(server, "worker", "new")
    assert not _logs_in(server, "worker", passwords["worker"])
    assert _logs_in(server, "crawler", passwords["crawler"])
    with pytest.raises(LookupError, match="no role 'catalog'"):
        logins.set_passwords({"catalog": "x"})
    with pytest.raises(LookupError, match="infra/make-env"):
        logins.set_passwords({"worker": ""})

    # roles that a superuser made serve as well; a second database of the server finds them
    server.execute("alter role catalog nocreaterole")
    monkeypatch.setenv("HUMANNET_CATALOG_URL", server.url("two"))
    forget_settings()
    migrations.upgrade()
    assert migrations.revisions()[0] == migrations.revisions()[1]
    with pytest.raises(CatalogError, match="The role catalog may not do this"):
        logins.set_passwords({"worker": "x"})


def test_a_backup_is_restored_on_a_new_server(
    server: Server, postgres_home: Path, migrated: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget_settings
) -> None:
    """As infra/runbooks/restore.md says: the owner, the roles, the dump, the passwords."""
    dump = tmp_path / "catalog.dump"
    source = {"PGHOST": str(postgres.socket_directory(postgres_home)), "PGUSER": "postgres"}
    _run(source, "pg_dump", "--format=custom", f"--file={dump}", migrated)
    new = {**{f"PG{name.upper()}": value for name, value in _text(server.on_socket()).items()}, "PGUSER": "postgres"}
    owner = REPOSITORY / "sql" / "cluster" / "catalog.sql"
    _run({**new, "CATALOG_OWNER_PASSWORD": "owner's"}, "psql", "--file", str(owner), "postgres")
    roles = ("psql", "--file", str(REPOSITORY / "sql" / "roles.sql"), "catalog")
    _run({**new, "PGUSER": "catalog"}, *roles)
    _run(new, "pg_restore", "--create", "--exit-on-error", "--dbname=postgres", str(dump))

    monkeypatch.setenv("HUMANNET_CATALOG_URL", server.url(migrated))
    forget_settings()
    assert migrations.revisions()[0] == migrations.revisions()[1]
    migrations.upgrade()
    logins.set_passwords({role: f"new {role}" for role in ALL})
    for role in ALL:
        assert _logs_in(server, role, f"new {role}", migrated)
    (acl,) = server.execute(f"select datacl::text from pg_database where datname = '{migrated}'")[0]
    assert set(acl.strip("{}").split(",")) == {
        "catalog=CTc/catalog", "=c/catalog", "crawler=T/catalog", "reviewer=T/catalog",
    }  # fmt: skip


def _run(environment: dict[str, str], program: str, *arguments: str) -> None:
    done = subprocess.run(
        [postgres.binary(program), *arguments], env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def _make_roles_at_once(server: Server) -> None:
    text = (REPOSITORY / "sql" / "roles.sql").read_text()
    begin, faults = threading.Barrier(4), []

    def make(database: str) -> None:
        try:
            with (
                psycopg2.connect(dbname=database, user="catalog", **server.on_socket()) as link,
                link.cursor() as cursor,
            ):
                begin.wait()
                cursor.execute(text)
        except psycopg2.Error as error:
            faults.append(error)

    threads = [threading.Thread(target=make, args=(name,)) for name in ("one", "two", "one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert server.execute(
        "select count(*) from pg_roles where rolname in ('crawler','worker','reviewer','reader')"
    ) == [(4,)]
    server.execute("drop role crawler, worker, reviewer, reader")


def _logs_in(server: Server, role: str, password: str, database: str = "one") -> bool:
    try:
        link = psycopg2.connect(dbname=database, user=role, password=password, host="127.0.0.1", port=server.port)
    except psycopg2.OperationalError:
        return False
    link.close()
    return True
