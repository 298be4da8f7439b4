"""The main job: what a newcomer does, by REST and command line, on real kernels."""

from __future__ import annotations

import json
import time
import uuid

import httpx
import pytest

from conftest import Service, run, wait_until


def events_of(text: str) -> list[dict[str, object]]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


def test_state_is_kept_between_executions(http: httpx.Client) -> None:
    assert run(http, "x = 41")["status"] == "ok"
    record = run(http, "print(x + 1)")
    assert record["stdout"] == "42\n"
    assert record["exit_code"] == 0 and record["language"] == "python" and record["session"] == "python"


@pytest.mark.parametrize(
    ("language", "code", "out"),
    [
        ("python", "print(6*7)", "42\n"),
        ("bash", "y=7; echo $((y*6))", "42\n"),
        ("javascript", "console.log(6*7)", "42\n"),
        ("typescript", "const n: number = 42; console.log(n)", "42\n"),
        ("js", "console.log(require('path').basename('/a/b'))", "b\n"),
        ("py", "import sys; print(sys.version_info >= (3, 11))", "True\n"),
    ],
)
def test_four_languages_and_their_aliases(http: httpx.Client, language: str, code: str, out: str) -> None:
    assert run(http, code, language=language)["stdout"] == out


def test_the_result_of_the_last_expression_is_the_main_result(http: httpx.Client) -> None:
    record = run(http, "{'a': [1, 2]}")
    (result,) = record["results"]
    assert result["data"]["text/plain"] == "{'a': [1, 2]}" and result["is_main_result"] is True


def test_displays_updates_and_clear_output_are_honoured(http: httpx.Client) -> None:
    code = """
from IPython.display import display, HTML, clear_output
h = display("one", display_id=True)
h.update("two")
display(HTML("<b>x</b>"))
"""
    results = run(http, code)["results"]
    assert results[0]["data"]["text/plain"] == "'two'" and results[1]["data"]["text/html"] == "<b>x</b>"
    assert run(http, "print('gone'); clear_output(); print('stays')")["stdout"] == "stays\n"


@pytest.mark.parametrize(
    ("language", "code", "name"),
    [
        ("python", "1/0", "ZeroDivisionError"),
        ("javascript", "throw new TypeError('no')", "TypeError"),
        ("typescript", "throw new RangeError('no')", "RangeError"),
    ],
)
def test_errors_come_with_name_value_and_traceback(http: httpx.Client, language: str, code: str, name: str) -> None:
    record = run(http, code, language=language)
    assert record["status"] == "error" and record["exit_code"] == 1
    assert name in record["error"]["name"] + record["error"]["value"] and isinstance(record["error"]["traceback"], list)


def test_a_shells_last_status_is_the_exit_code(http: httpx.Client) -> None:
    record = run(http, "echo out; echo err >&2; (exit 3)", language="bash")
    assert record["exit_code"] == 3 and record["status"] == "error"
    assert "out" in record["stdout"]
    assert run(http, "true", language="bash")["exit_code"] == 0


def test_system_exit_gives_its_code(http: httpx.Client) -> None:
    assert run(http, "import sys; sys.exit(7)")["exit_code"] == 7
    assert run(http, "import sys; sys.exit(0)")["status"] == "ok"


def test_events_are_numbered_and_end_with_finished(http: httpx.Client) -> None:
    reply = http.post("/api/v1/execute", json={"code": "for i in range(3): print(i)"}, headers={"Accept": "text/event-stream"})
    assert reply.status_code == 200 and reply.headers["content-type"].startswith("text/event-stream")
    events = events_of(reply.text)
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert events[0]["type"] == "started" and events[-1]["type"] == "finished" and events[-1]["last_seq"] == len(events)
    assert "".join(e["text"] for e in events if e["type"] == "stdout") == "0\n1\n2\n"
    execution = events[0]["execution_id"]
    again = http.get(f"/api/v1/executions/{execution}/events").json()
    assert again["items"] == events
    lines = http.get(f"/api/v1/executions/{execution}/events", params={"after": 2}, headers={"Accept": "application/x-ndjson"})
    assert [json.loads(line) for line in lines.text.splitlines()] == events[2:]
    after = http.get(
        f"/api/v1/executions/{execution}/events", headers={"Accept": "text/event-stream", "Last-Event-ID": str(len(events))}
    )
    assert after.status_code == 204


def test_output_streams_while_the_code_runs(http: httpx.Client) -> None:
    code = "import time\nfor i in range(4):\n    print(i, flush=True); time.sleep(0.25)"
    seen: list[float] = []
    body = {"code": code}
    with http.stream("POST", "/api/v1/execute", json=body, headers={"Accept": "application/x-ndjson"}) as reply:
        for line in reply.iter_lines():
            if json.loads(line)["type"] == "stdout":
                seen.append(time.monotonic())
    assert len(seen) >= 4 and seen[-1] - seen[0] > 0.6


def test_async_job_and_its_record(http: httpx.Client) -> None:
    reply = http.post("/api/v1/execute/async", json={"code": "import time; time.sleep(0.3); 5", "labels": {"k": "v"}})
    assert reply.status_code == 202
    job = reply.json()
    assert job["job_id"] == job["execution_id"]
    assert http.get(f"/api/v1/jobs/{job['job_id']}").json()["status"] in ("queued", "running")
    wait_until(lambda: http.get(f"/api/v1/jobs/{job['job_id']}").json()["status"] == "ok")
    record = http.get(f"/api/v1/executions/{job['execution_id']}").json()
    assert record["results"][0]["data"]["text/plain"] == "5" and record["labels"] == {"k": "v"}
    assert record["code"].startswith("import time") and record["started_at"] and record["finished_at"]


def test_an_id_is_run_once_and_attaches_after_that(http: httpx.Client) -> None:
    run(http, "n = 0")
    body = {"code": "n += 1; n", "execution_id": str(uuid.uuid4())}
    first = http.post("/api/v1/execute", json=body).json()
    again = http.post("/api/v1/execute", json=body).json()
    assert first["results"] == again["results"] and run(http, "n")["results"][0]["data"]["text/plain"] == "1"
    other = http.post("/api/v1/execute", json={**body, "code": "n += 2"})
    assert other.status_code == 409 and other.json()["error"]["code"] == "conflict"


def test_interrupt_stops_a_loop_and_keeps_the_state(http: httpx.Client) -> None:
    run(http, "kept = 'yes'")
    job = http.post("/api/v1/execute/async", json={"code": "import time\nwhile True: time.sleep(0.1)"}).json()
    wait_until(lambda: http.get(f"/api/v1/jobs/{job['job_id']}").json()["status"] == "running")
    time.sleep(0.2)
    assert http.post(f"/api/v1/executions/{job['execution_id']}/interrupt").status_code == 200
    wait_until(lambda: http.get(f"/api/v1/jobs/{job['job_id']}").json()["status"] == "interrupted")
    assert http.get(f"/api/v1/jobs/{job['job_id']}").json()["exit_code"] == 130
    assert run(http, "kept")["results"][0]["data"]["text/plain"] == "'yes'"


def test_timeout_interrupts_and_keeps_the_state_when_it_can(http: httpx.Client) -> None:
    run(http, "kept = 1")
    record = run(http, "import time; time.sleep(30)", timeout_seconds=0.5)
    assert record["status"] == "timeout" and record["exit_code"] == 124
    assert run(http, "kept")["status"] == "ok"


def test_timeout_kills_what_does_not_listen_and_says_so(http: httpx.Client) -> None:
    code = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True:\n    pass"
    reply = http.post("/api/v1/execute", json={"code": code, "session": "deaf", "timeout_seconds": 0.5})
    record = reply.json()
    assert record["status"] == "timeout"
    events = http.get(f"/api/v1/executions/{record['execution_id']}/events").json()["items"]
    assert "state is lost" in events[-1]["reason"]
    assert run(http, "1", session="deaf")["status"] == "ok"
    http.delete("/api/v1/sessions/deaf")


def test_kernel_death_is_told_and_the_session_works_again(http: httpx.Client) -> None:
    record = run(http, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", session="dies")
    assert record["status"] == "kernel_died" and record["exit_code"] == 128 + 11
    record = run(http, "import os; os._exit(5)", session="dies")
    assert record["status"] == "kernel_died" and record["exit_code"] == 5
    assert run(http, "2", session="dies")["status"] == "ok"
    http.delete("/api/v1/sessions/dies")


def test_not_persistent_runs_in_a_kernel_of_its_own(http: httpx.Client) -> None:
    run(http, "mine = 1")
    record = run(http, "'mine' in globals()", persistent=False)
    assert record["results"][0]["data"]["text/plain"] == "False"
    names = [s["name"] for s in http.get("/api/v1/sessions").json()["items"]]
    assert not [n for n in names if n.startswith("once-")]


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "import os; print(os.environ.get('KH_X'))"),
        ("bash", 'echo "${KH_X-None}"'),
        ("javascript", "console.log(Deno.env.get('KH_X') ?? 'None')"),
    ],
)
def test_env_is_for_one_run(http: httpx.Client, language: str, code: str) -> None:
    value = 'a "quoted" $value\nwith lines'
    assert run(http, code, language=language, env={"KH_X": value})["stdout"] == value + "\n"
    assert run(http, code, language=language)["stdout"] == "None\n"


def test_stdin_feeds_input_line_by_line(http: httpx.Client) -> None:
    code = "a = input(); b = input()\nprint(a + b)\ntry:\n    input()\nexcept EOFError:\n    print('end')"
    assert run(http, code, stdin="x\ny\n")["stdout"].endswith("xy\nend\n")
    record = run(http, "input()")
    assert record["error"]["name"] == "StdinNotImplementedError"


def test_stdin_of_a_shell_is_its_standard_input(http: httpx.Client) -> None:
    assert run(http, "read a; read b; echo $b$a; cat", language="bash", stdin="x\ny\nrest")["stdout"] == "yx\nrest"


def test_output_over_the_limit_is_cut_with_a_gap(http: httpx.Client) -> None:
    code = "for i in range(3000): print(f'line {i:06d} ' + 'x' * 50, flush=True)"
    reply = http.post("/api/v1/execute", json={"code": code, "max_output_bytes": 20000}, headers={"Accept": "text/event-stream"})
    events = events_of(reply.text)
    types = [e["type"] for e in events]
    assert types.count("gap") == 1 and types[-1] == "finished" and events[-1]["truncated"] is True
    gap = events[types.index("gap")]
    assert gap["bytes"] > 0 and gap["messages"] > 0 and gap["reason"]
    text = "".join(e["text"] for e in events if e["type"] == "stdout")
    assert text.startswith("line 000000") and "line 002999" in text and len(text) < 30000


def test_a_large_display_becomes_a_reference(http: httpx.Client) -> None:
    code = "from IPython.display import publish_display_data\npublish_display_data({'image/png': 'iVBORw0KGgoA' * 50000, 'text/plain': 'p'})"
    record = run(http, code)
    data = record["results"][0]["data"]
    assert data["text/plain"] == "p" and data["image/png"]["bytes"] == 600000
    blob = http.get(data["image/png"]["ref"])
    assert blob.status_code == 200 and blob.headers["content-type"].startswith("image/png")


def test_twenty_megabytes_of_text_arrive_whole(http: httpx.Client) -> None:
    record = run(http, "print('z' * 20_000_000)")
    assert len(record["stdout"]) == 20_000_001


def test_twenty_megabytes_in_one_event_arrive_whole_by_sse(http: httpx.Client) -> None:
    body = {"code": "print('z' * 20_000_000); print('after')"}
    reply = http.post("/api/v1/execute", json=body, headers={"Accept": "text/event-stream"})
    events = events_of(reply.text)
    assert "".join(e["text"] for e in events if e["type"] == "stdout") == "z" * 20_000_000 + "\nafter\n"
    assert events[-1]["type"] == "finished"


def test_a_hundred_thousand_lines_arrive_whole_and_in_order(http: httpx.Client) -> None:
    record = run(http, "for i in range(100_000): print(i)", timeout_seconds=120)
    assert record["stdout"] == "".join(f"{i}\n" for i in range(100_000)) and record["truncated"] is False


def test_history_filters_and_pages(http: httpx.Client) -> None:
    label = uuid.uuid4().hex
    for i in range(5):
        run(http, f"{i}", labels={"batch": label})
    page = http.get("/api/v1/executions", params={"label": f"batch={label}", "limit": 2}).json()
    assert [i["code"] for i in page["items"]] == ["4", "3"] and page["next"]
    codes = []
    cursor = None
    while True:
        query = {"label": f"batch={label}", "limit": 2, **({"cursor": cursor} if cursor else {})}
        page = http.get("/api/v1/executions", params=query).json()
        codes += [i["code"] for i in page["items"]]
        cursor = page["next"]
        if not cursor:
            break
    assert codes == ["4", "3", "2", "1", "0"]
    assert http.get("/api/v1/executions", params={"q": "no such text " + label}).json()["items"] == []


def test_sessions_have_their_own_variables_and_can_be_restarted(http: httpx.Client) -> None:
    made = http.post("/api/v1/sessions", json={"name": "s1", "language": "python"})
    assert made.status_code == 201 and made.json()["language"] == "python"
    run(http, "v = 1", session="s1")
    assert run(http, "'v' in globals()", session="s2")["results"][0]["data"]["text/plain"] == "False"
    kernel = http.get("/api/v1/sessions/s1").json()["kernel_id"]
    restarted = http.post("/api/v1/sessions/s1/restart")
    assert restarted.status_code == 200 and restarted.json()["kernel_id"] == kernel
    assert run(http, "'v' in globals()", session="s1")["results"][0]["data"]["text/plain"] == "False"
    wrong = http.post("/api/v1/execute", json={"code": "echo", "session": "s1", "language": "bash"})
    assert wrong.status_code == 409
    feed = http.get("/api/v1/sessions/s1/events").json()["items"]
    assert "restarted" in [e["type"] for e in feed] and [e["seq"] for e in feed] == list(range(1, len(feed) + 1))
    assert http.delete("/api/v1/sessions/s1").status_code == 204
    assert http.get("/api/v1/sessions/s1").status_code == 404
    http.delete("/api/v1/sessions/s2")


def test_resource_usage_is_measured(http: httpx.Client) -> None:
    usage = run(http, "sum(i * i for i in range(3_000_000))")["resource_usage"]
    assert usage["cpu_ms"] > 20 and usage["memory_bytes"] > 10_000_000 and usage["pids"] >= 2


def test_languages_images_metrics_and_health(http: httpx.Client, service: Service) -> None:
    names = {i["name"] for i in http.get("/api/v1/languages").json()["items"]}
    assert {"python", "bash", "javascript", "typescript"} <= names
    images = http.get("/api/v1/images").json()["items"]
    assert any(i["name"] == "slim" and i["digest"] for i in images)
    run(http, "1")
    metrics = httpx.get(f"{service.url}/metrics").text
    for name in ("kernelhub_http_requests_total", "kernelhub_executions_total", "kernelhub_execution_seconds_bucket", "kernelhub_sandboxes"):
        assert name in metrics
    assert httpx.get(f"{service.url}/health").json()["status"] == "healthy"
    assert http.get("/api/v1/openapi.json").json()["openapi"].startswith("3.1")


def test_command_line(service: Service) -> None:
    assert service.cli("run", "x = 41").returncode == 0
    assert service.cli("run", "print(x + 1)").stdout == "42\n"
    assert service.cli("run", "--language", "bash", "y=7; echo $((y*6))").stdout == "42\n"
    failed = service.cli("run", "1/0")
    assert failed.returncode == 1 and "ZeroDivisionError" in failed.stderr
    assert service.cli("run", "-", stdin="print('from stdin')").stdout == "from stdin\n"
    assert service.cli("run", "import sys; sys.exit(9)").returncode == 9
    assert "print(x + 1)" in service.cli("history").stdout
    assert "python" in service.cli("sessions").stdout
    assert service.cli("health").returncode == 0
    assert json.loads(service.cli("run", "--json", "--no-stream", "6*7").stdout)["results"][0]["data"]["text/plain"] == "42"


def test_the_sdk(service: Service) -> None:
    from kernelhub import Client

    with Client(url=service.url, token=service.key) as hub:
        hub.execute("sdk = 41")
        assert hub.execute("print(sdk + 1)").stdout == "42\n"
        assert "".join(e.text or "" for e in hub.stream("for i in range(3): print(i)") if e.type == "stdout") == "0\n1\n2\n"
        job = hub.submit("import time; time.sleep(60)")
        wait_until(lambda: job.status() == "running")
        time.sleep(0.1)
        job.interrupt()
        assert job.wait().status == "interrupted"


def test_text_that_is_no_proper_unicode_is_mended_not_lost(http: httpx.Client) -> None:
    assert run(http, "print('a\\0b')")["stdout"] == "a\ufffdb\n"
    assert run(http, "printf 'a\\xffb\\n'", language="bash")["stdout"] == "a\ufffdb\n"
