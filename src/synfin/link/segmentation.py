"""Superpackets cut into the segments they stand for, as Linux's generic segmentation offload (GSO) cuts them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from itertools import repeat

from synfin.wire.ip import Packet
from synfin.wire.tcp import CWR, FIN, PSH, Piece, Segment


def is_superpacket(packet: Packet) -> bool:
    """Whether `packet` stands for more than one TCP segment."""
    segment = packet.payload
    return isinstance(segment, Segment) and 0 < segment.segment_size < segment.payload_length


def cut(packet: Packet) -> list[Packet]:
    """The ordinary packets that a superpacket stands for; any other packet alone, unchanged.

    Linux's rules (`net/ipv4/tcp_offload.c`, tcp_gso_segment): each packet has the same header and options, but
    PSH and FIN stand on the last only, CWR on the first only, and IPv4's identification counts up. The payloads are
    views of the original's.
    """
    segment = packet.payload
    if not isinstance(segment, Segment) or not 0 < segment.segment_size < segment.payload_length:
        return [packet]
    return split(packet, repeat(segment.segment_size))


def split(packet: Packet, lengths: Iterable[int]) -> list[Packet]:
    """Cut a superpacket into packets with these many octets of payload each, all but the last of them multiples of
    its segment size. Those that still stand for several segments are superpackets themselves. When `lengths` add up
    to more than there is, the last is shorter. Raises ValueError if `packet` has no segment size.
    """
    segment = packet.payload
    if not isinstance(segment, Segment) or not segment.segment_size:
        raise ValueError("only a packet with a segment size can be cut")
    size = segment.segment_size
    version = packet.version
    payloads = _cut_pieces(segment.payload, lengths)
    last = len(payloads) - 1
    packets: list[Packet] = []
    offset = 0
    for index, payload in enumerate(payloads):
        length = sum(map(len, payload))
        flags = segment.flags
        if index:
            flags &= ~CWR
        if index != last:
            flags &= ~(PSH | FIN)
        part = Segment(
            segment.source_port,
            segment.destination_port,
            (segment.seq + offset) & 0xFFFFFFFF,
            segment.ack,
            flags,
            segment.wnd,
            segment.options,
            payload,
            size if length > size else 0,
            segment.up,
            length,
            segment.reserved,
        )
        packets.append(
            Packet(
                packet.source,
                packet.destination,
                packet.protocol,
                part,
                packet.ttl,
                packet.traffic_class,
                packet.flow_label,
                (packet.identification + offset // size) & 0xFFFF if version == 4 else packet.identification,
                packet.dont_fragment,
                packet.more_fragments,
                packet.fragment_offset,
                packet.extension,
            )
        )
        offset += length
    return packets


def _cut_pieces(pieces: Iterable[Piece], lengths: Iterable[int]) -> list[tuple[Piece, ...]]:
    """`pieces` laid end to end and cut anew into runs of `lengths` octets, without copying."""
    runs: list[tuple[Piece, ...]] = []
    run: list[Piece] = []
    following = iter(lengths)
    missing = next(following)
    for piece in pieces:
        view = memoryview(piece)
        length = len(view)
        start = 0
        while start < length:
            end = min(start + missing, length)
            run.append(view[start:end])
            missing -= end - start
            start = end
            if not missing:
                runs.append(tuple(run))
                run = []
                missing = next(following, 0) or length
    if run:
        runs.append(tuple(run))
    return runs


class Unsent:
    """What is left of a packet that a link sends in parts, when the device became full in between.

    It holds the parts of one packet at most. `packet` is that packet, None if nothing is left.
    """

    __slots__ = ("_parts", "packet")

    def __init__(self) -> None:
        self.packet: Packet | None = None
        self._parts: deque[Packet] = deque()

    def send(
        self, packet: Packet, divide: Callable[[Packet], Iterable[Packet]], write: Callable[[Packet], bool]
    ) -> bool:
        """Divide `packet`, unless it is the one that was begun, and `write` each part; False once `write` says so."""
        if packet is not self.packet:
            if not self._write_parts(write):
                return False
            self.packet = packet
            self._parts.extend(divide(packet))
        return self._write_parts(write)

    def _write_parts(self, write: Callable[[Packet], bool]) -> bool:
        parts = self._parts
        while parts:
            if not write(parts[0]):
                return False
            parts.popleft()
        self.packet = None
        return True
