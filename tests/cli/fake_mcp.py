"""A service that speaks MCP over HTTP as a test tells it to, and writes down all that it is sent."""

from __future__ import annotations

import json
import queue
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from loopback import Loopback

CAPABILITIES = {"tools": {}, "resources": {"subscribe": True}}


def result(message: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": message["id"], "result": fields}


class Exchange:
    """One request, and the verbs to answer it."""

    def __init__(self, handler: BaseHTTPRequestHandler, message: Any) -> None:
        self.handler = handler
        self.message = message
        self.headers = {k.lower(): v for k, v in handler.headers.items()}
        self.verb = handler.command

    @property
    def method(self) -> str:
        return self.message.get("method", "") if isinstance(self.message, dict) else ""

    @property
    def is_modern(self) -> bool:
        return "2026" in self.headers.get("mcp-protocol-version", "")

    def send(self, status: int, value: Any = None, kind: str = "application/json", **headers: str) -> None:
        data = b"" if value is None else value if isinstance(value, bytes) else json.dumps(value).encode()
        self.handler.send_response(status)
        self.handler.send_header("Content-Type", kind)
        self.handler.send_header("Content-Length", str(len(data)))
        for name, text in headers.items():
            self.handler.send_header(name.replace("_", "-"), text)
        self.handler.end_headers()
        self.handler.wfile.write(data)

    def stream(self) -> None:
        self.handler.send_response(200)
        self.handler.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.handler.send_header("Transfer-Encoding", "chunked")
        self.handler.end_headers()

    def event(self, value: Any, id: str = "") -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        self.chunk((f"id: {id}\n" if id else "") + "event: message\n" + "".join(f"data: {line}\n" for line in text.split("\n")) + "\n")

    def chunk(self, text: str) -> None:
        data = text.encode()
        self.handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.handler.wfile.flush()

    def end(self) -> None:
        self.handler.wfile.write(b"0\r\n\r\n")

    def cut(self) -> None:
        self.handler.close_connection = True
        self.handler.connection.shutdown(2)

    def wait_until_left(self, seconds: float = 15) -> bool:
        """Comments, until nobody reads them."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                self.chunk(": still here\n\n")
            except OSError:
                return True
            time.sleep(0.02)
        return False


class FakeMcp(Loopback):
    """`on` maps a tool's name, or a method's, to what answers it; else there is an answer to everything."""

    def __init__(self, port: int = 0) -> None:
        self.on: dict[str, Callable[[Exchange], None]] = {}
        self.seen: list[Exchange] = []
        self.sessions: dict[str, queue.Queue[Any]] = {}
        self.capabilities: dict[str, Any] = dict(CAPABILITIES)
        self.key = "kh_test"
        self.ended = threading.Event()
        self.connections: list[socket.socket] = []
        self.has_listen = True
        self.resumed: Callable[[Exchange], None] | None = None
        super().__init__(port)

    def connected(self, handler: BaseHTTPRequestHandler) -> None:
        self.connections.append(handler.connection)

    def close(self) -> None:
        self.ended.set()
        super().close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def forget(self) -> None:
        """As a restart does."""
        self.sessions.clear()

    def methods(self) -> list[str]:
        return [x.method or x.verb for x in self.seen]

    def sent(self, method: str) -> list[Exchange]:
        return [x for x in list(self.seen) if x.method == method or x.verb == method]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length)
        x = Exchange(handler, json.loads(body) if body else None)
        self.seen.append(x)
        try:
            self.reply(x)
        except OSError:
            handler.close_connection = True

    def reply(self, x: Exchange) -> None:
        if self.key and x.headers.get("authorization") != f"Bearer {self.key}":
            x.send(401, {"error": {"code": "unauthorized", "message": "no such key", "hint": "make one"}})
            return
        session = x.headers.get("mcp-session-id", "")
        if not x.is_modern and x.method != "initialize" and session not in self.sessions:
            error = {"code": -32001, "message": "Session not found"} if session else {"code": -32000, "message": "Session ID required"}
            x.send(404 if session else 400, {"jsonrpc": "2.0", "error": error})
            return
        if x.verb == "DELETE":
            del self.sessions[session]
            x.send(200)
            return
        if x.verb == "GET" and self.resumed and "last-event-id" in x.headers:
            self.resumed(x)
            return
        if x.verb == "GET":
            self.listen(x, session)
            return
        name = x.message.get("params", {}).get("name", "") if isinstance(x.message, dict) else ""
        answer = self.on.get(name) or self.on.get(x.method) or self.default
        answer(x)

    def listen(self, x: Exchange, session: str) -> None:
        if not self.has_listen:
            x.send(405)
            return
        x.stream()
        while not self.ended.is_set() and session in self.sessions:
            try:
                x.event(self.sessions[session].get(timeout=0.05))
            except queue.Empty:
                continue
        x.end()

    def work_until_cancelled(self) -> threading.Event:
        """The tool "work" streams until it is cancelled, by the notification; the event says that it was."""
        cancelled = threading.Event()

        def work(x: Exchange) -> None:
            x.stream()
            cancelled.wait(10)
            x.end()

        def cancel(x: Exchange) -> None:
            cancelled.set()
            self.default(x)

        self.on["work"] = work
        self.on["notifications/cancelled"] = cancel
        return cancelled

    def default(self, x: Exchange) -> None:
        m = x.message
        if isinstance(m, list):
            x.send(200, [result(one) for one in m if "id" in one])
        elif "id" not in m or "method" not in m:
            x.send(202)
        elif x.method == "initialize":
            session = f"session-{len(self.seen)}"
            self.sessions[session] = queue.Queue()
            told = result(m, protocolVersion="2025-11-25", capabilities=self.capabilities, serverInfo={"name": "fake", "version": "1"})
            x.send(200, told, Mcp_Session_Id=session)
        else:
            x.send(200, result(m, method=x.method))
