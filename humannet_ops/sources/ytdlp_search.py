"""A site's search, for keywords that grow from what they bring."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal
from urllib.parse import quote_plus

from pydantic import field_validator

from humannet_ops.catalog.discovery import Entry
from humannet_ops.sources.listing import Listed, ListedSource, Listing, check_address
from humannet_ops.sources.network import public
from humannet_ops.sources.protocol import Crawl, Keyword
from humannet_ops.sources.searching import Searching


class YtdlpSearchConfig(Listed, Searching):
    """A search.

    Attributes:
        search: yt-dlp's name of a search (``ytsearch``, ``ytsearchdate``, ``scsearch``; those of ``yt-dlp
            --extractor-descriptions``), or the address of a site's search with ``{query}`` and, where it has pages,
            ``{page}`` in it.
    """

    kind: Literal["ytdlp_search"]
    search: str = "ytsearch"

    @field_validator("search")
    @classmethod
    def _is_search(cls, value: str) -> str:
        if "://" in value:
            check_address(value)
            if "{query}" not in value:
                raise ValueError(f"{value!r} has no {{query}} in it, for which the keyword is put")
        elif not re.fullmatch(r"[a-z]+search[a-z]*", value):
            raise ValueError(f"{value!r} is neither a search of yt-dlp, like ytsearch, nor an address with {{query}}")
        return value


class YtdlpSearchSource(ListedSource[YtdlpSearchConfig]):
    """A search."""

    dated = True
    searches = True

    def address(self) -> str:
        """Return where is searched."""
        return public(self.config.search)

    def entries(self, crawl: Crawl) -> Iterator[Entry]:
        """Stream what the keywords find, each up to its number of items of this crawl day."""
        from humannet_ops.sources import client

        with client.opened(self.config, crawl.credentials) as opened:
            listing = Listing(self.config, crawl, opened)
            for keyword in crawl.keywords:
                found = listing.found(self._asked(keyword))
                yield from listing.entries(found, most=keyword.items, keyword_id=keyword.keyword_id)
            listing.remember()

    def _asked(self, keyword: Keyword) -> str:
        if "{query}" in self.config.search:
            return self.config.search.replace("{query}", quote_plus(keyword.phrase))
        # more than wanted: many of them may be known already
        return f"{self.config.search}{5 * keyword.items + 25}:{keyword.phrase}"
