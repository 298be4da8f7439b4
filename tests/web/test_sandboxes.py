"""The routes of sandboxes, with a hub that only pretends."""

from __future__ import annotations

import pytest

from conftest import Server

API = "/api/v1"


def ask(server: Server, method: str, path: str, body: object = None) -> tuple[int, dict[str, object]]:
    reply = server.ask(method, API + path, body)
    return reply.status, reply.json if reply.body else {}


def test_what_is_asked_for_arrives(server: Server) -> None:
    wish = {"name": "a", "ttl_seconds": 60, "limits": {"memory_bytes": 1000, "cpus": 0.5}, "workspace": "private", "network": "none"}
    status, made = ask(server, "POST", "/sandboxes", wish)
    assert (status, made) == (201, {"name": "a", "ttl_seconds": 60, "memory_bytes": 1000, "cpus": 0.5, "private": True})
    assert ask(server, "POST", "/sandboxes", {})[1]["name"] == "made-up"


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"limits": 5}, "field 'limits' has to be an object"),
        ({"limits": {"memory_bytes": 0}}, "field 'limits': field 'memory_bytes'"),
        ({"limits": {"memory_bytes": 1.5}}, "field 'limits': field 'memory_bytes'"),
        ({"limits": {"disk": 1}}, "field 'limits': unknown field"),
        ({"ttl_seconds": 0}, "field 'ttl_seconds'"),
        ({"ttl_seconds": 1e300}, "field 'ttl_seconds'"),
        ({"idle_seconds": "9"}, "field 'idle_seconds'"),
        ({"workspace": "shared private"}, "field 'workspace'"),
        ({"network": "bridge"}, "field 'network'"),
        ({"env": {"a b": "c"}}, "field 'env'"),
        ({"labels": {"": "c"}}, "field 'labels'"),
        ({"state": "running"}, "unknown field"),
    ],
)
def test_a_wrong_wish_is_named(server: Server, wish: dict[str, object], words: str) -> None:
    status, reply = ask(server, "POST", "/sandboxes", wish)
    assert status == 400 and words in reply["error"]["message"], reply  # type: ignore[index]


def test_a_list_that_is_too_long_for_one_reply_comes_in_pages(server: Server) -> None:
    pages, cursor = [], 0
    while cursor is not None:
        status, page = ask(server, "GET", f"/sandboxes?label=long&cursor={cursor}")
        assert status == 200
        pages.append([item.get("mib", 0) for item in page["items"]])
        cursor = page["next"]
    assert pages == [[0, 3], [5], [1, 1], [3]]
    assert ask(server, "GET", "/sandboxes?label=long&cursor=3&limit=1")[1]["next"] == "4"


def test_one_that_has_ended_is_gone_for_each_verb(server: Server) -> None:
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/reset"), ("GET", "/stats"), ("GET", "/logs")):
        for name, status, code in (("old", 410, "gone"), ("none", 404, "not_found")):
            got, reply = ask(server, method, f"/sandboxes/{name}{path}", {} if method == "PATCH" else None)
            assert (got, reply["error"]["code"]) == (status, code), (method, path)  # type: ignore[index]


def test_it_is_changed_reset_measured_and_ended(server: Server) -> None:
    assert ask(server, "PATCH", "/sandboxes/box", {"idle_seconds": 7}) == (200, {"name": "box", "idle_seconds": 7})
    assert ask(server, "PATCH", "/sandboxes/box", {"name": "x"})[0] == 400
    assert ask(server, "GET", "/sandboxes/box")[1]["idle_seconds"] == 7
    assert ask(server, "POST", "/sandboxes/box/reset")[0] == 200
    assert ask(server, "POST", "/sandboxes/box/reset", {"x": 1})[0] == 400
    assert ask(server, "GET", "/sandboxes/box/stats") == (200, {"cpu_ms": 1})
    assert ask(server, "GET", "/sandboxes/box/logs?tail=5")[1]["dropped"] == 5
    assert ask(server, "GET", "/sandboxes/box/logs?tail=x")[0] == 400
    assert ask(server, "DELETE", "/sandboxes/box") == (204, {})
    assert ask(server, "GET", "/usage?group_by=label")[1]["by_label"] is True
    assert ask(server, "GET", "/usage?group_by=x")[0] == 400
