"""What an agent does with all the tools there are, whatever its client is."""

from __future__ import annotations

import base64
import itertools
import struct
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from mcp_clients import blocks, text_of

Call = Callable[..., Awaitable[dict[str, Any]]]
names = (f"box{n}" for n in itertools.count())


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress((b"\0" + b"\x7f" * 3 * width) * height)) + chunk(b"IEND", b"")


PLOT = f"from IPython.display import Image, display\nimport base64\ndisplay(Image(base64.b64decode({base64.b64encode(png(32, 24)).decode()!r})))"


class Hand:
    """Calls tools, which must succeed, and knows which."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.used: set[str] = set()

    async def __call__(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        self.used.add(name)
        result = await self.call(name, **arguments)
        assert not result.get("isError"), f"{name}: {text_of(result)}"
        return result


async def each_once(call: Call) -> set[str]:
    """Gives the tools that it called."""
    tool = Hand(call)
    box = next(names)
    folder = f"day-{box}"
    sandbox = (await tool("create_sandbox", name=box))["structuredContent"]["sandbox_id"]
    assert box in text_of(await tool("list_sandboxes"))
    assert "made 42" in text_of(await tool("run_code", sandbox_name=box, code="print('made', 6 * 7)"))
    plot = await tool("execute_code", code=PLOT, sandbox_id=sandbox)
    [image] = blocks(plot, "image")
    assert image["mimeType"] == "image/png" and base64.b64decode(image["data"]) == png(32, 24)
    looked = await tool("get_execution", execution_id=plot["structuredContent"]["execution_id"])
    assert looked["structuredContent"]["status"] == "ok"
    await tool("interrupt_execution", sandbox_id=sandbox)
    await tool("upload_file", path=f"{folder}/a ü.txt", content="one\ntwo ü\n", sandbox_id=sandbox)
    assert "a ü.txt" in text_of(await tool("list_files", path=folder, sandbox_id=sandbox))
    assert "one\ntwo ü\n" in text_of(await tool("download_file", path=f"{folder}/a ü.txt", sandbox_id=sandbox))
    assert (await tool("destroy_sandbox", sandbox_name=box))["structuredContent"]["existed"] is True
    return tool.used


async def day(call: Call) -> set[str]:
    """All that an agent expects of the tools. Gives those that it called."""
    tool = Hand(call)
    box = next(names)
    made = await tool("create_sandbox", name=box)
    assert box in text_of(made)
    listed = await tool("list_sandboxes")
    assert box in text_of(listed) and box in [s["name"] for s in listed["structuredContent"]["sandboxes"]]

    # a handle is good from the first moment on, also of what waits for its kernel
    early = (await tool("execute_code", code="1", sandbox_id=box, background=True))["structuredContent"]
    assert early["sandbox_id"] == made["structuredContent"]["sandbox_id"]
    waited = (await tool("get_execution", execution_id=early["execution_id"], wait_seconds=30))["structuredContent"]
    assert (waited["status"], waited["sandbox_id"]) == ("ok", early["sandbox_id"])

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
    return tool.used
