"""A manifest over HTTP, from its source file to fetched objects with their provenance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from video_site import Site

from humannet_ops.catalog import reading
from humannet_ops.stages import execution

DAY = "2026-01-01"


def crawl(day: str) -> dict[str, int]:
    """Discover and fetch as a crawl's DAG does; return how the fetches ended."""
    me = execution.person()
    execution.discover("openset", day, me)
    ended: dict[str, int] = {}
    for shard in execution.plan("fetch", day, me, source="openset"):
        for outcome, count in execution.run_shard(shard["shard_id"], me).items():
            ended[outcome] = ended.get(outcome, 0) + count
    return {outcome: count for outcome, count in ended.items() if count}


def test_what_a_manifest_names_is_fetched_once_with_its_provenance(
    home: Path, tmp_path: Path, clip: Path, other_clip: Path, monkeypatch: pytest.MonkeyPatch, forget_settings: Any
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    with Site() as site:
        site.add("a", clip)
        site.add("b", other_clip)
        (files / "set.csv").write_text(
            "url,title,license,start,end\n"
            f"{site.url('/media/a.mp4')},one,CC-BY-4.0,0,1\n"
            f"{site.url('/media/b.mp4')},two,,0,1\n"
            f"{site.url('/media/none.mp4')},three,CC0,0,1\n"
            f"{site.url('/media/a.mp4')}?utm_source=set,one again,CC-BY-4.0,0,1\n"
            f"{site.url('/media/a.mp4')},one,CC-BY-4.0,1,2\n"
        )
        site.add_folder("/files", files)
        (tmp_path / "openset.yaml").write_text(
            f"source: openset\nkind: http_manifest\ndescription: d\nmanifest: {site.url('/files/set.csv')}\n"
            "private_addresses: [127.0.0.1/32]\nterms: research only\npoliteness: {requests_per_minute: 60000}\n"
        )
        monkeypatch.setenv("HUMANNET_SOURCES_DIR", str(tmp_path))
        forget_settings()
        # two is of no stated licence, so a person is asked; none.mp4 is not there
        assert crawl(DAY) == {"kept": 1, "rejected": 1, "failed": 1}
        assert crawl(DAY) == {}
        assert site.paths()["/media/a.mp4"] >= 1
        asked = sum(site.paths().values())
        assert crawl("2026-01-02") == {}
        # the second day asked for the manifest alone
        assert sum(site.paths().values()) == asked + 1
    found = "select title, reason from v_videos left join v_provenance using (video_id) order by title"
    assert list(reading.ask(found)[1]) == [("one", None), ("three", "gone"), ("two", "license_review")]
    columns, rows = reading.ask("select * from v_provenance where sha256 is not null")
    (row,) = [dict(zip(columns, row, strict=True)) for row in rows]
    assert row["fetched_from"].endswith("/media/a.mp4")
    assert (row["license"], row["terms"]) == ("CC-BY-4.0", "research only")
    assert row["client"].startswith("yt-dlp 20")
    assert row["bytes"] == clip.stat().st_size
    assert row["metadata_uri"].endswith(".json")
    segments = "select published -> 'segments' from videos where title = 'one'"
    assert [row[0] for row in reading.ask(segments)[1]] == [
        [{"start_s": 0.0, "end_s": 1.0}, {"start_s": 1.0, "end_s": 2.0}]
    ]
    assert len(list(reading.ask("select * from video_aliases")[1])) == 1
