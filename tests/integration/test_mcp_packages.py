"""create_sandbox with packages: installed first, or a failure that says why."""

from __future__ import annotations

import pytest
from conftest import Service
from mcp_client import LEGACY, MODERN, Mcp
from test_packages import index as index  # fixtures
from test_packages import packages as packages


@pytest.mark.parametrize("version", [LEGACY, MODERN])
def test_an_agent_installs_what_it_may(packages: Service, version: str) -> None:
    with Mcp(packages.url, packages.key, version) as mcp:
        said = mcp.ok("create_sandbox", name="default", language="python", packages=["needy", "small-one==1.0"])
        assert said["session"] == "python" and set(said["installed"]) <= {"needy 1.0", "small-one 1.0"}
        ran = mcp.ok("execute_code", code="import needy; needy.VALUE")
        assert ran.get("result") == "1", ran
        assert mcp.ok("create_sandbox", name="default", packages=["needy"])["created"] is False
        assert "numpy" in mcp.fails("create_sandbox", packages=["numpy"])  # not on the list
        text = mcp.fails("create_sandbox", name="never", packages=["broken"])
        assert "this setup.py fails" in text and "nothing was changed" in text
        assert "packages" in mcp.fails("create_sandbox", packages=[])
        assert "never" not in [s["name"] for s in mcp.ok("list_sandboxes")["sandboxes"]]


def test_an_install_tells_how_it_goes(packages: Service) -> None:
    with Mcp(packages.url, packages.key) as mcp:
        assert "30" in str(mcp.tool("create_sandbox", token="t", packages=["sleepy"])["content"])  # timeout_seconds
        notes = [n["params"]["message"] for n in mcp.notes if n["method"] == "notifications/progress"]
        assert len(notes) >= 2 and any("sleepy" in n for n in notes)
