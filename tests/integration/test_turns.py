"""Whose turn it is, and how a turn ends before its code does: queue, cancel, interrupt, timeout."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import httpx
import pytest

from conftest import Service, kill, run, wait_until

Event = dict[str, object]
NAP = "import time; time.sleep(60)"
DEAF = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True:\n    time.sleep(0.1)"


def submit(http: httpx.Client, code: str, **fields: object) -> dict[str, object]:
    reply = http.post("/api/v1/execute/async", json={"code": code, **fields})
    assert reply.status_code == 202, reply.text
    return dict(reply.json())


def record_of(http: httpx.Client, execution: object) -> dict[str, object]:
    return dict(http.get(f"/api/v1/executions/{execution}").json())


def events_of(http: httpx.Client, execution: object) -> list[Event]:
    return list(http.get(f"/api/v1/executions/{execution}/events", params={"limit": 1000}).json()["items"])


def feed_of(http: httpx.Client, session: str) -> list[Event]:
    return list(http.get(f"/api/v1/sessions/{session}/events", params={"limit": 1000}).json()["items"])


def wait_for(http: httpx.Client, execution: object, status: str, seconds: float = 20) -> dict[str, object]:
    wait_until(lambda: record_of(http, execution)["status"] == status, seconds)
    record = record_of(http, execution)
    events = events_of(http, execution)
    if events[-1]["type"] == "finished":
        assert [e["type"] for e in events].count("finished") == 1
        assert events[-1]["status"] == status and events[-1]["exit_code"] == record["exit_code"]
    return record


def wait_begun(http: httpx.Client, execution: object) -> None:
    wait_until(lambda: any(e["type"] == "started" for e in events_of(http, execution)), 20)
    time.sleep(0.2)


def interrupt(http: httpx.Client, execution: object) -> httpx.Response:
    return http.post(f"/api/v1/executions/{execution}/interrupt")


def test_executions_of_a_session_run_in_order_with_a_visible_position(http: httpx.Client) -> None:
    run(http, "order = []")
    first = submit(http, "import time; time.sleep(1.2); order.append(0)")
    others = [submit(http, f"order.append({i})") for i in range(1, 5)]
    assert first["position"] == 0
    assert [(o["status"], o["position"]) for o in others] == [("queued", i) for i in range(1, 5)]
    for i, other in enumerate(others, 1):
        record = record_of(http, other["execution_id"])
        assert (record["status"], record["position"]) == ("queued", i)
        assert [(e["type"], e["position"]) for e in events_of(http, other["execution_id"])] == [("queued", i)]
    for other in others:
        assert "position" not in wait_for(http, other["execution_id"], "ok")
    assert run(http, "print(order)")["stdout"] == "[0, 1, 2, 3, 4]\n"


def test_who_watches_a_queued_execution_sees_others_leave(http: httpx.Client, service: Service) -> None:
    run(http, "1")
    running = submit(http, NAP)["execution_id"]
    before = [submit(http, "1")["execution_id"] for _ in range(2)]
    seen: list[Event] = []

    def watch() -> None:
        with service.client() as own:
            body = {"code": "2"}
            with own.stream("POST", "/api/v1/execute", json=body, headers={"Accept": "application/x-ndjson"}) as reply:
                seen.extend(json.loads(line) for line in reply.iter_lines())

    watcher = threading.Thread(target=watch)
    watcher.start()
    wait_until(lambda: [e["position"] for e in seen if e["type"] == "queued"] == [3] or len(seen) > 0)
    assert http.post(f"/api/v1/executions/{before[0]}/cancel").json() == {"execution_id": before[0], "status": "cancelled"}
    wait_until(lambda: [e["position"] for e in seen if e["type"] == "queued"] == [3, 2])
    wait_begun(http, running)
    assert interrupt(http, running).status_code == 200
    watcher.join(20)
    assert not watcher.is_alive()
    assert [e["position"] for e in seen if e["type"] == "queued"][:2] == [3, 2]
    assert seen[-1]["status"] == "ok" and [e["seq"] for e in seen] == list(range(1, len(seen) + 1))
    wait_for(http, running, "interrupted")
    assert wait_for(http, before[0], "cancelled")["exit_code"] is None


def test_without_a_queue_a_busy_session_says_so(http: httpx.Client) -> None:
    assert run(http, "1", queue=False)["status"] == "ok"
    running = submit(http, NAP)["execution_id"]
    for path in ("/api/v1/execute", "/api/v1/execute/async"):
        reply = http.post(path, json={"code": "1", "queue": False})
        assert reply.status_code == 409 and reply.json()["error"]["code"] == "busy"
    wait_begun(http, running)
    interrupt(http, running)
    wait_for(http, running, "interrupted")
    assert run(http, "1", queue=False)["status"] == "ok"


def test_cancel_takes_only_queued_ones_out(http: httpx.Client) -> None:
    run(http, "ran = []")
    running = submit(http, NAP)["execution_id"]
    queued = submit(http, "ran.append(1)")["execution_id"]
    other = submit(http, "ran.append(2)")["execution_id"]
    reply = http.post(f"/api/v1/executions/{running}/cancel")
    assert reply.status_code == 409 and reply.json()["error"]["code"] == "conflict"
    assert http.post(f"/api/v1/executions/{queued}/cancel").status_code == 200
    record = wait_for(http, queued, "cancelled")
    assert record["exit_code"] is None and "cancelled" in str(record["reason"]) and record["started_at"] is None
    assert [e["type"] for e in events_of(http, queued)] == ["queued", "finished"]
    assert http.post(f"/api/v1/executions/{queued}/cancel").status_code == 409
    assert interrupt(http, other).json()["status"] == "cancelled"  # it did not run yet
    wait_begun(http, running)
    interrupt(http, running)
    wait_for(http, running, "interrupted")
    assert interrupt(http, running).json()["status"] == "interrupted"  # no effect any more
    assert run(http, "print(ran)")["stdout"] == "[]\n"


def test_queue_timeout_takes_out_what_waits_too_long(http: httpx.Client) -> None:
    run(http, "1")
    running = submit(http, NAP)["execution_id"]
    begin = time.monotonic()
    record = run(http, "1", queue_timeout_seconds=0.5)
    assert record["status"] == "cancelled" and "queue_timeout_seconds" in str(record["reason"])
    assert 0.4 < time.monotonic() - begin < 5
    wait_begun(http, running)
    interrupt(http, running)
    wait_for(http, running, "interrupted")
    assert run(http, "1", queue_timeout_seconds=0.5)["status"] == "ok"  # and what runs in time, runs


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "import time\ntime.sleep(60)"),
        ("python", "while True: pass"),
        ("python", "import subprocess\nsubprocess.run(['sleep', '60'])"),
        ("python", "import asyncio\nawait asyncio.sleep(60)"),
        ("bash", "sleep 60"),
        ("bash", "while :; do :; done"),
        ("javascript", "while (true) {}"),
    ],
)
def test_interrupt_ends_code_and_keeps_the_state(http: httpx.Client, language: str, code: str) -> None:
    """Python and Bash by signal, Deno by message: as their kernelspecs say."""
    keep, look = {
        "python": ("kept = 7", "print(kept)"),
        "bash": ("kept=7", "echo $kept"),
        "javascript": ("globalThis.kept = 7", "console.log(kept)"),
    }[language]
    session = f"int-{language}"
    run(http, keep, session=session, language=language)
    execution = submit(http, code, session=session, language=language, timeout_seconds=30)["execution_id"]
    wait_begun(http, execution)
    begin = time.monotonic()
    assert interrupt(http, execution).status_code == 200
    record = wait_for(http, execution, "interrupted", 10)
    assert record["exit_code"] == 130 and time.monotonic() - begin < 5
    assert run(http, look, session=session)["stdout"] == "7\n"


def test_an_interrupt_at_once_is_not_lost(http: httpx.Client) -> None:
    """A kernel ignores one that comes before it is at the code, and one that comes on its way there costs it its reply."""
    run(http, "kept = 1")
    for pause in (0.0, 0.0, 0.0005, 0.001, 0.002) * 6:
        accepted = http.post("/api/v1/execute/async", json={"code": "import time\nfor _ in range(1000): time.sleep(0.005)"}).json()
        time.sleep(pause)
        began = time.monotonic()
        path = f"/api/v1/executions/{accepted['execution_id']}"
        assert http.post(f"{path}/interrupt").status_code == 200
        wait_until(lambda path=path: http.get(path).json()["finished_at"], 4)  # type: ignore[misc]
        record = http.get(path).json()
        assert (record["status"], record["exit_code"]) == ("interrupted", 130) and time.monotonic() - began < 2, record
    assert run(http, "print(kept)")["stdout"] == "1\n"


def test_code_that_copes_with_an_interrupt_ends_as_it_ends(http: httpx.Client) -> None:
    code = "import time\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print('coped')"
    execution = submit(http, code)["execution_id"]
    wait_begun(http, execution)
    interrupt(http, execution)
    record = wait_for(http, execution, "ok")
    assert record["stdout"] == "coped\n" and record["exit_code"] == 0


@pytest.mark.parametrize(("language", "code"), [("python", NAP), ("bash", "sleep 60"), ("javascript", "while (true) {}")])
def test_timeout_interrupts_and_the_state_stays(http: httpx.Client, language: str, code: str) -> None:
    session = f"int-{language}"
    run(http, "1" if language != "bash" else "true", session=session, language=language)
    kernel = http.get(f"/api/v1/sessions/{session}").json()["kernel_id"]
    record = run(http, code, session=session, timeout_seconds=0.6)
    assert record["status"] == "timeout" and record["exit_code"] == 124 and "kept its state" in str(record["reason"])
    assert http.get(f"/api/v1/sessions/{session}").json()["kernel_id"] == kernel


def test_deno_cannot_be_interrupted_while_it_awaits_and_the_end_says_so(http: httpx.Client) -> None:
    """An interrupt_request ends what Deno computes, not what it awaits: the deadline then ends the kernel."""
    code = "await new Promise(r => setTimeout(r, 60000))"
    execution = submit(http, code, session="awaits", language="javascript", timeout_seconds=2)["execution_id"]
    wait_begun(http, execution)
    interrupt(http, execution)
    record = wait_for(http, execution, "timeout")
    assert record["exit_code"] == 124 and "state is lost" in str(record["reason"])
    http.delete("/api/v1/sessions/awaits")


def test_what_comes_right_after_a_killed_kernel_runs_in_the_next(http: httpx.Client) -> None:
    for _ in range(3):
        assert run(http, "import os; os._exit(3)", session="quick")["status"] == "kernel_died"
        assert run(http, "6 * 7", session="quick")["status"] == "ok"
    http.delete("/api/v1/sessions/quick")


def test_timeout_kills_the_deaf_and_the_session_says_what_is_lost(http: httpx.Client) -> None:
    kernel = run(http, "kept = 1", session="deaf")["kernel_id"]
    begin = time.monotonic()
    execution = submit(http, DEAF, session="deaf", timeout_seconds=0.5)["execution_id"]
    queued = submit(http, "kept", session="deaf")["execution_id"]
    record = wait_for(http, execution, "timeout")
    assert record["exit_code"] == 124 and "state is lost" in str(record["reason"])
    assert 2 < time.monotonic() - begin < 8
    waited = wait_for(http, queued, "cancelled")
    assert waited["exit_code"] is None and "died before" in str(waited["reason"])
    again = run(http, "'kept' in globals()", session="deaf")
    assert again["results"][0]["data"]["text/plain"] == "False"  # type: ignore[index]
    assert again["kernel_id"] != kernel
    said = [(e["type"], e.get("state")) for e in feed_of(http, "deaf")]
    assert ("kernel_status", "dead") in said
    after = said[said.index(("kernel_status", "dead")) :]
    assert ("restarted", None) in after and after[-1] == ("kernel_status", "idle")
    restarted = [e for e in feed_of(http, "deaf") if e["type"] == "restarted"]
    assert len(restarted) == 1 and "state is lost" in str(restarted[0]["reason"])
    http.delete("/api/v1/sessions/deaf")


def test_a_timeout_counts_from_started_not_from_the_queue(http: httpx.Client) -> None:
    submit(http, "import time; time.sleep(1.5)")
    assert run(http, "print('in time')", timeout_seconds=0.8)["status"] == "ok"


def test_interrupts_find_only_the_execution_they_name(http: httpx.Client) -> None:
    first = submit(http, "import time; time.sleep(1)")["execution_id"]
    wait_for(http, first, "ok")
    second = submit(http, "import time; time.sleep(1.5); print('whole')")["execution_id"]
    wait_begun(http, second)
    interrupt(http, first)
    assert wait_for(http, second, "ok")["stdout"] == "whole\n"


def test_a_session_is_interrupted_by_its_name(http: httpx.Client) -> None:
    execution = submit(http, NAP)["execution_id"]
    wait_begun(http, execution)
    assert http.post("/api/v1/sessions/python/interrupt").status_code in (200, 202, 204)
    assert wait_for(http, execution, "interrupted")["exit_code"] == 130


def hub_is_back(service: Service, old: int) -> bool:
    try:
        return httpx.get(f"{service.url}/health", timeout=1).status_code == 200 and service.pid_of("hub") != old
    except (httpx.TransportError, OSError, ValueError, IndexError):
        return False


def test_deadlines_hold_while_the_hub_is_down(make_service: object) -> None:
    service: Service = make_service()  # type: ignore[operator]
    times = "try:\n    time.sleep(60)\nfinally:\n    open('ended', 'w').write(str(time.time() - begin))"
    with service.client(timeout=30) as http:
        run(http, "import time", session="good")
        run(http, "1", session="deaf")
        good = submit(http, "import time\nbegin = time.time()\n" + times, session="good", timeout_seconds=2)["execution_id"]
        deaf = submit(http, DEAF, session="deaf", timeout_seconds=2)["execution_id"]
        waiting = submit(http, "2", session="good", queue_timeout_seconds=3)["execution_id"]
        wait_begun(http, good)
        wait_begun(http, deaf)
    supervisor, old = service.process, service.pid_of("hub")
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGSTOP)
    try:
        kill(old)
        time.sleep(7)  # past deadline and grace
    finally:
        os.kill(supervisor.pid, signal.SIGCONT)
    wait_until(lambda: hub_is_back(service, old), 15)
    with service.client(timeout=30) as http:
        record = wait_for(http, good, "timeout", 10)
        assert record["exit_code"] == 124 and "kept its state" in str(record["reason"])
        record = wait_for(http, deaf, "timeout", 10)
        assert record["exit_code"] == 124 and "state is lost" in str(record["reason"])
        assert wait_for(http, waiting, "cancelled", 10)["reason"] == "it waited longer than queue_timeout_seconds"
        took = float(str(run(http, "print(open('ended').read())", session="good")["stdout"]))
        assert 1.9 < took < 4, "the warden did not keep the deadline"
        assert any(e["type"] == "restarted" for e in feed_of(http, "deaf")) or run(http, "1", session="deaf")
        assert any(e["type"] == "restarted" for e in feed_of(http, "deaf"))


def test_a_queue_timeout_goes_on_in_the_next_hub(make_service: object) -> None:
    service: Service = make_service()  # type: ignore[operator]
    with service.client(timeout=30) as http:
        run(http, "1")
        running = submit(http, NAP, timeout_seconds=60)["execution_id"]
        wait_begun(http, running)
        waiting = submit(http, "1", queue_timeout_seconds=4)["execution_id"]
        begin = time.monotonic()
        old = service.pid_of("hub")
        kill(old)
        wait_until(lambda: hub_is_back(service, old), 15)
        assert record_of(http, waiting)["position"] == 1
        wait_for(http, waiting, "cancelled", 15)
        assert 3 < time.monotonic() - begin < 10
        wait_until(lambda: interrupt(http, running).status_code == 200)
        wait_for(http, running, "interrupted")


def test_an_interrupt_during_the_hubs_absence_is_not_lost(make_service: object) -> None:
    """Asked for before the sandbox is reached again, it goes out when it is."""
    service: Service = make_service()  # type: ignore[operator]
    with service.client(timeout=30) as http:
        run(http, "1")
        running = submit(http, NAP, timeout_seconds=60)["execution_id"]
        wait_begun(http, running)
        keeper = service.pid_of("keeper")
        os.kill(keeper, signal.SIGSTOP)  # so that nobody tells the hub that the sandbox runs
        try:
            old = service.pid_of("hub")
            kill(old)

            def asked() -> bool:
                try:
                    return interrupt(http, running).status_code == 200
                except httpx.TransportError:
                    return False

            wait_until(asked, 15)
            time.sleep(0.3)
            assert record_of(http, running)["status"] == "running"
        finally:
            os.kill(keeper, signal.SIGCONT)
        wait_for(http, running, "interrupted", 15)
