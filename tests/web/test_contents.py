"""The Contents API and /files over real sockets; the workspace is a real folder, the hub is not (tests/unit/fake_files.c)."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

API = "/api/contents"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@pytest.fixture
def server(start: Callable[..., Any], state: Path) -> Any:
    return start(f"state={state}")


def test_a_path_may_have_any_depth_and_none(server: Any) -> None:
    for path in ("", "/", "//"):
        assert server.ask("GET", API + path).json["type"] == "directory"
    for path in ("a", "a/b", "a/b/c"):
        assert server.ask("PUT", f"{API}/{path}", {"type": "directory"}).status == 201
    made = server.ask("PUT", f"{API}/a/b/c/%C3%BC%20%25.txt", {"type": "file", "format": "text", "content": "x"})
    assert made.status == 201 and made.headers["Location"] == f"{API}/a/b/c/%C3%BC%20%25.txt" and made.json["name"] == "ü %.txt"
    assert server.ask("GET", f"{API}/a%2Fb/c/%C3%BC%20%25.txt/").json["content"] == "x"  # a slash is a slash, however it is written
    assert server.ask("GET", f"{API}/checkpoints/checkpoints").json == []
    for path in ("%", "%zz", "%00", "%FF", "a/%2e%2e/b", "a//b"):
        assert server.ask("GET", f"{API}/{path}").status == 400
    assert server.ask("GET", "/api/contentsx").status == 404 and server.ask("GET", "/filesx").status == 404


def test_what_is_not_possible_says_what_is(server: Any) -> None:
    reply = server.ask("POST", "/files/a")
    assert reply.status == 405 and reply.headers["Allow"] == "GET, HEAD, OPTIONS"
    reply = server.ask("OPTIONS", f"{API}/a/checkpoints/checkpoint")
    assert sorted(reply.headers["Allow"].split(", ")) == ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
    for path in (API, "/files/x"):
        assert server.ask("GET", path, key=None).status == 403


def test_bodies_are_read_as_jupyter_server_reads_them(server: Any) -> None:
    assert server.ask("POST", API).json["path"] == "untitled"
    assert server.ask("POST", API, b" null ").json["path"] == "untitled1"
    for body in (b"x", b"[]", b'{"a":1}}', b'"x"'):
        assert server.ask("PUT", f"{API}/a", body).status == 400
    assert server.ask("PUT", f"{API}/a", {"type": "file", "format": "text", "content": "a\0b"}).status == 400
    assert server.ask("PUT", f"{API}/n.ipynb", b'{"type":"notebook","content":{"cells":[],"x":"\\ud800"}}').status == 201
    assert server.ask("GET", f"{API}/n.ipynb").json["content"]["x"] == "\ufffd"


def test_only_few_large_bodies_at_a_time(server: Any) -> None:
    """One that is above what every route takes: eight are under way, the ninth is refused; when one has ended there is room again."""
    head = b"PUT /api/contents/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer kh_admin\r\nContent-Length: %d\r\n\r\n" % (12 << 20)
    sockets: list[socket.socket] = []
    for _ in range(8):
        sockets.append(server.raw(head))
        sockets[-1].sendall(b" " * (11 << 20))
    body = json.dumps({"type": "file", "format": "text", "content": "x" * (12 << 20)}).encode()
    server.until(lambda: server.ask("PUT", f"{API}/b", body).status == 503)
    sockets[0].close()
    server.until(lambda: server.ask("PUT", f"{API}/b", body).status in (200, 201))
    for s in sockets[1:]:
        s.close()
    assert server.ask("PUT", "/api/kernels", {}).status == 405 and server.ask("POST", "/api/kernels", body).status == 413


def test_a_client_that_leaves_a_download_costs_nothing(server: Any, state: Path) -> None:
    server.ask("GET", API)
    with (state / "admin" / "shared" / "big").open("wb") as f:
        f.truncate(1 << 30)
    before = server.resident_bytes()
    ask = b"GET /files/big HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer kh_admin\r\n\r\n"
    for size in (0, 1, 100_000, 3_000_000):
        s = server.raw(ask)
        left = size
        while left > 0:
            left -= len(s.recv(min(left, 65536)))
        s.close()
    stalled = server.raw(ask)
    time.sleep(0.2)
    used = server.cpu_seconds()
    time.sleep(0.3)
    assert server.cpu_seconds() - used < 0.1 and server.resident_bytes() - before < 8 << 20
    stalled.close()
    assert server.ask("GET", "/health").status == 200


def test_nothing_is_submitted_when_too_much_waits(start: Callable[..., Any]) -> None:
    server = start()
    for path in (API, "/files/x"):
        reply = server.ask("GET", path)
        assert reply.status == 503 and reply.json["message"] == "too much waits"


def test_a_server_that_stops_answers_who_waits(server: Any, state: Path) -> None:
    server.ask("GET", API)
    (state / "admin" / "shared" / "a").write_bytes(b"x" * (20 << 20))
    slow = server.raw(b"GET /files/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer kh_admin\r\n\r\n")
    assert slow.recv(10)
    server.drain()
    slow.close()
