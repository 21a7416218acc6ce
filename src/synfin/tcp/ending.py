"""How a connection ends: on request, by reset, by giving up (RFC 9293 §3.6, §3.8.3)."""

from __future__ import annotations

from synfin.reasons import Reason
from synfin.tcp import readiness
from synfin.tcp.tcb import Tcb


def end(tcb: Tcb, event: str, error: int, now: int, reason: Reason) -> None:
    """Enters CLOSED through `event`. `error` is the errno that the user learns, 0 for an orderly end.

    What had arrived in order stays readable; all else is given back.
    """
    tcb.change_state(event, now, reason)
    tcb.error = error
    tcb.timers.stop_all()
    tcb.sent.clear()
    tcb.send_buffer.clear()
    tcb.reassembly.clear()
    tcb.ack_now = False
    tcb.probe_now = False
    tcb.keepalive = None
    tcb.wake |= readiness.POLLIN | readiness.POLLOUT | readiness.POLLHUP
    if error:
        tcb.wake |= readiness.POLLERR
