"""Fixtures that every test folder shares."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy.engine import make_url

from humannet_ops.catalog import logins, migrations
from humannet_ops.local import postgres
from humannet_ops.settings import REPOSITORY, settings
from humannet_ops.stages import registry


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The real clips beside the repository; the project itself does not need them."""
    folder = REPOSITORY.parent / "shared" / "corpus"
    if not (folder / "MANIFEST.tsv").exists():
        pytest.skip("../shared/corpus is absent")
    return folder


@pytest.fixture(scope="session")
def postgres_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One real Postgres for the whole test run. Its data need not outlive a power cut: nothing waits for the disk."""
    home = tmp_path_factory.mktemp("postgres")
    postgres.start(home)
    postgres.execute(home, "postgres", Path(__file__).with_name("careless.sql"))
    yield home
    postgres.stop(home)


def _forget() -> None:
    for cached in (settings, registry.models, registry.specs, registry.versions):
        cached.cache_clear()


@pytest.fixture
def forget_settings() -> Callable[[], None]:
    """A function after which the environment is read anew."""

    return _forget


MakeDatabase = Callable[..., str]


@contextmanager
def databases(postgres_home: Path) -> Iterator[MakeDatabase]:
    """A function that makes a database, empty or a copy of another, and returns its URL; all are dropped afterwards."""
    made: list[str] = []
    admin = psycopg2.connect(
        **make_url(postgres.url(postgres_home, "catalog")).translate_connect_args(database="dbname", username="user")
        | {"dbname": "postgres", "user": "postgres", "host": str(postgres.socket_directory(postgres_home))}
    )
    admin.autocommit = True

    def make(template: str = "template1") -> str:
        name = f"test_{secrets.token_hex(6)}"
        with admin.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name} OWNER catalog TEMPLATE {template}")
        made.append(name)
        link = psycopg2.connect(dbname=name, user="postgres", host=str(postgres.socket_directory(postgres_home)))
        with link, link.cursor() as cursor:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
        link.close()
        return postgres.url(postgres_home, "catalog").replace("/catalog?", f"/{name}?")

    yield make
    with admin.cursor() as cursor:
        for name in made:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
    admin.close()


@pytest.fixture(scope="session")
def migrated(postgres_home: Path) -> Iterator[str]:
    """The name of a migrated, empty catalog: a copy of it costs a tenth of the migrations."""
    with databases(postgres_home) as make, pytest.MonkeyPatch.context() as monkeypatch:
        url = make()
        monkeypatch.setenv("HUMANNET_CATALOG_URL", url)
        _forget()
        migrations.upgrade()
        monkeypatch.undo()
        _forget()
        yield str(make_url(url).database)


AsRole = Callable[[str], AbstractContextManager[None]]


@pytest.fixture(scope="session")
def as_role(migrated: str, postgres_home: Path) -> AsRole:
    """A function for a ``with`` block in which the catalog is asked as one of its roles, as a service does."""
    superuser = psycopg2.connect(dbname="postgres", user="postgres", host=str(postgres.socket_directory(postgres_home)))
    with superuser, superuser.cursor() as cursor:
        for role in logins.ROLES:
            cursor.execute(f"ALTER ROLE {role} LOGIN")
    superuser.close()

    @contextmanager
    def be(role: str) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as monkeypatch:
            url = make_url(settings().catalog_url).set(username=role)
            monkeypatch.setenv("HUMANNET_CATALOG_URL", url.render_as_string(hide_password=False))
            settings.cache_clear()
            yield
        settings.cache_clear()

    return be


@pytest.fixture
def new_database(postgres_home: Path) -> Iterator[MakeDatabase]:
    """A function that makes an empty database and returns its URL; all are dropped after the test."""
    with databases(postgres_home) as make:
        yield make


@contextmanager
def fresh_home(folder: Path, catalog_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A HUMANNET_HOME of its own with a migrated, empty catalog; the installed models are those of the real home."""
    models = settings().models
    monkeypatch.setenv("HUMANNET_MODELS_DIR", str(models))
    monkeypatch.setenv("HUMANNET_HOME", str(folder / "home"))
    monkeypatch.setenv("HUMANNET_CATALOG_URL", catalog_url)
    _forget()
    yield folder / "home"
    monkeypatch.undo()
    _forget()


@pytest.fixture
def home(tmp_path: Path, new_database: MakeDatabase, migrated: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A HUMANNET_HOME for one test."""
    with fresh_home(tmp_path, new_database(migrated), monkeypatch) as made:
        yield made


@pytest.fixture(scope="module")
def shared_home(postgres_home: Path, migrated: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A HUMANNET_HOME for all tests of a module, which must not be in each other's way."""
    with (
        databases(postgres_home) as make,
        pytest.MonkeyPatch.context() as monkeypatch,
        fresh_home(tmp_path_factory.mktemp("shared"), make(migrated), monkeypatch) as made,
    ):
        yield made
