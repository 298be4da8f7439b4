"""Bodies, as strict as API.md says."""

from __future__ import annotations

import json
import socket

import pytest

EXECUTE = "/api/v1/execute"
MIB = 1 << 20


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"", "empty"),
        (b"{", "line 1"),
        (b'{"code": "1"', "line 1"),
        (b'{"code": "1"} x', "line 1, column"),
        (b'{"code":\n "1",}', "line 2"),
        (b"[]", "object"),
        (b'"x"', "object"),
        (b"null", "object"),
        (b'{"code": "a\x00b"}', "control character 0x0"),
        (b'{"code": "a\\u0000b"}', "line 1"),
        (b"\x00", "column 1: a NUL byte"),
        (b'{"code": "\\ud800"}', "line 1"),
        (b'{"code": "\\udc00\\ud800"}', "line 1"),
        (b'{"code": "\xff"}', "line 1"),
        (b'{"code": "\xed\xa0\x80"}', "line 1"),
        (b'\xef\xbb\xbf{"code": "1"}', "line 1"),
        (b'{"code": "1", "code": "2"}', "duplicate"),
        (b'{"code": "1", "labels": {"a": "1", "a": "2"}}', "duplicate"),
        (b'{"code": "1", "x": ' + b"[" * 70 + b"]" * 70 + b"}", "64 levels"),
        (b'{"code": "1", "x": [' + b"0," * 30000 + b"0]}", "20000 values"),
        (b'{"code": "1", "timeout_seconds": 1e999}', "line 1"),
        (b'{"code": "1", "timeout_seconds": NaN}', "line 1"),
        (b'{"code": "1", "timeout_seconds": 01}', "line 1"),
        (b"{'code': '1'}", "line 1"),
    ],
)
def test_broken_json_is_400_and_names_the_place(server, body, place):
    reply = server.ask("POST", EXECUTE, body)
    assert (reply.status, reply.error["code"]) == (400, "invalid_request")
    assert place in reply.error["message"]


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"bogus": 1}, "unknown field"),
        ({"code": None}, "'code' is missing"),
        ({"code": 5}, "'code' has to be a string"),
        ({"language": ""}, "'language'"),
        ({"language": ["python"]}, "'language'"),
        ({"language": "x" * 256}, "limit is 255"),
        ({"timeout_seconds": -1}, "'timeout_seconds' is -1"),
        ({"timeout_seconds": 0}, "'timeout_seconds' is 0"),
        ({"timeout_seconds": 86401}, "limits/max_timeout_seconds"),
        ({"timeout_seconds": "30"}, "a number"),
        ({"timeout_seconds": True}, "a number"),
        ({"queue_timeout_seconds": -0.5}, "queue_timeout_seconds"),
        ({"max_output_bytes": 1.5}, "whole number"),
        ({"max_output_bytes": 1 << 40}, "limits/max_output_bytes"),
        ({"persistent": "yes"}, "true or false"),
        ({"execution_id": "abc"}, "UUID"),
        ({"env": {"A": 1}}, "'env'"),
        ({"env": {"A=B": "1"}}, "'env'"),
        ({"env": {"": "1"}}, "'env'"),
        ({"env": []}, "object of strings"),
        ({"labels": {str(i): "" for i in range(300)}}, "256 entries"),
        ({"on_disconnect": "explode"}, "continue interrupt"),
        ({"on_disconnect": "continue interrupt"}, "continue interrupt"),
        ({"language": "klingon"}, "klingon"),
    ],
)
def test_a_wrong_field_is_400_and_named(server, fields, part):
    reply = server.ask("POST", EXECUTE, {"code": "pass", **fields})
    assert (reply.status, reply.error["code"]) == (400, "invalid_request")
    assert part in reply.error["message"]


def test_unknown_field_says_what_is_allowed(server):
    message = server.ask("POST", EXECUTE, {"code": "1", "tiemout": 3}).error["message"]
    assert '"tiemout"' in message and "timeout_seconds" in message and "on_disconnect" in message


def test_all_fields_are_taken(server):
    reply = server.execute(
        "pass", language="python", session="s", execution_id="6b0f0c6e-1111-4111-8111-0123456789AB", persistent=True,
        template="slim", timeout_seconds=0.5, queue_timeout_seconds=3, env={"A_1": "ü\n"}, stdin="", labels={"k v": "x"},
        on_disconnect="interrupt", queue=False, max_output_bytes=1000,
    )  # fmt: skip
    assert reply.status == 200
    assert reply.json["execution_id"] == "6b0f0c6e-1111-4111-8111-0123456789ab"


def test_null_is_not_given(server):
    assert server.execute("pass", language=None, env=None, timeout_seconds=None, queue=None).status == 200


def test_the_content_type_does_not_matter(server):
    assert server.ask("POST", EXECUTE, {"code": "pass"}, Content_Type="text/plain").status == 200
    assert server.ask("POST", EXECUTE, {"code": "pass"}, Content_Type="application/x-www-form-urlencoded").status == 200


def test_empty_code_is_code(server):
    assert server.execute("").status == 200


def test_code_above_the_limit_is_413(server):
    assert server.execute("#" * MIB).status == 200
    for n in (MIB + 1, 5 * MIB):
        reply = server.execute("#" * n)
        assert (reply.status, reply.error["code"]) == (413, "too_large")
        assert str(MIB) in reply.error["message"] and "'code'" in reply.error["message"]


def test_a_body_above_the_limit_is_413_and_the_connection_goes_on(server):
    connection = server.connection()
    for _ in range(2):
        reply = server.ask("POST", EXECUTE, b" " * (10 * MIB + 1), connection=connection)
        assert (reply.status, reply.error["code"]) == (413, "too_large")
        assert str(10 * MIB) in reply.error["message"]
        assert server.ask("POST", EXECUTE, {"code": "pass"}, connection=connection).status == 200


def test_a_chunked_body_is_taken_and_bounded(server):
    text = json.dumps({"code": "pass", "stdin": "y" * 300000}).encode()
    pieces = [text[i : i + 1000] for i in range(0, len(text), 1000)]
    assert server.ask("POST", EXECUTE, iter(pieces)).status == 200
    reply = server.ask("POST", EXECUTE, (b" " * 65536 for _ in range(200)))
    assert (reply.status, reply.error["code"]) == (413, "too_large")


def test_a_refused_body_is_read_to_its_end(server):
    connection = server.connection()
    assert server.ask("POST", EXECUTE, b"x" * (3 * MIB), key=None, connection=connection).status == 401
    assert server.ask("POST", "/nothing", b"x" * MIB, connection=connection).status == 404
    assert server.ask("GET", "/health", connection=connection).status == 200


def test_who_asks_before_sending_is_answered_before(server):
    s = server.raw(
        b"POST /api/v1/execute HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer kh_admin\r\n"
        b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"
    )
    assert s.recv(4096).startswith(b"HTTP/1.1 413 ")
    s.close()
    s = server.raw(
        b"POST /api/v1/execute HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer kh_admin\r\n"
        b"Expect: 100-continue\r\nContent-Length: 15\r\n\r\n"
    )
    assert s.recv(4096).startswith(b"HTTP/1.1 100 ")
    s.sendall(b'{"code":"pass"}')
    assert s.recv(4096).startswith(b"HTTP/1.1 200 ")
    s.close()


def test_a_body_in_single_bytes(server):
    s = server.raw(b"POST /api/v1/execute HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer kh_admin\r\nContent-Length: 15\r\n\r\n")
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in b'{"code":"pass"}':
        s.sendall(bytes([byte]))
    assert s.recv(4096).startswith(b"HTTP/1.1 200 ")
    s.close()


def test_a_post_that_wants_no_body_takes_none_or_an_empty_object(server):
    path = "/api/v1/sessions/python/restart"
    server.ask("POST", "/api/v1/sessions", {})
    assert server.ask("POST", path).status == 200
    assert server.ask("POST", path, b" {} ").status == 200
    assert server.ask("POST", path, {"x": 1}).status == 400
    assert server.ask("POST", path, b" " * 5000).status == 413
