"""The decision on a clip: its scores, the shipped policy, and the stage that joins them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from humannet_ops.domain import clip_scores
from humannet_ops.domain.detection import Detection
from humannet_ops.domain.outcome import Outcome, Reason
from humannet_ops.domain.policy import Policy, PolicyError, decide, parse
from humannet_ops.domain.records import ClipSubject, VideoSubject
from humannet_ops.media import detections, signals
from humannet_ops.settings import Settings
from humannet_ops.stages.decide import Decide, configuration, load_policy
from humannet_ops.stages.protocol import Context
from humannet_ops.storage import FolderStore

SHIPPED = Settings().policy_file
# A person in the middle of the picture; an arm that comes in from the lower right corner; a hand.
PERSON = Detection("person", 0.7, 0.4, 0.2, 0.6, 0.9)
ARM = Detection("person", 0.35, 0.6, 0.5, 1.0, 1.0)
HAND = Detection("hand", 0.9, 0.5, 0.6, 0.6, 0.8)
FACE = Detection("face", 0.8, 0.45, 0.2, 0.55, 0.35)
STEADY = {"camera": 0.003, "residual": 0.02, "moving_share": 0.3, "change": 0.01, "sharpness": 0.2, "luma": 110.0,
          "contrast": 50.0, "dark_share": 0.05, "bright_share": 0.01}  # fmt: skip


@pytest.fixture(scope="module")
def policy() -> Policy:
    return parse(SHIPPED.read_text())


def write(path: Path, frames: list[list[Detection]]) -> detections.Detections:
    """Two frames a second, through the real file format."""
    with detections.Writer(path) as writer:
        for number, found in enumerate(frames):
            writer.add(number / 2, number * 15, found)
    return detections.read(path)


def signal_columns(seconds: float, **changed: float) -> dict[str, np.ndarray]:
    """Five samples a second, all alike."""
    times = np.arange(0, seconds, 0.2)
    return {"t_s": times} | {name: np.full(len(times), value) for name, value in (STEADY | changed).items()}


def scores(tmp_path: Path, policy: Policy, frames: list[list[Detection]], **changed: float) -> dict[str, float]:
    found = write(tmp_path / "found.parquet", frames)
    span = clip_scores.Span(0.0, len(frames) / 2, 640, 360)
    columns = signal_columns(len(frames) / 2, **changed)
    return clip_scores.measure(span, found.columns, found.frame_times, columns, policy.measure)


def test_the_reasons_come_in_the_documented_order(policy: Policy):
    order = list(dict.fromkeys(check.reason.value for check in policy.checks))
    assert order == ["too_short", "too_small", "static_framing", "too_dark", "restricted", "no_person", "no_motion",
                     "blurred", "occluded"]  # fmt: skip


def test_a_person_who_acts_is_kept_and_every_check_is_recorded(tmp_path: Path, policy: Policy):
    decision = decide(scores(tmp_path, policy, [[PERSON]] * 10), policy)
    assert (decision.outcome, decision.reason, decision.viewpoint) == (Outcome.KEPT, None, "exo")
    assert [check.name for check in decision.checks] == [check.score for check in policy.checks]


def test_every_check_refuses_beyond_its_threshold_and_passes_on_it(tmp_path: Path, policy: Policy):
    good = scores(tmp_path, policy, [[PERSON]] * 10)
    for check in policy.checks:
        on_it = decide(good | {check.score: check.threshold}, policy)
        beyond = check.threshold * (0.99 if check.is_minimum else 1.01)
        refused = decide(good | {check.score: beyond}, policy)
        assert check.reason not in {
            found.reason for found in on_it.checks if not found.passed and found.threshold == check.threshold
        }
        assert refused.outcome is Outcome.REJECTED
        assert refused.reason is check.reason


def test_the_first_failure_gives_the_reason_and_the_others_are_kept_in_the_record(tmp_path: Path, policy: Policy):
    decision = decide(scores(tmp_path, policy, [[]] * 2, dark_share=1.0), policy)
    assert decision.reason is Reason.TOO_SHORT
    failed = [check.reason for check in decision.checks if not check.passed]
    assert failed[:3] == [Reason.TOO_SHORT, Reason.TOO_DARK, Reason.NO_PERSON]
    assert decision.viewpoint is None


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"change": 0.0, "moving_share": 0.0}, Reason.STATIC_FRAMING),
        ({"contrast": 0.5}, Reason.STATIC_FRAMING),
        ({"dark_share": 0.97}, Reason.TOO_DARK),
        ({"moving_share": 0.002}, Reason.NO_MOTION),
        ({"sharpness": 0.004}, Reason.BLURRED),
    ],
)
def test_signals_refuse_a_clip_with_a_person(tmp_path: Path, policy: Policy, changed: dict[str, float], reason: Reason):
    assert decide(scores(tmp_path, policy, [[PERSON]] * 10, **changed), policy).reason is reason


def test_restricted_content_is_refused(tmp_path: Path, policy: Policy):
    naked = Detection("female_breast_exposed", 0.8, 0.4, 0.4, 0.6, 0.5)
    assert decide(scores(tmp_path, policy, [[PERSON]] * 9 + [[PERSON, naked]]), policy).reason is Reason.RESTRICTED


def test_restricted_content_needs_somebody_in_sight(tmp_path: Path, policy: Policy):
    naked = Detection("buttocks_exposed", 0.8, 0.4, 0.4, 0.6, 0.5)
    cartoon = scores(tmp_path, policy, [[naked]] * 10)
    assert decide(cartoon, policy).reason is Reason.NO_PERSON
    turned_away = [[naked]] * 6 + [[PERSON]] * 4
    assert decide(scores(tmp_path, policy, turned_away), policy).reason is Reason.RESTRICTED


def test_a_person_of_a_few_pixels_is_occluded(tmp_path: Path, policy: Policy):
    far = Detection("person", 0.7, 0.5, 0.5, 0.52, 0.58)
    assert decide(scores(tmp_path, policy, [[far]] * 10), policy).reason is Reason.OCCLUDED


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        pytest.param([[], [PERSON], [], []], 0, id="one frame alone, however sure"),
        pytest.param([[], [PERSON], [ARM], []], 2, id="sure, then likely"),
        pytest.param([[ARM], [ARM], [], []], 2, id="an arm at the edge, likely and again"),
        pytest.param([[Detection("person", 0.4, 0.4, 0.2, 0.6, 0.9)]] * 4, 0, id="free-standing, but never sure"),
        pytest.param([[HAND], [HAND], [], []], 2, id="a hand that stays"),
        pytest.param([[HAND], [], [HAND], []], 0, id="hands that flicker"),
        pytest.param([[Detection("person", 0.25, 0, 0, 1, 1)]] * 4, 0, id="hints alone"),
        pytest.param([[Detection("person", 0.25, 0, 0, 1, 1), HAND], [FACE], [], []], 2, id="two kinds of sign"),
        pytest.param([[FACE], [Detection("person", 0.25, 0, 0, 1, 1)], [], []], 0, id="a face, then a hint"),
        pytest.param([[Detection("hand", 0.3, 0, 0, 1, 1)]] * 4, 0, id="below the bar"),
    ],
)
def test_a_human_counts_where_neighbouring_frames_agree(
    tmp_path: Path, policy: Policy, frames: list[list[Detection]], expected: int
):
    assert scores(tmp_path, policy, frames)["human_share"] == expected / len(frames)


def test_a_dog_that_also_looks_like_a_person_is_a_dog(tmp_path: Path, policy: Policy):
    dog = Detection("dog", 0.8, 0.41, 0.2, 0.6, 0.9)
    beside = Detection("dog", 0.8, 0.0, 0.6, 0.3, 0.9)
    assert scores(tmp_path, policy, [[PERSON, dog]] * 6)["human_share"] == 0
    assert scores(tmp_path, policy, [[PERSON, beside]] * 6)["human_share"] == 1


def test_whose_view_it_is(tmp_path: Path, policy: Policy):
    def view(frames: list[list[Detection]], camera: float) -> str | None:
        return decide(scores(tmp_path, policy, frames, camera=camera), policy).viewpoint

    assert view([[ARM, HAND]] * 10, 0.25) == "ego"
    assert view([[HAND]] * 10, 0.06) == "ego", "a wearer who looks at what the hands do"
    arms = Detection("person", 0.8, 0.2, 0.5, 0.8, 1.0)
    assert view([[arms, HAND]] * 10, 0.09) == "ego", "a detector that takes the wearer's arms for a person"
    assert view([[HAND]] * 10, 0.0) == "exo", "hands below an overhead camera"
    assert view([[PERSON, FACE]] * 10, 0.25) == "exo", "a hand-held camera that follows somebody"
    assert view([[PERSON]] * 10, 0.05) == "exo"


def test_only_the_clips_own_time_counts(tmp_path: Path, policy: Policy):
    found = write(tmp_path / "found.parquet", [[PERSON]] * 8 + [[]] * 8)
    columns = signal_columns(8.0)
    columns["camera"][20:] = 0.5
    first, second = (
        clip_scores.measure(
            clip_scores.Span(start, start + 4, 640, 360), found.columns, found.frame_times, columns, policy.measure
        )
        for start in (0.0, 4.0)
    )
    assert (first["human_share"], second["human_share"]) == (1, 0)
    assert first["camera_speed_p90"] < 0.01 < second["camera_speed_p90"]


def test_a_clip_without_samples_has_scores_and_is_too_short(tmp_path: Path, policy: Policy):
    found = write(tmp_path / "found.parquet", [[PERSON]] * 8)
    span = clip_scores.Span(3.95, 3.99, 640, 360)
    measured = clip_scores.measure(span, found.columns, found.frame_times, signal_columns(3.9), policy.measure)
    assert all(np.isfinite(value) for value in measured.values())
    assert decide(measured, policy).reason is Reason.TOO_SHORT


def test_the_policy_version_follows_what_the_file_says():
    text = SHIPPED.read_text()
    version = parse(text).version
    assert version.startswith("1-")
    assert parse(text + "\n# a remark\n").version == version
    assert parse(text.replace("at_least: 1.5", "at_least: 1.6")).version != version


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("checks"), "checks"),
        (lambda content: content.update(version=1.5), "whole number"),
        (lambda content: content["checks"][0].update(reason="ugly"), "ugly is no reason to reject"),
        (lambda content: content["checks"][0].update(reason="unreadable"), "no reason to reject"),
        (lambda content: content["checks"][0].update(at_most=3), "at_least or at_most"),
        (lambda content: content["measure"].update(hand="many"), "many"),
        (lambda content: content["viewpoint"].pop("weights"), "weights"),
    ],
)
def test_a_wrong_policy_is_one_clear_error(change, message: str):
    content = yaml.safe_load(SHIPPED.read_text())
    change(content)
    with pytest.raises(PolicyError, match=message):
        parse(yaml.safe_dump(content))


def test_text_that_is_no_yaml_and_a_score_that_does_not_exist(tmp_path: Path, policy: Policy):
    with pytest.raises(PolicyError, match="not YAML"):
        parse("version: [1")
    unknown = parse(SHIPPED.read_text().replace("score: duration_s", "score: beauty"))
    with pytest.raises(PolicyError, match="beauty"):
        decide(scores(tmp_path, policy, [[PERSON]] * 4), unknown)


def test_a_missing_policy_file_names_the_setting(tmp_path: Path):
    with pytest.raises(PolicyError, match="HUMANNET_POLICY_FILE"):
        load_policy(Settings(policy_file=tmp_path / "none.yaml"))


def test_another_threshold_is_another_stage_configuration(tmp_path: Path):
    edited = tmp_path / "policy.yaml"
    edited.write_text(SHIPPED.read_text().replace("at_least: 120", "at_least: 240"))
    assert configuration(Settings(policy_file=edited), None) != configuration(Settings(), None)
    assert configuration(Settings(), None) == configuration(Settings(), None)


def test_the_stage_reads_the_store_and_explains_itself(tmp_path: Path):
    store = FolderStore(tmp_path / "store")
    parquet = "application/vnd.apache.parquet"
    write(tmp_path / "found.parquet", [[PERSON]] * 8 + [[]] * 8)
    columns = signal_columns(8.0)
    rows = np.stack([columns[name] for name in signals.COLUMNS], axis=1)
    signals.write(tmp_path / "signals.parquet", rows)
    inputs = {
        kind: store.put(tmp_path / name, kind=kind, suffix=".parquet", media_type=parquet)
        for kind, name in (("detections", "found.parquet"), ("signals", "signals.parquet"))
    }
    video = VideoSubject("v1", "test", "file:///v1.mp4", width=640, height=360, inputs=inputs)
    stage = Decide(Context(Settings(), store, None, tmp_path))
    acting = stage.process(ClipSubject("c1", video, 0, 0, 120, 0.0, 4.0))
    empty = stage.process(ClipSubject("c2", video, 0, 120, 240, 4.0, 8.0))
    assert (acting.outcome, acting.detail["viewpoint"]) == (Outcome.KEPT, "exo")
    assert (empty.outcome, empty.reason, empty.detail["viewpoint"]) == (Outcome.REJECTED, Reason.NO_PERSON, None)
    assert acting.policy_version == empty.policy_version == load_policy(Settings()).version
    failed = [check["name"] for check in empty.detail["checks"] if not check["passed"]]
    assert failed == ["human_share", "human_share", "human_size_px"]
    assert empty.scores["human_share"] == 0


def test_detections_come_back_as_written_and_bytes_are_equal(tmp_path: Path):
    frames = [[PERSON, HAND], [], [ARM, FACE, Detection("hand", 0.6, 0.1, 0.1, 0.2, 0.2, "left")]]
    found = write(tmp_path / "one.parquet", frames)
    again = write(tmp_path / "two.parquet", [list(reversed(frame)) for frame in frames])
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    assert found.frame_times.tolist() == again.frame_times.tolist() == [0.0, 0.5, 1.0]
    assert found.columns["label"].tolist() == ["hand", "person", "face", "hand", "person"]
    assert found.columns["side"].tolist() == [None, None, None, "left", None]
    assert found.columns["frame"].tolist() == [0, 0, 30, 30, 30]
    assert found.columns["x1"] == pytest.approx([0.5, 0.4, 0.45, 0.1, 0.6])


def test_a_video_in_which_nothing_is_found_has_a_file_too(tmp_path: Path):
    with detections.Writer(tmp_path / "none.parquet") as writer:
        writer.add(0.0, 0, [])
        writer.add(0.5, 12, [])
        writer.add(0.5, 12, [])
    found = detections.read(tmp_path / "none.parquet")
    assert found.frame_times.tolist() == [0.0, 0.5]
    assert len(found.columns["score"]) == 0
    assert writer.counts == {}


def test_counts_are_frames_not_boxes_and_a_broken_block_writes_nothing(tmp_path: Path):
    with detections.Writer(tmp_path / "some.parquet") as writer:
        writer.add(0.0, 0, [HAND, HAND])
        writer.add(0.5, 12, [HAND, PERSON])
    assert writer.counts == {"hand": 2, "person": 1}
    with pytest.raises(RuntimeError), detections.Writer(tmp_path / "broken.parquet"):
        raise RuntimeError
    assert not (tmp_path / "broken.parquet").exists()
