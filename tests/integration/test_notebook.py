"""A session's history as a notebook: what real kernels wrote, as nbformat wants it."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import nbformat

from conftest import Service, kill, run, wait_until

SHOW = "from IPython.display import publish_display_data as show, clear_output, display\n"
PNG = base64.b64decode(b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")

Cell = dict[str, Any]


def notebook(http: httpx.Client, session: str, **params: str) -> dict[str, Any]:
    reply = http.get(f"/api/v1/sessions/{quote(session, safe='')}/notebook", params=params)
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/x-ipynb+json"
    nbformat.validate(nbformat.reads(reply.text, as_version=4), relax_add_props=False)
    found: dict[str, Any] = json.loads(reply.text)
    assert (found["nbformat"], found["nbformat_minor"]) == (4, 5)
    return found


def outputs(http: httpx.Client, code: str, **fields: object) -> list[dict[str, Any]]:
    """Runs the code in the session that most tests share; the outputs of its cell."""
    record = run(http, code, **fields)
    cell = notebook(http, "python")["cells"][-1]
    assert cell["id"] == record["execution_id"]
    return list(cell["outputs"])


def texts(cell: Cell) -> list[tuple[str, str]]:
    return [(o["name"], o["text"]) for o in cell["outputs"]]


def test_cells_stand_as_they_ran_with_all_that_they_wrote(http: httpx.Client) -> None:
    codes = [
        "import sys, time",
        "print('one')\nprint('two', flush=True)\nprint('bad ü \\x1b[31m', file=sys.stderr, flush=True)\ntime.sleep(0.1)\nprint('three')",
        "6 * 7",
        "1 / 0",
        f"{SHOW}show({{'image/png': {base64.b64encode(PNG).decode()!r}, 'text/plain': '<plot>'}}, {{'image/png': {{'width': 7}}}})",
    ]
    records = [run(http, code, session="whole") for code in codes]
    made = notebook(http, "whole")
    cells = made["cells"]
    assert [c["source"] for c in cells] == codes
    assert [c["id"] for c in cells] == [r["execution_id"] for r in records]
    assert [c["execution_count"] for c in cells] == [1, 2, 3, 4, 5]
    for cell, record in zip(cells, records, strict=True):
        ours = cell["metadata"]["kernelhub"]
        assert (ours["execution_id"], ours["status"], ours["client"]) == (record["execution_id"], record["status"], "rest")
        assert ours["started_at"] < ours["finished_at"]
    assert cells[0]["outputs"] == []
    assert texts(cells[1]) == [("stdout", "one\ntwo\n"), ("stderr", "bad ü \x1b[31m\n"), ("stdout", "three\n")]
    assert cells[2]["outputs"] == [{"output_type": "execute_result", "data": {"text/plain": "42"}, "metadata": {}, "execution_count": 3}]
    (error,) = cells[3]["outputs"]
    assert (error["output_type"], error["ename"], error["evalue"]) == ("error", "ZeroDivisionError", "division by zero")
    assert "ZeroDivisionError" in error["traceback"][-1]
    (plot,) = cells[4]["outputs"]
    assert plot["output_type"] == "display_data" and plot["metadata"] == {"image/png": {"width": 7}}
    assert base64.b64decode(plot["data"]["image/png"]) == PNG and plot["data"]["text/plain"] == "<plot>"
    assert made["metadata"]["kernelspec"] == {"name": "python3", "display_name": "Python 3", "language": "python"}
    language = made["metadata"]["language_info"]
    assert (language["name"], language["file_extension"]) == ("python", ".py") and language["version"].startswith("3.")


def test_what_was_cleared_is_gone(http: httpx.Client) -> None:
    assert outputs(http, f"{SHOW}print('old')\nclear_output()\nprint('new')") == [{"output_type": "stream", "name": "stdout", "text": "new\n"}]
    waited = outputs(http, f"{SHOW}for i in range(5):\n    clear_output(wait=True)\n    print(i, flush=True)")
    assert [o["text"] for o in waited] == ["4\n"]
    unheard = outputs(http, f"{SHOW}print('stays')\nclear_output(wait=True)")
    assert [o["text"] for o in unheard] == ["stays\n"]


def test_a_display_shows_what_it_was_updated_to_last(http: httpx.Client) -> None:
    run(http, f"{SHOW}h = display('first', display_id='d'); print('between'); display('first', display_id='d');")
    run(http, "h.update('second')")
    run(http, "h.update('x' * 300_000); print('later')")
    one, two, three = (c["outputs"] for c in notebook(http, "python")["cells"][-3:])
    assert [o["output_type"] for o in one] == ["display_data", "stream", "display_data"]
    assert {o["data"]["text/plain"] for o in (one[0], one[2])} == {repr("x" * 300_000)}, "brought back from the file it was put in"
    assert two == [] and [o["text"] for o in three] == ["later\n"]


def test_large_values_come_back_whole(http: httpx.Client) -> None:
    picture = bytes(range(256)) * 4096
    code = f"import base64\n{SHOW}show({{'image/png': base64.b64encode(bytes(range(256)) * 4096).decode(),"
    code += "'text/html': 'ü\"<' * 100_000, 'application/json': {'a': ['b'] * 100_000}})\n'r' * 1_048_576"
    shown, result = outputs(http, code)
    assert base64.b64decode(shown["data"]["image/png"]) == picture
    assert shown["data"]["text/html"] == 'ü"<' * 100_000
    assert shown["data"]["application/json"] == {"a": ["b"] * 100_000}
    assert result["data"]["text/plain"] == repr("r" * 1_048_576)


def test_what_the_format_does_not_know_becomes_text(http: httpx.Client) -> None:
    code = f"{SHOW}show({{'text/plain': 5, 'text/x': {{'a': 1}}, 'text/lines': ['a\\n', 'b'], 'application/x+json': [None], 'image/png': {{'ref': '/api/v1/x'}}}})"
    (shown,) = outputs(http, code)
    assert {k: v if isinstance(v, list) else json.loads(v) for k, v in shown["data"].items()} == {
        "text/plain": 5,
        "text/x": {"a": 1},
        "text/lines": ["a\n", "b"],
        "application/x+json": [None],
        "image/png": {"ref": "/api/v1/x"},
    }


def test_what_is_missing_is_said_in_its_place(http: httpx.Client) -> None:
    wrote = outputs(http, "for i in range(3000): print(i, 'f' * 50)", max_output_bytes=40_000)
    assert [o["name"] for o in wrote] == ["stdout", "stderr", "stdout"]
    assert "missing here: max_output_bytes is 40000]\n" in wrote[1]["text"]
    assert wrote[0]["text"].startswith("0 ff") and wrote[2]["text"].endswith(f"2999 {'f' * 50}\n")


def test_answered_input_and_a_bare_session(http: httpx.Client) -> None:
    assert outputs(http, "print(input('who? ') + '!')", stdin="me\n") == [{"output_type": "stream", "name": "stdout", "text": "me!\n"}]
    assert http.post("/api/v1/sessions", json={"name": "bare"}).status_code == 201
    assert notebook(http, "bare")["cells"] == []


def test_a_running_cell_is_there_and_a_waiting_one_is_not(http: httpx.Client, tmp_path: Path) -> None:
    code = "import time\nprint('begun', flush=True)\ntime.sleep(60)"
    first = http.post("/api/v1/execute/async", json={"code": code, "session": "busy"}).json()["execution_id"]
    http.post("/api/v1/execute/async", json={"code": "print('never')", "session": "busy"})
    wait_until(lambda: "begun" in http.get(f"/api/v1/executions/{first}/output").text)
    (cell,) = notebook(http, "busy")["cells"]
    ours = cell["metadata"]["kernelhub"]
    assert texts(cell) == [("stdout", "begun\n")] and cell["execution_count"] == 1
    assert ours["status"] == "running" and ours["started_at"] and ours["finished_at"] is None
    http.delete("/api/v1/sessions/busy")


def test_a_name_is_a_path_and_a_file_is_called_by_its_end(http: httpx.Client) -> None:
    name = "a/日本/ü ;\"'.ipynb"
    run(http, "print('here')", session=name)
    assert texts(notebook(http, name)["cells"][0]) == [("stdout", "here\n")]
    reply = http.get(f"/api/v1/sessions/{quote(name, safe='')}/notebook")
    assert reply.headers["content-disposition"] == f"attachment; filename*=UTF-8''{quote(name.rsplit('/')[-1], safe='')}"


def test_it_stays_when_the_session_is_gone_and_the_hub_comes_again(service: Service, http: httpx.Client) -> None:
    run(http, "print('before')", session="gone")
    assert http.delete("/api/v1/sessions/gone").status_code == 204
    kill(service.pid_of("hub"))
    wait_until(lambda: service_answers(service), 20)
    found = notebook(http, "gone")
    assert texts(found["cells"][0]) == [("stdout", "before\n")]
    assert found["metadata"]["kernelspec"]["name"] == "python3" and found["metadata"]["language_info"] == {"name": "python"}
    run(http, "print('after')", session="gone")
    assert [texts(c) for c in notebook(http, "gone")["cells"]] == [[("stdout", "before\n")], [("stdout", "after\n")]]


def service_answers(service: Service) -> bool:
    try:
        return httpx.get(f"{service.url}/health", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def test_another_language_commands_and_what_can_be_left_out(http: httpx.Client) -> None:
    run(http, "echo shell", language="bash", session="sh")
    time_between = http.get("/api/v1/health").json()["timestamp"]
    run(http, "echo again", session="sh")
    assert http.post("/api/v1/sandboxes/default/exec", json={"cmd": ["echo", "x"]}).status_code == 200
    made = notebook(http, "sh")
    assert [c["source"] for c in made["cells"]] == ["echo shell", "echo again"]
    assert made["metadata"]["kernelspec"]["language"] == "bash" and made["metadata"]["language_info"]["name"] == "bash"
    bare = notebook(http, "sh", outputs="0")
    assert [(c["source"], c["outputs"]) for c in bare["cells"]] == [("echo shell", []), ("echo again", [])]
    assert [c["source"] for c in notebook(http, "sh", since=time_between)["cells"]] == ["echo again"]
    assert [c["source"] for c in notebook(http, "sh", until=time_between)["cells"]] == ["echo shell"]
    assert notebook(http, "sh", until="2001-01-01T00:00:00Z")["cells"] == []


def test_nobody_sees_another_ones_notebook(service: Service, http: httpx.Client) -> None:
    run(http, "print('mine')")
    missing = http.get("/api/v1/sessions/nobody/notebook")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
    assert http.post("/api/v1/admin/users", json={"name": "other"}).status_code == 201
    key = http.post("/api/v1/admin/keys", json={"name": "k", "user": "other"}).json()["key"]
    with service.client(key) as other:
        assert other.get("/api/v1/sessions/python/notebook").status_code == 404


def test_a_long_history_costs_the_hub_no_memory(service: Service, http: httpx.Client) -> None:
    def resident_bytes() -> int:
        return int(Path(f"/proc/{service.pid_of('hub')}/statm").read_text().split()[1]) * 4096

    for _ in range(2):
        assert run(http, "for i in range(400): print('m' * 50_000)")["status"] == "ok"
    before, n_bytes, peak = resident_bytes(), 0, 0
    with http.stream("GET", "/api/v1/sessions/python/notebook") as reply:
        for piece in reply.iter_raw(1 << 20):
            n_bytes += len(piece)
            peak = max(peak, resident_bytes())
    assert n_bytes > 40_000_000
    if not service.sanitized:
        assert peak - before < 8 << 20, (before, peak)
