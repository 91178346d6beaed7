"""Loading what is known about a clip, as arrays, in one call.

    from humannet_ops import read

    clip = read.clip("c3f0...")
    clip.bodies.world_m         # B x 33 x 3, metres; clip.bodies.frame says which frame each belongs to
    clip.hands.px               # H x 21 x 2, pixels
    clip.scores["motion_score"]

    for clip in read.clips("SELECT clip_id FROM v_clips WHERE status = 'kept' AND viewpoint = 'ego'"):
        ...

The catalog and the store are those of the settings (``HUMANNET_*``); joints, units and frames of reference are in the
modules of ``humannet_ops.media`` that the types name, and inside the Parquet files themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from humannet_ops.catalog import reading
from humannet_ops.storage import open_store

if TYPE_CHECKING:
    from humannet_ops.media.body_tracks import BodyTracks
    from humannet_ops.media.camera_track import CameraTrack
    from humannet_ops.media.end_effectors import EndEffectors
    from humannet_ops.media.frame_embeddings import FrameEmbeddings
    from humannet_ops.media.hand_tracks import HandTracks
    from humannet_ops.media.people import People
    from humannet_ops.media.robot_motion import RobotMotion

READERS = {
    "people": "people",
    "body_tracks": "body_tracks",
    "hand_tracks": "hand_tracks",
    "camera": "camera_track",
    "robot_motion": "robot_motion",
    "end_effectors": "end_effectors",
    "frame_embeddings": "frame_embeddings",
}
"""The kinds of artifacts that hold arrays, and the module of ``humannet_ops.media`` that reads each."""


@dataclass(frozen=True)
class Clip:
    """A clip, its summary and its arrays; what no stage made at the versions that count is None.

    Attributes:
        clip_id: Its name in the catalog.
        video_id: Its video's.
        start_s: Where it begins on the video's clock, seconds.
        end_s: Where it ends.
        status: ``kept``, ``rejected``, ``failed`` or ``pending``.
        viewpoint: ``ego`` or ``exo``.
        license: As the source published it.
        scores: Every stage's scores.
        annotations: The values of ``v_annotations`` by kind.
        people: The boxes of people and things.
        bodies: The bodies of people.
        hands: The hands.
        camera: The path of the camera.
        robot: The motion of the robot.
        grippers: The hands as the poses of grippers.
        looks: What it looks like: eight frames as vectors, and ``clip``, their mean.
        artifacts: The addresses of its objects by kind.
        outcomes: What each stage made of it: ``outcome``, ``reason``, ``scores`` and ``detail`` by stage.
    """

    clip_id: str
    video_id: str
    start_s: float
    end_s: float
    status: str
    viewpoint: str | None
    license: str | None
    scores: Mapping[str, Any]
    annotations: Mapping[str, Mapping[str, Any]]
    people: People | None
    bodies: BodyTracks | None
    hands: HandTracks | None
    camera: CameraTrack | None
    robot: RobotMotion | None
    grippers: EndEffectors | None
    looks: FrameEmbeddings | None
    artifacts: Mapping[str, str]
    outcomes: Mapping[str, Mapping[str, Any]]

    @contextmanager
    def file(self, kind: str = "clip") -> Iterator[Path]:
        """Lend an artifact's file (``clip``: the video itself) for as long as the block runs.

        Raises:
            LookupError: the clip has no such artifact.
            StoreError: the store does not have it.
        """
        if kind not in self.artifacts:
            raise LookupError(f"{self.clip_id} has no {kind}; it has {', '.join(sorted(self.artifacts)) or 'nothing'}")
        with open_store().local(self.artifacts[kind]) as path:
            yield path


def clip(clip_id: str) -> Clip:
    """Load a clip.

    Raises:
        LookupError: there is no such clip, or it was taken down.
        CatalogError: the catalog does not answer.
        StoreError: the store does not have what the catalog names.
        ValueError: a file is of a version that this code does not know.
    """
    row = reading.row("clip", clip_id=clip_id)
    if row is None:
        raise LookupError(f"the catalog has no clip {clip_id}: the view v_clips lists what there is")
    artifacts = {found["kind"]: found["uri"] for found in reading.rows("subject_inputs", subject_ids=[clip_id])}
    annotations = {found["kind"]: found["value"] for found in reading.rows("annotations_of", clip_id=clip_id)}
    outcomes = reading.rows("video_outcomes", video_id=row["video_id"], clip_id=clip_id)
    arrays = {kind: _array(kind, artifacts.get(kind)) for kind in READERS}
    about = ("video_id", "start_s", "end_s", "status", "viewpoint", "license", "scores")
    return Clip(
        clip_id,
        **{name: row[name] for name in about},
        annotations=annotations,
        people=arrays["people"],
        bodies=arrays["body_tracks"],
        hands=arrays["hand_tracks"],
        camera=arrays["camera"],
        robot=arrays["robot_motion"],
        grippers=arrays["end_effectors"],
        looks=arrays["frame_embeddings"],
        artifacts=artifacts,
        outcomes={found["stage"]: found for found in outcomes},
    )


def clips(statement: str) -> Iterator[Clip]:
    """Load the clips that a question names, one after the other.

    Args:
        statement: One SQL statement over the views; its first column is a clip's id.

    Raises:
        CatalogError: Postgres refused the statement.
        LookupError, StoreError, ValueError: as ``clip``.
    """
    _, rows = reading.ask(statement)
    for row in rows:
        yield clip(row[0])


def _array(kind: str, uri: str | None) -> Any:
    if uri is None:
        return None
    reader = import_module(f"humannet_ops.media.{READERS[kind]}")
    with open_store().local(uri) as path:
        return reader.read(path)
