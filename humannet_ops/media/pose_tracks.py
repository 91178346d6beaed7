"""Pose tracks: one Parquet file a clip, one row for each body or hand in a frame.

Columns (version 1; the file's ``humannet`` metadata, a JSON object, says the same with the joints' names):

- ``frame`` int32, counted from 0 in the clip; ``t_s`` double, seconds on the clip's clock, ``frame / fps``
- ``part`` ``body`` or ``hand``; ``side`` ``left`` or ``right``, the hand's own, null for a body
- ``score`` float, 0..1: a body's mean visibility over its limb joints, a hand's certainty about its side
- ``px`` floats x, y, x, y, ... in pixels of the clip; ``visibility`` floats 0..1, null for a hand
- ``world_m`` floats x, y, z, ... in metres: x to the picture's right, y down, z away from the camera; origin midway
  between the hips (body) or at the hand's centre

A frame without a row had nothing in it; how many frames there are is in the metadata. Values are rounded to 1/16
pixel, 1/4096 m and 1/256, far below what the models can tell, which makes files about half as large.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.domain.skeleton import BODY_BONES, BODY_JOINTS, HAND_BONES, HAND_JOINTS, LIMB_JOINTS, Body, Hand

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    Observation = tuple[Body | None, Sequence[Hand]]
    """What was seen in one frame."""

VERSION = 1
KEY = b"humannet"
PX_STEP, METRE_STEP, SHARE_STEP = 1 / 16, 1 / 4096, 1 / 256
DESCRIPTION = {
    "kind": "pose_tracks",
    "version": VERSION,
    "units": {"t_s": "s", "px": "pixel", "world_m": "m", "visibility": "0..1", "score": "0..1"},
    "frames_of_reference": {
        "t_s": "the clip's clock, 0 at its first frame",
        "px": "x, y; origin top left of the clip's picture, y down",
        "world_m": "x, y, z; x to the picture's right, y down, z away from the camera; origin midway between the hips "
        "for a body, at the hand's centre for a hand; nominal size, as the model knows no scale",
        "side": "the hand's own side, as if the picture is not mirrored",
    },
    "joints": {"body": BODY_JOINTS, "hand": HAND_JOINTS},
    "bones": {"body": BODY_BONES, "hand": HAND_BONES},
}


@dataclass(frozen=True)
class PoseTracks:
    """All poses of a clip. B bodies and H hands in order of their frames; a frame may have none or several.

    Attributes:
        frames: Frames of the clip.
        fps: Frames a second.
        width: Of the clip, in pixels.
        height: Of the clip, in pixels.
        body_frame: B, each body's frame.
        body_px: B x 33 x 2.
        body_visibility: B x 33.
        body_world_m: B x 33 x 3.
        hand_frame: H, each hand's frame.
        hand_left: H, whether it is a left hand.
        hand_score: H, certainty about the side.
        hand_px: H x 21 x 2.
        hand_world_m: H x 21 x 3.
        metadata: What else the file says about itself.
    """

    frames: int
    fps: float
    width: int
    height: int
    body_frame: NDArray[np.int32]
    body_px: NDArray[np.float32]
    body_visibility: NDArray[np.float32]
    body_world_m: NDArray[np.float32]
    hand_frame: NDArray[np.int32]
    hand_left: NDArray[np.bool_]
    hand_score: NDArray[np.float32]
    hand_px: NDArray[np.float32]
    hand_world_m: NDArray[np.float32]
    metadata: Mapping[str, Any]

    @property
    def duration_s(self) -> float:
        """Length of the clip in seconds."""
        return self.frames / self.fps

    @property
    def body_frame_share(self) -> float:
        """Share of the clip's frames that have a body."""
        return self._share(self.body_frame)

    @property
    def hand_frame_share(self) -> float:
        """Share of the clip's frames that have a hand."""
        return self._share(self.hand_frame)

    def side_share(self, *, left: bool) -> float:
        """Share of the clip's frames that have a left (or a right) hand."""
        return self._share(self.hand_frame[self.hand_left == left])

    def _share(self, frames: NDArray[np.int32]) -> float:
        return len(np.unique(frames)) / self.frames if self.frames else 0.0


def collect(
    observations: Sequence[Observation],
    *,
    fps: float,
    width: int,
    height: int,
    metadata: Mapping[str, Any] | None = None,
) -> PoseTracks:
    """Put together what was seen, frame by frame, with values rounded as the file has them.

    Args:
        observations: One for each frame of the clip, in order.
        fps: Frames a second.
        width: Of the clip, in pixels.
        height: Of the clip, in pixels.
        metadata: JSON values to keep with the tracks, such as the models' releases.
    """
    bodies = [(frame, body) for frame, (body, _) in enumerate(observations) if body is not None]
    hands = [
        (frame, hand)
        for frame, (_, found) in enumerate(observations)
        for hand in sorted(found, key=lambda hand: (hand.side, -hand.score))
    ]
    return PoseTracks(
        frames=len(observations),
        fps=fps,
        width=width,
        height=height,
        body_frame=np.array([frame for frame, _ in bodies], np.int32),
        body_px=_stack([body.px for _, body in bodies], PX_STEP, len(BODY_JOINTS), 2),
        body_visibility=_stack([body.visibility for _, body in bodies], SHARE_STEP, len(BODY_JOINTS)),
        body_world_m=_stack([body.world_m for _, body in bodies], METRE_STEP, len(BODY_JOINTS), 3),
        hand_frame=np.array([frame for frame, _ in hands], np.int32),
        hand_left=np.array([hand.side == "left" for _, hand in hands], np.bool_),
        hand_score=_stack([np.float32(hand.score) for _, hand in hands], SHARE_STEP),
        hand_px=_stack([hand.px for _, hand in hands], PX_STEP, len(HAND_JOINTS), 2),
        hand_world_m=_stack([hand.world_m for _, hand in hands], METRE_STEP, len(HAND_JOINTS), 3),
        metadata=metadata or {},
    )


def _stack(values: Sequence[Any], step: float, *shape: int) -> NDArray[np.float32]:
    stacked = np.array(values, np.float32).reshape(len(values), *shape)
    # adding zero turns -0.0 into 0.0
    return np.round(stacked / step) * np.float32(step) + np.float32(0)


def write(path: Path, tracks: PoseTracks) -> None:
    """Write a clip's tracks. Equal tracks give equal bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.concat_tables([_bodies(tracks), _hands(tracks)])
    table = table.sort_by([("frame", "ascending"), ("part", "ascending"), ("side", "ascending")])
    described = DESCRIPTION | {
        "frames": tracks.frames,
        "fps": tracks.fps,
        "width": tracks.width,
        "height": tracks.height,
        **tracks.metadata,
    }
    table = table.replace_schema_metadata({KEY: json.dumps(described, sort_keys=True)})
    encoding: dict[str, Any] = {
        "use_dictionary": ["part", "side"],
        "use_byte_stream_split": ["score", "px.list.element", "visibility.list.element", "world_m.list.element"],
    }
    pq.write_table(table, path, version="2.6", compression="zstd", compression_level=9, **encoding)


def read(path: Path) -> PoseTracks:
    """Read a clip's tracks.

    Raises:
        ValueError: the file is not a pose track, or of a version that is not known.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    described = json.loads((table.schema.metadata or {}).get(KEY, b"{}"))
    if described.get("kind") != DESCRIPTION["kind"] or described.get("version") != VERSION:
        raise ValueError(f"{path} is no pose track of version {VERSION}: annotate the clip again")
    own = {"frames", "fps", "width", "height"}
    of_body = table["part"].to_numpy() == "body"
    bodies, hands = table.filter(pa.array(of_body)), table.filter(pa.array(~of_body))
    return PoseTracks(
        frames=described["frames"],
        fps=described["fps"],
        width=described["width"],
        height=described["height"],
        body_frame=bodies["frame"].to_numpy(),
        body_px=_floats(bodies, "px", len(BODY_JOINTS), 2),
        body_visibility=_floats(bodies, "visibility", len(BODY_JOINTS)),
        body_world_m=_floats(bodies, "world_m", len(BODY_JOINTS), 3),
        hand_frame=hands["frame"].to_numpy(),
        hand_left=hands["side"].to_numpy() == "left",
        hand_score=hands["score"].to_numpy(),
        hand_px=_floats(hands, "px", len(HAND_JOINTS), 2),
        hand_world_m=_floats(hands, "world_m", len(HAND_JOINTS), 3),
        metadata={key: value for key, value in described.items() if key not in own | DESCRIPTION.keys()},
    )


def _floats(table: pa.Table, column: str, *shape: int) -> NDArray[np.float32]:
    import pyarrow.compute as pc

    values: NDArray[np.float32] = pc.list_flatten(table[column]).to_numpy()
    return values.reshape(table.num_rows, *shape)


def _schema() -> pa.Schema:
    import pyarrow as pa

    joints = pa.list_(pa.field("element", pa.float32(), nullable=False))
    fields: list[pa.Field[Any]] = [
        pa.field("frame", pa.int32(), nullable=False),
        pa.field("t_s", pa.float64(), nullable=False),
        pa.field("part", pa.string(), nullable=False),
        pa.field("side", pa.string()),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("px", joints, nullable=False),
        pa.field("visibility", joints),
        pa.field("world_m", joints, nullable=False),
    ]
    return pa.schema(fields)


def _lists(values: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [row.ravel() for row in values]


def _bodies(tracks: PoseTracks) -> pa.Table:
    import pyarrow as pa

    rows = len(tracks.body_frame)
    score = tracks.body_visibility[:, LIMB_JOINTS].mean(axis=1) if rows else np.empty(0, np.float32)
    return pa.table(
        {
            "frame": tracks.body_frame,
            "t_s": tracks.body_frame / tracks.fps,
            "part": ["body"] * rows,
            "side": pa.nulls(rows, pa.string()),
            "score": score.astype(np.float32),
            "px": _lists(tracks.body_px),
            "visibility": _lists(tracks.body_visibility),
            "world_m": _lists(tracks.body_world_m),
        },
        schema=_schema(),
    )


def _hands(tracks: PoseTracks) -> pa.Table:
    import pyarrow as pa

    rows = len(tracks.hand_frame)
    return pa.table(
        {
            "frame": tracks.hand_frame,
            "t_s": tracks.hand_frame / tracks.fps,
            "part": ["hand"] * rows,
            "side": np.where(tracks.hand_left, "left", "right").tolist(),
            "score": tracks.hand_score,
            "px": _lists(tracks.hand_px),
            "visibility": [None] * rows,
            "world_m": _lists(tracks.hand_world_m),
        },
        schema=_schema(),
    )
