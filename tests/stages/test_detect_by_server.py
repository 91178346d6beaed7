"""detect through a real model server, with the installed models: the same artifacts, and nothing burnt when it dies."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from humannet_ops.catalog import reading
from humannet_ops.domain.outcome import DeviceLost
from humannet_ops.media import sampled_frames
from humannet_ops.stages import detect, execution

DAY = "2026-01-01"
Serve = Callable[[], subprocess.Popen[str]]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget_settings: Callable[[], None]) -> Iterator[Serve]:
    """A function that starts a model server; from the first time on, the settings name its socket."""
    path = tmp_path / "models.sock"
    started: list[subprocess.Popen[str]] = []

    def begin() -> subprocess.Popen[str]:
        monkeypatch.setenv("HUMANNET_MODEL_SOCKET", str(path))
        forget_settings()
        command = [str(Path(sys.executable).with_name("humannet")), "models", "serve"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Serving ")
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def plan_detect(way, corpus: Path, **videos: str) -> str:
    """Bring videos up to detect and return its shard."""
    for name, clip in videos.items():
        shutil.copyfile(corpus / clip, way.videos / f"{name}.mp4")
    way.go(until="deduplicate_near")
    (shard,) = execution.plan("detect", DAY, execution.person())
    return shard["shard_id"]


def one(statement: str) -> tuple[object, ...]:
    (row,) = reading.ask(statement)[1]
    return tuple(row)


OUTCOME = (
    "select o.outcome, o.scores::text, o.model_releases::text, a.uri from outcomes o"
    " join outcome_artifacts a using (stage, subject_id, stage_version) where o.stage = 'detect'"
)


def test_through_the_server_detect_writes_the_same_file(way, corpus: Path, serve: Serve) -> None:
    shard = plan_detect(way, corpus, talk="exo/exo_talking_head_640.mp4")
    assert execution.run_shard(shard, execution.person())["kept"] == 1
    here = one(OUTCOME)
    serve()
    # what a shard has done it does not do again: it is forgotten, to be done once more
    forget(shard)
    assert execution.run_shard(shard, execution.person())["kept"] == 1
    assert one(OUTCOME) == here


def forget(shard: str) -> None:
    from humannet_ops.catalog.connection import connect, transaction

    with connect() as link, transaction(link), link.cursor() as cursor:
        cursor.execute("delete from outcome_artifacts where stage = 'detect'")
        cursor.execute("delete from outcomes where stage = 'detect'")


def test_a_server_that_is_gone_fails_the_task_and_no_subject(
    way, corpus: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = plan_detect(way, corpus, talk="exo/exo_talking_head_640.mp4")
    monkeypatch.setenv("HUMANNET_PATIENCE_S", "0.2")
    server = serve()
    batches = sampled_frames.batches

    def killing(path: Path, size: int) -> Iterator[list[sampled_frames.SampledFrame]]:
        server.kill()
        server.wait()
        yield from batches(path, size)

    with monkeypatch.context() as patch:
        patch.setattr(sampled_frames, "batches", killing)
        # the subject is begun, and the server dies under it
        with pytest.raises(DeviceLost, match=r"no model server answers at .*models\.sock"):
            execution.run_shard(shard, execution.person())
    for _ in range(4):
        # nothing is begun where no server is, however often it is tried
        with pytest.raises(DeviceLost):
            execution.run_shard(shard, execution.person())
    assert one("select attempts from attempts where stage = 'detect'") == (0,)
    assert one("select count(*) from outcomes where stage = 'detect'") == (0,)
    assert one("select count(*), min(error) from stage_runs where stage = 'detect' and status = 'failed'")[0] == 5
    assert way.statuses() == {"talk.mp4": ("pending", None)}
    assert [found["shard_id"] for found in execution.plan("detect", DAY, execution.person())]
    serve()
    assert execution.run_shard(shard, execution.person())["kept"] == 1
    assert one("select attempts from attempts where stage = 'detect'") == (1,)


@pytest.mark.parametrize(("counts", "attempts"), [(False, 0), (True, 1)])
def test_a_device_that_a_subject_may_have_broken_counts_as_an_attempt(
    way, corpus: Path, monkeypatch: pytest.MonkeyPatch, counts: bool, attempts: int
) -> None:
    shard = plan_detect(way, corpus, talk="exo/exo_talking_head_640.mp4")

    def lost(*_: object) -> None:
        raise DeviceLost("cuda:0 is lost", counts=counts)

    monkeypatch.setattr(detect.Detect, "process", lost)
    with pytest.raises(DeviceLost, match="cuda:0 is lost"):
        execution.run_shard(shard, execution.person())
    assert one("select attempts from attempts where stage = 'detect'") == (attempts,)
