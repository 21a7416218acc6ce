"""Connections that leave a host as values, or come to it so (see `synfin.tcp.snapshot`)."""

from __future__ import annotations

from errno import EADDRINUSE, EADDRNOTAVAIL, ENETUNREACH

from synfin.host import path_reports
from synfin.host.transport import Transport
from synfin.tcp import path, snapshot
from synfin.tcp.connection import Connection
from synfin.tcp.errors import os_error
from synfin.tcp.snapshot import Snapshot


def dump(transport: Transport, connection: Connection, now: int) -> Snapshot:
    """The connection as a value. It leaves the host in silence, as when a TCP_REPAIR socket is closed.

    Raises OSError with ENOTCONN if it has ended.
    """
    taken = snapshot.dump(connection, now)
    transport.discharge(connection)
    if connection.scheduled:
        connection.scheduled = False
        transport.interfaces[connection.via].sending.remove(connection)
    return taken


def restore(transport: Transport, value: Snapshot, now: int) -> Connection:
    """The connection of a snapshot, on this host from now on.

    Raises OSError: EADDRNOTAVAIL if its local address is not ours, EADDRINUSE if its four-tuple is taken, ENETUNREACH
    without a route; ValueError for what is no snapshot.
    """
    connection = snapshot.restore(value, transport.parameters.tcp, now, transport.tracer)
    identity = connection.identity
    if not transport.is_own(identity.local_address):
        raise os_error(EADDRNOTAVAIL)
    if identity.flow in transport.connections or identity.flow in transport.time_waits:
        raise os_error(EADDRINUSE)
    connection.via = transport.interface_towards(identity.remote_address)
    if connection.via < 0:
        raise os_error(ENETUNREACH)
    interface = transport.interfaces[connection.via]
    path.path_changed(connection, transport.path_mss(interface, identity.remote_address, now))
    path_reports.discover_path_mtu(
        transport, connection, transport.path_mtus.mtu_discover(connection.settings.mtu_discover), now
    )
    transport.enter(connection, 0)
    transport.settle(connection, now)
    transport.schedule(connection)
    return connection
