"""Several codes that ran one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from . import _json
from .execution import Execution


@dataclass(frozen=True)
class Batch:
    """What became of a batch; iterating over it gives its executions in order.

    status      "ok", or the status of the first item that did not end ok
    stopped_at  the place of the item after which nothing was begun any more, None when all were
    items       what was not begun has status "cancelled" and no execution_id; `raw` says why
    """

    status: str
    stopped_at: int | None
    items: list[Execution] = field(default_factory=list)

    @classmethod
    def from_json(cls, value: Any) -> Batch:
        raw = _json.as_object(value, "batch")
        return cls(
            status=_json.text(raw, "status"),
            stopped_at=_json.optional_integer(raw, "stopped_at"),
            items=[Execution.from_json(item) for item in _json.as_items(raw, "batch")],
        )

    def __iter__(self) -> Iterator[Execution]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, place: int) -> Execution:
        return self.items[place]

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    def raise_for_status(self) -> Batch:
        """Raises ExecutionError for the first item that did not end ok; returns itself."""
        for item in self.items:
            item.raise_for_status()
        return self
