"""What a channel, a playlist, a search or a list of addresses offers, as yt-dlp tells it."""

from __future__ import annotations

import datetime
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import model_validator

from humannet_ops.catalog import politeness
from humannet_ops.catalog.discovery import Entry
from humannet_ops.domain.outcome import Postponed, Reason, SubjectError
from humannet_ops.domain.records import VideoSubject
from humannet_ops.sources.config import Network, SourceError
from humannet_ops.sources.network import canonical, host_of
from humannet_ops.sources.protocol import Crawl, Credentials, Fetched, Source
from humannet_ops.sources.trouble import explained
from humannet_ops.sources.ytdlp import each_of, fetch_url

if TYPE_CHECKING:
    from humannet_ops.sources.client import Client

logger = logging.getLogger(__name__)

Raw = Mapping[str, Any]

BATCH = 25
"""How many items the catalog is asked about at a time."""
STALE = 30
"""So many items in a row that are known, or too old, end a list that begins with the newest."""
MOST_PAGES = 1000
_DEPTH = 4
_LISTS = ("playlist", "multi_video")
_POINTERS = ("url", "url_transparent")
# what a pointer says about itself, not about the video that it points to
_POINTS = {"_type", "url", "id", "extractor", "extractor_key", "ie_key"}
# What is said about an item and names or describes it. Counts of views change with every look: the metadata that is
# kept with the file has them.
_PUBLISHED = ("description", "tags", "categories", "language", "age_limit", "availability", "chapters", "location")
# yt-dlp's extractors for any site: their ids are parts of addresses, no names that a site gives
_NAMELESS = {"generic", "html5mediaembed"}


class Listed(Network):
    """What every source that yt-dlp lists says.

    Attributes:
        look_at_pages: Whether the page of an item that is new is looked at where the list does not say its licence or
            its upload day: one request an item. Otherwise such items have none.
    """

    look_at_pages: bool = True


class ListedAt(Listed):
    """A source at one address.

    Attributes:
        url: The address; with ``{page}`` in it, pages are asked for from 1 until one brings nothing new.
    """

    url: str

    @model_validator(mode="after")
    def _is_address(self) -> ListedAt:
        check_address(self.url)
        return self


ListedConfig = TypeVar("ListedConfig", bound=Listed)


class ListedSource(Source[ListedConfig]):
    """A source that yt-dlp lists and fetches."""

    def fetch(
        self, video: VideoSubject, folder: Path, credentials: Callable[[], Credentials | None]
    ) -> AbstractContextManager[Fetched]:
        """Fetch one of its videos."""
        return fetch_url(self.config, video, folder, credentials)


def check_address(url: str) -> None:
    """See that an address is one that yt-dlp may be given.

    Raises:
        ValueError: it is not.
    """
    if not host_of(url) or not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is no address like https://host/path")


@dataclass
class Listing:
    """One pass over a source's lists.

    Attributes:
        config: The source.
        crawl: The pass.
        client: yt-dlp.
        newest_first: Its lists begin with the newest, so that a pass may end early.
    """

    config: Listed
    crawl: Crawl
    client: Client
    newest_first: bool = False
    whole: bool = field(default=True, init=False)
    """Every list was read to its end, and no item was passed over for an error."""

    @property
    def is_backfill(self) -> bool:
        """Say whether the crawl day lies before one that was crawled: then it is about the uploads of its window only.

        Any other pass takes whatever is new: what a list showed late, or an earlier pass did not get to, is not lost.
        """
        return self.crawl.window.through.isoformat() < str(self.crawl.memory.get("through", ""))

    def remember(self) -> None:
        """Leave for the next pass how far this one looked."""
        through = self.crawl.window.through.isoformat()
        self.crawl.remember["through"] = max(through, str(self.crawl.memory.get("through", "")))

    def found(self, url: str, *, channel: bool = False) -> Iterator[tuple[Raw, Raw | None]]:
        """Stream what is at an address: each item with the list that it is in, page by page.

        Args:
            url: The address; may have ``{page}`` in it.
            channel: The list's owner is taken for the publisher of items that name none.
        """
        seen: set[str] = set()
        for page in range(1, MOST_PAGES + 1):
            fresh = False
            for raw, parent in self._guarded(url.replace("{page}", str(page)), first=page == 1):
                address = address_of(raw)
                if address in seen:
                    continue
                if "{page}" in url:
                    seen.add(address)
                fresh = True
                yield raw, parent if channel else None
            if "{page}" not in url or not fresh:
                return

    def _guarded(self, url: str, *, first: bool) -> Iterator[tuple[Raw, Raw | None]]:
        """Stream what yt-dlp finds, with the network guarded only while yt-dlp works.

        Raises:
            SourceError: the list cannot be had.
        """
        from humannet_ops.sources.client import working

        items = self._unfolded(url, None, 0)
        while True:
            try:
                with working(self.client), explained(self.client, url):
                    item = next(items, None)
            except SubjectError as error:
                if not first and error.reason in (Reason.GONE, Reason.UNSUPPORTED):
                    # behind the last page
                    self.client.visit.ended = None
                    return
                raise SourceError(f"source {self.config.source}: {error}") from error
            if item is None:
                return
            yield item

    def _unfolded(self, url: str, extractor: str | None, depth: int) -> Iterator[tuple[Raw, Raw | None]]:
        found = self._resolved(url, extractor)
        if found.get("_type") not in _LISTS:
            yield found, None
            return
        for entry in each_of(found):
            if entry.get("_type") in _POINTERS and self._leads_to_list(entry) and depth < _DEPTH:
                yield from self._unfolded(entry["url"], entry.get("ie_key"), depth + 1)
            else:
                yield entry, found

    def _resolved(self, url: str, extractor: str | None) -> Raw:
        """Return what is at an address, followed from site to site; a page's own words go before the player's."""
        found: Raw = self.client.look(url, ie_key=extractor)
        said: dict[str, Any] = {}
        for _ in range(_DEPTH):
            if found.get("_type") not in _POINTERS:
                break
            if found["_type"] == "url_transparent":
                said = {**{key: found[key] for key in found if key not in _POINTS and found[key] is not None}, **said}
                if found.get("ie_key") in (None, "Generic"):
                    # a file, which says nothing that its page does not
                    return {**said, "extractor_key": found.get("extractor_key"), "url": said["webpage_url"]}
            found = self.client.look(found["url"], ie_key=found.get("ie_key"))
        return {**found, **said}

    def _leads_to_list(self, entry: Raw) -> bool:
        if not entry.get("ie_key"):
            return False
        extractor = self.client.get_info_extractor(entry["ie_key"])
        return extractor.is_single_video(entry["url"]) is False

    def entries(
        self, items: Iterator[tuple[Raw, Raw | None]], *, most: int | None = None, keyword_id: str | None = None
    ) -> Iterator[Entry]:
        """Stream the entries of the items that this pass is about, and of those that are known.

        Args:
            items: From ``found``.
            most: After so many that this crawl day brought, the rest is left.
            keyword_id: The keyword that was searched for.
        """
        brought = looked = old = 0
        while batch := list(itertools.islice(items, BATCH)):
            flat = [self._entry(raw, parent, keyword_id) for raw, parent in batch]
            known = politeness.known(
                self.config.source, [(each.origin_uri, each.extractor, each.extractor_id) for each in flat]
            )
            for place, (raw, parent) in enumerate(batch):
                looked += 1
                day = known.get(place)
                entry = self._judged(flat[place], raw, parent, is_known=day is not None)
                if entry is None or (day is not None and not self.is_backfill):
                    old += 1
                else:
                    old = 0
                brought += entry is not None and day in (None, self.crawl.partition_key)
                if entry:
                    yield entry
                if (most is not None and (brought >= most or looked >= 5 * most + BATCH)) or (
                    self.newest_first and old >= STALE
                ):
                    self.whole = False
                    return

    def _judged(self, entry: Entry, raw: Raw, parent: Raw | None, *, is_known: bool) -> Entry | None:
        """Return the entry if the pass is about it: known, or new and of its days."""
        if is_known:
            return entry
        if entry.uploaded_on and not self._is_wanted(entry.uploaded_on):
            return None
        incomplete = entry.uploaded_on is None or entry.license is None
        if raw.get("_type") in _POINTERS and incomplete and self.config.look_at_pages:
            looked_at = self._looked_at(entry, raw, parent)
            if looked_at is None:
                return None
            entry = looked_at
        return entry if entry.uploaded_on is None or self._is_wanted(entry.uploaded_on) else None

    def _is_wanted(self, day: datetime.date) -> bool:
        window, since = self.crawl.window, self.config.since
        if self.is_backfill:
            return window.contains(day)
        return day <= window.through and (since is None or day >= since)

    def _looked_at(self, entry: Entry, raw: Raw, parent: Raw | None) -> Entry | None:
        """Return an entry with what its own page says besides; None where its host fails, so that it stays unknown."""
        from humannet_ops.sources.client import working

        try:
            with working(self.client), explained(self.client, entry.origin_uri):
                found = self._resolved(entry.origin_uri, raw.get("ie_key"))
        except Postponed:
            if self.client.visit.ended:
                raise
            # this item is not there yet: it stays unknown until it is
            self.whole = False
            return None
        except SubjectError as error:
            self.client.visit.ended = None
            logger.info("%s: %s: %s", self.config.source, error.reason, error)
            if error.reason.permanent:
                return entry
            self.whole = False
            return None
        if found.get("_type") in _LISTS:
            return entry
        # what the list says counts before what the page says, so that the next look at the list is no edit
        page = {**found, **{key: raw[key] for key in ("title", "description", "tags") if raw.get(key)}}
        return self._entry({**page, "url": entry.origin_uri, "webpage_url": entry.origin_uri}, parent, entry.keyword_id)

    def _entry(self, raw: Raw, parent: Raw | None, keyword_id: str | None) -> Entry:
        address = address_of(raw)
        extractor = str(raw.get("extractor_key") or raw.get("ie_key") or "generic").lower()
        channel = next(
            (said[key] for said in (raw, parent or {}) for key in ("channel_id", "uploader_id") if said.get(key)), None
        )
        uploader = next((raw[key] for key in ("uploader", "channel") if raw.get(key)), None)
        if channel is None and extractor in _NAMELESS:
            # any site: who publishes there is known by name, or by the address of the list
            host = host_of(address)
            channel = f"{host}:{uploader}" if uploader else canonical(parent["webpage_url"]) if parent else None
        published = {key: raw[key] for key in _PUBLISHED if raw.get(key)}
        if tags := [tag for tag in raw.get("tags") or () if tag]:
            published["tags"] = tags
        else:
            published.pop("tags", None)
        changed = raw.get("modified_timestamp") or raw.get("modified_date")
        return Entry(
            origin_uri=address,
            signature=f"modified:{changed}" if changed else "",
            title=raw.get("title") or None,
            license=raw.get("license") or self.config.licence_of(address),
            canonical_uri=canonical(address),
            extractor=extractor,
            extractor_id=str(raw["id"]) if raw.get("id") and extractor not in _NAMELESS else None,
            channel_id=f"{extractor}:{channel}" if channel else None,
            uploader=uploader or (parent or {}).get("uploader"),
            uploaded_on=day_of(raw),
            duration_s=raw.get("duration"),
            published=published,
            keyword_id=keyword_id,
        )


def address_of(raw: Raw) -> str:
    """Return the address of an item: its page where it has one, without what yt-dlp hides in it."""
    from yt_dlp.utils import unsmuggle_url

    address: str = unsmuggle_url(str(raw.get("webpage_url") or raw["url"]))[0]
    return address


def day_of(raw: Raw) -> datetime.date | None:
    """Return the day (UTC) on which an item was published, where that is known."""
    day = raw.get("upload_date") or raw.get("release_date")
    if day:
        return datetime.datetime.strptime(str(day), "%Y%m%d").date()
    moment = raw.get("timestamp") or raw.get("release_timestamp")
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).date() if moment else None
