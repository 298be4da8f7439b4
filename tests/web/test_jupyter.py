"""The Jupyter Server API over HTTP and its WebSocket, with a fake kernel that sends back what comes (tests/unit/fake_jupyter.c)."""

from __future__ import annotations

import http.client
import json
import struct
import time
from typing import Any

import pytest
from conftest import SLOW, Held
from ws_client import BINARY, TEXT, Client, request

V1 = "v1.kernel.websocket.jupyter.org"
PATH = "/api/kernels/python3/channels"


@pytest.fixture
def kernel(server: Any) -> Any:
    assert server.ask("POST", "/api/kernels", {}).status == 201
    return server


def message(content: Any = None, **more: Any) -> dict[str, Any]:
    header = {"msg_id": "m", "msg_type": "x_request", "session": "s", "username": "", "date": "", "version": "5.4"}
    return {"header": header, "parent_header": {}, "metadata": {}, "content": content or {}, "channel": "shell", **more}


def v1(channel: bytes, *parts: bytes) -> bytes:
    all_parts = (channel, *parts)
    offsets = [8 * (len(all_parts) + 2)]
    for part in all_parts:
        offsets.append(offsets[-1] + len(part))
    return struct.pack(f"<{len(offsets) + 1}Q", len(offsets), *offsets) + b"".join(all_parts)


def test_errors_are_as_jupyter_server_says_them(server: Any) -> None:
    for path, key, status in (("/api/kernels", None, 403), ("/api/kernels", "kh_wrong", 403), ("/api/nothing", "kh_admin", 404), ("/api/kernels/none", "kh_admin", 404)):
        reply = server.ask("GET", path, key=key)
        assert reply.status == status
        assert set(reply.json) == {"message", "reason", "request_id"} and reply.json["request_id"] == reply.headers["X-Request-Id"]
    assert server.ask("PUT", "/api/kernels").status == 405
    assert server.ask("GET", "/api/v1/nothing").error["code"] == "not_found"
    assert server.ask("GET", "/apix").error["code"] == "not_found"


def test_a_logo_is_a_picture_and_runs_nothing(server: Any) -> None:
    def ask(path: str, token: str = "kh_admin", **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
        connection = server.connection()
        connection.request("GET", f"/kernelspecs/{path}?token={token}", headers={k.replace("_", "-"): v for k, v in headers.items()})
        reply = connection.getresponse()
        return reply, reply.read()

    for path, kind, begin in (("python3/logo-64x64.png", "image/png", b"\x89PNG"), ("python3/logo-svg.svg", "image/svg+xml", b"<svg")):
        reply, body = ask(path)
        assert (reply.status, reply.headers["Content-Type"]) == (200, kind) and body.startswith(begin)
        assert reply.headers["Content-Security-Policy"] == "default-src 'none'; style-src 'unsafe-inline'; sandbox"
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers.get_all("Cache-Control") == ["private, max-age=3600"]
        etag = reply.headers["ETag"]
        for known in (etag, f'"x", W/{etag}'):
            again, nothing = ask(path, If_None_Match=known)
            assert (again.status, nothing, again.headers["ETag"]) == (304, b"", etag)
        assert ask(path, If_None_Match='"x"')[0].status == 200
    for path in ("python3/logo-32x32.png", "python3/kernel.js", "none/logo-svg.svg", "python3/..%2Flogo-svg.svg"):
        reply = server.ask("GET", f"/kernelspecs/{path}")
        assert reply.status == 404 and set(reply.json) == {"message", "reason", "request_id"}
    assert ask("python3/logo-svg.svg", token="wrong")[0].status == 403


def test_any_query_and_a_slash_at_the_end_are_taken(server: Any) -> None:
    for path in ("/api", "/api/", "/api/kernels?1795247637651", "/api/kernels/?a=b&token=kh_admin", "/api/kernelspecs"):
        assert server.ask("GET", path).status == 200, path
    assert server.ask("GET", "/api/v1/sessions?1795247637651").status == 400


def test_the_fields_of_a_model_may_be_asked_for_by_a_page_that_may(start: Any) -> None:
    server = start("origins=https://lab.example")
    asked = server.ask("OPTIONS", "/api/kernels", key=None, Origin="https://lab.example")
    assert asked.status == 204 and asked.headers["Access-Control-Allow-Origin"] == "https://lab.example"
    assert "authorization" in asked.headers["Access-Control-Allow-Headers"] and "DELETE" in asked.headers["Access-Control-Allow-Methods"]
    for reply in (server.ask("GET", "/api/kernels", Origin="https://lab.example"), server.ask("GET", "/api/kernels?token=kh_admin", key=None, Origin="https://lab.example"), server.ask("GET", "/api/kernels/none", Origin="https://lab.example")):
        assert reply.headers["Access-Control-Allow-Origin"] == "https://lab.example" and reply.headers["Vary"] == "Origin"
    for origin in ("https://evil.example", "null", "https://lab.example.evil"):
        assert server.ask("OPTIONS", "/api/kernels", key=None, Origin=origin).status == 403
        assert server.ask("GET", "/api/kernels?token=kh_admin", key=None, Origin=origin).status == 403
        assert "Access-Control-Allow-Origin" not in server.ask("GET", "/api/kernels", Origin=origin).headers
    # the native API is for our own pages
    assert server.ask("OPTIONS", "/api/v1/sessions", key=None, Origin="https://lab.example").status == 403
    assert "Access-Control-Allow-Origin" not in server.ask("GET", "/api/v1/sessions", Origin="https://lab.example").headers


@pytest.mark.parametrize("base", ["/hub/k", "/hub/k/"])
def test_a_proxy_may_show_it_at_a_path(start: Any, base: str) -> None:
    server = start(f"base={base}")
    for path in ("/api", "/hub/k/api", "/hub/k/t/kh_admin/api/kernels", "/hub/k/health", "/hub/k/api/v1/sessions"):
        assert server.ask("GET", path).status == 200, path
    assert server.ask("GET", "/hub/k").status in (200, 302, 303, 307)
    for path in ("/hub/kapi", "/hub/api", "/hub/k/hub/k/api"):
        assert server.ask("GET", path).status == 404, path


def test_v1_is_chosen_when_it_is_offered(kernel: Any) -> None:
    offered = {"Sec-WebSocket-Protocol": f"other, {V1}"}
    client = Client(kernel.port, path=PATH, **offered)
    assert f"sec-websocket-protocol: {V1}" in client.head.lower()
    sent = v1(b"control", b'{"msg_id":"m","msg_type":"x_request"}', b"{}", b'{"a":1}', b'{"b":[2]}', b"\0\xff", b"")
    client.frame(BINARY, sent)
    assert client.receive_frame() == (BINARY, sent)
    client.close()
    plain = Client(kernel.port, path=PATH, **{"Sec-WebSocket-Protocol": "other"})
    assert "sec-websocket-protocol" not in plain.head.lower()
    plain.frame(TEXT, json.dumps(message({"a": "\u00e4"})).encode())
    opcode, got = plain.receive_frame()
    assert opcode == TEXT and json.loads(got) == {**message({"a": "\u00e4"}), "buffers": [], "msg_id": "m", "msg_type": "x_request"}
    plain.close()


def test_a_kernel_that_is_not_there_is_404_before_the_101(server: Any) -> None:
    with pytest.raises(AssertionError, match="404"):
        Client(server.port, path="/api/kernels/none/channels")


def test_a_message_above_the_limit_closes_with_1009(start: Any) -> None:
    server = start("body=100000")
    assert server.ask("POST", "/api/kernels", {}).status == 201
    client = Client(server.port, path=PATH)
    client.frame(BINARY, bytes(100_001))
    assert client.closed().code == 1009


def rss(pid: int) -> int:
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))


def test_a_client_that_does_not_read_costs_bounded_memory_and_is_told(kernel: Any) -> None:
    stalled = Client(kernel.port, path=PATH, receive_bytes=4096)
    stalled.frame(TEXT, json.dumps(message({"flood": 2000, "bytes": 100_000})).encode())
    time.sleep(0.5)
    quick = Client(kernel.port, path=PATH)
    quick.frame(TEXT, json.dumps(message({"n": 1})).encode())
    assert json.loads(quick.receive_frame()[1])["content"] == {"n": 1}
    assert rss(kernel.process.pid) < 120_000_000
    texts, answered = [], False
    while not answered:
        got = json.loads(stalled.receive_frame()[1])
        answered = got["channel"] == "shell"
        if got["msg_type"] == "stream":
            texts.append(got["content"]["text"])
    assert 100 < len(texts) < 1000 and "too slow" in texts[-1]
    left_out = int(texts[-1].split(" messages")[0].split()[-1])
    assert len(texts) - 1 + left_out == 2000
    stalled.close()
    quick.close()


def test_a_session_id_is_never_cut(kernel: Any) -> None:
    refused = kernel.ask("GET", f"{PATH}?session_id={'a' * 128}")
    assert refused.status == 400 and refused.json["message"] == "a session_id has at most 127 bytes"
    client = Client(kernel.port, path=f"{PATH}?session_id={'a' * 127}")
    client.frame(TEXT, json.dumps(message({"n": 1})).encode())
    assert json.loads(client.receive_frame()[1])["content"] == {"n": 1}
    client.close()


def test_many_clients_that_do_not_read_cost_no_more_than_a_few(kernel: Any) -> None:
    def flood(client: Client, n: int) -> None:
        client.frame(TEXT, json.dumps(message({"flood": n, "bytes": 1_000_000})).encode())

    def until_answer(client: Client) -> list[str]:
        texts = []
        while (got := json.loads(client.receive_frame()[1]))["channel"] != "shell":
            texts.append(got["content"]["text"])
        return texts

    stalled = [Client(kernel.port, path=PATH, receive_bytes=65536) for _ in range(8)]
    for client in stalled:
        flood(client, 30)
    time.sleep(0.5)
    quick = Client(kernel.port, path=PATH)
    for _ in range(3):
        flood(quick, 1)
        assert [len(text) for text in until_answer(quick)] == [1_000_000]
    assert rss(kernel.process.pid) < 180_000_000
    heard = [until_answer(client) for client in stalled]
    assert [len(texts) for texts in heard[:3]] == [30, 30, 30] and len(heard[-1]) < 5
    for texts in heard:
        left_out = int(texts[-1].split(" messages")[0].split()[-1]) if "too slow" in texts[-1] else 0
        assert sum(len(text) == 1_000_000 for text in texts) + left_out == 30
    flood(stalled[-1], 30)
    assert [len(text) for text in until_answer(stalled[-1])] == [1_000_000] * 30  # all are behind no more
    for client in (*stalled, quick):
        client.close()


def test_a_kernel_that_takes_long_to_start_is_a_503_before_clients_give_up(held: Held) -> None:
    waiting = held.server.metric("kernelhub_test_waits")
    gone = held.server.raw(request(path=SLOW))
    held.server.until(lambda: held.server.metric("kernelhub_test_waits") == waiting + 1)
    gone.close()
    held.server.until(lambda: held.server.metric("kernelhub_test_waits") == waiting)
    held.thread.join(20)
    head, body = held.reply.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 503 ") and b"retry-after: 1" in head.lower() and 8.5 < held.seconds < 10
    error = json.loads(body)
    assert error["message"] == "kernel slow is still starting" and "connect again" in error["reason"]
    assert held.server.metric("kernelhub_test_waits") == 0


def test_who_waits_for_a_kernel_hears_that_the_service_stops(start: Any) -> None:
    server = start()
    assert server.ask("POST", "/api/kernels", {"name": "slow"}).status == 201
    waiting = server.raw(request(path=SLOW))
    server.until(lambda: server.metric("kernelhub_test_waits") == 1)
    server.drain()
    assert waiting.recv(1 << 16).startswith(b"HTTP/1.1 503 ")
