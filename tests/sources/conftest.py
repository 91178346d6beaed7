"""A video site on loopback, and sources that point at it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from broken_videos import moving_video
from video_site import Site

from humannet_ops.catalog.connection import connect
from humannet_ops.domain.records import VideoSubject
from humannet_ops.sources import client
from humannet_ops.sources.config import Network
from humannet_ops.sources.protocol import Credentials
from humannet_ops.sources.ytdlp import fetch_url

HERE = ["127.0.0.1/32"]
IN_A_HURRY = {"requests_per_minute": 60000}


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


class Fetching:
    """Fetches from the site as a source of its own does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = f"s{secrets.token_hex(6)}"

    def asked(self, statement: str) -> list[tuple[object, ...]]:
        """Ask the catalog; ``$source`` is the source."""
        with connect() as link, link.cursor() as cursor:
            cursor.execute(statement.replace("$source", f"'{self.source}'"))
            return [tuple(row.values()) for row in cursor.fetchall()]

    def config(self, **fields: object) -> Network:
        """Return a source's configuration; it may reach 127.0.0.1 and is in a hurry."""
        politeness = IN_A_HURRY | dict(fields.pop("politeness", {}))  # type: ignore[call-overload]
        base = {"source": self.source, "kind": "ytdlp_url", "description": "d", "private_addresses": HERE}
        return Network.model_validate(base | fields | {"politeness": politeness})

    def __call__(
        self, url: str, *, name: str = "v1", credentials: Credentials | None = None, **fields: object
    ) -> tuple[bytes, dict[str, object]]:
        """Fetch and return the file's content and what is known of it."""
        video = VideoSubject(name, self.source, url)
        with fetch_url(self.config(**fields), video, self.folder / name, lambda: credentials) as fetched:
            told = {"url": fetched.url, "client": fetched.client, "metadata": dict(fetched.metadata)}
            return fetched.path.read_bytes(), told


@pytest.fixture
def fetch(tmp_path: Path) -> Callable[..., tuple[bytes, dict[str, object]]]:
    """A function that fetches an address."""
    return Fetching(tmp_path / "incoming")
