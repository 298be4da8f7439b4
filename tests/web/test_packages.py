"""The routes of packages, with installs that only pretend (tests/unit/fake_packages.c) and folders on disk that do not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Server

API = "/api/v1/packages"


def state(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def records(server: Server, name: str, accept: str) -> list[str]:
    reply = server.ask("POST", f"{API}/install", {"packages": [name]}, Accept=accept)
    assert (reply.status, reply.headers["Content-Type"]) == (200, accept)
    return [line for line in reply.body.decode().split("\n") if line]


def test_an_install_answers_at_its_end(server: Server) -> None:
    for body in ({"packages": ["a>=1", "b"]}, {"package": 'a "b"'}, {"language": "python", "session": "s", "packages": ["a"]}):
        reply = server.ask("POST", f"{API}/install", body)
        assert reply.status == 200 and reply.json["requested"] == body.get("packages", [body.get("package")])


@pytest.mark.parametrize("body", [{}, {"package": "a", "packages": ["a"]}, {"packages": []}, {"packages": [1]}, {"packages": "a"}, {"package": ""}, {"packages": ["a"], "x": 1}])
def test_a_wrong_wish_is_refused(server: Server, body: dict[str, object]) -> None:
    reply = server.ask("POST", f"{API}/install", body)
    assert (reply.status, reply.error["code"]) == (400, "invalid_request")


def test_records_come_as_lines_or_events(server: Server) -> None:
    lines = [json.loads(line) for line in records(server, "a", "application/x-ndjson")]
    assert [r["type"] for r in lines] == ["progress", "progress", "finished"] and lines[-1]["status"] == "ok"
    events = records(server, "a", "text/event-stream")
    assert [json.loads(line.removeprefix("data: "))["type"] for line in events] == ["progress", "progress", "finished"]


def test_a_refusal_is_an_error_also_for_a_stream(server: Server) -> None:
    for accept in ("application/json", "text/event-stream"):
        reply = server.ask("POST", f"{API}/install", {"package": "forbidden"}, Accept=accept)
        assert (reply.status, reply.error["code"], reply.error["details"]) == (403, "policy_denied", {"rule": "packages/python"})
        assert "allowed/{language}" in reply.error["hint"]


def test_what_cannot_be_tried_is_an_error_or_the_streams_end(server: Server) -> None:
    assert server.ask("POST", f"{API}/install", {"package": "unbuildable"}).error["code"] == "sandbox_failed"
    reply = server.ask("POST", f"{API}/install", {"package": "unbuildable"}, Accept="application/x-ndjson")
    assert reply.error["code"] == "sandbox_failed"


def test_a_client_that_does_not_read_costs_a_bounded_amount(server: Server) -> None:
    before = server.resident_bytes()
    body = json.dumps({"package": "flood"}).encode()
    for _ in range(20):
        line = server.raw(b"POST /api/v1/packages/install HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer kh_admin\r\nAccept: text/event-stream\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        line.close() if _ % 2 else None
    time.sleep(0.5)
    assert server.resident_bytes() - before < 300 << 20
    assert len(records(server, "flood", "application/x-ndjson")) == 65


def test_installed_packages_are_read_from_disk(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start(f"state={state(tmp_path)}")
    assert server.ask("GET", f"{API}/installed").json == {"items": [], "next": None}
    user = tmp_path / "admin"
    folder = user / "packages/python/lib/python3.13/site-packages"
    for name in ("Zope_Interface-7.0.dist-info", "numpy-2.1.0.dist-info", "bad-x.dist-info", 'a"-1.dist-info', "numpy"):
        (folder / name).mkdir(parents=True)
    node = user / "packages/javascript/node_modules/.deno"
    for name in ("lodash@4.17.21", "@scope+name@1.0.0", "x@1.0.0_y@2.0.0", "@bad", "node_modules"):
        (node / name).mkdir(parents=True)
    items = server.ask("GET", f"{API}/installed").json["items"]
    assert [(i["language"], i["name"], i["version"]) for i in items] == [
        ("javascript", "@scope/name", "1.0.0"),
        ("javascript", "lodash", "4.17.21"),
        ("javascript", "x", "1.0.0"),
        ("python", "numpy", "2.1.0"),
        ("python", "zope-interface", "7.0"),
    ]
    assert len(server.ask("GET", f"{API}/installed?language=py").json["items"]) == 2
    page = server.ask("GET", f"{API}/installed?limit=2").json
    assert len(page["items"]) == 2 and page["next"]
    assert server.ask("GET", f"{API}/installed?language=perl").status == 400


def test_a_link_in_place_of_the_packages_leads_nowhere(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start(f"state={state(tmp_path / 'w')}")
    server.ask("GET", f"{API}/installed")
    user = tmp_path / "w" / "admin"
    other = tmp_path / "other/lib/python3.13/site-packages/secret-1.0.dist-info"
    other.mkdir(parents=True)
    (user / "packages").mkdir()
    (user / "packages/python").symlink_to(tmp_path / "other")
    assert server.ask("GET", f"{API}/installed?language=python").status == 403


def test_the_allow_list_is_there_for_all(server: Server) -> None:
    assert server.ask("GET", f"{API}/allowed/py").json == {"language": "python", "items": ["numpy>=2"], "installable": True, "next": None}
    assert server.ask("GET", f"{API}/allowed/perl").status == 404
