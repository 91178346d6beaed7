"""The path of a camera against rendered scenes of known motion; and how many real first-person clips have one.

    .venv/bin/python tests/benchmarks/annotation.py camera

A scene is boards of random texture before a wall (`tests/parallax_scene.py`); a camera walks, turns or stands there.
Each walk is sampled, compressed (JPEG, quality 60) and reconstructed as the stage does it. Then, over the keyframes:

- ATE: root mean square distance from the true path after the best shift, turn and scale (Umeyama 1991; the absolute
  trajectory error of Sturm et al. 2012), as a share of the path's length, since the scale is not known
- turn: mean angle between found and true orientation, after the same turn
- focal length: relative error

The gates are asked of the walks and, besides, of cameras that only turn, only stand, or see noise.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import corpus_truth
import cv2
import numpy as np
import parallax_scene
from annotator import Annotator
from corpus_truth import CORPUS
from measure import Measure, mean, share
from scipy.spatial.transform import Rotation

from humannet_ops.detectors.lock import load_lock
from humannet_ops.detectors.pycolmap_camera import PycolmapCamera
from humannet_ops.domain.outcome import Outcome
from humannet_ops.media import camera_motion, probe
from humannet_ops.settings import Settings, settings
from humannet_ops.stages.camera_trajectory import MIN_COVERAGE, MIN_PLACED, refusal
from humannet_ops.stages.protocol import Context
from humannet_ops.storage import FolderStore

SCENES, KEYFRAMES, STEP_S = 3, 24, 1 / 6
WALKS = ("sideways", "forward", "arc", "head turns")
SECONDS = 5.0


@dataclass(frozen=True)
class Path3:
    """A camera's path: positions (K x 3, metres) and turns (K x 3 x 3, camera to world)."""

    positions: np.ndarray
    turns: np.ndarray


def measure() -> list[Measure]:
    """Measure on rendered scenes, and on the corpus where it is there."""
    found = [*_rendered()]
    if CORPUS.exists():
        found += _real()
    return found


def walk(kind: str) -> Path3:
    """Return how a head goes: a steady way with the bobbing of steps (3 cm, twice a second) in it."""
    t = np.linspace(0, 1, KEYFRAMES)
    bob = 0.03 * np.sin(2 * np.pi * 2 * t * KEYFRAMES * STEP_S)
    if kind == "sideways":
        return Path3(np.column_stack([-0.7 + 1.4 * t, bob, 0 * t]), _looks(6 * np.sin(3 * t)))
    if kind == "forward":
        return Path3(np.column_stack([0.1 * np.sin(5 * t), bob, 1.2 * t]), _looks(5 * np.sin(4 * t)))
    if kind == "arc":
        about = np.radians(-14 + 28 * t)
        return Path3(np.column_stack([4.5 * np.sin(about), bob, 4.5 - 4.5 * np.cos(about)]), _looks(-np.degrees(about)))
    return Path3(np.column_stack([-0.5 + t, bob, 0.4 * t]), _looks(14 * np.sin(2 * np.pi * t)))


def _looks(yaw_deg: np.ndarray) -> np.ndarray:
    return np.array([parallax_scene.turned(float(yaw), 2 * np.sin(place)) for place, yaw in enumerate(yaw_deg)])


def still(kind: str) -> Path3:
    """Return a camera that turns where it is, or stands."""
    t = np.linspace(0, 1, KEYFRAMES)
    yaw = {"turns": -14 + 28 * t, "looks about": 12 * np.sin(2 * np.pi * t), "stands": 0 * t}[kind]
    return Path3(np.zeros((KEYFRAMES, 3)), _looks(yaw) if kind != "stands" else np.tile(np.eye(3), (KEYFRAMES, 1, 1)))


def pictures(seed: int, along: Path3) -> list[np.ndarray]:
    """Render a scene along a path, as compressed as a clip is."""
    boards = parallax_scene.scene(seed)
    return [
        _compressed(parallax_scene.render(boards, position, turn))
        for position, turn in zip(along.positions, along.turns, strict=True)
    ]


def _compressed(picture: np.ndarray) -> np.ndarray:
    _, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 60])
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)


def _rendered() -> Iterator[Measure]:
    model = PycolmapCamera("pycolmap", threads=settings().threads)
    errors: dict[str, list[float]] = {"path": [], "turn": [], "focal": [], "coverage": []}
    taken = refused = placed = 0
    for seed in range(SCENES):
        for kind in WALKS:
            along = walk(kind)
            seen = pictures(seed, along)
            nothing = [np.zeros(picture.shape[:2], bool) for picture in seen]
            taken += refusal(camera_motion.measure(seen, nothing, STEP_S)) is None
            with tempfile.TemporaryDirectory() as folder:
                found = model.reconstruct(seen, nothing, Path(folder))
            count = 0 if found is None else len(found.registered)
            errors["coverage"].append(count / KEYFRAMES)
            if found is None or count < max(MIN_PLACED, MIN_COVERAGE * KEYFRAMES):
                continue
            placed += 1
            true = Path3(along.positions[found.registered], along.turns[found.registered])
            path, turn = apart(true, found.position, found.quaternion)
            errors["path"].append(100 * path)
            errors["turn"].append(turn)
            errors["focal"].append(100 * abs(found.focal_px / parallax_scene.FOCAL_PX - 1))
        for kind in ("turns", "looks about", "stands", "noise"):
            seen = pictures(seed, still(kind)) if kind != "noise" else _noise(seed)
            nothing = [np.zeros(picture.shape[:2], bool) for picture in seen]
            refused += refusal(camera_motion.measure(seen, nothing, STEP_S)) is not None
    walks, truth = SCENES * len(WALKS), "rendered walks"
    yield share("walks that the gates let pass", taken, walks, truth)
    yield share("turning, standing and noise that they refuse", refused, SCENES * 4, "rendered")
    yield share("walks that were placed", placed, walks, truth)
    yield mean("keyframes placed", errors["coverage"], "share", truth)
    yield mean("path (ATE / length)", errors["path"], "%", truth)
    yield mean("turn", errors["turn"], "degrees", truth)
    yield mean("focal length", errors["focal"], "%", truth)


def _noise(seed: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    size = (parallax_scene.HEIGHT, parallax_scene.WIDTH, 3)
    return [random.integers(0, 255, size, np.uint8) for _ in range(KEYFRAMES)]


def apart(true: Path3, position: np.ndarray, quaternion: np.ndarray) -> tuple[float, float]:
    """Return how far a path is from the true one, after the best similarity transform.

    Args:
        true: K poses.
        position: K x 3, in any unit.
        quaternion: K x 4, w, x, y, z, camera to world.

    Returns:
        Root mean square distance / the true path's length; mean angle in degrees.
    """
    a, b = position - position.mean(axis=0), true.positions - true.positions.mean(axis=0)
    left, stretch, right = np.linalg.svd(b.T @ a)
    flip = np.diag([1, 1, np.sign(np.linalg.det(left @ right))])
    turn = left @ flip @ right
    scale = (stretch * np.diag(flip)).sum() / (a**2).sum()
    distance = np.linalg.norm(scale * a @ turn.T - b, axis=1)
    length = np.linalg.norm(np.diff(true.positions, axis=0), axis=1).sum()
    found = Rotation.from_matrix(turn) * Rotation.from_quat(quaternion, scalar_first=True)
    angles = (found * Rotation.from_matrix(true.turns).inv()).magnitude()
    return float(np.sqrt((distance**2).mean()) / length), float(np.degrees(angles).mean())


def _real() -> Iterator[Measure]:
    ended: list[str] = []
    coverage, reprojection = [], []
    with tempfile.TemporaryDirectory(prefix="humannet-camera-") as folder:
        (Path(folder) / "work").mkdir()
        store = FolderStore(Path(folder) / "store")
        annotator = Annotator(Context(Settings(), store, load_lock(settings().models), Path(folder) / "work"))
        for video in corpus_truth.manifest():
            if video.kind != "ego":
                continue
            path = CORPUS / video.name
            clip = annotator.cut(
                path,
                0.0,
                min(SECONDS, probe.probe(path, max_pixels=annotator.context.config.max_pixels).duration_s),
                viewpoint="ego",
            )
            _, said = annotator.run(clip, "track_people", "pose_hands", "camera_trajectory")
            result = said["camera_trajectory"]
            ended.append(str(result.reason) if result.reason else "kept")
            if result.outcome is Outcome.KEPT:
                coverage.append(result.scores["camera_coverage"])
                reprojection.append(result.scores["camera_reprojection_px"])
    print("camera: " + ", ".join(f"{reason}: {ended.count(reason)}" for reason in sorted(set(ended))))
    none = "corpus folder ego; no truth"
    yield share("first-person clips with a path", ended.count("kept"), len(ended), none)
    yield mean("keyframes placed, where there is one", coverage, "share", none)
    yield mean("reprojection error", reprojection, "px", none)
