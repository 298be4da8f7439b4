"""Who answers input(): what a run's body says about it, and how an answer goes back."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import aclosing, suppress
from typing import Any

from . import _requests
from ._wire import AsyncWire, Wire
from .errors import ConflictError, KernelhubError
from .event import Event

OnInput = Callable[[str, bool], str | None]
OnInputAsync = Callable[[str, bool], str | None | Awaitable[str | None]]


def will_answer(body: dict[str, Any]) -> dict[str, Any]:
    """The body of a run that has an on_input."""
    if "stdin" in body:
        raise TypeError("stdin and on_input exclude each other: both answer input()")
    return {**body, "interactive": True}


def answered(
    wire: Wire, events: Generator[Event, None, None], on_input: OnInput
) -> Generator[Event, None, None]:
    """The same events; each input_request is answered before it is passed on."""
    for event in events:
        if event.type == "input_request":
            _answer(wire, event, on_input)
        yield event


def _answer(wire: Wire, event: Event, on_input: OnInput) -> None:
    try:
        value = on_input(event.prompt, event.password)
    except EOFError:
        value = None
    except BaseException:  # also Ctrl-C at our own prompt: the code shall not wait for us any more
        with suppress(KernelhubError):
            wire.send(_requests.interrupt(event.execution_id))
        raise
    with suppress(ConflictError):  # it ended meanwhile, or somebody else answered
        wire.send(_requests.answer_input(event.execution_id, value))


async def answered_async(
    wire: AsyncWire, events: AsyncGenerator[Event, None], on_input: OnInputAsync
) -> AsyncGenerator[Event, None]:
    """The same events; each input_request is answered before it is passed on."""
    async with aclosing(events):
        async for event in events:
            if event.type == "input_request":
                await _answer_async(wire, event, on_input)
            yield event


async def _answer_async(wire: AsyncWire, event: Event, on_input: OnInputAsync) -> None:
    try:
        given = on_input(event.prompt, event.password)
        value = await given if inspect.isawaitable(given) else given
    except EOFError:
        value = None
    except BaseException:
        with suppress(KernelhubError):
            await wire.send(_requests.interrupt(event.execution_id))
        raise
    with suppress(ConflictError):
        await wire.send(_requests.answer_input(event.execution_id, value))
