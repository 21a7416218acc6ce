"""What a NAT or a stateful firewall remembers of the conversations that pass it, and when it forgets them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

from synfin.wire.tcp import ACK, FIN, RST, SYN, Segment

SECOND: Final = 1_000_000_000

# RFC 5382 §5: a connection is partially open, established, or closing. A query is what is no TCP.
OPENING: Final = 0
ESTABLISHED: Final = 1
CLOSING: Final = 2
QUERY: Final = 3
STATES: Final = ("opening", "established", "closing", "query")

#: RFC 5382 §5, REQ-5: at least 2 hours 4 minutes.
ESTABLISHED_TIMEOUT: Final = 7440 * SECOND
#: RFC 5382 §5, REQ-5: at least 4 minutes.
TRANSITORY_TIMEOUT: Final = 240 * SECOND
#: RFC 5508 §3.2, REQ-2: at least 60 seconds.
QUERY_TIMEOUT: Final = 60 * SECOND
#: The most conversations that one machine remembers.
LIMIT: Final = 65536

_ORIGINATOR: Final = 1
_RESPONDER: Final = 2


class Conversation:
    """One conversation as a machine in the middle sees it: which way it was begun and how far it has come.

    `key` is what its table knows it by; `deadline` when it is forgotten if nothing passes (nanoseconds).
    """

    __slots__ = ("_answered", "_fins", "deadline", "key", "state")

    def __init__(self, key: bytes, state: int = OPENING) -> None:
        self.key = key
        self.state = state
        self.deadline = 0
        self._answered = False
        self._fins = 0

    def observe(self, segment: Segment, by_originator: bool) -> None:
        """A segment passes. Sequence numbers are not looked at: a RST that an endpoint would not accept counts."""
        flags = segment.flags
        if flags & RST:
            self.state = CLOSING
        elif flags & SYN:
            if self.state == CLOSING and not flags & ACK:
                # The same ports are used again.
                self.state = OPENING
                self._answered = False
                self._fins = 0
            if not by_originator:
                self._answered = True
        elif self.state == OPENING and self._answered and by_originator and flags & ACK:
            self.state = ESTABLISHED
        if flags & FIN:
            self._fins |= _ORIGINATOR if by_originator else _RESPONDER
            if self._fins == _ORIGINATOR | _RESPONDER:
                self.state = CLOSING

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {STATES[self.state]} until {self.deadline}>"


class Timeouts:
    """How long a machine in the middle remembers a conversation through which nothing passes, in nanoseconds.

    `established` for a TCP connection, `transitory` for one that is being opened or closed, `query` for what is no
    TCP, such as a ping. The defaults are the least that RFC 5382 §5 (REQ-5) and RFC 5508 §3.2 (REQ-2) ask for; the
    world has many a device with less. Raises ValueError for none at all.
    """

    __slots__ = ("established", "query", "transitory")

    def __init__(
        self,
        established: int = ESTABLISHED_TIMEOUT,
        transitory: int = TRANSITORY_TIMEOUT,
        query: int = QUERY_TIMEOUT,
    ) -> None:
        if min(established, transitory, query) <= 0:
            raise ValueError("a time-out is more than 0 nanoseconds")
        self.established = established
        self.transitory = transitory
        self.query = query

    def __repr__(self) -> str:
        return f"Timeouts(established={self.established}, transitory={self.transitory}, query={self.query})"


C = TypeVar("C", bound=Conversation)


class ConversationTable(Generic[C]):
    """At most `limit` conversations. One is forgotten when its time-out has passed since the last packet.

    `forgotten` is called with each conversation that is forgotten.
    """

    __slots__ = ("_by_key", "_durations", "_forgotten", "_queues", "limit")

    def __init__(self, timeouts: Timeouts, limit: int, forgotten: Callable[[C], object] | None = None) -> None:
        self.limit = limit
        self._forgotten = forgotten
        self._durations = (timeouts.transitory, timeouts.established, timeouts.transitory, timeouts.query)
        self._by_key: dict[bytes, C] = {}
        # One for each state. All that is in one waits equally long, so the first to be forgotten stands first.
        self._queues: tuple[OrderedDict[bytes, C], ...] = tuple(OrderedDict() for _ in self._durations)

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[C]:
        """All conversations, in the order in which they began."""
        return iter(list(self._by_key.values()))

    def find(self, key: bytes, now: int) -> C | None:
        """The conversation of that key, if it is not forgotten by `now`."""
        self.forget_expired(now)
        return self._by_key.get(key)

    def add(self, conversation: C, now: int) -> bool:
        """Remembers a new conversation. False: there is no room, or another has its key."""
        self.forget_expired(now)
        if len(self._by_key) >= self.limit or conversation.key in self._by_key:
            return False
        self._by_key[conversation.key] = conversation
        self._wait(conversation, now)
        return True

    def pass_on(self, conversation: C, segment: Segment | None, by_originator: bool, now: int) -> None:
        """A packet of the conversation passes, with `segment` if it is one of TCP's."""
        self._queues[conversation.state].pop(conversation.key, None)
        if segment is not None:
            conversation.observe(segment, by_originator)
        self._wait(conversation, now)

    def _wait(self, conversation: C, now: int) -> None:
        conversation.deadline = now + self._durations[conversation.state]
        self._queues[conversation.state][conversation.key] = conversation

    def forget_expired(self, now: int) -> None:
        """Forgets every conversation whose deadline has come."""
        for queue in self._queues:
            while queue:
                conversation = next(iter(queue.values()))
                if conversation.deadline > now:
                    break
                del queue[conversation.key]
                del self._by_key[conversation.key]
                if self._forgotten is not None:
                    self._forgotten(conversation)

    def clear(self) -> None:
        """Forgets everything, as a reboot does."""
        self._by_key.clear()
        for queue in self._queues:
            queue.clear()
