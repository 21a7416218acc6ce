"""Any segment against any state: never an exception, at most one reply, never a reset for a reset, memory bounded."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synfin.tcp import closed, states, time_wait
from synfin.tcp.connection import Connection
from synfin.tcp.isn import InitialSequenceNumbers
from synfin.tcp.listener import Listener
from synfin.tcp.parameters import TcpParameters
from synfin.tcp.sent_range import LOST, OUTSTANDING
from synfin.tcp.timers import NEVER
from synfin.wire.ip import PROTOCOL_TCP, Packet
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, FIN, PSH, RST, SYN, Options, Segment, encode_header
from tests.tcp.test_connection import in_state
from tests.tcp.world import MS, SECOND, SERVER

EXAMPLES = int(os.environ.get("SYNFIN_EXAMPLES", "90"))
STATES = [states.NAMES[state] for state in states.STATES if state != states.LISTEN]
JUNK = random.Random(1).randbytes(65_535)

#: Distances from a number that matters.
NEAR = st.one_of(
    st.sampled_from([0, 0, 0, 0, 1, -1, 2, -2, 10, 100, 1460, -1460, 64_239, 64_240, 64_241, 65_535, 65_536, 1 << 20]),
    st.integers(-70_000, 70_000),
    st.sampled_from([1 << 31, (1 << 31) - 1, -(1 << 31), 1 << 30]),
)
FLAGS = st.one_of(
    st.sampled_from([ACK, ACK, ACK | PSH, ACK | FIN, SYN, SYN | ACK, RST, RST | ACK, FIN, 0]),
    st.integers(0, 0x1FF),
)
WORD = st.one_of(st.sampled_from([0, 1, MASK, 1 << 31]), st.integers(0, MASK))
OPTIONS = st.builds(
    Options,
    mss=st.one_of(st.none(), st.sampled_from([0, 1, 48, 536, 1460, 65_535])),
    window_scale=st.one_of(st.none(), st.integers(0, 255)),
    sack_permitted=st.booleans(),
    ts_val=WORD,
    ts_ecr=WORD,
    sack=st.lists(st.tuples(WORD, WORD), max_size=4).map(tuple),
    others=st.lists(st.tuples(st.integers(9, 255), st.binary(max_size=4)), max_size=2).map(tuple),
)


class Blow:
    """One segment to come, relative to what the connection expects then; or time, or a call."""

    def __init__(
        self,
        seq: int,
        ack: int,
        flags: int,
        length: int,
        wnd: int,
        up: int,
        options: Options | None,
        pieces: int,
        pause: int,
    ) -> None:
        self.seq = seq
        self.ack = ack
        self.flags = flags
        self.length = length
        self.wnd = wnd
        self.up = up
        self.options = options
        self.pieces = pieces
        self.pause = pause

    def __repr__(self) -> str:
        names = ("seq", "ack", "flags", "length", "wnd", "up", "options", "pieces", "pause")
        return f"Blow({', '.join(repr(getattr(self, name)) for name in names)})"

    def segment(self, rcv_nxt: int, snd_una: int, source: int, destination: int) -> Segment:
        # What the wire can bear: 65,535 octets and a data offset of 15 words.
        octets = JUNK[: self.length]
        size = max(len(octets) // self.pieces, 1)
        pieces = tuple(memoryview(octets)[at : at + size] for at in range(0, len(octets), size))
        return Segment(
            source,
            destination,
            rcv_nxt + self.seq & MASK,
            snd_una + self.ack & MASK,
            self.flags,
            self.wnd,
            self.options or Options(),
            pieces,
            1460 if self.length > 1460 else 0,
            self.up,
        )


BLOWS = st.lists(
    st.builds(
        Blow,
        NEAR,
        NEAR,
        FLAGS,
        st.sampled_from([0, 0, 0, 1, 2, 10, 1460, 3000, 20_000, 65_000]),
        st.sampled_from([0, 0, 1, 10, 1460, 65_535]),
        st.sampled_from([0, 1, 100, 65_535]),
        st.one_of(st.none(), OPTIONS),
        st.sampled_from([1, 1, 2, 50, 2000]),
        st.sampled_from([0, 0, 1, 40, 500, 1000, 60_000, 1_000_000]),
    ),
    min_size=1,
    max_size=25,
)


def encodable(segment: Segment) -> None:
    """What goes out must fit its fields."""
    encode_header(segment, bytes(4), bytes(4))
    assert sum(len(piece) for piece in segment.payload) == segment.payload_length
    assert segment.options.encoded_length <= 40
    assert isinstance(Packet(bytes(4), bytes(4), PROTOCOL_TCP, segment).payload, Segment)


def sane(c: Connection) -> None:
    entries = c.sent.entries()
    assert c.sent.in_flight == sum(e.end - e.start for e in entries if e.fate == OUTSTANDING)
    assert c.sent.lost == sum(e.end - e.start for e in entries if e.fate == LOST)
    if entries:
        assert (entries[0].start, entries[-1].end) == (c.snd_una, c.snd_nxt)
    assert c.iss <= c.snd_una <= c.snd_nxt
    assert c.reassembly.charge <= c.rcv_buf
    assert len(c.reassembly.recent) <= 4
    assert c.receive_queue.octets <= c.window_space + (1 << c.rcv_wscale)
    assert c.receive_queue.charge <= 4 * c.rcv_buf
    assert 36 <= c.mss <= 1460
    assert c.snd_wscale <= 14
    assert c.cwnd >= 0
    assert c.round_trip.rto <= 120 * SECOND
    assert c.timers.earliest == min(c.timers.deadlines)
    if c.state == states.CLOSED:
        assert c.next_deadline() == NEVER
        assert len(c.sent) == len(c.send_buffer) == len(c.reassembly) == 0


@pytest.mark.parametrize("state", STATES)
@settings(max_examples=EXAMPLES // 3)
@given(blows=BLOWS, waits=st.booleans())
def test_a_connection(state: str, blows: list[Blow], waits: bool) -> None:
    c = in_state(state)
    if waits and c.state in states.MAY_SEND:
        c.send(bytes(9000), 0)
    now = 0
    for blow in blows:
        now += blow.pause * MS
        if c.next_deadline() <= now:
            c.deadline_reached(now)
        segment = blow.segment(c.rcv_nxt, c.snd_una, 80, 49152)
        before = c.state
        reply = c.segment_arrives(segment, now)
        if reply is not None:
            encodable(reply)
            assert not (segment.flags & RST and reply.flags & RST), "a reset for a reset"
            assert reply.payload_length == 0
        if before != states.CLOSED and c.state == states.CLOSED:
            assert segment.flags & RST or before == states.LAST_ACK or c.orphaned
        sane(c)
        sent = 0
        while (out := c.poll_transmit(now, 65_000 if blow.pieces > 1 else 1500)) is not None:
            encodable(out)
            sent += 1
            assert sent <= 40, "one segment in, and no end of segments out"
        sane(c)
        assert c.state in states.NAMES
    # However it was beaten, the user can still end it.
    c.abort(now)
    c.poll_transmit(now, 1500)
    assert c.state == states.CLOSED
    assert c.next_deadline() == NEVER


@settings(max_examples=EXAMPLES)
@given(BLOWS, st.integers(0, 3))
def test_a_listener(blows: list[Blow], backlog: int) -> None:
    listener = Listener(b"", 80, backlog, TcpParameters(), InitialSequenceNumbers(bytes(16)))
    now = 0
    for blow in blows:
        now += blow.pause * MS
        if listener.next_deadline() <= now:
            listener.deadline_reached(now)
        while (due := listener.poll_transmit(now)) is not None:
            encodable(due[1])
        flow = SERVER.flow[:-4] + bytes((0, blow.up % 3)) + SERVER.flow[-2:]
        request = listener.requests.get(flow)
        base = (request.irs + 1, request.iss + 1) if request else (77, 99)
        segment = blow.segment(*base, blow.up % 3, 80)
        reply, connection = listener.segment_arrives(flow, segment, 1460, now)
        if reply is not None:
            encodable(reply)
            assert not (segment.flags & RST and reply.flags & RST), "a reset for a reset"
        if connection is not None:
            assert connection.state in (states.ESTABLISHED, states.CLOSE_WAIT)
            sane(connection)
            while (out := connection.poll_transmit(now, 1500)) is not None:
                encodable(out)
        assert len(listener.requests) <= backlog + 1
        assert len(listener.accept_queue) <= backlog + 1
    listener.close()


@settings(max_examples=EXAMPLES)
@given(BLOWS)
def test_a_time_wait(blows: list[Blow]) -> None:
    c = in_state("TIME-WAIT")
    packed: bytes | None = time_wait.from_connection(c, 0)
    now = 0
    for blow in blows:
        assert packed is not None
        now += blow.pause * MS
        segment = blow.segment(c.rcv_nxt, c.snd_una, 80, 49152)
        before = time_wait.expiry(packed)
        outcome = time_wait.segment_arrives(packed, segment, TcpParameters(), now)
        if outcome.reply is not None:
            encodable(outcome.reply)
            assert outcome.reply.flags == ACK
        if outcome.packed is None:
            assert segment.flags & RST or outcome.iss >= 0
            return
        packed = outcome.packed
        after = time_wait.expiry(packed)
        assert after == before or (after == now + 60 * SECOND and segment.flags & FIN)


@settings(max_examples=EXAMPLES)
@given(BLOWS)
def test_closed(blows: list[Blow]) -> None:
    for blow in blows:
        segment = blow.segment(5, 9, 1, 2)
        reply = closed.segment_arrives(segment)
        assert (reply is None) == bool(segment.flags & RST)
        if reply is not None:
            encodable(reply)
            # And a reset is never answered: no two hosts can go on like this for ever.
            assert closed.segment_arrives(reply) is None


@pytest.mark.parametrize("state", ["ESTABLISHED", "FIN-WAIT-2"])
def test_a_flood_of_tiny_pieces_keeps_to_the_limit(state: str) -> None:
    c = in_state(state)
    chance = random.Random(3)
    for _ in range(5000):
        offset = chance.randrange(1, 64_000)
        c.segment_arrives(Segment(80, 49152, c.rcv_nxt + offset & MASK, c.snd_una & MASK, ACK, 9, payload=(b"x",)), 0)
    assert c.reassembly.charge <= c.rcv_buf
    assert len(c.reassembly) <= c.rcv_buf // 256


def test_two_ends_do_not_quarrel_for_ever() -> None:
    """Both believe in other numbers than the other has: challenges are limited, so the exchange dies out."""
    one, other = in_state("ESTABLISHED"), in_state("ESTABLISHED")
    now = 0
    first: Segment | None = Segment(80, 49152, one.rcv_nxt + 5, one.snd_una + 1000 & MASK, ACK, 9)
    exchanged = 0
    turn = [one, other]
    while first is not None and exchanged < 100:
        first = turn[exchanged % 2].segment_arrives(first, now)
        exchanged += 1
        now += MS
    assert exchanged <= 4
