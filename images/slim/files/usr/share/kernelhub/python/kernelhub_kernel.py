"""The Python kernel of Kernelhub's images: ipykernel, and what a hub needs beyond it.

Differences from ipykernel's own kernel:

- The iopub socket never drops: its send high-water mark is 0 (ipykernel's default of 1000 loses output
  silently when the reader stalls).
- What is printed between two flushes goes out in pieces: a message beyond 64 MiB would be lost whole.
- What was printed and shown is not kept: IPython's copy of it all, for its %notebook, would fill the sandbox's memory.
- `metadata.kernelhub.env` of an execute_request is in force during that request only.
- What the user installs is found from the next cell on, and is not there before the kernel itself has been imported.
- It ends when it is asked to: ipykernel's may hang between its threads, the more often the busier the machine.
- No notes on the standard streams while starting, no files but below /tmp, history in memory.
"""

from __future__ import annotations

import atexit
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import kernelhub_packages
import zmq
from ipykernel.iostream import OutStream
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from IPython.core.history import HistoryManager
from traitlets.config import Config


def hub_metadata(metadata: dict[str, Any] | None) -> dict[str, Any]:
    """What the hub put into a request's metadata."""
    hub = (metadata or {}).get("kernelhub")
    return hub if isinstance(hub, dict) else {}


def environment_of(metadata: dict[str, Any] | None) -> dict[str, str | None]:
    """The variables that an execute_request's metadata asks for; None means unset."""
    wanted = hub_metadata(metadata).get("env")
    if not isinstance(wanted, dict):
        return {}
    return {
        name: value
        for name, value in wanted.items()
        if name
        and "=" not in name
        and "\0" not in name
        and (value is None or (isinstance(value, str) and "\0" not in value))
    }


def _assign(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


@contextmanager
def environment(wanted: dict[str, str | None]) -> Iterator[None]:
    """Sets variables and puts back what was there before, whatever happens in between."""
    before = {name: os.environ.get(name) for name in wanted}
    try:
        for name, value in wanted.items():
            _assign(name, value)
        yield
    finally:
        for name, value in before.items():
            _assign(name, value)


class PythonKernel(IPythonKernel):
    """ipykernel's kernel with an environment per execution."""

    async def do_execute(
        self,
        code: str,
        silent: bool,
        store_history: bool = True,
        user_expressions: dict[str, Any] | None = None,
        allow_stdin: bool = False,
        *,
        cell_meta: dict[str, Any] | None = None,
        cell_id: str | None = None,
    ) -> dict[str, Any]:
        kernelhub_packages.refresh()
        with environment(environment_of(cell_meta)):
            return await super().do_execute(
                code,
                silent,
                store_history,
                user_expressions,
                allow_stdin,
                cell_meta=cell_meta,
                cell_id=cell_id,
            )


def _is_worth_saying(record: logging.LogRecord) -> bool:
    """The sockets never leave the sandbox, so a warning about their encryption is noise."""
    return "without encryption" not in str(record.msg)


PIECE = 1 << 20  # characters; of 12 bytes each at most, as JSON


class PiecewiseOutStream(OutStream):
    """ipykernel's stdout and stderr, whose messages have a largest size."""

    def _flush_buffers(self) -> Iterator[tuple[dict[str, Any], str]]:
        for parent, text in super()._flush_buffers():
            for at in range(0, len(text), PIECE):
                yield parent, text[at : at + PIECE]


class Unkept(dict[int, list[Any]]):
    """In place of IPython's outputs by execution_count: what is appended is forgotten."""

    def __missing__(self, key: int) -> list[Any]:
        return []


BAKED_MATPLOTLIB = Path("/usr/share/kernelhub/matplotlib")


def lend_font_cache() -> None:
    """matplotlib wants a writable folder: make one that holds links to what the image brings along."""
    try:
        folder = Path(os.environ["MPLCONFIGDIR"])
        baked = os.listdir(BAKED_MATPLOTLIB)
        folder.mkdir(parents=True, exist_ok=True)
        for name in baked:
            with suppress(FileExistsError):
                os.symlink(BAKED_MATPLOTLIB / name, folder / name)
    except (KeyError, OSError):
        pass  # then matplotlib makes its own, more slowly


class KernelApp(IPKernelApp):
    """Starts a kernel quietly, with an iopub socket that keeps everything."""

    def init_sockets(self) -> None:
        lend_font_cache()
        self.log.addFilter(_is_worth_saying)
        super().init_sockets()
        atexit.register(self.end_control_thread)

    def init_iopub(self, context: zmq.Context[Any]) -> None:
        # A context's options become those of the sockets made from it: set before the socket is bound.
        context.sndhwm = 0
        try:
            super().init_iopub(context)
        finally:
            context.sockopts.pop(zmq.SNDHWM, None)

    def end_control_thread(self) -> None:
        """ipykernel ends its iopub thread without looking whether the control thread, after a shutdown_request,
        is just about to flush and to say `idle` by it: that one then waits ten seconds for the first, for ever
        for the second, and the process for that one. What atexit has runs from the last to the first, so this
        comes before iopub's end."""
        if self.control_thread and self.control_thread.is_alive():
            self.control_thread.stop()
            self.control_thread.join()

    def log_connection_info(self) -> None:
        """ipykernel prints how to connect by hand; here nobody does."""
        self._ports = {
            name: getattr(self, f"{name}_port")
            for name in ("shell", "iopub", "stdin", "hb", "control")
        }


def python_config() -> Config:
    """What differs from IPython's defaults; a profile's files can still override it."""
    config = Config()
    config.HistoryManager.hist_file = ":memory:"
    config.KernelApp.outstream_class = "kernelhub_kernel.PiecewiseOutStream"
    return config


def main() -> None:
    # sys.exit() in a cell is an ending like others; IPython would explain on stderr how to leave a terminal.
    warnings.filterwarnings("ignore", message="To exit: use")
    HistoryManager.outputs = Unkept()
    app = KernelApp.instance(kernel_class=PythonKernel, config=python_config())
    app.initialize()
    kernelhub_packages.enable()
    app.start()


if __name__ == "__main__":
    # Under its real name, so that what a cell imports is this module and not a second copy of it.
    from kernelhub_kernel import main as run

    run()
