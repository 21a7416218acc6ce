"""Which connection a packet of the script belongs to."""

from __future__ import annotations

from synfin.drill.bench.bench import Bench
from synfin.drill.bench.numbers import Numbers
from synfin.drill.language.script import TcpPacket
from synfin.wire.tcp import ACK, SYN


def connection_of_arrival(machine: Bench, packet: TcpPacket) -> Numbers:
    """The connection that a packet is for: a SYN may begin another one."""
    connect_port = machine.settings.connect_port
    opens = packet.flags & (SYN | ACK) == SYN
    if packet.ports is None:
        if opens and (machine.numbers is None or not machine.is_known(machine.numbers)):
            machine.test(machine.connection(machine.listening_port, connect_port))
        return machine.under_test()
    labels = packet.ports[1], packet.ports[0]
    found = machine.labelled(labels)
    if found is None and not opens and machine.numbers is not None and machine.numbers.labels is None:
        found = machine.numbers
    if found is None:
        found = machine.connection(labels[0] if machine.listens(labels[0]) else machine.listening_port, labels[1])
    found.labels = labels
    machine.test(found)
    return found


def connection_of_expected(machine: Bench, packet: TcpPacket) -> Numbers:
    """The connection that a packet is expected of: that of its ports, or else the one under test."""
    found = machine.labelled(packet.ports) if packet.ports is not None else None
    return found if found is not None else machine.under_test()
