"""`humannet source`: check, new, list and approve, as a person types them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from test_discovery import fetch
from typer.testing import CliRunner

from humannet_ops.catalog import fetching, reading
from humannet_ops.catalog.discovery import Entry, Pass, Report, record_entries
from humannet_ops.cli import app
from humannet_ops.domain.outcome import Reason
from humannet_ops.domain.records import rejected
from humannet_ops.sources import config

FOLDER = "source: mine\nkind: folder\ndescription: d\npath: /x\n"


@pytest.fixture
def sources(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget_settings: Any) -> Path:
    folder = tmp_path / "sources"
    folder.mkdir()
    monkeypatch.setenv("HUMANNET_SOURCES_DIR", str(folder))
    forget_settings()
    return folder


def humannet(*arguments: str, typed: list[str] | None = None) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["source", *arguments], input="\n".join([*(typed or []), ""]))
    return result.exit_code, result.stdout, result.stderr


def test_check_prints_every_fault_of_every_file(sources: Path) -> None:
    (sources / "mine.yaml").write_text(FOLDER)
    (sources / "other.yaml").write_text(FOLDER.replace("path", "pth") + "schedule: daily\n")
    code, out, err = humannet("check", *map(str, sorted(sources.glob("*.yaml"))), str(sources / "none.yaml"))
    assert code == 1
    assert out == "mine.yaml: ok, folder, crawled at '0 0 * * *' UTC\n"
    assert err.splitlines() == [
        "other.yaml: pth: no such field; did you mean `path`?",
        "other.yaml: schedule: 'daily' is not a cron expression of five fields, like '0 3 * * *'",
        "other.yaml: source: found 'mine'; expected 'other', the name of the file",
        "none.yaml: cannot be read: No such file or directory",
    ]
    assert humannet("check", str(sources / "mine.yaml"))[0] == 0


def test_new_from_options_writes_a_file_that_is_right_and_never_overwrites(sources: Path) -> None:
    options = (
        "--kind",
        "folder",
        "--set",
        "path=/data",
        "--set",
        "description=Our kitchen",
        "--set",
        "include=['*.mp4']",
    )
    code, out, _ = humannet("new", "kitchen", *options)
    assert (code, "DAG crawl_kitchen appears" in out) == (0, True)
    written = config.read(sources / "kitchen.yaml")
    assert (written.description, written.include) == ("Our kitchen", ["*.mp4"])
    before = (sources / "kitchen.yaml").read_text()
    code, _, err = humannet("new", "kitchen", *options)
    assert code == 1
    assert "kitchen.yaml exists already" in err
    assert (sources / "kitchen.yaml").read_text() == before


def test_new_from_wrong_options_writes_nothing(sources: Path) -> None:
    code, _, err = humannet("new", "kitchen", "--kind", "folder", "--set", "paht=/data")
    assert code == 1
    assert err.splitlines() == [
        "humannet: kitchen.yaml: paht: no such field; did you mean `path`?",
        "kitchen.yaml: description: missing; expected one line for the DAG list",
    ]
    assert humannet("new", "kitchen", "--kind", "flder", "--set", "path=/data")[0] == 1
    assert humannet("new", "kitchen", "--kind", "folder", "--set", "path")[0] == 1
    assert list(sources.iterdir()) == []


def test_new_asks_and_asks_again_for_what_is_wrong(sources: Path) -> None:
    typed = [
        "kitchen", "flder", "folder",
        "Our kitchen: 2026", "", "/data",  # description, path (needed)
        "['*.mp4']", "",  # include, exclude
        "daily", "no", "",  # schedule, license, terms
        "0 4 * * *",
    ]  # fmt: skip
    code, out, err = humannet("new", typed=typed)
    assert (code, err) == (0, "")
    assert "'flder' is no kind of source" in out
    assert "it is needed" in out
    assert "schedule: 'daily' is not a cron expression" in out
    assert yaml.safe_load((sources / "kitchen.yaml").read_text()) == {
        "source": "kitchen", "kind": "folder", "description": "Our kitchen: 2026", "path": "/data",
        "include": ["*.mp4"], "license": "no", "schedule": "0 4 * * *",
    }  # fmt: skip


def test_list_has_files_wrong_files_and_sources_without_a_file(sources: Path) -> None:
    (sources / "mine.yaml").write_text(FOLDER)
    (sources / "wrong.yaml").write_text("kind: x")
    record_entries(Pass("mine", "folder", "/x", "2026-01-01"), [Entry("file:///a", "1", "a"), Entry("file:///b", "1")])
    record_entries(Pass("old", "folder", "/x", "2026-01-01"), [Entry("file:///c", "1", "c")])
    code, out, _ = humannet("list", "--format", "csv")
    rows = [line.split(",") for line in out.splitlines()]
    assert code == 0
    assert rows[0][:5] == ["source", "kind", "schedule", "last crawl", "new"]
    assert [row[:3] for row in rows[1:]] == [
        ["mine", "folder", "0 0 * * *"],
        ["wrong", "wrong", f"see humannet source check {sources / 'wrong.yaml'}"],
        ["old", "removed", ""],
    ]
    assert [row[4:6] for row in rows[1:]] == [["2", "2"], ["", ""], ["1", "1"]]


def test_faults_are_listed_with_line_and_reason(sources: Path) -> None:
    report = Report()
    report.fault(12, "url: empty: the row is left out")
    record_entries(Pass("site", "http_manifest", "u", "2026-01-01"), [], report=report)
    assert humannet("faults", "--source", "site", "--format", "csv")[1].splitlines() == [
        "source,line,reason,partition_key",
        "site,12,url: empty: the row is left out,2026-01-01",
    ]
    assert len(humannet("faults", "--source", "other", "--format", "csv")[1].splitlines()) == 1


def test_approved_videos_are_due_again_and_pass_the_policy(sources: Path) -> None:
    record_entries(Pass("site", "http_manifest", "u", "2026-01-01"), [Entry(f"https://h/{n}", "", n) for n in "abc"])
    fetch(rejected(Reason.LICENSE_REVIEW))
    ids = dict(reading.ask("select title, video_id from videos")[1])
    assert fetch() == []
    code, out, _ = humannet("approve", "--video", ids["a"], "--note", "ticket 12", "--by", "ann")
    assert (code, out) == (0, "1 approved; 1 of them are due again.\n")
    assert fetching.is_approved(ids["a"])
    assert not fetching.is_approved(ids["b"])
    assert fetch() == ["a"]
    assert humannet("approve", "--source", "site")[1] == "2 approved; 2 of them are due again.\n"
    assert fetch() == ["b", "c"]
    assert list(reading.ask("select approved_by, note from approvals where note is not null")[1]) == [
        ("ann", "ticket 12")
    ]
    for wrong, says in (
        (("--video", "v0"), "no video v0"),
        (("--source", "sit"), "no source 'sit' in the catalog; those are site"),
        ((), "give either"),
    ):
        code, _, err = humannet("approve", *wrong)
        assert (code, says in err) == (1, True)
