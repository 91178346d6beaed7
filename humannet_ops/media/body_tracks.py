"""The bodies of a clip: one Parquet row for each person's body in a frame.

Columns (version 1; the file's ``humannet`` metadata, a JSON object, says the same with the joints' names):

- ``frame`` int32, counted from 0 in the clip; ``t_s`` double, seconds on the clip's clock, ``frame / fps``
- ``track`` int32, the person's number in the clip's ``people`` file
- ``score`` float, 0..1: the mean visibility of the limb joints
- ``px`` floats x, y, x, y, ... in pixels of the clip; ``visibility`` floats 0..1
- ``world_m`` floats x, y, z, ... in metres: x to the picture's right, y down, z away from the camera; origin midway
  between the hips

A frame without a row had no body in it. ``px`` and ``world_m`` are smoothed (``media/smoothing.py``; the metadata has
the parameters). Values are rounded to 1/16 pixel, 1/4096 m and 1/256, far below what the models can tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.domain.skeleton import BODY_BONES, BODY_JOINTS, LIMB_JOINTS, Body
from humannet_ops.media import smoothing, track_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

KIND, VERSION = "body_tracks", 1
PX_STEP, METRE_STEP, SHARE_STEP = 1 / 16, 1 / 4096, 1 / 256
DESCRIPTION = {
    "kind": KIND,
    "version": VERSION,
    "units": {"t_s": "s", "px": "pixel", "world_m": "m", "visibility": "0..1", "score": "0..1"},
    "frames_of_reference": {
        "t_s": "the clip's clock, 0 at its first frame",
        "px": "x, y; origin top left of the clip's picture, y down",
        "world_m": "x, y, z; x to the picture's right, y down, z away from the camera; origin midway between the hips; "
        "nominal size, as the model knows no scale",
    },
    "joints": BODY_JOINTS,
    "bones": BODY_BONES,
    "smoothing": {"px": smoothing.PICTURE.description, "world_m": smoothing.METRES.description},
}


@dataclass(frozen=True)
class BodyTracks:
    """The bodies of a clip: B of them, in order of their frames; a frame may have none or several.

    Attributes:
        frames: Frames of the clip.
        fps: Frames a second.
        width: Of the clip, in pixels.
        height: Of the clip, in pixels.
        frame: B, each body's frame.
        track: B, each body's person.
        px: B x 33 x 2.
        visibility: B x 33.
        world_m: B x 33 x 3.
        metadata: What else the file says about itself.
    """

    frames: int
    fps: float
    width: int
    height: int
    frame: NDArray[np.int32]
    track: NDArray[np.int32]
    px: NDArray[np.float32]
    visibility: NDArray[np.float32]
    world_m: NDArray[np.float32]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def frame_share(self) -> float:
        """Share of the clip's frames that have a body."""
        return len(np.unique(self.frame)) / self.frames if self.frames else 0.0

    @property
    def score(self) -> NDArray[np.float32]:
        """B: the mean visibility of each body's limb joints."""
        return self.visibility[:, LIMB_JOINTS].mean(axis=1) if len(self.frame) else np.empty(0, np.float32)


def empty(frames: int, fps: float, width: int, height: int) -> BodyTracks:
    """Return a clip without bodies."""
    return collect([], frames=frames, fps=fps, width=width, height=height)


def collect(
    seen: Sequence[tuple[int, int, Body]],
    *,
    frames: int,
    fps: float,
    width: int,
    height: int,
    metadata: Mapping[str, Any] | None = None,
) -> BodyTracks:
    """Put together what was seen, smoothed and rounded as the file has it.

    Args:
        seen: A frame, a person's number and the body, in any order.
        frames: Frames of the clip.
        fps: Frames a second.
        width: Of the clip, in pixels.
        height: Of the clip, in pixels.
        metadata: JSON values to keep with the bodies, such as the model's release.
    """
    ordered = sorted(seen, key=lambda one: one[:2])
    joints = len(BODY_JOINTS)
    frame = np.array([number for number, _, _ in ordered], np.int32)
    track = np.array([person for _, person, _ in ordered], np.int32)
    px = np.array([body.px for _, _, body in ordered], np.float64).reshape(-1, joints, 2)
    world_m = np.array([body.world_m for _, _, body in ordered], np.float64).reshape(-1, joints, 3)
    visibility = np.array([body.visibility for _, _, body in ordered], np.float32).reshape(-1, joints)
    smooth_tracks(frame, track, fps, px, world_m)
    return BodyTracks(
        frames, fps, width, height, frame, track,
        track_file.rounded(px, PX_STEP), track_file.rounded(visibility, SHARE_STEP),
        track_file.rounded(world_m, METRE_STEP), metadata or {},
    )  # fmt: skip


def smooth_tracks(
    frame: NDArray[Any], track: NDArray[Any], fps: float, px: NDArray[np.float64], world_m: NDArray[np.float64]
) -> None:
    """Smooth each track's pixels and metres in place, run by run; a unit of the picture is the track's usual size."""
    for person in np.unique(track):
        mine = np.flatnonzero(track == person)
        size = float(np.median(np.ptp(px[mine], axis=1).max(axis=1))) or 1.0
        for run in smoothing.runs(frame[mine]):
            rows = mine[run]
            t_s = frame[rows] / fps
            px[rows] = smoothing.smooth(px[rows] / size, t_s, smoothing.PICTURE) * size
            world_m[rows] = smoothing.smooth(world_m[rows], t_s, smoothing.METRES)


def write(path: Path, tracks: BodyTracks) -> None:
    """Write a clip's bodies. Equal bodies give equal bytes."""
    columns = {
        "frame": tracks.frame,
        "t_s": tracks.frame / tracks.fps,
        "track": tracks.track,
        "score": tracks.score,
        "px": tracks.px,
        "visibility": tracks.visibility,
        "world_m": tracks.world_m,
    }
    about = {"frames": tracks.frames, "fps": tracks.fps, "width": tracks.width, "height": tracks.height}
    track_file.write(path, columns, {**DESCRIPTION, **about, **tracks.metadata}, sort=("frame", "track"))


def read(path: Path) -> BodyTracks:
    """Read a clip's bodies.

    Raises:
        ValueError: the file is something else.
    """
    table, said = track_file.read(path, KIND, VERSION)
    about = {name: said.pop(name) for name in ("frames", "fps", "width", "height")}
    joints = len(BODY_JOINTS)
    return BodyTracks(
        **about,
        frame=track_file.numbers(table, "frame"),
        track=track_file.numbers(table, "track"),
        px=track_file.arrays(table, "px", joints, 2),
        visibility=track_file.arrays(table, "visibility", joints),
        world_m=track_file.arrays(table, "world_m", joints, 3),
        metadata={key: value for key, value in said.items() if key not in DESCRIPTION},
    )
