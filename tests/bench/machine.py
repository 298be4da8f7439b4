"""What the figures were taken on, and how much memory a process holds."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path


@dataclass(frozen=True)
class Memory:
    rss_kib: int
    pss_kib: int
    private_kib: int

    @staticmethod
    def of(pid: int) -> Memory:
        values: dict[str, int] = {}
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, _, rest = line.partition(":")
            values[name] = int(rest.split()[0])
        return Memory(values["Rss"], values["Pss"], values["Private_Clean"] + values["Private_Dirty"])


def output_of(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def describe(binary: Path, first: bool) -> list[str]:
    """One line per fact, for a person who compares two tables."""
    cpu = next((x.split(":")[1].strip() for x in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in x), "?")
    memory = next(x.split()[1] for x in Path("/proc/meminfo").read_text().splitlines() if x.startswith("MemTotal"))
    system = next(
        (x.split("=")[1].strip('"') for x in Path("/etc/os-release").read_text().splitlines() if x.startswith("PRETTY_NAME=")), "?"
    )
    root = Path(__file__).resolve().parents[2]
    return [
        f"date: {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC; the program was built {datetime.fromtimestamp(binary.stat().st_mtime, timezone.utc):%Y-%m-%d %H:%M} UTC "
        f"(the checkout is at {output_of('git', '-C', str(root), 'describe', '--always', '--dirty')} now)",
        f"machine: {os.cpu_count()} CPUs ({cpu}), {int(memory) >> 20} GiB, Linux {platform.release()}, {system}, "
        + output_of("podman", "--version"),
        f"load average at the start: {' '.join(f'{x:.1f}' for x in os.getloadavg())}"
        + ("; because others use the machine, all that is measured, on both sides, ran before them: nice -20 and the greatest cgroup weight" if first else ""),
    ]


def children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def cpu_group(pid: int) -> Path:
    """Of the controller "cpu", in cgroup v1 or v2."""
    lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    return Path(next(path for _, names, path in lines if names == "" or "cpu" in names.split(",")))


def put_first(pids: list[int]) -> None:
    """Nice -20 for all their threads, and the greatest weight for the control groups of our own instance that they are in."""
    root = Path("/sys/fs/cgroup/cpu") if Path("/sys/fs/cgroup/cpu").is_dir() else Path("/sys/fs/cgroup")
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.setpriority(os.PRIO_PROCESS, int(thread.name), -20)
        group = cpu_group(pid)
        while group.parent != group and len(group.parts) > 1 and group.parts[1].startswith("kernelhub-"):
            for name, weight in (("cpu.shares", "262144"), ("cpu.weight", "10000")):
                file = root.joinpath(*group.parts[1:], name)
                if file.exists():
                    file.write_text(weight)
            group = group.parent
