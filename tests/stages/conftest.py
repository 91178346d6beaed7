"""The whole way of a video without Airflow: the same functions that its tasks call."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from annotator import Annotator
from edits import edited

from humannet_ops.catalog import reading
from humannet_ops.detectors import install
from humannet_ops.detectors.lock import ModelLock
from humannet_ops.settings import Settings, settings
from humannet_ops.stages import execution, registry
from humannet_ops.stages.protocol import Context
from humannet_ops.storage import FolderStore

DAY = "2026-01-01"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> ModelLock:
    """The models of the default profile."""
    return install.install(tmp_path_factory.mktemp("models"), "default", Settings())


@pytest.fixture(scope="module")
def annotator(installed: ModelLock, tmp_path_factory: pytest.TempPathFactory) -> Annotator:
    """Runs annotation stages on single clips."""
    root = tmp_path_factory.mktemp("annotator")
    (root / "scratch").mkdir()
    return Annotator(Context(Settings(), FolderStore(root / "store"), installed, root / "scratch"))


@pytest.fixture(scope="session")
def sample() -> Callable[[str], Path]:
    """A function that finds a sample video."""
    # before a test has a home of its own
    folder = settings().home / "packages" / "samples"

    def find(name: str) -> Path:
        path = folder / name
        if not path.exists():
            pytest.skip(f"{path} is absent: run `make samples`")
        return path

    return find


class Way:
    """A folder source and the stages behind it."""

    def __init__(self, videos: Path, as_role: Callable[[str], Any] = nullcontext) -> None:
        self.videos, self.as_role = videos, as_role

    def go(self, *, key: str = DAY, until: str = registry.STAGES[-1]) -> Counter[str]:
        """Discover, then run every stage up to ``until``, each step as the role that has it; count outcomes."""
        with self.as_role("crawler"):
            execution.discover("videos", key, execution.person())
        done: Counter[str] = Counter()
        for stage in registry.STAGES[: registry.STAGES.index(until) + 1]:
            with self.as_role("crawler"):
                shards = execution.plan(stage, key, execution.person())
            for shard in shards:
                with self.as_role("crawler" if stage == "fetch" else "worker"):
                    counts = execution.run_shard(shard["shard_id"], execution.person())
                done.update({f"{stage} {outcome}": number for outcome, number in counts.items() if number})
        return done

    @staticmethod
    def statuses() -> dict[str, tuple[str, str | None]]:
        """Return title -> (status, reason) of every video's newest version."""
        return {row["title"]: (row["status"], row["reason"]) for row in reading.rows("videos", source=None)}


@pytest.fixture(scope="module")
def gone_through(
    shared_home: Path, corpus: Path, as_role: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Way]:
    """Three seconds of a real person, its equal and an edited copy, all the way; each step was done as its own role."""
    folder = tmp_path_factory.mktemp("gone_through")
    with pytest.MonkeyPatch.context() as monkeypatch:
        made = _folder_source(folder, monkeypatch)
        settings.cache_clear()
        made.as_role = as_role
        walk = corpus / "exo" / "exo_sports2d_jump_walk_vp9.mp4"
        edited(walk, made.videos / "walk.mp4", "-t", "3", "-vf", "scale=640:-2")
        shutil.copyfile(made.videos / "walk.mp4", made.videos / "walk again.mp4")
        made.go(until="deduplicate_near")
        edited(made.videos / "walk.mp4", made.videos / "smaller.mp4", "-vf", "hflip,scale=480:-2")
        made.go()
        yield made
    settings.cache_clear()


def _folder_source(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Way:
    videos, sources = folder / "videos", folder / "sources"
    videos.mkdir()
    sources.mkdir()
    (sources / "videos.yaml").write_text(f"source: videos\nkind: folder\ndescription: Test videos.\npath: {videos}\n")
    monkeypatch.setenv("HUMANNET_SOURCES_DIR", str(sources))
    return Way(videos)


@pytest.fixture
def way(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget_settings: Callable[[], None]) -> Way:
    """A way over an empty folder; put videos into ``way.videos``."""
    made = _folder_source(tmp_path, monkeypatch)
    forget_settings()
    execution.register()
    return made
