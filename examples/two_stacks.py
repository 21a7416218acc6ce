"""Two TCP stacks in one process: no root, no device, no kernel's TCP. Run it with ``python examples/two_stacks.py``."""

import asyncio

from synfin.link.channel import channel_pair
from synfin.socket import Stack


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    name = await reader.read()
    writer.write(b"Hello, " + name + b"!")
    writer.close()


async def main() -> None:
    left, right = channel_pair()
    async with (
        Stack(left, ["10.0.0.1/24", "fd00::1/64"]) as client,
        Stack(right, ["10.0.0.2/24", "fd00::2/64"]) as server,
    ):
        await server.start_server(greet, port=7)
        for address in "10.0.0.2", "fd00::2":
            reader, writer = await client.open_connection(address, 7)
            writer.write(b"world")
            writer.write_eof()
            print(address, "says", (await reader.read()).decode())
            writer.close()


if __name__ == "__main__":
    asyncio.run(main())
