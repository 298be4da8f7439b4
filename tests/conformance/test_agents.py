"""What AutoGen (autogen-ext 0.7, 0.2) and smolagents (1.26) send and what they make of it, message by message, with the libraries that they use:
they themselves are too large for each run, tests/lab has them."""

from __future__ import annotations

import asyncio
import datetime
import json
import uuid
from contextlib import closing
from typing import Any

import httpx
import pytest
import websocket
import websockets

MIB = 1 << 20


class AutoGen:
    """autogen_ext.code_executors.docker_jupyter: one connection, ten seconds for its 101, frames up to 1 MiB."""

    def __init__(self, service: Any) -> None:
        self.service = service
        self.headers = {"Authorization": f"token {service.key}"}
        self.session = uuid.uuid4().hex

    async def __aenter__(self) -> AutoGen:
        with httpx.Client(base_url=self.service.url, headers=self.headers) as http:
            assert "python3" in http.get("/api/kernelspecs").json()["kernelspecs"]
            self.kernel = http.post("/api/kernels", json={"name": "python3"}).json()["id"]
        await self.connect()
        return self

    async def connect(self) -> None:
        self.ws = await websockets.connect(f"ws://127.0.0.1:{self.service.port}/api/kernels/{self.kernel}/channels", additional_headers=self.headers)

    async def ready(self) -> None:
        asked = await self.send("kernel_info_request", {})
        while (m := await self.receive())["msg_type"] != "kernel_info_reply" or m["parent_header"]["msg_id"] != asked:
            pass

    async def __aexit__(self, *exc: object) -> None:
        httpx.delete(f"{self.service.url}/api/kernels/{self.kernel}", headers=self.headers).raise_for_status()
        await self.ws.close()

    async def restart(self) -> None:
        httpx.post(f"{self.service.url}/api/kernels/{self.kernel}/restart", headers=self.headers).raise_for_status()
        await self.ws.close()
        await self.connect()

    async def send(self, msg_type: str, content: dict[str, Any]) -> str:
        header = {"username": "autogen", "version": "5.0", "session": self.session, "msg_id": uuid.uuid4().hex, "msg_type": msg_type, "date": datetime.datetime.now().isoformat()}
        await self.ws.send(json.dumps({"header": header, "parent_header": {}, "channel": "shell", "content": content, "metadata": {}, "buffers": {}}))
        return header["msg_id"]

    async def receive(self) -> dict[str, Any]:
        data = await asyncio.wait_for(self.ws.recv(), timeout=60)
        return dict(json.loads(data.decode("utf-8") if isinstance(data, bytes) else data))

    async def execute(self, code: str) -> tuple[bool, str, list[str]]:
        """Whether it went well, what it said, images."""
        await self.ready()
        asked = await self.send("execute_request", {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False, "stop_on_error": True})
        texts: list[str] = []
        images: list[str] = []
        while True:
            m = await self.receive()
            if m.get("parent_header", {}).get("msg_id") != asked:
                continue
            content = m["content"]
            if m["msg_type"] in ("execute_result", "display_data"):
                texts += [d for t, d in content["data"].items() if t == "text/plain"]
                images += [d for t, d in content["data"].items() if t.startswith("image/")]
            elif m["msg_type"] == "stream":
                texts.append(content["text"])
            elif m["msg_type"] == "error":
                return False, f"{content['ename']}: {content['evalue']}", []
            if m["msg_type"] == "status" and content["execution_state"] == "idle":
                return True, "\n".join(texts), images


IMAGE = "from IPython.display import Image, display\ndisplay(Image(b'\\x89PNG\\r\\n\\x1a\\n' + bytes(%d), format='png'))"
COMM = "from comm import create_comm\nc = create_comm('x', data={'buffer_paths': [['a']]}, buffers=[b'\\xff'])\nprint('still')"


def test_autogen(service: Any) -> None:
    async def main() -> None:
        async with AutoGen(service) as a:
            assert await a.execute("x = 41") == (True, "", [])
            assert await a.execute("print('hello'); x + 1") == (True, "hello\n\n42", [])
            assert (await a.execute("print('before'); 1/0"))[:2] == (False, "ZeroDivisionError: division by zero")
            assert len((await a.execute(IMAGE % 1000))[2]) == 1
            ok, said, images = await a.execute(IMAGE % MIB)
            assert ok and images == [] and "image/png" in said and "GET /api/v1/executions/" in said
            ok, said, _ = await a.execute("print('y' * 3_000_000)")
            assert ok and said.count("y") == 3_000_000
            ok, said, _ = await a.execute(COMM)
            assert ok and "still\n" in said
            await a.restart()
            assert (await a.execute("x"))[1].startswith("NameError")

    asyncio.run(main())


class Smolagents:
    """smolagents.remote_executors: POST without a body, a connection for each piece of code, no channel, no date, a new session each time."""

    def __init__(self, service: Any) -> None:
        token = f"?token={service.key}"
        assert httpx.get(f"{service.url}/api/kernelspecs{token}").status_code == 200
        started = httpx.post(f"{service.url}/api/kernels{token}")
        assert started.status_code == 201
        self.url = f"ws://127.0.0.1:{service.port}/api/kernels/{started.json()['id']}/channels{token}"

    def __call__(self, code: str) -> tuple[str | None, str]:
        """The result's text and what was printed."""
        with closing(websocket.create_connection(self.url)) as ws:
            msg_id = str(uuid.uuid4())
            header = {"msg_id": msg_id, "username": "anonymous", "session": str(uuid.uuid4()), "msg_type": "execute_request", "version": "5.0"}
            content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
            ws.send(json.dumps({"header": header, "parent_header": {}, "metadata": {}, "content": content}))
            result, logs = None, ""
            while True:
                m = json.loads(ws.recv())
                if m.get("parent_header", {}).get("msg_id") != msg_id:
                    continue
                content = m.get("content", {})
                if m.get("msg_type", "") == "stream":
                    logs += content["text"]
                elif m.get("msg_type", "") == "execute_result":
                    result = content["data"].get("text/plain", None)
                elif m.get("msg_type", "") == "error":
                    raise RuntimeError("\n".join(content.get("traceback", [])))
                elif m.get("msg_type", "") == "status" and content["execution_state"] == "idle":
                    return result, logs


def test_smolagents(service: Any) -> None:
    run = Smolagents(service)
    assert run("x = 41\nprint('hello')\nx + 1") == ("42", "hello\n")
    assert run("print(x)") == (None, "41\n")
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        run("1/0")
    assert "still\n" in run(COMM)[1]
    assert run(IMAGE % 2_000_000 + "\nx") == ("41", "")
    assert [run(f"{i}")[0] for i in range(10)] == [str(i) for i in range(10)]
