"""An expected packet against one that was sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from synfin.drill.bench.numbers import Numbers
from synfin.drill.bench.outbound import Sent
from synfin.drill.language.notation import flags_text, option_text
from synfin.drill.language.packets import AE
from synfin.drill.language.script import IpFields, Sequence, TcpOption, TcpPacket
from synfin.drill.options import Settings
from synfin.drill.outcome import Skipped
from synfin.wire.ip import ECT_0, ECT_1, Packet
from synfin.wire.sequence import wrap
from synfin.wire.tcp import ACK, CWR, ECE, PSH, SYN

#: What one tick of the host's timestamp clock is, in nanoseconds.
TIMESTAMP_TICK: Final = 1_000_000
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


def _ports(ports: tuple[int, int]) -> str:
    return f"{ports[0]} > {ports[1]}"


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
    for option in expected:
        if option.unsupported is not None or option.word is not None:
            raise Skipped(f"the option <{option_text(option)}> is not supported")
    if [option.name for option in expected] != [option.name for option in actual]:
        yield "options", _clause(wanted), _clause(found.options)
        return
    for ours, theirs in zip(expected, actual, strict=True):
        if ours.name == "TS":
            if 1 not in ours.unchecked and ours.numbers[1] != theirs.numbers[1]:
                yield "TS ecr", str(ours.numbers[1]), str(theirs.numbers[1])
            if 0 not in ours.unchecked and not _timestamp_fits(ours.numbers[0], theirs.numbers[0], numbers, settings):
                yield "TS val", str(ours.numbers[0]), str(_script_timestamp(theirs.numbers[0], numbers))
        elif ours.name == "sack":
            if [wrap(edge) for edge in ours.numbers] != list(theirs.numbers):
                yield "sack", option_text(ours), option_text(theirs)
        elif not _same(ours, theirs):
            yield ours.name, option_text(ours), option_text(theirs)


def _same(wanted: TcpOption, found: TcpOption) -> bool:
    numbers = enumerate(zip(wanted.numbers, found.numbers, strict=True))
    return wanted.octets == found.octets and all(
        place in wanted.unchecked or ours == theirs for place, (ours, theirs) in numbers
    )


def _clause(options: tuple[TcpOption, ...]) -> str:
    return f"<{','.join(map(option_text, options))}>"


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
    timestamps = (option for option in wanted.options or () if option.name == "TS" and 0 not in option.unchecked)
    script = next((option.numbers[0] for option in timestamps), None)
    live = next((option.numbers[0] for option in found.options if option.name == "TS"), None)
    if script is not None and live is not None:
        numbers.timestamp_leaves(script, live)


# --- in the script's notation


def as_scripted(wanted: TcpPacket, found: Sent, numbers: Numbers) -> TcpPacket:
    """What was sent as a script's packet, with the fields that the expected one has."""
    absolute = wanted.sequence.absolute
    start = found.live_seq if absolute else found.seq
    ack: int | None = None
    if found.flags & ACK or found.live_ack:
        ack = wrap(found.live_ack - numbers.offset) if wanted.ack_absolute else found.ack
    return TcpPacket(
        False,
        found.flags,
        Sequence(start, start + found.length, found.length, absolute),
        _ip_fields(wanted.ip, found.packet),
        (numbers.labels or found.ports) if wanted.ports is not None else None,
        _ace(found.flags) if wanted.ace is not None else None,
        ack,
        wanted.ack_absolute and ack is not None,
        found.window if wanted.window is not None else None,
        found.urgent if found.urgent or wanted.urgent is not None else None,
        tuple(_shown(option, numbers) for option in found.options) if found.options or wanted.options else None,
    )


def _ace(flags: int) -> int:
    return (4 if flags & AE else 0) | (2 if flags & CWR else 0) | (1 if flags & ECE else 0)


def _ip_fields(wanted: IpFields, packet: Packet) -> IpFields:
    return IpFields(
        None if wanted.ecn is None else packet.ecn,
        None if wanted.traffic_class is None else packet.traffic_class,
        None if wanted.dscp is None else packet.traffic_class >> 2,
        None if wanted.ttl is None else packet.ttl,
        None if wanted.flow_label is None else packet.flow_label,
    )


def _shown(option: TcpOption, numbers: Numbers) -> TcpOption:
    if option.name != "TS":
        return option
    return TcpOption("TS", (_script_timestamp(option.numbers[0], numbers), option.numbers[1]))
