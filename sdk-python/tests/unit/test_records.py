from __future__ import annotations

import sys
import types
from datetime import datetime, timezone

import pytest
from fake import a_run, record

from kernelhub import Event, Execution, Result


def test_a_record_is_typed_and_keeps_what_it_does_not_know():
    execution = Execution.from_json(record())
    assert execution.ok
    assert execution.ended
    assert execution.text == "42"
    assert [result.is_main_result for result in execution.results] == [False, True]
    assert execution.results[0]["image/png"] == "aGk="
    assert execution.timing.kernel_us == 11810
    assert execution.resource_usage.cpu_ms == 8
    assert execution.resource_usage.memory_peak_bytes is None
    assert execution.files_changed[0].path == execution.files_created[0] == "out.png"
    assert execution.created_at == datetime(2026, 11, 21, 10, tzinfo=timezone.utc)
    assert execution["a_field_of_tomorrow"] == {"x": [1]}
    assert "nothing" not in execution
    assert repr(execution) == "<Execution ok python e stdout='42\\n' text='42'>"


def test_a_record_with_less_or_with_nonsense_is_read_all_the_same():
    execution = Execution.from_json({"execution_id": "e", "status": "queued", "results": 3})
    assert (execution.stdout, execution.results, execution.error) == ("", [], None)
    assert not execution.ended
    assert execution.text is None


def test_a_long_text_is_shortened_in_a_repr():
    assert len(repr(Execution.from_json(record(stdout="x" * 1000)))) < 200


def test_a_result_shows_itself():
    data, metadata = Execution.from_json(record()).results[0]._repr_mimebundle_()
    assert data == {"text/plain": "<fig>", "image/png": "aGk="}
    assert metadata == {"w": 1}


def test_a_part_that_the_service_keeps_is_not_shown_as_if_it_were_the_image():
    ref = {"ref": "/api/v1/executions/e/blobs/1", "bytes": 300000}
    both = {"data": {"image/png": ref, "text/plain": "<fig>"}}
    result = Execution.from_json(record(execution_id="e", results=[both])).results[0]
    assert result.is_ref("image/png")
    assert not result.is_ref("text/plain")
    assert result._repr_mimebundle_()[0] == {"text/plain": "<fig>"}
    event = Event.from_json({"type": "display", "execution_id": "e", "data": {"image/png": ref}})
    alone, _ = Result.from_event(event)._repr_mimebundle_()
    assert alone == {"text/plain": "<Result kept by the service: image/png, 300000 bytes>"}


@pytest.mark.parametrize(
    "value",
    [
        {"ref": "@evil.example/api/v1/executions/e/blobs/1", "bytes": 1},
        {"ref": "https://evil.example/api/v1/executions/e/blobs/1", "bytes": 1},
        {"ref": "//evil.example/api/v1/executions/e/blobs/1", "bytes": 1},
        {"ref": "/api/v1/executions/other/blobs/1", "bytes": 1},
        {"ref": "/api/v1/executions/e/blobs/", "bytes": 1},
        {"ref": "/api/v1/executions/e/blobs/1/../../../sessions", "bytes": 1},
        {"ref": "/api/v1/executions/e/blobs/1\n", "bytes": 1},
        {"ref": "/api/v1/executions/e/blobs/²", "bytes": 1},
        {"ref": "/api/v1/executions/e/blobs/1", "bytes": "1"},
        {"ref": "/api/v1/executions/e/blobs/1", "bytes": 1, "more": 1},
        {"ref": "/api/v1/executions/e/blobs/1"},
        {"ref": ["/api/v1/executions/e/blobs/1"], "bytes": 1},
        {"ref": None, "bytes": None},
        {},
    ],
)
def test_what_the_code_says_is_no_reference_and_stays_as_it_is(value):
    result = Result({"application/json": value}, execution_id="e")
    assert not result.is_ref("application/json")
    assert result._repr_mimebundle_()[0] == {"application/json": value}


def test_without_an_execution_nothing_is_a_reference():
    ref = {"ref": "/api/v1/executions//blobs/1", "bytes": 1}
    assert not Result({"image/png": ref}).is_ref("image/png")
    assert not Result({}).is_ref("image/png")


def test_an_execution_shows_all_of_itself_in_a_notebook(monkeypatch, capsys):
    shown = []
    ipython = types.ModuleType("IPython")
    display = types.ModuleType("IPython.display")
    display.display = shown.append
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    error = {"name": "E", "value": "v", "traceback": ["Traceback", "E: v"]}
    execution = Execution.from_json(record(error=error, status="error"))
    execution._ipython_display_()
    assert shown == execution.results
    assert capsys.readouterr().out == "42\nTraceback\nE: v\n"


def test_events_can_be_read():
    events = [Event.from_json(raw) for raw in a_run()]
    assert [str(one) for one in events] == [
        "#1 queued: position 0",
        "#2 started: python [1]",
        "#3 stdout: zwölf 12€ 🙂",
        "#4 stderr: warn\r",
        "#5 display: <fig>",
        "#6 result: 42",
        "#7 error: ValueError: no",
        "#8 files_changed: created o.png",
        "#9 finished: ok in 12 ms",
    ]
    assert [one.text for one in events[2:7]] == [
        "zwölf 12€ 🙂\n",
        "warn\r\n",
        "<fig>",
        "42",
        "a\nb",
    ]
    assert events[0].time.year == 2026
    assert events[-1].exit_code == 0
