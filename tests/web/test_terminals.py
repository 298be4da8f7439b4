"""Terminals over HTTP and their two WebSockets, with a fake one that sends back what is typed (tests/unit/fake_terminal.c)."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest
from ws_client import BINARY, TEXT, Client, Closed

PATH = "/terminals/websocket/1"
OWN = "/api/v1/terminals/box"


@pytest.fixture
def terminal(server: Any) -> Any:
    made = server.ask("POST", "/api/terminals", {})
    assert made.status == 200 and set(made.json) == {"name", "last_activity"}
    return server


def named(server: Any, **how: Any) -> Client:
    client = Client(server.port, path=PATH, **how)
    assert client.receive() == ["setup", {}]
    return client


def typed(client: Client, text: str) -> None:
    client.frame(TEXT, json.dumps(["stdin", text]).encode())


def output(client: Client, n: int) -> str:
    text = ""
    while len(text) < n:
        kind, piece = client.receive()
        assert kind == "stdout"
        text += piece
    return text


def test_models_are_as_jupyter_server_has_them(server: Any) -> None:
    assert server.ask("GET", "/api/terminals").json == []
    assert server.ask("POST", "/api/terminals").json["name"] == "1"
    assert server.ask("POST", "/api/terminals", {"name": "mine", "cwd": "a"}).json["name"] == "mine"
    assert [m["name"] for m in server.ask("GET", "/api/terminals/").json] == ["1", "mine"]
    assert server.ask("GET", "/api/terminals/mine").json["name"] == "mine"
    assert server.ask("DELETE", "/api/terminals/mine").status == 204
    assert server.ask("DELETE", "/api/terminals/mine").status == server.ask("GET", "/api/terminals/mine").status == 404
    assert server.ask("GET", "/api/terminals/known%20later").status == 503
    failed = server.ask("POST", "/api/terminals", {"name": "none"})
    assert failed.status == 502 and failed.json["message"] == "the terminal cannot be started"
    assert server.ask("POST", "/api/terminals", [1]).status == 400
    assert server.ask("GET", "/api/terminals", key=None).status == 403


def test_messages_are_terminados(terminal: Any) -> None:
    client = named(terminal)
    typed(client, "h\u00e9\u20ac\U0001f600\x00")
    assert output(client, 4) == "h\u00e9\u20ac\U0001f600"
    client.frame(TEXT, b'["set_size",50,132,600,800]')
    for nonsense in (b"", b"[]", b'["stdin"]', b'["set_size",0,1]', b"x" * 1000, b"[" * 500):
        client.frame(TEXT, nonsense)
    typed(client, "size\r")
    assert output(client, 10) == "50 x 132\r\n"
    typed(client, "exit\r")
    assert client.receive() == ["disconnect", 1]
    with pytest.raises(Closed) as closed:
        client.receive()
    assert (closed.value.code, closed.value.reason) == (1000, "exit code 0")
    assert terminal.ask("GET", "/api/terminals").json == []


def test_a_binary_message_is_not_terminados(terminal: Any) -> None:
    client = named(terminal)
    client.frame(BINARY, b"ls")
    assert client.closed().code == 1003


def test_who_may_open_one(terminal: Any) -> None:
    for path, key, origin, status in (
        ("/terminals/websocket/2", "kh_admin", None, "404"),
        ("/terminals/websocket/known%20later", "kh_admin", None, "503"),
        (PATH, None, None, "403"),
        (PATH, "kh_wrong", None, "403"),
        (PATH, "kh_admin", "https://evil.example", "403"),
        (OWN, None, None, "401"),
        (OWN, "kh_admin", "https://evil.example", "403"),
        ("/api/v1/terminals/none", "kh_admin", None, "404"),
        ("/api/v1/terminals/old", "kh_admin", None, "410"),
        (OWN + "?rows=0", "kh_admin", None, "400"),
        (OWN + "?lines=5", "kh_admin", None, "400"),
    ):
        with pytest.raises(AssertionError, match=f"HTTP/1.1 {status}"):
            Client(terminal.port, path=path, key=key, Origin=origin)
    assert terminal.ask("GET", PATH).status == terminal.ask("GET", OWN).status == 426
    assert terminal.ask("GET", "/api/terminals").json[0]["name"] == "1"  # nothing was made on the way


def test_behind_a_proxys_path_and_for_a_page_that_may(start: Any) -> None:
    server = start("base=/hub/k", "origins=https://lab.example")
    assert server.ask("POST", "/hub/k/api/terminals").status == 200
    client = Client(server.port, path="/hub/k" + PATH, Origin="https://lab.example")
    assert client.receive() == ["setup", {}]
    client.close()


def test_a_terminal_of_ones_own_is_raw_bytes(server: Any) -> None:
    client = Client(server.port, path=OWN + "?rows=30&cols=90")
    client.frame(BINARY, bytes(range(256)))
    got = b""
    while len(got) < 256:
        opcode, payload = client.receive_frame()
        assert opcode == BINARY
        got += payload
    assert got == bytes(range(256))
    client.frame(BINARY, b"size\r")
    assert client.receive_frame() == (BINARY, b"30 x 90\r\n")
    client.frame(TEXT, b'{"rows":40,"cols":100}')
    client.frame(TEXT, b'{"rows":0}')
    client.frame(BINARY, b"size\r")
    assert client.receive_frame() == (BINARY, b"40 x 100\r\n")
    assert [m["name"] for m in server.ask("GET", "/api/terminals").json] == ["private"]
    client.frame(BINARY, b"exit\r")
    end = client.closed()
    assert (end.code, end.reason) == (1000, "exit code 0")
    other = Client(server.port, path=OWN)
    assert [m["name"] for m in server.ask("GET", "/api/terminals").json] == ["private"]
    other.close()
    server.until(lambda: server.ask("GET", "/api/terminals").json == [])


def test_input_that_is_not_taken_waits_in_its_client(terminal: Any) -> None:
    """A paste without end while the program reads nothing: it costs one message here, and arrives whole."""
    client = named(terminal)
    typed(client, "stuck\r")
    begin = terminal.resident_bytes()
    message = json.dumps(["stdin", "y" * 200_000]).encode()
    sent: list[int] = []  # the system's buffers may take megabytes
    enough = threading.Event()

    def paste() -> None:
        while not enough.is_set():
            client.frame(TEXT, message)
            sent.append(1)

    sender = threading.Thread(target=paste)
    sender.start()
    for _ in range(50):
        before = len(sent)
        time.sleep(0.3)
        if len(sent) == before:
            break
    enough.set()
    n = before + 1  # it hangs in that one
    assert len(sent) == before and sender.is_alive()  # back-pressure
    assert terminal.resident_bytes() - begin < 3_000_000
    busy = terminal.cpu_seconds()
    time.sleep(0.3)
    assert terminal.cpu_seconds() - busy < 0.1
    assert terminal.ask("GET", "/api/terminals/1").status == 200  # it reads again
    assert len(output(client, 200_000 * n)) == 200_000 * n
    sender.join()
    assert len(sent) == n
    client.close()


def test_a_client_that_leaves_while_its_input_waits_is_seen_to_go(start: Any) -> None:
    terminal = start("ping=1")
    assert terminal.ask("POST", "/api/terminals").status == 200
    client = named(terminal)
    typed(client, "stuck\r")
    typed(client, "more")
    time.sleep(0.1)
    client.socket.close()  # with a ping unread or not: what is sent to it now is refused
    busy = terminal.cpu_seconds()
    terminal.until(lambda: terminal.metric("kernelhub_websockets") == 0)
    assert terminal.cpu_seconds() - busy < 0.5


def test_output_that_is_not_read_waits_in_the_terminal(terminal: Any) -> None:
    client = named(terminal, receive_bytes=4096)
    begin = terminal.resident_bytes()
    for _ in range(4):
        typed(client, "flood\r")
    time.sleep(0.3)
    assert terminal.resident_bytes() - begin < 4 * (1 << 20) + 8_000_000  # the fake one keeps it all: no copy here
    quick = named(terminal)
    assert set(output(quick, 1 << 20)) == {"x"}
    assert len(output(client, 4 << 20)) == 4 << 20
    client.close()
    quick.close()


def test_a_restart_of_the_service_closes_with_1012(terminal: Any) -> None:
    client, own = named(terminal), Client(terminal.port, path=OWN)
    terminal.drain()
    assert client.closed().code == own.closed().code == 1012
