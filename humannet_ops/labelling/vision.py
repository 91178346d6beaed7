"""The vision endpoint as label stages use it: where one is named, it decides; where it has no answer, the texts do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from humannet_ops.labelling import asking, texts
from humannet_ops.labelling.asking import Vision
from humannet_ops.labelling.decision import Decision
from humannet_ops.language import sight
from humannet_ops.language.question import Question
from humannet_ops.language.sight import Asking, Sight

if TYPE_CHECKING:
    from humannet_ops.settings import Settings
    from humannet_ops.storage import Store


def configuration(config: Settings) -> dict[str, Any]:
    """Return what of the endpoint decides a label: its model, none where no endpoint is named."""
    return sight.configuration(config, asking.VERSION)


def open_asking(
    stage: str, ask: Callable[[Vision, list[str]], Decision], config: Settings, store: Store
) -> Asking[Decision]:
    """Return what asks about clips; ``ask`` gets the model, which is shown the clip, and what is said about it."""
    return Asking(stage, lambda clip: ask(_Shown(clip), texts.said(clip.subject)), config, store)


class _Shown:
    """A model that is shown one clip with each question."""

    def __init__(self, clip: Sight) -> None:
        self.release, self._clip = clip.release, clip

    def ask(self, question: str, schema: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        return self._clip.answer(Question(name, str(asking.VERSION), question, schema, self._clip.pictures))
