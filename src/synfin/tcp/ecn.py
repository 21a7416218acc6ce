"""Explicit Congestion Notification (RFC 3168, RFC 8311; RFC 9293 §3.8.2 SHLD-8).

A router that would have to drop a packet of a sender that understands ECN marks it instead (CE). The receiver echoes
the mark (ECE) until the sender says that it has reduced its window (CWR). The rules of detail are Linux's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from synfin import reasons
from synfin.wire.ip import CE, ECT_0, NOT_ECT
from synfin.wire.tcp import CWR, ECE

if TYPE_CHECKING:
    from synfin.tcp.parameters import TcpParameters
    from synfin.tcp.tcb import Tcb

#: RFC 3168 §6.1.1: a SYN with both asks for ECN; a SYN,ACK with ECE alone agrees.
SETUP: Final = ECE | CWR
#: Values of ``tcp_ecn``.
ASK: Final = 1
#: A sender whose window may be small needs so many acknowledgments at once (Linux).
QUICK_ACKS: Final = 2


class Ecn:
    """What a connection remembers whose ends have agreed on ECN.

    As a receiver: `echo`, whether what it sends carries ECE, and `seen`, whether the peer ever sent a packet that may
    be marked. As a sender: `tells`, whether its next new data carries CWR; `reduced_until`, the number after what was
    in flight when an echo last reduced the window; `codepoint`, that of the segment sent last.
    """

    __slots__ = ("codepoint", "echo", "reduced_until", "seen", "tells")

    def __init__(self, iss: int) -> None:
        self.codepoint = NOT_ECT
        self.echo = False
        self.seen = False
        self.tells = False
        self.reduced_until = iss

    def new_data_leaves(self) -> int:
        """Data are sent for the first time: marks may be put on them. Returns CWR if they carry it, else 0."""
        # RFC 3168 §6.1.2, §6.1.5: ECT on new data alone.
        self.codepoint = ECT_0
        if self.tells:
            self.tells = False
            return CWR
        return 0


# --- the handshake --------------------------------------------------------------------------------------------------


def flags_of_syn(tcb: Tcb, answer: bool) -> int:
    """ECE and CWR of the SYN that is about to be sent; `answer`: of the SYN,ACK of a simultaneous open."""
    if answer:
        return ECE if tcb.ecn is not None else 0
    parameters = tcb.parameters
    if parameters.tcp_ecn != ASK or (tcb.syn_transmissions > 1 and parameters.tcp_ecn_fallback):
        # RFC 3168 §6.1.1.1: there are paths that let no SYN with these flags pass.
        return 0
    tcb.ecn_asked = True
    return SETUP


def learn_from_syn(tcb: Tcb, flags: int, acknowledges: bool) -> None:
    """The peer's SYN, or SYN,ACK, in SYN-SENT (RFC 3168 §6.1.1).

    A SYN,ACK with both flags is that of an old host which reflects what it does not know.
    """
    if tcb.ecn_asked and flags & SETUP == (ECE if acknowledges else SETUP):
        tcb.ecn = Ecn(tcb.iss)


def learn_from_crossing_syn_ack(tcb: Tcb, flags: int) -> None:
    """In a simultaneous open both ends have to ask, and to agree."""
    if flags & SETUP != ECE:
        tcb.ecn = None


def accepted(flags: int, reserved: int, codepoint: int, parameters: TcpParameters) -> bool:
    """Whether a listener takes up what a SYN asks for.

    A SYN that may be marked (RFC 3168 §6.1.1 forbids it) tells of a path that spoils the ECN bits, as Linux sees it.
    """
    return flags & SETUP == SETUP and parameters.tcp_ecn != 0 and (codepoint == NOT_ECT or reserved != 0)


# --- the receiver ---------------------------------------------------------------------------------------------------


def data_arrives(tcb: Tcb, ecn: Ecn, flags: int, codepoint: int) -> None:
    """New data arrived, in a packet with `codepoint` (RFC 3168 §6.1.3)."""
    if flags & CWR:
        ecn.echo = False
        tcb.ack_now = True
        tcb.why_ack = reasons.ACK_AT_ONCE
    if codepoint == CE:
        if not ecn.echo:
            ecn.echo = True
            _acknowledge_quickly(tcb)
            tcb.ack_now = True
            tcb.why_ack = reasons.ACK_OF_CE
        ecn.seen = True
    elif codepoint != NOT_ECT:
        ecn.seen = True
    elif ecn.seen:
        # Sent again, most likely.
        _acknowledge_quickly(tcb)


def _acknowledge_quickly(tcb: Tcb) -> None:
    acknowledging = tcb.acknowledging
    acknowledging.quick = max(acknowledging.quick, QUICK_ACKS)
    acknowledging.interactive = False
    acknowledging.delay = acknowledging.delay_min


# --- the sender -----------------------------------------------------------------------------------------------------


def echo_arrives(tcb: Tcb, ecn: Ecn, ack: int, now: int) -> None:
    """An acknowledgment, not older than SND.UNA, carries ECE: a router has marked what we sent.

    The window is reduced as for a loss, but once for each window of data, and nothing is sent again.
    """
    # RFC 3168 §6.1.2. Until the data with CWR are acknowledged, the echo may be that of the same mark.
    if ack <= ecn.reduced_until or tcb.recovery.in_recovery() or tcb.snd_nxt == tcb.snd_una:
        return
    tcb.ssthresh = tcb.congestion.reduced(tcb, tcb.snd_nxt - tcb.snd_una, now)
    tcb.cwnd = min(tcb.cwnd, tcb.ssthresh)
    ecn.reduced_until = tcb.snd_nxt
    ecn.tells = True
    tcb.trace_congestion(now, reasons.ECN_ECHO)


def reduced(tcb: Tcb) -> bool:
    """A loss was found: whether the window was reduced for a mark already that was put on the same window of data.

    In any case the peer learns by CWR that the window is smaller now (RFC 3168 §6.1.2).
    """
    ecn = tcb.ecn
    if ecn is None:
        return False
    ecn.tells = True
    return tcb.snd_una < ecn.reduced_until
