"""pose_body: the body of every person who was followed, in every frame of a clip.

A person is cut out along the track: the pose model sees one person at a time, so it can neither jump to another nor
find one where the detector sees none. Two kinds of tracks get no skeleton, because the pose model draws one on
anything: those of which the detector is never sure (a dog, a person on a screen), and the wearer of the camera, of whom
only arms and legs are seen.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.detectors.factory import open_body_pose
from humannet_ops.domain.outcome import Reason
from humannet_ops.domain.records import Annotation, ClipSubject, Result, kept, skipped
from humannet_ops.domain.skeleton import Body
from humannet_ops.domain.stage import StageSpec
from humannet_ops.media import body_tracks, clip_frames, detections, people, pose_scores
from humannet_ops.media.track_file import PARQUET
from humannet_ops.settings import Settings
from humannet_ops.stages.protocol import Context

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from humannet_ops.detectors.lock import ModelLock
    from humannet_ops.detectors.protocol import BodyPose, Frame
    from humannet_ops.media.body_tracks import BodyTracks
    from humannet_ops.media.people import People

ROLE = "body_pose"
SPEC = StageSpec(
    "pose_body",
    "clip",
    revision=1,
    queue="gpu",
    needs=("track_people",),
    reads=("track_people", "detect"),
    roles=(ROLE,),
)
# The most persons of a clip whose bodies are estimated, those seen in most frames first. Each costs as much again.
MAX_BODIES = 3
# Seconds between two sightings of a person across which the body is still looked for, as the tracker bridges; and half
# of it before the first sighting and after the last.
REACH_S = people.BRIDGED_S
# The score that the detector must once give a person. In ../shared/corpus the tracks of no people reach 0.36 at most (a
# trainer's arm; a camera picture in a screen recording, 0.35; a dog, 0.32), those of people 0.39 at least.
SURE_AT = 0.38
# The wearer's box ends at the lower edge in at least this share of its looks (the wearers of the corpus: 0.92 and
# more), within this share of the picture's height, and holds no face in any sampled frame. So does who is seen from
# behind and cut off by the edge: that one goes without a skeleton too.
EDGE_SHARE, EDGE = 0.5, 0.01
FACE_SCORE = 0.5
# The side of the square that the model sees, in longer sides of the person's box: its own detector wants some margin.
MARGIN = 1.3


def configuration(config: Settings, models: ModelLock) -> dict[str, Any]:
    """Return what else decides the result."""
    return {
        "max_bodies": MAX_BODIES,
        "reach_s": REACH_S,
        "sure_at": SURE_AT,
        "wearer": [EDGE_SHARE, EDGE, FACE_SCORE],
        "margin": MARGIN,
        "body_tracks": [body_tracks.VERSION, body_tracks.DESCRIPTION["smoothing"]],
    }


class PoseBody:
    """Estimates the bodies of one clip."""

    def __init__(self, context: Context) -> None:
        self.context = context
        # one graph a person, so that each is followed by itself
        self.models = [open_body_pose(context.models, context.config) for _ in range(MAX_BODIES)]
        self.release = self.models[0].release

    def process(self, subject: ClipSubject) -> Result:
        """Estimate, store the bodies and say how well they are seen."""
        with self.context.store.local(subject.inputs[people.KIND].uri) as path:
            found = people.read(path)
        whole = whole_persons(found, self._faces(subject))
        if not whole:
            seen = (
                f"of {len(found.person_tracks)} followed, none is surely a person" if found.person_tracks else "nobody"
            )
            return skipped(
                Reason.NO_BODY,
                f"the detector follows {seen} other than who wears the camera",
                scores=pose_scores.of_bodies(None),
            )
        with self.context.store.local(subject.inputs["clip"].uri) as path:
            bodies = self._bodies(path, found, whole[:MAX_BODIES])
        scores = pose_scores.of_bodies(bodies)
        if not len(bodies.frame):
            return skipped(Reason.NO_BODY, "the pose model finds no body where the detector sees people", scores=scores)
        target = self.context.scratch / "bodies.parquet"
        body_tracks.write(target, bodies)
        artifact = self.context.store.put(target, kind=body_tracks.KIND, suffix=".parquet", media_type=PARQUET)
        about = {"bodies": len(np.unique(bodies.track)), "persons": len(found.person_tracks)}
        return kept(
            scores=scores,
            detail={"frames": bodies.frames, **about},
            artifacts=(artifact,),
            records=(Annotation(SPEC.name, self.release, {**scores, **about}, artifact),),
            model_releases=(self.release,),
        )

    def _faces(self, subject: ClipSubject) -> NDArray[np.float64] | None:
        """Return the faces that detect found while the clip runs: F x 3, seconds of the clip, x and y as shares."""
        detected = subject.video.inputs.get("detections")
        if detected is None:
            return None
        with self.context.store.local(detected.uri) as path:
            columns = detections.read(path).columns
        of_face = (columns["label"] == "face") & (columns["score"] >= FACE_SCORE)
        t_s, x, y = (
            columns["t_s"][of_face] - subject.start_s,
            (columns["x1"][of_face] + columns["x2"][of_face]) / 2,
            (columns["y1"][of_face] + columns["y2"][of_face]) / 2,
        )
        meanwhile = (t_s >= 0) & (t_s < subject.duration_s)
        faces: NDArray[np.float64] = np.column_stack([t_s, x, y])[meanwhile].astype(np.float64)
        return faces

    def _bodies(self, path: Path, found: People, tracks: Sequence[int]) -> BodyTracks:
        config = self.context.config
        squares = [crops(found.boxes_of(track, round(REACH_S * found.fps))) for track in tracks]
        models = self.models[: len(tracks)]
        for model in models:
            model.start()
        seen: list[tuple[int, int, Body]] = []
        with (
            clip_frames.open_clip(path, threads=config.threads, timeout_s=config.subject_timeout_s) as clip,
            ThreadPoolExecutor(config.threads, "body-pose") as pool,
        ):
            for number, frame in enumerate(clip):
                here = [square[number] if number < len(square) else np.full(3, np.nan) for square in squares]
                for track, body in zip(tracks, pool.map(estimate, models, [frame] * len(models), here), strict=True):
                    if body is not None:
                        seen.append((number, track, body))
        return body_tracks.collect(
            seen,
            frames=clip.count,
            fps=clip.fps,
            width=clip.width,
            height=clip.height,
            metadata={
                "model_releases": {ROLE: self.release},
                "gate": f"a followed person whom the detector gives {SURE_AT} once, and who is not the wearer",
            },
        )


def whole_persons(found: People, faces: NDArray[np.float64] | None) -> list[int]:
    """Return the person tracks that may have a skeleton, who is seen in most frames first.

    Args:
        found: The clip's boxes.
        faces: F x 3: seconds of the clip, x and y as shares of the picture; None where detect did not look for faces,
            then nobody is taken for the wearer.
    """
    return [
        track
        for track in found.person_tracks
        if found.score[found.track == track].max() >= SURE_AT and not _is_wearer(found, track, faces)
    ]


def _is_wearer(found: People, track: int, faces: NDArray[np.float64] | None) -> bool:
    lower = found.box[found.track == track][:, 3]
    if faces is None or (lower >= (1 - EDGE) * found.height).mean() < EDGE_SHARE:
        return False
    boxes = found.boxes_of(track, round(REACH_S * found.fps))
    for t_s, x, y in faces:
        left, top, right, bottom = boxes[min(found.frames - 1, round(t_s * found.fps))]
        if left <= x * found.width <= right and top <= y * found.height <= bottom:
            return False
    return True


def crops(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the square to look at in each frame: x, y of its corner and its side, in whole pixels; NaN where none.

    The side is one for the whole track, so that the picture does not breathe with the boxes; the centre follows them.

    Args:
        boxes: frames x 4, NaN where the track is not there.
    """
    there = ~np.isnan(boxes[:, 0])
    squares = np.full((len(boxes), 3), np.nan)
    if there.any():
        extent = boxes[there, 2:] - boxes[there, :2]
        side = np.ceil(MARGIN * extent.max())
        centre = (boxes[there, :2] + boxes[there, 2:]) / 2
        squares[there] = np.column_stack([np.floor(centre - side / 2), np.full(len(centre), side)])
    return squares


def estimate(model: BodyPose, frame: Frame, square: NDArray[np.float64]) -> Body | None:
    """Estimate the body inside a square, black where it reaches beyond the frame; pixels are the frame's."""
    if np.isnan(square).any():
        return None
    x, y, side = (int(value) for value in square)
    height, width = frame.shape[:2]
    seen = np.zeros((side, side, 3), np.uint8)
    left, top, right, bottom = max(0, x), max(0, y), min(width, x + side), min(height, y + side)
    seen[top - y : bottom - y, left - x : right - x] = frame[top:bottom, left:right]
    body = model.estimate(seen)
    return None if body is None else Body(body.px + np.array([x, y], np.float32), body.visibility, body.world_m)
