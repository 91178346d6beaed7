"""Promises 1 to 3, kept by the real stages on real video and a real catalog."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from edits import edited

from humannet_ops.catalog import reading
from humannet_ops.settings import settings
from humannet_ops.stages import execution, pose_hands, registry
from humannet_ops.storage import FolderStore, StoreError, open_store

CLIPS = {
    "walk.mp4": "exo/exo_sports2d_jump_walk_vp9.mp4",
    "cars.mp4": "nonhuman/non_cars_topdown.mp4",
    "stove.mp4": "ego/ego_cooking_stove_224.mp4",
}


@pytest.fixture
def filled(way, corpus: Path):
    """Three real videos: third person, first person, no person."""
    for name, clip in CLIPS.items():
        shutil.copyfile(corpus / clip, way.videos / name)
    return way


def test_the_whole_way_then_nothing_twice(filled, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="humannet_ops.media.decode")
    first = filled.go()
    assert filled.statuses() == {
        "walk.mp4": ("kept", None),
        "stove.mp4": ("kept", None),
        "cars.mp4": ("rejected", "no_person"),
    }
    # one decode pass a video before cutting
    passes = Counter(record.getMessage() for record in caplog.records if "decode pass" in record.getMessage())
    assert len(passes) == 3
    assert set(passes.values()) == {1}
    assert first["fetch kept"] == first["analyse kept"] == 3
    assert first["decide kept"] == first["cut kept"] == first["track_people kept"] > 0
    before = list(open_store().objects())
    assert filled.go() == Counter()
    assert list(open_store().objects()) == before
    viewpoints = dict(reading.ask("select v.title, viewpoint from v_clips c join videos v using (video_id)"
                                  " where status = 'kept'")[1])  # fmt: skip
    assert viewpoints == {"walk.mp4": "exo", "stove.mp4": "ego"}
    # every artifact has its object, every object its artifact
    assert sorted(reading.artifact_uris()) == sorted(before)


def test_equal_files_and_edited_copies_name_their_survivor(way, corpus: Path) -> None:
    original = way.videos / "a_original.mp4"
    shutil.copyfile(corpus / "exo/exo_basketball_426x240.mp4", original)
    shutil.copyfile(original, way.videos / "b_equal.mp4")
    edited(original, way.videos / "c_mirrored.mp4", "-vf", "hflip,scale=320:-2", "-crf", "30")
    way.go(until="deduplicate_near")
    assert way.statuses() == {
        "a_original.mp4": ("pending", None),
        "b_equal.mp4": ("rejected", "duplicate"),
        "c_mirrored.mp4": ("rejected", "near_duplicate"),
    }
    survivors = {row["title"]: row["video_id"] for row in reading.rows("videos", source=None)}
    named = set(reading.ask("select detail ->> 'survivor' from outcomes where outcome = 'rejected'")[1])
    assert named == {(survivors["a_original.mp4"],)}


def test_a_better_copy_takes_the_survivors_place(way, corpus: Path) -> None:
    better = corpus / "exo/exo_basketball_426x240.mp4"
    edited(better, way.videos / "small.mp4", "-vf", "scale=240:-2", "-t", "8")
    way.go(until="deduplicate_near")
    assert way.statuses() == {"small.mp4": ("pending", None)}
    shutil.copyfile(better, way.videos / "large.mp4")
    way.go(key="2026-01-02", until="deduplicate_near")
    assert way.statuses() == {"small.mp4": ("rejected", "near_duplicate"), "large.mp4": ("pending", None)}
    assert set(reading.ask("select status, reason from v_clips c join videos using (video_id)"
                           " where title = 'small.mp4'")[1]) == {("rejected", "near_duplicate")}  # fmt: skip


def test_two_cameras_of_one_take_are_two_videos(way, corpus: Path) -> None:
    for camera in ("01", "03"):
        shutil.copyfile(corpus / f"exo/exo_balance_cam{camera}_portrait_60fps.mp4", way.videos / f"{camera}.mp4")
    way.go(until="deduplicate_near")
    assert way.statuses() == {"01.mp4": ("pending", None), "03.mp4": ("pending", None)}


def test_changed_content_under_an_old_name_is_a_new_version(way, corpus: Path) -> None:
    video = way.videos / "a.mp4"
    shutil.copyfile(corpus / "exo/exo_talking_head_640.mp4", video)
    assert way.go(until="fetch") == {"fetch kept": 1}
    os.utime(video, (1, 1))
    assert way.go(until="fetch") == {}
    shutil.copyfile(corpus / "exo/exo_carphone_176x144.mp4", video)
    assert way.go(key="2026-01-02", until="fetch") == {"fetch kept": 1} or way.go(key="2026-01-02", until="fetch") == {}
    assert list(reading.ask("select version, width from videos order by version")[1]) == [(1, 640), (2, 193)]


class Unavailable(FolderStore):
    """A store that answers nothing: what S3 is while it is down."""

    def put(self, *arguments, **named):
        raise StoreError("the store does not answer")


def test_a_store_that_is_down_fails_the_task_and_no_subject_however_often(way, corpus: Path, monkeypatch) -> None:
    shutil.copyfile(corpus / "exo/exo_talking_head_640.mp4", way.videos / "a.mp4")
    with monkeypatch.context() as down:
        down.setattr(execution, "open_store", lambda: Unavailable(settings().home / "store"))
        for _ in range(settings().max_attempts + 1):
            with pytest.raises(StoreError, match="does not answer"):
                way.go(until="fetch")
    assert way.statuses() == {"a.mp4": ("pending", None)}
    assert way.go(until="fetch") == {"fetch kept": 1}


def test_an_object_that_is_gone_fails_its_subject_and_spares_the_shard(way, corpus: Path) -> None:
    for name, clip in (("a.mp4", "exo/exo_talking_head_640.mp4"), ("b.mp4", "exo/exo_carphone_176x144.mp4")):
        shutil.copyfile(corpus / clip, way.videos / name)
    way.go(until="deduplicate_exact")
    (uri,) = reading.ask(
        "select a.uri from outcome_artifacts a join videos v on v.video_id = a.subject_id "
        "where a.stage = 'fetch' and v.title = 'a.mp4' and a.kind = 'video'"
    )[1]
    open_store().delete(uri[0])
    way.go(until="analyse")
    assert way.statuses()["a.mp4"] == ("failed", "object_missing")
    assert way.statuses()["b.mp4"][0] == "pending"


def test_a_subject_that_kills_its_worker_is_quarantined_and_its_shard_goes_on(way, corpus: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        shutil.copyfile(corpus / "exo/exo_talking_head_640.mp4", way.videos / name)
    execution.discover("videos", "2026-01-01", execution.person())
    (shard,) = execution.plan("fetch", "2026-01-01", execution.person())
    for _ in range(settings().max_attempts):
        # a real process that really dies at the first subject, as a decoder's crash would end it
        code = (
            "import os, signal; from humannet_ops.stages import execution, fetch\n"
            "fetch.Fetch.process = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
            f"execution.run_shard({shard['shard_id']!r}, execution.person())"
        )
        ended = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True)
        assert ended.returncode == -9, ended.stderr.decode()
    assert execution.run_shard(shard["shard_id"], execution.person()) == {
        "kept": 1, "rejected": 0, "failed": 1, "skipped": 0, "postponed": 0,
    }  # fmt: skip
    assert sorted(way.statuses().values()) == [("failed", "crashed"), ("pending", None)]


def test_an_outdated_plan_is_refused(way, corpus: Path, monkeypatch, forget_settings) -> None:
    shutil.copyfile(corpus / "exo/exo_talking_head_640.mp4", way.videos / "a.mp4")
    execution.discover("videos", "2026-01-01", execution.person())
    (shard,) = execution.plan("fetch", "2026-01-01", execution.person())
    monkeypatch.setenv("HUMANNET_MAX_PIXELS", "1000000")
    forget_settings()
    with pytest.raises(execution.PlanOutdatedError, match="Run the plan task again"):
        execution.run_shard(shard["shard_id"], execution.person())


def test_a_lower_version_of_one_stage_re_runs_what_reads_it_only(filled, monkeypatch, forget_settings) -> None:
    filled.go()
    monkeypatch.setenv("HUMANNET_POLICY_FILE", str(stricter_policy(filled.videos.parent)))
    forget_settings()
    again = filled.go()
    assert {name.split()[0] for name in again} <= {"decide", *registry.STAGES[registry.STAGES.index("cut") :]}
    assert again["decide kept"] + again["decide rejected"] == sum(
        1 for _ in reading.ask("select clip_id from v_clips")[1]
    )
    # what was encoded stays encoded: the decision only opens the gate
    assert again["cut kept"] == 0


def test_a_raised_stage_and_what_reads_it_run_again_and_nothing_else(filled, monkeypatch, forget_settings) -> None:
    filled.go()
    before = {name: registry.versions()[name] for name in registry.STAGES}
    raised = replace(pose_hands.SPEC, revision=pose_hands.SPEC.revision + 1)
    monkeypatch.setattr(pose_hands, "SPEC", raised)
    forget_settings()
    readers = {"pose_hands"}
    for stage in registry.STAGES:
        if readers & set(registry.spec(stage).reads):
            readers.add(stage)
    assert "describe_motion" in readers
    assert not readers & {"cut", "track_people", "pose_body"}
    assert {name for name in registry.STAGES if registry.versions()[name] != before[name]} == readers
    again = filled.go()
    assert {name.split()[0] for name in again} == readers
    # what was said before stays beside it, as history
    assert len(list(reading.ask("select distinct stage_version from outcomes where stage = 'pose_hands'")[1])) == 2
    assert len(list(reading.ask("select distinct stage_version from outcomes where stage = 'pose_body'")[1])) == 1
    assert filled.go() == Counter()


def stricter_policy(folder: Path) -> Path:
    text = settings().policy_file.read_text()
    path = folder / "policy.yaml"
    path.write_text(text.replace("version: 1", "version: 2", 1))
    return path
