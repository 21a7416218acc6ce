"""Stalls and losses that a review found, each as the smallest scene that shows it."""

from __future__ import annotations

import pytest

from synfin import reasons
from synfin.host.host import Host
from synfin.tcp import states
from synfin.tcp.identity import Identity
from synfin.tcp.isn import InitialSequenceNumbers
from synfin.tcp.listener import Listener
from synfin.tcp.parameters import TcpParameters
from synfin.tcp.recovery import NewReno
from synfin.tcp.syn_cookies import SynCookies
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, FIN, RST, SYN, Options, Segment
from tests.tcp.test_acceptance import established, segment
from tests.tcp.world import (
    CLIENT,
    CLIENT_ADDRESS,
    MS,
    SECOND,
    SERVER_ADDRESS,
    World,
    bare_ack,
    by_client,
    by_server,
    data,
    everything,
    make_connection,
)


def test_a_blind_segment_cannot_make_all_that_the_peer_sends_old() -> None:
    """RFC 7323 §5.3 with RFC 5961 §5: TS.Recent is taken only from a segment whose ACK was acceptable."""
    c = established(Options(mss=1460, ts_val=1000, ts_ecr=0))
    blind = segment(c, -30_000, 0, payload=bytes(60_000))
    blind.options = Options(ts_val=1000 + (1 << 30), ts_ecr=0)
    assert c.segment_arrives(blind, SECOND) is None
    assert c.verdict is reasons.NO_ACK
    assert c.ts_recent == 1000
    genuine = segment(c, payload=b"hello")
    genuine.options = Options(ts_val=1001, ts_ecr=0)
    c.segment_arrives(genuine, SECOND)
    assert b"".join(c.receive(100, SECOND)) == b"hello"


def test_small_partial_acknowledgments_leave_a_congestion_window() -> None:
    """RFC 6582 §3.2: each deflates it; thirty small segments, of which the first 24 were lost."""
    parameters = TcpParameters()
    parameters.tcp_sack = 0
    w = World(parameters, delay=MS)
    w.connect()
    w.run_for(SECOND)
    w.server.reading = True
    client = w.client.tcb
    client.settings.nodelay, client.cwnd, client.snd_buf = True, 40_000, 1 << 20
    w.lose(by_client(data), nth=1, count=24)
    for _ in range(30):
        w.client.send(bytes(1000))
        w.flush()
    w.run_for(60 * SECOND)
    assert client.snd_una == client.snd_nxt
    assert isinstance(client.recovery, NewReno)
    assert client.cwnd >= client.mss
    began = w.now
    w.client.write(bytes(100_000))
    w.run_for(SECOND)
    assert client.snd_una == client.send_buffer.end
    assert not client.recovery.in_recovery()
    assert max(message.time for message in w.messages if message.sender == "client") - began < SECOND // 2


def test_a_peer_that_answers_for_ever_does_not_hold_what_nobody_has() -> None:
    """An orphan whose window stays shut ends by ``tcp_orphan_retries``, answered or not."""
    w = World()
    w.connect()
    w.client.write(bytes(100_000))
    w.run_for(2 * SECOND)
    assert w.client.tcb.snd_wnd == 0
    w.client.outbox = b""
    w.client.release()
    w.run_for(600 * SECOND)
    assert w.client.state == "CLOSED"


@pytest.mark.row("A9", "A11")
def test_a_cookie_is_honoured_though_a_request_was_made_meanwhile() -> None:
    numbers, cookies = InitialSequenceNumbers(bytes(16)), SynCookies(b"k" * 16)
    listener = Listener(b"", 80, 0, TcpParameters(), numbers, None, cookies)

    def flow(port: int) -> bytes:
        return Identity(SERVER_ADDRESS, 80, CLIENT_ADDRESS, port).flow

    listener.segment_arrives(flow(1111), Segment(1111, 80, 1, 0, SYN, 1000), 1460, 0)
    cookie, _ = listener.segment_arrives(flow(2222), Segment(2222, 80, 777, 0, SYN, 1000), 1460, 0)
    assert cookie is not None
    assert listener.verdict is reasons.SYN_COOKIE
    # A place becomes free, and the client's SYN comes again while the cookie is on its way.
    listener.segment_arrives(flow(1111), Segment(1111, 80, 2, 0, RST, 0), 1460, SECOND)
    listener.segment_arrives(flow(2222), Segment(2222, 80, 777, 0, SYN, 1000), 1460, SECOND)
    assert flow(2222) in listener.requests
    answer = Segment(2222, 80, 778, cookie.seq + 1 & MASK, ACK, 1000)
    reply, connection = listener.segment_arrives(flow(2222), answer, 1460, SECOND + MS)
    assert reply is None
    assert connection is not None
    assert connection.state == states.ESTABLISHED
    assert not listener.requests


@pytest.mark.row("B4")
def test_an_acknowledgment_from_behind_a_full_window_counts() -> None:
    c = established()
    c.send(b"x" * 1000, 0)
    assert c.poll_transmit(0, 1500) is not None
    edge = c.rcv_adv - c.rcv_nxt
    c.segment_arrives(segment(c, edge, ack=1000), 0)
    assert c.snd_una == c.snd_nxt
    assert c.segment_arrives(segment(c, edge + 1), 0) is not None


@pytest.mark.row("B3")
def test_acknowledgments_that_were_lost_do_not_inflate_the_rto() -> None:
    """The data arrived the first time, and that is the time that is echoed: no measurement (RFC 6298 §3)."""
    w = World(delay=10 * MS)
    w.connect()
    w.client.write(b"a" * 500)
    w.run_for(SECOND)
    assert w.client.tcb.round_trip.srtt < 100 * MS
    w.lose(by_server(everything), nth=1, count=5)
    w.client.write(b"b" * 500)
    w.run_for(60 * SECOND)
    assert w.client.tcb.snd_una == w.client.tcb.snd_nxt
    assert w.client.tcb.round_trip.srtt < 100 * MS
    assert w.client.tcb.round_trip.base_rto < SECOND


def test_closing_before_the_own_syn_went_out_in_a_simultaneous_open() -> None:
    c = make_connection(CLIENT)
    c.open(0)
    c.segment_arrives(Segment(80, 49152, 5000, 0, SYN, 65535), 0)
    c.close(0)
    first = c.poll_transmit(0, 1500)
    assert first is not None
    assert first.flags == SYN | ACK
    assert (first.seq, first.ack) == (c.iss & MASK, 5001)
    assert c.status().state == "FIN-WAIT-1"


def test_a_fin_that_comes_with_data_known_already_is_remembered() -> None:
    c = established()
    c.segment_arrives(segment(c, 5, payload=b"fghij"), 0)
    c.segment_arrives(segment(c, 5, ACK | FIN, payload=b"fghij"), 0)
    c.segment_arrives(segment(c, payload=b"abcde"), 0)
    assert c.status().state == "CLOSE-WAIT"
    assert b"".join(c.receive(100, 0)) == b"abcdefghij"


def test_connecting_from_the_port_of_a_request_is_refused() -> None:
    host = Host("host", bytes(16))
    interface = host.add_interface("eth0", ["10.0.0.1/24"], 1500)
    listener = host.listen("10.0.0.1", 80, 5, 0)
    peer = Identity(bytes([10, 0, 0, 1]), 80, bytes([10, 0, 0, 2]), 4000)
    listener.segment_arrives(peer.flow, Segment(4000, 80, 1, 0, SYN, 1000), 1460, 0)
    with pytest.raises(OSError, match="Cannot assign"):
        host.connect("10.0.0.2", 4000, 0, ("10.0.0.1", 80))
    assert host.poll_transmit(interface, 0) is None


def probing() -> TcpParameters:
    """Of a host whose window probes carry data and which limits no answers, as FreeBSD's; its windows are small."""
    parameters = TcpParameters()
    parameters.tcp_probe_data = 1
    parameters.tcp_invalid_ratelimit = 0
    parameters.tcp_rmem = (2304, 2304, 2304)
    return parameters


@pytest.mark.row("B4")
@pytest.mark.parametrize("reading", [False, True])
def test_window_probes_that_cross_end_in_silence(reading: bool) -> None:
    """Neither end takes the other's octet, or both take it: they do not answer each other's answers for ever."""
    w = World(probing(), probing())
    w.connect()
    w.client.write(bytes(5000))
    w.server.write(bytes(5000))
    w.run(until=SECOND)
    assert w.client.tcb.snd_wnd == w.server.tcb.snd_wnd == 0
    if reading:
        # The window updates are lost, and the octets of the next probes are taken.
        w.client.read_limit = w.server.read_limit = 1000
        w.client.reading = w.server.reading = True
        w.lose(bare_ack, count=2)
        w.run_for(1)
        w.heal()
    before = len(w.messages)
    w.run_for(20 * SECOND)
    assert len(w.messages) - before < 60
    w.client.reading = w.server.reading = True
    w.run_for(300 * SECOND)
    assert len(w.client.received) == len(w.server.received) == 5000
    assert w.quiet()


@pytest.mark.row("B4")
def test_acknowledgments_count_while_the_octet_of_a_probe_is_in_flight() -> None:
    """A peer whose window is shut looks at nothing behind it (RFC 9293 §3.10.7.4, table 6)."""
    closed = TcpParameters()
    closed.tcp_rmem = (2304, 2304, 2304)
    sender = probing()
    sender.tcp_rmem = TcpParameters().tcp_rmem
    w = World(sender, closed)
    w.connect()
    w.client.write(bytes(5000))
    w.run(until=20 * SECOND)
    assert w.client.tcb.snd_nxt == w.client.tcb.snd_una + 1
    assert w.server.tcb.rcv_wnd == 0
    w.client.reading = True
    w.server.write(bytes(3000))
    w.run_for(SECOND)
    assert w.server.tcb.counts.total_retrans == 0
    assert w.server.tcb.snd_una == w.server.tcb.snd_nxt


def test_a_reset_counts_while_the_octet_of_a_probe_is_in_flight() -> None:
    w = World(probing(), probing())
    w.connect()
    w.client.write(bytes(5000))
    w.run(until=20 * SECOND)
    assert w.client.tcb.snd_nxt == w.client.tcb.snd_una + 1
    w.client.outbox = b""
    w.client.abort()
    w.run_for(SECOND)
    assert w.server.state == "CLOSED"


@pytest.mark.requirement("MUST-37")
def test_a_few_lost_answers_to_window_probes_end_nothing() -> None:
    """As many as `tcp_retries2` may stay unanswered, whether probes carry an octet or none; nor is the path in doubt
    while the peer answers."""
    w = World(probing(), probing())
    w.connect()
    w.client.write(bytes(5000))
    w.run(until=600 * SECOND)
    assert w.client.tcb.retransmissions > 5
    assert not w.client.tcb.path_in_doubt
    w.lose(by_server(everything), count=5)
    w.run_for(1000 * SECOND)
    assert w.client.state == "ESTABLISHED"
    w.lose(by_server(everything), count=1 << 30)
    w.run_for(16 * 120 * SECOND)
    assert w.client.state == "CLOSED"


def test_an_ack_that_a_new_connection_drops_leaves_the_request() -> None:
    """A connection in SYN-RECEIVED would have no timer, and could be accepted."""
    parameters = TcpParameters()
    parameters.tcp_timestamps_required = 1
    listener = Listener(b"", 80, 5, parameters, InitialSequenceNumbers(bytes(16)))
    flow = Identity(SERVER_ADDRESS, 80, CLIENT_ADDRESS, 2222).flow
    options = Options(mss=1460, ts_val=7, ts_ecr=0)
    reply, _ = listener.segment_arrives(flow, Segment(2222, 80, 777, 0, SYN, 1000, options), 1460, 0)
    assert reply is not None
    # Without timestamps; or with a SYN that lies before the window.
    bare = Segment(2222, 80, 778, reply.seq + 1 & MASK, ACK, 1000)
    odd = Segment(2222, 80, 770, reply.seq + 1 & MASK, SYN | ACK, 1000, payload=(bytes(20),))
    odd.options = Options(ts_val=8, ts_ecr=reply.options.ts_val)
    for useless in (bare, odd):
        _, connection = listener.segment_arrives(flow, useless, 1460, MS)
        assert connection is None
        assert not listener.accept_queue
        assert flow in listener.requests
    good = Segment(2222, 80, 778, reply.seq + 1 & MASK, ACK, 1000, odd.options)
    _, connection = listener.segment_arrives(flow, good, 1460, 2 * MS)
    assert connection is not None
    assert connection.state == states.ESTABLISHED


@pytest.mark.row("B4")
def test_what_is_sent_again_and_acknowledges_new_data_brings_its_window() -> None:
    """As Linux has it. A peer whose own data were lost repeats them with the acknowledgment and the window of now; with
    the window of before we would send more than it takes."""
    c = established()
    c.send(bytes(5000), 0)
    while c.poll_transmit(0, 1500) is not None:
        pass
    first = segment(c, payload=b"lost")
    c.segment_arrives(segment(c, 4, payload=b"later"), MS)
    repeated = Segment(first.source_port, first.destination_port, first.seq, c.snd_nxt & MASK, ACK, 100)
    repeated.payload, repeated.payload_length = first.payload, first.payload_length
    c.segment_arrives(repeated, 2 * MS)
    assert c.snd_una == c.snd_nxt
    assert c.snd_wnd == 100


@pytest.mark.parametrize(("answers", "silent", "doubted"), [(12, 0, False), (3, 5, True)])
def test_a_peer_that_answers_with_no_window_is_no_black_hole(answers: int, silent: int, doubted: bool) -> None:
    """It shrank its window; it is there, and so is the path, however large the segments. Silence is something else."""
    parameters = TcpParameters()
    parameters.tcp_mtu_probing = 1
    c = established(parameters=parameters)
    c.send(bytes(3000), 0)
    while c.poll_transmit(0, 1500) is not None:
        pass
    mss, now = c.mss, MS
    shut = segment(c)
    shut.wnd = 0
    for number in range(answers + silent):
        if number < answers:
            c.segment_arrives(shut, now)
        now = c.next_deadline()
        c.deadline_reached(now)
        while c.poll_transmit(now, 1500) is not None:
            pass
    assert c.state == states.ESTABLISHED
    assert c.path_in_doubt == doubted
    assert (c.mss < mss) == doubted
