"""What a warden keeps on disk while no hub takes it: all of it, in order, up to the file's size; then it says how much is missing."""

from __future__ import annotations

import subprocess
import time
import uuid
from pathlib import Path

from test_warden import SANITIZED, SLOW, ended
from warden_driver import END, GAP, Frame, Hub, Sandbox, pss_bytes, text_of

DISPLAYS = """
s = get_ipython().kernel.session; k = get_ipython().kernel
for i in range({n}):
    s.send(k.iopub_socket, 'display_data', {{'data': {{'text/plain': str(i) + ' ' * {pad}}}, 'metadata': {{}}}}, parent=k.get_parent())
"""


def run_alone(own: Sandbox, hub: Hub, kernel: uuid.UUID, code: str, seconds: float) -> tuple[float, uuid.UUID]:
    """Runs the code while no hub is there; says how long the kernel took."""
    execution = hub.execute(kernel, code)
    hub.until(lambda f: f.msg_type == "execute_input")
    hub.close()
    began = time.monotonic()
    while not ended(own, execution):
        assert time.monotonic() - began < seconds * SLOW, "the kernel did not come to its end"
        time.sleep(0.05)
    return time.monotonic() - began, execution


def read_all(own: Sandbox, last: int, execution: uuid.UUID) -> list[Frame]:
    """All frames up to the execution's end. The driver checks that numbers have no hole; a slow ACK costs nothing but time."""
    again = own.hub(epoch=own.epoch, last=last)
    return again.until(lambda f: f.type == END and f.execution == execution, 120 * SLOW)


def spooled_blocks(own: Sandbox) -> int:
    """Of the file without a name among the warden's descriptors."""
    for fd in Path(f"/proc/{own.warden.pid}/fd").iterdir():
        if fd.readlink().name.endswith("spool (deleted)"):
            return fd.stat().st_blocks
    raise AssertionError("the warden has no spool")


def test_a_hundred_thousand_displays_without_a_hub_are_all_there() -> None:
    n = 100_000 if not SANITIZED else 20_000
    with Sandbox(spool_mib=256) as own:
        hub = own.hub()
        kernel = hub.started()
        reading, _ = hub.run(kernel, DISPLAYS.format(n=n // 10, pad=1), timeout=60 * SLOW)  # with a hub, to compare
        took, execution = run_alone(own, hub, kernel, DISPLAYS.format(n=n, pad=200), 120)
        kept = pss_bytes(own.warden.pid)
        # memory takes the first part: most of what a sanitizer's few displays are
        assert spooled_blocks(own) * 512 > (20_000_000 if not SANITIZED else 1_000_000)
        frames = read_all(own, hub.last, execution)
        values = [int(f.content["data"]["text/plain"]) for f in frames if f.msg_type == "display_data"]
        assert values == list(range(n)) and not [f for f in frames if f.type == GAP] and frames[-1].json["complete"]
        with_hub = reading["duration_us"] / 1e6 * 10
        print(f"\n{n} displays without a hub in {took:.1f} s (with one {with_hub:.1f} s); PSS meanwhile {kept / 1e6:.1f} MB")
        assert took < 3 * with_hub + 5  # nobody waited for the disk
        deadline = time.monotonic() + 5
        while spooled_blocks(own) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert spooled_blocks(own) == 0
        if not SANITIZED:
            assert kept < 40_000_000


def test_a_million_lines_without_a_hub_are_all_there() -> None:
    n = 1_000_000 if not SANITIZED else 100_000
    with Sandbox(spool_mib=256) as own:
        hub = own.hub()
        kernel = hub.started()
        took, execution = run_alone(own, hub, kernel, f"for i in range({n}): print(i)", 120)
        frames = read_all(own, hub.last, execution)
        print(f"\n{n} lines without a hub in {took:.1f} s, {len(frames)} frames")
        assert text_of(frames) == "".join(f"{i}\n" for i in range(n))
        assert not [f for f in frames if f.type == GAP]


def test_what_the_file_does_not_hold_is_a_gap_and_all_before_it_is_there() -> None:
    code = "from IPython.display import display\nfor i in range(150): display({'text/plain': str(i) + ' ' * 1_000_000}, raw=True)\n"
    with Sandbox(spool_mib=64) as own:
        hub = own.hub()
        kernel = hub.started()
        _, execution = run_alone(own, hub, kernel, code, 60)
        frames = read_all(own, hub.last, execution)
        shown = [int(f.content["data"]["text/plain"]) for f in frames if f.msg_type == "display_data"]
        gaps = [f.json for f in frames if f.type == GAP]
        # the file and the memory; a stall of the disk may cost a little before the file is full
        assert shown[:60] == list(range(60)) and 64 <= len(shown) <= 102
        assert sum(g["messages"] for g in gaps) >= 150 - len(shown) and gaps[0]["bytes"] > 1_000_000
        assert frames[-1].json["how"] == "done" and frames[-1].json["complete"]


def test_a_full_disk_is_a_gap_and_neither_a_crash_nor_a_hang(tmp_path: Path) -> None:
    code = "from IPython.display import display\nfor i in range(250): display({'text/plain': str(i) + ' ' * 1_000_000}, raw=True)\n"
    small = tmp_path / "disk"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "small", str(small)], check=True)
    try:
        with Sandbox(spool_mib=256, spool=str(small / "spool")) as own:
            hub = own.hub()
            kernel = hub.started()
            _, execution = run_alone(own, hub, kernel, code, 60)
            assert 10_000_000 < spooled_blocks(own) * 512 <= 20 << 20
            frames = read_all(own, hub.last, execution)
            shown = [int(f.content["data"]["text/plain"]) for f in frames if f.msg_type == "display_data"]
            # the disk and the memory, of which there is more as long as the disk is only slow
            assert shown[:40] == list(range(40)) and len(shown) < 20 + 4 * 32 + 2
            assert sum(f.json["messages"] for f in frames if f.type == GAP) >= 250 - len(shown)
            assert "event=spool_full" in own.log_text()
            again = own.hub(epoch=own.epoch, last=frames[-1].number)
            _, frames = again.run(kernel, "print('goes on')")
            assert text_of(frames) == "goes on\n"
    finally:
        subprocess.run(["umount", str(small)], check=True)
