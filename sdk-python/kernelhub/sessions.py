"""All sessions of the user: `hub.sessions`."""

from __future__ import annotations

import builtins
import os
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _json, _requests
from ._paging import Pages
from ._wire import AsyncWire, Wire
from .event import Event
from .feed import AsyncFeed, Feed
from .info import SessionInfo

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._requests import NotebookOptions


class Sessions:
    """`hub.sessions`: sessions by name. To work with one, see `hub.session(name)`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self) -> builtins.list[SessionInfo]:
        pages = Pages("sessions")
        found: builtins.list[SessionInfo] = []
        while not pages.done:
            reply = self._wire.send(_requests.sessions(pages.cursor))
            found += [SessionInfo.from_json(item) for item in pages.take(reply)]
        return found

    def create(
        self,
        name: str,
        *,
        language: str | None = None,
        sandbox: str | None = None,
        template: str | None = None,
    ) -> SessionInfo:
        """Makes the session and starts its kernel; execute() would make it too, when first used."""
        fields = {"name": name, "language": language, "sandbox": sandbox, "template": template}
        return SessionInfo.from_json(self._wire.send(_requests.create_session(fields)))

    def get(self, name: str) -> SessionInfo:
        return SessionInfo.from_json(self._wire.send(_requests.session(name)))

    def delete(self, name: str) -> None:
        """Ends the kernel and forgets the name; the history stays."""
        self._wire.send(_requests.delete_session(name))

    def restart(self, name: str) -> None:
        """A fresh kernel under the same name; its variables are gone."""
        self._wire.send(_requests.restart_session(name))

    def interrupt(self, name: str) -> None:
        """Stops what runs in it now."""
        self._wire.send(_requests.interrupt_session(name))

    def notebook(self, name: str, **options: Unpack[NotebookOptions]) -> dict[str, Any]:
        """What it has run, as a Jupyter notebook (nbformat 4.5); also of one that has ended."""
        return _json.as_object(self._wire.send(_requests.notebook(name, options)), "notebook")

    def save_notebook(
        self, name: str, path: str | os.PathLike[str], **options: Unpack[NotebookOptions]
    ) -> None:
        """The same to a file, however large: it is whole, or as it was."""
        self._wire.save(_requests.notebook(name, options), Path(path))

    def events(
        self, name: str, after: int = 0, follow: bool = True
    ) -> Generator[Event, None, None]:
        """The session's own feed: kernel_status, restarted, late. It ends with the session."""
        feed = Feed(self._wire, _requests.session_events(name), endless=True)
        return feed.events(after, follow)


class AsyncSessions:
    """`hub.sessions`: sessions by name. To work with one, see `hub.session(name)`."""

    def __init__(self, wire: AsyncWire) -> None:
        self._wire = wire

    async def list(self) -> builtins.list[SessionInfo]:
        pages = Pages("sessions")
        found: builtins.list[SessionInfo] = []
        while not pages.done:
            reply = await self._wire.send(_requests.sessions(pages.cursor))
            found += [SessionInfo.from_json(item) for item in pages.take(reply)]
        return found

    async def create(
        self,
        name: str,
        *,
        language: str | None = None,
        sandbox: str | None = None,
        template: str | None = None,
    ) -> SessionInfo:
        """Makes the session and starts its kernel; execute() would make it too, when first used."""
        fields = {"name": name, "language": language, "sandbox": sandbox, "template": template}
        return SessionInfo.from_json(await self._wire.send(_requests.create_session(fields)))

    async def get(self, name: str) -> SessionInfo:
        return SessionInfo.from_json(await self._wire.send(_requests.session(name)))

    async def delete(self, name: str) -> None:
        """Ends the kernel and forgets the name; the history stays."""
        await self._wire.send(_requests.delete_session(name))

    async def restart(self, name: str) -> None:
        """A fresh kernel under the same name; its variables are gone."""
        await self._wire.send(_requests.restart_session(name))

    async def interrupt(self, name: str) -> None:
        """Stops what runs in it now."""
        await self._wire.send(_requests.interrupt_session(name))

    async def notebook(self, name: str, **options: Unpack[NotebookOptions]) -> dict[str, Any]:
        """What it has run, as a Jupyter notebook (nbformat 4.5); also of one that has ended."""
        return _json.as_object(await self._wire.send(_requests.notebook(name, options)), "notebook")

    async def save_notebook(
        self, name: str, path: str | os.PathLike[str], **options: Unpack[NotebookOptions]
    ) -> None:
        """The same to a file, however large: it is whole, or as it was."""
        await self._wire.save(_requests.notebook(name, options), Path(path))

    def events(self, name: str, after: int = 0, follow: bool = True) -> AsyncGenerator[Event, None]:
        """The session's own feed: kernel_status, restarted, late. It ends with the session."""
        feed = AsyncFeed(self._wire, _requests.session_events(name), endless=True)
        return feed.events(after, follow)
