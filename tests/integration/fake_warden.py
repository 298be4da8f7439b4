"""Stands where kernelhub-warden stands and breaks the link's rules, one at a time.

The file `mode` beside it says which: without it the real warden is run. It is a program: the keeper starts it with the
warden's own arguments; tests/integration/test_fake_warden.py puts it in place.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import struct
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(sys.argv[0]).resolve().parent
KEEPER_FD = 3

HELLO, START, STOP, EXECUTE, MESSAGE, INTERRUPT, ACK, SAMPLE = range(1, 9)
KERNEL, END, GAP, USAGE, ERROR = range(16, 21)
IOPUB = 3
NONE = uuid.UUID(int=0)


def frame(kind: int, parts: list[bytes], number: int = 0, kernel: uuid.UUID = NONE, execution: uuid.UUID = NONE, channel: int = 0) -> bytes:
    body = struct.pack(">BBHQ", kind, channel, len(parts), number) + kernel.bytes + execution.bytes
    body += b"".join(struct.pack(">I", len(p)) for p in parts) + b"".join(parts)
    return struct.pack(">I", len(body)) + body


class Link:
    """The connection to the hub, as a proper warden would hold it."""

    def __init__(self, connection: socket.socket, options: argparse.Namespace, given: dict[str, Any]) -> None:
        self.socket = connection
        self.options = options
        self.given = given
        self.number = 0
        self.kernel = self.execution = NONE
        self.buffer = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self) -> tuple[int, uuid.UUID, uuid.UUID, list[bytes]]:
        while len(self.buffer) < 4 or len(self.buffer) < 4 + struct.unpack(">I", self.buffer[:4])[0]:
            data = self.socket.recv(1 << 16)
            if not data:
                raise EOFError
            self.buffer += data
        (length,) = struct.unpack(">I", self.buffer[:4])
        body, self.buffer = self.buffer[4 : 4 + length], self.buffer[4 + length :]
        kind, _, n, _ = struct.unpack_from(">BBHQ", body)
        at = 44 + 4 * n
        parts = []
        for size in struct.unpack_from(f">{n}I", body, 44):
            parts.append(body[at : at + size])
            at += size
        return kind, uuid.UUID(bytes=body[12:28]), uuid.UUID(bytes=body[28:44]), parts

    def hello_text(self, **other: object) -> bytes:
        text: dict[str, object] = {"version": 1, "sandbox_id": self.options.sandbox, "epoch": self.options.epoch}
        text |= {"first": self.number + 1, "kernels": [], "executions": []}
        return json.dumps(text | other).encode()

    def hello(self, **other: object) -> None:
        self.send(frame(HELLO, [self.hello_text(**other)]))

    def numbered(self, kind: int, *parts: bytes, **ids: Any) -> None:
        self.number += 1
        ids = {"kernel": self.kernel, "execution": self.execution} | ids
        self.send(frame(kind, list(parts), self.number, **ids))

    def say_kernel(self, state: str) -> None:
        text = {"state": state, "exit_code": None, "signal": None, "oom": False, "expected": False, "reason": "", "output": ""}
        self.numbered(KERNEL, json.dumps(text).encode(), b"{}", execution=NONE)

    def output(self, content: bytes, msg_type: str = "stream") -> None:
        header = {"msg_id": str(uuid.uuid4()), "msg_type": msg_type, "username": "u", "session": "s", "date": "", "version": "5.4"}
        parent = json.dumps({"msg_id": str(self.execution)}).encode()
        self.numbered(MESSAGE, json.dumps(header).encode(), parent, b"{}", content, channel=IOPUB)

    def end(self) -> None:
        text = {"how": "done", "complete": True, "started": True, "interrupted": False, "timed_out": False, "oom": False}
        self.numbered(END, json.dumps(text | {"exit_code": None, "signal": None, "duration_us": 5, "usage": {}}).encode())

    def until_execute(self) -> None:
        """Does all a warden does until code comes."""
        while True:
            kind, kernel, execution, _ = self.read()
            if kind == START:
                self.kernel = kernel
                self.say_kernel("starting")
                self.say_kernel("ready")
            if kind == EXECUTE:
                self.execution = execution
                return


DEEP = b"[" * 100 + b"]" * 100
BAD_JSON = [b'{"how":', b"\0", b'{"how":"done\0"}', b'{"how":' + DEEP + b"}", b"\xff\xfe", b"", b'"text"', b'{"how":"done"}' * 2]


def no_hello(link: Link) -> None:
    pass


def hello_of_another_version(link: Link) -> None:
    link.hello(version=99)


def hello_of_another_sandbox(link: Link) -> None:
    link.hello(sandbox_id=str(uuid.uuid4()))


def hello_without_epoch(link: Link) -> None:
    link.hello(epoch=7)


def hello_that_is_no_json(link: Link) -> None:
    link.send(frame(HELLO, [b'{"version":1']))


def hello_without_a_part(link: Link) -> None:
    link.send(frame(HELLO, []))


def a_frame_before_hello(link: Link) -> None:
    link.send(frame(USAGE, [b"{}"]))


def hello_twice(link: Link) -> None:
    link.hello()


def a_length_without_end(link: Link) -> None:
    link.send(b"\xff\xff\xff\xff" + b"x" * 1000)


def an_empty_frame(link: Link) -> None:
    link.send(b"\0\0\0\0")


def a_frame_that_is_too_short(link: Link) -> None:
    link.send(struct.pack(">I", 10) + b"\x11" * 10)


def parts_that_do_not_fit(link: Link) -> None:
    data = bytearray(frame(END, [b"{}"], link.number + 1))
    data[48:52] = b"\x7f\xff\xff\xff"
    link.send(bytes(data))


def an_unknown_type(link: Link) -> None:
    link.send(frame(200, [b"{}"]))


def an_order(link: Link) -> None:
    link.send(frame(EXECUTE, [b"{}"] * 5, 0, link.kernel, link.execution))


def an_end_without_number(link: Link) -> None:
    link.send(frame(END, [b'{"how":"done"}'], 0, link.kernel, link.execution))


def a_number_where_none_belongs(link: Link) -> None:
    link.send(frame(USAGE, [b"{}"], link.number + 1))


def numbers_that_go_backwards(link: Link) -> None:
    link.number -= 1
    link.output(b'{"name":"stdout","text":"x"}')


def numbers_with_a_hole(link: Link) -> None:
    link.number += 1
    link.output(b'{"name":"stdout","text":"x"}')


def a_flood_that_waits_for_no_ack(link: Link) -> None:
    text = b'{"name":"stdout","text":"' + b"y" * 500_000 + b'"}'
    for _ in range(200):
        link.number += 1
        link.send(frame(MESSAGE, [b'{"msg_id":"m","msg_type":"stream"}', b"{}", b"{}", text], link.number, link.kernel, link.execution, 3))
    link.end()


def a_foreign_execution(link: Link) -> None:
    link.numbered(END, b'{"how":"done","complete":true}', execution=uuid.UUID(link.given["execution"]))


def a_foreign_execution_under_a_foreign_kernel(link: Link) -> None:
    link.numbered(END, b'{"how":"done","complete":true}', execution=uuid.UUID(link.given["execution"]), kernel=uuid.UUID(link.given["kernel"]))


def output_of_a_foreign_execution(link: Link) -> None:
    link.execution = uuid.UUID(link.given["execution"])
    link.output(b'{"name":"stdout","text":"forged"}')


def the_death_of_a_foreign_kernel(link: Link) -> None:
    link.kernel = uuid.UUID(link.given["kernel"])
    link.say_kernel("dead")


def a_kernel_state_that_is_no_json(link: Link) -> None:
    link.numbered(KERNEL, b'{"state":"dea', execution=NONE)


def a_kernel_state_with_a_nul(link: Link) -> None:
    link.numbered(KERNEL, b'{"state":"dead"}\0', execution=NONE)


def a_kernel_state_too_deep(link: Link) -> None:
    link.numbered(KERNEL, b'{"state":"dead","x":' + DEEP + b"}", execution=NONE)


def a_kernel_state_without_a_part(link: Link) -> None:
    link.numbered(KERNEL, execution=NONE)


def an_end_that_is_no_json(link: Link) -> None:
    link.numbered(END, b'{"how":')


def an_end_too_deep(link: Link) -> None:
    link.numbered(END, b'{"how":' + DEEP + b"}")


def an_end_without_a_part(link: Link) -> None:
    link.numbered(END)


def a_gap_that_is_no_json(link: Link) -> None:
    link.numbered(GAP, b"gap")


def silence(link: Link) -> None:
    pass


def nonsense_for_outputs(link: Link) -> None:
    """What a kernel may have sent is no fault of its warden: all of it is borne, and the code ends well."""
    for kind in ("stream", "display_data", "execute_result", "error", "status", "clear_output", "no_such_type"):
        for bad in BAD_JSON:
            link.output(bad, kind)
    for n in range(5):
        link.numbered(MESSAGE, *([b"{"] * n), channel=IOPUB)
    for execution in (NONE, uuid.uuid4()):
        link.numbered(MESSAGE, b"{}", b"{}", b"{}", b"{}", channel=IOPUB, execution=execution)
    link.numbered(END, b"{}", kernel=uuid.uuid4(), execution=NONE)
    link.send(frame(ERROR, [b"{"], 0, link.kernel))
    link.send(frame(USAGE, [b"{"]))
    link.end()


# These come in place of a hello; the rest when code has come.
AT_ONCE = (no_hello, hello_of_another_version, hello_of_another_sandbox, hello_without_epoch, hello_that_is_no_json, hello_without_a_part, a_frame_before_hello)
WITH_CODE = (
    hello_twice, a_length_without_end, an_empty_frame, a_frame_that_is_too_short, parts_that_do_not_fit, an_unknown_type, an_order, an_end_without_number,
    a_number_where_none_belongs, numbers_that_go_backwards, numbers_with_a_hole, a_foreign_execution,
    a_foreign_execution_under_a_foreign_kernel, output_of_a_foreign_execution, the_death_of_a_foreign_kernel, a_kernel_state_that_is_no_json, a_kernel_state_with_a_nul,
    a_kernel_state_too_deep, a_kernel_state_without_a_part, an_end_that_is_no_json, an_end_too_deep, an_end_without_a_part, a_gap_that_is_no_json, silence,
)  # fmt: skip
BORNE = (nonsense_for_outputs, a_flood_that_waits_for_no_ack)
FAULTS: dict[str, Callable[[Link], None]] = {f.__name__: f for f in AT_ONCE + WITH_CODE + BORNE}


def listen(path: str, kind: int, uid: int, gid: int, mode: int) -> socket.socket:
    Path(path).unlink(missing_ok=True)
    s = socket.socket(socket.AF_UNIX, kind)
    s.bind(path)
    os.chown(path, uid, gid)
    os.chmod(path, mode)
    s.listen(8)
    return s


def serve(link: Link, fault: Callable[[Link], None]) -> None:
    assert link.read()[0] == HELLO
    if fault not in AT_ONCE:
        link.hello()
        link.until_execute()
    fault(link)
    while True:  # until the hub has had enough
        link.read()


def main() -> None:
    mode = HERE / "mode"
    if not mode.exists():
        os.execv(HERE / "real-warden", sys.argv)
    given = json.loads(mode.read_text())
    parser = argparse.ArgumentParser()
    for name in ("sandbox", "dir", "uid", "gid", "hub-gid", "keeper", "epoch"):
        parser.add_argument(f"--{name}")
    options, _ = parser.parse_known_args()
    keeper = socket.socket(fileno=KEEPER_FD)
    listener = listen(f"{options.dir}/link.sock", socket.SOCK_STREAM, int(options.uid), int(options.hub_gid), 0o660)
    init = listen(f"{options.dir}/wall/init.sock", socket.SOCK_SEQPACKET, int(options.uid), int(options.gid), 0o666)
    keeper.send(b"listening")
    keeper.recv(16384)
    keeper.send(b"ready")
    until = time.monotonic() + 120  # a test that was killed leaves nothing for ever
    while time.monotonic() < until:
        listener.settimeout(120)
        connection, _ = listener.accept()
        connection.settimeout(120)
        try:
            serve(Link(connection, options, given), FAULTS[given["fault"]])
        except (EOFError, ConnectionError, TimeoutError):
            connection.close()
    init.close()


if __name__ == "__main__":
    main()
