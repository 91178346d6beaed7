"""Addresses on the network: how one is written, which may be reached, and that no other is."""

from __future__ import annotations

import ipaddress
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Networks = Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]

_PORTS = {"http": 80, "https": 443}
# Parameters that say where a visitor came from, never which item it is. Names that some site uses for its items (id,
# source, ref, uid) are not among them.
_TRACKING = re.compile(
    r"^(utm_\w*|mtm_\w*|pk_(campaign|kwd|source)|fbclid|gclid|gclsrc|dclid|wbraid|gbraid|msclkid|yclid|twclid|ttclid|"
    r"igshid|igsh|mc_cid|mc_eid|_ga|_gl|_hs(enc|mi)|ref_src|ref_url|spm|vero_id|oly_(anon|enc)_id)$",
    re.IGNORECASE,
)
_SECRET = re.compile(
    r"^(x-amz-\w[\w-]*|x-goog-\w[\w-]*|(.*[_-])?(token|sig|signature|secret|password|passwd|pwd|auth|authorization|"
    r"credential|session|sessionid|apikey|api_key|access_key|key-pair-id|hmac|policy|jwt)|lsig|sparams|lsparams|hdnea|"
    r"hdnts|expires?|exp)$",
    re.IGNORECASE,
)
# The address of an IPv4 host within these begins at this bit from the right: NAT64 (RFC 6052).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def canonical(url: str) -> str:
    """Return an address without what does not name the item, so that equal means the same item.

    Host in lower case, no login, no default port, no fragment, no tracking parameters, query sorted, dot segments
    resolved, percent-encoding one way (by w3lib, which Scrapy uses to tell whether it has been at an address).
    """
    from w3lib.url import canonicalize_url

    parts = urlsplit(url.strip())
    query = _without(parts.query, _TRACKING)
    clean: str = canonicalize_url(urlunsplit(parts._replace(netloc=_bare(parts), query=query)))
    return clean


def public(url: str) -> str:
    """Return an address without logins and without what signs it or grants access, fit for logs and the catalog."""
    try:
        parts = urlsplit(url)
        netloc = parts.netloc.rpartition("@")[2]
    except ValueError:
        return url.partition("?")[0]
    return urlunsplit(parts._replace(netloc=netloc, query=_without(parts.query, _SECRET)))


def host_of(url: str) -> str:
    """Return whom an address asks: host in lower case, with the port where it is not the scheme's own."""
    parts = urlsplit(url)
    return _bare(parts).lower()


def _bare(parts: SplitResult) -> str:
    host = parts.netloc.rpartition("@")[2]
    default = _PORTS.get(parts.scheme.lower())
    return host.removesuffix(f":{default}").removesuffix(":") if default else host


def _without(query: str, names: re.Pattern[str]) -> str:
    return "&".join(pair for pair in query.split("&") if not names.match(pair.partition("=")[0]))


def is_public(address: str, allowed: Networks = ()) -> bool:
    """Say whether an IP address is on the public internet, or in a network that is allowed.

    What only looks public is not: IPv4 within IPv6 (mapped, NAT64, 6to4, Teredo) counts as what it leads to.
    """
    ip: Address = ipaddress.ip_address(address.partition("%")[0])
    leads_to = _embedded(ip)
    if any(candidate in network for candidate in leads_to for network in allowed):
        return True
    return all(each.is_global and not each.is_multicast and not each.is_reserved for each in leads_to)


def _embedded(ip: Address) -> list[Address]:
    if isinstance(ip, ipaddress.IPv4Address):
        return [ip]
    if ip.ipv4_mapped:
        return [ip.ipv4_mapped]
    if ip in _NAT64:
        return [ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)]
    if ip.sixtofour:
        return [ip.sixtofour]
    return [ip, *(ip.teredo or ())]


class RefusedError(OSError):
    """Something that a guarded block may not do: reach an address, or start a program."""


@dataclass(eq=False)
class Guard:
    """What a block may reach, and what it tried.

    Attributes:
        everything: Nothing is refused; for sources that may reach private addresses.
        allowed: Networks that may be reached although they are private.
        proxy: Host and port of the proxy through which everything goes; the names asked of it are resolved here, too.
        programs: The only programs that may be started, never with an address among their arguments.
        refused: The addresses that were refused.
    """

    everything: bool = False
    allowed: Networks = ()
    proxy: tuple[str, int] | None = None
    programs: Sequence[str] = ()
    refused: list[str] = field(default_factory=list)
    _connections: list[Any] = field(default_factory=list, repr=False)
    _proxies: frozenset[tuple[str, int]] = frozenset()

    def check(self, address: str, port: int) -> None:
        """See that an IP address may be connected to.

        Raises:
            RefusedError: it may not.
        """
        if self.everything or (address, port) in self._proxies:
            return
        try:
            fits = is_public(address, self.allowed)
        except ValueError:
            # a name: whoever connects by it leaves the resolving to the moment after this check
            fits = False
        if not fits:
            self.refused.append(address)
            raise RefusedError(f"{address} is a private address")

    def check_name(self, host: str) -> None:
        """See that every address of a name may be reached, where another machine will do the connecting.

        Raises:
            RefusedError: one may not, or it has none.
        """
        if self.everything:
            return
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError as error:
            raise RefusedError(f"{host} has no address that could be checked") from error
        for *_, where in found:
            if not is_public(str(where[0]), self.allowed):
                self.refused.append(f"{host} ({where[0]})")
                raise RefusedError(f"{host} is at the private address {where[0]}")

    def check_program(self, command: Sequence[Any]) -> None:
        """See that a program may be started.

        Raises:
            RefusedError: it may not, or it is given an address.
        """
        arguments = [str(part) for part in command]
        if arguments[0] not in self.programs or any(re.match(r"[a-z][a-z0-9+.-]*://", each) for each in arguments):
            raise RefusedError(f"{arguments[0]} may not be started: it could reach any address")

    def hang_up(self) -> None:
        """Break every connection that the block opened, so that whoever waits on one wakes."""
        for connection in self._connections:
            link = getattr(connection, "sock", None)
            if link is not None:
                try:
                    link.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue


_active: list[Guard] = []
_lock = threading.Lock()


@contextmanager
def guarded(guard: Guard) -> Iterator[Guard]:
    """Hold every connection that this process makes, in any thread, against a guard for the length of the block.

    The hook sees the address that is connected to, after every redirect and every resolution, so a name that resolves
    differently the second time gains nothing. It sees what Python connects: that is all that yt-dlp does by itself;
    programs, which it could start, are held by ``Guard.programs``. The catalog is not affected: libpq is no Python.
    """
    _install()
    guard._proxies = frozenset(_resolved(*guard.proxy)) if guard.proxy else frozenset()
    with _lock:
        _active.append(guard)
    try:
        yield guard
    finally:
        with _lock:
            _active.remove(guard)
        guard._connections.clear()


def _resolved(host: str, port: int) -> Iterator[tuple[str, int]]:
    try:
        for *_, where in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            yield str(where[0]), port
    except OSError:
        return


@cache
def _install() -> None:
    # an audit hook cannot be removed: it is installed when first needed, and does nothing outside a guarded block
    sys.addaudithook(_hook)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _active or (handler := _HANDLERS.get(event)) is None:
        return
    for guard in tuple(_active):
        handler(guard, *arguments)


def _on_connect(guard: Guard, _link: Any, address: Any) -> None:
    # a path is a Unix socket: no URL leads there
    if isinstance(address, tuple):
        guard.check(str(address[0]), int(address[1]))


def _on_http_connect(guard: Guard, connection: Any, host: str, port: int) -> None:
    guard._connections.append(connection)
    if guard.proxy and (host, port) != guard.proxy:
        guard.check_name(host)


def _on_http_send(guard: Guard, _connection: Any, sent: Any) -> None:
    """Read whom a proxy is asked to reach, redirects included."""
    if not guard.proxy or not isinstance(sent, bytes):
        return
    asked = re.match(rb"[A-Z]+ (?:\w+://)?(?:[^/@\s]*@)?(\[[^]]+\]|[^/:\s]+)[^\s]* HTTP/1", sent)
    if asked and not sent.partition(b" ")[2].startswith(b"/"):
        guard.check_name(asked[1].decode("ascii", "replace").strip("[]"))


def _on_program(guard: Guard, _program: Any, command: Any, _folder: Any, _environment: Any) -> None:
    guard.check_program([command] if isinstance(command, (str, bytes)) else list(command))


_HANDLERS: dict[str, Callable[..., None]] = {
    "socket.connect": _on_connect,
    "http.client.connect": _on_http_connect,
    "http.client.send": _on_http_send,
    "subprocess.Popen": _on_program,
}
