"""The ways to run code; a client has them, and so has a session."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from . import _requests
from ._answers import OnInput, OnInputAsync, answered, answered_async, will_answer
from ._callbacks import Callbacks
from ._cursor import EventCursor
from ._requests import ExecuteOptions
from ._wire import AsyncWire, Wire
from .batch import Batch
from .event import Event
from .execution import ErrorInfo, Execution, Result
from .run import AsyncRun, Run

if TYPE_CHECKING:
    from typing_extensions import Unpack


def _start_cursor(wire: Wire | AsyncWire, body: dict[str, Any]) -> EventCursor:
    return EventCursor(
        _requests.execution_events(body["execution_id"]),
        wire.policy,
        first=_requests.execute_stream(body),
        patience=_requests.run_seconds(body),
    )


class Runner:
    """Runs code. The options are those of the REST body, see ExecuteOptions; what is not given
    is for the service to choose."""

    def __init__(self, wire: Wire, defaults: ExecuteOptions) -> None:
        self._wire = wire
        self._defaults = defaults

    def execute(
        self,
        code: str,
        *,
        check: bool = False,
        on_stdout: Callable[[str], Any] | None = None,
        on_stderr: Callable[[str], Any] | None = None,
        on_result: Callable[[Result], Any] | None = None,
        on_error: Callable[[ErrorInfo], Any] | None = None,
        on_input: OnInput | None = None,
        **options: Unpack[ExecuteOptions],
    ) -> Execution:
        """Runs `code`, waits for its end, returns its record.

        What becomes of the code is in the record's `status` and `error`; with `check` everything
        but `ok` raises ExecutionError. The callbacks are called while the code runs.

        on_input(prompt, password) answers input(): with the line, or None or EOFError for the end
        of file. Without it, and without `stdin`, input() raises in the code.
        """
        body = _requests.execute_body(code, {**self._defaults, **options})
        callbacks = Callbacks(on_stdout, on_stderr, on_result, on_error)
        if on_input:
            body = will_answer(body)
        elif callbacks:  # we read a stream, but nobody is there to answer
            body.setdefault("interactive", False)
        request = _requests.execute(body)
        if callbacks or on_input:
            for event in self._read(body, on_input):
                callbacks.call(event)
            request = _requests.execution(body["execution_id"])
        execution = Execution.from_json(self._wire.send(request))
        return execution.raise_for_status() if check else execution

    def _read(self, body: dict[str, Any], on_input: OnInput | None) -> Generator[Event, None, None]:
        events = self._wire.read(_start_cursor(self._wire, body))
        return answered(self._wire, events, on_input) if on_input else events

    def stream(
        self, code: str, *, on_input: OnInput | None = None, **options: Unpack[ExecuteOptions]
    ) -> Generator[Event, None, None]:
        """Runs `code` and yields its events as they come; the run starts with the first next().

        A broken connection is taken up again where it was: no event is lost, none comes twice.
        Who stops reading does not stop the run, unless on_disconnect="interrupt" was given.

        input() asks: on_input answers as in execute(); without it the reader answers each
        input_request with Client.input, or says interactive=False and input() raises.
        """
        body = _requests.execute_body(code, {**self._defaults, **options})
        return self._read(will_answer(body) if on_input else body, on_input)

    def submit(
        self, code: str, *, callback_url: str | None = None, **options: Unpack[ExecuteOptions]
    ) -> Run:
        """Starts `code` and returns at once. The service calls `callback_url` once at the end."""
        body = _requests.execute_body(code, {**self._defaults, **options})
        self._wire.send(_requests.submit(body, callback_url))
        return Run(self._wire, body["execution_id"])

    def batch(
        self, items: Iterable[str | Mapping[str, Any]], *, stop_on_error: bool = True
    ) -> Batch:
        """Runs several codes, one after the other, and waits for the last one's end.

        Each item is code, or a mapping of `code` and options. After one that does not end ok the
        rest is not begun, unless stop_on_error is False.
        """
        bodies = _requests.batch_bodies(items, self._defaults)
        return Batch.from_json(self._wire.send(_requests.batch(bodies, stop_on_error)))


class AsyncRunner:
    """Runs code. The options are those of the REST body, see ExecuteOptions; what is not given
    is for the service to choose."""

    def __init__(self, wire: AsyncWire, defaults: ExecuteOptions) -> None:
        self._wire = wire
        self._defaults = defaults

    async def execute(
        self,
        code: str,
        *,
        check: bool = False,
        on_stdout: Callable[[str], Any] | None = None,
        on_stderr: Callable[[str], Any] | None = None,
        on_result: Callable[[Result], Any] | None = None,
        on_error: Callable[[ErrorInfo], Any] | None = None,
        on_input: OnInputAsync | None = None,
        **options: Unpack[ExecuteOptions],
    ) -> Execution:
        """Runs `code`, waits for its end, returns its record.

        What becomes of the code is in the record's `status` and `error`; with `check` everything
        but `ok` raises ExecutionError. The callbacks are called while the code runs; they may be
        coroutine functions.

        on_input(prompt, password) answers input(): with the line, or None or EOFError for the end
        of file. Without it, and without `stdin`, input() raises in the code.
        """
        body = _requests.execute_body(code, {**self._defaults, **options})
        callbacks = Callbacks(on_stdout, on_stderr, on_result, on_error)
        if on_input:
            body = will_answer(body)
        elif callbacks:  # we read a stream, but nobody is there to answer
            body.setdefault("interactive", False)
        request = _requests.execute(body)
        if callbacks or on_input:
            async with aclosing(self._read(body, on_input)) as events:
                async for event in events:
                    answer = callbacks.call(event)
                    if inspect.isawaitable(answer):
                        await answer
            request = _requests.execution(body["execution_id"])
        execution = Execution.from_json(await self._wire.send(request))
        return execution.raise_for_status() if check else execution

    def _read(
        self, body: dict[str, Any], on_input: OnInputAsync | None
    ) -> AsyncGenerator[Event, None]:
        events = self._wire.read(_start_cursor(self._wire, body))
        return answered_async(self._wire, events, on_input) if on_input else events

    def stream(
        self, code: str, *, on_input: OnInputAsync | None = None, **options: Unpack[ExecuteOptions]
    ) -> AsyncGenerator[Event, None]:
        """Runs `code` and yields its events as they come; `async for` starts it, without await.

        A broken connection is taken up again where it was: no event is lost, none comes twice.
        Who stops reading does not stop the run, unless on_disconnect="interrupt" was given.

        input() asks: on_input answers as in execute(); without it the reader answers each
        input_request with AsyncClient.input, or says interactive=False and input() raises.
        """
        body = _requests.execute_body(code, {**self._defaults, **options})
        return self._read(will_answer(body) if on_input else body, on_input)

    async def submit(
        self, code: str, *, callback_url: str | None = None, **options: Unpack[ExecuteOptions]
    ) -> AsyncRun:
        """Starts `code` and returns at once. The service calls `callback_url` once at the end."""
        body = _requests.execute_body(code, {**self._defaults, **options})
        await self._wire.send(_requests.submit(body, callback_url))
        return AsyncRun(self._wire, body["execution_id"])

    async def batch(
        self, items: Iterable[str | Mapping[str, Any]], *, stop_on_error: bool = True
    ) -> Batch:
        """Runs several codes, one after the other, and waits for the last one's end.

        Each item is code, or a mapping of `code` and options. After one that does not end ok the
        rest is not begun, unless stop_on_error is False.
        """
        bodies = _requests.batch_bodies(items, self._defaults)
        return Batch.from_json(await self._wire.send(_requests.batch(bodies, stop_on_error)))
