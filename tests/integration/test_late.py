"""What is printed when its cell has ended: kept, with the cell that it names, and never part of another."""

from __future__ import annotations

import time

import httpx
import pytest

from conftest import run, wait_until

Event = dict[str, object]
FORGE = (
    "k = get_ipython().kernel\n"
    "header = {'msg_id': %r, 'msg_type': 'execute_request', 'session': 'x', 'username': 'u', 'version': '5.3'}\n"
    "k.session.send(k.iopub_socket, 'stream', {'name': 'stdout', 'text': %r}, parent={'header': header})"
)


@pytest.fixture
def session(http: httpx.Client) -> str:
    name = "late"
    http.delete(f"/api/v1/sessions/{name}")
    run(http, "1", session=name)
    return name


def feed(http: httpx.Client, session: str, kind: str = "late") -> list[Event]:
    items = http.get(f"/api/v1/sessions/{session}/events", params={"limit": 1000}).json()["items"]
    return [e for e in items if e["type"] == kind]


def events_of(http: httpx.Client, execution: object) -> list[Event]:
    return list(http.get(f"/api/v1/executions/{execution}/events").json()["items"])


def test_a_task_of_one_cell_does_not_print_into_the_next(http: httpx.Client, session: str) -> None:
    code = "import asyncio\nasync def tick():\n    for i in range(3):\n        await asyncio.sleep(0.3)\n        print('tick', i, flush=True)\ntask = asyncio.create_task(tick())"
    first = run(http, code, session=session)
    assert first["status"] == "ok" and first["stdout"] == ""
    second = run(http, "import asyncio\nfor i in range(3):\n    print('cell', i, flush=True)\n    await asyncio.sleep(0.4)", session=session)
    assert second["stdout"] == "cell 0\ncell 1\ncell 2\n"
    wait_until(lambda: len(feed(http, session)) == 3)
    late = feed(http, session)
    assert [(e["of"], e["output"], e["text"]) for e in late] == [(first["execution_id"], "stdout", f"tick {i}\n") for i in range(3)]
    assert [e["seq"] for e in late] == sorted(int(str(e["seq"])) for e in late)
    events = events_of(http, first["execution_id"])
    assert events[-1]["type"] == "finished" and "stdout" not in [e["type"] for e in events]


@pytest.mark.parametrize(
    ("code", "output", "words"),
    [
        ("import threading\nthreading.Timer(0.4, lambda: print('thread words')).start()", "stdout", "thread words"),
        ("import subprocess\np = subprocess.Popen(['sh', '-c', 'sleep 0.4; echo child words'])", "stdout", "child words"),
        ("import threading, sys\nthreading.Timer(0.4, lambda: print('error words', file=sys.stderr)).start()", "stderr", "error words"),
        ("import threading\nfrom IPython.display import display\nthreading.Timer(0.4, lambda: display('shown words')).start()", "display", "shown words"),
    ],
)
def test_what_comes_after_the_end_names_its_cell(http: httpx.Client, session: str, code: str, output: str, words: str) -> None:
    first = run(http, code, session=session)
    assert first["status"] == "ok"
    wait_until(lambda: any(words in str(e) for e in feed(http, session)))
    late = next(e for e in feed(http, session) if words in str(e))
    assert late["of"] == first["execution_id"] and late["output"] == output and late["session"] == session


def test_what_names_another_cell_goes_there_while_a_cell_runs(http: httpx.Client, session: str) -> None:
    """The header decides, not the time."""
    first = run(http, "1", session=session)["execution_id"]
    second = run(http, "print('own')\n" + FORGE % (first, "of the first\n") + "\nprint('own again')", session=session)
    assert second["stdout"] == "own\nown again\n"
    wait_until(lambda: len(feed(http, session)) == 1)
    assert feed(http, session)[0]["of"] == first and feed(http, session)[0]["text"] == "of the first\n"


def test_an_execution_that_the_warden_forgot_is_found(http: httpx.Client, session: str) -> None:
    old = run(http, "1", session=session)["execution_id"]
    other = run(http, "1")["execution_id"]  # of another session
    assert http.post(f"/api/v1/sessions/{session}/restart").status_code == 200
    unknown = "00000000-0000-4000-8000-000000000000"
    for execution, text in ((other, "foreign\n"), (unknown, "nobody's\n"), (old, "old words\n")):
        record = run(http, FORGE % (execution, text), session=session)
        assert record["status"] == "ok" and record["stdout"] == ""
    wait_until(lambda: len(feed(http, session)) > 0)
    time.sleep(0.3)
    assert [(e["of"], e["text"]) for e in feed(http, session)] == [(old, "old words\n")]
    assert run(http, "print('still here')", session=session)["stdout"] == "still here\n"


def test_late_output_is_bounded_and_says_so_once(http: httpx.Client, session: str) -> None:
    flood = "import threading\ndef flood():\n    for i in range(2000):\n        print('z' * 1000, flush=True)\nt = threading.Timer(0.3, flood)\nt.start()"
    first = run(http, flood, session=session)["execution_id"]
    wait_until(lambda: len(feed(http, session, "gap")) == 1, 20)
    gap = feed(http, session, "gap")[0]
    assert gap["of"] == first and "late output" in str(gap["reason"])
    assert run(http, "t.join(20); t.is_alive()", session=session, timeout_seconds=30)["results"][0]["data"]["text/plain"] == "False"  # type: ignore[index]
    assert sum(len(str(e["text"])) for e in feed(http, session)) < 300_000
    again = run(http, "import threading\nthreading.Timer(0.3, lambda: print('afterwards')).start()", session=session)["execution_id"]
    wait_until(lambda: any(e["of"] == again and "afterwards" in str(e["text"]) for e in feed(http, session)))
    http.delete(f"/api/v1/sessions/{session}")
