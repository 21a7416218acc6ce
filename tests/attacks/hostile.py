"""Hostile packets of every kind, from a seed: for the campaign `campaigns/hostile.py`, and small versions of it.

A kind is a function of an `Attacker` that returns the octets of one packet. The attacker is blind: of the connection of
others it knows both addresses and ports, never a number that would be exactly right. Besides, it has connections of its
own, on which it does what no peer should.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType
from typing import Final

from synfin.host.addresses import packed
from synfin.wire.checksum import finish, ones_complement_sum
from synfin.wire.icmp import IcmpMessage
from synfin.wire.ip import Packet, octets
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, FIN, NO_OPTIONS, PSH, RST, SYN, URG, Options, Segment

OPEN_PORT: Final = 80
CLOSED_PORT: Final = 81
#: Each kind forges sources in a network of its own, 10.66.N.0/24 and fd00:66:N::/48, N its place in KINDS.
NETWORK: Final = (10, 66)
NETWORK_6: Final = bytes.fromhex("fd000066")

Octets = bytes


class Victim:
    """A connection of somebody else: the ends' addresses and ports, as in what the client sends. `inside` tells, where
    it can be known, which 32-bit numbers fall into the windows of the attacked end: (RCV.NXT, RCV.WND, SND.UNA)."""

    def __init__(self, client: str, port: int, inside: Callable[[], tuple[int, int, int] | None]) -> None:
        self.client = packed(client)
        self.port = port
        self.inside = inside


class Own:
    """A connection of the attacker's own, opened with a true handshake; `seq` and `ack` are the attacker's numbers."""

    def __init__(self, source: bytes, port: int, seq: int, ack: int, echo: int) -> None:
        self.source = source
        self.port = port
        self.seq = seq
        self.ack = ack
        self.echo = echo
        self.clock = 1
        self.used = 0


class Attacker:
    """Where the packets come from. `own` is set before the kinds in OWN_KINDS are asked for a packet."""

    def __init__(self, seed: int, target: str, target_6: str) -> None:
        self.random = Random(seed)
        self.target = packed(target)
        self.target_6 = packed(target_6)
        self.victim: Victim | None = None
        self.own: Own | None = None
        self.kind = 0

    # --- pieces

    def source(self, version: int = 4) -> bytes:
        """A forged source in the network of the present kind."""
        if version == 6:
            return NETWORK_6 + self.kind.to_bytes(2, "big") + self.random.randbytes(10)
        return bytes((*NETWORK, self.kind, self.random.randrange(1, 255)))

    def word(self) -> int:
        return self.random.getrandbits(32)

    def segment(
        self, port: int, flags: int, options: Options = NO_OPTIONS, payload: bytes = b"", wnd: int = -1
    ) -> Segment:
        """A segment with random numbers from a random port."""
        random = self.random
        return Segment(
            random.randrange(1, 65536),
            port,
            self.word(),
            self.word() if flags & ACK else 0,
            flags,
            random.getrandbits(16) if wnd < 0 else wnd,
            options,
            (payload,) if payload else (),
            up=random.getrandbits(16) if flags & URG else 0,
        )

    def packet(self, segment: Segment, version: int = 4, source: bytes | None = None) -> Packet:
        target = self.target if version == 4 else self.target_6
        return Packet(self.source(version) if source is None else source, target, 6, segment)

    def towards_victim(self, flags: int, payload: bytes = b"") -> Segment:
        """A segment in the name of the victim's client, with random numbers."""
        segment = self.segment(OPEN_PORT, flags, payload=payload)
        assert self.victim is not None
        segment.source_port = self.victim.port
        return segment

    def from_victim(self, segment: Segment) -> bytes:
        assert self.victim is not None
        return octets(Packet(self.victim.client, self.target, 6, segment))

    def by_own(self, flags: int, seq: int, ack: int, wnd: int, options: Options, payload: bytes = b"") -> bytes:
        """A segment on the attacker's own connection, `seq` and `ack` away from what would be right."""
        own = self.own
        assert own is not None
        own.used += 1
        own.clock += 1
        pieces = (payload,) if payload else ()
        seq, ack = own.seq + seq & MASK, own.ack + ack & MASK
        return octets(
            Packet(own.source, self.target, 6, Segment(own.port, OPEN_PORT, seq, ack, flags, wnd, options, pieces))
        )

    def stamps(self, sack: tuple[tuple[int, int], ...] = ()) -> Options:
        assert self.own is not None
        return Options(ts_val=self.own.clock, ts_ecr=self.own.echo, sack=sack)


def _resummed(data: bytes) -> bytes:
    """IPv4 octets with the sum of their header made right, so that what is wrong is found further in."""
    length = min((data[0] & 0xF) * 4, len(data))
    if length < 20:
        return data
    header = bytearray(data[:length])
    header[10:12] = bytes(2)
    header[10:12] = finish(ones_complement_sum(header)).to_bytes(2, "big")
    return bytes(header) + data[length:]


# --- the kinds


def forged_syn(a: Attacker) -> bytes:
    """SYNs of those who are not there: bare, with what hosts send, with data."""
    version = a.random.choice((4, 4, 4, 6))
    options = a.random.choice(
        (
            NO_OPTIONS,
            Options(mss=1460),
            Options(mss=1460, sack_permitted=True),
            Options(mss=1460, sack_permitted=True, ts_val=a.word(), ts_ecr=0, window_scale=7),
            Options(mss=1460, window_scale=8, sack_permitted=True),
        )
    )
    payload = a.random.randbytes(a.random.choice((0, 0, 0, 0, 0, 0, 0, 10)))
    return octets(a.packet(a.segment(OPEN_PORT, SYN, options, payload), version))


def stray(a: Attacker) -> bytes:
    """Any flags, to ports that are open and closed, from nobody's connection."""
    version = a.random.choice((4, 4, 4, 6))
    port = a.random.choice((OPEN_PORT, CLOSED_PORT, a.random.randrange(65536)))
    payload = a.random.randbytes(a.random.choice((0, 0, 1, 100, 1400)))
    return octets(a.packet(a.segment(port, a.random.getrandbits(9), NO_OPTIONS, payload), version))


def blind_reset(a: Attacker) -> bytes:
    """RSTs in the name of the victim: anywhere, and in its window where that is known, but never exact."""
    segment = a.towards_victim(RST | a.random.choice((0, ACK)))
    assert a.victim is not None
    inside = a.victim.inside()
    if inside is not None:
        rcv_nxt, rcv_wnd, _ = inside
        if a.random.random() < 0.5:
            segment.seq = rcv_nxt + a.random.randrange(1, max(rcv_wnd, 2)) & MASK
        elif segment.seq == rcv_nxt:
            segment.seq = rcv_nxt - 5 & MASK
    return a.from_victim(segment)


def blind_syn(a: Attacker) -> bytes:
    """SYNs, with and without ACK, in the name of the victim."""
    return a.from_victim(a.towards_victim(SYN | a.random.choice((0, ACK, FIN, PSH))))


def blind_data(a: Attacker) -> bytes:
    """Data, ACKs and FINs in the name of the victim, with random numbers. What would fall into both windows, about
    one in a million, is not sent: RFC 5961 §5 does not rule it out."""
    flags = ACK | a.random.choice((0, 0, FIN, PSH, URG))
    segment = a.towards_victim(flags, a.random.randbytes(a.random.choice((0, 1, 100, 1400))))
    assert a.victim is not None
    inside = a.victim.inside()
    rcv_nxt, rcv_wnd, _ = inside if inside is not None else (segment.seq + 1, 0, 0)
    if (segment.seq - rcv_nxt + (1 << 23)) & MASK < rcv_wnd + (1 << 24):
        segment.seq = segment.seq ^ (1 << 31)
    return a.from_victim(segment)


def bad_lengths(a: Attacker) -> bytes:
    """Lengths that contradict each other: of the packet, of either header, of the option."""
    data = bytearray(octets(a.packet(a.segment(OPEN_PORT, SYN | ACK, Options(mss=1460), b"some data"))))
    draw = a.random.randrange(4)
    if draw == 0:
        data[0] = 0x40 | a.random.getrandbits(4)
    elif draw == 1:
        data[2:4] = a.random.randbytes(2)
    elif draw == 2:
        data[32] = a.random.getrandbits(8)
    else:
        data[41] = a.random.getrandbits(8)
    return _resummed(bytes(data))


def truncated(a: Attacker) -> bytes:
    """Packets that end too soon, with a total length that is right or not."""
    whole = a.random.choice((forged_syn, stray))(a)
    data = whole[: a.random.randrange(len(whole))]
    if len(data) >= 4 and data[0] >> 4 == 4 and a.random.random() < 0.5:
        data = data[:2] + len(data).to_bytes(2, "big") + data[4:]
        data = _resummed(data)
    return data


def spoiled(a: Attacker) -> bytes:
    """Packets of which a few bits were turned, so that a sum is wrong."""
    data = bytearray(a.random.choice((forged_syn, stray, icmp_lies))(a))
    for _ in range(a.random.randrange(1, 4)):
        data[a.random.randrange(len(data))] ^= 1 << a.random.randrange(8)
    return bytes(data)


def noise(a: Attacker) -> bytes:
    """Octets."""
    data = bytearray(a.random.randbytes(a.random.randrange(1, 200)))
    if a.random.random() < 0.7 and len(data) >= 40:
        # A header of IPv4 that is in order, over whatever protocol.
        data[0:10] = (
            bytes((0x45, 0)) + len(data).to_bytes(2, "big") + bytes(4) + bytes((64, a.random.choice((1, 6, 6))))
        )
        data[12:16], data[16:20] = a.source(), a.target
        return _resummed(bytes(data))
    return bytes(data)


def odd_options(a: Attacker) -> bytes:
    """Options that contradict themselves: lengths, kinds twice, shifts and sizes beyond sense; sums are right."""
    random = a.random
    if random.random() < 0.5:
        options = Options(
            mss=random.choice((0, 1, 8, 65535)),
            window_scale=random.choice((15, 255)),
            sack_permitted=True,
            ts_val=a.word(),
            ts_ecr=a.word(),
        )
        return octets(a.packet(a.segment(OPEN_PORT, SYN, options)))
    others = tuple((random.randrange(2, 256), random.randbytes(random.randrange(4))) for _ in range(4))
    data = bytearray(octets(a.packet(a.segment(OPEN_PORT, random.choice((SYN, ACK)), Options(others=others)))))
    end = 20 + (data[32] >> 4) * 4
    data[40:end] = random.randbytes(end - 40)
    data[36:38] = bytes(2)
    pseudo = data[12:20] + bytes((0, 6)) + (len(data) - 20).to_bytes(2, "big")
    data[36:38] = finish(ones_complement_sum(bytes(pseudo) + bytes(data[20:]))).to_bytes(2, "big")
    return bytes(data)


def fragments(a: Attacker) -> bytes:
    """First halves without second ones, overlaps, ends beyond 65,535, parts of eight octets, single last ones."""
    random = a.random
    whole = octets(a.packet(a.segment(OPEN_PORT, SYN, Options(mss=1460), random.randbytes(400))))
    offset = random.choice((0, 0, 0, 8, 16, 24, 32, 65_528, 8 * random.randrange(8191)))
    size = random.choice((8, 16, 20, 40, 120, 400))
    packet = Packet(
        a.source(),
        a.target,
        6,
        whole[20 + offset % 400 : 20 + offset % 400 + size] or bytes(8),
        identification=random.randrange(16),
        dont_fragment=False,
        more_fragments=random.random() < 0.7,
        fragment_offset=offset,
    )
    if packet.more_fragments and isinstance(packet.payload, bytes):
        packet.payload = packet.payload[: len(packet.payload) // 8 * 8] or bytes(8)
    return octets(packet)


def icmp_lies(a: Attacker) -> bytes:
    """Errors about the victim's connection, with random numbers; source quench, redirects, and what is no message."""
    random = a.random
    kind, code = random.choice(((3, 0), (3, 1), (3, 2), (3, 3), (3, 4), (4, 0), (5, 1), (11, 0), (12, 0), (3, 200)))
    body = random.randbytes(random.randrange(60))
    if a.victim is not None and random.random() < 0.8:
        seq = a.word()
        inside = a.victim.inside()
        if inside is not None and (seq - inside[2]) & MASK < 1 << 24:
            seq ^= 1 << 31
        quoted = Segment(OPEN_PORT, a.victim.port, seq, a.word(), ACK, 0)
        body = octets(Packet(a.target, a.victim.client, 6, quoted))[: random.choice((28, 28, 40, 20, 27))]
    parameter = random.choice((0, 68, 552, 1280, 65535))
    return octets(Packet(a.source(), a.target, 1, IcmpMessage(kind, code, parameter, body)))


def sack_nonsense(a: Attacker) -> bytes:
    """Blocks of what was never sent, upside down, of single octets, on a connection of the attacker's own."""
    random = a.random
    own = a.own
    assert own is not None
    count = random.randrange(1, 4)
    starts = [own.ack + random.choice((0, 1, -1, 1000, random.getrandbits(32))) for _ in range(count)]
    sack = tuple((start & MASK, start + random.choice((0, 1, -1, 1448, 1 << 31)) & MASK) for start in starts)
    return a.by_own(ACK, 0, 0, random.getrandbits(16), a.stamps(sack), random.randbytes(random.choice((0, 0, 1))))


def out_of_order(a: Attacker) -> bytes:
    """SegmentSmack: data here and there in the window, of one octet and of many, behind a gap that is never filled."""
    random = a.random
    payload = random.randbytes(random.choice((1, 1, 10, 100, 500, 1400)))
    return a.by_own(ACK | PSH, random.randrange(1, 62_000), 0, 8192, a.stamps(), payload)


def wrong_acks(a: Attacker) -> bytes:
    """Optimistic, old, divided and repeated acknowledgments; windows that open and shut; old timestamps."""
    random = a.random
    ack = random.choice((0, 0, 1, -1, 1448, 1 << 20, 1 << 31, -70_000, random.getrandbits(32)))
    options = random.choice((a.stamps(), NO_OPTIONS, Options(ts_val=a.word(), ts_ecr=a.word())))
    return a.by_own(ACK, random.choice((0, 0, -1, 1, 100)), ack, random.choice((0, 1, 65535)), options)


def odd_ends(a: Attacker) -> bytes:
    """FIN, RST, SYN and URG where they make no sense, on a connection of the attacker's own, until it is gone."""
    random = a.random
    flags = random.choice((FIN | ACK, RST, SYN, SYN | ACK, URG | ACK, FIN, FIN | RST | ACK, 0x1FF))
    seq = random.choice((0, 1, -1, 2, 500, random.getrandbits(32)))
    return a.by_own(flags, seq, random.choice((0, 0, 1)), 8192, a.stamps(), random.randbytes(random.choice((0, 0, 5))))


KINDS: Final[Mapping[str, Callable[[Attacker], bytes]]] = MappingProxyType(
    {
        "forged SYN": forged_syn,
        "stray": stray,
        "blind RST": blind_reset,
        "blind SYN": blind_syn,
        "blind data": blind_data,
        "bad lengths": bad_lengths,
        "truncated": truncated,
        "spoiled": spoiled,
        "noise": noise,
        "odd options": odd_options,
        "fragments": fragments,
        "ICMP lies": icmp_lies,
        "SACK nonsense": sack_nonsense,
        "out of order": out_of_order,
        "wrong ACKs": wrong_acks,
        "odd ends": odd_ends,
    }
)
#: Those that need a connection of the attacker's own.
OWN_KINDS: Final = frozenset({"SACK nonsense", "out of order", "wrong ACKs", "odd ends"})
#: Segments after which the attacker opens another connection.
OWN_LIFE: Final = 300


def kind_of(address: bytes) -> int:
    """The place in KINDS of the kind whose forged sources have this address; -1 if it is none of them."""
    if len(address) == 4 and address[:2] == bytes(NETWORK):
        return address[2]
    if address[:4] == NETWORK_6:
        return int.from_bytes(address[4:6], "big")
    return -1
