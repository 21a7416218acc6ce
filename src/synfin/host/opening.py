"""Opening connections and listeners on a host, passive and active (RFC 9293 §3.10.1)."""

from __future__ import annotations

from errno import EADDRINUSE, EADDRNOTAVAIL, ENETUNREACH

from synfin import reasons
from synfin.host import addresses, path_reports
from synfin.host.binding import BY_CONNECT, IPV6_ONLY, LISTENING, REUSE_ADDRESS, reserved_ports
from synfin.host.transport import Transport
from synfin.tcp import states, time_wait
from synfin.tcp.congestion import congestion_control
from synfin.tcp.connection import Connection
from synfin.tcp.errors import os_error
from synfin.tcp.identity import Identity
from synfin.tcp.listener import Listener
from synfin.tcp.recovery import NewReno
from synfin.tcp.settings import Settings


def check_port(port: int) -> None:
    """Raises OverflowError, as the standard socket does, if `port` does not fit 16 bits."""
    if not 0 <= port <= 65535:
        raise OverflowError("port must be 0-65535.")


def choose_port(transport: Transport, address: bytes, flags: int, ports: tuple[int, int] | None = None) -> int:
    """A port for bind at `address` with `flags` (of `synfin.host.binding`) that is really free; -1 if there is none.

    `ports`: the first and last to choose from, if not those of the host.
    """
    parameters = transport.parameters
    first, last = ports or parameters.ip_local_port_range
    bindings = transport.bindings
    reserved = reserved_ports(parameters.ip_local_reserved_ports)

    def free(port: int, relaxed: bool = False) -> bool:
        return not _within(port, reserved) and not bindings.conflict(port, address, flags, relaxed, sharing=False)

    port = transport.ports.choose(address, first, last, free)
    if port < 0 and parameters.ip_autobind_reuse:
        port = transport.ports.choose(address, first, last, lambda port: free(port, relaxed=True))
    return port


def _within(port: int, ranges: list[tuple[int, int]]) -> bool:
    return any(first <= port <= last for first, last in ranges)


def listen(
    transport: Transport, address: bytes, port: int, backlog: int, now: int, settings: Settings | None = None
) -> Listener:
    """A passive open at `address` (octets; the unspecified address for all of that version) and `port`, as of a socket
    with SO_REUSEADDR, and with IPV6_V6ONLY if the address is IPv6.

    Raises OSError: EADDRINUSE if the port has a listener there, EADDRNOTAVAIL if the address is not ours.
    """
    check_port(port)
    if not addresses.is_unspecified(address) and not transport.is_own(address):
        raise os_error(EADDRNOTAVAIL)
    flags = REUSE_ADDRESS if len(address) == 4 else REUSE_ADDRESS | IPV6_ONLY
    if port == 0:
        port = choose_port(transport, address, flags)
    elif transport.bindings.conflict(port, address, flags):
        port = -1
    if port < 0:
        raise os_error(EADDRINUSE)
    backlog = min(max(backlog, 0), transport.parameters.somaxconn)
    return open_listener(transport, address, port, backlog, flags, now, settings)


def open_listener(
    transport: Transport,
    address: bytes,
    port: int,
    backlog: int,
    flags: int,
    now: int,
    settings: Settings | None = None,
) -> Listener:
    """A listener at an end that is free; `flags` are those of its claim, LISTENING aside."""
    listener = Listener(
        address,
        port,
        backlog,
        transport.parameters.tcp,
        transport.numbers,
        transport.tracer,
        transport.cookies,
        settings,
    )
    listener.bound = flags | LISTENING
    transport.bindings.add(port, address, listener.bound)
    transport.add_listener(listener)
    if transport.tracer is not None:
        flow = Identity(address, port, bytes(len(address)), 0).flow
        transport.tracer.user_called(now, flow, "LISTEN")
        transport.tracer.state_changed(
            now, flow, states.NAMES[states.CLOSED], states.NAMES[listener.state], reasons.PASSIVE_OPEN
        )
    return listener


def connect(
    transport: Transport,
    address: bytes,
    port: int,
    now: int,
    local_address: bytes | None = None,
    local_port: int = 0,
    settings: Settings | None = None,
    bound: int = -1,
    ports: tuple[int, int] | None = None,
) -> Connection:
    """An active open towards `address` (octets) and `port`; the SYN goes out with the next poll.

    `bound`: the flags of the claim that a socket has on the local port; -1 without a socket: those of SO_REUSEADDR.
    `ports`: the first and last port to choose from, if not those of the host.

    Raises OSError: ENETUNREACH without a route or towards what is no host's address (RFC 9293 §3.9.1.1,
    MUST-46), EADDRNOTAVAIL when the local end is not ours, is taken, or no port is left.
    """
    check_port(port)
    check_port(local_port)
    if addresses.is_unspecified(address):
        # As Linux has it: the unspecified address is this host.
        address = addresses.LOOPBACK_IPV4 if len(address) == 4 else addresses.LOOPBACK_IPV6
    if not addresses.is_unicast(address) or transport.routes.is_broadcast(address):
        raise os_error(ENETUNREACH)
    via = transport.interface_towards(address)
    if via < 0:
        raise os_error(ENETUNREACH)
    interface = transport.interfaces[via]
    if local_address is None:
        # RFC 9293 §3.9.1.1 (MUST-44): the network layer chooses.
        local_address = transport.source_towards(address)
        if local_address is None:
            raise os_error(ENETUNREACH)
    elif not transport.is_own(local_address) or len(local_address) != len(address):
        raise os_error(EADDRNOTAVAIL)
    identity = _local_end(transport, local_address, local_port, address, port, ports, now)
    parameters = transport.parameters.tcp
    iss = _end_time_wait(transport, identity, now, asked=local_port != 0)
    if iss < 0:
        iss = transport.numbers.iss(identity, now)
    connection = Connection(
        identity,
        parameters,
        iss,
        transport.path_mss(interface, address, now),
        congestion_control((settings and settings.congestion_control) or parameters.tcp_congestion_control),
        NewReno(iss),
        transport.numbers.timestamp_offset(identity, parameters.tcp_timestamps),
        transport.tracer,
        settings,
    )
    connection.via = via
    advmss, connection.initcwnd = transport.metrics(interface, address)
    if advmss:
        connection.advertised_mss = min(connection.advertised_mss, advmss)
    path_reports.discover_path_mtu(
        transport, connection, transport.path_mtus.mtu_discover(connection.settings.mtu_discover), now
    )
    if bound < 0:
        # RFC 9293 §3.9.1.1 (MUST-42): one may listen at the port of a connection that opens.
        bound = REUSE_ADDRESS
        if len(address) == 16:
            bound |= IPV6_ONLY
    transport.enter(connection, bound if local_port else bound | BY_CONNECT)
    transport.counters.add("TcpActiveOpens")
    connection.open(now)
    transport.schedule(connection)
    return connection


def _local_end(
    transport: Transport,
    address: bytes,
    port: int,
    remote_address: bytes,
    remote_port: int,
    ports: tuple[int, int] | None,
    now: int,
) -> Identity:
    reserved = reserved_ports(transport.parameters.ip_local_reserved_ports)

    def free(candidate: int) -> bool:
        flow = Identity(address, candidate, remote_address, remote_port).flow
        return (
            flow not in transport.connections
            and (flow not in transport.time_waits or _reopening(transport, flow, now) >= 0)
            and transport.bindings.may_connect_choose(candidate)
            and not _within(candidate, reserved)
        )

    if port == 0:
        first, last = ports or transport.parameters.ip_local_port_range
        destination = address + remote_address + remote_port.to_bytes(2, "big")
        port = transport.ports.choose(destination, first, last, free)
        if port < 0:
            raise os_error(EADDRNOTAVAIL)
    else:
        flow = Identity(address, port, remote_address, remote_port).flow
        listener = transport.find_listener(address, port, flow)
        requested = listener is not None and flow in listener.requests
        waits = flow in transport.time_waits and _reopening(transport, flow, now, asked=True) < 0
        if flow in transport.connections or waits or requested:
            raise os_error(EADDRNOTAVAIL)
    return Identity(address, port, remote_address, remote_port)


def _reopening(transport: Transport, flow: bytes, now: int, asked: bool = False) -> int:
    """The initial number with which `flow`, which is in TIME-WAIT, may be used again; -1 if it may not. `asked`: the
    user chose the port."""
    packed = transport.time_waits.get(flow)
    if packed is None:
        return -1
    half = (len(flow) - 4) // 2
    loopback = addresses.is_loopback(flow[:half]) or addresses.is_loopback(flow[half : 2 * half])
    return time_wait.reopened_by_us(packed, loopback, transport.parameters.tcp, now, asked)


def _end_time_wait(transport: Transport, identity: Identity, now: int, asked: bool) -> int:
    """Ends the TIME-WAIT in whose place a connection comes, if there is one; see `_reopening`."""
    iss = _reopening(transport, identity.flow, now, asked)
    if iss >= 0:
        transport.end_time_wait(identity.flow, reasons.TIME_WAIT_REOPENED, now)
        transport.counters.add("TcpExtTWRecycled")
    return iss


def close_listener(transport: Transport, listener: Listener, now: int) -> None:
    """Ends listening. Connections that nobody accepted are reset, as Linux does."""
    if listener.state == states.LISTEN:
        transport.bindings.remove(listener.local_port, listener.local_address, listener.bound)
    transport.remove_listener(listener)
    for connection in listener.close():
        connection.orphaned = True
        connection.abort(now)
        transport.settle(connection, now)
