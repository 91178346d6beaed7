"""yt-dlp as a library: how every kind on the network lists and fetches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from humannet_ops.domain.outcome import Reason, SubjectError
from humannet_ops.domain.records import VideoSubject
from humannet_ops.sources.config import Network
from humannet_ops.sources.protocol import Credentials, Fetched


@contextmanager
def fetch_url(
    config: Network, video: VideoSubject, folder: Path, credentials: Callable[[], Credentials | None]
) -> Iterator[Fetched]:
    """Bring what is at a video's address to local disk for the length of a ``with`` block.

    Args:
        config: Its source, for limits and politeness.
        video: The video; ``origin_uri`` is a page that yt-dlp knows, or a file.
        folder: What an interrupted try left is resumed; it is removed when the block ended well.
        credentials: Asked once.

    Raises:
        SubjectError: it cannot be fetched.
        Postponed: it must wait.
    """
    raise SubjectError(Reason.UNSUPPORTED, f"{video.origin_uri}: being built")
    yield
