"""What goes up and what comes down: files of any size, a piece at a time. Knows no network."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from ._requests import Request
from .errors import PreconditionFailedError, ProtocolError

PIECE_BYTES = 256 * 1024
Progress = Callable[[int, int | None], Any]
Content = str | os.PathLike[str] | BinaryIO


class Source:
    """What is uploaded: a file by its path, or an open one from where it stands."""

    def __init__(self, content: Content) -> None:
        self._path: Path | None = None
        self._file: BinaryIO | None = None
        self._start = 0
        self.can_repeat = True
        if isinstance(content, (str, os.PathLike)):
            self._path = Path(content)
            return
        if isinstance(content, io.TextIOBase):
            raise TypeError("a file that is open as text; open it with 'rb'")
        self._file = content
        self.can_repeat = bool(getattr(content, "seekable", bool)())
        if self.can_repeat:
            self._start = content.tell()

    @contextmanager
    def opened(self) -> Generator[Reading, None, None]:
        """From its beginning."""
        if self._path is not None:
            with self._path.open("rb") as file:
                yield Reading(file, os.fstat(file.fileno()).st_size)
            return
        assert self._file is not None
        size = None
        if self.can_repeat:
            size = max(self._file.seek(0, os.SEEK_END) - self._start, 0)
            self._file.seek(self._start)
        yield Reading(self._file, size)


class Reading:
    """One walk through a source. What a file grows by meanwhile is not sent."""

    def __init__(self, file: BinaryIO, size: int | None) -> None:
        self._file = file
        self.size = size
        self.at = 0

    def piece(self) -> bytes:
        """Empty at the end. May wait for the disk."""
        left = PIECE_BYTES if self.size is None else min(PIECE_BYTES, self.size - self.at)
        data = self._file.read(left) if left else b""
        self.at += len(data)
        return data

    def pieces(self, progress: Progress | None) -> Iterator[bytes]:
        while data := self.piece():
            yield data
            if progress:
                progress(self.at, self.size)

    async def pieces_async(
        self, read: Callable[[], Any], tell: Callable[[int, int | None], Any]
    ) -> AsyncIterator[bytes]:
        while data := await read():
            yield data
            await tell(self.at, self.size)


class Download:
    """A file on its way into `file`, over as many connections as it takes.

    It is taken up again behind the bytes that came, as long as it is the same file: its ETag says
    so. Else it begins anew, where `file` can be rewound.
    """

    def __init__(self, request: Request, file: BinaryIO) -> None:
        self._request = request
        self._file = file
        self._start = file.tell() if file.seekable() else None
        self._etag: str | None = None
        self._most = 0
        self.at = 0
        self.size: int | None = None

    def request(self) -> Request:
        headers = {"Accept-Encoding": "identity"}
        if self.at and self._etag:
            headers |= {"Range": f"bytes={self.at}-", "If-Range": self._etag}
        return replace(self._request, more_headers=headers)

    def opened(self, status: int, headers: Mapping[str, str]) -> None:
        """A reply begins."""
        if status == 206:
            if self.at == 0 or not headers.get("content-range", "").startswith(f"bytes {self.at}-"):
                raise ProtocolError(f"{self._request.path}: a part that was not asked for")
            return
        self._rewind()
        plain = headers.get("content-encoding", "identity") == "identity"
        etag = headers.get("etag")
        self._etag = etag if plain and etag and not etag.startswith("W/") else None
        length = headers.get("content-length", "")
        self.size = int(length) if plain and length.isdecimal() else None

    def _rewind(self) -> None:
        if self.at == 0:
            return
        if self._start is None:
            raise PreconditionFailedError(
                f"{self._request.path} was not read to its end, and cannot be read on",
                hint="it was changed meanwhile; a file that can be rewound would begin anew",
            )
        self._file.seek(self._start)
        self._file.truncate()
        self.at = 0

    def take(self, data: bytes) -> None:
        """May wait for the disk."""
        self._file.write(data)
        self.at += len(data)

    def has_advanced(self) -> bool:
        """Whether there is more than ever before: then it is worth to go on trying."""
        advanced = self.at > self._most
        self._most = max(self._most, self.at)
        return advanced
