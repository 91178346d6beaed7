"""Viewpoint, cuts, person tracks and skeletons on ../shared/corpus, against its MANIFEST.tsv and what is written here.

.venv/bin/python tests/benchmarks/annotation.py people
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import corpus_truth
import numpy as np
from annotator import Annotator
from corpus_truth import CORPUS
from measure import Measure, mean, share

from humannet_ops.detectors.lock import load_lock
from humannet_ops.media import people, probe
from humannet_ops.settings import Settings, settings
from humannet_ops.stages.protocol import Context
from humannet_ops.storage import FolderStore

SECONDS = 6.0
# Videos whose first seconds show exactly one person from the first frame to the last: seen by eye.
ONE_PERSON = (
    "exo_asl_again.mkv", "exo_balance_cam01_portrait_60fps.mp4", "exo_balance_cam03_portrait_60fps.mp4",
    "exo_carphone_176x144.mp4", "exo_dancer_bluescreen.avi", "exo_face_closeup_640.mp4", "exo_ntu_single_1080p.avi",
    "exo_talking_head_640.mp4",
)  # fmt: skip


# First-person videos that show somebody other than the wearer.
OTHERS_THERE = ("ego_indoor_walk_look_224.mp4",)


def measure() -> list[Measure]:
    """Measure what may be measured here; nothing where the corpus is absent."""
    if not CORPUS.exists():
        return []
    with tempfile.TemporaryDirectory(prefix="humannet-people-") as scratch:
        return [*_decisions(Path(scratch) / "decisions"), *_tracks(Path(scratch) / "tracks")]


def _decisions(scratch: Path) -> Iterator[Measure]:
    scratch.mkdir()
    videos = list(corpus_truth.manifest())
    corpus_truth.run(videos, scratch)
    people = [video for video in videos if video.kind in ("ego", "exo")]
    views = [result.detail["viewpoint"] == video.kind for video in people for result in video.kept]
    yield share("viewpoint of kept clips", sum(views), len(views), "corpus folders ego and exo")
    listed = [video for video in videos if video.kind == "multishot" and video.cuts is not None]
    hits, extra, missed = corpus_truth.shot_counts(listed)
    yield share("cuts found (recall, 2 frames)", hits, hits + missed, "listed cuts of multishot")
    yield share("cuts that are cuts (precision)", hits, hits + extra, "listed cuts of multishot")


def _tracks(scratch: Path) -> Iterator[Measure]:
    (scratch / "work").mkdir(parents=True)
    annotator = Annotator(
        Context(Settings(), FolderStore(scratch / "store"), load_lock(settings().models), scratch / "work")
    )
    alone, shares, bodies, quiet, bare = 0, [], [], 0, 0
    for name in ONE_PERSON:
        found, body_share = _followed(annotator, CORPUS / "exo" / name)
        alone += len(found.person_tracks) == 1
        shares.append(float(np.isin(found.looked_at, found.frame[found.label == "person"]).mean()))
        bodies.append(body_share)
    others = sorted((CORPUS / "nonhuman").iterdir())
    for path in others:
        found, body_share = _followed(annotator, path)
        quiet += not found.person_tracks
        bare += body_share == 0
    yield share("one person is one track", alone, len(ONE_PERSON), f"first {SECONDS:.0f} s of videos of one person")
    yield mean("looks at a person that find one", shares, "share", "the same")
    yield mean("frames of a person that have a body", bodies, "share", "the same")
    yield share("no person track without people", quiet, len(others), f"first {SECONDS:.0f} s of corpus/nonhuman")
    yield share("no skeleton without people", bare, len(others), "the same")
    wearers = sorted((CORPUS / "ego").iterdir())
    alone = [path for path in wearers if path.name not in OTHERS_THERE]
    hollow = sum(_followed(annotator, path)[1] == 0 for path in alone)
    yield share("no skeleton for the wearer", hollow, len(alone), "corpus/ego where nobody else is seen")


def _followed(annotator: Annotator, video: Path) -> tuple[people.People, float]:
    end_s = min(SECONDS, probe.probe(video, max_pixels=settings().max_pixels).duration_s)
    subject = annotator.detected(annotator.cut(video, 0.0, end_s))
    subject, said = annotator.run(subject, "track_people", "pose_body")
    return annotator.people(subject), said["pose_body"].scores["body_frame_share"]
