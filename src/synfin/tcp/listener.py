"""LISTEN, and the requests of those who knock: a passive SYN-RECEIVED (RFC 9293 §3.10.7.2)."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush

from synfin import reasons
from synfin.events import Tracer
from synfin.reasons import Reason
from synfin.tcp import closed, readiness, states
from synfin.tcp.clock import timestamp
from synfin.tcp.congestion import congestion_control
from synfin.tcp.connection import Connection
from synfin.tcp.isn import InitialSequenceNumbers
from synfin.tcp.parameters import MILLISECOND, TcpParameters
from synfin.tcp.recovery import NewReno
from synfin.tcp.round_trip import INITIAL_RTO
from synfin.tcp.tcb import (
    DEFAULT_MSS_IPV4,
    DEFAULT_MSS_IPV6,
    MAX_WINDOW_SHIFT,
    Identity,
    window_shift,
)
from synfin.tcp.timers import NEVER
from synfin.wire.sequence import before, unwrap, wrap
from synfin.wire.tcp import ACK, FIN, RST, SYN, Segment
from synfin.wire.tcp_options import Options


class Request:
    """A half-open connection: what a SYN told, and what our SYN,ACK said. Times in nanoseconds."""

    __slots__ = (
        "answered_at",
        "deadline",
        "flow",
        "irs",
        "iss",
        "path_mss",
        "peer_mss",
        "peer_wscale",
        "rcv_wnd",
        "retransmissions",
        "sack_permitted",
        "timestamps",
        "transmissions",
        "ts_offset",
        "ts_recent",
        "ts_recent_at",
    )

    def __init__(self, flow: bytes, irs: int, iss: int, path_mss: int, ts_offset: int, now: int) -> None:
        self.flow = flow
        self.irs = irs
        self.iss = iss
        self.path_mss = path_mss
        self.peer_mss = DEFAULT_MSS_IPV4 if len(flow) == 12 else DEFAULT_MSS_IPV6
        #: The peer's shift, or -1 when windows are not scaled.
        self.peer_wscale = -1
        self.rcv_wnd = 0
        self.sack_permitted = False
        self.timestamps = False
        self.ts_offset = ts_offset
        self.ts_recent = 0
        self.ts_recent_at = now
        #: Time-outs so far, each of which sent the SYN,ACK again.
        self.retransmissions = 0
        self.transmissions = 0
        self.deadline = now + INITIAL_RTO
        #: When a segment that was no use was last answered.
        self.answered_at = -1


class Listener:
    """A passive open (RFC 9293 §3.10.1): its requests, and the connections that wait to be accepted.

    `backlog` bounds the accept queue as Linux does: one more than `backlog` fits. Connections whose handshake is
    complete wait in `accept_queue`. The host looks up which segments belong here; `local_address` is empty for
    the wildcard.
    """

    __slots__ = (
        "_deadlines",
        "_due",
        "accept_queue",
        "backlog",
        "local_address",
        "local_port",
        "numbers",
        "overflows",
        "parameters",
        "requests",
        "state",
        "tracer",
        "verdict",
        "wake",
        "why",
    )

    def __init__(
        self,
        local_address: bytes,
        local_port: int,
        backlog: int,
        parameters: TcpParameters,
        numbers: InitialSequenceNumbers,
        tracer: Tracer | None = None,
    ) -> None:
        self.local_address = local_address
        self.local_port = local_port
        self.backlog = backlog
        self.parameters = parameters
        self.numbers = numbers
        self.tracer = tracer
        self.state = states.next_state(states.CLOSED, states.PASSIVE_OPEN)
        self.requests: dict[bytes, Request] = {}
        self.accept_queue: deque[Connection] = deque()
        self._deadlines: list[tuple[int, bytes]] = []
        self._due: deque[bytes] = deque()
        #: How often a SYN or a last ACK found a queue full.
        self.overflows = 0
        self.wake = 0
        self.verdict: Reason = reasons.ACCEPTED
        self.why: Reason = reasons.SYN_ANSWERED

    # --- the user's calls

    def accept(self) -> Connection:
        """Takes the oldest complete connection. Raises BlockingIOError if there is none."""
        if not self.accept_queue:
            raise BlockingIOError
        return self.accept_queue.popleft()

    def close(self) -> list[Connection]:
        """Ends listening: requests are forgotten; the connections that nobody accepted are returned, to be
        aborted by the caller."""
        if self.state != states.CLOSED:
            self.state = states.next_state(self.state, states.CLOSE)
        waiting = list(self.accept_queue)
        self.accept_queue.clear()
        self.requests.clear()
        self._deadlines.clear()
        self._due.clear()
        return waiting

    def readiness(self) -> int:
        """POLLIN when a connection can be accepted."""
        return readiness.POLLIN if self.accept_queue else 0

    # --- the network's calls

    def segment_arrives(
        self, flow: bytes, segment: Segment, path_mss: int, now: int, iss: int = -1
    ) -> tuple[Segment | None, Connection | None]:
        """Takes a segment for the listening port that belongs to no connection.

        Returns the reply that belongs to it, and the connection that it completed, which also waits in
        `accept_queue`. `path_mss` is what the route to the sender allows; `iss`, if not negative, the initial
        number that a reopened TIME-WAIT prescribes (RFC 9293 §3.6.1).
        """
        request = self.requests.get(flow)
        if request is not None:
            return self._request_segment(request, segment, now)
        return self._listen_segment(flow, segment, path_mss, now, iss), None

    def _listen_segment(self, flow: bytes, segment: Segment, path_mss: int, now: int, iss: int) -> Segment | None:
        # RFC 9293 §3.10.7.2
        flags = segment.flags
        self.verdict = reasons.NOTHING_FOR_LISTEN
        # First, check for a RST; second, check for an ACK.
        if flags & RST:
            return None
        if flags & ACK:
            self.why = reasons.RESET_NO_CONNECTION
            return closed.segment_arrives(segment)
        # Third, check for a SYN. One with a FIN is nonsense, which Linux drops too. Fourth, drop the rest.
        if not flags & SYN or flags & FIN:
            return None
        if len(self.accept_queue) > self.backlog:
            self.overflows += 1
            self.verdict = reasons.ACCEPT_QUEUE_FULL
            return None
        if len(self.requests) >= max(self.backlog, 1) or len(self.requests) >= self.parameters.tcp_max_syn_backlog:
            self.overflows += 1
            self.verdict = reasons.SYN_QUEUE_FULL
            return None
        identity = Identity.from_flow(flow)
        if iss < 0:
            iss = self.numbers.iss(identity, now)
        offset = self.numbers.timestamp_offset(identity)
        request = Request(flow, segment.seq, iss, path_mss, offset, now)
        self._learn(request, segment.options)
        self.requests[flow] = request
        heappush(self._deadlines, (request.deadline, flow))
        self.verdict = reasons.SYN_RECEIVED
        if self.tracer is not None:
            self.tracer.state_changed(
                now,
                flow,
                states.NAMES[self.state],
                states.NAMES[states.next_state(self.state, states.RCV_SYN)],
                reasons.SYN_RECEIVED,
            )
        self.why = reasons.SYN_ANSWERED
        return self._syn_ack(request, now)

    def _learn(self, request: Request, options: Options) -> None:
        parameters = self.parameters
        if options.mss is not None:
            request.peer_mss = options.mss
        if options.window_scale is not None and parameters.tcp_window_scaling:
            request.peer_wscale = min(options.window_scale, MAX_WINDOW_SHIFT)
        request.sack_permitted = options.sack_permitted and parameters.tcp_sack != 0
        if options.ts_val is not None and parameters.tcp_timestamps:
            request.timestamps = True
            request.ts_recent = options.ts_val

    def _request_segment(
        self, request: Request, segment: Segment, now: int
    ) -> tuple[Segment | None, Connection | None]:
        """RFC 9293 §3.10.7.4 for SYN-RECEIVED after a passive open."""
        flags = segment.flags
        rcv_nxt = request.irs + 1
        seq = unwrap(segment.seq, rcv_nxt)
        options = segment.options
        # First, check sequence number (and RFC 7323 §5.3).
        old = request.timestamps and options.ts_val is not None and before(options.ts_val, request.ts_recent)
        if seq == request.irs and flags & (SYN | ACK | RST) == SYN:
            # The SYN again: our SYN,ACK was lost, or is still on its way.
            self.verdict = reasons.SYN_REPEATED
            if not self._may_answer(request, now):
                return None, None
            self.why = reasons.SYN_ANSWERED
            return self._syn_ack(request, now), None
        last = seq + max(segment.length, 1) - 1
        inside = rcv_nxt <= seq < rcv_nxt + request.rcv_wnd or rcv_nxt <= last < rcv_nxt + request.rcv_wnd
        if not inside or (old and not flags & RST):
            self.verdict = reasons.OLD_TIMESTAMP if inside else reasons.OUTSIDE_WINDOW
            if flags & RST or not self._may_answer(request, now):
                return None, None
            self.why = reasons.ACK_OF_UNACCEPTABLE
            return self._acknowledge(request, now), None
        # Second, check the RST bit (with RFC 5961 §3.2).
        if flags & RST:
            if seq != rcv_nxt:
                self.verdict = reasons.RESET_NOT_EXACT
                if not self._may_answer(request, now):
                    return None, None
                self.why = reasons.CHALLENGE_ACK
                return self._acknowledge(request, now), None
            self.verdict = reasons.RESET_RECEIVED
            self._forget(request, states.RCV_RST, reasons.RESET_RECEIVED, now)
            return None, None
        # Fourth, check the SYN bit: back to LISTEN.
        if flags & SYN:
            self.verdict = reasons.SYN_IN_CONNECTION
            self._forget(request, states.RCV_RST, reasons.SYN_IN_CONNECTION, now)
            return None, None
        # Fifth, check the ACK field.
        if not flags & ACK:
            self.verdict = reasons.NO_ACK
            return None, None
        if segment.ack != wrap(request.iss + 1):
            self.verdict = reasons.ACK_NOT_ACCEPTABLE
            self.why = reasons.RESET_NO_CONNECTION
            return closed.segment_arrives(segment), None
        if len(self.accept_queue) > self.backlog:
            self.overflows += 1
            self.verdict = reasons.ACCEPT_QUEUE_FULL
            if self.parameters.tcp_abort_on_overflow:
                self._forget(request, states.ABORT, reasons.ACCEPT_QUEUE_FULL, now)
                self.why = reasons.RESET_ABORT
                return closed.segment_arrives(segment), None
            return None, None
        return self._complete(request, segment, now)

    def _complete(self, request: Request, segment: Segment, now: int) -> tuple[Segment | None, Connection | None]:
        """The request becomes a connection in SYN-RECEIVED, which takes the segment like any other."""
        parameters = self.parameters
        connection = Connection(
            Identity.from_flow(request.flow),
            parameters,
            request.iss,
            request.path_mss,
            congestion_control(parameters.tcp_congestion_control),
            NewReno(request.iss),
            request.ts_offset,
            self.tracer,
        )
        connection.passive = True
        connection.state = states.SYN_RECEIVED
        connection.snd_nxt = request.iss + 1
        connection.sent.append(request.iss, request.iss + 1, 0, request.deadline - INITIAL_RTO, 0)
        if request.transmissions > 1:
            connection.sent.mark_all_lost()
            lost = connection.sent.first_lost()
            if lost is not None:
                connection.sent.retransmit(lost, 1, 0, lost.sent_at, 0)
        connection.syn_transmissions = request.transmissions
        connection.irs = request.irs
        connection.rcv_nxt = request.irs + 1
        connection.rcv_up = connection.rcv_nxt
        connection.last_ack_sent = connection.rcv_nxt
        connection.rcv_adv = connection.rcv_nxt + request.rcv_wnd
        connection.peer_mss = request.peer_mss
        if request.peer_wscale >= 0:
            connection.snd_wscale = request.peer_wscale
            connection.rcv_wscale = window_shift(parameters)
        connection.sack_permitted = request.sack_permitted
        connection.timestamps = request.timestamps
        connection.ts_recent = request.ts_recent
        connection.ts_recent_at = request.ts_recent_at if request.timestamps else -1
        connection.update_mss()
        del self.requests[request.flow]
        reply = connection.segment_arrives(segment, now)
        self.verdict = connection.verdict
        self.why = connection.why
        if connection.state == states.CLOSED:
            return reply, None
        self.accept_queue.append(connection)
        self.wake |= readiness.POLLIN
        return reply, connection

    def _forget(self, request: Request, event: str, reason: Reason, now: int) -> None:
        del self.requests[request.flow]
        if self.tracer is not None:
            old = states.SYN_RECEIVED
            new = states.next_state(old, event)
            self.tracer.state_changed(now, request.flow, states.NAMES[old], states.NAMES[new], reason)

    def _may_answer(self, request: Request, now: int) -> bool:
        limit = self.parameters.tcp_invalid_ratelimit * MILLISECOND
        if request.answered_at >= 0 and now - request.answered_at < limit:
            return False
        request.answered_at = now
        return True

    def _syn_ack(self, request: Request, now: int) -> Segment:
        parameters = self.parameters
        request.transmissions += 1
        mss = request.path_mss
        space = min(parameters.tcp_rmem[1] // 2, 65535)
        request.rcv_wnd = space - space % mss if space > mss else space
        options = Options(
            mss=mss,
            window_scale=window_shift(parameters) if request.peer_wscale >= 0 else None,
            sack_permitted=request.sack_permitted,
            ts_val=timestamp(now, request.ts_offset) if request.timestamps else None,
            ts_ecr=request.ts_recent if request.timestamps else None,
        )
        return self._segment(request, wrap(request.iss), SYN | ACK, request.rcv_wnd, options)

    def _acknowledge(self, request: Request, now: int) -> Segment:
        options = Options(
            ts_val=timestamp(now, request.ts_offset) if request.timestamps else None,
            ts_ecr=request.ts_recent if request.timestamps else None,
        )
        shift = window_shift(self.parameters) if request.peer_wscale >= 0 else 0
        return self._segment(request, wrap(request.iss + 1), ACK, request.rcv_wnd >> shift, options)

    def _segment(self, request: Request, seq: int, flags: int, window: int, options: Options) -> Segment:
        identity = Identity.from_flow(request.flow)
        return Segment(identity.local_port, identity.remote_port, seq, wrap(request.irs + 1), flags, window, options)

    # --- time's calls

    def next_deadline(self) -> int:
        """When to call `deadline_reached` (nanoseconds); NEVER if no request waits."""
        deadlines = self._deadlines
        while deadlines:
            deadline, flow = deadlines[0]
            request = self.requests.get(flow)
            if request is not None and request.deadline == deadline:
                return deadline
            heappop(deadlines)
        return NEVER

    def deadline_reached(self, now: int) -> None:
        """SYN,ACKs that were not answered become due again; requests that had enough of them are forgotten."""
        while self.next_deadline() <= now:
            _, flow = heappop(self._deadlines)
            request = self.requests[flow]
            if request.retransmissions >= self.parameters.tcp_synack_retries:
                self._forget(request, states.GIVE_UP, reasons.GAVE_UP, now)
                continue
            request.retransmissions += 1
            rto = min(INITIAL_RTO << request.retransmissions, self.parameters.tcp_rto_max_ms * MILLISECOND)
            request.deadline = now + rto
            heappush(self._deadlines, (request.deadline, flow))
            self._due.append(flow)

    def poll_transmit(self, now: int) -> tuple[bytes, Segment] | None:
        """The next SYN,ACK that is due again, with the flow to which it belongs; None if there is none."""
        while self._due:
            flow = self._due.popleft()
            request = self.requests.get(flow)
            if request is not None:
                self.why = reasons.RETRANSMISSION_TIMEOUT
                return flow, self._syn_ack(request, now)
        return None
