"""The Jupyter Server API as its clients use it: kernels, sessions and both protocols of the channels' WebSocket."""

from __future__ import annotations

import json
import struct
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from conftest import Service, kill, wait_until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

V1 = "v1.kernel.websocket.jupyter.org"
PARTS = ("header", "parent_header", "metadata", "content")


@pytest.fixture
def api(service: Service) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client
        for kernel in client.get("/api/kernels").json():
            client.delete(f"/api/kernels/{kernel['id']}")


def test_a_kernelspecs_logos_come_from_its_image(service: Service, api: httpx.Client) -> None:
    specs = api.get("/api/kernelspecs").json()["kernelspecs"]
    assert {name for name, spec in specs.items() if spec["resources"]} >= {"python3", "bash"}
    assert specs["python3"]["resources"]["logo-svg"] == "/kernelspecs/python3/logo-svg.svg"
    for path in [path for spec in specs.values() for path in spec["resources"].values()]:
        logo = api.get(path)
        assert logo.status_code == 200
        is_svg = path.endswith(".svg")
        assert logo.headers["content-type"] == ("image/svg+xml" if is_svg else "image/png")
        assert b"<svg" in logo.content if is_svg else logo.content.startswith(b"\x89PNG\r\n\x1a\n")
        assert httpx.get(f"{service.url}{path}").status_code == 403
        assert api.get(path, headers={"If-None-Match": logo.headers["etag"]}).status_code == 304


def test_an_image_that_an_older_keeper_looked_into_gets_its_logos(service: Service, api: httpx.Client) -> None:
    records = list((service.state / "keeper" / "images").iterdir())
    for record in records:
        record.write_text(json.dumps(json.loads(record.read_text())["kernelspecs"]))
    kill(service.pid_of("keeper"))
    wait_until(lambda: all(json.loads(record.read_text()).get("v") == 2 for record in records), 30)
    assert records and "logo-svg" in api.get("/api/kernelspecs/python3").json()["resources"]


class Channels:
    """A client of one kernel's WebSocket."""

    def __init__(self, service: Service, kernel: str, session: str = "", v1: bool = False, token: str | None = None, agent: str = "test", headers: dict[str, str] | None = None) -> None:
        self.v1 = v1
        self.session = session or uuid.uuid4().hex
        query = f"?token={service.key if token is None else token}" + (f"&session_id={session}" if session else "")
        self.ends = ExitStack()
        self.ws: ClientConnection = self.ends.enter_context(
            connect(
                f"ws://127.0.0.1:{service.port}/api/kernels/{kernel}/channels{query}",
                subprotocols=[V1] if v1 else None,  # type: ignore[list-item]
                max_size=None,
                proxy=None,
                user_agent_header=agent or None,
                additional_headers=headers,
            )
        )
        assert self.ws.subprotocol == (V1 if v1 else None)

    def __enter__(self) -> Channels:
        return self

    def __exit__(self, *exc: object) -> None:
        self.ends.close()

    def send(self, msg_type: str, content: dict[str, Any], channel: str = "shell", parent: Any = None, buffers: tuple[bytes, ...] = (), **header: Any) -> str:
        head = {
            "msg_id": str(uuid.uuid4()),
            "msg_type": msg_type,
            "username": "t",
            "session": self.session,
            "date": "2026-11-21T10:00:00.000000Z",
            "version": "5.4",
            **header,
        }
        message = {"header": head, "parent_header": parent or {}, "metadata": {}, "content": content}
        if self.v1:
            parts = [channel.encode(), *(json.dumps(message[p]).encode() for p in PARTS), *buffers]
            offsets = [8 * (len(parts) + 2)]
            for part in parts:
                offsets.append(offsets[-1] + len(part))
            self.ws.send(struct.pack(f"<{len(offsets) + 1}Q", len(offsets), *offsets) + b"".join(parts))
        elif buffers:
            text = json.dumps({**message, "channel": channel}).encode()
            offsets = [4 * (len(buffers) + 2)]
            for part in (text, *buffers[:-1]):
                offsets.append(offsets[-1] + len(part))
            self.ws.send(struct.pack(f">{len(offsets) + 1}I", len(offsets), *offsets) + text + b"".join(buffers))
        else:
            self.ws.send(json.dumps({**message, "channel": channel, "buffers": []}))
        return str(head["msg_id"])

    def receive(self, timeout: float = 20) -> dict[str, Any]:
        frame = self.ws.recv(timeout)
        if isinstance(frame, str):
            message = json.loads(frame)
            assert message["msg_id"] == message["header"]["msg_id"] and message["msg_type"] == message["header"]["msg_type"]
            return dict(message)
        if not self.v1:
            n = struct.unpack_from(">I", frame)[0]
            offsets = [*struct.unpack_from(f">{n}I", frame, 4), len(frame)]
            cut = [frame[a:b] for a, b in zip(offsets, offsets[1:])]
            return {**json.loads(cut[0]), "buffers": cut[1:]}
        n = struct.unpack_from("<Q", frame)[0]
        offsets = struct.unpack_from(f"<{n}Q", frame, 8)
        cut = [frame[a:b] for a, b in zip(offsets, offsets[1:])]
        message = {name: json.loads(part) for name, part in zip(PARTS, cut[1:5])}
        return {**message, "channel": cut[0].decode(), "msg_type": message["header"]["msg_type"], "buffers": cut[5:]}

    def until_idle(self, msg_id: str, timeout: float = 20) -> list[dict[str, Any]]:
        """What has this parent, up to both its idle and its reply; a cell of a client that is gone gets no reply."""
        got: list[dict[str, Any]] = []
        deadline = time.monotonic() + timeout
        while True:
            message = self.receive(max(0.1, deadline - time.monotonic()))
            if message["parent_header"].get("msg_id") != msg_id:
                continue
            got.append(message)
            idle = any(m["msg_type"] == "status" and m["content"]["execution_state"] == "idle" for m in got)
            if idle and any(m["msg_type"].endswith("_reply") for m in got):
                return got

    def run(self, code: str, timeout: float = 20, **content: Any) -> list[dict[str, Any]]:
        return self.until_idle(self.execute(code, **content), timeout)

    def execute(self, code: str, **content: Any) -> str:
        wanted = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False, "stop_on_error": True}
        return self.send("execute_request", {**wanted, **content})


def text_of(messages: list[dict[str, Any]]) -> str:
    return "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream")


def reply_of(messages: list[dict[str, Any]]) -> dict[str, Any]:
    (reply,) = [m["content"] for m in messages if m["msg_type"] == "execute_reply"]
    return dict(reply)


def new_kernel(api: httpx.Client) -> str:
    started = api.post("/api/kernels", json={"name": "python3"})
    assert started.status_code == 201, started.text
    return str(started.json()["id"])


# the HTTP half


def test_the_server_says_what_it_is(service: Service, api: httpx.Client) -> None:
    assert httpx.get(f"{service.url}/api").json()["version"].startswith("2.")
    status = api.get("/api/status").json()
    assert set(status) == {"started", "last_activity", "kernels", "connections"}
    assert api.get("/api/me").json()["identity"]["username"] == "admin"


def test_kernelspecs_have_what_clients_check(api: httpx.Client) -> None:
    specs = api.get("/api/kernelspecs").json()
    assert specs["default"] == "python3" and {"python3", "bash"} <= set(specs["kernelspecs"])
    for name, model in specs["kernelspecs"].items():
        assert model["name"] == name and isinstance(model["resources"], dict)
        assert model["spec"]["argv"] and model["spec"]["display_name"] and model["spec"]["language"]
        assert isinstance(model["spec"]["env"], dict) and isinstance(model["spec"]["metadata"], dict)
        assert api.get(f"/api/kernelspecs/{name}").json() == model
    assert api.get("/api/kernelspecs/cobol").status_code == 404


@pytest.mark.parametrize("body", [b"", b"{}", b'{"name":"python3"}', b'{"name":"python3","env":{"KERNEL_X":"1"},"new":[1]}'])
def test_a_kernel_begins_and_ends(api: httpx.Client, body: bytes) -> None:
    started = api.post("/api/kernels?1795247637651", content=body)
    model = started.json()
    assert started.status_code == 201 and started.headers["Location"] == f"/api/kernels/{model['id']}"
    assert set(model) == {"id", "name", "last_activity", "execution_state", "connections"}
    assert model["name"] == "python3" and model["execution_state"] == "idle" and model["connections"] == 0
    time.strptime(model["last_activity"], "%Y-%m-%dT%H:%M:%S.%fZ")
    path = f"/api/kernels/{model['id']}"
    assert api.get(path).json()["id"] == model["id"] and model["id"] in [k["id"] for k in api.get("/api/kernels/").json()]
    assert api.post(f"{path}/interrupt").status_code == 204
    assert api.post(f"{path}/restart", content=b"{}").json()["id"] == model["id"]
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404 and api.delete(path).status_code == 404


@pytest.mark.parametrize(("path", "body", "status"), [("/api/kernels", "{", 400), ("/api/kernels", "[1]", 400), ("/api/kernels", '{"name":"cobol"}', 404), ("/api/sessions", "{}", 400), ("/api/sessions", '{"path":"a","kernel":{"id":"b"}}', 404)])
def test_what_makes_no_sense_is_refused_as_jupyter_server_does(api: httpx.Client, path: str, body: str, status: int) -> None:
    answer = api.post(path, content=body)
    assert answer.status_code == status and answer.json()["message"] and "reason" in answer.json()
    assert api.get("/api/nothing").status_code == 404 and "message" in api.get("/api/nothing").json()


def test_who_has_no_token_gets_403(service: Service, api: httpx.Client) -> None:
    kernel = new_kernel(api)
    for token in ("", "token wrong"):
        answer = httpx.get(f"{service.url}/api/kernels", headers={"Authorization": token} if token else {})
        assert answer.status_code == 403 and answer.json()["message"]
        with pytest.raises(InvalidStatus) as refused:
            Channels(service, kernel, token=token.removeprefix("token "))
        assert refused.value.response.status_code == 403
    for headers in ({"Authorization": f"token {service.key}"}, {"Authorization": f"bearer {service.key}"}, {"X-API-Key": service.key}):
        assert httpx.get(f"{service.url}/api/kernels", headers=headers).status_code == 200
    assert httpx.get(f"{service.url}/t/{service.key}/api/kernels").status_code == 200
    with pytest.raises(InvalidStatus) as unknown:
        Channels(service, str(uuid.uuid4()))
    assert unknown.value.response.status_code == 404


def test_a_jupyter_session_has_a_path_and_may_change_it(api: httpx.Client) -> None:
    wish = {"path": "a/b.ipynb", "name": "b.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
    made = api.post("/api/sessions", json=wish)
    session = made.json()
    assert made.status_code == 201 and session["notebook"] == {"path": "a/b.ipynb", "name": "b.ipynb"}
    assert api.post("/api/sessions", json=wish).json()["id"] == session["id"]
    path = f"/api/sessions/{session['id']}"
    changed = api.patch(path, json={"path": "c.ipynb", "name": "c.ipynb"}).json()
    assert changed["path"] == "c.ipynb" and changed["kernel"]["id"] == session["kernel"]["id"]
    # a console at the same kernel; the kernel lives as long as one of them
    console = api.post("/api/sessions", json={"path": "console", "type": "console", "kernel": {"id": session["kernel"]["id"]}}).json()
    assert console["kernel"]["id"] == session["kernel"]["id"] and "notebook" not in console
    assert api.delete(path).status_code == 204 and api.get(path).status_code == 404
    assert api.get(f"/api/kernels/{session['kernel']['id']}").status_code == 200
    other = api.patch(f"/api/sessions/{console['id']}", json={"kernel": {"name": "bash"}}).json()
    assert other["id"] == console["id"] and other["kernel"]["name"] == "bash" and other["kernel"]["id"] != session["kernel"]["id"]
    assert api.get(f"/api/kernels/{session['kernel']['id']}").status_code == 404
    assert api.delete(f"/api/sessions/{console['id']}").status_code == 204
    assert api.get(f"/api/kernels/{other['kernel']['id']}").status_code == 404


# the channels


@pytest.mark.parametrize("v1", [False, True])
def test_a_cell_says_what_a_kernel_says(service: Service, api: httpx.Client, v1: bool) -> None:
    kernel = new_kernel(api)
    with Channels(service, kernel, v1=v1) as c:
        info = c.until_idle(c.send("kernel_info_request", {}))
        assert any(m["content"].get("language_info", {}).get("name") == "python" for m in info)
        got = c.run("print('a'); 6 * 7")
        assert [m["msg_type"] for m in got if m["channel"] == "iopub"] == ["status", "execute_input", "stream", "execute_result", "status"]
        assert reply_of(got)["status"] == "ok" and text_of(got) == "a\n"
        assert api.get(f"/api/kernels/{kernel}").json()["connections"] == 1
        failed = c.run("1/0")
        assert reply_of(failed)["ename"] == "ZeroDivisionError"
        control = c.until_idle(c.send("kernel_info_request", {}, channel="control"))
        assert any(m["channel"] == "control" for m in control)
        complete = c.until_idle(c.send("complete_request", {"code": "pri", "cursor_pos": 3}))
        assert any("print" in m["content"].get("matches", []) for m in complete)


@pytest.mark.parametrize("v1", [False, True])
def test_buffers_travel_both_ways(service: Service, api: httpx.Client, v1: bool) -> None:
    with Channels(service, new_kernel(api), session=uuid.uuid4().hex, v1=v1) as c:
        code = """
k = get_ipython().kernel
def on_open(comm, opened):
    comm.on_msg(lambda m: comm.send({'n': len(m['buffers'])}, buffers=[bytes(b)[::-1] for b in m['buffers']]))
k.comm_manager.register_target('echo', on_open)
"""
        assert reply_of(c.run(code))["status"] == "ok"
        comm = uuid.uuid4().hex
        c.send("comm_open", {"comm_id": comm, "target_name": "echo", "data": {}})
        c.send("comm_msg", {"comm_id": comm, "data": {}}, buffers=(b"\0\xffab", b"", b"x" * 100_000 + b"y"))
        while (m := c.receive())["msg_type"] != "comm_msg":
            pass
        assert m["content"]["data"] == {"n": 3} and m["channel"] == "iopub"
        assert [bytes(b) for b in m["buffers"]] == [b"ba\xff\0", b"", b"y" + b"x" * 100_000]


def test_a_cell_of_a_notebook_is_an_execution(service: Service, api: httpx.Client) -> None:
    session = api.post("/api/sessions", json={"path": "n.ipynb", "type": "notebook", "kernel": {"name": "python3"}}).json()
    with Channels(service, session["kernel"]["id"]) as c:
        c.run("x = 41; print('from the notebook')")
        (ran,) = api.get("/api/v1/executions", params={"session": "n.ipynb"}).json()["items"]
        assert ran["status"] == "ok" and ran["client"] == "jupyter" and ran["code"].startswith("x = 41")
        record = api.get(f"/api/v1/executions/{ran['execution_id']}").json()
        assert record["stdout"] == "from the notebook\n"
        # the other way: what REST runs in the same session every client at it sees
        assert api.post("/api/v1/execute", json={"code": "print(x + 1)", "session": "n.ipynb"}).json()["stdout"] == "42\n"
        while (m := c.receive())["msg_type"] != "stream":
            pass
        assert m["content"] == {"name": "stdout", "text": "42\n"}


def test_a_session_made_over_rest_is_there_for_jupyter(service: Service, api: httpx.Client) -> None:
    api.post("/api/v1/execute", json={"code": "y = 7", "session": "mine"})
    (found,) = [s for s in api.get("/api/sessions").json() if s["path"] == "mine"]
    with Channels(service, found["kernel"]["id"]) as c:
        assert text_of(c.run("print(y)")) == "7\n"


def test_two_clients_hear_all_output_and_only_their_own_replies(service: Service, api: httpx.Client) -> None:
    kernel = new_kernel(api)
    with Channels(service, kernel) as a, Channels(service, kernel, v1=True) as b:
        msg_id = a.execute("print('both')")
        a.until_idle(msg_id)
        seen = []
        while not seen or seen[-1]["content"].get("execution_state") != "idle":
            seen.append(b.receive())
        mine = [m for m in seen if m["parent_header"].get("msg_id") == msg_id]
        assert text_of(mine) == "both\n" and all(m["channel"] == "iopub" for m in mine)


def test_input_is_asked_of_the_client_that_ran_the_cell(service: Service, api: httpx.Client) -> None:
    kernel = new_kernel(api)
    with Channels(service, kernel) as c, Channels(service, kernel) as other:
        msg_id = c.execute("print(input('name? ') + '!')", allow_stdin=True)
        while (asked := c.receive())["msg_type"] != "input_request":
            pass
        assert asked["channel"] == "stdin" and asked["content"]["prompt"] == "name? "
        c.send("input_reply", {"value": "Ad\u00e0"}, channel="stdin", parent=asked["header"])
        assert text_of(c.until_idle(msg_id)) == "Ad\u00e0!\n"
        other.send("kernel_info_request", {})
        while (m := other.receive())["msg_type"] != "kernel_info_reply":
            assert m["channel"] == "iopub"


def test_a_failure_takes_the_cells_behind_it_along(service: Service, api: httpx.Client) -> None:
    kernel = new_kernel(api)
    with Channels(service, kernel) as c:
        first = c.execute("import time; time.sleep(0.5); 1/0")
        second, third = c.execute("print('never')"), c.execute("print('no')")
        assert reply_of(c.until_idle(first))["status"] == "error"
        for msg_id in (second, third):
            got = c.until_idle(msg_id)
            assert reply_of(got)["status"] == "aborted" and text_of(got) == ""
        assert text_of(c.run("print('goes on')")) == "goes on\n"
        held = c.execute("import time; time.sleep(0.5); 1/0", stop_on_error=False)
        kept = c.execute("print('kept')")
        c.until_idle(held)
        assert text_of(c.until_idle(kept)) == "kept\n"


def test_an_interrupt_and_a_restart(service: Service, api: httpx.Client) -> None:
    kernel = new_kernel(api)
    with Channels(service, kernel) as c:
        for by_message in (False, True):
            msg_id = c.execute("print('on', flush=True)\nimport time; time.sleep(60)")
            while c.receive()["msg_type"] != "stream":
                pass
            if by_message:
                c.send("interrupt_request", {}, channel="control")
            else:
                assert api.post(f"/api/kernels/{kernel}/interrupt").status_code == 204
            assert reply_of(c.until_idle(msg_id))["ename"] == "KeyboardInterrupt"
        c.run("z = 1")
        running = c.execute("import time; time.sleep(60)")
        while c.receive()["msg_type"] != "execute_input":
            pass
        assert api.post(f"/api/kernels/{kernel}/restart").json()["execution_state"] == "idle"
        said = []
        while not any(m["msg_type"] == "execute_reply" for m in said):
            said.append(c.receive())
        assert said[-1]["content"]["status"] == "error" and said[-1]["parent_header"]["msg_id"] == running
        gone = c.execute("z")
        while said[-1]["parent_header"].get("msg_id") != gone or said[-1]["msg_type"] != "execute_reply":
            said.append(c.receive())
        assert said[-1]["content"]["ename"] == "NameError"
        # JupyterLab would say that it has died
        assert not [m for m in said if m["content"].get("execution_state") in ("restarting", "dead")]


def test_a_kernel_that_dies_comes_back_by_itself(service: Service, api: httpx.Client) -> None:
    kernel = new_kernel(api)
    with Channels(service, kernel) as c:
        died = c.execute("import os; os._exit(3)")
        states, ended = [], []
        while "restarting" not in states or not any(m["msg_type"] == "execute_reply" for m in ended):
            m = c.receive()
            if m["msg_type"] == "status" and not m["parent_header"]:
                states.append(m["content"]["execution_state"])
            if m["parent_header"].get("msg_id") == died:
                ended.append(m)
        assert reply_of(ended)["ename"] == "KernelDied"
        assert text_of(c.run("print('back')")) == "back\n"
        assert api.get(f"/api/kernels/{kernel}").json()["execution_state"] in ("idle", "busy")


def test_a_deleted_kernel_says_so_and_closes(service: Service, api: httpx.Client) -> None:
    kernel = new_kernel(api)
    states = []
    with Channels(service, kernel) as c:
        assert api.delete(f"/api/kernels/{kernel}").status_code == 204
        with pytest.raises(ConnectionClosed):
            while True:
                m = c.receive()
                if m["msg_type"] == "status":
                    states.append(m["content"]["execution_state"])
    assert states[-1] == "dead"


def test_shutdown_over_the_socket_ends_the_kernel(service: Service, api: httpx.Client) -> None:
    kernel = new_kernel(api)
    with Channels(service, kernel) as c:
        c.send("shutdown_request", {"restart": False}, channel="control")
        while (m := c.receive())["msg_type"] != "shutdown_reply":
            pass
        assert m["content"] == {"status": "ok", "restart": False} and m["channel"] == "control"
    assert api.get(f"/api/kernels/{kernel}").status_code == 404


def test_a_second_connection_of_a_client_takes_over(service: Service, api: httpx.Client) -> None:
    kernel, session = new_kernel(api), uuid.uuid4().hex
    with Channels(service, kernel, session=session) as first:
        running = first.execute("import time; time.sleep(1); print('for the second')")
        time.sleep(0.03)
        with Channels(service, kernel, session=session) as second:
            with pytest.raises(ConnectionClosed):
                while True:
                    first.receive(5)
            second.send("kernel_info_request", {})
            got = second.until_idle(running)
            assert text_of(got) == "for the second\n" and reply_of(got)["status"] == "ok"


def outputs_of(messages: list[dict[str, Any]]) -> list[Any]:
    """What a notebook's cell shows in the end; texts in a row are one."""
    shown: list[Any] = []
    clear = False
    for m in messages:
        content = m["content"]
        if m["msg_type"] == "clear_output":
            clear = True
        elif m["msg_type"] in ("stream", "display_data", "execute_result", "error"):
            if clear:
                shown, clear = [], False
            if m["msg_type"] == "stream" and shown and isinstance(shown[-1], str):
                shown[-1] += content["text"]
            else:
                shown.append(content.get("text") or content.get("data") or content.get("ename"))
    return shown


AWAY = """
import time
from IPython.display import display
print('before', flush=True)
display({'text/plain': 'large', 'application/x-large': 'y' * 400_000, 'application/json': {'n': ['z' * 300_000]}}, raw=True)
time.sleep(1)
print('between', flush=True)
time.sleep(SECONDS)
print('after')
ENDS
"""


@pytest.mark.parametrize("v1", [False, True])
@pytest.mark.parametrize(("seconds", "ends"), [(1.5, "6 * 7"), (0, "6 * 7"), (0, "1/0")])
def test_a_client_that_comes_again_has_the_whole_cell(service: Service, api: httpx.Client, v1: bool, seconds: float, ends: str) -> None:
    """Also when the cell has ended while it was away, and when another client has seen it all."""
    kernel, session = new_kernel(api), uuid.uuid4().hex
    code = AWAY.replace("SECONDS", str(seconds)).replace("ENDS", ends)
    with Channels(service, kernel) as other:
        with Channels(service, kernel, session=session, v1=v1) as first:
            msg_id = first.execute(code)
            seen = []
            while not seen or seen[-1]["msg_type"] != "display_data":
                seen.append(first.receive())
        time.sleep(1.6)
        with Channels(service, kernel, session=session, v1=v1) as second:
            got = second.until_idle(msg_id)
            assert text_of(second.run("print('and on')")) == "and on\n"
        witness = []
        while not witness or witness[-1]["content"].get("execution_state") != "idle":
            m = other.receive()
            witness += [m] if m["parent_header"].get("msg_id") == msg_id else []
    assert outputs_of(seen + got) == outputs_of(witness)
    assert outputs_of(got)[0] == "before\n" and outputs_of(got)[2] == "between\nafter\n"
    reply = reply_of(got)
    assert reply["status"] == ("error" if ends == "1/0" else "ok") and reply.get("ename") == ("ZeroDivisionError" if ends == "1/0" else None)


def test_output_that_comes_while_a_client_is_away_waits_in_the_store(service: Service, api: httpx.Client) -> None:
    """More than is ever held in memory for a client: it comes at the client's own speed, in order."""
    kernel, session = new_kernel(api), uuid.uuid4().hex
    with Channels(service, kernel, session=session) as first:
        msg_id = first.execute("import time\nfor i in range(30000): print(i, 'x' * 100, flush=i % 100 == 0)\nprint('end')")
        while first.receive()["msg_type"] != "stream":
            pass
    with Channels(service, kernel, session=session) as second:
        text = text_of(second.until_idle(msg_id, 60))
    assert text == "".join(f"{i} {'x' * 100}\n" for i in range(30000)) + "end\n"


ODD = [
    "not json",
    "[]",
    "{}",
    '{"header":{"msg_id":"a","msg_type":"x"},"channel":"hb"}',
    '{"header":{"msg_id":"a"}}',
    b"",
    b"\x00\x00\x00\x05",
    b"\xff" * 64,
    struct.pack(">2I", 1, 8) + b"{",
]


@pytest.mark.parametrize("v1", [False, True])
def test_nonsense_is_passed_over(service: Service, api: httpx.Client, v1: bool) -> None:
    with Channels(service, new_kernel(api), v1=v1) as c:
        for frame in ODD:
            c.ws.send(frame)
        assert text_of(c.run("print('still here')")) == "still here\n"


def test_smolagents_shape_of_a_message(service: Service, api: httpx.Client) -> None:
    with Channels(service, new_kernel(api)) as c:
        odd = {"header": {"msg_id": "odd-1", "msg_type": "execute_request", "username": "", "session": "x", "version": "5.0"}, "parent_header": {}, "metadata": {}, "buffers": {}, "content": {"code": "print('odd')"}}
        c.ws.send(json.dumps(odd))
        assert text_of(c.until_idle("odd-1")) == "odd\n"


def test_a_client_that_does_not_read_holds_nobody_up(service: Service, api: httpx.Client) -> None:
    kernel = new_kernel(api)
    with Channels(service, kernel) as stalled, Channels(service, kernel) as quick:
        code = "from IPython.display import display\nfor i in range(120): display({'text/plain': 'x' * 1_000_000}, raw=True)"
        got = quick.run(code, timeout=60)
        assert len([m for m in got if m["msg_type"] == "display_data"]) == 120
        assert stalled.run("print('later')", timeout=60)


def test_sessions_and_kernel_ids_survive_the_hub(service: Service, api: httpx.Client) -> None:
    session = api.post("/api/sessions", json={"path": "stays.ipynb", "type": "notebook", "kernel": {"name": "python3"}}).json()
    client = uuid.uuid4().hex
    with Channels(service, session["kernel"]["id"], session=client) as c:
        c.run("kept = 5")
        running = c.execute("import time; time.sleep(3); print('after', kept)")
        while c.receive()["msg_type"] != "execute_input":
            pass
        kill(service.pid_of("hub"))
    deadline = time.monotonic() + 30
    while True:
        try:
            found = api.get(f"/api/sessions/{session['id']}")
            if found.status_code == 200 and found.json()["kernel"]["id"] == session["kernel"]["id"]:
                break
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert found.json()["path"] == "stays.ipynb"
    with Channels(service, session["kernel"]["id"], session=client) as c:
        got = c.until_idle(running)
        assert text_of(got) == "after 5\n"
        assert text_of(c.run("print(kept)")) == "5\n"


def test_a_kernel_that_dies_at_its_start_is_an_error_that_says_why(make_service: Any) -> None:
    small = make_service("limits/memory_bytes=32M")
    with small.client() as client:
        began = time.monotonic()
        answer = client.post("/api/kernels", json={"name": "python3"})
        assert answer.status_code == 502 and "died while starting" in answer.json()["message"], answer.text
        assert time.monotonic() - began < 10
        assert client.get("/api/kernels").json() == []
        session = client.post("/api/sessions", json={"path": "x.ipynb", "type": "notebook", "kernel": {"name": "python3"}})
        assert session.status_code == 502 and client.get("/api/sessions").json() == []
