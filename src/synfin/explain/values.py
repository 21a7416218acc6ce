"""Numbers taken from segments, and as they stand in sentences."""

from __future__ import annotations

from struct import Struct
from typing import Final

from synfin.wire.errors import WireError
from synfin.wire.tcp_options import NO_OPTIONS, Options, parse_options

#: NOP, NOP, kind 8, length 10: RFC 7323 appendix A.
_ALIGNED_TIMESTAMPS: Final = b"\x01\x01\x08\x0a"
TIMESTAMPS_LENGTH: Final = 10
MILLISECOND: Final = 1_000_000
SECOND: Final = 1_000_000_000

_word = Struct("!I").unpack_from


def ts_val(options: bytes) -> int:
    """The timestamp of a segment whose options are aligned as everybody does it, else -1."""
    if options[:4] == _ALIGNED_TIMESTAMPS and len(options) >= TIMESTAMPS_LENGTH:
        value: int = _word(options, 4)[0]
        return value
    return -1


def parsed(options: bytes) -> Options:
    """The options of a segment; none if they make no sense, or were cut short."""
    try:
        return parse_options(memoryview(options))
    except WireError:
        return NO_OPTIONS


def milliseconds(nanoseconds: int) -> str:
    """A time in milliseconds as it stands in a sentence: three digits, or as many as are before the point."""
    value = nanoseconds / MILLISECOND
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def seconds(nanoseconds: int) -> str:
    """The same in seconds."""
    value = nanoseconds / SECOND
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3g}"
