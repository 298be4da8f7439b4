"""The hub dies, everything else goes on; at the end nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import uuid

import httpx
import pytest

from conftest import Service, kill, run, wait_until


def all_events(service: Service, execution: str) -> list[dict[str, object]]:
    with service.client() as http:
        reply = http.get(f"/api/v1/executions/{execution}/events", headers={"Accept": "application/x-ndjson"})
        assert reply.status_code == 200, reply.text
        return [json.loads(line) for line in reply.text.splitlines()]


def test_kill_9_of_the_hub_in_a_printing_cell_loses_and_doubles_nothing(make_service: object) -> None:
    service: Service = make_service()  # type: ignore[operator]
    execution = str(uuid.uuid4())
    lines = 400
    code = f"import time\nfor i in range({lines}):\n    print('line', i, flush=True)\n    time.sleep(0.005)"
    with service.client() as http:
        run(http, "before = 1")
        http.post("/api/v1/execute/async", json={"code": code, "execution_id": execution})
        queued = http.post("/api/v1/execute/async", json={"code": "print(before)"}).json()["execution_id"]
    shown: dict[int, str] = {}
    for _ in range(3):
        time.sleep(0.4)
        old = service.pid_of("hub")
        for event in all_events(service, execution):
            shown[event["seq"]] = json.dumps(event, sort_keys=True)
        kill(old)
        begin = time.monotonic()

        def back() -> bool:
            try:
                return httpx.get(f"{service.url}/health/live", timeout=1).status_code == 200 and service.pid_of("hub") != old
            except (httpx.TransportError, OSError, ValueError, IndexError):
                return False

        wait_until(back, 5)
        assert time.monotonic() - begin < 1.0
    with service.client() as http:
        wait_until(lambda: http.get(f"/api/v1/jobs/{execution}").json()["status"] == "ok", 30)
        wait_until(lambda: http.get(f"/api/v1/jobs/{queued}").json()["status"] == "ok", 30)
        assert http.get(f"/api/v1/jobs/{queued}").json()["stdout"] == "1\n"
    events = all_events(service, execution)
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert [e["type"] for e in events].count("finished") == 1 and events[-1]["type"] == "finished"
    text = "".join(e["text"] for e in events if e["type"] == "stdout")
    assert text == "".join(f"line {i}\n" for i in range(lines))
    final = {e["seq"]: json.dumps(e, sort_keys=True) for e in events}
    assert all(final[seq] == line for seq, line in shown.items())


def test_stop_leaves_nothing_and_state_is_there_after_a_new_start(make_service: object) -> None:
    service: Service = make_service()  # type: ignore[operator]
    with service.client() as http:
        run(http, "open('/workspace/kept', 'w').write('data'); 1")
        run(http, "echo hi", language="bash")
        count = len(http.get("/api/v1/executions").json()["items"])
    service.stop()  # raises when anything is left
    service.start()
    with service.client() as http:
        assert run(http, "print('at once')")["stdout"] == "at once\n"
        count += 1
        assert len(http.get("/api/v1/executions").json()["items"]) == count
        assert run(http, "print(open('/workspace/kept').read())")["stdout"] == "data\n"


def test_a_killed_keeper_comes_back_and_the_sandbox_lives_on(make_service: object) -> None:
    service: Service = make_service()  # type: ignore[operator]
    with service.client() as http:
        run(http, "v = 7")
        old = service.pid_of("keeper")
        kill(old)
        assert run(http, "print(v)")["stdout"] == "7\n"

        def back() -> bool:
            try:
                return service.pid_of("keeper") != old and httpx.get(f"{service.url}/health").status_code == 200
            except (OSError, ValueError, IndexError, httpx.TransportError):
                return False

        wait_until(back, 15)
        assert run(http, "print(v)")["stdout"] == "7\n"
        assert run(http, "1", session="another")["status"] == "ok"


def wardens(service: Service) -> list[int]:
    found = subprocess.run(["pgrep", "-f", f"kernelhub-warden.*{service.run}"], capture_output=True, text=True)
    return [int(pid) for pid in found.stdout.split()]


def init_pids(service: Service) -> list[int]:
    instance = (service.state / "keeper" / "instance").read_text().strip()
    ids = subprocess.run(
        ["podman", "ps", "-q", "--filter", f"label=io.kernelhub.instance={instance}"], capture_output=True, text=True
    ).stdout.split()
    form = "{{.State.Pid}}"
    return [int(subprocess.run(["podman", "inspect", "-f", form, i], capture_output=True, text=True).stdout) for i in ids]


def start(http: httpx.Client, code: str, **fields: object) -> str:
    """Starts it and waits until it runs."""
    job = str(http.post("/api/v1/execute/async", json={"code": code, **fields}).json()["execution_id"])
    wait_until(lambda: any(e["type"] == "started" for e in events_of(http, job)), 30)
    return job


def events_of(http: httpx.Client, execution: str) -> list[dict[str, object]]:
    reply = http.get(f"/api/v1/executions/{execution}/events", headers={"Accept": "application/x-ndjson"})
    return [json.loads(line) for line in reply.text.splitlines()] if reply.status_code == 200 else []


def ended(http: httpx.Client, execution: str, seconds: float = 30) -> dict[str, object]:
    """Its record; exactly one `finished`, as the last event."""
    wait_until(lambda: http.get(f"/api/v1/jobs/{execution}").json()["status"] not in ("queued", "running"), seconds)
    types = [e["type"] for e in events_of(http, execution)]
    assert types.count("finished") == 1 and types[-1] == "finished", types
    return dict(http.get(f"/api/v1/jobs/{execution}").json())


def test_a_warden_that_dies_is_replaced_and_the_kernel_keeps_its_state(make_service: object) -> None:
    service: Service = make_service()  # type: ignore[operator]
    with service.client() as http:
        run(http, "x = 41")
        run(http, "y = 'another kernel'", session="another")
        job = start(http, "import time\nfor i in range(600): time.sleep(0.1)")
        queued = http.post("/api/v1/execute/async", json={"code": "x += 1; print(x)"}).json()["execution_id"]
        (before,) = wardens(service)
        kill(before)
        record = ended(http, job)
        assert record["status"] == "lost" and "warden died" in str(events_of(http, job)[-1]["reason"])
        record = ended(http, queued)
        assert (record["status"], record["stdout"]) == ("ok", "42\n")
        (after,) = wardens(service)
        assert after != before
        assert run(http, "print(y)", session="another")["stdout"] == "another kernel\n"
        said = [(e["state"], e.get("reason")) for e in http.get("/api/v1/sessions/python/events").json()["items"] if e["type"] == "kernel_status"]
        assert said[-2:] == [("starting", "the sandbox got another warden"), ("idle", "the kernel kept its state")]
        assert len(http.get("/api/v1/sandboxes").json()["items"]) == 1
        # and the hub that comes after knows the new one
        restart_hub(service)
        assert run(http, "print(x)")["stdout"] == "42\n"


def test_a_kernel_that_does_not_answer_the_new_warden_is_started_anew(make_service: object) -> None:
    service: Service = make_service()  # type: ignore[operator]
    with service.client() as http:
        run(http, "x = 1")
        job = start(http, "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: time.sleep(1)")
        queued = http.post("/api/v1/execute/async", json={"code": "print('x' in globals())"}).json()["execution_id"]
        kill(wardens(service)[0])
        assert ended(http, job)["status"] == "lost"
        record = ended(http, queued, 60)
        assert (record["status"], record["stdout"]) == ("ok", "False\n")
        items = http.get("/api/v1/sessions/python/events").json()["items"]
        dead = [e for e in items if e.get("state") == "dead"]
        assert len(dead) == 1 and "another warden" in dead[0]["reason"]
        assert [e["type"] for e in items].count("restarted") == 1


def test_wardens_that_die_again_and_again_end_their_sandbox(make_service: object) -> None:
    service: Service = make_service()  # type: ignore[operator]
    with service.client() as http:
        run(http, "x = 1")
        seen = set()
        for _ in range(6):
            wait_until(lambda: set(wardens(service)) - seen, 15)
            (pid,) = set(wardens(service)) - seen
            seen.add(pid)
            time.sleep(0.3)
            kill(pid)
        wait_until(lambda: http.get("/api/v1/sandboxes").json()["items"] == [], 20)
        items = http.get("/api/v1/sessions/python/events").json()["items"]
        assert any("its wardens died again and again" in str(e.get("reason")) for e in items)
        assert run(http, "print('x' in globals())")["stdout"] == "False\n"


def test_a_warden_that_dies_while_the_keeper_is_away_is_replaced_by_the_next(make_service: object) -> None:
    service: Service = make_service()  # type: ignore[operator]
    with service.client() as http:
        run(http, "x = 41")
        old = service.pid_of("keeper")
        (warden,) = wardens(service)
        os.kill(service.process.pid, signal.SIGSTOP)  # type: ignore[union-attr]  # no new keeper before the warden is dead
        try:
            kill(old)
            kill(warden)
        finally:
            os.kill(service.process.pid, signal.SIGCONT)  # type: ignore[union-attr]
        wait_until(lambda: set(wardens(service)) - {warden}, 20)
        assert run(http, "print(x + 1)")["stdout"] == "42\n"


@pytest.mark.parametrize("victim", ["init", "container"])
def test_a_killed_container_is_told_truthfully(make_service: object, victim: str) -> None:
    service: Service = make_service()  # type: ignore[operator]
    with service.client() as http:
        run(http, "1")
        job = start(http, "import time; time.sleep(60)")
        if victim == "init":
            kill(init_pids(service)[0])
        else:
            instance = (service.state / "keeper" / "instance").read_text().strip()
            name = subprocess.run(
                ["podman", "ps", "-q", "--filter", f"label=io.kernelhub.instance={instance}"], capture_output=True, text=True
            ).stdout.strip()
            subprocess.run(["podman", "kill", name], check=True, capture_output=True)
        assert ended(http, job)["status"] == "kernel_died"
        assert run(http, "print('again')")["stdout"] == "again\n"


@pytest.mark.parametrize(
    ("code", "status", "exit"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "kernel_died", {"signal": 9}),
        ("import os; os._exit(3)", "kernel_died", {"code": 3}),
        ("import ctypes; ctypes.string_at(0)", "kernel_died", {"signal": 11}),
        ("b = []\nwhile True: b.append(bytearray(50_000_000))", "oom", None),
    ],
)
def test_a_kernels_death_is_told_truthfully(service: Service, code: str, status: str, exit: object) -> None:
    with service.client() as http:
        name = f"death-{uuid.uuid4()}"
        run(http, "x = 1", session=name)
        # its first words leave the kernel by another thread: a kernel that dies at once may never have said them
        job = start(http, f"import time; time.sleep(0.5)\n{code}", session=name)
        queued = http.post("/api/v1/execute/async", json={"code": "1", "session": name}).json()["execution_id"]
        record = ended(http, job, 60)
        assert record["status"] == status
        if exit:
            assert events_of(http, job)[-1]["exit"] == exit
        # "ok" when it came after all was over: it then got a kernel of its own
        assert ended(http, queued)["status"] in ("cancelled", "ok")
        assert run(http, "print('x' in globals())", session=name)["stdout"] == "False\n"
        http.delete(f"/api/v1/sessions/{name}")


def restart_hub(service: Service) -> None:
    """kill -9, and wait until the next hub answers."""
    old = service.pid_of("hub")
    kill(old)

    def back() -> bool:
        try:
            return service.pid_of("hub") != old and httpx.get(f"{service.url}/health").status_code == 200
        except (OSError, ValueError, IndexError, httpx.TransportError):
            return False

    wait_until(back, 15)


def test_large_outputs_before_and_after_a_hub_restart_stay_apart(make_service: object) -> None:
    service: Service = make_service()  # type: ignore[operator]
    code = """
import time
from IPython.display import publish_display_data
for letter in "AB":
    publish_display_data({"image/png": letter * 400000})
    time.sleep(1.5)
"""
    with service.client() as http:
        run(http, "1")
        job = http.post("/api/v1/execute/async", json={"code": code}).json()["job_id"]
        wait_until(lambda: http.get(f"/api/v1/jobs/{job}").json()["results"])
        restart_hub(service)
        wait_until(lambda: http.get(f"/api/v1/jobs/{job}").json()["status"] == "ok")
        references = [r["data"]["image/png"]["ref"] for r in http.get(f"/api/v1/jobs/{job}").json()["results"]]
        assert len(set(references)) == 2
        assert http.get(references[0]).content != http.get(references[1]).content


def test_output_over_the_limit_is_a_gap_also_across_a_hub_restart(make_service: object) -> None:
    service: Service = make_service()  # type: ignore[operator]
    code = "import sys, time\nfor i in range(400):\n    sys.stdout.write('x' * 90 + f' {i}\\n')\n    sys.stdout.flush()\n    time.sleep(0.005)\ntime.sleep(1)"
    with service.client() as http:
        run(http, "1")
        job = http.post("/api/v1/execute/async", json={"code": code, "max_output_bytes": 30000}).json()["job_id"]
        time.sleep(2.3)  # the head is full, the ring holds some lines
        restart_hub(service)
        wait_until(lambda: http.get(f"/api/v1/jobs/{job}").json()["status"] == "ok", 20)
        record = http.get(f"/api/v1/jobs/{job}").json()
        events = all_events(service, job)
    shown = {int(line.split()[1]) for line in record["stdout"].splitlines()}
    assert len(shown) < 400 and record["truncated"] is True
    gaps = [e for e in events if e["type"] == "gap"]
    assert len(gaps) == 1 and len(shown) + gaps[0]["messages"] >= 400 and len(record["stdout"]) < 70000


def test_a_session_that_outlived_a_hub_is_whole(make_service: object) -> None:
    service: Service = make_service()  # type: ignore[operator]
    with service.client() as http:
        run(http, "v = 1")
        restart_hub(service)
        assert run(http, "import os; print(v, os.environ.get('KH_E'))", env={"KH_E": "set"})["stdout"] == "1 set\n"
        assert http.post("/api/v1/sessions/python/restart").status_code == 200
        assert run(http, "'v' in globals()")["results"][0]["data"]["text/plain"] == "False"


def test_late_output_is_kept_with_its_execution_and_is_bounded(make_service: object) -> None:
    service: Service = make_service()  # type: ignore[operator]
    late = "import threading, time\ndef later():\n    time.sleep(0.3); print('late words')\nthreading.Thread(target=later).start()"
    flood = "def more():\n    while True: print('y' * 10000, flush=True); time.sleep(0.001)\nthreading.Thread(target=more, daemon=True).start()"
    with service.client() as http:
        first = run(http, late)["execution_id"]

        def feed() -> list[dict[str, object]]:
            return list(http.get("/api/v1/sessions/python/events").json()["items"])

        wait_until(lambda: any(e["type"] == "late" and e["of"] == first and "late words" in e["text"] for e in feed()))
        run(http, flood)
        time.sleep(2)
        size = len(http.get("/api/v1/sessions/python/events").content)
        time.sleep(1)
        assert len(http.get("/api/v1/sessions/python/events").content) == size < 2_000_000
        assert "gap" in [e["type"] for e in feed()]
