"""Addresses: how they are written, which are private, and that a guarded block reaches no private one."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import requests

from humannet_ops.sources.network import Guard, RefusedError, canonical, guarded, host_of, is_public, public


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ("HTTP://Example.COM:80/a/../b?b=2&a=1#part", "http://example.com/b?a=1&b=2"),
        ("https://user:secret@example.com:443/x?utm_source=mail&id=3", "https://example.com/x?id=3"),
        ("https://example.com/x?id=3&fbclid=abc&UTM_Medium=y", "https://example.com/x?id=3"),
        ("https://example.com", "https://example.com/"),
        ("https://example.com:8443/ü", "https://example.com:8443/%C3%BC"),
        ("http://[0:0::1]:80/v", "http://[::1]/v"),
    ],
)
def test_one_item_has_one_address(written: str, same: str) -> None:
    assert canonical(written) == same
    assert canonical(same) == same


@pytest.mark.parametrize("name", ["id", "v", "source", "ref", "uid", "session_id", "list", "medium"])
def test_parameters_that_name_items_are_kept(name: str) -> None:
    assert canonical(f"https://example.com/watch?{name}=7") == f"https://example.com/watch?{name}=7"


def test_no_secret_is_shown() -> None:
    signed = (
        "https://me:pw@cdn.example.com/v.mp4?id=3&X-Amz-Signature=abc&token=t&Expires=9&access_token=q&key-pair-id=k"
    )
    assert public(signed) == "https://cdn.example.com/v.mp4?id=3"
    assert host_of(signed) == "cdn.example.com"
    assert host_of("http://Example.com:8080/") == "example.com:8080"


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
     "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1%eth0", "fc00::1",
     "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "2002:7f00:1::", "::127.0.0.1",
     "2001:db8::1"],
)  # fmt: skip
def test_what_is_private(address: str) -> None:
    assert not is_public(address)


def test_what_is_public() -> None:
    for address in ("8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"):
        assert is_public(address)
    assert is_public("10.20.3.4", [ipaddress.ip_network("10.20.0.0/16")])
    assert is_public("::ffff:10.20.3.4", [ipaddress.ip_network("10.20.0.0/16")])
    assert not is_public("10.21.3.4", [ipaddress.ip_network("10.20.0.0/16")])


@pytest.fixture
def listener() -> Iterator[tuple[int, list[object]]]:
    """A port of 127.0.0.1 that counts who connects, and answers nothing."""
    came: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)

        def accept() -> None:
            while server.fileno() != -1:
                try:
                    link, _ = server.accept()
                except TimeoutError:
                    continue
                except OSError:
                    return
                came.append(link)
                link.close()

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1], came


def test_every_client_and_thread_is_held(listener: tuple[int, list[object]]) -> None:
    port, came = listener
    refused: list[BaseException] = []

    def try_all() -> None:
        for attempt in (
            lambda: socket.create_connection(("127.0.0.1", port), timeout=5),
            lambda: socket.socket().connect_ex(("127.0.0.1", port)),
            lambda: http.client.HTTPConnection("localhost", port, timeout=5).request("GET", "/"),
            lambda: requests.get(f"http://2130706433:{port}/", timeout=5),
            lambda: requests.get(f"http://[::ffff:127.0.0.1]:{port}/", timeout=5),
            # a name is resolved by whoever connects, after the hook: it is not let through
            lambda: socket.socket().connect(("localhost", port)),
        ):
            try:
                attempt()
            except (OSError, requests.RequestException) as error:
                refused.append(error)

    with guarded(Guard()) as guard:
        try_all()
        thread = threading.Thread(target=try_all)
        thread.start()
        thread.join()
    assert len(refused) == 12
    assert len(guard.refused) >= 12
    assert came == []
    # outside of the block nothing is held
    socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_a_name_that_resolves_anew_gains_nothing(
    listener: tuple[int, list[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, came = listener
    answers = iter(["93.184.216.34", "127.0.0.1"])

    def rebinding(host: str, *_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with guarded(Guard()) as guard:
        guard.check_name("rebinding.example")
        with pytest.raises(OSError, match="private address"):
            socket.create_connection(("rebinding.example", port), timeout=5)
    assert came == []


def test_only_listed_networks_are_open(listener: tuple[int, list[object]]) -> None:
    port, _ = listener
    with guarded(Guard(allowed=[ipaddress.ip_network("127.0.0.1/32")])) as guard:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        with pytest.raises(RefusedError):
            socket.create_connection(("127.0.0.2", port), timeout=5)
    assert guard.refused == ["127.0.0.2"]
    with guarded(Guard(everything=True)):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_equal_guards_are_not_the_same(listener: tuple[int, list[object]]) -> None:
    port, _ = listener
    first, second = guarded(Guard()), guarded(Guard())
    first.__enter__()
    held = second.__enter__()
    first.__exit__(None, None, None)
    with pytest.raises(RefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    assert held.refused == ["127.0.0.1"]
    second.__exit__(None, None, None)
    socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_programs_are_held(tmp_path) -> None:
    with guarded(Guard(programs=[sys.executable])):
        subprocess.run([sys.executable, "-c", ""], check=True)
        with pytest.raises(RefusedError):
            subprocess.run([sys.executable, "-c", "", "http://127.0.0.1/"], check=True)
        with pytest.raises(RefusedError):
            subprocess.run(["curl", "127.0.0.1"], check=True)
    subprocess.run([sys.executable, "-c", ""], check=True)


def test_connections_can_be_broken_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, guarded(Guard(everything=True)) as guard:
        link = http.client.HTTPConnection(*server.getsockname(), timeout=30)
        link.request("GET", "/")
        threading.Timer(0.1, guard.hang_up).start()
        with pytest.raises(http.client.RemoteDisconnected):
            link.getresponse()
