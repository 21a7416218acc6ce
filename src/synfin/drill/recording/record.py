"""Connections written down as scripts: from the trace of a host, or from a capture.

A script tells one end's side. What that end sent is expected, what it received is sent to it, and what its user did
becomes socket calls. Initial sequence numbers are 0 there and its timestamps begin at 100; payloads are zeros; ports
are the script's default ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from synfin.drill.bench.numbers import reverse_flow
from synfin.drill.language.script import Script
from synfin.drill.recording.guessing import with_calls
from synfin.drill.recording.happenings import Called, Happening, Seen, flow_of
from synfin.drill.recording.writing import script_of
from synfin.events import Event as TraceEvent
from synfin.events import SegmentDropped, SegmentReceived, SegmentSent, UserCalled
from synfin.host.parameters import Parameters, text
from synfin.host.profiles import parameters as profile_parameters
from synfin.link.segmentation import cut
from synfin.wire.ip import Packet
from synfin.wire.tcp import Segment


def sysctls_of(parameters: Parameters) -> dict[str, str]:
    """What a script must set so that a host with `linux-suite`, the profile of scripts, has these parameters."""
    usual = profile_parameters("linux-suite")
    values = {name: text(parameters.get(name)) for name in parameters.names()}
    return {name: value for name, value in values.items() if value != text(usual.get(name))}


def record_trace(
    events: Iterable[TraceEvent],
    host: str,
    flow: bytes,
    name: str = "recorded",
    sysctls: Mapping[str, str] = MappingProxyType({}),
) -> Script:
    """The script of a connection of `host`, which `flow` names, from the events of a trace.

    `sysctls` are set at its head; `sysctls_of` tells those of a host. Options of the user's socket are not in a
    trace, nor ICMP messages. Raises ValueError if its beginning is not there.
    """
    found: list[Happening] = []
    bursts = False
    for event in events:
        if event.host != host or getattr(event, "flow", None) != flow:
            continue
        if isinstance(event, SegmentSent):
            parts = cut(event.packet)
            bursts = bursts or len(parts) > 1
            found += [Seen(event.time, False, part) for part in parts]
        elif isinstance(event, SegmentReceived | SegmentDropped):
            found.append(Seen(event.time, True, event.packet))
        elif isinstance(event, UserCalled):
            found.append(Called(event.time, event.call, event.octets))
    return script_of(found, name, sysctls, bursts)


def record_packets(
    packets: Iterable[tuple[int, Packet]],
    flow: bytes,
    name: str = "recorded",
    sysctls: Mapping[str, str] = MappingProxyType({}),
) -> Script:
    """The script of a connection from its packets and their times in nanoseconds.

    `flow` names it as the end does whose side is told: remote address, local address, and the ports alike. The calls
    are guessed: what was sent was written just before, what arrived was read at once, and a FIN was asked for just
    before it left. Raises ValueError if the beginning of the connection is not there.
    """
    found: list[Happening] = []
    for time, packet in packets:
        if not isinstance(packet.payload, Segment):
            continue
        if reverse_flow(packet) == flow:
            found += [Seen(time, False, part) for part in cut(packet)]
        elif flow_of(packet) == flow:
            found.append(Seen(time, True, packet))
    return script_of(with_calls(found), name, sysctls)
