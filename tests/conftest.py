"""Fixtures that every test folder shares."""

from __future__ import annotations

from pathlib import Path

import pytest

from humannet_ops.settings import REPOSITORY


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The real clips beside the repository; the project itself does not need them."""
    folder = REPOSITORY.parent / "shared" / "corpus"
    if not (folder / "MANIFEST.tsv").exists():
        pytest.skip("../shared/corpus is absent")
    return folder
