"""A receiver of callbacks on loopback: keeps what came, and answers as it is told."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Call:
    def __init__(self, path: str, headers: dict[str, str], body: bytes) -> None:
        self.path = path
        self.headers = headers
        self.body = body
        self.at = time.monotonic()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def is_signed_with(self, secret: str) -> bool:
        """As Standard Webhooks says: HMAC-SHA256 of ID.TIMESTAMP.BODY."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        text = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        wanted = "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
        return wanted in self.headers["webhook-signature"].split(" ")


class Receiver:
    """Answers with the statuses of `answers` one after the other, then with 204. A status may be (status, headers); "slow" holds
    the call for `hold_seconds`, "cut" answers nothing."""

    def __init__(self, *answers: Any, host: str = "127.0.0.1", hold_seconds: float = 5) -> None:
        self.calls: list[Call] = []
        self.answers = list(answers)
        self.hold_seconds = hold_seconds
        self.let_go = threading.Event()
        self.lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver.lock:
                    receiver.calls.append(Call(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                    answer = receiver.answers.pop(0) if receiver.answers else 204
                if answer == "slow":
                    receiver.let_go.wait(receiver.hold_seconds)
                    answer = 204
                if answer == "cut":
                    self.close_connection = True
                    return
                status, headers = answer if isinstance(answer, tuple) else (answer, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer((host, 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        self.url = f"http://{host}:{self.port}/hook?token=hush"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def wait(self, n: int, seconds: float = 20) -> list[Call]:
        end = time.monotonic() + seconds
        while len(self.calls) < n:
            assert time.monotonic() < end, f"{len(self.calls)} calls came, not {n}"
            time.sleep(0.02)
        return self.calls

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)
