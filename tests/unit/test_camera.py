"""The path of a camera, on rendered scenes whose path is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import parallax_scene
import pytest
from scipy.spatial.transform import Rotation

from humannet_ops.detectors.pycolmap_camera import PycolmapCamera
from humannet_ops.domain.detection import Detection
from humannet_ops.domain.outcome import Reason
from humannet_ops.domain.skeleton import Hand
from humannet_ops.media import camera_motion, camera_track, hand_tracks, people
from humannet_ops.media.camera_motion import CameraMotion
from humannet_ops.stages.camera_trajectory import MARGIN, MIN_PARALLAX, mask_of, refusal

KEYFRAMES, STEP_S = 18, 1 / 6


def pictures(kind: str) -> list[np.ndarray]:
    boards = parallax_scene.scene()
    return [
        parallax_scene.render(boards, position, turn)
        for position, turn in zip(*parallax_scene.path(kind, KEYFRAMES), strict=True)
    ]


def nothing(seen: list[np.ndarray]) -> list[np.ndarray]:
    return [np.zeros(picture.shape[:2], bool) for picture in seen]


@pytest.fixture(scope="module")
def walk() -> list[np.ndarray]:
    return pictures("walk")


@pytest.mark.parametrize(
    ("kind", "reason"), [("walk", None), ("pan", Reason.NO_PARALLAX), ("stand", Reason.CAMERA_STILL)]
)
def test_only_a_camera_that_moves_through_the_room_qualifies(kind: str, reason: Reason | None) -> None:
    seen = pictures(kind)
    motion = camera_motion.measure(seen, nothing(seen), STEP_S)
    refused = refusal(motion)
    assert (refused and refused[0]) is reason
    assert motion.stability > 0.9
    # by a wide margin, both ways
    assert motion.parallax > 3 * MIN_PARALLAX if kind == "walk" else motion.parallax < MIN_PARALLAX / 3


def test_a_picture_that_cannot_be_followed_is_refused(walk: list[np.ndarray]) -> None:
    random = np.random.default_rng(0)
    noisy = [random.integers(0, 255, picture.shape, np.uint8) for picture in walk]
    refused = refusal(camera_motion.measure(noisy, nothing(noisy), STEP_S))
    assert refused is not None
    assert refused[0] is Reason.UNSTABLE


def test_what_is_masked_does_not_move_the_camera() -> None:
    """A still camera before which somebody walks through half of the picture."""
    still, moving = pictures("stand"), pictures("walk")
    seen = [np.hstack([a[:, :320], b[:, 320:]]) for a, b in zip(still, moving, strict=True)]
    half = np.zeros((360, 640), bool)
    half[:, 300:] = True
    masked = camera_motion.measure(seen, [half] * len(seen), STEP_S)
    assert masked.speed < 0.001
    assert camera_motion.measure(seen, nothing(seen), STEP_S).speed > masked.speed


def test_few_pictures_are_measured_too() -> None:
    assert camera_motion.measure([], [], STEP_S) == CameraMotion(0.0, 0.0, 0.0)
    one = pictures("stand")[:1]
    assert camera_motion.measure(one, nothing(one), STEP_S) == CameraMotion(0.0, 0.0, 0.0)


def test_the_path_that_was_walked_is_found(walk: list[np.ndarray], tmp_path: Path) -> None:
    found = PycolmapCamera("pycolmap@4", threads=2).reconstruct(walk, nothing(walk), tmp_path)
    assert found is not None
    assert found.registered.tolist() == list(range(KEYFRAMES))
    assert found.focal_px == pytest.approx(parallax_scene.FOCAL_PX, rel=0.05)
    assert found.reprojection_px < 1
    assert found.angle_deg > 3
    positions, turns = parallax_scene.path("walk", KEYFRAMES)
    moved, turned, unit = camera_track.relative(found.position, found.quaternion, in_metres=False)
    assert unit == "median step"
    assert np.median(np.linalg.norm(np.diff(moved, axis=0), axis=1)) == pytest.approx(1.0)
    true, true_turned, metre = camera_track.relative(
        positions, Rotation.from_matrix(turns).as_quat(scalar_first=True), in_metres=True
    )
    assert metre == "m"
    scale = np.median(np.linalg.norm(np.diff(true, axis=0), axis=1))
    length = np.linalg.norm(np.diff(true, axis=0), axis=1).sum()
    assert np.linalg.norm(moved * scale - true, axis=1).max() < 0.05 * length
    apart = Rotation.from_quat(turned, scalar_first=True) * Rotation.from_quat(true_turned, scalar_first=True).inv()
    assert np.degrees(apart.magnitude()).max() < 1.5


def test_what_is_masked_has_no_points(walk: list[np.ndarray], tmp_path: Path) -> None:
    everything = [np.ones(picture.shape[:2], bool) for picture in walk]
    assert PycolmapCamera("pycolmap@4", threads=2).reconstruct(walk, everything, tmp_path) is None


def test_a_path_is_written_and_read(tmp_path: Path) -> None:
    position = np.array([[0, 0, 0], [np.nan] * 3, [1, 2, 3]], np.float32)
    quaternion = np.array([[1, 0, 0, 0], [np.nan] * 4, [0.5] * 4], np.float32)
    track = camera_track.CameraTrack(
        frames=90, fps=30.0, unit="median step", focal_px=500.0, reprojection_px=0.4, points=300,
        frame=np.array([0, 5, 10], np.int32), registered=np.array([True, False, True]), position=position,
        quaternion=quaternion, metadata={"angle_deg": 4.0},
    )  # fmt: skip
    camera_track.write(tmp_path / "camera.parquet", track)
    read = camera_track.read(tmp_path / "camera.parquet")
    assert (read.frames, read.unit, read.focal_px, read.points) == (90, "median step", 500.0, 300)
    assert read.coverage == pytest.approx(2 / 3)
    assert read.metadata == {"angle_deg": 4.0}
    np.testing.assert_array_equal(read.position, position)
    np.testing.assert_array_equal(read.quaternion, quaternion)
    assert read.registered.tolist() == [True, False, True]


def test_people_and_hands_are_masked_with_a_margin() -> None:
    looks = [
        (step * 5, [Detection("person", 0.9, 0.5, 0.5, 0.75, 1.0), Detection("cup", 0.9, 0.0, 0.0, 0.2, 0.2)])
        for step in range(3)
    ]
    around = people.track(looks, fps=30.0, looks_per_s=6.0, size=(1000, 500), frames=15, starts_at=0.3)
    px = np.random.default_rng(0).uniform((100, 300), (150, 350), (21, 2)).astype(np.float32)
    px[:2] = [[100, 300], [150, 350]]
    hands = hand_tracks.collect(
        [(5, Hand("left", 0.9, px, np.zeros((21, 3), np.float32)))], None, frames=15, fps=30.0, width=1000, height=500
    )
    mask = mask_of(5, (250, 500), around, hands)
    assert mask[200, 300]  # the person
    assert mask[160, 60]  # the hand
    assert mask[150 - int(MARGIN * 20), 60]
    assert not mask[10, 20]  # a thing stays where it is
    assert not mask_of(7, (250, 500), None, hands).any()
