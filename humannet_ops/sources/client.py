"""yt-dlp's client with our manners: every request of every extractor and downloader goes through ``Client.urlopen``."""

from __future__ import annotations

import http.client
import io
import json
import logging
import re
import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
import yt_dlp
from yt_dlp.networking import Request, Response
from yt_dlp.networking.exceptions import HTTPError, IncompleteRead, RequestError, TransportError
from yt_dlp.utils import unsmuggle_url
from yt_dlp.version import __version__ as version

from humannet_ops.domain.outcome import Reason, SubjectError
from humannet_ops.settings import settings
from humannet_ops.sources.config import Network
from humannet_ops.sources.network import Guard, canonical, guarded, host_of, public
from humannet_ops.sources.protocol import Credentials
from humannet_ops.sources.visiting import ROBOTS_BYTES, Visit

logger = logging.getLogger(__name__)

CLIENT = f"yt-dlp {version}"
SOCKET_TIMEOUT_S = 20.0
RETRIES = 3
PAUSE_S = 0.5
"""Before a request is repeated, s; twice as long each time."""
PAGE_BYTES = 32 << 20
"""The largest page, feed or playlist that is read, bytes. Videos have the source's ``max_bytes``."""
_HANDLERS = {"Requests", "Urllib", "Websockets"}
_BLOCK = 1 << 16
_VALIDATORS = "validators.json"
# What is sent where a video should be, unless the address itself is that of a video file.
_NO_VIDEO = re.compile(r"(text/|image/|application/(json|xml|xhtml|pdf|zip|javascript|x-javascript|ld\+json)\b)")
_VIDEO_FILE = re.compile(r"\.(mp4|m4v|mov|mkv|webm|avi|ts|m2ts|mpe?g|flv|wmv|ogv|3gp|m3u8|mpd)$", re.IGNORECASE)


class Secrets:
    """What must not be read in logs and catalogs."""

    def __init__(self, credentials: Credentials | None) -> None:
        self.hidden: list[str] = []
        if credentials:
            lines = (credentials.cookies or "").splitlines()
            values = [line.split("\t")[-1] for line in lines if line.count("\t") >= 6]
            proxy = urlsplit(credentials.proxy or "")
            # longest first: what contains another goes as a whole
            found = {*values, credentials.password, proxy.password, credentials.proxy}
            self.hidden = sorted((each for each in found if each and len(each) > 3), key=len, reverse=True)

    def removed_from(self, text: str) -> str:
        """Return a text without them, and without what signs the addresses in it."""
        for secret in self.hidden:
            text = text.replace(secret, "***")
        return re.sub(r"\w+://[^\s'\"<>]+", lambda found: public(found[0]), text)


class _Log:
    """Where yt-dlp writes: our log, without secrets. Its errors come as exceptions, too."""

    def __init__(self, secrets: Secrets) -> None:
        self.secrets = secrets

    def debug(self, text: str) -> None:
        logger.debug("%s", self.secrets.removed_from(text))

    info = warning = error = debug


class Client(yt_dlp.YoutubeDL):  # type: ignore[misc]
    """A yt-dlp that waits its turn, reserves what it will need and stops at limits.

    Attributes:
        visit: Its manners.
        guard: What it may reach.
        pages: The addresses whose robots.txt counts: those that we asked for, and where these lead; canonical.
        files: Those of the chosen video files, and whether each is the file itself and no playlist of its parts.
        downloading: They are chosen: what is asked for from now on is theirs.
        secrets: What stays out of logs.
        last_asked: The address of the last request.
        last_error: What went wrong with a connection last. A download that gives up does not say it.
    """

    def __init__(self, visit: Visit, guard: Guard, secrets: Secrets, parameters: dict[str, Any]) -> None:
        self.visit = visit
        self.guard = guard
        self.secrets = secrets
        self.pages: set[str] = set()
        self.files: dict[str, bool] = {}
        self.downloading = False
        self.last_asked = ""
        self.last_error: RequestError | None = None
        self._bodies: weakref.WeakSet[Body] = weakref.WeakSet()
        super().__init__(parameters)

    def build_request_director(self, handlers: Iterable[Any], preferences: Any = None) -> Any:
        """Leave out the handlers that connect by other means than Python's sockets (curl_cffi): no guard sees those."""
        return super().build_request_director([each for each in handlers if each.RH_KEY in _HANDLERS], preferences)

    def look(self, url: str, **options: Any) -> dict[str, Any]:
        """Return what yt-dlp makes of an address, with entries streamed and nothing downloaded."""
        self.pages.add(canonical(url))
        found: dict[str, Any] | None = self.extract_info(url, download=False, process=False, **options)
        if found is None:
            raise SubjectError(Reason.UNSUPPORTED, f"{public(url)}: yt-dlp finds nothing there")
        if found.get("_type") in ("url", "url_transparent") and found.get("ie_key") in (None, "Generic"):
            self.pages.add(canonical(unsmuggle_url(found["url"])[0]))
        if "entries" not in found:
            self._close_bodies()
        return found

    def _close_bodies(self) -> None:
        """Close what was opened only to look at its first bytes, so that its host does not serve two files at once."""
        for body in tuple(self._bodies):
            body.close()

    def urlopen(self, req: Request | str) -> Response:
        """Send a request when its turn has come, and see that the answer may be used."""
        request = Request(req) if isinstance(req, str) else req
        if urlsplit(request.url).scheme == "data":
            return super().urlopen(request)
        self.visit.check()
        self.visit.arrive(request.url)
        if self._is_for_robots(request.url):
            self.visit.ask_robots(request.url, self._read_robots)
        self._resume_only_the_same(request)
        response = self._send(request)
        asked = canonical(request.url)
        if response.url != request.url and asked in self.pages:
            self.pages.add(canonical(response.url))
            self.visit.arrive(response.url)
            self.visit.ask_robots(response.url, self._read_robots)
        if asked in self.pages or asked in self.files:
            self.visit.obey_tags(public(response.url), response.headers.get_all("X-Robots-Tag") or ())
        if self.downloading:
            self._check_file(request, response)
        body = Body(response, self, most=None if self.downloading else PAGE_BYTES)
        self._bodies.add(body)
        return body

    def begin_downloading(self, files: dict[str, bool]) -> None:
        """Go over from pages to the chosen video files."""
        self._close_bodies()
        self.files = files
        self.downloading = self.visit.downloading = True

    def _is_for_robots(self, url: str) -> bool:
        """Say whether robots.txt is asked: for what we want, not for what a page is made of.

        The hosts that only store a site's files keep search engines off them as a rule; the site's own word counts.
        """
        asked = canonical(url)
        return asked in self.pages or (asked in self.files and host_of(url) in map(host_of, self.pages))

    def _send(self, request: Request) -> Response:
        self.last_asked = request.url
        refused = len(self.guard.refused)
        try:
            response = super().urlopen(request)
        except HTTPError as error:
            self.last_error = error
            error.response = Body(error.response, self, most=PAGE_BYTES)
            wait = error.response.get_header("Retry-After")
            if error.status == 429 or (error.status == 503 and wait):
                raise self.visit.asked_to_wait(error.response.url, wait, f"{error.status} {error.reason}") from error
            raise
        except RequestError as error:
            self.last_error = error
            if len(self.guard.refused) > refused:
                raise self.visit.end(private_address(request.url, self.guard)) from error
            raise
        self.visit.answered(request.url)
        return response

    def _read_robots(self, url: str) -> str:
        """Return the text of a robots.txt: empty where there is none, and no answer at all where its server fails."""
        try:
            response = Body(self._send(Request(url, headers=self._agent())), self, most=PAGE_BYTES)
            return response.read(ROBOTS_BYTES).decode("utf-8", "replace")
        except HTTPError as error:
            if error.status < 500:
                return ""
            raise

    def _agent(self) -> dict[str, str]:
        agent = self.visit.config.politeness.user_agent
        return {"User-Agent": agent} if agent else {}

    def _resume_only_the_same(self, request: Request) -> None:
        """Ask for the rest of a file only if it is still the one of which the first part is here."""
        if (
            self.downloading
            and "Range" in request.headers
            and (known := self._validators().get(canonical(request.url)))
        ):
            request.headers["If-Range"] = known

    def _validators_path(self) -> Path | None:
        return self.visit.folder / _VALIDATORS if self.visit.folder else None

    def _validators(self) -> dict[str, str]:
        path = self._validators_path()
        if path is None or not path.exists():
            return {}
        found: dict[str, str] = json.loads(path.read_text())
        return found

    def _check_file(self, request: Request, response: Response) -> None:
        """See that a video's body is one, fits, and can be told from another one later."""
        most = self.visit.config.max_bytes
        length = int(response.get_header("Content-Length") or 0)
        whole = (response.get_header("Content-Range") or "").rpartition("/")[2]
        if max(length, int(whole) if whole.isdecimal() else 0) > most:
            message = f"{public(request.url)} has more than max_bytes ({most.human_readable()})"
            raise self.visit.end(SubjectError(Reason.TOO_LARGE, message))
        if self.files.get(canonical(request.url)):
            content = (response.get_header("Content-Type") or "").strip().lower()
            if _NO_VIDEO.match(content) and not _VIDEO_FILE.search(urlsplit(request.url).path):
                message = f"{public(request.url)} is {content}, no video"
                raise self.visit.end(SubjectError(Reason.UNSUPPORTED, message))
            validator = response.get_header("ETag") or response.get_header("Last-Modified")
            path = self._validators_path()
            if path and validator and not validator.startswith("W/"):
                path.write_text(json.dumps({**self._validators(), canonical(request.url): validator}))
        self.visit.expect(length)


class Body(Response):  # type: ignore[misc]
    """A response whose body counts and ends, however slowly or endlessly it is sent."""

    def __init__(self, response: Response, client: Client, most: int | None) -> None:
        super().__init__(
            response.fp, response.url, response.headers, response.status, response.reason, response.extensions
        )
        self._response = response
        self._client = client
        self._visit = client.visit
        self._most = most
        self._read = 0

    def read(self, amt: int | None = None) -> bytes:
        """Read ``amt`` bytes, of a video fewer if no more are there yet; everything where it is None.

        Raises:
            SubjectError: the body is too long for what it is, or takes too long.
            TransportError: the host broke off.
        """
        if amt is not None and self._most is None:
            return self._some(amt)
        whole = bytearray()
        while (amt is None or len(whole) < amt) and (
            block := self._some(_BLOCK if amt is None else min(_BLOCK, amt - len(whole)))
        ):
            whole += block
        return bytes(whole)

    def _some(self, amt: int) -> bytes:
        # at most one receive a call: a body that comes byte by byte is looked at after each
        self._visit.check()
        try:
            block = self._receive(amt)
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            raise self._broken(TransportError(cause=error)) from error
        left = getattr(self.fp, "length_remaining", None)
        if not block and left:
            raise self._broken(IncompleteRead(partial=self._read, expected=left))
        self._read += len(block)
        self._visit.count(len(block))
        if self._most is not None and self._read > self._most:
            message = f"{public(self.url)} is longer than a page may be ({self._most >> 20} MiB)"
            raise self._visit.end(SubjectError(Reason.TOO_LARGE, message))
        return block

    def _broken(self, error: TransportError) -> TransportError:
        self._client.last_error = error
        return error

    def _receive(self, amt: int) -> bytes:
        if self.fp.closed:
            return b""
        if isinstance(self.fp, urllib3.response.BaseHTTPResponse):
            return self.fp.read1(amt, decode_content=True) or b""
        read = getattr(self.fp, "read1", self.fp.read)
        found: bytes = read(amt)
        return found

    def close(self) -> None:
        """Close the connection."""
        self._response.close()
        super().close()


def private_address(url: str, guard: Guard) -> SubjectError:
    """Return the error for an address that leads where its source may not go."""
    return SubjectError(
        Reason.PRIVATE_ADDRESS,
        f"{public(url)} leads to {guard.refused[-1]}, a private address. If that is meant, say "
        "`private_addresses: true` or name the network in the source's YAML file.",
    )


@contextmanager
def opened(
    config: Network, credentials: Credentials | None, folder: Path | None = None, **parameters: Any
) -> Iterator[Client]:
    """Open a client for one visit. Its connections are guarded only while ``working`` on it.

    Args:
        config: The source.
        credentials: Cookies, proxy and login.
        folder: Where a download goes; None for a listing.
        parameters: Further parameters of ``yt_dlp.YoutubeDL``.
    """
    secrets = Secrets(credentials)
    guard = guard_of(config, credentials, programs=[*programs().values()])
    with (
        Visit(config, folder) as visit,
        Client(visit, guard, secrets, _parameters(config, credentials, secrets) | parameters) as client,
    ):
        yield client


@cache
def programs() -> dict[str, str]:
    """Return the programs that yt-dlp may start: ffmpeg merges files, deno reads YouTube's scripts without network."""
    from deno import find_deno_bin
    from imageio_ffmpeg import get_ffmpeg_exe

    return {"ffmpeg": get_ffmpeg_exe(), "deno": str(find_deno_bin())}


def guard_of(config: Network, credentials: Credentials | None, programs: list[str]) -> Guard:
    """Return what a source may reach."""
    allowed: list[IPv4Network | IPv6Network] = []
    if isinstance(config.private_addresses, list):
        allowed = config.private_addresses
    proxy = None
    if credentials and credentials.proxy:
        parts = urlsplit(credentials.proxy)
        proxy = parts.hostname or "", parts.port or {"https": 443, "http": 80}.get(parts.scheme, 1080)
    return Guard(config.private_addresses is True, allowed, proxy, programs)


@contextmanager
def working(client: Client) -> Iterator[None]:
    """Guard what a client does for the length of a block, and break its connections off when its time is over."""
    with guarded(client.guard):
        timer = threading.Timer(client.visit.seconds_left, client.guard.hang_up)
        timer.daemon = True
        if client.visit.folder:
            timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _parameters(config: Network, credentials: Credentials | None, secrets: Secrets) -> dict[str, Any]:
    def pause(n: int) -> float:
        return float(min(PAUSE_S * 2**n, 10.0))

    held = credentials or Credentials()
    agent = config.politeness.user_agent
    return {
        "quiet": True,
        "noprogress": True,
        "color": "never",
        "logger": _Log(secrets),
        "http_headers": {"User-Agent": agent} if agent else {},
        # no proxy but the connection's: the environment's is for others
        "proxy": held.proxy or "",
        "cookiefile": io.StringIO(held.cookies) if held.cookies else None,
        "username": held.login,
        "password": held.password,
        "socket_timeout": SOCKET_TIMEOUT_S,
        "retries": RETRIES,
        "fragment_retries": RETRIES,
        "extractor_retries": RETRIES,
        "file_access_retries": RETRIES,
        "retry_sleep_functions": {"http": pause, "fragment": pause, "extractor": pause, "file_access": pause},
        "skip_unavailable_fragments": False,
        # one connection, in this thread, by Python: what connects otherwise is not guarded
        "concurrent_fragment_downloads": 1,
        "external_downloader": {"default": "native"},
        "hls_prefer_native": True,
        "ffmpeg_location": programs()["ffmpeg"],
        "js_runtimes": {"deno": {"path": programs()["deno"]}},
        "fixup": "never",
        "updatetime": False,
        "cachedir": str(settings().home / "cache" / "yt-dlp"),
        "noplaylist": True,
        "extract_flat": "in_playlist",
        "lazy_playlist": True,
        "ignoreerrors": False,
        "restrictfilenames": True,
        "trim_file_name": 100,
        "buffersize": _BLOCK,
        "noresizebuffer": True,
    }
