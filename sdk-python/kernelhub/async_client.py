"""The way in with asyncio: Client's names, with await."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from types import TracebackType
from typing import TYPE_CHECKING, Any

import httpx

from . import _json, _requests
from ._retry import RetryPolicy
from ._settings import find_settings
from ._wire import AsyncWire
from .commander import AsyncCommander
from .event import Event
from .execution import Execution
from .executions import AsyncExecutions, AsyncJobs
from .files import AsyncFiles
from .info import Health, Image, Language
from .output import Output
from .packages import AsyncPackages
from .run import AsyncRun
from .runner import AsyncRunner
from .sandbox import AsyncSandbox, NewAsyncSandbox
from .sandboxes import AsyncSandboxes
from .session import AsyncSession
from .sessions import AsyncSessions

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._requests import NotebookOptions, OutputOptions, SandboxOptions


class AsyncClient(AsyncRunner, AsyncCommander):
    """A client of one service, for one event loop. Close it, or use `async with`.

    url        else KERNELHUB_URL, else the token file of `kernelhub serve`, else
               http://127.0.0.1:8080
    token      else KERNELHUB_TOKEN, else the token file; "" for a service that asks for none
    timeout    seconds for what is not a run: connecting, small questions
    retry      how patient to be with a service that is away for a moment
    transport  httpx's way to another transport, such as a Unix socket
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        timeout: float = 30.0,
        *,
        retry: RetryPolicy | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        settings = find_settings(url, token)
        AsyncRunner.__init__(
            self, AsyncWire(settings, timeout, retry or RetryPolicy(), transport), {}
        )
        AsyncCommander.__init__(self, self._wire, "default")
        self.url = settings.url
        self.executions = AsyncExecutions(self._wire)
        self.files = AsyncFiles(self._wire)
        self.jobs = AsyncJobs(self._wire)
        self.packages = AsyncPackages(self._wire)
        self.sandboxes = AsyncSandboxes(self._wire)
        self.sessions = AsyncSessions(self._wire)

    async def close(self) -> None:
        await self._wire.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<AsyncClient {self.url}>"

    def session(self, name: str, language: str | None = None) -> AsyncSession:
        """A session to work with. Asks the service nothing: its first run makes it."""
        return AsyncSession(self._wire, name, language)

    async def notebook(self, session: str, **options: Unpack[NotebookOptions]) -> dict[str, Any]:
        """What a session has run, as a Jupyter notebook, see AsyncSession.notebook."""
        return await self.sessions.notebook(session, **options)

    def sandbox(self, **options: Unpack[SandboxOptions]) -> NewAsyncSandbox:
        """A new sandbox: `async with` it, which also ends it, or `await` it."""
        return NewAsyncSandbox(self._wire, options)

    async def open_sandbox(self, name: str) -> AsyncSandbox:
        """The sandbox with this id or name, which is there already."""
        return AsyncSandbox(self._wire, (await self.sandboxes.get(name)).sandbox_id)

    async def attach(self, execution_id: str, after: int = 0) -> AsyncRun:
        """The run with this id; its events() begin behind number `after`."""
        await self.executions.get(execution_id)  # NotFoundError here, not somewhere later
        return AsyncRun(self._wire, execution_id, after)

    def events(
        self, execution_id: str, after: int = 0, follow: bool = True
    ) -> AsyncGenerator[Event, None]:
        """The numbered events of an execution; with `follow` until it ends."""
        return AsyncRun(self._wire, execution_id).events(after, follow)

    async def wait(self, execution_id: str, timeout: float | None = None) -> Execution:
        """Waits for the end of an execution, see AsyncRun.wait."""
        return await AsyncRun(self._wire, execution_id).wait(timeout)

    async def interrupt(self, execution_id: str) -> None:
        """Stops an execution as Ctrl-C would."""
        await AsyncRun(self._wire, execution_id).interrupt()

    async def input(self, execution_id: str, value: str | None) -> None:
        """Answers the input() that an execution waits for, see AsyncRun.input."""
        await AsyncRun(self._wire, execution_id).input(value)

    async def output(
        self, execution_id: str, stream: str = "stdout", **part: Unpack[OutputOptions]
    ) -> Output:
        """What an execution wrote, or a part of it, see AsyncRun.output."""
        return await AsyncRun(self._wire, execution_id).output(stream, **part)

    async def callback_secret(self, renew: bool = False) -> str:
        """What your callbacks are signed with, as Standard Webhooks; renew: another one."""
        reply = await self._wire.send(_requests.callback_secret(renew))
        return _json.text(_json.as_object(reply, "secret"), "secret")

    async def health(self) -> Health:
        """Whether the service works. A service that says it does not is an answer, no exception."""
        return Health.from_json(await self._wire.send(_requests.health()))

    async def languages(self) -> list[Language]:
        reply = await self._wire.send(_requests.languages())
        return [Language.from_json(item) for item in _json.as_items(reply, "languages")]

    async def images(self) -> list[Image]:
        reply = await self._wire.send(_requests.images())
        return [Image.from_json(item) for item in _json.as_items(reply, "images")]
