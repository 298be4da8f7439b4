"""A client of MCP that says exactly what a test wants."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

from conftest import KEY, Server

MODERN = "2026-07-28"
LATEST = "2025-11-25"
BOTH = "application/json, text/event-stream"
PREFIX = "io.modelcontextprotocol/"


class Event:
    def __init__(self) -> None:
        self.id: str | None = None
        self.retry: int | None = None
        self.event = "message"
        self.lines: list[str] = []

    @property
    def data(self) -> str:
        return "\n".join(self.lines)

    @property
    def json(self) -> Any:
        return json.loads(self.data)


class Answer:
    """A reply whose events are read as they come."""

    def __init__(self, connection: http.client.HTTPConnection, reply: http.client.HTTPResponse) -> None:
        self.connection = connection
        self.reply = reply
        self.status = reply.status
        self.headers = reply.headers
        self.is_stream = (reply.headers["Content-Type"] or "").startswith("text/event-stream")

    def events(self) -> Iterator[Event]:
        event = Event()
        while line := self.reply.readline().decode():
            name, _, value = line.rstrip("\n").partition(":")
            value = value.removeprefix(" ")
            if line == "\n":
                if event.lines:
                    yield event
                event = Event()
            elif name == "data":
                event.lines.append(value)
            elif name in ("id", "event"):
                setattr(event, name, value)
            elif name == "retry":
                event.retry = int(value)

    def messages(self) -> list[Any]:
        """All that are to come, without events that have no data."""
        if self.is_stream:
            return [e.json for e in self.events() if e.data]
        return [self.json]

    @property
    def json(self) -> Any:
        return json.loads(self.reply.read())

    @property
    def result(self) -> Any:
        return self.messages()[-1]["result"]

    @property
    def error(self) -> Any:
        return self.messages()[-1]["error"]

    def hang_up(self) -> None:
        sock = self.connection.sock or self.reply.fp.raw._sock  # type: ignore[attr-defined]
        with contextlib.suppress(OSError):  # done already
            sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.hang_up()
        self.reply.close()
        self.connection.close()


class Mcp:
    def __init__(self, server: Server, key: str | None = KEY, path: str = "/mcp") -> None:
        self.server = server
        self.path = path
        self.key = key
        self.session: str | None = None
        self.version: str | None = None
        self.n = 0

    def send(self, method: str, body: Any = None, **headers: str | None) -> Answer:
        sent: dict[str, str | None] = {"Content-Type": "application/json", "Accept": BOTH}
        if self.key:
            sent["Authorization"] = f"Bearer {self.key}"
        if self.session:
            sent["Mcp-Session-Id"] = self.session
        if self.version:
            sent["MCP-Protocol-Version"] = self.version
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = self.server.connection()
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        connection.request(method, self.path, body=data, headers={k: v for k, v in sent.items() if v is not None})
        return Answer(connection, connection.getresponse())

    def message(self, method: str, params: Any = None, **more: Any) -> dict[str, Any]:
        self.n += 1
        return {"jsonrpc": "2.0", "id": self.n, "method": method} | ({} if params is None else {"params": params}) | more

    # legacy

    def initialize(self, version: str = LATEST, **capabilities: Any) -> Any:
        reply = self.send("POST", self.message("initialize", {"protocolVersion": version, "capabilities": capabilities, "clientInfo": {"name": "t", "version": "1"}}))
        assert reply.status == 200
        self.session = reply.headers["Mcp-Session-Id"]
        result = reply.result
        self.version = result["protocolVersion"]
        assert self.notify("notifications/initialized").status == 202
        return result

    def notify(self, method: str, params: Any = None) -> Answer:
        return self.send("POST", {"jsonrpc": "2.0", "method": method} | ({} if params is None else {"params": params}))

    def ask(self, method: str, params: Any = None, **headers: str | None) -> Answer:
        return self.send("POST", self.message(method, params), **headers)

    def call(self, tool: str, arguments: Any = None, token: Any = None, **headers: str | None) -> Answer:
        params: dict[str, Any] = {"name": tool, "arguments": arguments or {}}
        if token is not None:
            params["_meta"] = {"progressToken": token}
        return self.ask("tools/call", params, **headers)

    # modern

    def modern(self, method: str, params: Any = None, meta: Any = None, head: Any = None, id: Any = None) -> Answer:
        envelope = {PREFIX + "protocolVersion": MODERN, PREFIX + "clientCapabilities": {}} | (meta or {})
        params = {"_meta": {k: v for k, v in envelope.items() if v is not None}} | (params or {})
        message = self.message(method, params)
        if id is not None:
            message["id"] = id
        headers: dict[str, str | None] = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
        named = params.get("name") or params.get("uri")
        if named:
            headers["Mcp-Name"] = named
        return self.send("POST", message, **(headers | (head or {})))

    def modern_call(self, tool: str, arguments: Any = None, token: Any = None, **how: Any) -> Answer:
        meta = {"progressToken": token} if token is not None else None
        return self.modern("tools/call", {"name": tool, "arguments": arguments or {}}, meta, **how)
