"""A file that is there whole, or as it was."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from types import TracebackType
from typing import BinaryIO


class NewFile:
    """Takes the place of `path` at the end of its `with` block, but not by an exception."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hidden = path.with_name(f".{path.name[:200]}.{uuid.uuid4().hex}")
        self._file: BinaryIO | None = None

    def __enter__(self) -> BinaryIO:
        self._file = self._hidden.open("xb")
        return self._file

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._file is not None
        try:
            self._file.close()  # may find the disk full
            if kind is None:
                os.replace(self._hidden, self._path)
        finally:
            self._hidden.unlink(missing_ok=True)
