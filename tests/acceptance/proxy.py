"""A TCP proxy on the loopback interface that can be cut, slowed, or made to answer for the server."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

HOST = "127.0.0.1"


class Proxy:
    """Passes bytes on to a server, until told otherwise.

    Attributes:
        port: Where it listens.
        delay_s: How long it waits before it passes on what a client sent.
        answer: Sent back in the server's place, if set; then the connection is closed.
    """

    def __init__(self, target: int) -> None:
        """Listen on a free port, for the server on ``target``."""
        self.target = target
        self.delay_s = 0.0
        self.answer: bytes | None = None
        self._open = threading.Event()
        self._open.set()
        self._links: set[socket.socket] = set()
        self._listening = socket.create_server((HOST, 0))
        self.port = self._listening.getsockname()[1]
        self._ended = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Pass nothing on, in either direction, as a pulled cable does: nobody is told."""
        self._open.clear()

    def mend(self) -> None:
        """Pass on again, what waited included."""
        self._open.set()

    def break_links(self) -> None:
        """Close every connection."""
        for link in list(self._links):
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it."""
        self._ended.set()
        self._open.set()
        self._listening.close()
        self.break_links()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                server = socket.create_connection((HOST, self.target))
            except OSError:
                return
            with server:
                self._links |= {client, server}
                back = threading.Thread(target=self._pass, args=(server, client), daemon=True)
                back.start()
                self._pass(client, server, upwards=True)
                back.join()
                self._links -= {client, server}

    def _pass(self, origin: socket.socket, target: socket.socket, *, upwards: bool = False) -> None:
        with suppress(OSError):
            while data := origin.recv(1 << 16):
                self._open.wait()
                if upwards and self.answer is not None:
                    origin.sendall(self.answer)
                    break
                if upwards and self.delay_s:
                    self._ended.wait(self.delay_s)
                target.sendall(data)
        for link in (origin, target):
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
