"""Runs and their events."""

from __future__ import annotations

import json
import time
import uuid

import pytest

API = "/api/v1"
SSE = "text/event-stream"
NDJSON = "application/x-ndjson"


def sse(body: bytes) -> list[tuple[int, dict]]:
    events = []
    for block in body.decode().split("\n\n"):
        if block and not block.startswith(":"):
            id_line, data = block.split("\n")
            events.append((int(id_line.removeprefix("id: ")), json.loads(data.removeprefix("data: "))))
    return events


@pytest.mark.parametrize("later", ["", "later "])
@pytest.mark.parametrize("code", ["pass", "sleep 50"])
def test_a_run_is_answered_at_its_end(server, later, code):
    reply = server.execute(later + code)
    assert reply.status == 200
    assert reply.json["status"] == "ok"


@pytest.mark.parametrize("later", ["", "later "])
@pytest.mark.parametrize("code", ["pass", "print 500 1000", "stream 5 20", "big 3000000"])
def test_sse_has_every_event_once(server, later, code):
    reply = server.ask("POST", API + "/execute", {"code": later + code}, Accept=SSE)
    assert reply.headers["Content-Type"] == SSE
    events = sse(reply.body)
    assert [n for n, _ in events] == list(range(1, len(events) + 1))
    assert all(n == event["seq"] for n, event in events)
    assert events[-1][1]["type"] == "finished"


def test_ndjson_has_every_event_once(server):
    reply = server.ask("POST", API + "/execute", {"code": "print 300 5000"}, Accept=NDJSON)
    assert reply.headers["Content-Type"] == NDJSON
    events = [json.loads(line) for line in reply.body.decode().splitlines()]
    assert [event["seq"] for event in events] == list(range(1, 304))


@pytest.mark.parametrize("accept", ["application/json", SSE, NDJSON])
@pytest.mark.parametrize("later", ["", "later "])
def test_what_fails_before_the_run_is_a_json_error(server, accept, later):
    for body, status, code in (
        ({"code": later + "nosandbox"}, 502, "sandbox_failed"),
        ({"code": "boom"}, 409, "busy"),
        ({"code": "pass", "language": "klingon"}, 400, "invalid_request"),
        ({"code": "pass", "sandbox": "x"}, 404, "not_found"),
    ):
        reply = server.ask("POST", API + "/execute", body, Accept=accept)
        assert (reply.status, reply.error["code"]) == (status, code)
        assert reply.headers["Content-Type"] == "application/json"
        assert reply.error["hint"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("text/html", "application/json"),
        ("application/json, text/event-stream", "application/json"),
        ("application/json;q=0.5, text/event-stream", SSE),
        ("Text/Event-Stream; charset=utf-8", SSE),
        ("application/x-ndjson;q=0, application/json", "application/json"),
        ("application/x-ndjson , */*;q=0.1", NDJSON),
    ],
)
def test_accept_chooses_the_form(server, accept, kind):
    assert server.ask("POST", API + "/execute", {"code": "pass"}, Accept=accept).headers["Content-Type"] == kind


def test_async_says_which_execution(server):
    reply = server.ask("POST", API + "/execute/async", {"code": "hang"})
    assert reply.status == 202
    assert set(reply.json) == {"execution_id", "job_id", "status", "position"}
    run = reply.json["job_id"]
    assert server.ask("GET", f"{API}/jobs/{run}").json["status"] == "running"
    assert server.ask("POST", f"{API}/executions/{run}/cancel").status == 409
    assert server.ask("POST", f"{API}/executions/{run}/interrupt").json["status"] == "interrupted"
    assert server.ask("GET", f"{API}/executions/{run}").json["status"] == "interrupted"


def test_what_waits_is_cancelled_by_both(server):
    for verb in ("cancel", "interrupt"):
        run = server.ask("POST", API + "/execute/async", {"code": "wait"}).json["execution_id"]
        assert server.ask("POST", f"{API}/executions/{run}/{verb}").json == {"execution_id": run, "status": "cancelled"}


@pytest.mark.parametrize("verb", ["cancel", "interrupt"])
def test_an_end_is_not_said_before_it_is_stored(start, verb):
    server = start("store=stuck")
    run = server.ask("POST", API + "/execute/async", {"code": "wait"}).json["execution_id"]
    reply = server.ask("POST", f"{API}/executions/{run}/{verb}")
    assert (reply.status, reply.error["code"]) == (503, "unavailable")


def test_a_signal_waits_for_no_disk(start):
    server = start("store=stuck")
    run = server.ask("POST", API + "/execute/async", {"code": "stay"}).json["execution_id"]
    assert server.ask("POST", f"{API}/executions/{run}/interrupt").json == {"execution_id": run, "status": "running"}


def test_an_answer_to_input_that_was_sent_is_never_a_503(start):
    """Who gets that may repeat it, and would answer the next question."""
    server = start("store=stuck")
    run = server.ask("POST", API + "/execute/async", {"code": "ask me"}).json["execution_id"]
    assert server.ask("POST", f"{API}/executions/{run}/input", {"value": "x"}).status == 200
    assert server.ask("POST", f"{API}/executions/{run}/input", {"value": "x"}).status == 409


def test_another_users_execution_does_not_exist(server):
    run = server.execute("pass").json["execution_id"]
    for path in (run, str(uuid.uuid4()), "abc", f"{run}/events", f"{run}/blobs/0"):
        assert server.ask("GET", f"{API}/executions/{path}", key="kh_user").error["code"] == "not_found"


def test_the_same_id_with_other_code_is_a_conflict(server):
    run = str(uuid.uuid4())
    assert server.execute("pass", execution_id=run).status == 200
    assert server.execute("sleep 1", execution_id=run).error["code"] == "conflict"


def test_events_come_page_by_page(server):
    run = server.execute("print 2500 10").json["execution_id"]
    seen, after = [], "0"
    while after is not None:
        page = server.ask("GET", f"{API}/executions/{run}/events?after={after}").json
        assert len(page["items"]) <= 1000
        seen += [event["seq"] for event in page["items"]]
        after = page["next"]
    assert seen == list(range(1, 2504))
    page = server.ask("GET", f"{API}/executions/{run}/events?limit=2&after=5").json
    assert [event["seq"] for event in page["items"]] == [6, 7] and page["next"] == "7"


def test_a_page_of_a_running_execution_does_not_wait(server):
    run = server.ask("POST", API + "/execute/async", {"code": "hang"}).json["execution_id"]
    page = server.ask("GET", f"{API}/executions/{run}/events").json
    assert [event["type"] for event in page["items"]] == ["queued", "started"] and page["next"] is None
    assert server.ask("GET", f"{API}/executions/{run}/events", Accept=NDJSON).body.count(b"\n") == 2
    assert len(sse(server.ask("GET", f"{API}/executions/{run}/events?follow=0", Accept=SSE).body)) == 2
    server.ask("POST", f"{API}/executions/{run}/interrupt")


def test_a_reader_goes_on_where_it_was(server):
    run = server.execute("print 10 10").json["execution_id"]
    path = f"{API}/executions/{run}/events"
    assert [n for n, _ in sse(server.ask("GET", path + "?after=2", Accept=SSE, Last_Event_ID="9").body)] == [10, 11, 12, 13]
    assert [n for n, _ in sse(server.ask("GET", path + "?after=11", Accept=SSE).body)] == [12, 13]
    ended = server.ask("GET", path, Accept=SSE, Last_Event_ID="13")
    assert (ended.status, ended.body) == (204, b"")
    assert server.ask("GET", path, Accept=SSE, Last_Event_ID="x").status == 400
    assert server.ask("GET", path + "?after=-1").status == 400
    assert server.ask("GET", path + "?follow=1&after=11").body.count(b"\n") == 2


def test_live_events_are_followed(server):
    run = server.ask("POST", API + "/execute/async", {"code": "stream 5 30"}).json["execution_id"]
    assert len(sse(server.ask("GET", f"{API}/executions/{run}/events", Accept=SSE).body)) == 8


def test_a_feed_that_fails_in_the_middle_cuts_the_stream(server):
    s = server.raw_execute({"code": "die"}, SSE)
    body = b""
    while piece := s.recv(65536):
        body += piece
    assert b'"started"' in body and not body.endswith(b"0\r\n\r\n")


def test_an_unknown_session_is_404(server):
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/restart"), ("POST", "/interrupt"), ("GET", "/events")):
        assert server.ask(method, f"{API}/sessions/nope{path}").error["code"] == "not_found"


def test_sessions(server):
    assert server.ask("POST", API + "/sessions", {"name": "a/b.ipynb", "language": "r"}).status == 201
    assert server.ask("POST", API + "/sessions", {"name": "a/b.ipynb"}).status == 200
    assert server.ask("POST", API + "/sessions", {"name": "a/b.ipynb", "language": "bash"}).status == 409
    assert server.ask("GET", f"{API}/sessions/a%2Fb.ipynb").json["language"] == "r"
    assert server.ask("POST", API + "/sessions", {"language": "bash"}).json["name"] == "bash"
    page = server.ask("GET", f"{API}/sessions?limit=1").json
    assert [s["name"] for s in page["items"]] == ["a/b.ipynb"]
    page = server.ask("GET", f"{API}/sessions?limit=1&cursor={page['next']}").json
    assert [s["name"] for s in page["items"]] == ["bash"] and page["next"] is None
    assert server.ask("GET", f"{API}/sessions", key="kh_user").json["items"] == []
    assert server.ask("DELETE", f"{API}/sessions/bash").status == 204
    assert server.ask("DELETE", f"{API}/sessions/bash").status == 404


def test_admin(server):
    assert server.ask("POST", API + "/admin/users", {"name": "bob"}).status == 201
    assert server.ask("POST", API + "/admin/users", {"name": "bob"}).status == 409
    assert server.ask("GET", API + "/admin/users/bob").json["name"] == "bob"
    key = server.ask("POST", API + "/admin/keys", {"name": "ci", "user": "bob", "expires_at": "2096-02-29T12:00:00.5+01:00"})
    assert key.status == 201 and key.json["key"].startswith("kh_") and key.json["expires_us"] == 3981351600500000
    for bad in ("yesterday", "2001-01-01T00:00:00Z", "2097-02-29T12:00:00Z"):
        assert server.ask("POST", API + "/admin/keys", {"name": "ci", "expires_at": bad}).status == 400
    assert server.ask("POST", API + "/admin/keys", {"name": "ci", "user": "nobody"}).status == 404
    assert server.ask("DELETE", API + "/admin/users/admin").status == 409
    assert server.ask("DELETE", API + "/admin/users/bob").status == 204
    assert server.ask("DELETE", f"{API}/admin/keys/{uuid.uuid4()}").status == 404
    assert server.ask("GET", API + "/admin/sandboxes").json["items"] == [{"all": True}]
    assert server.ask("GET", API + "/sandboxes").json["items"] == [{"all": False}]
    assert server.ask("GET", API + "/templates").json["items"] == [{"name": "slim", "image": "kernelhub/slim"}]


def test_a_blob_cannot_run_in_a_browser(server):
    run = server.execute("pass").json["execution_id"]
    path = f"{API}/executions/{run}/blobs/"
    page = server.ask("GET", path + "0")
    assert page.headers["Content-Type"] == "text/html" and page.headers["Content-Security-Policy"].startswith("sandbox")
    forged = server.ask("GET", path + "1")
    assert forged.headers["Content-Type"] == "application/octet-stream" and "X-Evil" not in forged.headers
    part = server.ask("GET", path + "0", Range="bytes=2-4")
    assert (part.status, part.body, part.headers["Content-Range"]) == (206, b"234", "bytes 2-4/10")
    assert server.ask("GET", path + "0", Range="bytes=-3").body == b"789"
    assert server.ask("GET", path + "0", Range="bytes=8-99").body == b"89"
    assert server.ask("GET", path + "0", Range="bytes=10-").error["code"] == "range_not_satisfiable"
    assert server.ask("GET", path + "0", Range="bytes=0-1,3-4").status == 200
    assert server.ask("GET", path + "x").status == 404


def test_pipelined_requests_are_answered_in_order(server):
    one = b"POST /api/v1/execute HTTP/1.1\r\nHost: localhost\r\nX-API-Key: kh_admin\r\nContent-Length: %d\r\n\r\n%s"
    bodies = [b'{"code":"later sleep 20"}', b'{"code":"pass"}', b'{"code":']
    s = server.raw(b"".join(one % (len(body), body) for body in bodies))
    got = b""
    while got.count(b"HTTP/1.1 ") < 3:
        got += s.recv(65536)
    assert [part[:3] for part in got.split(b"HTTP/1.1 ")[1:]] == [b"200", b"200", b"400"]
    s.close()


def test_a_kept_connection_takes_many_requests(server):
    connection = server.connection()
    for i in range(300):
        assert server.ask("POST", API + "/execute", {"code": "pass" if i % 2 else "later pass"}, connection=connection).status == 200


def test_http_1_0_gets_a_stream_until_close(server):
    body = b'{"code":"stream 3 10"}'
    s = server.raw(
        b"POST /api/v1/execute HTTP/1.0\r\nX-API-Key: kh_admin\r\nAccept: text/event-stream\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    got = b""
    while piece := s.recv(65536):
        got += piece
    assert b"chunked" not in got and got.endswith(b"\n\n") and got.count(b"id: ") == 6


def test_time_is_measured(server):
    before = server.metric("kernelhub_http_requests_total")
    server.ask("GET", "/health")
    time.sleep(0.05)
    assert server.metric("kernelhub_http_requests_total") >= before + 2


EXEC = API + "/sandboxes/default/exec"


def test_a_command_is_run_like_code(server):
    reply = server.ask("POST", EXEC, {"cmd": ["ls", "-l"], "cwd": "a", "env": {"A": "b"}, "stdin": "", "timeout_seconds": 5})
    assert (reply.status, reply.json["status"]) == (200, "ok")
    streamed = server.ask("POST", EXEC, {"cmd": ["ls"]}, Accept=SSE)
    assert [event["type"] for _, event in sse(streamed.body)][-1] == "finished"
    lines = server.ask("POST", EXEC, {"cmd": ["ls"]}, Accept=NDJSON).body.decode().splitlines()
    assert json.loads(lines[-1])["type"] == "finished"


@pytest.mark.parametrize(
    ("body", "status", "what"),
    [
        ({}, 400, "'cmd' is missing"),
        ({"cmd": []}, 400, "not empty"),
        ({"cmd": "ls"}, 400, "a list of strings"),
        ({"cmd": ["ls", 1]}, 400, "item 1"),
        ({"cmd": ["a"] * 1025}, 400, "1025 strings; the limit is 1024"),
        ({"cmd": ["a" * 65536, "a" * 65537]}, 413, "131073 bytes; the limit is 131072"),
        ({"cmd": ["ls\0"]}, 400, ""),
        ({"cmd": ["ls"], "cwd": ""}, 400, "'cwd'"),
        ({"cmd": ["ls"], "env": {"1": ""}}, 400, "no name"),
        ({"cmd": ["ls"], "timeout_seconds": 0}, 400, "timeout_seconds"),
        ({"cmd": ["ls"], "execution_id": "x"}, 400, "UUID"),
        ({"cmd": ["ls"], "on_disconnect": "x"}, 400, "allowed: continue interrupt"),
        ({"cmd": ["ls"], "code": "1"}, 400, "unknown field"),
    ],
)
def test_a_bad_command_names_what_is_wrong(server, body, status, what):
    reply = server.ask("POST", EXEC, body)
    assert reply.status == status
    assert what in reply.json["error"]["message"]


def test_a_command_in_no_sandbox(server):
    reply = server.ask("POST", API + "/sandboxes/nowhere/exec", {"cmd": ["ls"]})
    assert (reply.status, reply.json["error"]["code"]) == (404, "not_found")
    assert "GET /api/v1/sandboxes" in reply.json["error"]["hint"]
