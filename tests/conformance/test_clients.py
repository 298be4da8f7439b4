"""Clients that people use, unchanged: nbclient, jupyter-kernel-client, Jupyter Server in gateway mode, @jupyterlab/services."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import nbformat
import pytest
from integration_conftest import free_port

HERE = Path(__file__).resolve().parent
PNG = "b'\\x89PNG\\r\\n\\x1a\\n' + bytes(2000)"


def notebook(*cells: str) -> Any:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])


@pytest.fixture
def gateway_url(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Sets what Jupyter Server's gateway client reads, for as long as a test runs."""
    from jupyter_server.gateway.gateway_client import GatewayClient

    before = dict(os.environ)

    def use(url: str) -> None:
        os.environ["JUPYTER_GATEWAY_URL"] = url
        GatewayClient.clear_instance()

    yield use
    os.environ.clear()
    os.environ.update(before)
    GatewayClient.clear_instance()


def run_notebook(*cells: str) -> Any:
    return execute(notebook(*cells))


def execute(nb: Any) -> Any:
    from nbclient import NotebookClient

    NotebookClient(nb, timeout=60, kernel_manager_class="jupyter_server.gateway.managers.GatewayKernelManager").execute()
    return nb


CELLS = (
    "x = 41",
    f"from IPython.display import display, Image\nprint('shown'); display(Image({PNG}, format='png'))\nx + 1",
    "for i in range(3): print(i, flush=True)",
)


def check(nb: Any) -> None:
    _, shown, printed = (c.outputs for c in nb.cells)
    assert [o.output_type for o in shown] == ["stream", "display_data", "execute_result"]
    assert shown[1].data["image/png"].startswith("iVBOR") and shown[2].data["text/plain"] == "42"
    assert "".join(o.text for o in printed) == "0\n1\n2\n"


def test_nbclient_runs_a_notebook(open_service: Any, gateway_url: Any) -> None:
    gateway_url(open_service.url)
    check(run_notebook(*CELLS))


def test_nbclient_with_the_token_in_the_path(service: Any, gateway_url: Any) -> None:
    """Its WebSocket sends no header, and the client writes the whole address in lowercase: so the token may stand in it."""
    gateway_url(f"{service.url}/t/{service.key}")
    check(run_notebook(*CELLS))


def test_nbclient_says_which_cell_failed(open_service: Any, gateway_url: Any) -> None:
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    gateway_url(open_service.url)
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        run_notebook("1/0", "print('never')")
    with pytest.raises((CellExecutionError, DeadKernelError)):
        run_notebook("import os; os._exit(1)")


def test_nbclient_hears_the_next_cell_after_a_message_with_buffers(open_service: Any, gateway_url: Any) -> None:
    """It reads text only: at a binary frame its thread that listens would end."""
    gateway_url(open_service.url)
    comm = "from comm import create_comm\nc = create_comm('x', data={'state': {'n': 1}, 'buffer_paths': [['a']]}, buffers=[b'\\xff'])\nprint('still')"
    outputs = [c.outputs for c in run_notebook(comm, "print('next')").cells]
    assert "still\n" in "".join(o.text for o in outputs[0]) and outputs[1][0].text == "next\n"


def joined(outputs: list[Any]) -> list[Any]:
    """As pages save them: texts of one stream that follow each other are one. Counters and tracebacks' colours are left out."""
    found: list[Any] = []
    for output in outputs:
        same = found and output.output_type == found[-1].output_type == "stream" and output.name == found[-1].name
        if same:
            found[-1].text += output.text
        else:
            found.append(nbformat.from_dict({k: v for k, v in output.items() if k != "traceback"}))
    return found


def test_the_notebook_of_a_session_is_what_nbclient_made_and_runs_again(open_service: Any, gateway_url: Any) -> None:
    gateway_url(open_service.url)
    made = run_notebook(
        *CELLS,
        "import sys\nfrom IPython.display import clear_output\nprint('old'); clear_output(wait=True); print('new'); sys.stderr.write('err')",
        "h = display('a', display_id=True); print('between'); h.update({'text/html': 'b'}, raw=True)",
        "h.update('c'); print('r' * 300_000); 'r' * 300_000",
    )
    with open_service.client("none") as http:
        session = http.get("/api/v1/executions", params={"limit": 1}).json()["items"][0]["session"]
        assert http.get(f"/api/v1/sessions/{session}").status_code == 404, "nbclient has ended its kernel"
        ours = nbformat.reads(http.get(f"/api/v1/sessions/{session}/notebook").text, as_version=4)
    nbformat.validate(ours)
    assert [c.source for c in ours.cells] == [c.source for c in made.cells]
    assert [c.execution_count for c in ours.cells] == [c.execution_count for c in made.cells]
    assert [joined(c.outputs) for c in ours.cells] == [joined(c.outputs) for c in made.cells]
    again = execute(nbformat.from_dict(ours))
    assert [joined(c.outputs) for c in again.cells] == [joined(c.outputs) for c in made.cells]


def test_jupyter_kernel_client(service: Any) -> None:
    """In its default protocol. Its v1 (1.0.2) asks a message for a member that only the default one has, and hears nothing of any server."""
    from jupyter_kernel_client import JupyterKernelClient

    with JupyterKernelClient(server_url=service.url, token=service.key) as kernel:
        reply = kernel.execute("print('hello'); 6 * 7")
        assert reply["status"] == "ok" and [o["output_type"] for o in reply["outputs"]] == ["stream", "execute_result"]
        assert kernel.execute("1/0")["status"] == "error"
        kernel.restart()
        assert kernel.execute("print('again')")["outputs"][0]["text"] == "again\n"


class Front:
    """`jupyter server --gateway-url` of the newest release, before the service."""

    def __init__(self, service: Any, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.token = "front"
        (folder / "home").mkdir(parents=True)
        command = [sys.executable, "-m", "jupyter_server", f"--gateway-url={service.url}", "--no-browser", "--allow-root", f"--port={self.port}"]
        command += ["--ServerApp.ip=127.0.0.1", f"--IdentityProvider.token={self.token}", f"--ServerApp.root_dir={folder}", "--ServerApp.port_retries=0"]
        env = dict(os.environ, JUPYTER_GATEWAY_AUTH_TOKEN=service.key, HOME=str(folder / "home"), JUPYTER_PLATFORM_DIRS="1")
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 60
        while True:
            assert self.process.poll() is None and time.monotonic() < deadline, Path(self.log.name).read_text()
            try:
                if httpx.get(f"{self.url}/api").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


@pytest.fixture(scope="module")
def front(service: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    f = Front(service, tmp_path_factory.mktemp("front"))
    try:
        yield f
    finally:
        f.stop()


def run_script(script: str, url: str, token: str, *more: str) -> list[str]:
    """The steps that it has done."""
    node = shutil.which("node")
    modules = os.environ.get("KERNELHUB_NODE_MODULES", "")
    assert node and (Path(modules) / "@jupyterlab" / "services").is_dir(), "node and @jupyterlab/services are needed (KERNELHUB_NODE_MODULES)"
    done = subprocess.run([node, str(HERE / script), url, token, *more], env=dict(os.environ, NODE_PATH=modules), capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr
    return [s for s in done.stdout.splitlines() if not s.startswith(("Starting", "Kernel:", "Connection"))]


def services(url: str, token: str, *more: str) -> None:
    assert run_script("services.js", url, token, *more) == [
        "specs", "started", "executed", "comm", "large", "interrupted", "input", "restarted", "reconnected", "changed", "shut down"
    ]  # fmt: skip


def test_jupyterlab_contents(service: Any) -> None:
    assert run_script("contents.js", service.url, service.key) == ["new", "saved", "got", "uploaded and downloaded", "renamed and copied", "checkpoints", "deleted"]


def test_jupyterlab_services(service: Any) -> None:
    services(service.url, service.key)


def test_jupyterlab_services_through_jupyter_server(front: Front) -> None:
    """It ends its connection at a binary frame and at one above 10 MiB, so it gets neither; what a page sends it passes on as text."""
    services(front.url, front.token, "gateway")
    said = Path(front.log.name).read_text()
    lost = re.findall(r"Lost connection to Gateway: (\S+)", said)
    assert len(lost) == len(set(lost)), said  # a kernel's, once, when it is deleted
    assert "Exception reading message" not in said


def test_the_front_shows_our_kernelspecs(front: Front, service: Any) -> None:
    ours = service.client().get("/api/kernelspecs").json()
    with httpx.Client(base_url=front.url, headers={"Authorization": f"token {front.token}"}) as http:
        theirs = http.get("/api/kernelspecs").json()
        assert theirs["default"] == ours["default"] and set(theirs["kernelspecs"]) == set(ours["kernelspecs"])
        path = theirs["kernelspecs"]["python3"]["resources"]["logo-svg"]
        logo = http.get(path)
    assert path == "/kernelspecs/python3/logo-svg.svg" and logo.headers["content-type"] == "image/svg+xml"
    assert logo.content == service.client().get(path).content and b"<svg" in logo.content


TEXT = {"type": "file", "format": "text", "content": "ä\r\nb\x7f\u2028"}
OUTPUTS = [
    {"output_type": "stream", "name": "stdout", "text": "1\n2"},
    {"output_type": "display_data", "metadata": {}, "data": {"text/html": "<b>\nü", "image/png": "aa\nbb\n", "application/json": {"a": ["x", "y"]}, "image/svg+xml": "<svg>\n</svg>"}},
]
NOTEBOOK = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {"x": 0.1},
    "cells": [
        {"id": "a", "cell_type": "code", "source": "a\nb", "metadata": {}, "execution_count": None, "outputs": OUTPUTS},
        {"id": "b", "cell_type": "markdown", "source": "", "metadata": {}, "attachments": {"i.png": {"image/png": "abc\n"}}},
    ],
}
CONTENTS: list[tuple[str, str, Any]] = [
    *(("POST", "", body) for body in ({}, {"type": "notebook"}, {"type": "directory"}, {"type": "directory"}, {"ext": ".txt"}, {"ext": ".ipynb"}, None, {"type": "odd"})),
    *(("GET", f"/untitled.txt{q}", None) for q in ("", "?content=0&hash=1", "?type=notebook", "?type=directory", "?format=odd", "?content=2")),
    *(("GET", f"/Untitled.ipynb{q}", None) for q in ("", "?content=0", "?type=file", "?type=file&format=base64&hash=1")),
    ("PUT", "/a.txt", TEXT),
    ("PUT", "/a.txt", {**TEXT, "content": "again"}),
    ("GET", "/a.txt?hash=1", None),
    ("PUT", "/b.bin", {"type": "file", "format": "base64", "content": "gIGCg4SFhg=="}),
    *(("GET", f"/b.bin{q}", None) for q in ("", "?format=text", "?format=base64")),
    ("PUT", "/n.ipynb", {"type": "notebook", "content": NOTEBOOK}),
    *(("GET", f"/n.ipynb{q}", None) for q in ("", "?type=file", "?content=0&hash=1", "/checkpoints")),
    *(("POST", f"/n.ipynb/checkpoints{c}", None) for c in ("", "/checkpoint")),
    *(("DELETE", "/n.ipynb/checkpoints/checkpoint", None) for _ in range(2)),
    ("PUT", "/no.ipynb", TEXT),
    *(("GET", f"/no.ipynb{q}", None) for q in ("", "?type=file")),
    *(("PUT", "/d", {"type": "directory"}) for _ in range(2)),
    ("PUT", "/a.txt", {"type": "directory"}),
    *(("GET", f"/d{q}", None) for q in ("", "?type=file", "?content=0")),
    *(("PUT", "/a.txt", body) for body in ({"format": "text", "content": "x"}, {"type": "file", "content": "x"}, {"type": "file", "format": "text"}, {"copy_from": "b.bin"})),
    *(("PUT", path, body) for path, body in (("/c.txt", {"type": "file"}), ("/e.ipynb", {"type": "notebook"}), ("/f.ipynb", {"x": 1}), ("/.h", TEXT))),
    *(("POST", path, {}) for path in ("/a.txt", "/none")),
    *(("POST", "", {"copy_from": f"cmp/{name}"}) for name in ("a.txt", "a-Copy1.txt", "d", "none", "n.ipynb")),
    ("PATCH", "/a.txt", {"path": "cmp/d/r.txt"}),
    *(("PATCH", "/c.txt", body) for body in ({"path": "cmp/n.ipynb"}, None, {}, {"path": "cmp/.h"})),
    ("PATCH", "/none", {"path": "cmp/x"}),
    *(("GET", f"/{name}", None) for name in (".h", "none", "none/x")),
    *(("DELETE", f"/{name}", None) for name in (".h", "none", "d/r.txt")),
    ("GET", "", None),
]


def comparable(value: Any, key: str = "") -> Any:
    """Without what may differ: times, the order of a listing, line ends in base64."""
    if isinstance(value, dict):
        return {k: "" if k in ("created", "last_modified") else comparable(v, value.get("format", "") if k == "content" else "") for k, v in value.items()}
    if isinstance(value, list):
        items = [comparable(v) for v in value]
        return sorted(items, key=lambda m: m["name"]) if items and isinstance(items[0], dict) and "writable" in items[0] else items
    return value.replace("\n", "") if key == "base64" else value


def test_contents_are_answered_as_jupyter_server_answers(front: Front, service: Any) -> None:
    """The front has contents of its own: what it and the service say to the same requests is the same."""
    with httpx.Client(base_url=front.url, headers={"Authorization": f"token {front.token}"}, timeout=30) as theirs, service.client() as ours:
        assert theirs.put("/api/contents/cmp", json={"type": "directory"}).status_code == ours.put("/api/contents/cmp", json={"type": "directory"}).status_code == 201
        for method, path, body in CONTENTS:
            answers = []
            for client in (theirs, ours):
                r = client.request(method, f"/api/contents/cmp{path}", **({} if body is None else {"json": body}))
                good = r.status_code < 400
                answers.append((r.status_code, comparable(r.json()) if good and r.content else None, r.headers.get("Location") if good else None))
            assert answers[0] == answers[1], (method, path, body)
