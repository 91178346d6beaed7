"""What `humannet metrics` tells Prometheus is what the catalog holds, and a scrape never waits for it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator

import psycopg2
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.engine import make_url
from test_planning import Platform, analysed, discover, fetched, pipeline

from humannet_ops.catalog import measuring, planning, reading, recording, takedowns
from humannet_ops.catalog.connection import CatalogError, connect, queries
from humannet_ops.domain.identifiers import new_run_id
from humannet_ops.domain.outcome import Reason
from humannet_ops.domain.records import failed, kept, rejected
from humannet_ops.metrics.collector import Exporter
from humannet_ops.metrics.questions import Measure, Question, questions
from humannet_ops.settings import settings

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
SCRIPT = "from humannet_ops.cli import main; main()"


def scraped(text: str | None = None) -> Samples:
    """Ask everything once and read the metrics as Prometheus does."""
    if text is None:
        exporter, registry = Exporter(questions()), CollectorRegistry()
        exporter.ask_all()
        assert {asked.question.name: asked.said for asked in exporter.asked if asked.said} == {}
        registry.register(exporter)
        text = generate_latest(registry).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(samples: Samples, name: str, **labels: str) -> dict[tuple[str, ...], float]:
    """Return a metric's samples that have these labels, by their other labels' values."""
    found = {}
    for (metric, pairs), value in samples.items():
        if metric == name and labels.items() <= dict(pairs).items():
            found[tuple(value for label, value in pairs if label not in labels)] = value
    return found


def change(statement: str, *values: object) -> None:
    """Change rows behind the catalog's back, as time does."""
    with connect() as link, link, link.cursor() as cursor:
        cursor.execute(statement, values)


@pytest.fixture
def platform(home) -> Platform:
    return Platform(pipeline())


@pytest.fixture
def busy(platform: Platform) -> Platform:
    """Three videos: one kept whole, one with a rejected clip, one that could not be fetched; each is 20 s long."""
    discover("a", "b", "c")
    platform.run("fetch", lambda s: fetched(s) if s.title != "c" else failed(Reason.UNREACHABLE, "no answer"))
    platform.run("analyse", analysed((0, 300), (300, 600)))
    platform.run("decide", lambda s: rejected(Reason.NO_MOTION) if s.video.title == "b" and s.start_frame else kept())
    platform.run("cut", lambda _s: kept())
    return platform


def test_hours_and_outcomes_are_the_catalogs(busy: Platform) -> None:
    samples = scraped()
    in_hours, kept_hours = reading.row("ledger", source=None)["hours"], reading.row("clip_ledger", source=None)
    assert of(samples, "humannet_hours", source="videos") == {
        ("in",): pytest.approx(in_hours), ("kept",): pytest.approx(kept_hours["kept_hours"])
    }  # fmt: skip
    assert in_hours == pytest.approx(40 / 3600)
    assert kept_hours["kept_hours"] == pytest.approx(30 / 3600)
    assert of(samples, "humannet_videos") == {("videos",): 3}
    funnel = {
        (row["outcome"], row["reason"] or "", row["stage"]): row["clips"] or row["videos"]
        for row in reading.rows("funnel", source=None)
    }
    assert of(samples, "humannet_outcomes") == funnel
    for window in ("1h", "24h"):
        assert of(samples, "humannet_recent_outcomes", window=window) == funnel
        # 20 s of each fetched video in, 10 s of each kept clip out, 0.5 s of work for each
        assert of(samples, "humannet_recent_hours", window=window, source="videos") == {
            ("in",): pytest.approx(40 / 3600), ("kept",): pytest.approx(30 / 3600)
        }  # fmt: skip
        work = of(samples, "humannet_recent_stage_seconds", window=window, stage="decide")
        assert work == {("kept", ""): 1.5, ("rejected", "no_motion"): 0.5}
        video = of(samples, "humannet_recent_stage_hours", window=window, stage="decide")
        assert sum(video.values()) == pytest.approx(40 / 3600)
    assert samples["humannet_catalog_up", ()] == 1
    assert set(of(samples, "humannet_metrics_errors_total").values()) == {0}


def test_what_is_older_than_the_window_is_in_the_totals_alone(busy: Platform) -> None:
    change("UPDATE outcomes SET recorded_at = now() - interval '2 hours' WHERE stage = 'fetch'")
    change("UPDATE stage_runs SET started_at = now() - interval '3 hours', ended_at = now() - interval '2 hours' "
           "WHERE stage = 'fetch'")  # fmt: skip
    samples = scraped()
    assert of(samples, "humannet_recent_outcomes", window="1h", stage="fetch") == {}
    assert of(samples, "humannet_recent_hours", window="1h", source="videos") == {("kept",): pytest.approx(30 / 3600)}
    assert of(samples, "humannet_recent_worker_seconds", window="1h", stage="fetch") == {}
    assert of(samples, "humannet_recent_outcomes", window="24h", stage="fetch") == {
        ("failed", "unreachable"): 1, ("kept", ""): 2
    }  # fmt: skip
    (seconds,) = of(samples, "humannet_recent_worker_seconds", window="24h", stage="fetch").values()
    assert seconds == pytest.approx(3600, abs=1)
    assert of(samples, "humannet_outcomes", stage="fetch") == {("failed", "unreachable"): 1, ("kept", ""): 2}


def due(samples: Samples) -> dict[str, float]:
    return {stage: number for (_queue, stage), number in of(samples, "humannet_due_subjects").items()}


def planned(platform: Platform) -> dict[str, int]:
    """Return what a plan of each stage would hold, and take the plans back."""
    found = {}
    for stage in platform.specs:
        shards = [shard.shard_id for shard in platform.plan(stage)]
        ((number,),) = reading.ask(f"select count(*) from shard_subjects where shard_id = any(array{shards}::text[])")[
            1
        ]
        if number:
            found[stage] = number
        change("DELETE FROM shards WHERE shard_id = ANY (%s)", shards)
    return found


def test_due_is_what_a_plan_would_hold(platform: Platform) -> None:
    discover("a", "b", "c")
    assert due(scraped()) == planned(platform) == {"fetch": 3}
    platform.run("fetch", lambda s: fetched(s) if s.title != "c" else failed(Reason.UNREACHABLE, "no answer"))
    assert due(scraped()) == planned(platform) == {"fetch": 1, "analyse": 2}
    platform.run("analyse", analysed((0, 300), (300, 600)))
    assert due(scraped()) == planned(platform) == {"fetch": 1, "decide": 4}
    platform.run("decide", lambda s: kept() if s.start_frame == 0 else rejected(Reason.NO_MOTION))
    assert due(scraped()) == planned(platform) == {"fetch": 1, "cut": 2}
    # tried as often as it may be: a person's turn, not due
    change("UPDATE attempts SET attempts = 3")
    assert due(scraped()) == planned(platform) == {"cut": 2}
    change("INSERT INTO postponements (stage, subject_id, until, cause, message) "
           "SELECT 'cut', clip_id, now() + interval '1 hour', 'quiet_hours', '' FROM clips")  # fmt: skip
    samples = scraped()
    assert due(samples) == planned(platform) == {}
    assert of(samples, "humannet_postponed_subjects") == {("quiet_hours", "cut"): 4}
    # another version of a stage: its work is due again
    change("DELETE FROM postponements")
    newer = Platform(pipeline(analyse_revision=2))
    assert due(scraped()) == planned(newer) == {"analyse": 2}


def test_the_oldest_due_subject_waits_since_it_could_have_been_done(busy: Platform) -> None:
    discover("d")
    change("UPDATE videos SET discovered_at = now() - interval '5 hours'")
    change("DELETE FROM outcomes WHERE stage = 'cut'")
    change("UPDATE outcomes SET recorded_at = now() - interval '2 hours' WHERE stage IN ('analyse', 'decide')")
    change("UPDATE outcomes SET recorded_at = now() - interval '4 hours' WHERE stage = 'fetch'")
    oldest = of(scraped(), "humannet_oldest_due_subject_seconds")
    assert oldest == {("crawl", "fetch"): pytest.approx(5 * 3600, abs=5), ("cpu", "cut"): pytest.approx(7200, abs=5)}


def begin(shard: planning.Shard, queue: str) -> recording.StageRun:
    run = recording.StageRun(new_run_id(), shard)
    with connect() as link:
        recording.start_run(link, run, recording.TaskIdentity("test", queue=queue), "revision")
    return run


def test_runs_under_way_and_those_that_died(platform: Platform, monkeypatch, forget_settings) -> None:
    discover("a", "b")
    (shard,) = platform.plan("fetch")
    change("UPDATE shards SET planned_at = now() - interval '10 minutes'")
    samples = scraped()
    assert of(samples, "humannet_waiting_shards") == {("crawl", "fetch"): 1}
    waits = of(samples, "humannet_oldest_waiting_shard_seconds")
    assert waits == {("crawl", "fetch"): pytest.approx(600, abs=5)}
    begin(shard, "crawl")
    samples = scraped()
    assert of(samples, "humannet_waiting_shards") == {}
    assert of(samples, "humannet_running_stage_runs") == {("crawl", "fetch"): 1}
    assert of(samples, "humannet_stale_stage_runs") == {("crawl", "fetch"): 0}
    # the worker died and Airflow tried again: the first run never ends by itself
    change("UPDATE stage_runs SET started_at = now() - interval '30 minutes'")
    begin(shard, "crawl")
    change(
        "UPDATE stage_runs SET started_at = now() - interval '20 minutes' WHERE started_at > now() - interval '9 min'"
    )
    monkeypatch.setenv("HUMANNET_WORKER_PRICES", "crawl=0.5, gpu=2")
    forget_settings()
    samples = scraped()
    assert of(samples, "humannet_running_stage_runs") == {("crawl", "fetch"): 1}
    assert of(samples, "humannet_stale_stage_runs") == {("crawl", "fetch"): 1}
    assert of(samples, "humannet_oldest_stage_run_seconds") == {("crawl", "fetch"): pytest.approx(1200, abs=5)}
    held = of(samples, "humannet_recent_worker_seconds", window="1h")
    assert held == {("crawl", "fetch", "running"): pytest.approx(1200, abs=5)}
    assert of(samples, "humannet_worker_price_per_hour") == {("crawl",): 0.5, ("gpu",): 2.0}
    cost = of(samples, "humannet_recent_cost", window="24h")
    assert cost == {("crawl", "fetch", "running"): pytest.approx(0.5 / 3, abs=0.01)}
    change("UPDATE stage_runs SET started_at = now() - interval '13 hours'")
    samples = scraped()
    assert of(samples, "humannet_running_stage_runs") == {("crawl", "fetch"): 0}
    assert of(samples, "humannet_stale_stage_runs") == {("crawl", "fetch"): 2}


def test_without_prices_there_is_no_cost(busy: Platform) -> None:
    samples = scraped()
    assert of(samples, "humannet_recent_worker_seconds", window="1h") != {}
    assert of(samples, "humannet_recent_cost") == of(samples, "humannet_worker_price_per_hour") == {}


def test_takedowns_are_open_until_their_objects_are_gone(busy: Platform) -> None:
    assert of(scraped(), "humannet_open_takedowns") == {(): 0}
    (video_id,) = next(iter(reading.ask("select video_id from videos where title = 'a'")[1]))
    takedowns.take_down("video", video_id, reason="asked", requested_by="test")
    assert of(scraped(), "humannet_open_takedowns") == {(): 1}
    change(
        "INSERT INTO object_removals (uri, takedown_id, kind, bytes, queued_at, error) "
        "SELECT 'file:///store/other', takedown_id, 'video', 1, now() - interval '1 hour', 'refused' FROM takedowns"
    )
    change("UPDATE videos SET cleared_at = now() WHERE takedown_id IS NOT NULL")
    samples = scraped()
    assert of(samples, "humannet_open_takedowns") == {(): 1}
    assert of(samples, "humannet_takedown_objects")[("refused",)] == 1
    assert samples["humannet_oldest_takedown_object_seconds", ()] == pytest.approx(3600, abs=5)
    change("UPDATE object_removals SET removed_at = now()")
    assert of(scraped(), "humannet_open_takedowns") == {(): 0}


def test_failed_tries_are_counted_by_dag_and_task(platform: Platform) -> None:
    who = recording.TaskIdentity("w", dag_id="curate_clips", run_id="r", task_id="detect", map_index=0, try_number=1)
    for _ in range(2):
        recording.record_task_failure(who, "it died")
    change("UPDATE task_failures SET failed_at = now() - interval '2 hours' WHERE failure_id = 1")
    assert of(scraped(), "humannet_recent_task_failures") == {("curate_clips", "detect"): 1}


def test_the_reader_asks_and_postgres_gives_up_in_time(busy: Platform, monkeypatch, forget_settings) -> None:
    reader = make_url(settings().catalog_url).set(username="reader").render_as_string(hide_password=False)
    monkeypatch.setenv("HUMANNET_CATALOG_READER_URL", reader)
    forget_settings()
    assert of(scraped(), "humannet_videos") == {("videos",): 3}
    # somebody holds the table: the question ends in time, and says why
    link = psycopg2.connect(settings().catalog_url.replace("+psycopg2", ""))
    with link, link.cursor() as cursor:
        cursor.execute("LOCK TABLE postponements IN ACCESS EXCLUSIVE MODE")
        begun = time.monotonic()
        with pytest.raises(CatalogError, match=r"metrics_postponed took longer than 0\.2 s"):
            measuring.measured("metrics_postponed", timeout_s=0.2)
        assert time.monotonic() - begun < 3
    link.close()


def test_a_question_that_fails_or_hangs_is_a_missing_metric_and_no_slow_scrape() -> None:
    released = threading.Event()
    answers: Iterator[Callable[[], list[dict[str, float]]]] = iter([lambda: [{"n": 1.0}], lambda: 1 / 0])  # type: ignore[list-item]
    hangs = Question("hangs", "thorough", lambda: [{"n": float(released.wait())}], (Measure("hung", "", "n"),), 0.0, 60)
    turns = Question("turns", "quick", lambda: next(answers)(), (Measure("turned", "", "n"),), 3600.0, 1.0)
    exporter, registry = Exporter((hangs, turns)), CollectorRegistry()
    registry.register(exporter)
    exporter.start()
    while not exporter.catalog_is_up():
        time.sleep(0.01)
    begun = time.monotonic()
    text = generate_latest(registry).decode()
    assert time.monotonic() - begun < 1
    assert ("turned", ()) in scraped(text)
    assert "hung" not in text.replace('question="hangs"', "")
    exporter.asked[1].ask()
    samples = scraped(generate_latest(registry).decode())
    assert ("turned", ()) not in samples
    assert samples["humannet_catalog_up", ()] == 0
    assert samples["humannet_metrics_errors_total", (("question", "turns"),)] == 1
    exporter.stop()
    released.set()


def test_an_answer_that_is_too_old_is_not_told() -> None:
    question = Question("q", "quick", lambda: [{"n": 1.0}], (Measure("n", "", "n"),), 0.0, 0.02)
    exporter = Exporter((question,))
    exporter.ask_all()
    assert exporter.catalog_is_up()
    time.sleep(0.2)
    assert not exporter.catalog_is_up()


def test_the_command_serves_until_it_is_told_to_end(busy: Platform) -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "metrics", "--port", "0"], env=os.environ, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        (address,) = re.findall(r"http://127\.0\.0\.1:\d+/metrics", server.stdout.readline())
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with urllib.request.urlopen(address, timeout=5) as answer:
                samples = scraped(answer.read().decode())
            if ("humannet_videos", (("source", "videos"),)) in samples:
                break
            time.sleep(0.1)
        assert samples["humannet_videos", (("source", "videos"),)] == 3
        assert samples["humannet_store_up", ()] == 1
        assert of(samples, "humannet_disk_free_bytes")
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0


def test_once_prints_and_says_whether_the_catalog_answers(busy: Platform) -> None:
    def once(**environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", SCRIPT, "metrics", "--once"],
            env=os.environ | environment, capture_output=True, text=True,
        )  # fmt: skip

    up, down = once(), once(HUMANNET_CATALOG_URL="postgresql+psycopg2://reader@127.0.0.1:1/catalog")
    assert up.returncode == 0, up.stderr
    assert of(scraped(up.stdout), "humannet_videos") == {("videos",): 3}
    assert down.returncode == 1
    assert scraped(down.stdout)["humannet_catalog_up", ()] == 0
    assert "The catalog does not answer" in down.stderr


def test_each_quick_question_is_bounded_by_an_index(busy: Platform) -> None:
    """Postgres can answer each window from an index: with whole-table reads forbidden, none is left in the plan."""
    bounded = {
        "metrics_outcomes": ("outcomes", {"window_s": 60}),
        "metrics_hours": ("outcomes", {"window_s": 60}),
        "metrics_running": ("stage_runs", {"longest_s": 60}),
        "metrics_worker_time": ("stage_runs", {"window_s": 60, "longest_s": 60}),
        "metrics_waiting": ("shards", {}),
        "metrics_task_failures": ("task_failures", {"window_s": 60}),
        "metrics_due": ("videos", {"days": 30, "max_attempts": 3}),
    }
    with connect() as link, link.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        for name, (table, parameters) in bounded.items():
            cursor.execute("EXPLAIN " + getattr(queries(), name).sql, parameters)
            plan = "\n".join(row["QUERY PLAN"] for row in cursor.fetchall())
            assert not re.search(rf"Seq Scan on {table}", plan), f"{name}\n{plan}"
