"""The file server: what it answers, over two stacks in this process, and what it never gives away."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path
from random import Random
from typing import BinaryIO

import h11
import pytest

from synfin.cli import http
from synfin.cli.http import RefusedError, find, serve
from synfin.link.channel import channel_pair
from synfin.socket import Stack

pytestmark = pytest.mark.timeout(60)

SERVER = "10.0.0.2"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory to serve, with a secret beside it."""
    (tmp_path / "secret").write_text("secret")
    served = tmp_path / "served"
    (served / "sub" / "deep").mkdir(parents=True)
    (served / "a.txt").write_bytes(b"0123456789")
    (served / "empty").write_bytes(b"")
    (served / "archive.tar.gz").write_bytes(b"gz")
    (served / "sub" / "文件 <1>&.html").write_bytes(b"<p>")
    (served / "with-index").mkdir()
    (served / "with-index" / "index.html").write_bytes(b"<p>index")
    (served / "out").symlink_to("../secret")
    (served / "out-dir").symlink_to("..")
    (served / "loop").symlink_to("loop")
    (served / "inside").symlink_to("a.txt")
    os.mkfifo(served / "fifo")
    return served


class Client:
    """As much of an HTTP client as the tests take: octets out, messages in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, request: bytes, *, head: bool = False) -> tuple[int, dict[bytes, bytes], bytes]:
        """Sends `request` and reads one answer: its status, its headers and its body."""
        self.writer.write(request)
        parser = h11.Connection(h11.CLIENT)
        method = "HEAD" if head else "GET"
        parser.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        parser.send(h11.EndOfMessage())
        status, headers, body = 0, dict[bytes, bytes](), b""
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                # One octet at a time would do; what follows the answer must not be taken.
                parser.receive_data(await self.reader.read(1 if status == 0 else 1 << 20))
            elif isinstance(event, h11.Response):
                status, headers = event.status_code, dict(event.headers)
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                return status, headers, body

    async def at_end(self) -> bool:
        return await self.reader.read() == b""


def with_client(root: Path, test: Callable[[Client], Awaitable[None]]) -> None:
    async def body() -> None:
        left, right = channel_pair()
        async with Stack(left, ["10.0.0.1/24"]) as client, Stack(right, [f"{SERVER}/24"]) as server:
            listening = await server.start_server(partial(serve, root), port=80)
            reader, writer = await client.open_connection(SERVER, 80)
            await test(Client(reader, writer))
            writer.transport.abort()
            listening.close()

    asyncio.run(body())


def get(target: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/{version}", "Host: x", *headers, "", ""]).encode()


def test_a_file(root: Path) -> None:
    async def test(client: Client) -> None:
        status, headers, body = await client.ask(get("/a.txt"))
        assert (status, body) == (200, b"0123456789")
        assert headers[b"content-length"] == b"10"
        assert headers[b"content-type"] == b"text/plain"
        assert headers[b"last-modified"].endswith(b" GMT")
        # The connection stays, for a HEAD, and a file without anything in it.
        status, headers, body = await client.ask(get("/a.txt", method="HEAD"), head=True)
        assert (status, headers[b"content-length"], body) == (200, b"10", b"")
        assert (await client.ask(get("/empty")))[::2] == (200, b"")
        assert (await client.ask(get("/inside?query=/../x")))[::2] == (200, b"0123456789")
        assert (await client.ask(get("http://elsewhere/a.txt")))[::2] == (200, b"0123456789")
        assert (await client.ask(get("/archive.tar.gz")))[1][b"content-type"] == b"application/octet-stream"
        status, headers, _ = await client.ask(get("/a.txt", "Connection: close"))
        assert (status, headers[b"connection"]) == (200, b"close")
        assert await client.at_end()

    with_client(root, test)


def test_requests_in_a_row_without_waiting(root: Path) -> None:
    async def test(client: Client) -> None:
        client.writer.write(get("/a.txt") * 5 + get("/empty", "Connection: close"))
        said = await client.reader.read()
        assert said.count(b"HTTP/1.1 200 OK") == 6
        assert said.count(b"0123456789") == 5

    with_client(root, test)


def test_http_1_0_ends_after_one(root: Path) -> None:
    async def test(client: Client) -> None:
        client.writer.write(b"GET /a.txt HTTP/1.0\r\n\r\n")
        said = await client.reader.read()
        assert b" 200 OK\r\n" in said
        assert said.endswith(b"\r\n\r\n0123456789")

    with_client(root, test)


def test_a_large_file_in_pieces(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = Random(0).randbytes(5_000_000)
    (root / "large").write_bytes(data)
    pieces: list[int] = []
    read_file = http.read_file

    def noted(file: BinaryIO, count: int) -> bytes:
        pieces.append(count)
        return read_file(file, count)

    monkeypatch.setattr(http, "read_file", noted)

    async def test(client: Client) -> None:
        status, _, body = await client.ask(get("/large"))
        assert status == 200
        assert hashlib.sha256(body).digest() == hashlib.sha256(data).digest()

    with_client(root, test)
    assert max(pieces) <= http.CHUNK < len(data)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("0-0", b"0"),
        ("2-4", b"234"),
        ("7-", b"789"),
        ("-3", b"789"),
        ("-30", b"0123456789"),
        ("5-100", b"56789"),
        ("10-", None),
        ("10-11", None),
        ("-0", None),
    ],
)
def test_a_range(root: Path, wanted: str, expected: bytes | None) -> None:
    async def test(client: Client) -> None:
        status, headers, body = await client.ask(get("/a.txt", f"Range: bytes={wanted}"))
        if expected is None:
            assert (status, headers[b"content-range"]) == (416, b"bytes */10")
        else:
            assert (status, body) == (206, expected)
            first, _, rest = headers[b"content-range"].removeprefix(b"bytes ").partition(b"-")
            assert b"0123456789"[int(first) : int(rest.partition(b"/")[0]) + 1] == expected
        # A client that has an older version gets all of this one.
        assert (await client.ask(get("/a.txt", f"Range: bytes={wanted}", 'If-Range: "x"')))[::2] == (200, b"0123456789")

    with_client(root, test)


@pytest.mark.parametrize("wanted", ["bytes=4-2", "bytes=-", "bytes=1-2,4-5", "lines=1-2", "bytes=a-b", "bytes=1-2x"])
def test_what_is_no_range_is_ignored(root: Path, wanted: str) -> None:
    answer = find(root, b"/a.txt", wanted.encode())
    assert (answer.status, answer.length) == (200, 10)
    assert answer.file is not None
    answer.file.close()


def test_a_directory_is_listed(root: Path) -> None:
    async def test(client: Client) -> None:
        status, headers, body = await client.ask(get("/sub/"))
        assert (status, headers[b"content-type"]) == (200, b"text/html; charset=utf-8")
        assert '<a href="./%E6%96%87%E4%BB%B6%20%3C1%3E%26.html">文件 &lt;1&gt;&amp;.html</a>'.encode() in body
        assert b'<a href="./deep/">deep/</a>' in body
        assert b'<a href="../">' in body
        assert (await client.ask(get("/sub/%E6%96%87%E4%BB%B6%20%3C1%3E%26.html")))[::2] == (200, b"<p>")
        assert (await client.ask(get("/with-index/")))[::2] == (200, b"<p>index")
        status, headers, _ = await client.ask(get("/sub"))
        assert (status, headers[b"location"]) == (301, b"/sub/")
        # Never to another host.
        status, headers, _ = await client.ask(get("//sub//deep"))
        assert (status, headers[b"location"]) == (301, b"/sub/deep/")

    with_client(root, test)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/nothing", 404),
        ("/a.txt/", 404),
        ("/a.txt/b", 404),
        ("/loop", 404),
        ("/" + "x" * 1000, 404),
        ("/out", 403),
        ("/out-dir/", 403),
        ("/out-dir/secret", 403),
        ("/fifo", 403),
        ("/../secret", 400),
        ("/sub/../../secret", 400),
        ("/%2e%2e/secret", 400),
        ("/..%2fsecret", 400),
        ("/sub%2F..%2F..%2Fsecret", 400),
        ("/a.txt%00", 400),
        ("secret", 400),
        ("*", 400),
        ("http://x/../secret", 400),
        ("//etc/passwd", 404),
        ("/%2Fetc/passwd", 404),
        ("/%FF%FE", 404),
        ("/%", 404),
    ],
)
def test_nothing_from_outside(root: Path, target: str, status: int) -> None:
    with pytest.raises(RefusedError) as caught:
        find(root, target.encode())
    assert caught.value.status == status


@pytest.mark.parametrize("target", ["/./a.txt", "/%61.txt", "//a.txt", "/sub/.//./deep/", "HTTP://x/a.txt"])
def test_other_ways_to_write_it(root: Path, target: str) -> None:
    answer = find(root, target.encode())
    assert answer.status == HTTPStatus.OK
    if answer.file is not None:
        answer.file.close()


def test_what_may_not_be_read(root: Path) -> None:
    (root / "a.txt").chmod(0)
    user = os.geteuid()
    if user == 0:  # who may read everything
        os.seteuid(65534)
    try:
        with pytest.raises(RefusedError) as caught:
            find(root, b"/a.txt")
    finally:
        os.seteuid(user)
    assert caught.value.status == HTTPStatus.FORBIDDEN


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_other_methods(root: Path, method: str) -> None:
    async def test(client: Client) -> None:
        body = b"x" * 1000
        status, headers, _ = await client.ask(get("/a.txt", "Content-Length: 1000", method=method) + body)
        assert (status, headers[b"allow"]) == (405, b"GET, HEAD")
        # Its body was read, and the connection is good for more.
        assert (await client.ask(get("/a.txt")))[0] == 200
        status, headers, _ = await client.ask(
            get("/a.txt", "Content-Length: 10", "Expect: 100-continue", method=method)
        )
        assert (status, headers[b"connection"]) == (405, b"close")
        assert await client.at_end()

    with_client(root, test)


def test_a_body_without_end(root: Path) -> None:
    async def test(client: Client) -> None:
        client.writer.write(get("/a.txt", f"Content-Length: {10**12}", method="POST"))
        client.writer.write(bytes(http.BODY_LIMIT + 1))
        said = await client.reader.read()
        assert said.startswith(b"HTTP/1.1 405 ")
        assert b"Connection: close\r\n" in said

    with_client(root, test)


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),  # TLS
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200_000, 431),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    ],
)
def test_what_is_not_http(root: Path, request_line: bytes, status: int) -> None:
    async def test(client: Client) -> None:
        client.writer.write(request_line)
        client.writer.write_eof()
        said = await client.reader.read()
        assert said.startswith(b"HTTP/1.1 %d " % status)
        assert b"Connection: close\r\n" in said

    with_client(root, test)


def test_who_says_nothing_is_left(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "IDLE_TIMEOUT", 0.01)

    async def test(client: Client) -> None:
        client.writer.write(b"GET / HT")
        with pytest.raises(ConnectionResetError):
            await client.reader.read()

    with_client(root, test)


def test_a_file_that_becomes_shorter(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was promised cannot be sent: only a reset can say so."""
    monkeypatch.setattr(http, "read_file", lambda file, count: b"")

    async def test(client: Client) -> None:
        client.writer.write(get("/a.txt"))
        with pytest.raises(ConnectionResetError):
            await client.reader.read()

    with_client(root, test)
