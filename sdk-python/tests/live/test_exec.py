from __future__ import annotations

import asyncio

import pytest

import kernelhub
from kernelhub import AsyncClient


def test_commands_in_the_default_sandbox(hub):
    record = hub.exec(["sh", "-c", "cat; pwd; echo $A >&2; exit 3"], stdin="in\n", cwd="/tmp", env={"A": "b"})
    assert (record.status, record.exit_code) == ("error", 3)
    assert (record.stdout, record.stderr) == ("in\n/tmp\n", "b\n")
    assert record.code.startswith("sh -c 'cat; pwd")
    said = []
    assert hub.exec(["echo", "a"], check=True, on_stdout=said.append).stdout == "a\n" == said[0]
    events = [event.type for event in hub.exec_stream(["echo", "a"])]
    assert events == ["started", "stdout", "finished"]
    with pytest.raises(kernelhub.ExecutionError, match="exit code 127"):
        hub.exec(["no-such-program"], check=True)
    with pytest.raises(kernelhub.TooLargeError):
        hub.exec(["x" * 200000])


def test_commands_in_a_sandbox_of_their_own(hub):
    with hub.sandbox(env={"WHERE": "box"}) as box:
        assert box.exec(["sh", "-c", "echo $WHERE"]).stdout == "box\n"
        assert box.exec(["true"]).sandbox_id == box.sandbox_id


def test_commands_with_asyncio(service):
    async def run():
        async with AsyncClient(*service) as hub:
            runs = [hub.exec(["sh", "-c", f"sleep 0.2; echo {i}"]) for i in range(5)]
            events = [event.type async for event in hub.exec_stream(["echo", "a"])]
            return [record.stdout for record in await asyncio.gather(*runs)], events

    assert asyncio.run(run()) == (
        [f"{i}\n" for i in range(5)],
        ["started", "stdout", "finished"],
    )
