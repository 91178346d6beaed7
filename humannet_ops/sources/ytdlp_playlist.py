"""A playlist, album or feed that somebody puts together: what is added to it may be old."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from humannet_ops.catalog.discovery import Entry
from humannet_ops.sources.listing import ListedAt, ListedSource, Listing
from humannet_ops.sources.network import public
from humannet_ops.sources.protocol import Crawl


class YtdlpPlaylistConfig(ListedAt):
    """A playlist."""

    kind: Literal["ytdlp_playlist"]


class YtdlpPlaylistSource(ListedSource[YtdlpPlaylistConfig]):
    """A playlist."""

    def address(self) -> str:
        """Return the playlist's address."""
        return public(self.config.url)

    def entries(self, crawl: Crawl) -> Iterator[Entry]:
        """Stream everything that is in it."""
        from humannet_ops.sources import client

        with client.opened(self.config, crawl.credentials) as opened:
            listing = Listing(self.config, crawl, opened)
            yield from listing.entries(listing.found(self.config.url))
            crawl.complete = listing.whole
