"""Manners towards hosts: what one listing or download may do when, and what it must reserve first."""

from __future__ import annotations

import datetime
import email.utils
import os
import random
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from zoneinfo import ZoneInfo

from humannet_ops.catalog import politeness
from humannet_ops.domain.outcome import Postponed, Reason, SubjectError
from humannet_ops.settings import settings
from humannet_ops.sources.config import Network, Politeness
from humannet_ops.sources.network import host_of

if TYPE_CHECKING:
    from protego import Protego

NAME = "humannet-ops"
"""Whom a robots.txt calls us, unless the source's ``user_agent`` says otherwise."""
PATIENCE_S = 5.0
"""How long a download waits in place for its turn, s; for longer it lets other work go first."""
RENEWED_EVERY_S = 20.0
CHUNK = 64 << 20
"""What is reserved at a time for a body whose length nobody said, bytes."""
SPARE = 256 << 20
"""What is left free on a disk whatever is reserved, bytes."""
DISK_AGAIN_S = 60.0
# RFC 9309: a reader may stop after 500 KiB
ROBOTS_BYTES = 500 << 10
# what X-Robots-Tag says with a colon that is no robot's name
_VALUED = {"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"}
_OPT_OUTS = {"none", "noai"}


class Visit:
    """One listing or download: it keeps its turn, its limits and its reservations.

    Whatever it raises to end the visit is kept in ``ended``, so that a client that passes over errors does not pass
    over that one.
    """

    def __init__(self, config: Network, folder: Path | None = None) -> None:
        """Prepare a visit.

        Args:
            config: The source.
            folder: Where the download goes; None for a listing, which takes a turn for every request.
        """
        self.config = config
        self.folder = folder
        self.received = 0
        self.items = 0
        self.copies = 1
        self.downloading = False
        self.ended: SubjectError | Postponed | None = None
        self._until = time.monotonic() + config.max_seconds
        self._renewed = time.monotonic()
        self._reserved = 0
        self._begun_with = _size(folder) if folder else 0
        self._hosts: set[str] = set()
        self._well: set[str] = set()
        self._robots: dict[str, Protego] = {}

    def __enter__(self) -> Self:
        worker = f"{socket.gethostname()}:{os.getpid()}"
        self._visit = politeness.begin_visit(self.config.source, worker)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        politeness.end_visit(self._visit, items=self.items, received=self.received if self.folder else 0)

    def end(self, error: SubjectError | Postponed) -> SubjectError | Postponed:
        """Keep why the visit ends, the first reason only, and return it to be raised."""
        self.ended = self.ended or error
        return self.ended

    def begin_item(self) -> None:
        """Reserve an item of the day's budget.

        Raises:
            Postponed: the budget is spent, or the source keeps quiet now.
        """
        if until := quiet_until(self.config.politeness, datetime.datetime.now(datetime.UTC)):
            hours = f"{self.config.politeness.quiet_hours} {self.config.politeness.timezone}"
            raise self.end(Postponed("quiet_hours", until, f"{self.config.source} keeps quiet {hours}"))
        self._reserve_budget(0)

    def check(self) -> None:
        """See that the visit may go on, and say to the other workers that it does.

        Raises:
            SubjectError: it took too long.
            Postponed: it ended before.
        """
        if self.ended:
            raise self.ended
        now = time.monotonic()
        if self.folder and now > self._until:
            limit = self.config.max_seconds
            raise self.end(SubjectError(Reason.TIMED_OUT, f"the download took longer than max_seconds ({limit:g} s)"))
        if now - self._renewed > RENEWED_EVERY_S:
            self._renew()

    def _renew(self) -> None:
        try:
            politeness.renew_visit(self._visit, self.received)
        except politeness.ExpiredError as error:
            if self.folder:
                raise self.end(Postponed("host", _in(politeness.AGAIN_S), str(error))) from error
            # a listing may rest for long while its entries are looked at; it has nothing reserved
            self.__enter__()
            self._hosts.clear()
        self._renewed = time.monotonic()

    @property
    def seconds_left(self) -> float:
        """How long the download may still take."""
        return max(0.0, self._until - time.monotonic())

    def arrive(self, url: str) -> None:
        """Wait for the visit's turn at an address's host. A download has one turn a host, a listing one a request.

        Raises:
            Postponed: its turn is too far away.
        """
        host = host_of(url)
        if not host or (self.folder and host in self._hosts):
            return
        patience = PATIENCE_S if self.folder else settings().patience_s
        waited = 0.0
        while wait := politeness.take_host(
            self._visit, host, concurrent=self.config.politeness.concurrent, gap_s=self._gap_s(host)
        ):
            if waited + wait.seconds > patience:
                raise self.end(Postponed("host", wait.until, wait.why))
            # a little apart, so that those who wait for the same moment do not all ask at once
            pause = max(0.0, wait.seconds) + random.uniform(0.0, 0.05)  # noqa: S311
            waited += pause
            time.sleep(pause)
        self._hosts.add(host)

    def _gap_s(self, host: str) -> float:
        """Return how far apart items of a host are begun: as the source says, or as its robots.txt does, the longer."""
        gap = 60.0 / self.config.politeness.requests_per_minute
        if self.config.politeness.robots and (rules := self._rules(host)):
            return max(gap, float(rules.crawl_delay(self.name) or 0.0))
        return gap

    @property
    def name(self) -> str:
        """Whom robots.txt calls us."""
        return (self.config.politeness.user_agent or NAME).partition("/")[0]

    def ask_robots(self, url: str, read: Callable[[str], str]) -> None:
        """See that a host's robots.txt lets us have an address.

        Args:
            url: The address.
            read: Gives the text of a robots.txt; empty where the host has none.

        Raises:
            SubjectError: opted_out.
        """
        host = host_of(url)
        if not self.config.politeness.robots or not host:
            return
        rules = self._rules(host)
        if rules is None:
            scheme = url.partition(":")[0]
            politeness.save_robots(host, read(f"{scheme}://{host}/robots.txt")[:ROBOTS_BYTES])
            rules = self._rules(host)
        if rules is not None and not rules.can_fetch(url, self.name):
            message = f"{host}/robots.txt asks {self.name} not to fetch {url}"
            raise self.end(SubjectError(Reason.OPTED_OUT, message))

    def _rules(self, host: str) -> Protego | None:
        from protego import Protego

        if host not in self._robots:
            text = politeness.robots(host)
            if text is None:
                return None
            self._robots[host] = Protego.parse(text)
        return self._robots[host]

    def obey_tags(self, url: str, tags: Iterable[str]) -> None:
        """See that an answer's X-Robots-Tag headers do not forbid us its content.

        Raises:
            SubjectError: opted_out.
        """
        if self.config.politeness.robots and (said := opted_out(tags, self.name)):
            raise self.end(SubjectError(Reason.OPTED_OUT, f"{url} says X-Robots-Tag: {said}"))

    def answered(self, url: str) -> None:
        """Note that a host answers as it should."""
        host = host_of(url)
        if host not in self._well:
            politeness.host_answered(host)
            self._well.add(host)

    def failed(self, url: str, because: str) -> None:
        """Note that a host does not."""
        politeness.host_failed(host_of(url), because)

    def asked_to_wait(self, url: str, retry_after: str | None, said: str) -> Postponed:
        """Leave a host alone for as long as it asks, and return what ends the visit.

        Args:
            url: What was asked for.
            retry_after: The header's value.
            said: What the host answered, for people.
        """
        host = host_of(url)
        seconds = seconds_of(retry_after, datetime.datetime.now(datetime.UTC))
        until = politeness.close_host(host, seconds, said)
        wait = self.end(Postponed("host", until, f"{host}: {said}"))
        assert isinstance(wait, Postponed)
        return wait

    def expect(self, more: int) -> None:
        """Reserve budget and disk space for bytes to come.

        Raises:
            SubjectError: too_large, for any day of this source.
            Postponed: there is no room for them today, or not now.
        """
        needed, most = self.received + more, self.config.budget.bytes
        if needed <= self._reserved:
            return
        if most is not None and needed > most:
            message = f"{needed} bytes are more than the source may fetch in a day (budget.bytes {most})"
            raise self.end(SubjectError(Reason.TOO_LARGE, message))
        self._reserve_budget(needed)
        self._reserve_disk(needed)
        self._reserved = needed

    def count(self, received: int) -> None:
        """Count what arrived of a body.

        Raises:
            SubjectError: it took too long, or grew too large.
            Postponed: there is no room for more.
        """
        self.received += received
        self.check()
        if self.downloading and self.received > self._reserved:
            most = self.config.budget.bytes
            self.expect(CHUNK if most is None else max(0, min(CHUNK, most // 8, most - self.received)))

    def _reserve_budget(self, bytes: int) -> None:
        budget = self.config.budget
        wait = politeness.reserve_budget(
            self._visit, items=1, bytes=bytes, most_items=budget.items, most_bytes=budget.bytes
        )
        if wait:
            raise self.end(Postponed("budget", wait.until, wait.why))

    def _reserve_disk(self, bytes: int) -> None:
        """Reserve room for the file itself, and for its copy where the store is a folder beside it."""
        assert self.folder is not None
        copies = self.copies + (not settings().store.startswith("s3://"))
        needed = bytes * copies + self._begun_with * (copies - 1)
        free = shutil.disk_usage(self.folder).free - SPARE
        volume = f"{socket.gethostname()}:{self.folder.stat().st_dev}"
        if not politeness.reserve_disk(self._visit, volume=volume, free=free, written=self.received, bytes=needed):
            message = f"{needed >> 20} MiB are needed on the disk of {self.folder}, of which {free >> 20} MiB are free"
            raise self.end(Postponed("disk", _in(DISK_AGAIN_S), message + " or promised to others"))

    def leave_hosts(self) -> None:
        """Let others have the visit's places at hosts; its disk space stays reserved."""
        politeness.leave_hosts(self._visit)


def _in(seconds: float) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def quiet_until(rules: Politeness, now: datetime.datetime) -> datetime.datetime | None:
    """Return when the quiet hours end that ``now`` (aware) lies in, None outside of them."""
    if rules.quiet_hours is None:
        return None
    here = now.astimezone(ZoneInfo(rules.timezone))
    begin, end = (datetime.time.fromisoformat(part) for part in rules.quiet_hours.split("-"))
    for day in (here.date() - datetime.timedelta(days=1), here.date()):
        first = datetime.datetime.combine(day, begin, here.tzinfo)
        last_day = day if end > begin else day + datetime.timedelta(days=1)
        last = datetime.datetime.combine(last_day, end, here.tzinfo)
        if first <= here < last:
            return last.astimezone(datetime.UTC)
    return None


def seconds_of(retry_after: str | None, now: datetime.datetime) -> float | None:
    """Return how long a Retry-After header asks to wait, s: at least one, at most a day; None where it says nothing."""
    if not retry_after:
        return None
    if re.fullmatch(r"\s*\d+\s*", retry_after):
        seconds = float(retry_after)
    else:
        try:
            moment = email.utils.parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        seconds = (moment - now).total_seconds()
    return min(max(seconds, 1.0), 86400.0)


def opted_out(tags: Iterable[str], name: str) -> str | None:
    """Return the X-Robots-Tag value by which ``name`` is asked to leave a thing alone, None where none asks."""
    for tag in tags:
        said = tag
        robot = re.match(r"\s*([\w-]+)\s*:(.*)$", tag)
        if robot and robot[1].lower() not in _VALUED:
            if robot[1].lower() != name.lower():
                continue
            said = robot[2]
        if _OPT_OUTS & {each.strip().lower() for each in said.split(",")}:
            return tag.strip()
    return None
