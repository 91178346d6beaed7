"""What a stage is to the code that runs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from humannet_ops.domain.records import ClipSubject, Result, VideoSubject
from humannet_ops.settings import Settings
from humannet_ops.storage import Store

if TYPE_CHECKING:
    from humannet_ops.detectors.lock import ModelLock

Subject = TypeVar("Subject", VideoSubject, ClipSubject, contravariant=True)


@dataclass(frozen=True, slots=True)
class Context:
    """What a stage may use. ``scratch`` is empty when a shard begins and removed when it ends."""

    config: Settings
    store: Store
    models: ModelLock | None
    scratch: Path


class SubjectStage(Protocol[Subject]):
    """A stage that judges each subject by itself.

    It is opened once a shard, so models load once; ``process`` either returns a result or raises ``SubjectError``,
    which fails (or, with a rejecting reason, rejects) that subject alone.
    """

    def __init__(self, context: Context) -> None: ...

    def process(self, subject: Subject) -> Result:
        """Do the stage's work on one subject."""
