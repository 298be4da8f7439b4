"""Batches, replays and parts of an output, against the whole service."""

from __future__ import annotations

import json
import time
import uuid

import httpx
import pytest

from conftest import Service, kill, run, wait_until

BATCH = "/api/v1/execute/batch"


def batch(http: httpx.Client, *items: dict[str, object], **fields: object) -> dict[str, object]:
    reply = http.post(BATCH, json={"executions": list(items), **fields})
    assert reply.status_code == 200, reply.text
    record: dict[str, object] = reply.json()
    return record


def test_a_batch_runs_in_order_in_several_languages(http: httpx.Client) -> None:
    reply = batch(
        http,
        {"code": "open('step','w').write('one')"},
        {"code": "cat step; echo -n two > step", "language": "bash"},
        {"code": "print(open('step').read(), 'x' in globals())", "session": "batch-own", "language": "python"},
        {"code": "print(1)", "persistent": False},
    )
    items = reply["items"]
    assert (reply["status"], reply["stopped_at"]) == ("ok", None)
    assert [item["stdout"] for item in items] == ["", "one", "two False\n", "1\n"]
    assert [item["language"] for item in items] == ["python", "bash", "python", "python"]
    for item in items:
        record = http.get(f"/api/v1/executions/{item['execution_id']}").json()
        assert record["client"] == "batch" and record["status"] == "ok"


def test_a_batch_stops_at_the_first_error(http: httpx.Client) -> None:
    never = str(uuid.uuid4())
    codes = [{"code": "1"}, {"code": "1/0"}, {"code": "2", "execution_id": never}]
    reply = batch(http, *codes)
    assert (reply["status"], reply["stopped_at"]) == ("error", 1)
    assert [item["status"] for item in reply["items"]] == ["ok", "error", "cancelled"]
    assert reply["items"][1]["error"]["name"] == "ZeroDivisionError"
    assert "executions[1]" in reply["items"][2]["reason"]
    assert http.get(f"/api/v1/executions/{never}").status_code == 404
    reply = batch(http, *codes, stop_on_error=False)
    assert [item["status"] for item in reply["items"]] == ["ok", "error", "ok"]
    assert reply["items"][2]["execution_id"] == never


def test_what_cannot_begin_is_refused_in_its_place(http: httpx.Client) -> None:
    reply = batch(http, {"code": "1"}, {"code": "1", "language": "klingon"}, {"code": "2"}, stop_on_error=False)
    assert [item["status"] for item in reply["items"]] == ["ok", "cancelled", "ok"]
    assert reply["items"][1]["refused"]["code"] == "invalid_request"


def test_a_batch_streams_the_events_of_all(http: httpx.Client) -> None:
    body = {"executions": [{"code": "for i in range(2000): print(i)"}, {"code": "7*6"}, {"code": "1/0"}, {"code": "8"}]}
    with http.stream("POST", BATCH, json=body, headers={"Accept": "application/x-ndjson"}) as reply:
        events = [json.loads(line) for line in reply.iter_lines()]
    end = events.pop()
    assert (end["type"], end["status"], end["stopped_at"]) == ("batch_finished", "error", 2)
    runs = [item["execution_id"] for item in end["items"][:3]]
    assert list(dict.fromkeys(event["execution_id"] for event in events)) == runs
    for run_id in runs:
        own = [event for event in events if event["execution_id"] == run_id]
        assert [event["seq"] for event in own] == list(range(1, len(own) + 1)) and own[-1]["type"] == "finished"
    assert "".join(e["text"] for e in events if e["type"] == "stdout") == "".join(f"{i}\n" for i in range(2000))


def test_a_batch_whose_client_leaves_begins_nothing_more(service: Service, http: httpx.Client) -> None:
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    body = {"executions": [{"code": "import time; time.sleep(1.5); print('done')", "execution_id": first}, {"code": "2", "execution_id": second}]}
    with service.client(timeout=0.7) as impatient, pytest.raises(httpx.ReadTimeout):
        impatient.post(BATCH, json=body)
    wait_until(lambda: http.get(f"/api/v1/jobs/{first}").json()["status"] == "ok")
    assert http.get(f"/api/v1/jobs/{first}").json()["stdout"] == "done\n"
    time.sleep(0.3)
    assert http.get(f"/api/v1/jobs/{second}").status_code == 404


def test_a_replay_runs_in_a_fresh_kernel(http: httpx.Client) -> None:
    code = "import os\nseen = 'seen' in globals()\nprint(seen, os.environ.get('WHO'), input())"
    first = run(http, code, env={"WHO": "me"}, stdin="typed\n", labels={"a": "b"}, timeout_seconds=17)
    assert first["stdout"].startswith("False me"), first
    path = f"/api/v1/executions/{first['execution_id']}/replay"
    again = http.post(path).json()
    assert again["status"] == "ok", again
    assert again["replay_of"] == first["execution_id"] != again["execution_id"]
    assert again["stdout"] == first["stdout"] and again["labels"] == {"a": "b"}
    assert again["session"] != first["session"] and again["kernel_id"] != first["kernel_id"]
    assert http.get(f"/api/v1/executions/{again['execution_id']}").json()["code"] == code
    there = http.post(path, json={"session": "python", "stdin": "other\n"}).json()
    assert there["stdout"].startswith("True me") and "other" in there["stdout"], there
    assert there["replay_of"] == first["execution_id"]


def test_a_command_is_replayed_as_a_command(http: httpx.Client) -> None:
    run(http, "1")
    body = {"cmd": ["sh", "-c", "echo $WHO; cat; pwd"], "env": {"WHO": "me"}, "stdin": "typed\n", "cwd": "/tmp"}
    first = http.post("/api/v1/sandboxes/default/exec", json=body).json()
    assert first["stdout"] == "me\ntyped\n/tmp\n", first
    path = f"/api/v1/executions/{first['execution_id']}/replay"
    again = http.post(path).json()
    assert again["stdout"] == first["stdout"] and again["replay_of"] == first["execution_id"]
    assert (again["language"], again["session"]) == (first["language"], None)
    assert http.post(path, json={"session": "python"}).json()["error"]["code"] == "invalid_request"


def test_a_replay_streams_and_needs_not_be_waited_for(http: httpx.Client) -> None:
    first = run(http, "print('again')")
    path = f"/api/v1/executions/{first['execution_id']}/replay"
    with http.stream("POST", path, headers={"Accept": "application/x-ndjson"}) as reply:
        events = [json.loads(line) for line in reply.iter_lines()]
    assert [e["text"] for e in events if e["type"] == "stdout"] == ["again\n"] and events[-1]["status"] == "ok"
    reply = http.post(path + "?async=1")
    assert reply.status_code == 202
    job = f"/api/v1/jobs/{reply.json()['job_id']}"
    wait_until(lambda: http.get(job).json()["status"] == "ok", 30)
    assert http.get(job).json()["replay_of"] == first["execution_id"]


def test_any_part_of_the_output_can_be_read(http: httpx.Client) -> None:
    code = "import sys\nfor i in range(20000): print(f'line {i} ä')\nprint('warned', file=sys.stderr)\n'x'*300000"
    first = run(http, code)
    path = f"/api/v1/executions/{first['execution_id']}/output"
    whole = "".join(f"line {i} ä\n" for i in range(20000))
    assert first["stdout"] == whole

    def get(**params: object) -> str:
        reply = http.get(path, params=params)
        assert reply.status_code == 200, reply.text
        return reply.text

    assert get() == whole
    assert get(head=2) == "line 0 ä\nline 1 ä\n"
    assert get(tail=1) == "line 19999 ä\n"
    assert get(grep="line 1999", tail=3) == "".join(f"line {i} ä\n" for i in (19997, 19998, 19999))
    assert get(grep="9.9") == ""
    assert get(stream="stderr") == "warned\n"
    assert len(get(stream="result")) == 300003
    parts, offset = [], "0"
    while offset:
        reply = http.get(path, params={"offset": offset, "limit": 100_001})
        parts.append(reply.text)
        offset = reply.headers.get("X-Next-Offset", "")
    assert "".join(parts) == whole and len(parts) > 2


def test_a_running_executions_output_is_there_already(http: httpx.Client) -> None:
    reply = http.post("/api/v1/execute/async", json={"code": "print('so far', flush=True)\nimport time\ntime.sleep(60)", "session": "slow"})
    path = f"/api/v1/executions/{reply.json()['execution_id']}"
    wait_until(lambda: http.get(path + "/output").text == "so far\n", 30)
    http.post(path + "/interrupt")
    wait_until(lambda: http.get(path).json()["status"] == "interrupted")
    http.delete("/api/v1/sessions/slow")


def test_after_a_restart_of_the_hub_the_rest_of_a_batch_does_not_run(make_service) -> None:
    service = make_service()
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    with service.client() as http:
        run(http, "1")
        body = {"executions": [{"code": "import time; time.sleep(2); print('done')", "execution_id": first}, {"code": "2", "execution_id": second}]}
        with service.client(timeout=20) as other, pytest.raises(httpx.TransportError):
            import threading

            threading.Timer(1, lambda: kill(service.pid_of("hub"))).start()
            other.post(BATCH, json=body)

    def status() -> str:
        try:
            with service.client(timeout=5) as http:
                return str(http.get(f"/api/v1/jobs/{first}").json().get("status"))
        except httpx.TransportError:
            return "away"

    wait_until(lambda: status() == "ok", 30)
    with service.client() as http:
        assert http.get(f"/api/v1/jobs/{first}").json()["stdout"] == "done\n"
        assert http.get(f"/api/v1/jobs/{second}").status_code == 404
