from __future__ import annotations

import time

import pytest

from kernelhub._sse import SseMessage, SseParser
from kernelhub.errors import ProtocolError

BODY = (
    "\ufeff: a comment\r\n"
    "id: 1\r\ndata: zwölf\r\n\r\n"
    "id:2\ndata:a\ndata: b\ndata:\n\n"
    "event: x\nretry: 5\nwhat\n\n"
    "data:  two blanks\r\rid: 3\rdata: 🙂\r\r"
    ":\n\n"
    "data: c\r\ndata: d\r\n\r\n"
    "data: unfinished"
).encode()
MESSAGES = [
    SseMessage("zwölf", "1"),
    SseMessage("a\nb\n", "2"),
    SseMessage(" two blanks", "2"),
    SseMessage("🙂", "3"),
    SseMessage("c\nd", "3"),
]


def test_all_line_ends_comments_ids_and_lines_of_data():
    assert SseParser().feed(BODY) == MESSAGES


@pytest.mark.parametrize("size", [1, 2, 3, 5, 17])
def test_pieces_of_any_size_give_the_same(size):
    parser = SseParser()
    pieces = (BODY[i : i + size] for i in range(0, len(BODY), size))
    assert [m for piece in pieces for m in parser.feed(piece)] == MESSAGES


def test_any_two_splits_give_the_same():
    for one in range(len(BODY)):
        for two in range(one, min(one + 12, len(BODY))):
            parser = SseParser()
            parts = (BODY[:one], BODY[one:two], BODY[two:])
            assert [m for part in parts for m in parser.feed(part)] == MESSAGES


def test_an_endless_message_is_refused():
    parser = SseParser(max_message_bytes=100)
    for _ in range(6):
        parser.feed(b"data: 0123456789")
    with pytest.raises(ProtocolError):
        parser.feed(b"data: 0123456789")


def test_many_small_messages_are_not_an_endless_one():
    parser = SseParser(max_message_bytes=100)
    assert sum(len(parser.feed(b"data: 0123456789\n\n")) for _ in range(50)) == 50


def test_a_line_of_megabytes_takes_linear_time():
    parser = SseParser()
    start = time.monotonic()
    for _ in range(2000):
        parser.feed(b"x" * 8192)
    assert time.monotonic() - start < 2
