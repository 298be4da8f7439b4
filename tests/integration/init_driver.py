"""Plays the warden to a real kernelhub-init: starts it, speaks protocol/init_wire.h, cleans up."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

START, CHANNEL, SIGNAL, KILL, SHUTDOWN, EXEC = 1, 2, 3, 4, 5, 6
HELLO, STARTED, CONNECTED, CLOSED, EXITED, OUTPUT, DONE, FAILED = range(16, 24)
HEADER = struct.Struct("<BBHIi")
MAX_PACKET = 176 * 1024
CONTAINER_BASE_UID = 700_000_000
FIRST_UID = 60000 + os.getpid() % 30000  # RLIMIT_NPROC counts per uid: one for each init
REPOSITORY = Path(__file__).resolve().parents[2]


def find_binary() -> Path:
    """The built program: $KERNELHUB_INIT, or where make puts it."""
    places = [REPOSITORY / "kernelhub-init", REPOSITORY / "build" / "kernelhub-init"]
    given = os.environ.get("KERNELHUB_INIT")
    for place in [Path(given)] if given else places:
        if place.exists():
            return place
    raise FileNotFoundError("kernelhub-init is not built; set KERNELHUB_INIT")


@dataclass(frozen=True)
class Packet:
    type: int
    channel: int
    kernel: int
    value: int
    payload: bytes


@dataclass(frozen=True)
class Command:
    answer: Packet
    stdout: BinaryIO
    stderr: BinaryIO


class InitDriver:
    """One init and the warden's end of its line. The init is a plain process, PID 1 of a pid namespace
    ("pid1"), or PID 1 of a container of $KERNELHUB_TEST_IMAGE ("container")."""

    uids = itertools.count(FIRST_UID)

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.pid1 = mode != "plain"
        self.uid = next(self.uids)
        self.folder = Path(tempfile.mkdtemp(prefix="kernelhub-init-"))
        self.folder.chmod(0o755)
        (self.folder / "line").mkdir(mode=0o755)
        self.run = self.folder / "run"
        self.run.mkdir(mode=0o700)
        self.path = self.folder / "line" / "init.sock"
        self.listener: socket.socket | None = None
        self.line: socket.socket | None = None
        self.seen: list[Packet] = []
        self.listen()
        command = [str(find_binary()), str(self.path)]
        self.search_path = os.environ["PATH"]
        if mode == "container":
            self.uid = CONTAINER_BASE_UID + 1000
            self.search_path = "/opt/python/bin:/usr/local/bin:/usr/bin:/bin"
            os.chown(self.run, self.uid, self.uid)
            command = self.container(command)
        if mode == "pid1":
            os.chown(self.run, self.uid, self.uid)
            command = [
                *("unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "--"),
                *("prlimit", "--nproc=300", "--"),
                *("setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups"),
                *("--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--"),
                *command,
            ]
        self.process = subprocess.Popen(command, cwd="/")

    def container(self, command: list[str]) -> list[str]:
        """The same paths inside as outside; else locked down as a sandbox is."""
        base = f"0:{CONTAINER_BASE_UID}:65536"
        return [
            *("podman", "--runtime", "runc", "run", "--rm", "--name", self.folder.name),
            *("--read-only", "--read-only-tmpfs=false", "--network", "none", "--ipc", "none"),
            *("--cap-drop", "all", "--security-opt", "no-new-privileges", "--user", "1000:1000"),
            *("--uidmap", base, "--gidmap", base, "--http-proxy=false", "--pids-limit", "300"),
            *("--ulimit", "nofile=4096:4096", "--ulimit", "nproc=1024:1024", "--ulimit", "core=0:0"),
            *("--tmpfs", "/tmp:size=64m,mode=1777", "-v", f"{command[0]}:{command[0]}:ro"),
            *("-v", f"{self.run}:{self.run}", "-v", f"{self.path.parent}:{self.path.parent}:ro"),
            *("--entrypoint", command[0], os.environ["KERNELHUB_TEST_IMAGE"], *command[1:]),
        ]

    def listen(self) -> None:
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.path.unlink(missing_ok=True)
        self.listener.bind(str(self.path))
        self.path.chmod(0o666)
        self.listener.listen()

    def accept(self, timeout_s: float = 15) -> Packet:
        """Accepts init and returns its HELLO."""
        assert self.listener
        self.listener.settimeout(timeout_s)
        self.line = self.listener.accept()[0]
        self.line.settimeout(5)
        return self.receive()

    def hang_up(self) -> None:
        """The warden dies: line and socket are gone."""
        assert self.line and self.listener
        self.line.close()
        self.listener.close()
        self.path.unlink()

    @property
    def pid(self) -> int:
        """Init's pid as seen from here."""
        if self.mode == "plain":
            return self.process.pid
        if self.mode == "container":
            inspect = ["podman", "inspect", "--format", "{{.State.Pid}}", self.folder.name]
            return int(subprocess.run(inspect, stdout=subprocess.PIPE, check=True).stdout)
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(children.read_text().split()[0])

    def send(self, type: int, kernel: int = 0, *, channel: int = 0, value: int = 0,
             payload: bytes = b"", fds: list[int] | None = None) -> None:  # fmt: skip
        assert self.line
        packet = HEADER.pack(type, channel, 0, kernel, value) + payload
        if fds:
            socket.send_fds(self.line, [packet], fds)
        else:
            self.line.send(packet)

    def receive(self, timeout_s: float = 5) -> Packet:
        assert self.line
        self.line.settimeout(timeout_s)
        data = self.line.recv(MAX_PACKET)
        if not data:
            raise EOFError("init hung up")
        type_, channel, zero, kernel, value = HEADER.unpack_from(data)
        assert zero == 0
        packet = Packet(type_, channel, kernel, value, data[HEADER.size :])
        self.seen.append(packet)
        return packet

    def wait_for(self, type: int, kernel: int | None = None, timeout_s: float = 10) -> Packet:
        """The next packet of that type; others before it are kept in `seen`."""
        end = time.monotonic() + timeout_s
        while True:
            packet = self.receive(max(0.01, end - time.monotonic()))
            if packet.type == type and kernel in (None, packet.kernel):
                return packet

    def start(self, kernel: int, argv: list[str], *, env: dict[str, str] | None = None, cwd: str = "/",
              file: bytes = b"{}", file_path: str | None = None) -> Packet:  # fmt: skip
        """Sends START; returns STARTED or FAILED."""
        path = file_path or str(self.run / f"kernel-{kernel}" / "connection.json")
        env = {"PATH": self.search_path, **(env or {})}
        strings = [cwd, path, *argv, *(f"{k}={v}" for k, v in env.items())]
        payload = struct.pack("<HHI", len(argv), len(env), len(file))
        payload += b"".join(s.encode() + b"\0" for s in strings) + file
        self.send(START, kernel, payload=payload)
        while True:
            packet = self.receive()
            if packet.type in (STARTED, FAILED) and packet.kernel == kernel:
                return packet

    def exec(self, number: int, argv: list[str], *, env: dict[str, str] | None = None, cwd: str = "/",
             stdin: bytes | None = None) -> Command:  # fmt: skip
        """Sends EXEC with pipes as the warden makes them; waits for STARTED or FAILED."""
        env = {"PATH": self.search_path, **(env or {})}
        payload = struct.pack("<HHI", len(argv), len(env), 0)
        payload += b"".join(s.encode() + b"\0" for s in [cwd, "", *argv, *(f"{k}={v}" for k, v in env.items())])
        pipes = [os.pipe(), os.pipe()] + ([os.pipe()[::-1]] if stdin is not None else [])
        theirs = [pipe[1] for pipe in pipes]
        for fd in theirs[:2]:
            os.chmod(fd, 0o666)
        self.send(EXEC, number, payload=payload, fds=theirs)
        for fd in theirs:
            os.close(fd)
        if stdin is not None:
            os.write(pipes[2][0], stdin)
            os.close(pipes[2][0])
        while True:
            packet = self.receive()
            if packet.type in (STARTED, FAILED) and packet.kernel == number:
                return Command(packet, open(pipes[0][0], "rb"), open(pipes[1][0], "rb"))

    def channel(self, kernel: int, channel: int, where: str) -> socket.socket:
        """Sends CHANNEL with one end of a socket pair; returns the other."""
        ours, theirs = socket.socketpair()
        with theirs:
            self.send(CHANNEL, kernel, channel=channel, payload=where.encode(), fds=[theirs.fileno()])
        ours.settimeout(10)
        return ours

    def output(self, kernel: int, stream: int = 1) -> bytes:
        """All that has been received of a kernel's stdout (1) or stderr (2)."""
        mine = (p for p in self.seen if p.type == OUTPUT and p.kernel == kernel and p.channel == stream)
        return b"".join(p.payload for p in mine)

    def processes(self, word: str) -> list[int]:
        """Living processes, as seen from here, that have `word` in their command line. Others run these tests at
        the same time: a word of this init's own has its uid or its folder's name in it."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) in (os.getpid(), os.getppid()):
                continue
            try:
                state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
                if state != "Z" and word.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def memory_bytes(self) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise LookupError("VmRSS")

    def close(self) -> None:
        """Ends init however the test left it."""
        try:
            if self.line:
                self.line.close()
            if self.mode == "container":
                remove = ["podman", "rm", "--force", "--time", "0", self.folder.name]
                subprocess.run(remove, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
            if self.process.poll() is None:
                self.end_process()
        finally:
            if self.listener:
                self.listener.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def end_process(self) -> None:
        # A plain init kills its kernels on SIGTERM; a namespace dies with its PID 1. (Killing
        # unshare would not do: the change of uid has cleared the child's death signal.)
        try:
            if self.mode == "pid1":
                os.kill(self.pid, signal.SIGKILL)
            else:
                self.process.send_signal(signal.SIGTERM)
            self.process.wait(5)
        except (IndexError, ProcessLookupError, subprocess.TimeoutExpired):  # the namespace's PID 1 is gone, or deaf
            self.process.kill()
            self.process.wait()
