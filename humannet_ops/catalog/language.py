"""What language models were asked, what they answered and what that cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg2.extras import Json

from humannet_ops.catalog.connection import connect, queries, transaction


@dataclass(frozen=True, slots=True)
class Call:
    """A question as the accounts know it.

    Attributes:
        request_sha256: Of everything that decides the answer.
        clip_id: The clip that it is about.
        stage: Who asks.
        prompt: The prompt and its version.
        model: Who is asked.
    """

    request_sha256: str
    clip_id: str
    stage: str
    prompt: str
    model: str


def answer_of(call: Call) -> Mapping[str, Any] | None:
    """Return what was answered before, and count that nothing was spent; None where it was never asked.

    Raises:
        LookupError: there is no such clip, or it was taken down: nothing of it may be shown to anybody.
    """
    with connect() as link, transaction(link):
        found = queries().language_answer(link, request_sha256=call.request_sha256, clip_id=call.clip_id)
        if found is None:
            raise LookupError(f"{call.clip_id} is not in the catalog, or was taken down")
        if found["answer"] is None:
            return None
        _count(link, call, "cached")
        answer: Mapping[str, Any] = found["answer"]
        return answer


def record(
    call: Call,
    status: str,
    *,
    answer: Mapping[str, Any] | None,
    tokens_in: int,
    tokens_out: int,
    cost: float,
    seconds: float,
) -> None:
    """Keep an answer, and count what it cost.

    Args:
        call: The question.
        status: ``answered``, ``refused``, ``malformed`` or ``failed``.
        answer: What was answered.
        tokens_in: That the endpoint counted, of all tries.
        tokens_out: Likewise.
        cost: By the settings' prices.
        seconds: From the question to the answer, waits included.
    """
    with connect() as link, transaction(link):
        if answer is not None:
            queries().keep_language_answer(
                link,
                request_sha256=call.request_sha256,
                clip_id=call.clip_id,
                prompt=call.prompt,
                model=call.model,
                answer=Json(dict(answer)),
            )
        _count(link, call, status, tokens_in=tokens_in, tokens_out=tokens_out, cost=cost, seconds=seconds)


def _count(
    link: Any,
    call: Call,
    status: str,
    *,
    tokens_in: int = 0,
    tokens_out: int = 0,
    cost: float = 0.0,
    seconds: float = 0.0,
) -> None:
    queries().record_language_call(
        link,
        clip_id=call.clip_id,
        stage=call.stage,
        prompt=call.prompt,
        model=call.model,
        status=status,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        cost=cost,
        seconds=seconds,
    )
