"""input(): who is asked, how the answer comes back, and that nobody waits for ever."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from conftest import Service, kill, run, wait_until

Event = dict[str, object]


def stream(http: httpx.Client, code: str, accept: str = "application/x-ndjson", **fields: object) -> Iterator[Event]:
    """The events of a run as they come."""
    with http.stream("POST", "/api/v1/execute", json={"code": code, **fields}, headers={"Accept": accept}) as reply:
        assert reply.status_code == 200, reply.read()
        for line in reply.iter_lines():
            if accept == "text/event-stream":
                if not line.startswith("data:"):
                    continue
                line = line[5:]
            event = json.loads(line)
            if event["type"] != "ping":
                yield event


def answer(http: httpx.Client, execution: object, value: str) -> httpx.Response:
    return http.post(f"/api/v1/executions/{execution}/input", json={"value": value})


def talk(http: httpx.Client, code: str, *answers: str, **fields: object) -> list[Event]:
    """A run whose every question is answered, in order."""
    left = list(answers)
    events = []
    for event in stream(http, code, **fields):
        events.append(event)
        if event["type"] == "input_request":
            reply = answer(http, event["execution_id"], left.pop(0))
            assert reply.status_code == 200, reply.text
            assert reply.json() == {"execution_id": event["execution_id"], "status": "running"}
    assert not left
    return events


def text_of(events: list[Event], kind: str = "stdout") -> str:
    return "".join(str(e["text"]) for e in events if e["type"] == kind)


def submit(http: httpx.Client, code: str, **fields: object) -> str:
    reply = http.post("/api/v1/execute/async", json={"code": code, **fields})
    assert reply.status_code == 202, reply.text
    return str(reply.json()["execution_id"])


def record_of(http: httpx.Client, execution: str) -> dict[str, object]:
    return dict(http.get(f"/api/v1/executions/{execution}").json())


def wait_for(http: httpx.Client, execution: str, status: str, seconds: float = 20) -> None:
    wait_until(lambda: record_of(http, execution)["status"] == status, seconds)


@pytest.mark.parametrize("accept", ["application/x-ndjson", "text/event-stream"])
def test_a_stream_is_asked_and_answers(http: httpx.Client, accept: str) -> None:
    code = "print('before')\nname = input('name? ')\nprint('hello', name)"
    events = talk(http, code, "Böb", accept=accept)
    kinds = [e["type"] for e in events]
    assert kinds == ["started", "stdout", "input_request", "stdout", "finished"]
    assert events[2]["prompt"] == "name? " and events[2]["password"] is False
    assert [e["seq"] for e in events] == [1, 2, 3, 4, 5]
    assert events[3]["text"] == "hello Böb\n" and events[-1]["status"] == "ok"
    stored = http.get(f"/api/v1/executions/{events[0]['execution_id']}/events").json()["items"]
    assert stored == events


def test_a_password_is_asked_as_one_and_is_in_no_event(http: httpx.Client) -> None:
    events = talk(http, "import getpass\nprint(len(getpass.getpass('pw: ')))", "s3cr3t-word")
    asked = next(e for e in events if e["type"] == "input_request")
    assert asked["prompt"] == "pw: " and asked["password"] is True
    assert text_of(events) == "11\n"
    assert "s3cr3t-word" not in http.get(f"/api/v1/executions/{asked['execution_id']}").text
    assert "s3cr3t-word" not in json.dumps(events)


def test_what_was_printed_comes_before_the_prompt(http: httpx.Client) -> None:
    code = "for i in range(60):\n    print('line', i)\n    input(str(i))"
    printed = 0
    for event in stream(http, code):
        if event["type"] == "stdout":
            printed += str(event["text"]).count("\n")
        elif event["type"] == "input_request":
            assert printed == int(str(event["prompt"])) + 1
            assert answer(http, event["execution_id"], "").status_code == 200


def test_the_end_of_file_and_long_lines_reach_the_code(http: httpx.Client) -> None:
    code = "try:\n    input()\nexcept EOFError:\n    print('eof')\nprint(len(input()))"
    assert text_of(talk(http, code, "\x04", "x" * 1_000_000)) == "eof\n1000000\n"


def test_a_waiting_execution_says_so_everywhere(http: httpx.Client) -> None:
    execution = submit(http, "input('?')", interactive=True, labels={"who": "waits"})
    wait_for(http, execution, "waiting_input")
    listed = http.get("/api/v1/executions", params={"status": "waiting_input"}).json()["items"]
    assert [r["execution_id"] for r in listed] == [execution]
    assert "kernelhub_executions_waiting_input 1" in http.get("/api/v1/metrics").text
    assert answer(http, execution, "x").status_code == 200
    wait_for(http, execution, "ok")
    assert "kernelhub_executions_waiting_input 0" in http.get("/api/v1/metrics").text
    assert record_of(http, execution)["results"][0]["data"]["text/plain"] == "'x'"  # type: ignore[index]


def test_of_two_answers_at_once_one_is_taken(http: httpx.Client, service: Service) -> None:
    execution = submit(http, "x = input()\nprint('got', x)", interactive=True)
    wait_for(http, execution, "waiting_input")
    with ThreadPoolExecutor(8) as pool:

        def send(i: int) -> int:
            with service.client() as own:
                return answer(own, execution, f"answer {i}").status_code

        codes = list(pool.map(send, range(8)))
    assert sorted(codes) == [200] + [409] * 7
    wait_for(http, execution, "ok")
    assert record_of(http, execution)["stdout"] == f"got answer {codes.index(200)}\n"


def test_answers_nobody_waits_for_are_refused(http: httpx.Client, service: Service) -> None:
    ended = str(run(http, "1")["execution_id"])
    reply = answer(http, ended, "x")
    assert reply.status_code == 409 and reply.json()["error"]["code"] == "conflict"
    assert answer(http, "00000000-0000-4000-8000-000000000000", "x").status_code == 404
    execution = submit(http, "input()", interactive=True)
    wait_for(http, execution, "waiting_input")
    queued = submit(http, "1")
    assert answer(http, queued, "x").status_code == 409
    too_long = answer(http, execution, "x" * (1024 * 1024 + 1))
    assert too_long.status_code == 413 and too_long.json()["error"]["code"] == "too_large"
    for body in ({}, {"value": None}, {"value": 3}, {"value": "a", "more": 1}, {"value": "a\0b"}):
        assert http.post(f"/api/v1/executions/{execution}/input", json=body).status_code == 400, body
    assert http.post("/api/v1/admin/users", json={"name": "input-other"}).status_code == 201
    key = http.post("/api/v1/admin/keys", json={"name": "k", "user": "input-other"}).json()["key"]
    with service.client(key) as foreign:
        assert answer(foreign, execution, "x").status_code == 404
    assert record_of(http, execution)["status"] == "waiting_input"
    assert answer(http, execution, "x").status_code == 200
    wait_for(http, queued, "ok")


def test_where_nobody_answers_input_raises_at_once(http: httpx.Client) -> None:
    begin = time.monotonic()
    record = run(http, "input('?')")
    assert record["status"] == "error" and record["error"]["name"] == "StdinNotImplementedError"  # type: ignore[index]
    execution = submit(http, "input('?')")
    wait_for(http, execution, "error")
    events = list(stream(http, "input('?')", interactive=False))
    assert "input_request" not in [e["type"] for e in events]
    assert next(e for e in events if e["type"] == "error")["name"] == "StdinNotImplementedError"
    assert time.monotonic() - begin < 10


def test_stdin_is_given_line_by_line_then_ends(http: httpx.Client) -> None:
    code = "lines = []\ntry:\n    while True:\n        lines.append(input())\nexcept EOFError:\n    print(lines)"
    assert run(http, code, stdin="a\n\nb")["stdout"] == "['a', '', 'b']\n"
    events = list(stream(http, code, stdin=""))  # in a stream too, and it asks nobody
    assert text_of(events) == "[]\n" and "input_request" not in [e["type"] for e in events]
    both = http.post("/api/v1/execute", json={"code": "1", "stdin": "x", "interactive": True})
    assert both.status_code == 400 and "interactive" in both.json()["error"]["message"]


def test_interrupt_and_timeout_end_a_waiting_input(http: httpx.Client) -> None:
    execution = submit(http, "kept = 1\ninput()", interactive=True)
    wait_for(http, execution, "waiting_input")
    assert http.post(f"/api/v1/executions/{execution}/interrupt").json()["status"] == "waiting_input"
    wait_for(http, execution, "interrupted")
    assert record_of(http, execution)["exit_code"] == 130
    assert answer(http, execution, "late").status_code == 409
    execution = submit(http, "input()", interactive=True, timeout_seconds=0.7)
    wait_for(http, execution, "waiting_input")
    wait_for(http, execution, "timeout")
    assert record_of(http, execution)["exit_code"] == 124
    assert run(http, "kept")["results"][0]["data"]["text/plain"] == "1"  # type: ignore[index]


def test_a_restart_and_a_dead_kernel_end_a_waiting_input(http: httpx.Client) -> None:
    execution = submit(http, "input()", interactive=True, session="asks")
    wait_for(http, execution, "waiting_input")
    assert http.post("/api/v1/sessions/asks/restart").status_code == 200
    assert record_of(http, execution)["status"] == "interrupted"
    code = "import os, threading\nthreading.Timer(0.5, lambda: os._exit(3)).start()\ninput()"
    execution = submit(http, code, interactive=True, session="asks")
    wait_for(http, execution, "waiting_input")
    wait_for(http, execution, "kernel_died")
    assert record_of(http, execution)["exit_code"] == 3
    http.delete("/api/v1/sessions/asks")


def test_the_tail_of_long_output_comes_before_the_prompt(http: httpx.Client) -> None:
    code = "for n in range(2):\n    for i in range(3000): print('round', n, 'line', i)\n    input('ok? ')"
    events = talk(http, code, "", "", max_output_bytes=20_000)
    kinds = [e["type"] for e in events]
    first = kinds.index("input_request")
    assert kinds[:first].count("gap") == 1 and "round 0 line 2999\n" in text_of(events[:first])
    assert kinds[first:].count("gap") == 1 and "round 1 line 2999\n" in text_of(events[first:])
    second = kinds.index("input_request", first + 1)
    assert kinds.index("gap", first) < second and "round 1 line 2999\n" in text_of(events[:second])
    finished = events[-1]
    assert finished["type"] == "finished" and finished["truncated"] is True
    assert sum(len(str(e["text"])) for e in events if e["type"] == "stdout") < 2 * 20_000


def test_a_prompt_does_not_overtake_a_large_print(http: httpx.Client) -> None:
    """A megabyte takes its way in many pieces, on another socket than the prompt."""
    code = "for n in range(20):\n    print('x' * 1_000_000, 'end of', n)\n    input(str(n))"
    printed = ""
    for event in stream(http, code, max_output_bytes=32 << 20):
        if event["type"] == "stdout":
            printed = (printed + str(event["text"]))[-100:]
        elif event["type"] == "input_request":
            assert f" end of {event['prompt']}\n" in printed
            assert answer(http, event["execution_id"], "").status_code == 200


def test_a_kernel_whose_control_channel_is_asleep_still_asks(http: httpx.Client) -> None:
    """The warden asks there what was printed before a prompt; it waits for an answer for one prompt, not for each."""
    code = "import time\nkernel = get_ipython().kernel\nkernel.control_thread.io_loop.add_callback(time.sleep, 4)\ntime.sleep(0.3)\n"
    code += "began = time.monotonic()\nfor n in range(10):\n    print('line', n)\n    input(str(n))\nprint(time.monotonic() - began)"
    record = run(http, code, stdin="\n" * 10)
    assert record["status"] == "ok", record
    assert 0.2 < float(str(record["stdout"]).split()[-1]) < 2
    assert record["stdout"].count("line") == 10  # type: ignore[attr-defined]


def restart_hub(service: Service) -> None:
    old = service.pid_of("hub")
    kill(old)

    def back() -> bool:
        try:
            return httpx.get(f"{service.url}/health", timeout=1).status_code == 200 and service.pid_of("hub") != old
        except (httpx.TransportError, OSError, ValueError, IndexError):
            return False

    wait_until(back, 15)


def answer_when_reached(http: httpx.Client, execution: str, value: str) -> None:
    """503 means that the sandbox is being reached again."""

    def sent() -> bool:
        reply = answer(http, execution, value)
        assert reply.status_code in (200, 503), reply.text
        return reply.status_code == 200

    wait_until(sent, 10)


def test_an_answer_reaches_the_kernel_through_a_hub_that_came_later(make_service: object) -> None:
    service: Service = make_service()  # type: ignore[operator]
    with service.client() as http:
        code = "a = input('first ')\nprint(a)\nb = input('second ')\nprint(b)"
        execution = submit(http, code, interactive=True)
        wait_for(http, execution, "waiting_input")
        restart_hub(service)
        assert record_of(http, execution)["status"] == "waiting_input"
        answer_when_reached(http, execution, "one")
        wait_until(lambda: len(prompts_of(http, execution)) == 2)
        restart_hub(service)
        answer_when_reached(http, execution, "two")
        wait_for(http, execution, "ok")
        assert record_of(http, execution)["stdout"] == "one\ntwo\n"
        events = http.get(f"/api/v1/executions/{execution}/events").json()["items"]
        assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
        assert prompts_of(http, execution) == ["first ", "second "]


def prompts_of(http: httpx.Client, execution: str) -> list[str]:
    events = http.get(f"/api/v1/executions/{execution}/events").json()["items"]
    return [e["prompt"] for e in events if e["type"] == "input_request"]


def test_stdin_goes_on_where_it_was_when_the_hub_comes_back(make_service: object) -> None:
    service: Service = make_service()  # type: ignore[operator]
    code = "import time\nprint(input())\nprint(input())\ntime.sleep(3)\nprint(input())\ntry:\n    input()\nexcept EOFError:\n    print('eof')"
    with service.client() as http:
        execution = submit(http, code, stdin="a\nb\nc\n")
        wait_until(lambda: record_of(http, execution)["stdout"] == "a\nb\n", 20)
        restart_hub(service)
        wait_for(http, execution, "ok")
        assert record_of(http, execution)["stdout"] == "a\nb\nc\neof\n"


def test_a_thread_that_asks_when_its_cell_has_ended_is_told_that_nobody_is_there(http: httpx.Client) -> None:
    code = (
        "import threading, time\nsaid = []\ndef ask():\n    time.sleep(0.5)\n    try:\n        said.append(input('late? '))\n"
        "    except BaseException as e:\n        said.append(type(e).__name__)\n"
        "t = threading.Thread(target=ask)\nt.start()"
    )
    run(http, "1")
    assert [e["type"] for e in stream(http, code)][-1] == "finished"
    time.sleep(1)
    record = run(http, "t.join(5)\nprint(t.is_alive(), said)")
    assert record["stdout"] in ("False ['EOFError']\n", "False ['StdinNotImplementedError']\n"), record


@pytest.mark.parametrize(
    ("language", "code", "out"),
    [
        ("bash", "read -p 'n? ' x; echo \"[$x] $?\"", "[] 1\n"),
        ("bash", "cat; echo end", "end\n"),
        ("bash", "python3 -c 'import sys; print(repr(sys.stdin.read()))'", "''\n"),
        ("javascript", "console.log(await Deno.stdin.read(new Uint8Array(9)))", "null\n"),
        ("python", "import subprocess; print(subprocess.run(['cat'], capture_output=True).stdout)", "b''\n"),
        ("python", "import os; os.system('cat; echo end')", "end\n"),
    ],
)
def test_what_reads_standard_input_itself_finds_its_end(http: httpx.Client, language: str, code: str, out: str) -> None:
    events = list(stream(http, code, language=language, timeout_seconds=10))
    assert events[-1]["status"] == "ok" and text_of(events) == out


def test_deno_asks_with_prompt_and_confirm(http: httpx.Client) -> None:
    code = "const a = prompt('name?'); console.log(a, confirm('sure?'))"
    assert text_of(talk(http, code, "Ann", "y", language="javascript")) == "Ann true\n"
    record = run(http, code, language="javascript", timeout_seconds=10)
    assert record["status"] == "ok" and record["stdout"] == "null false\n"


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, service: Service, *arguments: str) -> None:
        self.master, slave = pty.openpty()
        self.slave = slave
        self.before = termios.tcgetattr(slave)
        env = dict(service.env, KERNELHUB_URL=service.url, KERNELHUB_TOKEN=service.key)
        command = [service.binary, *arguments]
        self.process = subprocess.Popen(
            command, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, preexec_fn=self.own
        )
        self.text = ""

    def own(self) -> None:
        import fcntl

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def until(self, what: str, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while what not in self.text:
            assert time.monotonic() < deadline, f"'{what}' did not come: {self.text!r}"
            if select.select([self.master], [], [], 0.1)[0]:
                self.text += os.read(self.master, 65536).decode(errors="replace")

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.slave)[3] & termios.ECHO)

    def end(self, seconds: float = 20) -> int:
        code = self.process.wait(seconds)
        while select.select([self.master], [], [], 0.1)[0]:
            self.text += os.read(self.master, 65536).decode(errors="replace")
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal(service: Service) -> Iterator[Callable[..., Terminal]]:
    made: list[Terminal] = []

    def start(*arguments: str) -> Terminal:
        made.append(Terminal(service, *arguments))
        return made[-1]

    yield start
    for t in made:
        t.close()


def test_run_asks_at_the_terminal(terminal: Callable[..., Terminal]) -> None:
    t = terminal("run", "print('first')\nname = input('name? ')\nprint('hello', name)\ninput('more? ')\n3")
    t.until("name? ")
    assert t.text.startswith("first") and t.echoes()
    t.type("Bob\n")
    t.until("hello Bob")
    t.until("more? ")
    t.type("\x04")  # Ctrl-D
    assert t.end() == 1 and "EOFError" in t.text


def test_run_does_not_show_a_password(terminal: Callable[..., Terminal]) -> None:
    t = terminal("run", "import getpass\nprint('length', len(getpass.getpass('pw: ')))")
    t.until("pw: ")
    wait_until(lambda: not t.echoes(), 5)
    t.type("hidden-word\n")
    t.until("length 11")
    assert t.end() == 0 and "hidden-word" not in t.text
    assert termios.tcgetattr(t.slave) == t.before


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, "timeout"])
def test_the_terminal_has_its_echo_back_however_it_ends(http: httpx.Client, terminal: Callable[..., Terminal], how: object) -> None:
    limit = "1.5" if how == "timeout" else "30"
    t = terminal("run", "--timeout", limit, "import getpass\ngetpass.getpass('pw: ')")
    t.until("pw: ")
    wait_until(lambda: not t.echoes(), 5)
    if how == signal.SIGINT:
        t.type("\x03")  # Ctrl-C, from the terminal
    elif how != "timeout":
        t.process.send_signal(how)  # type: ignore[arg-type]
    assert t.end() == (124 if how == "timeout" else 130)
    assert termios.tcgetattr(t.slave) == t.before
    http.post("/api/v1/sessions/python/interrupt")  # a signal leaves it running


def test_run_without_a_terminal_asks_nobody(service: Service) -> None:
    done = service.cli("run", "input('name? ')", stdin="not for it\n")
    assert done.returncode == 1 and "StdinNotImplementedError" in done.stderr
    done = service.cli("run", "--stdin-text", "Bob\n", "print(input('name? '))")
    assert done.returncode == 0 and done.stdout == "Bob\n"


def test_run_answers_through_a_restart_of_the_hub(make_service: object) -> None:
    service: Service = make_service()  # type: ignore[operator]
    t = Terminal(service, "run", "name = input('name? ')\nprint('hello', name)")
    try:
        t.until("name? ")
        restart_hub(service)
        t.type("Bob\n")
        t.until("hello Bob")
        assert t.end() == 0
    finally:
        t.close()


HOSTILE = (
    "k = get_ipython().kernel\n"
    "parent, ident = k.get_parent('shell'), k._get_shell_context_var(k._shell_parent_ident)\n"
    "def ask(prompt):\n"
    "    k.session.send(k.stdin_socket, 'input_request', {'prompt': prompt, 'password': False}, parent, ident=ident)\n"
)


def test_questions_without_end_are_bounded(http: httpx.Client) -> None:
    code = HOSTILE + "for i in range(3000):\n    ask('?' * 100)\nprint('asked')"
    events = list(stream(http, code, max_output_bytes=20_000, timeout_seconds=30))
    asked = [e for e in events if e["type"] == "input_request"]
    assert 20 < len(asked) < 100 and events[-1]["status"] == "ok" and text_of(events) == "asked\n"
    assert answer(http, events[0]["execution_id"], "x").status_code == 409
    assert text_of(talk(http, "print(input('again? '))", "yes")) == "yes\n"


def test_a_huge_prompt_is_left_out_and_said(http: httpx.Client) -> None:
    events = talk(http, "print(input('p' * 1_000_000))", "ok")
    assert [e["type"] for e in events] == ["started", "gap", "input_request", "stdout", "finished"]
    assert events[1]["bytes"] > 1_000_000 and events[2]["prompt"] == "" and text_of(events) == "ok\n"  # type: ignore[operator]
