"""The SDK's own tests for a running service, unchanged, against the real one."""

from __future__ import annotations

import os
import subprocess
import sys

from conftest import ROOT, Service


def test_the_sdks_live_tests_pass(service: Service) -> None:
    env = dict(os.environ, KERNELHUB_URL=service.url, KERNELHUB_TOKEN=service.key)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(ROOT / "sdk-python/tests/live")]
    done = subprocess.run(command, env=env, cwd=ROOT / "sdk-python", capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
