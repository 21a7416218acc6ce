"""What these tests share: a host under attack, a peer of its own with every option, and somebody who forges."""

from __future__ import annotations

from synfin.host import addresses
from synfin.host.parameters import Parameters
from synfin.wire.icmp import IcmpMessage
from synfin.wire.ip import Packet, octets
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, SYN, Options, Segment
from tests.host.machine import OURS, THEIRS, Machine, Peer, segment_of, tcp

#: What Linux sends in a SYN.
ALL_OPTIONS = Options(mss=1460, sack_permitted=True, ts_val=1000, ts_ecr=0, window_scale=7)


def machine(**values: object) -> Machine:
    """A host with these ``net.ipv4.`` or ``synfin.`` parameters, which listens at port 80."""
    parameters = Parameters()
    for name, value in values.items():
        prefix = "net.ipv4." if f"net.ipv4.{name}" in parameters.names() else "synfin."
        text = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        parameters.set(prefix + name, text)
    made = Machine(parameters)
    made.host.listen(OURS, 80, 100, made.now)
    return made


class FullPeer(Peer):
    """A peer that agreed on timestamps and SACK; its clock is the host's, with `offset` milliseconds added."""

    def __init__(self, machine: Machine, port: int = 40000, address: str = THEIRS, seq: int = 1000) -> None:
        super().__init__(machine, port, address=address, seq=seq, options=ALL_OPTIONS)
        self.offset = 0
        self.echo = 0

    @property
    def clock(self) -> int:
        return (self.machine.now // 1_000_000 + self.offset) & MASK

    def forged(
        self,
        flags: int = ACK,
        payload: bytes = b"",
        seq: int = 0,
        ack: int = 0,
        wnd: int = 8192,
        options: Options | None = None,
    ) -> Packet:
        """A segment `seq` and `ack` away from what the peer would send."""
        segment = Segment(
            self.port,
            self.to_port,
            self.seq + seq & MASK,
            self.ack + ack & MASK if flags & ACK else 0,
            flags,
            wnd,
            Options(ts_val=self.clock, ts_ecr=self.echo) if options is None else options,
            (payload,) if payload else (),
        )
        return tcp(self.address, self.port, self.to, self.to_port, segment)

    def sends(
        self, flags: int = ACK, payload: bytes = b"", seq: int = 0, ack: int = 0, options: Options | None = None
    ) -> list[Segment]:
        """The host's answers to `forged`."""
        packet = self.forged(flags, payload, seq, ack, options=options)
        return [segment_of(answer) for answer in self.machine.gets(packet)]

    def opens(self) -> FullPeer:
        syn = Options(mss=1460, sack_permitted=True, ts_val=self.clock, ts_ecr=0, window_scale=7)
        (answer,) = [segment_of(packet) for packet in self.machine.gets(self.forged(SYN, options=syn))]
        self.seq += 1
        self.ack = answer.seq + 1
        assert answer.options.ts_val is not None
        self.echo = answer.options.ts_val
        self.sends(ACK)
        assert self.state == "ESTABLISHED"
        return self


def length(packet: Packet) -> int:
    """Octets of a packet on the wire."""
    return len(octets(packet))


def icmp_error(about: Packet, kind: int, code: int, parameter: int = 0, source: str = "192.0.2.254") -> Packet:
    """An ICMP error of IPv4 that quotes `about`."""
    message = IcmpMessage(kind, code, parameter, octets(about)[:28])
    return Packet(addresses.packed(source), about.source, 1, message)
