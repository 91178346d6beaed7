"""The objects below a prefix of an S3 bucket."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from humannet_ops.catalog.discovery import Entry
from humannet_ops.domain.outcome import Reason, SubjectError
from humannet_ops.domain.records import VideoSubject
from humannet_ops.sources.config import Network, SourceError
from humannet_ops.sources.folder import is_wanted
from humannet_ops.sources.protocol import Crawl, Credentials, Fetched, Source
from humannet_ops.sources.visiting import Visit
from humannet_ops.storage import BucketReader, StoreError, reader_version


class S3Network(Network):
    """What every source says that reads S3.

    Attributes:
        endpoint_url: The S3 service, where it is not AWS.
        anonymous: Whether it is read without credentials, as public buckets are.
    """

    endpoint_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+/?$")] | None = None
    anonymous: bool = False


class S3PrefixConfig(S3Network):
    """Video files in an S3 bucket. Keys come from ``connection``, or from where boto3 finds them.

    Attributes:
        uri: Where they are: ``s3://bucket/prefix``.
        include: Globs of the keys below the prefix that are taken.
        exclude: Globs of those that are not.
    """

    kind: Literal["s3_prefix"]
    uri: Annotated[str, Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?$")]
    include: Sequence[str] = ("*",)
    exclude: Sequence[str] = ()


class S3PrefixSource(Source[S3PrefixConfig]):
    """Objects below a prefix."""

    def address(self) -> str:
        """Return the prefix."""
        return self.config.uri

    def entries(self, crawl: Crawl) -> Iterator[Entry]:
        """Stream every object that may be video. The signature is ETag and size."""
        bucket, prefix = bucket_and_key(self.config.uri)
        try:
            for found in reader(self.config, crawl.credentials).objects(bucket, prefix):
                relative = found.key.removeprefix(prefix).lstrip("/") or found.key
                if not is_wanted(relative, self.config.include, self.config.exclude):
                    continue
                uri = f"s3://{bucket}/{found.key}"
                yield Entry(
                    uri, f"{found.etag}:{found.bytes}", relative, self.config.licence_of(relative),
                    canonical_uri=canonical(uri, self.config.endpoint_url),
                )  # fmt: skip
        except StoreError as error:
            raise SourceError(f"source {self.config.source}: {error}") from error
        crawl.complete = True

    @contextmanager
    def fetch(
        self, video: VideoSubject, folder: Path, credentials: Callable[[], Credentials | None]
    ) -> Iterator[Fetched]:
        """Download the object."""
        with fetch_object(self.config, video, folder, credentials) as fetched:
            yield fetched


@contextmanager
def fetch_object(
    config: S3Network, video: VideoSubject, folder: Path, credentials: Callable[[], Credentials | None]
) -> Iterator[Fetched]:
    """Download the object of an ``s3://`` address into ``folder``, for the length of a ``with`` block.

    Raises:
        SubjectError: gone, forbidden, too_large, timed_out, unreachable.
        Postponed: it must wait: for its host, the day's budget, quiet hours, disk space.
    """
    folder.mkdir(parents=True, exist_ok=True)
    bucket, key = bucket_and_key(video.origin_uri)
    path = folder / ("object" + Path(key).suffix[:16])
    try:
        with Visit(config, folder) as visit:
            visit.begin_item()
            try:
                visit.arrive(config.endpoint_url or f"https://{bucket}.s3.amazonaws.com")
                metadata = _download(visit, reader(config, credentials()), bucket, key, path)
            except StoreError as error:
                raise SubjectError(Reason.UNREACHABLE, str(error)) from error
            visit.leave_hosts()
            yield Fetched(path, video.origin_uri, reader_version(), metadata)
            visit.items = 1
    finally:
        shutil.rmtree(folder)


def _download(visit: Visit, service: BucketReader, bucket: str, key: str, path: Path) -> dict[str, Any]:
    with service.opened(bucket, key) as (said, chunks):
        size = said["ContentLength"]
        if size > visit.config.max_bytes:
            most = visit.config.max_bytes.human_readable()
            raise SubjectError(Reason.TOO_LARGE, f"s3://{bucket}/{key} has {size} bytes, more than max_bytes ({most})")
        visit.expect(size)
        with path.open("wb") as target:
            for chunk in chunks:
                target.write(chunk)
                visit.count(len(chunk))
    return {
        "etag": said["ETag"].strip('"'), "bytes": size, "last_modified": said.get("LastModified"),
        "content_type": said.get("ContentType"), "version_id": said.get("VersionId"),
        "metadata": said.get("Metadata", {}),
    }  # fmt: skip


def reader(config: S3Network, credentials: Credentials | None) -> BucketReader:
    """Open the service that a source names, as whom its connection says."""
    login, password = (credentials.login, credentials.password) if credentials else (None, None)
    return BucketReader(config.endpoint_url, login, password, anonymous=config.anonymous)


def bucket_and_key(uri: str) -> tuple[str, str]:
    """Return the bucket and the key of an ``s3://`` address. A key may hold any character, ``?`` and ``#`` too."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def canonical(uri: str, endpoint_url: str | None) -> str:
    """Return an address that names an object among all services: ``s3://bucket/key`` is another one elsewhere."""
    if endpoint_url is None:
        return uri
    return f"{urlsplit(endpoint_url).netloc}/{uri.removeprefix('s3://')}"
