"""The HTTP server over a real socket, with a fake hub behind it (tests/unit/fake_hub.c says what it does)."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ws_client import request

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from tidy import *  # noqa: E402, F403

BINARY = os.environ.get("KERNELHUB_SERVE_FAKE", str(ROOT / "tests/web/serve_fake"))
# Tests of memory would else see what a sanitizer keeps of what was freed.
SANITIZER = {"ASAN_OPTIONS": "quarantine_size_mb=4:thread_local_quarantine_size_kb=64"}
KEY = "kh_admin"
KEY_2 = "kh_user"
SLOW = "/api/kernels/slow/channels"


class Reply:
    def __init__(self, status: int, headers: http.client.HTTPMessage, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        assert set(self.json) == {"error"}
        error = self.json["error"]
        assert set(error) == {"code", "message", "hint", "request_id", "details"}
        assert error["request_id"] == self.headers["X-Request-Id"]
        assert set(error["details"]) == ({"rule"} if error["code"] == "policy_denied" else set())
        return error


class Server:
    def __init__(self, log: Path, *options: str) -> None:
        self.log = log
        with log.open("wb") as err:
            self.process = subprocess.Popen(
                [BINARY, *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                env={**SANITIZER, **os.environ, "DEBUG": "1"},
            )
        assert self.process.stdout and self.process.stdin
        self.port = int(self.process.stdout.readline() or 0)

    def drain(self) -> None:
        assert self.process.stdin
        self.process.stdin.write(b"d")
        self.process.stdin.flush()

    def stop(self) -> int:
        assert self.process.stdin
        self.process.stdin.close()
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            raise

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        key: str | None = KEY,
        connection: http.client.HTTPConnection | None = None,
        **headers: str,
    ) -> Reply:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            sent.setdefault("Authorization", f"Bearer {key}")
        if body is not None and not isinstance(body, bytes | Iterator):
            body = json.dumps(body).encode()
        used = connection or self.connection()
        used.request(method, path, body=body, headers=sent)
        reply = used.getresponse()
        answer = Reply(reply.status, reply.headers, reply.read())
        if connection is None:
            used.close()
        assert answer.headers["X-Request-Id"]
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        return answer

    def execute(self, code: str, **fields: Any) -> Reply:
        return self.ask("POST", "/api/v1/execute", {"code": code, **fields})

    def raw(self, data: bytes = b"") -> socket.socket:
        s = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        s.sendall(data)
        return s

    def raw_execute(self, body: dict[str, Any], accept: str = "application/json") -> socket.socket:
        text = json.dumps(body).encode()
        return self.raw(
            b"POST /api/v1/execute HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer kh_admin\r\n"
            b"Accept: %s\r\nContent-Length: %d\r\n\r\n%s" % (accept.encode(), len(text), text)
        )

    def metric(self, name: str) -> int:
        for line in self.ask("GET", "/metrics").body.decode().splitlines():
            if line.startswith(name + " "):
                return int(line.split()[1])
        raise AssertionError(name)

    def until(self, what: Callable[[], bool], seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.02)

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Held:
    """Asks for the channels of a kernel that takes a minute to start, from the first test on: the answer takes nine seconds."""

    def __init__(self, folder: Any) -> None:
        self.server = Server(folder / "log")
        assert self.server.ask("POST", "/api/kernels", {"name": "slow"}).status == 201
        self.reply, self.seconds = b"", 0.0
        self.thread = threading.Thread(target=self.wait)
        self.thread.start()

    def wait(self) -> None:
        began = time.monotonic()
        with self.server.raw(request(path=SLOW)) as s:
            while b"}" not in self.reply and (piece := s.recv(1 << 16)):
                self.reply += piece
        self.seconds = time.monotonic() - began


@pytest.fixture(scope="session", autouse=True)
def held(leaves_nothing: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    made = Held(tmp_path_factory.mktemp("held"))
    yield made
    assert made.server.stop() == 0
    made.thread.join()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts a server; afterwards it must have ended well (sanitizers say so by its exit status)."""
    servers: list[Server] = []

    def make(*options: str) -> Server:
        servers.append(Server(tmp_path / f"log{len(servers)}", *options))
        return servers[-1]

    yield make
    for server in servers:
        status = server.stop()
        log = server.log.read_text()
        assert status == 0, log[-4000:]
        assert KEY not in log and KEY_2 not in log


@pytest.fixture
def server(start: Callable[..., Server]) -> Server:
    return start()
