from __future__ import annotations

import httpx
import pytest
from fake import FakeHub, error_reply, record

import kernelhub
from kernelhub import RetryPolicy
from kernelhub._retry import Attempts

LOST = httpx.ReadError("reset")
NOBODY = httpx.ConnectError("refused")


def ok(**fields):
    return httpx.Response(200, json=record(**fields))


@pytest.mark.parametrize(
    "first",
    [
        LOST,
        NOBODY,
        httpx.RemoteProtocolError("closed"),
        httpx.ReadTimeout("slow"),
        error_reply(503, "unavailable"),
        error_reply(429, "rate_limited", {"Retry-After": "0"}),
        error_reply(429, "quota_exceeded", {"Retry-After": "0"}),
    ],
    ids=lambda first: getattr(first, "status_code", type(first).__name__),
)
def test_execute_is_sent_again_with_the_same_id(driver, first):
    hub = FakeHub(first, ok())
    assert driver.call(hub, lambda client: client.execute("x")).stdout == "42\n"
    one, two = hub.bodies()
    assert one == two
    assert len(one["execution_id"]) == 36


@pytest.mark.parametrize(
    "first",
    [
        error_reply(500, "internal"),
        error_reply(502, "kernel_died"),
        error_reply(504, "timeout"),
        error_reply(429, "quota_exceeded"),
        error_reply(429, "rate_limited", {"Retry-After": "3600"}),
    ],
    ids=lambda first: first.json()["error"]["code"],
)
def test_what_another_try_would_not_mend_is_raised_at_once(driver, first):
    hub = FakeHub(first)
    with pytest.raises(kernelhub.KernelhubError):
        driver.call(hub, lambda client: client.execute("x"))


@pytest.mark.parametrize("verb", ["restart", "interrupt", "delete", "create"])
def test_what_may_have_been_done_is_not_done_twice(driver, verb):
    hub = FakeHub(LOST)
    with pytest.raises(kernelhub.ConnectionError_) as caught:
        driver.call(hub, lambda client: getattr(client.sessions, verb)("a"))
    assert caught.value.sent
    assert isinstance(caught.value.__cause__, httpx.ReadError)


def test_what_was_certainly_not_sent_is_sent_again(driver):
    hub = FakeHub(NOBODY, httpx.Response(204))
    driver.call(hub, lambda client: client.sessions.restart("a"))
    assert len(hub.requests) == 2


def test_retries_are_bounded(driver):
    hub = FakeHub(*[NOBODY] * 6)
    with pytest.raises(kernelhub.ConnectionError_, match="KERNELHUB_URL"):
        driver.call(hub, lambda client: client.execute("x"))
    assert hub.left == 0


def test_a_service_that_hangs_is_asked_twice(driver):
    hub = FakeHub(httpx.ReadTimeout(""), httpx.ReadTimeout(""))
    with pytest.raises(kernelhub.TimeoutError_):
        driver.call(hub, lambda client: client.execute("x"))


def test_health_is_asked_once(driver):
    with pytest.raises(kernelhub.ConnectionError_):
        driver.call(FakeHub(NOBODY), lambda client: client.health())


def test_pauses_grow_to_a_ceiling_and_differ():
    policy = RetryPolicy(first_delay=1.0, max_delay=8.0)
    for attempt, longest in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (5000, 8)]:
        pauses = {policy.delay(attempt) for _ in range(50)}
        assert longest / 2 <= min(pauses) <= max(pauses) <= longest
        assert len(pauses) > 1


def test_retry_after_is_honoured_when_it_is_longer_than_our_own_pause():
    attempts = Attempts(RetryPolicy(first_delay=0.1), 3)
    assert attempts.failed(kernelhub.UnavailableError("x", retry_after=9.0)) == 9.0


def test_a_run_may_take_its_timeout_and_its_time_in_the_queue(driver):
    hub = FakeHub(ok())
    driver.call(hub, lambda c: c.execute("x", timeout_seconds=600, queue_timeout_seconds=50))
    timeout = hub.requests[0].extensions["timeout"]
    assert timeout["read"] >= 650
    assert timeout["connect"] == 30
    assert timeout["pool"] is None
