from __future__ import annotations

import pytest

from synfin.wire.errors import TCP_OPTIONS, WireError
from synfin.wire.tcp_options import NO_OPTIONS, TIMESTAMPS_LAYOUT, Options, parse_options, timestamp_options


def parse(hexadecimal: str) -> Options:
    return parse_options(memoryview(bytes.fromhex(hexadecimal)))


TIMESTAMPS_ONLY = "0101080a 00000001 00000002"
LINUX_SYN = "020405b4 0402080a 00000001 00000000 01030307"


def test_linux_syn() -> None:
    options = parse(LINUX_SYN)
    assert options == Options(mss=1460, window_scale=7, sack_permitted=True, ts_val=1, ts_ecr=0)
    assert options.layout == (2, 4, 8, 1, 3)
    assert options.encode() == bytes.fromhex(LINUX_SYN)


def test_timestamps() -> None:
    options = parse(TIMESTAMPS_ONLY)
    assert options == timestamp_options(1, 2) == Options(ts_val=1, ts_ecr=2)
    assert options.layout == timestamp_options(1, 2).layout == TIMESTAMPS_LAYOUT == (1, 1, 8)


@pytest.mark.requirement("MUST-69")
@pytest.mark.parametrize(
    ("options", "hexadecimal"),
    [
        (Options(), ""),
        (Options(mss=1460, window_scale=7, sack_permitted=True, ts_val=1, ts_ecr=0), LINUX_SYN),
        (Options(mss=1460, window_scale=7, sack_permitted=True), "020405b4 01010402 01030307"),
        (Options(mss=1460, window_scale=7), "020405b4 01030307"),
        (Options(mss=1460, ts_val=1, ts_ecr=2), "020405b4" + TIMESTAMPS_ONLY),
        (Options(mss=536), "02040218"),
        (Options(ts_val=1, ts_ecr=2), TIMESTAMPS_ONLY),
        (timestamp_options(1, 2), TIMESTAMPS_ONLY),
        (Options(sack=((1, 2),)), "0101050a 00000001 00000002"),
        (
            Options(ts_val=1, ts_ecr=2, sack=((9, 10), (5, 6))),
            TIMESTAMPS_ONLY + "01010512 00000009 0000000a 00000005 00000006",
        ),
        (Options(others=((34, b"abcdef"),)), "2208616263646566"),
        (Options(mss=1460, others=((34, b"abc"),)), "020405b4 2205616263 000000"),
        (Options(ts_val=1, ts_ecr=2, layout=(8, 1, 1)), "080a 00000001 00000002 0101"),
        (Options(ts_val=1, ts_ecr=2, layout=(8, 0)), "080a 00000001 00000002 0000"),
        (Options(mss=1, layout=(1, 2)), "0102040001 000000"),
    ],
)
def test_encode(options: Options, hexadecimal: str) -> None:
    octets = bytes.fromhex(hexadecimal)
    assert options.encode() == octets
    assert options.encoded_length == len(octets)
    assert parse_options(memoryview(octets)) == options


def test_timestamps_in_another_order_are_not_taken_for_the_usual_ones() -> None:
    options = parse("080a 00000001 00000002 0101")
    assert (options.ts_val, options.ts_ecr, options.layout) == (1, 2, (8, 1, 1))


def test_no_options_is_one_value() -> None:
    assert parse("") is NO_OPTIONS
    assert Options() == NO_OPTIONS


@pytest.mark.requirement("MUST-6")
def test_must_6_unknown_options_are_stepped_over_and_kept() -> None:
    options = parse("fd04f989 22020101 020405b4")
    assert options.others == ((253, b"\xf9\x89"), (34, b""))
    assert options.mss == 1460
    assert options.layout == (253, 34, 1, 1, 2)


@pytest.mark.parametrize(
    "hexadecimal",
    [
        "01010100",
        "02040001 0204ffff",  # twice: the first counts
        "02030501",  # MSS of another length
        "02020101",
        "03020101",  # window scale without its octet
        "04030101",
        "0808000000000000",
        "0506 00000001 0101",  # SACK of half a block
        "0502 0101",
        "020405b4 02030101",
        "020301 020405b4 01",  # the first of its kind decides
    ],
)
def test_known_kinds_with_another_length_survive_and_round_trip(hexadecimal: str) -> None:
    octets = bytes.fromhex(hexadecimal)
    options = parse_options(memoryview(octets))
    assert options.encode() == octets
    assert options.encoded_length == len(octets)


def test_illegal_and_repeated_options_go_to_others() -> None:
    assert parse("020405b4 0204ffff") == Options(mss=1460, others=((2, b"\xff\xff"),))
    assert parse("02030501") == Options(others=((2, b"\x05"),))
    assert parse("0506 00000001 0101") == Options(others=((5, b"\0\0\0\1"),))
    assert parse("04030101") == Options(others=((4, b"\1"),))
    assert parse("0808000000000000") == Options(others=((8, bytes(6)),))
    assert parse("0304ffff") == Options(others=((3, b"\xff\xff"),))


def test_window_scale_above_14_is_kept() -> None:
    assert parse("0303ff01").window_scale == 255


@pytest.mark.requirement("MUST-4")
def test_octets_after_the_end_of_the_list_do_not_count() -> None:
    options = parse("020405b4 00030302")
    assert options == Options(mss=1460)
    # MUST-69
    assert options.encode() == bytes.fromhex("020405b4 00000000")


@pytest.mark.requirement("MUST-7")
@pytest.mark.parametrize(
    "hexadecimal",
    [
        "02000101",
        "02010101",
        "22000000",
        "010101 02",  # no length
        "0101 0204",  # runs past the end
        "080a0000",
        "0101080b 00000001 00000002",
        "fdff0000",
    ],
)
def test_must_7_impossible_lengths_are_errors(hexadecimal: str) -> None:
    with pytest.raises(WireError) as error:
        parse(hexadecimal)
    assert error.value.cause == TCP_OPTIONS


def test_a_layout_that_cannot_be_followed() -> None:
    with pytest.raises(ValueError, match="kind 2"):
        Options(layout=(2,)).encode()
    with pytest.raises(ValueError, match="kind 2"):
        Options(mss=1, layout=(2, 2)).encode()
    with pytest.raises(ValueError, match="at most 40"):
        Options(sack=((1, 2),) * 5).encode()


def test_equality_is_of_meaning() -> None:
    assert Options(mss=1, layout=(2,)) == Options(mss=1)
    different = [
        Options(mss=1),
        Options(mss=2),
        Options(window_scale=1),
        Options(sack_permitted=True),
        Options(ts_val=1, ts_ecr=1),
        Options(ts_val=2, ts_ecr=1),
        Options(ts_val=1, ts_ecr=2),
        Options(sack=((1, 2),)),
        Options(others=((1, b""),)),
        NO_OPTIONS,
    ]
    for index, one in enumerate(different):
        for other_index, other in enumerate(different):
            assert (one == other) == (index == other_index)
    assert Options() != "Options()"


def test_repr_names_what_is_set() -> None:
    text = repr(parse(LINUX_SYN))
    assert text == (
        "Options(mss=1460, window_scale=7, sack_permitted=True, ts_val=1, ts_ecr=0, layout=(2, 4, 8, 1, 3))"
    )
    assert repr(Options(sack=((1, 2),), others=((9, b"x"),))) == "Options(sack=((1, 2),), others=((9, b'x'),))"
