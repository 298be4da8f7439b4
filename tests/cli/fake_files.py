"""A service with files in memory, which cuts connections and refuses where a test wants it to."""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from loopback import Loopback

ROOT = "/api/v1/files"


class FakeFiles(Loopback):
    """files    path → bytes; None: a folder
    requests  (method, path, query, headers) of each
    cuts      how many bytes of a body the next downloads give before they break off
    refusals  (status, error code) of the next requests
    limit     of the bytes
    slow      seconds between the pieces of a download
    version   of all files: a part of their ETag
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes | None] = {}
        self.requests: list[tuple[str, str, dict[str, str], dict[str, str]]] = []
        self.cuts: list[int] = []
        self.refusals: list[tuple[int, str]] = []
        self.slow = 0.0
        self.limit = 10**10
        self.version = 1
        self.n_connections = 0
        super().__init__()

    def connected(self, handler: BaseHTTPRequestHandler) -> None:
        self.n_connections += 1

    def body(self, handler: BaseHTTPRequestHandler) -> bytes:
        if handler.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(handler.rfile.readline(), 16):
                parts.append(handler.rfile.read(size))
                handler.rfile.readline()
            handler.rfile.readline()
            return b"".join(parts)
        return handler.rfile.read(int(handler.headers.get("Content-Length") or 0))

    def item(self, path: str) -> dict[str, Any]:
        data = self.files[path]
        folder = data is None
        return {
            "name": path.rpartition("/")[2], "path": path, "type": "directory" if folder else "file",
            "size_bytes": None if data is None else len(data), "modified_at": "2026-11-22T08:00:00.000000Z",
        }  # fmt: skip

    def send(self, handler: BaseHTTPRequestHandler, status: int, value: Any) -> None:
        data = b"" if value is None else json.dumps(value).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def refuse(self, handler: BaseHTTPRequestHandler, status: int, code: str) -> None:
        self.send(handler, status, {"error": {"code": code, "message": f"it is {code}", "hint": None}})

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        url = urlsplit(handler.path)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.requests.append((handler.command, handler.path.partition("?")[0], query, headers))
        body = self.body(handler)
        path = unquote(url.path[len(ROOT) + 1 :])
        if self.refusals:
            self.refuse(handler, *self.refusals.pop(0))
        elif handler.command == "PUT":
            status = 200 if path in self.files else 201
            if status == 200 and headers.get("if-none-match") == "*":
                self.refuse(handler, 412, "precondition_failed")
                return
            self.files[path] = body
            self.send(handler, status, self.item(path))
        elif handler.command == "POST" and path == "mkdir":
            made = json.loads(body)["path"]
            if made in self.files:
                self.refuse(handler, 409, "conflict")
                return
            self.files[made] = None
            self.send(handler, 201, self.item(made))
        elif "archive" in query:
            self.give(handler, query["archive"].encode() + b" of " + path.encode(), "")
        elif path == "":
            self.list(handler, query)
        elif path not in self.files:
            self.refuse(handler, 404, "not_found")
        elif handler.command == "DELETE":
            del self.files[path]
            self.send(handler, 204, None)
        else:
            self.give(handler, self.files[path] or b"", headers.get("range", ""), headers.get("if-range"))

    def list(self, handler: BaseHTTPRequestHandler, query: dict[str, str]) -> None:
        if "usage" in query:
            self.send(handler, 200, {"used": 1_500_000, "limit": self.limit, "files": len(self.files), "files_limit": 100, "unseen_folders": 0})
            return
        paths, after = sorted(self.files), int(query.get("cursor", 0))
        page = paths[after : after + 2]
        following = str(after + 2) if after + 2 < len(paths) else None
        self.send(handler, 200, {"items": [self.item(path) for path in page], "next": following})

    def give(self, handler: BaseHTTPRequestHandler, data: bytes, wanted: str, if_range: str | None = None) -> None:
        etag = f'"v{self.version}"'
        first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and if_range == etag else 0
        handler.send_response(206 if first else 200)
        if first:
            handler.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        handler.send_header("ETag", etag)
        rest = data[first:]
        handler.send_header("Content-Length", str(len(rest)))
        handler.end_headers()
        cut = self.cuts.pop(0) if self.cuts else None
        part = rest if cut is None else rest[:cut]
        for at in range(0, len(part), 65536):
            handler.wfile.write(part[at : at + 65536])
            if self.slow:
                handler.wfile.flush()
                time.sleep(self.slow)
        if cut is not None:
            handler.wfile.flush()
            handler.close_connection = True
            handler.connection.shutdown(2)
