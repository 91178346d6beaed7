"""Migrations, the whole schema, the code's lists and the documents say the same."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from humannet_ops.catalog import connection, migrations, reading
from humannet_ops.domain.outcome import Reason
from humannet_ops.domain.stage import StageSpec, stage_versions
from humannet_ops.local import postgres
from humannet_ops.settings import REPOSITORY, settings

CONTRACT = {
    "v_videos": "video_id, source, origin_uri, title, license, sha256, duration_s, width, height, fps, status, reason",
    "v_clips": "clip_id, video_id, source, origin_uri, start_s, end_s, duration_s, status, reason, viewpoint, scores,"
    " artifact_uri, license, review, redacted_uri",
    "v_review_queue": "clip_id, video_id, source, start_s, end_s, causes, notes, scores, since, waits",
    "v_lineage": "clip_id, seq, stage, stage_version, outcome, reason, scores, policy_version, model_releases, dag_id,"
    " run_id, task_id, try_number, worker, queue, started_at, seconds, code_revision, artifact_uri, artifact_sha256",
    "v_funnel": "stage, outcome, reason, videos, clips, hours",
    "v_annotations": "clip_id, kind, model_release, value, artifact_uri",
    "v_labels": "clip_id, facet, path, l1, l2, l3, confidence, origin, model_release",
    "v_provenance": "video_id, source, origin_uri, canonical_uri, extractor, extractor_id, uploader, uploaded_on,"
    " license, terms, fetched_at, fetched_from, client, sha256, bytes, metadata_uri, gone_at",
    "v_keywords": "keyword, source, parent, proposed_by, proposed_at, status, reason, items, candidates, brought,"
    " fetched, fetched_hours, kept_hours, cost, yield",
    "v_language_usage": "stage, prompt, model, calls, cached, refused, malformed, failed, tokens_in, tokens_out, cost,"
    " seconds",
    "v_takedowns": "takedown_id, scope, target, reason, requested_by, requested_at, videos, videos_cleared, clips,"
    " hours, objects, objects_removed, objects_failed, releases_recalled",
}


def dump(url: str) -> str:
    """Return a database's schema as pg_dump tells it, without what migrations keep for themselves."""
    address = make_url(url)
    text = subprocess.run(
        [postgres.binary("pg_dump"), "--schema-only", "--no-owner", "-h", str(address.query["host"]), "-U", "catalog",
         "--exclude-table=alembic_version", str(address.database)],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    text = re.sub(r"^\\(un)?restrict .*$", "", text, flags=re.M)
    # default privileges give the same grants in another order
    return re.sub(
        r"(?:^GRANT .*\n)+", lambda grants: "\n".join(sorted(grants[0].splitlines())) + "\n", text, flags=re.M
    )


def test_migrations_lead_to_the_schema_files(home: Path, new_database, monkeypatch) -> None:
    migrated = dump(settings().catalog_url)
    whole = new_database()
    monkeypatch.setenv("HUMANNET_CATALOG_URL", whole)
    settings.cache_clear()
    with connection.connect() as link, connection.transaction(link):
        for name in ("roles.sql", "schema.sql", "views.sql", "grants.sql"):
            connection.execute_file(link, REPOSITORY / "sql" / name)
    assert "CREATE TABLE public.outcomes" in migrated
    assert dump(whole) == migrated


def test_upgrading_twice_changes_nothing(home: Path) -> None:
    before = dump(settings().catalog_url)
    migrations.upgrade()
    assert dump(settings().catalog_url) == before
    assert migrations.revisions()[0] == migrations.revisions()[1] is not None


@pytest.mark.parametrize("view", CONTRACT)
def test_views_keep_the_contract(home: Path, view: str) -> None:
    columns, rows = reading.ask(f"select * from {view}")
    assert columns == CONTRACT[view].split(", ")
    assert list(rows) == []


def test_reasons_are_the_same_in_code_sql_and_docs(home: Path) -> None:
    specs = (StageSpec("fetch", "video", 1, "crawl"),)
    migrations.register(specs, stage_versions(specs))
    in_sql = {tuple(row) for row in reading.ask("select reason, outcome, description from reasons")[1]}
    document = (REPOSITORY / "sql" / "README.md").read_text()
    in_docs = set(re.findall(r"^\| `(\w+)` \| (rejected|failed|skipped) \| (.+?) \|$", document, flags=re.M))
    assert in_sql == {(r.value, r.outcome.value, r.description) for r in Reason}
    assert in_docs == in_sql


@pytest.mark.parametrize("example", sorted((REPOSITORY / "sql" / "examples").glob("*.sql")), ids=lambda p: p.stem)
def test_examples_run(home: Path, example: Path) -> None:
    columns, rows = reading.ask(example.read_text())
    assert columns
    assert list(rows) is not None


def test_a_persons_sql_cannot_write(home: Path) -> None:
    with pytest.raises(connection.CatalogError, match="read-only transaction"):
        list(reading.ask("delete from videos returning 1")[1])
