"""The client of an OpenAI-compatible chat endpoint (vLLM serving Qwen-VL, or any other) that is shown pictures.

    endpoint = open_endpoint(settings())                  # None where HUMANNET_VISION_URL is not set
    answer = endpoint.ask(question, clip_id="c1", stage="caption")
    answer["short"]                                       # keeps to question.schema

What was asked before, of the same model, in the same words, about the same pictures, is answered from the catalog. Each
call is in the accounts (``v_language_usage``) with its tokens and what they cost.

An endpoint that is busy (429), stumbles (5xx) or does not answer is asked again, after as long as it says; for longer
than ``LONGEST_WAIT_S`` the clip is postponed, which is no failure and no attempt, and so is every other that would ask
before it is time. An answer that is no JSON, or does not keep to the schema, is handed back once with what is wrong. A
refusal is an answer: the caller goes on without. One endpoint may be asked from several threads at once.
"""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from humannet_ops.catalog import language
from humannet_ops.domain.outcome import DeviceLost, Postponed
from humannet_ops.language.question import Question
from humannet_ops.settings import Settings

if TYPE_CHECKING:
    import httpx

TRIES = 4
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
AGAIN_AFTER_S = 600.0
"""How long a clip is postponed for where the endpoint does not say."""
MAX_TOKENS = 1024
BUSY = (408, 409, 425, 429, 500, 502, 503, 504, 529)
# Too long, too many pictures, against its rules: it is this question that the endpoint does not take.
UNTAKEN = (400, 413, 422)


class EndpointError(DeviceLost):
    """The endpoint cannot be used as it is configured, whatever the clip: the task fails, and no clip pays for it."""


class NoAnswer(Exception):
    """The model gave no answer that can be used.

    Attributes:
        status: ``refused``, ``malformed``, or ``gone`` where the clip was taken down meanwhile: then nothing was asked.
    """

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Reply:
    """One answer of the endpoint: its text, or why there is none; and what it counted."""

    text: str | None
    refusal: str | None
    cut_off: bool
    tokens_in: int
    tokens_out: int


def open_endpoint(config: Settings) -> Endpoint | None:
    """Return the client of the endpoint that the settings name; None where they name none.

    Raises:
        EndpointError: an endpoint is named, but no model.
    """
    if not config.vision_url:
        return None
    if not config.vision_model:
        raise EndpointError(
            "HUMANNET_VISION_URL names an endpoint and HUMANNET_VISION_MODEL no model: name one that it serves"
        )
    return Endpoint(config)


class Endpoint:
    """Asks, keeps what was answered, and counts what it cost.

    Attributes:
        model: What the endpoint calls its model.
        release: The same with its revision, for the lineage.
    """

    def __init__(self, config: Settings) -> None:
        import httpx

        self.config = config
        self.model = config.vision_model
        self.release = f"{self.model}@{config.vision_revision}" if config.vision_revision else self.model
        key = config.vision_key.get_secret_value()
        self._client = httpx.Client(
            timeout=httpx.Timeout(config.vision_timeout_s, connect=10.0),
            headers={"Authorization": f"Bearer {key}"} if key else {},
            follow_redirects=False,
        )
        self._away: Postponed | None = None

    def ask(self, question: Question, *, clip_id: str, stage: str) -> Mapping[str, Any]:
        """Return the answer, an object that keeps to the question's schema.

        Raises:
            NoAnswer: the model refuses, twice answers something else, or the clip was taken down.
            Postponed: the endpoint is busy or away.
            EndpointError: it does not know the model, or refuses the key.
        """
        digest = question.digest(self.release)
        call = language.Call(digest, clip_id, stage, f"{question.name} {question.version}", self.release)
        try:
            kept = language.answer_of(call)
        except LookupError as gone:
            raise NoAnswer("gone", str(gone)) from gone
        if kept is not None:
            return kept
        if self._away and self._away.until > _now():
            raise Postponed(self._away.cause, self._away.until, str(self._away))
        started, said = time.monotonic(), _Count()
        try:
            answer = self._answered(question, said)
        except NoAnswer as none:
            self._record(call, none.status, said, started)
            raise
        except (Postponed, EndpointError) as fault:
            self._away = fault if isinstance(fault, Postponed) else None
            self._record(call, "failed", said, started)
            raise
        self._record(call, "answered", said, started, answer)
        return answer

    def try_out(self, question: Question) -> Mapping[str, Any]:
        """Ask once, without a clip, and neither keep nor count it: ``humannet doctor`` does.

        Raises:
            NoAnswer: as ``ask``.
            Postponed: as ``ask``.
            EndpointError: as ``ask``.
        """
        return self._answered(question, _Count())

    def _record(
        self, call: language.Call, status: str, said: _Count, started: float, answer: Mapping[str, Any] | None = None
    ) -> None:
        price_in, price_out = self.config.vision_price_in, self.config.vision_price_out
        language.record(
            call,
            status,
            answer=answer,
            tokens_in=said.tokens_in,
            tokens_out=said.tokens_out,
            cost=(said.tokens_in * price_in + said.tokens_out * price_out) / 1e6,
            seconds=time.monotonic() - started,
        )

    def _answered(self, question: Question, said: _Count) -> Mapping[str, Any]:
        messages, wrong = question.messages(), ""
        for _ in range(2):
            reply = self._reply(messages, question, said)
            if reply.refusal is not None:
                raise NoAnswer("refused", f"{self.model} refuses: {reply.refusal[:200]}")
            try:
                return _checked(reply, question.schema)
            except ValueError as error:
                wrong = str(error)
            messages = [
                *messages,
                {"role": "assistant", "content": (reply.text or "")[:4000]},
                {"role": "user", "content": f"That is not what was asked for: {wrong}. Answer again, in JSON alone."},
            ]
        raise NoAnswer("malformed", f"{self.model} twice gave no answer that keeps to the schema: {wrong}")

    def _reply(self, messages: list[dict[str, Any]], question: Question, said: _Count) -> _Reply:
        body = {
            "model": self.model,
            "messages": messages,
            "max_tokens": MAX_TOKENS,
            "temperature": 0,
            "response_format": question.response_format(),
        }
        reply = _read(self._posted(body))
        said.tokens_in += reply.tokens_in
        said.tokens_out += reply.tokens_out
        return reply

    def _posted(self, body: Mapping[str, Any]) -> Any:
        import httpx

        wait, fault = FIRST_WAIT_S, ""
        for left in reversed(range(TRIES)):
            try:
                response = self._client.post(self._url("chat/completions"), json=body)
            except httpx.TransportError as error:
                fault, asked = f"{type(error).__name__}: {error}", None
            else:
                if response.status_code not in BUSY:
                    return self._content(response)
                fault, asked = f"HTTP {response.status_code}: {response.text[:200]}", _retry_after_s(response)
            pause = wait if asked is None else asked
            if not left or pause > LONGEST_WAIT_S:
                raise self._postponed(max(pause, AGAIN_AFTER_S if asked is None else 0.0), fault)
            time.sleep(pause)
            wait = min(2 * wait, LONGEST_WAIT_S)
        raise AssertionError("unreachable")

    def _postponed(self, seconds: float, fault: str) -> Postponed:
        until = _now() + datetime.timedelta(seconds=seconds)
        return Postponed("endpoint", until, f"{self.config.vision_url} does not help: {fault}")

    def _content(self, response: httpx.Response) -> Any:
        said = f"HTTP {response.status_code}: {response.text[:300].strip()}"
        if response.status_code in UNTAKEN:
            raise NoAnswer("refused", f"{self.config.vision_url} does not take the question ({said})")
        if response.status_code != 200:
            raise EndpointError(
                f"{self.config.vision_url} refuses ({said}). "
                "See HUMANNET_VISION_URL (it ends in /v1), HUMANNET_VISION_MODEL and HUMANNET_VISION_KEY; "
                "`humannet doctor` asks what it serves."
            )
        try:
            return response.json()
        except ValueError:
            return None  # what is no JSON is no answer, told as such

    def _url(self, path: str) -> str:
        return f"{self.config.vision_url.rstrip('/')}/{path}"


@dataclass(slots=True)
class _Count:
    """Tokens of all tries of one question."""

    tokens_in: int = 0
    tokens_out: int = 0


def _read(content: Any) -> _Reply:
    """Take an answer apart; what is missing, or something else than it should be, is None or 0."""
    choices = _object(content).get("choices")
    choice = _object(choices[0] if isinstance(choices, list) and choices else None)
    message, usage = _object(choice.get("message")), _object(_object(content).get("usage"))
    refusal, text = message.get("refusal"), message.get("content")
    if refusal is None and choice.get("finish_reason") == "content_filter":
        refusal = "its content filter stopped it"
    return _Reply(
        text if isinstance(text, str) else None,
        str(refusal) if refusal is not None else None,
        choice.get("finish_reason") == "length",
        _count_of(usage.get("prompt_tokens")),
        _count_of(usage.get("completion_tokens")),
    )


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _count_of(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _checked(reply: _Reply, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the answer as an object.

    Raises:
        ValueError: it is cut off, no JSON, or does not keep to the schema; the message is for the model.
    """
    from jsonschema import Draft202012Validator

    if reply.cut_off:
        raise ValueError(f"it was cut off after {reply.tokens_out or MAX_TOKENS} tokens; be shorter")
    if not reply.text:
        raise ValueError("it is empty")
    try:
        answer = json.loads(reply.text)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON ({error})") from error
    faults = sorted(Draft202012Validator(dict(schema)).iter_errors(answer), key=lambda fault: list(fault.path))
    if faults:
        where = "/".join(map(str, faults[0].path)) or "the answer"
        raise ValueError(f"{where}: {faults[0].message[:300]}")
    found: Mapping[str, Any] = answer
    return found


def _retry_after_s(response: httpx.Response) -> float | None:
    """Return how long the endpoint asks to be left alone, seconds; None where it does not say."""
    from humannet_ops.sources.visiting import seconds_of

    return seconds_of(response.headers.get("Retry-After"), _now())


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
