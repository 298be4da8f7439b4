"""What a person does in JupyterLab: run, see a plot, move a slider, interrupt, restart, answer input(), lose the network, keep the tab open when the hub dies."""

from __future__ import annotations

import re
import time
from typing import Any

import nbformat
import pytest
from integration_conftest import kill

LINES = "import time\nfor i in range(40):\n    print('line', i, flush=True); time.sleep(0.25)"
WHOLE = [f"line {i}" for i in range(40)]
LONG = 60_000  # ms


def opened(page: Any, url: str) -> None:
    page.goto(url)
    page.wait_for_selector(".jp-Notebook .jp-Cell .cm-content", timeout=LONG)
    page.wait_for_selector("text=/\\| Idle$/", timeout=LONG)  # in the status bar; before that Lab runs nothing
    page.click(".jp-Cell >> nth=0 >> .cm-content")


def run(page: Any) -> None:
    page.keyboard.press("Shift+Enter")


def output(page: Any, cell: int) -> str:
    return str(page.inner_text(f".jp-Cell >> nth={cell} >> .jp-OutputArea")).strip()


def wait_for_output(page: Any, cell: int, wanted: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while wanted not in output(page, cell):
        assert time.monotonic() < deadline, f"cell {cell} never said {wanted!r}: {output(page, cell)!r}"
        time.sleep(0.1)


def counts(page: Any, cell: int, prompt: str, seconds: float = 30) -> None:
    """Its prompt: "[3]:" when the cell has ended, "[*]:" while it runs."""
    deadline = time.monotonic() + seconds
    while prompt != (said := page.inner_text(f".jp-Cell >> nth={cell} >> .jp-InputPrompt")).strip():
        assert time.monotonic() < deadline, said
        time.sleep(0.1)


def test_cells_run_and_a_plot_is_seen(page: Any, lab: Any, service: Any) -> None:
    opened(page, lab.write("run.ipynb", "x = 41\nprint('hello', x)", "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2]);", "1/0"))
    run(page)
    wait_for_output(page, 0, "hello 41")
    run(page)
    image = page.wait_for_selector(".jp-Cell >> nth=1 >> .jp-OutputArea img", timeout=LONG)
    assert image.bounding_box()["width"] > 200
    run(page)
    wait_for_output(page, 2, "ZeroDivisionError")
    ran = service.client().get("/api/v1/executions").json()["items"]
    assert [r["code"][:6] for r in ran[:3]] == ["1/0", "import", "x = 41"] and ran[0]["client"] == "jupyter"


def test_a_slider_moves_a_value_in_the_kernel(page: Any, lab: Any) -> None:
    code = "import ipywidgets\ns = ipywidgets.IntSlider(value=3, min=0, max=10)\ns"
    opened(page, lab.write("slider.ipynb", code, "print('it is', s.value)"))
    run(page)
    handle = page.wait_for_selector(".noUi-handle", timeout=LONG)
    handle.click()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.wait_for_selector(".widget-readout:has-text('7')", timeout=LONG)
    page.click(".jp-Cell >> nth=1 >> .cm-content")
    run(page)
    wait_for_output(page, 1, "it is 7")


def test_what_its_server_cannot_pass_on_says_so_and_the_page_goes_on(page: Any, lab: Any) -> None:
    """Binary frames and those above 10 MiB would end the connection of a Jupyter Server to its gateway."""
    image = "import ipywidgets\nipywidgets.Image(value=bytes(range(256)) * 40, format='png')"
    large = "from IPython.display import display\ndisplay({'image/png': 'x' * 12_000_000, 'text/plain': 'Figure'}, raw=True)"
    opened(page, lab.write("large.ipynb", image, large, "print('next')"))
    run(page)
    wait_for_output(page, 0, "[kernelhub: binary data")
    run(page)
    wait_for_output(page, 1, "Figure\n[kernelhub: image/png, 12000002 bytes]")
    run(page)
    wait_for_output(page, 2, "next")
    counts(page, 2, "[3]:")
    said = (lab.folder / "lab.log").read_text()
    assert "Lost connection" not in said and "Exception reading message" not in said


def test_a_file_is_uploaded_to_a_widget(page: Any, lab: Any, tmp_path: Any) -> None:
    """What a page sends with buffers its server passes on as text, whatever is in it."""
    (tmp_path / "a.bin").write_bytes(bytes(range(256)))
    code = "import ipywidgets\nf = ipywidgets.FileUpload()\nf"
    opened(page, lab.write("upload.ipynb", code, "print('it is', bytes(f.value[0].content) == bytes(range(256)))"))
    run(page)
    button = page.wait_for_selector(".jupyter-button:has-text('Upload')", timeout=LONG)
    with page.expect_file_chooser() as chosen:
        button.click()
    chosen.value.set_files(str(tmp_path / "a.bin"))
    page.wait_for_selector(".jupyter-button:has-text('(1)')", timeout=LONG)
    page.click(".jp-Cell >> nth=1 >> .cm-content")
    run(page)
    wait_for_output(page, 1, "it is True")


def test_a_loop_is_interrupted_and_a_kernel_restarted(page: Any, lab: Any) -> None:
    opened(page, lab.write("stop.ipynb", "kept = 1\nimport time\nprint('on', flush=True)\nwhile True: time.sleep(0.1)", "print('never')", "kept"))
    run(page)
    wait_for_output(page, 0, "on")
    run(page)  # it waits, and is taken along
    page.click("[data-command='notebook:interrupt-kernel'], jp-button[data-command='notebook:interrupt-kernel']")
    wait_for_output(page, 0, "KeyboardInterrupt")
    counts(page, 1, "[ ]:")
    assert "never" not in output(page, 1)
    page.click("[data-command='notebook:restart-kernel'], jp-button[data-command='notebook:restart-kernel']")
    page.click(".jp-Dialog button.jp-mod-accept")
    time.sleep(2)
    page.click(".jp-Cell >> nth=2 >> .cm-content")
    run(page)
    wait_for_output(page, 2, "NameError")


def test_input_is_answered(page: Any, lab: Any) -> None:
    opened(page, lab.write("ask.ipynb", "print('hello', input('name? '))"))
    run(page)
    field = page.wait_for_selector(".jp-Stdin-input", timeout=LONG)
    field.fill("Ada")
    field.press("Enter")
    wait_for_output(page, 0, "hello Ada")


@pytest.mark.parametrize("how", ["network", "hub"])
def test_a_cell_is_whole_after_the_network_or_the_hub_was_lost(page: Any, lab: Any, line: Any, service: Any, how: str) -> None:
    opened(page, lab.write(f"{how}.ipynb", LINES))
    run(page)
    wait_for_output(page, 0, "line 3")
    if how == "network":
        line.cut(5)
    else:
        kill(service.pid_of("hub"))
    wait_for_output(page, 0, "line 39")
    counts(page, 0, "[1]:")
    assert output(page, 0).splitlines() == WHOLE


def test_what_a_reloaded_page_forgot_is_in_the_history_and_in_the_notebook(page: Any, lab: Any, service: Any) -> None:
    url = lab.write("reload.ipynb", LINES.replace("line", "again"))
    opened(page, url)
    run(page)
    wait_for_output(page, 0, "again 3")
    opened(page, url)
    deadline = time.monotonic() + 60
    while (ran := service.client().get("/api/v1/executions").json()["items"][0])["status"] in ("queued", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    record = service.client().get(f"/api/v1/executions/{ran['execution_id']}").json()
    assert re.findall(r"again (\d+)", record["stdout"]) == [str(i) for i in range(40)]
    exported = nbformat.reads(service.client().get(f"/api/v1/sessions/{ran['session']}/notebook").text, as_version=4)
    (cell,) = [c for c in exported.cells if c.source == ran["code"]]
    assert re.findall(r"again (\d+)", "".join(o.text for o in cell.outputs)) == [str(i) for i in range(40)]
