"""label_interactions: how the person acts on the world; several may apply.

By a vision endpoint where one is named. Else by two things that stay apart by their origin: what the clip's motion, as
its texts tell it, always has (``offline``), and what rules on signals show (``pseudo``).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any

from humannet_ops.domain.records import Annotation, ClipSubject, Label, Result, kept
from humannet_ops.domain.stage import StageSpec
from humannet_ops.domain.taxonomy import taxonomy
from humannet_ops.labelling import asking, decision, opening, rules, signals, texts, vision
from humannet_ops.labelling.decision import Decision
from humannet_ops.media import people
from humannet_ops.settings import Settings
from humannet_ops.stages.label_activity import compared
from humannet_ops.stages.protocol import Context

if TYPE_CHECKING:
    from humannet_ops.detectors.lock import ModelLock
    from humannet_ops.labelling.matching import Matcher
    from humannet_ops.labelling.signals import Signals

FACET = "interaction"
SPEC = StageSpec(
    "label_interactions",
    "clip",
    revision=1,
    queue="cpu",
    needs=("caption",),
    reads=("decide", "cut", "track_people", "describe_motion", "caption"),
    roles=("sentence",),
)


def configuration(config: Settings, models: ModelLock) -> dict[str, Any]:
    """Return what else decides the result: the tree, the coefficients, the endpoint's model."""
    return {**opening.versions(), **vision.configuration(config)}


class LabelInteractions:
    """Labels the interactions of one clip."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.matcher = opening.open_matcher(context.models, context.config, "motion")
        self.asking = vision.open_asking(SPEC.name, by_sight, context.config, context.store)

    def ahead(self, subjects: list[ClipSubject]) -> AbstractContextManager[None]:
        """Ask about many clips at once."""
        return self.asking.of(subjects)

    def process(self, subject: ClipSubject) -> Result:
        """Ask, or follow the rules; abstain where nothing holds."""
        told, measured = texts.said(subject), self._measured(subject)
        asked = self.asking(subject)
        by_signals = decision.by_rules(FACET, rules.interactions(measured))
        found = decision.together(asked.answer or implied(self.matcher, subject, told), by_signals)
        release = self.matcher.encoder.release
        value = {FACET: found.value, "signals": signals.plain(measured), "taxonomy": taxonomy().version, **asked.fault}
        return kept(
            scores=found.scores,
            detail=asked.fault,
            records=(Annotation(SPEC.name, asked.release or release, value), *found.labels),
            model_releases=tuple(filter(None, (asked.release, release))),
        )

    def _measured(self, subject: ClipSubject) -> Signals:
        artifact = subject.inputs.get(people.KIND)
        with ExitStack() as held:
            path = held.enter_context(self.context.store.local(artifact.uri)) if artifact else None
            around = people.read(path) if path else None
        return signals.of_clip(subject.scores, subject.viewpoint, subject.duration_s, around)


def by_sight(model: asking.Vision, told: list[str]) -> Decision:
    """Ask a vision model."""
    return decision.by_answers(FACET, asking.ask_classes(model, taxonomy(), FACET, told), model.release)


def implied(matcher: Matcher, subject: ClipSubject, told: list[str]) -> Decision:
    """Take what a motion always has, where the texts tell the motion down to its class.

    The confidence is the motion's: where the class is right, so is what it implies.
    """
    motion = compared(matcher, subject, told)
    path = motion.labels[0].path if motion.labels else ""
    of_class = "/".join(path.split("/")[:2])
    sure = float(motion.value.get("levels", {}).get(2, 0.0))
    labels = tuple(
        Label(FACET, each, sure, "offline", matcher.encoder.release)
        for each in sorted(matcher.implies.get(of_class, ()))
    )
    confidence = sure if labels else 0.0
    return Decision(FACET, labels, confidence, {"origin": "offline", "motion": path or None})
