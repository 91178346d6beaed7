"""A channel: whoever publishes, on any site that yt-dlp lists, or in a feed."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from humannet_ops.catalog.discovery import Entry
from humannet_ops.sources.listing import ListedAt, ListedSource, Listing
from humannet_ops.sources.network import public
from humannet_ops.sources.protocol import Crawl

_LAST_WHOLE = "whole"


class YtdlpChannelConfig(ListedAt):
    """A channel, the newest first.

    Attributes:
        whole_every_days: How often the list is read to its end although nothing new is expected there, so that what was
            removed is noticed.
    """

    kind: Literal["ytdlp_channel"]
    whole_every_days: Annotated[int, Field(ge=1)] = 7


class YtdlpChannelSource(ListedSource[YtdlpChannelConfig]):
    """A channel."""

    dated = True

    def address(self) -> str:
        """Return the channel's address."""
        return public(self.config.url)

    def entries(self, crawl: Crawl) -> Iterator[Entry]:
        """Stream what is new, and what is known as far as the list is read."""
        from humannet_ops.sources import client

        with client.opened(self.config, crawl.credentials) as opened:
            listing = Listing(self.config, crawl, opened, newest_first=not self._reads_whole(crawl))
            yield from listing.entries(listing.found(self.config.url, channel=True))
            listing.remember()
            crawl.complete = listing.whole
            if listing.whole:
                crawl.remember[_LAST_WHOLE] = crawl.partition_key

    def _reads_whole(self, crawl: Crawl) -> bool:
        last = crawl.memory.get(_LAST_WHOLE)
        if last is None:
            return True
        return crawl.window.through - datetime.date.fromisoformat(last) >= datetime.timedelta(
            days=self.config.whole_every_days
        )
