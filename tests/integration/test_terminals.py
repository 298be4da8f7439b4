"""Terminals as their clients use them: Jupyter Server's API and terminado's messages, and our own WebSocket of raw bytes."""

from __future__ import annotations

import hashlib
import json
import os
import re
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
        while not (found := re.compile(pattern).search(self.text, self.at)):
            left = deadline - time.monotonic()
            assert left > 0, f"{pattern!r} is not in {self.text[self.at :][-500:]!r}"
            try:
                kind, *rest = json.loads(self.ws.recv(left))
            except TimeoutError:
                continue
            assert kind == "stdout", (kind, rest, self.text[-500:])
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


def test_what_is_typed_comes_back(service: Service, api: httpx.Client) -> None:
    name = new_terminal(api)
    with Terminal(service, name) as t:
        t.do("echo $((6*7))-é", "\n42-é\r\n")
        t.do("tty; pwd; echo $TERM", r"\n/dev/pts/\d+\r\n/workspace\r\nxterm-256color\r\n")
    assert [m["name"] for m in api.get("/api/terminals").json()] == [name]
    assert api.get(f"/api/terminals/{name}").json()["name"] == name
