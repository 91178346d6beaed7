"""A video site on loopback, and sources that point at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from broken_videos import moving_video
from site_sources import Fetching
from video_site import Site

from humannet_ops.sources import client


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real video of some 170 KB."""
    return moving_video(tmp_path_factory.mktemp("clip"), 2.0)


@pytest.fixture(scope="session")
def other_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another one."""
    return moving_video(tmp_path_factory.mktemp("other"), 1.0, audio=False)


@pytest.fixture
def site(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An empty site, and a catalog; yt-dlp repeats at once what failed."""
    monkeypatch.setattr(client, "PAUSE_S", 0.01)
    with Site() as there:
        yield there


@pytest.fixture
def fetch(tmp_path: Path) -> Callable[..., tuple[bytes, dict[str, object]]]:
    """A function that fetches an address."""
    return Fetching(tmp_path / "incoming")
