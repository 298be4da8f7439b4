"""Who may come in as Jupyter's clients and browsers ask: every form of a token, and the cookie of a browser that has logged in."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from ws_client import TEXT, Client

KERNELS = "/api/kernels"
CHANNELS = "/api/kernels/python3/channels"
SESSIONS = "/api/v1/sessions"
FORM = "application/x-www-form-urlencoded"
HALF_A_DAY = 12 * 3600


def origin(server: Any) -> str:
    return f"http://127.0.0.1:{server.port}"


def post_form(server: Any, body: str | bytes, path: str = "/login", **headers: str) -> Any:
    data = body.encode() if isinstance(body, str) else body
    return server.ask("POST", path, data, key=None, **{"Content_Type": FORM, "Origin": origin(server), **headers})


def log_in(server: Any, key: str = "kh_admin") -> str:
    """The Cookie header of a browser that has logged in."""
    reply = post_form(server, f"password={key}")
    assert reply.status == 302, reply.body
    return str(reply.headers["Set-Cookie"].split(";")[0])


def refused_before_the_101(port: int, status: int, **how: Any) -> None:
    with pytest.raises(AssertionError, match=f"HTTP/1.1 {status} "):
        Client(port, **how)


# ---- tokens ----


@pytest.mark.parametrize(
    "path, headers",
    [
        (KERNELS, {"Authorization": "token kh_admin"}),
        (KERNELS, {"Authorization": "Token kh_admin"}),
        (KERNELS, {"Authorization": "bearer kh_admin"}),
        (KERNELS, {"Authorization": "BEARER kh_admin"}),
        (KERNELS, {"Authorization": "ApiKey kh_admin"}),
        (KERNELS, {"Authorization": "apikey kh_admin"}),
        (KERNELS, {"X-API-Key": "kh_admin"}),
        (KERNELS, {"x-api-key": "kh_admin"}),
        (KERNELS + "?token=kh_admin", {}),
        (KERNELS + "?token=kh_admin", {"Authorization": "token "}),  # the gateway client's, when it was given none
        ("/t/kh_admin" + KERNELS, {}),
        ("/t/kh_admin" + KERNELS, {"Authorization": "token "}),
        ("/t/kh_admin" + KERNELS, {"Authorization": "token"}),
        (KERNELS, {"Authorization": "token ", "X-API-Key": "kh_admin"}),
    ],
)
def test_a_token_is_taken_in_every_form_of_a_jupyter_client(server: Any, path: str, headers: dict[str, str]) -> None:
    assert server.ask("POST", KERNELS, {}).status == 201
    assert server.ask("GET", path, key=None, **headers).status == 200
    Client(server.port, key=None, path=path.replace(KERNELS, CHANNELS), **headers).close()


@pytest.mark.parametrize(
    "path, headers",
    [
        (KERNELS, {}),
        (KERNELS, {"Authorization": "token "}),
        (KERNELS, {"Authorization": "token kh_wrong"}),
        (KERNELS, {"Authorization": "Bearer kh_wrong"}),
        (KERNELS, {"Authorization": "Bearer KH_ADMIN"}),
        (KERNELS, {"Authorization": "Basic a2hfYWRtaW46"}),
        (KERNELS, {"X-API-Key": "kh_wrong"}),
        (KERNELS + "?token=kh_wrong", {}),
        (KERNELS + "?token=", {}),
        ("/t/kh_wrong" + KERNELS, {}),
        ("/t/" + KERNELS, {}),
        (KERNELS, {"Cookie": "kernelhub=kh_admin"}),
        (KERNELS, {"Cookie": "kernelhub="}),
        (KERNELS + "?token=kh_admin", {"Authorization": "token kh_wrong"}),  # a header wins
    ],
)
def test_without_a_good_token_jupyter_paths_are_403_before_the_101(server: Any, path: str, headers: dict[str, str]) -> None:
    assert server.ask("POST", KERNELS, {}).status == 201
    reply = server.ask("GET", path, key=None, **headers)
    assert reply.status == 403 and set(reply.json) == {"message", "reason", "request_id"}
    refused_before_the_101(server.port, 403, key=None, path=path.replace(KERNELS, CHANNELS), **{"Origin": "http://localhost", **headers})


def test_a_revoked_key_is_refused_in_every_form(server: Any) -> None:
    assert server.ask("POST", KERNELS, {}, key="kh_user").status == 201
    cookie = log_in(server, "kh_user")
    socket = Client(server.port, key=None, path=CHANNELS, Origin="http://localhost", Cookie=cookie)
    forms: list[tuple[str, dict[str, str]]] = [(KERNELS, {"Authorization": "token kh_user"}), (KERNELS + "?token=kh_user", {}), ("/t/kh_user" + KERNELS, {}), (KERNELS, {"Cookie": cookie})]
    for path, headers in forms:
        assert server.ask("GET", path, key=None, **headers).status == 200
    assert server.ask("DELETE", "/api/v1/admin/keys/6fd31de2-3f2b-4b4f-a5e3-9d5d27f3f4c2").status == 204
    for path, headers in forms:
        assert server.ask("GET", path, key=None, **headers).status == 403
        refused_before_the_101(server.port, 403, key=None, path=path.replace(KERNELS, CHANNELS), **{"Origin": "http://localhost", **headers})
    socket.frame(TEXT, b"{}")  # whoever is shut out does nothing over an old socket either
    assert socket.closed().code == 1008


def test_vs_code_asks_for_no_password(server: Any) -> None:
    for path in ("/tree?", "/tree", "/hub/api", "/lab?"):
        assert server.ask("GET", path, key=None).status == 404
    assert server.ask("GET", "/", key=None).headers["Location"] == "docs"


# ---- the page ----


def test_the_page_is_self_contained_and_says_nothing_back(server: Any) -> None:
    page = server.ask("GET", "/login?next=%2F%3Cscript%3E", key=None)
    assert page.status == 200 and page.headers["Content-Type"].startswith("text/html")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "form-action 'self'" in policy
    assert b"<script" not in page.body and b"http" not in page.body.replace(b"http-equiv", b"")
    assert b'method="post"' in page.body and b'type="password" name="password"' in page.body and b"action=" not in page.body
    # "no-referrer" would make browsers say Origin: null when they send the form
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert "Set-Cookie" not in page.headers
    assert server.ask("GET", "/docs/style.css", key=None).status == 200


@pytest.mark.parametrize("body", ["password=kh_admin", "token=kh_admin", "_xsrf=2%7Cabc&password=+kh_admin+", "_xsrf=&token=kh_admin&x=1"])
def test_a_key_opens(server: Any, body: str) -> None:
    reply = post_form(server, body)
    assert (reply.status, reply.headers["Location"]) == (302, "./")
    value, *rest = reply.headers["Set-Cookie"].split("; ")
    assert rest == ["Path=/", f"Max-Age={HALF_A_DAY}", "HttpOnly", "SameSite=Lax"]
    assert value.startswith("kernelhub=") and "kh_admin" not in value
    for path in (KERNELS, SESSIONS):
        assert server.ask("GET", path, key=None, Cookie=f"a=b; {value}; c").status == 200
        assert "Set-Cookie" not in server.ask("GET", path, key=None, Cookie=value).headers


@pytest.mark.parametrize("headers", [{"X_Forwarded_Proto": "https"}, {"X_Forwarded_Proto": "HTTPS"}, {"Origin": "https://hub.example", "Host": "hub.example"}])
def test_the_cookie_of_a_page_by_https_goes_back_by_nothing_else(start: Any, headers: dict[str, str]) -> None:
    server = start("address=0.0.0.0", "base=/hub/k/")
    reply = post_form(server, "password=kh_admin", "/hub/k/login?next=/hub/k/docs", **headers)
    assert (reply.status, reply.headers["Location"]) == (302, "/hub/k/docs")
    assert reply.headers["Set-Cookie"].split("; ")[1:] == ["Path=/hub/k", f"Max-Age={HALF_A_DAY}", "HttpOnly", "SameSite=Lax", "Secure"]


@pytest.mark.parametrize("body", ["password=kh_wrong", "password=", "token=KH_ADMIN", "password=" + "x" * 3000, "password=kh_admin%20x"])
def test_a_wrong_key_says_no_more_than_that(server: Any, body: str) -> None:
    reply = post_form(server, body)
    assert reply.status == 403 and "Set-Cookie" not in reply.headers and "WWW-Authenticate" not in reply.headers
    assert b"not known, or" in reply.body and b"<form" in reply.body and b"kh_wrong" not in reply.body
    assert reply.body == post_form(server, "password=another").body


@pytest.mark.parametrize(
    "body, headers, status",
    [
        ("", {}, 400),
        ("name=kh_admin", {}, 400),
        ("password=%zz", {}, 400),
        ("password=a&password=b", {}, 400),
        ("password=%00", {}, 400),
        ("password=" + "x" * 5000, {}, 413),
        ('{"password":"kh_admin"}', {"Content_Type": "application/json"}, 415),
        ("password=kh_admin", {"Content_Type": "text/plain"}, 415),
        ("password=kh_admin", {"Content_Type": FORM + "x"}, 415),
        ("password=kh_admin", {"Origin": "https://evil.example"}, 403),
        ("password=kh_admin", {"Origin": "null"}, 403),
    ],
)
def test_what_is_no_form_of_ours_logs_nobody_in(server: Any, body: str, headers: dict[str, str], status: int) -> None:
    reply = post_form(server, body, **headers)
    assert reply.status == status and "Set-Cookie" not in reply.headers
    assert reply.error["message"]


@pytest.mark.parametrize("where", ["/docs", "/api/kernels?a=b", "/"])
def test_it_leads_back_to_a_path_of_ours(server: Any, where: str) -> None:
    reply = post_form(server, "password=kh_admin", "/login?next=" + quote(where, safe=""))
    assert (reply.status, reply.headers["Location"]) == (302, where)


@pytest.mark.parametrize("where", ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "evil", "", "/..//evil", "/a b", "/ä", "/\r\nX-Evil: 1", "/\n/evil", "\t//evil"])
def test_it_leads_nowhere_else(server: Any, where: str) -> None:
    reply = post_form(server, "password=kh_admin", "/login?next=" + quote(where, safe=""))
    assert (reply.status, reply.headers["Location"]) == (302, "./") and "X-Evil" not in reply.headers


def test_wrong_keys_are_counted_for_each_address(server: Any) -> None:
    for _ in range(10):
        assert post_form(server, "password=kh_wrong").status == 403
    reply = post_form(server, "password=kh_admin")
    assert reply.status == 429 and 50 < int(reply.headers["Retry-After"]) <= 60
    assert b"<form" in reply.body and "Set-Cookie" not in reply.headers
    # who comes by our proxy is somebody else: the last address is the proxy's word, what stands before it anybody's
    assert post_form(server, "password=kh_admin", X_Forwarded_For="127.0.0.1, 192.0.2.7").status == 302
    for i in range(10):
        assert post_form(server, "password=kh_wrong", X_Forwarded_For=f"10.0.0.{i}, 192.0.2.8").status == 403
    assert post_form(server, "password=kh_admin", X_Forwarded_For="10.0.0.99, 192.0.2.8").status == 429
    # a proxy may add a field of its own behind the client's
    for first in ("192.0.2.9", "10.0.0.98, 192.0.2.9"):
        assert post_form(server, "password=kh_admin", X_Forwarded_For=first, x_forwarded_for="192.0.2.8").status == 429
    assert post_form(server, "password=kh_admin", X_Forwarded_For="192.0.2.8", x_forwarded_for="192.0.2.9").status == 302
    # tokens are not for guessing, and not counted
    assert server.ask("GET", KERNELS).status == 200


def test_logging_out_takes_the_cookie_away(server: Any) -> None:
    cookie = log_in(server)
    reply = server.ask("POST", "/logout", key=None, Cookie=cookie, Origin=origin(server), Content_Type=FORM)
    assert (reply.status, reply.headers["Location"]) == (302, "login")
    assert reply.headers["Set-Cookie"].split("; ")[:3] == ["kernelhub=", "Path=/", "Max-Age=0"]
    assert server.ask("GET", "/logout", key=None, Cookie=cookie).status == 405
    assert server.ask("POST", "/logout", key=None, Cookie=cookie, Origin="https://evil.example").status == 403


# ---- the cookie ----


def test_a_cookie_ends_and_is_renewed_before(start: Any) -> None:
    now = start("secret=s")
    cookie = log_in(now)
    soon, late, over = (start("secret=s", f"later={seconds}") for seconds in (HALF_A_DAY // 2 - 60, HALF_A_DAY // 2 + 60, HALF_A_DAY + 60))
    assert "Set-Cookie" not in soon.ask("GET", KERNELS, key=None, Cookie=cookie).headers
    assert over.ask("GET", KERNELS, key=None, Cookie=cookie).status == 403
    assert over.ask("GET", SESSIONS, key=None, Cookie=cookie).error["code"] == "unauthorized"
    reply = late.ask("GET", SESSIONS, key=None, Cookie=cookie)
    renewed, *rest = reply.headers["Set-Cookie"].split("; ")
    assert reply.status == 200 and renewed != cookie and rest == ["Path=/", f"Max-Age={HALF_A_DAY}", "HttpOnly", "SameSite=Lax"]
    assert over.ask("GET", KERNELS, key=None, Cookie=renewed).status == 200
    # with a token beside it nothing is renewed
    assert "Set-Cookie" not in late.ask("GET", KERNELS, Cookie=cookie).headers


def test_a_cookie_of_another_instance_is_none(start: Any) -> None:
    one, other = start("secret=one"), start("secret=other")
    cookie = log_in(one)
    assert one.ask("GET", KERNELS, key=None, Cookie=cookie).status == 200
    assert other.ask("GET", KERNELS, key=None, Cookie=cookie).status == 403
    for i in (12, len(cookie) // 2, len(cookie) - 2):
        changed = cookie[:i] + ("A" if cookie[i] != "A" else "B") + cookie[i + 1 :]
        assert one.ask("GET", KERNELS, key=None, Cookie=changed).status == 403
    assert one.ask("GET", KERNELS, key=None, Cookie=cookie + "A" * 300).status == 403


def test_a_token_wins_over_a_cookie(server: Any) -> None:
    cookie = log_in(server, "kh_user")
    assert server.ask("GET", "/api/v1/admin/users", key=None, Cookie=cookie).status == 403
    assert server.ask("GET", "/api/v1/admin/users", Cookie=cookie).status == 200
    assert server.ask("GET", "/api/v1/admin/users?token=kh_admin", key=None, Cookie=cookie).status == 200
    assert server.ask("GET", SESSIONS, key="kh_wrong", Cookie=cookie).status == 401
    # and then it is no matter of the cookie's rules
    assert server.ask("POST", KERNELS, {}, Cookie=cookie, Content_Type="text/plain").status == 201


@pytest.mark.parametrize("method, path", [("POST", KERNELS), ("POST", "/api/v1/execute"), ("DELETE", SESSIONS + "/x"), ("PATCH", "/api/sessions/x")])
def test_with_the_cookie_only_our_own_page_changes_anything(server: Any, method: str, path: str) -> None:
    cookie, ours, body = log_in(server), origin(server), {"code": "pass"} if path.endswith("execute") else {}

    def status(**headers: str) -> int:
        reply = server.ask(method, path, body, key=None, Cookie=cookie, **headers)
        assert reply.status not in (401, 500)
        return int(reply.status)

    json = "application/json"
    for origin_headers in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": f"http://127.0.0.1:{server.port + 1}"}, {"Sec_Fetch_Site": "cross-site"},
                           {"Sec_Fetch_Site": "same-site"}, {"Sec_Fetch_Site": "none"}, {"Sec_Fetch_Site": "same-origin", "Origin": "https://evil.example"}):  # fmt: skip
        assert status(Content_Type=json, **origin_headers) == 403, origin_headers
    for media_type in ({}, {"Content_Type": "text/plain"}, {"Content_Type": FORM}, {"Content_Type": "multipart/form-data; boundary=x"}, {"Content_Type": "application/jsonx"}, {"Content_Type": "text/plain; application/json"}):
        assert status(Origin=ours, **media_type) == 415, media_type
        assert status(Sec_Fetch_Site="same-origin", **media_type) == 415
    for good in ({"Origin": ours}, {"Sec_Fetch_Site": "same-origin"}, {"Origin": ours, "Sec_Fetch_Site": "same-origin"}):
        assert status(Content_Type="application/json; charset=utf-8", **good) not in (403, 415), good
        assert status(Content_Type="Application/JSON", **good) not in (403, 415), good


def test_what_was_refused_was_not_done(server: Any) -> None:
    cookie = log_in(server)
    reply = server.ask("POST", KERNELS, b"name=python3", key=None, Cookie=cookie, Content_Type=FORM, Origin="https://evil.example")
    assert reply.status == 403 and set(reply.json) == {"message", "reason", "request_id"}
    assert server.ask("POST", KERNELS, {}, key=None, Cookie=cookie, Content_Type="text/plain", Sec_Fetch_Site="same-origin").status == 415
    assert server.ask("GET", KERNELS + "/python3").status == 404
    assert server.ask("POST", KERNELS, {}, key=None, Cookie=cookie, Content_Type="application/json", Sec_Fetch_Site="same-origin").status == 201
    assert server.ask("GET", KERNELS + "/python3", key=None, Cookie=cookie).status == 200


def test_other_sites_read_nothing_by_the_cookie_but_may_link_here(start: Any) -> None:
    server = start("origins=https://lab.example")
    cookie = log_in(server)

    def status(**headers: str) -> int:
        return int(server.ask("GET", KERNELS, key=None, Cookie=cookie, **headers).status)

    assert status() == status(Sec_Fetch_Site="none") == status(Origin=origin(server)) == status(Sec_Fetch_Site="same-origin") == 200
    assert status(Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate") == 200
    assert status(Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors") == status(Sec_Fetch_Site="same-site") == 403
    # a page in server/allowed_origins sends a token
    assert status(Origin="https://lab.example") == 403
    assert server.ask("GET", KERNELS, Origin="https://lab.example", Cookie=cookie).status == 200


def test_a_websocket_by_cookie_is_for_our_own_pages(start: Any) -> None:
    server = start("origins=https://lab.example")
    assert server.ask("POST", KERNELS, {}).status == 201
    cookie = log_in(server)
    for path in (CHANNELS, "/api/v1/stream"):
        Client(server.port, key=None, path=path, Cookie=cookie, Origin="http://localhost").close()
        for headers in ({}, {"Origin": "https://lab.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "same-origin"}):
            refused_before_the_101(server.port, 403, key=None, path=path, Cookie=cookie, **headers)
        Client(server.port, path=path, Cookie=cookie, Origin="https://lab.example").close()  # by its token


def test_neither_cookies_nor_typed_keys_are_logged(server: Any) -> None:
    cookie = log_in(server)
    post_form(server, "password=kh_user%20x", "/login?token=kh_user")
    server.ask("GET", "/api/v1/nothing", key=None, Cookie=cookie)
    server.ask("POST", KERNELS, {}, key=None, Cookie=cookie)
    assert server.ask("GET", "/health").status == 200
    assert cookie.split("=")[1][:20] not in server.log.read_text()
    # the fixture looks for both keys in the log
