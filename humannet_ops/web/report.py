"""The corpus page as one file that needs nothing else: pictures are inside, clips are linked where they lie."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from humannet_ops.storage import Store, open_store
from humannet_ops.web import pictures
from humannet_ops.web.collection import MOST, collect
from humannet_ops.web.page import render


class InFile:
    """Pictures as ``data:``, clips as a path from the page's folder (or a ``file:`` address farther away)."""

    live = False

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.folder = folder.resolve()

    def clip_picture(self, row: dict[str, Any]) -> str | None:
        """Return the best frame with its pose."""
        return _inline(pictures.clip_picture(self.store, row["artifact_uri"], row["body_uri"], row["hand_uri"]))

    def rejected_picture(self, row: dict[str, Any]) -> str | None:
        """Return the nearest sampled frame."""
        return _inline(pictures.sampled_picture(self.store, row["frames_uri"], row["middle_s"]))

    def media(self, row: dict[str, Any]) -> str | None:
        """Return where the clip's file is; a browser cannot read a bucket."""
        address: str | None = row["artifact_uri"]
        if address is None or urlsplit(address).scheme != "file":
            return None
        path = Path(url2pathname(urlsplit(address).path))
        if path.is_relative_to(self.folder):
            return quote(os.path.relpath(path, self.folder))
        return address


def write(path: Path, most: int = MOST) -> Path:
    """Write the page of the corpus as it is now.

    Args:
        path: The HTML file; it appears whole, in the place of an older one.
        most: Entries that a gallery may have.

    Returns:
        The same path.

    Raises:
        CatalogError: the catalog does not answer.
        StoreError: the store's address is wrong.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    html = render(collect(InFile(open_store(), path.parent), most))
    new = path.with_name(f".{path.name}.new")
    new.write_text(html, encoding="utf-8", errors="replace")
    new.replace(path)
    return path


def _inline(jpeg: bytes | None) -> str | None:
    return None if jpeg is None else "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
