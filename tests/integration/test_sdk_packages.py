"""The SDK and the command line install packages, with real builders."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator

import package_index
import pytest
from conftest import BUILD, Service

from kernelhub import AsyncClient, Client, PackageError, PolicyDeniedError


@pytest.fixture(scope="module")
def packages() -> Iterator[Service]:
    index = package_index.Index()
    for version in ("1.0", "2.0"):
        index.add(package_index.wheel("small_one", version, {"small_one.py": f"VALUE = {version}\n"}))
    index.add(package_index.wheel("other", "3.0", {"other.py": "VALUE = 3\n"}))
    index.add(package_index.source("broken", "raise SystemExit('this setup.py fails')"))
    service = Service("packages/network=host", "packages/python=small-one<3 other broken", "packages/timeout_seconds=60")
    service.env = {k: v for k, v in service.env.items() if not k.startswith("PIP_")} | {"PIP_INDEX_URL": index.url}
    try:
        service.start()
        yield service
    finally:
        service.destroy()
        index.close()


def test_the_sdk_installs_and_the_next_cell_imports(packages: Service) -> None:
    with Client(packages.url, packages.key) as hub:
        allowed = hub.packages.allowed("py")
        assert allowed.rules == ["small-one<3", "other", "broken"] and allowed.installable
        hub.execute("x = 1", check=True)
        said: list[str] = []
        install = hub.packages.install("small-one==1.0", on_progress=said.append)
        assert [(p.name, p.version, p.change) for p in install.installed] == [("small-one", "1.0", "added")]
        assert "Successfully installed" in "".join(said) and install.output in "".join(said)
        assert hub.execute("import small_one; print(x, small_one.VALUE)").stdout == "1 1.0\n"
        assert ("small-one", "1.0") in [(p.name, p.version) for p in hub.packages.installed("python")]
        with pytest.raises(PolicyDeniedError, match="numpy") as denied:
            hub.packages.install("numpy")
        assert denied.value.status == 403 and denied.value.details["rule"]
        with pytest.raises(PackageError) as failed:
            hub.packages.install("broken")
        assert failed.value.install.status == "error" and "this setup.py fails" in failed.value.install.output

    async def again() -> None:
        async with AsyncClient(packages.url, packages.key) as other:
            said.clear()
            install = await other.packages.install("small-one==2.0", on_progress=said.append)
            assert [(p.previous, p.version) for p in install.installed] == [("1.0", "2.0")] and said
            assert (await other.packages.installed("python"))[0].language == "python"

    asyncio.run(again())


def test_the_command_line_installs(packages: Service) -> None:
    env = {**os.environ, "KERNELHUB_URL": packages.url, "KERNELHUB_TOKEN": packages.key}

    def cli(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(BUILD / "cmd" / "kernelhub"), "packages", *arguments], env=env, capture_output=True, text=True, timeout=120)

    assert cli("allowed").stdout == "small-one<3\nother\nbroken\n"
    done = cli("install", "other")
    assert (done.returncode, done.stdout) == (0, "other 3.0 added\n") and "Successfully installed" in done.stderr
    assert ["python", "other", "3.0"] in [line.split() for line in cli("ls", "-l", "python").stdout.splitlines()]
    done = cli("install", "-q", "broken")
    assert (done.returncode, done.stdout) == (1, "") and done.stderr.startswith("kernelhub packages: the installer ended with exit code")
    done = cli("install", "numpy")
    assert done.returncode == 1 and "numpy" in done.stderr
