"""Retargeting as a stage: on a real clip, on made bodies, and where there is nothing to retarget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotator import Annotator, annotation

from humannet_ops.domain.outcome import Outcome, Reason
from humannet_ops.domain.records import ClipSubject, Result, VideoSubject
from humannet_ops.domain.skeleton import LIMB_JOINTS, Hand
from humannet_ops.embodiment import targets
from humannet_ops.embodiment.robots import POINTS, Robot
from humannet_ops.media import body_tracks, camera_track, end_effectors, hand_tracks, robot_motion
from humannet_ops.media.body_tracks import BodyTracks
from humannet_ops.media.hand_tracks import HandTracks
from humannet_ops.media.robot_motion import RobotMotion
from humannet_ops.stages import retarget

# As in test_poses: a man walks along the top of a wall and is in the picture from first to last frame.
WALKER = "Sports2D/Demo/demo.mp4", 3.0, 5.0


@pytest.fixture(scope="module")
def robot(annotator: Annotator) -> Robot:
    found: Robot = annotator.stage("retarget").follower.robot
    return found


@pytest.fixture(scope="module")
def walker(annotator: Annotator, sample: Callable[[str], Path]) -> tuple[ClipSubject, Result]:
    name, start_s, end_s = WALKER
    subject, said = annotator.run(
        annotator.cut(sample(name), start_s, end_s), "track_people", "pose_body", "pose_hands", "retarget"
    )
    return subject, said["retarget"]


@pytest.fixture(scope="module")
def bodies(annotator: Annotator, walker: tuple[ClipSubject, Result]) -> BodyTracks:
    return body_tracks.read(some(annotator.path(walker[0], body_tracks.KIND)))


def some(path: Path | None) -> Path:
    assert path is not None
    return path


def clip_of(annotator: Annotator, made: BodyTracks | None) -> ClipSubject:
    """A clip of which the body stage stored these bodies, and nothing else."""
    inputs = {}
    if made is not None:
        target = annotator.context.scratch / "made.parquet"
        body_tracks.write(target, made)
        inputs[body_tracks.KIND] = annotator.context.store.put(
            target, kind=body_tracks.KIND, suffix=".parquet", media_type="application/vnd.apache.parquet"
        )
    return ClipSubject("c1", VideoSubject("v1", "videos", "file:///v"), 0, 0, 60, 0.0, 2.0, inputs=inputs)


def motion_of(annotator: Annotator, made: BodyTracks) -> tuple[RobotMotion, dict[str, Any]]:
    subject, said = annotator.run(clip_of(annotator, made), "retarget")
    assert said["retarget"].outcome is Outcome.KEPT
    return robot_motion.read(some(annotator.path(subject, robot_motion.KIND))), said["retarget"].scores


def test_a_walking_man_becomes_a_walking_robot(annotator: Annotator, walker, bodies: BodyTracks, robot: Robot) -> None:
    subject, said = walker
    motion = robot_motion.read(some(annotator.path(subject, robot_motion.KIND)))
    assert (motion.robot, motion.frames, motion.fps, motion.points) == ("cmu_humanoid", 60, 30.0, POINTS)
    assert motion.frame.tolist() == bodies.frame[bodies.track == motion.track].tolist()
    low, high = robot.limits.T
    assert (motion.qpos >= low - 1e-4).all()
    assert (motion.qpos <= high + 1e-4).all()
    assert np.linalg.norm(motion.qpos[:, 3:7], axis=1) == pytest.approx(1.0, abs=1e-4)
    # z is up: a man who walks has his shoulders above his hips above his knees above his ankles
    points = np.array([robot.points(qpos) for qpos in motion.qpos.astype(float)])
    heights = [points[:, [POINTS.index(f"{side}_{joint}") for side in ("left", "right")], 2].mean(axis=1)
               for joint in ("shoulder", "hip", "knee", "ankle")]  # fmt: skip
    assert (np.diff(heights, axis=0) < -0.15).all()
    # he walks to the picture's left, so his left side is the nearer one
    assert said.scores["robot_ready_by"] == "body"
    assert annotation(said, "retarget").value["robot"] == "cmu_humanoid"


def test_the_stated_error_is_the_robots_distance_from_its_targets(
    annotator: Annotator, walker, bodies: BodyTracks, robot: Robot
) -> None:
    """Computed again from what is stored alone: qpos, the bodies, and the bones' factors."""
    subject, said = walker
    motion = robot_motion.read(some(annotator.path(subject, robot_motion.KIND)))
    mine = bodies.track == motion.track
    valid = (bodies.visibility[mine][:, LIMB_JOINTS] >= 0.5).sum(axis=1) >= 10
    assert motion.valid.tolist() == valid.tolist()
    person = targets.upright(bodies.world_m[mine])
    factors = targets.factors(person[valid], robot.rest)
    assert motion.metadata["bone_factors"] == pytest.approx(factors, abs=1e-4)
    asked = targets.targets(person, factors)
    there = np.array([robot.points(qpos) for qpos in motion.qpos.astype(float)])
    distances = np.linalg.norm(there - asked, axis=2) * 1000
    assert motion.point_error_mm == pytest.approx(distances, abs=0.02)
    errors = distances.mean(axis=1)
    assert motion.error_mm == pytest.approx(errors, abs=0.02)
    scores = said.scores
    assert scores["retarget_error_mm_mean"] == pytest.approx(errors[valid].mean(), abs=0.02)
    assert scores["retarget_error_mm_p50"] == pytest.approx(np.percentile(errors[valid], 50), abs=0.02)
    assert scores["retarget_error_mm_p95"] == pytest.approx(np.percentile(errors[valid], 95), abs=0.02)
    assert scores["retarget_coverage"] == pytest.approx(valid.sum() / 60, abs=1e-4)
    assert scores["robot_ready"] is bool(errors[valid].mean() < 15 and valid.sum() / 60 > 0.6)


def test_the_same_bodies_give_the_same_bytes(annotator: Annotator, walker) -> None:
    subject, said = walker
    again = annotator.stage("retarget").process(subject)
    assert [made.sha256 for made in again.artifacts] == [made.sha256 for made in said.artifacts]


def test_a_larger_person_makes_the_same_motion(annotator: Annotator, bodies: BodyTracks) -> None:
    one, scores = motion_of(annotator, bodies)
    other, other_scores = motion_of(annotator, replace(bodies, world_m=bodies.world_m * np.float32(1.25)))
    assert other.qpos == pytest.approx(one.qpos, abs=1e-3)
    assert other_scores["retarget_error_mm_mean"] == pytest.approx(scores["retarget_error_mm_mean"], abs=0.05)


def test_a_bone_that_changes_its_length_is_an_error(annotator: Annotator, bodies: BodyTracks, robot: Robot) -> None:
    """A calibration frame by frame would hide what the pose model gets wrong; one for the whole clip does not."""
    _, scores = motion_of(annotator, bodies)
    shaken = bodies.world_m.copy()
    wrist, elbow = (LIMB_JOINTS[POINTS.index(f"left_{joint}")] for joint in ("wrist", "elbow"))
    shaken[::2, wrist] += 0.6 * (shaken[::2, wrist] - shaken[::2, elbow])
    _, worse = motion_of(annotator, replace(bodies, world_m=shaken))
    assert worse["retarget_error_mm_mean"] > scores["retarget_error_mm_mean"] + 3


def test_of_two_persons_the_one_seen_longer_is_followed(annotator: Annotator, bodies: BodyTracks) -> None:
    only = bodies.track == bodies.track[0]
    later = only & (bodies.frame >= 20)
    both = {
        name: np.concatenate([getattr(bodies, name)[later], getattr(bodies, name)[only]])
        for name in ("frame", "px", "visibility", "world_m")
    }
    track = np.repeat(np.array([4, 9], np.int32), [later.sum(), only.sum()])
    order = np.lexsort([track, both["frame"]])
    made = replace(bodies, track=track[order], **{name: values[order] for name, values in both.items()})
    motion, _ = motion_of(annotator, made)
    assert motion.track == 9
    assert len(motion.frame) == only.sum()


def test_coverage_counts_all_frames_of_the_clip(annotator: Annotator, bodies: BodyTracks) -> None:
    """Frames without a body, and frames with one that is badly seen, count below the line and not above it."""
    visibility = np.ones_like(bodies.visibility)
    visibility[10:15, LIMB_JOINTS[:3]] = 0.3
    motion, scores = motion_of(annotator, replace(bodies, visibility=visibility, frames=90))
    rows = len(bodies.frame)
    assert motion.valid.sum() == rows - 5
    assert scores["retarget_coverage"] == pytest.approx((rows - 5) / 90, abs=1e-4)
    assert scores["robot_ready"] is ((rows - 5) / 90 > 0.6 and scores["retarget_error_mm_mean"] < 15)


def test_without_a_body_there_is_no_motion(annotator: Annotator, bodies: BodyTracks) -> None:
    nobody = annotator.stage("retarget").process(clip_of(annotator, None))
    assert (nobody.outcome, nobody.reason, nobody.artifacts) == (Outcome.SKIPPED, Reason.NO_BODY, ())
    assert nobody.scores == {"robot_ready": False, "retarget_coverage": 0.0}
    hidden = replace(bodies, visibility=np.full_like(bodies.visibility, 0.4))
    assert annotator.stage("retarget").process(clip_of(annotator, hidden)).reason is Reason.NO_BODY
    rows = slice(0, retarget.MIN_FRAMES - 1)
    brief = replace(
        bodies, frame=bodies.frame[rows], track=bodies.track[rows], px=bodies.px[rows],
        visibility=np.ones_like(bodies.visibility[rows]), world_m=bodies.world_m[rows],
    )  # fmt: skip
    assert annotator.stage("retarget").process(clip_of(annotator, brief)).reason is Reason.NO_BODY


def test_hands_are_placed_by_the_camera_that_was_reconstructed_where_there_is_one(tmp_path: Path) -> None:
    hands = a_still_hand()
    assumed = retarget.placed(hands, None)
    assert (assumed.focal_px, assumed.focal_known) == (
        round(end_effectors.assumed_focal_px(hands.width, hands.height), 2), False
    )  # fmt: skip
    nothing = np.empty(0)
    camera = camera_track.CameraTrack(
        frames=hands.frames, fps=hands.fps, unit="median step", focal_px=2 * assumed.focal_px, reprojection_px=0.5,
        points=100, frame=nothing, registered=nothing, position=nothing, quaternion=nothing,
    )  # fmt: skip
    known = retarget.placed(hands, camera)
    assert (known.focal_px, known.focal_known) == (round(2 * assumed.focal_px, 2), True)
    # the same picture by a longer lens is of something further away
    assert known.position_m[:, 2] == pytest.approx(2 * assumed.position_m[:, 2], rel=0.1)


def a_still_hand() -> HandTracks:
    """A flat hand, half a metre before a camera with the assumed field of view."""
    random = np.random.default_rng(0)
    world = np.column_stack([random.uniform(-0.09, 0.09, (21, 2)), random.uniform(-0.01, 0.01, 21)])
    px = (world[:, :2] / (world[:, 2:] + 0.5)) * end_effectors.assumed_focal_px(1280, 720) + (640, 360)
    found = [(frame, Hand("right", 0.9, px.astype(np.float32), world.astype(np.float32))) for frame in range(3)]
    return hand_tracks.collect(found, None, frames=3, fps=30.0, width=1280, height=720)
