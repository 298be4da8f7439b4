"""One persistent interactive bash, run cell by cell.

    kernel ── pty ─────► bash      one short line per cell: "read what is in the file and run it"
           ── memory ──► bash      the cell, its environment, its standard input
           ◄─ pty ────── stdout    terminals, so that programs write line by line
           ◄─ pty ────── stderr
           ◄─ pipe ───── "begun", and the last status when the shell is back at its prompt

The shell is interactive because only then SIGINT ends whatever runs (a loop of builtins too) and leaves
the shell alive. Back at its prompt it runs PROMPT_COMMAND, after an interrupt too: that puts variables
back and says that the cell is over.
"""

from __future__ import annotations

import codecs
import errno
import os
import pty
import re
import secrets
import select
import shlex
import signal
import struct
import termios
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from fcntl import ioctl

CHUNK_BYTES = 65536
ROWS, COLUMNS = 24, 80
LATE_OUTPUT_S = 1.0  # how long the end marks may take once the shell said that it is done
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# Numbers of the shell's own file descriptors, out of the way of those that people use.
FD_OUT, FD_ERR, FD_STATUS, FD_CELL, FD_STDIN = 250, 251, 252, 253, 254

# The line typed for each cell.
RUN = (
    f" IFS= read -r -d '' __kernelhub_script </proc/self/fd/{FD_CELL} || :;"
    ' eval -- "$__kernelhub_script"\n'
)

AT_PROMPT = (
    '{ : "${__kernelhub_status:=$?}"; eval -- "$__kernelhub_restore"; __kernelhub_restore=; '
    rf"printf '\036%s\036' \"$__kernelhub_id\" >&{FD_OUT}; "
    rf"printf '\036%s\036' \"$__kernelhub_id\" >&{FD_ERR}; "
    rf"printf '%s %s\n' \"$__kernelhub_id\" \"$__kernelhub_status\" >&{FD_STATUS}; }} 2>/dev/null"
).replace('\\"', '"')

SET_PROMPT = f"PROMPT_COMMAND={shlex.quote(AT_PROMPT)} PS0= PS1= PS2="


def cell_script(cell: str, wanted: dict[str, str | None], cell_id: str) -> str:
    """The text that runs one cell with some variables set."""
    lines = [
        f"__kernelhub_id={cell_id} __kernelhub_restore=",
        f'printf "%s begun\\n" {cell_id} >&{FD_STATUS}',
    ]
    for name, value in wanted.items():
        if not VARIABLE.fullmatch(name):
            continue
        # What will put it back: unset first, since declare alone would leave "exported" as it is.
        lines.append(
            f"__kernelhub_restore+='unset -v {name}; '\"$(declare -p {name} 2>/dev/null || :)\"$'\\n'"
        )
        assign = f"unset -v {name}" if value is None else f"export {name}={shlex.quote(value)}"
        lines.append(assign)
    lines.append("unset -v __kernelhub_script __kernelhub_status")
    lines.append(f"eval -- {shlex.quote(cell)} </proc/self/fd/{FD_STDIN}")
    # Said again: the cell may have changed the prompt, as people's ~/.bashrc do.
    lines.append(f"{{ __kernelhub_status=$?; {SET_PROMPT}; }} 2>/dev/null")
    return "\n".join(lines) + "\n"


@dataclass
class Ending:
    """How a cell ended. `interrupted` only when the interrupt is what ended it."""

    status: int
    interrupted: bool
    shell_is_gone: bool


class Stream:
    """The reading end of one of the shell's terminals: text, without the end marks."""

    def __init__(self, fd: int, nonce: str) -> None:
        self.fd = fd
        self.at_mark = False
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._mark = re.compile(f"\036({nonce}\\d+)\036")
        self._longest_mark = len(nonce) + 22
        self._held = ""

    def read(self, cell_id: str) -> str:
        """What has arrived, at most a chunk; sets at_mark when the cell's end mark was in it."""
        try:
            data = os.read(self.fd, CHUNK_BYTES)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EIO):  # EIO: nobody has the terminal open
                return ""
            raise
        text = self._held + self._decoder.decode(data)
        self._held = ""
        if "\036" not in text:
            return text
        for found in self._mark.findall(text):
            if found == cell_id:
                self.at_mark = True
        text = self._mark.sub("", text)
        start = text.rfind("\036")
        if start >= 0 and len(text) - start < self._longest_mark:  # perhaps the beginning of a mark
            self._held = text[start:]
            text = text[:start]
        return text

    def rest(self) -> str:
        text, self._held = self._held, ""
        return text


class Shell:
    """Starts bash and runs cells in it. One thread uses it; interrupt() may come from a signal handler."""

    def __init__(self, start_up: str) -> None:
        self._nonce = secrets.token_hex(8) + "-"
        self._cells = 0
        self._interrupts = 0
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._gone = False
        self._spawn()
        ending = self.run(
            f"set +m +H +o history; unset HISTFILE\n{start_up}",
            lambda _: None,
            lambda _: None,
            {},
            "",
        )
        if ending.status != 0:
            raise RuntimeError(f"bash did not start: status {ending.status}")

    def _spawn(self) -> None:
        out_master, out_slave = pty.openpty()
        err_master, err_slave = pty.openpty()
        for fd in (out_slave, err_slave):
            mode = termios.tcgetattr(fd)
            mode[1] &= ~termios.OPOST
            mode[3] &= ~(termios.ECHO | termios.ECHONL)
            termios.tcsetattr(fd, termios.TCSANOW, mode)
            ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        status_read, status_write = os.pipe2(os.O_CLOEXEC)
        self._cell_file = os.memfd_create("cell")
        self._stdin_file = os.memfd_create("stdin")
        inherited = {
            0: out_slave,
            1: out_slave,
            2: err_slave,
            FD_OUT: out_slave,
            FD_ERR: err_slave,
            FD_STATUS: status_write,
            FD_CELL: self._cell_file,
            FD_STDIN: self._stdin_file,
        }
        self.pid = os.fork()
        if self.pid == 0:
            self._become_bash(inherited)
        for fd in (out_slave, err_slave, status_write):
            os.close(fd)
        for fd in (out_master, err_master, status_read):
            os.set_blocking(fd, False)
            os.set_inheritable(fd, False)
        self._terminal = out_master
        self._status_fd = status_read
        self._status_text = ""
        self._out = Stream(out_master, self._nonce)
        self._err = Stream(err_master, self._nonce)
        os.write(self._terminal, f" {SET_PROMPT} __kernelhub_restore= __kernelhub_id=0\n".encode())
        threading.Thread(target=self._wait_for_end, args=(self.pid,), daemon=True).start()

    @staticmethod
    def _become_bash(inherited: dict[int, int]) -> None:
        """In the child: a session of its own, its terminal, signals as a login would give them."""
        try:
            os.setsid()
            ioctl(inherited[0], termios.TIOCSCTTY, 0)
            for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGQUIT):
                signal.signal(number, signal.SIG_DFL)
            for target, fd in inherited.items():
                os.dup2(fd, target, inheritable=True)
            os.closerange(3, FD_OUT)
            os.execvp("bash", ["bash", "--noprofile", "--norc", "--noediting", "-i"])
        finally:
            os._exit(127)

    def _wait_for_end(self, pid: int) -> None:
        _, wait_status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(wait_status)
        self._exit_status = code if code >= 0 else 128 - code
        self._gone = True
        os.write(self._wake_write, b"x")

    def interrupt(self) -> None:
        """Interrupts the running cell. Safe in a signal handler."""
        self._interrupts += 1
        try:
            os.write(self._wake_write, b"i")
        except BlockingIOError:
            pass

    def run(
        self,
        cell: str,
        on_stdout: Callable[[str], None],
        on_stderr: Callable[[str], None],
        variables: dict[str, str | None],
        stdin: str,
    ) -> Ending:
        """Runs one cell to its end, handing on output as it comes."""
        self._cells += 1
        cell_id = f"{self._nonce}{self._cells}"
        self._fill(self._stdin_file, stdin)
        self._fill(self._cell_file, cell_script(cell.replace("\0", ""), variables, cell_id))
        os.write(self._terminal, RUN.encode())
        run = _Run(self, cell_id, on_stdout, on_stderr)
        return run.to_the_end()

    @staticmethod
    def _fill(fd: int, text: str) -> None:
        data = text.encode("utf-8", "surrogateescape")
        os.ftruncate(fd, 0)
        done = 0
        while done < len(data):
            done += os.pwrite(fd, data[done:], done)

    def close(self) -> None:
        for fd in (self._terminal, self._err.fd, self._status_fd, self._wake_read):
            os.close(fd)
        os.close(self._cell_file)
        os.close(self._stdin_file)


class _Run:
    """One cell on its way."""

    def __init__(
        self,
        shell: Shell,
        cell_id: str,
        on_stdout: Callable[[str], None],
        on_stderr: Callable[[str], None],
    ) -> None:
        self._shell = shell
        self._cell_id = cell_id
        self._streams = ((shell._out, on_stdout), (shell._err, on_stderr))
        self._begun = False
        self._status: int | None = None
        self._delivered = 0
        self._interrupted = False
        shell._interrupts = 0
        for stream, _ in self._streams:
            stream.at_mark = False

    def to_the_end(self) -> Ending:
        shell = self._shell
        poller = select.poll()
        for fd in (shell._out.fd, shell._err.fd, shell._status_fd, shell._wake_read):
            poller.register(fd, select.POLLIN)
        give_up_at = float("inf")
        while not self._is_over():
            wait_s = give_up_at - time.monotonic()
            if wait_s <= 0:
                break
            for fd, _ in poller.poll(None if wait_s == float("inf") else wait_s * 1000):
                self._on_readable(fd, poller)
            self._pass_interrupts_on()
            if (self._status is not None or shell._gone) and give_up_at == float("inf"):
                give_up_at = time.monotonic() + (LATE_OUTPUT_S if not shell._gone else 0.05)
        for stream, send in self._streams:
            if text := stream.rest():
                send(text)
        gone = shell._gone and self._status is None
        status = shell._exit_status if gone else (self._status or 0)
        if gone:
            shell.close()
        # A cell that caught the signal and went on to a good end was not interrupted.
        return Ending(status, self._interrupted and status != 0, gone)

    def _is_over(self) -> bool:
        return self._status is not None and all(stream.at_mark for stream, _ in self._streams)

    def _on_readable(self, fd: int, poller: select.poll) -> None:
        shell = self._shell
        if fd == shell._wake_read:
            os.read(fd, CHUNK_BYTES)
        elif fd == shell._status_fd:
            self._read_status(poller)
        else:
            for stream, send in self._streams:
                if stream.fd == fd:
                    text = stream.read(self._cell_id)
                    if text:
                        send(text)
                    elif shell._gone:
                        poller.unregister(fd)

    def _read_status(self, poller: select.poll) -> None:
        shell = self._shell
        data = os.read(shell._status_fd, CHUNK_BYTES)
        if not data:
            poller.unregister(shell._status_fd)
        shell._status_text += data.decode("ascii", "replace")
        *lines, shell._status_text = shell._status_text.split("\n")
        for line in lines:
            name, _, value = line.partition(" ")
            if name != self._cell_id:
                continue
            if value == "begun":
                self._begun = True
            elif value.isdigit():
                self._status = int(value)

    def _pass_interrupts_on(self) -> None:
        """Only when the cell has begun: before that, SIGINT would make the shell forget the line typed."""
        shell = self._shell
        if not self._begun or self._status is not None or self._delivered == shell._interrupts:
            return
        self._delivered = shell._interrupts
        self._interrupted = True
        try:
            os.killpg(os.tcgetpgrp(shell._terminal), signal.SIGINT)
        except OSError:
            os.kill(shell.pid, signal.SIGINT)
