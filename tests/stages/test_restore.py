"""The runbook infra/runbooks/restore.md, drilled: dump, drop, restore, doctor; and what is not of one moment."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url
from typer.testing import CliRunner

from humannet_ops.catalog import reading
from humannet_ops.cli import app
from humannet_ops.local import postgres
from humannet_ops.settings import settings
from humannet_ops.stages import execution
from humannet_ops.storage import open_store

pytestmark = pytest.mark.corpus


class Backup:
    """A dump of the catalog and a copy of the store, as the runbook makes and restores them."""

    def __init__(self, folder: Path, postgres_home: Path) -> None:
        self.dump, self.store = folder / "catalog.dump", folder / "store"
        self.name = str(make_url(settings().catalog_url).database)
        self.where = {"PGHOST": str(postgres.socket_directory(postgres_home)), "PGUSER": "postgres"}

    def make(self) -> None:
        """The catalog first: then every object that it names is in the store's copy, which is made after."""
        self.run("pg_dump", "--format=custom", f"--file={self.dump}", self.name)
        shutil.copytree(settings().store, self.store)

    def restore_catalog(self) -> None:
        self.run("dropdb", "--force", self.name)
        self.run("pg_restore", "--create", "--exit-on-error", "--dbname=postgres", str(self.dump))

    def restore_store(self) -> None:
        shutil.rmtree(settings().store)
        shutil.copytree(self.store, settings().store)

    def schema(self) -> str:
        """Everything but the rows: tables, views, who may what, also of the database itself."""
        kept = ("SET ", "\\", "--")
        text = self.run("pg_dump", "--schema-only", "--create", self.name)
        return "\n".join(line for line in text.splitlines() if not line.startswith(kept))

    def run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [postgres.binary(program), *arguments], env={**os.environ, **self.where}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def doctor() -> tuple[int, str]:
    result = CliRunner().invoke(app, ["doctor", "--store"])
    return result.exit_code, result.stdout


def rows() -> dict[str, int]:
    tables = [row[0] for row in reading.ask("select relname from pg_class where relkind = 'r' and "
                                            "relnamespace = 'public'::regnamespace")[1]]  # fmt: skip
    return {name: next(iter(reading.ask(f"select count(*) from {name}")[1]))[0] for name in tables}


@pytest.fixture
def backup(gone_through, postgres_home: Path, tmp_path: Path) -> Backup:
    made = Backup(tmp_path, postgres_home)
    made.make()
    return made


def test_a_dropped_catalog_comes_back_whole(gone_through, backup: Backup, as_role: Callable[[str], Any]) -> None:
    before, schema, statuses = rows(), backup.schema(), gone_through.statuses()
    assert schema.count("GRANT ") > 50
    backup.restore_catalog()
    assert backup.schema() == schema
    assert rows() == before
    code, text = doctor()
    assert code == 0, text
    assert "work due               nothing" in text
    assert execution.due_partitions() == []
    # each step as its role: their privileges came back too
    assert gone_through.go() == Counter()
    assert gone_through.statuses() == statuses
    with as_role("worker"):
        execution.record_task_failure(execution.TaskIdentity("w", "d", "r", "t"), "after the restore")


def test_a_catalog_older_than_its_store_names_the_objects_again(gone_through, backup: Backup, corpus: Path) -> None:
    shutil.copyfile(corpus / "exo" / "exo_talking_head_640.mp4", gone_through.videos / "later.mp4")
    assert gone_through.go(until="deduplicate_near")["fetch kept"] == 1
    backup.restore_catalog()
    assert "later.mp4" not in gone_through.statuses()
    later = set(open_store().objects()) - set(reading.artifact_uris())
    code, text = doctor()
    assert code == 1
    assert f"{len(later)} objects that no outcome names, first {min(later)}" in text
    assert "Let what is due run first, which names most of them again" in text
    # its file is crawled again, and the same work gives the same objects
    assert gone_through.go()["fetch kept"] == 1
    assert later & set(reading.artifact_uris())
    code, text = doctor()
    assert "0 artifacts without their object" in text
    left = set(open_store().objects()) - set(reading.artifact_uris())
    assert f"{len(left)} objects that no outcome names" in text
    assert left < later
    said = CliRunner().invoke(app, ["store", "orphans", "--delete", "--yes"])
    assert set(said.stdout.split()) == left
    assert doctor()[0] == 0


def test_a_store_older_than_its_catalog_is_worked_for_again(
    gone_through, backup: Backup, as_role: Callable[[str], Any]
) -> None:
    statuses = gone_through.statuses()
    # what was stored after the store's copy: of every kind one object, an annotation's too
    by_kind = {uri.split("/")[-3]: uri for uri in reading.artifact_uris()}
    assert {"video", "clip", "people", "body_tracks", "sampled_frames"} <= by_kind.keys()
    for uri in by_kind.values():
        open_store().delete(uri)
    code, text = doctor()
    assert code == 1
    assert f"{len(by_kind)} artifacts without their object, first {min(by_kind.values())}" in text
    assert "`humannet retry --lost`" in text
    # what failed is not what is lost
    assert "Nothing has failed." in CliRunner().invoke(app, ["retry"]).stdout
    refused = CliRunner().invoke(app, ["retry", "--lost"])
    assert refused.exit_code == 1
    assert "give --yes" in refused.stderr
    with as_role("reviewer"):
        said = CliRunner().invoke(app, ["retry", "--lost", "--yes"]).stdout
    assert f"{len(by_kind)} objects are lost" in said
    assert "outcomes are forgotten and due again" in said
    assert "No object is lost." in CliRunner().invoke(app, ["retry", "--lost"]).stdout
    assert execution.due_partitions() == ["2026-01-01"]
    done = gone_through.go()
    assert done["fetch kept"] == done["cut kept"] == 1
    assert gone_through.go() == Counter()
    assert gone_through.statuses() == statuses
    code, text = doctor()
    assert "0 artifacts without their object" in text
    backup.restore_catalog()
    backup.restore_store()
    assert doctor()[0] == 0


def test_another_store_is_not_a_lost_one(gone_through, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("HUMANNET_STORE_URL", str(tmp_path / "empty"))
        settings.cache_clear()
        refused = CliRunner().invoke(app, ["retry", "--lost", "--yes"])
        assert refused.exit_code == 1
        assert "check HUMANNET_STORE_URL" in refused.stderr
    settings.cache_clear()
    assert doctor()[0] == 0
