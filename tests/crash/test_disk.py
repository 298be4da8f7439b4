"""The disk under the database is full, or takes no write at all: clear errors, nothing acknowledged is lost, all goes on afterwards."""

from __future__ import annotations

import json
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cells import Cell
from client import Client
from conftest import Service, kill, run, wait_until
from ledger import Ledger, Tally
from small_disk import DiskService, SmallDisk

PATIENCE = 180.0


class Place:
    """A service on a small disk, and clients that follow their cells through everything."""

    def __init__(self, mib: int, *settings: str) -> None:
        self.service = DiskService("limits/memory_bytes=1G", *settings)
        self.disk = SmallDisk(self.service, mib)
        self.tally = Tally()
        self.threads: list[threading.Thread] = []
        self.ledgers: dict[str, Ledger] = {}

    def destroy(self) -> None:
        if (self.disk.folder / "ballast").exists():
            self.disk.free()
        try:
            self.service.stop()
        finally:
            self.disk.unmount()
            shutil.rmtree(self.service.folder)

    def follow(self, cell: Cell, session: str) -> None:
        client = Client(self.service.port, self.service.key, self.tally, random.Random(cell.id), PATIENCE)
        client.hub_may_end = True
        ledger = self.ledgers[cell.id] = Ledger(cell, self.tally)

        def go() -> None:
            try:
                if client.follow(ledger, session):
                    client.verify(ledger)
            except Exception as e:  # noqa: BLE001 - a thread's fault is the test's
                self.tally.complain(f"{cell.id}: {e!r}")

        self.threads.append(threading.Thread(target=go, daemon=True))
        self.threads[-1].start()

    def join(self) -> None:
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        assert not self.tally.complaints, "\n".join(self.tally.complaints)
        assert self.tally.counts["lost"] == self.tally.counts["doubled"] == self.tally.counts["changed"] == 0
        print(f"crash: disk: {self.tally.report()}")

    def health(self) -> tuple[int, dict[str, Any]]:
        reply = httpx.get(f"{self.service.url}/health", timeout=10)
        return reply.status_code, reply.json()

    def is_healthy(self) -> bool:
        try:
            return self.health()[0] == 200
        except httpx.TransportError:
            return False

    def says_store(self) -> bool:
        """Unhealthy, the check is named, and it says why."""
        status, body = self.health()
        check = body["checks"]["store"]
        return status == 503 and body["status"] == "unhealthy" and check["status"] == "failing" and bool(check["message"])

    def progress(self, cell: Cell) -> Path:
        (workspace,) = (self.service.state / "workspaces").glob("*/shared")
        return workspace / f"ran-{cell.id}"

    def check_refused(self, http: httpx.Client) -> str:
        """A new run while the store takes nothing. Returns the reason given."""
        for path, accept in (("/api/v1/execute", "application/json"), ("/api/v1/execute", "text/event-stream"), ("/api/v1/execute/async", "*/*")):
            reply = http.post(path, json={"code": "print('never')"}, headers={"Accept": accept})
            assert reply.status_code == 503 and reply.json()["error"]["code"] == "unavailable", reply.text
        return str(reply.json()["error"]["message"])


@pytest.fixture
def make_place() -> Iterator[object]:
    made: list[Place] = []

    def make(mib: int, *settings: str) -> Place:
        place = Place(mib, *settings)
        made.append(place)
        place.service.start()
        return place

    yield make
    for place in made:
        place.destroy()


def printing(lines: int, pace: float, images: tuple[int, ...] = (), long: int = 3000) -> Cell:
    return Cell("python", lines=lines, long=long, short=40, every=3, pace=pace, image_lines=images)


def started(place: Place, cell: Cell) -> bool:
    return place.ledgers[cell.id].last >= 3


@pytest.mark.parametrize("hub_dies", [False, True])
def test_a_full_disk_stops_no_cell_and_loses_nothing(make_place: object, hub_dies: bool) -> None:
    place: Place = make_place(24)  # type: ignore[operator]
    service = place.service
    ran, waited, beside = printing(300, 0.02, images=(100, 200)), printing(20, 0), Cell("bash", 100, 2000, 10, 5, 0.05)
    with service.client() as http:
        before = run(http, "print('before')")["execution_id"]
        run(http, "true", language="bash")
        revoked = http.post("/api/v1/admin/keys", json={"name": "to be revoked"}).json()["key"]
        place.follow(ran, "python")
        place.follow(beside, "bash")
        wait_until(lambda: started(place, ran) and started(place, beside), 30)
        place.follow(waited, "python")
        wait_until(lambda: http.get(f"/api/v1/jobs/{waited.id}").json().get("status") == "queued", 30)
        place.disk.fill()
        hub = service.pid_of("hub")
        wait_until(place.says_store, 30)
        assert "full" in place.health()[1]["checks"]["store"]["message"]
        assert "full" in place.check_refused(http)
        # nor is anything else promised that could not be kept
        reply = http.post("/api/v1/admin/keys", json={"name": "no key is shown that a restart would forget"})
        assert reply.status_code == 503 and "kh_" not in reply.text, reply.text
        (key,) = [k["id"] for k in http.get("/api/v1/admin/keys").json()["items"] if k["name"] == "to be revoked"]
        assert http.delete(f"/api/v1/admin/keys/{key}").status_code == 503
        # what is committed can be read, and the cell goes on in its kernel: 6 s of printing, all of it while nothing can be written
        assert http.get(f"/api/v1/executions/{before}").json()["stdout"] == "before\n"
        assert http.get(f"/api/v1/jobs/{ran.id}").json()["status"] == "running"
        assert httpx.get(f"{service.url}/health/live").status_code == 200
        if hub_dies:
            kill(hub)
            time.sleep(2)
        time.sleep(6)
        assert place.disk.free_bytes() < 65536
        place.disk.free()
        wait_until(place.is_healthy, 30)
        if not hub_dies:
            assert service.pid_of("hub") == hub
            assert httpx.get(f"{service.url}/api/v1/sessions", headers={"Authorization": f"Bearer {revoked}"}).status_code == 401
        assert run(http, "print('after')", session="another")["stdout"] == "after\n"
    place.join()
    assert place.progress(waited).read_text() == place.progress(ran).read_text() == "."


def test_a_gap_comes_only_beyond_what_the_warden_keeps_and_says_how_much(make_place: object) -> None:
    place: Place = make_place(96, "limits/spool_bytes=0", "limits/max_output_bytes=256M")  # type: ignore[operator]
    lines, size = 900, 100_000  # 90 MB; the warden keeps 32 MiB in memory, and here no file
    code = f"import time\nprint(-1)\ntime.sleep(4)\nfor i in range({lines}): print(i, 'x' * {size})\nprint('last')"
    with place.service.client() as http:
        job = http.post("/api/v1/execute/async", json={"code": code, "timeout_seconds": 300}).json()["job_id"]
        wait_until(lambda: http.get(f"/api/v1/jobs/{job}").json()["stdout"].startswith("-1"), 30)
        place.disk.fill()
        time.sleep(12)
        assert place.says_store()
        place.disk.free()
        wait_until(lambda: http.get(f"/api/v1/jobs/{job}").json()["status"] == "ok", 90)
        text = http.get(f"/api/v1/executions/{job}/events", headers={"Accept": "application/x-ndjson"}, timeout=60).text
    events = [json.loads(line) for line in text.splitlines()]
    gaps = [e for e in events if e["type"] == "gap"]
    shown = [int(line.split()[0]) for e in events if e["type"] == "stdout" for line in e["text"].splitlines() if line[:1].isdigit()]
    assert len(gaps) >= 1 and all(g["messages"] > 0 and g["bytes"] > 0 and g["reason"] for g in gaps)
    assert shown == sorted(set(shown)), "out of order, or twice"
    missing = (lines - len(shown)) * size
    dropped = sum(g["bytes"] for g in gaps)
    assert missing * 0.95 <= dropped <= missing * 1.2 + 2_000_000, (missing, dropped)
    assert len(shown) * size > 24 << 20, "it kept less than it should"
    assert events[-1]["type"] == "finished" and events[-1]["last_seq"] == len(events) and [e["seq"] for e in events] == list(range(1, len(events) + 1))
    print(f"crash: disk: {len(shown)} of {lines} lines kept, gaps say {[(g['messages'], g['bytes']) for g in gaps]}")


def end_serve(service: Service) -> None:
    """SIGTERM to the supervisor: hub and keeper end, sandboxes go on."""
    assert service.process is not None
    service.process.send_signal(signal.SIGTERM)
    service.process.wait(40)


def test_a_disk_that_takes_no_write_any_more_costs_nothing_once_its_files_are_on_another(make_place: object) -> None:
    place: Place = make_place(32)  # type: ignore[operator]
    service = place.service
    with service.client() as http:
        run(http, "pass")
        run(http, "true", language="bash")
        ran, beside = printing(200, 0.05), Cell("bash", 60, 2000, 10, 5, 0.1)
        # quiet when the disk is cut off: what is committed is on it then
        quiet = "import os, time\nwhile not os.path.exists('/workspace/go'): time.sleep(0.05)\n"
        shell = "while [ ! -e /workspace/go ]; do sleep 0.05; done\n"
        ran.before, beside.before = quiet, shell
        place.follow(ran, "python")
        place.follow(beside, "bash")
        wait_until(lambda: place.ledgers[ran.id].last >= 1 and place.ledgers[beside.id].last >= 1, 30)
        time.sleep(1)
        place.disk.cut_off()
        (place.progress(ran).parent / "go").touch()
        wait_until(place.says_store, 30)
        assert "Read-only file system" in place.check_refused(http)
        assert http.get(f"/api/v1/jobs/{ran.id}").json()["status"] == "running"
        time.sleep(4)
    end_serve(service)
    place.disk.replace()
    service.start()
    place.join()
    with service.client() as http:
        assert run(http, "print('after')")["stdout"] == "after\n"


def test_a_hub_that_starts_on_a_read_only_disk_says_so_and_works_when_it_is_not(make_place: object) -> None:
    place: Place = make_place(32)  # type: ignore[operator]
    service = place.service
    ran = printing(400, 0.02)
    with service.client() as http:
        run(http, "pass")
    place.follow(ran, "python")
    wait_until(lambda: started(place, ran), 30)
    end_serve(service)
    place.disk.read_only()
    with pytest.raises(RuntimeError, match="(?i)read-?only") as failure:
        service.start()
    print(f"crash: disk: {str(failure.value)[-300:]!r}")
    place.disk.writable()
    service.start()
    place.join()
