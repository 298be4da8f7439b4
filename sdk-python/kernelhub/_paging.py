"""Walks through lists of `{"items": [...], "next": cursor-or-null}`. Pure."""

from __future__ import annotations

from typing import Any

from . import _json
from .event import Event

PAGE = 100


class Pages:
    """A walk by cursor, over at most `limit` items."""

    def __init__(self, what: str, limit: int | None = None, size: int = PAGE) -> None:
        if limit is not None and limit < 0:
            raise ValueError("limit counts items, it is not negative")
        self._what = what
        self._left = limit
        self._size = size
        self.cursor: str | None = None
        self.done = limit == 0

    @property
    def size(self) -> int:
        """How many to ask for."""
        return self._size if self._left is None else min(self._size, self._left)

    def take(self, reply: Any) -> list[_json.Json]:
        """The items of a page; moves on to the next one."""
        items = _json.as_items(reply, self._what)
        following = _json.optional_text(reply, "next")
        self.done = following is None or following == self.cursor
        self.cursor = following
        if self._left is not None:
            items = items[: self._left]
            self._left -= len(items)
            self.done = self.done or self._left == 0
        return items


class EventPages:
    """A walk over the stored events of a feed; the place in it is the last number seen."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.done = False

    def take(self, reply: Any) -> list[Event]:
        events = [Event.from_json(item) for item in _json.as_items(reply, "events")]
        events = [event for event in events if event.seq > self.after]
        self.done = not events or reply.get("next") is None
        if events:
            self.after = events[-1].seq
        return events
