"""The transmission control block: all that a connection remembers (RFC 9293 §3.3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from synfin import reasons
from synfin.events import Tracer
from synfin.reasons import Reason
from synfin.tcp import states
from synfin.tcp.acknowledging import Acknowledging
from synfin.tcp.congestion import INFINITE_SSTHRESH, CongestionControl
from synfin.tcp.congestion.validation import WindowValidation
from synfin.tcp.counts import Counts
from synfin.tcp.delivery import DeliveryRate
from synfin.tcp.identity import Identity
from synfin.tcp.memory import Memory
from synfin.tcp.parameters import TcpParameters
from synfin.tcp.reassembly import Reassembly, ReceiveQueue
from synfin.tcp.receive_window import MAX_UNSCALED_WINDOW, window_shift, window_space
from synfin.tcp.round_trip import RoundTrip
from synfin.tcp.send_buffer import SendBuffer
from synfin.tcp.sent import SentRecord
from synfin.tcp.settings import Settings
from synfin.tcp.timers import NAMES as TIMER_NAMES
from synfin.tcp.timers import Timers
from synfin.wire.sequence import wrap

if TYPE_CHECKING:
    from synfin.tcp.ecn import Ecn
    from synfin.tcp.keepalive import KeepAlive
    from synfin.tcp.mtu_probing import MtuSearch
    from synfin.tcp.recovery import LossRecovery

#: RFC 9293 §3.7.1 (MUST-15): assumed of a peer that sends no MSS option.
DEFAULT_MSS_IPV4 = 536
DEFAULT_MSS_IPV6 = 1220
#: Octets of IP and TCP header without options, which an MSS leaves out (RFC 9293 §3.7.1).
HEADERS_IPV4 = 40
HEADERS_IPV6 = 60
#: The least that a small window bounds the MSS to: 68 octets of RFC 791 §3.1, less a header.
LEAST_HALF_WINDOW = 48
#: Octets that the timestamps option takes in each segment (RFC 7323 appendix A).
TIMESTAMPS_LENGTH = 12


class Urgent:
    """Urgent data that the peer announced and the user has not read: `mark` is the number of the last urgent octet,
    which `octet` is once it has arrived."""

    __slots__ = ("mark", "octet", "state")

    AWAITED: Final = 0
    ARRIVED: Final = 1
    READ: Final = 2

    def __init__(self, mark: int) -> None:
        self.mark = mark
        self.state = Urgent.AWAITED
        self.octet = 0


class Tcb:
    """The variables of a connection under the RFC's names, sequence numbers unwrapped (see `sequence`).

    It holds no reference to its host or its user, so that nothing keeps it alive once they let it go.
    """

    __slots__ = (
        "ack_now",
        "acknowledging",
        "advertised_mss",
        "bytes_received",
        "challenged_at",
        "congestion",
        "counts",
        "cwnd",
        "cwnd_clamp",
        "cwnd_limited",
        "delivered",
        "dsack",
        "ecn",
        "ecn_asked",
        "error",
        "fin_acknowledged",
        "fin_queued",
        "fin_received",
        "fin_sequence",
        "first_retransmission",
        "happened",
        "identity",
        "initcwnd",
        "irs",
        "iss",
        "keep_retransmission_timer",
        "keepalive",
        "last_ack_sent",
        "last_received",
        "last_sent",
        "max_snd_wnd",
        "memory",
        "more_to_come",
        "mss",
        "mtu_search",
        "no_space",
        "orphaned",
        "paced",
        "paced_until",
        "pacing_quantum",
        "pacing_rate",
        "parameters",
        "passive",
        "path_in_doubt",
        "path_mss",
        "peer_mss",
        "probe_backoff",
        "probe_now",
        "probe_urgent",
        "probes",
        "probing_since",
        "pushed_through",
        "rate",
        "rcv_adv",
        "rcv_buf",
        "rcv_buf_locked",
        "rcv_limit",
        "rcv_nxt",
        "rcv_rtt",
        "rcv_rtt_echo",
        "rcv_rtt_since",
        "rcv_rtt_until",
        "rcv_space_from",
        "rcv_space_octets",
        "rcv_space_since",
        "rcv_ssthresh",
        "rcv_up",
        "rcv_wscale",
        "reassembly",
        "receive_queue",
        "receive_shut",
        "recovery",
        "reset_pending",
        "retransmissions",
        "round_trip",
        "sack_permitted",
        "send_buffer",
        "sent",
        "settings",
        "snd_buf",
        "snd_buf_cwnd",
        "snd_buf_tuned",
        "snd_nxt",
        "snd_sml",
        "snd_una",
        "snd_up",
        "snd_wl1",
        "snd_wl2",
        "snd_wnd",
        "snd_wscale",
        "soft_error",
        "ssthresh",
        "state",
        "syn_transmissions",
        "syn_wscale",
        "timers",
        "timestamps",
        "tracer",
        "ts_offset",
        "ts_recent",
        "ts_recent_at",
        "urgent",
        "validation",
        "verdict",
        "wake",
        "why",
        "why_ack",
        "why_lost",
    )

    def __init__(
        self,
        identity: Identity,
        parameters: TcpParameters,
        iss: int,
        path_mss: int,
        congestion: CongestionControl,
        recovery: LossRecovery,
        ts_offset: int = 0,
        tracer: Tracer | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.identity = identity
        self.parameters = parameters
        self.tracer = tracer
        #: What the user set.
        self.settings = settings = settings if settings is not None else Settings()
        #: The account of the host's memory, None where there is none to keep.
        self.memory: Memory | None = None
        self.state = states.CLOSED
        #: This end came from LISTEN (RFC 9293 §3.5, MUST-11).
        self.passive = False
        #: The user has let go; nobody will read what arrives.
        self.orphaned = False
        #: The errno that ended the connection, 0 if none did.
        self.error = 0
        #: An errno that the network reported and that may pass (RFC 9293 §3.9.1.8), 0 if none.
        self.soft_error = 0
        #: R1 was reached (RFC 9293 §3.8.3): advice for the network layer, which the host takes and clears.
        self.path_in_doubt = False
        #: Bits of `readiness` on which something happened since the host looked.
        self.wake = 0
        #: What happened besides, for the host to count.
        self.happened: tuple[Reason, ...] = ()

        # --- Send sequence variables (RFC 9293 §3.3.1)
        self.iss = iss
        self.snd_una = iss
        self.snd_nxt = iss
        self.snd_wnd = 0
        self.snd_wl1 = 0
        self.snd_wl2 = 0
        #: RFC 5961 §5.2: the largest window that the peer ever offered.
        self.max_snd_wnd = 0
        self.snd_wscale = 0
        self.send_buffer = SendBuffer(iss + 1)
        self.sent = SentRecord()
        #: The user called CLOSE: a FIN follows what is in the send buffer.
        self.fin_queued = False
        self.fin_acknowledged = False
        #: The end of the last segment sent that was smaller than full (Nagle's test, as Minshall has it).
        self.snd_sml = iss
        #: SND.UP: the number after the last urgent octet, as far as there was any.
        self.snd_up = iss
        #: The last write said that more comes (MSG_MORE): what is partial waits.
        self.more_to_come = False
        #: Partial segments up to this number wait for nothing.
        self.pushed_through = iss
        #: The send buffer's limit in octets; 0: it tunes itself, and is `snd_buf_tuned`.
        self.snd_buf = settings.snd_buf
        self.snd_buf_tuned = parameters.tcp_wmem[1]
        #: The user had more to write than there was room for, and waits: why, as `send_tuning` has it; 0: does not.
        self.no_space = 0
        self.snd_buf_cwnd = 0  #: The congestion window for which `snd_buf_tuned` suffices.
        self.last_sent = 0

        # --- Receive sequence variables
        self.irs = 0
        self.rcv_nxt = 0
        #: The number after the last octet that the peer was ever offered room for: RCV.NXT + RCV.WND as it knows them.
        self.rcv_adv = 0
        #: The same before a scaled window was rounded up for the wire, so that roundings do not add up.
        self.rcv_limit = 0
        self.rcv_wscale = 0
        #: RCV.UP: the number after the last urgent octet, as far as there was any.
        self.rcv_up = 0
        #: Urgent data that the user has not read, or None.
        self.urgent: Urgent | None = None
        self.rcv_buf = settings.rcv_buf or parameters.tcp_rmem[1]
        self.rcv_buf_locked = settings.rcv_buf > 0
        self.receive_queue = ReceiveQueue()
        self.reassembly = Reassembly()
        #: The user will read nothing more, but has not let go (shutdown).
        self.receive_shut = False
        self.fin_received = False
        #: The number of a FIN that arrived ahead of data still missing, or -1.
        self.fin_sequence = -1
        #: A duplicate to report in the next SACK option (RFC 2883), or None.
        self.dsack: tuple[int, int] | None = None
        self.last_received = 0
        self.bytes_received = 0
        #: The most that a window offers, as yet: it grows ahead of what arrives (`synfin.tcp.receive_tuning`).
        self.rcv_ssthresh = MAX_UNSCALED_WINDOW
        # The round trip as a receiver sees it (0: not measured yet): until which number and since when one is measured,
        # and the last echo of a timestamp.
        self.rcv_rtt = 0
        self.rcv_rtt_until = 0
        self.rcv_rtt_since = -1
        self.rcv_rtt_echo = 0
        # Receive buffer tuning: since when, from which number, and how much the user read in a round trip.
        self.rcv_space_since = 0
        self.rcv_space_from = 0
        self.rcv_space_octets = 0

        # --- Sizes
        #: The largest segment that the path to the peer takes, without options (from the route's MTU).
        self.path_mss = path_mss
        #: The MSS that we told the peer.
        self.advertised_mss = min(path_mss, settings.max_segment or path_mss)
        #: The MSS that the peer told us.
        self.peer_mss = DEFAULT_MSS_IPV4 if len(identity.remote_address) == 4 else DEFAULT_MSS_IPV6
        #: The search for the path's MTU (RFC 4821) while it goes on.
        self.mtu_search: MtuSearch | None = None
        #: Eff.snd.MSS of RFC 9293 §3.7.1: octets of data in a full segment, options deducted.
        self.mss = min(self.peer_mss, path_mss)

        # --- Options agreed on in the handshake
        self.timestamps = parameters.tcp_timestamps != 0
        self.sack_permitted = parameters.tcp_sack != 0
        #: The shift that our SYN offers, or -1 for none.
        self.syn_wscale = window_shift(parameters, settings) if parameters.tcp_window_scaling else -1
        #: Added to the clock of our timestamps, so that it tells nobody how long the host has run.
        self.ts_offset = ts_offset
        self.ts_recent = 0
        #: When TS.Recent was set, or -1 when it never was.
        self.ts_recent_at = -1
        #: RFC 7323 §4.3: Last.ACK.sent
        self.last_ack_sent = 0

        #: Our SYN asked for ECN (RFC 3168 §6.1.1).
        self.ecn_asked = False
        #: What ECN needs, once both ends have agreed on it.
        self.ecn: Ecn | None = None

        # --- Timers, round trips, retransmission
        self.timers = Timers()
        self.round_trip = RoundTrip(parameters)
        #: Retransmission time-outs since SND.UNA last advanced.
        self.retransmissions = 0
        #: When the first of them retransmitted, or -1.
        self.first_retransmission = -1
        self.syn_transmissions = 0
        self.keep_retransmission_timer = False
        #: Window probes sent since the peer was last heard.
        self.probes = 0
        #: Window probes sent since the window was last open: how often their interval has doubled.
        self.probe_backoff = 0
        self.probe_now = False
        #: When the first of them was sent, or -1.
        self.probing_since = -1
        #: A segment without data that announces urgent data is to go before the probe.
        self.probe_urgent = False
        #: Keep-alive's settings while it is switched on.
        self.keepalive: KeepAlive | None = None

        # --- Acknowledging
        self.acknowledging = Acknowledging(parameters)
        #: An acknowledgment is due as soon as the driver asks.
        self.ack_now = False
        self.challenged_at = -1
        #: A RST is to be sent, and the connection to be forgotten.
        self.reset_pending = False

        # --- Congestion
        self.congestion = congestion
        self.recovery = recovery
        self.cwnd = 0
        #: The route's initial window in segments (``ip route … initcwnd``); 0: the congestion control's own.
        self.initcwnd = 0
        self.ssthresh = INFINITE_SSTHRESH
        self.cwnd_clamp = INFINITE_SSTHRESH
        #: The window may grow by what the acknowledgment at hand acknowledges.
        self.cwnd_limited = False
        self.validation = WindowValidation(iss)
        #: Data leave at a rate (`synfin.tcp.pacing`), the next ones not before this time (-1: at any). An event loop's
        #: timer has a grain: what belongs to so many nanoseconds leaves together.
        self.paced = False
        self.paced_until = -1
        self.pacing_rate = 0  #: Of what was sent last, in octets a second.
        self.pacing_quantum = 0
        #: Octets that the peer has acknowledged in all.
        self.delivered = 0
        #: How fast they did (`synfin.tcp.delivery_rate`).
        self.rate = DeliveryRate()
        self.counts = Counts()

        #: What the last segment that arrived was good for.
        self.verdict: Reason = reasons.ACCEPTED
        #: Why the last segment was sent, and why the next acknowledgment and retransmission will be.
        self.why: Reason = reasons.NEW_DATA
        self.why_ack: Reason = reasons.ACK_AT_ONCE
        self.why_lost: Reason = reasons.RETRANSMISSION_TIMEOUT

    # --- derived values

    @property
    def rcv_wnd(self) -> int:
        """RCV.WND: how many octets from RCV.NXT on the peer has been offered room for."""
        return max(self.rcv_adv - self.rcv_nxt, 0)

    @property
    def copied(self) -> int:
        """The number of the next octet that the user will read."""
        return self.rcv_nxt - self.fin_received - self.receive_queue.octets

    @property
    def unsent(self) -> int:
        """Octets of data that were never sent."""
        return self.send_buffer.end - max(self.snd_nxt, self.iss + 1) if self.snd_nxt <= self.send_buffer.end else 0

    @property
    def fin_sent(self) -> bool:
        return self.fin_queued and self.snd_nxt > self.send_buffer.end

    @property
    def window_space(self) -> int:
        """The most octets that a window may offer: not the whole buffer, for what keeping them costs besides."""
        if self.parameters.tcp_adv_win_scale == 1 and not self.settings.window_clamp:
            # As the function says, without the call.
            return self.rcv_buf - (self.rcv_buf >> 1)
        return window_space(self.rcv_buf, self.parameters, self.settings)

    def send_limit(self) -> int:
        """The size of the send buffer: what the user set, or what it grew to (`synfin.tcp.send_tuning`); the least when
        memory is short."""
        wmem = self.parameters.tcp_wmem
        memory = self.memory
        if memory is not None and memory.pressure and (memory.exhausted or not self.snd_buf):
            return wmem[0]
        if self.snd_buf:
            return self.snd_buf
        return self.snd_buf_tuned

    def update_mss(self) -> None:
        """Computes Eff.snd.MSS anew."""
        # RFC 9293 §3.7.1 (MUST-16): the smaller of the peer's and the path's, less options.
        mss = min(self.peer_mss, self.path_mss, self.settings.max_segment or self.path_mss)
        if self.mtu_search is not None:
            mss = min(mss, self.mtu_search.low)
        mss = max(mss, self.parameters.tcp_min_snd_mss)
        if self.timestamps:
            mss -= TIMESTAMPS_LENGTH
        largest = self.max_snd_wnd
        if 0 < largest < 2 * mss:
            # As Linux does: against a peer with a small buffer, two segments in its window rather than one.
            most = largest // 2 if largest > DEFAULT_MSS_IPV4 else largest
            mss = min(mss, max(most, LEAST_HALF_WINDOW))
        self.mss = mss

    def window_seen(self, window: int) -> None:
        """The peer offered `window`: if it is the largest so far, segments may become larger."""
        if window > self.max_snd_wnd:
            bounded = self.max_snd_wnd < 2 * self.path_mss
            self.max_snd_wnd = window
            if bounded:
                mss = self.mss
                self.update_mss()
                # The congestion window is meant in segments.
                self.cwnd = self.cwnd * self.mss // mss

    # --- changes that are traced

    def change_state(self, event: str, now: int, reason: Reason) -> None:
        """Goes where the table of `states` says that `event` leads."""
        old = self.state
        self.state = states.next_state(old, event)
        if self.tracer is not None and self.state != old:
            self.tracer.state_changed(now, self.identity.flow, states.NAMES[old], states.NAMES[self.state], reason)

    def start_timer(self, timer: int, deadline: int, now: int) -> None:
        self.timers.start(timer, deadline)
        if self.tracer is not None:
            self.trace_timer_started(timer, deadline, now)

    def stop_timer(self, timer: int, now: int) -> None:
        if self.timers.running(timer):
            self.timers.stop(timer)
            if self.tracer is not None:
                self.trace_timer_stopped(timer, now)

    def trace_timer_started(self, timer: int, deadline: int, now: int) -> None:
        if self.tracer is not None:
            self.tracer.timer_started(now, self.identity.flow, TIMER_NAMES[timer], deadline)

    def trace_timer_stopped(self, timer: int, now: int) -> None:
        if self.tracer is not None:
            self.tracer.timer_stopped(now, self.identity.flow, TIMER_NAMES[timer])

    def trace_congestion(self, now: int, reason: Reason) -> None:
        if self.tracer is not None:
            flight = self.recovery.pipe(self)
            self.tracer.congestion_changed(now, self.identity.flow, self.cwnd, self.ssthresh, flight, reason)

    def trace_window(self, now: int) -> None:
        if self.tracer is not None:
            self.tracer.window_changed(now, self.identity.flow, wrap(self.snd_una), self.snd_wnd)
