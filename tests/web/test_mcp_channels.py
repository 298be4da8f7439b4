"""MCP over a WebSocket and over the event stream of 2024-11-05: one line both ways for all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from conftest import KEY_2, Server
from mcp_client import LATEST, MODERN, PREFIX, Answer, Event, Mcp
from test_mcp import Listener
from ws_client import Client, Closed, request

ENVELOPE = {PREFIX + "protocolVersion": MODERN, PREFIX + "clientCapabilities": {}}


@pytest.fixture
def server(start: Callable[..., Server]) -> Server:
    return start("mcp-fixtures=1")


def handshake(version: str = LATEST) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}}


def ask(id_: Any, method: str, params: Any = None) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id_, "method": method} | ({"params": params} if params is not None else {})


class Socket(Client):
    def __init__(self, server: Server, **how: Any) -> None:
        super().__init__(server.port, path="/mcp", **({"Sec_WebSocket_Protocol": "mcp"} | how))

    def say(self, message: Any) -> None:
        self.frame(1, message if isinstance(message, bytes) else json.dumps(message).encode())

    def exchange(self, message: Any) -> Any:
        self.say(message)
        return self.receive()


def test_a_legacy_socket(server: Server) -> None:
    s = Socket(server)
    assert "sec-websocket-protocol: mcp" in s.head.lower()
    assert s.exchange(handshake())["result"]["protocolVersion"] == LATEST
    s.say({"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert s.exchange(ask(1, "ping")) == {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert s.exchange(ask(2, "no/such"))["error"]["code"] == -32601
    assert s.exchange(b"{")["error"]["code"] == -32700
    assert s.exchange(b"7")["error"]["code"] == -32600
    assert s.exchange(ask(3, "tools/list", {"_meta": ENVELOPE}))["error"]["code"] == -32600
    assert s.exchange([ask(4, "ping")])["error"]["code"] == -32600
    s.say(ask(5, "tools/call", {"name": "test_tool_with_progress", "_meta": {"progressToken": "p"}}))
    assert [s.receive().get("id") for _ in range(4)] == [None, None, None, 5]


def test_a_modern_socket(server: Server) -> None:
    s = Socket(server)
    assert s.exchange(ask("a", "server/discover", {"_meta": ENVELOPE}))["result"]["supportedVersions"] == [MODERN]
    refused = s.exchange(handshake())["error"]
    assert (refused["code"], refused["data"]) == (-32022, {"supported": [MODERN], "requested": LATEST})
    assert s.exchange(ask(1, "tools/list"))["error"]["code"] == -32602
    assert s.exchange(ask(2, "ping", {"_meta": ENVELOPE}))["error"]["code"] == -32601
    assert s.exchange([ask(2, "tools/list", {"_meta": ENVELOPE})])["error"]["code"] == -32600


def test_a_text_with_a_nul_is_refused_under_its_requests_id(server: Server) -> None:
    broken = ask("n", "tools/call", {"name": "test_simple_text", "arguments": {"a": "x\0y"}})
    s = Socket(server)
    s.exchange(handshake())
    told = s.exchange(broken)
    assert (told["id"], told["error"]["code"]) == ("n", -32602) and "NUL" in told["error"]["message"]
    assert Stream(server).exchange(broken) == told


def test_a_socket_of_2025_03_26_has_batches(server: Server) -> None:
    s = Socket(server)
    s.exchange(handshake("2025-03-26"))
    s.say([ask(1, "ping"), ask(2, "ping"), {"jsonrpc": "2.0", "method": "notifications/initialized"}])
    assert [s.receive()["id"] for _ in range(2)] == [1, 2]


@pytest.mark.parametrize("modern", [True, False])
def test_a_cancelled_call_is_not_answered(server: Server, modern: bool) -> None:
    listener = Listener(server, "test://cancelled")
    s = Socket(server)
    if not modern:
        s.exchange(handshake())
    meta = ENVELOPE if modern else {}
    s.say(ask("w", "tools/call", {"name": "test_wait", "_meta": meta}))
    s.say({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "w"}})
    server.until(lambda: listener.count("notifications/resources/updated") == 1)
    assert s.exchange(ask("x", "tools/call", {"name": "test_simple_text", "_meta": meta}))["id"] == "x"
    listener.close()


def test_a_closed_socket_cancels_all(server: Server) -> None:
    listener = Listener(server, "test://cancelled")
    s = Socket(server)
    s.say(ask("w", "tools/call", {"name": "test_wait", "_meta": ENVELOPE | {"progressToken": 1}, "arguments": {"says": ["x"]}}))
    s.receive()
    s.socket.close()
    server.until(lambda: listener.count("notifications/resources/updated") == 1)
    listener.close()


def test_who_was_asked_and_left_holds_no_call(server: Server) -> None:
    for _ in range(9):
        s = Socket(server)
        shake = handshake()
        shake["params"]["capabilities"] = {"sampling": {}}
        s.exchange(shake)
        assert s.exchange(ask(1, "tools/call", {"name": "test_sampling", "arguments": {"prompt": "a"}}))["method"] == "sampling/createMessage"
        s.socket.close()
    server.until(lambda: server.metric("kernelhub_mcp_calls") == 0)


def test_how_a_socket_begins(server: Server) -> None:
    for changes, status in [({"Sec_WebSocket_Protocol": "other"}, b"400"), ({"Origin": "https://evil.example"}, b"403"), ({"key": None}, b"401"), ({"Sec_WebSocket_Version": "8"}, b"426")]:
        with server.raw(request(path="/mcp", **changes)) as raw:  # type: ignore[arg-type]
            assert raw.recv(4096).split()[1] == status, changes
    plain = Client(server.port, path="/mcp")
    assert "sec-websocket-protocol" not in plain.head.lower()
    s = Socket(server)
    s.frame(2, b"{}")
    with pytest.raises(Closed) as closed:
        s.receive()
    assert closed.value.code == 1003


# ---- /sse ----


class Stream:
    def __init__(self, server: Server, key: str = "kh_admin") -> None:
        self.client = Mcp(server, key, "/sse")
        self.answer: Answer = self.client.send("GET", Accept="text/event-stream")
        assert self.answer.is_stream
        self.events: Iterator[Event] = self.answer.events()
        first = next(self.events)
        assert first.event == "endpoint"
        self.client.path = first.data

    def exchange(self, message: Any) -> Any:
        assert self.client.send("POST", message).status == 202
        return next(self.events).json


def test_the_stream_of_2024_11_05(server: Server) -> None:
    s = Stream(server)
    assert s.client.path.startswith("/messages?sessionId=")
    assert s.exchange(handshake("2024-11-05"))["result"]["protocolVersion"] == "2024-11-05"
    assert s.client.send("POST", {"jsonrpc": "2.0", "method": "notifications/initialized"}).status == 202
    assert s.exchange(ask(1, "ping"))["result"] == {}
    assert s.exchange(ask(2, "tools/call", {"name": "test_simple_text"}))["result"]["content"]
    assert s.exchange(ask(3, "tools/list", {"_meta": ENVELOPE}))["error"]["code"] == -32600
    assert s.client.send("POST", b"{").status == 400
    assert s.client.send("POST", [ask(4, "ping")]).status == 400
    assert s.client.send("POST", b"{}", Content_Type="text/plain").status == 415
    s.answer.close()
    server.until(lambda: s.client.send("POST", ask(5, "ping")).status == 404)


def test_a_stream_is_its_users_and_cancels_by_closing(server: Server) -> None:
    listener = Listener(server, "test://cancelled")
    s = Stream(server)
    other = Mcp(server, KEY_2, s.client.path)
    assert other.send("POST", ask(1, "ping")).status == 404
    assert Mcp(server, path="/messages").send("POST", ask(1, "ping")).status == 404
    assert s.exchange(ask(1, "tools/call", {"name": "test_wait", "arguments": {"says": ["x"]}, "_meta": {"progressToken": 1}}))["method"] == "notifications/progress"
    s.answer.close()
    server.until(lambda: listener.count("notifications/resources/updated") == 1)
    listener.close()


def test_it_can_be_switched_off_and_has_the_base_path(start: Callable[..., Server]) -> None:
    assert Mcp(start("mcp-sse=0"), path="/sse").send("GET").status == 404
    based = Stream(start("base=/hub/k"))
    assert based.client.path.startswith("/hub/k/messages?")
    assert based.exchange(ask(1, "ping"))["result"] == {}
    based.answer.close()


def test_a_revoked_key_ends_what_is_open(server: Server) -> None:
    session = Mcp(server, KEY_2)
    session.initialize()
    answers = [
        Mcp(server, KEY_2).modern("subscriptions/listen", {"notifications": {}}),
        session.send("GET", Accept="text/event-stream"),
        Mcp(server, KEY_2, "/sse").send("GET"),
    ]
    assert all(a.is_stream for a in answers)
    assert server.ask("DELETE", "/api/v1/admin/keys/6fd31de2-3f2b-4b4f-a5e3-9d5d27f3f4c2").status == 204
    for answer in answers:
        assert all("result" not in e.data for e in answer.events())
    assert session.ask("ping").status == 401


def test_a_stream_that_nobody_reads_takes_no_more_requests(server: Server) -> None:
    s = Stream(server)
    poster = Mcp(server, path=s.client.path)
    statuses = [poster.send("POST", ask(n, "tools/list")).status for n in range(1500)]
    assert statuses[0] == 202 and statuses[-1] == 429
    refused = statuses.index(429)
    answered = sum(1 for _ in zip(range(refused), s.events))
    assert answered == refused
    assert s.exchange(ask("more", "ping"))["id"] == "more"
    s.answer.close()
