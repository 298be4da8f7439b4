from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import pytest

import kernelhub
from kernelhub import Client


def test_submit_and_interrupt(hub, session):
    run = hub.submit("print('up', flush=True)\nimport time; time.sleep(60)", session=session)
    assert next(one for one in run.events() if one.type == "stdout").text == "up\n"
    assert run.status() == "running"
    run.interrupt()
    result = run.wait(30)
    assert (result.status, result.exit_code) == ("interrupted", 130)
    assert hub.execute("print(1)", session=session).stdout == "1\n"


def test_wait_gives_up_in_time_and_the_run_goes_on(hub, session):
    run = hub.submit("import time; time.sleep(4); print('done')", session=session)
    start = time.monotonic()
    with pytest.raises(kernelhub.TimeoutError_):
        run.wait(1)
    assert time.monotonic() - start < 3
    assert run.result(60).stdout == "done\n"


def test_attach_after_the_end_gives_every_event_from_any_number(hub, session):
    events = list(hub.stream("for i in range(5): print(i)", session=session))
    execution_id = events[0].execution_id
    for after in range(len(events)):
        run = hub.attach(execution_id, after=after)
        assert list(run) == events[after:]
    assert list(hub.events(execution_id, after=len(events))) == []
    assert list(hub.events(execution_id, follow=False)) == events
    assert hub.jobs.get(execution_id).status == "ok"


def test_attach_while_it_runs_joins_what_was_with_what_comes(hub, service, session):
    code = "import time\nfor i in range(20): print(i, flush=True); time.sleep(0.1)"
    run = hub.submit(code, session=session)
    early = []
    for one in run.events():
        early.append(one)
        if one.type == "stdout":
            break
    with Client(*service) as other:
        late = list(other.attach(run.execution_id, after=early[-1].seq))
    text = "".join(one.text for one in early + late if one.type == "stdout")
    assert text == "".join(f"{i}\n" for i in range(20))
    assert [one.seq for one in early + late] == list(range(1, len(early + late) + 1))


def test_history(hub, session):
    before = datetime.now(timezone.utc) - timedelta(minutes=1)
    for i in range(5):
        hub.execute(f"print('needle', {i})", session=session, labels={"sdk": session})
    hub.execute("1/0", session=session)
    mine = list(hub.executions.list(session=session))
    assert len(mine) == 6
    assert len({one.execution_id for one in mine}) == 6
    assert len(list(hub.executions.list(session=session, limit=2))) == 2
    assert [one.status for one in hub.executions.list(session=session, status="error")] == ["error"]
    assert len(list(hub.executions.list(session=session, q="needle"))) == 5
    assert len(list(hub.executions.list(label=f"sdk={session}"))) == 5
    assert len(list(hub.executions.list(session=session, since=before))) == 6
    assert list(hub.executions.list(session=session, until=before)) == []
    one = hub.executions.get(mine[0].execution_id)
    assert one.code
    assert one.created_at
    assert one.finished_at


def test_a_batch_stops_at_the_first_error(hub, session):
    codes = ["x = 6", "print(x * 7)"]
    batch = hub.batch({"code": code, "session": session} for code in codes)
    assert batch.ok and batch[1].stdout == "42\n"
    batch = hub.batch(["1", "1/0", "2"])
    assert (batch.status, batch.stopped_at) == ("error", 1)
    assert [item.status for item in batch] == ["ok", "error", "cancelled"]
    with pytest.raises(kernelhub.ExecutionError):
        batch.raise_for_status()


def test_a_replay_and_parts_of_an_output(hub, session):
    run = hub.submit("for i in range(300): print('line', i, 'ä')", session=session)
    run.result(60)
    again = run.replay()
    record = again.result(60)
    assert record.replay_of == run.execution_id and record.session != session
    assert again.output() == run.output() == record.stdout
    assert again.output(tail=1) == "line 299 ä\n"
    assert again.output(grep="line 29", head=1) == "line 29 ä\n"
    assert again.output(offset=5, limit=3) == "0 "  # no half character


def test_callbacks_have_a_secret(hub):
    assert hub.callback_secret().startswith("whsec_")
