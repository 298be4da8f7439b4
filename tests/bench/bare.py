"""The floor: the same kernel in an equal container, made by hand, with none of our processes."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

FIRST_ID = 0x50000000  # container_spec.c's
USER = FIRST_ID + 1000
GO = "/run/kernel/go"
WAIT = f"mkdir -p /run/kernel/1; cp /run/kernelhub/connection.json /run/kernel/1/; mkfifo {GO}; read x < {GO}; exec "


class PodmanApi(http.client.HTTPConnection):
    """Podman's REST API over its Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("podman", timeout=60)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self.path))

    def call(self, method: str, path: str, body: Any = None) -> Any:
        text = json.dumps(body) if body is not None else None
        self.request(method, f"/v4.0.0/libpod{path}", text, {"Content-Type": "application/json"})
        reply = self.getresponse()
        answer = reply.read()
        if reply.status >= 400:
            raise RuntimeError(f"podman: {method} {path}: {reply.status} {answer.decode(errors='replace')}")
        return json.loads(answer) if answer else None


class BareKernel:
    """One container; its shell waits for a line in a FIFO and then becomes the kernel."""

    def __init__(self, podman: PodmanApi, tools: dict[str, Path], image_id: str, argv: list[str], env: dict[str, str], group: str) -> None:
        self.podman = podman
        self.tools = tools
        self.name = f"kernelhub-bench-{secrets.token_hex(6)}"
        self.key = secrets.token_hex(32)
        self.folder = Path(tempfile.mkdtemp(prefix="khbench-"))
        self.pid = 0
        self.create_us = self.start_us = 0
        self._make_folder()
        self.spec = self._spec(image_id, argv, env, group)

    def _make_folder(self) -> None:
        self.folder.chmod(0o755)
        for name in ("wall", "workspace"):
            (self.folder / name).mkdir(mode=0o755)
        (self.folder / "empty").touch()
        os.chown(self.folder / "workspace", USER, USER)
        connection = {
            "transport": "ipc", "ip": "/run/kernel/1/ch", "key": self.key, "signature_scheme": "hmac-sha256", "kernel_name": "",
            "shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4, "hb_port": 5,
        }  # fmt: skip
        (self.folder / "wall/connection.json").write_text(json.dumps(connection))

    def _spec(self, image_id: str, argv: list[str], env: dict[str, str], group: str) -> dict[str, Any]:
        words = [self.name, "bench", image_id, self.tools["init"], self.tools["seccomp"], self.folder / "empty", self.folder, group]
        text = subprocess.run([self.tools["container_spec"], *map(str, words)], check=True, capture_output=True, text=True).stdout
        spec: dict[str, Any] = json.loads(text)
        spec["entrypoint"] = ["/bin/sh", "-c", WAIT + " ".join(argv)]
        spec["command"] = []
        spec["env"] = {**spec["env"], **env}
        return spec

    def make(self) -> None:
        """Podman's create and start, timed; returns when the shell waits."""
        began = time.monotonic_ns()
        self.podman.call("POST", "/containers/create", self.spec)
        created = time.monotonic_ns()
        self.podman.call("POST", f"/containers/{self.name}/start")
        self.create_us = (created - began) // 1000
        self.start_us = (time.monotonic_ns() - created) // 1000
        self.pid = int(self.podman.call("GET", f"/containers/{self.name}/json")["State"]["Pid"])
        until = time.monotonic() + 20
        while not os.path.exists(self.inside(GO)):
            if time.monotonic() > until:
                raise RuntimeError("the container's shell does not wait: " + (self.folder / "log").read_text())
            time.sleep(0.002)

    def inside(self, path: str) -> str:
        return f"/proc/{self.pid}/root{path}"

    @property
    def endpoint(self) -> str:
        return self.inside("/run/kernel/1/ch")

    def start_kernel(self) -> dict[str, int]:
        """From the order to the first kernel_info_reply, and the first result after it."""
        command = [self.tools["bench_client"], "--go", self.inside(GO), "--endpoint", self.endpoint]
        done = subprocess.run(command, env={**os.environ, "BENCH_KEY": self.key}, capture_output=True, text=True, timeout=150)
        if done.returncode:
            raise RuntimeError(done.stderr + (self.folder / "log").read_text())
        figures: dict[str, int] = json.loads(done.stdout)
        return figures

    def remove(self) -> None:
        try:
            self.podman.call("DELETE", f"/containers/{self.name}?force=true&timeout=0")
        except (RuntimeError, OSError, http.client.HTTPException):
            subprocess.run(["podman", "rm", "-f", "-t", "0", self.name], capture_output=True)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> BareKernel:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()
