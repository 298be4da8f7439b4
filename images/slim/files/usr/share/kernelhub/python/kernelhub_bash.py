"""The Bash kernel of Kernelhub's images: bash_kernel with another way to talk to its shell.

bash_kernel types a cell line by line and looks for its prompt in the output. Here the shell reads a cell
from a file in memory and says on a pipe of its own that it is back at its prompt, so that output is never
mistaken for a prompt, standard error stays apart from standard output, and a cell costs no 150 ms.

Differences a client sees: the execute_reply has `kernelhub_exit_code`, the shell's last status; when that
is not 0, the reply is an error `ExitStatus` whose value is the number, or `KeyboardInterrupt`.
`metadata.kernelhub` of an execute_request may hold `env` (as for Python) and `stdin` (text).
"""

from __future__ import annotations

import re
import shlex
import signal
import os
from collections.abc import Callable
from typing import Any

from bash_kernel.display import CONTENT_DATA_PREFIXES, build_cmds, extract_contents
from bash_kernel.kernel import BashKernel as OriginalBashKernel
from kernelhub_kernel import KernelApp, environment_of, hub_metadata
from kernelhub_shell import Shell

INTERRUPTED = 128 + signal.SIGINT
RICH_PREFIXES = tuple(CONTENT_DATA_PREFIXES)


class RichText:
    """Splits a stream into plain text, sent at once, and the lines that stand for images and HTML."""

    def __init__(
        self, on_text: Callable[[str], None], on_content: Callable[[dict[str, Any]], None]
    ) -> None:
        self._on_text = on_text
        self._on_content = on_content
        self._held = ""

    def feed(self, text: str) -> None:
        text = self._held + text
        self._held = ""
        head, newline, tail = text.rpartition("\n")
        if tail and any(
            prefix.startswith(tail) or tail.startswith(prefix) for prefix in RICH_PREFIXES
        ):
            self._held = tail
            text = head + newline
        if text:
            self._send(text)

    def finish(self) -> None:
        if self._held:
            self._on_text(self._held)
        self._held = ""

    def _send(self, text: str) -> None:
        contents: list[dict[str, Any]] = []
        if any(prefix in text for prefix in RICH_PREFIXES):
            try:
                text, contents = extract_contents(text)
            except (OSError, ValueError, AttributeError) as error:
                text = f"display: {error}\n"
        if text:
            self._on_text(text)
        for content in contents:
            self._on_content(content)


class BashKernel(OriginalBashKernel):
    """Runs cells in one persistent interactive bash."""

    def _start_bash(self) -> None:
        self.bash = Shell(build_cmds())

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
        self.silent = silent
        stdout, stderr = (
            RichText(self._sender(name), self._display) for name in ("stdout", "stderr")
        )
        stdin = hub_metadata(cell_meta).get("stdin")
        restore = signal.signal(signal.SIGINT, lambda *_: self.bash.interrupt())
        try:
            ending = self.bash.run(
                code,
                stdout.feed,
                stderr.feed,
                environment_of(cell_meta),
                stdin if isinstance(stdin, str) else "",
            )
        finally:
            signal.signal(signal.SIGINT, restore)
            stdout.finish()
            stderr.finish()
        if ending.shell_is_gone:
            self._sender("stderr")(
                f"[bash ended with status {ending.status}; a new one is running, "
                "variables and functions are gone]\n"
            )
            self._start_bash()
        return self._reply(ending.status, ending.interrupted)

    def _reply(self, status: int, interrupted: bool) -> dict[str, Any]:
        reply: dict[str, Any] = {
            "status": "ok",
            "execution_count": self.execution_count,
            "kernelhub_exit_code": status,
            "payload": [],
            "user_expressions": {},
        }
        if interrupted or status != 0:
            error = (
                {"ename": "KeyboardInterrupt", "evalue": "", "traceback": []}
                if interrupted
                else {"ename": "ExitStatus", "evalue": str(status), "traceback": []}
            )
            if not self.silent:
                self.send_response(self.iopub_socket, "error", error)
            reply.update(error, status="error")
        return reply

    def _sender(self, name: str) -> Callable[[str], None]:
        def send(text: str) -> None:
            if not self.silent:
                self.send_response(self.iopub_socket, "stream", {"name": name, "text": text})

        return send

    def _display(self, content: dict[str, Any]) -> None:
        if self.silent:
            return
        if "display_id" in content.get("transient", {}):
            self._send_content_to_display_id(content)
        else:
            self.send_response(self.iopub_socket, "display_data", content)

    def _lines_of(self, command: str) -> list[str]:
        """Runs a command of ours in the shell and gives what it printed."""
        text: list[str] = []
        ending = self.bash.run(command, text.append, lambda _: None, {}, "")
        if ending.shell_is_gone:
            self._start_bash()
        return "".join(text).splitlines()

    def do_complete(self, code: str, cursor_pos: int) -> dict[str, Any]:
        token = re.split("[\t\n ;=\"'><|&()]+", code[:cursor_pos])[-1]
        if token.startswith("$"):
            names = self._lines_of(f"compgen -A variable -- {shlex.quote(token[1:])}")
            matches = ["$" + name for name in names]
        else:
            quoted = shlex.quote(token)
            matches = [
                path + "/" if os.path.isdir(os.path.expanduser(path)) else path
                for path in self._lines_of(f"compgen -f -- {quoted}")
            ]
            if token and "/" not in token:
                matches += self._lines_of(f"compgen -abck -A function -- {quoted}")
        return {
            "status": "ok",
            "matches": sorted({match for match in matches if match.startswith(token)}),
            "cursor_start": cursor_pos - len(token),
            "cursor_end": cursor_pos,
            "metadata": {},
        }


def main() -> None:
    app = KernelApp.instance(kernel_class=BashKernel)
    app.initialize()
    app.start()


if __name__ == "__main__":
    main()
