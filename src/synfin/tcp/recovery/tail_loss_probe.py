"""Tail-loss probes (RFC 8985 §7): where acknowledgments stay away, one segment asks for them before the RTO is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from synfin import reasons
from synfin.tcp import timers
from synfin.tcp.ca_states import TCP_CA_CWR, TCP_CA_OPEN
from synfin.tcp.parameters import MICROSECOND
from synfin.tcp.round_trip import INITIAL_RTO

if TYPE_CHECKING:
    from synfin.tcp.delivery import Delivery
    from synfin.tcp.recovery.selective import SelectiveRecovery
    from synfin.tcp.tcb import Tcb

#: Linux's values of ``tcp_early_retrans`` that mean these probes.
_PROBING: Final = (3, 4)
#: States in which nothing else brings acknowledgments.
_QUIET: Final = (TCP_CA_OPEN, TCP_CA_CWR)


def reset(recovery: SelectiveRecovery, tcb: Tcb, now: int) -> None:
    """§7.1: a loss is being mended."""
    recovery.probe_end = -1
    recovery.probe_due = False
    tcb.stop_timer(timers.LOSS_PROBE, now)


def schedule(recovery: SelectiveRecovery, tcb: Tcb, now: int) -> None:
    """§7.2: new data left, or an acknowledgment came that was not the last. The retransmission timer runs."""
    sent = tcb.sent
    first = sent.first()
    if (
        first is None
        or tcb.parameters.tcp_early_retrans not in _PROBING
        or recovery.ca_state not in _QUIET
        or sent.sacked_segments
        # §7.3: one probe at a time, and a round trip measured after it; otherwise probes could keep the RTO away for
        # ever.
        or recovery.probe_end >= 0
        or tcb.round_trip.samples <= recovery.probe_samples
    ):
        tcb.stop_timer(timers.LOSS_PROBE, now)
        return
    srtt = tcb.round_trip.srtt
    if srtt == 0:
        timeout = INITIAL_RTO
    elif len(sent) == 1 and first.end - first.start <= max(first.segment_size, 1) + 1:
        # §7.2: the peer may delay its acknowledgment of a single segment, perhaps with a FIN.
        timeout = 2 * srtt + tcb.parameters.tcp_rto_min_us * MICROSECOND
    else:
        timeout = 2 * srtt + timers.TIMEOUT_MIN
    # What waits for its moment is not late. Never later than the RTO, which goes on from the probe.
    begins = now if tcb.paced_until < now else tcb.paced_until
    deadline = min(begins + timeout, tcb.timers.deadlines[timers.RETRANSMISSION])
    tcb.start_timer(timers.LOSS_PROBE, deadline, now)


def deadline_reached(recovery: SelectiveRecovery, tcb: Tcb, now: int) -> None:
    """§7.3: the PTO is over. The probe comes out of poll_transmit."""
    if len(tcb.sent) == 0:
        return
    recovery.probe_due = True
    tcb.start_timer(timers.RETRANSMISSION, now + tcb.round_trip.rto, now)


def sent(recovery: SelectiveRecovery, tcb: Tcb, again: bool) -> None:
    """A probe left: new data, or the last segment `again`."""
    recovery.probe_due = False
    recovery.probe_end = tcb.snd_nxt
    recovery.probe_again = again
    recovery.probe_samples = tcb.round_trip.samples
    tcb.happened += (reasons.LOSS_PROBE,)


def acknowledged(recovery: SelectiveRecovery, tcb: Tcb, delivery: Delivery, now: int) -> None:
    """§7.4.2: was the probe what mended a loss?"""
    if tcb.snd_una < recovery.probe_end:
        return
    duplicated = delivery.duplicated
    if not recovery.probe_again:
        recovery.probe_end = -1
    elif duplicated is not None and duplicated[1] == recovery.probe_end:
        # Both arrived.
        recovery.probe_end = -1
    elif tcb.snd_una > recovery.probe_end:
        recovery.probe_end = -1
        tcb.happened += (reasons.LOSS_PROBE_MENDED,)
        recovery.reduced_by_probe(tcb, delivery, now)
    elif delivery.duplicate and not delivery.sacked:
        # A duplicate acknowledgment of a peer that reports none: both arrived.
        recovery.probe_end = -1
