"""ls, put, get, rm: what they send, what they leave behind, how they exit."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_files import FakeFiles
from test_cli import command

ROOT = "/api/v1/files"


@pytest.fixture
def service() -> Iterator[FakeFiles]:
    fake = FakeFiles()
    yield fake
    fake.close()


def cli(service: FakeFiles | None, *arguments: str, stdin: bytes = b"", cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    argv, env = command(service, *arguments)  # type: ignore[arg-type]
    return subprocess.run(argv, env=env, input=stdin, capture_output=True, timeout=60, cwd=cwd)


def methods(service: FakeFiles) -> list[tuple[str, str]]:
    return [(method, path.removeprefix(ROOT)) for method, path, _, _ in service.requests]


# ---- ls ----


def test_ls_shows_all_pages_one_path_a_line(service: FakeFiles) -> None:
    service.files = {"a.txt": b"x" * 1500, "d": None, "d/b\nc": b"", "e": b"1", "f": b"22"}
    done = cli(service, "ls", "-r", "--pattern", "*", "--sandbox", "lab", "d x")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"a.txt\nd/\nd/b\nc\ne\nf\n"
    queries = [query for _, _, query, _ in service.requests]
    assert queries[0] == {"path": "d x", "recursive": "1", "pattern": "*", "limit": "1000", "sandbox": "lab"}
    assert [query.get("cursor") for query in queries] == [None, "2", "4"]
    long = cli(service, "ls", "-l").stdout.decode().splitlines()
    assert long[0] == "      1.5 kB  2026-11-22T08:00:00  a.txt"
    assert long[1] == "           -  2026-11-22T08:00:00  d/"
    items = json.loads(cli(service, "ls", "--json").stdout)
    assert [item["path"] for item in items["items"]] == sorted(service.files) and items["next"] is None


def test_ls_usage_says_how_much_room_there_is(service: FakeFiles) -> None:
    service.files = {"a": b""}
    assert cli(service, "ls", "--usage").stdout == b"1.5 MB of 10 GB in 1 files\n"
    assert json.loads(cli(service, "ls", "--usage", "--json").stdout)["limit"] == 10**10
    service.limit = 0
    assert cli(service, "ls", "--usage").stdout == b"1.5 MB of unlimited room in 1 files\n"
    assert cli(service, "ls", "--usage", "d").returncode == 2


def test_a_name_does_nothing_to_a_terminal(service: FakeFiles) -> None:
    service.files = {"a\x1b[31m\u009b1mb": b""}
    assert on_terminal(service, "ls") == (0, "a?[31m??1mb\r\n")


def test_an_error_of_the_service_is_said(service: FakeFiles) -> None:
    service.refusals = [(404, "not_found")]
    done = cli(service, "ls", "none")
    assert (done.returncode, done.stderr) == (1, b"kernelhub ls: it is not_found\n")


# ---- put ----


def test_put_keeps_the_name_or_takes_another(service: FakeFiles, tmp_path: Path) -> None:
    (tmp_path / "a b.csv").write_bytes(b"data" * 500_000)
    (tmp_path / "c").write_bytes(b"")
    for arguments, expected in [
        (("a b.csv",), "a b.csv"),
        (("a b.csv", "x.csv"), "x.csv"),
        (("a b.csv", "d/e/"), "d/e/a b.csv"),
        (("a b.csv", "/"), "a b.csv"),
        (("./a b.csv", "c", "d/"), "d/a b.csv"),
        (("--sandbox", "lab", "c"), "c"),
    ]:
        service.files.clear()
        done = cli(service, "put", *arguments, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, b"")
        assert service.files[expected] == (tmp_path / expected.rpartition("/")[2].replace("x.csv", "a b.csv")).read_bytes()
    method, path, query, headers = service.requests[0]
    assert (method, path, query) == ("PUT", f"{ROOT}/a%20b.csv", {})
    assert headers["content-length"] == "2000000" and headers["authorization"] == "Bearer kh_test"
    assert service.requests[-1][2] == {"sandbox": "lab"}
    assert cli(service, "put", "a b.csv", cwd=tmp_path).stdout == b"a b.csv  2.0 MB\n"
    assert json.loads(cli(service, "put", "--json", "c", cwd=tmp_path).stdout)[0]["size_bytes"] == 0


def test_put_reads_stdin(service: FakeFiles) -> None:
    done = cli(service, "put", "-", "d/log", stdin=b"piped " * 200_000)
    assert done.returncode == 0 and service.files["d/log"] == b"piped " * 200_000
    assert service.requests[0][3]["transfer-encoding"] == "chunked"
    assert cli(service, "put", "-", stdin=b"x").returncode == 2
    assert cli(service, "put", "-", "d/", stdin=b"x").returncode == 2


def test_put_takes_folders_when_it_is_told_to(service: FakeFiles, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub" / "empty").mkdir(parents=True)
    (tree / "a").write_bytes(b"1")
    (tree / "sub" / "b").write_bytes(b"2")
    (tree / "link").symlink_to("/etc/passwd")
    done = cli(service, "put", str(tree))
    assert done.returncode == 1 and b"--recursive" in done.stderr and not service.files
    for arguments, prefix in [((str(tree) + "/", "/"), "tree"), ((".",), "tree"), (("../tree", "x/y"), "x/y")]:
        service.files.clear()
        done = cli(service, "put", "-r", *arguments, cwd=tree)
        assert done.returncode == 0, done.stderr
        files = {path.lstrip("/"): data for path, data in service.files.items()}
        assert files == {prefix: None, f"{prefix}/a": b"1", f"{prefix}/sub": None, f"{prefix}/sub/b": b"2", f"{prefix}/sub/empty": None}
        assert done.stderr.count(b"no regular file") == 1
    again = cli(service, "put", "-r", "../tree", "x/y", cwd=tree)
    assert again.returncode == 0  # the folders are there already


def test_many_files_go_over_one_connection(service: FakeFiles, tmp_path: Path) -> None:
    for i in range(200):
        (tmp_path / f"f{i}").write_bytes(b"x" * i)
    names = [f"f{i}" for i in range(200)]
    assert cli(service, "put", *names, "d/", cwd=tmp_path).returncode == 0
    assert {name: len(service.files[f"d/{name}"] or b"") for name in names} == {f"f{i}": i for i in range(200)}
    assert service.n_connections == 1


def test_put_does_not_replace_what_it_shall_not(service: FakeFiles, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"new")
    service.files["a"] = b"old"
    done = cli(service, "put", "--no-clobber", "a", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, b"kernelhub put: a: it is precondition_failed\n")
    assert service.files["a"] == b"old"


def test_put_comes_again_when_the_service_is_away(service: FakeFiles, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 300_000)
    service.refusals = [(503, "unavailable"), (503, "unavailable")]
    assert cli(service, "put", "a", cwd=tmp_path).returncode == 0
    assert service.files["a"] == b"x" * 300_000 and len(service.requests) == 3
    service.refusals = [(429, "quota_exceeded")]
    done = cli(service, "put", "a", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, b"kernelhub put: a: it is quota_exceeded\n")
    service.refusals = [(503, "unavailable")]
    assert cli(service, "put", "-", "b", stdin=b"once").returncode == 1  # stdin cannot be read again


@pytest.mark.parametrize("arguments", [("nothing-there",), ("../..", "x"), ("a", "../b"), ("a", "d/../../b")])
def test_put_says_what_cannot_be(service: FakeFiles, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "a").write_bytes(b"")
    done = cli(service, "put", *arguments, cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.startswith(b"kernelhub put: ") and not service.requests


def test_several_files_need_a_folder(service: FakeFiles) -> None:
    done = cli(service, "put", "a", "b", "c")
    assert done.returncode == 2 and b"slash" in done.stderr


# ---- get ----


def test_get_keeps_the_name_or_takes_another(service: FakeFiles, tmp_path: Path) -> None:
    data = os.urandom(700_000)
    service.files["d/plot.png"] = data
    (tmp_path / "sub").mkdir()
    for arguments, expected in [
        (("d/plot.png",), "plot.png"),
        (("/d//plot.png", "x.png"), "x.png"),
        (("/workspace/d/./plot.png", "x.png"), "x.png"),
        (("d/plot.png", "sub"), "sub/plot.png"),
        (("d/plot.png", "sub/"), "sub/plot.png"),
    ]:
        done = cli(service, "get", *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / expected).read_bytes() == data
    assert done.stdout == b"sub/plot.png  700 kB\n"
    assert cli(service, "get", "d/plot.png", "-").stdout == data
    assert sorted(os.listdir(tmp_path)) == ["plot.png", "sub", "x.png"]
    assert (tmp_path / "x.png").stat().st_mode & 0o777 == 0o644
    assert cli(service, "get", "d/plot.png", "/dev/null").returncode == 0 and not Path("/dev/null").is_file()


def test_get_goes_on_where_the_connection_broke(service: FakeFiles, tmp_path: Path) -> None:
    data = os.urandom(1_000_000)
    service.files["a"] = data
    for target in ("a", "-"):
        service.cuts = [300_000, 0, 500_000]
        service.requests.clear()
        done = cli(service, "get", "a", target, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert (done.stdout if target == "-" else (tmp_path / "a").read_bytes()) == data
        ranges = [headers.get("range") for _, _, _, headers in service.requests]
        assert ranges == [None, "bytes=300000-", "bytes=300000-", "bytes=800000-"]
        assert service.requests[1][3]["if-range"] == '"v1"'


class Changing(FakeFiles):
    """Its files change with each look."""

    def give(self, handler, data, wanted, if_range=None):  # type: ignore[no-untyped-def]
        super().give(handler, data + str(self.version).encode(), wanted, if_range)
        self.version += 1


def test_a_file_that_changed_meanwhile_is_no_mixture(tmp_path: Path) -> None:
    service = Changing()
    service.files["a"] = b"x" * 500_000
    service.cuts = [400_000]
    assert cli(service, "get", "a", cwd=tmp_path).returncode == 0
    assert (tmp_path / "a").read_bytes() == b"x" * 500_000 + b"2"
    service.cuts = [400_000]
    done = cli(service, "get", "a", "-", cwd=tmp_path)
    assert done.returncode == 1 and b"cannot be taken back" in done.stderr and len(done.stdout) == 400_000
    service.close()


def test_what_get_is_appended_to_is_not_cut(tmp_path: Path) -> None:
    service = Changing()
    service.files["a"] = b"x" * 500_000
    (tmp_path / "log").write_bytes(b"before\n")
    service.cuts = [400_000]
    argv, env = command(service, "get", "a", "-")  # type: ignore[arg-type]
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_APPEND)  # as a shell's >>: it stands at 0
    done = subprocess.run(argv, env=env, stdout=log, stderr=subprocess.PIPE, timeout=60)
    os.close(log)
    assert done.returncode == 1 and b"cannot be taken back" in done.stderr
    assert (tmp_path / "log").read_bytes() == b"before\n" + b"x" * 400_000
    service.close()


def test_get_that_fails_leaves_what_was_there(service: FakeFiles, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    done = cli(service, "get", "a", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, b"kernelhub get: it is not_found\n")
    service.files["a"] = b"new"
    assert cli(service, "get", "--no-clobber", "a", cwd=tmp_path).returncode == 1
    assert (tmp_path / "a").read_bytes() == b"old" and os.listdir(tmp_path) == ["a"]
    assert cli(service, "get", "--no-clobber", "a", "b", cwd=tmp_path).returncode == 0
    assert (tmp_path / "b").read_bytes() == b"new"
    assert cli(service, "get", "a", "no/such/folder/x", cwd=tmp_path).returncode == 1


def test_get_of_a_folder_is_an_archive(service: FakeFiles, tmp_path: Path) -> None:
    service.files["d/e"] = None
    for arguments, name, form in [
        (("d/e",), "e.zip", b"zip"),
        (("d/e/", "x.tar"), "x.tar", b"tar"),
        (("d/e", "--format", "tar"), "e.tar", b"tar"),
    ]:
        assert cli(service, "get", "-r", *arguments, cwd=tmp_path).returncode == 0
        assert (tmp_path / name).read_bytes() == form + b" of d/e"
    assert cli(service, "get", "-r", "d/e", "-").stdout == b"tar of d/e"
    assert cli(service, "get", "-r", "/", cwd=tmp_path).returncode == 0
    assert (tmp_path / "workspace.zip").read_bytes() == b"zip of "
    assert cli(service, "get", "-r", "d/e", "--format", "rar").returncode == 2
    assert cli(service, "get", "d/e", "--format", "zip").returncode == 2


def test_ctrl_c_takes_back_what_is_half_done(service: FakeFiles, tmp_path: Path) -> None:
    service.files["a"] = b"x" * 20_000_000
    service.slow = 0.05
    argv, env = command(service, "get", "a")  # type: ignore[arg-type]
    with subprocess.Popen(argv, env=env, cwd=tmp_path, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 20
        while not os.listdir(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130 and b"interrupted" in err
    assert os.listdir(tmp_path) == []


# ---- rm ----


def test_rm_removes_each(service: FakeFiles) -> None:
    service.files = {"a": b"", "d/ü": b"", "e": None}
    done = cli(service, "rm", "a", "none", "d/ü")
    assert (done.returncode, done.stdout) == (1, "a is removed\nd/ü is removed\n".encode())
    assert done.stderr == b"kernelhub rm: none: it is not_found\n"
    assert cli(service, "rm", "-f", "none").returncode == 0
    assert cli(service, "rm", "-r", "-q", "e").stdout == b""
    assert service.requests[-1][2] == {"recursive": "1"} and not service.files
    assert methods(service)[2] == ("DELETE", "/d/%C3%BC")
    assert cli(service, "rm", "/").returncode == 1


# ---- on a terminal ----


def on_terminal(service: FakeFiles, *arguments: str, cwd: Path | None = None) -> tuple[int, str]:
    """stdout and stderr are a terminal."""
    argv, env = command(service, *arguments)  # type: ignore[arg-type]
    parent, child = pty.openpty()
    process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=child, stderr=child, cwd=cwd)
    os.close(child)
    shown = b""
    while True:
        try:
            data = os.read(parent, 65536)
        except OSError:
            break
        if not data:
            break
        shown += data
    os.close(parent)
    return process.wait(30), shown.decode(errors="replace")


def test_progress_is_shown_on_a_terminal_and_nowhere_else(service: FakeFiles, tmp_path: Path) -> None:
    service.files["big"] = b"x" * 2_000_000
    service.slow = 0.05
    code, shown = on_terminal(service, "get", "big", cwd=tmp_path)
    assert code == 0 and "%" in shown and "of 2.0 MB" in shown and "left" in shown
    assert shown.endswith("\r\x1b[Kbig  2.0 MB\r\n")
    assert "%" not in on_terminal(service, "get", "-q", "big", cwd=tmp_path)[1]
    done = cli(service, "get", "big", cwd=tmp_path)
    assert (done.stdout, done.stderr) == (b"big  2.0 MB\n", b"")


# ---- completion ----


def test_paths_are_completed_and_no_name_is_run(service: FakeFiles, tmp_path: Path) -> None:
    service.files = {"d/a.csv": b"", "d/b c": b"", "d/sub": None, f"d/$(touch {tmp_path}/x)": b"", "d/`id`": b""}
    argv, env = command(service)  # type: ignore[arg-type]
    env["PATH"] = f"{Path(argv[0]).parent}:{os.environ['PATH']}"
    script = 'source "$0"; COMP_WORDS=(kernelhub get d/); COMP_CWORD=2; _kernelhub; printf "%s\\n" "${COMPREPLY[@]}"'
    completion = Path(__file__).resolve().parents[2] / "packaging" / "kernelhub"
    done = subprocess.run(["bash", "-c", script, str(completion)], env=env, capture_output=True, text=True, timeout=20)
    assert done.stdout == "d/a.csv\nd/sub/\n"
    assert service.requests[0][2]["path"] == "d" and os.listdir(tmp_path) == []
