"""A warden dies and another one takes its place: kernels that answer keep their state, what cannot be kept is said."""

from __future__ import annotations

import os
import signal
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import wait_until
from test_warden import SLOW, has_ended
from warden_driver import KERNEL, KERNEL_PYTHON, Frame, Hub, Sandbox, text_of


@pytest.fixture
def own() -> Iterator[Sandbox]:
    with Sandbox(notes=True, spool_mib=16) as s:
        yield s


def state_in(hub: Hub, kernel: uuid.UUID) -> str | None:
    return next((k["state"] for k in hub.hello["kernels"] if k["kernel_id"] == str(kernel)), None)


def ready_again(own: Sandbox, kernel: uuid.UUID, timeout: float = 20) -> Hub:
    """A hub of the new warden, when the kernel has answered it."""
    hub = own.hub(epoch="gone", last=0)
    if state_in(hub, kernel) != "ready":
        hub.kernel_state(kernel, "ready", timeout)
    return hub


def test_an_idle_kernel_keeps_its_state_and_hears_no_signal(own: Sandbox) -> None:
    hub = own.hub()
    kernel = hub.started()
    hub.run(kernel, "import signal\nx = 41\nheard = []\nsignal.signal(signal.SIGINT, lambda *a: heard.append(1))")
    before = hub.run(kernel, "import os; print(os.getpid())")[1]
    own.another_warden()
    began = time.monotonic()
    again = ready_again(own, kernel)
    took = time.monotonic() - began
    print(f"\nready again after {took * 1000:.0f} ms")
    assert took < 3 * SLOW
    assert hub.is_closed() and again.hello["epoch"] == own.epoch and again.hello["executions"] == []
    end, frames = again.run(kernel, "x += 1; print(x, heard, os.getpid())")
    assert end["complete"] and text_of(frames) == f"42 [] {text_of(before)}"


def test_a_running_cell_is_interrupted_and_the_kernel_kept(own: Sandbox) -> None:
    hub = own.hub()
    kernel = hub.started()
    hub.run(kernel, "x = 41")
    hub.execute(kernel, "import time\ntry:\n    print('begun', flush=True)\n    time.sleep(600)\nfinally:\n    seen = True")
    hub.until(lambda f: f.msg_type == "stream")
    own.another_warden()
    again = ready_again(own, kernel)
    end, frames = again.run(kernel, "print(x, seen)")
    assert end["complete"] and text_of(frames) == "41 True\n"


def test_a_kernel_that_does_not_heed_is_killed_after_five_seconds(own: Sandbox) -> None:
    hub = own.hub()
    kernel = hub.started()
    _, frames = hub.run(kernel, "import os; print(os.getpid())")
    pid = int(text_of(frames))
    hub.execute(kernel, "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: time.sleep(1)")
    hub.until(lambda f: f.msg_type == "execute_input")
    time.sleep(0.5)
    own.another_warden()
    began = time.monotonic()
    again = own.hub(epoch="gone")
    assert state_in(again, kernel) == "starting"
    dead = again.kernel_state(kernel, "dead", 20 * SLOW)
    assert 4 < time.monotonic() - began < 12 * SLOW
    assert "within 5000 ms of the sandbox having another warden" in dead["reason"] and dead["signal"] == signal.SIGKILL
    wait_until(lambda: has_ended(pid))
    assert again.started() != kernel  # the sandbox is as good as new


def test_a_kernel_hung_in_c_is_killed_and_others_are_kept(own: Sandbox) -> None:
    hub = own.hub()
    good, bad = hub.started(), hub.started()
    hub.run(good, "x = 'kept'")
    # one call of C that looks at no signal and keeps the interpreter's lock: what is to be heard before it is sent during the sleep
    hub.execute(bad, "import time; time.sleep(0.3)\nsum(range(10**13))")
    hub.until(lambda f: f.msg_type == "execute_input")
    time.sleep(0.8)
    own.another_warden()
    again = own.hub(epoch="gone")
    states: dict[uuid.UUID, str] = {k: str(state_in(again, k)) for k in (good, bad)}
    until = time.monotonic() + 20 * SLOW
    while states != {good: "ready", bad: "dead"}:
        frame = again.read(until - time.monotonic())
        assert frame, states
        if frame.type == KERNEL:
            states[frame.kernel] = frame.json["state"]
    _, frames = again.run(good, "print(x)")
    assert text_of(frames) == "kept\n"


def test_a_kernel_that_was_starting_becomes_ready(own: Sandbox) -> None:
    hub = own.hub()
    kernel = hub.start(argv=[KERNEL_PYTHON, "-c", "import time; time.sleep(2)\nimport runpy; runpy.run_module('kernelhub_kernel', run_name='__main__')", "-f", "{connection_file}"])
    hub.kernel_state(kernel, "starting")
    time.sleep(0.5)
    own.another_warden()
    again = ready_again(own, kernel, 30 * SLOW)
    _, frames = again.run(kernel, "print('here')")
    assert text_of(frames) == "here\n"


def test_a_kernel_that_ended_without_a_warden_is_said_to_be_dead(own: Sandbox) -> None:
    hub = own.hub()
    kernel = hub.started()
    _, frames = hub.run(kernel, "import os; print(os.getpid())")
    own.warden.kill()
    own.warden.wait()
    os.kill(int(text_of(frames)), signal.SIGKILL)
    wait_until(lambda: has_ended(int(text_of(frames))))
    own.another_warden()
    again = own.hub(epoch="gone")
    if state_in(again, kernel) is not None:
        dead = again.kernel_state(kernel, "dead")
        assert dead["signal"] == signal.SIGKILL or "while the sandbox had no warden" in dead["reason"]
    assert again.started()


def test_stop_and_start_that_come_before_init_are_kept(own: Sandbox) -> None:
    hub = own.hub()
    stopped, restarted = hub.started(), hub.started()
    hub.run(restarted, "x = 1")
    assert own.init
    os.kill(own.init.pid, signal.SIGSTOP)
    own.another_warden()
    again = own.hub(epoch="gone")
    assert (state_in(again, stopped), state_in(again, restarted)) == ("starting", "starting")
    again.send(Frame(3, kernel=stopped, parts=[b'{"grace_ms":0}']))
    again.start(restarted)
    os.kill(own.init.pid, signal.SIGCONT)
    seen: dict[uuid.UUID, list[str]] = {stopped: [], restarted: []}
    again.until(lambda f: f.type == KERNEL and (seen[f.kernel].append(f.json["state"]) or all(len(s) >= n for s, n in zip(seen.values(), (1, 3)))), 40)
    assert seen == {stopped: ["dead"], restarted: ["dead", "starting", "ready"]}
    _, frames = again.run(restarted, "print('x' in globals())")
    assert text_of(frames) == "False\n"


def test_wardens_may_die_again_and_again(own: Sandbox) -> None:
    hub = own.hub()
    kernel = hub.started()
    hub.run(kernel, "x = 0")
    for i in range(5):
        own.another_warden()
        _, frames = ready_again(own, kernel).run(kernel, "x += 1; print(x)")
        assert text_of(frames) == f"{i + 1}\n"


def test_notes_that_are_torn_or_forged_are_none(own: Sandbox) -> None:
    hub = own.hub()
    kernels = [hub.started() for _ in range(2)]
    notes = Path(own.run_dir + "/notes")
    own.warden.kill()
    own.warden.wait()
    data = bytearray(notes.read_bytes())
    assert str(kernels[0]).encode() in data and str(kernels[1]).encode() in data
    at = data.index(str(kernels[0]).encode())
    data[at : at + 4] = b"0000"  # the hash does not fit any more
    notes.write_bytes(bytes(data[:-10]))  # and the last one is cut
    own.another_warden()
    again = own.hub(epoch="gone")
    assert again.hello["kernels"] == []
    wait_until(lambda: own.log_text().count("event=foreign_kernel") == 2)
    assert again.started()


def test_notes_of_ended_kernels_are_gone_and_the_file_is_only_ours(own: Sandbox) -> None:
    hub = own.hub()
    kernel = hub.started()
    notes = Path(own.run_dir + "/notes")
    assert str(kernel).encode() in notes.read_bytes()
    assert notes.stat().st_mode & 0o777 == 0o600 and notes.stat().st_uid == Sandbox.UID
    hub.send(Frame(3, kernel=kernel, parts=[b'{"grace_ms":0}']))
    hub.kernel_state(kernel, "dead")
    own.another_warden()
    assert own.hub(epoch="gone").hello["kernels"] == []


def test_an_init_that_claims_what_is_noted_or_not_gets_nowhere() -> None:
    """Init lies about lives and exits: a kernel it hides is dead, one it invents is killed, one it claims has 5 s to answer."""
    with Sandbox(notes=True) as own:
        hub = own.hub()
        noted = [hub.started() for _ in range(2)]
        pids = [int(text_of(hub.run(k, "import os; print(os.getpid())")[1])) for k in noted]
        assert own.init
        own.warden.kill()
        own.warden.wait()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        own.init.kill()
        own.init.wait()
        own.init_pid = os.getpid()
        own.another_warden()
        init = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        init.settimeout(10)
        init.connect(own.init_path)
        packet = lambda kind, kernel, value=0: bytes([kind, 0, 0, 0]) + kernel.to_bytes(4, "little") + value.to_bytes(4, "little")  # noqa: E731
        init.send(packet(16, 3, 1))
        init.send(packet(17, 1, 77))  # claimed: lives, says init
        init.send(packet(17, 40, 78))  # invented
        init.send(packet(20, 41, 0))  # an exit of nobody
        orders = [init.recv(1 << 17) for _ in range(6)]
        assert [o[0] for o in orders if o[4] == 40] == [4]  # KILL
        assert sorted(o[0] for o in orders if o[4] == 1)[:4] == [2, 2, 2, 2]  # CHANNEL, and nothing that starts
        again = own.hub(epoch="gone")
        gone: set[uuid.UUID] = {k for k in noted if state_in(again, k) is None}
        until = time.monotonic() + 25 * SLOW
        while gone != set(noted):
            frame = again.read(until - time.monotonic())
            assert frame, gone
            if frame.type == KERNEL and frame.json["state"] == "dead":
                gone.add(frame.kernel)
        init.close()
