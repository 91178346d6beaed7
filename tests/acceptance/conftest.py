"""The real stack on real video, each home under a folder of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
from psycopg2.extras import RealDictCursor

from humannet_ops.local import components, postgres
from humannet_ops.settings import settings

# Short ones: a person near the camera, a whole person walking, and an animation without one.
REAL = {
    "near.mp4": "feat/tests/data/single_face.mp4",
    "walking in ünïcode.mp4": "Pose2Sim/Demo_SinglePerson/videos/cam01.mp4",
    "deeper/cartoon.mp4": "feat/tests/data/no_face.mp4",
}
# Models are installed once for all homes; lines are not wrapped.
ALIKE = {"HUMANNET_MODELS_DIR": str(settings().models), "COLUMNS": "200"}


@pytest.fixture(scope="session")
def samples() -> Path:
    folder = settings().home / "packages" / "samples"
    if not folder.exists():
        pytest.skip(f"{folder} is absent: run `make samples`")
    return folder


@pytest.fixture(scope="module")
def videos(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: three videos, a copy of one of them under another name, and two files that are none."""
    folder = tmp_path_factory.mktemp("videos")
    (folder / "deeper").mkdir()
    for name, sample in REAL.items():
        shutil.copy(samples / sample, folder / name)
    shutil.copy(folder / "near.mp4", folder / "near again.mp4")
    (folder / "empty.mp4").touch()
    (folder / "letter.mp4").write_text("no video at all\n" * 100)
    return folder


@dataclass
class Home:
    """One embedded platform, driven by its command line."""

    path: Path

    def command(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start ``humannet`` with this home; its output can be read line by line."""
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("humannet")), *arguments],
            env={**os.environ, "HUMANNET_HOME": str(self.path), **ALIKE, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ask(self, *arguments: str, status: int = 0, **environment: str) -> str:
        """Run ``humannet`` to its end, expect an exit status, and return what it printed."""
        process = self.command(*arguments, **environment)
        output, _ = process.communicate(timeout=600)
        assert process.returncode == status, output[-6000:]
        return output

    def run(self, videos: Path, status: int = 0, **environment: str) -> str:
        """Do the main job on a folder."""
        return self.ask("local", "run", "--videos", str(videos), status=status, **environment)

    def run_until(self, videos: Path, pattern: str) -> subprocess.Popen[str]:
        """Begin the main job and return when its progress shows a pattern."""
        process = self.command("local", "run", "--videos", str(videos))
        assert process.stdout is not None
        seen = []
        for line in process.stdout:
            seen.append(line)
            if re.search(pattern, line):
                return process
        raise AssertionError(f"{pattern!r} did not come:\n{''.join(seen[-60:])}")

    def rows(self, statement: str) -> list[dict[str, Any]]:
        """Ask the catalog, starting Postgres alone if nothing runs."""
        running = postgres.is_running(self.path)
        if not running:
            postgres.start(self.path)
        try:
            link = psycopg2.connect(
                dbname="catalog",
                user="catalog",
                host=str(postgres.socket_directory(self.path)),
                cursor_factory=RealDictCursor,
            )
            with link, link.cursor() as cursor:
                cursor.execute(statement)
                found = [dict(row) for row in cursor.fetchall()]
            link.close()
            return found
        finally:
            if not running:
                postgres.stop(self.path)

    def processes(self) -> list[psutil.Process]:
        """Everything of this home that runs."""
        return [*components.marked(self.path), *postgres.servers(self.path)]

    def kill(self, component: str) -> None:
        """End a component the hard way, and nothing but it."""
        process = components.find(self.path, component)
        assert process is not None
        process.kill()


@pytest.fixture(scope="module")
def new_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A function that makes an empty home; whatever still runs in one is stopped at the end."""
    made: list[Home] = []

    def make() -> Home:
        made.append(Home(tmp_path_factory.mktemp("home")))
        return made[-1]

    yield make
    for home in made:
        home.ask("local", "down")
        shutil.rmtree(home.path)


_DRILLS: list[tuple[str, float, int, int]] = []


@pytest.fixture
def record_drill() -> Any:
    """A function that notes what a drill cost, for the table at the end, and fails the test if anything was lost."""

    def record(name: str, *, recovery_s: float, lost: int, duplicated: int) -> None:
        _DRILLS.append((name, recovery_s, lost, duplicated))
        assert (lost, duplicated) == (0, 0), f"{name}: {lost} lost, {duplicated} duplicated"

    return record


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what the failure drills cost."""
    if not _DRILLS:
        return
    terminalreporter.section("failure drills")
    terminalreporter.write_line(f"{'drill':<58} {'recovery, s':>11} {'lost':>5} {'duplicated':>11}")
    for name, recovery_s, lost, duplicated in _DRILLS:
        terminalreporter.write_line(f"{name:<58} {recovery_s:>11.1f} {lost:>5} {duplicated:>11}")
