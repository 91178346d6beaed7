"""Asking about many clips side by side, so that the endpoint can batch them.

A server like vLLM computes whatever is in flight as one batch; a client that waits for each answer before it asks the
next leaves it idle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from humannet_ops.domain.records import ClipSubject

Answer = TypeVar("Answer")


class Ahead(Generic[Answer]):
    """Asks about clips before their turn comes.

    with ahead.of(subjects):           # begins on all of them, so many at once
        for subject in subjects:
            ahead(subject)             # waits for this one's answer, or raises what its asking raised
    """

    def __init__(self, ask: Callable[[ClipSubject], Answer], at_once: int) -> None:
        """``ask`` is called from several threads, at most ``at_once`` at a time."""
        self._ask, self._at_once = ask, at_once
        self._begun: dict[str, Future[Answer]] = {}

    @contextmanager
    def of(self, subjects: Iterable[ClipSubject]) -> Iterator[None]:
        """Ask about these; what has not begun at the end of the block is not asked any more."""
        pool = ThreadPoolExecutor(self._at_once, thread_name_prefix="asking")
        try:
            self._begun = {subject.clip_id: pool.submit(self._ask, subject) for subject in subjects}
            yield
        finally:
            pool.shutdown(cancel_futures=True)
            self._begun = {}

    def __call__(self, subject: ClipSubject) -> Answer:
        """Return what was answered about one clip; a second call, after it had to wait, asks again."""
        begun = self._begun.pop(subject.clip_id, None)
        return begun.result() if begun else self._ask(subject)
