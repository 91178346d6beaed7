"""The real way of a video, each step as the role of the service that does it: none needs more than its own."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chat_server import MODEL, Reply, Request, answer, chat_server
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


def test_a_worker_asks_a_vision_endpoint_where_one_is_named(gone_through, monkeypatch, forget_settings) -> None:
    """Last of all clips' stages are those that ask; nothing else is done again."""
    refuses = Reply(None, refusal="I do not describe people.")
    answers = {
        "caption": answer(short="A woman walks.", long="A woman walks past a wall.", confidence=0.9),
        "motion": answer(
            semantic="walking",
            sequence=[{"start_s": 0, "end_s": 3, "what": "walk"}],
            spatial="to the left",
            confidence=0.8,
        ),
        "motion_leaf": answer(**{"class": "unclear", "confidence": 0.2}),
        "scene": refuses,
        "interaction": answer(classes=[{"class": "locomotion", "confidence": 0.7}]),
    }
    of_label = answer(**{"class": "locomotion/walking", "confidence": 0.6})

    def decide(request: Request) -> Reply:
        if request.name == "motion" and "Which class" in request.text:
            return of_label
        return answers[request.name]

    with chat_server(decide) as server:
        monkeypatch.setenv("HUMANNET_VISION_URL", server.url)
        monkeypatch.setenv("HUMANNET_VISION_MODEL", MODEL)
        forget_settings()
        done = gone_through.go()
        assert {request.pictures for request in server.requests} == {8}
        assert gone_through.go() == Counter()
    again = ["describe_motion", "caption", "label_activity", "label_scene", "label_interactions"]
    assert done == Counter({f"{stage} kept": 1 for stage in again})
    ((short, source),) = reading.ask(
        "select value ->> 'short', value ->> 'source' from v_annotations where kind = 'caption'"
    )[1]
    assert (short, source) == ("A woman walks.", "endpoint")
    motion = "select value ->> 'spatial', model_release from v_annotations where kind = 'motion_text'"
    assert list(reading.ask(motion)[1]) == [("to the left", MODEL)]
    labelled = "select facet, path, origin from v_labels where origin = 'endpoint'"
    assert set(reading.ask(labelled)[1]) == {
        ("motion", "locomotion/walking", "endpoint"), ("interaction", "locomotion", "endpoint"),
    }  # fmt: skip
    # the scene was refused: the texts decide, and the outcome says why
    ((fault,),) = reading.ask(
        "select detail ->> 'message' from outcomes o join stages s using (stage)"
        " where stage = 'label_scene' and stage_version = version"
    )[1]
    assert "I do not describe people" in fault
    counted = "select sum(calls), sum(refused), sum(malformed) from v_language_usage"
    assert list(reading.ask(counted)[1]) == [(6, 1, 0)]


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
