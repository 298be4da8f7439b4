"""The commands, against a service that only pretends: what they send, what they print, how they exit."""

from __future__ import annotations

import base64
import json
import os
import pty
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fake_service import FakeService, event, finished

BUILD = Path(os.environ.get("KERNELHUB_BUILD", Path(__file__).resolve().parents[2] / "build"))
BINARY = os.environ.get("KERNELHUB_BINARY", str(BUILD / "cmd" / "kernelhub"))
EXECUTE = ("POST", "/api/v1/execute")


@pytest.fixture
def service() -> Iterator[FakeService]:
    fake = FakeService()
    yield fake
    fake.close()


def command(service: FakeService | None, *arguments: str) -> tuple[list[str], dict[str, str]]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("KERNELHUB")}
    env["KERNELHUB_TOKEN_FILE"] = "/nonexistent/token"
    env["KERNELHUB_TOKEN"] = "kh_test"
    env["KERNELHUB_URL"] = service.url if service else "http://127.0.0.1:9"
    return [BINARY, *arguments], env


def cli(service: FakeService | None, *arguments: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    argv, env = command(service, *arguments)
    env.update(more)
    return subprocess.run(argv, env=env, input=stdin, capture_output=True, text=True, timeout=30)


def test_output_goes_where_it_belongs(service: FakeService) -> None:
    service.replies[EXECUTE] = [[
        event(1, "started"),
        event(2, "stdout", text="out ü\n"),
        event(3, "stderr", text="err\n"),
        event(4, "result", data={"text/plain": "42", "text/html": "<b>42</b>"}, metadata={}),
        finished(5),
    ]]
    done = cli(service, "run", "x", "--session", "s", "--sandbox", "b", "-l", "python", "-t", "2.5", "-e", "A=1", "--stdin-text", "in")
    assert (done.returncode, done.stdout, done.stderr) == (0, "out ü\n42\n", "err\n")
    _, _, body, authorization = service.requests[0]
    assert authorization == "Bearer kh_test"
    assert body.pop("execution_id")
    assert body == {
        "code": "x", "session": "s", "sandbox": "b", "language": "python", "timeout_seconds": 2.5, "env": {"A": "1"}, "stdin": "in",
        "interactive": False,
    }


@pytest.mark.parametrize(("status", "code", "expected"), [("ok", 0, 0), ("error", 7, 7), ("timeout", 124, 124), ("lost", None, 1)])
def test_the_exit_code_is_the_runs(service: FakeService, status: str, code: int | None, expected: int) -> None:
    service.replies[EXECUTE] = [[finished(1, status, code)]]
    done = cli(service, "run", "x")
    assert done.returncode == expected
    assert (status in done.stderr) == (status in ("timeout", "lost"))


def test_a_traceback_loses_its_colours_in_a_file(service: FakeService) -> None:
    trace = ["\x1b[0;31mZeroDivisionError\x1b[0m", "line"]
    service.replies[EXECUTE] = [[event(1, "error", name="E", value="v", traceback=trace), finished(2, "error", 1)]]
    assert cli(service, "run", "x").stderr == "ZeroDivisionError\nline\n"


def test_a_broken_stream_is_taken_up_where_it_broke(service: FakeService) -> None:
    service.replies[EXECUTE] = [("cut", [event(1, "started"), event(2, "stdout", text="one ")])]
    service.replies["GET", "/api/v1/executions/*"] = [
        (503, {"error": {"code": "unavailable", "message": "starting", "hint": ""}}),
        ("cut", [event(3, "stdout", text="two ")]),
        [event(3, "stdout", text="two "), event(4, "stdout", text="three\n"), finished(5)],
    ]
    done = cli(service, "run", "x")
    assert (done.returncode, done.stdout, done.stderr) == (0, "one two three\n", "")
    asked = [path.split("?")[1] for method, path, _, _ in service.requests if method == "GET"]
    assert asked == ["after=2&follow=1", "after=2&follow=1", "after=3&follow=1"]


def test_broken_off_before_the_first_event_the_same_id_is_sent_again(service: FakeService) -> None:
    service.replies[EXECUTE] = [("cut", []), [finished(1)]]
    done = cli(service, "run", "x")
    ids = [body["execution_id"] for _, _, body, _ in service.requests]
    assert done.returncode == 0
    assert len(ids) == 2 and len(set(ids)) == 1


def test_an_error_of_the_service_is_said_with_its_hint(service: FakeService) -> None:
    service.replies[EXECUTE] = [(409, {"error": {"code": "conflict", "message": "session 's' is bash", "hint": "use another"}})]
    done = cli(service, "run", "x")
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr == "kernelhub run: session 's' is bash (use another)\n"


@pytest.mark.parametrize("command", [("run", "x"), ("ls",), ("put", __file__)])
def test_without_a_service_the_next_step_is_said(command: tuple[str, ...]) -> None:
    done = cli(None, *command)
    assert done.returncode == (125 if command[0] == "run" else 1)
    assert "no service answers at http://127.0.0.1:9" in done.stderr
    assert "kernelhub serve" in done.stderr


def test_ctrl_c_interrupts_and_waits_for_the_end(service: FakeService) -> None:
    service.replies[EXECUTE] = [[event(1, "stdout", text="begun\n"), "hold", finished(2, "interrupted", 130)]]
    service.replies["POST", "/api/v1/executions/*"] = [(200, {"status": "running"})]
    argv, env = command(service, "run", "x")
    process = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + 10
    while len(service.requests) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert service.requests[1][1].endswith("/interrupt")
    service.hold.set()
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "[interrupted]" in err


def test_a_second_ctrl_c_leaves(service: FakeService) -> None:
    service.replies[EXECUTE] = [[event(1, "stdout", text="begun\n"), "hold", finished(2)]]
    service.replies["POST", "/api/v1/executions/*"] = [(200, {"status": "running"})]
    argv, env = command(service, "run", "x")
    process = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + 10
    while len(service.requests) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 130


def test_an_answer_waits_for_a_service_that_is_away_for_a_moment(service: FakeService) -> None:
    service.replies[EXECUTE] = [[event(1, "input_request", prompt="name? ", password=True), "hold", finished(2)]]
    away = (503, {"error": {"code": "unavailable", "message": "in a moment", "hint": ""}})
    service.replies["POST", "/api/v1/executions/*"] = [away, away, (200, {"status": "running"})]
    argv, env = command(service, "run", "x")
    master, slave = pty.openpty()
    process = subprocess.Popen(argv, env=env, stdin=slave, stdout=subprocess.PIPE, stderr=slave)
    try:
        shown = b""
        while b"name? " not in shown:
            shown += os.read(master, 1024)
        deadline = time.monotonic() + 10
        while termios.tcgetattr(slave)[3] & termios.ECHO and time.monotonic() < deadline:
            time.sleep(0.01)
        os.write(master, "Bö\n".encode())
        while len(service.requests) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert service.requests[0][2]["interactive"] is True
        sent = service.requests[1:]
        assert len(sent) == 3 and all(r[1].endswith("/input") and r[2] == {"value": "Bö"} for r in sent)
        service.hold.set()
        process.communicate(timeout=10)
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)


RUN_ID = "3f0c7f5e-1111-4222-8333-444455556666"
RUN_EVENTS = ("GET", f"/api/v1/executions/{RUN_ID}/events")


def test_attach_shows_an_execution_from_its_first_event(service: FakeService) -> None:
    service.replies[RUN_EVENTS] = [("cut", [event(1, "started"), event(2, "stdout", text="a\n")]), [event(3, "stdout", text="b\n"), finished(4, "error", 3)]]
    done = cli(service, "attach", RUN_ID)
    assert (done.returncode, done.stdout) == (3, "a\nb\n")
    assert [r[1].partition("?")[2] for r in service.requests] == ["after=0&follow=1", "after=2&follow=1"]


def test_attach_behind_the_last_event_tells_how_it_ended(service: FakeService) -> None:
    service.replies[RUN_EVENTS] = [(204, None)]
    service.replies[("GET", f"/api/v1/executions/{RUN_ID}")] = [(200, {"status": "timeout", "exit_code": 124, "finished_at": "2026-11-21T10:00:00Z"})]
    done = cli(service, "attach", RUN_ID, "--after", "9")
    assert (done.returncode, done.stdout) == (124, "")
    assert "timeout" in done.stderr


@pytest.mark.parametrize("arguments", [("nonsense",), (RUN_ID, "--after", "-1"), (RUN_ID, "--after", "x")])
def test_attach_wants_an_id_and_a_number(service: FakeService, arguments: tuple[str, ...]) -> None:
    done = cli(service, "attach", *arguments)
    assert done.returncode == 125
    assert "not '" in done.stderr or "is not the id" in done.stderr
    assert service.requests == []


def test_attach_to_nothing_says_so(service: FakeService) -> None:
    done = cli(service, "attach", RUN_ID)
    assert done.returncode == 125
    assert "nothing at" in done.stderr


def test_images_are_saved(service: FakeService, tmp_path: Path) -> None:
    image = bytes(range(256))
    data = {"image/png": base64.encodebytes(image).decode(), "text/plain": "<Figure>"}
    service.replies[EXECUTE] = [[event(1, "display", data=data), finished(2)]]
    assert "--save" in cli(service, "run", "x").stderr
    assert cli(service, "run", "x", "--save", str(tmp_path / "plots")).returncode == 0
    assert (tmp_path / "plots" / "output-1.png").read_bytes() == image


def other_server() -> FakeService:
    """Somebody else on this host: whoever asks it anything has been led astray."""
    other = FakeService()
    other.replies["GET", "/*"] = [b"stolen"]
    return other


def forged_references(other: FakeService) -> list[str]:
    stranger = other.url.removeprefix("http://")
    blob = f"/api/v1/executions/{RUN_ID}/blobs/"
    return [
        f"@{stranger}/data", f":x@{stranger}/data", f".{stranger}/data", f"//{stranger}/data", f"{other.url}/data",
        "/api/v1/sessions", blob, f"{blob}0/../../../../sessions", f"{blob}0?x", f"{blob}1x", f"{blob}-1", f"{blob}1234567890",
        blob.replace("3f0c", "3f0d") + "0", f"@{stranger}{blob}0", "",
    ]  # fmt: skip


@pytest.mark.parametrize("save", [False, True])
@pytest.mark.parametrize("number", range(15))
def test_a_forged_reference_leads_nowhere_and_is_printed_as_it_is(service: FakeService, tmp_path: Path, number: int, save: bool) -> None:
    other = other_server()
    forged = {"ref": forged_references(other)[number], "bytes": 1}
    data = {"text/plain": forged, "image/png": forged, "image/svg+xml": forged}
    service.replies["GET", "/*"] = [b"stolen"]
    service.replies = {RUN_EVENTS: [[event(1, "display", data=data), event(2, "result", data={"text/plain": forged}), finished(3)]], **service.replies}
    try:
        done = cli(service, "attach", RUN_ID, *(["--save", str(tmp_path / "plots")] if save else []))
        assert done.returncode == 0
        assert [json.loads(line) for line in done.stdout.splitlines()] == [forged, forged]
        assert not list(tmp_path.glob("plots/*")), "no picture was shown"
        assert (len(service.requests), other.requests) == (1, [])
    finally:
        other.close()


def test_a_large_output_is_fetched_by_its_reference(service: FakeService, tmp_path: Path) -> None:
    blob = f"/api/v1/executions/{RUN_ID}/blobs/"
    data = {"text/plain": {"ref": f"{blob}0", "bytes": 6}, "image/png": {"ref": f"{blob}12", "bytes": 8}}
    service.replies[RUN_EVENTS] = [[event(1, "display", data=data), finished(2)]]
    service.replies["GET", f"{blob}0"] = [b"large!"]
    service.replies["GET", f"{blob}12"] = [base64.b64encode(b"\x89PNG\0raw")]
    done = cli(service, "attach", RUN_ID, "--save", str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "large!\n")
    assert (tmp_path / "output-1.png").read_bytes() == b"\x89PNG\0raw"
    assert {authorization for *_, authorization in service.requests} == {"Bearer kh_test"}


def test_no_redirect_is_followed_with_the_key(service: FakeService) -> None:
    other = other_server()
    service.replies["GET", "/api/v1/sessions"] = [("redirect", f"{other.url}/api/v1/sessions")]
    try:
        assert cli(service, "sessions").returncode == 1
        assert other.requests == []
    finally:
        other.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080@127.0.0.1:9", "http://user@127.0.0.1:9", "ftp://127.0.0.1:9", "http://127.0.0.1:9/" + 300 * "x"])
def test_what_is_no_address_of_a_service_is_refused(url: str) -> None:
    done = cli(None, "sessions", KERNELHUB_URL=url)
    assert done.returncode == 1 and "address" in done.stderr and "answers" not in done.stderr


def interrupt_a_silent_service(call: str) -> None:
    service = FakeService()
    service.replies[RUN_EVENTS] = [[event(1, "stdout", text="a\n"), *(["hold", finished(2)] if call == "interrupt" else [])]]
    service.replies[("GET" if call == "record" else "POST"), "/api/v1/executions/*"] = [None]
    argv, env = command(service, "attach", RUN_ID)
    process = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout and process.stdout.readline() == "a\n"
        process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 10
        while len(service.requests) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=25)
        assert process.returncode == 130
        assert call == "record" or "interrupt: the connection" in err
    finally:
        process.kill()
        process.wait()
        service.close()


def test_a_service_that_falls_silent_holds_nobody() -> None:
    """A call gives up after ten seconds of silence; then Ctrl-C is seen. Both wait at the same time."""
    with ThreadPoolExecutor() as both:
        for done in [both.submit(interrupt_a_silent_service, call) for call in ("record", "interrupt")]:
            done.result()


def test_json_gives_the_events_as_they_came(service: FakeService) -> None:
    service.replies[EXECUTE] = [[event(1, "stdout", text="a"), finished(2)]]
    lines = cli(service, "run", "x", "--json").stdout.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [1, 2]


def test_no_stream_prints_the_record(service: FakeService) -> None:
    service.replies[EXECUTE] = [[event(1, "stdout", text="a"), finished(2, "error", 3)]]
    record = {"status": "error", "exit_code": 3, "stdout": "a\n", "stderr": "b\n", "results": [], "error": None}
    service.replies["GET", "/api/v1/executions/*"] = [(200, record)]
    done = cli(service, "run", "x", "--no-stream")
    assert (done.returncode, done.stdout, done.stderr) == (3, "a\n", "b\n")
    assert json.loads(cli(service, "run", "x", "--no-stream", "--json").stdout) == record


def test_code_comes_from_a_file_or_stdin(service: FakeService, tmp_path: Path) -> None:
    service.replies[EXECUTE] = [[finished(1)]]
    (tmp_path / "a.sh").write_text("ls\n")
    assert cli(service, "run", f"@{tmp_path}/a.sh").returncode == 0
    assert cli(service, "run", "-", stdin="print(1)").returncode == 0
    first, second = (body for _, _, body, _ in service.requests)
    assert (first["code"], first["language"]) == ("ls\n", "bash")
    assert second["code"] == "print(1)" and "language" not in second
    missing = cli(service, "run", "@/nonexistent.py")
    assert missing.returncode == 125 and "/nonexistent.py" in missing.stderr


def test_exec_runs_a_command(service: FakeService) -> None:
    service.replies["POST", "/api/v1/sandboxes/*"] = [
        [event(1, "started"), event(2, "stdout", text="out\n"), event(3, "stderr", text="err\n"), finished(4, "error", 7)]
    ]
    words = ("-w", "src", "-e", "A=1=2", "-t", "2.5", "--", "make", "--json", "-j", "2")
    done = cli(service, "exec", "--sandbox", "a b", *words, stdin="in\nü")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    method, path, body, _ = service.requests[0]
    assert (method, path) == ("POST", "/api/v1/sandboxes/a%20b/exec")
    assert body.pop("execution_id")
    assert body == {
        "cmd": ["make", "--json", "-j", "2"], "cwd": "src", "env": {"A": "1=2"}, "stdin": "in\nü", "timeout_seconds": 2.5,
    }  # fmt: skip
    done = cli(service, "exec", "-n", "ls", stdin="not read")
    assert done.returncode == 7
    assert service.requests[1][1] == "/api/v1/sandboxes/default/exec"
    assert service.requests[1][2]["cmd"] == ["ls"] and "stdin" not in service.requests[1][2]


@pytest.mark.parametrize(
    ("words", "stdin", "what"),
    [
        (["-e", "A", "ls"], "", "--env takes NAME=VALUE"),
        (["-t", "x", "ls"], "", "--timeout takes seconds"),
        (["cat"], "a\0b", "a NUL"),
    ],
)
def test_exec_says_what_is_wrong(service: FakeService, words: list[str], stdin: str, what: str) -> None:
    done = cli(service, "exec", *words, stdin=stdin)
    assert done.returncode == 125 and what in done.stderr and not service.requests


def test_exec_wants_a_command() -> None:
    done = cli(None, "exec", "--json")
    assert done.returncode == 2 and "an argument is missing" in done.stderr


def test_lists_are_tables_for_people_and_json_for_machines(service: FakeService) -> None:
    items = {"items": [{"name": "python", "language": "python", "template": "slim", "status": "idle", "queued": 0}], "next": None}
    service.replies["GET", "/api/v1/sessions"] = [(200, items)]
    lines = cli(service, "sessions").stdout.splitlines()
    assert lines[0].split()[:3] == ["NAME", "LANGUAGE", "TEMPLATE"]
    assert lines[1].split()[:5] == ["python", "python", "slim", "idle", "0"]
    assert json.loads(cli(service, "sessions", "ls", "--json").stdout) == items


def at_a_terminal(service: FakeService, typed: str, *arguments: str) -> tuple[int, str]:
    """The exit code, and what stood on the terminal."""
    argv, env = command(service, *arguments)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(argv, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    shown = b""
    try:
        while b"[y/N]" not in shown:
            shown += os.read(ours, 4096)
        os.write(ours, typed.encode())
        while True:
            shown += os.read(ours, 4096)
    except OSError:  # EIO: nobody has the other end any more
        pass
    finally:
        os.close(ours)
    return process.wait(30), shown.decode()


def test_sandboxes_are_listed_with_what_keeps_them_alive(service: FakeService) -> None:
    items = {"items": [{"name": "box", "template": "slim", "state": "running", "expires_at": None, "keeps_alive": ["running cell X", "called 2 s ago"]}], "next": None}
    service.replies["GET", "/api/v1/sandboxes"] = [(200, items)]
    lines = cli(service, "sandboxes", "--label", "a=b c").stdout.splitlines()
    assert service.requests[0][1] == "/api/v1/sandboxes?label=a%3Db%20c"
    assert lines[0].split()[:3] == ["NAME", "TEMPLATE", "STATE"] and "running cell X, called 2 s ago" in lines[1]
    assert json.loads(cli(service, "sandboxes", "ls", "--json").stdout) == items
    assert cli(service, "sandboxes", "rm").returncode == 2


def test_kill_ends_a_sandbox_and_says_why_it_cannot(service: FakeService) -> None:
    service.replies["DELETE", "/api/v1/sandboxes/a%20b"] = [(204, None)]
    service.replies["DELETE", "/api/v1/sandboxes/old"] = [(410, {"error": {"code": "gone", "message": "sandbox 'old' is gone: idle for 30 min", "hint": None}})]
    done = cli(service, "kill", "a b")
    assert (done.returncode, done.stdout) == (0, "a b is ended\n")
    late = cli(service, "kill", "--yes", "old")
    assert late.returncode == 1 and "idle for 30 min" in late.stderr
    assert cli(service, "kill").returncode == 2


@pytest.mark.parametrize(("answer", "ends"), [("y\n", True), ("n\n", False), ("\n", False), ("\x04", False)])
def test_kill_asks_at_a_terminal(service: FakeService, answer: str, ends: bool) -> None:
    service.replies["GET", "/api/v1/sandboxes/box"] = [(200, {"workspace": "private", "sessions": ["a", "b"]})]
    service.replies["DELETE", "/api/v1/sandboxes/box"] = [(204, None)]
    code, shown = at_a_terminal(service, answer, "kill", "box")
    assert "End sandbox box with its 2 sessions AND ITS FILES? [y/N]" in shown
    assert (code == 0, "box is ended" in shown) == (ends, ends)
    assert [r[0] for r in service.requests] == (["GET", "DELETE"] if ends else ["GET"])


def test_names_are_escaped_in_paths(service: FakeService) -> None:
    service.replies["POST", "/api/v1/sessions/*"] = [(200, {})]
    assert cli(service, "restart", "a/b ü").returncode == 0
    assert service.requests[0][1] == "/api/v1/sessions/a%2Fb%20%C3%BC/restart"


def test_history_passes_its_filters(service: FakeService) -> None:
    service.replies["GET", "/api/v1/executions"] = [(200, {"items": [], "next": None})]
    assert cli(service, "history", "-n", "5", "--session", "a b", "--status", "error", "-q", "x&y").stdout == "none\n"
    assert service.requests[0][1] == "/api/v1/executions?limit=5&session=a%20b&status=error&q=x%26y"


def test_a_notebook_goes_to_standard_output_as_it_came(service: FakeService) -> None:
    service.replies["GET", "/api/v1/sessions/*"] = [b'{"cells": [],\n "nbformat": 4}\n']
    assert cli(service, "history", "--notebook", "a/b.ipynb").stdout == '{"cells": [],\n "nbformat": 4}\n'
    assert service.requests[0][1] == "/api/v1/sessions/a%2Fb.ipynb/notebook"
    service.replies.clear()
    done = cli(service, "history", "--notebook", "none")
    assert (done.returncode, done.stdout) == (1, "") and "nothing at /api/v1/sessions/none/notebook" in done.stderr


@pytest.mark.parametrize("arguments", [("history", "-q"), ("sandboxes", "-l")])
def test_a_long_question_is_asked_whole_or_not_at_all(service: FakeService, arguments: tuple[str, ...]) -> None:
    service.replies["GET", "/api/v1/*"] = [(200, {"items": []})]
    assert cli(service, *arguments, 8192 * "y").returncode == 0
    assert service.requests[0][1].endswith("=" + 8192 * "y")
    done = cli(service, *arguments, 100_000 * "y")
    assert done.returncode == 1 and "an address can have" in done.stderr
    assert len(service.requests) == 1


def test_users_and_keys(service: FakeService) -> None:
    service.replies["POST", "/api/v1/admin/users"] = [(201, {"name": "ada"})]
    service.replies["POST", "/api/v1/admin/keys"] = [(201, {"key": "kh_secret"})]
    service.replies["DELETE", "/api/v1/admin/*"] = [(204, None)]
    assert cli(service, "user", "create", "ada", "--admin").returncode == 0
    assert cli(service, "key", "create", "k", "--user", "ada").stdout == "kh_secret\n"
    assert cli(service, "key", "revoke", "some-id").returncode == 0
    assert [body for _, _, body, _ in service.requests] == [
        {"name": "ada", "admin": True}, {"name": "k", "user": "ada"}, None,
    ]


def test_a_key_from_the_token_file_goes_only_to_its_own_service(service: FakeService, tmp_path: Path) -> None:
    service.replies["GET", "/api/v1/sessions"] = [(200, {"items": []})]
    token = tmp_path / "token"
    token.write_text(f"url={service.url}\ntoken=kh_file\n")
    argv, env = command(None, "sessions")
    del env["KERNELHUB_TOKEN"], env["KERNELHUB_URL"]
    env["KERNELHUB_TOKEN_FILE"] = str(token)
    assert subprocess.run(argv, env=env, capture_output=True, timeout=30).returncode == 0
    token.write_text("url=http://127.0.0.1:1\ntoken=kh_file\n")
    env["KERNELHUB_URL"] = service.url
    subprocess.run(argv, env=env, capture_output=True, timeout=30)
    assert [authorization for *_, authorization in service.requests] == ["Bearer kh_file", ""]


def test_every_command_explains_itself() -> None:
    overview = cli(None, "--help")
    names = [line.split()[0] for line in overview.stdout.splitlines() if line.startswith("  ") and "kernelhub" not in line]
    assert len(names) >= 13
    for name in names:
        done = cli(None, name, "--help")
        assert done.returncode == 0 and done.stdout.startswith(f"Usage: kernelhub {name}"), name


def test_a_mistyped_command_suggests_the_right_one() -> None:
    done = cli(None, "histroy")
    assert done.returncode == 2 and "did you mean 'history'?" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="images belong to root")
def test_an_image_with_packages_is_built_from_names_and_versions_alone(tmp_path: Path) -> None:
    script = tmp_path / "images" / "build"
    script.parent.mkdir()
    script.write_text('#!/bin/sh\nfor a in "$@"; do echo "<$a>"; done\n')
    script.chmod(0o755)
    (tmp_path / "list").write_text("# what we use\nnumpy>=2 Pandas\n\nscipy # more\n")
    data = {"KERNELHUB_DATA": str(tmp_path)}
    done = cli(None, "image", "build", "slim", "--packages", "numpy>=2 Pandas[x]", "--tag", "data", **data)
    assert (done.returncode, done.stdout.split("\n")[:-1]) == (0, ["<--packages>", "<numpy>=2 pandas[x]>", "<--tag>", "<data>", "<slim>"])
    done = cli(None, "image", "build", "slim", "--packages", f"@{tmp_path}/list", "--tag", "data", **data)
    assert "<numpy>=2 pandas scipy>" in done.stdout
    for packages, tag in (("-r x", "d"), ("--index-url=x", "d"), ("a;b", "d"), ("", "d"), ("a", ""), ("a", "../x"), ("a", None)):
        done = cli(None, "image", "build", "slim", "--packages", packages, *(["--tag", tag] if tag is not None else []), **data)
        assert done.returncode == 2 and not done.stdout and done.stderr, (packages, tag)
