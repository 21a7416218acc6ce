"""Keep-alive: asks a silent peer whether it is still there (RFC 9293 §3.8.4)."""

from __future__ import annotations

from errno import ETIMEDOUT

from synfin import reasons
from synfin.tcp import states, timers
from synfin.tcp.ending import end
from synfin.tcp.parameters import SECOND
from synfin.tcp.segments import make_segment
from synfin.tcp.tcb import Tcb
from synfin.wire.tcp import Segment


class KeepAlive:
    """The settings of one connection: after `time` nanoseconds of silence a probe every `interval`, and the end
    after `probes` of them were not answered. `unanswered` counts; `heard` is when the peer was last heard before
    the last probe."""

    __slots__ = ("due", "heard", "interval", "probes", "time", "unanswered")

    def __init__(self, time: int, interval: int, probes: int) -> None:
        self.time = time
        self.interval = interval
        self.probes = probes
        self.unanswered = 0
        self.heard = 0
        self.due = False


def switch(tcb: Tcb, on: bool, now: int) -> None:
    """Switches keep-alive on or off; it is off until then (MUST-24, MUST-25)."""
    if not on:
        tcb.keepalive = None
        tcb.stop_timer(timers.KEEPALIVE, now)
    elif tcb.keepalive is None:
        parameters = tcb.parameters
        tcb.keepalive = KeepAlive(
            parameters.tcp_keepalive_time * SECOND,
            parameters.tcp_keepalive_intvl * SECOND,
            parameters.tcp_keepalive_probes,
        )
        restart(tcb, now)


def restart(tcb: Tcb, now: int) -> None:
    """Begins to wait, as after a change of the settings or the end of the handshake."""
    keepalive = tcb.keepalive
    if keepalive is not None and tcb.state in states.SYNCHRONIZED and tcb.state != states.TIME_WAIT:
        tcb.start_timer(timers.KEEPALIVE, now + keepalive.time, now)


def deadline_reached(tcb: Tcb, now: int) -> None:
    """The timer expired: has the peer been silent for so long, a probe becomes due, or the connection ends."""
    keepalive = tcb.keepalive
    if keepalive is None:
        return
    waiting = len(tcb.sent) > 0 or tcb.unsent > 0
    if waiting:
        # MUST-26: never while anything is outstanding; then the retransmission limits decide.
        keepalive.unanswered = 0
        tcb.start_timer(timers.KEEPALIVE, now + keepalive.time, now)
        return
    if tcb.last_received > keepalive.heard:
        keepalive.heard = tcb.last_received
        keepalive.unanswered = 0
    silence = now - tcb.last_received
    if silence < keepalive.time:
        tcb.start_timer(timers.KEEPALIVE, tcb.last_received + keepalive.time, now)
        return
    if keepalive.unanswered >= keepalive.probes:
        # MUST-29: one lost probe proves nothing; so many do. As Linux, with a RST for whoever may be there.
        end(tcb, states.GIVE_UP, ETIMEDOUT, now, reasons.KEEP_ALIVE_UNANSWERED)
        tcb.reset_pending = True
        return
    keepalive.unanswered += 1
    keepalive.due = True
    tcb.start_timer(timers.KEEPALIVE, now + keepalive.interval, now)


def probe(tcb: Tcb, now: int) -> Segment | None:
    """The probe that is due: a number that the peer has already, without data (SHLD-12)."""
    keepalive = tcb.keepalive
    if keepalive is None or not keepalive.due:
        return None
    keepalive.due = False
    tcb.why = reasons.KEEP_ALIVE_PROBE
    return make_segment(tcb, tcb.snd_una - 1, 0, now)
