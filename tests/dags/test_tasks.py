"""What tasks tell Airflow."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowRescheduleException, AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse
from video_site import Fault, Site

from humannet_ops.orchestration import tasks
from humannet_ops.stages import execution

SOURCE = """
source: site
kind: ytdlp_channel
description: A site that asks for time.
url: {url}
private_addresses: [127.0.0.1/32]
"""


def test_a_listing_that_must_wait_gives_its_slot_back_and_is_no_failure(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget_settings
) -> None:
    monkeypatch.setenv("HUMANNET_SOURCES_DIR", str(tmp_path))
    forget_settings()
    run = SimpleNamespace(partition_key="2026-01-01", dag_id="crawl_site")
    instance = SimpleNamespace(dag_id="crawl_site", run_id="r", task_id="discover", map_index=-1, try_number=1)
    context = {"dag_run": run, "ti": instance, "task": SimpleNamespace(queue="crawl")}
    monkeypatch.setattr(tasks, "get_current_context", lambda: context)
    with Site() as site:
        (tmp_path / "site.yaml").write_text(SOURCE.format(url=site.url("/feed/all.rss")))
        site.faults["/feed/all.rss"] = Fault(status=429, headers={"Retry-After": "3600"})
        began = datetime.datetime.now(datetime.UTC)
        with pytest.raises(AirflowRescheduleException) as told:
            tasks.discover("site")
    assert datetime.timedelta(minutes=59) < told.value.reschedule_date - began < datetime.timedelta(minutes=62)


def test_a_second_run_of_a_crawl_day_waits_until_the_first_is_over(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states: dict[str, str] = {}

    def state(dag_id: str, run_id: str) -> str:
        assert dag_id == "curate_clips"
        if run_id not in states:
            # as the supervisor passes on the API server's answer
            lost = ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 404, "message": "Not found"})
            raise AirflowRuntimeError(lost)
        return states[run_id]

    def ask(run_id: str, day: str = "2026-01-01", started_s_ago: float = 0) -> None:
        instance = SimpleNamespace(dag_id="curate_clips", run_id=run_id, get_dagrun_state=state)
        started = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=started_s_ago)
        run = SimpleNamespace(partition_key=day, dag_id="curate_clips", start_date=started)
        monkeypatch.setattr(tasks, "get_current_context", lambda: {"dag_run": run, "ti": instance})

    def waits(work: Callable[[], object]) -> float:
        began = datetime.datetime.now(datetime.UTC)
        with pytest.raises(AirflowRescheduleException) as told:
            work()
        return (told.value.reschedule_date - began).total_seconds()

    planned: list[str] = []
    monkeypatch.setattr(execution, "plan", lambda stage, day, *_, **__: planned.append(day) or [{"shard_id": day}])
    monkeypatch.setattr(execution, "due_stages", lambda stages, day: list(stages))
    monkeypatch.setattr(tasks, "identity", lambda _: None)

    def find_due() -> list[str]:
        return tasks.find_due_stages(["detect"])

    def plan() -> list[dict[str, str]]:
        return tasks.plan("detect")

    states["first"] = "running"
    ask("first")
    assert find_due() == ["plan_detect"]
    assert plan() == [{"shard_id": "2026-01-01"}]
    ask("another day's", "2026-01-02")
    assert find_due() == ["plan_detect"]
    ask("second")
    states["second"] = "running"
    assert 9 < waits(find_due) < 12
    # also where find_due failed or was passed over by hand; and who has waited for long looks less often
    ask("second", started_s_ago=1000)
    assert 105 < waits(plan) < 115
    ask("second", started_s_ago=1e5)
    assert 299 < waits(find_due) < 302
    ask("third")
    assert find_due() == []
    assert plan() == []
    states["first"] = "failed"
    ask("second")
    assert find_due() == ["plan_detect"]
    # a run that somebody deleted in Airflow holds up nobody
    del states["second"]
    ask("fourth")
    assert find_due() == ["plan_detect"]
    # one that was cleared may have to wait until those that ask for its turn have ended
    states |= {"fourth": "queued", "fifth": "running"}
    ask("fifth")
    assert find_due() == ["plan_detect"]
    states["fourth"] = "running"
    ask("fourth")
    assert waits(plan) > 0
    assert planned == ["2026-01-01"]
