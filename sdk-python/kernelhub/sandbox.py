"""One sandbox to work in: made when it is asked for, ended with its `with` block."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from ._json import Json
from ._wire import AsyncWire, Wire
from .commander import AsyncCommander, Commander
from .errors import GoneError, NotFoundError
from .files import AsyncFiles, Files
from .info import SandboxInfo
from .runner import AsyncRunner, Runner
from .sandboxes import AsyncSandboxes, Sandboxes
from .session import AsyncSession, Session

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._requests import SandboxChanges, SandboxOptions

GONE = (GoneError, NotFoundError)


class Sandbox(Runner, Commander):
    """A sandbox. `execute`, `stream`, `submit` and `exec` run in it; `with` ends it at the end."""

    def __init__(self, wire: Wire, sandbox_id: str) -> None:
        Runner.__init__(self, wire, {"sandbox": sandbox_id})
        Commander.__init__(self, wire, sandbox_id)
        self._sandboxes = Sandboxes(wire)
        self.files = Files(wire, sandbox_id)
        self.sandbox_id = sandbox_id

    def info(self) -> SandboxInfo:
        return self._sandboxes.get(self.sandbox_id)

    def update(self, **changes: Unpack[SandboxChanges]) -> SandboxInfo:
        """Changes labels, or prolongs the lease."""
        return self._sandboxes.update(self.sandbox_id, **changes)

    def reset(self) -> None:
        """A fresh container under the same id and name; the workspace stays."""
        self._sandboxes.reset(self.sandbox_id)

    def stats(self) -> Json:
        """What it uses now: cpu_ms, memory_bytes, pids …"""
        return self._sandboxes.stats(self.sandbox_id)

    def logs(self, tail: int | None = None) -> list[Json]:
        """What happened to it, oldest first."""
        return self._sandboxes.logs(self.sandbox_id, tail)

    def session(self, name: str, language: str | None = None) -> Session:
        """A session in this sandbox. Asks the service nothing: its first run makes it."""
        return Session(self._wire, name, language, self.sandbox_id)

    def delete(self) -> None:
        """Ends it and everything that runs in it; returns when it is gone."""
        self._sandboxes.delete(self.sandbox_id)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(*GONE):  # its lease may have ended first
            self.delete()

    def __repr__(self) -> str:
        return f"<Sandbox {self.sandbox_id}>"


class AsyncSandbox(AsyncRunner, AsyncCommander):
    """A sandbox. `execute`, `stream`, `submit`, `exec` run in it; `async with` ends it at the end."""

    def __init__(self, wire: AsyncWire, sandbox_id: str) -> None:
        AsyncRunner.__init__(self, wire, {"sandbox": sandbox_id})
        AsyncCommander.__init__(self, wire, sandbox_id)
        self._sandboxes = AsyncSandboxes(wire)
        self.files = AsyncFiles(wire, sandbox_id)
        self.sandbox_id = sandbox_id

    async def info(self) -> SandboxInfo:
        return await self._sandboxes.get(self.sandbox_id)

    async def update(self, **changes: Unpack[SandboxChanges]) -> SandboxInfo:
        """Changes labels, or prolongs the lease."""
        return await self._sandboxes.update(self.sandbox_id, **changes)

    async def reset(self) -> None:
        """A fresh container under the same id and name; the workspace stays."""
        await self._sandboxes.reset(self.sandbox_id)

    async def stats(self) -> Json:
        """What it uses now: cpu_ms, memory_bytes, pids …"""
        return await self._sandboxes.stats(self.sandbox_id)

    async def logs(self, tail: int | None = None) -> list[Json]:
        """What happened to it, oldest first."""
        return await self._sandboxes.logs(self.sandbox_id, tail)

    def session(self, name: str, language: str | None = None) -> AsyncSession:
        """A session in this sandbox. Asks the service nothing: its first run makes it."""
        return AsyncSession(self._wire, name, language, self.sandbox_id)

    async def delete(self) -> None:
        """Ends it and everything that runs in it; returns when it is gone."""
        await self._sandboxes.delete(self.sandbox_id)

    def __repr__(self) -> str:
        return f"<AsyncSandbox {self.sandbox_id}>"


class NewAsyncSandbox:
    """What `hub.sandbox()` gives with asyncio: `await` it, or `async with` it."""

    def __init__(self, wire: AsyncWire, options: SandboxOptions) -> None:
        self._wire = wire
        self._options = options
        self._made: AsyncSandbox | None = None

    async def _make(self) -> AsyncSandbox:
        info = await AsyncSandboxes(self._wire).create(**self._options)
        return AsyncSandbox(self._wire, info.sandbox_id)

    def __await__(self) -> Generator[object, None, AsyncSandbox]:
        return self._make().__await__()

    async def __aenter__(self) -> AsyncSandbox:
        self._made = await self._make()
        return self._made

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._made is not None
        with suppress(*GONE):  # its lease may have ended first
            await self._made.delete()
