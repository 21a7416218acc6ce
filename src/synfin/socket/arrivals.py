"""What one wake-up read, handed to the host: runs of segments are merged first where the link has not done it."""

from __future__ import annotations

from typing import Final

from synfin.host.host import Host
from synfin.host.interface import Interface
from synfin.link.gro import merge
from synfin.link.link import Frame
from synfin.link.segmentation import cut
from synfin.tcp.connection import Connection
from synfin.tcp.states import MAY_RECEIVE
from synfin.wire.ip import Packet
from synfin.wire.sequence import wrap
from synfin.wire.tcp import FIN, Segment

#: Headers of IPv6 and TCP with all their options, in octets: what is no longer than that carries hardly any data.
HEADERS: Final = 100


def frames_arrive(host: Host, interface: Interface, frames: list[Frame], now: int, merging: bool) -> None:
    """Hands `frames`, read at `now`, to `host`. With `merging` the same segments are accepted and the same
    acknowledgments sent as without, as seen by a driver that asks for these once all have been handed over."""
    for one in merge(frames) if merging and _worth_merging(frames) else frames:
        if isinstance(one, Frame):
            host.octets_arrive(one.data, interface, now, one.checksum_verified, one.segment_size)
        else:
            _packet_arrives(host, interface, one, now)


def _worth_merging(frames: list[Frame]) -> bool:
    """Whether there could be a run: several frames, and not mere acknowledgments."""
    return len(frames) > 1 and any(len(frame.data) > HEADERS for frame in frames)


def _packet_arrives(host: Host, interface: Interface, packet: Packet, now: int) -> None:
    """A run goes through the core in one piece where each of its segments would only have been added to the stream.
    Where each would have an answer of its own, they go one by one."""
    segment = packet.payload
    if isinstance(segment, Segment) and segment.segment_size:
        connection = host.transport.connections.get(packet.flow)
        if connection is None or not _is_next(connection, segment):
            for part in cut(packet):
                host.packet_arrives(part, interface, now)
            return
    host.packet_arrives(packet, interface, now)


def _is_next(connection: Connection, segment: Segment) -> bool:
    """Whether all of a run is what the connection expects next, and has room for, with nothing behind it received;
    and no FIN, which changes the state."""
    rcv_nxt = connection.rcv_nxt
    return (
        wrap(rcv_nxt) == segment.seq
        and not segment.flags & FIN
        and rcv_nxt + segment.payload_length <= connection.rcv_adv
        and not len(connection.reassembly)
        and connection.state in MAY_RECEIVE
        and not connection.orphaned
    )
