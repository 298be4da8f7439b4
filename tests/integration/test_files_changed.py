"""What a run changed in its workspace: in its reply, and as the event before `finished`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from conftest import Service, kill, run, wait_until

Item = dict[str, Any]


@pytest.fixture(autouse=True)
def clean(http: httpx.Client) -> Iterator[None]:
    """Every test begins with an empty workspace."""
    run(http, "import os, shutil\nos.chdir('/workspace')\n"
              "[shutil.rmtree(e.path) if e.is_dir(follow_symlinks=False) else os.unlink(e.path) for e in os.scandir('/workspace')]")
    yield


def changed(record: dict[str, object]) -> dict[str, str]:
    """path → change; what the reply and its own event say is the same."""
    assert "files_changed_incomplete" not in record, record
    items: Any = record["files_changed"]
    assert record["files_created"] == [i["path"] for i in items if i["change"] == "created"]
    return {i["path"]: i["change"] for i in items}


def events(http: httpx.Client, record: dict[str, object]) -> list[Item]:
    items: list[Item] = http.get(f"/api/v1/executions/{record['execution_id']}/events").json()["items"]
    return items


def test_a_run_is_told_what_it_created_modified_and_deleted(http: httpx.Client) -> None:
    made = run(http, "open('a.txt', 'w').write('hello'); open('b.png', 'wb').write(b'x' * 2000); open('c', 'w').close()")
    assert made["files_changed"] == [
        {"path": "a.txt", "bytes": 5, "change": "created", "mime": "text/plain"},
        {"path": "b.png", "bytes": 2000, "change": "created", "mime": "image/png"},
        {"path": "c", "bytes": 0, "change": "created"},
    ]
    assert made["files_created"] == ["a.txt", "b.png", "c"]
    last = events(http, made)[-2:]
    assert [e["type"] for e in last] == ["files_changed", "finished"]
    assert last[0]["items"] == made["files_changed"] and last[1]["last_seq"] == last[0]["seq"] + 1
    later = run(http, "import os\nopen('a.txt', 'a').write('!'); os.unlink('b.png'); open('c').read()")
    assert later["files_changed"] == [
        {"path": "a.txt", "bytes": 6, "change": "modified", "mime": "text/plain"},
        {"path": "b.png", "bytes": 0, "change": "deleted"},
    ]
    again = http.get(f"/api/v1/executions/{made['execution_id']}").json()
    assert again["files_changed"] == made["files_changed"] and again["files_created"] == made["files_created"]


def test_a_run_that_changes_nothing_has_no_event(http: httpx.Client) -> None:
    for code in ("pass", "1 + 1", "import os; os.listdir('/workspace')", "open('/tmp/elsewhere', 'w').write('x')"):
        record = run(http, code)
        assert record["files_changed"] == [] and record["files_created"] == []
        assert "files_changed" not in [e["type"] for e in events(http, record)], code


def test_what_is_gone_again_at_the_end_is_nobodys_business(http: httpx.Client) -> None:
    record = run(http, "import os\nopen('t', 'w').write('x'); os.unlink('t')\nos.makedirs('d/e'); open('d/e/f', 'w').close()\nimport shutil; shutil.rmtree('d')")
    assert changed(record) == {}


def test_replaced_by_rename(http: httpx.Client) -> None:
    run(http, "open('data.csv', 'w').write('1')")
    record = run(http, "import os\nopen('data.csv.tmp', 'w').write('22'); os.replace('data.csv.tmp', 'data.csv')")
    assert changed(record) == {"data.csv": "modified"}
    assert changed(run(http, "import os\nos.rename('data.csv', 'new.csv')")) == {"data.csv": "deleted", "new.csv": "created"}


def test_folders_made_in_the_run(http: httpx.Client) -> None:
    code = "import os\nfor i in range(50):\n    os.makedirs(f'd{i}/sub/deep')\n    open(f'd{i}/sub/deep/f.txt', 'w').write('x')\n    open(f'd{i}/g', 'w').close()"
    assert changed(run(http, code)) == {f"d{i}/{name}": "created" for i in range(50) for name in ("sub/deep/f.txt", "g")}
    assert changed(run(http, "open('d7/sub/deep/f.txt', 'a').write('y')")) == {"d7/sub/deep/f.txt": "modified"}


def test_a_folder_that_moves_takes_its_files_along(http: httpx.Client) -> None:
    run(http, "import os\nos.makedirs('old/in'); open('old/a', 'w').close(); open('old/in/b', 'w').close()")
    record = run(http, "import os\nos.rename('old', 'new'); open('new/in/c', 'w').close()")
    assert changed(record) == {
        "old/a": "deleted", "old/in/b": "deleted", "new/a": "created", "new/in/b": "created", "new/in/c": "created"
    }  # fmt: skip
    assert changed(run(http, "open('new/in/b', 'a').write('x')")) == {"new/in/b": "modified"}


def test_odd_names(http: httpx.Client) -> None:
    record = run(http, "open('a \"b\\\\c\\nd', 'w').close(); open(b'\\xff\\xfe', 'wb').close(); open('é', 'w').close()")
    assert sorted(changed(record)) == sorted(['a "b\\c\nd', "\uefff\ueffe", "é"])
    assert all(i["bytes"] == 0 for i in record["files_changed"])


def test_links_pipes_and_folders_are_no_files(http: httpx.Client) -> None:
    record = run(http, "import os\nos.symlink('/etc/passwd', 'link'); os.mkfifo('pipe'); os.mkdir('empty'); os.symlink('/', 'root')")
    assert changed(record) == {}
    record = run(http, "import os\nopen('f', 'w').write('x')\nos.unlink('link'); os.link('f', 'hard')")
    assert {"f": "created", "hard": "created"}.items() <= changed(record).items()


@pytest.mark.parametrize("code", ["open('x', 'w').write('1'); 1/0", "open('x', 'w').write('1'); import os; os._exit(3)"])
def test_runs_that_end_badly_are_told_too(http: httpx.Client, code: str) -> None:
    record = run(http, code)
    assert record["status"] in ("error", "kernel_died") and changed(record) == {"x": "created"}


def test_an_open_file_and_a_time_limit(http: httpx.Client) -> None:
    record = run(http, "f = open('log', 'w'); f.write('x'); f.flush()")
    assert changed(record) == {"log": "created"}
    record = run(http, "f.write('y'); f.flush()\nimport time; time.sleep(60)", timeout_seconds=0.5)
    assert record["status"] == "timeout" and changed(record) == {"log": "modified"}


def test_a_command_and_a_private_workspace(http: httpx.Client) -> None:
    made = http.post("/api/v1/sandboxes", json={"name": "own", "workspace": "private"})
    assert made.status_code == 201, made.text
    reply = http.post("/api/v1/sandboxes/own/exec", json={"cmd": ["sh", "-c", "echo hi > from-sh"]}).json()
    assert reply["status"] == "ok" and changed(reply) == {"from-sh": "created"}
    assert changed(run(http, "open('mine', 'w').close()", sandbox="own")) == {"mine": "created"}
    assert changed(run(http, "pass")) == {}
    http.delete("/api/v1/sandboxes/own")


def test_what_the_api_saves_is_no_runs(http: httpx.Client) -> None:
    """A notebook is saved, files come and go over the API while a cell runs: it is told its own."""
    held: list[dict[str, object]] = []
    thread = threading.Thread(target=lambda: held.append(run(http, "import time\nopen('own', 'w').close()\ntime.sleep(2)\nopen('own2', 'w').close()")))
    thread.start()
    time.sleep(0.7)
    notebook = {"type": "notebook", "content": {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}}
    assert http.put("/api/contents/n.ipynb", json=notebook).status_code in (200, 201)
    assert http.put("/api/contents/folder", json={"type": "directory"}).status_code in (200, 201)
    text = {"type": "file", "format": "text", "content": "x"}
    assert http.put("/api/contents/folder/t.txt", json=text).status_code in (200, 201)
    assert http.patch("/api/contents/folder/t.txt", json={"path": "folder/u.txt"}).status_code == 200
    assert http.patch("/api/contents/folder", json={"path": "moved"}).status_code == 200
    assert http.delete("/api/contents/moved/u.txt").status_code == 204
    thread.join()
    assert changed(held[0]) == {"own": "created", "own2": "created"}
    assert changed(run(http, "open('moved/later', 'w').close(); open('n.ipynb', 'a').close()")) == {"moved/later": "created"}


def test_two_runs_at_once_are_told_both_and_that_they_shared(http: httpx.Client) -> None:
    run(http, "1", session="second")
    held: list[dict[str, object]] = []
    thread = threading.Thread(target=lambda: held.append(run(http, "import time\nopen('one', 'w').close(); time.sleep(1.5)")))
    thread.start()
    time.sleep(0.5)
    second = run(http, "open('two', 'w').close()", session="second")
    thread.join()
    assert changed(second) == {"two": "created"} and changed(held[0]) == {"one": "created", "two": "created"}
    assert second["files_changed_shared"] is True and held[0]["files_changed_shared"] is True
    alone = run(http, "open('three', 'w').close()")
    assert changed(alone) == {"three": "created"} and "files_changed_shared" not in alone


def test_a_storm_is_bounded_and_says_so(http: httpx.Client) -> None:
    record = run(http, "import os\nfor i in range(3000):\n    open(f'f{i}', 'w').close()")
    items: Any = record["files_changed"]
    assert len(items) == 1000 and record["files_changed_incomplete"]
    assert changed(run(http, "open('after', 'w').close()")) == {"after": "created"}
    record = run(http, "import os\nfor i in range(60000):\n    os.close(os.open(f's{i % 50}', os.O_CREAT | os.O_WRONLY)); os.unlink(f's{i % 50}')")
    assert record["status"] == "ok"
    wait_until(lambda: "files_changed_incomplete" not in run(http, "open('x', 'w').close()"))
    assert changed(run(http, "open('last', 'w').close()")) == {"last": "created"}


def test_more_folders_than_are_watched(make_service: Any) -> None:
    service: Service = make_service("limits/watched_folders=40")
    with service.client() as http:
        run(http, "1")
        record = run(http, "import os\nfor i in range(100):\n    os.mkdir(f'd{i}')")
        assert "limits/watched_folders" in str(record["files_changed_incomplete"])
        record = run(http, "pass")
        assert record["files_changed"] == [] and "limits/watched_folders" in str(record["files_changed_incomplete"])


def test_a_hub_that_was_killed_in_the_middle_says_what_it_knows(make_service: Any) -> None:
    service: Service = make_service()
    with service.client() as http:
        run(http, "1")
        code = "import time\nopen('before', 'w').close()\nfor i in range(40):\n    time.sleep(0.1)\nopen('behind', 'w').close()"
        answer = http.post("/api/v1/execute/async", json={"code": code}).json()
        wait_until(lambda: "started" in [e["type"] for e in events(http, answer)])
        time.sleep(0.3)
        kill(service.pid_of("hub"))

        def ended() -> bool:
            try:
                return http.get(f"/api/v1/executions/{answer['execution_id']}").json()["status"] == "ok"
            except (httpx.TransportError, KeyError):
                return False

        wait_until(ended, 20)
        record = http.get(f"/api/v1/executions/{answer['execution_id']}").json()
        assert "started again" in record["files_changed_incomplete"]
        assert record["files_changed"] == [{"path": "behind", "bytes": 0, "change": "created"}]
        assert changed(run(http, "open('next', 'w').close()")) == {"next": "created"}
