"""Retargeting: what a pose asks of a robot, how near the robot comes, and when it counts as ready."""

from __future__ import annotations

from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from humannet_ops.domain.skeleton import BODY_JOINTS, HAND_JOINTS, LIMB_JOINTS, Hand
from humannet_ops.embodiment import kinematics, robots, targets
from humannet_ops.embodiment.robots import POINTS, Robot, RobotError
from humannet_ops.media import end_effectors, hand_tracks, robot_motion
from humannet_ops.stages import retarget

FRAMES = 40


@pytest.fixture(scope="module")
def robot() -> Robot:
    path = metadata.distribution("dm_control").locate_file("dm_control/suite/humanoid_CMU.xml")
    return robots.load("cmu_humanoid", Path(str(path)))


def motion(robot: Robot, seed: int = 0, size: float = 0.3) -> np.ndarray:
    """A smooth motion of all hinges inside their limits, the root turning a little: FRAMES x nq."""
    random = np.random.default_rng(seed)
    t = np.linspace(0, 1, FRAMES)[:, None]
    phase, pace = random.uniform(0, 6.28, robot.model.nq), random.uniform(0.5, 2, robot.model.nq)
    low, high = np.clip(robot.limits, -1.5, 1.5).T
    qpos = np.tile(robot.model.qpos0, (FRAMES, 1))
    middle, reach = (low + high) / 2, (high - low) / 2
    wave = middle * size + reach * size * np.sin(phase + 6.28 * pace * t)
    qpos[:, 7:] = np.clip(wave, low, high)[:, 7:]
    return qpos


def as_person(points: np.ndarray) -> np.ndarray:
    """Twelve points, z up, as a pose model would give them: N x 33 x 3, hip-centred, y down."""
    centred = points - points[:, [6, 7]].mean(axis=1, keepdims=True)
    world = np.zeros((len(points), len(BODY_JOINTS), 3))
    world[:, LIMB_JOINTS] = np.stack([centred[..., 0], -centred[..., 2], centred[..., 1]], axis=-1)
    return world


@pytest.fixture(scope="module")
def moved(robot: Robot) -> np.ndarray:
    return np.array([robot.points(qpos) for qpos in motion(robot)])


def test_the_points_are_the_limb_joints_in_their_order() -> None:
    assert tuple(BODY_JOINTS[joint] for joint in LIMB_JOINTS) == POINTS
    assert POINTS[:2] == ("left_shoulder", "right_shoulder")


def test_a_robots_own_motion_is_found_again(robot: Robot, moved: np.ndarray) -> None:
    person = targets.upright(as_person(moved))
    asked = targets.targets(person, dict.fromkeys(targets.factors(person, robot.rest), 1.0))
    assert asked == pytest.approx(moved - moved[:, [6, 7]].mean(axis=1, keepdims=True), abs=1e-9)
    followed = kinematics.Follower(robot).follow(asked)
    assert np.median(followed.error_m) < 0.002
    assert followed.error_m.mean() < 0.005
    # what it says is where it is
    for qpos, wanted, error in zip(followed.qpos[::10], asked[::10], followed.error_m[::10], strict=True):
        assert np.linalg.norm(robot.points(qpos) - wanted, axis=1) == pytest.approx(error, abs=1e-6)


def test_a_larger_person_asks_the_same_of_the_robot(robot: Robot, moved: np.ndarray) -> None:
    small, large = targets.upright(as_person(moved)), targets.upright(as_person(moved * 1.3))
    factors = targets.factors(small, robot.rest), targets.factors(large, robot.rest)
    assert {name: value / 1.3 for name, value in factors[0].items()} == pytest.approx(factors[1])
    assert targets.targets(small, factors[0]) == pytest.approx(targets.targets(large, factors[1]))


def test_bones_get_the_robots_length_and_keep_their_direction(robot: Robot, moved: np.ndarray) -> None:
    stretched = targets.upright(as_person(moved))
    # a person with forearms twice as long
    wrist, elbow = POINTS.index("left_wrist"), POINTS.index("left_elbow")
    stretched[:, wrist] += stretched[:, wrist] - stretched[:, elbow]
    asked = targets.targets(stretched, targets.factors(stretched, robot.rest))
    forearm = asked[:, wrist] - asked[:, elbow]
    assert np.linalg.norm(forearm, axis=1) == pytest.approx(np.linalg.norm(robot.rest[wrist] - robot.rest[elbow]))
    own = stretched[:, wrist] - stretched[:, elbow]
    assert (forearm * own).sum(1) == pytest.approx(np.linalg.norm(forearm, axis=1) * np.linalg.norm(own, axis=1))


def test_joint_limits_hold_whatever_is_asked(robot: Robot, moved: np.ndarray) -> None:
    impossible = targets.upright(as_person(moved))
    for side in ("left", "right"):  # knees and elbows bent the wrong way round
        for joint in ("ankle", "wrist"):
            impossible[:, POINTS.index(f"{side}_{joint}")] += np.array([0.4, 1.0, 0.5])
    followed = kinematics.Follower(robot).follow(impossible)
    low, high = robot.limits.T
    assert (followed.qpos >= low - 1e-6).all()
    assert (followed.qpos <= high + 1e-6).all()
    assert followed.error_m.mean() > 0.05


def test_qpos_says_what_its_entries_are(robot: Robot) -> None:
    assert len(robot.joints) == robot.model.nq == 63
    assert robot.joints[:8] == ("root_x", "root_y", "root_z", "root_qw", "root_qx", "root_qy", "root_qz", "lfemurrz")
    assert np.isinf(robot.limits[:7]).all()
    assert robot.limits[robot.joints.index("ltibiarx")] == pytest.approx(np.radians([0, 170]), abs=0.2)


def test_a_robot_that_cannot_be_used_says_why(tmp_path: Path, robot: Robot) -> None:
    broken = tmp_path / "robot.xml"
    broken.write_text("<mujoco><worldbody><body name='a'><freejoint/><geom size='1'/></body></worldbody></mujoco>")
    with pytest.raises(RobotError, match=r"robot.xml has no body lfemur, lfoot, .* which robots.yaml names"):
        robots.load("cmu_humanoid", broken)
    with pytest.raises(RobotError, match=r"no robot 'atlas'; there are cmu_humanoid, unitree_g1 \(HUMANNET_ROBOT\)"):
        robots.load("atlas", broken)
    broken.write_text("<mujoco>")
    with pytest.raises(RobotError, match="cannot be loaded"):
        robots.load("cmu_humanoid", broken)


def test_a_frame_is_valid_with_ten_of_twelve_joints() -> None:
    visibility = np.ones((3, 33))
    visibility[1, [LIMB_JOINTS[0], LIMB_JOINTS[5]]] = 0.49
    visibility[2, list(LIMB_JOINTS[:3])] = 0.49
    assert retarget.is_valid(visibility).tolist() == [True, True, False]


def made(errors: Any, valid: Any, frames: int = 100) -> robot_motion.RobotMotion:
    count = len(errors)
    return robot_motion.RobotMotion(
        frames=frames, fps=30.0, robot="cmu_humanoid", joints=("a", "b"), points=POINTS, track=3,
        frame=np.arange(count, dtype=np.int32), valid=np.array(valid, bool),
        error_mm=np.array(errors, np.float32), point_error_mm=np.ones((count, 12), np.float32),
        qpos=np.ones((count, 2), np.float32), metadata={"bone_factors": {"spine": 1.0}},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("error", "valid", "ready"),
    [(14.9, 61, True), (15.0, 61, False), (14.9, 60, False), (0.0, 100, True), (200.0, 100, False)],
)
def test_ready_is_below_fifteen_millimetres_in_more_than_sixty_per_cent(error: float, valid: int, ready: bool) -> None:
    # frames that are not valid count in the coverage alone
    errors = [error] * valid + [999.0] * (100 - valid)
    said = retarget.summary(made(errors, [True] * valid + [False] * (100 - valid)), None)
    assert said["robot_ready"] is ready
    assert said["retarget_coverage"] == valid / 100
    assert said["retarget_error_mm_mean"] == said["retarget_error_mm_p95"] == pytest.approx(error, abs=0.01)


def test_without_body_and_hands_nothing_is_ready() -> None:
    assert retarget.summary(None, None) == {"robot_ready": False, "retarget_coverage": 0.0}
    assert retarget.summary(made([], []), None)["robot_ready"] is False


def test_a_motion_is_written_and_read(tmp_path: Path) -> None:
    motion = made([1.0, 2.0, 3.0], [True, False, True], frames=4)
    robot_motion.write(tmp_path / "motion.parquet", motion)
    read = robot_motion.read(tmp_path / "motion.parquet")
    assert (read.robot, read.joints, read.points, read.track, read.frames) == ("cmu_humanoid", ("a", "b"), POINTS, 3, 4)
    assert read.metadata == motion.metadata
    assert read.coverage == 0.5
    for name in ("frame", "valid", "error_mm", "point_error_mm", "qpos"):
        assert (getattr(read, name) == getattr(motion, name)).all(), name


def a_hand() -> np.ndarray:
    """A flat right hand of human size, its palm to the camera: 21 x 3, metres, fingers up."""
    hand = np.zeros((21, 3))
    for finger, x in enumerate((-0.04, -0.025, 0.0, 0.02, 0.04)):
        for joint in range(4):
            hand[1 + 4 * finger + joint] = [
                x * (1 + joint * 0.15),
                -0.04 - 0.03 * joint * (finger > 0) - 0.02 * joint,
                0.0,
            ]
    hand[:, 2] = np.linspace(0, 0.02, 21)
    return hand - hand.mean(axis=0)


def seen_hands(turns: list[np.ndarray], places: list[np.ndarray], focal_px: float) -> hand_tracks.HandTracks:
    """Hands turned and placed in front of a camera of 1280 x 720 pixels."""
    found = []
    for frame, (turn, place) in enumerate(zip(turns, places, strict=True)):
        joints = a_hand() @ turn.T + place
        px = joints[:, :2] / joints[:, 2:] * focal_px + (640, 360)
        found.append((frame, Hand("right", 0.9, px.astype(np.float32), a_hand().astype(np.float32))))
    empty = hand_tracks.collect(found, None, frames=len(found), fps=30.0, width=1280, height=720)
    # as they were seen: smoothing has its own test
    px = np.array([hand.px for _, hand in found], np.float32)
    return replace(empty, px=px, world_m=np.tile(a_hand().astype(np.float32), (len(found), 1, 1)))


def test_a_hand_is_placed_where_it_is() -> None:
    from scipy.spatial.transform import Rotation

    focal_px = end_effectors.assumed_focal_px(1280, 720)
    assert focal_px == pytest.approx(640 / np.tan(np.radians(37.5)))
    turns = [Rotation.from_euler("xyz", [10 * k, 5 * k, -8 * k], degrees=True).as_matrix() for k in range(6)]
    places = [np.array([0.05 * k - 0.1, 0.02 * k, 0.4 + 0.05 * k]) for k in range(6)]
    placed = end_effectors.place(seen_hands(turns, places, focal_px), focal_px, focal_known=False, most_error_mm=15.0)
    assert placed.valid.all()
    assert placed.error_mm.max() < 1.0
    wrists = np.array([a_hand()[0] @ turn.T + place for turn, place in zip(turns, places, strict=True)])
    assert placed.position_m == pytest.approx(wrists, abs=0.005)
    # the hand's own turn, from one frame to the next
    axes = Rotation.from_quat(placed.quaternion, scalar_first=True)
    for k in range(1, 6):
        said, true = axes[k] * axes[0].inv(), Rotation.from_matrix(turns[k] @ turns[0].T)
        assert np.degrees((said * true.inv()).magnitude()) < 2
    tips = a_hand()[[HAND_JOINTS.index("thumb_tip"), HAND_JOINTS.index("index_tip")]]
    assert placed.opening_m == pytest.approx(np.linalg.norm(tips[0] - tips[1]), abs=0.001)
    assert placed.coverage == 1.0


def test_a_hand_that_no_shape_explains_is_not_valid(tmp_path: Path) -> None:
    hands = seen_hands([np.eye(3)] * 3, [np.array([0, 0, 0.5])] * 3, 800.0)
    scattered = np.random.default_rng(0).uniform(0, 700, hands.px[1].shape).astype(np.float32)
    px = hands.px.copy()
    px[1] = scattered
    placed = end_effectors.place(replace(hands, px=px), 800.0, focal_known=True, most_error_mm=15.0)
    assert 1 not in placed.frame[placed.valid]
    assert {0, 2} <= set(placed.frame[placed.valid])
    assert placed.coverage == pytest.approx(2 / 3)
    end_effectors.write(tmp_path / "hands.parquet", placed)
    read = end_effectors.read(tmp_path / "hands.parquet")
    assert (read.focal_px, read.focal_known) == (800.0, True)
    for name in ("frame", "track", "left", "position_m", "quaternion", "opening_m", "error_mm", "valid"):
        assert (getattr(read, name) == getattr(placed, name)).all(), name
