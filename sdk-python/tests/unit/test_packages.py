"""Packages: what is asked for, how an install goes by, how it ends."""

from __future__ import annotations

import json

import httpx
import pytest
from fake import Cut, FakeHub, error_reply, stream_reply

from kernelhub import (
    BusyError,
    ConnectionError_,
    PackageError,
    PolicyDeniedError,
    ProtocolError,
    SandboxFailedError,
)

RESULT = {
    "language": "python",
    "status": "ok",
    "requested": ["numpy>=2"],
    "installed": [
        {"name": "numpy", "version": "2.3.1", "change": "updated", "previous": "2.0"},
    ],
    "removed": [],
    "message": None,
    "output": "Successfully installed numpy-2.3.1\n",
    "truncated": False,
    "duration_ms": 4180,
}


def stream(*records, at=None):
    text = ": hello\n\n" + "".join(f"data: {json.dumps(one)}\n\n" for one in records)
    return stream_reply(text.encode(), at)


def install_of(**fields):
    return stream(
        {"type": "queued", "position": 1},
        {"type": "progress", "text": "Collecting ", "elapsed_ms": 10},
        {"type": "progress", "text": "nümpy\n", "elapsed_ms": 20},
        {"type": "finished", **RESULT, **fields},
    )


def test_an_install_goes_by_and_ends(driver):
    seen = []
    hub = FakeHub(install_of())
    install = driver.call(
        hub, lambda c: c.packages.install("numpy>=2", session="s", on_progress=seen.append)
    )
    assert (install.ok, install.language, install.duration_ms) == (True, "python", 4180)
    (numpy,) = install.installed
    assert (numpy.name, numpy.change, numpy.previous) == ("numpy", "updated", "2.0")
    assert numpy.language == "python"
    assert "".join(seen) == "Collecting nümpy\n"
    assert hub.lines() == ["POST /api/v1/packages/install"]
    assert hub.bodies() == [{"packages": ["numpy>=2"], "session": "s"}]
    assert hub.requests[0].headers["accept"] == "text/event-stream"


def test_an_install_that_fails_raises_unless_it_shall_not(driver):
    failed = {
        "status": "error",
        "message": "the installer ended with exit code 1",
        "output": "a\nb\n",
    }
    with pytest.raises(PackageError) as caught:
        driver.call(FakeHub(install_of(**failed)), lambda c: c.packages.install("x", language="js"))
    assert caught.value.code == "error"
    assert caught.value.message == "the installer ended with exit code 1: b"
    assert caught.value.install.output == "a\nb\n"
    hub = FakeHub(install_of(**failed))
    install = driver.call(hub, lambda c: c.packages.install("x", "y", check=False))
    assert not install.ok
    assert hub.bodies() == [{"packages": ["x", "y"]}]


def test_a_package_that_may_not_be_installed_is_named(driver):
    hub = FakeHub(error_reply(403, "policy_denied", details={"rule": "numpy>=2"}))
    with pytest.raises(PolicyDeniedError) as caught:
        driver.call(hub, lambda c: c.packages.install("numpy==1"))
    assert caught.value.details == {"rule": "numpy>=2"}
    with pytest.raises(TypeError):
        driver.call(FakeHub(), lambda c: c.packages.install())


def test_an_error_in_the_middle_is_an_exception_too(driver):
    error = {"code": "sandbox_failed", "message": "no image", "request_id": "r"}
    for given, kind in ((error, SandboxFailedError), (None, Exception)):
        hub = FakeHub(stream({"type": "finished", "status": "error", "error": given}))
        with pytest.raises(kind) as caught:
            driver.call(hub, lambda c: c.packages.install("x"))
        assert caught.value.status is None


def test_what_has_begun_is_not_begun_again(driver):
    again = install_of()
    cut = stream({"type": "queued", "position": 1}, at=30)
    for first, error in (
        (cut, ConnectionError_),
        (stream({"type": "queued", "position": 1}), ProtocolError),
        (stream_reply(b"data: no json\n\n"), ProtocolError),
        (httpx.ReadError("cut"), ConnectionError_),
        (error_reply(409, "busy"), BusyError),
    ):
        hub = FakeHub(first, again)
        with pytest.raises(error):
            driver.call(hub, lambda c: c.packages.install("x"))
        assert hub.left == 1
    hub = FakeHub(httpx.ConnectError("no"), error_reply(503, "unavailable"), again)
    assert driver.call(hub, lambda c: c.packages.install("x")).ok


def test_what_is_installed_and_what_may_be(driver):
    item = {"language": "python", "name": "numpy", "version": "2.3.1"}
    hub = FakeHub(
        httpx.Response(200, json={"items": [item], "next": "c"}),
        httpx.Response(200, json={"items": [], "next": None}),
        httpx.Response(
            200,
            json={"language": "python", "items": ["numpy>=2"], "installable": True, "next": None},
        ),
    )
    (found,) = driver.call(hub, lambda c: c.packages.installed("python"))
    assert (found.name, found.version, found.language) == ("numpy", "2.3.1", "python")
    allowed = driver.call(hub, lambda c: c.packages.allowed("py"))
    assert (allowed.rules, allowed.installable, allowed.language) == (["numpy>=2"], True, "python")
    assert hub.lines() == [
        "GET /api/v1/packages/installed?language=python",
        "GET /api/v1/packages/installed?language=python&cursor=c",
        "GET /api/v1/packages/allowed/py",
    ]


def test_a_stream_may_be_split_anywhere(driver):
    body = install_of().stream._body
    for piece in (1, 2, 3, len(body)):
        reply = httpx.Response(200, stream=Cut(body, None, piece))
        assert driver.call(FakeHub(reply), lambda c: c.packages.install("x")).ok
