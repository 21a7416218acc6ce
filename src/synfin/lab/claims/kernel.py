"""The bench on which the kernel is measured: a namespace with its own defaults, and far ends that are played by hand.

Needs root and TUN. What two sockets of the kernel do with one another goes over loopback; where a far end must be
silent, slow or wrong, a `Peer` plays it with raw segments.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final

from synfin.link.kernel import LOCAL_IPV4, REMOTE_IPV4, KernelHost, packed, tcp_info
from synfin.link.tun import DEVICE
from synfin.wire.ip import Packet
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, FIN, NO_OPTIONS, PROTOCOL_TCP, RST, SYN, Options, Segment

__all__ = ["KERNEL", "PORT", "Background", "Heard", "Kernel", "Peer", "lack", "outcome", "state"]

PORT: Final = 7000
#: The address of the kernel under test.
KERNEL: Final = LOCAL_IPV4
_PEER_PORT: Final = 4000
#: The longest that anything is waited for that should come at once, in seconds.
PATIENCE: Final = 2.0
#: How often one looks whether something has happened, in seconds; a tenth as often after a second.
_GLANCE: Final = 0.002
_SIOCSIFFLAGS: Final = 0x8914  # linux/sockios.h
_IFF_UP: Final = 1


def lack() -> str:
    """What this machine lacks for a measurement, in a few words; nothing if it lacks nothing."""
    if not DEVICE.exists():
        return "there is no Linux with TUN here"
    if os.geteuid() != 0:
        return "only root can make a network namespace"
    if shutil.which("ss") is None:
        return "there is no program ss"
    return ""


class Heard:
    """A segment that the kernel sent, and when it was read: seconds since the namespace was made."""

    __slots__ = ("segment", "time")

    def __init__(self, segment: Segment, at: float) -> None:
        self.segment = segment
        self.time = at

    def has(self, flags: int) -> bool:
        """Whether SYN, FIN, RST and ACK are set as in `flags`."""
        return self.segment.flags & (SYN | FIN | RST | ACK) == flags


class Kernel:
    """A kernel with its own defaults, and `sysctls` over them. A context manager.

    Names of `sysctls` are those under ``/proc/sys/net/ipv4``, or have a slash and are those under ``/proc/sys/net``.

    `heard`: every segment that it has sent to the world outside, in order.
    """

    def __init__(self, **sysctls: int | str) -> None:
        self.host = KernelHost(
            {name if "/" in name else f"ipv4/{name}": str(value) for name, value in sysctls.items()}, base={}
        )
        self.heard: list[Heard] = []
        self._began = time.monotonic_ns()
        self._made: list[socket.socket] = []
        self.host.inside(_loopback_up)

    def __enter__(self) -> Kernel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for each in self._made:
            each.close()
        self.host.close()

    # --- sockets

    def new_socket(self, limit: float | None = None) -> socket.socket:
        """A socket of the namespace, plain: it blocks, and has no option set."""

        def make() -> socket.socket:
            return socket.socket(socket.AF_INET, socket.SOCK_STREAM)

        made = self.host.inside(make)
        self._made.append(made)
        made.settimeout(limit)
        return made

    def listening(self, backlog: int = 8, port: int = PORT) -> socket.socket:
        """A socket that listens."""
        made = self.new_socket(PATIENCE)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((KERNEL, port))
        made.listen(backlog)
        return made

    def loopback(self) -> tuple[socket.socket, socket.socket]:
        """A connection of the kernel with itself: who connected, and who accepted."""
        listener = self.listening()
        client = self.new_socket(PATIENCE)
        client.connect((KERNEL, PORT))
        served = listener.accept()[0]
        listener.close()
        self._made.append(served)
        served.settimeout(PATIENCE)
        return client, served

    def connecting(
        self, options: Mapping[int, int] = MappingProxyType({}), port: int = 0
    ) -> tuple[socket.socket, Peer]:
        """A socket that began to connect to a peer, from `port` if given, and that peer, which has heard the SYN."""
        sock = self.new_socket()
        for name, value in options.items():
            sock.setsockopt(socket.IPPROTO_TCP, name, value)
        if port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((KERNEL, port))
        sock.setblocking(False)
        seen = len(self.heard)
        begun = sock.connect_ex((REMOTE_IPV4, PORT))
        if begun != errno.EINPROGRESS:
            raise OSError(begun, os.strerror(begun))
        peer = Peer(self, PORT, sock.getsockname()[1])
        peer.seen = seen
        peer.expect(SYN)
        return sock, peer

    def connected(self, options: Options = NO_OPTIONS) -> tuple[socket.socket, Peer]:
        """A socket that connected to a peer."""
        sock, peer = self.connecting()
        peer.send(SYN | ACK, options=options)
        peer.expect(ACK)
        sock.settimeout(PATIENCE)
        return sock, peer

    def served(
        self, port: int = _PEER_PORT, seq: int = 1000, options: Options = NO_OPTIONS
    ) -> tuple[socket.socket, Peer]:
        """A socket that was accepted from a peer. The listener is closed."""
        listener = self.listening()
        peer = Peer(self, port, PORT, seq)
        peer.open(options)
        sock = listener.accept()[0]
        listener.close()
        self._made.append(sock)
        sock.settimeout(PATIENCE)
        return sock, peer

    # --- what it does

    def listen_for(self, seconds: float) -> None:
        """Reads what it sends for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._keep(left, left)
        self._keep(0, 0)

    def until(self, condition: Callable[[], bool], seconds: float = PATIENCE) -> float:
        """Reads what it sends until `condition` holds, and returns how long that took, in seconds. Raises TimeoutError
        after `seconds`."""
        began = time.monotonic()
        pause = _GLANCE
        while not condition():
            waited = time.monotonic() - began
            if waited > seconds:
                raise TimeoutError(errno.ETIMEDOUT, "the kernel did not do what was waited for")
            if waited > 1:
                pause = 10 * _GLANCE
            self._keep(pause, pause)
        return time.monotonic() - began

    def until_closed(self, sock: socket.socket, seconds: float = PATIENCE) -> tuple[float, str]:
        """Waits until `sock` is CLOSED: how long that took, in seconds, and the name of the errno that it left."""
        took = self.until(lambda: state(sock) == "CLOSED", seconds)
        return took, errno.errorcode.get(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), "ok")

    def _keep(self, quiet: float, limit: float) -> None:
        for each in self.host.until_quiet(quiet, limit):
            if isinstance(each.packet.payload, Segment):
                self.heard.append(Heard(each.packet.payload, (each.time - self._began) / 1e9))

    def sysctl(self, name: str) -> int:
        """A parameter of the namespace: its default, if it was not set."""
        return int(self.host.sysctl(f"ipv4/{name}"))

    def states(self) -> list[str]:
        """The states of all that it holds, but LISTEN."""
        return sorted(state for state in self.host.states().values() if state != "LISTEN")

    def sockets_in_use(self) -> int:
        """How many TCP sockets the namespace has (``/proc/net/sockstat``), without requests and TIME-WAIT."""

        def read() -> int:
            lines = Path("/proc/thread-self/net/sockstat").read_text(encoding="ascii").splitlines()
            words = next(line for line in lines if line.startswith("TCP:")).split()
            return int(words[words.index("inuse") + 1])

        return self.host.inside(read)


class Peer:
    """A far end, by hand.

    `port` is its own, `kernel_port` the other; `seq` is what it sends next, `ack` what it expects next, in step with
    what it heard; `seen` is how much of the kernel's `heard` it has looked at.
    """

    def __init__(self, kernel: Kernel, port: int = _PEER_PORT, kernel_port: int = PORT, seq: int = 1000) -> None:
        self.kernel = kernel
        self.port = port
        self.kernel_port = kernel_port
        self.seq = seq
        self.ack = 0
        self.seen = len(kernel.heard)

    def send(
        self,
        flags: int,
        payload: bytes = b"",
        seq: int | None = None,
        ack: int | None = None,
        options: Options = NO_OPTIONS,
        window: int = 65535,
    ) -> None:
        """Sends a segment: the next in order, unless `seq` or `ack` say otherwise."""
        number = self.seq if seq is None else seq
        acked = (self.ack if ack is None else ack) if flags & ACK else 0
        pieces = (payload,) if payload else ()
        segment = Segment(self.port, self.kernel_port, number & MASK, acked, flags, window, options, pieces)
        self.kernel.host.send(Packet(packed(REMOTE_IPV4), packed(KERNEL), PROTOCOL_TCP, segment))
        if seq is None:
            self.seq = (self.seq + segment.length) & MASK

    def open(self, options: Options = NO_OPTIONS) -> Segment:
        """The three messages; returns the SYN+ACK."""
        self.send(SYN, options=options)
        answer = self.expect(SYN | ACK)
        self.send(ACK, options=later(options))
        return answer.segment

    def sent(self, flags: int | None = None) -> list[Heard]:
        """What the kernel has sent to it so far, of one kind or all."""
        return [
            one
            for one in self.kernel.heard
            if one.segment.destination_port == self.port
            and one.segment.source_port == self.kernel_port
            and (flags is None or one.has(flags))
        ]

    def expect(self, flags: int, octets: int = 0, seconds: float = PATIENCE) -> Heard:
        """The next segment of that kind, with `octets` of data at least; `ack` moves on with what comes. Raises
        TimeoutError."""
        found: list[Heard] = []

        def arrived() -> bool:
            fresh, self.seen = self.kernel.heard[self.seen :], len(self.kernel.heard)
            for one in fresh:
                if one.segment.destination_port != self.port:
                    continue
                self.ack = (one.segment.seq + one.segment.length) & MASK
                if one.has(flags) and one.segment.payload_length >= octets:
                    found.append(one)
            return bool(found)

        self.kernel.until(arrived, seconds)
        return found[0]


def later(options: Options) -> Options:
    """Of the options of a SYN, those that all later segments bear."""
    return Options(ts_val=options.ts_val, ts_ecr=options.ts_ecr) if options.ts_val is not None else NO_OPTIONS


def outcome(call: Callable[[], object]) -> str:
    """What came of a call: the name of its errno, or "ok"."""
    try:
        call()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    return "ok"


class Background:
    """Makes a call in a thread of its own; `outcome` is what came of it, once it is `over`."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.outcome = ""
        self._thread = threading.Thread(target=self._run, args=(call,), daemon=True)
        self._thread.start()

    def _run(self, call: Callable[[], object]) -> None:
        self.outcome = outcome(call)

    def over(self) -> bool:
        return not self._thread.is_alive()


def state(sock: socket.socket) -> str:
    """The state of a socket, under the RFC's name."""
    return tcp_info(sock).state


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP))
