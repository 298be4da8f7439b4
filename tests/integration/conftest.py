"""Starts real services (the built binaries, real Podman, real kernels) and takes them down again, also after failures."""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from tidy import *  # noqa: E402, F403
from tidy import FOLDER, KEEP  # noqa: E402

BUILD = Path(os.environ.get("KERNELHUB_BUILD", ROOT / "build")).resolve()

# The tests of one role alone ask for its program by these.
os.environ.setdefault("KERNELHUB_INIT", str(BUILD / "kernelhub-init"))
os.environ.setdefault("KERNELHUB_WARDEN", str(BUILD / "kernelhub-warden"))


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Service:
    """One instance of the service with its own state, sockets and port below a directory of its own."""

    numbers = itertools.count()

    def __init__(self, *settings: str) -> None:
        self.folder = FOLDER / f"s{next(self.numbers):03}"
        self.folder.mkdir(mode=0o755)
        self.state = self.folder / "state"
        self.run = self.folder / "run"
        self.token_file = self.folder / "token"
        self.log = self.folder / "log"
        (self.folder / "conf").touch()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = ("template/preferred=", *settings)
        self.process: subprocess.Popen[bytes] | None = None
        self.env = dict(
            os.environ,
            KERNELHUB_LIBEXEC=str(BUILD),
            KERNELHUB_DATA=os.environ.get("KERNELHUB_DATA", str(ROOT)),
            KERNELHUB_TOKEN_FILE=str(self.token_file),
            ASAN_OPTIONS="detect_leaks=0:abort_on_error=1",
            UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1",
        )

    @property
    def binary(self) -> str:
        return str(BUILD / "cmd" / "kernelhub")

    @property
    def sanitized(self) -> bool:
        """A sanitizer's build: the hub is not confined there, for the sanitizer needs more than it would be left."""
        return b"__asan_init" in Path(self.binary).read_bytes()

    def arguments(self) -> list[str]:
        return [f"--config={self.folder}/conf", f"--state={self.state}", f"--run={self.run}"]

    def start(self) -> None:
        command = [self.binary, "serve", *self.arguments(), f"--port={self.port}", f"--set=paths/token_file={self.token_file}"]
        command += [f"--set={s}" for s in self.settings]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"serve ended with {self.process.returncode}:\n{self.log.read_text()[-4000:]}")
            try:
                if httpx.get(f"{self.url}/health", timeout=2).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.02)
        raise RuntimeError(f"the service did not become healthy:\n{self.log.read_text()[-4000:]}")

    @property
    def key(self) -> str:
        for line in self.token_file.read_text().splitlines():
            if line.startswith("token="):
                return line[6:].strip()
        raise RuntimeError("no token in the token file")

    def pid_of(self, role: str) -> int:
        return int((self.run / f"{role}.pid").read_text().split()[0])

    def cli(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        env = dict(self.env, KERNELHUB_URL=self.url, KERNELHUB_TOKEN=self.key)
        return subprocess.run([self.binary, *arguments], env=env, input=stdin, capture_output=True, text=True, timeout=timeout)

    def client(self, key: str | None = None, timeout: float = 60) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {key or self.key}"}, timeout=timeout)

    def stop(self) -> None:
        """`kernelhub stop`: everything ends; then proof that nothing is left."""
        done = subprocess.run(
            [self.binary, "stop", *self.arguments()], env=self.env, capture_output=True, text=True, timeout=120
        )
        if self.process is not None:
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise RuntimeError(f"serve did not end after stop: {done.stderr}\n{self.log.read_text()[-4000:]}") from None
        left = self.leftovers()
        if left:
            raise AssertionError(f"left behind: {left}\n{done.stdout}{done.stderr}\n{self.log.read_text()[-4000:]}")

    def leftovers(self) -> list[str]:
        """Processes, mounts and containers that name this instance's folder or id."""
        found = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines() if str(self.folder) in line]
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(self.folder) in command and "pytest" not in command:
                found.append(f"process {entry.name}: {command[:120]}")
        instance = self.state / "keeper" / "instance"
        if instance.exists():
            listed = subprocess.run(
                ["podman", "ps", "-aq", "--filter", f"label=io.kernelhub.instance={instance.read_text().strip()}"],
                capture_output=True,
                text=True,
                timeout=60,
            )
            found += [f"container {c}" for c in listed.stdout.split()]
        return found

    def destroy(self) -> None:
        try:
            self.stop()
        finally:
            if KEEP:
                print("kept:", self.folder)
            else:
                shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """The service that most tests of a file share: what many files leave in one sandbox is more than it holds."""
    s = Service("limits/memory_bytes=512M", "limits/pids=128", "limits/max_sessions=40")
    try:
        s.start()
        yield s
    finally:
        s.destroy()


@pytest.fixture
def make_service() -> Iterator[object]:
    """For tests that hurt their service: make_service(*settings) starts one of their own."""
    made: list[Service] = []

    def make(*settings: str) -> Service:
        s = Service(*settings)
        made.append(s)
        s.start()
        return s

    yield make
    with ExitStack() as ends:  # each of them, also when one fails
        for s in made:
            ends.callback(s.destroy)


@pytest.fixture
def disk_alone() -> Iterator[None]:
    """Tests that fill the disk take turns, in whatever process they are: what one takes is a loss to the other."""
    with Path(__file__).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture
def http(service: Service) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client


def run(client: httpx.Client, code: str, **fields: object) -> dict[str, object]:
    """POST /execute; the reply's record."""
    reply = client.post("/api/v1/execute", json={"code": code, **fields})
    assert reply.status_code == 200, reply.text
    record: dict[str, object] = reply.json()
    return record


def wait_until(true: object, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.02)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
