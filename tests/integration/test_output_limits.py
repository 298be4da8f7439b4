"""Output over a limit is cut where it says so, and costs nobody else anything."""

from __future__ import annotations

import json
import time

import httpx

from conftest import Service, run

LIMIT = 40_000


def events_of(http: httpx.Client, execution: object) -> list[dict[str, object]]:
    reply = http.get(f"/api/v1/executions/{execution}/events", headers={"Accept": "application/x-ndjson"})
    return [json.loads(line) for line in reply.text.split("\n") if line]


def test_one_huge_print_keeps_its_beginning_and_its_end(http: httpx.Client) -> None:
    text = "".join(f"line {i} – ünï \"quoted\"\n" for i in range(20_000))
    code = "print(''.join(f'line {i} – ünï \"quoted\"\\n' for i in range(20_000)), end='')"
    record = run(http, code, max_output_bytes=LIMIT)
    assert record["status"] == "ok" and record["truncated"] is True
    events = events_of(http, record["execution_id"])
    assert [e["type"] for e in events].count("gap") == 1
    at = [e["type"] for e in events].index("gap")
    head = "".join(str(e["text"]) for e in events[:at] if e["type"] == "stdout")
    tail = "".join(str(e["text"]) for e in events[at:] if e["type"] == "stdout")
    assert text.startswith(head) and len(head) > LIMIT // 4
    assert text.endswith(tail) and len(tail) > LIMIT // 16
    missing = len(json.dumps(text, ensure_ascii=False).encode()) - 2 - sum(
        len(json.dumps(part, ensure_ascii=False).encode()) - 2 for part in (head, tail)
    )
    assert abs(int(str(events[at]["bytes"])) - missing) < 500, (events[at], missing)
    assert record["stdout"] == head + tail


def test_a_flood_is_cut_live_and_the_kernel_is_not_held_up(http: httpx.Client) -> None:
    code = "import time\nbegin = time.time()\nfor i in range(200):\n    print('f' * 100_000, flush=True)\nprint('took', time.time() - begin)"
    record = run(http, code, max_output_bytes=LIMIT, timeout_seconds=60)
    assert record["status"] == "ok" and record["truncated"] is True
    assert "took" in str(record["stdout"]), "the newest part is kept"
    assert len(str(record["stdout"])) < LIMIT * 1.1
    gap = next(e for e in events_of(http, record["execution_id"]) if e["type"] == "gap")
    assert int(str(gap["bytes"])) > 19_000_000 and "max_output_bytes" in str(gap["reason"])


def test_a_print_beyond_what_one_message_may_hold_arrives_too(http: httpx.Client) -> None:
    record = run(http, "print('begin' + 'p' * 80_000_000 + 'end')", max_output_bytes=LIMIT, timeout_seconds=60)
    assert record["status"] == "ok" and record["truncated"] is True
    assert str(record["stdout"]).startswith("begin") and str(record["stdout"]).endswith("end\n")
    (gap,) = [e for e in events_of(http, record["execution_id"]) if e["type"] == "gap"]
    assert "max_output_bytes" in str(gap["reason"])
    assert abs(len(str(record["stdout"])) + int(str(gap["bytes"])) - 80_000_009) < 5000, gap


def test_what_was_printed_stays_in_no_memory(http: httpx.Client) -> None:
    def resident_bytes() -> int:
        return int(str(run(http, "print(open('/proc/self/statm').read().split()[1])")["stdout"])) * 4096

    for i in range(4):
        assert run(http, "print('m' * 60_000_000)", max_output_bytes=LIMIT)["status"] == "ok"
        if i == 0:
            before = resident_bytes()
    assert resident_bytes() - before < 60_000_000


def test_a_flood_does_not_block_others(http: httpx.Client, service: Service) -> None:
    assert http.post("/api/v1/admin/users", json={"name": "calm"}).status_code == 201
    key = http.post("/api/v1/admin/keys", json={"name": "k", "user": "calm"}).json()["key"]
    with service.client(key) as calm:
        run(calm, "1")
        run(http, "1", session="flood")
        flood = "import time\nend = time.time() + 8\nwhile time.time() < end:\n    print('g' * 50_000, flush=True)"
        job = http.post("/api/v1/execute/async", json={"code": flood, "session": "flood", "timeout_seconds": 60}).json()["job_id"]
        time.sleep(1)
        slowest, answered = 0.0, 0
        while answered < 10 and http.get(f"/api/v1/jobs/{job}").json()["status"] == "running":
            begin = time.monotonic()
            assert run(calm, "6 * 7")["status"] == "ok"
            slowest = max(slowest, time.monotonic() - begin)
            answered += 1
        assert answered >= 3 and slowest < 3, (answered, slowest)
        calm.delete("/api/v1/sessions/python")
    http.delete("/api/v1/sessions/flood")
