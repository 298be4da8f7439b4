from __future__ import annotations

import asyncio

import pytest

from kernelhub import AsyncClient, KernelhubError


def test_many_at_once_in_one_client(service, session):
    async def run() -> None:
        async with AsyncClient(*service) as hub:
            await hub.execute("x = 1", session=session, check=True)
            results = await asyncio.gather(
                *(hub.execute(f"print(x + {i})", session=session) for i in range(20))
            )
            assert [one.stdout for one in results] == [f"{i + 1}\n" for i in range(20)]
            assert len({one.execution_id for one in results}) == 20

    asyncio.run(run())


def test_a_stream_in_each_of_two_sessions(service, session):
    names = [f"{session}-a", f"{session}-b"]
    code = "import time\nfor i in range(10): print(i, flush=True); time.sleep(0.05)"

    async def read(hub: AsyncClient, name: str) -> str:
        events = [one async for one in hub.stream(code, session=name)]
        assert [one.seq for one in events] == list(range(1, len(events) + 1))
        return "".join(one.text for one in events if one.type == "stdout")

    async def run() -> None:
        async with AsyncClient(*service) as hub:
            try:
                texts = await asyncio.gather(*(read(hub, name) for name in names))
                assert list(texts) == ["".join(f"{i}\n" for i in range(10))] * 2
            finally:
                for name in names:
                    await hub.sessions.delete(name)

    asyncio.run(run())


def test_submit_interrupt_attach_history(service, session):
    async def run() -> None:
        async with AsyncClient(*service) as hub:
            run = await hub.submit("import time; time.sleep(60)", session=session)
            async for one in run.events():
                if one.type == "started":
                    break
            await run.interrupt()
            assert (await run.wait(30)).status == "interrupted"
            again = await hub.attach(run.execution_id)
            events = [one async for one in again]
            assert events[-1].status == "interrupted"
            history = [one async for one in hub.executions.list(session=session)]
            assert [one.execution_id for one in history] == [run.execution_id]
            with pytest.raises(KernelhubError):
                await hub.execute("1", timeout_seconds=-1)

    asyncio.run(run())
