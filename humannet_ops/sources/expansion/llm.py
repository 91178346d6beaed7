"""An OpenAI-compatible chat endpoint, where ``HUMANNET_LLM_URL`` names one.

It is told keywords only, nothing that a stranger wrote about a video, and its answer is a list of phrases or nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from humannet_ops.domain.keyword import Proposal
from humannet_ops.settings import Settings, settings
from humannet_ops.sources.expansion.protocol import Parent, Proposed

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 60.0
TRIES = 3
LONGEST_WAIT_S = 20.0
"""A crawl waits no longer than this for an endpoint that says when it has time."""
_MOST_KNOWN = 300
_SYSTEM = (
    "You propose search phrases that find real videos of people doing things with their hands or bodies, first person "
    "or third person. Each is two to five plain words that name an activity, unlike those that are known already."
)


class Answer(BaseModel):
    """What the endpoint must answer, and nothing else."""

    model_config = ConfigDict(extra="forbid", strict=True)

    keywords: list[str]


class Llm:
    """Proposes what a language model thinks is near the keywords that keep most."""

    def __init__(self, config: Settings | None = None) -> None:
        self.config = config or settings()

    def propose(self, parents: Sequence[Parent], known: Sequence[str], most: int) -> Proposed:
        """Propose the phrases of one answer; nothing, with the fault, where there is none or it is malformed."""
        import httpx

        if not self.config.llm_url or not parents:
            return Proposed()
        parent, name = parents[0], f"llm ({self.config.llm_model})"
        try:
            content = self._asked(parents, known, most)
            phrases = Answer.model_validate_json(content).keywords
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Proposed(fault=f"{self.config.llm_url} does not help: {error or type(error).__name__}")
        except (ValidationError, ValueError, LookupError, TypeError) as error:
            return Proposed(fault=f"{self.config.llm_url} did not answer with keywords: {_short(error)}")
        return Proposed([Proposal(phrase, name, parent.keyword_id) for phrase in phrases])

    def _asked(self, parents: Sequence[Parent], known: Sequence[str], most: int) -> str:
        wanted = "\n".join(f"- {parent.phrase}" for parent in parents)
        had = "\n".join(f"- {phrase}" for phrase in known[-_MOST_KNOWN:])
        request = {
            "model": self.config.llm_model,
            "messages": [
                {"role": "system", "content": _SYSTEM},
                {
                    "role": "user",
                    "content": f"These work best:\n{wanted}\n\nKnown already:\n{had}\n\nPropose {most} others.",
                },
            ],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "keywords", "strict": True, "schema": Answer.model_json_schema()},
            },
        }
        return str(self._posted(request)["choices"][0]["message"]["content"])

    def _posted(self, request: dict[str, Any]) -> Any:
        import httpx

        key = self.config.llm_key.get_secret_value()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        with httpx.Client(timeout=TIMEOUT_S, headers=headers) as client:
            for left in reversed(range(TRIES)):
                response = client.post(self.config.llm_url.rstrip("/") + "/chat/completions", json=request)
                wait = _wait_s(response)
                if response.status_code not in (429, 503) or not left or wait > LONGEST_WAIT_S:
                    break
                time.sleep(wait)
        response.raise_for_status()
        return response.json()


def _wait_s(response: httpx.Response) -> float:
    """Return how long the endpoint asks to be left alone, s: a number or a date, a second where it says nothing."""
    after = response.headers.get("Retry-After", "1")
    try:
        return max(0.0, float(after))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(after).timestamp() - time.time())
    except ValueError:
        return 1.0


def _short(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'answer'}: {e['msg']}" for e in error.errors()[:2])
    return f"{type(error).__name__}: {error}"
