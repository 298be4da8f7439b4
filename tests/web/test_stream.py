"""WS /api/v1/stream: the handshake, the frames, the messages, and clients that behave badly."""

from __future__ import annotations

import contextlib
import json
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ws_client import BINARY, CLOSE, PATH, PING, PONG, TEXT, Client, frame, request

MIB = 1 << 20
KEY_2_ID = "6fd31de2-3f2b-4b4f-a5e3-9d5d27f3f4c2"


@pytest.fixture
def opened(server: Any) -> Iterator[Callable[..., Client]]:
    clients: list[Client] = []

    def make(first: bytes = b"", **how: Any) -> Client:
        clients.append(Client(server.port, first, **how))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def ws(opened: Callable[..., Client]) -> Client:
    return opened()


def shaken(server: Any, data: bytes) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON of a handshake that is refused."""
    s = server.raw(data)
    got = b""
    while b"\r\n\r\n" not in got:
        got += s.recv(65536)
    head, body = got.split(b"\r\n\r\n", 1)
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
    while len(body) < int(headers["content-length"]):
        body += s.recv(65536)
    s.close()
    return int(lines[0].split()[1]), headers, json.loads(body) if body else None


# ---- the handshake


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"Upgrade": None}, 426, "invalid_request"),
        ({"Upgrade": "h2c"}, 426, "invalid_request"),
        ({"Sec_WebSocket_Version": "8"}, 426, "invalid_request"),
        ({"Sec_WebSocket_Version": None}, 426, "invalid_request"),
        ({"Connection": "keep-alive"}, 400, "invalid_request"),
        ({"Sec_WebSocket_Key": None}, 400, "invalid_request"),
        ({"Sec_WebSocket_Key": "AAAA"}, 400, "invalid_request"),
        ({"Sec_WebSocket_Key": "A" * 24}, 400, "invalid_request"),
        ({"Sec_WebSocket_Key": "A" * 21 + "!=="}, 400, "invalid_request"),
        ({"key": None}, 401, "unauthorized"),
        ({"key": "kh_wrong"}, 401, "unauthorized"),
        ({"key": None, "path": PATH + "?token=kh_wrong"}, 401, "unauthorized"),
        ({"path": PATH + "?bogus=1"}, 400, "invalid_request"),
        ({"Host": "evil.example"}, 403, "forbidden"),
        ({"Origin": "https://evil.example"}, 403, "forbidden"),
        ({"Origin": "null"}, 403, "forbidden"),
        ({"Origin": "http://localhost.evil.example"}, 403, "forbidden"),
        ({"Origin": "http://localhost:1"}, 403, "forbidden"),
        ({"key": None, "path": PATH + "?token=kh_admin", "Origin": "https://evil.example"}, 403, "forbidden"),
    ],
)
def test_a_bad_handshake_is_refused_before_the_101(server: Any, changes: dict[str, Any], status: int, code: str) -> None:
    got, headers, body = shaken(server, request(**changes))
    assert (got, body["error"]["code"]) == (status, code)
    assert body["error"]["message"] and headers["x-request-id"] == body["error"]["request_id"]
    if status == 426:
        assert headers["upgrade"] == "websocket"
    if "Sec_WebSocket_Version" in changes:
        assert headers["sec-websocket-version"] == "13"


def test_only_get_and_http_1_1(server: Any) -> None:
    status, _, body = shaken(server, request().replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert (status, body["error"]["code"]) == (400, "invalid_request")
    for method in (b"HEAD ", b"POST "):
        s = server.raw(request().replace(b"GET ", method))
        assert b" 405 " in s.recv(65536).split(b"\r\n")[0]
        s.close()
    assert server.ask("OPTIONS", PATH, key=None).headers["Allow"] == "GET, OPTIONS"
    assert server.ask("GET", PATH).status == 426


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"Upgrade": "WebSocket", "Connection": "upgrade"},
        {"key": None, "path": PATH + "?token=kh_admin"},
        {"key": None, "path": "/t/kh_admin" + PATH},
        {"key": None, "X_API_Key": "kh_admin"},
        {"Origin": "http://localhost"},
        {"Host": "127.0.0.1:8080", "Origin": "http://127.0.0.1:8080"},
        {"Sec_WebSocket_Extensions": "permessage-deflate; client_max_window_bits"},
    ],
)
def test_a_good_handshake_opens(opened: Callable[..., Client], changes: dict[str, Any]) -> None:
    client = opened(**changes)
    assert "sec-websocket-extensions" not in client.head.lower()
    assert "x-request-id: " in client.head.lower()
    client.say("ping", 1)
    assert client.receive() == {"type": "pong", "id": 1}


def test_other_sites_may_when_they_are_named(start: Any) -> None:
    server = start("origins=https://a.example,  http://b.example:8080")
    for origin in ("https://a.example", "http://B.example:8080", "http://localhost"):
        Client(server.port, Origin=origin).close()
    for origin in ("https://b.example", "https://a.example.evil", "http://a.example"):
        assert shaken(server, request(Origin=origin))[0] == 403


def test_without_keys_a_strange_page_still_may_not(start: Any) -> None:
    server = start("auth=none")
    Client(server.port, key=None).close()
    assert shaken(server, request(key=None, Origin="https://evil.example"))[0] == 403


def test_what_came_with_the_request_is_not_lost(opened: Callable[..., Client]) -> None:
    first = frame(TEXT, b'{"op":"ping","id":"early"}') + frame(TEXT, b'{"op":"ping","id":"cut"}')
    client = opened(first[:-7])
    assert client.receive()["id"] == "early"
    client.raw(first[-7:])
    assert client.receive()["id"] == "cut"


# ---- frames


def sent(*parts: bytes) -> bytes:
    return b"".join(parts)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, b"{}", masked=False), 1002),
        (frame(PING, b"", masked=False), 1002),
        (frame(3, b"x"), 1002),
        (frame(11, b"x"), 1002),
        (frame(TEXT, b"{}", rsv=4), 1002),
        (frame(TEXT, b"{}", rsv=1), 1002),
        (frame(0, b"x"), 1002),
        (sent(frame(TEXT, b"a", fin=False), frame(TEXT, b"b")), 1002),
        (frame(PING, b"x", fin=False), 1002),
        (frame(CLOSE, b"", fin=False), 1002),
        (frame(PING, b"x" * 126), 1002),
        (b"\x81\xfe\x00\x05abcdhello", 1002),
        (b"\x81\xff\x00\x00\x00\x00\x00\x00\x00\x05abcdhello", 1002),
        (b"\x81\xff\x80\x00\x00\x00\x00\x00\x00\x05abcdhello", 1002),
        (frame(CLOSE, b"\x03\xed"), 1002),
        (frame(CLOSE, b"\x13\x88"), 1002),
        (frame(BINARY, b"{}"), 1003),
        (frame(BINARY, b"", fin=False), 1003),
        (frame(TEXT, b'{"op":"\xff"}'), 1007),
        (frame(TEXT, b"\xc3"), 1007),
        (frame(TEXT, b"\xed\xa0\x80"), 1007),
        (sent(frame(TEXT, b"\xe2\x82", fin=False), frame(0, b"x")), 1007),
        (frame(TEXT, b"{", length=11 * MIB), 1009),
        (frame(TEXT, b"{", length=1 << 62), 1009),
        (sent(frame(TEXT, b"a" * 6 * MIB, fin=False), frame(0, b"a" * 6 * MIB)), 1009),
        (frame(CLOSE, b"\x03\xe8bye"), 1000),
        (frame(CLOSE, b"\x0f\xa0"), 4000),
        (frame(CLOSE), 1005),
    ],
    ids=lambda value: "frame" if isinstance(value, bytes) else None,  # their masks differ in each process
)
@pytest.mark.parametrize("in_pieces", [False, True])
def test_how_the_server_closes(server: Any, ws: Client, data: bytes, code: int, in_pieces: bool) -> None:
    if in_pieces and len(data) < 200:
        for i in range(len(data)):
            ws.raw(data[i : i + 1])
    else:
        try:
            ws.raw(data)
        except OSError:
            assert len(data) > MIB  # it had closed before it had all
    assert ws.closed().code == code
    ws.socket.settimeout(10)
    assert ws.socket.recv(1) == b"", "it closes the connection too"
    ws.close()
    server.until(lambda: server.metric("kernelhub_websockets") == 0)


def test_fragments_are_put_together_with_pings_between(ws: Client) -> None:
    text = json.dumps({"op": "ping", "id": "ü" * 20}).encode()
    ws.frame(TEXT, b"", fin=False)
    for i in range(len(text)):
        ws.frame(0, text[i : i + 1], fin=False)
        if i % 10 == 0:
            ws.frame(PING, b"%d" % i)
    ws.frame(0, b"")
    pongs = []
    while True:
        opcode, payload = ws.receive_frame()
        if opcode != PONG:
            break
        pongs.append(int(payload))
    assert pongs == list(range(0, len(text), 10))
    assert opcode == TEXT and json.loads(payload) == {"type": "pong", "id": "ü" * 20}


def test_a_message_up_to_the_limit_is_taken(start: Any) -> None:
    server = start("body=100000")
    for size, fine in ((100000, True), (100001, False)):
        client = Client(server.port)
        text = b'{"op":"ping","id":1}'
        client.frame(TEXT, text + b" " * (size - len(text)))
        if fine:
            assert client.receive() == {"type": "pong", "id": 1}
        else:
            assert client.closed().code == 1009
        client.close()


def test_a_million_fragments_cost_little_memory(server: Any, ws: Client) -> None:
    before = server.resident_bytes()
    ws.frame(TEXT, b"{", fin=False)
    one = b"\x00\x81\x00\x00\x00\x00 "
    for _ in range(100):
        ws.raw(one * 10000)
    assert server.resident_bytes() - before < 8 * MIB
    ws.frame(0, b'"op":"ping","id":1}')
    assert ws.receive() == {"type": "pong", "id": 1}


# ---- messages


@pytest.mark.parametrize(
    ("text", "id_", "says"),
    [
        ("", None, "empty"),
        ("{", None, "line 1"),
        ("[]", None, "object"),
        ("null", None, "object"),
        ('{"op":"ping","id":1}x', None, "line 1"),
        ('{"op":"ping","id":1,"id":2}', None, "id"),
        ('{"op":"ping","id":1,"x":"\\ud800"}', None, ""),
        ('{"op":"ping"}', None, "'id' is missing"),
        ('{"op":"ping","id":null}', None, "'id'"),
        ('{"op":"ping","id":{}}', None, "'id'"),
        ('{"op":"ping","id":"' + "x" * 200 + '"}', None, "128"),
        ('{"op":"ping","id":1,"x":' + "[" * 70 + "]" * 70 + "}", None, "64"),
        ('{"id":1}', 1, "'op'"),
        ('{"op":7,"id":1}', 1, "'op'"),
        ('{"op":"shout","id":"a"}', "a", "unknown op"),
        ('{"op":"ping","id":1.5,"x":1}', 1.5, "unknown field"),
        ('{"op":"execute","id":1}', 1, "'code' is missing"),
        ('{"op":"execute","id":1,"code":"x","bogus":1}', 1, "bogus"),
        ('{"op":"execute","id":1,"code":"x","execution_id":"no"}', 1, "UUID"),
        ('{"op":"execute","id":1,"code":"x","on_disconnect":"explode"}', 1, "continue"),
        ('{"op":"attach","id":1}', 1, "one of"),
        ('{"op":"attach","id":1,"session":"a","execution_id":"6fd31de2-3f2b-4b4f-a5e3-9d5d27f3f4c1"}', 1, "one of"),
        ('{"op":"attach","id":1,"session":"a","after":-1}', 1, "after"),
        ('{"op":"attach","id":1,"session":"a","after":1.5}', 1, "after"),
        ('{"op":"detach","id":1,"execution_id":"x"}', 1, "UUID"),
        ('{"op":"input","id":1,"execution_id":"6fd31de2-3f2b-4b4f-a5e3-9d5d27f3f4c1"}', 1, "'value' is missing"),
        ('{"op":"input","id":1,"value":"x"}', 1, "'execution_id' is missing"),
        ('{"op":"cancel","id":1,"session":"x"}', 1, "unknown field"),
    ],
)
def test_what_makes_no_sense_is_rejected_and_the_socket_lives_on(ws: Client, text: str, id_: Any, says: str) -> None:
    ws.frame(TEXT, text.encode())
    answer = ws.receive()
    assert set(answer) == {"type", "id", "error"} and answer["type"] == "rejected" and answer["id"] == id_
    error = answer["error"]
    assert error["code"] == "invalid_request" and says in error["message"]
    assert set(error) == {"code", "message", "hint", "request_id", "details"}
    ws.say("ping", "still here")
    assert ws.receive()["id"] == "still here"


@pytest.mark.parametrize("id_", [1, 0, -7, 1.25, "", "a", "ü \" \\ \n", 9007199254740993])
def test_the_clients_id_comes_back_as_it_was(ws: Client, id_: Any) -> None:
    ws.say("ping", id_)
    answer = ws.receive()
    assert answer == {"type": "pong", "id": id_} and type(answer["id"]) is type(id_)


@pytest.mark.parametrize("later", ["", "later "])
@pytest.mark.parametrize("code", ["pass", "print 500 1000", "stream 5 20", "big 3000000"])
def test_an_execution_is_acknowledged_then_has_every_event_once(ws: Client, later: str, code: str) -> None:
    ws.say("execute", "x", code=later + code)
    ack, *events = ws.until("finished")
    assert ack["type"] == "ack" and ack["id"] == "x"
    assert set(ack) == {"type", "id", "execution_id", "status", "position", "session", "attached"}
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert {e["execution_id"] for e in events} == {ack["execution_id"]}


def test_what_never_started_has_its_finished(ws: Client) -> None:
    for id_, code in ((1, "nosandbox"), (2, "later nosandbox")):
        ws.say("execute", id_, code=code)
        ack, end = ws.until("finished")
        assert ack["id"] == id_ and end["status"] == "cancelled" and end["reason"]


def test_what_is_refused_is_rejected_with_the_codes_of_rest(ws: Client) -> None:
    for fields, code in (
        ({"code": "boom"}, "busy"),
        ({"code": "pass", "language": "klingon"}, "invalid_request"),
        ({"code": "pass", "sandbox": "x"}, "not_found"),
        ({"code": "x" * (MIB + 1)}, "too_large"),
    ):
        ws.say("execute", code, **fields)
        answer = ws.receive()
        assert (answer["type"], answer["id"], answer["error"]["code"]) == ("rejected", code, code)


def test_a_feed_that_breaks_says_so(ws: Client) -> None:
    ws.say("execute", 1, code="die")
    ack, *_, last = ws.until("detached")
    assert last["execution_id"] == ack["execution_id"] and last["id"] == 1 and last["error"]["code"] == "internal"


def test_another_users_execution_does_not_exist(server: Any, ws: Client, opened: Callable[..., Client]) -> None:
    ws.say("execute", 1, code="hang")
    mine = ws.until("started")[0]["execution_id"]
    other = opened(key="kh_user")
    for op, more in (("attach", {}), ("interrupt", {}), ("cancel", {}), ("input", {"value": "x"})):
        other.say(op, op, execution_id=mine, **more)
        assert other.receive()["error"]["code"] == "not_found"
    for op in ("attach", "interrupt"):
        other.say(op, op, session="nope")
        assert other.receive()["error"]["code"] == "not_found"
    assert server.metric("kernelhub_test_interrupts") == 0


@pytest.mark.parametrize("op", ["cancel", "interrupt"])
def test_an_end_is_not_acknowledged_before_it_is_stored(start: Any, op: str) -> None:
    ends = []
    for options in ((), ("store=stuck",)):
        client = Client(start(*options).port)
        client.say("execute", 1, code="wait")
        run = client.receive()["execution_id"]
        client.say(op, 2, execution_id=run)
        ends.append(next(said for said in iter(client.receive, None) if said.get("id") == 2))
        client.close()
    assert ends[0]["type"] == "ack" and ends[0]["status"] == "cancelled"
    assert ends[1]["type"] == "rejected" and ends[1]["error"]["code"] == "unavailable"


def test_a_signal_over_the_socket_waits_for_no_disk(start: Any) -> None:
    client = Client(start("store=stuck").port)
    client.say("execute", 1, code="stay")
    run = client.until("started")[0]["execution_id"]
    client.say("interrupt", 2, execution_id=run)
    assert client.until("ack", 2)[-1]["status"] == "running"
    client.close()


def test_attach_after_a_number_detach_and_interrupt(ws: Client, opened: Callable[..., Client]) -> None:
    ws.say("execute", 1, code="stream 100000 10")
    run = ws.until("started")[0]["execution_id"]
    second = opened()
    second.say("attach", "a", execution_id=run, after=1)
    assert second.receive() == {"type": "ack", "id": "a", "execution_id": run, "status": "running"}
    assert second.receive()["seq"] == 2
    second.say("attach", "b", execution_id=run)
    rejected = second.until("rejected", "b")[-1]
    assert rejected["error"]["code"] == "conflict"
    second.say("execute", "c", code="stream 100000 10", execution_id=run)
    assert second.until("rejected", "c")[-1]["error"]["code"] == "conflict"
    second.say("detach", "d", execution_id=run)
    assert second.until("ack", "d")[-1]["execution_id"] == run
    second.say("ping", "quiet")
    assert second.receive()["type"] == "pong"
    second.say("detach", "e", execution_id=run)
    assert second.receive()["error"]["code"] == "not_found"
    ws.say("interrupt", "f", execution_id=run)
    rest = ws.until("finished")
    assert rest[-1]["status"] == "interrupted"
    second.say("attach", "g", execution_id=run, after=rest[-1]["seq"])
    assert second.receive()["type"] == "ack"
    assert second.receive() == {"type": "detached", "id": "g", "execution_id": run, "error": None}


def test_two_executes_with_one_id_at_once_are_one_and_a_conflict(ws: Client) -> None:
    run = str(uuid.uuid4())
    for id_ in (1, 2):
        ws.say("execute", id_, code="later hang", execution_id=run)
    seen = [ws.receive() for _ in range(4)]
    assert sorted(m["type"] for m in seen) == ["ack", "queued", "rejected", "started"]
    assert next(m for m in seen if m["type"] == "rejected")["error"]["code"] == "conflict"


# ---- limits


def test_a_user_has_so_many_sockets(start: Any) -> None:
    server = start("sockets=3")
    mine = [Client(server.port) for _ in range(3)]
    status, headers, body = shaken(server, request())
    assert (status, body["error"]["code"]) == (429, "quota_exceeded") and "max_sockets" in body["error"]["message"]
    assert headers["retry-after"]
    Client(server.port, key="kh_user").close()
    mine[0].close()
    server.until(lambda: server.metric("kernelhub_websockets") == 2)
    mine[0] = Client(server.port)
    for client in mine:
        client.close()


def test_a_socket_follows_so_many_executions(server: Any, ws: Client) -> None:
    for i in range(256):
        ws.say("execute", i, code="hang")
        ws.until("started")
    ws.say("execute", "one more", code="hang")
    assert ws.receive()["error"]["code"] == "quota_exceeded"
    run = server.ask("POST", "/api/v1/execute/async", {"code": "hang"}).json["execution_id"]
    ws.say("attach", "one more", execution_id=run)
    assert ws.receive()["error"]["code"] == "quota_exceeded"
    assert server.metric("kernelhub_test_followers") == 256


def test_so_many_ops_wait_for_their_answers(ws: Client) -> None:
    ws.raw(b"".join(frame(TEXT, b'{"op":"execute","id":%d,"code":"later hang"}' % i) for i in range(70)))
    answers = {}
    while len(answers) < 70:
        m = ws.receive()
        if m["type"] in ("ack", "rejected"):
            answers[m["id"]] = m
    refused = [m for m in answers.values() if m["type"] == "rejected"]
    assert len(refused) == 6 and {m["error"]["code"] for m in refused} == {"quota_exceeded"}


def test_many_handshakes_at_once_do_not_pass_the_limit(start: Any) -> None:
    server = start("sockets=3")
    crowd = [server.raw(request()[:-2]) for _ in range(20)]
    for s in crowd:
        s.sendall(b"\r\n")
    replies = [s.recv(65536).split(b" ")[1] for s in crowd]
    assert replies.count(b"101") == 3 and replies.count(b"429") == 17
    for s in crowd:
        s.close()


def test_who_was_removed_is_closed(start: Any) -> None:
    server = start("ping=1")
    client = Client(server.port, key="kh_user")
    assert server.ask("DELETE", "/api/v1/admin/users/anna").status == 204
    end = client.closed()
    assert (end.code, end.reason) == (1008, "the user was removed")
    client.close()


def test_whose_key_was_revoked_is_closed(start: Any) -> None:
    server = start("ping=1")
    others = Client(server.port)
    client = Client(server.port, key="kh_user")
    assert server.ask("DELETE", f"/api/v1/admin/keys/{KEY_2_ID}").status == 204
    end = client.closed()
    assert (end.code, end.reason) == (1008, "the key was revoked")
    others.say("ping", 1)
    assert others.receive()["type"] == "pong"
    client.close()
    others.close()


def test_a_revoked_key_is_not_heard_before_the_next_tick_either(server: Any, opened: Callable[..., Client]) -> None:
    client = opened(key="kh_user")
    assert server.ask("DELETE", f"/api/v1/admin/keys/{KEY_2_ID}").status == 204
    for id_ in range(3):
        client.say("execute", id_, code="hang")
    assert client.closed().code == 1008
    assert server.metric("kernelhub_test_runs") == 0


def test_small_messages_do_not_wait_for_each_other(ws: Client) -> None:
    begin = time.monotonic()
    for i in range(100):
        ws.say("ping", i)
        ws.say("ping", i)
        assert ws.receive()["id"] == ws.receive()["id"] == i
    assert time.monotonic() - begin < 2  # Nagle with delayed ACK would make it four seconds


# ---- clients that leave, read slowly, or say nothing


def left_alone(server: Any) -> bool:
    return server.metric("kernelhub_test_followers") == 0 and server.metric("kernelhub_test_waits") == 0


@pytest.mark.parametrize("how", ["abort", "close", "half", "bad frame"])
@pytest.mark.parametrize("later", ["", "later "])
@pytest.mark.parametrize("choice", ["interrupt", "continue"])
def test_who_leaves_interrupts_what_said_so(server: Any, opened: Callable[..., Client], how: str, later: str, choice: str) -> None:
    client = opened()
    client.say("execute", 1, code=later + "hang", on_disconnect=choice)
    client.say("execute", 2, code=later + "hang")
    if not later:
        client.until("started")
    if how == "abort":
        client.close()
    elif how == "close":
        client.frame(CLOSE, b"\x03\xe8")
    elif how == "half":
        client.socket.shutdown(socket.SHUT_WR)
    else:
        client.frame(BINARY, b"x")
    if how in ("close", "bad frame"):
        assert client.closed().code == (1000 if how == "close" else 1003)
        client.close()
    server.until(lambda: left_alone(server) and server.metric("kernelhub_websockets") == 0)
    if choice == "interrupt":
        server.until(lambda: server.metric("kernelhub_test_interrupts") == 1)
    time.sleep(0.1)
    assert server.metric("kernelhub_test_interrupts") == (1 if choice == "interrupt" else 0)


def test_who_detached_leaves_it_running(server: Any, opened: Callable[..., Client]) -> None:
    client = opened()
    client.say("execute", 1, code="hang", on_disconnect="interrupt")
    run = client.until("started")[0]["execution_id"]
    client.say("detach", 2, execution_id=run)
    client.until("ack", 2)
    client.close()
    server.until(lambda: server.metric("kernelhub_websockets") == 0)
    time.sleep(0.1)
    assert server.metric("kernelhub_test_interrupts") == 0


def test_a_slow_reader_costs_bounded_memory_and_loses_nothing(server: Any, opened: Callable[..., Client]) -> None:
    run = server.execute("print 160 250000").json["execution_id"]  # 40 MB, held by the fake hub
    before = server.resident_bytes()
    clients = [opened(receive_bytes=4096) for _ in range(10)]
    for client in clients:
        client.say("attach", 1, execution_id=run)
    time.sleep(1.5)
    assert server.resident_bytes() - before < 10 * 3 * MIB
    busy = server.cpu_seconds()
    time.sleep(1)
    assert server.cpu_seconds() - busy < 0.1
    ack, *events = clients[0].until("finished")
    assert [e["seq"] for e in events] == list(range(1, 164))


def test_who_asks_and_never_reads_is_not_heard_and_costs_little(server: Any, opened: Callable[..., Client]) -> None:
    before = server.resident_bytes()
    client = opened(receive_bytes=4096)
    client.socket.settimeout(2)
    flood = b"".join(frame(PING, b"x" * 100) + frame(TEXT, b'{"op":"shout","id":1}') for _ in range(500))
    with pytest.raises(TimeoutError):
        for _ in range(2000):
            client.raw(flood)
    assert server.resident_bytes() - before < 8 * MIB
    busy = server.cpu_seconds()
    time.sleep(1)
    assert server.cpu_seconds() - busy < 0.1
    assert server.ask("GET", "/health").status == 200


def test_a_flood_does_not_hold_up_another_execution(server: Any, ws: Client) -> None:
    flood = server.execute("print 20000 1000").json["execution_id"]
    small = server.execute("print 50 10").json["execution_id"]
    ops = [json.dumps({"op": "attach", "id": run, "execution_id": run}).encode() for run in (flood, small)]
    ws.raw(b"".join(frame(TEXT, op) for op in ops))
    before = 0
    for m in iter(ws.receive, None):
        if m.get("execution_id") == small and m["type"] == "finished":
            break
        before += m.get("execution_id") == flood
    assert before <= 60
    assert [m["seq"] for m in ws.until("finished")][-1] == 20003


def test_a_dead_peer_is_noticed_and_a_slow_one_is_not_cut(start: Any) -> None:
    server = start("ping=1")
    big = server.execute("print 100 250000").json["execution_id"]
    dead, slow, live = Client(server.port), Client(server.port, receive_bytes=4096), Client(server.port)
    slow.say("attach", 1, execution_id=big)
    for client in (dead, live):
        client.say("execute", 1, code="pass")
        client.until("finished")
        while not client.pings:  # its pong says that it has read everything
            client.socket.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                client.receive()
    live.socket.settimeout(0.2)
    begin = time.monotonic()
    while time.monotonic() - begin < 20 and server.metric("kernelhub_websockets") == 3:
        with contextlib.suppress(TimeoutError):
            live.receive()
    assert 3 <= time.monotonic() - begin < 20
    assert server.metric("kernelhub_websockets") == 2
    dead.answers_pings = False
    assert dead.closed().code == 1006
    live.socket.settimeout(30)
    live.say("ping", "live")
    assert live.until("pong")[-1]["id"] == "live" and len(live.pings) >= 2
    assert slow.until("finished")[-1]["seq"] == 103
    for client in (dead, slow, live):
        client.close()


def test_idle_sockets_use_no_cpu(server: Any, opened: Callable[..., Client]) -> None:
    clients = [opened() for _ in range(15)]
    for client in clients:
        client.say("execute", 1, code="hang")
        client.until("started")
    time.sleep(0.3)
    before = server.cpu_seconds()
    time.sleep(3)
    assert server.cpu_seconds() - before < 0.05


def test_draining_closes_with_1012_and_interrupts_nothing(server: Any, opened: Callable[..., Client]) -> None:
    clients = [opened() for _ in range(3)]
    for client in clients:
        client.say("execute", 1, code="hang", on_disconnect="interrupt")
        client.until("started")
    late = server.raw(request()[:-2])
    time.sleep(0.1)
    server.drain()
    for client in clients:
        end = client.closed()
        assert (end.code, end.reason) == (1012, "the service restarts")
    late.sendall(b"\r\n")
    assert b" 503 " in late.recv(4096)
    late.close()
    assert server.process.wait(20) == 0


def test_it_ends_with_sockets_open(server: Any) -> None:
    clients = [Client(server.port) for _ in range(4)]
    clients[0].say("execute", 1, code="hang", on_disconnect="interrupt")
    clients[1].say("execute", 1, code="later hang", on_disconnect="interrupt")
    clients[2].raw(b"\x81\xff")
    clients[3].say("execute", 1, code="print 200 100000")
    time.sleep(0.05)
    assert server.stop() == 0
    for client in clients:
        assert client.closed().code in (1006, 1012)
        client.close()


def test_the_keys_in_its_address_are_not_logged(server: Any) -> None:
    Client(server.port, key=None, path=PATH + "?token=kh_admin").close()
    Client(server.port, key=None, path="/t/kh_user" + PATH).close()
    # the fixture looks for both keys in the log
