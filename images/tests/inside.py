"""The checks of check-image, run inside the container by the image's own Python.

Each check is a function whose name is the sentence that it proves. Kernels are started from their
kernelspecs as a hub does it: argv, env, a connection file, nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty
from typing import Any

import zmq
from jupyter_client.blocking import BlockingKernelClient

SPECS = Path("/usr/local/share/jupyter/kernels")
EXPECTED = {
    "python3": "python",
    "bash": "bash",
    "javascript": "javascript",
    "typescript": "typescript",
}
HELLO = {
    "python3": "print('hello')",
    "bash": "echo hello",
    "javascript": "console.log('hello')",
    "typescript": "const text: string = 'hello'; console.log(text)",
}
PATIENCE_S = 60
MANY = 20000


class Outcome:
    """What came back for one execution."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.reply: dict[str, Any] = {}
        self.late = 0

    def text(self, name: str) -> str:
        return "".join(
            content["text"]
            for kind, content in self.messages
            if kind == "stream" and content["name"] == name
        )

    def data(self, mime: str) -> list[Any]:
        kinds = ("display_data", "execute_result")
        return [c["data"][mime] for kind, c in self.messages if kind in kinds and mime in c["data"]]


class Kernel:
    """A running kernel of one kernelspec, and a client of it."""

    def __init__(self, name: str, transport: str = "tcp", argv: list[str] | None = None) -> None:
        spec = json.loads((SPECS / name / "kernel.json").read_text())
        self.spec = spec
        self.folder = Path("/tmp") / f"check-{name}-{transport}-{time.monotonic_ns()}"
        self.folder.mkdir()
        # Below the range of ephemeral ports: a client that dials a port there before the kernel listens
        # can be given that very port and end up connected to itself.
        ports = [9001, 9002, 9003, 9004, 9005] if transport == "tcp" else [1, 2, 3, 4, 5]
        channels = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
        self.connection: dict[str, Any] = dict(zip(channels, ports, strict=True))
        self.connection |= {
            "transport": transport,
            "ip": "127.0.0.1" if transport == "tcp" else str(self.folder / "kernel"),
            "key": "0123456789abcdef",
            "signature_scheme": "hmac-sha256",
            "kernel_name": name,
        }
        file = self.folder / "connection.json"
        file.write_text(json.dumps(self.connection))
        self.stdout, self.stderr = self.folder / "stdout", self.folder / "stderr"
        began = time.monotonic()
        with self.stdout.open("wb") as out, self.stderr.open("wb") as err:
            self.process = subprocess.Popen(
                [part.replace("{connection_file}", str(file)) for part in argv or spec["argv"]],
                env=os.environ | spec.get("env", {}),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self.client = BlockingKernelClient()
        self.client.load_connection_file(str(file))
        self.client.start_channels(hb=False)
        self.client.kernel_info()
        self.info = self._first_reply()
        self.reply_s = time.monotonic() - began
        self._wait_for_iopub()

    def _first_reply(self) -> dict[str, Any]:
        for _ in range(PATIENCE_S * 2):
            with contextlib.suppress(Empty):
                return self.client.get_shell_msg(timeout=0.5)["content"]
            if self.process.poll() is not None:
                break
        noise = self.noise()
        self.stop()
        raise AssertionError(f"{self.connection['kernel_name']} does not answer: {noise}")

    def _wait_for_iopub(self) -> None:
        """A subscription takes a moment: ask until a status comes."""
        for _ in range(100):
            self.client.kernel_info()
            self.client.get_shell_msg(timeout=PATIENCE_S)
            with contextlib.suppress(Empty):
                while self.client.get_iopub_msg(timeout=0.1)["msg_type"] != "status":
                    pass
                break
        with contextlib.suppress(Empty):
            while True:
                self.client.get_iopub_msg(timeout=0.2)

    def noise(self) -> str:
        return self.stdout.read_text() + self.stderr.read_text()

    def send(self, code: str, metadata: dict[str, Any] | None = None, **content: Any) -> str:
        message = self.client.session.msg(
            "execute_request",
            {
                "code": code,
                "silent": False,
                "store_history": True,
                "user_expressions": {},
                "allow_stdin": False,
                "stop_on_error": False,
            }
            | content,
            metadata=metadata,
        )
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def run(
        self,
        code: str,
        metadata: dict[str, Any] | None = None,
        interrupt_after_s: float = 0,
        **content: Any,
    ) -> Outcome:
        msg_id = self.send(code, metadata, **content)
        if interrupt_after_s:
            time.sleep(interrupt_after_s)
            self.interrupt()
        return self.collect(msg_id)

    def collect(self, msg_id: str) -> Outcome:
        outcome = Outcome()
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            message = self.client.get_iopub_msg(timeout=PATIENCE_S)
            if message["parent_header"].get("msg_id") != msg_id:
                continue
            outcome.messages.append((message["msg_type"], message["content"]))
            if message["content"].get("execution_state") == "idle":
                break
        while not outcome.reply:
            message = self.client.get_shell_msg(timeout=PATIENCE_S)
            if message["parent_header"].get("msg_id") == msg_id:
                outcome.reply = message["content"]
        return outcome

    def interrupt(self) -> None:
        if self.spec.get("interrupt_mode") == "message":
            self.client.control_channel.send(self.client.session.msg("interrupt_request", {}))
        else:
            os.killpg(self.process.pid, signal.SIGINT)

    def stop(self) -> None:
        self.client.stop_channels()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def kernel(name: str, transport: str = "tcp", argv: list[str] | None = None) -> Iterator[Kernel]:
    running = Kernel(name, transport, argv)
    try:
        yield running
    finally:
        running.stop()


def same(found: object, expected: object, what: str) -> None:
    if found != expected:
        raise AssertionError(f"{what}: expected {expected!r}, found {found!r}")


# --- the checks ---------------------------------------------------------------------------------


def no_file_is_setuid_or_setgid() -> None:
    for folder, _, files in os.walk("/"):
        if folder.startswith(("/proc", "/sys", "/dev")):
            continue
        for file in files:
            path = Path(folder) / file
            with contextlib.suppress(OSError):
                mode = path.lstat().st_mode
                if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                    raise AssertionError(f"{path} is setuid or setgid")


def mount_points_are_there() -> None:
    for path in ("/workspace", "/packages", "/run/kernelhub", "/tmp", "/dev/shm"):
        same(Path(path).is_dir(), True, path)
    same(Path("/usr/sbin/kernelhub-init").is_file(), True, "/usr/sbin/kernelhub-init")
    same((os.getuid(), os.getgid(), os.getcwd()), (1000, 1000, "/workspace"), "user and folder")


def what_users_install_is_found_after_the_standard_library() -> None:
    code = "import os, sys; print(sys.path.index(os.path.dirname(os.__file__)), *sys.path, sep='\\n')"
    said = subprocess.run(["python3", "-c", code], capture_output=True, text=True, check=True).stdout
    standard, *path = said.splitlines()
    own = f"/packages/python/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    same(own in path, True, "sys.path")
    place = path.index(own)
    same(path[place + 1].startswith("/opt/python/"), True, "what comes after it")
    same(int(standard) < place, True, "the standard library's place")
    same(os.readlink("/node_modules"), "/packages/javascript/node_modules", "/node_modules")


def four_kernelspecs_with_logos() -> None:
    found = {}
    for folder in SPECS.iterdir():
        found[folder.name] = json.loads((folder / "kernel.json").read_text())["language"]
        same(any(folder.glob("logo-*")), True, f"logo of {folder.name}")
    same(found, EXPECTED, "kernelspecs")


def kernels_start_over_tcp_quietly() -> None:
    for name in EXPECTED:
        times = []
        for _ in range(3):
            with kernel(name) as k:
                same(k.info["status"], "ok", f"kernel_info of {name}")
                outcome = k.run(HELLO[name])
                same(outcome.text("stdout"), "hello\n", f"stdout of {name}")
                same(outcome.text("stderr"), "", f"stderr of {name}")
                same(outcome.reply["status"], "ok", f"reply of {name}")
                same(k.noise(), "", f"what {name} printed at start")
                times.append(k.reply_s)
        print(f"      {name}: {min(times):.3f} s from exec to kernel_info reply (best of 3)")


def kernels_that_speak_ipc_do() -> None:
    for name in EXPECTED:
        spec = json.loads((SPECS / name / "kernel.json").read_text())
        if "ipc" in spec["metadata"]["kernelhub"]["transports"]:
            with kernel(name, "ipc") as k:
                same(k.run(HELLO[name]).text("stdout"), "hello\n", name)
                same(k.noise(), "", f"what {name} printed at start")


def require_of_node_modules_works() -> None:
    for name in ("javascript", "typescript"):
        with kernel(name) as k:
            code = "const fs = require('fs'); const path = require(\"path\"); console.log(fs.existsSync(path.join('/', 'tmp')))"
            outcome = k.run(code)
            same(outcome.text("stdout"), "true\n", name)
            same(k.run("require('node:os').EOL.length").data("text/plain"), ["1"], name)


def output_comes_before_idle() -> None:
    """Deno by itself sends some of it later."""
    for name in EXPECTED:
        code = {
            "python3": "for i in range(50): print(i)",
            "bash": "for i in {0..49}; do echo $i; done",
        }.get(name, "for (let i = 0; i < 50; i++) console.log(i)")
        with kernel(name) as k:
            for _ in range(20):
                same(len(k.run(code).text("stdout").split()), 50, f"lines of {name}")


def environment_of_one_run() -> None:
    show = {
        "python3": "import os; print(os.environ.get('A'), os.environ.get('B'), os.environ.get('HOME'))",
        "bash": 'echo "${A-None} ${B-None} ${HOME-None}"',
        "javascript": "console.log(process.env.A??'None', Deno.env.get('B')??'None', process.env.HOME??'None')",
    }
    show["typescript"] = show["javascript"]
    broken = {
        "python3": "1/0",
        "bash": "false",
        "javascript": "throw new Error()",
        "typescript": "throw 1",
    }
    value = 'it\'s "$x" `id`'
    metadata = {"kernelhub": {"env": {"A": value, "B": "", "HOME": None}}}
    for name in EXPECTED:
        with kernel(name) as k:
            before = k.run(show[name]).text("stdout")
            same(before, "None None /workspace\n", f"{name} before")
            same(k.run(show[name], metadata).text("stdout"), f"{value}  None\n", f"{name} during")
            same(k.run(show[name]).text("stdout"), before, f"{name} after")
            same(k.run(broken[name], metadata).reply["status"], "error", f"{name} broken")
            same(k.run(show[name]).text("stdout"), before, f"{name} after an error")
    with kernel("bash") as k:
        k.run("A=kept; declare -i B=5; list=(1 2)")
        same(k.run("env | grep -c ^A=", metadata).text("stdout"), "1\n", "exported to children")
        same(k.run("env | grep -c ^A=").text("stdout"), "0\n", "not exported after")
        same(
            k.run("echo $A $B; declare -p B").text("stdout"),
            'kept 5\ndeclare -i B="5"\n',
            "as before",
        )
        same(k.run("history").text("stdout").count("it's"), 0, "history")


def interrupts_end_a_cell_and_keep_the_kernel() -> None:
    forever = {
        "python3": "x = 5\nwhile True: pass",
        "bash": "x=5; while :; do :; done",
        "javascript": "var x = 5; while (true) {}",
        "typescript": "var x: number = 5; while (true) {}",
    }
    show = {"python3": "print(x)", "bash": "echo $x"}
    metadata = {"kernelhub": {"env": {"HOME": "/elsewhere"}}}
    for name in EXPECTED:
        with kernel(name) as k:
            outcome = k.run(forever[name], metadata, interrupt_after_s=0.7)
            same(outcome.reply["status"], "error", f"{name} interrupted")
            print(
                f"      {name}: ename {outcome.reply['ename']!r}, evalue {outcome.reply['evalue']!r}"
            )
            same(
                k.run(show.get(name, "console.log(x)")).text("stdout"), "5\n", f"{name} afterwards"
            )
            home = {"python3": "import os; print(os.environ['HOME'])", "bash": "echo $HOME"}
            code = home.get(name, "console.log(process.env.HOME)")
            same(
                k.run(code).text("stdout"), "/workspace\n", f"{name}: variables after an interrupt"
            )
    with kernel("bash") as k:
        outcome = k.run("sleep 20; echo no", interrupt_after_s=0.5)
        same(outcome.reply["kernelhub_exit_code"], 130, "a child that was interrupted")
        same(outcome.reply["ename"], "KeyboardInterrupt", "its name")


def python_says_its_exit_code() -> None:
    with kernel("python3") as k:
        outcome = k.run("import sys; print('a'); sys.exit(3)")
        same(
            [outcome.reply[key] for key in ("status", "ename", "evalue")],
            ["error", "SystemExit", "3"],
            "sys.exit(3)",
        )
        same((outcome.text("stdout"), outcome.text("stderr")), ("a\n", ""), "streams")
        same(k.run("print(1)").text("stdout"), "1\n", "the kernel afterwards")


def bash_says_its_exit_code() -> None:
    with kernel("bash") as k:
        outcome = k.run("echo out; echo err >&2; (exit 7)")
        same((outcome.text("stdout"), outcome.text("stderr")), ("out\n", "err\n"), "streams")
        same(
            [outcome.reply[key] for key in ("status", "ename", "evalue", "kernelhub_exit_code")],
            ["error", "ExitStatus", "7", 7],
            "reply",
        )
        same(
            [c for kind, c in outcome.messages if kind == "error"][0]["evalue"],
            "7",
            "error message",
        )
        outcome = k.run("true")
        same((outcome.reply["status"], outcome.reply["kernelhub_exit_code"]), ("ok", 0), "true")
        outcome = k.run("cat", {"kernelhub": {"stdin": "a\nb\n"}})
        same(outcome.text("stdout"), "a\nb\n", "standard input")
        same(k.run("read line; echo $?").text("stdout"), "1\n", "no standard input is end of file")
        outcome = k.run("exit 4")
        same(outcome.reply["kernelhub_exit_code"], 4, "exit 4")
        same(k.run("echo again").text("stdout"), "again\n", "a new shell")
        same(k.run("if true; then").reply["kernelhub_exit_code"], 2, "an unfinished cell")
        same(k.run("cd /tmp; f() { echo f; }").reply["status"], "ok", "a function")
        same(k.run("pwd; f").text("stdout"), "/tmp\nf\n", "state")


def bash_prints_as_it_goes() -> None:
    with kernel("bash") as k:
        k.send("echo one; sleep 2; echo two")
        began = time.monotonic()
        while (message := k.client.get_iopub_msg(timeout=5))["msg_type"] != "stream":
            pass
        same(message["content"]["text"], "one\n", "first line")
        if time.monotonic() - began > 1:
            raise AssertionError("the first line came with the second")


def nothing_is_lost_when_the_reader_stalls(argv: list[str] | None = None) -> None:
    """The reader takes nothing for a while; its buffers are small, so the kernel has to keep it all."""
    cells = {
        "python3": (
            "from IPython.display import publish_display_data\n"
            f"for i in range({MANY}): publish_display_data({{'text/plain': '%01000d' % i}})",
            MANY,
        ),
        "bash": ("for i in {1..2500}; do printf '%08192d\\n' $i; sleep 0.0005; done", 2500),
    }
    for name, (code, count) in cells.items():
        with kernel(name, argv=argv if name == "python3" else None) as k, zmq.Context() as context:
            with context.socket(zmq.SUB) as reader:
                reader.rcvhwm = 1
                reader.rcvbuf = 4096
                reader.subscribe(b"")
                reader.connect(f"tcp://127.0.0.1:{k.connection['iopub_port']}")
                time.sleep(0.5)
                k.client.iopub_channel.stop()
                msg_id = k.send(code)
                reply = k.client.get_shell_msg(timeout=120)
                same(
                    (reply["parent_header"]["msg_id"], reply["content"]["status"]),
                    (msg_id, "ok"),
                    "reply",
                )
                time.sleep(0.5)
                found = 0
                while reader.poll(2000):
                    frames = reader.recv_multipart()
                    content = json.loads(frames[frames.index(b"<IDS|MSG>") + 5])
                    if "data" in content:
                        found += 1
                    elif content.get("name") == "stdout":
                        found += content["text"].count("\n")
                    elif content.get("execution_state") == "idle":
                        break
                same(found, count, f"outputs of {name}")


def figures_show_without_being_asked() -> None:
    with kernel("python3") as k:
        if "no" in k.run(
            "import importlib.util as u; print('yes' if u.find_spec('matplotlib') else 'no')"
        ).text("stdout"):
            print("      no matplotlib in this image")
            return
        began = time.monotonic()
        outcome = k.run("import matplotlib.pyplot as plt; plt.plot([1, 2])")
        print(f"      first figure after {time.monotonic() - began:.2f} s")
        same(len(outcome.data("image/png")), 1, "figures")
        same(outcome.text("stderr"), "", "stderr")


def packages_import_quietly() -> None:
    record = Path("/usr/share/kernelhub/packages.json")
    if not record.exists():
        return
    for name, reason in json.loads(record.read_text())["failed"].items():
        print(f"      not installed: {name}: {reason}")
    modules = (
        "numpy pandas scipy.stats matplotlib.pyplot seaborn plotly.express bokeh.plotting "
        "altair sklearn.linear_model statsmodels.api sympy networkx numba polars duckdb "
        "pyarrow PIL.Image cv2 imageio requests httpx bs4 lxml.etree html5lib openpyxl "
        "xlsxwriter xlrd docx pptx pypdf pdfplumber reportlab yaml toml jinja2 tabulate "
        "tqdm rich regex nltk gensim ipywidgets "
    )
    with kernel("python3") as k:
        for module in modules.split():
            outcome = k.run(f"import {module}")
            if outcome.reply["status"] != "ok" or outcome.text("stderr"):
                detail = outcome.reply.get("evalue") or outcome.text("stderr")
                raise AssertionError(f"import {module}: {detail}")
        same(
            k.run("import numba; print(numba.njit(lambda x: x + 1)(1))").text("stdout"),
            "2\n",
            "numba",
        )
        plot = k.run("import plotly.express as px; px.line(x=[1, 2], y=[3, 4])")
        same(len(plot.data("application/vnd.plotly.v1+json")), 1, "plotly's figures")  # it wants nbformat for that


CHECKS: list[Callable[[], None]] = [
    no_file_is_setuid_or_setgid,
    mount_points_are_there,
    what_users_install_is_found_after_the_standard_library,
    four_kernelspecs_with_logos,
    kernels_start_over_tcp_quietly,
    kernels_that_speak_ipc_do,
    require_of_node_modules_works,
    output_comes_before_idle,
    environment_of_one_run,
    interrupts_end_a_cell_and_keep_the_kernel,
    python_says_its_exit_code,
    bash_says_its_exit_code,
    bash_prints_as_it_goes,
    nothing_is_lost_when_the_reader_stalls,
    figures_show_without_being_asked,
    packages_import_quietly,
]


def main(wanted: list[str]) -> int:
    failures = 0
    for check in CHECKS:
        if wanted and not any(part in check.__name__ for part in wanted):
            continue
        try:
            check()
            print(f"ok    {check.__name__.replace('_', ' ')}", flush=True)
        except Exception as error:
            failures += 1
            print(
                f"FAIL  {check.__name__.replace('_', ' ')}: {type(error).__name__}: {error}",
                flush=True,
            )
            if not isinstance(error, AssertionError):
                traceback.print_exc()
    print(f"{failures} failed" if failures else "all is well", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
