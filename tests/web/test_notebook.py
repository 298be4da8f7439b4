"""GET /api/v1/sessions/{name}/notebook: sent while it is made, at the client's speed."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import Any

import pytest

PATH = "/api/v1/sessions/{}/notebook"


def open_notebooks(server: Any) -> int:
    return int(server.metric("kernelhub_test_notebooks"))


def test_it_is_a_file_in_pieces(server: Any) -> None:
    reply = server.ask("GET", PATH.format("a%2Fb%20%C3%BC%22%3B.ipynb") + "?since=2023-11-14T22:13:20Z&outputs=0")
    assert reply.status == 200
    assert reply.json == {"cells": [], "since": 1700000000000000, "outputs": 0}
    assert reply.headers["Content-Type"] == "application/x-ipynb+json"
    assert reply.headers["Content-Disposition"] == "attachment; filename*=UTF-8''b%20%C3%BC%22%3B.ipynb"
    plain = server.ask("GET", PATH.format("python"))
    assert plain.json["outputs"] == 1
    assert plain.headers["Content-Disposition"] == "attachment; filename*=UTF-8''python.ipynb"
    assert server.ask("HEAD", PATH.format("python")).status == 200
    server.until(lambda: open_notebooks(server) == 0)


def test_what_is_wrong_is_said_before_the_first_piece(server: Any) -> None:
    missing = server.ask("GET", PATH.format("none"))
    assert (missing.status, missing.error["code"]) == (404, "not_found")
    assert "Content-Disposition" not in missing.headers
    assert server.ask("GET", PATH.format("python"), key=None).status == 401
    for query in ("since=yesterday", "until=", "outputs=perhaps", "limit=3"):
        refused = server.ask("GET", PATH.format("python") + "?" + query)
        assert (refused.status, refused.error["code"]) == (400, "invalid_request"), query
    assert server.ask("POST", PATH.format("python"), {}).status == 405


def test_half_a_notebook_is_no_notebook(server: Any) -> None:
    with pytest.raises(http.client.IncompleteRead):
        server.ask("GET", PATH.format("broken"))
    server.until(lambda: open_notebooks(server) == 0)


def test_a_client_that_reads_slowly_costs_a_piece_and_one_that_leaves_nothing(server: Any) -> None:
    before = server.resident_bytes()
    clients = [server.raw(b"GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer kh_admin\r\n\r\n" % PATH.format("long").encode()) for _ in range(4)]
    for client in clients:
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert open_notebooks(server) == 4
    assert server.resident_bytes() - before < 8 << 20
    for client in clients:
        client.close()
    server.until(lambda: open_notebooks(server) == 0)
    assert len(server.ask("GET", PATH.format("long")).body) == 65536 * 1000


def test_a_service_that_stops_does_not_wait_for_a_notebook(start: Callable[..., Any]) -> None:
    server = start()
    s = server.raw(b"GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer kh_admin\r\n\r\n" % PATH.format("long").encode())
    assert s.recv(4096).startswith(b"HTTP/1.1 200 ")
    server.drain()
    assert server.process.wait(10) == 0
    s.close()
