"""The traffic of VS Code's "Existing Jupyter Server" (its Jupyter extension of 2026-07, as its source has it). VS Code itself is not here."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
from conftest import Service
from test_jupyter import Channels, reply_of, text_of
from test_jupyter import api as api  # a fixture


def needs_password(server: httpx.Client) -> bool:
    """Asked without the token, before it shows the server's kernels; a password is asked for in a box."""
    hub = server.get("/hub/api")
    assert not (hub.status_code == 200 and "version" in hub.json()), "it would take us for a JupyterHub"
    final = str(server.get("/", follow_redirects=True).url)
    if "/login?" in final:
        return True
    return "/lab?" not in final and server.get("/tree?").status_code not in (200, 404)


def test_vs_code_asks_for_no_password_and_runs_a_notebook(service: Service, api: httpx.Client) -> None:
    with httpx.Client(base_url=service.url, headers={"Connection": "keep-alive"}) as bare:
        assert not needs_password(bare)
    with httpx.Client(base_url=service.url, headers={"Authorization": f"token {service.key}", "Cache-Control": "no-cache"}) as http:
        # it is validated with both; a list of what can be chosen is made of them and of the sessions
        assert http.get("/api/kernels?1795247637651").json() == [] and http.get("/api/sessions?1795247637652").json() == []
        specs = http.get("/api/kernelspecs?1795247637653").json()
        assert specs["kernelspecs"][specs["default"]]["spec"]["language"] == "python"

        name = f"work-jvsc-{uuid.uuid4()}{uuid.uuid4()}.ipynb"
        wish = {"path": name, "name": f"work-{uuid.uuid4()}.ipynb", "type": "notebook", "kernel": {"name": specs["default"]}}
        started = http.post("/api/sessions", json=wish)
        session = started.json()
        assert started.status_code == 201 and session["path"] == name and session["notebook"]["path"] == name
        kernel = session["kernel"]["id"]
        assert [s["id"] for s in http.get("/api/sessions").json()] == [session["id"]]

        with Channels(service, kernel, session=str(uuid.uuid4()), v1=True, headers={"Authorization": f"token {service.key}"}) as c:
            first = c.until_idle(c.send("kernel_info_request", {}))
            assert first[-1]["content"].get("execution_state") == "idle" or any(m["msg_type"] == "kernel_info_reply" for m in first)
            assert c.ws.ping().wait(5)  # each 30 s
            # it asks for what is there before and after each cell, silently; that is nobody's history
            c.until_idle(c.send("execute_request", {"code": "import sys", "silent": True, "store_history": False, "user_expressions": {}, "allow_stdin": False, "stop_on_error": True}))
            assert text_of(c.run("print('from a notebook')", allow_stdin=True)) == "from a notebook\n"
            assert [r["code"] for r in api.get("/api/v1/executions", params={"session": name}).json()["items"]] == ["print('from a notebook')"]
            running = c.execute("import time; print('on', flush=True); time.sleep(60)")
            while c.receive()["msg_type"] != "stream":
                pass
            assert http.post(f"/api/kernels/{kernel}/interrupt").status_code == 204
            assert reply_of(c.until_idle(running))["ename"] == "KeyboardInterrupt"
            assert http.post(f"/api/kernels/{kernel}/restart").status_code == 200
            assert reply_of(c.run("sys"))["ename"] == "NameError"
        assert http.delete(f"/api/sessions/{session['id']}").status_code == 204
        assert http.get(f"/api/kernels/{kernel}").status_code == 404


def test_vs_code_comes_back_to_a_kernel_that_runs(service: Service, api: httpx.Client) -> None:
    """"Existing" kernels are listed by their sessions; whoever chooses one connects to its kernel with a session_id of its own."""
    made: dict[str, Any] = api.post("/api/sessions", json={"path": "a.ipynb", "name": "a.ipynb", "type": "notebook", "kernel": {"name": "python3"}}).json()
    with Channels(service, made["kernel"]["id"], session="one", v1=True) as c:
        c.run("kept = 7")
    (listed,) = api.get("/api/sessions").json()
    assert listed["kernel"]["connections"] == 0 and listed["kernel"]["last_activity"].endswith("Z")
    with Channels(service, listed["kernel"]["id"], session="two", v1=True) as c:
        assert text_of(c.run("print(kept)")) == "7\n"
