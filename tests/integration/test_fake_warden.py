"""A warden that breaks the link's rules is cut off with a reason; the hub and everybody else go on."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import fake_warden
import httpx
import pytest

from conftest import BUILD, Service, run, wait_until

HERE = Path(__file__).resolve().parent


class House:
    """A service whose wardens are what the file `mode` says. The admin has a real one, and code that runs in it all the time."""

    def __init__(self) -> None:
        self.service = Service("limits/memory_bytes=256M", "limits/max_sandboxes=8")
        self.libexec = self.service.folder / "libexec"
        self.libexec.mkdir()
        shutil.copy(BUILD / "kernelhub-init", self.libexec / "kernelhub-init")
        shutil.copy(BUILD / "kernelhub-warden", self.libexec / "real-warden")
        program = self.libexec / "kernelhub-warden"
        program.write_text(f"#!{sys.executable} -B\n" + (HERE / "fake_warden.py").read_text())
        program.chmod(0o755)
        self.mode = self.libexec / "mode"
        self.service.env["KERNELHUB_LIBEXEC"] = str(self.libexec)

    def furnish(self) -> None:
        self.service.start()
        self.admin = self.service.client()
        self.hub = self.service.pid_of("hub")
        run(self.admin, "kept = 1")
        self.running = self.admin.post("/api/v1/execute/async", json={"code": "import time; time.sleep(3000)", "session": "other", "timeout_seconds": 3600}).json()["execution_id"]
        wait_until(lambda: self.admin.get(f"/api/v1/jobs/{self.running}").json()["status"] == "running", 30)
        self.admin.post("/api/v1/admin/users", json={"name": "victim"})
        key = self.admin.post("/api/v1/admin/keys", json={"user": "victim", "name": "test"}).json()["key"]
        self.victim = self.service.client(key)

    def be(self, fault: str) -> None:
        kernel = self.admin.get(f"/api/v1/jobs/{self.running}").json()["kernel_id"]
        self.mode.write_text(json.dumps({"fault": fault, "execution": self.running, "kernel": kernel}))

    def sandboxes(self) -> list[dict[str, object]]:
        return list(self.victim.get("/api/v1/sandboxes").json()["items"])

    def hub_rss(self) -> int:
        for line in Path(f"/proc/{self.hub}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmHWM")


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    h = House()
    try:
        h.furnish()
        yield h
    finally:
        h.mode.unlink(missing_ok=True)
        h.service.destroy()


def others_go_on(house: House) -> None:
    assert house.service.pid_of("hub") == house.hub
    assert run(house.admin, "print(kept)")["stdout"] == "1\n"
    assert house.admin.get(f"/api/v1/jobs/{house.running}").json()["status"] == "running"


def reason_of(reply: httpx.Response) -> str:
    if reply.status_code != 200:
        return str(reply.json()["error"]["message"])
    record = reply.json()
    assert record["status"] == "lost", record
    return str(record["status"])


@pytest.mark.parametrize("fault", [f.__name__ for f in fake_warden.AT_ONCE])
def test_a_warden_without_a_proper_hello_ends_its_sandbox(house: House, fault: str) -> None:
    house.be(fault)
    begin = time.monotonic()
    reply = house.victim.post("/api/v1/execute", json={"code": "1"})
    took = time.monotonic() - begin
    assert reply.status_code != 200
    reason = reason_of(reply)
    said = {
        "no_hello": "did not answer in time",
        "hello_of_another_version": "speaks version 99 of the link",
        "hello_of_another_sandbox": "says it is another's",
        "a_frame_before_hello": "broke the link's rules: it speaks before its hello",
    }
    assert said.get(fault, "said no proper hello") in reason, reason
    assert took < (20 if fault == "no_hello" else 10)
    assert house.sandboxes() == []
    others_go_on(house)


@pytest.mark.parametrize("fault", [f.__name__ for f in fake_warden.WITH_CODE])
def test_a_warden_that_breaks_a_rule_ends_its_sandbox_and_nothing_else(house: House, fault: str) -> None:
    house.be(fault)
    begin = time.monotonic()
    job = house.victim.post("/api/v1/execute/async", json={"code": "1"}).json()["execution_id"]
    wait_until(lambda: house.victim.get(f"/api/v1/jobs/{job}").json()["status"] not in ("queued", "running"), 60)
    record = house.victim.get(f"/api/v1/jobs/{job}").json()
    assert record["status"] == "lost"
    events = house.victim.get(f"/api/v1/executions/{job}/events", headers={"Accept": "application/x-ndjson"}).text.splitlines()
    assert [json.loads(e)["type"] for e in events].count("finished") == 1
    feed = [e for e in house.victim.get("/api/v1/sessions/python/events").json()["items"] if e.get("state") == "dead"]
    assert feed[-1]["reason"].startswith("the sandbox's warden does not answer any more" if fault == "silence" else "the sandbox's warden broke the link's rules: ")
    print(f"\n{fault}: {feed[-1]['reason']}")
    assert house.sandboxes() == []
    assert time.monotonic() - begin < (60 if fault == "silence" else 15)
    others_go_on(house)


def test_what_a_kernel_may_send_is_borne(house: House) -> None:
    house.be("nonsense_for_outputs")
    record = run(house.victim, "1")
    assert record["status"] == "error"  # there was an output of that kind, and no reply
    events = house.victim.get(f"/api/v1/executions/{record['execution_id']}/events", headers={"Accept": "application/x-ndjson"}).text
    assert "\0" not in events and all(json.loads(line) for line in events.splitlines())
    others_go_on(house)
    house.victim.delete("/api/v1/sessions/python")


def test_a_flood_costs_bounded_memory(house: House) -> None:
    """A hub that keeps up with it cannot tell; one that does not ends it."""
    house.be("a_flood_that_waits_for_no_ack")
    job = house.victim.post("/api/v1/execute/async", json={"code": "1", "max_output_bytes": 100_000}).json()["execution_id"]
    wait_until(lambda: house.victim.get(f"/api/v1/jobs/{job}").json()["status"] not in ("queued", "running"), 60)
    record = house.victim.get(f"/api/v1/jobs/{job}").json()
    print(f"\n{record['status']}, the hub's most: {house.hub_rss() / 1e6:.0f} MB")
    assert record["status"] in ("ok", "lost") and len(record["stdout"] or "") < 1_000_000
    assert house.service.sanitized or house.hub_rss() < 250_000_000
    others_go_on(house)
    house.victim.delete("/api/v1/sessions/python")


def test_after_all_that_the_user_gets_a_real_sandbox_and_the_hub_is_small(house: House) -> None:
    house.mode.unlink(missing_ok=True)
    for s in house.victim.get("/api/v1/sandboxes").json()["items"]:  # one that broke no rule lives on
        house.victim.delete(f"/api/v1/sandboxes/{s['sandbox_id']}")
    name = f"fresh-{os.getpid()}"
    wait_until(lambda: house.victim.post("/api/v1/execute", json={"code": "print(6 * 7)", "session": name}).json().get("stdout") == "42\n", 60)
    peak = house.hub_rss()
    print(f"\nthe hub's most: {peak / 1e6:.0f} MB")
    assert house.service.sanitized or peak < 250_000_000
    others_go_on(house)
