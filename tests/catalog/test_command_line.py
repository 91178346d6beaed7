"""What the command line says about a catalog in which every kind of outcome is found."""

from __future__ import annotations

import csv
import datetime
import io
import json
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result as Said
from endings import record
from rich.console import Console
from typer.testing import CliRunner

from humannet_ops.catalog import planning, reading, recording
from humannet_ops.catalog.connection import connect, transaction
from humannet_ops.catalog.discovery import Entry, Pass, record_entries
from humannet_ops.cli import app
from humannet_ops.commands import output
from humannet_ops.domain.identifiers import new_run_id
from humannet_ops.domain.outcome import Reason
from humannet_ops.domain.records import (
    Artifact,
    ClipSpan,
    ClipSubject,
    Result,
    VideoFile,
    VideoSubject,
    failed,
    kept,
    rejected,
)
from humannet_ops.settings import REPOSITORY, settings
from humannet_ops.stages import execution, registry

DAY = "2026-01-01"
SECONDS = dict.fromkeys(registry.STAGES, 16.0) | {
    "fetch": 0.5, "deduplicate_exact": 0.25, "analyse": 2.0, "find_copies": 1.0,
    "deduplicate_near": 0.125, "detect": 8.0, "decide": 0.0625, "cut": 4.0,
}  # fmt: skip
CHECKS = [
    {"name": "person_share", "value": 0.9, "threshold": 0.2, "passed": True, "is_minimum": True, "reason": "no_person"},
    {"name": "motion", "value": 0.00123456, "threshold": 0.02, "passed": False, "is_minimum": True,
     "reason": "no_motion"},
    {"name": "blur", "value": 0.7, "threshold": 0.5, "passed": False, "is_minimum": False, "reason": "blurred"},
]  # fmt: skip


class World:
    """A filled catalog, and what filled it: (stage, subject's id, its length in s) of outcomes that count."""

    def __init__(self) -> None:
        self.ids: dict[str, str] = {}
        self.done: list[tuple[str, str, float]] = []

    def fetch(self, subject: VideoSubject) -> Result:
        self.ids[subject.title or ""] = subject.video_id
        if subject.title == "half.mp4":
            return failed(Reason.TRUNCATED, "moov atom not found\nin half.mp4")
        if subject.title == "late.mp4":
            return failed(Reason.DISK_FULL, "the disk was full")
        return kept(records=(VideoFile("a" * 64, 9, "mp4", "h264", 20.0, 320, 240, 30.0, False),))

    def deduplicate_exact(self, subject: VideoSubject) -> Result:
        survivor = self.ids["a walk.mp4"]
        if subject.title == "copy.mp4":
            return rejected(Reason.DUPLICATE, detail={"survivor": survivor})
        return kept()

    def analyse(self, subject: VideoSubject) -> Result:
        artifacts = tuple(Artifact(kind, kind[0] * 64, f"file:///{kind}", 1, "text/plain") for kind in ("one", "two"))
        return kept(artifacts=artifacts, records=(ClipSpan(0, 0, 300, 0.0, 10.0), ClipSpan(1, 300, 600, 10.0, 15.0)))

    def decide(self, subject: ClipSubject) -> Result:
        if subject.start_frame:
            self.ids["rejected"] = subject.clip_id
            return rejected(Reason.NO_MOTION, detail={"checks": CHECKS})
        self.ids["kept"] = subject.clip_id
        return kept(detail={"viewpoint": "ego"}, scores={"person_share": 0.912345678})

    def run(self, stage: str, **versions: str) -> None:
        spec, counting = registry.spec(stage), {**registry.versions(), **versions}
        for shard in planning.plan_shards(spec, counting, DAY, shard_seconds=1e9, max_attempts=3, source="mine"):
            with connect() as link:
                run = recording.StageRun(new_run_id(), shard)
                recording.start_run(link, run, recording.TaskIdentity("test"), "revision")
                for item in list(planning.open_work(link, shard, spec, 3)):
                    self._record(link, run, item.subject, stage)
                recording.end_run(link, run)

    def _record(self, link, run, subject: VideoSubject | ClipSubject, stage: str) -> None:
        video = subject if isinstance(subject, VideoSubject) else subject.video
        result = getattr(self, stage, lambda _subject: kept())(subject)
        recording.begin_attempt(link, run, subject.subject_id)
        with transaction(link):
            record(link, run, subject, result, seconds=SECONDS[stage])
        if run.shard.stage_version == registry.versions()[stage]:
            read = result.outcome.value != "failed"
            length = 20.0 * read if subject is video else subject.end_s - subject.start_s
            self.done.append((stage, subject.subject_id, length))


@pytest.fixture
def world(home: Path) -> World:
    execution.register()
    titles = ("a walk.mp4", "copy.mp4", "half.mp4", "late.mp4")
    entries = [Entry(f"file:///mine/{title}", "1", title, "CC BY 4.0") for title in titles]
    record_entries(Pass("mine", "folder", "/mine", DAY), iter(entries))
    record_entries(Pass("other", "folder", "/other", DAY), iter([Entry("file:///far", "1", "far.mp4")]))
    filled = World()
    for stage in registry.STAGES:
        if stage == "decide":
            filled.run(stage, decide="0-older")
        filled.run(stage)
    return filled


def humannet(*arguments: str) -> Said:
    return CliRunner().invoke(app, list(arguments))


def said(*arguments: str) -> str:
    result = humannet(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: str) -> str:
    result = humannet(*arguments)
    assert result.exit_code == 1, result.output
    assert len(result.stderr.splitlines()) == 1
    return result.stderr


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """A function that prints rows on a terminal of a width and returns the lines that are seen."""

    def show(width: int, columns: list[str], rows: list[list[object]]) -> list[str]:
        screen = io.StringIO()
        plain = Console(file=screen, force_terminal=True, width=width, color_system=None, highlight=False)
        monkeypatch.setattr(output, "console", plain)
        output.print_rows(columns, rows, output.Format.TABLE)
        return screen.getvalue().replace("\x1b[2m", "").replace("\x1b[0m", "").splitlines()

    return show


def test_status_tells_the_ledger_the_funnel_and_what_is_due(world: World) -> None:
    text = said("status")
    assert "Videos: 5 in = 1 kept + 1 rejected + 2 failed + 1 pending" in text
    assert "Clips: 2 in = 1 kept + 1 rejected + 0 failed" in text
    assert "Video: 40 s in, 10 s kept" in text
    assert (
        "Due at the versions that count now: 2 videos at fetch (1 of them before: failed as disk_full). "
        "`make run`, or the DAG revisit_partitions (hourly), takes it up." in text
    )
    assert "moov atom not found" in text


def test_status_is_of_one_source_and_of_none_that_is_unknown(world: World) -> None:
    text = said("status", "--source", "other")
    assert "Videos: 1 in = 0 kept + 0 rejected + 0 failed + 1 pending" in text
    assert "deduplicate" not in text
    assert "moov" not in text
    assert "1 video at fetch." in text
    assert "No failures." in said("status", "--source", "other", "--failures")
    assert "no source 'nope'; the sources are" in (refusal := refused("status", "--source", "nope"))
    assert "mine" in refusal
    refused("status", "--videos", "--source", "nope")


def test_status_lists_videos_as_a_table_csv_and_json(world: World) -> None:
    rows = list(csv.DictReader(io.StringIO(said("status", "--videos", "--format", "csv"))))
    assert {row["title"]: (row["status"], row["reason"]) for row in rows} == {
        "a walk.mp4": ("kept", ""), "copy.mp4": ("rejected", "duplicate"), "half.mp4": ("failed", "truncated"),
        "late.mp4": ("failed", "disk_full"), "far.mp4": ("pending", ""),
    }  # fmt: skip
    assert "\r" not in said("status", "--videos", "--format", "csv")
    assert "\r" not in said("sql", "--format", "csv", "select 1 as a")
    assert json.loads(said("status", "--videos", "--format", "json"))[0].keys() == rows[0].keys()
    assert all(video_id in said("status", "--videos") for video_id in world.ids.values() if video_id[0] == "v")
    nothing = said("status", "--failures", "--source", "other", "--format", "csv")
    assert nothing == "stage,subject_id,video_id,title,reason,error,retryable,attempts\n"


def test_explain_names_the_check_that_decided_and_its_reason(world: World) -> None:
    lines = said("explain", world.ids["rejected"]).splitlines()
    assert "is rejected as no_motion: A person is seen but nothing observable moves." in lines[0]
    assert "    passes person_share: 0.9, at least 0.2 is asked (else no_person)" in lines
    assert "    FAILS  motion: 0.00123, at least 0.02 is asked (else no_motion)  <- this decided" in lines
    assert "    FAILS  blur: 0.7, at most 0.5 is asked (else blurred)" in lines
    assert (
        sum(line.startswith("decide: ") for line in lines) == sum(line.startswith("analyse: ") for line in lines) == 1
    )
    assert lines[-1].endswith(f"`humannet lineage {world.ids['rejected']}`")


def test_explain_names_the_survivor_the_clips_and_the_error(world: World) -> None:
    assert f"The survivor is {world.ids['a walk.mp4']} (a walk.mp4)." in said("explain", world.ids["copy.mp4"])
    video = said("explain", world.ids["a walk.mp4"])
    assert f"{world.ids['kept']}, 0.00 s to 10.00 s: kept" in video
    assert f"{world.ids['rejected']}, 10.00 s to 15.00 s: rejected as no_motion" in video
    assert f"`humannet lineage {world.ids['a walk.mp4']}`" in video
    assert "    moov atom not found in half.mp4" in said("explain", world.ids["half.mp4"])
    assert "1 video at fetch (before: failed as disk_full)" in said("explain", world.ids["late.mp4"])
    assert "no clip or video nope" in refused("explain", "nope")


def test_lineage_tells_each_step_once_of_clips_and_of_videos(world: World) -> None:
    lines = said("lineage", world.ids["rejected"]).splitlines()
    steps = [line.split()[1] for line in lines if line[:3].strip().isdigit()]
    # decide twice: at the version that counts now and at an older one
    assert steps == [
        "fetch", "deduplicate_exact", "analyse", "find_copies", "deduplicate_near", "detect", "decide", "decide",
    ]  # fmt: skip
    assert [line.split()[1] for line in lines if "artifact_uri" in line] == ["file:///one", "file:///two"]
    copy = said("lineage", world.ids["copy.mp4"])
    assert "2 deduplicate_exact" in copy
    assert "rejected as duplicate" in copy
    rows = json.loads(said("lineage", world.ids["copy.mp4"], "--format", "json"))
    assert [row["stage"] for row in rows] == ["fetch", "deduplicate_exact"]
    in_clips = json.loads(said("lineage", world.ids["kept"], "--format", "json"))
    assert list(rows[0])[1:] == list(in_clips[0])[1:]
    assert "clip or video nope" in refused("lineage", "nope")


def test_retry_says_how_many_and_what_takes_them_up(world: World) -> None:
    assert "no video vnope in the catalog" in refused("retry", "--video", "vnope")
    assert "'nope' is no reason for a failure" in refused("retry", "--reason", "nope")
    assert "Nothing of that kind has failed." in said("retry", "--video", world.ids["copy.mp4"])
    assert "1 failure is forgotten and due again: `make run`" in said("retry", "--reason", "truncated")
    assert "2 videos at fetch." not in said("status", "--source", "mine")
    assert "2 videos at fetch (1 of them before" in said("status", "--source", "mine")
    said("retry")
    assert "Nothing has failed." in said("retry")


def test_after_the_policy_changed_status_explain_and_doctor_say_what_is_due(
    world: World, home: Path, monkeypatch: pytest.MonkeyPatch, forget_settings
) -> None:
    policy = home / "policy.yaml"
    policy.write_text(settings().policy_file.read_text().replace("ego_above: 1.0", "ego_above: 1.1"))
    assert policy.read_text() != settings().policy_file.read_text()
    before = registry.versions()
    monkeypatch.setenv("HUMANNET_POLICY_FILE", str(policy))
    forget_settings()
    # what decide says of the viewpoint is read by stages after it
    changed = [stage for stage in registry.STAGES if registry.versions()[stage] != before[stage]]
    assert changed[0] == "decide"
    assert "cut" not in changed
    cure = "`make run`, or the DAG revisit_partitions (hourly), does that work again."
    told = f"give other versions of {', '.join(changed)} than the catalog counts: {cure}"
    assert told in said("status")
    assert told in said("explain", world.ids["kept"])
    checks = humannet("doctor").stdout
    assert f"FAIL stage versions         other than the catalog counts: {', '.join(changed)}" in checks
    assert f"→ {cure}" in checks

    # what the DAG asks first
    assert execution.due_partitions() == [DAY]
    assert told not in said("status")
    assert "2 clips at decide (before: kept, rejected as no_motion)" in said("status")
    assert "1 clip at decide (before: rejected as no_motion)" in said("explain", world.ids["rejected"])
    assert "work due               Due at the versions that count now: 2 videos at fetch" in humannet("doctor").stdout


def test_the_slowest_stages_are_those_that_took_longest(world: World) -> None:
    columns, rows = reading.ask((REPOSITORY / "sql" / "examples" / "slowest_stages.sql").read_text())
    found = {row[0]: dict(zip(columns, row, strict=True)) for row in rows}
    subjects: dict[str, set[str]] = defaultdict(set)
    lengths: dict[str, float] = defaultdict(float)
    for stage, subject_id, length in world.done:
        subjects[stage].add(subject_id)
        lengths[stage] += length
    assert found.keys() == subjects.keys()
    assert len(subjects["fetch"]) == 4
    for stage, row in found.items():
        worked = SECONDS[stage] * len(subjects[stage])
        assert row["subjects"] == len(subjects[stage])
        assert float(row["seconds"]) == pytest.approx(worked, abs=0.05)
        assert float(row["seconds_per_video_second"]) == pytest.approx(worked / lengths[stage], abs=0.0005)
    assert [row["seconds"] for row in found.values()] == sorted((r["seconds"] for r in found.values()), reverse=True)


def test_a_catalog_that_is_down_is_told_once_with_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget_settings
) -> None:
    models = settings().models
    monkeypatch.setenv("HUMANNET_HOME", str(tmp_path))
    monkeypatch.setenv("HUMANNET_MODELS_DIR", str(models))
    monkeypatch.delenv("HUMANNET_CATALOG_URL", raising=False)
    forget_settings()
    refusal = refused("status")
    assert refusal.startswith("humannet: The catalog does not answer: start it with `make up`")
    assert f"psql 'dbname=catalog user=catalog host={tmp_path}/run/postgres'" in refusal
    result = humannet("doctor")
    assert result.exit_code == 1
    assert result.stdout.count("does not answer") == 1
    assert result.stdout.count("not looked at: the catalog cannot be used") == 3
    assert "`make up`" in refused("local", "airflow", "dags", "list")


def test_doctor_tells_a_broken_source_in_one_line(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget_settings
) -> None:
    monkeypatch.setenv("HUMANNET_SOURCES_DIR", str(tmp_path))
    (tmp_path / "unclosed.yaml").write_text("source: unclosed\npath: [a,\n")
    (tmp_path / "wrong.yaml").write_text("source: other\nkind: foldr\n")
    (tmp_path / "good.yaml").write_text("source: good\nkind: folder\ndescription: Good.\npath: /good\n")
    forget_settings()
    lines = humannet("doctor").stdout.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("FAIL sources"))
    assert "unclosed.yaml: not readable as YAML: line" in lines[first]
    assert "wrong.yaml: kind: 'foldr' is no kind of source" in lines[first + 1]
    assert "(and 2 more)" in lines[first + 1]
    assert "→ Correct the file; `humannet source check FILE` names every fault." in lines[first + 2]


def test_a_table_breaks_no_id_and_cuts_nothing_off(terminal: Callable[..., list[str]]) -> None:
    row = [
        "v0123456789abcdef0123",
        "c0123456789abcdef0123",
        "file:///a/rather/long/address/of/an/object",
        "near_duplicate",
    ]
    for width in (200, 100, 80, 60, 30):
        lines = terminal(width, ["video_id", "clip_id", "artifact_uri", "reason"], [row])
        for value in (row[0], row[1], row[3]):
            assert any(value in line for line in lines), width
        # folded or in one piece, every character of the address is there
        address = "".join(line.split("│")[2].strip() if "│" in line else line.split()[-1] for line in lines[-4:])
        assert row[2] in "".join(lines) or address.endswith("object"), width
    blocks = terminal(30, ["video_id", "clip_id", "artifact_uri", "reason"], [row])
    assert blocks[1:] == [f"{name:<12}  {value}" for name, value in zip(
        ["video_id", "clip_id", "artifact_uri", "reason"], row, strict=True)]  # fmt: skip


def test_a_table_that_is_no_terminal_has_a_line_a_row(world: World) -> None:
    lines = said("sql", "select *, repeat('x', 300) as long from v_videos order by title").splitlines()
    assert len(lines) == 2 + 5
    assert all("x" * 300 in line for line in lines[2:])


def test_cells_are_rounded_and_markup_is_text(terminal: Callable[..., list[str]]) -> None:
    when = datetime.datetime(2026, 1, 2, 3, 4, 5, 678, datetime.UTC)
    row = [0.123456789, 123456.789, {"a": 0.123456789, "b": [1, None]}, when, "[bold]x[/]", None]
    lines = terminal(200, list("abcdef"), [row])
    cells = [part.strip() for part in lines[-1].split("│")]
    assert cells == [
        "0.1235",
        "123456.8",
        '{"a": 0.1235, "b": [1, null]}',
        "2026-01-02 03:04:05+00:00",
        "[bold]x[/]",
        "-",
    ]


@pytest.mark.parametrize("command", ["", "status", "sql", "lineage", "explain", "retry", "migrate", "doctor",
    "stage list", "stage run", "models list", "models install", "local run", "local up", "local airflow",
    "plan"])  # fmt: skip
def test_help_has_examples_and_named_values(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = said(*command.split(), "--help")
    assert not re.search(r"\{[a-z_]+\}|--\w+ +(<str>|TEXT)", text)
    assert not command or "Example" in text
