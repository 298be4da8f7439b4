from __future__ import annotations

import json

import pytest

import kernelhub


def test_a_session_is_made_listed_restarted_and_deleted(hub, session):
    info = hub.sessions.create(session, language="python")
    assert (info.name, info.language) == (session, "python")
    assert session in [one.name for one in hub.sessions.list()]
    assert hub.sessions.get(session).name == session

    mine = hub.session(session)
    mine.execute("x = 1", check=True)
    mine.restart()
    assert mine.execute("print(x)").error.name == "NameError"

    mine.delete()
    assert session not in [one.name for one in hub.sessions.list()]
    with pytest.raises(kernelhub.NotFoundError):
        mine.info()


def test_a_session_leaves_a_notebook(hub, session, tmp_path):
    hub.execute("print('ü')", session=session, check=True)
    mine = hub.session(session)
    mine.delete()
    (cell,) = mine.notebook()["cells"]
    assert cell["outputs"] == [{"output_type": "stream", "name": "stdout", "text": "ü\n"}]
    mine.save_notebook(tmp_path / "a.ipynb", outputs=False)
    saved = json.loads((tmp_path / "a.ipynb").read_text())
    assert [(c["source"], c["outputs"]) for c in saved["cells"]] == [("print('ü')", [])]
    assert hub.notebook(session, until="2001-01-01T00:00:00Z")["cells"] == []


def test_two_sessions_share_nothing(hub, session):
    hub.execute("x = 1", session=session, check=True)
    other = f"{session}/b.ipynb"
    try:
        assert hub.execute("print('x' in globals())", session=other).stdout == "False\n"
        assert hub.sessions.get(other).name == other
    finally:
        hub.sessions.delete(other)


def test_a_session_has_one_language(hub, session):
    hub.sessions.create(session, language="python")
    with pytest.raises(kernelhub.ConflictError):
        hub.execute("1", session=session, language="bash")


def test_a_session_can_be_interrupted(hub, session):
    run = hub.submit("print(1, flush=True)\nimport time; time.sleep(60)", session=session)
    next(one for one in run.events() if one.type == "stdout")
    hub.session(session).interrupt()
    assert run.wait(30).status == "interrupted"


def test_a_sessions_feed_tells_of_a_restart(hub, session):
    mine = hub.session(session)
    mine.execute("1", check=True)
    mine.restart()
    for one in mine.events():
        if one.type == "restarted":
            break
    assert one.seq >= 1


def test_health_languages_images(hub):
    health = hub.health()
    assert health.ok
    assert health.version
    python = next(one for one in hub.languages() if one.name == "python")
    assert "py" in python.aliases
    assert hub.images()
