"""The only code that talks to the service: Wire with threads in mind, AsyncWire with asyncio.

Both do the same steps; what there is to decide is decided in _cursor, _retry and below.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from ._cursor import EventCursor
from ._new_file import NewFile
from ._requests import Request
from ._retry import Attempts, RetryPolicy, may_retry
from ._settings import Settings
from ._sse import RecordStream
from ._transfer import Download, Progress, Reading, Source
from ._version import __version__
from .errors import (
    ConnectionError_,
    KernelhubError,
    ProtocolError,
    TimeoutError_,
    error_from_reply,
)
from .event import Event

# Streams hold a connection each; an interrupt must never wait for one of them to end.
LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=20)
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)


def _headers(settings: Settings) -> dict[str, str]:
    headers = {"User-Agent": f"kernelhub-python/{__version__}"}
    if settings.token:
        headers["Authorization"] = f"Bearer {settings.token}"
    return headers


def _timeout(request: Request, seconds: float) -> httpx.Timeout:
    silence = request.seconds or seconds
    return httpx.Timeout(seconds, read=silence, write=silence, pool=None)


def _transport_error(error: httpx.TransportError, url: str) -> KernelhubError:
    """What httpx says, in our words."""
    if isinstance(error, NOT_SENT):
        return ConnectionError_(
            f"cannot reach {url}: {error or type(error).__name__}",
            sent=False,
            hint="is `kernelhub serve` running there? KERNELHUB_URL says where to look",
        )
    if isinstance(error, httpx.TimeoutException):
        return TimeoutError_(f"{url} did not answer in time")
    return ConnectionError_(f"lost the connection to {url}: {error or type(error).__name__}")


def _answer(request: Request, status: int, headers: httpx.Headers, body: bytes) -> Any:
    """The JSON of a reply, None for an empty one; raises what the service reports."""
    if status in request.answers:
        answer = _parsed(body)
        if isinstance(answer, dict) and "error" not in answer:
            return answer
    if not 200 <= status < 300:
        raise error_from_reply(status, headers, body)
    if request.is_text:
        return body.decode(), headers
    if not body:
        return None
    answer = _parsed(body)
    if answer is _BROKEN:
        raise ProtocolError(
            f"{request.method} {request.path}: the reply is no JSON: {body[:80]!r}",
            hint="is this the address of a Kernelhub service?",
        )
    return answer


def _sized(request: Request, reading: Reading) -> Request:
    """With the length of its body, when that is known: else it goes in chunks."""
    if reading.size is None:
        return request
    return replace(
        request, more_headers={**request.more_headers, "Content-Length": str(reading.size)}
    )


def _repeatable(request: Request, source: Source) -> Request:
    return request if source.can_repeat else replace(request, safe=False, undone=False)


def _teller(progress: Progress | None) -> Callable[[int, int | None], Awaitable[None]]:
    """Calls it, and waits for it when it is a coroutine function."""

    async def tell(at: int, size: int | None) -> None:
        answer = progress(at, size) if progress else None
        if inspect.isawaitable(answer):
            await answer

    return tell


_BROKEN = object()


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return _BROKEN


class Wire:
    """Sends requests and reads feeds, with threads: one may be shared by several."""

    def __init__(
        self,
        settings: Settings,
        timeout: float,
        policy: RetryPolicy,
        transport: httpx.BaseTransport | None,
    ) -> None:
        self.settings = settings
        self.policy = policy
        self._timeout = timeout
        self._http = httpx.Client(
            headers=_headers(settings),
            limits=LIMITS,
            transport=transport,
            trust_env=not settings.is_local,  # no proxy leads to this machine
        )

    def close(self) -> None:
        self._http.close()

    def _built(self, request: Request, content: Any = None) -> httpx.Request:
        return self._http.build_request(
            request.method,
            self.settings.url + request.path,
            params=dict(request.params) or None,
            content=request.content if content is None else content,
            headers=request.headers,
            timeout=_timeout(request, self._timeout),
        )

    def send(self, request: Request) -> Any:
        """The reply's JSON. Tries again where that is safe."""

        def once() -> Any:
            reply = self._http.send(self._built(request))
            return _answer(request, reply.status_code, reply.headers, reply.content)

        return self._tried(request, once)

    def save(self, request: Request, path: Path) -> None:
        """The reply's bytes become the file at `path`, however many; it is whole, or as it was."""

        def once() -> None:
            reply = self._http.send(self._built(request), stream=True)
            try:
                if reply.status_code != 200:
                    body = reply.read()
                    raise error_from_reply(reply.status_code, reply.headers, body)
                with NewFile(path) as file:
                    for chunk in reply.iter_bytes():
                        file.write(chunk)
            finally:
                reply.close()

        self._tried(request, once)

    def upload(self, request: Request, source: Source, progress: Progress | None) -> Any:
        """Sends the source as the request's body, answers as send() does."""

        def once() -> Any:
            with source.opened() as reading:
                sent = _sized(request, reading)
                reply = self._http.send(self._built(sent, reading.pieces(progress)))
                return _answer(sent, reply.status_code, reply.headers, reply.content)

        return self._tried(_repeatable(request, source), once)

    def download(self, request: Request, file: BinaryIO, progress: Progress | None = None) -> None:
        """The reply's bytes go into `file`, however many connections it takes."""
        place = Download(request, file)
        attempts = Attempts(self.policy, self.policy.retries)
        while True:
            error: KernelhubError
            reply: httpx.Response | None = None
            try:
                reply = self._http.send(self._built(place.request()), stream=True)
                if reply.status_code not in (200, 206):
                    raise error_from_reply(reply.status_code, reply.headers, reply.read())
                place.opened(reply.status_code, reply.headers)
                for data in reply.iter_bytes():
                    place.take(data)
                    if progress:
                        progress(place.at, place.size)
                return
            except httpx.TransportError as lost:
                error = _transport_error(lost, self.settings.url)
                error.__cause__ = lost
            except KernelhubError as refused:
                error = refused
            finally:
                if reply is not None:
                    reply.close()
            if place.has_advanced():
                attempts.reset()
            if not may_retry(error, request.safe):
                raise error
            time.sleep(attempts.failed(error))

    def _tried(self, request: Request, once: Callable[[], Any]) -> Any:
        policy = self.policy
        limit = policy.retries if request.retries is None else request.retries
        attempts = Attempts(policy, limit)
        while True:
            error: KernelhubError
            try:
                return once()
            except httpx.TransportError as lost:
                error = _transport_error(lost, self.settings.url)
                error.__cause__ = lost
            except KernelhubError as refused:
                error = refused
            if not may_retry(error, request.safe, request.undone):
                raise error
            time.sleep(attempts.failed(error))

    def records(self, request: Request) -> Generator[dict[str, Any], None, None]:
        """The records of a stream that cannot be taken up again, once it has begun."""

        def once() -> httpx.Response:
            reply = self._http.send(self._built(request), stream=True)
            if reply.status_code == 200:
                return reply
            try:
                body = reply.read()
            finally:
                reply.close()
            raise error_from_reply(reply.status_code, reply.headers, body)

        reply = self._tried(request, once)
        stream = RecordStream()
        try:
            for chunk in reply.iter_bytes():
                yield from stream.fed(chunk)
        except httpx.TransportError as lost:
            raise _transport_error(lost, self.settings.url) from lost
        finally:
            reply.close()

    def read(self, cursor: EventCursor) -> Generator[Event, None, None]:
        """The events of a feed, over as many connections as it takes."""
        while not cursor.done:
            error: KernelhubError | None = None
            reply: httpx.Response | None = None
            request = self._built(cursor.request(time.monotonic()))
            try:
                reply = self._http.send(request, stream=True)
                if reply.status_code == 200:
                    cursor.opened(reply.headers, time.monotonic())
                    for chunk in reply.iter_bytes():
                        yield from cursor.fed(chunk, time.monotonic())
                        if cursor.done or cursor.broken:
                            break
                else:
                    body = reply.read()
                    error = cursor.refused(reply.status_code, reply.headers, body)
            except httpx.TransportError as lost:
                error = _transport_error(lost, self.settings.url)
                error.__cause__ = lost
            finally:
                if reply is not None:
                    reply.close()
            if not cursor.done:
                time.sleep(cursor.lost(error, time.monotonic()))


class AsyncWire:
    """Sends requests and reads feeds, with asyncio."""

    def __init__(
        self,
        settings: Settings,
        timeout: float,
        policy: RetryPolicy,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        self.settings = settings
        self.policy = policy
        self._timeout = timeout
        self._http = httpx.AsyncClient(
            headers=_headers(settings),
            limits=LIMITS,
            transport=transport,
            trust_env=not settings.is_local,
        )

    async def close(self) -> None:
        await self._http.aclose()

    def _built(self, request: Request, content: Any = None) -> httpx.Request:
        return self._http.build_request(
            request.method,
            self.settings.url + request.path,
            params=dict(request.params) or None,
            content=request.content if content is None else content,
            headers=request.headers,
            timeout=_timeout(request, self._timeout),
        )

    async def send(self, request: Request) -> Any:
        """The reply's JSON. Tries again where that is safe."""

        async def once() -> Any:
            reply = await self._http.send(self._built(request))
            return _answer(request, reply.status_code, reply.headers, reply.content)

        return await self._tried(request, once)

    async def save(self, request: Request, path: Path) -> None:
        """The reply's bytes become the file at `path`, however many; it is whole, or as it was."""

        async def once() -> None:
            reply = await self._http.send(self._built(request), stream=True)
            try:
                if reply.status_code != 200:
                    body = await reply.aread()
                    raise error_from_reply(reply.status_code, reply.headers, body)
                with NewFile(path) as file:
                    async for chunk in reply.aiter_bytes():
                        await asyncio.to_thread(file.write, chunk)
            finally:
                await reply.aclose()

        await self._tried(request, once)

    async def upload(self, request: Request, source: Source, progress: Progress | None) -> Any:
        """Sends the source as the request's body, answers as send() does."""

        async def once() -> Any:
            with source.opened() as reading:

                async def read() -> bytes:
                    return await asyncio.to_thread(reading.piece)

                sent = _sized(request, reading)
                content = reading.pieces_async(read, _teller(progress))
                reply = await self._http.send(self._built(sent, content))
                return _answer(sent, reply.status_code, reply.headers, reply.content)

        return await self._tried(_repeatable(request, source), once)

    async def download(
        self, request: Request, file: BinaryIO, progress: Progress | None = None
    ) -> None:
        """The reply's bytes go into `file`, however many connections it takes."""
        place, tell = Download(request, file), _teller(progress)
        attempts = Attempts(self.policy, self.policy.retries)
        while True:
            error: KernelhubError
            reply: httpx.Response | None = None
            try:
                reply = await self._http.send(self._built(place.request()), stream=True)
                if reply.status_code not in (200, 206):
                    body = await reply.aread()
                    raise error_from_reply(reply.status_code, reply.headers, body)
                place.opened(reply.status_code, reply.headers)
                async for data in reply.aiter_bytes():
                    await asyncio.to_thread(place.take, data)
                    await tell(place.at, place.size)
                return
            except httpx.TransportError as lost:
                error = _transport_error(lost, self.settings.url)
                error.__cause__ = lost
            except KernelhubError as refused:
                error = refused
            finally:
                if reply is not None:
                    await reply.aclose()
            if place.has_advanced():
                attempts.reset()
            if not may_retry(error, request.safe):
                raise error
            await asyncio.sleep(attempts.failed(error))

    async def _tried(self, request: Request, once: Callable[[], Awaitable[Any]]) -> Any:
        policy = self.policy
        limit = policy.retries if request.retries is None else request.retries
        attempts = Attempts(policy, limit)
        while True:
            error: KernelhubError
            try:
                return await once()
            except httpx.TransportError as lost:
                error = _transport_error(lost, self.settings.url)
                error.__cause__ = lost
            except KernelhubError as refused:
                error = refused
            if not may_retry(error, request.safe, request.undone):
                raise error
            await asyncio.sleep(attempts.failed(error))

    async def records(self, request: Request) -> AsyncGenerator[dict[str, Any], None]:
        """The records of a stream that cannot be taken up again, once it has begun."""

        async def once() -> httpx.Response:
            reply = await self._http.send(self._built(request), stream=True)
            if reply.status_code == 200:
                return reply
            try:
                body = await reply.aread()
            finally:
                await reply.aclose()
            raise error_from_reply(reply.status_code, reply.headers, body)

        reply = await self._tried(request, once)
        stream = RecordStream()
        try:
            async for chunk in reply.aiter_bytes():
                for record in stream.fed(chunk):
                    yield record
        except httpx.TransportError as lost:
            raise _transport_error(lost, self.settings.url) from lost
        finally:
            await reply.aclose()

    async def read(self, cursor: EventCursor) -> AsyncGenerator[Event, None]:
        """The events of a feed, over as many connections as it takes."""
        while not cursor.done:
            error: KernelhubError | None = None
            reply: httpx.Response | None = None
            request = self._built(cursor.request(time.monotonic()))
            try:
                reply = await self._http.send(request, stream=True)
                if reply.status_code == 200:
                    cursor.opened(reply.headers, time.monotonic())
                    async for chunk in reply.aiter_bytes():
                        for event in cursor.fed(chunk, time.monotonic()):
                            yield event
                        if cursor.done or cursor.broken:
                            break
                else:
                    body = await reply.aread()
                    error = cursor.refused(reply.status_code, reply.headers, body)
            except httpx.TransportError as lost:
                error = _transport_error(lost, self.settings.url)
                error.__cause__ = lost
            finally:
                if reply is not None:
                    await reply.aclose()
            if not cursor.done:
                await asyncio.sleep(cursor.lost(error, time.monotonic()))
