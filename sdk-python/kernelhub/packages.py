"""What the user installs for his languages: `hub.packages`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

from . import _json, _requests
from ._paging import Pages
from ._wire import AsyncWire, Wire
from .errors import ProtocolError, error_from_record
from .package_info import AllowedPackages, PackageInfo, PackageInstall


def _end_of_install(last: _json.Json, check: bool) -> PackageInstall:
    if last.get("type") != "finished":
        raise ProtocolError("the install's stream ended without its end")
    if "error" in last:
        raise error_from_record(last["error"])
    install = PackageInstall.from_json(last)
    return install.raise_for_status() if check else install


class Packages:
    """`hub.packages`: names with versions, such as "numpy>=2", for Python and JavaScript."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def install(
        self,
        *packages: str,
        language: str | None = None,
        session: str | None = None,
        check: bool = True,
        on_progress: Callable[[str], Any] | None = None,
    ) -> PackageInstall:
        """Installs packages and returns when that has ended; running kernels find them at their
        next import.

        language     default: the session's, else Python
        session      for whose image they are built; default: the default image
        check        raise PackageError unless it ended as ok
        on_progress  is called with what the installer says, as it says it

        PolicyDeniedError names the package that may not be installed, and the rule. Who leaves
        early does not end the install.
        """
        last: _json.Json = {}
        request = _requests.install_packages(packages, language, session)
        for last in self._wire.records(request):
            if on_progress and last.get("type") == "progress":
                on_progress(_json.text(last, "text"))
        return _end_of_install(last, check)

    def installed(self, language: str | None = None) -> list[PackageInfo]:
        """What is installed beside what the image brings along; of all languages, or of one."""
        pages = Pages("packages")
        found: list[PackageInfo] = []
        while not pages.done:
            reply = self._wire.send(_requests.packages_installed(language, pages.cursor))
            found += [PackageInfo.from_json(item) for item in pages.take(reply)]
        return found

    def allowed(self, language: str = "python") -> AllowedPackages:
        """What may be installed."""
        reply = self._wire.send(_requests.packages_allowed(language))
        return AllowedPackages.from_json(reply)


class AsyncPackages:
    """`hub.packages`: names with versions, such as "numpy>=2", for Python and JavaScript."""

    def __init__(self, wire: AsyncWire) -> None:
        self._wire = wire

    async def install(
        self,
        *packages: str,
        language: str | None = None,
        session: str | None = None,
        check: bool = True,
        on_progress: Callable[[str], Any] | None = None,
    ) -> PackageInstall:
        """Installs packages and returns when that has ended; running kernels find them at their
        next import.

        language     default: the session's, else Python
        session      for whose image they are built; default: the default image
        check        raise PackageError unless it ended as ok
        on_progress  is called with what the installer says, as it says it;
                     may be a coroutine function

        PolicyDeniedError names the package that may not be installed, and the rule. Who leaves
        early does not end the install.
        """
        last: _json.Json = {}
        request = _requests.install_packages(packages, language, session)
        async with aclosing(self._wire.records(request)) as records:
            async for last in records:
                if on_progress and last.get("type") == "progress":
                    answer = on_progress(_json.text(last, "text"))
                    if inspect.isawaitable(answer):
                        await answer
        return _end_of_install(last, check)

    async def installed(self, language: str | None = None) -> list[PackageInfo]:
        """What is installed beside what the image brings along; of all languages, or of one."""
        pages = Pages("packages")
        found: list[PackageInfo] = []
        while not pages.done:
            reply = await self._wire.send(_requests.packages_installed(language, pages.cursor))
            found += [PackageInfo.from_json(item) for item in pages.take(reply)]
        return found

    async def allowed(self, language: str = "python") -> AllowedPackages:
        """What may be installed."""
        reply = await self._wire.send(_requests.packages_allowed(language))
        return AllowedPackages.from_json(reply)
