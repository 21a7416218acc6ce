"""Data out of order, and data in order that nobody has read, against naive models (row B2)."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synfin.tcp.reassembly import PIECE_OVERHEAD, Piece, Reassembly, ReceiveQueue, slice_pieces

BASE = (1 << 32) - 3000
STREAM = random.Random(6).randbytes(20_000)
PLENTY = 1 << 30


def pieces_of(octets: bytes, sizes: list[int]) -> tuple[Piece, ...]:
    """`octets` as a chain of views into one packet, cut at `sizes`."""
    packet = memoryview(b"header" + octets)[6:]
    pieces: list[Piece] = []
    for size in sizes:
        if size < len(packet):
            pieces.append(packet[:size])
            packet = packet[size:]
    pieces.append(packet)
    return tuple(pieces)


ARRIVALS = st.lists(
    st.tuples(
        st.integers(0, 8000),
        st.sampled_from([1, 2, 10, 100, 536, 1460, 3000, 9000]),
        st.lists(st.integers(1, 2000), max_size=4),
    ),
    max_size=60,
)


@pytest.mark.row("B2")
@settings(max_examples=100)
@given(ARRIVALS)
def test_any_order_and_overlap_gives_the_stream(arrivals: list[tuple[int, int, list[int]]]) -> None:
    reassembly = Reassembly()
    present: set[int] = set()
    rcv_nxt = BASE
    out = b""
    for offset, length, sizes in arrivals:
        start, end = BASE + offset, BASE + offset + length
        octets = STREAM[offset : offset + length]
        if start > rcv_nxt:
            whole = set(range(start, end)) <= present
            assert reassembly.covers(start, end) == whole
            assert reassembly.insert(start, pieces_of(octets, sizes), length, PLENTY)
            present.update(range(start, end))
        elif end > rcv_nxt:
            out += octets[rcv_nxt - start :]
            rcv_nxt = end
            block = reassembly.take(rcv_nxt)
            if block is not None:
                octets = b"".join(bytes(piece) for piece in block.pieces)
                assert len(octets) == block.end - block.start
                assert block.start == rcv_nxt
                out += octets
                rcv_nxt = block.end
            present = {number for number in present if number >= rcv_nxt}
            assert rcv_nxt not in present
        check(reassembly, present)
    assert out == STREAM[: len(out)]
    assert BASE + len(out) == rcv_nxt


def check(reassembly: Reassembly, present: set[int]) -> None:
    ranges = reassembly.ranges()
    assert {number for start, end in ranges for number in range(start, end)} == present
    assert all(start < end for start, end in ranges)
    # Disjoint, never adjacent, in order.
    assert all(one[1] < other[0] for one, other in itertools.pairwise(ranges))
    assert len(reassembly) == len(ranges)
    assert reassembly.charge == sum(block.charge for block in reassembly._blocks)
    assert (reassembly.charge == 0) == (not ranges)
    assert set(map(id, reassembly.recent)) <= set(map(id, reassembly._blocks))
    assert len(reassembly.recent) <= 4


def test_conflicting_overlaps_keep_what_came_first() -> None:
    reassembly = Reassembly()
    reassembly.insert(10, (b"aaaa",), 4, PLENTY)
    reassembly.insert(20, (b"bbbb",), 4, PLENTY)
    reassembly.insert(8, (bytes(range(200, 218)),), 18, PLENTY)
    block = reassembly.take(8)
    assert block is not None
    octets = b"".join(bytes(piece) for piece in block.pieces)
    assert octets[2:6] == b"aaaa"
    assert octets[12:16] == b"bbbb"
    assert octets[:2] + octets[6:12] + octets[16:] == bytes([200, 201, *range(206, 212), 216, 217])
    assert reassembly.charge == 0


def test_recent_blocks_first() -> None:
    # RFC 2018 §4: the first block reports the segment that came last.
    reassembly = Reassembly()
    for start in (100, 300, 200, 500, 400):
        reassembly.insert(start, (b"x" * 10,), 10, PLENTY)
    assert [block.start for block in reassembly.recent] == [400, 500, 200, 300]
    reassembly.insert(210, (b"x",), 1, PLENTY)
    assert [(block.start, block.end) for block in reassembly.recent] == [(200, 211), (400, 410), (500, 510), (300, 310)]
    reassembly.insert(110, (b"x" * 90,), 90, PLENTY)
    assert [(block.start, block.end) for block in reassembly.recent] == [(100, 211), (400, 410), (500, 510), (300, 310)]


@settings(max_examples=100)
@given(ARRIVALS, st.sampled_from([1000, 4096, 20_000]))
def test_memory_never_exceeds_the_limit(arrivals: list[tuple[int, int, list[int]]], limit: int) -> None:
    reassembly = Reassembly()
    for offset, length, sizes in arrivals:
        reassembly.insert(BASE + offset, pieces_of(STREAM[offset : offset + length], sizes), length, limit)
        assert reassembly.charge <= limit
        assert reassembly.charge == sum(block.charge for block in reassembly._blocks)


def test_at_the_limit_what_is_farthest_goes_first() -> None:
    reassembly = Reassembly()
    limit = 3 * (1000 + PIECE_OVERHEAD)
    for start in (5000, 9000, 7000):
        assert reassembly.insert(start, (bytes(1000),), 1000, limit)
    # Farther than all that is kept: refused. Nearer: the farthest makes room (RFC 2018 §8).
    assert not reassembly.insert(20_000, (bytes(1000),), 1000, limit)
    assert reassembly.insert(3000, (bytes(1000),), 1000, limit)
    assert reassembly.ranges() == [(3000, 4000), (5000, 6000), (7000, 8000)]


def test_a_small_view_does_not_keep_a_large_packet() -> None:
    packet = bytes(65_000)
    reassembly = Reassembly()
    reassembly.insert(100, (memoryview(packet)[:1100],), 1100, PLENTY)
    assert reassembly.charge == 1100 + PIECE_OVERHEAD
    reassembly.insert(100_000, (memoryview(packet),), 65_000, PLENTY)
    assert reassembly.charge == 1100 + 65_000 + 2 * PIECE_OVERHEAD
    kept = reassembly._blocks[1].pieces[0]
    assert isinstance(kept, memoryview)
    assert kept.obj is packet


class CountingView(bytes):
    """Octets that count how often somebody asks for their length: a measure of work that no clock disturbs."""

    asked = 0

    def __len__(self) -> int:
        CountingView.asked += 1
        return super().__len__()


@pytest.mark.parametrize("order", ["backwards", "every second, then the gaps", "random"])
def test_many_tiny_pieces_stay_cheap(order: str) -> None:
    """What SegmentSmack (CVE-2018-5390) did: tiny pieces out of order that cost ever more work."""

    def moves(count: int) -> int:
        numbers = list(range(count, 0, -1))
        if order == "every second, then the gaps":
            numbers = [*range(1, count, 2), *range(2, count, 2)]
        elif order == "random":
            numbers = random.Random(1).sample(range(1, count), count - 1)
        CountingView.asked = 0
        reassembly = Reassembly()
        for number in numbers:
            reassembly.insert(number, (CountingView(b"x"),), 1, PLENTY)
        assert len(reassembly) == 1
        return CountingView.asked

    small, large = moves(500), moves(4000)
    assert large <= small * 8 * 1.6, "more than n log n"


@pytest.mark.parametrize("larger", ["left", "right"])
def test_when_blocks_meet_the_smaller_part_moves(larger: str) -> None:
    """Otherwise an order of arrival can be found that makes merging quadratic."""
    reassembly = Reassembly()
    for start, large in ((1000, larger == "left"), (5000, larger == "right")):
        for number in range(100 if large else 2):
            reassembly.insert(start + number, (b"x",), 1, PLENTY)
    large_pieces = reassembly._blocks[0 if larger == "left" else 1].pieces
    left_end = reassembly._blocks[0].end
    reassembly.insert(left_end, (b"y" * (5000 - left_end),), 5000 - left_end, PLENTY)
    assert len(reassembly) == 1
    assert reassembly._blocks[0].pieces is large_pieces
    for number in range(999, 900, -1):
        reassembly.insert(number, (b"z",), 1, PLENTY)
    assert reassembly._blocks[0].pieces is large_pieces
    assert len(large_pieces) == 100 + 2 + 1 + 99


def test_slice_pieces() -> None:
    pieces: tuple[Piece, ...] = (b"abc", memoryview(b"def"), bytearray(b"ghi"))
    for begin in range(10):
        for stop in range(begin + 1, 10):
            cut = slice_pieces(pieces, begin, stop)
            assert b"".join(bytes(piece) for piece in cut) == b"abcdefghi"[begin:stop]
            assert all(len(piece) > 0 for piece in cut)


READS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.sampled_from([0, 1, 10, 500, 1023, 1024, 1025, 5000])),
        st.tuples(st.just("take"), st.sampled_from([0, 1, 7, 1000, 3000, 1 << 20])),
    ),
    max_size=80,
)


@pytest.mark.row("B9")
@settings(max_examples=200)
@given(READS, st.integers(0, 3000))
def test_the_receive_queue_against_bytes(ops: list[tuple[str, int]], margin: int) -> None:
    queue = ReceiveQueue()
    waiting = b""
    for index, (what, number) in enumerate(ops):
        if what == "append":
            octets = STREAM[index * 7 : index * 7 + number]
            packet = bytes(margin) + octets
            queue.append(memoryview(packet)[margin:])
            waiting += octets
        else:
            taken = queue.take(number)
            octets = b"".join(bytes(piece) for piece in taken)
            assert octets == waiting[:number]
            waiting = waiting[len(octets) :]
        assert queue.octets == len(waiting)
        assert queue.charge == sum(_cost(piece) for piece in queue.pieces())
        assert (queue.charge == 0) == (waiting == b"")
    queue.clear()
    assert (queue.octets, queue.charge) == (0, 0)


def _cost(piece: Piece) -> int:
    base = piece.obj if isinstance(piece, memoryview) else piece
    assert isinstance(base, (bytes, bytearray))
    return len(base) + PIECE_OVERHEAD


def test_single_octets_in_order_cost_little() -> None:
    queue = ReceiveQueue()
    for _ in range(50_000):
        queue.append(b"x")
    assert queue.charge < 50_000 * 1.1
    assert b"".join(bytes(piece) for piece in queue.take(1 << 20)) == b"x" * 50_000
