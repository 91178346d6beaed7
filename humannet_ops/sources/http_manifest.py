"""A manifest: CSV, JSON Lines, JSON or Parquet of addresses with metadata, as open data sets publish them."""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, ByteSize, Field, field_validator

from humannet_ops.catalog.discovery import Entry
from humannet_ops.domain.records import VideoSubject
from humannet_ops.sources.config import GIB, SourceError, Strict, filled_in
from humannet_ops.sources.manifest_download import Copy, download
from humannet_ops.sources.manifest_layouts import LAYOUTS, Layout, Reader, recognised
from humannet_ops.sources.manifest_rows import Form, Manifest
from humannet_ops.sources.network import canonical
from humannet_ops.sources.protocol import Crawl, Credentials, Fetched, Source
from humannet_ops.sources.s3_prefix import S3Network, fetch_object
from humannet_ops.storage import sha256_of

# Raise it when rows are read otherwise: an unchanged manifest is then read again.
_REVISION = 1
_MEMORY = "manifest"
# Nothing to put in order: plain host, plain path without dot segments, at most the parameter `v` or `id`.
_CANONICAL = re.compile(r"https?://[a-z0-9][a-z0-9.-]*[a-z]/(?:[\w~-][\w.~-]*/?)*(?:\?(?:v|id)=[\w.~-]+)?", re.ASCII)


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(_listed)]


class Columns(Strict):
    """Which column has what; of several names, the first that the manifest has. ``a.b`` is ``b`` in the object ``a``.

    Attributes:
        url: The address of the video (http, https or s3), or a template of columns: ``https://host/{id}.mp4``.
        title: Its title.
        license: Its licence.
        uploader: Who published it.
        channel: The channel that it is from.
        uploaded_on: The day of its publication.
        duration: Its length: seconds, or ``H:MM:SS``.
        signature: What changes when its content does: a checksum, an ETag.
        start: Where the row's segment begins: seconds, or ``H:MM:SS.mmm``.
        end: Where it ends.
        segments: Begin and end together: ``[a, b]``, or a list of such pairs.
        caption: What the segment shows; a list where ``segments`` is a list of pairs.
    """

    url: Names | None = None
    title: Names | None = None
    license: Names | None = None
    uploader: Names | None = None
    channel: Names | None = None
    uploaded_on: Names | None = None
    duration: Names | None = None
    signature: Names | None = None
    start: Names | None = None
    end: Names | None = None
    segments: Names | None = None
    caption: Names | None = None


class HttpManifestConfig(S3Network):
    """A manifest of addresses.

    Attributes:
        manifest: Where it is: an http(s) address, or a path; ``${NAME}`` is filled in from the environment.
        layout: How it is laid out: ego4d, panda_70m, koala_36m or plain. Without it, its columns tell.
        columns: Which column has what, where the layout does not know: ``{url: link, title: name}``.
        keep: Globs of further columns that are kept with each video.
        keep_in_segments: Globs of further columns that are kept with each segment.
        only: Rows that are taken, by column: ``{scenario: "*cooking*"}``.
        format: Its form: csv, tsv, jsonl, json or parquet. Without it, its first bytes tell.
        rows: Where the list of rows is in a JSON document: ``videos``.
        encoding: Of its text.
        max_manifest_bytes: The largest manifest that is downloaded.
    """

    kind: Literal["http_manifest"]
    manifest: Annotated[str, Field(min_length=1)]
    layout: Literal["ego4d", "panda_70m", "koala_36m", "plain"] | None = None
    columns: Columns = Columns()
    keep: list[str] | None = None
    keep_in_segments: list[str] | None = None
    only: dict[str, Names] | None = None
    format: Form | None = None
    rows: str | None = None
    encoding: str = "utf-8"
    max_manifest_bytes: ByteSize = ByteSize(64 * GIB)

    @field_validator("encoding")
    @classmethod
    def _is_encoding(cls, value: str) -> str:
        try:
            lines = b"a\n".decode(codecs.lookup(value).name) == "a\n"
        except (LookupError, UnicodeError):
            lines = False
        if not lines:
            raise ValueError(f"{value!r} is no encoding of text in bytes, like 'utf-8' or 'latin-1'")
        return value

    def laid_out(self, columns: Sequence[str]) -> Layout:
        """Return what the rows of a manifest with these columns mean."""
        own = {name: names for name, names in self.columns.model_dump().items() if names}
        name = self.layout or ("plain" if own else recognised(columns))
        layout = LAYOUTS[name]
        return replace(
            layout,
            columns={**layout.columns, **own},
            keep=layout.keep if self.keep is None else self.keep,
            keep_in_segments=layout.keep_in_segments if self.keep_in_segments is None else self.keep_in_segments,
            only=layout.only if self.only is None else self.only,
        )

    def reading(self) -> str:
        """Return what changes when the same bytes would be read otherwise."""
        fields = (
            "manifest", "layout", "columns", "keep", "keep_in_segments", "only", "format", "rows", "encoding",
            "license", "licenses", "since",
        )  # fmt: skip
        said = self.model_dump(mode="json", include=set(fields))
        return hashlib.sha256(json.dumps([_REVISION, said], sort_keys=True).encode()).hexdigest()


class HttpManifestSource(Source[HttpManifestConfig]):
    """The addresses that a manifest names."""

    def address(self) -> str:
        """Return where the manifest is."""
        return self.config.manifest

    def entries(self, crawl: Crawl) -> Iterator[Entry]:
        """Stream the manifest's entries, or nothing if it is the one that the last pass read in the same way."""
        config, known = self.config, crawl.memory.get(_MEMORY, {})
        same = known if known.get("reading") == config.reading() else {}
        copy = self._copy(same, crawl.credentials)
        crawl.remember[_MEMORY] = {
            "sha256": copy.sha256, "validators": dict(copy.validators), "reading": config.reading(),
        }  # fmt: skip
        crawl.complete = True
        if copy.path is None or copy.sha256 == same.get("sha256"):
            crawl.unchanged = True
            return
        try:
            yield from self._read(copy.path, crawl)
        except SourceError as error:
            raise SourceError(f"source {config.source}: the manifest {config.manifest}: {error}") from error

    def _read(self, path: Path, crawl: Crawl) -> Iterator[Entry]:
        config = self.config
        rows = Manifest(path, form=config.format, rows=config.rows, encoding=config.encoding, report=crawl)
        columns = rows.columns()
        layout = config.laid_out(columns)
        reader = Reader(layout, columns, licence_of=config.licence_of, canonical=canonical_address, report=crawl)
        for entry in reader.entries(iter(rows)):
            if config.since is None or entry.uploaded_on is None or entry.uploaded_on >= config.since:
                yield entry
        if crawl.fault_count and not reader.taken:
            line, reason = next(iter(crawl.faults.items()))
            raise SourceError(f"none of its rows can be used; line {line}: {reason}")

    def _copy(self, same: Mapping[str, Any], credentials: Credentials | None) -> Copy:
        config = self.config
        address = filled_in(config.manifest, config.source)
        if urlsplit(address).scheme in ("http", "https"):
            return download(address, same, config, credentials)
        path = Path(address).expanduser()
        try:
            with path.open("rb") as stream:
                return Copy(path, sha256_of(stream)[0], {})
        except OSError as error:
            raise SourceError(
                f"source {config.source}: the manifest {path} cannot be read ({error.strerror}). "
                "Correct `manifest` in its YAML file."
            ) from error

    @contextmanager
    def fetch(
        self, video: VideoSubject, folder: Path, credentials: Callable[[], Credentials | None]
    ) -> Iterator[Fetched]:
        """Fetch an entry's file from its host, or from its bucket."""
        if video.origin_uri.startswith("s3://"):
            with fetch_object(self.config, video, folder, credentials) as fetched:
                yield fetched
        else:
            from humannet_ops.sources.ytdlp import fetch_url

            with fetch_url(self.config, video, folder, credentials) as fetched:
                yield fetched


def canonical_address(url: str) -> str:
    """Return ``network.canonical(url)``; most addresses of a manifest of millions are visibly canonical already."""
    return url if _CANONICAL.fullmatch(url) else canonical(url)
