from __future__ import annotations

import asyncio

import httpx
import pytest
from fake import TOKEN, URL, FakeHub, a_run, record, sse, stream_reply

import kernelhub
from kernelhub import AsyncClient

ID = "11111111-1111-4111-8111-111111111111"
COMMAND = record("e", session=None, language="command", code="ls -l")


def reply(**fields):
    return httpx.Response(200, json={**COMMAND, **fields})


def test_exec_sends_what_was_said_and_nothing_else(driver):
    hub = FakeHub(reply())
    execution = driver.call(
        hub,
        lambda client: client.exec(
            ["ls", "-l"],
            cwd="src",
            env={"A": "b"},
            stdin="in",
            timeout_seconds=1.5,
            execution_id=ID,
            labels=None,
        ),
    )
    assert hub.lines() == ["POST /api/v1/sandboxes/default/exec"]
    assert hub.bodies() == [
        {
            "cmd": ["ls", "-l"],
            "cwd": "src",
            "env": {"A": "b"},
            "stdin": "in",
            "timeout_seconds": 1.5,
            "execution_id": ID,
        }
    ]
    assert (execution.language, execution.session, execution.code) == ("command", "", "ls -l")


def test_a_failed_command_is_no_exception_unless_asked_for(driver):
    def failed(_):
        return reply(status="error", exit_code=127, stderr="x\nkernelhub: y: No such file\n")

    assert driver.call(FakeHub(failed), lambda client: client.exec(["y"])).exit_code == 127
    with pytest.raises(kernelhub.ExecutionError) as caught:
        driver.call(FakeHub(failed), lambda client: client.exec(["y"], check=True))
    assert "exit code 127: kernelhub: y: No such file" in str(caught.value)


def test_callbacks_are_called_as_it_runs_through_a_broken_connection(driver):
    seen = []
    hub = FakeHub(stream_reply(sse(a_run()), 700), lambda _: stream_reply(sse(a_run())), reply())
    driver.call(hub, lambda client: client.exec(["a"], on_stdout=seen.append, on_stderr=seen.append))
    assert seen == ["zwölf 12€ 🙂\n", "warn\r\n"]
    chosen = hub.bodies()[0]["execution_id"]
    lines = hub.lines()
    assert lines[0] == "POST /api/v1/sandboxes/default/exec"
    assert all(line.startswith(f"GET /api/v1/executions/{chosen}") for line in lines[1:])


def test_a_command_is_a_list_of_words(driver):
    for wrong, words in (({}, "ls -l"), ({"session": "s"}, ["ls"])):
        hub = FakeHub()
        with pytest.raises(TypeError):
            driver.call(hub, lambda client, w=words, o=wrong: client.exec(w, **o))
        assert not hub.requests


def test_events_come_as_a_stream():
    hub = FakeHub(stream_reply(sse(a_run())))
    with kernelhub.Client(URL, TOKEN, transport=httpx.MockTransport(hub)) as client:
        events = list(client.exec_stream(["ls"]))
    assert [event.seq for event in events] == list(range(1, 10))

    async def run():
        hub = FakeHub(stream_reply(sse(a_run())))
        async with AsyncClient(URL, TOKEN, transport=httpx.MockTransport(hub)) as client:
            return [event.seq async for event in client.exec_stream(["ls"])]

    assert asyncio.run(run()) == list(range(1, 10))
