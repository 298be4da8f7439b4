"""What ipykernel 7 has beyond cells, as JupyterLab uses it: the debugger, usage, subshells, the welcome on iopub."""

from __future__ import annotations

import time
from typing import Any

import httpx
from conftest import Service, kill, wait_until
from test_jupyter import Channels, new_kernel, reply_of, text_of
from test_jupyter import api as api  # a fixture

CELL = "total = 0\nfor i in range(3):\n    total += i\nprint('total', total)"


class Debugger:
    """The Debug Adapter Protocol in debug_request on control; what happens by itself comes on iopub as debug_event."""

    def __init__(self, channels: Channels) -> None:
        self.channels = channels
        self.seq = 0
        self.events: list[dict[str, Any]] = []
        self.others: list[dict[str, Any]] = []

    def receive(self) -> dict[str, Any]:
        m = self.channels.receive()
        (self.events if m["msg_type"] == "debug_event" else self.others).append(m["content"] if m["msg_type"] == "debug_event" else m)
        return m

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        self.seq += 1
        asked = self.channels.send("debug_request", {"type": "request", "seq": self.seq, "command": command, "arguments": arguments}, channel="control")
        while (m := self.receive())["msg_type"] != "debug_reply" or m["parent_header"]["msg_id"] != asked:
            pass
        assert m["channel"] == "control" and m["content"]["success"], m["content"]
        return dict(m["content"].get("body") or {})

    def until_idle(self, msg_id: str) -> list[dict[str, Any]]:
        while True:
            got = [m for m in self.others if m["parent_header"].get("msg_id") == msg_id]
            if any(m["msg_type"] == "execute_reply" for m in got) and any(m["content"].get("execution_state") == "idle" for m in got):
                return got
            self.receive()

    def event(self, name: str) -> dict[str, Any]:
        while not any(e["event"] == name for e in self.events):
            self.receive()
        (found, *_) = [e for e in self.events if e["event"] == name]
        self.events.remove(found)
        return dict(found.get("body") or {})


def test_a_breakpoint_is_hit(service: Service, api: httpx.Client) -> None:
    spec = api.get("/api/kernelspecs/python3").json()["spec"]
    assert spec["metadata"]["debugger"] is True  # else JupyterLab shows no bug
    with Channels(service, new_kernel(api), v1=True) as c:
        info = [m["content"] for m in c.until_idle(c.send("kernel_info_request", {})) if m["msg_type"] == "kernel_info_reply"]
        assert "debugger" in info[0]["supported_features"]
        d = Debugger(c)
        assert d.ask("initialize", clientID="test", adapterID="", pathFormat="path", linesStartAt1=True, columnsStartAt1=True)
        d.ask("attach")
        d.event("initialized")
        source = d.ask("dumpCell", code=CELL)["sourcePath"]
        (set_there,) = d.ask("setBreakpoints", source={"path": source}, breakpoints=[{"line": 3}], sourceModified=False)["breakpoints"]
        assert set_there["verified"]
        d.ask("configurationDone")
        cell = c.execute(CELL)
        stopped = d.event("stopped")
        assert stopped["reason"] == "breakpoint"
        frames = d.ask("stackTrace", threadId=stopped["threadId"])["stackFrames"]
        assert frames[0]["line"] == 3 and frames[0]["source"]["path"] == source
        variables = {v["name"]: v["value"] for v in d.ask("inspectVariables")["variables"]}
        assert variables["total"] == "0" and variables["i"] == "0"
        d.ask("setBreakpoints", source={"path": source}, breakpoints=[], sourceModified=False)
        d.ask("continue", threadId=stopped["threadId"])
        got = d.until_idle(cell)
        assert text_of(got) == "total 3\n" and reply_of(got)["status"] == "ok"
        d.ask("disconnect", restart=False, terminateDebuggee=False)
        assert text_of(c.run("print('goes on')")) == "goes on\n"


def control(c: Channels, msg_type: str, content: dict[str, Any] | None = None) -> dict[str, Any]:
    asked = c.send(msg_type, content or {}, channel="control")
    while (m := c.receive())["msg_type"] != msg_type.replace("_request", "_reply") or m["parent_header"]["msg_id"] != asked:
        pass
    assert m["channel"] == "control"
    return dict(m["content"])


def test_usage_is_told_while_a_cell_runs(service: Service, api: httpx.Client) -> None:
    with Channels(service, new_kernel(api), v1=True) as c:
        running = c.execute("import time; time.sleep(1)")
        usage = control(c, "usage_request")
        assert usage["kernel_memory"] > 10_000_000 and usage["pid"] > 0
        assert reply_of(c.until_idle(running))["status"] == "ok"


def test_a_subshell_runs_code_beside_a_cell(service: Service, api: httpx.Client) -> None:
    with Channels(service, new_kernel(api)) as c:
        c.run("x = 1")
        subshell = control(c, "create_subshell_request")["subshell_id"]
        assert control(c, "list_subshell_request")["subshell_id"] == [subshell]
        running = c.execute("import time\nwhile x == 1: time.sleep(0.05)\nprint('ended by', x)")
        while c.receive()["msg_type"] != "execute_input":
            pass
        wanted = {"code": "x = 2; print('beside')", "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False, "stop_on_error": True}
        beside = c.send("execute_request", wanted, subshell_id=subshell)
        got: list[dict[str, Any]] = []
        until = time.monotonic() + 20
        while {m["parent_header"]["msg_id"] for m in got if m["msg_type"] == "execute_reply"} != {running, beside}:
            assert time.monotonic() < until
            got.append(c.receive())
        (reply,) = [m for m in got if m["msg_type"] == "execute_reply" and m["parent_header"]["msg_id"] == beside]
        assert reply["content"]["status"] == "ok" and reply["parent_header"]["subshell_id"] == subshell
        assert control(c, "delete_subshell_request", {"subshell_id": subshell})["status"] == "ok"
        assert text_of(c.run("print('x is', x)")).endswith("x is 2\n")


WELCOME = "k = get_ipython().kernel; k.session.send(k.iopub_socket, 'iopub_welcome', {'subscription': 'mine'}, parent={}); print('welcome')"


def welcomed(c: Channels) -> None:
    m = c.receive()
    assert (m["channel"], m["msg_type"], m["content"], m["parent_header"]) == ("iopub", "iopub_welcome", {"subscription": ""}, {})
    assert m["header"]["msg_id"] and m["metadata"] == {}


def test_who_opens_the_channels_is_welcomed_first(service: Service, api: httpx.Client) -> None:
    kernel = new_kernel(api)
    before = api.get(f"/api/kernels/{kernel}").json()["last_activity"]
    with Channels(service, kernel, v1=True) as c, Channels(service, kernel, session="other") as other:
        welcomed(c)
        welcomed(other)
        assert api.get(f"/api/kernels/{kernel}").json()["last_activity"] == before
        c.execute(WELCOME)  # what user code says of that kind is the warden's
        last = c.execute("print('goes on')")
        seen = [c.receive()]
        while seen[-1]["parent_header"].get("msg_id") != last or seen[-1]["msg_type"] != "execute_reply":
            seen.append(c.receive())
        assert text_of(seen) == "welcome\ngoes on\n" and not [m for m in seen if m["msg_type"] == "iopub_welcome"]


def test_the_next_process_of_a_kernel_welcomes_again(service: Service, api: httpx.Client) -> None:
    kernel = new_kernel(api)
    with Channels(service, kernel) as c:
        welcomed(c)
        assert api.post(f"/api/kernels/{kernel}/restart").status_code == 200
        welcomed(c)
        got = c.run("print('once')")
        assert text_of(got) == "once\n"
    with Channels(service, kernel) as c:
        welcomed(c)
        asked = c.send("kernel_info_request", {})
        assert c.receive()["parent_header"]["msg_id"] == asked  # once is enough


def test_a_service_that_was_killed_still_knows_who_is_welcomed(service: Service, api: httpx.Client) -> None:
    kernel = new_kernel(api)
    hub = service.pid_of("hub")
    kill(hub)
    wait_until(lambda: is_idle(api, kernel), 30)
    with Channels(service, kernel) as c:
        assert service.pid_of("hub") != hub
        welcomed(c)


def is_idle(api: httpx.Client, kernel: str) -> bool:
    try:
        return bool(api.get(f"/api/kernels/{kernel}").json()["execution_state"] == "idle")
    except httpx.HTTPError:
        return False
