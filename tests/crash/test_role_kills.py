"""Every other role is killed with SIGKILL in mid-cell: each execution ends once, and as it truly ended.

ROLE_KILLS (2) per role and SEED come from the environment.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from cells import Cell
from client import Client
from conftest import Service, kill, run, wait_until
from ledger import Tally

ROLE_KILLS = int(os.environ.get("ROLE_KILLS") or 2)
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(1_000_000))
PATIENCE = 120.0
LINES, PACE = 150, 0.02


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    s = Service("limits/memory_bytes=1G")
    try:
        s.start()
        yield s
    finally:
        s.destroy()


class Victims:
    """The processes of one service, by what they are."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def record(self) -> dict[str, Any]:
        """Of the one sandbox; another may still be on its way out."""
        folder = self.service.state / "keeper/records"
        wait_until(lambda: len(list(folder.glob("*.json"))) == 1, 30)
        record: dict[str, Any] = json.loads(next(folder.glob("*.json")).read_text())
        return record

    @staticmethod
    def children(pid: int) -> list[int]:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    @staticmethod
    def command(pid: int) -> str:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()

    @staticmethod
    def parent(pid: int) -> int:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

    def init(self) -> list[int]:
        return [int(self.record()["pid"])]

    def kernel(self) -> list[int]:
        return [p for p in self.children(self.init()[0]) if "kernelhub_kernel" in self.command(p)]

    def warden(self) -> list[int]:
        return [int(self.record()["warden_pid"])]

    def conmon(self) -> list[int]:
        pid = self.parent(self.init()[0])
        assert "conmon" in self.command(pid)
        return [pid]

    def need_conmon(self) -> None:
        """A container whose conmon was killed goes on without one: then another sandbox."""
        (init,) = self.init()
        if "conmon" not in self.command(self.parent(init)):
            kill(init)
            wait_until(lambda: not Path(f"/proc/{init}").exists() and not list((self.service.state / "keeper/records").glob("*.json")), 30)

    def conmon_and_init(self) -> list[int]:
        return self.conmon() + self.init()

    def keeper(self) -> list[int]:
        return [self.service.pid_of("keeper")]

    def keeper_and_hub(self) -> list[int]:
        return [self.service.pid_of("keeper"), self.service.pid_of("hub")]

    def supervisor(self) -> list[int]:
        return [self.service.pid_of("supervisor")]

    def everything_of_ours(self) -> list[int]:
        """All that is not in the container or holds it."""
        return self.supervisor() + self.keeper_and_hub()

    def podman_service(self) -> list[int]:
        socket = str(self.service.state / "keeper/podman.sock")
        return [p for p in self.children(self.keeper()[0]) if socket in self.command(p) and "service" in self.command(p)]


@dataclass(frozen=True)
class Truth:
    """What may be said of the killed run, of the one that waited behind it, and of a kernel beside it."""

    running: set[str]
    queued: set[str]
    beside: set[str]
    exit: dict[str, int] | None = None


NOTHING_SEEN = Truth({"ok"}, {"ok"}, {"ok"})
SANDBOX_GONE = Truth({"kernel_died"}, {"cancelled"}, {"kernel_died"})
TRUTHS = {
    "kernel": Truth({"kernel_died"}, {"cancelled"}, {"ok"}, exit={"signal": 9}),
    "init": SANDBOX_GONE,
    "conmon_and_init": SANDBOX_GONE,
    "conmon": NOTHING_SEEN,
    "warden": Truth({"lost"}, {"ok"}, {"lost"}),
    "keeper": NOTHING_SEEN,
    "podman_service": NOTHING_SEEN,
    "keeper_and_hub": NOTHING_SEEN,
    "supervisor": NOTHING_SEEN,
    "everything_of_ours": NOTHING_SEEN,
}


def serve_again(service: Service) -> None:
    """A new supervisor: it ends what is left of the old one's hub and keeper, and starts its own."""
    assert service.process is not None
    service.process.wait(10)
    old = {}
    for role in ("hub", "keeper"):
        try:
            old[role] = service.pid_of(role)
        except (OSError, ValueError, IndexError):
            old[role] = 0
    service.start()

    def taken_over() -> bool:
        try:
            return all(service.pid_of(role) != pid for role, pid in old.items()) and is_healthy(service)
        except (OSError, ValueError, IndexError):
            return False

    wait_until(taken_over, 60)


def is_healthy(service: Service) -> bool:
    try:
        return httpx.get(f"{service.url}/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def cell(language: str, lines: int = LINES) -> Cell:
    return Cell(language, lines=lines, long=2000, short=20, every=10, pace=PACE if language == "python" else 0.05)


class Round:
    """One kill: a Python cell runs, another waits behind it, a Bash cell runs in the same sandbox."""

    def __init__(self, service: Service, tally: Tally, rng: random.Random, hub_may_end: bool) -> None:
        self.service = service
        self.tally = tally
        self.rng = rng
        self.hub_may_end = hub_may_end
        self.ends: dict[str, dict[str, Any]] = {}
        self.threads: list[threading.Thread] = []

    def start(self, name: str, c: Cell, session: str, statuses: set[str]) -> None:
        client = Client(self.service.port, self.service.key, self.tally, random.Random(self.rng.random()), PATIENCE)
        client.hub_may_end = self.hub_may_end

        def follow() -> None:
            try:
                self.ends[name] = client.run_cut(c, session, statuses)
            except Exception as e:  # noqa: BLE001 - a thread's fault is the test's
                self.tally.complain(f"{name} {c.id}: {e!r}")

        self.threads.append(threading.Thread(target=follow, daemon=True))
        self.threads[-1].start()

    def status_of(self, http: httpx.Client, c: Cell) -> object:
        reply = http.get(f"/api/v1/jobs/{c.id}")
        return reply.json().get("status") if reply.status_code == 200 else None

    def run(self, truth: Truth, victims: Callable[[], list[int]], after: Callable[[], None]) -> None:
        running, beside, queued = cell("python"), cell("bash", 60), cell("python", 20)
        with self.service.client() as http:
            run(http, "pass", session="python")
            Victims(self.service).need_conmon()
            run(http, "pass", session="python")
            run(http, "true", language="bash")
            self.start("running", running, "python", truth.running)
            self.start("beside", beside, "bash", truth.beside)
            wait_until(lambda: self.status_of(http, running) == "running" and self.status_of(http, beside) == "running", 30)
            self.start("queued", queued, "python", truth.queued)
            wait_until(lambda: self.status_of(http, queued) == "queued", 30)
        time.sleep(self.rng.uniform(0, 1.5))
        pids = victims()
        assert pids, "nobody to kill"
        for pid in pids:
            kill(pid)
        self.tally.add("kills")
        after()
        for thread in self.threads:
            thread.join(PATIENCE + 30)
            assert not thread.is_alive()
        self.check(truth)

    def check(self, truth: Truth) -> None:
        wait_until(lambda: is_healthy(self.service), 60)
        if truth.exit is not None and self.ends["running"]["exit"] != truth.exit:
            self.tally.complain(f"the exit is {self.ends['running']['exit']} and not {truth.exit}")
        with self.service.client() as http:  # usable again, and only one kernel for each session
            assert run(http, "print('again')", session="python")["stdout"] == "again\n"
            assert run(http, "echo again", language="bash")["stdout"] == "again\n"
            wait_until(lambda: len(Victims.children(Victims(self.service).init()[0])) == 2, 30)


@pytest.mark.parametrize("role", TRUTHS)
def test_an_execution_ends_once_and_truly_whoever_is_killed(service: Service, role: str) -> None:
    tally, rng = Tally(), random.Random(f"{SEED} {role}")
    victims = getattr(Victims(service), role)
    dies = role in ("supervisor", "everything_of_ours")
    for _ in range(ROLE_KILLS):
        Round(service, tally, rng, hub_may_end=dies).run(TRUTHS[role], victims, (lambda: serve_again(service)) if dies else (lambda: None))
    c = tally.counts
    endings = {k[6:]: n for k, n in c.items() if k.startswith("ended ")}
    print(f"crash: {role}: SEED={SEED} kills={c['kills']} executions={c['executions']} endings={endings} lines={c['lines']} changed={c['changed']}")
    assert not tally.complaints, "\n".join(tally.complaints)
    assert c["executions"] == 3 * ROLE_KILLS


def test_a_new_sandbox_can_be_made_when_podmans_service_was_killed(service: Service) -> None:
    with service.client() as http:
        run(http, "pass")
        (pid,) = Victims(service).podman_service()
        http.post("/api/v1/admin/users", json={"name": "later"}).raise_for_status()
        key = http.post("/api/v1/admin/keys", json={"name": "later", "user": "later"}).json()["key"]
        kill(pid)
        with service.client(key) as other:
            assert run(other, "print(6 * 7)")["stdout"] == "42\n"
        http.delete("/api/v1/admin/users/later").raise_for_status()
