"""Clients that end their connection at a binary frame, or at a long one, told by what they send on the upgrade (web/kernel_peer.h)."""

from __future__ import annotations

import json
import re
import struct
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from conftest import Service
from test_jupyter import Channels, new_kernel, reply_of, text_of
from test_jupyter import api as api  # a fixture

MIB = 1 << 20
TORNADO = "Tornado/6.6.1"
WEBSOCKETS = "Python/3.11 websockets/17.4"
ECHO = """
import base64
k = get_ipython().kernel
def on_open(comm, opened):
    comm.on_msg(lambda m: comm.send({'heard': [base64.b64encode(b).decode() for b in m['buffers']], 'buffer_paths': [['a']], 'state': {'n': 1}}, buffers=[b'\\0\\xff']))
k.comm_manager.register_target('echo', on_open)
"""
LARGE = """
from IPython.display import display
display({'text/plain': 'Figure', 'text/html': '<b>small</b>', 'image/png': 'x' * 12_000_000}, raw=True)
print('\\u00e9\\U0001f600\\n' * 3_000_000)
raise ValueError('why: ' + 'z' * 12_000_000)
"""


class TextOnly(Channels):
    """Would end its connection as they do."""

    def __init__(self, *how: Any, most: int, **more: Any) -> None:
        super().__init__(*how, **more)
        self.most = most

    def receive(self, timeout: float = 20) -> dict[str, Any]:
        frame = self.ws.recv(timeout)
        assert isinstance(frame, str), "a binary frame"
        assert len(frame.encode()) <= self.most, "a long frame"
        return dict(json.loads(frame))

    def next_comm(self) -> dict[str, Any]:
        while (m := self.receive())["msg_type"] != "comm_msg":
            pass
        return m


@pytest.fixture(params=[(TORNADO, "page", 10 * MIB), (WEBSOCKETS, "", MIB), ("", "", 1 << 62)], ids=["front", "autogen", "nbclient"])
def peer(request: pytest.FixtureRequest, service: Service, api: httpx.Client) -> Iterator[TextOnly]:
    agent, session, most = request.param
    with TextOnly(service, new_kernel(api), session=session and uuid.uuid4().hex, agent=agent, most=most) as c:
        yield c


def test_what_is_too_long_comes_in_pieces_or_says_where_it_is(peer: TextOnly, api: httpx.Client) -> None:
    got = peer.run(LARGE, timeout=60)
    streams = [m for m in got if m["msg_type"] == "stream"]
    assert text_of(got) == "\u00e9\U0001f600\n" * 3_000_000 + "\n"
    assert len({m["msg_id"] for m in streams}) == len(streams)
    (shown,) = [m["content"]["data"] for m in got if m["msg_type"] == "display_data"]
    assert shown["text/html"] == "<b>small</b>"
    (error,) = [m["content"] for m in got if m["msg_type"] == "error"]
    for failure in (error, reply_of(got)):
        assert failure["ename"] == "ValueError" and failure["evalue"].startswith("why: zzz")
    if peer.most > 1 << 60:
        assert len(shown["image/png"]) == 12_000_000
        return
    assert "image/png" not in shown and len(error["evalue"]) < peer.most
    (where,) = re.findall(r"^Figure\n\[kernelhub: image/png, 12000002 bytes\]\n\[left out: .*; GET (\S+) has it\]$", shown["text/plain"])
    assert f"{where} has it" in error["evalue"][-100:] and f"{where} has it" in reply_of(got)["evalue"][-100:]
    (kept,) = [r["data"]["image/png"] for r in api.get(where).json()["results"] if "image/png" in r["data"]]
    assert len(api.get(kept["ref"]).content) == 12_000_000
    assert text_of(peer.run("print('goes on')")) == "goes on\n"


def test_buffers_are_left_out_and_said_once(peer: TextOnly) -> None:
    assert reply_of(peer.run(ECHO))["status"] == "ok"
    comm = uuid.uuid4().hex
    peer.send("comm_open", {"comm_id": comm, "target_name": "echo", "data": {}})
    asked = [peer.send("comm_msg", {"comm_id": comm, "data": {}}) for _ in range(2)]
    last = peer.execute("print('goes on')")
    got = []
    while not (got and got[-1]["parent_header"].get("msg_id") == last and got[-1]["msg_type"] == "stream"):
        got.append(peer.receive())
    heard = [m for m in got if m["msg_type"] == "comm_msg"]
    assert [m["parent_header"]["msg_id"] for m in heard] == asked
    assert all(m["buffers"] == [] and m["content"]["data"] == {"heard": [], "buffer_paths": [], "state": {"n": 1}} for m in heard)
    (note,) = [m for m in got if "kernelhub" in str(m["content"].get("text"))]
    assert note["content"]["name"] == "stderr" and note["parent_header"]["msg_id"] == asked[0]


def test_a_front_sends_the_frames_of_its_page_as_text(service: Service, api: httpx.Client) -> None:
    """What is no UTF-8 would close any other connection."""
    with TextOnly(service, new_kernel(api), session=uuid.uuid4().hex, agent=TORNADO, most=10 * MIB) as c:
        assert reply_of(c.run(ECHO))["status"] == "ok"
        comm = uuid.uuid4().hex
        c.send("comm_open", {"comm_id": comm, "target_name": "echo", "data": {}})
        header = {"msg_id": "b", "msg_type": "comm_msg", "session": c.session, "username": "", "version": "5.4"}
        message = json.dumps({"header": header, "parent_header": {}, "metadata": {}, "content": {"comm_id": comm, "data": {}}, "channel": "shell"}).encode()
        c.ws.send(struct.pack(">3I", 2, 12, 12 + len(message)) + message + b"\xff\x80\0", text=True)
        assert c.next_comm()["content"]["data"]["heard"] == ["/4AA"]
        c.ws.send(b"\xff\xff", text=True)
        assert text_of(c.run("print('goes on')")) == "goes on\n"
