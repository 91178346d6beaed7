"""The vision endpoint as label stages use it: asked where one is named, and done without where it does not answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from humannet_ops.labelling.asking import Vision

if TYPE_CHECKING:
    from humannet_ops.domain.records import ClipSubject
    from humannet_ops.labelling.decision import Decision
    from humannet_ops.settings import Settings
    from humannet_ops.storage import Store

Look = Callable[["ClipSubject"], Vision]
"""Opens a clip for questions."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of asking: a decision by the model ``release``, or nothing; ``fault`` says why where it was tried."""

    decision: Decision | None = None
    release: str | None = None
    fault: Mapping[str, Any] = field(default_factory=dict)


def configuration(config: Settings) -> dict[str, Any]:
    """Return what of the endpoint decides a label: its model, none where no endpoint is named."""
    return {}


def open_vision(config: Settings, store: Store, scratch: Path) -> Look | None:
    """Return what opens clips for questions; None where no endpoint is named."""
    return None


def attempt(look: Look | None, subject: ClipSubject, ask: Callable[[Vision], Decision]) -> Asked:
    """Ask about a clip; what the endpoint refuses or answers wrongly is the offline models' turn."""
    if look is None:
        return Asked()
    model = look(subject)
    return Asked(ask(model), model.release)
