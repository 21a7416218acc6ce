"""RFC 1071, with a sum made word by word as the oracle."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synfin.wire.checksum import finish, is_valid, ones_complement_sum, partial, pseudo_header_sum, sum_of_pieces

# RFC 1071 §3
EXAMPLE = bytes.fromhex("0001f203f4f5f6f7")


def word_by_word(data: bytes) -> int:
    """Add 16-bit words, putting each carry back in at once."""
    total = 0
    if len(data) % 2:
        data += b"\0"
    for at in range(0, len(data), 2):
        total += data[at] * 256 + data[at + 1]
        if total > 0xFFFF:
            total -= 0xFFFF
    return total


def test_the_example_of_rfc_1071() -> None:
    assert ones_complement_sum(EXAMPLE) == 0xDDF2
    assert finish(0xDDF2) == 0x220D


def test_the_example_of_rfc_1071_in_pieces() -> None:
    # §3: groups of octets at odd boundaries
    assert sum_of_pieces([EXAMPLE[:3], EXAMPLE[3:]]) == 0xDDF2
    assert sum_of_pieces([EXAMPLE[:1], EXAMPLE[1:2], EXAMPLE[2:7], EXAMPLE[7:]]) == 0xDDF2


@pytest.mark.parametrize(
    ("data", "total"),
    [
        (b"", 0),
        (b"\0", 0),
        (b"\0\0\0\0", 0),
        (b"\xff\xff", 0xFFFF),
        (b"\xff\xff\xff\xff", 0xFFFF),
        (b"\xff\xfe\0\x01", 0xFFFF),
        (b"\x01", 0x0100),
        (b"\xff\xff\x01", 0x0100),
        (b"\xff\0\0\xff", 0xFFFF),
        (b"\xff\xff\xff", 0xFF00),
    ],
)
def test_zero_is_only_the_sum_of_zeros(data: bytes, total: int) -> None:
    assert ones_complement_sum(data) == total
    assert ones_complement_sum(memoryview(bytearray(data))) == total
    assert sum_of_pieces([data]) == total


def test_zero_and_0xffff_in_the_field() -> None:
    assert finish(0) == 0xFFFF
    assert finish(0xFFFF) == 0
    assert finish(0x1FFFE) == 0
    assert partial(0) == 0
    assert partial(0xFFFF) == 0xFFFF
    assert partial(0x10000) == 1
    assert not is_valid(0)
    assert is_valid(0xFFFF)
    assert is_valid(0x1FFFE)
    assert not is_valid(0x10000)


def test_pseudo_headers() -> None:
    source, destination = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 7])
    assert partial(pseudo_header_sum(source, destination, 6, 1480)) == word_by_word(
        source + destination + bytes([0, 6]) + (1480).to_bytes(2, "big")
    )
    source, destination = bytes(range(1, 17)), bytes(range(240, 256))
    assert partial(pseudo_header_sum(source, destination, 58, 70_000)) == word_by_word(
        source + destination + (70_000).to_bytes(4, "big") + bytes([0, 0, 0, 58])
    )


@given(st.binary(max_size=200))
def test_sum_is_that_of_words(data: bytes) -> None:
    assert ones_complement_sum(data) == word_by_word(data)


@given(st.lists(st.binary(max_size=9), max_size=12))
def test_pieces_sum_as_if_joined(pieces: list[bytes]) -> None:
    assert sum_of_pieces(pieces) == word_by_word(b"".join(pieces))


@given(st.binary(min_size=2, max_size=64).filter(lambda data: len(data) % 2 == 0 and any(data)))
def test_the_field_makes_the_whole_valid(data: bytes) -> None:
    whole = data + finish(ones_complement_sum(data)).to_bytes(2, "big")
    assert is_valid(ones_complement_sum(whole))
    changed = bytearray(whole)
    changed[0] ^= 0x10
    assert not is_valid(ones_complement_sum(changed))


@given(st.integers(1, 1 << 40))
def test_a_finished_checksum_is_never_all_ones(total: int) -> None:
    """RFC 1624 §3: of the two forms of zero, 0x0000 is written."""
    assert finish(total) != 0xFFFF
    assert is_valid(total + finish(total))
