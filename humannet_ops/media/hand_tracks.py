"""The hands of a clip: one Parquet row for each hand in a frame.

Columns (version 1; the file's ``humannet`` metadata, a JSON object, says the same with the joints' names):

- ``frame`` int32, counted from 0 in the clip; ``t_s`` double, seconds on the clip's clock, ``frame / fps``
- ``track`` int32, the same number for the same hand throughout, -1 for one that was seen too briefly to be followed
- ``side`` ``left`` or ``right``, the hand's own, as if the picture is not mirrored; of a track, the side that most of
  its frames say; ``score`` float 0..1, the model's certainty about the side in this frame
- ``person`` int32, the track in the ``people`` file whose box holds the hand, -1 where none does (the wearer's own)
- ``px`` floats x, y, x, y, ... in pixels of the clip
- ``world_m`` floats x, y, z, ... in metres: x to the picture's right, y down, z away from the camera; origin at the
  hand's centre
- ``object`` the COCO class of the nearest thing, null where there is none; ``object_gap`` float, from the hand's box to
  that thing's, as a multiple of the hand's size: 0 where they overlap, null where there is no thing

Smoothed, rounded and described like bodies (``media/body_tracks.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.domain.skeleton import HAND_BONES, HAND_JOINTS, Hand
from humannet_ops.media import people, smoothing, track_file
from humannet_ops.media.body_tracks import METRE_STEP, PX_STEP, SHARE_STEP, smooth_tracks
from humannet_ops.media.people import People, link

if TYPE_CHECKING:
    from numpy.typing import NDArray

KIND, VERSION = "hand_tracks", 1
DESCRIPTION = {
    "kind": KIND,
    "version": VERSION,
    "units": {"t_s": "s", "px": "pixel", "world_m": "m", "score": "0..1", "object_gap": "hand sizes"},
    "frames_of_reference": {
        "t_s": "the clip's clock, 0 at its first frame",
        "px": "x, y; origin top left of the clip's picture, y down",
        "world_m": "x, y, z; x to the picture's right, y down, z away from the camera; origin at the hand's centre; "
        "nominal size, as the model knows no scale",
        "side": "the hand's own side, as if the picture is not mirrored",
    },
    "joints": HAND_JOINTS,
    "bones": HAND_BONES,
    "smoothing": {"px": smoothing.PICTURE.description, "world_m": smoothing.METRES.description},
}
# A hand that is hidden for so long is another one afterwards.
BRIDGED_S = 0.5
# A thing's box is as of the nearest look, if that is so near.
SEEN_WITHIN_S = 0.25


@dataclass(frozen=True)
class HandTracks:
    """The hands of a clip: H of them, in order of their frames.

    Attributes:
        frames: Frames of the clip.
        fps: Frames a second.
        width: Of the clip, in pixels.
        height: Of the clip, in pixels.
        frame: H, each hand's frame.
        track: H, -1 where it belongs to no track.
        left: H, whether it is a left hand.
        score: H, certainty about the side.
        person: H, -1 where no person's box holds it.
        px: H x 21 x 2.
        world_m: H x 21 x 3.
        object: H, COCO classes or None.
        object_gap: H, hand sizes; NaN where there is no thing.
        metadata: What else the file says about itself.
    """

    frames: int
    fps: float
    width: int
    height: int
    frame: NDArray[np.int32]
    track: NDArray[np.int32]
    left: NDArray[np.bool_]
    score: NDArray[np.float32]
    person: NDArray[np.int32]
    px: NDArray[np.float32]
    world_m: NDArray[np.float32]
    object: NDArray[Any]
    object_gap: NDArray[np.float32]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def frame_share(self) -> float:
        """Share of the clip's frames that have a hand."""
        return self._share(self.frame)

    def side_share(self, *, left: bool) -> float:
        """Share of the clip's frames that have a left (or a right) hand."""
        return self._share(self.frame[self.left == left])

    def near_share(self, gap: float) -> float:
        """Share of the clip's frames in which a hand is at most ``gap`` hand sizes away from a thing."""
        return self._share(self.frame[np.nan_to_num(self.object_gap, nan=np.inf) <= gap])

    def _share(self, frames: NDArray[np.int32]) -> float:
        return len(np.unique(frames)) / self.frames if self.frames else 0.0


def empty(frames: int, fps: float, width: int, height: int) -> HandTracks:
    """Return a clip without hands."""
    return collect([], None, frames=frames, fps=fps, width=width, height=height)


def collect(
    seen: Sequence[tuple[int, Hand]],
    around: People | None,
    *,
    frames: int,
    fps: float,
    width: int,
    height: int,
    metadata: Mapping[str, Any] | None = None,
) -> HandTracks:
    """Follow the hands that were seen, smooth them, and say whose they are and what is near.

    Args:
        seen: A frame and a hand, in any order.
        around: The people and things of the clip.
        frames: Frames of the clip.
        fps: Frames a second.
        width: Of the clip, in pixels.
        height: Of the clip, in pixels.
        metadata: JSON values to keep with the hands, such as the model's release.
    """
    ordered = sorted(seen, key=lambda one: (one[0], one[1].side, -one[1].score))
    joints = len(HAND_JOINTS)
    frame = np.array([number for number, _ in ordered], np.int32)
    left = np.array([hand.side == "left" for _, hand in ordered], np.bool_)
    score = np.array([hand.score for _, hand in ordered], np.float32)
    px = np.array([hand.px for _, hand in ordered], np.float64).reshape(-1, joints, 2)
    world_m = np.array([hand.world_m for _, hand in ordered], np.float64).reshape(-1, joints, 3)
    box = np.concatenate([px.min(axis=1), px.max(axis=1)], axis=1) if len(px) else np.empty((0, 4))
    # every hand that the model gives out has passed its presence check: its certainty about the side says nothing more
    track = link(
        np.arange(frames), frame, box.astype(np.float32), np.ones_like(score), fps, starts_at=0.5, bridged_s=BRIDGED_S
    )
    for number in np.unique(track[track >= 0]):
        mine = track == number
        left[mine] = np.sum(np.where(left[mine], score[mine], -score[mine])) > 0
    # hands of no track are smoothed by nobody: each is a run of its own
    smooth_tracks(frame, np.where(track >= 0, track, -1 - np.arange(len(track))), fps, px, world_m)
    person, thing, gap = _surroundings(frame, box, around)
    return HandTracks(
        frames, fps, width, height, frame, track, left, track_file.rounded(score, SHARE_STEP), person,
        track_file.rounded(px, PX_STEP), track_file.rounded(world_m, METRE_STEP), thing,
        track_file.rounded(gap, SHARE_STEP), metadata or {},
    )  # fmt: skip


def _surroundings(
    frame: NDArray[np.int32], box: NDArray[np.float64], around: People | None
) -> tuple[NDArray[np.int32], NDArray[Any], NDArray[np.float64]]:
    """Return each hand's person, the nearest thing, and how far that is in hand sizes."""
    person = np.full(len(frame), -1, np.int32)
    thing = np.full(len(frame), None, object)
    gap = np.full(len(frame), np.nan)
    if around is None or not len(around.looked_at):
        return person, thing, gap
    reach = round(SEEN_WITHIN_S * around.fps)
    for row, number in enumerate(frame):
        look = around.looked_at[np.argmin(np.abs(around.looked_at - number))]
        if abs(int(look) - int(number)) > reach:
            continue
        here = np.flatnonzero((around.frame == look) & (around.track >= 0))
        gaps = _gaps(box[row], around.box[here])
        of_person = around.label[here] == people.PERSON
        held = here[of_person & (gaps == 0)]
        if len(held):
            person[row] = around.track[held[np.argmin(_areas(around.box[held]))]]
        if not of_person.all():
            things = np.flatnonzero(~of_person)
            nearest = things[np.argmin(gaps[things])]
            thing[row], gap[row] = str(around.label[here[nearest]]), gaps[nearest]
    return person, thing, gap


def _gaps(hand: NDArray[np.float64], boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the distance from a hand's box to each of N boxes, in units of the hand's longer side."""
    size = max(hand[2] - hand[0], hand[3] - hand[1], 1.0)
    across = np.maximum(0, np.maximum(boxes[:, 0] - hand[2], hand[0] - boxes[:, 2]))
    down = np.maximum(0, np.maximum(boxes[:, 1] - hand[3], hand[1] - boxes[:, 3]))
    gaps: NDArray[np.float64] = np.hypot(across, down).astype(np.float64) / size
    return gaps


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def write(path: Path, tracks: HandTracks) -> None:
    """Write a clip's hands. Equal hands give equal bytes."""
    columns = {
        "frame": tracks.frame,
        "t_s": tracks.frame / tracks.fps,
        "track": tracks.track,
        "side": np.where(tracks.left, "left", "right").tolist(),
        "score": tracks.score,
        "person": tracks.person,
        "px": tracks.px,
        "world_m": tracks.world_m,
        "object": tracks.object.tolist(),
        "object_gap": np.ma.masked_invalid(tracks.object_gap),
    }
    about = {"frames": tracks.frames, "fps": tracks.fps, "width": tracks.width, "height": tracks.height}
    order = ("frame", "side", "track", "score")
    track_file.write(path, columns, {**DESCRIPTION, **about, **tracks.metadata}, sort=order)


def read(path: Path) -> HandTracks:
    """Read a clip's hands.

    Raises:
        ValueError: the file is something else.
    """
    table, said = track_file.read(path, KIND, VERSION)
    about = {name: said.pop(name) for name in ("frames", "fps", "width", "height")}
    joints = len(HAND_JOINTS)
    return HandTracks(
        **about,
        frame=track_file.numbers(table, "frame"),
        track=track_file.numbers(table, "track"),
        left=track_file.numbers(table, "side") == "left",
        score=track_file.numbers(table, "score"),
        person=track_file.numbers(table, "person"),
        px=track_file.arrays(table, "px", joints, 2),
        world_m=track_file.arrays(table, "world_m", joints, 3),
        object=track_file.numbers(table, "object").astype(object),
        object_gap=track_file.numbers(table, "object_gap").astype(np.float32),
        metadata={key: value for key, value in said.items() if key not in DESCRIPTION},
    )
