"""Nothing is left behind: what every suite of ours does alike. A conftest.py says `from tidy import *`.

All temporary files of a run, also those of the programs it starts, are in one folder, which is $TMPDIR meanwhile. A test
that leaves a file there has failed; so has a run that leaves a process, a mount or a container. SIGTERM and SIGINT end a
run by its fixtures' own endings.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

__all__ = ["leaves_no_file", "leaves_nothing"]

MARK = "SUITE_OF_KERNELHUB"  # in the environment of all that a run starts; KERNELHUB_… would be settings
KEEP = bool(os.environ.get("KERNELHUB_KEEP"))  # a developer wants to look at what a failed test had


def begin() -> Path:
    """The folder of this run. Short: sockets are below it, and their names are at most 107 bytes long."""
    above = os.environ.setdefault(f"{MARK}_ABOVE", tempfile.gettempdir())  # pytest-xdist's workers: not in each other
    folder = Path(tempfile.mkdtemp(prefix="k", dir=above))
    folder.chmod(0o1777)  # wardens and kernels have users of their own
    pid = os.getpid()

    def end() -> None:
        if os.getpid() == pid and not KEEP:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    os.environ[MARK] = str(uuid.uuid4())
    return folder


def on_signal(number: int, _frame: FrameType | None) -> None:
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)  # a second one would break off the ending
    raise KeyboardInterrupt(signal.Signals(number).name)


FOLDER = begin()
for _each in (signal.SIGINT, signal.SIGTERM):  # also SIGINT: who is started in a shell's background is deaf to it
    signal.signal(_each, on_signal)


def files() -> set[str]:
    """What is in the folder, without pytest's own."""
    return {name for name in os.listdir(FOLDER) if not name.startswith("pytest-of-")}


def processes() -> list[str]:
    """What this run has started, and what that has started, as far as it kept its environment."""
    mark = f"{MARK}={os.environ[MARK]}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.append(f"process {entry.name}: {command[:120]}")
        except OSError:
            continue  # it ended meanwhile
    return found


def mounts() -> list[str]:
    return [f"mount {line.split()[1]}" for line in Path("/proc/self/mounts").read_text().splitlines() if f"{FOLDER}/" in line]


def containers() -> list[str]:
    """Those that have something of the folder mounted: each of ours has its socket from there."""
    if not shutil.which("podman"):
        return []
    listed = subprocess.run(["podman", "ps", "-aq"], capture_output=True, text=True, timeout=60, check=True).stdout.split()
    if not listed:
        return []
    # One that ended meanwhile makes it fail; it says all about the others.
    command = ["podman", "inspect", "--type=container", "--format", "{{.Id}}{{range .Mounts}} {{.Source}}{{end}}", *listed]
    mounted = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    return [f"container {line.split()[0]}" for line in mounted.splitlines() if f" {FOLDER}/" in line]


def left_over() -> list[str]:
    kept = [] if KEEP else sorted(files())
    return processes() + mounts() + containers() + [f"file {FOLDER}/{name}" for name in kept]


@pytest.fixture(autouse=True)
def leaves_no_file() -> Iterator[None]:
    before = files()
    yield
    left = set() if KEEP else files() - before
    assert not left, f"the test leaves in {FOLDER}: {sorted(left)}"


@pytest.fixture(scope="session", autouse=True)
def leaves_nothing() -> Iterator[None]:
    """Ends after every other fixture of the run. What was told to end gets the time to."""
    yield
    until = time.monotonic() + 5
    while (left := left_over()) and time.monotonic() < until:
        time.sleep(0.1)
    assert not left, f"the run leaves: {left}"
