"""Through real sockets: the connection breaks at chosen bytes, the reader does not notice."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from fake import a_run
from server import CuttingServer

import kernelhub
from kernelhub import AsyncClient, Client, RetryPolicy

QUICK = RetryPolicy(first_delay=0.001, max_delay=0.002)
WANTED = [(one["seq"], one["type"]) for one in a_run()]
CUTS = [
    [0],  # nothing of the reply
    [40],  # in the headers
    [130],  # behind the headers
    [400],
    [0, 30, 700, 0, 500, 1, 900],
    [700, 700, 700],
]


@pytest.fixture(params=[True, False], ids=["reset", "end"])
def reset(request):
    return request.param


@pytest.mark.parametrize("cuts", CUTS, ids=str)
def test_stream(cuts, reset):
    with CuttingServer(cuts, reset) as server, Client(server.url, "kh_x", retry=QUICK) as hub:
        assert [(one.seq, one.type) for one in hub.stream("x")] == WANTED
    assert len(server.requests) == len(cuts) + 1
    assert len(server.starts) == 1


@pytest.mark.parametrize("cuts", CUTS, ids=str)
def test_stream_async(cuts, reset):
    async def run(server):
        async with AsyncClient(server.url, "kh_x", retry=QUICK) as hub:
            return [(one.seq, one.type) async for one in hub.stream("x")]

    with CuttingServer(cuts, reset) as server:
        assert asyncio.run(run(server)) == WANTED
    assert len(server.requests) == len(cuts) + 1
    assert len(server.starts) == 1


@pytest.mark.parametrize("cuts", [[0], [40], [90], [200], [300, 0, 200]], ids=str)
def test_execute(cuts, reset):
    with CuttingServer(cuts, reset) as server, Client(server.url, "kh_x", retry=QUICK) as hub:
        assert hub.execute("x").stdout == "42\n"
    assert len(server.requests) == len(cuts) + 1
    assert len(server.starts) == 1


def test_execute_async_in_parallel(reset):
    async def run(server):
        async with AsyncClient(server.url, "kh_x", retry=QUICK) as hub:
            return await asyncio.gather(*(hub.execute(str(i)) for i in range(20)))

    with CuttingServer([50] * 15, reset) as server:
        assert [one.stdout for one in asyncio.run(run(server))] == ["42\n"] * 20
    assert len(server.requests) == 35
    assert len(server.starts) == 20


def test_nobody_there():
    with CuttingServer([]) as server:
        url = server.url
    policy = RetryPolicy(retries=1, first_delay=0.001)
    with Client(url, "kh_x", retry=policy) as hub, pytest.raises(kernelhub.ConnectionError_) as e:
        hub.execute("x")
    assert not e.value.sent
    assert isinstance(e.value.__cause__, httpx.ConnectError)


def test_a_proxy_in_the_environment_is_not_asked_for_this_machine(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with CuttingServer([]) as server, Client(server.url, "kh_x", retry=QUICK) as hub:
        assert hub.execute("x").ok
