"""What the service tells about itself: health, languages, images, sandboxes, sessions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from . import _json


@dataclass(frozen=True)
class Health:
    """Whether the service works. `checks` says what was looked at."""

    status: str
    version: str = ""
    timestamp: str = ""
    checks: Any = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, value: Any) -> Health:
        raw = _json.as_object(value, "health")
        return cls(
            status=_json.text(raw, "status"),
            version=_json.text(raw, "version"),
            timestamp=_json.text(raw, "timestamp"),
            checks=raw.get("checks"),
            raw=raw,
        )

    @property
    def ok(self) -> bool:
        return self.status == "healthy"


@dataclass(frozen=True)
class Language:
    """A language that can run, with the other names it answers to."""

    name: str
    display_name: str = ""
    aliases: list[str] = field(default_factory=list)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, raw: _json.Json) -> Language:
        name = _json.text(raw, "name")
        return cls(
            name=name,
            display_name=_json.text(raw, "display_name", name),
            aliases=_json.texts(raw, "aliases"),
            raw=raw,
        )


@dataclass(frozen=True)
class Image:
    """An image that sandboxes are made from."""

    name: str
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, raw: _json.Json) -> Image:
        return cls(name=_json.text(raw, "name"), raw=raw)


@dataclass(frozen=True)
class SandboxInfo:
    """A sandbox as it was when asked for.

    keeps_alive  what holds its idle limit off: a running cell, an attached client, the last call
    """

    sandbox_id: str
    name: str = ""
    template: str = ""
    state: str = ""
    created_at: datetime | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)
    keeps_alive: list[str] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, value: Any) -> SandboxInfo:
        raw = _json.as_object(value, "sandbox")
        return cls(
            sandbox_id=_json.text(raw, "sandbox_id"),
            name=_json.text(raw, "name"),
            template=_json.text(raw, "template"),
            state=_json.text(raw, "state"),
            created_at=_json.time(raw, "created_at"),
            expires_at=_json.time(raw, "expires_at"),
            last_used_at=_json.time(raw, "last_used_at"),
            labels=_json.mapping(raw, "labels"),
            keeps_alive=_json.texts(raw, "keeps_alive"),
            sessions=_json.texts(raw, "sessions"),
            raw=raw,
        )


@dataclass(frozen=True)
class SessionInfo:
    """A session as it was when asked for; `hub.session(name)` is what to work with."""

    name: str
    language: str = ""
    status: str = ""
    kernel_id: str | None = None
    sandbox_id: str | None = None
    execution_count: int | None = None
    created_at: datetime | None = None
    last_used_at: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, value: Any) -> SessionInfo:
        raw = _json.as_object(value, "session")
        return cls(
            name=_json.text(raw, "name"),
            language=_json.text(raw, "language"),
            status=_json.text(raw, "status"),
            kernel_id=_json.optional_text(raw, "kernel_id"),
            sandbox_id=_json.optional_text(raw, "sandbox_id"),
            execution_count=_json.optional_integer(raw, "execution_count"),
            created_at=_json.time(raw, "created_at"),
            last_used_at=_json.time(raw, "last_used_at"),
            raw=raw,
        )
