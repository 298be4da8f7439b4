from __future__ import annotations

import httpx
import pytest
from fake import FakeHub, error_reply

import kernelhub
from kernelhub import KernelhubError, RetryPolicy

ONCE = RetryPolicy(retries=0, reconnects=0)
CODES = {
    "invalid_request": (400, kernelhub.InvalidRequestError),
    "unauthorized": (401, kernelhub.AuthenticationError),
    "forbidden": (403, kernelhub.PermissionDeniedError),
    "policy_denied": (403, kernelhub.PolicyDeniedError),
    "not_found": (404, kernelhub.NotFoundError),
    "method_not_allowed": (405, kernelhub.MethodNotAllowedError),
    "conflict": (409, kernelhub.ConflictError),
    "busy": (409, kernelhub.BusyError),
    "gone": (410, kernelhub.GoneError),
    "precondition_failed": (412, kernelhub.PreconditionFailedError),
    "too_large": (413, kernelhub.TooLargeError),
    "unsupported_media_type": (415, kernelhub.UnsupportedMediaTypeError),
    "range_not_satisfiable": (416, kernelhub.RangeNotSatisfiableError),
    "rate_limited": (429, kernelhub.RateLimitedError),
    "quota_exceeded": (429, kernelhub.QuotaExceededError),
    "internal": (500, kernelhub.InternalError),
    "sandbox_failed": (502, kernelhub.SandboxFailedError),
    "kernel_died": (502, kernelhub.KernelDiedError),
    "unavailable": (503, kernelhub.UnavailableError),
    "timeout": (504, kernelhub.TimeoutError_),
}


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("how", ["execute", "stream"])
def test_each_code_is_a_class_of_its_own(driver, code, how):
    status, kind = CODES[code]
    reply = error_reply(status, code, {"Retry-After": "7"}, hint="do", details={"rule": "r"})
    hub = FakeHub(reply)
    with pytest.raises(KernelhubError) as caught:
        driver.call(hub, lambda client: getattr(client, how)("1"), ONCE)
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.code, error.message) == (status, code, f"it is {code}")
    assert (error.hint, error.request_id, error.details) == ("do", "r1", {"rule": "r"})
    assert error.retry_after == 7
    assert f"it is {code} [{code}]" in str(error)
    assert len(hub.requests) == 1


def test_a_new_code_is_known_by_its_status(driver):
    hub = FakeHub(error_reply(409, "too_shy"))
    with pytest.raises(kernelhub.ConflictError) as caught:
        driver.call(hub, lambda client: client.execute("1"))
    assert caught.value.code == "too_shy"


def test_a_proxys_page_is_an_error_too(driver):
    hub = FakeHub(httpx.Response(502, html="<h1>Bad Gateway</h1>", headers={"X-Request-Id": "p"}))
    with pytest.raises(KernelhubError) as caught:
        driver.call(hub, lambda client: client.execute("1"))
    assert (caught.value.status, caught.value.request_id) == (502, "p")


def test_a_page_instead_of_json_says_that_the_address_may_be_wrong(driver):
    hub = FakeHub(httpx.Response(200, html="<h1>JupyterLab</h1>"))
    with pytest.raises(kernelhub.ProtocolError, match="address"):
        driver.call(hub, lambda client: client.languages())


def test_our_names_catch_what_pythons_names_catch():
    assert isinstance(kernelhub.TimeoutError_("x"), TimeoutError)
    assert isinstance(kernelhub.ConnectionError_("x", sent=False, hint="h"), ConnectionError)
    assert str(kernelhub.ConnectionError_("x", hint="h")) == "x [connection]\n  hint: h"
