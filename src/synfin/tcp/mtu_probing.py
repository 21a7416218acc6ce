"""The path's MTU found by trying (RFC 4821, RFC 8899): a larger segment is sent, and what comes back tells.

It needs no ICMP, and so survives a black hole: a router that drops what is too big and says nothing. Rules and
parameters are Linux's (`tcp_mtu_probing` and those beside it). Sizes are octets of a segment without options, as
`Tcb.path_mss` counts them; the MTU is IP's and TCP's headers more.
"""

from __future__ import annotations

from typing import Final

from synfin import reasons
from synfin.tcp.ca_states import TCP_CA_CWR, TCP_CA_OPEN
from synfin.tcp.parameters import SECOND
from synfin.tcp.settings import PMTUDISC_DONT
from synfin.tcp.tcb import TIMESTAMPS_LENGTH, Tcb

#: Full segments that the congestion window must hold, so that a probe is a small part of it (Linux).
LEAST_WINDOW: Final = 11
#: Full segments that must be there to follow the probe: their duplicate acknowledgments tell that it was lost.
FOLLOWERS: Final = 4

#: What `next_probe` returns besides a size.
WAIT: Final = 0
NO_PROBE: Final = -1


class MtuSearch:
    """A binary search: segments of `low` octets pass, those above `high` do not (RFC 4821 §7.1).

    `probe_size` is that of the probe in flight, 0 without one; it carries the numbers `probe_start` to `probe_end`.
    `began_at`: when the search began, or began anew (ns).
    """

    __slots__ = ("began_at", "high", "low", "probe_end", "probe_size", "probe_start")

    def __init__(self, low: int, high: int, now: int) -> None:
        self.low = low
        self.high = high
        self.began_at = now
        self.probe_size = 0
        self.probe_start = 0
        self.probe_end = 0


def established(tcb: Tcb, now: int) -> None:
    """The handshake is over: with ``tcp_mtu_probing`` 2 the search begins."""
    if tcb.parameters.tcp_mtu_probing > 1:
        _begin(tcb, now)


def _begin(tcb: Tcb, now: int) -> None:
    # RFC 4821 §7.2
    tcb.mtu_search = MtuSearch(tcb.parameters.tcp_base_mss + _options(tcb), _highest(tcb), now)
    tcb.update_mss()


def _options(tcb: Tcb) -> int:
    return TIMESTAMPS_LENGTH if tcb.timestamps else 0


def _highest(tcb: Tcb) -> int:
    """What the first link, the routers that spoke, the peer and the user allow."""
    return min(tcb.peer_mss, tcb.path_mss, tcb.settings.max_segment or tcb.path_mss)


def path_changed(tcb: Tcb) -> None:
    """`path_mss` has changed: the search stays below it, and what was in flight proves nothing.

    As on Linux a path that takes more than before is not searched at once, but after ``tcp_probe_interval``.
    """
    search = tcb.mtu_search
    if search is not None and tcb.path_mss < search.high:
        search.high = tcb.path_mss
        inconclusive(search)


def inconclusive(search: MtuSearch) -> None:
    """RFC 4821 §7.6.4: something else was lost with the probe, if that was lost at all. It will be sent again."""
    search.probe_size = 0


# --- sending --------------------------------------------------------------------------------------------------------


def next_probe(tcb: Tcb, now: int) -> int:
    """How many octets of new data to send now as a probe; `NO_PROBE`, or `WAIT` to send nothing now: a probe is due
    and the window is about to let it go."""
    search = tcb.mtu_search
    if search is None or search.probe_size:
        return NO_PROBE
    mss = tcb.mss
    # RFC 4821 §7.4
    if tcb.cwnd < LEAST_WINDOW * mss or tcb.recovery.ca_state > TCP_CA_OPEN:
        return NO_PROBE
    if tcb.settings.mtu_discover == PMTUDISC_DONT:
        return NO_PROBE
    if search.high - search.low < max(tcb.parameters.tcp_probe_threshold, 1):
        _begin_anew(tcb, search, now)
        return NO_PROBE
    # RFC 4821 §7.3
    size = (search.low + search.high) // 2 - _options(tcb)
    needed = size + FOLLOWERS * mss
    if size <= mss or tcb.send_buffer.end - tcb.snd_nxt < needed or tcb.snd_wnd < needed:
        return NO_PROBE
    in_flight = tcb.sent.in_flight
    # As if it were two segments: it may cost another one.
    fits = in_flight + size + mss <= tcb.cwnd
    if fits and tcb.snd_nxt + needed <= tcb.snd_una + tcb.snd_wnd:
        return size
    return WAIT if in_flight else NO_PROBE


def _begin_anew(tcb: Tcb, search: MtuSearch, now: int) -> None:
    """The path may have changed for the better (``tcp_probe_interval``; RFC 4821 §7.3)."""
    if now - search.began_at >= tcb.parameters.tcp_probe_interval * SECOND:
        search.began_at = now
        search.low = min(search.low, tcb.mss + _options(tcb))
        search.high = _highest(tcb)


def probe_sent(tcb: Tcb, start: int, size: int) -> None:
    """The octets `start` to `start + size` left in one segment (RFC 4821 §7.5)."""
    search = tcb.mtu_search
    if search is not None:
        search.probe_size = size + _options(tcb)
        search.probe_start = start
        search.probe_end = start + size


# --- what comes back ------------------------------------------------------------------------------------------------


def acknowledged(tcb: Tcb, search: MtuSearch) -> None:
    """SND.UNA advanced."""
    if search.probe_size and tcb.snd_una >= search.probe_end:
        # RFC 4821 §7.6.1
        search.low = search.probe_size
        search.probe_size = 0
        tcb.update_mss()
        tcb.verdict = reasons.MTU_PROBE_ARRIVED
        tcb.happened += (reasons.MTU_PROBE_ARRIVED,)


def is_lost(tcb: Tcb, search: MtuSearch) -> bool:
    """Whether what is lost now is the probe alone, so that it is no sign of congestion: all before it arrived."""
    return search.probe_size > 0 and tcb.snd_una == search.probe_start and tcb.recovery.ca_state < TCP_CA_CWR


def lost(tcb: Tcb, search: MtuSearch, now: int) -> None:
    """The probe was too large for the path (RFC 4821 §7.6.2). Its octets are sent again in smaller segments."""
    search.high = search.probe_size - 1
    search.probe_size = 0
    tcb.sent.mark_lost(search.probe_start, search.probe_end)
    tcb.why_lost = tcb.verdict = reasons.MTU_PROBE_LOST
    tcb.happened += (reasons.MTU_PROBE_LOST,)
    tcb.trace_congestion(now, reasons.MTU_PROBE_LOST)


def timed_out(tcb: Tcb, long_since: bool, now: int) -> bool:
    """The retransmission timer expired; `long_since`: R1 is over (``tcp_retries1``). True if segments become smaller,
    for it may be that a black hole swallows them (RFC 4821 §7.7)."""
    search = tcb.mtu_search
    parameters = tcb.parameters
    if not long_since or not parameters.tcp_mtu_probing:
        return False
    before = tcb.mss
    if search is None:
        _begin(tcb, now)
    else:
        options = _options(tcb)
        size = min((search.low - options) >> 1, parameters.tcp_base_mss)
        size = max(size, parameters.tcp_mtu_probe_floor, parameters.tcp_min_snd_mss)
        search.low = size + options
        tcb.update_mss()
    return tcb.mss < before
