from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Iterator

import pytest

from kernelhub import AsyncClient, NotFoundError


@pytest.fixture
def folder(hub) -> Iterator[str]:
    """A folder of this test alone."""
    name = f"sdk-test-{uuid.uuid4().hex[:12]}"
    yield name
    hub.files.delete(name, recursive=True)


def test_a_file_goes_up_and_comes_down_again(hub, folder, tmp_path):
    local = tmp_path / "a ü.bin"
    local.write_bytes(os.urandom(1_000_000))
    info = hub.files.put(local, f"{folder}/")
    assert (info.path, info.size_bytes) == (f"{folder}/a ü.bin", 1_000_000)
    assert [item.path for item in hub.files.list(folder)] == [info.path]
    assert hub.files.get(info.path, tmp_path / "back").read_bytes() == local.read_bytes()
    code = f"import os; print(os.path.getsize({info.path!r}))"
    assert hub.execute(code, persistent=False).stdout == "1000000\n"
    hub.files.move(info.path, f"{folder}/b")
    with pytest.raises(NotFoundError):
        hub.files.read_bytes(info.path)
    assert hub.files.archive(folder, tmp_path).stat().st_size > 1_000_000
    assert hub.files.usage().used_bytes >= 1_000_000


def test_the_same_with_asyncio(service, hub, folder):
    async def work() -> None:
        async with AsyncClient(*service) as other:
            await other.files.write_text(f"{folder}/t", "zwölf\n")
            assert await other.files.read_text(f"{folder}/t") == "zwölf\n"
            assert [item.name for item in await other.files.list(folder)] == ["t"]

    asyncio.run(work())


def test_packages_are_listed(hub):
    assert hub.packages.allowed("py").language == "python"
    assert isinstance(hub.packages.installed(), list)
