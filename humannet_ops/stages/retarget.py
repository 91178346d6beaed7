"""retarget: a person's motion as a humanoid's, and hands as two grippers; and whether a robot could do it.

**Body.** Of the persons of a clip the one whose body is seen in most frames. The joint set is
``embodiment.robots.POINTS``: shoulders, elbows, wrists, hips, knees, ankles. A frame is *valid* if that person has a
body in it and at least ``MIN_JOINTS`` of the twelve have a visibility of ``MIN_VISIBILITY`` or more. The person's bones
are calibrated over the valid frames (``embodiment/targets.py``), then inverse kinematics follows all frames with a
body. A frame's error is the mean distance of the twelve points from their targets, in millimetres of the robot.

**Hands.** Every hand in front of the camera, as a gripper (``media/end_effectors.py``). A hand is valid if its error is
below ``READY_ERROR_MM``; a frame is valid if it has a valid hand.

``robot_ready`` = mean error over valid frames < 15 mm and coverage > 60 %, of the body where there is one, else of the
hands; ``robot_ready_by`` says which. Coverage = valid frames / frames of the clip. Both thresholds are HumanNet's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.domain.outcome import Reason
from humannet_ops.domain.records import Annotation, Artifact, ClipSubject, Result, kept, skipped
from humannet_ops.domain.skeleton import LIMB_JOINTS
from humannet_ops.domain.stage import StageSpec
from humannet_ops.embodiment import kinematics, robots, targets
from humannet_ops.embodiment.kinematics import Follower
from humannet_ops.media import body_tracks, camera_track, end_effectors, hand_tracks, robot_motion
from humannet_ops.media.track_file import PARQUET
from humannet_ops.settings import Settings
from humannet_ops.stages.protocol import Context

if TYPE_CHECKING:
    from humannet_ops.detectors.lock import ModelLock
    from humannet_ops.media.body_tracks import BodyTracks
    from humannet_ops.media.camera_track import CameraTrack
    from humannet_ops.media.end_effectors import EndEffectors
    from humannet_ops.media.hand_tracks import HandTracks
    from humannet_ops.media.robot_motion import RobotMotion

ROLE = "robot"
READ = ("pose_body", "pose_hands", "camera_trajectory")
SPEC = StageSpec("retarget", "clip", revision=1, queue="cpu", needs=READ, reads=READ, roles=(ROLE,))
MIN_JOINTS, MIN_VISIBILITY = 10, 0.5
# Below this many valid frames a median bone is no calibration: a third of a second.
MIN_FRAMES = 10
READY_ERROR_MM, READY_COVERAGE = 15.0, 0.6
NOTHING: dict[str, Any] = {"robot_ready": False, "retarget_coverage": 0.0}


def configuration(config: Settings, models: ModelLock) -> dict[str, Any]:
    """Return what else decides the result."""
    return {
        "robots": robots.known().get(config.robot),
        "valid": [MIN_JOINTS, MIN_VISIBILITY, MIN_FRAMES],
        "ready": [READY_ERROR_MM, READY_COVERAGE],
        "assumed_fov_deg": end_effectors.ASSUMED_FOV_DEG,
        "formats": [robot_motion.VERSION, end_effectors.VERSION],
        **kinematics.CONSTANTS,
    }


class Retarget:
    """Retargets one clip."""

    def __init__(self, context: Context) -> None:
        from humannet_ops.detectors.lock import ModelError

        if context.models is None:
            raise ModelError("No models are installed. Run `humannet models install`.")
        model = context.models[ROLE]
        model.verify()
        self.context, self.release = context, model.release
        self.follower = Follower(robots.load(model.name, model.path))

    def process(self, subject: ClipSubject) -> Result:
        """Follow the body, place the hands, and say whether a robot could do it."""
        bodies, hands = self._read(subject, body_tracks), self._read(subject, hand_tracks)
        motion = self._motion(bodies) if bodies is not None else None
        effectors = placed(hands, self._read(subject, camera_track)) if hands is not None else None
        if motion is None and effectors is None:
            return skipped(Reason.NO_BODY, "no body is seen well enough, and no hand", scores=NOTHING)
        artifacts: list[Artifact] = []
        for kind, made, module in (
            (robot_motion.KIND, motion, robot_motion),
            (end_effectors.KIND, effectors, end_effectors),
        ):
            if made is not None:
                target = self.context.scratch / f"{kind}.parquet"
                module.write(target, made)
                artifacts.append(self.context.store.put(target, kind=kind, suffix=".parquet", media_type=PARQUET))
        scores = summary(motion, effectors)
        robot = {"robot": self.follower.robot.name} if motion is not None else {}
        return kept(
            scores=scores,
            detail=robot,
            artifacts=tuple(artifacts),
            records=(Annotation(SPEC.name, self.release, {**scores, **robot}, artifacts[0]),),
            model_releases=(self.release,),
        )

    def _read(self, subject: ClipSubject, module: Any) -> Any:
        found = subject.inputs.get(module.KIND)
        if found is None:
            return None
        with self.context.store.local(found.uri) as path:
            return module.read(path)

    def _motion(self, bodies: BodyTracks) -> RobotMotion | None:
        tracks, seen = np.unique(bodies.track, return_counts=True)
        track = int(tracks[np.argmax(seen)])
        mine = bodies.track == track
        valid = is_valid(bodies.visibility[mine])
        if valid.sum() < MIN_FRAMES:
            return None
        robot = self.follower.robot
        points = targets.upright(bodies.world_m[mine])
        factor = targets.factors(points[valid], robot.rest)
        followed = self.follower.follow(targets.targets(points, factor))
        return robot_motion.RobotMotion(
            frames=bodies.frames,
            fps=bodies.fps,
            robot=robot.name,
            joints=robot.joints,
            points=robots.POINTS,
            track=track,
            frame=bodies.frame[mine],
            valid=valid,
            error_mm=(followed.error_m.mean(axis=1) * 1000).astype(np.float32),
            point_error_mm=(followed.error_m * 1000).astype(np.float32),
            qpos=followed.qpos.astype(np.float32),
            metadata={
                "bone_factors": {name: round(value, 4) for name, value in factor.items()},
                "valid_frame": f"visibility >= {MIN_VISIBILITY} at {MIN_JOINTS} of {len(robots.POINTS)} points",
                "model_releases": {ROLE: self.release},
            },
        )


def placed(hands: HandTracks, camera: CameraTrack | None) -> EndEffectors:
    """Return hands as grippers, seen by the camera that was reconstructed, or by an assumed one."""
    focal_px = camera.focal_px if camera else end_effectors.assumed_focal_px(hands.width, hands.height)
    return end_effectors.place(hands, focal_px, focal_known=camera is not None, most_error_mm=READY_ERROR_MM)


def is_valid(visibility: Any) -> Any:
    """Say of each of N bodies whether its frame is valid.

    Args:
        visibility: N x 33, 0..1.
    """
    return (np.asarray(visibility)[:, LIMB_JOINTS] >= MIN_VISIBILITY).sum(axis=1) >= MIN_JOINTS


def summary(motion: RobotMotion | None, effectors: EndEffectors | None) -> dict[str, Any]:
    """Return the clip's scores: errors in millimetres over valid frames, coverage, and ``robot_ready``."""
    if motion is not None:
        by, errors, coverage = "body", motion.error_mm[motion.valid], motion.coverage
    elif effectors is not None:
        by, errors, coverage = "hands", effectors.error_mm[effectors.valid], effectors.coverage
    else:
        return dict(NOTHING)
    if not len(errors):
        return {**NOTHING, "robot_ready_by": by}
    mean = float(errors.mean())
    return {
        "robot_ready": mean < READY_ERROR_MM and coverage > READY_COVERAGE,
        "robot_ready_by": by,
        "retarget_coverage": round(coverage, 4),
        "retarget_error_mm_mean": round(mean, 2),
        "retarget_error_mm_p50": round(float(np.percentile(errors, 50)), 2),
        "retarget_error_mm_p95": round(float(np.percentile(errors, 95)), 2),
    }
