"""Sandboxes and leases: several per user, each with its own limits, files and end; and every end says why."""

from __future__ import annotations

import json
import os
import signal
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


def session_feed(client: httpx.Client, name: str) -> list[dict[str, object]]:
    reply = client.get(f"/api/v1/sessions/{name}/events")
    assert reply.status_code == 200, reply.text
    events: list[dict[str, object]] = reply.json()["items"]
    return events


def test_a_reset_keeps_id_name_lease_and_files(http: httpx.Client, box: Callable[..., dict[str, object]]) -> None:
    before = box(name="again", ttl_seconds=3600, labels={"a": "b"}, env={"WHO": "again"})
    run(http, "x = 1; open('/tmp/t','w').write('t'); open('kept.txt','w').write('k')", sandbox="again")
    running = http.post("/api/v1/execute/async", json={"code": "import time; time.sleep(60)", "sandbox": "again"}).json()
    queued = http.post("/api/v1/execute/async", json={"code": "1", "sandbox": "again"}).json()
    wait_until(lambda: http.get(f"/api/v1/executions/{running['execution_id']}").json()["status"] == "running")
    after = http.post(f"{API}/again/reset")
    assert after.status_code == 200, after.text
    for same in ("sandbox_id", "name", "created_at", "ttl_seconds", "idle_seconds", "labels", "limits", "workspace"):
        assert after.json()[same] == before[same], same
    assert after.json()["state"] == "running" and after.json()["sessions"] == ["python@again"]
    assert http.get(f"/api/v1/executions/{running['execution_id']}").json()["status"] == "interrupted"
    assert http.get(f"/api/v1/executions/{queued['execution_id']}").json()["status"] == "cancelled"
    code = "import os; print(os.path.exists('/tmp/t'), open('kept.txt').read(), 'x' in globals(), os.environ['WHO'])"
    cell = run(http, code, sandbox="again")
    assert cell["stdout"] == "False k False again\n" and cell["sandbox_id"] == before["sandbox_id"]
    told = [e for e in session_feed(http, "python@again") if e["type"] == "restarted"]
    assert told and told[-1]["reason"] == "the sandbox was reset"
    for _ in range(3):  # again and again: nothing of the one before is in the way
        assert http.post(f"{API}/again/reset").status_code == 200
        assert run(http, "print(2)", sandbox="again")["stdout"] == "2\n"


def test_stats_are_of_the_cgroup(http: httpx.Client, box: Callable[..., dict[str, object]]) -> None:
    box(name="stats", limits={"memory_bytes": 256 << 20, "pids": 64})
    run(http, "x = bytearray(64 << 20)\nimport time\nt = time.process_time()\nwhile time.process_time() - t < 0.3: pass", sandbox="stats")
    stats = http.get(f"{API}/stats/stats").json()
    assert stats["cpu_ms"] >= 300 and 0 < stats["cpu_percent"] <= 210 and stats["cpu_period_ms"] > 0
    assert stats["memory_bytes"] >= 64 << 20 and stats["memory_peak_bytes"] >= stats["memory_bytes"]
    assert stats["memory_limit_bytes"] == 256 << 20 and stats["pids_limit"] == 64 and 0 < stats["pids"] < 64
    assert stats["oom_kills"] == 0 and 0 <= stats["uptime_seconds"] < 60
    again = http.get(f"{API}/stats/stats").json()
    assert again["cpu_ms"] >= stats["cpu_ms"] and again["cpu_period_ms"] < stats["cpu_period_ms"]


def test_logs_tell_of_its_life(http: httpx.Client, box: Callable[..., dict[str, object]]) -> None:
    box(name="logs")
    run(http, "1", sandbox="logs")
    assert run(http, "import os; os.write(2, b'x'); os._exit(9)", sandbox="logs")["status"] == "kernel_died"
    lines = http.get(f"{API}/logs/logs").json()
    assert [line["event"] for line in lines["items"]] == ["asked_for", "up", "kernel_ready", "kernel_died"] and lines["dropped"] == 0
    assert lines["items"][3]["text"].startswith("session 'python@logs': the python kernel died: exited with code 9")
    assert [line["event"] for line in http.get(f"{API}/logs/logs", params={"tail": 1}).json()["items"]] == ["kernel_died"]
    check(http.get(f"{API}/logs/logs", params={"tail": 0}), 400, "invalid_request", "tail")


def test_an_idle_default_sandbox_ends_and_the_next_execution_starts_anew(make_service: Callable[..., Service]) -> None:
    service = make_service("sandbox/idle_seconds=2")
    with service.client() as http:
        first = run(http, "x = 1; print(x)")
        wait_until(lambda: http.get(API).json()["items"] == [], 20)
        gone(http, first["sandbox_id"], "idle for 2 s")
        gone(http, "default", "idle for 2 s")
        check(http.post("/api/v1/execute", json={"code": "1", "sandbox": first["sandbox_id"]}), 410, "gone", "idle for 2 s")
        check(http.patch(f"{API}/default", json={"ttl_seconds": 9}), 410, "gone", "idle for 2 s")
        check(http.delete(f"{API}/default"), 410, "gone", "idle for 2 s")
        assert http.get("/api/v1/sessions/python").json()["status"] == "none"
        second = run(http, "print('x' in globals())")
        assert second["stdout"] == "False\n" and second["sandbox_id"] != first["sandbox_id"] and second["session"] == "python"
        events = session_feed(http, "python")
        dead = [e for e in events if e["type"] == "kernel_status" and e["state"] == "dead"]
        restarted = [e for e in events if e["type"] == "restarted"]
        assert dead and dead[-1]["reason"] == "the sandbox is gone: idle for 2 s"
        assert restarted and restarted[-1]["reason"] == "the sandbox is gone: idle for 2 s"
        metrics = http.get("/api/v1/metrics").text
        assert 'kernelhub_sandboxes_ended_total{reason="idle"} 1' in metrics and 'kernelhub_sandboxes{state="running"} 1' in metrics


def test_what_is_in_use_is_not_idle(make_service: Callable[..., Service]) -> None:
    service = make_service()
    with service.client() as http:
        for name in ("called", "running", "watched", "left"):
            make(http, name=name)
        run(http, "1", sandbox="running")
        http.post("/api/v1/sessions", json={"name": "w", "sandbox": "watched"}).raise_for_status()
        for name in ("called", "running", "watched", "left"):
            http.patch(f"{API}/{name}", json={"idle_seconds": 3}).raise_for_status()
        cell = http.post("/api/v1/execute/async", json={"code": "import time; time.sleep(8)", "sandbox": "running"}).json()
        with http.stream("GET", "/api/v1/sessions/w/events?follow=1", headers={"Accept": "text/event-stream"}):
            until = time.monotonic() + 6
            while time.monotonic() < until:
                assert "called" in " ".join(get(http, "called")["keeps_alive"])  # type: ignore[arg-type]
                time.sleep(0.3)
            names = {item["name"]: item for item in http.get(API).json()["items"]}
            assert set(names) == {"called", "running", "watched"}
            assert f"running cell {cell['execution_id']}" in names["running"]["keeps_alive"]
            assert names["running"]["expires_at"] is None
            assert "attached client of session w" in names["watched"]["keeps_alive"]
        wait_until(lambda: http.get(API).json()["items"] == [], 20)
        assert http.get(f"/api/v1/executions/{cell['execution_id']}").json()["status"] == "ok"
        for name in ("called", "running", "watched", "left"):
            gone(http, name, "idle for 3 s")


def test_a_hard_lease_ends_whatever_is_called_but_lets_a_cell_end(http: httpx.Client) -> None:
    make(http, name="short")
    run(http, "1", sandbox="short")
    http.patch(f"{API}/short", json={"ttl_seconds": 3}).raise_for_status()
    cell = http.post("/api/v1/execute/async", json={"code": "import time; time.sleep(6); print('done')", "sandbox": "short"}).json()
    queued = http.post("/api/v1/execute/async", json={"code": "print('never')", "sandbox": "short"}).json()
    until = time.monotonic() + 3.5
    while time.monotonic() < until:
        get(http, "short")
        time.sleep(0.2)
    assert get(http, "short")["state"] == "running"
    late = http.post("/api/v1/execute/async", json={"code": "print('late')", "sandbox": "short", "session": "late"}).json()
    wait_until(lambda: http.get(f"{API}/short").status_code == 410, 20)
    gone(http, "short", "its lease of 3 s ended")
    ends = {n: http.get(f"/api/v1/executions/{x['execution_id']}").json() for n, x in (("cell", cell), ("queued", queued), ("late", late))}
    assert ends["cell"]["status"] == "ok" and ends["cell"]["stdout"] == "done\n"
    for name in ("queued", "late"):
        assert ends[name]["status"] == "cancelled" and ends[name]["stdout"] == "", ends[name]


def test_a_lease_is_extended(http: httpx.Client, box: Callable[..., dict[str, object]]) -> None:
    box(name="longer", ttl_seconds=3)
    time.sleep(1.5)
    changed = http.patch(f"{API}/longer", json={"ttl_seconds": 60, "idle_seconds": 120, "labels": {"x": "y"}})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["ttl_seconds"], changed.json()["idle_seconds"], changed.json()["labels"]) == (60, 120, {"x": "y"})
    time.sleep(2.5)
    assert get(http, "longer")["state"] == "running"
    shorter = http.patch(f"{API}/longer", json={"ttl_seconds": 1})
    assert shorter.status_code == 200
    wait_until(lambda: http.get(f"{API}/longer").status_code == 410, 10)
    gone(http, "longer", "its lease of 1 s ended")


def test_leases_and_reasons_outlive_the_hub(make_service: Callable[..., Service]) -> None:
    service = make_service()
    with service.client() as http:
        make(http, name="gone", idle_seconds=1)
        wait_until(lambda: http.get(f"{API}/gone").status_code == 410 if time.sleep(1.2) is None else False, 20)
        before = make(http, name="kept", ttl_seconds=3600, idle_seconds=1000, labels={"a": "b"}, env={"WHO": "kept"}, limits={"pids": 50})
        due = make(http, name="due", ttl_seconds=4)
        run(http, "x = 5", sandbox="kept")
        kill(service.pid_of("hub"))
        wait_until(lambda: alive(service), 20)
        after = get(http, "kept")
        for same in ("sandbox_id", "created_at", "ttl_seconds", "idle_seconds", "labels", "limits", "workspace", "sessions"):
            assert after[same] == before[same] or same == "sessions", same
        assert after["sessions"] == ["python@kept"]
        wait_until(lambda: get(http, "kept")["state"] == "running", 20)
        assert run(http, "import os; print(x, os.environ['WHO'])", sandbox="kept")["stdout"] == "5 kept\n"
        assert http.post("/api/v1/sessions/python@kept/restart").status_code == 200
        assert run(http, "import os; print(os.environ['WHO'])", sandbox="kept")["stdout"] == "kept\n"
        gone(http, "gone", "idle for 1 s")
        wait_until(lambda: http.get(f"{API}/{due['sandbox_id']}").status_code == 410, 20)
        gone(http, "due", "its lease of 4 s ended")


def alive(service: Service) -> bool:
    try:
        return httpx.get(f"{service.url}/health", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def test_a_user_has_so_many_sandboxes_and_no_more(make_service: Callable[..., Service]) -> None:
    service = make_service("limits/max_user_sandboxes=2", "limits/max_ttl_seconds=100")
    with service.client() as http:
        one = make(http, name="one")
        assert one["ttl_seconds"] == 100  # nobody may live longer
        make(http, name="two", ttl_seconds=50)
        check(http.post(API, json={"name": "three"}), 429, "quota_exceeded", "limits/max_user_sandboxes")
        check(http.post("/api/v1/execute", json={"code": "1"}), 429, "quota_exceeded")
        check(http.patch(f"{API}/two", json={"ttl_seconds": 101}), 400, "invalid_request", "limits/max_ttl_seconds")
        assert http.delete(f"{API}/one").status_code == 204
        check(http.post(API, json={"name": "three", "ttl_seconds": 101}), 400, "invalid_request", "limits/max_ttl_seconds")
        make(http, name="three")


def test_a_private_workspace_is_its_own_and_ends_with_it(service: Service, http: httpx.Client) -> None:
    record = make(http, name="private", workspace="private")
    assert record["workspace"] == "private"
    run(http, "open('mine.txt', 'w').write('m')", sandbox="private")
    run(http, "open('ours.txt', 'w').write('o')")
    code = "import os; print(sorted(n for n in os.listdir() if n in ('mine.txt', 'ours.txt')))"
    assert run(http, code, sandbox="private")["stdout"] == "['mine.txt']\n"
    assert run(http, code)["stdout"] == "['ours.txt']\n"
    folder = next((service.state / "workspaces").glob(f"*/private-{record['sandbox_id']}"))
    assert http.post(f"{API}/private/reset").status_code == 200
    assert run(http, code, sandbox="private")["stdout"] == "['mine.txt']\n"
    assert http.delete(f"{API}/private").status_code == 204
    assert not folder.exists()
    assert run(http, code)["stdout"] == "['ours.txt']\n"
    again = make(http, name="private", workspace="private")
    assert run(http, code, sandbox="private")["stdout"] == "[]\n"
    assert http.delete(f"{API}/{again['sandbox_id']}").status_code == 204


def test_a_private_workspace_goes_also_when_the_hub_dies_in_between(make_service: Callable[..., Service]) -> None:
    service = make_service()
    with service.client() as http:
        record = make(http, name="private", workspace="private")
        folder = next((service.state / "workspaces").glob(f"*/private-{record['sandbox_id']}"))
        keeper = service.pid_of("keeper")
        os.kill(keeper, signal.SIGSTOP)  # so that the hub cannot finish
        try:
            with pytest.raises(httpx.TimeoutException):
                http.delete(f"{API}/private", timeout=1)
            gone(http, "private", "it was deleted")
            kill(service.pid_of("hub"))
            wait_until(lambda: alive_again(service, "private"), 20)
            assert folder.exists()
        finally:
            os.kill(keeper, signal.SIGCONT)
        wait_until(lambda: not folder.exists(), 30)


def alive_again(service: Service, name: str) -> bool:
    try:
        with service.client() as http:
            return http.get(f"{API}/{name}").status_code == 410
    except httpx.TransportError:
        return False


def test_the_default_sandbox_for_clients_that_know_one(make_service: Callable[..., Service]) -> None:
    service = make_service()
    session = "/api/v1/session"
    with service.client() as http:
        check(http.get(session), 404, "not_found")
        check(http.delete(session), 404, "not_found")
        made = http.post(session, json={"limits": {"pids": 64}, "labels": {"of": "me"}})
        assert made.status_code == 201 and made.json()["name"] == "default", made.text
        sandbox = made.json()["sandbox_id"]
        assert run(http, "open('f', 'w').write('x')")["sandbox_id"] == sandbox
        assert http.get(session).json()["labels"] == {"of": "me"}
        assert (http.post(session, json={}).status_code, http.post(session).json()["sandbox_id"]) == (200, sandbox)
        check(http.post(session, json={"name": "other"}), 400, "invalid_request", "default")
        check(http.post(session, json={"ttl_seconds": 5}), 409, "conflict", sandbox)
        assert http.delete(session).status_code == 204
        check(http.get(session), 410, "gone", "it was deleted")
        assert http.get("/api/v1/sessions").json()["items"] == []
        second = run(http, "print(open('f').read())")
        assert second["stdout"] == "x\n" and second["sandbox_id"] != sandbox
        make(http, name="other")
        check(http.delete(session, params={"purge": "1"}), 409, "conflict", "'other'")
        assert get(http, "default")["sandbox_id"] == second["sandbox_id"]
        assert http.delete(f"{API}/other").status_code == 204
        assert http.delete(session, params={"purge": "1"}).status_code == 204
        folder = service.state / "workspaces"
        assert list(folder.glob("*/shared")) == []
        assert run(http, "import os; print(os.listdir())")["stdout"] == "[]\n"
        assert http.delete(session).status_code == 204
        assert http.delete(session, params={"purge": "true"}).status_code == 204  # nothing runs: only the files
        assert http.delete(session, params={"purge": "1"}).status_code == 204
        check(http.delete(session, params={"purge": "maybe"}), 400, "invalid_request", "purge")
        wait_until(lambda: list((folder / ".removed").iterdir()) == [], 20)


def test_usage_is_said_against_the_limits(make_service: Callable[..., Service]) -> None:
    service = make_service("limits/max_user_sandboxes=5", "limits/max_sessions=7", "limits/memory_bytes=512M", "limits/pids=128")
    with service.client() as http:
        assert http.get("/api/v1/usage").json()["sandboxes"] == {"used": 0, "limit": 5}
        for name, team in (("a", "red"), ("b", "red"), ("c", "blue")):
            make(http, name=name, labels={"team": team}, limits={"memory_bytes": 100 << 20, "pids": 20, "cpus": 0.5})
        run(http, "1", sandbox="a")
        cells = [http.post("/api/v1/execute/async", json={"code": "import time; time.sleep(60)", "sandbox": "a"}).json() for _ in range(3)]
        wait_until(lambda: http.get("/api/v1/usage").json()["executions"]["running"] == 1)
        usage = http.get("/api/v1/usage", params={"group_by": "label"}).json()
        assert usage["sandboxes"] == {"used": 3, "limit": 5} and usage["sessions"] == {"used": 1, "limit": 7}
        assert usage["memory_bytes"] == {"reserved": 300 << 20, "limit_per_sandbox": 512 << 20}
        assert usage["cpus"] == {"reserved": 1.5, "limit_per_sandbox": 2} and usage["pids"]["reserved"] == 60
        assert (usage["executions"]["running"], usage["executions"]["queued"]) == (1, 2)
        assert usage["held_bytes"]["used"] > 0
        groups = {g["label"]: g for g in usage["groups"]}
        assert groups["team=red"]["sandboxes"] == 2 and groups["team=red"]["memory_bytes"] == 200 << 20
        assert groups["team=red"]["executions"] == {"running": 1, "queued": 2} and groups["team=blue"]["sandboxes"] == 1
        check(http.get("/api/v1/usage", params={"group_by": "colour"}), 400, "invalid_request", "group_by")
        for cell in reversed(cells):
            http.post(f"/api/v1/executions/{cell['execution_id']}/interrupt")


def test_an_extended_lease_lets_go_on_what_waited(http: httpx.Client, box: Callable[..., dict[str, object]]) -> None:
    box(name="extended")
    run(http, "1", sandbox="extended")
    http.patch(f"{API}/extended", json={"ttl_seconds": 1}).raise_for_status()
    http.post("/api/v1/execute/async", json={"code": "import time; time.sleep(25)", "sandbox": "extended"}).raise_for_status()
    time.sleep(1.5)
    waits = http.post("/api/v1/sessions", json={"name": "side", "sandbox": "extended"})
    assert waits.status_code == 201, waits.text
    cell = http.post("/api/v1/execute/async", json={"code": "print('ran')", "sandbox": "extended", "session": "side"}).json()
    time.sleep(0.5)
    assert http.get(f"/api/v1/executions/{cell['execution_id']}").json()["status"] == "queued"
    http.patch(f"{API}/extended", json={"ttl_seconds": 600}).raise_for_status()
    wait_until(lambda: http.get(f"/api/v1/executions/{cell['execution_id']}").json()["status"] == "ok")


def test_what_died_stays_dead_in_the_store(make_service: Callable[..., Service]) -> None:
    """A run that ends because its sandbox does is no use of that sandbox: the row keeps its end."""
    service = make_service("sandbox/idle_seconds=8")
    with service.client() as http:
        make(http, name="dies")
        run(http, "1", sandbox="dies")
        time.sleep(1.2)  # longer than what the store may be behind
        cell = http.post("/api/v1/execute/async", json={"code": "import time; time.sleep(60)", "sandbox": "dies"}).json()
        wait_until(lambda: http.get(f"/api/v1/executions/{cell['execution_id']}").json()["status"] == "running")
        time.sleep(1.2)
        record = json.loads((service.state / "keeper" / "records" / f"{get(http, 'dies')['sandbox_id']}.json").read_text())
        kill(record["pid"])
        wait_until(lambda: http.get(f"{API}/dies").status_code == 410)
        gone(http, "dies", "the sandbox ended: died")
        assert http.get(f"/api/v1/executions/{cell['execution_id']}").json()["status"] in ("kernel_died", "lost")
        kill(service.pid_of("hub"))
        wait_until(lambda: alive_again(service, "dies"), 20)
        gone(http, "dies", "the sandbox ended: died")
