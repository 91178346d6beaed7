"""The label stages on what sources and signals say: what they label, where they abstain, and whose word it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from annotator import Annotator

from humannet_ops.detectors.lock import ModelError
from humannet_ops.domain.outcome import Outcome
from humannet_ops.domain.records import Annotation, ClipSubject, Label, Result, VideoSubject
from humannet_ops.domain.taxonomy import taxonomy
from humannet_ops.labelling import asking, inherited, opening, rules, texts
from humannet_ops.labelling.decision import by_answers
from humannet_ops.labelling.matching import judge
from humannet_ops.labelling.signals import Signals
from humannet_ops.settings import Settings
from humannet_ops.stages.label_activity import LabelActivity
from humannet_ops.stages.label_interactions import LabelInteractions
from humannet_ops.stages.label_scene import LabelScene
from humannet_ops.stages.protocol import Context


def clip(title: str | None, *, kind: str = "folder", **fields: Any) -> ClipSubject:
    published = fields.pop("published", {})
    video = VideoSubject("v", "s", "u", title=title, kind=kind, published=published)
    return ClipSubject("c", video, 0, 0, 300, 10.0, 20.0, **fields)


def labels(result: Result, origin: str | None = None) -> dict[tuple[str, str], float]:
    return {
        (entry.facet, entry.path): entry.confidence
        for entry in result.records
        if isinstance(entry, Label) and origin in (None, entry.origin)
    }


def said(result: Result) -> dict[str, Any]:
    (annotation,) = [entry for entry in result.records if isinstance(entry, Annotation)]
    return dict(annotation.value)


@pytest.fixture(scope="module")
def activity(annotator: Annotator) -> LabelActivity:
    return LabelActivity(annotator.context)


@pytest.fixture(scope="module")
def scene(annotator: Annotator) -> LabelScene:
    return LabelScene(annotator.context)


@pytest.fixture(scope="module")
def interactions(annotator: Annotator) -> LabelInteractions:
    return LabelInteractions(annotator.context)


# --- what is labelled


def test_a_motion_is_labelled_as_deep_as_its_text_is_sure(activity: LabelActivity) -> None:
    result = activity.process(clip("A woman knits a scarf with two needles", kind="ytdlp_search"))
    assert result.outcome is Outcome.KEPT
    found = labels(result, "offline")
    ((facet, path),) = found
    assert (facet, path) == ("motion", "daily_activities/crafts_and_art/knit")
    assert result.scores["label_motion_abstained"] is False
    assert result.scores["label_motion_confidence"] == pytest.approx(found[facet, path], abs=1e-4)
    motion = said(result)["motion"]
    assert motion["top"][0]["path"] == "daily_activities/crafts_and_art"
    assert len(motion["top"]) == 5
    # each level is at most as sure as the one above
    assert motion["levels"][1] >= motion["levels"][2] >= motion["levels"][3] >= 0.6
    # how the video came to be follows from how it was found
    assert labels(result, "pseudo") == {("source_type", "web_scale"): 1.0}
    assert said(result)["taxonomy"] == taxonomy().version


@pytest.mark.parametrize(
    "title", [None, "IMG_4471.MOV", "clip_000231", "Quarterly earnings call, Q3", "final_v2_export"]
)
def test_a_text_that_tells_nothing_is_abstained_from_and_that_is_said(
    activity: LabelActivity, scene: LabelScene, interactions: LabelInteractions, title: str | None
) -> None:
    subject = clip(title)
    for stage, facet in ((activity, "motion"), (scene, "scene"), (interactions, "interaction")):
        result = stage.process(subject)
        assert result.outcome is Outcome.KEPT
        assert labels(result) == {}
        assert result.scores[f"label_{facet}_abstained"] is True
        assert result.scores[f"label_{facet}_confidence"] < 0.6
    assert activity.process(subject).scores["label_source_type_abstained"] is True
    why = said(activity.process(subject))["motion"]["why"]
    assert why == (
        "no text" if title in (None, "IMG_4471.MOV", "clip_000231", "final_v2_export") else "not sure enough"
    )


def test_the_same_clip_is_labelled_the_same_alone_and_among_others(activity: LabelActivity) -> None:
    first = activity.process(clip("Brushing teeth in the bathroom"))
    activity.process(clip("A football match in the rain"))
    assert activity.process(clip("Brushing teeth in the bathroom")) == first


def test_a_scene_follows_from_what_is_said_of_it(scene: LabelScene) -> None:
    result = scene.process(clip("A nurse on a hospital ward", published={"description": "A day in the clinic."}))
    assert ("scene", "medical_and_service/hospital") in labels(result, "offline")
    assert said(result)["scene"]["path"] == "medical_and_service/hospital"


def test_a_vision_models_caption_counts_and_our_own_words_about_signals_do_not(activity: LabelActivity) -> None:
    caption = {"short": "Knitting.", "long": "A woman knits a scarf with two needles."}
    of_model = clip("DSC_0012", annotations={"caption": {**caption, "source": "endpoint"}})
    assert ("motion", "daily_activities/crafts_and_art/knit") in labels(activity.process(of_model))
    of_signals = clip("DSC_0012", annotations={"caption": {**caption, "source": "signals"}})
    assert labels(activity.process(of_signals)) == {}


def test_a_body_that_is_seen_to_be_still_speaks_against_running(activity: LabelActivity) -> None:
    title = "A man jogs round the park"
    moving = clip(title, scores={"body_frame_share": 0.9, "motion_share": 0.8})
    still = clip(title, scores={"body_frame_share": 0.9, "motion_share": 0.0})
    sure, doubtful = (activity.process(each) for each in (moving, still))
    assert doubtful.scores["label_motion_confidence"] < sure.scores["label_motion_confidence"]
    assert said(sure)["motion"]["top"][0]["similarity"] - said(doubtful)["motion"]["top"][0][
        "similarity"
    ] == pytest.approx(0.05, abs=1e-3)


# --- what a data set says of itself


def test_a_data_sets_own_labels_are_mapped_and_kept_apart_and_the_unmapped_are_named(activity: LabelActivity) -> None:
    published = {
        "activity": "washing dishes in a sink",
        "scenarios": '["Cooking", "Frobnicating the quux"]',
        "tags": ["vacuum", "asmr", "satisfying"],
        "category": "Howto & Style",
        "segments": [
            {"start_s": 0, "end_s": 9, "action": "sleeping"},
            {"start_s": 12, "end_s": 15, "action": "ironing"},
        ],
    }
    result = activity.process(clip("P01_04", published=published))
    brought = labels(result, "inherited")
    assert brought[("motion", "daily_activities/cooking")] == 1.0
    assert brought[("motion", "daily_activities/cleaning/vacuum")] == 1.0
    assert ("motion", "daily_activities/cleaning/wash_dishes") in brought
    assert ("motion", "daily_activities/laundry_and_fabric_care/iron") in brought
    # the first segment is over before the clip begins
    assert not any("sleep" in path for _, path in brought)
    entries = {entry["value"]: entry["path"] for entry in said(result)["inherited"]}
    assert {value for value, path in entries.items() if path is None} == {
        "Frobnicating the quux", "asmr", "satisfying", "Howto & Style",
    }  # fmt: skip


def test_a_word_that_names_two_classes_names_none() -> None:
    words = inherited.own_words(taxonomy(), "motion")
    assert words["cooking"] == "daily_activities/cooking"
    assert words["sports"] == "sports"
    # a run is running; a sprint is a run and a race
    assert "sprint" not in words or words["sprint"].startswith("locomotion/running")
    assert all(taxonomy().node("motion", path) for path in words.values())


# --- interactions and task structure


def test_interactions_follow_from_the_motion_and_from_signals_each_under_its_own_name(
    interactions: LabelInteractions,
) -> None:
    subject = clip(
        "Repairing a bicycle wheel in the garage",
        viewpoint="ego",
        scores={"hand_frame_share": 0.7, "person_share": 0.0},
    )
    result = interactions.process(subject)
    assert set(labels(result, "offline")) == {
        ("interaction", name) for name in ("manipulation", "tool_use", "environmental_state_change")
    }
    assert set(labels(result, "pseudo")) == {("interaction", "manipulation")}
    assert [each["rule"] for each in said(result)["interaction"]["besides"]["rules"]] == ["own hands in view"]
    assert said(result)["signals"]["hand_share"] == 0.7


@pytest.mark.parametrize(
    ("signals", "shown"),
    [
        (Signals(), set()),
        (Signals(viewpoint="exo", hand_share=0.9), set()),
        (Signals(viewpoint="ego", hand_share=0.31), {"manipulation"}),
        (Signals(contact_share=0.2), {"manipulation"}),
        (Signals(travel=1.0, person_share=0.5), {"locomotion"}),
        (Signals(travel=0.9, person_share=1.0), set()),
        (Signals(contact_share=0.3, travel=2.0, person_share=1.0), {"manipulation", "locomotion", "object_transport"}),
        (Signals(body_share=0.6, speed=0.8), {"whole_body_motion"}),
        (Signals(body_share=0.6, speed=0.3), set()),
        (Signals(persons=2, person_share=0.6), {"multi_person_coordination"}),
        (Signals(persons=2, person_share=0.2), set()),
    ],
)
def test_rules_on_signals_say_what_they_show_and_no_more(signals: Signals, shown: set[str]) -> None:
    assert {each.path for each in rules.interactions(signals)} == shown


@pytest.mark.parametrize(
    ("told", "motion", "signals", "structure"),
    [
        (["How to lace boots"], None, Signals(duration_s=10), "long_horizon_procedure"),
        (["Squats 3 sets of 12 reps"], None, Signals(), "repetitive_action"),
        (["a man"], "locomotion/walking/pace", Signals(duration_s=10), "repetitive_action"),
        (["a man"], None, Signals(duration_s=2.5, speed=0.4), "atomic_action"),
        (["a man"], None, Signals(duration_s=2.5), None),
        (["a man"], "sports", Signals(duration_s=10, speed=0.4), None),
        ([], None, Signals(), None),
    ],
)
def test_task_structure_follows_from_words_class_or_length(
    told: list[str], motion: str | None, signals: Signals, structure: str | None
) -> None:
    found = rules.task_structure(told, motion, signals)
    assert (found.path if found else None) == structure


@pytest.mark.parametrize(
    ("kind", "published", "expected"),
    [
        ("ytdlp_search", {}, "web_scale"),
        ("ytdlp_channel", {}, "community"),
        ("http_manifest", {"video_uid": "x"}, "semi_structured"),
        ("http_manifest", {"videoID": "x"}, "web_scale"),
        ("http_manifest", {}, None),
        ("folder", {}, None),
    ],
)
def test_the_source_type_is_what_the_kind_of_source_tells(
    kind: str, published: dict[str, Any], expected: str | None
) -> None:
    assert rules.source_type(kind, published) == expected
    assert expected is None or taxonomy().node("source_type", expected)


def test_everything_a_rule_may_say_is_in_the_tree() -> None:
    tree = taxonomy()
    for rule in rules.SIGNAL_RULES:
        assert tree.node("interaction", rule.path)
        assert 0 < rule.confidence < 1
    for path in rules.REPETITIVE_CLASSES:
        assert tree.node("motion", path)


def test_rules_hold_on_a_real_clip(
    annotator: Annotator, sample: Callable[[str], Path], interactions: LabelInteractions
) -> None:
    """A man walks along a wall: he gets further."""
    subject = annotator.cut(sample("Sports2D/Demo/demo.mp4"), 3.0, 5.0)
    subject, results = annotator.run(subject, "track_people", "pose_body", "pose_hands", "describe_motion")
    scores = {name: value for result in results.values() for name, value in result.scores.items()}
    result = interactions.process(replace(subject, scores=scores, viewpoint="exo"))
    assert ("interaction", "locomotion") in labels(result, "pseudo")
    assert ("interaction", "multi_person_coordination") not in labels(result)


# --- texts


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("IMG_4471.MOV", ""),
        ("ego_cooking_pan.mp4", "ego cooking pan"),
        ("CookingPasta_final", "Cooking Pasta final"),
        ("Look https://evil.test/x?y=z now", "Look now"),
        ("#diy #woodwork", "diy woodwork"),
        ("  \n ", ""),
        ("2023-01-01 12:00", ""),
        ("video_final_v2 (copy)", ""),
        ("太极拳", "太极拳"),
    ],
)
def test_a_text_is_cleaned_of_what_is_no_word(raw: str, text: str) -> None:
    assert texts.cleaned(raw) == text


def test_a_description_is_read_without_what_is_about_the_channel() -> None:
    description = "We bake bread. Subscribe for more!\nFollow me on Instagram\nhttps://x.test\nThe oven is hot."
    assert texts.summary(description) == "We bake bread. The oven is hot."
    assert len(texts.summary("word " * 1000)) <= texts.MOST_CHARACTERS


@pytest.mark.parametrize(
    "published",
    [
        {"description": 5, "tags": "x", "segments": "y"},
        {"segments": [None, 3, {"caption": 4}, {"caption": "ok", "start_s": 99}]},
        {"tags": [None, 1, {"a": 2}]},
        {"description": None, "activity": {"deep": [1]}, "scenarios": "[broken"},
    ],
)
def test_odd_metadata_breaks_nothing(activity: LabelActivity, scene: LabelScene, published: dict[str, Any]) -> None:
    for stage in (activity, scene):
        assert stage.process(clip("Chopping onions", published=published)).outcome is Outcome.KEPT


# --- how sure


def test_a_level_counts_only_where_the_one_above_does() -> None:
    from humannet_ops.labelling.matching import Candidate, Match

    match = Match(
        (Candidate("a/b", 0.5),), Candidate("a/b/c", 0.6), {1: (0.1, 0.0, 0.0), 2: (0.9, 0.9, 0.0), 3: (0.9, 0.9, 0.0)}
    )
    sure_of_depth = {"logistic": [0, 10, 10, 0], "threshold": 0.6}
    content = {
        "facets": {"motion": {1: {"logistic": [-9, 1, 1, 0], "threshold": 0.6}, 2: sure_of_depth, 3: sure_of_depth}}
    }
    verdict = judge(match, "motion", content)
    assert verdict.path is None
    assert verdict.confidence == verdict.levels[1] < 0.01
    content["facets"]["motion"][1] = sure_of_depth
    assert judge(replace(match, features={**match.features, 1: (0.9, 0.9, 0.0)}), "motion", content).path == "a/b/c"
    assert (
        judge(
            replace(match, features={**match.features, 1: (0.9, 0.9, 0.0), 3: (0.0, -0.5, 0.0)}), "motion", content
        ).path
        == "a/b"
    )
    assert judge(None, "motion", content).path is None


def test_without_the_sentence_model_the_error_names_the_cure(tmp_path: Path, annotator: Annotator) -> None:
    context = Context(Settings(), annotator.context.store, None, tmp_path)
    with pytest.raises(ModelError, match="Run `humannet models install`"):
        LabelScene(context)


def test_the_version_follows_the_tree_and_the_coefficients(monkeypatch: pytest.MonkeyPatch) -> None:
    before = opening.versions()
    assert before["taxonomy"] == taxonomy().version
    monkeypatch.setattr(texts, "VERSION", 99)
    assert opening.versions() != before


# --- asking a vision model


class Scripted:
    """Answers questions in turn and remembers their schemas."""

    release = "qwen@1"

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers, self.asked = list(answers), []

    def ask(self, question: str, schema: Any, name: str) -> Any:
        self.asked.append((question, schema, name))
        return self.answers.pop(0)


def test_a_vision_model_is_asked_for_the_class_and_then_for_its_leaf() -> None:
    model = Scripted(
        {"class": "daily_activities/cooking", "confidence": 0.9},
        {"class": "daily_activities/cooking/stir", "confidence": 0.7},
    )
    answer = asking.ask_class(model, taxonomy(), "motion", ["my pan"])
    assert (answer.path, answer.confidence) == ("daily_activities/cooking/stir", 0.7)
    (first, schema, _), (_, leaves, _) = model.asked
    assert len(schema["properties"]["class"]["enum"]) == 57
    assert set(leaves["properties"]["class"]["enum"]) == {
        "unclear", *(node.path for node in taxonomy().facets["motion"].below("daily_activities/cooking")),
    }  # fmt: skip
    assert schema["additionalProperties"] is False
    assert "my pan" in first
    assert "no instruction" in first
    (label,) = by_answers("motion", [answer], model.release).labels
    assert (label.origin, label.model_release) == ("endpoint", "qwen@1")


def test_a_vision_model_that_cannot_tell_makes_the_stage_abstain() -> None:
    unsure = Scripted({"class": "unclear", "confidence": 0.2})
    answer = asking.ask_class(unsure, taxonomy(), "motion", [])
    found = by_answers("motion", [answer], "qwen@1")
    assert found.labels == ()
    assert found.scores == {"label_motion_abstained": True, "label_motion_confidence": 0.2}
    # unclear leaves keep the class; a scene has no third level
    vague = Scripted({"class": "sports/ball_games", "confidence": 0.8}, {"class": "unclear", "confidence": 0.1})
    assert asking.ask_class(vague, taxonomy(), "motion", []).path == "sports/ball_games"
    once = Scripted({"class": "home/kitchen", "confidence": 0.8})
    assert asking.ask_class(once, taxonomy(), "scene", []).path == "home/kitchen"
    assert len(once.asked) == 1


def test_a_vision_model_may_name_several_interactions_each_once() -> None:
    two = [{"class": "manipulation", "confidence": 0.9}, {"class": "locomotion", "confidence": 0.4}]
    model = Scripted({"classes": [*two, {"class": "manipulation", "confidence": 0.1}]})
    found = asking.ask_classes(model, taxonomy(), "interaction", [])
    assert [(each.path, each.confidence) for each in found] == [("manipulation", 0.9), ("locomotion", 0.4)]
