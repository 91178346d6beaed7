"""A run that takes too long is told where people look. That Airflow 3.3.2 carries it out: infra/decisions/0011."""

from __future__ import annotations

import importlib
from datetime import timedelta
from typing import Any

import pytest

from humannet_ops.catalog import reading
from humannet_ops.metrics.questions import questions
from humannet_ops.orchestration import factories, tasks
from humannet_ops.orchestration.legs import LEGS, REMOVAL, REVISIT

RUN = {"dag_id": "curate_clips", "dag_run_id": "asset_triggered__x", "state": "running", "partition_key": "2026-01-31"}


def test_every_crawl_and_leg_has_a_deadline_from_its_queueing(dags: dict[str, Any]) -> None:
    late = {dag_id: dag.deadline for dag_id, dag in dags.items() if dag.deadline}
    assert late.keys() == dags.keys() - {REVISIT, REMOVAL}
    assert late.keys() > {leg.dag_id for leg in LEGS}
    for (alert,) in late.values():
        # a run that an asset started has no logical date: the others would be skipped without a word
        assert alert.reference.reference_name == "DagRunQueuedAtDeadline"
        assert alert.interval == timedelta(hours=24)
        module, name = alert.callback.path.rsplit(".", 1)
        assert getattr(importlib.import_module(module), name) is tasks.record_late_run


def test_the_deadline_is_a_setting(monkeypatch: pytest.MonkeyPatch, forget_settings) -> None:
    monkeypatch.setenv("HUMANNET_LEG_DEADLINE_H", "6")
    forget_settings()
    (alert,) = factories.leg_dag("curate_clips", "Doc.").deadline
    assert alert.interval == timedelta(hours=6)
    monkeypatch.undo()
    forget_settings()


def test_a_late_run_is_in_the_log_the_catalog_and_the_metrics(home, caplog: pytest.LogCaptureFixture) -> None:
    from airflow.api_fastapi.core_api.datamodels.dag_run import DAGRunResponse

    # what handle_miss hands to a callback
    assert RUN.keys() <= DAGRunResponse.model_fields.keys()
    tasks.record_late_run(24.0, {"dag_run": RUN, "deadline": {"id": "d", "deadline_time": "2026-02-01T00:00:00Z"}})
    assert "curate_clips asset_triggered__x is too late: crawl day 2026-01-31 is running 24 h after" in caplog.text
    ((task_id, error),) = reading.ask("select task_id, error from task_failures where dag_id = 'curate_clips'")[1]
    assert (task_id, error.split(":")[0]) == ("deadline", "LateRun")
    (asked,) = (question for question in questions() if question.name == "task_failures")
    assert asked.ask() == [{"dag_id": "curate_clips", "task_id": "deadline", "failures": 1}]
