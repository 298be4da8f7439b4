"""The clients that we ship come back by themselves when the hub is killed under them."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from conftest import kill, wait_until

LINES = 120
CODE = f"import time\nfor i in range({LINES}):\n    print('line', i, flush=True)\n    time.sleep(0.02)"
WANTED = [f"line {i}" for i in range(LINES)]


def test_the_sdks_stream_goes_on_through_two_dead_hubs(make_service: object) -> None:
    from kernelhub import Client

    service = make_service()  # type: ignore[operator]
    text, seqs = "", []
    with Client(service.url, service.key) as hub:
        hub.execute("1", check=True)
        for event in hub.stream(CODE):
            seqs.append(event.seq)
            if event.type == "stdout":
                text += event.text
            if len(seqs) in (15, 60):
                kill(service.pid_of("hub"))
        assert event.type == "finished"
        assert event.raw["status"] == "ok"
    assert text.split("\n")[:-1] == WANTED
    assert seqs == list(range(1, len(seqs) + 1))


@pytest.mark.parametrize("way", ["stream", "execute", "submit"])
def test_a_hub_that_dies_before_its_first_byte(make_service: object, way: str) -> None:
    """The request is in the socket when the hub dies: nobody knows whether it arrived. It runs once."""
    from kernelhub import Client

    service = make_service()  # type: ignore[operator]
    got: list[str] = []
    with Client(service.url, service.key) as hub:
        hub.execute("n = 0", check=True)
        code = "n += 1\nprint('run', n)"
        works = {
            "stream": lambda: "".join(e.text or "" for e in hub.stream(code) if e.type == "stdout"),
            "execute": lambda: hub.execute(code).stdout,
            "submit": lambda: hub.submit(code).wait(60).stdout,
        }
        pid = service.pid_of("hub")
        os.kill(pid, signal.SIGSTOP)
        try:
            thread = threading.Thread(target=lambda: got.append(works[way]()))
            thread.start()
            time.sleep(0.3)
            assert not got
        finally:
            kill(pid)
        thread.join(60)
        assert got == ["run 1\n"]
        assert hub.execute("print(n)").stdout == "1\n"


def test_kernelhub_run_and_attach_go_on_through_a_dead_hub(make_service: object, tmp_path: Path) -> None:
    service = make_service()  # type: ignore[operator]
    assert service.cli("run", "1").returncode == 0
    env = dict(service.env, KERNELHUB_URL=service.url, KERNELHUB_TOKEN=service.key)
    out = [tmp_path / "run", tmp_path / "attach"]
    run = subprocess.Popen([service.binary, "run", CODE], env=env, stdin=subprocess.DEVNULL, stdout=out[0].open("wb"))
    attach = None
    try:
        wait_until(lambda: out[0].read_text().count("\n") > 5, 30)
        with service.client() as client:
            running = client.get("/api/v1/executions?limit=1").json()["items"][0]["execution_id"]
        attach = subprocess.Popen([service.binary, "attach", running], env=env, stdin=subprocess.DEVNULL, stdout=out[1].open("wb"))
        wait_until(lambda: out[1].read_text().count("\n") > 5, 30)
        kill(service.pid_of("hub"))
        assert [run.wait(60), attach.wait(60)] == [0, 0]
    finally:
        for process in (run, attach):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
    assert [o.read_text().split("\n")[:-1] for o in out] == [WANTED, WANTED]
