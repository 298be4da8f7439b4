"""The tables of bench.py --only jupyter: ratios of what was measured in turns, and the targets."""

from __future__ import annotations

from statistics import median
from typing import Any

from report import Samples, column, quantile, table

BEGIN, END = "<!-- jupyter: begin -->", "<!-- jupyter: end -->"
MAX_MORE_MS, MIN_RATIO = 0.5, 5.0
NAMES = {
    "raw": "raw ZeroMQ, our kernel", "json": "Kernelhub, JSON", "v1": "Kernelhub, v1",
    "raw js": "raw ZeroMQ, Jupyter Server's kernel", "json js": "Jupyter Server, JSON", "v1 js": "Jupyter Server, v1",
}  # fmt: skip
PROTOCOLS = ("json", "v1")
KERNELS = ("ipykernel", "fast kernel")


def block_medians(samples: Samples, way: str) -> list[float]:
    return [median(s["us"] for s in samples if s["way"] == way and s["block"] == b) for b in sorted({s["block"] for s in samples})]


def more_than_raw(samples: Samples, way: str) -> float:
    """Milliseconds: the median of the blocks' differences."""
    raw = block_medians(samples, "raw js" if way.endswith("js") else "raw")
    return median(a - b for a, b in zip(block_medians(samples, way), raw)) / 1000


def ratio(samples: Samples, ours: str, theirs: str) -> float:
    """How many times as fast: the median of the blocks' ratios."""
    return median(b / a for a, b in zip(block_medians(samples, ours), block_medians(samples, theirs)))


def pass_table(kernels: dict[str, dict[str, Samples]], client: Samples) -> list[str]:
    rows = []
    for kernel in KERNELS:
        samples = kernels[kernel]["pass"]
        for way, name in NAMES.items():
            us = column(samples, "us", way)
            more = "" if way.startswith("raw") else f"{more_than_raw(samples, way):+.2f}"
            rows.append([kernel if way == "raw" else "", name, *(f"{quantile(us, q) / 1000:.2f}" for q in (0.5, 0.9, 0.99)), more])
    rows += [["none", f"the client before a server that has its answer ready, {way}", *(f"{quantile(column(client, 'us', way), q) / 1000:.2f}" for q in (0.5, 0.9, 0.99)), ""] for way in PROTOCOLS]
    n = len(column(kernels[KERNELS[0]]["pass"], "us", "raw"))
    head = ["kernel", f"`pass`, ms, {n} each way", "p50", "p90", "p99", "more than raw (median of blocks)"]
    return ["### A `pass` cell over the channels WebSocket", "", *table(head, rows)]


def rate(samples: Samples, way: str, kind: str) -> str:
    us = median(column(samples, "us", way))
    return f"{samples[0]['n'] / us * 1e6:,.0f}" if kind == "small" else f"{samples[0]['size'] / us:.0f}"


def flood_table(kernels: dict[str, dict[str, Samples]], client: Samples, kind: str) -> list[str]:
    unit = "messages/s" if kind == "small" else "MB/s"
    rows = []
    for kernel in KERNELS:
        samples = kernels[kernel][kind]
        for p in PROTOCOLS:
            rates = [rate(samples, way, kind) for way in (p, f"{p} js", "raw js")]
            rows.append([kernel if p == "json" else "", p, *rates, f"{ratio(samples, p, f'{p} js'):.1f}", f"{ratio(samples, 'raw js', f'{p} js'):.1f}"])
    fast = kernels["fast kernel"][kind][0]
    ceiling = {p: rate([{**s, "n": fast["n"], "size": fast["size"]} for s in client], p, kind) for p in PROTOCOLS}
    what = {
        "small": "Many small messages: display_data with 100 bytes of text/plain, " + " and ".join(f"{kernels[k]['small'][0]['n']:,} from the {k}" for k in KERNELS),
        "large": "One display_data of 20 MB",
    }[kind]
    head = ["kernel", "protocol", f"Kernelhub, {unit}", f"Jupyter Server, {unit}", f"raw ZeroMQ (host's kernel), {unit}", "Kernelhub / Jupyter Server", "raw / Jupyter Server"]
    return [f"### {what}", "", *table(head, rows), f"The client takes {ceiling['json']} {unit} (JSON) and {ceiling['v1']} (v1) from a server that has all ready.", ""]


def targets(kernels: dict[str, dict[str, Samples]]) -> list[tuple[str, bool]]:
    found = []
    for kernel in KERNELS:
        for p in PROTOCOLS:
            more = more_than_raw(kernels[kernel]["pass"], p)
            found.append((f"`pass`, {kernel}, {p}: {more:+.2f} ms more than raw ZeroMQ, at most {MAX_MORE_MS:.2f} wanted", more <= MAX_MORE_MS))
    for kind in ("small", "large"):
        samples = kernels["fast kernel"][kind]
        for p in PROTOCOLS:
            times, most = ratio(samples, p, f"{p} js"), ratio(samples, "raw js", f"{p} js")
            found.append((f"{kind}, fast kernel, {p}: {times:.1f} × Jupyter Server, {MIN_RATIO:.0f} wanted (raw ZeroMQ: {most:.1f} ×)", times >= MIN_RATIO))
    return found


def write(result: dict[str, Any]) -> str:
    kernels = result["kernels"]
    client = kernels["no kernel"]
    lines = [f"- {fact}" for fact in result["machine"]]
    lines += [f"- Jupyter Server's side: {result['versions']}; ours: {result['ours']}", f"- load average before and after: {result['load before']:.1f}, {result['load after']:.1f}"]
    lines += ["", "### The targets", "", *(f"- {text}: {'reached' if ok else 'MISSED'}" for text, ok in targets(kernels)), ""]
    lines += pass_table(kernels, client["pass"])
    lines += [*flood_table(kernels, client["small"], "small"), *flood_table(kernels, client["large"], "large")]
    return "\n".join(lines).rstrip() + "\n"


def judge(result: dict[str, Any]) -> int:
    return 0 if all(ok for _, ok in targets(result["kernels"])) else 1
