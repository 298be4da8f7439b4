"""Other people's Jupyter clients against a real service: what they do unchanged is the test."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("integration_conftest", Path(__file__).resolve().parents[1] / "integration" / "conftest.py")
assert _spec and _spec.loader
integration = importlib.util.module_from_spec(_spec)
sys.modules["integration_conftest"] = integration
_spec.loader.exec_module(integration)
Service = integration.Service

# What Jupyter's packages write goes into the run's folder.
for _name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
    os.environ[_name] = str(integration.FOLDER / "jupyter")


@pytest.fixture(scope="session")
def open_service() -> Iterator[object]:
    """Without tokens: GatewayKernelManager's WebSocket can send none."""
    s = Service("server/auth=none", "limits/memory_bytes=512M")
    try:
        s.start()
        yield s
    finally:
        s.destroy()


@pytest.fixture(scope="session")
def service() -> Iterator[object]:
    s = Service("limits/memory_bytes=512M")
    try:
        s.start()
        yield s
    finally:
        s.destroy()
