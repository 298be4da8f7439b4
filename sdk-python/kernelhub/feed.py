"""The numbered events of one execution or session: stored ones, and live ones."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator

from . import _requests
from ._cursor import EventCursor
from ._paging import EventPages
from ._wire import AsyncWire, Wire
from .event import Event


class Feed:
    """Reads one feed. `endless`: a session's, which no `finished` ends."""

    def __init__(self, wire: Wire, path: str, *, endless: bool = False) -> None:
        self._wire = wire
        self._path = path
        self._endless = endless

    def events(self, after: int, follow: bool) -> Generator[Event, None, None]:
        """Events with numbers above `after`; with `follow` also those that are still to come."""
        return self.follow(after) if follow else self.stored(after)

    def follow(self, after: int, deadline: float | None = None) -> Generator[Event, None, None]:
        return self._wire.read(
            EventCursor(
                self._path,
                self._wire.policy,
                after=after,
                deadline=deadline,
                endless=self._endless,
            )
        )

    def stored(self, after: int) -> Generator[Event, None, None]:
        pages = EventPages(after)
        while not pages.done:
            reply = self._wire.send(_requests.events_page(self._path, pages.after))
            yield from pages.take(reply)


class AsyncFeed:
    """Reads one feed. `endless`: a session's, which no `finished` ends."""

    def __init__(self, wire: AsyncWire, path: str, *, endless: bool = False) -> None:
        self._wire = wire
        self._path = path
        self._endless = endless

    def events(self, after: int, follow: bool) -> AsyncGenerator[Event, None]:
        """Events with numbers above `after`; with `follow` also those that are still to come."""
        return self.follow(after) if follow else self.stored(after)

    def follow(self, after: int, deadline: float | None = None) -> AsyncGenerator[Event, None]:
        return self._wire.read(
            EventCursor(
                self._path,
                self._wire.policy,
                after=after,
                deadline=deadline,
                endless=self._endless,
            )
        )

    async def stored(self, after: int) -> AsyncGenerator[Event, None]:
        pages = EventPages(after)
        while not pages.done:
            reply = await self._wire.send(_requests.events_page(self._path, pages.after))
            for event in pages.take(reply):
                yield event
