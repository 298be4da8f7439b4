"""Bad input: each gets the documented error, and nothing else changes."""

from __future__ import annotations

import httpx
import pytest

from conftest import Service

EXECUTE = "/api/v1/execute"


def check(reply: httpx.Response, status: int, code: str) -> dict[str, object]:
    assert reply.status_code == status, reply.text
    error = reply.json()["error"]
    assert error["code"] == code and error["message"] and error["request_id"] == reply.headers["x-request-id"]
    return error


def test_no_token_and_wrong_token(service: Service) -> None:
    check(httpx.post(service.url + EXECUTE, json={"code": "1"}), 401, "unauthorized")
    for header in ({"Authorization": "Bearer kh_wrong"}, {"X-API-Key": "nonsense"}, {"Authorization": "Basic eDp5"}):
        check(httpx.post(service.url + EXECUTE, json={"code": "1"}, headers=header), 401, "unauthorized")


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "token {}", "ApiKey {}"])
def test_each_form_of_a_good_token_works(service: Service, form: str) -> None:
    reply = httpx.get(service.url + "/api/v1/sessions", headers={"Authorization": form.format(service.key)})
    assert reply.status_code == 200


def test_token_in_query_and_api_key_header(service: Service) -> None:
    assert httpx.get(service.url + "/api/v1/sessions", params={"token": service.key}).status_code == 200
    assert httpx.get(service.url + "/api/v1/sessions", headers={"X-API-Key": service.key}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b"[]",
        b'"x"',
        b'{"code":"1"',
        b'{"code":"1",}',
        b'{"code":"1"} x',
        b'{"code":"1","code":"2"}',
        b'{"code":"a\\u0000b"}',
        b'{"code":"a\x00b"}',
        b'{"code":"\\ud800"}',
        b'{"code":"\xff\xfe"}',
        b'{"code":"1","labels":' + b'{"a":' * 100 + b"1" + b"}" * 100 + b"}",
        b'{"code":1}',
        b'{"nocode":"1"}',
        b'{"code":"1","timeout_seconds":-1}',
        b'{"code":"1","timeout_seconds":0}',
        b'{"code":"1","timeout_seconds":1e99}',
        b'{"code":"1","timeout_seconds":"5"}',
        b'{"code":"1","nonsense":1}',
        b'{"code":"1","language":"klingon"}',
        b'{"code":"1","execution_id":"not-a-uuid"}',
        b'{"code":"1","max_output_bytes":-5}',
        b'{"code":"1","on_disconnect":"explode"}',
        b'{"code":"1","env":{"A":1}}',
        b'{"code":"1","env":{"A=B":"x"}}',
    ],
)
def test_bad_bodies_are_invalid_requests(http: httpx.Client, body: bytes) -> None:
    check(http.post(EXECUTE, content=body), 400, "invalid_request")


def test_unknown_field_is_named(http: httpx.Client) -> None:
    error = check(http.post(EXECUTE, json={"code": "1", "tiemout_seconds": 3}), 400, "invalid_request")
    assert "tiemout_seconds" in error["message"]


def test_five_megabytes_of_code_are_too_large(http: httpx.Client) -> None:
    check(http.post(EXECUTE, json={"code": "#" * 5_000_000}), 413, "too_large")


def test_a_body_over_the_limit_is_too_large(http: httpx.Client) -> None:
    check(http.post(EXECUTE, content=b'{"code":"' + b"#" * 11_000_000 + b'"}'), 413, "too_large")


def test_unknown_things_are_not_found(http: httpx.Client) -> None:
    nobody = "00000000-0000-4000-8000-000000000001"
    check(http.get("/api/v1/sessions/no-such-session"), 404, "not_found")
    check(http.post("/api/v1/sessions/no-such-session/restart"), 404, "not_found")
    check(http.delete("/api/v1/sessions/no-such-session"), 404, "not_found")
    check(http.get(f"/api/v1/executions/{nobody}"), 404, "not_found")
    check(http.get(f"/api/v1/executions/{nobody}/events"), 404, "not_found")
    check(http.post(f"/api/v1/executions/{nobody}/interrupt"), 404, "not_found")
    check(http.get("/api/v1/nothing"), 404, "not_found")


def test_wrong_method_names_the_right_ones(http: httpx.Client) -> None:
    reply = http.delete(EXECUTE)
    check(reply, 405, "method_not_allowed")
    assert "POST" in reply.headers["allow"]


def test_bad_query_parameters(http: httpx.Client) -> None:
    check(http.get("/api/v1/executions", params={"limit": "x"}), 400, "invalid_request")
    check(http.get("/api/v1/executions", params={"since": "yesterday"}), 400, "invalid_request")
    check(http.get("/api/v1/executions", params={"status": "fine"}), 400, "invalid_request")
    check(http.get("/api/v1/executions", params={"cursor": "\x01"}), 400, "invalid_request")


def test_a_foreign_host_header_is_refused(service: Service) -> None:
    reply = httpx.get(service.url + "/api/v1/sessions", headers={"Host": "evil.example", "X-API-Key": service.key})
    assert reply.status_code == 403


def test_admin_paths_are_for_admins(http: httpx.Client, service: Service) -> None:
    http.post("/api/v1/admin/users", json={"name": "plain"})
    key = http.post("/api/v1/admin/keys", json={"user": "plain", "name": "k"}).json()["key"]
    with service.client(key) as other:
        check(other.get("/api/v1/admin/users"), 403, "forbidden")
        assert other.get("/api/v1/sessions").status_code == 200
    assert http.delete("/api/v1/admin/users/plain").status_code == 204
    with service.client(key) as other:
        check(other.get("/api/v1/sessions"), 401, "unauthorized")
