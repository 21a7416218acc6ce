"""Libraries as they are, both sides in virtual time: what they say to each other goes through our TCP."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from synfin.sim import compare
from tests.socket.virtual.worlds import MS, SECOND, run

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_requests_and_a_threading_http_server() -> None:
    def serve() -> None:
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                time.sleep(float(self.path[1:]))
                body = self.path.encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, form: str, *args: object) -> None: ...

        ThreadingHTTPServer(("", 80), Handler).serve_forever()

    def ask() -> tuple[list[str], str, float]:
        import requests

        with requests.Session() as session:
            answers = [session.get(f"http://server/{delay}", timeout=10000) for delay in (0, 1, 7200)]
            began = time.monotonic()
            with pytest.raises(requests.exceptions.ReadTimeout):
                session.get("http://server/60", timeout=5)
            return [one.text for one in answers], answers[-1].headers["Date"], time.monotonic() - began

    world, client = run(ask, serve)
    texts, date, waited = client.result
    assert texts == ["/0", "/1", "/7200"]
    # The server's clock, when it answered the last.
    assert date == "Thu, 01 Jan 2026 02:00:01 GMT"
    assert waited == pytest.approx(5.0, abs=0.1)
    # One was kept open; the one that timed out is that one.
    assert world.opened() == 1
    assert world.now > 7200 * SECOND


def test_aiohttp_both_sides() -> None:
    async def serve() -> None:
        from aiohttp import web

        async def hello(request: web.Request) -> web.Response:
            await asyncio.sleep(3600)
            return web.Response(text=f"{request.method} {request.path} {len(await request.read())}")

        application = web.Application(client_max_size=1 << 24)
        application.router.add_route("*", "/{name}", hello)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "0.0.0.0", 80).start()
        await asyncio.Event().wait()

    async def ask() -> list[str]:
        import aiohttp

        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:

            async def one(number: int) -> str:
                async with session.post(f"http://server/{number}", data=bytes(100_000)) as response:
                    return await response.text()

            return list(await asyncio.gather(*(one(number) for number in range(5))))

    world, client = run(ask, serve)
    assert client.result == [f"POST /{number} 100000" for number in range(5)]
    assert world.opened() == 5
    assert 3600 * SECOND < world.now < 3610 * SECOND


def test_uvicorn_and_starlette_with_httpx() -> None:
    def serve() -> None:
        import uvicorn
        from starlette.applications import Starlette
        from starlette.requests import Request
        from starlette.responses import JSONResponse, Response, StreamingResponse
        from starlette.routing import Route

        async def home(request: Request) -> Response:
            return JSONResponse({"client": request.client.host if request.client else None})

        async def slow(request: Request) -> Response:
            async def pieces() -> AsyncIterator[str]:
                for number in range(10):
                    await asyncio.sleep(60)
                    yield f"{number} "

            return StreamingResponse(pieces())

        routes = [Route("/", home), Route("/slow", slow)]
        uvicorn.run(Starlette(routes=routes), host="0.0.0.0", port=80, log_level="critical")

    def ask() -> tuple[object, str, list[int]]:
        import httpx

        time.sleep(1)
        with httpx.Client(base_url="http://server", timeout=None) as client:
            home = client.get("/").json()
            slow = client.get("/slow").text

        async def many() -> list[int]:
            async with httpx.AsyncClient(base_url="http://server") as client:
                return [one.status_code for one in await asyncio.gather(*(client.get("/") for _ in range(4)))]

        return home, slow, asyncio.run(many())

    world, client = run(ask, serve)
    assert client.result == ({"client": "10.0.0.1"}, "0 1 2 3 4 5 6 7 8 9 ", [200] * 4)
    assert world.opened() == 5
    assert world.now > 600 * SECOND


def test_websockets_with_asyncio() -> None:
    async def serve() -> None:
        from websockets.asyncio.server import ServerConnection
        from websockets.asyncio.server import serve as serve_websockets

        async def echo(websocket: ServerConnection) -> None:
            async for message in websocket:
                assert isinstance(message, str)
                await websocket.send(message.upper())

        async with serve_websockets(echo, "0.0.0.0", 8765) as server:
            await server.serve_forever()

    async def talk() -> list[str | bytes]:
        from websockets.asyncio.client import connect

        async with connect("ws://server:8765") as websocket:
            await websocket.send("first")
            heard = [await websocket.recv()]
            # Pings keep it alive meanwhile, each way every 20 s.
            await asyncio.sleep(600)
            await websocket.send("last")
            return [*heard, await websocket.recv()]

    world, client = run(talk, serve)
    assert client.result == ["FIRST", "LAST"]
    assert world.opened() == 1
    sent = [time for time, segment in world.segments("client") if segment.payload_length and time < 600 * SECOND]
    assert len(sent) > 2 * 29


def test_websockets_with_threads() -> None:
    def serve() -> None:
        from websockets.sync.server import ServerConnection
        from websockets.sync.server import serve as serve_websockets

        def echo(websocket: ServerConnection) -> None:
            for message in websocket:
                assert isinstance(message, str)
                websocket.send(message.upper())

        with serve_websockets(echo, "0.0.0.0", 8765) as server:
            server.serve_forever()

    def talk() -> str | bytes:
        from websockets.sync.client import connect

        with connect("ws://server:8765") as websocket:
            websocket.send("hello")
            with pytest.raises(TimeoutError):
                websocket.recv(timeout=0.001)
            return websocket.recv()

    world, client = run(talk, serve)
    assert client.result == "HELLO"
    assert world.opened() == 1


async def _serve_redis() -> None:
    """As much of a Redis server as is needed, in RESP2."""
    values: dict[bytes, bytes] = {}

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                length = int((await reader.readline())[1:])
                words.append((await reader.readexactly(length + 2))[:-2])
            match words[0].upper(), *words[1:]:
                case b"SET", name, value:
                    values[name] = value
                    writer.write(b"+OK\r\n")
                case b"INCRBY", name, amount:
                    values[name] = b"%d" % (int(values.get(name, b"0")) + int(amount))
                    writer.write(b":%s\r\n" % values[name])
                case b"GET", name:
                    value = values.get(name, b"")
                    writer.write(b"$%d\r\n%s\r\n" % (len(value), value) if name in values else b"$-1\r\n")
                case _:
                    writer.write(b"+OK\r\n")
        writer.close()

    async with await asyncio.start_server(serve_one, "0.0.0.0", 6379) as server:
        await server.serve_forever()


def test_redis_with_asyncio() -> None:
    async def ask() -> list[object]:
        import redis.asyncio

        client = redis.asyncio.Redis(host="server", protocol=2)
        answers: list[object] = [await client.set("name", "value"), await client.get("name"), await client.get("none")]
        async with client.pipeline(transaction=False) as pipe:
            for _ in range(100):
                pipe.incr("count")
            answers.append((await pipe.execute())[-1])
        await asyncio.gather(*(client.incr("count") for _ in range(10)))
        answers.append(await client.get("count"))
        await client.aclose()
        return answers

    world, client = run(ask, _serve_redis)
    assert client.result == [True, b"value", None, 100, b"110"]
    # The pool opens more for what is asked at once.
    assert 2 <= world.opened() <= 10


def test_smtplib_sends_a_message() -> None:
    def serve() -> list[str]:
        import socketserver

        letters: list[str] = []

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(b"220 server\r\n")
                for line in self._lines():
                    if line.upper() == "DATA":
                        self.wfile.write(b"354 go on\r\n")
                        letters.append("\n".join(iter(self._lines().__next__, ".")))
                    self.wfile.write(b"221 bye\r\n" if line.upper() == "QUIT" else b"250 ok\r\n")

            def _lines(self) -> Iterator[str]:
                for line in self.rfile:
                    yield line.decode().rstrip("\r\n")

        with socketserver.TCPServer(("", 25), Handler) as server:
            server.handle_request()
        return letters

    def send() -> object:
        import smtplib
        from email.message import EmailMessage
        from email.utils import make_msgid

        message = EmailMessage()
        message["Subject"], message["From"], message["To"] = "hello", "a@client", "b@server"
        message["Message-ID"] = make_msgid()
        message.set_content("How are you?")
        with smtplib.SMTP("server") as connection:
            return connection.send_message(message), message["Message-ID"]

    letters: list[object] = []

    def serve_and_tell() -> None:
        letters.extend(serve())

    world, client = run(send, serve_and_tell)
    first = client.result
    (letter,) = letters
    assert "Subject: hello" in str(letter)
    assert "How are you?" in str(letter)
    # The identifier is made of the clock, the process number, chance and the host's name.
    assert run(send, serve_and_tell)[1].result == first
    assert "@client" in json.dumps(first)
    assert world.opened() == 1
    assert world.now < SECOND + 400 * MS


def test_tls_between_blocking_programs_and_asyncio(tmp_path: Path) -> None:
    """Certificates are judged by the real clock; all else takes virtual time."""
    import ssl

    import trustme

    authority = trustme.CA()
    certificate = authority.issue_cert("server")
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))

    async def serve() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(60)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
            writer.close()

        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(context)
        async with await asyncio.start_server(answer, "0.0.0.0", 443, ssl=context) as server:
            await server.serve_forever()

    def ask() -> tuple[str, str]:
        import httpx
        import requests

        async def ask_too() -> str:
            context = ssl.create_default_context(cafile=str(trusted))
            async with httpx.AsyncClient(verify=context, timeout=None) as client:
                return (await client.get("https://server/")).text

        with requests.Session() as session:
            return session.get("https://server/", verify=str(trusted)).text, asyncio.run(ask_too())

    world, client = run(ask, serve)
    assert client.result == ("hello", "hello")
    assert world.opened() == 2
    assert world.now > 120 * SECOND


def test_a_world_sends_the_same_packets_again() -> None:
    """In one process, where nothing has the address that it had the first time: who keeps futures in sets, as aiohttp
    does, takes them out in one order."""

    async def serve() -> None:
        from aiohttp import web

        async def answer(request: web.Request) -> web.Response:
            return web.Response(text=request.path)

        application = web.Application()
        application.router.add_get("/{name}", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "0.0.0.0", 80).start()
        await asyncio.Event().wait()

    async def ask() -> None:
        import aiohttp

        async with aiohttp.ClientSession() as session:

            async def one(number: int) -> None:
                async with session.get(f"http://server/{number}") as response:
                    await response.text()

            await asyncio.gather(*(one(number) for number in range(12)))

    first, *others = [run(ask, serve)[0] for _ in range(3)]
    for other in others:
        assert compare(first.events, other.events) is None
    assert compare(first.events, run(ask, serve, seed=2)[0].events) is not None
