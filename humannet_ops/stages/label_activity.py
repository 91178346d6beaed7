"""label_activity: what is done (motion, to the third level), how it hangs together, and how the video came to be.

Motion is a vision endpoint's word where one is named, else follows from what is said about the clip; how it hangs
together follows from words and signals, and the source type from how the video was found, by rules.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from humannet_ops.domain.records import Annotation, ClipSubject, Result, kept
from humannet_ops.domain.stage import StageSpec
from humannet_ops.domain.taxonomy import taxonomy
from humannet_ops.labelling import asking, decision, inherited, opening, rules, signals, texts, vision
from humannet_ops.labelling.decision import Decision
from humannet_ops.labelling.matching import Matcher, judge
from humannet_ops.settings import Settings
from humannet_ops.stages.protocol import Context

if TYPE_CHECKING:
    from humannet_ops.detectors.lock import ModelLock

SPEC = StageSpec(
    "label_activity",
    "clip",
    revision=1,
    queue="cpu",
    needs=("caption",),
    reads=("cut", "describe_motion", "caption"),
    roles=("sentence",),
)
# A body that is seen and does not move does not run, whatever the title says of the rest of the video. As much as
# the usual distance between the best class and the third.
CONTRADICTED = 0.05
STILL_SHARE = 0.05
SEEN_SHARE = 0.5
_MOVING = frozenset({"locomotion", "whole_body_motion"})


def configuration(config: Settings, models: ModelLock) -> dict[str, Any]:
    """Return what else decides the result: the tree, the coefficients, the endpoint's model."""
    limits = {"contradicted": CONTRADICTED, "still_share": STILL_SHARE, "seen_share": SEEN_SHARE}
    return {**opening.versions(), **vision.configuration(config), **limits}


class LabelActivity:
    """Labels the motion, the task structure and the source type of one clip."""

    def __init__(self, context: Context) -> None:
        self.matcher = opening.open_matcher(context.models, context.config, "motion")
        self.asking = vision.open_asking(SPEC.name, by_sight, context.config, context.store)

    def ahead(self, subjects: list[ClipSubject]) -> AbstractContextManager[None]:
        """Ask about many clips at once."""
        return self.asking.of(subjects)

    def process(self, subject: ClipSubject) -> Result:
        """Ask, or compare; abstain where neither is sure enough."""
        tree, told = taxonomy(), texts.said(subject)
        asked = self.asking(subject)
        motion = asked.answer or compared(self.matcher, subject, told)
        structure, kind = structured(subject, told, motion), sourced(subject)
        release = self.matcher.encoder.release
        entries = inherited.read(subject.video.published, (subject.start_s, subject.end_s), tree, self.matcher)
        labels, brought = decision.brought(entries, release)
        value = {
            "motion": motion.value,
            "task_structure": structure.value,
            "source_type": kind.value,
            "inherited": brought,
            "taxonomy": tree.version,
            **asked.fault,
        }
        return kept(
            scores={**motion.scores, **structure.scores, **kind.scores},
            detail=asked.fault,
            records=(
                Annotation(SPEC.name, asked.release or release, value),
                *motion.labels, *structure.labels, *kind.labels, *labels,
            ),
            model_releases=tuple(filter(None, (asked.release, release))),
        )  # fmt: skip


def by_sight(model: asking.Vision, told: list[str]) -> Decision:
    """Ask a vision model."""
    return decision.by_answers("motion", [asking.ask_class(model, taxonomy(), "motion", told)], model.release)


def compared(matcher: Matcher, subject: ClipSubject, told: list[str]) -> Decision:
    """Compare what is said with the tree, less what was measured against it."""
    still = (
        float(subject.scores.get("body_frame_share", 0)) >= SEEN_SHARE
        and float(subject.scores.get("motion_share", 1)) < STILL_SHARE
    )
    penalty = {path: CONTRADICTED for path, implied in matcher.implies.items() if implied & _MOVING} if still else {}
    match = matcher.match(texts.pieces(told), penalty)
    return decision.by_matching("motion", match, judge(match, "motion"), matcher.encoder.release)


def structured(subject: ClipSubject, told: list[str], motion: Decision) -> Decision:
    """Say how what is done hangs together."""
    measured = signals.of_clip(subject.scores, None, subject.duration_s, None)
    path = motion.labels[0].path if motion.labels else None
    found = rules.task_structure(told, path, measured)
    return decision.by_rules("task_structure", [found] if found else [])


def sourced(subject: ClipSubject) -> Decision:
    """Say how the video came to be: that is known, not guessed, where the kind of source tells."""
    path = rules.source_type(subject.video.kind, subject.video.published)
    found = [rules.Found(path, 1.0, f"source of kind {subject.video.kind}")] if path else []
    return decision.by_rules("source_type", found)
