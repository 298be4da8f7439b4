"""What each number meant, who saw it, and what is wrong."""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from cells import Cell


class Tally:
    """Counts and complaints of a whole run; any thread may add."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.complaints: list[str] = []
        self.health_seconds: list[float] = []

    def add(self, name: str, n: int = 1) -> None:
        with self._lock:
            self.counts[name] += n

    def complain(self, text: str) -> None:
        with self._lock:
            self.complaints.append(text[:2000])
            print(f"crash: WRONG: {text[:2000]}", flush=True)

    def report(self) -> str:
        c, times = self.counts, self.health_seconds
        mean = sum(times) / len(times) if times else 0.0
        return (
            f"kills={c['kills']} executions={c['executions']} events={c['events']} lines={c['lines']} images={c['images']} "
            f"lost={c['lost']} doubled={c['doubled']} changed_numbers={c['changed']} submitted_again={c['submitted again']} "
            f"reattached={c['reattached']} mean_ms_to_health={mean * 1000:.0f} max_ms_to_health={max(times, default=0) * 1000:.0f} "
            f"wrong={len(self.complaints)}"
        )


@dataclass
class Ledger:
    """The records of one execution: each number with the bytes it came with first."""

    cell: Cell
    tally: Tally
    records: dict[int, bytes] = field(default_factory=dict)
    last: int = 0  # highest without a hole
    finished: bool = False

    def take(self, raw: bytes, expected_seq: int) -> int:
        """One record from a stream where `expected_seq` must come now. Returns its number."""
        seq = int(json.loads(raw)["seq"])
        if seq != expected_seq:
            self.tally.complain(f"{self.cell.id}: event {seq} came where {expected_seq} should: {raw[:200]!r}")
        known = self.records.setdefault(seq, raw)
        if known != raw:
            self.tally.add("changed")
            self.tally.complain(f"{self.cell.id}: event {seq} was {known[:300]!r}, then {raw[:300]!r}")
        while self.last + 1 in self.records:
            self.last += 1
        if b'"type":"finished"' in raw and json.loads(raw)["type"] == "finished":
            self.finished = True
        return seq

    def check_cut(self, stored: list[bytes], statuses: set[str]) -> dict[str, Any]:
        """Of a run that something was killed under: what came is a true beginning, told once, with a true end. Returns that."""
        cell, tally = self.cell, self.tally
        events = self._check_same(stored)
        kinds = Counter(e["type"] for e in events)
        end: dict[str, Any] = events[-1] if events else {}
        if kinds["finished"] != 1 or end.get("type") != "finished" or end.get("last_seq") != len(events):
            tally.complain(f"{cell.id}: finished is not once and last: {dict(kinds)}")
        if end.get("status") not in statuses or kinds["started"] > 1 or (kinds["stdout"] and not kinds["started"]):
            tally.complain(f"{cell.id} ({cell.language}): ended as {str(end)[:700]} and not as {sorted(statuses)}; {dict(kinds)}")
        text, whole = "".join(e["text"] for e in events if e["type"] == "stdout"), "".join(cell.expected_lines())
        if end.get("status") == "ok" and text != whole or not whole.startswith(text):
            tally.complain(f"{cell.id} ({cell.language}): what it printed is not its beginning: {text[-300:]!r}")
        tally.add("executions")
        tally.add("events", len(events))
        tally.add("lines", text.count("\n"))
        tally.add(f"ended {end.get('status')}")
        return end

    def _check_same(self, stored: list[bytes]) -> list[dict[str, Any]]:
        cell, tally = self.cell, self.tally
        live = [self.records[seq] for seq in sorted(self.records)]
        if stored != live:
            tally.complain(f"{cell.id}: the store has {len(stored)} events, the live stream had {len(live)}; {self._difference(stored, live)}")
        events = [json.loads(line) for line in stored]
        if [e["seq"] for e in events] != list(range(1, len(events) + 1)):
            tally.complain(f"{cell.id}: numbers have holes: {[e['seq'] for e in events][:50]}")
        return events

    def check(self, stored: list[bytes]) -> list[dict[str, Any]]:
        """The store's lines against the live ones, and all of it against what the cell had to print. Returns the displays."""
        tally = self.tally
        events = self._check_same(stored)
        self._check_shape(events)
        self._check_lines("".join(e["text"] for e in events if e["type"] == "stdout"))
        tally.add("executions")
        tally.add("events", len(events))
        return [e for e in events if e["type"] == "display"]

    @staticmethod
    def _difference(a: list[bytes], b: list[bytes]) -> str:
        for i, (x, y) in enumerate(zip(a, b)):
            if x != y:
                return f"at {i + 1}: {x[:200]!r} and {y[:200]!r}"
        return "one ends before the other"

    def _check_shape(self, events: list[dict[str, Any]]) -> None:
        cell, tally = self.cell, self.tally
        kinds = Counter(e["type"] for e in events)
        wrong = []
        if kinds["finished"] != 1 or events[-1]["type"] != "finished" or events[-1].get("last_seq") != len(events):
            wrong.append("finished")
        if kinds["started"] != 1 or kinds["gap"]:
            wrong.append("started or gap")
        places = [e["position"] for e in events if e["type"] == "queued"]
        if any(a <= b for a, b in zip(places, places[1:])) or [e["type"] for e in events[: len(places)]] != ["queued"] * len(places):
            wrong.append(f"queued {places}")
        if kinds["error"] != (1 if cell.fails else 0):
            wrong.append("error")
        if kinds["result"] != (1 if not cell.fails and cell.language != "bash" else 0):
            wrong.append("result")
        if events and events[-1].get("status") != cell.expected_status:
            wrong.append("status")
        if wrong:
            tally.complain(f"{cell.id} ({cell.language}): wrong {', '.join(wrong)}: {dict(kinds)}, last {str(events[-1:])[:600]}")

    def _check_lines(self, text: str) -> None:
        cell, tally = self.cell, self.tally
        expected, got = cell.expected_lines(), text.splitlines(keepends=True)
        tally.add("lines", len(got))
        have, want = Counter(got), Counter(expected)
        lost, more = sum((want - have).values()), sum((have - want).values())
        tally.add("lost", lost)
        tally.add("doubled", more)
        if got != expected:
            at = next((i for i, (x, y) in enumerate(zip(got, expected)) if x != y), min(len(got), len(expected)))
            tally.complain(f"{cell.id} ({cell.language}): {lost} lines lost, {more} too many; first at line {at}: {got[at : at + 1]!r:.200}")
