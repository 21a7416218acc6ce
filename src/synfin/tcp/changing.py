"""What a change of its settings does to a connection that is open, beyond the new value itself.

A setting that is not here may be changed by assignment to `Connection.settings`: it is looked at when it matters.
After each of these calls the host settles the connection, for there may be something to send. Values are in the
units of `Settings`; whether they are allowed is for the caller to judge.
"""

from __future__ import annotations

from synfin import reasons
from synfin.tcp import keepalive, pacing, readiness, states, timers
from synfin.tcp.congestion import congestion_control
from synfin.tcp.tcb import Tcb


def set_keepalive(tcb: Tcb, on: bool, now: int) -> None:
    """Switches keep-alive on or off (SO_KEEPALIVE; RFC 9293 §3.8.4, MUST-24)."""
    tcb.settings.keepalive = on
    keepalive.switch(tcb, on, now)


def set_keepalive_time(tcb: Tcb, seconds: int, now: int) -> None:
    """Sets the silence before the first probe (TCP_KEEPIDLE). Silence that has passed already counts."""
    tcb.settings.keepalive_time = seconds
    if tcb.keepalive is not None:
        keepalive.resume(tcb, now)


def set_nodelay(tcb: Tcb, on: bool, now: int) -> None:
    """Switches Nagle's algorithm off or on (TCP_NODELAY; MUST-17). What waits goes out, even of a corked connection."""
    tcb.settings.nodelay = on
    if on:
        push(tcb)


def set_cork(tcb: Tcb, on: bool, now: int) -> None:
    """Holds partial segments back, or lets them go (TCP_CORK)."""
    tcb.settings.cork = on
    if not on:
        tcb.more_to_come = False


def push(tcb: Tcb) -> None:
    """Lets all that was written so far go out as soon as the windows allow, in partial segments too."""
    tcb.more_to_come = False
    tcb.pushed_through = tcb.send_buffer.end


def set_quickack(tcb: Tcb, value: int, now: int) -> None:
    """0: acknowledgments wait to ride on data. Otherwise they do not, and one that waits goes out now; an even value
    means this one only (TCP_QUICKACK, as Linux has it)."""
    acknowledging = tcb.acknowledging
    acknowledging.interactive = value == 0
    if value and tcb.state in (states.ESTABLISHED, states.CLOSE_WAIT) and tcb.timers.running(timers.DELAYED_ACK):
        if tcb.receive_queue.octets == 0 or tcb.rcv_nxt - tcb.last_ack_sent > acknowledging.rcv_mss:
            tcb.ack_now = True
            tcb.why_ack = reasons.ACK_AT_ONCE
        if not value & 1:
            acknowledging.interactive = True


def quickack(tcb: Tcb) -> bool:
    """What TCP_QUICKACK reads as: acknowledgments do not wait to ride on data."""
    return not tcb.acknowledging.interactive


def set_rcv_buf(tcb: Tcb, octets: int, now: int) -> None:
    """Sets the receive buffer, which then no longer tunes itself (SO_RCVBUF). A window that was offered is not taken
    back (SHLD-14)."""
    tcb.settings.rcv_buf = octets
    tcb.rcv_buf = octets
    tcb.rcv_buf_locked = True


def set_snd_buf(tcb: Tcb, octets: int, now: int) -> None:
    """Sets the send buffer, which then no longer follows the congestion window (SO_SNDBUF)."""
    tcb.settings.snd_buf = octets
    tcb.snd_buf = octets
    tcb.wake |= readiness.POLLOUT


def set_rcv_lowat(tcb: Tcb, octets: int, now: int) -> None:
    """Sets how many octets make the connection readable (SO_RCVLOWAT), and the buffer large enough for them.

    More than half the buffer could never arrive: so much is the most.
    """
    most = (tcb.rcv_buf if tcb.rcv_buf_locked else tcb.parameters.tcp_rmem[2]) >> 1
    lowat = max(min(octets, most), 1)
    tcb.settings.rcv_lowat = lowat
    if not tcb.rcv_buf_locked:
        tcb.rcv_buf = max(tcb.rcv_buf, 2 * lowat)
        if tcb.settings.window_clamp:
            tcb.settings.window_clamp = max(tcb.settings.window_clamp, lowat)
    tcb.wake |= readiness.POLLIN


def set_notsent_lowat(tcb: Tcb, octets: int, now: int) -> None:
    """Sets how many octets may wait unsent (TCP_NOTSENT_LOWAT). A writer who waits has another look."""
    tcb.settings.notsent_lowat = octets
    tcb.wake |= readiness.POLLOUT


def set_congestion_control(tcb: Tcb, name: str, now: int) -> None:
    """Changes the congestion control of a live connection (TCP_CONGESTION). Its windows stay as they are.

    Raises KeyError if there is none of that name.
    """
    tcb.congestion = congestion_control(name)
    tcb.settings.congestion_control = name
    pacing.update(tcb)


def set_max_pacing_rate(tcb: Tcb, rate: int, now: int) -> None:
    """Sets the greatest rate of data sent in octets a second, `pacing.UNLIMITED_RATE` for none (SO_MAX_PACING_RATE)."""
    tcb.settings.max_pacing_rate = rate
    tcb.paced_until = min(tcb.paced_until, now)
    pacing.update(tcb)
