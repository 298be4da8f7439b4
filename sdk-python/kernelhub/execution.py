"""One piece of code that ran, or runs: its record and what it printed, showed and left behind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from . import _json
from .errors import ExecutionError
from .event import Event

ENDED = frozenset(
    {"ok", "error", "interrupted", "timeout", "oom", "kernel_died", "cancelled", "lost"}
)


@dataclass(frozen=True)
class Result:
    """A display or the value of the last expression; shows itself in a notebook.

    data  the MIME bundle. A part above 256 KiB is {"ref": path, "bytes": n} instead; the code that
          ran can say such a thing too: before you ask the service for a path, see is_ref()
    execution_id  whose blobs its references are
    """

    data: Mapping[str, Any]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    is_main_result: bool = False
    execution_id: str = ""

    @classmethod
    def from_json(cls, raw: _json.Json, execution_id: str = "") -> Result:
        return cls(
            data=_json.mapping(raw, "data"),
            metadata=_json.mapping(raw, "metadata"),
            is_main_result=raw.get("is_main_result") is True,
            execution_id=execution_id,
        )

    @classmethod
    def from_event(cls, event: Event) -> Result:
        return cls(event.data, event.metadata, event.type == "result", event.execution_id)

    def __getitem__(self, mime: str) -> Any:
        return self.data[mime]

    @property
    def text(self) -> str | None:
        return _json.optional_text(self.data, "text/plain")

    def is_ref(self, mime: str) -> bool:
        """Whether the service keeps this part: then its ref is a path below this execution."""
        value = self.data.get(mime)
        return (
            isinstance(value, dict)
            and value.keys() == {"ref", "bytes"}
            and type(value["bytes"]) is int
            and isinstance(value["ref"], str)
            and self.execution_id != ""
            and _is_blob_of(self.execution_id, value["ref"])
        )

    def __repr__(self) -> str:
        if self.text is not None:
            return self.text
        return f"<Result {', '.join(self.data)}>"

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """For Jupyter, which filters by include and exclude itself."""
        shown = {mime: value for mime, value in self.data.items() if not self.is_ref(mime)}
        if not shown:
            left = (f"{mime}, {part['bytes']} bytes" for mime, part in self.data.items())
            shown = {"text/plain": f"<Result kept by the service: {'; '.join(left)}>"}
        return shown, dict(self.metadata)


def _is_blob_of(execution_id: str, path: str) -> bool:
    blobs = re.escape(f"/api/v1/executions/{execution_id}/blobs/")
    return re.fullmatch(blobs + "[0-9]{1,9}", path) is not None


@dataclass(frozen=True)
class ErrorInfo:
    """The exception that ended the code."""

    name: str
    value: str
    traceback: list[str] = field(default_factory=list)

    @classmethod
    def from_json(cls, raw: _json.Json) -> ErrorInfo:
        return cls(_json.text(raw, "name"), _json.text(raw, "value"), _json.texts(raw, "traceback"))

    @classmethod
    def from_event(cls, event: Event) -> ErrorInfo:
        return cls(event.name, event.value, event.traceback)

    def __str__(self) -> str:
        return "\n".join(self.traceback) or f"{self.name}: {self.value}"


@dataclass(frozen=True)
class FileChange:
    """A file that the run created, modified or deleted."""

    path: str
    change: str
    bytes: int = 0
    mime: str | None = None

    @classmethod
    def from_json(cls, raw: _json.Json) -> FileChange:
        return cls(
            path=_json.text(raw, "path"),
            change=_json.text(raw, "change"),
            bytes=_json.integer(raw, "bytes"),
            mime=_json.optional_text(raw, "mime"),
        )


@dataclass(frozen=True)
class Timing:
    """Where the time went, in microseconds."""

    queued_us: int = 0
    kernel_us: int = 0
    total_us: int = 0

    @classmethod
    def from_json(cls, raw: _json.Json) -> Timing:
        return cls(
            _json.integer(raw, "queued_us"),
            _json.integer(raw, "kernel_us"),
            _json.integer(raw, "total_us"),
        )


@dataclass(frozen=True)
class ResourceUsage:
    """What the sandbox used during the run."""

    cpu_ms: float | None = None
    cpu_percent: float | None = None
    memory_bytes: int | None = None
    memory_peak_bytes: int | None = None
    pids: int | None = None

    @classmethod
    def from_json(cls, raw: _json.Json) -> ResourceUsage:
        return cls(
            cpu_ms=_json.optional_number(raw, "cpu_ms"),
            cpu_percent=_json.optional_number(raw, "cpu_percent"),
            memory_bytes=_json.optional_integer(raw, "memory_bytes"),
            memory_peak_bytes=_json.optional_integer(raw, "memory_peak_bytes"),
            pids=_json.optional_integer(raw, "pids"),
        )


@dataclass(frozen=True, repr=False)
class Execution:
    """The record of one execution. `execution["stdout"]` is the same as `execution.stdout`.

    status     queued, running, waiting_input; then ok, error, interrupted, timeout, oom,
               kernel_died, cancelled or lost
    exit_code  0 ok, 1 exception, 124 timeout, 130 interrupted, 137 oom, ...; None unknown
    results    displays and the result, in order
    raw        the whole reply, with fields that this package does not know
    """

    execution_id: str
    status: str
    session: str = ""
    language: str = ""
    kernel_id: str | None = None
    sandbox_id: str | None = None
    execution_count: int | None = None
    stdout: str = ""
    stderr: str = ""
    results: list[Result] = field(default_factory=list)
    error: ErrorInfo | None = None
    exit_code: int | None = None
    duration_ms: float | None = None
    timing: Timing = field(default_factory=Timing)
    files_changed: list[FileChange] = field(default_factory=list)
    files_created: list[str] = field(default_factory=list)
    resource_usage: ResourceUsage = field(default_factory=ResourceUsage)
    truncated: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    events_url: str = ""
    code: str | None = None
    user: str | None = None
    client: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    replay_of: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, value: Any) -> Execution:
        raw = _json.as_object(value, "execution")
        execution_id = _json.text(raw, "execution_id")
        error = _json.mapping(raw, "error")
        return cls(
            execution_id=execution_id,
            status=_json.text(raw, "status"),
            session=_json.text(raw, "session"),
            language=_json.text(raw, "language"),
            kernel_id=_json.optional_text(raw, "kernel_id"),
            sandbox_id=_json.optional_text(raw, "sandbox_id"),
            execution_count=_json.optional_integer(raw, "execution_count"),
            stdout=_json.text(raw, "stdout"),
            stderr=_json.text(raw, "stderr"),
            results=[
                Result.from_json(item, execution_id) for item in _json.objects(raw, "results")
            ],
            error=ErrorInfo.from_json(error) if error else None,
            exit_code=_json.optional_integer(raw, "exit_code"),
            duration_ms=_json.optional_number(raw, "duration_ms"),
            timing=Timing.from_json(_json.mapping(raw, "timing")),
            files_changed=[FileChange.from_json(x) for x in _json.objects(raw, "files_changed")],
            files_created=_json.texts(raw, "files_created"),
            resource_usage=ResourceUsage.from_json(_json.mapping(raw, "resource_usage")),
            truncated=raw.get("truncated") is True,
            labels=_json.mapping(raw, "labels"),
            events_url=_json.text(raw, "events_url"),
            code=_json.optional_text(raw, "code"),
            user=_json.optional_text(raw, "user"),
            client=_json.optional_text(raw, "client"),
            created_at=_json.time(raw, "created_at"),
            started_at=_json.time(raw, "started_at"),
            finished_at=_json.time(raw, "finished_at"),
            replay_of=_json.optional_text(raw, "replay_of"),
            raw=raw,
        )

    def __getitem__(self, name: str) -> Any:
        return self.raw[name]

    def __contains__(self, name: object) -> bool:
        return name in self.raw

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def text(self) -> str | None:
        """text/plain of the main result, None when the code had none."""
        return next((result.text for result in self.results if result.is_main_result), None)

    def raise_for_status(self) -> Execution:
        """Raises ExecutionError unless the status is ok; returns itself, for chaining."""
        if not self.ok:
            raise ExecutionError(self)
        return self

    def __repr__(self) -> str:
        parts = [self.status, self.language, self.execution_id]
        for name, value in (("stdout", self.stdout), ("stderr", self.stderr), ("text", self.text)):
            if value:
                parts.append(f"{name}={_shortened(value)!r}")
        if self.error:
            parts.append(f"error={_shortened(f'{self.error.name}: {self.error.value}')!r}")
        return f"<Execution {' '.join(part for part in parts if part)}>"

    def _ipython_display_(self) -> None:
        """In a notebook: what the code printed, then its results, then its error."""
        from IPython.display import display  # type: ignore[import-not-found,unused-ignore]

        print(self.stdout + self.stderr, end="")
        for result in self.results:
            display(result)
        if self.error:
            print(self.error)
        elif not self.ok:
            print(repr(self))


def _shortened(text: str, longest: int = 60) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
