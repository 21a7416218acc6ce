"""An expected packet against one that was sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from synfin.drill import tcp_options
from synfin.drill.numbers import Numbers
from synfin.drill.options import MICROSECOND, Settings
from synfin.drill.outbound import Sent
from synfin.drill.packets import AE
from synfin.drill.script import IpFields, TcpOption, TcpPacket
from synfin.wire.ip import ECT_0, ECT_1, Packet
from synfin.wire.sequence import wrap
from synfin.wire.tcp import ACK, CWR, ECE, FIN, PSH, RST, SYN, URG

#: What one tick of the host's timestamp clock is, in nanoseconds.
TIMESTAMP_TICK: Final = 1_000_000
_FLAGS: Final = ((SYN, "S"), (FIN, "F"), (RST, "R"), (PSH, "P"), (ACK, "."), (URG, "U"), (ECE, "E"), (CWR, "W"))
_ECN: Final[Mapping[int, str]] = MappingProxyType({0: "noecn", 1: "ect1", 2: "ect0", 3: "ce"})
_PADDING: Final = frozenset({"nop", "eol"})


def differences(
    wanted: TcpPacket, found: Sent, numbers: Numbers, settings: Settings, lenient: bool
) -> Iterator[tuple[str, str, str]]:
    """What differs: name, expected, actual."""
    yield from _ip(wanted.ip, found.packet)
    if wanted.ports is not None and numbers.labels is not None and wanted.ports != numbers.labels:
        yield "ports", _ports(wanted.ports), _ports(numbers.labels)
    flags, mask = wanted.flags, ~0
    if lenient and not (found.ends_queue and found.length):
        mask = ~PSH
    if flags & mask != found.flags & mask:
        yield "flags", flags_text(flags), flags_text(found.flags)
    yield from _sequence(wanted, found, numbers)
    yield from _acknowledgment(wanted, found, numbers)
    if wanted.window is not None and not lenient and wanted.window != found.window:
        yield "win", str(wanted.window), str(found.window)
    if (wanted.urgent or 0) != found.urgent:
        yield "urg", str(wanted.urgent or 0), str(found.urgent)
    if not wanted.any_options:
        yield from _options(wanted.options or (), found, numbers, settings, lenient)
    if found.payload.strip(b"\0"):
        yield "payload", "zeros", "other octets"


def _ip(wanted: IpFields, packet: Packet) -> Iterator[tuple[str, str, str]]:
    ecn = packet.ecn
    if wanted.ecn == -1:
        if ecn not in (ECT_0, ECT_1):
            yield "ECN", "ect01", _ECN[ecn]
    elif wanted.ecn is not None and wanted.ecn != ecn:
        yield "ECN", _ECN[wanted.ecn], _ECN[ecn]
    if wanted.traffic_class is not None and wanted.traffic_class != packet.traffic_class:
        yield "tos", hex(wanted.traffic_class), hex(packet.traffic_class)
    if wanted.dscp is not None and wanted.dscp != packet.traffic_class >> 2:
        yield "dscp", hex(wanted.dscp), hex(packet.traffic_class >> 2)
    if wanted.ttl is not None and wanted.ttl != packet.ttl:
        yield "ttl", str(wanted.ttl), str(packet.ttl)
    if wanted.flow_label is not None and wanted.flow_label != packet.flow_label:
        yield "flowlabel", hex(wanted.flow_label), hex(packet.flow_label)


def _sequence(wanted: TcpPacket, found: Sent, numbers: Numbers) -> Iterator[tuple[str, str, str]]:
    sequence = wanted.sequence
    length = sequence.length
    start = sequence.start
    if length != found.length:
        yield "length", str(length), str(found.length)
    if start is None:
        return
    if sequence.absolute:
        differs = wrap(start) != found.live_seq
    elif found.flags & SYN and wanted.flags & SYN:
        # The script says what our SYN's number is called; it is the same each time.
        if numbers.script_isn is None:
            numbers.script_isn = start
        differs = found.live_seq != numbers.ours or start != numbers.script_isn
    else:
        differs = bool(wrap(start - found.seq))
    if differs:
        actual = found.live_seq if sequence.absolute else found.seq
        yield "seq", str(start), str(actual)


def _acknowledgment(wanted: TcpPacket, found: Sent, numbers: Numbers) -> Iterator[tuple[str, str, str]]:
    if not found.flags & ACK:
        if found.live_ack != (wanted.ack or 0):
            yield "ack", str(wanted.ack or 0), str(found.live_ack)
        return
    if wanted.ack is None:
        return
    if wanted.ack_absolute:
        if wrap(wanted.ack + numbers.offset) != found.live_ack:
            yield "ack", f"{wanted.ack}!", f"{wrap(found.live_ack - numbers.offset)}!"
    elif wrap(wanted.ack - found.ack):
        yield "ack", str(wanted.ack), str(found.ack)


def _options(
    wanted: tuple[TcpOption, ...], found: Sent, numbers: Numbers, settings: Settings, lenient: bool
) -> Iterator[tuple[str, str, str]]:
    actual = list(found.options)
    expected = list(wanted)
    if lenient:
        expected = sorted((option for option in expected if option.name not in _PADDING), key=_order)
        actual = sorted((option for option in actual if option.name not in _PADDING), key=_order)
    if [option.name for option in expected] != [option.name for option in actual]:
        yield "options", options_text(wanted), options_text(found.options)
        return
    for ours, theirs in zip(expected, actual, strict=True):
        if ours.name == "TS":
            if ours.numbers[1] != theirs.numbers[1]:
                yield "TS ecr", str(ours.numbers[1]), str(theirs.numbers[1])
            if not _timestamp_fits(ours.numbers[0], theirs.numbers[0], numbers, settings):
                yield "TS val", str(ours.numbers[0]), str(_script_timestamp(theirs.numbers[0], numbers))
        elif ours.name == "sack":
            if [wrap(edge) for edge in ours.numbers] != list(theirs.numbers):
                yield "sack", tcp_options.words(ours), tcp_options.words(theirs)
        elif ours != theirs:
            yield ours.name, tcp_options.words(ours), tcp_options.words(theirs)


def _order(option: TcpOption) -> str:
    return option.name


def _timestamp_fits(script: int, live: int, numbers: Numbers, settings: Settings) -> bool:
    tick = settings.timestamp_tick
    if not tick or numbers.first_timestamp is None:
        return True
    first_script, first_live = numbers.first_timestamp
    expected = wrap(script - first_script) * tick
    actual = wrap(live - first_live) * TIMESTAMP_TICK
    return abs(expected - actual) <= max(settings.tolerance, tick)


def _script_timestamp(live: int, numbers: Numbers) -> int:
    if numbers.first_timestamp is None:
        return live
    first_script, first_live = numbers.first_timestamp
    return wrap(live - first_live + first_script)


def accepted(wanted: TcpPacket, found: Sent, numbers: Numbers) -> None:
    """Learns from a packet that is what the script expects: which timestamps of both belong together."""
    script = next((option.numbers[0] for option in wanted.options or () if option.name == "TS"), None)
    live = next((option.numbers[0] for option in found.options if option.name == "TS"), None)
    if script is not None and live is not None:
        numbers.timestamp_leaves(script, live)


# --- in words


def flags_text(flags: int) -> str:
    """Flags as a script writes them."""
    text = "".join(letter for bit, letter in _FLAGS if flags & bit)
    return (text + "A" if flags & AE else text) or "-"


def options_text(options: tuple[TcpOption, ...]) -> str:
    """Options as a script writes them."""
    return "<" + ",".join(tcp_options.words(option) for option in options) + ">"


def _ports(ports: tuple[int, int]) -> str:
    return f"{ports[0]} > {ports[1]}"


def packet_text(wanted: TcpPacket, found: Sent, numbers: Numbers) -> str:
    """What was sent, in the script's notation, with the fields that the script's packet has."""
    parts = [">"]
    fields = _ip_text(wanted.ip, found.packet)
    if fields:
        parts.append(f"[{fields}]")
    if wanted.ports is not None:
        parts.append(_ports(numbers.labels or found.ports))
    parts.append(flags_text(found.flags))
    absolute = wanted.sequence.absolute
    start = found.live_seq if absolute else found.seq
    parts.append(f"{start}:{start + found.length}({found.length}){'!' if absolute else ''}")
    if found.flags & ACK or found.live_ack:
        parts.append(f"ack {found.ack}")
    if wanted.window is not None:
        parts.append(f"win {found.window}")
    if found.urgent or wanted.urgent is not None:
        parts.append(f"urg {found.urgent}")
    if found.options or wanted.options:
        shown = tuple(_shown(option, numbers) for option in found.options)
        parts.append(options_text(shown))
    return " ".join(parts)


def _shown(option: TcpOption, numbers: Numbers) -> TcpOption:
    if option.name != "TS":
        return option
    return TcpOption("TS", (_script_timestamp(option.numbers[0], numbers), option.numbers[1]))


def _ip_text(wanted: IpFields, packet: Packet) -> str:
    parts = []
    if wanted.ecn is not None:
        parts.append(_ECN[packet.ecn])
    if wanted.traffic_class is not None:
        parts.append(f"tos {packet.traffic_class:#x}")
    if wanted.dscp is not None:
        parts.append(f"dscp {packet.traffic_class >> 2:#x}")
    if wanted.ttl is not None:
        parts.append(f"ttl {packet.ttl}")
    if wanted.flow_label is not None:
        parts.append(f"flowlabel {packet.flow_label:#x}")
    return ", ".join(parts)


def milliseconds(time: int) -> str:
    """A time in seconds, as scripts write it."""
    return f"{time / (1000 * MICROSECOND * 1000):.6f}".rstrip("0").rstrip(".")
