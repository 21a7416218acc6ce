"""Fetches with httpx, blocking and then all at once in asyncio: AUTHORITY URL... For each, a line of JSON."""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
import sys

import httpx

TIMEOUT = 60.0


def tell(way: str, response: httpx.Response, sha256: str) -> None:
    told = {"way": way, "url": str(response.url), "version": response.http_version, "status": response.status_code}
    print(json.dumps(told | {"sha256": sha256}), flush=True)


def block(context: ssl.SSLContext, urls: list[str]) -> None:
    with httpx.Client(verify=context, timeout=TIMEOUT, trust_env=False) as client:
        for url in urls:
            total = hashlib.sha256()
            with client.stream("GET", url) as response:
                for data in response.iter_raw(1 << 18):
                    total.update(data)
            tell("blocking", response, total.hexdigest())


async def fetch(client: httpx.AsyncClient, url: str) -> None:
    total = hashlib.sha256()
    async with client.stream("GET", url) as response:
        async for data in response.aiter_raw(1 << 18):
            total.update(data)
    tell("asyncio", response, total.hexdigest())


async def all_at_once(context: ssl.SSLContext, urls: list[str]) -> None:
    async with httpx.AsyncClient(http2=True, verify=context, timeout=TIMEOUT, trust_env=False) as client:
        await asyncio.gather(*(fetch(client, url) for url in urls for _ in range(3)))


if __name__ == "__main__":
    trusted = ssl.create_default_context(cafile=sys.argv[1])
    block(trusted, sys.argv[2:])
    asyncio.run(all_at_once(ssl.create_default_context(cafile=sys.argv[1]), sys.argv[2:]))
