"""What execute() calls while the code runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .event import Event
from .execution import ErrorInfo, Result


class Callbacks:
    """Up to four functions; those of AsyncClient may be coroutine functions."""

    def __init__(
        self,
        on_stdout: Callable[[str], Any] | None = None,
        on_stderr: Callable[[str], Any] | None = None,
        on_result: Callable[[Result], Any] | None = None,
        on_error: Callable[[ErrorInfo], Any] | None = None,
    ) -> None:
        self._on_stdout = on_stdout
        self._on_stderr = on_stderr
        self._on_result = on_result
        self._on_error = on_error

    def __bool__(self) -> bool:
        functions = (self._on_stdout, self._on_stderr, self._on_result, self._on_error)
        return any(function is not None for function in functions)

    def call(self, event: Event) -> Any:
        """Calls the one that `event` is for; its return value may be an awaitable."""
        if event.type == "stdout" and self._on_stdout:
            return self._on_stdout(event.text)
        if event.type == "stderr" and self._on_stderr:
            return self._on_stderr(event.text)
        if event.type in ("display", "result") and self._on_result:
            return self._on_result(Result.from_event(event))
        if event.type == "error" and self._on_error:
            return self._on_error(ErrorInfo.from_event(event))
        return None
