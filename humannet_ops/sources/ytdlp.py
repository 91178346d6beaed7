"""yt-dlp as a library: fetching one video, from any site that it knows or from the address of a file."""

from __future__ import annotations

import datetime
import itertools
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from humannet_ops.domain.outcome import Postponed, Reason, SubjectError
from humannet_ops.domain.records import VideoSubject
from humannet_ops.sources.config import Network
from humannet_ops.sources.network import canonical, public
from humannet_ops.sources.protocol import Credentials, Fetched
from humannet_ops.sources.trouble import NOT_OVER_AGAIN, explained

if TYPE_CHECKING:
    from humannet_ops.sources.client import Client

# The best picture with the best sound, merged; or the best file with both; or a picture alone. Never sound alone.
_FORMAT = "bv*+ba/b[vcodec!=?none]/bv*"
_ABANDONED_S = 7 * 86400.0
_NOT_OVER = ("is_live", "is_upcoming", "post_live")
# What of the info dict is not kept: how to get at the files (it runs out, and may be signed), and what is ours.
_NOT_KEPT = {
    "url", "urls", "formats", "requested_formats", "requested_downloads", "requested_subtitles", "subtitles",
    "automatic_captions", "thumbnails", "thumbnail", "http_headers", "cookies", "manifest_url", "fragments", "filepath",
    "fragment_base_url", "downloader_options", "storyboards", "heatmap", "filename", "_filename", "_type", "_version",
    "epoch", "requested_entries", "entries", "__last_playlist_index", "_format_sort_fields", "_has_drm",
}  # fmt: skip


@contextmanager
def fetch_url(
    config: Network, video: VideoSubject, folder: Path, credentials: Callable[[], Credentials | None]
) -> Iterator[Fetched]:
    """Bring what is at a video's address to local disk for the length of a ``with`` block.

    Args:
        config: Its source, for limits and politeness.
        video: The video; ``origin_uri`` is a page that yt-dlp knows, or a file.
        folder: What an interrupted try left is resumed. It is removed when the block ended well, or when another try
            would end the same.
        credentials: Asked once.

    Raises:
        SubjectError: it cannot be fetched.
        Postponed: it must wait.
    """
    from humannet_ops.sources import client

    _forget_abandoned(folder.parent)
    folder.mkdir(parents=True, exist_ok=True)
    options = _options(config, folder)
    try:
        with client.opened(config, credentials(), folder, **options) as opened:
            fetched = _download(opened, config, video, folder)
            yield fetched
            opened.visit.items = 1
    except SubjectError as error:
        if error.reason.permanent:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder)


def _forget_abandoned(incoming: Path) -> None:
    """Remove what is left of downloads that nobody went on with."""
    if incoming.exists():
        for folder in incoming.iterdir():
            with suppress(OSError):
                if time.time() - folder.stat().st_mtime > _ABANDONED_S:
                    shutil.rmtree(folder)


def _options(config: Network, folder: Path) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "format_sort": [f"res:{config.max_height}"] if config.max_height else [],
        # named by the format: what is left of one is never continued with another
        "outtmpl": {"default": "%(format_id)s.%(ext)s"},
        "paths": {"home": str(folder)},
    }


def _download(opened: Client, config: Network, video: VideoSubject, folder: Path) -> Fetched:
    from humannet_ops.sources import client

    opened.params["match_filter"] = _Choice(opened, config, video)
    opened.add_progress_hook(_Limit(opened, config))
    with client.working(opened), explained(opened, video.origin_uri):
        opened.visit.begin_item()
        info = opened.process_ie_result(_single(opened, video.origin_uri), download=True)
        files = info.get("requested_downloads") or []
        if len(files) != 1:
            raise SubjectError(Reason.UNSUPPORTED, f"{public(video.origin_uri)} gave {len(files)} files, not one")
    opened.visit.leave_hosts()
    path = Path(files[0]["filepath"])
    if not path.resolve().is_relative_to(folder.resolve()):
        raise SubjectError(Reason.ERROR, f"{path} is outside of {folder}")
    address = info["url"] if info.get("url") and info.get("direct") else info.get("webpage_url") or video.origin_uri
    return Fetched(path, public(address), client.CLIENT, told(opened.sanitize_info(info, remove_private_keys=True)))


def _single(opened: Client, url: str) -> dict[str, Any]:
    """Return what is at an address, where that is one video.

    Raises:
        SubjectError: it is several, or none.
    """
    found = opened.look(url)
    if found.get("_type") not in ("playlist", "multi_video"):
        return found
    entries = list(itertools.islice(each_of(found), 2))
    if len(entries) != 1:
        count = "several videos" if entries else "no video"
        raise SubjectError(
            Reason.UNSUPPORTED, f"{public(url)} holds {count}; a list belongs into a source of the kind ytdlp_playlist"
        )
    return entries[0]


def each_of(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Stream the entries of what yt-dlp found, page by page, never all at once."""
    from yt_dlp.utils import PagedList

    entries = found.get("entries") or ()
    if not isinstance(entries, PagedList):
        yield from (entry for entry in entries if entry)
        return
    entries._use_cache = False
    for start in itertools.count(step=100):
        page = entries.getslice(start, start + 100)
        yield from (entry for entry in page if entry)
        if len(page) < 100:
            return


class _Choice:
    """yt-dlp asks it when it knows everything about a video and has chosen its files, before it downloads them."""

    def __init__(self, opened: Client, config: Network, video: VideoSubject) -> None:
        self.opened, self.config, self.video = opened, config, video

    def __call__(self, info: Mapping[str, Any], incomplete: bool = False) -> None:
        """Let it pass, or end the visit."""
        visit = self.opened.visit
        if info.get("live_status") in _NOT_OVER or info.get("is_live"):
            until = datetime.datetime.now(datetime.UTC) + NOT_OVER_AGAIN
            raise visit.end(Postponed("host", until, f"{public(self.video.origin_uri)} is not over yet"))
        license = info.get("license")
        if license and self.config.license_policy.verdict(license) == "deny":
            raise visit.end(SubjectError(Reason.LICENSE_DENIED, f"its page now states the licence {license}"))
        if incomplete:
            return
        chosen = info.get("requested_formats") or [info]
        if len(chosen) > 1:
            visit.copies += 1
        self.opened.begin_downloading(
            {
                canonical(each["url"]): each.get("protocol", "http") in ("http", "https")
                for each in chosen
                if "url" in each
            }
        )
        visit.expect(sum(int(each.get("filesize") or each.get("filesize_approx") or 0) for each in chosen))


class _Limit:
    """yt-dlp tells it how far each file is: a body whose length nobody said has a limit, too."""

    def __init__(self, opened: Client, config: Network) -> None:
        self.opened, self.config = opened, config
        self.sizes: dict[str, int] = {}

    def __call__(self, progress: Mapping[str, Any]) -> None:
        """Add up the sizes of a video's files."""
        self.sizes[progress["filename"]] = int(progress.get("downloaded_bytes") or 0)
        if sum(self.sizes.values()) > self.config.max_bytes:
            most = self.config.max_bytes.human_readable()
            raise self.opened.visit.end(
                SubjectError(Reason.TOO_LARGE, f"{public(self.opened.last_asked)} sends more than max_bytes ({most})")
            )


def told(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a site says about a video, without addresses of files, headers, cookies and tokens."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(each) for key, each in value.items() if key not in _NOT_KEPT}
        if isinstance(value, (list, tuple)):
            return [plain(each) for each in value]
        return public(value) if isinstance(value, str) and "://" in value and " " not in value else value

    return {key: plain(value) for key, value in info.items() if key not in _NOT_KEPT and value is not None}
