"""Urgent data (RFC 9293 §3.8.5, RFC 6093): the pointer, the mark, the octet out of band, as Linux has them."""

from __future__ import annotations

from contextlib import suppress
from errno import EINVAL, ENOTCONN

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synfin.tcp.connection import Connection
from synfin.tcp.parameters import TcpParameters
from synfin.tcp.readiness import POLLIN, POLLPRI
from synfin.wire.sequence import wrap
from synfin.wire.tcp import ACK, FIN, PSH, RST, URG, Segment
from tests.tcp.world import MS, SECOND, World, by_client, data, everything


def opened(**parameters: int) -> World:
    client, server = TcpParameters(), TcpParameters()
    for name, value in parameters.items():
        setattr(client, name, value)
        setattr(server, name, value)
    w = World(client, server)
    w.connect()
    w.run_for(SECOND)
    return w


def arrives(connection: Connection, offset: int, payload: bytes, up: int = 0, flags: int = 0, now: int = 0) -> None:
    """A segment of the peer's, `offset` octets into its stream; URG if it has a pointer."""
    flags |= ACK | (URG if up else 0)
    segment = Segment(
        connection.identity.remote_port,
        connection.identity.local_port,
        wrap(connection.irs + 1 + offset),
        wrap(connection.snd_nxt),
        flags,
        1000,
        payload=(payload,) if payload else (),
        up=up,
    )
    connection.timestamps = False
    connection.segment_arrives(segment, now)


def read(connection: Connection, limit: int = 1000) -> bytes:
    return b"".join(bytes(piece) for piece in connection.receive(limit, 0))


def pointers(w: World, since: int = 0) -> list[tuple[int, int]]:
    """(octets of payload, urgent pointer or -1) of all that the client sent."""
    return [
        (m.segment.payload_length, m.segment.up if m.segment.flags & URG else -1)
        for m in w.messages[since:]
        if m.sender == "client"
    ]


# --- sending


def test_the_pointer_is_that_of_the_octet_after_urgent_data() -> None:
    # MUST-62
    w = opened()
    since = len(w.messages)
    w.client.tcb.send_urgent(b"hurry", w.now)
    w.run_for(SECOND)
    assert pointers(w, since) == [(5, 5)]
    # All acknowledged: no urgent mode any more.
    w.client.send(b"calm")
    w.run_for(SECOND)
    assert pointers(w, since) == [(5, 5), (4, -1)]


def test_it_does_not_depend_on_how_the_receiver_reads_pointers() -> None:
    w = opened(tcp_stdurg=1)
    since = len(w.messages)
    w.client.tcb.send_urgent(b"x", w.now)
    w.run_for(SECOND)
    assert pointers(w, since) == [(1, 1)]


def test_each_segment_before_the_end_of_urgent_data_points_there() -> None:
    w = opened()
    w.client.tcb.cwnd = 100_000
    since = len(w.messages)
    w.room = 65535
    w.client.tcb.send(b"-" * 2000, w.now)
    w.client.tcb.send_urgent(b"!" * 1000, w.now)
    w.client.tcb.send(b"-" * 3000, w.now)
    w.run_for(SECOND)
    # The last segments begin behind it.
    assert pointers(w, since) == [(1448, 3000), (1448, 1552), (1448, 104), (1448, -1), (208, -1)]


def test_nothing_is_a_superpacket_in_urgent_mode() -> None:
    w = opened()
    w.room = 65535
    w.whole = True
    w.client.tcb.cwnd = 100_000
    since = len(w.messages)
    w.client.tcb.send_urgent(b"!" * 6000, w.now)
    w.run_for(SECOND)
    assert [length for length, up in pointers(w, since) if up >= 0] == [1448] * 4 + [208]
    assert [up for _, up in pointers(w, since) if up >= 0] == [6000 - 1448 * n for n in range(5)]


def test_urgent_data_may_be_of_any_length() -> None:
    # MUST-31: where the field does not reach, it says as far as it does.
    w = opened()
    w.server.reading = True
    w.server.tcb.settings.oob_inline = True
    w.client.tcb.snd_buf = 1 << 20
    since = len(w.messages)
    assert w.client.tcb.send_urgent(b"!" * 100_000, w.now) == 100_000
    w.run_for(5 * SECOND)
    assert bytes(w.server.received) == b"!" * 100_000
    ups = [up for length, up in pointers(w, since) if length]
    assert ups[0] == 0xFFFF
    assert ups[-1] == 100_000 % 1448
    assert -1 not in ups


def test_new_urgent_data_take_the_place_of_old() -> None:
    w = opened()
    since = len(w.messages)
    w.lose(by_client(data))
    w.client.tcb.send_urgent(b"one", w.now)
    w.run_for(100 * MS)
    w.client.tcb.send_urgent(b"two", w.now)
    w.run_for(SECOND)
    # The second does not wait for the first (Nagle), and the first, sent again, points to the second's end.
    assert pointers(w, since) == [(3, 3), (3, 3), (3, 6)]


def test_a_retransmission_that_begins_later_has_its_own_pointer() -> None:
    w = opened()
    w.client.tcb.cwnd = 100_000
    since = len(w.messages)
    w.lose(by_client(data), nth=2)
    w.client.tcb.send_urgent(b"!" * 3000, w.now)
    w.run_for(SECOND)
    assert pointers(w, since) == [(1448, 3000), (1448, 1552), (104, 104), (1448, 1552)]


def test_urgent_data_are_announced_through_a_closed_window() -> None:
    # MUST-66, and Linux: a segment at SND.UNA without data goes before each window probe.
    w = opened()
    w.client.write(b"x" * 200_000)
    w.run_for(SECOND)
    assert w.client.tcb.snd_wnd == 0
    since = len(w.messages)
    # The rest waits in the buffer, and so does this.
    w.client.outbox = b""
    w.client.tcb.snd_buf = 1 << 20
    w.client.tcb.send_urgent(b"!", w.now)
    w.run_for(2 * SECOND)
    probes = [m for m in w.messages[since:] if m.sender == "client"]
    announced = [m for m in probes if m.segment.flags & URG and m.segment.seq == wrap(w.client.tcb.snd_una)]
    assert announced
    assert all(m.segment.payload_length == 0 for m in probes)
    waiting = w.client.tcb.snd_up - w.client.tcb.snd_una
    assert announced[0].segment.up == min(waiting, 0xFFFF)
    assert w.server.tcb.urgent is not None
    assert w.server.tcb.rcv_up == w.server.tcb.rcv_nxt + min(waiting, 0xFFFF)
    assert w.server.tcb.wake & POLLPRI


def test_the_reader_hears_of_it_while_its_window_is_closed() -> None:
    w = opened()
    server = w.server.tcb
    w.client.write(b"x" * 200_000)
    w.run_for(SECOND)
    # What a window was rounded up by is filled too.
    arrives(server, server.rcv_nxt - server.irs - 1, b"x" * server.rcv_wnd, now=w.now)
    assert server.rcv_wnd == 0
    server.wake = 0
    arrives(server, server.rcv_nxt - server.irs - 1, b"", up=5, now=w.now)
    assert server.wake & POLLPRI
    assert server.urgent_remaining() == server.receive_queue.octets + 5


# --- receiving: the octet out of band


def test_the_octet_is_taken_out_of_the_stream() -> None:
    w = opened()
    c = w.server.tcb
    arrives(c, 0, b"ab!cd", up=3)
    assert c.readiness() & (POLLIN | POLLPRI) == POLLIN | POLLPRI
    assert c.readable() == 2
    assert not c.at_mark()
    # Reading stops in front of the mark, whatever is asked for.
    assert read(c) == b"ab"
    assert c.at_mark()
    assert c.receive_urgent(0, peek=True) == b"!"
    assert c.receive_urgent(0) == b"!"
    assert not c.readiness() & POLLPRI
    with pytest.raises(OSError, match="Invalid argument") as caught:
        c.receive_urgent(0)
    assert caught.value.errno == EINVAL
    assert c.at_mark()
    assert read(c) == b"cd"
    assert not c.at_mark()


def test_an_octet_that_nobody_wants_is_dropped_at_the_mark() -> None:
    w = opened()
    c = w.server.tcb
    arrives(c, 0, b"!cd", up=1)
    assert c.at_mark()
    assert read(c) == b"cd"
    with pytest.raises(OSError, match="Invalid argument"):
        c.receive_urgent(0)


def test_the_octet_alone_does_not_make_the_stream_readable() -> None:
    w = opened()
    c = w.server.tcb
    arrives(c, 0, b"!", up=1)
    assert c.readiness() & (POLLIN | POLLPRI) == POLLPRI
    with pytest.raises(BlockingIOError):
        read(c)
    arrives(c, 1, b"x")
    assert read(c) == b"x"


def test_without_urgent_data_there_is_none_to_read() -> None:
    c = opened().server.tcb
    with pytest.raises(OSError, match="Invalid argument"):
        c.receive_urgent(0)
    assert not c.at_mark()
    assert c.urgent_remaining() == 0


def test_what_is_only_announced_has_not_arrived() -> None:
    w = opened()
    c = w.server.tcb
    arrives(c, 0, b"ab", up=5)
    assert not c.readiness() & POLLPRI
    with pytest.raises(BlockingIOError):
        c.receive_urgent(0)
    # MUST-33
    assert c.urgent_remaining() == 5
    assert read(c) == b"ab"
    assert c.urgent_remaining() == 3
    arrives(c, 2, b"cd!")
    assert c.readiness() & POLLPRI
    assert c.receive_urgent(0) == b"!"
    assert read(c) == b"cd"


def test_a_stream_that_ends_before_it() -> None:
    c = opened().server.tcb
    arrives(c, 0, b"ab", up=5, flags=FIN)
    assert c.receive_urgent(0) == b""
    assert read(c) == b"ab"
    assert read(c) == b""


def test_the_octet_can_be_read_after_the_fin() -> None:
    c = opened().server.tcb
    arrives(c, 0, b"ab!", up=3, flags=FIN)
    assert read(c) == b"ab"
    assert c.at_mark()
    assert c.receive_urgent(0) == b"!"
    assert read(c) == b""


def test_a_connection_that_broke() -> None:
    c = opened().server.tcb
    arrives(c, 0, b"ab!", up=3)
    arrives(c, 3, b"", flags=RST)
    with pytest.raises(OSError, match="not connected") as caught:
        c.receive_urgent(0)
    assert caught.value.errno == ENOTCONN


def test_in_the_stream_if_the_user_wants_it_there() -> None:
    # RFC 6093 §5
    c = opened().server.tcb
    c.settings.oob_inline = True
    arrives(c, 0, b"ab!cd", up=3)
    assert c.readable() == 5
    with pytest.raises(OSError, match="Invalid argument"):
        c.receive_urgent(0)
    assert read(c) == b"ab"
    assert c.at_mark()
    assert read(c) == b"!cd"


def test_the_octet_may_overtake_what_is_missing() -> None:
    c = opened().server.tcb
    arrives(c, 2, b"c!", up=2)
    assert c.receive_urgent(0) == b"!"
    arrives(c, 0, b"ab")
    assert read(c) == b"abc"


def test_the_host_may_read_pointers_as_rfc_1122_does() -> None:
    c = opened(tcp_stdurg=1).server.tcb
    arrives(c, 0, b"ab!cd", up=2)
    assert c.receive_urgent(0) == b"!"
    assert read(c) == b"ab"


# --- receiving: the pointer


def test_each_advance_is_told_and_repetitions_are_not() -> None:
    # MUST-32
    c = opened().server.tcb
    c.settings.oob_inline = True
    c.wake = 0
    arrives(c, 0, b"a", up=3)
    assert c.wake & POLLPRI
    c.wake = 0
    arrives(c, 1, b"b", up=2)
    assert not c.wake & POLLPRI
    arrives(c, 2, b"", up=7)
    assert c.wake & POLLPRI
    assert c.urgent_remaining() == 9


def test_an_older_pointer_does_not_take_it_back() -> None:
    c = opened().server.tcb
    arrives(c, 0, b"ab", up=10)
    arrives(c, 2, b"cd", up=2)
    assert c.urgent is not None
    assert c.urgent.mark == c.irs + 1 + 9
    # And one into what has arrived announces nothing.
    read(c)
    c.urgent = None
    arrives(c, 2, b"cdef", up=1)
    assert c.urgent is None


def test_what_has_arrived_is_not_made_urgent_afterwards() -> None:
    c = opened().server.tcb
    arrives(c, 0, b"abcd")
    c.wake = 0
    arrives(c, 2, b"cdef", up=1)
    assert c.urgent is None
    assert not c.wake & POLLPRI
    assert read(c) == b"abcdef"


def test_an_octet_whose_mark_moved_on_stays_in_the_stream() -> None:
    c = opened().server.tcb
    arrives(c, 0, b"ab!", up=3)
    arrives(c, 3, b"c?", up=2)
    assert c.receive_urgent(0) == b"?"
    assert read(c) == b"ab!c"
    with pytest.raises(BlockingIOError):
        read(c)


def test_an_octet_next_to_be_read_goes_while_it_is_known_as_such() -> None:
    c = opened().server.tcb
    arrives(c, 0, b"ab!", up=3)
    assert read(c) == b"ab"
    assert c.receive_urgent(0) == b"!"
    arrives(c, 3, b"c?", up=2)
    assert read(c) == b"c"
    assert c.receive_urgent(0) == b"?"


@given(
    st.lists(st.tuples(st.integers(0, 40), st.binary(max_size=8), st.integers(0, 65535), st.booleans()), max_size=30)
)
def test_no_pointer_breaks_the_stream(script: list[tuple[int, bytes, int, bool]]) -> None:
    """Whatever pointers come: what is read is the stream, less at most one octet for each mark."""
    for inline in (False, True):
        c = opened().server.tcb
        c.settings.oob_inline = inline
        stream = bytes(range(64))
        got = bytearray()
        for offset, payload, up, reads in script:
            arrives(c, offset, stream[offset : offset + len(payload)], up)
            if reads:
                before = c.copied
                with suppress(BlockingIOError):
                    got += read(c)
                assert c.copied >= before
            assert c.receive_queue.octets >= 0
            assert c.urgent_remaining() >= 0
            assert 0 <= c.readable() <= c.receive_queue.octets
        while c.receive_queue.octets:
            try:
                got += read(c)
            except BlockingIOError:
                break
        taken = c.copied - c.irs - 1
        if inline:
            assert bytes(got) == stream[:taken]
        else:
            position = -1
            for octet in got:
                # In order, nothing twice.
                assert octet > position
                position = octet
            assert len(got) >= taken - sum(1 for _, _, up, _ in script if up)


def test_through_the_network_and_lost() -> None:
    w = opened()
    w.lose(by_client(data), nth=1, count=2)
    w.client.tcb.send(b"before", w.now)
    w.client.tcb.send_urgent(b"!", w.now)
    w.client.tcb.send(b"after", w.now)
    w.run_for(5 * SECOND)
    c = w.server.tcb
    assert c.receive_urgent(w.now) == b"!"
    assert read(c) == b"before"
    assert c.at_mark()
    assert read(c) == b"after"


def test_push_stays_where_it_belongs() -> None:
    w = opened()
    since = len(w.messages)
    w.lose(by_client(everything))
    w.client.tcb.send_urgent(b"x" * 100, w.now)
    w.run_for(SECOND)
    flags = [m.segment.flags for m in w.messages[since:] if m.sender == "client" and m.segment.payload_length]
    assert flags == [ACK | PSH | URG] * 2
