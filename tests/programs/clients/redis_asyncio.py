"""Commands of redis-py's asyncio client, some on fifty connections at once: HOST PORT. A line of JSON."""

from __future__ import annotations

import asyncio
import json
import sys

from redis.asyncio import BlockingConnectionPool, Redis

LARGE = bytes(range(256)) * 40_000


async def main(host: str, port: int) -> None:
    pool = BlockingConnectionPool(host=host, port=port, max_connections=50, timeout=30, socket_timeout=30)
    async with Redis(connection_pool=pool) as client:
        await client.flushall()
        await client.set("large", LARGE)
        told: dict[str, object] = {"large": await client.get("large") == LARGE}
        counted = await asyncio.gather(*(client.incr("counter") for _ in range(500)))
        told["counted"] = sorted(counted) == list(range(1, 501))
        told["connections"] = (await client.info("clients"))["connected_clients"]
        popping = asyncio.ensure_future(client.blpop(["list"], timeout=20))
        await client.rpush("list", "pushed")
        told["popped"] = await popping == (b"list", b"pushed")
        async with client.pubsub(ignore_subscribe_messages=True) as subscriber:
            await subscriber.subscribe("channel")
            while await client.publish("channel", "word") == 0:
                pass
            heard = None
            while heard is None:
                heard = await subscriber.get_message(timeout=20)
            told["heard"] = heard["data"] == b"word"
    await pool.aclose()
    print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
