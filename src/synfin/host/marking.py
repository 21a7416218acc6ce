"""What the IP header of each segment says on behalf of its user: DSCP, TTL or hop limit, flow label.

The ECN bits belong to the protocol (RFC 3168 §6.1): a user's value of them is not used, as on Linux.
"""

from __future__ import annotations

from typing import Final

from synfin.host.tables import Tables
from synfin.tcp import states, time_wait
from synfin.tcp.connection import Connection
from synfin.tcp.settings import Settings
from synfin.wire.ip import Packet

#: RFC 2474 §3: the six bits of the Differentiated Services field that are the code point.
DSCP: Final = 0xFC
#: RFC 8200 §3: bits of the flow label.
FLOW_LABEL: Final = 0xFFFFF


def mark(tables: Tables, packet: Packet, flow: bytes, state: int, connection: Connection | None) -> None:
    """Fills in what the user of `connection`, or without one that of the listener, set for a packet of `flow`."""
    version_6 = len(flow) > 12
    if connection is not None:
        settings: Settings = connection.settings
        # RFC 9293 §3.9.1.9 (MUST-48, SHLD-21, SHLD-22), §3.9.2 (MUST-49)
        if settings.traffic_class:
            packet.traffic_class |= settings.traffic_class & DSCP
        if settings.ttl >= 0:
            packet.ttl = settings.ttl
        if version_6:
            label = settings.flow_label
            if label < 0:
                label = connection.flow_label
                if label < 0:
                    label = connection.flow_label = automatic_label(tables, flow)
            packet.flow_label = label
        return
    label = -1
    if state == states.TIME_WAIT:
        packed = tables.time_waits.get(flow)
        if packed is not None:
            packet.traffic_class, label = time_wait.marks(packed)
    elif state in (states.LISTEN, states.SYN_RECEIVED):
        half = (len(flow) - 4) // 2
        listener = tables.find_listener(flow[half : 2 * half], int.from_bytes(flow[-2:], "big"), flow)
        if listener is not None:
            settings = listener.settings
            packet.traffic_class |= settings.traffic_class & DSCP
            if settings.ttl >= 0:
                packet.ttl = settings.ttl
            label = settings.flow_label
    if version_6:
        packet.flow_label = label if label >= 0 else automatic_label(tables, flow)


def automatic_label(tables: Tables, flow: bytes) -> int:
    """A flow label that nobody can guess and that all packets of a connection share (RFC 6437 §3)."""
    return tables.numbers.flow_label(flow) & FLOW_LABEL
