"""Code that writes past its user's limit is stopped, and told why; a neighbour is not; what deletes may run."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from conftest import Service, run, wait_until
from test_jupyter import Channels, new_kernel

Record = dict[str, Any]
LIMIT = 64 << 20
FILL = """
import os, time
for i in range(100000):
    with open(f'fill{i}', 'wb') as f:
        f.write(bytes(1 << 20))
    time.sleep(0.002)
"""
CLEAN = "import os\n[os.unlink(n) for n in os.listdir('.') if os.path.isfile(n)]"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    s = Service("limits/memory_bytes=512M", f"limits/workspace_bytes={LIMIT}", "limits/workspace_files=5000")
    try:
        s.start()
        yield s
    finally:
        s.destroy()


@pytest.fixture(autouse=True)
def clean(http: httpx.Client) -> None:
    run(http, "import os, shutil\nos.chdir('/workspace')\n"
              "[shutil.rmtree(e.path) if e.is_dir(follow_symlinks=False) else os.unlink(e.path) for e in os.scandir('/workspace')]")


def is_told(record: Record, rule: str = "limits/workspace_bytes") -> None:
    assert record["status"] == "interrupted" and record["exit_code"] == 130, record
    assert (record["error"] or {}).get("name") == "QuotaExceeded", record
    for text in (record["error"]["value"], record["reason"], record["stderr"]):
        assert rule in text and "the workspaces hold" in text, record


def used(http: httpx.Client) -> int:
    code = "import os\nprint(sum(os.lstat(os.path.join(d, f)).st_blocks * 512 for d, _, fs in os.walk('/workspace') for f in fs))"
    return int(str(run(http, code, language="python", session="looker")["stdout"]))


def test_a_run_that_fills_the_workspace_is_stopped_and_told(http: httpx.Client) -> None:
    began = time.monotonic()
    record = run(http, FILL)
    is_told(record)
    assert time.monotonic() - began < 20
    figures = record["error"]["value"]
    assert str(LIMIT) in figures, figures
    last = [e["type"] for e in http.get(f"/api/v1/executions/{record['execution_id']}/events").json()["items"]][-3:]
    assert last == ["error", "files_changed", "finished"]
    # what reads and what deletes may run, and then all is well
    assert run(http, "import time, os\nprint(len(os.listdir('.')) > 0)\ntime.sleep(2)")["stdout"] == "True\n"
    assert run(http, CLEAN + "\nimport time; time.sleep(1.5)")["status"] == "ok"
    assert run(http, "open('again', 'wb').write(bytes(1 << 20))\nimport time; time.sleep(1)")["status"] == "ok"


def test_within_about_a_second(http: httpx.Client) -> None:
    code = "import os, time\nfd = os.open('big', os.O_CREAT | os.O_RDWR)\nos.posix_fallocate(fd, 0, 60 << 20)\nfd2 = os.open('big2', os.O_CREAT | os.O_RDWR)\nprint(time.time(), flush=True)\nos.posix_fallocate(fd2, 0, 60 << 20)\ntime.sleep(30)"
    record = run(http, code)
    is_told(record)
    assert record["duration_ms"] < 2500, record


def test_above_the_limit_only_what_grows_is_stopped(http: httpx.Client) -> None:
    is_told(run(http, FILL))
    time.sleep(1)
    again = run(http, "open('more', 'wb').write(bytes(8 << 20))\nimport time; time.sleep(30)")
    is_told(again)
    assert again["duration_ms"] < 4000
    assert run(http, "import time; time.sleep(2); print('fine')")["stdout"] == "fine\n"


def test_a_sparse_file_counts_what_it_takes(http: httpx.Client) -> None:
    record = run(http, "import os, time\nwith open('sparse', 'wb') as f:\n    f.truncate(60 << 20)\nwith open('sparse2', 'wb') as f:\n    f.truncate(60 << 20)\ntime.sleep(2)")
    assert record["status"] == "ok"


def test_many_small_files(http: httpx.Client) -> None:
    record = run(http, "import time\nfor i in range(20000):\n    open(f's{i}', 'w').close()\ntime.sleep(30)")
    is_told(record, "limits/workspace_files")


def test_a_command_is_stopped_too(http: httpx.Client) -> None:
    reply = http.post("/api/v1/sandboxes/default/exec", json={"cmd": ["sh", "-c", "dd if=/dev/zero of=a bs=1M count=40; dd if=/dev/zero of=b bs=1M count=60; sleep 30"]})
    record = reply.json()
    is_told(record)
    assert record["duration_ms"] < 6000


def test_one_that_does_not_stop_loses_its_kernel(http: httpx.Client) -> None:
    code = """
import os, time
i = 0
while True:
    try:
        with open(f'f{i}', 'wb') as f:
            f.write(bytes(1 << 20))
        i += 1
        time.sleep(0.02)
    except KeyboardInterrupt:
        pass
"""
    record = run(http, code, session="stubborn", timeout_seconds=60)
    is_told(record)
    assert "its state is lost" in record["reason"]
    assert run(http, CLEAN)["status"] == "ok"
    assert run(http, "1", session="stubborn")["status"] == "ok"


def test_a_thread_that_writes_on_without_a_run_loses_its_sandbox(http: httpx.Client) -> None:
    run(http, "kept = 1")

    def is_reset() -> bool:
        lines = http.get("/api/v1/sandboxes/default/logs").json()["items"]
        return any(line["event"] == "quota" and "limits/workspace_bytes" in line["text"] for line in lines)

    assert not is_reset()  # what was stopped before was no more than runs
    code = """
import threading, time
def fill():
    i = 0
    while True:
        with open(f'/workspace/bg{i}', 'wb') as f:
            f.write(bytes(1 << 20))
        i += 1
        time.sleep(0.02)
threading.Thread(target=fill, daemon=True).start()
"""
    assert run(http, code, session="background")["status"] == "ok"
    wait_until(is_reset, 30)
    record = run(http, "kept")
    assert record["status"] == "error" and record["error"]["name"] == "NameError", record  # another kernel
    before = used(http)
    time.sleep(1.5)
    assert used(http) == before  # nothing writes any more
    assert run(http, CLEAN)["status"] == "ok"


HIDE = """
import os, time
held = []
for i in range(8):
    name = f'hidden{i}'
    held.append(os.open(name, os.O_CREAT | os.O_RDWR))
    os.unlink(name)
    os.posix_fallocate(held[-1], 0, 512 << 20)
    time.sleep(0.3)
time.sleep(60)
"""


def free_bytes() -> int:
    disk = os.statvfs("/tmp")
    return disk.f_bavail * disk.f_frsize


def near_the_floor(make_service: Callable[..., Service], room: int, *settings: str) -> tuple[Service, int]:
    """A service that has so many bytes left above limits/min_free_bytes, and what is free now."""
    before = free_bytes()
    assert before > room + (3 << 30), "this test takes that for a moment"
    return make_service(f"limits/min_free_bytes={before - room}", "limits/memory_bytes=512M", *settings), before


@pytest.mark.usefixtures("disk_alone")
def test_what_no_count_sees_is_ended_before_the_disk_is_full(make_service: Callable[..., Service]) -> None:
    service, before = near_the_floor(make_service, 2 << 30)
    with service.client() as one, service.client(key_of(service, "other")) as other:
        assert run(other, "kept = 7")["status"] == "ok"
        assert run(one, "mine = 7")["status"] == "ok"
        record = run(one, HIDE)
        assert record["status"] == "interrupted" and record["duration_ms"] < 20_000, record
        assert record["error"]["name"] == "QuotaExceeded", record["error"]
        for text in (record["error"]["value"], record["reason"], record["stderr"]):
            assert "limits/min_free_bytes" in text, record
        wait_until(lambda: free_bytes() > before - (1 << 30))
        again = run(one, "print(mine)")
        assert again["status"] == "error" and "NameError" in again["error"]["name"], again
        assert run(other, "print(kept)")["stdout"] == "7\n", "who writes nothing is left alone"


NAMELESS = """
import os, time
fd = os.open('nameless', os.O_CREAT | os.O_RDWR)
os.unlink('nameless')
time.sleep(5)  # counted meanwhile: nothing is there, and nobody has written since
for i in range(3000):
    os.write(fd, bytes(1 << 20))
"""


@pytest.mark.usefixtures("disk_alone")
def test_who_writes_to_a_file_without_a_name_loses_his_sandbox_alone(make_service: Callable[..., Service]) -> None:
    """Nobody was seen to write, so all sandboxes of all users were reset, as often as one of them liked."""
    service, before = near_the_floor(make_service, 1 << 30)
    with service.client() as one, service.client(key_of(service, "other")) as other:
        assert run(other, "kept = 7")["status"] == "ok"
        record = run(one, NAMELESS, timeout_seconds=60)
        assert record["status"] == "interrupted" and "limits/min_free_bytes" in record["reason"], record
        wait_until(lambda: free_bytes() > before - (1 << 30))
        assert run(other, "print(kept)")["stdout"] == "7\n"


CLOSED = """
import os
os.mkdir('closed')
os.chmod('closed', 0o300)  # its files have names for who knows them, and nobody can list them
for i in range(1000):
    open(f'closed/{i}', 'wb').write(bytes(8 << 20))
"""


@pytest.mark.usefixtures("disk_alone")
def test_what_is_saved_where_nobody_can_look_ends_at_the_floor(make_service: Callable[..., Service]) -> None:
    """The code was reset at the floor, again and again, and each time it wrote on: until the disk was full, and the service stood."""
    service, before = near_the_floor(make_service, 1 << 30, f"limits/workspace_bytes={LIMIT}")
    with service.client() as one, service.client(key_of(service, "other")) as other:
        assert run(other, "kept = 7")["status"] == "ok"
        record = run(one, CLOSED)
        assert record["status"] == "interrupted" and "limits/min_free_bytes" in record["reason"], record
        wait_until(lambda: one.post("/api/v1/execute", json={"code": "1"}).status_code == 429)
        for refused in (one.post("/api/v1/execute", json={"code": "1"}), one.post("/api/v1/sandboxes/default/exec", json={"cmd": ["ls"]})):
            assert refused.status_code == 429 and "nearly full" in refused.json()["error"]["message"], refused.text
        assert one.post("/api/terminals").status_code == 429
        assert run(other, "print(kept)")["stdout"] == "7\n", "who is not to blame is left alone"
        assert one.delete("/api/v1/session", params={"purge": 1}).status_code == 204
        wait_until(lambda: one.post("/api/v1/execute", json={"code": "1"}).status_code == 200, 30)


def key_of(service: Service, name: str) -> str:
    """Of a new user."""
    with service.client() as admin:
        assert admin.post("/api/v1/admin/users", json={"name": name}).status_code == 201
        return str(admin.post("/api/v1/admin/keys", json={"user": name, "name": "k"}).json()["key"])


def test_a_neighbour_is_not_disturbed(service: Service, http: httpx.Client) -> None:
    with service.client(key_of(service, "neighbour")) as other:
        run(other, "1")
        held: list[Record] = []
        code = "import time\nfor i in range(50):\n    open('mine', 'w').write(str(i)); time.sleep(0.1)\nprint('done')"
        thread = threading.Thread(target=lambda: held.append(run(other, code)))
        thread.start()
        is_told(run(http, FILL))
        thread.join()
        assert held[0]["status"] == "ok" and held[0]["stdout"] == "done\n" and held[0]["stderr"] == ""


def test_a_private_workspace_that_only_computes_is_left_alone(http: httpx.Client) -> None:
    made = http.post("/api/v1/sandboxes", json={"name": "alone", "workspace": "private"})
    assert made.status_code == 201, made.text
    run(http, "1", sandbox="alone")
    held: list[Record] = []
    thread = threading.Thread(target=lambda: held.append(run(http, "import time; time.sleep(4); print('done')", sandbox="alone")))
    thread.start()
    time.sleep(0.3)
    is_told(run(http, FILL))
    thread.join()
    assert held[0]["stdout"] == "done\n" and held[0]["status"] == "ok"
    http.delete("/api/v1/sandboxes/alone")


def test_a_jupyter_client_reads_why(service: Service, http: httpx.Client) -> None:
    api = service.client()
    kernel = new_kernel(api)
    with Channels(service, kernel) as c:
        messages = c.run(FILL, timeout=60)
        said = "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream" and m["content"]["name"] == "stderr")
        assert "limits/workspace_bytes" in said, said
    api.delete(f"/api/kernels/{kernel}")
    api.close()
