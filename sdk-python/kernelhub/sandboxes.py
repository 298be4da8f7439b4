"""All sandboxes of the user: `hub.sandboxes`."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

from . import _json, _requests
from ._paging import Pages
from ._wire import AsyncWire, Wire
from .info import SandboxInfo

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._requests import SandboxChanges, SandboxOptions


def _lines(reply: Any) -> builtins.list[_json.Json]:
    return list(_json.as_items(reply, "log"))


class Sandboxes:
    """`hub.sandboxes`: sandboxes by id or name. To work in one, see `hub.sandbox()`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self, label: str | None = None) -> builtins.list[SandboxInfo]:
        """Those that are there; `label` is "key=value" or "key"."""
        pages = Pages("sandboxes")
        found: builtins.list[SandboxInfo] = []
        while not pages.done:
            reply = self._wire.send(_requests.sandboxes(label, pages.cursor))
            found += [SandboxInfo.from_json(item) for item in pages.take(reply)]
        return found

    def create(self, **options: Unpack[SandboxOptions]) -> SandboxInfo:
        """Makes one and returns when it is up."""
        return SandboxInfo.from_json(self._wire.send(_requests.create_sandbox(options)))

    def get(self, name: str) -> SandboxInfo:
        """GoneError says why one that was there has ended."""
        return SandboxInfo.from_json(self._wire.send(_requests.sandbox(name)))

    def update(self, name: str, **changes: Unpack[SandboxChanges]) -> SandboxInfo:
        """Changes labels, or prolongs the lease."""
        return SandboxInfo.from_json(self._wire.send(_requests.change_sandbox(name, changes)))

    def delete(self, name: str) -> None:
        """Ends it and everything that runs in it; returns when it is gone."""
        self._wire.send(_requests.delete_sandbox(name))

    def reset(self, name: str) -> SandboxInfo:
        """A fresh container under the same id and name; the workspace stays."""
        return SandboxInfo.from_json(self._wire.send(_requests.reset_sandbox(name)))

    def stats(self, name: str) -> _json.Json:
        """What it uses now: cpu_ms, memory_bytes, pids …"""
        return _json.as_object(self._wire.send(_requests.sandbox_stats(name)), "stats")

    def logs(self, name: str, tail: int | None = None) -> builtins.list[_json.Json]:
        """What happened to it, oldest first."""
        return _lines(self._wire.send(_requests.sandbox_logs(name, tail)))


class AsyncSandboxes:
    """`hub.sandboxes`: sandboxes by id or name. To work in one, see `hub.sandbox()`."""

    def __init__(self, wire: AsyncWire) -> None:
        self._wire = wire

    async def list(self, label: str | None = None) -> builtins.list[SandboxInfo]:
        """Those that are there; `label` is "key=value" or "key"."""
        pages = Pages("sandboxes")
        found: builtins.list[SandboxInfo] = []
        while not pages.done:
            reply = await self._wire.send(_requests.sandboxes(label, pages.cursor))
            found += [SandboxInfo.from_json(item) for item in pages.take(reply)]
        return found

    async def create(self, **options: Unpack[SandboxOptions]) -> SandboxInfo:
        """Makes one and returns when it is up."""
        return SandboxInfo.from_json(await self._wire.send(_requests.create_sandbox(options)))

    async def get(self, name: str) -> SandboxInfo:
        """GoneError says why one that was there has ended."""
        return SandboxInfo.from_json(await self._wire.send(_requests.sandbox(name)))

    async def update(self, name: str, **changes: Unpack[SandboxChanges]) -> SandboxInfo:
        """Changes labels, or prolongs the lease."""
        return SandboxInfo.from_json(await self._wire.send(_requests.change_sandbox(name, changes)))

    async def delete(self, name: str) -> None:
        """Ends it and everything that runs in it; returns when it is gone."""
        await self._wire.send(_requests.delete_sandbox(name))

    async def reset(self, name: str) -> SandboxInfo:
        """A fresh container under the same id and name; the workspace stays."""
        return SandboxInfo.from_json(await self._wire.send(_requests.reset_sandbox(name)))

    async def stats(self, name: str) -> _json.Json:
        """What it uses now: cpu_ms, memory_bytes, pids …"""
        return _json.as_object(await self._wire.send(_requests.sandbox_stats(name)), "stats")

    async def logs(self, name: str, tail: int | None = None) -> builtins.list[_json.Json]:
        """What happened to it, oldest first."""
        return _lines(await self._wire.send(_requests.sandbox_logs(name, tail)))
