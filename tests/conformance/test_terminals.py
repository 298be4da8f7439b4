"""JupyterLab's own client of terminals, unchanged."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def test_jupyterlab_services_terminals(service: Any) -> None:
    node = shutil.which("node")
    modules = os.environ.get("KERNELHUB_NODE_MODULES", "")
    assert node and (Path(modules) / "@jupyterlab" / "services").is_dir(), "node and @jupyterlab/services are needed (KERNELHUB_NODE_MODULES)"
    command = [node, str(HERE / "terminals.js"), service.url, service.key]
    done = subprocess.run(command, env=dict(os.environ, NODE_PATH=modules), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    steps = ["started", "typed", "resized", "reconnected", "shared", "ended", "shut down"]
    assert [s for s in done.stdout.splitlines() if s in steps] == steps
