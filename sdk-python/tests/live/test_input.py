from __future__ import annotations

import asyncio
import time

import pytest

from kernelhub import AsyncClient, ConflictError

CODE = "name = input('name? ')\nprint('hello', name)"


def test_on_input_answers(hub, session):
    asked = []

    def answer(prompt, password):
        asked.append((prompt, password))
        return "Bob"

    assert hub.execute(CODE, on_input=answer, session=session).stdout == "hello Bob\n"
    secret = "import getpass; print(len(getpass.getpass('pw: ')))"
    events = list(hub.stream(secret, on_input=lambda prompt, password: "12345", session=session))
    assert "".join(one.text for one in events if one.type == "stdout") == "5\n"
    assert asked == [("name? ", False)]


def test_without_an_answerer_input_raises_at_once(hub, session):
    for options in ({}, {"on_stdout": lambda text: None}):
        result = hub.execute("input()", session=session, **options)
        assert result.error is not None and result.error.name == "StdinNotImplementedError"


def test_a_failing_answerer_does_not_leave_the_code_waiting(hub, session):
    def answer(prompt, password):
        raise KeyError("nothing to say")

    with pytest.raises(KeyError):
        hub.execute("input()", on_input=answer, session=session)
    begin = time.monotonic()
    assert hub.execute("1", session=session).ok
    assert time.monotonic() - begin < 10


def test_a_submitted_run_is_answered_by_its_id(hub, session):
    run = hub.submit(CODE, interactive=True, session=session)
    deadline = time.monotonic() + 20
    while run.status() != "waiting_input":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    hub.input(run.execution_id, "Ann")
    assert run.wait(20).stdout == "hello Ann\n"
    with pytest.raises(ConflictError):
        run.input("again")


def test_async_on_input(service, session):
    async def answer(prompt, password):
        await asyncio.sleep(0)
        return prompt.upper()

    async def run() -> None:
        async with AsyncClient(*service) as hub:
            result = await hub.execute(CODE, on_input=answer, session=session)
            assert result.stdout == "hello NAME? \n"

    asyncio.run(run())
