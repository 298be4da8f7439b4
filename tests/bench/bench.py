#!/usr/bin/env python3
"""make bench: what Kernelhub costs, side by side with the kernel alone, in one run.

KERNELHUB_BUILD names the build directory, KERNELHUB_DATA the folder of seccomp.json (as for the integration tests).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Callable

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]

import jupyter  # noqa: E402
import report  # noqa: E402
import report_jupyter  # noqa: E402
from bare import BareKernel, PodmanApi  # noqa: E402
from conftest import BUILD, Service  # noqa: E402
import machine  # noqa: E402
from machine import Memory, describe  # noqa: E402

IMAGE = "slim"
WAYS = ("raw", "rest", "sse")
PASS_WAYS = (*WAYS, "mcp")  # what is long MCP cuts
PARTS = ("pass", "cold", "bulk")
BULK = {
    "1e5 displays": "show = get_ipython().display_pub.publish\nfor i in range(100000): show({'text/plain': str(i)})",
    "1e5 printed lines": "for i in range(100000): print(i)",
    "20 MB in one display": "get_ipython().display_pub.publish({'text/plain': 'x' * 20000000})",
    "20 MB in one print": "print('x' * 20000000)",
}


def find(name: str) -> Path:
    """automake builds a program beside its sources; a plain build has all in one folder."""
    for path in (BUILD / "tests/bench" / name, BUILD / name):
        if path.exists():
            return path
    raise SystemExit(f"{name} is not in {BUILD}: make bench builds it")


class Bench:
    """One service, one user's kernel, and what is measured on them."""

    def __init__(self, service: Service, quick: bool, first: bool) -> None:
        self.service = service
        self.quick = quick
        self.first = first
        data = Path(os.environ.get("KERNELHUB_DATA", HERE.parents[1]))
        seccomp = next(p for p in (data / "seccomp.json", data / "sandbox/seccomp.json") if p.exists())
        self.tools = {n: find(n) for n in ("bench_client", "container_spec")}
        self.tools |= {"init": BUILD / "kernelhub-init", "seccomp": seccomp.resolve()}
        self.podman = PodmanApi(service.state / "keeper/podman.sock")
        self.client = service.client(timeout=300)
        self.durability: list[dict[str, Any]] = []

    def get(self, path: str) -> Any:
        reply = self.client.get(f"/api/v1{path}")
        reply.raise_for_status()
        return reply.json()

    def execute(self, code: str, key: str | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {key}"} if key else None
        reply = self.client.post("/api/v1/execute", json={"code": code, "language": "python"}, headers=headers)
        if reply.status_code != 200:
            raise RuntimeError(reply.text)
        record: dict[str, Any] = reply.json()
        return record

    # ---- the kernel behind the service ----

    def find_kernel(self) -> None:
        """The sandbox's processes, and the way into it for a client of our own."""
        self.sandbox_id = self.execute("pass")["sandbox_id"]
        record = next(
            r for p in (self.service.state / "keeper/records").iterdir() if (r := json.loads(p.read_text()))["sandbox_id"] == self.sandbox_id
        )
        self.init_pid, self.warden_pid, self.image_id = record["pid"], record["warden_pid"], record["image_id"]
        self.kernel_pid = machine.children(self.init_pid)[0]
        self.kernel_argv = Path(f"/proc/{self.kernel_pid}/cmdline").read_text().split("\0")[:-1]
        env = Path(f"/proc/{self.kernel_pid}/environ").read_text().split("\0")[:-1]
        self.kernel_env = dict(e.split("=", 1) for e in env if not e.startswith("KERNELHUB_"))
        file = next(a for a in self.kernel_argv if a.startswith("/run/kernel/"))
        info = json.loads(Path(f"/proc/{self.init_pid}/root{file}").read_text())
        assert info["transport"] == "ipc", "the Python kernel is expected to speak ipc"
        self.endpoint, self.key = f"/proc/{self.init_pid}/root{info['ip']}", info["key"]

    def bare_kernel(self) -> BareKernel:
        argv = [a if not a.startswith("/run/kernel/") else "/run/kernel/1/connection.json" for a in self.kernel_argv]
        group = machine.cpu_group(self.init_pid).parts[1]  # ours: same weight against all others
        return BareKernel(self.podman, self.tools, self.image_id, argv, self.kernel_env, f"/{group}")

    def measure(self, code: str, endpoint: str, key: str, blocks: int, repeat: int, warmup: int, ways: tuple[str, ...] = WAYS) -> list[dict[str, Any]]:
        command = [str(self.tools["bench_client"]), "--endpoint", endpoint, "--port", str(self.service.port), "--code", code]
        command += ["--blocks", str(blocks), "--repeat", str(repeat), "--warmup", str(warmup)]
        command += [f"--way={w}" for w in ways]
        env = {**os.environ, "BENCH_KEY": key, "BENCH_TOKEN": self.service.key}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=1200)
        if done.returncode:
            raise RuntimeError(f"{done.stderr}\n{self.service.log.read_text()[-2000:]}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def transactions(self) -> tuple[float, float]:
        """How many the store has done, and the seconds in them (SQL, blob files and the commit)."""
        text = self.client.get("/metrics").text
        found = dict(re.findall(r"^kernelhub_store_commit_seconds_(count|sum) (\S+)$", text, re.M))
        return float(found["count"]), float(found["sum"])

    def counted(self, part: str, way: str, measure: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """What the store did meanwhile goes to self.durability."""
        before = self.transactions()
        samples = measure()
        after = self.transactions()
        ours = [s for s in samples if s["way"] != "raw"]
        if ours:
            spent = {"commits": after[0] - before[0], "seconds": after[1] - before[1]}
            self.durability.append({"part": part, "way": way, "cells": len(ours), "us": sum(s["us"] for s in ours), **spent})
        return samples

    # ---- what is measured ----

    def latency(self) -> list[dict[str, Any]]:
        """`pass` on one and the same kernel: raw clients dial its sockets in its mount namespace."""
        blocks, repeat = (12, 15) if self.quick else (100, 20)
        if self.first:
            machine.put_first([*self.roles().values(), os.getpid()])
        self.measure("pass", self.endpoint, self.key, 1, 20, warmup=20, ways=PASS_WAYS)
        return self.counted("pass", "rest, sse, mcp", lambda: self.measure("pass", self.endpoint, self.key, blocks, repeat, warmup=0, ways=PASS_WAYS))

    def bulk(self) -> dict[str, list[dict[str, Any]]]:
        """Raw on a kernel of its own, so that our roles take no CPU from it by hearing the same output."""
        with self.bare_kernel() as bare:
            bare.make()
            bare.start_kernel()
            return {name: self.bulk_of(name, code, bare) for name, code in BULK.items()}

    def bulk_of(self, name: str, code: str, bare: BareKernel) -> list[dict[str, Any]]:
        samples: list[dict[str, Any]] = []
        for _ in range(1 if self.quick or "100000" in code else 3):
            for way in WAYS:
                try:
                    samples += self.counted(name, way, lambda: self.measure(code, bare.endpoint, bare.key, 1, 1, warmup=0, ways=(way,)))
                except RuntimeError as e:
                    samples.append({"way": way, "failed": str(e).splitlines()[0]})
        return samples

    def floor(self) -> dict[str, int]:
        with self.bare_kernel() as bare:
            bare.make()
            return {"create_us": bare.create_us, "start_us": bare.start_us, **bare.start_kernel()}

    def cold(self, name: str) -> dict[str, int]:
        """A user who was never here, from the request to the first result."""
        self.client.post("/api/v1/admin/users", json={"name": name}).raise_for_status()
        reply = self.client.post("/api/v1/admin/keys", json={"name": name, "user": name})
        key = reply.json()["key"]
        began = time.monotonic_ns()
        record = self.execute("1+1", key)
        total = (time.monotonic_ns() - began) // 1000
        sandboxes = self.client.get("/api/v1/sandboxes", headers={"Authorization": f"Bearer {key}"}).json()["items"]
        phases = sandboxes[0]["start_phases"]
        self.client.delete(f"/api/v1/admin/users/{name}").raise_for_status()
        keeper = {f"keeper_{k}": v for k, v in phases.items()}
        figures = {"all_us": total, **keeper, **record["timing"], **self.log_times(record)}
        self.wait_gone(record["sandbox_id"])
        return figures

    def log_times(self, record: dict[str, Any]) -> dict[str, int]:
        """From the log's lines (milliseconds): asked for, up, kernel starting, kernel ready."""
        text = self.service.log.read_text()
        marks = {
            "asked": rf"sandbox asked for id={record['sandbox_id']}",
            "made": rf"sandbox={record['sandbox_id']} user=.* runs pid",
            "up": rf"sandbox up id={record['sandbox_id']}",
            "starting": rf"event=kernel_starting kernel={record['kernel_id']}",
            "ready": rf"event=kernel_ready kernel={record['kernel_id']}",
        }
        times: dict[str, float] = {}
        for name, pattern in marks.items():
            found = re.search(rf"^(\S+) \w+ \S+ .*{pattern}", text, re.M)
            if not found:
                raise RuntimeError(f"the log has no line of '{pattern}'")
            times[name] = datetime.fromisoformat(found[1].replace("Z", "+00:00")).timestamp()
        names = list(marks)
        return {f"{a}_{b}_us": round((times[b] - times[a]) * 1e6) for a, b in zip(names, names[1:])}

    def wait_gone(self, sandbox_id: str) -> None:
        folder = self.service.run / "sandboxes" / sandbox_id
        until = time.monotonic() + 30
        while folder.exists() and time.monotonic() < until:
            time.sleep(0.05)

    def cold_starts(self) -> dict[str, list[dict[str, int]]]:
        """In turns, as everything here."""
        n = 3 if self.quick else 10
        result: dict[str, list[dict[str, int]]] = {"floor": [], "ours": []}
        for i in range(n):
            result["floor"].append(self.floor())
            result["ours"].append(self.cold(f"cold{i}"))
        return result

    def roles(self) -> dict[str, int]:
        pids = {r: self.service.pid_of(r) for r in ("supervisor", "hub", "keeper")}
        pids |= {"warden": self.warden_pid, "init": self.init_pid, "kernel": self.kernel_pid}
        for line in subprocess.run(["pgrep", "-f", str(self.podman.path)], capture_output=True, text=True).stdout.split():
            if Path(f"/proc/{line}/comm").read_text().startswith("podman"):
                pids["podman service"] = int(line)
        return pids

    def memory(self) -> dict[str, Memory]:
        return {name: Memory.of(pid) for name, pid in self.roles().items()}

    def run(self, only: list[str]) -> dict[str, Any]:
        parts = {"pass": self.latency, "cold": self.cold_starts, "bulk": self.bulk}
        self.find_kernel()
        result: dict[str, Any] = {"machine": describe(Path(self.service.binary), self.first), "memory": {"idle": self.memory()}}
        hub = self.service.pid_of("hub")
        for name in only:
            say(name)
            result[name] = parts[name]()
            if self.service.pid_of("hub") != hub:
                result.setdefault("restarts", []).append(name)
                hub = self.service.pid_of("hub")
            result["memory"][f"after {name}"] = self.memory()
        result["durability"] = self.durability
        return result


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def bench(options: argparse.Namespace, parts: list[str]) -> dict[str, Any]:
    service = Service("limits/max_output_bytes=256M", "template/default=" + IMAGE)
    try:
        service.start()
        return Bench(service, options.quick, options.first).run(parts)
    finally:
        service.destroy()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few samples: to see that it works")
    parser.add_argument("--only", action="append", choices=(*PARTS, "jupyter"), help="a part; more than once for more")
    parser.add_argument("--first", action="store_true", help="let both sides go before all others: for a machine that others use too (not jupyter)")
    parser.add_argument("--jupyter", metavar="PYTHON", help="a Python that has jupyter_server and ipykernel; else the newest are installed for the run")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/BENCHMARKS.md")
    parser.add_argument("--raw", metavar="FILE", help="leave all samples there, as JSON")
    options = parser.parse_args()
    only = options.only or [*PARTS, "jupyter"]
    parts = [p for p in PARTS if p in only]
    if options.write and parts and parts != list(PARTS):
        parser.error("--write wants the whole of it, or jupyter alone")
    page = HERE.parents[1] / "docs/BENCHMARKS.md"
    results: dict[str, Any] = {}
    wrong = 0
    if parts:
        results["bench"] = bench(options, parts)
        text = report.write(results["bench"])
        print(text)
        wrong |= report.judge(results["bench"])
        if options.write:
            report.put_into(page, text)
    if "jupyter" in only:
        say("jupyter")
        results["jupyter"] = {"machine": describe(BUILD / "cmd/kernelhub", False), **jupyter.compare(find, options.jupyter, options.quick)}
        text = report_jupyter.write(results["jupyter"])
        print(text)
        wrong |= report_jupyter.judge(results["jupyter"])
        if options.write:
            report.put_into(page, text, report_jupyter.BEGIN, report_jupyter.END)
    if options.raw:
        Path(options.raw).write_text(json.dumps(results, default=vars))
    return wrong


if __name__ == "__main__":
    sys.exit(main())
