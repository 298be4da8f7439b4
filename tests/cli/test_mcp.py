"""kernelhub mcp: what a client's lines become over HTTP, and what comes back."""

from __future__ import annotations

import base64
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fake_mcp import Exchange, FakeMcp, result
from test_cli import command

VERSION = "2026-07-28"
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


def until(true: Callable[[], Any], seconds: float = 10) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.01)
    return found


class Client:
    """An MCP client that says what a test wants."""

    def __init__(self, url: str, **env: str) -> None:
        argv, environment = command(None, "mcp")
        environment.update(KERNELHUB_URL=url, **env)
        self.process = subprocess.Popen(argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines: queue.Queue[Any] = queue.Queue()
        self.others: list[Any] = []
        self.reads = threading.Event()
        self.reads.set()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.reads.wait()
            self.lines.put(json.loads(line))

    def raw(self, data: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def say(self, message: Any) -> None:
        self.raw(json.dumps(message).encode() + b"\n")

    def notify(self, method: str, **params: Any) -> None:
        self.say({"jsonrpc": "2.0", "method": method, "params": params})

    def ask(self, id: Any, method: str, **params: Any) -> None:
        self.say({"jsonrpc": "2.0", "id": id, "method": method, "params": params})

    def ask_modern(self, id: Any, method: str, **params: Any) -> None:
        meta = {"io.modelcontextprotocol/protocolVersion": VERSION, "io.modelcontextprotocol/clientCapabilities": {}}
        self.ask(id, method, **params, _meta=meta)

    def call(self, id: Any, tool: str, **arguments: Any) -> None:
        self.ask(id, "tools/call", name=tool, arguments=arguments)

    def next(self, seconds: float = 10) -> Any:
        return self.lines.get(timeout=seconds)

    def silent(self, seconds: float = 0.3) -> bool:
        try:
            self.others.append(self.lines.get(timeout=seconds))
        except queue.Empty:
            return True
        return False

    def initialize(self) -> Any:
        self.ask(0, "initialize", **HELLO)
        told = self.next()
        assert told["id"] == 0 and told["result"]["serverInfo"]["name"] == "fake"
        self.notify("notifications/initialized")
        return told

    def end(self, seconds: float = 5) -> tuple[int, str]:
        assert self.process.stdin and self.process.stderr
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        code = self.process.wait(seconds)
        self.reads.set()
        self.reader.join(seconds)
        return code, self.process.stderr.read().decode()

    def kill(self) -> None:
        self.reads.set()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass


@pytest.fixture
def service() -> Iterator[FakeMcp]:
    fake = FakeMcp()
    yield fake
    fake.close()


@pytest.fixture
def client(service: FakeMcp) -> Iterator[Client]:
    made = Client(service.url)
    yield made
    made.kill()


def test_a_legacy_client_has_one_session_from_its_handshake_to_its_end(service: FakeMcp, client: Client) -> None:
    client.initialize()
    client.ask("a", "tools/list")
    assert client.next() == {"jsonrpc": "2.0", "id": "a", "result": {"method": "tools/list"}}
    until(lambda: service.sent("GET"))
    assert client.end() == (0, "")
    hello, *others = service.seen
    assert hello.method == "initialize" and "mcp-session-id" not in hello.headers and "mcp-protocol-version" not in hello.headers
    session = others[0].headers["mcp-session-id"]
    assert session.startswith("session-")
    for x in others:
        assert (x.headers["mcp-session-id"], x.headers["mcp-protocol-version"]) == (session, "2025-11-25")
        assert x.verb != "POST" or x.headers["accept"] == "application/json, text/event-stream"
    assert sorted(service.methods()) == ["DELETE", "GET", "initialize", "notifications/initialized", "tools/list"]
    assert service.methods()[:2] == ["initialize", "notifications/initialized"] and service.methods()[-1] == "DELETE"


def test_a_message_goes_behind_the_handshake_it_was_said_after(service: FakeMcp, client: Client) -> None:
    def slowly(x: Exchange) -> None:
        time.sleep(0.3)
        service.default(x)

    service.on["initialize"] = service.on["notifications/initialized"] = slowly
    client.ask(0, "initialize", **HELLO)
    client.notify("notifications/initialized")
    client.ask(1, "tools/list")
    assert [client.next()["id"], client.next()["id"]] == [0, 1]
    assert [m for m in service.methods() if m != "GET"] == ["initialize", "notifications/initialized", "tools/list"]


def test_a_modern_client_needs_no_session(service: FakeMcp, client: Client) -> None:
    client.ask_modern(1, "server/discover")
    assert client.next()["result"] == {"method": "server/discover"}
    client.ask_modern(2, "tools/call", name="execute_code", arguments={})
    client.ask_modern("3", "resources/read", uri="sandbox://ü\r\nX: y/a b")
    assert sorted(str(client.next()["id"]) for _ in range(2)) == ["2", "3"]
    assert client.end() == (0, "")
    discover, *others = service.seen
    assert all("mcp-session-id" not in x.headers and x.headers["mcp-protocol-version"] == VERSION for x in service.seen)
    assert discover.headers["mcp-method"] == "server/discover" and "mcp-name" not in discover.headers
    call, read = sorted(others, key=lambda x: str(x.message["id"]))
    assert (call.headers["mcp-method"], call.headers["mcp-name"]) == ("tools/call", "execute_code")
    name = read.headers["mcp-name"]
    assert name.startswith("=?base64?") and name.endswith("?=") and "x" not in read.headers
    assert base64.b64decode(name[9:-2], validate=True).decode() == "sandbox://ü\r\nX: y/a b"
    assert service.methods().count("GET") == service.methods().count("DELETE") == 0


def test_the_first_answered_request_decides_the_era(service: FakeMcp, client: Client) -> None:
    def refuse(x: Exchange) -> None:
        x.send(404, {"jsonrpc": "2.0", "id": x.message["id"], "error": {"code": -32601, "message": "what?"}})

    service.on["server/discover"] = refuse
    client.ask_modern(1, "server/discover")
    assert client.next()["error"] == {"code": -32601, "message": "what?"}
    client.initialize()  # a client that tries both: nothing was decided yet
    client.ask_modern(2, "tools/list")
    client.next()
    assert service.sent("tools/list")[0].headers["mcp-protocol-version"] == "2025-11-25"


def test_many_requests_run_at_once_and_each_answer_comes_when_it_is_there(service: FakeMcp, client: Client) -> None:
    gate = threading.Barrier(41)

    def wait(x: Exchange) -> None:
        gate.wait(10)
        service.default(x)

    service.on["wait"] = wait
    client.initialize()
    for i in range(1, 41):
        client.call(i, "wait")
    client.ask("quick", "ping")
    assert client.next()["id"] == "quick"
    gate.wait(10)
    assert sorted(client.next()["id"] for _ in range(40)) == list(range(1, 41))


def test_a_stream_becomes_lines(service: FakeMcp, client: Client) -> None:
    def work(x: Exchange) -> None:
        x.stream()
        x.chunk("id: 1\nretry: 500\ndata: \n\n: a comment\n\n")
        x.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1, "message": "ü"}}, id="2")
        x.event(json.dumps(result(x.message, text="a\nb"), indent=1))  # over many lines
        x.end()

    service.on["work"] = work
    client.initialize()
    client.call(7, "work")
    assert client.next()["params"] == {"progress": 1, "message": "ü"}
    assert client.next() == {"jsonrpc": "2.0", "id": 7, "result": {"text": "a\nb"}}


def test_what_belongs_to_no_request_comes_too_and_the_clients_answers_go_back(service: FakeMcp, client: Client) -> None:
    client.initialize()
    until(lambda: service.sent("GET"))
    next(iter(service.sessions.values())).put({"jsonrpc": "2.0", "id": "s1", "method": "roots/list"})
    assert client.next() == {"jsonrpc": "2.0", "id": "s1", "method": "roots/list"}
    client.say({"jsonrpc": "2.0", "id": "s1", "result": {"roots": []}})
    answer = until(lambda: [x for x in service.seen if x.message and "result" in x.message])[0]
    assert answer.message["result"] == {"roots": []} and answer.headers["mcp-session-id"]
    assert client.silent()


def test_a_bad_line_is_told_and_reading_goes_on(client: Client) -> None:
    client.initialize()
    for bad in (b'{"a":', b"\xff\xfe", b"[" * 70 + b"]" * 70, b'{"id":1} x', b"x" * (33 << 20)):
        client.raw(bad + b"\n")
        told = client.next()
        assert told["error"]["code"] == -32700 and "id" not in told
    client.raw(b"\n  \r\n")
    client.raw(b' {"jsonrpc":"2.0",\t"id":2,"method":"ping"} \r\n')
    assert client.next() == {"jsonrpc": "2.0", "id": 2, "result": {"method": "ping"}}


def test_an_array_is_the_services_to_answer(service: FakeMcp, client: Client) -> None:
    client.initialize()
    batch = [{"jsonrpc": "2.0", "id": i, "method": "ping"} for i in (1, 2)] + [{"jsonrpc": "2.0", "method": "notifications/x"}]
    client.say(batch)
    assert [one["id"] for one in client.next()] == [1, 2]
    service.on[""] = lambda x: x.send(500, b"<html>")
    client.say(batch)
    assert [client.next()["id"], client.next()["id"]] == [1, 2]


def test_without_a_service_each_request_is_told_so() -> None:
    client = Client("http://127.0.0.1:9")
    try:
        client.ask(1, "initialize", **HELLO)
        told = client.next()
        assert told["id"] == 1 and told["error"]["code"] == 1503 and told["error"]["data"] == {"code": "unavailable"}
        assert "no service answers at http://127.0.0.1:9" in told["error"]["message"]
        client.ask_modern("2", "server/discover")
        assert client.next()["error"]["code"] == 1503
        client.notify("notifications/initialized")
        code, errors = client.end()
        assert code == 0 and "notifications/initialized: no service answers" in errors
    finally:
        client.kill()


def test_a_wrong_key_is_told(service: FakeMcp) -> None:
    client = Client(service.url, KERNELHUB_TOKEN="kh_wrong")
    try:
        client.ask(1, "initialize", **HELLO)
        error = client.next()["error"]
        assert error["code"] == 1401 and error["data"] == {"code": "unauthorized"}
        assert "no such key" in error["message"] and "KERNELHUB_TOKEN" in error["message"] and "kh_wrong" not in error["message"]
        assert client.end()[0] == 0
    finally:
        client.kill()


@pytest.mark.parametrize("answer", [b"<html>hello", b'{"a":', b"", b"[]x"])
def test_what_is_no_json_never_comes_to_stdout(service: FakeMcp, client: Client, answer: bytes) -> None:
    service.on["odd"] = lambda x: x.send(200, answer, "text/html")
    client.initialize()
    client.call(1, "odd")
    told = client.next()
    assert told["id"] == 1 and told["error"]["code"] == -32603
    assert client.silent(0.1)


@pytest.mark.parametrize("text", [rb"a\u0000b", rb"\ud800", b"\xff"])
def test_a_text_that_is_not_taken_is_refused_under_its_requests_id(client: Client, text: bytes) -> None:
    client.initialize()
    client.raw(b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"arguments":{"a":"' + text + b'"}}}\n')
    told = client.next()
    assert (told["id"], told["error"]["code"]) == (7, -32602) and "NUL" in told["error"]["message"]
    client.raw(b'{"id":8,"a":"\\u0000"\n')
    told = client.next()
    assert "id" not in told and told["error"]["code"] == -32700


def test_a_modern_connection_takes_no_handshake(service: FakeMcp, client: Client) -> None:
    client.ask_modern("d", "server/discover")
    assert "result" in client.next()
    client.ask(1, "initialize", **HELLO)
    told = client.next()
    assert (told["id"], told["error"]["code"]) == (1, -32022)
    assert told["error"]["data"] == {"supported": [VERSION], "requested": "2025-11-25"}
    assert not service.sent("initialize")


def test_a_refusal_keeps_its_code_and_gets_the_requests_id(service: FakeMcp, client: Client) -> None:
    client.initialize()
    service.on["ping"] = lambda x: x.send(400, {"jsonrpc": "2.0", "error": {"code": -32602, "message": "no", "data": [1]}})
    client.ask(5, "ping")
    assert client.next() == {"jsonrpc": "2.0", "id": 5, "error": {"code": -32602, "message": "no", "data": [1]}}
    service.on["ping"] = lambda x: x.send(413, {"error": {"code": "too_large", "message": "too large", "hint": "less"}})
    client.ask(6, "ping")
    assert client.next()["error"] == {"code": 1413, "message": "too large (less)", "data": {"code": "too_large"}}


def test_a_legacy_request_is_cancelled_by_saying_so(service: FakeMcp, client: Client) -> None:
    cancelled = service.work_until_cancelled()
    client.initialize()
    client.call(1, "work")
    until(lambda: service.sent("tools/call"))
    client.notify("notifications/cancelled", requestId=1, reason="enough")
    assert cancelled.wait(10)
    assert client.silent()
    assert service.sent("notifications/cancelled")[0].message["params"] == {"requestId": 1, "reason": "enough"}


def test_a_modern_request_is_cancelled_by_leaving_its_stream(service: FakeMcp, client: Client) -> None:
    left = threading.Event()

    def work(x: Exchange) -> None:
        x.stream()
        if x.wait_until_left():
            left.set()

    service.on["work"] = work
    client.ask_modern(0, "server/discover")
    client.next()
    client.ask_modern(1, "tools/call", name="work")
    until(lambda: service.sent("tools/call"))
    client.notify("notifications/cancelled", requestId=1)
    assert left.wait(10)
    assert client.silent() and not service.sent("notifications/cancelled")


def test_a_request_that_was_not_sent_yet_is_cancelled_here(service: FakeMcp, client: Client) -> None:
    def slowly(x: Exchange) -> None:
        time.sleep(0.3)
        service.default(x)

    service.on["initialize"] = slowly
    client.ask(0, "initialize", **HELLO)
    client.call(1, "never")
    client.notify("notifications/cancelled", requestId=1)
    client.ask(2, "ping")
    assert [client.next()["id"], client.next()["id"]] == [0, 2]
    assert not service.sent("tools/call") and not service.sent("notifications/cancelled")


@pytest.mark.parametrize("how", ["end", "SIGTERM", "SIGINT"])
def test_its_end_cancels_what_runs(service: FakeMcp, client: Client, how: str) -> None:
    service.work_until_cancelled()
    client.initialize()
    client.call("w", "work")
    until(lambda: service.sent("tools/call"))
    before = time.monotonic()
    if how != "end":
        client.process.send_signal(getattr(signal, how))
        assert client.process.wait(3) == 0
    assert client.end(3)[0] == 0
    assert time.monotonic() - before < 2
    assert service.sent("notifications/cancelled")[0].message["params"]["requestId"] == "w"
    assert service.methods()[-1] == "DELETE" and not service.sessions


def test_its_end_leaves_the_streams_of_a_modern_client(service: FakeMcp, client: Client) -> None:
    left = threading.Event()

    def work(x: Exchange) -> None:
        x.stream()
        if x.wait_until_left():
            left.set()

    service.on["work"] = work
    client.ask_modern(1, "tools/call", name="work")
    until(lambda: service.sent("tools/call"))
    assert client.end(3)[0] == 0
    assert left.wait(5)


def test_what_is_piped_in_is_answered_before_the_end(service: FakeMcp) -> None:
    argv, env = command(None, "mcp")
    messages = [
        {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HELLO},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
    ]
    text = "\n".join(json.dumps(m) for m in messages)  # the last line has no end
    done = subprocess.run(argv, env=dict(env, KERNELHUB_URL=service.url), input=text, capture_output=True, text=True, timeout=10)
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [0, 1]
    assert (done.returncode, done.stderr) == (0, "")


def test_a_session_that_the_service_forgot_is_made_again(service: FakeMcp, client: Client) -> None:
    client.initialize()
    for i, (method, params) in enumerate([
        ("logging/setLevel", {"level": "info"}), ("resources/subscribe", {"uri": "a"}), ("resources/subscribe", {"uri": "b"}),
        ("resources/unsubscribe", {"uri": "a"}), ("logging/setLevel", {"level": "error"}),
    ]):
        client.ask(i, method, **params)
        client.next()
    until(lambda: service.sent("GET"))
    time.sleep(0.1)
    service.forget()
    at = len(service.seen)
    client.call(9, "work")
    assert client.next()["id"] == 9
    assert client.silent()
    again = [x for x in service.seen[at:] if x.verb == "POST"]
    assert [x.method for x in again if x.method != "tools/call"] == [
        "initialize", "notifications/initialized", "resources/subscribe", "logging/setLevel",
    ]
    assert [x.message["params"] for x in again if x.method in ("initialize", "resources/subscribe", "logging/setLevel")] == [
        HELLO, {"uri": "b"}, {"level": "error"},
    ]
    session = next(iter(service.sessions))
    assert again[-1].method == "tools/call" and again[-1].headers["mcp-session-id"] == session
    until(lambda: service.sent("GET")[-1].headers["mcp-session-id"] == session)
    assert client.end()[0] == 0


def test_who_only_listens_is_heard_again_after_a_restart(service: FakeMcp, client: Client) -> None:
    client.initialize()
    client.ask(1, "resources/subscribe", uri="a")
    client.next()
    until(lambda: service.sent("GET"))
    service.forget()
    until(lambda: len(service.sent("initialize")) == 2 and len(service.sent("resources/subscribe")) == 2)
    session = until(lambda: next(iter(service.sessions.values()), None))
    session.put({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "a"}})
    assert client.next()["params"] == {"uri": "a"}


def test_a_service_that_is_not_ready_is_asked_again(service: FakeMcp, client: Client) -> None:
    client.initialize()
    tries = iter(range(3))
    service.on["work"] = lambda x: service.default(x) if next(tries, None) is None else x.send(503, {"error": {"code": "unavailable", "message": "m"}})
    client.call(1, "work")
    assert client.next()["result"] and len(service.sent("tools/call")) == 4
    error = {"jsonrpc": "2.0", "id": 2, "error": {"code": 1503, "message": "no kernel"}}
    service.on["work"] = lambda x: x.send(503, error)  # that one looked at it
    client.call(2, "work")
    assert client.next() == error and len(service.sent("tools/call")) == 5


def test_another_service_than_the_client_was_told_of_is_told(service: FakeMcp, client: Client) -> None:
    client.initialize()
    service.capabilities = {"tools": {}}
    service.forget()
    client.call(1, "work")
    told = client.next()
    assert told["id"] == 1 and told["error"]["code"] == 1410 and "anew" in told["error"]["message"]
    client.call(2, "work")
    assert client.next()["error"]["code"] == 1410
    client.initialize()
    client.call(3, "work")
    assert "result" in client.next()


def test_a_session_that_is_gone_again_at_once_ends_in_an_error(service: FakeMcp, client: Client) -> None:
    client.initialize()
    service.on["work"] = lambda x: x.send(404, {"jsonrpc": "2.0", "error": {"code": -32001, "message": "gone"}})
    client.call(1, "work")
    assert client.next()["error"]["code"] == 1410
    assert len(service.sent("initialize")) < 8


def test_what_was_broken_off_runs_once(service: FakeMcp, client: Client) -> None:
    def cut(x: Exchange) -> None:
        x.cut()

    def cut_once(x: Exchange) -> None:
        del service.on["tools/list"]
        x.cut()

    service.on["work"] = cut
    service.on["tools/list"] = cut_once
    client.initialize()
    client.ask(0, "ping")
    client.next()  # its connection could be used again
    client.call(1, "work")
    told = client.next()
    assert told["error"]["code"] == 1503 and "may run on" in told["error"]["message"]
    assert len(service.sent("tools/call")) == 1
    client.ask(2, "tools/list")
    assert client.next()["id"] == 2
    assert len(service.sent("tools/list")) == 2


@pytest.mark.parametrize("how", ["cut", "end"])
def test_a_stream_that_ended_early_goes_on_behind_its_last_event(service: FakeMcp, client: Client, how: str) -> None:
    def work(x: Exchange) -> None:
        x.stream()
        x.chunk("id: w-1\nretry: 50\ndata: \n\n")
        x.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1}}, id="w-2")
        getattr(x, how)()

    def rest(x: Exchange) -> None:
        x.stream()
        x.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 2}}, id="w-3")
        if x.headers["last-event-id"] == "w-2":
            getattr(x, how)()
            return
        x.event({"jsonrpc": "2.0", "id": 1, "result": {}}, id="w-4")
        x.end()

    service.on["work"] = work
    service.resumed = rest
    client.initialize()
    client.call(1, "work")
    assert [client.next()["params"]["progress"] for _ in range(2)] == [1, 2]
    found = [client.next() for _ in range(2)]
    assert found[0]["params"]["progress"] == 2 and found[1]["id"] == 1  # what came twice is the service's word
    assert [x.headers["last-event-id"] for x in service.sent("GET") if "last-event-id" in x.headers] == ["w-2", "w-3"]
    assert len(service.sent("tools/call")) == 1


@pytest.mark.parametrize("is_slow", [False, True])
def test_a_stream_that_nobody_knows_any_more_is_told(service: FakeMcp, client: Client, is_slow: bool) -> None:
    """Slow: who listens has a new session by then, in which the stream is not to be looked for."""

    def work(x: Exchange) -> None:
        x.stream()
        x.chunk("retry: 2000\nid: w-1\ndata: \n\n" if is_slow else "id: w-1\ndata: \n\n")
        service.forget()
        x.end() if is_slow else x.cut()

    service.on["work"] = work
    client.initialize()
    client.call(1, "work")
    told = client.next()
    assert told["error"]["code"] == 1410 and "may run on" in told["error"]["message"]
    assert not is_slow or service.methods().count("initialize") == 2
    client.ask(2, "ping")
    assert client.next()["id"] == 2
    assert len(service.sent("tools/call")) == 1


def test_a_service_that_is_started_again_is_waited_for(service: FakeMcp, client: Client) -> None:
    client.initialize()
    until(lambda: service.sent("GET"))
    service.forget()
    service.close()
    client.call(1, "work")
    time.sleep(0.5)
    second = FakeMcp(service.port)
    try:
        assert client.next() == {"jsonrpc": "2.0", "id": 1, "result": {"method": "tools/call"}}
        assert [m for m in second.methods() if m != "GET"] == ["tools/call", "initialize", "notifications/initialized", "tools/call"]
        client.ask(2, "ping")
        assert client.next()["id"] == 2
    finally:
        second.close()


def test_a_service_that_stays_away_is_an_error(service: FakeMcp, client: Client) -> None:
    client.initialize()
    service.forget()
    service.close()
    client.call(1, "work")
    told = client.next()
    assert told["id"] == 1 and told["error"]["code"] == 1503


def test_a_client_that_reads_slowly_gets_all(service: FakeMcp, client: Client) -> None:
    def large(x: Exchange) -> None:
        x.stream()
        for i in range(40):
            x.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": i, "message": "x" * (1 << 20)}})
        x.event(result(x.message, text="end"))
        x.end()

    service.on["large"] = large
    client.initialize()
    client.reads.clear()
    client.call(1, "large")
    client.ask(2, "ping")
    time.sleep(1)
    with open(f"/proc/{client.process.pid}/status") as status:
        rss_kib = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    assert rss_kib < 60 << 10
    client.reads.set()
    found = [client.next() for _ in range(42)]
    assert [m["params"]["progress"] for m in found if "params" in m] == list(range(40))
    assert sorted(m["id"] for m in found if "id" in m) == [1, 2]


def test_more_than_it_can_hold_is_refused_by_an_error(service: FakeMcp, client: Client) -> None:
    gate = threading.Event()
    service.on["wait"] = lambda x: (gate.wait(15), service.default(x))[1]
    client.initialize()
    for i in range(300):
        client.call(i, "wait")
    refused = [client.next() for _ in range(40)]
    assert all(m["error"]["code"] == 1429 for m in refused)
    gate.set()
    rest = [client.next() for _ in range(260)]
    assert sorted(m["id"] for m in refused + rest) == list(range(300))


def test_a_client_that_has_gone_ends_it(service: FakeMcp) -> None:
    argv, env = command(None, "mcp")
    read, write = os.pipe()
    process = subprocess.Popen(argv, env=dict(env, KERNELHUB_URL=service.url), stdin=subprocess.PIPE, stdout=write, stderr=subprocess.DEVNULL)
    os.close(write)
    os.close(read)
    assert process.stdin
    process.stdin.write(b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}\n')
    process.stdin.flush()
    assert process.wait(5) == 0
    process.stdin.close()
