"""What becomes of one packet on its way: lost, passed, delayed, doubled, damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synfin.wire.errors import WireError
from synfin.wire.ip import octets, parse_packet

if TYPE_CHECKING:
    from synfin.reasons import Reason
    from synfin.wire.ip import Packet


class Passage:
    """One packet, or one of its copies, on its way past the faults.

    `packet` is an ordinary packet. `number` is its number on its wire or link, from 1, both ways counted together;
    `sender` is the name of the end that sent it. `duplicate` tells a copy from the packet itself.
    What the faults decided: `lost`, the reason for which it does not arrive, or None; `delay` in nanoseconds;
    `damage`, None or a share of its length, from 0 up to but not including 1: the bit there is flipped.
    """

    __slots__ = ("damage", "delay", "duplicate", "lost", "number", "packet", "sender")

    def __init__(
        self,
        packet: Packet,
        number: int,
        sender: str = "",
        duplicate: bool = False,
        delay: int = 0,
        lost: Reason | None = None,
        damage: float | None = None,
    ) -> None:
        self.packet = packet
        self.number = number
        self.sender = sender
        self.duplicate = duplicate
        self.delay = delay
        self.lost = lost
        self.damage = damage

    @property
    def unharmed(self) -> bool:
        """Whether it arrives at once and as it was sent."""
        return self.lost is None and self.damage is None and not self.delay

    def copy(self) -> Passage:
        """A duplicate of the packet, with all that was decided so far."""
        return Passage(self.packet, self.number, self.sender, True, self.delay, self.lost, self.damage)

    def octets(self) -> bytes:
        """The packet as it arrives, with its bit flipped if it is damaged."""
        data = octets(self.packet)
        return data if self.damage is None else flip_bit(data, self.damage)

    def unnoticed(self) -> Packet | None:
        """The packet as it arrives if no checksum tells that it is damaged (RFC 8200 has none for its header); None
        if it is not damaged, or if that is noticed."""
        if self.damage is None:
            return None
        try:
            packet = parse_packet(self.octets())
        except WireError:
            return None
        # What a link carries says for itself which version it is.
        return packet if packet.version == self.packet.version else None

    def __repr__(self) -> str:
        fate = f"lost: {self.lost.name}" if self.lost is not None else f"delay={self.delay} damage={self.damage}"
        again = " again" if self.duplicate else ""
        return f"<Passage {self.number}{again} from {self.sender or 'anywhere'} {fate}>"


def flip_bit(data: bytes, place: float) -> bytes:
    """`data` with one bit flipped, which stands at `place` (a share of the length, from 0, below 1)."""
    bit = int(place * len(data) * 8)
    spoiled = bytearray(data)
    spoiled[bit >> 3] ^= 0x80 >> (bit & 7)
    return bytes(spoiled)
