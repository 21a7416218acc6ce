"""Sockets: what a descriptor of socket(2) stands for, before, during and after a connection."""

from __future__ import annotations

from errno import EAFNOSUPPORT, EBADF
from typing import Final

from synfin.host import addresses
from synfin.host.binding import ANY_IPV4, ANY_IPV6, IPV6_ONLY, REUSE_ADDRESS, REUSE_PORT
from synfin.host.socket_values import SocketValues
from synfin.host.transport import Transport
from synfin.tcp import states
from synfin.tcp.connection import Connection
from synfin.tcp.errors import os_error
from synfin.tcp.listener import Listener
from synfin.tcp.settings import Settings

# Linux's numbers, on every platform.
AF_UNSPEC: Final = 0
AF_INET: Final = 2
AF_INET6: Final = 10
SOCK_STREAM: Final = 1
IPPROTO_TCP: Final = 6

# How far connect(2) came (Linux's socket states).
UNCONNECTED: Final = 0
CONNECTING: Final = 1
CONNECTED: Final = 2
#: shutdown(2) stopped connect(2); only connecting to AF_UNSPEC leads out.
DISCONNECTING: Final = 3

# Halves that are shut down.
RECEIVING: Final = 1
SENDING: Final = 2

MAPPED: Final = bytes(10) + b"\xff\xff"

#: (host, port) of IPv4; (host, port, flowinfo, scope_id) of IPv6.
Address = tuple[str, int] | tuple[str, int, int, int]


class Socket:
    """A TCP socket of one host, in any state. `synfin.host.calls` has what can be done with it.

    It refers to its connection or listener; these know only its `number`, by which the host finds it
    (`synfin.host.calls.socket_of`). `values` and `settings` are its options, those of TCP in `settings`, which its
    connection shares. Addresses are 4 octets (of IPv4, also on an IPv6 socket) or 16.
    """

    __slots__ = (
        "address_locked",
        "bound_flags",
        "bound_port",
        "closed",
        "connection",
        "error",
        "family",
        "linger_until",
        "listener",
        "local_address",
        "local_port",
        "number",
        "phase",
        "port_locked",
        "settings",
        "shut",
        "values",
    )

    def __init__(self, number: int, family: int, values: SocketValues, settings: Settings) -> None:
        self.number = number
        self.family = family
        self.values = values
        self.settings = settings
        self.phase = UNCONNECTED
        self.connection: Connection | None = None
        self.listener: Listener | None = None
        #: The local end as getsockname tells it while there is no connection.
        self.local_address = ANY_IPV4 if family == AF_INET else ANY_IPV6
        self.local_port = 0
        #: The port on which the socket itself has a claim, at `local_address` with `bound_flags`; 0: none.
        self.bound_port = 0
        self.bound_flags = 0
        #: The user chose the address, or the port: what the user chose outlives a connection.
        self.address_locked = False
        self.port_locked = False
        #: Halves that the user shut down.
        self.shut = 0
        #: An errno that waits without a connection, 0: none.
        self.error = 0
        #: When close stops to linger (nanoseconds); -1: close was not called.
        self.linger_until = -1
        self.closed = False

    # --- what it is now

    def check_open(self) -> None:
        """Raises OSError with EBADF once close was called."""
        if self.closed or self.linger_until >= 0:
            raise os_error(EBADF)

    @property
    def state(self) -> int:
        """The state of TCP, as one of `synfin.tcp.states`. TIME-WAIT is no socket's: that one is CLOSED."""
        if self.listener is not None:
            return states.LISTEN
        if self.connection is None or self.connection.state == states.TIME_WAIT:
            return states.CLOSED
        return self.connection.state

    @property
    def shutdown(self) -> int:
        """The halves that are shut down, by the user, the peer, or the end of the connection."""
        connection = self.connection
        if connection is None:
            return self.shut
        if self.state == states.CLOSED:
            return RECEIVING | SENDING
        return self.shut | (RECEIVING if connection.fin_received else 0) | (SENDING if connection.fin_queued else 0)

    @property
    def pending_error(self) -> int:
        """The errno that the next call reports, 0: none."""
        return self.connection.error if self.connection is not None else self.error

    def take_error(self) -> int:
        """The errno that waits, which is forgotten (SO_ERROR); 0: none."""
        error = self.pending_error
        self.error = 0
        if self.connection is not None:
            self.connection.error = 0
        return error

    @property
    def over_ipv6(self) -> bool:
        """Whether packets are of IPv6, as far as that is known."""
        if self.connection is not None:
            return len(self.connection.identity.local_address) == 16
        return len(self.local_address) == 16

    @property
    def port(self) -> int:
        """The local port that it holds now; 0: none."""
        if self.bound_port:
            return self.bound_port
        if self.connection is not None and self.state != states.CLOSED:
            return self.connection.identity.local_port
        return self.listener.local_port if self.listener is not None else 0

    # --- its claim on a port

    def claim_flags(self) -> int:
        """The flags with which it claims a port (of `synfin.host.binding`)."""
        values = self.values
        flags = REUSE_ADDRESS if values.reuse_address else 0
        flags |= REUSE_PORT if values.reuse_port else 0
        return flags | (IPV6_ONLY if values.ipv6_only else 0)

    def bind(self, transport: Transport, address: bytes, port: int) -> None:
        """Claims `address` and `port`, which are free."""
        self.local_address = address
        self.local_port = self.bound_port = port
        self.bound_flags = self.claim_flags()
        transport.bindings.add(port, address, self.bound_flags)

    def unbind(self, transport: Transport) -> None:
        """Gives its claim back, if it has one."""
        if self.bound_port:
            transport.bindings.remove(self.bound_port, self.local_address, self.bound_flags)
            self.bound_port = 0

    def move(self, transport: Transport, address: bytes) -> None:
        """Changes the local address, also that of the claim."""
        port = self.bound_port
        self.unbind(transport)
        self.local_address = address
        if port:
            self.bind(transport, address, port)

    def reclaim(self, transport: Transport) -> None:
        """After a change of options: whatever of it claims a port does so with the flags of now."""
        flags = self.claim_flags()
        if self.bound_port and flags != self.bound_flags:
            self.move(transport, self.local_address)
        mask = REUSE_ADDRESS | REUSE_PORT
        for entry in (self.connection, self.listener):
            if entry is None or entry.bound < 0 or entry.bound & mask == flags & mask:
                continue
            if isinstance(entry, Connection):
                address, port = entry.identity.local_address, entry.identity.local_port
            else:
                address, port = entry.local_address, entry.local_port
            transport.bindings.remove(port, address, entry.bound)
            entry.bound = entry.bound & ~mask | flags & mask
            transport.bindings.add(port, address, entry.bound)

    def __repr__(self) -> str:
        return f"<Socket {self.number} {states.NAMES[self.state]}>"


def octets_of(family: int, address: Address) -> bytes:
    """The address in a tuple, as octets: 4 of them also for one that is mapped into IPv6 (RFC 4291 §2.5.5.2).

    Raises ValueError for what is no address, OSError with EAFNOSUPPORT for one of IPv4 where IPv6 is meant.
    """
    text = address[0]
    octets = addresses.packed(text) if text else ANY_IPV4 if family == AF_INET else ANY_IPV6
    if (len(octets) == 4) != (family == AF_INET):
        raise os_error(EAFNOSUPPORT)
    return octets[12:] if octets.startswith(MAPPED) and len(octets) == 16 else octets


def tuple_of(family: int, address: bytes, port: int) -> Address:
    """An end as the socket module writes it; on an IPv6 socket an address of IPv4 is written as mapped."""
    if family == AF_INET:
        return addresses.text(address), port
    if len(address) == 4:
        return f"::ffff:{addresses.text(address)}", port, 0, 0
    return addresses.text(address), port, 0, 0
