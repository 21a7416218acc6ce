"""Keep-alive: asks a silent peer whether it is still there (RFC 9293 §3.8.4)."""

from __future__ import annotations

from errno import ETIMEDOUT

from synfin import reasons
from synfin.tcp import states, timers
from synfin.tcp.ending import end
from synfin.tcp.parameters import MILLISECOND, SECOND
from synfin.tcp.segments import make_segment
from synfin.tcp.tcb import Tcb
from synfin.wire.tcp import Segment


class KeepAlive:
    """Keep-alive of one connection while it is on: after `time_of` of silence a probe every `interval_of`, and the
    end after `probes_of` of them were not answered. `unanswered` counts; `heard` is when the peer was last heard
    before the last probe; `due` says that one is to be sent."""

    __slots__ = ("due", "heard", "unanswered")

    def __init__(self) -> None:
        self.unanswered = 0
        self.heard = 0
        self.due = False


def time_of(tcb: Tcb) -> int:
    """The silence before the first probe, in nanoseconds (MUST-27, MUST-28)."""
    return (tcb.settings.keepalive_time or tcb.parameters.tcp_keepalive_time) * SECOND


def interval_of(tcb: Tcb) -> int:
    """The time between two probes, in nanoseconds."""
    return (tcb.settings.keepalive_interval or tcb.parameters.tcp_keepalive_intvl) * SECOND


def probes_of(tcb: Tcb) -> int:
    """How many probes may go unanswered."""
    return tcb.settings.keepalive_probes or tcb.parameters.tcp_keepalive_probes


def switch(tcb: Tcb, on: bool, now: int) -> None:
    """Switches keep-alive on or off; it is off until then (MUST-24, MUST-25)."""
    if not on:
        tcb.keepalive = None
        tcb.stop_timer(timers.KEEPALIVE, now)
    elif tcb.keepalive is None:
        tcb.keepalive = KeepAlive()
        restart(tcb, now)


def established(tcb: Tcb, now: int) -> None:
    """The handshake is over. What a listener's user set holds for each connection of its own."""
    if tcb.settings.keepalive and tcb.keepalive is None:
        tcb.keepalive = KeepAlive()
    restart(tcb, now)


def restart(tcb: Tcb, now: int) -> None:
    """Begins to wait, as when it is switched on or at the end of the handshake."""
    if tcb.keepalive is not None and _may_probe(tcb):
        tcb.start_timer(timers.KEEPALIVE, now + time_of(tcb), now)


def resume(tcb: Tcb, now: int) -> None:
    """The time of silence was changed: what has passed of it counts."""
    if tcb.keepalive is not None and _may_probe(tcb):
        tcb.start_timer(timers.KEEPALIVE, max(tcb.last_received + time_of(tcb), now), now)


def _may_probe(tcb: Tcb) -> bool:
    return tcb.state in states.SYNCHRONIZED and tcb.state != states.TIME_WAIT


def deadline_reached(tcb: Tcb, now: int) -> None:
    """The timer expired: has the peer been silent for so long, a probe becomes due, or the connection ends."""
    keepalive = tcb.keepalive
    if keepalive is None:
        return
    waiting = len(tcb.sent) > 0 or tcb.unsent > 0
    if waiting:
        # MUST-26: never while anything is outstanding; then the retransmission limits decide.
        keepalive.unanswered = 0
        tcb.start_timer(timers.KEEPALIVE, now + time_of(tcb), now)
        return
    if tcb.last_received > keepalive.heard:
        keepalive.heard = tcb.last_received
        keepalive.unanswered = 0
    silence = now - tcb.last_received
    if silence < time_of(tcb):
        tcb.start_timer(timers.KEEPALIVE, tcb.last_received + time_of(tcb), now)
        return
    user_timeout = tcb.settings.user_timeout * MILLISECOND
    if user_timeout:
        # As Linux does, the user's time takes the place of the count.
        over = keepalive.unanswered > 0 and silence >= user_timeout
    else:
        over = keepalive.unanswered >= probes_of(tcb)
    if over:
        # MUST-29: one lost probe proves nothing; so many do. As Linux, with a RST for whoever may be there.
        end(tcb, states.GIVE_UP, tcb.soft_error or ETIMEDOUT, now, reasons.KEEP_ALIVE_UNANSWERED)
        tcb.reset_pending = True
        return
    keepalive.unanswered += 1
    keepalive.due = True
    tcb.start_timer(timers.KEEPALIVE, now + interval_of(tcb), now)


def probe(tcb: Tcb, now: int) -> Segment | None:
    """The probe that is due: a number that the peer has already, without data (SHLD-12)."""
    keepalive = tcb.keepalive
    if keepalive is None or not keepalive.due:
        return None
    keepalive.due = False
    tcb.why = reasons.KEEP_ALIVE_PROBE
    return make_segment(tcb, tcb.snd_una - 1, 0, now)
