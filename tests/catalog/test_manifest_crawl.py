"""A manifest as a source, from its YAML file to the catalog, day after day."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from humannet_ops.catalog import reading
from humannet_ops.sources.config import SourceError
from humannet_ops.stages import execution

YOUTUBE = "https://www.youtube.com/watch?v="


@pytest.fixture
def manifest(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget_settings: Any) -> Path:
    path = tmp_path / "koala.csv"
    (tmp_path / "koala.yaml").write_text(
        f"source: koala\nkind: http_manifest\ndescription: d\nmanifest: {path}\nlicense: research\n"
    )
    monkeypatch.setenv("HUMANNET_SOURCES_DIR", str(tmp_path))
    forget_settings()
    return path


def write(path: Path, *rows: tuple[str, str, str]) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["videoID", "url", "timestamp", "caption"])
        writer.writerows(
            [f"{url}_{start}", url and YOUTUBE + url, f"['{start}', '1:00:00']", c] for url, start, c in rows
        )


def discover(day: str) -> dict[str, int]:
    found = execution.discover("koala", day, execution.person())
    return {name: count for name, count in found.items() if count}


def test_segments_edits_faults_and_an_unchanged_day(manifest: Path) -> None:
    write(manifest, ("a", "0:00:01", "one"), ("b", "0:00:02", "two"), ("", "0:00:03", "lost"), ("a", "0:00:04", "far"))
    assert discover("2026-01-01") == {"new": 2}
    captions = (
        "select jsonb_path_query_array(published, '$.segments[*].caption') from videos where origin_uri like '%=a'"
    )
    assert [row[0] for row in reading.ask(captions)[1]] == [["one", "far"]]
    assert discover("2026-01-02") == {"known": 2}
    write(manifest, ("a", "0:00:01", "one"), ("a", "0:00:04", "farther"), ("c", "0:00:05", "new"))
    assert discover("2026-01-03") == {"new": 1, "known": 1, "gone": 1}
    assert [row[0] for row in reading.ask(captions)[1]] == [["one", "farther"]]
    crawls = "select partition_key, seen, faults, unchanged from crawls order by 1"
    assert list(reading.ask(crawls)[1]) == [
        ("2026-01-01", 3, 1, False),
        ("2026-01-02", 3, 1, True),
        ("2026-01-03", 3, 0, False),
    ]
    changes = "select field, count(*) from upstream_changes group by field order by field"
    assert list(reading.ask(changes)[1]) == [("offered", 1), ("published", 1)]


def test_a_manifest_that_breaks_leaves_the_catalog_as_it_was(manifest: Path) -> None:
    write(manifest, ("a", "0:00:01", "one"))
    discover("2026-01-01")
    manifest.write_text("other,columns\n1,2\n")
    with pytest.raises(SourceError, match="no column url"):
        discover("2026-01-02")
    assert list(reading.ask("select count(*), count(gone_at) from videos")[1]) == [(1, 0)]
    assert list(reading.ask("select count(*) from crawls")[1]) == [(1,)]
    write(manifest, ("a", "0:00:01", "one"))
    assert discover("2026-01-02") == {"known": 1}
    assert list(reading.ask("select unchanged from crawls where partition_key = '2026-01-02'")[1]) == [(True,)]
