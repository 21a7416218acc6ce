"""Captures written by hand: packets of a client and a server, one after the other, as the octets of a file."""

from __future__ import annotations

import io
import struct
from ipaddress import ip_address

from synfin.explain.explanation import Explanation, explain
from synfin.explain.kinds import Finding
from synfin.wire.ip import PROTOCOL_TCP, Packet, octets
from synfin.wire.tcp import ACK, FIN, PSH, SYN, Options, Segment

MILLISECOND = 1_000_000
START = 1_700_000_000 * 1000 * MILLISECOND
RAW = 101
OFFERED = Options(mss=1460, sack_permitted=True, ts_val=100, ts_ecr=0, window_scale=7)


class Tape:
    """What passed between end 0, the client, and end 1. Every packet passes `step` milliseconds after the one before
    it, unless `wait` said otherwise; `nexts` are the ends' next sequence numbers."""

    def __init__(
        self,
        addresses: tuple[str, str] = ("192.0.2.1", "192.0.2.2"),
        ports: tuple[int, int] = (40000, 80),
        starts: tuple[int, int] = (1000, 5000),
        timestamps: bool = False,
        step: float = 1,
    ) -> None:
        self.addresses = tuple(ip_address(address).packed for address in addresses)
        self.ports = ports
        self.nexts = list(starts)
        self.timestamps = timestamps
        self.step = step
        self.now = START
        self.identification = 0
        self.packets: list[tuple[int, bytes]] = []

    def wait(self, milliseconds: float) -> None:
        self.now += round(milliseconds * MILLISECOND)

    def send(
        self,
        end: int,
        flags: int = ACK,
        length: int = 0,
        *,
        seq: int | None = None,
        ack: int | None = None,
        wnd: int = 500,
        options: Options | None = None,
        traffic_class: int = 0,
        ttl: int = 64,
        identification: int | None = None,
    ) -> int:
        """A segment passes; without `seq` it is the next in order. Return its number."""
        new = seq is None
        if seq is None:
            seq = self.nexts[end]
        if new:
            self.nexts[end] = seq + length + bool(flags & SYN) + bool(flags & FIN)
        if ack is None:
            ack = self.nexts[1 - end] if flags & ACK else 0
        if options is None:
            if flags & SYN:
                options = OFFERED if self.timestamps else Options(mss=1460, sack_permitted=True, window_scale=7)
            else:
                clock = (self.now - START) // MILLISECOND + 100
                options = Options(ts_val=clock, ts_ecr=clock) if self.timestamps else Options()
        if identification is None:
            self.identification += 1
            identification = self.identification
        segment = Segment(
            self.ports[end],
            self.ports[1 - end],
            seq & 0xFFFFFFFF,
            ack & 0xFFFFFFFF,
            flags,
            wnd,
            options,
            (bytes(length),) if length else (),
        )
        packet = Packet(
            self.addresses[end],
            self.addresses[1 - end],
            PROTOCOL_TCP,
            segment,
            ttl,
            traffic_class,
            identification=identification if len(self.addresses[0]) == 4 else 0,
        )
        return self.put(octets(packet))

    def put(self, packet: bytes) -> int:
        """These octets pass."""
        self.now += round(self.step * MILLISECOND)
        self.packets.append((self.now, packet))
        return len(self.packets)

    # --- what most captures begin and end with -------------------------------------------------------------------

    def open(self) -> None:
        self.send(0, SYN, wnd=64240)
        self.send(1, SYN | ACK, wnd=64240)
        self.send(0)

    def exchange(self, length: int = 1000) -> None:
        self.send(0, ACK | PSH, length)
        self.send(1)

    def close(self) -> None:
        self.send(0, FIN | ACK)
        self.send(1, FIN | ACK)
        self.send(0)

    # --- the file ------------------------------------------------------------------------------------------------

    def file(self) -> bytes:
        """All of it, as a pcap with nanoseconds, of IP alone."""
        return pcap(self.packets)

    def explained(self, connection: int = 1) -> tuple[Explanation, list[Finding]]:
        """The explanation, and all findings."""
        return explained(self.file(), connection)

    def found(self) -> list[tuple[str, int, int | None]]:
        """The names of the findings, their packets and their ends."""
        return [(finding.kind.name, finding.number, finding.sender) for finding in self.explained()[1]]


def explained(data: bytes, connection: int = 1) -> tuple[Explanation, list[Finding]]:
    findings: list[Finding] = []
    return explain(io.BytesIO(data), connection=connection, sink=findings.append), findings


def pcap(packets: list[tuple[int, bytes]], link: int = RAW, order: str = "<", nanoseconds: bool = True) -> bytes:
    """A classic capture."""
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    unit = 1 if nanoseconds else 1000
    parts = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, link)]
    for time, octets_ in packets:
        seconds, rest = divmod(time, 1_000_000_000)
        parts.append(struct.pack(order + "IIII", seconds, rest // unit, len(octets_), len(octets_)) + octets_)
    return b"".join(parts)
