"""Terminals of kernelhub-init: the real binary, the warden's end of each socket in our hands."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator

import pytest
from init_driver import EXITED, FAILED, HELLO, KILL, STARTED, InitDriver, Packet

TERMINAL, RESIZE = 7, 8
PATH = "/usr/local/bin:/usr/bin:/bin"


@pytest.fixture
def init() -> Iterator[InitDriver]:
    driver = InitDriver("pid1")
    try:
        assert driver.accept().type == HELLO
        yield driver
    finally:
        driver.close()


def wait_until(what: Callable[[], object], timeout_s: float = 5) -> None:
    end = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def order(argv: list[str], cwd: str = "/") -> bytes:
    strings = [cwd, "", *argv, f"PATH={PATH}", "TERM=xterm", "KERNELHUB_TERMINAL=mine"]
    return struct.pack("<HHI", len(argv), 3, 0) + b"".join(s.encode() + b"\0" for s in strings)


def size(rows: int, cols: int) -> int:
    return rows << 16 | cols


def open_terminal(init: InitDriver, number: int, argv: list[str], cwd: str = "/") -> tuple[Packet, socket.socket]:
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # little of what is not read can rest in there
    with theirs:
        init.send(TERMINAL, number, value=size(24, 80), payload=order(argv, cwd), fds=[theirs.fileno()])
    ours.settimeout(10)
    while True:
        packet = init.receive()
        if packet.type in (STARTED, FAILED) and packet.kernel == number:
            return packet, ours


def read_all(s: socket.socket) -> bytes:
    got = b""
    while piece := s.recv(1 << 16):
        got += piece
    return got


def read_until(s: socket.socket, what: bytes) -> bytes:
    got = b""
    while what not in got:
        got += s.recv(1 << 16)
    return got


def ended(init: InitDriver, number: int) -> int:
    return os.waitstatus_to_exitcode(init.wait_for(EXITED, number).value)


def test_a_program_has_a_terminal_of_its_own_and_nothing_of_init(init: InitDriver) -> None:
    assert init.start(1, ["sleep", "1000"]).type == STARTED, "something whose descriptors could leak"
    code = (
        "import os,termios,fcntl;"
        "print(len({os.ttyname(fd) for fd in (0,1,2)}), os.listdir('/proc/self/fd')[3:] == ['3'], os.getsid(0) == os.getpid() == os.getpgid(0),"
        "os.open('/dev/tty', os.O_RDWR), os.tcgetpgrp(0) == os.getpid(), tuple(os.get_terminal_size(0)), os.getcwd(),"
        "bool(termios.tcgetattr(0)[0] & 0o40000), os.environ['KERNELHUB_TERMINAL'], os.environ.get('KERNELHUB_KERNEL'))"
    )
    started, s = open_terminal(init, 2, ["python3", "-c", code], cwd="/tmp")
    assert (started.type, started.channel) == (STARTED, 2) and started.value > 1
    assert read_all(s).decode() == "1 True True 3 True (80, 24) /tmp True 1 None\r\n"
    assert ended(init, 2) == 0
    assert not [p for p in init.seen if p.kernel == 2 and p.type not in (STARTED, EXITED)]


def test_what_cannot_be_executed_is_failed_and_nothing_is_left(init: InitDriver) -> None:
    before = len(os.listdir(f"/proc/{init.pid}/fd"))
    for _ in range(20):
        failed, s = open_terminal(init, 1, ["/no/such"])
        assert (failed.type, failed.channel, failed.value) == (FAILED, TERMINAL, errno.ENOENT)
        assert s.recv(1) == b""
    started, s = open_terminal(init, 1, ["true"])  # s: when it is closed, the process gets SIGHUP
    assert started.type == STARTED, "the number is free again"
    assert ended(init, 1) == 0
    assert len(os.listdir(f"/proc/{init.pid}/fd")) == before


def test_a_new_size_is_told_to_the_program(init: InitDriver) -> None:
    _, s = open_terminal(init, 1, ["sh", "-c", "trap 'stty size' WINCH; echo on; while :; do sleep 0.05; done"])
    read_until(s, b"on\r\n")
    init.send(RESIZE, 1, value=size(50, 132))
    read_until(s, b"50 132\r\n")
    init.start(2, ["sleep", "1000"])
    for number in (2, 3, 64):  # a kernel, nobody
        init.send(RESIZE, number, value=size(1, 1))
    init.send(RESIZE, 1, value=size(0x7FFF, 1))
    read_until(s, b"32767 1\r\n")
    s.close()
    assert ended(init, 1) == -signal.SIGHUP


def test_bad_orders_are_failed(init: InitDriver) -> None:
    ours, theirs = socket.socketpair()
    good = order(["true"])
    for payload, fds in ((good, []), (b"", [theirs.fileno()]), (good[:-1], [theirs.fileno()]), (good.replace(b"/\0\0", b"/\0/x\0"), [theirs.fileno()])):
        init.send(TERMINAL, 1, value=size(24, 80), payload=payload, fds=fds)
        failed = init.receive()
        assert (failed.type, failed.value, failed.channel) == (FAILED, errno.EBADMSG, TERMINAL)
    open_terminal(init, 1, ["sleep", "1000"])
    init.send(TERMINAL, 1, value=size(24, 80), payload=good, fds=[theirs.fileno()])
    assert init.receive().value == errno.EBUSY
    theirs.close()
    assert ours.recv(1) == b""  # none of them stayed with init


def test_output_waits_for_its_reader_and_is_whole(init: InitDriver) -> None:
    """The program has ended, its last bytes wait for us, and nobody else does."""
    word = f"8{os.getpid()}"
    _, s = open_terminal(init, 1, ["sh", "-c", f"stty -opost; seq 3000; exit 5 #{word}"])
    wait_until(lambda: not init.processes(word))
    time.sleep(1.2)  # longer than a kernel's last bytes are waited for
    assert init.start(2, ["true"]).type == STARTED
    init.wait_for(EXITED, 2)
    assert not [p for p in init.seen if (p.type, p.kernel) == (EXITED, 1)]
    assert read_all(s) == b"".join(b"%d\n" % i for i in range(1, 3001))
    assert ended(init, 1) == 5


def test_a_flood_that_nobody_reads_waits(init: InitDriver) -> None:
    before = init.memory_bytes()
    _, s = open_terminal(init, 1, ["yes"])
    time.sleep(0.2)

    def cpu() -> int:
        fields = open(f"/proc/{init.pid}/stat").read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    used = cpu()
    time.sleep(0.3)
    assert cpu() - used < 5  # ticks
    assert init.memory_bytes() - before < 1 << 20
    for _ in range(100):
        assert set(s.recv(4096)) <= set(b"y\r\n")
    s.close()
    assert ended(init, 1) == -signal.SIGHUP


def test_the_sockets_end_is_everybodys(init: InitDriver) -> None:
    word, other = f"6{os.getpid()}", f"7{os.getpid()}"
    code = (
        f"trap '' HUP TERM INT; sleep {word} & (setsid sleep {word} &); (setsid nohup sleep {word} >/dev/null 2>&1 </dev/null &);"
        f"(trap 'echo bye >{init.run}/hup; exit' HUP; while :; do sleep 0.01; done) & echo on; while :; do sleep {word}; done"
    )
    _, s = open_terminal(init, 1, ["sh", "-c", code])
    _, stays = open_terminal(init, 2, ["sh", "-c", f"sleep {other} & echo on; wait"])
    read_until(s, b"on\r\n")
    read_until(stays, b"on\r\n")
    wait_until(lambda: len(init.processes(f"sleep\0{word}")) == 4)
    s.close()
    assert ended(init, 1) == -signal.SIGKILL
    assert not init.processes(word)
    assert (init.run / "hup").read_text() == "bye\n"
    assert init.processes(other)
    init.send(KILL, 2)
    assert ended(init, 2) == -signal.SIGKILL
    wait_until(lambda: not init.processes(other))
    assert stays.recv(1) == b""


def test_one_whose_terminal_another_holds_open_ends_all_the_same(init: InitDriver) -> None:
    _, s = open_terminal(init, 1, ["sh", "-c", "tty; read x; exit 3"])
    name = re.search(rb"(/dev/pts/\d+)\r\n", read_until(s, b"\r\n"))[1].decode()  # type: ignore[index]
    _, holder = open_terminal(init, 2, ["sh", "-c", f"exec 9<>{name}; echo held; sleep 1000"])
    read_until(holder, b"held\r\n")
    s.sendall(b"\n")
    assert ended(init, 1) == 3
    assert read_all(s) == b"\r\n"  # the echo
    assert holder.fileno() >= 0 and not [p for p in init.seen if (p.type, p.kernel) == (EXITED, 2)]


def test_the_next_warden_hears_of_one_whose_socket_is_open(init: InitDriver) -> None:
    _, s = open_terminal(init, 5, ["sleep", "1000"])
    init.hang_up()
    init.listen()
    hello = init.accept()
    assert (hello.type, hello.kernel, hello.channel) == (HELLO, 1, 7)
    started = init.receive()
    assert (started.type, started.kernel, started.channel) == (STARTED, 5, 2)
    init.send(KILL, 5)
    assert ended(init, 5) == -signal.SIGKILL
    assert s.recv(1) == b""
