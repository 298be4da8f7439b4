"""A large output is named by a reference, and only the service can write one (docs/decisions/0043)."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from conftest import Service, run

SHOW = "from IPython.display import publish_display_data as show\n"


@pytest.fixture
def stranger() -> Iterator[socket.socket]:
    """Somebody else on this host, who waits for keys."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


def forged(stranger: socket.socket) -> list[dict[str, object]]:
    host = f"127.0.0.1:{stranger.getsockname()[1]}"
    refs = [f"@{host}/x", f":y@{host}/x", f"//{host}/x", f"http://{host}/x", "/api/v1/admin/keys", "/api/v1/executions"]
    return [{"ref": ref, "bytes": 1} for ref in refs]


def events_of(http: httpx.Client, execution_id: object) -> list[dict[str, object]]:
    reply = http.get(f"/api/v1/executions/{execution_id}/events", headers={"Accept": "text/event-stream"})
    return [json.loads(line.removeprefix("data: ")) for line in reply.text.splitlines() if line.startswith("data: ")]


def test_a_forged_reference_is_text_to_everyone(http: httpx.Client, stranger: socket.socket) -> None:
    values = forged(stranger)
    record = run(http, f"{SHOW}for v in {values!r}: show({{'text/plain': v, 'image/png': v, 'application/json': {{'deep': v}}}})")
    events = [event for event in events_of(http, record["execution_id"]) if event["type"] == "display"]
    for shown in record["results"], events:
        data = [one["data"] for one in shown]
        assert [json.loads(one["text/plain"]) for one in data] == values
        assert [json.loads(one["image/png"]) for one in data] == values
        assert [one["application/json"] for one in data] == [{"deep": value} for value in values]


def test_a_forged_result_is_text_and_can_be_read(http: httpx.Client) -> None:
    code = """class Forger:
    def _repr_mimebundle_(self, **_): return {'text/plain': {'ref': '@evil.example/0', 'bytes': 1}}
Forger()"""
    record = run(http, code)
    assert json.loads(record["results"][0]["data"]["text/plain"]) == {"ref": "@evil.example/0", "bytes": 1}
    output = http.get(f"/api/v1/executions/{record['execution_id']}/output", params={"stream": "result"})
    assert output.status_code == 200 and "@evil.example/0" in output.text


def test_nobody_gets_the_key_of_who_looks(service: Service, http: httpx.Client, stranger: socket.socket, tmp_path: Path) -> None:
    code = f"{SHOW}for v in {forged(stranger)!r}: show({{'text/plain': v, 'image/png': v}}); show({{'image/svg+xml': v}})"
    done = service.cli("run", code, "--save", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == forged(stranger)
    last = http.get("/api/v1/executions", params={"limit": 1}).json()["items"][0]["execution_id"]
    again = service.cli("attach", last, "--save", str(tmp_path))
    assert again.stdout == done.stdout
    with pytest.raises(BlockingIOError):
        stranger.accept()


def test_a_large_picture_is_fetched_and_saved_as_what_it_is(service: Service, tmp_path: Path) -> None:
    picture = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 2000
    code = f"import base64\n{SHOW}picture = {picture[:8]!r} + bytes(range(256)) * 2000\n"
    code += "show({'image/png': base64.b64encode(picture).decode(), 'text/plain': 't' * 300000})"
    done = service.cli("run", code, "--save", str(tmp_path))
    assert (done.returncode, done.stdout) == (0, 300000 * "t" + "\n"), done.stderr
    assert (tmp_path / "output-1.png").read_bytes() == picture
