"""A package index on loopback (PEP 503) with packages made here: for installs that need nothing of the world."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def wheel(name: str, version: str, files: dict[str, str | bytes], requires: tuple[str, ...] = (), tag: str = "py3-none-any") -> tuple[str, bytes]:
    """A wheel's file name and bytes."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(f"Requires-Dist: {r}\n" for r in requires)
    pure = "true" if tag.endswith("-any") else "false"
    content = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
    content |= {
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: {pure}\nTag: {tag}\n".encode(),
    }
    record = ""
    for path, data in content.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(data)}\n"
    content[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, data in content.items():
            archive.writestr(path, data)
    return f"{name}-{version}-{tag}.whl", out.getvalue()


BACKEND = """
import os, sys, zipfile
exec(open("setup.py").read())
def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = NAME + "-1.0-py3-none-any.whl"
    info = NAME + "-1.0.dist-info/"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        archive.writestr(NAME + ".py", MODULE)
        archive.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: " + NAME + "\\nVersion: 1.0\\n")
        archive.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr(info + "RECORD", "")
    return name
"""


def tar_of(folder: str, files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(f"{folder}/{path}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


def source(name: str, setup: str) -> tuple[str, bytes]:
    """A source package whose setup.py is run to build it; needs no other package for that. setup.py may set MODULE, the module's text."""
    files = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": f"NAME = {name!r}\nMODULE = ''\n{BACKEND}",
        "setup.py": setup,
    }
    return f"{name}-1.0.tar.gz", tar_of(f"{name}-1.0", files)


NATIVE = """
typedef struct { long refs; void *type; } object;
typedef struct { object base; void *init; long index; void *copy; } def_base;
typedef struct { const char *name; object *(*call)(object *, object *); int flags; const char *doc; } method;
typedef struct { def_base base; const char *name, *doc; long size; method *methods; void *slots, *traverse, *clear, *free; } module;
extern object *PyModule_Create2(module *, int);
extern object *PyLong_FromLong(long);
static object *answer(object *self, object *none) { return PyLong_FromLong(42); }
static method methods[] = { { "answer", answer, 4, 0 }, { 0, 0, 0, 0 } };
static module this = { { { 1, 0 }, 0, 0, 0 }, "NAME", 0, -1, methods, 0, 0, 0, 0 };
object *PyInit_NAME(void) { return PyModule_Create2(&this, 1013); }
"""


def native(name: str, folder: Path) -> bytes:
    """A module in machine code, made with the host's compiler and none of Python's headers."""
    program, library = folder / f"{name}.c", folder / f"{name}.so"
    program.write_text(NATIVE.replace("NAME", name))
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(program)], check=True, timeout=60)
    data = library.read_bytes()
    program.unlink()
    library.unlink()
    return data


def npm(name: str, version: str, module: str) -> tuple[str, bytes]:
    """An npm package's file name and bytes."""
    files = {"package.json": json.dumps({"name": name, "version": version, "main": "index.js"}), "index.js": module}
    return f"{name}-{version}.tgz", tar_of("package", files)


class Index:
    """Serves its packages at /simple/ until it is closed."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = self.path.strip("/").split("/")
                body = index.answer(parts)
                self.send_response(200 if body is not None else 404)
                self.send_header("Content-Type", "text/html" if parts[0] == "simple" else "application/octet-stream")
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/simple/"

    def add(self, file: tuple[str, bytes]) -> None:
        self.files[file[0]] = file[1]

    def answer(self, parts: list[str]) -> bytes | None:
        if parts[0] == "files":
            return self.files.get(parts[-1])
        if parts[0] == "npm":
            return self.packument(parts[-1])
        names = [n for n in self.files if n.split("-")[0].replace("_", "-") == parts[-1]]
        return "".join(f'<a href="/files/{n}">{n}</a>' for n in names).encode() if names else None

    @property
    def npm_url(self) -> str:
        return self.url.replace("/simple/", "/npm/")

    def packument(self, name: str) -> bytes | None:
        """What npm's registries say of a package."""
        versions = {}
        for file in self.files:
            found, _, version = file.removesuffix(".tgz").rpartition("-")
            if found != name or not file.endswith(".tgz"):
                continue
            digest = base64.b64encode(hashlib.sha512(self.files[file]).digest()).decode()
            dist = {"tarball": self.url.replace("/simple/", f"/files/{file}"), "integrity": f"sha512-{digest}"}
            versions[version] = {"name": name, "version": version, "dist": dist}
        return json.dumps({"name": name, "dist-tags": {"latest": max(versions)}, "versions": versions}).encode() if versions else None

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
