"""The vision endpoint's client against a loopback server that speaks the real protocol, well and badly."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import MODEL, ChatServer, Decide, Reply, answer, chat_server, in_turn
from test_labels import Corpus, ask

from humannet_ops.catalog import takedowns
from humannet_ops.catalog.connection import connect
from humannet_ops.diagnosis import _vision
from humannet_ops.domain.outcome import Postponed
from humannet_ops.language import endpoint as client
from humannet_ops.language.ahead import Ahead
from humannet_ops.language.endpoint import Endpoint, EndpointError, NoAnswer, open_endpoint
from humannet_ops.language.question import Question, red
from humannet_ops.settings import Settings, settings

SCHEMA = {
    "type": "object",
    "properties": {"what": {"type": "string", "maxLength": 20}},
    "required": ["what"],
    "additionalProperties": False,
}
QUESTION = Question("what", "1", "What is done?", SCHEMA, (red(),), "You annotate.")
GOOD = answer(what="dice an onion")


@pytest.fixture
def clips(home: Path) -> list[str]:
    corpus = Corpus()
    corpus.crawl("a")
    corpus.go()
    return [clip_id for (clip_id,) in ask("select clip_id from clips")]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Decide], ChatServer]]:
    """A function that starts a server; waits between tries are a hundredth of what they are."""
    monkeypatch.setattr(client, "FIRST_WAIT_S", 0.01)
    running = []

    def start(decide: Decide) -> ChatServer:
        running.append(chat_server(decide))
        return running[-1].__enter__()

    yield start
    for server in running:
        server.__exit__(None, None, None)


def opened(url: str, **fields: Any) -> Endpoint:
    made = open_endpoint(Settings(vision_url=url, vision_model=MODEL, **fields))
    assert made is not None
    return made


def usage() -> list[tuple[Any, ...]]:
    return ask("select prompt, calls, cached, refused, malformed, failed, tokens_in, tokens_out from v_language_usage")


# --- what is asked, and what it costs


def test_an_answer_is_bought_once_and_accounted_for(clips: list[str], serve) -> None:
    server = serve(in_turn(GOOD))
    asking = opened(server.url, vision_key="secret", vision_price_in=2.0, vision_price_out=10.0)
    assert asking.ask(QUESTION, clip_id=clips[0], stage="caption") == {"what": "dice an onion"}
    # the same pictures and words, for another stage or by another process: no second call
    again = opened(server.url).ask(QUESTION, clip_id=clips[1], stage="label_scene")
    assert again == {"what": "dice an onion"}
    (request,) = server.requests
    assert (request.name, request.text, request.pictures, request.key) == ("what", "What is done?", 1, "Bearer secret")
    assert ask("select stage, model, calls, cached, tokens_in, tokens_out, cost from v_language_usage") == [
        ("caption", MODEL, 1, 0, 1000, 50, pytest.approx(0.0025)),
        ("label_scene", MODEL, 1, 1, 0, 0, 0.0),
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"version": "2"},
        {"text": "What else is done?"},
        {"schema": {**SCHEMA, "maxProperties": 1}},
        {"pictures": (red(), red())},
        {"system": "You do not annotate."},
    ],
)
def test_another_question_is_asked_anew(clips: list[str], serve, other: dict[str, Any]) -> None:
    from dataclasses import replace

    server = serve(in_turn(GOOD))
    asking = opened(server.url)
    for question in (QUESTION, replace(QUESTION, **other)):
        asking.ask(question, clip_id=clips[0], stage="caption")
    assert len(server.requests) == 2


def test_another_revision_of_the_model_is_asked_anew(clips: list[str], serve) -> None:
    server = serve(in_turn(GOOD))
    for revision in ("", "2026-11"):
        opened(server.url, vision_revision=revision).ask(QUESTION, clip_id=clips[0], stage="caption")
    assert [model for (model,) in ask("select model from v_language_usage")] == [MODEL, f"{MODEL}@2026-11"]


def test_nothing_of_a_clip_that_was_taken_down_is_shown_and_its_answers_go(clips: list[str], serve) -> None:
    server = serve(in_turn(GOOD))
    asking = opened(server.url)
    asking.ask(QUESTION, clip_id=clips[0], stage="caption")
    ((video,),) = ask("select distinct video_id from clips")
    takedowns.take_down("video", video, reason="asked for", requested_by="test")
    with pytest.raises(NoAnswer, match="taken down") as none:
        asking.ask(Question("what", "2", "Again?", SCHEMA, (red(),)), clip_id=clips[1], stage="caption")
    assert none.value.status == "gone"
    assert len(server.requests) == 1
    with connect() as link:
        takedowns.clear(link, 100)
    assert ask("select count(*) from language_answers") == [(0,)]
    assert ask("select count(*) from language_calls") == [(0,)]


# --- answers that cannot be used


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (Reply("It dices an onion."), "it is no JSON"),
        (Reply('{"what": "dice'), "it is no JSON"),
        (Reply('{"what": "di', finish_reason="length"), "cut off after 50 tokens"),
        (answer(what=7), "what: 7 is not of type 'string'"),
        (answer(what="x" * 21), "is too long"),
        (answer(), "'what' is a required property"),
        (answer(what="dice", more=1), "Additional properties are not allowed"),
        (Reply(""), "it is empty"),
        (Reply(None), "it is empty"),
        (Reply(raw=b"<html>gateway</html>"), "it is empty"),
        (Reply(raw=b'{"choices": []}'), "it is empty"),
        (Reply(raw=b'["choices"]'), "it is empty"),
        (Reply(raw=b'{"choices": [{"message": "no object"}], "usage": {"prompt_tokens": "x"}}'), "it is empty"),
    ],
)  # fmt: skip
def test_a_bad_answer_is_handed_back_once_with_what_is_wrong(clips: list[str], serve, bad: Reply, told: str) -> None:
    seen: list[Any] = []

    def decide(request: Any) -> Reply:
        seen.append(request)
        return bad if len(seen) == 1 else GOOD

    server = serve(decide)
    assert opened(server.url).ask(QUESTION, clip_id=clips[0], stage="caption") == {"what": "dice an onion"}
    # system and question; then also the bad answer and what is wrong with it
    assert [request.messages for request in server.requests] == [2, 4]
    server.decide = in_turn(bad)
    with pytest.raises(NoAnswer, match="twice gave no answer that keeps to the schema") as none:
        opened(server.url).ask(Question("what", "2", "?", SCHEMA, (red(),)), clip_id=clips[0], stage="caption")
    assert told in str(none.value)
    assert none.value.status == "malformed"
    assert [row[:6] for row in usage()] == [("what 1", 1, 0, 0, 0, 0), ("what 2", 1, 0, 0, 1, 0)]


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(None, refusal="I cannot describe people."), "refuses: I cannot describe people"),
        (Reply(None, finish_reason="content_filter"), "its content filter stopped it"),
        (Reply("content policy violation", status=400), "does not take the question .HTTP 400.*content policy"),
        (Reply("context length exceeded", status=413), "does not take the question .HTTP 413"),
    ],
)
def test_a_refusal_is_told_and_counted_and_not_asked_again(clips: list[str], serve, reply: Reply, told: str) -> None:
    server = serve(in_turn(reply))
    with pytest.raises(NoAnswer, match=told) as none:
        opened(server.url).ask(QUESTION, clip_id=clips[0], stage="caption")
    assert none.value.status == "refused"
    assert len(server.requests) == 1
    assert [row[:6] for row in usage()] == [("what 1", 1, 0, 1, 0, 0)]
    # what was refused is not kept as an answer
    assert ask("select count(*) from language_answers") == [(0,)]


# --- an endpoint that is busy, away, or not what the settings say


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 529])
def test_a_busy_endpoint_is_asked_again(clips: list[str], serve, status: int) -> None:
    server = serve(in_turn(Reply("busy", status=status), Reply("busy", status=status), GOOD))
    assert opened(server.url).ask(QUESTION, clip_id=clips[0], stage="caption")
    assert len(server.requests) == 3


def test_retry_after_is_kept_to(clips: list[str], serve) -> None:
    server = serve(in_turn(Reply("slow down", status=429, headers={"Retry-After": "1"}), GOOD))
    started = datetime.datetime.now(datetime.UTC)
    opened(server.url).ask(QUESTION, clip_id=clips[0], stage="caption")
    assert (datetime.datetime.now(datetime.UTC) - started).total_seconds() >= 1


def test_a_long_wait_postpones_this_clip_and_all_that_follow(clips: list[str], serve) -> None:
    server = serve(in_turn(Reply("quota", status=429, headers={"Retry-After": "3600"}), GOOD))
    asking = opened(server.url)
    for clip_id in clips:
        with pytest.raises(Postponed, match=r"does not help: HTTP 429.*quota") as wait:
            asking.ask(QUESTION, clip_id=clip_id, stage="caption")
        left = (wait.value.until - datetime.datetime.now(datetime.UTC)).total_seconds()
        assert 3590 < left <= 3600
        assert wait.value.cause == "endpoint"
    assert len(server.requests) == 1


@pytest.mark.parametrize("away", ["refused", "silent", "broken off"])
def test_an_endpoint_that_is_away_postpones(clips: list[str], serve, away: str) -> None:
    never = threading.Event()
    reply = {
        "silent": Reply(hold=never),
        "broken off": Reply(raw=b"", headers={"Transfer-Encoding": "chunked"}),
        "refused": GOOD,
    }[away]
    server = serve(in_turn(reply))
    url = "http://127.0.0.1:9/v1" if away == "refused" else server.url
    with pytest.raises(Postponed, match=r"does not help: (ConnectError|ReadTimeout|RemoteProtocolError)"):
        opened(url, vision_timeout_s=0.2).ask(QUESTION, clip_id=clips[0], stage="caption")
    never.set()
    assert [row[:6] for row in usage()] == [("what 1", 1, 0, 0, 0, 1)]


@pytest.mark.parametrize(
    ("fields", "status", "told"),
    [
        ({}, 401, "HTTP 401.*HUMANNET_VISION_KEY"),
        ({}, 403, "HTTP 403"),
        ({"vision_model": "other"}, 200, "HTTP 404.*does not exist.*HUMANNET_VISION_MODEL"),
    ],
)
def test_what_is_wrongly_configured_ends_the_task_and_says_the_cure(
    clips: list[str], serve, fields: dict[str, Any], status: int, told: str
) -> None:
    server = serve(in_turn(Reply("no", status=status)))
    made = open_endpoint(Settings(**{"vision_url": server.url, "vision_model": MODEL, **fields}))
    assert made is not None
    with pytest.raises(EndpointError, match=told):
        made.ask(QUESTION, clip_id=clips[0], stage="caption")


def test_an_address_without_a_model_is_refused_at_once() -> None:
    with pytest.raises(EndpointError, match="HUMANNET_VISION_MODEL no model"):
        open_endpoint(Settings(vision_url="http://127.0.0.1:9/v1"))
    assert open_endpoint(Settings()) is None


# --- side by side


def test_clips_are_asked_about_side_by_side(serve) -> None:
    from humannet_ops.domain.records import ClipSubject, VideoSubject

    subjects = [ClipSubject(f"c{n}", VideoSubject("v", "s", "u"), 0, 0, 1, 0.0, 1.0) for n in range(6)]
    full, calls = threading.Barrier(3), []

    def about(subject: ClipSubject) -> str:
        calls.append(subject.clip_id)
        full.wait(10)  # passes only if three are asked at once
        if subject.clip_id == "c4":
            raise NoAnswer("refused", "no")
        return f"about {subject.clip_id}"

    ahead = Ahead(about, 3)
    with ahead.of(subjects):
        assert [ahead(subject) for subject in subjects[:4]] == [f"about c{n}" for n in range(4)]
        with pytest.raises(NoAnswer):
            ahead(subjects[4])
        assert ahead(subjects[5]) == "about c5"
    assert sorted(calls) == [f"c{n}" for n in range(6)]


def test_what_was_not_begun_when_the_shard_ends_is_not_asked() -> None:
    from humannet_ops.domain.records import ClipSubject, VideoSubject

    subjects = [ClipSubject(f"c{n}", VideoSubject("v", "s", "u"), 0, 0, 1, 0.0, 1.0) for n in range(50)]
    begun, free, calls = threading.Event(), threading.Event(), []

    def about(subject: ClipSubject) -> None:
        calls.append(subject.clip_id)
        begun.set()
        free.wait(10)

    def work() -> None:
        with Ahead(about, 1).of(subjects):
            begun.wait(10)
            threading.Timer(0.05, free.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert calls == ["c0"]


# --- doctor


def test_doctor_tries_the_endpoint_out(serve, monkeypatch: pytest.MonkeyPatch, forget_settings) -> None:
    server = serve(in_turn(answer(colour="red")))
    monkeypatch.setenv("HUMANNET_VISION_URL", server.url)
    monkeypatch.setenv("HUMANNET_VISION_MODEL", MODEL)
    forget_settings()
    check = _vision("vision endpoint")
    assert check.passed, check.finding
    assert settings().vision_url in check.finding
    server.decide = in_turn(answer(colour="none"))
    assert not _vision("vision endpoint").passed
    monkeypatch.setenv("HUMANNET_VISION_MODEL", "other")
    forget_settings()
    check = _vision("vision endpoint")
    assert not check.passed
    assert "does not exist" in check.finding
