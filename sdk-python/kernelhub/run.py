"""A run that was submitted or attached to: what to hold on to while it goes on."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from typing import TYPE_CHECKING

from . import _requests
from ._requests import OutputOptions, ReplayOptions
from ._wire import AsyncWire, Wire
from .event import Event
from .execution import Execution
from .feed import AsyncFeed, Feed
from .output import Output, OutputParts

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Run:
    """One execution, by its id.

    execution_id  give it to `Client.attach`, from another process too
    last_seq      number of the last event that this object has seen
    """

    def __init__(self, wire: Wire, execution_id: str, after: int = 0) -> None:
        self._wire = wire
        self._feed = Feed(wire, _requests.execution_events(execution_id))
        self.execution_id = execution_id
        self.last_seq = after

    def record(self) -> Execution:
        """All that is known of it now."""
        return Execution.from_json(self._wire.send(_requests.execution(self.execution_id)))

    def status(self) -> str:
        return self.record().status

    def events(self, after: int | None = None, follow: bool = True) -> Generator[Event, None, None]:
        """Events with numbers above `after`, by default above `last_seq`, until the run ends.

        A broken connection is taken up again where it was: no event is lost, none comes twice.
        """
        for event in self._feed.events(self.last_seq if after is None else after, follow):
            self.last_seq = max(self.last_seq, event.seq)
            yield event

    def __iter__(self) -> Generator[Event, None, None]:
        return self.events()

    def wait(self, timeout: float | None = None) -> Execution:
        """Waits for the end, however it comes, and returns the record.

        Raises TimeoutError_ when it has not come after `timeout` seconds (and up to a quarter of
        them more, at most 5 s, when the service is silent); the run goes on.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        record = self.record()
        if record.ended:
            return record
        for event in self._feed.follow(self.last_seq, deadline):
            self.last_seq = max(self.last_seq, event.seq)
        return self.record()

    def result(self, timeout: float | None = None) -> Execution:
        """Like wait(), but raises ExecutionError when the run did not end as ok."""
        return self.wait(timeout).raise_for_status()

    def interrupt(self) -> None:
        """Stops the code as Ctrl-C would; the kernel keeps its state."""
        self._wire.send(_requests.interrupt(self.execution_id))

    def input(self, value: str | None) -> None:
        """Answers the input() that it waits for; None is the end of file.

        Raises ConflictError when it waits for none (any more).
        """
        self._wire.send(_requests.answer_input(self.execution_id, value))

    def output(self, stream: str = "stdout", **part: Unpack[OutputOptions]) -> Output:
        """The text it wrote so far, or a part: stream is stdout, stderr or result.

        head and tail count lines, offset and limit bytes of UTF-8; limit bounds head and tail too.
        grep keeps the lines that hold a text (no pattern); `total` counts all of them. Without
        limit, head and tail it is read to its end.
        """
        parts = OutputParts(_requests.output_params(stream, part))
        while not parts.done:
            request = _requests.execution_output(self.execution_id, parts.params)
            parts.take(self._wire.send(request))
        return parts.output()

    def replay(self, **options: Unpack[ReplayOptions]) -> Run:
        """Runs its code again, in a fresh kernel unless `session` is named; returns at once.

        What is not given is as it was: language, environment, stdin, timeout, labels.
        """
        request, execution_id = _requests.replay(self.execution_id, options)
        self._wire.send(request)
        return Run(self._wire, execution_id)

    def __repr__(self) -> str:
        return f"<Run {self.execution_id}>"


class AsyncRun:
    """One execution, by its id.

    execution_id  give it to `AsyncClient.attach`, from another process too
    last_seq      number of the last event that this object has seen
    """

    def __init__(self, wire: AsyncWire, execution_id: str, after: int = 0) -> None:
        self._wire = wire
        self._feed = AsyncFeed(wire, _requests.execution_events(execution_id))
        self.execution_id = execution_id
        self.last_seq = after

    async def record(self) -> Execution:
        """All that is known of it now."""
        return Execution.from_json(await self._wire.send(_requests.execution(self.execution_id)))

    async def status(self) -> str:
        return (await self.record()).status

    async def events(
        self, after: int | None = None, follow: bool = True
    ) -> AsyncGenerator[Event, None]:
        """Events with numbers above `after`, by default above `last_seq`, until the run ends.

        A broken connection is taken up again where it was: no event is lost, none comes twice.
        """
        start = self.last_seq if after is None else after
        async with aclosing(self._feed.events(start, follow)) as events:
            async for event in events:
                self.last_seq = max(self.last_seq, event.seq)
                yield event

    def __aiter__(self) -> AsyncGenerator[Event, None]:
        return self.events()

    async def wait(self, timeout: float | None = None) -> Execution:
        """Waits for the end, however it comes, and returns the record.

        Raises TimeoutError_ when it has not come after `timeout` seconds (and up to a quarter of
        them more, at most 5 s, when the service is silent); the run goes on.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        record = await self.record()
        if record.ended:
            return record
        async with aclosing(self._feed.follow(self.last_seq, deadline)) as events:
            async for event in events:
                self.last_seq = max(self.last_seq, event.seq)
        return await self.record()

    async def result(self, timeout: float | None = None) -> Execution:
        """Like wait(), but raises ExecutionError when the run did not end as ok."""
        return (await self.wait(timeout)).raise_for_status()

    async def interrupt(self) -> None:
        """Stops the code as Ctrl-C would; the kernel keeps its state."""
        await self._wire.send(_requests.interrupt(self.execution_id))

    async def input(self, value: str | None) -> None:
        """Answers the input() that it waits for; None is the end of file.

        Raises ConflictError when it waits for none (any more).
        """
        await self._wire.send(_requests.answer_input(self.execution_id, value))

    async def output(self, stream: str = "stdout", **part: Unpack[OutputOptions]) -> Output:
        """The text it wrote so far, or a part: stream is stdout, stderr or result.

        head and tail count lines, offset and limit bytes of UTF-8; limit bounds head and tail too.
        grep keeps the lines that hold a text (no pattern); `total` counts all of them. Without
        limit, head and tail it is read to its end.
        """
        parts = OutputParts(_requests.output_params(stream, part))
        while not parts.done:
            request = _requests.execution_output(self.execution_id, parts.params)
            parts.take(await self._wire.send(request))
        return parts.output()

    async def replay(self, **options: Unpack[ReplayOptions]) -> AsyncRun:
        """Runs its code again, in a fresh kernel unless `session` is named; returns at once.

        What is not given is as it was: language, environment, stdin, timeout, labels.
        """
        request, execution_id = _requests.replay(self.execution_id, options)
        await self._wire.send(request)
        return AsyncRun(self._wire, execution_id)

    def __repr__(self) -> str:
        return f"<AsyncRun {self.execution_id}>"
