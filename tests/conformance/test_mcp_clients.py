"""Every tool and what agents expect of it, with MCP's official Python SDK: over HTTP and over stdio, in both eras."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import mcp_clients
import pytest
from mcp_clients import BOTH, MODERN, TOOLS, WAYS, blocks, sdk, text_of
from mcp_day import day


@pytest.mark.parametrize(("way", "era"), BOTH)
def test_the_python_sdk_drives_every_tool(service: Any, way: str, era: str) -> None:
    async def run() -> None:
        async with sdk(service, way, era) as client:
            assert client.protocol_version == ("2025-11-25" if era == "legacy" else MODERN)
            assert [t.name for t in (await client.list_tools()).tools] == TOOLS
            used = await day(lambda name, /, **arguments: mcp_clients.call(client, name, **arguments))
            assert used == set(TOOLS)

    asyncio.run(run())


@pytest.mark.parametrize(("way", "era"), BOTH)
def test_a_print_of_ten_megabytes_arrives_cut_and_the_rest_can_be_read(service: Any, way: str, era: str) -> None:
    lines = 10_000_000 // 20

    async def read() -> None:
        async with sdk(service, way, era) as client:
            code = f"import sys\nsys.stdout.write(''.join(f'line {{i:013d}}\\n' for i in range({lines})))"
            result = await mcp_clients.call(client, "execute_code", code=code, timeout_seconds=60)
            told = result["structuredContent"]
            text = text_of(result)
            assert told["truncated"] is True and told["stdout_bytes"] == 20 * lines - lines  # 19 a line
            assert len(text) < 40_000 and len(told["stdout"]) < 40_000
            assert f"line {0:013d}" in text and f"line {lines - 1:013d}" in text and f"line {lines // 2:013d}" not in text
            links = [block["uri"] for block in blocks(result, "resource_link")]
            assert told["output_uri"] in links and told["output_uri"].startswith("sandbox://")
            # by the tool: any part of it, and what is looked for
            execution = told["execution_id"]
            middle = lines // 2 * 19
            part = await mcp_clients.call(client, "get_execution", execution_id=execution, stream="stdout", offset=middle, limit=190)
            assert [f"line {lines // 2 + i:013d}" in text_of(part) for i in range(10)] == [True] * 10
            found = await mcp_clients.call(client, "get_execution", execution_id=execution, stream="stdout", grep=f"{lines // 3:013d}")
            assert f"line {lines // 3:013d}" in text_of(found) and f"line {lines // 2:013d}" not in text_of(found)
            tail = await mcp_clients.call(client, "get_execution", execution_id=execution, stream="stdout", tail=3)
            assert f"line {lines - 3:013d}" in text_of(tail) and f"line {lines - 4:013d}" not in text_of(tail)
            # by its link
            try:
                whole = (await client.read_resource(told["output_uri"])).contents[0].text
            except Exception as error:  # too large for one resource: then it says what to do
                assert "get_execution" in str(error) or "/output" in str(error), error
            else:
                assert whole == "".join(f"line {i:013d}\n" for i in range(lines))

    asyncio.run(read())


@pytest.mark.parametrize(("way", "era"), BOTH)
def test_progress_comes_while_it_runs_and_a_cancelled_call_stops_the_code(service: Any, way: str, era: str) -> None:
    async def watch() -> None:
        async with sdk(service, way, era) as client:
            seen: list[tuple[float, str]] = []

            async def on_progress(progress: float, total: float | None, message: str | None) -> None:
                seen.append((progress, message or ""))

            code = "import time\nfor i in range(8): print('step', i, flush=True); time.sleep(0.25)"
            result = await client.call_tool("execute_code", {"code": code}, progress_callback=on_progress)
            assert result.structured_content["stdout"].endswith("step 7\n")
            assert len(seen) >= 2 and any("step" in message for _, message in seen)
            assert [p for p, _ in seen] == sorted({p for p, _ in seen})
            begun = time.monotonic()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5):
                    await client.call_tool("execute_code", {"code": "import time\ntry: time.sleep(60)\nfinally: mark = 'stopped'"})
            result = await client.call_tool("execute_code", {"code": "mark"})
            assert result.structured_content["result"] == "'stopped'" and time.monotonic() - begun < 20

    asyncio.run(watch())


@pytest.mark.parametrize("way", WAYS)
def test_what_an_agent_runs_is_in_the_history_and_in_the_session_of_all_others(service: Any, way: str) -> None:
    async def run() -> str:
        async with sdk(service, way, MODERN) as client:
            result = await mcp_clients.call(client, "execute_code", code=f"shared = {way!r}; print('from an agent')", language="python")
            return str(result["structuredContent"]["execution_id"])

    execution = asyncio.run(run())
    with service.client() as http:
        record = http.get(f"/api/v1/executions/{execution}").json()
        assert record["stdout"] == "from an agent\n" and record["status"] == "ok" and record["client"].startswith("mcp")
        reply = http.post("/api/v1/execute", json={"code": "print(shared)", "session": record["session"]}).json()
        assert reply["stdout"] == f"{way}\n"


def test_a_restart_of_the_hub_is_not_seen_over_stdio_between_two_calls(service: Any) -> None:
    async def run() -> None:
        async with sdk(service, "stdio", "legacy") as client:
            await client.call_tool("execute_code", {"code": "kept = 'kept'"})
            stopped = service.cli("stop", "--hub", *service.arguments())
            assert stopped.returncode == 0, stopped.stderr
            result = await client.call_tool("execute_code", {"code": "kept"})
            assert result.structured_content["result"] == "'kept'"

    asyncio.run(run())


def test_a_wrong_key_ends_a_client_with_a_reason(service: Any) -> None:
    assert httpx.post(f"{service.url}/mcp", headers={"Authorization": "Bearer kh_no"}, json={}).status_code == 401

    async def connect(way: str) -> str:
        class Stranger:
            url, key, binary = service.url, "kh_" + "0" * 64, service.binary

        with pytest.raises(BaseException) as told:  # noqa: PT011 - an exception group of the SDK's
            async with sdk(Stranger, way, "legacy") as client:
                await client.list_tools()
        return "".join(str(e) for e in flatten(told.value))

    def flatten(error: BaseException) -> list[BaseException]:
        return [one for e in error.exceptions for one in flatten(e)] if isinstance(error, BaseExceptionGroup) else [error]

    assert "key" in asyncio.run(connect("stdio"))
    assert asyncio.run(connect("http"))
