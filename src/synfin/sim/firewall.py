"""A firewall that remembers what it let through: rules for what begins, and answers pass by themselves."""

from __future__ import annotations

from struct import Struct
from typing import Final, Literal, TypeAlias, get_args

from synfin import reasons
from synfin.host import addresses
from synfin.host.addresses import Network as Prefix
from synfin.reasons import Reason
from synfin.sim import rewriting
from synfin.sim.tracking import ESTABLISHED, LIMIT, OPENING, QUERY, Conversation, ConversationTable, Timeouts
from synfin.wire.errors import WireError
from synfin.wire.icmp import V6_ECHO_REPLY, V6_ECHO_REQUEST, IcmpMessage, parse_quoted
from synfin.wire.ip import PROTOCOL_TCP, Packet
from synfin.wire.tcp import ACK, SYN, Segment

Action: TypeAlias = Literal["accept", "drop", "reject"]
#: What a rejected sender is told: a RST (TCP only; others get the ICMP error) or that it is prohibited.
Rejection: TypeAlias = Literal["reset", "icmp"]
Unknown: TypeAlias = Literal["drop", "reject", "adopt"]
#: Which way a packet crosses: from the outside interface to another, or to it.
Direction: TypeAlias = Literal["in", "out"]

_ports = Struct("!HH")
_ECHOES: Final = (*rewriting.ECHOES, V6_ECHO_REQUEST, V6_ECHO_REPLY)


class Rule:
    """What to do with a conversation that begins: the first rule that fits decides.

    `source` and `destination` are prefixes such as ``10.0.0.0/8`` or single addresses, `port` is the destination's
    port or the first and last of several, `direction` "in" or "out". What is empty (a `port` of 0) fits all. A rule
    with a port fits TCP only. Raises ValueError for what makes no sense.
    """

    __slots__ = ("_destination", "_ports", "_source", "action", "destination", "direction", "port", "source")

    def __init__(
        self,
        action: Action,
        source: str = "",
        destination: str = "",
        port: int | tuple[int, int] = 0,
        direction: Direction | None = None,
    ) -> None:
        if action not in get_args(Action):
            raise ValueError(f"{action!r} is none of {', '.join(get_args(Action))}")
        if direction is not None and direction not in get_args(Direction):
            raise ValueError(f"{direction!r} is none of {', '.join(get_args(Direction))}")
        self.action = action
        self.source = source
        self.destination = destination
        self.port = port
        self.direction = direction
        self._source = _prefix(source)
        self._destination = _prefix(destination)
        self._ports = (port, port) if isinstance(port, int) else port
        if not 0 <= self._ports[0] <= self._ports[1] <= 65535:
            raise ValueError(f"no ports: {port}")

    def fits(self, packet: Packet, direction: Direction | None) -> bool:
        if self.direction is not None and self.direction != direction:
            return False
        if self._source is not None and not self._source.contains(packet.source):
            return False
        if self._destination is not None and not self._destination.contains(packet.destination):
            return False
        first, last = self._ports
        if last == 0:
            return True
        payload = packet.payload
        return isinstance(payload, Segment) and first <= payload.destination_port <= last

    def __repr__(self) -> str:
        words: list[str] = [self.action]
        words += [f"{name}={getattr(self, name)}" for name in ("source", "destination", "port") if getattr(self, name)]
        if self.direction is not None:
            words.append(f"direction={self.direction}")
        return f"<Rule {' '.join(words)}>"


def _prefix(text: str) -> Prefix | None:
    if not text:
        return None
    word, _, length = text.partition("/")
    address = addresses.packed(word)
    return Prefix(address, int(length) if length else len(address) * 8)


#: As at home: who is inside may begin, nobody else.
HOME_RULES: Final = (Rule("accept", direction="out"),)


class Firewall:
    """A stateful firewall's settings and what it remembers. A router does the rest: see `synfin.sim.router`.

    `outside` is the address of the interface to the outside, by which rules tell directions; without it they cannot.
    `rules` judge the first packet of a conversation, `policy` those that no rule fits. What follows passes either
    way until the conversation is forgotten: then a segment in mid-connection meets `unknown`, where "adopt" lets the
    rules judge it as if it were the first. `reject_with` says how a rejected sender is told. `limit` bounds the
    conversations; beyond it new ones are dropped. Fragments, which cannot be judged, are dropped.

    Packets to and from the router's own host are not judged. Raises ValueError for a setting that does not exist.
    """

    __slots__ = ("outside", "policy", "reject_with", "rules", "table", "timeouts", "unknown")

    def __init__(
        self,
        outside: str = "",
        rules: tuple[Rule, ...] = HOME_RULES,
        policy: Action = "drop",
        reject_with: Rejection = "reset",
        unknown: Unknown = "drop",
        timeouts: Timeouts | None = None,
        limit: int = LIMIT,
    ) -> None:
        for value, known in (
            (policy, get_args(Action)),
            (reject_with, get_args(Rejection)),
            (unknown, get_args(Unknown)),
        ):
            if value not in known:
                raise ValueError(f"{value!r} is none of {', '.join(known)}")
        self.outside = addresses.packed(outside) if outside else b""
        if not outside and any(rule.direction is not None for rule in rules):
            raise ValueError("rules with a direction need the address of the outside")
        self.rules = rules
        self.policy = policy
        self.reject_with = reject_with
        self.unknown = unknown
        self.timeouts = timeouts if timeouts is not None else Timeouts()
        self.table: ConversationTable[Conversation] = ConversationTable(self.timeouts, limit)

    def forget(self) -> None:
        """Forgets every conversation, as a reboot does."""
        self.table.clear()

    def judge(self, packet: Packet, direction: Direction | None, now: int) -> Reason | None:
        """Whether `packet` passes (None), or why it does not. FIREWALL_REJECTED asks for its sender to be told."""
        payload = packet.payload
        if packet.is_fragment:
            return reasons.FIREWALL_DROPPED
        if isinstance(payload, IcmpMessage) and payload.type not in _ECHOES:
            return None if self._is_related(payload, packet.version, now) else reasons.FIREWALL_DROPPED
        key, answer_key = _keys(packet)
        segment = payload if isinstance(payload, Segment) else None
        found = self.table.find(key, now)
        if found is not None:
            self.table.pass_on(found, segment, True, now)
            return None
        found = self.table.find(answer_key, now)
        if found is not None:
            self.table.pass_on(found, segment, False, now)
            return None
        begins = segment is None or segment.flags & (SYN | ACK) == SYN
        if not begins and self.unknown != "adopt":
            return _told(self.unknown, reasons.CONVERSATION_UNKNOWN)
        action = next((rule.action for rule in self.rules if rule.fits(packet, direction)), self.policy)
        if action != "accept":
            return _told(action, reasons.FIREWALL_DROPPED)
        conversation = Conversation(key, QUERY if segment is None else OPENING if begins else ESTABLISHED)
        if not self.table.add(conversation, now):
            return reasons.CONVERSATIONS_FULL
        self.table.pass_on(conversation, segment, True, now)
        return None

    def _is_related(self, message: IcmpMessage, version: int, now: int) -> bool:
        """Whether an ICMP error is about a packet of a conversation that passes here."""
        try:
            quoted = parse_quoted(message.body, version)
        except WireError:
            return False
        first, second = quoted.flow, quoted.reverse_flow
        if quoted.protocol != PROTOCOL_TCP:
            ends = len(quoted.source) * 2
            first, second = first[:ends], second[:ends]
        kind = bytes((quoted.protocol,))
        return self.table.find(kind + first, now) is not None or self.table.find(kind + second, now) is not None


def _told(action: str, otherwise: Reason) -> Reason:
    return reasons.FIREWALL_REJECTED if action == "reject" else otherwise


def _keys(packet: Packet) -> tuple[bytes, bytes]:
    """What a packet's conversation is known by, if its sender began it and if its destination did."""
    kind = bytes((packet.protocol,))
    payload = packet.payload
    there = back = b""
    if isinstance(payload, Segment):
        there = _ports.pack(payload.source_port, payload.destination_port)
        back = _ports.pack(payload.destination_port, payload.source_port)
    return kind + packet.source + packet.destination + there, kind + packet.destination + packet.source + back
