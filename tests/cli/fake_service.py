"""A service that says what a test tells it to, and breaks off where a test wants it to."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any

from loopback import Loopback


def event(seq: int, type_: str, **fields: Any) -> dict[str, Any]:
    return {"v": 1, "seq": seq, "execution_id": "x", "type": type_, **fields}


def finished(seq: int, status: str = "ok", exit_code: int | None = 0) -> dict[str, Any]:
    return event(seq, "finished", status=status, exit_code=exit_code, truncated=False)


class FakeService(Loopback):
    """`replies` maps (method, path without query) to a list of answers, used one after the other.

    An answer is (status, JSON), a list of events, or ("cut", events): the events, then a broken
    connection in the middle of the next one. ("redirect", URL) sends elsewhere, bytes are the body
    as it is, and None is no answer at all.
    """

    def __init__(self) -> None:
        self.replies: dict[tuple[str, str], list[Any]] = {}
        self.requests: list[tuple[str, str, Any, str]] = []
        self.hold = threading.Event()  # events after the string "hold" wait for it
        super().__init__()

    def close(self) -> None:
        self.hold.set()
        super().close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        body = json.loads(handler.rfile.read(length)) if length else None
        path, _, query = handler.path.partition("?")
        self.requests.append((handler.command, handler.path, body, handler.headers.get("Authorization", "")))
        for (method, pattern), answers in self.replies.items():
            if method == handler.command and (path == pattern or (pattern.endswith("*") and path.startswith(pattern[:-1]))):
                self.send(handler, answers.pop(0) if len(answers) > 1 else answers[0])
                return
        self.send(handler, (404, {"error": {"code": "not_found", "message": f"nothing at {path}", "hint": ""}}))

    def send(self, handler: BaseHTTPRequestHandler, answer: Any) -> None:
        if answer is None:
            self.hold.wait(60)
            return
        if isinstance(answer, bytes) or isinstance(answer, tuple) and answer[0] != "cut":
            status, value = (200, answer) if isinstance(answer, bytes) else answer
            data = b"" if value is None else value if isinstance(value, bytes) else json.dumps(value).encode()
            handler.send_response(302 if status == "redirect" else status)
            if status == "redirect":
                handler.send_header("Location", value)
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            handler.wfile.write(data)
            return
        cut = isinstance(answer, tuple)
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for item in answer[1] if cut else answer:
            if item == "hold":
                self.hold.wait(20)
                continue
            self.chunk(handler, f"id: {item['seq']}\ndata: {json.dumps(item, separators=(',', ':'))}\n\n")
        if cut:
            self.chunk(handler, "id: 99\ndata: {\"half")
            handler.close_connection = True
            handler.connection.shutdown(2)
        else:
            handler.wfile.write(b"0\r\n\r\n")

    def chunk(self, handler: BaseHTTPRequestHandler, text: str) -> None:
        data = text.encode()
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        handler.wfile.flush()
