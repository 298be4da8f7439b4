"""Two clients of MCP that other people wrote, each over HTTP and over stdio, in both eras: the official Python SDK's, and the Inspector's command line."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from collections.abc import AsyncIterator
from typing import Any

import pytest
from integration_conftest import FOLDER
from mcp_suite import MODULES, NODE

INSPECTOR = MODULES / "@modelcontextprotocol" / "inspector" / "clients" / "launcher" / "build" / "index.js"
MODERN = "2026-07-28"
ERAS = ("legacy", MODERN)
WAYS = ("http", "stdio")
BOTH = [pytest.param(way, era, id=f"{way}-{era}") for way in WAYS for era in ERAS]
TOOLS = [
    "list_sandboxes", "execute_code", "create_sandbox", "run_code", "get_execution", "interrupt_execution", "list_files", "upload_file",
    "download_file", "destroy_sandbox",
]


def text_of(result: dict[str, Any]) -> str:
    return "\n".join(block["text"] for block in result["content"] if block["type"] == "text")


def blocks(result: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [block for block in result["content"] if block["type"] == kind]


def transport(service: Any, way: str) -> AbstractAsyncContextManager[Any]:
    import httpx2
    from mcp.client.stdio import StdioServerParameters, stdio_client
    from mcp.client.streamable_http import streamable_http_client

    if way == "stdio":
        env = {"KERNELHUB_URL": service.url, "KERNELHUB_TOKEN": service.key, "PATH": os.environ["PATH"]}
        return stdio_client(StdioServerParameters(command=service.binary, args=["mcp"], env=env))

    @asynccontextmanager
    async def over_http() -> AsyncIterator[Any]:
        headers = {"Authorization": f"Bearer {service.key}"}
        async with httpx2.AsyncClient(headers=headers, timeout=60) as http, streamable_http_client(f"{service.url}/mcp", http_client=http) as streams:
            yield streams

    return over_http()


@asynccontextmanager
async def sdk(service: Any, way: str, era: str, **more: Any) -> AsyncIterator[Any]:
    from mcp.client.client import Client

    async with Client(transport(service, way), mode=era, **more) as client:
        yield client


async def call(client: Any, tool: str, /, **arguments: Any) -> dict[str, Any]:
    result: dict[str, Any] = (await client.call_tool(tool, arguments)).model_dump(by_alias=True, mode="json", exclude_none=True)
    return result


def inspector(service: Any, way: str, era: str, *arguments: str) -> dict[str, Any]:
    """One run of `mcp-inspector --cli`: its answer as JSON, and "exit", its code: 0, or 5 when a tool said isError."""
    command = [str(NODE), str(INSPECTOR), "--cli", "--protocol-era", "modern" if era == MODERN else era, "--format", "json"]
    env = {**os.environ, "MCP_INSPECTOR_SECRET_STORE": "memory", "HOME": str(FOLDER), "NO_COLOR": "1"}
    if way == "http":
        command += ["--header", f"Authorization: Bearer {service.key}", *arguments, f"{service.url}/mcp"]
    else:
        command += ["-e", f"KERNELHUB_URL={service.url}", "-e", f"KERNELHUB_TOKEN={service.key}", *arguments, "--", service.binary, "mcp"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=90, cwd=FOLDER)
    assert done.returncode in (0, 5), f"{arguments}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return {**json.loads(done.stdout)["result"], "exit": done.returncode}


def inspect(service: Any, way: str, era: str, tool: str, /, **arguments: Any) -> dict[str, Any]:
    return inspector(service, way, era, "--method", "tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(arguments))
