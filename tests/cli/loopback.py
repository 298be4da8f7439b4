"""A web server on a free port of loopback, for services that say what a test tells them to."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


class Loopback:
    """Each request goes to answer(), in a thread of its own, and each new connection to connected()."""

    def __init__(self, port: int = 0) -> None:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                service.connected(self)

            def answer(self) -> None:
                service.answer(self)

            do_GET = do_PUT = do_POST = do_DELETE = answer

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def connected(self, handler: BaseHTTPRequestHandler) -> None:
        pass

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
