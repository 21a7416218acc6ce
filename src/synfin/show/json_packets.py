"""Packets as JSON objects, and back: header fields under their own names, addresses and flags as people write them.

What has its default value is left out. Octets are base64.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Final, TypeAlias, TypeVar

from synfin.wire.ip import IcmpMessage, Packet
from synfin.wire.tcp import AE, NO_OPTIONS, Options, Segment, flag_names

T = TypeVar("T")
Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None

_FLAGS: Final[Mapping[str, int]] = {flag_names(bit): bit for bit in (1 << shift for shift in range(AE.bit_length()))}
_OCTET: Final = 0xFF
_SHORT: Final = 0xFFFF
_LONG: Final = 0xFFFFFFFF
_FLOW_LABEL: Final = 0xFFFFF
_RESERVED: Final = 7
# A superpacket of the largest kind that Linux makes (BIG TCP).
_MOST_OCTETS: Final = 1 << 19
_MOST_OPTIONS: Final = 40

# Numbers: their names, which are those of the constructors' arguments, largest and default values.
_PACKET_NUMBERS: Final = (
    ("ttl", _OCTET, 64),
    ("traffic_class", _OCTET, 0),
    ("flow_label", _FLOW_LABEL, 0),
    ("identification", _LONG, 0),
    ("fragment_offset", _SHORT, 0),
)
_SEGMENT_NUMBERS: Final = (("segment_size", _SHORT, 0), ("up", _SHORT, 0), ("reserved", _RESERVED, 0))


class Fields:
    """The fields of a JSON object while it is read: each is taken once, and none may be left over."""

    __slots__ = ("_name", "_rest")

    def __init__(self, value: Json, name: str) -> None:
        if not isinstance(value, dict):
            raise ValueError(f"{name} is not an object")
        self._rest = dict(value)
        self._name = name

    def has(self, name: str) -> bool:
        return name in self._rest

    def value(self, name: str) -> Json:
        """Any value. Raises ValueError if there is none."""
        if name not in self._rest:
            raise ValueError(f"{self._name} has no {name}")
        return self._rest.pop(name)

    def number(self, name: str, most: int, default: int | None = None, least: int = 0) -> int:
        """An integer within limits."""
        if default is not None and name not in self._rest:
            return default
        value = self.value(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{name} is not an integer")
        if not least <= value <= most:
            raise ValueError(f"{name} is not from {least} to {most}")
        return value

    def text(self, name: str) -> str:
        """A string."""
        value = self.value(name)
        if not isinstance(value, str):
            raise ValueError(f"{name} is not a string")
        return value

    def truth(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self._rest.pop(name, default)
        if not isinstance(value, bool):
            raise ValueError(f"{name} is neither true nor false")
        return value

    def octets(self, name: str, most: int = _MOST_OCTETS) -> bytes:
        """Octets in base64; none if there is no such field."""
        if name not in self._rest:
            return b""
        text = self.text(name)
        try:
            value = b64decode(text, validate=True)
        except ValueError as error:
            raise ValueError(f"{name} is not base64") from error
        if len(value) > most:
            raise ValueError(f"{name} has more than {most} octets")
        return value

    def items(self, name: str, most: int) -> list[Json]:
        """A list; an empty one if there is no such field."""
        value = self._rest.pop(name, [])
        if not isinstance(value, list) or len(value) > most:
            raise ValueError(f"{name} is not a list of at most {most}")
        return value

    def end(self) -> None:
        """Raises ValueError if a field has not been taken."""
        for name in self._rest:
            raise ValueError(f"{self._name} has an unknown field {name[:40]!r}")


def _base64(data: bytes | memoryview) -> str:
    return b64encode(data).decode("ascii")


def address_text(address: bytes) -> str:
    """An address of 4 or 16 octets as it is written (RFC 5952). Raises ValueError for another length."""
    return str(ip_address(address))


def address_octets(text: str) -> bytes:
    """The octets of an address. Raises ValueError if it is none."""
    try:
        if "%" not in text:
            return ip_address(text).packed
    except ValueError:
        pass
    raise ValueError(f"{text[:50]!r} is not an IP address")


# --- writing -----------------------------------------------------------------------------------------------------


def packet_to_json(packet: Packet, payloads: bool) -> dict[str, Json]:
    """The packet as an object; without `payloads` only the lengths of TCP payloads and of other octets are told."""
    found: dict[str, Json] = {
        "source": address_text(packet.source),
        "destination": address_text(packet.destination),
        "protocol": packet.protocol,
    }
    for name, _, default in _PACKET_NUMBERS:
        value: int = getattr(packet, name)
        if value != default:
            found[name] = value
    if not packet.dont_fragment:
        found["dont_fragment"] = False
    if packet.more_fragments:
        found["more_fragments"] = True
    if packet.extension:
        found["extension"] = _base64(packet.extension)
    payload = packet.payload
    if isinstance(payload, Segment):
        found["tcp"] = _segment_to_json(payload, payloads)
    elif isinstance(payload, IcmpMessage):
        found["icmp"] = {
            "type": payload.type,
            "code": payload.code,
            "parameter": payload.parameter,
            "body": _base64(payload.body),
        }
    else:
        found["octets"] = _base64(payload)
    return found


def _segment_to_json(segment: Segment, payloads: bool) -> dict[str, Json]:
    found: dict[str, Json] = {
        "source_port": segment.source_port,
        "destination_port": segment.destination_port,
        "flags": "" if not segment.flags else flag_names(segment.flags),
        "seq": segment.seq,
        "ack": segment.ack,
        "wnd": segment.wnd,
        "length": segment.payload_length,
    }
    for name, _, default in _SEGMENT_NUMBERS:
        value: int = getattr(segment, name)
        if value != default:
            found[name] = value
    options = _options_to_json(segment.options)
    if options:
        found["options"] = options
    if payloads and segment.payload_length:
        found["payload"] = _base64(segment.payload_bytes())
    return found


def _options_to_json(options: Options) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name in ("mss", "window_scale", "ts_val", "ts_ecr"):
        value: int | None = getattr(options, name)
        if value is not None:
            found[name] = value
    if options.sack_permitted:
        found["sack_permitted"] = True
    if options.sack:
        found["sack"] = [[start, end] for start, end in options.sack]
    if options.others:
        found["others"] = [[kind, _base64(data)] for kind, data in options.others]
    if options.layout:
        found["layout"] = list(options.layout)
    return found


# --- reading -----------------------------------------------------------------------------------------------------


def packet_from_json(value: Json) -> Packet:
    """The packet that `packet_to_json` wrote. Raises ValueError, in one line, for anything else."""
    fields = Fields(value, "a packet")
    source, destination = address_octets(fields.text("source")), address_octets(fields.text("destination"))
    if len(source) != len(destination):
        raise ValueError("a packet's addresses are of different versions")
    protocol = fields.number("protocol", _OCTET)
    numbers = {name: fields.number(name, most, default) for name, most, default in _PACKET_NUMBERS}
    dont_fragment = fields.truth("dont_fragment", True)
    more_fragments = fields.truth("more_fragments", False)
    extension = fields.octets("extension", _SHORT)
    payload: Segment | IcmpMessage | bytes
    if fields.has("tcp"):
        payload = _segment_from_json(fields.value("tcp"))
    elif fields.has("icmp"):
        payload = _icmp_from_json(fields.value("icmp"))
    else:
        payload = fields.octets("octets")
    fields.end()
    return Packet(
        source,
        destination,
        protocol,
        payload,
        numbers["ttl"],
        numbers["traffic_class"],
        numbers["flow_label"],
        numbers["identification"],
        dont_fragment,
        more_fragments,
        numbers["fragment_offset"],
        extension,
    )


def _icmp_from_json(value: Json) -> IcmpMessage:
    fields = Fields(value, "icmp")
    message = IcmpMessage(
        fields.number("type", _OCTET),
        fields.number("code", _OCTET),
        fields.number("parameter", _LONG),
        fields.octets("body"),
    )
    fields.end()
    return message


def _segment_from_json(value: Json) -> Segment:
    fields = Fields(value, "tcp")
    length = fields.number("length", _MOST_OCTETS)
    payload: tuple[bytes, ...] = ()
    if fields.has("payload"):
        payload = (fields.octets("payload"),)
        if len(payload[0]) != length:
            raise ValueError(f"length is {length}, and payload has {len(payload[0])} octets")
    segment = Segment(
        fields.number("source_port", _SHORT),
        fields.number("destination_port", _SHORT),
        fields.number("seq", _LONG),
        fields.number("ack", _LONG),
        _flags(fields.text("flags")),
        fields.number("wnd", _SHORT),
        _options_from_json(fields.value("options")) if fields.has("options") else NO_OPTIONS,
        payload,
        payload_length=length,
        **{name: fields.number(name, most, default) for name, most, default in _SEGMENT_NUMBERS},
    )
    fields.end()
    return segment


def _flags(text: str) -> int:
    flags = 0
    for name in text.split(",") if text else ():
        if name not in _FLAGS:
            raise ValueError(f"{name[:20]!r} is not a TCP flag")
        flags |= _FLAGS[name]
    return flags


def _options_from_json(value: Json) -> Options:
    fields = Fields(value, "options")

    def optional(name: str, most: int) -> int | None:
        return fields.number(name, most) if fields.has(name) else None

    options = Options(
        optional("mss", _SHORT),
        optional("window_scale", _OCTET),
        fields.truth("sack_permitted", False),
        optional("ts_val", _LONG),
        optional("ts_ecr", _LONG),
        tuple(_pair(item, "sack", _number) for item in fields.items("sack", _MOST_OPTIONS)),
        tuple(_pair(item, "others", _octets) for item in fields.items("others", _MOST_OPTIONS)),
        tuple(_number(item, "layout", _OCTET) for item in fields.items("layout", _MOST_OPTIONS)),
    )
    fields.end()
    if (options.ts_val is None) != (options.ts_ecr is None):
        raise ValueError("ts_val and ts_ecr stand together")
    return options


def _number(value: Json, name: str, most: int = _LONG) -> int:
    return Fields({name: value}, "options").number(name, most)


def _octets(value: Json, name: str) -> bytes:
    return Fields({name: value}, "options").octets(name, _MOST_OPTIONS)


def _pair(value: Json, name: str, second: Callable[[Json, str], T]) -> tuple[int, T]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"{name} is not a list of pairs")
    return (_number(value[0], name), second(value[1], name))
