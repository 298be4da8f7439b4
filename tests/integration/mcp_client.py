"""A small MCP client over HTTP, of either era: what the tests need, with every message kept."""

from __future__ import annotations

import base64
import itertools
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx

LEGACY, MODERN = "2025-11-25", "2026-07-28"
META = "io.modelcontextprotocol/"


class McpError(Exception):
    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(f"{status}: {error}")
        self.status, self.code, self.data = status, error.get("code"), error.get("data")


class Mcp:
    def __init__(self, url: str, key: str, version: str = MODERN, timeout: float = 120) -> None:
        self.version = version
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=timeout)
        self.ids = itertools.count(1)
        self.session: str | None = None
        self.notes: list[dict[str, Any]] = []  # notifications of the last call, in order
        if version != MODERN:
            hello = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
            self.server = self.call("initialize", hello)
            self.notify("notifications/initialized")
        else:
            self.server = self.call("server/discover")

    def close(self) -> None:
        self.http.close()

    def __enter__(self) -> Mcp:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def headers(self, method: str, params: dict[str, Any]) -> dict[str, str]:
        headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
        if self.session:
            headers["Mcp-Session-Id"] = self.session
        if self.session or self.version == MODERN:
            headers["MCP-Protocol-Version"] = self.version
        if self.version == MODERN:
            headers["Mcp-Method"] = method
            name = params.get("uri") if method == "resources/read" else params.get("name")
            if name is not None and method in ("tools/call", "prompts/get", "resources/read"):
                text = str(name)
                plain = text.isascii() and text.isprintable() and text == text.strip()
                headers["Mcp-Name"] = text if plain else f"=?base64?{base64.b64encode(text.encode()).decode()}?="
        return headers

    def body(self, method: str, params: dict[str, Any] | None, number: int | None) -> dict[str, Any]:
        params = dict(params or {})
        if self.version == MODERN:
            meta = {META + "protocolVersion": MODERN, META + "clientCapabilities": {}, META + "clientInfo": {"name": "t", "version": "1"}}
            params["_meta"] = {**meta, **params.get("_meta", {})}
        body: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
        return body if number is None else {**body, "id": number}

    def notify(self, method: str, params: dict[str, Any] | None = None) -> None:
        body = self.body(method, params, None)
        reply = self.http.post("/mcp", json=body, headers=self.headers(method, body["params"]))
        assert reply.status_code == 202, reply.text

    def messages(self, reply: httpx.Response) -> Iterator[dict[str, Any]]:
        if not reply.headers.get("content-type", "").startswith("text/event-stream"):
            yield json.loads(reply.read())
            return
        for line in reply.iter_lines():
            if line.startswith("data:") and line[5:].strip():
                yield json.loads(line[5:])

    def call(self, method: str, params: dict[str, Any] | None = None, number: int | None = None) -> dict[str, Any]:
        number = next(self.ids) if number is None else number
        body = self.body(method, params, number)
        self.notes = []
        with self.http.stream("POST", "/mcp", json=body, headers=self.headers(method, body["params"])) as reply:
            self.session = reply.headers.get("mcp-session-id", self.session)
            for message in self.messages(reply):
                if "method" in message:
                    self.notes.append(message)
                elif "error" in message:
                    raise McpError(reply.status_code, message["error"])
                else:
                    assert message["id"] == number
                    return dict(message["result"])
        raise McpError(reply.status_code, {"message": "no answer"})

    def tool(self, name: str, /, token: str | None = None, **arguments: Any) -> dict[str, Any]:
        params: dict[str, Any] = {"name": name, "arguments": arguments}
        if token:
            params["_meta"] = {"progressToken": token}
        return self.call("tools/call", params)

    def ok(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """The structured content of a call that is no error."""
        result = self.tool(name, **arguments)
        assert not result.get("isError"), result["content"][0]["text"]
        return dict(result["structuredContent"])

    def fails(self, name: str, /, **arguments: Any) -> str:
        """The text of a call that is an error for the model."""
        result = self.tool(name, **arguments)
        assert result.get("isError") is True, result
        return str(result["content"][0]["text"])


def text_of(result: dict[str, Any]) -> str:
    assert result["content"][0]["type"] == "text"
    return str(result["content"][0]["text"])


def in_background(call: Any) -> threading.Thread:
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread
