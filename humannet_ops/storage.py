"""The object store: a folder or an S3 bucket, content-addressed and write-once.

An object appears whole or not at all: it is written under a temporary name and renamed (folder), or put in one request
or a completed multipart upload (S3). Its key is ``<kind>/<first two hex digits>/<sha256><suffix>``.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import unquote_to_bytes, urlsplit

from humannet_ops.domain.outcome import Reason, SubjectError
from humannet_ops.domain.records import Artifact
from humannet_ops.settings import Settings, settings

_CHUNK = 1 << 20


class StoreError(Exception):
    """The object store did not do what was asked; the message names the address and the cure."""


class ObjectMissing(StoreError):
    """The store answers, and has not this object: something is wrong with what names it, not with the store."""


class Store(Protocol):
    """What stages may do with objects."""

    def put(self, path: Path, *, kind: str, suffix: str, media_type: str) -> Artifact:
        """Store a file's bytes and return where they are. Storing equal bytes again writes nothing."""

    def contains(self, uri: str) -> bool:
        """Say whether the object exists."""

    def local(self, uri: str) -> AbstractContextManager[Path]:
        """Give the object as a readable local path, for the length of a ``with`` block."""

    def objects(self) -> Iterator[str]:
        """Stream the address of every object, in key order."""

    def delete(self, uri: str) -> None:
        """Remove an object; one that is gone already is no error."""


def sha256_of(stream: IO[bytes]) -> tuple[str, int]:
    """Return the hex digest and the number of bytes left in a stream."""
    digest, size = hashlib.sha256(), 0
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def _key(kind: str, sha256: str, suffix: str) -> str:
    return f"{kind}/{sha256[:2]}/{sha256}{suffix}"


class FolderStore:
    """Objects as files below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def put(self, path: Path, *, kind: str, suffix: str, media_type: str) -> Artifact:
        """Copy in under a temporary name while hashing, then rename: no reader ever sees half an object."""
        incoming = self.root / ".incoming"
        incoming.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        descriptor, temporary = tempfile.mkstemp(dir=incoming)
        try:
            with os.fdopen(descriptor, "wb") as target, path.open("rb") as origin:
                while chunk := origin.read(_CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
                    target.write(chunk)
                target.flush()
                os.fsync(target.fileno())
            final = self.root / _key(kind, digest.hexdigest(), suffix)
            if not final.exists():
                final.parent.mkdir(parents=True, exist_ok=True)
                Path(temporary).replace(final)
        finally:
            Path(temporary).unlink(missing_ok=True)
        return Artifact(kind, digest.hexdigest(), final.as_uri(), size, media_type)

    def contains(self, uri: str) -> bool:
        """Say whether the object exists."""
        return self._path(uri).exists()

    @contextmanager
    def local(self, uri: str) -> Iterator[Path]:
        """Give the object's own path; nothing is copied."""
        path = self._path(uri)
        if not path.exists():
            raise ObjectMissing(f"{uri} is not in the store {self.root}: run `humannet doctor --store`")
        yield path

    def objects(self) -> Iterator[str]:
        """Stream the address of every object, in key order."""
        if not self.root.exists():
            return
        for kind in sorted(entry for entry in self.root.iterdir() if not entry.name.startswith(".")):
            for path in sorted(kind.rglob("*")):
                if path.is_file():
                    yield path.as_uri()

    def delete(self, uri: str) -> None:
        """Remove an object; one that is gone already is no error."""
        self._path(uri).unlink(missing_ok=True)

    def _path(self, uri: str) -> Path:
        path = Path(os.fsdecode(unquote_to_bytes(urlsplit(uri).path))).resolve()
        if not path.is_relative_to(self.root):
            raise StoreError(f"{uri} is outside the store {self.root}: check HUMANNET_STORE_URL")
        return path


class S3Store:
    """Objects in an S3 bucket, below an optional prefix."""

    def __init__(self, url: str, endpoint_url: str | None) -> None:
        import boto3

        parts = urlsplit(url)
        self.bucket, self.prefix = parts.netloc, parts.path.strip("/")
        self.client: Any = boto3.session.Session().client("s3", endpoint_url=endpoint_url, config=_patient())

    def put(self, path: Path, *, kind: str, suffix: str, media_type: str) -> Artifact:
        """Upload (multipart where large) unless an object of that content is there."""
        with path.open("rb") as stream:
            sha256, size = sha256_of(stream)
        key = "/".join(filter(None, [self.prefix, _key(kind, sha256, suffix)]))
        uri = f"s3://{self.bucket}/{key}"
        if not self.contains(uri):
            with self._errors(uri):
                self.client.upload_file(str(path), self.bucket, key, ExtraArgs={"ContentType": media_type})
        return Artifact(kind, sha256, uri, size, media_type)

    def contains(self, uri: str) -> bool:
        """Say whether the object exists."""
        from botocore.exceptions import ClientError

        with self._errors(uri):
            try:
                self.client.head_object(Bucket=self.bucket, Key=self._object_key(uri))
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    return False
                raise
        return True

    @contextmanager
    def local(self, uri: str) -> Iterator[Path]:
        """Download to a temporary file that is removed when the block ends."""
        from botocore.exceptions import ClientError

        with tempfile.TemporaryDirectory(prefix="humannet-") as folder:
            path = Path(folder) / uri.rsplit("/", 1)[-1]
            with self._errors(uri):
                try:
                    self.client.download_file(self.bucket, self._object_key(uri), str(path))
                except ClientError as error:
                    if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                        raise
                    raise ObjectMissing(f"{uri} is not in the store: run `humannet doctor --store`") from error
            yield path

    def objects(self) -> Iterator[str]:
        """Stream the address of every object, in key order."""
        with self._errors(self.bucket):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield f"s3://{self.bucket}/{entry['Key']}"

    def delete(self, uri: str) -> None:
        """Remove an object; one that is gone already is no error."""
        with self._errors(uri):
            self.client.delete_object(Bucket=self.bucket, Key=self._object_key(uri))

    def make_bucket(self) -> None:
        """Make the bucket where it is missing."""
        from botocore.exceptions import ClientError

        with self._errors(f"s3://{self.bucket}"):
            try:
                self.client.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                    raise
                self.client.create_bucket(Bucket=self.bucket)

    def _object_key(self, uri: str) -> str:
        return urlsplit(uri).path.lstrip("/")

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (Boto3Error, BotoCoreError, ClientError) as error:
            raise StoreError(
                f"S3 store, {what}: {error}. "
                "Check HUMANNET_STORE_URL, HUMANNET_S3_ENDPOINT_URL and the AWS credentials."
            ) from error


def _patient(**options: Any) -> Any:
    """Return a client's settings that bear with a service that restarts, throttles or answers 500 for a while."""
    from botocore.config import Config

    return Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 7}, **options)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object that somebody else keeps: ``etag`` changes with its content, though it need not be its MD5."""

    key: str
    etag: str
    bytes: int


class BucketReader:
    """Reads other people's S3 buckets. Nothing is ever written there.

    Args:
        endpoint_url: The service; None is AWS.
        access_key: With its secret, who asks; without, whom boto3's own chain finds (environment, files, role).
        secret_key: The secret.
        anonymous: Ask without credentials, as public buckets allow.
    """

    def __init__(
        self,
        endpoint_url: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        *,
        anonymous: bool = False,
    ) -> None:
        import boto3
        from botocore import UNSIGNED

        self.client: Any = boto3.session.Session().client(
            "s3", endpoint_url=endpoint_url, aws_access_key_id=access_key, aws_secret_access_key=secret_key,
            config=_patient(signature_version=UNSIGNED if anonymous else None),
        )  # fmt: skip

    def objects(self, bucket: str, prefix: str) -> Iterator[StoredObject]:
        """Stream what is below a prefix, in key order; keys that end in ``/`` are folders, not objects.

        Raises:
            StoreError: the bucket is not there, or may not be listed.
        """
        with self._errors(f"s3://{bucket}/{prefix}"):
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                for entry in page.get("Contents", ()):
                    if not entry["Key"].endswith("/"):
                        yield StoredObject(entry["Key"], entry["ETag"].strip('"'), entry["Size"])

    @contextmanager
    def opened(self, bucket: str, key: str) -> Iterator[tuple[Mapping[str, Any], Iterator[bytes]]]:
        """Give what S3 says about an object, and its bytes in chunks.

        Raises:
            SubjectError: gone (no such key or bucket) or forbidden.
            StoreError: the service does not answer, or broke off.
        """
        from botocore.exceptions import ClientError

        uri = f"s3://{bucket}/{key}"
        with self._errors(uri):
            try:
                found = self.client.get_object(Bucket=bucket, Key=key)
            except ClientError as error:
                reason = _REFUSALS.get(error.response["ResponseMetadata"]["HTTPStatusCode"])
                if reason is None:
                    raise
                raise SubjectError(reason, f"{uri}: {error.response['Error'].get('Message') or error}") from error
            with closing(found["Body"]) as body:
                yield found, body.iter_chunks(_CHUNK)

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

        try:
            yield
        except (BotoCoreError, ClientError, HTTPClientError) as error:
            raise StoreError(f"{what}: {error}. Check the address, `endpoint_url` and the credentials.") from error


def reader_version() -> str:
    """Return who reads buckets, with its version, for provenance."""
    import boto3

    return f"boto3 {boto3.__version__}"


_REFUSALS = {401: Reason.FORBIDDEN, 403: Reason.FORBIDDEN, 404: Reason.GONE, 410: Reason.GONE}


def make_bucket(config: Settings | None = None) -> None:
    """Make the bucket that the settings name, where it is missing; a folder needs no making.

    Raises:
        StoreError: the store does not answer, or does not let us.
    """
    store = open_store(config)
    if isinstance(store, S3Store):
        store.make_bucket()


def open_store(config: Settings | None = None) -> Store:
    """Open the store that the settings name.

    Raises:
        StoreError: the address is neither a folder nor ``s3://``.
    """
    config = config or settings()
    return _open(config.store, config.s3_endpoint_url)


def answers(config: Settings | None = None) -> bool:
    """Say whether the store answers within some seconds, asked without a key.

    A refusal is an answer, an error of its own (5xx) is none. Of a folder: whether it is there, or can be made.
    """
    config = config or settings()
    parts = urlsplit(config.store)
    if parts.scheme != "s3":
        return Path(parts.path).parent.is_dir()
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    hasty = Config(
        signature_version=UNSIGNED, connect_timeout=3, read_timeout=5, retries={"mode": "standard", "max_attempts": 1}
    )
    try:
        client = boto3.session.Session().client("s3", endpoint_url=config.s3_endpoint_url, config=hasty)
        client.head_bucket(Bucket=parts.netloc)
    except ClientError as error:
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"]) < 500
    except BotoCoreError:
        return False
    return True


@cache
def _open(address: str, endpoint_url: str | None) -> Store:
    scheme = urlsplit(address).scheme
    if scheme == "s3":
        return S3Store(address, endpoint_url)
    if scheme in ("", "file"):
        return FolderStore(Path(urlsplit(address).path))
    raise StoreError(f"HUMANNET_STORE_URL is {address!r}: give a folder or s3://bucket/prefix")


def free_bytes(path: Path) -> int:
    """Return the free space of the file system that holds ``path``, in bytes."""
    return shutil.disk_usage(path).free
