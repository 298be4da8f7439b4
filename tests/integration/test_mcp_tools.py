"""MCP's tools with real kernels, in both eras: what a model gets is the truth, within its budget, and nothing is lost."""

from __future__ import annotations

import base64
import hashlib
import re
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from conftest import Service, run, wait_until
from mcp_client import LEGACY, MODERN, Mcp, McpError, in_background, text_of

PNG = base64.b64encode(
    b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89"
    b"\0\0\0\x0dIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\0\x05\0\x01\xff\x89\x99=\x1d\0\0\0\0IEND\xaeB`\x82"
).decode()
SHOW = "from IPython.display import display\ndisplay({{'image/png': {!r}, 'text/plain': '<Figure>'}}, raw=True)"


@pytest.fixture(params=[LEGACY, MODERN])
def mcp(service: Service, request: pytest.FixtureRequest) -> Iterator[Mcp]:
    with Mcp(service.url, service.key, request.param) as client:
        yield client


@pytest.fixture
def modern(service: Service) -> Iterator[Mcp]:
    with Mcp(service.url, service.key) as client:
        yield client


def images(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [b for b in result["content"] if b["type"] == "image"]


def test_state_persists_and_the_execution_is_everyones(mcp: Mcp, http: httpx.Client) -> None:
    name = f"v{uuid.uuid4().hex}"
    mcp.ok("execute_code", code=f"{name} = 40")
    result = mcp.tool("execute_code", code=f"print('hi'); {name} + 2")
    said = result["structuredContent"]
    assert (said["status"], said["stdout"], said["result"], said["exit_code"]) == ("ok", "hi\n", "42", 0)
    assert "stdout:\nhi\nresult:\n42\n" in text_of(result)
    assert text_of(result).startswith(f"sandbox_id: {said['sandbox_id']} | session: python | execution_id: {said['execution_id']} | ok")
    record = http.get(f"/api/v1/executions/{said['execution_id']}").json()
    assert (record["status"], record["client"], record["stdout"]) == ("ok", "mcp", "hi\n")
    assert run(http, f"{name} + 3")["results"][0]["data"]["text/plain"] == "43"  # the same kernel


def test_an_exception_is_a_result_and_what_kills_it_is_an_error(modern: Mcp) -> None:
    said = modern.ok("execute_code", code="def f():\n    return 1 / 0\nf()")
    assert said["status"] == "error" and said["error"]["name"] == "ZeroDivisionError"
    assert "in f()" in said["error"]["traceback"] and "\x1b" not in said["error"]["traceback"]
    text = modern.fails("execute_code", code="import time; time.sleep(60)", timeout_seconds=0.5)
    assert " | timeout | " in text and "interrupted" in text
    text = modern.fails("execute_code", code="import os; os._exit(3)", session="dies")
    assert "kernel_died" in text and "variables are lost" in text
    shown = modern.ok("get_execution", execution_id=re.findall(r"execution_id: (\S+)", text)[0])
    assert shown["status"] == "kernel_died"  # to look at it is no error


def test_languages_sessions_and_fresh_kernels(modern: Mcp) -> None:
    assert modern.ok("execute_code", code="x=5; echo $((x+1))", language="bash")["stdout"] == "6\n"
    modern.ok("execute_code", code="apart = 1", session="beside")
    assert modern.ok("execute_code", code="apart", session="beside")["result"] == "1"
    assert modern.ok("execute_code", code="apart")["error"]["name"] == "NameError"
    assert modern.ok("execute_code", code="apart", persistent=False)["error"]["name"] == "NameError"
    assert "cobol" in modern.fails("execute_code", code="x", language="cobol")


def test_a_language_has_one_kernel_however_it_is_spelled(modern: Mcp, http: httpx.Client) -> None:
    modern.ok("execute_code", code="spelled = 1", language="python")
    for name in ("Python", "PYTHON", "py", "Python3"):
        said = modern.ok("execute_code", code="spelled", language=name)
        assert (said["session"], said.get("result")) == ("python", "1"), name
    assert http.post("/api/v1/sessions", json={"language": "Bash"}).json()["name"] == "bash"


def test_wrong_arguments_are_told_by_the_fields_name(mcp: Mcp) -> None:
    for arguments, word in (
        ({}, "code"),
        ({"code": 3}, "code"),
        ({"code": "1", "timeout_seconds": "x"}, "timeout_seconds"),
        ({"code": "1", "colour": "red"}, "colour"),
        ({"code": "1", "max_output_chars": 5}, "max_output_chars"),
        ({"code": "1", "sandbox_id": "nobody's"}, "nobody"),
    ):
        assert word in mcp.fails("execute_code", **arguments)
    with pytest.raises(McpError) as failed:
        mcp.tool("no_such_tool")
    assert failed.value.code == -32602


def test_a_picture_arrives_as_an_image(mcp: Mcp) -> None:
    result = mcp.tool("execute_code", code=SHOW.format(PNG))
    assert [(b["mimeType"], b["data"]) for b in images(result)] == [("image/png", PNG)]
    assert "[image 1: 1x1 png, " in text_of(result) and "<Figure>" not in text_of(result)
    artifact = result["structuredContent"]["artifacts"][0]
    assert artifact["inlined"] and PNG not in str(result["structuredContent"])
    read = mcp.call("resources/read", {"uri": artifact["uri"]})["contents"][0]
    assert (read["blob"], read["mimeType"]) == (PNG, "image/png")
    shown = mcp.tool("get_execution", execution_id=result["structuredContent"]["execution_id"], stream="output-1.png")
    assert images(shown)[0]["data"] == PNG


def test_a_plot_arrives_as_an_image(modern: Mcp, http: httpx.Client) -> None:
    images_here = {i["template"] for i in http.get("/api/v1/images").json()["items"]}
    if "python" not in images_here:
        pytest.skip("the image with matplotlib is not there")
    modern.ok("create_sandbox", name="plots", template="python")
    result = modern.tool("run_code", sandbox_name="plots", code="import matplotlib.pyplot as plt\nplt.plot([1, 2, 4])\nplt.show()", timeout_seconds=120)
    assert base64.b64decode(images(result)[0]["data"]).startswith(b"\x89PNG"), text_of(result)
    assert re.search(r"\[image 1: \d+x\d+ png, ", text_of(result))
    modern.ok("destroy_sandbox", sandbox_name="plots")


def test_a_large_image_that_is_kept_aside_arrives_too(modern: Mcp) -> None:
    """Above 256 KiB as text the store keeps it aside."""
    make = f"import base64; b = base64.b64encode(base64.b64decode({PNG!r}) + bytes(SIZE)).decode()\n"
    show = "from IPython.display import display\ndisplay({'image/png': b}, raw=True)"
    result = modern.tool("execute_code", code=make.replace("SIZE", "300_000") + show)
    assert len(base64.b64decode(images(result)[0]["data"])) > 300_000
    result = modern.tool("execute_code", code=make.replace("SIZE", "900_000") + show)
    assert images(result) == [] and "not inlined: sandbox://" in text_of(result)
    link = next(b for b in result["content"] if b["type"] == "resource_link")
    assert len(base64.b64decode(modern.call("resources/read", {"uri": link["uri"]})["contents"][0]["blob"])) > 900_000


def test_ten_megabytes_arrive_cut_and_the_rest_can_be_read(mcp: Mcp) -> None:
    code = "for i in range(200_000): print(f'{i:06d} ' + 'é' * 22)"
    whole = "".join(f"{i:06d} " + "é" * 22 + "\n" for i in range(200_000)).encode()
    assert len(whole) > 10_000_000
    began = time.monotonic()
    result = mcp.tool("execute_code", code=code, timeout_seconds=120)
    text, said = text_of(result), result["structuredContent"]
    assert len(text) <= 20_000 and said["truncated"] and said["stdout_bytes"] == len(whole)
    assert "000000 é" in text and "199999 é" in text
    assert any(b["type"] == "resource_link" and b["uri"] == said["output_uri"] for b in result["content"])
    found = re.search(r'execution_id="(\S+)", stream="stdout", offset=(\d+), limit=(\d+)', text)
    assert found
    execution, offset, limit = found[1], int(found[2]), int(found[3])
    head = text[text.index("stdout:\n") + 8 : text.index("[... ")].encode()
    tail = text[text.index(" ...]\n") + 6 :].encode()
    assert whole.startswith(head) and offset == len(head)
    assert whole.endswith(tail) and offset + limit == len(whole) - len(tail)
    part = mcp.ok("get_execution", execution_id=execution, stream="stdout", offset=offset, limit=limit, max_output_chars=200_000)
    got = part["text"].encode()
    assert whole[offset : offset + len(got)] == got and len(got) > 190_000 and part["next_offset"] == offset + len(got)
    assert mcp.ok("get_execution", execution_id=execution, head=2)["text"] == whole.decode()[:60]
    assert mcp.ok("get_execution", execution_id=execution, tail=1)["text"] == whole.decode()[-30:]
    assert mcp.ok("get_execution", execution_id=execution, grep="123456 ")["text"] == "123456 " + "é" * 22 + "\n"
    with pytest.raises(McpError):  # above 5 MiB: the error says where the parts are
        mcp.call("resources/read", {"uri": said["output_uri"]})
    assert time.monotonic() - began < 60


def test_a_part_from_the_first_byte_on_is_a_part(modern: Mcp) -> None:
    said = modern.ok("execute_code", code="for i in range(20_000): print(i)")
    part = modern.ok("get_execution", execution_id=said["execution_id"], offset=0)
    assert part["text"].startswith("0\n1\n2\n") and part["next_offset"] == len(part["text"]) and part["ended"] is True
    assert modern.ok("get_execution", execution_id=said["execution_id"], offset=0, head=2)["text"] == "0\n1\n"
    assert modern.ok("get_execution", execution_id=said["execution_id"], offset=0, wait_seconds=5)["status"] == "ok"  # all as it stands in the schema
    runs = modern.ok("execute_code", code="print('so far', flush=True)\nimport time; time.sleep(60)", background=True)["execution_id"]
    wait_until(lambda: modern.ok("get_execution", execution_id=runs, tail=5)["text"] == "so far\n", 20)
    result = modern.tool("get_execution", execution_id=runs, tail=5)
    assert result["structuredContent"]["ended"] is False and "has not ended" in text_of(result)
    modern.ok("interrupt_execution", execution_id=runs)


def test_background_is_for_what_takes_long(modern: Mcp, make_service: Any) -> None:
    """What is told to run beside the conversation is not interrupted after the minute that a conversation waits."""
    strict = make_service("limits/max_timeout_seconds=2")
    with Mcp(strict.url, strict.key) as mcp:
        assert mcp.ok("execute_code", code="1")["result"] == "1"
        begun = mcp.ok("execute_code", code="import time; time.sleep(60)", background=True)["execution_id"]
        ended = mcp.tool("get_execution", execution_id=begun, wait_seconds=20)
        assert ended["structuredContent"]["status"] == "timeout" and "background=true" in text_of(ended)
    tools = {t["name"]: t["inputSchema"]["properties"] for t in modern.call("tools/list")["tools"]}
    assert "3600" in tools["execute_code"]["timeout_seconds"]["description"]
    assert "background" not in tools["run_code"] and "execute_code" in tools["run_code"]["timeout_seconds"]["description"]


def test_what_runs_is_found_by_who_lost_its_id(modern: Mcp) -> None:
    begun = modern.ok("execute_code", code="import time; time.sleep(60)", session="lost", background=True)
    wait_until(lambda: modern.ok("get_execution", execution_id=begun["execution_id"])["status"] == "running", 20)
    listed = modern.tool("list_sandboxes")
    [box] = [s for s in listed["structuredContent"]["sandboxes"] if s["name"] == "default"]
    assert {"session": "lost", "execution_id": begun["execution_id"]} in box["running"]
    assert f"session lost runs execution_id {begun['execution_id']}" in text_of(listed)
    modern.ok("interrupt_execution", execution_id=begun["execution_id"])
    wait_until(lambda: not [s for s in modern.ok("list_sandboxes")["sandboxes"] if s["running"]], 20)


def test_an_image_that_is_too_wide_is_said_so(modern: Mcp) -> None:
    wide = bytearray(base64.b64decode(PNG))
    wide[16:24] = (4000).to_bytes(4, "big") * 2
    modern.ok("upload_file", path="wide.png", content=base64.b64encode(wide).decode(), encoding="base64")
    text = text_of(modern.tool("download_file", path="wide.png"))
    assert "4000x4000" in text and "1568" in text and "no text" not in text


def test_the_address_of_what_was_cut_is_where_it_is(modern: Mcp) -> None:
    """Some clients show the structured content alone."""
    for code, stream in (("'y' * 5000", "output-1"), ("import sys; _ = sys.stderr.write('z' * 5000)", "stderr"), ("raise ValueError('x' * 5000)", "error")):
        result = modern.tool("execute_code", code=code, max_output_chars=1000)
        said = result["structuredContent"]
        assert said["truncated"] and said["output_uri"].endswith(f"/{said['execution_id']}/{stream}")
        assert said["output_uri"] in [b["uri"] for b in result["content"] if b["type"] == "resource_link"]
        assert len(modern.call("resources/read", {"uri": said["output_uri"]})["contents"][0]["text"]) >= 5000


def test_errors_say_what_helps(modern: Mcp) -> None:
    for tool in ("get_execution", "interrupt_execution"):
        for unknown in ("x", str(uuid.uuid4())):
            text = modern.fails(tool, execution_id=unknown)
            assert "first line" in text and "list_files" not in text
    text = modern.fails("get_execution", execution_id=str(uuid.uuid4()), tail=3)
    assert "first line" in text and "list_files" not in text
    name = f"half-{uuid.uuid4().hex[:8]}"
    text = modern.fails("create_sandbox", name=name, language="cobol")
    assert "python" in text and f"'{name}' was made" in text
    assert modern.ok("destroy_sandbox", sandbox_name=name)["existed"] is True


def test_every_text_obeys_the_budget(modern: Mcp) -> None:
    long = modern.tool("execute_code", code="print('x' * 50_000); 'y' * 50_000", max_output_chars=3000)
    assert len(text_of(long)) <= 3000
    assert len(long["structuredContent"]["stdout"]) + len(long["structuredContent"]["result"]) <= 3000
    modern.ok("execute_code", code="import os\nos.makedirs('many', exist_ok=True)\nfor i in range(300): open(f'many/{i:04d}', 'w').close()")
    page = modern.tool("list_files", path="many", limit=1000, max_output_chars=2000)
    assert len(text_of(page)) <= 2000 and page["structuredContent"]["next_cursor"]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        said = modern.ok("list_files", path="many", limit=1000, max_output_chars=2000, **cursor)
        seen += [f["path"] for f in said["files"]]
        if "next_cursor" not in said:
            break
        cursor = {"cursor": said["next_cursor"]}
    assert seen == [f"many/{i:04d}" for i in range(300)]
    deep = "/".join(["d" * 200] * 10) + "/f"
    assert len(text_of(modern.tool("upload_file", path=deep, content="1", max_output_chars=1000))) <= 1000
    assert "max_output_chars" in modern.fails("upload_file", path="a", content="1", max_output_chars=999)
    assert "max_output_chars" in modern.fails("destroy_sandbox", sandbox_name="a", max_output_chars=999)
    modern.ok("upload_file", path="long.txt", content="é\n" * 20_000)
    said = modern.ok("download_file", path="long.txt", max_output_chars=1000)
    assert len(said["content"]) <= 1000 and said["truncated"]
    rest = modern.ok("download_file", path="long.txt", offset=said["next_offset"], max_output_chars=200_000)
    assert said["content"] + rest["content"] == "é\n" * 20_000


def test_progress_shows_the_newest_output_and_ends_before_the_result(mcp: Mcp) -> None:
    code = "import time\nfor i in range(6):\n    print('step', i, flush=True); time.sleep(0.3)"
    result = mcp.tool("execute_code", token="p", code=code)
    assert result["structuredContent"]["status"] == "ok"
    notes = [n["params"] for n in mcp.notes if n["method"] == "notifications/progress"]
    assert [n["progressToken"] for n in notes] == ["p"] * len(notes)
    numbers = [n["progress"] for n in notes]
    assert numbers == sorted(set(numbers)) and len(notes) >= 3
    assert any("step 3" in n.get("message", "") for n in notes)
    assert all(len(n.get("message", "").encode()) <= 1024 for n in notes)


def test_a_background_run_is_polled_and_interrupted(mcp: Mcp) -> None:
    began = time.monotonic()
    said = mcp.ok("execute_code", code="print('on', flush=True)\nimport time; time.sleep(120)", background=True, timeout_seconds=200)
    assert said["status"] in ("queued", "running") and time.monotonic() - began < 20
    execution = said["execution_id"]
    wait_until(lambda: mcp.ok("get_execution", execution_id=execution)["stdout"] == "on\n", 20)
    began = time.monotonic()
    assert mcp.ok("get_execution", execution_id=execution, wait_seconds=1)["status"] == "running"
    assert 0.9 < time.monotonic() - began < 5
    assert mcp.ok("interrupt_execution", execution_id=execution)["interrupted"] == [execution]
    assert mcp.ok("get_execution", execution_id=execution, wait_seconds=20)["status"] == "interrupted"
    said = mcp.ok("execute_code", code="print('on', flush=True)\nimport time; time.sleep(120)", background=True)
    wait_until(lambda: mcp.ok("get_execution", execution_id=said["execution_id"])["stdout"] == "on\n", 20)
    assert mcp.ok("interrupt_execution")["interrupted"] == ["python"]
    assert mcp.ok("get_execution", execution_id=said["execution_id"], wait_seconds=20)["status"] == "interrupted"


def test_a_restart_forgets_variables_and_keeps_files(modern: Mcp) -> None:
    modern.ok("create_sandbox", name="again", language="python")
    modern.ok("run_code", sandbox_name="again", code="kept = 1; open('kept', 'w').write('1')")
    assert modern.ok("interrupt_execution", sandbox_id="again", restart=True)["restarted"] == ["python@again"]
    said = modern.ok("run_code", sandbox_name="again", code="print(open('kept').read()); kept")
    assert said["stdout"] == "1\n" and said["error"]["name"] == "NameError" and said["success"] is False
    modern.ok("destroy_sandbox", sandbox_name="again")


def test_cancelling_interrupts(service: Service, http: httpx.Client) -> None:
    """Legacy by a notification, modern by closing the stream."""
    with Mcp(service.url, service.key, LEGACY) as mcp:
        call = in_background(lambda: pytest.raises(Exception, mcp.tool, "execute_code", code="import time; time.sleep(100) # legacy"))
        number = 2  # initialize was 1
        wait_until(lambda: find(http, "# legacy", "running"), 20)
        with Mcp.__new__(Mcp) as other:
            other.__dict__ |= {**mcp.__dict__, "http": service.client()}
            other.notify("notifications/cancelled", {"requestId": number})
        wait_until(lambda: find(http, "# legacy", "interrupted"), 20)
        call.join(10)
    with Mcp(service.url, service.key) as mcp:
        body = mcp.body("tools/call", {"name": "execute_code", "arguments": {"code": "import time; time.sleep(100) # modern"}}, 9)
        with pytest.raises(httpx.ReadTimeout):
            mcp.http.post("/mcp", json=body, headers=mcp.headers("tools/call", body["params"]), timeout=3)
        wait_until(lambda: find(http, "# modern", "interrupted"), 20)


def find(http: httpx.Client, word: str, status: str) -> bool:
    items = http.get("/api/v1/executions", params={"q": word, "limit": 1}).json()["items"]
    return bool(items) and items[0]["status"] == status


def test_sandboxes_have_names_and_end(mcp: Mcp) -> None:
    name = f"box-{uuid.uuid4().hex[:8]}"
    made = mcp.ok("create_sandbox", name=name, language="bash", workspace="private", idle_seconds=600, labels={"a": "b"}, namespace="x")
    assert made["created"] is True and made["session"] == f"bash@{name}" and made["workspace"] == "private"
    assert mcp.ok("create_sandbox", name=name)["created"] is False
    listed = mcp.ok("list_sandboxes")
    assert made["sandbox_id"] in [s["sandbox_id"] for s in listed["sandboxes"]] and listed["count"] == len(listed["sandboxes"])
    page = mcp.ok("list_sandboxes", limit=1)
    assert page["count"] == 1 and ("next_cursor" in page) == (listed["count"] > 1)
    said = mcp.ok("run_code", sandbox_name=name, language="bash", code="echo 1 > private; ls")
    assert (said["success"], said["output"], said["exit_code"]) == (True, "private\n", 0)
    assert [f["path"] for f in mcp.ok("list_files", sandbox_id=made["sandbox_id"])["files"]] == ["private"]
    assert "private" not in [f["path"] for f in mcp.ok("list_files", depth=1)["files"]]
    assert mcp.ok("destroy_sandbox", sandbox_name=name)["existed"] is True
    assert mcp.ok("destroy_sandbox", sandbox_name=name)["existed"] is False
    text = mcp.fails("execute_code", code="1", sandbox_id=name)
    assert "create_sandbox" in text or "list_sandboxes" in text


def test_files_go_in_and_out(mcp: Mcp) -> None:
    data = bytes(range(256)) * 40
    said = mcp.ok("upload_file", path="/workspace/in/größe 1.bin", content=base64.b64encode(data).decode(), encoding="base64")
    assert said["sha256"] == hashlib.sha256(data).hexdigest() and said["path"] == "in/größe 1.bin"
    read = mcp.ok("execute_code", code="print(len(open('in/größe 1.bin', 'rb').read()))")
    assert read["stdout"] == f"{len(data)}\n"
    back = mcp.ok("download_file", path="in/größe 1.bin", encoding="base64")
    assert base64.b64decode(back["content"]) == data[: len(base64.b64decode(back["content"]))]
    link = mcp.tool("download_file", path="in/größe 1.bin")
    assert link["structuredContent"]["encoding"] == "link" and link["content"][1]["type"] == "resource_link"
    content = mcp.call("resources/read", {"uri": link["content"][1]["uri"]})["contents"][0]
    assert base64.b64decode(content["blob"]) == data
    assert "no UTF-8" in mcp.fails("download_file", path="in/größe 1.bin", encoding="utf-8")
    assert "overwrite" in mcp.fails("upload_file", path="in/größe 1.bin", content="x", overwrite=False)
    mcp.ok("upload_file", path="a.png", content=PNG, encoding="base64")
    shown = mcp.tool("download_file", path="a.png")
    assert images(shown)[0]["data"] == PNG and PNG not in str(shown["structuredContent"])
    assert "base64" in mcp.fails("upload_file", path="b", content="*", encoding="base64")
    for path in ("../etc/passwd", "a/../b", "in", "not/there"):
        mcp.fails("download_file", path=path)
    assert [f["path"] for f in mcp.ok("list_files", path="in", pattern="*.bin")["files"]] == ["in/größe 1.bin"]
    assert mcp.ok("list_files", path="./in")["files"][0]["size_bytes"] == len(data)
    assert [(f["path"], f["type"]) for f in mcp.ok("list_files", path="in/größe 1.bin")["files"]] == [("in/größe 1.bin", "file")]


def test_links_of_the_sandbox_lead_nowhere(modern: Mcp) -> None:
    modern.ok("execute_code", code="import os\nfor n, to in (('l1', '/etc/passwd'), ('l2', '/')):\n    os.path.lexists(n) or os.symlink(to, n)")
    modern.fails("download_file", path="l1")
    modern.fails("download_file", path="l2/etc/passwd")
    modern.fails("upload_file", path="l2/tmp/x", content="x")
    with pytest.raises(McpError):
        modern.call("resources/read", {"uri": "sandbox://default/files/l1"})


def test_what_code_wrote_is_told(modern: Mcp) -> None:
    name = f"made-{uuid.uuid4().hex[:8]}.csv"
    result = modern.tool("execute_code", code=f"open({name!r}, 'w').write('a,b')")
    changed = result["structuredContent"]["files_changed"]
    if not changed:
        pytest.skip("this build does not watch the workspace")
    assert changed == [{"path": name, "bytes": 3, "change": "created"}]
    assert f"files: created {name} (3 bytes)" in text_of(result)
    link = next(b for b in result["content"] if b["type"] == "resource_link" and b["uri"].endswith(name))
    assert modern.call("resources/read", {"uri": link["uri"]})["contents"][0]["text"] == "a,b"


def test_the_link_of_a_file_is_good_as_long_as_the_file(modern: Mcp) -> None:
    def links(result: dict[str, Any]) -> list[str]:
        return [b["uri"] for b in result["content"] if b["type"] == "resource_link"]

    suffix = uuid.uuid4().hex[:8]
    for name, more, owner in ((f"s{suffix}", {}, "default"), (f"p{suffix}", {"workspace": "private"}, None)):
        box = modern.ok("create_sandbox", name=name, **more)["sandbox_id"]
        [written] = links(modern.tool("execute_code", sandbox_id=name, code=f"_ = open('{name}', 'w').write('x' * 5000)"))
        assert written == f"sandbox://{owner or box}/files/{name}"
        [read] = links(modern.tool("download_file", path=name, sandbox_id=name, max_output_chars=1000))
        assert read == f"sandbox://{owner or name}/files/{name}"
        assert len(modern.call("resources/read", {"uri": written})["contents"][0]["text"]) == 5000
        modern.ok("destroy_sandbox", sandbox_name=name)
        if owner:
            assert len(modern.call("resources/read", {"uri": written})["contents"][0]["text"]) == 5000
        else:
            with pytest.raises(McpError):
                modern.call("resources/read", {"uri": written})


def test_resources_and_their_completion(mcp: Mcp) -> None:
    mcp.ok("upload_file", path="plots/größe.txt", content="hello")
    said = mcp.ok("execute_code", code="print('out'); 1 / 0")
    listed = mcp.call("resources/list")["resources"]
    assert listed[0]["uri"] == "sandbox://help"
    file = next(r for r in listed if r["name"] == "plots/größe.txt")
    assert (file["size"], file["mimeType"]) == (5, "text/plain")
    assert mcp.call("resources/read", {"uri": file["uri"]})["contents"] == [{"uri": file["uri"], "mimeType": "text/plain", "text": "hello"}]
    assert "5\tplots/größe.txt" in mcp.call("resources/read", {"uri": "sandbox://default/files/plots"})["contents"][0]["text"]
    assert "execute_code" in mcp.call("resources/read", {"uri": "sandbox://help"})["contents"][0]["text"]
    base = f"sandbox://{said['sandbox_id']}/executions/{said['execution_id']}"
    assert mcp.call("resources/read", {"uri": f"{base}/stdout"})["contents"][0]["text"] == "out\n"
    assert "ZeroDivisionError" in mcp.call("resources/read", {"uri": f"{base}/error"})["contents"][0]["text"]
    for gone in (f"{base}/output-7", "sandbox://default/files/none", "sandbox://default/files/..%2f..%2fetc", "sandbox://no-box/files/a", "test://x"):
        with pytest.raises(McpError) as failed:
            mcp.call("resources/read", {"uri": gone})
        assert failed.value.code == (-32602 if mcp.version == MODERN else -32002)
    templates = {t["name"]: t["uriTemplate"] for t in mcp.call("resources/templates/list")["resourceTemplates"]}
    ref = {"type": "ref/resource", "uri": templates["file"]}
    assert complete(mcp, ref, "path", "plots/gr") == ["plots/größe.txt"]
    assert "plots/" in complete(mcp, ref, "path", "pl")
    assert "default" in complete(mcp, ref, "sandbox", "def")
    output = {"type": "ref/resource", "uri": templates["output"]}
    assert said["execution_id"] in complete(mcp, output, "id", said["execution_id"][:8])
    assert complete(mcp, output, "stream", "std") == ["stdout", "stderr"]


def complete(mcp: Mcp, ref: dict[str, str], name: str, value: str) -> list[str]:
    done = mcp.call("completion/complete", {"ref": ref, "argument": {"name": name, "value": value}})
    return list(done["completion"]["values"])


def listen(mcp: Mcp, heard: list[dict[str, Any]], params: dict[str, Any]) -> None:
    """The stream beside the calls: legacy by GET, modern by a call that does not end."""
    if mcp.version == MODERN:
        body = mcp.body("subscriptions/listen", params, 77)
        request = mcp.http.stream("POST", "/mcp", json=body, headers=mcp.headers("subscriptions/listen", body["params"]))
    else:
        request = mcp.http.stream("GET", "/mcp", headers={**mcp.headers("", {}), "Accept": "text/event-stream"})
    with request as reply:
        for message in mcp.messages(reply):
            heard.append(message)
            if len([m for m in heard if m.get("method") == "notifications/resources/updated"]) == 2:
                return


def test_a_subscriber_hears_of_files_whoever_wrote_them(service: Service, mcp: Mcp, http: httpx.Client) -> None:
    name, heard = f"watched-{uuid.uuid4().hex[:8]}", list[dict[str, Any]]()
    uri = f"sandbox://default/files/{name}"
    if mcp.version != MODERN:
        mcp.call("resources/subscribe", {"uri": uri})
    thread = in_background(lambda: listen(mcp, heard, {"notifications": {"resourceSubscriptions": [uri], "resourcesListChanged": True}}))
    wait_until(lambda: mcp.version != MODERN or heard, 10)
    time.sleep(0.5 if mcp.version != MODERN else 0)  # its stream has to be there: nothing says so
    with Mcp(service.url, service.key) as other:
        other.ok("upload_file", path=name, content="1")
        wait_until(lambda: any(m.get("params", {}).get("uri") == uri for m in heard), 10)
        time.sleep(1.1)  # told once a second
        run(http, f"open({name!r}, 'a').write('2'); open({name!r} + '.other', 'w').close()")
    thread.join(10)
    told = [m["params"]["uri"] for m in heard if m.get("method") == "notifications/resources/updated"]
    assert told == [uri, uri]
    assert any(m.get("method") == "notifications/resources/list_changed" for m in heard)


def test_a_file_is_watched_under_each_name_of_its_sandbox_and_no_other(service: Service, modern: Mcp) -> None:
    suffix, heard = uuid.uuid4().hex[:8], list[dict[str, Any]]()
    box, other = f"own-{suffix}", f"beside-{suffix}"
    own = modern.ok("create_sandbox", name=box, workspace="private")["sandbox_id"]
    modern.ok("create_sandbox", name=other)
    uris = {where: f"sandbox://{where}/files/{suffix}%20%C3%BC" for where in (box, own, other, "default")}
    listener = Mcp(service.url, service.key)
    in_background(lambda: listen_for(listener, heard, list(uris.values())))
    wait_until(lambda: heard, 10)

    def told(tool: str, **arguments: Any) -> set[str]:
        heard.clear()
        modern.ok(tool, **arguments)
        time.sleep(2.2)  # told once a second; what is not told comes late, too
        return {m["params"]["uri"] for m in heard if m["method"] == "notifications/resources/updated"}

    write = f"open({suffix + ' ü'!r}, 'a').write('1')"
    try:
        for private in ({"tool": "execute_code", "code": write}, {"tool": "upload_file", "path": f"{suffix} ü", "content": "2"}):
            assert told(sandbox_id=box, **private) == {uris[box], uris[own]}
            assert "notifications/resources/list_changed" not in [m["method"] for m in heard]  # it is not in the list
        for shared in ({}, {"sandbox_id": other}):
            assert told("execute_code", code=write, **shared) == {uris["default"], uris[other]}
    finally:
        listener.close()
        for name in (box, other):
            modern.ok("destroy_sandbox", sandbox_name=name)


def listen_for(mcp: Mcp, heard: list[dict[str, Any]], uris: list[str]) -> None:
    params = {"notifications": {"resourceSubscriptions": uris, "resourcesListChanged": True}}
    body = mcp.body("subscriptions/listen", params, 77)
    try:
        with mcp.http.stream("POST", "/mcp", json=body, headers=mcp.headers("subscriptions/listen", body["params"])) as reply:
            for message in mcp.messages(reply):
                heard.append(message)
    except (httpx.HTTPError, RuntimeError, OSError):
        pass  # the test is over


def test_prompts_name_the_tools(mcp: Mcp) -> None:
    assert [p["name"] for p in mcp.call("prompts/list")["prompts"]] == ["analyze_file", "fix_error"]
    got = mcp.call("prompts/get", {"name": "analyze_file", "arguments": {"path": "a.csv", "question": "why?"}})
    text = got["messages"][0]["content"]["text"]
    assert "/workspace/a.csv" in text and "why?" in text and "execute_code" in text
    with pytest.raises(McpError):
        mcp.call("prompts/get", {"name": "fix_error", "arguments": {}})


def test_another_users_handles_are_not_found(service: Service, modern: Mcp, http: httpx.Client) -> None:
    said = modern.ok("execute_code", code="'secret'")
    modern.ok("upload_file", path="mine.txt", content="mine")
    assert http.post("/api/v1/admin/users", json={"name": "mallory"}).status_code == 201
    key = http.post("/api/v1/admin/keys", json={"user": "mallory", "name": "k"}).json()["key"]
    with Mcp(service.url, key) as other:
        assert "not_found" in other.fails("get_execution", execution_id=said["execution_id"])
        assert "not_found" in other.fails("get_execution", execution_id=said["execution_id"], stream="result")
        assert "not_found" in other.fails("interrupt_execution", execution_id=said["execution_id"])
        assert "not_found" in other.fails("execute_code", code="1", sandbox_id=said["sandbox_id"])
        assert "not_found" in other.fails("list_files", sandbox_id=said["sandbox_id"])
        assert other.ok("destroy_sandbox", sandbox_name=said["sandbox_id"])["existed"] is False
        assert other.ok("list_sandboxes")["count"] == 0
        other.fails("download_file", path="mine.txt")
        for uri in (f"sandbox://{said['sandbox_id']}/files/mine.txt", f"sandbox://x/executions/{said['execution_id']}/result"):
            with pytest.raises(McpError):
                other.call("resources/read", {"uri": uri})
    assert modern.ok("execute_code", code="1")["sandbox_id"] == said["sandbox_id"]


def test_text_alone_and_exceptions_as_errors_where_that_is_wanted(make_service: Any) -> None:
    service = make_service("mcp/structured_content=0", "mcp/exceptions_are_errors=1")
    with Mcp(service.url, service.key) as mcp:
        assert all("outputSchema" not in tool for tool in mcp.call("tools/list")["tools"])
        assert "ZeroDivisionError" in mcp.fails("execute_code", code="1 / 0")
        for name, arguments in (("execute_code", {"code": "6 * 7"}), ("list_files", {}), ("list_sandboxes", {})):
            assert "structuredContent" not in mcp.tool(name, **arguments)
    with Mcp(service.url, service.key, "2025-03-26") as old:
        result = old.tool("execute_code", code="open('made', 'w').write('x'); print('y' * 50_000)")
        assert {b["type"] for b in result["content"]} == {"text"} and "structuredContent" not in result


def test_schemas_are_what_models_take(mcp: Mcp) -> None:
    tools = mcp.call("tools/list")["tools"]
    assert [t["name"] for t in tools] == [
        "list_sandboxes", "execute_code", "create_sandbox", "run_code", "get_execution",
        "interrupt_execution", "list_files", "upload_file", "download_file", "destroy_sandbox",
    ]  # fmt: skip
    for tool in tools:
        for schema in (tool["inputSchema"], tool["outputSchema"]):
            assert schema["type"] == "object" and not {"anyOf", "oneOf", "allOf", "$ref", "$defs"} & set(schema)
        assert "$ref" not in str(tool) and "max_output_chars" in tool["inputSchema"]["properties"]
        assert tool["inputSchema"]["additionalProperties"] is False
        assert tool["title"] and len(tool["description"]) > 60 and len(tool["name"]) <= 24
        assert set(tool["annotations"]) >= {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}
        said = mcp.fails(tool["name"], nonsense=1)  # names every field there is, required ones apart
        known = set(re.sub(r"[^a-z0-9_ ]", " ", said.split("allowed:")[1].split("\n")[0]).split())
        assert set(tool["inputSchema"]["properties"]) == {k for k in known if k in tool["inputSchema"]["properties"]}
        assert len(known & set(tool["inputSchema"]["properties"])) == len(tool["inputSchema"]["properties"])
    assert len(mcp.server["instructions"]) <= 1024
