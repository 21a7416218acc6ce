"""What these tests have in common: synfin at one end of a TUN device and the Linux kernel at the other.

All of it belongs into a network namespace (the fixture `in_namespace`), whose devices and addresses go with it.
Nothing waits without a bound.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from random import Random

from synfin.host.parameters import Parameters
from synfin.link.link import Link
from synfin.link.tun import Tun, configure
from synfin.socket import Stack

Run = Callable[[Callable[[], None]], None]

#: By IP version: our address, and what `synfin tun serve` gives to the kernel's side.
OURS = {4: "10.9.0.2", 6: "fd00:9::2"}
KERNELS = {4: "10.9.0.3", 6: "fd00:9::3"}
#: On the link, but nobody's.
NOBODYS = {4: "10.9.0.77", 6: "fd00:9::77"}
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
ADDRESSES = ("10.9.0.2/24", "fd00:9::2/64")
#: The longest that anything may take, in seconds.
PATIENCE = 30.0
CHUNK = 1 << 18


def octets(count: int, seed: int = 0) -> bytes:
    return Random(seed).randbytes(count)


def digest(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()


def until(condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Returns as soon as `condition` holds; `what` is what failed to happen."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"in {patience} s: never {what}"
        time.sleep(0.01)


async def becomes(condition: Callable[[], bool], what: Callable[[], object], patience: float = 10.0) -> None:
    """`until` for a test in an event loop; `what` tells how things stand."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"after {patience} s still {what()}"
        await asyncio.sleep(0.005)


# --- the kernel's side


def kernel_states() -> dict[str, int]:
    """The states of the kernel's connections in this namespace, as ``ss -tan`` shows them, and how many are in each.
    Listeners are left out."""
    shown = subprocess.run(["ss", "-tanH"], check=True, capture_output=True, text=True, timeout=PATIENCE).stdout
    return dict(Counter(line.split()[0] for line in shown.splitlines() if not line.startswith("LISTEN")))


def kernel_client(version: int, port: int) -> socket.socket:
    """A socket of the kernel's that is connected to ours."""
    return socket.create_connection((OURS[version], port), timeout=PATIENCE)


def kernel_listener(version: int, backlog: int = 128) -> socket.socket:
    """A listening socket of the kernel's, on any port."""
    listener = socket.create_server((KERNELS[version], 0), family=FAMILIES[version], backlog=backlog)
    listener.settimeout(PATIENCE)
    return listener


class Sender:
    """Sends `data` from a thread of its own, and then the end of the stream."""

    def __init__(self, to: socket.socket, data: bytes) -> None:
        self._to = to
        self._data = data
        self.error: OSError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._to.sendall(self._data)
            self._to.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.error = error

    def join(self) -> None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error


def receive_all(of: socket.socket) -> tuple[str, int]:
    """Reads to the end of the stream: the SHA-256 of all that came, and how many octets these were."""
    total = hashlib.sha256()
    count = 0
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    while number := of.recv_into(buffer):
        total.update(view[:number])
        count += number
    return total.hexdigest(), count


def receive_exactly(of: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        piece = of.recv(count - len(received))
        assert piece, f"the stream ended after {len(received)} octets of {count}"
        received += piece
    return received


def exchange(peer: socket.socket, data: bytes) -> tuple[str, int]:
    """Sends `data` and reads to the end of the stream at the same time; see `receive_all`."""
    sender = Sender(peer, data)
    received = receive_all(peer)
    sender.join()
    return received


def exchange_with_next(listener: socket.socket, data: bytes) -> tuple[str, int]:
    """`exchange` with the next that comes to the kernel's `listener`."""
    peer, _ = listener.accept()
    with peer:
        peer.settimeout(PATIENCE)
        return exchange(peer, data)


def give_room(device: str = "synfin0") -> None:
    """Lets all wait that the kernel sends at once. A device loses what exceeds its queue, of 500 packets otherwise."""
    subprocess.run(["ip", "link", "set", device, "txqueuelen", "100000"], check=True, timeout=PATIENCE)


# --- synfin's side, in this process


@asynccontextmanager
async def stack_on_tun(
    *,
    offload: bool = True,
    parameters: Parameters | None = None,
    wrap: Callable[[Link], Link] = lambda link: link,
) -> AsyncIterator[Stack]:
    """A stack on a device of its own, which both go at the end, whatever happened."""
    with Tun.open(offload=offload) as tun:
        configure(tun.name, [f"{KERNELS[4]}/24", f"{KERNELS[6]}/64"])
        async with asyncio.timeout(2 * PATIENCE), Stack(wrap(tun), ADDRESSES, parameters=parameters) as stack:
            yield stack


async def we_connect(stack: Stack, version: int) -> tuple[socket.socket, asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that we opened: the kernel's socket, which never waits, and our streams."""
    with kernel_listener(version) as listener:
        listener.setblocking(False)
        reader, writer = await stack.open_connection(KERNELS[version], listener.getsockname()[1])
        kernel, _ = await asyncio.get_running_loop().sock_accept(listener)
    return kernel, reader, writer


def our_states(stack: Stack) -> dict[str, int]:
    """The states of our connections, and how many are in each. Listeners are left out."""
    return dict(Counter(row.state for row in stack.connections() if row.state != "LISTEN"))


async def send_all(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Sends `data`, no faster than the peer takes it, and then the end of the stream."""
    view = memoryview(data)
    for start in range(0, len(view), CHUNK):
        writer.write(view[start : start + CHUNK])
        await writer.drain()
    writer.write_eof()


async def read_all(reader: asyncio.StreamReader) -> tuple[str, int]:
    """`receive_all` for a stream of ours."""
    total = hashlib.sha256()
    count = 0
    while data := await reader.read(CHUNK):
        total.update(data)
        count += len(data)
    return total.hexdigest(), count


# --- synfin's side, as a process


class Serving:
    """A ``synfin tun serve`` that is ready: `line` is what it said."""

    def __init__(self, process: subprocess.Popen[str], line: str) -> None:
        self.process = process
        self.line = line

    def interrupt(self) -> tuple[int, str]:
        """^C: the exit code and what stands on standard error then."""
        self.process.send_signal(signal.SIGINT)
        _, complaints = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, complaints


def serve_command(service: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "synfin", "tun", "serve", service, *options]


@contextmanager
def serving(service: str, *options: str, offload: bool = True) -> Iterator[Serving]:
    """``synfin tun serve`` with both our addresses. At the end ^C, which must end it in order."""
    places = [word for address in ADDRESSES for word in ("--address", address)]
    command = serve_command(service, *places, *options, *([] if offload else ["--no-offload"]))
    with started(command) as process:
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], PATIENCE)
        line = process.stdout.readline() if readable else ""
        if not line:
            process.kill()
            raise AssertionError(f"never ready: {process.communicate()[1]}")
        serving = Serving(process, line)
        yield serving
        if process.poll() is None:
            assert serving.interrupt() == (0, "")


@contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A process that is gone at the end, whatever happened."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
