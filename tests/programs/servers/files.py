"""A file and what is put, with hypercorn: HOST PORT FILE [CHAIN KEY].

GET /small says a word, GET /large sends the file, GET /count says how often the word was said; a PUT is answered with
the SHA-256 of what was put.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path

from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope

CHUNK = 1 << 18


class Files:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] == "PUT":
            await answer(send, (await hash_of_body(receive)).encode())
        elif scope["path"] == "/large":
            await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": False})
            with self.path.open("rb") as file:
                while data := file.read(CHUNK):
                    await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        elif scope["path"] == "/count":
            await answer(send, b"%d" % self.count)
        else:
            self.count += 1
            await answer(send, f"HTTP/{scope['http_version']}".encode())


async def answer(send: ASGISendCallable, body: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": False})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def hash_of_body(receive: ASGIReceiveCallable) -> str:
    total = hashlib.sha256()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return "cut off"
        total.update(message["body"])
        if not message["more_body"]:
            return total.hexdigest()


def main(host: str, port: str, path: str, *tls: str) -> None:
    config = Config()
    config.bind = [f"{host}:{port}"]
    config.errorlog = None
    if tls:
        config.certfile, config.keyfile = tls
    print("ready", flush=True)
    asyncio.run(serve(Files(Path(path)), config))


if __name__ == "__main__":
    main(*sys.argv[1:])
