"""LISTEN, and the requests of those who knock: a passive SYN-RECEIVED (RFC 9293 §3.10.7.2)."""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush

from synfin import reasons
from synfin.events import Tracer
from synfin.reasons import Reason
from synfin.tcp import closed, readiness, states
from synfin.tcp.connection import Connection
from synfin.tcp.deferral import deferral
from synfin.tcp.ecn import accepted
from synfin.tcp.identity import Identity
from synfin.tcp.isn import InitialSequenceNumbers
from synfin.tcp.parameters import TcpParameters
from synfin.tcp.request import Request, new_request
from synfin.tcp.round_trip import INITIAL_RTO
from synfin.tcp.settings import Settings
from synfin.tcp.syn_cookies import LIFE, TICK, SynCookies, restored, shorten, timestamp_with_options
from synfin.tcp.timers import NEVER
from synfin.wire.sequence import MASK, before, unwrap, wrap
from synfin.wire.tcp import ACK, FIN, RST, SYN, Segment

#: A heap of fewer deadlines is not worth sweeping.
SWEEP_ABOVE = 64


class Listener:
    """A passive open (RFC 9293 §3.10.1): its requests, and the connections that wait to be accepted.

    `backlog` bounds the accept queue as Linux does: one more than `backlog` fits. Connections whose handshake is
    complete wait in `accept_queue`. The host looks up which segments belong here; `local_address` is empty for
    the wildcard. `bound`, the flags of its claim on the port, `socket`, the number of the user's socket, and `values`,
    its options, are the host's.
    """

    __slots__ = (
        "_deadlines",
        "_due",
        "accept_queue",
        "backlog",
        "bound",
        "cookies",
        "cookies_until",
        "local_address",
        "local_port",
        "numbers",
        "overflows",
        "parameters",
        "requests",
        "settings",
        "socket",
        "state",
        "tracer",
        "values",
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
        cookies: SynCookies | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.local_address = local_address
        self.local_port = local_port
        self.backlog = backlog
        self.bound = 0
        self.socket = 0
        self.values: object = None
        self.parameters = parameters
        self.numbers = numbers
        self.tracer = tracer
        #: What the user set; each connection gets a copy.
        self.settings = settings if settings is not None else Settings()
        #: Makes SYN cookies where ``tcp_syncookies`` asks for them; None: never.
        self.cookies = cookies
        #: Cookies are taken until then: as long as the last one that was sent lives.
        self.cookies_until = -1
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
        self,
        flow: bytes,
        segment: Segment,
        path_mss: int,
        now: int,
        iss: int = -1,
        codepoint: int = 0,
        metrics: tuple[int, int] = (0, 0),
    ) -> tuple[Segment | None, Connection | None]:
        """Takes a segment for the listening port that belongs to no connection.

        Returns the reply that belongs to it, and the connection that it completed, which also waits in
        `accept_queue`. `path_mss` is what the route to the sender allows; `iss`, if not negative, the initial
        number that a reopened TIME-WAIT prescribes (RFC 9293 §3.6.1); `codepoint` its packet's ECN codepoint;
        `metrics`: see `Request.metrics`.
        """
        request = self.requests.get(flow)
        if request is not None:
            return self._request_segment(request, segment, now, codepoint)
        if segment.flags & (SYN | ACK | RST) == ACK:
            request = self._remembered(flow, segment, path_mss, now, metrics)
            if request is not None:
                return self._complete(request, segment, now, codepoint)
        return self._listen_segment(flow, segment, path_mss, now, iss, codepoint, metrics), None

    def _listen_segment(
        self,
        flow: bytes,
        segment: Segment,
        path_mss: int,
        now: int,
        iss: int,
        codepoint: int,
        metrics: tuple[int, int],
    ) -> Segment | None:
        # RFC 9293 §3.10.7.2
        flags = segment.flags
        self.verdict = reasons.NOTHING_FOR_LISTEN
        # First, check for a RST; second, check for an ACK.
        if flags & RST:
            return None
        if flags & ACK:
            self.why = reasons.RESET_NO_CONNECTION
            return closed.segment_arrives(segment)
        # Third, check for a SYN; one with a FIN is nonsense, and by default dropped. Fourth, drop the rest.
        if not flags & SYN or (flags & FIN and self.parameters.tcp_drop_synfin):
            return None
        if len(self.accept_queue) > self.backlog:
            self.overflows += 1
            self.verdict = reasons.ACCEPT_QUEUE_FULL
            return None
        identity = Identity.from_flow(flow)
        offset = self.numbers.timestamp_offset(identity, self.parameters.tcp_timestamps)
        # As the accept queue, Linux's queue of requests takes one more than the backlog.
        full = len(self.requests) >= min(self.backlog + 1, self.parameters.tcp_max_syn_backlog)
        wanted = self.parameters.tcp_syncookies
        if full or (wanted == 2 and iss < 0):
            if self.cookies is not None and wanted and iss < 0:
                request = new_request(flow, segment.seq, 0, path_mss, offset, now, metrics)
                request.ecn = accepted(flags, segment.reserved, codepoint, self.parameters)
                return self._send_cookie(self.cookies, request, segment, now)
            self.overflows += 1
            self.verdict = reasons.SYN_QUEUE_FULL
            return None
        if iss < 0:
            iss = self.numbers.iss(identity, now)
        request = new_request(flow, segment.seq, iss, path_mss, offset, now, metrics)
        request.learn(segment.options, self.parameters)
        request.ecn = accepted(flags, segment.reserved, codepoint, self.parameters)
        self.requests[flow] = request
        self._arm(request)
        self.verdict = reasons.SYN_RECEIVED
        self._trace_request(flow, reasons.SYN_RECEIVED, now)
        self.why = reasons.SYN_ANSWERED
        return request.syn_ack(self.parameters, self.settings, now)

    def _send_cookie(self, cookies: SynCookies, request: Request, segment: Segment, now: int) -> Segment:
        """Answers a SYN for which there is no room, and keeps nothing (RFC 4987 §3.6)."""
        self.cookies_until = now + LIFE * TICK
        self.verdict = self.why = reasons.SYN_COOKIE
        request.learn(segment.options, self.parameters)
        request.iss = cookies.make(request, now)
        ts_val = -1
        if request.timestamps:
            ts_val = timestamp_with_options(request, now)
        else:
            # Nothing would bring them back.
            request.peer_wscale = -1
            request.sack_permitted = False
            request.ecn = False
        reply = request.syn_ack(self.parameters, self.settings, now, ts_val)
        shorten(reply, segment.options.encoded_length + segment.payload_length)
        return reply

    def _remembered(
        self, flow: bytes, segment: Segment, path_mss: int, now: int, metrics: tuple[int, int]
    ) -> Request | None:
        """The request whose cookie the peer acknowledges, if it does."""
        if self.cookies is None or now >= self.cookies_until:
            return None
        irs = (segment.seq - 1) & MASK
        iss = (segment.ack - 1) & MASK
        mss = self.cookies.check(flow, irs, iss, now)
        if mss < 0:
            return None
        offset = self.numbers.timestamp_offset(Identity.from_flow(flow), self.parameters.tcp_timestamps)
        return restored(
            flow, irs, iss, mss, segment.options, path_mss, offset, now, self.parameters, self.settings, metrics
        )

    def _request_segment(
        self, request: Request, segment: Segment, now: int, codepoint: int
    ) -> tuple[Segment | None, Connection | None]:
        """RFC 9293 §3.10.7.4 for SYN-RECEIVED after a passive open."""
        flags = segment.flags
        rcv_nxt = request.irs + 1
        seq = unwrap(segment.seq, rcv_nxt)
        options = segment.options
        # First, check sequence number (and RFC 7323 §5.3).
        old = request.ts_recent is not None and options.ts_val is not None and before(options.ts_val, request.ts_recent)
        if seq == request.irs and flags & (SYN | ACK | RST) == SYN and not old:
            # The SYN again: our SYN,ACK was lost, or is still on its way.
            self.verdict = reasons.SYN_REPEATED
            if request.ts_recent is not None and options.ts_val is not None:
                request.ts_recent = options.ts_val
            if not request.may_answer(self.parameters, now):
                return None, None
            self.why = reasons.SYN_ANSWERED
            request.sent_at = -1
            return request.syn_ack(self.parameters, self.settings, now), None
        rcv_wnd = request.rcv_wnd(self.parameters, self.settings)
        last = seq + max(segment.length, 1) - 1
        inside = rcv_nxt <= seq < rcv_nxt + rcv_wnd or rcv_nxt <= last < rcv_nxt + rcv_wnd
        if not inside or (old and not flags & RST):
            self.verdict = reasons.OLD_TIMESTAMP if inside else reasons.OUTSIDE_WINDOW
            if flags & RST or not request.may_answer(self.parameters, now):
                return None, None
            self.why = reasons.ACK_OF_UNACCEPTABLE
            return request.acknowledgment(self.parameters, self.settings, now), None
        # Second, check the RST bit (with RFC 5961 §3.2).
        if flags & RST:
            if seq != rcv_nxt:
                self.verdict = reasons.RESET_NOT_EXACT
                if seq < rcv_nxt or not request.may_answer(self.parameters, now):
                    return None, None
                self.why = reasons.CHALLENGE_ACK
                return request.acknowledgment(self.parameters, self.settings, now), None
            self.verdict = reasons.RESET_RECEIVED
            self._forget(request, reasons.RESET_RECEIVED, now)
            return None, None
        # Fourth, check the SYN bit: back to LISTEN, unless it lies before the window and only its text is new.
        if flags & SYN and seq >= rcv_nxt:
            self.verdict = reasons.SYN_IN_CONNECTION
            self._forget(request, reasons.SYN_IN_CONNECTION, now)
            return None, None
        # Fifth, check the ACK field.
        if not flags & ACK:
            self.verdict = reasons.NO_ACK
            return None, None
        if segment.ack != wrap(request.iss + 1):
            remembered = self._remembered(request.flow, segment, request.path_mss, now, request.metrics)
            if remembered is not None:
                # The SYN,ACK that it answers was a cookie, from before there was room for this request.
                return self._complete(remembered, segment, now, codepoint)
            self.verdict = reasons.ACK_NOT_ACCEPTABLE
            self.why = reasons.RESET_NO_CONNECTION
            return closed.segment_arrives(segment), None
        if request.timeouts < deferral(self.settings.defer_accept) and segment.length == 0:
            # TCP_DEFER_ACCEPT, as Linux does: without data the listener's user has nothing to do.
            request.acked = True
            self.verdict = reasons.WAITS_FOR_DATA
            return None, None
        return self._complete(request, segment, now, codepoint)

    def _complete(
        self, request: Request, segment: Segment, now: int, codepoint: int
    ) -> tuple[Segment | None, Connection | None]:
        """The request becomes a connection in SYN-RECEIVED, which takes the segment like any other."""
        if len(self.accept_queue) > self.backlog:
            self.overflows += 1
            self.verdict = reasons.ACCEPT_QUEUE_FULL
            if self.parameters.tcp_abort_on_overflow:
                if request.flow in self.requests:
                    self._forget(request, reasons.ACCEPT_QUEUE_FULL, now)
                self.why = reasons.RESET_ABORT
                return closed.segment_arrives(segment), None
            return None, None
        connection = request.connection(self.parameters, self.settings, self.tracer, now)
        known = self.requests.pop(request.flow, None)
        if known is None:
            self._trace_request(request.flow, reasons.SYN_COOKIE, now)
        reply = connection.segment_arrives(segment, now, codepoint)
        self.verdict = connection.verdict
        self.why = connection.why
        if connection.state == states.SYN_RECEIVED:
            # Its ACK was not taken: the request waits for another, lest a connection wait that has no timer.
            if known is not None:
                self.requests[request.flow] = known
            return reply, None
        if connection.state == states.CLOSED:
            return reply, None
        self.accept_queue.append(connection)
        self.wake |= readiness.POLLIN
        return reply, connection

    def _trace_request(self, flow: bytes, reason: Reason, now: int) -> None:
        if self.tracer is not None:
            new = states.next_state(self.state, states.RCV_SYN)
            self.tracer.state_changed(now, flow, states.NAMES[self.state], states.NAMES[new], reason)

    def _forget(self, request: Request, reason: Reason, now: int) -> None:
        del self.requests[request.flow]
        if self.tracer is not None:
            # RFC 9293 §3.10.7.4, second: a passive open returns to LISTEN, which the listener never left.
            old, new = states.NAMES[states.SYN_RECEIVED], states.NAMES[self.state]
            self.tracer.state_changed(now, request.flow, old, new, reason)

    def unreachable(self, flow: bytes, seq: int, ends_request: bool, now: int) -> bool:
        """An ICMP error quotes our SYN,ACK, with the 32 bits `seq`; False if that is not its number.

        As Linux has it, some errors end a request (`ends_request`), for which there is nobody to tell; its peer's next
        SYN makes it anew. With ``tcp_icmp_ends_connecting`` off it stays (RFC 9293 §3.9.2.2, MUST-56).
        """
        request = self.requests.get(flow)
        if request is None or seq != wrap(request.iss):
            return False
        if ends_request and self.parameters.tcp_icmp_ends_connecting:
            self._forget(request, reasons.UNREACHABLE, now)
        return True

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
            # As Linux does: TCP_SYNCNT of a listener counts SYN,ACKs, and one that waits for data (TCP_DEFER_ACCEPT)
            # is sent again at the end only, as the last chance for the data or for an ACK.
            retries = self.settings.syn_retries or self.parameters.tcp_synack_retries
            deferred = deferral(self.settings.defer_accept)
            exhausted = request.timeouts >= retries and not (request.acked and request.timeouts < deferred)
            if exhausted:
                self._forget(request, reasons.GAVE_UP, now)
                continue
            if not request.acked and self._flooded(request):
                # It waits once more, for an ACK that is late, and is forgotten then.
                request.timeouts = retries
                request.deadline = now + 2 * INITIAL_RTO
                self._arm(request)
                continue
            if not request.acked or request.timeouts >= deferred - 1:
                self._due.append(flow)
            request.timeouts += 1
            request.deadline = now + request.interval(self.parameters)
            self._arm(request)

    def _flooded(self, request: Request) -> bool:
        """Whether cookies had to be sent since the last SYN,ACK of `request`.

        Then it is not sent again, and soon makes room for others, so that a flood of SYNs is not answered with more
        octets than it brought. A client that is in earnest sends its SYN again.
        """
        last_cookie = self.cookies_until - LIFE * TICK
        return self.cookies_until >= 0 and last_cookie >= request.deadline - request.interval(self.parameters)

    def _arm(self, request: Request) -> None:
        deadlines = self._deadlines
        heappush(deadlines, (request.deadline, request.flow))
        if len(deadlines) > SWEEP_ABOVE and len(deadlines) > 2 * len(self.requests):
            # Those of requests that are gone wait behind one that lives.
            self._deadlines = [(waiting.deadline, flow) for flow, waiting in self.requests.items()]
            heapify(self._deadlines)

    def poll_transmit(self, now: int) -> tuple[bytes, Segment] | None:
        """The next SYN,ACK that is due again, with the flow to which it belongs; None if there is none."""
        while self._due:
            flow = self._due.popleft()
            request = self.requests.get(flow)
            if request is not None:
                self.why = reasons.RETRANSMISSION_TIMEOUT
                request.sent_at = -1
                return flow, request.syn_ack(self.parameters, self.settings, now)
        return None
