"""What the network reports of the way to a peer: ICMP errors, and what routes and routers say of its MTU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synfin.host.addresses import Network
from synfin.host.tables import headers
from synfin.tcp import path
from synfin.tcp.connection import Connection
from synfin.tcp.listener import Listener
from synfin.tcp.settings import PMTUDISC_DONT, PMTUDISC_INTERFACE

if TYPE_CHECKING:
    from synfin.host.transport import Transport


def unreachable(transport: Transport, flow: bytes, seq: int, error: int, ends_request: bool, now: int) -> None:
    """An ICMP error, as an errno, quotes a segment of `flow` with the number `seq`.

    `ends_request`: it is one of those for which Linux drops a request. A TIME-WAIT has nobody to tell.
    """
    connection = transport.connections.get(flow)
    if connection is not None:
        if path.unreachable(connection, seq, error, now):
            transport.settle(connection, now)
        else:
            transport.counters.add("TcpExtOutOfWindowIcmps")
        return
    listener = _listener_with(transport, flow)
    if listener is None:
        _concerns_nobody(transport, flow)
    elif not listener.unreachable(flow, seq, ends_request, now):
        transport.counters.add("TcpExtOutOfWindowIcmps")


def packet_too_big(
    transport: Transport, flow: bytes, seq: int, destination: bytes, mtu: int, now: int, quoted: int = 0
) -> None:
    """A router could not forward a segment of `flow`: its next hop takes `mtu` octets (0: it does not say).

    `quoted`: the length of the packet as the report quotes it, 0 if not known. A SYN,ACK and what a TIME-WAIT
    sends are smaller than any MTU that is believed, so a report of them is about nothing.
    """
    connection = transport.connections.get(flow)
    if connection is None:
        if _listener_with(transport, flow) is None:
            _concerns_nobody(transport, flow)
        return
    if len(destination) == 4 and transport.path_mtus.parameters.ip_no_pmtu_disc == 2:
        return
    if not path.in_flight(connection, seq):
        # RFC 5927 §7: only who sees what is in flight is believed.
        transport.counters.add("TcpExtOutOfWindowIcmps")
        return
    if connection.settings.mtu_discover >= PMTUDISC_INTERFACE:
        return
    first = transport.first_mtu(transport.interfaces[connection.via], destination)
    believed = transport.path_mtus.report(destination, mtu, first, now, quoted)
    if connection.settings.mtu_discover == PMTUDISC_DONT and len(destination) == 4:
        # Routers may cut its packets.
        return
    connection.dont_fragment = transport.path_mtus.dont_fragment(destination, connection.settings.mtu_discover, now)
    if path.packet_too_big(connection, seq, believed - headers(destination), now):
        transport.settle(connection, now)


def _listener_with(transport: Transport, flow: bytes) -> Listener | None:
    """The listener that has a request of `flow`."""
    half = (len(flow) - 4) // 2
    listener = transport.find_listener(flow[half : 2 * half], int.from_bytes(flow[-2:], "big"), flow)
    return listener if listener is not None and flow in listener.requests else None


def _concerns_nobody(transport: Transport, flow: bytes) -> None:
    if flow not in transport.time_waits:
        transport.counters.add("IcmpInErrors" if len(flow) == 12 else "Icmp6InErrors")


def discover_path_mtu(transport: Transport, connection: Connection, mtu_discover: int, now: int) -> None:
    """Gives a connection one of Linux's values of IP_MTU_DISCOVER (`synfin.host.path_mtu`)."""
    connection.settings.mtu_discover = mtu_discover
    remote = connection.identity.remote_address
    connection.dont_fragment = transport.path_mtus.dont_fragment(remote, mtu_discover, now)


def forget_path_mtus(transport: Transport, now: int) -> None:
    """Reports that are no more believed: connections that one of them limits try the route's MTU again."""
    expired = transport.path_mtus.deadline_reached(now)
    for connection in transport.connections.values():
        remote = connection.identity.remote_address
        mtu = expired.get(remote)
        if mtu is not None:
            if connection.path_mss == mtu - headers(remote):
                path.path_changed(connection, transport.path_mss(transport.interfaces[connection.via], remote, now))
            connection.dont_fragment = transport.path_mtus.dont_fragment(remote, connection.settings.mtu_discover, now)


def route_changed(transport: Transport, network: Network, now: int) -> None:
    """The route to `network` has another MTU: its connections take it, and older reports are forgotten."""
    for destination in transport.path_mtus.destinations():
        if network.contains(destination):
            transport.path_mtus.forget(destination)
    transport.learned.forget(network)
    for connection in transport.connections.values():
        remote = connection.identity.remote_address
        if network.contains(remote):
            path.path_changed(connection, transport.path_mss(transport.interfaces[connection.via], remote, now))
            connection.dont_fragment = transport.path_mtus.dont_fragment(remote, connection.settings.mtu_discover, now)


def doubt_path(transport: Transport, connection: Connection) -> None:
    """R1 was reached (RFC 9293 §3.8.3, MUST-20): what is known of the path is forgotten."""
    connection.path_in_doubt = False
    transport.path_mtus.forget(connection.identity.remote_address)
    transport.counters.add("SynfinNegativeAdvice")
