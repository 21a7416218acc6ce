"""Parameters of TCP under Linux's names, with Linux's units and the defaults of a current kernel.

A host gives one such object to all its connections; a changed value holds for what happens from then on. Named sets of
values are in `synfin.host.profiles`.
"""

from __future__ import annotations

from typing import Final

MICROSECOND: Final = 1000
MILLISECOND: Final = 1_000_000
SECOND: Final = 1_000_000_000

INT_MAX: Final = (1 << 31) - 1
UINT_MAX: Final = (1 << 32) - 1

Value = int | str | tuple[int, ...]


class Parameter:
    """One parameter: its name as sysctl(8) has it, Linux's default, its bounds (of each number), what it means.

    Names under ``synfin.`` are behaviours that on Linux, or on another host, are constants or nature.
    """

    __slots__ = ("attribute", "default", "least", "meaning", "most", "name")

    def __init__(
        self, name: str, default: Value, meaning: str, least: int = 0, most: int = INT_MAX, attribute: str = ""
    ) -> None:
        self.name = name
        #: The attribute that holds it.
        self.attribute = attribute or name.rpartition(".")[2]
        self.default = default
        self.meaning = meaning
        self.least = least
        self.most = most


def _tcp(name: str, default: Value, meaning: str, least: int = 0, most: int = INT_MAX) -> Parameter:
    return Parameter("net.ipv4." + name, default, meaning, least, most)


def _own(name: str, default: Value, meaning: str, least: int = 0, most: int = INT_MAX) -> Parameter:
    return Parameter("synfin." + name, default, meaning, least, most)


#: All parameters of TCP.
TCP_PARAMETERS: Final = (
    # --- opening
    _tcp("tcp_syn_retries", 6, "retransmissions of a SYN before connect fails, beside the linear ones", 1, 127),
    _tcp("tcp_syn_linear_timeouts", 4, "time-outs of a SYN before the time-out starts to double", 0, 127),
    _tcp("tcp_synack_retries", 5, "retransmissions of a SYN+ACK before a request is forgotten", 0, 255),
    _tcp("tcp_max_syn_backlog", 1024, "requests (half-open connections) of one listener, at most"),
    _tcp("tcp_syncookies", 1, "SYN cookies: 0 never, 1 when the queue of requests is full, 2 always", 0, 2),
    _tcp("tcp_abort_on_overflow", 0, "1: reset a client whose last ACK finds the accept queue full", 0, 1),
    _tcp("tcp_timestamps", 1, "timestamps (RFC 7323): 0 off, 1 on, 2 on without an offset of their own", 0, 2),
    _tcp("tcp_sack", 1, "1: offer and accept selective acknowledgments (RFC 2018)", 0, 1),
    _tcp("tcp_dsack", 1, "1: report duplicates in the first SACK block (RFC 2883)", 0, 1),
    _tcp("tcp_window_scaling", 1, "1: offer and accept window scaling (RFC 7323)", 0, 1),
    _tcp("tcp_ecn", 2, "ECN (RFC 3168): 0 off, 1 asked for and accepted, 2 accepted", 0, 2),
    _tcp("tcp_ecn_fallback", 1, "1: a SYN that asked for ECN and was lost is sent again without asking", 0, 1),
    # --- retransmission and giving up
    _tcp("tcp_retries1", 3, "R1 (RFC 9293 §3.8.3): retransmissions before the network layer is told", 0, 255),
    _tcp("tcp_retries2", 15, "R2: retransmissions before the connection ends, taken as the time they need"),
    _tcp("tcp_orphan_retries", 0, "R2 of a connection that its user has closed; 0 stands for 8", 0, 255),
    _tcp("tcp_max_orphans", 65536, "connections without a user, at most; one more is reset"),
    _tcp("tcp_rto_min_us", 200_000, "the least RTO beyond SRTT, in microseconds", 1, 120_000_000),
    _tcp("tcp_rto_max_ms", 120_000, "the greatest RTO, in milliseconds", 1000, 120_000),
    _tcp("tcp_recovery", 1, "losses found by time (RACK): 1 yes, +2 reordering window fixed, +4 no DupThresh", 0, 7),
    _tcp("tcp_early_retrans", 3, "tail-loss probes (RFC 8985): 0 no, 3 or 4 yes", 0, 4),
    _tcp("tcp_frto", 2, "F-RTO (RFC 5682), was a time-out spurious: 0 not asked, 1 and 2 asked", 0, 2),
    _tcp("tcp_reordering", 3, "segments that a network is expected to reorder (DupThresh), at first", 1, 300),
    _tcp("tcp_max_reordering", 300, "segments of reordering that are tolerated at most", 1, 65535),
    _tcp("tcp_min_rtt_wlen", 300, "seconds for which the least round trip counts", 0, 86400),
    _tcp("tcp_keepalive_time", 7200, "seconds of silence before the first keep-alive probe"),
    _tcp("tcp_keepalive_intvl", 75, "seconds between keep-alive probes"),
    _tcp("tcp_keepalive_probes", 9, "unanswered keep-alive probes before the connection ends", 0, 255),
    # --- closing
    _tcp("tcp_fin_timeout", 60, "seconds that a connection without a user may stay in FIN-WAIT-2"),
    _tcp("tcp_max_tw_buckets", 65536, "TIME-WAITs of a host, at most"),
    _tcp("tcp_tw_reuse", 2, "connect may take a port from TIME-WAIT: 0 never, 1 yes, 2 on loopback", 0, 2),
    _tcp("tcp_tw_reuse_delay", 1000, "milliseconds that a TIME-WAIT is left alone before that", 1),
    _tcp("tcp_rfc1337", 0, "1: a RST does not end TIME-WAIT (RFC 1337)", 0, 1),
    # --- memory, windows
    _tcp("tcp_rmem", (4096, 131072, 33554432), "receive buffer in octets: least, default, most", 1),
    # Linux has 4 MiB for the most of the latter, which fill no path of 1 Gbit/s and more than 33 ms.
    _tcp("tcp_wmem", (4096, 16384, 33554432), "send buffer in octets: least, default, most", 1),
    _tcp("tcp_mem", (65536, 98304, 131072), "all of TCP in pages of 4096 octets: low, pressure, most"),
    _tcp("tcp_moderate_rcvbuf", 1, "1: the receive buffer grows with what the user reads", 0, 1),
    _tcp(
        "tcp_adv_win_scale",
        1,
        "share of the receive buffer that is no window: n > 0: 1/2^n; else all but 1/2^-n",
        -31,
        31,
    ),
    _tcp("tcp_notsent_lowat", UINT_MAX, "octets not sent yet above which a socket is not writable", 0, UINT_MAX),
    # --- paths
    _tcp("tcp_min_snd_mss", 48, "the least MSS that a peer or a path can make us use, in octets", 48, 65535),
    _tcp("tcp_mtu_probing", 0, "search for the path's MTU (RFC 4821): 0 no, 1 after a black hole, 2 yes", 0, 2),
    _tcp("tcp_base_mss", 1024, "the MSS with which that search begins, in octets", 48, 65535),
    _tcp("tcp_mtu_probe_floor", 48, "the least MSS that the search falls back to, in octets", 48, 65535),
    _tcp("tcp_probe_interval", 600, "seconds until a finished search begins anew"),
    _tcp("tcp_probe_threshold", 8, "octets between the search's bounds at which it ends"),
    # --- what connections learn for the next
    _tcp("tcp_no_metrics_save", 0, "1: nothing is remembered of a destination when a connection ends (RFC 9040)", 0, 1),
    _tcp("tcp_no_ssthresh_metrics_save", 1, "1: of what is remembered, ssthresh is not", 0, 1),
    # --- sending
    _tcp("tcp_congestion_control", "cubic", "the congestion control of new connections"),
    _tcp("tcp_min_tso_segs", 2, "segments that a superpacket may have, however slow the path", 1, 44),
    _tcp(
        "tcp_tso_rtt_log",
        9,
        "shorter round trips than 2^n microseconds allow larger superpackets, 0: none does",
        0,
        31,
    ),
    _tcp("tcp_pacing_ss_ratio", 200, "percent of a window for each round trip by which slow start is paced", 0, 1000),
    _tcp("tcp_pacing_ca_ratio", 120, "the same percent in congestion avoidance", 0, 1000),
    _own("tcp_pacing", 0, "1: new connections send at a rate, not in bursts, whatever their congestion control", 0, 1),
    _own(
        "tcp_pacing_quantum_us",
        1000,
        "microseconds whose data leave together where a real clock drives the host",
        0,
        1_000_000,
    ),
    _tcp("tcp_slow_start_after_idle", 1, "1: a congestion window that was idle for an RTO shrinks", 0, 1),
    _own("tcp_loss_recovery", "", "loss recovery: newreno, sack or rack; nothing: as tcp_recovery says"),
    # --- the rest
    _tcp("tcp_stdurg", 0, "1: the urgent pointer is read as that of the last urgent octet (RFC 1122)", 0, 1),
    _tcp("tcp_invalid_ratelimit", 500, "milliseconds between two answers to segments that are no use"),
    # --- behaviours
    _own("tcp_timewait_len", 60, "seconds of TIME-WAIT, that is 2 MSL (Linux's TCP_TIMEWAIT_LEN)"),
    _own("tcp_delack_min", 40, "the shortest delay of an acknowledgment, in milliseconds; the longest is 200", 1, 499),
    _own("tcp_quick_acks", 1, "1: acknowledge each segment at once where a sender needs it (Linux)", 0, 1),
    _own("tcp_push_bursts", 1, "1: the last segment of a superpacket carries PSH (Linux)", 0, 1),
    _own("tcp_delay_fin_ack", 1, "1: the ACK of a FIN may wait for ours to bear it (Linux); 0: it goes at once", 0, 1),
    _own("tcp_minshall", 1, "1: a small segment waits only for another small one (Linux); 0: for any data", 0, 1),
    _own("tcp_abc_limit", 0, "segments by which one ACK lets slow start grow, at most (RFC 3465's L); 0: all", 0, 255),
    _own("tcp_hystart", 1, "HyStart++ (RFC 9406): 0 never, 1 with CUBIC, 2 with Reno too", 0, 2),
    _own(
        "tcp_cwnd_validation",
        1,
        "an idle window: 0 begins anew (RFC 5681), 1 halves for each RTO (Linux), 2 RFC 7661",
        0,
        2,
    ),
    _own("tcp_probe_data", 0, "1: a window probe carries an octet of new data (RFC 9293 §3.8.6.1); 0: none", 0, 1),
    _own("tcp_rto_min_of_sum", 0, "1: the least RTO bounds the RTO (RFC 6298 §2.4); 0: the term beyond SRTT", 0, 1),
    _own("tcp_rto_slop", 0, "milliseconds added to the time-out of each retransmission (BSD)", 0, 1000),
    _own("tcp_keepinit", 0, "seconds from the first SYN until connect fails (BSD), 0: tcp_syn_retries decides"),
    _own("tcp_freebsd_options", 0, "1: a SYN's options in FreeBSD's order, window shift 6; 0: in Linux's", 0, 1),
    _own("tcp_round_window", 0, "1: the receive buffer becomes a multiple of the MSS (BSD)", 0, 1),
    _own("tcp_icmp_ends_connecting", 1, "1: an ICMP error ends connect; 0: it goes on (RFC 9293 MUST-56)", 0, 1),
    _own("tcp_icmp_hard_aborts", 0, "1: Unreachable codes 2 to 4 end a connection (RFC 9293 SHLD-26)", 0, 1),
    _own("tcp_drop_synfin", 1, "1: a listener drops a SYN with a FIN; 0: takes both", 0, 1),
    _own("tcp_blackhole", 0, "where no connection is: 1 no RST for a SYN, 2 no RST at all", 0, 2),
    _own("tcp_rst_exact", 0, "1: only a RST at RCV.NXT resets (RFC 5961); 0: also at two other places (Linux)", 0, 1),
    _own("tcp_timestamps_required", 0, "1: drop a segment without the agreed timestamps (RFC 7323 §3.2)", 0, 1),
    _own("tcp_reopen_by_timestamps", 0, "1: a SYN with timestamps reopens a TIME-WAIT without (RFC 6191 §2)", 0, 1),
    _own("tcp_insecure_rst", 0, "1: any RST in the window ends a connection (before RFC 5961)", 0, 1),
    _own("tcp_insecure_syn", 0, "1: a SYN in the window resets a connection (before RFC 5961)", 0, 1),
)


class TcpParameters:
    """The values of all parameters of TCP on one host; `TCP_PARAMETERS` says what each means."""

    __slots__ = tuple(parameter.attribute for parameter in TCP_PARAMETERS)

    tcp_abc_limit: int
    tcp_abort_on_overflow: int
    tcp_adv_win_scale: int
    tcp_base_mss: int
    tcp_blackhole: int
    tcp_congestion_control: str
    tcp_cwnd_validation: int
    tcp_delack_min: int
    tcp_delay_fin_ack: int
    tcp_drop_synfin: int
    tcp_early_retrans: int
    tcp_dsack: int
    tcp_ecn: int
    tcp_ecn_fallback: int
    tcp_fin_timeout: int
    tcp_freebsd_options: int
    tcp_frto: int
    tcp_hystart: int
    tcp_icmp_ends_connecting: int
    tcp_icmp_hard_aborts: int
    tcp_insecure_rst: int
    tcp_insecure_syn: int
    tcp_invalid_ratelimit: int
    tcp_keepalive_intvl: int
    tcp_keepalive_probes: int
    tcp_keepalive_time: int
    tcp_keepinit: int
    tcp_loss_recovery: str
    tcp_max_orphans: int
    tcp_max_reordering: int
    tcp_max_syn_backlog: int
    tcp_max_tw_buckets: int
    tcp_mem: tuple[int, int, int]
    tcp_min_rtt_wlen: int
    tcp_min_snd_mss: int
    tcp_min_tso_segs: int
    tcp_minshall: int
    tcp_moderate_rcvbuf: int
    tcp_mtu_probe_floor: int
    tcp_mtu_probing: int
    tcp_no_metrics_save: int
    tcp_no_ssthresh_metrics_save: int
    tcp_notsent_lowat: int
    tcp_orphan_retries: int
    tcp_pacing: int
    tcp_pacing_ca_ratio: int
    tcp_pacing_quantum_us: int
    tcp_pacing_ss_ratio: int
    tcp_probe_data: int
    tcp_probe_interval: int
    tcp_probe_threshold: int
    tcp_push_bursts: int
    tcp_quick_acks: int
    tcp_recovery: int
    tcp_reopen_by_timestamps: int
    tcp_reordering: int
    tcp_retries1: int
    tcp_retries2: int
    tcp_rfc1337: int
    tcp_rmem: tuple[int, int, int]
    tcp_round_window: int
    tcp_rst_exact: int
    tcp_rto_max_ms: int
    tcp_rto_min_of_sum: int
    tcp_rto_min_us: int
    tcp_rto_slop: int
    tcp_sack: int
    tcp_slow_start_after_idle: int
    tcp_stdurg: int
    tcp_syn_linear_timeouts: int
    tcp_syn_retries: int
    tcp_synack_retries: int
    tcp_syncookies: int
    tcp_timestamps: int
    tcp_timestamps_required: int
    tcp_timewait_len: int
    tcp_tso_rtt_log: int
    tcp_tw_reuse: int
    tcp_tw_reuse_delay: int
    tcp_window_scaling: int
    tcp_wmem: tuple[int, int, int]

    def __init__(self) -> None:
        for parameter in TCP_PARAMETERS:
            setattr(self, parameter.attribute, parameter.default)
