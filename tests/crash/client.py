"""A client that wants every event of its execution, however often the hub dies under it."""

from __future__ import annotations

import http.client
import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

from cells import Cell
from ledger import Ledger, Tally

STALL_SECONDS = 40  # a ping comes every 15 s
BROKEN = (OSError, http.client.HTTPException)
Hook = Callable[[], None]


def nothing() -> None:
    """No kill here."""


def chunked_lines(reply: http.client.HTTPResponse) -> Iterator[bytes]:
    """Whole lines of a chunked body. http.client's own readline() takes a break for the end."""
    if reply.getheader("Transfer-Encoding") != "chunked" or reply.fp is None:
        raise http.client.HTTPException("a stream is chunked")
    rest = b""
    while True:
        head = reply.fp.readline()
        if not head.endswith(b"\r\n"):
            raise http.client.IncompleteRead(head)
        size = int(head, 16)
        data = reply.fp.read(size + 2)
        if len(data) != size + 2:
            raise http.client.IncompleteRead(b"")
        if size == 0:
            if rest:
                raise http.client.HTTPException(f"the stream ended in mid-line: {rest[:100]!r}")
            return
        *lines, rest = (rest + data[:-2]).split(b"\n")
        yield from lines


class Client:
    """One execution at a time, by one of four ways: SSE or NDJSON as the reply of the submit, or async and then a follow."""

    def __init__(self, port: int, key: str, tally: Tally, rng: random.Random, patience: float) -> None:
        self.port = port
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self.tally = tally
        self.rng = rng
        self.patience = patience
        self.hub_may_end = False  # politely: then its streams end cleanly before their executions do

    def run(self, cell: Cell, session: str | None, on_sent: Hook = nothing, on_first_byte: Hook = nothing) -> Ledger:
        """To its end, checked. The hooks run once: behind the submit's last byte, behind the reply's first line. No session:
        a kernel for this run alone."""
        ledger = Ledger(cell, self.tally)
        if self.follow(ledger, session, on_sent, on_first_byte):
            self.verify(ledger)
        return ledger

    def run_cut(self, cell: Cell, session: str, statuses: set[str]) -> dict[str, Any]:
        """To an end of one of these statuses, checked. Returns `finished`."""
        ledger = Ledger(cell, self.tally)
        self.follow(ledger, session)
        return ledger.check_cut(self.stored(cell), statuses)

    def follow(self, ledger: Ledger, session: str | None, on_sent: Hook = nothing, on_first_byte: Hook = nothing) -> bool:
        """Until `finished`, through all breaks. False when it did not come in time, which is complained about."""
        cell = ledger.cell
        body: dict[str, Any] = {"code": cell.code, "language": cell.language, "execution_id": cell.id, "timeout_seconds": 3600}
        body |= {"session": session} if session else {"persistent": False}
        way = self.rng.choice(("sse", "ndjson", "async sse", "async ndjson"))
        deadline = time.monotonic() + self.patience
        submitted, n = False, 0
        while not ledger.finished:
            if time.monotonic() > deadline:
                self.tally.complain(f"{cell.id} ({cell.language}, {way}, {session}): no end after {self.patience:.0f} s; last event {ledger.last}")
                return False
            try:
                if submitted:
                    self.tally.add("reattached")
                    submitted = self._attach(ledger, way)
                else:
                    self.tally.add("submitted again", 1 if n else 0)
                    n += 1
                    submitted = self._submit(ledger, body, way, on_sent, on_first_byte)
                    on_sent = on_first_byte = nothing
            except TimeoutError:
                self.tally.complain(f"{cell.id}: nothing came for {STALL_SECONDS} s, not even a ping; last event {ledger.last}")
            except BROKEN:
                submitted = submitted or bool(ledger.records)
                time.sleep(self.rng.uniform(0.02, 0.3))
        return True

    # ---- requests ----

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=STALL_SECONDS)

    def _submit(self, ledger: Ledger, body: dict[str, Any], way: str, on_sent: Hook, on_first_byte: Hook) -> bool:
        """True when it was accepted."""
        connection = self._connect()
        try:
            accept = {"sse": "text/event-stream", "ndjson": "application/x-ndjson"}.get(way, "application/json")
            path = "/api/v1/execute" + ("/async" if way.startswith("async") else "")
            connection.request("POST", path, json.dumps(body), {**self.headers, "Accept": accept})
            on_sent()
            reply = connection.getresponse()
            if reply.status == 202:
                reply.read()
                on_first_byte()
                return True
            if reply.status == 200:
                self._read(ledger, reply, 0, on_first_byte)
                return True
            return self._refused(ledger, "submit", reply)
        finally:
            connection.close()

    def _attach(self, ledger: Ledger, way: str) -> bool:
        """False when the hub does not know the execution: it died before it took it."""
        connection = self._connect()
        try:
            path, headers = f"/api/v1/executions/{ledger.cell.id}/events?follow=1", dict(self.headers)
            if way.endswith("sse"):
                headers |= {"Accept": "text/event-stream", "Last-Event-ID": str(ledger.last)}
            else:
                headers["Accept"] = "application/x-ndjson"
                path += f"&after={ledger.last}"
            connection.request("GET", path, headers=headers)
            reply = connection.getresponse()
            if reply.status == 200:
                self._read(ledger, reply, ledger.last, nothing)
                return True
            if reply.status == 404 and not ledger.records and way in ("sse", "ndjson"):
                return False
            return self._refused(ledger, "attach", reply) or True
        finally:
            connection.close()

    def _refused(self, ledger: Ledger, what: str, reply: http.client.HTTPResponse) -> bool:
        text = reply.read()
        if reply.status == 503:  # it is starting or stopping
            self.tally.add("told 503")
        else:
            raise RuntimeError(f"{what} was answered {reply.status}: {text[:300]!r}")
        time.sleep(0.3)
        return False

    def _read(self, ledger: Ledger, reply: http.client.HTTPResponse, after: int, on_first: Hook) -> None:
        """Records until `finished`; a break is an exception, a clean end without it is a fault."""
        sse = "event-stream" in (reply.getheader("Content-Type") or "")
        expected, held = after + 1, b""
        for line in chunked_lines(reply):
            if sse and line.startswith(b"data: "):
                held = line[6:]
                continue
            raw, held = (held if not line else b"", b"") if sse else (line, b"")  # half an SSE event is no event
            if not raw or raw.startswith(b'{"v":1,"type":"ping"'):
                continue
            on_first()
            on_first = nothing
            expected = ledger.take(raw, expected) + 1
        if not ledger.finished and not self.hub_may_end:
            self.tally.complain(f"{ledger.cell.id}: the stream ended cleanly behind event {ledger.last}, without finished")

    # ---- afterwards ----

    def _get(self, path: str, accept: str = "application/json") -> bytes:
        """Tried until the hub answers."""
        deadline = time.monotonic() + self.patience
        while True:
            connection = self._connect()
            try:
                connection.request("GET", path, headers={**self.headers, "Accept": accept})
                reply = connection.getresponse()
                text = reply.read()
                if reply.status == 200:
                    return text
                if time.monotonic() > deadline or reply.status != 503:
                    self.tally.complain(f"GET {path} was answered {reply.status}: {text[:300]!r}")
                    return b""
            except BROKEN as e:
                if time.monotonic() > deadline:
                    self.tally.complain(f"GET {path}: no answer: {e!r}")
                    return b""
            finally:
                connection.close()
            time.sleep(0.1)

    def stored(self, cell: Cell) -> list[bytes]:
        return self._get(f"/api/v1/executions/{cell.id}/events", "application/x-ndjson").splitlines()

    def verify(self, ledger: Ledger) -> None:
        """The store has what the live stream showed, and that is what the cell had to say."""
        cell = ledger.cell
        displays = ledger.check(self.stored(cell))
        expected = cell.expected_images()
        if len(displays) != len(expected):
            self.tally.complain(f"{cell.id}: {len(displays)} images of {len(expected)}")
        for event, image in zip(displays, expected):
            value = event["data"]["image/png"]
            got = self._get(value["ref"]) if isinstance(value, dict) else value.encode()
            self.tally.add("images")
            if got != image:
                self.tally.complain(f"{cell.id}: image at event {event['seq']} has {len(got)} bytes of {len(image)}, or others: {got[:80]!r}")
        record = json.loads(self._get(f"/api/v1/executions/{cell.id}") or b"{}")
        if record.get("stdout") != "".join(cell.expected_lines()) or record.get("status") != cell.expected_status:
            self.tally.complain(f"{cell.id}: the record says {record.get('status')} and {len(record.get('stdout') or '')} bytes of stdout")

