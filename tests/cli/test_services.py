"""The small servers of ``synfin tun serve``, on any streams."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from synfin.cli.services import SERVICES, Service


@pytest.mark.parametrize("name", ["echo", "discard", "chargen"])
def test_the_end_of_the_program_ends_a_connection_in_silence(name: str) -> None:
    """A connection in the midst of its service, when the loop cancels whatever is left."""
    said: list[dict[str, Any]] = []

    async def program(service: Service) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
        before = asyncio.all_tasks()
        server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        if name == "chargen":
            assert await reader.read(1)
        # It accepts the connection, and begins to serve it.
        for _ in range(10):
            await asyncio.sleep(0.001)
        tasks = asyncio.all_tasks() - before
        assert tasks
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await asyncio.sleep(0)
        writer.transport.abort()
        server.close()

    asyncio.run(program(SERVICES[name]))
    assert said == []
