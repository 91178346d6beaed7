"""What strategies propose: from real texts with the real sentence model, from the taxonomy, from a chat endpoint."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from humannet_ops.catalog.keywords import Text
from humannet_ops.domain.keyword import normalised, tidied
from humannet_ops.settings import Settings
from humannet_ops.sources.expansion import llm, nearest
from humannet_ops.sources.expansion.llm import Llm
from humannet_ops.sources.expansion.nearest import Nearest, marginally_relevant
from humannet_ops.sources.expansion.phrases import candidates
from humannet_ops.sources.expansion.protocol import Parent, Proposed
from humannet_ops.sources.expansion.taxonomy import Taxonomy, activities, neighbours

ABOUT_ONIONS = [
    Text("How to dice an onion like a chef (2024)", ("knife skills", "dicing onions", "cooking"),
         "Learn knife skills. Subscribe to my channel! https://example.org/knives #onion", True),
    Text("Knife skills: slicing carrots", ("knife skills", "slicing carrots", "julienne vegetables"),
         "Slicing carrots and julienne vegetables with a chef's knife.", True),
    Text("Onion soup", ("french onion soup", "recipe"), "A recipe for french onion soup.", False),
    Text("My new car review", ("car review", "electric car", "subscribe"),
         "An honest car review. Please subscribe to my channel.", False),
    Text("Car review, part 2", ("car review", "stock market"), "More of the car review.", False),
]  # fmt: skip


def phrases(proposed: Proposed) -> list[str]:
    assert proposed.fault is None
    return [proposal.phrase for proposal in proposed.proposals]


def test_candidates_are_phrases_of_kept_videos_first() -> None:
    found = candidates(ABOUT_ONIONS, 100)
    assert found[0] == "knife skills"
    assert {"slicing carrots", "julienne vegetables", "dicing onions", "dice an onion"} <= set(found)
    # what was kept decides; where nothing was, everything counts
    assert "car review" not in found
    assert {"car review", "french onion soup"} <= set(candidates(ABOUT_ONIONS[2:], 100))
    # across punctuation, from addresses, with words about videos, once in a description, or beginning with a link word
    for absent in (
        "skills slicing",
        "my channel",
        "example org",
        "subscribe",
        "onion like a chef",
        "to dice",
        "part 2",
    ):
        assert absent not in found
    assert candidates(ABOUT_ONIONS, 3) == found[:3]
    assert all(tidied(phrase) == phrase for phrase in found)


@pytest.mark.parametrize("text", ["", "\0\ud800", "१२३", "!!!", "a", "x" * 5000, "é" * 300 + " " + "b" * 300])
def test_odd_texts_give_nothing_that_cannot_be_searched_for(text: str) -> None:
    odd = Text(text, (text, text[:50]), text, True)
    for phrase in candidates([odd, odd], 100):
        assert len(tidied(phrase)) <= 80


def test_nearest_stays_with_the_keyword_and_apart_from_what_is_known() -> None:
    parent = Parent("k1", "chopping onions", ABOUT_ONIONS)
    proposed = Nearest().propose([parent], ["chopping onions"], 3)
    found = phrases(proposed)
    assert len(found) == 3
    assert "slicing carrots" in found
    # the same search in other words
    assert not {"dicing onions", "dice an onion"} & set(found)
    assert {proposal.parent for proposal in proposed.proposals} == {"k1"}
    assert {proposal.proposed_by for proposal in proposed.proposals} == {"nearest (all-minilm-l6-v2@0.1.2)"}
    # what is about something else, however often it is said
    refused = Parent("k1", "chopping onions", ABOUT_ONIONS[2:])
    assert phrases(Nearest().propose([refused], ["chopping onions"], 9)) == ["french onion soup", "recipe"]
    again = phrases(Nearest().propose([parent], ["chopping onions", *found], 3))
    assert not set(again) & set(found)


def test_nearest_takes_turns_among_keywords_and_says_a_thing_once() -> None:
    about_bicycles = [Text("Fixing a flat tire", ("bicycle tube", "knife skills"), "", True)] * 2
    parents = [Parent("k1", "chopping onions", ABOUT_ONIONS), Parent("k2", "repairing a bicycle", about_bicycles)]
    proposed = Nearest().propose(parents, [parent.phrase for parent in parents], 4)
    assert [proposal.parent for proposal in proposed.proposals[:2]] == ["k1", "k2"]
    assert len(set(phrases(proposed))) == len(phrases(proposed))


def test_nearest_without_texts_or_without_a_model_proposes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    assert phrases(Nearest().propose([Parent("k1", "chopping onions")], [], 3)) == []
    nearest.packaged_encoder.cache_clear()
    monkeypatch.setattr(nearest, "settings", lambda: Settings(models_dir=tmp_path))
    proposed = Nearest().propose([Parent("k1", "chopping onions", ABOUT_ONIONS)], [], 3)
    assert proposed.proposals == ()
    assert proposed.fault is not None
    assert "Run `humannet models install`" in proposed.fault


def test_marginal_relevance_is_near_and_unlike() -> None:
    def at(degrees: float) -> list[float]:
        return [float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))]

    vectors = np.array([at(d) for d in (2, 50, 55, -60, 100)], np.float32)
    query = np.array(at(0), np.float32)
    # 2 degrees repeats the query, 100 is about something else; after 50, 55 repeats it
    assert list(marginally_relevant(vectors, query, query[None], 5)) == [1, 3]


def test_taxonomy_walks_to_children_and_siblings() -> None:
    tree = {
        "cooking": {"chopping": ["onions", "carrots"], "peeling": ["carrots", "apples"]},
        "music": {"playing": ["piano"]},
    }
    assert list(neighbours("Cooking", tree)) == [
        "chopping onions", "peeling carrots", "chopping carrots", "peeling apples",
    ]  # fmt: skip
    assert list(neighbours("pov chopping", tree)) == ["pov chopping onions", "pov chopping carrots"]
    assert list(neighbours("POV chopping carrots at home", tree)) == [
        "pov chopping onions at home", "pov peeling carrots at home",
    ]  # fmt: skip
    assert list(neighbours("astronomy", tree)) == list(neighbours("chop", tree)) == []


def test_taxonomy_proposes_what_is_new_in_turn_with_its_parent() -> None:
    parents = [Parent("k1", "chopping onions"), Parent("k2", "playing piano")]
    proposed = Taxonomy().propose(parents, ["chopping onions", "playing piano", "Chopping CARROTS"], 4)
    assert [(p.phrase, p.parent, p.proposed_by) for p in proposed.proposals] == [
        ("chopping vegetables", "k1", "taxonomy"), ("playing guitar", "k2", "taxonomy"),
        ("chopping herbs", "k1", "taxonomy"), ("playing violin", "k2", "taxonomy"),
    ]  # fmt: skip


def test_every_activity_can_be_searched_for_and_found_again() -> None:
    for verbs in activities().values():
        for verb, objects in verbs.items():
            assert len(set(objects)) == len(objects)
            for thing in objects:
                phrase = f"{verb} {thing}"
                assert normalised(tidied(phrase)) == phrase
                assert phrase not in list(neighbours(phrase))


@dataclass
class Endpoint:
    """A server that speaks the chat completions protocol: it answers what ``answers`` holds, in turn."""

    url: str = ""
    answers: list[tuple[int, dict[str, str], Any]] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    hang: threading.Event = field(default_factory=threading.Event)

    def says(self, content: object, status: int = 200, **headers: str) -> None:
        """Answer with a message of this content (or an error's body)."""
        body: object = content
        if status == 200:
            body = {
                "id": "x", "object": "chat.completion", "created": 1, "model": "m",
                "choices": [
                    {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
                ],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
            }  # fmt: skip
        self.answers.append((status, {name.replace("_", "-"): value for name, value in headers.items()}, body))


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    state = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.requests.append((self.path, dict(self.headers), body))
            if not state.answers:
                state.hang.wait(30)
                self.close_connection = True
                return
            status, headers, answer = state.answers.pop(0)
            content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(content)),
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield state
    state.hang.set()
    server.shutdown()
    thread.join()
    server.server_close()


def asked(endpoint: Endpoint, known: tuple[str, ...] = (), most: int = 2) -> Proposed:
    config = Settings(llm_url=endpoint.url, llm_model="m", llm_key=SecretStr("secret"))
    return Llm(config).propose([Parent("k1", "chopping onions"), Parent("k2", "kneading dough")], known, most)


def test_a_chat_endpoint_is_asked_as_its_protocol_says(endpoint: Endpoint) -> None:
    endpoint.says('{"keywords": ["whittling a spoon", "shelling peas"]}')
    proposed = asked(endpoint, known=("chopping onions", "kneading dough"))
    assert [(p.phrase, p.proposed_by, p.parent) for p in proposed.proposals] == [
        ("whittling a spoon", "llm (m)", "k1"), ("shelling peas", "llm (m)", "k1"),
    ]  # fmt: skip
    ((path, headers, request),) = endpoint.requests
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret"
    assert request["model"] == "m"
    assert [message["role"] for message in request["messages"]] == ["system", "user"]
    assert "kneading dough" in request["messages"][1]["content"]
    schema = request["response_format"]["json_schema"]
    assert schema["strict"] is True
    assert schema["schema"]["required"] == ["keywords"]
    assert schema["schema"]["additionalProperties"] is False


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("Sure! Here are some: whittling", "Invalid JSON"),
        ('{"keywords": "whittling"}', "keywords: Input should be a valid array"),
        ('{"keywords": [1, 2]}', "keywords.0: Input should be a valid string"),
        ('{"keywords": ["a"], "and": "more"}', "and: Extra inputs"),
        ("[]", "answer: Input should be an object"),
        (None, "Invalid JSON"),
    ],
)
def test_a_malformed_answer_proposes_nothing_and_says_so(endpoint: Endpoint, content: object, says: str) -> None:
    endpoint.says(content)
    proposed = asked(endpoint)
    assert proposed.proposals == ()
    assert proposed.fault is not None
    assert says in proposed.fault
    assert endpoint.url in proposed.fault


@pytest.mark.parametrize("body", [b"<html>", {"choices": []}, {"error": "x"}, [], {"choices": [{"message": None}]}])
def test_an_answer_that_is_no_completion_proposes_nothing(endpoint: Endpoint, body: object) -> None:
    endpoint.answers.append((200, {}, body))
    proposed = asked(endpoint)
    assert proposed.proposals == ()
    assert "did not answer with keywords" in str(proposed.fault)


def test_an_endpoint_that_is_busy_is_asked_again_when_it_says(endpoint: Endpoint) -> None:
    endpoint.says({"error": {"message": "slow down"}}, 429, Retry_After="0.2")
    endpoint.says('{"keywords": ["whittling"]}')
    before = time.monotonic()
    assert phrases(asked(endpoint)) == ["whittling"]
    assert time.monotonic() - before >= 0.2
    assert len(endpoint.requests) == 2


@pytest.mark.parametrize(
    ("status", "headers", "requests"),
    [
        (429, {"Retry_After": "0"}, llm.TRIES),
        (429, {"Retry_After": "3600"}, 1),
        (429, {"Retry_After": "Fri, 31 Dec 2999 23:59:59 GMT"}, 1),
        (503, {"Retry_After": "Mon, 01 Jan 2001 00:00:00 GMT"}, llm.TRIES),
        (401, {}, 1),
        (500, {}, 1),
    ],
)
def test_an_endpoint_that_refuses_does_not_hold_a_crawl_up(
    endpoint: Endpoint, status: int, headers: dict[str, str], requests: int
) -> None:
    for _ in range(llm.TRIES):
        endpoint.says({"error": {"message": "no"}}, status, **headers)
    proposed = asked(endpoint)
    assert proposed.proposals == ()
    assert str(status) in str(proposed.fault)
    assert "secret" not in str(proposed.fault)
    assert len(endpoint.requests) == requests


def test_an_endpoint_that_hangs_or_is_not_there_is_left(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llm, "TIMEOUT_S", 0.3)
    assert "does not help: timed out" in str(asked(endpoint).fault)
    for url in ("http://127.0.0.1:9/v1", "no address", "http://[/v1"):
        proposed = Llm(Settings(llm_url=url, llm_model="m")).propose([Parent("k1", "x")], [], 1)
        assert proposed.proposals == ()
        assert proposed.fault is not None
        assert "\n" not in proposed.fault


def test_without_an_endpoint_nothing_is_said() -> None:
    assert Llm(Settings(llm_url="")).propose([Parent("k1", "x")], [], 1) == Proposed()
