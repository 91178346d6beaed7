"""annotate: body and hand pose of every frame of a clip, and what follows from it: scores and a factual description.

The formulas of the scores are in ``humannet_ops.media.pose_scores``, the file's columns in
``humannet_ops.media.pose_tracks``.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median_low
from typing import TYPE_CHECKING, Any, cast

from humannet_ops.domain.outcome import Reason, SubjectError
from humannet_ops.domain.records import Annotation, Artifact, ClipSubject, Result, kept
from humannet_ops.domain.stage import StageSpec
from humannet_ops.media import detections, pose_scores, pose_tracks
from humannet_ops.media.pose_tracks import PoseTracks
from humannet_ops.settings import Settings
from humannet_ops.stages.protocol import Context

if TYPE_CHECKING:
    from pathlib import Path

    from humannet_ops.detectors.lock import ModelLock
    from humannet_ops.detectors.mediapipe_pose import Picture
    from humannet_ops.media.pose_tracks import Observation

SPEC = StageSpec("annotate", "clip", revision=1, queue="gpu", needs=("cut",), reads=("cut", "detect"))
PARQUET = "application/vnd.apache.parquet"
BODY, HANDS = "body_pose", "hand_pose"
# The pose model finds people in cartoons; the person detector does not. Detection samples two frames a second, so
# half a second reaches from one sample to the next.
GATE_S = 0.5
# A box with this score counts as a person, as in the policy (`person_likely`). With CenterNet 2 of 134 samples of
# videos without people reach it, and the same 2 reach 0.4, which loses a quarter of the basketball players.
PERSON_SCORE = 0.3
# Mean speed, m/s, below which a word is right. 1.4 m/s is the usual walking pace (Bohannon 1997).
PACES = ((0.5, "moving a little"), (1.4, "moving"))
FASTEST = "moving strongly"


def configuration(config: Settings, models: ModelLock) -> dict[str, Any]:
    """Return what else decides the result: the models and the formulas' constants."""
    return {
        **{role: models.release(role) for role in (BODY, HANDS)},
        **pose_scores.CONSTANTS,
        "gate_s": GATE_S,
        "person_score": PERSON_SCORE,
        "paces": PACES,
        "pose_tracks": pose_tracks.VERSION,
    }


@dataclass(frozen=True, slots=True)
class People:
    """Where the person detector saw people: seconds on the video's clock, and how many there at once."""

    count_at: Mapping[float, int]

    def near(self, t_s: float) -> bool:
        """Say whether a person was seen within ``GATE_S``."""
        return any(abs(seen_s - t_s) <= GATE_S + 1e-6 for seen_s in self.count_at)

    def between(self, start_s: float, end_s: float) -> int:
        """Return how many people the sampled frames with people usually show; 0 where none does."""
        counts = [count for t_s, count in self.count_at.items() if start_s <= t_s < end_s]
        return median_low(counts) if counts else 0


class Annotate:
    """Annotates one clip."""

    def __init__(self, context: Context) -> None:
        from humannet_ops.detectors.lock import ModelError
        from humannet_ops.detectors.mediapipe_pose import MediapipePose

        if context.models is None:
            raise ModelError("No models are installed. Run `humannet models install`.")
        self.context = context
        self.releases = {}
        for role in (BODY, HANDS):
            context.models[role].verify()
            self.releases[role] = context.models.release(role)
        self.model = MediapipePose(context.config.threads)

    def process(self, subject: ClipSubject) -> Result:
        """Estimate, store the tracks, and say what they show."""
        people = self._people(subject.video.inputs.get("detections"))
        with self.context.store.local(subject.inputs["clip"].uri) as path:
            tracks = self._tracks(path, subject.start_s, people)
        target = self.context.scratch / "pose.parquet"
        pose_tracks.write(target, tracks)
        artifact = self.context.store.put(target, kind="pose", suffix=".parquet", media_type=PARQUET)
        scores = pose_scores.scores(tracks)
        persons = None if people is None else people.between(subject.start_s, subject.end_s)
        return kept(
            scores=scores,
            detail={"frames": tracks.frames, "body_gate": tracks.metadata["body_gate"], "persons": persons},
            artifacts=(artifact,),
            records=tuple(self._annotations(tracks, scores, persons, artifact)),
            model_releases=tuple(self.releases.values()),
        )

    def _people(self, found: Artifact | None) -> People | None:
        if found is None:
            return None
        with self.context.store.local(found.uri) as path:
            columns = detections.read(path).columns
        of_person = (columns["label"] == "person") & (columns["score"] >= PERSON_SCORE)
        return People(Counter(columns["t_s"][of_person].tolist()))

    def _tracks(self, path: Path, start_s: float, people: People | None) -> PoseTracks:
        from humannet_ops.media.container import open_video

        faults: list[str] = []
        with open_video(path) as (container, stream):
            stream.thread_type = "AUTO"
            stream.codec_context.thread_count = self.context.config.threads
            fps = float(stream.average_rate or 0)
            width, height = stream.codec_context.width, stream.codec_context.height
            observations = list(self._observations(container, stream, faults, start_s, people))
        if faults or not observations or not fps:
            cause = faults[0] if faults else "it has no frames"
            raise SubjectError(
                Reason.UNREADABLE,
                f"the clip {path.name} cannot be decoded ({cause}). "
                "Its object is damaged: remove it from the store and cut it again.",
            )
        gate = "none: no detections" if people is None else f"person with score >= {PERSON_SCORE} within {GATE_S} s"
        return pose_tracks.collect(
            observations,
            fps=fps,
            width=width,
            height=height,
            metadata={"model_releases": self.releases, "body_gate": gate},
        )

    def _observations(
        self, container: Any, stream: Any, faults: list[str], start_s: float, people: People | None
    ) -> Iterator[Observation]:
        from humannet_ops.media.container import packets_to_frames

        self.model.start()
        started, limit_s = time.monotonic(), self.context.config.subject_timeout_s
        fps = float(stream.average_rate or 30)
        for number, picture in enumerate(packets_to_frames(container, stream, faults)):
            if time.monotonic() - started > limit_s:
                raise SubjectError(
                    Reason.TIMED_OUT, f"pose estimation took longer than {limit_s:.0f} s (HUMANNET_SUBJECT_TIMEOUT_S)."
                )
            wanted = people is None or people.near(start_s + number / fps)
            rgb = cast("Picture", picture.to_ndarray(format="rgb24"))
            yield self.model.estimate(rgb, with_body=wanted)

    def _annotations(
        self, tracks: PoseTracks, scores: Mapping[str, float], persons: int | None, artifact: Artifact
    ) -> Iterator[Annotation]:
        body = ("body_pose_score", "body_frame_share")
        hands = ("hand_pose_score", "hand_frame_share")
        motion = ("motion_score", "motion_len", "motion_share", "motion_measured_share")
        yield Annotation(
            "pose_body",
            self.releases[BODY],
            {name: scores[name] for name in body} | {"gate": tracks.metadata["body_gate"]},
            artifact,
        )
        sides = {f"{side}_share": round(tracks.side_share(left=side == "left"), 4) for side in ("left", "right")}
        yield Annotation("pose_hands", self.releases[HANDS], {name: scores[name] for name in hands} | sides, artifact)
        about = {"units": {"motion_score": "m/s", "motion_len": "s"}, "camera_motion": "included"}
        yield Annotation("motion", "signals", {name: scores[name] for name in motion} | about)
        yield Annotation("description", "signals", {"text": describe(tracks, scores, persons), "source": "signals"})


def describe(tracks: PoseTracks, scores: Mapping[str, float], persons: int | None) -> str:
    """Say in a sentence what the signals show, and no more.

    Args:
        tracks: The clip's poses.
        scores: Their scores.
        persons: How many people detection usually sees at once; None where it did not run.
    """
    parts = [_people_in_words(scores["body_frame_share"], persons), _hands_in_words(tracks)]
    if scores["body_frame_share"] or scores["hand_frame_share"]:
        parts.append(_motion_in_words(scores))
    return f"Clip of {tracks.duration_s:.1f} s: {'; '.join(parts)}."


def _percent(share: float) -> str:
    return "under 1 %" if 0 < share < 0.01 else f"{share:.0%}".replace("%", " %")


def _people_in_words(share: float, persons: int | None) -> str:
    seen = "" if persons is None else f"{persons or 'no'} {'person' if persons == 1 else 'people'} detected, "
    return seen + (f"a body's pose in {_percent(share)} of frames" if share else "no body's pose")


def _hands_in_words(tracks: PoseTracks) -> str:
    if not tracks.hand_frame_share:
        return "no hands"
    left, right = (_percent(tracks.side_share(left=left)) for left in (True, False))
    return f"hands in {_percent(tracks.hand_frame_share)} of frames (left {left}, right {right})"


def _motion_in_words(scores: Mapping[str, float]) -> str:
    if not scores["motion_measured_share"]:
        return "motion not measured"
    if not scores["motion_share"]:
        return "almost still"
    speed, share = scores["motion_score"], _percent(scores["motion_share"])
    pace = next((word for limit, word in PACES if speed < limit), FASTEST)
    return f"{pace} in {share} of frames, up to {scores['motion_len']:.1f} s at a stretch (mean {speed:.1f} m/s)"
