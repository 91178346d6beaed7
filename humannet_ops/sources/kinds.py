"""The kinds of sources: one module each, with ``<Kind>Config`` and ``<Kind>Source``, imported when asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from humannet_ops.sources.config import SourceConfig
from humannet_ops.sources.protocol import Source

KINDS = ("folder", "http_manifest", "s3_prefix", "ytdlp_channel", "ytdlp_playlist", "ytdlp_search", "ytdlp_url")


def _named(kind: object, suffix: str) -> Any:
    if kind not in KINDS:
        raise LookupError(f"{kind!r} is no kind of source; the kinds are {', '.join(KINDS)}")
    name = "".join(part.capitalize() for part in str(kind).split("_")) + suffix
    return getattr(import_module(f"humannet_ops.sources.{kind}"), name)


def config_class(kind: object) -> type[SourceConfig]:
    """Return what the source files of a kind may say.

    Raises:
        LookupError: there is no such kind.
    """
    found: type[SourceConfig] = _named(kind, "Config")
    return found


def open_source(config: SourceConfig) -> Source[Any]:
    """Return the source that a file describes."""
    opened: Source[Any] = _named(config.kind, "Source")(config)
    return opened
