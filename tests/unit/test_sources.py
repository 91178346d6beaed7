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
from humannet_ops.sources.folder import FolderConfig, FolderSource
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


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("source: [", "not readable as YAML"),
        ("- a", "expected fields"),
        ("source: mine\nkind: folder\ndescription: d", "path: Field required"),
        ("source: mine\nkind: ftp\ndescription: d\npath: /x", "kind: 'ftp' is no kind of source"),
        ("source: Mine!\nkind: folder\ndescription: d\npath: /x", "source: String should match pattern"),
        ("source: mine\nkind: folder\ndescription: d\npath: /x\ncolour: red", "colour: Extra inputs are not permitted"),
        ("source: mine\nkind: folder\ndescription: d\npath: /x\nschedule: daily", "not a cron expression"),
        ("source: other\nkind: folder\ndescription: d\npath: /x", "give the file the same name"),
        ("source: mine\nkind: folder\ndescription: ''\npath: /x", "description: String should have at least"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(SourceError, match=r"mine\.yaml") as error:
        config.read(path)
    assert says in str(error.value)
