"""One TCP connection of a capture, followed packet by packet: the order of the checks, and what they share."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Final, TypeAlias

from synfin.explain import kinds
from synfin.explain.acknowledgments import acknowledges
from synfin.explain.dissect import DAMAGED, GOOD, OFFLOADED, IcmpSeen, Seen
from synfin.explain.end import Allowance, End
from synfin.explain.ending import finish, resets
from synfin.explain.kept import Kept
from synfin.explain.kinds import Finding, Kind
from synfin.explain.notes import Notes
from synfin.explain.observer import Observer
from synfin.explain.opening import asks_for_ecn, opens
from synfin.explain.retransmissions import again
from synfin.explain.values import MILLISECOND, SECOND, TIMESTAMPS_LENGTH, milliseconds, ts_val
from synfin.tcp.states import ESTABLISHED, SYN_RECEIVED, SYN_SENT
from synfin.wire.ip import CE
from synfin.wire.sequence import HALF, MASK
from synfin.wire.tcp import ACK, CWR, ECE, FIN, RST, SYN

__all__ = ["Connection"]

#: RFC 7323 §2.3: no window is larger than 1 GiB.
_LARGEST_WINDOW: Final = 1 << 30
#: Findings of one kind that a connection keeps; all are counted.
_MOST_OF_A_KIND: Final = 5
#: What follows within this time had only waited for its cause.
_AT_ONCE: Final = 3 * MILLISECOND
_COPY_TIME: Final = SECOND
#: A segment that was on its way when an RST left has arrived by then.
_CROSSING: Final = 300 * MILLISECOND
#: What no network card cuts, or merges.
_ORDINARY: Final = 1460

Sink: TypeAlias = Callable[[Finding], None]


class Connection:
    """A connection. `number`: in the order of the first packets, from 1. `flow`: of a packet that end 0 sends.

    `ends`: 0 is the left one, which opened the connection as far as is known (`opener`, None if it is not). `counts`:
    how often each kind of finding was met; `findings`: the first few of each.
    """

    __slots__ = (
        "_sink",
        "counts",
        "ecn_asked",
        "end_time",
        "ends",
        "findings",
        "first_time",
        "flow",
        "kept",
        "last_number",
        "last_time",
        "mid_stream",
        "notes",
        "number",
        "observer",
        "opener",
        "packets",
        "reset_by",
        "reset_number",
        "reset_time",
        "sack",
        "timestamps",
        "watched",
    )

    def __init__(
        self, number: int, first: Seen, allowance: Allowance, notes: Notes, kept: Kept | None, sink: Sink | None
    ) -> None:
        self.number = number
        self.flow = first.flow
        self.notes = notes
        self.kept = kept
        self._sink = sink
        self.ends = (End(allowance), End(allowance))
        self.observer = Observer()
        self.opener: int | None = None
        self.first_time = self.last_time = first.time
        self.last_number = 0
        self.packets = 0
        self.counts: dict[Kind, int] = {}
        self.findings: dict[Kind, list[Finding]] = {}
        self.mid_stream = not first.flags & (SYN | RST)
        self.reset_by: int | None = None
        self.reset_number = 0
        self.reset_time = 0
        # Whether both SYNs agreed on timestamps, on SACK (None: not known).
        self.timestamps = False
        self.sack: bool | None = None
        # The states may change with the next segment.
        self.watched = True
        self.ecn_asked = False
        #: When the capture, or what is known of this connection, ends.
        self.end_time = first.time
        if self.mid_stream:
            self.find(kinds.MID_STREAM, first, None)

    # --- how it stands -------------------------------------------------------------------------------------------

    @property
    def is_opening(self) -> bool:
        """The handshake is not over."""
        return not self.mid_stream and any(state in (None, SYN_SENT, SYN_RECEIVED) for state in self.observer.states)

    def settle(self) -> None:
        """Look whether the states may still change with any acknowledgment."""
        one, other = self.observer.states
        self.watched = one != ESTABLISHED or other != ESTABLISHED or any(end.fin is not None for end in self.ends)
        if self.observer.is_over:
            for end in self.ends:
                end.rest()

    def let_go(self, time: int) -> None:
        """No more will be seen of it; it is `time`. Say how it stands, and give up what was needed to follow it."""
        self.end_time = time
        finish(self)
        for end in self.ends:
            if end.good:
                self.notes.damaged.join(end.doubtful)
            else:
                self.notes.offloaded.join(end.doubtful)
            end.rest()

    # --- findings ------------------------------------------------------------------------------------------------

    def find(self, kind: Kind, seen: Seen | None, sender: int | None, **values: int | str) -> None:
        """Something unusual: at this packet, or nowhere in particular."""
        finding = Finding(
            kind,
            self.number,
            seen.number if seen is not None else 0,
            seen.time if seen is not None else self.last_time,
            sender,
            values,
        )
        self._note(finding)

    def _note(self, finding: Finding) -> None:
        kind = finding.kind
        self.counts[kind] = self.counts.get(kind, 0) + 1
        some = self.findings.setdefault(kind, [])
        if len(some) < _MOST_OF_A_KIND:
            some.append(finding)
        if self.kept is not None:
            self.kept.found(finding)
        if self._sink is not None:
            self._sink(finding)

    @property
    def weight(self) -> int:
        """How much speaks for looking at this connection."""
        return sum(kind.weight for kind in self.counts) * 1000 + min(999, sum(self.counts.values()))

    def count(self, column: str) -> int:
        """How many findings the table counts in this column."""
        return sum(count for kind, count in self.counts.items() if kind.column == column)

    # --- one packet after another ---------------------------------------------------------------------------------

    def see(self, seen: Seen, at: int) -> None:
        """End `at` sent this segment."""
        me = self.ends[at]
        peer = self.ends[1 - at]
        if seen.checksum >= OFFLOADED and self._damaged(me, seen):
            return
        if seen.checksum == GOOD:
            me.good = True
        flags = seen.flags
        length = seen.payload + (flags & FIN) + (flags >> 1 & 1)
        nxt = me.nxt
        if nxt is None or (flags & SYN and not me.syns):
            nxt = me.nxt = me.una = seen.seq
        start = nxt + ((seen.seq - nxt + HALF) & MASK) - HALF
        if (not length or start < nxt) and self._is_copy(me, seen):
            return
        if self.kept is not None:
            self.kept.add(seen, at)
        self.packets += 1
        me.packets += 1
        me.octets += seen.payload
        self.last_time = seen.time
        self.last_number = seen.number
        if not -_LARGEST_WINDOW < start - nxt < _LARGEST_WINDOW and not flags & RST:
            self.find(kinds.STRANGE, seen, at)
        elif flags & RST:
            resets(self, seen, at)
        else:
            if flags & SYN:
                self.ecn_asked = self.ecn_asked or asks_for_ecn(seen)
                opens(self, seen, at)
            if self.reset_by is not None:
                self._after_reset(seen, at)
            if length:
                self._text(seen, me, peer, at, start, length)
            elif start == nxt - 1 and peer.nxt is not None and me.una == nxt:
                self._probe(seen, me, peer, at)
            if flags & ACK:
                acknowledges(self, seen, me, peer, at, length)
            if flags & FIN and me.fin is None:
                me.fin = start + length
                me.fin_number = seen.number
                me.fin_time = seen.time
                self.observer.fin_sent(at, seen.number)
                self.watched = True
            if self.timestamps and seen.options_length < TIMESTAMPS_LENGTH and not flags & SYN:
                # RFC 7323 §3.2: once agreed on, every segment has them.
                self.find(kinds.TIMESTAMPS_LOST, seen, at)
            if flags & (ECE | CWR) or seen.ecn == CE:
                self._congestion(seen, at)
        me.wnd = seen.wnd
        me.last_time = seen.time
        me.last_number = seen.number
        me.recent.append(seen)
        self.observer.last_sent[at] = seen.number

    def _text(self, seen: Seen, me: End, peer: End, at: int, start: int, length: int) -> None:
        """RFC 9293 §3.4: SYN and FIN count as octets too."""
        end = start + length
        nxt = me.nxt
        assert nxt is not None
        if start == nxt:
            me.nxt = end
            if seen.payload == 1 and peer.wnd == 0:
                self.find(kinds.ZERO_WINDOW_PROBE, seen, at)
                me.probed = True
        elif start > nxt:
            if me.packets == 1:
                # Mid-stream: what the other end acknowledged before was not the last.
                me.una = start
            else:
                me.skip(nxt, start, seen.time, ts_val(seen.options))
            me.nxt = end
            start = max(start, nxt)
        else:
            if start == nxt - 1 and seen.payload == length == 1 and me.una == nxt:
                self._probe(seen, me, peer, at)
                return
            again(self, seen, at, start, end)
            me.asked += 1
            if end <= nxt:
                return
            me.nxt = end
            start = nxt
        me.full = max(me.full, seen.payload)
        if seen.payload > _ORDINARY and peer.syns and seen.payload > _largest_segment(peer):
            self.notes.superpackets.add(seen.number)
        waited = me.waited
        if waited is not None:
            self._stalled(seen, me, peer, at, waited)
        me.add(start, end, seen.time, seen.number)

    def _stalled(self, seen: Seen, me: End, peer: End, at: int, waited: tuple[int, int]) -> None:
        """RFC 9293 §3.7.4: what follows a delayed ACK at once had waited for it."""
        me.waited = None
        since, delay = waited
        if seen.payload and seen.time - since <= _AT_ONCE + max(peer.min_rtt, 0) * 5 // 4:
            # RFC 9293 §3.7.4: a full-sized segment need not wait for an acknowledgment.
            full = _largest_segment(peer) - (12 if self.timestamps else 0) if peer.syns else me.full
            small = seen.payload < full
            self.find(kinds.NAGLE_STALL if small else kinds.DELAYED_ACK_STALL, seen, at, elapsed=milliseconds(delay))

    def _probe(self, seen: Seen, me: End, peer: End, at: int) -> None:
        """A segment with the number before the next: it wants to be answered, no more."""
        if peer.wnd == 0:
            self.find(kinds.ZERO_WINDOW_PROBE, seen, at)
        else:
            last = max(me.last_time, peer.last_time)
            self.find(kinds.KEEP_ALIVE, seen, at, elapsed=milliseconds(seen.time - last))
        me.probed = True
        me.asked += 1

    def reported(self, seen: IcmpSeen, words: str) -> None:
        """An ICMP message about this connection passed."""
        numbers: dict[str, int | str] = {"type": seen.type, "code": seen.code}
        address = str(ip_address(seen.sender))
        finding = Finding(
            kinds.UNREACHABLE, self.number, seen.number, seen.time, None, {"address": address, "what": words, **numbers}
        )
        self._note(finding)

    # --- what goes with any segment ------------------------------------------------------------------------------

    def _damaged(self, me: End, seen: Seen) -> bool:
        """A checksum that is wrong or unknown. Tell whether the segment is to be passed over."""
        if seen.checksum == OFFLOADED:
            self.notes.offloaded.add(seen.number)
        elif seen.checksum == DAMAGED:
            if me.good:
                self.notes.damaged.add(seen.number)
                return True
            # So far it is not known whether this end's checksums are ever right.
            me.doubtful.add(seen.number)
        return False

    def _is_copy(self, me: End, seen: Seen) -> bool:
        """Whether it is a packet that was captured already, at another place. A retransmission is a packet of its own,
        with an identification of its own."""
        for old in me.recent:
            if (
                old.seq == seen.seq
                and old.ack == seen.ack
                and old.flags == seen.flags
                and old.wnd == seen.wnd
                and old.payload == seen.payload
                and old.identification == seen.identification
                and old.options == seen.options
                and (seen.identification or old.place != seen.place)
                and seen.time - old.time < _COPY_TIME
            ):
                self.notes.duplicates.add(seen.number)
                return True
        return False

    def _congestion(self, seen: Seen, at: int) -> None:
        if seen.ecn == CE:
            self.find(kinds.CONGESTION_MARKED, seen, at)
        if seen.flags & ECE and not seen.flags & SYN:
            self.find(kinds.CONGESTION_ECHOED, seen, at)

    def _after_reset(self, seen: Seen, at: int) -> None:
        """RFC 5961 §3: an RST that did not arrive, was not believed, or was somebody else's."""
        if seen.flags & SYN:
            self.reset_by = None
        elif self.reset_by == at:
            self.find(kinds.RESET_FOREIGN, seen, at, first=self.reset_number)
            self.reset_by = None
            self.observer.goes_on(seen.number)
        elif seen.time - self.reset_time > _CROSSING and not self.counts.get(kinds.RESET_IGNORED):
            self.find(kinds.RESET_IGNORED, seen, at, first=self.reset_number)


def _largest_segment(end: End) -> int:
    """The largest payload that this end takes, as its SYN said (RFC 9293 §3.7.1)."""
    return end.offered.mss or 1 << 16
