"""label_scene: where it happens, by a vision endpoint where one is named, else by what is said about the clip."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from humannet_ops.domain.records import Annotation, ClipSubject, Result, kept
from humannet_ops.domain.stage import StageSpec
from humannet_ops.domain.taxonomy import taxonomy
from humannet_ops.labelling import asking, decision, inherited, opening, texts, vision
from humannet_ops.labelling.matching import judge
from humannet_ops.settings import Settings
from humannet_ops.stages.protocol import Context

if TYPE_CHECKING:
    from humannet_ops.detectors.lock import ModelLock
    from humannet_ops.labelling.decision import Decision

SPEC = StageSpec(
    "label_scene",
    "clip",
    revision=1,
    queue="cpu",
    needs=("caption",),
    reads=("cut", "describe_motion", "caption"),
    roles=("sentence",),
)


def configuration(config: Settings, models: ModelLock) -> dict[str, Any]:
    """Return what else decides the result: the tree, the coefficients, the endpoint's model."""
    return {**opening.versions(), **vision.configuration(config)}


class LabelScene:
    """Labels the scene of one clip."""

    def __init__(self, context: Context) -> None:
        self.matcher = opening.open_matcher(context.models, context.config, "scene")
        self.asking = vision.open_asking(SPEC.name, by_sight, context.config, context.store)

    def ahead(self, subjects: list[ClipSubject]) -> AbstractContextManager[None]:
        """Ask about many clips at once."""
        return self.asking.of(subjects)

    def process(self, subject: ClipSubject) -> Result:
        """Ask, or compare; abstain where neither is sure enough."""
        tree, told = taxonomy(), texts.said(subject)
        asked = self.asking(subject)
        found = asked.answer or self._compared(told)
        release = self.matcher.encoder.release
        entries = inherited.read(subject.video.published, (subject.start_s, subject.end_s), tree, self.matcher)
        labels, brought = decision.brought(entries, release)
        value = {"scene": found.value, "inherited": brought, "taxonomy": tree.version, **asked.fault}
        return kept(
            scores=found.scores,
            detail=asked.fault,
            records=(Annotation(SPEC.name, asked.release or release, value), *found.labels, *labels),
            model_releases=tuple(filter(None, (asked.release, release))),
        )

    def _compared(self, told: list[str]) -> Decision:
        match = self.matcher.match(texts.pieces(told))
        return decision.by_matching("scene", match, judge(match, "scene"), self.matcher.encoder.release)


def by_sight(model: asking.Vision, told: list[str]) -> Decision:
    """Ask a vision model."""
    return decision.by_answers("scene", [asking.ask_class(model, taxonomy(), "scene", told)], model.release)
