"""Every tool with the command line of MCP's Inspector: over HTTP and over stdio, in both eras."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mcp_clients import BOTH, MODERN, TOOLS, inspect, inspector
from mcp_day import each_once


@pytest.mark.parametrize(("way", "era"), BOTH)
def test_it_drives_every_tool(service: Any, way: str, era: str) -> None:
    """Each of its calls is a process and a connection of its own: the state is the user's."""

    async def call(name: str, /, **arguments: Any) -> dict[str, Any]:
        return await asyncio.to_thread(inspect, service, way, era, name, **arguments)

    assert asyncio.run(each_once(call)) == set(TOOLS)


def test_a_tools_failure_is_its_exit_code(service: Any) -> None:
    failed = inspect(service, "http", MODERN, "execute_code", code=7)
    assert failed["exit"] == 5 and failed["isError"] is True and "code" in failed["content"][0]["text"]


def test_its_linter_finds_nothing_in_the_schemas(service: Any) -> None:
    listed = inspector(service, "http", MODERN, "--method", "tools/list", "--strict")
    assert [t["name"] for t in listed["tools"]] == TOOLS
    for tool in listed["tools"]:
        assert len(tool["name"]) <= 24 and tool["title"] and tool["annotations"]
        for schema in (tool["inputSchema"], tool["outputSchema"]):
            assert schema["type"] == "object" and not {"oneOf", "anyOf", "allOf", "if", "$ref", "$defs"} & schema.keys()
