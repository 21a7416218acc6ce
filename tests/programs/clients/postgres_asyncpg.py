"""Statements of asyncpg, over TLS and without: HOST PORT AUTHORITY. What came, as a line of JSON."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import ssl
import sys
from functools import partial

import asyncpg

LARGE = bytes(range(256)) * 40_000


def hear(heard: asyncio.Queue[str], _connection: object, _pid: int, _channel: str, payload: str) -> None:
    heard.put_nowait(payload)


async def main(host: str, port: int, authority: str) -> None:
    context = ssl.create_default_context(cafile=authority)
    told: dict[str, object] = {}
    for name, tls in (("tls", context), ("plain", False)):
        pool = asyncpg.create_pool(
            host=host, port=port, user="tester", password="secret", database="postgres", ssl=tls, min_size=2, max_size=8
        )
        async with pool:
            await pool.execute("create table if not exists numbers (number int)")
            await pool.execute("truncate numbers")
            told[f"{name}: hash"] = await pool.fetchval("select encode(sha256($1), 'hex')", LARGE) == (
                hashlib.sha256(LARGE).hexdigest()
            )
            told[f"{name}: echo"] = await pool.fetchval("select $1::bytea", LARGE) == LARGE
            await pool.executemany("insert into numbers values ($1)", [(number,) for number in range(1000)])
            sums = await asyncio.gather(*(pool.fetchval("select sum(number) + $1 from numbers", i) for i in range(50)))
            told[f"{name}: sums"] = sums == [499500 + i for i in range(50)]
            async with pool.acquire() as connection:
                copied = io.BytesIO()
                await connection.copy_from_query("select generate_series(1, 200000)", output=copied)
                told[f"{name}: copied"] = copied.getvalue() == b"".join(b"%d\n" % i for i in range(1, 200001))
                async with connection.transaction():
                    cursor = connection.cursor("select number from numbers order by 1")
                    told[f"{name}: cursor"] = [row[0] async for row in cursor] == list(range(1000))
                heard: asyncio.Queue[str] = asyncio.Queue()
                await connection.add_listener("channel", partial(hear, heard))
                await pool.execute("notify channel, 'word'")
                told[f"{name}: heard"] = await asyncio.wait_for(heard.get(), 20) == "word"
                try:
                    # Cancelled by a second connection, as PostgreSQL has it.
                    await connection.execute("select pg_sleep(60)", timeout=0.2)
                except TimeoutError:
                    told[f"{name}: cancelled"] = await connection.fetchval("select 1") == 1
                told[f"{name}: encrypted"] = await connection.fetchval(
                    "select ssl from pg_stat_ssl where pid = pg_backend_pid()"
                )
                told[f"{name}: from"] = str(await connection.fetchval("select host(inet_client_addr())"))
    print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
