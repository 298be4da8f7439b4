"""What the service tells about packages that users install."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import _json
from .errors import PackageError


@dataclass(frozen=True)
class PackageInfo:
    """A package that is installed, beside what the image brings along.

    change    of an install's: "added" or "updated"
    previous  the version before, when it was updated
    """

    name: str
    version: str = ""
    language: str = ""
    change: str = ""
    previous: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, raw: _json.Json, language: str = "") -> PackageInfo:
        return cls(
            name=_json.text(raw, "name"),
            version=_json.text(raw, "version"),
            language=_json.text(raw, "language", language),
            change=_json.text(raw, "change"),
            previous=_json.optional_text(raw, "previous"),
            raw=raw,
        )


@dataclass(frozen=True)
class PackageInstall:
    """How an install ended.

    status     ok, error, timeout, oom, too_large or disk_full
    requested  what the installer was asked for, with the versions that the rules add
    installed  what is there now and was not before
    message    what went wrong, None when nothing did
    output     the end of what the installer said; `truncated`: it is not all of it
    """

    status: str
    language: str = ""
    requested: list[str] = field(default_factory=list)
    installed: list[PackageInfo] = field(default_factory=list)
    removed: list[PackageInfo] = field(default_factory=list)
    message: str | None = None
    output: str = ""
    truncated: bool = False
    duration_ms: int = 0
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, value: Any) -> PackageInstall:
        raw = _json.as_object(value, "install")
        language = _json.text(raw, "language")

        def packages(name: str) -> list[PackageInfo]:
            return [PackageInfo.from_json(item, language) for item in _json.objects(raw, name)]

        return cls(
            status=_json.text(raw, "status"),
            language=language,
            requested=_json.texts(raw, "requested"),
            installed=packages("installed"),
            removed=packages("removed"),
            message=_json.optional_text(raw, "message"),
            output=_json.text(raw, "output"),
            truncated=raw.get("truncated") is True,
            duration_ms=_json.integer(raw, "duration_ms"),
            raw=raw,
        )

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    def raise_for_status(self) -> PackageInstall:
        """Raises PackageError unless it ended as ok."""
        if not self.ok:
            raise PackageError(self)
        return self


@dataclass(frozen=True)
class AllowedPackages:
    """What may be installed for a language.

    rules        names, "*" may stand in them, with versions
    installable  whether installs have anywhere to take packages from
    """

    language: str
    rules: list[str] = field(default_factory=list)
    installable: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, value: Any) -> AllowedPackages:
        raw = _json.as_object(value, "allowed packages")
        return cls(
            language=_json.text(raw, "language"),
            rules=_json.texts(raw, "items"),
            installable=raw.get("installable") is True,
            raw=raw,
        )
