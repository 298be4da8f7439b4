"""The keeper against real Podman: what it makes, what it refuses, what is left when it is over.

The warden is a small script, so that it can be silent, die or ask for a kill when a test wants that. By default the keeper is the
built `kernelhub keeper`; KERNELHUB_KEEPER names another program that reads KHK_STATE, KHK_RUN, KHK_INIT, KHK_WARDEN, and
KERNELHUB_INIT another init.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("KERNELHUB_BUILD", ROOT / "build")).resolve()
LIMITS = {"memory_bytes": 192 << 20, "cpus": 0.5, "pids": 48}

WARDEN = """#!PYTHON
import json, os, socket, struct, sys, time
option = dict(zip(sys.argv[1::2], sys.argv[2::2]))
mode = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "mode")).read()
keeper = socket.socket(fileno=3)
for name in ("/link.sock", "/wall/init.sock"):
    if os.path.exists(option["--dir"] + name):
        os.unlink(option["--dir"] + name)
link = socket.socket(socket.AF_UNIX)
link.bind(option["--dir"] + "/link.sock")
init = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
init.bind(option["--dir"] + "/wall/init.sock")
os.chmod(option["--dir"] + "/wall/init.sock", 0o666)
init.listen(4)
os.setgid(int(option["--gid"]))
os.setuid(int(option["--uid"]))
if mode == "dies":
    sys.exit(3)
if mode == "mute":
    time.sleep(1000)
keeper.send(b"nonsense" if mode == "nonsense" else b"listening")
told = json.loads(keeper.recv(65536))
open(told["cgroup"]["memory"] + "/cgroup.procs").close()
inits = [init.accept()[0]]
keeper.send(b"ready")
if mode == "kills":
    hub = socket.socket(socket.AF_UNIX)
    hub.connect(option["--keeper"])
    for verb in ("list", "kill"):
        body = json.dumps({"id": 1, "verb": verb}).encode()
        hub.sendall(struct.pack(">I", len(body)) + body)
        answer = hub.recv(65536)
        assert (b'"forbidden"' in answer) == (verb == "list"), answer
while True:
    time.sleep(1000)
"""


class Hub:
    """A connection to keeper.sock that speaks verbs."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(40)
        self.socket.connect(str(path))
        self.last = 0
        self.events: list[dict[str, Any]] = []
        self.replies: dict[int, dict[str, Any]] = {}

    def exactly(self, n: int) -> bytes:
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise ConnectionError("the keeper closed the connection")
            data += more
        return data

    def receive(self) -> None:
        body = json.loads(self.exactly(struct.unpack(">I", self.exactly(4))[0]))
        if "event" in body:
            self.events.append(body)
        else:
            self.replies[body["id"]] = body

    def send(self, verb: str, **fields: object) -> int:
        self.last += 1
        body = json.dumps({"id": self.last, "verb": verb, **fields}).encode()
        self.socket.sendall(struct.pack(">I", len(body)) + body)
        return self.last

    def answer(self, number: int) -> dict[str, Any]:
        while number not in self.replies:
            self.receive()
        return self.replies.pop(number)

    def ask(self, verb: str, **fields: object) -> dict[str, Any]:
        return self.answer(self.send(verb, **fields))

    def send_create(self, sandbox: str | None = None, **fields: object) -> int:
        wish = {"sandbox_id": sandbox or str(uuid.uuid4()), "user_id": "ann", "template": "slim", "workspace": "shared", "limits": LIMITS}
        return self.send("create", **(wish | fields))

    def create(self, sandbox: str | None = None, **fields: object) -> dict[str, Any]:
        return self.answer(self.send_create(sandbox, **fields))

    def exited(self, sandbox: str) -> dict[str, Any]:
        while True:
            for event in self.events:
                if event["event"] == "exited" and event["sandbox_id"] == sandbox:
                    return event
            self.receive()


class Keeper:
    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="khk-"))
        self.folder.chmod(0o755)
        self.state, self.run, self.libexec, self.data = (self.folder / n for n in ("state", "run", "libexec", "data"))
        for folder in (self.state, self.run, self.libexec, self.data):
            folder.mkdir(mode=0o755)
        shutil.copy(ROOT / "sandbox" / "seccomp.json", self.data)
        shutil.copy(os.environ.get("KERNELHUB_INIT", BUILD / "kernelhub-init"), self.libexec / "kernelhub-init")
        self.warden = self.libexec / "kernelhub-warden"
        self.warden.write_text(WARDEN.replace("PYTHON", sys.executable))
        self.warden.chmod(0o755)
        self.mode("good")
        self.process: subprocess.Popen[bytes] | None = None
        self.log = self.folder / "log"

    def mode(self, mode: str) -> None:
        (self.libexec / "mode").write_text(mode)

    def command(self, *more: str) -> tuple[list[str], dict[str, str]]:
        env = dict(os.environ, KERNELHUB_LIBEXEC=str(self.libexec), KERNELHUB_DATA=str(self.data))
        env |= {"KHK_STATE": str(self.state), "KHK_RUN": str(self.run), "KHK_INIT": str(self.libexec / "kernelhub-init")}
        env |= {"KHK_WARDEN": str(self.warden), "KHK_SECCOMP": str(self.data / "seccomp.json")}
        if program := os.environ.get("KERNELHUB_KEEPER"):
            return [program, *(m.removeprefix("--") for m in more)], env
        return [str(BUILD / "cmd" / "kernelhub"), "keeper", f"--state={self.state}", f"--run={self.run}", *more], env

    def start(self, listed: bool = True) -> None:
        """listed: it knows its images."""
        command, env = self.command()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                hub = self.hub()
            except OSError:
                time.sleep(0.02)
                continue
            assert not listed or hub.ask("images")["ok"]
            return
        raise AssertionError("keeper.sock did not appear:\n" + self.log.read_text())

    def hub(self) -> Hub:
        return Hub(self.run / "keeper.sock")

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def purge(self) -> None:
        try:
            if self.process and self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
                assert self.process.wait(60) == 0, self.log.read_text()
        finally:
            command, env = self.command("--purge")
            subprocess.run(command, env=env, check=True, capture_output=True, timeout=120)

    def record(self, sandbox: str) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((self.state / "keeper" / "records" / f"{sandbox}.json").read_text())
        return record

    def containers(self) -> list[str]:
        instance = (self.state / "keeper" / "instance").read_text()
        command = ["podman", "ps", "-aq", "--filter", f"label=io.kernelhub.instance={instance}"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    def groups(self) -> list[str]:
        name = "kernelhub-" + (self.state / "keeper" / "instance").read_text()[:8]
        return [str(p) for pattern in (name, f"*/{name}") for p in Path("/sys/fs/cgroup").glob(pattern)]

    def leftovers(self) -> list[str]:
        left = [f"container {c}" for c in self.containers()]
        left += [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(self.folder) in line]
        left += [str(p) for p in (self.run / "sandboxes").iterdir()]
        left += [str(p) for p in (self.state / "keeper" / "records").iterdir()]
        left += [str(p) for p in (self.state / "keeper" / "logs").iterdir()]
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = entry.read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(self.warden) in command or str(self.run / "sandboxes") in command:
                left.append(command.replace("\0", " "))
        return left


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, value in (line.split(":", 1) for line in lines)}


def wait_until(true: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.02)


def as_user(uid: int, folder: Path, name: str, mode: int = 0o4755) -> int:
    """Makes a file as that host id; returns the errno, 0 for success."""
    child = os.fork()
    if child == 0:
        code = 0
        try:
            at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode, dir_fd=at))
            os.chmod(name, mode, dir_fd=at)
        except OSError as e:
            code = e.errno or 255
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    k = Keeper()
    try:
        k.start()
        yield k
    finally:
        try:
            k.purge()
            left = k.leftovers() + k.groups()
        finally:
            if k.process and k.process.poll() is None:
                k.kill()
            shutil.rmtree(k.folder, ignore_errors=True)
        assert not left, left


def test_a_container_has_every_wall(keeper: Keeper) -> None:
    made = keeper.hub().create()
    assert made["ok"], made
    print("phases", made["phases"])
    record = keeper.record(made["sandbox_id"])
    pid = record["pid"]
    s = status(pid)
    first = int(Path(f"/proc/{pid}/uid_map").read_text().split()[1])
    assert Path(f"/proc/{pid}/uid_map").read_text().split() == ["0", str(first), "65535"]
    assert Path(f"/proc/{pid}/gid_map").read_text().split() == ["0", str(first), "65535"]
    assert first >= 0x70000000
    assert s["Uid"].split() == [str(first + 1000)] * 4
    assert s["Gid"].split() == [str(first + 1000)] * 4
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(s[kind], 16) == 0, kind
    assert (s["NoNewPrivs"], s["Seccomp"]) == ("1", "2")
    assert status(record["warden_pid"])["Uid"].split()[0] == str(first + 65535)
    assert [line.split(":")[0].strip() for line in Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]] == ["lo"]
    for namespace in ("user", "net", "pid", "mnt", "ipc", "uts", "cgroup"):
        assert os.readlink(f"/proc/{pid}/ns/{namespace}") != os.readlink(f"/proc/self/ns/{namespace}")


def test_a_container_has_its_mounts_and_limits(keeper: Keeper) -> None:
    pid = keeper.record(keeper.hub().create()["sandbox_id"])["pid"]
    mounts = {line.split()[1]: line.split()[3].split(",") for line in Path(f"/proc/{pid}/mounts").read_text().splitlines()}
    assert "ro" in mounts["/"]
    assert {"rw", "nosuid", "nodev"} <= set(mounts["/workspace"])
    for path in ("/run/kernelhub", "/usr/sbin/kernelhub-init", "/etc/hosts", "/etc/resolv.conf"):
        assert {"ro", "nosuid", "nodev"} <= set(mounts[path]), path
    for path in ("/tmp", "/dev/shm", "/run/kernel"):
        assert {"nosuid", "nodev"} <= set(mounts[path]) and any(o.startswith("size=") for o in mounts[path]), path
    inside = Path(f"/proc/{pid}/root")
    for path in ("etc/hosts", "etc/resolv.conf", "proc/cmdline"):
        assert (inside / path).read_bytes() == b"", path
    assert os.listdir(inside / "sys/firmware") == []
    limits = Path(f"/proc/{pid}/limits").read_text()
    for name, value in (("Max core file size", "0"), ("Max processes", "48"), ("Max file size", str(16 << 30))):
        line = next(line for line in limits.splitlines() if line.startswith(name))
        assert line[26:].split()[1] == value, line
    groups = {line.split(":")[1]: line.split(":")[2].strip() for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()}
    if "memory" in groups:
        at = Path("/sys/fs/cgroup/memory" + groups["memory"])
        assert int((at / "memory.limit_in_bytes").read_text()) == LIMITS["memory_bytes"]
        assert int((Path("/sys/fs/cgroup/cpu" + groups["cpu"]) / "cpu.cfs_quota_us").read_text()) == 50000
        assert int((Path("/sys/fs/cgroup/pids" + groups["pids"]) / "pids.max").read_text()) == LIMITS["pids"]
    else:
        at = Path("/sys/fs/cgroup" + groups[""])
        assert int((at / "memory.max").read_text()) == LIMITS["memory_bytes"]
        assert (at / "memory.swap.max").read_text().strip() == "0"
        assert (at / "cpu.max").read_text().split()[0] == "50000"
        assert int((at / "pids.max").read_text()) == LIMITS["pids"]


def test_a_warden_has_limits_of_its_own(keeper: Keeper) -> None:
    sandbox = keeper.hub().create()["sandbox_id"]
    lines = Path(f"/proc/{keeper.record(sandbox)['warden_pid']}/cgroup").read_text().splitlines()
    groups = {name: path for line in lines for name in line.split(":")[1].split(",") for path in [line.split(":", 2)[2]]}
    for controller, v1, v2 in (
        ("memory", {"memory.limit_in_bytes": str(512 << 20)}, {"memory.max": str(512 << 20)}),
        ("cpu", {"cpu.cfs_quota_us": "100000", "cpu.cfs_period_us": "100000"}, {"cpu.max": "100000 100000"}),
    ):
        is_v1 = "memory" in groups
        group = groups[controller] if is_v1 else groups[""]
        assert group.endswith(f"/warden-{sandbox}")
        at = Path("/sys/fs/cgroup") / (controller if is_v1 else "") / group[1:]
        for name, value in (v1 if is_v1 else v2).items():
            assert (at / name).read_text().strip() == value, name


def test_two_sandboxes_share_a_workspace_and_no_id(keeper: Keeper) -> None:
    hub = keeper.hub()
    numbers = [hub.send("create", sandbox_id=str(uuid.uuid4()), user_id="ann", template="slim", workspace="shared", limits=LIMITS) for _ in range(2)]
    made = [hub.answer(n)["sandbox_id"] for n in numbers]
    firsts = [int(Path(f"/proc/{keeper.record(s)['pid']}/uid_map").read_text().split()[1]) for s in made]
    assert abs(firsts[0] - firsts[1]) >= 65536
    places = [keeper.run / "sandboxes" / s / "workspace" for s in made]
    assert as_user(firsts[0] + 1000, places[0], "mine") == 0
    assert (places[1] / "mine").stat().st_uid == firsts[1] + 1000
    on_disk = keeper.state / "workspaces" / "ann" / "shared" / "mine"
    assert on_disk.stat().st_uid == (keeper.state / "workspaces").stat().st_uid
    assert (keeper.state / "workspaces").stat().st_mode & 0o777 == 0o700
    assert as_user(firsts[1] + 1000, places[0], "theirs") != 0
    assert as_user(firsts[0] + 5, places[0], "others") != 0


def test_destroy_leaves_nothing_but_the_files(keeper: Keeper) -> None:
    hub = keeper.hub()
    sandbox = hub.create()["sandbox_id"]
    record = keeper.record(sandbox)
    assert as_user(int(status(record["pid"])["Uid"].split()[0]), keeper.run / "sandboxes" / sandbox / "workspace", "kept") == 0
    begin = time.monotonic()
    assert hub.ask("destroy", sandbox_id=sandbox)["ok"]
    print("destroyed in", time.monotonic() - begin)
    assert keeper.leftovers() == []
    assert (keeper.state / "workspaces" / "ann" / "shared" / "kept").exists()
    assert hub.exited(sandbox)["reason"] == "destroyed"
    assert hub.ask("destroy", sandbox_id=sandbox)["ok"]
    assert hub.ask("destroy", sandbox_id=str(uuid.uuid4()))["ok"]
    assert hub.ask("list")["sandboxes"] == []


def test_destroy_while_it_is_made_wins(keeper: Keeper) -> None:
    hub = keeper.hub()
    sandbox = str(uuid.uuid4())
    created = hub.send("create", sandbox_id=sandbox, user_id="ann", template="slim", workspace="private", limits=LIMITS)
    destroyed = hub.send("destroy", sandbox_id=sandbox)
    assert hub.answer(created)["error"]["code"] == "gone"
    assert hub.answer(destroyed)["ok"]
    assert keeper.leftovers() == []


def fill(folder: Path, outside: Path) -> None:
    """What user code may leave: any depth, names, modes and links."""
    (folder / "plain").write_text("x")
    (folder / "link").symlink_to(outside)
    (folder / "up").symlink_to("../../..")
    os.mkfifo(folder / "fifo")
    (folder / os.fsdecode(b"\xff\n -rf *")).mkdir(mode=0o700)
    at = os.open(folder, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=at)
        os.symlink(str(outside), "out", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    (folder / "closed").mkdir()
    (folder / "closed" / "file").write_text("x")
    (folder / "closed").chmod(0)


def test_a_workspace_is_purged_when_nothing_uses_it(keeper: Keeper) -> None:
    hub = keeper.hub()
    users = keeper.state / "workspaces"
    outside = keeper.folder / "outside"
    outside.mkdir()
    (outside / "precious").write_text("p")
    assert hub.ask("purge", user_id="nobody", workspace="shared")["ok"]
    shared, private = hub.create()["sandbox_id"], hub.create(workspace="private")["sandbox_id"]
    folders = users / "ann" / "shared", users / "ann" / f"private-{private}"
    for folder in folders:
        fill(folder, outside)
    wishes = {"user_id": "ann", "workspace": "shared"}, {"user_id": "ann", "workspace": "private", "sandbox_id": private}
    for wish in wishes:
        assert hub.ask("purge", **wish)["error"]["code"] == "busy"
    assert hub.ask("destroy", sandbox_id=private)["ok"]
    assert hub.ask("purge", **wishes[0])["error"]["code"] == "busy"
    assert hub.ask("purge", **wishes[1])["ok"] and not folders[1].exists() and (folders[0] / "plain").exists()
    assert hub.ask("destroy", sandbox_id=shared)["ok"]
    assert hub.ask("purge", **wishes[0])["ok"] and not folders[0].exists()
    again = hub.create()["sandbox_id"]  # at once, while what was there is still being removed
    assert list(folders[0].iterdir()) == []
    wait_until(lambda: list((users / ".removed").iterdir()) == [], 30)
    assert hub.ask("purge", **wishes[1])["ok"]
    assert (outside / "precious").read_text() == "p"
    assert hub.ask("destroy", sandbox_id=again)["ok"]


def test_what_a_killed_keeper_did_not_remove_the_next_one_does(keeper: Keeper) -> None:
    keeper.kill()
    aside = keeper.state / "workspaces" / ".removed" / str(uuid.uuid4())
    aside.mkdir(parents=True)
    fill(aside, keeper.state)
    keeper.start()
    wait_until(lambda: list(aside.parent.iterdir()) == [], 30)
    assert (keeper.state / "keeper" / "instance").exists()


def test_create_is_idempotent_and_ids_are_not_shared(keeper: Keeper) -> None:
    hub = keeper.hub()
    first = hub.create()
    again = hub.create(first["sandbox_id"])
    assert {k: v for k, v in again.items() if k != "id"} == {k: v for k, v in first.items() if k != "id"}
    assert hub.create(first["sandbox_id"], user_id="bob")["error"]["code"] == "conflict"
    for other in ({"memory_bytes": 193 << 20}, {"cpus": 0.501}, {"pids": 49}, {"workspace_bytes": 1 << 20}):
        assert hub.create(first["sandbox_id"], limits={**LIMITS, **other})["error"]["code"] == "conflict", other
    assert len(hub.ask("list")["sandboxes"]) == 1


@pytest.mark.parametrize("mode", ["dies", "nonsense"])
def test_a_warden_that_fails_leaves_nothing(keeper: Keeper, mode: str) -> None:
    keeper.mode(mode)
    hub = keeper.hub()
    made = hub.create()
    assert made["error"]["code"] == "sandbox_failed", made
    wait_until(lambda: not keeper.leftovers())
    keeper.mode("good")
    made = hub.create()
    assert made["ok"], made


def test_a_container_that_dies_is_told_and_cleared(keeper: Keeper) -> None:
    hub = keeper.hub()
    sandbox = hub.create()["sandbox_id"]
    os.kill(keeper.record(sandbox)["pid"], signal.SIGKILL)
    event = hub.exited(sandbox)
    assert (event["reason"], event["exit_code"]) == ("died", 137)
    wait_until(lambda: not keeper.leftovers())


def test_a_warden_that_dies_is_replaced_until_it_dies_again_and_again(keeper: Keeper) -> None:
    hub = keeper.hub()
    made = hub.create()
    sandbox = made["sandbox_id"]
    first = keeper.record(sandbox)
    for i in range(5):
        before = keeper.record(sandbox)
        os.kill(before["warden_pid"], signal.SIGKILL)
        wait_until(lambda: keeper.record(sandbox)["warden_pid"] != before["warden_pid"])
        assert keeper.record(sandbox)["epoch"] != before["epoch"] and keeper.record(sandbox)["pid"] == first["pid"]
        wait_until(lambda: keeper.log.read_text().count(f"sandbox={sandbox} has another warden") == i + 1)
        assert [s["state"] for s in hub.ask("list")["sandboxes"]] == ["running"]
        assert hub.create(sandbox)["phases"] == made["phases"]  # how it was made
    os.kill(keeper.record(sandbox)["warden_pid"], signal.SIGKILL)
    event = hub.exited(sandbox)
    assert (event["reason"], event["message"]) == ("died", "its wardens died again and again")
    wait_until(lambda: not keeper.leftovers())


def test_a_warden_that_died_while_no_keeper_was_there_is_replaced(keeper: Keeper) -> None:
    hub = keeper.hub()
    sandbox = hub.create()["sandbox_id"]
    before = keeper.record(sandbox)
    keeper.kill()
    os.kill(before["warden_pid"], signal.SIGKILL)
    keeper.start()
    hub = keeper.hub()
    wait_until(lambda: keeper.record(sandbox)["warden_pid"] != before["warden_pid"])
    assert keeper.record(sandbox)["pid"] == before["pid"]
    assert hub.ask("destroy", sandbox_id=sandbox)["ok"]
    wait_until(lambda: not keeper.leftovers())


@pytest.mark.parametrize("end", ["destroy", "container"])
def test_an_end_that_comes_while_the_warden_is_replaced_wins(keeper: Keeper, end: str) -> None:
    hub = keeper.hub()
    sandbox = hub.create()["sandbox_id"]
    record = keeper.record(sandbox)
    keeper.mode("mute")
    os.kill(record["warden_pid"], signal.SIGKILL)
    wait_until(lambda: keeper.record(sandbox)["warden_pid"] != record["warden_pid"])
    if end == "destroy":
        assert hub.ask("destroy", sandbox_id=sandbox)["ok"]
    else:
        os.kill(record["pid"], signal.SIGKILL)
        event = hub.exited(sandbox)
        assert (event["reason"], event["exit_code"]) == ("died", 137)
    wait_until(lambda: not keeper.leftovers())


def test_a_warden_may_kill_its_container_and_nothing_else(keeper: Keeper) -> None:
    keeper.mode("kills")
    hub = keeper.hub()
    sandbox = hub.create()["sandbox_id"]
    assert hub.exited(sandbox)["reason"] == "killed"
    assert hub.ask("kill")["error"]["code"] == "forbidden"
    wait_until(lambda: not keeper.leftovers())


def test_memory_that_kills_the_container_is_called_oom(keeper: Keeper) -> None:
    hub = keeper.hub()
    sandbox = hub.create()["sandbox_id"]
    pid = keeper.record(sandbox)["pid"]
    groups = {line.split(":")[1]: line.split(":")[2].strip() for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()}
    at = "/sys/fs/cgroup/memory" + groups["memory"] if "memory" in groups else "/sys/fs/cgroup" + groups[""]
    # What fills a tmpfs counts for nobody's score, so that init is chosen, which is the container.
    user = int(status(pid)["Uid"].split()[0])
    hog = f"""
import os
open('{at}/cgroup.procs', 'w').write('0')
folders = [os.open('/proc/{pid}/root/' + f, os.O_RDONLY | os.O_DIRECTORY) for f in ('tmp', 'dev/shm')]
os.setgroups([])
os.setresgid({user}, {user}, {user})
os.setresuid({user}, {user}, {user})
for folder in folders:
    file = os.open('x', os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=folder)
    for _ in range(95):
        os.write(file, bytes(1 << 20))
ballast = bytearray(30 << 20)
"""
    process = subprocess.Popen([sys.executable, "-c", hog], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert hub.exited(sandbox)["reason"] == "oom"
    finally:
        process.kill()
        process.wait()
    assert not Path("oom").exists(), "conmon writes it where the keeper was started"
    wait_until(lambda: not keeper.leftovers())


def test_who_asks_before_the_images_are_known_is_answered(keeper: Keeper) -> None:
    keeper.kill()
    keeper.start(listed=False)
    hub = keeper.hub()
    gone, kept = (str(uuid.uuid4()) for _ in range(2))
    created = [hub.send_create(gone), hub.send_create(kept)]
    destroyed = hub.send("destroy", sandbox_id=gone)
    assert hub.answer(created[1])["ok"] and hub.answer(destroyed)["ok"]
    assert hub.answer(created[0])["error"]["code"] == "gone", "its end wins"
    assert [s["sandbox_id"] for s in hub.ask("list")["sandboxes"]] == [kept]
    assert hub.ask("destroy", sandbox_id=kept)["ok"]
    wait_until(lambda: not keeper.leftovers())


def test_a_keeper_that_was_killed_adopts_what_lives(keeper: Keeper) -> None:
    hub = keeper.hub()
    hello = hub.ask("hello", version=2)
    kept, dead = (hub.create()["sandbox_id"] for _ in range(2))
    record = keeper.record(kept)
    keeper.kill()
    os.kill(keeper.record(dead)["pid"], signal.SIGKILL)
    stranger = subprocess.run(
        ["podman", "create", "--network=none", "--ulimit=nofile=64:64", "--ulimit=nproc=64:64", "--label=io.kernelhub.instance=other", "localhost/kernelhub-slim", "true"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()
    try:
        keeper.start()
        hub = keeper.hub()
        again = hub.ask("hello", version=2)
        assert again["instance"] == hello["instance"] and again["keeper_epoch"] == hello["keeper_epoch"] + 1
        assert [s["sandbox_id"] for s in hub.ask("list")["sandboxes"]] == [kept]
        assert len(keeper.containers()) == 1
        assert keeper.record(kept) == record
        assert subprocess.run(["podman", "container", "exists", stranger], check=False).returncode == 0
        os.kill(record["pid"], signal.SIGKILL)
        assert hub.exited(kept)["reason"] == "died"
        wait_until(lambda: not keeper.leftovers())
    finally:
        subprocess.run(["podman", "rm", "-f", stranger], check=False, capture_output=True)


def test_strangers_are_closed_at_once(keeper: Keeper) -> None:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setresuid(12345, 12345, 12345)
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(5)
            s.connect(str(keeper.run / "keeper.sock"))
            code = 0 if s.recv(1) == b"" else 2
        except ConnectionResetError:
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"template": "no-such"}, "not_found"),
        ({"limits": {"memory_bytes": 1, "cpus": 1, "pids": 64}}, "invalid_request"),
        ({"limits": {"memory_bytes": 1 << 60, "cpus": 1, "pids": 64}}, "invalid_request"),
        ({"limits": {"memory_bytes": 1 << 28, "cpus": 1, "pids": 1}}, "invalid_request"),
    ],
)
def test_what_policy_does_not_allow_is_refused(keeper: Keeper, fields: dict[str, object], code: str) -> None:
    assert keeper.hub().create(**fields)["error"]["code"] == code
    assert keeper.leftovers() == []


@pytest.mark.parametrize("body", [b"{}", b'{"id":1,"verb":"create","argv":["sh"]}', b"\xff\xfe", b'{"id":1,"verb":"list","x":1}'])
def test_what_is_no_request_closes_the_connection(keeper: Keeper, body: bytes) -> None:
    hub = keeper.hub()
    hub.socket.sendall(struct.pack(">I", len(body)) + body)
    with pytest.raises(ConnectionError):
        hub.receive()
    assert keeper.hub().ask("list")["ok"]


@pytest.mark.parametrize("trick", ["symlink", "owner", "file"])
def test_a_workspace_that_is_no_directory_of_the_hub_is_refused(keeper: Keeper, trick: str) -> None:
    folder = keeper.state / "workspaces" / "eve"
    folder.mkdir(mode=0o700)
    owner = (keeper.state / "workspaces").stat()
    os.chown(folder, owner.st_uid, owner.st_gid)
    shared = folder / "shared"
    if trick == "symlink":
        shared.symlink_to("/etc")
    elif trick == "owner":
        shared.mkdir(mode=0o755)
        os.chown(shared, 54321, 54321)
    else:
        shared.write_text("")
    made = keeper.hub().create(user_id="eve")
    assert not made["ok"], made
    print(made["error"])
    wait_until(lambda: not keeper.leftovers())


def test_many_at_once_come_and_go(keeper: Keeper) -> None:
    hub = keeper.hub()
    begin = time.monotonic()
    numbers = [hub.send("create", sandbox_id=str(uuid.uuid4()), user_id=f"u{i}", template="slim", workspace="private", limits=LIMITS) for i in range(10)]
    made = [hub.answer(n) for n in numbers]
    print("ten in", time.monotonic() - begin)
    assert all(m["ok"] for m in made), made
    assert len({keeper.record(m["sandbox_id"])["range"] for m in made}) == 10
    numbers = [hub.send("destroy", sandbox_id=m["sandbox_id"]) for m in made]
    assert all(hub.answer(n)["ok"] for n in numbers)
    assert keeper.leftovers() == []


def test_podman_service_that_dies_is_started_again(keeper: Keeper) -> None:
    hub = keeper.hub()
    socket_path = str(keeper.state / "keeper" / "podman.sock")
    services = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if socket_path in entry.read_bytes().decode(errors="replace"):
                services.append(int(entry.parent.name))
        except OSError:
            continue
    assert len(services) == 1
    os.kill(services[0], signal.SIGKILL)
    made = hub.create()
    assert made["ok"], made


def test_images_are_found_with_their_kernels(keeper: Keeper) -> None:
    images = {i["template"]: i for i in keeper.hub().ask("images")["images"]}
    assert "argv" in images["slim"]["kernelspecs"]["python3"]
    assert images["slim"]["digest"].startswith("sha256:")


def test_open_files_do_not_pass_our_own_limit(keeper: Keeper) -> None:
    pid = keeper.record(keeper.hub().create()["sandbox_id"])["pid"]
    line = next(li for li in Path(f"/proc/{pid}/limits").read_text().splitlines() if li.startswith("Max open files"))
    assert int(line.split()[4]) <= resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def test_an_init_that_ends_at_once_is_quoted(keeper: Keeper) -> None:
    init = keeper.libexec / "kernelhub-init"
    init.unlink()
    init.write_text("#!/bin/sh\necho 'no \033[1m kernel' >&2\nexit 3\n")
    init.chmod(0o755)
    made = keeper.hub().create()
    assert made["error"]["code"] == "sandbox_failed", made
    assert "ended at once" in made["error"]["message"] and "\033" not in made["error"]["message"]
    wait_until(lambda: not keeper.leftovers())


def test_an_image_decides_nothing_but_its_files(keeper: Keeper) -> None:
    """And the list of images follows Podman's without being asked."""
    hub = keeper.hub()
    name = f"localhost/khk-test-{uuid.uuid4().hex[:8]}"
    template = name.rsplit("/", 1)[1]
    changes = ['ENTRYPOINT ["/evil"]', 'CMD ["/evil"]', "USER 0", "VOLUME /data", "ENV LD_PRELOAD=/evil.so", "STOPSIGNAL SIGSTOP", "WORKDIR /"]
    changes += [f"LABEL io.kernelhub.template={template}"]
    with tempfile.NamedTemporaryFile(suffix=".tar") as tar:
        subprocess.run(["tar", "-cf", tar.name, "-T", "/dev/null"], check=True)
        command = ["podman", "import", "-q", *(f"--change={c}" for c in changes), tar.name, name]
        subprocess.run(command, check=True, capture_output=True)
    try:
        while not any(e["event"] == "images" for e in hub.events):
            hub.receive()
        image = next(i for i in hub.ask("images")["images"] if i["template"] == template)
        assert image["kernelspecs"] == {}
        made = hub.create(template=template)
        assert made["ok"], made
        pid = keeper.record(made["sandbox_id"])["pid"]
        assert Path(f"/proc/{pid}/cmdline").read_bytes() == b"/usr/sbin/kernelhub-init\0"
        assert int(status(pid)["Uid"].split()[0]) % 65536 == 1000
        assert os.readlink(f"/proc/{pid}/cwd") == "/workspace"
        assert "/data" not in Path(f"/proc/{pid}/mounts").read_text()
        hub.ask("destroy", sandbox_id=made["sandbox_id"])
    finally:
        subprocess.run(["podman", "rmi", "-f", name], check=True, capture_output=True)
    while template in {i["template"] for i in hub.ask("images")["images"]}:
        time.sleep(0.05)
