"""caption: what is to be seen in a clip, in a sentence and in a few.

A vision endpoint's words where one is named and answers, else those that the signals allow (``source``: ``endpoint``,
``signals``).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from humannet_ops.domain.records import Annotation, ClipSubject, Result, kept
from humannet_ops.domain.stage import StageSpec
from humannet_ops.language import prompts, sight, wording
from humannet_ops.language.sight import Asking
from humannet_ops.media import people
from humannet_ops.settings import Settings
from humannet_ops.stages.protocol import Context

if TYPE_CHECKING:
    from humannet_ops.detectors.lock import ModelLock

SPEC = StageSpec(
    "caption",
    "clip",
    revision=1,
    queue="cpu",
    needs=("describe_motion",),
    reads=("decide", "cut", "track_people", "describe_motion"),
)
SIGNALS = "signals"


def configuration(config: Settings, models: ModelLock) -> dict[str, Any]:
    """Return what else decides the result: the endpoint's model and prompt."""
    return sight.configuration(config, prompts.CAPTION_VERSION)


class Caption:
    """Captions one clip."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.asking = Asking("caption", _caption, context.config, context.store)

    def ahead(self, subjects: list[ClipSubject]) -> AbstractContextManager[None]:
        """Ask about many clips at once."""
        return self.asking.of(subjects)

    def process(self, subject: ClipSubject) -> Result:
        """Ask, or put the signals into words."""
        asked = self.asking(subject)
        if asked.answer:
            value = {**asked.answer, "source": "endpoint"}
        else:
            value = {**self._from_signals(subject), "source": SIGNALS, **asked.fault}
        release = asked.release or SIGNALS
        return kept(
            detail=asked.fault,
            records=(Annotation("caption", release, value),),
            model_releases=(release,) if asked.release else (),
        )

    def _from_signals(self, subject: ClipSubject) -> dict[str, str]:
        with self.context.store.local(subject.inputs[people.KIND].uri) as path:
            around = people.read(path)
        return wording.caption(around, subject.viewpoint, subject.annotations["motion_text"])


def _caption(clip: sight.Sight) -> dict[str, Any]:
    subject = clip.subject
    return dict(clip.answer(prompts.caption(subject.duration_s, subject.viewpoint, clip.pictures)))
