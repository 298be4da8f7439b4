"""The hub is killed with SIGKILL again and again while many executions print: nothing is lost, nothing comes twice.

KILLS (50) and SEED (random, printed) come from the environment: `make check-crash KILLS=1000 SEED=7`.
"""

from __future__ import annotations

import json
import os
import random
import re
import threading
import time
from pathlib import Path

from cells import Cell, any_cell
from client import Client, nothing
from conftest import Service, wait_until
from killer import HubKiller
from ledger import Tally

KILLS = int(os.environ.get("KILLS") or 50)
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(1_000_000))
MEAN_SECONDS = 0.9  # of a hub's life
CELL_SECONDS = 4.0
SESSIONS = (("python", "python"), ("analysis", "python"), ("bash", "bash"), ("javascript", "javascript"))
USERS = 2
DEPTH = 3  # executions of a session at a time: one runs, the others wait
PATIENCE = 240 + KILLS / 10
MAX_COMPLAINTS = 20


class Load:
    """Users, their sessions, and for each session a few clients that always have an execution there."""

    def __init__(self, service: Service, tally: Tally, killer: HubKiller) -> None:
        self.service = service
        self.tally = tally
        self.killer = killer
        self.keys = [self.new_key(f"user{n}") for n in range(USERS)]
        self.threads: list[threading.Thread] = []

    def new_key(self, name: str) -> str:
        with self.service.client() as http:
            http.post("/api/v1/admin/users", json={"name": name}).raise_for_status()
            reply = http.post("/api/v1/admin/keys", json={"name": name, "user": name})
            reply.raise_for_status()
            return str(reply.json()["key"])

    def going_on(self) -> bool:
        return not self.killer.over.is_set() and len(self.tally.complaints) < MAX_COMPLAINTS

    def lane(self, key: str, session: str, language: str, rng: random.Random) -> None:
        client = Client(self.service.port, key, self.tally, rng, PATIENCE)
        while self.going_on():
            cell = any_cell(language, rng, CELL_SECONDS * rng.uniform(0.3, 1.7))
            where = rng.random()
            sent = self.killer.kill_settled if where < 0.1 else nothing
            first = self.killer.kill_settled if 0.1 <= where < 0.2 else nothing
            try:
                client.run(cell, None if rng.random() < 0.04 else session, sent, first)
                self.check_ran_once(cell)
            except Exception as e:  # noqa: BLE001 - a thread's fault is the test's
                self.tally.complain(f"{cell.id}: {e!r}")
                return

    def check_ran_once(self, cell: Cell) -> None:
        found = list((self.service.state / "workspaces").glob(f"*/shared/ran-{cell.id}"))
        if len(found) != 1 or found[0].read_text() != ".":
            self.tally.complain(f"{cell.id}: it ran {[p.read_text() for p in found]} times")
        for path in found:
            path.unlink()

    def newcomers(self, rng: random.Random) -> None:
        """Somebody whose sandbox is being made when the hub dies."""
        n = 0
        while self.going_on():
            name, n = f"new{n}", n + 1
            try:
                self.newcomer(name, rng)
            except Exception as e:  # noqa: BLE001
                self.tally.complain(f"{name}: {e!r}")
                return
            self.killer.over.wait(rng.uniform(2, 8))

    def newcomer(self, name: str, rng: random.Random) -> None:
        key = self.until_answered(lambda: self.new_key_again(name))
        killing = threading.Timer(rng.uniform(0, 1.2), self.killer.kill_settled)
        client = Client(self.service.port, key, self.tally, rng, PATIENCE)
        cells = [any_cell("python", rng, 0.5) for _ in range(2)]
        killing.start()
        others = threading.Thread(target=client.run, args=(cells[1], "python"))
        others.start()
        Client(self.service.port, key, self.tally, random.Random(rng.random()), PATIENCE).run(cells[0], "python")
        others.join()
        killing.join()
        self.tally.add("newcomers")
        for cell in cells:
            self.check_ran_once(cell)
        self.until_answered(lambda: self.remove(name))

    def new_key_again(self, name: str) -> str:
        """A user may be there already when the hub died behind its commit."""
        with self.service.client() as http:
            reply = http.post("/api/v1/admin/users", json={"name": name})
            assert reply.status_code in (201, 409), reply.text
            reply = http.post("/api/v1/admin/keys", json={"name": name, "user": name})
            reply.raise_for_status()
            return str(reply.json()["key"])

    def remove(self, name: str) -> str:
        with self.service.client() as http:
            reply = http.delete(f"/api/v1/admin/users/{name}")
            assert reply.status_code in (204, 404), reply.text
        return ""

    def until_answered(self, ask: object) -> str:
        import httpx

        deadline = time.monotonic() + 60
        while True:
            try:
                return ask()  # type: ignore[operator]
            except httpx.TransportError:
                assert time.monotonic() < deadline
                time.sleep(0.1)

    def start(self, seed: int) -> None:
        n = 0
        for key in self.keys:
            for session, language in SESSIONS:
                for _ in range(DEPTH):
                    n += 1
                    arguments = (key, session, language, random.Random(f"{seed} {n}"))
                    self.threads.append(threading.Thread(target=self.lane, args=arguments, daemon=True))
        self.threads.append(threading.Thread(target=self.newcomers, args=(random.Random(f"{seed} new"),), daemon=True))
        for thread in self.threads:
            thread.start()

    def join(self) -> None:
        deadline = time.monotonic() + PATIENCE + 60
        for thread in self.threads:
            thread.join(max(0.1, deadline - time.monotonic()))
        alive = sum(t.is_alive() for t in self.threads)
        if alive:
            self.tally.complain(f"{alive} clients did not come to their end")


def kernels_of(service: Service) -> int:
    """What the inits of its sandboxes have started and lives."""
    records = [json.loads(p.read_text()) for p in (service.state / "keeper/records").glob("*.json")]
    inits = [r["pid"] for r in records if r.get("pid")]
    return sum(len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()) for pid in inits)


def hub_deaths(service: Service) -> list[str]:
    """How the hubs ended, by the supervisor's log."""
    return re.findall(r"event=hub_ended how=(.*?) again_in_ms", service.log.read_text(errors="replace"))


def test_a_hub_that_dies_again_and_again_loses_and_doubles_nothing(make_service: object) -> None:
    print(f"\ncrash: SEED={SEED} KILLS={KILLS}", flush=True)
    service: Service = make_service()  # type: ignore[operator]
    tally = Tally()
    killer = HubKiller(service, tally, KILLS)
    load = Load(service, tally, killer)
    load.start(SEED)
    began = time.monotonic()
    while tally.counts["events"] == 0 and tally.counts["executions"] == 0 and time.monotonic() - began < 1.5:
        time.sleep(0.05)
    runner = threading.Thread(target=killer.run, args=(random.Random(f"{SEED} kills"), MEAN_SECONDS), daemon=True)
    runner.start()
    while not killer.over.wait(20):
        print(f"crash: {time.monotonic() - began:.0f} s: {tally.report()}", flush=True)
        if len(tally.complaints) >= MAX_COMPLAINTS:
            killer.over.set()
    runner.join(120)
    load.join()
    print(f"crash: {time.monotonic() - began:.0f} s: {tally.report()} newcomers={tally.counts['newcomers']}", flush=True)
    wait_until(lambda: kernels_of(service) == USERS * len(SESSIONS), 30)  # none is left that no session has
    others = [how for how in hub_deaths(service) if "signal 9" not in how]
    assert not others, f"the hub ended by itself: {others}"
    assert len(hub_deaths(service)) == tally.counts["kills"] >= KILLS
    assert not tally.complaints, "\n".join(tally.complaints[:20])
    assert tally.counts["executions"] >= 20 and tally.counts["reattached"] > 0
