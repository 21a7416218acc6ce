"""A passive SYN-RECEIVED: the small value that stands for a connection until its handshake is over."""

from __future__ import annotations

from typing import Final

from synfin.events import Tracer
from synfin.tcp import states
from synfin.tcp.clock import timestamp
from synfin.tcp.congestion import congestion_control
from synfin.tcp.connection import Connection
from synfin.tcp.ecn import Ecn
from synfin.tcp.identity import Identity
from synfin.tcp.parameters import MILLISECOND, TcpParameters
from synfin.tcp.receive_window import MAX_WINDOW_SHIFT, initial_window, window_shift, window_space
from synfin.tcp.recovery import NewReno
from synfin.tcp.round_trip import INITIAL_RTO
from synfin.tcp.segments import syn_options
from synfin.tcp.settings import Settings
from synfin.tcp.tcb import DEFAULT_MSS_IPV4, DEFAULT_MSS_IPV6
from synfin.wire.sequence import wrap
from synfin.wire.tcp import ACK, ECE, SYN, Segment
from synfin.wire.tcp_options import NO_OPTIONS, Options, timestamp_options

# Bits of `Request.agreed`.
_SACK: Final = 1
_ECN: Final = 2


class Request:
    """A half-open connection: what a SYN told, and what our SYN,ACK said. Times in nanoseconds."""

    __slots__ = (
        "_progress",
        "agreed",
        "answered_at",
        "deadline",
        "flow",
        "irs",
        "iss",
        "path_mss",
        "peer_mss",
        "peer_wscale",
        "rcv_wscale",
        "sent_at",
        "ts_offset",
        "ts_recent",
    )

    def __init__(self, flow: bytes, irs: int, iss: int, path_mss: int, ts_offset: int, now: int) -> None:
        self.flow = flow
        self.irs = irs
        self.iss = iss
        self.path_mss = path_mss
        self.peer_mss = DEFAULT_MSS_IPV4 if len(flow) == 12 else DEFAULT_MSS_IPV6
        #: The peer's shift, or -1 when windows are not scaled.
        self.peer_wscale = -1
        #: The shift that our SYN,ACK offered, 0 for none.
        self.rcv_wscale = 0
        #: What both ends agree on, one bit each, for a request is to be small.
        self.agreed = 0
        self.ts_offset = ts_offset
        #: TS.Recent (RFC 7323 §4.3), or None without timestamps.
        self.ts_recent: int | None = None
        # Twice `timeouts`, and `acked`: one number, for there may be many of these.
        self._progress = 0
        self.deadline = now + INITIAL_RTO
        #: When the SYN,ACK was sent; -1 once it was sent again, so that nobody knows which was answered.
        self.sent_at = now
        #: When a segment that was no use was last answered.
        self.answered_at = -1

    def learn(self, options: Options, parameters: TcpParameters) -> None:
        """What the options of the peer's SYN say (RFC 9293 §3.7.1, RFC 7323 §2.2, §3.2, RFC 2018 §2)."""
        if options.mss is not None:
            self.peer_mss = options.mss
        if options.window_scale is not None and parameters.tcp_window_scaling:
            # RFC 7323 §2.3: a shift above 14 is used as 14.
            self.peer_wscale = min(options.window_scale, MAX_WINDOW_SHIFT)
        self.sack_permitted = options.sack_permitted and parameters.tcp_sack != 0
        if options.ts_val is not None and parameters.tcp_timestamps:
            self.ts_recent = options.ts_val

    @property
    def timeouts(self) -> int:
        """How often the SYN,ACK's time was over."""
        return self._progress >> 1

    @timeouts.setter
    def timeouts(self, count: int) -> None:
        self._progress = count << 1 | self._progress & 1

    @property
    def acked(self) -> bool:
        """The handshake is over, but for the data that the listener waits for (TCP_DEFER_ACCEPT)."""
        return self._progress & 1 != 0

    @acked.setter
    def acked(self, value: bool) -> None:
        self._progress = self._progress & ~1 | value

    @property
    def sack_permitted(self) -> bool:
        """Whether selective acknowledgments were agreed on (RFC 2018 §2)."""
        return self.agreed & _SACK != 0

    @sack_permitted.setter
    def sack_permitted(self, on: bool) -> None:
        self.agreed = self.agreed | _SACK if on else self.agreed & ~_SACK

    @property
    def ecn(self) -> bool:
        """Whether ECN was asked for, and we agree (RFC 3168 §6.1.1)."""
        return self.agreed & _ECN != 0

    @ecn.setter
    def ecn(self, on: bool) -> None:
        self.agreed = self.agreed | _ECN if on else self.agreed & ~_ECN

    @property
    def metrics(self) -> tuple[int, int]:
        """What the route says of the most to tell as MSS, in octets, and of the initial window, in segments; 0 for
        nothing."""
        return 0, 0

    @property
    def timestamps(self) -> bool:
        """Whether timestamps were agreed on (RFC 7323 §3.2)."""
        return self.ts_recent is not None

    def interval(self, parameters: TcpParameters) -> int:
        """From the last SYN,ACK to the next, in nanoseconds."""
        return min(INITIAL_RTO << self.timeouts, parameters.tcp_rto_max_ms * MILLISECOND)

    def may_answer(self, parameters: TcpParameters, now: int) -> bool:
        """Whether a segment that is no use may be answered now (``tcp_invalid_ratelimit``)."""
        limit = parameters.tcp_invalid_ratelimit * MILLISECOND
        if self.answered_at >= 0 and now - self.answered_at < limit:
            return False
        self.answered_at = now
        return True

    def advertised_mss(self, settings: Settings) -> int:
        """The MSS that our SYN,ACK tells."""
        advmss = self.metrics[0]
        return min(self.path_mss, settings.max_segment or self.path_mss, advmss or self.path_mss)

    def rcv_wnd(self, parameters: TcpParameters, settings: Settings) -> int:
        """The window that our SYN,ACK offers, never scaled (RFC 7323 §2.2)."""
        buffer = settings.rcv_buf or parameters.tcp_rmem[1]
        space = window_space(buffer, parameters, settings)
        return initial_window(space, self.advertised_mss(settings), parameters)

    # --- its segments

    def syn_ack(self, parameters: TcpParameters, settings: Settings, now: int, ts_val: int = -1) -> Segment:
        """Our SYN,ACK; `ts_val`, if not negative, takes the place of the clock's timestamp."""
        self.rcv_wscale = window_shift(parameters, settings) if self.peer_wscale >= 0 else 0
        if ts_val < 0:
            ts_val = timestamp(now, self.ts_offset)
        options = syn_options(
            parameters,
            self.advertised_mss(settings),
            self.rcv_wscale if self.peer_wscale >= 0 else -1,
            self.sack_permitted,
            ts_val if self.ts_recent is not None else None,
            self.ts_recent,
        )
        flags = SYN | ACK | ECE if self.ecn else SYN | ACK
        return self._segment(self.iss, flags, self.rcv_wnd(parameters, settings), options)

    def acknowledgment(self, parameters: TcpParameters, settings: Settings, now: int) -> Segment:
        """<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>"""
        options = NO_OPTIONS
        if self.ts_recent is not None:
            options = timestamp_options(timestamp(now, self.ts_offset), self.ts_recent)
        return self._segment(self.iss + 1, ACK, self.rcv_wnd(parameters, settings) >> self.rcv_wscale, options)

    def _segment(self, seq: int, flags: int, window: int, options: Options) -> Segment:
        identity = Identity.from_flow(self.flow)
        return Segment(identity.local_port, identity.remote_port, wrap(seq), wrap(self.irs + 1), flags, window, options)

    # --- what becomes of it

    def connection(self, parameters: TcpParameters, settings: Settings, tracer: Tracer | None, now: int) -> Connection:
        """The connection in SYN-RECEIVED that takes the request's place, as if it had sent the SYN,ACK."""
        connection = Connection(
            Identity.from_flow(self.flow),
            parameters,
            self.iss,
            self.path_mss,
            congestion_control(settings.congestion_control or parameters.tcp_congestion_control),
            NewReno(self.iss),
            self.ts_offset,
            tracer,
            settings.copy(),
        )
        connection.passive = True
        connection.advertised_mss = self.advertised_mss(settings)
        connection.initcwnd = self.metrics[1]
        connection.state = states.SYN_RECEIVED
        connection.snd_nxt = self.iss + 1
        connection.sent.append(self.iss, self.iss + 1, 0, self.sent_at, 0)
        if self.sent_at < 0:
            # Karn's rule: which SYN,ACK was answered is not known (and of a cookie, not even when it was sent).
            connection.sent.mark_all_lost()
            lost = connection.sent.first_lost()
            if lost is not None:
                connection.sent.retransmit(lost, 1, 0, lost.sent_at, 0)
        # Where it was acknowledged in between, nothing was lost.
        connection.syn_transmissions = 1 if self.acked else 1 + self.timeouts
        # The SYN.
        connection.counts.segs_in = 1
        connection.irs = self.irs
        connection.rcv_nxt = self.irs + 1
        connection.rcv_up = connection.rcv_nxt
        connection.last_ack_sent = connection.rcv_nxt
        connection.rcv_adv = connection.rcv_limit = connection.rcv_nxt + self.rcv_wnd(parameters, settings)
        connection.peer_mss = self.peer_mss
        if self.peer_wscale >= 0:
            connection.snd_wscale = self.peer_wscale
            connection.rcv_wscale = self.rcv_wscale
        connection.sack_permitted = self.sack_permitted
        connection.timestamps = self.ts_recent is not None
        if self.ts_recent is not None:
            connection.ts_recent = self.ts_recent
            connection.ts_recent_at = now
        if self.ecn:
            connection.ecn = Ecn()
        connection.update_mss()
        return connection


class RoutedRequest(Request):
    """A request over a route that has a say; a class of its own, since requests are small and this is rare."""

    __slots__ = ("_metrics",)

    def __init__(
        self, flow: bytes, irs: int, iss: int, path_mss: int, ts_offset: int, now: int, metrics: tuple[int, int]
    ) -> None:
        super().__init__(flow, irs, iss, path_mss, ts_offset, now)
        self._metrics = metrics

    @property
    def metrics(self) -> tuple[int, int]:
        return self._metrics


def new_request(
    flow: bytes, irs: int, iss: int, path_mss: int, ts_offset: int, now: int, metrics: tuple[int, int]
) -> Request:
    """A request for the SYN of `flow`; see `Request.metrics`."""
    if metrics == (0, 0):
        return Request(flow, irs, iss, path_mss, ts_offset, now)
    return RoutedRequest(flow, irs, iss, path_mss, ts_offset, now, metrics)
