"""What the host sends: packets in the order in which they left, in the numbers of the script, and joined."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from synfin.drill.bench import tcp_options
from synfin.drill.bench.numbers import Numbers, signed
from synfin.drill.language.script import TcpOption, TcpPacket
from synfin.wire.ip import Packet
from synfin.wire.sequence import wrap
from synfin.wire.tcp import ACK, CWR, FIN, PSH, SYN, Segment


@dataclass(frozen=True, slots=True)
class Sent:
    """A segment that left the host, or several that were joined. `seq`, `ack` and `options` are in the numbers of the
    script, `live_seq` and `live_ack` as on the wire.

    `time` and `first_time`: when the last and the first of them left. `sizes`: the payload of each. `ends_queue`: no
    octet of data was queued behind it.
    """

    time: int
    first_time: int
    packet: Packet
    flags: int
    seq: int
    ack: int
    live_seq: int
    live_ack: int
    window: int
    urgent: int
    options: tuple[TcpOption, ...]
    payload: bytes
    sizes: tuple[int, ...]
    ends_queue: bool
    ports: tuple[int, int]

    @property
    def length(self) -> int:
        return len(self.payload)


def sent(packet: Packet, header: bytes, numbers: Numbers, time: int, ends_queue: bool) -> Sent:
    """A packet that left at `time`; `header` are the octets of its TCP header."""
    segment = packet.payload
    assert isinstance(segment, Segment)
    options = tcp_options.decode(header[20:], numbers.theirs) if len(header) > 20 else []
    seq = (numbers.script_isn or 0) if segment.flags & SYN else signed(wrap(segment.seq - numbers.ours))
    return Sent(
        time,
        time,
        packet,
        segment.flags,
        seq,
        signed(wrap(segment.ack - numbers.theirs)) if segment.flags & ACK else segment.ack,
        segment.seq,
        segment.ack,
        segment.wnd,
        segment.up,
        tuple(options),
        segment.payload_bytes(),
        (segment.payload_length,),
        ends_queue,
        (segment.source_port, segment.destination_port),
    )


def join(first: Sent, second: Sent) -> Sent:
    """Both as one: the sequence number and CWR are the first's, all else is the second's."""
    return replace(
        second,
        first_time=first.first_time,
        seq=first.seq,
        live_seq=first.live_seq,
        flags=second.flags & ~CWR | first.flags & CWR,
        payload=first.payload + second.payload,
        sizes=first.sizes + second.sizes,
    )


def cut(whole: Sent, length: int) -> tuple[Sent, Sent]:
    """One segment as two, the first with `length` octets of payload. PSH and FIN go with the end."""
    head = replace(
        whole,
        flags=whole.flags & ~(PSH | FIN),
        payload=whole.payload[:length],
        sizes=(length,),
        ends_queue=False,
    )
    tail = replace(
        whole,
        flags=whole.flags & ~CWR,
        seq=whole.seq + length,
        live_seq=wrap(whole.live_seq + length),
        payload=whole.payload[length:],
        sizes=(whole.length - length,),
    )
    return head, tail


def follows(first: Sent, second: Sent) -> bool:
    """Whether the octets of `second` come right behind those of `first`."""
    return bool(second.length) and wrap(first.live_seq + first.length) == second.live_seq


def wants_more(joined: Sent, wanted: TcpPacket, lenient: bool) -> bool:
    """Whether the script's segment is longer than what is there, and may be made of several."""
    if not joined.length or joined.length >= wanted.sequence.length or joined.flags & FIN:
        return False
    # All but the last are of one length.
    return lenient or len(set(joined.sizes)) == 1


def may_join(joined: Sent, following: Sent, wanted: TcpPacket, lenient: bool) -> bool:
    """Whether `following` is the next part of the script's segment."""
    if not follows(joined, following):
        return False
    if lenient:
        return True
    return following.length <= joined.sizes[0] and joined.length + following.length <= wanted.sequence.length


class Outbound:
    """The packets that were sent and not yet expected, by connection."""

    __slots__ = ("_queues",)

    def __init__(self) -> None:
        self._queues: dict[bytes, deque[Sent]] = {}

    def add(self, flow: bytes, packet: Sent) -> None:
        self._queues.setdefault(flow, deque()).append(packet)

    def queue(self, flow: bytes) -> deque[Sent]:
        """What waits of the connection whose arriving packets have the key `flow`."""
        return self._queues.setdefault(flow, deque())
