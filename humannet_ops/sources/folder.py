"""A folder of video files: self-recorded, or already downloaded."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal
from urllib.parse import unquote_to_bytes, urlsplit

from humannet_ops.catalog.discovery import Entry
from humannet_ops.domain.outcome import Reason, SubjectError
from humannet_ops.domain.records import VideoSubject
from humannet_ops.media.container import check_readable
from humannet_ops.sources.config import SourceConfig, SourceError, filled_in
from humannet_ops.sources.protocol import Crawl, Credentials, Fetched, Source
from humannet_ops.storage import sha256_of

# What lies beside videos and is none: notes, subtitles, metadata, half-downloaded files. Everything else is a
# candidate, whatever its name, and gets an outcome of its own.
SIDECARS = (
    "*.txt", "*.md", "*.rst", "*.json", "*.jsonl", "*.csv", "*.tsv", "*.xml", "*.y*ml", "*.toml", "*.ini", "*.html",
    "*.srt", "*.vtt", "*.ass", "*.sub", "*.nfo", "*.log", "*.py", "*.pyc", "*.part", "*.ytdl", "*.parquet", "*.sha256",
    "*.ds_store", "thumbs.db",
)  # fmt: skip


class FolderConfig(SourceConfig):
    """Video files in a folder and everything below it.

    Attributes:
        path: The folder; ``${NAME}`` is filled in from the environment.
        include: Globs of the paths below it that are taken.
        exclude: Globs of those that are not.
    """

    kind: Literal["folder"]
    path: str
    include: Sequence[str] = ("*",)
    exclude: Sequence[str] = ()

    def folder(self) -> Path:
        """Return the folder.

        Raises:
            SourceError: a variable is not set, or there is no such folder.
        """
        # `make run VIDEOS=` points a link at the folder: a link that points elsewhere tomorrow must not make other
        # videos look like these
        folder = Path(filled_in(self.path, self.source)).expanduser().resolve()
        if not folder.is_dir():
            cure = (
                "Name one: `make run VIDEOS=/some/folder`" if self.source == "videos" else "Correct `path` in its file"
            )
            raise SourceError(f"source {self.source}: {folder} is not a folder. {cure}.")
        return folder


class FolderSource(Source[FolderConfig]):
    """Video files in a folder."""

    def address(self) -> str:
        """Return the folder."""
        return str(self.config.folder())

    def entries(self, crawl: Crawl) -> Iterator[Entry]:
        """Stream every candidate below the folder. Nothing is opened: the signature is size, mtime and inode.

        What cannot be looked at (a folder without permission, a link that goes in a circle) is an entry too, so that it
        ends as a failure with its reason and is not passed over.
        """
        root = self.config.folder()
        for path, fault in _walk(root):
            relative = os.fsencode(path.relative_to(root)).decode("utf-8", "replace")
            if fault is None and not is_wanted(relative, self.config.include, self.config.exclude):
                continue
            license = self.config.licence_of(relative)
            yield Entry(path.as_uri(), fault or signature(path), relative, license)
        crawl.complete = True

    @contextmanager
    def fetch(
        self, video: VideoSubject, folder: Path, credentials: Callable[[], Credentials | None]
    ) -> Iterator[Fetched]:
        """Give the file itself, and see that nobody wrote to it meanwhile."""
        path = path_of(video.origin_uri)
        check_readable(path)
        before = signature(path)
        yield Fetched(path, video.origin_uri, "folder")
        if signature(path) != before:
            raise SubjectError(
                Reason.CHANGED_WHILE_READ, f"{path} was being written while it was read. It is tried again later."
            )

    def digest(self, origin_uri: str) -> str | None:
        """Return the sha256 of a file's content, None if it cannot be read."""
        try:
            with path_of(origin_uri).open("rb") as stream:
                return sha256_of(stream)[0]
        except OSError:
            return None


def is_wanted(relative: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Say whether a path below a folder or a prefix may be video and is asked for."""
    name = relative.rsplit("/", 1)[-1].lower()
    if name.startswith(".") or any(fnmatch(name, glob) for glob in SIDECARS):
        return False
    included = any(fnmatch(relative, glob) for glob in include)
    return included and not any(fnmatch(relative, glob) for glob in exclude)


def _walk(root: Path) -> Iterator[tuple[Path, str | None]]:
    """Yield files in name order, following links but entering no folder twice; with what is wrong, if anything."""
    seen: set[tuple[int, int]] = set()
    folders = [root]
    while folders:
        folder = folders.pop()
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        try:
            listing = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            yield folder, f"unreadable:{error.errno}"
            continue
        for entry in listing:
            try:
                entry.stat()
            except OSError as error:
                yield Path(entry.path), f"unreadable:{error.errno}"
                continue
            if entry.is_dir():
                if not entry.name.startswith("."):
                    folders.append(Path(entry.path))
            elif entry.is_file():
                yield Path(entry.path), None


def path_of(uri: str) -> Path:
    """Return the path of a ``file://`` address, byte for byte."""
    return Path(os.fsdecode(unquote_to_bytes(urlsplit(uri).path)))


def signature(path: Path) -> str:
    """Return what changes when the file's content may have: size, modification time, inode."""
    status = path.stat()
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"
