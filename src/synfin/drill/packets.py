"""The small words of a packet in a script: flags, sequence numbers, fields of the IP header, TCP options."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from synfin.drill.script import IpFields, Sequence, TcpOption
from synfin.wire.tcp import ACK, CWR, ECE, FIN, PSH, RST, SYN, URG

#: Accurate ECN's third bit of its counter (RFC 9768 §2): the one that was NS.
AE: Final = 0x100

_FLAGS: Final[Mapping[str, int]] = MappingProxyType(
    {".": ACK, "F": FIN, "S": SYN, "R": RST, "P": PSH, "E": ECE, "W": CWR, "A": AE, "U": URG}
)
_SEQUENCE: Final = re.compile(r"\s*(?:(-?\d+):(-?\d+)|(\.\.\.)|(\d+))\s*\(\s*(\d+)\s*\)\s*(!?)\s*")
_MOST: Final = (1 << 32) - 1
_LONGEST_PAYLOAD: Final = 65535
#: Digits of a number that is read at all.
_DIGITS: Final = 10

_ECN: Final[Mapping[str, int]] = MappingProxyType({"noecn": 0, "ect1": 1, "ect0": 2, "ce": 3, "ect01": -1})


def read_flags(text: str) -> tuple[int, int | None]:
    """The bits of the wire, and the number of the ACE field if one is given (RFC 9768 §2)."""
    bits = 0
    ace: int | None = None
    for character in text:
        if character in _FLAGS:
            bits |= _FLAGS[character]
        elif character.isdigit():
            ace = int(character)
            bits |= (AE if ace & 4 else 0) | (CWR if ace & 2 else 0) | (ECE if ace & 1 else 0)
    return bits, ace


def read_sequence(text: str) -> Sequence:
    """``1:1001(1000)``, ``...(0)``, ``1:1(0)!``. Raises ValueError."""
    match = _SEQUENCE.fullmatch(text)
    if match is None:
        raise ValueError("sequence numbers such as 1:1001(1000) could stand")
    if any(len(group or "") > _DIGITS + 1 for group in match.groups()):
        raise ValueError("numbers of 32 bits could stand")
    length = int(match[5])
    if length > _LONGEST_PAYLOAD:
        raise ValueError(f"a segment carries {_LONGEST_PAYLOAD} octets at most")
    if match[3] is not None:
        return Sequence(None, None, length)
    if match[4] is not None:
        start = int(match[4])
        return Sequence(start, start + length, length, match[6] == "!")
    start, end = int(match[1]), int(match[2])
    if not (-_MOST <= start <= _MOST and -_MOST <= end <= _MOST):
        raise ValueError("numbers of 32 bits could stand")
    if (end - start - length) & _MOST:
        raise ValueError(f"the end would be {start + length}")
    return Sequence(start, end, length, match[6] == "!")


def read_ip_fields(text: str) -> IpFields:
    """``ect0``, ``tos 0x10, ttl 64`` and so on. Raises ValueError."""
    words = text.replace(",", " ").split()
    ecn: int | None = None
    numbers: dict[str, int] = {}
    most = {"tos": 255, "class": 255, "dscp": 63, "ttl": 255, "hlim": 255, "flowlabel": (1 << 20) - 1}
    place = 0
    while place < len(words):
        word = words[place]
        if word in _ECN:
            ecn = _ECN[word]
        elif word in most and place + 1 < len(words):
            place += 1
            numbers[word] = _number(words[place], most[word])
        else:
            raise ValueError(f"{', '.join([*_ECN, *most])} could stand, the last six with a number")
        place += 1
    return IpFields(
        ecn,
        numbers.get("tos", numbers.get("class")),
        numbers.get("dscp"),
        numbers.get("ttl", numbers.get("hlim")),
        numbers.get("flowlabel"),
    )


def _number(word: str, most: int) -> int:
    if not re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}|\d{1,10}", word):
        raise ValueError(f"a number should be where {word!r} is")
    value = int(word, 16 if word[:2] in ("0x", "0X") else 10)
    if value > most:
        raise ValueError(f"a number up to {most} could stand")
    return value


# --- options ------------------------------------------------------------------------------------------------------


def read_option(text: str) -> TcpOption:
    """One option of a segment, such as ``TS val 100 ecr 0``. Raises ValueError."""
    name, *words = text.split()
    read = _OPTIONS.get(name)
    if read is None:
        raise ValueError(f"{', '.join(_OPTIONS)} could stand")
    return read(name, words)


def _bare(name: str, words: list[str]) -> TcpOption:
    if words:
        raise ValueError(f"{name} stands alone")
    return TcpOption(name)


def _one(most: int) -> Callable[[str, list[str]], TcpOption]:
    def read(name: str, words: list[str]) -> TcpOption:
        if len(words) != 1:
            raise ValueError(f"{name} takes a number")
        return TcpOption(name, (_number(words[0], most),))

    return read


def _named(names: tuple[str, ...], most: int, all_of_them: bool) -> Callable[[str, list[str]], TcpOption]:
    """Numbers behind words, such as ``val 1 ecr 2``."""

    def read(name: str, words: list[str]) -> TcpOption:
        given = tuple(words[::2])
        fits = given == names if all_of_them else given == tuple(each for each in names if each in given)
        if not fits or len(words) % 2:
            raise ValueError(f"{name} takes {' '.join(f'{each} N' for each in names)}")
        return TcpOption(
            name if all_of_them else " ".join((name, *given)), tuple(_number(w, most) for w in words[1::2])
        )

    return read


def _sack(name: str, words: list[str]) -> TcpOption:
    edges: list[int] = []
    for word in words:
        left, colon, right = word.partition(":")
        if not colon:
            raise ValueError("sack takes blocks such as 1:1001")
        edges += (_edge(left), _edge(right))
    if not edges:
        raise ValueError("sack takes blocks such as 1:1001")
    return TcpOption(name, tuple(edges))


def _edge(word: str) -> int:
    negative = word.startswith("-")
    return -_number(word[1:], _MOST) if negative else _number(word, _MOST)


def _octets(name: str, words: list[str]) -> TcpOption:
    if len(words) > 1:
        raise ValueError(f"{name} takes hexadecimal digits")
    try:
        return TcpOption(name, (), bytes.fromhex(words[0].removeprefix("0x")) if words else b"")
    except ValueError:
        raise ValueError(f"{name} takes hexadecimal digits, two for each octet") from None


_OPTIONS: Final[Mapping[str, Callable[[str, list[str]], TcpOption]]] = MappingProxyType(
    {
        "mss": _one(65535),
        "nop": _bare,
        "eol": _bare,
        "wscale": _one(255),
        "sackOK": _bare,
        "sack": _sack,
        "TS": _named(("val", "ecr"), _MOST, True),
        "FO": _octets,
        "FOEXP": _octets,
        "md5": _octets,
        "ECN": _named(("e0b", "ceb", "e1b"), (1 << 24) - 1, False),
    }
)
