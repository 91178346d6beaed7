"""sql/cluster/keda.sql: KEDA counts what waits in a queue, and sees nothing else of Airflow's database."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
import yaml

from humannet_ops.local import postgres
from humannet_ops.settings import REPOSITORY

SQL = REPOSITORY / "sql" / "cluster"
PASSWORDS = {"METADATA_PASSWORD": "of airflow", "CELERY_PASSWORD": "of celery", "KEDA_PASSWORD": "it's \\ of keda"}
# of Airflow's table, what KEDA asks for and what it may not see
TABLE = "CREATE TABLE task_instance (state text, queue text, hostname text); CREATE TABLE connection (password text)"
QUEUES = [("queued", "gpu"), ("running", "gpu"), ("success", "gpu"), *[("queued", "cpu")] * 3]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    home = tmp_path_factory.mktemp("keda")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free: int = probe.getsockname()[1]
    postgres.serve(home, free)
    run(home, free, "postgres", "metadata")
    with (
        closing(psycopg2.connect(**login(free, "airflow", "METADATA_PASSWORD"))) as link,
        link,
        link.cursor() as cursor,
    ):
        cursor.execute(TABLE)
        cursor.executemany("INSERT INTO task_instance VALUES (%s, %s)", QUEUES)
    for _ in range(2):
        run(home, free, "airflow", "keda")
    yield free
    postgres.stop(home)


def run(home: Path, port: int, database: str, name: str) -> None:
    postgres.execute(home, database, SQL / f"{name}.sql", port=port, environment={**os.environ, **PASSWORDS})


def login(port: int, role: str, password: str) -> dict[str, object]:
    return {"host": "127.0.0.1", "port": port, "user": role, "password": PASSWORDS[password], "dbname": "airflow"}


def ask(port: int, question: str) -> object:
    with closing(psycopg2.connect(**login(port, "keda", "KEDA_PASSWORD"))) as link, link.cursor() as cursor:
        cursor.execute(question)
        row = cursor.fetchone()
        assert row
        return row[0]


def test_it_counts_the_pods_that_a_queue_needs(port: int) -> None:
    values = yaml.safe_load((REPOSITORY / "infra" / "helm" / "values.yaml").read_text())
    queries = {each["queue"]: each["keda"]["query"] for each in values["workers"]["celery"]["sets"] if "keda" in each}
    # two running or queued shards, one a pod; three, two a pod
    assert {queue: ask(port, query) for queue, query in queries.items()} == {"gpu": 2, "cpu": 2}


@pytest.mark.parametrize(
    "question",
    ["SELECT hostname FROM task_instance", "SELECT password FROM connection", "DELETE FROM task_instance",
     "CREATE TABLE mine (x int)"],
)  # fmt: skip
def test_it_sees_and_changes_nothing_else(port: int, question: str) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        ask(port, question)
