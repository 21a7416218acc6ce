"""A NAT that translates addresses and ports of IPv4 (RFC 3022 §4.1), as RFC 5382 and RFC 5508 describe it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from struct import Struct
from typing import Final, Literal, TypeAlias, get_args

from synfin import reasons
from synfin.host import addresses
from synfin.reasons import Reason
from synfin.sim import rewriting
from synfin.sim.rewriting import Endpoint
from synfin.sim.tracking import ESTABLISHED, LIMIT, OPENING, QUERY, Conversation, ConversationTable, Timeouts
from synfin.wire.errors import WireError
from synfin.wire.icmp import ECHO_REPLY, ECHO_REQUEST, PROTOCOL_ICMP, IcmpMessage, parse_quoted
from synfin.wire.ip import PROTOCOL_TCP, Packet
from synfin.wire.tcp import ACK, SYN, Segment

#: What becomes of a segment in mid-connection of which nothing is known.
Unknown: TypeAlias = Literal["drop", "reset", "adopt"]
#: RFC 4787 §4.1 and §5: which packets share a mapping, and which pass it from outside.
Behaviour: TypeAlias = Literal["endpoint-independent", "address-and-port-dependent"]

INDEPENDENT: Final = "endpoint-independent"
DEPENDENT: Final = "address-and-port-dependent"
#: RFC 4787 §4.2.2: ports that a mapping may get when its own is taken.
FIRST_PORT: Final = 1024
LAST_PORT: Final = 65535

_key = Struct("!B4sH4sH")
_outside_key = Struct("!BH4sH")


class Translation(Conversation):
    """A conversation and its translation. `inside` is the end behind the NAT, which `port` stands for outside;
    `remote` the other end. The originator of a forwarded connection is the remote end."""

    __slots__ = ("inside", "inside_began", "outside_key", "port", "protocol", "remote")

    def __init__(self, protocol: int, inside: Endpoint, port: int, remote: Endpoint, state: int, inside_began: bool):
        super().__init__(_key.pack(protocol, *inside, *remote), state)
        self.protocol = protocol
        self.inside = inside
        self.port = port
        self.remote = remote
        self.inside_began = inside_began
        self.outside_key = _outside_key.pack(protocol, port, *remote)


class PortMapping:
    """The outside port that stands for an inside end towards whomever, as long as a conversation uses it."""

    __slots__ = ("inside", "port", "protocol", "users")

    def __init__(self, protocol: int, inside: Endpoint, port: int) -> None:
        self.protocol = protocol
        self.inside = inside
        self.port = port
        self.users = 0


class Nat:
    """A NAT's settings and what it remembers. A router does the rest: see `synfin.sim.router`.

    `address` is that of the outside, as text: whatever passes between there and elsewhere is translated. `unknown`
    says what a segment in mid-connection meets of which nothing is known, for the NAT forgot it or never knew it: no
    answer ("drop"), a RST ("reset"), or, if it came from inside, a new mapping ("adopt", as Linux does by itself).

    `mapping` and `filtering` are the behaviours of RFC 4787 §4.1 and §5. `forwards` gives ports of the outside
    address to servers inside: ``{80: ("192.168.0.2", 8080)}``. `limit` bounds the conversations; beyond it new ones
    are dropped.

    TCP and pings are translated, with the ICMP errors about them; all else is dropped, fragments too. There is no
    hairpinning (RFC 5382 §7.2). IPv6 passes untouched. Raises ValueError for a setting that does not exist.
    """

    __slots__ = (
        "_by_outside",
        "_cursor",
        "_mappings",
        "_taken",
        "address",
        "filtering",
        "forwards",
        "mapping",
        "table",
        "timeouts",
        "unknown",
    )

    def __init__(
        self,
        address: str,
        timeouts: Timeouts | None = None,
        unknown: Unknown = "drop",
        mapping: Behaviour = INDEPENDENT,
        filtering: Behaviour = DEPENDENT,
        forwards: Mapping[int, tuple[str, int]] | None = None,
        limit: int = LIMIT,
    ) -> None:
        self.address = addresses.packed(address)
        if len(self.address) != 4:
            raise ValueError("only IPv4 is translated")
        if unknown not in get_args(Unknown):
            raise ValueError(f"{unknown!r} is none of {', '.join(get_args(Unknown))}")
        for behaviour in (mapping, filtering):
            if behaviour not in get_args(Behaviour):
                raise ValueError(f"{behaviour!r} is none of {', '.join(get_args(Behaviour))}")
        if filtering == INDEPENDENT and mapping != INDEPENDENT:
            raise ValueError("without an endpoint-independent mapping there is nothing to let strangers in by")
        self.timeouts = timeouts if timeouts is not None else Timeouts()
        self.unknown = unknown
        self.mapping = mapping
        self.filtering = filtering
        self.forwards: dict[int, Endpoint] = {
            port: (addresses.packed(server), server_port) for port, (server, server_port) in (forwards or {}).items()
        }
        self.table: ConversationTable[Translation] = ConversationTable(self.timeouts, limit, self._forgotten)
        self._by_outside: dict[bytes, Translation] = {}
        # By inside end, and by outside port; each with the protocol. Empty when mappings depend on the remote end.
        self._mappings: dict[tuple[int, Endpoint], PortMapping] = {}
        self._taken: dict[tuple[int, int], PortMapping] = {}
        self._cursor = FIRST_PORT

    def forget(self) -> None:
        """Forgets every conversation, as a reboot does."""
        self.table.clear()
        self._by_outside.clear()
        self._mappings.clear()
        self._taken.clear()

    def translations(self, now: int) -> Iterator[Translation]:
        """What is remembered at `now`, in the order in which it began."""
        self.table.forget_expired(now)
        return iter(self.table)

    # --- from inside

    def outbound(self, packet: Packet, now: int) -> Packet | Reason:
        """A packet leaves for the outside: translated, or why it is dropped."""
        payload = packet.payload
        if isinstance(payload, Segment):
            inside = (packet.source, payload.source_port)
            remote = (packet.destination, payload.destination_port)
            begins = payload.flags & (SYN | ACK) == SYN
            return self._outbound(packet, PROTOCOL_TCP, inside, remote, payload, begins, now)
        if isinstance(payload, IcmpMessage) and packet.protocol == PROTOCOL_ICMP:
            if payload.type in rewriting.ECHOES:
                inside = (packet.source, payload.identifier)
                begins = payload.type == ECHO_REQUEST
                return self._outbound(packet, PROTOCOL_ICMP, inside, (packet.destination, 0), None, begins, now)
            return self._error_outbound(packet, payload, now)
        return reasons.NOT_TRANSLATED

    def _outbound(
        self,
        packet: Packet,
        protocol: int,
        inside: Endpoint,
        remote: Endpoint,
        segment: Segment | None,
        begins: bool,
        now: int,
    ) -> Packet | Reason:
        found = self.table.find(_key.pack(protocol, *inside, *remote), now)
        if found is None:
            if not begins and self.unknown != "adopt":
                return reasons.CONVERSATION_UNKNOWN
            state = QUERY if segment is None else OPENING if begins else ESTABLISHED
            found = self._begin(protocol, inside, self._port_for(protocol, inside, remote), remote, state, True, now)
            if found is None:
                return reasons.CONVERSATIONS_FULL
        self.table.pass_on(found, segment, found.inside_began, now)
        return rewriting.with_source(packet, (self.address, found.port))

    def _error_outbound(self, packet: Packet, message: IcmpMessage, now: int) -> Packet | Reason:
        """An ICMP error about what came from outside, which quotes it as it was when it had been translated."""
        found = self._quoted(message, now, by_inside=False)
        if found is None:
            return reasons.NOT_TRANSLATED
        body = rewriting.quote_with(message.body, found.inside, (self.address, found.port), source=False)
        told = rewriting.with_payload(packet, IcmpMessage(message.type, message.code, message.parameter, body))
        # RFC 5508 §4.2, REQ-5: whoever told it, outside it comes from the NAT.
        return rewriting.with_source(told, (self.address, 0))

    # --- from outside

    def inbound(self, packet: Packet, now: int, is_served: Callable[[Packet], bool]) -> Packet | Reason:
        """A packet arrives for the outside address: translated, or itself when the NAT's own host is to have it, or
        why it is dropped. `is_served` tells whether that host has something for it."""
        payload = packet.payload
        if isinstance(payload, Segment):
            remote = (packet.source, payload.source_port)
            found = self._known(PROTOCOL_TCP, payload.destination_port, remote, now)
            if found is None and payload.flags & (SYN | ACK) == SYN:
                inside = self._let_in(payload.destination_port)
                if inside is not None:
                    port = payload.destination_port
                    found = self._begin(PROTOCOL_TCP, inside, port, remote, OPENING, False, now)
                    if found is None:
                        return reasons.CONVERSATIONS_FULL
            if found is None:
                return packet if is_served(packet) else reasons.CONVERSATION_UNKNOWN
            self.table.pass_on(found, payload, not found.inside_began, now)
            return rewriting.with_destination(packet, found.inside)
        if isinstance(payload, IcmpMessage):
            if payload.type == ECHO_REPLY:
                found = self._known(PROTOCOL_ICMP, payload.identifier, (packet.source, 0), now)
                if found is None:
                    return packet
                self.table.pass_on(found, None, False, now)
                return rewriting.with_destination(packet, found.inside)
            if payload.type != ECHO_REQUEST:
                return self._error_inbound(packet, payload, now)
            return packet
        return reasons.NOT_TRANSLATED

    def _known(self, protocol: int, port: int, remote: Endpoint, now: int) -> Translation | None:
        self.table.forget_expired(now)
        return self._by_outside.get(_outside_key.pack(protocol, port, *remote))

    def _let_in(self, port: int) -> Endpoint | None:
        """Whom a stranger's SYN to this port reaches, if anybody."""
        inside = self.forwards.get(port)
        if inside is None and self.filtering == INDEPENDENT:
            mapping = self._taken.get((PROTOCOL_TCP, port))
            if mapping is not None:
                inside = mapping.inside
        return inside

    def _error_inbound(self, packet: Packet, message: IcmpMessage, now: int) -> Packet:
        """An ICMP error about what was sent from inside. It prolongs nothing (RFC 5508 §4.2, REQ-6)."""
        found = self._quoted(message, now, by_inside=True)
        if found is None:
            return packet
        body = rewriting.quote_with(message.body, (self.address, found.port), found.inside, source=True)
        told = rewriting.with_payload(packet, IcmpMessage(message.type, message.code, message.parameter, body))
        return rewriting.with_destination(told, (found.inside[0], 0))

    def _quoted(self, message: IcmpMessage, now: int, by_inside: bool) -> Translation | None:
        """The conversation of which an ICMP error quotes a packet, one that the inside sent or got."""
        try:
            quoted = parse_quoted(message.body, 4)
        except WireError:
            return None
        source = (quoted.source, quoted.source_port)
        destination = (quoted.destination, quoted.destination_port)
        if quoted.protocol == PROTOCOL_ICMP:
            identifier = rewriting.quoted_echo(message.body)
            if identifier < 0:
                return None
            source, destination = (
                ((quoted.source, identifier), (quoted.destination, 0))
                if by_inside
                else ((quoted.source, 0), (quoted.destination, identifier))
            )
        elif quoted.protocol != PROTOCOL_TCP:
            return None
        if by_inside:
            if source[0] != self.address:
                return None
            return self._known(quoted.protocol, source[1], destination, now)
        return self.table.find(_key.pack(quoted.protocol, *destination, *source), now)

    # --- mappings

    def _begin(
        self, protocol: int, inside: Endpoint, port: int, remote: Endpoint, state: int, inside_began: bool, now: int
    ) -> Translation | None:
        if port < 0:
            return None
        translation = Translation(protocol, inside, port, remote, state, inside_began)
        if not self.table.add(translation, now):
            return None
        self._by_outside[translation.outside_key] = translation
        if self.mapping == INDEPENDENT and not (protocol == PROTOCOL_TCP and self.forwards.get(port) == inside):
            mapping = self._mappings.get((protocol, inside))
            if mapping is None:
                mapping = PortMapping(protocol, inside, port)
                self._mappings[protocol, inside] = mapping
                self._taken[protocol, port] = mapping
            mapping.users += 1
        return translation

    def _forgotten(self, translation: Translation) -> None:
        del self._by_outside[translation.outside_key]
        mapping = self._mappings.get((translation.protocol, translation.inside))
        if mapping is not None and mapping.port == translation.port:
            mapping.users -= 1
            if mapping.users == 0:
                del self._mappings[translation.protocol, translation.inside]
                del self._taken[translation.protocol, translation.port]

    def _port_for(self, protocol: int, inside: Endpoint, remote: Endpoint) -> int:
        """The outside port for a new conversation: that of its mapping, its own if free, or the next; -1: none."""
        if protocol == PROTOCOL_TCP:
            for port, server in self.forwards.items():
                # What a forwarded server sends comes from the port under which the world knows it.
                if server == inside:
                    return port
        mapping = self._mappings.get((protocol, inside))
        if mapping is not None:
            return mapping.port
        if self._is_free(protocol, inside[1], remote):
            return inside[1]
        for _ in range(LAST_PORT - FIRST_PORT + 1):
            port = self._cursor
            self._cursor = port + 1 if port < LAST_PORT else FIRST_PORT
            if self._is_free(protocol, port, remote):
                return port
        return -1

    def _is_free(self, protocol: int, port: int, remote: Endpoint) -> bool:
        if protocol == PROTOCOL_TCP and port in self.forwards:
            return False
        return (protocol, port) not in self._taken and _outside_key.pack(
            protocol, port, *remote
        ) not in self._by_outside
