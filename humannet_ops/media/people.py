"""Who and what is in a clip: boxes of the detector, followed from frame to frame.

Parquet columns (version 1): ``frame`` int32, counted from 0; ``t_s`` double, seconds on the clip's clock; ``label`` the
COCO class; ``track`` int32, the same number for the same person or thing throughout the clip, -1 for a box that was
seen too briefly to be followed; ``score`` float 0..1; ``x1``, ``y1``, ``x2``, ``y2`` float, pixels of the clip.

The detector looks at some ``LOOKS_PER_S`` frames a second; the metadata's ``looked_at`` lists them. A frame without a
row had nothing in it. Boxes are linked by ByteTrack (Zhang et al. 2022, arXiv 2110.06864), each class by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.media import track_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from humannet_ops.domain.detection import Detection

KIND, VERSION = "people", 1
PERSON = "person"
# A person who is hidden for so long is the same afterwards.
BRIDGED_S = 1.0
# ByteTrack's own default: boxes that overlap less are not the same thing.
MIN_IOU = 0.1
DESCRIPTION = {
    "kind": KIND,
    "version": VERSION,
    "units": {"t_s": "s", "score": "0..1", "x1": "pixel", "y1": "pixel", "x2": "pixel", "y2": "pixel"},
    "frames_of_reference": {
        "t_s": "the clip's clock, 0 at its first frame",
        "x1, y1, x2, y2": "left, top, right, bottom; origin top left of the clip's picture, y down",
    },
}


@dataclass(frozen=True)
class People:
    """The boxes of a clip. N of them, in order of their frames.

    Attributes:
        frames: Frames of the clip.
        fps: Frames a second.
        width: Of the clip, in pixels.
        height: Of the clip, in pixels.
        looked_at: The frames that the detector saw, ascending.
        frame: N, each box's frame.
        label: N strings, COCO classes.
        track: N, -1 where a box belongs to no track.
        score: N.
        box: N x 4: x1, y1, x2, y2 in pixels.
        metadata: What else the file says about itself.
    """

    frames: int
    fps: float
    width: int
    height: int
    looked_at: NDArray[np.int32]
    frame: NDArray[np.int32]
    label: NDArray[Any]
    track: NDArray[np.int32]
    score: NDArray[np.float32]
    box: NDArray[np.float32]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def person_tracks(self) -> list[int]:
        """The numbers of the persons, who is seen in most frames first."""
        of_person = (self.label == PERSON) & (self.track >= 0)
        tracks, seen = np.unique(self.track[of_person], return_counts=True)
        return [int(track) for track in tracks[np.lexsort((tracks, -seen))]]

    @property
    def objects(self) -> dict[str, int]:
        """How many things of each class were followed, persons among them."""
        followed = self.track >= 0
        pairs = zip(self.label[followed].tolist(), self.track[followed].tolist(), strict=True)
        return dict(sorted(Counter(label for label, _ in set(pairs)).items()))

    def boxes_of(self, track: int, reach: int) -> NDArray[np.float64]:
        """Return a track's box in every frame of the clip, interpolated between the frames that were looked at.

        Args:
            track: A track's number.
            reach: Frames from one sighting to the next, at most, that are bridged; as many before the first sighting
                and after the last keep its box, divided by two.

        Returns:
            frames x 4; NaN where the track is not there.
        """
        mine = self.track == track
        at, boxes = self.frame[mine], self.box[mine].astype(np.float64)
        found = np.full((self.frames, 4), np.nan)
        if not len(at):
            return found
        everywhere = np.arange(self.frames)
        for side in range(4):
            found[:, side] = np.interp(everywhere, at, boxes[:, side])
        after = np.searchsorted(at, everywhere, side="left")
        ahead = np.where(after < len(at), at[np.minimum(after, len(at) - 1)] - everywhere, np.iinfo(np.int32).max)
        before = np.searchsorted(at, everywhere, side="right") - 1
        behind = np.where(before >= 0, everywhere - at[np.maximum(before, 0)], np.iinfo(np.int32).max)
        bridged = ahead.astype(np.int64) + behind <= reach
        near = np.minimum(ahead, behind) <= reach // 2
        found[~(bridged | near)] = np.nan
        return found


def track(
    found: Sequence[tuple[int, Sequence[Detection]]],
    *,
    fps: float,
    looks_per_s: float,
    size: tuple[int, int],
    frames: int,
    starts_at: float,
    metadata: Mapping[str, Any] | None = None,
) -> People:
    """Link boxes into tracks.

    Args:
        found: A frame's number and what was detected in it, for every frame that was looked at, in order.
        fps: Of the clip.
        looks_per_s: How many frames a second were looked at.
        size: Width and height of the clip, in pixels.
        frames: Frames of the clip.
        starts_at: The score that a box needs to begin a track.
        metadata: JSON values to keep with the tracks.
    """
    width, height = size
    scale = np.array([width, height, width, height], np.float32)
    rows = [(number, box) for number, boxes in found for box in boxes]
    box = np.array([[one.x1, one.y1, one.x2, one.y2] for _, one in rows], np.float32).reshape(-1, 4) * scale
    label = np.array([one.label for _, one in rows], object)
    score = np.array([one.score for _, one in rows], np.float32)
    frame = np.array([number for number, _ in rows], np.int32)
    looked_at = np.array([number for number, _ in found], np.int32)
    tracks = np.full(len(rows), -1, np.int32)
    first = 0
    for name in sorted(set(label)):
        of_class = np.flatnonzero(label == name)
        linked = link(looked_at, frame[of_class], box[of_class], score[of_class], looks_per_s, starts_at=starts_at)
        tracks[of_class] = np.where(linked >= 0, linked + first, -1)
        first += int(linked.max(initial=-1)) + 1
    return People(
        frames, fps, width, height, looked_at, frame, label, tracks, score,
        track_file.rounded(box, 1 / 16), metadata or {},
    )  # fmt: skip


def link(
    looked_at: NDArray[Any],
    frame: NDArray[np.int32],
    box: NDArray[np.float32],
    score: NDArray[np.float32],
    looks_per_s: float,
    *,
    starts_at: float,
    bridged_s: float = BRIDGED_S,
) -> NDArray[np.int32]:
    """Link boxes of one class from frame to frame by ByteTrack.

    Args:
        looked_at: L frames that were looked at, ascending.
        frame: N, each box's frame.
        box: N x 4, pixels.
        score: N.
        looks_per_s: How many frames a second were looked at.
        starts_at: The score that a box needs to begin a track.
        bridged_s: Seconds for which a track may be out of sight.

    Returns:
        N: each box's track, counted from 0 in order of their beginnings; -1 where it has none.
    """
    import supervision
    from trackers import ByteTrackTracker

    tracker = ByteTrackTracker(
        lost_track_buffer=round(bridged_s * 30),  # it counts in 1/30 s
        frame_rate=looks_per_s,
        track_activation_threshold=starts_at,
        high_conf_det_threshold=starts_at,
        minimum_consecutive_frames=1,
        minimum_iou_threshold=MIN_IOU,
    )
    linked = np.full(len(frame), -1, np.int32)
    for number in looked_at:
        here = np.flatnonzero(frame == number)
        seen = supervision.Detections(xyxy=box[here].reshape(-1, 4), confidence=score[here], data={"row": here})
        answer = tracker.update(seen)
        if len(answer) and answer.tracker_id is not None:
            linked[np.asarray(answer.data["row"], int)] = answer.tracker_id
    _give_first_boxes(linked, looked_at, frame, box, score >= starts_at)
    return _renumbered(linked)


def _give_first_boxes(
    linked: NDArray[np.int32],
    looked_at: NDArray[Any],
    frame: NDArray[np.int32],
    box: NDArray[np.float32],
    may_start: NDArray[np.bool_],
) -> None:
    """Give each track the box that began it: the tracker numbers a track from its second box on."""
    from supervision import box_iou_batch

    tracks, firsts = np.unique(linked, return_index=True)
    for track, first in zip(tracks, firsts, strict=True):
        before = looked_at[looked_at < frame[first]][-1:]
        free = np.flatnonzero(np.isin(frame, before) & (linked < 0) & may_start)
        if track < 0 or not len(free):
            continue
        overlaps = box_iou_batch(box[first : first + 1], box[free])[0]
        if overlaps.max() >= MIN_IOU:
            linked[free[overlaps.argmax()]] = track


def _renumbered(linked: NDArray[np.int32]) -> NDArray[np.int32]:
    """Count tracks from 0 in order of their beginnings, without those that have one box only."""
    tracks, first, seen = np.unique(linked, return_index=True, return_counts=True)
    lasting = (tracks >= 0) & (seen > 1)
    order = tracks[lasting][np.argsort(first[lasting])]
    number = {int(track): place for place, track in enumerate(order)}
    return np.array([number.get(int(track), -1) for track in linked], np.int32)


def write(path: Path, people: People) -> None:
    """Write a clip's boxes. Equal boxes give equal bytes."""
    track_file.write(
        path,
        {
            "frame": people.frame,
            "t_s": people.frame / people.fps,
            "label": people.label.tolist(),
            "track": people.track,
            "score": people.score,
            **{name: people.box[:, side] for side, name in enumerate(("x1", "y1", "x2", "y2"))},
        },
        {
            **DESCRIPTION,
            "frames": people.frames,
            "fps": people.fps,
            "width": people.width,
            "height": people.height,
            "looked_at": people.looked_at.tolist(),
            **people.metadata,
        },
        sort=("frame", "label", "track", "x1", "y1"),
    )


def read(path: Path) -> People:
    """Read a clip's boxes.

    Raises:
        ValueError: the file is something else.
    """
    table, said = track_file.read(path, KIND, VERSION)
    own = {"frames", "fps", "width", "height", "looked_at"}
    return People(
        frames=said["frames"],
        fps=said["fps"],
        width=said["width"],
        height=said["height"],
        looked_at=np.array(said["looked_at"], np.int32),
        frame=track_file.numbers(table, "frame"),
        label=track_file.numbers(table, "label"),
        track=track_file.numbers(table, "track"),
        score=track_file.numbers(table, "score"),
        box=np.stack([track_file.numbers(table, name) for name in ("x1", "y1", "x2", "y2")], axis=1),
        metadata={key: value for key, value in said.items() if key not in own | DESCRIPTION.keys()},
    )
