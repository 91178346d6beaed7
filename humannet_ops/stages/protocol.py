"""What a stage is to the code that runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from humannet_ops.domain.records import ClipSubject, Result, VideoSubject
from humannet_ops.settings import Settings
from humannet_ops.sources.config import SourceError
from humannet_ops.sources.protocol import Credentials
from humannet_ops.storage import Store

if TYPE_CHECKING:
    from humannet_ops.detectors.lock import ModelLock

Subject = TypeVar("Subject", VideoSubject, ClipSubject, contravariant=True)


Resolver = Callable[[str], Credentials | None]


def no_credentials(connection: str) -> Credentials | None:
    """Say that connections are Airflow's.

    Raises:
        SourceError: always.
    """
    raise SourceError(
        f"the source needs the Airflow connection {connection!r}, which only an Airflow task can read: run its DAG"
    )


@dataclass(frozen=True, slots=True)
class Context:
    """What a stage may use.

    Attributes:
        config: The settings.
        store: The object store.
        models: The installed models.
        scratch: A folder, empty when a shard begins and removed when it ends.
        credentials: Finds what an Airflow connection holds.
    """

    config: Settings
    store: Store
    models: ModelLock | None
    scratch: Path
    credentials: Resolver = no_credentials


class SubjectStage(Protocol[Subject]):
    """A stage that judges each subject by itself.

    It is opened once a shard, so models load once; ``process`` either returns a result or raises ``SubjectError``,
    which fails (or, with a rejecting reason, rejects) that subject alone. It may have a third method,
    ``ahead(subjects)``, a context manager around the whole shard's work: what only waits for others, or can
    be done side by side, begins there. A stage whose work may end the process says ``ahead_may_crash = True``: it is
    not asked to go ahead once a try was counted.
    """

    def __init__(self, context: Context) -> None: ...

    def process(self, subject: Subject) -> Result:
        """Do the stage's work on one subject."""
