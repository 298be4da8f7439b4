"""The history of what ran: `hub.executions`, and `hub.jobs` for those who think in jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from . import _requests
from ._paging import Pages
from ._requests import HistoryFilters
from ._wire import AsyncWire, Wire
from .execution import Execution

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Executions:
    """`hub.executions`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def get(self, execution_id: str) -> Execution:
        return Execution.from_json(self._wire.send(_requests.execution(execution_id)))

    def list(
        self, *, limit: int | None = None, **filters: Unpack[HistoryFilters]
    ) -> Iterator[Execution]:
        """The executions that all filters let through, page after page as the iterator is read.

        `limit` says how many at most.
        """
        pages = Pages("executions", limit)
        while not pages.done:
            reply = self._wire.send(_requests.executions(filters, pages.size, pages.cursor))
            for item in pages.take(reply):
                yield Execution.from_json(item)


class AsyncExecutions:
    """`hub.executions`."""

    def __init__(self, wire: AsyncWire) -> None:
        self._wire = wire

    async def get(self, execution_id: str) -> Execution:
        return Execution.from_json(await self._wire.send(_requests.execution(execution_id)))

    async def list(
        self, *, limit: int | None = None, **filters: Unpack[HistoryFilters]
    ) -> AsyncIterator[Execution]:
        """The executions that all filters let through, page after page as the iterator is read.

        `limit` says how many at most.
        """
        pages = Pages("executions", limit)
        while not pages.done:
            reply = await self._wire.send(_requests.executions(filters, pages.size, pages.cursor))
            for item in pages.take(reply):
                yield Execution.from_json(item)


class Jobs:
    """`hub.jobs`: executions by job id, which is the execution's id."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def get(self, job_id: str) -> Execution:
        return Execution.from_json(self._wire.send(_requests.job(job_id)))


class AsyncJobs:
    """`hub.jobs`: executions by job id, which is the execution's id."""

    def __init__(self, wire: AsyncWire) -> None:
        self._wire = wire

    async def get(self, job_id: str) -> Execution:
        return Execution.from_json(await self._wire.send(_requests.job(job_id)))
