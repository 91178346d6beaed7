"""sql/cluster: what the containers `metadata` and `catalog` run when their data is new, `make cluster` each time."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from interrupted_recovery import interrupt_recovery

from humannet_ops.local import postgres
from humannet_ops.local.components import PlatformError
from humannet_ops.settings import REPOSITORY

SQL = REPOSITORY / "sql" / "cluster"
PASSWORDS = {"METADATA_PASSWORD": "of airflow", "CELERY_PASSWORD": "it's \\ of celery", "CATALOG_OWNER_PASSWORD": "own"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    home = tmp_path_factory.mktemp("servers")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    postgres.serve(home, port)
    for name in ("metadata", "catalog") * 2:
        run((home, port), name, PASSWORDS)
    yield home, port
    postgres.stop(home)


def test_a_server_whose_recovery_was_killed_hangs_and_is_started_again(tmp_path: Path) -> None:
    postgres.serve(tmp_path)
    try:
        assert not postgres.is_hung(tmp_path)
        interrupt_recovery(tmp_path)
        assert postgres.is_hung(tmp_path)
        postgres.serve(tmp_path)
        assert postgres.is_running(tmp_path)
    finally:
        postgres.stop(tmp_path)


def run(server: tuple[Path, int], name: str, passwords: dict[str, str]) -> None:
    home, port = server
    postgres.execute(home, "postgres", SQL / f"{name}.sql", port=port, environment=passwords)


def ask(port: int, role: str, password: str, database: str, question: str) -> object:
    with (
        closing(psycopg2.connect(host="127.0.0.1", port=port, user=role, password=password, dbname=database)) as link,
        link.cursor() as cursor,
    ):
        cursor.execute(question)
        row = cursor.fetchone()
        assert row
        return row[0]


OWNERS = [
    ("airflow", PASSWORDS["METADATA_PASSWORD"], "airflow"),
    ("celery", PASSWORDS["CELERY_PASSWORD"], "celery"),
    ("catalog", PASSWORDS["CATALOG_OWNER_PASSWORD"], "catalog"),
]


@pytest.mark.parametrize(("role", "password", "database"), OWNERS)
def test_an_owner_makes_what_it_needs_and_is_no_superuser(
    server: tuple[Path, int], role: str, password: str, database: str
) -> None:
    _, port = server
    assert ask(port, role, password, database, "CREATE TEMPORARY TABLE t (x int); SELECT count(*) FROM t") == 0
    assert ask(port, role, password, database, "SELECT has_schema_privilege('public', 'CREATE')") is True
    assert ask(port, role, password, database, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False


def test_the_catalog_has_vectors_and_its_owner_makes_roles(server: tuple[Path, int]) -> None:
    _, port = server
    role, password, database = OWNERS[2]
    assert ask(port, role, password, database, "SELECT '[1,2]'::vector <-> '[1,2]'::vector") == 0
    made = "CREATE ROLE some_reader; GRANT CONNECT ON DATABASE catalog TO some_reader; SELECT 1"
    assert ask(port, role, password, database, made) == 1


@pytest.mark.parametrize(("role", "password"), [each[:2] for each in OWNERS[:2]])
def test_celery_sees_nothing_of_airflow_nor_airflow_of_celery(
    server: tuple[Path, int], role: str, password: str
) -> None:
    _, port = server
    for database in {"airflow", "celery", "postgres"} - {role}:
        with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
            ask(port, role, password, database, "SELECT 1")


def test_a_new_password_holds_and_the_old_one_no_longer(server: tuple[Path, int]) -> None:
    _, port = server
    try:
        run(server, "metadata", {**PASSWORDS, "CELERY_PASSWORD": "new"})
        assert ask(port, "celery", "new", "celery", "SELECT 1") == 1
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            ask(port, "celery", PASSWORDS["CELERY_PASSWORD"], "celery", "SELECT 1")
    finally:
        run(server, "metadata", PASSWORDS)


@pytest.mark.parametrize("name", ["metadata", "catalog"])
def test_without_a_password_no_role_is_let_in(server: tuple[Path, int], name: str) -> None:
    with pytest.raises(PlatformError, match="PASSWORD"):
        run(server, name, {})
