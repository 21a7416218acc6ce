"""``synfin tun connect`` on a descriptor that was handed over: no root, no device. Its peer is in this process."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest

from synfin.cli.main import main
from synfin.link.tun import Tun
from synfin.socket import Stack

pytestmark = pytest.mark.timeout(60)

PEER = "10.9.0.3"
PORT = 7

Run = Callable[..., Awaitable[asyncio.subprocess.Process]]


def with_peer(test: Callable[[Stack, Run], Awaitable[None]], tmp_path: Path, command: str = "connect") -> None:
    """Runs `test` with a stack at 10.9.0.3 and fd00:9::3, and a function that runs ``synfin tun`` on its link."""

    async def body() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:

            async def run(*arguments: str, stdin: int = PIPE, stdout: int = PIPE) -> asyncio.subprocess.Process:
                return await asyncio.create_subprocess_exec(
                    *[sys.executable, "-m", "synfin", "tun", command, *arguments, "--fd", str(theirs.fileno())],
                    *["--address", "10.9.0.2/24", "--address", "fd00:9::2/64"],
                    pass_fds=[theirs.fileno()],
                    env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "XDG_RUNTIME_DIR": str(tmp_path)},
                    stdin=stdin,
                    stdout=stdout,
                    stderr=PIPE,
                )

            async with Stack(Tun.from_fd(ours.detach(), offload=False), [f"{PEER}/24", "fd00:9::3/64"]) as peer:
                await test(peer, run)

    asyncio.run(body())


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.mark.parametrize("host", [PEER, "fd00:9::3"], ids=["IPv4", "IPv6"])
def test_there_and_back(tmp_path: Path, host: str) -> None:
    data = Random(0).randbytes(3_000_000)

    async def test(peer: Stack, run: Run) -> None:
        server = await peer.start_server(echo, port=PORT)
        process = await run(host, str(PORT))
        assert await process.communicate(data) == (data, b"")
        assert process.returncode == 0
        server.close()

    with_peer(test, tmp_path)


def test_files_as_standard_input_and_output(tmp_path: Path) -> None:
    """Files cannot be waited for as pipes can."""
    (tmp_path / "in").write_bytes(b"x" * 500_000)

    async def test(peer: Stack, run: Run) -> None:
        server = await peer.start_server(echo, port=PORT)
        with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb") as sink:
            process = await run(PEER, str(PORT), stdin=source.fileno(), stdout=sink.fileno())
            assert (await process.communicate())[1] == b""
        assert process.returncode == 0
        server.close()

    with_peer(test, tmp_path)
    assert (tmp_path / "out").read_bytes() == b"x" * 500_000


def test_the_end_of_standard_input_is_a_half_close(tmp_path: Path) -> None:
    async def test(peer: Stack, run: Run) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            question = await reader.read()
            writer.write(b"after " + question)
            writer.close()

        server = await peer.start_server(answer, port=PORT)
        process = await run(PEER, str(PORT))
        assert await process.communicate(b"the end") == (b"after the end", b"")
        assert process.returncode == 0
        server.close()

    with_peer(test, tmp_path)


def test_what_is_left_is_sent_to_a_peer_that_has_closed_its_half(tmp_path: Path) -> None:
    async def test(peer: Stack, run: Run) -> None:
        got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello")
            writer.write_eof()
            got.set_result(await reader.read())
            writer.close()

        server = await peer.start_server(half, port=PORT)
        process = await run(PEER, str(PORT))
        assert process.stdout is not None
        assert await process.stdout.read(5) == b"hello"
        # It knows of the end by now, and stays.
        assert not (await asyncio.wait({got}, timeout=0.2))[0]
        assert await process.communicate(b"late") == (b"", b"")
        assert process.returncode == 0
        assert await got == b"late"
        server.close()

    with_peer(test, tmp_path)


def test_who_types_is_done_when_the_peer_is(tmp_path: Path) -> None:
    async def test(peer: Stack, run: Run) -> None:
        async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello")
            writer.close()

        server = await peer.start_server(hello, port=PORT)
        keyboard, terminal = os.openpty()
        process = await run(PEER, str(PORT), stdin=terminal)
        assert await process.communicate() == (b"hello", b"")
        assert process.returncode == 0
        os.close(keyboard)
        os.close(terminal)
        server.close()

    with_peer(test, tmp_path)


def test_refused(tmp_path: Path) -> None:
    async def test(peer: Stack, run: Run) -> None:
        process = await run(PEER, "9")
        assert await process.communicate() == (b"", b"synfin: 10.9.0.3 port 9: connection refused\n")
        assert process.returncode == 1

    with_peer(test, tmp_path)


def test_reset(tmp_path: Path) -> None:
    async def test(peer: Stack, run: Run) -> None:
        server = await peer.start_server(lambda _, writer: writer.transport.abort(), port=PORT)
        process = await run(PEER, str(PORT))
        assert await process.wait() == 1
        assert process.stderr is not None
        assert await process.stderr.read() == b"synfin: 10.9.0.3 port 7: connection reset by peer\n"
        server.close()

    with_peer(test, tmp_path)


def test_a_reader_that_went_away_is_quiet(tmp_path: Path) -> None:
    async def test(peer: Stack, run: Run) -> None:
        async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(bytes(1 << 20))
            await reader.read()
            writer.close()

        server = await peer.start_server(chatter, port=PORT)
        reading, writing = os.pipe()
        os.close(reading)
        process = await run(PEER, str(PORT), stdout=writing)
        os.close(writing)
        assert process.stderr is not None
        assert await process.stderr.read() == b""
        assert await process.wait() == 141
        server.close()

    with_peer(test, tmp_path)


def test_a_live_connection_is_traced_and_drawn(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    data = Random(0).randbytes(1_000_000)

    async def test(peer: Stack, run: Run) -> None:
        server = await peer.start_server(echo, port=PORT)
        process = await run(PEER, str(PORT), "--trace", str(path))
        assert await process.communicate(data) == (data, b"")
        server.close()

    with_peer(test, tmp_path)
    # Each event was written as it happened, of the data only its length.
    assert 2000 < path.stat().st_size < 10_000_000
    for kind, words in (
        ("curves", ("cwnd", "ssthresh", "SRTT", "in flight")),
        # Of the end that sent more, which with an echo may be either.
        ("sequence", ("sequence number (kB)",)),
        ("states", ("ESTABLISHED",)),
    ):
        svg = tmp_path / f"{kind}.svg"
        assert main(["show", str(path), "--picture", kind, "--svg", str(svg), "--lang", "en"]) == 0
        assert all(word in svg.read_text() for word in words), kind


def test_a_trace_that_cannot_be_written(tmp_path: Path) -> None:
    async def test(peer: Stack, run: Run) -> None:
        process = await run(PEER, str(PORT), "--trace", str(tmp_path / "no" / "trace.jsonl"))
        said = (await process.communicate())[1].decode()
        assert process.returncode == 2
        assert "cannot write the trace" in said
        assert said.count("\n") == 1
        if sys.platform == "linux":
            server = await peer.start_server(echo, port=PORT)
            process = await run(PEER, str(PORT), "--trace", "/dev/full")
            output, errors = await process.communicate(b"x" * 100_000)
            # The connection went on all the same.
            assert output == b"x" * 100_000
            assert errors == b"synfin: the trace /dev/full is not complete: No space left on device\n"
            assert process.returncode == 1
            server.close()

    with_peer(test, tmp_path)


@pytest.mark.parametrize("command", ["connect", "serve"])
def test_an_interrupt(tmp_path: Path, command: str) -> None:
    async def test(peer: Stack, run: Run) -> None:
        accepted: asyncio.Future[asyncio.StreamReader] = asyncio.get_running_loop().create_future()
        server = await peer.start_server(lambda reader, _: accepted.set_result(reader), port=PORT)
        process = await run(*([PEER, str(PORT)] if command == "connect" else ["echo"]))
        assert process.stdout is not None
        if command == "connect":
            await accepted
        else:
            line = await process.stdout.readline()
            assert line.startswith(b"echo ready on 10.9.0.2 port 7, fd00:9::2 port 7 (descriptor ")
        process.terminate()
        assert await process.wait() == (130 if command == "connect" else 0)
        assert process.stderr is not None
        assert await process.stderr.read() == b""
        server.close()

    with_peer(test, tmp_path, command)


@pytest.mark.parametrize("command", ["connect", "serve"])
def test_the_other_end_of_the_link_is_gone(tmp_path: Path, command: str) -> None:
    async def test(peer: Stack, run: Run) -> None:
        accepted = asyncio.Event()
        server = await peer.start_server(lambda _, __: accepted.set(), port=PORT)
        process = await run(*([PEER, str(PORT)] if command == "connect" else ["echo"]))
        assert process.stdout is not None
        if command == "connect":
            await accepted.wait()
        else:
            await process.stdout.readline()
        server.close()
        peer.link.close()
        assert process.stderr is not None
        said = await process.stderr.read()
        assert said.startswith(b"synfin: descriptor ")
        assert b" is gone: " in said
        assert said.count(b"\n") == 1
        assert await process.wait() == 1

    with_peer(test, tmp_path, command)
