from __future__ import annotations

import asyncio

import httpx
import pytest
from fake import (
    TOKEN,
    URL,
    FakeHub,
    a_run,
    error_reply,
    event,
    record,
    sse,
    stream_reply,
)

import kernelhub
from kernelhub import AsyncClient, Client

RUN = a_run()
BODY = sse(RUN)


def follow(request):
    """Answers the GET of a feed: what is stored behind `after`."""
    assert request.method == "GET"
    after = int(request.url.params["after"])
    return stream_reply(sse([one for one in RUN if one["seq"] > after]))


def start_or_follow(request):
    return stream_reply(BODY) if request.method == "POST" else follow(request)


def seqs(events):
    return [one.seq for one in events]


def test_all_events_in_order(driver):
    hub = FakeHub(stream_reply(BODY))
    events = driver.call(hub, lambda client: client.stream("x", language="python"))
    assert [one.raw for one in events] == RUN
    request = hub.requests[0]
    assert hub.lines() == ["POST /api/v1/execute"]
    assert request.headers["accept"] == "text/event-stream"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    body = hub.bodies()[0]
    assert body == {"code": "x", "language": "python", "execution_id": body["execution_id"]}


@pytest.mark.parametrize("piece", [1, 64, 100000])
def test_cut_at_every_byte_nothing_is_lost_or_doubled(driver, piece):
    for at in range(len(BODY) + 1):
        hub = FakeHub(stream_reply(BODY, at, piece), start_or_follow)
        events = driver.call(hub, lambda client: client.stream("x"))
        assert [one.raw for one in events] == RUN, at
        if at < len(BODY):
            first_id = BODY.index(b"\n\n", BODY.index(b"data:")) + 2
            again = hub.requests[-1]
            assert again.method == ("GET" if at >= first_id else "POST"), at


def test_a_feed_cut_again_and_again_behind_each_event(driver):
    def one_event(request):
        after = int(request.url.params["after"])
        rest = sse(RUN[after:])
        return stream_reply(rest, rest.index(b"\n\n", rest.index(b"data:")) + 2)

    first = stream_reply(BODY, BODY.index(b"\n\n", BODY.index(b"data:")) + 2)
    hub = FakeHub(first, *[one_event] * 8)
    events = driver.call(hub, lambda client: client.stream("x"))
    assert [one.raw for one in events] == RUN
    assert [r.url.params["after"] for r in hub.requests[1:]] == [str(i) for i in range(1, 9)]
    assert all(r.url.params["follow"] == "1" for r in hub.requests[1:])


def test_a_clean_end_without_finished_is_a_cut_too(driver):
    hub = FakeHub(stream_reply(sse(RUN[:4])), follow)
    assert seqs(driver.call(hub, lambda client: client.stream("x"))) == list(range(1, 10))


def test_what_comes_twice_is_given_once(driver):
    body = sse(RUN[:3] + RUN[1:5] + RUN)
    hub = FakeHub(stream_reply(body))
    assert seqs(driver.call(hub, lambda client: client.stream("x"))) == list(range(1, 10))


def test_a_hole_is_asked_for_again(driver):
    hub = FakeHub(stream_reply(sse(RUN[:2] + RUN[4:])), follow)
    assert seqs(driver.call(hub, lambda client: client.stream("x"))) == list(range(1, 10))
    assert hub.requests[1].url.params["after"] == "2"


def test_a_hole_that_stays_is_said(driver):
    broken = sse(RUN[4:])
    hub = FakeHub(stream_reply(sse(RUN[:2])), *[lambda _: stream_reply(broken)] * 50)
    with pytest.raises(kernelhub.ProtocolError, match="hole behind event 2"):
        driver.call(hub, lambda client: client.stream("x"))


@pytest.mark.parametrize(
    "first",
    [
        httpx.ConnectError("refused"),
        httpx.ReadError("reset"),
        httpx.WriteError("reset"),
        httpx.ReadTimeout("queued for long"),
        error_reply(503, "unavailable", {"Retry-After": "0"}),
    ],
    ids=lambda first: getattr(first, "status_code", type(first).__name__),
)
def test_a_start_that_may_not_have_arrived_is_sent_again_with_the_same_id(driver, first):
    hub = FakeHub(first, stream_reply(BODY))
    assert seqs(driver.call(hub, lambda client: client.stream("x"))) == list(range(1, 10))
    one, two = hub.bodies()
    assert one == two


def test_a_service_that_restarts_is_waited_for(driver):
    down = [httpx.ConnectError("refused")] * 4 + [error_reply(503, "unavailable")] * 3
    hub = FakeHub(stream_reply(BODY, 500), *down, follow)
    assert seqs(driver.call(hub, lambda client: client.stream("x"))) == list(range(1, 10))


def test_a_service_that_stays_away_is_given_up(driver):
    hub = FakeHub(stream_reply(BODY, 500), *[httpx.ConnectError("refused")] * 10)
    with pytest.raises(kernelhub.ConnectionError_):
        driver.call(hub, lambda client: client.stream("x"))
    assert hub.left == 0


def test_what_is_gone_is_raised(driver):
    hub = FakeHub(stream_reply(BODY, 500), error_reply(410, "gone"))
    with pytest.raises(kernelhub.GoneError):
        driver.call(hub, lambda client: client.stream("x"))


def test_live_samples_and_pings_have_no_number_and_are_left_out(driver):
    samples = [{"type": "ping"}, {"type": "resource", "cpu_percent": 3}]
    hub = FakeHub(stream_reply(sse(RUN[:3] + samples + RUN[3:])))
    assert seqs(driver.call(hub, lambda client: client.stream("x"))) == list(range(1, 10))


def test_an_event_type_of_tomorrow_is_given_on(driver):
    odd = [event(1, "levitated", height=3), event(2, "finished", status="ok")]
    events = driver.call(FakeHub(stream_reply(sse(odd))), lambda client: client.stream("x"))
    assert events[0].type == "levitated"
    assert events[0]["height"] == 3


@pytest.mark.parametrize("data", [b"data: {\n\n", b"data: 3\n\n"])
def test_an_event_that_is_none_is_an_error_of_the_protocol(driver, data):
    with pytest.raises(kernelhub.ProtocolError):
        driver.call(FakeHub(stream_reply(data)), lambda client: client.stream("x"))


def test_json_instead_of_a_stream_is_an_error_of_the_protocol(driver):
    hub = FakeHub(httpx.Response(200, json=record()))
    with pytest.raises(kernelhub.ProtocolError, match="event-stream"):
        driver.call(hub, lambda client: client.stream("x"))


def test_events_of_an_ended_run_behind_its_end_are_none(driver):
    hub = FakeHub(httpx.Response(204))
    assert driver.call(hub, lambda client: client.events("e", after=9)) == []


def test_events_follow_from_a_number(driver):
    hub = FakeHub(follow)
    assert seqs(driver.call(hub, lambda client: client.events("e", after=6))) == [7, 8, 9]
    assert hub.lines() == ["GET /api/v1/executions/e/events?after=6&follow=1"]


def test_events_that_are_stored_come_in_pages(driver):
    hub = FakeHub(
        httpx.Response(200, json={"items": RUN[2:5], "next": "c"}),
        httpx.Response(200, json={"items": RUN[5:7], "next": None}),
    )
    events = driver.call(hub, lambda client: client.events("e", after=2, follow=False))
    assert seqs(events) == [3, 4, 5, 6, 7]
    assert hub.lines() == [
        "GET /api/v1/executions/e/events?after=2",
        "GET /api/v1/executions/e/events?after=5",
    ]


def test_a_sessions_feed_ends_with_the_session(driver):
    feed = [event(4, "kernel_status", state="idle"), event(9, "restarted")]
    hub = FakeHub(stream_reply(sse(feed)), error_reply(404, "not_found"))
    events = driver.call(hub, lambda client: client.session("a/b.ipynb").events(after=3))
    assert seqs(events) == [4, 9]
    assert events[0].status == "idle"
    assert str(events[0]) == "#4 kernel_status: idle"
    assert hub.lines() == [
        "GET /api/v1/sessions/a%2Fb.ipynb/events?after=3&follow=1",
        "GET /api/v1/sessions/a%2Fb.ipynb/events?after=9&follow=1",
    ]


def test_a_session_that_never_was_has_no_feed(driver):
    with pytest.raises(kernelhub.NotFoundError):
        driver.call(
            FakeHub(error_reply(404, "not_found")), lambda client: client.session("a").events()
        )


def test_who_stops_reading_lets_go_of_the_connection():
    closed = []

    def reply(_):
        answer = stream_reply(BODY)
        answer.stream.close = lambda: closed.append("sync")

        async def aclose():
            closed.append("async")

        answer.stream.aclose = aclose
        return answer

    with Client(URL, TOKEN, transport=httpx.MockTransport(reply)) as client:
        events = client.stream("x")
        assert next(events).type == "queued"
        events.close()

    async def run():
        transport = httpx.MockTransport(reply)
        async with AsyncClient(URL, TOKEN, transport=transport) as client:
            events = client.stream("x")
            assert (await anext(events)).type == "queued"
            await events.aclose()

    asyncio.run(run())
    assert closed == ["sync", "async"]


def test_a_wrong_option_is_refused_before_anything_is_sent(driver):
    with pytest.raises(TypeError, match=r"timeout_s$"):
        driver.call(FakeHub(), lambda client: client.stream("x", timeout_s=3))
