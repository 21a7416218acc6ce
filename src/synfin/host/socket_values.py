"""Options of one socket that do not concern TCP itself; those that do are `synfin.tcp.settings`."""

from __future__ import annotations


class SocketValues:
    """Options of one socket, in the units of `setsockopt`, times in nanoseconds."""

    __slots__ = (
        "freebind",
        "ipv6_only",
        "linger",
        "linger_time",
        "local_ports",
        "no_port_at_bind",
        "others",
        "peek_offset",
        "rcvtimeo",
        "reuse_address",
        "reuse_port",
        "sndtimeo",
    )

    def __init__(self, ipv6_only: bool = False) -> None:
        self.reuse_address = False
        self.reuse_port = False
        self.ipv6_only = ipv6_only
        #: close waits for `linger_time` seconds at most; with 0 it resets (SO_LINGER).
        self.linger = False
        self.linger_time = 0
        #: How long receiving and accepting may take, sending and connecting; 0: for ever, -1: not at all. Whoever
        #: waits reads them (SO_RCVTIMEO, SO_SNDTIMEO).
        self.rcvtimeo = 0
        self.sndtimeo = 0
        #: Where the next peek begins, in octets from what is read next; -1: there (SO_PEEK_OFF).
        self.peek_offset = -1
        #: bind takes any address (IP_FREEBIND, IP_TRANSPARENT).
        self.freebind = False
        #: bind with port 0 leaves the choice to connect (IP_BIND_ADDRESS_NO_PORT).
        self.no_port_at_bind = False
        #: The first and last port to choose from; 0: as the host has it (IP_LOCAL_PORT_RANGE).
        self.local_ports = (0, 0)
        #: Values of all other options that were set, by level and number.
        self.others: dict[tuple[int, int], int] = {}

    def copy(self) -> SocketValues:
        """Others with the same values, as accept makes them."""
        other = SocketValues()
        for name in SocketValues.__slots__:
            setattr(other, name, getattr(self, name))
        other.others = dict(self.others)
        return other
