"""Every tool, driven by MCP clients that other people wrote: over HTTP and over stdio, in both eras."""

from __future__ import annotations

import asyncio
import base64
import itertools
import struct
import time
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import mcp_clients
import pytest
from mcp_clients import ERAS, MODERN, WAYS, blocks, inspect, inspector, sdk, text_of

Call = Callable[..., Awaitable[dict[str, Any]]]
BOTH = [pytest.param(way, era, id=f"{way}-{era}") for way in WAYS for era in ERAS]
TOOLS = [
    "list_sandboxes", "execute_code", "create_sandbox", "run_code", "get_execution", "interrupt_execution", "list_files", "upload_file",
    "download_file", "destroy_sandbox",
]
names = (f"box{n}" for n in itertools.count())


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress((b"\0" + b"\x7f" * 3 * width) * height)) + chunk(b"IEND", b"")


PLOT = f"from IPython.display import Image, display\nimport base64\ndisplay(Image(base64.b64decode({base64.b64encode(png(32, 24)).decode()!r})))"


async def drive(call: Call) -> set[str]:
    """A day of an agent's. Gives the tools that it called."""
    used: set[str] = set()

    async def tool(name: str, /, **arguments: Any) -> dict[str, Any]:
        used.add(name)
        result = await call(name, **arguments)
        assert not result.get("isError"), f"{name}: {text_of(result)}"
        return result

    box = next(names)
    made = await tool("create_sandbox", name=box)
    assert box in text_of(made)
    listed = await tool("list_sandboxes")
    assert box in text_of(listed) and box in [s["name"] for s in listed["structuredContent"]["sandboxes"]]

    # what one call leaves, the next finds
    first = await tool("run_code", sandbox_name=box, code="x = 6 * 7\nprint('made', x)")
    assert "made 42" in text_of(first) and first["structuredContent"]["stdout"] == "made 42\n" and first["structuredContent"]["success"] is True
    second = await tool("execute_code", code="x + 1", sandbox_id=box)
    assert "43" in text_of(second) and second["structuredContent"]["result"] == "43" and second["structuredContent"]["status"] == "ok"
    sandbox = second["structuredContent"]["sandbox_id"]

    # what the code does wrong is no failure of the tool
    wrong = await tool("execute_code", code="1/0", sandbox_id=sandbox)
    assert wrong["structuredContent"]["status"] == "error" and "ZeroDivisionError" in text_of(wrong)

    # a plot is an image
    plot = await tool("execute_code", code=PLOT, sandbox_id=sandbox)
    [image] = blocks(plot, "image")
    assert image["mimeType"] == "image/png" and base64.b64decode(image["data"]) == png(32, 24)
    assert image["data"] not in str(plot["structuredContent"])

    # what takes long is looked at and ended
    begun = await tool("execute_code", code="import time\nfor i in range(600): print(i, flush=True); time.sleep(0.1)", sandbox_id=sandbox, background=True)
    execution = begun["structuredContent"]["execution_id"]
    looked = await tool("get_execution", execution_id=execution, wait_seconds=1)
    assert looked["structuredContent"]["status"] == "running" and looked["structuredContent"]["stdout"].startswith("0\n1\n")
    await tool("interrupt_execution", sandbox_id=sandbox)
    ended = await tool("get_execution", execution_id=execution, wait_seconds=20)
    assert ended["structuredContent"]["status"] == "interrupted"
    kept = await tool("execute_code", code="x", sandbox_id=sandbox)
    assert kept["structuredContent"]["result"] == "42"

    # files go in and come out
    folder = f"day-{box}"
    await tool("upload_file", path=f"{folder}/a ü.txt", content="one\ntwo ü\n", sandbox_id=sandbox)
    await tool("upload_file", path=f"{folder}/b.png", content=base64.b64encode(png(8, 8)).decode(), encoding="base64", sandbox_id=sandbox)
    await tool("execute_code", code=f"open('/workspace/{folder}/c.txt', 'w').write(open('/workspace/{folder}/a ü.txt').read().upper())", sandbox_id=sandbox)
    files = text_of(await tool("list_files", path=folder, sandbox_id=sandbox))
    assert all(name in files for name in ("a ü.txt", "b.png", "c.txt"))
    assert "ONE\nTWO Ü" in text_of(await tool("download_file", path=f"{folder}/c.txt", sandbox_id=sandbox))
    [picture] = blocks(await tool("download_file", path=f"{folder}/b.png", sandbox_id=sandbox), "image")
    assert base64.b64decode(picture["data"]) == png(8, 8)

    await tool("destroy_sandbox", sandbox_name=box)
    again = await tool("destroy_sandbox", sandbox_name=box)
    assert again["structuredContent"]["existed"] is False
    assert box not in text_of(await tool("list_sandboxes"))
    return used


@pytest.mark.parametrize(("way", "era"), BOTH)
def test_the_python_sdk_drives_every_tool(service: Any, way: str, era: str) -> None:
    async def day() -> None:
        async with sdk(service, way, era) as client:
            assert client.protocol_version == ("2025-11-25" if era == "legacy" else MODERN)
            assert [t.name for t in (await client.list_tools()).tools] == TOOLS
            used = await drive(lambda name, /, **arguments: mcp_clients.call(client, name, **arguments))
            assert used == set(TOOLS)

    asyncio.run(day())


@pytest.mark.parametrize(("way", "era"), BOTH)
def test_the_inspector_drives_every_tool(service: Any, way: str, era: str) -> None:
    """Each of its calls is a process and a connection of its own: the state is the user's."""

    async def call(name: str, /, **arguments: Any) -> dict[str, Any]:
        return await asyncio.to_thread(inspect, service, way, era, name, **arguments)

    assert asyncio.run(drive(call)) == set(TOOLS)


def test_the_inspectors_linter_finds_nothing_in_the_schemas(service: Any) -> None:
    listed = inspector(service, "http", MODERN, "--method", "tools/list", "--strict")
    assert [t["name"] for t in listed["tools"]] == TOOLS
    for tool in listed["tools"]:
        assert len(tool["name"]) <= 24 and tool["title"] and tool["annotations"]
        for schema in (tool["inputSchema"], tool["outputSchema"]):
            assert schema["type"] == "object" and not {"oneOf", "anyOf", "allOf", "if", "$ref", "$defs"} & schema.keys()


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
