"""A real ipykernel behind a real init: the warden's DEALER and SUB are bound here, raw sockets into
them go to init, init dials the kernel. Prints what the relay costs against a direct connection."""

from __future__ import annotations

import json
import os
import socket
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from init_driver import CONNECTED, EXITED, SIGNAL, STARTED, InitDriver

import zmq
import jupyter_client.session as session_module

CHANNELS = {"shell": 0, "control": 1, "stdin": 2, "iopub": 3}
PORT_ORDER = ("shell", "iopub", "stdin", "control", "hb")


class KernelBehindInit:
    """ipykernel as kernel 1 of an init, and a client of it through the relay."""

    def __init__(self, init: InitDriver, transport: str) -> None:
        self.init = init
        self.transport = transport
        self.context = zmq.Context()
        self.session = session_module.Session(key=b"secret")
        self.ports = {name: i + 1 for i, name in enumerate(PORT_ORDER)}
        self.ip = str(init.run / "k")
        if transport == "tcp":
            self.ip = "127.0.0.1"
            holders = [socket.socket() for _ in PORT_ORDER]
            for name, holder in zip(PORT_ORDER, holders, strict=True):
                holder.bind(("127.0.0.1", 0))
                self.ports[name] = holder.getsockname()[1]
            for holder in holders:
                holder.close()
        file = {f"{name}_port": port for name, port in self.ports.items()}
        file |= {"ip": self.ip, "transport": transport, "key": "secret", "signature_scheme": "hmac-sha256"}
        path = str(init.run / "connection.json")
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", path]
        env = {"HOME": str(init.run), "IPYTHONDIR": str(init.run / "ipython")}
        begin = time.monotonic()
        started = init.start(1, argv, env=env, file=json.dumps(file).encode(), file_path=path)
        assert started.type == STARTED
        self.sockets = {name: self.relayed(name) for name in CHANNELS}
        for _ in CHANNELS:
            init.wait_for(CONNECTED, 1, timeout_s=30)
        self.connected_s = time.monotonic() - begin
        self.wait_until_subscribed()

    def wait_until_subscribed(self) -> None:
        """CONNECTED says dialled, no more: what is published before the kernel has read our
        subscription is lost, as with any client. So as in any client: ask until iopub speaks."""
        for _ in range(40):
            self.session.send(self.sockets["shell"], "kernel_info_request", {})
            if self.sockets["iopub"].poll(500):
                return
        pytest.fail("nothing on iopub")

    def relayed(self, name: str) -> zmq.Socket:
        endpoint = self.init.folder / name
        bound = self.context.socket(zmq.SUB if name == "iopub" else zmq.DEALER)
        bound.linger = 0
        if name == "iopub":
            bound.subscribe(b"")
            bound.rcvhwm = 0
        bound.bind(f"ipc://{endpoint}")
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(endpoint))
            self.init.send(2, 1, channel=CHANNELS[name], payload=self.where(name).encode(), fds=[raw.fileno()])
        return bound

    def where(self, name: str) -> str:
        if self.transport == "tcp":
            return f"tcp:{self.ports[name]}"
        return f"ipc:{self.ip}-{self.ports[name]}"

    def direct(self, name: str) -> zmq.Socket:
        """A second client of the kernel, past init."""
        s = self.context.socket(zmq.SUB if name == "iopub" else zmq.DEALER)
        s.linger = 0
        if name == "iopub":
            s.subscribe(b"")
            s.rcvhwm = 0
        s.connect(f"tcp://127.0.0.1:{self.ports[name]}" if self.transport == "tcp" else f"ipc://{self.where(name)[4:]}")
        return s

    def execute(self, code: str, shell: zmq.Socket | None = None) -> str:
        content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
        header = self.session.send(shell or self.sockets["shell"], "execute_request", content)["header"]
        return str(header["msg_id"])

    def receive(self, s: zmq.Socket, timeout_s: float = 20) -> dict:
        assert s.poll(int(timeout_s * 1000)), "no message"
        _, frames = self.session.feed_identities(s.recv_multipart())
        return self.session.deserialize(frames)

    def until(self, s: zmq.Socket, type_: str, parent: str) -> dict:
        while True:
            message = self.receive(s)
            if message["msg_type"] == type_ and message["parent_header"].get("msg_id") == parent:
                return message

    def close(self) -> None:
        self.context.destroy(linger=0)


@pytest.fixture(params=["ipc", "tcp"])
def kernel(request: pytest.FixtureRequest) -> Iterator[KernelBehindInit]:
    driver = InitDriver("plain")
    try:
        driver.accept()
        with closing(KernelBehindInit(driver, request.param)) as kernel:
            yield kernel
    finally:
        driver.close()


def test_code_runs_and_all_of_its_messages_arrive(kernel: KernelBehindInit) -> None:
    id_ = kernel.execute("print('hello', 6 * 7)")
    reply = kernel.until(kernel.sockets["shell"], "execute_reply", id_)
    assert reply["content"]["status"] == "ok"
    assert kernel.until(kernel.sockets["iopub"], "stream", id_)["content"]["text"] == "hello 42\n"
    id_ = kernel.session.send(kernel.sockets["control"], "kernel_info_request", {})["header"]["msg_id"]
    assert kernel.until(kernel.sockets["control"], "kernel_info_reply", id_)["content"]["status"] == "ok"


def test_an_interrupt_reaches_the_cell(kernel: KernelBehindInit) -> None:
    id_ = kernel.execute("import time\nprint('in', flush=True)\ntime.sleep(60)")
    kernel.until(kernel.sockets["iopub"], "stream", id_)
    kernel.init.send(SIGNAL, 1, value=2)
    reply = kernel.until(kernel.sockets["shell"], "execute_reply", id_)
    assert reply["content"]["ename"] == "KeyboardInterrupt"


def test_what_a_kernel_sent_before_it_killed_itself_arrives(kernel: KernelBehindInit) -> None:
    id_ = kernel.execute("print('x' * 1_000_000, flush=True)\nimport time; time.sleep(1)\nimport os; os._exit(3)")
    text = ""
    while len(text) < 1_000_000:
        text += kernel.until(kernel.sockets["iopub"], "stream", id_)["content"]["text"]
    assert kernel.init.wait_for(EXITED, 1).value == 3 << 8


def test_every_one_of_20000_displays_arrives(kernel: KernelBehindInit) -> None:
    kernel.execute("import zmq\nget_ipython().kernel.iopub_socket.sndhwm = 0")
    id_ = kernel.execute("from IPython.display import display\nfor i in range(20000): display({'text/plain': str(i)}, raw=True)")
    for i in range(20000):
        message = kernel.until(kernel.sockets["iopub"], "display_data", id_)
        assert message["content"]["data"]["text/plain"] == str(i)


def round_trip_ms(kernel: KernelBehindInit, shell: zmq.Socket) -> float:
    begin = time.perf_counter()
    kernel.until(shell, "execute_reply", kernel.execute("pass", shell))
    return (time.perf_counter() - begin) * 1000


def stream_mb_s(kernel: KernelBehindInit, shell: zmq.Socket, iopub: zmq.Socket) -> float:
    code = "get_ipython().kernel.session.send(get_ipython().kernel.iopub_socket, 'display_data', {}, parent=get_ipython().kernel.get_parent(), buffers=[b'x' * (1 << 20)])"
    id_ = kernel.execute(f"for _ in range(100): {code}", shell)
    begin = time.perf_counter()
    got = 0
    while got < 100:
        assert iopub.poll(20000)
        parts = iopub.recv_multipart(copy=False)
        got += len(parts[-1].buffer) == 1 << 20
    seconds = time.perf_counter() - begin
    kernel.until(shell, "execute_reply", id_)
    return 100 * 1.048576 / seconds


def test_the_relay_costs_nothing_visible(kernel: KernelBehindInit) -> None:
    relayed, direct = kernel.sockets["shell"], kernel.direct("shell")
    for shell in (relayed, direct):
        for _ in range(20):
            round_trip_ms(kernel, shell)
    times: dict[str, list[float]] = {"relayed": [], "direct": []}
    for _ in range(300):
        times["relayed"].append(round_trip_ms(kernel, relayed))
        times["direct"].append(round_trip_ms(kernel, direct))
    p50 = {name: statistics.median(values) for name, values in times.items()}
    p99 = {name: statistics.quantiles(values, n=100)[98] for name, values in times.items()}
    speed = {"relayed": [], "direct": []}
    direct_iopub = kernel.direct("iopub")
    time.sleep(0.3)
    for _ in range(3):
        drop_all(kernel.sockets["iopub"], direct_iopub)
        speed["relayed"].append(stream_mb_s(kernel, relayed, kernel.sockets["iopub"]))
        time.sleep(0.3)
        drop_all(kernel.sockets["iopub"], direct_iopub)
        speed["direct"].append(stream_mb_s(kernel, direct, direct_iopub))
        time.sleep(0.3)
    for name in times:
        rates = "/".join(f"{v:.0f}" for v in speed[name])
        print(f"\n{kernel.transport} {name}: p50 {p50[name]:.3f} ms, p99 {p99[name]:.3f} ms, {rates} MB/s", end="")
    print(f"\nconnected {kernel.connected_s:.2f} s after START, resident {kernel.init.memory_bytes() // 1024} KiB")
    if not os.environ.get("KERNELHUB_INIT", "").endswith("-san"):
        assert p50["relayed"] - p50["direct"] < 0.5


def drop_all(*sockets: zmq.Socket) -> None:
    for s in sockets:
        while s.poll(0):
            s.recv_multipart()
