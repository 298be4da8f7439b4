"""MCP's official conformance suite, as it is published, against a service: what it ran and what it found."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from integration_conftest import FOLDER

MODULES = Path(os.environ.get("KERNELHUB_NODE_MODULES", "node_modules"))
NODE = MODULES / "node" / "bin" / "node"
SUITE = MODULES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"


@dataclass
class Report:
    code: int
    text: str
    scenarios: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # each with its checks

    def faults(self) -> list[str]:
        found = []
        for name, checks in sorted(self.scenarios.items()):
            for check in checks:
                if check["status"] in ("FAILURE", "WARNING"):
                    found.append(f"{check['status']} {name}: {check['id']}: {check.get('errorMessage', '')}")
        return found


def scored(revision: str) -> set[str]:
    """The scenarios for servers that this revision asks for, as the suite lists them."""
    done = subprocess.run([NODE, SUITE, "list", "--requirements", revision], capture_output=True, text=True, timeout=60, check=True)
    servers = done.stdout.split("Server scenarios", 1)[1].split("Client scenarios", 1)[0]
    return set(re.findall(r"^  - (\S+)", servers, re.MULTILINE))


def run(url: str, revision: str, name: str, expected_failures: Path | None = None, seconds: int = 120) -> Report:
    out = FOLDER / f"mcp-{name}-{revision}"
    command = [NODE, SUITE, "server", "--url", f"{url}/mcp", "--requirements", revision, "--output-dir", out, "--timeout", "15000"]
    if expected_failures:
        command += ["--expected-failures", expected_failures]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, cwd=FOLDER)
    report = Report(done.returncode, done.stdout + done.stderr)
    for checks in out.glob("*/checks.json"):
        scenario = re.sub(r"^server-(.*)-\d{4}-\d\d-\d\dT.*$", r"\1", checks.parent.name)
        report.scenarios[scenario] = json.loads(checks.read_text())
    return report
