"""The hub dies, everything else goes on; at the end nothing is left."""

from __future__ import annotations

import json
import time
import uuid

import httpx

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


def test_a_killed_warden_or_container_is_told_truthfully(make_service: object) -> None:
    import subprocess

    service: Service = make_service()  # type: ignore[operator]
    with service.client() as http:
        for victim in ("kernelhub-warden", "kernelhub-init"):
            run(http, "1")
            job = http.post("/api/v1/execute/async", json={"code": "import time; time.sleep(60)"}).json()
            wait_until(lambda: http.get(f"/api/v1/jobs/{job['job_id']}").json()["status"] == "running")
            if victim == "kernelhub-warden":
                pids = subprocess.run(["pgrep", "-f", f"{victim}.*{service.run}"], capture_output=True, text=True).stdout.split()
            else:
                instance = (service.state / "keeper" / "instance").read_text().strip()
                ids = subprocess.run(
                    ["podman", "ps", "-q", "--filter", f"label=io.kernelhub.instance={instance}"], capture_output=True, text=True
                ).stdout.split()
                form = "{{.State.Pid}}"
                pids = [subprocess.run(["podman", "inspect", "-f", form, i], capture_output=True, text=True).stdout.strip() for i in ids]
            assert pids
            for pid in pids:
                kill(int(pid))
            wait_until(lambda: http.get(f"/api/v1/jobs/{job['job_id']}").json()["status"] in ("lost", "kernel_died"), 15)
            events = all_events(service, job["job_id"])
            assert [e["type"] for e in events].count("finished") == 1
            assert run(http, "print('again')")["stdout"] == "again\n"


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
    code = "import time\nfor i in range(400):\n    print('x' * 90, i, flush=True)\n    time.sleep(0.005)\ntime.sleep(1)"
    with service.client() as http:
        run(http, "1")
        job = http.post("/api/v1/execute/async", json={"code": code, "max_output_bytes": 60000}).json()["job_id"]
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
