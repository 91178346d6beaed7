"""track_people: the people and things of a clip, found some times a second and followed from frame to frame.

What follows looks where these boxes are: a body's pose is estimated on a person alone, so that what the pose model
takes for one (a cartoon, a puppet) but the detector does not gets no skeleton.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from humannet_ops.detectors.factory import open_detectors
from humannet_ops.domain.records import Annotation, ClipSubject, Result, kept
from humannet_ops.domain.stage import StageSpec
from humannet_ops.media import clip_frames, people
from humannet_ops.media.people import People
from humannet_ops.media.track_file import PARQUET
from humannet_ops.settings import Settings
from humannet_ops.stages.protocol import Context

if TYPE_CHECKING:
    from pathlib import Path

    from humannet_ops.detectors.lock import ModelLock
    from humannet_ops.detectors.protocol import Frame
    from humannet_ops.domain.detection import Detection

ROLE = "person_detector"
SPEC = StageSpec("track_people", "clip", revision=1, queue="gpu", needs=("cut",), reads=("cut",), roles=(ROLE,))
# A runner's box moves by less than half its width from one look to the next; the detector is the dearest model here.
LOOKS_PER_S = 6.0
# A box with this score may begin a track, as in the policy (`person_likely`). With CenterNet 2 of 134 samples of videos
# without people reach it, and the same 2 reach 0.4, which loses a quarter of the basketball players.
STARTS_AT = 0.3


def configuration(config: Settings, models: ModelLock) -> dict[str, Any]:
    """Return what else decides the result."""
    return {"looks_per_s": LOOKS_PER_S, "starts_at": STARTS_AT, "people": people.VERSION}


class TrackPeople:
    """Follows the people and things of one clip."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.detectors = open_detectors((ROLE,), context.models, context.config)

    def process(self, subject: ClipSubject) -> Result:
        """Detect on some frames, link, store the boxes and say what they show."""
        with self.context.store.local(subject.inputs["clip"].uri) as path:
            found = self._track(path)
        target = self.context.scratch / "people.parquet"
        people.write(target, found)
        artifact = self.context.store.put(target, kind=people.KIND, suffix=".parquet", media_type=PARQUET)
        scores = summary(found)
        (release,) = self.detectors.releases
        return kept(
            scores={name: value for name, value in scores.items() if name != "objects"},
            detail={"looks": len(found.looked_at)},
            artifacts=(artifact,),
            records=(Annotation(SPEC.name, release, scores, artifact),),
            model_releases=(release,),
        )

    def _track(self, path: Path) -> People:
        config = self.context.config
        found: list[tuple[int, list[Detection]]] = []
        waiting: list[tuple[int, Frame]] = []
        with clip_frames.open_clip(path, threads=config.threads, timeout_s=config.subject_timeout_s) as clip:
            every = max(1, round(clip.fps / LOOKS_PER_S))
            for number, frame in enumerate(clip):
                if number % every == 0:
                    waiting.append((number, frame))
                if len(waiting) == config.batch:
                    found += self._look(waiting)
                    waiting = []
            found += self._look(waiting)
        return people.track(
            found,
            fps=clip.fps,
            looks_per_s=clip.fps / every,
            size=(clip.width, clip.height),
            frames=clip.count,
            starts_at=STARTS_AT,
            metadata={"model_releases": {ROLE: self.detectors.releases[0]}},
        )

    def _look(self, waiting: list[tuple[int, Frame]]) -> list[tuple[int, list[Detection]]]:
        if not waiting:
            return []
        (answers,) = self.detectors.detect([frame for _, frame in waiting])
        return [(number, boxes) for (number, _), boxes in zip(waiting, answers, strict=True)]


def summary(found: People) -> dict[str, Any]:
    """Return how many people and things were followed, and in which share of the looks.

    ``persons`` is the number of person tracks, ``persons_at_once`` the largest number of them in one look,
    ``person_share`` the share of looks with one of them, ``objects`` the number of tracks of each other class.
    """
    of_person = (found.label == people.PERSON) & (found.track >= 0)
    _, at_once = _counts(found.frame[of_person])
    things = {name: count for name, count in found.objects.items() if name != people.PERSON}
    return {
        "persons": len(found.person_tracks),
        "persons_at_once": max(at_once, default=0),
        "person_share": round(len(at_once) / len(found.looked_at), 4) if len(found.looked_at) else 0.0,
        "things": sum(things.values()),
        "objects": things,
    }


def _counts(frames: Any) -> tuple[list[int], list[int]]:
    import numpy as np

    numbers, counts = np.unique(frames, return_counts=True)
    return numbers.tolist(), counts.tolist()
