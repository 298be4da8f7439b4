"""The SDK and the command line with the files of a real service: up, down, through a connection that breaks, in and out of the kernel."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import socket
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import BUILD, Service

from kernelhub import AsyncClient, Client, ConflictError, NotFoundError, PreconditionFailedError

MIB = 1 << 20


class CuttingProxy:
    """Passes bytes between clients and the service; the first connections end after `cuts` bytes of what the service says."""

    def __init__(self, url: str, cuts: list[int]) -> None:
        to = urlsplit(url)
        self.to = (to.hostname or "", to.port or 80)
        self.cuts = list(cuts)
        self.n_connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.n_connections += 1
            service = socket.create_connection(self.to)
            cut = self.cuts.pop(0) if self.cuts else None
            threading.Thread(target=self.copy, args=(client, service, None), daemon=True).start()
            threading.Thread(target=self.copy, args=(service, client, cut), daemon=True).start()

    def copy(self, source: socket.socket, to: socket.socket, left: int | None) -> None:
        try:
            while left is None or left > 0:
                data = source.recv(65536 if left is None else min(left, 65536))
                if not data:
                    break
                to.sendall(data)
                left = None if left is None else left - len(data)
        except OSError:
            pass
        for one in (source, to):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self) -> None:
        self.listener.close()


@pytest.fixture
def hub(service: Service) -> Iterator[Client]:
    with Client(service.url, service.key) as client:
        client.files.mkdir("sdk")
        yield client
        client.files.delete("sdk", recursive=True)


def test_what_goes_up_is_there_for_the_code_and_comes_down_again(hub: Client, tmp_path: Path) -> None:
    local = tmp_path / "data.bin"
    local.write_bytes(os.urandom(20 * MIB + 17))
    digest = hashlib.sha256(local.read_bytes()).hexdigest()
    seen: list[tuple[int, int | None]] = []
    info = hub.files.put(local, "sdk/deep/er/", progress=lambda *a: seen.append(a))
    assert (info.path, info.size_bytes, info.type) == ("sdk/deep/er/data.bin", 20 * MIB + 17, "file")
    assert seen[-1] == (20 * MIB + 17, 20 * MIB + 17)
    code = "import hashlib; print(hashlib.sha256(open('/workspace/sdk/deep/er/data.bin','rb').read()).hexdigest())"
    assert hub.execute(code, check=True).stdout.strip() == digest
    seen.clear()
    back = hub.files.get("/workspace/sdk/deep/er/data.bin", tmp_path / "back", progress=lambda *a: seen.append(a))
    assert hashlib.sha256(back.read_bytes()).hexdigest() == digest
    assert seen[-1] == (20 * MIB + 17, 20 * MIB + 17)


def test_names_and_lists(hub: Client) -> None:
    names = ["a b#?%.txt", "ü€😀", "-r", "~!*'()", "x" * 200]
    for name in names:
        hub.files.write_text(f"sdk/names/{name}", name)
    found = hub.files.list("sdk/names")
    assert sorted(info.name for info in found) == sorted(names)
    for info in found:
        assert hub.files.read_text(info.path) == info.name
        assert info.modified_at is not None and not info.is_folder
    assert [i.path for i in hub.files.list("sdk", recursive=True, pattern="*.txt")] == ["sdk/names/a b#?%.txt"]
    assert [i.path for i in hub.files.list("sdk")] == ["sdk/names"] and hub.files.list("sdk")[0].is_folder
    hub.execute("open(b'sdk/names/raw\\xff', 'wb').write(b'bytes')", check=True)
    (raw,) = [i for i in hub.files.list("sdk/names") if i.name.startswith("raw")]
    assert hub.files.read_bytes(raw.path) == b"bytes"


def test_many_files_come_page_after_page(hub: Client) -> None:
    hub.execute("import os\nos.makedirs('sdk/many')\nfor i in range(2500): open(f'sdk/many/{i:04}', 'w').close()", check=True)
    assert [i.name for i in hub.files.list("sdk/many")] == [f"{i:04}" for i in range(2500)]
    assert len(hub.files.list("sdk/many", limit=1500)) == 1500


def test_what_is_refused_has_its_exception(hub: Client) -> None:
    with pytest.raises(NotFoundError):
        hub.files.read_bytes("sdk/none")
    hub.files.write_text("sdk/a", "1", overwrite=False)
    with pytest.raises(PreconditionFailedError):
        hub.files.write_text("sdk/a", "2", overwrite=False)
    assert hub.files.read_text("sdk/a") == "1"
    hub.files.write_text("sdk/d/b", "2")
    with pytest.raises(ConflictError):
        hub.files.delete("sdk/d")
    with pytest.raises(ConflictError):
        hub.files.move("sdk/a", "sdk/d/b")
    assert hub.files.move("sdk/a", "sdk/d/b", overwrite=True).path == "sdk/d/b"
    assert hub.files.read_text("sdk/d/b") == "1"
    hub.files.delete("sdk/d", recursive=True)
    with pytest.raises(NotFoundError):
        hub.files.list("sdk/d")
    usage = hub.files.usage()
    assert usage.used_bytes > 0 and usage.files > 0 and usage.limit_bytes is not None


def test_a_folder_comes_as_an_archive(hub: Client, tmp_path: Path) -> None:
    hub.files.write_text("sdk/tree/a", "1")
    hub.files.write_text("sdk/tree/sub/ü", "2")
    packed = hub.files.archive("sdk/tree", tmp_path)
    assert packed.name == "tree.zip"
    with zipfile.ZipFile(packed) as file:
        assert {n: file.read(n) for n in file.namelist() if not n.endswith("/")} == {"tree/a": b"1", "tree/sub/ü": b"2"}
    with tarfile.open(hub.files.archive("sdk/tree", tmp_path / "t.tar")) as tar:
        assert sorted(m.name for m in tar.getmembers() if m.isfile()) == ["tree/a", "tree/sub/ü"]
    with zipfile.ZipFile(hub.files.archive("", tmp_path)) as file:
        assert [name for name in file.namelist() if name.endswith("sdk/tree/a")]


def test_a_broken_download_goes_on_and_a_broken_upload_leaves_nothing(hub: Client, service: Service, tmp_path: Path) -> None:
    data = os.urandom(8 * MIB)
    hub.files.write_bytes("sdk/big", data)
    proxy = CuttingProxy(service.url, [3 * MIB, 2 * MIB])
    with Client(proxy.url, service.key) as broken:
        assert broken.files.get("sdk/big", tmp_path / "sdk").read_bytes() == data
        assert proxy.n_connections == 3
        proxy.cuts = [10]  # of the reply to an upload: it is stored, and sent once more
        broken._wire._http.close()
    with Client(proxy.url, service.key) as broken:
        broken.files.put(io.BytesIO(data[:MIB]), "sdk/again")
    assert hub.files.read_bytes("sdk/again") == data[:MIB]
    proxy.cuts = [3 * MIB, 2 * MIB]
    env = {**os.environ, "KERNELHUB_URL": proxy.url, "KERNELHUB_TOKEN": service.key}
    command = [str(BUILD / "cmd" / "kernelhub"), "get", "sdk/big", str(tmp_path / "cli")]
    before = proxy.n_connections
    subprocess.run(command, env=env, check=True, timeout=60)
    assert (tmp_path / "cli").read_bytes() == data and proxy.n_connections == before + 3
    proxy.close()


def test_a_sandbox_with_a_workspace_of_its_own_has_its_own_files(hub: Client) -> None:
    with hub.sandbox(workspace="private") as box:
        box.files.write_text("sdk-private", "mine")
        assert box.execute("print(open('sdk-private').read())").stdout == "mine\n"
        assert "sdk-private" not in [info.path for info in hub.files.list()]
        assert "sdk-private" in [info.path for info in box.files.list()]


def test_asyncio_has_the_same(hub: Client, service: Service, tmp_path: Path) -> None:
    async def work() -> None:
        async with AsyncClient(service.url, service.key) as other:
            data = os.urandom(3 * MIB)
            await asyncio.gather(*(other.files.write_bytes(f"sdk/async/{i}", data) for i in range(3)))
            assert len(await other.files.list("sdk/async")) == 3
            path = await other.files.get("sdk/async/0", tmp_path / "a")
            assert path.read_bytes() == await other.files.read_bytes("sdk/async/1") == data
            await other.files.move("sdk/async/0", "sdk/async/9")
            await other.files.delete("sdk/async", recursive=True)
            assert (await other.files.archive("sdk", tmp_path)).name == "sdk.zip"

    asyncio.run(work())


def test_the_command_line(hub: Client, service: Service, tmp_path: Path) -> None:
    env = {**os.environ, "KERNELHUB_URL": service.url, "KERNELHUB_TOKEN": service.key}

    def cli(*arguments: str, stdin: bytes = b"", code: int = 0) -> bytes:
        done = subprocess.run(
            [str(BUILD / "cmd" / "kernelhub"), *arguments], env=env, input=stdin, capture_output=True, timeout=60, cwd=tmp_path
        )
        assert done.returncode == code, (arguments, done.stderr)
        return done.stdout

    data = os.urandom(5 * MIB)
    tree = tmp_path / "tree"
    (tree / "sub" / "empty").mkdir(parents=True)
    (tree / "ü b").write_bytes(data)
    (tree / "sub" / "c").write_bytes(b"")
    cli("put", "-r", "tree", "sdk/")
    assert cli("ls", "-r", "sdk/tree").decode().splitlines() == ["sdk/tree/sub/", "sdk/tree/sub/c", "sdk/tree/sub/empty/", "sdk/tree/ü b"]
    cli("put", "-", "sdk/piped", stdin=data)
    assert cli("get", "sdk/piped", "-") == data
    assert b"5.2 MB" in cli("get", "sdk/tree/ü b") and (tmp_path / "ü b").read_bytes() == data
    with tarfile.open(fileobj=io.BytesIO(cli("get", "-r", "sdk/tree", "-"))) as tar:
        assert sorted(m.name for m in tar.getmembers() if m.isfile()) == ["tree/sub/c", "tree/ü b"]
    cli("put", "-n", "tree/sub/c", "sdk/piped", code=1)
    cli("rm", "sdk/tree", code=1)
    cli("rm", "-r", "sdk/tree", "sdk/piped")
    assert cli("ls", "sdk") == b"" and cli("ls", "sdk/none", code=1) == b""
    assert b" of " in cli("ls", "--usage")
