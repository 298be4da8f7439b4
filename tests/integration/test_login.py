"""A browser's login at the real service: by the form, with the cookie over HTTP and a WebSocket, until the key is revoked."""

from __future__ import annotations

import json

import httpx
import pytest
from conftest import Service
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect


def test_a_browser_logs_in_and_is_out_when_its_key_is_revoked(service: Service) -> None:
    with service.client() as admin:
        made = admin.post("/api/v1/admin/keys", json={"name": "browser"}).json()
    with httpx.Client(base_url=service.url, headers={"Origin": service.url}) as browser:
        page = browser.get("/login?next=/api/kernels")
        assert page.status_code == 200 and 'method="post"' in page.text and not browser.cookies
        assert browser.post("/login", data={"password": made["key"][:-1] + "g"}).status_code == 403
        done = browser.post("/login?next=/api/kernels", data={"password": made["key"], "_xsrf": ""})
        assert (done.status_code, done.headers["Location"]) == (302, "/api/kernels")
        cookie = f"kernelhub={browser.cookies['kernelhub']}"
        assert made["key"] not in cookie and browser.get("/api/kernels").json() == []
        kernel = browser.post("/api/kernels", json={"name": "python3"}).json()["id"]

        def channels(origin: str | None) -> object:
            url = f"ws://127.0.0.1:{service.port}/api/kernels/{kernel}/channels"
            return connect(url, origin=origin, additional_headers={"Cookie": cookie}, proxy=None)  # type: ignore[arg-type]

        for strange in (None, "https://evil.example"):
            with pytest.raises(InvalidStatus, match="403"):
                channels(strange)
        with channels(service.url) as ws:  # type: ignore[attr-defined]
            header = {"msg_id": "m", "msg_type": "kernel_info_request", "username": "", "session": "s", "date": "", "version": "5.4"}
            message = json.dumps({"header": header, "parent_header": {}, "metadata": {}, "content": {}, "channel": "shell"})
            ws.send(message)
            while json.loads(ws.recv(30))["msg_type"] != "kernel_info_reply":
                pass
            with service.client() as admin:
                assert admin.delete(f"/api/v1/admin/keys/{made['id']}").status_code == 204
            assert browser.get("/api/kernels").status_code == 403
            assert browser.post("/api/kernels", json={}).status_code == 403
            with pytest.raises(InvalidStatus, match="403"):
                channels(service.url)
            with pytest.raises(ConnectionClosed, match="1008.*the key was revoked"):
                ws.send(message)
                while True:
                    ws.recv(30)
        assert browser.post("/login", data={"password": made["key"]}).status_code == 403
    with service.client() as admin:
        assert admin.delete(f"/api/kernels/{kernel}").status_code == 204
    log = service.log.read_text()
    assert made["key"] not in log and cookie[10:40] not in log
