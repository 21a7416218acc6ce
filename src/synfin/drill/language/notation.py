"""Writes values of `script.py` in the script's own notation: what is written is read as the same value again."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from synfin.drill.language.packets import AE, asks_for_valid_md5
from synfin.drill.language.script import (
    Action,
    Anything,
    Array,
    Call,
    Code,
    Command,
    Either,
    Event,
    Expression,
    Function,
    IcmpPacket,
    IpFields,
    Number,
    Operation,
    Option,
    OtherPacket,
    Script,
    Sequence,
    TcpOption,
    TcpPacket,
    Text,
    When,
    Word,
)
from synfin.wire.tcp import ACK, CWR, ECE, FIN, PSH, RST, SYN, URG

Notable: TypeAlias = Script | Event | Action | Expression | When | Option | TcpOption | Sequence | IpFields

_LETTERS: Final = ((FIN, "F"), (SYN, "S"), (RST, "R"), (PSH, "P"), (URG, "U"), (ECE, "E"), (CWR, "W"), (AE, "A"))
_ECN_WORDS: Final[Mapping[int, str]] = MappingProxyType({0: "noecn", 1: "ect1", 2: "ect0", 3: "ce", -1: "ect01"})
_ESCAPES: Final[Mapping[str, str]] = MappingProxyType({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_SECOND: Final = 1_000_000_000


def script_text(value: Notable) -> str:
    """`value` in the language of scripts: a whole script with a newline at its end, anything else without.

    Raises ValueError for what the language cannot say.
    """
    if isinstance(value, Script):
        return _script(value)
    if isinstance(value, Event):
        return f"{_when(value.when)} {script_text(value.action)}"
    if isinstance(value, Option):
        return _option(value)
    if isinstance(value, When):
        return _when(value)
    if isinstance(value, TcpPacket):
        return _tcp(value)
    if isinstance(value, IcmpPacket):
        return _icmp(value)
    if isinstance(value, OtherPacket):
        return f"{_direction(value.inbound)} {value.words}"
    if isinstance(value, TcpOption):
        return option_text(value)
    if isinstance(value, Sequence):
        return sequence_text(value)
    if isinstance(value, IpFields):
        return _ip(value)
    if isinstance(value, Command):
        return f"`{value.text}`"
    if isinstance(value, Code):
        return f"%{{{value.text}}}%"
    return _call(value) if isinstance(value, Call) else _expression(value)


def _script(script: Script) -> str:
    lines = [_option(option) for option in script.options]
    if script.prologue is not None:
        lines.append(script_text(script.prologue))
    lines += [script_text(event) for event in script.events]
    if script.epilogue is not None:
        lines.append(script_text(script.epilogue))
    return "".join(f"{line}\n" for line in lines)


def _option(option: Option) -> str:
    value = option.value
    if value is not None and any(character.isspace() for character in value):
        name, equal, rest = value.partition("=") if option.name == "D" else ("", "", value)
        value = f'{name}{equal}"{rest}"'
    if option.name == "D":
        return f"-D {value}"
    return f"--{option.name}" if value is None else f"--{option.name}={value}"


def _when(when: When) -> str:
    if when.any_time:
        return "*"
    sign = "+" if when.relative else ""
    if when.until is None:
        return sign + seconds(when.start)
    return (
        f"{sign}{seconds(when.start)}{'...' if when.blocking else '~'}{sign * (not when.blocking)}{seconds(when.until)}"
    )


def seconds(nanoseconds: int) -> str:
    """A time in seconds, as short as it can be: ``0``, ``0.25``."""
    whole, rest = divmod(nanoseconds, _SECOND)
    return f"{whole}.{rest:09}".rstrip("0").rstrip(".")


# --- packets ------------------------------------------------------------------------------------------------------


def _direction(inbound: bool) -> str:
    return "<" if inbound else ">"


def flags_text(flags: int, ace: int | None = None) -> str:
    """``S``, ``P.``; with `ace` the number of that field rather than its three letters; ``-`` for none at all."""
    if ace is not None:
        flags &= ~(ECE | CWR | AE)
    letters = "".join(letter for bit, letter in _LETTERS if flags & bit)
    return letters + ("." if flags & ACK else "") + ("" if ace is None else str(ace)) or "-"


def sequence_text(sequence: Sequence) -> str:
    """``1:1001(1000)``, ``...(0)``, ``1:1(0)!``."""
    if sequence.start is None:
        return f"...({sequence.length})"
    return f"{sequence.start}:{sequence.end}({sequence.length}){'!' if sequence.absolute else ''}"


def _tcp(packet: TcpPacket) -> str:
    words = [_direction(packet.inbound)]
    if packet.ip != IpFields():
        words.append(_ip(packet.ip))
    if packet.ports is not None:
        words.append(f"{packet.ports[0]} > {packet.ports[1]}")
    words += [flags_text(packet.flags, packet.ace), sequence_text(packet.sequence)]
    if packet.ack is not None or packet.ack_absolute:
        words.append(f"ack {packet.ack}{'!' if packet.ack_absolute else ''}")
    if packet.window is not None:
        words.append(f"win {packet.window}")
    if packet.urgent is not None:
        words.append(f"urg {packet.urgent}")
    if packet.any_options:
        words.append("<...>")
    elif packet.options is not None:
        words.append(f"<{','.join(map(option_text, packet.options))}>")
    if packet.md5_valid and not asks_for_valid_md5(packet.options):
        words.append("md5 valid")
    return " ".join(words)


def _ip(ip: IpFields) -> str:
    named = (("tos", ip.traffic_class), ("dscp", ip.dscp), ("ttl", ip.ttl), ("flowlabel", ip.flow_label))
    words = [] if ip.ecn is None else [_ECN_WORDS[ip.ecn]]
    words += [f"{name} {hex(value) if name in _HEXADECIMAL else value}" for name, value in named if value is not None]
    return f"[{', '.join(words)}]"


_HEXADECIMAL: Final = frozenset({"tos", "flowlabel"})


def option_text(option: TcpOption) -> str:
    """``mss 1460``, ``TS val 100 ecr 0``, ``sack 1:1001``."""
    if option.unsupported is not None:
        return option.unsupported
    numbers = ["..." if place in option.unchecked else str(number) for place, number in enumerate(option.numbers)]
    if option.name == "TS":
        return f"TS val {numbers[0]} ecr {numbers[1]}{'!' if option.absolute else ''}"
    if option.name == "sack":
        edges = option.numbers
        return " ".join(["sack", *(f"{left}:{right}" for left, right in zip(edges[::2], edges[1::2], strict=True))])
    name, *counters = option.name.split()
    if name == "ECN":
        return " ".join([name, *(f"{each} {number}" for each, number in zip(counters, numbers, strict=True))])
    if option.word is not None:
        return f"{name} {option.word}"
    if option.octets is not None:
        return f"{name} {option.octets.hex()}".rstrip()
    return "md5 valid" if name == "md5" else " ".join([name, *numbers])


def _icmp(packet: IcmpPacket) -> str:
    words = [_direction(packet.inbound)]
    if packet.ip != IpFields():
        words.append(_ip(packet.ip))
    words += ["icmp", packet.kind]
    if packet.code is not None:
        words.append(packet.code)
    if packet.mtu is not None:
        words.append(f"mtu {packet.mtu}")
    if packet.identifier is not None:
        words.append(f"id {packet.identifier}")
    if packet.quoted is not None:
        words.append(f"[{sequence_text(packet.quoted)}]")
    return " ".join(words)


# --- calls --------------------------------------------------------------------------------------------------------


def _call(call: Call) -> str:
    text = f"{call.name}({', '.join(map(_expression, call.arguments))})"
    if call.result is not None:
        text += f" = {_expression(call.result)}"
    if call.errno is not None:
        text += f" {call.errno}"
    return text if call.note is None else f"{text} ({call.note})"


def _expression(value: Expression) -> str:
    if isinstance(value, Anything):
        return "..."
    if isinstance(value, Number):
        return str(value.value)
    if isinstance(value, Text):
        return f'"{"".join(map(_escaped, value.value))}"'
    if isinstance(value, Word):
        return value.name
    if isinstance(value, Either):
        return "|".join(map(_operand, value.parts))
    if isinstance(value, Operation):
        operands = [_operand(each) for each in value.operands]
        return value.operator + operands[0] if len(operands) == 1 else value.operator.join(operands)
    if isinstance(value, Function):
        return f"{value.name}({', '.join(map(_expression, value.arguments))})"
    if isinstance(value, Array):
        return f"[{', '.join(map(_expression, value.items))}]"
    members = (f"{name}={_expression(each)}" if name else _expression(each) for name, each in value.members)
    return f"{{{', '.join(members)}}}"


def _operand(value: Expression) -> str:
    """A value beside an operator: in parentheses where it has an operator of its own."""
    text = _expression(value)
    return f"({text})" if isinstance(value, Either | Operation) else text


def _escaped(character: str) -> str:
    if " " <= character <= "~" and character not in '"\\':
        return character
    if character > "\xff":
        raise ValueError(f"{character!r} is no octet")
    return _ESCAPES.get(character, f"\\{ord(character):03o}")
