from __future__ import annotations

import httpx
import pytest
from fake import AsyncDriver, FakeHub, error_reply, event, record, sse, stream_reply

import kernelhub

ID = "11111111-1111-4111-8111-111111111111"
ASKS = sse(
    [
        event(1, "started", ID, code="…", language="python", execution_count=1),
        event(2, "input_request", ID, prompt="pw: ", password=True),
        event(3, "finished", ID, status="ok", exit_code=0, duration_ms=1, last_seq=3),
    ]
)
SENT = httpx.Response(200, json={"execution_id": ID, "status": "running"})
INPUT = f"POST /api/v1/executions/{ID}/input"
INTERRUPT = f"POST /api/v1/executions/{ID}/interrupt"


def execute(answers, *, on_input, **options):
    hub = FakeHub(stream_reply(ASKS), *answers, httpx.Response(200, json=record(ID)))
    return hub, lambda client: client.execute("x", on_input=on_input, execution_id=ID, **options)


def test_on_input_gets_the_prompt_and_its_answer_is_sent(driver):
    asked = []

    def answer(prompt, password):
        asked.append((prompt, password))
        return "sécret"

    hub, work = execute([SENT], on_input=answer)
    assert driver.call(hub, work).status == "ok"
    assert asked == [("pw: ", True)]
    assert hub.lines()[1] == INPUT
    body = hub.bodies()
    assert body[0]["interactive"] is True and body[1] == {"value": "sécret"}


@pytest.mark.parametrize("how", ["none", "eof"])
def test_none_and_eof_error_are_the_end_of_file(driver, how):
    def answer(prompt, password):
        if how == "eof":
            raise EOFError
        return None

    hub, work = execute([SENT], on_input=answer)
    driver.call(hub, work)
    assert hub.bodies()[1] == {"value": "\x04"}


def test_an_answer_that_comes_too_late_is_no_error(driver):
    hub, work = execute([error_reply(409, "conflict")], on_input=lambda prompt, password: "x")
    assert driver.call(hub, work).status == "ok"


def test_an_answer_waits_for_a_service_that_is_away_for_a_moment(driver):
    away = error_reply(503, "unavailable")
    hub, work = execute([away, away, SENT], on_input=lambda prompt, password: "x")
    driver.call(hub, work)
    assert hub.lines()[1:4] == [INPUT] * 3


def test_an_answer_is_not_sent_twice_when_nobody_knows_whether_it_came(driver):
    hub, work = execute([httpx.ReadError("cut")], on_input=lambda prompt, password: "x")
    with pytest.raises(kernelhub.ConnectionError_):
        driver.call(hub, work)
    assert hub.lines().count(INPUT) == 1


def test_a_callback_that_fails_interrupts_the_run(driver):
    def answer(prompt, password):
        raise RuntimeError("no idea")

    hub, work = execute([SENT], on_input=answer)
    with pytest.raises(RuntimeError, match="no idea"):
        driver.call(hub, work)
    assert hub.lines()[1] == INTERRUPT and hub.left == 1


def test_a_stream_is_answered_too(driver):
    hub = FakeHub(stream_reply(ASKS), SENT)
    events = driver.call(
        hub, lambda client: client.stream("x", on_input=lambda prompt, password: "y")
    )
    assert [one.type for one in events] == ["started", "input_request", "finished"]
    assert events[1].password is True and events[1].prompt == "pw: "
    assert hub.bodies()[1] == {"value": "y"}


def test_callbacks_without_on_input_ask_nobody(driver):
    hub = FakeHub(stream_reply(ASKS), httpx.Response(200, json=record(ID)))
    driver.call(hub, lambda client: client.execute("x", on_stdout=print, execution_id=ID))
    assert hub.bodies()[0]["interactive"] is False


def test_stdin_and_on_input_exclude_each_other(driver):
    hub = FakeHub()
    with pytest.raises(TypeError, match="stdin"):
        driver.call(hub, lambda client: client.execute("x", stdin="a", on_input=lambda p, s: "b"))


def test_a_client_answers_by_id(driver):
    hub = FakeHub(SENT, error_reply(409, "conflict"))
    driver.call(hub, lambda client: client.input(ID, "a"))
    with pytest.raises(kernelhub.ConflictError):
        driver.call(hub, lambda client: client.input(ID, None))
    assert hub.lines() == [INPUT] * 2 and hub.bodies() == [{"value": "a"}, {"value": "\x04"}]


def test_async_callbacks_may_be_coroutine_functions():
    async def answer(prompt, password):
        return prompt + "!"

    hub, work = execute([SENT], on_input=answer)
    AsyncDriver().call(hub, work)
    assert hub.bodies()[1] == {"value": "pw: !"}
