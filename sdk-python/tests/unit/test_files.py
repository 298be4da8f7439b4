"""The workspace: what is asked for, what goes up and down, and through broken connections."""

from __future__ import annotations

import io
import json
import os

import httpx
import pytest
from fake import Cut, FakeHub, error_reply

from kernelhub import (
    ConnectionError_,
    FileInfo,
    NotFoundError,
    PreconditionFailedError,
    QuotaExceededError,
    RetryPolicy,
)

INFO = {
    "name": "a.txt",
    "path": "d/a.txt",
    "type": "file",
    "size_bytes": 3,
    "modified_at": "2026-11-22T08:00:00Z",
    "a_field_of_tomorrow": 1,
}


def reply(value, status=200):
    return httpx.Response(status, json=value)


def body(data, etag='"e1"', at=None, status=200, **headers):
    """A reply with a file in it, cut behind `at` bytes of it."""
    sent = {"ETag": etag} if etag else {}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    sent["Content-Length"] = str(len(data))
    return lambda _: httpx.Response(status, headers=sent, stream=Cut(data, at, piece=3))


def sent_headers(hub, i, *names):
    return [hub.requests[i].headers.get(name) for name in names]


# ---- what is there ----


def test_a_list_comes_page_after_page(driver):
    hub = FakeHub(
        reply({"items": [INFO], "next": "c"}),
        reply({"items": [{**INFO, "type": "directory", "size_bytes": None}], "next": None}),
    )
    found = driver.call(hub, lambda c: c.files.list("d", recursive=True, pattern="*.txt"))
    assert [item.path for item in found] == ["d/a.txt", "d/a.txt"]
    assert [item.is_folder for item in found] == [False, True]
    assert found[0].modified_at.hour == 8
    assert found[0].raw["a_field_of_tomorrow"] == 1
    assert hub.lines() == [
        "GET /api/v1/files?path=d&recursive=1&pattern=%2A.txt&limit=1000",
        "GET /api/v1/files?path=d&recursive=1&pattern=%2A.txt&limit=1000&cursor=c",
    ]


def test_a_list_is_of_the_workspace_and_as_long_as_wished(driver):
    hub = FakeHub(reply({"items": [INFO, INFO, INFO], "next": "c"}))
    assert len(driver.call(hub, lambda c: c.files.list(limit=2))) == 2
    assert hub.lines() == ["GET /api/v1/files?limit=2"]
    with pytest.raises(TypeError):
        driver.call(FakeHub(), lambda c: c.files.list("d", glob="*"))


def test_a_path_is_what_it_is_in_a_url(driver):
    hub = FakeHub(*[httpx.Response(204)] * 5)
    for path in ("a b/ü?#%.txt", "/d//./x", "~!*'()", "/workspace/x", "workspace/x"):
        driver.call(hub, lambda c, path=path: c.files.delete(path))
    assert hub.lines() == [
        "DELETE /api/v1/files/a%20b/%C3%BC%3F%23%25.txt",
        "DELETE /api/v1/files/d/x",
        "DELETE /api/v1/files/~%21%2A%27%28%29",
        "DELETE /api/v1/files/x",
        "DELETE /api/v1/files/workspace/x",
    ]


@pytest.mark.parametrize("path", ["../x", "a/../../x", "..", "", "/", "./"])
def test_a_path_that_leads_elsewhere_is_refused_here(driver, path):
    with pytest.raises(ValueError, match="workspace"):
        driver.call(FakeHub(), lambda c: c.files.read_bytes(path))


# ---- up ----


def test_a_local_file_goes_up_under_its_name(driver, tmp_path):
    local = tmp_path / "data.csv"
    local.write_bytes(b"x" * 600_000)
    seen = []
    hub = FakeHub(*[reply(INFO, 201)] * 3)
    for path in (None, "d/", "d/e.csv"):
        info = driver.call(
            hub, lambda c, path=path: c.files.put(local, path, progress=lambda *a: seen.append(a))
        )
        assert isinstance(info, FileInfo)
    assert hub.lines() == [
        "PUT /api/v1/files/data.csv",
        "PUT /api/v1/files/d/data.csv",
        "PUT /api/v1/files/d/e.csv",
    ]
    assert hub.requests[0].content == local.read_bytes()
    assert sent_headers(hub, 0, "content-length", "transfer-encoding", "if-none-match") == [
        "600000", None, None,
    ]  # fmt: skip
    assert seen[:3] == [(262144, 600000), (524288, 600000), (600000, 600000)]


def test_an_open_file_goes_up_from_where_it_stands(driver):
    file = io.BytesIO(b"0123456789")
    file.seek(4)
    hub = FakeHub(reply(INFO), reply(INFO))
    driver.call(hub, lambda c: c.files.put(file, "a"))
    assert hub.requests[0].content == b"456789"
    with pytest.raises(TypeError, match="path"):
        driver.call(hub, lambda c: c.files.put(file))
    with pytest.raises(TypeError, match="as text"):
        driver.call(hub, lambda c: c.files.put(io.StringIO("a"), "a"))


class Pipe(io.RawIOBase):
    """Gives what it has, and cannot be rewound."""

    def __init__(self, data):
        self._left = [data[i : i + 5] for i in range(0, len(data), 5)]

    def read(self, n=-1):
        return self._left.pop(0) if self._left else b""


def test_a_pipe_goes_up_in_chunks_and_is_not_sent_twice(driver):
    hub = FakeHub(reply(INFO))
    driver.call(hub, lambda c: c.files.put(Pipe(b"from a pipe"), "a"))
    assert hub.requests[0].content == b"from a pipe"
    assert sent_headers(hub, 0, "content-length", "transfer-encoding") == [None, "chunked"]
    lost = FakeHub(httpx.ReadError("cut"), reply(INFO))
    with pytest.raises(ConnectionError_):
        driver.call(lost, lambda c: c.files.put(Pipe(b"x"), "a"))
    assert lost.left == 1


def test_an_upload_that_was_lost_is_sent_again_from_its_beginning(driver, tmp_path):
    local = tmp_path / "a"
    local.write_bytes(b"all of it")
    hub = FakeHub(httpx.ReadError("cut"), error_reply(503, "unavailable"), reply(INFO))
    driver.call(hub, lambda c: c.files.put(local))
    assert [r.content for r in hub.requests] == [b"all of it"] * 3
    hub = FakeHub(httpx.ReadError("cut"), reply(INFO))
    driver.call(hub, lambda c: c.files.write_text("a", "ä"))
    assert [r.content for r in hub.requests] == ["ä".encode()] * 2


def test_what_may_not_replace_is_not_repeated_when_it_may_have_arrived(driver):
    hub = FakeHub(httpx.ReadError("cut"), reply(INFO))
    with pytest.raises(ConnectionError_):
        driver.call(hub, lambda c: c.files.write_bytes("a", b"x", overwrite=False))
    assert sent_headers(hub, 0, "if-none-match") == ["*"]
    hub = FakeHub(httpx.ConnectError("no"), error_reply(503, "unavailable"), reply(INFO))
    driver.call(hub, lambda c: c.files.write_bytes("a", b"x", overwrite=False))
    assert hub.left == 0
    hub = FakeHub(error_reply(412, "precondition_failed"))
    with pytest.raises(PreconditionFailedError):
        driver.call(hub, lambda c: c.files.write_bytes("a", b"x", overwrite=False))


def test_a_full_quota_is_no_reason_to_try_again(driver):
    hub = FakeHub(error_reply(429, "quota_exceeded"))
    with pytest.raises(QuotaExceededError):
        driver.call(hub, lambda c: c.files.write_bytes("a", b"x"))


def test_a_local_file_that_is_not_there_is_its_own_error(driver, tmp_path):
    with pytest.raises(FileNotFoundError):
        driver.call(FakeHub(), lambda c: c.files.put(tmp_path / "none"))


# ---- down ----


def test_a_file_comes_down_whole(driver, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    hub = FakeHub(*[body(b"content")] * 4)
    assert driver.call(hub, lambda c: c.files.get("d/plot.png")).name == "plot.png"
    assert (tmp_path / "plot.png").read_bytes() == b"content"
    assert driver.call(hub, lambda c: c.files.get("d/plot.png", "sub")) == (
        tmp_path / "sub" / "plot.png"
    ).relative_to(tmp_path)
    driver.call(hub, lambda c: c.files.get("d/plot.png", tmp_path / "other"))
    assert (tmp_path / "other").read_bytes() == b"content"
    assert driver.call(hub, lambda c: c.files.read_text("d/a")) == "content"
    assert sorted(os.listdir(tmp_path)) == ["other", "plot.png", "sub"]


def test_a_download_goes_on_where_it_broke(driver, tmp_path):
    data = bytes(range(100))
    seen = []
    hub = FakeHub(
        body(data, at=40),
        httpx.ConnectError("no"),
        body(data[40:], at=30, status=206, Content_Range="bytes 40-99/100"),
        body(data[70:], status=206, Content_Range="bytes 70-99/100"),
    )
    target = tmp_path / "a"
    policy = RetryPolicy(retries=2, first_delay=0.0)
    driver.call(hub, lambda c: c.files.get("a", target, progress=lambda *a: seen.append(a)), policy)
    assert target.read_bytes() == data
    assert sent_headers(hub, 0, "range", "if-range", "accept-encoding") == [None, None, "identity"]
    assert sent_headers(hub, 1, "range", "if-range") == ["bytes=40-", '"e1"']
    assert sent_headers(hub, 3, "range", "if-range") == ["bytes=70-", '"e1"']
    assert seen[-1] == (100, 100)
    assert [at for at, _ in seen] == sorted(at for at, _ in seen)


def test_a_file_that_changed_meanwhile_begins_anew(driver, tmp_path):
    target = tmp_path / "a"
    for etag in ('"e2"', None):
        hub = FakeHub(body(b"x" * 50, etag=etag, at=30), body(b"new", '"e3"'))
        driver.call(hub, lambda c, hub=hub: c.files.get("a", target))
        assert target.read_bytes() == b"new"
        assert sent_headers(hub, 1, "range") == ["bytes=30-" if etag else None]


def test_what_cannot_be_rewound_says_that_it_broke(driver):
    class OneWay(io.BytesIO):
        def seekable(self):
            return False

    hub = FakeHub(body(b"x" * 50, at=30), body(b"new", '"e2"'))
    with pytest.raises(PreconditionFailedError):
        driver.call(hub, lambda c: c.files.read_into("a", OneWay()))
    out = OneWay()
    data = bytes(range(50))
    rest = body(data[30:], status=206, Content_Range="bytes 30-49/50")
    driver.call(FakeHub(body(data, at=30), rest), lambda c: c.files.read_into("a", out))
    assert out.getvalue() == data


def test_a_part_that_nobody_asked_for_is_refused(driver):
    hub = FakeHub(body(b"x" * 9, at=3), body(b"y", status=206, Content_Range="bytes 7-7/9"))
    with pytest.raises(Exception, match="not asked for"):
        driver.call(hub, lambda c: c.files.read_bytes("a"))


def test_a_download_that_fails_leaves_what_was_there(driver, tmp_path):
    target = tmp_path / "a"
    target.write_text("old")
    for answers, error in (
        ([error_reply(404, "not_found")], NotFoundError),
        ([body(b"x" * 50, at=30)] + [httpx.ReadError("cut")] * 3, ConnectionError_),
    ):
        with pytest.raises(error):
            driver.call(
                FakeHub(*answers),
                lambda c: c.files.get("a", target),
                RetryPolicy(retries=2, first_delay=0.0),
            )
        assert os.listdir(tmp_path) == ["a"]
        assert target.read_text() == "old"


# ---- the rest ----


def test_what_changes_the_tree_is_asked_for_once(driver):
    hub = FakeHub(httpx.Response(204), httpx.Response(204), reply(INFO), reply(INFO), reply(INFO))
    driver.call(hub, lambda c: c.files.delete("d/a"))
    driver.call(hub, lambda c: c.files.delete("d", recursive=True))
    assert driver.call(hub, lambda c: c.files.move("a", "d/a")).path == "d/a.txt"
    driver.call(hub, lambda c: c.files.move("a", "d/a", overwrite=True))
    driver.call(hub, lambda c: c.files.mkdir("x/y"))
    assert hub.lines() == [
        "DELETE /api/v1/files/d/a",
        "DELETE /api/v1/files/d?recursive=1",
        "POST /api/v1/files/move",
        "POST /api/v1/files/move",
        "POST /api/v1/files/mkdir",
    ]
    bodies = [json.loads(r.content) for r in hub.requests if r.content]
    assert bodies == [
        {"from": "a", "to": "d/a"},
        {"from": "a", "to": "d/a", "replace": True},
        {"path": "x/y"},
    ]


def test_a_folder_comes_as_an_archive(driver, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hub = FakeHub(*[body(b"PK", etag=None)] * 4)
    assert driver.call(hub, lambda c: c.files.archive("d/e")).name == "e.zip"
    assert driver.call(hub, lambda c: c.files.archive("/")).name == "workspace.zip"
    driver.call(hub, lambda c: c.files.archive("d/e", "x.tar"))
    driver.call(hub, lambda c: c.files.archive("d/e", "x.bin", form="tar"))
    assert hub.lines() == [
        "GET /api/v1/files/d/e?archive=zip",
        "GET /api/v1/files/?archive=zip",
        "GET /api/v1/files/d/e?archive=tar",
        "GET /api/v1/files/d/e?archive=tar",
    ]
    with pytest.raises(ValueError, match="zip, tar"):
        driver.call(FakeHub(), lambda c: c.files.archive("d", form="rar"))


def test_usage_says_how_much_is_left(driver):
    body = {"used": 5, "limit": 0, "files": 2, "files_limit": 10, "unseen_folders": 1}
    hub = FakeHub(reply(body))
    usage = driver.call(hub, lambda c: c.files.usage())
    assert (usage.used_bytes, usage.limit_bytes, usage.files) == (5, None, 2)
    assert (usage.files_limit, usage.unseen_folders) == (10, 1)
    assert hub.lines() == ["GET /api/v1/files?usage=1"]


def test_a_sandbox_has_files_of_its_own(driver):
    box = {"sandbox_id": "s-1", "name": "lab"}
    hub = FakeHub(reply(box), reply({"items": [], "next": None}), reply(INFO))

    def work(client):
        opened = client.open_sandbox("lab")
        if not hasattr(opened, "__await__"):
            opened.files.list()
            return opened.files.write_text("a", "x")

        async def run():
            sandbox = await opened
            await sandbox.files.list()
            return await sandbox.files.write_text("a", "x")

        return run()

    driver.call(hub, work)
    assert hub.lines()[1:] == [
        "GET /api/v1/files?limit=1000&sandbox=s-1",
        "PUT /api/v1/files/a?sandbox=s-1",
    ]
