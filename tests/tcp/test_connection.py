"""The verbs of a connection: errors, readiness, limits of its buffers, what the table allows (rows A16, C11, C12)."""

from __future__ import annotations

import errno
import gc
import weakref

import pytest

from synfin.tcp import states
from synfin.tcp.connection import Connection
from synfin.tcp.errors import os_error
from synfin.tcp.readiness import POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP
from synfin.tcp.send_tuning import RANGE_OVERHEAD
from synfin.tcp.states import IllegalTransitionError
from synfin.tcp.timers import NEVER
from synfin.wire.tcp import ACK, FIN, RST, SYN, Segment
from tests.tcp.test_acceptance import established, segment
from tests.tcp.world import CLIENT, MS, SECOND, SERVER, World, by_client, data, everything, make_connection, rst


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ECONNREFUSED, ConnectionRefusedError),
        (errno.ECONNRESET, ConnectionResetError),
        (errno.EPIPE, BrokenPipeError),
        (errno.ETIMEDOUT, TimeoutError),
        (errno.ECONNABORTED, ConnectionAbortedError),
    ],
)
def test_errors_are_the_platforms_own(number: int, kind: type[OSError]) -> None:
    error = os_error(number)
    assert type(error) is kind
    assert error.errno == number
    assert error.strerror
    assert type(os_error(99_999)) is OSError


@pytest.mark.row("C12")
@pytest.mark.parametrize(
    ("state", "error"),
    [
        ("ESTABLISHED", ConnectionResetError),
        ("FIN-WAIT-1", ConnectionResetError),
        ("FIN-WAIT-2", ConnectionResetError),
        ("CLOSE-WAIT", BrokenPipeError),
        ("SYN-RECEIVED", ConnectionRefusedError),  # an active open: RFC 9293 §3.10.7.4, second
    ],
)
def test_what_a_reset_means_in_each_state(state: str, error: type[OSError]) -> None:
    c = in_state(state)
    c.segment_arrives(segment(c, 0, RST), 0)
    assert c.status().state == "CLOSED"
    assert c.readiness() & (POLLERR | POLLHUP | POLLIN | POLLOUT) == POLLERR | POLLHUP | POLLIN | POLLOUT
    with pytest.raises(error):
        c.receive(1, 0)
    assert c.receive(1, 0) == []
    assert not c.readiness() & POLLERR
    assert c.next_deadline() == NEVER


def in_state(name: str) -> Connection:
    """A connection in the state of that name, brought there by segments and calls."""
    if name == "CLOSED":
        return make_connection(CLIENT)
    if name in ("SYN-SENT", "SYN-RECEIVED"):
        c = make_connection(CLIENT)
        c.open(0)
        c.poll_transmit(0, 1500)
        if name == "SYN-RECEIVED":
            c.segment_arrives(Segment(80, 49152, 500_000, 0, SYN, 65535), 0)
            c.poll_transmit(0, 1500)
        return c
    c = established()

    def arrives(flags: int, ack: int = 0) -> None:
        c.segment_arrives(segment(c, 0, flags, ack=ack), 0)
        while c.poll_transmit(0, 1500) is not None:
            pass

    if name in ("CLOSE-WAIT", "LAST-ACK"):
        arrives(FIN | ACK)
    if name not in ("ESTABLISHED", "CLOSE-WAIT"):
        c.close(0)
        while c.poll_transmit(0, 1500) is not None:
            pass
    if name in ("FIN-WAIT-2", "TIME-WAIT"):
        arrives(ACK, ack=1)
    if name in ("CLOSING", "TIME-WAIT"):
        arrives(FIN | ACK)
    assert c.status().state == name
    return c


NAMES = [states.NAMES[state] for state in states.STATES if state != states.LISTEN]


@pytest.mark.row("A16")
@pytest.mark.parametrize("name", NAMES)
def test_the_users_calls_in_each_state(name: str) -> None:
    c = in_state(name)
    if name in ("SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT"):
        assert c.send(b"x", 0) == 1
    else:
        with pytest.raises(BrokenPipeError):
            c.send(b"x", 0)
    if name in ("CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT", "CLOSED"):
        assert c.receive(1, 0) == []
    else:
        with pytest.raises(BlockingIOError):
            c.receive(1, 0)
    if name != "CLOSED":
        with pytest.raises(IllegalTransitionError):
            c.open(0)
    c.close(0)
    c.close(0)
    after = {"SYN-SENT": "CLOSED", "SYN-RECEIVED": "FIN-WAIT-1", "ESTABLISHED": "FIN-WAIT-1", "CLOSE-WAIT": "LAST-ACK"}
    assert c.status().state == after.get(name, name)


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        ("SYN-SENT", 0),
        ("SYN-RECEIVED", 0),
        ("ESTABLISHED", POLLOUT),
        ("FIN-WAIT-1", POLLOUT),
        ("FIN-WAIT-2", POLLOUT),
        ("CLOSE-WAIT", POLLIN | POLLRDHUP | POLLOUT),
        ("CLOSING", POLLIN | POLLRDHUP | POLLOUT | POLLHUP),
        ("LAST-ACK", POLLIN | POLLRDHUP | POLLOUT | POLLHUP),
        ("TIME-WAIT", POLLIN | POLLRDHUP | POLLOUT | POLLHUP),
        ("CLOSED", POLLIN | POLLOUT | POLLHUP),
    ],
)
def test_readiness_in_each_state(name: str, bits: int) -> None:
    """As poll(2) on Linux: POLLOUT after SHUT_WR too, since a write would fail at once; POLLHUP when both are shut."""
    assert in_state(name).readiness() == bits


@pytest.mark.row("C12", "A16")
@pytest.mark.parametrize("name", NAMES)
def test_abort_in_each_state(name: str) -> None:
    # RFC 9293 §3.10.5
    c = in_state(name)
    c.abort(0)
    assert c.status().state == "CLOSED"
    reset = c.poll_transmit(0, 1500)
    if name in ("SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT"):
        assert reset is not None
        assert reset.flags == RST | ACK
        assert reset.seq == c.snd_nxt
    else:
        assert reset is None
    assert c.poll_transmit(0, 1500) is None
    assert c.next_deadline() == NEVER


@pytest.mark.row("C12")
@pytest.mark.parametrize("closing", [False, True])
def test_abort_in_closing_with_the_fin_unsent_tells_the_peer(closing: bool) -> None:
    """The peer's window is shut, so data and FIN wait; then ABORT: the peer must learn that they are lost."""
    w = World()
    w.connect()
    c = w.client.tcb
    shut = Segment(80, 49152, c.rcv_nxt & 0xFFFFFFFF, c.snd_una & 0xFFFFFFFF, ACK, 0, w.messages[1].segment.options)
    w.inject("client", shut)
    w.client.send(b"never sent")
    if closing:
        w.client.close()
        shut.flags |= FIN
        w.inject("client", shut)
        assert w.client.state == "CLOSING"
    else:
        w.server.close()
        w.run_for(SECOND // 10)
        w.inject("client", shut)
        w.client.close()
        assert w.client.state == "LAST-ACK"
    w.inject("client", shut)
    w.client.abort()
    w.run_for(SECOND)
    assert w.times(by_client(rst)) != []


@pytest.mark.parametrize("name", ["CLOSING", "LAST-ACK"])
def test_a_reset_in_closing_and_last_ack_is_told(name: str) -> None:
    """The RFC has nobody to tell there; Linux tells who still holds the socket, whose data may not have arrived."""
    c = in_state(name)
    c.segment_arrives(segment(c, 0, RST), 0)
    assert (c.status().state, c.error) == ("CLOSED", errno.ECONNRESET)
    assert c.next_deadline() == NEVER


@pytest.mark.row("A16")
def test_an_end_gives_everything_back() -> None:
    w = World(delay=MS)
    w.connect()
    w.client.write(bytes(100_000))
    w.lose(by_client(data), nth=2)
    w.run_for(3 * MS)
    w.server.abort()
    w.run_for(SECOND)
    for c in (w.client.tcb, w.server.tcb):
        assert len(c.sent) == len(c.send_buffer) == len(c.reassembly) == 0
        assert c.next_deadline() == NEVER
        assert not c.timers.running(0)
    assert w.server.tcb.receive_queue.octets == 0


@pytest.mark.row("A16")
def test_no_cycle_keeps_a_connection_alive() -> None:
    class Watched(Connection):
        __slots__ = ("__weakref__",)

    gc.disable()
    try:
        plain = in_state("ESTABLISHED")
        c = Watched(CLIENT, plain.parameters, 5, 1460, plain.congestion, plain.recovery)
        c.open(0)
        c.poll_transmit(0, 1500)
        c.segment_arrives(Segment(80, 49152, 9, 6, SYN | ACK, 9000), 0)
        c.send(bytes(20_000), 0)
        while c.poll_transmit(0, 65_000) is not None:
            pass
        watch = weakref.ref(c)
        del c
        assert watch() is None
    finally:
        gc.enable()


def test_the_send_buffer_is_bounded() -> None:
    c = established()
    limit = c.send_limit()
    # As Linux has it for a new connection over Ethernet: two windows of ten segments, each with 2304 octets.
    assert c.send(bytes(1 << 20), 0) == limit == 2 * 10 * 2304
    with pytest.raises(BlockingIOError):
        c.send(b"x", 0)
    assert not c.readiness() & POLLOUT
    c.snd_buf = 50_000
    assert c.send(bytes(1 << 20), 0) == 50_000 - limit
    c.poll_transmit(0, 1500)
    c.segment_arrives(segment(c, ack=1460), 0)
    assert c.send(bytes(1 << 20), 0) == 1460 - len(c.sent) * RANGE_OVERHEAD
    # POLLOUT only when a third is free.
    assert not c.readiness() & POLLOUT


def test_many_small_writes_pay_for_their_ranges() -> None:
    c = established()
    c.settings.nodelay = True
    written = 0
    try:
        while True:
            written += c.send(b"x", 0)
            c.poll_transmit(0, 1500)
    except BlockingIOError:
        pass
    assert len(c.sent) <= c.send_limit() // RANGE_OVERHEAD + 1


def test_sending_nothing_and_receiving_nothing() -> None:
    c = established()
    assert c.send(b"", 0) == 0
    assert c.receive(0, 0) == []
    assert c.poll_transmit(0, 1500) is None


@pytest.mark.row("A16")
def test_status_tells_what_the_tcb_holds() -> None:
    w = World()
    w.connect()
    w.client.send(b"abc")
    w.server.send(b"defgh")
    w.run_for(SECOND)
    status = w.client.tcb.status()
    server = w.server.tcb.status()
    assert (status.state, server.state) == ("ESTABLISHED", "ESTABLISHED")
    assert (status.iss, status.irs) == (server.irs, server.iss)
    assert (status.snd_nxt, status.rcv_nxt) == (server.rcv_nxt, server.snd_nxt)
    assert (status.receive_queue, server.receive_queue) == (5, 3)
    assert status.snd_una == status.snd_nxt
    assert status.snd_wnd == ((server.rcv_wnd + 127) >> 7) << 7
    assert "state='ESTABLISHED'" in repr(status)


def test_deadline_reached_before_its_time_does_nothing() -> None:
    w = World()
    w.connect()
    w.lose(everything, count=1)
    w.client.send(b"x")
    w.flush()
    deadline = w.client.tcb.next_deadline()
    w.client.tcb.deadline_reached(deadline - 1)
    assert w.client.tcb.poll_transmit(deadline - 1, 1500) is None
    assert w.client.tcb.next_deadline() == deadline
    w.client.tcb.deadline_reached(deadline)
    assert w.client.tcb.poll_transmit(deadline, 1500) is not None
    assert w.client.tcb.poll_transmit(deadline, 1500) is None


@pytest.mark.row("C3")
@pytest.mark.parametrize("when", ["release, then the ACK of the FIN", "the ACK of the FIN, then release"])
def test_release_in_any_order_ends_fin_wait_2(when: str) -> None:
    c = established()
    if when.startswith("release"):
        c.release(0)
        c.poll_transmit(0, 1500)
        c.segment_arrives(segment(c, ack=1), SECOND)
        started = SECOND
    else:
        c.close(0)
        c.poll_transmit(0, 1500)
        c.segment_arrives(segment(c, ack=1), 0)
        c.release(SECOND)
        started = SECOND
    assert c.status().state == "FIN-WAIT-2"
    assert c.next_deadline() == started + 60 * SECOND
    c.deadline_reached(started + 60 * SECOND)
    assert c.status().state == "CLOSED"
    assert c.error == 0
    c.release(0)


@pytest.mark.row("A13")
def test_a_simultaneous_open_after_many_syns_still_has_its_retries() -> None:
    c = make_connection(CLIENT)
    c.open(0)
    now = 0
    for _ in range(6):
        assert c.poll_transmit(now, 1500) is not None
        now = c.next_deadline()
        c.deadline_reached(now)
    c.poll_transmit(now, 1500)
    c.segment_arrives(Segment(80, 49152, 7, 0, SYN, 1000), now)
    sent = 0
    while c.status().state == "SYN-RECEIVED":
        while c.poll_transmit(now, 1500) is not None:
            sent += 1
        now = c.next_deadline()
        c.deadline_reached(now)
    # tcp_synack_retries = 5 after the first
    assert sent == 6


def test_two_connections_share_nothing() -> None:
    one, other = make_connection(CLIENT), make_connection(SERVER)
    one.open(0)
    assert other.state == states.CLOSED
    assert one.timers is not other.timers
    assert one.identity.flow != other.identity.flow
