"""Server-sent events from bytes. Pure: any split of the bytes gives the same messages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .errors import ProtocolError

# Events carry at most 256 KiB per MIME type; text is bounded by the service's output limit.
MAX_MESSAGE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class SseMessage:
    """One message: its data, and the id in force when it came."""

    data: str
    id: str = ""


class RecordStream:
    """JSON objects that come as messages without numbers."""

    def __init__(self) -> None:
        self._parser = SseParser()

    def fed(self, chunk: bytes) -> list[dict[str, Any]]:
        records = []
        for message in self._parser.feed(chunk):
            try:
                record = json.loads(message.data)
            except ValueError:
                record = None
            if not isinstance(record, dict):
                raise ProtocolError(f"a record that is no JSON object: {message.data[:80]!r}")
            records.append(record)
        return records


class SseParser:
    """Takes a stream's bytes as they come, gives the messages that they complete."""

    def __init__(self, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._max = max_message_bytes
        self._line: list[bytes] = []  # pieces of the unfinished line
        self._data: list[str] = []  # data lines of the unfinished message
        self._size = 0  # bytes in both
        self._id = ""
        self._skip_lf = False  # the last chunk ended in CR: an LF that follows belongs to it
        self._first_line = True

    def feed(self, chunk: bytes) -> list[SseMessage]:
        messages: list[SseMessage] = []
        if not chunk:
            return messages
        if self._skip_lf and chunk[:1] == b"\n":
            chunk = chunk[1:]
        self._skip_lf = chunk[-1:] == b"\r"
        for piece in chunk.splitlines(keepends=True):  # of bytes: at CR, LF and CRLF only
            self._size += len(piece)
            if self._size > self._max:
                raise ProtocolError(f"an event of more than {self._max} bytes")
            self._line.append(piece)
            if piece[-1:] in (b"\n", b"\r"):
                self._end_line(messages)
        return messages

    def _end_line(self, messages: list[SseMessage]) -> None:
        line = b"".join(self._line).rstrip(b"\r\n").decode("utf-8", "replace")
        self._line.clear()
        if self._first_line:
            self._first_line = False
            line = line.removeprefix("\ufeff")
        if not line:
            if self._data:
                messages.append(SseMessage("\n".join(self._data), self._id))
                self._data.clear()
            self._size = 0
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        # A line that begins with a colon is a comment; other names say nothing to us.
