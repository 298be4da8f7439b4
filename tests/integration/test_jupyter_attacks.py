"""What hostile code, hostile clients and bad luck did to Jupyter clients before it was mended."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from conftest import Service
from test_jupyter import Channels, new_kernel, reply_of, text_of
from websockets.exceptions import ConnectionClosed


@pytest.fixture
def api(service: Service) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client
        for kernel in client.get("/api/kernels").json():
            client.delete(f"/api/kernels/{kernel['id']}")


# user code that says on iopub what it likes
FORGE = """
import json
k = get_ipython().kernel
def forge(msg_type, content, **header):
    head = dict(msg_id='f', msg_type=msg_type, username='', session='s', date='', version='5.3', **header)
    parts = [json.dumps(head).encode(), json.dumps(k.get_parent()['header'], default=str).encode(), b'{}', content]
    k.iopub_thread.send_multipart([b'x', b'<IDS|MSG>', k.session.sign(parts), *parts])
"""


def until(c: Channels, msg_type: str) -> dict[str, Any]:
    while (m := c.receive())["msg_type"] != msg_type:
        pass
    return m


def test_only_the_question_that_waits_is_asked_again(service: Service, api: httpx.Client) -> None:
    """A client that came again got a prompt for each input() that its cell had ever called."""
    kernel, session = new_kernel(api), uuid.uuid4().hex
    with Channels(service, kernel, session=session) as c:
        msg_id = c.execute("print(input('one? '))\nprint(input('two? '))", allow_stdin=True)
        c.send("input_reply", {"value": "1"}, channel="stdin", parent=until(c, "input_request")["header"])
        assert until(c, "input_request")["content"]["prompt"] == "two? "
    with Channels(service, kernel, session=session) as c:
        asked = until(c, "input_request")
        assert asked["content"]["prompt"] == "two? " and asked["channel"] == "stdin"
        c.send("input_reply", {"value": "2"}, channel="stdin", parent=asked["header"])
        assert text_of(c.until_idle(msg_id)) == "2\n"
    with Channels(service, kernel, session=session) as c:
        got = c.until_idle(msg_id)
        assert text_of(got) == "1\n2\n" and not [m for m in got if m["msg_type"] == "input_request"]


@pytest.mark.parametrize("content", [r"b'{\"text\":\"' + b'\x01' * 40_000_000 + b'\"}'", "b'[NaN,' * 8_000_000"])
def test_one_bad_message_does_not_stop_the_service(service: Service, api: httpx.Client, content: str) -> None:
    """To repair it took the hub's one loop up to fifteen seconds."""
    kernel = new_kernel(api)
    with Channels(service, kernel) as c:
        assert reply_of(c.run(FORGE))["status"] == "ok"
        msg_id = c.execute(f"forge('stream', {content})")
        worst, done = 0.0, threading.Event()

        def read() -> None:
            c.until_idle(msg_id, 60)
            done.set()

        reader = threading.Thread(target=read)
        reader.start()
        while not done.is_set():
            began = time.monotonic()
            api.get("/api/me")
            worst = max(worst, time.monotonic() - began)
        reader.join()
        assert worst < 1.5
        assert text_of(c.run("print('well')")) == "well\n"


def test_all_clients_hear_of_a_death_while_one_catches_up(service: Service, api: httpx.Client) -> None:
    """To the others the cell ran for ever."""
    kernel, session = new_kernel(api), uuid.uuid4().hex
    with Channels(service, kernel) as other:
        with Channels(service, kernel, session=session) as c:
            msg_id = c.execute("import os, time\nprint('a', flush=True); time.sleep(1); os._exit(1)")
            until(c, "stream")
        with Channels(service, kernel, session=session) as c:
            got = c.until_idle(msg_id)
            assert reply_of(got)["status"] == "error" and text_of(got) == "a\n"
            assert [m["msg_type"] for m in got].count("status") == 1
        seen = [other.receive()]
        while seen[-1]["parent_header"].get("msg_id") != msg_id or seen[-1]["content"].get("execution_state") != "idle":
            seen.append(other.receive())
        assert [m["content"]["ename"] for m in seen if m["msg_type"] == "error"] == ["KernelDied"]


def test_whose_key_or_user_is_gone_hears_nothing_more(service: Service, api: httpx.Client) -> None:
    """Nothing is said over these sockets: it is not at the next message that they are closed."""
    key = api.post("/api/v1/admin/keys", json={"name": "notebook"}).json()
    assert api.post("/api/v1/admin/users", json={"name": "anna"}).status_code == 201
    annas = api.post("/api/v1/admin/keys", json={"name": "annas", "user": "anna"}).json()["key"]
    with httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {annas}"}, timeout=60) as client:
        annas_kernel = new_kernel(client)
    kernel = new_kernel(api)
    with Channels(service, kernel) as stays, Channels(service, kernel, token=key["key"]) as c, Channels(service, annas_kernel, token=annas) as anna:
        assert api.delete(f"/api/v1/admin/keys/{key['id']}").status_code == 204
        assert api.delete("/api/v1/admin/users/anna").status_code == 204
        began = time.monotonic()
        with pytest.raises(ConnectionClosed, match="1008.*the key was revoked"):
            while True:
                c.receive(8)
        with pytest.raises(ConnectionClosed):
            while True:
                anna.receive(8)
        assert time.monotonic() - began < 6
        assert text_of(stays.run("print('well')")) == "well\n"
