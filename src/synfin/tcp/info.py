"""TCP_INFO: what a connection knows of itself, in Linux's names, units and layout (struct tcp_info of Linux 6.18)."""

from __future__ import annotations

from struct import Struct
from typing import Final

from synfin.tcp import states
from synfin.tcp.congestion import INITIAL_WINDOW
from synfin.tcp.listener import Listener
from synfin.tcp.sent_range import AGAIN, LOST, OUTSTANDING, SACKED, SentRange
from synfin.tcp.tcb import HEADERS_IPV4, HEADERS_IPV6, Tcb

# tcpi_options
TCPI_OPT_TIMESTAMPS: Final = 1
TCPI_OPT_SACK: Final = 2
TCPI_OPT_WSCALE: Final = 4
TCPI_OPT_ECN: Final = 8
TCPI_OPT_ECN_SEEN: Final = 16
TCPI_OPT_SYN_DATA: Final = 32

#: An unlimited rate, and a round trip that was never measured.
UNLIMITED_RATE: Final = (1 << 64) - 1
NO_ROUND_TRIP: Final = (1 << 32) - 1
#: Segments that the network is expected to reorder (RFC 6675's DupThresh).
REORDERING: Final = 3
#: Microseconds; a quarter of Linux's first deviation, before anything was measured.
INITIAL_RTTVAR: Final = 250_000
_MICROSECOND: Final = 1000
_MILLISECOND: Final = 1_000_000

#: The fields in the order of the structure with the letters of their types; two that share an octet are one here.
FIELDS: Final = (
    ("tcpi_state", "B"),
    ("tcpi_ca_state", "B"),
    ("tcpi_retransmits", "B"),
    ("tcpi_probes", "B"),
    ("tcpi_backoff", "B"),
    ("tcpi_options", "B"),
    ("tcpi_wscales", "B"),
    ("tcpi_flags", "B"),
    ("tcpi_rto", "I"),
    ("tcpi_ato", "I"),
    ("tcpi_snd_mss", "I"),
    ("tcpi_rcv_mss", "I"),
    ("tcpi_unacked", "I"),
    ("tcpi_sacked", "I"),
    ("tcpi_lost", "I"),
    ("tcpi_retrans", "I"),
    ("tcpi_fackets", "I"),
    ("tcpi_last_data_sent", "I"),
    ("tcpi_last_ack_sent", "I"),
    ("tcpi_last_data_recv", "I"),
    ("tcpi_last_ack_recv", "I"),
    ("tcpi_pmtu", "I"),
    ("tcpi_rcv_ssthresh", "I"),
    ("tcpi_rtt", "I"),
    ("tcpi_rttvar", "I"),
    ("tcpi_snd_ssthresh", "I"),
    ("tcpi_snd_cwnd", "I"),
    ("tcpi_advmss", "I"),
    ("tcpi_reordering", "I"),
    ("tcpi_rcv_rtt", "I"),
    ("tcpi_rcv_space", "I"),
    ("tcpi_total_retrans", "I"),
    ("tcpi_pacing_rate", "Q"),
    ("tcpi_max_pacing_rate", "Q"),
    ("tcpi_bytes_acked", "Q"),
    ("tcpi_bytes_received", "Q"),
    ("tcpi_segs_out", "I"),
    ("tcpi_segs_in", "I"),
    ("tcpi_notsent_bytes", "I"),
    ("tcpi_min_rtt", "I"),
    ("tcpi_data_segs_in", "I"),
    ("tcpi_data_segs_out", "I"),
    ("tcpi_delivery_rate", "Q"),
    ("tcpi_busy_time", "Q"),
    ("tcpi_rwnd_limited", "Q"),
    ("tcpi_sndbuf_limited", "Q"),
    ("tcpi_delivered", "I"),
    ("tcpi_delivered_ce", "I"),
    ("tcpi_bytes_sent", "Q"),
    ("tcpi_bytes_retrans", "Q"),
    ("tcpi_dsack_dups", "I"),
    ("tcpi_reord_seen", "I"),
    ("tcpi_rcv_ooopack", "I"),
    ("tcpi_snd_wnd", "I"),
    ("tcpi_rcv_wnd", "I"),
    ("tcpi_rehash", "I"),
    ("tcpi_total_rto", "H"),
    ("tcpi_total_rto_recoveries", "H"),
    ("tcpi_total_rto_time", "I"),
    ("tcpi_received_ce", "I"),
    ("tcpi_delivered_e1_bytes", "I"),
    ("tcpi_delivered_e0_bytes", "I"),
    ("tcpi_delivered_ce_bytes", "I"),
    ("tcpi_received_e1_bytes", "I"),
    ("tcpi_received_e0_bytes", "I"),
    ("tcpi_received_ce_bytes", "I"),
    ("tcpi_accecn_fail_mode", "H"),
    ("tcpi_accecn_opt_seen", "H"),
)
NAMES: Final = tuple(name for name, _ in FIELDS)
_MOST: Final = {"B": 0xFF, "H": 0xFFFF, "I": 0xFFFFFFFF, "Q": 0xFFFFFFFFFFFFFFFF}
_layout: Final = Struct("=" + "".join(letter for _, letter in FIELDS))


class TcpInfo:
    """The values by Linux's names: ``info["tcpi_rtt"]``. Times in the units of Linux: round trips, RTO and the
    times limited in microseconds, the times since the last event in milliseconds; windows in segments.

    ``tcpi_snd_wscale``, ``tcpi_rcv_wscale``, ``tcpi_delivery_rate_app_limited`` and ``tcpi_fastopen_client_fail`` are
    here too, which are parts of an octet in the structure. What the stack has no notion of stays 0: the
    receiver's round trip, the delivery rate, the time limited by the send buffer, reordering seen, and
    duplicates that the peer reports. It never paces: the rates are unlimited.
    """

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values = dict.fromkeys(NAMES, 0)

    def __getitem__(self, name: str) -> int:
        values = self._values
        if name == "tcpi_snd_wscale":
            return values["tcpi_wscales"] & 15
        if name == "tcpi_rcv_wscale":
            return values["tcpi_wscales"] >> 4
        if name == "tcpi_delivery_rate_app_limited":
            return values["tcpi_flags"] & 1
        if name == "tcpi_fastopen_client_fail":
            return values["tcpi_flags"] >> 1 & 3
        return values[name]

    def set(self, name: str, value: int) -> None:
        """Sets one field of the structure. Raises KeyError if there is none of that name."""
        if name not in self._values:
            raise KeyError(name)
        self._values[name] = value

    def items(self) -> list[tuple[str, int]]:
        """(name, value) of each field, the parts of octets too."""
        parts = (
            "tcpi_snd_wscale",
            "tcpi_rcv_wscale",
            "tcpi_delivery_rate_app_limited",
            "tcpi_fastopen_client_fail",
        )
        fields = [item for item in self._values.items() if item[0] not in ("tcpi_wscales", "tcpi_flags")]
        return fields + [(name, self[name]) for name in parts]

    def pack(self) -> bytes:
        """The structure as getsockopt(2) gives it, 280 octets; what does not fit its field is the most that does."""
        values = [min(self._values[name], _MOST[letter]) for name, letter in FIELDS]
        return _layout.pack(*values)

    @staticmethod
    def unpack(octets: bytes) -> TcpInfo:
        """What a structure of a kernel says; one of an older kernel may be shorter, and the rest is 0."""
        info = TcpInfo()
        whole = octets[: _layout.size] + bytes(max(_layout.size - len(octets), 0))
        info._values.update(zip(NAMES, _layout.unpack(whole), strict=True))
        return info


def tcp_info(tcb: Tcb, now: int) -> TcpInfo:
    """TCP_INFO of a connection at the time `now`."""
    info = TcpInfo()
    put = info.set
    _put_state(tcb, info)
    round_trip = tcb.round_trip
    acknowledging = tcb.acknowledging
    counts = tcb.counts
    put("tcpi_rto", round_trip.rto // _MICROSECOND)
    put("tcpi_ato", acknowledging.delay // _MICROSECOND)
    put("tcpi_snd_mss", tcb.mss)
    put("tcpi_rcv_mss", acknowledging.rcv_mss)
    _put_sent(tcb, info)
    put("tcpi_last_data_sent", (now - tcb.last_sent) // _MILLISECOND)
    put("tcpi_last_data_recv", (now - counts.last_data_received) // _MILLISECOND)
    put("tcpi_last_ack_recv", (now - tcb.last_received) // _MILLISECOND)
    headers = HEADERS_IPV4 if len(tcb.identity.remote_address) == 4 else HEADERS_IPV6
    put("tcpi_pmtu", tcb.path_mss + headers)
    put("tcpi_rcv_ssthresh", tcb.window_space)
    measured = round_trip.srtt > 0
    put("tcpi_rtt", round_trip.srtt // _MICROSECOND)
    put("tcpi_rttvar", round_trip.rttvar // _MICROSECOND if measured else INITIAL_RTTVAR)
    put("tcpi_min_rtt", round_trip.min_rtt // _MICROSECOND if measured else NO_ROUND_TRIP)
    mss = max(tcb.mss, 1)
    infinite = tcb.ssthresh >= (1 << 31) - 1
    put("tcpi_snd_ssthresh", tcb.ssthresh if infinite else tcb.ssthresh // mss)
    # Before the handshake is over the window is not set; Linux's is that of RFC 6928 from the start.
    put("tcpi_snd_cwnd", (tcb.cwnd or tcb.congestion.initial_window(tcb)) // mss)
    put("tcpi_advmss", tcb.advertised_mss)
    put("tcpi_reordering", tcb.recovery.reordering)
    put("tcpi_rcv_space", tcb.rcv_space_octets or min(10 * tcb.advertised_mss, tcb.window_space))
    put("tcpi_total_retrans", counts.total_retrans)
    put("tcpi_pacing_rate", UNLIMITED_RATE)
    put("tcpi_max_pacing_rate", UNLIMITED_RATE)
    # Linux counts a SYN and a FIN among the octets, but not the SYN of a SYN,ACK.
    put("tcpi_bytes_acked", max(tcb.delivered - tcb.passive, 0))
    put("tcpi_bytes_received", tcb.bytes_received + tcb.fin_received)
    put("tcpi_segs_out", counts.segs_out)
    put("tcpi_segs_in", counts.segs_in)
    put("tcpi_data_segs_in", counts.data_segs_in)
    put("tcpi_data_segs_out", counts.data_segs_out)
    put("tcpi_notsent_bytes", tcb.unsent)
    busy = counts.busy_time + (now - counts.busy_since if counts.busy_since >= 0 else 0)
    limited = counts.rwnd_time + (now - counts.rwnd_since if counts.rwnd_since >= 0 else 0)
    put("tcpi_busy_time", busy // _MICROSECOND)
    put("tcpi_rwnd_limited", limited // _MICROSECOND)
    put("tcpi_delivered", counts.delivered)
    put("tcpi_bytes_sent", counts.bytes_sent)
    put("tcpi_bytes_retrans", counts.bytes_retrans)
    put("tcpi_dsack_dups", counts.dsack_dups)
    put("tcpi_reord_seen", tcb.recovery.reordering_seen)
    put("tcpi_rcv_ooopack", counts.out_of_order)
    put("tcpi_snd_wnd", tcb.snd_wnd)
    put("tcpi_rcv_wnd", tcb.rcv_wnd)
    put("tcpi_total_rto", counts.rto_count)
    put("tcpi_total_rto_recoveries", counts.rto_recoveries)
    put("tcpi_total_rto_time", counts.rto_time // _MILLISECOND)
    return info


def listener_info(listener: Listener) -> TcpInfo:
    """TCP_INFO of a listener, which tells of its accept queue: how many wait, and how many may."""
    info = TcpInfo()
    info.set("tcpi_state", states.LISTEN)
    info.set("tcpi_unacked", len(listener.accept_queue))
    info.set("tcpi_sacked", listener.backlog)
    info.set("tcpi_snd_cwnd", INITIAL_WINDOW)
    info.set("tcpi_reordering", REORDERING)
    info.set("tcpi_pacing_rate", UNLIMITED_RATE)
    info.set("tcpi_max_pacing_rate", UNLIMITED_RATE)
    return info


def _put_state(tcb: Tcb, info: TcpInfo) -> None:
    info.set("tcpi_state", tcb.state)
    info.set("tcpi_ca_state", tcb.recovery.ca_state)
    info.set("tcpi_retransmits", tcb.retransmissions)
    unanswered = tcb.keepalive.unanswered if tcb.keepalive is not None else 0
    info.set("tcpi_probes", max(tcb.probes, unanswered))
    info.set("tcpi_backoff", max(tcb.round_trip.backoff, tcb.probe_backoff))
    if tcb.state in (states.CLOSED, states.SYN_SENT):
        # Nothing was agreed on yet.
        return
    options = TCPI_OPT_TIMESTAMPS if tcb.timestamps else 0
    options |= TCPI_OPT_SACK if tcb.sack_permitted else 0
    if tcb.ecn is not None:
        options |= TCPI_OPT_ECN_SEEN | TCPI_OPT_ECN if tcb.ecn.seen else TCPI_OPT_ECN
    if tcb.syn_wscale >= 0 and (tcb.snd_wscale or tcb.rcv_wscale):
        options |= TCPI_OPT_WSCALE
        info.set("tcpi_wscales", tcb.snd_wscale | tcb.rcv_wscale << 4)
    info.set("tcpi_options", options)


def _put_sent(tcb: Tcb, info: TcpInfo) -> None:
    """What is outstanding, in segments."""
    totals = {OUTSTANDING: 0, SACKED: 0, LOST: 0}
    resent = mended = 0
    for entry in tcb.sent.entries():
        count = _segments(entry)
        totals[entry.fate] += count
        resent += count if entry.again else 0
        mended += count if entry.again == AGAIN else 0
    info.set("tcpi_unacked", sum(totals.values()))
    # Without SACK each duplicate acknowledgment stands for a segment.
    sacked = totals[SACKED] if tcb.sack_permitted else -(-tcb.recovery.out_of_order(tcb) // max(tcb.mss, 1))
    info.set("tcpi_sacked", sacked)
    # Linux counts as lost also what was sent again since.
    info.set("tcpi_lost", totals[LOST] + mended)
    info.set("tcpi_retrans", resent)


def _segments(entry: SentRange) -> int:
    size = entry.segment_size
    length = entry.end - entry.start
    return -(-length // size) if 0 < size < length else 1
