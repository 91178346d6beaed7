"""A clip as a vision model sees it, and what its answer, or the lack of one, means for a stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from humannet_ops.language import question
from humannet_ops.language.ahead import Ahead
from humannet_ops.language.endpoint import Endpoint, NoAnswer, open_endpoint
from humannet_ops.language.question import Question

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from humannet_ops.domain.records import ClipSubject
    from humannet_ops.settings import Settings
    from humannet_ops.storage import Store

Answer = TypeVar("Answer")


def configuration(config: Settings, version: str | int) -> dict[str, Any]:
    """Return what of an endpoint decides a result: its model and the prompt's version; nothing where none is named.

    The address is left out: the same model elsewhere answers the same.
    """
    if not config.vision_url:
        return {}
    return {
        "vision_model": config.vision_model,
        "vision_revision": config.vision_revision,
        "prompt": version,
        "pictures": question.PICTURES,
    }


class Sight:
    """One clip, shown to the endpoint."""

    def __init__(self, endpoint: Endpoint, subject: ClipSubject, stage: str, config: Settings, store: Store) -> None:
        self.subject, self.release = subject, endpoint.release
        self._endpoint, self._stage, self._config, self._store = endpoint, stage, config, store

    @cached_property
    def pictures(self) -> tuple[bytes, ...]:
        """Frames of the clip, JPEG; decoded once, however much is asked."""
        with self._store.local(self.subject.inputs["clip"].uri) as path:
            return question.pictures_of(path, threads=1, timeout_s=self._config.subject_timeout_s)

    def answer(self, asked: Question) -> Mapping[str, Any]:
        """Return the model's answer.

        Raises:
            NoAnswer: there is none that can be used.
        """
        return self._endpoint.ask(asked, clip_id=self.subject.clip_id, stage=self._stage)


@dataclass(frozen=True, slots=True)
class Asked(Generic[Answer]):
    """What came of asking: an answer by the model ``release``, or none; ``fault`` says why where it was tried."""

    answer: Answer | None = None
    release: str | None = None
    fault: Mapping[str, Any] = field(default_factory=dict)


class Asking(Generic[Answer]):
    """Asks about the clips of a shard, many at once; does without where no endpoint is named or it has no answer."""

    def __init__(
        self,
        stage: str,
        ask: Callable[[Sight], Answer],
        config: Settings,
        store: Store,
        endpoint: Endpoint | None = None,
    ) -> None:
        """``ask`` puts the questions about one clip, from several threads at once."""
        self._stage, self._ask, self._config, self._store = stage, ask, config, store
        self.endpoint = endpoint or open_endpoint(config)
        self._ahead = Ahead(self._tried, config.vision_at_once)

    def of(self, subjects: list[ClipSubject]) -> AbstractContextManager[None]:
        """Begin to ask about these clips; end with the block."""
        return self._ahead.of(subjects if self.endpoint else [])

    def __call__(self, subject: ClipSubject) -> Asked[Answer]:
        """Return what came of asking about one clip.

        Raises:
            Postponed: the endpoint is busy or away.
            EndpointError: it cannot be used as it is configured.
        """
        return self._ahead(subject) if self.endpoint else Asked()

    def _tried(self, subject: ClipSubject) -> Asked[Answer]:
        assert self.endpoint
        sight = Sight(self.endpoint, subject, self._stage, self._config, self._store)
        try:
            return Asked(self._ask(sight), sight.release)
        except NoAnswer as none:
            return Asked(fault={"endpoint": none.status, "message": str(none)})
