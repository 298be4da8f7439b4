"""One numbered event of an execution or of a session's feed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from . import _json


@dataclass(frozen=True)
class Event:
    """What happened, with its number. Fields that an event's type does not have are empty.

    seq   counts from 1 without holes; give it as `after` to go on behind this event
    type  queued, started, stdout, stderr, display, result, clear_output, input_request, error,
          files_changed, gap, finished; in a session's feed kernel_status, restarted, late
    raw   the whole record
    """

    seq: int
    type: str
    execution_id: str = ""
    session: str = ""
    kernel_id: str = ""
    ts: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, raw: _json.Json) -> Event:
        return cls(
            seq=_json.integer(raw, "seq"),
            type=_json.text(raw, "type"),
            execution_id=_json.text(raw, "execution_id"),
            session=_json.text(raw, "session"),
            kernel_id=_json.text(raw, "kernel_id"),
            ts=_json.text(raw, "ts"),
            raw=raw,
        )

    def __getitem__(self, name: str) -> Any:
        return self.raw[name]

    @property
    def time(self) -> datetime | None:
        return _json.time(self.raw, "ts")

    @property
    def text(self) -> str:
        """stdout, stderr: what was printed. display, result: text/plain. error: its traceback."""
        if self.type in ("display", "result"):
            return _json.text(self.data, "text/plain")
        if self.type == "error":
            return "\n".join(self.traceback) or f"{self.name}: {self.value}"
        return _json.text(self.raw, "text")

    @property
    def data(self) -> _json.Json:
        """display, result: the MIME bundle. Large parts are {"ref": path, "bytes": n}."""
        return _json.mapping(self.raw, "data")

    @property
    def metadata(self) -> _json.Json:
        return _json.mapping(self.raw, "metadata")

    @property
    def display_id(self) -> str | None:
        return _json.optional_text(self.raw, "display_id")

    @property
    def update(self) -> bool:
        """display: whether it replaces the earlier one with this display_id."""
        return self.raw.get("update") is True

    @property
    def name(self) -> str:
        """error: the exception's class."""
        return _json.text(self.raw, "name")

    @property
    def value(self) -> str:
        """error: the exception's message."""
        return _json.text(self.raw, "value")

    @property
    def traceback(self) -> list[str]:
        return _json.texts(self.raw, "traceback")

    @property
    def status(self) -> str | None:
        """finished: how it ended. kernel_status: the kernel's state."""
        name = "state" if self.type == "kernel_status" else "status"
        return _json.optional_text(self.raw, name)

    @property
    def exit_code(self) -> int | None:
        return _json.optional_integer(self.raw, "exit_code")

    @property
    def execution_count(self) -> int | None:
        return _json.optional_integer(self.raw, "execution_count")

    @property
    def code(self) -> str:
        """started: the code that runs."""
        return _json.text(self.raw, "code")

    @property
    def language(self) -> str:
        """started: the language it is in."""
        return _json.text(self.raw, "language")

    @property
    def position(self) -> int | None:
        """queued: how many are before it."""
        return _json.optional_integer(self.raw, "position")

    @property
    def prompt(self) -> str:
        """input_request: what is asked for."""
        return _json.text(self.raw, "prompt")

    @property
    def password(self) -> bool:
        """input_request: whether the answer should not be shown."""
        return self.raw.get("password") is True

    def __str__(self) -> str:
        return f"#{self.seq} {self.type}{self._detail()}"

    def _detail(self) -> str:
        raw = self.raw
        if self.type in ("stdout", "stderr"):
            return ": " + self.text.removesuffix("\n")
        if self.type in ("display", "result"):
            return ": " + (self.text or ", ".join(self.data))
        if self.type == "error":
            return f": {self.name}: {self.value}"
        if self.type == "started":
            return f": {self.language} [{self.execution_count}]"
        if self.type == "finished":
            return f": {self.status} in {raw.get('duration_ms')} ms"
        if self.type == "queued":
            return f": position {self.position}"
        if self.type == "files_changed":
            items = (f"{item.get('change')} {item.get('path')}" for item in self.files)
            return ": " + ", ".join(items)
        if self.type == "gap":
            return f": {raw.get('bytes')} bytes dropped ({raw.get('reason')})"
        if self.type == "input_request":
            return f": {self.prompt}"
        if self.type == "kernel_status":
            return f": {self.status}"
        return ""

    @property
    def files(self) -> list[_json.Json]:
        """files_changed: its items {path, bytes, change, mime?}."""
        return _json.objects(self.raw, "items")
