"""A list of addresses, of any site that yt-dlp knows, of pages with a video, or of files."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, field_validator

from humannet_ops.catalog.discovery import Entry
from humannet_ops.domain.outcome import Reason, SubjectError
from humannet_ops.sources.config import SourceError
from humannet_ops.sources.listing import Listed, ListedSource, Listing, check_address
from humannet_ops.sources.network import public
from humannet_ops.sources.protocol import Crawl

logger = logging.getLogger(__name__)


class YtdlpUrlConfig(Listed):
    """Addresses of videos, or of lists of them.

    Attributes:
        urls: The addresses.
    """

    kind: Literal["ytdlp_url"]
    urls: Annotated[list[str], Field(min_length=1)]

    @field_validator("urls")
    @classmethod
    def _are_addresses(cls, value: list[str]) -> list[str]:
        for url in value:
            check_address(url)
        return value


class YtdlpUrlSource(ListedSource[YtdlpUrlConfig]):
    """A list of addresses."""

    def address(self) -> str:
        """Return the first address, and how many more there are."""
        first, *more = self.config.urls
        return public(first) + (f" +{len(more)}" if more else "")

    def entries(self, crawl: Crawl) -> Iterator[Entry]:
        """Stream what is at the addresses; one that fails keeps none of the others back."""
        from humannet_ops.sources import client

        whole = True
        for url in self.config.urls:
            with client.opened(self.config, crawl.credentials) as opened:
                listing = Listing(self.config, crawl, opened)
                try:
                    yield from listing.entries(listing.found(url))
                except SourceError as error:
                    logger.warning("%s", error)
                    cause = error.__cause__
                    whole &= isinstance(cause, SubjectError) and cause.reason is Reason.GONE
                whole &= listing.whole
        crawl.complete = whole
