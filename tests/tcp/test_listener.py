"""LISTEN: the queue of requests, the accept queue, and what arrives in a passive SYN-RECEIVED (rows A9 to A11)."""

from __future__ import annotations

import sys

import pytest

from synfin import reasons
from synfin.events import Event, StateChanged, Tracer
from synfin.tcp.identity import Identity
from synfin.tcp.isn import InitialSequenceNumbers
from synfin.tcp.listener import Listener
from synfin.tcp.parameters import TcpParameters
from synfin.tcp.readiness import POLLIN
from synfin.tcp.request import Request
from synfin.tcp.round_trip import INITIAL_RTO
from synfin.tcp.timers import NEVER
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, FIN, PSH, RST, SYN, URG, Options, Segment
from tests.tcp.world import MS, SECOND, World, acknowledging_fins, bare_ack, by_client, data, rst, syn_ack

HERE = bytes((192, 0, 2, 2))
X = 1000


def flow_of(port: int, client: int = 1) -> bytes:
    return Identity(HERE, 80, bytes((198, 51, 100, client)), port).flow


def listening(backlog: int = 5, parameters: TcpParameters | None = None) -> Listener:
    return Listener(b"", 80, backlog, parameters or TcpParameters(), InitialSequenceNumbers(bytes(16)))


def knock(listener: Listener, port: int = 5000, now: int = 0, options: Options | None = None) -> Segment | None:
    made = Segment(port, 80, X, 0, SYN, 64240, options or Options(mss=1460, window_scale=7, sack_permitted=True))
    reply, connection = listener.segment_arrives(flow_of(port), made, 1460, now)
    assert connection is None
    return reply


def answer(
    listener: Listener,
    reply: Segment,
    now: int = 0,
    flags: int = ACK,
    seq: int = X + 1,
    ack: int = 1,
    payload: bytes = b"",
) -> tuple[Segment | None, bool]:
    """The client's next segment; `ack` is relative to y. Returns the reply, and whether a connection was made."""
    port = reply.destination_port
    made = Segment(port, 80, seq & MASK, reply.seq + ack & MASK, flags, 500, payload=(payload,) if payload else ())
    answered, connection = listener.segment_arrives(flow_of(port), made, 1460, now)
    return answered, connection is not None


def established(listener: Listener, port: int, now: int = 0) -> bool:
    reply = knock(listener, port, now)
    return reply is not None and answer(listener, reply, now)[1]


def test_listen_answers_syns_and_only_them() -> None:
    # RFC 9293 §3.10.7.2
    listener = listening()

    def arrives(flags: int, seq: int = 7, ack: int = 0) -> Segment | None:
        made = Segment(5000, 80, seq, ack, flags, 100)
        reply, connection = listener.segment_arrives(flow_of(5000), made, 1460, 0)
        assert connection is None
        return reply

    for flags in (RST, RST | ACK, RST | SYN, 0, FIN, PSH, URG, SYN | FIN):
        assert arrives(flags) is None
    for flags in (ACK, SYN | ACK, FIN | ACK):
        assert arrives(flags, ack=99) == Segment(80, 5000, 99, 0, RST, 0)
    assert not listener.requests
    reply = arrives(SYN)
    assert reply is not None
    assert (reply.flags, reply.ack, reply.source_port, reply.destination_port) == (SYN | ACK, 8, 80, 5000)
    assert len(listener.requests) == 1


@pytest.mark.row("A11")
@pytest.mark.parametrize("backlog", [0, 1, 5])
def test_the_accept_queue_holds_one_more_than_the_backlog(backlog: int) -> None:
    listener = listening(backlog)
    assert all(established(listener, 5000 + n) for n in range(backlog + 1))
    assert listener.overflows == 0
    assert listener.readiness() == POLLIN
    # Full: SYNs are dropped.
    assert knock(listener, 6000) is None
    assert listener.verdict is reasons.ACCEPT_QUEUE_FULL
    assert listener.overflows == 1
    first = listener.accept()
    assert first.identity.remote_port == 5000
    assert established(listener, 6000)
    assert [listener.accept().identity.remote_port for _ in range(backlog + 1)] == [*range(5001, 5001 + backlog), 6000]
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert listener.readiness() == 0


@pytest.mark.row("A11")
@pytest.mark.parametrize("abort", [0, 1])
def test_tcp_abort_on_overflow(abort: int) -> None:
    parameters = TcpParameters()
    parameters.tcp_abort_on_overflow = abort
    listener = listening(2, parameters)
    assert established(listener, 5000)
    assert established(listener, 5001)
    third, fourth = knock(listener, 5002), knock(listener, 5003)
    assert third is not None
    assert fourth is not None
    assert answer(listener, third) == (None, True)
    reply, made = answer(listener, fourth)
    assert not made
    if abort:
        assert reply == Segment(80, 5003, fourth.seq + 1 & MASK, 0, RST, 0)
        assert not listener.requests
        return
    # Ignored: the client believes that it is connected, the SYN,ACK comes again, and an ACK later completes it.
    assert reply is None
    assert len(listener.requests) == 1
    assert listener.overflows == 1
    listener.deadline_reached(SECOND)
    again = listener.poll_transmit(SECOND)
    assert again is not None
    assert again[1].flags == SYN | ACK
    listener.accept()
    assert answer(listener, fourth, SECOND) == (None, True)


@pytest.mark.row("A11")
@pytest.mark.parametrize(("backlog", "most", "room"), [(5, 1024, 6), (1000, 8, 8), (0, 1024, 1)])
def test_the_queue_of_requests_is_bounded(backlog: int, most: int, room: int) -> None:
    parameters = TcpParameters()
    parameters.tcp_max_syn_backlog = most
    listener = listening(backlog, parameters)
    for n in range(room + 20):
        assert (knock(listener, 5000 + n) is not None) == (n < room)
    assert len(listener.requests) == room
    assert listener.overflows == 20
    assert listener.verdict is reasons.SYN_QUEUE_FULL


def test_a_syn_ack_is_repeated_at_1_3_7_15_31_and_forgotten_at_63_seconds() -> None:
    listener = listening()
    first = knock(listener)
    times = []
    while listener.next_deadline() != NEVER:
        now = listener.next_deadline()
        listener.deadline_reached(now)
        due = listener.poll_transmit(now)
        if due is not None:
            times.append(now // SECOND)
            assert first is not None
            assert (due[0], due[1].seq, due[1].flags) == (flow_of(5000), first.seq, SYN | ACK)
        assert listener.poll_transmit(now) is None
    assert times == [1, 3, 7, 15, 31]
    assert now == 63 * SECOND
    assert not listener.requests


@pytest.mark.parametrize(
    ("flags", "seq", "ack"),
    [(ACK, 0, 0), (ACK, 0, 2), (ACK, 0, -1), (ACK | PSH, 0, 100), (ACK | FIN, 0, 1 << 31)],
)
def test_a_wrong_ack_in_syn_received_is_reset_and_the_request_stays(flags: int, seq: int, ack: int) -> None:
    listener = listening()
    reply = knock(listener)
    assert reply is not None
    reset, made = answer(listener, reply, flags=flags, seq=X + 1 + seq, ack=ack)
    assert reset == Segment(80, 5000, reply.seq + ack & MASK, 0, RST, 0)
    assert not made
    assert answer(listener, reply) == (None, True)


@pytest.mark.requirement("MUST-11")
def test_resets_in_syn_received() -> None:
    listener = listening()
    reply = knock(listener)
    assert reply is not None
    # Outside the window: dropped. In it, but not exact: challenged (RFC 5961 §3.2). Exact: back to LISTEN.
    assert answer(listener, reply, flags=RST, seq=X) == (None, False)
    assert answer(listener, reply, flags=RST, seq=X + 70_000) == (None, False)
    assert answer(listener, reply, flags=RST, seq=X, payload=b"text in the window") == (None, False)
    challenge, _ = answer(listener, reply, flags=RST, seq=X + 2)
    assert challenge is not None
    assert (challenge.flags, challenge.seq, challenge.ack) == (ACK, reply.seq + 1 & MASK, X + 1)
    assert len(listener.requests) == 1
    assert answer(listener, reply, flags=RST, seq=X + 1) == (None, False)
    assert not listener.requests
    assert listener.next_deadline() == NEVER


def test_a_request_that_ends_leaves_the_listener_in_listen() -> None:
    """However it ends, its four-tuple is the listener's again (RFC 9293 §3.10.7.4, second; figure 5)."""
    parameters = TcpParameters()
    parameters.tcp_abort_on_overflow = 1
    listener = listening(0, parameters)
    events: list[Event] = []
    listener.tracer = Tracer("server", events.append)
    reset = knock(listener, 5000)
    assert reset is not None
    answer(listener, reset, flags=RST, ack=0)
    knock(listener, 5001)
    listener.parameters.tcp_synack_retries = 0
    listener.deadline_reached(INITIAL_RTO)
    late = knock(listener, 5002)
    assert late is not None
    # Somebody else takes the only place.
    listener.accept_queue.append(listener.requests[flow_of(5002)].connection(parameters, listener.settings, None, 0))
    answer(listener, late)
    assert not listener.requests
    ended = [event for event in events if isinstance(event, StateChanged) and event.old == "SYN-RECEIVED"]
    assert [(event.flow, event.new, event.reason) for event in ended] == [
        (flow_of(5000), "LISTEN", reasons.RESET_RECEIVED),
        (flow_of(5001), "LISTEN", reasons.GAVE_UP),
        (flow_of(5002), "LISTEN", reasons.ACCEPT_QUEUE_FULL),
    ]


def test_syns_in_syn_received() -> None:
    listener = listening()
    reply = knock(listener)
    assert reply is not None
    again = knock(listener)
    assert again is not None
    assert (again.seq, again.flags) == (reply.seq, SYN | ACK)
    # Another SYN outside the window: an ACK of where we are; in it: back to LISTEN (RFC 9293 §3.10.7.4, fourth).
    other, _ = answer(listener, reply, SECOND, SYN, X + 100_000)
    assert other is not None
    assert (other.flags, other.ack) == (ACK, X + 1)
    assert answer(listener, reply, 2 * SECOND, SYN, X + 5) == (None, False)
    assert not listener.requests


def test_a_syn_again_with_an_earlier_timestamp_is_an_old_duplicate() -> None:
    # RFC 7323 §5.3, R1
    listener = listening()
    options = [Options(mss=1460, ts_val=ts_val, ts_ecr=0) for ts_val in (1000, 999, 1000, 1001)]
    answers = [knock(listener, now=n * SECOND, options=each) for n, each in enumerate(options)]
    assert [answered and answered.flags for answered in answers] == [SYN | ACK, ACK, SYN | ACK, SYN | ACK]
    assert [answered and answered.options.ts_ecr for answered in answers] == [1000, 1000, 1000, 1001]


def test_a_syn_before_the_window_is_trimmed_off() -> None:
    # RFC 9293 §3.10.7.4, first: "any portions that lie outside the window (including SYN and FIN)"
    listener = listening()
    reply = knock(listener)
    assert reply is not None
    reset, made = answer(listener, reply, flags=SYN | ACK, seq=X, ack=2, payload=b"new")
    assert reset == Segment(80, 5000, reply.seq + 2 & MASK, 0, RST, 0)
    assert (made, len(listener.requests)) == (False, 1)
    assert answer(listener, reply, flags=SYN | ACK, seq=X, payload=b"new") == (None, True)
    assert listener.accept_queue[0].receive_queue.octets == 3


def test_what_syn_received_drops() -> None:
    listener = listening()
    reply = knock(listener)
    assert reply is not None
    for flags in (0, PSH, FIN, URG):
        assert answer(listener, reply, flags=flags) == (None, False)
    assert len(listener.requests) == 1
    outside, made = answer(listener, reply, seq=X + 1 + 70_000)
    assert outside is not None
    assert outside.flags == ACK
    assert not made


@pytest.mark.row("A4", "A10")
@pytest.mark.parametrize("flags", [ACK, ACK | PSH, ACK | FIN])
def test_the_last_ack_may_bring_data_and_a_fin(flags: int) -> None:
    listener = listening(parameters=acknowledging_fins())
    reply = knock(listener)
    assert reply is not None
    assert answer(listener, reply, flags=flags, payload=b"hello") == (None, True)
    connection = listener.accept()
    assert b"".join(map(bytes, connection.receive(100, 0))) == b"hello"
    assert connection.status().state == ("CLOSE-WAIT" if flags & FIN else "ESTABLISHED")
    acknowledgment = connection.poll_transmit(0, 1500)
    assert acknowledgment is not None
    assert acknowledgment.ack == X + 6 + (flags & FIN)


def test_what_the_syn_told_is_in_the_connection() -> None:
    parameters = TcpParameters()
    listener = listening(parameters=parameters)
    reply = knock(listener, options=Options(mss=1000, window_scale=15, sack_permitted=True))
    assert reply is not None
    answer(listener, reply, 250 * MS)
    c = listener.accept()
    assert (c.peer_mss, c.mss, c.snd_wscale, c.rcv_wscale) == (1000, 1000, 14, 10)
    assert (c.sack_permitted, c.timestamps, c.passive) == (True, False, True)
    assert c.snd_wnd == 500 << 14
    assert (c.iss, c.irs) == (reply.seq, X)
    # The SYN,ACK's round trip is the first measurement.
    assert c.round_trip.srtt == 250 * MS


def test_the_window_scale_is_the_one_that_was_offered() -> None:
    parameters = TcpParameters()
    listener = listening(parameters=parameters)
    reply = knock(listener)
    assert reply is not None
    # Somebody sets net.ipv4.tcp_rmem between the SYN,ACK and the ACK.
    parameters.tcp_rmem = (4096, 131_072, 1 << 26)
    answer(listener, reply)
    assert listener.accept().rcv_wscale == reply.options.window_scale


def test_karn_for_a_repeated_syn_ack() -> None:
    listener = listening()
    reply = knock(listener)
    assert reply is not None
    listener.deadline_reached(SECOND)
    listener.poll_transmit(SECOND)
    answer(listener, reply, SECOND + 10 * MS)
    c = listener.accept()
    assert c.round_trip.srtt == 0
    assert c.round_trip.rto == 3 * SECOND


def test_a_syn_ack_that_is_due_but_was_not_sent_again_is_measured_from_when_it_was_sent() -> None:
    listener = listening()
    reply = knock(listener)
    assert reply is not None
    listener.deadline_reached(SECOND)
    answer(listener, reply, SECOND)
    assert listener.accept().round_trip.srtt == SECOND


def test_close_gives_back_the_connections_that_wait() -> None:
    listener = listening()
    assert established(listener, 5000)
    assert established(listener, 5001)
    knock(listener, 5002)
    waiting = listener.close()
    assert [c.identity.remote_port for c in waiting] == [5000, 5001]
    assert (listener.requests, list(listener.accept_queue), listener.next_deadline()) == ({}, [], NEVER)
    assert listener.poll_transmit(0) is None
    assert listener.close() == []


def test_requests_that_end_leave_nothing_behind() -> None:
    listener = listening(10)
    assert knock(listener, 1) is not None
    for n in range(20_000):
        reply = knock(listener, 5000, n)
        assert reply is not None
        assert answer(listener, reply, n, RST) == (None, False)
    assert len(listener.requests) == 1
    assert len(listener._deadlines) < 1000


def test_what_is_due_does_not_pile_up() -> None:
    listener = listening(100)
    for n in range(100):
        knock(listener, 5000 + n)
    for now in range(1, 70):
        listener.deadline_reached(now * SECOND)
    assert not listener.requests
    assert listener.poll_transmit(70 * SECOND) is None
    assert listener._deadlines == []


def test_a_request_takes_less_than_half_a_kilobyte() -> None:
    """The request, its numbers, its key and its places in the dictionary and the heap."""
    listener = listening(2000)
    listener.parameters.tcp_max_syn_backlog = 2000
    for n in range(1000):
        knock(listener, 5000 + n, now=10**15 + n, options=Options(mss=1460, window_scale=7, ts_val=1 << 31, ts_ecr=0))
    request = listener.requests[flow_of(5000)]
    shared = {id(None), id(True), id(False), id(listener)}
    total = sys.getsizeof(request)
    for name in Request.__slots__:
        value = getattr(request, name)
        if id(value) not in shared and not (isinstance(value, int) and -5 <= value <= 256):
            shared.add(id(value))
            total += sys.getsizeof(value)
    total += sys.getsizeof(listener.requests) // len(listener.requests)
    total += sys.getsizeof(listener._deadlines[0]) + sys.getsizeof(listener._deadlines) // len(listener._deadlines)
    assert total < 512, total


@pytest.mark.row("A11")
def test_the_accept_queue_is_full_and_the_client_waits_in_established() -> None:
    w = World()
    listener = w.server.listen(backlog=0)
    spare = InitialSequenceNumbers(bytes(16))
    assert spare is not None
    # Fill the queue with a connection from elsewhere.
    assert established(listener, 9999)
    w.server.connection = None
    w.client.open()
    w.run(3 * SECOND)
    # Its SYN is dropped while the queue is full.
    assert w.client.state == "SYN-SENT"
    listener.accept()
    w.run(5 * SECOND)
    assert w.states() == ("ESTABLISHED", "ESTABLISHED")
    assert w.times(rst) == []


@pytest.mark.row("A11", "A10")
def test_a_full_accept_queue_keeps_the_request_until_there_is_room() -> None:
    w = World()
    listener = w.server.listen(backlog=1)
    assert established(listener, 9998)
    w.client.open()
    w.message()
    assert established(listener, 9999) or knock(listener, 9999) is None
    while len(listener.accept_queue) <= 1:
        listener.accept_queue.append(listener.accept_queue[0])
    w.client.send(b"written at once")
    w.run(SECOND // 2)
    assert w.states() == ("ESTABLISHED", "SYN-RECEIVED")
    listener.accept()
    w.run(10 * SECOND)
    assert w.states() == ("ESTABLISHED", "ESTABLISHED")
    assert w.server.receive() == b"written at once"
    assert len(w.times(by_client(data))) > 1
    assert len(w.times(syn_ack)) >= 1
    assert w.times(by_client(bare_ack)) == [] or w.times(rst) == []


@pytest.mark.parametrize("seed", range(4))
def test_iss_differs_between_requests(seed: int) -> None:
    listener = Listener(b"", 80, 100, TcpParameters(), InitialSequenceNumbers(bytes([seed]) * 16))
    replies = [knock(listener, 5000 + n) for n in range(50)]
    assert len({reply.seq for reply in replies if reply is not None}) == 50
    assert next(iter(listener.requests.values())).deadline == INITIAL_RTO
