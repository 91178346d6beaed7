"""What a kind of source is: a few hooks. Everything else (what is new, budgets, politeness, lineage) is common."""

from __future__ import annotations

import datetime
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from humannet_ops.catalog.discovery import Entry, Report
from humannet_ops.domain.records import VideoSubject
from humannet_ops.sources.config import SourceConfig

Config = TypeVar("Config", bound=SourceConfig)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an Airflow connection holds for a source. It is never logged: ``repr`` shows nothing.

    Attributes:
        cookies: The text of a Netscape cookies file.
        proxy: A proxy's URL, with its login.
        login: User name or access key.
        password: Password or secret key.
    """

    cookies: str | None = field(default=None, repr=False)
    proxy: str | None = field(default=None, repr=False)
    login: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Keyword:
    """A phrase to search for and how many items it may bring."""

    keyword_id: str
    phrase: str
    items: int


@dataclass(frozen=True, slots=True)
class Window:
    """Upload days, ``after`` exclusive (None: open) and ``through`` inclusive."""

    after: datetime.date | None
    through: datetime.date

    def contains(self, day: datetime.date | None) -> bool:
        """Say whether an upload day lies within. An item without one does: only the catalog can tell if it is new."""
        return day is None or ((self.after is None or day > self.after) and day <= self.through)


@dataclass
class Crawl(Report):
    """One pass of a source, and what it says about itself while it lists.

    Attributes:
        partition_key: The crawl day, YYYY-MM-DD.
        window: The upload days that this pass is about, for kinds whose items have such days.
        memory: What earlier passes left.
        keywords: What to search for, for kinds that search.
        credentials: From the Airflow connection that the source names.
    """

    partition_key: str
    window: Window
    memory: Mapping[str, Any] = field(default_factory=dict)
    keywords: Sequence[Keyword] = ()
    credentials: Credentials | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that a source gave, on local disk.

    Attributes:
        path: Where it is. It belongs to the source, which removes it when the ``with`` block of ``fetch`` ends.
        url: Where its bytes came from in the end, without credentials.
        client: Who fetched it, with its version: ``yt-dlp 2026.10.26``.
        metadata: What the source says about it, as it says it; kept in the store.
    """

    path: Path
    url: str
    client: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


class Source(ABC, Generic[Config]):
    """A place that video comes from.

    Hooks raise ``SourceError`` where the whole source cannot be used, ``SubjectError`` where one item cannot, and
    ``Postponed`` where it must wait.
    """

    dated: ClassVar[bool] = False
    """Whether items have upload days, so that a crawl day is a window of them."""
    searches: ClassVar[bool] = False
    """Whether it works through keywords."""

    def __init__(self, config: Config) -> None:
        self.config = config

    @abstractmethod
    def address(self) -> str:
        """Return where it is, for people."""

    @abstractmethod
    def entries(self, crawl: Crawl) -> Iterator[Entry]:
        """Stream what the source offers."""

    @abstractmethod
    def fetch(
        self, video: VideoSubject, folder: Path, credentials: Callable[[], Credentials | None]
    ) -> AbstractContextManager[Fetched]:
        """Bring one item's file to local disk for the length of a ``with`` block.

        Args:
            video: The item.
            folder: Empty, or with what an interrupted try of the same item left; for this item alone.
            credentials: Asked only if needed.
        """

    def digest(self, origin_uri: str) -> str | None:
        """Return the sha256 of an item's content now, where that is cheaper than fetching it; None elsewhere."""
        return None
