"""Classic pcap files: both byte orders and resolutions, and files that are none."""

from __future__ import annotations

import io
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synfin.wire.errors import PCAP, WireError
from synfin.wire.pcap import PcapReader


def head(order: str = "<", magic: int = 0xA1B2C3D4, major: int = 2, link: int = 1, snap_length: int = 96) -> bytes:
    return struct.pack(order + "IHHiIII", magic, major, 4, 0, 0, snap_length, link)


def record(order: str, seconds: int, fraction: int, octets: bytes, original_length: int) -> bytes:
    return struct.pack(order + "IIII", seconds, fraction, len(octets), original_length) + octets


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "unit"), [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1)])
def test_records(order: str, magic: int, unit: int) -> None:
    data = head(order, magic) + record(order, 7, 5, b"abc", 1500) + record(order, 8, 6, b"", 0)
    reader = PcapReader(data)
    assert (reader.header.byte_order, reader.header.unit) == ("little" if order == "<" else "big", unit)
    assert (reader.header.link_type, reader.header.snap_length) == (1, 96)
    assert list(reader.records()) == [(7 * 10**9 + 5 * unit, b"abc", 1500), (8 * 10**9 + 6 * unit, b"", 0)]
    assert "link_type=1" in repr(reader.header)


def test_the_length_of_the_check_sequence_is_no_part_of_the_type_of_link() -> None:
    assert PcapReader(head(link=0x44000001)).header.link_type == 1


class Dribbling(io.BytesIO):
    """A file that returns an octet at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, 1))


def test_a_file_may_return_less_than_it_was_asked_for() -> None:
    data = head() + record("<", 1, 2, b"abcdef", 6)
    assert list(PcapReader(Dribbling(data)).records()) == [(1_000_002_000, b"abcdef", 6)]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no magic"),
        (b"\n\r\r\n" + bytes(30), "no magic"),
        (head()[:20], "cut short"),
        (head(major=3), "version 3"),
    ],
)
def test_files_that_are_none(data: bytes, why: str) -> None:
    with pytest.raises(WireError, match=why) as error:
        PcapReader(data)
    assert error.value.cause == PCAP


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        (b"\x01", "cut short"),
        (record("<", 0, 0, b"abcd", 4)[:-1], "cut short"),
        (struct.pack("<IIII", 0, 0, 1 << 25, 1 << 25), "a packet of 33554432 octets"),
    ],
)
def test_records_that_make_no_sense_end_the_file_after_those_before(rest: bytes, why: str) -> None:
    records = PcapReader(head() + record("<", 1, 2, b"x", 1) + rest).records()
    assert next(records)[1] == b"x"
    with pytest.raises(WireError, match=why):
        next(records)


@given(st.binary(max_size=200))
def test_no_octets_are_too_strange(data: bytes) -> None:
    with suppress(WireError):
        list(PcapReader(head() + data).records())
