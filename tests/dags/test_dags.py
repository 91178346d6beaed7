"""Every DAG as its users see it: read without error, documented, owned, patient, and recording its failures."""

from __future__ import annotations

import ast
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from humannet_ops.orchestration import dag_list, tasks
from humannet_ops.orchestration.legs import FETCHED, LEGS, POOLS, REMOVAL, REVISIT, STATISTICS, crawl_dag_id
from humannet_ops.settings import REPOSITORY, settings
from humannet_ops.sources import config
from humannet_ops.stages import registry

DAG_FILES = sorted((REPOSITORY / "dags").glob("*.py"))


def test_every_leg_and_every_source_has_its_dag(dags: dict[str, Any]) -> None:
    crawls = {crawl_dag_id(path.stem) for path in config.files()}
    expected = {leg.dag_id for leg in LEGS} | {STATISTICS, REVISIT, REMOVAL} | crawls
    assert set(dags) == expected


def test_the_legs_hold_every_stage_once_in_order() -> None:
    assert ("fetch", *(stage for leg in LEGS for stage in leg.stages)) == registry.STAGES


def test_each_leg_follows_what_the_one_before_announces() -> None:
    assert [leg.follows for leg in LEGS] == [FETCHED, *(leg.announces for leg in LEGS[:-1])]


def test_every_dag_says_what_it_is_and_whose(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        assert dag.doc_md, dag.dag_id
        assert len(dag.doc_md.splitlines()) > 3, dag.dag_id
        assert dag.description, dag.dag_id
        assert "humannet" in dag.tags, dag.dag_id
        assert dag.catchup is False, dag.dag_id
        assert all(task.owner != "airflow" for task in dag.tasks), dag.dag_id


def test_every_task_is_retried_with_backoff_ends_in_time_and_records_its_failure(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        for task in dag.tasks:
            name = f"{dag.dag_id}.{task.task_id}"
            assert task.retries >= 2, name
            assert task.retry_delay >= timedelta(seconds=5), name
            assert task.retry_exponential_backoff > 1, name
            assert task.max_retry_delay <= timedelta(minutes=30), name
            assert timedelta(0) < task.execution_timeout <= timedelta(hours=24), name
            assert _callbacks(task.on_failure_callback) == [tasks.record_failure], name
            assert _callbacks(task.on_retry_callback) == [tasks.record_failure], name


def _callbacks(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def test_a_stage_runs_on_its_queue_in_its_pool_named_by_its_shard(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        for task in dag.tasks:
            if not task.is_mapped:
                continue
            queue = registry.spec(task.task_id).queue
            assert task.queue == queue
            assert task.pool == (queue if queue in POOLS else "default_pool")
            assert "shard" in task.partial_kwargs["map_index_template"]


def test_nothing_stops_the_announcement_but_any_failure_fails_the_run(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        if dag.dag_id in (REMOVAL, STATISTICS):
            # on nobody's way
            continue
        tasks_by_id = dag.task_dict
        assert tasks_by_id["announce"].trigger_rule == "all_done"
        assert [task.task_id for task in dag.leaves] == ["verdict"]
        verdict = tasks_by_id["verdict"]
        assert verdict.trigger_rule == "none_failed"
        # a task that the verdict does not look at itself fails one that it does: a plan fails its mapped stage
        judged = set(verdict.upstream_task_ids)
        for task in dag.tasks:
            if task.task_id == "find_due" and dag.dag_id != REVISIT:
                # if it fails every stage is planned; and what follows it alone would be skipped where nothing is due
                plans = [tasks_by_id[name] for name in task.downstream_task_ids]
                assert {plan.task_id.removeprefix("plan_") for plan in plans} == judged - {"announce"}
                assert {plan.trigger_rule for plan in plans} == {"all_done"}
            elif task.task_id not in judged and task.task_id != "verdict":
                assert task.task_id.startswith("plan_")
                assert task.task_id.removeprefix("plan_") in judged
                assert tasks_by_id[task.task_id.removeprefix("plan_")].trigger_rule == "all_success"


def test_crawls_are_partitioned_by_day_and_legs_follow_their_asset(dags: dict[str, Any]) -> None:
    for leg in LEGS:
        timetable = dags[leg.dag_id].timetable
        assert type(timetable).__name__ == "PartitionedAssetTimetable"
        assert timetable.asset_condition.uri.rstrip("/") == leg.follows
        outlets = dags[leg.dag_id].task_dict["announce"].outlets
        assert [asset.uri.rstrip("/") for asset in outlets] == [leg.announces]
    counting = dags[STATISTICS].timetable
    assert type(counting).__name__ == "PartitionedAssetTimetable"
    assert counting.asset_condition.uri.rstrip("/") == LEGS[-1].announces
    for path in config.files():
        timetable = dags[crawl_dag_id(path.stem)].timetable
        assert type(timetable).__name__ == "CronPartitionTimetable"
        assert timetable.key_format == "%Y-%m-%d"


def test_the_list_of_dags_is_up_to_date(dags: dict[str, Any]) -> None:
    written = dag_list.README.read_text()
    assert written == dag_list.render(list(dags.values())), (
        "dags/README.md is out of date: python -m humannet_ops.orchestration.dag_list"
    )


@pytest.mark.parametrize("path", DAG_FILES, ids=lambda path: path.stem)
def test_a_dag_file_is_thin(path: Path) -> None:
    tree = ast.parse(path.read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= {"humannet_ops.orchestration.factories", "humannet_ops.sources"}
    assert len(path.read_text().splitlines()) < 40
    assert "airflow" in path.read_text().lower(), "Airflow passes over files that do not mention it"


def test_a_broken_source_takes_no_other_dag_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = (REPOSITORY / "dags" / "sources" / "samples.yaml").read_text()
    (tmp_path / "good.yaml").write_text(good.replace("source: samples", "source: good"))
    (tmp_path / "no cron.yaml").write_text('source: x\nkind: folder\npath: /x\ndescription: d\nschedule: "often"\n')
    (tmp_path / "torn.yaml").write_text("source: [")
    monkeypatch.setattr(settings(), "sources_dir", tmp_path)
    space: dict[str, Any] = {}
    code = (REPOSITORY / "dags" / "crawl_sources.py").read_text()
    exec(compile(code, "crawl_sources.py", "exec"), space)
    found = {name: dag for name, dag in space.items() if name.startswith("crawl_") and name != "crawl_dag"}
    assert set(found) == {"crawl_good", "crawl_no_cron", "crawl_torn"}
    assert "broken" not in found["crawl_good"].tags
    assert "broken" in found["crawl_torn"].tags
    assert "schedule" in found["crawl_no_cron"].description
    assert "five fields" in found["crawl_no_cron"].doc_md
