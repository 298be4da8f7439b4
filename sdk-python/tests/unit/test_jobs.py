"""Batches, replays, parts of an output, the secret of callbacks."""

from __future__ import annotations

import uuid

import httpx
import pytest
from fake import FakeHub, error_reply, record

from kernelhub import AsyncRun, ExecutionError, InvalidRequestError, Run


def reply(**fields):
    return httpx.Response(200, json=fields)


def test_a_batch_is_sent_with_an_id_for_each(driver):
    hub = FakeHub(reply(status="ok", stopped_at=None, items=[record("a"), record("b", stdout="2")]))
    batch = driver.call(hub, lambda c: c.batch(["x = 1", {"code": "ls", "language": "bash"}]))
    (body,) = hub.bodies()
    assert body["stop_on_error"] is True
    first, second = body["executions"]
    assert uuid.UUID(first.pop("execution_id")) != uuid.UUID(second.pop("execution_id"))
    assert (first, second) == ({"code": "x = 1"}, {"code": "ls", "language": "bash"})
    assert batch.ok and len(batch) == 2 and batch[1].stdout == "2"
    assert [item.execution_id for item in batch.raise_for_status()] == ["a", "b"]


def test_a_batch_that_stopped_says_where(driver):
    left_out = {"execution_id": None, "status": "cancelled", "reason": "not run: ..."}
    items = [record("a"), record("b", status="error", exit_code=1), left_out]
    hub = FakeHub(reply(status="error", stopped_at=1, items=items))
    batch = driver.call(hub, lambda c: c.batch(["1", "1/0", "2"], stop_on_error=True))
    assert (batch.ok, batch.status, batch.stopped_at) == (False, "error", 1)
    assert batch[2].execution_id == "" and batch[2]["reason"] == "not run: ..."
    with pytest.raises(ExecutionError) as caught:
        batch.raise_for_status()
    assert caught.value.execution.execution_id == "b"


def test_a_batch_that_was_cut_off_is_sent_again_as_it_was(driver):
    hub = FakeHub(httpx.ReadError("gone"), reply(status="ok", stopped_at=None, items=[record()]))
    assert driver.call(hub, lambda c: c.batch(["1"])).ok
    once, again = hub.bodies()
    assert once == again


@pytest.mark.parametrize("items", [[7], [{}], [{"code": 1}], [{"code": "1", "nonsense": 1}]])
def test_a_wrong_item_is_not_sent(driver, items):
    hub = FakeHub()
    with pytest.raises(TypeError):
        driver.call(hub, lambda c: c.batch(items))


def run_of(client):
    return (AsyncRun if type(client).__name__ == "AsyncClient" else Run)(client._wire, "e")


def test_a_replay_is_a_run_of_its_own(driver):
    hub = FakeHub(httpx.Response(202, json={"execution_id": "x", "job_id": "x"}))
    run = driver.call(hub, lambda c: run_of(c).replay(session="s", env={"A": "b"}))
    (body,) = hub.bodies()
    assert run.execution_id == body.pop("execution_id") != "e"
    assert body == {"session": "s", "env": {"A": "b"}}
    assert hub.lines() == ["POST /api/v1/executions/e/replay?async=1"]
    with pytest.raises(TypeError):
        driver.call(FakeHub(), lambda c: run_of(c).replay(code="2"))


def text_reply(text, **headers):
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(200, content=text.encode(), headers=sent)


def test_an_output_is_read_to_its_end(driver):
    first, second = text_reply("ä", X_Next_Offset="2"), text_reply("b", X_Next_Offset="3")
    hub = FakeHub(first, second, text_reply("c"))
    assert driver.call(hub, lambda c: run_of(c).output()) == "äbc"
    assert [line.partition("?")[2] for line in hub.lines()] == [
        "stream=stdout",
        "stream=stdout&offset=2",
        "stream=stdout&offset=3",
    ]


def test_a_part_of_an_output_is_one_request(driver):
    hub = FakeHub(text_reply("x", X_Next_Offset="8"), text_reply("last\n"))
    assert driver.call(hub, lambda c: run_of(c).output(offset=7, limit=1)) == "x"
    assert driver.call(hub, lambda c: run_of(c).output("stderr", tail=1, grep="a b")) == "last\n"
    assert hub.lines()[1].endswith("?stream=stderr&tail=1&grep=a+b")


def test_a_head_is_one_request_and_says_where_to_go_on(driver):
    hub = FakeHub(text_reply("a\n", X_Next_Offset="2", X_Total_Bytes="9"), text_reply("rest"))
    head = driver.call(
        hub, lambda c: c.output("e", head=1, grep="A", ignore_case=True, total=True)
    )
    assert (head, head.next_offset, head.total_bytes) == ("a\n", 2, 9)
    rest = driver.call(hub, lambda c: c.output("e", offset=head.next_offset, total=True))
    assert (rest.next_offset, rest.total_bytes) == (None, None)
    first, second = (line.partition("?")[2] for line in hub.lines())
    assert set(first.split("&")) == {"stream=stdout", "head=1", "grep=A", "ignore_case=1", "total=1"}
    assert second == "stream=stdout&offset=2"
    with pytest.raises(TypeError):
        driver.call(FakeHub(), lambda c: c.output("e", lines=3))


def test_an_output_says_whether_it_was_cut(driver):
    cut, whole = text_reply("tail", X_Truncated="true"), text_reply("all")
    hub = FakeHub(cut, whole)
    tail = driver.call(hub, lambda c: run_of(c).output(tail=10**6))
    assert tail == "tail" and tail.truncated
    assert not driver.call(hub, lambda c: run_of(c).output()).truncated


def test_an_errors_text_is_still_an_error(driver):
    hub = FakeHub(error_reply(400, "invalid_request"))
    with pytest.raises(InvalidRequestError):
        driver.call(hub, lambda c: run_of(c).output("all"))


def test_the_secret_is_asked_for_and_renewed(driver):
    hub = FakeHub(reply(secret="whsec_a"), reply(secret="whsec_b"))
    assert driver.call(hub, lambda c: c.callback_secret()) == "whsec_a"
    assert driver.call(hub, lambda c: c.callback_secret(renew=True)) == "whsec_b"
    assert [line.split()[0] for line in hub.lines()] == ["GET", "POST"]
