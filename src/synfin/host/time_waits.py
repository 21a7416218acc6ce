"""The table of TIME-WAIT: packed values, first in first out, bounded by ``tcp_max_tw_buckets``."""

from __future__ import annotations

from collections import OrderedDict

from synfin.host.binding import Bindings
from synfin.tcp import time_wait
from synfin.tcp.timers import NEVER


class TimeWaits:
    """TIME-WAIT values by flow, in the order in which they end. Each keeps the claim of its connection on the port."""

    __slots__ = ("_bindings", "_bound", "_packed")

    def __init__(self, bindings: Bindings | None = None) -> None:
        self._packed: OrderedDict[bytes, bytes] = OrderedDict()
        self._bindings = Bindings() if bindings is None else bindings
        #: The flags of claims, by flow.
        self._bound: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._packed)

    def __contains__(self, flow: bytes) -> bool:
        return flow in self._packed

    def get(self, flow: bytes) -> bytes | None:
        return self._packed.get(flow)

    def put(self, flow: bytes, packed: bytes, restarted: bool) -> None:
        """Keeps `packed`; `restarted` says that its 2 MSL start now, so that it ends last."""
        self._packed[flow] = packed
        if restarted:
            self._packed.move_to_end(flow)

    def inherit(self, flow: bytes, bound: int) -> None:
        """The TIME-WAIT of `flow` takes over the claim of its connection, whose flags are `bound`."""
        self._bound[flow] = bound

    def remove(self, flow: bytes) -> None:
        del self._packed[flow]
        self.release(flow)

    def release(self, flow: bytes) -> None:
        """Gives the claim of `flow` back, if it has one."""
        bound = self._bound.pop(flow, -1)
        if bound >= 0:
            half = (len(flow) - 4) // 2
            self._bindings.remove(int.from_bytes(flow[-2:], "big"), flow[half : 2 * half], bound)

    def flows(self) -> list[bytes]:
        return list(self._packed)

    def next_deadline(self) -> int:
        for packed in self._packed.values():
            return time_wait.expiry(packed)
        return NEVER

    def pop_expired(self, now: int) -> bytes | None:
        """Removes the first value if it has ended by `now`, and returns its flow."""
        if self.next_deadline() > now:
            return None
        flow = self._packed.popitem(last=False)[0]
        self.release(flow)
        return flow
