"""Downloading a manifest only if it changed."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import LoadError, MozillaCookieJar
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from pydantic import ByteSize

from humannet_ops import __version__
from humannet_ops.settings import settings
from humannet_ops.sources.config import Politeness, SourceError
from humannet_ops.sources.network import Guard, guarded, public
from humannet_ops.sources.protocol import Credentials
from humannet_ops.storage import free_bytes

if TYPE_CHECKING:
    import httpx

_CHUNK = 1 << 20
# What is left free on the disk whatever is downloaded.
_SPARE = 1 << 30
# What names a version of a manifest, and the header by which a server is asked whether it is still that one.
_CONDITIONS = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}


class Limits(Protocol):
    """What a source's file says about downloading."""

    source: str
    max_manifest_bytes: ByteSize
    max_seconds: float
    private_addresses: bool | list[IPv4Network | IPv6Network]
    politeness: Politeness


@dataclass(frozen=True, slots=True)
class Copy:
    """A manifest on local disk; ``path`` is None where the server says that the known one did not change.

    ``validators`` are what the server named it by.
    """

    path: Path | None
    sha256: str
    validators: Mapping[str, str]


def download(url: str, known: Mapping[str, Any], limits: Limits, credentials: Credentials | None) -> Copy:
    """Bring a manifest to local disk, unless it is the one that is known.

    The copy stays below HUMANNET_HOME with what it was named by, so that a pass that failed after the download, or a
    source that is to be read otherwise, asks only whether it is still the same.

    Args:
        url: Its http(s) address.
        known: ``sha256`` and ``validators`` of the manifest that need not be read again; empty if there is none.
        limits: What may be downloaded.
        credentials: A login, a proxy or cookies.

    Raises:
        SourceError: it cannot be downloaded; the message says why and what to do.
    """
    folder = settings().home / "manifests" / limits.source
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / hashlib.sha256(url.encode()).hexdigest()[:16]
    kept = _card(path)
    conditions = known.get("validators") or kept.get("validators") or {}
    headers = {header: conditions[name] for name, header in _CONDITIONS.items() if name in conditions}
    with _answer(url, headers, limits, credentials) as response:
        if response.status_code == 304:
            if known.get("validators"):
                return Copy(None, known["sha256"], known["validators"])
            return Copy(path, kept["sha256"], kept["validators"])
        if not response.is_success:
            raise SourceError(_refusal(url, response, limits))
        validators = {name: response.headers[name] for name in _CONDITIONS if name in response.headers}
        sha256 = _save(response, path, url, limits)
    _card_path(path).write_text(json.dumps({"sha256": sha256, "validators": validators}))
    return Copy(path, sha256, validators)


def _card_path(path: Path) -> Path:
    return path.with_suffix(".json")


def _card(path: Path) -> dict[str, Any]:
    try:
        card: dict[str, Any] = json.loads(_card_path(path).read_text()) if path.exists() else {}
    except (OSError, ValueError):
        return {}
    return card


@contextmanager
def _answer(
    url: str, headers: Mapping[str, str], limits: Limits, credentials: Credentials | None
) -> Iterator[httpx.Response]:
    import httpx

    proxy = credentials.proxy if credentials else None
    login = (credentials.login, credentials.password or "") if credentials and credentials.login else None
    private = limits.private_addresses
    allowed = () if isinstance(private, bool) else private
    guard = Guard(everything=private is True, allowed=allowed, proxy=_endpoint(proxy))

    def check(request: httpx.Request) -> None:
        # a proxy connects for us: it is asked for a name, which must not lead to a private address either
        if proxy:
            guard.check_name(request.url.host)

    try:
        with (
            guarded(guard),
            httpx.Client(
                auth=login, proxy=proxy, cookies=_cookies(credentials), follow_redirects=True, trust_env=False,
                timeout=httpx.Timeout(60.0, connect=15.0), event_hooks={"request": [check]},
                headers={"User-Agent": limits.politeness.user_agent or f"humannet-ops/{__version__}"},
            ) as client,
            client.stream("GET", url, headers=dict(headers)) as response,
        ):  # fmt: skip
            yield response
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        if guard.refused:
            raise SourceError(
                f"source {limits.source}: the manifest {public(url)} leads to {guard.refused[0]}, a private address. "
                "If that is meant, say `private_addresses: true` in its YAML file."
            ) from error
        raise SourceError(
            f"source {limits.source}: the manifest {public(url)} cannot be downloaded: {error or type(error).__name__}"
        ) from error


def _save(response: httpx.Response, path: Path, url: str, limits: Limits) -> str:
    """Write the body under a temporary name while hashing it, then under its own."""
    until = time.monotonic() + limits.max_seconds
    digest, size = hashlib.sha256(), 0
    announced = int(response.headers.get("content-length") or 0)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as target:
            for chunk in response.iter_bytes(_CHUNK):
                size += len(chunk)
                fault = None
                if max(size, announced) > limits.max_manifest_bytes:
                    fault = f"is larger than `max_manifest_bytes` ({limits.max_manifest_bytes.human_readable()})"
                elif time.monotonic() > until:
                    fault = f"took longer than `max_seconds` ({limits.max_seconds:g})"
                elif free_bytes(path.parent) < _SPARE + max(0, announced - size):
                    fault = f"does not fit on the disk of {path.parent}"
                if fault:
                    raise SourceError(f"source {limits.source}: the manifest {public(url)} {fault}.")
                digest.update(chunk)
                target.write(chunk)
        _card_path(path).unlink(missing_ok=True)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return digest.hexdigest()


def _refusal(url: str, response: httpx.Response, limits: Limits) -> str:
    cures = {
        401: "Name an Airflow connection with a login as `connection`.",
        403: "Name an Airflow connection with a login as `connection`.",
        404: "Correct `manifest` in its YAML file.",
        410: "Correct `manifest` in its YAML file.",
    }
    wait = response.headers.get("retry-after")
    cure = cures.get(response.status_code, f"It asks to wait: Retry-After {wait}." if wait else "")
    said = f"{response.status_code} {response.reason_phrase}"
    return f"source {limits.source}: the manifest {public(url)} answers {said}. {cure}".strip()


def _endpoint(proxy: str | None) -> tuple[str, int] | None:
    if proxy is None:
        return None
    parts = urlsplit(proxy)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _cookies(credentials: Credentials | None) -> MozillaCookieJar:
    jar = MozillaCookieJar()
    if credentials and credentials.cookies:
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write(credentials.cookies)
            file.flush()
            try:
                jar.load(file.name, ignore_discard=True, ignore_expires=True)
            except LoadError:
                raise SourceError("the connection's cookies are no Netscape cookies file") from None
    return jar
