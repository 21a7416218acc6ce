"""Sequence numbers: 32 bits on the wire, unbounded inside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synfin.wire.sequence import HALF, MODULUS, before, unwrap, wrap
from tests.tcp.world import MS, SECOND, World, by_client, data

WORDS = st.integers(0, MODULUS - 1)
NUMBERS = st.integers(0, 1 << 70)


@pytest.mark.row("B1")
@given(NUMBERS, st.integers(-HALF, HALF - 1))
def test_unwrap_finds_every_number_within_half_the_circle(near: int, distance: int) -> None:
    assert unwrap(wrap(near + distance), near) == near + distance


@given(WORDS, NUMBERS)
def test_unwrap_keeps_the_32_bits_and_stays_near(word: int, near: int) -> None:
    number = unwrap(word, near)
    assert wrap(number) == word
    assert -HALF <= number - near < HALF


@given(WORDS, st.integers(1, HALF - 1))
def test_before_on_the_circle(a: int, distance: int) -> None:
    b = wrap(a + distance)
    assert before(a, b)
    assert not before(b, a)


@given(WORDS)
def test_nothing_is_before_itself_nor_before_its_opposite(a: int) -> None:
    assert not before(a, a)
    assert not before(a, wrap(a + HALF))
    assert not before(wrap(a + HALF), a)


@pytest.mark.row("B1", "B2")
@pytest.mark.parametrize("short_of_the_end", [1, 2, 700, 1448, 5000, 20_000])
def test_a_transfer_across_the_end_of_the_numbers(short_of_the_end: int) -> None:
    """ISS near 2³² at the client and near 2³¹ at the server: octets are numbered modulo 2³² (RFC 9293 §3.4)."""
    w = World()
    # The clock of the initial numbers: RFC 9293 §3.4.1, 4 µs a tick.
    iss = w.client.numbers.iss(w.client.identity, 0)
    w.now = w.start = (MODULUS - short_of_the_end - iss) % MODULUS * 4000
    w.lose(by_client(data), nth=3, count=2)
    w.hold(by_client(data), 30 * MS, nth=9)
    w.connect()
    assert w.client.tcb.iss == MODULUS - short_of_the_end
    octets = bytes(range(251)) * 160
    w.client.write(octets, then_close=True)
    w.server.reading = w.server.closes_at_end = True
    w.run_for(30 * SECOND)
    assert bytes(w.server.received) == octets
    assert w.states() == ("TIME-WAIT", "CLOSED")
    assert max(m.segment.seq for m in w.messages) < MODULUS
    assert min(m.segment.seq for m in w.messages if m.sender == "client") < 50_000
