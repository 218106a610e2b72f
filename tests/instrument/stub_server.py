"""A server on loopback that answers as it is asked to: as providers of models do, or not at all."""

from __future__ import annotations

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

CHAT = {
    "id": "chat-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "fine"},
        }
    ],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
}
RESPONSE = {
    "id": "resp-1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "m",
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": {
        "input_tokens": 7,
        "output_tokens": 3,
        "total_tokens": 10,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    },
}
MESSAGE = {
    "id": "msg-1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "fine"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 7, "output_tokens": 3},
}
EMBEDDING = {
    "object": "list",
    "model": "m",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
    "usage": {"prompt_tokens": 7, "total_tokens": 7},
}


def _chat_chunk(delta: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "id": "chat-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": fields.pop("reason", None)}],
        **fields,
    }


CHAT_EVENTS = [
    _chat_chunk({"role": "assistant", "content": "fi"}),
    _chat_chunk({"content": "ne"}),
    _chat_chunk({}, reason="stop"),
    _chat_chunk({}) | {"choices": [], "usage": CHAT["usage"]},
]
RESPONSE_EVENTS: list[dict[str, Any]] = [
    {
        "type": "response.created",
        "sequence_number": 0,
        "response": RESPONSE | {"status": "in_progress", "usage": None},
    },
    {"type": "response.completed", "sequence_number": 1, "response": RESPONSE},
]
MESSAGE_EVENTS: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": MESSAGE
        | {
            "content": [],
            "stop_reason": None,
            "usage": {"input_tokens": 7, "output_tokens": 0},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "fine"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 3},
    },
    {"type": "message_stop"},
]
ANSWERS: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "/v1/chat/completions": (CHAT, CHAT_EVENTS),
    "/v1/responses": (RESPONSE, RESPONSE_EVENTS),
    "/v1/messages": (MESSAGE, MESSAGE_EVENTS),
    "/v1/embeddings": (EMBEDDING, []),
}


class Stub(ThreadingHTTPServer):
    """The server. What it does is the first word of the path, or the name of the model."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hanging = threading.Semaphore(0)  # one for each request that hangs by now
        self.released = threading.Event()
        self.seen: Counter[str] = Counter()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: Any) -> None:
        """Clients come and go."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Stub

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.act(path.split("/")[1], path, lambda: self.send(b"fine"))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        path = urlsplit(self.path).path
        if path not in ANSWERS:
            self.act(path.split("/")[1], path, lambda: self.send(b"fine"))
            return
        asked = json.loads(body)
        whole, events = ANSWERS[path]

        def answer() -> None:
            if asked.get("stream"):
                self.stream(asked["model"], events)
            else:
                self.send(json.dumps(whole).encode(), "application/json")

        self.act(asked["model"], asked["model"], answer)

    def act(self, what: str, key: str, answer: Any) -> None:
        self.server.seen[key] += 1
        if what == "hang":
            self.wait()
        elif what == "drop":
            self.close_connection = True
        elif what == "flaky" and self.server.seen[key] < 3:
            self.send(b"{}", "application/json", status=429, headers={"Retry-After": "0"})
        elif what == "missing":
            self.send(b'{"error": {"message": "none"}}', "application/json", status=404)
        elif what == "redirect":
            self.send(b"", status=302, headers={"Location": "/ok?token=hidden"})
        elif what in ("broken", "half"):
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(b"x" * 1000)
            self.close_connection = True
            if what == "half":
                self.wait()
        else:
            answer()

    def wait(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.server.hanging.release()
        self.server.released.wait()

    def send(
        self,
        body: bytes,
        kind: str = "text/plain",
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name in ("x-request-id", "request-id"):
            self.send_header(name, "req-1")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def stream(self, what: str, events: list[dict[str, Any]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("x-request-id", "req-1")
        self.send_header("request-id", "req-1")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for place, event in enumerate(events):
            if place == 1 and what in ("stream-hang", "stream-drop", "stream-error"):
                if what == "stream-hang":
                    self.wait()
                elif what == "stream-error":
                    self.chunk('event: error\ndata: {"error": {"message": "overloaded"}}\n\n')
                    self.chunk("")
                self.close_connection = True
                return
            name = f"event: {event['type']}\n" if "type" in event else ""
            self.chunk(f"{name}data: {json.dumps(event)}\n\n")
        if "type" not in events[0]:
            self.chunk("data: [DONE]\n\n")
        self.chunk("")

    def chunk(self, text: str) -> None:
        self.wfile.write(f"{len(text):x}\r\n{text}\r\n".encode())
        self.wfile.flush()
