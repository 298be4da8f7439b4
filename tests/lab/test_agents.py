"""Libraries in which agents run code, with the executor classes that they have for Jupyter servers; a model that always says the same stands for the agent's."""

from __future__ import annotations

import asyncio
import base64
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2]);"
LARGE = "import os\nfrom IPython.display import Image, display\ndisplay(Image(b'\\x89PNG\\r\\n\\x1a\\n' + os.urandom(2_000_000), format='png'))"


def test_autogen_runs_code_blocks_and_saves_what_they_show(service: Any, tmp_path: Path) -> None:
    from autogen_core import CancellationToken
    from autogen_core.code_executor import CodeBlock
    from autogen_ext.code_executors.docker_jupyter import DockerJupyterCodeExecutor
    from autogen_ext.code_executors.docker_jupyter._jupyter_server import JupyterConnectionInfo

    async def main() -> None:
        server = JupyterConnectionInfo(host="127.0.0.1", use_https=False, port=service.port, token=service.key)
        async with DockerJupyterCodeExecutor(server, output_dir=tmp_path) as executor:

            async def run(*code: str) -> Any:
                return await executor.execute_code_blocks([CodeBlock(c, "python") for c in code], CancellationToken())

            done = await run("x = 41", "print('hello')", "x + 1")
            assert (done.exit_code, done.output) == (0, "\nhello\n\n42")
            failed = await run("print('before')", "1/0")
            assert failed.exit_code == 1 and "before" in failed.output and "ZeroDivisionError" in failed.output
            (image,) = (await run(PLOT)).output_files
            assert image.read_bytes().startswith(b"\x89PNG")
            # its WebSocket would end at a frame above 1 MiB
            large = await run(LARGE)
            assert large.output_files == [] and "image/png" in large.output and "GET /api/v1/executions/" in large.output
            lines = await run("for i in range(200_000): print(i)", "print('y' * 3_000_000)")
            assert "\n199999\n" in lines.output and lines.output.count("y") == 3_000_000
            await executor.restart()
            assert "NameError" in (await run("x")).output

    asyncio.run(main())
    assert service.client().get("/api/kernels").json() == []


def test_an_autogen_agent_runs_the_code_of_a_message(service: Any, tmp_path: Path) -> None:
    from autogen_agentchat.agents import CodeExecutorAgent
    from autogen_agentchat.messages import TextMessage
    from autogen_core import CancellationToken
    from autogen_ext.code_executors.docker_jupyter import DockerJupyterCodeExecutor
    from autogen_ext.code_executors.docker_jupyter._jupyter_server import JupyterConnectionInfo

    async def main() -> str:
        server = JupyterConnectionInfo(host="127.0.0.1", use_https=False, port=service.port, token=service.key)
        async with DockerJupyterCodeExecutor(server, output_dir=tmp_path) as executor:
            agent = CodeExecutorAgent("runner", code_executor=executor)
            message = TextMessage(content="Here:\n```python\nprint(6 * 7)\n```\n", source="user")
            answer = await agent.on_messages([message], CancellationToken())
            return str(answer.chat_message.content)  # type: ignore[union-attr]

    assert "42" in asyncio.run(main())


def executor_of(service: Any, logger: Any) -> Any:
    """As docs/jupyter.md has it."""
    from smolagents.remote_executors import RemotePythonExecutor, _create_kernel_http, _websocket_run_code_raise_errors
    from websocket import create_connection

    class KernelhubExecutor(RemotePythonExecutor):
        def __init__(self, url: str, token: str, logger: Any) -> None:
            super().__init__([], logger)
            kernel = _create_kernel_http(f"{url}/api/kernels?token={token}", logger)
            self.ws_url = f"{url.replace('http', 'ws', 1)}/api/kernels/{kernel}/channels?token={token}"
            self.installed_packages: list[str] = []

        def run_code_raise_errors(self, code: str) -> Any:
            with closing(create_connection(self.ws_url)) as ws:
                return _websocket_run_code_raise_errors(code, ws, self.logger, self.allow_pickle)

    return KernelhubExecutor(service.url, service.key, logger)


def test_smolagents_runs_code(service: Any) -> None:
    from smolagents import AgentError
    from smolagents.monitoring import AgentLogger, LogLevel

    executor = executor_of(service, AgentLogger(level=LogLevel.OFF))
    assert executor("x = 41\nprint('hello')\nx + 1").output == "42" and executor("print(x)").logs == "41\n"
    with pytest.raises(AgentError, match="ZeroDivisionError"):
        executor("1/0")
    executor.send_variables({"rows": [1, 2, 3]})
    assert executor("sum(rows)").output == "6"
    # a message with a buffer would be its last one
    comm = "from comm import create_comm\nc = create_comm('x', data={'buffer_paths': [['a']]}, buffers=[b'\\xff'])\nprint('still')"
    assert "still\n" in executor(comm).logs


def test_a_smolagents_agent_answers(service: Any) -> None:
    from smolagents import CodeAgent
    from smolagents.models import ChatMessage, MessageRole, Model
    from smolagents.monitoring import AgentLogger, LogLevel

    class Scripted(Model):  # type: ignore[misc]
        steps = iter(["x = 6", "import base64\nfinal_answer(base64.b64encode(bytes([x * 7])).decode())"])

        def generate(self, *messages: Any, **options: Any) -> ChatMessage:
            return ChatMessage(role=MessageRole.ASSISTANT, content=f"Thought: so.\n<code>\n{next(self.steps)}\n</code>")

    agent = CodeAgent(tools=[], model=Scripted(), executor=executor_of(service, AgentLogger(level=LogLevel.OFF)), verbosity_level=LogLevel.OFF)
    assert base64.b64decode(agent.run("What is six times seven?")) == b"*"
