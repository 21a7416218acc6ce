"""A connection and its verbs: the user's calls of RFC 9293 §3.10, the network's and time's."""

from __future__ import annotations

from errno import ENOTCONN, EPIPE

from synfin import reasons
from synfin.events import Tracer
from synfin.tcp import arrival, changing, output, readiness, states, timeouts, urgent
from synfin.tcp.arriving import start_fin_wait_2_timer
from synfin.tcp.congestion import CongestionControl
from synfin.tcp.delivery_rate import check_app_limited
from synfin.tcp.ending import end
from synfin.tcp.errors import os_error
from synfin.tcp.identity import Identity
from synfin.tcp.parameters import UINT_MAX, TcpParameters
from synfin.tcp.reassembly import Piece
from synfin.tcp.receive_tuning import user_read
from synfin.tcp.recovery import LossRecovery
from synfin.tcp.send_buffer import octets_of
from synfin.tcp.send_tuning import NO_ROOM, RANGE_OVERHEAD, TOO_MUCH_UNSENT, has_room, notsent_lowat
from synfin.tcp.settings import Settings
from synfin.tcp.tcb import Tcb, Urgent
from synfin.tcp.timers import NEVER
from synfin.wire.sequence import wrap
from synfin.wire.tcp import Segment


class Status:
    """What STATUS tells (RFC 9293 §3.9.1.6): the state, both windows, what waits. Numbers as on the wire."""

    __slots__ = (
        "cwnd",
        "error",
        "irs",
        "iss",
        "mss",
        "rcv_nxt",
        "rcv_wnd",
        "receive_queue",
        "retransmissions",
        "rto",
        "send_queue",
        "snd_nxt",
        "snd_una",
        "snd_wnd",
        "soft_error",
        "srtt",
        "ssthresh",
        "state",
    )

    def __init__(self, tcb: Tcb) -> None:
        self.state = states.NAMES[tcb.state]
        self.error = tcb.error
        #: An errno that may pass: what the network reported, or ETIMEDOUT once R1 was reached (SHLD-9).
        self.soft_error = tcb.soft_error
        self.iss = wrap(tcb.iss)
        self.irs = wrap(tcb.irs)
        self.snd_una = wrap(tcb.snd_una)
        self.snd_nxt = wrap(tcb.snd_nxt)
        self.snd_wnd = tcb.snd_wnd
        self.rcv_nxt = wrap(tcb.rcv_nxt)
        self.rcv_wnd = tcb.rcv_wnd
        self.send_queue = len(tcb.send_buffer)
        self.receive_queue = tcb.receive_queue.octets
        self.mss = tcb.mss
        self.cwnd = tcb.cwnd
        self.ssthresh = tcb.ssthresh
        self.srtt = tcb.round_trip.srtt
        self.rto = tcb.round_trip.rto
        self.retransmissions = tcb.retransmissions

    def __repr__(self) -> str:
        return f"Status({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"


class Connection(Tcb):
    """A connection in any state but LISTEN, a passive SYN-RECEIVED, and TIME-WAIT once its last ACK has gone.

    It changes only when told and is told the time, in nanoseconds of any clock, with every call. After each call
    the driver asks `poll_transmit` until None, and comes back at `next_deadline`.

    `armed`, `bound`, `changed`, `charged`, `inherited`, `scheduled`, `socket` and `via` are the driver's: the deadline
    for which it is in a queue of timers, the flags of its claim on the local port (-1: none), whether it is in a list
    of changed connections and in one of those with something to send, how many octets the account of memory has for
    it, the options of the listening socket that made it, the number of the user's socket (0: none), and the index of
    the interface through which its packets leave. So are `flow_label`, the automatic one of IPv6 (-1: none yet),
    `received_traffic_class` and `received_ttl`, of the packet that arrived last (RFC 9293 §3.9.1.9, MAY-9; -1: none),
    and whether its packets say `dont_fragment`.
    """

    __slots__ = (
        "armed",
        "bound",
        "changed",
        "charged",
        "dont_fragment",
        "flow_label",
        "inherited",
        "received_traffic_class",
        "received_ttl",
        "scheduled",
        "socket",
        "via",
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
        super().__init__(identity, parameters, iss, path_mss, congestion, recovery, ts_offset, tracer, settings)
        self.armed = NEVER
        self.bound = -1
        self.changed = False
        self.charged = 0
        self.flow_label = -1
        self.inherited: object = None
        self.received_traffic_class = -1
        self.received_ttl = -1
        self.dont_fragment = True
        self.scheduled = False
        self.socket = 0
        self.via = 0

    # --- the user's calls

    def open(self, now: int) -> None:
        """OPEN, active (RFC 9293 §3.10.1): the SYN comes out of `poll_transmit`."""
        if self.tracer is not None:
            self.tracer.user_called(now, self.identity.flow, "OPEN")
        self.change_state(states.ACTIVE_OPEN, now, reasons.ACTIVE_OPEN)

    def send(self, data: bytes | bytearray | memoryview, now: int, more: bool = False) -> int:
        """SEND (RFC 9293 §3.10.2): takes as much of `data` as the send buffer has room for.

        With `more` (MSG_MORE) a partial segment waits for what the next call brings: until then, until something is
        acknowledged, or for one RTO. Returns how many octets were taken. Immutable data is kept by reference, other
        data copied. Raises BlockingIOError when there is no room, BrokenPipeError after CLOSE, the error that ended
        the connection once, and BrokenPipeError from then on.
        """
        self.raise_error()
        if self.fin_queued or self.state == states.CLOSED:
            raise os_error(EPIPE)
        if self.state not in states.MAY_SEND:
            raise os_error(ENOTCONN)
        view = octets_of(data)
        if len(view) == 0:
            return 0
        room = self.send_limit() - len(self.send_buffer) - len(self.sent) * RANGE_OVERHEAD
        lowat = notsent_lowat(self)
        if lowat < UINT_MAX:
            # As on Linux, whole segments: what is taken may be more than the mark.
            below = lowat - self.unsent
            room = min(room, below + -below % self.mss)
        if room <= 0:
            self.no_space = NO_ROOM if lowat == UINT_MAX else TOO_MUCH_UNSENT
            raise BlockingIOError
        if len(view) >= room:
            self.no_space = NO_ROOM if lowat == UINT_MAX else TOO_MUCH_UNSENT
            view = view[:room]
        else:
            self.no_space = 0
        if self.send_buffer.end - self.snd_nxt < self.mss:
            check_app_limited(self)
        self.counts.busy(now)
        self.send_buffer.append(view)
        # RFC 9293 §3.9.1.2 (MAY-15, MAY-16)
        self.more_to_come = more
        if not more:
            self.send_buffer.push(self.snd_nxt, self.mss)
        if self.tracer is not None:
            self.tracer.user_called(now, self.identity.flow, "SEND", len(view))
        return len(view)

    def send_urgent(self, data: bytes | bytearray | memoryview, now: int) -> int:
        """SEND with the URGENT flag (RFC 9293 §3.8.5; MSG_OOB): like `send`; urgent data end with what was taken."""
        taken = self.send(data, now)
        if taken:
            self.snd_up = self.send_buffer.end
        return taken

    def receive(self, limit: int, now: int) -> list[Piece]:
        """RECEIVE (RFC 9293 §3.10.3): up to `limit` octets in order, as views of what arrived.

        An empty list means the end of the stream: the peer sent its FIN and all before it was read. Raises
        BlockingIOError when nothing is there yet, and the error that ended the connection, once. Reading stops in
        front of the mark of urgent data; see `receive_urgent`.
        """
        if self.urgent is not None:
            skipped, limit = urgent.span(self, limit)
            if skipped:
                self.receive_queue.take(skipped)
        pieces = self.receive_queue.take(limit)
        if self.urgent is not None:
            urgent.passed(self)
        if pieces:
            octets = sum(map(len, pieces))
            user_read(self, octets, now)
            if self.tracer is not None:
                self.tracer.user_called(now, self.identity.flow, "RECEIVE", octets)
            return pieces
        if limit == 0:
            return []
        self.raise_error()
        if self.fin_received or self.state == states.CLOSED:
            return []
        if self.state in (states.SYN_SENT, states.SYN_RECEIVED) or self.state in states.SYNCHRONIZED:
            raise BlockingIOError
        raise os_error(ENOTCONN)

    def receive_urgent(self, now: int, peek: bool = False) -> bytes:
        """The last urgent octet, which is not in the stream unless `settings.oob_inline` says so (MSG_OOB).

        Empty if the stream ended before it. Raises OSError with EINVAL if there is none, it was read already, or it is
        in the stream; ENOTCONN if the connection broke; BlockingIOError while the octet is only announced.
        """
        return urgent.receive(self, peek)

    def at_mark(self) -> bool:
        """Whether the next octet to read is where urgent data end (SIOCATMARK)."""
        return urgent.at_mark(self)

    def urgent_remaining(self) -> int:
        """How many octets of urgent data are still to be read, arrived or not (RFC 9293 §3.8.5, MUST-33)."""
        return urgent.remaining(self)

    def readable(self) -> int:
        """How many octets can be read now, up to the mark of urgent data if there is one (SIOCINQ)."""
        return urgent.readable(self)

    def close(self, now: int) -> None:
        """CLOSE (RFC 9293 §3.10.4): no more data will be sent. What was sent is delivered, then a FIN; what the
        peer still sends can be received. Closing twice does nothing."""
        if self.fin_queued or self.state == states.CLOSED:
            return
        if self.tracer is not None:
            self.tracer.user_called(now, self.identity.flow, "CLOSE")
        if self.state == states.SYN_SENT:
            end(self, states.CLOSE, 0, now, reasons.USER_CLOSED)
            return
        if self.state not in states.MAY_SEND:
            return
        self.fin_queued = True
        self.change_state(states.CLOSE, now, reasons.USER_CLOSED)

    def release(self, now: int) -> None:
        """The user lets go of the connection, as close(2) does: CLOSE, and nobody will read what arrives.

        With data unread the connection is aborted, so that the peer learns that they were lost (RFC 9293 §3.6.1,
        SHLD-3). Otherwise it ends by itself, within ``tcp_fin_timeout`` and ``tcp_orphan_retries``.

        SO_LINGER: a caller that lingers waits until `drained`; when its time is over it merely stops to wait. To
        linger for no time is `abort`.
        """
        if self.orphaned:
            return
        self.orphaned = True
        if self.receive_queue.octets and self.state != states.CLOSED:
            self._abort(now, reasons.CLOSED_WITH_DATA_UNREAD)
            return
        if self.state == states.FIN_WAIT_2 and self.settings.linger2 < 0:
            self._abort(now, reasons.FIN_WAIT_2_OVER)
            return
        self.close(now)
        start_fin_wait_2_timer(self, now)

    def drained(self) -> bool:
        """Whether nothing is left to wait for after CLOSE: the peer has acknowledged all data and our FIN, or the
        connection has ended. It becomes true with a wake-up."""
        return self.state not in (states.FIN_WAIT_1, states.CLOSING, states.LAST_ACK)

    def abort(self, now: int) -> None:
        """ABORT (RFC 9293 §3.10.5): a RST goes to the peer, all that waits is dropped."""
        if self.tracer is not None:
            self.tracer.user_called(now, self.identity.flow, "ABORT")
        self._abort(now, reasons.USER_ABORTED)

    def discard(self, now: int, reason: reasons.Reason) -> None:
        """The host can keep the connection no longer: as `abort`, but nobody called it."""
        self._abort(now, reason)

    def _abort(self, now: int, reason: reasons.Reason) -> None:
        if self.state == states.CLOSED:
            return
        # RFC 9293 §3.10.5: no RST from SYN-SENT, where the peer knows of nothing, nor when both FINs are sent.
        tells_peer = self.state not in (states.SYN_SENT, states.TIME_WAIT)
        if self.state in (states.CLOSING, states.LAST_ACK):
            tells_peer = not self.fin_sent
        end(self, states.ABORT, 0, now, reason)
        self.receive_queue.clear()
        self.reset_pending = tells_peer

    def set_keepalive(self, on: bool, now: int) -> None:
        """Switches keep-alive on or off (SO_KEEPALIVE; RFC 9293 §3.8.4): with what `settings` say of it, and the
        host's ``tcp_keepalive_*`` where they say nothing."""
        changing.set_keepalive(self, on, now)

    def status(self) -> Status:
        """STATUS (RFC 9293 §3.10.6)."""
        return Status(self)

    def raise_error(self) -> None:
        """Raises the error that ended the connection, if there is one, and forgets it (as SO_ERROR does)."""
        if self.error:
            error = self.error
            self.error = 0
            raise os_error(error)

    def readiness(self) -> int:
        """What the user could do now without waiting: bits of `synfin.tcp.readiness`."""
        bits = 0
        state = self.state
        if self.fin_received or state == states.CLOSED or (self.receive_queue.octets and self._has_enough()):
            bits |= readiness.POLLIN
        if self.fin_received:
            bits |= readiness.POLLRDHUP
        if (
            self.fin_queued
            or state == states.CLOSED
            or (state in (states.ESTABLISHED, states.CLOSE_WAIT) and has_room(self))
        ):
            bits |= readiness.POLLOUT
        if state == states.CLOSED or (self.fin_received and self.fin_queued):
            bits |= readiness.POLLHUP
        if self.error:
            bits |= readiness.POLLERR
        if self.urgent is not None and self.urgent.state == Urgent.ARRIVED:
            bits |= readiness.POLLPRI
        return bits

    def _has_enough(self) -> bool:
        """Whether a reader is to be woken: SO_RCVLOWAT octets are there, or no more would fit."""
        least = self.settings.rcv_lowat
        if self.urgent is not None and not self.settings.oob_inline and urgent.at_mark(self):
            # The octet at the mark is not read.
            least += 1
        return self.receive_queue.octets >= least or self.rcv_wnd <= self.acknowledging.rcv_mss

    # --- the network's calls

    def segment_arrives(self, segment: Segment, now: int, codepoint: int = 0) -> Segment | None:
        """SEGMENT ARRIVES (RFC 9293 §3.10.7), in a packet with the ECN `codepoint`. Returns the reply that belongs to
        this segment, if there is one."""
        return arrival.segment_arrives(self, segment, now, codepoint)

    def poll_transmit(self, now: int, room: int) -> Segment | None:
        """The next segment to send, or None; `room` is the largest, in octets, that the link takes."""
        return output.poll_transmit(self, now, room)

    def wants_to_send(self) -> bool:
        """Whether `poll_transmit` may have something. False is certain, True is a guess."""
        return (
            self.ack_now
            or self.send_buffer.end + self.fin_queued > self.snd_nxt
            or self.sent.lost > 0
            or self.probe_now
            or self.recovery.probe_due
            or self.probe_urgent
            or self.reset_pending
            or (self.keepalive is not None and self.keepalive.due)
        )

    # --- time's calls

    def deadline_reached(self, now: int) -> None:
        """Handles the timers that have expired by `now`."""
        timeouts.deadline_reached(self, now)

    def next_deadline(self) -> int:
        """When to call `deadline_reached` (nanoseconds), `timers.NEVER` if no timer runs."""
        return self.timers.earliest
