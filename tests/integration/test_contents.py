"""The workspace over Jupyter's Contents API and /files, while code in the sandbox does what it likes with the same tree."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from conftest import Service, run

API = "/api/contents"


@pytest.fixture
def api(service: Service) -> Iterator[httpx.Client]:
    with service.client() as client:
        run(client, "import os, shutil\nos.chdir('/workspace')\nfor n in os.listdir('.'):\n    shutil.rmtree(n) if os.path.isdir(n) and not os.path.islink(n) else os.remove(n)")
        yield client


def save(api: httpx.Client, path: str, content: str, **more: Any) -> httpx.Response:
    return api.put(f"{API}/{path}", json={"type": "file", "format": "text", "content": content, **more})


def inside(api: httpx.Client, code: str) -> str:
    record = run(api, code)
    assert record["status"] == "ok", record
    return str(record["stdout"])


def workspace(service: Service) -> Path:
    """The user's, on the host's disk: the one that has had uploads."""
    (user,) = {p.parent for p in (service.state / "workspaces").glob("*/incoming")}
    return user


def leftovers(service: Service) -> list[str]:
    return [p.name for p in (workspace(service) / "incoming").iterdir()]


def test_what_one_side_writes_the_other_reads(api: httpx.Client, service: Service) -> None:
    made = save(api, "a.txt", "grüße\n")
    assert made.status_code == 201 and made.headers["Location"] == f"{API}/a.txt"
    assert inside(api, "import os; print(open('/workspace/a.txt').read(), os.stat('/workspace/a.txt').st_uid == os.getuid())") == "grüße\n True\n"
    inside(api, "open('/workspace/a.txt', 'a').write('more'); os.chmod('/workspace/a.txt', 0o755); os.makedirs('/workspace/d/e'); open('/workspace/d/e/b.bin', 'wb').write(bytes(range(256)))")
    model = api.get(f"{API}/a.txt?hash=1").json()
    assert model["content"] == "grüße\nmore" and model["format"] == "text" and model["size"] == 12
    assert model["hash"] == hashlib.sha256("grüße\nmore".encode()).hexdigest() and model["hash_algorithm"] == "sha256"
    assert base64.b64decode(api.get(f"{API}/d/e/b.bin").json()["content"]) == bytes(range(256))
    assert save(api, "a.txt", "new").status_code == 200
    assert inside(api, "print(open('/workspace/a.txt').read(), oct(os.stat('/workspace/a.txt').st_mode))") == "new 0o100755\n"  # its permissions stay
    assert leftovers(service) == []


def test_a_listing_has_files_and_folders_sorted(api: httpx.Client) -> None:
    inside(api, "import socket\nopen('b', 'w'); open('a', 'w'); os.mkdir('c'); open('n.ipynb', 'w'); open('.h', 'w'); os.mkfifo('p'); os.symlink('a', 'l'); socket.socket(socket.AF_UNIX).bind('s')")
    root = api.get(API).json()
    assert (root["name"], root["path"], root["type"], root["format"]) == ("", "", "directory", "json")
    assert [(m["name"], m["type"]) for m in root["content"]] == [("a", "file"), ("b", "file"), ("c", "directory"), ("n.ipynb", "notebook")]
    assert api.get(f"{API}/?content=0").json()["content"] is None
    assert api.get(f"{API}/.h").status_code == 404 and save(api, ".h", "x").status_code == 400
    assert api.delete(f"{API}/.h").status_code == 400 and api.get("/files/.h").status_code == 404


def test_ten_thousand_files_are_listed(api: httpx.Client) -> None:
    inside(api, "os.mkdir('many')\nfor i in range(10000): open(f'many/{i:05}.txt', 'w').close()")
    begun = time.monotonic()
    model = api.get(f"{API}/many")
    assert time.monotonic() - begun < 3
    assert [m["name"] for m in model.json()["content"]] == [f"{i:05}.txt" for i in range(10000)]


PLANT = """
import os, socket
for name, target in {targets}.items():
    os.symlink(target, name)
os.mkdir('real'); open('real/x', 'w').write('x'); os.symlink('real', 'folder')
os.mkfifo('pipe'); socket.socket(socket.AF_UNIX).bind('socket')
"""


def test_no_verb_follows_a_link_or_waits_for_a_pipe(api: httpx.Client, service: Service) -> None:
    victim = service.state / "workspaces" / "another" / "shared"
    victim.mkdir(parents=True)
    (victim / "secret").write_text("theirs")
    targets = {"etc": "/etc/passwd", "host": str(victim / "secret"), "up": "../../another/shared/secret", "theirs": str(victim), "self": "/proc/self/environ", "loop": "loop"}
    inside(api, PLANT.format(targets=targets))
    begun = time.monotonic()
    for name in [*targets, "theirs/secret", "folder/x", "pipe", "socket"]:
        at = f"{API}/{name}"
        answers = {
            "get": api.get(at),
            "files": api.get(f"/files/{name}"),
            "file": api.get(f"{at}?type=file&format=text"),
            "hash": api.get(f"{at}?content=0&hash=1"),
            "save": save(api, name, "mine"),
            "part": save(api, name, "mine", chunk=1),
            "last": save(api, name, "mine", chunk=-1),
            "notebook": api.put(at, json={"type": "notebook", "content": {"cells": []}}),
            "folder": api.put(at, json={"type": "directory"}),
            "copy": api.post(API, json={"copy_from": name}),
            "copy to": api.post(at, json={"copy_from": "real/x"}),
            "untitled": api.post(at, json={"type": "file"}),
            "checkpoint": api.post(f"{at}/checkpoints"),
        }
        for verb, answer in answers.items():
            if verb == "part" and "/" not in name:
                assert answer.status_code == 201, (name, verb, answer.text)  # nothing is looked at before the last
                continue
            assert 400 <= answer.status_code < 500, (name, verb, answer.text)
            assert set(answer.json()) == {"message", "reason", "request_id"} and "secret" not in answer.json()["message"].replace(name, "")
    assert time.monotonic() - begun < 20
    for name in [*targets, "folder", "pipe", "socket"]:  # the link itself may be deleted
        assert api.patch(f"{API}/{name}", json={"path": f"moved-{name}"}).status_code in (400, 403)
        assert api.delete(f"{API}/{name}").status_code == 204
    assert (victim / "secret").read_text() == "theirs" and [p.name for p in victim.iterdir()] == ["secret"]
    assert inside(api, "print(sorted(os.listdir('.')), open('real/x').read())") == "['real'] x\n"


def test_a_swap_in_the_middle_gives_no_other_file(api: httpx.Client, service: Service) -> None:
    """A folder that turns into a link to another user's, again and again, while it is read and written through."""
    victim = service.state / "workspaces" / "another2" / "shared"
    victim.mkdir(parents=True)
    (victim / "x").write_text("theirs")
    inside(api, f"os.mkdir('d'); open('d/x', 'w').write('ours'); os.symlink({str(victim)!r}, 'l')")
    swap = "import ctypes, time\nlibc = ctypes.CDLL(None)\nend = time.time() + 1\nwhile time.time() < end: libc.renameat2(-100, b'/workspace/d', -100, b'/workspace/l', 2)"
    swapping = threading.Thread(target=lambda: inside(api, swap))
    swapping.start()
    seen = set()
    with service.client() as client:
        while swapping.is_alive():
            got = client.get("/files/d/x")
            seen.add(got.text if got.status_code == 200 else got.status_code)
            seen.add(save(client, "d/x", "ours").status_code)
    swapping.join()
    assert seen <= {"ours", 200, 201, 403, 404} and "ours" in seen and 403 in seen, seen
    assert (victim / "x").read_text() == "theirs"


def test_names_that_are_no_utf8_come_back(api: httpx.Client) -> None:
    inside(api, r"open(b'/workspace/caf\xe9 \xff.txt', 'w').write('odd'); open('/workspace/\n\u2028\x22\x5c', 'w').write('strange')")
    names = [m["path"] for m in api.get(API).json()["content"]]
    assert names == ['\n\u2028"\\', "caf\uefe9 \uefff.txt"]
    assert [api.get(f"{API}/{quote(n)}").json()["content"] for n in names] == ["strange", "odd"]
    assert api.get(f"/files/{quote(names[1])}").text == "odd"
    assert api.patch(f"{API}/{quote(names[1])}", json={"path": "plain.txt"}).status_code == 200
    assert save(api, quote("\uefe9"), "x").status_code == 201
    assert inside(api, r"print(b'\xe9' in os.listdir(b'/workspace'), open('/workspace/plain.txt').read())") == "True odd\n"


@pytest.mark.parametrize("path", ["a//b", "../x", "a/../b", "./a", "a/.", "x" * 256, "y/" * 2100 + "y", "%00", "a%0", "%ff", "%EE%BF%83%EE%BE%BC"])
def test_a_bad_path_is_refused_clearly(api: httpx.Client, service: Service, path: str) -> None:
    raw = http.client.HTTPConnection("127.0.0.1", service.port)  # sends a path as it is
    for at in (API, "/files"):
        raw.request("GET", f"{at}/{path}", headers={"Authorization": f"Bearer {service.key}"})
        answer = raw.getresponse()
        assert answer.status == 400 and json.loads(answer.read())["message"]
    raw.close()
    if "%" not in path:
        assert save(api, "ok", "x").is_success and api.patch(f"{API}/ok", json={"path": path}).status_code == 400


def test_a_leading_slash_or_workspace_is_dropped(api: httpx.Client) -> None:
    save(api, "a.txt", "x")
    for path in ("/a.txt", "//workspace/a.txt", "/workspace/a.txt"):
        assert api.patch(f"{API}/a.txt", json={"path": path}).status_code == 200
    assert api.get(f"{API}//workspace/a.txt").json()["path"] == "a.txt"


def test_permissions_are_said(api: httpx.Client) -> None:
    inside(api, "open('no', 'w').write('x'); os.chmod('no', 0); open('ro', 'w').write('x'); os.chmod('ro', 0o444); os.mkdir('shut'); os.chmod('shut', 0)")
    assert api.get(f"{API}/no").status_code == 403 and api.get("/files/no").status_code == 403
    assert api.get(f"{API}/ro").json()["writable"] is False and save(api, "ro", "y").status_code == 403
    assert api.get(f"{API}/shut").status_code == 403 and save(api, "shut/x", "y").status_code == 403
    inside(api, "os.chmod('shut', 0o755)")


def test_new_rename_copy_delete(api: httpx.Client) -> None:
    assert [api.post(API, json=b).json()["path"] for b in ({}, {"type": "notebook"}, {"type": "notebook"}, {"type": "directory"}, {"type": "directory"}, {"ext": ".py"})] == [
        "untitled", "Untitled.ipynb", "Untitled1.ipynb", "Untitled Folder", "Untitled Folder 1", "untitled.py"
    ]  # fmt: skip
    assert api.get(f"{API}/Untitled.ipynb").json()["content"] == {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    moved = api.patch(f"{API}/Untitled.ipynb", json={"path": "Untitled Folder/a b.ipynb"})
    assert moved.status_code == 200 and moved.headers["Location"] == f"{API}/Untitled%20Folder/a%20b.ipynb"
    assert len(api.get(f"{API}/Untitled Folder/a b.ipynb/checkpoints").json()) == 1  # it moved along
    assert api.patch(f"{API}/Untitled1.ipynb", json={"path": "untitled.py"}).status_code == 409
    assert api.patch(f"{API}/nothing", json={"path": "x"}).status_code == 404
    save(api, "a.tar.gz", "x")
    copies = [api.post(API, json={"copy_from": n}).json()["path"] for n in ("a.tar.gz", "a-Copy1.tar.gz", "Untitled Folder/a b.ipynb", "Untitled Folder")]
    assert copies == ["a-Copy1.tar.gz", "a-Copy2.tar.gz", "a b.ipynb", "Untitled Folder-Copy1"]
    assert api.get(f"{API}/Untitled Folder-Copy1/a b.ipynb").status_code == 200
    assert api.delete(f"{API}/Untitled Folder").status_code == 400
    assert api.delete(f"{API}/Untitled Folder/a b.ipynb").status_code == 204
    assert api.delete(f"{API}/Untitled Folder").status_code == 204
    assert api.delete(API).status_code == 400 and api.delete(f"{API}/nothing").status_code == 404


def test_a_large_file_comes_in_chunks(api: httpx.Client, service: Service) -> None:
    parts = [bytes([i]) * 100_000 for i in range(4)]

    def send(number: int, part: bytes) -> httpx.Response:
        return api.put(f"{API}/big.bin", json={"type": "file", "format": "base64", "content": base64.b64encode(part).decode(), "chunk": number})

    assert send(2, b"x").status_code == 409
    assert send(1, parts[0]).status_code == 201 and api.get(f"{API}/big.bin").status_code == 404  # nobody sees half of it
    assert send(3, b"x").status_code == 409
    assert send(2, parts[1]).json()["size"] == 200_000 and send(3, parts[2]).status_code == 201
    assert send(-1, parts[3]).json()["path"] == "big.bin"
    assert api.get("/files/big.bin").content == b"".join(parts)
    assert send(1, b"again").status_code == 200 and leftovers(service) != []
    assert send(1, b"once more").status_code == 200 and send(-1, b"!").status_code == 200
    assert api.get("/files/big.bin").content == b"once more!" and leftovers(service) == []


def test_an_upload_goes_on_after_the_hub_was_killed(api: httpx.Client, service: Service) -> None:
    assert save(api, "up.txt", "one ", chunk=1).status_code == 201
    os.kill(service.pid_of("hub"), 9)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if api.get("/health").status_code == 200:
                break
        except httpx.TransportError:
            time.sleep(0.05)
    assert save(api, "up.txt", "two", chunk=-1).status_code == 201
    assert api.get("/files/up.txt").text == "one two" and leftovers(service) == []


def test_checkpoints(api: httpx.Client) -> None:
    save(api, "d.txt", "one")
    at = f"{API}/d.txt/checkpoints"
    assert api.get(at).json() == []
    made = api.post(at)
    assert made.status_code == 201 and made.json()["id"] == "checkpoint" and made.json()["last_modified"].endswith("Z")
    save(api, "d.txt", "two")
    assert inside(api, "print(os.listdir('.ipynb_checkpoints'), open('.ipynb_checkpoints/d-checkpoint.txt').read())") == "['d-checkpoint.txt'] one\n"
    assert api.get(at).json() == [made.json()]
    assert api.post(f"{at}/checkpoint").status_code == 204 and api.get(f"{API}/d.txt").json()["content"] == "one"
    assert api.post(f"{at}/other").status_code == 404
    assert api.delete(f"{at}/checkpoint").status_code == 204 and api.get(at).json() == []
    assert api.delete(f"{at}/checkpoint").status_code == 404
    inside(api, "os.rmdir('.ipynb_checkpoints'); os.symlink('/etc', '.ipynb_checkpoints')")
    assert api.post(at).status_code == 403


def test_notebooks(api: httpx.Client) -> None:
    nb = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"z": 0.1, "big": 123456789012345678901234567890},
        "cells": [
            {
                "id": "a",
                "cell_type": "code",
                "source": "x = 1\nprint(x)",
                "metadata": {"trusted": True},
                "execution_count": 1,
                "outputs": [{"output_type": "stream", "name": "stdout", "text": "1\n2"}],
            },
            {"id": "b", "cell_type": "markdown", "source": "# ü", "metadata": {}},
        ],
    }
    saved = api.put(f"{API}/n.ipynb", json={"type": "notebook", "content": nb})
    assert saved.status_code == 201 and saved.json()["type"] == "notebook" and "message" not in saved.json()
    text = inside(api, "print(open('n.ipynb').read())")
    assert ' "cells": [\n  {\n   "cell_type": "code",\n' in text and '"source": [\n    "x = 1\\n",\n    "print(x)"\n   ]' in text
    assert "trusted" not in text and "123456789012345678901234567890" in text and '"# ü"' in text
    got = api.get(f"{API}/n.ipynb").json()
    nb["cells"][0]["metadata"] = {"trusted": False}  # type: ignore[index]
    assert got["content"] == nb and got["format"] == "json"
    bad = api.put(f"{API}/n.ipynb", json={"type": "notebook", "content": {**nb, "cells": [{"cell_type": "code"}]}})
    assert bad.status_code == 200 and "cells[0]: 'metadata' is missing" in bad.json()["message"]
    assert "validation failed" in api.get(f"{API}/n.ipynb").json()["message"]
    save(api, "no.ipynb", "no json")
    assert api.get(f"{API}/no.ipynb").status_code == 400 and api.get(f"{API}/no.ipynb?type=file").json()["content"] == "no json"


def test_files_are_downloaded_in_pieces(api: httpx.Client) -> None:
    inside(api, "open('ä b.html', 'wb').write(b'0123456789' * 100000)")
    at = f"/files/{quote('ä b.html')}"
    whole = api.get(at)
    assert whole.content == b"0123456789" * 100000 and whole.headers["Content-Type"] == "text/html; charset=UTF-8"
    assert whole.headers["Content-Security-Policy"] == "sandbox allow-scripts" and whole.headers["X-Content-Type-Options"] == "nosniff"
    head = api.head(at)
    assert head.status_code == 200 and head.headers["Content-Length"] == "1000000" and head.content == b""
    part = api.get(at, headers={"Range": "bytes=500003-500009"})
    assert part.status_code == 206 and part.content == b"3456789" and part.headers["Content-Range"] == "bytes 500003-500009/1000000"
    assert api.get(at, headers={"Range": "bytes=-3", "If-Range": head.headers["ETag"]}).content == b"789"
    assert len(api.get(at, headers={"Range": "bytes=-3", "If-Range": '"other"'}).content) == 1000000
    assert api.get(at, headers={"Range": "bytes=1000000-"}).status_code == 416
    assert api.get(at, headers={"If-None-Match": head.headers["ETag"]}).status_code == 304
    save(api, quote("ä b.html"), "other")
    assert api.get(at, headers={"If-None-Match": head.headers["ETag"]}).text == "other"
    assert api.get(f"{at}?download=1").headers["Content-Disposition"] == "attachment; filename=\"__ b.html\"; filename*=UTF-8''%C3%A4%20b.html"
    save(api, "empty", "")
    assert api.get("/files/empty").content == b"" and api.get("/files/nothing").status_code == 404 and api.get("/files/").status_code == 400


def test_a_download_costs_no_memory_and_a_cut_file_ends_it(api: httpx.Client, service: Service) -> None:
    inside(api, "f = open('sparse', 'wb'); f.truncate(2 << 30); f.close()")
    status = Path(f"/proc/{service.pid_of('hub')}/statm")
    before = int(status.read_text().split()[1])
    with api.stream("GET", "/files/sparse") as reply:
        got = 0
        for piece in reply.iter_bytes(1 << 20):
            got += len(piece)
            if got >= 120 << 20:
                break
    assert (int(status.read_text().split()[1]) - before) * 4096 < 16 << 20
    with pytest.raises(httpx.RemoteProtocolError), api.stream("GET", "/files/sparse") as reply:
        pieces = reply.iter_bytes(1 << 20)
        next(pieces)
        inside(api, "open('sparse', 'wb').close()")
        for _ in pieces:
            pass


def test_a_large_save_holds_nobody_up(api: httpx.Client, service: Service) -> None:
    body = json.dumps({"type": "file", "format": "base64", "content": base64.b64encode(bytes(30 << 20)).decode()}).encode()
    assert len(body) > 40 << 20
    waits: list[float] = []
    done = threading.Event()

    def look() -> None:
        with service.client() as client:
            while not done.is_set():
                begun = time.monotonic()
                assert client.get("/health").status_code == 200
                waits.append(time.monotonic() - begun)
                time.sleep(0.005)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        assert api.put(f"{API}/large", content=body).status_code == 201
        assert len(api.get(f"{API}/large").json()["content"]) == 40 << 20
    finally:
        done.set()
        looking.join()
    assert len(waits) > 10 and max(waits) < 0.25, max(waits)
    assert api.put(f"{API}/large", content=b" " * ((64 << 20) + 1)).status_code == 413


def test_users_do_not_see_each_other(api: httpx.Client, service: Service) -> None:
    save(api, "mine.txt", "x")
    api.post("/api/v1/admin/users", json={"name": "eve"})
    key = api.post("/api/v1/admin/keys", json={"user": "eve", "name": "k"}).json()["key"]
    with service.client(key) as eve:
        assert eve.get(API).json()["content"] == [] and eve.get("/files/mine.txt").status_code == 404
        assert save(eve, "hers.txt", "y").status_code == 201  # the hub has made her workspace
        assert inside(eve, "import os; print(open('/workspace/hers.txt').read(), os.listdir('/workspace'))") == "y ['hers.txt']\n"
    assert [m["name"] for m in api.get(API).json()["content"]] == ["mine.txt"]
    with service.client("kh_wrong") as nobody:
        assert nobody.get(API).status_code == 403 and nobody.get("/files/mine.txt").status_code == 403
