"""A WebSocket client that can also break the rules: frames are made by hand."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import struct
from typing import Any

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
KEY = base64.b64encode(bytes(range(16))).decode()
ACCEPT = base64.b64encode(hashlib.sha1((KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
PATH = "/api/v1/stream"


class Closed(Exception):
    """The server closed: its code (1005: none, 1006: no close frame) and reason."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


def frame(opcode: int, payload: bytes = b"", fin: bool = True, rsv: int = 0, masked: bool = True, length: int | None = None) -> bytes:
    n = len(payload) if length is None else length
    head = bytes([fin << 7 | rsv << 4 | opcode])
    bit = 0x80 if masked else 0
    if n < 126:
        head += bytes([bit | n])
    elif n < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", n)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", n)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    key = int.from_bytes((mask * (len(payload) // 4 + 1))[: len(payload)], "little")
    return head + mask + (int.from_bytes(payload, "little") ^ key).to_bytes(len(payload), "little")


def request(path: str = PATH, key: str | None = "kh_admin", **changes: str | None) -> bytes:
    fields: dict[str, str | None] = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "keep-alive, Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": KEY,
        "Authorization": f"Bearer {key}" if key else None,
    }
    fields |= {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [f"{name}: {value}\r\n" for name, value in fields.items() if value is not None]
    return f"GET {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode()


class Client:
    def __init__(self, port: int, first: bytes = b"", receive_bytes: int | None = None, **how: Any) -> None:
        """`first` goes out in one write with the request, before its reply is known."""
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(30)
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(request(**how) + first)
        self.bytes = b""
        self.pings: list[bytes] = []
        self.answers_pings = True
        while b"\r\n\r\n" not in self.bytes:
            self._more()
        head, self.bytes = self.bytes.split(b"\r\n\r\n", 1)
        self.head = head.decode()
        assert self.head.startswith("HTTP/1.1 101 "), self.head
        assert f"sec-websocket-accept: {ACCEPT.lower()}" in self.head.lower()

    def _more(self) -> None:
        piece = self.socket.recv(1 << 20)
        if not piece:
            raise Closed(1006)
        self.bytes += piece

    def _take(self, n: int) -> bytes:
        while len(self.bytes) < n:
            self._more()
        taken, self.bytes = self.bytes[:n], self.bytes[n:]
        return taken

    def receive_frame(self) -> tuple[int, bytes]:
        first, n = self._take(2)
        assert first & 0x80, "the server never fragments"
        assert not first & 0x70, "no extension was agreed"
        assert not n & 0x80, "a server does not mask"
        if n == 126:
            (n,) = struct.unpack(">H", self._take(2))
        elif n == 127:
            (n,) = struct.unpack(">Q", self._take(8))
        return first & 15, self._take(n)

    def receive(self) -> Any:
        """The next message; answers pings on the way."""
        while True:
            opcode, payload = self.receive_frame()
            if opcode == TEXT:
                text = payload.decode()
                assert "\n" not in text
                return json.loads(text)
            if opcode == PING:
                self.pings.append(payload)
                if self.answers_pings:
                    self.frame(PONG, payload)
            elif opcode == CLOSE:
                code = struct.unpack(">H", payload[:2])[0] if payload else 1005
                raise Closed(code, payload[2:].decode())
            else:
                assert opcode == PONG

    def until(self, type_: str, id_: Any = None) -> list[Any]:
        """Messages up to and with the first of that type (and id)."""
        seen = []
        while True:
            seen.append(self.receive())
            if seen[-1]["type"] == type_ and (id_ is None or seen[-1]["id"] == id_):
                return seen

    def closed(self) -> Closed:
        """How the server closes, after whatever it still says."""
        try:
            while True:
                self.receive()
        except Closed as end:
            return end

    def frame(self, opcode: int, payload: bytes = b"", **how: Any) -> None:
        self.socket.sendall(frame(opcode, payload, **how))

    def raw(self, data: bytes) -> None:
        self.socket.sendall(data)

    def say(self, op: str, id_: Any = 1, **fields: Any) -> None:
        self.frame(TEXT, json.dumps({"op": op, "id": id_, **fields}).encode())

    def close(self) -> None:
        self.socket.close()
