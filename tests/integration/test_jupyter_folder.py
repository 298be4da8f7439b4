"""Where a kernel starts: in its notebook's folder, or in the nearest one above it that is there."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest
from conftest import Service, kill, run, wait_until
from test_jupyter import Channels, text_of
from test_jupyter import api as api  # a fixture

MAKE = """
import os, shutil
os.chdir('/workspace')
shutil.rmtree('folders', ignore_errors=True)
os.makedirs('folders/größe 1/b')
open('folders/größe 1/nb.ipynb', 'w').close()
open('folders/file', 'w').close()
os.symlink('größe 1/b', 'folders/link')
"""


@pytest.fixture
def workspace(service: Service) -> None:
    with service.client() as client:
        assert run(client, MAKE)["status"] == "ok"


def folder_of(service: Service, kernel: str) -> str:
    with Channels(service, kernel) as c:
        return text_of(c.run("import os; print(os.getcwd())")).removesuffix("\n").removeprefix("/workspace")


def session(api: httpx.Client, path: str) -> dict[str, Any]:
    started = api.post("/api/sessions", json={"path": path, "name": "nb", "type": "notebook", "kernel": {"name": "python3"}})
    assert started.status_code == 201, started.text
    return dict(started.json())


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("nb.ipynb", ""),
        ("folders/größe 1/nb.ipynb", "/folders/größe 1"),
        ("folders/gone/deeper/nb.ipynb", "/folders"),
        ("folders/file/nb.ipynb", "/folders"),
        ("folders/link/nb.ipynb", "/folders/größe 1/b"),
        ("folders/../../tmp/nb.ipynb", ""),
    ],
)
def test_a_kernel_starts_in_its_notebooks_folder(service: Service, api: httpx.Client, path: str, folder: str) -> None:
    assert folder_of(service, session(api, path)["kernel"]["id"]) == folder


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(("path", "folder"), [("folders/größe 1", "/folders/größe 1"), ("/tmp", ""), (7, "")])
def test_a_kernel_of_its_own_starts_where_it_is_asked_to(service: Service, api: httpx.Client, path: object, folder: str) -> None:
    started = api.post("/api/kernels", json={"name": "python3", "path": path})
    assert started.status_code == 201, started.text
    assert folder_of(service, started.json()["id"]) == folder


@pytest.mark.usefixtures("workspace")
def test_a_restart_keeps_the_folder_and_so_does_the_service(service: Service, api: httpx.Client) -> None:
    kernel = session(api, "folders/größe 1/nb.ipynb")["kernel"]["id"]
    assert folder_of(service, kernel) == "/folders/größe 1"
    hub = service.pid_of("hub")
    kill(hub)
    wait_until(lambda: restarts(api, kernel), 30)
    assert folder_of(service, kernel) == "/folders/größe 1" and service.pid_of("hub") != hub


def restarts(api: httpx.Client, kernel: str) -> bool:
    try:
        return api.post(f"/api/kernels/{kernel}/restart").status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.usefixtures("workspace")
def test_another_kernel_of_a_notebook_starts_there_too(service: Service, api: httpx.Client) -> None:
    model = session(api, "folders/größe 1/nb.ipynb")
    changed = api.patch(f"/api/sessions/{model['id']}", json={"kernel": {"name": "python3"}}).json()
    assert changed["kernel"]["id"] != model["kernel"]["id"]
    assert folder_of(service, changed["kernel"]["id"]) == "/folders/größe 1"


def test_a_session_over_rest_begins_in_the_workspace(service: Service) -> None:
    with service.client() as client:
        name = f"folders/{uuid.uuid4()}"
        assert run(client, "import os; print(os.getcwd())", session=name)["stdout"] == "/workspace\n"
        client.delete(f"/api/v1/sessions/{name.replace('/', '%2F')}")
