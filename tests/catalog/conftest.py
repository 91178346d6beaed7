"""What the tests of the catalog share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from keyword_world import Site


@pytest.fixture
def site(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget_settings: Callable[[], None]) -> Site:
    """A source that searches, over an empty catalog."""
    monkeypatch.setenv("HUMANNET_SOURCES_DIR", str(tmp_path / "sources"))
    forget_settings()
    return Site(tmp_path / "sources", monkeypatch, "expansion: {strategies: []}\n")
