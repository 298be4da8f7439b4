"""Kernels that do what no kernel should: the warden stays truthful and the next cell works."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import pytest

from test_warden import SLOW
from warden_driver import KERNEL_PYTHON, MESSAGE, STOP, Frame, Hub, Sandbox, pss_bytes, text_of


@pytest.fixture(scope="module")
def own() -> Iterator[Sandbox]:
    with Sandbox(notes=True, spool_mib=64) as s:
        yield s


@pytest.fixture
def hub(own: Sandbox) -> Hub:
    return own.hub_again()


@pytest.fixture
def kernel(hub: Hub) -> Iterator[uuid.UUID]:
    k = hub.started()
    yield k


def goes_on(hub: Hub, kernel: uuid.UUID) -> None:
    end, frames = hub.run(kernel, "print('goes on')")
    assert end["how"] == "done" and text_of(frames) == "goes on\n"


def test_garbage_on_all_channels_is_thrown_away_or_passed_on_as_it_is(hub: Hub, kernel: uuid.UUID, own: Sandbox) -> None:
    code = """
k = get_ipython().kernel
junk = [b'', b'x', b'<IDS|MSG>', b'{', b'\\xff' * 1000, b'[' * 5000, b'\\0' * 10]
iopub = k.iopub_socket
for _ in range(20):
    for n in range(1, 9):
        iopub.send_multipart((junk * 2)[:n])
    iopub.send_multipart([b'<IDS|MSG>', b'sig', b'{', b'{', b'{', b'{'])
    iopub.send_multipart([b'<IDS|MSG>', b'sig', b'{"msg_id":"a","msg_type":"stream"}', b'{"msg_id":7}', b'null', b'{"text":'])
    iopub.send_multipart([b'<IDS|MSG>', b'sig', b'{"msg_id":"a","msg_type":"stream"}', b'{}', b'{}', b'{}'] + [b'b'] * 300)
print('after it')
"""
    end, frames = hub.run(kernel, code, timeout=30 * SLOW)
    said = [f.parts[3] for f in frames if f.type == MESSAGE and b'"after it' in f.parts[3]]
    assert end["how"] == "done" and end["complete"] and len(said) == 1
    goes_on(hub, kernel)
    hub.send(Frame(STOP, kernel=kernel, parts=[b'{"grace_ms":0}']))
    hub.kernel_state(kernel, "dead")
    logged = [line for line in own.log_text().splitlines() if "event=nonsense" in line and str(kernel) in line]
    assert len(logged) == 2 and "event=nonsense_in_all" in logged[1], logged
    assert "messages=140 " in logged[1]


def test_a_kernel_that_never_says_idle_ends_two_seconds_after_its_reply(hub: Hub, kernel: uuid.UUID) -> None:
    hub.run(kernel, "k = get_ipython().kernel; publish = k._publish_status; k._publish_status = lambda *a, **more: None")
    began = time.monotonic()
    end, frames = hub.run(kernel, "print('no idle')")
    assert end["how"] == "done" and not end["complete"] and text_of(frames) == "no idle\n"
    assert 1.5 < time.monotonic() - began < 6 * SLOW
    hub.run(kernel, "k._publish_status = publish")
    goes_on(hub, kernel)


def test_a_kernel_that_never_replies_ends_two_seconds_after_idle(hub: Hub, kernel: uuid.UUID) -> None:
    hub.run(kernel, "k = get_ipython().kernel; send = k.session.send; k.session.send = lambda s, m, *a, **more: None if m == 'execute_reply' else send(s, m, *a, **more)")
    end, frames = hub.run(kernel, "print('no reply')")
    assert end["how"] == "done" and not end["complete"] and text_of(frames) == "no reply\n"
    hub.run(kernel, "k.session.send = send")
    goes_on(hub, kernel)


def test_a_kernel_that_floods_for_ever_is_interrupted_at_its_limit_and_costs_bounded_memory(hub: Hub, kernel: uuid.UUID, own: Sandbox) -> None:
    code = "s = get_ipython().kernel.session; k = get_ipython().kernel\nwhile True: s.send(k.iopub_socket, 'display_data', {'data': {'text/plain': 'x' * 5000}, 'metadata': {}}, parent=k.get_parent())"
    hub.auto_ack = False  # a hub that does not keep up at all
    execution = hub.execute(kernel, code, timeout_ms=3000)
    until = time.monotonic() + 3 * SLOW
    most = 0
    while time.monotonic() < until:
        most = max(most, pss_bytes(own.warden.pid))
        time.sleep(0.1)
    assert SLOW > 1 or most < 60_000_000
    again = own.hub(epoch=own.epoch, last=hub.last)
    end, frames = again.end(execution, 120 * SLOW)
    assert end["timed_out"] and end["how"] == "done"
    numbers = [f.number for f in frames if f.type == MESSAGE]
    assert numbers == sorted(numbers) and len(set(numbers)) == len(numbers)
    goes_on(again, kernel)


CLOSE_ALL = """
import gc, threading, time, zmq
def close():
    time.sleep(0.3)
    for s in gc.get_objects():
        if isinstance(s, zmq.Socket):
            s.close(0)
threading.Thread(target=close).start()
"""


@pytest.mark.parametrize("when", ["running", "idle"])
def test_a_kernel_that_closes_its_channels_is_dead_after_ten_seconds(hub: Hub, kernel: uuid.UUID, when: str) -> None:
    good = hub.started()
    hub.run(good, "x = 'kept'")
    began = time.monotonic()
    execution = hub.execute(kernel, CLOSE_ALL + ("time.sleep(600)" if when == "running" else ""))
    if when == "idle":
        hub.end(execution)
        time.sleep(1)
        execution = hub.execute(kernel, "print('nobody is there to hear it')")
    end, _ = hub.end(execution, 30 * SLOW)
    assert end["how"] == "died" and end["signal"] == 9 and not end["interrupted"] and not end["oom"]
    assert 9 < time.monotonic() - began < 15 * SLOW
    dead = hub.kernel_state(kernel, "dead")
    assert dead["reason"] == "it has closed its channels" and not dead["expected"]
    assert text_of(hub.run(good, "print(x)")[1]) == "kept\n"


def test_a_kernel_that_exits_in_its_import_says_its_last_words(hub: Hub) -> None:
    kernel = hub.start(argv=[KERNEL_PYTHON, "-c", "import sys; sys.exit('no such module, said at the start')"])
    dead = hub.kernel_state(kernel, "dead")
    assert dead["exit_code"] == 1 and "no such module, said at the start" in dead["output"] and not dead["expected"]


def test_a_kernel_that_claims_the_replies_of_another_gets_nowhere(hub: Hub, kernel: uuid.UUID) -> None:
    """It forges idle and a reply for the cell of another kernel: that one ends when it ends."""
    other = hub.started()
    cell = hub.execute(other, "import time; time.sleep(1.5); print('really')")
    hub.until(lambda f: f.execution == cell and f.msg_type == "execute_input")
    forged = f"""
k = get_ipython().kernel
parent = {{'header': {{'msg_id': '{cell}', 'session': 'test'}}}}
k.session.send(k.iopub_socket, 'stream', {{'name': 'stdout', 'text': 'forged'}}, parent=parent)
k.session.send(k.iopub_socket, 'status', {{'execution_state': 'idle'}}, parent=parent)
"""
    hub.run(kernel, forged)
    end, frames = hub.end(cell)
    assert end["complete"] and text_of([f for f in frames if f.execution == cell]) == "really\n"
