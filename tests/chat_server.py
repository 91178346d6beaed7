"""An OpenAI-compatible chat endpoint on loopback: real HTTP, the real protocol, answers that a test decides.

It checks each request as a strict server does (model, messages, data URLs that hold real pictures, the schema of the
answer) and answers what does not conform with HTTP 400.
"""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "qwen-vl-loopback"


@dataclass
class Reply:
    """What the server says to one request."""

    content: str | None = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    finish_reason: str = "stop"
    refusal: str | None = None
    raw: bytes | None = None
    """Instead of a well-formed body."""
    hold: threading.Event | None = None
    """Nothing is said before it is set."""


@dataclass
class Request:
    """What a client asked."""

    name: str
    text: str
    pictures: int
    key: str | None
    messages: int


Decide = Callable[[Request], Reply]


@dataclass
class ChatServer:
    """Where it is, what it was asked, and what decides the answers."""

    url: str
    decide: Decide
    requests: list[Request] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def answer(**value: Any) -> Reply:
    """Return an answer that is a JSON object."""
    return Reply(json.dumps(value))


def in_turn(*replies: Reply) -> Decide:
    """Answer so, one after the other; the last goes on."""
    left = list(replies)
    return lambda _request: left.pop(0) if len(left) > 1 else left[0]


@contextmanager
def chat_server(decide: Decide) -> Iterator[ChatServer]:
    """Serve until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    state = ChatServer(f"http://127.0.0.1:{server.server_port}/v1", decide)
    server.state = state  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        state: ChatServer = self.server.state  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            if self.path != "/v1/chat/completions":
                self._say(404, {"error": {"message": f"no route {self.path}"}})
                return
            asked = _checked(json.loads(body), self.headers.get("Authorization"))
        except (AssertionError, KeyError, TypeError, ValueError) as error:
            self._say(400, {"error": {"message": f"{type(error).__name__}: {error}", "type": "invalid_request_error"}})
            return
        if asked is None:
            self._say(404, {"error": {"message": "The model `other` does not exist.", "code": "model_not_found"}})
            return
        with state.lock:
            state.requests.append(asked)
            state.at_once += 1
            state.most_at_once = max(state.most_at_once, state.at_once)
            reply = state.decide(asked)
        if reply.hold:
            reply.hold.wait(30)
        with state.lock:
            state.at_once -= 1
        self._reply(reply)

    def _reply(self, reply: Reply) -> None:
        if reply.status != 200:
            self._say(reply.status, {"error": {"message": reply.content}}, reply.headers)
        elif reply.raw is not None:
            self._send(200, reply.raw, reply.headers)
        else:
            message = {"role": "assistant", "content": reply.content, "refusal": reply.refusal}
            choice = {"index": 0, "message": message, "finish_reason": reply.finish_reason}
            usage = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050}
            self._say(200, {"object": "chat.completion", "model": MODEL, "choices": [choice], "usage": usage})

    def _say(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def _checked(body: dict[str, Any], key: str | None) -> Request | None:
    """Return what is asked; None where the model is another."""
    from jsonschema import Draft202012Validator
    from PIL import Image

    if body["model"] != MODEL:
        return None
    form = body["response_format"]["json_schema"]
    assert body["response_format"]["type"] == "json_schema"
    assert form["strict"] is True
    Draft202012Validator.check_schema(form["schema"])
    assert body["max_tokens"] > 0
    parts = next(message["content"] for message in body["messages"] if isinstance(message["content"], list))
    pictures = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    for url in pictures:
        head, _, data = url.partition(",")
        assert head == "data:image/jpeg;base64"
        Image.open(io.BytesIO(base64.b64decode(data, validate=True))).load()
    text = "\n".join(part["text"] for part in parts if part["type"] == "text")
    return Request(form["name"], text, len(pictures), key, len(body["messages"]))
