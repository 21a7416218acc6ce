"""How fast data arrive at the peer: samples of the delivery rate (draft-ietf-ccwg-bbr §4.1).

What each range would have to remember of the moment when it was sent changes only when something is acknowledged. So
the ranges remember how much had been delivered by then, and the rest is kept here once for all that left between two
acknowledgments.
"""

from __future__ import annotations

from collections import deque

from synfin.tcp.delivery import NONE, Delivery, DeliveryRate
from synfin.tcp.parameters import SECOND
from synfin.tcp.tcb import Tcb

__all__ = ["acknowledged", "check_app_limited", "delivery_rate", "flight_begins"]


def flight_begins(tcb: Tcb, now: int) -> None:
    """§4.1.2.2: nothing is in flight, and something is about to leave: from here on time counts."""
    rate = tcb.rate
    rate.first_sent_at = now
    epoch = (tcb.delivered, now, now, 0 if rate.app_limited else NONE)
    epochs = rate.epochs
    if epochs is None:
        rate.epochs = deque((epoch,))
    elif epochs[-1][0] == tcb.delivered:
        epochs[-1] = epoch
    else:
        epochs.append(epoch)


def check_app_limited(tcb: Tcb) -> None:
    """§4.1.2.4: whether the user wrote too little for the network to show what it can."""
    if tcb.send_buffer.end - tcb.snd_nxt < tcb.mss and tcb.sent.lost == 0 and tcb.sent.in_flight < tcb.cwnd:
        rate = tcb.rate
        rate.app_limited = max(tcb.delivered + tcb.sent.in_flight, 1)
        epochs = rate.epochs
        if epochs is not None and epochs[-1][3] < 0:
            # What left before since the last acknowledgment did so at full speed.
            epochs[-1] = (*epochs[-1][:3], tcb.snd_nxt)


def acknowledged(tcb: Tcb, delivery: Delivery, now: int) -> None:
    """§4.1.2.3: something arrived at the peer, which `tcb.delivered` does not count yet: take a sample."""
    rate = tcb.rate
    epochs = rate.epochs
    if epochs is None:
        return
    delivered = tcb.delivered + delivery.octets
    then = delivery.latest_delivered
    while len(epochs) > 1 and epochs[1][0] <= then:
        epochs.popleft()
    rate.interval = NONE
    sent_at = delivery.latest_sent_at
    if epochs[0][0] <= then:
        before, delivered_at, first_sent_at, limited_from = epochs[0]
        # The longer of the times that sending and acknowledging took.
        interval = max(sent_at - first_sent_at, now - delivered_at)
        if interval >= tcb.round_trip.min_rtt and interval > 0:
            _sample(rate, delivered - before, interval, 0 <= limited_from < delivery.latest_end)
    if rate.app_limited and delivered > rate.app_limited:
        rate.app_limited = 0
    if tcb.snd_una >= tcb.snd_nxt:
        # Nothing is in flight that would refer to it, and an empty deque takes 600 octets.
        rate.epochs = None
        return
    rate.first_sent_at = max(rate.first_sent_at, sent_at)
    epoch = (delivered, now, rate.first_sent_at, 0 if rate.app_limited else NONE)
    segments = tcb.counts.data_segs_out
    if rate.segments == segments:
        # Nothing left meanwhile that would refer to it.
        epochs[-1] = epoch
    else:
        epochs.append(epoch)
        rate.segments = segments


def _sample(rate: DeliveryRate, octets: int, interval: int, app_limited: bool) -> None:
    rate.octets = octets
    rate.interval = interval
    rate.limited = app_limited
    # As Linux tells it: the last rate that the network limited, or a higher one that the user did.
    if not app_limited or octets * rate.shown_interval >= rate.shown_octets * interval:
        rate.shown_octets = octets
        rate.shown_interval = interval
        rate.shown_limited = app_limited


def delivery_rate(tcb: Tcb) -> int:
    """The rate of the best recent sample, in octets a second; 0 if there is none."""
    rate = tcb.rate
    return rate.shown_octets * SECOND // rate.shown_interval if rate.shown_interval else 0
