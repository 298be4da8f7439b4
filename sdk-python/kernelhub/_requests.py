"""The service's routes as values: what is sent, how long its answer may take. Pure."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, TypedDict
from urllib.parse import quote

PREFIX = "/api/v1"
JSON = "application/json"
SSE = "text/event-stream"

DEFAULT_RUN_SECONDS = 30.0  # the service's own default for timeout_seconds
QUEUE_SECONDS = 300.0  # what we allow for the queue when the caller named no queue_timeout_seconds
START_SECONDS = 120.0  # a sandbox and a kernel may have to start first
END_OF_FILE = "\x04"  # as Jupyter says it
STREAM_SILENCE_SECONDS = 60.0  # the service writes a comment every 15 s: four missed, it is gone


class ExecuteOptions(TypedDict, total=False):
    """What may be said about a run, besides its code; the names are those of the REST body."""

    language: str | None
    session: str | None
    execution_id: str | None
    persistent: bool | None
    sandbox: str | None
    template: str | None
    timeout_seconds: float | None
    queue_timeout_seconds: float | None
    env: Mapping[str, str] | None
    stdin: str | None
    interactive: bool | None
    labels: Mapping[str, str] | None
    on_disconnect: str | None
    queue: bool | None
    max_output_bytes: int | None


class ExecOptions(TypedDict, total=False):
    """What may be said about a command, besides its words; the names are those of the REST body.

    cwd    where it runs: absolute, or beneath /workspace, which is the default
    stdin  what it reads, then the end of file; without it nothing
    """

    cwd: str | None
    env: Mapping[str, str] | None
    stdin: str | None
    timeout_seconds: float | None
    execution_id: str | None
    labels: Mapping[str, str] | None
    on_disconnect: str | None
    max_output_bytes: int | None


class SandboxOptions(TypedDict, total=False):
    """What a new sandbox is to be; the names are those of the REST body.

    limits     memory_bytes, cpus, pids: at most the user's own
    workspace  "shared" (the user's) or "private" (its own, gone with it)
    """

    name: str | None
    template: str | None
    image: str | None
    ttl_seconds: int | None
    idle_seconds: int | None
    env: Mapping[str, str] | None
    labels: Mapping[str, str] | None
    limits: Mapping[str, float] | None
    network: str | None
    workspace: str | None


class SandboxChanges(TypedDict, total=False):
    """What may change while it lives; ttl_seconds counts from now."""

    ttl_seconds: int | None
    idle_seconds: int | None
    labels: Mapping[str, str] | None


class ReplayOptions(TypedDict, total=False):
    """What is to be other than it was; without `session` it runs in a fresh kernel."""

    session: str | None
    execution_id: str | None
    sandbox: str | None
    template: str | None
    timeout_seconds: float | None
    queue_timeout_seconds: float | None
    env: Mapping[str, str] | None
    stdin: str | None
    interactive: bool | None
    labels: Mapping[str, str] | None
    queue: bool | None
    max_output_bytes: int | None


class HistoryFilters(TypedDict, total=False):
    """Which executions are wanted; all filters must let one through.

    label  "key=value" or "key"
    q      words to look for in the code
    user   another user's, for admins
    """

    session: str | None
    language: str | None
    status: str | None
    label: str | None
    since: datetime | str | None
    until: datetime | str | None
    q: str | None
    user: str | None


class NotebookOptions(TypedDict, total=False):
    """Which cells of a session are wanted, by when they were accepted, and whether with outputs."""

    since: datetime | str | None
    until: datetime | str | None
    outputs: bool | None


class OutputOptions(TypedDict, total=False):
    """Which part of an output is wanted, see Run.output."""

    offset: int | None
    limit: int | None
    head: int | None
    tail: int | None
    grep: str | None
    ignore_case: bool | None
    total: bool | None


@dataclass(frozen=True)
class Request:
    """One request.

    safe     whether sending it twice is the same as sending it once
    seconds  how long the service may be silent; None: the client's own timeout
    retries  how often it is repeated; None: as the client's policy says
    answers  statuses that are an answer here, although they say that something is wrong
    undone   whether `unavailable` says that nothing was done, although it is not safe otherwise
    is_text  the answer is text, not JSON: given out as (text, headers)
    more_headers  beside those that follow from the rest
    """

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    accept: str = JSON
    safe: bool = False
    seconds: float | None = None
    retries: int | None = None
    answers: tuple[int, ...] = ()
    undone: bool = False
    is_text: bool = False
    more_headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes | None:
        # ASCII on the wire: a lone surrogate gets its clear 400 from the service.
        return None if self.body is None else json.dumps(self.body, allow_nan=False).encode("ascii")

    @property
    def headers(self) -> dict[str, str]:
        headers = {"Accept": self.accept}
        if self.body is not None:
            headers["Content-Type"] = JSON
        if self.accept == SSE:
            headers["Accept-Encoding"] = "identity"  # a compressor would hold events back
            headers["Cache-Control"] = "no-cache"
        return {**headers, **self.more_headers}


def get(path: str, /, **params: Any) -> Request:
    """A GET; parameters that are None are left out."""
    sent = {name: str(value) for name, value in params.items() if value is not None}
    return Request("GET", PREFIX + path, params=sent, safe=True)


def execute_body(code: str, options: ExecuteOptions) -> dict[str, Any]:
    """The body of a run. It always names the execution, so that to send it again is to attach."""
    _refuse_unknown("option of a run", options, ExecuteOptions)
    body: dict[str, Any] = {"code": code}
    for name, value in options.items():
        if value is not None:
            body[name] = dict(value) if isinstance(value, Mapping) else value
    body.setdefault("execution_id", str(uuid.uuid4()))
    return body


def run_seconds(body: Mapping[str, Any]) -> float:
    """How long a run may take until its end is known: start, queue, and its own timeout."""
    queued: float = body.get("queue_timeout_seconds", QUEUE_SECONDS)
    running: float = body.get("timeout_seconds", DEFAULT_RUN_SECONDS)
    return START_SECONDS + queued + running


def execute(body: Mapping[str, Any]) -> Request:
    return Request("POST", f"{PREFIX}/execute", body=body, safe=True, seconds=run_seconds(body))


def execute_stream(body: Mapping[str, Any]) -> Request:
    return Request(
        "POST",
        f"{PREFIX}/execute",
        body=body,
        accept=SSE,
        safe=True,
        seconds=STREAM_SILENCE_SECONDS,
    )


def exec_body(cmd: Sequence[str], options: ExecOptions) -> dict[str, Any]:
    """The body of a command. It always names the execution, so that to send it again is to attach."""
    if isinstance(cmd, str):
        raise TypeError('a command is a list of words; for a shell: ["sh", "-c", "…"]')
    _refuse_unknown("option of a command", options, ExecOptions)
    body = {"cmd": list(cmd), **_given(options)}
    body.setdefault("execution_id", str(uuid.uuid4()))
    return body


def exec(sandbox: str, body: Mapping[str, Any]) -> Request:
    path = f"{PREFIX}/sandboxes/{_segment(sandbox)}/exec"
    return Request("POST", path, body=body, safe=True, seconds=run_seconds(body))


def exec_stream(sandbox: str, body: Mapping[str, Any]) -> Request:
    return replace(exec(sandbox, body), accept=SSE, seconds=STREAM_SILENCE_SECONDS)


def submit(body: Mapping[str, Any], callback_url: str | None) -> Request:
    if callback_url is not None:
        body = {**body, "callback_url": callback_url}
    return Request("POST", f"{PREFIX}/execute/async", body=body, safe=True)


def batch(bodies: Sequence[Mapping[str, Any]], stop_on_error: bool) -> Request:
    body = {"executions": list(bodies), "stop_on_error": stop_on_error}
    seconds = sum(run_seconds(item) for item in bodies)
    # Safe: each item names its execution, so what ran is attached to.
    return Request("POST", f"{PREFIX}/execute/batch", body=body, safe=True, seconds=seconds)


def batch_bodies(
    items: Iterable[str | Mapping[str, Any]], defaults: ExecuteOptions
) -> list[dict[str, Any]]:
    """Each item is code, or a mapping of `code` and options."""
    bodies = []
    for item in items:
        if not isinstance(item, (str, Mapping)):
            raise TypeError("an item of a batch is code, or a mapping with 'code'")
        given = {"code": item} if isinstance(item, str) else dict(item)
        code = given.pop("code", None)
        if not isinstance(code, str):
            raise TypeError("an item of a batch is code, or a mapping with 'code'")
        bodies.append(execute_body(code, {**defaults, **given}))  # type: ignore[typeddict-item]
    return bodies


def replay(execution_id: str, options: ReplayOptions) -> tuple[Request, str]:
    """The request, and the id of the execution it makes."""
    _refuse_unknown("option of a replay", options, ReplayOptions)
    body: dict[str, Any] = {}
    for name, value in options.items():
        if value is not None:
            body[name] = dict(value) if isinstance(value, Mapping) else value
    new_id: str = body.setdefault("execution_id", str(uuid.uuid4()))
    path = f"{PREFIX}/executions/{_segment(execution_id)}/replay"
    return Request("POST", path, params={"async": "1"}, body=body, safe=True), new_id


def output_params(stream: str, part: OutputOptions) -> dict[str, Any]:
    _refuse_unknown("part of an output", part, OutputOptions)
    return {"stream": stream, **part}


def execution_output(execution_id: str, params: Mapping[str, Any]) -> Request:
    request = get(f"/executions/{_segment(execution_id)}/output", **params)
    return replace(request, accept="text/plain, application/json;q=0.5", is_text=True)


def callback_secret(renew: bool) -> Request:
    return Request("POST" if renew else "GET", f"{PREFIX}/callbacks/secret", safe=not renew)


def execution(execution_id: str) -> Request:
    return get(f"/executions/{_segment(execution_id)}")


def job(job_id: str) -> Request:
    return get(f"/jobs/{_segment(job_id)}")


def executions(filters: HistoryFilters, limit: int, cursor: str | None) -> Request:
    _refuse_unknown("filter of the history", filters, HistoryFilters)
    sent = {name: _filter_value(value) for name, value in filters.items()}
    return get("/executions", **sent, limit=limit, cursor=cursor)


def interrupt(execution_id: str) -> Request:
    # Safe: to interrupt what has ended changes nothing.
    return Request("POST", f"{PREFIX}/executions/{_segment(execution_id)}/interrupt", safe=True)


def answer_input(execution_id: str, value: str | None) -> Request:
    # Not safe: the second could answer the next question.
    body = {"value": END_OF_FILE if value is None else value}
    path = f"{PREFIX}/executions/{_segment(execution_id)}/input"
    return Request("POST", path, body=body, undone=True)


def execution_events(execution_id: str) -> str:
    """The path of an execution's feed."""
    return f"/executions/{_segment(execution_id)}/events"


def session_events(name: str) -> str:
    """The path of a session's feed."""
    return f"/sessions/{_segment(name)}/events"


def events_page(feed: str, after: int) -> Request:
    """What is stored behind `after`, as JSON."""
    return get(feed, after=after)


def events_follow(feed: str, after: int, seconds: float = STREAM_SILENCE_SECONDS) -> Request:
    """What is stored behind `after`, then what comes, as server-sent events."""
    return Request(
        "GET",
        PREFIX + feed,
        params={"after": str(after), "follow": "1"},
        accept=SSE,
        safe=True,
        seconds=seconds,
    )


def sessions(cursor: str | None) -> Request:
    return get("/sessions", cursor=cursor)


def session(name: str) -> Request:
    return get(f"/sessions/{_segment(name)}")


def notebook(name: str, options: NotebookOptions) -> Request:
    _refuse_unknown("option of a notebook", options, NotebookOptions)
    outputs = options.get("outputs")
    request = get(
        f"/sessions/{_segment(name)}/notebook",
        since=_filter_value(options.get("since")),
        until=_filter_value(options.get("until")),
        outputs=None if outputs is None else int(outputs),
    )
    return replace(request, accept="application/x-ipynb+json, application/json;q=0.5")


def create_session(fields: Mapping[str, Any]) -> Request:
    body = {name: value for name, value in fields.items() if value is not None}
    return Request("POST", f"{PREFIX}/sessions", body=body, seconds=START_SECONDS)


def delete_session(name: str) -> Request:
    return Request("DELETE", f"{PREFIX}/sessions/{_segment(name)}", seconds=START_SECONDS)


def restart_session(name: str) -> Request:
    return Request("POST", f"{PREFIX}/sessions/{_segment(name)}/restart", seconds=START_SECONDS)


def interrupt_session(name: str) -> Request:
    # Not safe, unlike interrupt(): the second could hit the run after the one that was meant.
    return Request("POST", f"{PREFIX}/sessions/{_segment(name)}/interrupt")


def sandboxes(label: str | None, cursor: str | None) -> Request:
    return get("/sandboxes", label=label, cursor=cursor)


def sandbox(name: str) -> Request:
    return get(f"/sandboxes/{_segment(name)}")


def create_sandbox(options: SandboxOptions) -> Request:
    _refuse_unknown("option of a sandbox", options, SandboxOptions)
    return Request("POST", f"{PREFIX}/sandboxes", body=_given(options), seconds=START_SECONDS)


def change_sandbox(name: str, changes: SandboxChanges) -> Request:
    _refuse_unknown("change of a sandbox", changes, SandboxChanges)
    return Request("PATCH", f"{PREFIX}/sandboxes/{_segment(name)}", body=_given(changes), safe=True)


def delete_sandbox(name: str) -> Request:
    return Request("DELETE", f"{PREFIX}/sandboxes/{_segment(name)}", seconds=START_SECONDS)


def reset_sandbox(name: str) -> Request:
    return Request("POST", f"{PREFIX}/sandboxes/{_segment(name)}/reset", seconds=START_SECONDS)


def sandbox_stats(name: str) -> Request:
    return get(f"/sandboxes/{_segment(name)}/stats")


def sandbox_logs(name: str, tail: int | None) -> Request:
    return get(f"/sandboxes/{_segment(name)}/logs", tail=tail)


def health() -> Request:
    # Who asks for health wants to know how it is now.
    return Request("GET", f"{PREFIX}/health", retries=0, answers=(503,))


def languages() -> Request:
    return get("/languages")


def images() -> Request:
    return get("/images")


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: dict(value) if isinstance(value, Mapping) else value
        for name, value in options.items()
        if value is not None
    }


def _refuse_unknown(what: str, given: Mapping[str, Any], known: type) -> None:
    unknown = given.keys() - known.__annotations__.keys()
    if unknown:
        raise TypeError(f"no such {what}: {', '.join(sorted(unknown))}")


def _segment(name: str) -> str:
    """A name as one segment of a path; a session's name may be a notebook's path."""
    if name in ("", ".", ".."):
        raise ValueError(f"not a name: {name!r}")
    return quote(name, safe="")


def _filter_value(value: Any) -> Any:
    if isinstance(value, datetime):  # one without a zone is local time, as everywhere in Python
        return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    return value


# ---- files ----

TRANSFER_SECONDS = 120.0  # a large file is on its way to the disk before it is answered


class ListOptions(TypedDict, total=False):
    """Which files are wanted.

    recursive  what is in folders too
    pattern    as in a shell: of the name, or of the path below the folder when it has a "/"
    """

    recursive: bool | None
    pattern: str | None


def _file(path: str) -> str:
    """A file's path in a URL, which takes "." and ".." for itself."""
    inside = path.removeprefix("/workspace/")  # as the code in a sandbox names it
    parts = [part for part in inside.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ValueError(f"a path in the workspace has no '..': {path!r}")
    return f"/files/{quote('/'.join(parts))}"


def _inside(path: str) -> str:
    """The same for what is in the workspace, not the workspace itself."""
    found = _file(path)
    if found == "/files/":
        raise ValueError("the workspace itself is no file")
    return found


def _sandbox_param(sandbox: str | None) -> dict[str, str]:
    return {} if sandbox is None else {"sandbox": sandbox}


def files(
    sandbox: str | None, path: str, options: ListOptions, limit: int | None, cursor: str | None
) -> Request:
    _refuse_unknown("option of a list of files", options, ListOptions)
    return get(
        "/files",
        path=path or None,
        recursive=1 if options.get("recursive") else None,
        pattern=options.get("pattern"),
        limit=limit,
        cursor=cursor,
        sandbox=sandbox,
    )


def files_usage(sandbox: str | None) -> Request:
    return get("/files", usage=1, sandbox=sandbox)


def get_file(sandbox: str | None, path: str) -> Request:
    request = get(_inside(path), sandbox=sandbox)
    return replace(request, accept="*/*", seconds=TRANSFER_SECONDS)


def get_archive(sandbox: str | None, path: str, form: str) -> Request:
    request = get(_file(path), archive=form, sandbox=sandbox)
    return replace(request, accept="*/*", seconds=TRANSFER_SECONDS)


def put_file(sandbox: str | None, path: str, overwrite: bool) -> Request:
    # Safe when it may replace: the second is then the same as the first.
    return Request(
        "PUT",
        PREFIX + _inside(path),
        params=_sandbox_param(sandbox),
        safe=overwrite,
        undone=True,
        seconds=TRANSFER_SECONDS,
        more_headers={
            "Content-Type": "application/octet-stream",
            **({} if overwrite else {"If-None-Match": "*"}),
        },
    )


def delete_file(sandbox: str | None, path: str, recursive: bool) -> Request:
    params = {**_sandbox_param(sandbox), **({"recursive": "1"} if recursive else {})}
    return Request("DELETE", PREFIX + _inside(path), params=params, seconds=TRANSFER_SECONDS)


def move_file(sandbox: str | None, source: str, target: str, overwrite: bool) -> Request:
    body: dict[str, Any] = {"from": source, "to": target}
    if overwrite:
        body["replace"] = True
    return Request("POST", f"{PREFIX}/files/move", params=_sandbox_param(sandbox), body=body)


def make_folder(sandbox: str | None, path: str) -> Request:
    body = {"path": path}
    return Request("POST", f"{PREFIX}/files/mkdir", params=_sandbox_param(sandbox), body=body)


# ---- packages ----


def install_packages(packages: Sequence[str], language: str | None, session: str | None) -> Request:
    if not packages:
        raise TypeError("no package is named")
    body: dict[str, Any] = {"packages": list(packages)}
    for name, value in (("language", language), ("session", session)):
        if value is not None:
            body[name] = value
    return Request(
        "POST",
        f"{PREFIX}/packages/install",
        body=body,
        accept=SSE,
        undone=True,
        seconds=STREAM_SILENCE_SECONDS,
    )


def packages_installed(language: str | None, cursor: str | None) -> Request:
    return get("/packages/installed", language=language, cursor=cursor)


def packages_allowed(language: str) -> Request:
    return get(f"/packages/allowed/{_segment(language)}")
