"""Links inside one process: IP packets as octets, handed over by function calls or by two coroutines.

No root, no descriptor, any platform. `Channel` is a link whose other side is the caller's; `AsyncChannel` carries its
packets with an asynchronous send and receive of the caller's (a datagram socket's, a queue's, a tunnel's);
`channel_pair` makes two channels of which each receives what the other sends.
"""

from __future__ import annotations

import errno
import io
import os
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from synfin.link.link import MAXIMUM_PACKET, Frame, Link
from synfin.link.segmentation import Unsent, cut, is_superpacket
from synfin.wire.ip import Packet, octets

Octets: TypeAlias = bytes | bytearray | memoryview
Send: TypeAlias = Callable[[bytes], Awaitable[object]]
Receive: TypeAlias = Callable[[], Awaitable[Octets]]

QUEUE_LIMIT: Final = 500
"""Packets that wait in each direction at most, as many as in the queue of a TUN device."""
MINIMUM_MTU: Final = 68
"""RFC 791 §3.2: what every link that carries IPv4 can carry. (IPv6 wants 1280: RFC 8200 §5.)"""


class PacketQueue:
    """Packets on their way, first in first out, at most `limit`; once closed it swallows what it is given.

    `filled` is called when the queue is no longer empty, `drained` when one that refused a packet is half empty.
    """

    __slots__ = ("_packets", "_refused", "closed", "drained", "filled", "limit")

    def __init__(self, limit: int) -> None:
        self._packets: deque[bytes] = deque()
        self._refused = False
        self.closed = False
        self.limit = limit
        self.filled: Callable[[], object] | None = None
        self.drained: Callable[[], object] | None = None

    def __len__(self) -> int:
        return len(self._packets)

    def has_room(self) -> bool:
        """Whether the queue takes a packet now; if not, `drained` will be called."""
        if len(self._packets) < self.limit:
            return True
        self._refused = True
        # Another thread may have emptied it meanwhile, and will not call.
        if len(self._packets) > self.limit // 2:
            return False
        self._refused = False
        return True

    def put(self, packet: bytes) -> None:
        if self.closed:
            return
        self._packets.append(packet)
        if len(self._packets) == 1 and self.filled is not None:
            self.filled()

    def take(self) -> bytes | None:
        """The first packet, or None if there is none."""
        if not self._packets:
            return None
        packet = self._packets.popleft()
        if self._refused and len(self._packets) <= self.limit // 2:
            self._refused = False
            if self.drained is not None:
                self.drained()
        return packet

    def close(self) -> None:
        self.closed = True
        self._packets.clear()


class Channel(Link):
    """A link that ends in this process. Whoever has the other side calls `deliver` for each packet that comes in and
    `take` for those that go out; `outgoing.filled`, if set, is called when there is something to take.

    Both directions are bounded by `limit` packets. What comes in faster than the stack is served is dropped and
    counted in `counters["rx_dropped"]`; what goes out waits, and TCP with it, until there is room. Packets larger
    than `mtu` (octets) that come in are taken. A stack that an event loop of others serves is for one thread: from
    another, use the loop's `call_soon_threadsafe`. Raises ValueError for an MTU that is none.
    """

    __slots__ = ("_unsent", "counters", "incoming", "mtu", "outgoing", "room")

    mtu: int
    room: int

    def __init__(
        self,
        mtu: int = 1500,
        *,
        limit: int = QUEUE_LIMIT,
        incoming: PacketQueue | None = None,
        outgoing: PacketQueue | None = None,
    ) -> None:
        if not MINIMUM_MTU <= mtu <= MAXIMUM_PACKET:
            raise ValueError(f"an MTU is from {MINIMUM_MTU} to {MAXIMUM_PACKET} octets, not {mtu}")
        if limit < 1:
            raise ValueError(f"a queue holds 1 packet or more, not {limit}")
        self.mtu = mtu
        self.room = MAXIMUM_PACKET
        self.incoming = PacketQueue(limit) if incoming is None else incoming
        self.outgoing = PacketQueue(limit) if outgoing is None else outgoing
        self._unsent = Unsent()
        self.counters = {"rx_dropped": 0}

    # --- the other side's

    def deliver(self, packet: Octets) -> bool:
        """Hand the stack one IP packet. False: it was dropped, because too many wait or the channel is closed.

        A mutable buffer is copied.
        """
        incoming = self.incoming
        if incoming.closed or not incoming.has_room():
            self.counters["rx_dropped"] += 1
            return False
        incoming.put(packet if isinstance(packet, bytes) else bytes(memoryview(packet)))
        return True

    def take(self) -> bytes | None:
        """The next IP packet that the stack sends, or None when there is none now."""
        return self.outgoing.take()

    # --- the stack's

    def fileno(self) -> int:
        """Raises io.UnsupportedOperation: there is none."""
        raise io.UnsupportedOperation("a channel has no descriptor")

    def receive(self) -> Frame | None:
        incoming = self.incoming
        packet = incoming.take()
        if packet is None:
            if incoming.closed:
                raise OSError(errno.ENETDOWN, os.strerror(errno.ENETDOWN))
            return None
        return Frame(packet)

    def send(self, packet: Packet) -> bool:
        unsent = self._unsent
        if unsent.packet is None and not is_superpacket(packet):
            return self._put(packet)
        return unsent.send(packet, cut, self._put)

    def _put(self, packet: Packet) -> bool:
        outgoing = self.outgoing
        if not outgoing.has_room():
            return False
        outgoing.put(octets(packet))
        return True

    def close(self) -> None:
        """Both directions end: what waits is dropped, and so is whatever still comes."""
        self.incoming.close()
        self.outgoing.close()


class AsyncChannel(Channel):
    """A channel that is carried by two coroutine functions of the caller's.

    Each packet that goes out is awaited with ``await send(packet)``, one at a time; those that come in are what
    ``await receive()`` returns, one whole IP packet each time. The driver of a `synfin.Stack` calls them in two tasks
    of their own. What either raises ends the stack with that error. `asyncio.Queue`'s `put` and `get` will do.
    """

    __slots__ = ("receive_octets", "send_octets")

    def __init__(self, send: Send, receive: Receive, mtu: int = 1500, *, limit: int = QUEUE_LIMIT) -> None:
        super().__init__(mtu, limit=limit)
        self.send_octets = send
        self.receive_octets = receive


def channel_pair(mtu: int = 1500, *, limit: int = QUEUE_LIMIT) -> tuple[Channel, Channel]:
    """Two channels: each receives what the other sends. Closing one is like pulling the cable: the other is told
    nothing, and what it sends is lost."""
    to_right, to_left = PacketQueue(limit), PacketQueue(limit)
    left = Channel(mtu, incoming=to_left, outgoing=to_right)
    return left, Channel(mtu, incoming=to_right, outgoing=to_left)
