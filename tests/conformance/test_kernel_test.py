"""jupyter_kernel_test, the protocol's own suite, through Jupyter Server's GatewayKernelManager: so each message goes kernel →
warden → hub → WebSocket (default protocol) → gateway client."""

from __future__ import annotations

import asyncio
import os
import queue
from typing import Any

import jupyter_kernel_test
import pytest

KernelTests = jupyter_kernel_test.KernelTests
KernelTests.__test__ = False


class Blocking:
    """A gateway client for code that does not wait: one event loop for all of it."""

    def __init__(self, client: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._client, self._loop = client, loop
        self.shell_channel, self.iopub_channel = _Channel(client.shell_channel), _Channel(client.iopub_channel)

    def get_shell_msg(self, **options: Any) -> Any:
        return self._loop.run_until_complete(self.shell_channel.get_msg(**options))

    def get_iopub_msg(self, **options: Any) -> Any:
        return self._loop.run_until_complete(self.iopub_channel.get_msg(**options))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


class _Channel:
    def __init__(self, channel: Any) -> None:
        self._channel = channel

    async def get_msg(self, **options: Any) -> Any:
        message = await self._channel.get_msg(**options)
        message.pop("channel", None)  # the suite's schema knows no more than the protocol's own members
        return message

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)


class Gateway(KernelTests):  # type: ignore[misc, valid-type]
    __test__ = False

    @classmethod
    def setUpClass(cls) -> None:
        from jupyter_server.gateway.managers import GatewayKernelManager

        cls.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(cls.loop)
        cls.km = GatewayKernelManager(kernel_name=cls.kernel_name)
        cls.loop.run_until_complete(cls.km.start_kernel(kernel_name=cls.kernel_name))
        client = cls.km.client()
        cls.loop.run_until_complete(client.start_channels())
        cls.kc = Blocking(client, cls.loop)
        cls.loop.run_until_complete(client.wait_for_ready(30))

    @classmethod
    def tearDownClass(cls) -> None:
        cls.kc._client.stop_channels()
        cls.loop.run_until_complete(cls.km.shutdown_kernel(now=True))
        cls.loop.close()

    def flush_channels(self) -> None:
        for channel in (self.kc.shell_channel, self.kc.iopub_channel):
            while True:
                try:
                    self.loop.run_until_complete(channel.get_msg(timeout=0.1))
                except queue.Empty:
                    break


@pytest.fixture(scope="module", autouse=True)
def gateway(open_service: Any) -> Any:
    os.environ["JUPYTER_GATEWAY_URL"] = open_service.url
    from jupyter_server.gateway.gateway_client import GatewayClient

    GatewayClient.clear_instance()
    yield
    del os.environ["JUPYTER_GATEWAY_URL"]


class TestPython(Gateway):
    __test__ = True
    kernel_name = "python3"
    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('to stderr', file=sys.stderr)"
    completion_samples = [{"text": "zi", "matches": {"zip"}}]
    complete_code_samples = ["print('hi')", "x = '''a\nb'''"]
    incomplete_code_samples = ["print('''hi", "def f():"]
    invalid_code_samples = ["import = 7q"]
    code_page_something = "zip?"
    code_generate_error = "raise ValueError('no')"
    code_execute_result = [{"code": "1 + 2", "result": "3"}]
    code_display_data = [
        {"code": "from IPython.display import HTML, display; display(HTML('<b>x</b>'))", "mime": "text/html"},
        {"code": "from IPython.display import Math, display; display(Math('x'))", "mime": "text/latex"},
    ]
    supported_history_operations = ("tail",)  # its history is in memory, for this session
    code_inspect_sample = "zip"
    code_clear_output = "from IPython.display import clear_output; clear_output()"


class TestBash(Gateway):
    __test__ = True
    kernel_name = "bash"
    language_name = "bash"
    file_extension = ".sh"
    code_hello_world = "echo hello, world"
    code_stderr = "echo to stderr >&2"
