"""Sandboxes and leases: several per user, each with its own limits, files and end; and every end says why."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator

import httpx
import pytest

from conftest import Service, kill, run, wait_until

API = "/api/v1/sandboxes"


def check(reply: httpx.Response, status: int, code: str, *words: str) -> None:
    assert reply.status_code == status, reply.text
    error = reply.json()["error"]
    assert error["code"] == code, error
    for word in words:
        assert word in error["message"], error


def make(client: httpx.Client, **fields: object) -> dict[str, object]:
    reply = client.post(API, json=fields)
    assert reply.status_code == 201, reply.text
    record: dict[str, object] = reply.json()
    return record


def get(client: httpx.Client, name: object) -> dict[str, object]:
    reply = client.get(f"{API}/{name}")
    assert reply.status_code == 200, reply.text
    record: dict[str, object] = reply.json()
    return record


def gone(client: httpx.Client, name: object, *words: str) -> None:
    check(client.get(f"{API}/{name}"), 410, "gone", *words)


@pytest.fixture
def box(http: httpx.Client) -> Iterator[Callable[..., dict[str, object]]]:
    """box(**fields) makes a sandbox that is ended with the test."""
    made: list[object] = []

    def one(**fields: object) -> dict[str, object]:
        record = make(http, **fields)
        made.append(record["sandbox_id"])
        return record

    yield one
    for sandbox in made:
        assert http.delete(f"{API}/{sandbox}").status_code in (204, 410)


def test_a_named_sandbox_is_made_used_listed_and_ended(http: httpx.Client) -> None:
    record = make(http, name="first", labels={"team": "blue", "n": "1"})
    assert record["state"] == "running" and record["name"] == "first" and record["template"] == "slim"
    assert record["workspace"] == "shared" and record["idle_seconds"] == 1800 and record["ttl_seconds"] is None
    assert record["image"] and str(record["digest"]).startswith("sha256:") and record["sessions"] == []
    assert record["labels"] == {"team": "blue", "n": "1"} and record["start_phases"]
    cell = run(http, "x = 41; print(x + 1)", sandbox="first")
    assert cell["stdout"] == "42\n" and cell["sandbox_id"] == record["sandbox_id"] and cell["session"] == "python@first"
    assert run(http, "print(x)", sandbox=record["sandbox_id"])["stdout"] == "41\n"
    assert get(http, "first")["sessions"] == ["python@first"]
    for label, found in (("team", True), ("team=blue", True), ("team=red", False), ("eam", False)):
        names = [item["name"] for item in http.get(API, params={"label": label}).json()["items"]]
        assert ("first" in names) == found, label
    assert http.delete(f"{API}/first").status_code == 204
    gone(http, "first", "it was deleted")
    gone(http, record["sandbox_id"], "sandbox 'first'", "it was deleted")
    assert "first" not in [item["name"] for item in http.get(API).json()["items"]]
    assert http.get("/api/v1/sessions/python@first").status_code == 404
    check(http.post("/api/v1/execute", json={"code": "1", "sandbox": "first"}), 410, "gone", "it was deleted")


def test_two_sandboxes_share_no_kernel_and_no_session(http: httpx.Client, box: Callable[..., dict[str, object]]) -> None:
    box(name="one")
    box(name="two")
    run(http, "x = 'of one'", sandbox="one")
    assert run(http, "print(x)", sandbox="two")["error"]["name"] == "NameError"
    assert run(http, "y = 1", sandbox="one", session="mine")["status"] == "ok"
    for fields in ({"sandbox": "two"}, {"sandbox": "default"}):
        run(http, "1", session="python")
        check(http.post("/api/v1/execute", json={"code": "y", "session": "mine", **fields}), 409, "conflict", "'mine' is in sandbox 'one'")
    check(http.post("/api/v1/sessions", json={"name": "mine", "sandbox": "two"}), 409, "conflict", "'one'")
    check(http.post("/api/v1/execute", json={"code": "1", "session": "python", "sandbox": "two"}), 409, "conflict", "'default'")
    assert run(http, "print(y)", session="mine")["stdout"] == "1\n"
    once = run(http, "print('once')", sandbox="two", persistent=False)
    assert once["stdout"] == "once\n" and once["sandbox_id"] == get(http, "two")["sandbox_id"]


def test_a_name_that_is_taken_or_none_is_refused(http: httpx.Client, box: Callable[..., dict[str, object]]) -> None:
    record = box(name="taken")
    check(http.post(API, json={"name": "taken"}), 409, "conflict", str(record["sandbox_id"]))
    for name in ("", "a b", "../x", ".hidden", "ä", "x" * 64, str(uuid.uuid4())):
        check(http.post(API, json={"name": name}), 400, "invalid_request")
    for template in http.get("/api/v1/templates").json()["items"]:
        if template["name"] != "slim":
            check(http.post(API, json={"name": template["name"]}), 400, "invalid_request", "name of a template")
    unnamed = box()
    assert str(unnamed["name"]).startswith("sandbox-")


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"limits": {"memory_bytes": 1 << 40}}, "limits/memory_bytes"),
        ({"limits": {"memory_bytes": 1}}, "memory_bytes"),
        ({"limits": {"cpus": 1000}}, "limits/cpus"),
        ({"limits": {"pids": 129}}, "limits/pids"),
        ({"limits": {"disk": 1}}, "disk"),
        ({"limits": [1]}, "limits"),
        ({"limits": {"pids": "9"}}, "pids"),
        ({"idle_seconds": 604801}, "limits/max_idle_seconds"),
        ({"idle_seconds": 0}, "idle_seconds"),
        ({"ttl_seconds": -1}, "ttl_seconds"),
        ({"ttl_seconds": 1.5}, "ttl_seconds"),
        ({"template": "nonesuch"}, "nonesuch"),
        ({"image": "nonesuch"}, "nonesuch"),
        ({"template": "slim", "image": "x"}, "not both"),
        ({"workspace": "mine"}, "shared private"),
        ({"network": "host"}, "none"),
        ({"env": {"1x": "y"}}, "env"),
        ({"labels": {"a": 1}}, "labels"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_what_is_wrong_is_named(http: httpx.Client, fields: dict[str, object], word: str) -> None:
    before = len(http.get(API).json()["items"])
    check(http.post(API, json=fields), 400, "invalid_request", word)
    assert len(http.get(API).json()["items"]) == before


def test_limits_and_environment_are_its_own(http: httpx.Client, box: Callable[..., dict[str, object]]) -> None:
    record = box(name="small", limits={"memory_bytes": 200 << 20, "cpus": 0.5, "pids": 64}, env={"WHO": "small", "PATH_": "a=b"})
    assert record["limits"] == {"memory_bytes": 200 << 20, "cpus": 0.5, "pids": 64, "workspace_bytes": 10 << 30}
    code = "import os; print(os.environ['WHO'], os.environ['PATH_'])"
    assert run(http, code, sandbox="small")["stdout"] == "small a=b\n"
    assert run(http, "echo $WHO", sandbox="small", language="bash")["stdout"] == "small\n"
    assert run(http, code, sandbox="small", persistent=False, env={"WHO": "run"})["stdout"] == "run a=b\n"
    assert http.post("/api/v1/sessions/python@small/restart").status_code == 200
    assert run(http, code, sandbox="small")["stdout"] == "small a=b\n"
    assert run(http, "x = bytearray(400 << 20)", sandbox="small")["status"] == "oom"
    assert run(http, "import os; print('WHO' in os.environ)")["stdout"] == "False\n"


def test_another_users_sandbox_does_not_exist(service: Service, http: httpx.Client, box: Callable[..., dict[str, object]]) -> None:
    record = box(name="secret")
    http.post("/api/v1/admin/users", json={"name": "mallory"}).raise_for_status()
    key = http.post("/api/v1/admin/keys", json={"name": "k", "user": "mallory"}).json()["key"]
    with service.client(key) as other:
        for name in ("secret", record["sandbox_id"]):
            check(other.get(f"{API}/{name}"), 404, "not_found")
            check(other.patch(f"{API}/{name}", json={"idle_seconds": 1}), 404, "not_found")
            check(other.delete(f"{API}/{name}"), 404, "not_found")
            check(other.post("/api/v1/execute", json={"code": "1", "sandbox": name}), 404, "not_found")
        assert other.get(API).json()["items"] == []
        check(other.delete(f"/api/v1/admin/sandboxes/{record['sandbox_id']}"), 403, "forbidden")
        mine = make(other, name="secret")
        assert mine["sandbox_id"] != record["sandbox_id"]
    assert http.delete(f"/api/v1/admin/sandboxes/{mine['sandbox_id']}").status_code == 204
    with service.client(key) as other:
        gone(other, "secret", "an administrator ended it")
    check(http.delete(f"/api/v1/admin/sandboxes/{uuid.uuid4()}"), 404, "not_found")
    http.delete("/api/v1/admin/users/mallory").raise_for_status()
    assert get(http, "secret")["state"] == "running"


def test_deleting_one_ends_what_runs_there(http: httpx.Client) -> None:
    make(http, name="busy")
    run(http, "1", sandbox="busy")
    running = http.post("/api/v1/execute/async", json={"code": "import time; time.sleep(60)", "sandbox": "busy"}).json()
    queued = http.post("/api/v1/execute/async", json={"code": "print('never')", "sandbox": "busy"}).json()
    wait_until(lambda: http.get(f"/api/v1/executions/{running['execution_id']}").json()["status"] == "running")
    assert f"running cell {running['execution_id']}" in get(http, "busy")["keeps_alive"]
    assert http.delete(f"{API}/busy").status_code == 204
    ends = {name: http.get(f"/api/v1/executions/{x['execution_id']}").json() for name, x in (("r", running), ("q", queued))}
    assert ends["r"]["status"] == "interrupted" and ends["q"]["status"] == "cancelled", ends
