"""A service in the test's own process: answers as API.md says, and breaks where it is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx

from kernelhub import AsyncClient, Client, RetryPolicy

URL = "http://hub.test:8080"
TOKEN = "kh_test"
NO_PAUSE = RetryPolicy(first_delay=0.0)


def event(seq: int, kind: str, execution_id: str = "e", **fields: Any) -> dict[str, Any]:
    return {
        "v": 1,
        "seq": seq,
        "ts": "2026-11-21T10:00:00.123456Z",
        "execution_id": execution_id,
        "session": "python",
        "kernel_id": "k",
        "type": kind,
        **fields,
    }


def a_run(execution_id: str = "e") -> list[dict[str, Any]]:
    """The events of one run, one of each kind, with text that splits badly."""
    parts: list[tuple[str, dict[str, Any]]] = [
        ("queued", {"position": 0}),
        ("started", {"code": "…", "language": "python", "execution_count": 1}),
        ("stdout", {"text": "zwölf 12€ 🙂\n"}),
        ("stderr", {"text": "warn\r\n"}),
        ("display", {"data": {"text/plain": "<fig>", "image/png": "aGk="}, "metadata": {}}),
        ("result", {"data": {"text/plain": "42"}, "metadata": {}, "execution_count": 1}),
        ("error", {"name": "ValueError", "value": "no", "traceback": ["a", "b"]}),
        ("files_changed", {"items": [{"path": "o.png", "bytes": 1, "change": "created"}]}),
        ("finished", {"status": "ok", "exit_code": 0, "duration_ms": 12, "last_seq": 9}),
    ]
    return [event(i, kind, execution_id, **f) for i, (kind, f) in enumerate(parts, 1)]


def sse(events: list[dict[str, Any]]) -> bytes:
    """As the service writes it: a comment, no event names, ids that are numbers."""
    text = ": hello\n\n"
    for one in events:
        if "seq" in one:
            text += f"id: {one['seq']}\n"
        text += f"data: {json.dumps(one, ensure_ascii=False)}\n\n"
    return text.encode()


def record(execution_id: str = "e", **fields: Any) -> dict[str, Any]:
    return {
        "execution_id": execution_id,
        "session": "python",
        "kernel_id": "k",
        "sandbox_id": "s",
        "language": "python",
        "execution_count": 3,
        "status": "ok",
        "stdout": "42\n",
        "stderr": "",
        "results": [
            {"data": {"text/plain": "<fig>", "image/png": "aGk="}, "metadata": {"w": 1}},
            {"data": {"text/plain": "42"}, "metadata": {}, "is_main_result": True},
        ],
        "error": None,
        "exit_code": 0,
        "duration_ms": 12,
        "timing": {"queued_us": 40, "kernel_us": 11810, "total_us": 12240, "new": 1},
        "files_changed": [{"path": "out.png", "bytes": 48211, "change": "created"}],
        "files_created": ["out.png"],
        "resource_usage": {"cpu_ms": 8, "cpu_percent": 66.0, "memory_bytes": 1, "pids": 9},
        "truncated": False,
        "labels": {"a": "b"},
        "events_url": f"/api/v1/executions/{execution_id}/events",
        "created_at": "2026-11-21T10:00:00Z",
        "a_field_of_tomorrow": {"x": [1]},
        **fields,
    }


def error_reply(
    status: int, code: str, headers: dict[str, str] | None = None, **fields: Any
) -> httpx.Response:
    error = {"code": code, "message": f"it is {code}", "request_id": "r1", **fields}
    return httpx.Response(status, headers=headers, json={"error": error})


class Cut(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that comes in pieces and, with `at`, breaks behind that many bytes."""

    def __init__(self, body: bytes, at: int | None = None, piece: int = 7) -> None:
        self._body = body if at is None else body[:at]
        self._breaks = at is not None
        self._piece = piece

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self._body), self._piece):
            yield self._body[start : start + self._piece]
        if self._breaks:
            raise httpx.ReadError("cut")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


def stream_reply(body: bytes, at: int | None = None, piece: int = 7) -> httpx.Response:
    headers = {"Content-Type": "text/event-stream; charset=utf-8"}
    return httpx.Response(200, headers=headers, stream=Cut(body, at, piece))


Answer = Callable[[httpx.Request], httpx.Response] | httpx.Response | Exception


class FakeHub:
    """Gives the scripted answers in order, and keeps what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        assert self._answers, f"not expected: {request.method} {request.url}"
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if not isinstance(answer, httpx.Response):
            return answer(request)
        if isinstance(answer.stream, Cut):
            return answer
        # A copy: a response remembers whether Client or AsyncClient has read it.
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    @property
    def left(self) -> int:
        return len(self._answers)

    def lines(self) -> list[str]:
        """`METHOD path?query` of each request."""
        return [f"{r.method} {r.url.raw_path.decode()}" for r in self.requests]

    def bodies(self) -> list[Any]:
        return [json.loads(r.content) for r in self.requests if r.content]


class SyncDriver:
    """Lets one test speak for Client …"""

    def client(self, hub: FakeHub, policy: RetryPolicy = NO_PAUSE) -> Client:
        return Client(URL, TOKEN, retry=policy, transport=httpx.MockTransport(hub))

    def call(self, hub: FakeHub, work: Callable[[Any], Any], policy: RetryPolicy = NO_PAUSE) -> Any:
        with self.client(hub, policy) as client:
            result = work(client)
            return list(result) if isinstance(result, Iterator) else result


class AsyncDriver:
    """… and for AsyncClient: what is awaitable is awaited, what is an async iterator drained."""

    def call(self, hub: FakeHub, work: Callable[[Any], Any], policy: RetryPolicy = NO_PAUSE) -> Any:
        async def run() -> Any:
            transport = httpx.MockTransport(hub)
            async with AsyncClient(URL, TOKEN, retry=policy, transport=transport) as client:
                result = work(client)
                if isinstance(result, AsyncIterator):
                    return [item async for item in result]
                return await result if hasattr(result, "__await__") else result

        return asyncio.run(run())
