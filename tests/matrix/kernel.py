"""The Linux kernel in every cell: led into the situation, sent the segment, observed.

Cells run in batches. Each has ports of its own; it is led into its situation and sent its segment at once, in well
under a millisecond. Then the whole batch waits once for what timers send, and only then states are looked at and the
application reads (a reader may set off an acknowledgment). A batch that a busy machine has held up for so long that
timers may have come between is run again.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

from synfin.link.kernel import (
    LOCAL_IPV4,
    LOCAL_IPV6,
    REMOTE_IPV4,
    REMOTE_IPV6,
    KernelHost,
    packed,
    tcp_info,
)
from synfin.wire.ip import PROTOCOL_TCP, Packet
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, FIN, NO_OPTIONS, SYN, Options, Segment
from tests.matrix import cells
from tests.matrix.cells import Cell, Variables, acknowledgment_number, sequence_number
from tests.matrix.observed import PATIENCE, Observation, hears_text, reply_text, state_text

#: How many cells wait together. A SYN is repeated after one second, so that a batch must be over by then.
BATCH: Final = 150
#: A batch that took longer, in seconds, or of which one cell took so long to prepare, is run again.
BATCH_LIMIT: Final = 0.8
CELL_LIMIT: Final = 0.02
ATTEMPTS: Final = 8

#: The peer's numbers, away from what the kernel might choose.
IRS: Final = 0x10000000
#: In CLOSED and LISTEN any numbers do.
NOMINAL: Final = Variables(rcv_nxt=IRS + 1, rcv_wnd=64240, snd_una=0x20000000, snd_nxt=0x20000001)

FIRST_PORT: Final = 1100
PORTS: Final = 64000
PEER_PORT: Final = 4000

_FAMILY: Final = {4: socket.AF_INET, 6: socket.AF_INET6}
_ADDRESSES: Final = {4: (LOCAL_IPV4, REMOTE_IPV4), 6: (LOCAL_IPV6, REMOTE_IPV6)}
_MSS: Final = {4: 1460, 6: 1440}


class TooSlowError(Exception):
    """The machine was busy: timers may have come between."""


class UnreachableError(Exception):
    """The kernel could not be led into the situation."""


class KernelCell:
    """One cell under way. `local_port` is the kernel's, and nobody else's."""

    def __init__(self, host: KernelMatrix, cell: Cell, local_port: int) -> None:
        self.host = host
        self.cell = cell
        self.local_port = local_port
        local, remote = _ADDRESSES[cell.version]
        self.local = local
        self.remote = remote
        self.listener: socket.socket | None = None
        self.connection: socket.socket | None = None
        self.variables = NOMINAL
        self.replies: list[Segment] = []
        self.later: list[Segment] = []
        # The peer's view.
        self.seq = IRS
        self.irs = IRS
        self.iss = 0
        self.snd_una = 0
        self.snd_nxt = 0
        self.rcv_nxt = 0
        self.edge = 0

    # --- the peer

    def _send(self, flags: int, seq: int, ack: int, octets: int = 0, options: Options = NO_OPTIONS) -> None:
        segment = Segment(
            PEER_PORT,
            self.local_port,
            seq & MASK,
            ack & MASK,
            flags,
            cells.PEER_WND,
            options,
            (bytes(octets),) if octets else (),
        )
        self.host.send(Packet(packed(self.remote), packed(self.local), PROTOCOL_TCP, segment))

    def _says(
        self, flags: int, octets: int = 0, ack: int | None = None, options: Options = NO_OPTIONS
    ) -> list[Segment]:
        """The peer's next segment in order; what the kernel answers."""
        acknowledged = self.snd_nxt if ack is None else ack
        self._send(flags, self.seq, acknowledged if flags & ACK else 0, octets, options)
        self.seq += octets + (flags & FIN) + (flags >> 1 & 1)
        if flags & ACK:
            self.snd_una = acknowledged
        return self._hear()

    def _hear(self) -> list[Segment]:
        heard = self.host.mine(self.local_port)
        for segment in heard:
            if segment.flags & SYN:
                self.iss = self.snd_una = segment.seq
                self.snd_nxt = segment.seq
            self.snd_nxt = max(self.snd_nxt, segment.seq + segment.length)
            if segment.flags & ACK:
                self.rcv_nxt = segment.ack
                self.edge = max(self.edge, segment.ack + segment.wnd)
        return heard

    # --- into the situation

    def reach(self) -> None:
        """Leads the kernel into the situation. Raises UnreachableError."""
        start = time.monotonic()
        situation = self.cell.situation
        if situation == cells.CLOSED:
            pass
        elif situation == cells.LISTEN:
            self._listen()
        elif situation in (cells.SYN_SENT, cells.SYN_RECEIVED_ACTIVE):
            self._connect()
            if situation == cells.SYN_RECEIVED_ACTIVE:
                self._says(SYN, options=Options(mss=_MSS[self.cell.version]))
                self._expect(SYN | ACK)
        else:
            self._listen()
            self._says(SYN, options=Options(mss=_MSS[self.cell.version]))
            self._expect(SYN | ACK)
            if situation != cells.SYN_RECEIVED:
                self._establish()
                self._go_on(situation)
        if situation not in (cells.CLOSED, cells.LISTEN, cells.SYN_SENT):
            self.variables = Variables(
                self.rcv_nxt, self.edge - self.rcv_nxt, self.snd_una, self.snd_nxt, cells.PEER_WND
            )
        self._check(situation)
        if time.monotonic() - start > CELL_LIMIT:
            raise TooSlowError

    def _listen(self) -> None:
        self.listener = self.host.kernel.new_socket(_FAMILY[self.cell.version])
        self.listener.bind((self.local, self.local_port))
        self.listener.listen(8)

    def _connect(self) -> None:
        self.connection = self.host.kernel.new_socket(_FAMILY[self.cell.version])
        self.connection.bind((self.local, self.local_port))
        with suppress(BlockingIOError):
            self.connection.connect((self.remote, PEER_PORT))
        syn = self._hear()
        if len(syn) != 1 or syn[0].flags & (SYN | ACK) != SYN:
            raise UnreachableError(f"{self.cell.name}: {syn}")
        self.variables = Variables(IRS + 1, syn[0].wnd, syn[0].seq, syn[0].seq + 1, cells.PEER_WND)

    def _expect(self, flags: int) -> None:
        if self.edge == 0 or self.rcv_nxt != (self.irs + 1) & MASK:
            raise UnreachableError(f"{self.cell.name}: no {flags:#x}")

    def _establish(self) -> None:
        assert self.listener is not None
        self._says(ACK)
        connection, _ = self.listener.accept()
        connection.setblocking(False)
        self.connection = connection
        self._says(ACK, cells.RECEIVED)
        if len(connection.recv(2 * cells.RECEIVED)) != cells.RECEIVED:
            raise UnreachableError(self.cell.name)
        connection.send(bytes(cells.ACKNOWLEDGED))
        self._hear()
        self._says(ACK)
        connection.send(bytes(cells.OUTSTANDING))
        self._hear()

    def _go_on(self, situation: str) -> None:
        connection = self.connection
        assert connection is not None
        unacknowledged = self.snd_una
        if situation in (cells.CLOSE_WAIT, cells.LAST_ACK):
            self._peer_closes(unacknowledged)
            if situation == cells.LAST_ACK:
                connection.shutdown(socket.SHUT_WR)
                self._hear()
        elif situation != cells.ESTABLISHED:
            connection.shutdown(socket.SHUT_WR)
            self._hear()
            if situation in (cells.FIN_WAIT_2, cells.TIME_WAIT):
                self._says(ACK)
            if situation == cells.TIME_WAIT:
                self._peer_closes(self.snd_nxt)
            elif situation == cells.CLOSING:
                self._peer_closes(unacknowledged)

    def _peer_closes(self, ack: int) -> None:
        connection = self.connection
        assert connection is not None
        self._says(FIN | ACK, ack=ack)
        ended = connection.recv(1) == b""
        # The kernel delays the ACK of a FIN. An even value lets it go, if all has been read, and goes on delaying.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 2)
        self._hear()
        if self.rcv_nxt != self.seq & MASK or not ended:
            raise UnreachableError(self.cell.name)

    def _check(self, situation: str) -> None:
        connection = self.connection
        if connection is None or situation == cells.TIME_WAIT:
            return
        wanted = cells.SYN_RECEIVED if situation == cells.SYN_RECEIVED_ACTIVE else situation
        state = tcp_info(connection).state
        if state != wanted:
            raise UnreachableError(f"{self.cell.name}: {state}")

    # --- the segment, and what comes of it

    def strike(self) -> None:
        """Sends the segment of the cell, and takes what the kernel answers."""
        cell = self.cell
        seq = sequence_number(cell, self.variables)
        self._send(cell.flags, seq, acknowledgment_number(cell, self.variables), cell.octets)
        self.replies = self.host.mine(self.local_port)

    def observe(self, table: dict[tuple[int, int], str]) -> Observation:
        """What came, once `later` is complete. `table` is `KernelHost.states`."""
        cell = self.cell
        state = table.get((self.local_port, PEER_PORT), "")
        connection = self.connection
        accepts = connects = eof = urgent = False
        error = octets = 0
        if connection is None and self.listener is not None:
            with suppress(BlockingIOError):
                connection = self.connection = self.listener.accept()[0]
                connection.setblocking(False)
                accepts = True
        if connection is not None:
            error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if cell.situation in (cells.SYN_SENT, cells.SYN_RECEIVED_ACTIVE):
                with suppress(OSError):
                    connection.getpeername()
                    connects = tcp_info(connection).state not in ("SYN-SENT", "SYN-RECEIVED")
            urgent = _polls_urgent(connection)
            if connects or cell.situation not in (cells.SYN_SENT, cells.SYN_RECEIVED_ACTIVE):
                octets, eof = _read(connection)
        return Observation(
            tuple(reply_text(each, cell, self.variables) for each in self.replies),
            tuple(reply_text(each, cell, self.variables) for each in self.later),
            state_text(cell, state),
            hears_text(cell, accepts=accepts, connects=connects, error=error, octets=octets, eof=eof, urgent=urgent),
        )

    def clear_away(self) -> None:
        for each in (self.connection, self.listener):
            if each is not None:
                self.host.kernel.forget(each)


def _polls_urgent(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLPRI)
    return any(bits & select.POLLPRI for _, bits in poll.poll(0))


def _read(connection: socket.socket) -> tuple[int, bool]:
    octets = 0
    try:
        while True:
            data = connection.recv(1 << 20)
            if not data:
                return octets, True
            octets += len(data)
    except OSError:
        return octets, False


class KernelMatrix:
    """A kernel that runs cells. `kernel` is the host; ports are used one after the other."""

    def __init__(self, kernel: KernelHost, first: int = 0) -> None:
        self.kernel = kernel
        self._unread: dict[int, list[Segment]] = {}
        self._next = first
        #: How many batches had to be run again.
        self.repeated = 0

    def mine(self, local_port: int) -> list[Segment]:
        """What the kernel has sent from that port; all else is kept for whom it concerns."""
        self._sort()
        return self._unread.pop(local_port, [])

    def send(self, packet: Packet) -> None:
        self.kernel.send(packet)

    def _sort(self) -> None:
        for arrived in self.kernel.at_once():
            segment = arrived.packet.payload
            if isinstance(segment, Segment) and segment.destination_port == PEER_PORT:
                self._unread.setdefault(segment.source_port, []).append(segment)

    def observe(self, wanted: Sequence[Cell], batch: int = BATCH) -> Iterator[tuple[Cell, Observation]]:
        """Runs the cells, a batch after the other. Raises UnreachableError and, on a machine too busy, TooSlowError."""
        for start in range(0, len(wanted), batch):
            yield from zip(wanted[start : start + batch], self._batch_again(wanted[start : start + batch]), strict=True)

    def _batch_again(self, wanted: Sequence[Cell]) -> list[Observation]:
        for attempt in range(ATTEMPTS):
            try:
                return self._batch(wanted)
            except TooSlowError:
                self.repeated += 1
                if attempt >= 1 and len(wanted) > 1:
                    half = len(wanted) // 2
                    return self._batch_again(wanted[:half]) + self._batch_again(wanted[half:])
        raise TooSlowError

    def _batch(self, wanted: Sequence[Cell]) -> list[Observation]:
        start = time.monotonic()
        self._unread.clear()
        under_way: list[KernelCell] = []
        try:
            for cell in wanted:
                each = KernelCell(self, cell, FIRST_PORT + self._next % PORTS)
                self._next += 1
                under_way.append(each)
                each.reach()
                each.strike()
            end = time.monotonic() + PATIENCE
            while (left := end - time.monotonic()) > 0:
                select.select([self.kernel.link], [], [], left)
                self._sort()
            for each in under_way:
                each.later = self.mine(each.local_port)
            if time.monotonic() - start > BATCH_LIMIT:
                raise TooSlowError
            table = self.kernel.states()
            return [each.observe(table) for each in under_way]
        finally:
            for each in under_way:
                each.clear_away()
            self._sort()
            self._unread.clear()
