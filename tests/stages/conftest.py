"""The whole way of a video without Airflow: the same functions that its tasks call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from humannet_ops.catalog import reading
from humannet_ops.stages import execution, registry

DAY = "2026-01-01"


class Way:
    """A folder source and the stages behind it."""

    def __init__(self, videos: Path) -> None:
        self.videos = videos

    def go(self, *, key: str = DAY, until: str = "annotate") -> Counter[str]:
        """Discover, then run every stage up to ``until``; count outcomes."""
        execution.discover("videos", key, execution.person())
        done: Counter[str] = Counter()
        for stage in registry.STAGES[: registry.STAGES.index(until) + 1]:
            for shard in execution.plan(stage, key, execution.person()):
                counts = execution.run_shard(shard["shard_id"], execution.person())
                done.update({f"{stage} {outcome}": number for outcome, number in counts.items() if number})
        return done

    @staticmethod
    def statuses() -> dict[str, tuple[str, str | None]]:
        """Return title -> (status, reason) of every video's newest version."""
        return {row["title"]: (row["status"], row["reason"]) for row in reading.rows("videos", source=None)}


@pytest.fixture
def way(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget_settings: Callable[[], None]) -> Way:
    """A way over an empty folder; put videos into ``way.videos``."""
    videos, sources = tmp_path / "videos", tmp_path / "sources"
    videos.mkdir()
    sources.mkdir()
    (sources / "videos.yaml").write_text(f"source: videos\nkind: folder\ndescription: Test videos.\npath: {videos}\n")
    monkeypatch.setenv("HUMANNET_SOURCES_DIR", str(sources))
    forget_settings()
    execution.register()
    return Way(videos)
