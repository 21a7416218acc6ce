"""FQ-CoDel (RFC 8290): a queue for each flow, served in turn, and CoDel in each of them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from hashlib import blake2s
from random import Random
from typing import Final

from synfin import reasons
from synfin.link.queues.codel import INTERVAL, TARGET, CoDelState, check_times, write_times
from synfin.link.queues.discipline import Discipline, Fifo, Queue, Waiting
from synfin.wire.ip import Packet
from synfin.wire.tcp import Segment

#: RFC 8290 §5.2.4 and §5.2.3: flows that are told apart, and octets that each may send in its turn.
FLOWS: Final = 1024
QUANTUM: Final = 1514


@dataclass(frozen=True, slots=True)
class FqCoDel(Discipline):
    """RFC 8290 with its default limit, of all flows together. `target` and `interval` in nanoseconds; with `ecn`
    packets of senders that understand it are marked and not dropped."""

    limit: int = 10240
    target: int = TARGET
    interval: int = INTERVAL
    ecn: bool = True

    def __post_init__(self) -> None:
        Discipline.__post_init__(self)
        check_times(self.target, self.interval)

    def __str__(self) -> str:
        return f"queue {self.limit} fq-codel{write_times(self.target, self.interval)}{'' if self.ecn else ' no-ecn'}"

    def begin(self, random: Random) -> Queue:
        return _FqCoDelQueue(self, random.getrandbits(128).to_bytes(16, "big"))


class _Flow:
    """The packets of one flow; `deficit` is how many octets it may still send in its turn."""

    __slots__ = ("codel", "deficit", "fifo", "number")

    def __init__(self, number: int, discipline: FqCoDel) -> None:
        self.number = number
        self.fifo = Fifo()
        self.codel = CoDelState(discipline.target, discipline.interval)
        self.deficit = 0


class _FqCoDelQueue(Queue):
    """`_flows` holds every flow that is in one of the lists or whose CoDel has not come to rest: FLOWS at most."""

    __slots__ = ("_count", "_discipline", "_flows", "_listed", "_new", "_old", "_secret")

    def __init__(self, discipline: FqCoDel, secret: bytes) -> None:
        super().__init__()
        self._discipline = discipline
        self._secret = secret
        self._flows: dict[int, _Flow] = {}
        self._listed: set[int] = set()
        self._new: deque[_Flow] = deque()
        self._old: deque[_Flow] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def enqueue(self, waiting: Waiting) -> None:
        # RFC 8290 §4.1
        number = self._number(waiting.passage.packet)
        flow = self._flows.get(number)
        if flow is None:
            flow = self._flows[number] = _Flow(number, self._discipline)
        flow.fifo.push(waiting)
        self.octets += waiting.size
        self._count += 1
        if number not in self._listed:
            self._listed.add(number)
            flow.deficit = QUANTUM
            self._new.append(flow)
        if self._count > self._discipline.limit:
            # From the head of the flow with the most octets. The RFC's implementation takes up to 64 packets at
            # once, for speed.
            fattest = max(self._flows.values(), key=lambda one: one.fifo.octets)
            dropped = fattest.fifo.pop()
            if dropped is not None:
                self._left(dropped)
                self.drop(dropped, reasons.QUEUE_FULL)

    def dequeue(self, now: int) -> Waiting | None:
        # RFC 8290 §4.2
        while self._new or self._old:
            flows = self._new or self._old
            flow = flows[0]
            if flow.deficit <= 0:
                flow.deficit += QUANTUM
                flows.popleft()
                self._old.append(flow)
                continue
            waiting = flow.codel.dequeue(flow.fifo, now, self._notify)
            if waiting is None:
                flows.popleft()
                if flows is self._new and self._old:
                    # It waits behind the old flows, or it could starve them by being new again and again.
                    self._old.append(flow)
                else:
                    self._listed.discard(flow.number)
                continue
            flow.deficit -= waiting.size
            self._left(waiting)
            return waiting
        return None

    def _notify(self, waiting: Waiting) -> bool:
        if self._discipline.ecn and waiting.mark():
            return True
        self._left(waiting)
        self.drop(waiting, reasons.DROPPED_BY_QUEUE)
        return False

    def _left(self, waiting: Waiting) -> None:
        self._count -= 1
        self.octets -= waiting.size

    def _number(self, packet: Packet) -> int:
        # RFC 8290 §4.1.1: addresses, ports and protocol, hashed with a secret.
        payload = packet.payload
        key = packet.source + packet.destination + bytes((packet.protocol,))
        if isinstance(payload, Segment):
            key += payload.source_port.to_bytes(2, "big") + payload.destination_port.to_bytes(2, "big")
        return int.from_bytes(blake2s(key, digest_size=4, key=self._secret).digest(), "big") % FLOWS
