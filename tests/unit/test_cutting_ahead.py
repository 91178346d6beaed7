"""Clips that are cut ahead of their turns are those that are cut in their turns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from broken_videos import moving_video

from humannet_ops.catalog.planning import Work
from humannet_ops.domain.outcome import SubjectError
from humannet_ops.domain.records import ClipSubject, VideoSubject
from humannet_ops.settings import settings
from humannet_ops.stages.cut import RUN_CLIPS, Cut, runs
from humannet_ops.stages.execution import _ahead
from humannet_ops.stages.protocol import Context
from humannet_ops.storage import FolderStore

SECONDS = 10


@pytest.fixture
def context(tmp_path: Path) -> Context:
    scratch = tmp_path / "work" / "shard"
    scratch.mkdir(parents=True)
    return Context(settings(), FolderStore(tmp_path / "store"), None, scratch)


@pytest.fixture
def clips(tmp_path: Path, context: Context) -> list[ClipSubject]:
    """A clip a second: two runs, and a clip of another video."""
    subjects = []
    for name, seconds in (("a", SECONDS), ("b", 1)):
        path = moving_video(tmp_path, seconds, size=(96, 72), name=f"{name}.mp4")
        stored = context.store.put(path, kind="video", suffix=".mp4", media_type="video/mp4")
        video = VideoSubject(name, "test", path.as_uri(), inputs={"video": stored})
        subjects += [ClipSubject(f"{name}{s}", video, 0, 30 * s, 30 * s + 30, s, s + 1) for s in range(seconds)]
    return subjects


def made(stage: Cut, clips: list[ClipSubject]) -> list[str]:
    return [stage.process(clip).artifacts[0].sha256 for clip in clips]


def test_the_same_clips_whether_ahead_or_not(context: Context, clips: list[ClipSubject]) -> None:
    stage = Cut(context)
    expected = made(stage, clips)
    with stage.ahead(clips):
        assert made(stage, clips) == expected
        # asked again, after it had to wait
        assert made(stage, clips[:1]) == expected[:1]
    assert len(set(expected)) == len(clips)
    assert [path.name for path in context.scratch.parent.iterdir()] == ["shard"]


def test_runs_go_forwards_through_one_video(clips: list[ClipSubject]) -> None:
    first, second, other = runs(clips)
    assert (len(first), len(second), len(other)) == (RUN_CLIPS, SECONDS - RUN_CLIPS, 1)
    assert [len(run) for run in runs(clips[1::-1])] == [1, 1]


def test_what_is_wrong_with_a_clip_is_raised_at_its_turn(context: Context, clips: list[ClipSubject]) -> None:
    clips[1] = replace(clips[1], start_s=0.2 + SECONDS, end_s=1.0 + SECONDS)
    stage = Cut(context)
    with stage.ahead(clips):
        stage.process(clips[0])
        with pytest.raises(SubjectError, match="no frame between"):
            stage.process(clips[1])
        stage.process(clips[2])


def test_nothing_is_begun_where_the_turns_never_come(context: Context, clips: list[ClipSubject]) -> None:
    stage = Cut(context)
    with stage.ahead(clips):
        stage.process(clips[0])
    assert [path.name for path in context.scratch.parent.iterdir()] == ["shard"]


def test_one_by_one_once_a_try_was_counted(context: Context, clips: list[ClipSubject]) -> None:
    stage = Cut(context)
    for attempts, begun in ((0, True), (1, False)):
        with _ahead(stage, [Work(clips[0], 0), Work(clips[1], attempts)]):
            assert (stage._ahead is not None) == begun
