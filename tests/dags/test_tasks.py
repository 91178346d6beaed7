"""What tasks tell Airflow."""

from __future__ import annotations

import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowRescheduleException
from video_site import Fault, Site

from humannet_ops.orchestration import tasks

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
