"""WS /api/v1/stream with other people's client (websockets) and real kernels."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from conftest import Service, kill, run, wait_until

ENDED = {"ok", "error", "interrupted", "timeout", "oom", "kernel_died", "cancelled", "lost"}


def open_stream(service: Service, **options: Any) -> ClientConnection:
    return connect(
        f"ws://127.0.0.1:{service.port}/api/v1/stream",
        additional_headers={"Authorization": f"Bearer {service.key}"},
        max_size=None,
        open_timeout=20,
        proxy=None,
        **options,
    )


@pytest.fixture
def stream(service: Service) -> Iterator[ClientConnection]:
    with open_stream(service) as ws:
        yield ws


def say(ws: ClientConnection, op: str, id_: Any, **fields: Any) -> None:
    ws.send(json.dumps({"op": op, "id": id_, **fields}))


def hear(ws: ClientConnection, timeout: float = 60) -> dict[str, Any]:
    return json.loads(ws.recv(timeout))


def until(ws: ClientConnection, type_: str, **fields: Any) -> list[dict[str, Any]]:
    """Messages up to and with the first of that type and with those fields."""
    seen = []
    while True:
        seen.append(hear(ws))
        if seen[-1]["type"] == type_ and all(seen[-1].get(k) == v for k, v in fields.items()):
            return seen


def ask(ws: ClientConnection, op: str, id_: Any, **fields: Any) -> dict[str, Any]:
    """Says it and returns the answer; event records before it are an error here."""
    say(ws, op, id_, **fields)
    answer = hear(ws)
    assert answer["type"] in ("ack", "rejected", "pong") and answer["id"] == id_, answer
    return answer


def status(http: httpx.Client, execution: str) -> str:
    return str(http.get(f"/api/v1/executions/{execution}").json()["status"])


def text_of(events: list[dict[str, Any]]) -> str:
    return "".join(e["text"] for e in events if e["type"] == "stdout")


def test_a_cell_is_acknowledged_then_its_events_come_as_everywhere(stream: ClientConnection, http: httpx.Client) -> None:
    ack = ask(stream, "execute", "first", code="print(6*7)\n'x'")
    assert ack["type"] == "ack" and ack["attached"] is False and ack["session"] == "python"
    events = until(stream, "finished")
    assert [e["type"] for e in events] == ["started", "stdout", "result", "finished"]
    assert [e["seq"] for e in events] == [1, 2, 3, 4]
    assert events[0]["client"] == "ws" and {e["execution_id"] for e in events} == {ack["execution_id"]}
    stored = http.get(f"/api/v1/executions/{ack['execution_id']}/events").json()["items"]
    assert stored == events
    assert ask(stream, "ping", 2) == {"type": "pong", "id": 2}


def test_two_executions_run_at_once_and_one_waits_for_another(stream: ClientConnection) -> None:
    say(stream, "execute", 1, code="import time; print('a'); time.sleep(1); print('b')")
    say(stream, "execute", 2, code="echo one", language="bash")
    say(stream, "execute", 3, code="print('c')")
    acks, ended, texts = {}, [], {}
    while len(ended) < 3:
        m = hear(stream)
        if m["type"] == "ack":
            acks[m["execution_id"]] = m["id"]
        else:
            assert m["execution_id"] in acks, "an event before its ack"
            who = acks[m["execution_id"]]
            texts[who] = texts.get(who, "") + (m["text"] if m["type"] == "stdout" else "")
            if m["type"] == "finished":
                assert m["status"] == "ok"
                ended.append(who)
    assert texts == {1: "a\nb\n", 2: "one\n", 3: "c\n"}
    assert ended.index(1) < ended.index(3)


def test_the_token_may_be_in_the_address_and_a_bad_one_fails_before_the_101(service: Service) -> None:
    url = f"ws://127.0.0.1:{service.port}/api/v1/stream"
    with connect(f"{url}?token={service.key}", proxy=None) as ws:
        assert ask(ws, "ping", 1)["type"] == "pong"
    with pytest.raises(InvalidStatus) as refused:
        connect(f"{url}?token=kh_wrong", proxy=None)
    assert refused.value.response.status_code == 401
    assert json.loads(refused.value.response.body)["error"]["code"] == "unauthorized"
    with pytest.raises(InvalidStatus) as refused:
        open_stream(service, origin="https://evil.example")
    assert refused.value.response.status_code == 403
    with open_stream(service, origin=f"http://127.0.0.1:{service.port}") as ws:
        assert ask(ws, "ping", 1)["type"] == "pong"


def test_input_is_asked_for_and_answered(stream: ClientConnection) -> None:
    ack = ask(stream, "execute", 1, code="name = input('who? '); print('hello', name)")
    request = until(stream, "input_request")[-1]
    assert request["prompt"] == "who? " and request["password"] is False
    say(stream, "input", 2, execution_id=ack["execution_id"], value="Ann")
    events = until(stream, "finished")
    assert "hello Ann\n" in text_of(events)
    assert [m["id"] for m in events if m["type"] == "ack"] == [2]
    assert ask(stream, "input", 3, execution_id=ack["execution_id"], value="late")["error"]["code"] == "conflict"


def test_interrupt_by_execution_and_by_session_and_cancel(stream: ClientConnection) -> None:
    for target in ("execution_id", "session"):
        ack = ask(stream, "execute", 1, code="import time; print('up'); time.sleep(60)", session="ws-stops")
        until(stream, "stdout")
        say(stream, "execute", 2, code="print('never')", session="ws-stops")
        second = until(stream, "ack", id=2)[-1]
        assert second["status"] == "queued" and second["position"] == 1
        say(stream, "cancel", 3, execution_id=second["execution_id"])
        said: dict[str, dict[str, Any]] = {}
        while not {"ack", "finished"} <= said.keys():  # of one commit, in either order
            message = hear(stream)
            said[message["type"]] = message
        assert said["ack"]["id"] == 3 and said["ack"]["status"] == said["finished"]["status"] == "cancelled"
        assert ask(stream, "cancel", 4, execution_id=ack["execution_id"])["error"]["code"] == "conflict"
        say(stream, "interrupt", 5, **{target: ack[target]})
        assert until(stream, "finished")[-1]["status"] == "interrupted"


def test_what_cannot_run_is_rejected_and_the_socket_lives_on(stream: ClientConnection) -> None:
    for fields, code in (
        ({"code": "1", "language": "klingon"}, "invalid_request"),
        ({"code": "1", "bogus": 1}, "invalid_request"),
        ({"code": "1", "sandbox": "nope"}, "not_found"),
        ({"language": "python"}, "invalid_request"),
    ):
        answer = ask(stream, "execute", code, **fields)
        assert answer["type"] == "rejected" and answer["error"]["code"] == code and answer["error"]["message"]
    assert ask(stream, "ping", 1)["type"] == "pong"


def test_the_same_id_attaches_and_with_other_code_is_a_conflict(service: Service, stream: ClientConnection) -> None:
    chosen = str(uuid.uuid4())
    code = "import time; print('a'); time.sleep(1); print('b')"
    assert ask(stream, "execute", 1, code=code, execution_id=chosen)["attached"] is False
    with open_stream(service) as other:
        assert ask(other, "execute", 2, code=code, execution_id=chosen)["attached"] is True
        events = until(other, "finished")
        assert events == until(stream, "finished") and text_of(events) == "a\nb\n"
        assert ask(other, "execute", 3, code="other", execution_id=chosen)["error"]["code"] == "conflict"
        # ended long ago: once more from the store
        assert ask(other, "execute", 4, code=code, execution_id=chosen)["attached"] is True
        assert until(other, "finished") == events


def test_attach_goes_on_after_a_number_and_twice_is_a_conflict(stream: ClientConnection, http: httpx.Client) -> None:
    execution = http.post("/api/v1/execute/async", json={"code": "import time\nfor i in range(5):\n print(i, flush=True)\n time.sleep(0.3)"}).json()["execution_id"]
    wait_until(lambda: len(http.get(f"/api/v1/executions/{execution}/events").json()["items"]) >= 3)
    assert ask(stream, "attach", 1, execution_id=execution, after=2)["execution_id"] == execution
    say(stream, "attach", 2, execution_id=execution)
    seen = until(stream, "finished")
    (conflict,) = [m for m in seen if m["type"] == "rejected"]
    assert conflict["id"] == 2 and conflict["error"]["code"] == "conflict"
    events = [m for m in seen if "seq" in m]
    assert [e["seq"] for e in events] == list(range(3, events[-1]["seq"] + 1))
    last = events[-1]["seq"]
    assert ask(stream, "attach", 3, execution_id=execution, after=last)["type"] == "ack"
    assert hear(stream) == {"type": "detached", "id": 3, "execution_id": execution, "error": None}
    assert ask(stream, "attach", 4, execution_id=str(uuid.uuid4()))["error"]["code"] == "not_found"
    assert ask(stream, "detach", 5, execution_id=execution)["error"]["code"] == "not_found"


def test_detach_stops_the_events_and_not_the_cell(stream: ClientConnection, http: httpx.Client) -> None:
    ack = ask(stream, "execute", 1, code="import time\nfor i in range(20):\n print(i, flush=True)\n time.sleep(0.1)")
    until(stream, "stdout")
    say(stream, "detach", 2, execution_id=ack["execution_id"])
    until(stream, "ack", id=2)
    with pytest.raises(TimeoutError):
        stream.recv(1)
    wait_until(lambda: status(http, ack["execution_id"]) == "ok", 30)
    assert ask(stream, "attach", 3, execution_id=ack["execution_id"])["status"] == "ok"
    assert text_of(until(stream, "finished")) == "".join(f"{i}\n" for i in range(20))


def test_a_sessions_own_feed_is_followed(stream: ClientConnection, http: httpx.Client) -> None:
    run(http, "1", session="ws-feed")
    assert ask(stream, "attach", 1, session="ws-feed") == {"type": "ack", "id": 1, "session": "ws-feed"}
    assert hear(stream)["type"] == "kernel_status"
    assert http.post("/api/v1/sessions/ws-feed/restart").status_code == 200
    until(stream, "restarted")
    say(stream, "attach", 2, session="ws-none")
    assert until(stream, "rejected", id=2)[-1]["error"]["code"] == "not_found"
    assert http.delete("/api/v1/sessions/ws-feed").status_code == 204
    assert until(stream, "detached")[-1]["session"] == "ws-feed"


def test_a_flood_of_one_execution_does_not_hold_up_another(stream: ClientConnection) -> None:
    say(stream, "execute", "flood", code="for i in range(60000): print('x' * 80)", session="ws-flood")
    flood = until(stream, "started")[0]["execution_id"]
    begin = time.monotonic()
    say(stream, "execute", "small", code="echo small", language="bash")
    small, flood_before = None, 0
    while True:
        m = hear(stream)
        if m["type"] == "ack":
            small = m["execution_id"]
        elif m["type"] == "finished" and m["execution_id"] == small:
            break
        elif m["type"] == "finished":
            flood_before += 1
    assert time.monotonic() - begin < 20
    if not flood_before:
        assert until(stream, "finished", execution_id=flood)[-1]["status"] == "ok"


def test_a_client_that_reads_late_gets_everything_from_the_store(service: Service) -> None:
    n = 30000
    with open_stream(service, max_queue=4) as ws:
        ack = ask(ws, "execute", 1, code=f"for i in range({n}): print(i, 'y' * 90)", session="ws-late")
        with service.client() as http:
            wait_until(lambda: status(http, ack["execution_id"]) == "ok", 60)
        time.sleep(1)
        events = until(ws, "finished")
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert text_of(events) == "".join(f"{i} {'y' * 90}\n" for i in range(n))


def test_a_large_output_comes_whole(stream: ClientConnection) -> None:
    ask(stream, "execute", 1, code="import sys; sys.stdout.write('z' * 3_000_000); sys.stdout.flush()")
    assert len(text_of(until(stream, "finished"))) == 3_000_000


@pytest.mark.parametrize("how", ["close", "abort", "protocol error"])
def test_who_leaves_interrupts_only_what_said_so(service: Service, http: httpx.Client, how: str) -> None:
    code = "import time; print('up', flush=True); time.sleep({})"
    with open_stream(service) as ws:
        stays = ask(ws, "execute", 1, code=code.format(3), session="ws-stays")["execution_id"]
        until(ws, "stdout", execution_id=stays)
        goes = ask(ws, "execute", 2, code=code.format(30), session="ws-goes", on_disconnect="interrupt")["execution_id"]
        until(ws, "stdout", execution_id=goes)
        waits = ask(ws, "execute", 3, code="print('never')", session="ws-goes", on_disconnect="interrupt")["execution_id"]
        until(ws, "queued", execution_id=waits)
        if how == "close":
            ws.close()
        elif how == "abort":
            ws.socket.shutdown(socket.SHUT_RDWR)
        else:
            ws.send(b"binary")
            with pytest.raises(ConnectionClosed) as closed:
                until(ws, "never")
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1003
    wait_until(lambda: status(http, goes) == "interrupted", 20)
    wait_until(lambda: status(http, waits) == "cancelled", 20)
    wait_until(lambda: status(http, stays) in ENDED, 20)
    assert status(http, stays) == "ok"


def test_interrupting_what_was_accepted_as_its_socket_went(service: Service, http: httpx.Client) -> None:
    chosen = [str(uuid.uuid4()) for _ in range(8)]
    for one in chosen:
        with open_stream(service) as ws:
            say(ws, "execute", 1, code="import time; time.sleep(30)", session="ws-breath", on_disconnect="interrupt", execution_id=one)
            ws.socket.shutdown(socket.SHUT_RDWR)
    wait_until(lambda: all(http.get(f"/api/v1/executions/{one}").status_code == 200 for one in chosen))
    wait_until(lambda: all(status(http, one) in ("interrupted", "cancelled") for one in chosen), 20)


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream", "application/x-ndjson"])
@pytest.mark.parametrize("choice", ["interrupt", "continue"])
def test_who_leaves_a_request_interrupts_only_if_it_said_so(service: Service, http: httpx.Client, accept: str, choice: str) -> None:
    one = str(uuid.uuid4())
    body = {"code": "import time; time.sleep(3)", "execution_id": one, "on_disconnect": choice, "session": "ws-rest"}

    def leave() -> None:
        with service.client(timeout=1.0) as hasty, pytest.raises(httpx.TimeoutException):
            with hasty.stream("POST", "/api/v1/execute", json=body, headers={"Accept": accept}) as reply:
                reply.read()

    run(http, "1", session="ws-rest")
    leave()
    wait_until(lambda: status(http, one) in ENDED, 10)
    assert status(http, one) == ("interrupted" if choice == "interrupt" else "ok")


def attach_again(service: Service, old: int, execution: str, after: int) -> list[dict[str, Any]]:
    def back() -> bool:
        try:
            return service.pid_of("hub") != old and httpx.get(f"{service.url}/health/live", timeout=1).status_code == 200
        except (httpx.TransportError, OSError, ValueError, IndexError):
            return False

    wait_until(back, 10)
    with open_stream(service) as ws:
        assert ask(ws, "attach", "again", execution_id=execution, after=after)["type"] == "ack"
        return until(ws, "finished")


def test_a_restart_of_the_hub_closes_with_1012_and_interrupts_nothing(make_service: Any) -> None:
    service: Service = make_service()
    with service.client() as http:
        run(http, "1")
    code = "import time\nfor i in range(30):\n print(i, flush=True)\n time.sleep(0.1)"
    with open_stream(service) as ws:
        ack = ask(ws, "execute", 1, code=code, on_disconnect="interrupt")
        events = until(ws, "stdout")
        old = service.pid_of("hub")
        stop = [service.binary, "stop", "--hub", *service.arguments()]
        subprocess.run(stop, env=service.env, check=True, capture_output=True, timeout=60)
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                events.append(hear(ws))
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
    events += attach_again(service, old, ack["execution_id"], events[-1]["seq"])
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert text_of(events) == "".join(f"{i}\n" for i in range(30)) and events[-1]["status"] == "ok"


def test_kill_9_of_the_hub_in_mid_cell_leaves_no_hole_and_no_double(make_service: Any) -> None:
    service: Service = make_service()
    with service.client() as http:
        run(http, "1")
    n = 400
    code = f"import time\nfor i in range({n}):\n print('line', i, flush=True)\n time.sleep(0.005)"
    with open_stream(service) as ws:
        ack = ask(ws, "execute", 1, code=code)
        events = until(ws, "stdout")
        old = service.pid_of("hub")
        killer = threading.Timer(0.5, kill, [old])
        killer.start()
        with pytest.raises((ConnectionClosed, OSError)):
            while True:
                events.append(hear(ws))
        killer.join()
    assert 5 < len(events) < n
    events += attach_again(service, old, ack["execution_id"], events[-1]["seq"])
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert text_of(events) == "".join(f"line {i}\n" for i in range(n))


def test_sockets_are_counted(service: Service, http: httpx.Client) -> None:
    def metric(name: str) -> float:
        for line in http.get("/metrics").text.splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        raise AssertionError(name)

    wait_until(lambda: metric("kernelhub_websockets") == 0)
    came = metric('kernelhub_websocket_messages_total{direction="in"}')
    with open_stream(service) as ws:
        ask(ws, "ping", 1)
        assert metric("kernelhub_websockets") == 1
        assert metric('kernelhub_websocket_messages_total{direction="in"}') == came + 1
    wait_until(lambda: metric("kernelhub_websockets") == 0)
