"""The way in: a client of one Kernelhub service."""

from __future__ import annotations

from collections.abc import Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any

import httpx

from . import _json, _requests
from ._retry import RetryPolicy
from ._settings import find_settings
from ._wire import Wire
from .commander import Commander
from .event import Event
from .execution import Execution
from .executions import Executions, Jobs
from .files import Files
from .info import Health, Image, Language
from .output import Output
from .packages import Packages
from .run import Run
from .runner import Runner
from .sandbox import Sandbox
from .sandboxes import Sandboxes
from .session import Session
from .sessions import Sessions

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._requests import NotebookOptions, OutputOptions, SandboxOptions


class Client(Runner, Commander):
    """A client of one service; several threads may share it. Close it, or use `with`.

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
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        settings = find_settings(url, token)
        Runner.__init__(self, Wire(settings, timeout, retry or RetryPolicy(), transport), {})
        Commander.__init__(self, self._wire, "default")
        self.url = settings.url
        self.executions = Executions(self._wire)
        self.files = Files(self._wire)
        self.jobs = Jobs(self._wire)
        self.packages = Packages(self._wire)
        self.sandboxes = Sandboxes(self._wire)
        self.sessions = Sessions(self._wire)

    def close(self) -> None:
        self._wire.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Client {self.url}>"

    def session(self, name: str, language: str | None = None) -> Session:
        """A session to work with. Asks the service nothing: its first run makes it."""
        return Session(self._wire, name, language)

    def notebook(self, session: str, **options: Unpack[NotebookOptions]) -> dict[str, Any]:
        """What a session has run, as a Jupyter notebook, see Session.notebook."""
        return self.sessions.notebook(session, **options)

    def sandbox(self, **options: Unpack[SandboxOptions]) -> Sandbox:
        """Makes a sandbox and returns when it is up; `with` ends it at the end of its block."""
        return Sandbox(self._wire, self.sandboxes.create(**options).sandbox_id)

    def open_sandbox(self, name: str) -> Sandbox:
        """The sandbox with this id or name, which is there already."""
        return Sandbox(self._wire, self.sandboxes.get(name).sandbox_id)

    def attach(self, execution_id: str, after: int = 0) -> Run:
        """The run with this id; its events() begin behind number `after`."""
        self.executions.get(execution_id)  # NotFoundError here, not somewhere later
        return Run(self._wire, execution_id, after)

    def events(
        self, execution_id: str, after: int = 0, follow: bool = True
    ) -> Generator[Event, None, None]:
        """The numbered events of an execution; with `follow` until it ends."""
        return Run(self._wire, execution_id).events(after, follow)

    def wait(self, execution_id: str, timeout: float | None = None) -> Execution:
        """Waits for the end of an execution, see Run.wait."""
        return Run(self._wire, execution_id).wait(timeout)

    def interrupt(self, execution_id: str) -> None:
        """Stops an execution as Ctrl-C would."""
        Run(self._wire, execution_id).interrupt()

    def input(self, execution_id: str, value: str | None) -> None:
        """Answers the input() that an execution waits for, see Run.input."""
        Run(self._wire, execution_id).input(value)

    def output(
        self, execution_id: str, stream: str = "stdout", **part: Unpack[OutputOptions]
    ) -> Output:
        """What an execution wrote, or a part of it, see Run.output."""
        return Run(self._wire, execution_id).output(stream, **part)

    def callback_secret(self, renew: bool = False) -> str:
        """What your callbacks are signed with, as Standard Webhooks; renew: another one."""
        reply = self._wire.send(_requests.callback_secret(renew))
        return _json.text(_json.as_object(reply, "secret"), "secret")

    def health(self) -> Health:
        """Whether the service works. A service that says it does not is an answer, no exception."""
        return Health.from_json(self._wire.send(_requests.health()))

    def languages(self) -> list[Language]:
        reply = self._wire.send(_requests.languages())
        return [Language.from_json(item) for item in _json.as_items(reply, "languages")]

    def images(self) -> list[Image]:
        reply = self._wire.send(_requests.images())
        return [Image.from_json(item) for item in _json.as_items(reply, "images")]
