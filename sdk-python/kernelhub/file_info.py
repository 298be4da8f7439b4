"""What the service tells about a user's files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from . import _json


@dataclass(frozen=True)
class FileInfo:
    """A file or folder as it was when asked for.

    path        from the workspace on, to be used as it is, whatever is in it
    type        "file", "directory" or "other" (a link, pipe, socket: it can be deleted, no more)
    size_bytes  of a file
    """

    path: str
    name: str = ""
    type: str = ""
    size_bytes: int | None = None
    modified_at: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, value: Any) -> FileInfo:
        raw = _json.as_object(value, "file")
        path = _json.text(raw, "path")
        return cls(
            path=path,
            name=_json.text(raw, "name", path.rpartition("/")[2]),
            type=_json.text(raw, "type"),
            size_bytes=_json.optional_integer(raw, "size_bytes"),
            modified_at=_json.time(raw, "modified_at"),
            raw=raw,
        )

    @property
    def is_folder(self) -> bool:
        return self.type == "directory"


@dataclass(frozen=True)
class FileUsage:
    """How much of the disk a user's files take, and how much they may; None: no limit.

    unseen_folders  what is in them could not be counted: the user's own code has closed them
    """

    used_bytes: int = 0
    limit_bytes: int | None = None
    files: int = 0
    files_limit: int | None = None
    unseen_folders: int = 0
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, value: Any) -> FileUsage:
        raw = _json.as_object(value, "usage of files")
        return cls(
            used_bytes=_json.integer(raw, "used"),
            limit_bytes=_json.integer(raw, "limit") or None,
            files=_json.integer(raw, "files"),
            files_limit=_json.integer(raw, "files_limit") or None,
            unseen_folders=_json.integer(raw, "unseen_folders"),
            raw=raw,
        )
