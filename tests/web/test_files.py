"""The files API over real sockets; the workspace is a real folder, the hub is not (tests/unit/fake_files.c)."""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import json
import os
import random
import shutil
import socket
import subprocess
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

API = "/api/v1/files"
HEAD = b"Host: localhost\r\nAuthorization: Bearer kh_admin\r\n"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@pytest.fixture
def shared(state: Path) -> Path:
    folder = state / "admin" / "shared"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def server(start: Callable[..., Any], state: Path, shared: Path) -> Any:
    return start(f"state={state}")


class Reply:
    def __init__(self, reply: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = reply.status, reply.headers, reply.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        code: str = self.json["error"]["code"]
        return code


def ask(server: Any, method: str, path: str, body: bytes | Iterable[bytes] | dict[str, Any] | None = None, **headers: str) -> Reply:
    connection = server.connection()
    sent = {name.replace("_", "-"): value for name, value in headers.items()} | {"Authorization": "Bearer kh_admin"}
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    connection.request(method, API + path, body=data, headers=sent)
    reply = Reply(connection.getresponse())
    connection.close()
    assert reply.headers["X-Request-Id"]
    return reply


def drafts(state: Path) -> list[str]:
    folder = state / "admin" / "incoming"
    return os.listdir(folder) if folder.exists() else []


def no_drafts(state: Path) -> bool:
    """What is refused is answered first, and removed a moment later."""
    end = time.monotonic() + 20
    while drafts(state) and time.monotonic() < end:
        time.sleep(0.01)
    return not drafts(state)


def form(*parts: tuple[str, str | None, bytes], boundary: str = "xYz") -> tuple[bytes, dict[str, str]]:
    body = b""
    for name, filename, content in parts:
        file = f'; filename="{filename}"' if filename is not None else ""
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), {"Content_Type": f"multipart/form-data; boundary={boundary}"}


# ---- writing ----


def test_what_is_put_is_there_whole_and_says_what_it_is(server: Any, shared: Path, state: Path) -> None:
    for n in (0, 1, 65536, 262144, 262145, 3_000_000):
        content = random.Random(n).randbytes(n)
        reply = ask(server, "PUT", f"/a/b/{n}.bin", content)
        assert reply.status == 201 and reply.headers["Location"] == f"{API}/a/b/{n}.bin"
        item = reply.json
        assert {k: item[k] for k in ("name", "path", "type", "size_bytes")} == {
            "name": f"{n}.bin",
            "path": f"a/b/{n}.bin",
            "type": "file",
            "size_bytes": n,
        }
        assert set(item) == {"name", "path", "type", "size_bytes", "modified_at"} and item["modified_at"].endswith("Z")
        assert (shared / "a" / "b" / f"{n}.bin").read_bytes() == content
        got = ask(server, "GET", f"/a/b/{n}.bin")
        assert got.body == content and got.headers["ETag"] == reply.headers["ETag"]
    os.chmod(shared / "a" / "b" / "1.bin", 0o755)
    assert ask(server, "PUT", "/a/b/1.bin", b"new").status == 200
    assert (shared / "a" / "b" / "1.bin").read_bytes() == b"new" and (shared / "a" / "b" / "1.bin").stat().st_mode & 0o777 == 0o755
    assert no_drafts(state)


def test_the_longest_path_has_its_answer(server: Any, shared: Path, state: Path) -> None:
    """A byte that is no text has nine in an address: a Location as long as that left no room for the reply."""
    path = "/".join(["\uef81" * 250] * 16)
    reply = ask(server, "PUT", "/" + quote(path), b"x")
    assert reply.status == 201 and reply.json["path"] == path and "Location" not in reply.headers
    assert ask(server, "GET", "/" + quote(path)).body == b"x"
    shutil.rmtree(os.fsencode(shared / "/".join(["\udc81" * 250])))


def test_a_body_in_chunks_is_a_body(server: Any, shared: Path) -> None:
    assert ask(server, "PUT", "/x", (bytes([i]) * 100_000 for i in range(30))).status == 201
    assert (shared / "x").read_bytes() == b"".join(bytes([i]) * 100_000 for i in range(30))


def test_many_requests_share_a_connection(server: Any, shared: Path) -> None:
    c = server.connection()
    for i in range(20):
        c.request("PUT", f"{API}/{i}", body=b"x" * i * 50_000, headers={"Authorization": "Bearer kh_admin"})
        reply = c.getresponse()
        assert reply.status == 201 and json.loads(reply.read())["size_bytes"] == i * 50_000
    c.close()


@pytest.mark.parametrize(
    ("path", "code"),
    [("", "invalid_request"), ("/", "invalid_request"), ("/d", "invalid_request"), ("/../x", "invalid_request"), ("/f/x", "conflict")],
)
def test_what_no_file_can_be_is_refused_before_its_body(server: Any, shared: Path, state: Path, path: str, code: str) -> None:
    (shared / "d").mkdir()
    (shared / "f").write_text("f")
    for headers in ({}, {"Expect": "100-continue"}):
        reply = ask(server, "PUT", path or "/", b"x" * 1000, **headers)
        assert (reply.status, reply.code) == ((409 if code == "conflict" else 400), code)
    assert no_drafts(state) and sorted(os.listdir(shared)) == ["d", "f"]


def test_who_asks_first_is_told_before_the_body(server: Any, shared: Path) -> None:
    (shared / "d").mkdir()
    s = server.raw(b"PUT /api/v1/files/d HTTP/1.1\r\n" + HEAD + b"Expect: 100-continue\r\nContent-Length: 5000000000\r\n\r\n")
    assert s.recv(4096).startswith(b"HTTP/1.1 400 ")
    s.close()
    s = server.raw(b"PUT /api/v1/files/e HTTP/1.1\r\n" + HEAD + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert s.recv(4096).startswith(b"HTTP/1.1 100 ")
    s.sendall(b"hello")
    assert s.recv(4096).startswith(b"HTTP/1.1 201 ")
    s.close()
    assert (shared / "e").read_bytes() == b"hello"


def test_a_cut_upload_leaves_nothing(server: Any, shared: Path, state: Path) -> None:
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    body, headers = form(("path", None, b"cut/"), ("file", "f", bytes(2_000_000)))
    for i in range(60):
        if i % 2:
            whole = b"PUT /api/v1/files/cut/%d HTTP/1.1\r\n%sContent-Length: 2000000\r\n\r\n%s" % (i, HEAD, bytes(2_000_000))
        else:
            whole = b"POST /api/v1/files HTTP/1.1\r\n%sContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (
                HEAD,
                headers["Content_Type"].encode(),
                len(body),
                body,
            )
        s = server.raw(whole[: rng.randrange(30, len(whole) - 1)])
        if rng.random() < 0.5:
            time.sleep(rng.random() * 0.02)
        if rng.random() < 0.3:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
        s.close()
    assert no_drafts(state)
    assert os.listdir(shared) == [], f"seed {seed}"
    assert server.ask("GET", "/health").status == 200


def test_a_server_that_stops_in_an_upload_leaves_nothing(start: Callable[..., Any], state: Path, shared: Path) -> None:
    server = start(f"state={state}")
    s = server.raw(b"PUT /api/v1/files/x HTTP/1.1\r\n" + HEAD + b"Content-Length: 3000000\r\n\r\n" + b"x" * 1_000_000)
    server.until(lambda: drafts(state) != [])
    server.drain()
    assert server.process.wait(20) == 0
    s.close()
    assert no_drafts(state) and os.listdir(shared) == []


def test_what_does_not_fit_is_refused_at_once(start: Callable[..., Any], state: Path, shared: Path) -> None:
    server = start(f"state={state}", f"space={4 << 20}")
    s = server.raw(b"PUT /api/v1/files/x HTTP/1.1\r\n" + HEAD + b"Content-Length: 5000000000\r\n\r\n")
    assert s.recv(4096).startswith(b"HTTP/1.1 429 ")
    s.close()
    chunks = ask(server, "PUT", "/x", (bytes(100_000) for _ in range(100)))
    assert (chunks.status, chunks.code) == (429, "quota_exceeded") and chunks.headers["Retry-After"]
    assert ask(server, "PUT", "/x", bytes(3 << 20)).status == 201
    assert ask(server, "PUT", "/y", bytes(3 << 20)).code == "quota_exceeded"
    usage = ask(server, "GET", "?usage=1").json
    assert usage["limit"] == 4 << 20 and 3 << 20 <= usage["used"] < 4 << 20 and usage["files"] == 1
    body, headers = form(("file", "y", bytes(3 << 20)))
    assert ask(server, "POST", "", body, **headers).code == "quota_exceeded"
    save = server.ask("PUT", "/api/contents/y", {"type": "file", "format": "text", "content": "x" * (3 << 20)})
    assert save.status == 429
    assert ask(server, "DELETE", "/x").status == 204
    assert ask(server, "PUT", "/y", bytes(3 << 20)).status == 201
    assert no_drafts(state) and os.listdir(shared) == ["y"]


def test_conditions_guard_a_write_and_a_delete(server: Any, shared: Path) -> None:
    first = ask(server, "PUT", "/a", b"one", If_None_Match="*")
    assert first.status == 201
    for headers in ({"If_None_Match": "*"}, {"If_Match": '"x"'}, {"If_Match": "W/" + first.headers["ETag"]}):
        reply = ask(server, "PUT", "/a", b"two", **headers)
        assert (reply.status, reply.code) == (412, "precondition_failed")
        assert ask(server, "DELETE", "/a", **headers).status == 412
    assert ask(server, "PUT", "/none", b"x", If_Match="*").status == 412
    second = ask(server, "PUT", "/a", b"two!", If_Match=f'"x", {first.headers["ETag"]}')
    assert second.status == 200 and second.headers["ETag"] != first.headers["ETag"]
    assert ask(server, "DELETE", "/a", If_Match=first.headers["ETag"]).status == 412
    assert ask(server, "POST", "/move", {"from": "a", "to": "b"}, If_Match=first.headers["ETag"]).status == 412
    assert ask(server, "DELETE", "/a", If_Match=second.headers["ETag"]).status == 204
    assert os.listdir(shared) == []


# ---- forms and JSON ----


def test_another_content_is_another_tag_whatever_time_it_is_given(server: Any, shared: Path) -> None:
    """As rsync, tar and unzip do: with the time of the content before it, an old copy was still said to be the new one."""
    tag = ask(server, "PUT", "/f", b"one").headers["ETag"]
    assert ask(server, "GET", "/f").headers["ETag"] == tag
    before = (shared / "f").stat()
    time.sleep(0.02)  # a tick of the disk's clock
    (shared / "f").write_bytes(b"two")
    os.utime(shared / "f", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (shared / "f").stat().st_ino == before.st_ino
    again = ask(server, "GET", "/f", If_None_Match=tag)
    assert again.status == 200 and again.body == b"two" and again.headers["ETag"] != tag
    assert ask(server, "PUT", "/f", b"x", If_Match=tag).status == 412


def test_a_part_of_a_file_is_not_written_as_the_file(server: Any, shared: Path) -> None:
    """Who takes up an upload again sends the rest with Content-Range: it was saved in place of the whole file."""
    assert ask(server, "PUT", "/f", b"0123456789").status == 201
    part = ask(server, "PUT", "/f", b"789", Content_Range="bytes 7-9/10")
    assert (part.status, part.code) == (400, "invalid_request") and "Content-Range" in part.json["error"]["message"]
    packed = ask(server, "PUT", "/f", b"789", Content_Encoding="gzip")
    assert (packed.status, packed.code) == (415, "unsupported_media_type") and "Content-Encoding" in packed.json["error"]["message"]
    assert (shared / "f").read_bytes() == b"0123456789"
    assert ask(server, "PUT", "/f", b"789", Content_Encoding="identity").status == 200


def test_a_form_has_a_file_and_a_path(server: Any, shared: Path, state: Path) -> None:
    content = random.Random(1).randbytes(1_000_000) + b"\r\n--xY"
    (shared / "there").mkdir()
    for parts, path in [
        ([("file", "a.bin", content)], "a.bin"),
        ([("path", None, b"d/e.bin"), ("file", "a.bin", content)], "d/e.bin"),
        ([("file", "a.bin", content), ("path", None, b"d/f.bin")], "d/f.bin"),
        ([("file", "C:\\x\\g.bin", content), ("path", None, b"new/")], "new/g.bin"),
        ([("path", None, b"/workspace/there"), ("file", "h.bin", content)], "there/h.bin"),
        ([("file", "\u00fc.bin", content)], "\u00fc.bin"),
        ([("file", "empty", b"")], "empty"),
    ]:
        body, headers = form(*parts)
        reply = ask(server, "POST", "", body, **headers)
        assert reply.status == 201, reply.body
        assert reply.json["path"] == path and (shared / path).read_bytes() == parts[[p[0] for p in parts].index("file")][2]
    assert no_drafts(state)


def test_a_form_that_is_none_is_refused(server: Any, shared: Path, state: Path) -> None:
    good, headers = form(("file", "a", b"x"))
    bad: list[tuple[bytes, dict[str, str]]] = [
        form(("path", None, b"a")),
        form(("file", "a", b"x"), ("other", None, b"y")),
        form(("file", "a", b"x"), ("file", "b", b"y")),
        form(("file", "a", b""), ("file", "b", b"y")),
        form(("file", "..", b"x")),
        form(("file", None, b"x")),
        form(("file", "a", b"x"), ("path", None, b"../a")),
        form(("file", "a", b"x"), ("path", None, b"p" * 20_000)),
        (good[:-8], headers),
        (b"", headers),
        (b"no form at all", headers),
        (good, {"Content_Type": "multipart/form-data"}),
        (good, {"Content_Type": "multipart/form-data; boundary=other"}),
    ]
    for body, kind in bad:
        reply = ask(server, "POST", "", body, **kind)
        assert (reply.status, reply.code) == (400, "invalid_request"), (body, reply.body)
    assert no_drafts(state) and os.listdir(shared) == []


def test_a_file_may_come_as_json(server: Any, shared: Path) -> None:
    content = random.Random(2).randbytes(100_000)
    reply = ask(server, "POST", "", {"path": "j/a.bin", "content_base64": base64.b64encode(content).decode()})
    assert reply.status == 201 and reply.json["path"] == "j/a.bin" and (shared / "j/a.bin").read_bytes() == content
    assert ask(server, "POST", "", {"path": "j/a.bin", "content": "t\u00e4xt"}).status == 200
    assert (shared / "j/a.bin").read_text() == "t\u00e4xt"
    assert ask(server, "POST", "", {"path": "e", "content": ""}).status == 201
    for body in (
        {"path": "x"},
        {"content": "x"},
        {"path": "x", "content": "a", "content_base64": "YQ=="},
        {"path": "x", "content_base64": "?"},
        {"path": "..", "content": "x"},
        {"path": "j/", "content": "x"},
        {"path": "x", "content": "x", "mode": 1},
    ):
        reply = ask(server, "POST", "", body)
        assert (reply.status, reply.code) == (400, "invalid_request"), body
    assert not (shared / "x").exists()


# ---- reading ----


def test_a_part_is_given_when_the_file_is_the_same(server: Any, shared: Path) -> None:
    content = random.Random(3).randbytes(1_000_000)
    (shared / "a.csv").write_bytes(content)
    head = ask(server, "HEAD", "/a.csv")
    assert head.status == 200 and head.body == b"" and head.headers["Content-Length"] == "1000000"
    assert head.headers["Accept-Ranges"] == "bytes" and head.headers["Content-Type"] == "text/csv; charset=UTF-8"
    assert head.headers["Last-Modified"].endswith("GMT") and "Content-Disposition" not in head.headers
    tag = head.headers["ETag"]
    for wanted, part in [("bytes=0-0", content[:1]), ("bytes=999990-", content[-10:]), ("bytes=-5", content[-5:]), ("bytes=7-2000000", content[7:])]:
        reply = ask(server, "GET", "/a.csv", Range=wanted)
        assert reply.status == 206 and reply.body == part and reply.headers["Content-Range"].endswith("/1000000")
        assert ask(server, "GET", "/a.csv", Range=wanted, If_Range=tag).body == part
        assert ask(server, "GET", "/a.csv", Range=wanted, If_Range='"old"').status == 200
    outside = ask(server, "GET", "/a.csv", Range="bytes=1000000-")
    assert outside.status == 416 and outside.headers["Content-Range"] == "bytes */1000000" and outside.code == "range_not_satisfiable"
    assert ask(server, "GET", "/a.csv", If_None_Match=f'"x", {tag}').status == 304
    assert ask(server, "GET", "/a.csv", If_Match='"x"').status == 412
    assert ask(server, "GET", "/a.csv?download=1").headers["Content-Disposition"].startswith('attachment; filename="a.csv"')


def test_what_is_no_file_answers_at_once(server: Any, shared: Path) -> None:
    os.mkfifo(shared / "pipe")
    unix = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(shared)  # a socket's name has 108 bytes
    unix.bind("socket")
    os.chdir(here)
    (shared / "link").symlink_to("/etc/passwd")
    (shared / "out").symlink_to("/etc")
    (shared / "d").mkdir()
    begun = time.monotonic()
    for name, status in (("pipe", 400), ("socket", 400), ("link", 403), ("out/passwd", 403), ("d", 400), ("none", 404), ("none/x", 404)):
        assert ask(server, "GET", f"/{name}").status == status, name
    for name in ("pipe", "socket", "link", "out/x"):
        assert ask(server, "PUT", f"/{name}", b"x").status in (400, 403), name
        assert ask(server, "POST", "/move", {"from": name, "to": "moved"}).status in (400, 403, 404), name
    assert ask(server, "POST", "/mkdir", {"path": "out/x"}).status == 403
    assert time.monotonic() - begun < 5
    assert {i["name"]: i["type"] for i in ask(server, "GET", "").json["items"]} == {
        "d": "directory",
        "link": "other",
        "out": "other",
        "pipe": "other",
        "socket": "other",
    }
    for name in ("pipe", "socket", "link", "out"):
        assert ask(server, "DELETE", f"/{name}").status == 204
    assert os.path.exists("/etc/passwd")
    unix.close()


# ---- lists, folders ----


def test_a_list_has_pages_patterns_and_depth(server: Any, shared: Path) -> None:
    for name in ("a/b/c.csv", "a/d.csv", "e.txt", ".h"):
        (shared / name).parent.mkdir(parents=True, exist_ok=True)
        (shared / name).write_text(name)

    def names(query: str) -> list[str]:
        return [item["path"] for item in ask(server, "GET", query).json["items"]]

    assert names("") == [".h", "a", "e.txt"]
    assert names("?recursive=1") == [".h", "a", "a/b", "a/b/c.csv", "a/d.csv", "e.txt"]
    assert names("?depth=2") == [".h", "a", "a/b", "a/d.csv", "e.txt"]
    assert names("?path=/workspace/a&recursive") == ["a/b", "a/b/c.csv", "a/d.csv"]
    assert names("?recursive=1&pattern=*.csv") == ["a/b/c.csv", "a/d.csv"]
    assert names("?recursive=1&pattern=a/*") == ["a/b", "a/d.csv"]
    assert names("?path=e.txt") == ["e.txt"]
    seen: list[str] = []
    cursor = ""
    while True:
        page = ask(server, "GET", f"?recursive=1&limit=1{cursor}").json
        seen += [item["path"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = "&cursor=" + quote(page["next"], safe="")
    assert seen == names("?recursive=1")
    for query, status in (("?path=none", 404), ("?path=..", 400), ("?limit=0", 400), ("?limit=10001", 400), ("?path=a&cursor=e.txt", 400), ("?x=1", 400)):
        assert ask(server, "GET", query).status == status


def test_names_that_are_no_text_come_back_and_can_be_used(server: Any, shared: Path) -> None:
    strange = [b"\xff\xfe", b"caf\xe9.txt", "\uef80".encode(), b"new\nline", b"per%cent", b"sp ace", b'q"u\\ote', "\u00fc".encode(), b"\xed\xa0\x80"]
    for name in strange:
        (shared / os.fsdecode(name)).write_bytes(name)
    items = ask(server, "GET", "").json["items"]
    assert len(items) == len(strange) and len({item["name"] for item in items}) == len(strange)
    for item in items:
        path = "/" + quote(item["path"], safe="")
        if "\n" in item["name"]:
            assert ask(server, "GET", path).body == b"new\nline"
            continue
        content = ask(server, "GET", path).body
        assert content in strange
        assert ask(server, "PUT", path, content * 2).status == 200
        assert ask(server, "POST", "/move", {"from": item["path"], "to": item["path"] + "2"}).status == 200
        assert (shared / os.fsdecode(content + b"2")).read_bytes() == content * 2
        assert ask(server, "DELETE", path + "2").status == 204
    assert os.listdir(shared) == ["new\nline"]


def test_folders_are_made_moved_and_deleted(server: Any, shared: Path) -> None:
    made = ask(server, "POST", "/mkdir", {"path": "a/b"})
    assert made.status == 201 and made.json["type"] == "directory" and made.json["size_bytes"] is None
    assert ask(server, "POST", "/mkdir", {"path": "a/b"}).status == 200
    ask(server, "PUT", "/a/b/f", b"f")
    assert ask(server, "POST", "/mkdir", {"path": "a/b/f"}).status == 409
    moved = ask(server, "POST", "/move", {"from": "a/b", "to": "x/y"})
    assert moved.status == 200 and moved.json["path"] == "x/y" and (shared / "x/y/f").read_bytes() == b"f"
    ask(server, "PUT", "/g", b"g")
    there = ask(server, "POST", "/move", {"from": "g", "to": "x/y/f"})
    assert (there.status, there.code) == (409, "conflict") and "replace" in there.json["error"]["message"]
    assert ask(server, "POST", "/move", {"from": "g", "to": "x/y/f", "replace": True}).status == 200
    assert (shared / "x/y/f").read_bytes() == b"g"
    onto = ask(server, "POST", "/move", {"from": "a", "to": "x/y/f", "replace": True})  # it was 404: there is no x/y/f
    assert (onto.status, onto.code) == (400, "invalid_request") and "cannot replace a file" in onto.json["error"]["message"]
    assert ask(server, "POST", "/move", {"from": "x", "to": "x/z"}).status == 400
    assert ask(server, "POST", "/move", {"from": "none", "to": "n/m"}).status == 404
    assert not (shared / "n").exists()
    full = ask(server, "DELETE", "/x")
    assert full.status == 409 and "recursive" in full.json["error"]["message"]
    assert ask(server, "DELETE", "/x?recursive=1").status == 204
    assert ask(server, "DELETE", "/x").status == 404 and ask(server, "DELETE", "/").status == 400
    assert ask(server, "DELETE", "/a").status == 204 and os.listdir(shared) == []


def test_a_sandbox_may_have_files_of_its_own(server: Any, state: Path, shared: Path) -> None:
    assert ask(server, "PUT", "/a?sandbox=box", b"x").status == 404  # not made yet
    own = state / "admin" / "private-box"
    own.mkdir()
    assert ask(server, "PUT", "/a?sandbox=box", b"x").status == 201
    assert (own / "a").read_bytes() == b"x" and os.listdir(shared) == []
    assert ask(server, "GET", "/a?sandbox=box").body == b"x" and ask(server, "GET", "/a").status == 404
    assert [i["name"] for i in ask(server, "GET", "?sandbox=box").json["items"]] == ["a"]
    body, headers = form(("file", "b", b"b"))
    assert ask(server, "POST", "?sandbox=box", body, **headers).status == 201
    assert ask(server, "POST", "/move?sandbox=box", {"from": "b", "to": "c"}).status == 200
    assert ask(server, "DELETE", "/c?sandbox=box").status == 204
    assert ask(server, "GET", "/a?sandbox=none").status == 404 and ask(server, "GET", "/a?sandbox=old").status == 410
    assert ask(server, "GET", "?usage=1").json["files"] == 1


def test_a_token_is_needed(server: Any, shared: Path) -> None:
    (shared / "a").write_text("a")
    for method, path in (("GET", ""), ("GET", "/a"), ("PUT", "/b"), ("DELETE", "/a"), ("POST", "/mkdir")):
        assert server.ask(method, API + path, b"x", key=None).status == 401
    assert os.listdir(shared) == ["a"]


# ---- figures ----


def test_large_files_pass_in_little_memory(server: Any, shared: Path) -> None:
    n, piece = 300 << 20, random.Random(4).randbytes(1 << 20)
    ask(server, "PUT", "/warm", piece * 4)
    ask(server, "GET", "/warm")
    before, top = server.resident_bytes(), 0
    c = server.connection()
    c.putrequest("PUT", API + "/big")
    c.putheader("Authorization", "Bearer kh_admin")
    c.putheader("Content-Length", str(n))
    c.endheaders()
    for i in range(n >> 20):
        c.send(piece)
        top = max(top, server.resident_bytes()) if i % 16 == 0 else top
    assert c.getresponse().status == 201
    c.close()
    wanted, got = hashlib.sha256(piece * (n >> 20)).digest(), hashlib.sha256()
    c = server.connection()
    c.request("GET", API + "/big", headers={"Authorization": "Bearer kh_admin"})
    reply, i = c.getresponse(), 0
    while data := reply.read(1 << 20):
        got.update(data)
        top = max(top, server.resident_bytes()) if i % 16 == 0 else top
        i += 1
    c.close()
    assert got.digest() == wanted
    assert top - before < 10 << 20, f"grew by {(top - before) >> 10} KiB"


def test_a_client_that_is_slow_holds_nobody_up(server: Any, shared: Path) -> None:
    slow = [server.raw(b"PUT /api/v1/files/%d HTTP/1.1\r\n%sContent-Length: 9000000\r\n\r\n" % (i, HEAD) + bytes(300_000)) for i in range(20)]
    (shared / "big").write_bytes(bytes(30 << 20))
    slow += [server.raw(b"GET /api/v1/files/big HTTP/1.1\r\n" + HEAD + b"\r\n") for _ in range(20)]
    time.sleep(0.3)
    used, begun = server.cpu_seconds(), time.monotonic()
    for i in range(20):
        assert ask(server, "PUT", f"/quick{i}", b"x").status == 201
    assert time.monotonic() - begun < 3
    time.sleep(0.5)
    assert server.cpu_seconds() - used < 0.3  # nobody spins
    for s in slow:
        s.close()


def test_ten_thousand_files_are_listed_in_no_time(server: Any, shared: Path) -> None:
    for i in range(10_000):
        (shared / f"file-{i:05}.txt").touch()
    ask(server, "GET", "?limit=10000")
    begun = time.monotonic()
    page = ask(server, "GET", "?limit=10000")
    taken = time.monotonic() - begun
    assert len(page.json["items"]) == 10_000 and page.json["next"] is None
    print(f"10,000 files in {taken * 1000:.0f} ms")
    assert taken < 2  # tests/integration/test_files.py has the promise


# ---- archives ----


def unpacked(data: bytes, kind: str) -> dict[str, bytes | None]:
    """Names to contents; None: a folder."""
    if kind == "tar":
        with tarfile.open(fileobj=io.BytesIO(data)) as t:
            members = {m.name: m for m in t.getmembers()}
            assert all(m.isdir() or m.isreg() for m in members.values())
            return {n: None if m.isdir() else t.extractfile(m).read() for n, m in members.items()}  # type: ignore[union-attr]
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        assert z.testzip() is None
        return {i.filename.rstrip("/"): None if i.is_dir() else z.read(i) for i in z.infolist()}


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_folder_is_given_whole_as_an_archive(server: Any, shared: Path, tmp_path: Path, kind: str) -> None:
    rng = random.Random(5)
    wanted: dict[str, bytes | None] = {"plots": None, "plots/empty": None}
    (shared / "x/plots/empty").mkdir(parents=True)
    for name, size in (("a.bin", 1_000_000), ("b", 0), ("c/d/e.txt", 511), ("c/f", 512), ("n" * 200, 70_000), ("z" * 90 + "/" + "y" * 90, 3), ("\u00fc", 9)):
        content = rng.randbytes(size)
        path = shared / "x/plots" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        for folder in path.relative_to(shared / "x").parents:
            if str(folder) != ".":
                wanted[str(folder)] = None
        wanted[f"plots/{name}"] = content
    os.chmod(shared / "x/plots/b", 0o751)
    os.utime(shared / "x/plots/b", (1_700_000_000, 1_700_000_000))
    reply = ask(server, "GET", f"/x/plots?archive={kind}")
    assert reply.status == 200 and reply.headers["Content-Type"] == ("application/x-tar" if kind == "tar" else "application/zip")
    assert f'filename="plots.{kind}"' in reply.headers["Content-Disposition"]
    assert unpacked(reply.body, kind) == wanted
    (tmp_path / "out").mkdir()
    (tmp_path / "file").write_bytes(reply.body)
    if kind == "tar":
        subprocess.run(["tar", "--no-same-owner", "-xpf", tmp_path / "file", "-C", tmp_path / "out"], check=True)
        out = (tmp_path / "out/plots/b").stat()
        assert out.st_mode & 0o777 == 0o751 and out.st_mtime == 1_700_000_000
        assert (tmp_path / "out/plots/a.bin").read_bytes() == wanted["plots/a.bin"]
    root = ask(server, "GET", f"/?archive={kind}")
    assert set(unpacked(root.body, kind)) == {"workspace", "workspace/x"} | {f"workspace/x/{n}" for n in wanted}
    assert f'filename="workspace.{kind}"' in root.headers["Content-Disposition"]


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_head_of_an_archive_has_a_head_and_nothing_else(server: Any, shared: Path, kind: str) -> None:
    """It was followed by the last chunk of a body, which the next reply on the connection began with."""
    (shared / "x").mkdir()
    request = f"HEAD {API}/x?archive={kind} HTTP/1.1\r\n".encode() + HEAD
    with server.raw(request + b"\r\n" + request + b"Connection: close\r\n\r\n") as s:
        said = b""
        while some := s.recv(65536):
            said += some
    for reply in said.removesuffix(b"\r\n\r\n").split(b"\r\n\r\n"):
        assert reply.startswith(b"HTTP/1.1 200 ") and b"filename=" in reply, said


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_what_is_left_out_of_an_archive_is_said(server: Any, shared: Path, kind: str) -> None:
    (shared / "d").mkdir()
    (shared / "d/a").write_text("a")
    (shared / "d/passwd").symlink_to("/etc/passwd")
    (shared / "d/etc").symlink_to("/etc")
    os.mkfifo(shared / "d/pipe")
    (shared / "d" / os.fsdecode(b"caf\xe9")).write_text("c")
    deep = shared / "d" / "/".join(["e"] * 70)
    deep.mkdir(parents=True)
    begun = time.monotonic()
    got = unpacked(ask(server, "GET", f"/d?archive={kind}").body, kind)
    assert time.monotonic() - begun < 5
    said = got.pop("LEFT_OUT.txt")
    assert said is not None and [line.split(b":")[0] for line in said.splitlines()] == [
        b"d/" + b"/".join([b"e"] * 64),
        b"d/etc",
        b"d/passwd",
        b"d/pipe",
    ]
    assert got["d/a"] == b"a" and "d/passwd" not in got and not any(n.startswith("d/etc") for n in got)
    assert got["d/caf\udce9" if kind == "tar" else "d/caf\uefe9"] == b"c"


def test_what_is_no_folder_is_no_archive(server: Any, shared: Path) -> None:
    (shared / "f").write_text("f")
    for path, status in (("/f?archive=zip", 400), ("/none?archive=zip", 404), ("/?archive=rar", 400), ("/..?archive=tar", 400)):
        assert ask(server, "GET", path).status == status
    folder = ask(server, "GET", "/")
    assert folder.status == 400 and "archive=" in folder.json["error"]["hint"]


def test_an_archive_of_many_files_takes_little_memory(server: Any, shared: Path, state: Path) -> None:
    for i in range(66_000):  # above what a zip without zip64 can count
        folder = shared / f"{i % 20}"
        if i < 20:
            folder.mkdir()
        (folder / f"some-file-with-a-name-{i}").touch()
    ask(server, "GET", "/0?archive=zip")
    before = server.resident_bytes()
    data = ask(server, "GET", "/?archive=zip").body
    assert server.resident_bytes() - before < 10 << 20
    assert len(unpacked(data, "zip")) == 66_021
    assert no_drafts(state)


def test_archives_of_the_longest_paths_take_little_memory(server: Any, shared: Path) -> None:
    """Of clients that do not read: each holds a batch of paths."""
    inside, names = os.open(shared, os.O_RDONLY), ["n" * 250] * 15
    for name in names:
        os.mkdir(name, dir_fd=inside)
        inside = os.open(name, os.O_RDONLY, dir_fd=(above := inside))
        os.close(above)
    for i in range(1100):
        os.close(os.open(f"{i:04}" + "x" * 200, os.O_WRONLY | os.O_CREAT, dir_fd=inside))
    large = os.open("0", os.O_WRONLY | os.O_CREAT, dir_fd=inside)
    os.ftruncate(large, 20_000_000)
    os.close(large)
    os.close(inside)
    assert len(unpacked(ask(server, "GET", f"/{names[0]}?archive=tar").body, "tar")) == 1116
    before, clients = server.resident_bytes(), []
    for _ in range(30):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port))
        client.sendall(f"GET {API}/{names[0]}?archive=tar HTTP/1.1\r\n".encode() + HEAD + b"\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        clients.append(client)
    assert server.resident_bytes() - before < 30 << 20
    for client in clients:
        client.close()
    subprocess.run(["rm", "-rf", shared / names[0]], check=True)


@pytest.mark.skipif("KERNELHUB_LARGE" not in os.environ, reason="takes minutes: KERNELHUB_LARGE=1")
def test_an_archive_above_four_gigabytes_is_whole(server: Any, shared: Path, tmp_path: Path) -> None:
    with (shared / "big").open("wb") as f:
        f.truncate((4 << 30) + 5)
        f.seek(4 << 30)
        f.write(b"tail!")
    (shared / "small").write_text("s")
    before = server.resident_bytes()
    for kind in ("zip", "tar"):
        c = server.connection()
        c.request("GET", f"{API}/?archive={kind}", headers={"Authorization": "Bearer kh_admin"})
        reply, n, tail = c.getresponse(), 0, b""
        with (tmp_path / "zip").open("wb") as out:
            while data := reply.read(1 << 20):
                n += len(data)
                tail = (tail + data)[-20_000:]
                if kind == "zip":
                    out.write(data)
        c.close()
        assert server.resident_bytes() - before < 10 << 20
        if kind == "tar":
            assert n > 4 << 30 and b"tail!" in tail and b"workspace/small" in tail
        else:
            with zipfile.ZipFile(tmp_path / "zip") as z:
                assert z.getinfo("workspace/big").file_size == (4 << 30) + 5 and z.read("workspace/small") == b"s"
            checked = subprocess.run(["unzip", "-tq", tmp_path / "zip"], capture_output=True) if shutil.which("unzip") else None
            assert checked is None or checked.returncode == 0, checked.stdout


def test_a_client_that_leaves_an_archive_costs_nothing(server: Any, shared: Path, state: Path) -> None:
    (shared / "big").write_bytes(random.Random(6).randbytes(20 << 20))
    for size in (0, 1, 100_000, 3_000_000):
        for kind in (b"tar", b"zip"):
            s = server.raw(b"GET /api/v1/files/?archive=%s HTTP/1.1\r\n%s\r\n" % (kind, HEAD))
            while size > 0 and (got := len(s.recv(min(size, 65536)))):
                size -= got
            s.close()
    used = server.cpu_seconds()
    time.sleep(0.5)
    assert server.cpu_seconds() - used < 0.2 and no_drafts(state)
    assert server.ask("GET", "/health").status == 200
