"""Terminals as their clients use them: Jupyter Server's API and terminado's messages, and our own WebSocket of raw bytes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import Service, kill, run, wait_until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect


@pytest.fixture
def api(service: Service) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client
        for terminal in client.get("/api/terminals").json():
            client.delete(f"/api/terminals/{terminal['name']}")


def open_socket(service: Service, path: str, **options: Any) -> ClientConnection:
    mark = "&" if "?" in path else "?"
    url = f"ws://127.0.0.1:{service.port}{path}{mark}token={service.key}"
    return connect(url, max_size=None, proxy=None, **options)


def slow_socket(service: Service) -> socket.socket:
    """Little rests in it: who does not read it is soon waited for."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    s.connect(("127.0.0.1", service.port))
    return s


class Terminal:
    """A client of one named terminal."""

    def __init__(self, service: Service, name: str, **options: Any) -> None:
        self.ends = ExitStack()
        self.ws = self.ends.enter_context(open_socket(service, f"/terminals/websocket/{name}", **options))
        self.text = ""
        self.at = 0
        assert json.loads(self.ws.recv(10)) == ["setup", {}]

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exc: object) -> None:
        self.ends.close()

    def send(self, text: str) -> None:
        self.ws.send(json.dumps(["stdin", text]))

    def size(self, rows: int, cols: int) -> None:
        self.ws.send(json.dumps(["set_size", rows, cols, 0, 0]))

    def until(self, pattern: str, timeout: float = 20) -> re.Match[str]:
        """Reads on until what came since the last match has one."""
        deadline = time.monotonic() + timeout
        wanted, since = re.compile(pattern), self.at
        while not (found := wanted.search(self.text, since)):
            left = deadline - time.monotonic()
            assert left > 0, f"{pattern!r} is not in {self.text[self.at :][-500:]!r}"
            try:
                kind, *rest = json.loads(self.ws.recv(left))
            except TimeoutError:
                continue
            assert kind == "stdout", (kind, rest, self.text[-500:])
            since = max(self.at, len(self.text) - 1000)
            self.text += rest[0]
        self.at = found.end()
        return found

    def do(self, command: str, pattern: str, timeout: float = 20) -> re.Match[str]:
        self.send(command + "\r")
        return self.until(pattern, timeout)

    def end(self, timeout: float = 10) -> list[Any]:
        """Reads to the end; the last message."""
        last: list[Any] = []
        try:
            while True:
                last = json.loads(self.ws.recv(timeout))
                self.text += last[1] if last[0] == "stdout" else ""
        except ConnectionClosed:
            return last


def new_terminal(api: httpx.Client, **body: object) -> str:
    made = api.post("/api/terminals", json=body)
    assert made.status_code == 200, made.text
    assert set(made.json()) == {"name", "last_activity"}
    return str(made.json()["name"])


def exec_in(api: httpx.Client, *cmd: str) -> str:
    """A command in the same sandbox, without a terminal."""
    return str(api.post("/api/v1/sandboxes/default/exec", json={"cmd": list(cmd)}).json()["stdout"])


def processes(api: httpx.Client) -> str:
    return exec_in(api, "sh", "-c", "cat /proc/[0-9]*/cmdline 2>&- | tr '\\0' ' '")


def test_what_is_typed_comes_back(service: Service, api: httpx.Client) -> None:
    name = new_terminal(api)
    with Terminal(service, name) as t:
        t.do("echo $((6*7))-é", "[\\r\\n]42-é\\r\\n")
        t.do("tty; pwd; echo $TERM", r"/dev/pts/\d+\r\n/workspace\r\nxterm-256color\r\n")
        t.do("test -t 0 && test -t 1 && test -t 2 && echo $((40+2))-tty", "42-tty")
    assert [m["name"] for m in api.get("/api/terminals").json()] == [name]
    assert api.get(f"/api/terminals/{name}").json()["name"] == name


def test_names_and_folders_are_as_asked_for(service: Service, api: httpx.Client) -> None:
    assert new_terminal(api) == "1" and new_terminal(api) == "2"
    exec_in(api, "mkdir", "-p", "/workspace/a b")
    assert new_terminal(api, name="mine", cwd="a b") == "mine"
    with Terminal(service, "mine") as t:
        t.do("echo at:$PWD:", "at:/workspace/a b:")
    assert new_terminal(api, name="mine") == "mine" and len(api.get("/api/terminals").json()) == 3
    with Terminal(service, new_terminal(api, cwd="nowhere")) as t:
        t.do("echo at:$PWD:", "at:/workspace:")
    for bad in ("a/b", "x" * 64):
        assert api.post("/api/terminals", json={"name": bad}).status_code == 400
    assert api.get("/api/terminals/none").status_code == 404 and api.delete("/api/terminals/none").status_code == 404
    assert api.post("/api/terminals", content=b"[]").status_code == 400
    with pytest.raises(InvalidStatus) as refused:
        Terminal(service, "none")
    assert refused.value.response.status_code == 404


def test_a_terminal_has_the_size_of_its_smallest_client(service: Service, api: httpx.Client) -> None:
    name = new_terminal(api)
    with Terminal(service, name) as t:
        t.do("stty size", "24 80\r\n")
        t.size(50, 132)
        t.do("echo ${COLUMNS}x$(stty size)", "132x50 132\r\n")
        t.do("trap 'echo new-$(stty size)' WINCH; echo $((40+2))", "42\r\n")
        with Terminal(service, name) as other:
            other.size(60, 100)
            t.until("new-50 100\r\n")
            other.until("new-50 100\r\n")
        t.until("new-50 132\r\n")


def test_keys_are_signals_and_the_end(service: Service, api: httpx.Client) -> None:
    name = new_terminal(api)
    with Terminal(service, name) as t:
        t.do("sh -c 'echo on-$((1+1)); exec sleep 1000'", "on-2\r\n")
        t.send("\x03")
        t.do("echo then=$?", "then=130\r\n")
        t.do("sh -c 'echo on-$((3+3)); exec cat'; echo rc=$?", "on-6\r\n")  # before it the shell itself reads, key by key
        t.send("\x04")
        t.until("rc=0\r\n")
        t.do("sh -c 'echo on-$((2+2)); exec sleep 500'", "on-4\r\n")
        t.send("\x1a")
        t.until("Stopped")
        t.do("kill %1; wait; exec sh", "exec sh")  # a shell would warn of stopped jobs
        t.send("exit 3\r")
        assert t.end() == ["disconnect", 1]
        assert (t.ws.close_code, t.ws.close_reason) == (1000, "exit code 3")
    assert api.get(f"/api/terminals/{name}").status_code == 404


def test_messages_that_make_no_sense_are_passed_over(service: Service, api: httpx.Client) -> None:
    with Terminal(service, new_terminal(api)) as t:
        for nonsense in ("", "{", "[]", '["stdin"]', '["stdin",5]', '["set_size",0,0]', '["set_size","a",5]', '["what"]', "[" * 100, "5"):
            t.ws.send(nonsense)
        t.do("stty size", "24 80\r\n")
        t.do("sh -c 'echo on-$((4+4)); exec cat -v'", "on-8\r\n")
        t.send("\x00\x1b[A\x7f\U0001f600\r")  # NUL, an arrow; DEL takes one back
        t.until(r"\^@\^\[\[M-pM-")


def test_all_clients_see_the_same_and_one_that_comes_later_what_was(service: Service, api: httpx.Client) -> None:
    name = new_terminal(api)
    with Terminal(service, name) as a, Terminal(service, name) as b:
        a.do("v=kept; echo from-$((1+1))", "from-2\r\n")
        b.until("from-2\r\n")
        b.do("echo back-$((1+2))", "back-3\r\n")
        a.until("back-3\r\n")
        keeps = api.get("/api/v1/sandboxes/default").json()["keeps_alive"]
        assert any("2 attached clients" in str(k) for k in keeps), keeps
    with Terminal(service, name) as c:
        c.until("from-2\r\n")
        c.until("back-3\r\n")
        c.do("echo still-$v", "still-kept\r\n")
        c.do("seq -w 100000; echo end-$((1+1))", "end-2\r\n", 60)
    with Terminal(service, name) as d:
        d.until("end-2\r\n")
        assert "99999\r\n" in d.text and "00001\r\n" not in d.text and 200_000 < len(d.text) <= 262_144 + 100


def test_a_paste_of_five_megabytes_arrives_whole(service: Service, api: httpx.Client) -> None:
    lines = "".join(f"{i:07} {'abcdefghij' * 7}\n" for i in range(66_000))
    with Terminal(service, new_terminal(api)) as t:
        t.do("stty -echo; cat >pasted; stty echo; echo rc=$?", "rc=")
        for at in range(0, len(lines), 1 << 20):
            t.send(lines[at : at + (1 << 20)])
        t.send("\x04")
        t.until("rc=0\r\n", 60)
        t.do("sha256sum pasted", hashlib.sha256(lines.encode()).hexdigest())
        t.do("rm pasted; echo $((40+2))-", "42-")


def rss(pid: int) -> int:
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) * 1024  # type: ignore[index]


def test_a_flood_that_nobody_reads_costs_nothing(service: Service, api: httpx.Client) -> None:
    """The client stalls, the program waits; other code is quick and no role grows."""
    run(api, "1")
    name = new_terminal(api)
    line = "0123456789abcdef" * 4

    def used_in_a_moment() -> int:
        def used() -> int:
            return int(api.get("/api/v1/sandboxes/default/stats").json()["cpu_ms"])

        before = used()
        time.sleep(0.3)
        return used() - before

    with Terminal(service, name, sock=slow_socket(service)) as t:
        t.do("echo $((40+2))-", "42-")
        hub = service.pid_of("hub")
        before = rss(hub)
        t.send(f"yes {line}\r")
        time.sleep(0.3)
        wait_until(lambda: used_in_a_moment() < 30, 10)  # it has flooded as far as it can, and waits
        slowest = 0.0
        for _ in range(10):
            begin = time.monotonic()
            assert run(api, "print(6*7)")["stdout"] == "42\n"
            slowest = max(slowest, time.monotonic() - begin)
        assert slowest < 1
        assert service.sanitized or rss(hub) - before < 16 << 20  # a sanitizer keeps what was freed
        t.send("\x03")
        t.do("echo end-$((1+1))", "end-2\r\n", 60)
        flood = t.text[t.text.index(line, t.text.index("yes")) : t.text.index("^C")].split("\r\n")
        assert len(flood) > 1000 and set(flood[2:-1]) == {line}  # nothing is lost on the way


def test_a_flood_that_is_read_leaves_others_their_turn(service: Service, api: httpx.Client) -> None:
    run(api, "1")
    with open_socket(service, "/api/v1/terminals/default", close_timeout=0.1) as flood:
        flood.send(b"yes 0123456789abcdef0123456789abcdef\r")
        got, slowest, deadline = 0, 0.0, time.monotonic() + 0.7
        while time.monotonic() < deadline:
            for _ in range(100):
                got += len(flood.recv(10))
            begin = time.monotonic()
            assert run(api, "print(6*7)")["stdout"] == "42\n"
            slowest = max(slowest, time.monotonic() - begin)
        assert got > 1 << 20 and slowest < 1


def wardens(service: Service) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"kernelhub-warden" in command and str(service.run).encode() in command:
                found.append(int(entry.name))
    return found


def test_a_terminal_survives_the_hub_and_not_its_warden(make_service: Any) -> None:
    service: Service = make_service()
    with service.client() as api:
        name = new_terminal(api, name="long")
        with Terminal(service, name) as t:
            t.do("v=kept; for i in $(seq 20); do echo tick-$i; sleep 0.05; done", "tick-3\r\n")
            with open_socket(service, "/api/v1/terminals/default") as own:
                own.send(b"sleep 4321\r")
                wait_until(lambda: "sleep 4321" in processes(api), 5)
                old = service.pid_of("hub")
                kill(old)
            t.end()
            assert t.ws.close_code not in (1000, None)

        def list_of() -> Any:
            try:
                reply = api.get("/api/terminals")
                return [m["name"] for m in reply.json()] if reply.status_code == 200 and service.pid_of("hub") != old else None
            except (httpx.TransportError, OSError, ValueError, IndexError):
                return None

        seen = []
        wait_until(lambda: seen.append(list_of()) or seen[-1] is not None, 10)
        assert seen[-1] == ["long"]  # never an empty list before: a client would take that for its end
        with Terminal(service, name) as t:
            t.until("tick-20\r\n")
            assert [f"tick-{i}\r\n" in t.text for i in range(1, 21)] == [True] * 20
            t.do("echo still-$v", "still-kept\r\n")
            wait_until(lambda: "sleep 4321" not in processes(api), 10)  # that one had lost its client
            t.do("sleep 1234", "sleep 1234")
            wait_until(lambda: "sleep 1234" in processes(api), 5)
            (pid,) = wardens(service)
            kill(pid)
            assert t.end() == ["disconnect", 1]
            assert t.ws.close_code == 1011 and "warden died" in t.ws.close_reason
        wait_until(lambda: "sleep 1234" not in processes(api), 10)
        with Terminal(service, new_terminal(api)) as t:
            t.do("echo $((40+2))-", "42-")


def test_what_a_terminal_started_ends_with_it(service: Service, api: httpx.Client) -> None:
    name = new_terminal(api)
    with Terminal(service, name) as t:
        t.do("sleep 1111 & (trap '' HUP; setsid nohup sleep 2222 >/dev/null 2>&1 </dev/null &) ; (trap 'echo bye >hup; exit' HUP; sleep 3333) & echo $((40+2))-", "42-\r\n")
        wait_until(lambda: all(f"sleep {n}" in processes(api) for n in (1111, 2222, 3333)), 5)
        t.send("exit\r")
        assert t.end() == ["disconnect", 1]
    wait_until(lambda: not re.search("sleep (1111|2222|3333)", processes(api)), 5)


def test_a_terminal_that_is_deleted_ends_whatever_it_says(service: Service, api: httpx.Client) -> None:
    name = new_terminal(api)
    with Terminal(service, name) as t:
        t.do("trap '' HUP TERM INT; sleep 4444 & echo $((40+2))-", "42-")
        assert api.delete(f"/api/terminals/{name}").status_code == 204
        assert t.end() == ["disconnect", 1]
    assert api.get("/api/terminals").json() == []
    wait_until(lambda: "sleep 4444" not in processes(api), 5)


def test_terminals_end_with_their_sandbox(service: Service, api: httpx.Client) -> None:
    with Terminal(service, new_terminal(api)) as t:
        t.do("echo $((40+2))-", "42-")
        assert api.post("/api/v1/sandboxes/default/reset").status_code == 200
        assert t.end() == ["disconnect", 1]
        assert t.ws.close_code == 1011 and "reset" in t.ws.close_reason
    with Terminal(service, new_terminal(api)) as t:
        t.do("echo $((40+2))-", "42-")
        assert api.delete("/api/v1/sandboxes/default").status_code == 204
        assert t.end() == ["disconnect", 1]
    assert api.get("/api/terminals").json() == []


def test_a_terminal_of_ones_own_is_raw_bytes(service: Service, api: httpx.Client) -> None:
    def until(ws: ClientConnection, what: bytes) -> bytes:
        got = b""
        while what not in got:
            got += ws.recv(10)  # type: ignore[operator]
        return got

    with open_socket(service, "/api/v1/terminals/default?rows=33&cols=101") as ws:
        ws.send(b"stty size; printf '\\377\\000x\\n'\r")
        assert b"33 101\r\n" in until(ws, b"\xff\x00x\r\n")
        ws.send('{"rows":40,"cols":120}')
        ws.send('{"rows":"no"}')
        ws.send(b"stty size\r")
        until(ws, b"40 120\r\n")
        assert api.get("/api/terminals").json() == []
        ws.send(b"exit 7\r")
        with pytest.raises(ConnectionClosed):
            while True:
                ws.recv(10)
        assert (ws.close_code, ws.close_reason) == (1000, "exit code 7")
    with open_socket(service, "/api/v1/terminals/default") as ws:
        ws.send(b"sleep 5555\r")
        wait_until(lambda: "sleep 5555" in processes(api), 5)
    wait_until(lambda: "sleep 5555" not in processes(api), 5)
    for path, status in (("none", 404), ("default?rows=0", 400), ("default?size=1", 400)):
        with pytest.raises(InvalidStatus) as refused:
            open_socket(service, f"/api/v1/terminals/{path}")
        assert refused.value.response.status_code == status


def test_the_last_words_are_waited_for(service: Service) -> None:
    """The program ends with more under way than any window holds, and its client is slow."""
    with open_socket(service, "/api/v1/terminals/default", sock=slow_socket(service)) as ws:
        ws.send(b"stty -echo; exec seq 200000\r")
        time.sleep(0.5)
        got = b""
        with pytest.raises(ConnectionClosed):
            while True:
                got += ws.recv(10)  # type: ignore[operator]
        assert (ws.close_code, ws.close_reason) == (1000, "exit code 0")
    numbers = re.findall(rb"^\d+(?=\r\n)", got, re.MULTILINE)
    assert numbers == [b"%d" % i for i in range(2, 200_001)]  # the first stands behind an escape sequence


def test_a_sandbox_that_is_named_has_its_own(service: Service, api: httpx.Client) -> None:
    assert api.post("/api/v1/sandboxes", json={"name": "other"}).status_code == 201
    with open_socket(service, "/api/v1/terminals/other") as ws:
        ws.send(b"cat /proc/sys/kernel/random/uuid >/tmp/mark; echo $((40+2))-\r")
        got = b""
        while b"42-" not in got:
            got += ws.recv(10)  # type: ignore[operator]
        assert exec_in(api, "cat", "/tmp/mark") == ""
        assert api.delete("/api/v1/sandboxes/other").status_code == 204
        with pytest.raises(ConnectionClosed):
            while True:
                ws.recv(10)
        assert ws.close_code == 1011 and "deleted" in ws.close_reason


def test_sixteen_terminals_and_no_more(api: httpx.Client) -> None:
    names = [new_terminal(api) for _ in range(16)]
    refused = api.post("/api/terminals")
    assert refused.status_code == 429 and "16 terminals" in refused.json()["message"]
    assert api.delete(f"/api/terminals/{names[3]}").status_code == 204
    wait_until(lambda: api.post("/api/terminals").status_code == 200, 5)


def test_terminals_begin_while_many_end(api: httpx.Client) -> None:
    """What several of them have to say at once is said at once: a start that is not told of is waited for."""
    for _ in range(5):
        for name in [new_terminal(api) for _ in range(10)]:
            assert api.delete(f"/api/terminals/{name}").status_code == 204
        names = []
        for pause in (0.02, 0.05, 0.03, 0.06, 0.04):  # a shell takes a tenth of a second to end
            time.sleep(pause)
            began = time.monotonic()
            names.append(new_terminal(api))
            assert time.monotonic() - began < 5
        for name in names:
            assert api.delete(f"/api/terminals/{name}").status_code == 204
        time.sleep(0.5)


def test_nobody_elses_terminal_can_be_seen(service: Service, api: httpx.Client) -> None:
    name = new_terminal(api, name="private")
    assert api.post("/api/v1/admin/users", json={"name": "other"}).status_code == 201
    key = api.post("/api/v1/admin/keys", json={"user": "other", "name": "k"}).json()["key"]
    with service.client(key) as other:
        assert other.get("/api/terminals").json() == []
        assert other.get(f"/api/terminals/{name}").status_code == 404
        assert other.delete(f"/api/terminals/{name}").status_code == 404
    url = f"ws://127.0.0.1:{service.port}/terminals/websocket/{name}"
    for wanted, query, headers in ((404, f"?token={key}", {}), (403, "", {}), (403, f"?token={service.key}", {"Origin": "https://evil.example"})):
        with pytest.raises(InvalidStatus) as refused:
            connect(url + query, proxy=None, additional_headers=headers)
        assert refused.value.response.status_code == wanted


def test_a_terminal_is_of_its_sandbox_alone(service: Service, api: httpx.Client) -> None:
    """Its devpts is its own: none of the host's terminals is in it, and /dev/tty is its own."""
    master, slave = os.openpty()
    try:
        host = os.ttyname(slave)
        with Terminal(service, new_terminal(api)) as a, Terminal(service, new_terminal(api)) as b:
            own = a.do("tty", r"(/dev/pts/\d+)\r\n")[1]
            b.do("echo secret-of-b >/dev/tty; tty", r"secret-of-b\r\n")
            a.do("stat -c %d-%i- /dev/ptmx /dev/pts/ptmx; ls /dev/pts | tr '\\n' :; echo $((40+2))-", "42-\r\n")
            listed = re.findall(r"(?:\d+:)+ptmx:", a.text)[-1].split(":")[:-2]
            assert len(listed) == 2 and own.rsplit("/", 1)[1] in listed
            a.do("echo to-own >/dev/tty; python3 -c 'import os; print(os.ttyname(0), os.isatty(2))'", rf"to-own\r\n.*{own} True")
            a.do("stat -f -c %T /dev/pts; stat -c %t:%T:%u /dev/tty $(tty)", r"5:0:\d+\r\n88:[0-9a-f]+:1000\r\n")
            assert "secret-of-b" not in a.text
            assert host not in a.text or own == host  # a number may be the same, the terminal is not
        os.set_blocking(master, False)
        with pytest.raises(BlockingIOError):
            os.read(master, 1)
    finally:
        os.close(master)
        os.close(slave)
