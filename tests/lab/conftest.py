"""A JupyterLab of the newest release in a headless Chromium, before a real service: Lab ─► its server (--gateway-url) ─► a line that can be cut ─► the service."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import nbformat
import pytest

_spec = importlib.util.spec_from_file_location("integration_conftest", Path(__file__).resolve().parents[1] / "integration" / "conftest.py")
assert _spec and _spec.loader
integration = importlib.util.module_from_spec(_spec)
sys.modules["integration_conftest"] = integration
_spec.loader.exec_module(integration)
FOLDER = integration.FOLDER
SHOTS = Path(os.environ.get("KERNELHUB_SHOTS", FOLDER / "shots"))


class Line:
    """TCP to the service, as long as nobody cuts it."""

    def __init__(self, to: int) -> None:
        self.to = to
        self.is_cut = False
        self.sockets: list[socket.socket] = []
        self.door = socket.socket()
        self.door.bind(("127.0.0.1", 0))
        self.door.listen(64)
        self.port = self.door.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                ours, _ = self.door.accept()
                theirs = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                if self.door.fileno() < 0:
                    return
                ours.close()
                continue
            if self.is_cut:
                ours.close()
                theirs.close()
                continue
            self.sockets += [ours, theirs]
            for a, b in ((ours, theirs), (theirs, ours)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    def _pump(self, a: socket.socket, b: socket.socket) -> None:
        try:
            while (data := a.recv(1 << 16)) and not self.is_cut:
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self, seconds: float) -> None:
        self.is_cut = True
        for s in self.sockets:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        time.sleep(seconds)
        self.is_cut = False

    def close(self) -> None:
        self.cut(0)
        self.door.close()
        for s in self.sockets:
            s.close()


class Lab:
    def __init__(self, gateway: str, key: str, folder: Path) -> None:
        self.folder = folder
        (folder / "home").mkdir(parents=True)
        self.port = integration.free_port()
        self.log = (folder / "lab.log").open("wb")
        env = dict(os.environ, JUPYTER_GATEWAY_AUTH_TOKEN=key, HOME=str(folder / "home"), PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        command = [sys.executable, "-m", "jupyterlab", f"--gateway-url={gateway}", "--no-browser", "--allow-root", f"--port={self.port}"]
        command += ["--IdentityProvider.token=lab", f"--ServerApp.root_dir={folder}", "--LabApp.news_url=None"]
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 90
        while True:
            assert self.process.poll() is None and time.monotonic() < deadline, Path(self.log.name).read_text()
            try:
                if httpx.get(f"http://127.0.0.1:{self.port}/api").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)

    def write(self, name: str, *cells: str) -> str:
        metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells], metadata=metadata), self.folder / name)
        return f"http://127.0.0.1:{self.port}/lab/tree/{name}?token=lab&reset"

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


@pytest.fixture(scope="session")
def service() -> Iterator[Any]:
    s = integration.Service("limits/memory_bytes=1G", "template/preferred=python")
    try:
        s.start()
        yield s
    finally:
        s.destroy()


@pytest.fixture(scope="session")
def line(service: Any) -> Iterator[Line]:
    made = Line(service.port)
    yield made
    made.close()


@pytest.fixture(scope="session")
def lab(service: Any, line: Line) -> Iterator[Lab]:
    made = Lab(f"http://127.0.0.1:{line.port}", service.key, FOLDER / "lab")
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    assert program, "Chromium is needed: apt-get install chromium, or CHROMIUM=…"
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def page(browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    made = browser.new_page(viewport={"width": 1200, "height": 1000})
    yield made
    SHOTS.mkdir(parents=True, exist_ok=True)
    made.screenshot(path=str(SHOTS / f"{request.node.name}.png"))
    made.close()
