"""A process that stands where init stands and breaks every rule of the wall: the warden bears it, or has the container killed."""

from __future__ import annotations

import json
import os
import socket
import struct
import time
import uuid

import pytest

from test_warden import SLOW, cpu_seconds
from warden_driver import KERNEL, START, Frame, Hub, Sandbox

HELLO, STARTED, CONNECTED, CLOSED, EXITED, OUTPUT, DONE, FAILED = range(16, 24)
START_ORDER, CHANNEL, SIGNAL, KILL = 1, 2, 3, 4
SPEC = {"argv": ["/bin/true", "{connection_file}"], "env": {}, "transport": "ipc", "interrupt_mode": "signal"}


def packet(kind: int, kernel: int = 0, value: int = 0, channel: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack("<BBHIi", kind, channel, 0, kernel, value) + payload


class Init:
    """Connects as the container's PID 1; the test says what it says."""

    def __init__(self, own: Sandbox, named: int = 0, can: int = 0) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(10)
        self.socket.connect(own.init_path)
        self.say(packet(HELLO, named, 1, can))

    def say(self, data: bytes, fds: list[int] | None = None) -> None:
        if fds:
            socket.send_fds(self.socket, [data], fds)
        else:
            self.socket.send(data)

    def order(self, kind: int) -> tuple[int, list[int]]:
        """The next order of that kind: its kernel's number and what came along."""
        while True:
            data, fds, _, _ = socket.recv_fds(self.socket, 1 << 17, 8)
            if data[0] == kind:
                return int.from_bytes(data[4:8], "little"), fds
            for fd in fds:
                os.close(fd)

    def hung_up(self) -> bool:
        try:
            while self.socket.recv(1 << 17):
                pass
        except ConnectionResetError:
            pass
        return True


def start(hub: Hub, ready_timeout_ms: int = 4000) -> uuid.UUID:
    kernel = uuid.uuid4()
    hub.send(Frame(START, kernel=kernel, parts=[json.dumps(SPEC | {"ready_timeout_ms": ready_timeout_ms}).encode()]))
    return kernel


def open_files(own: Sandbox) -> int:
    return len(os.listdir(f"/proc/{own.warden.pid}/fd"))


def killed_by_keeper(own: Sandbox) -> bool:
    """The warden asks for it; the driver plays the keeper."""
    own.keeper.settimeout(15 * SLOW)
    connection, _ = own.keeper.accept()
    connection.settimeout(5)
    said = connection.recv(4096)
    connection.close()
    return b'"kill"' in said


def test_descriptors_that_init_sends_are_dropped() -> None:
    with Sandbox(with_init=False) as own:
        init = Init(own)
        ends = os.pipe()
        init.say(packet(OUTPUT, 1, 0, 1, b"x"), [ends[0]])
        time.sleep(0.3)
        before = open_files(own)  # the connection itself is among them by now
        for n in range(1, 9):
            init.say(packet(OUTPUT, 1, 0, 1, b"x"), [ends[0]] * n)
        time.sleep(0.3)
        assert open_files(own) == before
        os.close(ends[0])
        with pytest.raises(BrokenPipeError):
            os.write(ends[1], b"x")
        os.close(ends[1])
        init.socket.close()


@pytest.mark.parametrize(("can", "cwd"), [(4, b"/workspace/a/b"), (3, b"/workspace")])
def test_an_init_that_falls_to_the_root_is_sent_to_no_folder(can: int, cwd: bytes) -> None:
    with Sandbox(with_init=False) as own:
        hub = own.hub()
        init = Init(own, can=can)
        hub.send(Frame(START, kernel=uuid.uuid4(), parts=[json.dumps(SPEC | {"cwd": "/workspace", "folder": "a/b"}).encode()]))
        while (data := init.socket.recv(1 << 18))[0] != START_ORDER:
            pass
        assert data[20:].split(b"\0")[0] == cwd
        init.socket.close()


def test_an_exit_that_never_was_is_believed_for_the_kernel_and_nothing_else() -> None:
    """Init is in the container with its kernels: its lie is about them. Said twice it is said once."""
    with Sandbox(with_init=False) as own:
        hub = own.hub()
        init = Init(own)
        kernel, other = start(hub), start(hub)
        number, _ = init.order(START_ORDER)
        init.say(packet(STARTED, number, 5))
        for _ in range(3):
            init.say(packet(EXITED, number, 9))
        dead = hub.kernel_state(kernel, "dead")
        assert dead["signal"] == 9 and not dead["oom"]
        init.say(packet(EXITED, 64, 9))  # a kernel that nobody asked for
        init.say(packet(CONNECTED, number, 0, 3))  # its channels after its end
        init.say(packet(CLOSED, number, 0, 3))
        frames = hub.until(lambda f: f.type == KERNEL and f.json["state"] == "dead", 15 * SLOW)
        assert frames[-1].kernel == other and "within 4000 ms" in frames[-1].json["reason"]
        init.socket.close()


def test_answers_to_orders_nobody_gave_change_nothing() -> None:
    with Sandbox(with_init=False) as own:
        hub = own.hub()
        init = Init(own)
        for kind in (START_ORDER, CHANNEL, SIGNAL, KILL, 99):
            init.say(packet(DONE, 1, kind))
            init.say(packet(FAILED, 1, 5, kind & 255, b"no"))
        kernel = start(hub)
        number, _ = init.order(START_ORDER)
        for _ in range(50):
            init.say(packet(CONNECTED, number, 0, 0))  # before it was started
        init.say(packet(FAILED, number, 2, START_ORDER, b"\xff\0no such \"file\"" + b"x" * 3000))
        dead = hub.kernel_state(kernel, "dead")
        assert dead["reason"].startswith("cannot start") and dead["exit_code"] is None
        assert hub.start  # the link is as good as before
        init.socket.close()


def test_an_init_that_floods_costs_one_cpu_at_most_and_the_hub_is_served() -> None:
    with Sandbox(with_init=False) as own:
        hub = own.hub()
        init = Init(own)
        kernel = start(hub)
        number, _ = init.order(START_ORDER)
        init.say(packet(STARTED, number, 5))
        init.socket.setblocking(False)
        began, cpu, sent = time.monotonic(), cpu_seconds(own.warden.pid), 0
        flood = packet(OUTPUT, number, 0, 1, b"x" * 8192)
        asked = 0
        while time.monotonic() - began < 2:
            try:
                init.say(flood)
                sent += 1
            except BlockingIOError:
                time.sleep(0.001)
            if sent % 2000 == 0 and asked < 5:
                asked += 1
                hub.send(Frame(8))  # SAMPLE
        hub.until(lambda f: f.type == 19, 10 * SLOW)
        print(f"\n{sent} packets, {cpu_seconds(own.warden.pid) - cpu:.2f} s of CPU")
        init.socket.setblocking(True)
        init.say(packet(EXITED, number, 0))
        dead = hub.kernel_state(kernel, "dead", 30 * SLOW)
        assert len(dead["output"]) <= 8192
        init.socket.close()


def test_an_init_that_confirms_nothing_has_its_container_killed() -> None:
    with Sandbox(with_init=False) as own:
        hub = own.hub()
        init = Init(own)
        kernel = start(hub, 30000)
        init.order(START_ORDER)
        began = time.monotonic()
        assert killed_by_keeper(own)
        assert 4 < time.monotonic() - began < 10 * SLOW
        assert hub.kernel_state(kernel, "dead")["reason"] == "the sandbox's init is gone" and init.hung_up()


def test_an_init_that_kills_no_kernel_has_its_container_killed() -> None:
    with Sandbox(with_init=False) as own:
        hub = own.hub()
        init = Init(own)
        kernel = start(hub)
        number, _ = init.order(START_ORDER)
        init.say(packet(STARTED, number, 5))
        assert init.order(KILL)[0] == number  # after 4 s without sockets
        init.say(packet(DONE, number, KILL))  # it says so, and the kernel does not end
        assert killed_by_keeper(own)
        hub.kernel_state(kernel, "dead", 20 * SLOW)


def test_what_init_says_of_channels_that_the_next_warden_has_not_dialled_changes_nothing() -> None:
    with Sandbox(with_init=False, notes=True) as own:
        init = Init(own)
        start(own.hub(), 30000)
        number, _ = init.order(START_ORDER)
        init.say(packet(STARTED, number, 5))
        init.order(CHANNEL)
        own.another_warden()
        init.socket.close()
        init = Init(own, named=1)
        for kind in (CLOSED, CONNECTED, CLOSED):
            for channel in range(4):
                init.say(packet(kind, number, 0, channel))
        time.sleep(0.3)  # longer than it takes to dial again
        assert own.warden.poll() is None
        init.say(packet(STARTED, number, 5))
        assert init.order(CHANNEL)[0] == number
        init.socket.close()


@pytest.mark.parametrize("named", [1, 64, 65, 1 << 31])
def test_an_init_that_announces_more_than_it_names_holds_nobody_up(named: int) -> None:
    with Sandbox(with_init=False) as own:
        hub = own.hub()
        kernel = start(hub)
        init = Init(own, named)
        if named > 64:
            assert init.hung_up()
            return
        began = time.monotonic()
        number, _ = init.order(START_ORDER)
        assert time.monotonic() - began < 3 * SLOW
        init.say(packet(STARTED, number, 5))
        init.say(packet(EXITED, number, 0))
        hub.kernel_state(kernel, "dead")
        init.socket.close()
