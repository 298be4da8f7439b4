"""The built warden between a hub and a keeper played here, the real init and a real ipykernel."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from warden_driver import (
    ACK,
    CONTROL,
    END,
    ERROR,
    EXECUTE,
    GAP,
    INIT,
    INTERRUPT,
    IOPUB,
    KERNEL,
    MESSAGE,
    SAMPLE,
    SHELL,
    START,
    STDIN,
    STOP,
    USAGE,
    WARDEN,
    Frame,
    Hub,
    Sandbox,
    pss_bytes,
    text_of,
    type_list,
)

SANITIZED = os.path.exists(WARDEN) and b"__asan_init" in Path(WARDEN).read_bytes()
SLOW = 5 if SANITIZED else 1


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as s:
        yield s


@pytest.fixture(scope="module")
def shared_kernel(sandbox: Sandbox) -> uuid.UUID:
    return sandbox.hub().started()


@pytest.fixture
def hub(sandbox: Sandbox) -> Hub:
    return sandbox.hub_again()


@pytest.fixture
def kernel(shared_kernel: uuid.UUID, hub: Hub) -> uuid.UUID:
    return shared_kernel


def message(kernel: uuid.UUID, channel: int, msg_type: str, content: object, parent: object = None) -> tuple[str, Frame]:
    msg_id = str(uuid.uuid4())
    header = {"msg_id": msg_id, "msg_type": msg_type, "username": "t", "session": "t", "date": "2026-11-21T10:00:00Z", "version": "5.4"}
    parts = [json.dumps(p).encode() for p in (header, parent or {}, {}, content)]
    return msg_id, Frame(MESSAGE, channel=channel, kernel=kernel, parts=parts)


# what runs


def test_a_cell_prints_and_ends(hub: Hub, kernel: uuid.UUID) -> None:
    execution = hub.execute(kernel, "print(6 * 7)")
    end, frames = hub.end(execution)
    assert text_of(frames) == "42\n"
    assert all(f.execution == execution for f in frames if f.type == MESSAGE)
    assert end["how"] == "done" and end["complete"] and end["started"] and not end["interrupted"] and not end["timed_out"]
    assert end["first_us"] > end["sent_us"] and end["duration_us"] < 5_000_000
    assert set(type_list(frames)) == {"status", "execute_input", "stream", "execute_reply"}


def test_an_exception_is_an_end_like_others(hub: Hub, kernel: uuid.UUID) -> None:
    end, frames = hub.run(kernel, "1/0")
    assert end["how"] == "done" and "error" in type_list(frames)
    replies = [f for f in frames if f.msg_type == "execute_reply"]
    assert replies[0].content["ename"] == "ZeroDivisionError" and replies[0].channel == SHELL


def test_the_same_execution_sent_twice_runs_once(hub: Hub, kernel: uuid.UUID) -> None:
    hub.run(kernel, "counted = 0")
    execution = hub.execute(kernel, "counted += 1")
    hub.execute(kernel, "counted += 1", execution)
    hub.end(execution)
    hub.execute(kernel, "counted += 1", execution)
    _, frames = hub.run(kernel, "print(counted)")
    assert text_of(frames) == "1\n"


def test_an_interrupt_ends_the_running_cell(hub: Hub, kernel: uuid.UUID) -> None:
    execution = hub.execute(kernel, "print('on', flush=True)\nimport time; time.sleep(60)")
    hub.until(lambda f: f.msg_type == "stream")
    hub.send(Frame(INTERRUPT, kernel=kernel, execution=uuid.uuid4()))  # another one: nothing happens
    assert hub.read(0.5) is None
    hub.send(Frame(INTERRUPT, kernel=kernel, execution=execution))
    end, frames = hub.end(execution)
    assert end["how"] == "done" and end["interrupted"] and not end["timed_out"]
    assert any(f.msg_type == "error" and f.content["ename"] == "KeyboardInterrupt" for f in frames)


def test_a_cell_past_its_time_is_interrupted(hub: Hub, kernel: uuid.UUID) -> None:
    end, _ = hub.run(kernel, "import time; time.sleep(60)", timeout_ms=400)
    assert end["how"] == "done" and end["interrupted"] and end["timed_out"]
    assert 400_000 <= end["duration_us"] < 2_000_000 * SLOW


def test_a_queued_cell_has_its_own_time(hub: Hub, kernel: uuid.UUID) -> None:
    first = hub.execute(kernel, "import time; time.sleep(1.2)")
    second = hub.execute(kernel, "time.sleep(0.3); print('in time')", timeout_ms=1000)
    end, _ = hub.end(first)
    assert not end["timed_out"]
    end, frames = hub.end(second)
    assert not end["timed_out"] and text_of(frames) == "in time\n"


def test_deadlines_hold_without_a_hub(sandbox: Sandbox, hub: Hub, kernel: uuid.UUID) -> None:
    execution = hub.execute(kernel, "import time; time.sleep(60)", timeout_ms=500)
    hub.until(lambda f: f.msg_type == "execute_input")
    hub.close()
    time.sleep(1.5)
    again = sandbox.hub(epoch=sandbox.epoch, last=hub.last)
    states = {e["execution_id"]: e["state"] for e in again.hello["executions"]}
    assert states[str(execution)] == "ended"
    end, _ = again.end(execution, 2)
    assert end["timed_out"]


def test_input_is_asked_for_and_given(hub: Hub, kernel: uuid.UUID) -> None:
    execution = hub.execute(kernel, "print(input('name? ') + '!')", allow_stdin=True)
    request = hub.until(lambda f: f.msg_type == "input_request")[-1]
    assert request.channel == STDIN and request.execution == execution
    hub.send(message(kernel, STDIN, "input_reply", {"value": "Ada"}, request.header)[1])
    _, frames = hub.end(execution)
    assert text_of(frames) == "Ada!\n"


def test_other_messages_pass_both_ways(hub: Hub, kernel: uuid.UUID) -> None:
    for channel in (SHELL, CONTROL):
        msg_id, frame = message(kernel, channel, "kernel_info_request", {})
        hub.send(frame)
        frames = hub.until(lambda f: f.msg_type == "kernel_info_reply")
        if not any(f.msg_type == "status" and f.content["execution_state"] == "idle" for f in frames):
            hub.until(lambda f: f.msg_type == "status" and f.content["execution_state"] == "idle")
        reply = frames[-1]
        assert reply.channel == channel and json.loads(reply.parts[1])["msg_id"] == msg_id
        assert reply.execution == uuid.UUID(int=0)


def test_buffers_travel(hub: Hub, kernel: uuid.UUID) -> None:
    code = "get_ipython().kernel.session.send(get_ipython().kernel.iopub_socket, 'comm_open', {'comm_id': 'x'}, buffers=[b'\\x00\\xff', b'two'])"
    _, frames = hub.run(kernel, code)
    opened = next(f for f in frames if f.msg_type == "comm_open")
    assert opened.parts[4:] == [b"\x00\xff", b"two"]


def test_late_output_finds_its_execution(hub: Hub, kernel: uuid.UUID) -> None:
    code = "import threading, time\ndef late():\n  time.sleep(.4); print('late', flush=True)\nthreading.Thread(target=late).start()"
    execution = hub.execute(kernel, code)
    hub.end(execution)
    late = hub.until(lambda f: f.msg_type == "stream")[-1]
    assert late.execution == execution and late.content["text"] == "late\n"


def test_usage_is_told(hub: Hub, kernel: uuid.UUID) -> None:
    hub.send(Frame(SAMPLE))
    usage = hub.until(lambda f: f.type == USAGE)[-1].json
    assert usage["memory_bytes"] > 0 and usage["cpu_us"] > 0
    end, _ = hub.run(kernel, "x = 0\nfor i in range(3_000_000): x += i")
    assert end["usage"]["cpu_us"] > 50_000


# nothing is lost


def test_a_hundred_thousand_outputs_arrive_in_order(hub: Hub, kernel: uuid.UUID) -> None:
    n = 100_000 if not SANITIZED else 10_000
    code = f"s = get_ipython().kernel.session; k = get_ipython().kernel\nfor i in range({n}): s.send(k.iopub_socket, 'display_data', {{'data': {{'text/plain': str(i)}}, 'metadata': {{}}}}, parent=k.get_parent())"
    began = time.monotonic()
    end, frames = hub.run(kernel, code, timeout=200)
    took = time.monotonic() - began
    values = [int(f.content["data"]["text/plain"]) for f in frames if f.msg_type == "display_data"]
    assert values == list(range(n)) and end["complete"]
    print(f"\n{n} outputs in {took:.2f} s: {n / took:.0f}/s")


def test_big_output_arrives_whole(hub: Hub, kernel: uuid.UUID) -> None:
    _, frames = hub.run(kernel, "from IPython.display import display\ndisplay({'text/plain': 'x' * 30_000_000}, raw=True)", timeout=60)
    shown = [f for f in frames if f.msg_type == "display_data"]
    assert len(shown) == 1 and len(shown[0].content["data"]["text/plain"]) == 30_000_000


def test_a_hub_that_comes_back_has_no_hole_and_no_double(sandbox: Sandbox, hub: Hub, kernel: uuid.UUID) -> None:
    execution = hub.execute(kernel, "import time\nfor i in range(60): print(i, flush=True); time.sleep(0.02)")
    seen: list[Frame] = []
    last, connection = 0, hub
    while not any(f.type == END for f in seen):
        connection.auto_ack = len(seen) % 2 == 0  # some are committed but not acknowledged
        for _ in range(7):
            if (frame := connection.read(5)) is None:
                break
            seen.append(frame)
            if frame.type == END:
                break
        last = connection.last
        connection.close()
        connection = sandbox.hub(epoch=sandbox.epoch, last=last)
    mine = [f for f in seen if f.execution == execution]
    assert text_of(mine) == "".join(f"{i}\n" for i in range(60))
    numbers = [f.number for f in seen]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_what_was_not_acknowledged_comes_again(sandbox: Sandbox, hub: Hub, kernel: uuid.UUID) -> None:
    hub.auto_ack = False
    _, first = hub.run(kernel, "print('again')")
    hub.close()
    again = sandbox.hub()  # a hub that remembers nothing
    frames = again.until(lambda f: f.type == END)
    assert [f.encode() for f in frames] == [f.encode() for f in first]


def test_at_most_the_window_is_under_way(sandbox: Sandbox, hub: Hub, kernel: uuid.UUID) -> None:
    hub.auto_ack = False
    code = "from IPython.display import display\nfor i in range(30): display({'text/plain': 'y' * 1_000_000}, raw=True)"
    execution = hub.execute(kernel, code)
    under_way = []
    while frame := hub.read(2):
        under_way.append(frame)
    size = sum(len(f.encode()) for f in under_way)
    assert 6 << 20 < size <= 8 << 20
    hub.auto_ack = True
    hub.send(Frame(ACK, number=hub.last))
    end, frames = hub.end(execution)
    assert len([f for f in under_way + frames if f.msg_type == "display_data"]) == 30 and end["complete"]


def test_a_full_warden_says_how_much_is_missing(sandbox: Sandbox, hub: Hub, kernel: uuid.UUID) -> None:
    code = "from IPython.display import display\nfor i in range(100): display({'text/plain': 'z' * 1_000_000}, raw=True)\n"
    execution = hub.execute(kernel, code)
    hub.until(lambda f: f.msg_type == "execute_input")
    hub.close()
    for _ in range(100):  # no hub is there meanwhile
        time.sleep(0.2 * SLOW)
        if ended(sandbox, execution):
            break
    again = sandbox.hub(epoch=sandbox.epoch, last=hub.last)
    end, frames = again.end(execution, 60)
    shown = [f for f in frames if f.msg_type == "display_data"]
    gaps = [f for f in frames if f.type == GAP]
    assert 30 <= len(shown) <= 35 and len(gaps) == 1 and gaps[0].execution == execution
    # the reply, idle and the rest were dropped with them
    missing = gaps[0].json
    assert missing["messages"] >= 100 - len(shown)
    assert missing["bytes"] > (100 - len(shown)) * 1_000_000
    assert end["how"] == "done" and end["complete"]
    _, frames = again.run(kernel, "print('goes on')")
    assert text_of(frames) == "goes on\n"


def ended(sandbox: Sandbox, execution: uuid.UUID) -> bool:
    """Asks without reading what is kept: the hello says it."""
    probe = socket.socket(socket.AF_UNIX)
    probe.connect(sandbox.link_path)
    probe.sendall(Frame(1, parts=[json.dumps({"version": 1, "epoch": "", "last": 0}).encode()]).encode())
    data = b""
    while len(data) < 4 or len(data) < 4 + struct.unpack(">I", data[:4])[0]:
        data += probe.recv(65536)
    probe.close()
    hello = Frame.decode(data[4 : 4 + struct.unpack(">I", data[:4])[0]]).json
    return any(e["execution_id"] == str(execution) and e["state"] == "ended" for e in hello["executions"])


def test_memory_goes_back(sandbox: Sandbox, hub: Hub, kernel: uuid.UUID) -> None:
    hub.run(kernel, "print('quiet')")
    time.sleep(0.3)
    pss = pss_bytes(sandbox.warden.pid)
    print(f"\nPSS after all that: {pss / 1e6:.1f} MB")
    if not SANITIZED:
        assert pss < 8_000_000


# what goes wrong


def test_a_message_too_big_is_a_gap_and_the_kernel_lives(sandbox: Sandbox, hub: Hub, kernel: uuid.UUID) -> None:
    code = "from IPython.display import display\ndisplay({'text/plain': 'x' * 70_000_000}, raw=True)\nimport time; time.sleep(1); print('still here')"
    execution = hub.execute(kernel, code)
    end, frames = hub.end(execution, 60)
    assert [f.execution for f in frames if f.type == GAP] == [execution]
    assert end["how"] == "done"
    _, frames = hub.run(kernel, "print('and now')")
    assert text_of(frames) == "and now\n"


def test_many_frames_that_are_too_big_together_are_a_gap(hub: Hub, kernel: uuid.UUID) -> None:
    code = "k = get_ipython().kernel\nk.session.send(k.iopub_socket, 'comm_msg', {'comm_id': 'x', 'data': {}}, buffers=[b'x' * 30_000_000] * 4, parent=k.get_parent())"
    end, frames = hub.run(kernel, code, timeout=60)
    gaps = [f for f in frames if f.type == GAP]
    assert len(gaps) == 1 and gaps[0].json["bytes"] > 120_000_000 and end["complete"]


def test_exit_in_mid_cell_is_told_with_all_output(hub: Hub, sandbox: Sandbox) -> None:
    kernel = hub.started()
    execution = hub.execute(kernel, "import os, sys\nprint('x' * 1_000_000)\nsys.stdout.flush()\nimport time; time.sleep(.1)\nos._exit(7)")
    waiting = hub.execute(kernel, "print('never')")
    end, frames = hub.end(execution)
    assert end["how"] == "died" and end["exit_code"] == 7 and end["signal"] is None and not end["oom"] and end["started"]
    assert len(text_of(frames)) == 1_000_001
    end, _ = hub.end(waiting)
    assert end["how"] == "died" and not end["started"]
    state = hub.kernel_state(kernel, "dead")
    assert state["exit_code"] == 7 and not state["expected"] and state["reason"] == "exited with code 7"
    hub.execute(kernel, "1", refused := uuid.uuid4())
    error = hub.until(lambda f: f.type == ERROR)[-1]
    assert error.json["code"] == "gone" and error.execution == refused


def test_a_killed_kernel_is_told(hub: Hub) -> None:
    kernel = hub.started()
    execution = hub.execute(kernel, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    end, _ = hub.end(execution)
    assert end["how"] == "died" and end["signal"] == 9 and end["exit_code"] is None
    assert hub.kernel_state(kernel, "dead")["signal"] == 9


def test_a_crash_has_its_last_words(hub: Hub) -> None:
    kernel = hub.started()
    hub.execute(kernel, "import os, time\nos.write(2, b'Fatal: the end\\n')\ntime.sleep(0.5)\nos.abort()")
    state = hub.kernel_state(kernel, "dead")
    assert state["signal"] == signal.SIGABRT and "Fatal: the end" in state["output"]


def test_a_cell_that_heeds_nothing_is_killed(hub: Hub) -> None:
    kernel = hub.started()
    code = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: time.sleep(1)"
    end, _ = hub.run(kernel, code, timeout_ms=300, grace_ms=300)
    assert end["how"] == "killed" and end["timed_out"] and end["interrupted"] and end["signal"] == 9
    state = hub.kernel_state(kernel, "dead")
    assert not state["expected"] and not state["oom"] and "time limit" in state["reason"]


def test_stop_is_polite_first(hub: Hub, tmp_path: Path) -> None:
    kernel = hub.started()
    mark = tmp_path / "mark"
    hub.run(kernel, f"import atexit; atexit.register(lambda: open({str(mark)!r}, 'w').close())")
    hub.send(Frame(STOP, kernel=kernel, parts=[b'{"grace_ms":5000}']))
    state = hub.kernel_state(kernel, "dead")
    assert state["expected"] and state["exit_code"] == 0, state
    assert mark.exists()


def test_a_kernel_whose_control_thread_is_slow_still_ends_by_itself(hub: Hub) -> None:
    """ipykernel's main thread ends the iopub thread while the control thread goes on to flush and to say idle by it."""
    kernel = hub.started()
    code = """import threading, time
def slow_down(kernel, sleep=time.sleep, ended=threading.Event()):  # with names that IPython's end does not take away
    stop, loop = kernel.control_handlers["shutdown_request"], kernel.iopub_thread.io_loop
    close = loop.close
    async def stop_slowly(*arguments):
        await stop(*arguments)
        ended.wait(1)  # for the worst moment, when nothing reads any more what is given to the iopub thread
    def close_slowly(**how):
        ended.set()
        sleep(0.5)
        close(**how)
    kernel.control_handlers["shutdown_request"], loop.close = stop_slowly, close_slowly
slow_down(get_ipython().kernel)"""
    hub.run(kernel, code)
    hub.send(Frame(STOP, kernel=kernel, parts=[b'{"grace_ms":9000}']))
    state = hub.kernel_state(kernel, "dead")
    assert state["expected"] and state["exit_code"] == 0, state


def has_ended(pid: int) -> bool:
    """Gone, or dead and not yet reaped: here init is no PID 1, so a daemon's corpse is the host's to bury."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


def test_stop_ends_a_busy_kernel_and_what_it_started(hub: Hub) -> None:
    kernel = hub.started()
    code = "import subprocess, time, signal\nsignal.signal(2, signal.SIG_IGN)\np = subprocess.Popen(['sleep', '1000'], start_new_session=True); print(p.pid, flush=True)\nwhile True: time.sleep(1)"
    execution = hub.execute(kernel, code)
    pid = int(hub.until(lambda f: f.msg_type == "stream")[-1].content["text"])
    hub.send(Frame(STOP, kernel=kernel, parts=[b'{"grace_ms":300}']))
    end, _ = hub.end(execution)
    assert end["how"] == "killed" and not end["timed_out"]
    assert hub.kernel_state(kernel, "dead")["expected"]
    assert has_ended(pid)


def test_a_kernel_can_be_started_again_and_again(hub: Hub) -> None:
    kernel = hub.started()  # the monitor's name of the one before was not free yet, now and then
    for _ in range(15):
        hub.start(kernel)
        assert hub.kernel_state(kernel, "dead")["reason"] == "restarted"
        hub.until(lambda f: f.type == KERNEL and f.json["state"] in ("ready", "dead"), 40)
        assert hub.seen[-1].json["state"] == "ready", hub.seen[-1].json
    hub.send(Frame(STOP, kernel=kernel, parts=[b"{}"]))
    hub.kernel_state(kernel, "dead")


def test_start_again_is_a_new_process_under_the_same_id(hub: Hub) -> None:
    kernel = hub.started()
    hub.run(kernel, "x = 1")
    running = hub.execute(kernel, "import time; time.sleep(50)")
    hub.until(lambda f: f.msg_type == "execute_input")
    hub.start(kernel)
    end, frames = hub.end(running)
    assert end["how"] == "killed"
    assert hub.kernel_state(kernel, "dead")["reason"] == "restarted"
    hub.kernel_state(kernel, "ready")
    _, frames = hub.run(kernel, "print('x' in globals())")
    assert text_of(frames) == "False\n"
    hub.send(Frame(STOP, kernel=kernel, parts=[b"{}"]))
    hub.kernel_state(kernel, "dead")


def test_a_kernel_that_cannot_start_says_why(hub: Hub) -> None:
    state = hub.kernel_state(hub.start(argv=["/nonexistent/kernel"]), "dead")
    assert "cannot start" in state["reason"] and not state["expected"]
    state = hub.kernel_state(hub.start(argv=[sys.executable, "-c", "import sys; print('no such module', file=sys.stderr); sys.exit(3)"]), "dead")
    assert state["exit_code"] == 3 and "no such module" in state["output"]
    state = hub.kernel_state(hub.start(argv=["/bin/sleep", "100"], ready_timeout_ms=400), "dead")
    assert "opened no sockets within 400 ms" in state["reason"] and not state["expected"]


@pytest.mark.parametrize(
    "options", [{"argv": []}, {"argv": "sh"}, {"argv": [1]}, {"transport": "udp"}, {"cwd": "relative"}, {"env": {"A": 1}}, {"argv": ["x"] * 2000}]
)
def test_a_bad_start_order_is_refused(hub: Hub, options: dict[str, object]) -> None:
    kernel = hub.start(**options)
    frame = hub.until(lambda f: f.kernel == kernel and (f.type == ERROR or (f.type == KERNEL and f.json["state"] == "dead")))[-1]
    assert frame.type == ERROR or "cannot start" in frame.json["reason"]


def test_several_kernels_do_not_mix(hub: Hub, kernel: uuid.UUID) -> None:
    other = hub.started()
    hub.run(kernel, "who = 'first'")
    hub.run(other, "who = 'second'")
    a, b = hub.execute(kernel, "print(who)"), hub.execute(other, "print(who)")
    frames = hub.until(lambda f: f.type == END) + hub.until(lambda f: f.type == END)
    assert text_of([f for f in frames if f.execution == a]) == "first\n"
    assert text_of([f for f in frames if f.execution == b]) == "second\n"
    assert all(f.kernel == kernel for f in frames if f.execution == a)
    hub.send(Frame(STOP, kernel=other, parts=[b"{}"]))
    hub.kernel_state(other, "dead")


def test_a_kernel_that_knows_only_tcp_works() -> None:
    with Sandbox(netns=True) as own:
        hub = own.hub()
        kernel = hub.started(transport="tcp", interrupt_mode="message")
        _, frames = hub.run(kernel, "print('over tcp')")
        assert text_of(frames) == "over tcp\n"
        end, _ = hub.run(kernel, "import time; time.sleep(30)", timeout_ms=300)
        assert end["interrupted"] and end["how"] == "done"


# who may talk to it


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x7f" + os.urandom(5000),  # a length that is refused at once
        b"\x00\x00\x00\x00",
        b"\xff\xff\xff\xff" + b"x" * 100,
        Frame(KERNEL).encode(),
        Frame(99).encode(),
        Frame(EXECUTE).encode(),
        Frame(1, parts=[b"{"]).encode(),
        Frame(1, parts=[b'{"version":2}']).encode(),
        struct.pack(">IBBHQ", 48, 1, 0, 9, 0) + bytes(36),
    ],
)
def test_a_hub_that_sends_garbage_is_cut_off(sandbox: Sandbox, garbage: bytes) -> None:
    hub = sandbox.hub(hello=False)
    hub.socket.sendall(garbage)
    assert hub.is_closed()
    sandbox.hub().close()


@pytest.mark.parametrize("garbage", [Frame(ACK, number=1 << 60).encode(), Frame(1, parts=[b'{"version":1}']).encode(), b"\x7f" + os.urandom(300)])
def test_garbage_after_hello_is_cut_off(sandbox: Sandbox, kernel: uuid.UUID, garbage: bytes) -> None:
    hub = sandbox.hub()
    hub.socket.sendall(garbage)
    assert hub.is_closed()
    _, frames = sandbox.hub_again().run(kernel, "print('fine')")
    assert text_of(frames) == "fine\n"


def test_frames_may_come_byte_by_byte(sandbox: Sandbox, kernel: uuid.UUID) -> None:
    hub = sandbox.hub()
    raw = Frame(SAMPLE).encode() * 3
    for i in range(len(raw)):
        hub.socket.sendall(raw[i : i + 1])
        time.sleep(0.0005)
    for _ in range(3):
        hub.until(lambda f: f.type == USAGE, 5)  # between them: what the test before left


def test_a_second_hub_replaces_the_first(sandbox: Sandbox, kernel: uuid.UUID) -> None:
    first = sandbox.hub_again()
    second = sandbox.hub_again()
    assert first.is_closed()
    _, frames = second.run(kernel, "print(2)")
    assert text_of(frames) == "2\n"


def test_a_connection_without_hello_is_closed(sandbox: Sandbox) -> None:
    began = time.monotonic()
    assert sandbox.hub(hello=False).is_closed(10)
    assert 4 < time.monotonic() - began < 7


def test_who_has_an_id_of_the_sandbox_is_no_hub(sandbox: Sandbox) -> None:
    code = f"import os, socket, sys; s = socket.socket(socket.AF_UNIX); os.setuid({Sandbox.UID - 64535})\ns.connect(sys.argv[1]); sys.exit(0 if s.recv(1) == b'' else 1)"
    os.chmod(sandbox.dir, 0o755)
    os.chmod(sandbox.link_path, 0o666)
    try:
        assert subprocess.run([sys.executable, "-c", code, sandbox.link_path], timeout=20, check=False).returncode == 0
    finally:
        os.chmod(sandbox.link_path, 0o660)
        os.chmod(sandbox.dir, 0o750)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def dial_in_a_loop(path: str, until: threading.Event) -> None:
    while not until.is_set():
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.settimeout(0.05)
        try:
            s.connect(path)
            s.send(b"hello")
        except OSError:
            pass
        s.close()


def test_dialling_init_sock_in_a_loop_costs_nothing(sandbox: Sandbox, hub: Hub, kernel: uuid.UUID) -> None:
    over = threading.Event()
    dialler = threading.Thread(target=dial_in_a_loop, args=(sandbox.init_path, over))
    before = cpu_seconds(sandbox.warden.pid)
    dialler.start()
    time.sleep(2)
    spent = cpu_seconds(sandbox.warden.pid) - before
    _, frames = hub.run(kernel, "print('undisturbed')")
    over.set()
    dialler.join()
    assert text_of(frames) == "undisturbed\n" and spent < 0.05


def test_the_real_init_gets_in_between_diallers() -> None:
    with Sandbox(with_init=False, init_pid=1) as own:
        over = threading.Event()
        dialler = threading.Thread(target=dial_in_a_loop, args=(own.init_path, over))
        dialler.start()
        time.sleep(2)
        spent = cpu_seconds(own.warden.pid)
        over.set()
        dialler.join()
        assert spent < 0.2 * SLOW
    with Sandbox(with_init=False) as own:  # we are init now
        over = threading.Event()
        code = "import socket, sys\nwhile True:\n  s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n  try: s.connect(sys.argv[1])\n  except OSError: pass\n  s.close()"
        dialler_process = subprocess.Popen([sys.executable, "-c", code, own.init_path])
        try:
            time.sleep(0.3)
            until = time.monotonic() + 20
            while True:
                s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                s.setblocking(False)
                try:
                    s.connect(own.init_path)
                    break
                except BlockingIOError:  # as init does it
                    assert time.monotonic() < until, "init never got in"
                    time.sleep(0.002)
            s.settimeout(10)
            s.send(struct.pack("<BBHIi", 16, 0, 0, 0, 1))
            own.hub().start()
            assert s.recv(100000)[0] == 1
            s.close()
        finally:
            dialler_process.kill()
            dialler_process.wait()


@pytest.mark.parametrize(("version", "file", "before", "after"), [(1, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n"), (2, "memory.events", "low 0\noom 9\noom_kill 3\noom_group_kill 0\n", "low 0\noom 9\noom_kill 4\noom_group_kill 0\n")])
def test_oom_is_sigkill_and_a_counter_that_rose(tmp_path: Path, version: int, file: str, before: str, after: str) -> None:
    (tmp_path / file).write_text(before)
    folder = str(tmp_path)
    with Sandbox(cgroup={"version": version, "memory": folder, "cpu": folder, "pids": folder}) as own:
        hub = own.hub()
        kernel = hub.started()
        end, _ = hub.run(kernel, "import os; os.kill(os.getpid(), 9)")
        assert end["how"] == "died" and end["signal"] == 9 and not end["oom"]
        for ending, oom in (("os.kill(os.getpid(), 9)", True), ("os._exit(1)", False)):
            (tmp_path / file).write_text(before)
            kernel = hub.started()
            hub.run(kernel, "import os")
            code = f"f = open({str(tmp_path / file)!r}, 'w'); f.write({after!r}); f.close(); {ending}"
            end, _ = hub.run(kernel, code)
            assert end["how"] == "died" and end["oom"] == oom
            state = hub.kernel_state(kernel, "dead")
            assert state["oom"] == oom and (state["reason"] == "out of memory") == oom


# an init that is not as it should be


def fake_init(own: Sandbox, named: int = 0) -> socket.socket:
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(10)
    s.connect(own.init_path)
    s.send(struct.pack("<BBHIi", 16, 0, 0, named, 1))
    return s


@pytest.mark.parametrize("keeper", ["same", "next"])
def test_an_init_that_confirms_nothing_is_killed_by_the_keeper(keeper: str) -> None:
    with Sandbox(with_init=False) as own:
        if keeper == "next":  # which binds a socket of its own at that path
            own.keeper.close()
            os.unlink(own.run_dir + "/keeper.sock")
            own.keeper = socket.socket(socket.AF_UNIX)
            own.keeper.bind(own.run_dir + "/keeper.sock")
            os.chmod(own.run_dir + "/keeper.sock", 0o666)
            own.keeper.listen(8)
        init = fake_init(own)
        hub = own.hub()
        kernel = hub.start()
        own.keeper.settimeout(10)
        connection, _ = own.keeper.accept()
        request = connection.recv(1000)
        assert json.loads(request[4:]) == {"id": 1, "verb": "kill"}
        reply = b'{"id":1,"ok":true}'
        connection.send(struct.pack(">I", len(reply)) + reply)
        state = hub.kernel_state(kernel, "dead")
        assert "init" in state["reason"] and not state["expected"]
        while init.recv(100000):
            pass  # it hangs up
        own.keeper.settimeout(3)
        with pytest.raises(TimeoutError):
            own.keeper.accept()  # once is enough
        connection.close()


@pytest.mark.parametrize(
    "packet",
    [b"", b"x", os.urandom(200), bytes(9000), struct.pack("<BBHIi", 16, 0, 0, 0, 1), struct.pack("<BBHIi", 1, 0, 0, 1, 0), struct.pack("<BBHIi", 18, 9, 0, 1, 0)],
)
def test_an_init_that_talks_nonsense_is_hung_up_on(packet: bytes) -> None:
    with Sandbox(with_init=False) as own:
        init = fake_init(own)
        hub = own.hub()
        kernel = hub.start()
        init.recv(100000)
        init.send(packet)
        while init.recv(100000):
            pass
        assert "init is gone" in hub.kernel_state(kernel, "dead")["reason"]


def test_claims_about_other_kernels_are_nothing() -> None:
    with Sandbox(with_init=False) as own:
        init = fake_init(own)
        hub = own.hub()
        for kind in range(17, 24):
            init.send(struct.pack("<BBHIi", kind, 1, 0, 7, 5))
        hub.send(Frame(SAMPLE))
        assert hub.read(5).type == USAGE  # type: ignore[union-attr]
        init.close()


def test_a_kernel_of_an_earlier_warden_is_killed_and_its_number_not_used() -> None:
    with Sandbox(with_init=False) as own:
        hub = own.hub()
        hub.start()  # waits for init under number 1
        init = fake_init(own, named=1)
        init.send(struct.pack("<BBHIi", 17, 0, 0, 1, 99))
        orders = [init.recv(100000) for _ in range(2)]
        assert sorted((o[0], o[4]) for o in orders) == [(1, 2), (4, 1)]  # START 2, KILL 1
        init.close()


def test_when_init_dies_all_its_kernels_are_dead() -> None:
    with Sandbox() as own:
        hub = own.hub()
        kernel = hub.started()
        execution = hub.execute(kernel, "print('one', flush=True)\nimport time; time.sleep(100)")
        hub.until(lambda f: f.msg_type == "stream")
        children = Path(f"/proc/{own.init.pid}/task/{own.init.pid}/children").read_text().split()  # type: ignore[union-attr]
        own.init.kill()  # type: ignore[union-attr]
        try:
            end, _ = hub.end(execution)
            assert end["how"] == "died" and end["exit_code"] is None and end["signal"] is None
            assert hub.kernel_state(kernel, "dead")["reason"] == "the sandbox's init is gone"
        finally:
            for pid in children:
                os.kill(int(pid), signal.SIGKILL)


def test_the_warden_outlives_its_keeper() -> None:
    own = Sandbox()
    try:
        hub = own.hub()
        kernel = hub.started()
        own.fd.close()
        _, frames = hub.run(kernel, "print('alone')")
        assert text_of(frames) == "alone\n"
        assert own.warden.poll() is None
    finally:
        own.warden.terminate()
        own.warden.wait(10)
        own.init.terminate()  # type: ignore[union-attr]
        own.init.wait(10)  # type: ignore[union-attr]
        with pytest.raises(AssertionError):
            own.stop()


def test_a_warden_whose_keeper_never_names_a_container_ends() -> None:
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    import tempfile

    with tempfile.TemporaryDirectory(prefix="khw-") as folder:
        os.mkdir(folder + "/wall")
        os.mkdir(folder + "/channels")
        arguments = ["--sandbox", str(uuid.uuid4()), "--dir", folder, "--uid", "3000000000", "--gid", "3000000000"]
        arguments += ["--hub-gid", "0", "--keeper", "/nowhere", "--epoch", str(uuid.uuid4())]
        warden = subprocess.Popen([WARDEN, *arguments], pass_fds=(3,), preexec_fn=lambda: os.dup2(b.fileno(), 3), stderr=subprocess.PIPE)
        b.close()
        assert a.recv(100) == b"listening"
        a.close()
        assert warden.wait(10) == 1
        assert b"before it named the container" in warden.stderr.read()  # type: ignore[union-attr]


def test_the_warden_is_confined(sandbox: Sandbox) -> None:
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{sandbox.warden.pid}/status").read_text().splitlines() if ":\t" in line)
    assert status["Uid"].split() == [str(Sandbox.UID)] * 4 and status["Gid"].split() == [str(Sandbox.UID)] * 4
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2" and int(status["CapEff"], 16) == 0 and status["Groups"].strip() == ""
    for task in Path(f"/proc/{sandbox.warden.pid}/task").iterdir():
        assert "Seccomp:\t2" in (task / "status").read_text()
    limits = Path(f"/proc/{sandbox.warden.pid}/limits").read_text().splitlines()
    data = next(line for line in limits if line.startswith("Max data size")).split()
    assert SANITIZED or data[3:5] == [str(512 << 20)] * 2
    for namespace in ("net", "ipc") if SANITIZED else ("net", "ipc", "mnt"):
        assert os.readlink(f"/proc/{sandbox.warden.pid}/ns/{namespace}") != os.readlink(f"/proc/self/ns/{namespace}")


@pytest.mark.skipif(SANITIZED, reason="a sanitizer's warden keeps the host's root")
def test_the_warden_sees_its_own_folder_and_the_way_to_the_keeper() -> None:
    with Sandbox() as own:
        root = Path(f"/proc/{own.warden.pid}/root")
        way = root
        for name in Path(own.run_dir).parts[1:]:
            assert os.listdir(way) == [name]
            way /= name
        assert os.path.samestat((root / own.dir[1:]).stat(), os.stat(own.dir))
        assert (root / own.run_dir[1:] / "keeper.sock").is_socket()
        mounts = {line.split()[4]: line.split()[5].split(",") for line in Path(f"/proc/{own.warden.pid}/mountinfo").read_text().splitlines()}
        assert set(mounts) == {"/", own.run_dir, own.dir}
        for point, options in mounts.items():
            assert {"nosuid", "nodev", "noexec", "rw" if point == own.dir else "ro"} <= set(options), point
        assert os.readlink(f"/proc/{own.warden.pid}/cwd") == "/"

