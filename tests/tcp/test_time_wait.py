"""TIME-WAIT: what arrives for it, when it ends, how little it takes (rows C5, C9, C10)."""

from __future__ import annotations

import struct
import sys

import pytest

from synfin import reasons
from synfin.tcp import time_wait
from synfin.tcp.clock import TS_RECENT_LIFE
from synfin.tcp.connection import Connection
from synfin.tcp.parameters import TcpParameters
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, FIN, PSH, RST, SYN, Options, Segment
from tests.tcp.test_acceptance import established
from tests.tcp.world import MS, SECOND, World

PARAMETERS = TcpParameters()
TS = Options(mss=1460, ts_val=1000, ts_ecr=0)


def in_time_wait(options: Options | None = None) -> Connection:
    c = established(options)
    c.close(0)
    assert c.poll_transmit(0, 1500) is not None
    made = Segment(80, 49152, c.rcv_nxt & MASK, c.snd_nxt & MASK, FIN | ACK, 500)
    if options is not None and options.ts_val is not None:
        made.options = Options(ts_val=options.ts_val, ts_ecr=0)
    c.segment_arrives(made, 0)
    last = c.poll_transmit(0, 1500)
    assert last is not None
    assert (last.flags, last.ack) == (ACK, c.rcv_nxt & MASK)
    assert c.status().state == "TIME-WAIT"
    assert c.poll_transmit(0, 1500) is None
    return c


def arrives(
    c: Connection, flags: int, offset: int = 0, payload: bytes = b"", now: int = SECOND, ts_val: int | None = None
) -> time_wait.Outcome:
    """A segment `offset` from RCV.NXT arrives at the TIME-WAIT made from `c` at time 0."""
    options = Options() if ts_val is None else Options(ts_val=ts_val & MASK, ts_ecr=0)
    made = Segment(
        80, 49152, c.rcv_nxt + offset & MASK, c.snd_nxt & MASK, flags, 500, options, (payload,) if payload else ()
    )
    return time_wait.segment_arrives(time_wait.from_connection(c, 0), made, PARAMETERS, now)


def is_ack(c: Connection, outcome: time_wait.Outcome) -> bool:
    reply = outcome.reply
    return (
        outcome.packed is not None
        and reply is not None
        and (reply.flags, reply.seq, reply.ack) == (ACK, c.snd_nxt & MASK, c.rcv_nxt & MASK)
    )


@pytest.mark.row("C5", "C9")
def test_the_fin_again_is_acknowledged_and_2msl_starts_anew() -> None:
    c = in_time_wait()
    packed = time_wait.from_connection(c, 0)
    assert time_wait.expiry(packed) == 60 * SECOND
    outcome = arrives(c, FIN | ACK, -1, now=59 * SECOND)
    assert is_ack(c, outcome)
    assert outcome.packed is not None
    assert time_wait.expiry(outcome.packed) == 119 * SECOND
    assert outcome.verdict is reasons.TIME_WAIT_RESTARTED
    # With data before it, too.
    assert is_ack(c, arrives(c, FIN | ACK | PSH, -4, b"abc"))


def test_a_bare_ack_does_nothing() -> None:
    c = in_time_wait()
    outcome = arrives(c, ACK)
    assert outcome.reply is None
    assert outcome.packed is not None
    assert time_wait.expiry(outcome.packed) == 60 * SECOND


@pytest.mark.row("C10")
@pytest.mark.parametrize(("offset", "payload"), [(-5, b"abcde"), (-100, b"abc"), (70_000, b"x"), (-1, b"")])
def test_old_duplicates_are_answered_and_change_nothing(offset: int, payload: bytes) -> None:
    # RFC 9293 §3.10.7.4, first
    c = in_time_wait()
    outcome = arrives(c, ACK, offset, payload)
    assert is_ack(c, outcome)
    assert outcome.packed is not None
    assert time_wait.expiry(outcome.packed) == 60 * SECOND


def test_answers_to_nonsense_are_limited() -> None:
    c = in_time_wait()
    packed: bytes | None = time_wait.from_connection(c, 0)
    made = Segment(80, 49152, c.rcv_nxt - 5, c.snd_nxt, ACK, 500)
    answers = []
    for now in (0, 1, 499 * MS, 500 * MS, 999 * MS, 1000 * MS):
        assert packed is not None
        outcome = time_wait.segment_arrives(packed, made, PARAMETERS, now)
        answers.append(outcome.reply is not None)
        packed = outcome.packed
    assert answers == [True, False, False, True, False, True]


def test_resets() -> None:
    c = in_time_wait()
    # Exact: the end (RFC 1337 tells why a host may want to ignore it; Linux does not by default).
    outcome = arrives(c, RST)
    assert (outcome.packed, outcome.reply, outcome.verdict) == (None, None, reasons.RESET_RECEIVED)
    assert is_ack(c, arrives(c, RST, 5))
    # Before the window or behind it: nothing, also when its text reaches into the window.
    for offset in (-1, -1000, c.rcv_wnd, 100_000):
        for payload in (b"", b"text"):
            outcome = arrives(c, RST, offset, payload)
            assert outcome.reply is None
            assert outcome.packed is not None
    assert is_ack(c, arrives(c, RST, c.rcv_wnd - 1))


@pytest.mark.parametrize("flags", [FIN, SYN | FIN, SYN | FIN | ACK])
def test_what_is_not_the_peers_fin_does_not_restart_2msl(flags: int) -> None:
    # RFC 9293 §3.10.7.4: outside the window it is answered, without an ACK it would be dropped.
    outcome = arrives(in_time_wait(), flags, -2 if flags & SYN else -1)
    assert outcome.reply is not None
    assert outcome.packed is not None
    assert time_wait.expiry(outcome.packed) == 60 * SECOND


def test_the_edges_of_the_window() -> None:
    c = in_time_wait()
    assert arrives(c, ACK).reply is None
    # Whatever else is answered all the same; that it is old or beyond the window is told only in the trace.
    for offset, payload in ((c.rcv_wnd, b""), (c.rcv_wnd - 1, b"x"), (0, b"x")):
        inside = arrives(c, ACK, offset, payload)
        assert is_ack(c, inside)
        assert inside.verdict is reasons.NOTHING_FOR_TIME_WAIT
    for offset, payload in ((c.rcv_wnd + 1, b""), (c.rcv_wnd, b"x"), (-1, b"x"), (-1, b"")):
        outside = arrives(c, ACK, offset, payload)
        assert is_ack(c, outside)
        assert outside.verdict is reasons.OUTSIDE_WINDOW


@pytest.mark.parametrize("flags", [RST | FIN, RST | FIN | ACK])
def test_a_reset_with_a_fin_is_a_reset(flags: int) -> None:
    outcome = arrives(in_time_wait(), flags, -1)
    assert outcome.reply is None
    assert outcome.packed is not None
    assert time_wait.expiry(outcome.packed) == 60 * SECOND


@pytest.mark.row("C10")
@pytest.mark.requirement("MAY-2")
def test_a_syn_beyond_all_numbers_opens_the_connection_anew() -> None:
    # RFC 9293 §3.6.1 (MAY-2)
    c = in_time_wait()
    for offset in (1, 5, 100_000, 1 << 30):
        outcome = arrives(c, SYN, offset)
        assert outcome.packed is None
        assert outcome.reply is None
        # Larger than any number of the old connection.
        assert 65535 < (outcome.iss - c.snd_nxt) & MASK < 1 << 31
    for offset in (0, -1, -100_000):
        outcome = arrives(c, SYN, offset)
        assert is_ack(c, outcome), offset
        assert outcome.iss == -1
    assert arrives(c, SYN | ACK, 5).iss == -1
    assert arrives(c, SYN | RST, 5).iss == -1


@pytest.mark.row("C10")
@pytest.mark.requirement("SHLD-4", "MAY-2")
def test_a_syn_with_a_later_timestamp_opens_it_too_and_one_with_an_earlier_does_not() -> None:
    # RFC 6191 §2
    c = in_time_wait(TS)
    assert arrives(c, SYN, -100_000, ts_val=1001).iss >= 0
    assert arrives(c, SYN, -100_000, ts_val=1000).iss == -1
    assert arrives(c, SYN, 100_000, ts_val=1000).iss >= 0
    outcome = arrives(c, SYN, 100_000, ts_val=999)
    assert is_ack(c, outcome)
    assert outcome.verdict is reasons.OLD_TIMESTAMP
    assert arrives(c, SYN, 100_000, ts_val=999, now=TS_RECENT_LIFE).iss >= 0


def test_paws_and_the_timestamps_of_answers() -> None:
    c = in_time_wait(TS)
    outcome = arrives(c, ACK | PSH, 0, b"old", ts_val=5)
    assert is_ack(c, outcome)
    assert outcome.verdict is reasons.OLD_TIMESTAMP
    outcome = arrives(c, FIN | ACK, -1, now=3 * SECOND, ts_val=1500)
    assert outcome.reply is not None
    assert outcome.reply.options.ts_val == 3000
    assert outcome.reply.options.ts_ecr in (1000, 1500)
    # A reset is not judged by its timestamp.
    assert arrives(c, RST, 0, ts_val=5).packed is None


@pytest.mark.row("C10")
def test_the_world_reopens_a_connection_in_time_wait() -> None:
    w = World()
    w.connect()
    old = (w.client.tcb.iss, w.server.tcb.iss)
    w.server.close()
    w.run_for(SECOND)
    w.client.close()
    w.run_for(SECOND)
    assert w.states() == ("CLOSED", "TIME-WAIT")
    snd_nxt = w.server.tcb.snd_nxt
    w.client.open()
    w.run_for(SECOND)
    assert w.states() == ("ESTABLISHED", "ESTABLISHED")
    assert w.client.tcb.iss > old[0]
    assert w.server.tcb.iss == snd_nxt + 65537
    w.client.send(b"a new incarnation")
    w.run_for(SECOND)
    assert w.server.receive() == b"a new incarnation"


def test_it_is_packed_and_takes_less_than_300_octets() -> None:
    connections = {}
    c = in_time_wait(TS)
    for port in range(1000):
        connections[c.identity.flow[:-2] + port.to_bytes(2, "big")] = time_wait.from_connection(c, port)
    flow, packed = next(iter(connections.items()))
    total = sys.getsizeof(flow) + sys.getsizeof(packed) + sys.getsizeof(connections) // len(connections)
    assert total < 300, total


def test_packing_keeps_everything() -> None:
    c = in_time_wait(TS)
    packed = time_wait.from_connection(c, 5)
    tw = time_wait.TimeWait(packed)
    assert tw.pack() == packed
    assert (tw.snd_nxt, tw.rcv_nxt, tw.ts_recent, tw.timestamps) == (c.snd_nxt, c.rcv_nxt, 1000, True)
    assert tw.window_field == (c.rcv_wnd + (1 << c.rcv_wscale) - 1) >> c.rcv_wscale
    with pytest.raises(struct.error):
        time_wait.TimeWait(packed[1:])
