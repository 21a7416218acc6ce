"""What the user wrote and the peer has not acknowledged, against one string of octets."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from synfin.tcp.send_buffer import SendBuffer, octets_of

PATTERN = random.Random(5).randbytes(300_000)
OPS = st.lists(
    st.tuples(
        st.sampled_from(["append", "append", "release", "read"]),
        st.sampled_from([0, 1, 2, 3, 100, 1460, 4095, 4096, 4097, 10_000]),
        st.integers(0, 20_000),
    ),
    max_size=80,
)


@settings(max_examples=200)
@given(OPS)
def test_against_bytes(ops: list[tuple[str, int, int]]) -> None:
    base = (1 << 32) - 777
    buffer = SendBuffer(base)
    written = b""
    start = 0
    for what, size, number in ops:
        if what == "append":
            octets = PATTERN[len(written) : len(written) + size]
            buffer.append(octets_of(octets))
            written += octets
        elif what == "release":
            # Beyond the end too: the FIN's acknowledgment is one more than the data.
            buffer.release(base + start + number)
            start = min(start + number, len(written))
        assert (buffer.start, buffer.end, len(buffer)) == (base + start, base + len(written), len(written) - start)
        first = min(start + number, len(written))
        last = min(first + size, len(written))
        pieces = buffer.pieces(base + first, base + last)
        assert b"".join(pieces) == written[first:last]
        assert all(len(piece) > 0 for piece in pieces)


def test_large_immutable_octets_are_kept_by_reference_and_mutable_ones_copied() -> None:
    octets = bytes(10_000)
    assert octets_of(octets).obj is octets
    view = memoryview(octets)[5:]
    assert octets_of(view).obj is octets
    mutable = bytearray(b"abc")
    kept = octets_of(mutable)
    mutable[0] = 0
    assert bytes(kept) == b"abc"
    kept = octets_of(memoryview(mutable))
    mutable[1] = 0
    assert bytes(kept) == b"\0bc"
    # Octets, whatever the items of the view are.
    assert len(octets_of(memoryview(bytes(8)).cast("I"))) == 8
    assert bytes(octets_of(memoryview(b"abcdef")[::2])) == b"ace"


def test_many_small_writes_are_few_pieces() -> None:
    buffer = SendBuffer(0)
    for _ in range(100_000):
        buffer.append(memoryview(b"x"))
    assert len(buffer.pieces(0, 100_000)) <= 100_000 // 2048


def test_what_was_released_is_given_back() -> None:
    buffer = SendBuffer(0)
    for _ in range(10_000):
        buffer.append(memoryview(bytes(5000)))
        buffer.push(0, 1460)
        buffer.release(buffer.end - 5000)
    assert len(buffer._pieces) < 200
    assert len(buffer._pushes) < 200
    assert sum(map(len, buffer._pieces)) <= 10_000
    buffer.clear()
    assert len(buffer) == 0
    assert buffer._pieces == []


def test_pushes() -> None:
    buffer = SendBuffer(0)
    buffer.append(memoryview(bytes(3000)))
    buffer.push(0, 1000)
    buffer.append(memoryview(bytes(5000)))
    buffer.push(0, 1000)
    assert buffer.pushed(2000, 3000)
    assert buffer.pushed(2999, 3001)
    assert not buffer.pushed(3000, 4000)
    assert not buffer.pushed(0, 2999)
    assert buffer.pushed(0, 8000)
    # Two ends within one segment that was not sent yet are one push (RFC 9293 §3.9.1.2, SHLD-27).
    buffer.append(memoryview(bytes(10)))
    buffer.push(0, 1000)
    assert not buffer.pushed(7000, 8000)
    assert buffer.pushed(8000, 8010)
    buffer.release(3000)
    assert not buffer.pushed(0, 3000)
