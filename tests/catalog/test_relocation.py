"""A corpus that is moved to another store is whole there, whatever ends the move on its way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer
from test_takedowns import DAY, World, ask, item, objects, take_down
from typer.testing import CliRunner

from humannet_ops.catalog import planning, reading, takedowns
from humannet_ops.catalog.connection import connect
from humannet_ops.cli import app
from humannet_ops.domain.records import Artifact
from humannet_ops.settings import settings
from humannet_ops.stages import consistency, relocation
from humannet_ops.stages.removal import remove_objects
from humannet_ops.storage import FolderStore, StoreError, open_store

VIDEOS = ("one", "two", "three")


@pytest.fixture
def world(home: Path) -> World:
    made = World()
    made.crawl(*(item(name) for name in VIDEOS))
    made.go()
    return made


@pytest.fixture
def target(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "new store")


def move(target: str, *options: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["store", "move", target, *options])
    return done.exit_code, done.stdout + done.stderr


def keys(uris: list[str]) -> list[str]:
    return sorted("/".join(uri.split("/")[-3:]) for uri in uris)


def path_of(uri: str) -> Path:
    with open_store().local(uri) as path:
        return path


def test_from_a_folder_to_a_folder(world: World, target: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    before = objects()
    files = {uri: path_of(uri).read_bytes() for uri in before}
    code, said = move(str(target.root))
    assert code == 0
    assert f"Moved and verified: {len(before)} objects" in said
    assert f"Set HUMANNET_STORE_URL={target.root}" in said
    moved = list(target.objects())
    assert sorted(reading.artifact_uris()) == moved
    assert keys(moved) == keys(before)
    # whatever names an object names the copy
    named = "select uri from outcome_artifacts union select uri from annotations union select artifact_uri from v_clips"
    assert set(ask(named)) == set(moved)
    assert sorted(path_of_bytes(target)) == sorted(files.values())
    # the old store is as it was, and the move asks for nothing twice
    assert objects() == before
    assert "Moved and verified: 0 objects" in move(str(target.root))[1]

    monkeypatch.setenv("HUMANNET_STORE_URL", str(target.root))
    settings.cache_clear()
    assert list(consistency.lost()) == list(consistency.orphans()) == []
    world.store = open_store()
    world.crawl(item("four"))
    world.go()
    assert ask("select count(*) from v_clips where status = 'kept'") == [8]
    assert list(consistency.lost()) == list(consistency.orphans()) == []


def path_of_bytes(store: FolderStore) -> Iterator[bytes]:
    for uri in store.objects():
        with store.local(uri) as path:
            yield path.read_bytes()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The endpoint of an S3 server that has the bucket ``lab``."""
    import boto3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    boto3.client("s3", endpoint_url=f"http://{host}:{port}").create_bucket(Bucket="lab")
    yield f"http://{host}:{port}"
    server.stop()


def test_from_a_folder_to_s3_and_back(
    world: World, bucket: str, target: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = objects()
    code, said = move("s3://lab/corpus", "--endpoint", bucket)
    assert code == 0, said
    uris = list(reading.artifact_uris())
    assert all(uri.startswith("s3://lab/corpus/") for uri in uris)
    assert keys(uris) == keys(before)
    with pytest.raises(StoreError, match="let `humannet store move` end"):
        list(consistency.lost())
    with monkeypatch.context() as there:
        there.setenv("HUMANNET_STORE_URL", "s3://lab/corpus")
        there.setenv("HUMANNET_S3_ENDPOINT_URL", bucket)
        settings.cache_clear()
        assert list(consistency.lost()) == list(consistency.orphans()) == []
        assert "to itself" in move("s3://lab/corpus/")[1]
        assert move(str(target.root))[0] == 0
    settings.cache_clear()
    assert keys(list(reading.artifact_uris())) == keys(before) == keys(list(target.objects()))


def test_a_move_that_is_killed_goes_on_where_it_was(
    world: World, target: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relocation, "_BATCH", 5)
    total = len(objects())

    def killed(_so_far: relocation.Move) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        relocation.move(open_store(), target, killed)
    there = [uri for uri in reading.artifact_uris() if uri.startswith(relocation.base(target))]
    assert len(there) == 5
    # the settings may name the new store already: then the old one is named
    assert move(str(target.root), "--from", settings().store)[0] == 0
    assert sorted(reading.artifact_uris()) == list(target.objects())
    assert len(list(target.objects())) == total


def test_what_is_lost_or_damaged_stays_and_is_named(
    world: World, target: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, damaged, *_ = objects()
    total = len(objects())
    path_of(lost).unlink()
    path_of(damaged).write_bytes(b"rotten")
    code, said = move(str(target.root))
    assert code == 1
    assert f"Not moved: {lost}: the old store has it no more" in said
    assert f"Not moved: {damaged}: the old store holds other bytes" in said
    assert "2 stay where they were. Call it again; --forget-lost gives up" in said
    assert {uri for uri in reading.artifact_uris() if not uri.startswith(relocation.base(target))} == {lost, damaged}
    assert len(list(target.objects())) == len(set(reading.artifact_uris())) - 2
    # where nothing brings them back, their work is done again: into the new store
    code, said = move(str(target.root), "--forget-lost")
    assert code == 0
    assert "outcomes that stored what is lost are due again" in said
    monkeypatch.setenv("HUMANNET_STORE_URL", str(target.root))
    settings.cache_clear()
    assert planning.due_partitions(3) == [DAY]
    world.store = open_store()
    world.go()
    assert planning.due_partitions(3) == []
    assert sorted(reading.artifact_uris()) == list(target.objects())
    assert len(list(target.objects())) == total


def test_a_new_store_that_gives_other_bytes_back_is_not_believed(world: World, target: FolderStore) -> None:
    uri = objects()[0]
    wrong = target.root / Path(uri).relative_to(relocation.base(open_store()).rstrip("/"))
    wrong.parent.mkdir(parents=True)
    wrong.write_bytes(b"half an upl")
    code, said = move(str(target.root))
    assert code == 1
    assert f"Not moved: {uri}: the new store gives other bytes back" in said
    assert move(str(target.root))[0] == 0
    assert sorted(reading.artifact_uris()) == list(target.objects())


def test_what_is_taken_down_does_not_come_along(world: World, target: FolderStore) -> None:
    take_down("video", world.id_of("one"))
    before = objects()
    with connect() as link:
        takedowns.clear(link, 10)
    code, said = move(str(target.root))
    assert code == 1
    assert "objects of takedowns wait to be removed from the old store" in said
    assert list(target.objects()) == []
    remove_objects()
    assert move(str(target.root))[0] == 0
    assert len(list(target.objects())) == len(objects()) < len(before)


class Slow(FolderStore):
    """A store into which so slowly is written that a takedown ends meanwhile."""

    meanwhile: str | None = None

    def put(self, path: Path, *, kind: str, suffix: str, media_type: str) -> Artifact:
        stored = super().put(path, kind=kind, suffix=suffix, media_type=media_type)
        if (video := self.meanwhile) and kind == "clip":
            self.meanwhile = None
            take_down("video", video)
            remove_objects()
        return stored


def test_what_is_taken_down_meanwhile_is_removed_from_the_new_store_too(world: World, target: FolderStore) -> None:
    slow = Slow(target.root)
    slow.meanwhile = world.id_of("one")
    relocation.move(open_store(), slow)
    assert "one" not in ask("select title from v_videos")
    assert sorted(reading.artifact_uris()) == list(target.objects())
