"""TCP options between a script's words and the octets of a header."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from struct import Struct
from types import MappingProxyType
from typing import Final

from synfin.drill.language.notation import option_text
from synfin.drill.language.script import TcpOption
from synfin.drill.outcome import Skipped
from synfin.wire.sequence import wrap
from synfin.wire.tcp_options import (
    END_OF_LIST,
    MAX_OPTIONS_LENGTH,
    MAXIMUM_SEGMENT_SIZE,
    NO_OPERATION,
    SACK,
    SACK_PERMITTED,
    TIMESTAMPS,
    WINDOW_SCALE,
    Options,
)

MD5: Final = 19  # RFC 2385
FAST_OPEN: Final = 34  # RFC 7413
ACC_ECN_0: Final = 172  # RFC 9768 §3.2.3
ACC_ECN_1: Final = 174
EXPERIMENTAL: Final = 254  # RFC 6994
FAST_OPEN_MAGIC: Final = b"\xf9\x89"
_COUNTER: Final = 3
_E1B_FIRST: Final = ("e1b", "ceb", "e0b")
_E0B_FIRST: Final = ("e0b", "ceb", "e1b")

_words: Final = Struct("!II")
_KINDS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "mss": MAXIMUM_SEGMENT_SIZE,
        "wscale": WINDOW_SCALE,
        "sackOK": SACK_PERMITTED,
        "sack": SACK,
        "TS": TIMESTAMPS,
        "md5": MD5,
        "FO": FAST_OPEN,
        "FOEXP": EXPERIMENTAL,
    }
)


def encode(options: Iterable[TcpOption], sack_base: int) -> Options:
    """The options as a segment carries them; edges of SACK blocks count from `sack_base`.

    Timestamps are taken as they are. Raises Skipped for options that no header can carry.
    """
    layout: list[int] = []
    others: list[tuple[int, bytes]] = []
    length = 0
    for option in options:
        if option.name == "nop":
            layout.append(NO_OPERATION)
            length += 1
            continue
        if option.name == "eol":
            layout.append(END_OF_LIST)
            length += 1
            continue
        kind, data = _encoded(option, sack_base)
        layout.append(kind)
        others.append((kind, data))
        length += 2 + len(data)
    if length > MAX_OPTIONS_LENGTH:
        raise Skipped(f"{length} octets of TCP options do not fit a header")
    return Options(others=tuple(others), layout=tuple(layout))


def _encoded(option: TcpOption, sack_base: int) -> tuple[int, bytes]:
    name, *counters = option.name.split()
    numbers = option.numbers
    if option.unsupported is not None:
        raise Skipped(f"the option <{option.unsupported}> is not supported")
    if option.word is not None:
        raise Skipped(f"the name {option.word} is not known")
    if name == "mss":
        return MAXIMUM_SEGMENT_SIZE, numbers[0].to_bytes(2, "big")
    if name == "wscale":
        return WINDOW_SCALE, bytes((numbers[0],))
    if name == "sackOK":
        return SACK_PERMITTED, b""
    if name == "TS":
        return TIMESTAMPS, _words.pack(*numbers)
    if name == "sack":
        return SACK, b"".join(wrap(edge + sack_base).to_bytes(4, "big") for edge in numbers)
    if name == "ECN":
        octets = b"".join(number.to_bytes(_COUNTER, "big") for number in numbers)
        if tuple(counters) == _E0B_FIRST[: len(counters)]:
            return ACC_ECN_0, octets
        if tuple(counters) == _E1B_FIRST[: len(counters)]:
            return ACC_ECN_1, octets
        raise Skipped(f"the option <{option_text(option)}> has no such order on the wire")
    if name == "md5":
        raise Skipped("MD5 signatures are not supported")
    octets = option.octets or b""
    return _KINDS[name], FAST_OPEN_MAGIC + octets if name == "FOEXP" else octets


def decode(data: bytes, sack_base: int) -> list[TcpOption]:
    """The options of a header, which is known to be well formed; edges of SACK blocks count from `sack_base`."""
    found: list[TcpOption] = []
    at = 0
    while at < len(data):
        kind = data[at]
        if kind == END_OF_LIST:
            # What follows is padding, and a script writes all of it.
            found += [TcpOption("eol")] * (len(data) - at)
            break
        if kind == NO_OPERATION:
            found.append(TcpOption("nop"))
            at += 1
            continue
        end = at + data[at + 1]
        found.append(_decoded(kind, data[at + 2 : end], sack_base))
        at = end
    return found


def _decoded(kind: int, data: bytes, sack_base: int) -> TcpOption:
    size = len(data)
    if kind == MAXIMUM_SEGMENT_SIZE and size == 2:
        return TcpOption("mss", (int.from_bytes(data, "big"),))
    if kind == WINDOW_SCALE and size == 1:
        return TcpOption("wscale", (data[0],))
    if kind == SACK_PERMITTED and not size:
        return TcpOption("sackOK")
    if kind == TIMESTAMPS and size == _words.size:
        return TcpOption("TS", _words.unpack(data))
    if kind == SACK:
        edges = [int.from_bytes(data[at : at + 4], "big") for at in range(0, size, 4)]
        return TcpOption("sack", tuple(wrap(edge - sack_base) for edge in edges))
    if kind in (ACC_ECN_0, ACC_ECN_1) and size % _COUNTER == 0 and size <= 3 * _COUNTER:
        counters = (_E0B_FIRST if kind == ACC_ECN_0 else _E1B_FIRST)[: size // _COUNTER]
        values = [int.from_bytes(data[at : at + _COUNTER], "big") for at in range(0, size, _COUNTER)]
        return TcpOption(" ".join(("ECN", *counters)), tuple(values))
    if kind == FAST_OPEN:
        return TcpOption("FO", (), data)
    if kind == MD5:
        return TcpOption("md5", (), data)
    if kind == EXPERIMENTAL and data.startswith(FAST_OPEN_MAGIC):
        return TcpOption("FOEXP", (), data[len(FAST_OPEN_MAGIC) :])
    return TcpOption(f"kind {kind}", (), data, unsupported=f"kind {kind} {data.hex()}".rstrip())
