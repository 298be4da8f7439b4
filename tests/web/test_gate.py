"""Who may come in, and where to."""

from __future__ import annotations

import pytest

API = "/api/v1"


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer kh_admin"},
        {"Authorization": "bearer   kh_admin"},
        {"Authorization": "token kh_admin"},
        {"Authorization": "APIKEY kh_admin"},
        {"X_API_Key": "kh_admin"},
        {"Authorization": "Basic Zm9vOmJhcg==", "X_API_Key": "kh_admin"},
    ],
)
def test_a_token_is_taken_in_every_header_form(server, headers):
    assert server.ask("GET", API + "/languages", key=None, **headers).status == 200


@pytest.mark.parametrize("path", [f"{API}/languages?token=kh_admin", f"/t/kh_admin{API}/languages"])
def test_a_token_is_taken_from_the_address(server, path):
    assert server.ask("GET", path, key=None).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer kh_wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "kh_admin"},
        {"Authorization": "Basic a2hfYWRtaW46"},
        {"X_API_Key": ""},
        {"Authorization": "Bearer " + "x" * 9000},
    ],
)
def test_without_a_good_token_it_is_401(server, headers):
    reply = server.ask("GET", API + "/sessions", key=None, **headers)
    assert reply.status == 401
    assert reply.error["code"] == "unauthorized"
    assert reply.error["hint"]
    assert reply.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", API + "/health", "/docs", API + "/openapi.json", "/docs/style.css"])
def test_health_and_docs_need_no_token(server, path):
    assert server.ask("GET", path, key=None).status == 200


def test_metrics_from_loopback_need_a_token_only_when_forwarded(server):
    assert b"kernelhub_http_requests_total" in server.ask("GET", "/metrics", key=None).body
    assert server.ask("GET", "/metrics", key=None, X_Forwarded_For="10.0.0.1").status == 401
    assert server.ask("GET", "/metrics", X_Forwarded_For="10.0.0.1").status == 200


def test_metrics_need_a_token_when_configured(start):
    assert start("metrics=always").ask("GET", "/metrics", key=None).status == 401
    assert start("metrics=never").ask("GET", "/metrics", key=None, X_Forwarded_For="1.1.1.1").status == 200


def test_auth_none_needs_no_token_and_only_loopback(start):
    assert start("auth=none").ask("GET", API + "/sessions", key=None).status == 200
    refused = start("auth=none", "address=0.0.0.0")
    assert refused.port == 0
    assert refused.process.wait(20) == 1
    assert "loopback" in refused.log.read_text()
    refused.process.returncode = 0


def test_admin_paths_are_for_admins(server):
    reply = server.ask("GET", API + "/admin/users", key="kh_user")
    assert (reply.status, reply.error["code"]) == (403, "forbidden")
    assert server.ask("GET", API + "/executions?user=admin", key="kh_user").status == 403
    assert server.ask("GET", API + "/executions?user=*").status == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "[::1", "127.0.0.1:8x", "10.0.0.1"])
def test_a_foreign_host_is_403_on_loopback(server, host):
    assert server.ask("GET", "/health", Host=host).status == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8080", "[::1]:9", "[::1]"])
def test_our_hosts_are_taken(server, host):
    assert server.ask("GET", "/health", Host=host).status == 200


def test_a_page_of_another_site_may_not_call_without_a_token_in_a_header(server):
    other = "https://evil.example"
    assert server.ask("GET", f"{API}/sessions?token=kh_admin", key=None, Origin=other).status == 403
    assert server.ask("GET", "/health", key=None, Origin="null").status == 403
    assert server.ask("OPTIONS", f"{API}/execute", key=None, Origin=other).status == 403
    assert server.ask("GET", f"{API}/sessions", Origin=other).status == 200
    own = f"http://127.0.0.1:{server.port}"
    assert server.ask("GET", f"{API}/sessions?token=kh_admin", key=None, Origin=own).status == 200


def test_unknown_paths_and_methods(server):
    assert server.ask("GET", "/nothing").error["code"] == "not_found"
    reply = server.ask("PUT", API + "/sessions")
    assert (reply.status, reply.error["code"]) == (405, "method_not_allowed")
    assert reply.headers["Allow"] == "GET, HEAD, POST, OPTIONS"
    options = server.ask("OPTIONS", API + "/sessions", key=None)
    assert (options.status, options.headers["Allow"]) == (204, "GET, HEAD, POST, OPTIONS")
    assert server.ask("GET", API + "/sessions/").status == 404
    assert server.ask("GET", API + "//sessions").status == 404


def test_head_is_get_without_a_body(server):
    head, get = server.ask("HEAD", API + "/languages"), server.ask("GET", API + "/languages")
    assert head.status == 200 and head.body == b""
    assert head.headers["Content-Length"] == get.headers["Content-Length"]


@pytest.mark.parametrize("name", ["%", "%2", "%zz", "%00", "a%00b", "%ff", "%c3", "x" * 300])
def test_bad_escapes_in_a_path_are_400(server, name):
    reply = server.ask("GET", f"{API}/sessions/{name}")
    assert (reply.status, reply.error["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("query", ["limit=1&limit=2", "limit=%", "nope=1", "limit=0", "limit=x", "limit=-1", "limit=99999999999999999999", "%00=1", "limit=1%00"])
def test_bad_parameters_are_400(server, query):
    reply = server.ask("GET", f"{API}/executions?{query}")
    assert (reply.status, reply.error["code"]) == (400, "invalid_request")


def test_an_unknown_parameter_is_named(server):
    message = server.ask("GET", f"{API}/executions?bogus=1").error["message"]
    assert "bogus" in message and "cursor" in message


def test_two_lengths_are_refused(server):
    for headers in (
        b"Content-Length: 2\r\nContent-Length: 3\r\n",
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        b"Authorization: Bearer kh_a\r\nAuthorization: Bearer kh_b\r\n",
    ):
        s = server.raw(b"POST /api/v1/execute HTTP/1.1\r\nHost: localhost\r\n" + headers + b"\r\n0\r\n\r\n")
        s.settimeout(20)
        assert b" 400 " in s.recv(4096)
        s.close()


def test_docs_are_self_contained(server):
    page = server.ask("GET", "/docs")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert b"<script" not in page.body and b"http://" not in page.body
    assert b"/api/v1/sessions/{name}/restart" in page.body
    assert server.ask("GET", "/").headers["Location"] == "docs"
    assert server.ask("GET", API + "/openapi.json").json["openapi"].startswith("3.1")


def test_tokens_in_the_address_are_not_logged(server):
    server.ask("GET", f"/t/kh_admin{API}/nothing?token=kh_user", key=None)
    server.ask("GET", "/t/kh_admin", key=None)
    server.ask("GET", f"{API}/nothing?token=kh_admin&x=%", key=None)
    for end in (b"", b"\r\n\r\n", b"\r\nHost: a\r\nno colon\r\n\r\n", b"\r\nContent-Length: x\r\n\r\n"):
        server.raw(b"GET /t/kh_admin/x?token=kh_user HTTP/1.1" + end).close()
    assert server.ask("GET", "/health").status == 200
    # the fixture looks for both keys in the log
