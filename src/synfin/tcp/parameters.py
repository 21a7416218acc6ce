"""Parameters of TCP under Linux's names, with Linux's units and the defaults of a current kernel.

A host gives one such object to all its connections; a changed value holds for what happens from then on.
"""

from __future__ import annotations

from typing import Final

MILLISECOND: Final = 1_000_000
SECOND: Final = 1_000_000_000


class TcpParameters:
    """The ``net.ipv4.tcp_*`` parameters that this stack has.

    Each name and unit is Linux's, save three that Linux has only as constants or as its nature: `tcp_timewait_len`
    (seconds, TCP_TIMEWAIT_LEN, 60), `tcp_delack_min` (milliseconds, TCP_DELACK_MIN, 40) and
    `tcp_icmp_ends_connecting`.
    """

    __slots__ = (
        "tcp_abort_on_overflow",
        "tcp_congestion_control",
        "tcp_delack_min",
        "tcp_dsack",
        "tcp_fin_timeout",
        "tcp_icmp_ends_connecting",
        "tcp_invalid_ratelimit",
        "tcp_keepalive_intvl",
        "tcp_keepalive_probes",
        "tcp_keepalive_time",
        "tcp_max_syn_backlog",
        "tcp_max_tw_buckets",
        "tcp_min_snd_mss",
        "tcp_moderate_rcvbuf",
        "tcp_orphan_retries",
        "tcp_retries1",
        "tcp_retries2",
        "tcp_rmem",
        "tcp_rto_max_ms",
        "tcp_rto_min_us",
        "tcp_sack",
        "tcp_syn_linear_timeouts",
        "tcp_syn_retries",
        "tcp_synack_retries",
        "tcp_syncookies",
        "tcp_timestamps",
        "tcp_timewait_len",
        "tcp_window_scaling",
        "tcp_wmem",
    )

    def __init__(self) -> None:
        #: Retransmissions of a SYN before an active open fails, not counting the linear ones.
        self.tcp_syn_retries = 6
        #: How many time-outs of a SYN pass before the RTO starts to double.
        self.tcp_syn_linear_timeouts = 4
        #: Retransmissions of a SYN+ACK before a request is forgotten.
        self.tcp_synack_retries = 5
        #: R1 of RFC 9293 §3.8.3, in retransmissions. It can be set, but nothing is done at R1 yet.
        self.tcp_retries1 = 3
        #: R2 of RFC 9293 §3.8.3, in retransmissions; Linux turns them into a time, 924.6 s by default.
        self.tcp_retries2 = 15
        #: The same for a connection that its user has closed; 0 stands for 8.
        self.tcp_orphan_retries = 0
        #: Seconds that a connection closed by its user may stay in FIN-WAIT-2.
        self.tcp_fin_timeout = 60
        #: Seconds of silence before the first keep-alive probe of a connection that has keep-alive switched on.
        self.tcp_keepalive_time = 7200
        #: Seconds between keep-alive probes.
        self.tcp_keepalive_intvl = 75
        #: Unanswered keep-alive probes before the connection ends.
        self.tcp_keepalive_probes = 9
        #: Seconds of TIME-WAIT (2 MSL of RFC 9293 §3.4.2).
        self.tcp_timewait_len = 60
        #: The most TIME-WAIT values that a host keeps.
        self.tcp_max_tw_buckets = 65536
        #: The most requests (half-open connections) of one listener.
        self.tcp_max_syn_backlog = 1024
        #: 1: answer with SYN cookies when the queue of requests is full (RFC 4987).
        self.tcp_syncookies = 1
        #: 1: reset a client whose last ACK finds the accept queue full, instead of ignoring that ACK.
        self.tcp_abort_on_overflow = 0
        #: 1: offer and accept timestamps (RFC 7323).
        self.tcp_timestamps = 1
        #: 1: offer and accept selective acknowledgments (RFC 2018).
        self.tcp_sack = 1
        #: 1: report duplicates in the first SACK block (RFC 2883).
        self.tcp_dsack = 1
        #: 1: offer and accept window scaling (RFC 7323).
        self.tcp_window_scaling = 1
        #: Receive buffer in octets: least, default, most. The window is at most half the buffer.
        self.tcp_rmem = (4096, 131072, 6291456)
        #: Send buffer in octets: least, default, most.
        self.tcp_wmem = (4096, 16384, 4194304)
        #: 1: let the receive buffer grow with what the user reads in a round trip, up to tcp_rmem[2].
        self.tcp_moderate_rcvbuf = 1
        #: 1: an ICMP error ends an attempt to connect, as Linux has it; 0: it goes on (RFC 9293 §3.9.2.2, MUST-56).
        self.tcp_icmp_ends_connecting = 1
        #: Milliseconds between two answers to unacceptable segments of one connection; 0: answer each.
        self.tcp_invalid_ratelimit = 500
        #: The least RTO beyond SRTT, in microseconds.
        self.tcp_rto_min_us = 200_000
        #: The greatest RTO, in milliseconds.
        self.tcp_rto_max_ms = 120_000
        #: The shortest delay of an acknowledgment, in milliseconds; the longest is 200 ms.
        self.tcp_delack_min = 40
        #: The least MSS that a peer can make us use, in octets.
        self.tcp_min_snd_mss = 48
        #: The name of the congestion control for new connections.
        self.tcp_congestion_control = "reno"
