"""A fleet is reckoned right: by hand on round numbers, by how it scales, by its walls, and against a clock."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from humannet_ops.cli import app
from humannet_ops.commands import plan as command
from humannet_ops.fleet import arithmetic, limits, rates, simulation
from humannet_ops.fleet.arithmetic import Order, Plan
from humannet_ops.fleet.limits import LIMITS, PRICES, Prices, Worker
from humannet_ops.fleet.rates import ObjectRate, Rates, StageRate, TableRate
from humannet_ops.settings import REPOSITORY

DAY = 86400.0
EXAMPLE = REPOSITORY / "infra" / "rates.example.json"
WORKERS = {"crawl": Worker(4, 2), "cpu": Worker(8, 16), "gpu": Worker(1, gpus=1)}
FREE = Prices("EUR", "2026-01-01", "a test", 1, 1, 1, 1, 1, 1, 1, WORKERS)


def stage(name: str, queue: str, leg: str, *, work_s: float, needs: tuple[str, ...] = (), **other: Any) -> StageRate:
    """A stage of clips, ten of them an hour, all of the hour."""
    rate = StageRate(name, leg, queue, "clip", needs, needs, False, 10.0, 10.0, work_s, 3600.0, 0.0)
    return replace(rate, **other)


ROUND = Rates(
    machine="a test",
    measured_on="2026-01-01",
    hours=1.0,
    videos=12.0,
    missing=(),
    stages=(
        stage("fetch", "crawl", "crawl", work_s=36.0, subject="video", subjects=12.0, worked=12.0, planned_s=240.0),
        stage("analyse", "cpu", "analyse_videos", work_s=720.0, needs=("fetch",), subject="video", subjects=12.0),
        stage("detect", "gpu", "curate_clips", work_s=3600.0, needs=("analyse",)),
        stage("cut", "cpu", "curate_clips", work_s=1440.0, needs=("detect",)),
    ),
    objects=(ObjectRate("fetch", "source", 12.0, 1e9), ObjectRate("cut", "clip", 10.0, 2e8)),
    tables=(TableRate("videos", 12.0, 1000.0), TableRate("outcomes", 44.0, 500.0), TableRate("shards", 4.0, 100.0)),
)
EASY = {name: limit.value for name, limit in LIMITS.items()} | {
    "utilisation": 1.0, "task_start_s": 0.0, "gpu_speedup": 10.0, "days_at_once": 4.0,
}  # fmt: skip


def planned(hours: float = 2400.0, deadline_s: float = 10 * DAY, crawl_days: int | None = 40, **given: float) -> Plan:
    return arithmetic.plan(ROUND, Order(hours, deadline_s, crawl_days), {**EASY, **given}, FREE)


def slots(plan: Plan) -> dict[str, int]:
    return {pool.queue: pool.slots for pool in plan.pools}


# --- by hand


def test_round_numbers_come_out_as_by_hand() -> None:
    made = planned()
    # 2,400 h x 36 s / 864,000 s = 0.1; x (720 + 1,440) s = 6; x 3,600 s / 10 = 1
    assert slots(made) == {"crawl": 1, "cpu": 6, "gpu": 1}
    assert {pool.queue: pool.workers for pool in made.pools} == {"crawl": 1, "cpu": 1, "gpu": 1}
    assert made.rows == {"videos": 28_800, "outcomes": 105_600, "shards": 40 * (8 + 120 * 3)}
    assert made.database_bytes == 28_800 * 1000 + 105_600 * 500 + 14_720 * 100
    assert (made.objects, made.store_bytes) == (52_800, 2400 * 1.2e9)
    assert made.puts == pytest.approx(52_800)
    # analyse reads a source a video, cut and detect what analyse and detect stored: nothing; and a HEAD before each PUT
    assert made.gets == pytest.approx(2400 * 10 + 52_800)
    # 60 h a crawl day: 120 shards of half an hour, fetches of 90 videos; 4 plans; 3 legs of 3 tasks; the statistics
    assert [s.shards for s in made.stages] == [8, 120, 120, 120]
    assert made.tasks == 40 * (368 + 4 + 9 + 1) + 10 * (144 + 96)
    # 240 h of 2 + 16 vCPUs and of a GPU
    assert sum(made.costs[f"{queue} workers"] for queue in ("crawl", "cpu", "gpu")) == 240 * (2 + 16 + 1)
    assert made.costs["store requests"] == pytest.approx(52.8 + 76.8)


def test_a_shard_takes_its_part_of_the_work_its_models_and_its_start() -> None:
    fixed = replace(ROUND, stages=(*ROUND.stages[:3], replace(ROUND.stages[3], overhead_s=7.0)))
    made = arithmetic.plan(fixed, Order(2400.0, 10 * DAY, 40), {**EASY, "task_start_s": 2.0}, FREE)
    cut = made.stages[3]
    assert cut.shard_s == pytest.approx(1440 * 60 / 120 + 7 + 2)
    assert cut.work_s == pytest.approx(cut.shard_s * 120 * 40)


def test_a_plan_makes_at_most_999_shards_which_then_grow() -> None:
    made = planned(hours=60_000.0, crawl_days=10)
    assert max(s.shards for s in made.stages) == 999
    assert made.stages[3].shard_s == pytest.approx(1440 * 6000 / 999)
    # as many crawl days as keep them small, where nobody names a number
    free = planned(hours=60_000.0, crawl_days=None)
    assert free.crawl_days == 121
    assert free.stages[3].shard_s <= 721


def test_what_compares_subjects_is_one_shard() -> None:
    whole = replace(ROUND, stages=(ROUND.stages[0], replace(ROUND.stages[1], whole_partition=True)))
    made = arithmetic.plan(whole, Order(24_000.0, 100 * DAY, 40), EASY, FREE)
    assert (made.stages[1].shards, made.stages[1].shard_s) == (1, 720 * 600)
    assert made.first_wall.name == "the longest task, analyse"
    assert made.first_wall.deadline_s is None
    assert made.first_wall.hours == pytest.approx(24_000 * 43_200 / 432_000)


# --- how it scales


@pytest.mark.parametrize("times", [2, 10])
def test_hours_and_haste_ask_for_as_many_times_the_workers(times: int) -> None:
    once = planned(hours=24_000.0, crawl_days=None)
    assert slots(planned(hours=24_000.0 * times, crawl_days=None)) == {q: n * times for q, n in slots(once).items()}
    hasty = planned(hours=24_000.0, deadline_s=10 * DAY / times, crawl_days=None)
    assert slots(hasty) == {queue: count * times for queue, count in slots(once).items()}
    assert hasty.store_bytes == once.store_bytes
    assert sum(s.work_s for s in hasty.stages) == pytest.approx(sum(s.work_s for s in once.stages))


def test_a_faster_gpu_and_busier_slots_ask_for_fewer() -> None:
    once = slots(planned(hours=24_000.0))
    assert slots(planned(hours=24_000.0, gpu_speedup=1.0))["gpu"] == 10 * once["gpu"]
    assert slots(planned(hours=24_000.0, utilisation=0.5)) == {queue: 2 * count for queue, count in once.items()}


def test_longer_videos_are_fewer_rows_and_fetches_and_as_much_work() -> None:
    longer = ROUND.with_videos_of(600.0)
    assert ROUND.video_s == 300
    assert (longer.videos, longer.video_s) == (6, 600)
    assert [rate.work_s for rate in longer.stages] == [rate.work_s for rate in ROUND.stages]
    assert [rate.subjects for rate in longer.stages] == [6, 6, 10, 10]
    assert [rate.planned_s for rate in longer.stages] == [120, 3600, 3600, 3600]
    # six fetched and six analysed fewer
    assert [table.rows for table in longer.tables] == [6, 32, 4]
    assert [(entry.objects, entry.bytes) for entry in longer.objects] == [(6, 1e9), (10, 2e8)]


# --- the walls


@pytest.mark.parametrize(
    ("given", "first"),
    [
        ({"scheduler_tasks_per_s": 0.01}, "scheduler"),
        ({"catalog_outcomes_per_s": 0.1}, "catalog writes"),
        ({"store_puts_per_s": 0.01}, "store PUTs"),
        ({"store_gets_per_s": 0.01}, "store GETs"),
        ({"days_at_once": 0.001}, "crawl days in curate_clips"),
        ({"shard_timeout_s": 100.0}, "the longest task, cut"),
    ],
)
def test_the_first_wall_is_the_fullest(given: dict[str, float], first: str) -> None:
    assert planned().feasible
    made = planned(**given)
    assert (made.feasible, made.first_wall.name) == (False, first)
    assert [wall.utilisation for wall in made.walls] == sorted((w.utilisation for w in made.walls), reverse=True)


def test_a_wall_says_where_it_is_met() -> None:
    made = planned(catalog_outcomes_per_s=0.1)
    wall = made.first_wall
    assert wall.used == pytest.approx(2400 * 44 / (10 * DAY))
    assert planned(hours=wall.hours, catalog_outcomes_per_s=0.1).first_wall.utilisation == pytest.approx(1)
    assert wall.deadline_s is not None
    assert planned(deadline_s=wall.deadline_s, catalog_outcomes_per_s=0.1).first_wall.utilisation == pytest.approx(1)
    assert made.expected_s == wall.deadline_s


def test_more_prefixes_take_the_store_away_and_longer_shards_the_scheduler() -> None:
    assert not planned(store_gets_per_s=0.01).feasible
    assert planned(store_gets_per_s=0.01, store_prefixes=256.0).feasible
    tasks = {
        shard_s: planned(hours=24_000.0, crawl_days=80, shard_seconds=shard_s).tasks for shard_s in (1800.0, 3600.0)
    }
    assert tasks[3600.0] < 0.6 * tasks[1800.0]


def test_limits_are_those_of_the_platform() -> None:
    """The table repeats what is decided elsewhere: here it is held to it."""
    from humannet_ops.settings import Settings

    assert LIMITS["shard_seconds"].value == Settings.model_fields["shard_seconds"].default
    planning = (REPOSITORY / "sql" / "queries" / "planning.sql").read_text()
    assert planning.count(f"OVER () / {LIMITS['shards_per_plan'].value:.0f})") == 2
    factories = (REPOSITORY / "humannet_ops" / "orchestration" / "factories.py").read_text()
    assert f"SHARD_TIMEOUT = timedelta(hours={LIMITS['shard_timeout_s'].value / 3600:.0f})" in factories
    assert LIMITS["days_at_once"].value == Settings.model_fields["days_at_once"].default
    assert all(limit.source and limit.unit for limit in LIMITS.values())
    assert f"${{PARALLELISM:-{command._PARALLELISM}}}" in (REPOSITORY / "infra" / "cluster.env").read_text()
    assert f"max_connections={command._CONNECTIONS}" in (REPOSITORY / "docker-compose.yml").read_text()


# --- against a clock


REAL = {name: limit.value for name, limit in LIMITS.items()}


@pytest.mark.parametrize(
    ("hours", "days", "given"),
    [
        (1e3, 2, {}),
        (1e4, 10, {}),
        (1e5, 30, {}),
        (1e6, 35, {"shard_seconds": 3600.0, "store_prefixes": 4.0}),
    ],
)
def test_the_workers_that_were_reckoned_are_through_by_the_deadline(
    hours: float, days: float, given: dict[str, float]
) -> None:
    found, bounds = rates.load(EXAMPLE).with_videos_of(300.0), REAL | given
    made = arithmetic.plan(found, Order(hours, days * DAY), bounds, limits.load()[0])
    tried = simulation.simulate(made, bounds)
    assert made.feasible
    assert 0.85 <= tried.ratio <= 1
    assert tried.makespan_s <= days * DAY


def test_a_wall_holds_the_clock_up_as_the_arithmetic_says() -> None:
    made = arithmetic.plan(rates.load(EXAMPLE).with_videos_of(300.0), Order(1e6, 30 * DAY), REAL, limits.load()[0])
    assert made.first_wall.name == "scheduler"
    tried = simulation.simulate(made, REAL)
    assert tried.makespan_s > 30 * DAY
    assert tried.ratio == pytest.approx(1, abs=0.15)
    # most of the way a task waits for it
    assert tried.waited_s > 100


def test_comparing_one_crawl_day_at_a_time_is_a_wall_on_the_clock_too() -> None:
    bounds = REAL | {"shard_seconds": 3600.0, "store_prefixes": 4.0}
    example = rates.load(EXAMPLE).with_videos_of(300.0)
    slow = replace(
        example,
        stages=tuple(replace(s, work_s=2.6) if s.stage == "deduplicate_near" else s for s in example.stages),
    )
    made = arithmetic.plan(slow, Order(1e6, 20 * DAY), bounds, limits.load()[0])
    assert made.first_wall.name == "deduplicate_near, one at a time"
    tried = simulation.simulate(made, bounds)
    assert tried.makespan_s == pytest.approx(made.first_wall.used * 20 * DAY, rel=0.05)


@pytest.mark.parametrize("queue", ["cpu", "gpu"])
def test_too_few_workers_miss_the_deadline(queue: str) -> None:
    made = arithmetic.plan(rates.load(EXAMPLE).with_videos_of(300.0), Order(1e5, 30 * DAY), REAL, limits.load()[0])
    few = simulation.simulate(made, REAL, {queue: slots(made)[queue] // 2})
    assert few.makespan_s > 1.5 * 30 * DAY


def test_one_crawl_day_after_the_other_takes_the_sum_of_its_stages() -> None:
    """With slots for all there is nothing to wait for but what the arithmetic adds up."""
    bounds = EASY | {"days_at_once": 1.0, "scheduler_tasks_per_s": 1e6}
    made = arithmetic.plan(ROUND, Order(2400.0, 10 * DAY, 40), bounds, FREE)
    tried = simulation.simulate(made, bounds, {"crawl": 1000, "cpu": 6000, "gpu": 1000})
    legs = [arithmetic.leg_s(made.stages, leg, bounds) for leg in ("crawl", "analyse_videos", "curate_clips")]
    assert tried.makespan_s == pytest.approx(sum(legs) + 39 * max(legs), rel=0.01)


# --- files and the command


def said(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, ["plan", *arguments])
    assert result.exit_code == status, result.output
    return str(result.stdout if status == 0 else result.stderr)


GIVEN = ("--hours", "1e4", "--deadline", "30d", "--rates", str(EXAMPLE))


def test_rates_come_back_as_they_were_saved(tmp_path: Path) -> None:
    rates.save(ROUND, tmp_path / "rates.json")
    assert rates.load(tmp_path / "rates.json") == ROUND
    said(*GIVEN, "--no-simulate", "--save-rates", str(tmp_path / "again.json"))
    assert (tmp_path / "again.json").read_bytes() == EXAMPLE.read_bytes()


def test_the_command_names_the_first_wall_and_what_is_assumed() -> None:
    text = said(*GIVEN, "--video-seconds", "300", "--limit", "scheduler_tasks_per_s=0.05")
    assert "This cannot be done so: the first wall is scheduler" in text
    assert "longer shards (HUMANNET_SHARD_SECONDS)" in text
    assert "ASSUMPTION: a GPU slot is 10 times" in text
    assert "Reckoned as costing nothing, because all was skipped: camera_trajectory, redact." in text
    assert "too late" in text
    assert "No wall is met." in said(*GIVEN, "--no-simulate", "--gpu-speedup", "20")


def test_json_has_all_numbers() -> None:
    found = json.loads(said(*GIVEN, "--json", "--crawl-days", "50", "--limit", "days_at_once=3"))
    assert found["crawl_days"] == 50
    assert found["limits"]["days_at_once"] == 3
    assert found["feasible"]
    assert found["walls"][0]["name"] == found["first_wall"]
    assert {pool["queue"] for pool in found["pools"]} == {"crawl", "cpu", "gpu"}
    assert found["simulated"]["ratio"] == pytest.approx(found["simulated"]["makespan_s"] / (30 * DAY))
    assert json.loads(said(*GIVEN, "--json", "--no-simulate"))["simulated"] is None


def test_own_prices_and_limits(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(PRICES.read_text().replace("gpu_hour = 3.0", "gpu_hour = 6.0") + "\n[limits]\nutilisation = 0.5\n")
    found = {name: json.loads(said(*GIVEN, "--json", "--no-simulate", *more)) for name, more in
             {"example": (), "mine": ("--prices", str(mine))}.items()}  # fmt: skip
    gpus = {name: next(pool for pool in plan["pools"] if pool["queue"] == "gpu") for name, plan in found.items()}
    assert gpus["mine"]["slots"] > gpus["example"]["slots"]
    for name, price in (("example", 3.0), ("mine", 6.0)):
        assert found[name]["costs"]["gpu workers"] == pytest.approx(gpus[name]["workers"] * 720 * price)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--hours", "0", "--deadline", "1d"), "--hours must be above zero"),
        (("--hours", "1", "--deadline", "soon"), "as in 30d or 12h"),
        (("--hours", "1", "--deadline", "0d"), "as in 30d or 12h"),
        (("--hours", "1", "--deadline", "1d", "--limit", "days"), "--limit is NAME=NUMBER"),
        (("--hours", "1", "--deadline", "1d", "--limit", "speed=1"), "no limit 'speed'; the limits are scheduler"),
        (("--hours", "1", "--deadline", "1d", "--gpu-speedup", "0"), "gpu_speedup must be a number above zero"),
        (("--hours", "1", "--deadline", "1d", "--video-seconds", "0"), "--video-seconds must be above zero"),
        (("--hours", "1", "--deadline", "1d", "--prices", "nowhere.toml"), "nowhere.toml cannot be read"),
        (("--hours", "1", "--deadline", "1d", "--prices", "pyproject.toml"), "currency: Field required"),
        (("--hours", "1", "--deadline", "1d", "--rates", "pyproject.toml"), "holds no rates"),
        (("--hours", "1", "--deadline", "1d", "--rates", "nowhere.json"), "nowhere.json cannot be read"),
    ],
)
def test_errors_are_one_line_that_names_the_cure(
    arguments: tuple[str, ...], error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    text = said(*arguments, status=1)
    assert error in text
    assert text.count("\n") == 1
