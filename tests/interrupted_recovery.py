"""A Postgres that hangs: a process of it is killed, and then the one that recovers from that."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from humannet_ops.local import postgres

HELD_S = 3.0
"""How long a server must look hung: one whose recovery is about to begin looks so for a moment."""


def interrupt_recovery(home: Path, port: int | None = None) -> None:
    """Kill the server's checkpointer until its recovery was caught and killed too."""
    since = None
    while since is None or time.monotonic() - since < HELD_S:
        if postgres.is_hung(home, port):
            since = since or time.monotonic()
            continue
        since = None
        if postgres.is_running(home, port):
            _kill(home, "checkpointer")
        _kill(home, "startup")


def _kill(home: Path, kind: str) -> None:
    for process in postgres.servers(home):
        try:
            if process.cmdline()[:1] and process.cmdline()[0].startswith(f"postgres: {kind}"):
                process.kill()
        except psutil.Error:
            continue
