"""packages: what is installed, what may be, and an install with what it says meanwhile."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from fake_service import FakeService
from test_cli import cli

INSTALL = ("POST", "/api/v1/packages/install")


@pytest.fixture
def service() -> Iterator[FakeService]:
    fake = FakeService()
    yield fake
    fake.close()


def finished(seq: int = 9, **fields: Any) -> dict[str, Any]:
    return {
        "seq": seq, "type": "finished", "language": "python", "status": "ok", "requested": ["numpy>=2"],
        "installed": [
            {"name": "numpy", "version": "2.3.1", "change": "updated", "previous": "2.0"}, {"name": "x", "version": "1", "change": "added"},
        ],
        "removed": [{"name": "old", "version": "0"}], "message": None, "output": "done\n", "truncated": False, "duration_ms": 5, **fields,
    }  # fmt: skip


def progress(text: str) -> dict[str, Any]:
    return {"seq": 1, "type": "progress", "text": text, "elapsed_ms": 1}


def install(service: FakeService, *records: Any, arguments: tuple[str, ...] = ("numpy>=2",)) -> subprocess.CompletedProcess[str]:
    service.replies[INSTALL] = [list(records)]
    return cli(service, "packages", "install", *arguments)


def test_an_install_shows_what_the_installer_says_and_what_changed(service: FakeService) -> None:
    records = [{"seq": 1, "type": "queued", "position": 1}, progress("Collecting \x1b[31mnumpy\x1b[0m\n"), progress("ü\n"), finished()]
    done = install(service, *records, arguments=("numpy>=2", "x", "-l", "py", "--session", "s"))
    assert done.returncode == 0
    assert done.stdout == "numpy 2.3.1 updated, was 2.0\nx 1 added\nold 0 removed\n"
    assert done.stderr == "[waiting for other installs]\nCollecting numpy\nü\n"
    assert service.requests[0][2] == {"packages": ["numpy>=2", "x"], "language": "py", "session": "s"}
    assert install(service, *records, arguments=("-q", "x")).stderr == ""
    assert install(service, finished(installed=[], removed=[])).stdout == "nothing was missing\n"
    assert service.requests[-1][2] == {"packages": ["numpy>=2"]}


def test_an_install_as_json_is_its_end(service: FakeService) -> None:
    done = install(service, progress("a\n"), finished(), arguments=("x", "--json"))
    value = json.loads(done.stdout)
    assert (done.returncode, value["status"], value["installed"][0]["name"]) == (0, "ok", "numpy") and "type" not in value


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"status": "error", "message": "the installer ended with exit code 1", "installed": []}, "the installer ended with exit code 1"),
        ({"status": "timeout", "message": None}, "timeout"),
        ({"status": "error", "error": {"code": "sandbox_failed", "message": "no image"}}, "no image"),
    ],
)
def test_an_install_that_fails_says_why(service: FakeService, fields: dict[str, Any], said: str) -> None:
    done = install(service, finished(**fields))
    assert done.returncode == 1 and done.stderr == f"kernelhub packages: {said}\n"


def test_a_refusal_and_a_broken_stream_are_said(service: FakeService) -> None:
    service.replies[INSTALL] = [(403, {"error": {"code": "policy_denied", "message": "numpy is not allowed", "hint": "ask"}})]
    done = cli(service, "packages", "install", "numpy")
    assert (done.returncode, done.stderr) == (1, "kernelhub packages: numpy is not allowed (ask)\n")
    service.replies[INSTALL] = [("cut", [progress("a\n")])]
    done = cli(service, "packages", "install", "numpy")
    assert done.returncode == 1 and "broke off" in done.stderr
    assert install(service, progress("a\n")).stderr == "a\nkernelhub packages: the service broke off; the install may go on\n"


def test_what_is_installed_and_what_may_be(service: FakeService) -> None:
    item = {"language": "python", "name": "numpy", "version": "2.3.1"}
    service.replies[("GET", "/api/v1/packages/installed")] = [(200, {"items": [item], "next": None})]
    assert cli(service, "packages").stdout.split() == ["LANGUAGE", "NAME", "VERSION", "python", "numpy", "2.3.1"]
    assert cli(service, "packages", "ls", "-l", "c++").returncode == 0
    assert service.requests[-1][1] == "/api/v1/packages/installed?language=c%2B%2B"
    rules = {"language": "python", "items": ["numpy>=2", "types-*"], "installable": True, "next": None}
    service.replies[("GET", "/api/v1/packages/allowed/*")] = [(200, rules), (200, {**rules, "installable": False})]
    done = cli(service, "packages", "allowed")
    assert (done.stdout, done.stderr) == ("numpy>=2\ntypes-*\n", "")
    assert service.requests[-1][1] == "/api/v1/packages/allowed/python"
    assert "packages/wheels" in cli(service, "packages", "allowed", "-l", "js").stderr
    assert json.loads(cli(service, "packages", "allowed", "--json").stdout)["language"] == "python"


@pytest.mark.parametrize("arguments", [("install",), ("remove", "x"), ("ls", "x"), ("allowed", "x")])
def test_what_it_does_not_know_is_said(service: FakeService, arguments: tuple[str, ...]) -> None:
    assert cli(service, "packages", *arguments).returncode == 2
