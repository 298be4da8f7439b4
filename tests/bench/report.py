"""The tables: medians side by side, with ratios, and what was promised."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

from machine import Memory

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
MAX_REST_MS = 0.7
MAX_MCP_MS = 1.5
MAX_COLD_RATIO = 1.10
MIB = 1024
MAX_KIB = {"hub": ("rss_kib", 30 * MIB), "warden": ("pss_kib", 4 * MIB), "init": ("rss_kib", MIB)}

Samples = list[dict[str, Any]]


def quantile(values: list[float], q: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def column(samples: Samples, name: str, way: str | None = None) -> list[float]:
    return [s[name] for s in samples if way is None or s["way"] == way]


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head))]
    line = lambda cells: "| " + " | ".join(c.ljust(w) for c, w in zip(cells, widths)) + " |"  # noqa: E731
    return [line(head), "|" + "|".join("-" * (w + 2) for w in widths) + "|", *map(line, rows), ""]


def verdict(value: float, limit: float, unit: str) -> str:
    return f"{value:.2f} {unit} in this run, promised at most {limit:.2f}: {'kept' if value <= limit else 'BROKEN'}"


def differences(samples: Samples, way: str) -> list[float]:
    """Of each block's medians: what disturbs one block disturbs both sides of its difference."""
    blocks = sorted({s["block"] for s in samples})
    of = lambda block, w: median(s["us"] for s in samples if s["block"] == block and s["way"] == w)  # noqa: E731
    return [of(b, way) - of(b, "raw") for b in blocks]


def pass_table(samples: Samples) -> list[str]:
    raw = median(column(samples, "us", "raw"))
    rows = []
    for way, name in (("raw", "raw ZeroMQ, same kernel"), ("rest", "REST"), ("sse", "SSE"), ("mcp", "MCP, execute_code")):
        us = column(samples, "us", way)
        more = differences(samples, way)
        rows.append([name, *(f"{quantile(us, q) / 1000:.2f}" for q in (0.5, 0.9, 0.99)), f"{median(us) / raw:.2f}",
                     f"{median(more) / 1000:+.2f}", f"{quantile(more, 0.25) / 1000:+.2f} … {quantile(more, 0.75) / 1000:+.2f}"])  # fmt: skip
    head = ["`pass`, ms", "p50", "p90", "p99", "p50 / raw", "more than raw (median of blocks)", "quartiles of that"]
    n = len(column(samples, "us", "raw"))
    return ["### A `pass` cell", "", f"{n} executions each way, in {len(differences(samples, 'rest'))} blocks that take turns.", "", *table(head, rows)]


def split_table(samples: Samples) -> list[str]:
    """Where REST's time goes, by the hub's own clock (medians)."""
    rest = [s for s in samples if s["way"] == "rest"]
    parts = {
        "client, HTTP, authentication, answer": [s["us"] - s["total_us"] for s in rest],
        "accept and send: commits before the wire": [s["queued_us"] for s in rest],
        "warden: order to end (relay, signing, kernel)": [s["kernel_us"] for s in rest],
        "link both ways, events, bookkeeping": [s["total_us"] - s["queued_us"] - s["kernel_us"] for s in rest],
    }
    rows = [[name, f"{median(v) / 1000:.3f}", f"{quantile(v, 0.9) / 1000:.3f}"] for name, v in parts.items()]
    raw = median(column(samples, "us", "raw"))
    rows.append(["(raw ZeroMQ, all)", f"{raw / 1000:.3f}", ""])
    return [*table(["REST `pass` by phase, ms", "p50", "p90"], rows)]


def cold_table(cold: dict[str, Samples]) -> list[str]:
    f = {k: median(column(cold["floor"], k)) / 1000 for k in cold["floor"][0]}
    o = {k: median(column(cold["ours"], k)) / 1000 for k in cold["ours"][0]}
    floor, ours = floor_and_ours(cold)
    rest = o["keeper_total_us"] - o["keeper_create_us"] - o["keeper_start_us"] - o["keeper_warden_us"]
    left = o["keeper_total_us"] + o["made_up_us"] + o["up_starting_us"] + o["starting_ready_us"] + o["kernel_us"]
    rows = [
        ["keeper: folders, workspace mount, spawn of the warden, record", "", f"{rest:.1f}"],
        ["container: Podman's create", f"{f['create_us']:.1f}", f"{o['keeper_create_us']:.1f}"],
        ["container: Podman's start", f"{f['start_us']:.1f}", f"{o['keeper_start_us']:.1f}"],
        ["keeper waits for the warden (listening, ready)", "", f"{o['keeper_warden_us']:.1f}"],
        ["keeper's answer, hub connects to the warden", "", f"{o['made_up_us'] + o['up_starting_us']:.1f}"],
        ["kernel: order to first kernel_info_reply", f"{f['ready_us']:.1f}", f"{o['starting_ready_us']:.1f}"],
        ["first cell in the kernel", f"{f['first_result_us']:.1f}", f"{o['kernel_us']:.1f}"],
        ["HTTP, hub, store, answer (what is left)", "", f"{ours - left:.1f}"],
        ["**all, by the client's clock**", f"**{floor:.1f}**", f"**{ours:.1f}**"],
    ]
    n = len(cold["ours"])
    return [
        "### Cold start: a new user's first result", "",
        f"Medians of {n} starts each, in turns. Floor: an equal container (same document for Podman, same seccomp profile), started by "
        "hand through the same Podman, the same kernel in it, a client with raw ZeroMQ; none of our processes.", "",
        *table(["phase, ms", "floor", "Kernelhub"], rows),
    ]  # fmt: skip


def floor_and_ours(cold: dict[str, Samples]) -> tuple[float, float]:
    floor = [s["create_us"] + s["start_us"] + s["ready_us"] + s["first_result_us"] for s in cold["floor"]]
    return median(floor) / 1000, median(column(cold["ours"], "all_us")) / 1000


def bulk_table(bulk: dict[str, Samples]) -> list[str]:
    rows = []
    for name, all_samples in bulk.items():
        failed = {s["way"]: s["failed"] for s in all_samples if "failed" in s}
        samples = [s for s in all_samples if "failed" not in s]
        raw = median(column(samples, "us", "raw"))
        for way in ("raw", "rest", "sse"):
            if way in failed:
                rows.append(["", way, "FAILED", failed[way], "", ""])
                continue
            us = median(column(samples, "us", way))
            size, n = median(column(samples, "bytes", way)), median(column(samples, "messages", way))
            rows.append([name if way == "raw" else "", way, f"{us / 1e6:.2f}", f"{us / raw:.2f}", f"{size / us:.1f}", f"{n:.0f}" if n else ""])
    head = ["output", "way", "seconds", "/ raw", "MB/s", "messages or events"]
    return [
        "### Much output", "",
        "Raw is a kernel alone in an equal container. MB/s counts the bytes that reached the client.", "", *table(head, rows),
    ]  # fmt: skip


def durability_table(parts: Samples) -> list[str]:
    rows = []
    for name, way in dict.fromkeys((p["part"], p["way"]) for p in parts):
        mine = [p for p in parts if (p["part"], p["way"]) == (name, way)]
        cells, us = sum(p["cells"] for p in mine), sum(p["us"] for p in mine)
        commits, seconds = sum(p["commits"] for p in mine), sum(p["seconds"] for p in mine)
        rows.append([name, way, f"{commits / cells:.1f}", f"{1000 * seconds / cells:.3f}", f"{1000 * seconds / max(commits, 1):.3f}", f"{1e6 * seconds / us:.3f}"])
    head = ["cell", "way", "transactions a cell", "ms in them a cell", "ms each", "share of the cell's time"]
    return [
        "### What durability costs", "",
        "Time in the store's transactions (SQL, blob files, commit), by its own clock, to the time that the client waited. Large batches are "
        "written by a thread of their own beside the rest, so a share is an upper bound of what the client waits for.", "", *table(head, rows),
    ]  # fmt: skip


def memory_table(result: dict[str, Any]) -> list[str]:
    states: dict[str, dict[str, Memory]] = result["memory"]
    rows = []
    for role in states["idle"]:
        held = [state[role] for state in states.values()]
        rows.append([role, *(f"{m.rss_kib / MIB:.1f} / {m.pss_kib / MIB:.1f} / {m.private_kib / MIB:.1f}" for m in held)])
    head = ["role: RSS / PSS / private, MiB", *states]
    restarts = [f"The hub **died** during {part} and was started again: its figures from there on are a young hub's.\n" for part in result.get("restarts", [])]
    return ["### Memory", "", *restarts, *table(head, rows)]


def promises(result: dict[str, Any]) -> dict[str, tuple[float, float, str]]:
    kept: dict[str, tuple[float, float, str]] = {}
    if "pass" in result:
        more = median(differences(result["pass"], "rest")) / 1000
        kept["`pass` over REST, more than raw ZeroMQ (p50)"] = (more, MAX_REST_MS, "ms")
        more = median(differences(result["pass"], "mcp")) / 1000
        kept["`pass` over MCP, more than raw ZeroMQ (p50)"] = (more, MAX_MCP_MS, "ms")
    if "cold" in result:
        floor, ours = floor_and_ours(result["cold"])
        kept["cold start, to container + kernel start"] = (ours / floor, MAX_COLD_RATIO, "×")
    states = [s for name, s in result["memory"].items() if name != "after bulk"]
    for role, (kind, limit) in MAX_KIB.items():
        worst = max(getattr(s[role], kind) for s in states)
        kept[f"{role} {kind.removesuffix('_kib').upper()}"] = (worst / MIB, limit / MIB, "MiB")
    return kept


def write(result: dict[str, Any]) -> str:
    lines = [f"- {fact}" for fact in result["machine"]]
    lines += ["", "### What was promised", ""]
    lines += [f"- {name}: {verdict(*figures)}" for name, figures in promises(result).items()]
    lines.append("")
    if "pass" in result:
        lines += [*pass_table(result["pass"]), *split_table(result["pass"])]
    if "cold" in result:
        lines += cold_table(result["cold"])
    if "bulk" in result:
        lines += bulk_table(result["bulk"])
    if result.get("durability"):
        lines += durability_table(result["durability"])
    return "\n".join(lines + memory_table(result))


def judge(result: dict[str, Any]) -> int:
    if result.get("restarts") or any("failed" in s for samples in result.get("bulk", {}).values() for s in samples):
        return 1
    return 0 if all(value <= limit for value, limit, _ in promises(result).values()) else 1


def put_into(path: Path, text: str, begin: str = BEGIN, end: str = END) -> None:
    """Between the marks; what people wrote around them stays."""
    old = path.read_text()
    before, _, rest = old.partition(begin)
    _, _, after = rest.partition(end)
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}")
