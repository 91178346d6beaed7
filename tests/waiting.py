"""Waiting in tests for what another process does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tenacity import Retrying, retry_if_result, wait_fixed


def wait(ready: Callable[[], Any]) -> None:
    """Ask twice a second until something is so; the test's own timeout ends it otherwise.

    Asking without a pause would take the processor from those who work on it.
    """
    Retrying(retry=retry_if_result(lambda answer: not answer), wait=wait_fixed(0.5))(ready)
