"""A manifest comes over real HTTP: once while it is the same, never half, and from no private address by accident."""

from __future__ import annotations

import datetime
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from humannet_ops.catalog.discovery import Entry
from humannet_ops.settings import settings
from humannet_ops.sources.config import SourceError
from humannet_ops.sources.http_manifest import HttpManifestConfig, HttpManifestSource
from humannet_ops.sources.protocol import Crawl, Credentials, Window

MANIFEST = b"url,title\nhttps://h.test/1,a\nhttps://h.test/2,b\n"


@dataclass
class Site:
    """What the server answers, and what it was asked."""

    url: str = ""
    body: bytes = MANIFEST
    validator: str = "etag"
    status: int = 200
    login: str | None = None
    redirect: str | None = None
    announce: int = 0
    asked: list[tuple[str, int]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            tag = f'"{hashlib.sha256(site.body).hexdigest()[:8]}"'
            date = "Wed, 01 Jan 2025 00:00:00 GMT" if site.body == MANIFEST else "Thu, 02 Jan 2025 00:00:00 GMT"
            same = self.headers.get("If-None-Match") == tag or self.headers.get("If-Modified-Since") == date
            status = site.status
            if site.login and self.headers.get("Authorization") != site.login:
                status = 401
            elif status == 200 and same:
                status = 304
            if site.redirect and self.path != "/moved.csv":
                status = 302
            site.asked.append((self.path, status))
            site.headers.append(dict(self.headers))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", str(site.redirect))
            if site.validator == "etag":
                self.send_header("ETag", tag)
            elif site.validator == "date":
                self.send_header("Last-Modified", date)
            self.send_header("Content-Length", str((len(site.body) + site.announce) if status == 200 else 0))
            self.end_headers()
            if status == 200:
                self.wfile.write(site.body)

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}/m.csv"
    yield site
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget_settings: Any) -> Iterator[None]:
    monkeypatch.setenv("HUMANNET_HOME", str(tmp_path / "home"))
    forget_settings()
    yield
    monkeypatch.undo()
    forget_settings()


def crawl(
    site: Site, memory: dict[str, Any] | None = None, credentials: Credentials | None = None, **fields: Any
) -> tuple[list[Entry], Crawl]:
    fields = {"private_addresses": True, **fields}
    config = HttpManifestConfig.model_validate(
        {"source": "mine", "kind": "http_manifest", "description": "d", "manifest": site.url, **fields}
    )
    one = Crawl("2026-01-01", Window(None, datetime.date(2026, 1, 1)), memory=memory or {}, credentials=credentials)
    return list(HttpManifestSource(config).entries(one)), one


def kept() -> list[bytes]:
    return [path.read_bytes() for path in (settings().home / "manifests").rglob("*") if path.suffix != ".json"
            and path.is_file()]  # fmt: skip


@pytest.mark.parametrize("validator", ["etag", "date", "none"])
def test_an_unchanged_manifest_is_asked_for_and_not_read(site: Site, validator: str) -> None:
    site.validator = validator
    entries, first = crawl(site)
    assert [entry.title for entry in entries] == ["a", "b"]
    entries, second = crawl(site, first.remember)
    assert (entries, second.unchanged) == ([], True)
    assert second.remember == first.remember
    # without a validator it is downloaded again, and its sha256 says that it is the same
    assert [status for _, status in site.asked] == [200, 200 if validator == "none" else 304]
    site.body += b"https://h.test/3,c\n"
    entries, third = crawl(site, second.remember)
    assert (len(entries), third.unchanged) == (3, False)


def test_a_manifest_that_is_read_otherwise_is_not_downloaded_again(site: Site) -> None:
    _, first = crawl(site)
    entries, second = crawl(site, first.remember, license="CC0")
    assert [entry.license for entry in entries] == ["CC0", "CC0"]
    assert [status for _, status in site.asked] == [200, 304]
    assert not second.unchanged


def test_a_pass_that_failed_after_the_download_does_not_download_again(site: Site) -> None:
    with pytest.raises(SourceError, match="no column"):
        crawl(site, columns={"url": "link"})
    entries, one = crawl(site)
    assert (len(entries), one.unchanged) == (2, False)
    assert [status for _, status in site.asked] == [200, 304]


def test_a_broken_download_leaves_nothing(site: Site) -> None:
    site.announce = 100
    with pytest.raises(SourceError, match="cannot be downloaded"):
        crawl(site)
    assert kept() == []


def test_a_private_address_is_refused_unless_it_is_allowed(site: Site) -> None:
    with pytest.raises(SourceError, match=r"leads to 127\.0\.0\.1, a private address.*private_addresses: true"):
        crawl(site, private_addresses=False)
    assert site.asked == []
    assert len(crawl(site, private_addresses=["127.0.0.0/8"])[0]) == 2


def test_a_redirect_to_a_private_address_is_refused(site: Site) -> None:
    site.redirect = site.url.replace("127.0.0.1", "127.0.0.2").replace("m.csv", "moved.csv")
    with pytest.raises(SourceError, match=r"leads to 127\.0\.0\.2, a private address"):
        crawl(site, private_addresses=["127.0.0.1/32"])
    assert site.asked == [("/m.csv", 302)]


@pytest.mark.parametrize(
    ("status", "says"),
    [(404, "answers 404 Not Found. Correct `manifest`"), (403, "answers 403 Forbidden. Name an Airflow connection")],
)
def test_a_refusal_says_what_to_do(site: Site, status: int, says: str) -> None:
    site.status = status
    with pytest.raises(SourceError, match=says):
        crawl(site)


def test_too_large_a_manifest_is_not_downloaded(site: Site) -> None:
    with pytest.raises(SourceError, match="larger than `max_manifest_bytes`"):
        crawl(site, max_manifest_bytes=10)
    assert kept() == []


def test_a_login_is_used_and_stays_with_its_host_and_out_of_messages(site: Site) -> None:
    import base64

    site.login = "Basic " + base64.b64encode(b"ann:secret-word").decode()
    with pytest.raises(SourceError, match="401"):
        crawl(site)
    credentials = Credentials(login="ann", password="secret-word", cookies=COOKIES)
    entries, _ = crawl(site, credentials=credentials)
    assert len(entries) == 2
    assert "session=cookie-value" in site.headers[-1]["Cookie"]
    site.redirect = site.url.replace("127.0.0.1", "localhost").replace("m.csv", "moved.csv")
    with pytest.raises(SourceError) as error:
        crawl(site, credentials=credentials)
    assert "Authorization" not in site.headers[-1]
    assert "secret-word" not in str(error.value)


COOKIES = "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t4102444800\tsession\tcookie-value\n"
