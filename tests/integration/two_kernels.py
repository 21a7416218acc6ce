"""Two network stacks of the kernel, in namespaces of their own, with a wire between them that a test may disturb.

Each has a TUN device; a thread of the test carries the packets from one to the other, with a delay, and loses those
that the test wants lost. tcpdump listens at either end.
"""

from __future__ import annotations

import ctypes
import heapq
import os
import queue
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from synfin.link.tun import Tun, configure

Result = TypeVar("Result")

CLONE_NEWNET = 0x40000000
LEFT = "10.7.0.1"
RIGHT = "10.7.0.2"
PORT = 8080
#: The longest that anything may take, in seconds.
PATIENCE = 30.0

#: Told of a packet: whether it leaves the left end, how many went that way before it, and its octets. Says how much
#: later than others it arrives, in seconds; None if it never does.
Fate = Callable[[bool, int, bytes], float | None]


def unharmed(rightwards: bool, number: int, packet: bytes) -> float | None:
    return 0.0


class Namespace:
    """A network namespace, which belongs to a thread. Processes that are started in it stay in it."""

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()

    def run(self, function: Callable[[], Result]) -> Result:
        """Call the function there, and return what it returns."""
        results: queue.SimpleQueue[tuple[bool, object]] = queue.SimpleQueue()

        def task() -> None:
            try:
                results.put((True, function()))
            except BaseException as error:
                results.put((False, error))

        self._tasks.put(task)
        good, result = results.get(timeout=2 * PATIENCE)
        if not good:
            assert isinstance(result, BaseException)
            raise result
        return result  # type: ignore[return-value]

    def close(self) -> None:
        self._tasks.put(None)
        self._thread.join(PATIENCE)


def _enter() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=PATIENCE)


class TwoKernels:
    """Both namespaces. `fate` may be changed at any time; `delay` is that of the wire, one way, in seconds."""

    def __init__(self, delay: float = 0.005, offload: bool = False) -> None:
        self.delay = delay
        self.fate: Fate = unharmed
        self.left = Namespace()
        self.right = Namespace()
        self._devices = [self._open(self.left, LEFT), self._open(self.right, RIGHT)]
        self._counts = [0, 0]
        self._ends = False
        self._wire = threading.Thread(target=self._carry, daemon=True)
        self._wire.start()

    @staticmethod
    def _open(space: Namespace, address: str) -> Tun:
        def opened() -> Tun:
            _enter()
            tun = Tun.open("wire", offload=False)
            configure(tun.name, [f"{address}/24"])
            return tun

        return space.run(opened)

    def _carry(self) -> None:
        descriptors = [device.fileno() for device in self._devices]
        waiting: list[tuple[float, int, int, bytes]] = []
        order = 0
        while not self._ends:
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                _, _, to, packet = heapq.heappop(waiting)
                os.write(descriptors[to], packet)
            pause = min(0.05, max(0.0, waiting[0][0] - now)) if waiting else 0.05
            readable, _, _ = select.select(descriptors, [], [], pause)
            for descriptor in readable:
                at = descriptors.index(descriptor)
                packet = os.read(descriptor, 65536)
                if packet[0] >> 4 != 4:
                    continue
                later = self.fate(not at, self._counts[at], packet)
                self._counts[at] += 1
                if later is not None:
                    order += 1
                    heapq.heappush(waiting, (time.monotonic() + self.delay + later, order, 1 - at, packet))

    def reset_counts(self) -> None:
        """Begin to count the packets of both directions anew."""
        self._counts = [0, 0]

    def close(self) -> None:
        self._ends = True
        self._wire.join(PATIENCE)
        for device in self._devices:
            device.close()
        self.left.close()
        self.right.close()

    @contextmanager
    def captured(self, where: Namespace, file: Path, device: str = "wire", *options: str) -> Iterator[None]:
        """tcpdump listens there, until the block is over and a moment longer."""
        # Without a snap length every packet takes a slot of 256 KiB, and a burst does not fit.
        command = ["tcpdump", "-i", device, "-s", "2048", "-B", "16384", "--immediate-mode", "-U", "-Z", "root"]
        command += ["-w", str(file), *options]
        process = where.run(
            lambda: subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        )
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if "listening on" in line:
                    break
            else:
                raise AssertionError("tcpdump never listened")
            yield
            _settled(file)
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE)

    def listener(self, port: int = PORT) -> socket.socket:
        """A socket that listens at the right end."""
        return self.right.run(lambda: socket.create_server((RIGHT, port)))

    def client(self, port: int = PORT) -> socket.socket:
        """A socket of the left end, connected to the right one."""
        return self.left.run(lambda: socket.create_connection((RIGHT, port), PATIENCE))

    def started(self, where: Namespace, *command: str) -> subprocess.Popen[str]:
        """A process there."""
        return where.run(
            lambda: subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )

    def ran(self, where: Namespace, *command: str) -> int:
        """A process there, to its end: its exit code."""
        process = self.started(where, *command)
        process.communicate(timeout=PATIENCE)
        return process.returncode

    def states(self, where: Namespace) -> set[str]:
        """The states of the connections there, as ``ss`` tells them, under the RFC's names."""
        shown = where.run(
            lambda: subprocess.run(["ss", "-tanH"], check=True, capture_output=True, text=True, timeout=PATIENCE)
        )
        states = {line.split()[0] for line in shown.stdout.splitlines()} - {"LISTEN"}
        return {"ESTABLISHED" if state == "ESTAB" else state for state in states}


def _settled(file: Path, quiet: float = 0.3) -> None:
    """Wait until tcpdump has nothing more to write."""
    end = time.monotonic() + PATIENCE
    size, since = -1, time.monotonic()
    while time.monotonic() - since < quiet:
        assert time.monotonic() < end
        now = file.stat().st_size
        if now != size:
            size, since = now, time.monotonic()
        time.sleep(0.02)


@contextmanager
def two_kernels(delay: float = 0.005) -> Iterator[TwoKernels]:
    """Both, which go at the end, whatever happened."""
    made = TwoKernels(delay)
    try:
        yield made
    finally:
        made.close()
