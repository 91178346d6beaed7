"""A video site on loopback, and sources that point at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from broken_videos import moving_video
from video_site import Site

from humannet_ops.domain.records import VideoSubject
from humannet_ops.sources.config import Network


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real video of some 100 KB."""
    return moving_video(tmp_path_factory.mktemp("clip"), 2.0)


@pytest.fixture(scope="session")
def other_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another one."""
    return moving_video(tmp_path_factory.mktemp("other"), 1.0, audio=False)


@pytest.fixture
def site(home: Path) -> Iterator[Site]:
    """An empty site, and a catalog."""
    with Site() as there:
        yield there


@pytest.fixture
def config() -> Callable[..., Network]:
    """A function that makes a source's configuration; it may reach 127.0.0.1 and is in a hurry."""

    def make(**fields: object) -> Network:
        politeness = {"requests_per_minute": 60000} | dict(fields.pop("politeness", {}))
        base = {"source": "site", "kind": "ytdlp_url", "description": "d", "private_addresses": ["127.0.0.1/32"]}
        return Network.model_validate(base | fields | {"politeness": politeness})

    return make


def video(url: str, name: str = "v1") -> VideoSubject:
    """Return a video of an address."""
    return VideoSubject(name, "site", url)
