"""A small HTTP server on loopback that cuts its connections at chosen bytes of a reply."""

from __future__ import annotations

import asyncio
import json
import threading
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fake import a_run, record, sse

Writer = asyncio.StreamWriter


class CuttingServer:
    """Answers as Kernelhub would. The first connections end early, by `cuts`, the later ones well.

    cuts    for each request in turn: behind how many bytes of the reply, headers too, it is cut
    reset   whether the cut is a TCP reset; else it looks like an orderly end
    starts  ids of the executions that were started: more than one, and code ran twice
    """

    def __init__(self, cuts: list[int], reset: bool = True) -> None:
        self.cuts = list(cuts)
        self.reset = reset
        self.starts: set[str] = set()
        self.requests: list[str] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> CuttingServer:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            self._loop.run_until_complete(task)
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *lines = head.split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (text.partition(":") for text in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        method, target, _ = line.split(" ")
        self.requests.append(f"{method} {target}")
        reply = self._reply(method, target, headers, json.loads(body) if body else {})
        cut = self.cuts.pop(0) if self.cuts else None
        writer.write(reply if cut is None else reply[:cut])
        if cut is not None and self.reset:
            # Let the bytes arrive: a reset may throw away what the peer has not read yet.
            await writer.drain()
            await asyncio.sleep(0.01)
            writer.transport.abort()
        writer.close()

    def _reply(
        self, method: str, target: str, headers: dict[str, str], body: dict[str, Any]
    ) -> bytes:
        url = urlsplit(target)
        parts = url.path.split("/")
        streams = "event-stream" in headers["accept"]
        execution_id = body["execution_id"] if method == "POST" else parts[4]
        if method == "POST":
            # What is cut before the reply has still been done, as when the service's host dies.
            self.starts.add(execution_id)
        if not streams:
            return _plain(json.dumps(record(execution_id)).encode())
        after = int(parse_qs(url.query).get("after", ["0"])[0])
        return _chunked(sse(a_run(execution_id)[after:]))


def _plain(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body


def _chunked(body: bytes, size: int = 50) -> bytes:
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
    reply = head.encode() + b"Connection: close\r\n\r\n"
    for start in range(0, len(body), size):
        piece = body[start : start + size]
        reply += f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
    return reply + b"0\r\n\r\n"
