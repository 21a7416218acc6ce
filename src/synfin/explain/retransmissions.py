"""Segments whose numbers had passed, or been skipped: which kind of retransmission each is, or none.

The rules are those by which senders act, not distances in time, as far as that goes. A time-out sends the earliest
unacknowledged segment (RFC 6298 §5.4), a tail loss probe the last one (RFC 8985 §7.3); a fast retransmission follows
three duplicate ACKs (RFC 5681 §3.2) or a SACK of later data (RFC 6675 §5, RFC 8985 §6.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from synfin.explain import kinds
from synfin.explain.values import MILLISECOND, milliseconds, ts_val
from synfin.wire.sequence import before
from synfin.wire.tcp import ACK, FIN, SYN

if TYPE_CHECKING:
    from synfin.explain.connection import Connection
    from synfin.explain.dissect import Seen
    from synfin.explain.end import End, Hole, Sent

#: RFC 5681 §3.2
_DUPLICATES: Final = 3
#: No time-out is shorter on the hosts that are met (Linux: TCP_RTO_MIN; RFC 6298 §2.4 asks for a second).
_LEAST_RTO: Final = 190 * MILLISECOND
#: What comes too late by less than that was overtaken on the way, if nothing is known of the round trip.
_REORDERED: Final = 3 * MILLISECOND


def again(connection: Connection, seen: Seen, at: int, start: int, end: int) -> None:
    """End `at` sent the range from `start` to `end`, which begins below what it had sent."""
    me = connection.ends[at]
    peer = connection.ends[1 - at]
    record = me.outstanding(start, end)
    if seen.flags & (SYN | FIN) and _handshake(connection, seen, me, at, record):
        pass
    elif end <= me.una:
        connection.find(kinds.SPURIOUS, seen, at, by=me.una_number)
        me.fill(start, end)
    else:
        hole = me.fill(start, end)
        if hole is None:
            _repeated(connection, seen, me, peer, at, start, end, record)
        elif _was_overtaken(seen, me, peer, hole):
            connection.find(kinds.OUT_OF_ORDER, seen, at)
            me.repair_number = seen.number
            return
        else:
            connection.find(kinds.UNSEEN, seen, at)
            if me.recovery is None:
                me.recovery = me.nxt
    me.sent_again(start, end, seen.time)
    me.repair_number = seen.number


def _handshake(connection: Connection, seen: Seen, me: End, at: int, record: Sent | None) -> bool:
    """Whether it is a SYN, or a FIN without text, that came before."""
    flags = seen.flags
    if flags & SYN:
        if flags & ACK and me.syn_acks == 1:
            # RFC 9293 §3.5, figure 7: in a simultaneous open it has the number of the SYN, and says something new.
            return True
        elapsed = milliseconds(seen.time - (record.time if record is not None else me.syn_time))
        connection.find(kinds.SYN_ACK_AGAIN if flags & ACK else kinds.SYN_AGAIN, seen, at, elapsed=elapsed)
        return True
    if me.fin is None or seen.payload:
        return False
    if me.fin <= me.una:
        connection.find(kinds.SPURIOUS, seen, at, by=me.una_number)
        return True
    elapsed = milliseconds(seen.time - (record.time if record is not None else me.fin_time))
    connection.find(kinds.FIN_AGAIN, seen, at, elapsed=elapsed)
    return True


def _was_overtaken(seen: Seen, me: End, peer: End, hole: Hole) -> bool:
    """Whether a segment that fills a hole was sent before those behind the hole."""
    mine = ts_val(seen.options)
    if mine >= 0 and hole.ts_val >= 0 and mine != hole.ts_val:
        # RFC 7323 §5.2: the clock of timestamps does not go backwards.
        return before(mine, hole.ts_val)
    elapsed = seen.time - hole.time
    if not peer.duplicates and me.sacked <= hole.end:
        # Nobody has told the sender of a loss.
        return elapsed < _LEAST_RTO
    if me.min_rtt >= 0 and peer.min_rtt >= 0:
        # The report of a loss goes to the sender, and its answer comes back.
        return elapsed < (me.min_rtt + peer.min_rtt) * 9 // 10
    return elapsed < _REORDERED


def _repeated(
    connection: Connection,
    seen: Seen,
    me: End,
    peer: End,
    at: int,
    start: int,
    end: int,
    record: Sent | None,
) -> None:
    """It had passed before, and is not acknowledged."""
    now = seen.time
    elapsed = now - (record.time if record is not None else me.last_time)
    first = record.first if record is not None else 0
    is_first = start <= me.una
    told_lately = now - me.sack_time < _LEAST_RTO
    numbers: dict[str, int | str] = {"first": first, "elapsed": milliseconds(elapsed)}
    if me.recovery is not None and me.una < me.recovery and start < me.recovery:
        if is_first and elapsed >= _LEAST_RTO and not told_lately:
            connection.find(kinds.TIMEOUT, seen, at, **numbers)
            me.recovery = me.nxt
        else:
            connection.find(kinds.RECOVERY, seen, at, **numbers)
        return
    reported = me.sacked > end or (is_first and peer.duplicates >= _DUPLICATES)
    if reported and told_lately:
        numbers["duplicates"] = peer.duplicates
        connection.find(kinds.FAST if peer.duplicates >= _DUPLICATES else kinds.SACK_RECOVERY, seen, at, **numbers)
    elif end == me.nxt and (not is_first or elapsed < _LEAST_RTO) and (record is None or record.times == 1):
        # It does not say that anything is lost: no recovery begins.
        connection.find(kinds.LOSS_PROBE, seen, at, **numbers)
        return
    elif is_first and elapsed >= _LEAST_RTO:
        connection.find(kinds.TIMEOUT, seen, at, **numbers)
    else:
        connection.find(kinds.UNEXPLAINED, seen, at, **numbers)
    me.recovery = me.nxt
