"""What every device that carries IP packets offers, and the base of the wrappers around one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from synfin.tcp.timers import NEVER

if TYPE_CHECKING:
    from synfin.wire.ip import Packet

MAXIMUM_PACKET: Final = 65535
"""The largest IP packet in octets that a link is ever given (RFC 791 §3.1, Total Length)."""


class Frame:
    """The octets of one IP packet that a link received.

    `segment_size` is 0 for an ordinary packet; otherwise the packet is a superpacket that stands for a run of TCP
    segments of that many octets of payload each (the last may be shorter). `checksum_verified` says that whoever
    handed the packet over vouches for the checksum of its payload; the field may then hold a partial sum.
    """

    __slots__ = ("checksum_verified", "data", "segment_size")

    def __init__(self, data: bytes | memoryview, segment_size: int = 0, checksum_verified: bool = False) -> None:
        self.data = data
        self.segment_size = segment_size
        self.checksum_verified = checksum_verified

    def __repr__(self) -> str:
        return (
            f"Frame({len(self.data)} octets, segment_size={self.segment_size},"
            f" checksum_verified={self.checksum_verified})"
        )


class Link(ABC):
    """A device that carries IP packets. No call waits.

    `mtu` is the largest ordinary packet in octets. `room` is the largest packet that `send` takes: more than `mtu`
    where the link cuts superpackets, in hardware or in software, and `mtu` otherwise.

    Errors are OSError; ENETDOWN says that the device is gone for good.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def mtu(self) -> int:
        """The largest ordinary packet, in octets."""

    @property
    @abstractmethod
    def room(self) -> int:
        """The largest packet that `send` takes, in octets."""

    @property
    def aggregates(self) -> bool:
        """Whether runs of segments come in as superpackets already; if not, whoever receives may merge them."""
        return False

    @abstractmethod
    def fileno(self) -> int:
        """The descriptor to wait on, for reading and for writing (level-triggered)."""

    @abstractmethod
    def receive(self) -> Frame | None:
        """The next frame, or None when there is none now.

        The descriptor knows nothing of frames that a wrapper holds. A caller that stops before None has to call
        again, without waiting for the descriptor to become readable.
        """

    @abstractmethod
    def send(self, packet: Packet) -> bool:
        """Send `packet`. False means that the device is full: the caller keeps the packet, waits until the descriptor
        is writable, and offers the same object again, before any other. Part of it may have gone out by then; the
        link remembers which.

        A packet that the device refuses is dropped and counted, as on any network.
        """

    def next_deadline(self) -> int:
        """When to call `deadline_reached` (nanoseconds of the monotonic clock); NEVER if nothing waits.

        To be asked anew after every other call.
        """
        return NEVER

    def deadline_reached(self, now: int) -> None:  # noqa: B027 (most have nothing to wait for)
        """Let what the link held back go. Ask `receive` afterwards: frames may have become ready."""

    @abstractmethod
    def close(self) -> None:
        """Give the device back. Closing twice is harmless."""


class WrappedLink(Link):
    """A link that hands everything on to another, `inner`: the base of links that look or meddle."""

    __slots__ = ("inner",)

    def __init__(self, inner: Link) -> None:
        self.inner = inner

    @property
    def mtu(self) -> int:
        return self.inner.mtu

    @property
    def room(self) -> int:
        return self.inner.room

    @property
    def aggregates(self) -> bool:
        return self.inner.aggregates

    def fileno(self) -> int:
        return self.inner.fileno()

    def receive(self) -> Frame | None:
        return self.inner.receive()

    def send(self, packet: Packet) -> bool:
        return self.inner.send(packet)

    def next_deadline(self) -> int:
        return self.inner.next_deadline()

    def deadline_reached(self, now: int) -> None:
        self.inner.deadline_reached(now)

    def close(self) -> None:
        self.inner.close()
