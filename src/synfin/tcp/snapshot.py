"""A connection as a value: dumped, carried elsewhere, and restored in mid-transfer, as Linux's TCP_REPAIR does.

A snapshot is made of plain values: numbers, texts, octets, lists and dictionaries. What belongs to the host is not in
it: parameters, tracer, the driver's marks. Times in it count from the moment of the dump, so that the new host may have
another clock; the timestamp option goes on where it was (RFC 7323 §5.4).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from errno import ENOTCONN
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar

from synfin import reasons
from synfin.events import Tracer
from synfin.reasons import Reason
from synfin.tcp import states
from synfin.tcp.acknowledging import Acknowledging
from synfin.tcp.congestion import CongestionControl, congestion_control
from synfin.tcp.congestion.validation import WindowValidation
from synfin.tcp.connection import Connection
from synfin.tcp.counts import Counts
from synfin.tcp.ecn import Ecn
from synfin.tcp.errors import os_error
from synfin.tcp.keepalive import KeepAlive
from synfin.tcp.mtu_probing import MtuSearch
from synfin.tcp.parameters import MILLISECOND, TcpParameters
from synfin.tcp.reassembly import Reassembly, ReceiveQueue
from synfin.tcp.recovery import LossRecovery, loss_recovery
from synfin.tcp.round_trip import RoundTrip
from synfin.tcp.send_buffer import SendBuffer
from synfin.tcp.sent import SentRecord
from synfin.tcp.settings import Settings
from synfin.tcp.tcb import Identity, Tcb, Urgent
from synfin.tcp.timers import NEVER, Timers

Plain: TypeAlias = "int | str | bytes | list[Plain] | dict[str, Plain] | None"
Snapshot: TypeAlias = dict[str, Plain]
T = TypeVar("T")

#: What a change of this file, or of what it walks over, makes another.
VERSION: Final = 2

#: Attributes that belong to the host or are given to the constructor.
_OF_THE_HOST: Final = frozenset({"parameters", "tracer", "identity", "memory", "happened", "wake"})
#: Attributes that hold a moment in nanoseconds; a negative one means never, and is dumped as None.
_MOMENTS: Final = frozenset(
    {
        "began_at",
        "busy_since",
        "challenged_at",
        "epoch_start",
        "first_retransmission",
        "half_began_at",
        "heard",
        "last_data_received",
        "last_received",
        "last_sent",
        "non_validated_since",
        "observed_at",
        "pipe_period_since",
        "pipe_sample_since",
        "probing_since",
        "rcv_space_since",
        "rto_since",
        "rwnd_since",
        "sent_at",
        "ts_recent_at",
        "undo_epoch_start",
    }
)
_REASONS: Final[Mapping[str, Reason]] = MappingProxyType({reason.name: reason for reason in reasons.all_reasons()})


def dump(connection: Connection, now: int) -> Snapshot:
    """The connection as it is at `now`, which stays as it is.

    Raises OSError with ENOTCONN for one that is in CLOSED or TIME-WAIT.
    """
    if connection.state in (states.CLOSED, states.TIME_WAIT):
        raise os_error(ENOTCONN)
    snapshot: Snapshot = {"version": VERSION, "flow": connection.identity.flow, "clock": now // MILLISECOND}
    for name in Tcb.__slots__:
        if name not in _OF_THE_HOST:
            snapshot[name] = _dumped(name, getattr(connection, name), now)
    return snapshot


def restore(snapshot: Snapshot, parameters: TcpParameters, now: int, tracer: Tracer | None = None) -> Connection:
    """The connection of which `snapshot` was made, on a host with these `parameters` whose clock shows `now`.

    Raises ValueError for what is no snapshot of this version.
    """
    if snapshot.get("version") != VERSION:
        raise ValueError(f"a snapshot of version {snapshot.get('version')!r}, where {VERSION} is understood")
    try:
        return _restored(snapshot, parameters, now, tracer)
    except (KeyError, TypeError, AttributeError) as wrong:
        raise ValueError(f"no snapshot of a connection: {wrong!r}") from None


def to_json(snapshot: Snapshot) -> str:
    """The snapshot as text that json can read; octets are hexadecimal behind ``0x``."""
    return json.dumps(snapshot, default=lambda octets: "0x" + octets.hex())


def from_json(text: str) -> Snapshot:
    """The snapshot that `to_json` wrote. Raises ValueError for anything else."""
    snapshot = json.loads(text)
    if not isinstance(snapshot, dict):
        raise ValueError("no snapshot of a connection")
    return {name: _with_octets(value) for name, value in snapshot.items()}


def _with_octets(value: Plain) -> Plain:
    if isinstance(value, str) and value.startswith("0x"):
        return bytes.fromhex(value[2:])
    if isinstance(value, list):
        return [_with_octets(each) for each in value]
    if isinstance(value, dict):
        return {name: _with_octets(each) for name, each in value.items()}
    return value


# --- dumping ------------------------------------------------------------------------------------------------------


def _dumped(name: str, value: object, now: int) -> Plain:
    match value:
        case int():
            if name in _MOMENTS:
                return value - now if value >= 0 else None
            return int(value)
        case str() | bytes() | None:
            return value
        case Reason():
            return value.name
        case tuple():
            return [_dumped(name, each, now) for each in value]
        case Timers():
            return [deadline if deadline == NEVER else deadline - now for deadline in value.deadlines]
        case SendBuffer():
            return {
                "start": value.start,
                "octets": b"".join(value.pieces(value.start, value.end)),
                "pushes": list(value.pushes()),
            }
        case SentRecord():
            return {
                "fack": value.fack,
                "serial": value.transmissions.serial,
                "order": [[time - now, *others] for time, *others in value.transmissions.all()],
                "ranges": [_fields(entry, now) for entry in value.entries()],
            }
        case ReceiveQueue():
            return [bytes(piece) for piece in value.pieces()]
        case Reassembly():
            # Those that changed last are restored last.
            order = {block.start: -place for place, block in enumerate(value.recent)}
            blocks = sorted(value.blocks(), key=lambda block: order.get(block.start, -len(order)))
            return [[block.start, b"".join(block.pieces)] for block in blocks]
        case CongestionControl() | LossRecovery():
            return {"name": value.name, **_fields(value, now)}
        case RoundTrip() | Acknowledging() | Settings() | Counts() | WindowValidation():
            return _fields(value, now)
        case KeepAlive() | Urgent() | Ecn() | MtuSearch():
            return _fields(value, now)
    raise TypeError(f"{name} is a {type(value).__name__}, which cannot be dumped")


def _slots(value: object) -> list[str]:
    return [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ()) if name not in _OF_THE_HOST]


def _fields(value: object, now: int) -> dict[str, Plain]:
    return {name: _dumped(name, getattr(value, name), now) for name in _slots(value)}


# --- restoring ----------------------------------------------------------------------------------------------------


def _restored(snapshot: Snapshot, parameters: TcpParameters, now: int, tracer: Tracer | None) -> Connection:
    strategy = _dictionary(snapshot["congestion"])
    recovery = _dictionary(snapshot["recovery"])
    connection = Connection(
        Identity.from_flow(_octets(snapshot["flow"])),
        parameters,
        _number(snapshot["iss"]),
        _number(snapshot["path_mss"]),
        congestion_control(str(strategy["name"])),
        loss_recovery(str(recovery["name"]), _number(snapshot["iss"]), parameters.tcp_reordering),
        _number(snapshot["ts_offset"]),
        tracer,
    )
    for name in Tcb.__slots__:
        if name not in _OF_THE_HOST:
            value = snapshot[name]
            if not _fill(connection, name, value, now):
                setattr(connection, name, _plain(name, getattr(connection, name), value, now))
    # The clock of timestamps goes on where it was.
    connection.ts_offset += _number(snapshot["clock"]) - now // MILLISECOND
    return connection


def _fill(connection: Connection, name: str, value: Plain, now: int) -> bool:
    """Restores an attribute that is an object of its own; False if it is not."""
    match name:
        case "timers":
            for timer, deadline in enumerate(_list(value)):
                if deadline != NEVER:
                    connection.timers.start(timer, _number(deadline) + now)
        case "send_buffer":
            fields = _dictionary(value)
            buffer = SendBuffer(_number(fields["start"]))
            buffer.append(memoryview(_octets(fields["octets"])))
            buffer.restore_pushes([_number(each) for each in _list(fields["pushes"])])
            connection.send_buffer = buffer
        case "sent":
            fields = _dictionary(value)
            for each in _list(fields["ranges"]):
                entry = _dictionary(each)
                connection.sent.restore(
                    _number(entry["start"]),
                    _number(entry["end"]),
                    _number(entry["segment_size"]),
                    _moment(entry["sent_at"], now),
                    _number(entry["delivered"]),
                    _number(entry["serial"]),
                    _number(entry["transmissions"]),
                    _number(entry["fate"]),
                )
            order = [[_number(number) for number in _list(each)] for each in _list(fields["order"])]
            transmissions = connection.sent.transmissions
            transmissions.replace([(time + now, serial, start, end) for time, serial, start, end in order])
            transmissions.serial = _number(fields["serial"])
            connection.sent.fack = _number(fields["fack"])
        case "receive_queue":
            for each in _list(value):
                connection.receive_queue.append(_octets(each))
        case "reassembly":
            for each in _list(value):
                start, octets = _list(each)
                piece = _octets(octets)
                connection.reassembly.insert(_number(start), (piece,), len(piece), 1 << 40)
        case "keepalive":
            connection.keepalive = _part(KeepAlive(), value, now)
        case "urgent":
            connection.urgent = _part(Urgent(0), value, now)
        case "ecn":
            connection.ecn = _part(Ecn(), value, now)
        case "mtu_search":
            connection.mtu_search = _part(MtuSearch(0, 0, 0), value, now)
        case "congestion" | "recovery" | "round_trip" | "acknowledging" | "settings" | "counts" | "validation":
            _set_fields(getattr(connection, name), value, now)
        case _:
            return False
    return True


def _part(made: T, value: Plain, now: int) -> T | None:
    """What a connection need not have."""
    if value is None:
        return None
    _set_fields(made, value, now)
    return made


def _set_fields(target: object, value: Plain, now: int) -> None:
    fields = _dictionary(value)
    for name in _slots(target):
        setattr(target, name, _plain(name, getattr(target, name, None), fields[name], now))


def _plain(name: str, old: object, value: Plain, now: int) -> object:
    """`value` as an attribute has it: `old` is what stands there now, and tells the kind."""
    if isinstance(old, Reason):
        return _REASONS[str(value)]
    if isinstance(value, list):
        return tuple(value)
    if isinstance(old, bool):
        return bool(value)
    return _moment(value, now) if name in _MOMENTS else value


def _moment(value: Plain, now: int) -> int:
    """A moment on the new host's clock. Before its beginning there is none: the earliest stands for it."""
    return -1 if value is None else max(_number(value) + now, 0)


def _number(value: Plain) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is no number")
    return value


def _octets(value: Plain) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"{value!r} are no octets")
    return value


def _list(value: Plain) -> list[Plain]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value


def _dictionary(value: Plain) -> dict[str, Plain]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no dictionary")
    return value
