from __future__ import annotations

import uuid

import pytest

import kernelhub
from kernelhub import Client


def test_state_lives_from_run_to_run(hub, session):
    assert hub.execute("x = 41", session=session).ok
    result = hub.execute("print(x + 1)", session=session)
    assert result.stdout == result["stdout"] == "42\n"
    assert (result.status, result.exit_code, result.language) == ("ok", 0, "python")
    assert result.session == session
    uuid.UUID(result.execution_id)


def test_the_result_and_displays_come_in_order(hub, session):
    code = "from IPython.display import HTML, display\ndisplay(HTML('<b>1</b>'))\n6 * 7"
    result = hub.execute(code, session=session)
    assert [one.is_main_result for one in result.results] == [False, True]
    assert result.results[0]["text/html"] == "<b>1</b>"
    assert result.text == "42"


def test_an_exception_is_a_status(hub, session):
    result = hub.execute("1/0", session=session)
    assert (result.status, result.exit_code) == ("error", 1)
    assert result.error.name == "ZeroDivisionError"
    assert result.error.traceback
    with pytest.raises(kernelhub.ExecutionError) as caught:
        hub.execute("1/0", session=session, check=True)
    assert caught.value.name == "ZeroDivisionError"


def test_a_timeout_is_a_status(hub, session):
    result = hub.execute("import time; time.sleep(60)", session=session, timeout_seconds=1)
    assert (result.status, result.exit_code) == ("timeout", 124)


def test_stdin_and_its_end(hub, session):
    result = hub.execute("print(input() + '!')", session=session, stdin="hé\n")
    assert result.stdout.endswith("hé!\n")


def test_env_is_in_force_for_one_run(hub, session):
    code = "import os; print(os.environ.get('SDK_TEST'))"
    assert hub.execute(code, session=session, env={"SDK_TEST": "1"}).stdout == "1\n"
    assert hub.execute(code, session=session).stdout == "None\n"


def test_events_stream_in_order_as_they_come(hub, session):
    code = "import sys\nfor i in range(3): print(i, flush=True)\nprint('e', file=sys.stderr)\n7"
    events = list(hub.stream(code, session=session))
    assert [one.seq for one in events] == list(range(1, len(events) + 1))
    types = [one.type for one in events]
    assert types[-1] == "finished"
    assert types.index("started") < types.index("stdout")
    assert "".join(one.text for one in events if one.type == "stdout") == "0\n1\n2\n"
    assert "".join(one.text for one in events if one.type == "stderr") == "e\n"
    assert next(one for one in events if one.type == "result").text == "7"
    assert (events[-1].status, events[-1].exit_code) == ("ok", 0)
    assert events[-1]["last_seq"] == events[-1].seq


def test_callbacks_are_called_and_the_record_comes_too(hub, session):
    out, results, errors = [], [], []
    result = hub.execute(
        "print('a'); display(5)\n1/0",
        session=session,
        on_stdout=out.append,
        on_result=results.append,
        on_error=errors.append,
    )
    assert "".join(out) == result.stdout == "a\n"
    assert results[0].text == "5"
    assert errors[0].name == result.error.name == "ZeroDivisionError"


def test_the_same_id_and_code_attaches_other_code_conflicts(hub, session):
    chosen = str(uuid.uuid4())
    first = hub.execute("import random; print(random.random())", execution_id=chosen)
    again = hub.execute("import random; print(random.random())", execution_id=chosen)
    assert first.stdout == again.stdout
    replayed = list(
        hub.stream("import random; print(random.random())", execution_id=chosen),
    )
    assert replayed[0].seq == 1
    assert replayed[-1].type == "finished"
    with pytest.raises(kernelhub.ConflictError):
        hub.execute("print('other')", execution_id=chosen)


def test_bad_input_is_an_error_of_its_class(hub, service, session):
    with pytest.raises(kernelhub.InvalidRequestError) as caught:
        hub.execute("1", timeout_seconds=-1)
    assert caught.value.status == 400
    assert caught.value.request_id
    with pytest.raises(kernelhub.KernelhubError):
        hub.execute("1", language="no-such-language")
    with pytest.raises(kernelhub.InvalidRequestError):
        hub.execute("'\ud800'")
    with pytest.raises(kernelhub.NotFoundError):
        hub.attach(str(uuid.uuid4()))
    with pytest.raises(kernelhub.NotFoundError):
        hub.sessions.get("never-was")
    with Client(service[0], "kh_wrong") as stranger:
        with pytest.raises(kernelhub.AuthenticationError):
            stranger.execute("1")
        assert stranger.health().ok
