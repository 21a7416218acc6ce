"""Urgent data (RFC 9293 §3.8.5, RFC 6093): a place in the stream up to which the peer's user should hurry.

What sockets call out-of-band data is the last urgent octet alone. Without SO_OOBINLINE it is taken out of the
stream, as Linux does, and can be read by itself; reads stop in front of the mark where it stood.
"""

from __future__ import annotations

from errno import EINVAL, ENOTCONN
from typing import TYPE_CHECKING, Final

from synfin.tcp import readiness, states
from synfin.tcp.errors import os_error
from synfin.tcp.tcb import Tcb, Urgent
from synfin.wire.tcp import URG

if TYPE_CHECKING:
    from synfin.tcp.arriving import Arrival

#: The largest pointer that the header has room for.
FARTHEST: Final = 0xFFFF


# --- sending


def urgent_mode(tcb: Tcb) -> bool:
    """Whether urgent data are not acknowledged yet."""
    return tcb.snd_up > tcb.snd_una


def pointer(tcb: Tcb, seq: int) -> int:
    """The urgent pointer of a segment that begins at `seq`; 0: it needs none."""
    # RFC 9293 §3.8.5 (MUST-62): of the octet after the urgent data.
    distance = tcb.snd_up - seq
    if 0 < distance <= FARTHEST:
        return distance
    if distance > FARTHEST and seq + FARTHEST > tcb.snd_nxt:
        # Farther than the field reaches (MUST-31): urgent data go on beyond all that was sent.
        return FARTHEST
    return 0


# --- receiving


def check(tcb: Tcb, arrival: Arrival) -> None:
    """Sixth, check the URG bit (RFC 9293 §3.10.7.4), and look for the urgent octet in this segment."""
    if arrival.segment.flags & URG:
        _pointer_arrives(tcb, arrival)
    urgent = tcb.urgent
    if urgent is not None and urgent.state == Urgent.AWAITED:
        offset = urgent.mark - arrival.start
        if 0 <= offset < arrival.segment.payload_length:
            for piece in arrival.segment.payload:
                if offset < len(piece):
                    urgent.octet = piece[offset]
                    break
                offset -= len(piece)
            urgent.state = Urgent.ARRIVED
            tcb.wake |= readiness.POLLPRI | readiness.POLLIN


def _pointer_arrives(tcb: Tcb, arrival: Arrival) -> None:
    mark = arrival.seq + arrival.segment.up
    if arrival.segment.up and not tcb.parameters.tcp_stdurg:
        mark -= 1
    # What was read, and what arrived, is not made urgent afterwards; and the pointer only advances.
    if mark < tcb.rcv_nxt or mark < tcb.copied or (tcb.urgent is not None and mark <= tcb.urgent.mark):
        return
    old = tcb.urgent
    queue = tcb.receive_queue
    if old is not None and old.mark == tcb.copied and not tcb.settings.oob_inline and queue.octets:
        # The old octet is next to be read. It is no data: it goes while its mark still says so.
        queue.take(1)
    tcb.urgent = Urgent(mark)
    tcb.rcv_up = mark + 1
    # MUST-32: whenever the pointer advances.
    tcb.wake |= readiness.POLLPRI


def span(tcb: Tcb, limit: int) -> tuple[int, int]:
    """What reading up to `limit` octets does to the receive queue: how many to leave out first, how many to read."""
    urgent = tcb.urgent
    if urgent is None or limit == 0:
        return 0, limit
    offset = urgent.mark - tcb.copied
    if offset > 0:
        return 0, min(limit, offset)
    skipped = 1 if offset == 0 and tcb.receive_queue.octets and not tcb.settings.oob_inline else 0
    return skipped, limit


def passed(tcb: Tcb) -> None:
    """The user read something: beyond the mark there is none."""
    if tcb.urgent is not None and tcb.copied > tcb.urgent.mark:
        tcb.urgent = None


def receive(tcb: Tcb, peek: bool) -> bytes:
    """The urgent octet (MSG_OOB); empty if the stream ended before it.

    Raises OSError with EINVAL if there is none, it was read already, or it is in the stream; BlockingIOError while
    it is only announced; ENOTCONN on a connection that ended without the peer's FIN.
    """
    urgent = tcb.urgent
    if tcb.settings.oob_inline or urgent is None or urgent.state == Urgent.READ:
        raise os_error(EINVAL)
    if tcb.state == states.CLOSED and not tcb.fin_received:
        raise os_error(ENOTCONN)
    if urgent.state == Urgent.ARRIVED:
        if not peek:
            urgent.state = Urgent.READ
        return bytes((urgent.octet,))
    if tcb.state == states.CLOSED or tcb.fin_received:
        return b""
    raise BlockingIOError


def at_mark(tcb: Tcb) -> bool:
    """Whether the next octet to read is where urgent data end (SIOCATMARK)."""
    return tcb.urgent is not None and tcb.urgent.mark == tcb.copied


def remaining(tcb: Tcb) -> int:
    """How many octets of urgent data the user has still to read, arrived or not (MUST-33)."""
    return max(tcb.urgent.mark + 1 - tcb.copied, 0) if tcb.urgent is not None else 0


def readable(tcb: Tcb) -> int:
    """How many octets one read can give (SIOCINQ): up to the mark, if there is one ahead."""
    octets = tcb.receive_queue.octets
    urgent = tcb.urgent
    if urgent is None or tcb.settings.oob_inline or not tcb.copied <= urgent.mark < tcb.copied + octets:
        return octets
    return urgent.mark - tcb.copied
