"""The small words of a packet in a script: flags, sequence numbers, fields of the IP header, TCP options."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from synfin.drill.language.script import IpFields, Sequence, TcpOption
from synfin.wire.tcp import ACK, CWR, ECE, FIN, PSH, RST, SYN, URG

#: Accurate ECN's third bit of its counter (RFC 9768 §2): the one that was NS.
AE: Final = 0x100

_FLAGS: Final[Mapping[str, int]] = MappingProxyType(
    {".": ACK, "F": FIN, "S": SYN, "R": RST, "P": PSH, "E": ECE, "W": CWR, "A": AE, "U": URG}
)
_SEQUENCE: Final = re.compile(r"\s*(?:(-?\d+)!?\s*:\s*(-?\d+)!?|(\.\.\.)|(\d+)!?)\s*\(\s*(\d+)\s*\)\s*!?\s*", re.ASCII)
_MOST: Final = (1 << 32) - 1
_LONGEST_PAYLOAD: Final = 65535
#: Digits of a number that is read at all.
_DIGITS: Final = 10

_ECN: Final[Mapping[str, int]] = MappingProxyType({"noecn": 0, "ect1": 1, "ect0": 2, "ce": 3, "ect01": -1})
_IP_NUMBERS: Final[Mapping[str, int]] = MappingProxyType(
    {"tos": 255, "class": 255, "dscp": 63, "ttl": 255, "hlim": 255, "flowlabel": (1 << 20) - 1}
)
_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10}")
_HEXADECIMAL: Final = re.compile(r"(?:0x)?((?:[0-9a-fA-F]{2})+)")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: Options of other suites: Multipath TCP's, experimental ones, TCP-AO's and some that were tried.
_ELSEWHERE: Final = re.compile(
    r"(?:mp_\w|mp(?:tcp|capable|join|prio|fail|fastclose|fclose|reset|rst)|dss|add_?addr|rm_?addr|remove_addr|accecn|exp-|tarr\b"
    r"|(?:tcp-?)?ao\b|uto\b|nr-?sack|echo|cc(?:new|echo)?\b|qs\b|unknown\b|kind\b|0x)",
    re.IGNORECASE,
)


def read_flags(text: str) -> tuple[int, int | None]:
    """The bits of the wire, and the number of the ACE field if one is given (RFC 9768 §2). Raises ValueError."""
    bits = 0
    ace: int | None = None
    for character in text:
        if character in _FLAGS:
            if ace is not None and character in "EWA":
                raise ValueError("one digit could stand for E, W and A together")
            bits |= _FLAGS[character]
        elif character in "1234567":
            if ace is not None or bits & (AE | CWR | ECE):
                raise ValueError("one digit could stand for E, W and A together")
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
        if start > _MOST:
            raise ValueError("numbers of 32 bits could stand")
        return Sequence(start, start + length, length, "!" in text)
    start, end = int(match[1]), int(match[2])
    if not (-_MOST <= start <= _MOST and -_MOST <= end <= _MOST):
        raise ValueError("numbers of 32 bits could stand")
    if (end - start - length) & _MOST:
        raise ValueError(f"{start}:{start + length}({length}) could stand")
    return Sequence(start, end, length, "!" in text)


def read_ip_fields(text: str) -> IpFields:
    """``ect0``, ``tos 0x10, ttl 64`` and so on. Raises ValueError."""
    words = text.replace(",", " ").split()
    ecn: int | None = None
    numbers: dict[str, int] = {}
    place = 0
    while place < len(words):
        word = words[place]
        most = _IP_NUMBERS.get(word)
        if word in _ECN:
            ecn = _ECN[word]
        elif most is None:
            raise ValueError(f"one of {', '.join(_ECN)}, or of {', '.join(_IP_NUMBERS)} with a number, could stand")
        elif place + 1 == len(words):
            raise ValueError(f"a number could stand behind '{word}'")
        else:
            place += 1
            numbers[word] = _number(words[place], most)
        place += 1
    return IpFields(
        ecn,
        numbers.get("tos", numbers.get("class")),
        numbers.get("dscp"),
        numbers.get("ttl", numbers.get("hlim")),
        numbers.get("flowlabel"),
    )


def join_ip_fields(first: IpFields, second: IpFields) -> IpFields:
    """What two pairs of brackets say together; the second has the last word."""
    if first == IpFields():
        return second
    return IpFields(
        first.ecn if second.ecn is None else second.ecn,
        first.traffic_class if second.traffic_class is None else second.traffic_class,
        first.dscp if second.dscp is None else second.dscp,
        first.ttl if second.ttl is None else second.ttl,
        first.flow_label if second.flow_label is None else second.flow_label,
    )


#: The types of ICMP's messages, of both versions (RFC 792, 950 and 4443).
ICMP_KINDS: Final = (
    "unreachable",
    "time_exceeded",
    "parameter_problem",
    "source_quench",
    "redirect",
    "packet_too_big",
    "echo_request",
    "echo_reply",
    "timestamp_request",
    "timestamp_reply",
    "information_request",
    "information_reply",
    "address_mask_request",
    "address_mask_reply",
    "router_solicitation",
    "router_advertisement",
)


def read_icmp(kind: str) -> None:
    """Raises ValueError unless `kind` is a type of ICMP. Its codes are many, and have more than one name."""
    if kind not in ICMP_KINDS:
        raise ValueError(f"one of {', '.join(ICMP_KINDS[:6])} could stand")


def _number(word: str, most: int) -> int:
    if not _NUMBER.fullmatch(word):
        raise ValueError(f"a number could stand where {word!r} is")
    value = int(word, 16 if word[:2] in ("0x", "0X") else 10)
    if value > most:
        raise ValueError(f"a number up to {most} could stand")
    return value


# --- options ------------------------------------------------------------------------------------------------------


def read_option(text: str) -> TcpOption:
    """One option of a segment, such as ``TS val 100 ecr 0``. Raises ValueError."""
    name, *words = text.split() or [""]
    read = _OPTIONS.get(name)
    if read is not None:
        return read(name, words)
    if _ELSEWHERE.match(name):
        return TcpOption(name, unsupported=" ".join((name, *words)))
    raise ValueError(f"one of {', '.join(_OPTIONS)} could stand")


def asks_for_valid_md5(options: tuple[TcpOption, ...] | None) -> bool:
    """Whether ``md5 valid`` is among them."""
    return any(each.name == "md5" and each.octets is None and each.word is None for each in options or ())


def _bare(name: str, words: list[str]) -> TcpOption:
    if words:
        raise ValueError(f"{name} alone could stand")
    return TcpOption(name)


def _one(most: int) -> Callable[[str, list[str]], TcpOption]:
    def read(name: str, words: list[str]) -> TcpOption:
        if len(words) != 1:
            raise ValueError(f"{name} with a number could stand")
        return _counted(name, words, most)

    return read


def _counted(name: str, words: list[str], most: int, absolute: bool = False) -> TcpOption:
    """Numbers, or ``...`` for one that is not checked."""
    unchecked = tuple(place for place, word in enumerate(words) if word == "...")
    numbers = tuple(0 if word == "..." else _number(word, most) for word in words)
    return TcpOption(name, numbers, None, unchecked, absolute)


def _timestamps(name: str, words: list[str]) -> TcpOption:
    if len(words) != 4 or (words[0], words[2]) != ("val", "ecr"):
        raise ValueError(f"{name} val N ecr N could stand")
    value, echo = words[1], words[3]
    return _counted(name, [value, echo.removesuffix("!")], _MOST, echo.endswith("!"))


def _accurate_ecn(name: str, words: list[str]) -> TcpOption:
    # RFC 9768 §3.2.3: two orders, and counters may be left out from behind.
    names = tuple(words[::2])
    if len(words) % 2 or not any(order[: len(names)] == names for order in _COUNTERS):
        raise ValueError(f"{name} e0b N ceb N e1b N, {name} e1b N ceb N e0b N or a beginning of them could stand")
    return _counted(" ".join((name, *names)), words[1::2], (1 << 24) - 1)


def _sack(name: str, words: list[str]) -> TcpOption:
    edges: list[int] = []
    for word in words:
        left, colon, right = word.partition(":")
        if not colon:
            raise ValueError("sack with blocks such as 1:1001 could stand")
        edges += (_edge(left), _edge(right))
    if not edges:
        raise ValueError("sack with blocks such as 1:1001 could stand")
    return TcpOption(name, tuple(edges))


def _edge(word: str) -> int:
    negative = word.startswith("-")
    return -_number(word[1:], _MOST) if negative else _number(word, _MOST)


def _octets(name: str, words: list[str]) -> TcpOption:
    if not words:
        return TcpOption(name, (), b"")
    if name == "md5" and words == ["valid"]:
        return TcpOption(name)
    digits = _HEXADECIMAL.fullmatch(words[0])
    if len(words) == 1 and digits is not None:
        return TcpOption(name, (), bytes.fromhex(digits[1]))
    # -D NAME=value says later what it is; but what begins like digits is a slip.
    if len(words) == 1 and _NAME.fullmatch(words[0]) and not set(words[0]) <= set("0123456789abcdefABCDEF"):
        return TcpOption(name, word=words[0])
    raise ValueError(f"{name} with hexadecimal digits, two for each octet, could stand")


_COUNTERS: Final = (("e0b", "ceb", "e1b"), ("e1b", "ceb", "e0b"))
_OPTIONS: Final[Mapping[str, Callable[[str, list[str]], TcpOption]]] = MappingProxyType(
    {
        "mss": _one(65535),
        "nop": _bare,
        "eol": _bare,
        "wscale": _one(255),
        "sackOK": _bare,
        "sack": _sack,
        "TS": _timestamps,
        "FO": _octets,
        "FOEXP": _octets,
        "md5": _octets,
        "ECN": _accurate_ecn,
    }
)
