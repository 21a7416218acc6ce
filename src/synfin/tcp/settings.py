"""What a user may set on a socket that concerns TCP: options of one connection, or of all that a listener will have.

The defaults leave everything to the host's parameters. A connection has its own; those of a listener are copied to each
connection that it makes, as Linux does.
"""

from __future__ import annotations

from typing import Final

# Linux's values of IP_MTU_DISCOVER and IPV6_MTU_DISCOVER.
PMTUDISC_DONT: Final = 0
PMTUDISC_WANT: Final = 1
PMTUDISC_DO: Final = 2
PMTUDISC_PROBE: Final = 3
PMTUDISC_INTERFACE: Final = 4
PMTUDISC_OMIT: Final = 5


class Settings:
    """Options of one connection. The names in brackets are those of the socket options that set them."""

    __slots__ = (
        "congestion_control",
        "cork",
        "defer_accept",
        "flow_label",
        "keepalive",
        "keepalive_interval",
        "keepalive_probes",
        "keepalive_time",
        "linger2",
        "loss_recovery",
        "max_pacing_rate",
        "max_segment",
        "mtu_discover",
        "nodelay",
        "notsent_lowat",
        "oob_inline",
        "rcv_buf",
        "rcv_lowat",
        "report_errors",
        "snd_buf",
        "syn_retries",
        "traffic_class",
        "ttl",
        "user_timeout",
        "window_clamp",
    )

    def __init__(self) -> None:
        #: The name of the congestion control, "" for the host's (TCP_CONGESTION).
        self.congestion_control = ""
        #: Partial segments wait, for 200 ms at most (TCP_CORK).
        self.cork = False
        #: Seconds for which a listener waits for data before it accepts, 0: not at all (TCP_DEFER_ACCEPT).
        self.defer_accept = 0
        #: The flow label of IPv6 packets, 20 bits; -1: one made from the four-tuple (RFC 6437).
        self.flow_label = -1
        #: The name of the loss recovery, "" for the host's.
        self.loss_recovery = ""
        #: Keep-alive is on (SO_KEEPALIVE).
        self.keepalive = False
        #: Seconds between probes, 0: the host's (TCP_KEEPINTVL).
        self.keepalive_interval = 0
        #: Unanswered probes before the end, 0: the host's (TCP_KEEPCNT).
        self.keepalive_probes = 0
        #: Seconds of silence before the first probe, 0: the host's (TCP_KEEPIDLE).
        self.keepalive_time = 0
        #: Seconds in FIN-WAIT-2 once the user has let go, 0: the host's, -1: none at all (TCP_LINGER2).
        self.linger2 = 0
        #: The greatest rate of data sent, in octets a second, 2^64 - 1: no limit, and no pacing for its sake
        #: (SO_MAX_PACING_RATE).
        self.max_pacing_rate = (1 << 64) - 1
        #: The largest segment to announce and to send, in octets, 0: what the path takes (TCP_MAXSEG).
        self.max_segment = 0
        #: How the path's MTU is found, Linux's IP_PMTUDISC_* (IP_MTU_DISCOVER); -1: as the host does.
        self.mtu_discover = -1
        #: Small segments do not wait (TCP_NODELAY).
        self.nodelay = False
        #: Octets not sent yet above which the socket is not writable, 0: the host's (TCP_NOTSENT_LOWAT).
        self.notsent_lowat = 0
        #: Urgent data stay in the stream (SO_OOBINLINE).
        self.oob_inline = False
        #: The receive buffer in octets, as it reads back; 0: it tunes itself (SO_RCVBUF).
        self.rcv_buf = 0
        #: Octets that must have arrived before the socket is readable (SO_RCVLOWAT).
        self.rcv_lowat = 1
        #: Errors that may pass are told at once (IP_RECVERR, IPV6_RECVERR; RFC 9293 §3.9.1.8).
        self.report_errors = False
        #: The send buffer in octets, as it reads back; 0: it follows the congestion window (SO_SNDBUF).
        self.snd_buf = 0
        #: Retransmissions of a SYN, 0: the host's (TCP_SYNCNT).
        self.syn_retries = 0
        #: The octet that carries DSCP and ECN in what is sent (IP_TOS, IPV6_TCLASS).
        self.traffic_class = 0
        #: TTL or hop limit of what is sent, -1: the host's (IP_TTL, IPV6_UNICAST_HOPS).
        self.ttl = -1
        #: Milliseconds for which octets may stay unacknowledged before the connection ends, 0: the host's limits
        #: (TCP_USER_TIMEOUT; RFC 5482). As on Linux they count from the first retransmission. The option by which
        #: RFC 5482 tells the peer is neither sent nor heeded: what a peer asks for shall not prolong what we keep.
        self.user_timeout = 0
        #: The largest window to offer, in octets, 0: none (TCP_WINDOW_CLAMP).
        self.window_clamp = 0

    def copy(self) -> Settings:
        """Others with the same values."""
        other = Settings()
        for name in Settings.__slots__:
            setattr(other, name, getattr(self, name))
        return other
