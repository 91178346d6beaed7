"""Hands as grippers, against rendered hands whose every joint is known, seen as who wears a camera sees them.

    make benchmark-bodies && .venv/bin/python tests/benchmarks/annotation.py hands

`rendered_person.py` moves the hands before the chest and looks at them from the eyes; the real stages find them and
retarget places them before the camera. Truth: wrist, knuckles and tips of MakeHuman's hand, which the humanoid carries.
Sides are taken as found: a left hand that is taken for a right one is missed. MakeHuman's wrist lies some 2 cm nearer
the elbow than MediaPipe's, which is in the numbers. Intervals are over sequences.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rendered_person
from annotation_pose import FRAMES, film, humanoid
from annotator import Annotator
from known_motions import FPS, HANDLING, poses
from measure import Measure, mean

from humannet_ops.detectors.lock import load_lock
from humannet_ops.media import end_effectors, hand_tracks
from humannet_ops.media.end_effectors import EndEffectors
from humannet_ops.settings import Settings, settings
from humannet_ops.stages.protocol import Context
from humannet_ops.stages.retarget import READY_ERROR_MM
from humannet_ops.storage import FolderStore

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# From the head's joint to between the eyes and a little before them, metres; the skull is not in the picture.
EYES = np.array([0.0, -0.16, 0.10])
FOVY_DEG = 70.0
WRIST, INDEX, MIDDLE, THUMB_TIP, INDEX_TIP = range(5)


def measure() -> list[Measure]:
    """Measure what can be measured here; what cannot says on standard error what to install."""
    with tempfile.TemporaryDirectory(prefix="humannet-hands-") as folder:
        scratch = Path(folder)
        (scratch / "work").mkdir()
        store = FolderStore(scratch / "store")
        annotator = Annotator(Context(Settings(), store, load_lock(settings().models), scratch / "work"))
        try:
            return [*_rendered(annotator, scratch)]
        except FileNotFoundError as error:
            print(f"hands: no rendered person: {error}", file=sys.stderr)
            return []


def _rendered(annotator: Annotator, scratch: Path) -> Iterator[Measure]:
    robot, mjcf = humanoid()
    rendered_person.folder()
    names = ("found", "wrist", "far", "assumed", "ray", "turn", "opening", "said")
    figures: dict[str, list[float]] = {name: [] for name in names}
    for look in rendered_person.LOOKS:
        person = rendered_person.Person(robot, mjcf, look)
        person.widen(FOVY_DEG)
        for motion in HANDLING:
            qpos = poses(robot, motion, FRAMES)
            person.see(qpos[0])
            person.look_from(person.at("head") + EYES, (person.at("lhand") + person.at("rhand")) / 2)
            truth: dict[str, list[Array]] = {"left": [], "right": []}
            video = film(person, qpos, scratch, partial(_keep, person, truth))
            subject, _ = annotator.run(
                annotator.cut(video, 0.0, FRAMES / FPS), "track_people", "pose_hands", "retarget"
            )
            path = annotator.path(subject, hand_tracks.KIND)
            stated = annotator.path(subject, end_effectors.KIND)
            if path is None or stated is None:
                figures["found"].append(0.0)
                continue
            known = end_effectors.place(
                hand_tracks.read(path), person.focal_px, focal_known=True, most_error_mm=READY_ERROR_MM
            )
            of = {side: np.array(points) for side, points in truth.items()}
            pairs = _pairs(known, of)
            figures["found"].append(len(pairs) / (2 * FRAMES))
            if not pairs:
                continue
            errors = np.array([_errors(known, row, points) for row, points in pairs])
            for name, values in zip(("wrist", "far", "ray", "turn", "opening"), errors.T, strict=True):
                figures[name].append(float(values.mean()))
            assumed = end_effectors.read(stated)
            off = [_errors(assumed, row, points)[0] for row, points in _pairs(assumed, of)]
            figures["assumed"].append(float(np.mean(off)))
            figures["said"].append(float(known.error_mm[[row for row, _ in pairs]].mean()))
        person.close()
    looks = len(rendered_person.LOOKS)
    what = f"rendered first-person hands: {len(HANDLING)} motions, {looks} looks, {FRAMES} frames each"
    yield mean("hands found, on the right side", figures["found"], "share", what)
    yield mean("wrist in the camera's axes, focal length known", figures["wrist"], "mm", "the same")
    yield mean("distance of the wrist, estimated / true", figures["far"], "ratio", "the same")
    yield mean("wrist, across the line of sight alone", figures["ray"], "mm", "the same")
    yield mean(
        "wrist, focal length assumed as retarget does", figures["assumed"], "mm", "the same; true view 86 degrees"
    )
    yield mean("turn of the hand", figures["turn"], "deg", "the same")
    yield mean("opening between thumb and index finger, off by", figures["opening"], "mm", "the same")
    yield mean("error that the stage states of a hand", figures["said"], "mm", "its own joints in the picture")


def _keep(person: rendered_person.Person, truth: dict[str, list[Array]], _: Array) -> None:
    for side, points in person.hands().items():
        truth[side].append(points)


def _pairs(hands: EndEffectors, truth: dict[str, Array]) -> list[tuple[int, Array]]:
    """Return rows of valid hands with the true points of the same side; a side seen twice counts once, the nearer."""
    best: dict[tuple[int, str], tuple[float, int]] = {}
    for row in np.flatnonzero(hands.valid):
        side = "left" if hands.left[row] else "right"
        off = _across(hands.position_m[row], truth[side][hands.frame[row], WRIST])
        key = int(hands.frame[row]), side
        # more than a hand's length aside is another hand
        if off < 0.15 and off < best.get(key, (np.inf, 0))[0]:
            best[key] = off, int(row)
    return [(row, truth[side][frame]) for (frame, side), (_, row) in best.items()]


def _errors(hands: EndEffectors, row: int, points: Array) -> tuple[float, ...]:
    """Return how far off one hand is.

    The wrist in mm; its distance from the camera over the true one; the wrist across the line of sight in mm; the
    hand's turn in degrees; its opening in mm.
    """
    from scipy.spatial.transform import Rotation

    wrist = hands.position_m[row].astype(float)
    axes = Rotation.from_quat(hands.quaternion[row].astype(float), scalar_first=True)
    x = points[MIDDLE] - points[WRIST]
    z = np.cross(x, points[INDEX] - points[WRIST])
    x, z = x / np.linalg.norm(x), z / np.linalg.norm(z)
    turned = axes.inv() * Rotation.from_matrix(np.column_stack([x, np.cross(z, x), z]))
    opening = float(np.linalg.norm(points[THUMB_TIP] - points[INDEX_TIP]))
    return (
        float(np.linalg.norm(wrist - points[WRIST]) * 1000),
        float(wrist[2] / points[WRIST, 2]),
        _across(wrist, points[WRIST]) * 1000,
        float(np.degrees(turned.magnitude())),
        abs(float(hands.opening_m[row]) - opening) * 1000,
    )


def _across(place: Array, truth: Array) -> float:
    """Return the distance across the line of sight, at the true distance."""
    return float(np.linalg.norm(place / place[2] * truth[2] - truth))
