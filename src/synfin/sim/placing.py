"""Faults of a network: each with its place, as values with a text form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from synfin.link.faults import Fault, Reboot, parse_fault


@dataclass(frozen=True, slots=True)
class OnWire:
    """A fault on the wire of that name: ``client-router: lose 2nd SYN+ACK``.

    Raises ValueError for a name that no wire has, or a fault that is none of wires.
    """

    wire: str
    fault: Fault

    def __post_init__(self) -> None:
        check_wire_name(self.wire)
        if isinstance(self.fault, Reboot):
            raise ValueError(f"'{self.fault}' is no fault of a wire")

    def __str__(self) -> str:
        return f"{self.wire}: {self.fault}"


#: What may go wrong in a network: on a wire that is named; on its only wire; or to a host, which the fault names.
NetworkFault: TypeAlias = OnWire | Fault


def parse_network_fault(text: str) -> NetworkFault:
    """The fault that `str` wrote as `text`. Raises ValueError, whose text is one line that says what would be right."""
    wire, colon, rest = text.partition(": ")
    return OnWire(wire.strip(), parse_fault(rest)) if colon else parse_fault(text)


def check_wire_name(name: str) -> None:
    """Raises ValueError for what could not stand before a fault."""
    if not name or ":" in name or any(character.isspace() for character in name):
        raise ValueError(f"{name!r} cannot name a wire: no white space and no colon")
