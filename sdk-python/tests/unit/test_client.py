from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone

import httpx
import pytest
from fake import (
    TOKEN,
    URL,
    Cut,
    FakeHub,
    a_run,
    error_reply,
    record,
    sse,
    stream_reply,
)

import kernelhub
from kernelhub import AsyncClient

ENDED = httpx.Response(200, json=record("e"))


def running(request):
    return httpx.Response(200, json=record("e", status="running", exit_code=None))


def items(*entries, following=None):
    return httpx.Response(200, json={"items": list(entries), "next": following})


def test_execute_sends_what_was_said_and_nothing_else(driver):
    hub = FakeHub(httpx.Response(200, json=record()))
    execution = driver.call(
        hub,
        lambda client: client.execute(
            "print('ä')",
            session="s",
            execution_id="11111111-1111-4111-8111-111111111111",
            persistent=False,
            timeout_seconds=1.5,
            env={"A": "b"},
            stdin="1\n",
            labels={"l": "m"},
            language=None,
        ),
    )
    assert hub.bodies() == [
        {
            "code": "print('ä')",
            "session": "s",
            "execution_id": "11111111-1111-4111-8111-111111111111",
            "persistent": False,
            "timeout_seconds": 1.5,
            "env": {"A": "b"},
            "stdin": "1\n",
            "labels": {"l": "m"},
        }
    ]
    assert execution.stdout == execution["stdout"] == "42\n"


def test_what_becomes_of_code_is_no_exception_unless_asked_for(driver):
    failed = record(status="error", error={"name": "E", "value": "v", "traceback": ["t"]})

    def answer(_):
        return httpx.Response(200, json=failed)

    assert driver.call(FakeHub(answer), lambda client: client.execute("x")).status == "error"
    with pytest.raises(kernelhub.ExecutionError) as caught:
        driver.call(FakeHub(answer), lambda client: client.execute("x", check=True))
    error = caught.value
    assert (error.code, error.name, error.value, error.traceback) == ("error", "E", "v", ["t"])
    assert error.execution.stdout == "42\n"


def test_callbacks_are_called_as_it_runs_and_the_record_comes_at_the_end(driver):
    seen = []
    hub = FakeHub(stream_reply(sse(a_run()), 700), lambda r: stream_reply(sse(a_run())), ENDED)
    execution = driver.call(
        hub,
        lambda client: client.execute(
            "x",
            on_stdout=lambda text: seen.append(("out", text)),
            on_stderr=lambda text: seen.append(("err", text)),
            on_result=lambda result: seen.append((result.is_main_result, result.text)),
            on_error=lambda error: seen.append(("error", error.name)),
        ),
    )
    assert seen == [
        ("out", "zwölf 12€ 🙂\n"),
        ("err", "warn\r\n"),
        (False, "<fig>"),
        (True, "42"),
        ("error", "ValueError"),
    ]
    assert execution.execution_id == "e"
    chosen = hub.bodies()[0]["execution_id"]
    assert hub.lines()[-1] == f"GET /api/v1/executions/{chosen}"


def test_callbacks_may_be_coroutine_functions():
    seen = []

    async def on_stdout(text):
        await asyncio.sleep(0)
        seen.append(text)

    async def run():
        hub = FakeHub(stream_reply(sse(a_run())), ENDED)
        async with AsyncClient(URL, TOKEN, transport=httpx.MockTransport(hub)) as client:
            await client.execute("x", on_stdout=on_stdout)

    asyncio.run(run())
    assert seen == ["zwölf 12€ 🙂\n"]


def test_a_callback_that_fails_lets_go_of_the_connection(driver):
    closed = []
    answer = stream_reply(sse(a_run()))
    answer.stream.close = lambda: closed.append(1)

    async def aclose():
        closed.append(1)

    answer.stream.aclose = aclose

    def on_stdout(_):
        raise KeyError("mine")

    def work(client):
        return client.execute("x", on_stdout=on_stdout)

    with pytest.raises(KeyError):
        driver.call(FakeHub(answer), work)
    assert closed


def test_submit_then_the_run_is_known_by_the_id_we_chose(driver):
    hub = FakeHub(
        httpx.ReadError("reset"),
        lambda r: httpx.Response(202, json={"status": "queued", "position": 0}),
    )
    run = driver.call(hub, lambda client: client.submit("x", callback_url="https://a/b"))
    one, two = hub.bodies()
    assert one == two
    assert one["callback_url"] == "https://a/b"
    assert run.execution_id == one["execution_id"]
    assert hub.lines() == ["POST /api/v1/execute/async"] * 2


def test_attach_asks_whether_there_is_such_a_run(driver):
    run = driver.call(FakeHub(ENDED), lambda client: client.attach("e", after=4))
    assert run.last_seq == 4
    hub = FakeHub(error_reply(404, "not_found"))
    with pytest.raises(kernelhub.NotFoundError):
        driver.call(hub, lambda client: client.attach("e"))


def test_interrupt(driver):
    hub = FakeHub(httpx.Response(202, json={"anything": 1}))
    assert driver.call(hub, lambda client: client.interrupt("e")) is None
    assert hub.lines() == ["POST /api/v1/executions/e/interrupt"]


def test_wait_follows_the_run_to_its_end(driver):
    hub = FakeHub(running, stream_reply(sse(a_run()), 300), lambda r: stream_reply(sse(a_run())))
    hub._answers.append(ENDED)
    assert driver.call(hub, lambda client: client.wait("e")).status == "ok"


def test_wait_for_what_has_ended_is_one_request(driver):
    assert driver.call(FakeHub(ENDED), lambda client: client.wait("e")).ok


def test_wait_ends_with_its_timeout_and_reads_in_short_turns(driver):
    hub = FakeHub(running, *[httpx.ReadTimeout("silence")] * 100000)
    with pytest.raises(kernelhub.TimeoutError_, match="has not ended"):
        driver.call(hub, lambda client: client.wait("e", timeout=0.05))
    assert hub.requests[-1].extensions["timeout"]["read"] <= 0.25


def test_wait_ends_with_its_timeout_though_the_run_chatters(driver):
    def chatter(request):
        lines = (f'data: {{"seq":{i},"type":"stdout"}}\n\n' for i in range(1, 200000))
        return stream_reply("".join(lines).encode())

    with pytest.raises(kernelhub.TimeoutError_):
        driver.call(FakeHub(running, chatter), lambda client: client.wait("e", timeout=0.01))


def test_jobs_are_executions(driver):
    hub = FakeHub(ENDED)
    assert driver.call(hub, lambda client: client.jobs.get("e")).execution_id == "e"
    assert hub.lines() == ["GET /api/v1/jobs/e"]


def test_history_goes_from_page_to_page(driver):
    hub = FakeHub(items(record("a"), record("b"), following="c1"), items(record("c")))
    since = datetime(2026, 11, 21, 12, tzinfo=timezone(timedelta(hours=2)))
    history = driver.call(
        hub, lambda client: client.executions.list(status="ok", label="a=b", since=since)
    )
    assert [one.execution_id for one in history] == ["a", "b", "c"]
    first, second = (dict(r.url.params) for r in hub.requests)
    wanted = {"status": "ok", "label": "a=b", "since": "2026-11-21T10:00:00Z", "limit": "100"}
    assert first == wanted
    assert second == {**wanted, "cursor": "c1"}


def test_history_stops_at_its_limit(driver):
    hub = FakeHub(items(record("a"), record("b"), following="c1"), items(record("c"), record("d")))
    history = driver.call(hub, lambda client: client.executions.list(limit=3))
    assert [one.execution_id for one in history] == ["a", "b", "c"]
    assert [r.url.params["limit"] for r in hub.requests] == ["3", "1"]
    assert driver.call(FakeHub(), lambda client: client.executions.list(limit=0)) == []


def test_a_cursor_that_does_not_move_ends_the_walk(driver):
    hub = FakeHub(items(record("a"), following="c"), items(record("b"), following="c"))
    assert len(driver.call(hub, lambda client: client.executions.list())) == 2


def test_a_wrong_filter_is_refused(driver):
    with pytest.raises(TypeError, match="langauge"):
        driver.call(FakeHub(), lambda client: client.executions.list(langauge="r"))


def test_sessions(driver):
    info = {"name": "a/b", "language": "r", "status": "idle", "tomorrow": 1}
    hub = FakeHub(
        items(info, following="c"),
        items({"name": "z"}),
        httpx.Response(201, json=info),
        httpx.Response(200, json=info),
        httpx.Response(200, json=info),
        httpx.Response(204),
        httpx.Response(204),
    )
    names = [s.name for s in driver.call(hub, lambda client: client.sessions.list())]
    assert names == ["a/b", "z"]
    assert driver.call(hub, lambda c: c.sessions.create("a/b", language="r")).language == "r"
    assert driver.call(hub, lambda client: client.session("a/b").info()).status == "idle"
    driver.call(hub, lambda client: client.session("a/b").restart())
    driver.call(hub, lambda client: client.session("a/b").interrupt())
    driver.call(hub, lambda client: client.session("a/b").delete())
    assert hub.lines() == [
        "GET /api/v1/sessions",
        "GET /api/v1/sessions?cursor=c",
        "POST /api/v1/sessions",
        "GET /api/v1/sessions/a%2Fb",
        "POST /api/v1/sessions/a%2Fb/restart",
        "POST /api/v1/sessions/a%2Fb/interrupt",
        "DELETE /api/v1/sessions/a%2Fb",
    ]
    assert hub.bodies() == [{"name": "a/b", "language": "r"}]


def test_a_notebook_is_a_dict_or_a_file(driver, tmp_path):
    book = {"cells": [], "nbformat": 4}
    at = datetime(2026, 11, 21, 10, tzinfo=timezone.utc)
    path = tmp_path / "ü.ipynb"
    hub = FakeHub(httpx.Response(200, json=book), httpx.Response(200, json=book))
    assert driver.call(hub, lambda c: c.notebook("a/b", since=at, outputs=False)) == book
    assert driver.call(hub, lambda c: c.session("a").notebook()) == book
    assert hub.lines() == [
        "GET /api/v1/sessions/a%2Fb/notebook?since=2026-11-21T10%3A00%3A00Z&outputs=0",
        "GET /api/v1/sessions/a/notebook",
    ]
    body = b'{"cells":[]}'
    cut, whole = (httpx.Response(200, stream=Cut(body, at)) for at in (5, None))
    driver.call(FakeHub(cut, whole), lambda c: c.session("a").save_notebook(path))
    assert path.read_bytes() == body, "a broken connection is no notebook: it is asked for again"
    with pytest.raises(kernelhub.NotFoundError):
        driver.call(
            FakeHub(error_reply(404, "not_found")), lambda c: c.sessions.save_notebook("a", path)
        )
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == body
    with pytest.raises(TypeError, match="limit"):
        driver.call(FakeHub(), lambda c: c.notebook("a", limit=3))


def test_a_session_runs_code_in_itself(driver):
    hub = FakeHub(ENDED)
    driver.call(hub, lambda client: client.session("s", "r").execute("1", timeout_seconds=2))
    body = hub.bodies()[0]
    assert (body["session"], body["language"], body["timeout_seconds"]) == ("s", "r", 2)


BOX = {"sandbox_id": "b-1", "name": "lab", "state": "running", "keeps_alive": ["called 1 s ago"]}
BOX |= {"labels": {"a": "b"}, "expires_at": "2026-11-21T10:00:00Z", "tomorrow": 1}


def test_sandboxes(driver):
    hub = FakeHub(
        items(BOX, following="c"),
        items({"sandbox_id": "b-2"}),
        httpx.Response(201, json=BOX),
        httpx.Response(200, json=BOX),
        httpx.Response(200, json=BOX),
        httpx.Response(200, json=BOX),
        httpx.Response(200, json={"pids": 3}),
        items({"text": "up"}),
        httpx.Response(204),
    )
    found = driver.call(hub, lambda client: client.sandboxes.list("a=b"))
    assert [box.sandbox_id for box in found] == ["b-1", "b-2"]
    assert (found[0].name, found[0].labels, found[0].expires_at.year) == ("lab", {"a": "b"}, 2026)
    limits = {"memory_bytes": 1024, "cpus": 0.5}
    new = driver.call(hub, lambda c: c.sandboxes.create(name="lab", limits=limits, image=None))
    assert new.keeps_alive == ["called 1 s ago"]
    assert driver.call(hub, lambda client: client.sandboxes.get("lab")).state == "running"
    driver.call(hub, lambda client: client.sandboxes.update("lab", ttl_seconds=60))
    driver.call(hub, lambda client: client.sandboxes.reset("lab"))
    assert driver.call(hub, lambda client: client.sandboxes.stats("lab")) == {"pids": 3}
    assert driver.call(hub, lambda client: client.sandboxes.logs("lab", 5)) == [{"text": "up"}]
    driver.call(hub, lambda client: client.sandboxes.delete("lab"))
    assert hub.lines() == [
        "GET /api/v1/sandboxes?label=a%3Db",
        "GET /api/v1/sandboxes?label=a%3Db&cursor=c",
        "POST /api/v1/sandboxes",
        "GET /api/v1/sandboxes/lab",
        "PATCH /api/v1/sandboxes/lab",
        "POST /api/v1/sandboxes/lab/reset",
        "GET /api/v1/sandboxes/lab/stats",
        "GET /api/v1/sandboxes/lab/logs?tail=5",
        "DELETE /api/v1/sandboxes/lab",
    ]
    assert hub.bodies() == [{"name": "lab", "limits": limits}, {"ttl_seconds": 60}]


def test_a_mistyped_option_of_a_sandbox_is_refused_here(driver):
    with pytest.raises(TypeError, match="no such option of a sandbox: ttl"):
        driver.call(FakeHub(), lambda client: client.sandboxes.create(ttl=1))


GONE = error_reply(410, "gone")


@pytest.mark.parametrize("last", [httpx.Response(204), GONE], ids=["there", "its lease has ended"])
def test_a_sandbox_runs_code_in_itself_and_ends_with_its_block(last):
    hub = FakeHub(httpx.Response(201, json=BOX), ENDED, ENDED, last)
    client = kernelhub.Client(URL, TOKEN, transport=httpx.MockTransport(hub))
    with client, client.sandbox(template="python") as box:
        box.execute("1")
        box.session("s", "r").execute("2")
    bodies = hub.bodies()
    assert bodies[0] == {"template": "python"}
    assert [(b["sandbox"], b.get("session")) for b in bodies[1:]] == [("b-1", None), ("b-1", "s")]
    assert hub.lines()[-1] == "DELETE /api/v1/sandboxes/b-1"


@pytest.mark.parametrize("last", [httpx.Response(204), GONE], ids=["there", "its lease has ended"])
def test_an_async_sandbox_too(last):
    made = httpx.Response(201, json=BOX)
    hub = FakeHub(made, ENDED, last, made, httpx.Response(200, json=BOX))

    async def work():
        async with AsyncClient(URL, TOKEN, transport=httpx.MockTransport(hub)) as client:
            async with client.sandbox(template="python") as box:
                await box.execute("1")
            box = await client.sandbox()
            return (await box.info()).name

    assert asyncio.run(work()) == "lab"
    assert hub.bodies()[1]["sandbox"] == "b-1"
    assert hub.lines()[-3:] == [
        "DELETE /api/v1/sandboxes/b-1",
        "POST /api/v1/sandboxes",
        "GET /api/v1/sandboxes/b-1",
    ]


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_would_be_another_path_is_refused(driver, name):
    with pytest.raises(ValueError, match="not a name"):
        driver.call(FakeHub(), lambda client: client.sessions.get(name))


def test_health_that_is_bad_is_an_answer(driver):
    well = {"status": "healthy", "version": "1", "timestamp": "t", "checks": {"store": "ok"}}
    health = driver.call(FakeHub(httpx.Response(200, json=well)), lambda client: client.health())
    assert health.ok
    assert health.checks == {"store": "ok"}
    ill = FakeHub(httpx.Response(503, json={**well, "status": "unhealthy"}))
    assert not driver.call(ill, lambda client: client.health()).ok


def test_languages_and_images(driver):
    hub = FakeHub(
        items({"name": "python", "aliases": ["py"], "version": "3"}),
        items({"name": "python", "size_bytes": 3}),
    )
    language = driver.call(hub, lambda client: client.languages())[0]
    assert (language.name, language.display_name, language.aliases) == ("python", "python", ["py"])
    assert driver.call(hub, lambda client: client.images())[0].raw["size_bytes"] == 3


def test_without_a_token_none_is_sent():
    hub = FakeHub(items())
    with kernelhub.Client(URL, "", transport=httpx.MockTransport(hub)) as client:
        client.languages()
    assert "authorization" not in hub.requests[0].headers
