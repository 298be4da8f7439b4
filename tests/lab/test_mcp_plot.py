"""A plot of matplotlib's, as an agent gets it: over MCP, with the official Python SDK and kernelhub mcp."""

from __future__ import annotations

import asyncio
import base64
import os
from typing import Any

CODE = "import matplotlib.pyplot as plt\nplt.plot([1, 4, 9, 16])\nplt.title('squares')\nplt.show()"


def test_a_plot_arrives_as_an_image(service: Any) -> None:
    from mcp.client.client import Client
    from mcp.client.stdio import StdioServerParameters, stdio_client

    async def plot() -> Any:
        env = {"KERNELHUB_URL": service.url, "KERNELHUB_TOKEN": service.key, "PATH": os.environ["PATH"]}
        server = StdioServerParameters(command=service.binary, args=["mcp"], env=env)
        async with Client(stdio_client(server), mode="auto") as client:
            return await client.call_tool("execute_code", {"code": CODE})

    result = asyncio.run(plot())
    assert not result.is_error and result.structured_content["status"] == "ok", result.content
    [image] = [block for block in result.content if block.type == "image"]
    data = base64.b64decode(image.data)
    assert image.mime_type == "image/png" and data.startswith(b"\x89PNG") and 5_000 < len(data) <= 512 << 10
    assert image.data not in str(result.structured_content)
