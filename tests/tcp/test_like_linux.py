"""Where RFC 9293 leaves a choice, the default profile does what the Linux kernel was seen to do
(tests/data/kernel_matrix.jsonl)."""

from __future__ import annotations

import pytest

from synfin import reasons
from synfin.tcp import changing, time_wait
from synfin.tcp.connection import Connection
from synfin.tcp.parameters import TcpParameters
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, FIN, RST, SYN, Options, Segment
from tests.tcp.world import CLIENT, MS, make_connection

IRS = 500_000


def poll(connection: Connection, now: int = 0) -> list[Segment]:
    sent = []
    while (segment := connection.poll_transmit(now, 1500)) is not None:
        sent.append(segment)
    return sent


def syn_sent() -> Connection:
    connection = make_connection(CLIENT)
    connection.open(0)
    (syn,) = poll(connection)
    assert syn.flags == SYN
    return connection


def established() -> Connection:
    """A client in ESTABLISHED, without options but MSS."""
    connection = syn_sent()
    syn_ack = Segment(80, 49152, IRS, 1001, SYN | ACK, 65535, Options(mss=1460))
    connection.segment_arrives(syn_ack, 0)
    assert [segment.flags for segment in poll(connection)] == [ACK]
    return connection


def segment(connection: Connection, flags: int, offset: int = 0, ack: int = 0, payload: bytes = b"") -> Segment:
    """A segment `offset` from RCV.NXT that acknowledges SND.UNA + `ack`."""
    seq = connection.rcv_nxt + offset & MASK
    return Segment(80, 49152, seq, connection.snd_una + ack & MASK, flags, 65535, payload=(payload,) if payload else ())


def test_data_after_the_fin_is_ignored_without_an_answer() -> None:
    # RFC 9293 §3.10.7.4, seventh: "Ignore the segment text."
    connection = established()
    connection.segment_arrives(segment(connection, ACK | FIN), 0)
    poll(connection, 40 * MS)
    assert connection.segment_arrives(segment(connection, ACK, payload=b"more"), 0) is None
    assert poll(connection) == []
    # Of what the FIN had ended, the peer may have missed the acknowledgment.
    assert connection.segment_arrives(segment(connection, ACK, -4, payload=b"data"), 0) is not None


@pytest.mark.parametrize("flags", [0, FIN], ids=["none", "FIN"])
@pytest.mark.parametrize("offset", [-1000, 0, 100_000])
def test_a_segment_without_ack_rst_and_syn_is_not_answered_wherever_it_lies(flags: int, offset: int) -> None:
    connection = established()
    assert connection.segment_arrives(segment(connection, flags, offset, payload=b"data"), 0) is None
    assert connection.verdict is reasons.NO_ACK
    assert poll(connection) == []
    # With an ACK, what lies elsewhere is answered.
    assert (connection.segment_arrives(segment(connection, ACK, offset, payload=b"data"), 0) is None) == (offset == 0)


@pytest.mark.parametrize("flags", [ACK, SYN | ACK, RST | ACK])
def test_a_wrong_ack_in_syn_sent_brings_the_syn_again_soon_and_once(flags: int) -> None:
    connection = syn_sent()
    old_connections = Segment(80, 49152, 7, 77, flags, 65535)
    reply = connection.segment_arrives(old_connections, 0)
    # RFC 9293 §3.5.1, figure 10: the RST ends what the peer had; then the SYN can be answered.
    assert (reply is not None) == (not flags & RST)
    assert connection.next_deadline() == 8 * MS
    connection.deadline_reached(8 * MS)
    assert [again.flags for again in poll(connection, 8 * MS)] == [SYN]
    due = connection.next_deadline()
    connection.segment_arrives(old_connections, 9 * MS)
    assert connection.next_deadline() == due >= 1008 * MS
    assert poll(connection, 9 * MS) == []


@pytest.mark.parametrize(
    ("offset", "flags", "payload"), [(0, ACK, b"data"), (1000, ACK, b""), (0, ACK | FIN, b""), (0, 0, b"data")]
)
def test_time_wait_tells_where_it_is_whatever_comes_after_the_fin(offset: int, flags: int, payload: bytes) -> None:
    connection = established()
    connection.close(0)
    poll(connection)
    connection.segment_arrives(segment(connection, ACK | FIN, ack=1), 0)
    poll(connection)
    packed = time_wait.from_connection(connection, 0)
    late = segment(connection, flags, offset, payload=payload)
    reply = time_wait.segment_arrives(packed, late, TcpParameters(), MS).reply
    assert reply is not None
    assert (reply.flags, reply.seq, reply.ack) == (ACK, 1002, IRS + 2)
    # What an ACK there may be the answer to is not answered.
    bare = segment(connection, ACK)
    assert time_wait.segment_arrives(packed, bare, TcpParameters(), MS).reply is None


# --- the acknowledgment of a FIN


@pytest.mark.parametrize("payload", [b"", b"last words"])
def test_the_acknowledgment_of_a_fin_waits_for_ours_to_bear_it(payload: bytes) -> None:
    connection = established()
    connection.segment_arrives(segment(connection, ACK | FIN, payload=payload), 0)
    assert poll(connection) == []
    connection.close(0)
    (ours,) = poll(connection)
    assert (ours.flags, ours.ack) == (ACK | FIN, IRS + 2 + len(payload))
    # Nor is there another one later.
    connection.deadline_reached(100 * MS)
    assert poll(connection, 100 * MS) == []


def test_data_of_ours_can_bear_it_too() -> None:
    connection = established()
    connection.segment_arrives(segment(connection, ACK | FIN), 0)
    connection.send(b"one word more", 0)
    (ours,) = poll(connection)
    assert (ours.payload_length, ours.ack) == (13, IRS + 2)


def acknowledges_at(connection: Connection, deadline: int) -> int:
    """What is acknowledged at that time, and not before."""
    assert poll(connection, deadline - 1) == []
    assert connection.next_deadline() == deadline
    connection.deadline_reached(deadline)
    (answer,) = poll(connection, deadline)
    assert answer.flags == ACK
    assert connection.why is reasons.ACK_OF_FIN_DELAYED
    return answer.ack - IRS - 1


def test_the_acknowledgment_of_a_fin_waits_a_tick_where_no_data_has_come() -> None:
    # The kernel's ato is 0 until then; seen with 6.18 and CONFIG_HZ=250.
    connection = established()
    connection.segment_arrives(segment(connection, ACK | FIN), 0)
    assert acknowledges_at(connection, 4 * MS) == 1


@pytest.mark.parametrize("quickack", [-1, 0, 1])
def test_after_data_it_waits_40_ms_whatever_was_acknowledged_at_once(quickack: int) -> None:
    connection = established()
    connection.segment_arrives(segment(connection, ACK, payload=b"hello"), 0)
    assert [answer.ack for answer in poll(connection)] == [IRS + 6]
    if quickack >= 0:
        # TCP_QUICKACK
        changing.set_quickack(connection, quickack, 0)
    connection.segment_arrives(segment(connection, ACK | FIN), 7 * MS)
    assert not changing.quickack(connection)
    assert acknowledges_at(connection, 47 * MS) == 6
    assert changing.quickack(connection)


def test_a_fin_with_data_waits_40_ms_if_the_data_may() -> None:
    connection = established()
    connection.segment_arrives(segment(connection, ACK | FIN, payload=b"hello"), 0)
    # Reading sends nothing.
    assert connection.receive(100, 0) == [b"hello"]
    assert connection.receive(100, 0) == []
    assert acknowledges_at(connection, 40 * MS) == 6


def test_a_fin_that_makes_it_more_than_one_full_segment_does_not_wait() -> None:
    connection = established()
    connection.segment_arrives(segment(connection, ACK | FIN, payload=bytes(1460)), 0)
    assert [answer.ack for answer in poll(connection)] == [IRS + 1462]


def test_it_waits_no_longer_than_what_was_waiting_before() -> None:
    connection = interactive()
    connection.segment_arrives(segment(connection, ACK, payload=b"and"), 0)
    assert poll(connection) == []
    connection.segment_arrives(segment(connection, ACK | FIN), 20 * MS)
    assert acknowledges_at(connection, 40 * MS) == 9


@pytest.mark.parametrize("flags", [ACK, ACK | FIN], ids=["data", "FIN"])
@pytest.mark.parametrize(("time", "now"), [(29, False), (30, True), (39, True)])
def test_an_acknowledgment_that_is_due_within_a_quarter_of_the_delay_goes_now(flags: int, time: int, now: bool) -> None:
    connection = interactive()
    connection.segment_arrives(segment(connection, ACK, payload=b"and"), 0)
    connection.segment_arrives(segment(connection, flags, payload=b"" if flags & FIN else b"x"), time * MS)
    assert [answer.ack for answer in poll(connection, time * MS)] == [IRS + 10] * now


def interactive() -> Connection:
    """One that has answered "hello" with "hi", and delays its acknowledgments."""
    connection = established()
    connection.segment_arrives(segment(connection, ACK, payload=b"hello"), 0)
    connection.receive(100, 0)
    connection.send(b"hi", 0)
    assert [answer.ack for answer in poll(connection)] == [IRS + 6]
    connection.segment_arrives(segment(connection, ACK, ack=2), 0)
    return connection


def test_a_fin_that_comes_again_is_answered_at_once() -> None:
    connection = established()
    connection.segment_arrives(segment(connection, ACK | FIN), 0)
    for now in (MS, 2 * MS):
        answer = connection.segment_arrives(segment(connection, ACK | FIN, -1), now)
        assert answer is not None
        assert (answer.flags, answer.ack) == (ACK, IRS + 2)
    # That was the acknowledgment which waited.
    connection.deadline_reached(100 * MS)
    assert poll(connection, 100 * MS) == []


@pytest.mark.parametrize("payload", [b"", b"world"], ids=["bare", "with data"])
def test_a_fin_is_acknowledged_at_once_when_what_was_missing_before_it_has_come(payload: bytes) -> None:
    connection = established()
    assert connection.segment_arrives(segment(connection, ACK | FIN, 6, payload=payload), 0) is not None
    connection.segment_arrives(segment(connection, ACK, payload=b"hello "), 0)
    assert [answer.ack for answer in poll(connection)] == [IRS + 8 + len(payload)]
    assert connection.why is reasons.ACK_OF_FIN


@pytest.mark.parametrize(("offset", "payload"), [(10, b""), (10, b"hello"), (3, b"hello")])
def test_what_lies_behind_the_fin_fills_no_gap(offset: int, payload: bytes) -> None:
    connection = established()
    assert connection.segment_arrives(segment(connection, ACK, offset, payload=b"beyond"), 0) is not None
    connection.segment_arrives(segment(connection, ACK | FIN, payload=payload), 0)
    assert poll(connection) == []
    assert connection.status().state == "CLOSE-WAIT"
    assert b"".join(map(bytes, connection.receive(100, 0))) == payload
    assert len(connection.reassembly) == 0


@pytest.mark.parametrize("state", ["FIN-WAIT-1", "FIN-WAIT-1, both", "FIN-WAIT-2"])
@pytest.mark.parametrize("payload", [b"", b"last words"])
def test_a_fin_that_meets_ours_is_acknowledged_at_once(state: str, payload: bytes) -> None:
    connection = established()
    connection.close(0)
    poll(connection)
    if state == "FIN-WAIT-2":
        connection.segment_arrives(segment(connection, ACK, ack=1), 0)
    acknowledged = 1 if state == "FIN-WAIT-1, both" else 0
    connection.segment_arrives(segment(connection, ACK | FIN, ack=acknowledged, payload=payload), 0)
    assert [answer.ack for answer in poll(connection)] == [IRS + 2 + len(payload)]
    assert connection.status().state == ("CLOSING" if state == "FIN-WAIT-1" else "TIME-WAIT")


@pytest.mark.parametrize("payload", [b"", b"last words"])
def test_a_fin_is_acknowledged_at_once_where_the_parameter_says_so(payload: bytes) -> None:
    connection = established()
    connection.parameters.tcp_delay_fin_ack = 0
    connection.segment_arrives(segment(connection, ACK | FIN, payload=payload), 0)
    assert [answer.ack for answer in poll(connection)] == [IRS + 2 + len(payload)]
    assert connection.why is reasons.ACK_OF_FIN


def with_sack() -> Connection:
    """A client in ESTABLISHED that has agreed on selective acknowledgments, without timestamps."""
    connection = syn_sent()
    syn_ack = Segment(80, 49152, IRS, 1001, SYN | ACK, 65535, Options(mss=1460, sack_permitted=True))
    connection.segment_arrives(syn_ack, 0)
    poll(connection)
    return connection


def blocks(connection: Connection, answer: Segment | None) -> list[tuple[int, int]]:
    """The SACK blocks of `answer`, counted from the octet behind the peer's SYN."""
    assert answer is not None
    return [(left - IRS - 1, right - IRS - 1) for left, right in answer.options.sack]


def test_a_fin_ahead_of_data_is_reported_with_its_number() -> None:
    connection = with_sack()
    answer = connection.segment_arrives(segment(connection, ACK | FIN, 100), 0)
    assert blocks(connection, answer) == [(100, 101)]
    answer = connection.segment_arrives(segment(connection, ACK, 50, payload=bytes(10)), 0)
    assert blocks(connection, answer) == [(100, 101), (50, 60)]
    answer = connection.segment_arrives(segment(connection, ACK, 60, payload=bytes(40)), 0)
    assert blocks(connection, answer) == [(50, 101)]


def test_a_fin_behind_data_ahead_of_a_gap_belongs_to_their_block() -> None:
    connection = with_sack()
    answer = connection.segment_arrives(segment(connection, ACK | FIN, 10, payload=b"last words"), 0)
    assert blocks(connection, answer) == [(10, 21)]


def test_a_fin_that_comes_again_is_reported_as_a_duplicate() -> None:
    # RFC 2883 §4
    connection = with_sack()
    fin = segment(connection, ACK | FIN)
    connection.segment_arrives(fin, 0)
    poll(connection, 40 * MS)
    assert blocks(connection, connection.segment_arrives(fin, 50 * MS)) == [(0, 1)]
