"""camera_trajectory: the path of the wearer's camera, where a clip allows one.

A clip qualifies if it is seen in first person (``decide``'s viewpoint) and, by ``media/camera_motion.py`` on keyframes
with people and hands masked,

- the camera moves: ``camera_speed`` >= ``MIN_SPEED``
- it can be followed: ``camera_stability`` >= ``MIN_STABILITY``
- depth shows: ``camera_parallax`` >= ``MIN_PARALLAX``

Then the role ``camera_reconstruction`` places the keyframes. The path counts if at least ``MIN_COVERAGE`` of them are
placed together and half of the points are seen under ``MIN_ANGLE_DEG`` or more. A clip that does not qualify is skipped
and says why, with the numbers.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.detectors.factory import open_camera_reconstruction
from humannet_ops.domain.outcome import Reason
from humannet_ops.domain.records import Annotation, ClipSubject, Result, kept, skipped
from humannet_ops.domain.stage import StageSpec
from humannet_ops.media import camera_motion, camera_track, clip_frames, hand_tracks, people
from humannet_ops.media.camera_track import CameraTrack
from humannet_ops.media.track_file import PARQUET
from humannet_ops.settings import Settings
from humannet_ops.stages.protocol import Context

if TYPE_CHECKING:
    from pathlib import Path

    from humannet_ops.detectors.lock import ModelLock
    from humannet_ops.detectors.protocol import Frame, Mask, Reconstructed
    from humannet_ops.media.camera_motion import CameraMotion
    from humannet_ops.media.hand_tracks import HandTracks
    from humannet_ops.media.people import People

ROLE = "camera_reconstruction"
READ = ("decide", "track_people", "pose_hands")
SPEC = StageSpec(
    "camera_trajectory",
    "clip",
    revision=1,
    queue="cpu",
    needs=("track_people", "pose_hands"),
    reads=READ,
    roles=(ROLE,),
)
# Keyframes a second, and the most of a clip: ten seconds have sixty.
KEYFRAMES_PER_S, MAX_KEYFRAMES = 6.0, 60
# Picture diagonals a second. A camera on a stand has under 0.001, a wearer who sits and cooks 0.03 (../shared/corpus).
MIN_SPEED = 0.005
# Of the first-person videos of the corpus the one of heavy blur has 0.09, the others 0.55 and more.
MIN_STABILITY = 0.3
# A rendered camera that only turns has 0.00, one that walks 0.48; the first-person videos 0.16 and more.
MIN_PARALLAX = 0.1
MIN_COVERAGE, MIN_PLACED = 0.3, 8
# Below it depth, and with it the path, is as good as not known; COLMAP asks 16 of its first pair and 1.5 of a point.
MIN_ANGLE_DEG = 1.5
# How far a mask reaches beyond a hand or a person, in sizes of their box.
MARGIN = 0.15


def configuration(config: Settings, models: ModelLock) -> dict[str, Any]:
    """Return what else decides the result."""
    return {
        "keyframes": [KEYFRAMES_PER_S, MAX_KEYFRAMES, camera_motion.WIDTH],
        "gates": [MIN_SPEED, MIN_STABILITY, MIN_PARALLAX, MIN_COVERAGE, MIN_PLACED, MIN_ANGLE_DEG],
        "motion": [camera_motion.BASELINE_S, camera_motion.FIT_PX, camera_motion.RETURN_PX],
        "margin": MARGIN,
        "camera_track": camera_track.VERSION,
    }


class CameraTrajectory:
    """Finds the path of one clip's camera."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.model = open_camera_reconstruction(context.models, context.config)

    def process(self, subject: ClipSubject) -> Result:
        """Measure, reconstruct where it is worth it, store the path."""
        if subject.viewpoint != "ego":
            return skipped(Reason.NOT_EGO, f"the clip's viewpoint is {subject.viewpoint or 'not known'}")
        around = self._read(subject, people)
        with self.context.store.local(subject.inputs["clip"].uri) as path:
            frames, pictures, clip = self._keyframes(path)
        masks = self._masks(subject, around, frames, pictures)
        motion = camera_motion.measure(pictures, masks, (frames[1] - frames[0]) / clip.fps if len(frames) > 1 else 1.0)
        scores = {
            "camera_speed": motion.speed,
            "camera_stability": motion.stability,
            "camera_parallax": motion.parallax,
        }
        if refused := refusal(motion):
            return skipped(*refused, scores=scores)
        found = self._reconstruct(pictures, masks)
        placed = 0 if found is None else len(found.registered)
        if found is None or placed < max(MIN_PLACED, MIN_COVERAGE * len(frames)) or found.angle_deg < MIN_ANGLE_DEG:
            angle = 0.0 if found is None else found.angle_deg
            return skipped(
                Reason.NOT_RECONSTRUCTED,
                f"{placed} of {len(frames)} keyframes could be placed together, their points under {angle:.1f} degrees",
                scores=scores,
                model_releases=(self.model.release,),
            )
        return self._kept(found, frames, clip, scores)

    def _kept(
        self, found: Reconstructed, frames: Sequence[int], clip: clip_frames.ClipFrames, scores: dict[str, Any]
    ) -> Result:
        shrunk = clip.width / camera_motion.WIDTH
        position, quaternion = np.full((len(frames), 3), np.nan), np.full((len(frames), 4), np.nan)
        moved, turned, unit = camera_track.relative(found.position, found.quaternion, in_metres=found.in_metres)
        position[found.registered], quaternion[found.registered] = moved, turned
        track = CameraTrack(
            frames=clip.count,
            fps=clip.fps,
            unit=unit,
            focal_px=round(found.focal_px * shrunk, 2),
            reprojection_px=round(found.reprojection_px * shrunk, 4),
            points=found.points,
            frame=np.array(frames, np.int32),
            registered=~np.isnan(position[:, 0]),
            position=position.astype(np.float32),
            quaternion=quaternion.astype(np.float32),
            metadata={"model_releases": {ROLE: self.model.release}, "angle_deg": round(found.angle_deg, 2)},
        )
        target = self.context.scratch / "camera.parquet"
        camera_track.write(target, track)
        artifact = self.context.store.put(target, kind=camera_track.KIND, suffix=".parquet", media_type=PARQUET)
        scores = {
            **scores,
            "camera_coverage": round(track.coverage, 4),
            "camera_reprojection_px": track.reprojection_px,
            "camera_points": track.points,
        }
        value = {**scores, "unit": unit, "focal_px": track.focal_px}
        return kept(
            scores=scores,
            artifacts=(artifact,),
            records=(Annotation(SPEC.name, self.model.release, value, artifact),),
            model_releases=(self.model.release,),
        )

    def _read(self, subject: ClipSubject, module: Any) -> Any:
        found = subject.inputs.get(module.KIND)
        if found is None:
            return None
        with self.context.store.local(found.uri) as path:
            return module.read(path)

    def _keyframes(self, path: Path) -> tuple[list[int], list[Frame], clip_frames.ClipFrames]:
        import cv2

        config = self.context.config
        frames: list[int] = []
        pictures: list[Frame] = []
        with clip_frames.open_clip(path, threads=config.threads, timeout_s=config.subject_timeout_s) as clip:
            every = max(1, round(clip.fps / KEYFRAMES_PER_S))
            height = round(clip.height * camera_motion.WIDTH / clip.width)
            for number, frame in enumerate(clip):
                if number % every == 0 and len(frames) < MAX_KEYFRAMES:
                    frames.append(number)
                    pictures.append(cv2.resize(frame, (camera_motion.WIDTH, height), interpolation=cv2.INTER_AREA))
        return frames, pictures, clip

    def _masks(
        self, subject: ClipSubject, around: People | None, frames: Sequence[int], pictures: Sequence[Frame]
    ) -> list[Mask]:
        hands: HandTracks | None = self._read(subject, hand_tracks)
        return [
            mask_of(number, picture.shape[:2], around, hands) for number, picture in zip(frames, pictures, strict=True)
        ]

    def _reconstruct(self, pictures: Sequence[Frame], masks: Sequence[Mask]) -> Reconstructed | None:
        folder = self.context.scratch / "camera"
        folder.mkdir()
        try:
            return self.model.reconstruct(pictures, masks, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def refusal(motion: CameraMotion) -> tuple[Reason, str] | None:
    """Return why a clip is not worth reconstructing, or None if it is."""
    if motion.speed < MIN_SPEED:
        return (
            Reason.CAMERA_STILL,
            f"the camera moves by {motion.speed:.4f} picture diagonals a second, {MIN_SPEED} is asked",
        )
    if motion.stability < MIN_STABILITY:
        return Reason.UNSTABLE, f"{motion.stability:.0%} of points can be followed, {MIN_STABILITY:.0%} is asked"
    if motion.parallax < MIN_PARALLAX:
        return Reason.NO_PARALLAX, f"{motion.parallax:.0%} of points show depth, {MIN_PARALLAX:.0%} is asked"
    return None


def mask_of(number: int, size: tuple[int, int], around: People | None, hands: HandTracks | None) -> Mask:
    """Return where people and hands are in a frame.

    Args:
        number: The frame.
        size: Height and width of the mask.
        around: The clip's people; as of the nearest look.
        hands: Its hands.
    """
    import cv2

    mask = np.zeros(size, np.uint8)
    boxes: list[Any] = []
    if around is not None and len(around.looked_at):
        look = around.looked_at[np.argmin(np.abs(around.looked_at - number))]
        here = (around.frame == look) & (around.label == people.PERSON)
        boxes += [(box, around.width) for box in around.box[here]]
    if hands is not None:
        for px in hands.px[hands.frame == number]:
            boxes.append((np.concatenate([px.min(axis=0), px.max(axis=0)]), hands.width))
    for box, width in boxes:
        scale = size[1] / width
        margin = MARGIN * max(box[2] - box[0], box[3] - box[1])
        x1, y1, x2, y2 = (
            np.array([box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin]) * scale
        ).astype(int)
        cv2.rectangle(mask, (int(x1), int(y1)), (int(x2), int(y2)), 1, -1)
    return mask.astype(bool)
