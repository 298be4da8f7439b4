from __future__ import annotations

import uuid

import pytest

import kernelhub


def test_a_sandbox_is_made_used_and_ended(hub):
    name = f"sdk-{uuid.uuid4().hex[:8]}"
    with hub.sandbox(name=name, workspace="private", labels={"by": "sdk"}) as box:
        box.execute("x = 41", check=True)
        assert box.execute("print(x + 1)").stdout == "42\n"
        assert hub.execute("print('x' in globals())", session=f"{name}-other").stdout == "False\n"
        info = box.info()
        assert (info.name, info.labels) == (name, {"by": "sdk"})
        assert info.keeps_alive
        assert name in [one.name for one in hub.sandboxes.list("by=sdk")]
        assert hub.open_sandbox(name).sandbox_id == box.sandbox_id
        box.update(labels={"by": "test"})
        assert box.info().labels == {"by": "test"}
        assert box.stats()["memory_bytes"] > 0
        assert box.logs(tail=3)
        box.reset()
        assert box.execute("print(x)").error.name == "NameError"
    hub.sessions.delete(f"{name}-other")
    with pytest.raises(kernelhub.GoneError):
        hub.sandboxes.get(box.sandbox_id)
