"""The real way of a video, each step as the role of the service that does it: none needs more than its own."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from humannet_ops.catalog import reading
from humannet_ops.cli import app
from humannet_ops.stages import execution
from humannet_ops.stages.removal import remove_objects
from humannet_ops.web.app import create_app

pytestmark = pytest.mark.corpus


def said(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def test_crawler_and_worker_take_videos_all_the_way(gone_through) -> None:
    assert gone_through.statuses() == {
        "walk again.mp4": ("kept", None),
        "walk.mp4": ("rejected", "duplicate"),
        "smaller.mp4": ("rejected", "near_duplicate"),
    }
    assert dict(reading.ask("select stage, count(*) from outcomes group by 1")[1]).keys() == set(
        execution.registry.STAGES
    )
    # nothing is left open, and nothing comes twice
    assert set(reading.ask("select distinct status from stage_runs")[1]) == {("succeeded",)}
    assert gone_through.go() == Counter()


def test_a_worker_reports_the_failure_of_a_task(gone_through, as_role: Callable[[str], Any]) -> None:
    identity = execution.TaskIdentity("w", dag_id="d", run_id="r", task_id="t", map_index=3, try_number=2)
    for role in ("worker", "crawler"):
        with as_role(role):
            execution.record_task_failure(identity, f"RuntimeError: {role}")
    assert {row[0] for row in reading.ask("select error from task_failures")[1]} == {
        "RuntimeError: worker", "RuntimeError: crawler",
    }  # fmt: skip


def test_a_reader_sees_every_page_and_answer(gone_through, as_role: Callable[[str], Any]) -> None:
    (clip,) = {row[0] for row in reading.ask("select clip_id from v_clips where status = 'kept' limit 1")[1]}
    (video,) = {row[0] for row in reading.ask(f"select video_id from v_clips where clip_id = '{clip}'")[1]}
    with as_role("reader"):
        client = TestClient(create_app(lambda: None))
        pages = ("/", "/sources", "/sources/videos", f"/pictures/clip/{clip}.jpg", f"/clips/{clip}.mp4")
        for page in (*pages, f"/pictures/video/{video}.jpg?at=1"):
            assert client.get(page).status_code == 200, page
        assert "= 1 kept + 2 rejected" in said("status")
        for command in (("sql", "select * from v_funnel"), ("explain", clip), ("lineage", clip), ("lineage", video),
                        ("takedown", "list"), ("keyword", "list"), ("channel", "list"), ("source", "list"),
                        ("source", "faults"), ("status", "--videos"), ("status", "--failures")):  # fmt: skip
            assert said(*command)
        assert "0 artifacts without their object" in said("doctor", "--store")


def test_a_takedown_by_a_reviewer_is_cleared_by_the_crawler(
    gone_through, as_role: Callable[[str], Any], corpus: Path
) -> None:
    shutil.copyfile(corpus / "exo" / "exo_talking_head_640.mp4", gone_through.videos / "head.mp4")
    gone_through.go(until="deduplicate_near")
    (head,) = (row[0] for row in reading.ask("select video_id from v_videos where title = 'head.mp4'")[1])
    with as_role("reviewer"):
        said("takedown", "--video", head, "--reason", "asked for", "--yes", "--no-wait")
    assert "head.mp4" not in gone_through.statuses()
    with as_role("crawler"):
        done = remove_objects()
    assert (done.videos, done.failed) == (1, 0)
    assert done.removed > 1
    # its file is still in the folder; nothing of it comes back
    assert gone_through.go() == Counter()
    (smaller,) = (row[0] for row in reading.ask("select video_id from v_videos where title = 'smaller.mp4'")[1])
    with as_role("reviewer"):
        assert "objects removed" in said("takedown", "--video", smaller, "--reason", "asked for", "--yes")
    assert "0 objects that no outcome names" in said("doctor", "--store")
