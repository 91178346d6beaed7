"""The same promises from a folder and from an S3 server on loopback."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from humannet_ops.settings import Settings
from humannet_ops.storage import FolderStore, Store, StoreError, answers, open_store


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    if request.param == "folder":
        return open_store(Settings(store_url=str(tmp_path / "store")))
    endpoint = request.getfixturevalue("s3_endpoint")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    import boto3

    bucket = f"bucket-{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]}"
    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=bucket)
    return open_store(Settings(store_url=f"s3://{bucket}/corpus", s3_endpoint_url=endpoint))


def put(store: Store, path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return store.put(path, kind="clip", suffix=".mp4", media_type="video/mp4").uri


def test_what_is_put_comes_back_under_its_hash(store: Store, tmp_path: Path) -> None:
    uri = put(store, tmp_path / "a", b"video" * 100_000)
    digest = hashlib.sha256(b"video" * 100_000).hexdigest()
    assert uri.endswith(f"clip/{digest[:2]}/{digest}.mp4")
    with store.local(uri) as path:
        assert path.read_bytes() == b"video" * 100_000
    assert store.contains(uri)


def test_equal_bytes_are_one_object(store: Store, tmp_path: Path) -> None:
    uris = {put(store, tmp_path / name, b"same") for name in "abc"}
    assert list(store.objects()) == list(uris)


def test_a_deleted_object_is_gone_and_deleting_again_is_no_error(store: Store, tmp_path: Path) -> None:
    uri = put(store, tmp_path / "a", b"x")
    store.delete(uri)
    store.delete(uri)
    assert not store.contains(uri)
    with pytest.raises(StoreError), store.local(uri):
        pass


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    with pytest.raises(FileNotFoundError):
        store.put(tmp_path / "missing", kind="clip", suffix=".mp4", media_type="video/mp4")
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


def test_addresses_outside_the_folder_are_refused(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    (tmp_path / "secret").write_text("x")
    for uri in ((tmp_path / "secret").as_uri(), f"file://{tmp_path}/store/../secret"):
        with pytest.raises(StoreError, match="outside the store"), store.local(uri):
            pass


def test_an_unreachable_s3_says_what_to_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_MAX_ATTEMPTS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    store = open_store(Settings(store_url="s3://nowhere", s3_endpoint_url="http://127.0.0.1:9"))
    with pytest.raises(StoreError, match="HUMANNET_S3_ENDPOINT_URL"):
        put(store, tmp_path / "a", b"x")


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(StoreError, match="give a folder or s3"):
        open_store(Settings(store_url="gs://bucket"))


class Broken(BaseHTTPRequestHandler):
    """A server whose answers are all errors of its own."""

    def do_HEAD(self) -> None:
        self.send_response(503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_store_answers_also_where_it_refuses(s3_endpoint: str, tmp_path: Path, monkeypatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert answers(Settings(store_url="s3://no-such-bucket/x", s3_endpoint_url=s3_endpoint))
    assert not answers(Settings(store_url="s3://bucket", s3_endpoint_url="http://127.0.0.1:1"))
    with ThreadingHTTPServer(("127.0.0.1", 0), Broken) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert not answers(Settings(store_url="s3://b", s3_endpoint_url=f"http://127.0.0.1:{server.server_port}"))
        server.shutdown()
    assert answers(Settings(store_url=str(tmp_path / "not-made-yet")))
    assert not answers(Settings(store_url=str(tmp_path / "gone" / "store")))
