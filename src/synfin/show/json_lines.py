"""Events as lines of JSON: a trace that can be stored, searched, and read back to equal events.

The first line names the format and its version; each further line is one event. A flow is written as it is seen in
packets that arrive, ``remote:port > local:port``; times are integer nanoseconds; a reason is its name. Events that
carry the very same packet give it the same ``id``, and share one packet again when they are read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from synfin.events import (
    CongestionChanged,
    Event,
    PacingChanged,
    PacketDelivered,
    PacketLost,
    PacketTransmitted,
    RoundTripMeasured,
    SegmentDropped,
    SegmentReceived,
    SegmentSent,
    StateChanged,
    TimerExpired,
    TimerStarted,
    TimerStopped,
    UserCalled,
    WindowChanged,
)
from synfin.reasons import Reason, all_reasons
from synfin.show.json_packets import Fields, Json, address_octets, address_text, packet_from_json, packet_to_json
from synfin.wire.ip import Packet

__all__ = ["FORMAT", "VERSION", "event_to_json_line", "events_from_json_lines", "events_to_json_lines", "first_line"]

FORMAT: Final = "synfin-events"
#: It grows when a line that was written before would be read otherwise, or not at all.
VERSION: Final = 1

#: Characters in one line, at most.
LONGEST_LINE: Final = 1 << 20
_MOST: Final = (1 << 63) - 1
_PORT_LENGTH: Final = 2

_CONNECTION: Final = ("flow",)
_SEGMENT: Final = ("flow", "packet", "state", "reason")
_WIRE: Final = ("number", "packet")
# The kinds of events with their fields, which are the names of the constructors' arguments after time and host.
_FIELDS: Final[Mapping[type[Event], tuple[str, ...]]] = {
    UserCalled: (*_CONNECTION, "call", "octets"),
    StateChanged: (*_CONNECTION, "old", "new", "reason"),
    SegmentSent: _SEGMENT,
    SegmentReceived: _SEGMENT,
    SegmentDropped: _SEGMENT,
    TimerStarted: (*_CONNECTION, "timer", "deadline"),
    TimerStopped: (*_CONNECTION, "timer"),
    TimerExpired: (*_CONNECTION, "timer"),
    CongestionChanged: (*_CONNECTION, "cwnd", "ssthresh", "flight", "reason"),
    WindowChanged: (*_CONNECTION, "snd_una", "snd_wnd"),
    RoundTripMeasured: (*_CONNECTION, "rtt", "srtt", "rttvar", "rto"),
    PacingChanged: (*_CONNECTION, "rate"),
    PacketTransmitted: _WIRE,
    PacketDelivered: _WIRE,
    PacketLost: (*_WIRE, "reason"),
}
_KINDS: Final[Mapping[str, Callable[..., Event]]] = {kind.__name__: kind for kind in _FIELDS}
_FIELDS_BY_NAME: Final = {kind.__name__: names for kind, names in _FIELDS.items()}
_TEXTS: Final = frozenset({"call", "old", "new", "state", "timer"})


def events_to_json_lines(events: Iterable[Event], *, payloads: bool = True) -> Iterator[str]:
    """Write `events`, a line each (without its end), after a first line that names format and version.

    Without `payloads` only the length of each TCP payload is told; what is read back then has none. Raises ValueError
    for a flow that is neither IPv4's nor IPv6's.
    """
    yield first_line()
    # The packets are kept, so that no other comes to have the same identity.
    known: dict[int, tuple[int, Packet]] = {}
    for event in events:
        number = 0
        packet = getattr(event, "packet", None)
        if packet is not None:
            number, _ = known.setdefault(id(packet), (len(known) + 1, packet))
        yield event_to_json_line(event, number, payloads)


def first_line() -> str:
    """What the lines begin with: format and version."""
    return json.dumps({"format": FORMAT, "version": VERSION})


def event_to_json_line(event: Event, number: int, payloads: bool) -> str:
    """One event; `number` is that of its packet, if it has one."""
    fields: dict[str, Json] = {"event": type(event).__name__, "time": event.time, "host": event.host}
    for name in _FIELDS[type(event)]:
        value = getattr(event, name)
        if isinstance(value, Packet):
            fields[name] = {"id": number, **packet_to_json(value, payloads)}
        elif isinstance(value, Reason):
            fields[name] = value.name
        elif isinstance(value, bytes):
            fields[name] = _flow_text(value)
        else:
            fields[name] = value
    return json.dumps(fields, ensure_ascii=False)


def events_from_json_lines(lines: Iterable[str]) -> list[Event]:
    """Read what `events_to_json_lines` wrote; empty lines are passed over.

    Raises ValueError, in one line that begins with the number of the line at fault, for anything else.
    """
    events: list[Event] = []
    reader: _Reader | None = None
    for number, line in enumerate(lines, 1):
        try:
            if len(line) > LONGEST_LINE:
                raise ValueError(f"longer than {LONGEST_LINE} characters")
            if not line.strip():
                continue
            value = _parse(line)
            if reader is None:
                _check_header(value)
                reader = _Reader()
            else:
                events.append(reader.event(value))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
    if reader is None:
        raise ValueError(f"line 1: not a {FORMAT} file")
    return events


def _parse(line: str) -> Json:
    try:
        value: Json = json.loads(line, object_pairs_hook=_object)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError("not JSON") from error
    return value


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return found


def _check_header(value: Json) -> None:
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise ValueError(f"not a {FORMAT} file")
    version = value.get("version")
    if version != VERSION or isinstance(version, bool):
        raise ValueError(f"version {str(version)[:20]!r}; this synfin reads version {VERSION}")


class _Reader:
    def __init__(self) -> None:
        self._packets: dict[int, Packet] = {}
        self._reasons = {reason.name: reason for reason in all_reasons()}

    def event(self, value: Json) -> Event:
        fields = Fields(value, "an event")
        name = fields.text("event")
        kind = _KINDS.get(name)
        if kind is None:
            raise ValueError(f"{name[:40]!r} is not a kind of event")
        time = fields.number("time", _MOST, least=-_MOST)
        host = fields.text("host")
        rest = {field: self._field(fields, field) for field in _FIELDS_BY_NAME[name]}
        fields.end()
        return kind(time=time, host=host, **rest)

    def _field(self, fields: Fields, name: str) -> object:
        if name == "flow":
            return _flow_octets(fields.text(name))
        if name == "packet":
            return self._packet(fields.value(name))
        if name == "reason":
            reason = fields.text(name)
            if reason not in self._reasons:
                raise ValueError(f"{reason[:40]!r} is not a reason")
            return self._reasons[reason]
        if name in _TEXTS:
            return fields.text(name)
        return fields.number(name, _MOST, least=-_MOST)

    def _packet(self, value: Json) -> Packet:
        if not isinstance(value, dict):
            raise ValueError("a packet is not an object")
        number = Fields({"id": value.get("id")}, "a packet").number("id", _MOST, least=1)
        packet = packet_from_json({name: field for name, field in value.items() if name != "id"})
        known = self._packets.setdefault(number, packet)
        if known != packet:
            raise ValueError(f"packet {number} is not what it was before")
        return known


# --- flows -------------------------------------------------------------------------------------------------------


def _flow_text(flow: bytes) -> str:
    size = (len(flow) - 2 * _PORT_LENGTH) // 2
    remote, local = flow[:size], flow[size : 2 * size]
    remote_port, local_port = flow[2 * size : 2 * size + _PORT_LENGTH], flow[2 * size + _PORT_LENGTH :]
    try:
        return f"{_end_text(remote, remote_port)} > {_end_text(local, local_port)}"
    except ValueError as error:
        raise ValueError(f"a flow has 12 or 36 octets, not {len(flow)}") from error


def _end_text(address: bytes, port: bytes) -> str:
    text = address_text(address)
    return f"[{text}]:{int.from_bytes(port)}" if ":" in text else f"{text}:{int.from_bytes(port)}"


def _flow_octets(text: str) -> bytes:
    remote, arrow, local = text.partition(" > ")
    remote_address, remote_port = _end_octets(remote)
    local_address, local_port = _end_octets(local)
    if not arrow or len(remote_address) != len(local_address):
        raise ValueError(f"{text[:120]!r} is not a flow")
    return remote_address + local_address + remote_port + local_port


def _end_octets(text: str) -> tuple[bytes, bytes]:
    address, _, port = text.rpartition(":")
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    octets = address_octets(address)
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 0xFFFF):
        raise ValueError(f"{text[:60]!r} is not an address and a port")
    return octets, int(port).to_bytes(_PORT_LENGTH)
