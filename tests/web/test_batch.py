"""Batches, replays, parts of an output, callbacks."""

from __future__ import annotations

import json
import uuid

import pytest

API = "/api/v1"
BATCH = API + "/execute/batch"
SSE = "text/event-stream"
NDJSON = "application/x-ndjson"


def items(*codes: str) -> list[dict]:
    return [{"code": code} for code in codes]


def test_the_items_run_in_order(server):
    reply = server.ask("POST", BATCH, {"executions": items("pass", "later pass", "sleep 30", "print 3 5")})
    assert reply.status == 200
    assert (reply.json["status"], reply.json["stopped_at"]) == ("ok", None)
    assert [item["status"] for item in reply.json["items"]] == ["ok"] * 4
    assert len({item["execution_id"] for item in reply.json["items"]}) == 4


@pytest.mark.parametrize("bad", ["fail", "later fail", "boom", "nosandbox", "later nosandbox"])
def test_what_is_behind_an_error_does_not_run(server, bad):
    reply = server.ask("POST", BATCH, {"executions": items("pass", bad, "pass", "pass")}).json
    status = "error" if "fail" in bad else "cancelled"
    assert (reply["status"], reply["stopped_at"]) == (status, 1)
    assert [item["status"] for item in reply["items"]] == ["ok", status, "cancelled", "cancelled"]
    for item in reply["items"][2:]:
        assert item == {"execution_id": None, "status": "cancelled", "reason": f"not run: executions[1] ended with status '{status}'"}
    if bad == "boom":
        assert reply["items"][1]["refused"]["code"] == "busy" and reply["items"][1]["execution_id"] is None
    if "nosandbox" in bad:
        assert reply["items"][1]["refused"]["code"] == "sandbox_failed" and reply["items"][1]["execution_id"]


def test_it_goes_on_when_told_so(server):
    body = {"executions": items("fail", "boom", "nosandbox", "pass", "boom"), "stop_on_error": False}
    reply = server.ask("POST", BATCH, body).json
    assert (reply["status"], reply["stopped_at"]) == ("error", None)
    assert [item["status"] for item in reply["items"]] == ["error", "cancelled", "cancelled", "ok", "cancelled"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "'executions' is missing"),
        ({"executions": []}, "1 to 100"),
        ({"executions": items(*["pass"] * 101)}, "1 to 100"),
        ({"executions": {}}, "a list of objects"),
        ({"executions": [{"code": "pass"}, 7]}, "item 1"),
        ({"executions": items("pass") + [{"language": "python"}]}, "executions[1]: field 'code' is missing"),
        ({"executions": items("pass") + [{"code": "x", "nonsense": 1}]}, "executions[1]: unknown field"),
        ({"executions": [{"code": "pass", "timeout_seconds": -1}]}, "executions[0]: field 'timeout_seconds'"),
        ({"executions": [{"code": "pass", "execution_id": "7"}]}, "executions[0]: field 'execution_id'"),
        ({"executions": items("pass"), "more": 1}, "unknown field"),
        ({"executions": items("pass"), "stop_on_error": "no"}, "stop_on_error"),
    ],
)
def test_a_wrong_body_runs_nothing(server, body, words):
    reply = server.ask("POST", BATCH, body)
    assert (reply.status, reply.error["code"]) == (400, "invalid_request")
    assert words in reply.error["message"]


def test_records_beyond_the_bound_come_without_outputs(server):
    reply = server.ask("POST", BATCH, {"executions": items("big 20000000", "big 20000000", "big 5000000")}).json
    assert [len(item["stdout"]) for item in reply["items"]] == [20000000, 0, 5000000]
    assert [item["truncated"] for item in reply["items"]] == [False, True, False]
    assert reply["status"] == reply["items"][1]["status"] == "ok"


def streamed(reply, kind: str) -> list[dict]:
    if kind == NDJSON:
        return [json.loads(line) for line in reply.body.decode().splitlines()]
    blocks = [block for block in reply.body.decode().split("\n\n") if block]
    assert blocks[-1].startswith("data: ") and all(block.startswith("id: ") for block in blocks[:-1])
    return [json.loads(block.split("data: ", 1)[1]) for block in blocks]


@pytest.mark.parametrize("kind", [NDJSON, SSE])
@pytest.mark.parametrize("later", ["", "later "])
def test_a_stream_has_the_events_of_all_items_in_order(server, kind, later):
    body = {"executions": items(later + "print 50 100", "stream 3 10", later + "fail", "pass")}
    reply = server.ask("POST", BATCH, body, Accept=kind)
    assert reply.headers["Content-Type"] == kind
    events = streamed(reply, kind)
    end = events.pop()
    assert end["type"] == "batch_finished" and "seq" not in end
    assert (end["status"], end["stopped_at"]) == ("error", 2)
    assert [item["status"] for item in end["items"]] == ["ok", "ok", "error", "cancelled"]
    order = [item["execution_id"] for item in end["items"][:3]]
    assert list(dict.fromkeys(event["execution_id"] for event in events)) == order
    for run, count in zip(order, (53, 6, 3), strict=True):
        assert [event["seq"] for event in events if event["execution_id"] == run] == list(range(1, count + 1))


@pytest.mark.parametrize("later", ["", "later "])
def test_a_stream_begins_before_its_first_item_has_ended(server, later):
    text = json.dumps({"executions": items(later + "hang", "pass")}).encode()
    s = server.raw(
        b"POST /api/v1/execute/batch HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer kh_admin\r\n"
        b"Accept: application/x-ndjson\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)
    )
    came = b""
    while b'"started"' not in came:
        came += s.recv(65536)
    run = json.loads(came.split(b"\r\n\r\n", 1)[1].split(b"\r\n", 1)[1].split(b"\n", 1)[0])["execution_id"]
    server.ask("POST", f"{API}/executions/{run}/interrupt")
    while b"batch_finished" not in came:
        came += s.recv(65536)
    assert b'"status":"interrupted","stopped_at":0' in came
    s.close()


@pytest.mark.parametrize("kind", [NDJSON, SSE])
@pytest.mark.parametrize("codes", [["boom"], ["nosandbox", "pass"], ["later nosandbox"]])
def test_a_stream_without_a_run_says_why(server, kind, codes):
    reply = server.ask("POST", BATCH, {"executions": items(*codes)}, Accept=kind)
    assert reply.status == 200
    (end,) = streamed(reply, kind)
    assert end["status"] == "cancelled" and end["items"][0]["refused"]["message"]


@pytest.mark.parametrize("accept", ["application/json", NDJSON])
@pytest.mark.parametrize("on_disconnect", ["continue", "interrupt"])
@pytest.mark.parametrize("later", ["", "later "])
def test_a_client_that_leaves_begins_nothing_more(server, accept, on_disconnect, later):
    ids = [str(uuid.uuid4()) for _ in range(2)]
    body = {
        "executions": [
            {"code": later + "hang", "execution_id": ids[0], "on_disconnect": on_disconnect},
            {"code": "pass", "execution_id": ids[1]},
        ],
        "stop_on_error": False,
    }
    text = json.dumps(body).encode()
    s = server.raw(
        b"POST /api/v1/execute/batch HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer kh_admin\r\n"
        b"Accept: %s\r\nContent-Length: %d\r\n\r\n%s" % (accept.encode(), len(text), text)
    )
    server.until(lambda: server.ask("GET", f"{API}/executions/{ids[0]}").status == 200)
    s.close()
    if on_disconnect == "interrupt":
        server.until(lambda: server.ask("GET", f"{API}/executions/{ids[0]}").json["status"] == "interrupted")
    server.until(lambda: server.metric("kernelhub_test_waits") == 0 and server.metric("kernelhub_test_followers") == 0)
    assert server.ask("GET", f"{API}/executions/{ids[1]}").status == 404
    assert server.metric("kernelhub_test_interrupts") == (on_disconnect == "interrupt")
    server.ask("POST", f"{API}/executions/{ids[0]}/interrupt")


def test_a_user_has_so_many_batches_under_way(server):
    text = json.dumps({"executions": items("hang")}).encode()
    head = b"POST /api/v1/execute/batch HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer kh_admin\r\nContent-Length: %d\r\n\r\n"
    held = [server.raw(head % len(text) + text) for _ in range(8)]
    server.until(lambda: server.metric("kernelhub_test_waits") == 8)
    assert server.ask("POST", BATCH, {"executions": items("pass")}).error["code"] == "quota_exceeded"
    assert server.ask("POST", BATCH, {"executions": items("pass")}, key="kh_user").status == 200
    for s in held:
        s.close()
    server.until(lambda: server.metric("kernelhub_test_waits") == 0)
    assert server.ask("POST", BATCH, {"executions": items("pass")}).status == 200


def test_a_stopping_server_begins_nothing_more(start):
    server = start()
    text = json.dumps({"executions": items("sleep 300", "hang")}).encode()
    s = server.raw(
        b"POST /api/v1/execute/batch HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer kh_admin\r\nContent-Length: %d\r\n\r\n" % len(text)
        + text
    )
    server.until(lambda: server.metric("kernelhub_test_waits") == 1)
    server.drain()
    assert b" 503 " in s.recv(65536)


# ---- replay ----


@pytest.mark.parametrize("body", [None, {}])
def test_a_replay_is_a_new_execution_of_the_same_code(server, body):
    run = server.execute("print 1 5", stdin="typed").json["execution_id"]
    reply = server.ask("POST", f"{API}/executions/{run}/replay", body)
    assert reply.status == 200
    assert reply.json["replay_of"] == run != reply.json["execution_id"]
    assert (reply.json["status"], reply.json["stdout"]) == ("ok", "typed")
    other = server.ask("POST", f"{API}/executions/{run}/replay", {"stdin": "other", "session": "s"})
    assert other.json["stdout"] == "other"


def test_a_replay_in_a_sandbox_is_of_its_template_not_of_the_originals(server):
    run = server.execute("pass").json["execution_id"]
    path = f"{API}/executions/{run}/replay"
    assert server.ask("POST", path, {"sandbox": "box"}).json.get("replay_of") == run
    assert server.ask("POST", path, {"sandbox": "box", "template": "python"}).status == 409


def test_a_replay_streams_or_does_not_wait(server):
    run = server.execute("print 5 5").json["execution_id"]
    path = f"{API}/executions/{run}/replay"
    assert server.ask("POST", path, {}, Accept=NDJSON).body.count(b"\n") == 8
    assert server.ask("POST", path, {}, Accept=SSE).headers["Content-Type"] == SSE
    reply = server.ask("POST", path + "?async=1", {})
    assert reply.status == 202 and reply.json["job_id"] not in (None, run)
    assert server.ask("GET", f"{API}/jobs/{reply.json['job_id']}").json["replay_of"] == run


def test_a_wrong_replay_is_refused(server):
    run = server.execute("pass").json["execution_id"]
    path = f"{API}/executions/{run}/replay"
    for field in ("code", "language", "persistent"):
        assert server.ask("POST", path, {field: "x"}).status == 400
    assert server.ask("POST", path + "?async=maybe", {}).status == 400
    assert server.ask("POST", path, {"execution_id": run}).json["execution_id"] == run  # it attaches
    for other in (str(uuid.uuid4()), "abc"):
        assert server.ask("POST", f"{API}/executions/{other}/replay").status == 404
    assert server.ask("POST", path, key="kh_user").status == 404


# ---- output ----


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "0 0 8388608 0 0 -"),
        ("?stream=stderr", "1 0 8388608 0 0 -"),
        ("?stream=result&limit=9&offset=5", "2 5 9 0 0 -"),
        ("?head=3", "0 0 8388608 3 0 -"),
        ("?tail=3&grep=a%20b%5B", "0 0 8388608 0 3 a b["),
        ("?head=3&limit=9&grep=a&ignore_case=1", "0 0 9 3 0 a/i"),
    ],
)
def test_a_part_of_the_output_is_asked_for(server, query, expected):
    run = server.execute("pass").json["execution_id"]
    reply = server.ask("GET", f"{API}/executions/{run}/output{query}")
    assert (reply.status, reply.body.decode()) == (200, expected)
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert reply.headers["X-Next-Offset"] == ("6" if "offset=5" in query else None)


def test_a_part_comes_as_json_with_its_place(server):
    run = server.execute("pass").json["execution_id"]

    def ask(query, accept="application/json"):
        return server.ask("GET", f"{API}/executions/{run}/output?{query}", Accept=accept)

    first = ask("offset=5&limit=7&total=1").json
    assert first == {
        "execution_id": run, "stream": "stdout", "text": "0 5 7 0 0 -", "offset": 5, "next_offset": 6,
        "total_bytes": 5000, "total_lines": 70, "truncated": False, "ended": True,
    }  # fmt: skip
    last = ask("stream=stderr&tail=7").json
    assert last["text"] == "1 0 1048576 0 7 -" and last["truncated"] and last["stream"] == "stderr"
    assert last["next_offset"] is None and last["total_bytes"] is None and last["total_lines"] is None
    assert ask("total=1", "*/*").headers["X-Total-Bytes"] == "5000"
    for accept, kind in [
        ("text/plain, application/json;q=0.5", "text/plain; charset=utf-8"),
        ("application/json, text/plain, */*", "application/json"),
        ("text/html, */*", "text/plain; charset=utf-8"),
        ("application/json;q=0, */*", "text/plain; charset=utf-8"),
    ]:
        assert ask("", accept).headers["Content-Type"] == kind


def test_what_is_left_out_is_said(server):
    run = server.execute("pass").json["execution_id"]
    assert server.ask("GET", f"{API}/executions/{run}/output?tail=7").headers["X-Truncated"] == "true"


@pytest.mark.parametrize(
    "query",
    ["stream=all", "offset=-1", "limit=0", "limit=8388609", "head=0", "tail=x", "head=1&tail=1", "head=1&offset=0", "tail=1&offset=5",
     "ignore_case=1", "grep=a&ignore_case=x", "total=2", "grep=", "grep=a%0Ab", "grep=" + "x" * 1025, "lines=5"],
)  # fmt: skip
def test_a_wrong_part_is_named(server, query):
    run = server.execute("pass").json["execution_id"]
    assert server.ask("GET", f"{API}/executions/{run}/output?{query}").error["code"] == "invalid_request"


def test_another_users_output_does_not_exist(server):
    run = server.execute("pass").json["execution_id"]
    for path in (run, str(uuid.uuid4()), "abc"):
        assert server.ask("GET", f"{API}/executions/{path}/output", key="kh_user").error["code"] == "not_found"


# ---- callbacks ----


def test_a_callback_url_is_for_async_alone(server):
    url = "https://example.org/hook"
    assert server.ask("POST", API + "/execute/async", {"code": "pass", "callback_url": url}).status == 202
    assert server.ask("POST", API + "/execute", {"code": "pass", "callback_url": url}).status == 400
    assert server.ask("POST", BATCH, {"executions": [{"code": "pass", "callback_url": url}]}).status == 400
    refused = server.ask("POST", API + "/execute/async", {"code": "pass", "callback_url": "http://127.0.0.1/"})
    assert (refused.status, refused.error["code"]) == (403, "policy_denied")
    assert refused.error["details"] == {"rule": "courier/allow"}
    assert server.ask("POST", API + "/execute/async", {"code": "pass", "callback_url": url + "x" * 2048}).status == 400


def test_each_user_has_a_secret_that_can_be_renewed(server):
    path = API + "/callbacks/secret"
    first = server.ask("GET", path).json["secret"]
    assert server.ask("POST", path, {"more": 1}).status == 400
    renewed = server.ask("POST", path).json["secret"]
    assert renewed != first and server.ask("GET", path).json["secret"] == renewed
    assert server.ask("GET", path, key="kh_user").json["secret"] == first  # the fake's: another user's own first one
