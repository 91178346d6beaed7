"""Every log line of a stage run names its shard, run, subject and video: in Airflow's JSON and for people."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from humannet_ops.catalog import reading
from humannet_ops.stages import execution

IDS = {"shard_id", "stage", "stage_run_id"}
# What a task's process does before it runs the task (airflow.sdk.execution_time.task_runner.main).
IN_A_TASK = """
import sys
from airflow.sdk.log import configure_logging
configure_logging(json_output=True, output=sys.stdout.buffer, sending_to_supervisor=True)
import logging
from humannet_ops.stages import execution
try:
    execution.run_shard(sys.argv[1], execution.person())
finally:
    logging.getLogger("airflow.task").info("after it")
"""


def task_log(shard_id: str, **environment: str) -> list[dict[str, str]]:
    """Run a shard as a task's process does, and return its log."""
    ran = subprocess.run(
        [sys.executable, "-c", IN_A_TASK, shard_id],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    return [json.loads(line) for line in ran.stdout.splitlines()]


@pytest.fixture
def planned(way, corpus: Path, tmp_path: Path, monkeypatch):
    """Two videos, one of them no video, and the shard that fetches both."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    monkeypatch.setenv("AIRFLOW__LOGGING__BASE_LOG_FOLDER", str(tmp_path / "logs"))
    shutil.copyfile(corpus / "exo/exo_talking_head_640.mp4", way.videos / "good.mp4")
    (way.videos / "bad.mp4").write_bytes(b"no video")
    execution.discover("videos", "2026-01-01", execution.person())
    (shard,) = execution.plan("fetch", "2026-01-01", execution.person())
    return shard["shard_id"]


def test_a_tasks_json_lines_name_shard_run_and_subject(planned: str) -> None:
    lines = task_log(planned)
    ((run_id,),) = reading.ask("select stage_run_id from stage_runs")[1]
    ended = {line["subject_id"]: line for line in lines if line["logger"] == execution.logger.name}
    videos = {row["video_id"]: row["status"] for row in reading.rows("videos", source=None)}
    assert ended.keys() == videos.keys()
    assert sorted(videos.values()) == ["failed", "pending"]
    for subject_id, line in ended.items():
        assert {name: line[name] for name in (*IDS, "video_id")} == {
            "shard_id": planned, "stage": "fetch", "stage_run_id": run_id, "video_id": subject_id,
        }  # fmt: skip
    # what comes after it is about something else
    assert not (IDS | {"subject_id", "video_id"}) & lines[-1].keys()
    assert lines[-1]["event"] == "after it"


def test_what_fails_the_task_is_told_with_its_shard(planned: str) -> None:
    lines = task_log(planned, HUMANNET_STORE_URL="ftp://nowhere")
    ((run_id, error),) = reading.ask("select stage_run_id, error from stage_runs")[1]
    assert "StoreError" in error
    # up to the traceback that Airflow's own code writes
    assert [line["event"] for line in lines[-2:]] == ["after it", "Unhandled exception"]
    assert {(line["shard_id"], line["stage_run_id"]) for line in lines[-2:]} == {(planned, run_id)}


def test_stage_run_tells_people_the_same(planned: str) -> None:
    (video_id,) = (row["video_id"] for row in reading.rows("videos", source=None) if row["title"] == "good.mp4")

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        script = "from humannet_ops.cli import main; main()"
        command = [sys.executable, "-c", script, "stage", "run", "fetch", "--video", video_id, *options]
        return subprocess.run(command, env=os.environ, capture_output=True, text=True, check=True)

    told = run("--verbose").stderr
    ((shard_id, run_id),) = reading.ask("select shard_id, stage_run_id from stage_runs")[1]
    (line,) = (line for line in told.splitlines() if "kept" in line)
    for pair in (f"shard_id={shard_id}", f"stage_run_id={run_id}", f"subject_id={video_id}", "stage=fetch"):
        assert pair in line
    assert run().stderr == ""
