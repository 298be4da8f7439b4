"""Running commands in a sandbox instead of code; a client has it, and so has a sandbox."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from . import _requests
from ._callbacks import Callbacks
from ._cursor import EventCursor
from ._requests import ExecOptions
from ._wire import AsyncWire, Wire
from .event import Event
from .execution import Execution

if TYPE_CHECKING:
    from typing_extensions import Unpack


def _start_cursor(wire: Wire | AsyncWire, sandbox: str, body: dict[str, Any]) -> EventCursor:
    return EventCursor(
        _requests.execution_events(body["execution_id"]),
        wire.policy,
        first=_requests.exec_stream(sandbox, body),
        patience=_requests.run_seconds(body),
    )


class Commander:
    """Runs commands in one sandbox, beside its cells. The options are those of the REST body, see
    ExecOptions."""

    def __init__(self, wire: Wire, sandbox: str) -> None:
        self._commands_wire = wire
        self._commands_sandbox = sandbox

    def exec(
        self,
        cmd: Sequence[str],
        *,
        check: bool = False,
        on_stdout: Callable[[str], Any] | None = None,
        on_stderr: Callable[[str], Any] | None = None,
        **options: Unpack[ExecOptions],
    ) -> Execution:
        """Runs a command, a list of words that no shell reads, waits for its end, returns its
        record: `exit_code` is its own status or 128 + signal, 127 when there is no such program.

        With `check` everything but `ok` raises ExecutionError. The callbacks are called while it
        runs.
        """
        wire, body = self._commands_wire, _requests.exec_body(cmd, options)
        request = _requests.exec(self._commands_sandbox, body)
        callbacks = Callbacks(on_stdout, on_stderr, None, None)
        if callbacks:
            for event in wire.read(_start_cursor(wire, self._commands_sandbox, body)):
                callbacks.call(event)
            request = _requests.execution(body["execution_id"])
        execution = Execution.from_json(wire.send(request))
        return execution.raise_for_status() if check else execution

    def exec_stream(
        self, cmd: Sequence[str], **options: Unpack[ExecOptions]
    ) -> Generator[Event, None, None]:
        """Runs a command and yields its events as they come; it starts with the first next().

        A broken connection is taken up again where it was: no event is lost, none comes twice.
        Who stops reading does not stop the command, unless on_disconnect="interrupt" was given.
        """
        wire, body = self._commands_wire, _requests.exec_body(cmd, options)
        return wire.read(_start_cursor(wire, self._commands_sandbox, body))


class AsyncCommander:
    """Runs commands in one sandbox, beside its cells. The options are those of the REST body, see
    ExecOptions."""

    def __init__(self, wire: AsyncWire, sandbox: str) -> None:
        self._commands_wire = wire
        self._commands_sandbox = sandbox

    async def exec(
        self,
        cmd: Sequence[str],
        *,
        check: bool = False,
        on_stdout: Callable[[str], Any] | None = None,
        on_stderr: Callable[[str], Any] | None = None,
        **options: Unpack[ExecOptions],
    ) -> Execution:
        """Runs a command, a list of words that no shell reads, waits for its end, returns its
        record: `exit_code` is its own status or 128 + signal, 127 when there is no such program.

        With `check` everything but `ok` raises ExecutionError. The callbacks are called while it
        runs; they may be coroutine functions.
        """
        wire, body = self._commands_wire, _requests.exec_body(cmd, options)
        request = _requests.exec(self._commands_sandbox, body)
        callbacks = Callbacks(on_stdout, on_stderr, None, None)
        if callbacks:
            cursor = _start_cursor(wire, self._commands_sandbox, body)
            async with aclosing(wire.read(cursor)) as events:
                async for event in events:
                    answer = callbacks.call(event)
                    if inspect.isawaitable(answer):
                        await answer
            request = _requests.execution(body["execution_id"])
        execution = Execution.from_json(await wire.send(request))
        return execution.raise_for_status() if check else execution

    def exec_stream(
        self, cmd: Sequence[str], **options: Unpack[ExecOptions]
    ) -> AsyncGenerator[Event, None]:
        """Runs a command and yields its events as they come; `async for` starts it, without await.

        A broken connection is taken up again where it was: no event is lost, none comes twice.
        Who stops reading does not stop the command, unless on_disconnect="interrupt" was given.
        """
        wire, body = self._commands_wire, _requests.exec_body(cmd, options)
        return wire.read(_start_cursor(wire, self._commands_sandbox, body))
