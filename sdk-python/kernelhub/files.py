"""The user's workspace: `hub.files`, and `box.files` of a sandbox whose workspace is its own."""

from __future__ import annotations

import builtins
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from . import _requests
from ._new_file import NewFile
from ._paging import Pages
from ._transfer import Content, Progress, Source
from ._wire import AsyncWire, Wire
from .file_info import FileInfo, FileUsage

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._requests import ListOptions

ARCHIVES = ("zip", "tar")
FILES_PAGE = 1000


def _put_target(content: Content, path: str | None) -> str:
    """Where a file goes: under its own name, when only a folder ("data/") or nothing is said."""
    if path and not path.endswith("/"):
        return path
    if not isinstance(content, (str, os.PathLike)):
        raise TypeError("a file that is open needs a path to go to")
    return (path or "") + Path(content).name


def _get_target(path: str, local: str | os.PathLike[str] | None, suffix: str = "") -> Path:
    name = (path.rstrip("/").rpartition("/")[2] or "workspace") + suffix
    target = Path(local) if local is not None else Path(name)
    return target / name if target.is_dir() else target


def _archive_form(form: str | None, local: str | os.PathLike[str] | None) -> str:
    if form is None:
        form = "tar" if local is not None and Path(local).suffix == ".tar" else "zip"
    if form not in ARCHIVES:
        raise ValueError(f"an archive is one of {', '.join(ARCHIVES)}, not {form!r}")
    return form


class Files:
    """Files by their path in the workspace; a leading "/" or "/workspace/" changes nothing.

    progress(done, total) is called as bytes go by; total is None where nobody knows it.
    """

    def __init__(self, wire: Wire, sandbox: str | None = None) -> None:
        self._wire = wire
        self._sandbox = sandbox

    def list(
        self, path: str = "", *, limit: int | None = None, **options: Unpack[ListOptions]
    ) -> builtins.list[FileInfo]:
        """What is in a folder, `limit` at most; see ListOptions."""
        pages = Pages("files", limit, size=FILES_PAGE)
        found: builtins.list[FileInfo] = []
        while not pages.done:
            request = _requests.files(self._sandbox, path, options, pages.size, pages.cursor)
            reply = self._wire.send(request)
            found += [FileInfo.from_json(item) for item in pages.take(reply)]
        return found

    def put(
        self,
        content: Content,
        path: str | None = None,
        *,
        overwrite: bool = True,
        progress: Progress | None = None,
    ) -> FileInfo:
        """Uploads a local file, by its path or open in binary, however large.

        It goes to `path`; under its own name into the folder `path` when that ends with "/", and
        into the workspace when there is none. Folders on the way are made. It is there whole or not
        at all. Without `overwrite` what is there already raises PreconditionFailedError.
        """
        request = _requests.put_file(self._sandbox, _put_target(content, path), overwrite)
        return FileInfo.from_json(self._wire.upload(request, Source(content), progress))

    def get(
        self,
        path: str,
        local: str | os.PathLike[str] | None = None,
        *,
        progress: Progress | None = None,
    ) -> Path:
        """Downloads a file, however large, and says where it is: `local`, or its own name in the
        folder `local`, or here. A broken connection is taken up again where it was; what is at
        `local` is replaced when all has come.
        """
        target = _get_target(path, local)
        with NewFile(target) as file:
            self.read_into(path, file, progress=progress)
        return target

    def read_into(self, path: str, file: BinaryIO, *, progress: Progress | None = None) -> None:
        """Downloads a file into one that is open in binary."""
        self._wire.download(_requests.get_file(self._sandbox, path), file, progress)

    def read_bytes(self, path: str) -> bytes:
        file = io.BytesIO()
        self.read_into(path, file)
        return file.getvalue()

    def read_text(self, path: str, encoding: str = "utf-8") -> str:
        return (self.read_bytes(path)).decode(encoding)

    def write_bytes(
        self, path: str, data: bytes | bytearray | memoryview, *, overwrite: bool = True
    ) -> FileInfo:
        return self.put(io.BytesIO(data), path, overwrite=overwrite)

    def write_text(
        self, path: str, text: str, encoding: str = "utf-8", *, overwrite: bool = True
    ) -> FileInfo:
        return self.write_bytes(path, text.encode(encoding), overwrite=overwrite)

    def delete(self, path: str, *, recursive: bool = False) -> None:
        """Deletes a file or an empty folder; `recursive`: a folder with all that is in it."""
        self._wire.send(_requests.delete_file(self._sandbox, path, recursive))

    def move(self, source: str, target: str, *, overwrite: bool = False) -> FileInfo:
        """Gives a file or folder another path."""
        request = _requests.move_file(self._sandbox, source, target, overwrite)
        return FileInfo.from_json(self._wire.send(request))

    def mkdir(self, path: str) -> FileInfo:
        """Makes a folder, and those on the way to it."""
        return FileInfo.from_json(self._wire.send(_requests.make_folder(self._sandbox, path)))

    def archive(
        self,
        path: str,
        local: str | os.PathLike[str] | None = None,
        *,
        form: str | None = None,
        progress: Progress | None = None,
    ) -> Path:
        """Downloads a folder as one file, "zip" or "tar", and says where it is, see get(). The
        whole workspace is "".

        `form` is by default what the name `local` ends with, else zip.
        """
        form = _archive_form(form, local)
        target = _get_target(path, local, f".{form}")
        request = _requests.get_archive(self._sandbox, path, form)
        with NewFile(target) as file:
            self._wire.download(request, file, progress)
        return target

    def usage(self) -> FileUsage:
        """How much of the disk is used, and how much may be."""
        return FileUsage.from_json(self._wire.send(_requests.files_usage(self._sandbox)))


class AsyncFiles:
    """Files by their path in the workspace; a leading "/" or "/workspace/" changes nothing.

    progress(done, total) is called as bytes go by, and may be a coroutine function; total is None
    where nobody knows it.
    """

    def __init__(self, wire: AsyncWire, sandbox: str | None = None) -> None:
        self._wire = wire
        self._sandbox = sandbox

    async def list(
        self, path: str = "", *, limit: int | None = None, **options: Unpack[ListOptions]
    ) -> builtins.list[FileInfo]:
        """What is in a folder, `limit` at most; see ListOptions."""
        pages = Pages("files", limit, size=FILES_PAGE)
        found: builtins.list[FileInfo] = []
        while not pages.done:
            request = _requests.files(self._sandbox, path, options, pages.size, pages.cursor)
            reply = await self._wire.send(request)
            found += [FileInfo.from_json(item) for item in pages.take(reply)]
        return found

    async def put(
        self,
        content: Content,
        path: str | None = None,
        *,
        overwrite: bool = True,
        progress: Progress | None = None,
    ) -> FileInfo:
        """Uploads a local file, by its path or open in binary, however large.

        It goes to `path`; under its own name into the folder `path` when that ends with "/", and
        into the workspace when there is none. Folders on the way are made. It is there whole or not
        at all. Without `overwrite` what is there already raises PreconditionFailedError.
        """
        request = _requests.put_file(self._sandbox, _put_target(content, path), overwrite)
        return FileInfo.from_json(await self._wire.upload(request, Source(content), progress))

    async def get(
        self,
        path: str,
        local: str | os.PathLike[str] | None = None,
        *,
        progress: Progress | None = None,
    ) -> Path:
        """Downloads a file, however large, and says where it is: `local`, or its own name in the
        folder `local`, or here. A broken connection is taken up again where it was; what is at
        `local` is replaced when all has come.
        """
        target = _get_target(path, local)
        with NewFile(target) as file:
            await self.read_into(path, file, progress=progress)
        return target

    async def read_into(
        self, path: str, file: BinaryIO, *, progress: Progress | None = None
    ) -> None:
        """Downloads a file into one that is open in binary."""
        await self._wire.download(_requests.get_file(self._sandbox, path), file, progress)

    async def read_bytes(self, path: str) -> bytes:
        file = io.BytesIO()
        await self.read_into(path, file)
        return file.getvalue()

    async def read_text(self, path: str, encoding: str = "utf-8") -> str:
        return (await self.read_bytes(path)).decode(encoding)

    async def write_bytes(
        self, path: str, data: bytes | bytearray | memoryview, *, overwrite: bool = True
    ) -> FileInfo:
        return await self.put(io.BytesIO(data), path, overwrite=overwrite)

    async def write_text(
        self, path: str, text: str, encoding: str = "utf-8", *, overwrite: bool = True
    ) -> FileInfo:
        return await self.write_bytes(path, text.encode(encoding), overwrite=overwrite)

    async def delete(self, path: str, *, recursive: bool = False) -> None:
        """Deletes a file or an empty folder; `recursive`: a folder with all that is in it."""
        await self._wire.send(_requests.delete_file(self._sandbox, path, recursive))

    async def move(self, source: str, target: str, *, overwrite: bool = False) -> FileInfo:
        """Gives a file or folder another path."""
        request = _requests.move_file(self._sandbox, source, target, overwrite)
        return FileInfo.from_json(await self._wire.send(request))

    async def mkdir(self, path: str) -> FileInfo:
        """Makes a folder, and those on the way to it."""
        return FileInfo.from_json(await self._wire.send(_requests.make_folder(self._sandbox, path)))

    async def archive(
        self,
        path: str,
        local: str | os.PathLike[str] | None = None,
        *,
        form: str | None = None,
        progress: Progress | None = None,
    ) -> Path:
        """Downloads a folder as one file, "zip" or "tar", and says where it is, see get(). The
        whole workspace is "".

        `form` is by default what the name `local` ends with, else zip.
        """
        form = _archive_form(form, local)
        target = _get_target(path, local, f".{form}")
        request = _requests.get_archive(self._sandbox, path, form)
        with NewFile(target) as file:
            await self._wire.download(request, file, progress)
        return target

    async def usage(self) -> FileUsage:
        """How much of the disk is used, and how much may be."""
        return FileUsage.from_json(await self._wire.send(_requests.files_usage(self._sandbox)))
