"""Clients that leave, read slowly, say nothing, or come in crowds."""

from __future__ import annotations

import time

import pytest

API = "/api/v1"
SSE = "text/event-stream"
MIB = 1 << 20


def left_alone(server) -> bool:
    return server.metric("kernelhub_test_followers") == 0 and server.metric("kernelhub_test_waits") == 0


@pytest.mark.parametrize("accept", ["application/json", SSE, "application/x-ndjson"])
@pytest.mark.parametrize("code", ["hang", "later hang"])
def test_who_leaves_is_noticed_and_the_cell_runs_on(server, accept, code):
    s = server.raw_execute({"code": code}, accept)
    if accept == SSE:
        assert b"200 OK" in s.recv(4096)
    else:
        server.until(lambda: not left_alone(server))
        time.sleep(0.2)
    s.close()
    server.until(lambda: left_alone(server), 10)
    assert server.metric("kernelhub_test_interrupts") == 0


@pytest.mark.parametrize("accept", ["application/json", SSE])
@pytest.mark.parametrize("code", ["hang", "later hang"])
@pytest.mark.parametrize("pause", [0, 0.3])
def test_who_leaves_interrupts_when_asked_to(server, accept, code, pause):
    s = server.raw_execute({"code": code, "on_disconnect": "interrupt"}, accept)
    server.until(lambda: not left_alone(server))
    time.sleep(pause)
    s.close()
    server.until(lambda: server.metric("kernelhub_test_interrupts") == 1, 10)
    server.until(lambda: left_alone(server), 10)


@pytest.mark.parametrize("accept", ["application/json", SSE])
def test_who_asks_and_leaves_in_one_breath_is_noticed_too(server, accept):
    for code in ("hang", "later hang"):
        for _ in range(25):
            server.raw_execute({"code": code, "on_disconnect": "interrupt"}, accept).close()
    server.until(lambda: server.metric("kernelhub_test_interrupts") == 50, 10)
    server.until(lambda: left_alone(server), 10)


def test_an_end_is_no_leaving(server):
    for accept in ("application/json", SSE):
        body = {"code": "sleep 10", "on_disconnect": "interrupt"}
        assert server.ask("POST", API + "/execute", body, Accept=accept).status == 200
    assert server.metric("kernelhub_test_interrupts") == 0


def test_who_leaves_in_the_middle_of_a_body_costs_nothing(server):
    for _ in range(20):
        s = server.raw(b"POST /api/v1/execute HTTP/1.1\r\nHost: localhost\r\nX-API-Key: kh_admin\r\nContent-Length: 1000000\r\n\r\n{")
        s.close()
    assert server.execute("pass").status == 200


def test_who_leaves_in_the_middle_of_a_stream_costs_nothing(server):
    for _ in range(20):
        s = server.raw_execute({"code": "print 200 100000"}, SSE)
        s.recv(1000)
        s.close()
    server.until(lambda: left_alone(server))


def test_a_slow_reader_costs_bounded_memory(server):
    run = server.execute("print 400 250000").json["execution_id"]  # 100 MB, held by the fake hub
    before = server.resident_bytes()
    readers = []
    for _ in range(20):
        readers.append(
            server.raw(f"GET {API}/executions/{run}/events HTTP/1.1\r\nHost: localhost\r\nX-API-Key: kh_admin\r\nAccept: {SSE}\r\n\r\n".encode())
        )
    time.sleep(1.5)
    assert server.resident_bytes() - before < 20 * 2 * MIB
    busy = server.cpu_seconds()
    time.sleep(1)
    assert server.cpu_seconds() - busy < 0.1
    got = 0
    while piece := readers[0].recv(1 << 20):
        got += len(piece)
        if piece.endswith(b"0\r\n\r\n"):
            break
    assert got > 100_000_000
    for s in readers:
        s.close()


def test_an_idle_server_uses_no_cpu(server):
    streams = [server.raw_execute({"code": "hang"}, SSE) for _ in range(10)]
    waits = [server.raw_execute({"code": "hang"}) for _ in range(10)]
    kept = [server.connection() for _ in range(10)]
    for connection in kept:
        server.ask("GET", "/health", connection=connection)
    for s in streams:
        assert b"200 OK" in s.recv(4096)
    time.sleep(0.5)
    before = server.cpu_seconds()
    time.sleep(4)
    assert server.cpu_seconds() - before < 0.05
    for s in streams + waits:
        s.close()


def test_a_quiet_stream_is_pinged(server):
    sse = server.raw_execute({"code": "hang"}, SSE)
    ndjson = server.raw_execute({"code": "hang"}, "application/x-ndjson")
    for s, ping in ((sse, b": ping\n\n"), (ndjson, b'{"v":1,"type":"ping"}\n')):
        s.settimeout(40)
        got = b""
        while ping not in got:
            piece = s.recv(4096)
            assert piece
            got += piece
        s.close()


def test_more_connections_than_allowed_wait_their_turn(start):
    server = start("connections=8")
    crowd = [server.raw() for _ in range(8)]
    time.sleep(0.3)
    late = server.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    time.sleep(0.5)
    busy = server.cpu_seconds()
    time.sleep(1)
    assert server.cpu_seconds() - busy < 0.1
    for s in crowd:
        s.close()
    assert b"200 OK" in late.recv(4096)
    late.close()


def test_draining_ends_streams_and_answers_who_waits(server):
    stream = server.raw_execute({"code": "hang", "on_disconnect": "interrupt"}, SSE)
    assert b"200 OK" in stream.recv(4096)
    wait = server.raw_execute({"code": "hang", "on_disconnect": "interrupt"})
    later = server.raw_execute({"code": "later hang"})
    quiet = server.raw(f"GET {API}/executions HTTP/1.1\r\nHost: localhost\r\n".encode())
    time.sleep(0.01)
    server.until(lambda: server.metric("kernelhub_test_waits") >= 1)
    server.drain()
    got = b""
    while piece := stream.recv(4096):
        got += piece
        if got.endswith(b"0\r\n\r\n"):
            break
    assert got.endswith(b"0\r\n\r\n")
    for s in (wait, later):
        reply = s.recv(4096)
        assert b" 503 " in reply and b"unavailable" in reply and b"Retry-After: 1" in reply
    with pytest.raises(OSError):
        server.raw()
    quiet.sendall(b"X-API-Key: kh_admin\r\n\r\n")
    reply = quiet.recv(4096)
    assert b" 503 " in reply and b"Connection: close" in reply
    assert server.process.wait(20) == 0
    quiet.close()


def test_it_ends_with_everything_open(server):
    for accept in (SSE, "application/json"):
        server.raw_execute({"code": "hang"}, accept)
    server.raw(b"GET /heal")
    server.raw_execute({"code": "later hang", "on_disconnect": "interrupt"}).close()
    time.sleep(0.05)
