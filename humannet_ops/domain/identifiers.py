"""How things are named: stable, content- or origin-derived, so that a killed and repeated run names them the same."""

from __future__ import annotations

import hashlib
import uuid


def _digest(*parts: object) -> str:
    return hashlib.sha256("\0".join(str(part) for part in parts).encode("utf-8", "surrogateescape")).hexdigest()[:20]


def video_id(source: str, origin_uri: str, version: int) -> str:
    """Name the ``version``-th content seen under ``origin_uri`` of ``source`` (1 is the first)."""
    return "v" + _digest("video", source, origin_uri, version)


def clip_id(video: str, start_frame: int, end_frame: int) -> str:
    """Name the frames ``[start_frame, end_frame)`` of a video. The same cut found again is the same clip."""
    return "c" + _digest("clip", video, start_frame, end_frame)


def keyword_id(source: str, normalised: str) -> str:
    """Name a phrase that a source is searched for."""
    return "k" + _digest("keyword", source, normalised)


def takedown_id(scope: str, target: str) -> str:
    """Name a takedown: asking again for the same is the same takedown."""
    return "t" + _digest("takedown", scope, target)


def new_run_id() -> str:
    """Name one execution of a stage over a shard."""
    return "r" + uuid.uuid4().hex


def new_shard_id() -> str:
    """Name a planned shard."""
    return "s" + uuid.uuid4().hex
