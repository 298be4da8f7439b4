"""These tests need a running service. Without one they fail: who runs this folder means it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

from kernelhub import Client


@pytest.fixture
def service() -> tuple[str, str]:
    url, token = os.environ.get("KERNELHUB_URL"), os.environ.get("KERNELHUB_TOKEN")
    if not url or not token:
        pytest.fail("set KERNELHUB_URL and KERNELHUB_TOKEN to a running service and an own user")
    return url, token


@pytest.fixture
def hub(service: tuple[str, str]) -> Iterator[Client]:
    with Client(*service) as client:
        yield client


@pytest.fixture
def session(hub: Client) -> Iterator[str]:
    """The name of a session of this test alone."""
    name = f"sdk-test-{uuid.uuid4().hex[:12]}"
    yield name
    if name in [info.name for info in hub.sessions.list()]:
        hub.sessions.delete(name)
