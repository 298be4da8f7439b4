"""MCP over HTTP: the wire rules of both eras, with the fixtures as tools."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import KEY_2, Server
from mcp_client import LATEST, MODERN, PREFIX, Answer, Mcp

HUGE = 1 << 20


@pytest.fixture
def server(start: Callable[..., Server], tmp_path: Path) -> Server:
    return start("mcp-fixtures=1", f"state={tmp_path}")


@pytest.fixture
def mcp(server: Server) -> Mcp:
    return Mcp(server)


@pytest.fixture
def legacy(server: Server) -> Mcp:
    client = Mcp(server)
    client.initialize()
    return client


class Listener:
    """Hears of a resource, in the background."""

    def __init__(self, server: Server, *uris: str) -> None:
        self.answer = Mcp(server).modern("subscriptions/listen", {"notifications": {"resourceSubscriptions": list(uris), "resourcesListChanged": True}}, id="listening")
        assert self.answer.is_stream
        events = self.answer.events()
        self.acknowledged = next(events).json
        self.heard: list[Any] = []

        def hear() -> None:
            with contextlib.suppress(http.client.IncompleteRead):  # we close, in the middle of it
                self.heard.extend(e.json for e in events)

        self.thread = threading.Thread(target=hear)
        self.thread.start()

    def count(self, method: str) -> int:
        return sum(m.get("method") == method for m in self.heard)

    def close(self) -> None:
        self.answer.hang_up()
        self.thread.join()
        self.answer.close()


@pytest.fixture
def cancelled(server: Server) -> Any:
    listener = Listener(server, "test://cancelled")
    yield lambda: listener.count("notifications/resources/updated") > 0
    listener.close()


# ---- modern ----


def test_a_modern_request_stands_alone(mcp: Mcp) -> None:
    answer = mcp.modern("server/discover")
    assert answer.status == 200 and not answer.is_stream and not answer.headers["Mcp-Session-Id"]
    result = answer.result
    assert result["resultType"] == "complete" and result["supportedVersions"] == [MODERN]
    assert result["_meta"][PREFIX + "serverInfo"]["name"] == "kernelhub"
    assert result["ttlMs"] > 0 and result["cacheScope"] == "public"
    assert "tools" in result["capabilities"] and result["instructions"]
    called = mcp.modern_call("test_simple_text").result
    assert called["content"][0]["text"].startswith("This is") and "ttlMs" not in called


@pytest.mark.parametrize("method", ["tools/list", "prompts/list", "resources/list", "resources/templates/list"])
def test_lists_say_how_long_they_are_good(mcp: Mcp, method: str) -> None:
    result = mcp.modern(method).result
    private = method == "resources/list"
    assert (result["cacheScope"], result["ttlMs"] == 0) == (("private", True) if private else ("public", False))


@pytest.mark.parametrize(
    ("meta", "head", "code"),
    [
        ({PREFIX + "protocolVersion": None}, {}, -32602),
        ({PREFIX + "clientCapabilities": None}, {}, -32602),
        ({PREFIX + "clientCapabilities": []}, {}, -32602),
        ({PREFIX + "protocolVersion": 7}, {}, -32602),
        ({}, {"MCP-Protocol-Version": None}, -32020),
        ({}, {"MCP-Protocol-Version": LATEST}, -32020),
        ({PREFIX + "protocolVersion": "v9"}, {}, -32020),
        ({PREFIX + "protocolVersion": "v9"}, {"MCP-Protocol-Version": "v9"}, -32022),
        ({PREFIX + "protocolVersion": LATEST}, {"MCP-Protocol-Version": LATEST}, -32022),
        ({}, {"Mcp-Method": None}, -32020),
        ({}, {"Mcp-Method": "tools/list"}, -32020),
        ({}, {"Mcp-Method": "TOOLS/CALL"}, -32020),
        ({}, {"Mcp-Name": None}, -32020),
        ({}, {"Mcp-Name": "other"}, -32020),
        ({}, {"Mcp-Name": "=?base64?dGVzdF9zaW1wbGVfdGV4dA?="}, -32020),
        ({}, {"Mcp-Name": "=?base64?dGVzdF9zaW1wbGVfdGV4dA=!?="}, -32020),
    ],
)
def test_what_the_head_and_the_envelope_have_to_say(mcp: Mcp, meta: Any, head: Any, code: int) -> None:
    answer = mcp.modern_call("test_simple_text", head=head) if not meta else mcp.modern("tools/call", {"name": "test_simple_text"}, meta, head)
    body = answer.json
    assert (answer.status, body["error"]["code"], body["id"]) == (400, code, mcp.n)
    if code == -32022:
        assert body["error"]["data"] == {"supported": [MODERN], "requested": meta[PREFIX + "protocolVersion"]}


@pytest.mark.parametrize("name", ["  test_simple_text ", "=?base64?dGVzdF9zaW1wbGVfdGV4dA==?="])
def test_a_name_may_be_encoded(mcp: Mcp, name: str) -> None:
    assert mcp.modern_call("test_simple_text", head={"Mcp-Name": name}).status == 200


@pytest.mark.parametrize(
    ("arguments", "header", "status"),
    [
        ({"region": "eu"}, "eu", 200),
        ({"region": "eu"}, " =?base64?ZXU=?= ", 200),
        ({"region": "eu"}, "us", 400),
        ({"region": "eu"}, None, 400),
        ({"region": "eu"}, "=?base64?ZXU?=", 400),
        ({}, None, 200),
        ({}, "eu", 400),
    ],
)
def test_arguments_that_stand_in_the_head(mcp: Mcp, arguments: Any, header: str | None, status: int) -> None:
    answer = mcp.modern_call("test_param_header", arguments, head={"Mcp-Param-Region": header})
    assert answer.status == status
    assert status == 200 or answer.error["code"] == -32020


@pytest.mark.parametrize("method", ["initialize", "ping", "logging/setLevel", "resources/subscribe", "no/such", "x" * 300, "tools\\/call"])
def test_what_is_gone_is_404(mcp: Mcp, method: str) -> None:
    answer = mcp.modern(method)
    assert answer.status in (400, 404)  # a name that is too long for us is not in our table, and not what the head says
    assert answer.error["code"] in (-32601, -32020)


def test_escaped_slashes_are_slashes(mcp: Mcp) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": {PREFIX + "protocolVersion": MODERN, PREFIX + "clientCapabilities": {}}}})
    answer = mcp.send("POST", body.replace("tools/list", "tools\\/list").replace("modelcontextprotocol/", "modelcontextprotocol/").encode(), **{"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/list"})
    assert answer.status == 200


def test_notifications_are_taken_and_a_cancellation_is_to_leave(mcp: Mcp, cancelled: Any) -> None:
    waiting = mcp.modern_call("test_wait", {"ms": 700}, token="t")
    answer = mcp.send("POST", {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": mcp.n}}, **{"MCP-Protocol-Version": MODERN})
    assert answer.status == 202 and answer.reply.read() == b""
    assert waiting.result["content"][0]["text"] == "waited"
    assert not cancelled()


@pytest.mark.parametrize("token", [None, 7])
def test_a_modern_client_that_leaves_cancels(server: Server, mcp: Mcp, cancelled: Any, token: Any) -> None:
    body = mcp.message("tools/call", {"name": "test_wait", "arguments": {"says": ["a"]}, "_meta": {PREFIX + "protocolVersion": MODERN, PREFIX + "clientCapabilities": {}} | ({"progressToken": token} if token else {})})
    data = json.dumps(body).encode()
    s = server.raw(
        b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer kh_admin\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
        b"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: test_wait\r\nContent-Length: %d\r\n\r\n%s" % (len(data), data)
    )
    if token:
        assert b"200 OK" in s.recv(4096)
    else:
        time.sleep(0.2)
    s.close()
    server.until(cancelled)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b"", -32700),
        (b"\xff", -32700),
        (b'{"a":"\xc3"}', -32700),
        (b"[" * 65 + b"]" * 65, -32700),
        (b'"x"', -32600),
        (b'{"jsonrpc":"2.0","id":1}', -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","m\\u0065thod":"tools/list"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"result":{}}', -32600),
    ],
)
def test_what_is_no_message_is_said_so(mcp: Mcp, body: bytes, code: int) -> None:
    answer = mcp.send("POST", body, **{"MCP-Protocol-Version": MODERN})
    if body.endswith(b'"result":{}}'):
        body_is_response = mcp.send("POST", body)
        assert body_is_response.status == 400
    said = answer.json if answer.status == 400 else {"error": {"code": 0}}
    assert said["error"]["code"] == code or (code == -32600 and body.endswith(b'"result":{}}'))
    assert said.get("id") in (None, 1)


BROKEN = [rb"a\u0000b", rb"\ud800", b"\xff", b"a\tb"]


@pytest.mark.parametrize("text", BROKEN)
def test_who_sends_a_text_that_we_do_not_take_has_an_answer_to_its_request(mcp: Mcp, text: bytes) -> None:
    """A NUL is good JSON: a client that gets no id back waits until it gives up."""
    body = b'{"jsonrpc":"2.0","id":"n","method":"tools/call","params":{"name":"upload_file","arguments":{"content":"' + text + b'"}}}'
    answer = mcp.send("POST", body, **{"MCP-Protocol-Version": MODERN})
    told = answer.json
    assert (answer.status, told["id"], told["error"]["code"]) == (400, "n", -32602)
    assert "NUL" in told["error"]["message"] and "base64" in told["error"]["message"]


def test_batches_are_of_one_version(server: Server) -> None:
    batch = [{"jsonrpc": "2.0", "id": i, "method": "ping"} for i in (1, 2)] + [{"jsonrpc": "2.0", "method": "notifications/initialized"}]
    assert Mcp(server).send("POST", batch, **{"MCP-Protocol-Version": MODERN}).error["code"] == -32600
    old, new = Mcp(server), Mcp(server)
    old.initialize("2025-03-26")
    new.initialize("2025-06-18")
    answer = old.send("POST", batch)
    assert answer.is_stream and answer.messages() == [{"jsonrpc": "2.0", "id": i, "result": {}} for i in (1, 2)]
    refused = new.send("POST", batch)
    assert (refused.status, refused.error["code"]) == (400, -32600)
    assert old.send("POST", []).status == 400
    assert old.send("POST", batch[:1] * 65).status == 400
    assert old.send("POST", batch[2:]).status == 202


def test_a_slash_at_the_end_is_none(server: Server) -> None:
    assert Mcp(server, path="/mcp/").modern("server/discover").status == 200


def test_the_head_is_checked_first(mcp: Mcp) -> None:
    ping = mcp.message("ping")
    assert mcp.send("POST", ping, Content_Type="text/plain").status == 415
    assert mcp.send("POST", ping, Accept="application/json").status == 406
    assert mcp.send("POST", ping, Accept="text/event-stream").status == 406
    assert mcp.send("POST", ping, Accept="*/*").status == 400  # a session is missing
    for method in ("GET", "DELETE"):
        refused = mcp.send(method, MCP_Protocol_Version=MODERN)
        assert (refused.status, refused.headers["Allow"]) == (405, "POST")
    assert mcp.send("PUT", b"{}").status == 405
    assert mcp.send("POST", b"x" * (16 << 20) + b"x").status == 413


def test_progress_comes_before_the_answer(mcp: Mcp, legacy: Mcp) -> None:
    for answer in (mcp.modern_call("test_tool_with_progress", token="p"), legacy.call("test_tool_with_progress", token="p")):
        messages = answer.messages()
        assert answer.is_stream and [m["params"]["progress"] for m in messages[:-1]] == [0, 50, 100]
        assert {m["params"]["progressToken"] for m in messages[:-1]} == {"p"}
        assert messages[-1]["result"]["content"]
    quiet = mcp.modern_call("test_tool_with_progress")
    assert not quiet.is_stream and quiet.result["content"]


def test_progress_is_the_newest_and_four_times_a_second(mcp: Mcp) -> None:
    says = [f"line {i}" for i in range(100)] + ["é" * 2000]
    messages = mcp.modern_call("test_wait", {"ms": 600, "says": says}, token=1).messages()
    texts = [m["params"]["message"] for m in messages[:-1]]
    assert texts == ["line 0", "é" * 512]
    assert [m["params"]["progress"] for m in messages[:-1]] == [1, 2]


def test_silence_is_no_death(mcp: Mcp) -> None:
    messages = mcp.modern_call("test_wait", {"ms": 10500}, token=1).messages()
    assert [m.get("params", {}).get("message") for m in messages] == ["running 10 s", None]


def test_a_user_has_eight_calls_at_a_time(mcp: Mcp, server: Server) -> None:
    waiting = [mcp.modern_call("test_wait", {"says": ["here"]}, token=i) for i in range(8)]
    assert mcp.modern("resources/read", {"uri": "test://static-text"}).error["data"] == {"code": "busy"}
    assert mcp.modern("tools/list").result["tools"], "what takes no time is answered"
    refused = mcp.modern_call("test_simple_text").result
    assert refused["isError"] and "8 calls" in refused["content"][0]["text"]
    assert not Mcp(server, KEY_2).modern_call("test_simple_text").result.get("isError")
    for w in waiting:
        w.close()
    server.until(lambda: not mcp.modern_call("test_simple_text").result.get("isError"))


def test_who_leaves_while_it_only_looks_makes_room_at_once(mcp: Mcp, server: Server) -> None:
    said = mcp.modern_call("execute_code", {"code": "stream 1000 100", "background": True}).result["structuredContent"]
    looks = [mcp.modern_call("get_execution", {"execution_id": said["execution_id"], "wait_seconds": 50}, token=i) for i in range(8)]
    assert all(look.is_stream for look in looks)
    assert mcp.modern_call("test_simple_text").result["isError"], "there are as many as may be"
    for look in looks:
        look.close()
    server.until(lambda: not mcp.modern_call("test_simple_text").result.get("isError"))
    looked = mcp.modern_call("get_execution", {"execution_id": said["execution_id"]}).result["structuredContent"]
    assert looked["status"] == "running", "nobody interrupts it for who only looked"


def test_what_runs_can_be_ended_by_who_lost_its_session(legacy: Mcp, server: Server) -> None:
    running = [legacy.call("execute_code", {"code": "stream 1000 100"}, token=i) for i in range(8)]
    assert all(r.is_stream for r in running)
    for r in running:
        r.close()  # which cancels nothing
    again = Mcp(server)
    again.initialize()

    def text(tool: str, **arguments: str) -> str:
        return again.call(tool, arguments).result["content"][0]["text"]

    assert "8 calls" in text("list_sandboxes")
    assert "8 calls" not in text("interrupt_execution")
    assert "8 calls" not in text("destroy_sandbox", sandbox_name="nothing")
    assert "8 calls" in text("list_sandboxes"), "they run on"


def test_calls_are_counted(server: Server, mcp: Mcp, legacy: Mcp) -> None:
    mcp.modern_call("test_simple_text")
    mcp.modern_call("nothing")
    waiting = legacy.call("test_wait", {"says": ["x"]}, token=1)
    assert server.metric("kernelhub_mcp_calls") == 1 and server.metric("kernelhub_mcp_sessions") == 1
    legacy.notify("notifications/cancelled", {"requestId": legacy.n})
    waiting.messages()
    for end in ("ok", "error", "cancelled"):
        assert server.metric(f'kernelhub_mcp_calls_total{{method="tools/call",end="{end}"}}') == 1


def test_wrong_params_and_unknown_names(mcp: Mcp, legacy: Mcp) -> None:
    assert mcp.modern_call("nothing").error["code"] == -32602
    assert mcp.modern("tools/call", {"name": "test_simple_text", "arguments": []}).error["code"] == -32602
    assert mcp.modern("tools/call", {"arguments": {}}).error["code"] == -32602
    assert mcp.modern("prompts/get", {"name": "test_prompt_with_arguments", "arguments": {"arg1": "a"}}).error["code"] == -32602
    assert mcp.modern("prompts/get", {"name": "test_prompt_with_arguments", "arguments": {"arg1": "a", "arg2": 2}}).error["code"] == -32602
    unknown = mcp.modern("resources/read", {"uri": "test://no"}).error
    assert (unknown["code"], unknown["data"]) == (-32602, {"uri": "test://no"})
    assert legacy.ask("resources/read", {"uri": "test://no"}).error["code"] == -32002
    assert legacy.ask("completion/complete", {"ref": {"type": "ref/prompt", "name": "no"}, "argument": {"name": "a", "value": ""}}).result == {"completion": {"values": [], "total": 0, "hasMore": False}}
    assert legacy.ask("completion/complete", {"ref": {"type": "ref/x"}}).error["code"] == -32602
    assert legacy.ask("logging/setLevel", {"level": "loud"}).error["code"] == -32602


def test_who_listens_hears_of_changes_once_a_second(server: Server, mcp: Mcp) -> None:
    listener = Listener(server, "test://watched-resource")
    params = listener.acknowledged["params"]
    assert params["notifications"] == {"resourcesListChanged": True, "resourceSubscriptions": ["test://watched-resource"]}
    for _ in range(5):
        mcp.modern_call("test_touch")
    Mcp(server, KEY_2).modern_call("test_touch")
    server.until(lambda: len(listener.heard) == 4)
    time.sleep(1.2)
    assert sorted(m["method"] for m in listener.heard) == ["notifications/resources/list_changed"] * 2 + ["notifications/resources/updated"] * 2
    assert {m["params"]["_meta"][PREFIX + "subscriptionId"] for m in listener.heard} == {"listening"}
    listener.close()
    assert mcp.modern("subscriptions/listen", {"notifications": {"resourceSubscriptions": [7]}}).error["code"] == -32602


# ---- legacy ----


@pytest.mark.parametrize(("asked", "given"), [("2025-03-26", "2025-03-26"), ("2025-06-18", "2025-06-18"), (LATEST, LATEST), ("1999-01-01", LATEST), (MODERN, LATEST)])
def test_a_session_begins_with_a_version(server: Server, asked: str, given: str) -> None:
    client = Mcp(server)
    result = client.initialize(asked)
    assert result["protocolVersion"] == given and "resultType" not in result
    assert client.session and len(client.session) > 40 and client.session.isascii()
    assert client.ask("ping").result == {}
    assert client.ask("logging/setLevel", {"level": "info"}).result == {}
    tools = client.ask("tools/list").result["tools"]
    assert any("outputSchema" in t for t in tools) == (given >= "2025-06-18")


def test_a_session_is_its_users(server: Server, legacy: Mcp) -> None:
    other = Mcp(server, KEY_2)
    assert other.ask("ping").status == 400
    other.session = legacy.session
    assert other.ask("ping").status == 404
    assert other.send("DELETE").status == 404
    assert legacy.send("POST", legacy.message("initialize", {"protocolVersion": LATEST})).status == 400
    assert legacy.send("POST", legacy.message("ping"), MCP_Protocol_Version="1999-01-01").status == 400
    assert legacy.send("DELETE").status == 200
    assert legacy.ask("ping").status == 404


def test_only_as_many_sessions_as_may_be(server: Server) -> None:
    first, second = Mcp(server), Mcp(server)
    first.initialize()
    second.initialize()
    stream = second.send("GET", Accept="text/event-stream")
    for _ in range(31):
        Mcp(server).initialize()
    assert first.ask("ping").status == 404, "the one that was idle longest"
    assert second.ask("ping").status == 200
    stream.close()


def test_a_bad_handshake_begins_nothing(server: Server) -> None:
    answer = Mcp(server).send("POST", {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}})
    assert answer.error["code"] == -32602 and not answer.headers["Mcp-Session-Id"]


def test_a_legacy_client_that_leaves_finds_its_answer(server: Server, legacy: Mcp, cancelled: Any) -> None:
    answer = legacy.call("test_wait", {"ms": 1500, "says": ["one"]}, token="t")
    events = answer.events()
    priming, first = next(events), next(events)
    assert priming.data == "" and priming.id and priming.retry
    assert first.json["params"]["message"] == "one"
    assert legacy.send("GET", Accept="text/event-stream", Last_Event_ID=first.id).status == 409
    answer.close()
    again: list[Answer] = []

    def is_open() -> bool:
        again.append(legacy.send("GET", Accept="text/event-stream", Last_Event_ID=priming.id))
        return again[-1].status == 200

    server.until(is_open)
    messages = again[-1].messages()
    assert [m.get("method", "answer") for m in messages] == ["notifications/progress", "answer"]
    assert messages[1]["result"]["content"][0]["text"] == "waited"
    late = legacy.send("GET", Accept="text/event-stream", Last_Event_ID=first.id).messages()
    assert late == messages[1:]
    assert not cancelled()
    for bad in ("x", "99-1", "1", "-", "1-2-3"):
        assert legacy.send("GET", Accept="text/event-stream", Last_Event_ID=bad).status == 400


def test_versions_before_have_no_events_without_data(server: Server) -> None:
    client = Mcp(server)
    client.initialize("2025-06-18")
    events = list(client.call("test_tool_with_progress", token="t").events())
    assert all(e.data and e.id for e in events) and len(events) == 4


def test_a_cancellation_ends_the_stream_without_an_answer(server: Server, legacy: Mcp, cancelled: Any) -> None:
    answer = legacy.call("test_wait", {"says": ["x"]}, token="t")
    other = Mcp(server)
    other.initialize()
    assert other.notify("notifications/cancelled", {"requestId": legacy.n}).status == 202
    assert not cancelled()
    assert legacy.notify("notifications/cancelled", {"requestId": legacy.n, "reason": "enough"}).status == 202
    assert [m["method"] for m in answer.messages()] == ["notifications/progress"]
    server.until(cancelled)


def test_an_ended_session_cancels_what_runs(server: Server, legacy: Mcp, cancelled: Any) -> None:
    answer = legacy.call("test_wait", {"says": ["x"]}, token="t")
    aside = legacy.send("GET", Accept="text/event-stream")
    assert legacy.send("DELETE").status == 200
    assert len(answer.messages()) == 1
    assert aside.messages() == []
    server.until(cancelled)


def test_a_session_has_one_stream_beside_its_posts(server: Server, legacy: Mcp) -> None:
    stream = legacy.send("GET", Accept="text/event-stream")
    assert stream.is_stream
    assert legacy.send("GET", Accept="text/event-stream").status == 409
    assert legacy.send("GET", Accept="application/json").status == 406
    assert legacy.ask("resources/subscribe", {"uri": "test://watched-resource"}).result == {}
    legacy.call("test_touch")
    events = stream.events()
    next(events)
    heard = [next(events), next(events)]
    assert {e.json["method"] for e in heard} == {"notifications/resources/updated", "notifications/resources/list_changed"}
    stream.close()
    server.until(lambda: (again := legacy.send("GET", Accept="text/event-stream", Last_Event_ID=heard[0].id)).status == 200 and next(again.events()).id == heard[1].id)


def test_ids_are_used_once_at_a_time(legacy: Mcp) -> None:
    waiting = legacy.call("test_wait", {"says": ["x"]}, token="t")
    answer = legacy.send("POST", {"jsonrpc": "2.0", "id": legacy.n, "method": "ping"})
    assert answer.error["code"] == -32600
    legacy.notify("notifications/cancelled", {"requestId": legacy.n})
    assert waiting.messages()


def test_the_client_is_asked_and_answers(server: Server) -> None:
    client = Mcp(server)
    client.initialize(sampling={})
    answer = client.call("test_sampling", {"prompt": "hello"})
    events = answer.events()
    next(events)
    asked = next(events).json
    assert asked["method"] == "sampling/createMessage" and asked["params"]["messages"][0]["content"]["text"] == "hello"
    assert client.send("POST", {"jsonrpc": "2.0", "id": asked["id"], "result": {"content": {"type": "text", "text": "hi"}}}).status == 202
    assert next(events).json["result"]["content"][0]["text"] == "LLM response: hi"
    mute = Mcp(server)
    mute.initialize()
    assert mute.call("test_sampling", {"prompt": "hello"}).result["isError"]


# ---- who may come in ----


def test_pages_of_others_may_not_even_with_a_key(start: Callable[..., Server]) -> None:
    server = start("mcp-fixtures=1", "origins=https://good.example")
    client = Mcp(server)
    assert client.modern("server/discover", head={"Origin": "https://evil.example"}).status == 403
    assert client.modern("server/discover", head={"Origin": f"http://127.0.0.1:{server.port}"}).status == 200
    assert client.modern("server/discover", head={"Host": "evil.example"}).status == 403
    good = client.modern("server/discover", head={"Origin": "https://good.example"})
    assert good.status == 200 and good.headers["Access-Control-Allow-Origin"] == "https://good.example"
    assert "Mcp-Session-Id" in good.headers["Access-Control-Expose-Headers"]
    preflight = Mcp(server, None).send("OPTIONS", Origin="https://good.example", Access_Control_Request_Method="POST")
    assert preflight.status == 204
    for name in ("mcp-session-id", "mcp-protocol-version", "mcp-method", "mcp-name", "authorization", "last-event-id"):
        assert name in preflight.headers["Access-Control-Allow-Headers"]


def test_without_a_key_it_is_401_and_nobody_is_named(server: Server) -> None:
    for key in (None, "kh_wrong"):
        answer = Mcp(server, key).ask("ping")
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="kernelhub"')
    for path in ("", "/mcp"):
        assert Mcp(server, None, "/.well-known/oauth-protected-resource" + path).send("GET").status == 404


def test_who_gives_out_keys_is_named_when_configured(start: Callable[..., Server]) -> None:
    server = start("mcp-resource=https://hub.example/k/mcp", "mcp-authorization=https://a.example  https://b.example")
    first = Mcp(server, None).ask("ping").headers["WWW-Authenticate"]
    assert first.startswith('Bearer resource_metadata="https://hub.example/.well-known/oauth-protected-resource/k/mcp", scope="') and "error" not in first
    assert 'error="invalid_token"' in Mcp(server, "kh_wrong").ask("ping").headers["WWW-Authenticate"]
    for path in ("", "/mcp"):
        answer = Mcp(server, None, "/.well-known/oauth-protected-resource" + path).send("GET")
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        said = answer.json
        assert (said["resource"], said["authorization_servers"]) == ("https://hub.example/k/mcp", ["https://a.example", "https://b.example"])
        assert said["bearer_methods_supported"] == ["header"]


@pytest.mark.parametrize(("options", "word"), [(["mcp-fixtures=1", "address=0.0.0.0"], b"loopback"), (["mcp-authorization=https://a"], b"mcp/resource")])
def test_settings_that_make_no_sense_stop_the_start(start: Callable[..., Server], options: list[str], word: bytes) -> None:
    refused = start(*options)
    assert refused.port == 0 and refused.process.wait(20) == 1
    assert word in refused.log.read_bytes()
    refused.process.returncode = 0


def test_the_product_has_no_fixtures(start: Callable[..., Server]) -> None:
    tools = Mcp(start()).modern("tools/list").result["tools"]
    assert tools[0]["name"] == "list_sandboxes" and not any(t["name"].startswith("test_") for t in tools)
    for tool in tools:
        assert len(tool["name"]) <= 24 and tool["description"] and tool["annotations"]
        assert tool["inputSchema"]["type"] == "object" and tool.get("outputSchema", {"type": "object"})["type"] == "object"
        assert not {"anyOf", "oneOf", "allOf", "if", "$ref", "$defs"} & set(tool["inputSchema"])


def test_structured_content_can_be_switched_off(start: Callable[..., Server]) -> None:
    tools = Mcp(start("mcp-structured=0")).modern("tools/list").result["tools"]
    assert not any("outputSchema" in t for t in tools)


def test_a_client_may_want_no_structured_content(server: Server) -> None:
    for path, plain in (("/mcp?structured=0", True), ("/mcp?structured=1", False), ("/mcp", False)):
        modern, legacy = Mcp(server, path=path), Mcp(server, path=path)
        legacy.initialize()
        for result in (modern.modern("tools/list").result, legacy.ask("tools/list").result):
            assert any("outputSchema" in t for t in result["tools"]) != plain
    assert Mcp(server, path="/mcp?other=1").modern("tools/list").status == 400


def test_a_promise_waits_for_the_store(start: Callable[..., Server]) -> None:
    stuck = Mcp(start("mcp-fixtures=1", "store=stuck")).modern_call("test_stored").result
    assert stuck["isError"] and "unavailable" in stuck["content"][0]["text"]
    assert not Mcp(start("mcp-fixtures=1")).modern_call("test_stored").result.get("isError")


def test_a_stopping_service_says_so(server: Server, mcp: Mcp, legacy: Mcp) -> None:
    streams = [mcp.modern_call("test_wait", {"says": ["x"]}, token=1), legacy.call("test_wait", {"says": ["x"]}, token=1)]
    quiet: list[Any] = []
    thread = threading.Thread(target=lambda: quiet.append(Mcp(server).modern_call("test_wait").json))
    thread.start()
    listener = Listener(server, "test://x")
    time.sleep(0.3)
    server.drain()
    assert all("stopping" in s.messages()[-1]["error"]["message"] for s in streams)
    thread.join()
    assert "stopping" in quiet[0]["error"]["message"]
    listener.thread.join()
    assert listener.heard[-1]["result"]["resultType"] == "complete"
