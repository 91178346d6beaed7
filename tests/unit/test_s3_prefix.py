"""A bucket as a source, from an S3 server on loopback."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from humannet_ops.catalog.discovery import Entry
from humannet_ops.domain.outcome import Postponed, Reason, SubjectError
from humannet_ops.domain.records import VideoSubject
from humannet_ops.sources.config import SourceError
from humannet_ops.sources.http_manifest import HttpManifestConfig, HttpManifestSource
from humannet_ops.sources.protocol import Crawl, Credentials, Window
from humannet_ops.sources.s3_prefix import S3PrefixConfig, S3PrefixSource, canonical

KEYS = Credentials(login="testing", password="testing")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    """A bucket of its own; the environment holds no keys, so only the connection's can have been used."""
    import boto3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    session = boto3.session.Session("testing", "testing")
    name = f"bucket-{abs(hash(request.node.name))}"
    made = session.resource("s3", endpoint_url=endpoint).Bucket(name)
    made.create()
    return made


def source(bucket: Any, endpoint: str, uri: str = "raw/", **fields: Any) -> S3PrefixSource:
    return S3PrefixSource(
        S3PrefixConfig.model_validate(
            {
                "source": "mine", "kind": "s3_prefix", "description": "d", "uri": f"s3://{bucket.name}/{uri}",
                "endpoint_url": endpoint, **fields,
            }
        )
    )  # fmt: skip


def listed(found: S3PrefixSource) -> tuple[list[Entry], Crawl]:
    crawl = Crawl("2026-01-01", Window(None, datetime.date(2026, 1, 1)), credentials=KEYS)
    return list(found.entries(crawl)), crawl


def video(uri: str) -> VideoSubject:
    return VideoSubject(
        video_id="v1", source="mine", origin_uri=uri, signature="", title=None, license=None, sha256=None,
        duration_s=None, width=None, height=None, fps=None,
    )  # fmt: skip


def test_objects_below_the_prefix_are_offered_with_etag_and_size(bucket: Any, endpoint: str) -> None:
    for key in ("raw/a.mp4", "raw/deep/b c?#.mkv", "raw/notes.txt", "raw/.hidden.mp4", "raw/folder/", "other/x.mp4"):
        bucket.put_object(Key=key, Body=b"x" * len(key))
    entries, crawl = listed(source(bucket, endpoint, licenses=[{"glob": "deep/*", "license": "CC0"}]))
    assert [(entry.origin_uri, entry.title, entry.license) for entry in entries] == [
        (f"s3://{bucket.name}/raw/a.mp4", "a.mp4", None),
        (f"s3://{bucket.name}/raw/deep/b c?#.mkv", "deep/b c?#.mkv", "CC0"),
    ]
    etag = bucket.Object("raw/a.mp4").e_tag.strip('"')
    assert entries[0].signature == f"{etag}:9"
    assert crawl.complete
    bucket.put_object(Key="raw/a.mp4", Body=b"changed")
    assert listed(source(bucket, endpoint))[0][0].signature != entries[0].signature


def test_more_than_a_page_is_listed(bucket: Any, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    for number in range(10):
        bucket.put_object(Key=f"raw/{number}.mp4", Body=b"")
    page = bucket.meta.client.list_objects_v2(Bucket=bucket.name)
    assert (page["KeyCount"], page["IsTruncated"]) == (3, True)
    assert len(listed(source(bucket, endpoint, exclude=["[05].mp4"]))[0]) == 8


@pytest.mark.usefixtures("home")
def test_an_object_is_fetched_with_what_s3_says_and_removed_afterwards(
    bucket: Any, endpoint: str, tmp_path: Path
) -> None:
    body = bytes(range(256)) * 20_000
    bucket.put_object(Key="raw/b c?#.mp4", Body=body, ContentType="video/mp4", Metadata={"camera": "left"})
    (entry,), _ = listed(source(bucket, endpoint))
    with source(bucket, endpoint).fetch(video(entry.origin_uri), tmp_path / "v1", lambda: KEYS) as fetched:
        assert fetched.path.read_bytes() == body
        assert fetched.path.suffix == ".mp4"
        assert fetched.client.startswith("boto3 1.")
        assert fetched.metadata["metadata"] == {"camera": "left"}
        assert f"{fetched.metadata['etag']}:{fetched.metadata['bytes']}" == entry.signature
    assert not (tmp_path / "v1").exists()


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("name", ["", "nobucket-here"])
def test_what_is_not_there_is_gone(bucket: Any, endpoint: str, tmp_path: Path, name: str) -> None:
    address = f"s3://{name or bucket.name}/none.mp4"
    with (
        pytest.raises(SubjectError) as error,
        source(bucket, endpoint).fetch(video(address), tmp_path / "v1", lambda: KEYS),
    ):
        pass
    assert error.value.reason is Reason.GONE


@pytest.mark.usefixtures("home")
def test_a_file_that_is_too_large_or_too_slow_is_not_kept(bucket: Any, endpoint: str, tmp_path: Path) -> None:
    bucket.put_object(Key="raw/a.mp4", Body=b"x" * 3_000_000)
    for fields, reason in (({"max_bytes": "1 MB"}, Reason.TOO_LARGE), ({"max_seconds": 1e-9}, Reason.TIMED_OUT)):
        found = source(bucket, endpoint, **fields)
        with (
            pytest.raises(SubjectError) as error,
            found.fetch(video(f"s3://{bucket.name}/raw/a.mp4"), tmp_path / "v1", lambda: KEYS),
        ):
            pass
        assert error.value.reason is reason
        assert not (tmp_path / "v1").exists()


@pytest.mark.usefixtures("home")
def test_what_s3_refuses_is_forbidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusal(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            pass

    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusal)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    fields = {"source": "mine", "kind": "s3_prefix", "description": "d", "uri": "s3://bucket/raw"}
    config = S3PrefixConfig.model_validate({**fields, "endpoint_url": f"http://127.0.0.1:{server.server_address[1]}"})
    try:
        with (
            pytest.raises(SubjectError, match="Access Denied") as error,
            S3PrefixSource(config).fetch(video("s3://bucket/raw/a.mp4"), tmp_path / "v1", lambda: KEYS),
        ):
            pass
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert error.value.reason is Reason.FORBIDDEN


def test_a_bucket_that_cannot_be_listed_is_a_fault_of_the_source(bucket: Any, endpoint: str) -> None:
    absent = source(bucket, endpoint).config.model_copy(update={"uri": "s3://nobucket-here/"})
    with pytest.raises(SourceError, match=r"source mine: s3://nobucket-here/: .*NoSuchBucket.*`endpoint_url`"):
        listed(S3PrefixSource(absent))


@pytest.mark.usefixtures("home")
def test_without_keys_the_error_names_the_cure(bucket: Any, endpoint: str, tmp_path: Path) -> None:
    with (
        pytest.raises(SubjectError, match="Unable to locate credentials"),
        source(bucket, endpoint).fetch(video(f"s3://{bucket.name}/a.mp4"), tmp_path / "v1", lambda: None),
    ):
        pass


@pytest.mark.usefixtures("home")
def test_what_is_over_the_days_budget_waits_for_the_next(bucket: Any, endpoint: str, tmp_path: Path) -> None:
    bucket.put_object(Key="raw/a.mp4", Body=b"video")
    found = source(bucket, endpoint, budget={"items": 1})
    with found.fetch(video(f"s3://{bucket.name}/raw/a.mp4"), tmp_path / "v1", lambda: KEYS):
        pass
    with (
        pytest.raises(Postponed) as wait,
        found.fetch(video(f"s3://{bucket.name}/raw/a.mp4"), tmp_path / "v1", lambda: KEYS),
    ):
        pass
    assert wait.value.cause == "budget"


@pytest.mark.usefixtures("home")
def test_a_manifest_may_name_objects(bucket: Any, endpoint: str, tmp_path: Path) -> None:
    bucket.put_object(Key="full/1.mp4", Body=b"video")
    manifest = HttpManifestSource(
        HttpManifestConfig.model_validate(
            {
                "source": "mine", "kind": "http_manifest", "description": "d", "manifest": "/none",
                "endpoint_url": endpoint,
            }
        )
    )  # fmt: skip
    with manifest.fetch(video(f"s3://{bucket.name}/full/1.mp4"), tmp_path / "v1", lambda: KEYS) as fetched:
        assert fetched.path.read_bytes() == b"video"


def test_the_same_address_at_another_service_is_another_object() -> None:
    assert canonical("s3://b/k", None) == "s3://b/k"
    assert canonical("s3://b/k", "https://minio.test:9000/") == "minio.test:9000/b/k"
