"""What the history of a connection is made of: its two ends, and the kinds of rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from synfin.reasons import Reason
    from synfin.wire.tcp import Segment

_MASK: Final = 0xFFFFFFFF
_PORTS: Final = 4
# RFC 7323 §2.3
_LARGEST_SHIFT: Final = 14
_MOST_PRIMES: Final = 3
_KEPT_NUMBERS: Final = 8


@dataclass(slots=True, eq=False)
class Endpoint:
    """One end of the connection.

    `host`: the name of its host, empty if no event bears it. `traced`: whether the host told of this connection
    itself; if not, its states are unknown. `first_state`: its state before the first row. `opened`: "active",
    "passive" or "" (unknown). `initial_numbers`: the sequence numbers of its SYNs, the first one first (the last few
    of them, if it opened the same connection again). `window_scale`: the shift of its SYN, None without the option.
    """

    flow: bytes
    host: str = ""
    traced: bool = False
    first_state: str | None = None
    opened: str = ""
    initial_numbers: list[int] = field(default_factory=list)
    window_scale: int | None = None

    @property
    def packed_address(self) -> bytes:
        """The IP address of this end."""
        size = (len(self.flow) - _PORTS) // 2
        return self.flow[size : 2 * size]

    @property
    def address(self) -> str:
        """The IP address of this end in text form (RFC 5952 for IPv6)."""
        return _address_text(self.packed_address)

    @property
    def port(self) -> int:
        """The TCP port of this end."""
        return int.from_bytes(self.flow[-2:], "big")

    @property
    def name(self) -> str:
        """Address and port; an IPv6 address stands in brackets (RFC 3986 §3.2.2)."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def add_initial_number(self, number: int) -> None:
        """Keep the sequence number of a SYN that this end sent."""
        if number not in self.initial_numbers:
            self.initial_numbers.append(number)
            if len(self.initial_numbers) > _KEPT_NUMBERS:
                del self.initial_numbers[1]

    def relative(self, number: int) -> int:
        """`number` counted from this end's initial sequence number, modulo 2³²; as it is if that is unknown."""
        return min(((number - initial) & _MASK for initial in self.initial_numbers), default=number)


@dataclass(slots=True, eq=False)
class Transmission:
    """A segment that was sent.

    `time`: when its host sent it, in nanoseconds (when it arrived, if the sender is not traced). `number`: its number
    on the wire, 0 if unknown. `old_state`, `new_state`: the sender's, before and after; None if unknown.
    `messages`: which of the seven messages of a connection's life it is, such as ("5", "6") for an ACK and a FIN in
    one, or ("4a",) where both ends sent the same message at once. `repeat`: 0 for the first of that name, 1 for the
    next, and so on. `retransmission`: whether any of it had been sent before. `packet`: its number in a capture, 0 if
    it comes from none.
    """

    time: int
    sender: Endpoint
    receiver: Endpoint
    segment: Segment
    old_state: str | None
    new_state: str | None
    reason: Reason | None
    number: int = 0
    arrivals: list[Arrival] = field(default_factory=list)
    loss: Loss | None = None
    retransmission: bool = False
    messages: tuple[str, ...] = ()
    repeat: int = 0
    packet: int = 0

    @property
    def label(self) -> str:
        """The message's name: "1", "5+6", "4a"; a prime for each repetition ("6′"); empty for other segments."""
        if not self.messages:
            return ""
        primes = "′" * self.repeat if self.repeat <= _MOST_PRIMES else f"′×{self.repeat}"
        return "+".join(self.messages) + primes

    @property
    def window(self) -> int:
        """The window that it offers, in octets: scaled if both SYNs were seen to agree on it (RFC 7323 §2.2)."""
        scale, other = self.sender.window_scale, self.receiver.window_scale
        # RFC 7323 §2.2: the window of a SYN is never scaled.
        if scale is None or other is None or self.segment.flags & 2:
            return self.segment.wnd
        return self.segment.wnd << min(scale, _LARGEST_SHIFT)


@dataclass(slots=True, eq=False)
class Arrival:
    """A segment that reached the receiver's host.

    `old_state`, `new_state`: the receiver's, before and after; None if unknown. `reason`: why they differ, or else
    what the segment was good for. `dropped`: nothing of it was used. `told`: whether the receiver told what became of
    it. `duplicate`: the same transmission had arrived before.
    """

    time: int
    transmission: Transmission
    old_state: str | None
    new_state: str | None
    reason: Reason | None = None
    dropped: bool = False
    told: bool = False
    duplicate: bool = False


@dataclass(slots=True, eq=False)
class Loss:
    """The end of a transmission that never arrived."""

    time: int
    transmission: Transmission
    reason: Reason


@dataclass(slots=True, eq=False)
class StateChange:
    """A state that changed without a segment being sent or arriving."""

    time: int
    endpoint: Endpoint
    old_state: str
    new_state: str
    reason: Reason


@dataclass(slots=True, eq=False)
class UserCall:
    """A call of the user's, `octets` being how much it moved. `change` is what it did at once to the state."""

    time: int
    endpoint: Endpoint
    call: str
    octets: int
    change: StateChange | None = None


@dataclass(slots=True, eq=False)
class Remark:
    """Something to be said at this place, in the reader's language: of the segment before it, at one end (`clause`:
    the source), or, without an end, of what is left out there."""

    time: int
    endpoint: Endpoint | None
    text: str
    clause: str


Row: TypeAlias = Transmission | Arrival | Loss | StateChange | UserCall | Remark


def mirrored(flow: bytes) -> bytes:
    """The flow of the same connection as its other end sees it."""
    size = (len(flow) - _PORTS) // 2
    return flow[size : 2 * size] + flow[:size] + flow[-2:] + flow[-4:-2]


def _address_text(address: bytes) -> str:
    try:
        return str(ip_address(address))
    except ValueError:
        return address.hex() or "?"
