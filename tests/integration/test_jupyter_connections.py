"""Connections of Jupyter clients that come twice, die unseen or all at once, and kernels that do."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from conftest import Service, wait_until
from test_jupyter import Channels, new_kernel, reply_of, text_of
from websockets.exceptions import ConnectionClosed


@pytest.fixture
def api(service: Service) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client
        for kernel in client.get("/api/kernels").json():
            client.delete(f"/api/kernels/{kernel['id']}")


class Cable:
    """A proxy for one connection, that can be cut without either side hearing of it."""

    def __init__(self, port: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.is_cut = False
        self.ends: list[socket.socket] = []
        self.threads = [threading.Thread(target=self.accept, args=(port,))]
        self.threads[0].start()

    def accept(self, port: int) -> None:
        with suppress(OSError):
            near = self.listener.accept()[0]
            far = socket.create_connection(("127.0.0.1", port))
            self.ends += [near, far]
            for a, b in ((near, far), (far, near)):
                self.threads.append(threading.Thread(target=self.pass_on, args=(a, b)))
                self.threads[-1].start()

    def pass_on(self, a: socket.socket, b: socket.socket) -> None:
        with suppress(OSError):
            while data := a.recv(65536):
                if not self.is_cut:
                    b.sendall(data)

    def close(self) -> None:
        for end in (self.listener, *self.ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def cable(service: Service) -> Iterator[Cable]:
    made = Cable(service.port)
    yield made
    made.close()


def closed(c: Channels) -> int | None:
    """The code that it was closed with; None: without one."""
    with pytest.raises(ConnectionClosed) as end:
        while True:
            c.receive(10)
    return end.value.rcvd.code if end.value.rcvd else None


def is_healthy(service: Service) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"{service.url}/health").status_code == 200
    return False


def test_of_two_upgrades_at_once_the_second_is_answered_and_the_first_may_come_again(service: Service, api: httpx.Client) -> None:
    kernel, session = new_kernel(api), uuid.uuid4().hex
    with Channels(service, kernel, session=session) as first:
        time.sleep(0.03)
        with Channels(service, kernel, session=session) as second:
            asked = time.monotonic()
            second.until_idle(second.send("kernel_info_request", {}))
            assert time.monotonic() - asked < 1
            assert closed(first) in (None, 1005, 1012)  # JupyterLab does not come again after 1000 and 1001


@pytest.mark.parametrize("same", [True, False])
def test_a_connection_that_died_unseen_takes_nothing_from_the_next(service: Service, api: httpx.Client, cable: Cable, same: bool) -> None:
    kernel, session = new_kernel(api), uuid.uuid4().hex
    behind = SimpleNamespace(port=cable.port, key=service.key)
    dead = Channels(behind, kernel, session=session)  # type: ignore[arg-type]
    running = dead.execute("import time\nfor i in range(6): print(i); time.sleep(0.2)")
    while dead.receive()["msg_type"] != "stream":
        pass
    cable.is_cut = True
    with Channels(service, kernel, session=session if same else uuid.uuid4().hex) as live:
        if same:
            got = live.until_idle(running)
            assert text_of(got) == "".join(f"{i}\n" for i in range(6)) and reply_of(got)["status"] == "ok"
        for n in range(3):
            got = live.run(f"print({n})")
            assert text_of(got) == f"{n}\n" and reply_of(got)["status"] == "ok"
    cable.close()
    with suppress(ConnectionClosed, TimeoutError):
        dead.ends.close()


def test_a_kernel_that_dies_again_and_again_is_dead_and_comes_back_when_asked(service: Service, api: httpx.Client) -> None:
    kernel = new_kernel(api)
    states: list[str] = []
    with Channels(service, kernel) as c:
        for _ in range(6):
            c.execute("import os; os._exit(1)")
            while (m := c.receive())["msg_type"] != "status" or m["parent_header"]:
                pass
            states.append(m["content"]["execution_state"])
        assert states == 5 * ["restarting"] + ["dead"]
    assert api.get(f"/api/kernels/{kernel}").json()["execution_state"] == "dead"
    assert api.post(f"/api/kernels/{kernel}/restart").status_code == 200
    with Channels(service, kernel) as c:
        assert text_of(c.run("print('again')")) == "again\n"


N_KERNELS = int(os.environ.get("KERNELS", "8"))


def test_many_kernels_that_are_asked_for_at_once_all_start(make_service: Any) -> None:
    """Each has its own sockets: no port to race for."""
    service: Service = make_service(f"limits/pids={32 * N_KERNELS}", f"limits/memory_bytes={128 * N_KERNELS}M")
    with service.client(timeout=120) as api, ThreadPoolExecutor(N_KERNELS) as many:
        answers = list(many.map(lambda _: api.post("/api/kernels", json={"name": "python3"}), range(N_KERNELS)))
        assert [a.text for a in answers if a.status_code != 201] == []
        ids = [a.json()["id"] for a in answers]
        assert len(set(ids)) == N_KERNELS and {k["id"] for k in api.get("/api/kernels").json()} >= set(ids)
        with Channels(service, ids[0]) as first, Channels(service, ids[-1]) as last:
            first.run("mine = 1")
            assert "mine" not in text_of(last.run("print(sorted(globals()))"))


def test_a_service_that_is_started_anew_closes_so_that_clients_come_again(service: Service, api: httpx.Client) -> None:
    kernel, session = new_kernel(api), uuid.uuid4().hex
    with Channels(service, kernel, session=session) as c:
        running = c.execute("import time; time.sleep(2); print('whole')")
        while c.receive()["msg_type"] != "execute_input":
            pass
        old = service.pid_of("hub")
        subprocess.run([service.binary, "stop", "--hub", *service.arguments()], env=service.env, check=True, capture_output=True, timeout=60)
        assert closed(c) == 1012
    wait_until(lambda: service.pid_of("hub") != old and is_healthy(service), 30)
    with Channels(service, kernel, session=session) as c:
        got = c.until_idle(running)
        assert text_of(got) == "whole\n" and reply_of(got)["status"] == "ok"
