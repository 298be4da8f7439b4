"""Commands in a sandbox (POST /sandboxes/{id}/exec): executions like any other."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest

from conftest import Service, kill, run, wait_until

EXEC = "/api/v1/sandboxes/default/exec"
NDJSON = {"Accept": "application/x-ndjson"}


def command(http: httpx.Client, *cmd: str, **fields: object) -> dict[str, object]:
    """POST …/exec; the reply's record."""
    reply = http.post(EXEC, json={"cmd": cmd, **fields})
    assert reply.status_code == 200, reply.text
    record: dict[str, object] = reply.json()
    return record


def shell(http: httpx.Client, code: str, **fields: object) -> dict[str, object]:
    return command(http, "sh", "-c", code, **fields)


def events_of(http: httpx.Client, execution: object) -> list[dict[str, object]]:
    reply = http.get(f"/api/v1/executions/{execution}/events", headers=NDJSON)
    assert reply.status_code == 200, reply.text
    events = [json.loads(line) for line in reply.text.splitlines()]
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    return events


def text_of(events: list[dict[str, object]], stream: str = "stdout") -> str:
    return "".join(str(e["text"]) for e in events if e["type"] == stream)


class Running:
    """A command that runs beside the test, under an id of our choice."""

    def __init__(self, http: httpx.Client, *cmd: str, **fields: object) -> None:
        self.http = http
        self.id = str(uuid.uuid4())
        self.record: dict[str, object] = {}
        self.thread = threading.Thread(target=self.wait, args=(cmd, fields))
        self.thread.start()
        wait_until(lambda: self.status == "running")

    def wait(self, cmd: tuple[str, ...], fields: dict[str, object]) -> None:
        with suppress(httpx.TransportError):  # a hub that was killed
            self.record = command(self.http, *cmd, execution_id=self.id, **fields)

    @property
    def status(self) -> object:
        reply = self.http.get(f"/api/v1/executions/{self.id}")
        return reply.json()["status"] if reply.status_code == 200 else None

    def has_said(self, text: str) -> None:
        wait_until(lambda: text in text_of(events_of(self.http, self.id)))

    def interrupt(self) -> None:
        assert self.http.post(f"/api/v1/executions/{self.id}/interrupt").status_code == 200

    def ended(self) -> dict[str, object]:
        self.thread.join(30)
        assert not self.thread.is_alive()
        return self.record


def test_a_command_is_an_execution_with_events_and_history(http: httpx.Client) -> None:
    record = command(http, "echo", "a b", labels={"a": "b"})
    assert (record["status"], record["stdout"], record["stderr"], record["exit_code"]) == ("ok", "a b\n", "", 0)
    assert (record["language"], record["session"], record["code"]) == ("command", None, "echo 'a b'")
    assert record["exit"] == {"code": 0} and record["labels"] == {"a": "b"} and not record["truncated"]
    assert set(record["resource_usage"]) >= {"cpu_ms", "memory_bytes", "pids"}
    events = events_of(http, record["execution_id"])
    told = [e for e in events if e["type"] == "files_changed"]  # a sandbox's first run may come before anybody looks
    assert not any(e["items"] for e in told)
    assert [e["type"] for e in events if e not in told] == ["started", "stdout", "finished"]
    assert events[0]["code"] == "echo 'a b'" and events[0]["session"] is None and events[0]["language"] == "command"
    assert events[-1]["exit_code"] == 0 and events[-1]["last_seq"] == len(events)
    again = http.get(f"/api/v1/executions/{record['execution_id']}").json()
    assert again["stdout"] == "a b\n" and again["exit"] == {"code": 0}
    listed = http.get("/api/v1/executions", params={"language": "command", "q": "'a b'"}).json()["items"]
    assert listed[0]["execution_id"] == record["execution_id"]
    names = [s["name"] for s in http.get("/api/v1/sessions").json()["items"]]
    assert all("\x01" not in name for name in names)


@pytest.mark.parametrize(
    ("cmd", "status", "exit_code", "end"),
    [
        (["true"], "ok", 0, {"code": 0}),
        (["sh", "-c", "exit 255"], "error", 255, {"code": 255}),
        (["sh", "-c", "kill -SEGV $$"], "error", 139, {"signal": 11}),
        (["sh", "-c", "kill -KILL $$"], "error", 137, {"signal": 9}),
        (["no-such-program"], "error", 127, {"code": 127}),
        (["/workspace"], "error", 126, {"code": 126}),
        ([""], "error", 127, {"code": 127}),
    ],
)
def test_the_end_is_the_process_s_own(
    http: httpx.Client, cmd: list[str], status: str, exit_code: int, end: dict[str, int]
) -> None:
    record = command(http, *cmd)
    assert (record["status"], record["exit_code"], record["exit"]) == (status, exit_code, end)
    if exit_code in (126, 127):
        assert str(record["stderr"]).startswith(f"kernelhub: {cmd[0]}: ")


def test_where_and_with_what_it_runs(http: httpx.Client) -> None:
    assert command(http, "pwd")["stdout"] == "/workspace\n"
    shell(http, "mkdir -p sub")
    assert command(http, "pwd", cwd="sub")["stdout"] == "/workspace/sub\n"
    assert command(http, "pwd", cwd="/tmp")["stdout"] == "/tmp\n"
    missing = command(http, "pwd", cwd="/no/such")
    assert (missing["status"], missing["exit_code"]) == ("error", 126)
    assert missing["stderr"] == "kernelhub: /no/such: No such file or directory\n"
    record = shell(http, 'echo "$A|$B|$HOME"; id -u', env={"A": "ä 'q'", "B": ""})
    assert record["stdout"] == "ä 'q'||/workspace\n1000\n"
    # three descriptors (and the folder that is being listed), which may be opened by name
    record = shell(http, "ls /proc/self/fd; echo out > /dev/stdout; echo err > /dev/stderr")
    assert record["stdout"] == "0\n1\n2\n3\nout\n" and record["stderr"] == "err\n"
    limits = shell(http, "grep -E 'Seccomp:|NoNewPrivs|CapEff|CapBnd' /proc/self/status; ulimit -c")
    assert str(limits["stdout"]).split() == [
        *("CapEff:", "0" * 16, "CapBnd:", "0" * 16, "NoNewPrivs:", "1", "Seccomp:", "2", "0")
    ]  # fmt: skip


def test_stdin(http: httpx.Client) -> None:
    assert command(http, "cat")["stdout"] == ""
    assert command(http, "cat", stdin="")["stdout"] == ""
    assert command(http, "cat", stdin="a\nü")["stdout"] == "a\nü"
    big = "x" * 5_000_000
    assert str(command(http, "wc", "-c", stdin=big)["stdout"]).strip() == str(len(big))
    assert command(http, "true", stdin=big)["status"] == "ok"
    assert command(http, "head", "-c", "3", stdin=big)["stdout"] == "xxx"


def test_text_that_is_no_utf_8_and_characters_in_two_writes(http: httpx.Client) -> None:
    record = shell(http, r"printf '\303'; sleep 0.2; printf '\251 \342\202'; sleep 0.2; printf '\254|'; printf 'a\377b\000c\303'")
    assert record["stdout"] == "é €|a\ufffdb\ufffdc\ufffd"
    record = shell(http, "head -c 100000 /dev/urandom")
    assert record["status"] == "ok" and len(str(record["stdout"])) > 50000


def test_much_output_is_whole_and_too_much_is_a_gap(http: httpx.Client) -> None:
    lines = 2_900_000
    record = shell(http, f"seq {lines}", timeout_seconds=60)
    assert record["stdout"] == "".join(f"{i}\n" for i in range(1, lines + 1))  # 21.9 MB
    assert not record["truncated"] and record["status"] == "ok"
    record = shell(http, "seq 3000000; echo at the end", timeout_seconds=60, max_output_bytes=8_000_000)
    assert record["status"] == "ok" and record["truncated"]
    events = events_of(http, record["execution_id"])
    assert [e["type"] for e in events].count("gap") == 1
    text = text_of(events)
    assert text.startswith("1\n2\n3\n") and text.endswith("\n3000000\nat the end\n")
    assert 5_000_000 < len(text) < 8_000_000


def test_a_command_past_its_time_is_interrupted_then_killed_with_all_it_started(http: httpx.Client) -> None:
    begin = time.monotonic()
    record = command(http, "sleep", "100", timeout_seconds=0.5)
    assert (record["status"], record["exit_code"], record["exit"]) == ("timeout", 124, {"signal": 2})
    assert time.monotonic() - begin < 2
    record = shell(http, "trap 'echo bye; exit 3' INT; while :; do sleep 0.05; done", timeout_seconds=0.5)
    assert (record["status"], record["exit_code"], record["stdout"]) == ("timeout", 124, "bye\n")
    assert record["exit"] == {"code": 3} and "interrupted" in str(record["reason"])
    stubborn = "trap '' INT TERM; setsid sleep 7391 & (setsid sleep 7391 &); sleep 7391; sleep 7391"
    record = shell(http, stubborn, timeout_seconds=0.5)
    assert (record["status"], record["exit"]) == ("timeout", {"signal": 9}) and "killed" in str(record["reason"])
    assert shell(http, "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c '[s]leep 7391'")["stdout"] == "0\n"


def test_an_interrupt_is_for_the_command_alone(http: httpx.Client) -> None:
    other = Running(http, "sh", "-c", "sleep 1; echo done")
    running = Running(http, "sleep", "100")
    running.interrupt()
    record = running.ended()
    assert (record["status"], record["exit_code"], record["exit"]) == ("interrupted", 130, {"signal": 2})
    running = Running(http, "sh", "-c", "trap 'exit 7' INT; echo ready; while :; do sleep 0.05; done")
    running.has_said("ready")
    running.interrupt()
    record = running.ended()
    assert (record["status"], record["exit_code"]) == ("interrupted", 7)
    assert other.ended()["stdout"] == "done\n"


def test_many_run_side_by_side_and_wait_for_no_cell(make_service: object) -> None:
    service: Service = make_service()  # type: ignore[operator]
    with service.client() as http, ThreadPoolExecutor(20) as pool:
        run(http, "x = 1")
        cell = http.post("/api/v1/execute/async", json={"code": "import time; time.sleep(4); print(x)"}).json()
        begin = time.monotonic()
        results = list(pool.map(lambda i: shell(http, f"sleep 1.5; echo {i}"), range(16)))
        assert time.monotonic() - begin < 4
        assert [r["stdout"] for r in results] == [f"{i}\n" for i in range(16)]
        running = [pool.submit(shell, http, "sleep 2") for _ in range(16)]

        def refused() -> httpx.Response:
            return http.post(EXEC, json={"cmd": ["true"]})

        def running_commands() -> bool:
            return "kernelhub_commands 16" in http.get("/api/v1/metrics").text

        wait_until(running_commands)
        reply = refused()
        assert reply.status_code == 429 and reply.json()["error"]["code"] == "quota_exceeded", reply.text
        assert "16 commands" in reply.json()["error"]["message"]
        assert [r.result()["status"] for r in running] == ["ok"] * 16
        wait_until(lambda: http.get(f"/api/v1/jobs/{cell['execution_id']}").json()["status"] == "ok", 15)
        assert http.get(f"/api/v1/jobs/{cell['execution_id']}").json()["stdout"] == "1\n"
        assert command(http, "true")["status"] == "ok"
        wait_until(lambda: "kernelhub_commands 0" in http.get("/api/v1/metrics").text)


def test_what_runs_in_the_background_lives_on_and_holds_nothing_open(http: httpx.Client) -> None:
    begin = time.monotonic()
    record = shell(http, "rm -f mark; (sleep 1; echo still there > mark; sleep 100) & echo started")
    assert time.monotonic() - begin < 0.9
    assert (record["status"], record["stdout"]) == ("ok", "started\n")
    wait_until(lambda: command(http, "cat", "mark")["stdout"] == "still there\n", 5)
    # what is on its way when the process ends is heard
    assert shell(http, "(sleep 0.05; echo late) & echo first")["stdout"] == "first\nlate\n"
    shell(http, "kill $(grep -l '^sleep.100' /proc/[0-9]*/cmdline | cut -d/ -f3)")


BOMB = """
import os, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
while True:
    try:
        if os.fork() == 0:
            os.setsid()
    except OSError:
        pass
"""


def test_a_fork_bomb_is_bounded_and_its_end_is_everyones(http: httpx.Client) -> None:
    record = command(http, "python3", "-c", BOMB, timeout_seconds=2)
    assert (record["status"], record["exit"]) == ("timeout", {"signal": 9}), record
    record = shell(http, "sleep 0.2; echo well; ls -d /proc/[0-9]* | wc -l")
    assert record["status"] == "ok" and str(record["stdout"]).startswith("well\n"), record
    assert int(str(record["stdout"]).split()[1]) < 20
    assert run(http, "print(6 * 7)")["stdout"] == "42\n"


def test_a_bomb_that_is_left_behind_hurts_its_sandbox_alone(make_service: object) -> None:
    service: Service = make_service("limits/pids=64")  # type: ignore[operator]
    with service.client() as http:
        assert shell(http, "f() { f | f & }; f", timeout_seconds=10)["status"] in ("ok", "error")
        assert http.post("/api/v1/admin/users", json={"name": "neighbour"}).status_code == 201
        key = http.post("/api/v1/admin/keys", json={"user": "neighbour", "name": "k"}).json()["key"]
        with service.client(key) as other:
            assert command(other, "echo", "fine", timeout_seconds=20)["stdout"] == "fine\n"
        assert http.get("/api/v1/health").json()["status"] == "healthy"


def test_no_process_more_is_told(make_service: object) -> None:
    service: Service = make_service("limits/pids=32")  # type: ignore[operator]
    with service.client() as http:
        # init, the shell, 30 of these
        full = Running(http, "sh", "-c", "i=0; while [ $i -lt 30 ]; do sleep 50 & i=$((i+1)); done; echo full; wait")
        full.has_said("full")
        record = command(http, "true")
        assert (record["status"], record["exit_code"]) == ("error", 126)
        assert record["stderr"] == "kernelhub: cannot start the command: Resource temporarily unavailable\n"
        full.interrupt()
        assert full.ended()["status"] == "interrupted"


def test_out_of_memory_is_told(make_service: object) -> None:
    service: Service = make_service("limits/memory_bytes=256M")  # type: ignore[operator]
    with service.client() as http:
        record = shell(http, "exec python3 -c 'x = bytearray(1 << 30)'", timeout_seconds=60)
        assert (record["status"], record["exit_code"]) == ("oom", 137), record
        assert command(http, "echo", "on")["stdout"] == "on\n"


def test_an_id_of_one_s_own(http: httpx.Client) -> None:
    execution = str(uuid.uuid4())
    first = shell(http, "echo $RANDOM$$; date +%N", execution_id=execution)
    again = shell(http, "echo $RANDOM$$; date +%N", execution_id=execution)
    assert first["execution_id"] == execution and again["stdout"] == first["stdout"]
    reply = http.post(EXEC, json={"cmd": ["true"], "execution_id": execution})
    assert reply.status_code == 409 and reply.json()["error"]["code"] == "conflict"


def test_streams_and_a_client_that_leaves(http: httpx.Client) -> None:
    with http.stream("POST", EXEC, json={"cmd": ["sh", "-c", "echo a; sleep 0.3; echo b"]}, headers=NDJSON) as reply:
        lines = [json.loads(line) for line in reply.iter_lines()]
    assert [e["type"] for e in lines] == ["started", "stdout", "stdout", "finished"]
    sse = http.post(EXEC, json={"cmd": ["echo", "a"]}, headers={"Accept": "text/event-stream"}).text
    assert [line for line in sse.splitlines() if line.startswith("id: ")] == ["id: 1", "id: 2", "id: 3"]
    for on_disconnect, status in (("interrupt", "interrupted"), ("continue", "ok")):
        execution = str(uuid.uuid4())
        body = {"cmd": ["sleep", "1"], "execution_id": execution, "on_disconnect": on_disconnect}
        with http.stream("POST", EXEC, json=body, headers=NDJSON) as reply:
            next(reply.iter_lines())
        wait_until(lambda: http.get(f"/api/v1/executions/{execution}").json()["status"] == status)  # noqa: B023


def test_whose_sandbox(service: Service, http: httpx.Client) -> None:
    mine = http.get("/api/v1/sandboxes").json()["items"][0]
    sandbox = mine.get("sandbox_id") or mine["id"]
    reply = http.post(f"/api/v1/sandboxes/{sandbox}/exec", json={"cmd": ["echo", "hi"]})
    assert reply.json()["stdout"] == "hi\n" and reply.json()["sandbox_id"] == sandbox
    assert http.post("/api/v1/sandboxes/nowhere/exec", json={"cmd": ["true"]}).status_code == 404
    name = f"other{uuid.uuid4().hex[:8]}"
    assert http.post("/api/v1/admin/users", json={"name": name}).status_code == 201
    key = http.post("/api/v1/admin/keys", json={"user": name, "name": "k"}).json()["key"]
    with service.client(key) as other:
        assert other.post(f"/api/v1/sandboxes/{sandbox}/exec", json={"cmd": ["true"]}).status_code == 404
        record = shell(other, "ls -A /workspace")  # one of its own, made now
        assert record["stdout"] == "" and record["sandbox_id"] != sandbox
    assert http.delete(f"/api/v1/admin/users/{name}").status_code == 204


def test_the_command_line(service: Service) -> None:
    done = service.cli("exec", "--cwd", "/tmp", "-e", "A=b c", "--", "sh", "-c", "cat; pwd; echo $A >&2; exit 3", stdin="in ü\n")
    assert (done.returncode, done.stdout, done.stderr) == (3, "in ü\n/tmp\n", "b c\n")
    assert service.cli("exec", "no-such", stdin="").returncode == 127
    big = service.cli("exec", "seq", "200000", stdin="")
    assert big.stdout == "".join(f"{i}\n" for i in range(1, 200001))
    nowhere = service.cli("exec", "-b", "nowhere", "ls", stdin="")
    assert nowhere.returncode == 125 and "nowhere" in nowhere.stderr


def test_a_named_sandbox_has_its_own_variables_and_commands_hold_it(http: httpx.Client) -> None:
    made = http.post("/api/v1/sandboxes", json={"name": "exec-box", "env": {"A": "box", "B": "box"}, "idle_seconds": 60})
    assert made.status_code == 201, made.text
    try:
        where = "/api/v1/sandboxes/exec-box/exec"
        body = {"cmd": ["sh", "-c", "echo $A $B $PATH"], "env": {"B": "mine"}}
        assert str(http.post(where, json=body).json()["stdout"]).startswith("box mine /")
        execution = str(uuid.uuid4())
        with http.stream("POST", where, json={"cmd": ["sleep", "50"], "execution_id": execution}, headers=NDJSON) as reply:
            next(reply.iter_lines())
            box = http.get("/api/v1/sandboxes/exec-box").json()
            assert f"running command {execution}" in box["keeps_alive"] and box["sessions"] == []
    finally:
        assert http.delete("/api/v1/sandboxes/exec-box").status_code == 204
    record = http.get(f"/api/v1/executions/{execution}").json()
    assert record["status"] in ("interrupted", "lost", "kernel_died", "cancelled"), record
    assert http.post(where, json={"cmd": ["true"]}).status_code == 410


def test_limits(http: httpx.Client) -> None:
    reply = http.post(EXEC, json={"cmd": ["true"], "env": {f"A{i}": "x" * 30000 for i in range(6)}})
    assert reply.status_code == 413 and "cmd, env and cwd have" in reply.json()["error"]["message"]
    longest = "y" * 131000
    record = command(http, "sh", "-c", 'printf %s "$0" | wc -c', longest)
    assert str(record["stdout"]).strip() == "131000"
    record = shell(http, "echo $#", cwd="/")
    assert record["stdout"] == "0\n"


@pytest.fixture
def hub_killer(make_service: object) -> Iterator[Service]:
    yield make_service()  # type: ignore[operator]


def restart_hub(service: Service) -> None:
    old = service.pid_of("hub")
    kill(old)

    def back() -> bool:
        try:
            return httpx.get(f"{service.url}/health/live", timeout=1).status_code == 200 and service.pid_of("hub") != old
        except (httpx.TransportError, OSError, ValueError, IndexError):
            return False

    wait_until(back, 5)


def test_kill_9_of_the_hub_loses_and_doubles_nothing(hub_killer: Service) -> None:
    execution = str(uuid.uuid4())
    code = "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); sleep 0.005; done; echo err >&2; exit 5"
    body = {"cmd": ["sh", "-c", code], "execution_id": execution}
    with hub_killer.client() as http:
        with http.stream("POST", EXEC, json=body, headers=NDJSON) as reply:
            next(reply.iter_lines())
    shown: dict[object, str] = {}
    for _ in range(3):
        time.sleep(0.4)
        with hub_killer.client() as http:
            shown |= {e["seq"]: json.dumps(e, sort_keys=True) for e in events_of(http, execution)}
        restart_hub(hub_killer)
    with hub_killer.client() as http:
        wait_until(lambda: http.get(f"/api/v1/executions/{execution}").json()["status"] == "error", 30)
        record = http.get(f"/api/v1/executions/{execution}").json()
        assert (record["exit_code"], record["stderr"], record["session"]) == (5, "err\n", None)
        assert record["stdout"] == "".join(f"line {i}\n" for i in range(300))
        events = events_of(http, execution)
        assert [e["type"] for e in events].count("finished") == 1
        final = {e["seq"]: json.dumps(e, sort_keys=True) for e in events}
        assert all(final[seq] == line for seq, line in shown.items())
        # a command that ended while no hub was there, and one that is interrupted by the next hub
        wait_until(lambda: "kernelhub_commands 0" in http.get("/api/v1/metrics").text)
        long, short = Running(http, "sleep", "100"), str(uuid.uuid4())
        body = {"cmd": ["sh", "-c", "sleep 0.3; echo end"], "execution_id": short}
        with http.stream("POST", EXEC, json=body, headers=NDJSON) as reply:
            next(reply.iter_lines())
    restart_hub(hub_killer)
    with hub_killer.client() as http:
        wait_until(lambda: http.get(f"/api/v1/executions/{short}").json()["status"] == "ok")
        assert http.get(f"/api/v1/executions/{short}").json()["stdout"] == "end\n"
        assert http.get(f"/api/v1/executions/{long.id}").json()["status"] == "running"
        assert http.post(f"/api/v1/executions/{long.id}/interrupt").status_code == 200
        wait_until(lambda: http.get(f"/api/v1/executions/{long.id}").json()["status"] == "interrupted")
        assert command(http, "echo", "on")["stdout"] == "on\n"


def test_the_end_of_the_sandbox_is_told(hub_killer: Service) -> None:
    with hub_killer.client() as http:
        pid = int(str(shell(http, "echo $PPID")["stdout"]))
        assert pid == 1, "init is the command's parent"
        running = Running(http, "sleep", "100")
        inits = [int(line.split()[0]) for line in open_init_pids(hub_killer)]
        assert len(inits) == 1
        kill(inits[0])
        record = running.ended()
        assert record["status"] in ("kernel_died", "lost") and record["exit_code"] in (None, 137), record
        wait_until(lambda: command(http, "echo", "again")["stdout"] == "again\n")  # in a new one


def open_init_pids(service: Service) -> list[str]:
    """PID 1 of the service's containers, as the host sees it."""
    import subprocess

    instance = (service.state / "keeper" / "instance").read_text().strip()
    listed = subprocess.run(
        ["podman", "ps", "-q", "--filter", f"label=io.kernelhub.instance={instance}"], capture_output=True, text=True, check=True
    )
    return [
        subprocess.run(["podman", "inspect", "--format", "{{.State.Pid}}", c], capture_output=True, text=True, check=True).stdout
        for c in listed.stdout.split()
    ]
