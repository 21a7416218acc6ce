"""Opening a connection: the three messages, what each side knows, and what else may happen (rows A1 to A15)."""

from __future__ import annotations

import pytest

from synfin.tcp import closed, states, time_wait
from synfin.tcp.identity import Identity
from synfin.tcp.isn import InitialSequenceNumbers
from synfin.tcp.parameters import TcpParameters
from synfin.tcp.readiness import POLLERR, POLLHUP, POLLIN, POLLOUT
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, RST, SYN, Options, Segment
from tests.tcp.world import CLIENT, MS, SECOND, World, by_server, make_connection, syn, syn_ack


@pytest.mark.row("A1", "A2", "A3", "A4", "B6", "E6")
def test_three_messages() -> None:
    w = World()
    assert w.states() == ("CLOSED", "CLOSED")
    w.server.listen()
    assert w.states() == ("CLOSED", "LISTEN")
    w.client.open()
    assert w.states() == ("SYN-SENT", "LISTEN")
    w.run(SECOND)
    assert w.story() == [
        "0 client SYN seq=x | SYN-SENT LISTEN | SYN-SENT SYN-RECEIVED",
        "0.01 server SYN,ACK seq=y ack=x+1 | SYN-SENT SYN-RECEIVED | ESTABLISHED SYN-RECEIVED",
        "0.02 client ACK seq=x+1 ack=y+1 | ESTABLISHED SYN-RECEIVED | ESTABLISHED ESTABLISHED",
    ]
    # A2: no data in a SYN; and nothing urgent anywhere.
    assert [m.segment.payload_length for m in w.messages] == [0, 0, 0]
    assert [m.segment.up for m in w.messages] == [0, 0, 0]


@pytest.mark.row("A2", "A3", "A4", "B1")
def test_a_syn_consumes_one_number_and_a_bare_ack_none() -> None:
    w = World()
    w.connect()
    x, y = w.messages[0].segment.seq, w.messages[1].segment.seq
    w.client.send(b"ab")
    w.server.send(b"c")
    w.run_for(SECOND)
    first_of_client = next(m.segment for m in w.messages if m.sender == "client" and m.segment.payload_length)
    first_of_server = next(m.segment for m in w.messages if m.sender == "server" and m.segment.payload_length)
    # The ACK of the handshake had seq x+1 and consumed none, so the first octet has the same number.
    assert w.messages[2].segment.seq == (x + 1) & MASK
    assert first_of_client.seq == (x + 1) & MASK
    assert first_of_server.seq == (y + 1) & MASK
    assert w.client.tcb.snd_una == w.client.tcb.iss + 3
    assert w.server.tcb.rcv_nxt == w.server.tcb.irs + 3


@pytest.mark.row("A4")
def test_the_third_message_may_carry_data() -> None:
    w = World()
    w.server.listen()
    w.client.open()
    w.client.send(b"early")
    # RFC 9293 §3.10.2: data handed over in SYN-SENT waits for ESTABLISHED.
    w.run(SECOND)
    assert w.story()[2:4] == [
        "0.02 client PSH,ACK seq=x+1 ack=y+1 (5) | ESTABLISHED SYN-RECEIVED | ESTABLISHED ESTABLISHED",
        "0.03 server ACK seq=y+1 ack=x+6 | ESTABLISHED ESTABLISHED | ESTABLISHED ESTABLISHED",
    ]
    assert w.server.receive() == b"early"


@pytest.mark.row("A5")
def test_initial_numbers_are_unpredictable_and_new_for_each_connection() -> None:
    secret = bytes(range(16))
    numbers = InitialSequenceNumbers(secret)
    seen = {numbers.iss(Identity(CLIENT.local_address, port, CLIENT.remote_address, 80), 0) for port in range(1000)}
    assert len(seen) == 1000
    # Spread over the whole circle: of 16 equal parts none is empty (chance of an honest failure under 1e-26).
    assert {number >> 28 for number in seen} == set(range(16))
    # RFC 9293 §3.4.1: the clock makes the same four-tuple's next number greater, a tick every 4 µs.
    first = numbers.iss(CLIENT, 0)
    assert (numbers.iss(CLIENT, SECOND) - first) & MASK == 250_000
    assert numbers.iss(CLIENT, 3_999) == first
    assert (numbers.iss(CLIENT, 4_000) - first) & MASK == 1
    # An outsider without the secret computes another number; with it, the same.
    assert InitialSequenceNumbers(bytes(16)).iss(CLIENT, 0) != first
    assert InitialSequenceNumbers(secret).iss(CLIENT, 0) == first
    with pytest.raises(ValueError, match="too short"):
        InitialSequenceNumbers(b"fifteen octets.")


@pytest.mark.requirement("SHLD-1")
def test_each_part_of_the_four_tuple_changes_the_initial_number() -> None:
    numbers = InitialSequenceNumbers(bytes(16))
    base = numbers.iss(CLIENT, 0)
    local, remote = CLIENT.local_address, CLIENT.remote_address
    others = [
        Identity(remote, 49152, remote, 80),
        Identity(local, 49153, remote, 80),
        Identity(local, 49152, local, 80),
        Identity(local, 49152, remote, 81),
    ]
    assert all(numbers.iss(other, 0) != base for other in others)
    # RFC 7323 §5.4: so does the timestamp clock; one four-tuple keeps its own, as RFC 6191 needs it.
    offset = numbers.timestamp_offset(CLIENT)
    assert all(numbers.timestamp_offset(other) != offset for other in others)
    assert numbers.timestamp_offset(CLIENT) == offset


@pytest.mark.row("A6")
def test_the_handshake_exchanges_windows_and_options() -> None:
    w = World()
    w.connect()
    syn_options, syn_ack_options = w.messages[0].segment.options, w.messages[1].segment.options
    assert (syn_options.mss, syn_options.window_scale, syn_options.sack_permitted) == (1460, 10, True)
    assert (syn_ack_options.mss, syn_ack_options.window_scale, syn_ack_options.sack_permitted) == (1460, 10, True)
    assert syn_options.ts_ecr == 0
    assert syn_ack_options.ts_ecr == syn_options.ts_val
    # Unscaled in a SYN: 44 full segments, as Linux has it; scaled from the third message on.
    assert [m.segment.wnd for m in w.messages] == [64240, 64240, (64240 + 1023) >> 10]
    assert w.client.tcb.snd_wnd == 64240
    assert w.server.tcb.snd_wnd == ((64240 + 1023) >> 10) << 10
    assert w.messages[2].segment.options.mss is None


@pytest.mark.row("A6")
@pytest.mark.parametrize("who", ["client", "server"])
def test_an_option_that_one_end_does_not_offer_is_not_used(who: str) -> None:
    plain = TcpParameters()
    plain.tcp_timestamps = plain.tcp_sack = plain.tcp_window_scaling = 0
    w = World(client=plain) if who == "client" else World(server=plain)
    w.connect()
    w.client.send(b"x")
    w.run_for(SECOND)
    for tcb in (w.client.tcb, w.server.tcb):
        assert (tcb.timestamps, tcb.sack_permitted, tcb.snd_wscale, tcb.rcv_wscale) == (False, False, 0, 0)
        assert tcb.mss == 1460
    for message in w.messages[1:]:
        assert message.segment.options.ts_val is None
        assert not message.segment.options.sack_permitted
        assert message.segment.options.window_scale is None
    assert w.messages[-1].segment.wnd == 64240 - 1


@pytest.mark.row("A12")
def test_nobody_listens() -> None:
    w = World()
    w.client.open()
    w.run()
    assert w.story() == [
        "0 client SYN seq=x | SYN-SENT CLOSED | SYN-SENT CLOSED",
        "0.01 server RST,ACK seq=0 ack=x+1 | SYN-SENT CLOSED | CLOSED CLOSED",
    ]
    assert w.client.tcb.readiness() == POLLIN | POLLOUT | POLLHUP | POLLERR
    with pytest.raises(ConnectionRefusedError):
        w.client.send(b"x")
    # The error is told once.
    with pytest.raises(BrokenPipeError):
        w.client.send(b"x")
    assert w.client.receive() == b""


@pytest.mark.row("A12")
def test_closed_answers_each_segment_but_a_reset() -> None:
    # RFC 9293 §3.10.7.1
    assert closed.segment_arrives(Segment(1, 2, 100, 200, RST, 0)) is None
    assert closed.segment_arrives(Segment(1, 2, 100, 200, RST | ACK, 0)) is None
    assert closed.segment_arrives(Segment(1, 2, 100, 200, ACK, 9)) == Segment(2, 1, 200, 0, RST, 0)
    assert closed.segment_arrives(Segment(1, 2, MASK, 0, SYN, 9, payload=(b"ab",))) == Segment(2, 1, 0, 2, RST | ACK, 0)


@pytest.mark.row("A13")
@pytest.mark.requirement("MUST-10")
def test_simultaneous_open() -> None:
    w = World()
    w.client.open()
    w.server.open()
    w.run(10 * SECOND)
    # RFC 9293 figure 7
    assert w.story() == [
        "0 client SYN seq=x | SYN-SENT SYN-SENT | SYN-SENT SYN-RECEIVED",
        "0 server SYN seq=y | SYN-SENT SYN-SENT | SYN-RECEIVED SYN-RECEIVED",
        "0.01 server SYN,ACK seq=y ack=x+1 | SYN-SENT SYN-RECEIVED | ESTABLISHED SYN-RECEIVED",
        "0.01 client SYN,ACK seq=x ack=y+1 | SYN-RECEIVED SYN-RECEIVED | ESTABLISHED ESTABLISHED",
    ]
    w.client.send(b"from the client")
    w.server.send(b"from the server")
    w.run_for(SECOND)
    assert w.server.receive() == b"from the client"
    assert w.client.receive() == b"from the server"
    assert (w.client.tcb.snd_wscale, w.server.tcb.snd_wscale) == (10, 10)


@pytest.mark.row("A13")
@pytest.mark.parametrize("lost", [1, 2])
def test_simultaneous_open_when_syn_acks_are_lost(lost: int) -> None:
    w = World()
    w.lose(syn_ack, count=lost)
    w.client.open()
    w.server.open()
    w.run(10 * SECOND)
    assert w.states() == ("ESTABLISHED", "ESTABLISHED")
    w.client.send(b"still")
    w.run_for(SECOND)
    assert w.server.receive() == b"still"


@pytest.mark.row("A13")
def test_simultaneous_open_and_close_with_data_before_it_is_over() -> None:
    w = World()
    w.client.open()
    w.server.open()
    w.message()
    w.message()
    assert w.states() == ("SYN-RECEIVED", "SYN-RECEIVED")
    w.client.send(b"all of it")
    w.client.close()
    # RFC 9293 §3.10.4, SYN-RECEIVED
    assert w.client.state == "FIN-WAIT-1"
    w.server.reading = True
    w.run(30 * SECOND)
    assert bytes(w.server.received) == b"all of it"
    assert w.server.ended
    assert w.states() == ("FIN-WAIT-2", "CLOSE-WAIT")


@pytest.mark.row("A14")
def test_what_each_side_knows_after_each_message() -> None:
    w = World()
    w.server.listen()
    w.client.open()
    w.client.send(b"waits")

    w.message()  # 1, SYN: the server knows x; the client knows nothing new
    assert w.client.tcb.irs == 0
    assert w.client.tcb.snd_una == w.client.tcb.iss, "the client's number is not confirmed"
    assert w.server.listener is not None
    assert not w.server.listener.accept_queue, "the server has nothing to send or receive with"
    assert w.client.tcb.readiness() & POLLOUT == 0

    w.message()  # 2, SYN,ACK: the client knows y, its own number is confirmed, it can send and receive
    assert w.client.tcb.snd_una == w.client.tcb.iss + 1
    assert w.client.tcb.rcv_nxt == w.client.tcb.irs + 1
    assert w.client.tcb.readiness() & POLLOUT
    assert not w.server.listener.accept_queue, "the server's number is not confirmed"
    assert w.server.listener.readiness() == 0

    w.message()  # 3, ACK: only now the server knows
    assert w.server.listener.readiness() == POLLIN
    connection = w.server.listener.accept()
    assert connection.snd_una == connection.iss + 1
    assert connection.readiness() == POLLIN | POLLOUT
    with pytest.raises(BlockingIOError):
        w.server.listener.accept()


@pytest.mark.row("A15")
@pytest.mark.parametrize("wrong", [0, 2, -1, 1 << 31, -(1 << 31) + 1])
def test_a_wrong_ack_in_syn_sent_is_reset_and_the_open_goes_on(wrong: int) -> None:
    w = World()
    w.server.listen()
    w.client.open()
    w.flush()
    x = w.client.tcb.iss
    ack = (x + wrong) & MASK
    for flags in (ACK, SYN | ACK):
        reply = w.inject("client", Segment(80, 49152, 7777, ack, flags, 100))
        # <SEQ=SEG.ACK><CTL=RST>
        assert reply == Segment(49152, 80, ack, 0, RST, 0)
        assert w.client.state == "SYN-SENT"
    # A reset with such an ACK is dropped.
    assert w.inject("client", Segment(80, 49152, 0, ack, RST | ACK, 0)) is None
    assert w.client.state == "SYN-SENT"
    w.run(SECOND)
    assert w.states() == ("ESTABLISHED", "ESTABLISHED")


@pytest.mark.row("A15")
def test_what_syn_sent_ignores() -> None:
    c = make_connection(CLIENT)
    c.open(0)
    assert c.poll_transmit(0, 1500) is not None
    good = (c.iss + 1) & MASK
    # A RST without an ACK, an ACK without a SYN, nothing at all: RFC 9293 §3.10.7.3, second and fifth.
    for segment in (
        Segment(80, 49152, 5, 0, RST, 0),
        Segment(80, 49152, 5, good, ACK, 0),
        Segment(80, 49152, 5, 0, 0, 0),
    ):
        assert c.segment_arrives(segment, 0) is None
        assert c.poll_transmit(0, 1500) is None
        assert states.NAMES[c.state] == "SYN-SENT"


def test_a_syn_ack_that_echoes_what_was_never_sent_is_reset() -> None:
    c = make_connection(CLIENT, now=0)
    c.open(0)
    c.poll_transmit(0, 1500)
    reply = c.segment_arrives(Segment(80, 49152, 5, c.iss + 1, SYN | ACK, 9, Options(mss=1460, ts_val=1, ts_ecr=1)), 0)
    assert reply == Segment(49152, 80, c.iss + 1, 0, RST, 0)
    assert states.NAMES[c.state] == "SYN-SENT"


@pytest.mark.row("A6")
@pytest.mark.parametrize(("offered", "used"), [(0, 0), (14, 14), (15, 14), (255, 14)])
def test_a_window_scale_above_14_is_used_as_14(offered: int, used: int) -> None:
    # RFC 7323 §2.3
    c = make_connection(CLIENT)
    c.open(0)
    c.poll_transmit(0, 1500)
    c.segment_arrives(Segment(80, 49152, 5, c.iss + 1, SYN | ACK, 9, Options(window_scale=offered)), 0)
    assert (c.snd_wscale, c.rcv_wscale) == (used, 10)
    assert c.snd_wnd == 9


def test_the_user_closes_or_aborts_in_syn_sent() -> None:
    for ends in ("close", "abort", "release"):
        c = make_connection(CLIENT)
        c.open(0)
        c.poll_transmit(0, 1500)
        getattr(c, ends)(0)
        assert states.NAMES[c.state] == "CLOSED"
        # The peer knows of nothing: no FIN, no RST (RFC 9293 §3.10.4, §3.10.5).
        assert c.poll_transmit(0, 1500) is None
        assert c.next_deadline() == (1 << 63) - 1


@pytest.mark.row("A7")
def test_an_old_syn_is_reset_by_a_host_that_knows_of_nothing() -> None:
    w = World()
    w.server.listen()
    old = Segment(49152, 80, 12345, 0, SYN, 1000, Options(mss=1460))
    reply = w.inject("server", old)
    assert reply is not None
    assert (reply.flags, reply.ack) == (SYN | ACK, 12346)
    # RFC 9293 figure 8: the client, CLOSED, answers with a reset that is exact.
    reset = w.inject("client", reply)
    assert reset == Segment(49152, 80, 12346, 0, RST, 0)
    assert w.inject("server", reset) is None
    assert w.states() == ("CLOSED", "LISTEN")


@pytest.mark.row("A7")
def test_an_old_syn_meets_a_client_in_syn_sent() -> None:
    # RFC 9293 figure 9: recovery from an old duplicate SYN.
    w = World()
    w.server.listen()
    assert w.inject("server", Segment(49152, 80, 90, 0, SYN, 1000, Options(mss=1460))) is not None
    w.client.open()
    w.run(200 * SECOND)
    assert w.states() == ("ESTABLISHED", "ESTABLISHED")


def test_time_wait_states_its_name_in_the_world() -> None:
    w = World()
    w.connect()
    w.client.close()
    w.run_for(SECOND)
    w.server.close()
    w.run_for(SECOND)
    assert w.client.time_wait is not None
    assert time_wait.expiry(w.client.time_wait) == w.messages[-1].time + 60 * SECOND
    assert w.messages[-1].time - w.messages[-2].time == 10 * MS
    assert w.times(by_server(syn)) == []
