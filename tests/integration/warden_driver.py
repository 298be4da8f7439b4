"""Plays keeper, hub and init to a built kernelhub-warden: no Podman, no hub.

KERNELHUB_WARDEN and KERNELHUB_INIT name the programs (default: the build directory's),
KERNEL_PYTHON a Python that has ipykernel (default: this one).
"""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

from tidy import MARK

ROOT = Path(__file__).resolve().parents[2]
WARDEN = os.environ.get("KERNELHUB_WARDEN", str(ROOT / "kernelhub-warden"))
INIT = os.environ.get("KERNELHUB_INIT", str(ROOT / "kernelhub-init"))
KERNEL_PYTHON = os.environ.get("KERNEL_PYTHON", sys.executable)

KERNEL_MODULES = Path(os.environ.get("KERNELHUB_DATA", ROOT)) / "images/slim/files/usr/share/kernelhub/python"

HELLO, START, STOP, EXECUTE, MESSAGE, INTERRUPT, ACK, SAMPLE = range(1, 9)
KERNEL, END, GAP, USAGE, ERROR = range(16, 21)
SHELL, CONTROL, STDIN, IOPUB = range(4)
NUMBERED = (MESSAGE, KERNEL, END, GAP)
NONE = uuid.UUID(int=0)


@dataclass
class Frame:
    type: int
    channel: int = 0
    number: int = 0
    kernel: uuid.UUID = NONE
    execution: uuid.UUID = NONE
    parts: list[bytes] = field(default_factory=list)

    def encode(self) -> bytes:
        head = struct.pack(">BBHQ", self.type, self.channel, len(self.parts), self.number)
        head += self.kernel.bytes + self.execution.bytes
        body = head + b"".join(struct.pack(">I", len(p)) for p in self.parts) + b"".join(self.parts)
        return struct.pack(">I", len(body)) + body

    @staticmethod
    def decode(body: bytes) -> Frame:
        kind, channel, n, number = struct.unpack_from(">BBHQ", body)
        lengths = struct.unpack_from(f">{n}I", body, 44)
        at = 44 + 4 * n
        parts = []
        for length in lengths:
            parts.append(body[at : at + length])
            at += length
        assert at == len(body)
        return Frame(kind, channel, number, uuid.UUID(bytes=body[12:28]), uuid.UUID(bytes=body[28:44]), parts)

    @property
    def json(self) -> Any:
        return json.loads(self.parts[0])

    @property
    def header(self) -> Any:
        return json.loads(self.parts[0])

    @property
    def content(self) -> Any:
        return json.loads(self.parts[3])

    @property
    def msg_type(self) -> str:
        return self.header["msg_type"] if self.type == MESSAGE else ""


class Hub:
    """One connection to link.sock. Checks that numbers have no hole and no double."""

    def __init__(self, path: str, epoch: str = "", last: int = 0, ack: bool = True, hello: bool = True) -> None:
        self.home = os.path.dirname(os.path.dirname(path)) + "/home"  # the sandbox's
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.buffer = bytearray()
        self.at = 0
        self.auto_ack = ack
        self.last = last
        self.seen: list[Frame] = []
        self.hello: Any = None
        if hello:
            self.send(Frame(HELLO, parts=[json.dumps({"version": 1, "epoch": epoch, "last": last}).encode()]))
            first = self.read(10)
            assert first and first.type == HELLO
            self.hello = first.json
            if not last:
                self.last = self.hello["first"] - 1

    def close(self) -> None:
        self.socket.close()

    def send(self, frame: Frame) -> None:
        self.socket.sendall(frame.encode())

    def _take(self) -> Frame | None:
        if len(self.buffer) - self.at < 4:
            return None
        (length,) = struct.unpack_from(">I", self.buffer, self.at)
        if len(self.buffer) - self.at - 4 < length:
            return None
        frame = Frame.decode(bytes(self.buffer[self.at + 4 : self.at + 4 + length]))
        self.at += 4 + length
        if self.at == len(self.buffer) or self.at > 1 << 20:
            del self.buffer[: self.at]
            self.at = 0
        return frame

    def read(self, timeout: float) -> Frame | None:
        """The next frame, None when none comes in time or the connection ends."""
        until = time.monotonic() + timeout
        while (frame := self._take()) is None:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                return None
            try:
                data = self.socket.recv(1 << 18)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self.buffer += data
        if frame.type in NUMBERED:
            assert frame.number == self.last + 1, f"{frame.number} after {self.last}"
            self.last = frame.number
            if self.auto_ack:
                self.send(Frame(ACK, number=frame.number))
        self.seen.append(frame)
        return frame

    def until(self, want: Callable[[Frame], bool], timeout: float = 20) -> list[Frame]:
        """All frames up to the first wanted one."""
        frames = []
        end = time.monotonic() + timeout
        while True:
            frame = self.read(max(0, end - time.monotonic()))
            assert frame, f"not seen in {timeout} s; last frames {[(f.type, f.msg_type) for f in frames[-10:]]}"
            frames.append(frame)
            if want(frame):
                return frames

    def is_closed(self, timeout: float = 5) -> bool:
        until = time.monotonic() + timeout
        while (left := until - time.monotonic()) > 0:
            if select.select([self.socket], [], [], left)[0]:
                try:
                    if not self.socket.recv(1 << 18):
                        return True
                except ConnectionResetError:
                    return True
        return False

    # orders

    def start(self, kernel: uuid.UUID | None = None, **options: Any) -> uuid.UUID:
        kernel = kernel or uuid.uuid4()
        spec: dict[str, Any] = {
            "argv": [KERNEL_PYTHON, "-m", "kernelhub_kernel", "-f", "{connection_file}"],
            "env": {"PATH": os.environ["PATH"], "HOME": self.home, "TMPDIR": self.home, MARK: os.environ[MARK], "PYTHONPATH": str(KERNEL_MODULES)},
            "cwd": self.home,
            "transport": "ipc",
            "interrupt_mode": "signal",
            "ready_timeout_ms": 30000,
        }
        spec.update(options)
        self.send(Frame(START, kernel=kernel, parts=[json.dumps(spec).encode()]))
        return kernel

    def kernel_state(self, kernel: uuid.UUID, state: str, timeout: float = 40) -> Any:
        frames = self.until(lambda f: f.type == KERNEL and f.kernel == kernel and f.json["state"] == state, timeout)
        return frames[-1].json

    def started(self, **options: Any) -> uuid.UUID:
        kernel = self.start(**options)
        self.kernel_state(kernel, "ready")
        return kernel

    def execute(
        self, kernel: uuid.UUID, code: str, execution: uuid.UUID | None = None, timeout_ms: int = 0, grace_ms: int = 2000, **more: Any
    ) -> uuid.UUID:
        execution = execution or uuid.uuid4()
        header = {
            "msg_id": str(execution),
            "msg_type": "execute_request",
            "username": "test",
            "session": "test",
            "date": "2026-11-21T10:00:00.000000Z",
            "version": "5.4",
        }
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False, "stop_on_error": False}
        content.update(more)
        parts = [{"timeout_ms": timeout_ms, "grace_ms": grace_ms}, header, {}, {}, content]
        self.send(Frame(EXECUTE, kernel=kernel, execution=execution, parts=[json.dumps(p).encode() for p in parts]))
        return execution

    def end(self, execution: uuid.UUID, timeout: float = 20) -> tuple[Any, list[Frame]]:
        frames = self.until(lambda f: f.type in (END, ERROR) and f.execution == execution, timeout)
        assert frames[-1].type == END, frames[-1].json
        return frames[-1].json, frames

    def run(self, kernel: uuid.UUID, code: str, timeout: float = 20, **options: Any) -> tuple[Any, list[Frame]]:
        return self.end(self.execute(kernel, code, **options), timeout)


def text_of(frames: list[Frame], name: str = "stdout") -> str:
    return "".join(f.content["text"] for f in frames if f.msg_type == "stream" and f.content["name"] == name)


def type_list(frames: list[Frame]) -> list[str]:
    return [f.msg_type for f in frames if f.type == MESSAGE]


def pss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no Pss")


def cgroup_of_this_test() -> dict[str, Any]:
    """Some cgroup directories with the right files: this process's own."""
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        path = "/sys/fs/cgroup" + Path("/proc/self/cgroup").read_text().split("::")[1].strip()
        return {"version": 2, "memory": path, "cpu": path, "pids": path}
    return {"version": 1, "memory": "/sys/fs/cgroup/memory", "cpu": "/sys/fs/cgroup/cpuacct", "pids": "/sys/fs/cgroup/pids"}


class Sandbox:
    """A warden with an init (the real one, or whoever the test lets dial)."""

    UID = 3_000_000_000

    def __init__(self, with_init: bool = True, init_pid: int | None = None, netns: bool = False, cgroup: dict[str, Any] | None = None, spool_mib: int = 0, spool: str = "", notes: bool = False) -> None:
        self.cgroup = cgroup or cgroup_of_this_test()
        self.run_dir = tempfile.mkdtemp(prefix="khw-")
        os.chmod(self.run_dir, 0o755)
        self.dir = self.run_dir + "/s"
        self.kernels_dir = self.run_dir + "/kernel"
        self.epoch = str(uuid.uuid4())
        self.hubs: list[Hub] = []
        self.init: subprocess.Popen[bytes] | None = None
        self.keeper = socket.socket(socket.AF_UNIX)
        self.keeper.bind(self.run_dir + "/keeper.sock")
        os.chmod(self.run_dir + "/keeper.sock", 0o666)
        self.keeper.listen(8)
        for name, owner, mode in (("", self.UID, 0o750), ("/wall", 0, 0o755), ("/channels", self.UID, 0o700)):
            os.mkdir(self.dir + name)
            os.chown(self.dir + name, owner, 0 if name != "/channels" else self.UID)
            os.chmod(self.dir + name, mode)
        os.mkdir(self.kernels_dir)
        os.mkdir(self.run_dir + "/home")
        self.log = open(self.run_dir + "/warden.log", "wb")
        self.options = (["--notes", self.run_dir + "/notes"] if notes else []) + (
            ["--spool", spool or self.run_dir + "/spool", "--spool-mib", str(spool_mib)] if spool_mib else []
        )
        self.id = str(uuid.uuid4())
        self._spawn()
        try:
            self._begin(with_init, init_pid, netns)
        except BaseException:
            print(self.log_text())
            self.warden.kill()
            self.stop()
            raise

    def _spawn(self) -> None:
        self.fd, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.warden = subprocess.Popen(
            [WARDEN, "--sandbox", self.id, "--dir", self.dir, "--uid", str(self.UID), "--gid", str(self.UID)]
            + ["--hub-gid", "0", "--keeper", self.run_dir + "/keeper.sock", "--epoch", self.epoch, "--kernels-dir", self.kernels_dir]
            + self.options,
            pass_fds=(3,),
            preexec_fn=lambda: os.dup2(theirs.fileno(), 3),
            stderr=self.log,
            env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},  # nobody may trace the warden, not even itself
        )
        theirs.close()
        self.fd.settimeout(20)

    def another_warden(self) -> None:
        """What the keeper does when the warden has died: the same directory, another epoch."""
        if self.warden.poll() is None:
            self.warden.kill()
        self.warden.wait()
        self.fd.close()
        self.epoch = str(uuid.uuid4())
        self.hubs = []
        self._spawn()
        assert self.fd.recv(100) == b"listening"
        self._name_container()

    def _name_container(self) -> None:
        self.fd.send(json.dumps({"pid": self.init_pid, "cgroup": self.cgroup}).encode())
        assert self.fd.recv(100) == b"ready"

    def _begin(self, with_init: bool, init_pid: int | None, netns: bool) -> None:
        assert self.fd.recv(100) == b"listening"
        self.init_path = self.dir + "/wall/init.sock"
        self.link_path = self.dir + "/link.sock"
        if with_init:
            command = [INIT, self.init_path]
            if netns:
                command = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$0" "$1"', *command]
            self.init = subprocess.Popen(command, stderr=self.log)
            init_pid = self.init.pid
        self.init_pid = init_pid or os.getpid()
        self._name_container()

    def hub(self, **options: Any) -> Hub:
        """A new connection; replaces the one before."""
        hub = Hub(self.link_path, **options)
        self.hubs.append(hub)
        return hub

    def hub_again(self) -> Hub:
        """A new connection that gets nothing again of what was read before: the last ACK may not have arrived."""
        return self.hub(epoch=self.epoch, last=max((hub.last for hub in self.hubs), default=0))

    def log_text(self) -> str:
        return Path(self.log.name).read_text()

    def stop(self) -> None:
        try:
            if self.warden.poll() is None:
                self.fd.send(b"stop")
                code = self.warden.wait(10)
                assert code == 0, f"warden exit {code}: {self.log_text()[-3000:]}"
            else:
                raise AssertionError(f"the warden had ended, {self.warden.returncode}: {self.log_text()[-3000:]}")
        finally:
            if self.warden.poll() is None:
                self.warden.kill()
                self.warden.wait()
            if self.init and self.init.poll() is None:
                self.init.terminate()
                try:
                    self.init.wait(10)
                except subprocess.TimeoutExpired:
                    self.init.kill()
                    self.init.wait()
            self.fd.close()
            self.keeper.close()
            self.log.close()
            shutil.rmtree(self.run_dir, ignore_errors=True)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *exc: object) -> None:
        if exc[0] is not None:
            print(self.log_text()[-4000:])
        self.stop()
