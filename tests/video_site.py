"""A video site on loopback: real HTTP, real video, a calendar that the test sets, and every way in which it can fail.

It has what yt-dlp's extractors read: pages with JSON-LD, og:video or a video element, feeds with pages and a search, a
Mediasite catalog, files with byte ranges. It counts on its side how politely it is treated.
"""

from __future__ import annotations

import datetime
import email.utils
import hashlib
import json
import re
import select
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BLOCK = 1 << 14
LICENCE = "https://creativecommons.org/licenses/by/4.0/"


@dataclass
class Item:
    """A video of the site.

    Attributes:
        name: Its name in every address.
        video: The file.
        uploaded: The day from which the site has it.
        removed: The day from which it has it no more.
        retitled: Another title, and from when.
    """

    name: str
    video: Path
    uploaded: datetime.date = datetime.date(2026, 1, 1)
    title: str = ""
    channel: str = "kitchen"
    tags: tuple[str, ...] = ()
    removed: datetime.date | None = None
    retitled: tuple[datetime.date, str] | None = None


@dataclass
class Fault:
    """How an address misbehaves.

    Attributes:
        status: Answered instead of what is there.
        headers: Sent besides.
        body: Sent instead.
        length: Announced instead of the true length; None announces none and closes at the end.
        drop_after: The connection breaks after so many bytes of the body.
        endless: The body never ends.
        drip_s: From piece to piece, s.
        step: How large a piece is, bytes.
        slow_head: The header comes byte by byte, too.
        gate: The body waits after its first block until this is set.
        times: How often; then it behaves.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    length: int | None = -1
    drop_after: int | None = None
    endless: bool = False
    drip_s: float = 0.0
    step: int = BLOCK
    slow_head: bool = False
    gate: threading.Event | None = None
    times: int = 1 << 30


@dataclass
class Asked:
    """One request, with when it came and when its answer ended (s, monotonic; None while it lasts)."""

    path: str
    headers: dict[str, str]
    began: float
    ended: float | None = None
    status: int = 0
    sent: int = 0


_USED: set[int] = set()


def _fresh_server(address: str, handler: type[BaseHTTPRequestHandler]) -> _Server:
    """Listen on a port that no site before had: the catalog remembers the robots.txt of a host and port for a day."""
    while True:
        server = _Server((address, 0), handler)
        if server.server_port not in _USED:
            _USED.add(server.server_port)
            return server
        server.server_close()


class Site:
    """The site. Use as a context manager."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.items: dict[str, Item] = {}
        self.today = datetime.date(2026, 1, 31)
        self.faults: dict[str, Fault] = {}
        self.robots: str | None = None
        self.files: dict[str, tuple[str, bytes]] = {}
        self.asked: list[Asked] = []
        self.changed = threading.Condition()
        site = self

        class Handler(_Handler):
            pass

        Handler.site = site
        self.server = _fresh_server(address, Handler)
        self.host = f"{address}:{self.server.server_port}"

    def __enter__(self) -> Site:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def url(self, path: str) -> str:
        """Return a path's address."""
        return f"http://{self.host}{path}"

    def add(self, name: str, video: Path, **fields: object) -> Item:
        """Put a video on the site."""
        self.items[name] = Item(name, video, **fields)  # type: ignore[arg-type]
        return self.items[name]

    def offered(self) -> list[Item]:
        """Return what the site has today, the newest first."""
        there = [
            item for item in self.items.values()
            if item.uploaded <= self.today and (item.removed is None or self.today < item.removed)
        ]  # fmt: skip
        return sorted(there, key=lambda item: (item.uploaded, item.name), reverse=True)

    def add_folder(self, path: str, folder: Path) -> None:
        """Put the files of a folder on the site."""
        for file in folder.iterdir():
            kind = {".m3u8": "application/vnd.apple.mpegurl", ".mpd": "application/dash+xml"}.get(file.suffix)
            self.files[f"{path}/{file.name}"] = (kind or "application/octet-stream", file.read_bytes())

    def title(self, item: Item) -> str:
        """Return an item's title today."""
        if item.retitled and self.today >= item.retitled[0]:
            return item.retitled[1]
        return item.title or f"Video {item.name}"

    # what was measured

    def wait_for(self, path: str, count: int = 1, timeout: float = 30.0) -> None:
        """Wait until a path was asked for so often."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.paths()[path] >= count, timeout), f"{path} was not asked for"

    def paths(self) -> Counter[str]:
        """Return how often each path was asked for."""
        return Counter(asked.path for asked in list(self.asked))

    def until(self, condition: Callable[[], object], timeout: float = 60.0) -> None:
        """Wait for something that the site cannot see itself, like what a client has written."""
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.02)

    def times(self, pattern: str) -> list[float]:
        """Return when paths of a pattern were asked for."""
        return sorted(asked.began for asked in list(self.asked) if re.search(pattern, asked.path))

    def least_gap(self, pattern: str) -> float:
        """Return the shortest time between two requests for paths of a pattern, s."""
        times = self.times(pattern)
        return min(later - sooner for sooner, later in pairwise(times))

    def span(self, pattern: str) -> float:
        """Return the time from the first to the last request for paths of a pattern, s."""
        times = self.times(pattern)
        return times[-1] - times[0]

    def most_at_once(self, pattern: str = "") -> int:
        """Return how many requests for paths of a pattern were being answered at the same time at most.

        Overlaps of less than 0.1 s do not count: so late may the site notice that a client hung up.
        """
        asked = [each for each in list(self.asked) if re.search(pattern, each.path)]
        ends = [max(each.began, (each.ended or 1e18) - 0.1) for each in asked]
        moments = [(each.began, 1) for each in asked] + [(end, -1) for end in ends]
        most = now = 0
        for _, step in sorted(moments):
            now += step
            most = max(most, now)
        return most


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    site: Site
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        asked = Asked(self.path, dict(self.headers.items()), time.monotonic())
        with self.site.changed:
            self.site.asked.append(asked)
            self.site.changed.notify_all()
        try:
            with suppress(ConnectionError, TimeoutError):
                self.answer(asked)
        finally:
            with self.site.changed:
                asked.ended = time.monotonic()
                self.site.changed.notify_all()

    do_POST = do_GET

    def answer(self, asked: Asked) -> None:
        if length := int(self.headers.get("Content-Length") or 0):
            self.rfile.read(length)
        parts = urlsplit(self.path)
        fault = self.site.faults.get(parts.path)
        if fault and fault.times > 0:
            fault.times -= 1
        else:
            fault = None
        status, headers, body = self.content(parts.path, {k: v[0] for k, v in parse_qs(parts.query).items()})
        if fault:
            status, headers = fault.status or status, {**headers, **fault.headers}
            body = fault.body if fault.body is not None else body
        self.send(asked, status, headers, body, fault or Fault())

    def send(self, asked: Asked, status: int, headers: dict[str, str], body: bytes, fault: Fault) -> None:
        whole = len(body)
        etag = headers.get("ETag")
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if status == 200 and wanted and self.headers.get("If-Range", etag) == etag:
            first, last = int(wanted[1]), min(int(wanted[2] or whole), whole - 1)
            if first >= whole:
                status, body, headers = 416, b"", {"Content-Range": f"bytes */{whole}"}
            else:
                status, body = 206, body[first : last + 1]
                headers = {**headers, "Content-Range": f"bytes {first}-{last}/{whole}"}
        asked.status = status
        head = {"Content-Length": str(len(body)), **headers}
        if fault.length is None or fault.endless:
            del head["Content-Length"]
        elif fault.length >= 0:
            head["Content-Length"] = str(fault.length)
        if "Content-Length" not in head or fault.drop_after is not None:
            head["Connection"] = "close"
            self.close_connection = True
        self.send_response(status)
        for name, value in head.items():
            self.send_header(name, value)
        if fault.slow_head:
            lines = b"".join(self._headers_buffer)  # type: ignore[attr-defined]
            self._headers_buffer = []
            for place in range(len(lines)):
                self.wfile.write(lines[place : place + 1])
                time.sleep(fault.drip_s)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.send_body(asked, body, fault)

    def send_body(self, asked: Asked, body: bytes, fault: Fault) -> None:
        if fault.drop_after is not None:
            body = body[: fault.drop_after]
        step = fault.step
        for place in _places(len(body), step, endless=fault.endless):
            block = body[place : place + step] if place < len(body) else b"\0" * step
            self.wfile.write(block)
            self.wfile.flush()
            asked.sent += len(block)
            with self.site.changed:
                self.site.changed.notify_all()
            if fault.gate and place == 0:
                fault.gate.wait(60)
            if fault.drip_s and select.select([self.connection], [], [], fault.drip_s)[0]:
                # nothing is said during an answer: the client hung up
                break
        if fault.drop_after is not None:
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    # what there is

    def content(self, path: str, query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        if path in self.site.files:
            kind, body = self.site.files[path]
            return 200, {"Content-Type": kind}, body
        for pattern, page in _PAGES:
            if found := re.fullmatch(pattern, path):
                return page(self, *map(unquote, found.groups()), query)
        return 404, {}, b"no such page"

    def item(self, name: str) -> Item | None:
        return next((item for item in self.site.offered() if item.name == name), None)

    def robots(self, _query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        if self.site.robots is None:
            return 404, {}, b""
        return 200, {"Content-Type": "text/plain"}, self.site.robots.encode()

    def page(self, kind: str, name: str, _query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        item = self.item(name)
        if item is None:
            return 404, {}, b"gone"
        media = self.site.url(f"/media/{name}.mp4")
        title = escape(self.site.title(item))
        card = {
            "@context": "https://schema.org", "@type": "VideoObject", "name": self.site.title(item),
            "description": f"About {item.name}.", "uploadDate": item.uploaded.isoformat(), "contentUrl": media,
            "author": {"@type": "Person", "name": item.channel}, "keywords": ",".join(item.tags),
        }  # fmt: skip
        inner = {
            "item": f'<script type="application/ld+json">{json.dumps(card)}</script>',
            "og": f'<meta property="og:video" content="{media}"><meta property="og:title" content="{title}">',
            "html5": f'<body><video src="{media}"></video>',
            "empty": "<body>Only words.",
        }[kind]
        text = f"<!DOCTYPE html><html><head><title>{title}</title>{inner}</html>"
        return 200, {"Content-Type": "text/html; charset=utf-8"}, text.encode()

    def media(self, name: str, _query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        item = self.item(name)
        if item is None:
            return 404, {}, b"gone"
        body = item.video.read_bytes()
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        return 200, {"Content-Type": "video/mp4", "ETag": etag, "Accept-Ranges": "bytes"}, body

    def feed(self, channel: str, query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        words = query.get("q", "").lower().split()
        found = [
            item for item in self.site.offered()
            if channel in ("all", "search", item.channel)
            and all(word in f"{self.site.title(item)} {' '.join(item.tags)}".lower() for word in words)
        ]  # fmt: skip
        size = int(query.get("size", 1000))
        start = (int(query.get("page", 1)) - 1) * size
        lines = []
        for item in found[start : start + size]:
            moment = datetime.datetime.combine(item.uploaded, datetime.time(12), datetime.UTC)
            lines.append(
                f"<item><title>{escape(self.site.title(item))}</title><description>About {item.name}.</description>"
                f"<link>{self.site.url('/item/' + item.name)}</link><guid>{item.name}</guid>"
                f"<pubDate>{email.utils.format_datetime(moment)}</pubDate></item>"
            )
        text = (
            f'<?xml version="1.0"?><rss version="2.0"><channel><title>{channel}</title>{"".join(lines)}</channel></rss>'
        )
        return 200, {"Content-Type": "application/rss+xml"}, text.encode()

    def redirect(self, query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        return 302, {"Location": query["to"]}, b""

    def catalog(self, _name: str, _query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "text/html"}, b"<html><title>Catalog</title></html>"

    def presentations(self, _query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        found = {
            "CurrentFolder": {"Name": "Catalog"},
            "PresentationDetailsList": [{"Id": _mediasite_id(item.name)} for item in self.site.offered()],
        }
        return 200, {"Content-Type": "application/json"}, json.dumps(found).encode()

    def play(self, _name: str, _query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "text/html"}, b"<html><title>Player</title></html>"

    def player(self, _query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        referer = self.site.asked[-1].path
        wanted = next((each.path for each in reversed(self.site.asked) if "/Play/" in each.path), referer)
        item = next((each for each in self.site.offered() if _mediasite_id(each.name) in wanted), None)
        if item is None:
            return 404, {}, b""
        moment = datetime.datetime.combine(item.uploaded, datetime.time(12), datetime.UTC)
        location = self.site.url(f"/media/{item.name}.mp4")
        streams = [
            {"StreamType": 0, "VideoUrls": [{"Location": location, "MimeType": "video/mp4", "MediaType": "MP4"}]}
        ]
        presentation = {
            "Title": self.site.title(item), "Description": f"About {item.name}.", "Streams": streams,
            "UnixTime": int(moment.timestamp() * 1000), "Duration": 2000,
        }  # fmt: skip
        return 200, {"Content-Type": "application/json"}, json.dumps({"d": {"Presentation": presentation}}).encode()


def _places(length: int, step: int, *, endless: bool) -> Iterator[int]:
    yield from range(0, length, step)
    place = length
    while endless:
        yield place
        place += step


def _mediasite_id(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:34]


_PAGES = (
    (r"/robots\.txt", _Handler.robots),
    (r"/(item|og|html5|empty)/([\w.-]+)", _Handler.page),
    (r"/media/([\w.-]+?)(?:\.mp4)?", _Handler.media),
    (r"/feed/(\w+)\.rss", _Handler.feed),
    (r"/redirect", _Handler.redirect),
    (r"/Mediasite/Catalog/Full/(\w+)", _Handler.catalog),
    (r"/Mediasite/Catalog/Data/GetPresentationsForFolder", _Handler.presentations),
    (r"/Mediasite/Play/(\w+)", _Handler.play),
    (r"/Mediasite/PlayerService/PlayerService\.svc/json/GetPlayerOptions", _Handler.player),
)
