"""kernelhub-init, the real binary: plain and as PID 1 of a pid namespace without any right."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from init_driver import (
    CHANNEL, CLOSED, CONNECTED, DONE, EXEC, EXITED, FAILED, HELLO, KILL, MAX_PACKET, OUTPUT, SHUTDOWN, SIGNAL,
    START, STARTED, InitDriver, find_binary,
)  # fmt: skip

PYTHON = "python3"
IOPUB = 3


# As an ordinary process; as PID 1; and, when an image is named, in a container of it.
KINDS = ["plain", "pid1"] + (["container"] if "KERNELHUB_TEST_IMAGE" in os.environ else [])


@contextmanager
def opened(kind: str) -> Iterator[InitDriver]:
    driver = InitDriver(kind)
    try:
        hello = driver.accept()
        assert (hello.type, hello.value, hello.kernel) == (HELLO, 1, 0)
        yield driver
    finally:
        driver.close()


@pytest.fixture(params=KINDS)
def init(request: pytest.FixtureRequest) -> Iterator[InitDriver]:
    with opened(request.param) as driver:
        yield driver


def needs_pid1(init: InitDriver) -> None:
    if not init.pid1:
        pytest.skip("only PID 1 can do this")


def wait_until(what, timeout_s: float = 5) -> None:  # noqa: ANN001
    end = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


# Starting


def test_a_kernel_starts_speaks_and_exits(init: InitDriver) -> None:
    file = init.run / "a" / "b" / "c.json"
    code = "echo out; echo err >&2; stat -c %a/%F " + str(file) + "; cat " + str(file) + "; exit 7"
    started = init.start(1, ["sh", "-c", code], file=b'{"key":"k"}', file_path=str(file))
    assert started.type == STARTED and started.value > 1
    exited = init.wait_for(EXITED, 1)
    assert os.waitstatus_to_exitcode(exited.value) == 7
    assert init.output(1) == b'out\n600/regular file\n{"key":"k"}'
    assert init.output(1, 2) == b"err\n"
    assert not file.exists()
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_what_cannot_be_executed_is_failed_with_its_errno(init: InitDriver) -> None:
    failed = init.start(1, ["/no/such/program"])
    assert (failed.type, failed.value, failed.channel) == (FAILED, errno.ENOENT, START)
    assert init.start(1, ["true"]).type == STARTED, "the number is free again"
    init.wait_for(EXITED, 1)
    assert init.start(1, ["/etc"]).value == errno.EACCES
    assert not [p for p in init.seen if p.type == EXITED][1:]


def test_the_kernel_gets_a_clean_process(init: InitDriver) -> None:
    path = str(init.run / "x.json")
    code = (
        "import os,resource;"
        "print([l.split()[1] for l in open('/proc/self/status') if l[:6] in ('SigBlk','SigCgt')],"
        "int([l.split()[1] for l in open('/proc/self/status') if l[:6]=='SigIgn'][0],16) & 0x17fff & ~0x1000);"
        "print(os.getsid(0)==os.getpid()==os.getpgid(0), os.readlink('/proc/self/fd/0'), os.getcwd(),"
        "resource.getrlimit(resource.RLIMIT_CORE), len(os.listdir('/proc/self/fd')))"
    )
    init.start(1, [PYTHON, "-c", code], cwd="/no/such", file_path=path)
    init.wait_for(EXITED, 1)
    lines = init.output(1).decode().splitlines()
    assert lines[0].startswith("['0000000000000000', ")
    assert lines[1] == "True /dev/null / (0, 0) 4"


def test_a_kernel_starts_in_the_nearest_folder_that_is_there(init: InitDriver) -> None:
    home = init.run / "home"
    there = str(home / "a b" / "grüße")
    init.start(9, [PYTHON, "-c", f"import os; os.makedirs({there!r}); open({there!r} + '/../file', 'w').close()"])
    init.wait_for(EXITED, 9)
    cases = [("a b/grüße", there), ("a b/gone/", str(home / "a b")), ("a b/file/deeper", str(home / "a b")), ("x" * 300, str(home)), ("y/" * 3000, "/")]
    for number, (folder, nearest) in enumerate(cases, 1):
        init.start(number, [PYTHON, "-S", "-c", "import os; print(os.getcwd())"], cwd=f"{home}/{folder}")
        init.wait_for(EXITED, number)
        assert init.output(number).decode() == f"{nearest}\n", folder


def test_the_kernels_variables_go_on_top_of_the_images(init: InitDriver) -> None:
    path = str(init.run / "x.json")
    env = {"LC_ALL": "C.UTF-8", "KERNELHUB_KERNEL": "mine", "EMPTY": ""}
    init.start(1, ["env", "-0"], env=env, file_path=path)
    init.wait_for(EXITED, 1)
    strings = [s.decode() for s in init.output(1).split(b"\0") if s]
    assert {f"PATH={init.search_path}", "LC_ALL=C.UTF-8", "EMPTY=", f"KERNELHUB_KERNEL={path}"} <= set(strings)
    assert len({s.split("=")[0] for s in strings}) == len(strings), "no name twice"


def test_a_number_in_use_is_refused(init: InitDriver) -> None:
    init.start(1, ["sleep", "60"])
    failed = init.start(1, ["true"])
    assert (failed.type, failed.value, failed.channel) == (FAILED, errno.EBUSY, START)


def test_the_connection_file_is_never_written_through_a_link(init: InitDriver) -> None:
    victim, path = init.run / "victim", init.run / "link.json"
    victim.write_text("precious")
    path.symlink_to(victim)
    if init.pid1:
        os.lchown(path, init.uid, init.uid)
    init.start(1, ["cat", str(path)], file=b"fresh", file_path=str(path))
    init.wait_for(EXITED, 1)
    assert victim.read_text() == "precious" and init.output(1) == b"fresh"
    path.mkdir()
    assert init.start(2, ["true"], file_path=str(path)).value in (errno.EISDIR, errno.EPERM)


def test_64_kernels_run_at_once(init: InitDriver) -> None:
    for kernel in range(1, 65):
        assert init.start(kernel, ["cat", "/dev/null", "-"] if kernel % 2 else ["sleep", "60"]).type == STARTED
    for kernel in range(2, 65, 2):
        init.send(SIGNAL, kernel, value=signal.SIGTERM)
    while len({p.kernel for p in init.seen if p.type == EXITED}) < 64:
        init.receive()
    assert len([p for p in init.seen if p.type == EXITED]) == 64


# Malformed orders


@pytest.mark.parametrize("packet", [b"", b"x", b"\1" * 12, bytes(12), b"\x10" + bytes(11),
                                    b"\2\4\0\0\1\0\0\0\0\0\0\0", b"\3\0\0\0\x41\0\0\0\2\0\0\0",
                                    b"\4\0\0\0\1\0\0\0\0\0\0\0more"])  # fmt: skip
def test_what_is_no_order_is_refused_and_changes_nothing(init: InitDriver, packet: bytes) -> None:
    assert init.line
    if packet:
        init.line.send(packet)
        failed = init.wait_for(FAILED)
        assert (failed.kernel, failed.value) == (0, errno.EBADMSG)
    assert init.start(1, ["true"]).type == STARTED


def test_a_start_that_does_not_add_up_is_refused(init: InitDriver) -> None:
    for payload in (b"", b"\1\0\0\0\0\0\0\0/\0/x\0", b"\1\0\0\0\xff\xff\xff\xff/\0/x\0a\0", b"\0" * 8):
        init.send(START, 1, payload=payload)
        assert init.wait_for(FAILED, 1).value == errno.EBADMSG


def test_descriptors_that_nobody_asked_for_are_closed(init: InitDriver) -> None:
    before = len(os.listdir(f"/proc/{init.pid}/fd"))
    for _ in range(20):
        r, w = os.pipe()
        init.send(SIGNAL, 1, value=1, fds=[r, w])
        init.send(CHANNEL, 1, payload=b"ipc:/x", fds=[r, w, r])
        os.close(r)
        os.close(w)
        assert init.wait_for(FAILED, 1).value == errno.ESRCH
        assert init.wait_for(CLOSED, 1).value == errno.ESRCH
    deadline = time.monotonic() + 2  # it answers, then closes what came beside
    while len(os.listdir(f"/proc/{init.pid}/fd")) != before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(os.listdir(f"/proc/{init.pid}/fd")) == before


@pytest.mark.parametrize("where", ["", "ipc:x", "tcp:", "tcp:0", "tcp:65536", "tcp:1x", "ipc:/" + "x" * 200, "ipc:/a\0b"])
def test_a_bad_address_closes_the_channel(init: InitDriver, where: str) -> None:
    init.start(1, ["sleep", "60"])
    with init.channel(1, 2, where) as ours:
        closed = init.wait_for(CLOSED, 1)
        assert (closed.channel, closed.value) == (2, errno.EINVAL)
        assert ours.recv(1) == b""


def test_a_channel_without_a_socket_closes(init: InitDriver) -> None:
    init.start(1, ["sleep", "60"])
    init.send(CHANNEL, 1, payload=b"tcp:5")
    assert init.wait_for(CLOSED, 1).value == errno.EBADF


# Signals and endings


def test_a_signal_goes_to_the_whole_group(init: InitDriver) -> None:
    init.start(1, ["sh", "-c", "trap 'echo parent; exit 3' INT; (trap 'echo child; exit' INT; echo ready; sleep 60 & wait) & wait; wait"])
    wait_for_output(init, b"ready")
    init.send(SIGNAL, 1, value=signal.SIGINT)
    done = init.wait_for(DONE, 1)
    assert done.value == SIGNAL
    init.wait_for(EXITED, 1)
    assert b"parent" in init.output(1)


def wait_for_output(init: InitDriver, text: bytes, kernel: int = 1) -> None:
    while text not in init.output(kernel):
        init.wait_for(OUTPUT, kernel)


def test_a_bad_signal_or_kernel_is_refused(init: InitDriver) -> None:
    init.start(1, ["sleep", "60"])
    for kernel, value, error in ((1, 0, errno.EINVAL), (1, 65, errno.EINVAL), (1, -1, errno.EINVAL), (2, 2, errno.ESRCH)):
        init.send(SIGNAL, kernel, value=value)
        failed = init.wait_for(FAILED, kernel)
        assert (failed.value, failed.channel) == (error, SIGNAL)
    init.send(KILL, 2)
    assert init.wait_for(FAILED, 2).channel == KILL


DAEMON = """
import os, sys, time
def daemon(word, env):
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.execve('/bin/sh', ['sh', '-c', 'echo up; while :; do sleep 1; done', word], env)
word = sys.argv[1]
daemon(word, dict(os.environ))
if os.fork() == 0:
    os.setsid()
    os.execve('/bin/sh', ['sh', '-c', 'echo up; while :; do sleep 1; done', word], {})
print('up', flush=True)
if sys.argv[2] == 'stay':
    time.sleep(100)
while True:
    time.sleep(0.3)
    os._exit(5)
"""


@pytest.mark.parametrize("other", [False, True])
@pytest.mark.parametrize("end", ["stay", "leave"])
def test_everything_a_kernel_started_ends_with_it(init: InitDriver, end: str, other: bool) -> None:
    word = f"word-{init.folder.name}-{end}"
    if other:
        init.start(2, ["sleep", "77"])
    init.start(1, [PYTHON, "-c", DAEMON, word, end])
    while init.output(1).count(b"up") < 3:
        init.wait_for(OUTPUT)
    assert len(init.processes(word)) >= 2
    if end == "stay":
        init.send(KILL, 1)
        assert init.wait_for(DONE, 1).value == KILL
    exited = init.wait_for(EXITED, 1)
    # Cleared environment, own session, parent gone: only the end of the last kernel finds that one.
    hidden = 1 if end == "leave" and (other or not init.pid1) else 0
    deadline = time.monotonic() + 2  # a process that was killed lives until it gets its turn, and this machine may be busy
    while len(init.processes(word)) > hidden and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(init.processes(word)) <= hidden
    assert exited.value == (signal.SIGKILL if end == "stay" else 5 << 8)
    if other:
        init.send(SIGNAL, 2, value=signal.SIGTERM)
        assert init.wait_for(EXITED, 2).value == signal.SIGTERM
    if init.pid1:
        assert not init.processes(word)
    for pid in init.processes(word):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("other", [False, True])
def test_a_fork_bomb_ends_with_its_kernel(init: InitDriver, other: bool) -> None:
    needs_pid1(init)
    bomb = "import os\nwhile True:\n try:\n  if os.fork()==0: os.setsid()\n except OSError: pass"
    if other:
        init.start(2, ["sleep", "77"])
    word = f"fork-bomb-{init.folder.name}"
    init.start(1, [PYTHON, "-c", bomb, word])
    wait_until(lambda: len(init.processes(word)) > 200, 20)
    failed = init.start(3, ["true"])
    assert failed.type == STARTED or failed.value == errno.EAGAIN
    init.send(KILL, 1)
    begin = time.monotonic()
    init.wait_for(DONE, 1, timeout_s=20)
    init.wait_for(EXITED, 1, timeout_s=20)
    print(f"fork bomb ended in {time.monotonic() - begin:.2f} s")
    assert not init.processes(word)
    if other:
        assert not [p for p in init.seen if p.type == EXITED and p.kernel == 2]
    assert init.start(4, ["true"]).type == STARTED


def test_shutdown_kills_all(init: InitDriver) -> None:
    init.start(1, ["sleep", f"{init.uid}.7654321"])
    init.send(SHUTDOWN)
    assert init.process.wait(5) == 0
    assert not init.processes(f"{init.uid}.7654321")


def test_orphans_of_strangers_are_reaped(init: InitDriver) -> None:
    init.start(1, ["sh", "-c", "for i in 1 2 3 4 5 6 7 8; do (true & true) & done; wait; sleep 0.2; echo ok; sleep 60"])
    wait_for_output(init, b"ok")
    children = Path(f"/proc/{init.pid}/task/{init.pid}/children")
    wait_until(lambda: len(children.read_text().split()) == 1)


# Relays

SERVER = """
import os, socket, sys, time, hashlib
kind, where, what, delay = sys.argv[1:5]
time.sleep(float(delay))
if kind == 'tcp':
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('127.0.0.1', int(where)))
else:
    s = socket.socket(socket.AF_UNIX); s.bind(where)
time.sleep(float(delay))
s.listen()
c, _ = s.accept()
if what == 'echo':
    while True:
        d = c.recv(65536)
        if not d: break
        c.sendall(d)
elif what == 'last':
    c.sendall(b'z' * int(sys.argv[5]))
    os._exit(9)
elif what == 'pour':
    block = os.urandom(1 << 20); h = hashlib.sha256()
    for _ in range(int(sys.argv[5])):
        c.sendall(block); h.update(block)
    c.close(); print(h.hexdigest(), flush=True)
elif what == 'drain':
    time.sleep(0.3); h = hashlib.sha256()
    while True:
        d = c.recv(1 << 20)
        if not d: break
        h.update(d)
    print(h.hexdigest(), flush=True)
time.sleep(60)
"""


# Sends until nothing more fits anywhere.
FILL = """
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()
c, _ = s.accept(); c.setblocking(False)
for _ in range(3):
    try:
        while True: c.send(b'x' * 65536)
    except OSError: time.sleep(.1)
if sys.argv[2] == 'leave': os._exit(6)
c.close()
time.sleep(60)
"""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def serve(init: InitDriver, kind: str, what: str, delay_s: float = 0, *more: str, kernel: int = 1) -> str:
    where = str(free_port()) if kind == "tcp" else str(init.run / f"k{kernel}-3")
    started = init.start(kernel, [PYTHON, "-c", SERVER, kind, where, what, str(delay_s), *more])
    assert started.type == STARTED
    return f"{kind}:{where}"


@pytest.mark.parametrize("kind", ["ipc", "tcp"])
@pytest.mark.parametrize("delay_s", [0, 0.15])
def test_bytes_pass_both_ways_however_late_the_kernel_listens(init: InitDriver, kind: str, delay_s: float) -> None:
    where = serve(init, kind, "echo", delay_s)
    with init.channel(1, IOPUB, where) as ours:
        ours.sendall(b"early")
        connected = init.wait_for(CONNECTED, 1)
        assert connected.channel == IOPUB
        assert ours.recv(100) == b"early"
        for i in range(100):
            ours.sendall(b"%d" % i)
            assert ours.recv(100) == b"%d" % i
        init.send(SIGNAL, 1, value=signal.SIGTERM)
        closed = init.wait_for(CLOSED, 1)
        assert closed.channel == IOPUB
        assert ours.recv(1) == b""
    init.wait_for(EXITED, 1)
    order = [p.type for p in init.seen if p.type in (STARTED, CONNECTED, CLOSED, EXITED)]
    assert order == [STARTED, CONNECTED, CLOSED, EXITED]


def test_a_late_ipc_socket_is_met_at_once(init: InitDriver) -> None:
    """Not polled: it is connected within a moment of its making."""
    path = init.run / "late"
    init.start(1, ["sleep", "60"])
    with init.channel(1, 0, f"ipc:{path}") as ours, socket.socket(socket.AF_UNIX) as s:
        time.sleep(0.5)
        wakeups = read_switches(init)
        time.sleep(0.5)
        assert read_switches(init) - wakeups < 3
        s.bind(str(path))
        s.listen()
        path.chmod(0o777)
        begin = time.monotonic()
        init.wait_for(CONNECTED, 1)
        assert time.monotonic() - begin < 0.05
        ours.sendall(b"x")


def read_switches(init: InitDriver) -> int:
    text = Path(f"/proc/{init.pid}/status").read_text()
    return int(text.split("\nvoluntary_ctxt_switches:")[1].split()[0])


def test_an_ipc_folder_that_is_replaced_is_found_again(init: InitDriver) -> None:
    folder = init.run / "kernel-1"
    init.start(1, ["sleep", "60"])
    with init.channel(1, 0, f"ipc:{folder}/s"), socket.socket(socket.AF_UNIX) as s:
        time.sleep(0.05)
        folder.rename(init.run / "old")
        time.sleep(0.05)
        folder.mkdir(mode=0o755)
        s.bind(str(folder / "s"))
        (folder / "s").chmod(0o777)
        s.listen()
        init.wait_for(CONNECTED, 1, timeout_s=1)


def test_dialling_a_silent_port_never_takes_it(init: InitDriver) -> None:
    if init.mode == "container":
        pytest.skip("the port is bound out here")
    port = free_port()
    init.start(1, ["sleep", "60"])
    with init.channel(1, 0, f"tcp:{port}"):
        time.sleep(0.3)
        with socket.socket() as s:
            s.bind(("127.0.0.1", port))
            s.listen()
            connected = init.wait_for(CONNECTED, 1, timeout_s=1)
            assert connected.channel == 0
            assert s.accept()[1][0] == "127.0.0.2"


@pytest.mark.parametrize("kind", ["ipc", "tcp"])
def test_a_stream_waits_for_a_slow_reader_and_nothing_is_lost(init: InitDriver, kind: str) -> None:
    where = serve(init, kind, "pour", 0, "64")
    with init.channel(1, IOPUB, where) as ours:
        init.wait_for(CONNECTED, 1)
        time.sleep(0.5)
        assert init.memory_bytes() < SMALL
        digest, n = hashlib.sha256(), 0
        while data := ours.recv(1 << 20):
            digest.update(data)
            n += len(data)
    assert n == 64 << 20
    assert init.wait_for(CLOSED, 1).value == 0
    wait_for_output(init, digest.hexdigest().encode())


SMALL = 1 << 20 if "san" not in os.environ.get("KERNELHUB_INIT", "") else 1 << 30


@pytest.mark.parametrize("kind", ["ipc", "tcp"])
def test_what_the_warden_sent_before_it_left_arrives(init: InitDriver, kind: str) -> None:
    where = serve(init, kind, "drain")
    block, digest = os.urandom(1 << 20), hashlib.sha256()
    with init.channel(1, 0, where) as ours:
        for _ in range(16):
            ours.sendall(block)
            digest.update(block)
    wait_for_output(init, digest.hexdigest().encode())
    assert any(p.type == CLOSED for p in init.seen) or init.wait_for(CLOSED, 1).value == 0


@pytest.mark.parametrize("kind", ["ipc", "tcp"])
def test_the_last_words_of_a_dying_kernel_arrive_before_its_exit(init: InitDriver, kind: str) -> None:
    size = 300_000 if kind == "tcp" else 150_000
    where = serve(init, kind, "last", 0, str(size))
    with init.channel(1, IOPUB, where) as ours:
        time.sleep(0.3)
        got = b""
        while data := ours.recv(1 << 16):
            got += data
    exited = init.wait_for(EXITED, 1)
    assert (len(got), exited.value) == (size, 9 << 8), init.output(1, 2)
    assert [p.type for p in init.seen][-2:] == [CLOSED, EXITED]


def test_a_reader_that_never_reads_holds_an_exit_only_for_a_while(init: InitDriver) -> None:
    path = str(init.run / "s")
    init.start(1, [PYTHON, "-c", FILL, path, "leave"])
    with init.channel(1, IOPUB, f"ipc:{path}"):
        exited = init.wait_for(EXITED, 1, timeout_s=8)
        assert exited.value == 6 << 8
        assert [p.value for p in init.seen if p.type == CLOSED] == [errno.ETIMEDOUT]


def test_a_kernel_that_never_reads_does_not_make_it_spin(init: InitDriver) -> None:
    path = str(init.run / "s")
    code = "import socket,sys,time\ns=socket.socket(socket.AF_UNIX);s.bind(sys.argv[1]);s.listen();c=s.accept();time.sleep(60)"
    init.start(1, [PYTHON, "-c", code, path])
    with init.channel(1, 0, f"ipc:{path}") as ours:
        init.wait_for(CONNECTED, 1)
        ours.settimeout(0.3)
        with pytest.raises(TimeoutError):
            ours.sendall(b"x" * (8 << 20))
        before = cpu_ticks(init.pid)
        time.sleep(1)
        assert cpu_ticks(init.pid) - before <= 2


def test_a_channel_asked_for_again_replaces_the_old_one(init: InitDriver) -> None:
    path = str(init.run / "many")
    code = (
        "import socket,sys,threading,time\ns=socket.socket(socket.AF_UNIX);s.bind(sys.argv[1]);s.listen()\n"
        "def echo(c,n):\n while d:=c.recv(99): c.sendall(b'%d:'%n+d)\n"
        "for n in range(9): threading.Thread(target=echo,args=(s.accept()[0],n)).start()"
    )
    init.start(1, [PYTHON, "-c", code, path])
    with init.channel(1, 0, f"ipc:{path}") as first:
        init.wait_for(CONNECTED, 1)
        first.sendall(b"a")
        assert first.recv(99) == b"0:a"
        with init.channel(1, 0, f"ipc:{path}") as second:
            init.wait_for(CONNECTED, 1)
            assert first.recv(99) == b""
            second.sendall(b"b")
            assert second.recv(99) == b"1:b"
            assert not [p for p in init.seen if p.type == CLOSED]


def test_a_warden_that_leaves_while_dialling_closes_the_channel(init: InitDriver) -> None:
    init.start(1, ["sleep", "60"])
    init.channel(1, 0, f"ipc:{init.run}/never").close()
    assert init.wait_for(CLOSED, 1, timeout_s=1).value == errno.ECONNRESET


def test_a_channel_that_never_answered_is_closed_by_the_exit(init: InitDriver) -> None:
    init.start(1, ["sleep", "60"])
    with init.channel(1, 0, f"ipc:{init.run}/never"), init.channel(1, 1, f"tcp:{free_port()}"):
        init.send(KILL, 1)
        init.wait_for(EXITED, 1)
    assert sorted(p.channel for p in init.seen if p.type == CLOSED) == [0, 1]


def test_a_hung_up_side_does_not_make_it_spin(init: InitDriver) -> None:
    """The kernel closed, the warden does not read: nothing to do but wait."""
    path = str(init.run / "s")
    init.start(1, [PYTHON, "-c", FILL, path, "stay"])
    with init.channel(1, 0, f"ipc:{path}"):
        init.wait_for(CONNECTED, 1)
        time.sleep(0.6)
        before = cpu_ticks(init.pid)
        time.sleep(1)
        assert cpu_ticks(init.pid) - before <= 2


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


# The line to the warden


def test_kernels_outlive_their_warden_and_the_next_one_hears_of_all(init: InitDriver) -> None:
    now = init.run / "now"
    leave = f"while ! test -e {now}; do sleep 0.02; done; exit 4"
    pids = {k: init.start(k, ["sh", "-c", leave if k == 2 else "sleep 60"]).value for k in (1, 2, 3)}
    init.hang_up()
    now.touch()
    wait_until(lambda: not init.processes(leave))
    time.sleep(0.1)
    init.listen()
    begin = time.monotonic()
    hello = init.accept()
    assert time.monotonic() - begin < 0.2, "it was told, not polled for"
    assert (hello.type, hello.kernel) == (HELLO, 3)
    listed = [init.receive() for _ in range(3)]
    assert {(p.type, p.kernel, p.value) for p in listed} == {(STARTED, 1, pids[1]), (EXITED, 2, 4 << 8), (STARTED, 3, pids[3])}
    assert init.start(2, ["true"]).type == STARTED
    init.wait_for(EXITED, 2)
    init.hang_up()
    init.listen()
    assert init.accept().kernel == 2, "an exit is told once"


def line_is_full(init: InitDriver) -> bool:
    """Nothing is received, and what waits to be does not get more."""
    def waiting() -> int:
        return struct.unpack("i", fcntl.ioctl(init.line, termios.FIONREAD, bytes(4)))[0]

    before = waiting()
    time.sleep(0.3)
    return 50_000 < before == waiting()


def test_an_exit_that_a_full_line_held_back_is_told_to_the_next_warden(init: InitDriver) -> None:
    now = init.run / "now"
    word = init.folder.name + "x" * 4000
    noise = f"yes {word} & while ! test -e {now}; do sleep 0.02; done; exit 4"
    init.start(1, ["sh", "-c", noise])
    wait_until(lambda: line_is_full(init), 20)
    now.touch()
    wait_until(lambda: not init.processes(word))
    time.sleep(0.1)
    init.hang_up()
    init.listen()
    assert init.accept().kernel == 1
    assert (init.receive().type, init.seen[-1].value) == (EXITED, 4 << 8)


def test_a_relay_ends_with_its_warden_and_begins_anew(init: InitDriver) -> None:
    path = str(init.run / "s")
    code = "import socket,sys\ns=socket.socket(socket.AF_UNIX);s.bind(sys.argv[1]);s.listen()\nwhile 1: c=s.accept()[0];c.sendall(b'hi');c.recv(1)"
    init.start(1, [PYTHON, "-c", code, path])
    for _ in range(3):
        ours = init.channel(1, 0, f"ipc:{path}")
        init.wait_for(CONNECTED, 1)
        assert ours.recv(9) == b"hi"
        ours.close()
        init.hang_up()
        init.listen()
        init.accept()


def test_answers_wait_for_a_warden_that_reads_late(init: InitDriver) -> None:
    init.start(1, ["yes", "x" * 4000])
    time.sleep(0.5)
    assert init.memory_bytes() < SMALL
    n = 0
    assert init.line
    init.line.setblocking(False)
    try:
        while n < 5000:
            init.send(SIGNAL, 1, value=int(signal.SIGCONT))
            n += 1
    except BlockingIOError:
        pass
    init.line.settimeout(5)
    done = 0
    while done < n:
        done += init.wait_for(DONE, 1).value == SIGNAL
    threading.Thread(target=init.send, args=(KILL, 1)).start()
    init.wait_for(EXITED, 1)


@pytest.mark.slow
def test_without_a_warden_for_30_s_everything_ends_and_an_idle_warden_is_one() -> None:
    """They wait side by side."""
    with ExitStack() as ends:
        idle, left = ([ends.enter_context(opened(kind)) for kind in KINDS] for _ in range(2))
        words = [f"{init.uid}.7654322" for init in left]
        for init, word in zip(left, words):
            init.start(1, ["sleep", word])
            init.hang_up()
        time.sleep(27)
        for init, word in zip(left, words):
            assert init.process.poll() is None and init.processes(word)
        for init, word in zip(left, words):
            init.process.wait(6)
            assert not init.processes(word)
        time.sleep(3)
        for init in idle:
            assert init.start(1, ["true"]).type == STARTED


# The enemy inside


def test_user_code_cannot_end_or_read_init(init: InitDriver) -> None:
    needs_pid1(init)
    code = """
import ctypes, os, signal
for s in range(1, 65):
    try: os.kill(1, s)
    except OSError: pass
class Info(ctypes.Structure):
    _fields_ = [('signo', ctypes.c_int), ('errno', ctypes.c_int), ('code', ctypes.c_int), ('pad', ctypes.c_int * 29)]
libc = ctypes.CDLL(None, use_errno=True)
for code in (-1, -2, -3, -4, -6, 0, 0x80):
    info = Info(signal.SIGTERM, 0, code)
    print('queue', code, libc.syscall(129, 1, int(signal.SIGTERM), ctypes.byref(info)))
for path in ('/proc/1/mem', '/proc/1/environ', '/proc/1/fd', '/proc/1/root'):
    try:
        os.listdir(path) if path.endswith('fd') or path.endswith('root') else open(path, 'rb').read(1)
        print('GOT', path)
    except OSError as e: print(path, e.errno)
pid = libc.syscall(434, 1, 0)
for fd in range(12):
    if libc.syscall(438, pid, fd, 0) >= 0: print('GOT fd', fd)
print('PTRACE', libc.ptrace(16, 1, 0, 0))
print('over', flush=True)
signal.pause()
"""
    init.start(1, [PYTHON, "-c", code])
    wait_for_output(init, b"over")
    text = init.output(1)
    assert b"GOT" not in text and b"queue -1 0" in text and b"PTRACE -1" in text
    init.send(KILL, 1)
    init.wait_for(EXITED, 1)
    assert init.start(1, ["true"]).type == STARTED


def test_sigterm_from_outside_ends_it(init: InitDriver) -> None:
    init.start(1, ["sleep", f"{init.uid}.7654323"])
    os.kill(init.pid, signal.SIGTERM)
    assert init.process.wait(5) == 0
    assert not init.processes(f"{init.uid}.7654323")


def test_a_zombie_storm_and_fake_signals_do_not_stop_it(init: InitDriver) -> None:
    needs_pid1(init)
    storm = "import os,signal\nwhile True:\n os.kill(1, signal.SIGCHLD)\n try:\n  if os.fork()==0:\n   if os.fork()==0: os._exit(0)\n   os._exit(0)\n except OSError: pass"
    init.start(1, [PYTHON, "-c", storm])
    where = serve(init, "ipc", "echo", kernel=2)
    with init.channel(2, 0, where) as ours:
        init.wait_for(CONNECTED, 2)
        for _ in range(50):
            ours.sendall(b"x")
            assert ours.recv(9) == b"x"


def test_idle_it_is_small(init: InitDriver) -> None:
    where = serve(init, "ipc", "echo")
    with init.channel(1, 0, where) as ours:
        ours.sendall(b"x" * 200_000)
        assert ours.recv(200_000, socket.MSG_WAITALL)
        print(f"resident {init.memory_bytes() // 1024} KiB")
        assert init.memory_bytes() < SMALL


# discover


def test_discover_lists_kernelspecs_and_nothing_else(tmp_path: Path) -> None:
    for base, name, body in (
        ("first/kernels", "python3", b'{"a":1}'), ("first/kernels", "bad name", b"{}"), ("first/kernels", ".hidden", b"{}"),
        ("first/kernels", "big", b"x" * 65537), ("first/kernels", "limit", b"y" * 65536), ("second/kernels", "python3", b"other"),
        ("second/kernels", "R-4.2_x", b"\0\xff{"), ("home/.local/share/jupyter/kernels", "mine", b"m"),
        ("venv/share/jupyter/kernels", "venv", b"v"),
    ):  # fmt: skip
        folder = tmp_path / base / name
        folder.mkdir(parents=True)
        (folder / "kernel.json").write_bytes(body)
    fifo = tmp_path / "first/kernels/fifo"
    fifo.mkdir()
    os.mkfifo(fifo / "kernel.json")
    for base, name, body in (
        ("first/kernels/python3", "logo-64x64.png", b"\x89PNG\0\n"), ("first/kernels/python3", "logo-svg.svg", b"z" * 65537),
        ("first/kernels/python3", "logo-128x128.png", b"p"), ("first/kernels/python3", "kernel.js", b"j"),
        ("first/kernels/fifo", "logo-32x32.png", b"p"), ("second/kernels/python3", "logo-32x32.png", b"p"),
    ):  # fmt: skip
        (tmp_path / base / name).write_bytes(body)
    os.mkfifo(tmp_path / "first/kernels/limit/logo-32x32.png")
    for name in ("mine", "venv"):
        (tmp_path / ("home/.local" if name == "mine" else "venv") / "share/jupyter/kernels" / name / "logo-svg.svg").symlink_to("/dev/zero")
    env = {"JUPYTER_PATH": f"{tmp_path}/first:{tmp_path}/second", "HOME": f"{tmp_path}/home", "PATH": f"{tmp_path}/venv/bin"}
    out = subprocess.run([find_binary(), "discover"], env=env, stdout=subprocess.PIPE, timeout=5, check=True).stdout
    specs = {}
    while out:
        name, length, out = out.split(b"\0", 2)
        specs[name], out = out[: int(length)], out[int(length) :]
    expected = {b"python3": b'{"a":1}', b"limit": b"y" * 65536, b"R-4.2_x": b"\0\xff{", b"mine": b"m", b"venv": b"v"}
    assert {name: body for name, body in specs.items() if name in expected} == expected
    assert not {b"bad name", b".hidden", b"big", b"fifo"} & set(specs)
    assert {name: body for name, body in specs.items() if b"/" in name} == {b"python3/logo-64x64.png": b"\x89PNG\0\n"}
    names = list(specs)
    assert names.index(b"python3/logo-64x64.png") == names.index(b"python3") + 1


def test_discover_prints_so_many_logos_and_no_more(tmp_path: Path) -> None:
    for i in range(64):
        folder = tmp_path / "kernels" / f"k{i}"
        folder.mkdir(parents=True)
        (folder / "kernel.json").write_text("{}")
        (folder / "logo-svg.svg").write_bytes(b"s" * 60_000)
    out = subprocess.run([find_binary(), "discover"], env={"JUPYTER_PATH": str(tmp_path)}, stdout=subprocess.PIPE, timeout=5, check=True).stdout
    assert out.count(b"\0002\0{}") == 64 and out.count(b"/logo-svg.svg\00060000\0") == 4


def test_discover_stops_at_64(tmp_path: Path) -> None:
    for i in range(100):
        folder = tmp_path / "kernels" / f"k{i}"
        folder.mkdir(parents=True)
        (folder / "kernel.json").write_text("{}")
    out = subprocess.run([find_binary(), "discover"], env={"JUPYTER_PATH": str(tmp_path)}, stdout=subprocess.PIPE, timeout=5, check=True)
    assert out.stdout.count(b"\0002\0{}") == 64


def test_a_bad_command_line_is_refused() -> None:
    for args in (["relative"], ["/" + "x" * 200], ["/a", "/b"]):
        assert subprocess.run([find_binary(), *args], timeout=5, check=False).returncode == 64


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q"]))


# Commands


def ended(init: InitDriver, number: int) -> int:
    return os.waitstatus_to_exitcode(init.wait_for(EXITED, number).value)


def test_a_command_has_the_warden_s_pipes_and_its_own_exit_code(init: InitDriver) -> None:
    command = init.exec(3, ["sh", "-c", "cat; echo err >&2; exit 7"], stdin=b"in")
    assert (command.answer.type, command.answer.channel) == (STARTED, 1)
    assert (command.stdout.read(), command.stderr.read()) == (b"in", b"err\n")
    assert ended(init, 3) == 7
    assert not [p for p in init.seen if p.type == OUTPUT]
    init.exec(3, ["true"])  # the number is free again
    assert ended(init, 3) == 0


def test_a_command_gets_three_descriptors_and_nothing_of_init(init: InitDriver) -> None:
    assert init.start(1, ["sleep", "1000"]).type == STARTED, "something whose descriptors could leak"
    code = (
        "import os,resource,signal;"
        "print(sorted(os.listdir('/proc/self/fd')), os.getsid(0) == os.getpid() == os.getpgid(0), os.getcwd(),"
        "resource.getrlimit(resource.RLIMIT_CORE), os.readlink('/proc/self/fd/0'), os.environ.get('A'),"
        "{s.name for s in signal.pthread_sigmask(signal.SIG_BLOCK, [])},"
        "signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, os.environ['KERNELHUB_COMMAND'], os.environ.get('KERNELHUB_KERNEL'))"
    )
    command = init.exec(2, [PYTHON, "-c", code], env={"A": "1", "KERNELHUB_COMMAND": "mine"}, cwd="/tmp")
    # the fourth is the folder that is being listed
    assert command.stdout.read().decode() == (
        "['0', '1', '2', '3'] True /tmp (0, 0) /dev/null 1 set() True 1 None\n"
    )
    assert ended(init, 2) == 0


def test_a_command_may_open_its_own_stdout_and_stderr(init: InitDriver) -> None:
    command = init.exec(1, ["sh", "-c", "echo a > /proc/self/fd/1; echo b > /proc/self/fd/2"])
    assert (command.stdout.read(), command.stderr.read()) == (b"a\n", b"b\n")
    assert ended(init, 1) == 0


@pytest.mark.parametrize(
    ("argv", "cwd", "code", "text"),
    [
        (["/no/such"], "/", 127, b"kernelhub: /no/such: No such file or directory\n"),
        (["no-such"], "/", 127, b"kernelhub: no-such: No such file or directory\n"),
        (["/etc"], "/", 126, b"kernelhub: /etc: Permission denied\n"),
        (["true"], "/no/such", 126, b"kernelhub: /no/such: No such file or directory\n"),
    ],
)
def test_what_cannot_be_executed_says_so_as_a_shell_does(
    init: InitDriver, argv: list[str], cwd: str, code: int, text: bytes
) -> None:
    # not root's own folders, which another user may not even look into
    command = init.exec(1, argv, cwd=cwd, env={"PATH": "/usr/local/bin:/usr/bin:/bin"})
    assert command.answer.type == STARTED
    assert (command.stdout.read(), command.stderr.read()) == (b"", text)
    assert ended(init, 1) == code


def test_what_a_command_leaves_behind_lives_on(init: InitDriver) -> None:
    word = f"3{os.getpid()}"  # no other test's
    assert init.start(2, ["sleep", "1000"]).type == STARTED
    command = init.exec(1, ["sh", "-c", f"sleep {word} & echo done"])
    assert ended(init, 1) == 0
    assert os.read(command.stdout.fileno(), 100) == b"done\n"
    assert init.processes(word)
    # nor does the end of the last kernel end it, which else takes everything with it
    init.send(KILL, 2)
    init.wait_for(EXITED, 2)
    assert init.processes(word)
    init.send(SHUTDOWN)
    wait_until(lambda: not init.processes(word) or not init.pid1)
    for pid in init.processes(word):  # a plain init cannot see it any more
        os.kill(pid, signal.SIGKILL)


def test_a_killed_command_takes_its_own_along_and_nobody_else(init: InitDriver) -> None:
    word, other = f"4{os.getpid()}", f"5{os.getpid()}"
    init.exec(1, ["sleep", other])
    code = f"setsid sleep {word} & (setsid sleep {word} &) ; trap '' INT TERM; sleep {word}; sleep {word}"
    init.exec(2, ["sh", "-c", code])
    wait_until(lambda: len(init.processes(f"sleep\0{word}")) == 3)
    init.send(KILL, 2)
    assert ended(init, 2) == -signal.SIGKILL
    assert not init.processes(word)
    assert init.processes(other)
    init.send(SIGNAL, 1, value=signal.SIGINT)
    assert ended(init, 1) == -signal.SIGINT


def test_a_running_command_is_named_to_the_next_warden(init: InitDriver) -> None:
    init.exec(5, ["sleep", "1000"])
    init.hang_up()
    init.listen()
    hello = init.accept()
    assert (hello.type, hello.kernel, hello.channel) == (HELLO, 1, 7)
    started = init.receive()
    assert (started.type, started.kernel, started.channel) == (STARTED, 5, 1)
    init.send(KILL, 5)
    assert ended(init, 5) == -signal.SIGKILL


def test_bad_exec_orders_are_failed(init: InitDriver) -> None:
    good = b"\1\0\0\0\0\0\0\0/\0\0true\0"
    with open("/dev/null", "r+b") as null:
        fd = null.fileno()
        for payload, fds in [(good, []), (good, [fd]), (b"", [fd, fd]), (good[:-1], [fd, fd]), (good.replace(b"/\0\0", b"/\0/x\0"), [fd, fd])]:
            init.send(EXEC, 1, payload=payload, fds=fds)
            failed = init.receive()
            assert (failed.type, failed.value, failed.channel) == (FAILED, errno.EBADMSG, EXEC), payload
        init.send(EXEC, 1, payload=good, fds=[fd] * 9)  # more than any order has
        assert init.receive().type == STARTED
        assert ended(init, 1) == 0
        init.exec(1, ["sleep", "1000"])
        init.send(EXEC, 1, payload=good, fds=[fd, fd])
        assert (init.receive().value, init.exec(2, ["true"]).answer.type) == (errno.EBUSY, STARTED)
    # none of the descriptors stayed with init
    assert len(os.listdir(f"/proc/{init.pid}/fd")) < 12


def test_channels_are_not_for_commands(init: InitDriver) -> None:
    init.exec(1, ["sleep", "1000"])
    init.channel(1, IOPUB, "tcp:1").close()
    closed = init.receive()
    assert (closed.type, closed.value) == (CLOSED, errno.ESRCH)


def test_a_command_of_the_greatest_size(init: InitDriver) -> None:
    argv = ["sh", "-c", 'printf %s "$*" | wc -c', "x"] + ["y" * 127] * 1020
    command = init.exec(1, argv)
    assert command.stdout.read().strip() == str(128 * 1020 - 1).encode()
    assert ended(init, 1) == 0
