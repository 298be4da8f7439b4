"""Puts the user's packages on Python's path: after the standard library, before what the image brings along.

kernelhub.pth, beside this file, has it imported whenever /opt/python's Python starts. The kernels themselves are imported without
them: nothing that a user installs can take the place of what a kernel is made of, before it runs.
"""

from __future__ import annotations

import importlib
import os
import sys

PACKAGES = "/packages/python"
FOLDER = f"{PACKAGES}/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"

_seen: tuple[int, int] | None = None


def enable() -> None:
    """From now on they are found."""
    images = os.path.dirname(__file__)
    if FOLDER not in sys.path:
        sys.path.insert(sys.path.index(images) if images in sys.path else len(sys.path), FOLDER)


def refresh() -> None:
    """Looks whether others are there than before: Python remembers which folders were missing."""
    global _seen
    try:
        found = os.stat(PACKAGES)
    except OSError:
        return
    now = (found.st_ino, found.st_mtime_ns)
    if now != _seen:
        _seen = now
        importlib.invalidate_caches()


def is_kernel() -> bool:
    arguments = sys.orig_argv
    return any(
        option == "-m" and module.startswith("kernelhub_")
        for option, module in zip(arguments, arguments[1:], strict=False)
    )


if not is_kernel():
    enable()
