"""Callbacks against the whole service: hub, courier and a receiver on loopback."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from conftest import Service, kill, run, wait_until
from receiver import Receiver

ASYNC = "/api/v1/execute/async"


@pytest.fixture(scope="module")
def calling() -> Iterator[Service]:
    """May call 127.0.0.1, and nothing else that is private."""
    s = Service("courier/allow=127.0.0.1/32", "courier/first_retry_seconds=0.1", "courier/timeout_seconds=2", "courier/max_attempts=6")
    try:
        s.start()
        yield s
    finally:
        s.destroy()


@pytest.fixture
def hub(calling: Service) -> Iterator[httpx.Client]:
    with calling.client() as client:
        yield client


def submit(hub: httpx.Client, url: str, code: str = "print('done')", **fields: object) -> str:
    reply = hub.post(ASYNC, json={"code": code, "callback_url": url, **fields})
    assert reply.status_code == 202, reply.text
    return str(reply.json()["job_id"])


def callback(hub: httpx.Client, job: str) -> dict[str, object]:
    state: dict[str, object] = hub.get(f"/api/v1/jobs/{job}").json()["callback"]
    return state


def settled(hub: httpx.Client, job: str, seconds: float = 20) -> dict[str, object]:
    wait_until(lambda: callback(hub, job)["status"] != "pending", seconds)
    return callback(hub, job)


def test_the_end_is_told_once_and_signed(hub: httpx.Client) -> None:
    secret = hub.get("/api/v1/callbacks/secret").json()["secret"]
    with Receiver() as receiver:
        job = submit(hub, receiver.url, "print('ä')\n6*7", labels={"a": "b"})
        (call,) = receiver.wait(1)
        state = settled(hub, job)
        time.sleep(0.5)
        assert len(receiver.calls) == 1
    assert call.path == "/hook?token=hush"
    assert call.headers["content-type"] == "application/json"
    assert call.headers["user-agent"].startswith("Kernelhub/")
    assert abs(int(call.headers["webhook-timestamp"]) - time.time()) < 60
    assert call.is_signed_with(secret) and not call.is_signed_with("whsec_" + "A" * 43 + "=")
    assert call.json["type"] == "execution.finished"
    record = hub.get(f"/api/v1/jobs/{job}").json()
    assert call.json["timestamp"] == record["finished_at"]
    data = call.json["data"]
    assert (data["execution_id"], data["status"], data["stdout"]) == (job, "ok", "ä\n")
    assert data["results"][0]["data"]["text/plain"] == "42" and data["labels"] == {"a": "b"}
    assert "callback" not in data
    assert state == {
        "url": f"http://127.0.0.1:{receiver.port}/hook",
        "status": "delivered",
        "attempts": 1,
        "next_attempt_at": None,
        "ended_at": state["ended_at"],
        "last_error": None,
    }


@pytest.mark.parametrize(
    ("code", "status"),
    [("1/0", "error"), ("import time; time.sleep(60)", "timeout"), ("import os; os._exit(3)", "kernel_died"), ("print(1, flush=True); import time; time.sleep(61)", "interrupted")],
)
def test_every_end_is_told(hub: httpx.Client, code: str, status: str) -> None:
    with Receiver() as receiver:
        job = submit(hub, receiver.url, code, timeout_seconds=1 if status == "timeout" else 30, session="ends")
        if status == "interrupted":
            wait_until(lambda: hub.get(f"/api/v1/jobs/{job}").json()["status"] == "running", 30)
            hub.post(f"/api/v1/executions/{job}/interrupt")
        (call,) = receiver.wait(1, 30)
        assert call.json["data"]["status"] == status


def test_what_never_ran_is_told(hub: httpx.Client) -> None:
    with Receiver() as receiver:
        blocking = hub.post(ASYNC, json={"code": "import time; time.sleep(60)", "session": "full"}).json()["job_id"]
        job = submit(hub, receiver.url, "1", session="full")
        hub.post(f"/api/v1/executions/{job}/cancel")
        (call,) = receiver.wait(1)
        assert call.json["data"]["status"] == "cancelled" and call.json["data"]["execution_id"] == job
        hub.post(f"/api/v1/executions/{blocking}/interrupt")


def test_a_replay_and_a_long_output(hub: httpx.Client) -> None:
    with Receiver() as receiver:
        job = submit(hub, receiver.url, "print('x' * 3_000_000)")
        (call,) = receiver.wait(1)
        assert len(call.body) < 1_200_000 and call.json["data"]["truncated"] is True
        settled(hub, job)
        job = submit(hub, receiver.url, "for i in range(1000): print('y' * 3000)")
        call = receiver.wait(2)[1]
        assert 900_000 < len(call.json["data"]["stdout"]) <= 1_048_576 and call.json["data"]["truncated"] is True
        assert settled(hub, job)["status"] == "delivered"


def test_it_is_tried_again_with_the_same_id(hub: httpx.Client) -> None:
    secret = hub.get("/api/v1/callbacks/secret").json()["secret"]
    with Receiver(500, "cut", 429, 302, 204) as receiver:
        job = submit(hub, receiver.url)
        calls = receiver.wait(5, 60)
        state = settled(hub, job)
    assert (state["status"], state["attempts"]) == ("delivered", 5)
    assert len({call.headers["webhook-id"] for call in calls}) == 1
    assert len({call.body for call in calls}) == 1
    assert all(call.is_signed_with(secret) for call in calls)
    gaps = [b.at - a.at for a, b in zip(calls, calls[1:], strict=False)]
    for gap, wanted in zip(gaps, (0.1, 0.4, 1.6, 6.4), strict=True):
        assert gap >= wanted * 0.8 - 0.01, gaps


def test_what_the_receiver_says_about_time_is_heard(hub: httpx.Client) -> None:
    with Receiver((503, {"Retry-After": "2"})) as receiver:
        submit(hub, receiver.url)
        first, second = receiver.wait(2)
        assert second.at - first.at >= 1.9


@pytest.mark.parametrize("status", [400, 404, 410])
def test_a_final_no_is_final(hub: httpx.Client, status: int) -> None:
    with Receiver(status) as receiver:
        job = submit(hub, receiver.url)
        state = settled(hub, job)
        time.sleep(0.4)
        assert len(receiver.calls) == 1
    assert (state["status"], state["attempts"]) == ("failed", 1)
    assert state["last_error"] == f"the receiver answered HTTP {status}"


def test_nobody_listens_and_it_gives_up(hub: httpx.Client) -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{s.getsockname()[1]}/?token=hush"
    job = submit(hub, url)
    wait_until(lambda: int(str(callback(hub, job)["attempts"])) >= 2)
    state = callback(hub, job)
    assert state["status"] == "pending" and state["next_attempt_at"] and "connect" in str(state["last_error"]).lower()


def test_a_redirect_is_not_followed(hub: httpx.Client) -> None:
    with Receiver() as other, Receiver((302, {"Location": other.url}), 410) as receiver:
        job = submit(hub, receiver.url)
        assert settled(hub, job)["status"] == "failed"
        assert len(receiver.calls) == 2 and not other.calls


def test_a_slow_receiver_of_one_user_holds_up_nobody_else(calling: Service, hub: httpx.Client) -> None:
    assert hub.post("/api/v1/admin/users", json={"name": "ann"}).status_code == 201
    key = hub.post("/api/v1/admin/keys", json={"user": "ann", "name": "test"}).json()["key"]
    with Receiver(*["slow"] * 30, hold_seconds=1.5) as slow, Receiver() as quick, calling.client(key) as ann:
        jobs = [submit(hub, slow.url, "1") for _ in range(8)]
        slow.wait(4)
        time.sleep(0.3)
        assert len(slow.calls) == 4
        began = time.monotonic()
        job = submit(ann, quick.url, "1")
        quick.wait(1, 60)
        assert settled(ann, job)["status"] == "delivered"
        assert callback(hub, jobs[-1])["status"] == "pending" or time.monotonic() - began > 1.5
        for job in jobs:
            assert settled(hub, job, 40)["status"] == "delivered"


def test_who_never_answers_is_a_timeout(hub: httpx.Client) -> None:
    with Receiver("slow", hold_seconds=4) as receiver:
        job = submit(hub, receiver.url)
        wait_until(lambda: callback(hub, job)["last_error"] is not None)
        assert "no answer within 2000 ms" in str(callback(hub, job)["last_error"])
        assert settled(hub, job)["attempts"] == 2


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.2/", "http://10.0.0.1/", "http://169.254.169.254/latest", "http://[::1]:9/", "http://[::ffff:10.0.0.1]/", "http://0.0.0.0/"],
)  # fmt: skip
def test_a_forbidden_address_is_refused_at_once(hub: httpx.Client, url: str) -> None:
    reply = hub.post(ASYNC, json={"code": "1", "callback_url": url})
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "policy_denied")
    assert reply.json()["error"]["details"] == {"rule": "courier/allow"}


@pytest.mark.parametrize("url", ["ftp://example.org/", "http://u:p@example.org/", "http://", "example.org", "http://a/#b", 7, "http://" + "a" * 2048])
def test_a_wrong_url_is_refused(hub: httpx.Client, url: object) -> None:
    assert hub.post(ASYNC, json={"code": "1", "callback_url": url}).json()["error"]["code"] == "invalid_request"


def test_only_async_takes_a_callback(hub: httpx.Client) -> None:
    assert hub.post("/api/v1/execute", json={"code": "1", "callback_url": "https://example.org"}).status_code == 400


def test_a_new_secret_signs_what_comes(hub: httpx.Client) -> None:
    old = hub.get("/api/v1/callbacks/secret").json()["secret"]
    new = hub.post("/api/v1/callbacks/secret").json()["secret"]
    assert old != new and hub.get("/api/v1/callbacks/secret").json()["secret"] == new
    with Receiver() as receiver:
        submit(hub, receiver.url)
        (call,) = receiver.wait(1)
        assert call.is_signed_with(new) and not call.is_signed_with(old)


def test_a_repeat_attaches_and_calls_once(hub: httpx.Client) -> None:
    job = str(uuid.uuid4())
    with Receiver() as receiver, Receiver() as other:
        submit(hub, receiver.url, execution_id=job)
        assert submit(hub, other.url, execution_id=job) == job
        receiver.wait(1)
        settled(hub, job)
        time.sleep(0.3)
        assert len(receiver.calls) == 1 and not other.calls


def test_metrics_count_them(hub: httpx.Client) -> None:
    text = hub.get("/api/v1/metrics").text
    assert 'kernelhub_callbacks_total{result="delivered"}' in text and "kernelhub_callbacks_open" in text


def test_nothing_of_it_is_in_the_log(calling: Service, hub: httpx.Client) -> None:
    secret = hub.get("/api/v1/callbacks/secret").json()["secret"]
    log = calling.log.read_text()
    assert "hush" not in log and secret not in log and "whsec_" not in log


# ---- the courier itself ----


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


def test_the_courier_is_nobody_and_confined(calling: Service, hub: httpx.Client) -> None:
    with Receiver() as receiver:
        submit(hub, receiver.url)
        receiver.wait(1)
    status = status_of(calling.pid_of("courier"))
    uid = int(status["Uid"].split()[0])
    assert uid not in (0, int(status_of(calling.pid_of("hub"))["Uid"].split()[0]))
    assert status["Uid"].split() == [str(uid)] * 4 and status["Groups"] == ""
    if not calling.sanitized:
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert int(status["CapEff"], 16) == 0 and int(status["CapPrm"], 16) == 0
    private_kb = sum(int(line.split()[1]) for line in Path(f"/proc/{calling.pid_of('courier')}/smaps_rollup").read_text().splitlines() if line.startswith("Private_Dirty"))
    print("courier: private dirty kB", private_kb)


def test_nobody_but_the_hub_may_ask_it(calling: Service) -> None:
    path = calling.run / "courier.sock"
    hub_uid = int(status_of(calling.pid_of("hub"))["Uid"].split()[0])
    assert path.stat().st_mode & 0o777 == 0o600 and path.stat().st_uid == hub_uid
    with socket.socket(socket.AF_UNIX) as s:  # root may connect, and is turned away
        s.settimeout(10)
        s.connect(str(path))
        try:
            s.sendall(b"\0\0\0\2{}")
            assert s.recv(10) == b""
        except (ConnectionResetError, BrokenPipeError):
            pass  # closed before it was read


def test_it_begins_with_the_first_call_and_is_started_again(make_service) -> None:
    service = make_service("courier/allow=127.0.0.1", "courier/first_retry_seconds=0.1")
    with service.client() as hub, Receiver("slow") as receiver:
        run(hub, "1")
        assert not (service.run / "courier.pid").exists()
        job = submit(hub, receiver.url)
        receiver.wait(1)
        first = service.pid_of("courier")
        kill(first)
        receiver.wait(2)
        assert settled(hub, job)["attempts"] == 2
        assert service.pid_of("courier") != first


def test_a_hub_that_dies_loses_no_callback(make_service) -> None:
    service = make_service("courier/allow=127.0.0.1", "courier/first_retry_seconds=1")
    with Receiver(500) as receiver, Receiver() as late:
        with service.client() as hub:
            tried = submit(hub, receiver.url)
            running = submit(hub, late.url, "import time; time.sleep(3); print('late')", session="other")
            receiver.wait(1)
            wait_until(lambda: callback(hub, tried)["attempts"] == 1)
            wait_until(lambda: hub.get(f"/api/v1/jobs/{running}").json()["status"] == "running", 30)
        kill(service.pid_of("hub"))
        first, second = receiver.wait(2, 30)[:2]
        assert first.headers["webhook-id"] == second.headers["webhook-id"] and first.body == second.body
        assert late.wait(1, 30)[0].json["data"]["stdout"] == "late\n"
        with service.client() as hub:
            assert settled(hub, tried)["attempts"] == 2
            assert settled(hub, running)["status"] == "delivered"


def test_without_leave_loopback_is_never_called(make_service) -> None:
    """A name that means a loopback address looks innocent until it is called."""
    service = make_service("courier/first_retry_seconds=0.1")
    with service.client() as hub, Receiver() as receiver:
        assert hub.post(ASYNC, json={"code": "1", "callback_url": receiver.url}).json()["error"]["code"] == "policy_denied"
        for host in ("localhost", "127.1", "2130706433", "0x7f000001", "0"):
            job = submit(hub, f"http://{host}:{receiver.port}/")
            state = settled(hub, job)
            assert state["status"] == "failed" and state["attempts"] == 1, (host, state)
            assert "it is not called" in str(state["last_error"]), (host, state)
        own = socket.gethostname()
        try:
            address = socket.gethostbyname(own)
        except OSError:
            address = ""
        if address.startswith(("10.", "127.", "192.168.", "172.")):
            assert settled(hub, submit(hub, f"http://{own}:{receiver.port}/"))["status"] == "failed"
        assert not receiver.calls


def test_a_proxy_in_the_environment_is_not_used() -> None:
    service = Service("courier/allow=127.0.0.1")
    with Receiver() as proxy, Receiver() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            service.env[name] = f"http://127.0.0.1:{proxy.port}"
        service.env["no_proxy"] = ""
        try:
            service.start()
            with service.client() as hub:
                submit(hub, receiver.url)
                receiver.wait(1, 60)
        finally:
            service.destroy()
        assert not proxy.calls
