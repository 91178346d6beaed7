"""Rates are exactly what a small catalog has: seconds, subjects, objects and rows an hour of video."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg2.extensions
import pytest
from counted_corpus import STAGES, Counted, outcome
from psycopg2.extras import execute_values
from typer.testing import CliRunner

from humannet_ops.catalog import migrations
from humannet_ops.catalog.connection import connect, transaction
from humannet_ops.cli import app
from humannet_ops.domain.stage import stage_versions
from humannet_ops.fleet import rates
from humannet_ops.settings import settings

VERSIONS = stage_versions(STAGES)
RAN = ("fetch", "analyse", "decide", "cut")


def write(made: Counted) -> None:
    with connect() as link, transaction(link), link.cursor() as cursor:
        for table, rows in made.rows.items():
            execute_values(cursor, f"INSERT INTO {table} VALUES %s", rows)


@pytest.fixture
def small(home: Path) -> None:
    """Two videos of 900 s with two clips of 90 s each, of which one was cut, in runs that took 5 s beside the work."""
    migrations.register(STAGES, VERSIONS)
    made = Counted()
    made.add("sources (source, kind, uri)", "s", "folder", "file:///s")
    for stage in RAN:
        # one cut at an older version is among them
        subjects = {"fetch": 2, "analyse": 2, "decide": 4, "cut": 2}[stage]
        made.add(
            "shards (shard_id, stage, stage_version, partition_key, label)",
            f"s_{stage}", stage, VERSIONS[stage], "2026-03-01", "all",
        )  # fmt: skip
        made.add(
            "stage_runs (stage_run_id, shard_id, stage, stage_version, worker, code_revision, status, started_at, "
            "ended_at)",
            f"r_{stage}", f"s_{stage}", stage, VERSIONS[stage], "test", "revision", "succeeded",
            "2026-03-01T12:00:00Z", f"2026-03-01T12:00:{5 + subjects / 10:04.1f}Z",
        )  # fmt: skip
    for video in ("v1", "v2"):
        made.add(
            "videos (video_id, source, origin_uri, version, signature, partition_key, duration_s)",
            video, "s", f"file:///s/{video}", 1, "1", "2026-03-01", 900.0,
        )  # fmt: skip
        outcome(made, VERSIONS, "fetch", video, video)
        outcome(made, VERSIONS, "analyse", video, video)
        for number in range(2):
            clip = f"c{video}{number}"
            made.add(
                "clips (clip_id, video_id, shot, start_frame, end_frame, start_s, end_s, analyse_version)",
                clip, video, 0, 0, 2700, 0.0, 90.0, VERSIONS["analyse"],
            )  # fmt: skip
            outcome(made, VERSIONS, "decide", clip, video)
    outcome(made, VERSIONS, "cut", "cv10", "v1")
    # equal content is one object
    for uri, size in (("file:///o/1", 1000), ("file:///o/2", 500)):
        made.add("artifacts (uri, sha256, kind, bytes, media_type)", uri, uri, "source", size, "video/mp4")
    for stage, subject, uri in (("fetch", "v1", "1"), ("fetch", "v2", "1"), ("cut", "cv10", "2")):
        made.add(
            "outcome_artifacts (stage, subject_id, stage_version, kind, uri)",
            stage, subject, VERSIONS[stage], "source", f"file:///o/{uri}",
        )  # fmt: skip
    # an outcome of an older version does not count
    outcome(made, {"cut": "0-old"}, "cut", "cv11", "v1")
    write(made)


@pytest.mark.usefixtures("small")
def test_rates_are_what_was_written(as_role: Callable[[str], AbstractContextManager[None]]) -> None:
    with as_role("reader"):
        found = rates.measure("a machine")
    assert (found.machine, found.hours, found.videos, found.video_s) == ("a machine", 0.5, 2, 900)
    by_name = {rate.stage: rate for rate in found.stages}
    assert tuple(by_name) == RAN
    assert {name: (r.subjects, r.worked) for name, r in by_name.items()} == {
        "fetch": (4, 4), "analyse": (4, 4), "decide": (8, 8), "cut": (2, 2),
    }  # fmt: skip
    assert {name: r.work_s for name, r in by_name.items()} == pytest.approx(
        {"fetch": 0.4, "analyse": 0.4, "decide": 0.8, "cut": 0.2}
    )
    # a video of unknown length counts as 20 s before it is fetched
    assert [r.planned_s for r in found.stages] == [80, 3600, 720, 180]
    assert [r.overhead_s for r in found.stages] == pytest.approx([5, 5, 5, 5])
    assert {name: (r.leg, r.queue, r.subject, r.needs) for name, r in by_name.items()} == {
        "fetch": ("crawl", "crawl", "video", ()),
        "analyse": ("analyse_videos", "cpu", "video", ("fetch",)),
        "decide": ("curate_clips", "cpu", "clip", ("analyse",)),
        "cut": ("curate_clips", "cpu", "clip", ("decide",)),
    }
    assert "deduplicate_near" in found.missing
    assert not set(RAN) & set(found.missing)
    assert [(o.stage, o.kind, o.objects, o.bytes) for o in found.objects] == [
        ("fetch", "source", 2, 2000), ("cut", "source", 2, 1000),
    ]  # fmt: skip


@pytest.mark.usefixtures("small")
def test_tables_are_counted_with_partitions_and_indexes() -> None:
    small_tables = {table.table: table for table in rates.measure("").tables}
    assert {name: table.rows for name, table in small_tables.items()} == {
        "videos": 4, "clips": 8, "outcomes": 20, "shards": 8, "stage_runs": 8, "artifacts": 4, "outcome_artifacts": 6,
    }  # fmt: skip
    with connect() as link, transaction(link):
        _fill(link, 20_000)
    with connect() as link, transaction(link), link.cursor() as cursor:
        cursor.execute("SELECT pg_total_relation_size('outcomes_label_activity')::float8 AS size")
        total = cursor.fetchone()["size"]
    found = {table.table: table for table in rates.measure("").tables}["outcomes"]
    # nearly all of the bytes are in the partition that was filled
    assert found.bytes_per_row * found.rows * 0.5 == pytest.approx(total, rel=0.05)


def _fill(link: psycopg2.extensions.connection, count: int) -> None:
    with link.cursor() as cursor:
        cursor.execute(
            "INSERT INTO outcomes (stage, stage_version, subject_id, video_id, outcome, stage_run_id, started_at, "
            "seconds) SELECT 'label_activity', 'v', 'c' || n, 'v1', 'kept', 'r_cut', now(), 1 "
            "FROM generate_series(1, %s) n",
            (count,),
        )


@pytest.mark.usefixtures("home")
def test_an_empty_catalog_says_what_to_do() -> None:
    result = CliRunner().invoke(app, ["plan", "--hours", "1e6", "--deadline", "30d"])
    assert result.exit_code == 1
    assert "`make run` first, or give --rates" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.usefixtures("small")
def test_rates_of_the_catalog_are_saved_and_planned_with(tmp_path: Path) -> None:
    saved = tmp_path / "rates.json"
    asked = ["plan", "--hours", "1e4", "--deadline", "30d", "--json", "--no-simulate"]
    direct = CliRunner().invoke(app, [*asked, "--save-rates", str(saved)])
    assert direct.exit_code == 0, direct.output
    assert rates.load(saved).hours == 0.5
    again = CliRunner().invoke(app, [*asked, "--rates", str(saved)])
    assert json.loads(again.stdout) == json.loads(direct.stdout)
    assert not list(settings().home.glob("*.json"))
