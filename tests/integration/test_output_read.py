"""GET /executions/{id}/output on what real kernels wrote: much of it, in parts, and while it is being written."""

import time
from typing import Any

import httpx

LINES = 200_000
LINE = "line %06d with an ä and a €, and some more of it so that there is much\n"
WHOLE = "".join(LINE % i for i in range(LINES))


def execute(http: httpx.Client, code: str, **more: Any) -> dict[str, Any]:
    reply = http.post("/api/v1/execute", json={"code": code, "timeout_seconds": 60, **more})
    assert reply.status_code == 200, reply.text
    record: dict[str, Any] = reply.json()
    return record


def read(http: httpx.Client, execution_id: str, **params: Any) -> dict[str, Any]:
    reply = http.get(f"/api/v1/executions/{execution_id}/output", params=params, headers={"Accept": "application/json"})
    assert reply.status_code == 200, reply.text
    part: dict[str, Any] = reply.json()
    return part


def test_all_of_a_long_output_is_read_in_parts(http: httpx.Client) -> None:
    code = f"import sys\nfor i in range({LINES}): sys.stdout.write({LINE!r} % i)"
    run = execute(http, code)["execution_id"]
    size = len(WHOLE.encode())
    assert size > 10_000_000
    head = read(http, run, head=3, total=1)
    assert head["text"] == "".join(LINE % i for i in range(3))
    assert (head["total_bytes"], head["total_lines"], head["ended"], head["truncated"]) == (size, LINES, True, False)
    tail = read(http, run, tail=1000, limit=200)
    assert WHOLE.endswith(tail["text"]) and 190 <= len(tail["text"].encode()) <= 200 and tail["truncated"]
    assert tail["offset"] + len(tail["text"].encode()) == size and tail["next_offset"] is None
    parts, offset = [head["text"]], head["next_offset"]
    while offset is not None:
        part = read(http, run, offset=offset, limit=999_999)
        assert part["offset"] == offset
        parts.append(part["text"])
        offset = part["next_offset"]
    assert "".join(parts) == WHOLE and len(parts) > 10
    found = read(http, run, grep="LINE 1999", ignore_case=1, tail=2, total=1)
    assert found["text"] == LINE % 199_998 + LINE % 199_999
    assert found["total_lines"] == 100  # 199900 to 199999; "line 0199…" is none of them
    assert read(http, run, stream="stderr")["text"] == ""


def test_what_runs_is_read_on_from_where_one_was(http: httpx.Client) -> None:
    code = "import time\nfor i in range(20):\n    print('step', i, flush=True)\n    time.sleep(0.1)"
    reply = http.post("/api/v1/execute/async", json={"code": code, "session": "steps"})
    run, text, offset = reply.json()["execution_id"], "", 0
    polls_with_news, deadline = 0, time.monotonic() + 60
    while True:
        assert time.monotonic() < deadline
        part = read(http, run, offset=offset)
        text += part["text"]
        offset = part["offset"] + len(part["text"].encode())
        polls_with_news += bool(part["text"])
        if part["ended"] and part["next_offset"] is None:
            break
        time.sleep(0.05)
    assert text == "".join(f"step {i}\n" for i in range(20))
    assert polls_with_news > 3
    http.delete("/api/v1/sessions/steps")
