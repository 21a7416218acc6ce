"""Fetches a URL with httpx in asyncio, and prints the SHA-256 of what came as JSON."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys

import httpx


async def fetch(url: str) -> None:
    total = hashlib.sha256()
    async with httpx.AsyncClient(timeout=60.0, trust_env=False) as client, client.stream("GET", url) as response:
        async for data in response.aiter_raw():
            total.update(data)
    print(json.dumps({"sha256": total.hexdigest()}))


if __name__ == "__main__":
    asyncio.run(fetch(sys.argv[1]))
