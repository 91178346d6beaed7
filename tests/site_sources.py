"""Sources that point at the loopback site."""

from __future__ import annotations

import secrets
from pathlib import Path

from humannet_ops.catalog.connection import connect
from humannet_ops.domain.records import VideoSubject
from humannet_ops.sources.config import Network
from humannet_ops.sources.protocol import Credentials
from humannet_ops.sources.ytdlp import fetch_url

HERE = ["127.0.0.1/32"]
IN_A_HURRY = {"requests_per_minute": 60000}


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
