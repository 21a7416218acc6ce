"""synfin in every cell, asked as `kernel` asks the Linux kernel: a host of its own, and no waiting."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from synfin.host import addresses
from synfin.host.host import Host
from synfin.host.parameters import Parameters
from synfin.tcp import readiness
from synfin.tcp.connection import Connection
from synfin.tcp.listener import Listener
from synfin.tcp.states import NAMES
from synfin.tcp.tcb import Identity
from synfin.wire.ip import PROTOCOL_TCP, Packet
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, FIN, NO_OPTIONS, SYN, Options, Segment
from tests.matrix import cells
from tests.matrix.cells import Cell, Variables, acknowledgment_number, sequence_number
from tests.matrix.observed import PATIENCE, Observation, hears_text, reply_text, state_text

SECRET: Final = bytes(range(16))
SECOND: Final = 1_000_000_000
MICROSECOND: Final = 1_000
PORT: Final = 80
PEER_PORT: Final = 4000
IRS: Final = 0x10000000
NOMINAL: Final = Variables(rcv_nxt=IRS + 1, rcv_wnd=64240, snd_una=0x20000000, snd_nxt=0x20000001)
_OURS: Final = {4: "192.0.2.1", 6: "2001:db8::1"}
_THEIRS: Final = {4: "192.0.2.2", 6: "2001:db8::2"}
_MSS: Final = {4: 1460, 6: 1440}


def observe(cell: Cell) -> Observation:
    """What synfin does in the cell, under its default profile and without limits on how often it answers."""
    ours = _Ours(cell)
    ours.reach()
    return ours.strike()


class _Ours:
    def __init__(self, cell: Cell) -> None:
        parameters = Parameters()
        parameters.tcp.tcp_invalid_ratelimit = 0
        self.cell = cell
        self.now = SECOND
        self.host = Host("ours", SECRET, parameters)
        self.interface = self.host.add_interface("eth0", [f"{_OURS[4]}/24", f"{_OURS[6]}/64"], 1500)
        self.ours = addresses.packed(_OURS[cell.version])
        self.theirs = addresses.packed(_THEIRS[cell.version])
        self.flow = Identity(self.ours, PORT, self.theirs, PEER_PORT).flow
        self.listener: Listener | None = None
        self.connection: Connection | None = None
        self.variables = NOMINAL
        self.seq = IRS
        self.snd_una = self.snd_nxt = 0
        self.rcv_nxt = self.edge = 0

    def _send(self, flags: int, seq: int, ack: int, octets: int = 0, options: Options = NO_OPTIONS) -> None:
        data = (bytes(octets),) if octets else ()
        segment = Segment(PEER_PORT, PORT, seq & MASK, ack & MASK, flags, cells.PEER_WND, options, data)
        # A little time passes, as between a kernel's packets.
        self.now += MICROSECOND
        self.host.packet_arrives(Packet(self.theirs, self.ours, PROTOCOL_TCP, segment), self.interface, self.now)

    def _poll(self) -> list[Segment]:
        heard = []
        while (packet := self.host.poll_transmit(self.interface, self.now)) is not None:
            segment = packet.payload
            assert isinstance(segment, Segment)
            heard.append(segment)
        return heard

    def _hear(self) -> list[Segment]:
        heard = self._poll()
        for segment in heard:
            if segment.flags & SYN:
                self.snd_una = self.snd_nxt = segment.seq
            self.snd_nxt = max(self.snd_nxt, segment.seq + segment.length)
            if segment.flags & ACK:
                self.rcv_nxt = segment.ack
                self.edge = max(self.edge, segment.ack + segment.wnd)
        return heard

    def _says(self, flags: int, octets: int = 0, ack: int | None = None, options: Options = NO_OPTIONS) -> None:
        acknowledged = self.snd_nxt if ack is None else ack
        self._send(flags, self.seq, acknowledged if flags & ACK else 0, octets, options)
        self.seq += octets + (flags & FIN) + (flags >> 1 & 1)
        if flags & ACK:
            self.snd_una = acknowledged
        self._hear()

    # --- into the situation

    def reach(self) -> None:
        situation = self.cell.situation
        version = _OURS[self.cell.version]
        syn_options = Options(mss=_MSS[self.cell.version])
        if situation in (cells.SYN_SENT, cells.SYN_RECEIVED_ACTIVE):
            theirs = _THEIRS[self.cell.version]
            self.connection = self.host.connect(theirs, PEER_PORT, self.now, (version, PORT))
            (syn,) = self._hear()
            self.variables = Variables(IRS + 1, syn.wnd, syn.seq, syn.seq + 1)
            if situation == cells.SYN_RECEIVED_ACTIVE:
                self._says(SYN, options=syn_options)
        elif situation != cells.CLOSED:
            self.listener = self.host.listen(version, PORT, 8, self.now)
            if situation != cells.LISTEN:
                self._says(SYN, options=syn_options)
            if situation not in (cells.LISTEN, cells.SYN_RECEIVED):
                self._establish(self.listener)
                self._go_on(situation)
        if situation not in (cells.CLOSED, cells.LISTEN, cells.SYN_SENT):
            self.variables = Variables(self.rcv_nxt, self.edge - self.rcv_nxt, self.snd_una, self.snd_nxt)
        wanted = cells.SYN_RECEIVED if situation == cells.SYN_RECEIVED_ACTIVE else situation
        assert state_text(self.cell, self._state()) == wanted or situation in (cells.CLOSED, cells.SYN_RECEIVED)

    def _establish(self, listener: Listener) -> None:
        self._says(ACK)
        connection = self.connection = self.host.accept(listener)
        self._says(ACK, cells.RECEIVED)
        assert self._read()[0] == cells.RECEIVED
        self.host.send(connection, bytes(cells.ACKNOWLEDGED), self.now)
        self._hear()
        self._says(ACK)
        self.host.send(connection, bytes(cells.OUTSTANDING), self.now)
        self._hear()

    def _go_on(self, situation: str) -> None:
        connection = self.connection
        assert connection is not None
        unacknowledged = self.snd_una
        if situation in (cells.CLOSE_WAIT, cells.LAST_ACK):
            self._peer_closes(unacknowledged)
            if situation == cells.LAST_ACK:
                self._shut_down(connection)
        elif situation != cells.ESTABLISHED:
            self._shut_down(connection)
            if situation in (cells.FIN_WAIT_2, cells.TIME_WAIT):
                self._says(ACK)
            if situation == cells.TIME_WAIT:
                self._peer_closes(self.snd_nxt)
            elif situation == cells.CLOSING:
                self._peer_closes(unacknowledged)

    def _shut_down(self, connection: Connection) -> None:
        self.host.close(connection, self.now)
        self._hear()

    def _peer_closes(self, ack: int) -> None:
        self._says(FIN | ACK, ack=ack)
        assert self._read() == (0, True, 0)
        if self.rcv_nxt != self.seq & MASK:
            self._wait()
        assert self.rcv_nxt == self.seq & MASK

    def _wait(self) -> list[Segment]:
        """What timers send within `PATIENCE`."""
        end = self.now + int(PATIENCE * SECOND)
        heard = []
        while (deadline := self.host.next_deadline()) <= end:
            self.now = max(self.now, deadline)
            self.host.deadline_reached(self.now)
            heard += self._hear()
        self.now = end
        return heard

    # --- the segment, and what comes of it

    def strike(self) -> Observation:
        cell = self.cell
        variables = self.variables
        seq = sequence_number(cell, variables)
        self._send(cell.flags, seq, acknowledgment_number(cell, variables), cell.octets)
        replies = self._poll()
        later = self._wait()
        accepts = connects = eof = urgent = False
        error = octets = 0
        if self.connection is None and self.listener is not None:
            with suppress(BlockingIOError):
                self.connection = self.host.accept(self.listener)
                accepts = True
        connection = self.connection
        if connection is not None:
            urgent = connection.readiness() & readiness.POLLPRI != 0
            error = connection.error
            opening = cell.situation in (cells.SYN_SENT, cells.SYN_RECEIVED_ACTIVE)
            connects = opening and NAMES[connection.state] not in ("SYN-SENT", "SYN-RECEIVED", "CLOSED")
            if connects or not opening:
                octets, eof, later_error = self._read()
                error = error or later_error
        return Observation(
            tuple(reply_text(each, cell, variables) for each in replies),
            tuple(reply_text(each, cell, variables) for each in later),
            state_text(cell, self._state()),
            hears_text(cell, accepts=accepts, connects=connects, error=error, octets=octets, eof=eof, urgent=urgent),
        )

    def _state(self) -> str:
        transport = self.host.transport
        connection = transport.connections.get(self.flow)
        if connection is not None:
            return NAMES[connection.state]
        if self.flow in transport.time_waits:
            return cells.TIME_WAIT
        return cells.SYN_RECEIVED if self.listener is not None and self.flow in self.listener.requests else ""

    def _read(self) -> tuple[int, bool, int]:
        """How much can be read, whether the end of the stream was, and the error that came instead."""
        connection = self.connection
        assert connection is not None
        octets = 0
        try:
            while pieces := self.host.receive(connection, 1 << 20, self.now):
                octets += sum(map(len, pieces))
        except BlockingIOError:
            return octets, False, 0
        except OSError as error:
            return octets, False, error.errno or 0
        return octets, True, 0
