"""Packages: what users install for themselves, from an index on loopback or a folder of wheels, with real builders."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import package_index
import pytest
from conftest import Service, run, wait_until

SPY = """
import os, subprocess
found = []
for folder, folders, files in os.walk("/"):
    if folder.startswith(("/proc", "/sys", "/dev", "/usr", "/opt")):
        folders.clear()
        continue
    for name in files:
        path = os.path.join(folder, name)
        try:
            with open(path, "rb") as file:
                text = file.read(1 << 16)
        except OSError:
            continue
        if b"SECRET-OF-" in text and not path.startswith("/build/"):
            found.append(path)
for path in ("/workspace", "/run/kernelhub", "/packages", "/root", "/home/user"):
    try:
        found += [f"{path}/{name}" for name in os.listdir(path) if path in ("/workspace", "/root") or name.endswith(".sock")]
    except OSError:
        pass
wrote = []
for path in ("/packages/other", "/run/packages/x", "/run/kernelhub/x", "/workspace/../etc/x", "/usr/x"):
    try:
        open(path, "w").close()
        wrote.append(path)
    except OSError:
        pass
import socket
reached = []
for port in PORTS:
    try:
        socket.create_connection(("127.0.0.1", port), 2).close()
        reached.append(port)
    except OSError:
        pass
MODULE = "report = " + repr({"uid": os.getuid(), "found": found, "wrote": wrote, "reached": reached,
    "secrets": [n for n in os.environ if "TOKEN" in n or "KERNELHUB" in n],
    "caps": [l for l in open("/proc/self/status") if l.startswith(("CapEff", "NoNewPrivs", "Seccomp:"))]})
"""


# Shuts its user out of his packages, and leaves a process that would do it again later.
CLOSED = """
import os, subprocess, sys
if not os.path.exists("/packages/python/lib/shut"):  # it is run twice
    os.makedirs("/packages/python/lib/shut/in")
os.chmod("/packages/python/lib/shut", 0)
code = "import os, time; time.sleep(60); os.chmod('/packages/python/lib', 0)"
subprocess.Popen([sys.executable, "-c", code], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
MODULE = "VALUE = 1"
"""


HOG = """
import os, time
held = []
for n in range(8):
    held.append(os.open('/build/tmp/hog', os.O_CREAT | os.O_RDWR))
    os.unlink('/build/tmp/hog')
    os.posix_fallocate(held[-1], 0, 512 << 20)
    time.sleep(0.3)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[package_index.Index]:
    index = package_index.Index()
    index.add(package_index.wheel("small_one", "1.0", {"small_one/__init__.py": "VALUE = 1\n", "small_one/late.py": "VALUE = 1\n"}))
    index.add(package_index.wheel("small_one", "2.0", {"small_one/__init__.py": "VALUE = 2\n", "small_one/late.py": "VALUE = 2\n"}))
    index.add(package_index.wheel("needy", "1.0", {"needy.py": "import small_one\nVALUE = small_one.VALUE\n"}, ("small-one",)))
    index.add(package_index.wheel("machine", "1.0", {"machine.so": package_index.native("machine", tmp_path_factory.mktemp("native"))}))
    index.add(package_index.wheel("json", "9.0", {"json/__init__.py": "raise RuntimeError('not me')\n"}))
    index.add(package_index.wheel("zmq", "9.0", {"zmq/__init__.py": "raise RuntimeError('not me')\n"}))
    index.add(package_index.wheel("pyzmq", "99.0", {"zmq/__init__.py": "raise RuntimeError('not me')\n"}))
    program = {"tool.py": "def main(): print('tool runs')\n", "tool-1.0.dist-info/entry_points.txt": "[console_scripts]\ntool=tool:main\n"}
    index.add(package_index.wheel("tool", "1.0", program))
    index.add(package_index.npm("tiny", "1.0.0", "exports.value = 1;"))
    index.add(package_index.npm("tiny", "1.2.0", "exports.value = 2;"))
    index.add(package_index.source("broken", "raise SystemExit('this setup.py fails')"))
    index.add(package_index.source("sleepy", "import time; time.sleep(1000)"))
    for name in ("slow", "lazy", "idle"):
        index.add(package_index.source(name, "import time; time.sleep(5)"))
    index.add(package_index.source("greedy", "x = [bytearray(1 << 20) for _ in range(4096)]"))
    index.add(package_index.source("huge", "import time\nfor n in range(64):\n    open(f'/build/tmp/{n}', 'wb').write(bytes(1 << 20))\ntime.sleep(60)"))
    index.add(package_index.source("closed", CLOSED))
    index.add(package_index.source("loud", "for n in range(100000): print('x' * 79, '\\x1b[31m\\xff')\nMODULE = 'VALUE = 1'"))
    yield index
    index.close()


@pytest.fixture(scope="module")
def packages(index: package_index.Index) -> Iterator[Service]:
    service = Service(
        "packages/network=host",
        "packages/python=small-one<3 needy machine tool json zmq pyzmq spy broken sleepy slow lazy idle greedy huge loud closed",
        "packages/javascript=tiny@^1",
        "packages/max_bytes=24M",
        "packages/memory_bytes=256M",
        "packages/timeout_seconds=30",
        "limits/memory_bytes=512M",
    )
    # This index alone, and no way around to it, whatever the host is set to.
    service.env = {k: v for k, v in service.env.items() if not k.startswith("PIP_") and not k.lower().endswith("_proxy")}
    service.env |= {"PIP_INDEX_URL": index.url, "PIP_EXTRA_INDEX_URL": index.url, "NPM_CONFIG_REGISTRY": index.npm_url}
    try:
        service.start()
        yield service
    finally:
        service.destroy()


@pytest.fixture
def client(packages: Service) -> Iterator[httpx.Client]:
    with packages.client(timeout=120) as client:
        yield client


def spy(port: int) -> tuple[str, bytes]:
    """A source package that looks around while it is built, and says in its module what it found. It is no secret itself."""
    return package_index.source("spy", SPY.replace("PORTS", repr([port])).replace("SECRET-OF-", "SECRET-'b'OF-"))


def install(client: httpx.Client, *names: str, language: str = "python") -> dict[str, Any]:
    reply = client.post("/api/v1/packages/install", json={"language": language, "packages": list(names)})
    assert reply.status_code == 200, reply.text
    return reply.json()  # type: ignore[no-any-return]


def installed(client: httpx.Client) -> dict[str, str]:
    reply = client.get("/api/v1/packages/installed?language=py")
    assert reply.status_code == 200, reply.text
    return {p["name"]: p["version"] for p in reply.json()["items"]}


def test_a_package_is_there_in_the_next_cell_and_outlives_the_sandbox(client: httpx.Client) -> None:
    before = run(client, "x = 41\ntry:\n    import small_one\nexcept ImportError:\n    print('not yet')")
    assert before["stdout"] == "not yet\n"
    result = install(client, "small-one==1.0")
    assert result["status"] == "ok", result
    assert result["installed"] == [{"name": "small-one", "version": "1.0", "change": "added"}]
    assert result["requested"] == ["small-one==1.0"] and "Successfully installed" in result["output"]
    after = run(client, "import small_one\nprint(x, small_one.VALUE, small_one.__file__.startswith('/packages/python/'))")
    assert (after["stdout"], after["kernel_id"]) == ("41 1 True\n", before["kernel_id"])
    shell = run(client, "python3 -c 'import small_one; print(small_one.VALUE)'", language="bash")
    assert shell["stdout"] == "1\n", shell["stderr"]
    assert client.delete("/api/v1/session").status_code == 204
    again = run(client, "import small_one\nprint(small_one.VALUE)")
    assert again["stdout"] == "1\n" and again["sandbox_id"] != before["sandbox_id"]
    assert installed(client)["small-one"] == "1.0"
    assert 'kernelhub_package_installs_total{status="ok",language="python"}' in client.get("/api/v1/metrics").text


def test_what_is_in_use_is_updated_for_who_imports_it_next(client: httpx.Client) -> None:
    assert install(client, "small-one==1.0")["status"] == "ok"
    assert run(client, "import small_one\nprint(small_one.VALUE)", session="old")["stdout"] == "1\n"
    result = install(client, "needy", "small-one>1")
    assert result["status"] == "ok", result
    assert {"name": "small-one", "version": "2.0", "change": "updated", "previous": "1.0"} in result["installed"]
    assert result["requested"] == ["needy", "small-one>1,<3"]
    assert run(client, "import needy\nprint(small_one.VALUE, needy.VALUE)", session="old")["stdout"] == "1 1\n"
    assert run(client, "import needy\nprint(needy.VALUE)", session="new")["stdout"] == "2\n"


def test_machine_code_runs_and_programs_are_found(client: httpx.Client) -> None:
    assert install(client, "machine", "tool")["status"] == "ok"
    assert run(client, "import machine\nprint(machine.answer())")["stdout"] == "42\n"
    assert run(client, "tool", language="bash")["stdout"] == "tool runs\n"


def test_a_refusal_names_package_and_rule(client: httpx.Client) -> None:
    for names, rule, said in (
        (["small-one", "torch"], "packages/python", "'torch'"),
        (["small-one==3.1"], "small-one<3", "'small-one'"),
    ):
        reply = client.post("/api/v1/packages/install", json={"packages": names})
        error = reply.json()["error"]
        assert (reply.status_code, error["code"], error["details"]) == (403, "policy_denied", {"rule": rule})
        assert said in error["message"] and rule in error["message"]
    for bad in ("--index-url=http://x", "-r /etc/passwd", "a @ file:///etc", "./x", "git+https://x/y", "x;y", ""):
        reply = client.post("/api/v1/packages/install", json={"packages": [bad]})
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_request"), bad
    for body, status in (({"session": "nope", "packages": ["tool"]}, 404), ({"language": "bash", "packages": ["tool"]}, 400)):
        assert client.post("/api/v1/packages/install", json=body).status_code == status, body
    assert client.get("/api/v1/packages/allowed/bash").status_code == 404
    assert client.get("/api/v1/packages/allowed/Python").json()["language"] == "python"
    allowed = client.get("/api/v1/packages/allowed/py").json()
    assert allowed["language"] == "python" and allowed["installable"] and "small-one<3" in allowed["items"]


def test_neither_the_standard_library_nor_the_kernel_is_replaced(client: httpx.Client) -> None:
    assert install(client, "json", "zmq")["status"] == "ok"
    assert run(client, "import json, sys\nprint(json.dumps([1]), 'site-packages' in json.__file__)", persistent=False)["stdout"] == "[1] False\n"
    result = install(client, "pyzmq==99.0")
    assert result["status"] == "error" and "pyzmq" in result["output"] and result["message"]


def test_a_build_finds_nothing_of_the_user_and_leaves_nothing_when_it_fails(
    client: httpx.Client, packages: Service, index: package_index.Index
) -> None:
    run(client, "open('/workspace/mine.txt', 'w').write('SECRET-OF-' + 'ann')")
    (packages.folder / "secret").write_text("SECRET-OF-the-host")
    index.add(spy(packages.port))
    before = installed(client)
    assert install(client, "spy")["status"] == "ok"
    report = json.loads(run(client, "import spy, json\nprint(json.dumps(spy.report))")["stdout"])  # type: ignore[arg-type]
    assert report["found"] == [] and report["wrote"] == [] and report["secrets"] == [] and report["uid"] == 1000
    assert report["caps"] == ["CapEff:\t0000000000000000\n", "NoNewPrivs:\t1\n", "Seccomp:\t2\n"]
    for name, status in (("broken", "error"), ("greedy", "oom"), ("huge", "too_large"), ("sleepy", "timeout")):
        result = install(client, name)
        assert (result["status"], result["installed"]) == (status, []), result
        assert result["message"]
    assert installed(client) == before | {"spy": "1.0"}
    builds = list((packages.state / "workspaces").glob("*/building/*"))
    assert builds == []
    wait_until(lambda: not list((packages.state / "workspaces" / ".removed").iterdir()), 20)


def test_javascript_has_packages_of_npm(client: httpx.Client) -> None:
    before = run(client, "let x = 41; try { require('tiny') } catch (e) { console.log(e.code) }", language="javascript")
    assert before["stdout"] == "MODULE_NOT_FOUND\n"
    result = install(client, "tiny@1.0.0", language="js")
    assert result["status"] == "ok" and result["installed"] == [{"name": "tiny", "version": "1.0.0", "change": "added"}], result
    after = run(client, "console.log(x, require('tiny').value)", language="javascript")
    assert (after["stdout"], after["kernel_id"]) == ("41 1\n", before["kernel_id"]), after
    result = install(client, "tiny", language="javascript")
    assert result["installed"] == [{"name": "tiny", "version": "1.2.0", "change": "updated", "previous": "1.0.0"}], result
    code = "import tiny from 'npm:tiny';\nconsole.log(tiny.value, (await import('tiny')).default.value)"
    assert run(client, code, language="typescript")["stdout"] == "2 2\n"
    items = client.get("/api/v1/packages/installed?language=javascript").json()["items"]
    assert items == [{"language": "javascript", "name": "tiny", "version": "1.2.0"}]
    reply = client.post("/api/v1/packages/install", json={"language": "javascript", "package": "tiny@2.0.0"})
    assert (reply.status_code, reply.json()["error"]["details"]) == (403, {"rule": "tiny@^1"})


def test_progress_is_a_stream_of_records(client: httpx.Client) -> None:
    body = {"packages": ["tool"]}
    with client.stream("POST", "/api/v1/packages/install", json=body, headers={"Accept": "application/x-ndjson"}) as reply:
        records = [json.loads(line) for line in reply.iter_lines()]
    assert [r["type"] for r in records[-2:]] == ["progress", "finished"] and records[-1]["status"] == "ok"
    assert "tool" in "".join(r["text"] for r in records if r["type"] == "progress")
    with client.stream("POST", "/api/v1/packages/install", json=body, headers={"Accept": "text/event-stream"}) as reply:
        lines = [line for line in reply.iter_lines() if line]
    assert all(line.startswith("data: {") for line in lines) and json.loads(lines[-1][6:])["type"] == "finished"


def test_a_build_that_floods_its_log_is_cut(client: httpx.Client) -> None:
    result = install(client, "loud")
    assert result["status"] == "ok", result
    assert len(result["output"]) <= 16 * 1024


def test_a_build_that_shuts_its_user_out_does_not(client: httpx.Client) -> None:
    result = install(client, "closed")
    assert result["status"] == "ok", result["output"]
    assert run(client, "import closed, os\nprint(closed.VALUE, os.listdir('/packages/python/lib/shut'))")["stdout"] == "1 ['in']\n"
    assert installed(client)["closed"] == "1.0" and install(client, "tool")["status"] == "ok"


def test_installs_of_a_user_wait_for_each_other(client: httpx.Client, packages: Service) -> None:
    with packages.client(timeout=120) as other:
        body = {"packages": ["slow"]}
        with other.stream("POST", "/api/v1/packages/install", json=body, headers={"Accept": "application/x-ndjson"}) as first:
            next(first.iter_lines())  # it runs
            second = client.build_request("POST", "/api/v1/packages/install", json={"packages": ["tool"]}, headers={"Accept": "application/x-ndjson"})
            reply = client.send(second, stream=True)
            lines = reply.iter_lines()
            assert json.loads(next(lines)) == {"type": "queued", "position": 1}
        # whoever asked first has left, and it goes on to its end
        assert json.loads(list(lines)[-1])["status"] == "ok"
        reply.close()


@pytest.mark.parametrize(("how", "name"), [(signal.SIGKILL, "lazy"), (signal.SIGTERM, "idle")])
def test_a_keeper_that_ends_in_a_build_is_followed_by_one_that_builds_anew(
    client: httpx.Client, packages: Service, how: signal.Signals, name: str
) -> None:
    body = {"packages": [name]}
    with client.stream("POST", "/api/v1/packages/install", json=body, headers={"Accept": "application/x-ndjson"}) as reply:
        lines = reply.iter_lines()
        next(lines)  # it runs
        os.kill(packages.pid_of("keeper"), how)
        last = json.loads(list(lines)[-1])
    assert last["status"] == "ok", last
    assert run(client, f"import {name}\nprint('there')")["stdout"] == "there\n"
    assert list((packages.state / "workspaces").glob("*/building/*")) == []


def test_a_service_that_ends_in_a_build_leaves_the_wish_alone(packages: Service) -> None:
    def names(pattern: str) -> list[str]:
        return sorted(path.name for path in (packages.state / "workspaces").glob(pattern))

    body = {"packages": ["sleepy"]}
    with packages.client(timeout=120) as client:
        with client.stream("POST", "/api/v1/packages/install", json=body, headers={"Accept": "application/x-ndjson"}) as reply:
            next(reply.iter_lines())
            wait_until(lambda: "tmp" in names("*/building/*/work/*") and names("*/building/*/tree/*") != [], 30)
    packages.stop()
    try:
        assert names("*/building/*/*") == ["work"]
        assert names("*/building/*/work/*") == ["constraints.txt", "log", "requirements.txt"]
    finally:
        packages.start()
    with packages.client(timeout=120) as client:
        assert install(client, "tool")["status"] == "ok"
    assert names("*/building/*") == []


def test_numpy_comes_from_the_hosts_own_index(make_service: Any) -> None:
    service = make_service("packages/network=host", "packages/python=numpy")
    with service.client(timeout=300) as client:
        assert run(client, "x = 3")["status"] == "ok"
        result = client.post("/api/v1/packages/install", json={"language": "python", "packages": ["numpy"]}).json()
        assert result["status"] == "ok", result
        assert run(client, "import numpy\nprint(numpy.linalg.inv(numpy.eye(x)).sum())")["stdout"] == "3.0\n"


def test_a_user_has_none_of_anothers_packages(client: httpx.Client, packages: Service) -> None:
    assert install(client, "tool")["status"] == "ok"
    assert client.post("/api/v1/admin/users", json={"name": "ben"}).status_code == 201
    key = client.post("/api/v1/admin/keys", json={"user": "ben", "name": "k"}).json()["key"]
    with packages.client(key, timeout=60) as ben:
        assert installed(ben) == {}
        assert run(ben, "import os\nprint(os.listdir('/packages/python'))")["stdout"] == "[]\n"
    report = run(client, "try:\n    open('/packages/python/x', 'w')\nexcept OSError as e:\n    print(e.errno)")
    assert report["stdout"] == "30\n"


@pytest.mark.usefixtures("disk_alone")
def test_a_build_that_hides_what_it_takes_ends_before_the_disk_is_full(make_service: Callable[..., Service], tmp_path: Path) -> None:
    def free_bytes() -> int:
        disk = os.statvfs(tmp_path)
        return disk.f_bavail * disk.f_frsize

    name, content = package_index.source("hog", HOG)
    (tmp_path / name).write_bytes(content)
    tmp_path.chmod(0o755)
    before = free_bytes()
    assert before > 5 << 30, "this test fills 4 GiB for a moment"
    service = make_service(f"limits/min_free_bytes={before - (2 << 30)}", f"packages/wheels={tmp_path}", "packages/python=hog")
    with service.client(timeout=120) as client:
        result = install(client, "hog")
        assert result["status"] == "disk_full" and "limits/min_free_bytes" in result["message"], result
        wait_until(lambda: free_bytes() > before - (1 << 30))
        assert installed(client) == {}


def test_the_list_is_read_again_at_sighup_and_no_network_means_wheels(index: package_index.Index, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    service = Service(f"packages/wheels={wheels}")
    wheels.mkdir(mode=0o755)
    name = "small_one-1.0-py3-none-any.whl"
    (wheels / name).write_bytes(index.files[name])
    looking, text = spy(service.port)
    (wheels / looking).write_bytes(text)
    (service.folder / "conf").write_text('packages\n    python = "needy"\n')
    try:
        service.start()
        with service.client(timeout=60) as client:
            assert client.post("/api/v1/packages/install", json={"package": "small-one"}).status_code == 403
            (service.folder / "conf").write_text('packages\n    python = "needy"\n    python = "small-* spy"\n')
            hub = service.pid_of("hub")
            assert service.process
            service.process.send_signal(signal.SIGHUP)

            def is_back() -> bool:
                try:
                    return service.pid_of("hub") != hub and client.get("/api/v1/packages/allowed/python").json()["items"] == ["needy", "small-*", "spy"]
                except (httpx.TransportError, OSError, IndexError, KeyError):
                    time.sleep(0.1)
                    return False

            wait_until(is_back, 20)
            result = client.post("/api/v1/packages/install", json={"packages": ["small-one", "spy"]}).json()
            assert result["status"] == "ok", result
            told = run(client, "import small_one, spy\nprint(small_one.VALUE, spy.report['reached'], spy.report['found'])")
            assert told["stdout"] == "1 [] []\n"
    finally:
        service.destroy()
