"""What a folder offers, and what a wrong source file says."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from humannet_ops.catalog.discovery import Entry
from humannet_ops.sources import config, folder
from humannet_ops.sources.config import SourceError
from humannet_ops.sources.faults import listed, meanings
from humannet_ops.sources.folder import FolderConfig, FolderSource
from humannet_ops.sources.kinds import KINDS, config_class
from humannet_ops.sources.protocol import Crawl, Window


def source(path: Path, **fields: object) -> FolderSource:
    return FolderSource(
        FolderConfig.model_validate(
            {"source": "mine", "kind": "folder", "description": "d", "path": str(path)} | fields
        )
    )


def offered(found: FolderSource) -> Iterator[Entry]:
    return found.entries(Crawl("2026-01-01", Window(None, datetime.date(2026, 1, 1))))


def names(found: FolderSource) -> list[str | None]:
    return sorted(str(entry.title) for entry in offered(found))


def test_everything_that_may_be_video_is_offered(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.MKV", "no_suffix", "photo.jpg", "deep/er/c.avi", "line\nbreak.mp4", "ünï.webm"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    for name in ("notes.txt", "a.srt", "a.json", ".hidden.mp4", "half.mp4.part"):
        (tmp_path / name).write_bytes(b"x")
    assert names(source(tmp_path)) == sorted(
        ["a.mp4", "b.MKV", "no_suffix", "photo.jpg", "deep/er/c.avi", "line\nbreak.mp4", "ünï.webm"]
    )


def test_include_and_exclude(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4", "c.avi"):
        (tmp_path / name).write_bytes(b"x")
    assert names(source(tmp_path, include=["*.mp4"], exclude=["b*"])) == ["a.mp4"]


def test_links_are_followed_but_no_circle_is(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(b"x")
    (tmp_path / "in" / "up").symlink_to(tmp_path)
    (tmp_path / "self.mp4").symlink_to("self.mp4")
    (tmp_path / "linked.mp4").symlink_to(tmp_path / "in" / "a.mp4")
    found = {entry.title: entry.signature for entry in offered(source(tmp_path))}
    assert set(found) == {"in/a.mp4", "linked.mp4", "self.mp4"}
    assert found["self.mp4"] == f"unreadable:{40}"


def test_names_that_are_no_text_survive(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/bad\xff.mp4"
    Path(os.fsdecode(raw)).write_bytes(b"x")
    (entry,) = offered(source(tmp_path))
    assert entry.title == "bad�.mp4"
    assert os.fsencode(folder.path_of(entry.origin_uri)) == raw


def test_signature_follows_content_and_not_a_name(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"x")
    before = folder.signature(path)
    assert folder.signature(path) == before
    path.write_bytes(b"xy")
    assert folder.signature(path) != before


def test_licence_by_folder(tmp_path: Path) -> None:
    found = source(tmp_path, license="unknown", licenses=[{"glob": "mit/*", "license": "MIT"}])
    assert [found.config.licence_of(name) for name in ("mit/a/b.mp4", "a.mp4")] == ["MIT", "unknown"]


def test_a_variable_that_is_not_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUMANNET_VIDEOS", raising=False)
    with pytest.raises(SourceError, match="HUMANNET_VIDEOS, which is not set"):
        source(Path("${HUMANNET_VIDEOS}")).config.folder()
    monkeypatch.setenv("HUMANNET_VIDEOS", str(tmp_path))
    assert source(Path("${HUMANNET_VIDEOS}")).config.folder() == tmp_path


GOOD = "source: mine\nkind: folder\ndescription: d\npath: /x\n"
MANIFEST = "source: mine\nkind: http_manifest\ndescription: d\nmanifest: /x\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "source: mine\nkind: folder\n\tpath: /x",
            ["not readable as YAML: line 3, column 1: found a tab; expected spaces"],
        ),
        (
            GOOD.replace("d\n", "mine: all of them\n"),
            [
                "not readable as YAML: line 3, column 18: found a second `: ` in a line; expected quotes around the "
                "text that has it"
            ],
        ),
        ("- a", ["found a list; expected fields, like `source: my_videos`"]),
        ("", ["found nothing; expected fields, like `source: my_videos`"]),
        ("source: mine\nkind: folder\ndescription: d", ["path: missing; expected the folder"]),
        (GOOD.replace("path", "pth"), ["pth: no such field; did you mean `path`?"]),
        (
            GOOD + "xyzzy: 1",
            [
                "xyzzy: no such field; expected description, exclude, include, kind, license, license_policy, "
                "licenses, owner, path, schedule, source or terms"
            ],
        ),
        (
            "source: mine\nkind: foldr\nschedule: daily\ndescription: d",
            [
                f"kind: 'foldr' is no kind of source; expected {listed(KINDS)}; did you mean `folder`?",
                "schedule: 'daily' is not a cron expression of five fields, like '0 3 * * *'",
            ],
        ),
        (
            GOOD.replace("mine", "Mine!").replace(": d\n", ": ''\n"),
            [
                "source: found 'Mine!'; expected a small letter, then small letters, digits and _, like my_videos",
                "description: empty; expected text",
            ],
        ),
        (GOOD.replace("mine", "other"), ["source: found 'other'; expected 'mine', the name of the file"]),
        (GOOD + "path: /y", ["path: found twice, in lines 4 and 5; expected once"]),
        (
            GOOD + "license: no",
            ["license: found false (YAML reads yes, no, on and off so); expected text"],
        ),
        (
            MANIFEST + "budget: {items: 0, bytes: lots}\nsince: soon\npoliteness: 3\nmax_seconds: -1",
            [
                "budget.items: found 0; expected at least 1",
                "budget.bytes: found 'lots'; expected a size, like 50 GB",
                "since: found 'soon'; expected a day, like 2026-01-31",
                "politeness: found 3; expected fields, like {a: b}",
                "max_seconds: found -1; expected more than 0",
            ],
        ),
        (
            MANIFEST + "license_policy: {alow: [a], unknown: maybe}\npoliteness: {quiet_hours: 22-6, timezone: Mars/X}"
            "\nlayout: panda\ncolumns: {ulr: a}\nlicenses: [{glob: a, licence: b}]\n"
            "private_addresses: [10.0.0.0/8, lan]",
            [
                "license_policy.unknown: found 'maybe'; expected allow, review or deny",
                "license_policy.alow: no such field; did you mean `allow`?",
                "politeness.quiet_hours: found '22-6'; expected begin and end, like '22:00-06:00'",
                "politeness.timezone: 'Mars/X' is no time zone, like 'Europe/Berlin'",
                "layout: found 'panda'; expected ego4d, panda_70m, koala_36m or plain; did you mean `panda_70m`?",
                "columns.ulr: no such field; did you mean `url`?",
                "licenses (item 1).licence: no such field; did you mean `license`?",
                "private_addresses (item 2): found 'lan'; expected a network, like 10.20.0.0/16",
            ],
        ),
        (
            "source: mine\nkind: s3_prefix\ndescription: d\nuri: bucket/x\nendpoint_url: minio",
            [
                "uri: found 'bucket/x'; expected a bucket and a prefix, like s3://bucket/prefix",
                "endpoint_url: found 'minio'; expected a service's address, like https://s3.example.org",
            ],
        ),
    ],
)  # fmt: skip
def test_a_wrong_file_says_everything_that_is_wrong(tmp_path: Path, text: str, says: list[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(SourceError) as error:
        config.read(path)
    assert str(error.value).splitlines() == [f"mine.yaml: {line}" for line in says]


@pytest.mark.parametrize("text", [GOOD, MANIFEST, MANIFEST + "columns: {url: a, title: [b, c]}\nbudget: {bytes: 5 GB}"])
def test_a_right_file_is_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    assert config.read(path).source == "mine"


def test_every_field_of_every_kind_says_what_it_means() -> None:
    for kind in KINDS:
        model = config_class(kind)
        assert set(model.model_fields) - set(meanings(model)) == set()
