"""Kills a role of one service, and only of that one, and says how long it was away."""

from __future__ import annotations

import http.client
import os
import random
import signal
import threading
import time

from conftest import Service
from ledger import Tally

SETTLED_SECONDS = 1.0
BACK_SECONDS = 60  # generous: what is measured is printed


class HubKiller:
    """SIGKILL for the hub, at random moments and when somebody calls kill()."""

    def __init__(self, service: Service, tally: Tally, kills: int) -> None:
        self.service = service
        self.tally = tally
        self.left = kills
        self.over = threading.Event()
        self._lock = threading.Lock()
        self._up_since = 0.0

    def _pid(self) -> int:
        try:
            return self.service.pid_of("hub")
        except (OSError, ValueError, IndexError):
            return 0

    def _wait_for_another(self, old: int) -> int:
        deadline = time.monotonic() + BACK_SECONDS
        while (pid := self._pid()) in (0, old):
            if time.monotonic() > deadline:
                raise RuntimeError(f"no hub came after {old}")
            time.sleep(0.002)
        return pid

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=2)
        try:
            connection.request("GET", "/health/live")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _kill_once(self) -> int:
        pid = self._pid()
        if not pid:
            return 0
        os.kill(pid, signal.SIGKILL)
        self.left -= 1
        self.tally.add("kills")
        if self.left <= 0:
            self.over.set()
        return pid

    def kill(self, again_after: float | None = None) -> None:
        """One kill, or two: the second in the recovery from the first. Returns when the hub answers again."""
        with self._lock:
            if self.over.is_set():
                return
            old = self._kill_once()
            began = time.monotonic()
            if old and again_after is not None and not self.over.is_set():
                self._wait_for_another(old)
                time.sleep(again_after)
                old = self._kill_once()
                began = time.monotonic()
            self._wait_for_another(old)
            while not self._answers():
                if time.monotonic() - began > BACK_SECONDS:
                    raise RuntimeError("the hub does not answer after a kill")
                time.sleep(0.005)
            self._up_since = time.monotonic()
            self.tally.health_seconds.append(self._up_since - began)

    def kill_settled(self) -> None:
        """For the many who may ask at the same moment: one gets its kill, and not while the last one is being got over."""
        if time.monotonic() - self._up_since > SETTLED_SECONDS:
            self.kill()

    def run(self, rng: random.Random, mean_seconds: float) -> None:
        """Until all kills are done; one in six is a double."""
        try:
            while not self.over.wait(0.2 + min(rng.expovariate(1 / mean_seconds), 6 * mean_seconds)):
                self.kill(rng.uniform(0, 0.12) if rng.random() < 1 / 6 else None)
        except Exception as e:  # noqa: BLE001 - the run must end and say so
            self.tally.complain(f"killing ended: {e!r}")
            self.over.set()
