"""Scores of a clip's pose tracks. All are plain numbers that depend on neither resolution nor frame rate.

``body_frame_share``, ``hand_frame_share``
    Frames with a body (with a hand) / frames of the clip.

``pose_score``, 0..1
    The larger of the two, so that a first-person clip is judged by its hands:

    - ``body_pose_score`` = ``body_frame_share`` x the mean visibility of the 12 limb joints (shoulders, elbows,
      wrists, hips, knees, ankles) over the frames with a body
    - ``hand_pose_score`` = ``hand_frame_share`` x the mean certainty about the side over the hands found

``hand_object_share``
    Frames in which a hand is at most half its size away from a thing that the detector follows / frames of the clip.

``motion_score``, metres a second
    The mean of the frames' speeds; 0 where none can be measured. A frame's speed is the largest of its bodies' and its
    hands'. A part's speed at frame f is the mean over the fastest third of its joints, since who
    drinks or writes moves one limb alone, of

        |px(b) - px(a)| / scale / (t(b) - t(a)),   a, b = f -+ 0.1 s, cut off at the clip's ends

    A body's joints are nose, ears and limbs with visibility >= 0.5 at both ends, at least three of them; a hand's are
    all 21. Only what was followed from a to b is measured. ``scale``, in pixels a metre, is the root mean square
    distance of the joints from their centre in the picture divided by the same in the model's metric x and y (the scale
    of a weak perspective camera), averaged over a and b. So it is motion across the picture at the person's own
    distance; the camera's motion is in it, motion along the line of sight is not. Measuring over 0.2 s keeps the
    models' jitter out.
    Speeds above 12 m/s, faster than any sprinter, are jumps to another person or hand and do not count.

``motion_len``, seconds
    Length of the longest run of frames whose speed is at least 0.1 m/s; pauses of up to 0.25 s do not end it.

``motion_frames``
    How many frames have a speed of at least 0.1 m/s.

``motion_share``, ``motion_measured_share``
    Frames with a speed of at least 0.1 m/s (with a speed at all) / frames of the clip.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.domain.skeleton import LIMB_JOINTS, MOVING_JOINTS
from humannet_ops.media.body_tracks import BodyTracks
from humannet_ops.media.hand_tracks import HandTracks
from humannet_ops.media.poses import Poses

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.floating]
    Part = tuple[NDArray[np.int32], Array, Array, NDArray[np.bool_]]

HALF_WINDOW_S = 0.1
MIN_VISIBILITY = 0.5
MIN_JOINTS = 3
FASTEST_SHARE = 1 / 3
# People who sit or stand still, and the models' jitter on them, have 0.02 to 0.07 on average (measured on a talking
# head, a man in a car and a standing dancer); a slow hand, 10 cm in a second, reaches it.
MOTION_FLOOR = 0.1
MAX_SPEED = 12.0
MAX_PAUSE_S = 0.25
# Hand sizes from a thing within which a hand reaches for it or holds it.
NEAR_GAP = 0.5
DIGITS = 4
# Everything above that decides a score, for the stage's version.
CONSTANTS = {
    "half_window_s": HALF_WINDOW_S,
    "min_visibility": MIN_VISIBILITY,
    "min_joints": MIN_JOINTS,
    "fastest_share": FASTEST_SHARE,
    "motion_floor_m_s": MOTION_FLOOR,
    "max_speed_m_s": MAX_SPEED,
    "max_pause_s": MAX_PAUSE_S,
}


def of_bodies(bodies: BodyTracks | None) -> dict[str, float]:
    """Score a clip's bodies, rounded to ``DIGITS``; the module's docstring has the formulas."""
    share = bodies.frame_share if bodies else 0.0
    score = share * _mean(bodies.visibility[:, LIMB_JOINTS]) if bodies else 0.0
    return _rounded({"body_pose_score": score, "body_frame_share": share})


def of_hands(hands: HandTracks) -> dict[str, float]:
    """Score a clip's hands."""
    return _rounded(
        {
            "hand_pose_score": hands.frame_share * _mean(hands.score),
            "hand_frame_share": hands.frame_share,
            "hand_object_share": hands.near_share(NEAR_GAP),
        }
    )


def of_motion(poses: Poses) -> dict[str, float]:
    """Score what both together show: how well the pose is seen, and how much moves."""
    speeds = frame_speeds(poses)
    moving = np.nan_to_num(speeds) >= MOTION_FLOOR
    body, hand = of_bodies(poses.bodies), of_hands(poses.hands)
    found = {
        "pose_score": max(body["body_pose_score"], hand["hand_pose_score"]),
        "motion_score": _mean(speeds[~np.isnan(speeds)]),
        "motion_len": longest_run(moving, round(MAX_PAUSE_S * poses.fps)) / poses.fps,
        "motion_share": _mean(moving),
        "motion_measured_share": _mean(~np.isnan(speeds)),
    }
    return {**_rounded(found), "motion_frames": int(moving.sum())}


NO_MOTION = {
    "pose_score": 0.0,
    "motion_score": 0.0,
    "motion_len": 0.0,
    "motion_share": 0.0,
    "motion_measured_share": 0.0,
    "motion_frames": 0,
}
"""``of_motion`` of a clip that has neither bodies nor hands."""


def _rounded(found: dict[str, float]) -> dict[str, float]:
    return {name: round(float(value), DIGITS) for name, value in found.items()}


def _mean(values: NDArray[Any]) -> float:
    return float(np.mean(values, dtype=np.float64)) if values.size else 0.0


def frame_speeds(poses: Poses) -> NDArray[np.float64]:
    """Return every frame's speed in m/s, NaN where none can be measured."""
    fastest = np.full(poses.frames, np.nan)
    for part in _parts(poses):
        fastest = np.fmax(fastest, _part_speeds(part, poses.frames, poses.fps))
    return fastest


def _parts(poses: Poses) -> Iterator[Part]:
    """Give each body and hand that is followed: its frames, pixels, metres, and which joints are seen."""
    bodies, hands = poses.bodies, poses.hands
    for track in np.unique(bodies.track):
        mine = bodies.track == track
        yield (
            bodies.frame[mine],
            bodies.px[mine][:, MOVING_JOINTS],
            bodies.world_m[mine][:, MOVING_JOINTS],
            bodies.visibility[mine][:, MOVING_JOINTS] >= MIN_VISIBILITY,
        )
    for track in np.unique(hands.track[hands.track >= 0]):
        mine = hands.track == track
        seen = np.ones((np.count_nonzero(mine), hands.px.shape[1]), np.bool_)
        yield hands.frame[mine], hands.px[mine], hands.world_m[mine], seen


def _part_speeds(part: Part, frames: int, fps: float) -> NDArray[np.float64]:
    numbers, px, world, seen = part
    row_of = np.full(frames, -1)
    row_of[numbers] = np.arange(len(numbers))
    speeds = np.full(frames, np.nan)
    reach = max(1, round(HALF_WINDOW_S * fps))
    for frame in range(frames):
        before, after = max(0, frame - reach), min(frames - 1, frame + reach)
        a, b = row_of[before], row_of[after]
        if a < 0 or b < 0 or a == b:
            continue
        both = seen[a] & seen[b]
        if np.count_nonzero(both) < MIN_JOINTS:
            continue
        scale = (_pixels_per_metre(px[a][both], world[a][both]) + _pixels_per_metre(px[b][both], world[b][both])) / 2
        moved = np.sort(np.linalg.norm(px[b][both] - px[a][both], axis=1))
        fastest = moved[-max(1, round(FASTEST_SHARE * len(moved))) :]
        speed = fastest.mean() / scale * fps / (after - before)
        if speed <= MAX_SPEED:
            speeds[frame] = speed
    return speeds


def _pixels_per_metre(px: Array, world: Array) -> float:
    """Return the scale of a weak perspective camera; infinite where the joints fall together."""
    flat = np.sqrt(((px - px.mean(axis=0)) ** 2).sum(axis=1).mean())
    deep = world[:, :2]
    metric = np.sqrt(((deep - deep.mean(axis=0)) ** 2).sum(axis=1).mean())
    return float(flat / metric) if metric > 0 and flat > 0 else float("inf")


def longest_run(moving: NDArray[np.bool_], max_pause: int) -> int:
    """Return how many frames the longest run has, from its first moving frame to its last.

    Args:
        moving: One truth a frame.
        max_pause: Frames in a row that may be false inside a run.
    """
    where = np.flatnonzero(moving)
    if not len(where):
        return 0
    breaks = np.flatnonzero(np.diff(where) > max_pause + 1)
    starts, ends = where[np.r_[0, breaks + 1]], where[np.r_[breaks, len(where) - 1]]
    return int((ends - starts).max()) + 1
