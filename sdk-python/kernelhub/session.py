"""One session: a name for a kernel that keeps its state between runs."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING, Any

from ._requests import ExecuteOptions
from ._wire import AsyncWire, Wire
from .event import Event
from .info import SessionInfo
from .runner import AsyncRunner, Runner
from .sessions import AsyncSessions, Sessions

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._requests import NotebookOptions


def _defaults(name: str, language: str | None, sandbox: str | None) -> ExecuteOptions:
    return {"session": name, "language": language, "sandbox": sandbox}


class Session(Runner):
    """A session by name, made by its first run. `execute`, `stream` and `submit` run in it."""

    def __init__(
        self, wire: Wire, name: str, language: str | None = None, sandbox: str | None = None
    ) -> None:
        super().__init__(wire, _defaults(name, language, sandbox))
        self._sessions = Sessions(wire)
        self.name = name
        self.language = language

    def info(self) -> SessionInfo:
        return self._sessions.get(self.name)

    def restart(self) -> None:
        """A fresh kernel under the same name; its variables are gone."""
        self._sessions.restart(self.name)

    def interrupt(self) -> None:
        """Stops what runs in it now."""
        self._sessions.interrupt(self.name)

    def delete(self) -> None:
        """Ends the kernel and forgets the name; the history stays."""
        self._sessions.delete(self.name)

    def notebook(self, **options: Unpack[NotebookOptions]) -> dict[str, Any]:
        """What it has run, as a Jupyter notebook (nbformat 4.5); also when it has ended."""
        return self._sessions.notebook(self.name, **options)

    def save_notebook(
        self, path: str | os.PathLike[str], **options: Unpack[NotebookOptions]
    ) -> None:
        """The same to a file, however large: it is whole, or as it was."""
        self._sessions.save_notebook(self.name, path, **options)

    def events(self, after: int = 0, follow: bool = True) -> Generator[Event, None, None]:
        """The session's own feed: kernel_status, restarted, late. It ends with the session."""
        return self._sessions.events(self.name, after, follow)

    def __repr__(self) -> str:
        return f"<Session {self.name!r}>"


class AsyncSession(AsyncRunner):
    """A session by name, made by its first run. `execute`, `stream` and `submit` run in it."""

    def __init__(
        self, wire: AsyncWire, name: str, language: str | None = None, sandbox: str | None = None
    ) -> None:
        super().__init__(wire, _defaults(name, language, sandbox))
        self._sessions = AsyncSessions(wire)
        self.name = name
        self.language = language

    async def info(self) -> SessionInfo:
        return await self._sessions.get(self.name)

    async def restart(self) -> None:
        """A fresh kernel under the same name; its variables are gone."""
        await self._sessions.restart(self.name)

    async def interrupt(self) -> None:
        """Stops what runs in it now."""
        await self._sessions.interrupt(self.name)

    async def delete(self) -> None:
        """Ends the kernel and forgets the name; the history stays."""
        await self._sessions.delete(self.name)

    async def notebook(self, **options: Unpack[NotebookOptions]) -> dict[str, Any]:
        """What it has run, as a Jupyter notebook (nbformat 4.5); also when it has ended."""
        return await self._sessions.notebook(self.name, **options)

    async def save_notebook(
        self, path: str | os.PathLike[str], **options: Unpack[NotebookOptions]
    ) -> None:
        """The same to a file, however large: it is whole, or as it was."""
        await self._sessions.save_notebook(self.name, path, **options)

    def events(self, after: int = 0, follow: bool = True) -> AsyncGenerator[Event, None]:
        """The session's own feed: kernel_status, restarted, late. It ends with the session."""
        return self._sessions.events(self.name, after, follow)

    def __repr__(self) -> str:
        return f"<AsyncSession {self.name!r}>"
