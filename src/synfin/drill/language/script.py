"""A script as values: what `synfin.drill.language.parser` makes of a file, before anything is run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: line and column, both from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


# --- when ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class When:
    """The time at the head of an event, in nanoseconds: since the start, or `relative` to the event before.

    `any_time`: ``*``. `until` is the end of a window (``~``) or, with `blocking`, when a call returns (``...``); both
    ends count from one base.
    """

    start: int = 0
    relative: bool = False
    any_time: bool = False
    until: int | None = None
    blocking: bool = False


# --- packets ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IpFields:
    """What is said of the IP header; None is not checked. `ecn`: a codepoint, -1 for ``ect01`` (ECT(0) or ECT(1)).
    `traffic_class` is ``tos`` or ``class``, `ttl` is ``ttl`` or ``hlim``."""

    ecn: int | None = None
    traffic_class: int | None = None
    dscp: int | None = None
    ttl: int | None = None
    flow_label: int | None = None


@dataclass(frozen=True, slots=True)
class Sequence:
    """Sequence numbers of a segment: `start` and `end` before the payload's `length`; None where ``...`` stands.
    `absolute`: as on the wire, rather than offsets from the initial number."""

    start: int | None
    end: int | None
    length: int
    absolute: bool = False


@dataclass(frozen=True, slots=True)
class TcpOption:
    """An option by its name: ``mss``, ``nop``, ``eol``, ``wscale``, ``sackOK``, ``sack``, ``TS``, ``FO``, ``FOEXP``,
    ``md5`` or ``ECN``, this one with the names of its counters behind it. `numbers` are its values in the order of the
    script; `octets` those of a cookie or a digest, None for ``md5 valid``.

    `unchecked` are the places in `numbers` where ``...`` stands (and 0 in `numbers`); `absolute`: ``!`` behind TS' ecr.
    `word` stands for octets that ``-D`` is to define. `unsupported` are the words of an option that is known to be one,
    and no more.
    """

    name: str
    numbers: tuple[int, ...] = ()
    octets: bytes | None = None
    unchecked: tuple[int, ...] = ()
    absolute: bool = False
    word: str | None = None
    unsupported: str | None = None


@dataclass(frozen=True, slots=True)
class TcpPacket:
    """A TCP segment, inbound or expected outbound.

    `flags` are bits of the wire, ACE's three included; `ace` is the number that the script gave, or None. `options`
    is None where no clause stands, which means none at all; `any_options`: ``<...>``. Fields that are None are not
    checked, and not set.
    """

    inbound: bool
    flags: int
    sequence: Sequence
    ip: IpFields = field(default_factory=IpFields)
    ports: tuple[int, int] | None = None
    ace: int | None = None
    ack: int | None = None
    ack_absolute: bool = False
    window: int | None = None
    urgent: int | None = None
    options: tuple[TcpOption, ...] | None = None
    any_options: bool = False
    md5_valid: bool = False


@dataclass(frozen=True, slots=True)
class IcmpPacket:
    """An ICMP message that quotes a segment; `kind` and `code` are the script's words."""

    inbound: bool
    kind: str
    code: str | None = None
    mtu: int | None = None
    identifier: int | None = None
    quoted: Sequence | None = None
    ip: IpFields = field(default_factory=IpFields)


@dataclass(frozen=True, slots=True)
class OtherPacket:
    """A packet of a kind that is understood to be one, and not supported."""

    inbound: bool
    words: str


# --- calls --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Anything:
    """``...`` or ``?``: whatever fits."""


@dataclass(frozen=True, slots=True)
class Number:
    value: int


@dataclass(frozen=True, slots=True)
class Text:
    """A string in quotes; `value` is what C would make of it, a character for an octet."""

    value: str


@dataclass(frozen=True, slots=True)
class Word:
    """A name: a constant, or what ``-D`` defined."""

    name: str


@dataclass(frozen=True, slots=True)
class Either:
    """``A|B``: values joined by or."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """``~A``, ``1<<A``, ``A&B``, ``A^B``, ``&name``: an operator of C and its one or two operands. Where all are
    numbers, the parser has put the result instead."""

    operator: str
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """``htons(8080)``, ``inet_addr("192.0.2.1")``, ``msg_iov(1)``."""

    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Array:
    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Structure:
    """``{name=value, …}``; a member without a name has the name ""."""

    members: tuple[tuple[str, Expression], ...]

    def get(self, name: str) -> Expression | None:
        """The value of the member `name`, None if there is none."""
        for candidate, value in self.members:
            if candidate == name:
                return value
        return None


Expression: TypeAlias = Anything | Number | Text | Word | Either | Operation | Function | Array | Structure


@dataclass(frozen=True, slots=True)
class Call:
    """A system call: what it is given, what it returns (None if nothing is said), and the errno behind a -1."""

    name: str
    arguments: tuple[Expression, ...]
    result: Expression | None
    errno: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """What stands in backticks."""

    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """A Python snippet between ``%{`` and ``}%``."""

    text: str


Action: TypeAlias = TcpPacket | IcmpPacket | OtherPacket | Call | Command | Code


@dataclass(frozen=True, slots=True)
class Event:
    """Something that is to happen at a time; `text` is how the script says it."""

    when: When
    action: Action
    place: Place
    text: str


@dataclass(frozen=True, slots=True)
class Option:
    """``--name=value``; the value is None where none is given."""

    name: str
    value: str | None
    place: Place


@dataclass(frozen=True, slots=True)
class Script:
    """A file: options, the command before the first event, the events, the command after the last."""

    name: str
    options: tuple[Option, ...]
    prologue: Command | None
    events: tuple[Event, ...]
    epilogue: Command | None


class ScriptError(Exception):
    """A script that cannot be read: where, what stands there, and what could."""

    def __init__(self, name: str, place: Place, found: str, wanted: str) -> None:
        super().__init__(f"{name}:{place}: {found}, where {wanted}")
        self.name = name
        self.place = place
        self.found = found
        self.wanted = wanted
