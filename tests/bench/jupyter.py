"""The newest Jupyter Server beside us, and the fast kernel in both: what bench.py --only jupyter compares."""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Callable

import machine
from conftest import Service, free_port

BASE = "localhost/kernelhub-slim"
SPEC = {"display_name": "Fast", "language": "fast", "interrupt_mode": "signal"}
GLIBC = re.compile(r"^(ld-linux.*|lib(c|m|dl|rt|resolv|pthread))\.so")
V1 = "v1.kernel.websocket.jupyter.org"
SMALL, LARGE = 100, 20_000_000  # bytes
SHOW = "get_ipython().display_pub.publish"

Samples = list[dict[str, Any]]
Way = dict[str, Any]


def run(*command: str | Path, timeout: float = 300, **more: Any) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=timeout, **more)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]} {done.stdout[-300:]}")
    return done.stdout


class FastImage:
    """Our slim image with the fast kernel in it, and the libraries that it needs beside it; removed at the end."""

    template = "bench"
    name = f"localhost/kernelhub-bench-{secrets.token_hex(4)}"

    def __init__(self, kernel: Path) -> None:
        self.kernel = kernel

    def __enter__(self) -> FastImage:
        with tempfile.TemporaryDirectory(prefix="khbench-") as folder:
            self._lay_out(Path(folder))
            run("podman", "build", "--quiet", "--pull-never", "--format", "oci", "--label", f"io.kernelhub.template={self.template}", "-t", self.name, folder)
        return self

    def _lay_out(self, folder: Path) -> None:
        files = folder / "files/opt/fast"
        (files / "lib").mkdir(parents=True)
        shutil.copy(self.kernel, files / "fast_kernel")
        for path in re.findall(r"=> (/\S+)", run("ldd", self.kernel)):
            if not GLIBC.match(Path(path).name):
                shutil.copy(path, files / "lib")
        spec = folder / "files/usr/local/share/jupyter/kernels/fast/kernel.json"
        spec.parent.mkdir(parents=True)
        ours = {"env": {"LD_LIBRARY_PATH": "/opt/fast/lib"}, "metadata": {"kernelhub": {"transports": ["ipc"]}}}
        spec.write_text(json.dumps({**SPEC, **ours, "argv": ["/opt/fast/fast_kernel", "{connection_file}"]}))
        for entry in (folder / "files").rglob("*"):
            entry.chmod(0o755 if entry.is_dir() or entry.name == "fast_kernel" else 0o644)
        (folder / "Containerfile").write_text(f"FROM {BASE}\nCOPY files/ /\n")

    def __exit__(self, *_: object) -> None:
        subprocess.run(["podman", "rmi", "-f", self.name], capture_output=True)


class JupyterServer:
    """The newest one, with nothing of this machine's settings, on loopback; its limits of rates are off."""

    def __init__(self, python: str | None, kernel: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="khbench-jupyter-"))
        self.python = python or self._install()
        self.kernel = kernel
        self.token = secrets.token_hex(16)
        self.port = free_port()
        self.log = self.folder / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def _install(self) -> str:
        run(sys.executable, "-m", "venv", self.folder / "venv")
        python = self.folder / "venv/bin/python"
        run(python, "-m", "pip", "install", "--quiet", "jupyter_server", "ipykernel")
        return str(python)

    def versions(self) -> str:
        names = ("jupyter_server", "jupyter_client", "ipykernel", "tornado", "pyzmq")
        code = f"import importlib.metadata as m, platform; print('Python', platform.python_version(), *(f', {{n}} {{m.version(n)}}' for n in {names}), sep=' ')"
        return run(self.python, "-c", code).strip().replace(" ,", ",")

    def __enter__(self) -> JupyterServer:
        spec = self.folder / "data/kernels/fast/kernel.json"
        spec.parent.mkdir(parents=True)
        spec.write_text(json.dumps({**SPEC, "argv": [str(self.kernel), "{connection_file}"]}))
        for name in ("runtime", "config", "work", "home"):
            (self.folder / name).mkdir()
        env = {k: v for k, v in os.environ.items() if not k.startswith("JUPYTER")}
        env |= {f"JUPYTER_{n.upper()}": str(self.folder / f) for n, f in (("path", "data"), ("runtime_dir", "runtime"), ("config_dir", "config"))}
        env |= {"HOME": str(self.folder / "home"), "JUPYTER_TOKEN": self.token}
        command = [self.python, "-m", "jupyter_server", "--allow-root", "--no-browser", "--ip=127.0.0.1", f"--port={self.port}"]
        command += ["--ServerApp.port_retries=0", f"--ServerApp.root_dir={self.folder}/work", "--ZMQChannelsWebsocketConnection.limit_rate=False"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + 60
        while True:
            try:
                self.ask("GET", "/api/status")
                return self
            except OSError:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise RuntimeError(f"Jupyter Server does not come up: {self.log.read_text()[-2000:]}") from None
                time.sleep(0.1)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        return ask(self.port, self.token, method, path, body)

    def raw(self, kernel_id: str) -> Way:
        file = json.loads((self.folder / f"runtime/kernel-{kernel_id}.json").read_text())
        at = {n: f"tcp://{file['ip']}:{file[f'{n}_port']}" for n in ("shell", "iopub")}
        return {**at, "key": file["key"]}

    def __exit__(self, *_: object) -> None:
        try:
            for kernel in self.ask("GET", "/api/kernels"):
                self.ask("DELETE", f"/api/kernels/{kernel['id']}")
        except (OSError, RuntimeError):
            pass  # it goes by its process then
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class DumbServer:
    """A WebSocket server that has its answers ready: what the client itself is able to take."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.ready: dict[tuple[str, bool], bytes] = {}

    def __enter__(self) -> DumbServer:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client, client.makefile("rb") as stream:
                self._serve(client, stream)

    def _serve(self, client: socket.socket, stream: Any) -> None:
        head = b"".join(iter(stream.readline, b"\r\n"))
        v1 = V1.encode() in head
        protocol = f"Sec-WebSocket-Protocol: {V1}\r\n" if v1 else ""
        client.sendall(f"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{protocol}\r\n".encode())
        while begin := stream.read(2):
            n = begin[1] & 0x7F
            n = int.from_bytes(stream.read(2), "big") if n == 126 else n
            stream.read(4)  # the mask: zeros
            text = stream.read(n).decode(errors="replace")
            header = json.loads(re.search(r'{"msg_id".*?}', text)[0])  # type: ignore[index]
            code = re.search(r'"code": ?"(.*?)"', text)
            kind = header["msg_type"].replace("request", "reply")
            content = {"status": "ok"}
            client.sendall(
                self._displays(code[1] if code else "pass", v1)
                + self._frame("shell", kind, content, v1, header)
                + self._frame("iopub", "status", {"execution_state": "idle"}, v1, header)
            )

    def _displays(self, code: str, v1: bool) -> bytes:
        if (code, v1) not in self.ready:
            words = code.split()
            count = {"burst": lambda: int(words[1]), "large": lambda: 1, "pass": lambda: 0}[words[0]]()
            content = {"data": {"text/plain": "x" * int(words[-1])} if count else {}, "metadata": {}, "transient": {}}
            self.ready[code, v1] = self._frame("iopub", "display_data", content, v1, {}) * count
        return self.ready[code, v1]

    @staticmethod
    def _frame(channel: str, kind: str, content: Any, v1: bool, parent: Any) -> bytes:
        header = {"msg_id": secrets.token_hex(18), "msg_type": kind, "username": "bench", "session": "s" * 36, "date": "2026-11-22T00:00:00.000000Z", "version": "5.3"}
        parts = {"header": header, "parent_header": parent or {"msg_id": "p" * 36}, "metadata": {}, "content": content}
        if v1:
            texts = [channel.encode(), *(json.dumps(p).encode() for p in parts.values())]
            offsets = [8 * (len(texts) + 2)]
            for t in texts:
                offsets.append(offsets[-1] + len(t))
            payload = struct.pack(f"<{len(offsets) + 1}Q", len(offsets), *offsets) + b"".join(texts)
        else:
            payload = json.dumps({**parts, "channel": channel, "buffers": []}).encode()
        n = len(payload)
        length = bytes([n]) if n < 126 else b"\x7e" + n.to_bytes(2, "big") if n < 65536 else b"\x7f" + n.to_bytes(8, "big")
        return bytes([0x82 if v1 else 0x81]) + length + payload


def ask(port: int, token: str, method: str, path: str, body: Any = None) -> Any:
    """Of either server: the Jupyter Server API."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None, {"Authorization": f"token {token}"})
        reply = connection.getresponse()
        text = reply.read().decode()
    finally:
        connection.close()
    if reply.status >= 400:
        raise RuntimeError(f"{method} {path}: {reply.status} {text[:500]}")
    return json.loads(text) if text else None


class Comparison:
    """Each measure in turns over all ways: raw ZeroMQ to either kernel, both servers in both protocols."""

    def __init__(self, service: Service, server: JupyterServer, program: Path, quick: bool) -> None:
        self.service, self.server, self.program, self.quick = service, server, program, quick

    def kernels(self, name: str) -> tuple[str, str]:
        ours = ask(self.service.port, self.service.key, "POST", "/api/kernels", {"name": name})
        theirs = self.server.ask("POST", "/api/kernels", {"name": name})
        return ours["id"], theirs["id"]

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(r.read_text()) for r in (self.service.state / "keeper/records").iterdir()]

    def raw_of_ours(self, word: str) -> Way:
        """Through the kernel's own mount namespace, to its ipc sockets."""
        for record in self.records():
            init = record["pid"]
            for child in machine.children(init):
                argv = Path(f"/proc/{child}/cmdline").read_text().split("\0")
                if not any(word in a for a in argv):
                    continue
                info = json.loads(Path(f"/proc/{init}/root{next(a for a in argv if a.startswith('/run/kernel/'))}").read_text())
                assert info["transport"] == "ipc", info["transport"]
                at = f"ipc:///proc/{init}/root{info['ip']}"
                return {"shell": f"{at}-1", "iopub": f"{at}-2", "key": info["key"]}
        raise RuntimeError(f"no kernel of ours runs {word}")

    def ways(self, name: str, word: str) -> dict[str, Way]:
        ours, theirs = self.kernels(name)
        us = {"port": self.service.port, "token": self.service.key, "path": f"/api/kernels/{ours}/channels"}
        them = {"port": self.server.port, "token": self.server.token, "path": f"/api/kernels/{theirs}/channels"}
        return {
            "raw": self.raw_of_ours(word), "json": us, "v1": {**us, "v1": True},
            "raw js": self.server.raw(theirs), "json js": them, "v1 js": {**them, "v1": True},
        }  # fmt: skip

    def measure(self, ways: dict[str, Way], code: str, blocks: int, repeat: int, settle_ms: int) -> Samples:
        order = {"code": code, "blocks": blocks, "repeat": repeat, "warmup": 2, "settle_ms": settle_ms}
        order["ways"] = [{"name": n, **w} for n, w in ways.items()]
        text = run(self.program, input=json.dumps(order), timeout=600)
        return [json.loads(line) for line in text.splitlines()]

    def flood(self, ways: dict[str, Way], n: int, size: int, code: str) -> Samples:
        """Raw on the host's kernel only: behind the other one our roles would hear it too. A pause after each, for what a server does later."""
        some = {name: way for name, way in ways.items() if name != "raw"}
        samples = self.measure(some, code, 2 if self.quick else 5, 1, settle_ms=300)
        lost = [s for s in samples if s["messages"] < n or s["bytes"] < n * size]
        if lost:
            raise RuntimeError(f"{len(lost)} of {len(samples)} floods lost messages: {lost[0]} of {n}")
        return [{**s, "n": n, "size": size} for s in samples]

    def of_kernel(self, name: str, word: str, n: int, codes: tuple[str, str]) -> dict[str, Samples]:
        ways = self.ways(name, word)
        blocks = 4 if self.quick else 20
        return {
            "pass": self.measure(ways, "pass", blocks, 10, 0),
            "small": self.flood(ways, n, SMALL, codes[0]),
            "large": self.flood(ways, 1, LARGE, codes[1]),
        }

    def client(self, codes: tuple[str, str]) -> dict[str, Samples]:
        """What the client takes from a server that has all ready."""
        with DumbServer() as dumb:
            way = {"port": dumb.port, "token": "", "path": "/"}
            ways = {"json": way, "v1": {**way, "v1": True}}
            return {part: self.measure(ways, code, 2, 2, 0) for part, code in zip(("pass", "small", "large"), ("pass", *codes))}

    def run(self) -> dict[str, dict[str, Samples]]:
        n, n_fast = 2500, 10_000 if self.quick else 30_000
        python = (f"show = {SHOW}\nfor i in range({n}): show({{'text/plain': 'x' * {SMALL}}})", f"{SHOW}({{'text/plain': 'x' * {LARGE}}})")
        fast = (f"burst {n_fast} {SMALL}", f"large {LARGE}")
        return {
            "ipykernel": self.of_kernel("python3", "kernelhub_kernel", n, python),
            "fast kernel": self.of_kernel("fast", "fast_kernel", n_fast, fast),
            "no kernel": self.client(fast),
        }


def versions_of_ours(service: Service) -> str:
    """Of the kernel in the sandbox."""
    code = "import ipykernel, platform; print('Python', platform.python_version() + ', ipykernel', ipykernel.__version__)"
    with service.client() as client:
        reply = client.post("/api/v1/execute", json={"code": code, "language": "python"})
    return str(reply.json()["stdout"]).strip()


def compare(find: Callable[[str], Path], python: str | None, quick: bool) -> dict[str, Any]:
    """All of it, with a service, an image and a Jupyter Server of its own; nothing of them stays."""
    kernel, program = find("fast_kernel"), find("channels_bench")
    with FastImage(kernel) as image:
        service = Service("limits/max_output_bytes=256M", f"template/default={image.template}")
        try:
            service.start()
            with JupyterServer(python, kernel) as server:
                result: dict[str, Any] = {"versions": server.versions(), "load before": os.getloadavg()[0]}
                result["kernels"] = Comparison(service, server, program, quick).run()
                result["load after"] = os.getloadavg()[0]
                result["ours"] = versions_of_ours(service)
                return result
        finally:
            service.destroy()
